//! Checks the subject and custom header fields (RFC 5322 2.2, 3.6).
//!
//! Answers: which fields a caller may set. Fields that say who sent what, when, by which way, or that describe the body,
//! are written by us or by receivers only.

use crate::accept::fault::{Code, Faults, below};
use crate::accept::request::Fields;
use crate::model::header::HeaderError;
use crate::model::{HeaderName, HeaderText};

/// Names that no caller sets.
const RESERVED: [&str; 19] = [
    "From",
    "To",
    "Cc",
    "Bcc",
    "Sender",
    "Reply-To",
    "Subject",
    "Date",
    "Message-ID",
    "MIME-Version",
    "DKIM-Signature",
    "DomainKey-Signature",
    "Authentication-Results",
    "Received",
    "Received-SPF",
    "Return-Path",
    "Delivered-To",
    "X-Original-To",
    "Apparently-To",
];
/// Starts of names that no caller sets.
const RESERVED_STARTS: [&str; 4] = ["content-", "resent-", "arc-", "x-pennypost-"];

/// The subject of a composed message.
pub(super) fn subject(text: Option<&str>, faults: &mut Faults) -> Option<HeaderText> {
    let Some(text) = text else {
        faults.add("/subject", Code::Required, "give a subject; it may be empty");
        return None;
    };
    HeaderText::parse(text).map_err(|error| faults.add("/subject", code(error), error)).ok()
}

/// The custom fields, at most `most`.
pub(super) fn custom(fields: &Fields, most: usize, faults: &mut Faults) -> Vec<(HeaderName, HeaderText)> {
    if fields.0.len() > most {
        faults.add("/headers", Code::TooManyHeaders, format_args!("{} header fields; at most {most} are allowed", fields.0.len()));
        return Vec::new();
    }
    let mut passed: Vec<(HeaderName, HeaderText)> = Vec::with_capacity(fields.0.len());
    for (name, value) in &fields.0 {
        let pointer = || below("/headers", name);
        let Ok(name) = HeaderName::parse(name).map_err(|error| faults.add(pointer(), code(error), error)) else { continue };
        if is_reserved(name.as_str()) {
            faults.add(pointer(), Code::ReservedHeader, "this header field is not set by callers");
        }
        if passed.iter().any(|(other, _)| other.is(name.as_str())) {
            faults.add(pointer(), Code::DuplicateHeader, "this header field is given twice");
        }
        match HeaderText::parse(value) {
            Ok(value) => passed.push((name, value)),
            Err(error) => faults.add(pointer(), code(error), error),
        }
    }
    passed
}

fn is_reserved(name: &str) -> bool {
    let starts = |start: &str| name.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start));
    RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(name)) || RESERVED_STARTS.iter().any(|start| starts(start))
}

fn code(error: HeaderError) -> Code {
    if error == HeaderError::Injection { Code::HeaderInjection } else { Code::InvalidHeader }
}
