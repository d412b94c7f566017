//! `/v1/domains`: domains to send from, their DNS records, their check.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::accept::fault::Code;
use crate::domains::{DnsRecord, DomainView, NewDomain, StsMode};
use crate::http::Api;
use crate::http::extract::{self, Asked, Id, Manager, PageQuery, Payload, Reader};
use crate::http::problem::{Document, Problem};
use crate::model::{DomainId, DomainName, Secret};
use crate::ops::doctor::Report;

/// A domain to add.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewDomain)]
pub struct DomainRequest {
    /// The name, in U-labels or A-labels.
    #[schema(example = "example.com")]
    pub name: String,
    /// A zone of yours that its DKIM keys shall stand in. Its owner publishes CNAME records that lead there, once, and keys are then changed without
    /// him. Left out: they stand in the domain's own zone.
    #[serde(default)]
    #[schema(example = "dkim.example.net")]
    pub dkim_zone: Option<String>,
}

impl Payload for DomainRequest {}

/// What to change of a domain; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DomainChange {
    /// How strictly senders shall keep to its mail hosts, where its mail comes here.
    #[serde(default)]
    pub mta_sts: Option<StsMode>,
}

impl Payload for DomainChange {}

/// A page of domains.
#[derive(Serialize, ToSchema)]
pub struct DomainList {
    /// The domains.
    pub data: Vec<DomainView>,
    /// Where the next page starts; null at the end.
    pub next_cursor: Option<String>,
}

/// The DNS records of a domain.
#[derive(Serialize, ToSchema)]
pub struct RecordList {
    /// The records to publish.
    pub data: Vec<DnsRecord>,
    /// Always null: the list is whole.
    pub next_cursor: Option<String>,
}

/// Add a domain
///
/// Makes its DKIM keys and says which DNS records to publish. A name can be added once, so repeating the request is safe without an
/// idempotency key: it is answered 409 `domain-exists`.
#[utoipa::path(post, path = "/v1/domains", operation_id = "add_domain", tag = "Domains", request_body = DomainRequest,
    responses(
        (status = 201, description = "The domain, to be verified.", body = DomainView, headers(("Location" = String, description = "The domain's path."))),
        (status = 409, description = "The domain is there already: `domain-exists`, `domain-taken`.", body = Document,
            content_type = "application/problem+json"),
    ))]
pub async fn add(
    State(api): State<Arc<Api>>,
    Manager(caller): Manager,
    request: extract::Json<DomainRequest>,
) -> Result<(StatusCode, [(header::HeaderName, String); 1], Json<DomainView>), Problem> {
    let name = DomainName::parse(&request.value.name).map_err(|error| Problem::field("/name", Code::InvalidDomain, error))?;
    let zone = request.value.dkim_zone.as_deref().map(DomainName::parse).transpose();
    let dkim_zone = zone.map_err(|error| Problem::field("/dkim_zone", Code::InvalidDomain, error))?;
    let domain = api.domains.add(caller.project, NewDomain { name, dkim_zone }).await?;
    api.audit.note(caller.project, &caller.actor(), "domain.add", json!({ "id": domain.id, "name": domain.name })).await?;
    Ok((StatusCode::CREATED, [(header::LOCATION, format!("/v1/domains/{}", domain.id))], Json(domain)))
}

/// List domains
#[utoipa::path(get, path = "/v1/domains", operation_id = "list_domains", tag = "Domains", params(PageQuery),
    responses((status = 200, description = "A page of domains.", body = DomainList)))]
pub async fn list(State(api): State<Arc<Api>>, Reader(caller): Reader, Asked(query): Asked<PageQuery>) -> Result<Json<DomainList>, Problem> {
    let page = api.domains.list(caller.project, query.page()?).await?;
    Ok(Json(DomainList { data: page.data, next_cursor: page.next_cursor }))
}

