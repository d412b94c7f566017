//! What surrounds every request: its id, a panic caught, a problem written, headers added, figures counted.
//!
//! Plain functions, no layers: this runs for each message posted.
//! Does not: authenticate or read bodies; the extractors do, so that what needs neither pays for neither.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use axum::response::IntoResponse;
use futures_util::FutureExt;
use tower::Service;
use tracing::Instrument;

use super::extract::Noted;
use super::limit::RateState;
use super::problem::{Carried, Problem};
use super::route::Patterns;
use super::{Api, api, openapi, public, well_known};
use crate::clock::{Clock, Tick};
use crate::telemetry::{metrics, spans};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// On every answer that does not say otherwise: read as what it is, kept by no cache, nothing run or framed by a browser.
const SAFE: [(HeaderName, HeaderValue); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
];
/// Octets of a path with its query.
const MAX_URI_OCTETS: usize = 8 * 1024;
/// Octets of all header fields together.
const MAX_HEADER_OCTETS: usize = 16 * 1024;
/// Header fields.
const MAX_HEADERS: usize = 100;
/// Characters of a request id that a client may choose.
const MAX_ID_CHARACTERS: usize = 64;

/// Answers requests. Cheap to clone.
#[derive(Clone)]
pub struct Stack {
    router: Router,
    clock: Clock,
    rate_limit: RateLimit,
    patterns: Arc<Patterns>,
}

/// Whether answers carry RateLimit headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateLimit {
    /// Keys are limited.
    On,
    /// They are not.
    Off,
}

impl Stack {
    /// Puts the routes together.
    #[must_use]
    pub fn new(api: Api) -> Self {
        let rate_limit = if api.limiter.is_on() { RateLimit::On } else { RateLimit::Off };
        let clock = api.clock.clone();
        let routes = Router::new()
            .merge(api::routes())
            .merge(public::routes())
            .merge(well_known::routes())
            .merge(super::consent::routes())
            .with_state(Arc::new(api));
        let patterns = openapi().paths.paths.into_keys().chain(["/send", "/openapi.json", "/docs/", well_known::MTA_STS].map(str::to_owned));
        Self { patterns: Arc::new(Patterns::new(patterns)), ..Self::around(routes, clock, rate_limit) }
    }

    /// Surrounds `routes`; other paths and methods are problems.
    #[must_use]
    pub fn around(routes: Router, clock: Clock, rate_limit: RateLimit) -> Self {
        let router = routes.fallback(async || Problem::NotFound).method_not_allowed_fallback(async || Problem::MethodNotAllowed);
        Self { router, clock, rate_limit, patterns: Arc::default() }
    }

    /// The same surroundings around one answer: `problem` to whatever is asked.
    #[must_use]
    pub fn refusing(&self, problem: Problem) -> Self {
        Self { router: Router::new().fallback(async move || problem), ..self.clone() }
    }

    /// Answers one request. Never fails: what goes wrong is a problem.
    pub async fn respond(&self, mut request: Request) -> Response<Body> {
        let began = self.clock.tick();
        let id = self.request_id(request.headers());
        let shown_id = id.to_str().unwrap_or("-");
        let path = request.uri().path().to_owned();
        let route = self.patterns.of(&path);
        let noted = (self.rate_limit == RateLimit::On).then(Noted::default);
        if let Some(noted) = &noted {
            request.extensions_mut().insert(noted.clone());
        }
        let span = spans::http_request(request.method().as_str(), route, shown_id);
        let mut response = self.answer(request).instrument(span.clone()).await;
        if let Some(Carried(problem)) = response.extensions_mut().remove::<Carried>() {
            response = written(&problem, shown_id, route, response.headers());
        }
        let headers = response.headers_mut();
        for (name, value) in SAFE {
            headers.entry(name).or_insert(value);
        }
        if let Some(state) = noted.and_then(|noted| noted.0.get().copied()) {
            add_rate_limit(headers, state);
        }
        headers.insert(REQUEST_ID, id.clone());
        span.record("status", response.status().as_u16());
        self.count(route, response.status().as_u16(), began);
        response
    }

    /// The router's answer; a panic is a fault of ours and ends this request only.
    async fn answer(&self, request: Request) -> Response<Body> {
        if let Some(problem) = excess(&request) {
            return problem.into_response();
        }
        match AssertUnwindSafe(self.router.clone().call(request)).catch_unwind().await {
            Ok(Ok(response)) => response,
            Err(_) => Problem::internal("a handler panicked").into_response(),
        }
    }

    fn count(&self, route: &str, status: u16, began: Tick) {
        metrics::http_request(route, status, self.clock.tick().since(began));
    }

    /// The clock that the rooms share.
    #[must_use]
    pub const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The caller's id if it is harmless, else a fresh one.
    fn request_id(&self, headers: &HeaderMap) -> HeaderValue {
        let harmless = |value: &&HeaderValue| {
            (1..=MAX_ID_CHARACTERS).contains(&value.len())
                && value.as_bytes().iter().all(|octet| octet.is_ascii_alphanumeric() || b"-_.".contains(octet))
        };
        headers.get(REQUEST_ID).filter(harmless).cloned().unwrap_or_else(|| {
            let mut buffer = uuid::Uuid::encode_buffer();
            HeaderValue::from_str(self.clock.uuid().simple().encode_lower(&mut buffer)).unwrap_or_else(|_| HeaderValue::from_static("-"))
        })
    }
}

