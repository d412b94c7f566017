//! Projects.

use uuid::Uuid;

use super::limit::{Limited, PATIENT};
use super::{Store, StoreError};
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

/// The project called `name`.
pub(crate) async fn find(store: &Store, name: &str) -> Result<Option<ProjectId>, StoreError> {
    let id: Option<Uuid> = sqlx::query_scalar!("select id from project where name = $1", name).fetch_optional(store.pool()).limited(PATIENT).await?;
    Ok(id.map(ProjectId::from_uuid))
}
