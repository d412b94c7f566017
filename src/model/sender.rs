//! Which addresses a user may send as: one address, all of a domain, all below a domain, or all.
//!
//! Does not: make a domain one that may send; only verified domains of the project do, whatever a pattern says.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::EmailAddress;
use super::address::AddressError;
use super::domain_name::{DomainName, DomainNameError};

/// Why a text is no pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SenderPatternError {
    /// The address.
    #[error("{0}; write an address, *@example.com, *@*.example.com, or * alone")]
    Address(#[from] AddressError),
    /// The domain.
    #[error("{0}; write an address, *@example.com, *@*.example.com, or * alone")]
    Domain(#[from] DomainNameError),
}

/// Senders that are allowed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SenderPattern {
    /// `*`: any address.
    Any,
    /// `*@example.com`
    Domain(DomainName),
    /// `*@*.example.com`: of every domain below, not of the domain itself.
    Below(DomainName),
    /// One address.
    Address(EmailAddress),
}

impl SenderPattern {
    /// True if `address` is among them. Local parts are compared without case: no two of one domain belong to two people.
    #[must_use]
    pub fn allows(&self, address: &EmailAddress) -> bool {
        match self {
            Self::Any => true,
            Self::Domain(domain) => address.domain() == domain,
            Self::Below(domain) => address.domain() != domain && address.domain().is_within(domain),
            Self::Address(own) => own.domain() == address.domain() && own.local().to_lowercase() == address.local().to_lowercase(),
        }
    }
}

impl fmt::Display for SenderPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Domain(domain) => write!(f, "*@{domain}"),
            Self::Below(domain) => write!(f, "*@*.{domain}"),
            Self::Address(address) => write!(f, "{address}"),
        }
    }
}

impl FromStr for SenderPattern {
    type Err = SenderPatternError;

    fn from_str(text: &str) -> Result<Self, SenderPatternError> {
        Ok(match (text, text.strip_prefix("*@*."), text.strip_prefix("*@")) {
            ("*", ..) => Self::Any,
            (_, Some(domain), _) => Self::Below(DomainName::parse(domain)?),
            (_, _, Some(domain)) => Self::Domain(DomainName::parse(domain)?),
            _ if text.contains('*') => return Err(AddressError::LocalInvalid.into()),
            _ => Self::Address(EmailAddress::parse(text)?),
        })
    }
}

impl Serialize for SenderPattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SenderPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(pattern: &str, address: &str) -> bool {
        pattern.parse::<SenderPattern>().unwrap().allows(&EmailAddress::parse(address).unwrap())
    }

    #[test]
    fn a_pattern_allows_what_it_says_and_nothing_that_looks_like_it() {
        for (pattern, allowed, refused) in [
            ("i@wac.example", vec!["i@wac.example", "I@WAC.example"], vec!["j@wac.example", "i@a.wac.example", "i@wac.example.com"]),
            ("*@wac.example", vec!["i@wac.example", "j@wac.example"], vec!["i@a.wac.example", "i@notwac.example"]),
            ("*@*.wac.example", vec!["i@a.wac.example", "i@b.a.wac.example"], vec!["i@wac.example", "i@notwac.example"]),
            ("*", vec!["i@wac.example", "j@other.example"], vec![]),
        ] {
            assert!(allowed.iter().all(|address| allows(pattern, address)), "{pattern}");
            assert!(!refused.iter().any(|address| allows(pattern, address)), "{pattern}");
        }
    }

    #[test]
    fn a_pattern_reads_back_as_itself_and_others_are_refused() {
        for text in ["*", "*@wac.example", "*@*.wac.example", "i@wac.example"] {
            assert_eq!(text.parse::<SenderPattern>().unwrap().to_string(), text);
        }
        for text in ["", "**", "*@", "*@localhost", "*@*.com.", "i*@wac.example", "i@*.wac.example", "i", "*.wac.example"] {
            assert!(text.parse::<SenderPattern>().is_err(), "{text}");
        }
    }
}
