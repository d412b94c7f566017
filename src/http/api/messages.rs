//! `/v1/messages`: find messages, see their deliveries, take them back or hurry them up.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, Response, header};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::accept::checks::{TIME_FORM, read_time};
use crate::domains::SignerError;
use crate::http::Api;
use crate::http::extract::{Asked, Id, Reader, Sender, page};
use crate::http::problem::{Document, Problem};
use crate::mail::dkim::sign_all;
use crate::model::outcome::DeliveryState;
use crate::model::{EmailAddress, MessageId};
use crate::outbox::{Change, MessageFilter, MessageSummary, MessageView, StoredContent, Verb};

/// A page of messages, newest first.
#[derive(Serialize, ToSchema)]
pub struct MessageList {
    /// The messages.
    pub data: Vec<MessageSummary>,
    /// Where the next page starts; null at the end.
    pub next_cursor: Option<String>,
}

/// How many deliveries of a message were changed.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct Changed {
    /// The message.
    #[schema(value_type = String, example = "msg_01jd5q0v0h7d6r2n8k4m3x9wbz")]
    pub id: MessageId,
    /// Deliveries changed; 0 if none was in a state to be.
    pub changed: u64,
    /// Deliveries that are being worked on, and so were left alone.
    pub active: u64,
}

/// Octets as they are.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
pub struct Octets(pub Vec<u8>);

/// Which messages, and which part of the list.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct MessageQuery {
    /// Messages with a delivery in this state.
    #[param(inline)]
    pub state: Option<DeliveryState>,
    /// The author's address.
    pub sender: Option<String>,
    /// A recipient's address.
    pub recipient: Option<String>,
    /// A tag, as `key:value`.
    #[param(example = "flow:signup")]
    pub tag: Option<String>,
    /// Accepted at this time or later, RFC 3339.
    #[param(format = DateTime)]
    pub since: Option<String>,
    /// Accepted before this time, RFC 3339.
    #[param(format = DateTime)]
    pub until: Option<String>,
    /// Entries of the page, 1 to 100; 25 unless said.
    #[param(minimum = 1, maximum = 100)]
    pub limit: Option<u16>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

impl MessageQuery {
    fn filter(&self) -> Result<MessageFilter, Problem> {
        Ok(MessageFilter {
            state: self.state,
            sender: address("sender", self.sender.as_deref())?,
            recipient: address("recipient", self.recipient.as_deref())?,
            tag: tag(self.tag.as_deref())?,
            since: time("since", self.since.as_deref())?,
            until: time("until", self.until.as_deref())?,
        })
    }
}

fn address(name: &'static str, text: Option<&str>) -> Result<Option<String>, Problem> {
    let wrong = |error: crate::model::address::AddressError| Problem::parameter(name, error);
    text.map(EmailAddress::parse).transpose().map(|address| address.map(|address| address.to_string())).map_err(wrong)
}

fn tag(text: Option<&str>) -> Result<Option<(String, String)>, Problem> {
    let wrong = || Problem::parameter("tag", "expected key:value");
    let split = |text: &str| text.split_once(':').filter(|_| !text.contains('\0')).map(|(key, value)| (key.to_owned(), value.to_owned()));
    text.map(|text| split(text).ok_or_else(wrong)).transpose()
}

fn time(name: &'static str, text: Option<&str>) -> Result<Option<OffsetDateTime>, Problem> {
    text.map(|text| read_time(text).ok_or_else(|| Problem::parameter(name, TIME_FORM))).transpose()
}

/// List and search messages
///
/// Newest first. All conditions given must hold.
#[utoipa::path(get, path = "/v1/messages", operation_id = "list_messages", tag = "Messages", params(MessageQuery),
    responses((status = 200, description = "A page of messages.", body = MessageList)))]
pub async fn list(State(api): State<Arc<Api>>, Reader(caller): Reader, Asked(query): Asked<MessageQuery>) -> Result<Json<MessageList>, Problem> {
    let page = api.outbox.messages(caller.project, &query.filter()?, page(query.limit, query.cursor.as_deref())?).await?;
    Ok(Json(MessageList { data: page.data, next_cursor: page.next_cursor }))
}

/// Show a message
///
/// With each delivery, every attempt and its SMTP reply, and the events.
#[utoipa::path(get, path = "/v1/messages/{id}", operation_id = "get_message", tag = "Messages",
    params(("id" = String, Path, description = "The message: `msg_...`")),
    responses(
        (status = 200, description = "The message.", body = MessageView),
        (status = 404, description = "No such message: `not-found`.", body = Document, content_type = "application/problem+json"),
    ))]
pub async fn get(State(api): State<Arc<Api>>, Reader(caller): Reader, Id(id): Id<MessageId>) -> Result<Json<MessageView>, Problem> {
    api.outbox.message(caller.project, id).await?.map(Json).ok_or(Problem::NotFound)
}

