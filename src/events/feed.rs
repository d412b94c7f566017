//! The feed: events of a project by cursor. A reader that keeps its cursor sees each event once and misses none.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::EventKind;
use crate::clock::time_of;
use crate::model::{DeliveryId, EventId, MessageId, ProjectId};
use crate::store::event::EventRow;
use crate::store::{Store, StoreError};

/// One event as the API shows it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct EventView {
    /// `evt_…`
    #[schema(value_type = String)]
    pub id: EventId,
    /// What happened.
    pub kind: EventKind,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub at: OffsetDateTime,
    /// To which message.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub message_id: Option<MessageId>,
    /// To which delivery; absent for events of the whole message.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub delivery_id: Option<DeliveryId>,
    /// The recipient of the delivery.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    /// Facts of the kind: for attempts host, address, TLS, reply, transcript.
    #[schema(value_type = Object)]
    pub data: serde_json::Value,
}

/// A stretch of the feed.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct EventPage {
    /// Events in the order of their commits.
    pub data: Vec<EventView>,
    /// Where to go on; stays valid when there is nothing new yet.
    pub next_cursor: String,
}

/// Why the feed cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum EventsError {
    /// The cursor is none of ours.
    #[error("the cursor is not one that this API gave out")]
    BadCursor,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reads the log on behalf of a project. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Events {
    store: Store,
}

impl Events {
    /// Over a database.
    #[must_use]
    pub const fn new(store: Store) -> Self {
        Self { store }
    }

    /// Up to `limit` events behind `cursor` (none: from the beginning), of some `kinds` (none given: all).
    pub async fn read(&self, project: ProjectId, cursor: Option<&str>, limit: u16, kinds: &[EventKind]) -> Result<EventPage, EventsError> {
        let after = cursor.map_or(Some((-1, Uuid::nil())), read_cursor).ok_or(EventsError::BadCursor)?;
        let numbers: Vec<i16> = kinds.iter().map(|kind| kind.to_stored()).collect();
        let rows = self.store.feed(project.uuid(), after, &numbers, i64::from(limit)).await?;
        let next = rows.last().map_or(after, |row| (row.xact, row.id));
        Ok(EventPage { data: rows.into_iter().filter_map(view).collect(), next_cursor: write_cursor(next) })
    }
}

/// A row as the API shows it; none for kinds that a newer version wrote.
#[must_use]
pub fn view(row: EventRow) -> Option<EventView> {
    let message_id = row.message_id.map(MessageId::from_uuid);
    let rcpt_no = row.rcpt_no.and_then(|number| u16::try_from(number).ok());
    Some(EventView {
        id: EventId::from_uuid(row.id),
        kind: EventKind::from_stored(row.kind)?,
        at: time_of(row.id),
        message_id,
        delivery_id: message_id.zip(rcpt_no).map(|(message, rcpt_no)| DeliveryId { message, rcpt_no }),
        recipient: row.recipient,
        data: row.data,
    })
}

fn write_cursor((xact, id): (i64, Uuid)) -> String {
    let mut octets = [0_u8; 24];
    octets[..8].copy_from_slice(&xact.to_be_bytes());
    octets[8..].copy_from_slice(id.as_bytes());
    URL_SAFE_NO_PAD.encode(octets)
}

fn read_cursor(text: &str) -> Option<(i64, Uuid)> {
    let octets = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (xact, id) = octets.split_at_checked(8)?;
    Some((i64::from_be_bytes(xact.try_into().ok()?), Uuid::from_slice(id).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_a_tampered_one_is_refused() {
        let place = (123_456_789, Uuid::from_u128(42));
        assert_eq!(read_cursor(&write_cursor(place)), Some(place));
        for bad in ["", "AAAA", "%00", "' or 1=1--", &write_cursor(place)[1..]] {
            assert_eq!(read_cursor(bad), None, "{bad}");
        }
    }
}
