//! Where the mail of a domain goes: its MX hosts in the order to try them (RFC 5321 5.1, RFC 7505).
//!
//! Answers: the next hops of a domain, and the addresses of one of them that may be dialled.
//! Does not: connect, cache (the resolver does), or decide what becomes of the mail (see `deliver::verdict`).

use std::net::IpAddr;

use super::dial::AddressPolicy;
use super::dns::{DnsError, Resolver};
use super::dnssec::{Answer, Security};
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
    /// Whether DNSSEC proves that the domain names this host.
    pub security: Security,
}

/// Why there is nowhere to go.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MxError {
    /// NXDOMAIN.
    #[error("the domain does not exist")]
    NoSuchDomain,
    /// NXDOMAIN, heard for the first time: it has to be heard again before it is believed.
    #[error("the DNS says that the domain does not exist; it is asked again in ten minutes or later, before the mail bounces")]
    Doubtful,
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
    #[error("no answer from the DNS now: {0}")]
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
    match resolver.mx_answer(domain).await {
        Ok(answer) => choose(answer, own_name, clock),
        Err(DnsError::NoRecords) => implicit(resolver, domain, own_name).await,
        Err(other) => Err(other.into()),
    }
}

/// The names of all hosts that take mail for `domain`, in no order: by them it is seen whether two domains have the same.
///
/// # Errors
/// As [`next_hops`].
pub async fn host_names(resolver: &Resolver, domain: &DomainName) -> Result<Vec<String>, MxError> {
    let hosts: Vec<String> = match resolver.mx(domain).await {
        Ok(records) => records.into_iter().map(|(_, host)| host).filter(|host| is_host(host)).collect(),
        Err(DnsError::NoRecords) => vec![domain.as_str().to_owned()],
        Err(other) => return Err(other.into()),
    };
    if hosts.is_empty() { Err(MxError::NoUsableHost) } else { Ok(hosts) }
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
    match resolver.address_answer(domain.as_str()).await {
        Ok(answer) => Ok(vec![MxHost { name: domain.as_str().to_owned(), preference: 0, implicit: true, security: answer.security }]),
        Err(DnsError::Temporary(reason)) => Err(MxError::Temporary(reason)),
        Err(DnsError::NoSuchName | DnsError::NoRecords) => Err(MxError::NoUsableHost),
    }
}

