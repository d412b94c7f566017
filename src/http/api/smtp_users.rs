//! `/v1/smtp-users`: who may submit by SMTP. A password is shown once, when it is made.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::accept::fault::Code;
use crate::access::smtp_users::{CreatedSmtpUser, SmtpUserError, SmtpUserRecord};
use crate::http::Api;
use crate::http::extract::{self, Asked, Id, Manager, PageQuery, Payload};
use crate::http::problem::{Document, Problem};
use crate::model::{SenderPattern, SmtpUserId};

/// An SMTP user to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewSmtpUser)]
pub struct SmtpUserRequest {
    /// The name to sign in with: an address, which the user may then send as; or a plain name of 1 to 64 characters from `a-z 0-9 . _ -`, which
    /// needs `send_as`. Unique over all projects.
    #[schema(example = "hello@example.com")]
    pub username: String,
    /// Further senders, at most 50: addresses, `*@example.com`, `*@*.example.com` for all domains below, or `*` for every domain of the project.
    #[serde(default)]
    pub send_as: Vec<String>,
}

impl Payload for SmtpUserRequest {}

impl SmtpUserRequest {
    fn patterns(&self) -> Result<Vec<SenderPattern>, Problem> {
        let parse =
            |(place, text): (usize, &String)| text.parse().map_err(|error| Problem::field(&format!("/send_as/{place}"), Code::InvalidAddress, error));
        self.send_as.iter().enumerate().map(parse).collect()
    }
}

/// An SMTP user with a password just made.
#[derive(Serialize, ToSchema)]
pub struct CreatedSmtpUserView {
    /// The password: shown this once, kept only as a hash.
    #[schema(example = "pp_smtp_...")]
    pub password: String,
    /// What lists show of the user.
    #[serde(flatten)]
    pub record: SmtpUserRecord,
}

impl From<CreatedSmtpUser> for CreatedSmtpUserView {
    fn from(created: CreatedSmtpUser) -> Self {
        Self { password: created.password.expose().clone(), record: created.record }
    }
}

/// A page of SMTP users.
#[derive(Serialize, ToSchema)]
pub struct SmtpUserList {
    /// The users, without their passwords.
    pub data: Vec<SmtpUserRecord>,
    /// Where the next page starts; null at the end.
    pub next_cursor: Option<String>,
}

impl From<SmtpUserError> for Problem {
    fn from(error: SmtpUserError) -> Self {
        match error {
            SmtpUserError::Exists => Self::SmtpUserExists,
            SmtpUserError::Username => Self::field("/username", Code::InvalidAddress, error),
            SmtpUserError::NoSender => Self::field("/send_as", Code::Required, error),
            SmtpUserError::TooManySenders => Self::field("/send_as", Code::OutOfRange, error),
            SmtpUserError::Hash(error) => Self::internal(error),
            SmtpUserError::Store(error) => error.into(),
        }
    }
}

/// Make an SMTP user
///
/// The answer is the only one that shows the password. If it was lost, ask for another one. An `Idempotency-Key` has no effect here.
#[utoipa::path(post, path = "/v1/smtp-users", operation_id = "create_smtp_user", tag = "SMTP users", request_body = SmtpUserRequest,
    responses(
        (status = 201, description = "The user with its password, shown this once.", body = CreatedSmtpUserView),
        (status = 409, description = "The name is taken: `smtp-user-exists`.", body = Document, content_type = "application/problem+json"),
    ))]
pub async fn create(
    State(api): State<Arc<Api>>,
    Manager(caller): Manager,
    request: extract::Json<SmtpUserRequest>,
) -> Result<(StatusCode, Json<CreatedSmtpUserView>), Problem> {
    let patterns = request.value.patterns()?;
    let created = api.smtp_users.add(caller.project, &request.value.username, patterns).await?;
    let target = json!({ "id": created.record.id, "username": created.record.username, "send_as": created.record.send_as });
    api.audit.note(caller.project, &caller.actor(), "smtp_user.add", target).await?;
    Ok((StatusCode::CREATED, Json(created.into())))
}

/// List SMTP users
///
/// Oldest first.
#[utoipa::path(get, path = "/v1/smtp-users", operation_id = "list_smtp_users", tag = "SMTP users", params(PageQuery),
    responses((status = 200, description = "A page of SMTP users.", body = SmtpUserList)))]
pub async fn list(State(api): State<Arc<Api>>, Manager(caller): Manager, Asked(query): Asked<PageQuery>) -> Result<Json<SmtpUserList>, Problem> {
    let page = api.smtp_users.list(caller.project, query.page()?).await?;
    Ok(Json(SmtpUserList { data: page.data, next_cursor: page.next_cursor }))
}

/// Make another password
///
/// The old one stops working: at once for new sessions, within a minute for open ones.
#[utoipa::path(post, path = "/v1/smtp-users/{id}/password", operation_id = "change_smtp_user_password", tag = "SMTP users",
    params(("id" = String, Path, description = "The user: `smu_...`")),
    responses(
        (status = 200, description = "The user with its new password, shown this once.", body = CreatedSmtpUserView),
        (status = 404, description = "No such user: `not-found`.", body = Document, content_type = "application/problem+json"),
    ))]
pub async fn change_password(
    State(api): State<Arc<Api>>,
    Manager(caller): Manager,
    Id(id): Id<SmtpUserId>,
) -> Result<Json<CreatedSmtpUserView>, Problem> {
    let changed = api.smtp_users.change_password(caller.project, id).await?.ok_or(Problem::NotFound)?;
    api.audit.note(caller.project, &caller.actor(), "smtp_user.password", json!({ "id": id })).await?;
    Ok(Json(changed.into()))
}

/// Remove an SMTP user
///
/// New sessions are refused at once, open ones within a minute. Mail that was submitted goes on.
#[utoipa::path(delete, path = "/v1/smtp-users/{id}", operation_id = "remove_smtp_user", tag = "SMTP users",
    params(("id" = String, Path, description = "The user: `smu_...`")),
    responses(
        (status = 204, description = "Removed."),
        (status = 404, description = "No such user: `not-found`.", body = Document, content_type = "application/problem+json"),
    ))]
pub async fn remove(State(api): State<Arc<Api>>, Manager(caller): Manager, Id(id): Id<SmtpUserId>) -> Result<StatusCode, Problem> {
    if !api.smtp_users.remove(caller.project, id).await? {
        return Err(Problem::NotFound);
    }
    api.audit.note(caller.project, &caller.actor(), "smtp_user.remove", json!({ "id": id })).await?;
    Ok(StatusCode::NO_CONTENT)
}
