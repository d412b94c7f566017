//! API keys, SMTP users and projects as they are carried to another database (`portable`).
//!
//! Answers: what of them a person can read and what proves them, which are hashes here too; and rows made ready outside the transaction that
//! writes them. What comes without its proof gets a new one, which is shown once.
//! Does not: carry keys that were revoked.

use std::sync::Arc;

use time::OffsetDateTime;

use super::smtp_users::{MAX_PATTERNS, SmtpUserError, SmtpUserRecord, SmtpUsers};
use super::{Access, AccessError, KeyRecord, MAX_NAME_CHARACTERS, NewKey, password, record, to_microseconds, token};
use crate::model::page::{MAX_LIMIT, PageRequest};
use crate::model::{ProjectId, Secret, SenderPattern, SmtpUserId};
use crate::store::api_key::{self, KeyRow};
use crate::store::project::{self, ProjectRow};
use crate::store::smtp_user::{self, SmtpUserRow};
use crate::store::{StoreError, Tx};

/// A project with its switches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// Its id.
    pub id: ProjectId,
    /// Its name.
    pub name: String,
    /// One transaction for each recipient.
    pub strict_verp: bool,
}

/// An API key with what proves it.
#[derive(Clone, Debug)]
pub struct PortableApiKey {
    /// As lists show it.
    pub record: KeyRecord,
    /// SHA-256 of the whole key.
    pub hash: Secret<Vec<u8>>,
}

/// A key that is about to be written.
#[derive(Clone, Debug)]
pub struct PreparedKey(KeyRow);

/// A user about to be written.
#[derive(Clone, Debug)]
pub struct PreparedSmtpUser(SmtpUserRow);

/// Where a key of a text stands in this database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyStanding {
    /// It is here.
    Here,
    /// It was, and was revoked.
    Revoked,
    /// Another project has it.
    Elsewhere,
}

/// A hash that is none of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not what proves a key or password")]
pub struct BadProof;

impl Access {
    /// All projects by name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn projects(&self) -> Result<Vec<Project>, StoreError> {
        let rows = project::list(&self.store).await?;
        Ok(rows.into_iter().map(|row| Project { id: ProjectId::from_uuid(row.id), name: row.name, strict_verp: row.strict_verp }).collect())
    }

    /// Writes a project, or the switches of one that is there. Commits nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn write_project(&self, tx: &mut Tx, project: &Project) -> Result<(), StoreError> {
        let row = ProjectRow { id: project.id.uuid(), name: project.name.clone(), strict_verp: project.strict_verp };
        project::write_within(tx, &row).await
    }

    /// The keys of a project that are not revoked, in the order of their names.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn portable_keys(&self, project: ProjectId) -> Result<Vec<PortableApiKey>, StoreError> {
        let (mut keys, mut page) = (Vec::new(), PageRequest { limit: MAX_LIMIT, after: None });
        loop {
            let rows = api_key::list(&self.store, project, page).await?;
            let more = rows.len() > usize::from(MAX_LIMIT);
            for row in rows.into_iter().take(usize::from(MAX_LIMIT)) {
                page.after = Some(row.id);
                if row.revoked_at.is_none() {
                    let hash = Secret::new(row.secret_hash.clone());
                    keys.push(PortableApiKey { record: record(row)?, hash });
                }
            }
            if !more {
                keys.sort_by(|one: &PortableApiKey, other| (&one.record.name, &one.record.prefix).cmp(&(&other.record.name, &other.record.prefix)));
                return Ok(keys);
            }
        }
    }

    /// Where the key with this public part stands; none: nowhere.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn standing(&self, project: ProjectId, prefix: &str) -> Result<Option<KeyStanding>, StoreError> {
        let Some((_, lookup)) = token::parse_prefix(prefix) else { return Ok(None) };
        let row = api_key::by_lookup(&self.store, lookup).await?;
        Ok(row.map(|row| match row {
            row if row.project_id != project.uuid() => KeyStanding::Elsewhere,
            row if row.revoked_at.is_some() => KeyStanding::Revoked,
            _ => KeyStanding::Here,
        }))
    }

    /// Makes a key ready to be written: the one with this public part and hash, or a new one, which is answered too.
    ///
    /// # Errors
    /// [`AccessError::Name`]; [`AccessError::Unknown`] for a public part or hash that is none.
    pub fn prepare_key(
        &self,
        project: ProjectId,
        new: NewKey,
        proof: Option<(&str, &Secret<Vec<u8>>)>,
    ) -> Result<(PreparedKey, Option<Secret<String>>), AccessError> {
        if !(1..=MAX_NAME_CHARACTERS).contains(&new.name.chars().count()) || new.name.chars().any(char::is_control) {
            return Err(AccessError::Name);
        }
        let (test, lookup, hash, fresh) = if let Some((prefix, hash)) = proof {
            let (test, lookup) = token::parse_prefix(prefix).filter(|_| hash.expose().len() == 32).ok_or(AccessError::Unknown)?;
            (test, lookup.to_owned(), hash.expose().clone(), None)
        } else {
            let fresh = token::generate(&self.clock, new.test);
            (new.test, fresh.lookup, fresh.hash.to_vec(), Some(fresh.key))
        };
        let row = KeyRow {
            id: self.clock.uuid(),
            project_id: project.uuid(),
            name: new.name,
            scope: new.scope.as_str().to_owned(),
            domains: new.domains.map(|domains| domains.iter().map(ToString::to_string).collect()),
            test,
            lookup,
            secret_hash: hash,
            created_at: to_microseconds(self.clock.now()),
            expires_at: new.expires_at.map(to_microseconds),
            last_used_at: None,
            revoked_at: None,
        };
        Ok((PreparedKey(row), fresh))
    }

    /// Writes a key. Commits nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn insert_prepared(&self, tx: &mut Tx, key: &PreparedKey) -> Result<(), StoreError> {
        api_key::insert_within(tx, &key.0).await
    }
}

