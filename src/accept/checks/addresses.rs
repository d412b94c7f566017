//! Checks addresses: author, header lists, the distinct recipients (RFC 5321 4.1.2, RFC 5322 3.4).
//!
//! Does not: know whether the author's domain is the caller's.

use std::collections::HashSet;

use crate::accept::fault::{Code, Faults};
use crate::accept::request::OneOrMany;
use crate::model::header::breaks_lines;
use crate::model::{EmailAddress, Mailbox};

/// The author of a composed message.
pub(super) fn author(text: Option<&str>, faults: &mut Faults) -> Option<Mailbox> {
    let Some(text) = text else {
        faults.add("/from", Code::Required, "every message has an author");
        return None;
    };
    mailbox(text, || "/from".to_owned(), faults)
}

/// The addresses of a To, Cc, Bcc or Reply-To; one that is there twice is kept once.
pub(super) fn list(given: &OneOrMany, field: &str, faults: &mut Faults) -> Vec<Mailbox> {
    let mut seen = HashSet::new();
    let mut mailboxes = Vec::with_capacity(given.as_slice().len());
    for (place, text) in given.as_slice().iter().enumerate() {
        if let Some(mailbox) = mailbox(text, || given.pointer(field, place), faults)
            && seen.insert(mailbox.address.clone())
        {
            mailboxes.push(mailbox);
        }
    }
    mailboxes
}

/// The distinct addresses in the order of their first place.
pub(super) fn distinct<'a>(addresses: impl Iterator<Item = &'a EmailAddress>) -> Vec<EmailAddress> {
    let mut seen = HashSet::new();
    addresses.filter(|address| seen.insert(*address)).cloned().collect()
}

/// At least one recipient `given`, and at most `most` that are distinct.
pub(super) fn count(given: usize, recipients: usize, pointer: &str, most: usize, faults: &mut Faults) {
    if given == 0 {
        faults.add(pointer, Code::NoRecipients, "give at least one recipient");
    }
    limit(recipients, pointer, most, faults);
}

/// At most `most` addresses.
pub(super) fn limit(addresses: usize, pointer: &str, most: usize, faults: &mut Faults) {
    if addresses > most {
        faults.add(pointer, Code::TooManyRecipients, format_args!("{addresses} addresses; at most {most} are allowed"));
    }
}

/// One bare address.
pub(super) fn address(text: &str, pointer: impl FnOnce() -> String, faults: &mut Faults) -> Option<EmailAddress> {
    EmailAddress::parse(text).map_err(|error| faults.add(pointer(), code(text), error)).ok()
}

fn mailbox(text: &str, pointer: impl FnOnce() -> String, faults: &mut Faults) -> Option<Mailbox> {
    Mailbox::parse(text).map_err(|error| faults.add(pointer(), code(text), error)).ok()
}

fn code(text: &str) -> Code {
    if text.chars().any(breaks_lines) { Code::HeaderInjection } else { Code::InvalidAddress }
}
