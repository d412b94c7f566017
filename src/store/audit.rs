//! The audit trail: appended to, counted up while a change of many goes on, and deleted by age.
#![expect(missing_docs, reason = "a field of a row is the column of its name, described in migrations/")]

use uuid::Uuid;

use super::limit::{Limited, PATIENT, STATEMENT};
use super::{Store, StoreError};

/// A row of `audit`.
#[derive(Clone, Debug)]
pub struct AuditRow {
    pub id: Uuid,
    pub project_id: Option<Uuid>,
    pub actor_key: Option<Uuid>,
    pub actor: String,
    pub action: String,
    pub target: serde_json::Value,
    pub changed: Option<i64>,
    pub active: Option<i64>,
}

/// Writes a row; the counts of one that is there are added to.
///
/// # Errors
/// [`StoreError`].
pub async fn write<'e>(executor: impl sqlx::PgExecutor<'e>, row: &AuditRow) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into audit (id, project_id, actor_key, actor, action, target, changed, active) values ($1, $2, $3, $4, $5, $6, $7, $8)
         on conflict (id) do update set changed = audit.changed + excluded.changed, active = audit.active + excluded.active",
        row.id,
        row.project_id,
        row.actor_key,
        row.actor,
        row.action,
        row.target,
        row.changed,
        row.active
    )
    .execute(executor)
    .limited(STATEMENT)
    .await?;
    Ok(())
}

impl Store {
    /// Writes a row by itself.
    pub async fn write_audit(&self, row: &AuditRow) -> Result<(), StoreError> {
        write(self.pool(), row).await
    }

    /// Rows of a project, and with `house` those of the whole house too, newest first.
    pub async fn audit(&self, project: Uuid, house: bool, before: Option<Uuid>, limit: i64) -> Result<Vec<AuditRow>, StoreError> {
        let rows = sqlx::query_as!(
            AuditRow,
            r#"select id, project_id, actor_key, actor, action, target as "target: serde_json::Value", changed, active from audit
               where (project_id = $1 or ($2::boolean and project_id is null)) and ($3::uuid is null or id < $3) order by id desc limit $4"#,
            project,
            house,
            before,
            limit
        )
        .fetch_all(self.pool())
        .limited(STATEMENT)
        .await?;
        Ok(rows)
    }

    /// Deletes rows below an id, at most `limit`. Answers how many.
    pub async fn delete_audit(&self, below: Uuid, limit: i64) -> Result<u64, StoreError> {
        let done = sqlx::query!("delete from audit where id in (select id from audit where id < $1 order by id limit $2)", below, limit)
            .execute(self.pool())
            .limited(PATIENT)
            .await?;
        Ok(done.rows_affected())
    }
}
