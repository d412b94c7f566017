//! API keys and SMTP users, and what they may do.
//!
//! Answers: who is calling, for which project, and what may they do (rule C1, fault A26). A key is shown once; the database
//! holds its SHA-256 and a public part to find it by.
//! Does not: read HTTP, count requests, or decide whether a domain is verified.

pub mod smtp_users;

mod audit;
mod cache;
mod password;
pub mod portable;
mod token;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::clock::Clock;
use crate::model::page::{Page, PageRequest};
use crate::model::{Actor, DomainName, KeyId, ProjectId, Secret};
use crate::store::{Store, StoreError, api_key, project};
use crate::supervisor::Supervisor;
pub use audit::{Audit, AuditEntry};
use cache::{Cache, Known};

/// How often the times of last use are written.
const USE_WRITTEN_EVERY: Duration = Duration::from_mins(1);
/// The project that commands use.
const DEFAULT_PROJECT: &str = "default";
const MAX_NAME_CHARACTERS: usize = 100;

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = KeyScope)]
pub enum Scope {
    /// Everything, keys and domains included.
    Full,
    /// Send messages, and nothing else: a key that leaks from an application shows nobody's mail.
    Send,
    /// Read.
    Read,
}

impl Scope {
    /// True if messages may be sent.
    #[must_use]
    pub const fn may_send(self) -> bool {
        matches!(self, Self::Full | Self::Send)
    }

    /// True if messages, events and settings may be read.
    #[must_use]
    pub const fn may_read(self) -> bool {
        matches!(self, Self::Full | Self::Read)
    }

    /// True if keys, domains and settings may be changed.
    #[must_use]
    pub const fn may_manage(self) -> bool {
        matches!(self, Self::Full)
    }

    /// As the database and the API write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Send => "send",
            Self::Read => "read",
        }
    }

    fn from_stored(text: &str) -> Option<Self> {
        [Self::Full, Self::Send, Self::Read].into_iter().find(|scope| scope.as_str() == text)
    }
}

/// Who is calling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The project the key belongs to.
    pub project: ProjectId,
    /// The key.
    pub key: KeyId,
    /// Its name.
    pub name: Arc<str>,
    /// What it may do.
    pub scope: Scope,
    /// The domains it may send from; none: all of the project.
    pub domains: Option<Arc<[DomainName]>>,
}

impl Caller {
    /// As the audit trail names them.
    #[must_use]
    pub fn actor(&self) -> Actor {
        Actor::key(self.key, &self.name)
    }

    /// True if the key is not kept from sending from `domain`.
    #[must_use]
    pub fn may_send_from(&self, domain: &DomainName) -> bool {
        self.scope.may_send() && self.domains.as_ref().is_none_or(|domains| domains.contains(domain))
    }
}

/// What a new key shall be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey {
    /// Shown in lists; 1 to 100 characters.
    pub name: String,
    /// What it may do.
    pub scope: Scope,
    /// The domains it may send from; none: all of the project.
    pub domains: Option<Vec<DomainName>>,
    /// When it ends; none: never.
    pub expires_at: Option<OffsetDateTime>,
    /// True: the key reads `pp_test_…`, else `pp_live_…`.
    pub test: bool,
}

/// A key as lists show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct KeyRecord {
    /// Its id.
    #[schema(value_type = String, examples("key_01jd5q0v0h7d6r2n8k4m3x9wbz"))]
    pub id: KeyId,
    /// Its name.
    pub name: String,
    /// What it may do.
    pub scope: Scope,
    /// The domains it may send from; null: all of the project.
    #[schema(value_type = Option<Vec<String>>)]
    pub domains: Option<Vec<DomainName>>,
    /// The public first part of the key, to recognise it by.
    #[schema(examples("pp_live_4fJk29sLqP"))]
    pub prefix: String,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: OffsetDateTime,
    /// When it ends; null: never.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<OffsetDateTime>,
    /// When it was last used, to the minute; null: never.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_used_at: Option<OffsetDateTime>,
    /// When it was revoked; null: it was not.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub revoked_at: Option<OffsetDateTime>,
}

