//! Messages that were passed on, and what is owed to their senders.

use sqlx::{query, query_as, query_scalar};
use time::OffsetDateTime;
use uuid::Uuid;

use super::limit::{Limited, PATIENT, STATEMENT};
use super::{Store, StoreError};

/// A message that is passed on.
#[derive(Clone, Debug)]
pub(crate) struct ForwardedRow {
    pub(crate) message_id: Uuid,
    pub(crate) project_id: Uuid,
    pub(crate) domain_id: Option<Uuid>,
    pub(crate) route_id: Option<Uuid>,
    pub(crate) recipient: String,
    pub(crate) target: String,
    pub(crate) reverse_path: String,
    pub(crate) authenticated: bool,
    pub(crate) passed_back: bool,
}

/// How the last word on a message reads.
#[derive(Clone, Debug)]
pub(crate) struct LastWord {
    pub(crate) outstanding: bool,
    pub(crate) kind: Option<i16>,
    pub(crate) data: Option<serde_json::Value>,
}

/// Writes what is about to be passed on; looked at again at `check_at`.
pub(crate) async fn insert(store: &Store, row: &ForwardedRow, check_at: OffsetDateTime) -> Result<(), StoreError> {
    query!(
        "insert into forwarded (message_id, project_id, domain_id, route_id, recipient, target, reverse_path, authenticated, check_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        row.message_id,
        row.project_id,
        row.domain_id,
        row.route_id,
        row.recipient,
        row.target,
        row.reverse_path,
        row.authenticated,
        check_at
    )
    .execute(store.pool())
    .limited(STATEMENT)
    .await?;
    Ok(())
}

/// Forgets a message that was not passed on after all.
pub(crate) async fn remove(store: &Store, message: Uuid) -> Result<(), StoreError> {
    query!("delete from forwarded where message_id = $1", message).execute(store.pool()).limited(STATEMENT).await?;
    Ok(())
}

/// Notes that the sender was told in its session: nothing is owed.
pub(crate) async fn pass_back(store: &Store, message: Uuid) -> Result<(), StoreError> {
    query!("update forwarded set passed_back = true, check_at = null where message_id = $1", message)
        .execute(store.pool())
        .limited(STATEMENT)
        .await?;
    Ok(())
}

/// A message that was passed on.
pub(crate) async fn get(store: &Store, message: Uuid) -> Result<Option<ForwardedRow>, StoreError> {
    query_as!(
        ForwardedRow,
        "select message_id, project_id, domain_id, route_id, recipient, target, reverse_path, authenticated, passed_back
         from forwarded where message_id = $1",
        message
    )
    .fetch_optional(store.pool())
    .limited(STATEMENT)
    .await
}

/// Counts a report that is given back; false if there were `most` already.
pub(crate) async fn give_back(store: &Store, message: Uuid, most: i16) -> Result<bool, StoreError> {
    let done = query!("update forwarded set returned = returned + 1 where message_id = $1 and returned < $2", message, most)
        .execute(store.pool())
        .limited(STATEMENT)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Messages whose time has come; nobody else gets them until `until`.
pub(crate) async fn due(store: &Store, now: OffsetDateTime, until: OffsetDateTime, limit: i64) -> Result<Vec<ForwardedRow>, StoreError> {
    query_as!(
        ForwardedRow,
        "update forwarded set check_at = $2
         where message_id in (select message_id from forwarded where check_at <= $1 order by check_at limit $3 for update skip locked)
         returning message_id, project_id, domain_id, route_id, recipient, target, reverse_path, authenticated, passed_back",
        now,
        until,
        limit
    )
    .fetch_all(store.pool())
    .limited(PATIENT)
    .await
}

/// Says when to look at a message again; none: it is over.
pub(crate) async fn check_at(store: &Store, message: Uuid, at: Option<OffsetDateTime>) -> Result<(), StoreError> {
    query!("update forwarded set check_at = $2 where message_id = $1", message, at).execute(store.pool()).limited(PATIENT).await?;
    Ok(())
}

/// What became of a message of one recipient.
pub(crate) async fn last_word(store: &Store, message: Uuid) -> Result<LastWord, StoreError> {
    let outstanding = query_scalar!(r#"select exists (select 1 from delivery where message_id = $1) as "is!""#, message)
        .fetch_one(store.pool())
        .limited(STATEMENT)
        .await?;
    let last = query!(
        r#"select kind as "kind!", data::jsonb as "data: serde_json::Value" from event where message_id = $1 and rcpt_no = 0 order by id desc limit 1"#,
        message
    )
    .fetch_optional(store.pool())
    .limited(STATEMENT)
    .await?;
    Ok(match last {
        Some(last) => LastWord { outstanding, kind: Some(last.kind), data: last.data },
        None => LastWord { outstanding, kind: None, data: None },
    })
}

impl Store {
    /// Deletes what is kept of messages that were passed on before the first of these ids; answers how many.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn delete_forwarded(&self, before: Uuid, limit: i64) -> Result<u64, StoreError> {
        let done = query!(
            "delete from forwarded where message_id in (select message_id from forwarded where message_id < $1 order by message_id limit $2)",
            before,
            limit
        )
        .execute(self.pool())
        .limited(PATIENT)
        .await?;
        Ok(done.rows_affected())
    }
}
