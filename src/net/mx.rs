//! Where the mail of a domain goes: its MX hosts in the order to try them (RFC 5321 5.1, RFC 7505).
//!
//! Answers: the next hops of a domain, and the addresses of one of them that may be dialled.
//! Does not: connect, cache (the resolver does), or decide what becomes of the mail (see `deliver::verdict`).

use std::net::IpAddr;

use super::dial::AddressPolicy;
use super::dns::{DnsError, Resolver};
use crate::clock::Clock;
use crate::model::DomainName;

/// Hosts tried for one domain at most.
pub const MAX_HOSTS: usize = 10;
/// Addresses tried for one host at most; RFC 5321 5.1 wants at least two.
pub const MAX_ADDRESSES: usize = 10;

/// One host that takes mail for a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MxHost {
    /// Its name: lower case, no final dot.
    pub name: String,
    /// Lower is tried first.
    pub preference: u16,
    /// True if the domain has no MX record and is its own mail host.
    pub implicit: bool,
}

/// Why there is nowhere to go.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MxError {
    /// NXDOMAIN.
    #[error("the domain does not exist")]
    NoSuchDomain,
    /// The null MX of RFC 7505.
    #[error("the domain takes no mail (null MX)")]
    NullMx,
    /// No MX and no address, or MX records none of which names a host that may be reached.
    #[error("the domain has no usable mail host")]
    NoUsableHost,
    /// We are the best mail host ourselves.
    #[error("the mail for the domain would come back to this server")]
    LoopsBack,
    /// The DNS gave no answer: try later.
    #[error("{0}")]
    Temporary(String),
}

impl From<DnsError> for MxError {
    fn from(error: DnsError) -> Self {
        match error {
            DnsError::NoSuchName => Self::NoSuchDomain,
            DnsError::NoRecords => Self::NoUsableHost,
            DnsError::Temporary(reason) => Self::Temporary(reason),
        }
    }
}

/// The hosts that take mail for `domain`, best first, random among equals, at most [`MAX_HOSTS`] and never none.
///
/// `own_name` and all hosts that are no better than it are left out (RFC 5321 5.1: no loops).
///
/// # Errors
/// [`MxError`]. A domain whose MX records are of no use is [`MxError::NoUsableHost`]: its own address is no substitute.
pub async fn next_hops(resolver: &Resolver, domain: &DomainName, own_name: &str, clock: &Clock) -> Result<Vec<MxHost>, MxError> {
    match resolver.mx(domain).await {
        Ok(records) => choose(records, own_name, clock),
        Err(DnsError::NoRecords) => implicit(resolver, domain, own_name).await,
        Err(other) => Err(other.into()),
    }
}

/// The addresses of one host that `policy` lets us dial, IPv4 first, random within a family, at most [`MAX_ADDRESSES`] and never none.
///
/// # Errors
/// [`MxError::NoUsableHost`] if there are none, [`MxError::Temporary`] if the DNS gave no answer.
pub async fn host_addresses(resolver: &Resolver, host: &str, policy: AddressPolicy, clock: &Clock) -> Result<Vec<IpAddr>, MxError> {
    let found = match resolver.addresses(host).await {
        Ok(found) => found,
        Err(DnsError::NoSuchName | DnsError::NoRecords) => return Err(MxError::NoUsableHost),
        Err(DnsError::Temporary(reason)) => return Err(MxError::Temporary(reason)),
    };
    let (mut four, mut six): (Vec<IpAddr>, Vec<IpAddr>) = found.into_iter().filter(|address| policy.permits(*address)).partition(IpAddr::is_ipv4);
    shuffle(&mut four, clock);
    shuffle(&mut six, clock);
    four.extend(six);
    four.dedup();
    four.truncate(MAX_ADDRESSES);
    if four.is_empty() { Err(MxError::NoUsableHost) } else { Ok(four) }
}

async fn implicit(resolver: &Resolver, domain: &DomainName, own_name: &str) -> Result<Vec<MxHost>, MxError> {
    if domain.as_str().eq_ignore_ascii_case(own_name) {
        return Err(MxError::LoopsBack);
    }
    match resolver.addresses(domain.as_str()).await {
        Ok(_) => Ok(vec![MxHost { name: domain.as_str().to_owned(), preference: 0, implicit: true }]),
        Err(DnsError::Temporary(reason)) => Err(MxError::Temporary(reason)),
        Err(DnsError::NoSuchName | DnsError::NoRecords) => Err(MxError::NoUsableHost),
    }
}

fn choose(records: Vec<(u16, String)>, own_name: &str, clock: &Clock) -> Result<Vec<MxHost>, MxError> {
    if records.iter().all(|(_, host)| host.is_empty()) {
        return Err(MxError::NullMx);
    }
    let own = records.iter().filter(|(_, host)| host.eq_ignore_ascii_case(own_name)).map(|(preference, _)| *preference).min();
    let mut records: Vec<_> = records.into_iter().filter(|(_, host)| is_host(host)).collect();
    if let Some(own) = own {
        records.retain(|(preference, _)| *preference < own);
    }
    // Shuffle, then sort stably: random among equals.
    shuffle(&mut records, clock);
    records.sort_by_key(|(preference, _)| *preference);
    let mut hosts: Vec<MxHost> = Vec::with_capacity(records.len().min(MAX_HOSTS));
    for (preference, name) in records {
        if hosts.len() < MAX_HOSTS && hosts.iter().all(|host| host.name != name) {
            hosts.push(MxHost { name, preference, implicit: false });
        }
    }
    match (hosts.is_empty(), own) {
        (false, _) => Ok(hosts),
        (true, Some(_)) => Err(MxError::LoopsBack),
        (true, None) => Err(MxError::NoUsableHost),
    }
}

/// A host name that could have an address: no root, no IP address, no character that host names lack.
fn is_host(name: &str) -> bool {
    let ends_in_digits = name.rsplit('.').next().is_none_or(|last| last.bytes().all(|octet| octet.is_ascii_digit()));
    !ends_in_digits && name.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet))
}

fn shuffle<T>(items: &mut [T], clock: &Clock) {
    for last in (1..items.len()).rev() {
        items.swap(last, clock.pick(last + 1));
    }
}
