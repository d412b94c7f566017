//! `/v1/egress`: the source addresses that mail leaves from.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::Api;
use crate::http::extract::Reader;
use crate::http::problem::Problem;
use crate::outbox::SourceView;

/// Source addresses.
#[derive(Serialize, ToSchema)]
pub struct SourceList {
    /// All that are configured, pool by pool; none: the system chooses.
    pub data: Vec<SourceView>,
    /// Always null: the list is whole.
    pub next_cursor: Option<String>,
}

/// Show source addresses
#[utoipa::path(get, path = "/v1/egress", operation_id = "list_sources", tag = "Queue",
    responses((status = 200, description = "The addresses that mail leaves from, how they stand, what they sent today and may send.", body = SourceList)))]
pub async fn list(State(api): State<Arc<Api>>, Reader(caller): Reader) -> Result<Json<SourceList>, Problem> {
    // They serve all projects, so their counts are the operator's.
    api.require_house(&caller)?;
    let config = &api.config;
    let mut data = api.outbox.sources(&config.delivery, &config.server.hostname).await?;
    data.sort_by(|one, other| one.pool.cmp(&other.pool));
    Ok(Json(SourceList { data, next_cursor: None }))
}
