//! Mail that is passed on: within the session of who brought it, under a reverse-path of ours, with nothing changed that was signed.

use std::collections::HashMap;
use std::time::Duration;

use pennypost::clock::Clock;
use pennypost::mail::authenticate::seals::{ArcState, DkimResult, Keys, verify};
use pennypost::mail::dkim::{self, Algorithm, Signer};
use pennypost::model::{DomainName, EmailAddress};
use pennypost::net::authenticator::{Authenticator, Spf};
use pennypost::net::dns::Resolver;
use pennypost::routes::NewAction;
use serde_json::json;

use super::inbound::{route, world};
use super::return_path::{publish, reverse_paths};
use super::world::gateway::eventually;
use super::world::script::{TAKEN, after_hello};
use super::world::smtp::SmtpClient;
use super::world::{Gateway, World};

/// What a sender outside brings; each message of a test has its own subject.
pub(super) fn letter(subject: &str) -> String {
    format!(
        "From: Bee <bee@world.example>\r\nTo: info@sender.example\r\nSubject: {subject}\r\nMessage-ID: <{subject}@world.example>\r\n\r\nA line.\r\n"
    )
}

/// A world whose domain is published, and whose senders outside are proven by SPF.
pub(super) async fn forwarding_world(change: impl FnOnce(&mut World)) -> (World, Gateway) {
    let mut world = world().await;
    "https://mail.sender.example".clone_into(&mut world.config.server.public_url);
    change(&mut world);
    world.zone.add("world.example TXT \"v=spf1 ip4:127.0.0.0/8 -all\"").unwrap();
    world.zone.add("mail.sender.example A 127.0.0.1").unwrap();
    let gateway = world.gateway().await;
    publish(&world, &gateway, &[]).await;
    (world, gateway)
}

/// A route to some addresses, all of whose owners agreed.
pub(super) async fn forward(world: &World, gateway: &Gateway, pattern: &str, targets: &[&str]) {
    let targets = targets.iter().map(|target| EmailAddress::parse(target).unwrap()).collect();
    route(gateway, pattern, NewAction::Forward(targets)).await;
    world.execute("update route_target set confirmed_at = now(), asked_at = now()").await;
    world.advance(Duration::from_secs(6));
}

/// Brings a message from the world to one address; answers the last reply.
pub(super) async fn brought(gateway: &Gateway, from: &str, to: &str, message: &str) -> String {
    let mut client = SmtpClient::connect(gateway.running.mx.unwrap()).await;
    client.expect("EHLO relay.world.example", "250").await;
    client.expect(&format!("MAIL FROM:<{from}>"), "250").await;
    let reply = client.say(&format!("RCPT TO:<{to}>")).await;
    if !reply.starts_with("250") {
        return reply;
    }
    client.expect("DATA", "354").await;
    client.send(message).await;
    client.say(".").await
}

