//! What handlers are given: the caller, the body as a value, the idempotency key, the query. Each refusal is a problem.
//!
//! Does not: decide about projects; every call below takes the caller's project.

use std::future::ready;
use std::sync::{Arc, OnceLock};

use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use super::Api;
use super::body::Held;
use super::json;
use super::limit::RateState;
use super::problem::Problem;
use crate::access::{Caller, Scope};
use crate::config::Limits;
use crate::model::page::{MAX_LIMIT, PageRequest, read_cursor};
use crate::outbox::IdempotencyKey;

/// Octets of a body unless its type says otherwise.
const SMALL_BODY_OCTETS: usize = 64 * 1024;
/// Characters of an idempotency key.
const MAX_KEY_CHARACTERS: usize = 256;
/// Characters of what is said about a query.
const MAX_REASON_CHARACTERS: usize = 200;

/// Where the extractors leave what the edge writes into the answer's headers.
#[derive(Clone, Debug, Default)]
pub struct Noted(pub Arc<OnceLock<RateState>>);

macro_rules! caller_with_scope {
    ($(#[$doc:meta])* $name:ident, $may:ident, $refusal:literal) => {
        $(#[$doc])*
        pub struct $name(pub Caller);

        impl FromRequestParts<Arc<Api>> for $name {
            type Rejection = Problem;

            async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
                caller(parts, api, Scope::$may, $refusal).await.map(Self)
            }
        }
    };
}

caller_with_scope!(
    /// Who calls, with a key that may send.
    Sender, may_send, "this API key may not send"
);
caller_with_scope!(
    /// Who calls, with a key that may read.
    Reader, may_read, "this API key may not read"
);
caller_with_scope!(
    /// Who calls, with a key that may change domains, keys and the queue.
    Manager, may_manage, "this API key may not manage the project; use one with the scope full"
);

async fn caller(parts: &Parts, api: &Api, may: impl FnOnce(Scope) -> bool, refusal: &'static str) -> Result<Caller, Problem> {
    let caller = api.access.authenticate(bearer(&parts.headers)?).await?;
    if let Some(state) = api.limiter.take(caller.key, api.clock.tick()) {
        if let Some(noted) = parts.extensions.get::<Noted>() {
            // A request has one caller, so the cell is empty.
            let _ = noted.0.set(state);
        }
        if state.exceeded {
            return Err(Problem::RateLimited { retry_after: 1 });
        }
    }
    if may(caller.scope) { Ok(caller) } else { Err(Problem::InsufficientScope(refusal)) }
}

/// The token of `Authorization: Bearer` (RFC 6750 2.1); never one from the query. Two such headers are refused: which one counts
/// would be a guess.
fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or(Problem::Unauthorized("send Authorization: Bearer with an API key"))?;
    if values.next().is_some() {
        return Err(Problem::Unauthorized("more than one Authorization header"));
    }
    let (scheme, token) = value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or(Problem::Unauthorized("expected Bearer and an API key"))?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(token) } else { Err(Problem::Unauthorized("only the scheme Bearer is known")) }
}

/// A request's body type.
pub trait Payload: DeserializeOwned {
    /// The octets its JSON may have.
    #[must_use]
    fn limit(_limits: &Limits) -> usize {
        SMALL_BODY_OCTETS
    }
}

/// A body read from JSON, with the octets it was read from.
pub struct Json<T> {
    /// The value.
    pub value: T,
    held: Held,
}

impl<T> Json<T> {
    /// The idempotency key together with what it stands for: this body, sent to `route`.
    #[must_use]
    pub fn keyed(&self, key: Idempotency, route: &str) -> Option<IdempotencyKey> {
        key.0.map(|key| keyed(key, route, &self.held.bytes))
    }
}

/// An idempotency key together with what it stands for: these octets, sent to `route`.
#[must_use]
pub fn keyed(key: String, route: &str, octets: &[u8]) -> IdempotencyKey {
    let mut digest = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    digest.update(route.as_bytes());
    digest.update(&[0]);
    digest.update(octets);
    let request_hash = <[u8; 32]>::try_from(digest.finish().as_ref()).unwrap_or_default();
    IdempotencyKey { key, request_hash }
}

impl<T: Payload> FromRequest<Arc<Api>> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        if !json::is_json(&parts.headers) {
            return Err(Problem::UnsupportedMediaType);
        }
        let held = api.budget.read(&parts.headers, body, T::limit(&api.config.limits), &api.clock).await?;
        let value = json::read(&held.bytes)?;
        Ok(Self { value, held })
    }
}

/// The `Idempotency-Key` header, if there is one.
pub struct Idempotency(pub Option<String>);

impl FromRequestParts<Arc<Api>> for Idempotency {
    type Rejection = Problem;

    fn from_request_parts(parts: &mut Parts, _: &Arc<Api>) -> impl Future<Output = Result<Self, Problem>> {
        ready(idempotency_key(&parts.headers).map(Self))
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().map_err(|_| Problem::InvalidIdempotencyKey)?;
    let fits = (1..=MAX_KEY_CHARACTERS).contains(&text.len()) && text.bytes().all(|octet| (b' '..=b'~').contains(&octet));
    if fits && values.next().is_none() { Ok(Some(text.to_owned())) } else { Err(Problem::InvalidIdempotencyKey) }
}

/// An id in the path. What is not one is not found.
pub struct Id<T>(pub T);

impl<T: std::str::FromStr> FromRequestParts<Arc<Api>> for Id<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        let Path(text) = Path::<String>::from_request_parts(parts, api).await.map_err(|_| Problem::NotFound)?;
        text.parse().map(Self).map_err(|_| Problem::NotFound)
    }
}

