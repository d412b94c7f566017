//! Webhooks: endpoints of users that are told by HTTP what happened, or what mail came.
//!
//! Answers: making, listing and removing endpoints, their secrets, and what was posted to them. An endpoint gets the events of its project,
//! or the mail of one route, with which it comes and goes.
//! Does not: post; `consumers::webhook` does.

mod portable;
pub mod secret;
pub mod view;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::clock::{Clock, first_id_at};
use crate::domains::seal::{Place, SealError, Sealer};
use crate::events::EventKind;
use crate::model::page::{Page, PageRequest};
use crate::model::{IncomingId, ProjectId, Secret, WebhookId, WebhookMessageId};
use crate::net::web_url::{UrlError, UrlPolicy};
use crate::store::webhook::{self as table, WebhookRow};
use crate::store::webhook_message::{self as messages, NewWebhookMessage};
use crate::store::{Store, StoreError, Tx};

pub use crate::net::web_url::Url;
pub use view::{WebhookMessageView, WebhookView};

/// Endpoints of one project.
const MAX_WEBHOOKS: i64 = 1_000;

/// How long a secret signs after there is another.
const OLD_SECRET: Duration = Duration::from_hours(24);
/// Messages deleted in one statement.
const CHUNK: i64 = 5_000;

/// An endpoint just made, or one with another secret: the only time that is seen.
#[derive(Clone, Debug)]
pub struct CreatedWebhook {
    /// As lists show it.
    pub view: WebhookView,
    /// What signs.
    pub secret: Secret<String>,
}

/// Where to post, and what signs.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Where.
    pub url: Url,
    /// The keys, the newest first.
    pub keys: Vec<secret::Key>,
}

/// An endpoint that is about to be written.
#[derive(Clone, Debug)]
pub struct Prepared {
    pub(crate) row: WebhookRow,
    /// What signs, as it is shown once.
    pub secret: Secret<String>,
}

/// Why an endpoint is not made or found.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// The URL may not be posted to.
    #[error("{0}")]
    Url(#[from] UrlError),
    /// The project has as many as it may.
    #[error("the project has {MAX_WEBHOOKS} webhooks, and no more are kept")]
    TooMany,
    /// The project has no such endpoint.
    #[error("no such webhook")]
    NotFound,
    /// The endpoint belongs to a route.
    #[error("the webhook belongs to a route; remove that")]
    OfRoute,
    /// The secret cannot be sealed or opened.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The endpoints of all projects. Cheap to clone.
#[derive(Clone)]
pub struct Webhooks {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    clock: Clock,
    sealer: Sealer,
    policy: UrlPolicy,
}

impl fmt::Debug for Webhooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Webhooks")
    }
}

impl Webhooks {
    /// Over a database. `policy` says where may be posted to.
    #[must_use]
    pub fn new(store: Store, clock: Clock, sealer: Sealer, policy: UrlPolicy) -> Self {
        Self { inner: Arc::new(Inner { store, clock, sealer, policy }) }
    }

    /// Reads the URL of an endpoint.
    ///
    /// # Errors
    /// [`UrlError`].
    pub fn url(&self, text: &str) -> Result<Url, UrlError> {
        Url::parse(text, self.inner.policy)
    }

    /// Makes an endpoint for the mail of `route`, not written yet.
    ///
    /// # Errors
    /// [`WebhookError::TooMany`], [`WebhookError::Seal`], [`WebhookError::Store`].
    pub async fn prepare(&self, project: ProjectId, url: &Url, route: Uuid) -> Result<Prepared, WebhookError> {
        self.make(project, url, Some(route), Vec::new()).await
    }

