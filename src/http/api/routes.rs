//! `/v1/routes`: where mail from the world goes.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::accept::fault::Code;
use crate::accept::json;
use crate::http::Api;
use crate::http::extract::{self, Asked, Id, Manager, PageQuery, Payload, Reader};
use crate::http::problem::{Document, Problem};
use crate::model::{EmailAddress, RouteId};
use crate::routes::{CreatedRoute, NewAction, Pattern, RouteError, RouteView, TestedAddress};

/// What a route does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RouteAction {
    /// Send mail on, to addresses whose owners agree to it.
    Forward,
    /// Keep mail, and post it to an endpoint.
    Webhook,
    /// Keep mail.
    Store,
    /// Refuse mail.
    Reject,
    /// Take mail and throw it away.
    Drop,
}

/// A route to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewRoute)]
pub struct RouteRequest {
    /// An address of a domain of the project, or a pattern with one `*`.
    #[schema(example = "sales-*@example.com")]
    pub pattern: String,
    /// What it does.
    #[serde(deserialize_with = "json::word")]
    pub action: RouteAction,
    /// Of `forward`: where mail is sent, 1 to 10 addresses. Each gets a mail first that asks whether it agrees.
    #[serde(default)]
    pub to: Option<Vec<String>>,
    /// Of `webhook`: where mail is posted.
    #[serde(default)]
    pub url: Option<String>,
    /// Of `reject`: what senders are told, in ASCII on one line.
    #[serde(default)]
    pub text: Option<String>,
}

impl Payload for RouteRequest {}

impl RouteRequest {
    fn check(self, api: &Api) -> Result<(Pattern, NewAction), Problem> {
        let pattern = Pattern::parse(&self.pattern).map_err(|error| Problem::field("/pattern", Code::InvalidAddress, error))?;
        let given = [
            ("/to", self.to.is_some(), RouteAction::Forward),
            ("/url", self.url.is_some(), RouteAction::Webhook),
            ("/text", self.text.is_some(), RouteAction::Reject),
        ];
        if let Some((pointer, ..)) = given.into_iter().find(|(_, is_given, of)| *is_given && self.action != *of) {
            return Err(Problem::field(pointer, Code::Conflict, "this field belongs to another action"));
        }
        let action = match self.action {
            RouteAction::Forward => NewAction::Forward(addresses(&self.to.unwrap_or_default())?),
            RouteAction::Webhook => {
                let url = self.url.ok_or_else(|| Problem::field("/url", Code::Required, "name the URL that mail is posted to"))?;
                NewAction::Webhook(api.webhooks.url(&url).map_err(|error| Problem::field("/url", Code::InvalidUrl, error))?)
            }
            RouteAction::Store => NewAction::Store,
            RouteAction::Reject => NewAction::Reject(self.text),
            RouteAction::Drop => NewAction::Drop,
        };
        Ok((pattern, action))
    }
}

fn addresses(texts: &[String]) -> Result<Vec<EmailAddress>, Problem> {
    let read = |(place, text): (usize, &String)| {
        EmailAddress::parse(text).map_err(|error| Problem::field(&format!("/to/{place}"), Code::InvalidAddress, error))
    };
    texts.iter().enumerate().map(read).collect()
}

/// A route just made.
#[derive(Serialize, ToSchema)]
#[schema(as = CreatedRoute)]
pub struct CreatedRouteView {
    /// The route.
    pub route: RouteView,
    /// Of `webhook`: the secret that signs (`whsec_...`), shown this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

impl From<CreatedRoute> for CreatedRouteView {
    fn from(created: CreatedRoute) -> Self {
        Self { route: created.view, secret: created.secret.map(|secret| secret.expose().clone()) }
    }
}

/// A page of routes.
#[derive(Serialize, ToSchema)]
pub struct RouteList {
    /// The routes.
    pub data: Vec<RouteView>,
    /// Where the next page starts; null at the end.
    pub next_cursor: Option<String>,
}

/// Which address.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TestQuery {
    /// The address.
    pub address: String,
}

/// Add a route
///
/// Mail to a domain is taken here once the domain is verified, its MX record leads here, and it has a route. Of several routes that fit, the most
/// specific takes an address: the address itself, then a pattern with more letters, then `*`. An `Idempotency-Key` has no effect here; a pattern that has a
/// route is refused.
#[utoipa::path(post, path = "/v1/routes", operation_id = "add_route", tag = "Routes", request_body = RouteRequest,
    responses(
        (status = 201, description = "The new route.", body = CreatedRouteView),
        (status = 409, description = "There is a route for this pattern: `route-exists`.", body = Document, content_type = "application/problem+json"),
    ))]
pub async fn add(
    State(api): State<Arc<Api>>,
    Manager(caller): Manager,
    request: extract::Json<RouteRequest>,
) -> Result<(StatusCode, Json<CreatedRouteView>), Problem> {
    let (pattern, action) = request.value.check(&api)?;
    let created = api.routes.add(caller.project, pattern, action).await?;
    let target = json!({ "id": created.view.id, "pattern": created.view.pattern, "action": created.view.action });
    api.audit.note(caller.project, &caller.actor(), "route.add", target).await?;
    Ok((StatusCode::CREATED, Json(created.into())))
}

