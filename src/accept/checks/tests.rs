//! The checks, row by row: what is refused with which code at which field, and what passes.

#![expect(clippy::needless_pass_by_value, reason = "a request is written where it is used")]

use serde_json::{Value, json};
use time::macros::datetime;

use super::*;
use crate::config::Config;

const NOW: OffsetDateTime = datetime!(2026-12-01 09:00 UTC);

fn limits() -> Limits {
    Limits { message_octets: 1 << 20, recipients: 50, attachments: 20, headers: 50, request_memory_octets: 1 << 26, ..Config::default().limits }
}

/// A request that passes, with `change` merged over its fields; null takes a field out.
fn request(change: Value) -> SendRequest {
    let mut whole = json!({"from": "Penny <hello@example.com>", "to": "a@example.net", "subject": "Hi", "text": "Hello"});
    for (name, value) in change.as_object().unwrap() {
        whole[name] = value.clone();
    }
    whole.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    serde_json::from_value(whole).unwrap()
}

fn judged(change: Value) -> Result<Checked, Vec<FieldError>> {
    check(request(change), &limits(), NOW)
}

fn faults(change: Value) -> Vec<(String, Code)> {
    judged(change).err().unwrap_or_default().into_iter().map(|fault| (fault.pointer, fault.code)).collect()
}

#[track_caller]
fn refused(change: Value, pointer: &str, code: Code) {
    assert_eq!(faults(change.clone()), [(pointer.to_owned(), code)], "{change}");
}

fn passed(change: Value) -> Checked {
    judged(change).map_err(|faults| format!("{faults:?}")).unwrap()
}

fn recipients(change: Value) -> Vec<String> {
    passed(change).recipients.iter().map(ToString::to_string).collect()
}

#[test]
fn a1_nothing_that_ends_a_line_gets_into_a_header() {
    for bad in ["a\r\nBcc: x@evil.example", "a\nb", "a\rb", "a\0b", "a\u{2028}b", "a\u{2029}b", "a\u{85}b", "a\u{7f}b"] {
        refused(json!({"subject": bad}), "/subject", Code::HeaderInjection);
        refused(json!({"from": format!("{bad} <hello@example.com>")}), "/from", Code::HeaderInjection);
        refused(json!({"to": ["a@example.net", format!("\"{bad}\" <b@example.net>")]}), "/to/1", Code::HeaderInjection);
        refused(json!({"reply_to": format!("{bad}@example.net")}), "/reply_to", Code::HeaderInjection);
        refused(json!({"headers": {"X-Order": bad}}), "/headers/X-Order", Code::HeaderInjection);
        refused(json!({"headers": {"List-Unsubscribe": format!("<https://a.example/{bad}>")}}), "/headers/List-Unsubscribe", Code::HeaderInjection);
        refused(json!({"tags": {"flow": bad}}), "/tags/flow", Code::HeaderInjection);
        let file = |name: &str, kind: &str, id: &str| json!({"attachments": [{"filename": name, "content": "YQ==", "content_type": kind, "content_id": id}]});
        refused(file(bad, "text/plain", "a"), "/attachments/0/filename", Code::HeaderInjection);
        refused(file("a.txt", &format!("text/plain{bad}"), "a"), "/attachments/0/content_type", Code::HeaderInjection);
        refused(file("a.txt", "text/plain", bad), "/attachments/0/content_id", Code::HeaderInjection);
    }
    for bad in ["X-A\r\nBcc", "X-A\nBcc", "X-A\0"] {
        refused(json!({"headers": {bad: "1"}}), &format!("/headers/{bad}"), Code::HeaderInjection);
    }
}

#[test]
fn a2_fields_that_say_who_sent_what_and_how_are_not_for_callers() {
    for name in [
        "From",
        "to",
        "CC",
        "Bcc",
        "Sender",
        "Reply-To",
        "Subject",
        "Date",
        "Message-ID",
        "message-id",
        "DKIM-Signature",
        "Received",
        "Return-Path",
        "ARC-Seal",
        "arc-message-signature",
        "Authentication-Results",
        "Content-Type",
        "CONTENT-TRANSFER-ENCODING",
        "Resent-From",
        "MIME-Version",
        "X-Pennypost-Id",
    ] {
        refused(json!({"headers": {name: "x"}}), &format!("/headers/{name}"), Code::ReservedHeader);
    }
    let kept = json!({"headers": {"X-Order": "7", "In-Reply-To": "<a@b>", "References": "<a@b>", "List-Unsubscribe": "<https://a.example>", "Auto-Submitted": "no"}});
    let Content::Parts(parts) = passed(kept).content else { panic!("parts expected") };
    assert_eq!(parts.headers.len(), 5);
}

