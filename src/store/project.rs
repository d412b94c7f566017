//! Projects.

use uuid::Uuid;

use super::limit::{Limited, PATIENT};
use super::{Store, StoreError, Tx};
use crate::model::ProjectId;

/// The project called `name`, made under the id `fresh` if there is none.
pub(crate) async fn find_or_make(store: &Store, name: &str, fresh: ProjectId) -> Result<ProjectId, StoreError> {
    if let Some(id) = find(store, name).await? {
        return Ok(id);
    }
    sqlx::query!("insert into project (id, name) values ($1, $2) on conflict (name) do nothing", fresh.uuid(), name)
        .execute(store.pool())
        .limited(PATIENT)
        .await?;
    // Read back: another process may have been first.
    find(store, name).await?.ok_or_else(|| StoreError::Corrupt(format!("the project {name} vanished while it was made")))
}

/// Sets whether a project asks for one transaction for each recipient.
pub(crate) async fn set_strict_verp(store: &Store, project: ProjectId, strict: bool) -> Result<(), StoreError> {
    sqlx::query!("update project set strict_verp = $2 where id = $1", project.uuid(), strict).execute(store.pool()).limited(PATIENT).await?;
    Ok(())
}

/// A row of `project`.
#[derive(Clone, Debug)]
pub(crate) struct ProjectRow {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) strict_verp: bool,
}

/// All projects by name.
pub(crate) async fn list(store: &Store) -> Result<Vec<ProjectRow>, StoreError> {
    sqlx::query_as!(ProjectRow, r#"select id, name, strict_verp from project order by name collate "C""#)
        .fetch_all(store.pool())
        .limited(PATIENT)
        .await
}

/// Writes a project, or the switches of one that is there. Commits nothing.
pub(crate) async fn write_within(tx: &mut Tx, row: &ProjectRow) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into project (id, name, strict_verp) values ($1, $2, $3) on conflict (id) do update set strict_verp = excluded.strict_verp",
        row.id,
        row.name,
        row.strict_verp
    )
    .execute(&mut **tx)
    .limited(PATIENT)
    .await?;
    Ok(())
}

/// The project called `name`.
pub(crate) async fn find(store: &Store, name: &str) -> Result<Option<ProjectId>, StoreError> {
    let id: Option<Uuid> = sqlx::query_scalar!("select id from project where name = $1", name).fetch_optional(store.pool()).limited(PATIENT).await?;
    Ok(id.map(ProjectId::from_uuid))
}
