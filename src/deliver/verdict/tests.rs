//! What real replies mean: one row each, as large receivers and common servers word them.

use std::time::Duration;

use super::*;
use Scope::{Host, Message, Recipient, Site, Us};
use Stage::{Data, Ehlo, EndOfData, Greeting, Mail, Rcpt};

/// Stage, reply, then what it must mean: outcome (D, B or L for deliver, bounce, later), scope, status.
const REPLIES: &[(Stage, &str, char, Scope, &str)] = &[
    // Taken
    (EndOfData, "250 2.0.0 OK  1700000000 d2e1a72fcca58-6c4 - gsmtp", 'D', Recipient, "2.0.0"),
    (EndOfData, "250 2.6.0 <id@host> [InternalId=1] Queued mail for delivery", 'D', Recipient, "2.6.0"),
    (EndOfData, "250 ok dirdel", 'D', Recipient, "2.0.0"),
    // Unknown users
    (Rcpt, "550 5.1.1 The email account that you tried to reach does not exist. - gsmtp", 'B', Recipient, "5.1.1"),
    (Rcpt, "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup", 'B', Recipient, "5.1.10"),
    (Rcpt, "550 5.4.1 Recipient address rejected: Access denied. [AM1EUR]", 'B', Recipient, "5.4.1"),
    (Rcpt, "550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302).", 'B', Recipient, "5.5.0"),
    (EndOfData, "554 delivery error: dd This user doesn't have a yahoo.com account (x@yahoo.com) [0] - mta", 'B', Recipient, "5.1.1"),
    (EndOfData, "552 1 Requested mail action aborted, mailbox not found", 'B', Recipient, "5.1.1"),
    (Rcpt, "550 5.1.1 <x@icloud.com>: user does not exist", 'B', Recipient, "5.1.1"),
    (Rcpt, "550 5.1.1 <x@d.example>: Recipient address rejected: User unknown in local recipient table", 'B', Recipient, "5.1.1"),
    (Rcpt, "550 Unrouteable address", 'B', Recipient, "5.1.1"),
    (Rcpt, "550 Requested action not taken: mailbox unavailable", 'B', Recipient, "5.1.1"),
    (Rcpt, "553 sorry, that domain isn't in my list of allowed rcpthosts", 'B', Recipient, "5.7.1"),
    (Rcpt, "550 Rejected", 'B', Recipient, "5.0.0"),
    (Rcpt, "550 5.2.1 The email account that you tried to reach is inactive. - gsmtp", 'B', Recipient, "5.2.1"),
    (Rcpt, "556 5.1.10 Recipient address has null MX", 'B', Site, "5.1.10"),
    (Rcpt, "554 5.7.1 <x@d.example>: Relay access denied", 'B', Recipient, "5.7.1"),
    (Rcpt, "550 5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup; authentication required", 'B', Recipient, "5.7.133"),
    // Full mailboxes (R21)
    (Rcpt, "452 4.2.2 The email account that you tried to reach is over quota. - gsmtp", 'L', Recipient, "4.2.2"),
    (Rcpt, "552 5.2.2 The recipient's inbox is out of storage space. - gsmtp", 'B', Recipient, "5.2.2"),
    (Rcpt, "552 Requested mail action aborted: exceeded storage allocation", 'B', Recipient, "5.2.2"),
    (Rcpt, "452 mailbox full", 'L', Recipient, "4.2.2"),
    (EndOfData, "552 5.2.2 Mailbox full", 'B', Recipient, "5.2.2"),
    // Size (R23)
    (Mail, "552 5.3.4 Message size exceeds fixed limit", 'B', Message, "5.3.4"),
    (Mail, "552 message size exceeds limit", 'B', Message, "5.3.4"),
    (EndOfData, "552 Message too large", 'B', Message, "5.3.4"),
    (EndOfData, "552 5.3.4 Your message exceeded our message size limits. - gsmtp", 'B', Message, "5.3.4"),
    // Greylisting (R19)
    (Rcpt, "450 4.2.0 <x@d.example>: Recipient address rejected: Greylisted, see http://postgrey.example", 'L', Recipient, "4.2.0"),
    (Rcpt, "451 4.7.1 Please try again later", 'L', Recipient, "4.7.1"),
    (Rcpt, "451 Temporary local problem - please try later", 'L', Recipient, "4.3.0"),
    (EndOfData, "451 Greylisting in action, please come back later", 'L', Recipient, "4.7.1"),
    // Slow down (R20)
    (EndOfData, "421 4.7.28 Gmail has detected an unusual rate of unsolicited mail originating from your IP address. - gsmtp", 'L', Site, "4.7.28"),
    (Rcpt, "451 4.7.500 Server busy. Please try again later from [192.0.2.1]. (AS77712)", 'L', Site, "4.7.500"),
    (Mail, "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints", 'L', Site, "4.7.0"),
    (
        Mail,
        "421 RP-001 (COL004) Unfortunately, some messages from 192.0.2.1 weren't sent. You have exceeded the maximum number of connections.",
        'L',
        Site,
        "4.7.0",
    ),
    (Greeting, "421 4.7.0 Too many connections from your host", 'L', Site, "4.7.0"),
    (Mail, "451 4.3.0 Multiple destination domains per transaction is unsupported. - gsmtp", 'L', Host, "4.3.0"),
    // Who we are and what we lack
    (EndOfData, "550 5.7.26 This message does not pass authentication checks (SPF and DKIM both do not pass). - gsmtp", 'B', Us, "5.7.26"),
    (EndOfData, "550 5.7.515 Access denied, sending domain d.example does not meet the required authentication level.", 'B', Us, "5.7.515"),
    (
        EndOfData,
        "550-5.7.1 [2001:db8::1] Our system has detected that this message does not meet IPv6 sending guidelines regarding PTR records",
        'B',
        Us,
        "5.7.1",
    ),
    (EndOfData, "554 5.7.9 Message not accepted for policy reasons. See DMARC", 'B', Us, "5.7.9"),
    (Mail, "530 5.7.0 Must issue a STARTTLS command first", 'L', Us, "5.7.0"),
    (Mail, "553 5.1.8 <a@d.example>: sender domain does not exist", 'B', Us, "5.1.8"),
    (Rcpt, "550 5.7.25 Client host rejected: cannot find your reverse hostname", 'B', Us, "5.7.25"),
    // Block lists and content (R20)
    (Rcpt, "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org", 'B', Site, "5.7.1"),
    (
        Mail,
        "550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent. part of their network is on our block list (S3140).",
        'B',
        Site,
        "5.7.1",
    ),
    (Rcpt, "550 5.7.606 Access denied, banned sending IP [192.0.2.1]", 'B', Site, "5.7.606"),
    (Rcpt, "550 Blocked by our blacklist", 'B', Site, "5.7.1"),
    (EndOfData, "550 5.7.1 Message rejected as spam by Content Filtering.", 'B', Message, "5.7.1"),
    (EndOfData, "554 5.6.0 Message content rejected", 'B', Message, "5.6.0"),
    (EndOfData, "554 Transaction failed", 'B', Message, "5.0.0"),
    // Hosts (R3, R4, R5, R16)
    (Greeting, "554 mx.example ESMTP not accepting messages", 'B', Host, "5.3.2"),
    (Greeting, "521 5.3.2 host takes no mail", 'B', Host, "5.3.2"),
    (Greeting, "554 5.7.1 you are blocked", 'B', Host, "5.7.1"),
    (Greeting, "450 4.3.2 not now", 'L', Host, "4.3.2"),
    (Ehlo, "550 5.7.1 bad HELO", 'B', Host, "5.7.1"),
    (Stage::Tls, "454 4.7.0 TLS not available", 'L', Host, "4.7.0"),
    (Stage::Tls, "501 5.5.4 no parameters allowed", 'L', Host, "5.5.4"),
    // Our login with a smart host
    (Stage::Auth, "535 5.7.8 Authentication credentials invalid", 'L', Us, "4.7.8"),
    (Stage::Auth, "535 no", 'L', Us, "4.7.8"),
    (Stage::Auth, "504 5.5.4 Unrecognized authentication type", 'L', Us, "4.7.8"),
    (Stage::Auth, "454 4.7.0 Temporary authentication failure", 'L', Host, "4.7.0"),
    (Rcpt, "421 4.3.2 Service shutting down", 'L', Host, "4.3.2"),
    (EndOfData, "421 timeout", 'L', Host, "4.3.2"),
    (Mail, "452 4.3.1 Insufficient system storage", 'L', Host, "4.3.1"),
    (Mail, "452 out of room", 'L', Host, "4.3.1"),
    (EndOfData, "451 4.3.0 Error: queue file write error", 'L', Host, "4.3.0"),
    (Data, "503 5.5.1 Bad sequence of commands", 'L', Host, "5.5.1"),
    // The rest by stage
    (Rcpt, "450 busy", 'L', Recipient, "4.2.0"),
    (Mail, "450 cannot verify sender", 'L', Message, "4.3.0"),
    (EndOfData, "451 aborted: local error", 'L', Message, "4.3.0"),
    (Data, "554 5.5.1 Error: no valid recipients", 'B', Message, "5.5.1"),
    (Mail, "501 5.5.4 Syntax error", 'B', Message, "5.5.4"),
    (Mail, "555 unsupported parameter", 'B', Message, "5.5.4"),
];

