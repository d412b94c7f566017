//! The MTA-STS policy of a domain whose mail comes here: the text that is served, and the id in DNS that names it (RFC 8461 3).
//!
//! Answers: mode, text and id, and which policy a policy host is asked for. The id is made of the text, so that it changes when the text does.
//! Does not: serve it (`http`), or enforce what others publish (`transit`, `deliver`).

use std::fmt::Write;
use std::str::FromStr;

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{DomainError, DomainView, Domains};
use crate::model::{DomainId, DomainName, ProjectId};
use crate::store::StoreError;
use crate::store::domain as table;

/// Seconds that senders keep a policy that binds them: a week, which RFC 8461 3.2 calls the least that protects.
const ENFORCED_SECONDS: u32 = 604_800;
/// Seconds that they keep another: a day, so that a change is soon everywhere.
const TRIED_SECONDS: u32 = 86_400;
/// Octets of the hash that make the id.
const ID_OCTETS: usize = 10;

/// How strictly senders shall keep to the mail hosts of a domain and their certificates (RFC 8461 5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StsMode {
    /// No policy is published.
    Off,
    /// One that withdraws an earlier policy: to be published for a week before `off`.
    None,
    /// Senders report what would fail, and send all the same.
    #[default]
    Testing,
    /// Senders do not send where host or certificate do not fit.
    Enforce,
}

/// The text names no mode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no mode of MTA-STS; use off, none, testing or enforce")]
pub struct UnknownMode(String);

impl StsMode {
    const ALL: [Self; 4] = [Self::Off, Self::None, Self::Testing, Self::Enforce];

    /// As the database, the API and the policy write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::None => "none",
            Self::Testing => "testing",
            Self::Enforce => "enforce",
        }
    }
}

impl FromStr for StsMode {
    type Err = UnknownMode;

    fn from_str(text: &str) -> Result<Self, UnknownMode> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == text).ok_or_else(|| UnknownMode(text.to_owned()))
    }
}

/// The policy of a domain whose mail comes to `host`; none if it is off.
pub(super) fn text(mode: StsMode, host: &DomainName) -> Option<String> {
    let seconds = match mode {
        StsMode::Off => return None,
        StsMode::None | StsMode::Testing => TRIED_SECONDS,
        StsMode::Enforce => ENFORCED_SECONDS,
    };
    Some(format!("version: STSv1\r\nmode: {}\r\nmx: {host}\r\nmax_age: {seconds}\r\n", mode.as_str()))
}

/// The id of a policy: letters and digits, at most 32 (RFC 8461 3.1).
pub(super) fn id(text: &str) -> String {
    let hash = digest::digest(&digest::SHA256, text.as_bytes());
    hash.as_ref().iter().take(ID_OCTETS).fold(String::new(), |mut id, octet| {
        // Writing to a String does not fail.
        let _ = write!(id, "{octet:02x}");
        id
    })
}

impl Domains {
    /// The policy to serve as that of a domain: one that is verified, receives mail here and has a mode. At most a minute old.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn served_policy(&self, domain: &DomainName) -> Result<Option<String>, StoreError> {
        if let Some(known) = self.inner.policies.get(&self.inner.clock, domain) {
            return Ok(known);
        }
        let read_at = self.inner.clock.tick();
        let policy = match (table::verified(&self.inner.store, domain).await?, &self.inner.settings.senders.hostname) {
            (Some(row), Some(hostname)) if self.receives(DomainId::from_uuid(row.id)).await? => text(super::mode_of(&row.mta_sts)?, hostname),
            _ => None,
        };
        self.inner.policies.put(read_at, domain.clone(), policy.clone());
        Ok(policy)
    }

    /// Sets the mode of a domain's policy. What is served changes within a minute, and with it the id to publish.
    ///
    /// # Errors
    /// [`DomainError::NotFound`], [`DomainError::Store`].
    pub async fn set_mta_sts(&self, project: ProjectId, id: DomainId, mode: StsMode) -> Result<DomainView, DomainError> {
        if !table::set_mta_sts(&self.inner.store, project, id, mode.as_str()).await? {
            return Err(DomainError::NotFound);
        }
        self.forget();
        tracing::info!(domain = %id, mode = mode.as_str(), "the MTA-STS mode of a domain was set");
        self.get(project, id).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::mta_sts::{self, Mode, Policy};

    #[test]
    fn a_policy_is_one_that_our_own_reader_takes_and_its_id_changes_with_it() {
        let host = DomainName::parse("mail.example.net").unwrap();
        assert_eq!(text(StsMode::Off, &host), None);
        let mut ids = Vec::new();
        for (mode, read, days) in [(StsMode::None, Mode::None, 1), (StsMode::Testing, Mode::Testing, 1), (StsMode::Enforce, Mode::Enforce, 7)] {
            let text = text(mode, &host).unwrap();
            let policy = Policy::parse(&text).unwrap();
            assert_eq!((policy.mode, policy.lists("mail.example.net"), policy.max_age.as_secs()), (read, true, days * 86_400));
            let id = id(&text);
            assert_eq!(mta_sts::record_id(&[format!("v=STSv1; id={id};")]), Some(id.clone()));
            ids.push(id);
            assert_eq!(mode.as_str().parse(), Ok(mode));
        }
        ids.dedup();
        assert_eq!(ids.len(), 3);
        assert!("strict".parse::<StsMode>().is_err());
    }
}