/// A key just made, and the only time its text is seen.
#[derive(Clone, Debug)]
pub struct CreatedKey {
    /// As lists show it.
    pub record: KeyRecord,
    /// The key.
    pub secret: Secret<String>,
}

/// Why nobody is let in, or no key made.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// No such key; also any text that is no key.
    #[error("the API key is not known")]
    Unknown,
    /// The key was revoked.
    #[error("the API key was revoked")]
    Revoked,
    /// The key has ended.
    #[error("the API key has expired")]
    Expired,
    /// The name of a new key is empty or too long.
    #[error("a key's name has 1 to {MAX_NAME_CHARACTERS} characters, none of them a control character")]
    Name,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The door-keeper. Clones share what it remembers.
#[derive(Clone, Debug)]
pub struct Access {
    store: Store,
    clock: Clock,
    cache: Arc<Cache>,
}

impl Access {
    /// Makes one.
    #[must_use]
    pub fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock, cache: Arc::default() }
    }

    /// Says who holds the key `token`. A revoked key is refused here at once, on other nodes within five seconds.
    ///
    /// # Errors
    /// [`AccessError::Unknown`], [`AccessError::Revoked`], [`AccessError::Expired`]: to a stranger all three are 401.
    pub async fn authenticate(&self, token: &str) -> Result<Caller, AccessError> {
        let lookup = token::lookup_of(token).ok_or(AccessError::Unknown)?;
        let known = match self.cache.get(&self.clock, lookup) {
            Some(known) => known,
            None => self.read(lookup).await?.ok_or(AccessError::Unknown)?,
        };
        // The hash first: only who holds the key learns that it was revoked.
        if !token::same(&known.hash, &token::hash(token)) {
            return Err(AccessError::Unknown);
        }
        if known.revoked {
            return Err(AccessError::Revoked);
        }
        let now = self.clock.now();
        if known.expires_at.is_some_and(|end| end <= now) {
            return Err(AccessError::Expired);
        }
        self.cache.mark_used(known.caller.key.uuid(), now);
        Ok(known.caller.clone())
    }

    async fn read(&self, lookup: &str) -> Result<Option<Arc<Known>>, StoreError> {
        let read_at = self.clock.tick();
        let Some(row) = api_key::by_lookup(&self.store, lookup).await? else { return Ok(None) };
        let known = Arc::new(known(&row)?);
        self.cache.put(read_at, lookup, Arc::clone(&known));
        Ok(Some(known))
    }

    /// Makes a key.
    ///
    /// # Errors
    /// [`AccessError::Name`], [`AccessError::Store`].
    pub async fn create_key(&self, project: ProjectId, new: NewKey) -> Result<CreatedKey, AccessError> {
        if !(1..=MAX_NAME_CHARACTERS).contains(&new.name.chars().count()) || new.name.chars().any(char::is_control) {
            return Err(AccessError::Name);
        }
        let fresh = token::generate(&self.clock, new.test);
        let row = api_key::KeyRow {
            id: self.clock.uuid(),
            project_id: project.uuid(),
            name: new.name,
            scope: new.scope.as_str().to_owned(),
            domains: new.domains.map(|domains| domains.iter().map(ToString::to_string).collect()),
            test: new.test,
            lookup: fresh.lookup,
            secret_hash: fresh.hash.to_vec(),
            created_at: to_microseconds(self.clock.now()),
            expires_at: new.expires_at.map(to_microseconds),
            last_used_at: None,
            revoked_at: None,
        };
        api_key::insert(&self.store, &row).await?;
        Ok(CreatedKey { record: record(row)?, secret: fresh.key })
    }

    /// The keys of a project, oldest first, revoked ones too.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn keys(&self, project: ProjectId, page: PageRequest) -> Result<Page<KeyRecord>, StoreError> {
        let rows = api_key::list(&self.store, project, page).await?;
        let records = rows.into_iter().map(record).collect::<Result<Vec<_>, _>>()?;
        Ok(Page::cut(records, page.limit, |record| record.id.uuid()))
    }

    /// Revokes a key; false if the project has no such key. Revoking again changes nothing and is true.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn revoke_key(&self, project: ProjectId, id: KeyId) -> Result<bool, StoreError> {
        let found = api_key::revoke(&self.store, project, id, self.clock.now()).await?;
        self.cache.forget(id.uuid());
        Ok(found)
    }

    /// The project that commands use, made when missing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn default_project(&self) -> Result<ProjectId, StoreError> {
        project::find_or_make(&self.store, DEFAULT_PROJECT, ProjectId::from_uuid(self.clock.uuid())).await
    }

    /// The project of this name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn project_named(&self, name: &str) -> Result<Option<ProjectId>, StoreError> {
        project::find(&self.store, name).await
    }

    /// Writes when keys were last used, once a minute until the drain and once more then.
    pub fn keep_last_used(&self, supervisor: &Supervisor) {
        let access = self.clone();
        let tasks = supervisor.clone();
        supervisor.spawn("access.last_used", async move {
            let mut working = true;
            while working {
                tokio::select! {
                    () = access.clock.sleep(USE_WRITTEN_EVERY) => {}
                    () = tasks.draining() => working = false,
                }
                if let Err(error) = access.write_last_used().await {
                    tracing::warn!(%error, "the times of last use of API keys were not written");
                }
            }
        });
    }

    /// Writes when the keys seen since the last call were used. What cannot be written is dropped: the next use notes it again.
    async fn write_last_used(&self) -> Result<(), StoreError> {
        let (ids, times): (Vec<_>, Vec<_>) = self.cache.take_used().into_iter().unzip();
        if ids.is_empty() { Ok(()) } else { api_key::record_use(&self.store, &ids, &times).await }
    }
}

