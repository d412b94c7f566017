//! The MTA-STS policy of a domain (RFC 8461 3.3, 5): from memory, the database all nodes share, or the policy host.
//!
//! Answers: what holds now. A policy that was fetched holds until its `max_age` is over, whatever becomes of record and host meanwhile;
//! a record with another id has it fetched again. A failed fetch is not repeated within five minutes.
//! Does not: enforce, or read policies' grammar (see `net::mta_sts`).

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;

use super::Transit;
use crate::model::DomainName;
use crate::net::dns::DnsError;
use crate::net::https::HttpsError;
use crate::net::mta_sts::{MAX_OCTETS, Mode, Policy, record_id};
use crate::store::StoreError;
use crate::store::tls::{self as table, PolicyRow};
use crate::telemetry::metrics::{self, PolicyFetch};

const PATH: &str = "/.well-known/mta-sts.txt";
/// A failed fetch is not repeated sooner (RFC 8461 3.3).
const FETCH_PAUSE: time::Duration = time::Duration::minutes(5);
/// A policy in force is looked after so often, whether mail goes there or not (RFC 8461 3.3).
const REFRESH: time::Duration = time::Duration::DAY;
/// Policies looked after in one round.
const REFRESH_CHUNK: i64 = 20;
/// Policies that ended are kept so long, so that their domain's rows do not come and go.
const KEPT_AFTER: time::Duration = time::Duration::DAY;

/// What holds for a domain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sts {
    /// The policy in force; none: there is none, or it wants nothing.
    pub policy: Option<Arc<Known>>,
    /// Why there is no policy, or no newer one, although the domain says that it has one.
    pub fault: Option<StsFault>,
}

/// A policy in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// What it says.
    pub policy: Policy,
    /// Its lines, for reports.
    pub lines: Vec<String>,
}

/// Why a policy could not be had (RFC 8460 4.3.2.2).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StsFault {
    /// The policy host gave none.
    #[error("{0}")]
    Fetch(String),
    /// What it gave is none.
    #[error("{0}")]
    Invalid(String),
    /// Its certificate is not good.
    #[error("{0}")]
    Certificate(String),
}

impl StsFault {
    const fn word(&self) -> &'static str {
        match self {
            Self::Fetch(_) => "sts-policy-fetch-error",
            Self::Invalid(_) => "sts-policy-invalid",
            Self::Certificate(_) => "sts-webpki-invalid",
        }
    }

    fn stored(&self) -> String {
        format!("{} {self}", self.word())
    }

    fn from_stored(text: &str) -> Self {
        let (word, reason) = text.split_once(' ').unwrap_or((text, ""));
        match word {
            "sts-policy-invalid" => Self::Invalid(reason.to_owned()),
            "sts-webpki-invalid" => Self::Certificate(reason.to_owned()),
            _ => Self::Fetch(reason.to_owned()),
        }
    }
}

impl From<HttpsError> for StsFault {
    fn from(error: HttpsError) -> Self {
        match error {
            HttpsError::Certificate(fault) => Self::Certificate(fault.to_string()),
            HttpsError::TooLarge(_) => Self::Invalid(error.to_string()),
            other => Self::Fetch(other.to_string()),
        }
    }
}

impl Transit {
    /// The policy that holds for a recipient domain. Never fails: where nothing can be learnt and nothing is kept, none holds.
    pub async fn sts(&self, domain: &DomainName) -> Sts {
        let inner = &*self.inner;
        if !inner.settings.mta_sts {
            return Sts::default();
        }
        if let Some(known) = inner.policies.get(&inner.clock, domain) {
            return known;
        }
        match self.learn(domain).await {
            Ok(sts) => {
                inner.policies.put(inner.clock.tick(), domain.clone(), sts.clone());
                sts
            }
            Err(error) => {
                metrics::database_error(error.kind());
                tracing::warn!(%error, %domain, "the MTA-STS policy of the domain cannot be read");
                Sts::default()
            }
        }
    }

