//! `/v1/webhooks`: endpoints that are told what happens.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::accept::fault::Code;
use crate::events::EventKind;
use crate::http::Api;
use crate::http::extract::{self, Asked, Id, Manager, PageQuery, Payload, Reader, page};
use crate::http::problem::{Document, Problem};
use crate::model::{WebhookId, WebhookMessageId};
use crate::webhooks::{CreatedWebhook, WebhookError, WebhookMessageView, WebhookView};

/// An endpoint to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewWebhook)]
pub struct WebhookRequest {
    /// Where events are posted: `https`, on the public Internet.
    #[schema(example = "https://hooks.example.com/pennypost")]
    pub url: String,
    /// The kinds of events; left out or empty: all.
    #[serde(default)]
    #[schema(example = json!(["bounced", "complained"]))]
    pub kinds: Vec<String>,
}

impl Payload for WebhookRequest {}

impl WebhookRequest {
    fn kinds(&self) -> Result<Vec<EventKind>, Problem> {
        let read = |(place, text): (usize, &String)| {
            text.parse::<EventKind>().map_err(|error| Problem::field(&format!("/kinds/{place}"), Code::UnknownValue, error))
        };
        self.kinds.iter().enumerate().map(read).collect()
    }
}

/// An endpoint just made, or one with another secret.
#[derive(Serialize, ToSchema)]
#[schema(as = CreatedWebhook)]
pub struct CreatedWebhookView {
    /// The endpoint.
    pub webhook: WebhookView,
    /// The secret that signs, shown this once: `whsec_...`, as libraries of Standard Webhooks take it.
    pub secret: String,
}

impl From<CreatedWebhook> for CreatedWebhookView {
    fn from(created: CreatedWebhook) -> Self {
        Self { webhook: created.view, secret: created.secret.expose().clone() }
    }
}

/// A page of endpoints.
#[derive(Serialize, ToSchema)]
pub struct WebhookList {
    /// The endpoints.
    pub data: Vec<WebhookView>,
    /// Where the next page starts; null at the end.
    pub next_cursor: Option<String>,
}

/// A page of what an endpoint was told.
#[derive(Serialize, ToSchema)]
pub struct WebhookMessageList {
    /// Newest first.
    pub data: Vec<WebhookMessageView>,
    /// Where the next page starts; null at the end.
    pub next_cursor: Option<String>,
}

/// Which of them.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct MessageQuery {
    /// Entries of the page, 1 to 100; 25 unless said.
    #[param(minimum = 1, maximum = 100)]
    pub limit: Option<u16>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// Only `waiting`, `delivered` or `failed`.
    pub state: Option<String>,
}

/// Add a webhook
///
/// Events that happen from now on are posted to it as `{"type", "timestamp", "data"}`, signed by Standard Webhooks. What is not answered 2xx
/// within the time limit is posted again, ten times over three days. An `Idempotency-Key` has no effect here.
#[utoipa::path(post, path = "/v1/webhooks", operation_id = "add_webhook", tag = "Webhooks", request_body = WebhookRequest,
    responses((status = 201, description = "The new webhook with its secret, shown this once.", body = CreatedWebhookView)))]
pub async fn add(
    State(api): State<Arc<Api>>,
    Manager(caller): Manager,
    request: extract::Json<WebhookRequest>,
) -> Result<(StatusCode, Json<CreatedWebhookView>), Problem> {
    let kinds = request.value.kinds()?;
    let url = api.webhooks.url(&request.value.url).map_err(WebhookError::Url)?;
    let created = api.webhooks.add(caller.project, &url, &kinds).await?;
    api.audit.note(caller.project, &caller.actor(), "webhook.add", json!({ "id": created.view.id, "host": url.host.to_string() })).await?;
    Ok((StatusCode::CREATED, Json(created.into())))
}

/// List webhooks
///
/// Oldest first, those of routes among them.
#[utoipa::path(get, path = "/v1/webhooks", operation_id = "list_webhooks", tag = "Webhooks", params(PageQuery),
    responses((status = 200, description = "A page of webhooks.", body = WebhookList)))]
pub async fn list(State(api): State<Arc<Api>>, Reader(caller): Reader, Asked(query): Asked<PageQuery>) -> Result<Json<WebhookList>, Problem> {
    let found = api.webhooks.list(caller.project, query.page()?).await?;
    Ok(Json(WebhookList { data: found.data, next_cursor: found.next_cursor }))
}

/// Show a webhook
#[utoipa::path(get, path = "/v1/webhooks/{id}", operation_id = "get_webhook", tag = "Webhooks",
    params(("id" = String, Path, description = "The webhook: `whk_...`")),
    responses(
        (status = 200, description = "The webhook.", body = WebhookView),
        (status = 404, description = "No such webhook: `not-found`.", body = Document, content_type = "application/problem+json"),
    ))]
pub async fn get(State(api): State<Arc<Api>>, Reader(caller): Reader, Id(id): Id<WebhookId>) -> Result<Json<WebhookView>, Problem> {
    api.webhooks.get(caller.project, id).await?.map(Json).ok_or(Problem::NotFound)
}