/// Fetch the bytes of a message
///
/// As they are sent: the content with its DKIM signatures in front. Once the sender's domain was removed, the content without signatures.
#[utoipa::path(get, path = "/v1/messages/{id}/raw", operation_id = "get_raw_message", tag = "Messages",
    params(("id" = String, Path, description = "The message: `msg_...`")),
    responses(
        (status = 200, description = "The message as signed (RFC 5322).", body = Octets, content_type = "message/rfc822"),
        (status = 404, description = "No such message, or its content was removed after its retention: `not-found`.", body = Document,
            content_type = "application/problem+json"),
    ))]
pub async fn raw(State(api): State<Arc<Api>>, Reader(caller): Reader, Id(id): Id<MessageId>) -> Result<Response<Body>, Problem> {
    let stored = api.outbox.content(caller.project, id).await?.ok_or(Problem::NotFound)?;
    let mut bytes = signatures(&api, &stored).await?;
    bytes.extend_from_slice(&stored.content);
    let mut response = Response::new(Body::from(bytes));
    // Never shown in a browser: it is somebody's mail.
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("message/rfc822"));
    response.headers_mut().insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"message.eml\""));
    Ok(response)
}

/// The signatures as they are sent; none once the domain was removed, and its keys with it.
async fn signatures(api: &Api, stored: &StoredContent) -> Result<Vec<u8>, Problem> {
    let Some(domain) = stored.domain else { return Ok(Vec::new()) };
    match api.domains.signers(domain).await {
        Ok(signers) => sign_all(&signers, &stored.content, stored.accepted_at).map_err(Problem::internal),
        Err(SignerError::NoKey) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// Take a message back
///
/// Cancels every delivery that is queued or held. What is under way or settled stays; safe to repeat.
#[utoipa::path(post, path = "/v1/messages/{id}/cancel", operation_id = "cancel_message", tag = "Messages",
    params(("id" = String, Path, description = "The message: `msg_...`")),
    responses(
        (status = 200, description = "How many deliveries were cancelled.", body = Changed),
        (status = 404, description = "No such message: `not-found`.", body = Document, content_type = "application/problem+json"),
    ))]
pub async fn cancel(State(api): State<Arc<Api>>, Sender(caller): Sender, Id(id): Id<MessageId>) -> Result<Json<Changed>, Problem> {
    changed(id, api.outbox.change_message(Verb::Cancel, caller.project, id, &caller.actor()).await?)
}

/// Try a message again now
///
/// Queued deliveries that wait for their next attempt are tried at once; safe to repeat.
#[utoipa::path(post, path = "/v1/messages/{id}/retry", operation_id = "retry_message", tag = "Messages",
    params(("id" = String, Path, description = "The message: `msg_...`")),
    responses(
        (status = 200, description = "How many deliveries are tried now.", body = Changed),
        (status = 404, description = "No such message: `not-found`.", body = Document, content_type = "application/problem+json"),
    ))]
pub async fn retry(State(api): State<Arc<Api>>, Sender(caller): Sender, Id(id): Id<MessageId>) -> Result<Json<Changed>, Problem> {
    changed(id, api.outbox.change_message(Verb::Retry, caller.project, id, &caller.actor()).await?)
}

/// Keep a message back
///
/// Queued deliveries are held until released; safe to repeat.
#[utoipa::path(post, path = "/v1/messages/{id}/hold", operation_id = "hold_message", tag = "Messages",
    params(("id" = String, Path, description = "The message: `msg_...`")),
    responses(
        (status = 200, description = "How many deliveries are held now.", body = Changed),
        (status = 404, description = "No such message: `not-found`.", body = Document, content_type = "application/problem+json"),
    ))]
pub async fn hold(State(api): State<Arc<Api>>, Sender(caller): Sender, Id(id): Id<MessageId>) -> Result<Json<Changed>, Problem> {
    changed(id, api.outbox.change_message(Verb::Hold, caller.project, id, &caller.actor()).await?)
}

/// Let a held message go
///
/// Held deliveries are queued again; safe to repeat.
#[utoipa::path(post, path = "/v1/messages/{id}/release", operation_id = "release_message", tag = "Messages",
    params(("id" = String, Path, description = "The message: `msg_...`")),
    responses(
        (status = 200, description = "How many deliveries were released.", body = Changed),
        (status = 404, description = "No such message: `not-found`.", body = Document, content_type = "application/problem+json"),
    ))]
pub async fn release(State(api): State<Arc<Api>>, Sender(caller): Sender, Id(id): Id<MessageId>) -> Result<Json<Changed>, Problem> {
    changed(id, api.outbox.change_message(Verb::Release, caller.project, id, &caller.actor()).await?)
}

fn changed(id: MessageId, change: Option<Change>) -> Result<Json<Changed>, Problem> {
    change.map(|change| Json(Changed { id, changed: change.changed, active: change.active })).ok_or(Problem::NotFound)
}
