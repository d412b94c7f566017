//! Source addresses that warm up: ceilings by day and provider, what goes beyond them, what nodes and restarts make of that.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use pennypost::config::egress::{PoolRule, SmartHostRule, Source};
use pennypost::lab::sink::SinkSettings;
use serde_json::{Value, json};

use super::world::World;
use super::world::gateway::Gateway;
use super::world::telling::{attempts, last_attempt, time_of};

/// A source with ceilings, the first of them today's.
fn warming(world: &World, address: IpAddr, days: &str) -> Source {
    let today = world.clock.now().date();
    toml::from_str(&format!("address = \"{address}\"\n[[warm_up]]\nsince = \"{today}\"\ndays = {days}")).unwrap()
}

fn plain(address: IpAddr, weight: u32) -> Source {
    toml::from_str(&format!("address = \"{address}\"\nweight = {weight}")).unwrap()
}

/// Moves to the middle of the next day, so that no midnight comes between.
fn to_noon(world: &World) {
    let now = world.clock.now();
    let noon = (now + Duration::from_hours(24)).replace_time(time::macros::time!(12:00));
    world.advance(Duration::try_from(noon - now).unwrap());
}

async fn send_many(gateway: &Gateway, domain: &str, count: usize) -> Vec<(String, String)> {
    let mut sent = Vec::new();
    for number in 0..count {
        let to = format!("bee{number}@{domain}");
        sent.push((gateway.send(&[&to]).await, to));
    }
    sent
}

/// How many deliveries left from each source, and how many wait for the next day.
async fn fates(gateway: &Gateway, sent: &[(String, String)]) -> BTreeMap<String, usize> {
    let mut fates = BTreeMap::new();
    for (id, to) in sent {
        let is_settled = |delivery: &Value| delivery["state"] == "delivered" || delivery["waiting"]["reason"] == "warming_up";
        let delivery = gateway.delivery_when(id, to, is_settled).await;
        let fate = if delivery["state"] == "delivered" {
            let attempt = last_attempt(&delivery);
            attempt["smart_host"].as_str().or(attempt["source_ip"].as_str()).unwrap().to_owned()
        } else {
            assert_eq!(attempts(&delivery), 0, "waiting is no attempt: {delivery:#}");
            "waits".to_owned()
        };
        *fates.entry(fate).or_default() += 1;
    }
    fates
}

fn counts<const N: usize>(expected: [(&str, usize); N]) -> BTreeMap<String, usize> {
    expected.into_iter().map(|(fate, count)| (fate.to_owned(), count)).collect()
}

