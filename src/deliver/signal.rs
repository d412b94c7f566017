//! What the end of an attempt says about how much a site wants to be sent.
//!
//! Answers: from an ending that was judged to a [`Signal`], if it is one. Greylisting, unknown users and what else is about one message
//! or recipient are none. Pure.

use super::attempt::Ending;
use super::throttle::Signal;
use super::verdict::AtLeast;
use crate::model::EnhancedStatus;
use crate::model::outcome::{Outcome, Scope, Stage};

/// What a reply says that means sessions and not messages.
const SESSIONS: &[&str] = &[
    "too many connections",
    "too many concurrent",
    "too many sessions",
    "too many simultaneous",
    "connection limit",
    "connections limit",
    "maximum number of connections",
    "concurrent connections",
    "concurrency limit",
    "connection rate",
];
/// What a reply says that refuses the way over IPv6 and not the sender.
const IPV6: &[&str] = &["ipv6", "ip version 6"];

/// What an ending says about how much the site wants.
#[must_use]
pub fn of(ending: &Ending) -> Option<Signal> {
    let verdict = &ending.verdict;
    if matches!(ending.stage, Stage::Sign | Stage::Dns | Stage::Connect) {
        return None;
    }
    if is_unusual(verdict.enhanced_status) && verdict.min_wait == Some(AtLeast::Throttled) {
        return Some(Signal::Unusual);
    }
    match (verdict.outcome, verdict.min_wait, verdict.scope) {
        (Outcome::Deferred, Some(AtLeast::Throttled), _) if says(ending, SESSIONS) => Some(Signal::TooManySessions),
        (Outcome::Deferred, Some(AtLeast::Throttled), _) | (Outcome::Deferred, None, Scope::Site) => Some(Signal::TooFast),
        (Outcome::Bounced, _, Scope::Site) => Some(Signal::Blocked),
        // 421, a time-out, a lost connection. What is judged to be about the host but was said in an orderly way (452 4.3.1) is its own.
        (Outcome::Deferred, _, Scope::Host) if !is_reply(ending) || ending.reply.starts_with("421") => Some(Signal::Strained),
        _ => None,
    }
}

/// True if the reply refuses IPv6, as large receivers do where the address has no name in the DNS.
#[must_use]
pub fn refuses_ipv6(ending: &Ending) -> bool {
    ending.verdict.outcome != Outcome::Delivered && is_reply(ending) && says(ending, IPV6)
}

/// The one of two signals that asks for more.
#[must_use]
pub fn graver(one: Option<Signal>, other: Option<Signal>) -> Option<Signal> {
    let weight = |signal: &Signal| match signal {
        Signal::Strained => 0,
        Signal::TooManySessions => 1,
        Signal::TooFast => 2,
        Signal::Blocked => 3,
        Signal::Unusual => 4,
    };
    one.into_iter().chain(other).max_by_key(weight)
}

const fn is_unusual(status: EnhancedStatus) -> bool {
    status.subject == 7 && status.detail == 28
}

fn is_reply(ending: &Ending) -> bool {
    ending.reply.get(..3).is_some_and(|code| code.bytes().all(|octet| octet.is_ascii_digit()))
}

fn says(ending: &Ending, any_of: &[&str]) -> bool {
    let text = ending.reply.to_ascii_lowercase();
    any_of.iter().any(|words| text.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliver::class::Rules;
    use crate::deliver::verdict;
    use crate::model::Reply;
    use crate::smtp::client::{End, Fault};

    fn of_reply(stage: Stage, code: u16, text: &str) -> Ending {
        let end = End::Reply(Reply::new(code, text));
        Ending { stage, reply: end.to_string(), verdict: verdict::verdict(&Rules::built_in(), stage, &end, None) }
    }

    #[test]
    fn a_reply_that_asks_for_less_is_told_from_one_about_a_message() {
        for (stage, code, text, expected) in [
            (Stage::Mail, 421, "4.7.28 Our system has detected an unusual rate of unsolicited mail", Some(Signal::Unusual)),
            (Stage::EndOfData, 450, "4.7.28 unusual rate", Some(Signal::Unusual)),
            (Stage::Greeting, 421, "4.7.0 too many connections from your host", Some(Signal::TooManySessions)),
            (Stage::Mail, 452, "4.3.2 Connection rate limit exceeded", Some(Signal::TooManySessions)),
            (Stage::Mail, 451, "4.7.500 Server busy", Some(Signal::TooFast)),
            (Stage::Rcpt, 450, "4.7.1 too many messages, slow down", Some(Signal::TooFast)),
            (Stage::EndOfData, 450, "4.7.0 policy says not now", Some(Signal::TooFast)),
            (Stage::Mail, 550, "5.7.1 your address is on our block list", Some(Signal::Blocked)),
            (Stage::Mail, 421, "4.3.2 shutting down", Some(Signal::Strained)),
            (Stage::Rcpt, 450, "4.7.1 greylisted, come back", None),
            (Stage::Rcpt, 450, "4.2.1 mailbox busy", None),
            (Stage::Rcpt, 550, "5.1.1 no such user", None),
            (Stage::EndOfData, 554, "5.7.1 message content refused", None),
            (Stage::EndOfData, 452, "4.3.1 out of storage", None),
            (Stage::EndOfData, 250, "2.0.0 taken", None),
        ] {
            assert_eq!(of(&of_reply(stage, code, text)), expected, "{code} {text}");
        }
    }

    #[test]
    fn a_session_that_breaks_off_is_a_strain_and_a_host_that_is_away_is_none() {
        let of_fault = |stage, fault| {
            let end = End::Fault(fault);
            of(&Ending { stage, reply: end.to_string(), verdict: verdict::verdict(&Rules::built_in(), stage, &end, None) })
        };
        assert_eq!(of_fault(Stage::Rcpt, Fault::Disconnected), Some(Signal::Strained));
        assert_eq!(of_fault(Stage::Data, Fault::TimedOut(std::time::Duration::from_secs(1))), Some(Signal::Strained));
        assert_eq!(of_fault(Stage::Connect, Fault::Disconnected), None);
        assert_eq!(of_fault(Stage::Mail, Fault::SizeExceeded { limit: 1 }), None);
    }

    #[test]
    fn the_gravest_of_several_counts() {
        assert_eq!(graver(Some(Signal::Strained), Some(Signal::TooFast)), Some(Signal::TooFast));
        assert_eq!(graver(None, Some(Signal::Strained)), Some(Signal::Strained));
        assert_eq!(graver(None, None), None);
    }

    #[test]
    fn a_refusal_of_ipv6_is_known_by_its_words() {
        assert!(refuses_ipv6(&of_reply(Stage::EndOfData, 550, "5.7.1 does not meet IPv6 sending guidelines regarding PTR records")));
        assert!(!refuses_ipv6(&of_reply(Stage::EndOfData, 550, "5.7.1 blocked")));
        assert!(!refuses_ipv6(&of_reply(Stage::EndOfData, 250, "2.0.0 taken over ipv6")));
    }
}
