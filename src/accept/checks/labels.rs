//! Checks what a message carries beside its content: tags, metadata, stream.

use serde_json::Value;

use crate::accept::fault::{Code, Faults, below};
use crate::accept::request::Fields;
use crate::model::header::breaks_lines;
use crate::model::message::{Label, Tags};

/// Tags of a message.
const MAX_TAGS: usize = 20;
/// Characters of a tag's value.
const MAX_TAG_CHARACTERS: usize = 256;
/// Octets of metadata as JSON.
const MAX_METADATA_OCTETS: usize = 8192;
/// From here on not every whole number is a double of its own: 2 to the 53rd.
const EXACT: f64 = 9_007_199_254_740_992.0;
/// The stream unless one is named.
const DEFAULT_STREAM: &str = "transactional";

/// The tags, key to value.
pub(super) fn tags(fields: &Fields, faults: &mut Faults) -> Tags {
    if fields.0.len() > MAX_TAGS {
        faults.add("/tags", Code::TooManyTags, format_args!("{} tags; at most {MAX_TAGS} are allowed", fields.0.len()));
        return Tags::new();
    }
    for (key, value) in &fields.0 {
        let pointer = || below("/tags", key);
        if key.chars().chain(value.chars()).any(breaks_lines) {
            faults.add(pointer(), Code::HeaderInjection, "line ends and control characters are not allowed in a tag");
        } else if let Err(error) = Label::parse(key) {
            faults.add(pointer(), Code::InvalidTag, format_args!("the key: {error}"));
        } else if value.chars().count() > MAX_TAG_CHARACTERS {
            faults.add(pointer(), Code::InvalidTag, format_args!("the value is longer than {MAX_TAG_CHARACTERS} characters"));
        }
    }
    fields.0.iter().cloned().collect()
}

/// The name of the stream.
pub(super) fn stream(text: Option<&str>, faults: &mut Faults) -> Option<Label> {
    Label::parse(text.unwrap_or(DEFAULT_STREAM)).map_err(|error| faults.add("/stream", Code::InvalidLabel, error)).ok()
}

/// The caller's object; empty if there is none.
pub(super) fn metadata(given: Option<Value>, faults: &mut Faults) -> Value {
    let Some(value) = given else { return Value::Object(serde_json::Map::new()) };
    if !value.is_object() {
        faults.add("/metadata", Code::InvalidMetadata, "expected an object");
    } else if value.to_string().len() > MAX_METADATA_OCTETS {
        faults.add("/metadata", Code::InvalidMetadata, format_args!("more than {MAX_METADATA_OCTETS} octets of JSON"));
    } else if let Some(reason) = not_kept(&value) {
        faults.add("/metadata", Code::InvalidMetadata, reason);
    }
    value
}

/// What would not read back as it was given: PostgreSQL's jsonb has no U+0000, and a number this large was read without its last digits.
fn not_kept(value: &Value) -> Option<&'static str> {
    match value {
        Value::String(text) => not_kept_text(text),
        Value::Number(number) if number.is_f64() && number.as_f64().is_some_and(|number| number.abs() >= EXACT) => {
            Some("a number is too large to be kept exactly; give it as a string")
        }
        Value::Array(list) => list.iter().find_map(not_kept),
        Value::Object(map) => map.iter().find_map(|(name, value)| not_kept_text(name).or_else(|| not_kept(value))),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

fn not_kept_text(text: &str) -> Option<&'static str> {
    text.contains('\0').then_some("the character U+0000 cannot be kept")
}
