//! What came of sessions, counted for the reports of RFC 8460: by day, policy domain, policy and result.
//!
//! Answers: sums in memory, written to the database every minute for those domains that ask for reports (RFC 8460 3); for all others
//! nothing is kept. Up to a minute of counts is lost with a process that dies.
//! Does not: make reports (see `report`).

use std::collections::HashMap;
use std::net::IpAddr;

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};
use time::Date;

use super::Transit;
use crate::clock::Clock;
use crate::model::DomainName;
use crate::net::dns::DnsError;
use crate::store::StoreError;
use crate::store::tls::{self as table, ResultRow};
use crate::supervisor::Supervisor;

/// Different results held in memory at most; more are not counted.
const MAX_RESULTS: usize = 50_000;
/// How often they are written.
const FLUSH: std::time::Duration = std::time::Duration::from_mins(1);
/// A report comes so much later than the end of its day at most, at random (RFC 8460 5.1 asks not to send all at once).
const SPREAD_SECONDS: usize = 4 * 60 * 60;

/// Which policy was applied (RFC 8460 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PolicyType {
    /// DANE.
    Tlsa,
    /// MTA-STS.
    Sts,
    /// Neither.
    NoPolicyFound,
}

/// What failed (RFC 8460 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names are the RFC's")]
pub enum ResultType {
    StarttlsNotSupported,
    CertificateHostMismatch,
    CertificateExpired,
    CertificateNotTrusted,
    ValidationFailure,
    TlsaInvalid,
    DnssecInvalid,
    DaneRequired,
    StsPolicyFetchError,
    StsPolicyInvalid,
    StsWebpkiInvalid,
}

/// A session that failed, or that policy forbade.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Failure {
    /// What failed.
    pub result: ResultType,
    /// Our address, if it is known.
    pub sending_ip: Option<IpAddr>,
    /// The mail host, if one was tried.
    pub mx_host: Option<String>,
    /// Its address, if it was reached.
    pub mx_ip: Option<IpAddr>,
    /// Words for people.
    pub detail: String,
}

/// One kind of result.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Facts {
    /// The policy applied.
    pub policy: PolicyType,
    /// Its text: lines of an MTA-STS policy, or TLSA records.
    pub text: Vec<String>,
    /// The hosts an MTA-STS policy lists.
    pub mx: Vec<String>,
    /// How the session failed; none: it did not.
    pub failure: Option<Failure>,
}

/// Counts by day, domain and kind.
pub(super) type Tally = HashMap<(Date, DomainName, Facts), u64>;

impl Transit {
    /// True if reports are made at all.
    #[must_use]
    pub fn reports(&self) -> bool {
        !self.inner.settings.report_from.is_empty()
    }

    /// Counts a session with a host of `domain`.
    pub fn count(&self, domain: &DomainName, facts: Facts) {
        if !self.reports() {
            return;
        }
        let day = self.inner.clock.now().date();
        let mut results = self.inner.results.lock();
        let key = (day, domain.clone(), facts);
        if results.len() < MAX_RESULTS || results.contains_key(&key) {
            *results.entry(key).or_insert(0) += 1;
        }
    }

    /// Writes counts, and which hosts spoke TLS, every minute until the process drains, and once more then.
    pub async fn keep_results(self, supervisor: Supervisor, clock: Clock) {
        loop {
            let is_over = tokio::select! {
                () = clock.sleep(FLUSH) => false,
                () = supervisor.draining() => true,
            };
            if let Err(error) = self.write_results().await {
                tracing::warn!(%error, "results of TLS sessions could not be written; their counts are lost");
            }
            if let Err(error) = self.write_hosts().await {
                tracing::warn!(%error, "which hosts spoke TLS could not be written");
            }
            if is_over {
                return;
            }
        }
    }

    /// Writes what was counted so far.
    ///
    /// # Errors
    /// [`StoreError`]; the counts are lost.
    pub async fn write_results(&self) -> Result<(), StoreError> {
        let counted = std::mem::take(&mut *self.inner.results.lock());
        let mut rows = Vec::new();
        for ((day, domain, facts), sessions) in counted {
            match self.is_asked_for(&domain).await {
                Ok(true) => {}
                Ok(false) => continue,
                // Asked again in a minute.
                Err(_) => {
                    self.put_back((day, domain, facts), sessions);
                    continue;
                }
            }
            let facts = serde_json::to_value(&facts).unwrap_or_default();
            let spread = i64::try_from(self.inner.clock.pick(SPREAD_SECONDS)).unwrap_or(0);
            let end = day.next_day().unwrap_or(day).midnight().assume_utc();
            rows.push(ResultRow {
                day,
                domain: domain.to_string(),
                digest: digest::digest(&digest::SHA256, facts.to_string().as_bytes()).as_ref().to_vec(),
                facts,
                sessions: i64::try_from(sessions).unwrap_or(i64::MAX),
                report_at: end + time::Duration::seconds(spread),
            });
        }
        if rows.is_empty() {
            return Ok(());
        }
        table::add_results(&self.inner.store, rows).await
    }

    fn put_back(&self, key: (Date, DomainName, Facts), sessions: u64) {
        let mut results = self.inner.results.lock();
        if results.len() < MAX_RESULTS {
            *results.entry(key).or_insert(0) += sessions;
        }
    }

    /// True if the domain asks for reports now; asked again after an hour.
    async fn is_asked_for(&self, domain: &DomainName) -> Result<bool, DnsError> {
        let inner = &*self.inner;
        let key = domain.to_string();
        if let Some(asking) = inner.asking.get(&inner.clock, &key) {
            return Ok(asking);
        }
        let asking = !self.who_asks(domain).await?.is_empty();
        inner.asking.put(inner.clock.tick(), key, asking);
        Ok(asking)
    }
}
