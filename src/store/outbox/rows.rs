//! The rows that the outbox writes and reads, as Rust holds them.
//!
//! Does not: hold SQL; `store::outbox` does.

use std::time::Duration;

use time::{Date, OffsetDateTime};
use uuid::Uuid;

/// A `message` row with its `accepted` event.
#[derive(Debug)]
pub struct MessageRow {
    pub id: Uuid,
    pub event_id: Uuid,
    pub project_id: Uuid,
    pub domain_id: Option<Uuid>,
    pub reverse_path: String,
    pub header_from: String,
    pub subject: String,
    pub header_message_id: String,
    pub tags: serde_json::Value,
    pub metadata: serde_json::Value,
    pub priority: i16,
    pub stream: String,
    pub origin: i16,
    pub send_at: Option<OffsetDateTime>,
    pub expires_at: OffsetDateTime,
    pub recipients: i16,
    pub size: i32,
    pub flags: i16,
    pub encoding: i16,
    pub content: Vec<u8>,
    pub accepted: String,
}

/// A `delivery` row.
#[derive(Debug)]
pub struct DeliveryRow {
    pub message_id: Uuid,
    pub rcpt_no: i16,
    pub project_id: Uuid,
    pub lane: i32,
    pub owner: i64,
    pub priority: i16,
    pub next_at: OffsetDateTime,
    pub expires_at: OffsetDateTime,
    pub recipient: String,
    /// Its message's.
    pub stream: String,
}

/// An `idempotency` row.
#[derive(Debug)]
pub struct KeyRow {
    pub day: Date,
    pub project_id: Uuid,
    pub key_hash: Vec<u8>,
    pub request_hash: Vec<u8>,
    pub message_id: Uuid,
    pub deliveries: i16,
}

/// What a claim answers for each delivery.
#[derive(Debug)]
pub struct ClaimedRow {
    pub message_id: Uuid,
    pub rcpt_no: i16,
    pub lane: i32,
    pub recipient: String,
    pub attempt: i16,
    pub priority: i16,
    pub expires_at: OffsetDateTime,
    /// Somebody asked for this attempt.
    pub hurried: bool,
    /// [`PARKED`](super::super::operator::PARKED) if a pause keeps it from being claimed, else the claimant.
    pub owner: i64,
    /// Suppressed meanwhile: it ended instead of being claimed.
    pub suppressed: bool,
}

/// Which waiting deliveries a claim takes.
#[derive(Clone, Copy, Debug)]
pub enum Due {
    /// All whose time has come, on a clock that is ahead by this much.
    Now { moved: Duration },
    /// Those that somebody asked to try at once.
    Hurried,
}

/// The end of one claim.
#[derive(Debug)]
pub struct SettleRow {
    pub message_id: Uuid,
    pub rcpt_no: i16,
    /// Waits again until this time; none: the delivery is over.
    pub next_at: Option<OffsetDateTime>,
    pub event_id: Uuid,
    pub project_id: Uuid,
    pub kind: i16,
    pub recipient: String,
    pub data: String,
}
