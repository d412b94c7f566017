//! Which way a message leaves: from which source addresses, and by a smart host or straight to the MX hosts.
//!
//! Answers: the pool of a message and its sources in the order to try them; the smart host, if a rule gives it one; which sources do not
//! work now. The order comes from weighted rendezvous hashing of project and recipient domain, so that mail of a project for a domain
//! keeps its source on every node and after every restart, and a source that comes or goes moves its own share only. One that does not
//! work is passed over for a while.
//! Does not: look up hosts (`plan`) or connect (`departure`).

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use parking_lot::{Mutex, RwLock};

use super::listing::Listed;
use super::smart_host::{SmartHost, SmartHostError, SmartHostRule};
use crate::clock::Tick;
use crate::config;
use crate::config::egress::{DEFAULT_POOL, ProxyKind, proxy};
use crate::config::warm_up::{WarmUp, schedule_for};
use crate::model::{DomainName, MessageId, ProjectId};
use crate::net::proxy::{Protocol, Proxy};
use crate::outbox::OutboundMessage;

/// How long a source that could not be used comes last.
pub(super) const AILING: Duration = Duration::from_mins(5);

/// An address that mail leaves from.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// The address.
    pub address: IpAddr,
    /// Our name in EHLO.
    pub ehlo_name: String,
    /// The proxy on the host that has the address; none: this one has it.
    pub proxy: Option<Proxy>,
    /// The address as text, by which it is ranked.
    name: String,
    weight: u32,
    warm_up: Vec<WarmUp>,
}

impl Source {
    /// How much it may send to a provider, or the site of one that is in no table; none: as much as there is.
    #[must_use]
    pub fn warm_up_for(&self, name: &str) -> Option<&WarmUp> {
        schedule_for(&self.warm_up, name)
    }
}

/// Sources that share the mail of some messages.
#[derive(Debug)]
struct Pool {
    name: Arc<str>,
    sources: Vec<Arc<Source>>,
}

#[derive(Debug)]
struct PoolRule {
    project: Option<ProjectId>,
    stream: String,
    pool: usize,
}

/// The way of one message to one domain: the same at every attempt, on every node.
#[derive(Clone, Debug, Default)]
pub struct Route {
    /// The name of its pool; none: no sources are configured.
    pub pool: Option<Arc<str>>,
    /// The sources, the preferred one first; none: the system chooses.
    pub sources: Vec<Arc<Source>>,
    /// The smart host; none: the MX hosts.
    pub smart_host: Option<Arc<SmartHost>>,
    /// Other messages of the same project to the same domain go to another host.
    pub is_one_of_several: bool,
}

impl Route {
    /// True if a session opened for `other` serves this one: it is to the same host and from the same source.
    #[must_use]
    pub fn shares_sessions_with(&self, other: &Self) -> bool {
        let first = |route: &Self, is_v4: bool| route.sources.iter().find(|source| source.address.is_ipv4() == is_v4).map(|source| source.address);
        std::ptr::eq(self, other)
            || self.pool == other.pool
                && self.smart_host.as_ref().map(|host| host.number) == other.smart_host.as_ref().map(|host| host.number)
                && first(self, true) == first(other, true)
                && first(self, false) == first(other, false)
    }

    /// True if mail may leave from `source` by this way.
    #[must_use]
    pub fn permits(&self, source: Option<IpAddr>) -> bool {
        self.sources.is_empty() || source.is_some_and(|address| self.sources.iter().any(|known| known.address == address))
    }
}

/// The configuration cannot be used on this machine or with this database.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// A source address of another machine.
    #[error("{option} holds {address}, which is not an address of this machine ({reason})\n  fix: add it to a network interface, or remove it")]
    NotOurs {
        /// The option.
        option: &'static str,
        /// The address.
        address: IpAddr,
        /// What the system says.
        reason: String,
    },
    /// A rule names a project that does not exist.
    #[error("{option} (table {table}) names the project {name:?}, which does not exist\n  fix: correct the name, or leave it out for any project")]
    NoSuchProject {
        /// The option.
        option: &'static str,
        /// The table, from 1.
        table: usize,
        /// The name.
        name: String,
    },
    /// A smart host cannot be used as configured.
    #[error(transparent)]
    SmartHost(#[from] SmartHostError),
}

/// All ways out.
#[derive(Debug)]
pub struct Egress {
    pools: Vec<Pool>,
    pool_rules: Vec<PoolRule>,
    smart_hosts: Vec<SmartHostRule>,
    /// Those that take only what no source may send.
    overflow: Vec<SmartHostRule>,
    /// Some source warms up.
    has_warm_up: bool,
    ailing: Mutex<HashMap<IpAddr, Tick>>,
    listed: RwLock<HashMap<IpAddr, Listed>>,
}

