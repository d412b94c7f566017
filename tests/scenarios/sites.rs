//! Sites: domains with the same mail hosts, how much they are sent, what they learn each other, and why a delivery waits.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use pennypost::lab::sink::{Behaviour, Sink, SinkSettings};
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;

use super::world::gateway::eventually;
use super::world::script::{TAKEN, after_hello};
use super::world::telling::{attempts, last_attempt};
use super::world::{Gateway, World, database};

/// A host that takes the mail of several domains.
async fn shared_host(world: &World, domains: &[&str], settings: SinkSettings) -> Sink {
    let address = world.fresh_address();
    world.zone.add(&format!("mx.shared.example A {address}")).unwrap();
    for domain in domains {
        world.zone.add(&format!("{domain} MX 10 mx.shared.example")).unwrap();
    }
    world.host_at(address, settings).await
}

fn at(world: &World, seconds: i64) -> String {
    (world.clock.now() + time::Duration::seconds(seconds)).format(&Rfc3339).unwrap()
}

/// Waits until a delivery waits for `reason`, and answers why.
async fn waits_for(gateway: &Gateway, id: &str, recipient: &str, reason: &str) -> Value {
    gateway.delivery_when(id, recipient, |delivery| delivery["waiting"]["reason"] == reason).await["waiting"].clone()
}

