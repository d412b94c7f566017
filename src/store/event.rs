//! Reads the event log: the timeline of a message, and the feed by cursor; writes nothing.
#![expect(missing_docs, reason = "a field of a row is the column of its name, described in migrations/")]

use sqlx::query_as;
use uuid::Uuid;

use super::limit::{Limited, PATIENT, STATEMENT};
use super::{Store, StoreError};

/// How much older than its message an event may look, in milliseconds.
const MAX_SKEW_MS: u128 = 3_600_000;

/// An `event` row.
#[derive(Debug)]
pub struct EventRow {
    pub id: Uuid,
    pub xact: i64,
    pub message_id: Option<Uuid>,
    pub rcpt_no: Option<i16>,
    pub kind: i16,
    pub recipient: Option<String>,
    pub data: serde_json::Value,
}

impl Store {
    /// All events of some messages, oldest first.
    pub async fn timeline(&self, ids: &[Uuid]) -> Result<Vec<EventRow>, StoreError> {
        // Partitions long before the first message are left out. Not those just before: ids of one millisecond have no order,
        // and the clocks of two nodes may differ.
        let first = ids.iter().min().map_or(Uuid::nil(), |id| Uuid::from_u128(id.as_u128().saturating_sub(MAX_SKEW_MS << 80)));
        let rows = query_as!(
            EventRow,
            "select id, xact, message_id, rcpt_no, kind, recipient, data from event where message_id = any($1) and id >= $2 order by id",
            ids,
            first
        )
        .fetch_all(self.pool())
        .limited(PATIENT)
        .await?;
        Ok(rows)
    }

    /// Which of these events, all of some of these messages, are there.
    pub async fn existing_events(&self, messages: &[Uuid], ids: &[Uuid]) -> Result<Vec<Uuid>, StoreError> {
        sqlx::query_scalar!("select id from event where message_id = any($1) and id = any($2)", messages, ids)
            .fetch_all(self.pool())
            .limited(STATEMENT)
            .await
    }

    /// Events of a project behind a cursor, in the order of their transactions. Rows of transactions that are still open,
    /// and all later ones, wait for the next call, so a reader never skips one that commits late.
    pub async fn feed(&self, project: Uuid, after: (i64, Uuid), kinds: &[i16], limit: i64) -> Result<Vec<EventRow>, StoreError> {
        let rows = query_as!(
            EventRow,
            "select id, xact, message_id, rcpt_no, kind, recipient, data from event
             where project_id = $1 and (xact, id) > ($2, $3) and xact < (pg_snapshot_xmin(pg_current_snapshot())::text::bigint)
               and (cardinality($4::smallint[]) = 0 or kind = any($4))
             order by xact, id limit $5",
            project,
            after.0,
            after.1,
            kinds,
            limit
        )
        .fetch_all(self.pool())
        .limited(PATIENT)
        .await?;
        Ok(rows)
    }
}
