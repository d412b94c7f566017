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
mod keys;
pub mod portable;
pub mod render;
mod report_box;
mod rotation;
pub mod seal;
mod spf;

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
use crate::events::EventKind;
use crate::mail::dkim::{DkimError, Signer};
use crate::mail::verp::VerpKey;
use crate::model::page::{Page, PageRequest};
use crate::model::{DomainId, DomainName, ProjectId};
use crate::net::dns::Resolver;
use crate::recent::Recent;
use crate::store::domain::{self as table, Checked, DkimKeyRow, DomainRow, Told};
use crate::store::{Store, StoreError};
use check::Proof;
use state::Standing;

pub use bounce::BouncePath;
pub use keys::{DkimKeyView, KeyError, KeyState};
pub use record::{DnsRecord, RecordPurpose, RecordState, RecordType, return_path};
pub use report_box::{DMARC_REPORTS, ReportBox, TLS_REPORTS, report_address};
pub use seal::{SealError, Sealer};
pub use spf::Senders;
pub use state::DomainState;

/// How long what [`Domains::sender`] said is believed.
const SENDER_FRESH: Duration = Duration::from_secs(5);
/// How long unsealed keys are kept.
const SIGNERS_FRESH: Duration = Duration::from_mins(1);
/// Octets of a domain at most, so that `<selector>._domainkey.<domain>` is a name (RFC 1035 2.3.4).
const MAX_NAME_OCTETS: usize = 220;
/// How often a domain that is not verified, or doubted, is looked up by itself.
const RECHECK_UNVERIFIED: Duration = Duration::from_mins(10);
/// How often a verified domain is.
const RECHECK_VERIFIED: Duration = Duration::from_hours(12);

/// What the records of all domains have in common.
#[derive(Clone, Debug)]
pub struct DomainSettings {
    /// From where our mail comes, for SPF and the return path's MX.
    pub senders: Senders,
    /// How old DKIM keys may get before the next ones are made; none: they are made on request only.
    pub rotate_after: Option<Duration>,
}

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
    /// The records to publish and what the last check found.
    pub records: Vec<DnsRecord>,
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

/// Why a domain could not be added, found or checked.
#[derive(Debug, thiserror::Error)]
pub enum DomainError {
    /// The project has it already.
    #[error("the domain was added before")]
    Exists,
    /// Another project proves it too.
    #[error("the domain belongs to another project, whose DKIM record still stands in DNS")]
    TakenElsewhere,
    /// The project has no such domain.
    #[error("no such domain")]
    NotFound,
    /// The name leaves no room for the records below it.
    #[error("the domain is longer than {MAX_NAME_OCTETS} octets, too long for the records below it")]
    TooLong,
    /// The key brought along is none that can sign.
    #[error("the key cannot be used: {0}")]
    BadKey(DkimError),
    /// The domain has, or had, a key under that selector.
    #[error("the selector was used before; a key comes under one that receivers have not seen with another key")]
    SelectorInUse,
    /// No keys could be made.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why there is nothing to sign with.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    /// The domain is gone or has no active key.
    #[error("the domain has no DKIM key")]
    NoKey,
    /// The key does not open.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The key is not one.
    #[error("the DKIM key is damaged: {0}")]
    Dkim(#[from] DkimError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
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
    verp: VerpKey,
}

impl Domains {
    /// Makes them of their parts.
    #[must_use]
    pub fn new(store: Store, clock: Clock, sealer: Sealer, resolver: Resolver, settings: DomainSettings) -> Self {
        let (senders, signers, paths) = (Recent::new(SENDER_FRESH), Recent::new(SIGNERS_FRESH), Recent::new(SIGNERS_FRESH));
        let verp = VerpKey::new(&sealer.derive("verp"));
        Self { inner: Arc::new(Inner { store, clock, sealer, resolver, settings, senders, signers, paths, verp }) }
    }

    /// Adds a domain with new keys. Another project may have it too; only who proves it owns it.
    ///
    /// # Errors
    /// [`DomainError::Exists`], [`DomainError::TooLong`], [`DomainError::Keys`], [`DomainError::Store`].
    pub async fn add(&self, project: ProjectId, name: DomainName) -> Result<DomainView, DomainError> {
        if name.as_str().len() > MAX_NAME_OCTETS {
            return Err(DomainError::TooLong);
        }
        if table::by_name(&self.inner.store, project, &name).await?.is_some() {
            return Err(DomainError::Exists);
        }
        let id = self.inner.clock.uuid();
        let keys = keys::make(&self.inner.sealer, &self.inner.clock, id, KeyState::Active).await?;
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
        let views = rows.iter().map(|row| self.view(row, &keys.remove(&row.id).unwrap_or_default())).collect::<Result<Vec<_>, _>>()?;
        Ok(Page::cut(views, page.limit, |view| view.id.uuid()))
    }