    /// Makes an endpoint that is told of events from now on: of some kinds, or of all if none are given.
    ///
    /// # Errors
    /// [`WebhookError::TooMany`], [`WebhookError::Seal`], [`WebhookError::Store`].
    pub async fn add(&self, project: ProjectId, url: &Url, kinds: &[EventKind]) -> Result<CreatedWebhook, WebhookError> {
        let mut kinds: Vec<i16> = kinds.iter().map(|kind| kind.to_stored()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let prepared = self.make(project, url, None, kinds).await?;
        let mut tx = self.inner.store.begin().await?;
        table::insert(&mut tx, &prepared.row).await?;
        Store::commit(tx).await?;
        tracing::info!(webhook = %WebhookId::from_uuid(prepared.row.id), "a webhook was added");
        let view = self.get(project, WebhookId::from_uuid(prepared.row.id)).await?.ok_or(WebhookError::NotFound)?;
        Ok(CreatedWebhook { view, secret: prepared.secret })
    }

    /// The endpoints of a project, oldest first, those of routes among them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list(&self, project: ProjectId, page: PageRequest) -> Result<Page<WebhookView>, StoreError> {
        let rows = table::list(&self.inner.store, project.uuid(), page.after, i64::from(page.limit) + 1).await?;
        Ok(Page::cut(rows.into_iter().map(WebhookView::from).collect(), page.limit, |view| view.id.uuid()))
    }

