//! When it is tried again, how long, and what a user may do meanwhile.

use std::time::Duration;

use pennypost::lab::sink::{Behaviour, SinkSettings};
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;

use super::world::telling::{assert_waits, attempts, kinds, last_attempt, time_of, told};
use super::world::{Gateway, World};

fn busy() -> SinkSettings {
    SinkSettings { behaviour: Behaviour::Refuse("450 4.2.1 mailbox busy".into()), by_local_part: false, ..SinkSettings::default() }
}

/// Lets the time pass up to the next attempt.
fn advance_to_next(world: &World, delivery: &Value) {
    let left = time_of(&delivery["next_attempt_at"]) - world.clock.now();
    world.advance(Duration::try_from(left).unwrap_or_default() + Duration::from_millis(10));
}

async fn control(gateway: &Gateway, id: &str, what: &str) -> u64 {
    let answer = gateway.post(&format!("/v1/messages/{id}/{what}"), &json!({})).await;
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    answer.json()["changed"].as_u64().unwrap_or_else(|| panic!("{}", answer.json()))
}

#[tokio::test]
async fn waits_grow_from_a_minute_to_four_hours_and_stay_there() {
    let world = World::new().await;
    world.mx("example.net", busy()).await;
    let gateway = world.gateway().await;
    let id = gateway.send(&["bee@example.net"]).await;
    for (number, seconds) in [60, 300, 900, 1_800, 3_600, 7_200, 10_800, 14_400, 14_400].into_iter().enumerate() {
        let delivery = gateway.attempted(&id, "bee@example.net", number + 1).await;
        assert_eq!((told(&delivery).as_str(), attempts(&delivery)), ("queued deferred rcpt recipient 4.2.1", number + 1));
        assert_waits(&delivery, f64::from(seconds));
        advance_to_next(&world, &delivery);
    }
    gateway.stop().await;
}

#[tokio::test]
async fn nothing_is_tried_before_its_time() {
    let world = World::new().await;
    let sink = world.mx("example.net", busy()).await;
    world.accepting_mx("example.org").await;
    let gateway = world.gateway().await;
    let id = gateway.send(&["bee@example.net"]).await;
    gateway.attempted(&id, "bee@example.net", 1).await;
    world.advance(Duration::from_secs(40));
    let other = gateway.send_with(&["bee@example.org"], json!({ "send_at": at(&world, 2) })).await;
    // By the time this one was fetched from the database, the first would have been too.
    world.advance(Duration::from_secs(3));
    gateway.delivery_in(&other, "bee@example.org", "delivered").await;
    assert_eq!(sink.counts().connections, 1);
    gateway.stop().await;
}

fn at(world: &World, seconds: i64) -> String {
    (world.clock.now() + time::Duration::seconds(seconds)).format(&Rfc3339).unwrap()
}

#[tokio::test]
async fn a_message_for_later_waits_for_its_time() {
    let world = World::new().await;
    let sink = world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    let id = gateway.send_with(&["bee@example.net"], json!({ "send_at": at(&world, 3_600) })).await;
    world.advance(Duration::from_secs(3_500));
    let now = gateway.send(&["bee@example.net"]).await;
    gateway.delivery_in(&now, "bee@example.net", "delivered").await;
    let delivery = gateway.delivery(&id, "bee@example.net").await;
    assert_eq!((delivery["state"].as_str(), attempts(&delivery)), (Some("queued"), 0));
    assert_eq!(sink.counts().messages, 1);
    world.advance(Duration::from_secs(101));
    gateway.delivery_in(&id, "bee@example.net", "delivered").await;
    gateway.stop().await;
}

// R28
#[tokio::test]
async fn a_message_that_nobody_takes_expires_after_the_configured_time() {
    let mut world = World::new().await;
    world.config.delivery.expire_seconds = 1_000;
    let sink = world.mx("example.net", busy()).await;
    let gateway = world.gateway().await;
    let id = gateway.send(&["bee@example.net"]).await;
    for number in 1..=3 {
        let delivery = gateway.attempted(&id, "bee@example.net", number).await;
        assert!(time_of(&delivery["next_attempt_at"]) <= time_of(&gateway.message(&id).await["expires_at"]), "no attempt after the end");
        advance_to_next(&world, &delivery);
    }
    let delivery = gateway.delivery_in(&id, "bee@example.net", "expired").await;
    let message = gateway.message(&id).await;
    assert_eq!(kinds(&message), ["deferred", "deferred", "deferred", "expired"]);
    assert_eq!(last_attempt(&delivery)["enhanced_status"], "4.4.7");
    assert!(delivery["next_attempt_at"].is_null());
    let connections = sink.counts().connections;
    world.advance(Duration::from_hours(24));
    let other = gateway.send(&["bee@example.net"]).await;
    gateway.attempted(&other, "bee@example.net", 1).await;
    assert_eq!(sink.counts().connections, connections + 1, "an expired delivery is over");
    gateway.stop().await;
}

