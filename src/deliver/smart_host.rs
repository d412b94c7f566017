//! Smart hosts: which messages go to one, and how it is spoken to.
//!
//! Answers: does a rule take a message; TLS and login of its host. A share of the traffic is chosen by the message's id, so that every
//! attempt at a message takes the same way. Does not: connect.

use std::sync::{Arc, OnceLock};

use super::egress::{Subject, unit};
use super::limits::{Place, Providers};
use super::tls_policy::{Decision, Demand};
use crate::config;
use crate::config::egress::{MX_HOSTS, SmartHostTls, host_and_port};
use crate::model::message::TlsNeed;
use crate::model::outcome::TlsPolicy;
use crate::model::{DomainName, ProjectId};
use crate::net::certificate::{Authorities, AuthoritiesError, Proof};
use crate::smtp::client::Login;

/// A host that takes mail for any domain.
#[derive(Debug)]
pub struct SmartHost {
    /// The table of its rule, from 1; 0: `delivery.smart_host`.
    pub number: usize,
    /// Its name or address.
    pub name: String,
    /// Its port.
    pub port: u16,
    tls: SmartHostTls,
    /// Its certificate must be valid for its name.
    verify: bool,
    /// Who stands behind its certificate; none: whom all hosts' certificates are held to.
    authorities: Option<Authorities>,
    /// The user name and password, if it wants them.
    pub login: Option<Login>,
    label: Arc<str>,
    place: OnceLock<Place>,
}

/// The certificates to trust cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("delivery.smart_host_rule (table {table}): ca_file: {error}\n  fix: name a file of certificates in PEM")]
pub struct SmartHostError {
    table: usize,
    error: AuthoritiesError,
}

impl SmartHost {
    /// What a session with it has to be; none: what it would have to be with any host of that name (see `tls_policy`). `public` are the
    /// authorities that stand behind other hosts. A message that requires TLS gets it with a proven certificate, whatever the setting.
    #[must_use]
    pub fn decide(&self, need: TlsNeed, public: &Authorities) -> Option<Decision> {
        let proven = || Demand::Proven(Proof::Authority(self.authorities.as_ref().unwrap_or(public).clone()));
        let (policy, demand) = match (need, self.tls) {
            (_, SmartHostTls::Opportunistic) => return None,
            (TlsNeed::Required, _) => (TlsPolicy::RequireTls, proven()),
            (_, SmartHostTls::Off) => (TlsPolicy::Off, Demand::Never),
            (_, SmartHostTls::Implicit | SmartHostTls::Starttls) if self.verify => (TlsPolicy::Verify, proven()),
            (_, SmartHostTls::Implicit | SmartHostTls::Starttls) => (TlsPolicy::Require, Demand::Encrypted),
        };
        Some(Decision { policy, demand })
    }

    /// True if TLS begins with the first octet.
    #[must_use]
    pub fn is_implicit(&self) -> bool {
        self.tls == SmartHostTls::Implicit
    }

    /// `host:port`
    #[must_use]
    pub fn label(&self) -> Arc<str> {
        Arc::clone(&self.label)
    }

    /// The place of the mail that goes by it. The providers are the same as long as the process runs, so it is made once.
    #[must_use]
    pub fn place(&self, providers: &Providers) -> &Place {
        self.place.get_or_init(|| providers.smart_host(&self.name, self.label(), self.number))
    }
}

/// Which messages go to a host, or past those of the rules behind.
#[derive(Debug)]
pub(super) struct SmartHostRule {
    table: usize,
    host: Option<Arc<SmartHost>>,
    project: Option<ProjectId>,
    domain: Option<DomainName>,
    percent: u8,
}

impl SmartHostRule {
    pub(super) fn new(rule: &config::egress::SmartHostRule, project: Option<ProjectId>, table: usize) -> Result<Self, SmartHostError> {
        let host = match host_and_port(&rule.host) {
            Some((name, port)) if rule.host != MX_HOSTS => {
                let authorities = if rule.ca_file.as_os_str().is_empty() {
                    None
                } else {
                    Some(Authorities::only(&rule.ca_file).map_err(|error| SmartHostError { table, error })?)
                };
                let login = (!rule.username.is_empty()).then(|| Login { username: rule.username.clone(), password: rule.password.clone() });
                let (name, tls, verify) = (name.to_owned(), rule.tls(), rule.verify);
                let label = label_of(&name, port);
                Some(Arc::new(SmartHost { number: table, name, port, tls, verify, authorities, login, label, place: OnceLock::new() }))
            }
            _ => None,
        };
        Ok(Self { table, host, project, domain: DomainName::parse(&rule.domain).ok(), percent: rule.share })
    }

    /// The rule of `delivery.smart_host`, if that is set.
    pub(super) fn for_all(smart_host: &str) -> Option<Self> {
        let (name, port) = host_and_port(smart_host)?;
        let (name, tls) = (name.to_owned(), SmartHostTls::Opportunistic);
        let label = label_of(&name, port);
        let host = SmartHost { number: 0, name, port, tls, verify: false, authorities: None, login: None, label, place: OnceLock::new() };
        Some(Self { table: 0, host: Some(Arc::new(host)), project: None, domain: None, percent: 100 })
    }

    /// True if it is about mail of this project to this domain.
    pub(super) fn fits(&self, of: &Subject<'_>) -> bool {
        self.project.is_none_or(|project| project == of.project)
            && self.domain.as_ref().is_none_or(|domain| is_within(of.domain.as_str(), domain.as_str()))
    }

    /// True if it takes some of that mail and not all.
    pub(super) const fn takes_a_share(&self) -> bool {
        self.percent < 100
    }

    /// True if it takes this message, of those that it is about.
    pub(super) fn takes(&self, of: &Subject<'_>) -> bool {
        !self.takes_a_share() || unit(&[of.id.uuid().as_bytes(), self.table.to_string().as_bytes()]) * 100.0 <= f64::from(self.percent)
    }

    pub(super) fn host(&self) -> Option<Arc<SmartHost>> {
        self.host.clone()
    }
}

/// `host:port`, an address of IPv6 in brackets.
fn label_of(name: &str, port: u16) -> Arc<str> {
    Arc::from(if name.contains(':') { format!("[{name}]:{port}") } else { format!("{name}:{port}") })
}

/// True for the domain itself and those below it.
fn is_within(domain: &str, above: &str) -> bool {
    domain.strip_suffix(above).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}