async fn key_of(gateway: &Gateway) -> (String, String) {
    let domains = gateway.get("/v1/domains").await.json();
    let records = domains["data"][0]["records"].as_array().unwrap().clone();
    let record = records.iter().find(|record| record["value"].as_str().unwrap().contains("k=rsa")).unwrap();
    (record["name"].as_str().unwrap().to_owned(), record["value"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_message_is_passed_on_as_it_came_under_a_reverse_path_of_ours() {
    let (world, gateway) = forwarding_world(|_| {}).await;
    let pair = dkim::generate(Algorithm::Ed25519).unwrap();
    let signer = Signer::new(&DomainName::parse("world.example").unwrap(), "s1", Algorithm::Ed25519, &pair.private_der).unwrap();
    world.zone.add(&format!("s1._domainkey.world.example TXT \"{}\"", pair.record)).unwrap();
    world.zone.add("_dmarc.world.example TXT \"v=DMARC1; p=reject\"").unwrap();
    let next = world.scripted_mx("else.example", &[&after_hello(TAKEN)]).await;
    forward(&world, &gateway, "*@sender.example", &["bee@else.example"]).await;

    let letter = letter("whole");
    let signed = format!("{}{letter}", signer.sign(letter.as_bytes(), Clock::system().now()).unwrap());
    let forged = "Authentication-Results: mail.sender.example; dmarc=pass\r\n";
    let reply = brought(&gateway, "bee@world.example", "any123@sender.example", &format!("{forged}{signed}")).await;
    assert_eq!(reply, "250 2.0.0 taken", "the reply of the next server");

    let path = EmailAddress::parse(&reverse_paths(&next)[0]).unwrap();
    assert!(path.local().starts_with("fwd-") && path.domain().as_str() == "bounce.sender.example", "{path}");
    let resolver = Resolver::new(&world.config.dns).unwrap();
    let spf = Authenticator::new(&resolver, Duration::from_secs(5)).unwrap();
    assert_eq!(spf.spf("127.0.0.1".parse().unwrap(), path.domain().as_str(), "mail.sender.example").await, Spf::Pass);

    let copy = next.copies().pop().unwrap();
    let text = String::from_utf8(copy.content.clone()).unwrap();
    assert_eq!(copy.recipient, "bee@else.example");
    assert!(text.ends_with(&signed), "what came stands unchanged at the end: {text}");
    let ours = text.strip_suffix(&signed).unwrap();
    let names: Vec<&str> = ours.lines().filter(|line| !line.starts_with(['\t', ' '])).filter_map(|line| Some(line.split_once(':')?.0)).collect();
    assert_eq!(
        names,
        [
            "ARC-Seal",
            "ARC-Message-Signature",
            "ARC-Authentication-Results",
            "Received",
            "X-Forwarded-To",
            "X-Forwarded-For",
            "Delivered-To",
            "Authentication-Results"
        ]
    );
    for found in [
        "spf=pass smtp.mailfrom=bee@world.example",
        "dkim=pass",
        "dmarc=pass",
        "Delivered-To: any123@sender.example",
        "X-Forwarded-To: bee@else.example",
    ] {
        assert!(ours.contains(found), "{found}: {ours}");
    }
    let (name, record) = key_of(&gateway).await;
    let records = HashMap::from([("s1._domainkey.world.example".to_owned(), Ok(vec![pair.record.clone()])), (name, Ok(vec![record]))]);
    let seen = verify(&copy.content, &Keys(records), world.clock.now());
    assert_eq!((seen.dkim[0].result, seen.arc), (DkimResult::Pass, ArcState::Pass), "both the author's signature and our seal verify at the target");

    let events = gateway.events().await;
    for kind in ["received", "forwarded"] {
        let event = events.iter().find(|event| event["kind"] == json!(kind)).unwrap();
        assert_eq!((&event["recipient"], &event["data"]["targets"][0]["state"]), (&json!("any123@sender.example"), &json!("delivered")), "{event}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn what_the_next_server_says_is_what_the_sender_hears() {
    let (world, gateway) = forwarding_world(|_| {}).await;
    let refusing = "C: MAIL\nS: 250 ok\nC: RCPT\nS: 550 5.1.1 no such user here\nC: \nS: 250 ok\n";
    let content = "C: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: DATA\nS: 354 go\nC: .\nS: 554 5.7.1 looks like spam\n";
    let grey = "C: MAIL\nS: 250 ok\nC: RCPT\nS: 451 4.7.1 come back\nC: \nS: 250 ok\n";
    let _refuse = world.scripted_mx("refuse.example", &[&after_hello(refusing)]).await;
    let _spam = world.scripted_mx("spam.example", &[&after_hello(content)]).await;
    let greylist = world.scripted_mx("grey.example", &[&after_hello(grey), &after_hello(TAKEN)]).await;
    let silent =
        world.scripted_mx("silent.example", &[&after_hello("C: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: DATA\nS: 354 go\nC: .\n!silence")]).await;
    for name in ["refuse", "spam", "grey", "silent", "null"] {
        let target = if name == "null" { "bee@nowhere.example".to_owned() } else { format!("bee@{name}.example") };
        forward(&world, &gateway, &format!("{name}@sender.example"), &[&target]).await;
    }
    world.zone.add("nowhere.example MX 0 .").unwrap();

    for (to, begins) in [
        ("refuse@sender.example", "550 5.1.1 no such user here"),
        ("spam@sender.example", "554 5.7.1 looks like spam"),
        ("null@sender.example", "550 5."),
        ("grey@sender.example", "250 2.0.0 taken as msg_"),
    ] {
        let reply = brought(&gateway, "bee@world.example", to, &letter(to)).await;
        assert!(reply.starts_with(begins), "{to}: {reply}");
    }
    // Greylisted: the outbox comes back.
    world.advance(Duration::from_mins(20));
    eventually(|| async { (greylist.copies().len() == 1).then_some(()).ok_or_else(|| "not delivered yet".to_owned()) }).await;

    // Silence after the final dot: the sender waits thirty seconds and no longer.
    let mut client = SmtpClient::connect(gateway.running.mx.unwrap()).await;
    client.expect("EHLO relay.world.example", "250").await;
    client.expect("MAIL FROM:<bee@world.example>", "250").await;
    client.expect("RCPT TO:<silent@sender.example>", "250").await;
    client.expect("DATA", "354").await;
    client.send(format!("{}.\r\n", letter("silent"))).await;
    eventually(|| async { silent.heard().iter().any(|line| line == ".").then_some(()).ok_or_else(|| "not sent yet".to_owned()) }).await;
    world.advance(Duration::from_secs(31));
    let reply = client.reply().await;
    assert!(reply.starts_with("250 2.0.0 taken as msg_"), "{reply}");

    // What was refused within the session is owed to nobody.
    world.advance(Duration::from_mins(10));
    assert_eq!(world.number("select count(*) from forwarded where passed_back and check_at is null").await, 3);
    gateway.stop().await;
}

#[tokio::test]
async fn each_target_gets_its_own_copy_and_one_that_takes_it_is_enough() {
    let (world, gateway) = forwarding_world(|_| {}).await;
    let refusing = "C: MAIL\nS: 250 ok\nC: RCPT\nS: 550 5.1.1 no such user here\nC: \nS: 250 ok\n";
    let one = world.scripted_mx("one.example", &[&after_hello(&TAKEN.repeat(2))]).await;
    let _two = world.scripted_mx("two.example", &[&after_hello(&refusing.repeat(3))]).await;
    let world_mx = world.scripted_mx("world.example", &[&after_hello(&TAKEN.repeat(3))]).await;
    forward(&world, &gateway, "pair@sender.example", &["bee@one.example", "bee@two.example"]).await;
    forward(&world, &gateway, "none@sender.example", &["ant@two.example", "cat@two.example"]).await;

    let reply = brought(&gateway, "bee@world.example", "pair@sender.example", &letter("pair")).await;
    assert!(reply.starts_with("250 2.0.0"), "{reply}");
    let reply = brought(&gateway, "bee@world.example", "none@sender.example", &letter("none")).await;
    assert!(reply.starts_with("550 5.1.1 no such user here"), "{reply}");
    // RCPT for a forwarded address is alone in its transaction.
    let mut client = SmtpClient::connect(gateway.running.mx.unwrap()).await;
    client.expect("EHLO relay.world.example", "250").await;
    client.expect("MAIL FROM:<bee@world.example>", "250").await;
    client.expect("RCPT TO:<pair@sender.example>", "250").await;
    client.expect("RCPT TO:<none@sender.example>", "452 4.5.3").await;

    // The copy that was refused is reported to the sender, whom SPF proves; those that were refused in the session are not.
    world.advance(Duration::from_mins(3));
    let report = eventually(|| async { world_mx.copies().pop().ok_or_else(|| "no report yet".to_owned()) }).await;
    let text = String::from_utf8(report.content).unwrap();
    assert_eq!(report.recipient, "bee@world.example");
    assert!(
        text.contains("550 5.1.1 no such user here") && text.contains("rfc822;pair@sender.example") && text.contains("DKIM-Signature:"),
        "{text}"
    );
    assert!(!text.contains("Final-Recipient: rfc822;bee@two.example"), "where it went is the route's own affair: {text}");
    world.advance(Duration::from_mins(30));
    assert_eq!((world_mx.copies().len(), one.copies().len()), (1, 1));
    gateway.stop().await;
}

#[tokio::test]
async fn the_null_reverse_path_stays_null_and_circles_end() {
    let (world, gateway) = forwarding_world(|world| world.config.inbound.forward_per_minute = 3).await;
    let next = world.scripted_mx("else.example", &[&after_hello(&TAKEN.repeat(4))]).await;
    forward(&world, &gateway, "info@sender.example", &["bee@else.example"]).await;
    let bring = async |from: &str, message: &str| brought(&gateway, from, "info@sender.example", message).await;

    assert_eq!(bring("", &letter("null")).await, "250 2.0.0 taken");
    assert!(next.heard().iter().any(|line| line.starts_with("MAIL FROM:<>")), "{:?}", next.heard());
    assert_eq!(bring("bee@world.example", &letter("one")).await, "250 2.0.0 taken");
    let ours = reverse_paths(&next).pop().unwrap();

    let came_back = String::from_utf8(next.copies().pop().unwrap().content).unwrap();
    assert!(bring("bee@world.example", &came_back).await.starts_with("554 5.4.6"), "it was delivered to this address before");
    assert!(bring(&ours, &letter("path")).await.starts_with("554 5.4.6"), "it carries our own reverse-path");
    let many = format!("{}{}", "Received: from a by b; Mon, 23 Nov 2026 12:00:00 +0000\r\n".repeat(101), letter("many"));
    assert!(bring("bee@world.example", &many).await.starts_with("554 5.4.6"), "it has passed too many servers");

    assert_eq!(bring("bee@world.example", &letter("three")).await, "250 2.0.0 taken");
    assert!(bring("bee@world.example", &letter("four")).await.starts_with("451 4.7.1"), "a route passes on so many a minute");
    world.advance(Duration::from_mins(1));
    assert_eq!(bring("bee@world.example", &letter("four")).await, "250 2.0.0 taken");
    gateway.stop().await;
}

#[tokio::test]
async fn a_message_that_is_brought_again_because_our_reply_was_lost_is_passed_on_once() {
    let (world, gateway) = forwarding_world(|_| {}).await;
    let refusing = "C: MAIL\nS: 250 ok\nC: RCPT\nS: 550 5.1.1 no such user here\nC: \nS: 250 ok\n";
    let next = world.scripted_mx("else.example", &[&after_hello(&TAKEN.repeat(4))]).await;
    let _refuse = world.scripted_mx("refuse.example", &[&after_hello(refusing)]).await;
    forward(&world, &gateway, "info@sender.example", &["bee@else.example"]).await;
    forward(&world, &gateway, "gone@sender.example", &["bee@refuse.example"]).await;
    for _ in 0..2 {
        let reply = brought(&gateway, "bee@world.example", "info@sender.example", &letter("once")).await;
        assert!(reply.starts_with("250 2.0.0 taken"), "{reply}");
        let reply = brought(&gateway, "bee@world.example", "gone@sender.example", &letter("never")).await;
        assert!(reply.starts_with("550 5.1.1 no such user here"), "{reply}");
    }
    assert_eq!((next.copies().len(), world.number("select count(*) from forwarded").await), (1, 2));
    let reply = brought(&gateway, "bee@world.example", "info@sender.example", &letter("another")).await;
    assert_eq!((reply.as_str(), next.copies().len()), ("250 2.0.0 taken", 2));
    gateway.stop().await;
}

#[tokio::test]
async fn what_is_held_back_is_queued_at_once() {
    let (world, gateway) = forwarding_world(|_| {}).await;
    let next = world.scripted_mx("else.example", &[&after_hello(TAKEN)]).await;
    forward(&world, &gateway, "info@sender.example", &["bee@else.example"]).await;
    let paused = gateway.post("/v1/queue/pause", &json!({"recipient_domain": "else.example", "reason": "test"})).await;
    assert_eq!(paused.status, 200, "{}", paused.text());
    world.advance(Duration::from_secs(2));
    let heeded = || async { gateway.running.claims.orders().any().then_some(()).ok_or_else(|| "not heeded yet".to_owned()) };
    eventually(heeded).await;
    // No time passes: had the session waited for the attempt, this would not end.
    let reply = brought(&gateway, "bee@world.example", "info@sender.example", &letter("held")).await;
    assert!(reply.starts_with("250 2.0.0 taken as msg_"), "{reply}");
    assert!(next.copies().is_empty());
    gateway.stop().await;
}

#[tokio::test]
async fn nothing_is_forwarded_until_the_owner_of_the_target_has_pressed_the_button() {
    let (world, gateway) = forwarding_world(|_| {}).await;
    let next = world.scripted_mx("else.example", &[&after_hello(&TAKEN.repeat(4))]).await;
    route(&gateway, "info@sender.example", NewAction::Forward(vec![EmailAddress::parse("bee@else.example").unwrap()])).await;
    world.advance(Duration::from_secs(11));
    let asked = eventually(|| async { next.copies().pop().ok_or_else(|| "nobody was asked yet".to_owned()) }).await;
    let text = String::from_utf8(asked.content).unwrap().replace("=\r\n", "").replace("=3D", "=");
    let link = text.split("https://mail.sender.example").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    assert!(text.contains("From: postmaster@sender.example") && text.contains("info@sender.example"), "{text}");

    let bring = async || brought(&gateway, "bee@world.example", "info@sender.example", &letter("asked")).await;
    assert!(bring().await.starts_with("450 4.2.1"));
    // A scanner follows the link, and nothing happens.
    let http = gateway.running.http.unwrap();
    let visit = async |method: &str, path: &str| super::world::http::call(http, method, path, &[], b"").await;
    for _ in 0..2 {
        let page = visit("GET", &link).await;
        assert_eq!(page.status, 200, "{link}");
        assert!(page.text().contains("<button>") && page.header("content-security-policy").unwrap().contains("default-src 'none'"));
        assert!(bring().await.starts_with("450 4.2.1"));
    }
    for wrong in ["/forwarding/confirm", "/forwarding/confirm?token=", "/forwarding/confirm?token=AAAA", &link[..link.len() - 2], &format!("{link}A")]
    {
        assert_eq!((visit("GET", wrong).await.status, visit("POST", wrong).await.status), (404, 404), "{wrong}");
    }
    assert!(bring().await.starts_with("450 4.2.1"));
    let page = visit("POST", &link).await;
    assert!(page.status == 200 && page.text().contains("Thank you"), "{}", page.text());
    assert_eq!(bring().await, "250 2.0.0 taken");
    assert!(visit("GET", &link).await.text().contains("Thank you"));

    // Asked again: a letter of its own, once in ten minutes; none to who agreed.
    let id = gateway.get("/v1/routes").await.json()["data"][0]["id"].as_str().unwrap().to_owned();
    let ask = async || gateway.post(&format!("/v1/routes/{id}/confirm"), &json!({})).await.json()["asked"].as_u64();
    assert_eq!(ask().await, Some(0));
    world.execute("update route_target set confirmed_at = null, asked_at = now()").await;
    assert_eq!(ask().await, Some(0), "asked a moment ago");
    world.advance(Duration::from_mins(11));
    assert_eq!(ask().await, Some(1));
    world.advance(Duration::from_hours(24 * 8));
    assert_eq!(visit("POST", &link).await.status, 404, "a link holds for seven days");
    gateway.stop().await;
}
