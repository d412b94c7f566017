//! Is a message given as it shall leave one that every receiver reads alike?
//!
//! Answers: all its faults at once, or what the rest of the way needs to know of it (RFC 5322 2, 3.6; RFC 6532). Stricter than the obsolete syntax of
//! RFC 5322 4: what parsers are known to read differently is refused, above all lines that end in a lone CR or LF.
//! Does not: repair; `finish_raw` adds what may be missing.

use std::ops::Range;

use time::OffsetDateTime;

use super::problem::{MAX_FIELDS, MAX_HEADER_OCTETS, RawFault, RawProblem};
use super::{mailbox, nesting};
use crate::mail::fields::{Field, Fields};
use crate::mail::lines;
use crate::model::Mailbox;

/// Fields that may stand once (RFC 5322 3.6, RFC 2045 3).
const ONCE: [&str; 15] = [
    "Date",
    "From",
    "Sender",
    "Reply-To",
    "To",
    "Cc",
    "Bcc",
    "Message-ID",
    "In-Reply-To",
    "References",
    "Subject",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
    "Return-Path",
];
/// Problems told at once.
const MAX_PROBLEMS: usize = 20;

/// What a message says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawHeaders {
    /// The author.
    pub from: Mailbox,
    /// Who sent it for the author.
    pub sender: Option<Mailbox>,
    /// The subject, decoded; empty if there is none.
    pub subject: String,
    /// The Message-ID without its brackets.
    pub message_id: Option<String>,
    /// The Date field.
    pub date: Option<OffsetDateTime>,
    /// The header has octets beyond ASCII: the transaction needs SMTPUTF8 (RFC 6531 3.2).
    pub needs_smtputf8: bool,
    /// The body has octets beyond ASCII: the transaction needs 8BITMIME (RFC 6152).
    pub has_eight_bit_body: bool,
    /// Where Bcc and Resent-Bcc fields stand, which must not leave.
    pub bcc_ranges: Vec<Range<usize>>,
    /// It says `TLS-Required: No` (RFC 8689 3).
    pub waives_tls: bool,
    /// The number of Received fields: relays so far (RFC 5321 6.3).
    pub received: usize,
}

/// Reads a whole message.
///
/// # Errors
/// Every fault found, at most 20.
pub fn check_raw(bytes: &[u8]) -> Result<RawHeaders, Vec<RawProblem>> {
    let fields = Fields::split(bytes, MAX_FIELDS, MAX_HEADER_OCTETS);
    let mut check = Check { bytes, fields: &fields, problems: Vec::new() };
    if fields.all.is_empty() {
        check.at(RawFault::NoHeader, None, None);
        return Err(check.problems);
    }
    check.octets();
    check.limits();
    for field in &fields.all {
        check.field(field);
    }
    check.occurrences();
    let headers = check.values();
    if check.problems.is_empty() && nesting::is_excessive(bytes, &fields) {
        check.at(RawFault::Nesting, None, None);
    }
    match headers {
        Some(headers) if check.problems.is_empty() => Ok(headers),
        _ => Err(check.problems),
    }
}

struct Check<'a> {
    bytes: &'a [u8],
    fields: &'a Fields<'a>,
    problems: Vec<RawProblem>,
}

