//! What a signature is computed over: header fields in relaxed form, the body's hash in simple form.
//!
//! Answers: which fields are signed, in which order, and their octets (RFC 6376 3.4.2, 3.4.3, 5.4). Each field of the list is signed as often as
//! it stands; those that readers act on are named once more, so that a second one added later breaks the signature (RFC 6376 8.15).
//! Does not: change the message. `l=` is never used: it lets a stranger append to the body (RFC 6376 8.2).

use aws_lc_rs::digest::{Context, Digest, SHA256};

use crate::mail::fields::{Field, Fields};

/// Fields that are signed, and whether one more than stands there is.
const SIGNED: [(&str, Oversign); 14] = [
    ("From", Oversign::Yes),
    ("Sender", Oversign::No),
    ("Reply-To", Oversign::Yes),
    ("Subject", Oversign::Yes),
    ("Date", Oversign::Yes),
    ("Message-ID", Oversign::Yes),
    ("To", Oversign::Yes),
    ("Cc", Oversign::Yes),
    ("MIME-Version", Oversign::Yes),
    ("Content-Type", Oversign::Yes),
    ("Content-Transfer-Encoding", Oversign::No),
    ("In-Reply-To", Oversign::No),
    ("References", Oversign::No),
    ("Feedback-ID", Oversign::No),
];
/// The fields of mailing lists, one-click unsubscription among them (RFC 8058 4), are signed whatever their name.
const LIST_PREFIX: &[u8] = b"list-";
/// A line of the `h=` tag is folded before it grows longer, in octets.
const LINE_OCTETS: usize = 76;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Oversign {
    Yes,
    No,
}

/// The signed fields.
pub(super) struct SignedFields {
    /// The value of `h=`, folded.
    pub(super) names: Vec<u8>,
    /// The fields in relaxed form, in the order of `names`.
    pub(super) octets: Vec<u8>,
}

impl SignedFields {
    pub(super) fn collect(fields: &Fields<'_>) -> Self {
        let mut signed = Self { names: Vec::with_capacity(320), octets: Vec::with_capacity(fields.header_end + 1024) };
        let mut column = 3;
        for (name, oversign) in SIGNED {
            for field in fields.named(name).rev() {
                push_name(&mut signed.names, name.as_bytes(), &mut column);
                push_relaxed(&mut signed.octets, field.name(), field.value());
            }
            if oversign == Oversign::Yes {
                push_name(&mut signed.names, name.as_bytes(), &mut column);
            }
        }
        for field in list_fields(fields) {
            push_name(&mut signed.names, field.name(), &mut column);
            push_relaxed(&mut signed.octets, field.name(), field.value());
        }
        signed
    }
}

/// The `List-` fields from the last to the first: the order in which instances of one name count (RFC 6376 5.4.2).
fn list_fields<'a>(fields: &'a Fields<'a>) -> impl Iterator<Item = &'a Field<'a>> {
    fields.all.iter().rev().filter(|field| {
        let name = field.name();
        let is_list = name.get(..LIST_PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(LIST_PREFIX));
        // A name with a semicolon would end the tag it stands in.
        is_list && name.iter().all(|octet| octet.is_ascii_alphanumeric() || *octet == b'-')
    })
}

fn push_name(names: &mut Vec<u8>, name: &[u8], column: &mut usize) {
    if !names.is_empty() {
        names.push(b':');
        *column += 1;
        if *column + name.len() > LINE_OCTETS {
            names.extend_from_slice(b"\r\n\t");
            *column = 1;
        }
    }
    names.extend_from_slice(name);
    *column += name.len();
}

/// A field in relaxed form (RFC 6376 3.4.2), its line end included.
pub(super) fn push_relaxed(output: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    output.extend(name.trim_ascii_end().iter().map(u8::to_ascii_lowercase));
    output.push(b':');
    let mut words = value.split(|octet| matches!(octet, b' ' | b'\t' | b'\r' | b'\n')).filter(|word| !word.is_empty());
    if let Some(first) = words.next() {
        output.extend_from_slice(first);
    }
    for word in words {
        output.push(b' ');
        output.extend_from_slice(word);
    }
    output.extend_from_slice(b"\r\n");
}

/// The SHA-256 of the body in simple form (RFC 6376 3.4.3): it ends in exactly one CRLF, an empty one is that CRLF.
pub(super) fn body_hash(body: &[u8]) -> Digest {
    let mut text = body;
    while let Some(rest) = text.strip_suffix(b"\r\n") {
        text = rest;
    }
    let mut hash = Context::new(&SHA256);
    hash.update(text);
    hash.update(b"\r\n");
    hash.finish()
}
