//! DKIM: the keys in DNS, and a signature made and verified with the DNS as it is (RFC 6376).

use std::time::Duration;

use super::context::{Context, Subject, publish};
use super::finding::{Level, Outcome};
use super::{Check, Look, Looked};
use crate::domains::{DkimKeyView, DnsRecord, KeyState, RecordPurpose, RecordState};
use crate::mail::compose::date_time;
use crate::mail::dkim::{self, Algorithm};

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "K1",
        title: "the public key stands in DNS",
        level: Level::Fail,
        expected: "one TXT record with the key",
        source: "https://www.rfc-editor.org/rfc/rfc6376#section-3.6.1",
        look: Look::Domain(|_, subject| Box::pin(async { Ok(published(subject)) })),
    },
    Check {
        id: "K2",
        title: "the keys are strong, and known to all",
        level: Level::Fail,
        expected: "an RSA key of 2048 bits or more for SHA-256; Ed25519 beside it only",
        source: "https://www.rfc-editor.org/rfc/rfc8301#section-3.2",
        look: Look::Domain(|_, subject| Box::pin(async { Ok(strength(subject)) })),
    },
    Check {
        id: "K3",
        title: "signatures are aligned with From",
        level: Level::Fail,
        expected: "d= is the domain in From",
        source: "https://www.rfc-editor.org/rfc/rfc9989#section-4.4",
        look: Look::Domain(|_, subject| Box::pin(async { Ok(alignment(subject)) })),
    },
    Check {
        id: "K4",
        title: "the keys are in earnest and not too old",
        level: Level::Warn,
        expected: "no t=y in the record; keys younger than a year",
        source: "https://www.rfc-editor.org/rfc/rfc6376#section-3.6.1",
        look: Look::Domain(|context, subject| Box::pin(async { Ok(age(context, subject)) })),
    },
    Check {
        id: "K5",
        title: "a signed message verifies",
        level: Level::Fail,
        expected: "every signature verifies with the DNS as it is, and covers From (twice), To, Subject, Date, Message-ID, the MIME and List fields",
        source: "https://www.rfc-editor.org/rfc/rfc6376#section-5.4",
        look: Look::Domain(|context, subject| Box::pin(round_trip(context, subject))),
    },
];

const OLD: Duration = Duration::from_hours(24 * 365);
/// Bits of an RSA key that is strong, and that receivers still accept.
const STRONG_BITS: usize = 2048;
const LEAST_BITS: usize = 1024;
/// What a signature has to cover; From once more than it is there.
const COVERED: [&str; 10] =
    ["from", "to", "subject", "date", "message-id", "mime-version", "content-type", "list-unsubscribe", "list-unsubscribe-post", "feedback-id"];

fn record_of<'s>(subject: &'s Subject, key: &DkimKeyView) -> Option<&'s DnsRecord> {
    subject.records(RecordPurpose::Dkim).find(|record| record.name.split('.').next() == Some(key.selector.as_str()))
}

fn published(subject: &Subject) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for key in &subject.keys {
        let Some(record) = record_of(subject, key) else { continue };
        // Mail is signed by RSA at least; the others are signed with once they stand.
        let level = if key.state == KeyState::Active && key.algorithm == Algorithm::Rsa2048 { Level::Fail } else { Level::Warn };
        let leads = subject.records(RecordPurpose::DkimDelegation).find(|leads| leads.name.split('.').next() == Some(key.selector.as_str()));
        // What leads to a key counts as much as the key.
        let record = leads.filter(|leads| leads.state != RecordState::Ok).unwrap_or(record);
        let outcome = match record.state {
            RecordState::Ok => Outcome::good(format!("the {} key", key.state.as_str())),
            RecordState::Unknown => Outcome::unknown("the DNS gave no answer"),
            RecordState::Missing => Outcome::bad("nothing", publish(record)).at(level),
            RecordState::Wrong => Outcome::bad(record.found.as_deref().unwrap_or("something else"), publish(record)).at(level),
        };
        outcomes.push(outcome.about(&record.name).expecting(&record.value));
    }
    if outcomes.is_empty() {
        outcomes.push(Outcome::bad("the domain has no key", format!("pennypost domain rotate-dkim {}", subject.name)));
    }
    outcomes
}

fn strength(subject: &Subject) -> Vec<Outcome> {
    let active: Vec<&DkimKeyView> = subject.keys.iter().filter(|key| key.state == KeyState::Active).collect();
    let rotate = format!("pennypost domain rotate-dkim {}", subject.name);
    if !active.iter().any(|key| key.algorithm == Algorithm::Rsa2048) {
        return vec![Outcome::bad("no RSA key signs, and most receivers know no other", rotate)];
    }
    let of = |key: &&DkimKeyView| {
        let outcome = match key.bits {
            Some(bits) if bits < LEAST_BITS => Outcome::bad(format!("RSA of {bits} bits, which receivers ignore"), &rotate),
            Some(bits) if bits < STRONG_BITS => Outcome::bad(format!("RSA of {bits} bits"), &rotate).at(Level::Warn),
            Some(bits) => Outcome::good(format!("RSA of {bits} bits")),
            None => Outcome::good("Ed25519, beside RSA"),
        };
        outcome.about(&key.selector)
    };
    active.iter().map(of).collect()
}

