//! What the end of an attempt means for a delivery: the one place that says delivered, deferred or bounced (invariant 7).
//!
//! Answers: outcome, whose fault it is, the status (RFC 3463) and whether the outcome is unknown, for every reply and fault there is.
//! Does not: count attempts or expire (the outbox does), choose the next host or throttle (the engine does, by the scope).
//!
//! The first digit of a reply decides (RFC 5321 4.2.1) but for three cases, in which a 5yz is about the session and not about the
//! message: 503, 530 and 535 are tried again. What the texts of large receivers add is the scope: an unknown user is about the
//! recipient, a block list is not, and only the first may ever be suppressed.

use super::tls_policy::PolicyFault;
use crate::model::outcome::{Outcome, Scope, Stage};
use crate::model::{EnhancedStatus, Reply};
use crate::net::dial::DialError;
use crate::net::mx::MxError;
use crate::smtp::client::{Cause, End, Fault};

/// Why the next attempt must not come soon. How long that is, `schedule` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtLeast {
    /// The receiver greylists: it takes the message after a while.
    Greylisted,
    /// The receiver asks to slow down.
    Throttled,
    /// The outcome is unknown: the first copy may be on its way still (RFC 1047).
    Unknown,
    /// What the DNS said has to be heard again after a while before it is believed.
    SecondLook,
}

/// What ended an attempt.
#[derive(Clone, Copy, Debug)]
pub enum Ending<'a> {
    /// A reply.
    Reply(&'a Reply),
    /// No reply, or none that counts.
    Fault(&'a Fault),
    /// The receiver put this recipient off to another transaction.
    NotTried(&'a Reply),
    /// No connection.
    Dial(&'a DialError),
    /// No host.
    Mx(&'a MxError),
    /// No signature: nothing was tried.
    Unsigned,
    /// A host that TLS policy forbids.
    Tls(&'a PolicyFault),
}

impl<'a> From<&'a End> for Ending<'a> {
    fn from(end: &'a End) -> Self {
        match end {
            End::Reply(reply) => Self::Reply(reply),
            End::Fault(fault) => Self::Fault(fault),
            End::NotTried(reply) => Self::NotTried(reply),
        }
    }
}

impl<'a> From<&'a Cause> for Ending<'a> {
    fn from(cause: &'a Cause) -> Self {
        match cause {
            Cause::Reply(reply) => Self::Reply(reply),
            Cause::Fault(fault) => Self::Fault(fault),
        }
    }
}

impl<'a> From<&'a DialError> for Ending<'a> {
    fn from(error: &'a DialError) -> Self {
        Self::Dial(error)
    }
}

impl<'a> From<&'a PolicyFault> for Ending<'a> {
    fn from(fault: &'a PolicyFault) -> Self {
        Self::Tls(fault)
    }
}

impl<'a> From<&'a MxError> for Ending<'a> {
    fn from(error: &'a MxError) -> Self {
        Self::Mx(error)
    }
}

/// What the end of an attempt means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Delivered, deferred or bounced; never expired.
    pub outcome: Outcome,
    /// What it says something about. [`Scope::Host`]: the next host may do better, now. A bounce of that scope is final only
    /// when every host said so. For a delivery it means nothing.
    pub scope: Scope,
    /// The server's status, or ours where it gave none.
    pub enhanced_status: EnhancedStatus,
    /// The message may have been taken: do not try another host, and record it before it is sent again (invariant 6).
    pub outcome_unknown: bool,
    /// Why the next attempt must not come sooner than the schedule's plan, if there is a reason.
    pub min_wait: Option<AtLeast>,
}

/// Judges the end of an attempt that got as far as `stage`.
#[must_use]
pub fn verdict<'a>(stage: Stage, ending: impl Into<Ending<'a>>) -> Verdict {
    match ending.into() {
        Ending::Reply(reply) if stage == Stage::Auth => of_auth(reply),
        Ending::Reply(reply) => of_reply(stage, reply),
        Ending::Fault(fault) => of_fault(stage, fault),
        Ending::NotTried(reply) => deferred(Scope::Host, reply.enhanced.unwrap_or(status(4, 5, 3))),
        Ending::Dial(DialError::Source { .. } | DialError::Proxy { .. } | DialError::Resources(_)) | Ending::Unsigned => {
            deferred(Scope::Us, status(4, 3, 5))
        }
        Ending::Dial(_) => deferred(Scope::Host, status(4, 4, 1)),
        Ending::Mx(error) => of_mx(error),
        Ending::Tls(PolicyFault::RequireTls(_)) => bounced(Scope::Host, status(5, 7, 10)),
        Ending::Tls(PolicyFault::RequireTlsMissing) => bounced(Scope::Host, status(5, 7, 30)),
        Ending::Tls(_) => deferred(Scope::Host, status(4, 7, 5)),
    }
}