#[test]
fn a3_a_header_name_is_printable_and_short() {
    for name in ["X Foo", "X:Foo", "", "X-Ü", "\u{7f}"] {
        refused(json!({"headers": {name: "x"}}), &format!("/headers/{name}"), Code::InvalidHeader);
    }
    let long = "X".repeat(80);
    refused(json!({"headers": {&long: "x"}}), &format!("/headers/{long}"), Code::InvalidHeader);
    refused(json!({"headers": {"X-Order": "1", "x-order": "2"}}), "/headers/x-order", Code::DuplicateHeader);
}

#[test]
fn a4_headers_are_few_and_short() {
    let many = |count: usize| json!({"headers": (0..count).map(|number| (format!("X-{number}"), json!("1"))).collect::<serde_json::Map<_, _>>()});
    assert!(judged(many(50)).is_ok());
    refused(many(51), "/headers", Code::TooManyHeaders);
    assert!(judged(json!({"headers": {"X-A": "x".repeat(998)}})).is_ok());
    refused(json!({"headers": {"X-A": "x".repeat(999)}}), "/headers/X-A", Code::InvalidHeader);
    refused(json!({"subject": "x".repeat(999)}), "/subject", Code::InvalidHeader);
}

#[test]
fn a7_an_author_is_one_address_that_cannot_deceive() {
    for from in [
        "a@x.example, b@y.example",
        "Group: a@x.example;",
        "a@victim.example,",
        "x <victim@bank .com>",
        "Penny",
        "boss@bank.example <evil@x.example>",
        "A (comment) <a@x.example>",
        "Name <>",
        "",
    ] {
        refused(json!({"from": from}), "/from", Code::InvalidAddress);
    }
    refused(json!({"from": null}), "/from", Code::Required);
}

#[test]
fn a9_to_a14_odd_addresses_are_refused_where_they_stand() {
    for to in [
        "<a@b.example> SIZE=1",
        "\"foo@x> ORCPT=rfc822;y\"@z.example",
        "<@a.example,@b.example:c@d.example>",
        "u@[127.0.0.1]",
        "u@localhost",
        "u@1.2.3.4",
        "undisclosed-recipients:;",
        "a@b@c.example",
    ] {
        refused(json!({"to": ["ok@example.net", to]}), "/to/1", Code::InvalidAddress);
    }
    refused(json!({"to": format!("{}@example.com", "a".repeat(65))}), "/to", Code::InvalidAddress);
    assert_eq!(recipients(json!({"to": "\"a@evil.example x\"@good.example"})), ["\"a@evil.example x\"@good.example"]);
}

#[test]
fn a11_and_a15_recipients_are_distinct_in_their_one_spelling_and_within_the_limit() {
    let to =
        json!({"to": ["a@bücher.example", "A <a@XN--BCHER-KVA.example>", "\"a\"@bücher.example"], "cc": "a@bücher.example", "bcc": ["b@x.example"]});
    assert_eq!(recipients(to), ["a@xn--bcher-kva.example", "b@x.example"]);
    let many = |count: usize| json!({"to": (0..count).map(|number| format!("u{number}@example.net")).collect::<Vec<_>>()});
    assert_eq!(recipients(many(50)).len(), 50);
    refused(many(51), "/to", Code::TooManyRecipients);
    refused(json!({"to": []}), "/to", Code::NoRecipients);
    assert_eq!(recipients(json!({"to": [], "bcc": "b@x.example"})), ["b@x.example"]);
}

