//! What comes back about mail: bounces and complaints find their delivery, once, and only what is proven suppresses.

use std::net::SocketAddr;

use pennypost::config::Listen;
use pennypost::deliver::class::Rules;
use pennypost::inbound::{Heard, Inbound, InboundError, Nothing};
use pennypost::mail::verp::VerpError;
use pennypost::model::EmailAddress;
use serde_json::{Value, json};

use super::return_path::{publish, reverse_paths};
use super::world::gateway::eventually;
use super::world::script::{TAKEN, after_hello};
use super::world::smtp::SmtpClient;
use super::world::telling::kinds;
use super::world::{Gateway, World};

fn inbound(world: &World, gateway: &Gateway) -> Inbound {
    let house = &gateway.running.house;
    Inbound {
        store: house.store.clone(),
        domains: house.domains.clone(),
        clock: world.clock.clone(),
        rules: Rules::built_in(),
        reports: house.reports.clone(),
    }
}

/// A delivery report by the book about some recipients, with what is said of each.
fn report(recipients: &[(&str, &str, &str)], returned: &str) -> String {
    let fields = recipients
        .iter()
        .map(|(recipient, action, said)| {
            format!("\r\nFinal-Recipient: rfc822; {recipient}\r\nAction: {action}\r\nStatus: 5.0.0\r\nDiagnostic-Code: smtp; {said}\r\n")
        })
        .collect::<Vec<_>>()
        .concat();
    format!(
        "Return-Path: <>\r\nFrom: MAILER-DAEMON@relay.example\r\nSubject: Undelivered Mail\r\nContent-Type: multipart/report; boundary=b\r\n\r\n--b\r\n\r\nSorry.\r\n\
         --b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; relay.example\r\n{fields}\r\n--b\r\nContent-Type: text/rfc822-headers\r\n\r\n{returned}\r\n--b--\r\n"
    )
}

fn complaint(recipient: &str, returned: &str) -> String {
    format!(
        "From: fbl@loop.example\r\nSubject: complaint\r\nContent-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n--b\r\n\r\nSpam.\r\n\
         --b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nUser-Agent: Loop/1\r\nOriginal-Rcpt-To: {recipient}\r\n\r\n--b\r\n\
         Content-Type: message/rfc822\r\n\r\n{returned}\r\n\r\nHi\r\n--b--\r\n"
    )
}

async fn suppressed(gateway: &Gateway, address: &str) -> Vec<Value> {
    gateway.get(&format!("/v1/suppressions?address={address}")).await.json()["data"].as_array().unwrap().clone()
}

async fn becomes_suppressed(gateway: &Gateway, address: &str) -> Value {
    eventually(|| async { suppressed(gateway, address).await.pop().ok_or_else(|| format!("{address} is not suppressed")) }).await
}

fn told(heard: &Heard) -> Vec<String> {
    match heard {
        Heard::Told { deliveries, .. } => deliveries.iter().map(ToString::to_string).collect(),
        Heard::Success => panic!("a success"),
        Heard::Nothing(why) => panic!("{why:?}"),
    }
}

/// The last event of a message.
async fn last_event(gateway: &Gateway, id: &str) -> Value {
    gateway.message(id).await["events"].as_array().unwrap().last().unwrap().clone()
}

