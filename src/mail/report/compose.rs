//! A delivery report as a message (RFC 3464 in the frame of RFC 6522): words for people, fields for machines, the message it is about.
//!
//! Answers: the octets of a report of failure, delay, delivery, relaying or expansion, with what RFC 3461 lets a sender ask for: RET, ENVID,
//! ORCPT. It goes to the reverse-path with a null reverse-path of its own and says that a machine wrote it (RFC 3834), so nothing answers it.
//! Does not: decide that a report is due, sign or send. Date and Message-ID are added where every raw message gets them.
//!
//! All but a returned message is US-ASCII: addresses in UTF-8 are written as RFC 6533 3 has it, other characters become `?`.

use std::fmt::Write;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::Action;
use crate::mail::fields::Fields;
use crate::mail::headers::{MAX_FIELDS, MAX_HEADER_OCTETS};
use crate::model::{BounceClass, EmailAddress, EnhancedStatus};

/// Octets of a message that is returned whole; of a larger one the header is (RFC 3461 6.2 permits it).
pub const MAX_RETURNED: usize = 512 * 1024;
/// Columns of a line.
const WIDTH: usize = 76;

/// What a report is made of.
#[derive(Clone, Debug)]
pub struct Notice<'a> {
    /// Our address, from which it comes.
    pub from: &'a EmailAddress,
    /// The reverse-path of the message.
    pub to: &'a EmailAddress,
    /// Our name.
    pub reporting_mta: &'a str,
    /// ENVID as the sender gave it, decoded.
    pub envelope_id: Option<&'a str>,
    /// When the message was accepted.
    pub arrived: OffsetDateTime,
    /// What became of it, for one recipient at least.
    pub recipients: &'a [NoticeRecipient<'a>],
    /// The message it is about.
    pub original: &'a [u8],
    /// RET: how much of it goes back.
    pub returned: Returned,
}

/// How much of a message goes back with a report (RFC 3461 4.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Returned {
    /// RET=HDRS, and what everything but a failure gets (RFC 3461 6.2).
    #[default]
    Headers,
    /// RET=FULL.
    Full,
}

/// What became of a message for one recipient.
#[derive(Clone, Debug)]
pub struct NoticeRecipient<'a> {
    /// Whom it was sent to.
    pub address: &'a EmailAddress,
    /// ORCPT as the sender gave it, `rfc822;bee@example.net`, decoded.
    pub original: Option<&'a str>,
    /// What became of it.
    pub action: Action,
    /// In numbers.
    pub status: EnhancedStatus,
    /// Why, if it failed.
    pub class: Option<BounceClass>,
    /// The reply that decided.
    pub reply: Option<&'a str>,
    /// The host that gave it.
    pub host: Option<&'a str>,
    /// When it was tried last.
    pub last_attempt: Option<OffsetDateTime>,
    /// Until when it is tried, if it is delayed.
    pub retry_until: Option<OffsetDateTime>,
}

/// Composes a report.
#[must_use]
pub fn compose(notice: &Notice<'_>) -> Vec<u8> {
    let original = Original::of(notice);
    let boundary = boundary(original.octets);
    let Notice { from, to, recipients, .. } = notice;
    let title = title(recipients);
    let subject = subject(notice.original).map_or_else(|| format!("{title}: your message"), |subject| format!("{title}: {subject}"));
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "From: Mail Delivery System <{from}>\r\nTo: {to}\r\nSubject: {subject}\r\nAuto-Submitted: auto-replied\r\n{}MIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=delivery-status;\r\n boundary=\"{boundary}\"\r\n{}\r\n\
         --{boundary}\r\nContent-Description: Notification\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n{}\r\n\
         --{boundary}\r\nContent-Description: Delivery report\r\nContent-Type: message/delivery-status\r\n\r\n{}\r\n\
         --{boundary}\r\nContent-Description: {}\r\nContent-Type: {}\r\n{}\r\n",
        references(notice.original),
        original.encoding(),
        words(notice),
        fields(notice),
        original.description,
        original.kind,
        original.encoding(),
    );
    let mut octets = text.into_bytes();
    octets.extend_from_slice(original.octets);
    if !original.octets.ends_with(b"\r\n") {
        octets.extend_from_slice(b"\r\n");
    }
    octets.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    octets
}

/// What goes back of the message.
struct Original<'a> {
    octets: &'a [u8],
    kind: &'static str,
    description: &'static str,
}

impl<'a> Original<'a> {
    fn of(notice: &Notice<'a>) -> Self {
        let whole = notice.original;
        let header = Fields::split(whole, MAX_FIELDS, MAX_HEADER_OCTETS).header_end;
        let header = whole.get(..header).unwrap_or(whole);
        let failed = notice.recipients.iter().any(|recipient| recipient.action == Action::Failed);
        if notice.returned == Returned::Full && failed && whole.len() <= MAX_RETURNED {
            let kind = if header.is_ascii() { "message/rfc822" } else { "message/global" };
            Self { octets: whole, kind, description: "Undelivered message" }
        } else {
            let kind = if header.is_ascii() { "text/rfc822-headers" } else { "message/global-headers" };
            Self { octets: header, kind, description: "Header of the message" }
        }
    }

