//! Sending domains, their DKIM keys and DNS records.
//!
//! Answers: which domains a project may send from, what their owner has to publish, what DNS says about it now, and the keys to
//! sign with. The proof of ownership is the RSA DKIM key in DNS; it is new for each project and each adding, so a record that
//! still stands from an earlier owner proves nothing (rule C7).
//! Does not: sign, or send. A sending domain never implies a local one (invariant 10).

pub mod record;
mod state;

mod bounce;
mod check;
mod complaints;
mod delegation;
pub mod dmarc;
mod error;
mod expected;
mod keys;
mod policy;
pub mod portable;
pub mod render;
mod report_box;
mod rotation;
pub mod seal;
mod settings;
mod spf;
mod uses;
mod verify;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::clock::Clock;
use crate::mail::dkim::Signer;
use crate::mail::verp::VerpKey;
use crate::model::page::{Page, PageRequest};
use crate::model::{DomainId, DomainName, ProjectId};
use crate::net::dns::Resolver;
use crate::recent::Recent;
use crate::store::domain::{self as table, DkimKeyRow, DomainRow};
use crate::store::{Store, StoreError};
use delegation::Delegation;
use expected::{Plan, PublishedKey, Uses};
use keys::Making;
use uses::uses_in;

pub use bounce::BouncePath;
pub use error::{DomainError, SignerError};
pub use expected::{DMARC_REPORTS, TLS_REPORTS, return_path};
pub use keys::{DkimKeyView, KeyError, KeyState};
pub use policy::{StsMode, UnknownMode};
pub use record::{DnsRecord, RecordPurpose, RecordState, RecordType};
pub use report_box::ReportBox;
pub use seal::{SealError, Sealer};
pub use settings::DomainSettings;
pub use spf::Senders;
pub use state::DomainState;

/// How long what [`Domains::sender`] said is believed.
const SENDER_FRESH: Duration = Duration::from_secs(5);
/// How long unsealed keys are kept.
const SIGNERS_FRESH: Duration = Duration::from_mins(1);
/// Octets of a domain at most, so that `<selector>._domainkey.<domain>` is a name (RFC 1035 2.3.4).
const MAX_NAME_OCTETS: usize = 220;
/// A sending domain as the API shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct DomainView {
    /// Its id.
    #[schema(value_type = String, examples("dom_01jd5q0v0h7d6r2n8k4m3x9wbz"))]
    pub id: DomainId,
    /// Its name, in A-labels.
    #[schema(value_type = String, examples("example.com"))]
    pub name: DomainName,
    /// Where it stands.
    pub state: DomainState,
    /// When it was added.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: OffsetDateTime,
    /// When it was verified; null: never.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub verified_at: Option<OffsetDateTime>,
    /// When its records were last looked up; null: never.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub checked_at: Option<OffsetDateTime>,
    /// How strictly senders shall keep to its mail hosts, where its mail comes here.
    pub mta_sts: StsMode,
    /// The zone of the operator's that its DKIM keys stand in; null: they stand in its own.
    #[schema(value_type = Option<String>)]
    pub dkim_zone: Option<DomainName>,
    /// The records to publish and what the last check found.
    pub records: Vec<DnsRecord>,
}

/// A domain to add.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDomain {
    /// Its name.
    pub name: DomainName,
    /// The zone its DKIM keys are to stand in, led to by CNAME records; none: they stand in its own.
    pub dkim_zone: Option<DomainName>,
}

impl From<DomainName> for NewDomain {
    fn from(name: DomainName) -> Self {
        Self { name, dkim_zone: None }
    }
}

/// What sending needs to know of a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SenderDomain {
    /// Its id.
    pub id: DomainId,
    /// Its name.
    pub name: DomainName,
    /// True if its key stands in DNS.
    pub verified: bool,
    /// True if there is a key to sign with.
    pub has_key: bool,
}

/// The sending domains. Clones share what they remember.
#[derive(Clone)]
pub struct Domains {
    inner: Arc<Inner>,
}

impl fmt::Debug for Domains {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Domains")
    }
}

struct Inner {
    store: Store,
    clock: Clock,
    sealer: Sealer,
    resolver: Resolver,
    settings: DomainSettings,
    senders: Recent<(ProjectId, DomainName), Option<SenderDomain>>,
    signers: Recent<DomainId, Arc<[Signer]>>,
    paths: Recent<DomainId, Option<BouncePath>>,
    policies: Recent<DomainName, Option<String>>,
    verp: VerpKey,
}

impl Domains {
    /// Makes them of their parts.
    #[must_use]
    pub fn new(store: Store, clock: Clock, sealer: Sealer, resolver: Resolver, settings: DomainSettings) -> Self {
        let (senders, signers, paths) = (Recent::new(SENDER_FRESH), Recent::new(SIGNERS_FRESH), Recent::new(SIGNERS_FRESH));
        let (verp, policies) = (VerpKey::new(&sealer.derive("verp")), Recent::new(SIGNERS_FRESH));
        Self { inner: Arc::new(Inner { store, clock, sealer, resolver, settings, senders, signers, paths, policies, verp }) }
    }