/// What is too large about the head of a request. The listener cuts off what is larger still, without a word.
fn excess(request: &Request) -> Option<Problem> {
    let uri = request.uri().path_and_query().map_or(0, |text| text.as_str().len());
    let octets: usize = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if uri > MAX_URI_OCTETS {
        Some(Problem::UriTooLong(MAX_URI_OCTETS))
    } else if octets > MAX_HEADER_OCTETS || request.headers().len() > MAX_HEADERS {
        Some(Problem::HeadersTooLarge(MAX_HEADER_OCTETS))
    } else {
        None
    }
}

/// The problem as an answer, with the headers that the router had added (Allow). A fault of ours is logged here, once.
fn written(problem: &Problem, id: &str, route: &str, added: &HeaderMap) -> Response<Body> {
    if let Some(cause) = problem.cause() {
        tracing::error!(request_id = id, route, problem = problem.slug(), cause, "a request failed");
    }
    if matches!(route, "/v1/send" | "/v1/send/batch" | "/send") {
        metrics::refused(problem.slug());
    }
    let mut response = problem.render(id);
    if let Some(allow) = added.get(header::ALLOW) {
        response.headers_mut().insert(header::ALLOW, allow.clone());
    }
    response
}

fn add_rate_limit(headers: &mut HeaderMap, state: RateState) {
    let values = [(RATE_LIMIT_POLICY, format!("\"key\";q={};w=1", state.quota)), (RATE_LIMIT, format!("\"key\";r={};t=1", state.remaining))];
    for (name, text) in values {
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use http_body_util::BodyExt;

    use super::*;

    fn stack() -> Stack {
        let routes = Router::new()
            .route("/ok", get(async || "ok"))
            .route("/panic", get(panics))
            .route("/internal", get(async || Problem::internal("the password is hunter2")))
            .route("/limited", get(limited));
        Stack::around(routes, Clock::system(), RateLimit::On)
    }

    async fn panics() -> &'static str {
        panic!("the password is hunter2")
    }

    async fn limited(request: Request) -> Problem {
        if let Some(noted) = request.extensions().get::<Noted>() {
            let _ = noted.0.set(RateState { quota: 5, remaining: 0, exceeded: true });
        }
        Problem::RateLimited { retry_after: 1 }
    }

    async fn ask(method: &str, path: &str, id: Option<&str>) -> (Response<()>, serde_json::Value) {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(id) = id {
            request = request.header("x-request-id", id);
        }
        let (parts, body) = stack().respond(request.body(Body::empty()).unwrap()).await.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        (Response::from_parts(parts, ()), serde_json::from_slice(&bytes).unwrap_or_default())
    }

    #[tokio::test]
    async fn every_answer_carries_a_request_id_and_a_harmless_one_is_kept() {
        let (response, _) = ask("GET", "/ok", Some("order-7_a.b")).await;
        assert_eq!(response.headers()["x-request-id"], "order-7_a.b");
        for bad in ["", "a b", "a\"b", &"x".repeat(65)] {
            let (response, _) = ask("GET", "/ok", Some(bad)).await;
            let id = response.headers()["x-request-id"].to_str().unwrap();
            assert!(id.len() == 32 && id != bad, "{bad:?} gave {id:?}");
        }
    }

    #[tokio::test]
    async fn a_panic_and_a_fault_of_ours_say_nothing_but_the_request_id() {
        for path in ["/panic", "/internal"] {
            let (response, body) = ask("GET", path, Some("r1")).await;
            assert_eq!(response.status(), 500);
            assert_eq!(response.headers()["content-type"], "application/problem+json");
            let expected = serde_json::json!({"type": "internal", "title": "Something went wrong on the server", "status": 500, "request_id": "r1"});
            assert_eq!(body, expected, "{path}");
        }
    }

    #[tokio::test]
    async fn other_paths_and_methods_are_problems() {
        let (response, body) = ask("GET", "/nowhere", None).await;
        assert_eq!((response.status().as_u16(), &body["type"]), (404, &"not-found".into()));
        let (response, body) = ask("POST", "/ok", None).await;
        assert_eq!((response.status().as_u16(), &body["type"]), (405, &"method-not-allowed".into()));
        assert_eq!(response.headers()["allow"], "GET,HEAD");
    }

    #[tokio::test]
    async fn a_limited_key_is_told_its_limit_and_when_to_come_back() {
        let (response, _) = ask("GET", "/limited", None).await;
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(response.status(), 429);
        assert_eq!(header("retry-after"), "1");
        assert_eq!(header("ratelimit-policy"), "\"key\";q=5;w=1");
        assert_eq!(header("ratelimit"), "\"key\";r=0;t=1");
        let (response, _) = ask("GET", "/ok", None).await;
        assert!(!response.headers().contains_key("ratelimit"), "a request without a caller has no limit to tell");
    }
}