#[tokio::test]
async fn the_world_may_bring_reports_to_our_bounce_addresses_and_is_relayed_for_by_nobody() {
    let mut world = World::new().await;
    world.config.smtp.mx_listen = Listen::At(SocketAddr::new(world.config.server.http_listen.ip(), 0));
    let one = world.scripted_mx("one.example", &[&after_hello(TAKEN)]).await;
    let gateway = world.gateway().await;
    publish(&world, &gateway, &[]).await;
    let id = gateway.send(&["bee@one.example"]).await;
    gateway.delivery_in(&id, "bee@one.example", "delivered").await;
    let token = reverse_paths(&one).remove(0);
    let mx = gateway.running.mx.unwrap();
    assert_eq!((gateway.running.submission, gateway.running.submissions), (None, None));

    let mut client = SmtpClient::connect(mx).await;
    let hello = client.say("EHLO relay.example").await;
    assert!(hello.contains("STARTTLS") && !hello.contains("AUTH"), "{hello}");
    client.expect("AUTH PLAIN AGEAYg==", "502 5.5.1").await;
    client.expect("MAIL FROM:<>", "250").await;
    client.expect("DATA", "554 5.5.1").await;
    let forged = token.replacen(token.chars().nth(5).unwrap(), "7", 1);
    let (local, domain) = token.split_once('@').unwrap();
    for to in [
        "friend@gmail.example",
        "hello@sender.example",
        &format!("{local}@other.example"),
        &format!("@relay.example:{token}x"),
        &format!("\"friend@gmail.example\"@{domain}"),
        &format!("friend%gmail.example@{domain}"),
        &forged,
    ] {
        let reply = client.say(&format!("RCPT TO:<{to}>")).await;
        assert!(reply.starts_with("55") || reply.starts_with("501 "), "{to}: {reply}");
    }
    client.expect(&format!("RCPT TO:<{}>", token.to_uppercase()), "250").await;
    client.expect("DATA", "354").await;
    client.send(report(&[("bee@one.example", "failed", "550 5.1.1 user unknown")], "")).await;
    client.expect(".", "250 2.6.0").await;
    assert_eq!(kinds(&gateway.message(&id).await), ["delivered", "bounced"]);
    becomes_suppressed(&gateway, "bee@one.example").await;

    let mut client = SmtpClient::connect_starttls(mx).await;
    client.expect("EHLO relay.example", "250").await;
    client.expect("MAIL FROM:<mailer-daemon@relay.example>", "250").await;
    client.expect(&format!("RCPT TO:<{token}>"), "250").await;
    client.expect("DATA", "354").await;
    client.send("From: bee@one.example\r\nSubject: Thanks\r\n\r\nThanks.\r\n").await;
    client.expect(".", "250 2.6.0").await;
    assert_eq!(kinds(&gateway.message(&id).await), ["delivered", "bounced"], "an answer is no report");
    client.expect("QUIT", "221").await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_bounce_that_comes_later_is_told_once_and_suppresses_what_it_condemns() {
    let world = World::new().await;
    let one = world.scripted_mx("one.example", &[&after_hello(&TAKEN.repeat(4))]).await;
    let two = TAKEN.replacen("C: RCPT\nS: 250 ok\n", "C: RCPT\nS: 250 ok\nC: RCPT\nS: 250 ok\n", 1);
    let pair = world.scripted_mx("pair.example", &[&after_hello(&two)]).await;
    let gateway = world.gateway().await;
    publish(&world, &gateway, &[]).await;
    let inbound = inbound(&world, &gateway);

    let id = gateway.send(&["bee@one.example"]).await;
    let delivery = gateway.delivery_in(&id, "bee@one.example", "delivered").await;
    let token = EmailAddress::parse(&reverse_paths(&one)[0]).unwrap();
    // Sent on by the host of bee, and refused there: the report names an address that we never heard of.
    let late = report(&[("bee@forward.example", "failed", "550 5.1.1 <bee@forward.example>: user unknown")], "Message-ID: <x@example.com>");
    for (mail, why) in [
        (report(&[("bee@one.example", "delayed", "450 4.2.2 full")], ""), Nothing::NoFailure),
        (report(&[("bee@one.example", "delivered", "250 ok")], ""), Nothing::NoFailure),
        ("From: bee@one.example\r\nSubject: Out of office\r\n\r\nUser unknown until Monday.\r\n".to_owned(), Nothing::AutoReply),
        ("From: bee@one.example\r\nSubject: Thanks\r\n\r\nThanks.\r\n".to_owned(), Nothing::NoReport),
    ] {
        assert_eq!(inbound.report_arrived(&token, mail.as_bytes()).await.unwrap(), Heard::Nothing(why), "{mail}");
    }
    assert_eq!(kinds(&gateway.message(&id).await), ["delivered"], "none of these is a bounce");

    assert_eq!(told(&inbound.report_arrived(&token, late.as_bytes()).await.unwrap()), [delivery["id"].as_str().unwrap()]);
    assert_eq!(inbound.report_arrived(&token, late.as_bytes()).await.unwrap(), Heard::Nothing(Nothing::Known), "the same report again");
    assert_eq!(kinds(&gateway.message(&id).await), ["delivered", "bounced"]);
    assert_eq!(gateway.delivery(&id, "bee@one.example").await["state"], "bounced");
    let event = last_event(&gateway, &id).await;
    let data = &event["data"];
    assert_eq!((&data["class"], &data["hard"], &data["verified"]), (&json!("bad_mailbox"), &json!(true), &json!(true)), "{event:#}");
    assert_eq!(
        (&data["enhanced_status"], &data["reply_code"], &data["reporting_mta"]),
        (&json!("5.1.1"), &json!(550), &json!("relay.example")),
        "{event:#}"
    );
    assert_eq!((&event["recipient"], &data["reported_recipient"]), (&json!("bee@one.example"), &json!("bee@forward.example")), "{event:#}");
    let entry = becomes_suppressed(&gateway, "bee@one.example").await;
    assert_eq!((&entry["reason"], &entry["class"], &entry["message_id"]), (&json!("bounce"), &json!("bad_mailbox"), &json!(id)), "{entry:#}");

    // What says nothing sure about the address suppresses nobody. The list is filled in the order of events: what comes after is there first.
    let id = gateway.send(&["full@one.example"]).await;
    gateway.delivery_in(&id, "full@one.example", "delivered").await;
    let token = EmailAddress::parse(&reverse_paths(&one)[1]).unwrap();
    inbound.report_arrived(&token, report(&[("full@one.example", "failed", "552 5.2.2 mailbox full")], "").as_bytes()).await.unwrap();
    assert_eq!(last_event(&gateway, &id).await["data"]["class"], "full");

    // Two recipients in one transaction: the token names the message, the report whom it is about.
    let id = gateway.send(&["a@pair.example", "b@pair.example"]).await;
    gateway.delivery_in(&id, "a@pair.example", "delivered").await;
    let of_b = gateway.delivery_in(&id, "b@pair.example", "delivered").await["id"].clone();
    let token = EmailAddress::parse(&reverse_paths(&pair)[0]).unwrap();
    let nobody = report(&[("c@pair.example", "failed", "550 5.1.1 no such user")], "");
    assert_eq!(inbound.report_arrived(&token, nobody.as_bytes()).await.unwrap(), Heard::Nothing(Nothing::NotFound));
    let mail = report(&[("B@Pair.example", "failed", "550 5.1.1 no such user"), ("a@pair.example", "delayed", "450 busy")], "");
    assert_eq!(told(&inbound.report_arrived(&token, mail.as_bytes()).await.unwrap()), [of_b.as_str().unwrap()]);
    becomes_suppressed(&gateway, "b@pair.example").await;
    assert_eq!(gateway.delivery(&id, "a@pair.example").await["state"], "delivered");
    assert!(suppressed(&gateway, "a@pair.example").await.is_empty() && suppressed(&gateway, "full@one.example").await.is_empty());

    let figures = gateway.get("/metrics").await.text();
    assert!(figures.contains("pennypost_reports_total{kind=\"bounce\",result=\"told\"}"), "{figures}");
    gateway.stop().await;
}

// F10
#[tokio::test]
async fn a_forged_token_is_refused_and_a_message_id_alone_suppresses_nobody() {
    let world = World::new().await;
    let host = world.scripted_mx("one.example", &[&after_hello(&TAKEN.repeat(4))]).await;
    world.scripted_mx("busy.example", &[&after_hello("C: MAIL\nS: 250 ok\nC: RCPT\nS: 450 4.2.0 later\n")]).await;
    let gateway = world.gateway().await;
    publish(&world, &gateway, &[]).await;
    let inbound = inbound(&world, &gateway);
    let id = gateway.send(&["bee@one.example"]).await;
    gateway.delivery_in(&id, "bee@one.example", "delivered").await;
    let token = reverse_paths(&host)[0].clone();
    let mail = report(&[("bee@one.example", "failed", "550 5.1.1 no such user")], "");
    let swapped = token.replacen(&token[10..11], if &token[10..11] == "a" { "b" } else { "a" }, 1);
    for (address, expected) in
        [(swapped.as_str(), VerpError::Forged), ("b-nothing@bounce.sender.example", VerpError::NotOurs), ("hello@sender.example", VerpError::NotOurs)]
    {
        match inbound.report_arrived(&EmailAddress::parse(address).unwrap(), mail.as_bytes()).await {
            Err(InboundError::UnknownAddress(error)) => assert!(error == expected || error == VerpError::NotOurs, "{address}: {error}"),
            other => panic!("{address}: {other:?}"),
        }
    }
    assert_eq!(kinds(&gateway.message(&id).await), ["delivered"]);

    // Without a token: by the Message-ID that we made, and by one that came with the message.
    let header = gateway.message(&id).await["message_id"].as_str().unwrap().to_owned();
    let invented = report(&[("bee@one.example", "failed", "550 5.1.1 no such user")], &format!("Message-ID: <{header}>"));
    assert_eq!(told(&inbound.report_forwarded(invented.as_bytes()).await.unwrap()).len(), 1);
    assert_eq!(last_event(&gateway, &id).await["data"]["verified"], false);
    let raw = gateway
        .send_raw(&["cat@one.example"], b"From: hello@sender.example\r\nSubject: x\r\nMessage-ID: <own-1@app.example>\r\n\r\nA line.\r\n")
        .await;
    gateway.delivery_in(&raw, "cat@one.example", "delivered").await;
    let mail = report(&[("cat@one.example", "failed", "550 5.1.1 no such user")], "Message-ID: <own-1@app.example>");
    assert_eq!(told(&inbound.report_forwarded(mail.as_bytes()).await.unwrap()).len(), 1);
    let stranger = report(&[("cat@one.example", "failed", "550 5.1.1 no such user")], "Message-ID: <own-2@app.example>");
    assert_eq!(inbound.report_forwarded(stranger.as_bytes()).await.unwrap(), Heard::Nothing(Nothing::NotFound));

    // A token inside what is returned proves as much as one in the envelope; complaints suppress in their stream.
    let third = gateway.send_with(&["dog@one.example"], json!({ "stream": "news" })).await;
    gateway.delivery_in(&third, "dog@one.example", "delivered").await;
    let spam = complaint("dog@one.example", &format!("Return-Path: <{}>\r\nTo: dog@one.example", reverse_paths(&host)[2]));
    assert_eq!(told(&inbound.report_forwarded(spam.as_bytes()).await.unwrap()).len(), 1);
    assert_eq!(inbound.report_forwarded(spam.as_bytes()).await.unwrap(), Heard::Nothing(Nothing::Known));
    let entry = becomes_suppressed(&gateway, "dog@one.example").await;
    assert_eq!((&entry["reason"], &entry["stream"]), (&json!("complaint"), &json!("news")), "{entry:#}");
    assert_eq!(gateway.delivery(&third, "dog@one.example").await["state"], "delivered", "who complains has it");
    assert!(suppressed(&gateway, "bee@one.example").await.is_empty() && suppressed(&gateway, "cat@one.example").await.is_empty());

    // What is still tried is not over.
    let waiting = gateway.send(&["ant@busy.example"]).await;
    gateway.attempted(&waiting, "ant@busy.example", 1).await;
    let header = gateway.message(&waiting).await["message_id"].as_str().unwrap().to_owned();
    let mail = report(&[("ant@busy.example", "failed", "550 5.1.1 no such user")], &format!("Message-ID: <{header}>"));
    assert_eq!(inbound.report_forwarded(mail.as_bytes()).await.unwrap(), Heard::Nothing(Nothing::NotFound));
    gateway.stop().await;
}