    /// One endpoint of a project.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn get(&self, project: ProjectId, id: WebhookId) -> Result<Option<WebhookView>, StoreError> {
        Ok(table::get(&self.inner.store, Some(project.uuid()), id.uuid()).await?.map(WebhookView::from))
    }

    /// Removes an endpoint of a project, and what it was to be told.
    ///
    /// # Errors
    /// [`WebhookError::NotFound`], [`WebhookError::OfRoute`], [`WebhookError::Store`].
    pub async fn remove(&self, project: ProjectId, id: WebhookId) -> Result<(), WebhookError> {
        if table::remove(&self.inner.store, project.uuid(), id.uuid()).await? {
            tracing::info!(webhook = %id, "a webhook was removed");
            return Ok(());
        }
        Err(if self.get(project, id).await?.is_some() { WebhookError::OfRoute } else { WebhookError::NotFound })
    }

    /// Gives an endpoint another secret. The one before signs too for a day, so that nothing is refused while the new one is brought there.
    ///
    /// # Errors
    /// [`WebhookError::NotFound`], [`WebhookError::Seal`], [`WebhookError::Store`].
    pub async fn rotate(&self, project: ProjectId, id: WebhookId) -> Result<CreatedWebhook, WebhookError> {
        let inner = &*self.inner;
        let row = table::get(&inner.store, Some(project.uuid()), id.uuid()).await?.ok_or(WebhookError::NotFound)?;
        let old = inner.sealer.open(place("secret", row.id), &row.secret)?;
        let key = secret::make(&inner.clock);
        let sealed = inner.sealer.seal(&inner.clock, place("secret", row.id), &key)?;
        let old = inner.sealer.seal(&inner.clock, place("old_secret", row.id), &old)?;
        table::rotate(&inner.store, row.id, &sealed, &old, inner.clock.now() + OLD_SECRET).await?;
        tracing::info!(webhook = %id, "a webhook has another secret");
        let view = self.get(project, id).await?.ok_or(WebhookError::NotFound)?;
        Ok(CreatedWebhook { view, secret: secret::text(&key) })
    }

    /// Lets an endpoint that was given up be told again: of what still waits, and of what happens from now on.
    ///
    /// # Errors
    /// [`WebhookError::NotFound`], [`WebhookError::Store`].
    pub async fn enable(&self, project: ProjectId, id: WebhookId) -> Result<WebhookView, WebhookError> {
        table::enable(&self.inner.store, project.uuid(), id.uuid()).await?;
        self.get(project, id).await?.ok_or(WebhookError::NotFound)
    }

    /// What an endpoint was told and is to be told, newest first.
    ///
    /// # Errors
    /// [`WebhookError::NotFound`], [`WebhookError::Store`].
    pub async fn messages(
        &self,
        project: ProjectId,
        id: WebhookId,
        state: Option<&str>,
        page: PageRequest,
    ) -> Result<Page<WebhookMessageView>, WebhookError> {
        self.get(project, id).await?.ok_or(WebhookError::NotFound)?;
        let rows = messages::list(&self.inner.store, id.uuid(), state, page.after, i64::from(page.limit) + 1).await?;
        Ok(Page::cut(rows.into_iter().filter_map(view::told).collect(), page.limit, |view| view.id.uuid()))
    }

    /// Tells an endpoint something again, now and as often as a new message.
    ///
    /// # Errors
    /// [`WebhookError::NotFound`], [`WebhookError::Store`].
    pub async fn resend(&self, project: ProjectId, id: WebhookId, message: WebhookMessageId) -> Result<(), WebhookError> {
        self.get(project, id).await?.ok_or(WebhookError::NotFound)?;
        let now = self.inner.clock.now();
        let found = messages::resend(&self.inner.store, id.uuid(), message.uuid(), now, now + KEEP_TRYING).await?;
        if found { Ok(()) } else { Err(WebhookError::NotFound) }
    }

    /// Where an endpoint is and what signs for it, the newest first. None: it is gone, or told nothing.
    ///
    /// # Errors
    /// [`WebhookError::Url`] if its URL is not posted to any more, [`WebhookError::Seal`], [`WebhookError::Store`].
    pub async fn endpoint(&self, id: Uuid) -> Result<Option<Endpoint>, WebhookError> {
        let inner = &*self.inner;
        let Some(row) = table::get(&inner.store, None, id).await?.filter(|row| row.disabled_at.is_none()) else { return Ok(None) };
        let mut keys = vec![inner.sealer.open(place("secret", row.id), &row.secret)?];
        let is_valid = row.old_secret_until.is_some_and(|until| until > inner.clock.now());
        if let Some(old) = row.old_secret.filter(|_| is_valid) {
            keys.push(inner.sealer.open(place("old_secret", row.id), &old)?);
        }
        Ok(Some(Endpoint { url: self.url(&row.url)?, keys }))
    }

    /// Deletes what endpoints were told more than `days` ago.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn remove_older(&self, days: u32) -> Result<(), StoreError> {
        let first_kept = first_id_at(self.inner.clock.now() - time::Duration::days(i64::from(days)));
        while messages::remove_before(&self.inner.store, first_kept, CHUNK).await? == CHUNK.unsigned_abs() {}
        Ok(())
    }

    async fn make(&self, project: ProjectId, url: &Url, route: Option<Uuid>, kinds: Vec<i16>) -> Result<Prepared, WebhookError> {
        let inner = &*self.inner;
        if table::count(&inner.store, project.uuid()).await? >= MAX_WEBHOOKS {
            return Err(WebhookError::TooMany);
        }
        let id = inner.clock.uuid();
        let key = secret::make(&inner.clock);
        let row = WebhookRow {
            id,
            project_id: project.uuid(),
            route_id: route,
            url: url.as_str().to_owned(),
            kinds,
            secret: inner.sealer.seal(&inner.clock, place("secret", id), &key)?,
            old_secret: None,
            old_secret_until: None,
            created_at: inner.clock.now(),
            disabled_at: None,
            failing_since: None,
            disabled_because: None,
        };
        Ok(Prepared { row, secret: secret::text(&key) })
    }

    /// Writes an endpoint. Commits nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn insert(&self, tx: &mut Tx, prepared: &Prepared) -> Result<(), StoreError> {
        table::insert(tx, &prepared.row).await
    }

    /// Writes down that the endpoint of a route is to be told of a message. Commits nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn enqueue_incoming(&self, tx: &mut Tx, webhook: WebhookId, incoming: IncomingId) -> Result<(), StoreError> {
        let now = self.inner.clock.now();
        let message = NewWebhookMessage {
            id: self.inner.clock.uuid(),
            webhook_id: webhook.uuid(),
            kind: EventKind::Received.to_stored(),
            payload: None,
            incoming_id: Some(incoming.uuid()),
            next_at: now,
            give_up_at: now + KEEP_TRYING,
        };
        messages::enqueue(tx, std::slice::from_ref(&message)).await?;
        Ok(())
    }
}

/// How long a message may wait at most, whatever keeps it: the schedule ends after three days.
pub const KEEP_TRYING: Duration = Duration::from_hours(96);

const fn place(column: &'static str, row: Uuid) -> Place {
    Place { table: "webhook", column, row }
}
