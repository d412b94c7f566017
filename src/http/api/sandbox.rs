//! `/v1/sandbox`: messages that were kept instead of delivered.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use super::messages::MessageList;
use crate::http::Api;
use crate::http::extract::{Asked, PageQuery, Reader};
use crate::http::problem::Problem;

/// List the sandbox
///
/// Messages accepted while `delivery.sandbox` was on: nothing of them left this server. Fetch their bytes by `/v1/messages/{id}/raw`.
#[utoipa::path(get, path = "/v1/sandbox", operation_id = "list_sandbox", tag = "Sandbox", params(PageQuery),
    responses((status = 200, description = "A page of messages.", body = MessageList)))]
pub async fn list(State(api): State<Arc<Api>>, Reader(caller): Reader, Asked(query): Asked<PageQuery>) -> Result<Json<MessageList>, Problem> {
    let page = api.outbox.sandboxed(caller.project, query.page()?).await?;
    Ok(Json(MessageList { data: page.data, next_cursor: page.next_cursor }))
}