    /// A part with octets above 127 has to say so, and what holds it (RFC 2045 6.4).
    fn encoding(&self) -> &'static str {
        if self.octets.is_ascii() { "" } else { "Content-Transfer-Encoding: 8bit\r\n" }
    }
}

/// A line that stands nowhere in the message.
fn boundary(original: &[u8]) -> String {
    let mut number = original.len();
    loop {
        let boundary = format!("=_report-{number}");
        if !original.windows(boundary.len()).any(|window| window == boundary.as_bytes()) {
            return boundary;
        }
        number += 1;
    }
}

fn title(recipients: &[NoticeRecipient<'_>]) -> &'static str {
    let any = |action| recipients.iter().any(|recipient| recipient.action == action);
    match (any(Action::Failed), any(Action::Delayed)) {
        (true, _) => "Not delivered",
        (false, true) => "Delayed",
        (false, false) => "Delivered",
    }
}

/// The subject of the message, if it can stand on a line of US-ASCII.
fn subject(original: &[u8]) -> Option<String> {
    let subject = crate::mail::parse::HeaderView::read(original).subject;
    (!subject.is_empty() && subject.len() <= 60 && subject.bytes().all(|octet| octet == b' ' || octet.is_ascii_graphic())).then_some(subject)
}

/// So that mail programs show the report beside the message.
fn references(original: &[u8]) -> String {
    let id = crate::mail::parse::HeaderView::read(original).message_id;
    let id = id.filter(|id| id.len() <= 900 && id.bytes().all(|octet| octet.is_ascii_graphic() && !matches!(octet, b'<' | b'>')));
    id.map(|id| format!("In-Reply-To: <{id}>\r\nReferences: <{id}>\r\n")).unwrap_or_default()
}

/// The part for people.
fn words(notice: &Notice<'_>) -> String {
    let mut text = format!("This is the mail system at {}.\r\n", ascii(notice.reporting_mta));
    for action in [Action::Failed, Action::Delayed, Action::Delivered, Action::Relayed, Action::Expanded] {
        let those: Vec<_> = notice.recipients.iter().filter(|recipient| recipient.action == action).collect();
        if those.is_empty() {
            continue;
        }
        text.push_str("\r\n");
        push_wrapped(&mut text, "", heading(action, those.len()));
        for recipient in those {
            let _ = write!(text, "\r\n  {}\r\n", ascii(&recipient.address.to_string()));
            let advice = advice(recipient.class);
            if action == Action::Failed && !advice.is_empty() {
                push_wrapped(&mut text, "    ", advice);
            }
            if let Some(until) = recipient.retry_until.filter(|_| action == Action::Delayed) {
                push_wrapped(&mut text, "    ", &format!("It is tried again until {}.", date(until)));
            }
            if let Some(reply) = recipient.reply.filter(|reply| !reply.is_empty()) {
                let who = recipient.host.map_or_else(|| "What was found".to_owned(), |host| format!("What {host} said"));
                push_wrapped(&mut text, "    ", &ascii(&format!("{who}: {reply}")));
            }
        }
    }
    text
}

const fn heading(action: Action, count: usize) -> &'static str {
    match (action, count) {
        (Action::Failed, 1) => "Your message was not delivered to this address, and it will not be tried again:",
        (Action::Failed, _) => "Your message was not delivered to these addresses, and it will not be tried again:",
        (Action::Delayed, 1) => "Your message has not been delivered to this address yet. You need not do anything: it is tried again.",
        (Action::Delayed, _) => "Your message has not been delivered to these addresses yet. You need not do anything: it is tried again.",
        (Action::Delivered, _) => "Your message was delivered, as you asked to be told:",
        (Action::Relayed, _) => "Your message was taken by a mail server that sends no reports of delivery, so you will not hear more of it:",
        (Action::Expanded, _) => "Your message was passed on to several addresses:",
    }
}

/// What happened and what to do, in plain words.
const fn advice(class: Option<BounceClass>) -> &'static str {
    match class {
        Some(BounceClass::BadMailbox) => "There is no such mailbox. Check the spelling of the address, or reach its owner in another way.",
        Some(BounceClass::BadDomain) => "The part after the @ does not exist or takes no mail. Check its spelling.",
        Some(BounceClass::Inactive) => "The mailbox is closed. Reach its owner in another way.",
        Some(BounceClass::Full) => "The mailbox is full. Try again later, or tell its owner in another way.",
        Some(BounceClass::Policy) => {
            "A rule of the recipient's mail system does not let your message in. Its owner or their postmaster can change that."
        }
        Some(BounceClass::Reputation) => {
            "The recipient's mail system does not trust ours at the moment. Tell your own postmaster, and show them this message."
        }
        Some(BounceClass::Authentication) => {
            "The recipient's mail system could not tell that the message is really from you. Tell your own postmaster, and show them this message."
        }
        Some(BounceClass::Content) => "The recipient's mail system refused the content, as spam or as harmful. Change it, and try again.",
        Some(BounceClass::Rate) => "The recipient's mail system wanted less mail than it got. Try again later.",
        Some(BounceClass::Network) => "The recipient's mail system could not be reached in time. Try again later.",
        Some(BounceClass::Tls) => "No connection was secure enough to send your message. Tell your own postmaster, and show them this message.",
        Some(BounceClass::Size) => "The message is too large for the recipient's mail system. Send less, or a link.",
        Some(BounceClass::Relay) => {
            "The server that is named for the address takes no mail for it. Check the spelling, or tell the recipient's postmaster."
        }
        Some(BounceClass::Other) => "The recipient's mail system refused it. What it said stands below.",
        None => "",
    }
}

