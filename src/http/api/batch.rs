//! `POST /v1/send/batch`: up to a hundred messages in one request, each answered by itself.
//!
//! Answers: what became of each message, in the order given. A message that is refused keeps no other from being accepted, and leaves nothing behind.
//! Does not: take shared fields or several projects; a batch is so many `POST /v1/send` by one caller, kept in one commit where they fit.

use std::fmt;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::send::SendResponse;
use crate::accept::Accepted;
use crate::accept::fault::{Code, FieldError};
use crate::accept::request::SendRequest;
use crate::access::Caller;
use crate::config::Limits;
use crate::http::Api;
use crate::http::extract::{Idempotency, Json, Payload, Sender, keyed};
use crate::http::json;
use crate::http::problem::{Document, Problem};
use crate::outbox::{IdempotencyKey, NewMessage};
use crate::telemetry::metrics;

/// Messages of a batch.
const MAX_MESSAGES: usize = 100;

/// Messages to send.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchRequest {
    /// 1 to 100 messages, each as for `POST /v1/send`.
    #[schema(value_type = Vec<SendRequest>, min_items = 1, max_items = 100)]
    pub messages: Texts,
}

impl Payload for BatchRequest {
    /// All together have as much room as the largest message.
    fn limit(limits: &Limits) -> usize {
        SendRequest::limit(limits)
    }
}

/// The messages as they came: JSON, but not judged yet, so that a fault of one is told of that one.
#[derive(Debug, Default)]
pub struct Texts {
    /// The first of them, as many as there may be.
    kept: Vec<Box<RawValue>>,
    count: usize,
}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;

        impl<'de> Visitor<'de> for Read {
            type Value = Texts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of messages")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Texts, A::Error> {
                let mut texts = Texts::default();
                while texts.kept.len() < MAX_MESSAGES
                    && let Some(text) = entries.next_element()?
                {
                    texts.kept.push(text);
                }
                texts.count = texts.kept.len();
                while texts.kept.len() == MAX_MESSAGES && entries.next_element::<IgnoredAny>()?.is_some() {
                    texts.count += 1;
                }
                Ok(texts)
            }
        }

        deserializer.deserialize_seq(Read)
    }
}

impl Texts {
    fn take(&mut self) -> Result<Vec<Box<RawValue>>, Problem> {
        if (1..=MAX_MESSAGES).contains(&self.count) {
            return Ok(std::mem::take(&mut self.kept));
        }
        let reason = format_args!("expected 1 to {MAX_MESSAGES} messages, found {}", self.count);
        Err(Problem::field("/messages", Code::OutOfRange, reason))
    }
}

/// What became of the messages of a batch.
#[derive(Debug, Serialize, ToSchema)]
pub struct BatchResponse {
    /// How many are kept: what `message` says becomes of them.
    #[schema(example = 1)]
    pub accepted: usize,
    /// How many are not.
    #[schema(example = 1)]
    pub refused: usize,
    /// One for each message, in the order given.
    pub items: Vec<BatchItem>,
}

/// What became of one message of a batch.
#[derive(Debug, Serialize, ToSchema)]
pub struct BatchItem {
    /// Its place in `messages`, from 0.
    #[schema(example = 0)]
    pub index: usize,
    /// Whether it is kept.
    pub status: BatchStatus,
    /// If accepted: what `POST /v1/send` answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<SendResponse>,
    /// If refused: the problem `POST /v1/send` answers, with pointers into this message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<ItemProblem>,
}

/// Whether a message of a batch is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BatchStatus {
    /// Kept for good; `message` says whether it is delivered.
    Accepted,
    /// Not kept, see `problem`.
    Refused,
}

/// Why one message of a batch is refused: a problem (RFC 9457) without the id of the request, which is the batch's.
#[derive(Debug, Serialize, ToSchema)]
pub struct ItemProblem {
    /// Which problem: a stable slug.
    #[serde(rename = "type")]
    #[schema(rename = "type", value_type = String, example = "invalid-address")]
    pub kind: &'static str,
    /// The problem in words; the same for every occurrence.
    #[schema(value_type = String)]
    pub title: &'static str,
    /// The status that the message by itself would have been answered with.
    #[schema(example = 422)]
    pub status: u16,
    /// This occurrence in words. Absent for faults of the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Every field that is wrong, at most 100.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub errors: Vec<FieldError>,
}

/// Send several messages
///
/// Each message is checked, kept and answered by itself: 202 if all are accepted, 207 if at least one is refused. A request that is not a list of 1 to
/// 100 messages is refused as a whole. So is one of which nothing was kept because the server cannot keep anything now (503), or because the
/// idempotency key stands for another batch (409). All messages together may be as large as one message alone.
///
/// With an `Idempotency-Key` the request can be repeated: a message stands for its place in the list and its text. One that was accepted is answered
/// as before and sent once; one that was refused is tried again, as it was or corrected. Another message in the place of an accepted one is refused
/// (`idempotency-key-reuse`). Keys of `POST /v1/send` are others.
#[utoipa::path(post, path = "/v1/send/batch", operation_id = "send_batch", tag = "Send",
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 256 printable characters, kept 24 hours: makes it safe to send the request again.")),
    request_body = BatchRequest,
    responses(
        (status = 202, description = "All messages are kept and will be delivered, but to recipients that are suppressed; or were, by an earlier request with the same idempotency key.",
            body = BatchResponse),
        (status = 207, description = "At least one message is refused, see each item.", body = BatchResponse),
        (status = 409, description = "The idempotency key is taken for every message: `idempotency-key-reuse`, `idempotency-in-progress`.",
            body = Document, content_type = "application/problem+json"),
    ))]
