//! Bad input to `POST /v1/send`: each wrong field is named with its rule, and a refused request leaves nothing behind.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;

use super::world::World;
use super::world::api::{CANARY, Ledger, patched, sendable};
use super::world::gateway::Gateway;

/// Fields to change, the code of the answer, the field it names.
type Row = (Value, &'static str, String);

fn row(patch: Value, code: &'static str, pointer: &str) -> Row {
    (patch, code, pointer.to_owned())
}

/// Posts each row and checks its problem, and that no row of any table came of it.
async fn refuse_all(rows: Vec<Row>) {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let mut ledger = Ledger::open(&world.database_url).await;
    let before = ledger.counts().await;
    for (number, (patch, code, pointer)) in rows.iter().enumerate() {
        let what: String = patch.to_string().chars().take(300).collect();
        let body = patched(patched(sendable(), &json!({ "metadata": { "password": CANARY } })), patch).to_string();
        let answer = gateway.call("POST", "/v1/send", &[("idempotency-key", &format!("row {number}"))], body.as_bytes()).await;
        answer.assert_field(code, pointer, &what);
        assert_eq!(ledger.counts().await, before, "{what} left something behind");
    }
    assert_accepts(&gateway, json!({})).await;
    gateway.stop().await;
}

async fn assert_accepts(gateway: &Gateway, patch: Value) -> Value {
    let answer = gateway.post("/v1/send", &patched(sendable(), &patch)).await;
    assert_eq!(answer.status, 202, "{patch}: {}", answer.text());
    answer.json()
}

#[tokio::test]
async fn nothing_that_ends_a_line_gets_into_a_header() {
    let mut rows = Vec::new();
    for bad in ["\r", "\n", "\r\nBcc: x@y.example", "\0", "\u{2028}", "\u{2029}", "\u{85}", "\u{b}", "\u{7f}", "\t", "\u{1b}[2J"] {
        let text = format!("a{bad}b");
        let named = format!("A{bad}b <bee@example.net>");
        let code = "header-injection";
        rows.push(row(json!({ "subject": text }), code, "/subject"));
        rows.push(row(json!({ "from": format!("P{bad}y <hello@sender.example>") }), code, "/from"));
        rows.push(row(json!({ "from": format!("hello@sender.example{bad}") }), code, "/from"));
        rows.push(row(json!({ "to": [named] }), code, "/to/0"));
        rows.push(row(json!({ "to": named }), code, "/to"));
        rows.push(row(json!({ "to": ["ok@example.net", format!("bee{bad}@example.net")] }), code, "/to/1"));
        rows.push(row(json!({ "cc": [named] }), code, "/cc/0"));
        rows.push(row(json!({ "bcc": [named] }), code, "/bcc/0"));
        rows.push(row(json!({ "reply_to": [named] }), code, "/reply_to/0"));
        rows.push(row(json!({ "headers": { "X-Order": text } }), code, "/headers/X-Order"));
        rows.push(row(json!({ "headers": { "List-Unsubscribe": format!("<https://sender.example/{bad}>") } }), code, "/headers/List-Unsubscribe"));
        rows.push(row(json!({ "tags": { "flow": text } }), code, "/tags/flow"));
        for (field, value) in [("filename", format!("a{bad}.pdf")), ("content_type", format!("text/{bad}plain")), ("content_id", text.clone())] {
            let file = patched(json!({ "filename": "a.pdf", "content": "YQ==" }), &json!({ field: value }));
            rows.push(row(json!({ "attachments": [file] }), code, &format!("/attachments/0/{field}")));
        }
    }
    for bad in ["X-A\r\nBcc", "X-A\n", "\rX", "X\0"] {
        rows.push(row(json!({ "headers": { bad: "v" } }), "header-injection", &format!("/headers/{bad}")));
    }
    refuse_all(rows).await;
}

#[tokio::test]
async fn fields_that_tell_who_sent_what_are_not_set_by_callers() {
    let names = [
        "From",
        "from",
        "TO",
        "Cc",
        "Bcc",
        "bCC",
        "Sender",
        "Reply-To",
        "Subject",
        "Date",
        "Message-ID",
        "message-id",
        "MIME-Version",
        "DKIM-Signature",
        "dkim-signature",
        "Received",
        "Return-Path",
        "ARC-Seal",
        "ARC-Message-Signature",
        "arc-authentication-results",
        "Authentication-Results",
        "Content-Type",
        "content-transfer-encoding",
        "Content-Disposition",
        "Content-X",
        "Resent-From",
        "Resent-Bcc",
        "resent-date",
        "Delivered-To",
        "X-Pennypost-Id",
    ];
    refuse_all(names.iter().map(|name| row(json!({ "headers": { *name: "x" } }), "reserved-header", &format!("/headers/{name}"))).collect()).await;
}

#[tokio::test]
async fn header_names_and_values_have_their_forms_and_limits() {
    let long = "x".repeat(80);
    let many = |count: usize| -> Value { (0..count).map(|number| (format!("X-{number}"), json!("v"))).collect::<serde_json::Map<_, _>>().into() };
    refuse_all(vec![
        row(json!({ "headers": { "X Foo": "v" } }), "invalid-header", "/headers/X Foo"),
        row(json!({ "headers": { "X:Foo": "v" } }), "invalid-header", "/headers/X:Foo"),
        row(json!({ "headers": { "": "v" } }), "invalid-header", "/headers/"),
        row(json!({ "headers": { &long: "v" } }), "invalid-header", &format!("/headers/{long}")),
        row(json!({ "headers": { "X-Ü": "v" } }), "invalid-header", "/headers/X-Ü"),
        row(json!({ "headers": { "X/~Y\u{2028}": "v" } }), "invalid-header", "/headers/X~1~0Y\u{2028}"),
        row(json!({ "headers": { "X-A": "1", "x-a": "2" } }), "duplicate-header", "/headers/x-a"),
        row(json!({ "headers": { "X-A": "y".repeat(999) } }), "invalid-header", "/headers/X-A"),
        row(json!({ "headers": { "X-A": "y".repeat(100_000) } }), "invalid-header", "/headers/X-A"),
        row(json!({ "subject": "y".repeat(999) }), "invalid-header", "/subject"),
        row(json!({ "headers": many(51) }), "too-many-headers", "/headers"),
        row(json!({ "headers": many(1000) }), "too-many-headers", "/headers"),
        row(json!({ "headers": { "X-A": 7 } }), "wrong-type", "/headers/X-A"),
        row(json!({ "headers": [["X-A", "1"]] }), "wrong-type", "/headers"),
    ])
    .await;
    let world = World::new().await;
    world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    assert_accepts(&gateway, json!({ "headers": many(50) })).await;
    assert_accepts(&gateway, json!({ "headers": { "X-A": "y".repeat(998), &long[..76]: "v" }, "subject": "y".repeat(998) })).await;
    gateway.stop().await;
}

#[tokio::test]
async fn an_author_that_could_deceive_is_refused() {
    let bad = [
        "a@sender.example, b@sender.example",
        "Group: a@sender.example;",
        "undisclosed-recipients:;",
        "a@victim.example,",
        "x <victim@bank .com>",
        "Penny",
        "",
        " ",
        "@sender.example",
        "hello@",
        "boss@bank.example <hello@sender.example>",
        "\"boss@bank.example\" <hello@sender.example>",
        "A (comment) <hello@sender.example>",
        "hello@sender.example (comment)",
        "hello(comment)@sender.example",
        "<hello@sender.example> SIZE=1",
        "a <boss@bank.example> <hello@sender.example>",
        "<@a.example,@b.example:hello@sender.example>",
        "Name <>",
        "<>",
        "<<hello@sender.example>>",
        "hello@sender.example>",
        "<hello@sender.example",
        "\"Penny <hello@sender.example>",
        "Penny\" <hello@sender.example>",
        "a@b@sender.example",
        "hello @sender.example",
        "hello@ sender.example",
        "mailto:hello@sender.example",
        "=?utf-8?q?a?=@sender.example <x",
    ];
    let mut rows: Vec<Row> = bad.iter().map(|text| row(json!({ "from": text }), "invalid-address", "/from")).collect();
    rows.push(row(json!({ "from": null }), "required", "/from"));
    rows.push(row(json!({ "from": ["hello@sender.example"] }), "wrong-type", "/from"));
    rows.push(row(json!({ "from": { "email": "hello@sender.example" } }), "wrong-type", "/from"));
    rows.push(row(json!({ "subject": null }), "required", "/subject"));
    rows.push(row(json!({ "text": null }), "no-content", "/text"));
    refuse_all(rows).await;
}

#[tokio::test]
async fn addresses_that_no_mail_is_sent_to_are_refused() {
    let label = "b".repeat(63);
    let bad = [
        "plain".to_owned(),
        "@example.net".into(),
        "a@".into(),
        "a@@example.net".into(),
        "a@b@example.net".into(),
        ".a@example.net".into(),
        "a.@example.net".into(),
        "a..b@example.net".into(),
        "a b@example.net".into(),
        "a\"b@example.net".into(),
        "\"a\"b@example.net".into(),
        "\"a@example.net".into(),
        "\"\"@example.net".into(),
        "\"a\\\"@example.net".into(),
        "(c)a@example.net".into(),
        "a(c)@example.net".into(),
        "a@example.net(c)".into(),
        "a,b@example.net".into(),
        "a;b@example.net".into(),
        "a:b@example.net".into(),
        "a[b@example.net".into(),
        "a\\b@example.net".into(),
        "a<b@example.net".into(),
        "\u{200b}a@example.net".into(),
        "a\u{202e}b@example.net".into(),
        "a@example..net".into(),
        "a@.example.net".into(),
        "a@-example.net".into(),
        "a@example-.net".into(),
        "a@exa mple.net".into(),
        "a@exa_mple!.net".into(),
        "a@example.net/x".into(),
        "a@example.net:25".into(),
        "a@example.net.".into(),
        "a@example\u{2024}\u{0}net".into(),
        "a@xn--a.example".into(),
        "a@Xn--a.example".into(),
        "a@xN--zzzzzzz99999.example".into(),
        "a@\u{ad}.example".into(),
        "a@192.168.1.1".into(),
        "u@[127.0.0.1]".into(),
        "u@[IPv6:::1]".into(),
        "u@localhost".into(),
        "u@net".into(),
        "u@1.2.3.4".into(),
        "u@0x7f.1".into(),
        "<@a.example,@b.example:c@d.example>".into(),
        "@a.example,@b.example:c@d.example".into(),
        "user%other".into(),
        "host!user".into(),
        "\"foo@x> ORCPT=rfc822;y\"@z.example".into(),
        "<a@b.example> SIZE=1".into(),
        "a@b.example> SIZE=1".into(),
        "a@b.example NOTIFY=NEVER".into(),
        format!("{}@example.net", "a".repeat(65)),
        format!("{}@example.net", "ü".repeat(33)),
        format!("a@{}.example", "b".repeat(64)),
        format!("a@{label}.{label}.{label}.{label}"),
        format!("{}@{label}.{label}.{}.example", "a".repeat(64), "b".repeat(60)),
    ];
    let mut rows: Vec<Row> =
        bad.iter().filter(|text| !text.contains('\0')).map(|text| row(json!({ "to": [text] }), "invalid-address", "/to/0")).collect();
    for field in ["cc", "bcc", "reply_to"] {
        rows.push(row(json!({ field: ["a@example.net", "b@"] }), "invalid-address", &format!("/{field}/1")));
        rows.push(row(json!({ field: [["a@example.net"]] }), "wrong-type", &format!("/{field}/0")));
    }
    rows.push(row(json!({ "to": ["a@b.example\r\nRCPT TO:<c@d.example>"] }), "header-injection", "/to/0"));
    rows.push(row(json!({ "to": 7 }), "wrong-type", "/to"));
    refuse_all(rows).await;
}

#[tokio::test]
async fn the_number_of_recipients_has_its_limits() {
    let many = |count: usize| -> Vec<String> { (0..count).map(|number| format!("a{number}@example.net")).collect() };
    refuse_all(vec![
        row(json!({ "to": null }), "no-recipients", "/to"),
        row(json!({ "to": [] }), "no-recipients", "/to"),
        row(json!({ "to": [], "cc": [], "bcc": [], "reply_to": ["a@example.net"] }), "no-recipients", "/to"),
        row(json!({ "to": many(51) }), "too-many-recipients", "/to"),
        row(json!({ "to": many(50), "cc": ["b@example.net"] }), "too-many-recipients", "/to"),
        row(json!({ "to": many(25), "bcc": ["b@example.net"], "cc": many(60)[25..50] }), "too-many-recipients", "/to"),
        row(json!({ "reply_to": many(51) }), "too-many-recipients", "/reply_to"),
    ])
    .await;
    let world = World::new().await;
    world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    assert_eq!(assert_accepts(&gateway, json!({ "to": many(50) })).await["deliveries"], 50);
    let three = json!({ "to": ["bee@example.net", "\"bee\"@EXAMPLE.net"], "cc": ["Bee <bee@example.net>"], "bcc": ["bee@example.net"] });
    assert_eq!(assert_accepts(&gateway, three).await["deliveries"], 1, "one address however it is written is one delivery");
    let idn = json!({ "to": ["a@bücher.example", "a@BÜCHER.example", "a@xn--bcher-kva.example", "a@bu\u{308}cher.example"] });
    assert_eq!(assert_accepts(&gateway, idn).await["deliveries"], 1, "U-labels and A-labels are one domain");
    gateway.stop().await;
}

#[tokio::test]
async fn attachments_that_could_harm_or_do_not_read_are_refused() {
    let file = |patch: Value| json!({ "attachments": [patched(json!({ "filename": "a.pdf", "content": "YQ==" }), &patch)] });
    let mut rows = Vec::new();
    for bad in
        ["!", "YQ", "YQ=", "Y Q==", "YQ==\n", "data:text/plain;base64,YQ==", "file:///etc/passwd", "https://sender.example/a.pdf", "YQ==YQ==", "_-8="]
    {
        rows.push(row(file(json!({ "content": bad })), "invalid-base64", "/attachments/0/content"));
    }
    rows.push(row(file(json!({ "content": "" })), "empty-attachment", "/attachments/0/content"));
    for bad in
        ["../../etc/passwd", "..\\..\\a.pdf", "/etc/passwd", "C:\\a.pdf", "..", ".", "", "invoice\u{202e}fdp.exe", "a\u{200f}b.pdf", "\u{2066}x.pdf"]
    {
        rows.push(row(file(json!({ "filename": bad })), "invalid-filename", "/attachments/0/filename"));
    }
    rows.push(row(file(json!({ "filename": "x".repeat(300) })), "invalid-filename", "/attachments/0/filename"));
    rows.push(row(file(json!({ "filename": "ü".repeat(128) })), "invalid-filename", "/attachments/0/filename"));
    for bad in ["a.exe", "A.EXE", "invoice.pdf.scr", "a.exe.", "a.exe ", "a.exe . ", "x.js\u{feff}.bat", "run.cmd", "a.ps1", "a.lnk", "a.jar"] {
        rows.push(row(file(json!({ "filename": bad })), "forbidden-attachment", "/attachments/0/filename"));
    }
    for bad in
        ["multipart/mixed", "Message/RFC822", "text/plain; charset=utf-8", "text", "/", "a/b/c", "text/pl ain", "tëxt/plain", "\"text\"/plain", ""]
    {
        rows.push(row(file(json!({ "content_type": bad })), "invalid-content-type", "/attachments/0/content_type"));
    }
    for bad in ["", "<>", "a b", "a>b", "ü", "a\"b", "a,b"] {
        rows.push(row(file(json!({ "content_id": bad })), "invalid-content-id", "/attachments/0/content_id"));
    }
    let inline = json!({ "filename": "a.png", "content": "YQ==", "content_id": "logo" });
    rows.push(row(json!({ "attachments": [inline, inline] }), "invalid-content-id", "/attachments/1/content_id"));
    let small = json!({ "filename": "a", "content": "YQ==" });
    rows.push(row(json!({ "attachments": vec![small.clone(); 101] }), "too-many-attachments", "/attachments"));
    rows.push(row(json!({ "attachments": vec![small; 10_000] }), "too-many-attachments", "/attachments"));
    // Files are never fetched: whatever names a place is unknown here.
    for (field, place) in
        [("url", "https://sender.example/a.pdf"), ("path", "/etc/passwd"), ("href", "file:///etc/passwd"), ("uri", "http://169.254.169.254/")]
    {
        rows.push(row(json!({ "attachments": [{ "filename": "a.pdf", field: place }] }), "unknown-field", &format!("/attachments/0/{field}")));
        rows.push(row(file(json!({ field: place })), "unknown-field", &format!("/attachments/0/{field}")));
    }
    rows.push(row(json!({ "attachments": ["https://sender.example/a.pdf"] }), "wrong-type", "/attachments/0"));
    rows.push(row(json!({ "attachments": [{ "content": "YQ==" }] }), "required", "/attachments/0/filename"));
    rows.push(row(json!({ "attachments": [{ "filename": "a.pdf" }] }), "required", "/attachments/0/content"));
    rows.push(row(json!({ "attachments": [["a.pdf", "YQ=="]] }), "wrong-type", "/attachments/0"));
    refuse_all(rows).await;
}

#[tokio::test]
async fn times_must_have_a_zone_and_lie_in_reach() {
    let now = pennypost::clock::Clock::system().now();
    let at = |days: i64, seconds: i64| (now + time::Duration::days(days) + time::Duration::seconds(seconds)).format(&Rfc3339).unwrap();
    let mut rows = Vec::new();
    for bad in [
        "",
        "tomorrow",
        "2026-12-01",
        "2026-12-01T09:00:00",
        "2026-12-01 09:00",
        "2026-03-29T02:30:00 Europe/Berlin",
        "2026-03-29T02:30:00[Europe/Berlin]",
        "2026-13-01T09:00:00Z",
        "2026-02-30T09:00:00Z",
        "2026-12-01T25:00:00Z",
        "1796115600",
        "+002026-12-01T09:00:00Z",
        "2026-12-01T09:00:00+99:00",
        "99999-01-01T00:00:00Z",
        "now()",
        "2026-12-01T09:00:00Z' or 1=1--",
    ] {
        rows.push(row(json!({ "send_at": bad }), "invalid-time", "/send_at"));
        rows.push(row(json!({ "expires_at": bad }), "invalid-time", "/expires_at"));
    }
    rows.push(row(json!({ "send_at": at(0, -61) }), "time-in-past", "/send_at"));
    rows.push(row(json!({ "send_at": "1970-01-01T00:00:00Z" }), "time-in-past", "/send_at"));
    rows.push(row(json!({ "send_at": "0000-01-01T00:00:00Z" }), "time-in-past", "/send_at"));
    rows.push(row(json!({ "send_at": at(31, 0) }), "time-too-far", "/send_at"));
    rows.push(row(json!({ "send_at": at(3652, 0) }), "time-too-far", "/send_at"));
    rows.push(row(json!({ "send_at": "9999-12-31T23:59:59Z" }), "time-too-far", "/send_at"));
    rows.push(row(json!({ "expires_at": at(0, -1) }), "time-in-past", "/expires_at"));
    rows.push(row(json!({ "expires_at": at(31, 0) }), "time-too-far", "/expires_at"));
    rows.push(row(json!({ "expires_at": "9999-12-31T23:59:59-23:59" }), "time-too-far", "/expires_at"));
    rows.push(row(json!({ "send_at": at(2, 0), "expires_at": at(1, 0) }), "time-in-past", "/expires_at"));
    rows.push(row(json!({ "send_at": 1_796_115_600 }), "wrong-type", "/send_at"));
    refuse_all(rows).await;
}

#[tokio::test]
async fn what_a_message_carries_beside_its_content_has_its_forms_and_limits() {
    let tags = |count: usize| -> Value { (0..count).map(|number| (format!("t{number}"), json!("v"))).collect::<serde_json::Map<_, _>>().into() };
    let deep = (0..200).fold(json!(1), |inner, _| json!([inner]));
    let mut rows = vec![
        row(json!({ "tags": tags(21) }), "too-many-tags", "/tags"),
        row(json!({ "tags": { "": "v" } }), "invalid-tag", "/tags/"),
        row(json!({ "tags": { "a b": "v" } }), "invalid-tag", "/tags/a b"),
        row(json!({ "tags": { "ü": "v" } }), "invalid-tag", "/tags/ü"),
        row(json!({ "tags": { "x".repeat(65): "v" } }), "invalid-tag", &format!("/tags/{}", "x".repeat(65))),
        row(json!({ "tags": { "flow": "v".repeat(257) } }), "invalid-tag", "/tags/flow"),
        row(json!({ "tags": { "flow": 1 } }), "wrong-type", "/tags/flow"),
        row(json!({ "tags": ["flow"] }), "wrong-type", "/tags"),
        row(json!({ "metadata": [1] }), "invalid-metadata", "/metadata"),
        row(json!({ "metadata": "text" }), "invalid-metadata", "/metadata"),
        row(json!({ "metadata": { "a": "x".repeat(8192) } }), "invalid-metadata", "/metadata"),
        row(json!({ "metadata": { "a": "\0" } }), "invalid-metadata", "/metadata"),
        row(json!({ "metadata": { "a\0": [1] } }), "invalid-metadata", "/metadata"),
        row(json!({ "metadata": { "a": [{ "b": "\0" }] } }), "invalid-metadata", "/metadata"),
        row(json!({ "stream": "" }), "invalid-label", "/stream"),
        row(json!({ "stream": "a b" }), "invalid-label", "/stream"),
        row(json!({ "stream": "x".repeat(65) }), "invalid-label", "/stream"),
        row(json!({ "priority": "urgent" }), "unknown-value", "/priority"),
        row(json!({ "priority": 1 }), "wrong-type", "/priority"),
        row(json!({ "template": { "name": "welcome" } }), "not-supported", "/template"),
        row(json!({ "subjekt": "Hi" }), "unknown-field", "/subjekt"),
        row(json!({ "from_": CANARY }), "unknown-field", "/from_"),
        row(json!({ "__proto__": {} }), "unknown-field", "/__proto__"),
        row(json!({ "text": 5 }), "wrong-type", "/text"),
        row(json!({ "html": ["<p>"] }), "wrong-type", "/html"),
    ];
    rows.extend([12_345_678_901_234_567_890_123_f64, -1e30].map(|huge| row(json!({ "metadata": { "n": huge } }), "invalid-metadata", "/metadata")));
    assert!(deep.to_string().len() < 8192);
    refuse_all(rows).await;
}

#[tokio::test]
async fn a_raw_message_must_be_one_that_every_receiver_reads_alike() {
    let raw = |message: &str| json!({ "from": null, "to": null, "subject": null, "text": null, "envelope": { "from": "hello@sender.example", "to": ["bee@example.net"] }, "raw": STANDARD.encode(message) });
    let good = "From: Penny <hello@sender.example>\r\nSubject: Hi\r\n\r\nA line.\r\n";
    let mut rows = Vec::new();
    for bad in [
        "",
        "\r\n\r\nbody\r\n",
        "no header at all",
        "Subject: no author\r\n\r\nx\r\n",
        "From: hello@sender.example\nSubject: bare\n\nx\n",
        "From: hello@sender.example\r\n\r\na\n.\nb\r\n",
        "From: hello@sender.example\r\n\r\na\r.\rb\r\n",
        "From: hello@sender.example\r\n\r\na\0b\r\n",
        "From: hello@sender.example\r\nFrom: boss@bank.example\r\n\r\nx\r\n",
        "From: hello@sender.example\r\nSubject: a\r\nSubject: b\r\n\r\nx\r\n",
        "From: hello@sender.example, boss@bank.example\r\n\r\nx\r\n",
        "From : hello@sender.example\r\n\r\nx\r\n",
        "From: \"boss@bank.example\" <hello@sender.example>\r\n\r\nx\r\n",
        " From: hello@sender.example\r\n\r\nx\r\n",
        "From: hello@sender.example\r\nX\r\n\r\nx\r\n",
        "From: hello@sender.example\r\nX-\u{fc}: y\r\n\r\nx\r\n",
    ] {
        rows.push(row(raw(bad), "invalid-message", "/raw"));
    }
    rows.push(row(raw(&format!("From: hello@sender.example\r\n\r\n{}\r\n", "x".repeat(999))), "invalid-message", "/raw"));
    rows.push(row(raw(&format!("From: hello@sender.example\r\n{}\r\nx\r\n", "X: y\r\n".repeat(10_000))), "invalid-message", "/raw"));
    rows.push(row(patched(raw(good), &json!({ "raw": "!" })), "invalid-base64", "/raw"));
    rows.push(row(
        json!({ "from": null, "to": null, "subject": null, "text": null, "envelope": { "from": "hello@sender.example", "to": ["a@b.example"] } }),
        "required",
        "/raw",
    ));
    rows.push(row(json!({ "from": null, "to": null, "subject": null, "text": null, "raw": STANDARD.encode(good) }), "required", "/envelope"));
    for (patch, code, pointer) in [
        (json!({ "envelope": { "from": "hello@sender.example", "to": [] } }), "no-recipients", "/envelope/to"),
        (json!({ "envelope": { "from": "Penny <hello@sender.example>", "to": "bee@example.net" } }), "invalid-address", "/envelope/from"),
        (json!({ "envelope": { "from": "", "to": "bee@example.net" } }), "invalid-address", "/envelope/from"),
        (json!({ "envelope": { "from": "hello@sender.example> SIZE=1", "to": "bee@example.net" } }), "invalid-address", "/envelope/from"),
        (
            json!({ "envelope": { "from": "hello@sender.example\r\nRCPT TO:<x@y.example>", "to": "bee@example.net" } }),
            "header-injection",
            "/envelope/from",
        ),
        (
            json!({ "envelope": { "from": "hello@sender.example", "to": ["ok@example.net", "Bee <bee@example.net>"] } }),
            "invalid-address",
            "/envelope/to/1",
        ),
        (json!({ "envelope": { "from": "hello@sender.example", "to": "a@b.example\r\nDATA" } }), "header-injection", "/envelope/to"),
        (json!({ "envelope": { "from": "hello@sender.example" } }), "required", "/envelope/to"),
        (
            json!({ "envelope": { "from": "hello@sender.example", "to": ["bee@example.net"], "notify": "never" } }),
            "unknown-field",
            "/envelope/notify",
        ),
        (json!({ "subject": "Hi" }), "conflict", "/subject"),
        (json!({ "from": "hello@sender.example" }), "conflict", "/from"),
        (json!({ "bcc": ["x@y.example"] }), "conflict", "/bcc"),
        (json!({ "attachments": [{ "filename": "a", "content": "YQ==" }] }), "conflict", "/attachments"),
    ] {
        let mut both = raw(good);
        both.as_object_mut().unwrap().extend(patch.as_object().unwrap().clone());
        rows.push(row(both, code, pointer));
    }
    refuse_all(rows).await;
}

#[tokio::test]
async fn every_fault_of_a_request_is_told_at_once_and_the_list_is_bounded() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let many: Vec<String> = (0..5000).map(|_| "nobody".to_owned()).collect();
    let body = json!({ "from": "x", "to": many, "subject": "a\nb", "headers": { "To": "y" }, "send_at": "soon" });
    let answer = gateway.post("/v1/send", &body).await;
    let problem = answer.assert_problem(422, "invalid-request", "many faults");
    let errors = problem["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 100);
    let codes: std::collections::BTreeSet<_> = errors.iter().map(|error| error["code"].as_str().unwrap()).collect();
    assert!(codes.contains("invalid-time") && codes.contains("invalid-address"), "{codes:?}");
    let body = json!({ "from": "x", "to": ["nobody", "a@example.net"], "subject": "a\nb", "headers": { "To": "y" }, "send_at": "soon" });
    let problem = gateway.post("/v1/send", &body).await.assert_problem(422, "invalid-request", "five faults");
    let told: Vec<_> = problem["errors"].as_array().unwrap().iter().map(|error| error["pointer"].as_str().unwrap().to_owned()).collect();
    assert_eq!(told, ["/send_at", "/from", "/to/0", "/subject", "/text", "/headers/To"]);
    gateway.stop().await;
}
