//! Mail from the world: which addresses take it, what is kept of it, and what its senders are told.

use std::net::SocketAddr;

use pennypost::config::Listen;
use pennypost::model::EmailAddress;
use pennypost::routes::{NewAction, Pattern};
use serde_json::json;

use super::return_path::publish;
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
    let received = gateway.events().await;
    assert_eq!(received.iter().filter(|event| event["kind"] == json!("received")).count(), 5, "{received:#?}");
    gateway.stop().await;
}
