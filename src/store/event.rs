//! Reads the event log: the timeline of a message, and the feed by cursor; writes nothing.
#![expect(missing_docs, reason = "a field of a row is the column of its name, described in migrations/")]

use sqlx::query_as;
use uuid::Uuid;

use super::{Store, StoreError};

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
        // An event is never older than its message, so partitions before the first message are left out.
        let first = ids.iter().min().copied().unwrap_or_default();
        let rows = query_as!(
            EventRow,
            "select id, xact, message_id, rcpt_no, kind, recipient, data from event where message_id = any($1) and id >= $2 order by id",
            ids,
            first
        )
        .fetch_all(self.pool())
        .await?;
        Ok(rows)
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
        .await?;
        Ok(rows)
    }
}