fn choose(answer: Answer<(u16, String)>, own_name: &str, clock: &Clock) -> Result<Vec<MxHost>, MxError> {
    let Answer { records, security, .. } = answer;
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
            hosts.push(MxHost { name, preference, implicit: false, security });
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::zone::{Zone, ZoneFault};
    use crate::supervisor::Supervisor;

    const OWN: &str = "mx.own.example";
    const OPEN: AddressPolicy = AddressPolicy { allow_private: true };
    const STRICT: AddressPolicy = AddressPolicy { allow_private: false };

    struct World {
        zone: Zone,
        resolver: Resolver,
        /// Soon gives up.
        hasty: Resolver,
        clock: Clock,
        supervisor: Supervisor,
    }

    impl World {
        async fn new(text: &str) -> Self {
            let (clock, supervisor) = (Clock::movable(), Supervisor::default());
            let zone = Zone::parse(text).expect("a zone");
            let server = zone.serve("127.0.0.1:0".parse().expect("an address"), &supervisor, &clock).await.expect("a server");
            let [resolver, hasty] = [10_000, 100].map(|millis| {
                let limit = std::time::Duration::from_millis(millis);
                Resolver::of_servers(&[server.local_addr], limit).expect("a resolver")
            });
            Self { zone, resolver, hasty, clock, supervisor }
        }

        async fn hops(&self, domain: &str) -> Result<Vec<String>, MxError> {
            let domain = DomainName::parse(domain).expect("a domain");
            let hops = next_hops(&self.resolver, &domain, OWN, &self.clock).await?;
            Ok(hops.into_iter().map(|host| format!("{} {}{}", host.preference, host.name, if host.implicit { " implicit" } else { "" })).collect())
        }

        async fn addresses(&self, host: &str, policy: AddressPolicy) -> Result<Vec<IpAddr>, MxError> {
            host_addresses(&self.resolver, host, policy, &self.clock).await
        }

        async fn end(self) {
            self.supervisor.drain();
            self.supervisor.ended().await;
        }
    }

    #[tokio::test]
    async fn hosts_come_in_the_order_of_their_preference() {
        let world =
            World::new("d.example MX 20 B.d.example.\nd.example MX 10 a.d.example\nd.example MX 30 c.d.example\nd.example MX 40 a.d.example").await;
        assert_eq!(world.hops("d.example").await, Ok(vec!["10 a.d.example".to_owned(), "20 b.d.example".to_owned(), "30 c.d.example".to_owned()]));
        world.end().await;
    }

    #[tokio::test]
    async fn hosts_of_one_preference_take_turns() {
        let world = World::new("d.example MX 10 a.d.example\nd.example MX 10 b.d.example").await;
        let mut first = std::collections::BTreeSet::new();
        for _ in 0..64 {
            first.extend(world.hops("d.example").await.expect("hosts").into_iter().next());
        }
        assert_eq!(first.len(), 2);
        world.end().await;
    }

    #[tokio::test]
    async fn a_domain_without_mx_is_its_own_host_if_it_has_an_address() {
        let world = World::new("d.example A 192.0.2.1\nsix.example AAAA 2001:db8::1\nbare.example TXT x\nup.below.example A 192.0.2.1").await;
        assert_eq!(world.hops("d.example").await, Ok(vec!["0 d.example implicit".to_owned()]));
        assert_eq!(world.hops("six.example").await, Ok(vec!["0 six.example implicit".to_owned()]));
        assert_eq!(world.hops("bare.example").await, Err(MxError::NoUsableHost), "D5");
        assert_eq!(world.hops("below.example").await, Err(MxError::NoUsableHost), "a name that only has names below it exists");
        assert_eq!(world.hops("none.example").await, Err(MxError::NoSuchDomain), "D3");
        world.end().await;
    }

    #[tokio::test]
    async fn a_null_mx_is_told_apart_from_useless_ones() {
        let text = "null.example MX 0 .\nnull.example A 192.0.2.1\nip.example MX 10 192.0.2.7\nip.example A 192.0.2.1\nodd.example MX 0 .\nodd.example MX 10 a.odd.example";
        let world = World::new(text).await;
        assert_eq!(world.hops("null.example").await, Err(MxError::NullMx), "D6");
        assert_eq!(world.hops("ip.example").await, Err(MxError::NoUsableHost), "D7, D10: never the domain's own address");
        assert_eq!(world.hops("odd.example").await, Ok(vec!["10 a.odd.example".to_owned()]));
        world.end().await;
    }

    #[tokio::test]
    async fn our_own_name_and_all_behind_it_are_left_out() {
        let text = "d.example MX 10 a.d.example\nd.example MX 20 MX.own.example\nd.example MX 20 b.d.example\nd.example MX 30 c.d.example\nwe.example MX 10 mx.own.example\nmx.own.example A 192.0.2.1";
        let world = World::new(text).await;
        assert_eq!(world.hops("d.example").await, Ok(vec!["10 a.d.example".to_owned()]), "D9");
        assert_eq!(world.hops("we.example").await, Err(MxError::LoopsBack));
        assert_eq!(world.hops("mx.own.example").await, Err(MxError::LoopsBack));
        world.end().await;
    }

    #[tokio::test]
    async fn what_says_nothing_about_the_domain_is_temporary() {
        let world = World::new("d.example MX 10 a.d.example\na.d.example A 192.0.2.1").await;
        for fault in [ZoneFault::NoAnswer, ZoneFault::ServFail, ZoneFault::Refused, ZoneFault::TruncateWithoutTcp] {
            world.zone.set_fault("d.example", Some(fault));
            world.zone.set_fault("a.d.example", Some(fault));
            let hops = next_hops(&world.hasty, &DomainName::parse("d.example").expect("a domain"), OWN, &world.clock).await;
            assert!(matches!(hops, Err(MxError::Temporary(_))), "D1, D2, D12: {fault:?}");
            let addresses = host_addresses(&world.hasty, "a.d.example", OPEN, &world.clock).await;
            assert!(matches!(addresses, Err(MxError::Temporary(_))), "{fault:?}");
        }
        for fault in [Some(ZoneFault::Truncate), None] {
            world.resolver.forget_all();
            world.zone.set_fault("d.example", fault);
            assert_eq!(world.hops("d.example").await, Ok(vec!["10 a.d.example".to_owned()]), "D12: {fault:?}");
        }
        world.zone.set_fault("d.example", Some(ZoneFault::NoSuchName));
        world.resolver.forget("d.example");
        assert_eq!(world.hops("d.example").await, Err(MxError::NoSuchDomain));
        world.end().await;
    }

    #[tokio::test]
    async fn only_addresses_that_may_be_dialled_are_handed_out() {
        let text = "a.example A 127.0.0.1\na.example A 8.8.8.8\na.example AAAA ::1\na.example AAAA 2606:4700::1111\nb.example A 169.254.169.254\nalias.example CNAME a.example\nlost.example CNAME none.example";
        let world = World::new(text).await;
        let public = Ok(vec!["8.8.8.8".parse().expect("an address"), "2606:4700::1111".parse().expect("an address")]);
        assert_eq!(world.addresses("a.example", STRICT).await, public, "D8");
        assert_eq!(world.addresses("alias.example", STRICT).await, public, "D10: a CNAME is followed");
        assert_eq!(world.addresses("a.example", OPEN).await.map(|found| found.len()), Ok(4));
        for host in ["b.example", "lost.example", "none.example", "localhost", "not a name", ""] {
            assert_eq!(world.addresses(host, STRICT).await, Err(MxError::NoUsableHost), "{host:?}");
        }
        world.end().await;
    }

    #[tokio::test]
    async fn floods_of_hosts_and_addresses_are_capped() {
        let lines: Vec<_> = (0..250).map(|number| format!("d.example MX 10 mx{number}.d.example\nmany.example A 8.8.4.{number}")).collect();
        let world = World::new(&lines.join("\n")).await;
        assert_eq!(world.hops("d.example").await.map(|hops| hops.len()), Ok(MAX_HOSTS), "D11, over TCP as it fits no datagram");
        assert_eq!(world.addresses("many.example", STRICT).await.map(|found| found.len()), Ok(MAX_ADDRESSES));
        world.end().await;
    }

    #[tokio::test]
    async fn answers_are_kept_until_they_are_forgotten() {
        let world = World::new("d.example MX 10 a.d.example").await;
        assert!(world.hops("d.example").await.is_ok());
        let asked = world.zone.queries();
        world.zone.remove("d.example");
        assert!(world.hops("d.example").await.is_ok(), "D15");
        assert_eq!(world.zone.queries(), asked);
        world.resolver.forget("d.example");
        assert_eq!(world.hops("d.example").await, Err(MxError::NoSuchDomain));
        world.end().await;
    }
}
