//! Every error the API answers with: problem documents (RFC 9457), all in one enum.
//!
//! Answers: type, title, status and headers of an error. Does not: decide when; nor write the body, which needs the request id
//! and is written by [`Problem::render`] at the edge.
//! Invariant: the body of a 5xx says nothing of its cause but the request id to find it by.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Response, StatusCode, header};
use axum::response::IntoResponse;
use serde::Serialize;
use utoipa::ToSchema;

use crate::accept::AcceptError;
use crate::accept::fault::{Code, FieldError};
use crate::access::AccessError;
use crate::domains::{DomainError, SignerError};
use crate::events::EventsError;
use crate::mail::dkim::DkimError;
use crate::ops::doctor::DoctorError;
use crate::outbox::StoreError;

/// The media type of a problem (RFC 9457 6.1).
pub const MEDIA_TYPE: &str = "application/problem+json";
/// Seconds after which to try again when the server is short of something.
const RETRY_SECONDS: u32 = 1;
/// Seconds after which to try again when the database is away.
const RETRY_UNAVAILABLE_SECONDS: u32 = 2;

/// Why a request is not answered as asked.
#[derive(Clone, Debug)]
pub enum Problem {
    /// The body is not JSON, or holds a name twice.
    MalformedJson(String),
    /// The body ended early or could not be read.
    IncompleteBody,
    /// A query parameter is wrong.
    InvalidParameter {
        /// Its name.
        name: Cow<'static, str>,
        /// Why.
        reason: String,
    },
    /// The `Idempotency-Key` header is not 1 to 256 printable characters.
    InvalidIdempotencyKey,
    /// No key, or not one that lets in.
    Unauthorized(&'static str),
    /// The key's scope does not cover this.
    InsufficientScope(&'static str),
    /// The sender's domain is not one to send from now.
    SenderNotVerified(String),
    /// The key is limited to other domains.
    DomainNotAllowed(String),
    /// No such thing, or not this project's.
    NotFound,
    /// The path has no such method.
    MethodNotAllowed,
    /// The body came too slowly.
    RequestTimeout,
    /// The project has this domain.
    DomainExists,
    /// Another project has proved this domain.
    DomainTaken,
    /// The delegated DKIM keys of this domain were changed within a week.
    RotatedLately,
    /// The name of an SMTP user is taken.
    SmtpUserExists,
    /// The pattern has a route.
    RouteExists,
    /// The endpoint comes and goes with its route.
    WebhookOfRoute,
    /// The idempotency key stands for another request.
    IdempotencyKeyReuse,
    /// The first request with this idempotency key is not answered yet.
    IdempotencyInProgress,
    /// Path and query have too many octets.
    UriTooLong(usize),
    /// There are too many header fields, or octets in them.
    HeadersTooLarge(usize),
    /// The body has too many octets.
    BodyTooLarge(usize),
    /// The message has too many octets.
    MessageTooLarge(usize),
    /// The body is not said to be JSON.
    UnsupportedMediaType,
    /// The list is neither CSV nor JSON lines.
    UnsupportedList,
    /// The body is compressed.
    UnsupportedEncoding,
    /// Fields are wrong.
    Invalid(Vec<FieldError>),
    /// Too many requests by this key.
    RateLimited {
        /// Seconds to wait.
        retry_after: u32,
    },
    /// Too many connections of this client; what it may have.
    TooManyConnections(usize),
    /// A fault of ours, with its cause for the log.
    Internal(Arc<str>),
    /// Too much at once.
    Overloaded,
    /// The database's disk is full.
    StorageFull,
    /// The database cannot be reached, with the cause for the log.
    Unavailable(Arc<str>),
}

/// The body of an error answer (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem, example = json!({
    "type": "invalid-address", "title": "The request is not valid", "status": 422, "detail": "1 field is wrong", "request_id": "4f0c1b7e9a",
    "errors": [{"pointer": "/to/0", "code": "invalid-address", "reason": "the address has no @"}]
}))]
pub struct Document<'a> {
    /// Which problem: a stable slug, see the list in the description of this API. More may be added.
    #[serde(rename = "type")]
    #[schema(rename = "type", value_type = String)]
    pub kind: &'static str,
    /// The problem in words; the same for every occurrence.
    #[schema(value_type = String)]
    pub title: &'static str,
    /// The HTTP status.
    #[schema(example = 422)]
    pub status: u16,
    /// This occurrence in words. Absent for server errors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The id of the request, as in `X-Request-Id`: what to name when asking for help.
    pub request_id: &'a str,
    /// Every field that is wrong, at most 100.
    #[serde(skip_serializing_if = "<[FieldError]>::is_empty")]
    #[schema(value_type = Vec<FieldError>, required = false)]
    pub errors: &'a [FieldError],
}

