//! What can be said in `POST /v1/send`, read back from what arrived at the recipient's mail server.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mail_parser::{HeaderForm, Message, MessageParser, MimeHeaders};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::world::World;
use super::world::api::{patched, sendable};
use super::world::gateway::{Gateway, eventually};

/// Sends and answers what arrived at `mx` for the recipient.
async fn arrived(gateway: &Gateway, mx: &pennypost::lab::sink::Sink, recipient: &str, patch: Value) -> Vec<u8> {
    let answer = gateway.post("/v1/send", &patched(patched(sendable(), &json!({ "to": [recipient] })), &patch)).await;
    assert_eq!(answer.status, 202, "{patch}: {}", answer.text());
    let address = recipient.rsplit_once('<').map_or(recipient, |(_, address)| address.trim_end_matches('>'));
    eventually(|| async {
        mx.received().into_iter().find(|message| message.recipients.iter().any(|known| known == address)).ok_or(format!("{address} not yet"))
    })
    .await
    .content
}

fn parsed(content: &[u8]) -> Message<'_> {
    MessageParser::default().parse(content).unwrap()
}

/// A field's text with its encoded words read.
fn decoded(message: &Message<'_>, name: &'static str) -> String {
    message.header_as(name, HeaderForm::Text).first().and_then(|value| value.as_text()).unwrap_or_default().to_owned()
}

