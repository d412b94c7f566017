//! The name of a site: its MX hosts, the name of a provider whose customers are one site, or `host:port` of a smart host.
//!
//! Answers: is this text one, and what is its one spelling, as `deliver::limits` makes it: lower case, sorted, with commas between.
//! Does not: look anything up, so a name that no domain has is a name too.

use std::fmt;
use std::net::Ipv6Addr;
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
    /// A character that no host name has, or a port that is none.
    #[error(
        "the site is no list of host names; give its MX hosts with commas between, like mx1.example.net,mx2.example.net, or a smart host as host:port"
    )]
    Invalid,
}

/// A site's name in its one spelling.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SiteName(Arc<str>);

impl SiteName {
    /// Reads MX hosts in any order and case, with or without their last dots, or a provider's name, or `host:port`.
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
        let is_name = match hosts.as_slice() {
            [only] => is_host(only) || is_smart_host(only),
            several => several.iter().all(|host| is_host(host)),
        };
        if !is_name {
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

    /// True if it is that of a smart host: no other name has a port.
    #[must_use]
    pub fn is_smart_host(&self) -> bool {
        self.0.contains(':')
    }
}

fn is_host(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet))
}

/// `host:port`, `[address]:port`.
fn is_smart_host(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let is_port = port.parse::<u16>().is_ok_and(|number| number > 0) && port.bytes().all(|octet| octet.is_ascii_digit());
    let literal = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    is_port && literal.map_or_else(|| is_host(host), |address| address.parse::<Ipv6Addr>().is_ok())
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
            ("Relay.Example:587", "relay.example:587"),
            ("127.0.0.1:25", "127.0.0.1:25"),
            ("[2001:db8::1]:25", "[2001:db8::1]:25"),
        ] {
            let site = SiteName::parse(text).unwrap();
            assert_eq!((site.as_str(), site.is_smart_host()), (name, name.contains(':')));
        }
        for (text, error) in [
            (" ", SiteNameError::Empty),
            ("a.example,", SiteNameError::Invalid),
            ("a.example b.example", SiteNameError::Invalid),
            ("bee@example.net", SiteNameError::Invalid),
            ("relay.example:", SiteNameError::Invalid),
            ("relay.example:0", SiteNameError::Invalid),
            ("relay.example:65536", SiteNameError::Invalid),
            ("relay.example:+25", SiteNameError::Invalid),
            (":25", SiteNameError::Invalid),
            ("[relay.example]:25", SiteNameError::Invalid),
            ("2001:db8::1:25", SiteNameError::Invalid),
            ("a.example,relay.example:25", SiteNameError::Invalid),
        ] {
            assert_eq!(SiteName::parse(text), Err(error), "{text}");
        }
        assert_eq!(SiteName::parse(&"a".repeat(254)), Err(SiteNameError::TooLong));
        assert_eq!(SiteName::parse(&"a.example,".repeat(201)), Err(SiteNameError::TooLong));
    }
}
