//! The name of a site: its MX hosts, or the name of a provider whose customers are one site.
//!
//! Answers: is this text one, and what is its one spelling, as `deliver::limits` makes it: lower case, sorted, with commas between.
//! Does not: look anything up, so a name that no domain has is a name too.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// Octets of a whole name.
const MAX_OCTETS: usize = 2_000;
/// Octets of one host name (RFC 1035 2.3.4).
const MAX_HOST_OCTETS: usize = 253;

/// Why a text is no name of a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SiteNameError {
    /// Nothing there.
    #[error("the site is empty; give its MX hosts with commas between, or the provider's name, as GET /v1/sites shows them")]
    Empty,
    /// Over 2,000 octets, or a host over 253.
    #[error("the site is longer than 2000 octets, or one of its hosts than 253")]
    TooLong,
    /// A character that no host name has.
    #[error("the site is no list of host names; give its MX hosts with commas between, like mx1.example.net,mx2.example.net")]
    Invalid,
}

/// A site's name in its one spelling.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SiteName(Arc<str>);

impl SiteName {
    /// Reads MX hosts in any order and case, with or without their last dots, or a provider's name.
    ///
    /// # Errors
    /// [`SiteNameError`] names what is wrong.
    pub fn parse(text: &str) -> Result<Self, SiteNameError> {
        if text.trim().is_empty() {
            return Err(SiteNameError::Empty);
        }
        if text.len() > MAX_OCTETS {
            return Err(SiteNameError::TooLong);
        }
        let mut hosts: Vec<String> = text.split(',').map(|host| host.trim().trim_end_matches('.').to_ascii_lowercase()).collect();
        let is_odd = |host: &String| host.is_empty() || !host.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet));
        if hosts.iter().any(is_odd) {
            return Err(SiteNameError::Invalid);
        }
        if hosts.iter().any(|host| host.len() > MAX_HOST_OCTETS) {
            return Err(SiteNameError::TooLong);
        }
        hosts.sort_unstable();
        hosts.dedup();
        Ok(Self(hosts.join(",").into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SiteName {
    type Err = SiteNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for SiteName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for SiteName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, formatter)
    }
}

impl Serialize for SiteName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_has_one_spelling_whatever_the_order_of_its_hosts() {
        for (text, name) in [
            ("mx2.example.net,mx1.example.net", "mx1.example.net,mx2.example.net"),
            (" MX1.Example.NET. , mx1.example.net", "mx1.example.net"),
            ("microsoft-365", "microsoft-365"),
        ] {
            assert_eq!(SiteName::parse(text).unwrap().as_str(), name);
        }
        for (text, error) in [
            (" ", SiteNameError::Empty),
            ("a.example,", SiteNameError::Invalid),
            ("a.example b.example", SiteNameError::Invalid),
            ("bee@example.net", SiteNameError::Invalid),
        ] {
            assert_eq!(SiteName::parse(text), Err(error), "{text}");
        }
        assert_eq!(SiteName::parse(&"a".repeat(254)), Err(SiteNameError::TooLong));
        assert_eq!(SiteName::parse(&"a.example,".repeat(201)), Err(SiteNameError::TooLong));
    }
}
