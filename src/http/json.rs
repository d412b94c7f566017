//! Reads JSON strictly and says what is wrong with it (RFC 8259).
//!
//! Answers: a value, or one of two problems: text that is not JSON or names a field twice (400), a field that does not fit (422, with
//! its pointer). Depth is limited by serde_json to 128.
//! Invariant: an answer never repeats a value it was sent; it could be a secret.

use axum::http::{HeaderMap, header};
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use serde_path_to_error::{Path, Segment};

use super::problem::Problem;
use crate::accept::fault::{Code, below};
use crate::accept::json::Object;

/// Characters of a reason at most.
const MAX_REASON_CHARACTERS: usize = 300;
/// What is said of a value when nothing better is known.
const NOT_FITTING: &str = "not of the expected kind";

/// True if the headers say that the body is JSON in UTF-8.
#[must_use]
pub fn is_json(headers: &HeaderMap) -> bool {
    let Some(text) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return false };
    let mut parts = text.split(';').map(str::trim);
    let essence = parts.next().is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"));
    essence && parts.all(|parameter| parameter.is_empty() || is_utf8(parameter))
}

fn is_utf8(parameter: &str) -> bool {
    let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
    !name.eq_ignore_ascii_case("charset") || value.trim_matches('"').eq_ignore_ascii_case("utf-8")
}

/// Reads the value.
///
/// # Errors
/// [`Problem::MalformedJson`] or [`Problem::Invalid`].
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // A second, slower reading that keeps track of the path happens only after a fault.
    serde_json::from_slice::<Object<T>>(bytes).map(|Object(value)| value).map_err(|error| explain::<T>(bytes, &error))
}

fn explain<T: DeserializeOwned>(bytes: &[u8], error: &serde_json::Error) -> Problem {
    let text = error.to_string();
    let place = format!("line {} column {}", error.line(), error.column());
    match error.classify() {
        Category::Data if text.starts_with("duplicate field") => Problem::MalformedJson(format!("a name is given twice in one object, at {place}")),
        Category::Data => at_path::<T>(bytes).unwrap_or_else(|| Problem::field("", Code::WrongType, describe(&text).1)),
        // What a name of an enumeration should be and is not, serde_json calls bad syntax.
        Category::Syntax if text.starts_with("expected value") && is_well_formed(bytes) => {
            at_path::<T>(bytes).unwrap_or_else(|| Problem::field("", Code::WrongType, NOT_FITTING))
        }
        Category::Syntax | Category::Eof | Category::Io => Problem::MalformedJson(format!("{} at {place}", without_place(&text))),
    }
}

fn is_well_formed(bytes: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok()
}

fn at_path<T: DeserializeOwned>(bytes: &[u8]) -> Option<Problem> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let error = serde_path_to_error::deserialize::<_, Object<T>>(&mut reader).err()?;
    let (code, reason) = describe(&error.inner().to_string());
    let mut pointer = pointer(error.path());
    // A field that is missing is not on the path yet.
    if let (Code::Required, Some(name)) = (code, quoted(&reason)) {
        pointer = below(&pointer, name);
    }
    Some(Problem::field(&pointer, code, reason))
}

/// The rule behind a message of serde, and the message without values.
fn describe(text: &str) -> (Code, String) {
    let text = without_place(text);
    let expected = text.rsplit_once("expected ").map(|(_, expected)| format!("expected {expected}"));
    let (code, reason) = if text.starts_with("unknown field") {
        (Code::UnknownField, expected.map_or_else(|| "not a known field".to_owned(), |expected| format!("not a known field; {expected}")))
    } else if text.starts_with("missing field") {
        (Code::Required, text.to_owned())
    } else if text.starts_with("unknown variant") {
        (Code::UnknownValue, expected.unwrap_or_else(|| "not a known value".to_owned()))
    } else if text.starts_with("invalid value") {
        (Code::OutOfRange, expected.unwrap_or_else(|| "outside its range".to_owned()))
    } else {
        (Code::WrongType, expected.filter(|expected| expected != "expected value").unwrap_or_else(|| NOT_FITTING.to_owned()))
    };
    (code, reason.chars().take(MAX_REASON_CHARACTERS).collect())
}

