//! `/v1/incoming`: mail from the world that routes keep.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, Response, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::http::Api;
use crate::http::api::messages::Octets;
use crate::http::extract::{Asked, Id, Manager, Reader, page};
use crate::http::problem::{Document, Problem};
use crate::incoming::{IncomingFilter, IncomingView};
use crate::model::{EmailAddress, IncomingId};

/// A page of messages.
#[derive(Serialize, ToSchema)]
pub struct IncomingList {
    /// The messages, without what stands in them.
    pub data: Vec<IncomingView>,
    /// Where the next page starts; null at the end.
    pub next_cursor: Option<String>,
}

/// Which messages, and which part of them.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct IncomingQuery {
    /// Entries of the page, 1 to 100; 25 unless said.
    #[param(minimum = 1, maximum = 100)]
    pub limit: Option<u16>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// Only what came to this address.
    pub recipient: Option<String>,
    /// Only what this route kept: `rte_...`.
    pub route: Option<String>,
}

impl IncomingQuery {
    fn filter(&self) -> Result<IncomingFilter, Problem> {
        let recipient = self.recipient.as_deref().map(|text| EmailAddress::parse(text).map_err(|error| Problem::parameter("recipient", error)));
        let route = self.route.as_deref().map(|text| text.parse().map_err(|error| Problem::parameter("route", error)));
        Ok(IncomingFilter { recipient: recipient.transpose()?, route: route.transpose()? })
    }
}

/// List incoming messages
///
/// Newest first.
#[utoipa::path(get, path = "/v1/incoming", operation_id = "list_incoming", tag = "Incoming", params(IncomingQuery),
    responses((status = 200, description = "A page of messages.", body = IncomingList)))]
pub async fn list(State(api): State<Arc<Api>>, Reader(caller): Reader, Asked(query): Asked<IncomingQuery>) -> Result<Json<IncomingList>, Problem> {
    let asked = page(query.limit, query.cursor.as_deref())?;
    let found = api.incoming.list(caller.project, &query.filter()?, asked).await?;
    Ok(Json(IncomingList { data: found.data, next_cursor: found.next_cursor }))
}

/// Show an incoming message
///
/// Taken apart: addresses, text, HTML, header fields, attachments. The HTML is what the sender wrote.
#[utoipa::path(get, path = "/v1/incoming/{id}", operation_id = "get_incoming", tag = "Incoming",
    params(("id" = String, Path, description = "The message: `inc_...`")),
    responses(
        (status = 200, description = "The message.", body = IncomingView),
        (status = 404, description = "No such message: `not-found`.", body = Document, content_type = "application/problem+json"),
    ))]
pub async fn get(State(api): State<Arc<Api>>, Reader(caller): Reader, Id(id): Id<IncomingId>) -> Result<Json<IncomingView>, Problem> {
    api.incoming.get(caller.project, id).await?.map(Json).ok_or(Problem::NotFound)
}

/// Fetch the bytes of an incoming message
///
/// As they came, with Return-Path, Delivered-To, Received and what was found out about the sender before them.
#[utoipa::path(get, path = "/v1/incoming/{id}/raw", operation_id = "get_raw_incoming", tag = "Incoming",
    params(("id" = String, Path, description = "The message: `inc_...`")),
    responses(
        (status = 200, description = "The message (RFC 5322).", body = Octets, content_type = "message/rfc822"),
        (status = 404, description = "No such message: `not-found`.", body = Document, content_type = "application/problem+json"),
    ))]
pub async fn raw(State(api): State<Arc<Api>>, Reader(caller): Reader, Id(id): Id<IncomingId>) -> Result<Response<Body>, Problem> {
    let octets = api.incoming.raw(caller.project, id).await?.ok_or(Problem::NotFound)?;
    let mut response = Response::new(Body::from(octets));
    // Never shown in a browser: it is a stranger's mail.
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("message/rfc822"));
    response.headers_mut().insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"message.eml\""));
    Ok(response)
}

/// Delete an incoming message
#[utoipa::path(delete, path = "/v1/incoming/{id}", operation_id = "delete_incoming", tag = "Incoming",
    params(("id" = String, Path, description = "The message: `inc_...`")),
    responses(
        (status = 204, description = "Deleted."),
        (status = 404, description = "No such message: `not-found`.", body = Document, content_type = "application/problem+json"),
    ))]
pub async fn remove(State(api): State<Arc<Api>>, Manager(caller): Manager, Id(id): Id<IncomingId>) -> Result<StatusCode, Problem> {
    if !api.incoming.remove(caller.project, id).await? {
        return Err(Problem::NotFound);
    }
    api.audit.note(caller.project, &caller.actor(), "incoming.delete", json!({ "id": id })).await?;
    Ok(StatusCode::NO_CONTENT)
}
