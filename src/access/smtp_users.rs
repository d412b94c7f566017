//! SMTP users: who may submit mail on ports 587 and 465, and as whom.
//!
//! Answers: make, list and remove them, give them another password, and let them in. An API key that may send is let in as well, with any user name, so that
//! every program with settings for SMTP works. A user sends as his own address and as what `send_as` adds; a key as its domains allow.
//! Does not: count failures or lock anybody out (see `smtpd::attempts`), or decide whether a domain is verified.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::{constant_time, hmac};
use parking_lot::Mutex;
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::password::{HashError, Hasher, is_well_formed};
use super::portable::check_senders;
use super::{Access, AccessError, Caller, Scope, to_microseconds, token};
use crate::clock::Clock;
use crate::model::page::{Page, PageRequest};
use crate::model::{EmailAddress, KeyId, ProjectId, Secret, SenderPattern, SmtpUserId};
use crate::store::smtp_user::{self, SmtpUserRow, USERNAME_TAKEN};
use crate::store::{Store, StoreError};
use crate::supervisor::Supervisor;

/// How often the times of last use are written.
const USE_WRITTEN_EVERY: Duration = Duration::from_mins(1);
/// Patterns of one user.
pub const MAX_PATTERNS: usize = 50;
const MAX_PLAIN_CHARACTERS: usize = 64;
/// Passwords that were right a moment ago, and need not be hashed again; when there are more all are forgotten.
const MAX_KNOWN: usize = 4_096;
/// The hash of no password: who is not known is let wait as long as who is.
const NOBODYS_HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// A user as lists show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = SmtpUser)]
pub struct SmtpUserRecord {
    /// Its id.
    #[schema(value_type = String, examples("smu_01jd5q0v0h7d6r2n8k4m3x9wbz"))]
    pub id: SmtpUserId,
    /// The name to sign in with: an address, or a plain name.
    #[schema(examples("hello@example.com"))]
    pub username: String,
    /// Senders allowed beside the user's own address: addresses, `*@example.com`, `*@*.example.com`, or `*` for every domain of the project.
    #[schema(value_type = Vec<String>)]
    pub send_as: Vec<SenderPattern>,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: OffsetDateTime,
    /// When its password was made.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub password_changed_at: OffsetDateTime,
    /// When it last signed in, to the minute; null: never.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_used_at: Option<OffsetDateTime>,
}

/// A user with a fresh password, and the only time it is seen.
#[derive(Clone, Debug)]
pub struct CreatedSmtpUser {
    /// As lists show it.
    pub record: SmtpUserRecord,
    /// The password.
    pub password: Secret<String>,
}

/// Why a user is not made.
#[derive(Debug, thiserror::Error)]
pub enum SmtpUserError {
    /// The name is neither an address nor a plain name.
    #[error("expected an address, or a name of 1 to {MAX_PLAIN_CHARACTERS} characters from a-z 0-9 . _ -")]
    Username,
    /// A plain name says nothing about senders.
    #[error("a user whose name is no address needs at least one sender, like *@example.com")]
    NoSender,
    /// Over [`MAX_PATTERNS`].
    #[error("at most {MAX_PATTERNS} senders are allowed; * or *@example.com says more in one")]
    TooManySenders,
    /// The name is taken, in whichever project.
    #[error("there is an SMTP user of this name already")]
    Exists,
    /// The password.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// The database.
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for SmtpUserError {
    fn from(error: StoreError) -> Self {
        if error.is_conflict_on(USERNAME_TAKEN) { Self::Exists } else { Self::Store(error) }
    }
}

/// Why nobody is let in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// No such user, another password, no such key.
    #[error("user name or password is wrong")]
    Wrong,
    /// The key may not send.
    #[error("this API key may not send")]
    MayNotSend,
    /// It cannot be found out now.
    #[error("signing in does not work now: {0}")]
    Unavailable(String),
}

/// Somebody who signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedIn {
    /// For which project, by which key or user.
    pub caller: Caller,
    /// The senders allowed; none: all that the caller's domains allow.
    pub senders: Option<Arc<[SenderPattern]>>,
}

impl SignedIn {
    /// True if they may send as `address`, as far as that does not depend on the state of its domain.
    #[must_use]
    pub fn may_send_as(&self, address: &EmailAddress) -> bool {
        let allowed = self.senders.as_ref().is_none_or(|senders| senders.iter().any(|pattern| pattern.allows(address)));
        allowed && self.caller.may_send_from(address.domain())
    }
}