/// Remove a webhook
///
/// What it was to be told is gone with it.
#[utoipa::path(delete, path = "/v1/webhooks/{id}", operation_id = "remove_webhook", tag = "Webhooks",
    params(("id" = String, Path, description = "The webhook: `whk_...`")),
    responses(
        (status = 204, description = "Removed."),
        (status = 404, description = "No such webhook: `not-found`.", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "It belongs to a route: `webhook-of-route`.", body = Document, content_type = "application/problem+json"),
    ))]
pub async fn remove(State(api): State<Arc<Api>>, Manager(caller): Manager, Id(id): Id<WebhookId>) -> Result<StatusCode, Problem> {
    api.webhooks.remove(caller.project, id).await?;
    api.audit.note(caller.project, &caller.actor(), "webhook.remove", json!({ "id": id })).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Make another secret
///
/// For a day both sign, so that nothing is refused while the new one is brought to the endpoint.
#[utoipa::path(post, path = "/v1/webhooks/{id}/secret", operation_id = "rotate_webhook_secret", tag = "Webhooks",
    params(("id" = String, Path, description = "The webhook: `whk_...`")),
    responses(
        (status = 200, description = "The webhook with its new secret, shown this once.", body = CreatedWebhookView),
        (status = 404, description = "No such webhook: `not-found`.", body = Document, content_type = "application/problem+json"),
    ))]
pub async fn rotate(State(api): State<Arc<Api>>, Manager(caller): Manager, Id(id): Id<WebhookId>) -> Result<Json<CreatedWebhookView>, Problem> {
    let rotated = api.webhooks.rotate(caller.project, id).await?;
    api.audit.note(caller.project, &caller.actor(), "webhook.secret", json!({ "id": id })).await?;
    Ok(Json(rotated.into()))
}

/// Enable a webhook again
///
/// One that answered 410, or failed for five days, is told nothing more until then. It is told what still waits, and what happens from now on.
#[utoipa::path(post, path = "/v1/webhooks/{id}/enable", operation_id = "enable_webhook", tag = "Webhooks",
    params(("id" = String, Path, description = "The webhook: `whk_...`")),
    responses(
        (status = 200, description = "The webhook.", body = WebhookView),
        (status = 404, description = "No such webhook: `not-found`.", body = Document, content_type = "application/problem+json"),
    ))]
pub async fn enable(State(api): State<Arc<Api>>, Manager(caller): Manager, Id(id): Id<WebhookId>) -> Result<Json<WebhookView>, Problem> {
    let enabled = api.webhooks.enable(caller.project, id).await?;
    api.audit.note(caller.project, &caller.actor(), "webhook.enable", json!({ "id": id })).await?;
    Ok(Json(enabled))
}

/// List what a webhook was told
///
/// Newest first, with how the last attempt of each went.
#[utoipa::path(get, path = "/v1/webhooks/{id}/messages", operation_id = "list_webhook_messages", tag = "Webhooks",
    params(("id" = String, Path, description = "The webhook: `whk_...`"), MessageQuery),
    responses(
        (status = 200, description = "A page of what it was told and is to be told.", body = WebhookMessageList),
        (status = 404, description = "No such webhook: `not-found`.", body = Document, content_type = "application/problem+json"),
    ))]
pub async fn messages(
    State(api): State<Arc<Api>>,
    Reader(caller): Reader,
    Id(id): Id<WebhookId>,
    Asked(query): Asked<MessageQuery>,
) -> Result<Json<WebhookMessageList>, Problem> {
    let state = query.state.as_deref();
    if state.is_some_and(|state| !["waiting", "delivered", "failed"].contains(&state)) {
        return Err(Problem::parameter("state", "expected one of waiting, delivered, failed"));
    }
    let found = api.webhooks.messages(caller.project, id, state, page(query.limit, query.cursor.as_deref())?).await?;
    Ok(Json(WebhookMessageList { data: found.data, next_cursor: found.next_cursor }))
}

/// Tell a webhook again
///
/// Under the same `webhook-id`, now, and as often as something new; safe to repeat.
#[utoipa::path(post, path = "/v1/webhooks/{id}/messages/{message}/resend", operation_id = "resend_webhook_message", tag = "Webhooks",
    params(("id" = String, Path, description = "The webhook: `whk_...`"), ("message" = String, Path, description = "What it is told: `whm_...`")),
    responses(
        (status = 202, description = "It is told again."),
        (status = 404, description = "No such webhook or message: `not-found`.", body = Document, content_type = "application/problem+json"),
    ))]
pub async fn resend(
    State(api): State<Arc<Api>>,
    Manager(caller): Manager,
    Path((id, message)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let id: WebhookId = id.parse().map_err(|_| Problem::NotFound)?;
    let message: WebhookMessageId = message.parse().map_err(|_| Problem::NotFound)?;
    api.webhooks.resend(caller.project, id, message).await?;
    api.audit.note(caller.project, &caller.actor(), "webhook.resend", json!({ "id": id, "message": message })).await?;
    Ok(StatusCode::ACCEPTED)
}

impl From<WebhookError> for Problem {
    fn from(error: WebhookError) -> Self {
        match error {
            WebhookError::Url(error) => Self::field("/url", Code::InvalidUrl, error),
            WebhookError::TooMany => Self::field("/url", Code::OutOfRange, error),
            WebhookError::NotFound => Self::NotFound,
            WebhookError::OfRoute => Self::WebhookOfRoute,
            WebhookError::Seal(error) => Self::internal(error),
            WebhookError::Store(error) => error.into(),
        }
    }
}
