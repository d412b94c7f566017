//! What checks look with: the settings, a resolver whose answers are new, and the facts that several checks need.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::OnceCell;

use super::{Database, Doctor, DoctorError, Rooms};
use crate::clock::Clock;
use crate::config::{Config, Listen};
use crate::domains::{DkimKeyView, DnsRecord, DomainError, DomainView, Domains, RecordPurpose, render, return_path};
use crate::mail::dkim::Signer;
use crate::model::{DomainId, DomainName, ProjectId};
use crate::net::authenticator::Authenticator;
use crate::net::certificate::{Authorities, Inspector, Proof, Unproven};
use crate::net::dial;
use crate::net::dns::{DnsError, Resolver};

/// Where this program listens for mail; none: it does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listeners {
    /// STARTTLS and AUTH: 587.
    pub submission: Option<SocketAddr>,
    /// TLS from the first octet, and AUTH: 465.
    pub submissions: Option<SocketAddr>,
    /// The world: 25.
    pub mx: Option<SocketAddr>,
}

impl Listeners {
    /// Those that are configured. A port that the system chooses is not known here.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let first = |listen: Listen| listen.addresses().into_iter().next().filter(|address| address.port() != 0);
        let smtp = &config.smtp;
        Self { submission: first(smtp.submission_listen), submissions: first(smtp.submissions_listen), mx: first(smtp.mx_listen) }
    }
}

/// How long a connection may take to come about.
pub(super) const DIAL: Duration = Duration::from_secs(10);

/// Where to knock at a listener. One on every address takes IPv4 too, whichever family it is written in.
fn reachable(listen: SocketAddr) -> SocketAddr {
    if listen.ip().is_unspecified() { SocketAddr::new(Ipv4Addr::LOCALHOST.into(), listen.port()) } else { listen }
}

/// What one run shares.
pub(super) struct Context {
    pub(super) config: Arc<Config>,
    pub(super) clock: Clock,
    pub(super) database: Database,
    pub(super) authorities: Authorities,
    pub(super) listeners: Listeners,
    pub(super) resolver: Resolver,
    pub(super) authenticator: Authenticator,
    outbound: OnceCell<Vec<IpAddr>>,
}

/// Zero answers is an answer; the error is why there was none.
pub(super) type Seen<T> = Result<Vec<T>, String>;

/// What the DNS said, where "no such name" and "no such records" come to the same.
pub(super) fn seen<T>(answer: Result<Vec<T>, DnsError>) -> Seen<T> {
    match answer {
        Ok(records) => Ok(records),
        Err(DnsError::NoSuchName | DnsError::NoRecords) => Ok(Vec::new()),
        Err(DnsError::Temporary(why)) => Err(why),
    }
}

impl Context {
    pub(super) fn new(doctor: &Doctor) -> Result<Self, DoctorError> {
        let resolver = Resolver::new(&doctor.config.dns)?;
        let authenticator = Authenticator::new(&resolver, Duration::from_secs(doctor.config.dns.timeout_seconds))?;
        Ok(Self {
            config: Arc::clone(&doctor.config),
            clock: doctor.clock.clone(),
            database: doctor.database.clone(),
            authorities: doctor.authorities.clone(),
            listeners: doctor.listeners.clone(),
            resolver,
            authenticator,
            outbound: OnceCell::new(),
        })
    }

    /// Our name, if one is set.
    pub(super) fn host(&self) -> Option<DomainName> {
        DomainName::parse(&self.config.server.hostname).ok()
    }

    /// Our name as a subject.
    pub(super) fn host_name(&self) -> String {
        if self.config.server.hostname.is_empty() { "this host".to_owned() } else { self.config.server.hostname.clone() }
    }

    /// True if other people's addresses show up as the source of our mail.
    pub(super) fn sends_by_smart_host(&self) -> bool {
        !self.config.delivery.smart_host.is_empty()
    }

    /// The addresses that receivers see: those configured, else those of our name.
    pub(super) async fn outbound(&self) -> Result<Vec<IpAddr>, String> {
        let configured = self.config.delivery.source_addresses();
        if !configured.is_empty() {
            return Ok(configured.iter().map(IpAddr::to_canonical).collect());
        }
        let Some(host) = self.host() else { return Ok(Vec::new()) };
        let looking = async { seen(self.resolver.addresses(host.as_str()).await) };
        self.outbound.get_or_try_init(|| looking).await.cloned()
    }

    /// For a session whose certificate has to come from an authority; it tells and refuses nothing.
    pub(super) fn inspector(&self) -> Arc<Inspector> {
        Inspector::new(Proof::Authority(self.authorities.clone()), Unproven::Tell)
    }

    /// A connection to a listener of this program.
    pub(super) async fn knock(&self, listen: SocketAddr) -> Result<TcpStream, String> {
        let at = reachable(listen);
        dial::connect(at, None, DIAL, &self.clock).await.map_err(|error| format!("{at}: {error}"))
    }

