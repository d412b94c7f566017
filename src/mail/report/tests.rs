//! Reports in the style of each family of mail systems, and what must be read out of them.

use super::compose::{Notice, NoticeRecipient, Returned, compose};
use super::{Action, Arrival, DeliveryReport, FeedbackType, MAX_DIAGNOSTIC, MAX_RECIPIENTS, read};
use crate::mail::headers::check_raw;
use crate::model::{BounceClass, EmailAddress, EnhancedStatus};

fn delivery(mail: &str) -> DeliveryReport {
    match read(mail.as_bytes()) {
        Arrival::Delivery(report) => report,
        other => panic!("{other:?} in {mail}"),
    }
}

/// Recipients with action, code and status.
fn told(mail: &str) -> Vec<String> {
    let status = |status: Option<EnhancedStatus>| status.map_or_else(|| "-".to_owned(), |status| status.to_string());
    let code = |code: Option<u16>| code.map_or_else(|| "-".to_owned(), |code| code.to_string());
    let line = |it: &super::RecipientReport| format!("{} {} {} {}", it.recipient, it.action.name(), code(it.code), status(it.status));
    delivery(mail).recipients.iter().map(line).collect()
}

const DSN: &str = "Return-Path: <>\nFrom: Mail Delivery System <MAILER-DAEMON@mx.example.org>\nTo: b-x@bounce.example.com\nSubject: Undelivered Mail\n\
Content-Type: multipart/report; report-type=delivery-status; boundary=\"b\"\n\n--b\nContent-Type: text/plain\n\nSorry.\n\
<bee@example.net>: host mx.example.net[192.0.2.1] said: 550 5.1.1 <bee@example.net>: User unknown (in reply to RCPT TO command)\n\n\
--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example.org\nOriginal-Envelope-Id: QQ1\nArrival-Date: Sun, 1 Nov 2026 10:00:00 +0000\n\n\
Original-Recipient: rfc822;bee+tag@example.net\nFinal-Recipient: rfc822; bee@example.net\nAction: failed\nStatus: 5.0.0\nRemote-MTA: dns; mx.example.net\n\
Diagnostic-Code: smtp; 550 5.1.1\n <bee@example.net>: User\n unknown\n\n\
Final-Recipient: utf-8; b\\x{FC}e@example.net\nAction: delayed\nStatus: 4.4.1 (no answer)\n\n\
--b\nContent-Type: text/rfc822-headers\n\nMessage-ID: <1@example.com>\nFrom: a@example.com\nTo: bee@example.net\nSubject: Hi\n\n--b--\n";

#[test]
fn a_report_by_the_book_is_read_whole_with_either_line_end() {
    for mail in [DSN.to_owned(), DSN.replace('\n', "\r\n")] {
        let report = delivery(&mail);
        assert_eq!(report.reporting_mta.as_deref(), Some("mx.example.org"));
        assert_eq!(report.envelope_id.as_deref(), Some("QQ1"));
        assert_eq!(report.arrived, Some(time::macros::datetime!(2026-11-01 10:00 UTC)));
        assert_eq!(report.original.message_id.as_deref(), Some("1@example.com"));
        let [first, second] = report.recipients.as_slice() else { panic!("{report:?}") };
        assert_eq!(first.recipient.to_string(), "bee@example.net");
        assert_eq!(first.original_recipient.as_ref().map(ToString::to_string).as_deref(), Some("bee+tag@example.net"));
        assert_eq!((first.action, first.code, first.status), (Action::Failed, Some(550), Some(EnhancedStatus::new(5, 1, 1))));
        assert_eq!(first.remote_mta.as_deref(), Some("mx.example.net"));
        assert_eq!(first.diagnostic, "5.1.1 <bee@example.net>: User unknown");
        assert_eq!(second.recipient.to_string(), "büe@example.net");
        assert_eq!((second.action, second.status, second.diagnostic.as_str()), (Action::Delayed, Some(EnhancedStatus::new(4, 4, 1)), "no answer"));
    }
}

type Case = (&'static str, String, Vec<&'static str>);

const ORIGINAL: &str =
    "Return-Path: <a@example.com>\nReceived: by here; today\nFrom: a@example.com\nTo: bee@example.net\nMessage-ID: <1@example.com>\n\nHi\n";