const fn of_mx(error: &MxError) -> Verdict {
    match error {
        MxError::NoSuchDomain => bounced(Scope::Site, status(5, 1, 2)),
        MxError::Doubtful => Verdict { min_wait: Some(AtLeast::SecondLook), ..deferred(Scope::Site, status(4, 1, 2)) },
        MxError::NullMx => bounced(Scope::Site, status(5, 1, 10)),
        MxError::NoUsableHost => bounced(Scope::Site, status(5, 4, 4)),
        MxError::LoopsBack => bounced(Scope::Site, status(5, 4, 6)),
        MxError::Temporary(_) => deferred(Scope::Site, status(4, 4, 3)),
    }
}

const fn of_fault(stage: Stage, fault: &Fault) -> Verdict {
    match fault {
        Fault::SizeExceeded { .. } => bounced(Scope::Message, status(5, 3, 4)),
        Fault::Smtputf8Missing => bounced(Scope::Message, status(5, 6, 7)),
        Fault::EightBitMissing => bounced(Scope::Message, status(5, 6, 3)),
        Fault::Tls(_) => deferred(Scope::Host, status(4, 7, 5)),
        Fault::Auth(_) => deferred(Scope::Us, status(4, 7, 8)),
        Fault::TlsNotOffered => deferred(Scope::Host, status(4, 7, 4)),
        Fault::RequireTlsMissing => bounced(Scope::Host, status(5, 7, 30)),
        Fault::Protocol(_) => lost(stage, status(4, 5, 0)),
        Fault::TimedOut(_) | Fault::Disconnected | Fault::Io(_) => match stage {
            Stage::Connect => deferred(Scope::Host, status(4, 4, 1)),
            _ => lost(stage, status(4, 4, 2)),
        },
    }
}

/// A smart host that does not take our login. The message waits for the operator, unless the host cannot check logins for now.
fn of_auth(reply: &Reply) -> Verdict {
    match reply.code / 100 {
        4 => deferred(Scope::Host, reply.enhanced.unwrap_or(status(4, 7, 0))),
        _ => deferred(Scope::Us, status(4, 7, 8)),
    }
}

/// A session that broke: before the end of the content was sent, nothing was taken; after it, nobody knows.
const fn lost(stage: Stage, status: EnhancedStatus) -> Verdict {
    match stage {
        Stage::EndOfData => Verdict {
            outcome: Outcome::Deferred,
            scope: Scope::Message,
            enhanced_status: status,
            outcome_unknown: true,
            min_wait: Some(AtLeast::Unknown),
        },
        _ => deferred(Scope::Host, status),
    }
}

fn of_reply(stage: Stage, reply: &Reply) -> Verdict {
    match (reply.code / 100, stage) {
        (2, Stage::EndOfData) => Verdict {
            outcome: Outcome::Delivered,
            scope: Scope::Recipient,
            enhanced_status: reply.enhanced.unwrap_or(status(2, 0, 0)),
            outcome_unknown: false,
            min_wait: None,
        },
        (4, _) => of_transient(stage, reply),
        (5, _) => of_permanent(stage, reply),
        // A positive reply that ends an attempt before its end.
        _ => lost(stage, status(4, 5, 0)),
    }
}