    /// Whether mail for a domain is taken here, as far as it comes.
    pub(super) async fn receives_for(&self, name: &DomainName) -> Result<bool, String> {
        match &self.database {
            Database::Ready(Rooms { domains, .. }) => domains.receives_for(name).await.map_err(|error| error.to_string()),
            Database::Unready { .. } => Ok(false),
        }
    }

    /// Whether a domain takes mail: it has an MX that is not null, or else an address (RFC 5321 5.1, RFC 7505).
    pub(super) async fn takes_mail(&self, domain: &DomainName) -> Result<bool, String> {
        let hosts = seen(self.resolver.mx(domain).await)?;
        if hosts.is_empty() {
            return Ok(!seen(self.resolver.addresses(domain.as_str()).await)?.is_empty());
        }
        Ok(hosts.iter().any(|(_, host)| !host.is_empty()))
    }

    /// The texts of a name.
    pub(super) async fn texts(&self, name: &str) -> Seen<String> {
        seen(self.resolver.txt(name).await)
    }

    /// Whether a mail host is this one: by name, or by one of its addresses.
    pub(super) async fn is_us(&self, mail_host: &str) -> Result<bool, String> {
        if self.host().is_some_and(|host| host.as_str() == mail_host) {
            return Ok(true);
        }
        let (theirs, ours) = (seen(self.resolver.addresses(mail_host).await)?, self.outbound().await?);
        Ok(theirs.iter().any(|address| ours.contains(&address.to_canonical())))
    }
}

/// A domain that is looked at.
pub(super) struct Subject {
    pub(super) name: DomainName,
    /// As the DNS has its records now.
    pub(super) view: DomainView,
    pub(super) keys: Vec<DkimKeyView>,
    /// What signs now, or why nothing does.
    pub(super) signers: Result<Arc<[Signer]>, String>,
    /// Mail for it is taken here: it has a route.
    pub(super) receives: bool,
    /// Users submit mail as it.
    pub(super) submits: bool,
}

impl Subject {
    pub(super) async fn read(domains: &Domains, project: ProjectId, id: DomainId) -> Result<Self, DomainError> {
        let view = domains.look_up(project, id).await?;
        let keys = domains.dkim_keys(project, id).await?;
        let signers = domains.signers(id).await.map_err(|error| error.to_string());
        let (receives, submits) = (domains.receives(id).await?, domains.submits(id).await?);
        Ok(Self { name: view.name.clone(), view, keys, signers, receives, submits })
    }

    /// The records for one purpose.
    pub(super) fn records(&self, purpose: RecordPurpose) -> impl Iterator<Item = &DnsRecord> {
        self.view.records.iter().filter(move |record| record.purpose == purpose)
    }

    /// The domains that stand in MAIL FROM: the domain's own, and its return path where it has one.
    pub(super) fn mail_from(&self) -> Vec<DomainName> {
        let return_path = self.records(RecordPurpose::ReturnPathSpf).next().and_then(|_| return_path(&self.name));
        [Some(self.name.clone()), return_path].into_iter().flatten().collect()
    }

    /// What to publish for a purpose; none if the domain needs nothing for it.
    pub(super) fn publish(&self, purpose: RecordPurpose) -> Option<String> {
        self.records(purpose).next().map(publish)
    }
}

/// A record to paste into a zone.
pub(super) fn publish(record: &DnsRecord) -> String {
    format!("publish: {}", render::zone(std::slice::from_ref(record)).trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::environment::Environment;
    use crate::config::load::load;

    #[test]
    fn the_listeners_are_those_that_are_configured_and_known() {
        let mut config = load(None, &Environment::default()).unwrap().config;
        let ports =
            |listeners: Listeners| [listeners.submission, listeners.submissions, listeners.mx].map(|listener| listener.map(|address| address.port()));
        assert_eq!(ports(Listeners::of(&config)), [Some(587), Some(465), Some(25)]);
        config.smtp.submission_listen = Listen::Off;
        config.smtp.submissions_listen = "192.0.2.1:0".parse().unwrap();
        config.smtp.mx_listen = "192.0.2.1:2525".parse().unwrap();
        let listeners = Listeners::of(&config);
        assert_eq!((listeners.submission, listeners.submissions, listeners.mx), (None, None, "192.0.2.1:2525".parse().ok()));
    }

    #[test]
    fn a_listener_on_every_address_is_reached_by_ipv4() {
        for (listen, at) in [("[::]:25", "127.0.0.1:25"), ("0.0.0.0:25", "127.0.0.1:25"), ("[::1]:25", "[::1]:25"), ("192.0.2.1:25", "192.0.2.1:25")]
        {
            assert_eq!(reachable(listen.parse().unwrap()), at.parse().unwrap(), "{listen}");
        }
    }
}