#[test]
fn a18_attachments_are_plain_files() {
    let file = |name: &str| json!({"attachments": [{"filename": name, "content": "YQ=="}]});
    for (name, code) in [
        ("../../etc/passwd", Code::InvalidFilename),
        ("C:\\temp\\a.txt", Code::InvalidFilename),
        ("", Code::InvalidFilename),
        ("..", Code::InvalidFilename),
        ("cod\u{202e}fdp.doc", Code::InvalidFilename),
        ("a.exe", Code::ForbiddenAttachment),
        ("A.PDF.ScR", Code::ForbiddenAttachment),
        ("a.exe.", Code::ForbiddenAttachment),
    ] {
        refused(file(name), "/attachments/0/filename", code);
    }
    assert!(judged(file(&format!("{}.pdf", "x".repeat(251)))).is_ok());
    refused(file(&"x".repeat(256)), "/attachments/0/filename", Code::InvalidFilename);
    let with = |content: &str, kind: &str| json!({"attachments": [{"filename": "a.bin", "content": content, "content_type": kind}]});
    for content in ["YQ", "Y Q==", "not base64!", "YQ==\n"] {
        refused(with(content, "text/plain"), "/attachments/0/content", Code::InvalidBase64);
    }
    refused(with("", "text/plain"), "/attachments/0/content", Code::EmptyAttachment);
    for kind in ["multipart/mixed", "message/rfc822", "pdf", "text/", ""] {
        refused(with("YQ==", kind), "/attachments/0/content_type", Code::InvalidContentType);
    }
    let many = |count: usize| json!({"attachments": vec![json!({"filename": "a.txt", "content": "YQ=="}); count]});
    assert!(judged(many(20)).is_ok());
    refused(many(21), "/attachments", Code::TooManyAttachments);
    refused(many(10_000), "/attachments", Code::TooManyAttachments);
    let inline = json!({"filename": "a.png", "content": "YQ==", "content_id": "logo"});
    refused(json!({"attachments": [inline, inline]}), "/attachments/1/content_id", Code::InvalidContentId);
}

#[test]
fn a20_templates_are_refused_in_plain_words() {
    refused(json!({"template": {"name": "welcome", "variables": {"a": {"b": 1}}}}), "/template", Code::NotSupported);
}

#[test]
fn a22_times_have_a_zone_and_lie_ahead() {
    for (at, code) in [
        ("2026-12-01T08:58:59Z", Code::TimeInPast),
        ("2036-12-01T09:00:00Z", Code::TimeTooFar),
        ("2026-12-31T09:00:01Z", Code::TimeTooFar),
        ("2026-12-02T09:00:00", Code::InvalidTime),
        ("2026-02-30T09:00:00Z", Code::InvalidTime),
        ("9999-12-31T23:59:59-23:59", Code::TimeTooFar),
        ("tomorrow", Code::InvalidTime),
        ("1796122800", Code::InvalidTime),
    ] {
        refused(json!({"send_at": at}), "/send_at", code);
    }
    assert_eq!(passed(json!({"send_at": "2026-12-01T08:59:30Z"})).send_at, None, "less than a minute ago means now");
    assert_eq!(passed(json!({"send_at": "2026-12-02T10:00:00+01:00"})).send_at, Some(datetime!(2026-12-02 09:00 UTC)));
    refused(json!({"expires_at": "2026-12-01T09:00:00Z"}), "/expires_at", Code::TimeInPast);
    refused(json!({"send_at": "2026-12-02T09:00:00Z", "expires_at": "2026-12-02T08:00:00Z"}), "/expires_at", Code::TimeInPast);
    refused(json!({"expires_at": "2027-01-01T09:00:00Z"}), "/expires_at", Code::TimeTooFar);
    assert_eq!(passed(json!({"expires_at": "2026-12-01T10:00:00Z"})).expires_at, Some(datetime!(2026-12-01 10:00 UTC)));
}

#[test]
fn tags_metadata_and_stream_have_limits() {
    let tags = |count: usize| json!({"tags": (0..count).map(|number| (format!("t{number}"), json!("1"))).collect::<serde_json::Map<_, _>>()});
    assert_eq!(passed(tags(20)).tags.len(), 20);
    refused(tags(21), "/tags", Code::TooManyTags);
    refused(json!({"tags": {"a b": "1"}}), "/tags/a b", Code::InvalidTag);
    refused(json!({"tags": {"a": "ü".repeat(257)}}), "/tags/a", Code::InvalidTag);
    assert!(judged(json!({"tags": {"a": "ü".repeat(256)}})).is_ok());
    for bad in [json!([1]), json!("text"), json!({"a": "x".repeat(8192)}), json!({"a": ["b\0"]}), json!({"a\0": 1}), json!({"n": [1e30]})] {
        refused(json!({"metadata": bad}), "/metadata", Code::InvalidMetadata);
    }
    assert_eq!(passed(json!({"metadata": {"order": {"id": 7}}})).metadata, json!({"order": {"id": 7}}));
    assert_eq!(passed(json!({})).metadata, json!({}));
    assert!(judged(json!({"metadata": {"large": u64::MAX, "small": i64::MIN, "share": 0.1}})).is_ok());
    refused(json!({"stream": "a b"}), "/stream", Code::InvalidLabel);
    assert_eq!(passed(json!({})).stream.as_str(), "transactional");
}