fn notice_in_words(head: &str, text: &str) -> String {
    format!("Return-Path: <>\nFrom: MAILER-DAEMON@mx.example.org\nTo: a@example.com\n{head}\n\n{text}\n{ORIGINAL}")
}

fn families() -> Vec<Case> {
    let mail = notice_in_words;
    vec![
        (
            "qmail",
            mail(
                "Subject: failure notice",
                "Hi. This is the qmail-send program at mx.example.org.\nI wasn't able to deliver your message to the following addresses.\n\n\
                 <bee@example.net>:\n192.0.2.1 does not like recipient.\nRemote host said: 550 5.1.1 no such user\nGiving up on 192.0.2.1.\n\n\
                 <cat@example.net>:\nSorry, no mailbox here by that name. (#5.1.1)\n\n--- Below this line is a copy of the message.\n",
            ),
            vec!["bee@example.net failed 550 5.1.1", "cat@example.net failed - 5.1.1"],
        ),
        (
            "exim",
            mail(
                "X-Failed-Recipients: bee@example.net\nAuto-Submitted: auto-replied\nSubject: Mail delivery failed",
                "A message that you sent could not be delivered.\n\n  bee@example.net\n    host mx.example.net [192.0.2.1]\n    SMTP error from remote mail server after \
                 RCPT TO:<bee@example.net>:\n    552 5.2.2 Mailbox full\n\n------ This is a copy of the message, including all the headers. ------\n",
            ),
            vec!["bee@example.net failed 552 5.2.2"],
        ),
        (
            "a delay",
            mail(
                "Subject: Warning: could not send message for past 4 hours",
                "THIS IS A WARNING MESSAGE ONLY.\nDelivery to the following recipient has been delayed:\n\n     bee@example.net\n\n450 4.2.2 Mailbox full\n\
                 ----- Original message -----\n",
            ),
            vec!["bee@example.net delayed 450 4.2.2"],
        ),
        (
            "sendmail of old",
            mail(
                "Subject: Returned mail: User unknown",
                "   ----- Transcript of session follows -----\nWhile talking to mx.example.net:\n>>> RCPT To:<bee@example.net>\n<<< 550 no such user\n\
                 550 <bee@example.net>... User unknown\n554 <cat@example.org>... Service unavailable\n\n   ----- Unsent message follows -----\n",
            ),
            vec!["bee@example.net failed 550 -", "cat@example.org failed 554 -"],
        ),
    ]
}

fn odd_ones() -> Vec<Case> {
    let mail = notice_in_words;
    vec![
        (
            "domino",
            mail(
                "Subject: DELIVERY FAILURE: User Bee (bee@example.net) not listed in Domino Directory",
                "Your message\n\n  Subject: Hi\n\nwas not delivered to:\n\n  bee@example.net\n\nbecause:\n\n  User Bee (bee@example.net) not listed in Domino Directory\n",
            ),
            vec!["bee@example.net failed - -"],
        ),
        (
            "fields among the words",
            mail(
                "Subject: Delivery Status Notification (Failure)",
                "An error occurred while trying to deliver the mail to the following recipients:\nbee@example.net\n\nTechnical report:\n\nAction: failed\n\
                 Final-Recipient: rfc822; bee@example.net\nDiagnostic-Code: smtp; 550 5.1.1 User unknown\nStatus: 5.1.1\n",
            ),
            vec!["bee@example.net failed 550 5.1.1"],
        ),
        (
            "mail to oneself",
            mail(
                "Subject: failure notice",
                "I was unable to deliver your message.\n<a@example.com>:\n552 quota exceeded\n--- Below this line is a copy of the message.\n",
            ),
            vec!["a@example.com failed 552 -"],
        ),
        (
            "nobody is named but in the message",
            mail(
                "Subject: Returned mail: Cannot send message for 4 days",
                "   ----- Transcript of session follows -----\n421 example.net (smtp)... Deferred: Connection timed out\n   ----- Unsent message follows -----\n",
            ),
            vec!["bee@example.net failed 421 -"],
        ),
        (
            "passed on by a person",
            mail(
                "Subject: Fwd: Returned mail",
                "> The following addresses had permanent fatal errors -----\n> <bee@example.net>\n>     (reason: 550 5.1.1 User unknown)\n>\n",
            ),
            vec!["bee@example.net failed 550 5.1.1"],
        ),
    ]
}