/// The messages as Python's email package reads them; none without a Python.
fn read_by_python(messages: &[Vec<u8>]) -> Option<Vec<Value>> {
    const SCRIPT: &str = r#"
import base64, email, email.policy, json, sys
out = []
for text in json.load(sys.stdin):
    m = email.message_from_bytes(base64.b64decode(text), policy=email.policy.default)
    parts, defects = [], [str(d) for d in m.defects]
    for p in m.walk():
        defects += [str(d) for d in p.defects]
        for value in p.values():
            defects += [str(d) for d in getattr(value, 'defects', ())]
        if not p.is_multipart():
            data = p.get_payload(decode=True)
            parts.append({'type': p.get_content_type(), 'name': p.get_filename(), 'disposition': p.get_content_disposition(),
                          'id': p.get('Content-ID'), 'data': base64.b64encode(data).decode()})
    out.append({'subject': m['Subject'], 'from': [[a.display_name, a.addr_spec] for a in m['From'].addresses],
                'to': [[a.display_name, a.addr_spec] for a in m['To'].addresses] if m['To'] else [],
                'structure': [p.get_content_type() for p in m.walk()], 'parts': parts, 'defects': defects,
                'names': [k.lower() for k in m.keys()], 'headers': {k.lower(): str(v) for k, v in m.items()}})
json.dump(out, sys.stdout)
"#;
    let mut child = Command::new("python3").args(["-c", SCRIPT]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
    let encoded: Vec<String> = messages.iter().map(|message| STANDARD.encode(message)).collect();
    child.stdin.take()?.write_all(json!(encoded).to_string().as_bytes()).ok()?;
    let output = child.wait_with_output().ok()?;
    assert!(output.status.success());
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

#[tokio::test]
async fn names_and_texts_of_all_scripts_arrive_as_they_were_given() {
    let world = World::new().await;
    let mx = world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    let long = "Eine sehr lange Zeile mit Umlauten äöüß, die gefaltet werden muss, weil sie nicht auf eine Zeile passt. ".repeat(8);
    let cases = [
        ("Pénny Wörld", "Grüße, 世界 🐧", "Übung\nmacht\n\nden Meister\n"),
        ("\"Penny, Inc. (Mail)\"", "=?utf-8?q?not_encoded?=", "From here\n.\n..dots\nFrom there\n"),
        ("Пенни Пост", "مرحبا بالعالم", "שלום עולם\n"),
        ("ペニーポスト株式会社", "  two spaces at both ends  ", "trailing space \nand = signs =3D\n"),
        ("'Penny' <&> \u{1f600}", "", "\u{feff}bom and \0 nul"),
        ("Penny", long.as_str(), long.as_str()),
    ];
    let mut messages = Vec::new();
    for (number, (name, subject, text)) in cases.iter().enumerate() {
        let quoted = if name.starts_with('"') { (*name).to_owned() } else { format!("\"{name}\"") };
        let to = format!("{quoted} <c{number}@example.net>");
        let patch = json!({ "from": format!("{quoted} <hello@sender.example>"), "subject": subject, "text": text, "html": format!("<p>{text}</p>") });
        let patch = if subject.len() > 998 { patched(patch, &json!({ "subject": long.chars().take(800).collect::<String>() })) } else { patch };
        messages.push(arrived(&gateway, &mx, &to, patch).await);
        let content = messages.last().unwrap();
        assert!(content.is_ascii(), "only ASCII leaves: {name}");
        assert!(content.split(|octet| *octet == b'\n').all(|line| line.len() <= 999), "no line over 998 octets: {name}");
        let message = parsed(content);
        let plain = name.trim_matches('"');
        let from = message.from().unwrap().first().unwrap();
        assert_eq!((from.name(), from.address()), (Some(plain), Some("hello@sender.example")));
        assert_eq!(message.to().unwrap().first().unwrap().name(), Some(plain));
        let expected: String = subject.chars().take(800).collect();
        if subject.len() <= 998 {
            assert_eq!(message.subject().unwrap_or_default(), *subject);
        } else {
            assert_eq!(message.subject().unwrap(), expected);
        }
        let lines = |text: &str| text.replace("\r\n", "\n").trim_end_matches(['\r', '\n']).to_owned();
        assert_eq!(lines(&message.body_text(0).unwrap()), lines(text));
        assert_eq!(lines(&message.body_html(0).unwrap()), format!("<p>{text}</p>"));
    }
    if let Some(read) = read_by_python(&messages) {
        for ((name, subject, _), seen) in cases.iter().zip(&read) {
            assert_eq!(seen["defects"], json!([]), "{name}");
            assert_eq!(seen["from"], json!([[name.trim_matches('"'), "hello@sender.example"]]));
            if subject.len() <= 998 && !subject.starts_with(' ') {
                assert_eq!(seen["subject"], *subject);
            }
            assert_eq!(seen["structure"], json!(["multipart/alternative", "text/plain", "text/html"]));
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn text_and_html_and_files_are_put_together_as_readers_expect() {
    let world = World::new().await;
    let mx = world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    let every_octet: Vec<u8> = (0..=255).cycle().take(5000).collect();
    let file = json!({ "filename": "Rechnung für 世界.pdf", "content": STANDARD.encode(&every_octet), "content_type": "application/pdf" });
    let note = json!({ "filename": "a \"quoted\"; name.txt", "content": STANDARD.encode("Grüße\n"), "content_type": "Text/Plain" });
    let bare = json!({ "filename": format!("{}.bin", "long-name-".repeat(20)), "content": "AA==" });
    let logo =
        json!({ "filename": "logo.png", "content": STANDARD.encode(b"\x89PNG\r\n\x1a\n"), "content_type": "image/png", "content_id": "<logo@x>" });
    let html = "<img src=\"cid:logo@x\">";
    let cases = [
        (json!({}), vec!["text/plain"]),
        (json!({ "text": null, "html": "<p>only</p>" }), vec!["text/html"]),
        (json!({ "html": "<p>both</p>" }), vec!["multipart/alternative", "text/plain", "text/html"]),
        (json!({ "attachments": [file] }), vec!["multipart/mixed", "text/plain", "application/pdf"]),
        (json!({ "html": html, "attachments": [logo] }), vec!["multipart/alternative", "text/plain", "multipart/related", "text/html", "image/png"]),
        (
            json!({ "html": html, "attachments": [file, logo, note, bare] }),
            vec![
                "multipart/mixed",
                "multipart/alternative",
                "text/plain",
                "multipart/related",
                "text/html",
                "image/png",
                "application/pdf",
                "text/plain",
                "application/octet-stream",
            ],
        ),
    ];
    let mut messages = Vec::new();
    for (number, (patch, _)) in cases.iter().enumerate() {
        messages.push(arrived(&gateway, &mx, &format!("c{number}@example.net"), patch.clone()).await);
    }
    let last = parsed(messages.last().unwrap());
    let names: Vec<_> = last.attachments().map(|part| part.attachment_name().unwrap_or_default().to_owned()).collect();
    let long = format!("{}.bin", "long-name-".repeat(20));
    for name in ["Rechnung für 世界.pdf", "logo.png", "a _quoted_; name.txt", long.as_str()] {
        assert!(names.iter().any(|known| known == name), "{name} among {names:?}");
    }
    let pdf = last.attachments().find(|part| part.attachment_name() == Some("Rechnung für 世界.pdf")).unwrap();
    assert_eq!(pdf.contents(), every_octet, "a file arrives octet for octet");
    let image = last.attachments().find(|part| part.attachment_name() == Some("logo.png")).unwrap();
    assert_eq!(image.content_id(), Some("logo@x"));
    for ((patch, structure), seen) in cases.iter().zip(read_by_python(&messages).unwrap_or_default()) {
        assert_eq!(seen["structure"], json!(structure), "{patch}");
        assert_eq!(seen["defects"], json!([]), "{patch}");
        for part in seen["parts"].as_array().unwrap().iter().filter(|part| part["type"] == "application/pdf") {
            assert_eq!(part["data"], STANDARD.encode(&every_octet));
            assert_eq!((&part["name"], &part["disposition"]), (&json!("Rechnung für 世界.pdf"), &json!("attachment")));
        }
        for part in seen["parts"].as_array().unwrap().iter().filter(|part| part["type"] == "image/png") {
            assert_eq!((&part["id"], &part["disposition"]), (&json!("<logo@x>"), &json!("inline")));
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn every_message_has_one_of_each_field_and_bcc_in_none() {
    let world = World::new().await;
    let (mx, other) = (world.accepting_mx("example.net").await, world.accepting_mx("example.org").await);
    let gateway = world.gateway().await;
    let patch = json!({
        "cc": ["Cee <cee@example.org>"], "bcc": ["Hidden One <hidden@example.net>", "secret@example.org"],
        "reply_to": ["Answers <answers@else.example>", "more@else.example"],
        "headers": { "X-Order": "7", "List-Unsubscribe": "<https://sender.example/u?a=1>, <mailto:u@sender.example>", "X-Ünï": null },
    });
    let patch = patched(
        patch,
        &json!({ "headers": { "X-Order": "7 Ä", "List-Unsubscribe": "<https://sender.example/u?a=1>, <mailto:u@sender.example>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click", "In-Reply-To": "<a@b.example>", "X-Long": "word ".repeat(190).trim_end() } }),
    );
    let content = arrived(&gateway, &mx, "bee@example.net", patch).await;
    for address in ["hidden@example.net", "secret@example.org", "cee@example.org"] {
        eventually(|| async {
            let all: Vec<_> = mx.received().into_iter().chain(other.received()).collect();
            all.iter().any(|message| message.recipients.iter().any(|known| known == address)).then_some(()).ok_or(format!("{address} not yet"))
        })
        .await;
    }
    for message in mx.received().iter().chain(&other.received()) {
        let text = String::from_utf8_lossy(&message.content).to_lowercase();
        for word in ["hidden", "secret", "bcc"] {
            assert!(!text.contains(word), "{word} shows in {text}");
        }
        assert_eq!(text.matches("dkim-signature:").count(), 2);
    }
    let message = parsed(&content);
    for name in ["From", "To", "Cc", "Reply-To", "Subject", "Date", "Message-ID", "MIME-Version", "X-Order", "List-Unsubscribe"] {
        assert_eq!(message.header_values(name.to_owned()).count(), 1, "{name}");
    }
    assert_eq!(decoded(&message, "X-Order"), "7 Ä");
    assert_eq!(decoded(&message, "X-Long"), "word ".repeat(190).trim_end());
    let replies: Vec<_> = message.reply_to().unwrap().iter().map(|address| (address.name(), address.address().unwrap())).collect();
    assert_eq!(replies, [(Some("Answers"), "answers@else.example"), (None, "more@else.example")]);
    if let Some(seen) = read_by_python(&[content]) {
        let names: Vec<_> = seen[0]["names"].as_array().unwrap().iter().filter_map(Value::as_str).filter(|name| *name != "dkim-signature").collect();
        let distinct: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(names.len(), distinct.len(), "{names:?}");
        assert_eq!(seen[0]["headers"]["list-unsubscribe"], "<https://sender.example/u?a=1>, <mailto:u@sender.example>");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn international_domains_and_local_parts_are_sent_in_their_forms() {
    let world = World::new().await;
    let idn = world.accepting_mx("xn--bcher-kva.example").await;
    let mx = world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    arrived(&gateway, &idn, "Bücherei <bee@xn--bcher-kva.example>", json!({ "to": ["Bücherei <bee@BÜCHER.example>"] })).await;
    assert!(!idn.received()[0].content.windows(2).any(|pair| pair == "ü".as_bytes()), "the domain stands in A-labels");
    let content = arrived(&gateway, &mx, "büro@example.net", json!({})).await;
    assert!(String::from_utf8(content).unwrap().contains("To: büro@example.net"), "a local part stands as it is, with SMTPUTF8");
    let content = arrived(&gateway, &mx, "\"a@evil.example x\"@example.net", json!({})).await;
    assert!(String::from_utf8(content).unwrap().contains("\"a@evil.example x\"@example.net"), "quoted local parts go exactly as they were given");
    gateway.stop().await;
}

#[tokio::test]
async fn a_raw_message_leaves_octet_for_octet() {
    let world = World::new().await;
    let mx = world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    let send = async |recipient: &str, message: &[u8]| {
        let body =
            json!({ "envelope": { "from": "hello@sender.example", "to": [recipient] }, "raw": STANDARD.encode(message), "tags": { "form": "raw" } });
        let answer = gateway.post("/v1/send", &body).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        let id = answer.json()["id"].as_str().unwrap().to_owned();
        gateway.delivery_in(&id, recipient, "delivered").await;
        let received = mx.received().into_iter().find(|message| message.recipients == [recipient]).unwrap();
        (id, received)
    };
    let whole = "Received: from a by b; Mon, 23 Nov 2026 10:00:00 +0000\r\nfrom:  Penny   <hello@sender.example>\r\nTo: anybody@else.example\r\nDate: Mon, 23 Nov 2026 10:00:00 +0100\r\nMessage-ID: <given@sender.example>\r\nSubject: folded\r\n\tby a tab\r\n\r\nA line.\r\n..\r\n.\r\nend  \r\n\r\n\r\n";
    let (id, received) = send("a@example.net", whole.as_bytes()).await;
    let text = String::from_utf8(received.content).unwrap();
    assert!(text.ends_with(whole), "nothing is changed: {text}");
    let shown = gateway.message(&id).await;
    assert_eq!(
        (&shown["message_id"], &shown["from"], &shown["tags"]["form"]),
        (&json!("given@sender.example"), &json!("hello@sender.example"), &json!("raw"))
    );

    let bare = "From: Penny <hello@sender.example>\r\nBcc: hidden@example.net,\r\n more@example.net\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe=00?=\r\n\r\nK\u{f6}rper\r\n";
    let (id, received) = send("b@example.net", bare.as_bytes()).await;
    let text = String::from_utf8(received.content).unwrap();
    assert!(!text.contains("hidden") && !text.contains("more@"), "Bcc fields do not leave: {text}");
    assert_eq!(text.matches("\r\nDate: ").count() + usize::from(text.starts_with("Date: ")), 1);
    assert!(text.contains(&format!("<{id}@sender.example>")), "the Message-ID is made of the id: {text}");
    let shown = gateway.message(&id).await;
    assert!(shown["subject"].as_str().unwrap().starts_with("Grüße"), "{shown}");

    let utf8 = "From: Penny <hello@sender.example>\r\nSubject: Gr\u{fc}\u{df}e\r\n\r\nx\r\n";
    let (_, received) = send("c@example.net", utf8.as_bytes()).await;
    assert!(String::from_utf8(received.content).unwrap().contains("Subject: Grüße\r\n"));

    let null = json!({ "envelope": { "from": "<>", "to": ["d@example.net"] }, "raw": STANDARD.encode(whole) });
    assert_eq!(gateway.post("/v1/send", &null).await.status, 202);
    let report =
        eventually(|| async { mx.received().into_iter().find(|message| message.recipients == ["d@example.net"]).ok_or("not yet".to_owned()) }).await;
    assert_eq!(report.reverse_path, "");
    gateway.stop().await;
}

#[tokio::test]
async fn a_raw_header_in_utf_8_is_not_sent_to_a_server_that_does_not_take_it() {
    use pennypost::lab::sink::{Offer, SinkSettings};
    let world = World::new().await;
    let offer = Offer { smtputf8: false, ..SinkSettings::default().offer };
    let mx = world.mx("example.net", SinkSettings { offer, ..SinkSettings::default() }).await;
    let gateway = world.gateway().await;
    let body = json!({ "envelope": { "from": "hello@sender.example", "to": ["bee@example.net"] },
        "raw": STANDARD.encode("From: Penny <hello@sender.example>\r\nSubject: Gr\u{fc}\u{df}e\r\n\r\nx\r\n") });
    let id = gateway.post("/v1/send", &body).await.json()["id"].as_str().unwrap().to_owned();
    let delivery = gateway.delivery_in(&id, "bee@example.net", "bounced").await;
    assert_eq!(delivery["attempts"][0]["enhanced_status"], "5.6.7", "{delivery}");
    assert!(mx.received().is_empty());
    gateway.stop().await;
}

#[tokio::test]
async fn a_message_waits_for_its_time_and_ends_at_its_time() {
    let world = World::new().await;
    let mx = world.accepting_mx("example.net").await;
    world.publish_host("dead.example");
    let gateway = world.gateway().await;
    let at = |seconds: i64| (world.clock.now() + time::Duration::seconds(seconds)).format(&Rfc3339).unwrap();
    let later = gateway.send_with(&["bee@example.net"], json!({ "send_at": at(3600), "priority": "bulk", "stream": "news.letter" })).await;
    let shown = gateway.message(&later).await;
    assert_eq!((&shown["priority"], &shown["stream"]), (&json!("bulk"), &json!("news.letter")));
    assert_eq!(shown["deliveries"][0]["state"], "queued");
    let due = OffsetDateTime::parse(shown["deliveries"][0]["next_attempt_at"].as_str().unwrap(), &Rfc3339).unwrap();
    assert!((due - world.clock.now()).whole_minutes() >= 59, "{shown}");
    let grace = gateway.send_with(&["now@example.net"], json!({ "send_at": at(-50) })).await;
    gateway.delivery_in(&grace, "now@example.net", "delivered").await;
    let short = gateway.send_with(&["bee@dead.example"], json!({ "expires_at": at(1800) })).await;
    gateway.attempted(&short, "bee@dead.example", 1).await;
    assert_eq!(mx.received().len(), 1, "what is planned does not leave early");
    world.advance(Duration::from_secs(3605));
    gateway.delivery_in(&later, "bee@example.net", "delivered").await;
    gateway.delivery_in(&short, "bee@dead.example", "expired").await;
    gateway.stop().await;
}

#[tokio::test]
async fn send_is_the_same_on_both_paths_and_a_key_replays_on_both() {
    let world = World::new().await;
    world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    let body = sendable().to_string();
    let first = gateway.call("POST", "/send", &[("idempotency-key", "one")], body.as_bytes()).await;
    let again = gateway.call("POST", "/v1/send", &[("idempotency-key", "one")], body.as_bytes()).await;
    assert_eq!((first.status, again.status), (202, 202));
    assert_eq!(first.json(), again.json());
    let other = gateway.call("POST", "/send", &[("idempotency-key", "one")], sendable().to_string().replace("Hi", "Ho").as_bytes()).await;
    other.assert_problem(409, "idempotency-key-reuse", "another body");
    gateway.stop().await;
}
