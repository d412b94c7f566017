//! Memory is bounded: what does not fit waits in the database, and is fetched when there is room or when its time has come.

use std::time::Duration;

use serde_json::json;

use super::world::World;
use super::world::checker::{Copy, check, copies};
use super::world::gateway::eventually;

const LINE: &str = "What does not fit into memory waits in the database, in order. ";

#[tokio::test]
async fn messages_beyond_the_memory_wait_in_the_database_and_are_all_delivered() {
    let mut world = World::new().await;
    world.config.delivery.memory_octets = 40_000;
    world.config.delivery.max_connections_per_domain = 2;
    let domains = ["a.example", "b.example", "c.example", "d.example"];
    let mut sinks = Vec::new();
    for domain in domains {
        sinks.push(world.accepting_mx(domain).await);
    }
    let gateway = world.gateway().await;
    let mut ids = Vec::new();
    for number in 0..40 {
        // Taken only when the clock moves on.
        let to = format!("slow{number}@{}", domains[number % domains.len()]);
        ids.push(gateway.send_with(&[&to], json!({ "text": LINE.repeat(40) })).await);
    }
    let claimed = world.number("select count(*) from delivery where owner > 0").await;
    assert!((1..=12).contains(&claimed), "{claimed} of 40 fit into 40,000 octets of memory");
    let (deliveries, octets) = gateway.running.claims.held();
    assert!(octets <= 50_000, "{deliveries} deliveries take {octets} octets");
    let all = || sinks.iter().flat_map(copies).collect::<Vec<Copy>>();
    eventually(|| async {
        world.advance(Duration::from_secs(2));
        let taken = all().len();
        if taken == 40 { Ok(()) } else { Err(format!("{taken} taken")) }
    })
    .await;
    check(&world, &gateway, &ids, all).await;
    eventually(|| async { if gateway.running.claims.held() == (0, 0) { Ok(()) } else { Err(format!("{:?}", gateway.running.claims.held())) } }).await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_message_larger_than_the_memory_is_delivered_alone() {
    let mut world = World::new().await;
    world.config.delivery.memory_octets = 10_000;
    let mx = world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    let mut ids = vec![gateway.send(&["slow@example.net"]).await];
    for number in 0..3 {
        ids.push(gateway.send_with(&[&format!("slow{number}@example.net")], json!({ "text": LINE.repeat(400) })).await);
    }
    eventually(|| async {
        world.advance(Duration::from_secs(2));
        let taken = mx.counts().messages;
        if taken == 4 { Ok(()) } else { Err(format!("{taken} taken")) }
    })
    .await;
    check(&world, &gateway, &ids, || copies(&mx)).await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_message_for_later_waits_in_the_database_until_its_time() {
    let world = World::new().await;
    let mx = world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    let send_at = (world.clock.now() + Duration::from_hours(2)).format(&time::format_description::well_known::Rfc3339).unwrap();
    let later = gateway.send_with(&["later@example.net"], json!({ "send_at": send_at })).await;
    assert_eq!(world.number("select count(*) from delivery where owner = 0").await, 1);
    world.advance(Duration::from_mins(119));
    // One that is due now passes it, and shows that the gateway looked.
    let now = gateway.send(&["now@example.net"]).await;
    gateway.delivery_in(&now, "now@example.net", "delivered").await;
    assert_eq!(gateway.delivery(&later, "later@example.net").await["state"], "queued");
    assert_eq!(mx.counts().messages, 1);
    world.advance(Duration::from_mins(2));
    gateway.delivery_in(&later, "later@example.net", "delivered").await;
    check(&world, &gateway, &[now, later], || copies(&mx)).await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_lane_behind_a_dead_host_does_not_hold_up_many_others() {
    let mut world = World::new().await;
    world.config.delivery.memory_octets = 60_000;
    world.publish_host("dead.example");
    let mx = world.accepting_mx("lane0.example").await;
    let host = mx.local_addr.ip();
    world.zone.add(&format!("shared.example A {host}")).unwrap();
    for number in 1..60 {
        world.zone.add(&format!("lane{number}.example MX 10 shared.example")).unwrap();
    }
    let gateway = world.gateway().await;
    for number in 0..30 {
        gateway.send_with(&[&format!("r{number}@dead.example")], json!({ "text": LINE.repeat(20) })).await;
    }
    let mut ids = Vec::new();
    for number in 0..60 {
        ids.push(gateway.send_with(&[&format!("bee@lane{number}.example")], json!({ "text": LINE.repeat(20) })).await);
    }
    eventually(|| async {
        world.advance(Duration::from_secs(1));
        let taken = mx.counts().messages;
        if taken == 60 { Ok(()) } else { Err(format!("{taken} taken")) }
    })
    .await;
    for (number, id) in ids.iter().enumerate() {
        gateway.delivery_in(id, &format!("bee@lane{number}.example"), "delivered").await;
    }
    counted_dead(&world).await;
    gateway.stop().await;
}

/// The dead domain's messages are all there still.
async fn counted_dead(world: &World) {
    assert_eq!(world.number("select count(*) from delivery where recipient like '%@dead.example'").await, 30);
}
