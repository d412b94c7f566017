//! Domains looked up in DNS, and what follows from what was found.
//!
//! Answers: when a domain is looked up, whether it is verified or has failed, and whose it is: another project that can prove a name no more
//! loses it to one that can (rule C7).
//! Does not: judge a single record (see [`super::check`]), or say how long a doubt lasts (see [`super::state`]).

use std::time::Duration;

use uuid::Uuid;

use super::check::{self, Proof};
use super::expected::{self, PublishedKey};
use super::record::{DnsRecord, RecordState};
use super::spf::Senders;
use super::state::{self, Standing};
use super::{DomainError, DomainState, DomainView, Domains, delegation_of, keys, name_of, parse_name, published, state_of};
use crate::events::EventKind;
use crate::model::{DomainId, ProjectId};
use crate::store::StoreError;
use crate::store::domain::{self as table, Checked, DkimKeyRow, DomainRow, Told};

/// How often a domain that is not verified, or doubted, is looked up by itself.
pub(super) const RECHECK_UNVERIFIED: Duration = Duration::from_mins(10);
/// How often a verified domain is.
pub(super) const RECHECK_VERIFIED: Duration = Duration::from_hours(12);

impl Domains {
    /// Looks the records up and writes down what was found. If another project owns the name, its key is looked up too: the
    /// domain changes hands only when that one is gone from DNS.
    ///
    /// # Errors
    /// [`DomainError::TakenElsewhere`] if both keys stand; [`DomainError::NotFound`], [`DomainError::Store`].
    pub async fn check(&self, project: ProjectId, id: DomainId) -> Result<DomainView, DomainError> {
        let (row, keys) = self.read(project, id).await?;
        let mut records = self.records(&row, &keys, self.uses(row.id).await?)?;
        check::check(&self.inner.resolver, &self.inner.settings.senders, &mut records).await;
        self.conclude(project, &row, &keys, records).await?;
        self.get(project, id).await
    }

    /// The domain with its records as DNS has them now. Nothing is written down, so the domain's state stays.
    ///
    /// # Errors
    /// [`DomainError::NotFound`], [`DomainError::Store`].
    pub async fn look_up(&self, project: ProjectId, id: DomainId) -> Result<DomainView, DomainError> {
        let (row, keys) = self.read(project, id).await?;
        let uses = self.uses(row.id).await?;
        let mut records = self.records(&row, &keys, uses)?;
        check::check(&self.inner.resolver, &self.inner.settings.senders, &mut records).await;
        for record in &mut records {
            record.merge(&self.inner.settings.senders);
        }
        Ok(DomainView { records, ..self.view(&row, &keys, uses)? })
    }

    /// Checks the domains whose time has come, at most 20; how many were checked. To be called every minute or so.
    ///
    /// # Errors
    /// [`DomainError::Store`].
    pub async fn check_due(&self) -> Result<usize, DomainError> {
        let now = self.inner.clock.now();
        let due = table::due(&self.inner.store, now - RECHECK_UNVERIFIED, now - RECHECK_VERIFIED, 20).await?;
        for (project, id) in &due {
            match self.check(*project, *id).await {
                Ok(_) | Err(DomainError::TakenElsewhere | DomainError::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(due.len())
    }

    /// Draws the consequences of a check whose findings stand in `records`.
    async fn conclude(&self, project: ProjectId, row: &DomainRow, keys: &[DkimKeyRow], records: Vec<DnsRecord>) -> Result<(), DomainError> {
        let name = name_of(row)?;
        let state_of_key = |key: &DkimKeyRow| expected::key_state(&records, &name, &published(key));
        let proof = check::best(keys.iter().filter(|key| keys::proves(key)).map(|key| state_of_key(key).into()));
        let seen: Vec<Uuid> = keys.iter().filter(|key| state_of_key(key) == RecordState::Ok).map(|key| key.id).collect();
        let before = Standing { state: state_of(row)?, failing_since: row.failing_since };
        let mut standing = state::after(before, proof, self.inner.clock.now());
        let mut owner = Owner::None;
        if standing.state == DomainState::Verified && before.state != DomainState::Verified {
            owner = self.owner_elsewhere(project, &row.name).await?;
            if owner == Owner::Stands {
                standing = before;
            }
        }
        let checked = Checked {
            id: DomainId::from_uuid(row.id),
            before: row.checked_at,
            at: self.inner.clock.now(),
            state: standing.state.as_str(),
            failing_since: standing.failing_since,
            findings: serde_json::to_value(&records).map_err(|error| StoreError::Corrupt(error.to_string()))?,
            seen: &seen,
            displaced: if let Owner::Lost(id) = owner { Some(id) } else { None },
            told: (standing.state != before.state).then(|| self.event(standing.state, DomainId::from_uuid(row.id), &row.name)).flatten(),
            displaced_told: if let Owner::Lost(id) = owner { self.event(DomainState::Failed, id, &row.name) } else { None },
        };
        let written = table::record_check(&self.inner.store, &checked).await;
        self.forget();
        match written {
            Err(error) if error.is_conflict_on("domain_one_owner") => Err(DomainError::TakenElsewhere),
            Err(error) => Err(error.into()),
            // False: another check was faster; what it wrote is as good.
            Ok(_) if owner == Owner::Stands => Err(DomainError::TakenElsewhere),
            Ok(written) => {
                if written && standing.state != before.state {
                    tracing::info!(domain = %checked.id, name = row.name, state = standing.state.as_str(), "the state of a domain changed");
                }
                Ok(())
            }
        }
    }

    /// The event of a change to `state`; none for a change that nobody is told.
    fn event(&self, state: DomainState, id: DomainId, name: &str) -> Option<Told> {
        let kind = match state {
            DomainState::Verified => EventKind::DomainVerified,
            DomainState::Failed => EventKind::DomainFailed,
            DomainState::Pending => return None,
        };
        Some(Told { id: self.inner.clock.uuid(), kind: kind.to_stored(), data: serde_json::json!({"domain_id": id, "domain": name}) })
    }

    /// Whether another project owns `name` and can still prove it. When DNS cannot say, it can.
    async fn owner_elsewhere(&self, project: ProjectId, name: &str) -> Result<Owner, DomainError> {
        let name = parse_name(name)?;
        let elsewhere = table::verified(&self.inner.store, &name).await?.filter(|row| row.project_id != project.uuid());
        let Some(row) = elsewhere else { return Ok(Owner::None) };
        let (owner, delegation) = (DomainId::from_uuid(row.id), delegation_of(&row)?);
        let keys = self.keys_of(owner.uuid()).await?;
        let proving: Vec<PublishedKey<'_>> = keys.iter().filter(|key| keys::proves(key)).map(published).collect();
        let mut records = expected::dkim(&name, &proving, delegation.as_ref());
        check::check(&self.inner.resolver, &Senders::default(), &mut records).await;
        let proof = check::best(proving.iter().map(|key| expected::key_state(&records, &name, key).into()));
        Ok(if proof == Proof::Gone { Owner::Lost(owner) } else { Owner::Stands })
    }
}

/// Who else owns the name of a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    /// Nobody.
    None,
    /// Another project, and its proof stands.
    Stands,
    /// Another project, whose proof is gone.
    Lost(DomainId),
}