/// A signature is made with the key of the From domain alone, so it is aligned in the strict sense whatever DMARC asks for.
fn alignment(subject: &Subject) -> Vec<Outcome> {
    match &subject.signers {
        Ok(_) => vec![Outcome::good(format!("d={}", subject.name))],
        Err(why) => vec![Outcome::bad(why, format!("pennypost domain rotate-dkim {}", subject.name))],
    }
}

fn age(context: &Context, subject: &Subject) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for key in subject.keys.iter().filter(|key| key.state == KeyState::Active) {
        let Some(record) = record_of(subject, key) else { continue };
        let standing = record.found.as_deref().unwrap_or(&record.value);
        let days = (context.clock.now() - key.created_at).whole_days();
        let is_test = standing
            .split(';')
            .any(|tag| tag.split_once('=').is_some_and(|(name, value)| name.trim() == "t" && value.split(':').any(|flag| flag.trim() == "y")));
        outcomes.push(
            if record.state != RecordState::Ok {
                Outcome::skipped("its record does not stand (K1)")
            } else if is_test {
                Outcome::bad("t=y: receivers treat the mail as unsigned", publish(record))
            } else if context.clock.now() - key.created_at > OLD {
                Outcome::bad(format!("{days} days old"), format!("pennypost domain rotate-dkim {}", subject.name))
            } else {
                Outcome::good(format!("{days} days old"))
            }
            .about(&key.selector),
        );
    }
    if outcomes.is_empty() {
        outcomes.push(Outcome::skipped("no key signs (K2)"));
    }
    outcomes
}

/// A message with every field that a signature should cover.
fn sample(context: &Context, subject: &Subject) -> Vec<u8> {
    let (domain, id) = (&subject.name, context.clock.uuid().simple());
    format!(
        "From: postmaster@{domain}\r\nTo: postmaster@{domain}\r\nSubject: A look at the signature\r\nDate: {}\r\nMessage-ID: <{id}@{domain}>\r\n\
         MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\nList-Unsubscribe: <https://{domain}/u>\r\n\
         List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\nFeedback-ID: look:{domain}\r\n\r\nNobody gets this message.\r\n",
        date_time(context.clock.now())
    )
    .into_bytes()
}

async fn round_trip(context: &Context, subject: &Subject) -> Looked {
    let signers = match &subject.signers {
        Ok(signers) => signers,
        Err(why) => return Ok(vec![Outcome::bad(why, format!("pennypost domain rotate-dkim {}", subject.name))]),
    };
    let message = sample(context, subject);
    let fields = dkim::sign_all(signers, &message, context.clock.now()).map_err(|error| error.to_string())?;
    let missing = uncovered(&String::from_utf8_lossy(&fields));
    let mut outcomes = Vec::new();
    for signature in context.authenticator.dkim(&[fields.as_slice(), &message].concat()).await {
        let record = subject.records(RecordPurpose::Dkim).find(|record| record.name.split('.').next() == Some(signature.selector.as_str()));
        let fix = record.map_or_else(|| format!("pennypost domain dns {}", subject.name), publish);
        let outcome = match (&signature.verdict, missing.first()) {
            (Err(why), _) => Outcome::bad(why, fix),
            (Ok(()), Some(field)) => Outcome::bad(format!("the signature does not cover {field}"), "report this as a fault of Pennypost"),
            (Ok(()), None) => Outcome::good("made and verified"),
        };
        outcomes.push(outcome.about(format!("{}._domainkey.{}", signature.selector, signature.domain)));
    }
    if outcomes.is_empty() {
        outcomes.push(Outcome::bad("nothing signs", format!("pennypost domain rotate-dkim {}", subject.name)));
    }
    Ok(outcomes)
}

/// What the signature fields do not name; From has to stand twice, so that no second one can be added.
fn uncovered(fields: &str) -> Vec<&'static str> {
    let mut missing = Vec::new();
    for field in fields.split("DKIM-Signature:").skip(1) {
        let unfolded: String = field.split_ascii_whitespace().collect();
        let names: Vec<String> =
            unfolded.split(';').find_map(|tag| tag.strip_prefix("h=")).unwrap_or_default().split(':').map(str::to_ascii_lowercase).collect();
        let count = |wanted: &str| names.iter().filter(|name| *name == wanted).count();
        missing.extend(COVERED.iter().filter(|wanted| count(wanted) == 0));
        if count("from") < 2 {
            missing.push("a second From");
        }
    }
    missing
}
