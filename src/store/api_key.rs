//! API keys.

use time::OffsetDateTime;
use uuid::Uuid;

use super::limit::{Limited, PATIENT, STATEMENT};
use super::{Store, StoreError, Tx};
use crate::model::page::PageRequest;
use crate::model::{KeyId, ProjectId};

/// A row of `api_key`.
#[derive(Clone, Debug)]
pub(crate) struct KeyRow {
    pub(crate) id: Uuid,
    pub(crate) project_id: Uuid,
    pub(crate) name: String,
    pub(crate) scope: String,
    pub(crate) domains: Option<Vec<String>>,
    pub(crate) test: bool,
    pub(crate) lookup: String,
    pub(crate) secret_hash: Vec<u8>,
    pub(crate) created_at: OffsetDateTime,
    pub(crate) expires_at: Option<OffsetDateTime>,
    pub(crate) last_used_at: Option<OffsetDateTime>,
    pub(crate) revoked_at: Option<OffsetDateTime>,
}

/// Writes a new key.
pub(crate) async fn insert(store: &Store, row: &KeyRow) -> Result<(), StoreError> {
    let mut tx = store.begin().await?;
    insert_within(&mut tx, row).await?;
    Store::commit(tx).await
}

/// As [`insert`]. Commits nothing.
pub(crate) async fn insert_within(tx: &mut Tx, row: &KeyRow) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into api_key (id, project_id, name, scope, domains, test, lookup, secret_hash, created_at, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        row.id,
        row.project_id,
        row.name,
        row.scope,
        row.domains.as_deref(),
        row.test,
        row.lookup,
        row.secret_hash,
        row.created_at,
        row.expires_at
    )
    .execute(&mut **tx)
    .limited(PATIENT)
    .await?;
    Ok(())
}

/// The key with this public part, of any project.
pub(crate) async fn by_lookup(store: &Store, lookup: &str) -> Result<Option<KeyRow>, StoreError> {
    sqlx::query_as!(KeyRow, "select * from api_key where lookup = $1", lookup).fetch_optional(store.pool()).limited(STATEMENT).await
}

/// The keys of a project, oldest first, one more than the limit.
pub(crate) async fn list(store: &Store, project: ProjectId, page: PageRequest) -> Result<Vec<KeyRow>, StoreError> {
    sqlx::query_as!(
        KeyRow,
        "select * from api_key where project_id = $1 and ($2::uuid is null or id > $2) order by id limit $3",
        project.uuid(),
        page.after,
        i64::from(page.limit) + 1
    )
    .fetch_all(store.pool())
    .limited(PATIENT)
    .await
}

/// Revokes a key of the project; false if it has no such key. The time of the first revocation stays.
pub(crate) async fn revoke(store: &Store, project: ProjectId, id: KeyId, at: OffsetDateTime) -> Result<bool, StoreError> {
    let done =
        sqlx::query!("update api_key set revoked_at = coalesce(revoked_at, $3) where project_id = $1 and id = $2", project.uuid(), id.uuid(), at)
            .execute(store.pool())
            .limited(PATIENT)
            .await?;
    Ok(done.rows_affected() == 1)
}

/// Writes when keys were last used; never turns a time back.
pub(crate) async fn record_use(store: &Store, ids: &[Uuid], times: &[OffsetDateTime]) -> Result<(), StoreError> {
    sqlx::query!(
        // In the order of the ids, so that two processes cannot wait for each other.
        "with used as (
            select key.id, seen.at from unnest($1::uuid[], $2::timestamptz[]) as seen (id, at) join api_key as key on key.id = seen.id
            order by key.id for update of key
         )
         update api_key set last_used_at = greatest(api_key.last_used_at, used.at) from used where api_key.id = used.id",
        ids,
        times
    )
    .execute(store.pool())
    .limited(PATIENT)
    .await?;
    Ok(())
}
