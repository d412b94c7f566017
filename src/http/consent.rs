//! The page on which somebody agrees to get what a route forwards.
//!
//! Answers: GET shows what is asked and a button, POST agrees. GET changes nothing, so that a scanner that follows the link in the letter agrees to nothing.
//! Does not: need a key, a script or a cookie: the token in the link is the proof. Nothing is loaded from elsewhere.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{Response, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;

use super::Api;
use super::problem::Problem;
use crate::routes::Question;

/// Only what is in the page is shown; the form may go here only, and nobody may frame it.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
/// Characters of a token; longer ones are none of ours.
const MAX_TOKEN: usize = 600;

/// The routes.
pub fn routes() -> Router<Arc<Api>> {
    Router::new().route("/forwarding/confirm", get(ask).post(agree))
}

async fn ask(State(api): State<Arc<Api>>, RawQuery(query): RawQuery) -> Result<Response<Body>, Problem> {
    let token = token(query.as_deref());
    Ok(match api.routes.question(&token).await? {
        None => gone(),
        Some(question) if question.is_confirmed => agreed(&question),
        Some(question) => page(
            StatusCode::OK,
            "Forward mail to you?",
            &format!(
                "<p>Mail to <b>{}</b> is to be forwarded to <b>{}</b>.</p><form method=\"post\"><button>Yes, forward it</button></form>\
                 <p>If you do not want that, close this page.</p>",
                escaped(&question.pattern),
                escaped(&question.target.to_string())
            ),
        ),
    })
}

async fn agree(State(api): State<Arc<Api>>, RawQuery(query): RawQuery) -> Result<Response<Body>, Problem> {
    let token = token(query.as_deref());
    Ok(api.routes.agree(&token).await?.map_or_else(gone, |question| agreed(&question)))
}

/// The token of the link; it needs no decoding.
fn token(query: Option<&str>) -> String {
    let found = query.unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("token="));
    found.filter(|token| token.len() <= MAX_TOKEN).unwrap_or_default().to_owned()
}

fn agreed(question: &Question) -> Response<Body> {
    let text = format!("<p>Mail to <b>{}</b> is forwarded to <b>{}</b> now.</p>", escaped(&question.pattern), escaped(&question.target.to_string()));
    page(StatusCode::OK, "Thank you", &text)
}

fn gone() -> Response<Body> {
    let text = "<p>It is older than seven days, it was not copied whole, or what it asked for is not wanted any more. Who set the forwarding up can have \
                another one sent.</p>";
    page(StatusCode::NOT_FOUND, "This link does not hold", text)
}

fn page(status: StatusCode, title: &str, text: &str) -> Response<Body> {
    let body = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><meta name=\"robots\" content=\"noindex\">\
         <title>{title}</title><style>body{{font:1.1rem/1.5 system-ui,sans-serif;max-width:36rem;margin:4rem auto;padding:0 1rem}}\
         button{{font:inherit;padding:.5rem 1.5rem}}</style></head><body><h1>{title}</h1>{text}</body></html>"
    );
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (status, headers, body).into_response()
}

/// A text that strangers chose, as text.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_stranger_chose_is_text() {
        assert_eq!(escaped("\"<script>'&\"@example.com"), "&quot;&lt;script&gt;&#39;&amp;&quot;@example.com");
    }
}
