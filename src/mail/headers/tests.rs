//! Faults found and told, and what may and may not change in a message that passes.

use proptest::prelude::*;
use time::OffsetDateTime;
use time::macros::datetime;

use super::*;
use crate::model::address::AddressError;

const AT: OffsetDateTime = datetime!(2026-11-22 12:00 UTC);
const GOOD: &str = "From: Penny <a@example.com>\r\nTo: b@example.net\r\nSubject: Hi\r\nDate: Sun, 1 Nov 2026 09:00:00 +0000\r\n\
                    Message-ID: <1@example.com>\r\n\r\nHello\r\n";

/// The codes, fields and lines of all faults.
fn faults(message: impl AsRef<[u8]>) -> Vec<(&'static str, String, usize)> {
    let problems = check_raw(message.as_ref()).err().unwrap_or_default();
    problems.into_iter().map(|problem| (problem.fault.code(), problem.field.unwrap_or_default(), problem.line.unwrap_or(0))).collect()
}

fn with(field: &str) -> String {
    format!("{field}\r\n{GOOD}")
}

fn from(value: &str) -> Result<RawHeaders, RawFault> {
    check_raw(format!("From:{value}\r\n\r\n").as_bytes()).map_err(|problems| problems[0].fault)
}

#[test]
fn a_good_message_is_read() {
    let headers = check_raw(GOOD.as_bytes()).unwrap();
    assert_eq!(headers.from.to_string(), "Penny <a@example.com>");
    assert_eq!((headers.subject.as_str(), headers.message_id.as_deref()), ("Hi", Some("1@example.com")));
    assert_eq!(headers.date, Some(datetime!(2026-11-01 09:00 UTC)));
    assert!(!headers.needs_smtputf8 && !headers.has_eight_bit_body && headers.bcc_ranges.is_empty());
    assert_eq!((headers.received, headers.sender), (0, None));
}

#[test]
fn every_fault_is_told_with_its_field_and_line() {
    for (message, expected) in [
        (String::new(), ("no-header", "", 0)),
        ("\r\nbody\r\n".to_owned(), ("no-header", "", 0)),
        ("just text\r\n\r\n".to_owned(), ("not-a-field", "", 1)),
        (GOOD.replacen("Hello", "a\nb", 1), ("bare-line-end", "", 7)),
        (GOOD.replacen("Hello", "a\rb", 1), ("bare-line-end", "", 7)),
        (GOOD.replacen("Hello\r\n", "a\r\n.\r", 1), ("bare-line-end", "", 8)),
        (GOOD.replacen("Hello", "a\0b", 1), ("nul", "", 7)),
        (with(&format!("X: {}", "x".repeat(996))), ("line-too-long", "", 1)),
        (GOOD.replacen("Hello", &"x".repeat(999), 1), ("line-too-long", "", 7)),
        (with("no colon"), ("not-a-field", "", 1)),
        (with(": value"), ("not-a-field", "", 1)),
        (with(" folded: onto nothing"), ("not-a-field", "", 1)),
        (with("X : y"), ("space-before-colon", "X", 1)),
        (with("X\t: y"), ("space-before-colon", "X", 1)),
        (with("X Y: z"), ("bad-field-name", "", 1)),
        (with("X\u{fc}: z"), ("bad-field-name", "", 1)),
        (with("From a@example.com Sun Nov  1 09:00:00 2026"), ("bad-field-name", "", 1)),
        (with("X: a\r\n \t\r\n b"), ("blank-folded-line", "X", 1)),
        (with("X: a\r\n "), ("blank-folded-line", "X", 1)),
        (with("X: a\u{b}b"), ("control-character", "X", 1)),
        (with("X: a\u{7f}b"), ("control-character", "X", 1)),
        (GOOD.replacen("From: Penny <a@example.com>\r\n", "", 1), ("missing-field", "From", 0)),
        (with("From: x@example.com"), ("duplicate-field", "From", 2)),
        (GOOD.replacen("To:", "subject: a\r\nTO: c@example.net\r\nTo:", 1), ("duplicate-field", "To", 4)),
        (with("Content-Type: text/plain\r\ncontent-type: text/html"), ("duplicate-field", "Content-Type", 2)),
        (GOOD.replacen("Sun, 1 Nov 2026 09:00:00 +0000", "yesterday", 1), ("bad-date", "Date", 4)),
        (GOOD.replacen("<1@example.com>", "1@example.com", 1), ("bad-message-id", "Message-ID", 5)),
        (GOOD.replacen("<1@example.com>", "<1@x> <2@x>", 1), ("bad-message-id", "Message-ID", 5)),
        (GOOD.replacen("<1@example.com>", "", 1), ("bad-message-id", "Message-ID", 5)),
        (with("Sender: a@example.com, b@example.com"), ("bad-sender", "Sender", 1)),
        (GOOD.replacen("Penny <a@example.com>", "", 1), ("bad-from", "From", 1)),
    ] {
        let found = faults(&message);
        assert!(found.contains(&(expected.0, expected.1.to_owned(), expected.2)), "{message:?}: {found:?}");
    }
    assert_eq!(faults([GOOD.as_bytes().get(..10).unwrap(), b"\xff", &GOOD.as_bytes()[10..]].concat()), [("not-utf8", "From".to_owned(), 1)]);
}

