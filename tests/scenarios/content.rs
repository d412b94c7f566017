//! The content and its end: what is lost on the way, what is not known, and that it arrives octet for octet.

use std::time::Duration;

use pennypost::lab::sink::{Offer, SinkSettings};
use serde_json::json;

use super::world::World;
use super::world::gateway::eventually;
use super::world::script::{TAKEN, after_hello};
use super::world::telling::{assert_waits, assert_waits_at_least, attempts, last_attempt, reply, told};

/// Up to the 354.
const GRANTED: &str = "C: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: DATA\nS: 354 go\n";

// R11
#[tokio::test]
async fn a_connection_lost_inside_the_content_is_deferred_and_known_not_to_have_been_taken() {
    let world = World::new().await;
    let cut = after_hello(&format!("{GRANTED}C: DKIM\n!reset"));
    let host = world.scripted_mx("example.net", &[&cut, &after_hello(TAKEN)]).await;
    let second = world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    let long = "A line of some length that fills the buffers of both sides in the end.\n".repeat(150_000);
    let id = gateway.send_with(&["bee@example.net"], json!({ "text": long })).await;
    let delivery = gateway.attempted(&id, "bee@example.net", 1).await;
    assert_eq!(told(&delivery), "queued deferred body host 4.4.2");
    assert_waits(&delivery, 60.0);
    assert_eq!((host.connections(), second.counts().connections), (1, 0));
    world.advance(Duration::from_secs(75));
    assert_eq!(attempts(&gateway.delivery_in(&id, "bee@example.net", "delivered").await), 2);
    gateway.stop().await;
}

// R12
#[tokio::test]
async fn a_reply_lost_after_the_final_dot_is_told_as_unknown_and_the_same_octets_are_sent_after_half_an_hour() {
    let world = World::new().await;
    let first = world.accepting_mx("example.net").await;
    let second = world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    let id = gateway.send(&["drop@example.net"]).await;
    let delivery = gateway.attempted(&id, "drop@example.net", 1).await;
    assert_eq!(told(&delivery), "queued deferred end_of_data message 4.4.2 unknown");
    assert_waits_at_least(&delivery, 1800.0);
    let message = gateway.message(&id).await;
    let deferred = message["events"].as_array().unwrap().iter().find(|event| event["kind"] == "deferred").unwrap();
    assert_eq!(deferred["data"]["outcome_unknown"], true);
    // Another message goes out at once: the host is well, and no other host was asked for the lost one.
    let other = gateway.send(&["bee@example.net"]).await;
    gateway.delivery_in(&other, "bee@example.net", "delivered").await;
    assert_eq!((first.counts().messages, second.counts().connections), (2, 0));
    world.advance(Duration::from_mins(40));
    gateway.attempted(&id, "drop@example.net", 2).await;
    let copies: Vec<_> = first.received().into_iter().filter(|message| message.recipients == ["drop@example.net"]).collect();
    assert_eq!(copies.len(), 2);
    assert_eq!(copies[0].content, copies[1].content, "Message-ID and all");
    assert_eq!(second.counts().connections, 0);
    gateway.stop().await;
}

// R13 R12
#[tokio::test]
async fn a_reply_nine_minutes_after_the_dot_is_waited_for_and_one_after_ten_is_not() {
    let world = World::new().await;
    let slow = world.scripted_mx("slow.example", &[&after_hello(&format!("{GRANTED}C: .\n!wait 540\nS: 250 2.0.0 taken"))]).await;
    let mute = world.scripted_mx("mute.example", &[&after_hello(&format!("{GRANTED}C: .\n!silence"))]).await;
    let gateway = world.gateway().await;
    let id = gateway.send(&["bee@slow.example", "bee@mute.example"]).await;
    eventually(|| async {
        let both = [&slow, &mute].iter().all(|host| host.heard().contains(&".".to_owned()));
        if both { Ok(()) } else { Err("the content is not there yet".to_owned()) }
    })
    .await;
    world.advance(Duration::from_secs(540));
    let delivery = gateway.delivery_in(&id, "bee@slow.example", "delivered").await;
    assert_eq!((attempts(&delivery), slow.connections()), (1, 1));
    assert_eq!(gateway.delivery(&id, "bee@mute.example").await["state"], "active", "waited for still");
    world.advance(Duration::from_secs(60));
    let delivery = gateway.attempted(&id, "bee@mute.example", 1).await;
    assert_eq!(told(&delivery), "queued deferred end_of_data message 4.4.2 unknown");
    assert_eq!(reply(&delivery), "no answer within 600 s");
    assert_waits_at_least(&delivery, 1800.0);
    gateway.stop().await;
}

// R15
#[tokio::test]
async fn what_happens_after_the_last_250_changes_nothing() {
    let world = World::new().await;
    let reset = world.scripted_mx("reset.example", &[&after_hello(&format!("{TAKEN}!reset"))]).await;
    let mute = world.scripted_mx("mute.example", &[&after_hello(&format!("{TAKEN}C: QUIT\n!silence"))]).await;
    let gateway = world.gateway().await;
    let id = gateway.send(&["bee@reset.example", "bee@mute.example"]).await;
    for recipient in ["bee@reset.example", "bee@mute.example"] {
        assert_eq!(attempts(&gateway.delivery_in(&id, recipient, "delivered").await), 1);
    }
    world.advance(Duration::from_secs(30));
    gateway.stop().await;
    assert_eq!((reset.connections(), mute.connections()), (1, 1));
}

