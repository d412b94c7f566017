//! The suppression list: entries, and the reading of events that make them.
//!
//! Does not: ask it for a message's recipients; that is part of the statements that accept and claim (`store::outbox`).

use sqlx::{query, query_as};
use time::OffsetDateTime;
use uuid::Uuid;

use super::limit::{Limited, PATIENT, STATEMENT};
use super::{Store, StoreError, Tx};

/// A row of `suppression`.
#[derive(Clone, Debug)]
pub(crate) struct SuppressionRow {
    pub(crate) id: Uuid,
    pub(crate) project_id: Uuid,
    pub(crate) address: String,
    pub(crate) stream: String,
    pub(crate) reason: String,
    pub(crate) origin: String,
    pub(crate) class: Option<String>,
    pub(crate) message_id: Option<Uuid>,
    pub(crate) note: Option<String>,
    pub(crate) created_at: OffsetDateTime,
}

/// What a list is narrowed to.
#[derive(Clone, Debug, Default)]
pub(crate) struct SuppressionSearch {
    pub(crate) address: Option<String>,
    pub(crate) stream: Option<String>,
    pub(crate) reason: Option<String>,
}

/// Writes entries, those that are not there yet; answers how many they were. Commits nothing.
pub(crate) async fn insert(tx: &mut Tx, rows: &[SuppressionRow]) -> Result<u64, StoreError> {
    let mut sorted: Vec<&SuppressionRow> = rows.iter().collect();
    // In one order, so that two writers of the same entries cannot wait for each other in a circle.
    sorted.sort_by(|a, b| (a.project_id, &a.address, &a.stream).cmp(&(b.project_id, &b.address, &b.stream)));
    let texts = |text: fn(&SuppressionRow) -> &str| sorted.iter().map(|row| text(row).to_owned()).collect::<Vec<_>>();
    let done = query!(
        "insert into suppression (id, project_id, address, stream, reason, origin, class, message_id, note, created_at)
         select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::uuid[], $9::text[], $10::timestamptz[])
         on conflict (project_id, address, stream) do nothing",
        &sorted.iter().map(|row| row.id).collect::<Vec<_>>(),
        &sorted.iter().map(|row| row.project_id).collect::<Vec<_>>(),
        &texts(|row| &row.address),
        &texts(|row| &row.stream),
        &texts(|row| &row.reason),
        &texts(|row| &row.origin),
        &sorted.iter().map(|row| row.class.clone()).collect::<Vec<_>>() as _,
        &sorted.iter().map(|row| row.message_id).collect::<Vec<_>>() as _,
        &sorted.iter().map(|row| row.note.clone()).collect::<Vec<_>>() as _,
        &sorted.iter().map(|row| row.created_at).collect::<Vec<_>>()
    )
    .execute(&mut **tx)
    .limited(PATIENT)
    .await?;
    Ok(done.rows_affected())
}

/// The entry of an address and stream.
pub(crate) async fn find(store: &Store, project: Uuid, address: &str, stream: &str) -> Result<Option<SuppressionRow>, StoreError> {
    let row = query_as!(
        SuppressionRow,
        "select id, project_id, address, stream, reason, origin, class, message_id, note, created_at
         from suppression where project_id = $1 and address = $2 and stream = $3",
        project,
        address,
        stream
    )
    .fetch_optional(store.pool())
    .limited(PATIENT)
    .await?;
    Ok(row)
}

/// One entry.
pub(crate) async fn get(store: &Store, project: Uuid, id: Uuid) -> Result<Option<SuppressionRow>, StoreError> {
    let row = query_as!(
        SuppressionRow,
        "select id, project_id, address, stream, reason, origin, class, message_id, note, created_at
         from suppression where project_id::text = $1::uuid::text and id = $2",
        project,
        id
    )
    .fetch_optional(store.pool())
    .limited(PATIENT)
    .await?;
    Ok(row)
}

/// Entries in the order in which they were made.
pub(crate) async fn list(
    store: &Store,
    project: Uuid,
    search: &SuppressionSearch,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<SuppressionRow>, StoreError> {
    if let Some(address) = &search.address {
        // By the primary key: who asks about one address does not wait for a look at all of a long list.
        let rows = query_as!(
            SuppressionRow,
            "select id, project_id, address, stream, reason, origin, class, message_id, note, created_at
             from suppression
             where project_id = $1 and address = $3 and ($2::uuid is null or id > $2)
               and ($4::text is null or stream = $4) and ($5::text is null or reason = $5)
             order by id limit $6",
            project,
            after,
            address,
            search.stream.as_deref(),
            search.reason.as_deref(),
            limit
        );
        return rows.fetch_all(store.pool()).limited(PATIENT).await;
    }
    let rows = query_as!(
        SuppressionRow,
        "select id, project_id, address, stream, reason, origin, class, message_id, note, created_at
         from suppression
         where project_id::text = $1::uuid::text and ($2::uuid is null or id > $2)
           and ($3::text is null or stream = $3) and ($4::text is null or reason = $4)
         order by id limit $5",
        project,
        after,
        search.stream.as_deref(),
        search.reason.as_deref(),
        limit
    )
    .fetch_all(store.pool())
    .limited(PATIENT)
    .await?;
    Ok(rows)
}

/// Removes one entry; false if there is none.
pub(crate) async fn remove(store: &Store, project: Uuid, id: Uuid) -> Result<bool, StoreError> {
    let done = query!("delete from suppression where project_id::text = $1::uuid::text and id = $2", project, id)
        .execute(store.pool())
        .limited(PATIENT)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Removes the entries of an address, of one stream or of all; answers how many.
pub(crate) async fn remove_address(store: &Store, project: Uuid, address: &str, stream: Option<&str>) -> Result<u64, StoreError> {
    let done =
        query!("delete from suppression where project_id = $1 and address = $2 and ($3::text is null or stream = $3)", project, address, stream)
            .execute(store.pool())
            .limited(PATIENT)
            .await?;
    Ok(done.rows_affected())
}

impl Store {
    /// The recipients of some messages that were suppressed when these were accepted.
    pub async fn refused_at_accept(&self, messages: &[Uuid]) -> Result<Vec<(Uuid, i16)>, StoreError> {
        let rows = query!(
            r#"select message_id as "message_id!", rcpt_no as "rcpt_no!" from event
               where message_id = any($1) and kind = 6 and data ->> 'at' = 'accept'"#,
            messages
        )
        .fetch_all(self.pool())
        .limited(STATEMENT)
        .await?;
        Ok(rows.into_iter().map(|row| (row.message_id, row.rcpt_no)).collect())
    }
}
