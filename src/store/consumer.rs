//! Consumers of the event log: how far each has come, and what it reads next.
//!
//! Answers: a cursor that is moved in the transaction that keeps what was made of the events, so that each event counts exactly
//! once, however many nodes read and whenever one dies.

use sqlx::query;
use uuid::Uuid;

use super::limit::{Limited, PATIENT};
use super::{StoreError, Tx};

/// An event that may condemn an address: a bounce or a complaint.
#[derive(Debug)]
pub(crate) struct CondemningRow {
    pub(crate) id: Uuid,
    pub(crate) xact: i64,
    pub(crate) project_id: Uuid,
    pub(crate) message_id: Option<Uuid>,
    pub(crate) kind: i16,
    pub(crate) recipient: Option<String>,
    pub(crate) data: serde_json::Value,
    /// The stream of the message, if that is still there.
    pub(crate) stream: Option<String>,
}

/// Where a consumer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) xact: i64,
    pub(crate) event_id: Uuid,
    /// The server has not come as far: it is another one, on which the log was restored.
    pub(crate) ahead: bool,
}

/// Takes a consumer's cursor until the transaction ends; none if another node has it.
pub(crate) async fn take(tx: &mut Tx, name: &str) -> Result<Option<Cursor>, StoreError> {
    let row = query!(
        r#"select xact, event_id, xact > pg_snapshot_xmax(pg_current_snapshot())::text::bigint as "ahead!"
           from consumer where name = $1 for update skip locked"#,
        name
    )
    .fetch_optional(&mut **tx)
    .limited(PATIENT)
    .await?;
    Ok(row.map(|row| Cursor { xact: row.xact, event_id: row.event_id, ahead: row.ahead }))
}

/// Moves a cursor that was taken.
pub(crate) async fn advance(tx: &mut Tx, name: &str, xact: i64, event_id: Uuid) -> Result<(), StoreError> {
    query!("update consumer set xact = $2, event_id = $3 where name = $1", name, xact, event_id).execute(&mut **tx).limited(PATIENT).await?;
    Ok(())
}

/// Moves a cursor behind everything that is there.
pub(crate) async fn restart(tx: &mut Tx, name: &str) -> Result<(), StoreError> {
    query!("update consumer set xact = pg_snapshot_xmin(pg_current_snapshot())::text::bigint, event_id = $2 where name = $1", name, Uuid::nil())
        .execute(&mut **tx)
        .limited(PATIENT)
        .await?;
    Ok(())
}

/// Bounces and complaints behind a cursor, of all projects, in the order of their transactions. Rows of transactions that are still
/// open, and all later ones, wait.
pub(crate) async fn condemning(tx: &mut Tx, after: Cursor, limit: i64) -> Result<Vec<CondemningRow>, StoreError> {
    let rows = sqlx::query_as!(
        CondemningRow,
        r#"select e.id, e.xact, e.project_id, e.message_id, e.kind, e.recipient, e.data,
                  (select m.stream from message m where m.id = e.message_id) as stream
           from event e
           -- The kinds as constants: the partial index event_condemning holds nothing else.
           where e.kind in (4, 8) and (e.xact, e.id) > ($1, $2) and e.xact < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
           order by e.xact, e.id limit $3"#,
        after.xact,
        after.event_id,
        limit
    )
    .fetch_all(&mut **tx)
    .limited(PATIENT)
    .await?;
    Ok(rows)
}