/// True for a public part of a key.
#[must_use]
pub fn is_prefix(text: &str) -> bool {
    token::parse_prefix(text).is_some()
}

/// Reads the hash of a password.
///
/// # Errors
/// [`BadProof`].
pub fn password_hash(text: &Secret<Vec<u8>>) -> Result<Secret<String>, BadProof> {
    let text = String::from_utf8(text.expose().clone()).map_err(|_| BadProof)?;
    if password::is_hash(&text) { Ok(Secret::new(text)) } else { Err(BadProof) }
}

impl SmtpUsers {
    /// The users of a project with the hashes of their passwords, in the order of their names.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn portable(&self, project: ProjectId) -> Result<Vec<(SmtpUserRecord, Secret<String>)>, StoreError> {
        let (mut users, mut page) = (Vec::new(), PageRequest { limit: MAX_LIMIT, after: None });
        loop {
            let rows = smtp_user::list(&self.inner.store, project, page).await?;
            let more = rows.len() > usize::from(MAX_LIMIT);
            for row in rows.into_iter().take(usize::from(MAX_LIMIT)) {
                page.after = Some(row.id);
                let hash = Secret::new(row.password_hash.clone());
                users.push((super::smtp_users::record(row)?, hash));
            }
            if !more {
                users.sort_by(|(one, _), (other, _)| one.username.cmp(&other.username));
                return Ok(users);
            }
        }
    }

    /// The project of the user of this name, in any case.
    ///
    /// # Errors
    /// [`SmtpUserError::Username`] for a name that none can have.
    pub async fn owner(&self, username: &str) -> Result<Option<(ProjectId, SmtpUserRecord, Secret<String>)>, SmtpUserError> {
        let username = super::smtp_users::canonical(username).ok_or(SmtpUserError::Username)?;
        let Some(row) = smtp_user::by_username(&self.inner.store, &username).await? else { return Ok(None) };
        let (project, hash) = (ProjectId::from_uuid(row.project_id), Secret::new(row.password_hash.clone()));
        Ok(Some((project, super::smtp_users::record(row)?, hash)))
    }

    /// Makes a user ready to be written, with the hash of a password or with a new password, which is answered too.
    ///
    /// # Errors
    /// [`SmtpUserError`].
    pub async fn prepare(
        &self,
        project: ProjectId,
        username: &str,
        send_as: &[SenderPattern],
        hash: Option<Secret<String>>,
    ) -> Result<(PreparedSmtpUser, Option<Secret<String>>), SmtpUserError> {
        let username = super::smtp_users::canonical(username).ok_or(SmtpUserError::Username)?;
        check_senders(&username, send_as)?;
        let (hash, fresh) = if let Some(hash) = hash {
            (hash.expose().clone(), None)
        } else {
            let password = self.inner.hasher.generate();
            (self.inner.hasher.hash(&password).await?, Some(password))
        };
        let now: OffsetDateTime = to_microseconds(self.inner.clock.now());
        let row = SmtpUserRow {
            id: self.inner.clock.uuid(),
            project_id: project.uuid(),
            username,
            send_as: send_as.iter().map(ToString::to_string).collect(),
            password_hash: hash,
            created_at: now,
            changed_at: now,
            last_used_at: None,
        };
        Ok((PreparedSmtpUser(row), fresh))
    }

    /// Writes a user. Commits nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn insert_prepared(&self, tx: &mut Tx, user: &PreparedSmtpUser) -> Result<(), StoreError> {
        smtp_user::insert_within(tx, &user.0).await
    }

    /// Gives a user other senders and, if there is one, another password. Commits nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn change_within(
        &self,
        tx: &mut Tx,
        id: SmtpUserId,
        send_as: &[SenderPattern],
        hash: Option<&Secret<String>>,
    ) -> Result<(), StoreError> {
        let inner: &Arc<_> = &self.inner;
        let send_as: Vec<String> = send_as.iter().map(ToString::to_string).collect();
        smtp_user::change_within(tx, id.uuid(), &send_as, hash.map(|hash| hash.expose().as_str()), to_microseconds(inner.clock.now())).await
    }
}

/// Whether a user of this name may have these senders.
///
/// # Errors
/// [`SmtpUserError::TooManySenders`], [`SmtpUserError::NoSender`].
pub fn check_senders(username: &str, send_as: &[SenderPattern]) -> Result<(), SmtpUserError> {
    if send_as.len() > MAX_PATTERNS {
        return Err(SmtpUserError::TooManySenders);
    }
    if send_as.is_empty() && !username.contains('@') {
        return Err(SmtpUserError::NoSender);
    }
    Ok(())
}
