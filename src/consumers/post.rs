//! Posts to endpoints what they are to be told (Standard Webhooks 1.0).
//!
//! Answers: each message is posted until its endpoint answers 2xx, at most ten times over three days; the field `webhook-id` stays the same. A
//! slow endpoint delays no other: each has a few requests at once, and one while it fails. Claims are attempts with a number and an
//! end, so another node goes on where one dies, and a message may be told twice.
//! Does not: decide what is told.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::json;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::webhook::Tell;
use crate::clock::Clock;
use crate::incoming::IncomingMail;
use crate::model::{WebhookId, WebhookMessageId};
use crate::net::web_post::{PostError, Posted, WebPoster};
use crate::store::webhook as endpoints;
use crate::store::webhook_message::{self as table, Claim, ClaimedRow, EndedRow};
use crate::store::{Store, StoreError};
use crate::supervisor::Supervisor;
use crate::telemetry::metrics;
use crate::webhooks::{WebhookError, Webhooks, secret};

/// How often is looked for what is due.
const POLL: Duration = Duration::from_secs(1);
/// Waits between attempts; after the last one the message has failed. 71 hours and 35 minutes in all.
const SCHEDULE: [Duration; 9] = [
    Duration::from_secs(5),
    Duration::from_mins(5),
    Duration::from_mins(30),
    Duration::from_hours(2),
    Duration::from_hours(5),
    Duration::from_hours(10),
    Duration::from_hours(14),
    Duration::from_hours(20),
    Duration::from_hours(20),
];
/// Each wait varies by up to this share of itself.
const JITTER: f64 = 0.1;
/// What an attempt may take beyond its request before it counts as lost.
const MARGIN: Duration = Duration::from_secs(30);
/// Messages that are posted at once: events, and mail of routes, which takes more memory.
const AT_ONCE: [usize; 2] = [256, 16];
/// An endpoint that fails for so long is told nothing more.
const GIVE_UP: time::Duration = time::Duration::days(5);
/// Characters of an error that are kept.
const MAX_ERROR_CHARACTERS: usize = 500;

/// Posts.
#[derive(Clone)]
pub struct Post {
    /// The database.
    pub store: Store,
    /// Time.
    pub clock: Clock,
    /// Reads events.
    pub tell: Tell,
    /// Knows endpoints.
    pub webhooks: Webhooks,
    /// Knows mail.
    pub incoming: IncomingMail,
    /// Makes requests.
    pub poster: WebPoster,
    /// How users reach the API, without a trailing slash; empty: nobody knows.
    pub public_url: String,
    /// Requests to one endpoint at once.
    pub of_one: usize,
    /// What is posted now, by endpoint: events, and mail of routes.
    pub busy: Arc<[Mutex<HashMap<Uuid, i32>>; 2]>,
}

/// How an attempt went.
enum Ended {
    Told(Posted),
    Refused(Posted),
    NoAnswer(String),
    /// It can never be told.
    Hopeless(String),
}

impl Post {
    /// Runs until the process drains.
    pub async fn run(self, supervisor: Supervisor) {
        while !supervisor.is_draining() {
            let more = match self.round(&supervisor).await {
                Ok(more) => more,
                Err(error) => {
                    metrics::database_error(error.kind());
                    tracing::warn!(%error, "webhooks cannot be read or written; trying again");
                    false
                }
            };
            tokio::select! {
                () = self.clock.sleep(if more { Duration::ZERO } else { POLL }) => {}
                () = supervisor.draining() => {}
            }
        }
    }