#[test]
fn several_faults_are_told_together() {
    let message = "From: a@example.com\r\nFrom : b@example.com\r\nDate: x\r\nX: a\0\r\n\r\na\nb";
    let codes: Vec<_> = faults(message).into_iter().map(|(code, ..)| code).collect();
    assert_eq!(codes, ["bare-line-end", "nul", "space-before-colon", "bad-date"]);
    assert_eq!(faults(with("X : y\r\n".repeat(100).trim_end())).len(), 20);
}

#[test]
fn problems_read_as_sentences() {
    let problems = check_raw(with("From: x@example.com").as_bytes()).unwrap_err();
    assert_eq!(problems[0].to_string(), "line 2: From: the field stands more than once");
    let problems = check_raw(b"From: a@example.com\nSubject: x\n\nbody\n").unwrap_err();
    assert_eq!(problems[0].to_string(), "line 1: a CR or LF stands alone; every line must end in CRLF");
}

#[test]
fn the_header_block_has_limits() {
    let fields = |count: usize| format!("{}{GOOD}", "X: y\r\n".repeat(count));
    assert_eq!(faults(fields(MAX_FIELDS - 5)), []);
    assert_eq!(faults(fields(MAX_FIELDS - 4)), [("too-many-fields", String::new(), 0)]);
    let octets = |count: usize| format!("{}\r\n{GOOD}", vec![format!("X: {}", "y".repeat(900)); count / 905].join("\r\n"));
    assert_eq!(faults(octets(MAX_HEADER_OCTETS - 2000)), []);
    assert_eq!(faults(octets(MAX_HEADER_OCTETS + 2000))[0].0, "header-too-long");
    let folded = format!("X: y{}\r\n{GOOD}", format!("\r\n {}", "y".repeat(900)).repeat(MAX_HEADER_OCTETS / 900));
    assert_eq!(faults(folded)[0].0, "header-too-long");
}

#[test]
fn parts_may_not_lie_in_each_other_without_end() {
    let message = |levels: usize| {
        (0..levels).fold(GOOD.replacen("\r\n\r\nHello\r\n", "\r\n", 1), |text, level| {
            let outer = if level == 0 { String::new() } else { format!("--b{}\r\n", level - 1) };
            format!("{text}{outer}Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n")
        })
    };
    assert_eq!(faults(message(MAX_NESTING)), []);
    assert_eq!(faults(message(MAX_NESTING + 1)), [("nested-too-deeply", String::new(), 0)]);
}