/// Show a domain
#[utoipa::path(get, path = "/v1/domains/{id}", operation_id = "get_domain", tag = "Domains",
    params(("id" = String, Path, description = "The domain: `dom_...`")),
    responses(
        (status = 200, description = "The domain.", body = DomainView),
        (status = 404, description = "No such domain: `not-found`.", body = Document, content_type = "application/problem+json"),
    ))]
pub async fn get(State(api): State<Arc<Api>>, Reader(caller): Reader, Id(id): Id<DomainId>) -> Result<Json<DomainView>, Problem> {
    Ok(Json(api.domains.get(caller.project, id).await?))
}

/// List the DNS records of a domain
///
/// What to publish, as last checked.
#[utoipa::path(get, path = "/v1/domains/{id}/records", operation_id = "list_domain_records", tag = "Domains",
    params(("id" = String, Path, description = "The domain: `dom_...`")),
    responses(
        (status = 200, description = "The records.", body = RecordList),
        (status = 404, description = "No such domain: `not-found`.", body = Document, content_type = "application/problem+json"),
    ))]
pub async fn records(State(api): State<Arc<Api>>, Reader(caller): Reader, Id(id): Id<DomainId>) -> Result<Json<RecordList>, Problem> {
    let domain = api.domains.get(caller.project, id).await?;
    Ok(Json(RecordList { data: domain.records, next_cursor: None }))
}

/// Change a domain
///
/// The mode of its MTA-STS policy is heeded within a minute. With it the id in the record `_mta-sts.` changes, which has to be published.
#[utoipa::path(patch, path = "/v1/domains/{id}", operation_id = "change_domain", tag = "Domains", request_body = DomainChange,
    params(("id" = String, Path, description = "The domain: `dom_...`")),
    responses(
        (status = 200, description = "The domain as it is now, with the records to publish.", body = DomainView),
        (status = 404, description = "No such domain: `not-found`.", body = Document, content_type = "application/problem+json"),
    ))]
pub async fn change(
    State(api): State<Arc<Api>>,
    Manager(caller): Manager,
    Id(id): Id<DomainId>,
    request: extract::Json<DomainChange>,
) -> Result<Json<DomainView>, Problem> {
    let Some(mode) = request.value.mta_sts else { return Ok(Json(api.domains.get(caller.project, id).await?)) };
    let domain = api.domains.set_mta_sts(caller.project, id, mode).await?;
    api.audit.note(caller.project, &caller.actor(), "domain.set", json!({ "id": id, "name": domain.name, "mta_sts": mode })).await?;
    Ok(Json(domain))
}

/// Check a domain
///
/// Looks its records up in DNS now and says for each what was found. The domain is verified once they are there.
#[utoipa::path(post, path = "/v1/domains/{id}/check", operation_id = "check_domain", tag = "Domains",
    params(("id" = String, Path, description = "The domain: `dom_...`")),
    responses(
        (status = 200, description = "The domain with its records as found.", body = DomainView),
        (status = 404, description = "No such domain: `not-found`.", body = Document, content_type = "application/problem+json"),
    ))]
pub async fn check(State(api): State<Arc<Api>>, Manager(caller): Manager, Id(id): Id<DomainId>) -> Result<Json<DomainView>, Problem> {
    Ok(Json(api.domains.check(caller.project, id).await?))
}

/// Look at a domain as receivers do
///
/// Makes every check of a domain with the DNS as it is now: SPF evaluated for each sending address, a signature made and verified, DMARC, the
/// return path, replies, lists of bad senders. Each finding has what is there, what should be and the exact fix. Takes some seconds.
#[utoipa::path(get, path = "/v1/domains/{id}/health", operation_id = "get_domain_health", tag = "Domains",
    params(("id" = String, Path, description = "The domain: `dom_...`")),
    responses(
        (status = 200, description = "What was found.", body = Report),
        (status = 404, description = "No such domain: `not-found`.", body = Document, content_type = "application/problem+json"),
    ))]
