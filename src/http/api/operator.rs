//! `/v1/queue/...`: hold, release, cancel, try now, pause and resume, by selection.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::accept::fault::Code;
use crate::access::Caller;
use crate::http::Api;
use crate::http::extract::{self, Manager, Payload};
use crate::http::problem::{Document, Problem};
use crate::model::{DeliveryId, DomainName, MessageId, ProjectId, SiteName};
use crate::outbox::{self, PauseView, Paused, Selection, SelectionError, Target, Verb};

/// Which deliveries: all conditions given must hold, and at least one must be given, or `all`.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QueueSelection {
    /// Of this message.
    #[serde(default)]
    #[schema(example = "msg_01jd5q0v0h7d6r2n8k4m3x9wbz")]
    pub message: Option<String>,
    /// To this domain.
    #[serde(default)]
    #[schema(example = "example.net")]
    pub recipient_domain: Option<String>,
    /// The author's address or the reverse-path is of this domain.
    #[serde(default)]
    #[schema(example = "example.com")]
    pub sender_domain: Option<String>,
    /// With this tag.
    #[serde(default)]
    pub tag: Option<TagCondition>,
    /// At this site now: its MX hosts, all of them, in any order, with commas between; or the name of a site that `GET /v1/sites` shows; or
    /// `host:port` of a smart host. The MX records of every recipient domain are looked up for it.
    #[serde(default)]
    #[schema(example = "mx1.example.net,mx2.example.net")]
    pub site: Option<String>,
    /// Everything outstanding of the project; stands alone.
    #[serde(default)]
    pub all: bool,
    /// Of all projects, not only the key's own: for keys of the project `default`.
    #[serde(default)]
    pub all_projects: bool,
    /// `next_cursor` of the answer before, to go on with the same selection.
    #[serde(default)]
    pub cursor: Option<String>,
}

/// A tag and its value.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TagCondition {
    /// Its key.
    #[schema(example = "flow")]
    pub key: String,
    /// Its value.
    #[schema(example = "signup")]
    pub value: String,
}

impl Payload for QueueSelection {}

/// What was changed.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct QueueChange {
    /// Deliveries changed.
    pub changed: u64,
    /// Selected deliveries that a node works on: they were left alone. Pause the domain or the project first to have back what was not begun.
    pub active: u64,
    /// With `site`: deliveries that were left alone since the MX hosts of their domain cannot be looked up now.
    pub unplaced: u64,
    /// Null when all were looked at. Otherwise the time of one request was over: ask again with it as `cursor`.
    #[schema(value_type = Option<String>)]
    pub next_cursor: Option<DeliveryId>,
}

/// What to pause.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PauseRequest {
    /// Mail to this domain.
    #[serde(default)]
    #[schema(example = "example.net")]
    pub recipient_domain: Option<String>,
    /// All mail of the project; stands alone.
    #[serde(default)]
    pub all: bool,
    /// Of all projects, not only the key's own: for keys of the project `default`, and with a domain only.
    #[serde(default)]
    pub all_projects: bool,
    /// Why, for those who find it paused: at most 500 characters. Not read when a pause ends.
    #[serde(default)]
    #[schema(example = "their MX answers 550 to everything")]
    pub reason: String,
}

impl Payload for PauseRequest {}

fn one_of(reason: SelectionError) -> Problem {
    let code = if reason == SelectionError::Empty { Code::Required } else { Code::Conflict };
    let pointer = if reason == SelectionError::Empty { "" } else { "/all" };
    Problem::field(pointer, code, reason)
}

fn domain(pointer: &str, text: Option<&str>) -> Result<Option<DomainName>, Problem> {
    text.map(DomainName::parse).transpose().map_err(|error| Problem::field(pointer, Code::InvalidDomain, error))
}

/// Whose deliveries: none means all projects.
pub(super) fn reach(api: &Api, caller: &Caller, all_projects: bool) -> Result<Option<ProjectId>, Problem> {
    if !all_projects {
        return Ok(Some(caller.project));
    }
    api.require_house(caller)?;
    Ok(None)
}

impl QueueSelection {
    fn read(&self) -> Result<(Selection, Option<DeliveryId>), Problem> {
        let wrong = |pointer: &str, error: &dyn std::fmt::Display| Problem::field(pointer, Code::UnknownValue, error);
        let message = self.message.as_deref().map(str::parse::<MessageId>).transpose().map_err(|error| wrong("/message", &error))?;
        let after =
            self.cursor.as_deref().map(str::parse).transpose().map_err(|_| wrong("/cursor", &"expected the next_cursor of the answer before"))?;
        if self.tag.as_ref().is_some_and(|tag| tag.key.is_empty() || tag.key.contains('\0') || tag.value.contains('\0')) {
            return Err(Problem::field("/tag", Code::InvalidTag, "expected a key and a value without NUL"));
        }
        let selection = Selection {
            message,
            recipient_domain: domain("/recipient_domain", self.recipient_domain.as_deref())?,
            sender_domain: domain("/sender_domain", self.sender_domain.as_deref())?,
            tag: self.tag.as_ref().map(|tag| (tag.key.clone(), tag.value.clone())),
            site: self.site.as_deref().map(SiteName::parse).transpose().map_err(|error| wrong("/site", &error))?,
            all: self.all,
        };
        selection.check().map_err(one_of)?;
        Ok((selection, after))
    }
}

