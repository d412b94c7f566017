//! Up to EHLO: hosts that cannot be reached, that are slow, or that will not talk.

use std::time::Duration;

use super::world::World;
use super::world::gateway::eventually;
use super::world::telling::{assert_waits, attempts, kinds, last_attempt, reply, told};

const REFUSES: &str = "S: 554 5.7.1 no service for you";
const BUSY: &str = "S: 421 4.3.2 too busy";
const TAKES: &str =
    "S: 220 mx\nC: EHLO\nS: 250 mx\nC: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: DATA\nS: 354 go\nC: .\nS: 250 2.0.0 taken\nC: QUIT\nS: 221 bye";

// R1 R3 R4
#[tokio::test]
async fn a_host_that_will_not_talk_gives_way_to_the_next_within_the_same_attempt() {
    let world = World::new().await;
    for domain in ["refused.example", "busy.example", "noservice.example", "mute.example"] {
        match domain {
            // Nobody listens there.
            "refused.example" => {
                world.publish_host(domain);
            }
            "busy.example" => drop(world.scripted_mx(domain, &[BUSY]).await),
            "noservice.example" => drop(world.scripted_mx(domain, &[REFUSES]).await),
            _ => drop(world.scripted_mx(domain, &["!close"]).await),
        }
        let second = world.accepting_mx(domain).await;
        let gateway = world.gateway().await;
        let recipient = format!("bee@{domain}");
        let id = gateway.send(&[&recipient]).await;
        let delivery = gateway.delivery_in(&id, &recipient, "delivered").await;
        assert_eq!(attempts(&delivery), 1, "{domain}");
        assert_eq!(last_attempt(&delivery)["mx_ip"], second.local_addr.ip().to_string(), "{domain}");
        gateway.stop().await;
    }
}

// R1 R3 R4
#[tokio::test]
async fn when_no_host_will_talk_the_best_hope_decides() {
    let world = World::new().await;
    let nobody = |domain: &str| {
        world.publish_host(domain);
    };
    nobody("refused.example");
    nobody("refused.example");
    let busy = world.scripted_mx("busy.example", &[BUSY]).await;
    let never = (world.scripted_mx("never.example", &[REFUSES]).await, world.scripted_mx("never.example", &["S: 521 5.3.2 no mail here"]).await);
    let mixed = (world.scripted_mx("mixed.example", &[BUSY]).await, world.scripted_mx("mixed.example", &[REFUSES]).await);
    let throttled = world.scripted_mx("throttled.example", &["S: 421 4.7.0 too many connections from your host"]).await;
    let gateway = world.gateway().await;
    for (domain, expected, said) in [
        ("refused.example", "queued deferred connect host 4.4.1", "connection refused"),
        ("busy.example", "queued deferred greeting host 4.3.2", "421 4.3.2 too busy"),
        ("never.example", "bounced bounced greeting host 5.3.2", "521 5.3.2 no mail here"),
        ("mixed.example", "queued deferred greeting host 4.3.2", "421 4.3.2 too busy"),
        ("throttled.example", "queued deferred greeting site 4.7.0", "421 4.7.0 too many connections from your host"),
    ] {
        let recipient = format!("bee@{domain}");
        let id = gateway.send(&[&recipient]).await;
        let delivery = gateway.attempted(&id, &recipient, 1).await;
        assert_eq!(told(&delivery), expected, "{domain}");
        assert_eq!(reply(&delivery), said, "{domain}");
        assert_eq!(attempts(&delivery), 1, "{domain}");
        match domain {
            "throttled.example" => assert_waits(&delivery, 600.0),
            "never.example" => assert!(delivery["next_attempt_at"].is_null()),
            _ => assert_waits(&delivery, 60.0),
        }
        if domain == "mixed.example" {
            assert_eq!(last_attempt(&delivery)["mx_ip"], mixed.0.address.ip().to_string(), "the host that said what is shown");
        }
    }
    let connections = [busy.connections(), never.0.connections(), never.1.connections(), mixed.0.connections(), mixed.1.connections()];
    assert_eq!(connections, [1; 5], "each host once");
    assert_eq!(throttled.connections(), 1);
    gateway.stop().await;
}