/// The database keeps microseconds: what was just made reads as it will be read back.
fn to_microseconds(at: OffsetDateTime) -> OffsetDateTime {
    at.replace_microsecond(at.microsecond()).unwrap_or(at)
}

fn known(row: &api_key::KeyRow) -> Result<Known, StoreError> {
    let hash = row.secret_hash.as_slice().try_into().map_err(|_| corrupt("secret_hash"))?;
    let domains = domains(row.domains.as_deref())?;
    let caller = Caller {
        project: ProjectId::from_uuid(row.project_id),
        key: KeyId::from_uuid(row.id),
        name: row.name.as_str().into(),
        scope: Scope::from_stored(&row.scope).ok_or_else(|| corrupt("scope"))?,
        domains: domains.map(Arc::from),
    };
    Ok(Known { hash, caller, expires_at: row.expires_at, revoked: row.revoked_at.is_some() })
}

fn record(row: api_key::KeyRow) -> Result<KeyRecord, StoreError> {
    Ok(KeyRecord {
        id: KeyId::from_uuid(row.id),
        scope: Scope::from_stored(&row.scope).ok_or_else(|| corrupt("scope"))?,
        domains: domains(row.domains.as_deref())?,
        prefix: token::display_prefix(row.test, &row.lookup),
        name: row.name,
        created_at: row.created_at,
        expires_at: row.expires_at,
        last_used_at: row.last_used_at,
        revoked_at: row.revoked_at,
    })
}

fn domains(stored: Option<&[String]>) -> Result<Option<Vec<DomainName>>, StoreError> {
    stored.map(|names| names.iter().map(|name| DomainName::parse(name).map_err(|_| corrupt("domains"))).collect()).transpose()
}

fn corrupt(column: &str) -> StoreError {
    StoreError::Corrupt(format!("api_key.{column}"))
}
