//! What a delivery report means: class, and whether it says for good that mail never arrives there.
//!
//! Answers: by the same rules that judge replies (`deliver::class`), since a report quotes a reply. Pure.
//! Does not: suppress anybody; `consumers::suppress` does, by the event.

use crate::deliver::class::{self, Rules};
use crate::mail::report::{Action, RecipientReport};
use crate::model::outcome::Stage;
use crate::model::{BounceClass, EnhancedStatus, Reply};

/// What a failure or delay means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// Why.
    pub class: BounceClass,
    /// True if address or domain do not exist: another message would fare no better. A host that says so only after it saw the content may
    /// mean the content, as filters of some carriers do, so this is not sure enough; nor is a DNS that may answer tomorrow.
    pub hard: bool,
}

/// The meaning of what is reported about one recipient; none if mail arrived.
#[must_use]
pub fn meaning(rules: &Rules, report: &RecipientReport) -> Option<Meaning> {
    if !matches!(report.action, Action::Failed | Action::Delayed) {
        return None;
    }
    let stage = report.stage.unwrap_or_else(|| guess(report));
    let host = report.remote_mta.clone().filter(|host| host.contains(|character: char| character.is_ascii_alphabetic()));
    let host = host.unwrap_or_else(|| report.recipient.domain().to_string());
    let of = |words: &str| class::classify(rules, stage, &reply(report, words), Some(&host));
    let said = of(&report.reply);
    // The remote host's own words first: what its peer adds may be advice.
    let class =
        if report.reply.is_empty() || said.rule.is_none() || said.class == BounceClass::Other { of(&report.diagnostic).class } else { said.class };
    Some(Meaning { class, hard: report.action == Action::Failed && is_sure(class, stage, report) })
}

/// The reply that the report quotes, or one that says the same.
fn reply(report: &RecipientReport, words: &str) -> Reply {
    let by_status = report.status.map(|status| u16::from(status.class) * 100 + 50);
    let by_action = if report.action == Action::Delayed { 450 } else { 550 };
    let code = report.code.filter(|code| *code >= 400).or(by_status.filter(|code| *code >= 400)).unwrap_or(by_action);
    let enhanced = report.status.filter(|status| u16::from(status.class) == code / 100);
    Reply { code, enhanced, text: words.to_owned() }
}

/// How far the session got, where nothing tells: what is about the recipient is said to RCPT by most hosts.
fn guess(report: &RecipientReport) -> Stage {
    let about_recipient =
        report.status.is_some_and(|status| matches!(status.subject, 1 | 2)) || report.diagnostic.contains(&report.recipient.to_string());
    if about_recipient { Stage::Rcpt } else { Stage::EndOfData }
}

fn is_sure(class: BounceClass, stage: Stage, report: &RecipientReport) -> bool {
    match class {
        BounceClass::BadMailbox if report.status.is_some_and(names_mailbox) => true,
        BounceClass::BadMailbox => (stage != Stage::EndOfData || is_plain(report)) && !is_contradicted(report),
        BounceClass::BadDomain => report.status.is_none_or(|status| status.class != 4),
        _ => false,
    }
}

/// Words of hosts that look for the user only after the content, and mean what they say.
const PLAIN: &[&str] = &["this user doesn't have a"];

fn is_plain(report: &RecipientReport) -> bool {
    let low = report.diagnostic.to_lowercase();
    PLAIN.iter().any(|words| low.contains(words))
}

/// True if the host says with the same breath that it is a matter of policy, or in words that stand for half a dozen reasons (RFC 5321 4.2.3).
fn is_contradicted(report: &RecipientReport) -> bool {
    let of_policy = report.status.is_some_and(|status| status.subject == 7 && report.reply.contains(&status.to_string()));
    let low = report.reply.to_lowercase();
    of_policy || (low.contains("mailbox unavailable") && !low.contains("(s2017062302)") && !low.contains("unknown"))
}

/// True of a status that says that there is no such mailbox (RFC 3463 3.2).
const fn names_mailbox(status: EnhancedStatus) -> bool {
    status.subject == 1 && matches!(status.detail, 1 | 3 | 6 | 10)
}
