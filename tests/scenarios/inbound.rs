//! Mail from the world: which addresses take it, what is kept of it, and what its senders are told.

use std::net::SocketAddr;

use pennypost::config::Listen;
use pennypost::model::EmailAddress;
use pennypost::routes::{NewAction, Pattern};
use serde_json::json;

use super::return_path::publish;
use super::world::gateway::eventually;
use super::world::smtp::SmtpClient;
use super::world::{Gateway, World};

const MAIL: &str = "From: Bee <bee@world.example>\r\nTo: info@sender.example\r\nSubject: Hello\r\nMessage-ID: <1@world.example>\r\n\r\nA line.\r\n";

/// A world that hears on port 25, where only verified domains count.
pub(super) async fn world() -> World {
    let mut world = World::new().await;
    world.config.smtp.mx_listen = Listen::At(SocketAddr::new(world.config.server.http_listen.ip(), 0));
    world.config.delivery.allow_unverified_domains = false;
    world
}

pub(super) async fn route(gateway: &Gateway, pattern: &str, action: NewAction) {
    let house = &gateway.running.house;
    house.routes.add(house.project, Pattern::parse(pattern).unwrap(), action).await.unwrap();
}

/// A client that has begun a transaction.
pub(super) async fn bring(gateway: &Gateway) -> SmtpClient {
    let mut client = SmtpClient::connect(gateway.running.mx.unwrap()).await;
    client.expect("EHLO relay.world.example", "250").await;
    client.expect("MAIL FROM:<bee@world.example>", "250").await;
    client
}

#[tokio::test]
async fn an_address_takes_mail_by_its_route_and_no_other_does() {
    let world = world().await;
    let gateway = world.gateway().await;
    route(&gateway, "*-team@sender.example", NewAction::Store).await;
    route(&gateway, "info@sender.example", NewAction::Drop).await;
    route(&gateway, "gone@sender.example", NewAction::Reject(Some("Bee has moved; write to bee@else.example".to_owned()))).await;
    route(&gateway, "on@sender.example", NewAction::Forward(vec![EmailAddress::parse("bee@else.example").unwrap()])).await;
    let mut client = bring(&gateway).await;
    client.expect("RCPT TO:<info@sender.example>", "450 4.7.1").await;
    publish(&world, &gateway, &[]).await;
    world.advance(std::time::Duration::from_secs(6));
    for (to, reply) in [
        ("info@sender.example", "250 2.1.5"),
        ("INFO+tag@Sender.Example", "250 2.1.5"),
        ("red-team@sender.example", "250 2.1.5"),
        ("gone@sender.example", "550 5.7.1 Bee has moved; write to bee@else.example"),
        ("on@sender.example", "450 4.2.1"),
        ("other@sender.example", "550 5.1.1"),
        ("Postmaster@sender.example", "250 2.1.5"),
        ("abuse@sender.example", "250 2.1.5"),
        ("postmaster", "250 2.1.5"),
        ("postmaster@mail.sender.example", "250 2.1.5"),
        ("abuse@bounce.sender.example", "250 2.1.5"),
        ("info@bounce.sender.example", "550 5.7.1"),
        ("info@mail.sender.example", "550 5.7.1"),
        ("postmaster@bounce.other.example", "550 5.7.1"),
        ("postmaster@other.example", "550 5.7.1"),
        ("info@other.example", "550 5.7.1"),
    ] {
        client.expect(&format!("RCPT TO:<{to}>"), reply).await;
    }
    client.expect("DATA", "354").await;
    client.send(MAIL).await;
    client.expect(".", "250 2.6.0 kept as inc_").await;
    // The team, and four times postmaster or abuse: one was named in two ways. What came to info was dropped.
    assert_eq!(world.number("select count(*) from incoming").await, 5);
    assert_eq!(world.number("select count(*) from incoming_content").await, 1);
    eventually(|| async {
        let received = gateway.events().await.iter().filter(|event| event["kind"] == json!("received")).count();
        if received == 5 { Ok(()) } else { Err(format!("{received} events")) }
    })
    .await;
    gateway.stop().await;
}