    async fn round(&self, supervisor: &Supervisor) -> Result<bool, StoreError> {
        let mut more = self.tell.round().await?;
        for (of_routes, most) in [false, true].into_iter().zip(AT_ONCE) {
            let busy: Vec<(Uuid, i32)> = self.busy(of_routes).lock().iter().map(|(id, messages)| (*id, *messages)).collect();
            let under_way = busy.iter().map(|(_, messages)| usize::try_from(*messages).unwrap_or(0)).sum();
            let room = most.saturating_sub(under_way);
            if room == 0 {
                continue;
            }
            let now = self.clock.now();
            let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
            let until = now + self.poster.limit + MARGIN;
            let claim = Claim { of_routes, now, until, busy, of_one: number(self.of_one), limit: number(room) };
            let claimed = table::claim(&self.store, &claim).await?;
            more |= claimed.len() >= room;
            for message in claimed {
                *self.busy(of_routes).lock().entry(message.webhook_id).or_default() += 1;
                let post = self.clone();
                supervisor.spawn("webhook.post", async move {
                    let webhook = message.webhook_id;
                    post.attempt(message).await;
                    post.leave(of_routes, webhook);
                });
            }
        }
        Ok(more)
    }

    fn busy(&self, of_routes: bool) -> &Mutex<HashMap<Uuid, i32>> {
        let [events, mail] = &*self.busy;
        if of_routes { mail } else { events }
    }

    fn leave(&self, of_routes: bool, webhook: Uuid) {
        let mut busy = self.busy(of_routes).lock();
        if let Some(messages) = busy.get_mut(&webhook) {
            *messages -= 1;
            if *messages <= 0 {
                busy.remove(&webhook);
            }
        }
    }

    async fn attempt(&self, message: ClaimedRow) {
        let ended = match self.post(&message).await {
            Ok(Some(ended)) => ended,
            // Gone, or disabled meanwhile: it waits until its endpoint is told again.
            Ok(None) => return,
            Err(error) => {
                metrics::database_error(error.kind());
                tracing::warn!(%error, "a webhook cannot be read; trying again when the attempt counts as lost");
                return;
            }
        };
        if let Err(error) = self.settle(&message, ended).await {
            metrics::database_error(error.kind());
            tracing::warn!(%error, message = %WebhookMessageId::from_uuid(message.id), "how a webhook ended cannot be written; it is posted again");
        }
    }

    async fn post(&self, message: &ClaimedRow) -> Result<Option<Ended>, StoreError> {
        let endpoint = match self.webhooks.endpoint(message.webhook_id).await {
            Ok(Some(endpoint)) => endpoint,
            Ok(None) => return Ok(None),
            Err(WebhookError::Store(error)) => return Err(error),
            Err(error) => return Ok(Some(Ended::NoAnswer(error.to_string()))),
        };
        let Some(body) = self.body(message).await? else { return Ok(Some(Ended::Hopeless("what was to be told is gone".to_owned()))) };
        let id = WebhookMessageId::from_uuid(message.id).to_string();
        let timestamp = self.clock.now().unix_timestamp();
        let signature = secret::signature(&endpoint.keys, &id, timestamp, body.as_bytes());
        let fields = [("webhook-id", id), ("webhook-timestamp", timestamp.to_string()), ("webhook-signature", signature)];
        Ok(Some(match self.poster.post(&endpoint.url, &fields, body.into()).await {
            Ok(posted) if (200..300).contains(&posted.status) => Ended::Told(posted),
            Ok(posted) => Ended::Refused(posted),
            Err(error @ (PostError::Private(_) | PostError::Connect(_) | PostError::Tls(_) | PostError::Http(_) | PostError::TimedOut(_))) => {
                Ended::NoAnswer(error.to_string())
            }
        }))
    }

    /// What is posted. None: the mail is deleted.
    async fn body(&self, message: &ClaimedRow) -> Result<Option<String>, StoreError> {
        if let Some(payload) = &message.payload {
            return Ok(Some(payload.clone()));
        }
        let Some(id) = message.incoming_id else { return Ok(None) };
        let Some(mail) = self.incoming.of_any_project(id).await? else { return Ok(None) };
        let raw_url = (!self.public_url.is_empty()).then(|| format!("{}/v1/incoming/{}/raw", self.public_url, mail.id));
        let at = mail.received_at.format(&Rfc3339).unwrap_or_default();
        let mut data = serde_json::to_value(&mail).unwrap_or_default();
        if let Some(fields) = data.as_object_mut() {
            fields.insert("raw_url".to_owned(), json!(raw_url));
        }
        Ok(Some(json!({ "type": "received", "timestamp": at, "data": data }).to_string()))
    }

