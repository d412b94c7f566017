//! `/v1/queue`: what waits, by recipient domain.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::Api;
use crate::http::extract::Reader;
use crate::http::problem::Problem;
use crate::outbox::{PauseView, QueueLane};

/// The project's queue.
#[derive(Serialize, ToSchema)]
pub struct QueueList {
    /// One entry for each recipient domain with deliveries that are not settled.
    pub data: Vec<QueueLane>,
    /// What is paused, whether anything waits for it or not.
    pub pauses: Vec<PauseView>,
    /// Always null: the list is whole.
    pub next_cursor: Option<String>,
}

/// Show the queue
#[utoipa::path(get, path = "/v1/queue", operation_id = "list_queue", tag = "Queue",
    responses((status = 200, description = "Outstanding deliveries by recipient domain.", body = QueueList)))]
pub async fn list(State(api): State<Arc<Api>>, Reader(caller): Reader) -> Result<Json<QueueList>, Problem> {
    let (data, pauses) = (api.outbox.queue(caller.project).await?, api.outbox.pauses(caller.project).await?);
    Ok(Json(QueueList { data, pauses, next_cursor: None }))
}