fn of_transient(stage: Stage, reply: &Reply) -> Verdict {
    let text = Text::of(reply);
    let given = reply.enhanced;
    if !matches!(stage, Stage::Greeting | Stage::Ehlo | Stage::Tls) && text.says(GREYLIST) {
        return Verdict { min_wait: Some(AtLeast::Greylisted), ..deferred(Scope::Recipient, given.unwrap_or(status(4, 7, 1))) };
    }
    if is_throttle(reply, &text) {
        return Verdict { min_wait: Some(AtLeast::Throttled), ..deferred(Scope::Site, given.unwrap_or(status(4, 7, 0))) };
    }
    if reply.code == 421 || matches!(stage, Stage::Greeting | Stage::Ehlo | Stage::Tls) {
        let scope = if given.is_some_and(|status| status.subject == 7) && reply.code == 421 { Scope::Site } else { Scope::Host };
        return deferred(scope, given.unwrap_or(status(4, 3, 2)));
    }
    let enhanced_status = given.unwrap_or_else(|| match reply.code {
        452 if stage == Stage::Rcpt && text.says(FULL) => status(4, 2, 2),
        452 => status(4, 3, 1),
        450 if stage == Stage::Rcpt => status(4, 2, 0),
        454 => status(4, 7, 0),
        _ => status(4, 3, 0),
    });
    match (enhanced_status.subject, stage) {
        // 4.7.1 after RCPT is what greylisting looks like when it does not say so.
        (7, Stage::Rcpt) if reply.code != 454 => Verdict { min_wait: Some(AtLeast::Greylisted), ..deferred(Scope::Recipient, enhanced_status) },
        (7, _) => deferred(Scope::Site, enhanced_status),
        (3..=5, _) if given.is_some() || reply.code == 452 => deferred(Scope::Host, enhanced_status),
        (1 | 2, _) | (_, Stage::Rcpt) => deferred(Scope::Recipient, enhanced_status),
        _ => deferred(Scope::Message, enhanced_status),
    }
}

fn is_throttle(reply: &Reply, text: &Text) -> bool {
    let told = reply.enhanced.is_some_and(|status| status.subject == 7 && matches!(status.detail, 28 | 500..=510 | 650 | 750));
    told || text.says(THROTTLE)
}

fn of_permanent(stage: Stage, reply: &Reply) -> Verdict {
    let text = Text::of(reply);
    match reply.code {
        // Out of step with this server; a new session puts it right.
        503 if !text.says(UNKNOWN_USER) => return deferred(Scope::Host, reply.enhanced.unwrap_or(status(4, 5, 0))),
        // It wants TLS or a password from us, which is for our operator to see to.
        530 | 535 => return deferred(Scope::Us, reply.enhanced.unwrap_or(status(4, 7, 0))),
        // RFC 7504: takes no mail, this host or this domain.
        521 if matches!(stage, Stage::Greeting | Stage::Ehlo) => return bounced(Scope::Host, reply.enhanced.unwrap_or(status(5, 3, 2))),
        521 | 556 => return bounced(Scope::Site, reply.enhanced.unwrap_or(status(5, 1, 10))),
        _ => {}
    }
    match stage {
        Stage::Greeting | Stage::Ehlo => bounced(Scope::Host, reply.enhanced.unwrap_or(status(5, 3, 2))),
        Stage::Tls => deferred(Scope::Host, reply.enhanced.unwrap_or(status(4, 7, 5))),
        _ => {
            let enhanced_status = reply.enhanced.unwrap_or_else(|| guess(stage, reply, &text));
            bounced(scope_of_refusal(stage, enhanced_status, &text), enhanced_status)
        }
    }
}

/// The status of a refusal that gives none, by code, stage and text.
fn guess(stage: Stage, reply: &Reply, text: &Text) -> EnhancedStatus {
    if text.says(BLOCKED) {
        return status(5, 7, 1);
    }
    match (reply.code, stage) {
        (552, Stage::Rcpt) => status(5, 2, 2),
        (552, Stage::Data | Stage::EndOfData) if text.says(UNKNOWN_USER) => status(5, 1, 1),
        (552, _) if text.says(FULL) && !text.says(SIZE) => status(5, 2, 2),
        (552 | 523, _) => status(5, 3, 4),
        _ if text.says(FULL) => status(5, 2, 2),
        (553, Stage::Mail) => status(5, 1, 8),
        (500..=502 | 504, _) => status(5, 5, 0),
        (555, _) => status(5, 5, 4),
        _ if text.says(RELAY) => status(5, 7, 1),
        (_, Stage::Rcpt | Stage::EndOfData | Stage::Data) if text.says(UNKNOWN_USER) => status(5, 1, 1),
        (551 | 553, Stage::Rcpt) => status(5, 1, 1),
        _ => status(5, 0, 0),
    }
}