/// The door-keeper of the submission ports. Clones share what it remembers.
#[derive(Clone, Debug)]
pub struct SmtpUsers {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) store: Store,
    pub(super) clock: Clock,
    access: Access,
    pub(super) hasher: Hasher,
    memory: Memory,
}

#[derive(Debug)]
struct Memory {
    /// Of this process alone, and in no file: what is remembered of a password is of no use elsewhere.
    key: hmac::Key,
    /// The hash a password was right for, and its code under that key.
    known: Mutex<HashMap<Uuid, (String, hmac::Tag)>>,
    used: Mutex<HashMap<Uuid, OffsetDateTime>>,
}

impl SmtpUsers {
    /// Lets in users of the database and keys that `access` knows.
    #[must_use]
    pub fn new(store: Store, clock: Clock, access: Access) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &clock.random::<32>());
        let memory = Memory { key, known: Mutex::default(), used: Mutex::default() };
        Self { inner: Arc::new(Inner { store, hasher: Hasher::new(clock.clone()), clock, access, memory }) }
    }

    /// Makes a user.
    ///
    /// # Errors
    /// [`SmtpUserError`]; then nothing was kept.
    pub async fn add(&self, project: ProjectId, username: &str, send_as: Vec<SenderPattern>) -> Result<CreatedSmtpUser, SmtpUserError> {
        let username = canonical(username).ok_or(SmtpUserError::Username)?;
        check_senders(&username, &send_as)?;
        let password = self.inner.hasher.generate();
        let now = to_microseconds(self.inner.clock.now());
        let row = SmtpUserRow {
            id: self.inner.clock.uuid(),
            project_id: project.uuid(),
            username,
            send_as: send_as.iter().map(ToString::to_string).collect(),
            password_hash: self.inner.hasher.hash(&password).await?,
            created_at: now,
            changed_at: now,
            last_used_at: None,
        };
        smtp_user::insert(&self.inner.store, &row).await?;
        Ok(CreatedSmtpUser { record: record(row)?, password })
    }

    /// The users of a project, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list(&self, project: ProjectId, page: PageRequest) -> Result<Page<SmtpUserRecord>, StoreError> {
        let rows = smtp_user::list(&self.inner.store, project, page).await?;
        let records = rows.into_iter().map(record).collect::<Result<Vec<_>, _>>()?;
        Ok(Page::cut(records, page.limit, |record| record.id.uuid()))
    }

    /// The user of a project with this name, in any case.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn find(&self, project: ProjectId, username: &str) -> Result<Option<SmtpUserRecord>, StoreError> {
        let Some(username) = canonical(username) else { return Ok(None) };
        let found = smtp_user::by_username(&self.inner.store, &username).await?;
        found.filter(|row| row.project_id == project.uuid()).map(record).transpose()
    }

    /// Gives a user another password; the old one stops working at once for new sessions. None if the project has no such user.
    ///
    /// # Errors
    /// [`SmtpUserError`].
    pub async fn change_password(&self, project: ProjectId, id: SmtpUserId) -> Result<Option<CreatedSmtpUser>, SmtpUserError> {
        let password = self.inner.hasher.generate();
        let hash = self.inner.hasher.hash(&password).await?;
        let now = to_microseconds(self.inner.clock.now());
        let changed = smtp_user::change_password(&self.inner.store, project, id.uuid(), &hash, now).await?;
        Ok(changed.map(record).transpose()?.map(|record| CreatedSmtpUser { record, password }))
    }

    /// Removes a user; false if the project has no such user.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn remove(&self, project: ProjectId, id: SmtpUserId) -> Result<bool, StoreError> {
        self.inner.memory.known.lock().remove(&id.uuid());
        smtp_user::delete(&self.inner.store, project, id.uuid()).await
    }

    /// The account that these credentials would open, in its one spelling; none if they have the form of an API key, which opens no user's.
    #[must_use]
    pub fn account(&self, username: &str, password: &Secret<String>) -> Option<String> {
        if token::lookup_of(password.expose()).is_some() { None } else { canonical(username) }
    }

    /// Lets in a user by his password, or anybody by an API key that may send. A user who does not exist takes as long as a wrong password.
    ///
    /// # Errors
    /// [`SignInError`].
    pub async fn sign_in(&self, username: &str, password: &Secret<String>) -> Result<SignedIn, SignInError> {
        if token::lookup_of(password.expose()).is_some() {
            return self.key(password.expose()).await;
        }
        if !is_well_formed(password.expose()) {
            return Err(SignInError::Wrong);
        }
        let unavailable = |error: &dyn std::fmt::Display| SignInError::Unavailable(error.to_string());
        let row = match canonical(username) {
            Some(name) => smtp_user::by_username(&self.inner.store, &name).await.map_err(|error| unavailable(&error))?,
            None => None,
        };
        let hash = row.as_ref().map_or(NOBODYS_HASH, |row| &row.password_hash);
        let right = row.as_ref().is_some_and(|row| self.inner.memory.knows(row.id, hash, password))
            || self.inner.hasher.verify(password, hash).await.map_err(|error| unavailable(&error))?;
        let row = row.filter(|_| right).ok_or(SignInError::Wrong)?;
        self.inner.memory.remember(row.id, row.password_hash.clone(), password);
        self.inner.memory.used.lock().insert(row.id, self.inner.clock.now());
        signed_in(&row).map_err(|error| unavailable(&error))
    }

    async fn key(&self, key: &str) -> Result<SignedIn, SignInError> {
        match self.inner.access.authenticate(key).await {
            Ok(caller) if caller.scope.may_send() => Ok(SignedIn { caller, senders: None }),
            Ok(_) => Err(SignInError::MayNotSend),
            Err(AccessError::Store(error)) => Err(SignInError::Unavailable(error.to_string())),
            Err(_) => Err(SignInError::Wrong),
        }
    }

    /// Writes when users last signed in, once a minute until the drain and once more then.
    pub fn keep_last_used(&self, supervisor: &Supervisor) {
        let (users, tasks) = (self.clone(), supervisor.clone());
        supervisor.spawn("smtp_users.last_used", async move {
            let mut working = true;
            while working {
                tokio::select! {
                    () = users.inner.clock.sleep(USE_WRITTEN_EVERY) => {}
                    () = tasks.draining() => working = false,
                }
                if let Err(error) = users.write_last_used().await {
                    tracing::warn!(%error, "the times of last use of SMTP users were not written");
                }
            }
        });
    }

    async fn write_last_used(&self) -> Result<(), StoreError> {
        let mut used: Vec<_> = std::mem::take(&mut *self.inner.memory.used.lock()).into_iter().collect();
        used.sort_unstable();
        let (ids, times): (Vec<_>, Vec<_>) = used.into_iter().unzip();
        if ids.is_empty() { Ok(()) } else { smtp_user::record_use(&self.inner.store, &ids, &times).await }
    }
}