    async fn settle(&self, message: &ClaimedRow, ended: Ended) -> Result<(), StoreError> {
        let now = self.clock.now();
        let text = |body: &[u8]| String::from_utf8_lossy(body).replace('\0', "\u{fffd}");
        let status = |posted: &Posted| i16::try_from(posted.status).ok();
        let (webhook, id) = (WebhookId::from_uuid(message.webhook_id), WebhookMessageId::from_uuid(message.id));
        let mut row =
            EndedRow { id: message.id, attempts: message.attempts, state: "waiting", next_at: now, at: now, status: None, error: None, body: None };
        match &ended {
            Ended::Told(posted) => (row.state, row.status, row.body) = ("delivered", status(posted), Some(text(&posted.body))),
            Ended::Refused(posted) => {
                let error = if (300..400).contains(&posted.status) { "redirects are not followed" } else { "the endpoint did not take it" };
                (row.error, row.status, row.body) = (Some(error.to_owned()), status(posted), Some(text(&posted.body)));
            }
            Ended::NoAnswer(error) | Ended::Hopeless(error) => row.error = Some(error.chars().take(MAX_ERROR_CHARACTERS).collect()),
        }
        let is_gone = matches!(&ended, Ended::Refused(posted) if posted.status == 410);
        if row.state != "delivered" {
            match self.next(message, &ended, now).filter(|_| !is_gone) {
                Some(next_at) => row.next_at = next_at,
                None => row.state = "failed",
            }
        }
        if !table::settle(&self.store, &row).await? {
            tracing::info!(%webhook, message = %id, "an attempt that took too long was not counted");
            return Ok(());
        }
        let result = if row.state == "waiting" { "deferred" } else { row.state };
        metrics::webhook(result);
        tracing::debug!(%webhook, message = %id, status = row.status, error = row.error, result, "a webhook was posted");
        if is_gone {
            return self.give_up(message.webhook_id, "the endpoint answered 410 Gone").await;
        }
        let failed_at = (!matches!(ended, Ended::Told(_) | Ended::Hopeless(_))).then_some(now);
        let failing_since = endpoints::note(&self.store, message.webhook_id, failed_at).await?;
        if failing_since.is_some_and(|since| now - since >= GIVE_UP) {
            self.give_up(message.webhook_id, "every request failed for five days").await?;
        }
        Ok(())
    }

    /// When to try again; none: never.
    fn next(&self, message: &ClaimedRow, ended: &Ended, now: time::OffsetDateTime) -> Option<time::OffsetDateTime> {
        let asked = match ended {
            Ended::Hopeless(_) => return None,
            Ended::Refused(Posted { status: 429 | 503, retry_after, .. }) => retry_after.unwrap_or_default(),
            _ => Duration::ZERO,
        };
        let place = usize::try_from(message.retried).unwrap_or(1).saturating_sub(1);
        let wait = self.clock.jitter(*SCHEDULE.get(place)?, JITTER).max(asked);
        Some(now + wait).filter(|next| *next < message.give_up_at)
    }

    async fn give_up(&self, webhook: Uuid, because: &str) -> Result<(), StoreError> {
        if endpoints::disable(&self.store, webhook, self.clock.now(), because).await? {
            metrics::webhook("disabled");
            let fix = "mend the endpoint, then enable the webhook";
            tracing::warn!(webhook = %WebhookId::from_uuid(webhook), because, fix, "a webhook was disabled");
        }
        Ok(())
    }
}
