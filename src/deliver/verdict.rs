//! What the end of an attempt means for a delivery: the one place that says delivered, deferred or bounced (invariant 7).
//!
//! Answers: outcome, whose fault it is, the status (RFC 3463) and whether the outcome is unknown, for every reply and fault there is.
//! Does not: count attempts or expire (the outbox does), choose the next host or throttle (the engine does, by the scope).
//!
//! The first digit of a reply decides (RFC 5321 4.2.1) but for three cases, in which a 5yz is about the session and not about the
//! message: 503, 530 and 535 are tried again. What the texts of receivers mean is said by the rules of `class`, and by nobody else;
//! from the class follows what a refusal is about: an unknown user is about the recipient, a block list is not.

use super::class::{self, Finding, Rules, Wait};
use super::tls_policy::PolicyFault;
use crate::model::outcome::{Outcome, Scope, Stage};
use crate::model::{BounceClass, EnhancedStatus, Reply};
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
    /// Why it failed; none if it did not.
    pub class: Option<BounceClass>,
    /// The server's status, or ours where it gave none.
    pub enhanced_status: EnhancedStatus,
    /// The message may have been taken: do not try another host, and record it before it is sent again (invariant 6).
    pub outcome_unknown: bool,
    /// Why the next attempt must not come sooner than the schedule's plan, if there is a reason.
    pub min_wait: Option<AtLeast>,
}

impl Verdict {
    const fn because(self, class: BounceClass) -> Self {
        Self { class: Some(class), ..self }
    }

    /// The same, said once of several recipients: one of them may have no mailbox, and nobody knows which, so it condemns none.
    #[must_use]
    pub fn of_several(self) -> Self {
        if self.class.is_some_and(BounceClass::condemns_address) { self.because(BounceClass::Other) } else { self }
    }
}