impl Memory {
    fn knows(&self, user: Uuid, hash: &str, password: &Secret<String>) -> bool {
        let code = hmac::sign(&self.key, password.expose().as_bytes());
        let known = self.known.lock();
        known.get(&user).is_some_and(|(of, tag)| of == hash && constant_time::verify_slices_are_equal(tag.as_ref(), code.as_ref()).is_ok())
    }

    fn remember(&self, user: Uuid, hash: String, password: &Secret<String>) {
        let code = hmac::sign(&self.key, password.expose().as_bytes());
        let mut known = self.known.lock();
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(user, (hash, code));
    }
}

/// The one spelling of a user name.
pub(super) fn canonical(text: &str) -> Option<String> {
    if text.contains('@') {
        return EmailAddress::parse(text).ok().map(|address| address.to_string().to_lowercase());
    }
    let lower = text.to_ascii_lowercase();
    let fits =
        (1..=MAX_PLAIN_CHARACTERS).contains(&lower.len()) && lower.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"._-".contains(&octet));
    fits.then_some(lower)
}

fn signed_in(row: &SmtpUserRow) -> Result<SignedIn, StoreError> {
    let own = EmailAddress::parse(&row.username).ok().map(SenderPattern::Address);
    let senders: Vec<_> = own.into_iter().chain(patterns(&row.send_as)?).collect();
    // What asks for a key's id is told the user's: both are what acts for the project.
    let caller = Caller {
        project: ProjectId::from_uuid(row.project_id),
        key: KeyId::from_uuid(row.id),
        name: row.username.as_str().into(),
        scope: Scope::Send,
        domains: None,
    };
    Ok(SignedIn { caller, senders: Some(senders.into()) })
}

pub(super) fn record(row: SmtpUserRow) -> Result<SmtpUserRecord, StoreError> {
    Ok(SmtpUserRecord {
        id: SmtpUserId::from_uuid(row.id),
        send_as: patterns(&row.send_as)?,
        username: row.username,
        created_at: row.created_at,
        password_changed_at: row.changed_at,
        last_used_at: row.last_used_at,
    })
}

fn patterns(stored: &[String]) -> Result<Vec<SenderPattern>, StoreError> {
    stored.iter().map(|text| text.parse().map_err(|_| StoreError::Corrupt("smtp_user.send_as".to_owned()))).collect()
}

#[cfg(test)]
#[path = "smtp_users_tests.rs"]
mod tests;
