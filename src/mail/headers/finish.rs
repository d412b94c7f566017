//! What a message given as it shall leave still needs before it is signed.
//!
//! Answers: the same octets without Bcc, Resent-Bcc and Return-Path fields, behind a trace field and Date and Message-ID if they were missing, ended by CRLF
//! (RFC 5322 3.6.3, 3.6.4; RFC 5321 4.4, 7.2; RFC 6409 8.2, 8.3). Nothing else changes. Does not: check; `check_raw` comes first.

use time::OffsetDateTime;

use crate::mail::fields::{Field, Fields};
use crate::mail::headers_write::HeaderWriter;

/// Completes a message that [`super::check_raw`] has passed. `trace` is a field with its line end, or empty; `message_id` is without brackets and used, as
/// `date` is, only where the message has none.
#[must_use]
pub fn finish_raw(bytes: &[u8], trace: &str, message_id: &str, date: OffsetDateTime) -> Vec<u8> {
    let fields = Fields::split(bytes, usize::MAX, usize::MAX);
    let mut output = Vec::with_capacity(bytes.len() + trace.len() + 1024);
    output.extend_from_slice(trace.as_bytes());
    let mut writer = HeaderWriter::new(&mut output);
    if fields.named("Message-ID").next().is_none() {
        writer.message_id(message_id);
    }
    if fields.named("Date").next().is_none() {
        writer.date(date);
    }
    let mut copied = 0;
    for range in fields.all.iter().filter(|field| must_not_leave(field)).map(Field::range) {
        output.extend_from_slice(bytes.get(copied..range.start).unwrap_or_default());
        copied = range.end;
    }
    output.extend_from_slice(bytes.get(copied..).unwrap_or_default());
    if !output.ends_with(b"\r\n") {
        output.extend_from_slice(b"\r\n");
    }
    if fields.body_start.is_none() {
        output.extend_from_slice(b"\r\n");
    }
    output
}

fn must_not_leave(field: &Field<'_>) -> bool {
    ["Bcc", "Resent-Bcc", "Return-Path"].iter().any(|name| field.is(name))
}
