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
    } else if holds_nul(&value) {
        faults.add("/metadata", Code::InvalidMetadata, "the character U+0000 cannot be kept");
    }
    value
}

/// PostgreSQL's jsonb has no U+0000.
fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(list) => list.iter().any(holds_nul),
        Value::Object(map) => map.iter().any(|(name, value)| name.contains('\0') || holds_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}
