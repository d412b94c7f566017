//! Feedback reports: what recipients think of mail (RFC 5965, RFC 6591, RFC 6650), and a form that is older.
//!
//! Answers: the kind, about whom, about which message. Does not: count; not every kind is a complaint ([`FeedbackType::is_complaint`]).

use super::address::first;
use super::original::{Original, message_id};
use super::parts::Anatomy;
use super::text::shorten;
use crate::model::EmailAddress;

/// Addresses kept.
const MAX_RECIPIENTS: usize = 50;

/// A feedback report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedbackReport {
    /// Its kind.
    pub kind: FeedbackType,
    /// The program that made it.
    pub user_agent: Option<String>,
    /// Who complains; empty where the report keeps it to itself, as many do.
    pub recipients: Vec<EmailAddress>,
    /// ENVID of the transaction.
    pub envelope_id: Option<String>,
    /// The message it is about.
    pub original: Original,
}

/// The kinds of feedback (RFC 5965 7.3, RFC 6430, RFC 6591).
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FeedbackType {
    /// Called spam.
    Abuse,
    /// Called phishing or fraud.
    Fraud,
    /// Holds a virus.
    Virus,
    /// The recipient wants no more.
    OptOut,
    /// Called no spam after all.
    NotSpam,
    /// SPF, DKIM or DMARC failed: about our set-up or a forger, not about a wish of the recipient.
    AuthFailure,
    /// Any other.
    Other,
}

impl FeedbackType {
    /// True if the recipient does not want such mail.
    #[must_use]
    pub const fn is_complaint(self) -> bool {
        matches!(self, Self::Abuse | Self::Fraud | Self::OptOut | Self::Other)
    }

    /// As RFC 5965 names it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Abuse => "abuse",
            Self::Fraud => "fraud",
            Self::Virus => "virus",
            Self::OptOut => "opt-out",
            Self::NotSpam => "not-spam",
            Self::AuthFailure => "auth-failure",
            Self::Other => "other",
        }
    }

    fn parse(text: &str) -> Self {
        let low = text.trim().to_ascii_lowercase();
        let known = [Self::Abuse, Self::Fraud, Self::Virus, Self::OptOut, Self::NotSpam, Self::AuthFailure];
        // "opt-out-list" of RFC 5965's drafts, "dmarc" of some senders.
        known.into_iter().find(|kind| low.starts_with(kind.name())).unwrap_or(if low.starts_with("dmarc") { Self::AuthFailure } else { Self::Other })
    }
}

/// Reads a feedback report; none if the message is no such.
pub(super) fn read(anatomy: &Anatomy) -> Option<FeedbackReport> {
    let original = anatomy.original();
    let Some(part) = anatomy.feedback.first() else { return old_form(anatomy, original) };
    let mut report = FeedbackReport { kind: FeedbackType::Abuse, user_agent: None, recipients: Vec::new(), envelope_id: None, original };
    let mut kind = None;
    for line in part.lines() {
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        match name.trim().to_ascii_lowercase().as_str() {
            "feedback-type" => kind = Some(FeedbackType::parse(value)),
            "user-agent" => report.user_agent = Some(shorten(value)).filter(|name| !name.is_empty()),
            "original-rcpt-to" | "removal-recipient" => report.recipients.extend(first(value)),
            "original-envelope-id" => report.envelope_id = Some(shorten(value)).filter(|id| !id.is_empty()),
            "original-message-id" | "message-id" => report.original.message_id = report.original.message_id.or_else(|| message_id(value)),
            _ => {}
        }
    }
    report.kind = kind.unwrap_or(FeedbackType::Other);
    Some(finish(report))
}

/// The feedback of Outlook.com: a plain message that holds the original with a field of its own.
fn old_form(anatomy: &Anatomy, original: Original) -> Option<FeedbackReport> {
    let from = first(anatomy.first("from"))?;
    let complains = anatomy.first("subject").to_ascii_lowercase().starts_with("complaint about message from");
    let marked =
        anatomy.originals.iter().any(|octets| octets.windows(24).take(65_536).any(|window| window.eq_ignore_ascii_case(b"x-hmxmroriginalrecipient")));
    let known = complains && (marked || from.domain().as_str().ends_with("hotmail.com") || from.domain().as_str().ends_with("outlook.com"));
    let report = FeedbackReport { kind: FeedbackType::Abuse, user_agent: None, recipients: Vec::new(), envelope_id: None, original };
    known.then(|| finish(report))
}

fn finish(mut report: FeedbackReport) -> FeedbackReport {
    if report.recipients.is_empty() {
        report.recipients = report.original.to.iter().take(1).cloned().collect();
    }
    report.recipients.dedup();
    report.recipients.truncate(MAX_RECIPIENTS);
    report
}
