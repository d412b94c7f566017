//! Webhooks: endpoints of users that are told by HTTP what happened, or what mail came.
//!
//! Answers: making, listing and removing endpoints, their secrets, and what was posted to them. An endpoint gets the events of its project,
//! or the mail of one route, with which it comes and goes.
//! Does not: post; `consumers::webhook` does.

mod portable;
pub mod secret;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::clock::Clock;
use crate::domains::seal::{Place, SealError, Sealer};
use crate::events::EventKind;
use crate::model::{IncomingId, ProjectId, Secret, WebhookId};
use crate::net::web_url::{UrlError, UrlPolicy};
use crate::store::webhook::{self as table, NewWebhookMessage, WebhookRow};
use crate::store::{Store, StoreError, Tx};

pub use crate::net::web_url::Url;

/// Endpoints of one project.
const MAX_WEBHOOKS: i64 = 1_000;

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
    pub async fn prepare(&self, project: ProjectId, url: &Url, route: Option<Uuid>) -> Result<Prepared, WebhookError> {
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
            kinds: Vec::new(),
            secret: inner.sealer.seal(&inner.clock, place("secret", id), &key)?,
            old_secret: None,
            old_secret_until: None,
            created_at: inner.clock.now(),
            disabled_at: None,
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
        table::enqueue(tx, std::slice::from_ref(&message)).await?;
        Ok(())
    }
}

/// How long is tried to tell an endpoint something.
pub const KEEP_TRYING: Duration = Duration::from_hours(72);

const fn place(column: &'static str, row: Uuid) -> Place {
    Place { table: "webhook", column, row }
}
