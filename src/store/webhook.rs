//! Endpoints that are told by HTTP, and what they are told.

use sqlx::{query, query_scalar};
use time::OffsetDateTime;
use uuid::Uuid;

use super::limit::{Limited, PATIENT};
use super::{Store, StoreError, Tx};

/// A row of `webhook`, without its cursor.
#[derive(Clone, Debug)]
pub(crate) struct WebhookRow {
    pub(crate) id: Uuid,
    pub(crate) project_id: Uuid,
    pub(crate) route_id: Option<Uuid>,
    pub(crate) url: String,
    pub(crate) kinds: Vec<i16>,
    pub(crate) secret: Vec<u8>,
    pub(crate) old_secret: Option<Vec<u8>>,
    pub(crate) old_secret_until: Option<OffsetDateTime>,
    pub(crate) created_at: OffsetDateTime,
    pub(crate) disabled_at: Option<OffsetDateTime>,
    pub(crate) disabled_because: Option<String>,
}

/// What an endpoint is to be told.
#[derive(Clone, Debug)]
pub(crate) struct NewWebhookMessage {
    pub(crate) id: Uuid,
    pub(crate) webhook_id: Uuid,
    pub(crate) kind: i16,
    pub(crate) payload: Option<String>,
    pub(crate) incoming_id: Option<Uuid>,
    pub(crate) next_at: OffsetDateTime,
    pub(crate) give_up_at: OffsetDateTime,
}

/// Endpoints of a project, those of routes among them.
pub(crate) async fn count(store: &Store, project: Uuid) -> Result<i64, StoreError> {
    query_scalar!(r#"select count(*) as "count!" from webhook where project_id = $1"#, project).fetch_one(store.pool()).limited(PATIENT).await
}

/// What an endpoint signs with, sealed.
pub(crate) async fn sealed_secret(store: &Store, id: Uuid) -> Result<Option<Vec<u8>>, StoreError> {
    query_scalar!("select secret from webhook where id = $1", id).fetch_optional(store.pool()).limited(PATIENT).await
}

/// Writes an endpoint, which is told what happens from now on. Commits nothing.
pub(crate) async fn insert(tx: &mut Tx, row: &WebhookRow) -> Result<(), StoreError> {
    query!(
        "insert into webhook (id, project_id, route_id, url, kinds, secret, created_at, xact, event_id)
         values ($1, $2, $3, $4, $5, $6, $7, pg_snapshot_xmax(pg_current_snapshot())::text::bigint, $8)",
        row.id,
        row.project_id,
        row.route_id,
        row.url,
        &row.kinds,
        row.secret,
        row.created_at,
        Uuid::nil()
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Writes what endpoints are to be told. One that is gone is told nothing. Commits nothing.
pub(crate) async fn enqueue(tx: &mut Tx, rows: &[NewWebhookMessage]) -> Result<u64, StoreError> {
    let done = query!(
        "insert into webhook_message (id, webhook_id, kind, payload, incoming_id, state, next_at, give_up_at)
         select n.id, n.webhook_id, n.kind, n.payload, n.incoming_id, 'waiting', n.next_at, n.give_up_at
         from unnest($1::uuid[], $2::uuid[], $3::smallint[], $4::text[], $5::uuid[], $6::timestamptz[], $7::timestamptz[])
              as n (id, webhook_id, kind, payload, incoming_id, next_at, give_up_at)
         join webhook w on w.id = n.webhook_id",
        &rows.iter().map(|row| row.id).collect::<Vec<_>>(),
        &rows.iter().map(|row| row.webhook_id).collect::<Vec<_>>(),
        &rows.iter().map(|row| row.kind).collect::<Vec<_>>(),
        &rows.iter().map(|row| row.payload.clone()).collect::<Vec<_>>() as _,
        &rows.iter().map(|row| row.incoming_id).collect::<Vec<_>>() as _,
        &rows.iter().map(|row| row.next_at).collect::<Vec<_>>(),
        &rows.iter().map(|row| row.give_up_at).collect::<Vec<_>>()
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected())
}