#[test]
fn reports_in_words_are_read_in_the_style_of_each_family() {
    for (name, mail, expected) in families().into_iter().chain(odd_ones()) {
        assert_eq!(told(&mail), expected, "{name}");
        assert_eq!(delivery(&mail).original.message_id.as_deref(), Some("1@example.com"), "{name}");
    }
}

#[test]
fn a_report_inside_a_report_and_one_with_a_lost_boundary_are_read() {
    let inside = format!(
        "From: postmaster@example.org\nTo: a@example.com\nSubject: Returned mail\nContent-Type: multipart/mixed; boundary=o\n\n--o\n\nThe following addresses had delivery errors\n\n--o\nContent-Type: message/rfc822\n\n{DSN}\n--o--\n"
    );
    assert_eq!(told(&inside)[0], "bee@example.net failed 550 5.1.1");
    let lost = DSN.replacen("boundary=\"b\"", "boundary=\"other\"", 1);
    assert_eq!(told(&lost)[0], "bee@example.net failed 550 5.1.1");
}

#[test]
fn feedback_reports_tell_who_complains_and_what_kind_it_is() {
    let mail = |kind: &str| {
        format!(
            "From: fbl@example.org\nTo: abuse@example.com\nSubject: complaint\nContent-Type: multipart/report; report-type=feedback-report; boundary=b\n\n--b\n\nspam\n\n\
             --b\nContent-Type: message/feedback-report\n\nFeedback-Type: {kind}\nUser-Agent: Some/1\nOriginal-Rcpt-To: <bee@example.net>\n\n--b\nContent-Type: message/rfc822\n\n\
             Message-ID: <1@example.com>\nTo: other@example.net\n\nHi\n\n--b--\n"
        )
    };
    for (text, kind, complaint) in [
        ("abuse", FeedbackType::Abuse, true),
        ("opt-out-list", FeedbackType::OptOut, true),
        ("not-spam", FeedbackType::NotSpam, false),
        ("auth-failure", FeedbackType::AuthFailure, false),
        ("something", FeedbackType::Other, true),
    ] {
        let Arrival::Feedback(report) = read(mail(text).as_bytes()) else { panic!("{text}") };
        assert_eq!((report.kind, report.kind.is_complaint()), (kind, complaint), "{text}");
        assert_eq!(report.recipients, [EmailAddress::parse("bee@example.net").unwrap()]);
        assert_eq!(report.original.message_id.as_deref(), Some("1@example.com"));
    }
}

#[test]
fn automatic_replies_and_letters_are_no_reports() {
    let mail = |head: &str| format!("From: Bee <bee@example.net>\nTo: a@example.com\n{head}\n\nI am away. My mailbox is full of sand.\n");
    for head in [
        "Auto-Submitted: auto-replied\nSubject: Hi",
        "Subject: Re: Out of office: Hi",
        "Subject: Automatische Antwort: Hallo",
        "X-Autoreply: yes",
        "Precedence: auto_reply",
        "Subject: 自動応答: こんにちは",
    ] {
        assert!(matches!(read(mail(head).as_bytes()), Arrival::AutoReply(_)), "{head}");
    }
    let receipt = "From: bee@example.net\nSubject: Read\nContent-Type: multipart/report; report-type=disposition-notification; boundary=b\n\n--b\n\nread\n--b\nContent-Type: message/disposition-notification\n\nDisposition: manual-action/MDN-sent-manually; displayed\n\n--b--\n";
    assert!(matches!(read(receipt.as_bytes()), Arrival::AutoReply(_)));
    for head in ["Subject: Hi", "Subject: Delivery of the sofa\nAuto-Submitted: no", ""] {
        assert_eq!(read(mail(head).as_bytes()), Arrival::Other, "{head}");
    }
    assert_eq!(read(b""), Arrival::Other);
}

