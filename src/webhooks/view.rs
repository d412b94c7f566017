//! Endpoints, and what they were told, as the API shows them.

use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::clock::time_of;
use crate::events::EventKind;
use crate::model::{IncomingId, RouteId, WebhookId, WebhookMessageId};
use crate::store::webhook::WebhookRow;
use crate::store::webhook_message::ToldRow;

/// An endpoint.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Webhook)]
pub struct WebhookView {
    /// `whk_…`
    #[schema(value_type = String, examples("whk_01jd5q0v0h7d6r2n8k4m3x9wbz"))]
    pub id: WebhookId,
    /// Where it is told.
    pub url: String,
    /// The events it is told of; empty: all.
    pub kinds: Vec<EventKind>,
    /// The route whose mail it gets, with which it comes and goes; null: it gets events.
    #[schema(value_type = Option<String>)]
    pub route_id: Option<RouteId>,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: OffsetDateTime,
    /// Since when attempts fail; null: they do not.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub failing_since: Option<OffsetDateTime>,
    /// Since when it is told nothing; null: it is told.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub disabled_at: Option<OffsetDateTime>,
    /// Why.
    pub disabled_because: Option<String>,
    /// Until when the secret before signs too; null: it does not.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub old_secret_until: Option<OffsetDateTime>,
}

/// What an endpoint was told, or is to be.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = WebhookMessage)]
pub struct WebhookMessageView {
    /// `whm_…`: the field `webhook-id` of each attempt.
    #[schema(value_type = String)]
    pub id: WebhookMessageId,
    /// What it tells.
    pub kind: EventKind,
    /// Of mail by a route: the message.
    #[schema(value_type = Option<String>)]
    pub incoming_id: Option<IncomingId>,
    /// `waiting`, `delivered`, `failed`. More may be added.
    pub state: String,
    /// Attempts begun.
    pub attempts: u16,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: OffsetDateTime,
    /// When the next attempt is due; null: there is none.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_attempt_at: Option<OffsetDateTime>,
    /// When the last attempt ended.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_attempt_at: Option<OffsetDateTime>,
    /// The HTTP status of the last attempt; null: there was no answer.
    pub last_status: Option<u16>,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
    /// The first kilobyte of the last answer.
    pub last_body: Option<String>,
}

impl From<WebhookRow> for WebhookView {
    fn from(row: WebhookRow) -> Self {
        Self {
            id: WebhookId::from_uuid(row.id),
            url: row.url,
            kinds: row.kinds.into_iter().filter_map(EventKind::from_stored).collect(),
            route_id: row.route_id.map(RouteId::from_uuid),
            created_at: row.created_at,
            failing_since: row.failing_since,
            disabled_at: row.disabled_at,
            disabled_because: row.disabled_because,
            old_secret_until: row.old_secret_until,
        }
    }
}

/// A row as the API shows it; none for kinds that a newer version wrote.
pub(super) fn told(row: ToldRow) -> Option<WebhookMessageView> {
    let waits = row.state == "waiting";
    Some(WebhookMessageView {
        id: WebhookMessageId::from_uuid(row.id),
        kind: EventKind::from_stored(row.kind)?,
        incoming_id: row.incoming_id.map(IncomingId::from_uuid),
        state: row.state,
        attempts: u16::try_from(row.attempts).unwrap_or(0),
        created_at: time_of(row.id),
        next_attempt_at: Some(row.next_at).filter(|_| waits),
        last_attempt_at: row.last_at,
        last_status: row.last_status.and_then(|status| u16::try_from(status).ok()),
        last_error: row.last_error,
        last_body: row.last_body,
    })
}