    /// One domain of a project.
    ///
    /// # Errors
    /// [`DomainError::NotFound`], [`DomainError::Store`].
    pub async fn get(&self, project: ProjectId, id: DomainId) -> Result<DomainView, DomainError> {
        let (row, keys) = self.read(project, id).await?;
        Ok(self.view(&row, &keys)?)
    }

    /// One domain of a project by its name.
    ///
    /// # Errors
    /// [`DomainError::Store`].
    pub async fn find(&self, project: ProjectId, name: &DomainName) -> Result<Option<DomainView>, DomainError> {
        match table::by_name(&self.inner.store, project, name).await? {
            Some(row) => Ok(Some(self.view(&row, &self.keys_of(row.id).await?)?)),
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

    /// Looks the records up and writes down what was found. If another project owns the name, its key is looked up too: the
    /// domain changes hands only when that one is gone from DNS.
    ///
    /// # Errors
    /// [`DomainError::TakenElsewhere`] if both keys stand; [`DomainError::NotFound`], [`DomainError::Store`].
    pub async fn check(&self, project: ProjectId, id: DomainId) -> Result<DomainView, DomainError> {
        let (row, keys) = self.read(project, id).await?;
        let mut records = self.records(&name_of(&row)?, &keys);
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
        let mut records = self.records(&name_of(&row)?, &keys);
        check::check(&self.inner.resolver, &self.inner.settings.senders, &mut records).await;
        for record in &mut records {
            record.merge(&self.inner.settings.senders);
        }
        Ok(DomainView { records, ..self.view(&row, &keys)? })
    }

    /// The keys of a domain, without their secrets, in the order they were made.
    ///
    /// # Errors
    /// [`DomainError::NotFound`], [`DomainError::Store`].
    pub async fn dkim_keys(&self, project: ProjectId, id: DomainId) -> Result<Vec<DkimKeyView>, DomainError> {
        Ok(keys::views(&self.read(project, id).await?.1))
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

    /// Draws the consequences of a check whose findings stand in `records`.
    async fn conclude(&self, project: ProjectId, row: &DomainRow, keys: &[DkimKeyRow], records: Vec<DnsRecord>) -> Result<(), DomainError> {
        let state_of_key = |key: &DkimKeyRow| -> RecordState {
            records
                .iter()
                .find(|record| record.purpose == RecordPurpose::Dkim && record.value == key.public_record)
                .map(|record| record.state)
                .unwrap_or_default()
        };
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
        let Some(owner) = table::verified_elsewhere(&self.inner.store, project, name).await? else { return Ok(Owner::None) };
        let keys = self.keys_of(owner.uuid()).await?;
        let proving: Vec<DkimKeyRow> = keys.into_iter().filter(keys::proves).collect();
        for record in self.records(&parse_name(name)?, &proving).iter().filter(|record| record.purpose == RecordPurpose::Dkim) {
            if check::proof(&self.inner.resolver, record).await != Proof::Gone {
                return Ok(Owner::Stands);
            }
        }
        Ok(Owner::Lost(owner))
    }

    async fn read(&self, project: ProjectId, id: DomainId) -> Result<(DomainRow, Vec<DkimKeyRow>), DomainError> {
        let row = table::get(&self.inner.store, project, id).await?.ok_or(DomainError::NotFound)?;
        let keys = self.keys_of(row.id).await?;
        Ok((row, keys))
    }

    async fn keys_of(&self, domain: Uuid) -> Result<Vec<DkimKeyRow>, StoreError> {
        Ok(table::keys(&self.inner.store, &[domain]).await?.remove(&domain).unwrap_or_default())
    }

    fn records(&self, name: &DomainName, keys: &[DkimKeyRow]) -> Vec<DnsRecord> {
        let published: Vec<_> = keys.iter().map(|key| record::PublishedKey { selector: &key.selector, record: &key.public_record }).collect();
        record::expected(name, &published, &self.inner.settings.senders)
    }

    /// The records to publish now; those that were the same at the last check carry what it found.
    fn view(&self, row: &DomainRow, keys: &[DkimKeyRow]) -> Result<DomainView, StoreError> {
        let name = name_of(row)?;
        let found: Vec<DnsRecord> = serde_json::from_value(row.findings.clone()).map_err(|_| corrupt("findings"))?;
        let mut records = self.records(&name, keys);
        for record in &mut records {
            if let Some(old) = found.iter().find(|old| old.kind == record.kind && old.name == record.name && old.value == record.value) {
                record.state = old.state;
                record.found.clone_from(&old.found);
                record.merge(&self.inner.settings.senders);
            }
        }
        Ok(DomainView {
            id: DomainId::from_uuid(row.id),
            name,
            state: state_of(row)?,
            created_at: row.created_at,
            verified_at: row.verified_at,
            checked_at: row.checked_at,
            records,
        })
    }

    fn forget(&self) {
        self.inner.senders.clear();
        self.inner.signers.clear();
        self.inner.paths.clear();
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
