//! Where to connect for a domain: its MX hosts' addresses in the order to try them, or the smart host.
//!
//! Does not: connect. Addresses that policy forbids are left out; a source address of the other family rules an address out. A host with
//! an address of ours is ourselves by another name: it and all that are no better are left out (RFC 5321 5.1). The smart host is taken
//! as it is.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::clock::Clock;
use crate::config;
use crate::model::DomainName;
use crate::net::dial::AddressPolicy;
use crate::net::dns::Resolver;
use crate::net::dnssec::Security;
use crate::net::mx::{self, MxError, MxHost};
use crate::net::own::OwnAddresses;

/// Addresses tried in one attempt at most, over all hosts.
const MAX_TARGETS: usize = 8;
/// Addresses of one host among them at most, so that a host with many does not hide the next (RFC 5321 5.1 asks for two at least).
const MAX_TARGETS_OF_HOST: usize = 4;

/// One address to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The host's name, for TLS and the records.
    pub host: String,
    /// Its address and port.
    pub address: SocketAddr,
    /// The source address to bind; none: the system's choice.
    pub source: Option<IpAddr>,
    /// Whether DNSSEC, or the operator, says that the domain's mail goes to this host.
    pub security: Security,
}

/// What the plan is made from.
#[derive(Clone, Copy, Debug)]
pub struct Planning<'p> {
    /// `[delivery]`
    pub settings: &'p config::Delivery,
    /// Our own name.
    pub hostname: &'p str,
    /// DNS.
    pub resolver: &'p Resolver,
    /// Randomness.
    pub clock: &'p Clock,
    /// Where mail would come back to us.
    pub own: &'p OwnAddresses,
}

/// The targets of a domain: never none.
pub async fn targets(planning: &Planning<'_>, domain: &DomainName) -> Result<Vec<Target>, MxError> {
    if let Some((host, port)) = planning.settings.smart_host.rsplit_once(':') {
        let smart_host = MxHost { name: host.trim_matches(['[', ']']).to_owned(), preference: 0, implicit: false, security: Security::Secure };
        // Strangers choose the addresses of MX hosts; that of the smart host is the operator's choice, and often a private one.
        let route = Route { port: port.parse().unwrap_or(25), policy: AddressPolicy { allow_private: true }, own: Arc::default() };
        return route.targets(planning, vec![smart_host]).await;
    }
    let hosts = mx::next_hops(planning.resolver, domain, planning.hostname, planning.clock).await?;
    let route = Route {
        port: planning.settings.mx_port,
        policy: AddressPolicy { allow_private: planning.settings.allow_private_addresses },
        own: planning.own.look_up(planning.resolver, planning.clock).await,
    };
    route.targets(planning, hosts).await
}

/// How hosts are reached, and which are none.
struct Route {
    port: u16,
    policy: AddressPolicy,
    own: Arc<HashSet<IpAddr>>,
}

impl Route {
    async fn targets(&self, planning: &Planning<'_>, hosts: Vec<MxHost>) -> Result<Vec<Target>, MxError> {
        let mut targets: Vec<(u16, Target)> = Vec::new();
        let (mut temporary, mut none) = (None, MxError::NoUsableHost);
        for MxHost { name, preference, security, .. } in hosts {
            let addresses = match name.parse::<IpAddr>() {
                // Only a smart host may be an address.
                Ok(address) => Ok(vec![address]),
                Err(_) => mx::host_addresses(planning.resolver, &name, self.policy, planning.clock).await,
            };
            match addresses {
                Ok(addresses) if addresses.iter().any(|address| self.own.contains(&address.to_canonical())) => {
                    targets.retain(|(better, _)| *better < preference);
                    none = MxError::LoopsBack;
                    break;
                }
                Ok(addresses) => {
                    let reachable = addresses.into_iter().filter_map(|address| {
                        let source = source_for(&planning.settings.egress, address, planning.clock)?;
                        Some((preference, Target { host: name.clone(), address: SocketAddr::new(address, self.port), source, security }))
                    });
                    targets.extend(reachable.take(MAX_TARGETS_OF_HOST));
                }
                Err(MxError::Temporary(reason)) => temporary = Some(reason),
                Err(_) => {}
            }
            if targets.len() >= MAX_TARGETS {
                break;
            }
        }
        targets.truncate(MAX_TARGETS);
        match (targets.is_empty(), temporary) {
            (false, _) => Ok(targets.into_iter().map(|(_, target)| target).collect()),
            // One host's lookup failed for now: it may be the good one.
            (true, Some(reason)) => Err(MxError::Temporary(reason)),
            (true, None) => Err(none),
        }
    }
}

/// The source for a destination: `None` if there is none of its family, `Some(None)` if the system chooses.
#[expect(clippy::option_option, reason = "no way, any source, this source")]
fn source_for(egress: &[IpAddr], destination: IpAddr, clock: &Clock) -> Option<Option<IpAddr>> {
    if egress.is_empty() {
        return Some(None);
    }
    let fitting: Vec<IpAddr> = egress.iter().copied().filter(|source| source.is_ipv4() == destination.is_ipv4()).collect();
    fitting.get(clock.pick(fitting.len())).copied().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_address_has_the_family_of_its_destination() -> Result<(), std::net::AddrParseError> {
        let clock = Clock::system();
        let (v4, v6): (IpAddr, IpAddr) = ("127.0.0.1".parse()?, "::1".parse()?);
        assert_eq!(source_for(&[], v6, &clock), Some(None));
        assert_eq!(source_for(&[v4], v4, &clock), Some(Some(v4)));
        assert_eq!(source_for(&[v4], v6, &clock), None, "without an IPv6 source there is no way to an IPv6 host");
        Ok(())
    }
}
