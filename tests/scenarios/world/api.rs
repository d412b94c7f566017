//! What tests of the HTTP door have in common: problems as they must read, keys with less rights, and what a request left behind.

use std::fmt::Write as _;

use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use super::gateway::Gateway;
use super::http::{self, Answer};

/// A word that stands in the secret fields of requests and must never come back in a problem.
pub const CANARY: &str = "canary-4711-hunter2";

/// A request that is accepted as it is: patched by tests.
pub fn sendable() -> Value {
    json!({ "from": "Penny <hello@sender.example>", "to": ["bee@example.net"], "subject": "Hi", "text": CANARY })
}

/// `base` with the fields of `patch`; a null takes a field away.
pub fn patched(mut base: Value, patch: &Value) -> Value {
    let fields = base.as_object_mut().unwrap();
    for (name, value) in patch.as_object().unwrap() {
        if value.is_null() {
            fields.remove(name);
        } else {
            fields.insert(name.clone(), value.clone());
        }
    }
    base
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Checks that this is a whole problem document (RFC 9457) with the id of its request, and without the canary or a key in it.
    #[track_caller]
    pub fn assert_problem(&self, status: u16, slug: &str, what: &str) -> Value {
        let text = self.text();
        assert_eq!(self.status, status, "{what}: {text}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{what}: {text}");
        let document = self.json();
        assert_eq!(document["type"], slug, "{what}: {text}");
        assert_eq!(document["status"], status, "{what}: {text}");
        assert!(document["title"].as_str().is_some_and(|title| !title.is_empty()), "{what}: {text}");
        assert_eq!(document["request_id"].as_str(), self.header("x-request-id"), "{what}: {text}");
        assert!(!text.contains(CANARY) && !text.contains("hunter2") && !text.contains("pp_live_"), "{what}: {text}");
        document
    }

    /// As [`Self::assert_problem`] for 422: one of the fields told has this code and pointer.
    #[track_caller]
    pub fn assert_field(&self, code: &str, pointer: &str, what: &str) {
        let document = self.json();
        let slug = document["type"].as_str().unwrap_or_default().to_owned();
        let errors = self.assert_problem(422, &slug, what)["errors"].as_array().cloned().unwrap_or_default();
        assert!(errors.iter().any(|error| error["code"] == code && error["pointer"] == pointer), "{what}: want {code} at {pointer}: {document:#}");
        assert!(errors.iter().all(|error| error["reason"].as_str().is_some_and(|reason| !reason.is_empty())), "{what}: {document:#}");
        let alone = errors.iter().all(|error| error["code"] == code);
        assert_eq!(slug, if alone { code } else { "invalid-request" }, "{what}: {document:#}");
    }
}

impl Gateway {
    /// A request with another key, or with none.
    pub async fn call_as(&self, key: Option<&str>, method: &str, path: &str, body: &[u8]) -> Answer {
        let bearer = format!("Bearer {}", key.unwrap_or_default());
        let mut headers = vec![("content-type", "application/json")];
        if key.is_some() {
            headers.push(("authorization", bearer.as_str()));
        }
        http::call(self.http, method, path, &headers, body).await
    }

    /// Makes a key by the API: its id and its secret.
    pub async fn make_key(&self, request: Value) -> (String, String) {
        let answer = self.post("/v1/keys", &patched(json!({ "name": "another" }), &request)).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        let made = answer.json();
        (made["id"].as_str().unwrap().to_owned(), made["key"].as_str().unwrap().to_owned())
    }
}

/// Counts what is kept, over one connection of its own.
pub struct Ledger {
    connection: PgConnection,
}

impl Ledger {
    /// Over a world's database.
    pub async fn open(url: &str) -> Self {
        Self { connection: PgConnection::connect(url).await.unwrap() }
    }

    /// Rows of every table a request could write.
    pub async fn counts(&mut self) -> String {
        let mut query = "select concat_ws(', '".to_owned();
        for table in ["message", "delivery", "event", "idempotency", "domain", "dkim_key", "api_key"] {
            // Writing to a String does not fail.
            let _ = write!(query, ", '{table} ' || (select count(*) from {table})");
        }
        query.push(')');
        sqlx::query_scalar(sqlx::AssertSqlSafe(query)).fetch_one(&mut self.connection).await.unwrap()
    }

    /// Reads one text.
    pub async fn text(&mut self, query: String) -> String {
        sqlx::query_scalar(sqlx::AssertSqlSafe(query)).fetch_one(&mut self.connection).await.unwrap()
    }

    /// Runs statements.
    pub async fn execute(&mut self, statements: String) {
        sqlx::raw_sql(sqlx::AssertSqlSafe(statements)).execute(&mut self.connection).await.unwrap();
    }
}
