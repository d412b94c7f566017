//! Fields taken out of a message: what a client tells us in its header, and nobody else is to read.
//!
//! Answers: the decoded values of the fields asked for, and the message without them; all other octets stay.
//! Does not: judge them.

use super::mailbox::text;
use crate::mail::fields::{Field, Fields};

/// A field that was taken out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Its name, as written.
    pub name: String,
    /// Its value, unfolded and decoded (RFC 2047).
    pub value: String,
}

/// Takes the fields out whose name, in lower case, is `wanted`.
#[must_use]
pub fn take_fields(bytes: Vec<u8>, wanted: impl Fn(&str) -> bool) -> (Vec<Taken>, Vec<u8>) {
    let fields = Fields::split(&bytes, super::MAX_FIELDS, super::MAX_HEADER_OCTETS);
    let name = |field: &Field<'_>| String::from_utf8_lossy(field.name()).into_owned();
    let taken: Vec<&Field<'_>> = fields.all.iter().filter(|field| wanted(&name(field).to_ascii_lowercase())).collect();
    if taken.is_empty() {
        return (Vec::new(), bytes);
    }
    let mut rest = Vec::with_capacity(bytes.len());
    let mut copied = 0;
    for range in taken.iter().map(|field| field.range()) {
        rest.extend_from_slice(bytes.get(copied..range.start).unwrap_or_default());
        copied = range.end;
    }
    rest.extend_from_slice(bytes.get(copied..).unwrap_or_default());
    let values = taken.iter().map(|field| Taken { name: name(field), value: text(field.value()) }).collect();
    (values, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_taken_out_and_the_rest_stays() {
        let message =
            b"From: a@b.example\r\nX-Ours: one\r\nSubject: Hi\r\nx-ours: two\r\n\tlines =?utf-8?Q?=C3=BC?=\r\n\r\nX-Ours: body\r\n".to_vec();
        let (taken, rest) = take_fields(message, |name| name == "x-ours");
        let values: Vec<_> = taken.iter().map(|field| (field.name.as_str(), field.value.as_str())).collect();
        assert_eq!(values, [("X-Ours", "one"), ("x-ours", "two lines ü")]);
        assert_eq!(rest, b"From: a@b.example\r\nSubject: Hi\r\n\r\nX-Ours: body\r\n");
    }

    #[test]
    fn a_message_without_them_is_not_touched() {
        for message in [&b""[..], b"\r\nX-Ours: body\r\n", b"no header", b"X-Ours\r\n: a\r\n"] {
            assert_eq!(take_fields(message.to_vec(), |name| name == "x-ours"), (Vec::new(), message.to_vec()));
        }
    }
}