// R1
#[tokio::test]
async fn a_domain_that_cannot_be_reached_rests_and_the_rest_of_its_mail_is_not_spent_on_it() {
    let mut world = World::new().await;
    world.config.delivery.max_connections_per_domain = 1;
    world.publish_host("dead.example");
    let gateway = world.gateway().await;
    let first = gateway.send(&["bee@dead.example"]).await;
    let delivery = gateway.attempted(&first, "bee@dead.example", 1).await;
    assert_eq!(told(&delivery), "queued deferred connect host 4.4.1");
    let second = gateway.send(&["bee@dead.example"]).await;
    let other = gateway.send(&["bee@nowhere.example"]).await;
    gateway.delivery_in(&other, "bee@nowhere.example", "bounced").await;
    let delivery = gateway.delivery(&second, "bee@dead.example").await;
    assert_eq!((attempts(&delivery), &delivery["state"]), (0, &"queued".into()), "it was not tried: {delivery:#}");
    let sink = world.accepting_mx("dead.example").await;
    gateway.running.house.resolver.forget_all();
    world.advance(Duration::from_secs(75));
    for (id, made) in [(&first, 2), (&second, 1)] {
        assert_eq!(attempts(&gateway.delivery_in(id, "bee@dead.example", "delivered").await), made);
    }
    assert_eq!(sink.received().len(), 2);
    gateway.stop().await;
}

// R2
#[tokio::test]
async fn a_greeting_after_four_minutes_is_waited_for_and_one_after_five_is_not() {
    let world = World::new().await;
    let patient = world.scripted_mx("slow.example", &[&format!("!wait 240\n{TAKES}")]).await;
    let mute = world.scripted_mx("mute.example", &["!silence"]).await;
    let gateway = world.gateway().await;
    let id = gateway.send(&["bee@slow.example", "bee@mute.example"]).await;
    eventually(|| async { if patient.connections() + mute.connections() == 2 { Ok(()) } else { Err("not connected".to_owned()) } }).await;
    world.advance(Duration::from_secs(240));
    let delivery = gateway.delivery_in(&id, "bee@slow.example", "delivered").await;
    assert_eq!(attempts(&delivery), 1);
    assert_eq!(gateway.delivery(&id, "bee@mute.example").await["state"], "active", "waited for still");
    world.advance(Duration::from_secs(60));
    let delivery = gateway.attempted(&id, "bee@mute.example", 1).await;
    assert_eq!(told(&delivery), "queued deferred greeting host 4.4.2");
    assert_eq!(reply(&delivery), "no answer within 300 s");
    assert!(last_attempt(&delivery)["duration_ms"].as_u64().unwrap() >= 300_000);
    assert_eq!(kinds(&gateway.message(&id).await).iter().filter(|kind| **kind == "bounced").count(), 0);
    gateway.stop().await;
}

// R5
#[tokio::test]
async fn a_host_that_knows_no_ehlo_is_spoken_to_with_helo() {
    let world = World::new().await;
    let old = TAKES.replace("C: EHLO\nS: 250 mx", "C: EHLO\nS: 500 what?\nC: HELO\nS: 250 mx");
    let host = world.scripted_mx("old.example", &[&old]).await;
    world.scripted_mx("later.example", &["S: 220 mx\nC: EHLO\nS: 450 4.3.2 not now"]).await;
    world.scripted_mx("deaf.example", &["S: 220 mx\nC: EHLO\nS: 554 no\nC: HELO\nS: 554 5.7.1 no"]).await;
    let gateway = world.gateway().await;
    let id = gateway.send(&["bee@old.example", "bee@later.example", "bee@deaf.example"]).await;
    gateway.delivery_in(&id, "bee@old.example", "delivered").await;
    assert!(host.heard().iter().any(|line| line == "HELO mail.sender.example"));
    assert_eq!(told(&gateway.attempted(&id, "bee@later.example", 1).await), "queued deferred ehlo host 4.3.2");
    assert_eq!(told(&gateway.attempted(&id, "bee@deaf.example", 1).await), "bounced bounced ehlo host 5.7.1");
    gateway.stop().await;
}
