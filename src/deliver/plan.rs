//! Where to connect for a domain: its MX hosts' addresses in the order to try them, or the smart host.
//!
//! Does not: connect. Addresses that policy forbids are left out; a source address of the other family rules an address out. A host with
//! an address of ours is ourselves by another name: it and all that are no better are left out (RFC 5321 5.1). The smart host is taken
//! as it is.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::egress::{Route, Source};
use super::smart_host::SmartHost;
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
    /// The source addresses of its family, the preferred one first; none: the system's choice.
    pub sources: Vec<Arc<Source>>,
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
    /// The way out.
    pub way: &'p Route,
}

/// The targets of a domain: never none.
pub async fn targets(planning: &Planning<'_>, domain: &DomainName) -> Result<Vec<Target>, MxError> {
    if let Some(host) = &planning.way.smart_host {
        return smart_host_targets(planning, host).await;
    }
    let hosts = mx::next_hops(planning.resolver, domain, planning.hostname, planning.clock).await?;
    let reach = Reach {
        port: planning.settings.mx_port,
        policy: AddressPolicy { allow_private: planning.settings.allow_private_addresses },
        own: planning.own.look_up(planning.resolver, planning.clock).await,
    };
    reach.targets(planning, hosts).await
}

async fn smart_host_targets(planning: &Planning<'_>, host: &SmartHost) -> Result<Vec<Target>, MxError> {
    let hop = MxHost { name: host.name.clone(), preference: 0, implicit: false, security: Security::Secure };
    // Strangers choose the addresses of MX hosts; that of the smart host is the operator's choice, and often a private one.
    let reach = Reach { port: host.port, policy: AddressPolicy { allow_private: true }, own: Arc::default() };
    match reach.targets(planning, vec![hop]).await {
        // It says nothing about the recipient's domain: the operator has to put it right.
        Err(MxError::NoUsableHost | MxError::NoSuchDomain) => {
            Err(MxError::Temporary(format!("the smart host {} has no address that can be reached", host.label())))
        }
        other => other,
    }
}

/// How hosts are reached, and which are none.
struct Reach {
    port: u16,
    policy: AddressPolicy,
    own: Arc<HashSet<IpAddr>>,
}

impl Reach {
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
                        let sources = sources_for(&planning.way.sources, address)?;
                        Some((preference, Target { host: name.clone(), address: SocketAddr::new(address, self.port), sources, security }))
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

/// The sources for a destination: `None` if there is none of its family, empty if the system chooses.
fn sources_for(all: &[Arc<Source>], destination: IpAddr) -> Option<Vec<Arc<Source>>> {
    let fitting: Vec<_> = all.iter().filter(|source| source.address.is_ipv4() == destination.is_ipv4()).cloned().collect();
    (all.is_empty() || !fitting.is_empty()).then_some(fitting)
}
