//! Where the bounces of a domain come back to us: its return path, once DNS says so.
//!
//! Answers: whether mail of a domain carries bounce addresses of ours, and what such an address names. It does when mail from the
//! world is taken here, the domain is verified and the last check found MX and SPF of `bounce.<domain>`; until then the author's own reverse-path serves, or
//! receivers would refuse mail whose bounces go nowhere.
//! Does not: read reports.

use super::expected::return_path;
use super::record::{DnsRecord, RecordPurpose, RecordState};
use super::{DomainState, Domains, parse_name};
use crate::mail::verp::{Named, VerpError};
use crate::model::{DomainId, DomainName, EmailAddress, MessageId, ProjectId};
use crate::store::StoreError;
use crate::store::domain::{self as table, PathRow};
use crate::store::project;

/// Where bounces go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BouncePath {
    /// `bounce.<domain>`
    pub domain: DomainName,
    /// One transaction for each recipient, so that every bounce names its delivery.
    pub strict: bool,
}

impl Domains {
    /// Where the bounces of a domain come back to us; none while they do not. At most a minute old.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn bounce_path(&self, id: DomainId) -> Result<Option<BouncePath>, StoreError> {
        if !self.inner.settings.takes_reports {
            return Ok(None);
        }
        if let Some(known) = self.inner.paths.get(&self.inner.clock, &id) {
            return Ok(known);
        }
        let read_at = self.inner.clock.tick();
        let path = match table::path(&self.inner.store, id).await? {
            Some(row) if leads_here(&row) => {
                let name = parse_name(&row.name)?;
                return_path(&name).map(|domain| BouncePath { domain, strict: row.strict_verp })
            }
            _ => None,
        };
        self.inner.paths.put(read_at, id, path.clone());
        Ok(path)
    }

    /// The bounce address for `named`. None: the return path leaves no room for it.
    #[must_use]
    pub fn bounce_address(&self, path: &BouncePath, named: Named) -> Option<EmailAddress> {
        self.inner.verp.address(named, &path.domain)
    }

    /// What a bounce address names, if it is one of ours.
    ///
    /// # Errors
    /// [`VerpError`].
    pub fn read_bounce_address(&self, address: &EmailAddress) -> Result<Named, VerpError> {
        self.inner.verp.read(address)
    }

    /// The reverse-path under which a message is passed on: at the return path of `domain` if that leads here, else at the domain itself, whose MX does.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forward_address(&self, id: DomainId, domain: &DomainName, message: MessageId) -> Result<Option<EmailAddress>, StoreError> {
        let path = self.bounce_path(id).await?;
        Ok(self.forward_address_at(path.as_ref().map_or(domain, |path| &path.domain), message))
    }

    /// The reverse-path under which a message is passed on, at this very domain. None: the domain leaves no room for it.
    #[must_use]
    pub fn forward_address_at(&self, domain: &DomainName, message: MessageId) -> Option<EmailAddress> {
        self.inner.verp.forward_address(message, domain)
    }

    /// The message that a reverse-path of ours was given to when it was passed on.
    ///
    /// # Errors
    /// [`VerpError`].
    pub fn read_forward_address(&self, address: &EmailAddress) -> Result<MessageId, VerpError> {
        self.inner.verp.read_forward(address)
    }

    /// Whether a project's mail goes out with one transaction for each recipient.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn strict_verp(&self, project: ProjectId) -> Result<bool, StoreError> {
        table::strict_verp(&self.inner.store, project).await
    }

    /// Sets [`Self::strict_verp`]; other nodes heed it within a minute.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_strict_verp(&self, project: ProjectId, strict: bool) -> Result<(), StoreError> {
        project::set_strict_verp(&self.inner.store, project, strict).await?;
        self.inner.paths.clear();
        tracing::info!(%project, strict, "strict VERP set");
        Ok(())
    }
}

/// True if the last check found the return path as it must be.
fn leads_here(row: &PathRow) -> bool {
    let records: Vec<DnsRecord> = serde_json::from_value(row.findings.clone()).unwrap_or_default();
    let is_ok = |purpose| records.iter().any(|record| record.purpose == purpose && record.state == RecordState::Ok);
    row.state == DomainState::Verified.as_str() && is_ok(RecordPurpose::ReturnPathMx) && is_ok(RecordPurpose::ReturnPathSpf)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domains::RecordType;

    #[test]
    fn a_return_path_leads_here_once_the_domain_is_verified_and_both_records_are_found() {
        use RecordState::{Missing, Ok, Wrong};
        let record = |purpose, state| DnsRecord { kind: RecordType::Txt, name: String::new(), value: String::new(), purpose, state, found: None };
        for (state, mx, spf, leads) in [
            ("verified", Ok, Ok, true),
            ("verified", Missing, Ok, false),
            ("verified", Wrong, Ok, false),
            ("verified", Ok, Missing, false),
            ("pending", Ok, Ok, false),
            ("failed", Ok, Ok, false),
        ] {
            let records = [record(RecordPurpose::Dkim, Ok), record(RecordPurpose::ReturnPathMx, mx), record(RecordPurpose::ReturnPathSpf, spf)];
            let findings = serde_json::to_value(records).unwrap();
            let row = PathRow { name: "sender.example".to_owned(), state: state.to_owned(), findings, strict_verp: false };
            assert_eq!(leads_here(&row), leads, "{row:?}");
        }
    }
}
