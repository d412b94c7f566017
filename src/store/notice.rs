//! Reports that authors are owed: which submitted messages have to be looked at, and what was told about each.
//!
//! Answers: messages that came by submission and are not looked after yet, those whose time has come, and what is about to be told, written before it is
//! told, so that a node that dies in between leads to no second report. Does not: say what is due; `ops::notices` does.

use sqlx::{query, query_as, query_scalar};
use time::OffsetDateTime;
use uuid::Uuid;

use super::limit::{Limited, PATIENT, STATEMENT};
use super::{Store, StoreError, Tx};

/// A message that has to be looked at.
#[derive(Debug)]
pub(crate) struct NoticeRow {
    pub(crate) message_id: Uuid,
    pub(crate) project_id: Uuid,
    /// Recipients' places and what was told about each.
    pub(crate) told: serde_json::Value,
    /// What is about to be told.
    pub(crate) pending: Option<serde_json::Value>,
    /// Recipients' places and the success that was reported to us about each.
    pub(crate) reported: serde_json::Value,
}

/// Takes up submitted messages from `from` on that are not looked after; answers their ids in order.
pub(crate) async fn discover(tx: &mut Tx, from: Uuid, check_at: OffsetDateTime, limit: i64) -> Result<Vec<Uuid>, StoreError> {
    let mut ids = query_scalar!(
        "insert into notice (message_id, project_id, check_at)
         -- The conditions are those of the index.
         select m.id, m.project_id, $2 from message m
         where m.origin = 2 and m.reverse_path <> '' and m.id > $1 and not exists (select 1 from notice n where n.message_id = m.id)
         order by m.id limit $3
         on conflict do nothing returning message_id",
        from,
        check_at,
        limit
    )
    .fetch_all(&mut **tx)
    .limited(PATIENT)
    .await?;
    ids.sort_unstable();
    Ok(ids)
}

/// Forgets messages older than `before`.
pub(crate) async fn forget(tx: &mut Tx, before: Uuid) -> Result<(), StoreError> {
    query!("delete from notice where message_id < $1", before).execute(&mut **tx).limited(PATIENT).await?;
    Ok(())
}

/// Messages whose time has come; nobody else gets them until `until`.
pub(crate) async fn due(store: &Store, now: OffsetDateTime, until: OffsetDateTime, limit: i64) -> Result<Vec<NoticeRow>, StoreError> {
    let rows = query_as!(
        NoticeRow,
        r#"update notice set check_at = $2
           where message_id in (select message_id from notice where check_at <= $1 order by check_at limit $3 for update skip locked)
           returning message_id, project_id, told, pending as "pending?: serde_json::Value", reported"#,
        now,
        until,
        limit
    )
    .fetch_all(store.pool())
    .limited(PATIENT)
    .await?;
    Ok(rows)
}

/// Keeps what was told and is about to be, and when to look again.
pub(crate) async fn keep(
    store: &Store,
    message: Uuid,
    told: &serde_json::Value,
    pending: Option<&serde_json::Value>,
    check_at: OffsetDateTime,
) -> Result<(), StoreError> {
    query!("update notice set told = $2, pending = $3, check_at = $4 where message_id = $1", message, told, pending as _, check_at)
        .execute(store.pool())
        .limited(STATEMENT)
        .await?;
    Ok(())
}

/// Has a message looked at now: something was reported about it.
pub(crate) async fn wake(tx: &mut Tx, message: Uuid, now: OffsetDateTime) -> Result<(), StoreError> {
    query!("update notice set check_at = least(check_at, $2) where message_id = $1", message, now).execute(&mut **tx).limited(STATEMENT).await?;
    Ok(())
}

/// Notes successes that were reported to us, by the place of the recipient, and has the message looked at now. False: nobody is told of this message, which did not
/// come by submission.
pub(crate) async fn note_success(tx: &mut Tx, message: Uuid, reported: &serde_json::Value, now: OffsetDateTime) -> Result<bool, StoreError> {
    let done = query!(
        "insert into notice (message_id, project_id, check_at, reported)
         select m.id, m.project_id, $3, $2 from message m where m.id = $1 and m.origin = 2 and m.reverse_path <> ''
         on conflict (message_id) do update set
           -- What was said first stays.
           reported = excluded.reported || notice.reported, check_at = least(notice.check_at, excluded.check_at)",
        message,
        reported,
        now
    )
    .execute(&mut **tx)
    .limited(STATEMENT)
    .await?;
    Ok(done.rows_affected() > 0)
}