impl Check<'_> {
    fn at(&mut self, fault: RawFault, field: Option<&str>, place: Option<usize>) {
        if self.problems.len() < MAX_PROBLEMS {
            let line = place.map(|place| lines::line_number(self.bytes, place));
            self.problems.push(RawProblem { fault, field: field.map(str::to_owned), line });
        }
    }

    /// Line ends, NUL and line lengths of the whole message.
    fn octets(&mut self) {
        if let Some(place) = lines::first_bare_line_end(self.bytes) {
            self.at(RawFault::BareLineEnd, None, Some(place));
        }
        if self.bytes.contains(&0) {
            self.at(RawFault::Nul, None, self.bytes.iter().position(|&octet| octet == 0));
        }
        if let Some(place) = lines::first_long_line(self.bytes) {
            self.at(RawFault::LongLine, None, Some(place));
        }
    }

    fn limits(&mut self) {
        let cut_off = self.fields.body_start.is_none() && self.fields.header_end < self.bytes.len();
        if self.fields.header_end > MAX_HEADER_OCTETS {
            self.at(RawFault::HeaderTooLong, None, None);
        } else if cut_off {
            self.at(RawFault::TooManyFields, None, None);
        }
    }

    fn field(&mut self, field: &Field<'_>) {
        let name = String::from_utf8_lossy(field.name());
        let trimmed = name.trim_end_matches([' ', '\t']);
        let place = Some(field.start);
        if trimmed.is_empty() || field.raw.starts_with(b" ") || field.raw.starts_with(b"\t") {
            return self.at(RawFault::NotAField, None, place);
        }
        if !trimmed.bytes().all(|octet| octet.is_ascii_graphic()) {
            return self.at(RawFault::BadName, None, place);
        }
        if trimmed.len() < name.len() {
            self.at(RawFault::SpaceBeforeColon, Some(trimmed), place);
        }
        let value = field.value();
        if value.split(|&octet| octet == b'\n').skip(1).any(|line| line.trim_ascii().is_empty()) {
            self.at(RawFault::BlankFold, Some(trimmed), place);
        }
        // Lone line ends and NUL are told once for the message.
        if value.iter().any(|&octet| (octet < b' ' || octet == 0x7f) && !matches!(octet, b'\t' | b'\r' | b'\n' | 0)) {
            self.at(RawFault::Control, Some(trimmed), place);
        }
        if std::str::from_utf8(value).is_err() {
            self.at(RawFault::NotUtf8, Some(trimmed), place);
        }
    }

    fn occurrences(&mut self) {
        let fields = self.fields;
        for name in ONCE {
            if let Some(second) = fields.named(name).nth(1) {
                self.at(RawFault::Duplicate, Some(name), Some(second.start));
            }
        }
        if fields.named("From").next().is_none() {
            self.at(RawFault::Missing, Some("From"), None);
        }
    }

    fn values(&mut self) -> Option<RawHeaders> {
        let fields = self.fields;
        let mut from = None;
        if let Some(field) = fields.named("From").next() {
            match mailbox::mailbox(field.value()) {
                Ok(mailbox) => from = Some(mailbox),
                Err(error) => self.at(RawFault::From(error), Some("From"), Some(field.start)),
            }
        }
        let mut sender = None;
        if let Some(field) = fields.named("Sender").next() {
            match mailbox::mailbox(field.value()) {
                Ok(mailbox) => sender = Some(mailbox),
                Err(error) => self.at(RawFault::Sender(error), Some("Sender"), Some(field.start)),
            }
        }
        let message_id = self.value("Message-ID", RawFault::MessageId, mailbox::message_id);
        let date = self.value("Date", RawFault::Date, mailbox::date);
        let body = fields.body_start.and_then(|start| self.bytes.get(start..)).unwrap_or_default();
        Some(RawHeaders {
            from: from?,
            sender,
            subject: fields.named("Subject").next().map(|field| mailbox::text(field.value())).unwrap_or_default(),
            message_id,
            date,
            needs_smtputf8: !self.bytes.get(..fields.header_end).unwrap_or_default().is_ascii(),
            has_eight_bit_body: !body.is_ascii(),
            bcc_ranges: fields.all.iter().filter(|field| field.is("Bcc") || field.is("Resent-Bcc")).map(Field::range).collect(),
            waives_tls: fields.named("TLS-Required").any(|field| field.value().trim_ascii().eq_ignore_ascii_case(b"no")),
            received: fields.named("Received").count(),
        })
    }

    /// The value of a field that may be absent.
    fn value<T>(&mut self, name: &'static str, fault: RawFault, read: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
        let field = self.fields.named(name).next()?;
        let value = read(field.value());
        if value.is_none() {
            self.at(fault, Some(name), Some(field.start));
        }
        value
    }
}
