//! Mail that comes back: what a message to a bounce address is, and what it says.
//!
//! Answers: a delivery report (RFC 3464, and the many forms that are none), a feedback report (RFC 5965), an automatic reply
//! (RFC 3834), or something else; whom it is about, in whose words, and about which message of ours.
//! Does not: say what a failure means (`deliver::class`) or what follows from it (`inbound`). Pure, tolerant of everything, and bounded: a
//! stranger wrote what is read here.
//!
//! Forms of mail systems are data: phrases and marks in `phrases`; fields are found wherever they stand (`status`), addresses by what
//! stands around them (`text`). No code asks which program wrote a report.

mod address;
mod auto;
pub mod compose;
mod feedback;
mod notification;
mod original;
mod parts;
mod phrases;
mod said;
mod status;
mod text;

#[cfg(test)]
mod tests;

use time::OffsetDateTime;

pub use feedback::{FeedbackReport, FeedbackType};
pub use original::Original;
pub use phrases::stage_of;

use self::parts::Anatomy;
use crate::model::outcome::Stage;
use crate::model::{EmailAddress, EnhancedStatus};

/// Octets of a message that are looked at: a returned message may follow, and nothing in it matters.
pub const MAX_OCTETS: usize = 1024 * 1024;
/// Recipients taken from one report.
pub const MAX_RECIPIENTS: usize = 1_000;
/// Characters kept of what was said about a recipient.
pub const MAX_DIAGNOSTIC: usize = 2_000;

/// What a message is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// What became of a message.
    Delivery(DeliveryReport),
    /// What somebody thinks of a message.
    Feedback(FeedbackReport),
    /// A machine's answer that says nothing about delivery: absent, received, read.
    AutoReply(Original),
    /// None of these: a person wrote it, or nobody can tell.
    Other,
}

/// A delivery report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryReport {
    /// The host that made it.
    pub reporting_mta: Option<String>,
    /// ENVID of the transaction it is about (RFC 3461 4.4).
    pub envelope_id: Option<String>,
    /// When the message came to that host.
    pub arrived: Option<OffsetDateTime>,
    /// Whom it is about; at most [`MAX_RECIPIENTS`].
    pub recipients: Vec<RecipientReport>,
    /// The message it is about.
    pub original: Original,
}

/// What became of a message for one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecipientReport {
    /// The address that the report is about; the one we sent to, or one that mail to it was forwarded to.
    pub recipient: EmailAddress,
    /// The address that mail was sent to at first, where the report tells.
    pub original_recipient: Option<EmailAddress>,
    /// What became of it.
    pub action: Action,
    /// The most telling status: of what the remote host said, else of the report itself.
    pub status: Option<EnhancedStatus>,
    /// The reply code of the remote host.
    pub code: Option<u16>,
    /// How far the session with the remote host got, where the report tells.
    pub stage: Option<Stage>,
    /// What was said, on one line.
    pub diagnostic: String,
    /// The part of it that the remote host said; empty where that cannot be told.
    pub reply: String,
    /// The host that said it.
    pub remote_mta: Option<String>,
}

/// What became of a message (RFC 3464 2.3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It was not and will not be delivered.
    Failed,
    /// It is still tried.
    Delayed,
    /// It is in the mailbox.
    Delivered,
    /// It went on to where no reports come from.
    Relayed,
    /// It went on to several addresses.
    Expanded,
}

impl Action {
    /// As RFC 3464 names it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Delayed => "delayed",
            Self::Delivered => "delivered",
            Self::Relayed => "relayed",
            Self::Expanded => "expanded",
        }
    }
}

