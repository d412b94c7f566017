//! `/v1/sites`: the mail hosts that a project's mail waits for, and their pause by an operator.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::operator::{check_reason, reach};
use crate::accept::fault::Code;
use crate::access::Caller;
use crate::http::Api;
use crate::http::extract::{self, Manager, Payload, Reader};
use crate::http::problem::{Document, Problem};
use crate::model::SiteName;
use crate::outbox::{PauseView, Paused, SiteView, Target};

/// Sites.
#[derive(Serialize, ToSchema)]
pub struct SiteList {
    /// Sites that asked for less mail or could not be reached, among those that deliveries of the project wait for.
    pub data: Vec<SiteView>,
    /// The pauses of sites by operators, whether anything waits for them or not.
    pub pauses: Vec<PauseView>,
    /// Always null: the list is whole.
    pub next_cursor: Option<String>,
}

/// Which site to pause.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SitePauseRequest {
    /// Its MX hosts, all of them, in any order, with commas between; or the name of a site that `GET /v1/sites` shows; or `host:port` of a smart host.
    #[schema(example = "mx1.example.net,mx2.example.net")]
    pub site: String,
    /// The mail of all projects, not only of the key's own: for keys of the project `default`.
    #[serde(default)]
    pub all_projects: bool,
    /// Why, for those who find it paused: at most 500 characters. Not read when a pause ends.
    #[serde(default)]
    #[schema(example = "they asked us to stop until Monday")]
    pub reason: String,
}

impl Payload for SitePauseRequest {}

impl SitePauseRequest {
    fn read(&self, api: &Api, caller: &Caller) -> Result<Paused, Problem> {
        let site = SiteName::parse(&self.site).map_err(|error| Problem::field("/site", Code::UnknownValue, error))?;
        Ok(Paused { project: reach(api, caller, self.all_projects)?, target: Target::Site(site) })
    }
}

/// Show sites
#[utoipa::path(get, path = "/v1/sites", operation_id = "list_sites", tag = "Queue",
    responses((status = 200, description = "Mail hosts that are sent less than could be, and why.", body = SiteList)))]
pub async fn list(State(api): State<Arc<Api>>, Reader(caller): Reader) -> Result<Json<SiteList>, Problem> {
    let (data, mut pauses) = (api.outbox.sites(caller.project).await?, api.outbox.pauses(caller.project).await?);
    pauses.retain(|pause| pause.site.is_some());
    Ok(Json(SiteList { data, pauses, next_cursor: None }))
}

/// Pause a site
///
/// Nothing is tried to any domain with these MX hosts, on any node, within about a second, whatever domains that are. Mail is accepted as before
/// and waits; attempts under way end. The time of the mail goes on: what reaches its `expires_at` expires. A domain that moves to other hosts
/// is found within ten minutes, or of a site with thousands of domains within the hour, and its mail goes on. Again with another reason: that replaces the first.
#[utoipa::path(post, path = "/v1/sites/pause", operation_id = "pause_site", tag = "Queue", request_body = SitePauseRequest,
    responses((status = 200, description = "The pause.", body = PauseView)))]
pub async fn pause(State(api): State<Arc<Api>>, Manager(caller): Manager, body: extract::Json<SitePauseRequest>) -> Result<Json<PauseView>, Problem> {
    check_reason(&body.value.reason)?;
    let what = body.value.read(&api, &caller)?;
    Ok(Json(api.outbox.pause(&what, &body.value.reason, &caller.actor()).await?))
}

/// End the pause of a site
///
/// What waited for it goes on at once.
#[utoipa::path(post, path = "/v1/sites/resume", operation_id = "resume_site", tag = "Queue", request_body = SitePauseRequest,
    responses(
        (status = 204, description = "It is over."),
        (status = 404, description = "No such pause: `not-found`.", body = Document, content_type = "application/problem+json"),
    ))]
pub async fn resume(State(api): State<Arc<Api>>, Manager(caller): Manager, body: extract::Json<SitePauseRequest>) -> Result<StatusCode, Problem> {
    let what = body.value.read(&api, &caller)?;
    if api.outbox.resume(&what, &caller.actor()).await? { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::NotFound) }
}