#[tokio::test]
async fn a_warming_source_sends_up_to_its_ceiling_of_the_day_and_the_others_of_its_pool_the_rest() {
    let mut world = World::new().await;
    to_noon(&world);
    let [new, old] = [world.fresh_address(), world.fresh_address()];
    world.config.delivery.source = vec![warming(&world, new, "[5, 20]"), plain(old, 1000)];
    world.accepting_mx("example.net").await;
    world.accepting_mx("example.org").await;
    let gateway = world.gateway().await;
    let sent = send_many(&gateway, "example.net", 12).await;
    assert_eq!(fates(&gateway, &sent).await, counts([(&new.to_string(), 5), (&old.to_string(), 7)]));
    // Every site has a ceiling of its own, and one message may be beyond it with some of its recipients.
    let to: Vec<String> = (0..8).map(|number| format!("bee{number}@example.org")).collect();
    let id = gateway.send(&to.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let sent: Vec<_> = to.into_iter().map(|to| (id.clone(), to)).collect();
    assert_eq!(fates(&gateway, &sent).await, counts([(&new.to_string(), 5), (&old.to_string(), 3)]));
    let shown = gateway.get("/v1/egress").await.json();
    let source = shown["data"].as_array().unwrap().iter().find(|source| source["address"] == json!(new)).unwrap();
    assert_eq!(source["state"], "warming", "{shown:#}");
    let ceilings = source["warm_up"].as_array().unwrap();
    assert!(ceilings.contains(&json!({ "provider": null, "sent": null, "ceiling": 5 })), "{ceilings:?}");
    assert_eq!(ceilings.iter().filter(|ceiling| ceiling["sent"] == 5 && ceiling["ceiling"] == 5).count(), 2, "{ceilings:?}");
    // The next day it may send more, and the day after that it is as any other.
    world.advance(Duration::from_hours(24));
    let sent = send_many(&gateway, "example.net", 25).await;
    assert_eq!(fates(&gateway, &sent).await, counts([(&new.to_string(), 20), (&old.to_string(), 5)]));
    world.advance(Duration::from_hours(24));
    let shown = gateway.get("/v1/egress").await.json();
    assert!(shown["data"].as_array().unwrap().iter().all(|source| source["state"] == "ok"), "{shown:#}");
    gateway.stop().await;
}

#[tokio::test]
async fn mail_beyond_the_ceiling_waits_for_the_next_day_where_nobody_else_may_send_it() {
    let mut world = World::new().await;
    to_noon(&world);
    let [new, other] = [world.fresh_address(), world.fresh_address()];
    world.config.delivery.source = vec![warming(&world, new, "[3, 30]"), Source { pool: "bulk".into(), ..plain(other, 1) }];
    world.config.delivery.pool_rule = vec![PoolRule { pool: "bulk".into(), project: String::new(), stream: "news".into() }];
    world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    let sent = send_many(&gateway, "example.net", 8).await;
    assert_eq!(fates(&gateway, &sent).await, counts([(&new.to_string(), 3), ("waits", 5)]));
    let mut waits = Vec::new();
    for (id, to) in &sent {
        let delivery = gateway.delivery(id, to).await;
        if delivery["state"] == "queued" {
            waits.push((id, to, delivery));
        }
    }
    let (id, to, delivery) = waits.pop().unwrap();
    let until = time_of(&delivery["waiting"]["until"]);
    let midnight = (world.clock.now() + Duration::from_hours(24)).replace_time(time::Time::MIDNIGHT);
    assert_eq!((until, time_of(&delivery["next_attempt_at"])), (midnight, midnight), "{delivery:#}");
    let says = format!("the source address {new} warms up: its 3 recipients of today for ");
    assert!(delivery["waiting"]["detail"].as_str().unwrap().starts_with(&says), "{delivery:#}");
    // Another pool goes on to the same domain, and asking for an attempt does not lift the ceiling.
    let news = gateway.send_with(&["bee@example.net"], json!({ "stream": "news" })).await;
    gateway.delivery_in(&news, "bee@example.net", "delivered").await;
    gateway.post(&format!("/v1/messages/{id}/retry"), &json!({})).await;
    let delivery = gateway.delivery_when(id, to, |delivery| delivery["waiting"]["reason"] == "warming_up").await;
    assert_eq!(attempts(&delivery), 0);
    let metrics = String::from_utf8(gateway.get("/metrics").await.body).unwrap();
    assert!(metrics.contains("pennypost_egress_overflow_total{to=\"waits\"}"), "{metrics}");
    world.advance(Duration::try_from(midnight - world.clock.now()).unwrap() + Duration::from_secs(1));
    for (id, to) in &sent {
        gateway.delivery_in(id, to, "delivered").await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn mail_beyond_the_ceiling_goes_to_the_smart_host_that_takes_the_overflow() {
    let mut world = World::new().await;
    to_noon(&world);
    let new = world.fresh_address();
    world.config.delivery.source = vec![warming(&world, new, "[4]")];
    let sink = world.accepting_mx("example.net").await;
    world.accepting_mx("example.org").await;
    let relay = world.accepting_mx("relay.sender.example").await;
    let host = format!("{}:{}", relay.local_addr.ip(), relay.local_addr.port());
    let rule: SmartHostRule = toml::from_str(&format!("host = \"{host}\"\noverflow = true\ndomain = \"example.net\"")).unwrap();
    world.config.delivery.smart_host_rule = vec![rule];
    let gateway = world.gateway().await;
    let sent = send_many(&gateway, "example.net", 9).await;
    assert_eq!(fates(&gateway, &sent).await, counts([(&new.to_string(), 4), (&host, 5)]));
    assert_eq!((sink.counts().messages, relay.counts().messages), (4, 5));
    // The rule is about its domain only.
    let sent = send_many(&gateway, "example.org", 6).await;
    assert_eq!(fates(&gateway, &sent).await, counts([(&new.to_string(), 4), ("waits", 2)]));
    gateway.stop().await;
}

#[tokio::test]
async fn a_ceiling_holds_for_all_nodes_together_and_over_restarts() {
    let mut world = World::new().await;
    to_noon(&world);
    let new = world.fresh_address();
    world.config.delivery.source = vec![warming(&world, new, "[40]")];
    world.accepting_mx("example.net").await;
    let nodes = [world.gateway().await, world.gateway().await];
    let mut sent = Vec::new();
    for node in &nodes {
        // A node takes two at a time, so each has one left.
        sent.extend(send_many(node, "example.net", 11).await);
    }
    assert_eq!(fates(&nodes[0], &sent).await, counts([(&new.to_string(), 22)]));
    for node in nodes {
        node.stop().await;
    }
    assert_eq!(world.number("select taken from warm_up").await, 22, "what was set aside and not used was given back");
    let gateway = world.gateway().await;
    let sent = send_many(&gateway, "example.net", 20).await;
    assert_eq!(fates(&gateway, &sent).await, counts([(&new.to_string(), 18), ("waits", 2)]));
    gateway.crash().await;
    world.advance(Duration::from_mins(1));
    let gateway = world.gateway().await;
    let sent = send_many(&gateway, "example.net", 2).await;
    assert_eq!(fates(&gateway, &sent).await, counts([("waits", 2)]));
    gateway.stop().await;
}

#[tokio::test]
async fn a_ceiling_is_of_the_provider_that_its_schedule_names() {
    let mut world = World::new().await;
    to_noon(&world);
    let new = world.fresh_address();
    let today = world.clock.now().date();
    let providers = super::world::database::scratch().join(format!("providers-{new}.toml"));
    std::fs::write(&providers, "[[provider]]\nname = \"big\"\nmx = [\"example.net\", \"example.org\"]\n").unwrap();
    world.config.delivery.providers = providers;
    let text = format!("address = \"{new}\"\n[[warm_up]]\nsince = \"{today}\"\nprovider = \"big\"\ndays = [3]");
    world.config.delivery.source = vec![toml::from_str(&text).unwrap()];
    for domain in ["example.net", "example.org", "small.example"] {
        world.accepting_mx(domain).await;
    }
    let gateway = world.gateway().await;
    // Its sites count together; whom no schedule names there is no ceiling for.
    let mut sent = send_many(&gateway, "example.net", 2).await;
    sent.extend(send_many(&gateway, "example.org", 2).await);
    assert_eq!(fates(&gateway, &sent).await, counts([(&new.to_string(), 3), ("waits", 1)]));
    let sent = send_many(&gateway, "small.example", 5).await;
    assert_eq!(fates(&gateway, &sent).await, counts([(&new.to_string(), 5)]));
    gateway.stop().await;
}

#[tokio::test]
async fn a_host_of_the_ip_version_whose_sources_are_used_up_waits_and_bounces_not() {
    let mut world = World::new().await;
    to_noon(&world);
    let (four, six): (IpAddr, IpAddr) = (world.fresh_address(), "::1".parse().unwrap());
    world.config.delivery.source = vec![warming(&world, four, "[2]"), plain(six, 1)];
    world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    let sent = send_many(&gateway, "example.net", 4).await;
    assert_eq!(fates(&gateway, &sent).await, counts([(&four.to_string(), 2), ("waits", 2)]));
    gateway.stop().await;
}

#[tokio::test]
async fn recipients_that_a_host_does_not_hear_yet_count_when_they_are_tried_and_once() {
    let mut world = World::new().await;
    to_noon(&world);
    let new = world.fresh_address();
    world.config.delivery.source = vec![warming(&world, new, "[3]")];
    let sink = world.mx("example.net", SinkSettings { max_recipients: 1, ..SinkSettings::default() }).await;
    let gateway = world.gateway().await;
    let to: Vec<String> = (0..3).map(|number| format!("bee{number}@example.net")).collect();
    let id = gateway.send(&to.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let sent: Vec<_> = to.into_iter().map(|to| (id.clone(), to)).collect();
    assert_eq!(fates(&gateway, &sent).await, counts([(&new.to_string(), 3)]));
    assert_eq!(sink.counts().messages, 3, "each by itself");
    let sent = send_many(&gateway, "example.net", 1).await;
    assert_eq!(fates(&gateway, &sent).await, counts([("waits", 1)]));
    gateway.stop().await;
}

#[tokio::test]
async fn a_session_from_a_source_that_stepped_in_is_not_used_beyond_its_ceiling() {
    let mut world = World::new().await;
    to_noon(&world);
    let [away, new] = [world.fresh_address(), world.fresh_address()];
    // Nobody listens there.
    let proxy = format!("socks5://{}:1080", world.fresh_address());
    let failing = Source { proxy, weight: 1000, ..warming(&world, away, "[50]") };
    world.config.delivery.source = vec![failing, warming(&world, new, "[2]")];
    world.config.delivery.idle_seconds = 60;
    let sink = world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    for number in 0..2 {
        let to = format!("bee{number}@example.net");
        let id = gateway.send(&[&to]).await;
        let delivery = gateway.delivery_in(&id, &to, "delivered").await;
        assert_eq!(last_attempt(&delivery)["source_ip"], json!(new), "{delivery:#}");
    }
    // The session is still open, but what it left from may send no more today.
    let id = gateway.send(&["ant@example.net"]).await;
    let delivery = gateway.attempted(&id, "ant@example.net", 1).await;
    assert_eq!((&delivery["state"], &last_attempt(&delivery)["stage"]), (&json!("queued"), &json!("connect")), "{delivery:#}");
    assert_eq!((sink.counts().messages, sink.counts().connections), (2, 1));
    gateway.stop().await;
}

#[tokio::test]
async fn a_pause_of_the_smart_host_for_the_overflow_holds_up_what_goes_beyond_the_ceiling_and_nothing_else() {
    let mut world = World::new().await;
    to_noon(&world);
    let new = world.fresh_address();
    world.config.delivery.source = vec![warming(&world, new, "[2, 50]")];
    world.accepting_mx("example.net").await;
    let relay = world.accepting_mx("relay.sender.example").await;
    let host = format!("{}:{}", relay.local_addr.ip(), relay.local_addr.port());
    let rule: SmartHostRule = toml::from_str(&format!("host = \"{host}\"\noverflow = true")).unwrap();
    world.config.delivery.smart_host_rule = vec![rule];
    let gateway = world.gateway().await;
    let known = format!(
        "insert into site (name, provider, limits, standing, slowed, sessions, domains) values ('{host}', 'smart-host', '{{}}', '{{}}', true, 1, '{{example.net}}')"
    );
    world.execute(&known).await;
    let pause = json!({ "site": host, "reason": "they asked for it" });
    assert_eq!(gateway.post("/v1/sites/pause", &pause).await.status, 200);
    super::operator::lets_a_second_pass(&world, &gateway, |node| node.running.claims.orders().any_site()).await;
    let (mut sent, mut waiting) = (send_many(&gateway, "example.net", 4).await, Vec::new());
    for (id, to) in sent.drain(..) {
        let is_settled = |delivery: &Value| delivery["state"] == "delivered" || delivery["waiting"]["reason"] == "paused";
        let delivery = gateway.delivery_when(&id, &to, is_settled).await;
        if delivery["state"] != "delivered" {
            let says = format!("its way, by the smart host {host}, is paused by an operator");
            assert_eq!((delivery["waiting"]["detail"].as_str().unwrap(), attempts(&delivery)), (says.as_str(), 0), "{delivery:#}");
            waiting.push((id, to));
        }
    }
    assert_eq!((waiting.len(), relay.counts().connections), (2, 0));
    assert_eq!(world.number("select count(*) from paused_domain").await, 0, "the domain is not at the paused site");
    assert_eq!(gateway.post("/v1/sites/resume", &pause).await.status, 204);
    super::operator::lets_a_second_pass(&world, &gateway, |node| !node.running.claims.orders().any_site()).await;
    world.advance(Duration::from_secs(31));
    assert_eq!(fates(&gateway, &waiting).await, counts([(&host, 2)]));
    gateway.stop().await;
}
