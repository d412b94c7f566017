//! `/v1/suppressions`: addresses and domains that nothing is sent to.

use std::io::Cursor;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode, header};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::accept::fault::{Code, FieldError};
use crate::accept::json;
use crate::http::Api;
use crate::http::api::messages::Octets;
use crate::http::extract::{self, Asked, Id, Manager, Payload, Reader, page};
use crate::http::problem::{Document, Problem};
use crate::model::SuppressionId;
use crate::model::message::Label;
use crate::suppressions::export::{Format, Place};
use crate::suppressions::import::{ImportError, Imported, LineFault};
use crate::suppressions::{Added, MAX_NOTE_CHARACTERS, NewSuppression, Origin, SuppressionFilter, SuppressionReason, SuppressionView, Target};

/// Octets of an imported list. Longer ones are split, or imported by the command line.
const MAX_IMPORT_OCTETS: usize = 16 * 1024 * 1024;

/// An entry to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewSuppression)]
pub struct SuppressionRequest {
    /// The address, or `@domain` for everybody there.
    #[schema(example = "bee@example.net")]
    pub address: String,
    /// The stream it holds for; left out: all of the project.
    #[serde(default)]
    pub stream: Option<String>,
    /// Why; `manual` unless said.
    #[serde(default, deserialize_with = "json::word")]
    pub reason: SuppressionReason,
    /// What to remember it by: at most 1,000 characters.
    #[serde(default)]
    pub note: Option<String>,
}

impl Payload for SuppressionRequest {}

impl SuppressionRequest {
    fn check(self) -> Result<NewSuppression, Problem> {
        let target = Target::parse(&self.address).map_err(|error| Problem::field("/address", Code::InvalidAddress, error))?;
        let label = |text: String| Label::parse(&text).map_err(|error| Problem::field("/stream", Code::InvalidLabel, error));
        let stream = self.stream.map(label).transpose()?;
        if self.note.as_ref().is_some_and(|note| note.chars().count() > MAX_NOTE_CHARACTERS || note.contains('\0')) {
            let reason = format_args!("expected at most {MAX_NOTE_CHARACTERS} characters, none of them NUL");
            return Err(Problem::field("/note", Code::OutOfRange, reason));
        }
        Ok(NewSuppression { target, stream, reason: self.reason, note: self.note, created_at: None })
    }
}

/// A page of entries.
#[derive(Serialize, ToSchema)]
pub struct SuppressionList {
    /// The entries.
    pub data: Vec<SuppressionView>,
    /// Where the next page starts; null at the end.
    pub next_cursor: Option<String>,
}

/// Which entries, and which part of them.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SuppressionQuery {
    /// Entries of the page, 1 to 100; 25 unless said.
    #[param(minimum = 1, maximum = 100)]
    pub limit: Option<u16>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// Only this address, or this `@domain`.
    pub address: Option<String>,
    /// Only entries of this stream.
    pub stream: Option<String>,
    /// Only entries with this reason: `bounce`, `complaint`, `unsubscribe`, `manual`.
    pub reason: Option<String>,
}

impl SuppressionQuery {
    fn filter(&self) -> Result<SuppressionFilter, Problem> {
        let target = self.address.as_deref().map(|text| Target::parse(text).map_err(|error| Problem::parameter("address", error))).transpose()?;
        let stream = self.stream.as_deref().map(|text| Label::parse(text).map_err(|error| Problem::parameter("stream", error))).transpose()?;
        let wrong = || Problem::parameter("reason", "expected one of bounce, complaint, unsubscribe, manual");
        let reason = self.reason.as_deref().map(|text| SuppressionReason::from_name(text).ok_or_else(wrong)).transpose()?;
        Ok(SuppressionFilter { target, stream, reason })
    }
}

/// How an export is written.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ExportQuery {
    /// `csv` or `jsonl`; `csv` unless said.
    pub format: Option<String>,
}

/// Suppress an address
///
/// Nothing is sent to it from now on: neither new messages nor what waits for another attempt. An entry that is there stays as it is and is
/// answered with 200, so repeating the request is safe without an idempotency key.
#[utoipa::path(post, path = "/v1/suppressions", operation_id = "add_suppression", tag = "Suppressions", request_body = SuppressionRequest,
    responses(
        (status = 201, description = "The new entry.", body = SuppressionView),
        (status = 200, description = "The entry that was there.", body = SuppressionView),
    ))]
pub async fn add(
    State(api): State<Arc<Api>>,
    Manager(caller): Manager,
    request: extract::Json<SuppressionRequest>,
) -> Result<(StatusCode, Json<SuppressionView>), Problem> {
    let (entry, added) = api.suppressions.add(caller.project, request.value.check()?, Origin::Api).await?;
    let status = if added == Added::New { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(entry)))
}

/// List suppressions
///
/// Oldest first.
#[utoipa::path(get, path = "/v1/suppressions", operation_id = "list_suppressions", tag = "Suppressions", params(SuppressionQuery),
    responses((status = 200, description = "A page of entries.", body = SuppressionList)))]