pub async fn send(
    State(api): State<Arc<Api>>,
    Sender(caller): Sender,
    key: Idempotency,
    mut request: Json<BatchRequest>,
) -> Result<(StatusCode, axum::Json<BatchResponse>), Problem> {
    let texts = request.value.messages.take()?;
    let results = send_each(&api, &caller, key.0.as_deref(), texts).await;
    if let Some(problem) = common(&results) {
        return Err(problem.clone());
    }
    let response = respond(results);
    let status = if response.refused == 0 { StatusCode::ACCEPTED } else { StatusCode::MULTI_STATUS };
    Ok((status, axum::Json(response)))
}

/// Checks every message, then keeps those that are right together. Answers in the order given.
async fn send_each(api: &Api, caller: &Caller, key: Option<&str>, texts: Vec<Box<RawValue>>) -> Vec<Result<Accepted, Problem>> {
    let mut results: Vec<Option<Problem>> = Vec::with_capacity(texts.len());
    let mut ready = Vec::with_capacity(texts.len());
    for (index, text) in texts.into_iter().enumerate() {
        match read(api, caller, &text).await {
            Ok(message) => {
                ready.push((message, key.map(|key| item_key(key, index, &text))));
                results.push(None);
            }
            Err(problem) => results.push(Some(problem)),
        }
    }
    let mut sent = api.accept.send_all(ready).await.into_iter();
    let mut next = || sent.next().map_or_else(|| Err(Problem::internal("a message of a batch was not answered")), |sent| sent.map_err(Problem::from));
    results.into_iter().map(|refused| refused.map_or_else(&mut next, Err)).collect()
}

async fn read(api: &Api, caller: &Caller, text: &RawValue) -> Result<NewMessage, Problem> {
    let request = json::read::<SendRequest>(text.get().as_bytes())?;
    Ok(api.accept.message(caller, request).await?)
}

/// The key of one message: the request's key and the message's place. No caller's key holds a NUL, so it is no other request's.
fn item_key(key: &str, index: usize, text: &RawValue) -> IdempotencyKey {
    keyed(format!("{key}\0{index}"), "POST /v1/send/batch", text.get().as_bytes())
}

/// The problem that is the whole request's: nothing was accepted, and not for the sake of any message.
fn common(results: &[Result<Accepted, Problem>]) -> Option<&Problem> {
    let problems: Vec<&Problem> = results.iter().filter_map(|result| result.as_ref().err()).collect();
    let all = |wanted: fn(&Problem) -> bool| problems.len() == results.len() && problems.iter().all(|problem| wanted(problem));
    let is_common = all(|problem| problem.status().is_server_error())
        || all(|problem| matches!(problem, Problem::IdempotencyKeyReuse))
        || all(|problem| matches!(problem, Problem::IdempotencyInProgress));
    problems.first().copied().filter(|_| is_common)
}

fn respond(results: Vec<Result<Accepted, Problem>>) -> BatchResponse {
    let items: Vec<BatchItem> = results.into_iter().enumerate().map(|(index, result)| item(index, result)).collect();
    let accepted = items.iter().filter(|item| item.status == BatchStatus::Accepted).count();
    BatchResponse { accepted, refused: items.len() - accepted, items }
}

fn item(index: usize, result: Result<Accepted, Problem>) -> BatchItem {
    match result {
        Ok(accepted) => BatchItem { index, status: BatchStatus::Accepted, message: Some(accepted.into()), problem: None },
        Err(problem) => {
            metrics::refused(problem.slug());
            if let Some(cause) = problem.cause() {
                tracing::error!(index, problem = problem.slug(), cause, "a message of a batch failed");
            }
            let (title, detail, errors) = problem.told();
            let problem = ItemProblem { kind: problem.slug(), title, status: problem.status().as_u16(), detail, errors: errors.to_vec() };
            BatchItem { index, status: BatchStatus::Refused, message: None, problem: Some(problem) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept() -> Accepted {
        Accepted {
            id: crate::model::MessageId::from_uuid(uuid::Uuid::from_u128(7)),
            deliveries: 1,
            suppressed: 0,
            replayed: false,
            accepted_at: time::OffsetDateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn only_what_concerns_no_message_and_all_of_them_is_the_problem_of_the_whole_request() {
        let wrong = || Err(Problem::field("/to", Code::InvalidAddress, "why"));
        let slug = |results: &[Result<Accepted, Problem>]| common(results).map(Problem::slug);
        assert_eq!(slug(&[Err(Problem::Overloaded), Err(Problem::StorageFull)]), Some("overloaded"));
        assert_eq!(slug(&[Err(Problem::IdempotencyKeyReuse), Err(Problem::IdempotencyKeyReuse)]), Some("idempotency-key-reuse"));
        assert_eq!(slug(&[Err(Problem::IdempotencyInProgress)]), Some("idempotency-in-progress"));
        assert_eq!(slug(&[Err(Problem::IdempotencyKeyReuse), Err(Problem::IdempotencyInProgress)]), None);
        assert_eq!(slug(&[Err(Problem::Overloaded), wrong()]), None);
        assert_eq!(slug(&[wrong(), wrong()]), None);
        assert_eq!(slug(&[Ok(kept()), Err(Problem::Overloaded)]), None);
        assert_eq!(slug(&[Ok(kept())]), None);
    }

    #[test]
    fn a_fault_of_ours_says_nothing_of_its_cause() {
        let response = serde_json::to_value(respond(vec![Ok(kept()), Err(Problem::Unavailable("postgres://user:hunter2@db".into()))])).unwrap();
        assert_eq!((&response["accepted"], &response["refused"]), (&1.into(), &1.into()));
        let expected = serde_json::json!({"type": "unavailable", "title": "The server cannot do this now", "status": 503});
        assert_eq!(response["items"][1]["problem"], expected);
    }
}