#[test]
fn from_is_one_author_that_all_readers_see_alike() {
    for (value, shown) in [
        (" a@example.com", "a@example.com"),
        ("a@example.com", "a@example.com"),
        (" <a@example.com>", "a@example.com"),
        ("\r\n Penny\r\n\t<a@example.com> ", "Penny <a@example.com>"),
        (" \"Penny, \\\"P\\\"\" <a@example.com>", "\"Penny, \\\"P\\\"\" <a@example.com>"),
        (" =?utf-8?Q?J=C3=BCrgen?= Example <a@example.com>", "Jürgen Example <a@example.com>"),
        (" =?iso-8859-1?Q?J=FCrgen?= <a@example.com>", "Jürgen <a@example.com>"),
        (" \"=?utf-8?B?SsO8cmdlbg==?=\" <a@example.com>", "Jürgen <a@example.com>"),
        (" Jürgen <jürgen@bücher.example>", "Jürgen <jürgen@xn--bcher-kva.example>"),
    ] {
        assert_eq!(from(value).map(|headers| headers.from.to_string()), Ok(shown.to_owned()), "{value:?}");
    }
    let own = from(" \"A@example.com\" <a@example.com>").unwrap();
    assert_eq!(own.from.name.unwrap().as_str(), "A@example.com");
    for (value, error) in [
        ("", AddressError::Empty),
        (" Penny", AddressError::NoAt),
        (" a@example.com, b@example.com", AddressError::NotOne),
        (" Penny <a@example.com>, b@example.com", AddressError::Brackets),
        (" a@example.com, Penny <b@example.com>", AddressError::NotOne),
        (" Group: a@example.com;", AddressError::NotOne),
        (" Group: Penny <a@example.com>;", AddressError::Brackets),
        (" a@example.com (Penny)", AddressError::Domain(crate::model::domain_name::DomainNameError::Invalid)),
        (" Penny (boss) <a@example.com>", AddressError::NotOne),
        (" <@x.example:a@example.com>", AddressError::NotOne),
        (" boss@bank.example <a@example.com>", AddressError::NotOne),
        (" \"boss@bank.example\" <a@example.com>", AddressError::NameHoldsAddress),
        (" =?utf-8?Q?boss=40bank.example?= <a@example.com>", AddressError::NameHoldsAddress),
        (" <boss@bank.example> <a@example.com>", AddressError::NotOne),
        (" Penny <>", AddressError::Empty),
    ] {
        assert_eq!(from(value).map(|headers| headers.from), Err(RawFault::From(error)), "{value:?}");
    }
    let hidden = from(" =?utf-8?Q?a=0D=0ABcc=3A_b?= <a@example.com>").map(|headers| headers.from);
    assert!(matches!(hidden, Err(RawFault::From(AddressError::Name(_)))), "{hidden:?}");
}

#[test]
fn an_encoded_subject_cannot_bring_controls_along() {
    let headers = check_raw(GOOD.replacen("Subject: Hi", "Subject: =?utf-8?q?=00a=0D=0ABcc=3A_b?=", 1).as_bytes()).unwrap();
    assert_eq!(headers.subject, "\u{fffd}a\u{fffd}\u{fffd}Bcc: b");
}

#[test]
fn what_the_transaction_needs_is_told() {
    let body = check_raw(GOOD.replacen("Hello", "Über", 1).as_bytes()).unwrap();
    assert!(body.has_eight_bit_body && !body.needs_smtputf8);
    let header = check_raw(GOOD.replacen("Hi", "Über", 1).as_bytes()).unwrap();
    assert!(!header.has_eight_bit_body && header.needs_smtputf8);
    assert_eq!(header.subject, "Über");
    let hops =
        check_raw(with("Received: from x by y; Sun, 1 Nov 2026 09:00:00 +0000\r\nReceived: from z by x; Sun, 1 Nov 2026 08:00:00 +0000").as_bytes());
    assert_eq!(hops.unwrap().received, 2);
}