fn reply(text: &str) -> Reply {
    let code = text.get(..3).and_then(|code| code.parse().ok()).expect("a code");
    Reply::new(code, text.get(4..).expect("a text"))
}

fn shown(verdict: Verdict) -> (char, Scope, String) {
    let outcome = match verdict.outcome {
        Outcome::Delivered => 'D',
        Outcome::Bounced => 'B',
        Outcome::Deferred => 'L',
        Outcome::Expired => 'E',
    };
    (outcome, verdict.scope, verdict.enhanced_status.to_string())
}

#[test]
fn replies_mean_what_their_senders_mean() {
    let mut wrong = Vec::new();
    for &(stage, text, outcome, scope, status) in REPLIES {
        let found = shown(verdict(&Rules::built_in(), stage, &End::Reply(reply(text)), None));
        if found != (outcome, scope, status.to_owned()) {
            wrong.push(format!("{stage:?} {text}: {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_reply_leaves_the_outcome_unknown_and_only_the_dot_delivers() {
    let rules = Rules::built_in();
    for stage in [Greeting, Ehlo, Stage::Tls, Stage::Auth, Mail, Rcpt, Data, Stage::Body, EndOfData] {
        for code in 200..600 {
            let found = verdict(&rules, stage, Ending::Reply(&Reply::new(code, "text")), None);
            assert_eq!(found.outcome == Outcome::Delivered, code < 300 && stage == EndOfData, "{stage:?} {code}");
            assert!(found.outcome != Outcome::Bounced || code >= 500, "{stage:?} {code}: I3");
            assert!(!found.outcome_unknown || (stage == EndOfData && (300..400).contains(&code)), "{stage:?} {code}");
        }
    }
}

#[test]
fn throttles_and_greylists_are_given_time() {
    for (stage, text, wait) in [
        (EndOfData, "421 4.7.28 unusual rate", Some(AtLeast::Throttled)),
        (Rcpt, "451 4.7.500 Server busy", Some(AtLeast::Throttled)),
        (Rcpt, "450 4.7.1 rate limit exceeded", Some(AtLeast::Throttled)),
        (Rcpt, "451 4.7.1 try again", Some(AtLeast::Greylisted)),
        (Rcpt, "450 4.2.0 Greylisted", Some(AtLeast::Greylisted)),
        (Rcpt, "450 4.2.1 busy", None),
        (Mail, "421 4.3.2 shutting down", None),
    ] {
        assert_eq!(verdict(&Rules::built_in(), stage, Ending::Reply(&reply(text)), None).min_wait, wait, "{text}");
    }
}

#[test]
fn a_lost_session_is_deferred_and_after_the_dot_unknown() {
    let faults = [Fault::Disconnected, Fault::TimedOut(Duration::from_mins(10)), Fault::Io("reset".to_owned()), Fault::Protocol("666".to_owned())];
    for fault in &faults {
        let expected = if matches!(fault, Fault::Protocol(_)) { "4.5.0" } else { "4.4.2" };
        for stage in [Greeting, Ehlo, Stage::Tls, Stage::Auth, Mail, Rcpt, Data, Stage::Body] {
            let found = verdict(&Rules::built_in(), stage, &End::Fault(fault.clone()), None);
            assert_eq!(shown(found), ('L', Host, expected.to_owned()), "{stage:?} {fault}: R11, R17");
            assert!(!found.outcome_unknown && found.min_wait.is_none());
        }
        let found = verdict(&Rules::built_in(), EndOfData, Ending::Fault(fault), None);
        assert_eq!((shown(found), found.outcome_unknown, found.min_wait), (('L', Message, expected.to_owned()), true, Some(AtLeast::Unknown)), "R12");
    }
}

#[test]
fn what_we_found_out_ourselves_has_a_status_of_ours() {
    let wait = Duration::from_secs(30);
    for (ending, expected) in [
        (Ending::Fault(&Fault::SizeExceeded { limit: 1 }), ('B', Message, "5.3.4")),
        (Ending::Fault(&Fault::Smtputf8Missing), ('B', Message, "5.6.7")),
        (Ending::Fault(&Fault::EightBitMissing), ('B', Message, "5.6.3")),
        (Ending::Fault(&Fault::Tls("no".to_owned())), ('L', Host, "4.7.5")),
        (Ending::NotTried(&Reply::new(452, "4.5.3 enough")), ('L', Host, "4.5.3")),
        (Ending::Dial(&DialError::Refused), ('L', Host, "4.4.1")),
        (Ending::Dial(&DialError::TimedOut(wait)), ('L', Host, "4.4.1")),
        (Ending::Dial(&DialError::Unreachable(String::new())), ('L', Host, "4.4.1")),
        (Ending::Dial(&DialError::Resources(String::new())), ('L', Us, "4.3.5")),
        (Ending::Mx(&MxError::NoSuchDomain), ('B', Site, "5.1.2")),
        (Ending::Mx(&MxError::Doubtful), ('L', Site, "4.1.2")),
        (Ending::Mx(&MxError::NullMx), ('B', Site, "5.1.10")),
        (Ending::Mx(&MxError::NoUsableHost), ('B', Site, "5.4.4")),
        (Ending::Mx(&MxError::LoopsBack), ('B', Site, "5.4.6")),
        (Ending::Mx(&MxError::Temporary(String::new())), ('L', Site, "4.4.3")),
    ] {
        let (outcome, scope, status) = expected;
        assert_eq!(shown(verdict(&Rules::built_in(), Mail, ending, None)), (outcome, scope, status.to_owned()), "{ending:?}");
    }
    assert_eq!(shown(verdict(&Rules::built_in(), Stage::Connect, Ending::Fault(&Fault::TimedOut(wait)), None)), ('L', Host, "4.4.1".to_owned()));
}

#[test]
fn what_we_found_out_ourselves_has_a_class() {
    for (ending, class) in [
        (Ending::Fault(&Fault::SizeExceeded { limit: 1 }), BounceClass::Size),
        (Ending::Fault(&Fault::Smtputf8Missing), BounceClass::Content),
        (Ending::Fault(&Fault::Tls("no".to_owned())), BounceClass::Tls),
        (Ending::Fault(&Fault::TlsNotOffered), BounceClass::Tls),
        (Ending::Fault(&Fault::RequireTlsMissing), BounceClass::Tls),
        (Ending::Fault(&Fault::Disconnected), BounceClass::Network),
        (Ending::Tls(&PolicyFault::RequireTls("no".to_owned())), BounceClass::Tls),
        (Ending::Tls(&PolicyFault::RequireTlsMissing), BounceClass::Tls),
        (Ending::Tls(&PolicyFault::NotListed("mx.example".to_owned())), BounceClass::Tls),
        (Ending::NotTried(&Reply::new(452, "4.5.3 enough")), BounceClass::Rate),
        (Ending::Dial(&DialError::Refused), BounceClass::Network),
        (Ending::Dial(&DialError::Resources(String::new())), BounceClass::Other),
        (Ending::Mx(&MxError::NoSuchDomain), BounceClass::BadDomain),
        (Ending::Mx(&MxError::Temporary(String::new())), BounceClass::Network),
        (Ending::Unsigned, BounceClass::Other),
    ] {
        assert_eq!(verdict(&Rules::built_in(), Mail, ending, None).class, Some(class), "{ending:?}");
    }
}

#[test]
fn a_reply_for_several_recipients_condemns_none() {
    let judged = |text: &str| verdict(&Rules::built_in(), EndOfData, &End::Reply(reply(text)), None);
    let alone = judged("550 5.1.1 user unknown");
    assert_eq!((alone.class, alone.of_several().class), (Some(BounceClass::BadMailbox), Some(BounceClass::Other)));
    assert_eq!(alone.of_several().outcome, Outcome::Bounced);
    assert_eq!(judged("554 5.7.1 no spam here").of_several().class, Some(BounceClass::Content));
    assert_eq!(judged("250 2.0.0 taken").of_several().class, None);
}