/// Reads a message of a stranger.
#[must_use]
pub fn read(message: &[u8]) -> Arrival {
    let message = message.get(..MAX_OCTETS).unwrap_or(message);
    let anatomy = parts::dissect(message);
    if let Some(report) = feedback::read(&anatomy) {
        return Arrival::Feedback(report);
    }
    if let Some(arrival) = notification::read(&anatomy) {
        return arrival;
    }
    if anatomy.has_disposition {
        return Arrival::AutoReply(anatomy.original());
    }
    match delivery(&anatomy, 0) {
        Some(report) => Arrival::Delivery(report),
        None if auto::is_automatic(&anatomy) => Arrival::AutoReply(anatomy.original()),
        None => Arrival::Other,
    }
}

/// Reports inside reports: one is forwarded by some gateways as if it were the message itself.
const MAX_NESTED: usize = 2;

/// The delivery report that a message is, if it is one.
fn delivery(anatomy: &Anatomy, depth: usize) -> Option<DeliveryReport> {
    let told = status::read(anatomy);
    let is_notice = auto::is_failure_notice(anatomy) || (depth > 0 && auto::tells_failure(anatomy));
    let mut report = DeliveryReport {
        reporting_mta: told.reporting_mta,
        envelope_id: told.envelope_id,
        arrived: told.arrived,
        recipients: told.recipients,
        original: anatomy.original(),
    };
    if report.original.message_id.is_none() {
        report.original.message_id = told.message_id;
    }
    let formal = told.is_report;
    let mut guessed = false;
    if report.recipients.is_empty() {
        if formal || is_notice {
            (report.recipients, guessed) = text::read(anatomy);
        }
    } else if report.recipients.iter().any(RecipientReport::says_little) {
        complete(&mut report.recipients, &text::read(anatomy).0);
    }
    if let [only] = report.recipients.as_mut_slice() {
        only.stage = only.stage.or_else(|| anatomy.texts.iter().find_map(|text| stage_of(text)));
    }
    if (guessed || report.recipients.iter().all(RecipientReport::says_nothing)) && depth < MAX_NESTED && (formal || is_notice) {
        let inner = anatomy.originals.iter().find_map(|inner| delivery(&parts::dissect(inner), depth + 1));
        let same = |known: &RecipientReport, inner: &DeliveryReport| inner.recipients.iter().any(|other| other.recipient == known.recipient);
        if let Some(inner) = inner.filter(|inner| !inner.recipients.is_empty())
            && (guessed || report.recipients.is_empty() || report.recipients.iter().any(|known| same(known, &inner)))
        {
            return Some(inner);
        }
    }
    report.recipients.truncate(MAX_RECIPIENTS);
    (formal || !report.recipients.is_empty()).then_some(report)
}

/// Adds what is said to people to what is said to machines, where the latter is little.
fn complete(recipients: &mut [RecipientReport], words: &[RecipientReport]) {
    let alone = recipients.len() == 1;
    for known in recipients.iter_mut().filter(|known| known.says_little()) {
        let same = |other: &&RecipientReport| {
            other.recipient == known.recipient || Some(&other.recipient) == known.original_recipient.as_ref() || (alone && words.len() == 1)
        };
        let Some(other) = words.iter().find(same) else { continue };
        if known.code.is_none() {
            known.code = other.code;
            known.status = other.status.filter(|status| !is_vague(*status)).or(known.status);
        }
        known.stage = known.stage.or(other.stage);
        if !other.diagnostic.is_empty() {
            known.diagnostic = text::shorten(&format!("{} {}", known.diagnostic, other.diagnostic));
            known.reply = if known.reply.is_empty() { other.reply.clone() } else { std::mem::take(&mut known.reply) };
        }
    }
}

/// True of `x.0.0`: nothing is said but whether it is for good.
const fn is_vague(status: EnhancedStatus) -> bool {
    status.subject == 0 && status.detail == 0
}

impl RecipientReport {
    /// Nothing but an address.
    fn says_nothing(&self) -> bool {
        self.code.is_none() && self.status.is_none_or(is_vague) && !phrases::tells_reason(&self.diagnostic)
    }

    /// No words of the remote host.
    fn says_little(&self) -> bool {
        self.diagnostic.is_empty() || (self.code.is_none() && self.status.is_none_or(is_vague))
    }
}