/// What a refusal is about. The words win over the number where receivers are known to use one number for everything.
fn scope_of_refusal(stage: Stage, status: EnhancedStatus, text: &Text) -> Scope {
    match (status.subject, status.detail) {
        // Authentication of the sender: SPF, DKIM, DMARC, reverse DNS.
        (7, 20..=27 | 509 | 515) | (1, 7 | 8) => Scope::Us,
        (7, 28 | 511 | 606) => Scope::Site,
        (1 | 2, _) => Scope::Recipient,
        (3, 4) | (6, _) => Scope::Message,
        // Microsoft's directory-based blocking says 5.4.1 for an unknown user, Exchange 5.7.1xx for who may not write to a list.
        (4, 1) | (7, 100..=199) if stage == Stage::Rcpt => Scope::Recipient,
        _ if text.says(RELAY) && stage == Stage::Rcpt => Scope::Recipient,
        _ if text.says(UNKNOWN_USER) && stage != Stage::Mail => Scope::Recipient,
        _ if text.says(SENDER_PROOF) => Scope::Us,
        _ if text.says(BLOCKED) && !(stage == Stage::EndOfData && text.says(CONTENT)) => Scope::Site,
        (_, _) if stage == Stage::Rcpt => Scope::Recipient,
        _ => Scope::Message,
    }
}

const GREYLIST: &[&str] = &["greylist", "graylist", "grey-list", "gray-list", "grey list"];
const THROTTLE: &[&str] = &[
    "rate limit",
    "ratelimit",
    "rate-limit",
    "too many connections",
    "too many messages",
    "too many emails",
    "too much mail",
    "unusual rate",
    "throttl",
    "unexpected volume",
    "temporarily deferred",
    "temporarily rate",
    "try again later, closing",
    "exceeded the maximum number of connections",
    "sending limit",
    "message rate",
];
const UNKNOWN_USER: &[&str] = &[
    "user unknown",
    "unknown user",
    "no such user",
    "no such recipient",
    "no such mailbox",
    "does not exist",
    "doesn't exist",
    "doesn't have a",
    "unknown recipient",
    "recipient unknown",
    "recipient not found",
    "recipientnotfound",
    "user not found",
    "invalid recipient",
    "invalid mailbox",
    "mailbox unavailable",
    "mailbox not found",
    "unrouteable address",
    "unroutable address",
    "unknown local",
    "not a known user",
    "no mailbox here",
    "account is disabled",
    "account has been disabled",
    "mailbox is disabled",
    "address rejected: user",
    "unknown in virtual",
    "unknown in local",
];
const BLOCKED: &[&str] = &[
    "block list",
    "blocklist",
    "blacklist",
    "black list",
    "blocked",
    "spamhaus",
    "barracuda",
    "spamcop",
    "dnsbl",
    " rbl",
    "reputation",
    "banned",
    "abusive",
    "client host",
    "poor ip",
    "unsolicited",
    "spam",
];
const CONTENT: &[&str] = &["content", "message", "virus", "attachment", "body"];
const SENDER_PROOF: &[&str] = &["spf", "dkim", "dmarc", "unauthenticated", "reverse dns", "ptr record", "rdns"];
const RELAY: &[&str] =
    &["relay access denied", "relaying denied", "relay not permitted", "not permitted to relay", "unable to relay", "relay denied"];
const FULL: &[&str] = &["full", "quota", "storage", "out of space", "over limit"];
const SIZE: &[&str] = &["size", "too large", "too big"];

/// A reply's text in lower case on one line, as texts differ in both.
struct Text(String);

impl Text {
    fn of(reply: &Reply) -> Self {
        Self(reply.text.replace('\n', " ").to_ascii_lowercase())
    }

    fn says(&self, any_of: &[&str]) -> bool {
        any_of.iter().any(|words| self.0.contains(words))
    }
}

const fn status(class: u8, subject: u16, detail: u16) -> EnhancedStatus {
    EnhancedStatus::new(class, subject, detail)
}

const fn deferred(scope: Scope, enhanced_status: EnhancedStatus) -> Verdict {
    Verdict { outcome: Outcome::Deferred, scope, enhanced_status, outcome_unknown: false, min_wait: None }
}

const fn bounced(scope: Scope, enhanced_status: EnhancedStatus) -> Verdict {
    Verdict { outcome: Outcome::Bounced, scope, enhanced_status, outcome_unknown: false, min_wait: None }
}

#[cfg(test)]
mod tests;
