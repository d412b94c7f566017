//! The message that a report is about, as far as the report returns it.
//!
//! Answers: its Message-ID, author, recipients. Does not: believe them; a report is matched by its token first.

use super::address::addresses;
use crate::mail::fields::{Field, Fields};
use crate::mail::headers::mailbox::text as decoded;
use crate::model::EmailAddress;

/// Octets and fields of a returned header that are looked at.
const MAX_OCTETS: usize = 64 * 1024;
const MAX_FIELDS: usize = 300;
/// Addresses kept.
const MAX_ADDRESSES: usize = 50;

/// A returned message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Original {
    /// Its Message-ID without brackets.
    pub message_id: Option<String>,
    /// Its author.
    pub from: Option<EmailAddress>,
    /// Its To and Cc, and whom its trace fields say it was for.
    pub to: Vec<EmailAddress>,
    /// Its reverse-path.
    pub return_path: Option<EmailAddress>,
    /// Its subject.
    pub subject: String,
}

impl Original {
    /// Reads a header block, with or without a body after it.
    pub(super) fn read(octets: &[u8]) -> Self {
        let octets = octets.get(..MAX_OCTETS).unwrap_or(octets).trim_ascii_start();
        let fields = Fields::split(octets, MAX_FIELDS, MAX_OCTETS);
        let value = |name: &'static str| fields.named(name).next().map(Field::value).map(decoded);
        let one = |name: &'static str| value(name).and_then(|text| super::address::first(&text));
        let mut to = Vec::new();
        for name in ["X-HmXmrOriginalRecipient", "To", "Cc", "X-Original-To", "Delivered-To"] {
            for field in fields.named(name) {
                to.extend(addresses(&decoded(field.value())).into_iter().map(|found| found.address));
            }
        }
        for field in fields.named("Received") {
            let trace = decoded(field.value());
            to.extend(
                trace.split(" for ").skip(1).filter_map(|rest| addresses(rest.split(';').next()?).into_iter().next()).map(|found| found.address),
            );
        }
        let mut distinct: Vec<EmailAddress> = Vec::new();
        for address in to {
            if distinct.len() < MAX_ADDRESSES && !distinct.contains(&address) {
                distinct.push(address);
            }
        }
        Self {
            message_id: value("Message-ID").and_then(|text| message_id(&text)),
            from: one("From"),
            to: distinct,
            return_path: one("Return-Path"),
            subject: value("Subject").unwrap_or_default(),
        }
    }

    /// True if nothing is known.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.message_id.is_none() && self.from.is_none() && self.to.is_empty() && self.return_path.is_none()
    }
}

/// The id between brackets, or the first word.
pub(super) fn message_id(text: &str) -> Option<String> {
    let inner = text
        .split_once('<')
        .and_then(|(_, rest)| rest.split_once('>'))
        .map_or_else(|| text.split_whitespace().next().unwrap_or_default(), |(id, _)| id);
    let id = inner.trim();
    (!id.is_empty() && id.len() <= 998 && id.bytes().all(|octet| octet.is_ascii_graphic())).then(|| id.to_owned())
}