impl Egress {
    /// The ways that `settings` describes; `projects` gives the id of each project that a rule names.
    ///
    /// # Errors
    /// [`EgressError`].
    pub fn new(settings: &config::Delivery, hostname: &str, projects: &HashMap<String, ProjectId>) -> Result<Self, EgressError> {
        let mut pools = vec![Pool { name: Arc::from(DEFAULT_POOL), sources: Vec::new() }];
        for source in settings.sources() {
            let ehlo_name = if source.ehlo_name.is_empty() { hostname.to_owned() } else { source.ehlo_name };
            let login = (!source.proxy_username.is_empty()).then(|| (source.proxy_username.clone(), source.proxy_password.clone()));
            let proxy = proxy(&source.proxy).map(|(address, kind)| Proxy {
                address,
                protocol: match kind {
                    ProxyKind::Socks5 => Protocol::Socks5(login),
                    ProxyKind::HaProxy => Protocol::HaProxy,
                },
            });
            let made = Arc::new(Source {
                proxy,
                address: source.address,
                name: source.address.to_string(),
                ehlo_name,
                weight: source.weight,
                warm_up: source.warm_up,
            });
            match pools.iter_mut().find(|pool| *pool.name == *source.pool) {
                Some(pool) => pool.sources.push(made),
                None => pools.push(Pool { name: Arc::from(source.pool), sources: vec![made] }),
            }
        }
        let mut pool_rules = Vec::with_capacity(settings.pool_rule.len());
        for (number, rule) in settings.pool_rule.iter().enumerate() {
            let project = project_of(projects, &rule.project, "delivery.pool_rule", number + 1)?;
            let pool = pools.iter().position(|pool| *pool.name == *rule.pool).unwrap_or(0);
            pool_rules.push(PoolRule { project, stream: rule.stream.clone(), pool });
        }
        let (mut smart_hosts, mut overflow) = (Vec::with_capacity(settings.smart_host_rule.len() + 1), Vec::new());
        for (number, rule) in settings.smart_host_rule.iter().enumerate() {
            let project = project_of(projects, &rule.project, "delivery.smart_host_rule", number + 1)?;
            let made = SmartHostRule::new(rule, project, number + 1)?;
            if rule.overflow { overflow.push(made) } else { smart_hosts.push(made) }
        }
        smart_hosts.extend(SmartHostRule::for_all(&settings.smart_host));
        let has_warm_up = pools.iter().flat_map(|pool| &pool.sources).any(|source| !source.warm_up.is_empty());
        Ok(Self { pools, pool_rules, smart_hosts, overflow, has_warm_up, ailing: Mutex::default(), listed: RwLock::default() })
    }

    /// The way of a message to the recipients of a domain.
    #[must_use]
    pub fn route(&self, message: &OutboundMessage, domain: &DomainName) -> Route {
        let of = Subject { id: message.id, project: message.project, stream: &message.stream, domain };
        let rule = self.pool_rules.iter().find(|rule| rule.project.is_none_or(|project| project == of.project) && rule.fits_stream(of.stream));
        let pool = self.pools.get(rule.map_or(0, |rule| rule.pool)).or_else(|| self.pools.first());
        let sources = pool.map(|pool| ranked(pool, &of)).unwrap_or_default();
        let pool = pool.filter(|pool| !pool.sources.is_empty()).map(|pool| Arc::clone(&pool.name));
        let (smart_host, is_one_of_several) = self.smart_host(&of);
        Route { pool, sources, smart_host, is_one_of_several }
    }

    /// The smart host of a message, and whether others of its project to the domain go elsewhere.
    fn smart_host(&self, of: &Subject<'_>) -> (Option<Arc<SmartHost>>, bool) {
        let mut is_one_of_several = false;
        for rule in self.smart_hosts.iter().filter(|rule| rule.fits(of)) {
            is_one_of_several |= rule.takes_a_share();
            if rule.takes(of) {
                return (rule.host(), is_one_of_several);
            }
        }
        (None, is_one_of_several)
    }

    /// The smart host, `host:port`, that a message goes by; none: the MX hosts.
    #[must_use]
    pub fn smart_host_of(&self, project: ProjectId, id: MessageId, domain: &DomainName) -> Option<Arc<str>> {
        let (smart_host, _) = self.smart_host(&Subject { id, project, stream: "", domain });
        smart_host.map(|host| host.label())
    }

    /// The way of a message that no source of its own may send now: by the smart host that takes such mail, if one does.
    #[must_use]
    pub fn overflow(&self, message: &OutboundMessage, domain: &DomainName, route: &Route) -> Option<Route> {
        let of = Subject { id: message.id, project: message.project, stream: &message.stream, domain };
        let host = self.overflow.iter().find(|rule| rule.fits(&of) && rule.takes(&of))?.host()?;
        // Its receivers see the smart host: the sources that may not send to them may send to it.
        let pool = self.pools.iter().find(|pool| route.pool.as_ref() == Some(&pool.name));
        let sources = pool.map_or_else(|| route.sources.clone(), |pool| ranked(pool, &of));
        Some(Route { pool: route.pool.clone(), sources, smart_host: Some(host), is_one_of_several: true })
    }

