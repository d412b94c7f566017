//! What an entry stands for: one address, or everybody at a domain.

use std::fmt;
use std::str::FromStr;

use crate::model::address::AddressError;
use crate::model::{DomainName, EmailAddress};

/// An address, or a domain written `@example.com`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target(String);

impl Target {
    /// Reads `local@domain` or `@domain`; domains in U-labels or A-labels. Letters A to Z count alike in either case: a receiver that
    /// tells `Bee` from `bee` has not been seen, while lists that spell one address in two ways have.
    ///
    /// # Errors
    /// [`AddressError`] names what is wrong.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let text = text.trim();
        let spelled = match text.strip_prefix('@') {
            Some(domain) => format!("@{}", DomainName::parse(domain)?),
            None => EmailAddress::parse(text)?.to_string(),
        };
        Ok(Self(spelled.to_ascii_lowercase()))
    }

    /// As the database keeps it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&EmailAddress> for Target {
    fn from(address: &EmailAddress) -> Self {
        Self(address.to_string().to_ascii_lowercase())
    }
}

impl FromStr for Target {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::parse(text)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_however_it_is_spelled() {
        for (text, spelling) in [
            ("Bee@Example.COM", "bee@example.com"),
            (" \"bee\"@example.com ", "bee@example.com"),
            ("bee@BÜCHER.example", "bee@xn--bcher-kva.example"),
            ("@Example.COM", "@example.com"),
            ("@bücher.example", "@xn--bcher-kva.example"),
            ("\"a b\"@example.com", "\"a b\"@example.com"),
        ] {
            assert_eq!(Target::parse(text).map(|target| target.to_string()), Ok(spelling.to_owned()), "{text}");
        }
        for bad in ["", "@", "bee", "@localhost", "a@b@c.example", "*@example.com", "@example.com, @example.net", "bee@"] {
            // `*@example.com` is an address like any other; a pattern it is not.
            assert_eq!(Target::parse(bad).is_ok(), bad == "*@example.com", "{bad}");
        }
    }
}