impl Problem {
    /// The stable name. Wrong fields that all break the same rule name that rule.
    #[must_use]
    pub fn slug(&self) -> &'static str {
        match self {
            Self::Invalid(errors) => common_code(errors).map_or("invalid-request", Code::slug),
            other => other.facts().1,
        }
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.facts().0
    }

    /// Status, slug and title: the whole table of problems.
    const fn facts(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::MalformedJson(_) => (StatusCode::BAD_REQUEST, "malformed-json", "The body is not well-formed JSON"),
            Self::IncompleteBody => (StatusCode::BAD_REQUEST, "incomplete-body", "The body ended early"),
            Self::InvalidParameter { .. } => (StatusCode::BAD_REQUEST, "invalid-parameter", "A query parameter is not valid"),
            Self::InvalidIdempotencyKey => (StatusCode::BAD_REQUEST, "invalid-idempotency-key", "The Idempotency-Key header is not valid"),
            Self::Unauthorized(_) => (StatusCode::UNAUTHORIZED, "unauthorized", "A valid API key is needed"),
            Self::InsufficientScope(_) => (StatusCode::FORBIDDEN, "insufficient-scope", "The API key may not do this"),
            Self::SenderNotVerified(_) => (StatusCode::FORBIDDEN, "sender-not-verified", "The sender's domain is not verified"),
            Self::DomainNotAllowed(_) => (StatusCode::FORBIDDEN, "domain-not-allowed", "The API key is limited to other domains"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not-found", "There is no such thing here"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "This path does not know the method"),
            Self::RequestTimeout => (StatusCode::REQUEST_TIMEOUT, "request-timeout", "The request came too slowly"),
            Self::DomainExists => (StatusCode::CONFLICT, "domain-exists", "The project already has this domain"),
            Self::SmtpUserExists => (StatusCode::CONFLICT, "smtp-user-exists", "There is an SMTP user of this name"),
            Self::RouteExists => (StatusCode::CONFLICT, "route-exists", "There is a route for this pattern"),
            Self::WebhookOfRoute => (StatusCode::CONFLICT, "webhook-of-route", "The webhook belongs to a route"),
            Self::DomainTaken => (StatusCode::CONFLICT, "domain-taken", "Another project holds this domain"),
            Self::RotatedLately => (StatusCode::CONFLICT, "rotated-lately", "The DKIM keys were changed less than a week ago"),
            Self::IdempotencyKeyReuse => (StatusCode::CONFLICT, "idempotency-key-reuse", "The idempotency key stands for another request"),
            Self::IdempotencyInProgress => (StatusCode::CONFLICT, "idempotency-in-progress", "The first request with this key is not answered yet"),
            Self::UriTooLong(_) => (StatusCode::URI_TOO_LONG, "uri-too-long", "The path or the query is too long"),
            Self::HeadersTooLarge(_) => (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "headers-too-large", "The header of the request is too large"),
            Self::BodyTooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", "The body is too large"),
            Self::MessageTooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "message-too-large", "The message is too large"),
            Self::UnsupportedMediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "The body must be application/json"),
            Self::UnsupportedList => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-list", "The list must be CSV or JSON lines"),
            Self::UnsupportedEncoding => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-encoding", "Compressed bodies are not accepted"),
            Self::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid-request", "The request is not valid"),
            Self::RateLimited { .. } => (StatusCode::TOO_MANY_REQUESTS, "rate-limited", "Too many requests"),
            Self::TooManyConnections(_) => (StatusCode::TOO_MANY_REQUESTS, "too-many-connections", "Too many connections"),
            Self::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something went wrong on the server"),
            Self::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "overloaded", "The server has too much to do"),
            Self::StorageFull => (StatusCode::SERVICE_UNAVAILABLE, "storage-full", "The server has no room for more messages"),
            Self::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "The server cannot do this now"),
        }
    }

    fn detail(&self) -> Option<String> {
        match self {
            Self::MalformedJson(reason) | Self::SenderNotVerified(reason) | Self::DomainNotAllowed(reason) => Some(reason.clone()),
            Self::InvalidParameter { name, reason } => Some(format!("{name}: {reason}")),
            Self::InvalidIdempotencyKey => Some("give it once, with 1 to 256 printable ASCII characters".to_owned()),
            Self::Unauthorized(reason) | Self::InsufficientScope(reason) => Some((*reason).to_owned()),
            Self::UriTooLong(limit) => Some(format!("at most {limit} octets are accepted in path and query")),
            Self::HeadersTooLarge(limit) => Some(format!("at most {limit} octets in 100 header fields are accepted")),
            Self::BodyTooLarge(limit) => Some(format!("at most {limit} octets are accepted here")),
            Self::MessageTooLarge(limit) => Some(format!("at most {limit} octets are accepted, encoded attachments included")),
            Self::UnsupportedMediaType => Some("send Content-Type: application/json, in UTF-8".to_owned()),
            Self::UnsupportedList => Some("send Content-Type: text/csv or application/x-ndjson, in UTF-8".to_owned()),
            Self::UnsupportedEncoding => Some("send the body without Content-Encoding".to_owned()),
            Self::Invalid(errors) if errors.len() == 1 => Some("1 field is wrong".to_owned()),
            Self::Invalid(errors) => Some(format!("{} fields are wrong", errors.len())),
            Self::RotatedLately => Some("mail signed with the keys before may still be on its way; rotate again after that week".to_owned()),
            Self::RateLimited { retry_after } => Some(format!("try again in {retry_after} s")),
            Self::TooManyConnections(limit) => Some(format!("{limit} connections of this address are open; use them again, or close some")),
            _ => None,
        }
    }

    /// What the log says of a fault of ours.
    #[must_use]
    pub fn cause(&self) -> Option<&str> {
        match self {
            Self::Internal(cause) | Self::Unavailable(cause) => Some(cause),
            _ => None,
        }
    }

    const fn header(&self) -> Option<(HeaderName, HeaderText)> {
        match self {
            Self::Unauthorized(_) => Some((header::WWW_AUTHENTICATE, HeaderText::Fixed("Bearer realm=\"pennypost\""))),
            Self::InsufficientScope(_) => Some((header::WWW_AUTHENTICATE, HeaderText::Fixed("Bearer error=\"insufficient_scope\""))),
            Self::UnsupportedEncoding => Some((header::ACCEPT_ENCODING, HeaderText::Fixed("identity"))),
            Self::IncompleteBody
            | Self::RequestTimeout
            | Self::UriTooLong(_)
            | Self::HeadersTooLarge(_)
            | Self::BodyTooLarge(_)
            | Self::TooManyConnections(_) => Some((header::CONNECTION, HeaderText::Fixed("close"))),
            Self::RateLimited { retry_after } => Some((header::RETRY_AFTER, HeaderText::Seconds(*retry_after))),
            Self::IdempotencyInProgress | Self::Overloaded => Some((header::RETRY_AFTER, HeaderText::Seconds(RETRY_SECONDS))),
            Self::StorageFull => Some((header::RETRY_AFTER, HeaderText::Seconds(60))),
            Self::Unavailable(_) => Some((header::RETRY_AFTER, HeaderText::Seconds(RETRY_UNAVAILABLE_SECONDS))),
            _ => None,
        }
    }

    /// What the caller is told beside slug and status: title, detail, and the fields that are wrong.
    #[must_use]
    pub fn told(&self) -> (&'static str, Option<String>, &[FieldError]) {
        let (status, _, title) = self.facts();
        match self {
            _ if status.is_server_error() => (title, None, &[]),
            Self::Invalid(errors) => (title, self.detail(), errors),
            _ => (title, self.detail(), &[]),
        }
    }

    /// The whole answer.
    #[must_use]
    pub fn render(&self, request_id: &str) -> Response<Body> {
        let status = self.status();
        let (title, detail, errors) = self.told();
        let document = Document { kind: self.slug(), title, status: status.as_u16(), detail, request_id, errors };
        let mut response = Response::new(Body::from(serde_json::to_vec(&document).unwrap_or_default()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some((name, value)) = self.header() {
            headers.insert(name, value.into());
        }
        response
    }
}

/// The value of a header a problem brings along.
enum HeaderText {
    Fixed(&'static str),
    Seconds(u32),
}

impl From<HeaderText> for HeaderValue {
    fn from(text: HeaderText) -> Self {
        match text {
            HeaderText::Fixed(text) => Self::from_static(text),
            HeaderText::Seconds(seconds) => Self::from(seconds),
        }
    }
}

fn common_code(errors: &[FieldError]) -> Option<Code> {
    let code = errors.first()?.code;
    errors.iter().all(|error| error.code == code).then_some(code)
}

/// A problem on its way to the edge, where it is written.
#[derive(Clone, Debug)]
pub struct Carried(pub Arc<Problem>);

impl IntoResponse for Problem {
    fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status();
        response.extensions_mut().insert(Carried(Arc::new(self)));
        response
    }
}

impl Problem {
    /// One wrong field.
    #[must_use]
    pub fn field(pointer: &str, code: Code, reason: impl fmt::Display) -> Self {
        Self::Invalid(vec![FieldError { pointer: pointer.to_owned(), code, reason: reason.to_string() }])
    }

    /// A wrong query parameter.
    #[must_use]
    pub fn parameter(name: impl Into<Cow<'static, str>>, reason: impl fmt::Display) -> Self {
        Self::InvalidParameter { name: name.into(), reason: reason.to_string() }
    }

    /// A fault of ours.
    #[must_use]
    pub fn internal(cause: impl fmt::Display) -> Self {
        Self::Internal(cause.to_string().into())
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let cause = error.to_string().into();
        match error {
            StoreError::Full => Self::StorageFull,
            error if error.is_transient() => Self::Unavailable(cause),
            _ => Self::Internal(cause),
        }
    }
}

impl From<AccessError> for Problem {
    fn from(error: AccessError) -> Self {
        match error {
            AccessError::Store(error) => error.into(),
            AccessError::Revoked => Self::Unauthorized("the API key was revoked"),
            AccessError::Expired => Self::Unauthorized("the API key has expired"),
            _ => Self::Unauthorized("the API key is not known"),
        }
    }
}

impl From<DomainError> for Problem {
    fn from(error: DomainError) -> Self {
        match error {
            DomainError::Exists => Self::DomainExists,
            DomainError::TakenElsewhere => Self::DomainTaken,
            DomainError::NotFound => Self::NotFound,
            DomainError::BadKey(DkimError::Selector) => Self::field("/selector", Code::InvalidLabel, error),
            DomainError::BadKey(_) => Self::field("/private_key", Code::NotSupported, error),
            DomainError::SelectorInUse => Self::field("/selector", Code::Conflict, error),
            DomainError::ZoneTooLong => Self::field("/dkim_zone", Code::InvalidDomain, error),
            DomainError::TooSoon => Self::RotatedLately,
            DomainError::TooLong => Self::field("/name", Code::InvalidDomain, error),
            DomainError::Keys(error) => Self::internal(error.to_string()),
            DomainError::Store(error) => error.into(),
        }
    }
}

impl From<DoctorError> for Problem {
    fn from(error: DoctorError) -> Self {
        match error {
            DoctorError::Domain(error) => error.into(),
            DoctorError::Resolver(_) | DoctorError::NoDatabase(_) => Self::internal(error.to_string()),
        }
    }
}

impl From<EventsError> for Problem {
    fn from(error: EventsError) -> Self {
        match error {
            EventsError::BadCursor => Self::parameter("cursor", "not a cursor of this list"),
            EventsError::Store(error) => error.into(),
        }
    }
}

impl From<SignerError> for Problem {
    fn from(error: SignerError) -> Self {
        let cause = error.to_string();
        if let SignerError::Store(error) = error { error.into() } else { Self::internal(cause) }
    }
}

impl From<AcceptError> for Problem {
    fn from(error: AcceptError) -> Self {
        let text = error.to_string();
        match error {
            AcceptError::Invalid(errors) => Self::Invalid(errors),
            AcceptError::SenderNotVerified { .. } => Self::SenderNotVerified(text),
            AcceptError::Forbidden(_) => Self::DomainNotAllowed(text),
            AcceptError::TooLarge { limit } => Self::MessageTooLarge(limit),
            AcceptError::Overloaded => Self::Overloaded,
            AcceptError::StorageFull => Self::StorageFull,
            AcceptError::Unavailable(cause) => Self::Unavailable(cause.into()),
            AcceptError::KeyReused => Self::IdempotencyKeyReuse,
            AcceptError::InProgress => Self::IdempotencyInProgress,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    fn every_problem() -> Vec<Problem> {
        let wrong = |pointer: &str, code| FieldError { pointer: pointer.to_owned(), code, reason: "why".to_owned() };
        let secret = || Arc::from("postgres://user:hunter2@db");
        vec![
            Problem::MalformedJson("EOF while parsing an object at line 1 column 1".to_owned()),
            Problem::IncompleteBody,
            Problem::parameter("limit", "expected a number from 1 to 100"),
            Problem::InvalidIdempotencyKey,
            Problem::Unauthorized("the API key is not known"),
            Problem::InsufficientScope("this API key may not send"),
            Problem::SenderNotVerified("a.example has no DKIM key".to_owned()),
            Problem::DomainNotAllowed("this API key may not send from a.example".to_owned()),
            Problem::NotFound,
            Problem::MethodNotAllowed,
            Problem::RequestTimeout,
            Problem::DomainExists,
            Problem::DomainTaken,
            Problem::RotatedLately,
            Problem::SmtpUserExists,
            Problem::RouteExists,
            Problem::WebhookOfRoute,
            Problem::IdempotencyKeyReuse,
            Problem::IdempotencyInProgress,
            Problem::UriTooLong(8_192),
            Problem::HeadersTooLarge(16_384),
            Problem::BodyTooLarge(65_536),
            Problem::MessageTooLarge(26_214_400),
            Problem::UnsupportedMediaType,
            Problem::UnsupportedList,
            Problem::UnsupportedEncoding,
            Problem::Invalid(vec![wrong("/to/0", Code::InvalidAddress), wrong("/to/1", Code::InvalidAddress)]),
            Problem::Invalid(vec![wrong("/subject", Code::HeaderInjection), wrong("/headers/To", Code::ReservedHeader)]),
            Problem::RateLimited { retry_after: 1 },
            Problem::TooManyConnections(1_024),
            Problem::Internal(secret()),
            Problem::Overloaded,
            Problem::StorageFull,
            Problem::Unavailable(secret()),
        ]
    }

    #[tokio::test]
    async fn problems_read_like_this() {
        use http_body_util::BodyExt;
        let mut shown = String::new();
        for problem in every_problem() {
            let (parts, body) = problem.render("req1").into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            writeln!(shown, "{}", parts.status).unwrap();
            for (name, value) in &parts.headers {
                writeln!(shown, "{name}: {}", value.to_str().unwrap()).unwrap();
            }
            writeln!(shown, "{}\n", String::from_utf8_lossy(&body)).unwrap();
        }
        assert!(!shown.contains("hunter2"));
        insta::assert_snapshot!(shown);
    }

    #[test]
    fn the_description_of_the_api_knows_every_slug() {
        let document = crate::http::openapi().to_json().unwrap();
        for problem in every_problem().into_iter().filter(|problem| !matches!(problem, Problem::NotFound | Problem::MethodNotAllowed)) {
            assert!(document.contains(&format!("`{}`", problem.slug())) || problem.slug() == "header-injection", "{}", problem.slug());
        }
    }
}
