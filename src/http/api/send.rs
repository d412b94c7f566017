//! `POST /v1/send`: one message in, 202 once it is kept.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::accept::Accepted;
use crate::accept::request::SendRequest;
use crate::config::Limits;
use crate::http::Api;
use crate::http::extract::{Idempotency, Json, Payload, Sender};
use crate::http::problem::{Document, Problem};
use crate::model::MessageId;

/// Octets for all that is not content: names, addresses, JSON itself.
const ENVELOPE_OCTETS: usize = 256 * 1024;

impl Payload for SendRequest {
    /// Base64 of the largest message, and what stands around it.
    fn limit(limits: &Limits) -> usize {
        limits.message_octets / 3 * 4 + ENVELOPE_OCTETS
    }
}

/// A message that was accepted.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct SendResponse {
    /// The message.
    #[schema(value_type = String, example = "msg_01jd5q0v0h7d6r2n8k4m3x9wbz")]
    pub id: MessageId,
    /// Where it stands.
    pub status: SendStatus,
    /// To how many recipients it goes.
    #[schema(example = 2)]
    pub deliveries: u16,
    /// How many of them are on the suppression list: nothing is sent to these.
    #[schema(example = 0)]
    pub suppressed: u16,
    /// When it was accepted.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub accepted_at: OffsetDateTime,
}

/// Where a message stands that was just posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SendStatus {
    /// Kept for good, to be delivered.
    Accepted,
    /// Kept, and sent to nobody: every recipient is on the suppression list.
    Suppressed,
}

impl From<Accepted> for SendResponse {
    fn from(accepted: Accepted) -> Self {
        let Accepted { id, deliveries, suppressed, accepted_at, .. } = accepted;
        let status = if suppressed < deliveries { SendStatus::Accepted } else { SendStatus::Suppressed };
        Self { id, status, deliveries, suppressed, accepted_at }
    }
}

/// Send a message
///
/// Checks the message, composes it and keeps it; delivery follows. All faults of a request are told at once, and a refused request leaves nothing behind.
/// Give `from`, recipients, `subject` and `text` or `html`; or a whole message as `raw` with its `envelope`.
#[utoipa::path(post, path = "/v1/send", operation_id = "send_message", tag = "Send",
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 256 printable characters, kept 24 hours: makes it safe to send the request again.")),
    request_body = SendRequest,
    responses(
        (status = 202, description = "The message is kept and will be delivered, but to recipients that are suppressed; or it was, by an earlier request with the same idempotency key.",
            body = SendResponse),
        (status = 409, description = "The idempotency key is taken: `idempotency-key-reuse`, `idempotency-in-progress`.", body = Document,
            content_type = "application/problem+json"),
    ))]
pub async fn send(
    State(api): State<Arc<Api>>,
    Sender(caller): Sender,
    key: Idempotency,
    request: Json<SendRequest>,
) -> Result<(StatusCode, axum::Json<SendResponse>), Problem> {
    let key = request.keyed(key, "POST /v1/send");
    let accepted = api.accept.send(&caller, request.value, key).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(accepted.into())))
}