    /// Adds a domain with new keys. Another project may have it too; only who proves it owns it.
    ///
    /// # Errors
    /// [`DomainError::Exists`], [`DomainError::TooLong`], [`DomainError::ZoneTooLong`], [`DomainError::Keys`], [`DomainError::Store`].
    pub async fn add(&self, project: ProjectId, new: impl Into<NewDomain>) -> Result<DomainView, DomainError> {
        let NewDomain { name, dkim_zone } = new.into();
        if name.as_str().len() > MAX_NAME_OCTETS {
            return Err(DomainError::TooLong);
        }
        if table::by_name(&self.inner.store, project, &name).await?.is_some() {
            return Err(DomainError::Exists);
        }
        let id = self.inner.clock.uuid();
        let delegation = match &dkim_zone {
            Some(zone) => Some(Delegation::new(id, &name, zone).ok_or(DomainError::ZoneTooLong)?),
            None => None,
        };
        let making = Making { domain: id, state: KeyState::Active, delegation: delegation.as_ref(), in_use: &[] };
        let keys = keys::make(&self.inner.sealer, &self.inner.clock, making).await?;
        let row = DomainRow {
            id,
            project_id: project.uuid(),
            name: name.to_string(),
            state: DomainState::Pending.as_str().to_owned(),
            created_at: self.inner.clock.now(),
            verified_at: None,
            checked_at: None,
            failing_since: None,
            findings: serde_json::Value::Array(Vec::new()),
            mta_sts: StsMode::default().as_str().to_owned(),
            dkim_zone: dkim_zone.map(|zone| zone.to_string()),
        };
        match table::insert(&self.inner.store, &row, &keys).await {
            Err(error) if error.is_conflict_on("domain_once_per_project") => return Err(DomainError::Exists),
            other => other?,
        }
        self.inner.senders.clear();
        self.get(project, DomainId::from_uuid(id)).await
    }

    /// The domains of a project, oldest first.
    ///
    /// # Errors
    /// [`DomainError::Store`].
    pub async fn list(&self, project: ProjectId, page: PageRequest) -> Result<Page<DomainView>, DomainError> {
        let rows = table::list(&self.inner.store, project, page).await?;
        let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
        let mut keys = table::keys(&self.inner.store, &ids).await?;
        let uses = table::uses(&self.inner.store, &ids).await?;
        let view = |row: &DomainRow| self.view(row, &keys.remove(&row.id).unwrap_or_default(), uses_in(&uses, row.id));
        let views = rows.iter().map(view).collect::<Result<Vec<_>, _>>()?;
        Ok(Page::cut(views, page.limit, |view| view.id.uuid()))
    }

    /// One domain of a project.
    ///
    /// # Errors
    /// [`DomainError::NotFound`], [`DomainError::Store`].
    pub async fn get(&self, project: ProjectId, id: DomainId) -> Result<DomainView, DomainError> {
        let (row, keys) = self.read(project, id).await?;
        Ok(self.view(&row, &keys, self.uses(row.id).await?)?)
    }

    /// One domain of a project by its name.
    ///
    /// # Errors
    /// [`DomainError::Store`].
    pub async fn find(&self, project: ProjectId, name: &DomainName) -> Result<Option<DomainView>, DomainError> {
        match table::by_name(&self.inner.store, project, name).await? {
            Some(row) => Ok(Some(self.view(&row, &self.keys_of(row.id).await?, self.uses(row.id).await?)?)),
            None => Ok(None),
        }
    }

    /// Removes a domain and its keys. What was accepted from it and not sent yet can no longer be signed.
    ///
    /// # Errors
    /// [`DomainError::NotFound`], [`DomainError::Store`].
    pub async fn remove(&self, project: ProjectId, id: DomainId) -> Result<(), DomainError> {
        let removed = table::remove(&self.inner.store, project, id).await?;
        self.forget();
        if removed { Ok(()) } else { Err(DomainError::NotFound) }
    }

    /// The keys of a domain, without their secrets, in the order they were made.
    ///
    /// # Errors
    /// [`DomainError::NotFound`], [`DomainError::Store`].
    pub async fn dkim_keys(&self, project: ProjectId, id: DomainId) -> Result<Vec<DkimKeyView>, DomainError> {
        Ok(keys::views(&self.read(project, id).await?.1))
    }