/// Judges the end of an attempt that got as far as `stage` with `host`, the MX host's name if there was one.
#[must_use]
pub fn verdict<'a>(rules: &Rules, stage: Stage, ending: impl Into<Ending<'a>>, host: Option<&str>) -> Verdict {
    match ending.into() {
        Ending::Reply(reply) if stage == Stage::Auth => of_auth(reply).because(BounceClass::Other),
        Ending::Reply(reply) => of_reply(stage, reply, class::classify(rules, stage, reply, host)),
        Ending::Fault(fault) => of_fault(stage, fault).because(class::of_fault(fault)),
        Ending::NotTried(reply) => deferred(Scope::Host, reply.enhanced.unwrap_or(status(4, 5, 3))).because(BounceClass::Rate),
        Ending::Dial(error) => of_dial(error).because(class::of_dial(error)),
        Ending::Unsigned => deferred(Scope::Us, status(4, 3, 5)),
        Ending::Mx(error) => of_mx(error).because(class::of_mx(error)),
        Ending::Tls(fault) => of_policy(fault).because(BounceClass::Tls),
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

const fn of_dial(error: &DialError) -> Verdict {
    match error {
        DialError::Source { .. } | DialError::Proxy { .. } | DialError::Resources(_) => deferred(Scope::Us, status(4, 3, 5)),
        DialError::Refused | DialError::TimedOut(_) | DialError::Unreachable(_) => deferred(Scope::Host, status(4, 4, 1)),
    }
}

const fn of_policy(fault: &PolicyFault) -> Verdict {
    match fault {
        PolicyFault::RequireTls(_) => bounced(Scope::Host, status(5, 7, 10)),
        PolicyFault::RequireTlsMissing => bounced(Scope::Host, status(5, 7, 30)),
        _ => deferred(Scope::Host, status(4, 7, 5)),
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
    let verdict = deferred(Scope::Host, status).because(BounceClass::Network);
    match stage {
        Stage::EndOfData => Verdict { scope: Scope::Message, outcome_unknown: true, min_wait: Some(AtLeast::Unknown), ..verdict },
        _ => verdict,
    }
}

fn of_reply(stage: Stage, reply: &Reply, finding: Finding<'_>) -> Verdict {
    match (reply.code / 100, stage) {
        (2, Stage::EndOfData) => Verdict {
            outcome: Outcome::Delivered,
            scope: Scope::Recipient,
            class: None,
            enhanced_status: reply.enhanced.unwrap_or(status(2, 0, 0)),
            outcome_unknown: false,
            min_wait: None,
        },
        (4, _) => of_transient(stage, reply, finding).because(finding.class),
        (5, _) => of_permanent(stage, reply, finding).because(finding.class),
        // A positive reply that ends an attempt before its end.
        _ => lost(stage, status(4, 5, 0)),
    }
}

fn of_transient(stage: Stage, reply: &Reply, finding: Finding<'_>) -> Verdict {
    let given = class::status_of(reply);
    match finding.wait {
        Some(Wait::Greylist) if !matches!(stage, Stage::Greeting | Stage::Ehlo | Stage::Tls) => {
            return Verdict { min_wait: Some(AtLeast::Greylisted), ..deferred(Scope::Recipient, given.unwrap_or(status(4, 7, 1))) };
        }
        Some(Wait::Throttle) => {
            return Verdict { min_wait: Some(AtLeast::Throttled), ..deferred(Scope::Site, given.unwrap_or(status(4, 7, 0))) };
        }
        _ => {}
    }
    if reply.code == 421 || matches!(stage, Stage::Greeting | Stage::Ehlo | Stage::Tls) {
        let scope = if given.is_some_and(|status| status.subject == 7) && reply.code == 421 { Scope::Site } else { Scope::Host };
        return deferred(finding.scope.unwrap_or(scope), given.unwrap_or(status(4, 3, 2)));
    }
    let enhanced_status = given.unwrap_or_else(|| match reply.code {
        452 if stage == Stage::Rcpt && finding.class == BounceClass::Full => status(4, 2, 2),
        452 => status(4, 3, 1),
        450 if stage == Stage::Rcpt => status(4, 2, 0),
        454 => status(4, 7, 0),
        _ => status(4, 3, 0),
    });
    let scope = match (enhanced_status.subject, stage) {
        (7, _) => Scope::Site,
        (3..=5, _) if given.is_some() || reply.code == 452 => Scope::Host,
        (1 | 2, _) | (_, Stage::Rcpt) => Scope::Recipient,
        _ => Scope::Message,
    };
    deferred(finding.scope.unwrap_or(scope), enhanced_status)
}

fn of_permanent(stage: Stage, reply: &Reply, finding: Finding<'_>) -> Verdict {
    let given = class::status_of(reply);
    match reply.code {
        // Out of step with this server; a new session puts it right.
        503 if finding.class != BounceClass::BadMailbox => return deferred(Scope::Host, given.unwrap_or(status(4, 5, 0))),
        // It wants TLS or a password from us, which is for our operator to see to.
        530 | 535 => return deferred(Scope::Us, given.unwrap_or(status(4, 7, 0))),
        // RFC 7504: takes no mail, this host or this domain.
        521 if matches!(stage, Stage::Greeting | Stage::Ehlo) => return bounced(Scope::Host, given.unwrap_or(status(5, 3, 2))),
        521 | 556 => return bounced(Scope::Site, given.unwrap_or(status(5, 1, 10))),
        _ => {}
    }
    match stage {
        Stage::Greeting | Stage::Ehlo => bounced(Scope::Host, given.unwrap_or(status(5, 3, 2))),
        Stage::Tls => deferred(Scope::Host, given.unwrap_or(status(4, 7, 5))),
        _ => {
            let enhanced_status = given.unwrap_or_else(|| guess(stage, reply, finding.class));
            bounced(finding.scope.unwrap_or_else(|| scope_of_refusal(stage, finding.class)), enhanced_status)
        }
    }
}

/// The status (RFC 3463) of a refusal that gives none.
const fn guess(stage: Stage, reply: &Reply, class: BounceClass) -> EnhancedStatus {
    match class {
        BounceClass::BadMailbox => status(5, 1, 1),
        BounceClass::BadDomain => status(5, 1, 2),
        BounceClass::Inactive => status(5, 2, 1),
        BounceClass::Full => status(5, 2, 2),
        BounceClass::Size => status(5, 3, 4),
        BounceClass::Relay | BounceClass::Reputation => status(5, 7, 1),
        BounceClass::Content => status(5, 6, 0),
        BounceClass::Authentication if matches!(stage, Stage::Mail) => status(5, 1, 8),
        BounceClass::Authentication | BounceClass::Policy | BounceClass::Rate => status(5, 7, 0),
        BounceClass::Tls => status(5, 7, 10),
        BounceClass::Network | BounceClass::Other => match (reply.code, stage) {
            (553, Stage::Mail) => status(5, 1, 8),
            (500..=502 | 504, _) => status(5, 5, 0),
            (555, _) => status(5, 5, 4),
            _ => status(5, 0, 0),
        },
    }
}

/// What a refusal is about, where the rule does not say.
const fn scope_of_refusal(stage: Stage, class: BounceClass) -> Scope {
    match (class, stage) {
        (BounceClass::Authentication, _) => Scope::Us,
        (BounceClass::Reputation | BounceClass::Rate, _) => Scope::Site,
        // What MAIL is refused for has no recipient yet.
        (BounceClass::Size | BounceClass::Content, _) | (_, Stage::Mail) => Scope::Message,
        (BounceClass::BadMailbox | BounceClass::BadDomain | BounceClass::Inactive | BounceClass::Full, _) | (_, Stage::Rcpt) => Scope::Recipient,
        _ => Scope::Message,
    }
}

const fn status(class: u8, subject: u16, detail: u16) -> EnhancedStatus {
    EnhancedStatus::new(class, subject, detail)
}

const fn deferred(scope: Scope, enhanced_status: EnhancedStatus) -> Verdict {
    Verdict { outcome: Outcome::Deferred, scope, class: Some(BounceClass::Other), enhanced_status, outcome_unknown: false, min_wait: None }
}

const fn bounced(scope: Scope, enhanced_status: EnhancedStatus) -> Verdict {
    Verdict { outcome: Outcome::Bounced, ..deferred(scope, enhanced_status) }
}

#[cfg(test)]
mod tests;