// R25
#[tokio::test]
async fn a_host_that_stops_reading_holds_a_session_for_three_minutes() {
    let world = World::new().await;
    let host = world.scripted_mx("example.net", &[&after_hello(&format!("{GRANTED}!stall"))]).await;
    let gateway = world.gateway().await;
    let long = "A line of some length that fills the buffers of both sides in the end.\n".repeat(150_000);
    let id = gateway.send_with(&["bee@example.net"], json!({ "text": long })).await;
    eventually(|| async { if host.heard().contains(&"DATA".to_owned()) { Ok(()) } else { Err("no DATA yet".to_owned()) } }).await;
    // Another message passes it in a session of its own domain meanwhile.
    world.accepting_mx("example.org").await;
    let other = gateway.send(&["bee@example.org"]).await;
    gateway.delivery_in(&other, "bee@example.org", "delivered").await;
    world.advance(Duration::from_secs(181));
    let delivery = gateway.attempted(&id, "bee@example.net", 1).await;
    assert_eq!(told(&delivery), "queued deferred body host 4.4.2");
    assert_eq!(reply(&delivery), "no answer within 180 s");
    assert_eq!(host.connections(), 1);
    gateway.stop().await;
}

// R26
#[tokio::test]
async fn every_message_arrives_octet_for_octet_and_none_breaks_out_of_its_content() {
    let world = World::new().await;
    let by_dot = Offer { chunking: false, ..SinkSettings::default().offer };
    let plain = Offer { chunking: false, pipelining: false, ..SinkSettings::default().offer };
    let sinks = [
        ("bdat.example", world.mx("bdat.example", SinkSettings::default()).await),
        ("dot.example", world.mx("dot.example", SinkSettings { offer: by_dot, ..SinkSettings::default() }).await),
        ("plain.example", world.mx("plain.example", SinkSettings { offer: plain, ..SinkSettings::default() }).await),
    ];
    let second = "MAIL FROM:<a@sender.example>\r\nRCPT TO:<smuggled@bdat.example>\r\nDATA\r\nX: y\r\n\r\nz\r\n";
    let texts: Vec<String> =
        ["\n.\n", "\n.\r\n", "\r\n.\r\n", "\r.\r", "\r\n.\n", "\n.\r", "\r\n\0.\r\n", "\r\n..\r\n", "\n..\n.", ".\n", "", "\r\n.\r\r\n"]
            .iter()
            .map(|end| format!("before{end}{second}"))
            .chain([".".to_owned(), "..".to_owned(), "\u{2028}.\u{85}.".to_owned(), "long ".repeat(500), "Käse 🧀".repeat(300)])
            .collect();
    let head = "From: hello@sender.example\r\nTo: bee@x.example\r\nSubject: x\r\nDate: Mon, 23 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@sender.example>\r\n";
    let raws = [
        format!("{head}\r\n.\r\n..\r\n.x\r\n"),
        format!("{head}\r\n\r\n.\r\n\r\n"),
        format!("{head}X-Folded: a\r\n .b\r\n\r\ntext without an end"),
        format!("{head}MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n.Käse\r\n.\r\n"),
    ];
    let gateway = world.gateway().await;
    let mut sent = Vec::new();
    for (domain, _) in &sinks {
        let recipient = format!("bee@{domain}");
        for text in &texts {
            let answer = gateway.post("/v1/send", &json!({ "from": "hello@sender.example", "to": [recipient], "subject": "x", "text": text })).await;
            // What cannot stand in a text is refused; nothing is ever changed in silence.
            if answer.status == 202 {
                sent.push((answer.json()["id"].as_str().unwrap().to_owned(), recipient.clone()));
            } else {
                assert_eq!(answer.status, 422, "{}", String::from_utf8_lossy(&answer.body));
            }
        }
        for raw in &raws {
            sent.push((gateway.send_raw(&[&recipient], raw.as_bytes()).await, recipient.clone()));
        }
    }
    assert!(sent.len() >= 3 * 15, "{}", sent.len());
    for (id, recipient) in &sent {
        let delivery = gateway.delivery_in(id, recipient, "delivered").await;
        let raw = gateway.get(&format!("/v1/messages/{id}/raw")).await.body;
        let (_, sink) = sinks.iter().find(|(domain, _)| recipient.ends_with(domain)).unwrap();
        let found = sink.received().into_iter().filter(|message| message.content == raw).count();
        assert!(found >= 1, "{} in {:#?}\n{delivery:#}", String::from_utf8_lossy(&raw), last_attempt(&delivery)["transcript"]);
    }
    let arrived: u64 = sinks.iter().map(|(_, sink)| sink.counts().messages).sum();
    assert_eq!(arrived, sent.len() as u64, "as many messages as were sent, and no other");
    assert!(sinks.iter().flat_map(|(_, sink)| sink.received()).all(|message| message.recipients[0].starts_with("bee@")));
    assert!(sinks[0].1.received().iter().any(|message| message.chunked) && !sinks[1].1.received().iter().any(|message| message.chunked));
    gateway.stop().await;
}
