//! The main job: posted, stored, signed, delivered, told.

use std::time::Duration;

use serde_json::json;

use super::world::World;
use super::world::gateway::eventually;

#[tokio::test]
async fn a_message_is_delivered_signed_and_told_of() {
    let world = World::new().await;
    let mx = world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    let id = gateway.send(&["bee@example.net"]).await;
    let delivery = gateway.delivery_in(&id, "bee@example.net", "delivered").await;
    assert_eq!(delivery["attempts"][0]["mx_host"], "mx1.example.net");
    let received = mx.received();
    assert_eq!(received.len(), 1);
    let content = String::from_utf8(received[0].content.clone()).unwrap();
    assert_eq!(content.matches("DKIM-Signature:").count(), 2, "RSA and Ed25519: {content}");
    assert_eq!(received[0].reverse_path, "hello@sender.example");
    // The feed stays behind every transaction still open on the server, those of other worlds included.
    eventually(|| async {
        let kinds: Vec<_> = gateway.events().await.iter().map(|event| event["kind"].as_str().unwrap().to_owned()).collect();
        if kinds == ["accepted", "delivered"] { Ok(()) } else { Err(format!("{kinds:?}")) }
    })
    .await;
    let raw = gateway.get(&format!("/v1/messages/{id}/raw")).await;
    assert_eq!(raw.body, received[0].content, "the raw message is what was sent, octet for octet");
    gateway.stop().await;
}

#[tokio::test]
async fn recipients_of_two_domains_are_delivered_apart_and_bcc_stays_hidden() {
    let world = World::new().await;
    let (net, org) = (world.accepting_mx("example.net").await, world.accepting_mx("example.org").await);
    let gateway = world.gateway().await;
    let id = gateway.send_with(&["a@example.net", "b@example.net"], json!({ "cc": ["c@example.org"], "bcc": ["hidden@example.org"] })).await;
    for recipient in ["a@example.net", "b@example.net", "c@example.org", "hidden@example.org"] {
        gateway.delivery_in(&id, recipient, "delivered").await;
    }
    assert_eq!(net.received().len(), 1, "one transaction for the two recipients of one domain");
    assert_eq!(net.received()[0].recipients, ["a@example.net", "b@example.net"]);
    for message in net.received().iter().chain(&org.received()) {
        assert!(!String::from_utf8_lossy(&message.content).contains("hidden"), "Bcc shows nowhere");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn greylisted_mail_is_delivered_on_the_second_attempt() {
    let world = World::new().await;
    let mx = world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    let id = gateway.send(&["greylist@example.net"]).await;
    let waiting = gateway.attempted(&id, "greylist@example.net", 1).await;
    assert_eq!(waiting["state"], "queued");
    assert_eq!(waiting["attempts"][0]["enhanced_status"], "4.7.1");
    assert!(waiting["next_attempt_at"].is_string());
    world.advance(Duration::from_mins(15));
    let delivered = gateway.delivery_in(&id, "greylist@example.net", "delivered").await;
    assert_eq!(delivered["attempts"].as_array().unwrap().len(), 2);
    assert_eq!(mx.received().len(), 1);
    gateway.stop().await;
}

#[tokio::test]
async fn a_refused_recipient_bounces_and_the_others_are_delivered() {
    let world = World::new().await;
    world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    let id = gateway.send(&["refuse@example.net", "bee@example.net"]).await;
    let bounced = gateway.delivery_in(&id, "refuse@example.net", "bounced").await;
    assert_eq!(bounced["attempts"][0]["reply"], "550 5.1.1 no such user here");
    assert_eq!(bounced["attempts"][0]["scope"], "recipient");
    gateway.delivery_in(&id, "bee@example.net", "delivered").await;
    gateway.stop().await;
}
