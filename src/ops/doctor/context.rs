//! What checks look with: the settings, a resolver whose answers are new, and the facts that several checks need.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OnceCell;

use super::{Database, Doctor, DoctorError};
use crate::clock::Clock;
use crate::config::{Config, Listen};
use crate::domains::{DkimKeyView, DnsRecord, DomainError, DomainView, Domains, RecordPurpose};
use crate::mail::dkim::Signer;
use crate::model::{DomainId, DomainName, ProjectId};
use crate::net::authenticator::Authenticator;
use crate::net::certificate::{Authorities, Inspector, Proof, Unproven};
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
        Self { submission: first(config.smtp.submission_listen), submissions: first(config.smtp.submissions_listen), mx: None }
    }
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
}

impl Subject {
    pub(super) async fn read(domains: &Domains, project: ProjectId, id: DomainId) -> Result<Self, DomainError> {
        let view = domains.look_up(project, id).await?;
        let keys = domains.dkim_keys(project, id).await?;
        let signers = domains.signers(id).await.map_err(|error| error.to_string());
        Ok(Self { name: view.name.clone(), view, keys, signers })
    }

    /// The records for one purpose.
    pub(super) fn records(&self, purpose: RecordPurpose) -> impl Iterator<Item = &DnsRecord> {
        self.view.records.iter().filter(move |record| record.purpose == purpose)
    }

    /// The domains that stand in MAIL FROM: the domain's own, and its return path.
    pub(super) fn mail_from(&self) -> Vec<DomainName> {
        [Some(self.name.clone()), crate::domains::return_path(&self.name)].into_iter().flatten().collect()
    }
}

/// A record to paste into a zone.
pub(super) fn publish(record: &DnsRecord) -> String {
    format!("publish: {}", crate::domains::render::zone(std::slice::from_ref(record)).trim_end())
}
