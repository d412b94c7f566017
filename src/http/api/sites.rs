//! `/v1/sites`: the mail hosts that a project's mail waits for.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::Api;
use crate::http::extract::Reader;
use crate::http::problem::Problem;
use crate::outbox::SiteView;

/// Sites.
#[derive(Serialize, ToSchema)]
pub struct SiteList {
    /// Sites that asked for less mail or could not be reached, among those that deliveries of the project wait for.
    pub data: Vec<SiteView>,
    /// Always null: the list is whole.
    pub next_cursor: Option<String>,
}

/// Show sites
#[utoipa::path(get, path = "/v1/sites", operation_id = "list_sites", tag = "Queue",
    responses((status = 200, description = "Mail hosts that are sent less than could be, and why.", body = SiteList)))]
pub async fn list(State(api): State<Arc<Api>>, Reader(caller): Reader) -> Result<Json<SiteList>, Problem> {
    Ok(Json(SiteList { data: api.outbox.sites(caller.project).await?, next_cursor: None }))
}
