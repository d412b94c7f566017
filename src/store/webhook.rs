//! Endpoints that are told by HTTP, and how far each has read the event log.
//!
//! Does not: know what they are told; `webhook_message` does.

use sqlx::{query, query_as, query_scalar};
use time::OffsetDateTime;
use uuid::Uuid;

use super::limit::{Limited, PATIENT, STATEMENT};
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
    pub(crate) failing_since: Option<OffsetDateTime>,
    pub(crate) disabled_because: Option<String>,
}

/// An endpoint that reads events, taken until the transaction ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReaderRow {
    pub(crate) id: Uuid,
    /// How far it has read.
    pub(crate) xact: i64,
    /// Every event of a transaction before it can be read.
    pub(crate) horizon: i64,
    /// The server has not come as far as its cursor: the log was restored on another one.
    pub(crate) ahead: bool,
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
    .limited(STATEMENT)
    .await?;
    Ok(())
}

/// Endpoints of a project, oldest first.
pub(crate) async fn list(store: &Store, project: Uuid, after: Option<Uuid>, limit: i64) -> Result<Vec<WebhookRow>, StoreError> {
    let rows = query_as!(
        WebhookRow,
        "select id, project_id, route_id, url, kinds, secret, old_secret, old_secret_until, created_at, disabled_at, failing_since, disabled_because
         from webhook where project_id = $1 and ($2::uuid is null or id > $2) order by id limit $3",
        project,
        after,
        limit
    )
    .fetch_all(store.pool())
    .limited(PATIENT)
    .await?;
    Ok(rows)
}

/// One endpoint, of a project or of any.
pub(crate) async fn get(store: &Store, project: Option<Uuid>, id: Uuid) -> Result<Option<WebhookRow>, StoreError> {
    let row = query_as!(
        WebhookRow,
        "select id, project_id, route_id, url, kinds, secret, old_secret, old_secret_until, created_at, disabled_at, failing_since, disabled_because
         from webhook where id = $2 and ($1::uuid is null or project_id = $1)",
        project,
        id
    )
    .fetch_optional(store.pool())
    .limited(STATEMENT)
    .await?;
    Ok(row)
}

/// Removes an endpoint of a project that is not a route's, with what it was to be told; false if there is none.
pub(crate) async fn remove(store: &Store, project: Uuid, id: Uuid) -> Result<bool, StoreError> {
    let done = query!("delete from webhook where project_id = $1 and id = $2 and route_id is null", project, id)
        .execute(store.pool())
        .limited(PATIENT)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Gives an endpoint another secret; what signed until now signs too until `old_until`.
pub(crate) async fn rotate(store: &Store, id: Uuid, secret: &[u8], old: &[u8], old_until: OffsetDateTime) -> Result<(), StoreError> {
    query!("update webhook set secret = $2, old_secret = $3, old_secret_until = $4 where id = $1", id, secret, old, old_until)
        .execute(store.pool())
        .limited(PATIENT)
        .await?;
    Ok(())
}

/// Lets an endpoint be told again, of what happens from now on and of what still waits.
pub(crate) async fn enable(store: &Store, project: Uuid, id: Uuid) -> Result<bool, StoreError> {
    let done = query!(
        "update webhook set disabled_at = null, disabled_because = null, failing_since = null,
                -- What happened meanwhile is read from the feed by who wants it.
                xact = case when disabled_at is null then xact else pg_snapshot_xmax(pg_current_snapshot())::text::bigint end
         where project_id = $1 and id = $2",
        project,
        id
    )
    .execute(store.pool())
    .limited(PATIENT)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Tells an endpoint nothing more.
pub(crate) async fn disable(store: &Store, id: Uuid, at: OffsetDateTime, because: &str) -> Result<bool, StoreError> {
    let done = query!("update webhook set disabled_at = $2, disabled_because = $3 where id = $1 and disabled_at is null", id, at, because)
        .execute(store.pool())
        .limited(PATIENT)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Writes how an endpoint is: failing since some time, or well. Answers since when it fails.
pub(crate) async fn note(store: &Store, id: Uuid, failed_at: Option<OffsetDateTime>) -> Result<Option<OffsetDateTime>, StoreError> {
    let since = query_scalar!(
        // Most attempts change nothing, and then nothing is written.
        "with changed as (
            update webhook set failing_since = case when $2::timestamptz is null then null else coalesce(failing_since, $2) end
            where id = $1 and (failing_since is null) <> ($2::timestamptz is null) returning failing_since
         )
         select failing_since from changed union all
         select failing_since from webhook where id = $1 and not exists (select from changed)",
        id,
        failed_at
    )
    .fetch_optional(store.pool())
    .limited(STATEMENT)
    .await?;
    Ok(since.flatten())
}

/// Takes endpoints that read events, those behind `after`; those that another node has are left out.
pub(crate) async fn take_readers(tx: &mut Tx, after: Uuid, limit: i64) -> Result<Vec<ReaderRow>, StoreError> {
    let rows = query_as!(
        ReaderRow,
        r#"select id, xact, pg_snapshot_xmin(pg_current_snapshot())::text::bigint as "horizon!", xact > pg_snapshot_xmax(pg_current_snapshot())::text::bigint as "ahead!"
           from webhook where route_id is null and disabled_at is null and id > $1 order by id limit $2 for update skip locked"#,
        after,
        limit
    )
    .fetch_all(&mut **tx)
    .limited(PATIENT)
    .await?;
    Ok(rows)
}

/// Moves the cursors of endpoints that were taken. Commits nothing.
pub(crate) async fn advance(tx: &mut Tx, cursors: &[(Uuid, i64, Uuid)]) -> Result<(), StoreError> {
    query!(
        "update webhook set xact = c.xact, event_id = c.event_id from unnest($1::uuid[], $2::bigint[], $3::uuid[]) as c (id, xact, event_id)
         where webhook.id = c.id",
        &cursors.iter().map(|cursor| cursor.0).collect::<Vec<_>>(),
        &cursors.iter().map(|cursor| cursor.1).collect::<Vec<_>>(),
        &cursors.iter().map(|cursor| cursor.2).collect::<Vec<_>>()
    )
    .execute(&mut **tx)
    .limited(PATIENT)
    .await?;
    Ok(())
}
