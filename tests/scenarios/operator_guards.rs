//! What operators rely on when something goes wrong meanwhile: the trail, restarts, sessions that open late, drained nodes.

use std::time::Duration;

use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;

use super::operator::{audit, lets_a_second_pass, state};
use super::world::gateway::eventually;
use super::world::{Gateway, World};

/// Greets only when the test says so.
const LATE_GREETING: &str = "!wait\nS: 220 mx\nC: EHLO\nS: 250 mx\nC: MAIL\n!silence";

/// A message for tomorrow.
async fn later(world: &World, gateway: &Gateway, to: &str) -> String {
    let at = (world.clock.now() + time::Duration::days(1)).format(&Rfc3339).unwrap();
    gateway.send_with(&[to], json!({ "send_at": at })).await
}

async fn count(world: &World, from: &str, number: i64) {
    eventually(|| async {
        world.advance(Duration::from_secs(1));
        let found = world.number(&format!("select count(*) from {from}")).await;
        if found == number { Ok(()) } else { Err(format!("{found} of {from}")) }
    })
    .await;
}

#[tokio::test]
async fn a_change_that_cannot_be_written_into_the_trail_is_not_made() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    later(&world, &gateway, "a@one.example").await;
    let node = format!("/v1/nodes/nod_{:016x}", gateway.running.node.incarnation());
    let reason = json!({ "recipient_domain": "one.example", "reason": "x" });
    assert_eq!(gateway.post("/v1/queue/pause", &reason).await.status, 200);
    world.execute("alter table audit add constraint unwritable check (action = 'none') not valid").await;
    for (path, body) in [
        ("/v1/queue/hold", json!({ "all": true })),
        ("/v1/queue/cancel", json!({ "all": true })),
        ("/v1/queue/retry", json!({ "all": true })),
        ("/v1/queue/pause", json!({ "recipient_domain": "two.example", "reason": "x" })),
        ("/v1/sites/pause", json!({ "site": "mx.one.example", "reason": "x" })),
        ("/v1/queue/resume", reason.clone()),
        (&format!("{node}/drain"), json!({})),
    ] {
        let answer = gateway.post(path, &body).await;
        assert!(answer.status >= 500, "{path}: {} {}", answer.status, answer.text());
    }
    assert_eq!(world.number("select count(*) from delivery where owner in (0, -2) and next_at > 'epoch'").await, 1);
    assert_eq!(world.number("select count(*) from pause").await, 1, "neither made nor ended");
    assert_eq!(world.number("select count(*) from node where drained_at is not null").await, 0);
    assert_eq!(world.number("select count(*) from event where kind = 7").await, 0);
    world.execute("alter table audit drop constraint unwritable").await;
    let lines: Vec<Value> = audit(&gateway).await;
    assert_eq!(lines.len(), 1, "{lines:#?}");
    gateway.post(&format!("{node}/drain"), &json!({})).await;
    world.execute("alter table audit add constraint unwritable check (action = 'none') not valid").await;
    assert!(gateway.post(&format!("{node}/resume"), &json!({})).await.status >= 500);
    assert_eq!(world.number("select count(*) from node where drained_at is not null").await, 1, "drained still");
    gateway.stop().await;
}

#[tokio::test]
async fn held_and_paused_mail_outlives_restarts_takeovers_and_the_look_for_lost_work() {
    let world = World::new().await;
    let mx = world.accepting_mx("paused.example").await;
    let gateway = world.gateway().await;
    let held = later(&world, &gateway, "a@paused.example").await;
    assert_eq!(gateway.post("/v1/queue/hold", &json!({ "message": held })).await.json()["changed"], 1);
    gateway.post("/v1/queue/pause", &json!({ "recipient_domain": "paused.example", "reason": "x" })).await;
    lets_a_second_pass(&world, &gateway, |gateway| gateway.running.claims.orders().any()).await;
    let waits = gateway.send(&["bee@paused.example"]).await;
    count(&world, "delivery where owner = -2", 1).await;
    // What a pause keeps can be held, and what is released waits for the pause again.
    let hold = json!({ "message": waits });
    assert_eq!(gateway.post("/v1/queue/hold", &hold).await.json()["changed"], 1);
    assert_eq!(state(&gateway, &waits, "bee@paused.example").await, "held");
    assert_eq!(gateway.post("/v1/queue/release", &hold).await.json()["changed"], 1);
    count(&world, "delivery where owner = -2", 1).await;
    // One that ends in order, and one that is found silent by the next.
    gateway.stop().await;
    world.execute("insert into node (incarnation, host, heartbeat_at) values (77, 'gone', now() - interval '1 day')").await;
    let next = world.gateway().await;
    lets_a_second_pass(&world, &next, |gateway| gateway.running.claims.orders().any()).await;
    world.advance(Duration::from_hours(30));
    for _ in 0..3 {
        next.running.node.beat().await.unwrap();
        world.advance(Duration::from_mins(6));
    }
    count(&world, "node where fenced_at is not null", 0).await;
    assert_eq!((state(&next, &held, "a@paused.example").await, state(&next, &waits, "bee@paused.example").await), ("held".into(), "queued".into()));
    assert_eq!(world.number("select count(*) from delivery where owner = -1 and attempt = 0").await, 1);
    assert_eq!(world.number("select count(*) from delivery where owner = -2 and attempt = 0").await, 1);
    assert_eq!(mx.counts().connections, 0);
    next.stop().await;
}