    /// Looks after policies in force that nobody asked for since a day, and forgets old ones. How many were looked after.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn refresh_policies(&self) -> Result<usize, StoreError> {
        let inner = &*self.inner;
        let now = inner.clock.now();
        let stale = table::stale_policies(&inner.store, now, now - REFRESH, REFRESH_CHUNK).await?;
        for name in &stale {
            let Ok(domain) = DomainName::parse(name) else { continue };
            self.learn(&domain).await?;
            inner.policies.forget(&domain);
        }
        table::drop_policies(&inner.store, now - KEPT_AFTER).await?;
        table::drop_hosts(&inner.store, now - super::memory::KEPT).await?;
        Ok(stale.len())
    }

    async fn learn(&self, domain: &DomainName) -> Result<Sts, StoreError> {
        let inner = &*self.inner;
        let records = inner.resolver.txt(&format!("_mta-sts.{domain}")).await;
        let row = table::policy(&inner.store, domain.as_str()).await?;
        let id = match &records {
            Ok(records) => record_id(records),
            Err(DnsError::NoSuchName | DnsError::NoRecords | DnsError::Temporary(_)) => None,
        };
        match id {
            Some(id) if self.is_to_fetch(row.as_ref(), &id) => self.fetch_once(domain, &id).await,
            Some(_) => Ok(row.map_or_else(Sts::default, |row| held(&row, inner.clock.now()))),
            // No record: what was promised before still holds (RFC 8461 5.1, T6); there is no fault to tell.
            None => Ok(row.map_or_else(Sts::default, |row| Sts { fault: None, ..held(&row, inner.clock.now()) })),
        }
    }

    fn is_to_fetch(&self, row: Option<&PolicyRow>, id: &str) -> bool {
        let now = self.inner.clock.now();
        let Some(row) = row else { return true };
        let is_held = row.policy.is_some() && row.expires_at.is_some_and(|end| end > now);
        let is_due = !is_held || row.txt_id != id || row.fault.is_some() || now - row.tried_at >= REFRESH;
        is_due && (row.fault.is_none() || now - row.tried_at >= FETCH_PAUSE)
    }

    /// Fetches, unless another session has just done it.
    async fn fetch_once(&self, domain: &DomainName, id: &str) -> Result<Sts, StoreError> {
        let inner = &*self.inner;
        let turn = Arc::clone(inner.fetching.lock().entry(domain.clone()).or_default());
        let _mine = turn.lock().await;
        let row = table::policy(&inner.store, domain.as_str()).await?;
        let ended = if self.is_to_fetch(row.as_ref(), id) {
            let row = self.fetch(domain, id, row).await;
            table::put_policy(&inner.store, &row).await.map(|()| held(&row, inner.clock.now()))
        } else {
            Ok(row.map_or_else(Sts::default, |row| held(&row, inner.clock.now())))
        };
        inner.fetching.lock().remove(domain);
        ended
    }

    async fn fetch(&self, domain: &DomainName, id: &str, before: Option<PolicyRow>) -> PolicyRow {
        let inner = &*self.inner;
        let now = inner.clock.now();
        let fetched = self.ask(domain).await;
        metrics::policy_fetch(match &fetched {
            Ok(_) => PolicyFetch::Fetched,
            Err(StsFault::Fetch(_)) => PolicyFetch::NoAnswer,
            Err(StsFault::Invalid(_)) => PolicyFetch::Invalid,
            Err(StsFault::Certificate(_)) => PolicyFetch::Certificate,
        });
        match fetched {
            Ok((text, policy)) => {
                tracing::info!(%domain, id, mode = ?policy.mode, "the MTA-STS policy of the domain was fetched");
                let expires_at = now.saturating_add(time::Duration::try_from(policy.max_age).unwrap_or(time::Duration::ZERO));
                PolicyRow {
                    domain: domain.to_string(),
                    txt_id: id.to_owned(),
                    policy: Some(text),
                    fetched_at: Some(now),
                    expires_at: Some(expires_at),
                    tried_at: now,
                    fault: None,
                }
            }
            Err(fault) => {
                tracing::warn!(%domain, id, %fault, "the MTA-STS policy of the domain cannot be fetched; one that is kept stays in force");
                let fault = Some(fault.stored());
                match before {
                    Some(row) => PolicyRow { tried_at: now, fault, ..row },
                    None => PolicyRow {
                        domain: domain.to_string(),
                        txt_id: String::new(),
                        policy: None,
                        fetched_at: None,
                        expires_at: None,
                        tried_at: now,
                        fault,
                    },
                }
            }
        }
    }

    /// Asks the policy host (RFC 8461 3.3): 200 and plain text are a policy, all else is none, redirects above all.
    async fn ask(&self, domain: &DomainName) -> Result<(String, Policy), StsFault> {
        let inner = &*self.inner;
        let answer = inner.https.get(&format!("mta-sts.{domain}"), inner.settings.policy_port, PATH, MAX_OCTETS).await?;
        if answer.status != 200 {
            return Err(StsFault::Fetch(format!("the policy host answers with status {}", answer.status)));
        }
        if answer.media_type != "text/plain" {
            return Err(StsFault::Invalid(format!("the policy has the media type {:?} and not text/plain", answer.media_type)));
        }
        let text = String::from_utf8(answer.body.to_vec()).map_err(|_| StsFault::Invalid("the policy is no text".to_owned()))?;
        // The database keeps no NUL.
        let text = text.replace('\0', "");
        let policy = Policy::parse(&text).map_err(|error| StsFault::Invalid(error.to_string()))?;
        Ok((text, policy))
    }
}

fn held(row: &PolicyRow, now: OffsetDateTime) -> Sts {
    let fault = row.fault.as_deref().map(StsFault::from_stored);
    let in_force = row.policy.as_deref().filter(|_| row.expires_at.is_some_and(|end| end > now));
    let parsed = in_force.and_then(|text| Some((text, Policy::parse(text).ok()?))).filter(|(_, policy)| policy.mode != Mode::None);
    let policy = parsed.map(|(text, policy)| {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
        Arc::new(Known { policy, lines })
    });
    Sts { policy, fault }
}

/// Time between two rounds of [`Transit::refresh_policies`].
pub const ROUND: Duration = Duration::from_mins(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_survives_the_database() {
        for fault in [
            StsFault::Fetch("no answer within 60 s".to_owned()),
            StsFault::Invalid("the policy lists no mx".to_owned()),
            StsFault::Certificate("the certificate is expired or not yet valid".to_owned()),
        ] {
            assert_eq!(StsFault::from_stored(&fault.stored()), fault);
        }
    }

    #[test]
    fn a_policy_holds_until_its_time_is_over_and_none_holds_nobody() {
        let now = OffsetDateTime::UNIX_EPOCH + time::Duration::days(100);
        let row = |mode: &str, ends: time::Duration| PolicyRow {
            domain: "d.example".to_owned(),
            txt_id: "1".to_owned(),
            policy: Some(format!("version: STSv1\nmode: {mode}\nmx: mx.d.example\nmax_age: 86400\n")),
            fetched_at: Some(now),
            expires_at: Some(now + ends),
            tried_at: now,
            fault: None,
        };
        let known = held(&row("enforce", time::Duration::SECOND), now).policy.expect("a policy");
        assert_eq!((known.policy.mode, known.lines.len()), (Mode::Enforce, 4));
        assert_eq!(held(&row("enforce", time::Duration::ZERO), now), Sts::default());
        assert_eq!(held(&row("none", time::Duration::DAY), now), Sts::default());
    }
}