pub async fn health(State(api): State<Arc<Api>>, Reader(caller): Reader, Id(id): Id<DomainId>) -> Result<Json<Report>, Problem> {
    Ok(Json(api.doctor.domain(caller.project, id).await?))
}

/// Rotate DKIM keys
///
/// Makes new keys, whose records stand in the answer beside the present ones. They sign once a check sees them in DNS; until then the present keys
/// do. Keys of an earlier rotation that never came into use are replaced. Delegated keys (`dkim_zone`) can be rotated once a week.
#[utoipa::path(post, path = "/v1/domains/{id}/rotate-dkim", operation_id = "rotate_domain_dkim", tag = "Domains",
    params(("id" = String, Path, description = "The domain: `dom_...`")),
    responses(
        (status = 200, description = "The domain with the records to publish.", body = DomainView),
        (status = 404, description = "No such domain: `not-found`.", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "The delegated keys were changed less than a week ago: `rotated-lately`.", body = Document,
            content_type = "application/problem+json"),
    ))]
pub async fn rotate_dkim(State(api): State<Arc<Api>>, Manager(caller): Manager, Id(id): Id<DomainId>) -> Result<Json<DomainView>, Problem> {
    let domain = api.domains.rotate_dkim(caller.project, id).await?;
    api.audit.note(caller.project, &caller.actor(), "domain.rotate_dkim", json!({ "id": id, "name": domain.name })).await?;
    Ok(Json(domain))
}

/// A DKIM key that is in use elsewhere.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportedKey {
    /// Its selector.
    #[schema(example = "s2024")]
    pub selector: String,
    /// The private key in PEM: RSA of 2048 bits or more, or Ed25519.
    #[schema(value_type = String, format = Password)]
    pub private_key: Secret<String>,
}

impl Payload for ImportedKey {}

/// Import a DKIM key
///
/// So that a domain can move here without a gap: the key signs once a check sees its record in DNS, where it may stand already. Next keys of a
/// rotation that were not seen in DNS yet are thrown away.
#[utoipa::path(post, path = "/v1/domains/{id}/dkim-keys", operation_id = "import_domain_dkim", tag = "Domains", request_body = ImportedKey,
    params(("id" = String, Path, description = "The domain: `dom_...`")),
    responses(
        (status = 200, description = "The domain with the records to publish.", body = DomainView),
        (status = 404, description = "No such domain: `not-found`.", body = Document, content_type = "application/problem+json"),
    ))]
pub async fn import_dkim(
    State(api): State<Arc<Api>>,
    Manager(caller): Manager,
    Id(id): Id<DomainId>,
    request: extract::Json<ImportedKey>,
) -> Result<Json<DomainView>, Problem> {
    let selector = &request.value.selector;
    let domain = api.domains.import_dkim(caller.project, id, selector, &request.value.private_key).await?;
    let target = json!({ "id": id, "name": domain.name, "selector": selector });
    api.audit.note(caller.project, &caller.actor(), "domain.import_dkim", target).await?;
    Ok(Json(domain))
}

/// Remove a domain
///
/// Nothing can be sent from it any more.
#[utoipa::path(delete, path = "/v1/domains/{id}", operation_id = "remove_domain", tag = "Domains",
    params(("id" = String, Path, description = "The domain: `dom_...`")),
    responses(
        (status = 204, description = "Removed."),
        (status = 404, description = "No such domain: `not-found`.", body = Document, content_type = "application/problem+json"),
    ))]
pub async fn remove(State(api): State<Arc<Api>>, Manager(caller): Manager, Id(id): Id<DomainId>) -> Result<StatusCode, Problem> {
    api.domains.remove(caller.project, id).await?;
    api.audit.note(caller.project, &caller.actor(), "domain.remove", json!({ "id": id })).await?;
    Ok(StatusCode::NO_CONTENT)
}