/// List routes
///
/// Oldest first.
#[utoipa::path(get, path = "/v1/routes", operation_id = "list_routes", tag = "Routes", params(PageQuery),
    responses((status = 200, description = "A page of routes.", body = RouteList)))]
pub async fn list(State(api): State<Arc<Api>>, Reader(caller): Reader, Asked(query): Asked<PageQuery>) -> Result<Json<RouteList>, Problem> {
    let found = api.routes.list(caller.project, query.page()?).await?;
    Ok(Json(RouteList { data: found.data, next_cursor: found.next_cursor }))
}

/// Test an address
///
/// What becomes of mail to it now.
#[utoipa::path(get, path = "/v1/routes/test", operation_id = "test_route", tag = "Routes", params(TestQuery),
    responses((status = 200, description = "What becomes of mail to the address.", body = TestedAddress)))]
pub async fn test(State(api): State<Arc<Api>>, Reader(caller): Reader, Asked(query): Asked<TestQuery>) -> Result<Json<TestedAddress>, Problem> {
    let address = EmailAddress::parse(&query.address).map_err(|error| Problem::parameter("address", error))?;
    Ok(Json(api.routes.test(caller.project, &address).await?))
}

/// Show a route
#[utoipa::path(get, path = "/v1/routes/{id}", operation_id = "get_route", tag = "Routes",
    params(("id" = String, Path, description = "The route: `rte_...`")),
    responses(
        (status = 200, description = "The route.", body = RouteView),
        (status = 404, description = "No such route: `not-found`.", body = Document, content_type = "application/problem+json"),
    ))]
pub async fn get(State(api): State<Arc<Api>>, Reader(caller): Reader, Id(id): Id<RouteId>) -> Result<Json<RouteView>, Problem> {
    let route = api.routes.get(caller.project, id).await?.ok_or(Problem::NotFound)?;
    Ok(Json(RouteView::from(&route)))
}

/// How many are asked.
#[derive(Serialize, ToSchema)]
pub struct AskedTargets {
    /// Targets that are asked by mail now; 0 if all have agreed or were asked within the last ten minutes.
    pub asked: u64,
}

/// Ask for consent again
///
/// Those whom the route forwards to, and who did not agree yet, get another mail with a link that holds for seven days.
#[utoipa::path(post, path = "/v1/routes/{id}/confirm", operation_id = "confirm_route", tag = "Routes",
    params(("id" = String, Path, description = "The route: `rte_...`")),
    responses(
        (status = 200, description = "They are asked.", body = AskedTargets),
        (status = 404, description = "No such route: `not-found`.", body = Document, content_type = "application/problem+json"),
    ))]
pub async fn confirm(State(api): State<Arc<Api>>, Manager(caller): Manager, Id(id): Id<RouteId>) -> Result<Json<AskedTargets>, Problem> {
    let asked = api.routes.ask_again(caller.project, id).await?;
    api.audit.note(caller.project, &caller.actor(), "route.confirm", json!({ "id": id })).await?;
    Ok(Json(AskedTargets { asked }))
}

/// Remove a route
///
/// With its endpoint, if it has one. Mail that it kept stays.
#[utoipa::path(delete, path = "/v1/routes/{id}", operation_id = "remove_route", tag = "Routes",
    params(("id" = String, Path, description = "The route: `rte_...`")),
    responses(
        (status = 204, description = "Removed."),
        (status = 404, description = "No such route: `not-found`.", body = Document, content_type = "application/problem+json"),
    ))]
pub async fn remove(State(api): State<Arc<Api>>, Manager(caller): Manager, Id(id): Id<RouteId>) -> Result<StatusCode, Problem> {
    if !api.routes.remove(caller.project, id).await? {
        return Err(Problem::NotFound);
    }
    api.audit.note(caller.project, &caller.actor(), "route.remove", json!({ "id": id })).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<RouteError> for Problem {
    fn from(error: RouteError) -> Self {
        match error {
            RouteError::Exists => Self::RouteExists,
            RouteError::NoDomain(_) => Self::field("/pattern", Code::InvalidDomain, error),
            RouteError::TooMany => Self::field("/pattern", Code::OutOfRange, error),
            RouteError::NoTarget => Self::field("/to", Code::Required, error),
            RouteError::TooManyTargets => Self::field("/to", Code::OutOfRange, error),
            RouteError::Circle(_) | RouteError::TargetTwice(_) => Self::field("/to", Code::Conflict, error),
            RouteError::Reply => Self::field("/text", Code::OutOfRange, error),
            RouteError::NotFound => Self::NotFound,
            RouteError::Webhook(error) => error.into(),
            RouteError::Domain(error) => error.into(),
            RouteError::Store(error) => error.into(),
        }
    }
}
