//! Messages from the world that are kept.
//!
//! Answers: which there are, what stands in one, its octets, and their removal, by hand and by age.
//! Does not: take them in; `inbound` does.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::clock::{Clock, first_id_at, time_of};
use crate::mail::read::Parsed;
use crate::model::page::{Page, PageRequest};
use crate::model::{EmailAddress, IncomingId, ProjectId, RouteId};
use crate::outbox::content::unpack;
use crate::store::incoming::{self as table, KeptRow};
use crate::store::{Store, StoreError};

/// Messages deleted in one statement.
const CHUNK: i64 = 500;

/// A message from the world, at one address of ours.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = IncomingMessage)]
pub struct IncomingView {
    /// `inc_…`
    #[schema(value_type = String, examples("inc_01jd5q0v0h7d6r2n8k4m3x9wbz"))]
    pub id: IncomingId,
    /// When it arrived.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub received_at: OffsetDateTime,
    /// The address it came to.
    pub recipient: String,
    /// The route that kept it, which may be gone; null: it came to postmaster or abuse.
    #[schema(value_type = Option<String>)]
    pub route_id: Option<RouteId>,
    /// MAIL FROM; empty for the null reverse-path of a report.
    pub reverse_path: String,
    /// The From field.
    pub from: String,
    /// The subject, decoded.
    pub subject: String,
    /// The Message-ID without its brackets.
    pub message_id: Option<String>,
    /// Octets of what came.
    pub size: u32,
    /// Who brought it.
    pub peer: Peer,
    /// What was found out about the sender.
    pub authentication: Results,
    /// What stands in it; absent in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<Parsed>,
}

/// A host that brought a message.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = IncomingPeer)]
pub struct Peer {
    /// Its address.
    pub address: String,
    /// What it calls itself; proves nothing.
    pub helo: String,
    /// Version and cipher; null: in the clear.
    pub tls: Option<String>,
}

/// Results of checks (RFC 8601 2.7): `pass`, `fail`, `none` and the like; null: not checked.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[schema(as = AuthenticationResults)]
pub struct Results {
    /// May the host send for the domain of MAIL FROM?
    #[serde(default)]
    pub spf: Option<String>,
    /// Did a domain sign it?
    #[serde(default)]
    pub dkim: Option<String>,
    /// Does one of both stand for the domain of the From field?
    #[serde(default)]
    pub dmarc: Option<String>,
}

/// What a list is narrowed to.
#[derive(Clone, Debug, Default)]
pub struct IncomingFilter {
    /// To this address.
    pub recipient: Option<EmailAddress>,
    /// By this route.
    pub route: Option<RouteId>,
}

/// The messages of all projects. Cheap to clone.
#[derive(Clone, Debug)]
pub struct IncomingMail {
    store: Store,
    clock: Clock,
    attachment_octets: usize,
}

impl IncomingMail {
    /// Over a database; attachments are shown up to `attachment_octets` in all.
    #[must_use]
    pub const fn new(store: Store, clock: Clock, attachment_octets: usize) -> Self {
        Self { store, clock, attachment_octets }
    }

    /// Messages of a project, newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list(&self, project: ProjectId, filter: &IncomingFilter, page: PageRequest) -> Result<Page<IncomingView>, StoreError> {
        let recipient = filter.recipient.as_ref().map(ToString::to_string);
        let route = filter.route.map(RouteId::uuid);
        let rows = table::list(&self.store, project.uuid(), recipient.as_deref(), route, page.after, i64::from(page.limit) + 1).await?;
        Ok(Page::cut(rows.into_iter().map(view).collect(), page.limit, |view| view.id.uuid()))
    }

    /// One message of a project, taken apart.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn get(&self, project: ProjectId, id: IncomingId) -> Result<Option<IncomingView>, StoreError> {
        let Some((row, content)) = self.read(Some(project), id).await? else { return Ok(None) };
        Ok(Some(IncomingView { content: Some(Parsed::read(&content, self.attachment_octets)), ..view(row) }))
    }

    /// One message of any project, taken apart: for an endpoint of the project whose it is.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn of_any_project(&self, id: Uuid) -> Result<Option<IncomingView>, StoreError> {
        let Some((row, content)) = self.read(None, IncomingId::from_uuid(id)).await? else { return Ok(None) };
        Ok(Some(IncomingView { content: Some(Parsed::read(&content, self.attachment_octets)), ..view(row) }))
    }

    /// The octets of a message of a project, with the fields that were put before it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn raw(&self, project: ProjectId, id: IncomingId) -> Result<Option<Bytes>, StoreError> {
        let Some((row, content)) = self.read(Some(project), id).await? else { return Ok(None) };
        Ok(Some([row.trace.as_bytes(), &content].concat().into()))
    }

    /// Deletes a message of a project; false if there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn remove(&self, project: ProjectId, id: IncomingId) -> Result<bool, StoreError> {
        let mut tx = self.store.begin().await?;
        let removed = table::remove(&mut tx, project.uuid(), id.uuid()).await?;
        Store::commit(tx).await?;
        Ok(removed)
    }

    /// Deletes messages older than `days`; answers how many.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn remove_older(&self, days: u32) -> Result<u64, StoreError> {
        let first_kept = first_id_at(self.clock.now() - time::Duration::days(i64::from(days)));
        let mut removed = 0;
        loop {
            let chunk = table::remove_before(&self.store, first_kept, CHUNK).await?;
            removed += chunk;
            if chunk < CHUNK.unsigned_abs() {
                break;
            }
        }
        // An hour old at least: younger content may belong to a message that is written now.
        let before = first_id_at(self.clock.now() - time::Duration::hours(1));
        while table::remove_orphans(&self.store, before, CHUNK).await? == CHUNK.unsigned_abs() {}
        Ok(removed)
    }

    async fn read(&self, project: Option<ProjectId>, id: IncomingId) -> Result<Option<(KeptRow, Bytes)>, StoreError> {
        let Some((row, packed)) = table::get(&self.store, project.map(ProjectId::uuid), id.uuid()).await? else { return Ok(None) };
        let content = unpack(packed.encoding, packed.content, row.size)?;
        Ok(Some((row, content)))
    }
}

/// How the results of checks are kept.
#[must_use]
pub fn results(authentication: &serde_json::Value) -> Results {
    serde_json::from_value(authentication.clone()).unwrap_or_default()
}

fn view(row: KeptRow) -> IncomingView {
    IncomingView {
        id: IncomingId::from_uuid(row.id),
        received_at: time_of(row.id),
        recipient: row.recipient,
        route_id: row.route_id.map(RouteId::from_uuid),
        reverse_path: row.reverse_path,
        from: row.header_from,
        subject: row.subject,
        message_id: row.header_message_id,
        size: u32::try_from(row.size).unwrap_or(0),
        peer: Peer { address: row.peer, helo: row.helo, tls: row.tls },
        authentication: results(&row.authentication),
        content: None,
    }
}
