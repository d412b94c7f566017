//! What checks ask of the DNS, as a trait: the resolver comes from outside.
//!
//! Answers: which records a check needs, and the three ways in which there are none. Does not: ask; `inbound` gives our resolver.

use std::future::Future;
use std::net::IpAddr;

/// Why there are no records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// NXDOMAIN.
    #[error("the name does not exist")]
    NoSuchName,
    /// The name has none of this type.
    #[error("the name has no such records")]
    NoRecords,
    /// No answer now: says nothing about the name.
    #[error("no answer from the DNS")]
    Temporary,
}

impl RecordError {
    /// True for an answer that says "nothing here": a void look-up (RFC 7208 4.6.4).
    #[must_use]
    pub const fn is_void(self) -> bool {
        matches!(self, Self::NoSuchName | Self::NoRecords)
    }
}

/// Two families of addresses; a check that matches an address needs records of its family only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// A
    V4,
    /// AAAA
    V6,
}

impl Family {
    /// That of an address.
    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

/// Answers of the DNS. Names are absolute, without a final dot.
pub trait Records: Sync {
    /// TXT records, the strings of each joined.
    fn txt(&self, name: &str) -> impl Future<Output = Result<Vec<String>, RecordError>> + Send;

    /// Addresses of one family.
    fn addresses(&self, name: &str, family: Family) -> impl Future<Output = Result<Vec<IpAddr>, RecordError>> + Send;

    /// MX hosts, the most preferred first.
    fn mx(&self, name: &str) -> impl Future<Output = Result<Vec<String>, RecordError>> + Send;

    /// The names that an address points back to.
    fn ptr(&self, address: IpAddr) -> impl Future<Output = Result<Vec<String>, RecordError>> + Send;
}