/// The part for machines.
fn fields(notice: &Notice<'_>) -> String {
    let mut text = String::new();
    if let Some(id) = notice.envelope_id {
        push_field(&mut text, "Original-Envelope-Id", &ascii(id));
    }
    push_field(&mut text, "Reporting-MTA", &format!("dns; {}", ascii(notice.reporting_mta)));
    push_field(&mut text, "Arrival-Date", &date(notice.arrived));
    for recipient in notice.recipients {
        text.push_str("\r\n");
        if let Some(original) = recipient.original {
            let (kind, address) = original.split_once(';').unwrap_or(("rfc822", original));
            push_field(&mut text, "Original-Recipient", &format!("{};{}", ascii(kind), escaped(address)));
        }
        let address = recipient.address.to_string();
        let kind = if address.is_ascii() { "rfc822" } else { "utf-8" };
        push_field(&mut text, "Final-Recipient", &format!("{kind};{}", escaped(&address)));
        push_field(&mut text, "Action", recipient.action.name());
        push_field(&mut text, "Status", &recipient.status.to_string());
        if let Some(host) = recipient.host {
            push_field(&mut text, "Remote-MTA", &format!("dns; {}", ascii(host)));
        }
        if let Some(reply) = recipient.reply.filter(|reply| !reply.is_empty()) {
            // The type `smtp` is for replies of hosts (RFC 3464 2.3.6).
            let kind = if recipient.host.is_some() && reply.starts_with(|first: char| first.is_ascii_digit()) { "smtp" } else { "x-pennypost" };
            push_field(&mut text, "Diagnostic-Code", &format!("{kind}; {}", ascii(reply)));
        }
        if let Some(at) = recipient.last_attempt {
            push_field(&mut text, "Last-Attempt-Date", &date(at));
        }
        if let Some(until) = recipient.retry_until.filter(|_| recipient.action == Action::Delayed) {
            push_field(&mut text, "Will-Retry-Until", &date(until));
        }
    }
    text
}

fn date(at: OffsetDateTime) -> String {
    at.format(&Rfc2822).unwrap_or_default()
}

/// One line of printable US-ASCII.
fn ascii(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().map(|character| if character.is_ascii_graphic() || character == ' ' { character } else { '?' }).collect()
}

/// An address in US-ASCII (RFC 6533 3, utf-8-addr-xtext).
fn escaped(address: &str) -> String {
    let mut text = String::with_capacity(address.len());
    for character in address.chars() {
        if character.is_ascii_graphic() && (address.is_ascii() || !matches!(character, '\\' | '+' | '=')) {
            text.push(character);
        } else {
            let _ = write!(text, "\\x{{{:X}}}", u32::from(character));
        }
    }
    text
}

/// A field, folded at blanks.
fn push_field(text: &mut String, name: &str, value: &str) {
    let mut column = name.len() + 1;
    let _ = write!(text, "{name}:");
    for word in value.split(' ') {
        if column + 1 + word.len() > WIDTH && column > name.len() + 1 {
            text.push_str("\r\n ");
            column = 0;
        }
        // No line of a message is longer than this (RFC 5322 2.1.1); a word that is says nothing.
        let word = word.get(..word.len().min(900)).unwrap_or_default();
        text.push(' ');
        text.push_str(word);
        column += 1 + word.len();
    }
    text.push_str("\r\n");
}

/// A paragraph.
fn push_wrapped(text: &mut String, indent: &str, paragraph: &str) {
    let mut column = 0;
    for word in paragraph.split_whitespace() {
        let word = word.get(..word.len().min(900)).unwrap_or_default();
        if column > 0 && column + 1 + word.len() > WIDTH {
            text.push_str("\r\n");
            column = 0;
        }
        if column == 0 {
            text.push_str(indent);
            column = indent.len();
        } else {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += word.len();
    }
    text.push_str("\r\n");
}