#[test]
fn a_message_has_a_subject_and_a_body() {
    refused(json!({"subject": null}), "/subject", Code::Required);
    refused(json!({"text": null}), "/text", Code::NoContent);
    assert!(judged(json!({"subject": "", "text": null, "html": "<p>Hi</p>"})).is_ok());
}

#[test]
fn every_fault_is_told_at_once_up_to_a_hundred() {
    let found = faults(json!({"from": "x", "to": ["y", "z"], "subject": "a\nb", "headers": {"To": "x"}, "stream": ""}));
    let codes: Vec<_> = found.iter().map(|(pointer, code)| (pointer.as_str(), *code)).collect();
    for expected in [
        ("/from", Code::InvalidAddress),
        ("/to/0", Code::InvalidAddress),
        ("/to/1", Code::InvalidAddress),
        ("/subject", Code::HeaderInjection),
        ("/headers/To", Code::ReservedHeader),
        ("/stream", Code::InvalidLabel),
    ] {
        assert!(codes.contains(&expected), "{expected:?} is not in {codes:?}");
    }
    assert_eq!(faults(json!({"to": vec!["x"; 1000]})).len(), super::super::fault::MAX_FAULTS);
}

mod raw_form {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    const MESSAGE: &str =
        "From: Penny <hello@example.com>\r\nTo: a@example.net\r\nSubject: Hi\r\nDate: Tue, 1 Dec 2026 09:00:00 +0000\r\n\r\nHello\r\n";

    fn raw(change: Value) -> Value {
        let mut whole = json!({
            "from": null, "to": null, "subject": null, "text": null,
            "envelope": {"from": "bounce@example.com", "to": ["a@example.net", "a@EXAMPLE.net"]}, "raw": STANDARD.encode(MESSAGE)
        });
        for (name, value) in change.as_object().unwrap() {
            whole[name] = value.clone();
        }
        whole
    }

    #[test]
    fn a_whole_message_passes_with_its_envelope() {
        let checked = passed(raw(json!({})));
        assert_eq!(checked.recipients.len(), 1);
        let Content::Raw(raw_message) = checked.content else { panic!("raw expected") };
        assert_eq!(raw_message.bytes, MESSAGE.as_bytes());
        assert_eq!(raw_message.reverse_path.to_string(), "<bounce@example.com>");
        let Content::Raw(report) = passed(raw(json!({"envelope": {"from": "<>", "to": "a@example.net"}}))).content else { panic!("raw expected") };
        assert_eq!(report.reverse_path, ReversePath::Null);
    }

    #[test]
    fn what_is_not_one_is_refused() {
        refused(raw(json!({"raw": null})), "/raw", Code::Required);
        refused(raw(json!({"envelope": null})), "/envelope", Code::Required);
        refused(raw(json!({"raw": "???"})), "/raw", Code::InvalidBase64);
        refused(raw(json!({"raw": STANDARD.encode("Subject: no author\r\n\r\nHello\r\n")})), "/raw", Code::InvalidMessage);
        refused(raw(json!({"subject": "Hi"})), "/subject", Code::Conflict);
        refused(raw(json!({"envelope": {"from": "x", "to": "a@example.net"}})), "/envelope/from", Code::InvalidAddress);
        refused(raw(json!({"envelope": {"from": "b@example.com", "to": ["a@example.net", "x"]}})), "/envelope/to/1", Code::InvalidAddress);
        refused(raw(json!({"envelope": {"from": "b@example.com", "to": []}})), "/envelope/to", Code::NoRecipients);
        refused(
            raw(json!({"envelope": {"from": "a@b.example\r\nRCPT TO:<c@d.example>", "to": "a@example.net"}})),
            "/envelope/from",
            Code::HeaderInjection,
        );
    }
}
