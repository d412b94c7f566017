//! `/v1/keys`: API keys. A key is shown once, when it is made.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::accept::checks::{TIME_FORM, read_time};
use crate::accept::fault::Code;
use crate::accept::json;
use crate::access::{CreatedKey, KeyRecord, NewKey, Scope};
use crate::http::Api;
use crate::http::extract::{self, Asked, Id, Manager, PageQuery, Payload};
use crate::http::problem::{Document, Problem};
use crate::model::{DomainName, KeyId};

/// Characters of a key's name.
const MAX_NAME_CHARACTERS: usize = 100;
/// Domains a key can be limited to.
const MAX_DOMAINS: usize = 100;

/// A key to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewKey)]
pub struct KeyRequest {
    /// A name to recognise it by: 1 to 100 characters.
    #[schema(example = "shop backend")]
    pub name: String,
    /// What it may do.
    #[serde(deserialize_with = "json::word")]
    pub scope: Scope,
    /// Domains it may send from; left out: every domain of the project.
    #[serde(default)]
    pub domains: Option<Vec<String>>,
    /// When it ends, RFC 3339; left out: never.
    #[serde(default)]
    #[schema(format = DateTime)]
    pub expires_at: Option<String>,
    /// Which prefix it gets; `live` unless said.
    #[serde(default, deserialize_with = "json::word")]
    pub kind: KeyKind,
}

/// What a key is for, shown by its prefix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyKind {
    /// `pp_live_...`
    #[default]
    Live,
    /// `pp_test_...`: the same rights, recognisable as not for production.
    Test,
}

impl Payload for KeyRequest {}

impl KeyRequest {
    fn check(self, now: OffsetDateTime) -> Result<NewKey, Problem> {
        if !(1..=MAX_NAME_CHARACTERS).contains(&self.name.chars().count()) || self.name.chars().any(char::is_control) {
            return Err(Problem::field("/name", Code::OutOfRange, format_args!("expected 1 to {MAX_NAME_CHARACTERS} characters without controls")));
        }
        let expires_at = self.expires_at.as_deref().map(|text| expiry(text, now)).transpose()?;
        let domains = self.domains.map(|names| domains(&names)).transpose()?;
        Ok(NewKey { name: self.name, scope: self.scope, domains, expires_at, test: self.kind == KeyKind::Test })
    }
}

fn expiry(text: &str, now: OffsetDateTime) -> Result<OffsetDateTime, Problem> {
    let wrong = |code, reason| Problem::field("/expires_at", code, reason);
    let at = read_time(text).ok_or_else(|| wrong(Code::InvalidTime, TIME_FORM))?;
    if at > now { Ok(at) } else { Err(wrong(Code::TimeInPast, "this time is over")) }
}

fn domains(names: &[String]) -> Result<Vec<DomainName>, Problem> {
    if !(1..=MAX_DOMAINS).contains(&names.len()) {
        return Err(Problem::field("/domains", Code::OutOfRange, format_args!("expected 1 to {MAX_DOMAINS} domains, or leave it out")));
    }
    let parse = |(place, name): (usize, &String)| {
        DomainName::parse(name).map_err(|error| Problem::field(&format!("/domains/{place}"), Code::InvalidDomain, error))
    };
    names.iter().enumerate().map(parse).collect()
}

/// A key just made, with its secret.
#[derive(Serialize, ToSchema)]
pub struct CreatedKeyView {
    /// The key: shown this once, kept only as a hash.
    #[schema(example = "pp_live_...")]
    pub key: String,
    /// What lists show of it.
    #[serde(flatten)]
    pub record: KeyRecord,
}

impl From<CreatedKey> for CreatedKeyView {
    fn from(created: CreatedKey) -> Self {
        Self { key: created.secret.expose().clone(), record: created.record }
    }
}

/// A page of keys.
#[derive(Serialize, ToSchema)]
pub struct KeyList {
    /// The keys, without their secrets.
    pub data: Vec<KeyRecord>,
    /// Where the next page starts; null at the end.
    pub next_cursor: Option<String>,
}

/// Make a key
///
/// The answer is the only one that shows the key. It is not kept, so it cannot be replayed: an `Idempotency-Key` has no effect here. If an answer
/// was lost, find the key in the list by its name, revoke it and make another.
#[utoipa::path(post, path = "/v1/keys", operation_id = "create_key", tag = "Keys", request_body = KeyRequest,
    responses((status = 201, description = "The key, shown this once.", body = CreatedKeyView)))]
pub async fn create(
    State(api): State<Arc<Api>>,
    Manager(caller): Manager,
    request: extract::Json<KeyRequest>,
) -> Result<(StatusCode, Json<CreatedKeyView>), Problem> {
    let new = request.value.check(api.clock.now())?;
    let created = api.access.create_key(caller.project, new).await?;
    let target = json!({ "id": created.record.id, "name": created.record.name, "scope": created.record.scope });
    api.audit.note(caller.project, &caller.actor(), "key.create", target).await?;
    Ok((StatusCode::CREATED, Json(created.into())))
}

/// List keys
///
/// Revoked ones too.
#[utoipa::path(get, path = "/v1/keys", operation_id = "list_keys", tag = "Keys", params(PageQuery),
    responses((status = 200, description = "A page of keys.", body = KeyList)))]
pub async fn list(State(api): State<Arc<Api>>, Manager(caller): Manager, Asked(query): Asked<PageQuery>) -> Result<Json<KeyList>, Problem> {
    let page = api.access.keys(caller.project, query.page()?).await?;
    Ok(Json(KeyList { data: page.data, next_cursor: page.next_cursor }))
}

/// Revoke a key
///
/// It lets nobody in any more, within seconds on every node. Safe to repeat.
#[utoipa::path(delete, path = "/v1/keys/{id}", operation_id = "revoke_key", tag = "Keys",
    params(("id" = String, Path, description = "The key: `key_...`")),
    responses(
        (status = 204, description = "Revoked."),
        (status = 404, description = "No such key: `not-found`.", body = Document, content_type = "application/problem+json"),
    ))]
pub async fn revoke(State(api): State<Arc<Api>>, Manager(caller): Manager, Id(id): Id<KeyId>) -> Result<StatusCode, Problem> {
    if !api.access.revoke_key(caller.project, id).await? {
        return Err(Problem::NotFound);
    }
    api.audit.note(caller.project, &caller.actor(), "key.revoke", json!({ "id": id })).await?;
    Ok(StatusCode::NO_CONTENT)
}