#[test]
fn hostile_reports_are_read_in_bounds() {
    let many = (0..3_000)
        .map(|number| format!("Final-Recipient: rfc822; a{number}@example.net\nAction: failed\nStatus: 5.1.1\n\n"))
        .collect::<Vec<_>>()
        .concat();
    let mail = format!("Content-Type: multipart/report; boundary=b\n\n--b\nContent-Type: message/delivery-status\n\n{many}--b--\n");
    assert_eq!(delivery(&mail).recipients.len(), MAX_RECIPIENTS);
    let mut nested = String::from("From: mailer-daemon@example.org\nSubject: Undelivered\n");
    for _ in 0..500 {
        nested.push_str("Content-Type: multipart/mixed; boundary=b\n\n--b\n");
    }
    assert_eq!(read(nested.as_bytes()), Arrival::Other);
    let at = format!("From: mailer-daemon@example.org\nSubject: Undelivered mail\n\n{}", "@a.b<".repeat(150_000));
    let _ = read(at.as_bytes());
    let crowd = (0..40_000)
        .map(|number| format!("<a{number}@b.example> to <c{number}@d.example>{}", if number % 20 == 0 { "\n" } else { " " }))
        .collect::<Vec<_>>()
        .concat();
    let crowd = format!("From: mailer-daemon@example.org\nSubject: Undelivered mail\n\n{crowd}");
    assert!(delivery(&crowd).recipients.len() <= MAX_RECIPIENTS);
    let long = format!("From: mailer-daemon@example.org\nSubject: Undelivered mail\n\n<bee@example.net>: 550 {}", "word ".repeat(100_000));
    let report = delivery(&long);
    assert!(report.recipients[0].diagnostic.len() <= MAX_DIAGNOSTIC);
}

#[test]
fn hundreds_of_recipients_and_a_megabyte_of_words_about_none_of_them_are_read_in_no_time() {
    let fields = (0..900).map(|number| format!("X-Failed-Recipients: a{number}@b.example\n")).collect::<Vec<_>>().concat();
    let clock = crate::clock::Clock::system();
    for (subject, line) in
        [("Undelivered mail", "word ".repeat(100)), ("Undelivered mail", "-".repeat(500)), (&"word ".repeat(1000), "x".repeat(500))]
    {
        let mail = format!("From: mailer-daemon@example.org\nSubject: {subject}\n{fields}\n{}", format!("{line}\n").repeat(1_900));
        let begun = clock.tick();
        assert_eq!(delivery(&mail).recipients.len(), 900);
        let taken = clock.tick().since(begun);
        assert!(taken < std::time::Duration::from_secs(10), "{taken:?}");
    }
}

#[test]
fn what_strangers_write_is_kept_on_one_line_without_controls_and_in_bounds() {
    let (long, nul) = ("Loop/1 ".repeat(15_000), "Loop\u{0}/1");
    for (agent, told) in [(long.as_str(), None), (nul, Some("Loop/1"))] {
        let mail = format!(
            "From: fbl@loop.example\nContent-Type: multipart/report; report-type=feedback-report; boundary=b\n\n--b\nContent-Type: message/feedback-report\n\n\
             Feedback-Type: abuse\nUser-Agent: {agent}\nOriginal-Envelope-Id: {agent}\nOriginal-Rcpt-To: bee@example.net\n\n--b--\n"
        );
        let Arrival::Feedback(report) = read(mail.as_bytes()) else { panic!("a feedback report") };
        for kept in [report.user_agent.unwrap(), report.envelope_id.unwrap()] {
            assert!(kept.len() <= MAX_DIAGNOSTIC && told.is_none_or(|told| kept == told), "{kept:?}");
        }
    }
    let mail = "Content-Type: multipart/report; boundary=b\n\n--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; a\u{0}b.example\n\
                Original-Envelope-Id: a\u{0}b\n\nFinal-Recipient: rfc822; bee@example.net\nAction: failed\nStatus: 5.1.1\nRemote-MTA: dns; c\u{0}d.example\n\
                Diagnostic-Code: smtp; 550 no\u{0}body\n\n--b--\n";
    let report = delivery(mail);
    assert_eq!((report.reporting_mta, report.envelope_id.as_deref(), &report.recipients[0].remote_mta), (None, Some("ab"), &None));
    assert_eq!((report.recipients[0].code, report.recipients[0].diagnostic.as_str()), (Some(550), "nobody"));
    let notification = "Content-Type: text/plain\n\n{\"notificationType\":\"Bounce\",\"bounce\":{\"reportingMTA\":\"dns; a\\u0000b\",\"bouncedRecipients\":[{\"emailAddress\":\"bee@example.net\"}]},\"mail\":{}}";
    let report = delivery(notification);
    assert_eq!((report.reporting_mta, report.recipients.len()), (None, 1));
}