// R28
#[tokio::test]
async fn a_message_with_an_end_of_its_own_expires_then_even_if_its_domain_rests() {
    let world = World::new().await;
    world.publish_host("dead.example");
    let gateway = world.gateway().await;
    let id = gateway.send_with(&["bee@dead.example"], json!({ "expires_at": at(&world, 90) })).await;
    gateway.attempted(&id, "bee@dead.example", 1).await;
    world.advance(Duration::from_secs(91));
    let delivery = gateway.delivery_in(&id, "bee@dead.example", "expired").await;
    assert!(attempts(&delivery) <= 3);
    assert_eq!(kinds(&gateway.message(&id).await).iter().filter(|kind| **kind == "expired").count(), 1);
    gateway.stop().await;
}

#[tokio::test]
async fn deferred_mail_can_be_tried_again_now_and_taken_back() {
    let world = World::new().await;
    let sink = world.mx("example.net", busy()).await;
    let gateway = world.gateway().await;
    let id = gateway.send(&["bee@example.net"]).await;
    gateway.attempted(&id, "bee@example.net", 1).await;
    assert_eq!(control(&gateway, &id, "retry").await, 1);
    assert_eq!(attempts(&gateway.attempted(&id, "bee@example.net", 2).await), 2);
    assert_eq!(control(&gateway, &id, "cancel").await, 1);
    let delivery = gateway.delivery(&id, "bee@example.net").await;
    assert_eq!((delivery["state"].as_str(), delivery["next_attempt_at"].is_null()), (Some("cancelled"), true));
    assert_eq!(kinds(&gateway.message(&id).await), ["deferred", "deferred", "cancelled"]);
    for what in ["cancel", "retry", "hold", "release"] {
        assert_eq!(control(&gateway, &id, what).await, 0, "{what}: it is over");
    }
    let before = sink.counts().connections;
    world.advance(Duration::from_hours(5));
    let other = gateway.send(&["bee@example.net"]).await;
    gateway.attempted(&other, "bee@example.net", 1).await;
    assert_eq!(sink.counts().connections, before + 1);
    gateway.stop().await;
}

#[tokio::test]
async fn held_mail_stays_until_it_is_released() {
    let world = World::new().await;
    let sink = world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    let id = gateway.send_with(&["bee@example.net"], json!({ "send_at": at(&world, 60) })).await;
    assert_eq!(control(&gateway, &id, "hold").await, 1);
    let delivery = gateway.delivery(&id, "bee@example.net").await;
    assert_eq!((delivery["state"].as_str(), delivery["next_attempt_at"].is_null()), (Some("held"), true));
    world.advance(Duration::from_mins(10));
    let other = gateway.send_with(&["other@example.net"], json!({ "send_at": at(&world, 1) })).await;
    world.advance(Duration::from_secs(2));
    gateway.delivery_in(&other, "other@example.net", "delivered").await;
    assert_eq!(sink.counts().messages, 1);
    assert_eq!(control(&gateway, &id, "release").await, 1);
    gateway.delivery_in(&id, "bee@example.net", "delivered").await;
    gateway.stop().await;
}

// The first connection is refused, so that the domain rests; everything is taken from then on.
const REFUSED: &str = "S: 421 4.3.2 not now\n!close";
const SLOWED: &str = "S: 220 mx\nC: EHLO\nS: 250 mx\nC: MAIL\nS: 451 4.7.28 too much mail from you\nC: QUIT\nS: 221 bye";

#[tokio::test]
async fn what_an_operator_retries_is_tried_at_once_although_its_domain_rests() {
    let world = World::new().await;
    let refusing = world.scripted_mx("example.net", &[REFUSED, REFUSED, "!take"]).await;
    let slowing = world.scripted_mx("example.org", &[SLOWED, "!take"]).await;
    // The door that is asked is not the node whose lane rests.
    let door = world.gateway_with(pennypost::serve::Roles { deliver: false, ..pennypost::serve::Roles::ALL }).await;
    let gateway = world.gateway().await;
    for (host, domain, failures) in [(&refusing, "example.net", 2), (&slowing, "example.org", 1)] {
        let recipient = format!("bee@{domain}");
        let id = gateway.send(&[&recipient]).await;
        gateway.attempted(&id, &recipient, 1).await;
        // It waits with those that nobody asked for.
        let other = gateway.send(&[&format!("other@{domain}")]).await;
        for attempt in 1..=failures {
            assert_eq!(gateway.delivery(&id, &recipient).await["state"], "queued");
            assert_eq!(host.connections(), attempt, "{domain} rests");
            assert_eq!(gateway.delivery(&other, &format!("other@{domain}")).await["attempts"], json!([]), "{domain}: one probe, not the whole lane");
            assert_eq!(control(&door, &id, "retry").await, 1);
            let delivery = gateway.attempted(&id, &recipient, attempt + 1).await;
            assert_eq!(attempts(&delivery), attempt + 1);
        }
        gateway.delivery_in(&id, &recipient, "delivered").await;
        let probed = world.clock.now();
        world.advance(Duration::from_mins(20));
        let other = gateway.delivery_in(&other, &format!("other@{domain}"), "delivered").await;
        // A host that could not be reached is well once it can be; one that wanted less mail wants no more because it took one message.
        if domain == "example.org" {
            assert!(time_of(&last_attempt(&other)["at"]) > probed + Duration::from_mins(4), "{other:#}");
        }
    }
    gateway.stop().await;
    door.stop().await;
}