pub async fn list(
    State(api): State<Arc<Api>>,
    Reader(caller): Reader,
    Asked(query): Asked<SuppressionQuery>,
) -> Result<Json<SuppressionList>, Problem> {
    let asked = page(query.limit, query.cursor.as_deref())?;
    let found = api.suppressions.list(caller.project, &query.filter()?, asked).await?;
    Ok(Json(SuppressionList { data: found.data, next_cursor: found.next_cursor }))
}

/// Show a suppression
#[utoipa::path(get, path = "/v1/suppressions/{id}", operation_id = "get_suppression", tag = "Suppressions",
    params(("id" = String, Path, description = "The entry: `sup_...`")),
    responses(
        (status = 200, description = "The entry.", body = SuppressionView),
        (status = 404, description = "No such entry: `not-found`.", body = Document, content_type = "application/problem+json"),
    ))]
pub async fn get(State(api): State<Arc<Api>>, Reader(caller): Reader, Id(id): Id<SuppressionId>) -> Result<Json<SuppressionView>, Problem> {
    api.suppressions.get(caller.project, id).await?.map(Json).ok_or(Problem::NotFound)
}

/// Remove a suppression
///
/// Mail is sent there again. A later bounce or complaint puts the address back.
#[utoipa::path(delete, path = "/v1/suppressions/{id}", operation_id = "remove_suppression", tag = "Suppressions",
    params(("id" = String, Path, description = "The entry: `sup_...`")),
    responses(
        (status = 204, description = "Removed."),
        (status = 404, description = "No such entry: `not-found`.", body = Document, content_type = "application/problem+json"),
    ))]
pub async fn remove(State(api): State<Arc<Api>>, Manager(caller): Manager, Id(id): Id<SuppressionId>) -> Result<StatusCode, Problem> {
    if api.suppressions.remove(caller.project, id).await? { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::NotFound) }
}

/// Import suppressions
///
/// A list as `text/csv` (a line of names, of which `address` must be there and `stream`, `reason`, `note`, `created_at` may be; or one address a
/// line) or `application/x-ndjson` (an object a line, with the same names). At most 16 MiB. All of it is taken, or nothing: what is
/// wrong is told with its line. Entries that are there stay as they are, so an import can be repeated.
#[utoipa::path(post, path = "/v1/suppressions/import", operation_id = "import_suppressions", tag = "Suppressions",
    request_body(content = Octets, content_type = "text/csv", description = "The list."),
    responses((status = 200, description = "The list is imported.", body = Imported), (status = 415, description = "Neither CSV nor JSON lines: `unsupported-list`.", body = Document, content_type = "application/problem+json")))]
pub async fn import(State(api): State<Arc<Api>>, Manager(caller): Manager, request: Request) -> Result<Json<Imported>, Problem> {
    let (parts, body) = request.into_parts();
    let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let format = kind.and_then(Format::of_media_type).ok_or(Problem::UnsupportedList)?;
    let held = api.budget.read(&parts.headers, body, MAX_IMPORT_OCTETS, &api.clock).await?;
    let imported = api.suppressions.import(caller.project, format, || Ok(Cursor::new(held.bytes.clone()))).await?;
    Ok(Json(imported))
}

/// Export suppressions
///
/// The whole list, as it is imported.
#[utoipa::path(get, path = "/v1/suppressions/export", operation_id = "export_suppressions", tag = "Suppressions", params(ExportQuery),
    responses((status = 200, description = "The list as CSV, or as a JSON object a line.", body = Octets, content_type = "text/csv")))]
pub async fn export(State(api): State<Arc<Api>>, Reader(caller): Reader, Asked(query): Asked<ExportQuery>) -> Result<Response<Body>, Problem> {
    let format = match query.format.as_deref() {
        None | Some("csv") => Format::Csv,
        Some("jsonl") => Format::Jsonl,
        Some(_) => return Err(Problem::parameter("format", "expected csv or jsonl")),
    };
    let list = api.suppressions.clone();
    let pieces = stream::try_unfold(Place::default(), move |place| {
        let list = list.clone();
        async move { list.export(caller.project, format, place).await }
    });
    let answer = Response::builder().header(header::CONTENT_TYPE, format.media_type());
    answer.body(Body::from_stream(pieces)).map_err(Problem::internal)
}

impl From<ImportError> for Problem {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::Wrong(faults) => Self::Invalid(faults.into_iter().map(field_error).collect()),
            ImportError::Unreadable(error) => Self::internal(error),
            ImportError::Store(error) => error.into(),
        }
    }
}

fn field_error(fault: LineFault) -> FieldError {
    let LineFault { line, field, reason } = fault;
    let code = match field {
        "address" => Code::InvalidAddress,
        "stream" => Code::InvalidLabel,
        "reason" => Code::UnknownValue,
        "created_at" => Code::InvalidTime,
        "note" => Code::OutOfRange,
        _ => Code::InvalidLine,
    };
    FieldError { pointer: format!("/lines/{line}/{field}"), code, reason: format!("line {line}: {reason}") }
}
