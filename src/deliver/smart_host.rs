//! Smart hosts: which messages go to one, and how it is spoken to.
//!
//! Answers: does a rule take a message; TLS and login of its host. A share of the traffic is chosen by the message's id, so that every
//! attempt at a message takes the same way. Does not: connect.

use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use super::egress::{Subject, unit};
use crate::clock::Tick;
use crate::config;
use crate::config::egress::{MX_HOSTS, SmartHostTls, host_and_port};
use crate::model::{DomainName, ProjectId};
use crate::net::tls::{self, ClientTls, TlsError};
use crate::smtp::client::{Login, TlsUse};

/// A host that takes mail for any domain.
#[derive(Debug)]
pub struct SmartHost {
    /// The table of its rule, from 1; 0: `delivery.smart_host`.
    pub number: usize,
    /// Its name or address.
    pub name: String,
    /// Its port.
    pub port: u16,
    tls: SmartTls,
    /// The user name and password, if it wants them.
    pub login: Option<Login>,
    rest: Mutex<Rest>,
}

#[derive(Debug, Default)]
struct Rest {
    failures: u32,
    until: Option<Tick>,
}

#[derive(Clone, Debug)]
enum SmartTls {
    Implicit(ClientTls),
    Starttls(ClientTls),
    Opportunistic,
    Off,
}

/// The certificates to trust cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("delivery.smart_host_rule (table {table}): ca_file {}: {error}\n  fix: name a file of certificates in PEM", file.display())]
pub struct SmartHostError {
    table: usize,
    file: PathBuf,
    error: TlsError,
}

impl SmartHost {
    /// How TLS is used with it; `any` takes any certificate.
    #[must_use]
    pub fn tls_use(&self, any: &ClientTls) -> TlsUse {
        match &self.tls {
            SmartTls::Implicit(config) => TlsUse::Implicit(Arc::clone(config)),
            SmartTls::Starttls(config) => TlsUse::Require(Arc::clone(config)),
            SmartTls::Opportunistic => TlsUse::Opportunistic(Arc::clone(any)),
            SmartTls::Off => TlsUse::Off,
        }
    }

    /// `host:port`
    #[must_use]
    pub fn label(&self) -> Arc<str> {
        let name = &self.name;
        Arc::from(if name.contains(':') { format!("[{name}]:{}", self.port) } else { format!("{name}:{}", self.port) })
    }

    /// Until when nothing is sent there, if it rests.
    #[must_use]
    pub fn rests_until(&self, now: Tick) -> Option<Tick> {
        self.rest.lock().until.filter(|until| *until > now)
    }

    /// Notes that no session could be had: it rests until `until(failures in a row)`.
    pub fn rest(&self, until: impl FnOnce(u32) -> Tick) -> Tick {
        let mut rest = self.rest.lock();
        rest.failures = rest.failures.saturating_add(1);
        let until = until(rest.failures);
        rest.until = Some(until);
        until
    }

    /// Notes that a session was opened.
    pub fn reached(&self) {
        *self.rest.lock() = Rest::default();
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
                let tls = tls_of(rule).map_err(|error| SmartHostError { table, file: rule.ca_file.clone(), error })?;
                let login = (!rule.username.is_empty()).then(|| Login { username: rule.username.clone(), password: rule.password.clone() });
                Some(Arc::new(SmartHost { number: table, name: name.to_owned(), port, tls, login, rest: Mutex::default() }))
            }
            _ => None,
        };
        Ok(Self { table, host, project, domain: DomainName::parse(&rule.domain).ok(), percent: rule.share })
    }

    /// The rule of `delivery.smart_host`, if that is set.
    pub(super) fn for_all(smart_host: &str) -> Option<Self> {
        let (name, port) = host_and_port(smart_host)?;
        let host = SmartHost { number: 0, name: name.to_owned(), port, tls: SmartTls::Opportunistic, login: None, rest: Mutex::default() };
        Some(Self { table: 0, host: Some(Arc::new(host)), project: None, domain: None, percent: 100 })
    }

    pub(super) fn takes(&self, of: &Subject<'_>) -> bool {
        self.project.is_none_or(|project| project == of.project)
            && self.domain.as_ref().is_none_or(|domain| is_within(of.domain.as_str(), domain.as_str()))
            && (self.percent >= 100 || self.draws(of))
    }

    fn draws(&self, of: &Subject<'_>) -> bool {
        unit(&[of.id.uuid().as_bytes(), self.table.to_string().as_bytes()]) * 100.0 <= f64::from(self.percent)
    }

    pub(super) fn host(&self) -> Option<Arc<SmartHost>> {
        self.host.clone()
    }
}

/// True for the domain itself and those below it.
fn is_within(domain: &str, above: &str) -> bool {
    domain.strip_suffix(above).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn tls_of(rule: &config::egress::SmartHostRule) -> Result<SmartTls, TlsError> {
    let config = || {
        if !rule.verify {
            return Ok(tls::opportunistic());
        }
        if rule.ca_file.as_os_str().is_empty() {
            return tls::verified();
        }
        let pem = std::fs::read(&rule.ca_file).map_err(|error| TlsError::Certificate(error.to_string()))?;
        tls::verified_by(&pem)
    };
    Ok(match rule.tls() {
        SmartHostTls::Implicit => SmartTls::Implicit(config()?),
        SmartHostTls::Starttls => SmartTls::Starttls(config()?),
        SmartHostTls::Opportunistic => SmartTls::Opportunistic,
        SmartHostTls::Off => SmartTls::Off,
    })
}
