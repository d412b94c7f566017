//! Domain names as mail uses them: A-labels in lower case, at least two labels, no trailing dot.
//!
//! Answers: is this text a domain that mail can be sent to or from, and what is its one spelling (RFC 5321 2.3.5, RFC 5890).
//! Does not: look anything up.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Octets of a whole domain name in text form (RFC 1035 2.3.4, less the root's dot and length octet).
pub const MAX_DOMAIN_OCTETS: usize = 253;
const MAX_LABEL_OCTETS: usize = 63;

/// Why a text is not a domain name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DomainNameError {
    /// Nothing there.
    #[error("the domain is empty")]
    Empty,
    /// Over 253 octets.
    #[error("the domain is longer than 253 octets")]
    TooLong,
    /// `localhost`, `example`.
    #[error("the domain has a single label; write it in full, like example.com")]
    SingleLabel,
    /// `[127.0.0.1]` or `127.0.0.1`.
    #[error("the domain is an IP address; only names are accepted")]
    AddressLiteral,
    /// A character or label that no host name has.
    #[error("the domain is not a valid host name")]
    Invalid,
}

/// A fully qualified domain name in its one spelling.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomainName(Arc<str>);

impl DomainName {
    /// Reads a domain in U-labels or A-labels, any case.
    ///
    /// # Errors
    /// [`DomainNameError`] names what is wrong.
    pub fn parse(text: &str) -> Result<Self, DomainNameError> {
        if text.is_empty() {
            return Err(DomainNameError::Empty);
        }
        if text.starts_with('[') {
            return Err(DomainNameError::AddressLiteral);
        }
        let lower = text.to_ascii_lowercase();
        let ascii = if lower.is_ascii() && !lower.contains("xn--") {
            lower
        } else {
            let strict = idna::AsciiDenyList::STD3;
            idna::uts46::Uts46::new()
                .to_ascii(text.as_bytes(), strict, idna::uts46::Hyphens::Check, idna::uts46::DnsLength::Verify)
                .map_err(|_| DomainNameError::Invalid)?
                .into_owned()
        };
        Self::check(&ascii)?;
        Ok(Self(ascii.into()))
    }

    fn check(ascii: &str) -> Result<(), DomainNameError> {
        if ascii.len() > MAX_DOMAIN_OCTETS {
            return Err(DomainNameError::TooLong);
        }
        let mut labels = 0;
        let mut last = "";
        for label in ascii.split('.') {
            let fits = !label.is_empty() && label.len() <= MAX_LABEL_OCTETS && !label.starts_with('-') && !label.ends_with('-');
            if !fits || !label.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_') {
                return Err(DomainNameError::Invalid);
            }
            labels += 1;
            last = label;
        }
        if last.bytes().all(|octet| octet.is_ascii_digit()) {
            return Err(DomainNameError::AddressLiteral);
        }
        if labels < 2 {
            return Err(DomainNameError::SingleLabel);
        }
        Ok(())
    }

    /// The name in A-labels, lower case, without a trailing dot.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True if this name is `other` or lies below it.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.strip_suffix(&*other.0).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for DomainName {
    type Err = DomainNameError;

    fn from_str(text: &str) -> Result<Self, DomainNameError> {
        Self::parse(text)
    }
}

impl Serialize for DomainName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for DomainName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'_, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_domain_has_one_spelling() {
        for (text, spelling) in [
            ("Example.COM", "example.com"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
            ("_dmarc.example.com", "_dmarc.example.com"),
        ] {
            assert_eq!(DomainName::parse(text).map(|name| name.to_string()), Ok(spelling.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_domain_is_refused_with_its_reason() {
        for (text, error) in [
            ("", DomainNameError::Empty),
            ("localhost", DomainNameError::SingleLabel),
            ("[127.0.0.1]", DomainNameError::AddressLiteral),
            ("1.2.3.4", DomainNameError::AddressLiteral),
            ("example.com.", DomainNameError::Invalid),
            ("a..b", DomainNameError::Invalid),
            ("bank .com", DomainNameError::Invalid),
            ("-a.example", DomainNameError::Invalid),
            ("a\r\n.example", DomainNameError::Invalid),
            ("xn--a.example", DomainNameError::Invalid),
            ("Xn--a.example", DomainNameError::Invalid),
            ("xN--a.example", DomainNameError::Invalid),
        ] {
            assert_eq!(DomainName::parse(text), Err(error), "{text}");
        }
        assert_eq!(DomainName::parse(&format!("{}.example", "a.".repeat(200).trim_end_matches('.'))), Err(DomainNameError::TooLong));
    }

    #[test]
    fn a_subdomain_is_within_and_a_look_alike_is_not() -> Result<(), DomainNameError> {
        let base = DomainName::parse("example.com")?;
        assert!(DomainName::parse("mail.example.com")?.is_within(&base));
        assert!(base.is_within(&base));
        assert!(!DomainName::parse("notexample.com")?.is_within(&base));
        Ok(())
    }
}
