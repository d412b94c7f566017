//! What a client says in the header of a message to us alone: `X-Pennypost-*` and `Idempotency-Key`.
//!
//! Answers: the options of a message as `POST /v1/send` names them. Each field stands once but `X-Pennypost-Tag: key=value`; one that is not known is
//! refused, for a client that thinks it was heeded would be wrong. All of them are gone from the message that leaves.
//! Does not: judge the values; `accept` does, as for everybody.

use std::collections::BTreeSet;

use crate::accept::request::{Fields, SendRequest};
use crate::mail::headers::Taken;
use crate::model::message::Priority;

/// What our fields begin with.
const OURS: &str = "x-pennypost-";
const KEY: &str = "idempotency-key";
/// Characters of an idempotency key.
const MAX_KEY_CHARACTERS: usize = 256;
/// The fields and the part of a request that each stands for.
const FIELDS: [(&str, &str); 6] = [
    ("/tags", "X-Pennypost-Tag"),
    ("/stream", "X-Pennypost-Stream"),
    ("/send_at", "X-Pennypost-Send-At"),
    ("/expires_at", "X-Pennypost-Expires-At"),
    ("/priority", "X-Pennypost-Priority"),
    ("/metadata", "X-Pennypost-Metadata"),
];

/// True for a field, in lower case, that is for us.
pub(super) fn is_ours(name: &str) -> bool {
    name.starts_with(OURS) || name == KEY
}

/// The field that a part of a request came from.
pub(super) fn field_of(pointer: &str) -> Option<&'static str> {
    FIELDS.iter().find(|(start, _)| pointer.starts_with(start)).map(|(_, name)| *name)
}

/// The options, and the idempotency key if there is one.
///
/// # Errors
/// Says which field is wrong and how it is written.
pub(super) fn read(taken: Vec<Taken>) -> Result<(SendRequest, Option<String>), String> {
    let mut request = SendRequest::default();
    let mut tags = Vec::new();
    let mut key = None;
    let mut seen = BTreeSet::new();
    for Taken { name, value } in taken {
        let lower = name.to_ascii_lowercase();
        let value = value.trim().to_owned();
        if lower != "x-pennypost-tag" && !seen.insert(lower.clone()) {
            return Err(format!("{name} stands twice"));
        }
        match lower.as_str() {
            KEY => key = Some(idempotency_key(value).ok_or("Idempotency-Key has 1 to 256 printable ASCII characters")?),
            "x-pennypost-tag" => {
                let (tag, word) = value.split_once('=').ok_or("X-Pennypost-Tag is written key=value")?;
                let tag = tag.trim().to_owned();
                if tags.iter().any(|(known, _)| *known == tag) {
                    return Err(format!("X-Pennypost-Tag names {tag:?} twice"));
                }
                tags.push((tag, word.trim().to_owned()));
            }
            "x-pennypost-stream" => request.stream = Some(value),
            "x-pennypost-send-at" => request.send_at = Some(value),
            "x-pennypost-expires-at" => request.expires_at = Some(value),
            "x-pennypost-priority" => request.priority = Some(priority(&value).ok_or("X-Pennypost-Priority is high, normal or bulk")?),
            "x-pennypost-metadata" => {
                let object = serde_json::from_str(&value).map_err(|error| format!("X-Pennypost-Metadata is a JSON object: {error}"))?;
                request.metadata = Some(object);
            }
            _ => {
                let known = FIELDS.map(|(_, name)| name).join(", ");
                return Err(format!("{name} is not known; there are {known}"));
            }
        }
    }
    request.tags = Fields(tags);
    Ok((request, key))
}

fn idempotency_key(text: String) -> Option<String> {
    let fits = (1..=MAX_KEY_CHARACTERS).contains(&text.len()) && text.bytes().all(|octet| (b' '..=b'~').contains(&octet));
    fits.then_some(text)
}

fn priority(text: &str) -> Option<Priority> {
    match text.to_ascii_lowercase().as_str() {
        "high" => Some(Priority::High),
        "normal" => Some(Priority::Normal),
        "bulk" => Some(Priority::Bulk),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(fields: &[(&str, &str)]) -> Result<(SendRequest, Option<String>), String> {
        read(fields.iter().map(|(name, value)| Taken { name: (*name).to_owned(), value: (*value).to_owned() }).collect())
    }

    #[test]
    fn options_are_those_of_the_api() {
        let (request, key) = read_all(&[
            ("X-Pennypost-Tag", "flow=signup"),
            ("x-pennypost-tag", "shop = 7 = seven"),
            ("X-Pennypost-Stream", "broadcast"),
            ("X-Pennypost-Send-At", "2026-12-01T09:00:00Z"),
            ("X-Pennypost-Priority", "Bulk"),
            ("X-Pennypost-Metadata", "{\"order\": 7}"),
            ("Idempotency-Key", "order-7"),
        ])
        .unwrap();
        let tags: Vec<_> = request.tags.0.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(tags, [("flow", "signup"), ("shop", "7 = seven")]);
        assert_eq!((request.stream.as_deref(), request.send_at.as_deref()), (Some("broadcast"), Some("2026-12-01T09:00:00Z")));
        assert_eq!((request.priority, request.metadata), (Some(Priority::Bulk), Some(serde_json::json!({"order": 7}))));
        assert_eq!(key.as_deref(), Some("order-7"));
    }

    #[test]
    fn what_cannot_be_heeded_is_refused_by_name() {
        let long = "x".repeat(257);
        for (fields, named) in [
            (&[("X-Pennypost-Colour", "red")][..], "X-Pennypost-Colour is not known"),
            (&[("X-Pennypost-Tag", "flow")], "key=value"),
            (&[("X-Pennypost-Tag", "a=1"), ("X-Pennypost-Tag", "a=2")], "\"a\" twice"),
            (&[("X-Pennypost-Stream", "a"), ("x-pennypost-stream", "a")], "x-pennypost-stream stands twice"),
            (&[("X-Pennypost-Priority", "urgent")], "high, normal or bulk"),
            (&[("X-Pennypost-Metadata", "{")], "JSON object"),
            (&[("Idempotency-Key", "")], "1 to 256"),
            (&[("Idempotency-Key", &long)], "1 to 256"),
        ] {
            let told = read_all(fields).unwrap_err();
            assert!(told.contains(named), "{told}");
        }
        assert_eq!(field_of("/tags/flow"), Some("X-Pennypost-Tag"));
        assert_eq!(field_of("/raw"), None);
    }
}