#[tokio::test]
async fn domains_with_the_same_hosts_share_sessions_and_never_a_transaction() {
    let mut world = World::new().await;
    world.config.delivery.max_connections_per_domain = 1;
    world.config.delivery.idle_seconds = 60;
    let sink = shared_host(&world, &["a.example", "b.example", "c.example"], SinkSettings::default()).await;
    let gateway = world.gateway().await;
    let recipients = ["one@a.example", "two@a.example", "bee@b.example", "bee@c.example"];
    for _ in 0..3 {
        let id = gateway.send(&recipients).await;
        for recipient in recipients {
            assert_eq!(attempts(&gateway.delivery_in(&id, recipient, "delivered").await), 1);
        }
    }
    assert_eq!((sink.counts().connections, sink.counts().messages), (1, 9), "one session, three transactions a message");
    for message in sink.received() {
        let domains: BTreeSet<_> = message.recipients.iter().map(|recipient| recipient.rsplit_once('@').unwrap().1).collect();
        assert_eq!(domains.len(), 1, "{:?}", message.recipients);
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_domain_whose_hosts_change_is_not_sent_into_the_sessions_of_its_former_neighbours() {
    let mut world = World::new().await;
    world.config.delivery.max_connections_per_domain = 1;
    world.config.delivery.idle_seconds = 200;
    let before = shared_host(&world, &["a.example", "b.example"], SinkSettings::default()).await;
    let gateway = world.gateway().await;
    let id = gateway.send(&["bee@a.example", "bee@b.example"]).await;
    gateway.delivery_in(&id, "bee@a.example", "delivered").await;
    gateway.delivery_in(&id, "bee@b.example", "delivered").await;
    world.zone.remove("b.example");
    let after = world.accepting_mx("b.example").await;
    gateway.running.house.resolver.forget_all();
    world.advance(Duration::from_secs(61));
    // The first one after the change finds out; what follows goes by it.
    let id = gateway.send(&["bee@b.example"]).await;
    gateway.delivery_in(&id, "bee@b.example", "delivered").await;
    let id = gateway.send(&["bee@b.example", "bee@a.example"]).await;
    gateway.delivery_in(&id, "bee@b.example", "delivered").await;
    gateway.delivery_in(&id, "bee@a.example", "delivered").await;
    assert!(after.counts().messages >= 1, "{:?} {:?}", before.counts(), after.counts());
    assert!(after.received().iter().all(|message| message.recipients == ["bee@b.example"]), "nobody else's mail went there");
    gateway.stop().await;
}

// R20
#[tokio::test]
async fn a_site_gets_as_many_sessions_as_it_bears_and_no_message_pays_for_finding_out() {
    let world = World::new().await;
    let sink = world.mx("example.net", SinkSettings { max_sessions: 2, ..SinkSettings::default() }).await;
    let gateway = world.gateway().await;
    let mut sent = Vec::new();
    for number in 0..24 {
        sent.push((gateway.send(&[&format!("slow{number}@example.net")]).await, format!("slow{number}@example.net")));
    }
    eventually(|| async {
        world.advance(Duration::from_millis(500));
        if sink.counts().messages == 24 { Ok(()) } else { Err(format!("{:?}", sink.counts())) }
    })
    .await;
    for (id, recipient) in &sent {
        assert_eq!(attempts(&gateway.delivery_in(id, recipient, "delivered").await), 1);
    }
    assert!((1..=8).contains(&sink.counts().refused), "{:?}", sink.counts());
    world.advance(Duration::from_secs(4));
    eventually(|| async {
        let sessions = world.number("select coalesce(sum(sessions), 0) from site where slowed").await;
        if sessions == 2 { Ok(()) } else { Err(format!("{sessions} sessions")) }
    })
    .await;
    gateway.stop().await;
}

// R20
#[tokio::test]
async fn what_one_node_learned_of_a_site_holds_on_the_others_and_after_a_restart() {
    let world = World::new().await;
    let slow = after_hello("C: MAIL\nS: 451 4.7.500 Server busy, too fast\n!close");
    let host = world.scripted_mx("example.net", &[&slow, &after_hello(&TAKEN.repeat(9))]).await;
    let (one, two) = (world.gateway().await, world.gateway().await);
    let refused = one.send(&["first@example.net"]).await;
    one.attempted(&refused, "first@example.net", 1).await;
    world.advance(Duration::from_secs(4));
    eventually(|| async {
        let known = world.number("select count(*) from site where paused_until is not null").await;
        if known == 1 { Ok(()) } else { Err(format!("{known} sites")) }
    })
    .await;
    world.advance(Duration::from_secs(4));
    // By now the other node has read it too; if it has not, it is told by the first that waits.
    let second = two.send(&["second@example.net"]).await;
    let waiting = waits_for(&two, &second, "second@example.net", "site_paused").await;
    assert!(waiting["detail"].as_str().unwrap().contains("451 4.7.500 Server busy"), "{waiting}");
    one.stop().await;
    two.stop().await;
    let again = world.gateway().await;
    let third = again.send(&["third@example.net"]).await;
    waits_for(&again, &third, "third@example.net", "site_paused").await;
    assert_eq!(host.connections(), 1, "nobody tried meanwhile");
    world.advance(Duration::from_mins(2));
    for (id, recipient) in [(&second, "second@example.net"), (&third, "third@example.net")] {
        assert_eq!(attempts(&again.delivery_in(id, recipient, "delivered").await), 1);
    }
    again.stop().await;
}

#[tokio::test]
async fn each_waiting_delivery_says_why_and_until_when() {
    let mut world = World::new().await;
    world.config.delivery.max_connections_per_domain = 1;
    world.scripted_mx("slow.example", &[&after_hello("C: MAIL\nS: 421 4.7.28 unusual rate of mail\n!close")]).await;
    world.mx("busy.example", SinkSettings { behaviour: Behaviour::Refuse("450 4.2.1 mailbox busy".into()), ..SinkSettings::default() }).await;
    world.publish_host("dead.example");
    world.scripted_mx("mute.example", &["!silence"]).await;
    let gateway = world.gateway().await;
    let first = gateway.send(&["bee@slow.example", "bee@busy.example", "bee@dead.example"]).await;
    for recipient in ["bee@slow.example", "bee@busy.example", "bee@dead.example"] {
        gateway.attempted(&first, recipient, 1).await;
    }
    let retry = waits_for(&gateway, &first, "bee@busy.example", "retry").await;
    assert!(retry["until"].is_string() && retry["detail"].as_str().unwrap().contains("450 4.2.1 mailbox busy"), "{retry}");
    let later = gateway.send_with(&["bee@busy.example"], json!({ "send_at": at(&world, 900) })).await;
    let scheduled = waits_for(&gateway, &later, "bee@busy.example", "scheduled").await;
    assert_eq!(scheduled["until"], gateway.message(&later).await["send_at"]);
    gateway.post(&format!("/v1/messages/{later}/hold"), &json!({})).await;
    waits_for(&gateway, &later, "bee@busy.example", "held").await;
    let mute = gateway.send(&["bee@mute.example"]).await;
    let in_line = waits_for(&gateway, &mute, "bee@mute.example", "in_line").await;
    assert!(in_line["detail"].as_str().unwrap().starts_with("mail.sender.example has it"), "{in_line}");
    world.advance(Duration::from_secs(4));
    let second = gateway.send(&["bee@slow.example", "bee@dead.example"]).await;
    for (recipient, says) in [("bee@slow.example", "421 4.7.28 unusual rate"), ("bee@dead.example", "connection refused")] {
        let paused = eventually(|| async {
            let waiting = gateway.delivery(&second, recipient).await["waiting"].clone();
            if waiting["detail"].as_str().is_some_and(|detail| detail.contains(says)) { Ok(waiting) } else { Err(format!("{waiting}")) }
        })
        .await;
        assert_eq!(paused["reason"], "site_paused", "{paused}");
        assert!(paused["until"].is_string(), "{paused}");
    }
    let sites = gateway.get("/v1/sites").await.json();
    let slow = sites["data"].as_array().unwrap().iter().find(|site| site["domains"] == json!(["slow.example"])).unwrap().clone();
    assert_eq!((&slow["state"], &slow["sessions"], &slow["provider"]), (&json!("paused"), &json!(1), &json!("other")), "{slow:#}");
    assert_eq!((&slow["limits"]["connections"], &slow["reason"]), (&json!(1), &json!("421 4.7.28 unusual rate of mail")), "{slow:#}");
    let delivered = gateway.running.house.outbox.all_sites().await.unwrap();
    assert!(delivered.iter().all(|site| site.reason.is_some()), "{delivered:#?}");
    gateway.crash().await;
}

#[tokio::test]
async fn urgent_mail_passes_a_newsletter_that_waits_in_the_database() {
    let mut world = World::new().await;
    world.config.delivery.memory_octets = 40_000;
    world.config.delivery.max_connections_per_domain = 1;
    let sink = world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    let text = "What does not fit into memory waits in the database, in order. ".repeat(40);
    for number in 0..40 {
        gateway.send_with(&[&format!("slow{number}@example.net")], json!({ "text": text, "priority": "bulk" })).await;
    }
    assert!(world.number("select count(*) from delivery where owner = 0").await >= 20, "most of it waits there");
    let urgent = gateway.send_with(&["urgent@example.net"], json!({ "text": text, "priority": "high" })).await;
    eventually(|| async {
        world.advance(Duration::from_secs(1));
        let delivery = gateway.delivery(&urgent, "urgent@example.net").await;
        if delivery["state"] == "delivered" { Ok(()) } else { Err(delivery["state"].to_string()) }
    })
    .await;
    assert!(sink.counts().messages < 41, "it would be the last if it had to wait for all that came before it");
    gateway.crash().await;
}

#[tokio::test]
async fn a_way_over_ipv6_that_is_refused_gives_way_to_ipv4_and_no_message_bounces() {
    let world = World::new().await;
    let refusal = "550 5.7.1 this message does not meet IPv6 sending guidelines regarding PTR records";
    let six = SinkSettings { behaviour: Behaviour::RefuseContent(refusal.into()), ..SinkSettings::default() };
    let six = world.host_at(IpAddr::V6(Ipv6Addr::LOCALHOST), six).await;
    let four = world.fresh_address();
    for line in ["example.net MX 10 six.example.net", "six.example.net AAAA ::1", "example.net MX 20 four.example.net"] {
        world.zone.add(line).unwrap();
    }
    world.zone.add(&format!("four.example.net A {four}")).unwrap();
    let sink = world.host_at(four, SinkSettings::default()).await;
    let gateway = world.gateway().await;
    for _ in 0..2 {
        let id = gateway.send(&["bee@example.net"]).await;
        let delivery = gateway.delivery_in(&id, "bee@example.net", "delivered").await;
        assert_eq!((attempts(&delivery), &last_attempt(&delivery)["mx_ip"]), (1, &json!(four.to_string())));
    }
    assert_eq!((six.counts().connections, sink.counts().messages), (1, 2), "IPv6 is not tried again");
    gateway.stop().await;
}

#[tokio::test]
async fn an_operators_file_sets_the_limits_of_a_provider() {
    let mut world = World::new().await;
    let file = database::scratch().join(format!("providers-{}.toml", world.config.delivery.mx_port));
    std::fs::write(
        &file,
        "[[provider]]\nname = \"own\"\nmx = [\"example.net\"]\nconnections = 1\nmessages_per_connection = 2\nrecipients_per_transaction = 2\n",
    )
    .unwrap();
    world.config.delivery.providers = file;
    world.config.delivery.idle_seconds = 60;
    let sink = world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    for _ in 0..3 {
        let id = gateway.send(&["a@example.net", "b@example.net", "c@example.net"]).await;
        for recipient in ["a@example.net", "b@example.net", "c@example.net"] {
            gateway.delivery_in(&id, recipient, "delivered").await;
        }
    }
    assert_eq!((sink.counts().messages, sink.counts().connections), (6, 3));
    gateway.stop().await;
}
