//! What surrounds every request: its id, a panic caught, a problem written, headers added, figures counted.
//!
//! Plain functions, no layers: this runs for each message posted.
//! Does not: authenticate or read bodies; the extractors do, so that what needs neither pays for neither.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response};
use futures_util::FutureExt;
use tower::Service;

use super::extract::Noted;
use super::figures::Figures;
use super::limit::RateState;
use super::problem::{Carried, Problem};
use super::{Api, api, public};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const CONTENT_TYPE_OPTIONS: HeaderName = HeaderName::from_static("x-content-type-options");
/// Characters of a request id that a client may choose.
const MAX_ID_CHARACTERS: usize = 64;

/// Answers requests. Cheap to clone.
#[derive(Clone)]
pub struct Stack {
    api: Arc<Api>,
    router: Router,
    pub(super) figures: Figures,
}

impl Stack {
    /// Puts the routes together.
    #[must_use]
    pub fn new(api: Api) -> Self {
        let api = Arc::new(api);
        let router = Router::new()
            .merge(api::routes())
            .merge(public::routes())
            .fallback(async || Problem::NotFound)
            .method_not_allowed_fallback(async || Problem::MethodNotAllowed)
            .with_state(Arc::clone(&api));
        Self { api, router, figures: Figures::new() }
    }

    /// Answers one request. Never fails: what goes wrong is a problem.
    pub async fn respond(&self, mut request: Request) -> Response<Body> {
        let began = self.api.clock.tick();
        let id = self.request_id(request.headers());
        let noted = self.api.limiter.is_on().then(Noted::default);
        if let Some(noted) = &noted {
            request.extensions_mut().insert(noted.clone());
        }
        let answering = AssertUnwindSafe(self.router.clone().call(request)).catch_unwind();
        let mut response = match answering.await {
            Ok(Ok(response)) => response,
            Err(_) => Carried(Arc::new(Problem::internal("a handler panicked"))).response(),
        };
        if let Some(Carried(problem)) = response.extensions_mut().remove::<Carried>() {
            response = written(&problem, &id, response.headers());
        }
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Some(state) = noted.and_then(|noted| noted.0.get().copied()) {
            add_rate_limit(headers, state);
        }
        headers.insert(REQUEST_ID, id);
        self.figures.answered(response.status().as_u16(), began, &self.api.clock);
        response
    }

    /// The clock that the rooms share.
    #[must_use]
    pub fn clock(&self) -> &crate::clock::Clock {
        &self.api.clock
    }

    /// The caller's id if it is harmless, else a fresh one.
    fn request_id(&self, headers: &HeaderMap) -> HeaderValue {
        let harmless = |value: &&HeaderValue| {
            (1..=MAX_ID_CHARACTERS).contains(&value.len())
                && value.as_bytes().iter().all(|octet| octet.is_ascii_alphanumeric() || b"-_.".contains(octet))
        };
        headers.get(REQUEST_ID).filter(harmless).cloned().unwrap_or_else(|| {
            let mut buffer = uuid::Uuid::encode_buffer();
            HeaderValue::from_str(self.api.clock.uuid().simple().encode_lower(&mut buffer)).unwrap_or_else(|_| HeaderValue::from_static("-"))
        })
    }
}

impl Carried {
    fn response(self) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        response.extensions_mut().insert(self);
        response
    }
}

/// The problem as an answer, with the headers that the router had added (Allow). A fault of ours is logged here, once.
fn written(problem: &Problem, id: &HeaderValue, added: &HeaderMap) -> Response<Body> {
    let id = id.to_str().unwrap_or("-");
    if let Some(cause) = problem.cause() {
        tracing::error!(request_id = id, problem = problem.slug(), cause, "a request failed");
    }
    let mut response = problem.render(id);
    if let Some(allow) = added.get(axum::http::header::ALLOW) {
        response.headers_mut().insert(axum::http::header::ALLOW, allow.clone());
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