    /// What sending needs to know of a domain of the project; none if the project does not have it. At most five seconds old.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sender(&self, project: ProjectId, name: &DomainName) -> Result<Option<SenderDomain>, StoreError> {
        let key = (project, name.clone());
        if let Some(known) = self.inner.senders.get(&self.inner.clock, &key) {
            return Ok(known);
        }
        let read_at = self.inner.clock.tick();
        let sender = match table::by_name(&self.inner.store, project, name).await? {
            None => None,
            Some(row) => Some(SenderDomain {
                id: DomainId::from_uuid(row.id),
                name: name.clone(),
                verified: state_of(&row)? == DomainState::Verified,
                has_key: self.keys_of(row.id).await?.iter().any(keys::proves),
            }),
        };
        self.inner.senders.put(read_at, key, sender.clone());
        Ok(sender)
    }

    /// A secret of this installation for one purpose.
    #[must_use]
    pub fn secret(&self, purpose: &str) -> crate::model::Secret<[u8; 32]> {
        self.inner.sealer.derive(purpose)
    }

    /// What signs for a domain, RSA first. At most a minute old.
    ///
    /// # Errors
    /// [`SignerError`].
    pub async fn signers(&self, id: DomainId) -> Result<Arc<[Signer]>, SignerError> {
        if let Some(signers) = self.inner.signers.get(&self.inner.clock, &id) {
            return Ok(signers);
        }
        let read_at = self.inner.clock.tick();
        let name = table::name(&self.inner.store, id).await?.ok_or(SignerError::NoKey)?;
        let keys = self.keys_of(id.uuid()).await?;
        let signers: Arc<[Signer]> = keys::signers(&self.inner.sealer, &parse_name(&name)?, &keys)?.into();
        self.inner.signers.put(read_at, id, Arc::clone(&signers));
        Ok(signers)
    }

    async fn read(&self, project: ProjectId, id: DomainId) -> Result<(DomainRow, Vec<DkimKeyRow>), DomainError> {
        let row = table::get(&self.inner.store, project, id).await?.ok_or(DomainError::NotFound)?;
        let keys = self.keys_of(row.id).await?;
        Ok((row, keys))
    }

    async fn keys_of(&self, domain: Uuid) -> Result<Vec<DkimKeyRow>, StoreError> {
        Ok(table::keys(&self.inner.store, &[domain]).await?.remove(&domain).unwrap_or_default())
    }

    fn records(&self, row: &DomainRow, keys: &[DkimKeyRow], uses: Uses) -> Result<Vec<DnsRecord>, StoreError> {
        let (name, delegation) = (name_of(row)?, delegation_of(row)?);
        let keys: Vec<_> = keys.iter().map(published).collect();
        let plan = Plan { domain: &name, keys: &keys, delegation: delegation.as_ref(), uses, mta_sts: mode_of(&row.mta_sts)? };
        Ok(expected::expected(&plan, &self.inner.settings))
    }

    /// The records to publish now; those that were the same at the last check carry what it found.
    fn view(&self, row: &DomainRow, keys: &[DkimKeyRow], uses: Uses) -> Result<DomainView, StoreError> {
        let found: Vec<DnsRecord> = serde_json::from_value(row.findings.clone()).map_err(|_| corrupt("findings"))?;
        let mut records = self.records(row, keys, uses)?;
        for record in &mut records {
            if let Some(old) = found.iter().find(|old| old.kind == record.kind && old.name == record.name && old.value == record.value) {
                record.state = old.state;
                record.found.clone_from(&old.found);
                record.merge(&self.inner.settings.senders);
            }
        }
        Ok(DomainView {
            id: DomainId::from_uuid(row.id),
            name: name_of(row)?,
            state: state_of(row)?,
            created_at: row.created_at,
            verified_at: row.verified_at,
            checked_at: row.checked_at,
            mta_sts: mode_of(&row.mta_sts)?,
            dkim_zone: row.dkim_zone.as_deref().map(parse_name).transpose()?,
            records,
        })
    }

    fn forget(&self) {
        self.inner.senders.clear();
        self.inner.signers.clear();
        self.inner.paths.clear();
        self.inner.policies.clear();
    }
}

fn published(key: &DkimKeyRow) -> PublishedKey<'_> {
    PublishedKey { selector: &key.selector, record: &key.public_record }
}

fn delegation_of(row: &DomainRow) -> Result<Option<Delegation>, StoreError> {
    let Some(zone) = &row.dkim_zone else { return Ok(None) };
    Delegation::new(row.id, &name_of(row)?, &parse_name(zone)?).map(Some).ok_or_else(|| corrupt("dkim_zone"))
}

fn mode_of(text: &str) -> Result<StsMode, StoreError> {
    text.parse().map_err(|_| corrupt("mta_sts"))
}

fn name_of(row: &DomainRow) -> Result<DomainName, StoreError> {
    parse_name(&row.name)
}

fn parse_name(text: &str) -> Result<DomainName, StoreError> {
    DomainName::parse(text).map_err(|_| corrupt("name"))
}

fn state_of(row: &DomainRow) -> Result<DomainState, StoreError> {
    DomainState::from_stored(&row.state).ok_or_else(|| corrupt("state"))
}

fn corrupt(column: &str) -> StoreError {
    StoreError::Corrupt(format!("domain.{column}"))
}
