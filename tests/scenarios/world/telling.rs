//! What the API tells of a delivery, put so that a table can hold it.

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// State and last attempt in one line: `queued deferred rcpt recipient 4.2.1`, with ` unknown` behind if the outcome is.
pub fn told(delivery: &Value) -> String {
    let last = delivery["attempts"].as_array().and_then(|all| all.last()).cloned().unwrap_or_default();
    let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let mut words = vec![word(&delivery["state"])];
    words.extend(["outcome", "stage", "scope", "enhanced_status"].map(|field| word(&last[field])));
    if last["outcome_unknown"] == true {
        words.push("unknown".to_owned());
    }
    words.join(" ")
}

/// How many attempts were made.
pub fn attempts(delivery: &Value) -> usize {
    delivery["attempts"].as_array().map_or(0, Vec::len)
}

/// The last attempt.
pub fn last_attempt(delivery: &Value) -> &Value {
    delivery["attempts"].as_array().and_then(|all| all.last()).unwrap_or(&Value::Null)
}

/// The reply of the last attempt.
pub fn reply(delivery: &Value) -> &str {
    last_attempt(delivery)["reply"].as_str().unwrap_or_default()
}

/// Seconds between the end of the last attempt and the next one.
pub fn wait(delivery: &Value) -> f64 {
    let last = last_attempt(delivery);
    let next = time_of(&delivery["next_attempt_at"]);
    let took = last["duration_ms"].as_f64().unwrap() / 1_000.0;
    (next - time_of(&last["at"])).as_seconds_f64() - took
}

/// Asserts that the next attempt comes `seconds` after the last, give or take the configured fifth.
pub fn assert_waits(delivery: &Value, seconds: f64) {
    let wait = wait(delivery);
    assert!((seconds * 0.8 - 1.0..=seconds * 1.2 + 1.0).contains(&wait), "waits {wait} s instead of {seconds}: {delivery:#}");
}

/// Asserts that the next attempt comes after `least` seconds, or little later.
pub fn assert_waits_at_least(delivery: &Value, least: f64) {
    let wait = wait(delivery);
    assert!((least - 1.0..=least * 1.25).contains(&wait), "waits {wait} s instead of at least {least}: {delivery:#}");
}

/// The kinds of the events of a message's deliveries, oldest first.
pub fn kinds(message: &Value) -> Vec<&str> {
    let of_deliveries = message["events"].as_array().unwrap().iter().filter(|event| event["delivery_id"].is_string());
    of_deliveries.map(|event| event["kind"].as_str().unwrap()).collect()
}

/// A time as the API writes it.
pub fn time_of(value: &Value) -> OffsetDateTime {
    OffsetDateTime::parse(value.as_str().unwrap_or_else(|| panic!("no time: {value}")), &Rfc3339).unwrap()
}
