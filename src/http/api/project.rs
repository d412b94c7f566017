//! `/v1/project`: the switches of the key's project.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::Api;
use crate::http::extract::{self, Manager, Payload, Reader};
use crate::http::problem::Problem;
use crate::model::ProjectId;

/// The switches of a project.
#[derive(Serialize, ToSchema)]
pub struct ProjectView {
    /// Its id.
    #[schema(value_type = String, example = "prj_01jd5q0v0h7d6r2n8k4m3x9wbz")]
    pub id: ProjectId,
    /// Every recipient gets a transaction of its own, so that the reverse-path of each copy names its delivery. Off: recipients at one
    /// domain share a transaction, whose reverse-path names the message.
    pub strict_verp: bool,
}

/// Switches to set; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProjectChange {
    /// See `strict_verp` of the project.
    #[serde(default)]
    pub strict_verp: Option<bool>,
}

impl Payload for ProjectChange {}

/// Show the project
#[utoipa::path(get, path = "/v1/project", operation_id = "get_project", tag = "Project",
    responses((status = 200, description = "The project of the API key.", body = ProjectView)))]
pub async fn get(State(api): State<Arc<Api>>, Reader(caller): Reader) -> Result<Json<ProjectView>, Problem> {
    let strict_verp = api.domains.strict_verp(caller.project).await?;
    Ok(Json(ProjectView { id: caller.project, strict_verp }))
}

/// Change the project
#[utoipa::path(patch, path = "/v1/project", operation_id = "change_project", tag = "Project", request_body = ProjectChange,
    responses((status = 200, description = "The project as it is now; nodes heed it within a minute.", body = ProjectView)))]
pub async fn change(
    State(api): State<Arc<Api>>,
    Manager(caller): Manager,
    request: extract::Json<ProjectChange>,
) -> Result<Json<ProjectView>, Problem> {
    if let Some(strict) = request.value.strict_verp {
        api.domains.set_strict_verp(caller.project, strict).await?;
    }
    let strict_verp = api.domains.strict_verp(caller.project).await?;
    Ok(Json(ProjectView { id: caller.project, strict_verp }))
}