async fn change(api: &Api, caller: &Caller, verb: Verb, request: &QueueSelection) -> Result<Json<QueueChange>, Problem> {
    let (selection, after) = request.read()?;
    let reach = reach(api, caller, request.all_projects)?;
    let done = api.outbox.change(verb, reach, &selection, &caller.actor(), after).await?;
    Ok(Json(QueueChange { changed: done.changed, active: done.active, unplaced: done.unplaced, next_cursor: done.next }))
}

/// Keep deliveries back
///
/// Queued deliveries are held until released. Held mail does not expire. Safe to repeat.
#[utoipa::path(post, path = "/v1/queue/hold", operation_id = "hold_queue", tag = "Queue", request_body = QueueSelection,
    responses((status = 200, description = "How many deliveries are held now.", body = QueueChange)))]
pub async fn hold(State(api): State<Arc<Api>>, Manager(caller): Manager, body: extract::Json<QueueSelection>) -> Result<Json<QueueChange>, Problem> {
    change(&api, &caller, Verb::Hold, &body.value).await
}

/// Let held deliveries go
///
/// Held deliveries are queued again; safe to repeat.
#[utoipa::path(post, path = "/v1/queue/release", operation_id = "release_queue", tag = "Queue", request_body = QueueSelection,
    responses((status = 200, description = "How many deliveries were released.", body = QueueChange)))]
pub async fn release(
    State(api): State<Arc<Api>>,
    Manager(caller): Manager,
    body: extract::Json<QueueSelection>,
) -> Result<Json<QueueChange>, Problem> {
    change(&api, &caller, Verb::Release, &body.value).await
}

/// Take deliveries back
///
/// Cancels every selected delivery that is queued or held, with an event for each. It cannot be undone; safe to repeat.
#[utoipa::path(post, path = "/v1/queue/cancel", operation_id = "cancel_queue", tag = "Queue", request_body = QueueSelection,
    responses((status = 200, description = "How many deliveries were cancelled.", body = QueueChange)))]
pub async fn cancel(
    State(api): State<Arc<Api>>,
    Manager(caller): Manager,
    body: extract::Json<QueueSelection>,
) -> Result<Json<QueueChange>, Problem> {
    change(&api, &caller, Verb::Cancel, &body.value).await
}

/// Try deliveries again now
///
/// Queued deliveries that wait for their next attempt are due at once; those of a pause when it ends. Safe to repeat.
#[utoipa::path(post, path = "/v1/queue/retry", operation_id = "retry_queue", tag = "Queue", request_body = QueueSelection,
    responses((status = 200, description = "How many deliveries are tried now.", body = QueueChange)))]
pub async fn retry(State(api): State<Arc<Api>>, Manager(caller): Manager, body: extract::Json<QueueSelection>) -> Result<Json<QueueChange>, Problem> {
    change(&api, &caller, Verb::Retry, &body.value).await
}

impl PauseRequest {
    fn read(&self, api: &Api, caller: &Caller) -> Result<Paused, Problem> {
        let domain = domain("/recipient_domain", self.recipient_domain.as_deref())?;
        let target = match (domain, self.all) {
            (None, false) => {
                return Err(Problem::field(
                    "",
                    Code::Required,
                    "nothing is selected: give a recipient_domain, or all; a site is paused at /v1/sites/pause",
                ));
            }
            (Some(_), true) => return Err(one_of(SelectionError::AllBeside)),
            (None, true) if self.all_projects => {
                return Err(Problem::field("/all_projects", Code::Conflict, "give a recipient_domain; to stop everything, drain the nodes"));
            }
            (None, true) => Target::Everything,
            (Some(domain), false) => Target::Domain(domain),
        };
        Ok(Paused { project: reach(api, caller, self.all_projects)?, target })
    }
}

/// Refuses a reason that says nothing, or too much.
pub(super) fn check_reason(reason: &str) -> Result<(), Problem> {
    outbox::check_reason(reason).map_err(|error| Problem::field("/reason", Code::OutOfRange, error))
}

/// Pause delivery
///
/// To a recipient domain, or of the whole project. Mail is accepted as before and waits; nothing of it is tried, on any node, within about a
/// second. Attempts under way end. The time of the mail goes on: what reaches its `expires_at` expires. Again with another reason: that
/// replaces the first.
#[utoipa::path(post, path = "/v1/queue/pause", operation_id = "pause_queue", tag = "Queue", request_body = PauseRequest,
    responses((status = 200, description = "The pause.", body = PauseView)))]
pub async fn pause(State(api): State<Arc<Api>>, Manager(caller): Manager, body: extract::Json<PauseRequest>) -> Result<Json<PauseView>, Problem> {
    check_reason(&body.value.reason)?;
    let what = body.value.read(&api, &caller)?;
    Ok(Json(api.outbox.pause(&what, &body.value.reason, &caller.actor()).await?))
}

/// End a pause
///
/// What waited for it goes on at once.
#[utoipa::path(post, path = "/v1/queue/resume", operation_id = "resume_queue", tag = "Queue", request_body = PauseRequest,
    responses(
        (status = 204, description = "It is over."),
        (status = 404, description = "No such pause: `not-found`.", body = Document, content_type = "application/problem+json"),
    ))]
pub async fn resume(
    State(api): State<Arc<Api>>,
    Manager(caller): Manager,
    body: extract::Json<PauseRequest>,
) -> Result<axum::http::StatusCode, Problem> {
    let what = body.value.read(&api, &caller)?;
    if api.outbox.resume(&what, &caller.actor()).await? { Ok(axum::http::StatusCode::NO_CONTENT) } else { Err(Problem::NotFound) }
}