fn without_place(text: &str) -> &str {
    text.rsplit_once(" at line ").map_or(text, |(text, _)| text)
}

fn quoted(text: &str) -> Option<&str> {
    text.split('`').nth(1)
}

fn pointer(path: &Path) -> String {
    path.iter().fold(String::new(), |pointer, segment| match segment {
        Segment::Seq { index } => format!("{pointer}/{index}"),
        Segment::Map { key } => below(&pointer, key),
        Segment::Enum { variant } => below(&pointer, variant),
        Segment::Unknown => pointer,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accept::request::SendRequest;

    fn fault(text: &str) -> (String, &'static str, String) {
        match read::<SendRequest>(text.as_bytes()) {
            Err(Problem::Invalid(errors)) => (errors[0].pointer.clone(), errors[0].code.slug(), errors[0].reason.clone()),
            Err(Problem::MalformedJson(detail)) => ("malformed".to_owned(), "", detail),
            other => panic!("{text}: {:?}", other.map(|_| ())),
        }
    }

    #[test]
    fn a_field_that_does_not_fit_is_named_by_its_pointer() {
        for (text, pointer, code) in [
            (r#"{"to": 7}"#, "/to", "wrong-type"),
            (r#"{"to": ["a@b.example", 7]}"#, "/to/1", "wrong-type"),
            (r#"{"subject": ["s3cret"]}"#, "/subject", "wrong-type"),
            (r#"{"tags": {"a/b~c": 1}}"#, "/tags/a~1b~0c", "wrong-type"),
            (r#"{"attachments": [{"filename": "a", "path": "/etc/passwd"}]}"#, "/attachments/0/path", "unknown-field"),
            (r#"{"attachments": [{"filename": "a"}]}"#, "/attachments/0/content", "required"),
            (r#"{"sbject": "Hi"}"#, "/sbject", "unknown-field"),
            (r#"{"priority": "s3cret"}"#, "/priority", "unknown-value"),
            (r#"{"priority": 1}"#, "/priority", "wrong-type"),
            (r#"{"priority": null, "to": {}}"#, "/to", "wrong-type"),
            (r#"{"envelope": {"to": []}}"#, "/envelope/from", "required"),
            (r#"{"attachments": [["a.txt", "YQ=="]]}"#, "/attachments/0", "wrong-type"),
            (r#"{"cc": null}"#, "/cc", "wrong-type"),
            ("[]", "", "wrong-type"),
            ("7", "", "wrong-type"),
        ] {
            let found = fault(text);
            assert_eq!((found.0.as_str(), found.1), (pointer, code), "{text}: {}", found.2);
            assert!(!found.2.contains("s3cret"), "{}", found.2);
        }
    }

    #[test]
    fn what_is_not_json_or_says_something_twice_is_malformed() {
        let deep = format!(r#"{{"metadata": {}1{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
        for text in [
            "",
            "{",
            "\u{feff}{}",
            r#"{"subject": "a"} x"#,
            r#"{"subject": NaN}"#,
            r#"{"metadata": {"n": 1e400}}"#,
            r#"{"subject": "\ud800"}"#,
            "{\"subject\": \"a\nb\"}",
            r#"{"subject": "a", "subject": "b"}"#,
            r#"{"tags": {"a": "1", "a": "2"}}"#,
            r#"{"headers": {"X-A": "1", "X-A": "2"}}"#,
            r#"{"metadata": {"a": [{"b": 1, "b": 2}]}}"#,
            &deep,
        ] {
            assert_eq!(fault(text).0, "malformed", "{:?}", text.get(..40));
        }
        let utf16: Vec<u8> = "{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(matches!(read::<SendRequest>(&utf16), Err(Problem::MalformedJson(_))));
    }

    #[test]
    fn only_json_in_utf8_is_json() {
        let is = |text: &'static str| is_json(&[(header::CONTENT_TYPE, axum::http::HeaderValue::from_static(text))].into_iter().collect());
        for good in ["application/json", "Application/JSON; charset=UTF-8", "application/json; charset=\"utf-8\"", "application/json;"] {
            assert!(is(good), "{good}");
        }
        for bad in ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16", "application/jsonx", ""] {
            assert!(!is(bad), "{bad}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }
}