    /// True if some source may not send everything now.
    #[must_use]
    pub fn binds(&self) -> bool {
        self.has_warm_up || !self.listed.read().is_empty()
    }

    /// The list that a source is on, if that keeps it from being used.
    #[must_use]
    pub fn listed(&self, address: IpAddr) -> Option<Listed> {
        self.listed.read().get(&address).cloned()
    }

    /// Says which sources are on lists and not to be used.
    pub fn set_listed(&self, listed: HashMap<IpAddr, Listed>) {
        *self.listed.write() = listed;
    }

    /// True if a rule leads to the smart host with this label.
    #[must_use]
    pub fn has_smart_host(&self, label: &str) -> bool {
        self.smart_hosts.iter().chain(&self.overflow).filter_map(SmartHostRule::host).any(|host| *host.label() == *label)
    }

    /// Notes that a source could not be used.
    pub fn ails(&self, address: IpAddr, now: Tick) {
        self.ailing.lock().insert(address, now.plus(AILING));
    }

    /// Until when none of a route's sources works.
    #[must_use]
    pub fn ail_until(&self, route: &Route, now: Tick) -> Option<Tick> {
        let ailing = self.ailing.lock();
        let until = |source: &Arc<Source>| ailing.get(&source.address).copied().filter(|until| *until > now);
        // None sorts first: one that works is enough.
        route.sources.iter().map(until).min().flatten()
    }

    /// These sources with those last that do not work now.
    #[must_use]
    pub fn working_first(&self, sources: &[Arc<Source>], now: Tick) -> Vec<Arc<Source>> {
        let ailing = self.ailing.lock();
        let (working, others): (Vec<_>, Vec<_>) =
            sources.iter().cloned().partition(|source| ailing.get(&source.address).is_none_or(|until| *until <= now));
        working.into_iter().chain(others).collect()
    }
}

fn ranked(pool: &Pool, of: &Subject<'_>) -> Vec<Arc<Source>> {
    if pool.sources.len() < 2 {
        return pool.sources.clone();
    }
    // Each distance is a hash: made once, not at every comparison.
    let mut sources: Vec<(f64, &Arc<Source>)> = pool.sources.iter().map(|source| (distance(of, source), source)).collect();
    sources.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    sources.into_iter().map(|(_, source)| Arc::clone(source)).collect()
}

impl PoolRule {
    fn fits_stream(&self, stream: &str) -> bool {
        self.stream.is_empty() || self.stream == stream
    }
}

/// What a way is chosen by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'s> {
    pub(super) id: MessageId,
    pub(super) project: ProjectId,
    pub(super) stream: &'s str,
    pub(super) domain: &'s DomainName,
}

/// How far a source is from mail of a project for a domain: the nearest one takes it (weighted rendezvous hashing).
fn distance(of: &Subject<'_>, source: &Source) -> f64 {
    let share = unit(&[of.project.uuid().as_bytes(), of.domain.as_str().as_bytes(), source.name.as_bytes()]);
    -share.ln() / f64::from(source.weight.max(1))
}

/// A number above 0 and at most 1 that depends on `parts` alone.
#[expect(clippy::cast_precision_loss, reason = "53 bits are kept, which a float holds")]
pub(super) fn unit(parts: &[&[u8]]) -> f64 {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(part);
        context.update(&[0]);
    }
    let bits = context.finish().as_ref().iter().take(8).fold(0_u64, |bits, octet| bits << 8 | u64::from(*octet)) >> 11;
    (bits + 1) as f64 / (1_u64 << 53) as f64
}

fn project_of(projects: &HashMap<String, ProjectId>, name: &str, option: &'static str, table: usize) -> Result<Option<ProjectId>, EgressError> {
    if name.is_empty() {
        return Ok(None);
    }
    projects.get(name).copied().map(Some).ok_or_else(|| EgressError::NoSuchProject { option, table, name: name.to_owned() })
}

/// Refuses source addresses that this machine cannot send from.
///
/// # Errors
/// [`EgressError::NotOurs`].
pub fn check_addresses(settings: &config::Delivery) -> Result<(), EgressError> {
    let plain = settings.egress.iter().map(|address| ("delivery.egress", *address));
    let tables = settings.source.iter().filter(|source| source.proxy.is_empty()).map(|source| ("delivery.source", source.address));
    for (option, address) in plain.chain(tables) {
        // Binding is what a connection will do; a list of interfaces would not know of routes that make whole networks local.
        if let Err(error) = UdpSocket::bind(SocketAddr::new(address, 0)) {
            return Err(EgressError::NotOurs { option, address, reason: error.to_string() });
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "egress_tests.rs"]
mod tests;
