//! What anybody may ask without a key: is the process up, can it serve, its metrics, its documentation.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, Response, header};
use axum::response::{IntoResponse, Redirect};
use axum::routing::get;
use bytes::Bytes;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::Config;

use super::Api;
use super::problem::Problem;

/// Only what the page brings along itself is loaded and run; its styles are inline.
const DOCS_POLICY: &str =
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'";

/// The routes.
pub fn routes() -> Router<Arc<Api>> {
    documented()
        .split_for_parts()
        .0
        .route("/.well-known/acme-challenge/{token}", get(acme_challenge))
        .route("/openapi.json", get(openapi_json))
        .route("/docs", get(async || Redirect::permanent("/docs/")))
        .route("/docs/", get(async || docs_file("index.html")))
        .route("/docs/{*file}", get(async |Path(file): Path<String>| docs_file(&file)))
}

/// The routes that the OpenAPI document lists.
pub fn documented() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(healthz)).routes(routes!(readyz)).routes(routes!(metrics))
}

/// Tell whether the process runs
///
/// For a supervisor that restarts what hangs. Says nothing of the database.
#[utoipa::path(get, path = "/healthz", operation_id = "get_health", tag = "Operations", security(()),
    responses((status = 200, description = "The process runs.", body = String, content_type = "text/plain")))]
async fn healthz() -> &'static str {
    "ok\n"
}

/// Tell whether requests can be served
///
/// For a load balancer: the database answers, its migrations have run, the process is not stopping.
#[utoipa::path(get, path = "/readyz", operation_id = "get_readiness", tag = "Operations", security(()),
    responses(
        (status = 200, description = "Requests are served.", body = String, content_type = "text/plain"),
        (status = 503, description = "Not now; see Retry-After.", body = super::problem::Document, content_type = "application/problem+json"),
    ))]
async fn readyz(State(api): State<Arc<Api>>) -> Result<&'static str, Problem> {
    (api.ready)().await.map(|()| "ready\n").map_err(|cause| Problem::Unavailable(cause.into()))
}

/// Show the metrics
///
/// In the text format of Prometheus.
#[utoipa::path(get, path = "/metrics", operation_id = "get_metrics", tag = "Operations", security(()),
    responses((status = 200, description = "The metrics.", body = String, content_type = "text/plain")))]
async fn metrics(State(api): State<Arc<Api>>) -> Response<Body> {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], (api.metrics)()).into_response()
}

/// For a proxy at port 80 that hands these requests on (RFC 8555 8.3).
async fn acme_challenge(State(api): State<Arc<Api>>, Path(token): Path<String>) -> Result<Response<Body>, Problem> {
    let text = api.answers.text(&token).ok_or(Problem::NotFound)?;
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], text).into_response())
}

async fn openapi_json() -> Response<Body> {
    static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| super::openapi().to_json().unwrap_or_default().into());
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.clone()).into_response()
}

fn docs_file(name: &str) -> Result<Response<Body>, Problem> {
    static CONFIG: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| Arc::new(Config::from("/openapi.json")));
    let file = utoipa_swagger_ui::serve(name, Arc::clone(&CONFIG)).map_err(Problem::internal)?.ok_or(Problem::NotFound)?;
    let mut response = Response::new(Body::from(file.bytes.into_owned()));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::try_from(file.content_type).map_err(Problem::internal)?);
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(DOCS_POLICY));
    Ok(response)
}
