//! Sessions: shared by messages, counted, limited, replaced; and who goes first.

use std::time::Duration;

use pennypost::lab::sink::SinkSettings;
use serde_json::json;

use super::world::World;
use super::world::gateway::eventually;
use super::world::script::{TAKEN, after_hello};
use super::world::telling::{attempts, last_attempt};

#[tokio::test]
async fn messages_to_one_domain_share_a_session_up_to_its_limit() {
    for (limit, connections) in [(100, 1), (2, 3)] {
        let mut world = World::new().await;
        world.config.delivery.max_connections_per_domain = 1;
        world.config.delivery.max_messages_per_connection = limit;
        world.config.delivery.idle_seconds = 60;
        let sink = world.accepting_mx("example.net").await;
        let gateway = world.gateway().await;
        for _ in 0..5 {
            let id = gateway.send(&["bee@example.net"]).await;
            assert_eq!(attempts(&gateway.delivery_in(&id, "bee@example.net", "delivered").await), 1);
        }
        assert_eq!((sink.counts().messages, sink.counts().connections), (5, connections));
        gateway.stop().await;
    }
}

#[tokio::test]
async fn an_idle_session_ends_after_the_configured_time() {
    let mut world = World::new().await;
    world.config.delivery.idle_seconds = 60;
    let host = world.scripted_mx("example.net", &[&after_hello(TAKEN)]).await;
    let gateway = world.gateway().await;
    let id = gateway.send(&["bee@example.net"]).await;
    gateway.delivery_in(&id, "bee@example.net", "delivered").await;
    assert!(!host.heard().contains(&"QUIT".to_owned()));
    world.advance(Duration::from_secs(61));
    eventually(|| async { if host.heard().contains(&"QUIT".to_owned()) { Ok(()) } else { Err(format!("{:?}", host.heard())) } }).await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_session_that_the_host_ended_while_it_was_idle_is_replaced_at_no_cost() {
    let bdat =
        "S: 220 mx\nC: EHLO\nS: 250-mx\nS: 250-PIPELINING\nS: 250 CHUNKING\nC: DATA\nS: 250 ok\nS: 250 ok\nS: 354 go\nC: .\nS: 250 2.0.0 taken\n";
    for (name, first) in [
        ("closed", format!("{}!close", after_hello(TAKEN))),
        ("said goodbye", format!("{}!wait\nS: 421 4.4.2 idle too long\n!close", after_hello(TAKEN))),
        ("reset", format!("{}!reset", after_hello(TAKEN))),
        // A short message would go out in one flight here, and its outcome be unknown.
        ("closed in full stride", format!("{bdat}!close")),
    ] {
        let mut world = World::new().await;
        world.config.delivery.idle_seconds = 60;
        let host = world.scripted_mx("example.net", &[&first, &after_hello(TAKEN)]).await;
        let gateway = world.gateway().await;
        let id = gateway.send(&["bee@example.net"]).await;
        gateway.delivery_in(&id, "bee@example.net", "delivered").await;
        host.go_on();
        let id = gateway.send(&["bee@example.net"]).await;
        let delivery = gateway.delivery_in(&id, "bee@example.net", "delivered").await;
        assert_eq!((attempts(&delivery), host.connections()), (1, 2), "{name}: {delivery:#}");
        gateway.stop().await;
    }
}

#[tokio::test]
async fn a_domain_gets_no_more_sessions_than_its_share_and_others_are_not_kept_waiting() {
    let mut world = World::new().await;
    world.config.delivery.max_connections = 4;
    world.config.delivery.max_connections_per_domain = 2;
    let mute = world.scripted_mx("mute.example", &["!silence"]).await;
    let gateway = world.gateway().await;
    let mut waiting = Vec::new();
    for _ in 0..30 {
        waiting.push(gateway.send(&["bee@mute.example"]).await);
    }
    eventually(|| async { if mute.connections() == 2 { Ok(()) } else { Err(format!("{} sessions", mute.connections())) } }).await;
    // L1
    world.accepting_mx("example.org").await;
    for _ in 0..5 {
        let id = gateway.send(&["bee@example.org"]).await;
        gateway.delivery_in(&id, "bee@example.org", "delivered").await;
    }
    assert_eq!(mute.connections(), 2);
    for id in &waiting {
        assert_eq!(attempts(&gateway.delivery(id, "bee@mute.example").await), 0);
    }
    gateway.crash().await;
}

// L1: more messages than the lane of one domain holds in memory.
#[tokio::test]
async fn a_dead_domain_with_much_mail_delays_no_other() {
    let world = World::new().await;
    world.publish_host("dead.example");
    let sink = world.accepting_mx("example.org").await;
    let gateway = world.gateway().await;
    for _ in 0..40 {
        let answer: Vec<String> = (0..50).map(|number| format!("r{number}@dead.example")).collect();
        gateway.send(&answer.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }
    let id = gateway.send(&["bee@example.org"]).await;
    let delivery = gateway.delivery_in(&id, "bee@example.org", "delivered").await;
    assert_eq!(attempts(&delivery), 1);
    world.advance(Duration::from_mins(2));
    let id = gateway.send(&["bee@example.org"]).await;
    gateway.delivery_in(&id, "bee@example.org", "delivered").await;
    assert_eq!(sink.counts().messages, 2);
    let queue = gateway.get("/v1/queue").await.json();
    let lane = queue["data"].as_array().unwrap().iter().find(|lane| lane["domain"] == "dead.example").unwrap().clone();
    assert_eq!(lane["queued"].as_u64().unwrap() + lane["active"].as_u64().unwrap(), 2_000, "none was lost or given up: {lane}");
    gateway.crash().await;
}

#[tokio::test]
async fn high_priority_goes_before_normal_and_normal_before_bulk() {
    let mut world = World::new().await;
    world.config.delivery.max_connections_per_domain = 1;
    let steps = format!("C: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: DATA\nS: 354 go\nC: .\n!wait\nS: 250 2.0.0 taken\n{TAKEN}{TAKEN}{TAKEN}");
    let host = world.scripted_mx("example.net", &[&after_hello(&steps)]).await;
    let gateway = world.gateway().await;
    gateway.send(&["first@example.net"]).await;
    eventually(|| async { if host.heard().contains(&".".to_owned()) { Ok(()) } else { Err("not there yet".to_owned()) } }).await;
    let mut sent = Vec::new();
    for priority in ["bulk", "normal", "high"] {
        let recipient = format!("{priority}@example.net");
        sent.push((gateway.send_with(&[&recipient], json!({ "priority": priority })).await, recipient));
    }
    host.go_on();
    for (id, recipient) in &sent {
        gateway.delivery_in(id, recipient, "delivered").await;
    }
    let order: Vec<String> = host.heard().into_iter().filter(|line| line.starts_with("RCPT")).collect();
    assert_eq!(order, ["first", "high", "normal", "bulk"].map(|name| format!("RCPT TO:<{name}@example.net>")));
    gateway.stop().await;
}

#[tokio::test]
async fn many_recipients_of_one_domain_go_in_transactions_of_the_configured_size() {
    let mut world = World::new().await;
    world.config.delivery.max_recipients_per_transaction = 3;
    let sink = world.mx("example.net", SinkSettings::default()).await;
    let gateway = world.gateway().await;
    let seven: Vec<String> = (0..7).map(|number| format!("r{number}@example.net")).collect();
    let id = gateway.send(&seven.iter().map(String::as_str).collect::<Vec<_>>()).await;
    for recipient in &seven {
        let delivery = gateway.delivery_in(&id, recipient, "delivered").await;
        assert_eq!(last_attempt(&delivery)["enhanced_status"], "2.0.0");
    }
    let mut sizes: Vec<usize> = sink.received().iter().map(|message| message.recipients.len()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [1, 3, 3]);
    gateway.stop().await;
}