/// The query, read as `T`.
pub struct Asked<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<Arc<Api>> for Asked<T> {
    type Rejection = Problem;

    fn from_request_parts(parts: &mut Parts, _: &Arc<Api>) -> impl Future<Output = Result<Self, Problem>> {
        ready(query(&parts.uri).map(Self))
    }
}

fn query<T: DeserializeOwned>(uri: &Uri) -> Result<T, Problem> {
    Query::<T>::try_from_uri(uri).map(|Query(value)| value).map_err(|error| {
        // "Failed to deserialize query string: name: reason"
        let text = error.body_text();
        let fault = text.split_once(": ").map_or(text.as_str(), |(_, fault)| fault);
        let (name, reason) = fault.split_once(": ").unwrap_or(("query", fault));
        let short = |text: &str| text.chars().take(MAX_REASON_CHARACTERS).collect::<String>();
        Problem::parameter(short(name), short(reason))
    })
}

/// Which part of a list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// Entries of the page, 1 to 100; 25 unless said.
    #[param(minimum = 1, maximum = 100)]
    pub limit: Option<u16>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

impl PageQuery {
    /// The page asked for.
    ///
    /// # Errors
    /// 400 if the limit or the cursor is not valid.
    pub fn page(&self) -> Result<PageRequest, Problem> {
        page(self.limit, self.cursor.as_deref())
    }
}

/// The page that `limit` and `cursor` ask for.
///
/// # Errors
/// 400 if one of them is not valid.
pub fn page(limit: Option<u16>, cursor: Option<&str>) -> Result<PageRequest, Problem> {
    let limit = limit_of(limit)?;
    let wrong = || Problem::parameter("cursor", "not a cursor of this list");
    let after = cursor.map(|text| read_cursor(text).ok_or_else(wrong)).transpose()?;
    Ok(PageRequest { limit, after })
}

/// The number of entries asked for.
///
/// # Errors
/// 400 if it is not 1 to 100.
pub fn limit_of(limit: Option<u16>) -> Result<u16, Problem> {
    let limit = limit.unwrap_or(PageRequest::default().limit);
    let wrong = || Problem::parameter("limit", format_args!("expected a number from 1 to {MAX_LIMIT}"));
    if (1..=MAX_LIMIT).contains(&limit) { Ok(limit) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn with(name: &'static str, values: &[&[u8]]) -> HeaderMap {
        values.iter().map(|value| (header::HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap())).collect()
    }

    #[test]
    fn only_one_bearer_token_counts_and_it_is_not_trimmed() {
        assert_eq!(bearer(&with("authorization", &[b"Bearer pp_live_x"])).ok(), Some("pp_live_x"));
        assert_eq!(bearer(&with("authorization", &[b"bearer pp_live_x "])).ok(), Some("pp_live_x "));
        let bad: [&[&[u8]]; 6] = [&[], &[b"Bearer a", b"Bearer a"], &[b"Basic a"], &[b"Bearer"], &[b"pp_live_x"], &[b"Bearer \xff"]];
        for bad in bad {
            assert!(matches!(bearer(&with("authorization", bad)), Err(Problem::Unauthorized(_))), "{bad:?}");
        }
    }

    #[test]
    fn an_idempotency_key_has_1_to_256_printable_characters() {
        let read = |values: &[&[u8]]| idempotency_key(&with("idempotency-key", values));
        assert_eq!(read(&[]).ok(), Some(None));
        assert_eq!(read(&[b"order 7"]).ok(), Some(Some("order 7".to_owned())));
        assert_eq!(read(&[&[b'x'; 256]]).ok().flatten().map(|key| key.len()), Some(256));
        let bad: [&[&[u8]]; 5] = [&[&[b'x'; 257]], &[b""], &[b"a\tb"], &["ü".as_bytes()], &[b"a", b"a"]];
        for bad in bad {
            assert!(matches!(read(bad), Err(Problem::InvalidIdempotencyKey)), "{bad:?}");
        }
    }

    #[test]
    fn a_page_is_1_to_100_entries_after_a_cursor_of_ours() {
        let asked = |text: &str| query::<PageQuery>(&format!("/v1/keys?{text}").parse().unwrap()).and_then(|query| query.page());
        let id = uuid::Uuid::from_u128(7);
        let cursor = crate::model::page::write_cursor(id);
        assert_eq!(asked("").ok(), Some(PageRequest::default()));
        assert_eq!(asked(&format!("limit=100&cursor={cursor}")).ok(), Some(PageRequest { limit: 100, after: Some(id) }));
        for bad in [
            "limit=0",
            "limit=101",
            "limit=-1",
            "limit=x",
            "limit=1&limit=2",
            "cursor=%00",
            "cursor='or%201=1",
            &format!("cursor={cursor}x"),
            "page=2",
        ] {
            assert!(matches!(asked(bad), Err(Problem::InvalidParameter { .. })), "{bad}");
        }
    }
}