#[tokio::test]
async fn a_pause_that_begins_while_a_session_opens_keeps_the_message_from_being_sent() {
    let world = World::new().await;
    let host = world.scripted_mx("example.net", &[LATE_GREETING]).await;
    let gateway = world.gateway().await;
    let id = gateway.send(&["bee@example.net"]).await;
    eventually(|| async { if host.connections() == 1 { Ok(()) } else { Err("no connection".to_owned()) } }).await;
    gateway.post("/v1/queue/pause", &json!({ "recipient_domain": "example.net", "reason": "x" })).await;
    lets_a_second_pass(&world, &gateway, |gateway| gateway.running.claims.orders().any()).await;
    host.go_on();
    count(&world, "delivery where owner = -2", 1).await;
    assert_eq!(state(&gateway, &id, "bee@example.net").await, "queued");
    assert!(!host.heard().iter().any(|line| line.starts_with("MAIL")), "{:?}", host.heard());
    gateway.stop().await;
}

#[tokio::test]
async fn a_drained_node_takes_no_share_of_what_a_site_bears() {
    let world = World::new().await;
    let (one, two) = (world.gateway().await, world.gateway().await);
    count(&world, "sender", 2).await;
    let node = format!("/v1/nodes/nod_{:016x}", one.running.node.incarnation());
    assert_eq!(two.post(&format!("{node}/drain"), &json!({})).await.status, 200);
    count(&world, "sender", 1).await;
    assert_eq!(two.post(&format!("{node}/resume"), &json!({})).await.status, 200);
    count(&world, "sender", 2).await;
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn a_pause_ends_and_nodes_go_on_though_what_it_kept_cannot_be_freed_yet() {
    let world = World::new().await;
    world.accepting_mx("one.example").await;
    let (one, two) = (world.gateway().await, world.gateway().await);
    let pause = json!({ "recipient_domain": "one.example", "reason": "x" });
    assert_eq!(one.post("/v1/queue/pause", &pause).await.status, 200);
    lets_a_second_pass(&world, &one, |node| node.running.claims.orders().any()).await;
    let id = one.send(&["bee@one.example"]).await;
    count(&world, "delivery where owner = -2", 1).await;
    world.execute("create function stuck() returns trigger language plpgsql as 'begin raise exception ''stuck''; end'").await;
    world.execute("create trigger stuck before update on delivery for each row when (old.owner = -2) execute function stuck()").await;
    let answer = one.post("/v1/queue/resume", &pause).await;
    assert_eq!(answer.status, 204, "it is over: {}", answer.text());
    lets_a_second_pass(&world, &one, |node| !node.running.claims.orders().any()).await;
    // The node goes on with all else: it takes over what another leaves behind.
    let silent = two.running.node.incarnation();
    two.crash().await;
    world.silence_node(silent).await;
    count(&world, "node", 1).await;
    let now = one.send(&["ant@one.example"]).await;
    one.delivery_in(&now, "ant@one.example", "delivered").await;
    assert_eq!(state(&one, &id, "bee@one.example").await, "queued");
    world.execute("drop trigger stuck on delivery").await;
    count(&world, "delivery", 0).await;
    assert_eq!(state(&one, &id, "bee@one.example").await, "delivered");
    one.stop().await;
}