/// Brings `mail` to some addresses and answers the last reply.
async fn deliver(gateway: &Gateway, to: &[&str], mail: &str) -> String {
    let mut client = bring(gateway).await;
    for to in to {
        client.expect(&format!("RCPT TO:<{to}>"), "250").await;
    }
    client.expect("DATA", "354").await;
    client.send(mail).await;
    client.say(".").await
}

/// A world whose domain receives, verified or not.
async fn open_world() -> World {
    let mut world = world().await;
    world.config.delivery.allow_unverified_domains = true;
    world
}

#[tokio::test]
async fn what_is_kept_is_read_byte_for_byte_with_its_trace_before_it() {
    let world = open_world().await;
    let gateway = world.gateway().await;
    route(&gateway, "*@sender.example", NewAction::Store).await;
    let reply = deliver(&gateway, &["info@sender.example", "Other@sender.example"], MAIL).await;
    let ids: Vec<&str> = reply.strip_prefix("250 2.6.0 kept as ").unwrap().split(' ').collect();
    let [info, other] = ids.as_slice() else { panic!("{reply}") };
    let raw = gateway.get(&format!("/v1/incoming/{info}/raw")).await;
    assert_eq!(raw.header("content-type"), Some("message/rfc822"));
    let text = raw.text();
    let (trace, content) = text.split_at(text.len() - MAIL.len());
    assert_eq!(content, MAIL);
    let begins = "Return-Path: <bee@world.example>\r\nDelivered-To: info@sender.example\r\nAuthentication-Results: mail.sender.example;\r\n";
    assert!(
        trace.starts_with(begins)
            && trace.contains("\r\nReceived: from relay.world.example (")
            && trace.contains(&format!("\tid {info}\r\n\tfor <info@sender.example>; "))
            && trace.contains(" with ESMTP\r\n"),
        "{trace}"
    );
    let list = gateway.get("/v1/incoming?recipient=other@sender.example").await.json();
    assert_eq!((&list["data"][0]["id"], list["data"].as_array().unwrap().len()), (&json!(other), 1), "{list:#}");
    assert!(list["data"][0].get("content").is_none());
    let shown = gateway.get(&format!("/v1/incoming/{info}")).await.json();
    assert_eq!(
        (&shown["content"]["subject"], &shown["message_id"], &shown["peer"]["tls"]),
        (&json!("Hello"), &json!("1@world.example"), &serde_json::Value::Null),
        "{shown:#}"
    );

    // Deleted by hand, its content goes with the last address that has it; by age, with all that is old.
    assert_eq!(gateway.call("DELETE", &format!("/v1/incoming/{info}"), &[], b"").await.status, 204);
    assert_eq!(world.number("select count(*) from incoming_content").await, 1);
    assert_eq!(gateway.get(&format!("/v1/incoming/{info}/raw")).await.status, 404);
    assert_eq!(gateway.get(&format!("/v1/incoming/{other}")).await.status, 200);
    assert_eq!(gateway.call("DELETE", &format!("/v1/incoming/{other}"), &[], b"").await.status, 204);
    assert_eq!(world.number("select count(*) from incoming_content").await, 0);
    deliver(&gateway, &["old@sender.example"], MAIL).await;
    world.advance(std::time::Duration::from_hours(24 * 31));
    eventually(|| async {
        let left = world.number("select (select count(*) from incoming) + (select count(*) from incoming_content)").await;
        if left == 0 { Ok(()) } else { Err(format!("{left} rows are left")) }
    })
    .await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_message_that_went_in_circles_or_finds_no_room_is_not_taken() {
    let mut world = open_world().await;
    world.config.inbound.stored_octets = 10;
    let gateway = world.gateway().await;
    route(&gateway, "*@sender.example", NewAction::Store).await;
    let looped = format!("Delivered-To: INFO@sender.example\r\n{MAIL}");
    assert!(deliver(&gateway, &["info@sender.example"], &looped).await.starts_with("554 5.4.6"));
    let tired = format!("{}{MAIL}", "Received: from a by b; Tue, 1 Dec 2026 08:00:00 +0000\r\n".repeat(101));
    assert!(deliver(&gateway, &["info@sender.example"], &tired).await.starts_with("554 5.4.6"));
    assert_eq!(world.number("select count(*) from incoming").await, 0);
    let passed = format!("Delivered-To: other@sender.example\r\n{}{MAIL}", "Received: from a by b; Tue, 1 Dec 2026 08:00:00 +0000\r\n".repeat(100));
    assert!(deliver(&gateway, &["info@sender.example"], &passed).await.starts_with("250"), "a hundred relays are allowed");
    world.advance(std::time::Duration::from_secs(6));
    let mut client = bring(&gateway).await;
    client.expect("RCPT TO:<info@sender.example>", "452 4.3.1").await;
    let figures = gateway.get("/metrics").await.text();
    assert!(
        figures.contains("pennypost_incoming_total{result=\"looping\"}") && figures.contains("pennypost_incoming_total{result=\"full\"}"),
        "{figures}"
    );
    gateway.stop().await;
}

#[tokio::test]
async fn a_recipient_that_is_forwarded_stands_alone() {
    let world = open_world().await;
    let gateway = world.gateway().await;
    let to = |text: &str| NewAction::Forward(vec![EmailAddress::parse(text).unwrap()]);
    route(&gateway, "on@sender.example", to("bee@else.example")).await;
    route(&gateway, "off@sender.example", to("cat@else.example")).await;
    route(&gateway, "kept@sender.example", NewAction::Store).await;
    world.execute("update route_target set confirmed_at = now() where target = 'bee@else.example'").await;
    let mut client = bring(&gateway).await;
    client.expect("RCPT TO:<off@sender.example>", "450 4.2.1").await;
    client.expect("RCPT TO:<on@sender.example>", "250").await;
    client.expect("RCPT TO:<kept@sender.example>", "452 4.5.3").await;
    client.expect("RCPT TO:<on@sender.example>", "250").await;
    client.expect("RSET", "250").await;
    client.expect("MAIL FROM:<bee@world.example>", "250").await;
    client.expect("RCPT TO:<kept@sender.example>", "250").await;
    client.expect("RCPT TO:<on@sender.example>", "452 4.5.3").await;
    client.expect("DATA", "354").await;
    client.send(MAIL).await;
    client.expect(".", "250 2.6.0 kept").await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_message_is_committed_before_it_is_answered_or_it_is_not_taken() {
    let world = open_world().await;
    let gateway = world.gateway().await;
    route(&gateway, "*@sender.example", NewAction::Store).await;
    // The second of two addresses cannot be written: the first is not kept either.
    world.execute("alter table incoming add constraint two check (recipient not like 'second@%')").await;
    assert!(deliver(&gateway, &["first@sender.example", "second@sender.example"], MAIL).await.starts_with("451 4.3.0"));
    assert_eq!(world.number("select (select count(*) from incoming) + (select count(*) from incoming_content)").await, 0);
    assert!(gateway.events().await.iter().all(|event| event["kind"] != "received"));
    assert!(deliver(&gateway, &["first@sender.example"], MAIL).await.starts_with("250"));
    gateway.crash().await;
    assert_eq!(world.number("select count(*) from incoming").await, 1);
}

#[tokio::test]
async fn a_failed_domain_goes_on_receiving_until_another_project_proves_it() {
    let world = world().await;
    let gateway = world.gateway().await;
    route(&gateway, "info@sender.example", NewAction::Store).await;
    publish(&world, &gateway, &[]).await;
    world.execute("update domain set state = 'failed'").await;
    world.advance(std::time::Duration::from_secs(6));
    assert!(deliver(&gateway, &["info@sender.example"], MAIL).await.starts_with("250"), "a slip in DNS turns nobody's mail away");
    world
        .execute(
            "insert into project (id, name) values ('00000000-0000-7000-8000-000000000001', 'other');
             insert into domain (id, project_id, name, state, created_at, verified_at) values
             ('00000000-0000-7000-8000-000000000002', '00000000-0000-7000-8000-000000000001', 'sender.example', 'verified', now(), now())",
        )
        .await;
    world.advance(std::time::Duration::from_secs(6));
    let mut client = bring(&gateway).await;
    client.expect("RCPT TO:<info@sender.example>", "550 5.7.1").await;
    gateway.stop().await;
}
