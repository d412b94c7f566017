//! Users who submit mail by SMTP.

use time::OffsetDateTime;
use uuid::Uuid;

use super::limit::{Limited, PATIENT, STATEMENT};
use super::{Store, StoreError, Tx};
use crate::model::ProjectId;
use crate::model::page::PageRequest;

/// The constraint that refuses a name that is taken.
pub(crate) const USERNAME_TAKEN: &str = "smtp_user_username";

/// A row of `smtp_user`.
#[derive(Clone, Debug)]
pub(crate) struct SmtpUserRow {
    pub(crate) id: Uuid,
    pub(crate) project_id: Uuid,
    pub(crate) username: String,
    pub(crate) send_as: Vec<String>,
    pub(crate) password_hash: String,
    pub(crate) created_at: OffsetDateTime,
    pub(crate) changed_at: OffsetDateTime,
    pub(crate) last_used_at: Option<OffsetDateTime>,
}

/// Writes a new user.
pub(crate) async fn insert(store: &Store, row: &SmtpUserRow) -> Result<(), StoreError> {
    let mut tx = store.begin().await?;
    insert_within(&mut tx, row).await?;
    Store::commit(tx).await
}

/// As [`insert`]. Commits nothing.
pub(crate) async fn insert_within(tx: &mut Tx, row: &SmtpUserRow) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into smtp_user (id, project_id, username, send_as, password_hash, created_at, changed_at) values ($1, $2, $3, $4, $5, $6, $7)",
        row.id,
        row.project_id,
        row.username,
        &row.send_as,
        row.password_hash,
        row.created_at,
        row.changed_at
    )
    .execute(&mut **tx)
    .limited(PATIENT)
    .await?;
    Ok(())
}

/// The user of this name, of any project.
pub(crate) async fn by_username(store: &Store, username: &str) -> Result<Option<SmtpUserRow>, StoreError> {
    sqlx::query_as!(SmtpUserRow, "select * from smtp_user where username = $1", username).fetch_optional(store.pool()).limited(STATEMENT).await
}

/// The users of a project, oldest first, one more than the limit.
pub(crate) async fn list(store: &Store, project: ProjectId, page: PageRequest) -> Result<Vec<SmtpUserRow>, StoreError> {
    sqlx::query_as!(
        SmtpUserRow,
        "select * from smtp_user where project_id = $1 and ($2::uuid is null or id > $2) order by id limit $3",
        project.uuid(),
        page.after,
        i64::from(page.limit) + 1
    )
    .fetch_all(store.pool())
    .limited(PATIENT)
    .await
}

/// Gives a user of the project another password; none if it has no such user.
pub(crate) async fn change_password(
    store: &Store,
    project: ProjectId,
    id: Uuid,
    password_hash: &str,
    at: OffsetDateTime,
) -> Result<Option<SmtpUserRow>, StoreError> {
    sqlx::query_as!(
        SmtpUserRow,
        "update smtp_user set password_hash = $3, changed_at = $4 where project_id = $1 and id = $2 returning *",
        project.uuid(),
        id,
        password_hash,
        at
    )
    .fetch_optional(store.pool())
    .limited(PATIENT)
    .await
}

/// Gives a user other senders and, if there is one, another password. Commits nothing.
pub(crate) async fn change_within(
    tx: &mut Tx,
    id: Uuid,
    send_as: &[String],
    password_hash: Option<&str>,
    at: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update smtp_user set send_as = $2, password_hash = coalesce($3, password_hash),
                changed_at = case when $3::text is null or $3 = password_hash then changed_at else $4 end
         where id = $1",
        id,
        send_as,
        password_hash,
        at
    )
    .execute(&mut **tx)
    .limited(PATIENT)
    .await?;
    Ok(())
}

/// Removes a user of the project; false if it has no such user.
pub(crate) async fn delete(store: &Store, project: ProjectId, id: Uuid) -> Result<bool, StoreError> {
    let done =
        sqlx::query!("delete from smtp_user where project_id = $1 and id = $2", project.uuid(), id).execute(store.pool()).limited(PATIENT).await?;
    Ok(done.rows_affected() == 1)
}

/// Writes when users last signed in; never turns a time back.
pub(crate) async fn record_use(store: &Store, ids: &[Uuid], times: &[OffsetDateTime]) -> Result<(), StoreError> {
    sqlx::query!(
        // In the order of the ids, so that two processes cannot wait for each other.
        "with used as (
            select one.id, seen.at from unnest($1::uuid[], $2::timestamptz[]) as seen (id, at) join smtp_user as one on one.id = seen.id
            order by one.id for update of one
         )
         update smtp_user set last_used_at = greatest(smtp_user.last_used_at, used.at) from used where smtp_user.id = used.id",
        ids,
        times
    )
    .execute(store.pool())
    .limited(PATIENT)
    .await?;
    Ok(())
}
