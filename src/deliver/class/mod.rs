//! The class of a failure: what receivers mean by what they say.
//!
//! Answers: from code, enhanced status, text, stage and provider (the MX host's name) to one class, and whether the receiver wants us
//! to wait. Pure. The knowledge is data: `rules.toml`, which an operator extends or replaces (`delivery.bounce_rules`); `verdict`
//! reads the same rules for what a failure is about.
//! Does not: say delivered, deferred or bounced; `verdict` does, by the first digit (RFC 5321 4.2.1). Say whether a site that wants less wants fewer
//! sessions, or refuses IPv6: beside the one thing that a rule decides, `signal` looks for these few words in whatever was judged.

mod pattern;
pub mod rules;

#[cfg(test)]
mod tests;

use crate::model::outcome::{Scope, Stage};
use crate::model::{BounceClass, EnhancedStatus, Reply};
use crate::net::dial::DialError;
use crate::net::mx::MxError;
use crate::smtp::client::Fault;

pub use rules::{Rules, RulesError};

/// Why the receiver wants us to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wait {
    /// It wants less mail of ours.
    Throttle,
    /// It takes this message a little later.
    Greylist,
}

/// What the rules say about a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding<'r> {
    /// The class.
    pub class: BounceClass,
    /// What the failure is about, where the rule says so.
    pub scope: Option<Scope>,
    /// Whether to wait.
    pub wait: Option<Wait>,
    /// The name of the rule that decided; none: no rule did.
    pub rule: Option<&'r str>,
}

/// Finds the class of a reply that ended an attempt at `stage`; `host` is the MX host that gave it.
#[must_use]
pub fn classify<'r>(rules: &'r Rules, stage: Stage, reply: &Reply, host: Option<&str>) -> Finding<'r> {
    let host = host.map(|host| host.trim_end_matches('.').to_ascii_lowercase());
    let told = Told { stage, code: reply.code, status: status_of(reply), text: words_of(&reply.text), host };
    match rules.first(&told) {
        Some(rule) => Finding { class: class_at(stage, rule.class), scope: rule.scope, wait: rule.wait, rule: Some(&rule.name) },
        None => Finding { class: BounceClass::Other, scope: None, wait: None, rule: None },
    }
}

/// What is said before a recipient was named is about us: at MAIL, the address that does not exist is the sender's. Held here and not in each
/// rule, an operator's included, as it keeps recipients from being suppressed who were never asked for.
const fn class_at(stage: Stage, class: BounceClass) -> BounceClass {
    match stage {
        Stage::Rcpt | Stage::Data | Stage::Body | Stage::EndOfData => class,
        Stage::Mail if class.condemns_address() => BounceClass::Authentication,
        _ if class.condemns_address() => BounceClass::Other,
        _ => class,
    }
}

/// The class of a connection or command that failed without a reply.
#[must_use]
pub const fn of_fault(fault: &Fault) -> BounceClass {
    match fault {
        Fault::SizeExceeded { .. } => BounceClass::Size,
        Fault::Smtputf8Missing | Fault::EightBitMissing => BounceClass::Content,
        Fault::Tls(_) | Fault::TlsNotOffered | Fault::RequireTlsMissing => BounceClass::Tls,
        Fault::Protocol(_) | Fault::TimedOut(_) | Fault::Disconnected | Fault::Io(_) => BounceClass::Network,
        Fault::Auth(_) => BounceClass::Other,
    }
}

/// The class of a connection that was not made.
#[must_use]
pub const fn of_dial(error: &DialError) -> BounceClass {
    match error {
        DialError::Source { .. } | DialError::Proxy { .. } | DialError::Resources(_) => BounceClass::Other,
        _ => BounceClass::Network,
    }
}

/// The class of a domain without a way to it.
#[must_use]
pub const fn of_mx(error: &MxError) -> BounceClass {
    match error {
        MxError::NoSuchDomain | MxError::Doubtful | MxError::NullMx | MxError::NoUsableHost | MxError::LoopsBack => BounceClass::BadDomain,
        MxError::Temporary(_) => BounceClass::Network,
    }
}

/// The status of a reply: at its start, or as some servers write it, `(#5.1.1)` further on. None whose class is not the code's.
#[must_use]
pub fn status_of(reply: &Reply) -> Option<EnhancedStatus> {
    let marked = || reply.text.split([' ', '\n', '(', ')']).find_map(|word| word.strip_prefix('#')?.parse::<EnhancedStatus>().ok());
    reply.enhanced.or_else(marked).filter(|status| u16::from(status.class) == reply.code / 100)
}

/// A reply as the rules see it.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) stage: Stage,
    pub(crate) code: u16,
    pub(crate) status: Option<EnhancedStatus>,
    /// See [`words_of`].
    pub(crate) text: String,
    pub(crate) host: Option<String>,
}

/// The text on one line, in lower case, with single blanks between its words and one at either end; without the addresses, which
/// could hold any word, and without status codes, which large receivers repeat on each line.
fn words_of(text: &str) -> String {
    let mut words = String::with_capacity(text.len() + 2);
    words.push(' ');
    for word in text.split_whitespace() {
        if !word.contains('@') && word.parse::<EnhancedStatus>().is_err() {
            words.push_str(&word.to_ascii_lowercase());
            words.push(' ');
        }
    }
    words
}