fn notice<'a>(recipients: &'a [NoticeRecipient<'a>], addresses: &'a [EmailAddress; 2], original: &'a [u8]) -> Notice<'a> {
    let [from, to] = addresses;
    let arrived = time::macros::datetime!(2026-11-01 10:00 UTC);
    Notice { from, to, reporting_mta: "mail.example.com", envelope_id: Some("QQ 1"), arrived, recipients, original, returned: Returned::Full }
}

#[test]
fn a_report_of_ours_reads_like_this_and_is_understood_by_our_own_reader() {
    let address = |text: &str| EmailAddress::parse(text).unwrap();
    let addresses = [address("mailer-daemon@example.com"), address("a@example.com")];
    let (bee, other) = (address("bee@example.net"), address("büe@example.net"));
    let at = time::macros::datetime!(2026-11-01 14:00 UTC);
    let recipient = |address, action, status| NoticeRecipient {
        address,
        original: Some("rfc822;b+tag@example.net"),
        action,
        status,
        class: None,
        reply: None,
        host: None,
        last_attempt: Some(at),
        retry_until: None,
    };
    let failed = NoticeRecipient {
        class: Some(BounceClass::BadMailbox),
        reply: Some("550 5.1.1 <bee@example.net>: user\nunknown, and many more words so that the line has to be folded somewhere"),
        host: Some("mx.example.net"),
        ..recipient(&bee, Action::Failed, EnhancedStatus::new(5, 1, 1))
    };
    let delayed = NoticeRecipient { retry_until: Some(at + time::Duration::DAY), ..recipient(&other, Action::Delayed, EnhancedStatus::new(4, 4, 1)) };
    let original = b"From: a@example.com\r\nSubject: Hi\r\nMessage-ID: <1@example.com>\r\n\r\nText of the message\r\n";
    let recipients = [failed, delayed];
    let mail = compose(&notice(&recipients, &addresses, original));
    assert!(check_raw(&mail).is_ok(), "it passes as a raw message");
    let text = String::from_utf8(mail).unwrap();
    let report = delivery(&text);
    assert_eq!(report.envelope_id.as_deref(), Some("QQ 1"));
    assert_eq!(report.original.message_id.as_deref(), Some("1@example.com"));
    assert_eq!(told(&text), ["bee@example.net failed 550 5.1.1", "büe@example.net delayed - 4.4.1"]);
    insta::assert_snapshot!(text.replace('\r', ""));
    let delivered = [recipient(&bee, Action::Delivered, EnhancedStatus::new(2, 0, 0))];
    let text = String::from_utf8(compose(&notice(&delivered, &addresses, original))).unwrap();
    assert!(
        !text.contains("Text of the message") && text.contains("Content-Type: text/rfc822-headers"),
        "only a failure returns the message: {text}"
    );
}

#[test]
fn what_a_report_returns_is_marked_for_what_it_is_and_never_ends_the_report() {
    let address = |text: &str| EmailAddress::parse(text).unwrap();
    let addresses = [address("mailer-daemon@example.com"), address("a@example.com")];
    let bee = address("bee@example.net");
    let status = EnhancedStatus::new(5, 1, 1);
    let recipients = [NoticeRecipient {
        address: &bee,
        original: None,
        action: Action::Failed,
        status,
        class: None,
        reply: None,
        host: None,
        last_attempt: None,
        retry_until: None,
    }];
    let body = "From: a@example.com\r\nSubject: x\r\n\r\n--=_report-79--\r\nGr\u{fc}\u{df}e\r\n";
    let text = String::from_utf8(compose(&notice(&recipients, &addresses, body.as_bytes()))).unwrap();
    assert_eq!(text.matches("Content-Transfer-Encoding: 8bit\r\n").count(), 2, "of the part and of the whole: {text}");
    assert_eq!(delivery(&text).recipients.len(), 1);
    let large = format!("From: a@example.com\r\n\r\n{}", "x\r\n".repeat(300_000));
    let text = String::from_utf8(compose(&notice(&recipients, &addresses, large.as_bytes()))).unwrap();
    assert!(text.len() < 4_000 && text.contains("text/rfc822-headers"));
}