#[test]
fn a_finished_message_lacks_bcc_and_nothing_else() {
    let message = "Return-Path: <x@example.com>\r\nFrom: a@example.com\r\nBcc: secret@example.net,\r\n other@example.net\r\nbcc:\r\nX-Bcc: stays\r\n\
                   Resent-Bcc: third@example.net\r\nDate: Sun, 1 Nov 2026 09:00:00 +0000\r\nMessage-ID: <1@example.com>\r\nResent-To: d@x\r\n\r\nBcc: stays\r\n";
    let kept = "From: a@example.com\r\nX-Bcc: stays\r\nDate: Sun, 1 Nov 2026 09:00:00 +0000\r\nMessage-ID: <1@example.com>\r\nResent-To: d@x\r\n\r\n\
                Bcc: stays\r\n";
    assert_eq!(String::from_utf8(finish_raw(message.as_bytes(), "", "2@example.com", AT)).unwrap(), kept);
    assert_eq!(finish_raw(GOOD.as_bytes(), "", "2@example.com", AT), GOOD.as_bytes());
    let one_bcc = with("Bcc: secret@example.net");
    let headers = check_raw(one_bcc.as_bytes()).unwrap();
    assert_eq!(headers.bcc_ranges.first().map(|range| &one_bcc[range.clone()]), Some("Bcc: secret@example.net\r\n"));
}

#[test]
fn what_is_missing_is_put_in_front_or_behind() {
    let added = "Message-ID: <2@example.com>\r\nDate: Sun, 22 Nov 2026 12:00:00 +0000\r\n";
    for (message, expected) in [
        ("From: a@example.com\r\n\r\nbody\r\n", format!("{added}From: a@example.com\r\n\r\nbody\r\n")),
        ("From: a@example.com\r\n\r\nbody", format!("{added}From: a@example.com\r\n\r\nbody\r\n")),
        ("From: a@example.com\r\n\r\n", format!("{added}From: a@example.com\r\n\r\n")),
        ("From: a@example.com\r\n", format!("{added}From: a@example.com\r\n\r\n")),
        ("From: a@example.com", format!("{added}From: a@example.com\r\n\r\n")),
        ("From: a@example.com\r\nBcc: b@example.net", format!("{added}From: a@example.com\r\n\r\n")),
    ] {
        let finished = finish_raw(message.as_bytes(), "", "2@example.com", AT);
        assert_eq!(String::from_utf8(finished.clone()).unwrap(), expected, "{message:?}");
        assert!(check_raw(&finished).is_ok());
    }
}

proptest! {
    #[test]
    fn no_octets_whatever_break_the_check(octets in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = check_raw(&octets);
        let _ = crate::mail::parse::HeaderView::read(&octets);
        let _ = finish_raw(&octets, "", "1@x", AT);
    }

    #[test]
    fn what_passes_is_finished_into_what_can_be_signed(
        fields in prop::collection::vec("(Bcc|Resent-Bcc|Date|Subject|X-A|Received|Content-Type|To): ?[ -~]{0,20}(\r\n [!-~]{1,20})?", 0..6),
        body in "([ -~é]{0,30}(\r\n|\r|\n)){0,4}[ -~]{0,5}",
    ) {
        let header: String = fields.iter().flat_map(|field| [field.as_str(), "\r\n"]).collect();
        let message = format!("From: a@example.com\r\n{header}\r\n{body}");
        if check_raw(message.as_bytes()).is_ok() {
            let finished = finish_raw(message.as_bytes(), "", "1@example.com", AT);
            let again = check_raw(&finished).map_err(|problems| TestCaseError::fail(format!("{problems:?}")))?;
            prop_assert!(again.bcc_ranges.is_empty() && again.message_id.is_some() && again.date.is_some());
            prop_assert!(finished.ends_with(b"\r\n"));
            let kept = fields.iter().filter(|field| !field.starts_with("Bcc") && !field.starts_with("Resent-Bcc"));
            let text = String::from_utf8(finished.clone()).unwrap();
            prop_assert!(kept.into_iter().all(|field| text.contains(field.as_str())));
            let body = format!("\r\n\r\n{body}");
            prop_assert!(text.contains(&body));
            prop_assert_eq!(finish_raw(&finished, "", "2@example.com", AT), finished);
        }
    }
}
