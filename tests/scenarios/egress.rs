//! Source addresses: pools by project and stream, names, weights; mail for a domain keeps to one.

use std::collections::BTreeSet;
use std::net::IpAddr;

use pennypost::access::{NewKey, Scope};
use pennypost::config::egress::{PoolRule, SmartHostRule, Source};
use pennypost::lab::sink::{Sink, SinkSettings};
use pennypost::model::ProjectId;
use pennypost::serve::{self, Roles};
use pennypost::supervisor::Supervisor;
use serde_json::{Value, json};

use super::world::telling::last_attempt;
use super::world::{World, http};

fn source(address: IpAddr, pool: &str, ehlo_name: &str) -> Source {
    toml::from_str(&format!("address = \"{address}\"\nehlo_name = \"{ehlo_name}\"\npool = \"{pool}\"")).unwrap()
}

fn rule(pool: &str, project: &str, stream: &str) -> PoolRule {
    PoolRule { pool: pool.into(), project: project.into(), stream: stream.into() }
}

#[tokio::test]
async fn a_stream_leaves_from_its_own_pool_under_that_sources_name_and_shares_no_session() {
    let mut world = World::new().await;
    let (usual, bulk) = (world.fresh_address(), world.fresh_address());
    world.config.delivery.egress = vec![usual];
    world.config.delivery.source = vec![source(bulk, "bulk", "out2.sender.example")];
    world.config.delivery.pool_rule = vec![rule("bulk", "default", "news")];
    world.config.delivery.max_connections_per_domain = 1;
    world.config.delivery.idle_seconds = 60;
    let sink = world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    for (stream, address, pool, name) in [
        ("news", bulk, "bulk", "out2.sender.example"),
        ("receipts", usual, "default", "mail.sender.example"),
        ("receipts", usual, "default", "mail.sender.example"),
        ("news", bulk, "bulk", "out2.sender.example"),
    ] {
        let id = gateway.send_with(&["bee@example.net"], json!({ "stream": stream })).await;
        let delivery = gateway.delivery_in(&id, "bee@example.net", "delivered").await;
        let attempt = last_attempt(&delivery);
        assert_eq!((&attempt["source_ip"], &attempt["pool"]), (&json!(address), &json!(pool)), "{attempt:#}");
        let received = sink.received().pop().unwrap();
        assert_eq!((received.peer.ip(), received.helo.as_str()), (address, name));
    }
    assert_eq!(sink.counts().connections, 3, "only the two receipts share a session");
    let metrics = String::from_utf8(gateway.get("/metrics").await.body).unwrap();
    let line = format!("pennypost_egress_attempts_total{{pool=\"bulk\",source=\"{bulk}\",smart_host=\"\",outcome=\"delivered\"}} 2");
    assert!(metrics.contains(&line), "{line} is not in\n{metrics}");
    gateway.stop().await;
}

#[tokio::test]
async fn the_pool_is_known_still_when_a_message_comes_back_from_the_database() {
    let mut world = World::new().await;
    let (usual, bulk) = (world.fresh_address(), world.fresh_address());
    world.config.delivery.source = vec![source(usual, "default", ""), source(bulk, "bulk", "")];
    world.config.delivery.pool_rule = vec![rule("bulk", "", "news")];
    let sink = world.accepting_mx("example.net").await;
    let accepting = world.gateway_with("api".parse::<Roles>().unwrap()).await;
    let id = accepting.send_with(&["bee@example.net"], json!({ "stream": "news" })).await;
    accepting.stop().await;
    let gateway = world.gateway().await;
    gateway.delivery_in(&id, "bee@example.net", "delivered").await;
    assert_eq!(sink.received()[0].peer.ip(), bulk);
    gateway.stop().await;
}

#[tokio::test]
async fn mail_for_a_domain_keeps_its_source_and_other_domains_use_the_others() {
    let mut world = World::new().await;
    let sources = [world.fresh_address(), world.fresh_address()];
    world.config.delivery.source = sources.iter().map(|address| source(*address, "default", "")).collect();
    let sink = world.accepting_mx("example.net").await;
    let domains: Vec<String> = (0..24).map(|number| format!("d{number}.example")).collect();
    for domain in &domains {
        world.zone.add(&format!("{domain} MX 10 mx3.example.net")).unwrap();
    }
    let mut seen: Vec<BTreeSet<IpAddr>> = vec![BTreeSet::new(); domains.len()];
    for _restart in 0..2 {
        let gateway = world.gateway().await;
        for (domain, seen) in domains.iter().zip(&mut seen) {
            let to = format!("bee@{domain}");
            let id = gateway.send(&[&to]).await;
            gateway.delivery_in(&id, &to, "delivered").await;
            seen.insert(sink.received().pop().unwrap().peer.ip());
        }
        gateway.stop().await;
    }
    assert!(seen.iter().all(|sources| sources.len() == 1), "{seen:?}");
    let used: BTreeSet<IpAddr> = seen.into_iter().flatten().collect();
    assert_eq!(used, sources.into(), "both are used");
}

#[tokio::test]
async fn a_source_is_of_the_ip_version_of_its_destination() {
    let mut world = World::new().await;
    let (four, six): (IpAddr, IpAddr) = (world.fresh_address(), "::1".parse().unwrap());
    world.config.delivery.source = vec![source(four, "default", "four.sender.example"), source(six, "default", "six.sender.example")];
    let settings = SinkSettings { listen: (six, 0).into(), ..SinkSettings::default() };
    let over_six = Sink::start(settings, &Supervisor::default(), &world.clock).await.unwrap();
    let over_four = world.accepting_mx("four.example").await;
    let to_six: SmartHostRule = toml::from_str(&format!("host = \"{}\"\ndomain = \"six.example\"", over_six.local_addr)).unwrap();
    world.config.delivery.smart_host_rule = vec![to_six];
    let gateway = world.gateway().await;
    for (to, sink, address, name) in
        [("bee@six.example", &over_six, six, "six.sender.example"), ("bee@four.example", &over_four, four, "four.sender.example")]
    {
        let id = gateway.send(&[to]).await;
        let delivery = gateway.delivery_in(&id, to, "delivered").await;
        assert_eq!(last_attempt(&delivery)["source_ip"], json!(address));
        assert_eq!((sink.received()[0].peer.ip(), sink.received()[0].helo.as_str()), (address, name));
    }
    gateway.stop().await;
}

#[tokio::test]
async fn source_addresses_are_shown_to_the_first_project_only() {
    let mut world = World::new().await;
    world.config.delivery.source = vec![source(world.fresh_address(), "bulk", ""), source(world.fresh_address(), "default", "out.sender.example")];
    let gateway = world.gateway().await;
    let shown = gateway.get("/v1/egress").await.json();
    let of = |source: &Value| ["pool", "ehlo_name", "state"].map(|field| source[field].as_str().unwrap().to_owned());
    let words: Vec<_> = shown["data"].as_array().unwrap().iter().map(of).collect();
    assert_eq!(words, [["bulk", "mail.sender.example", "ok"], ["default", "out.sender.example", "ok"]], "{shown:#}");
    let id = uuid::Uuid::from_u128(7);
    world.execute(&format!("insert into project (id, name) values ('{id}', 'shop')")).await;
    let new = NewKey { name: "shop".into(), scope: Scope::Full, domains: None, expires_at: None, test: false };
    let key = gateway.running.house.access.create_key(ProjectId::from_uuid(id), new).await.unwrap();
    let bearer = format!("Bearer {}", key.secret.expose());
    let answer = http::call(gateway.http, "GET", "/v1/egress", &[("authorization", &bearer)], b"").await;
    assert_eq!((answer.status, answer.json()["type"].as_str().map(|kind| kind.ends_with("insufficient-scope"))), (403, Some(true)));
    gateway.stop().await;
}

#[tokio::test]
async fn no_source_of_the_other_ip_version_is_tried() {
    let mut world = World::new().await;
    let (four, six): (IpAddr, IpAddr) = (world.fresh_address(), "::1".parse().unwrap());
    world.config.delivery.source = vec![source(four, "default", ""), source(six, "six", "")];
    world.config.delivery.pool_rule = vec![rule("six", "", "six")];
    let sink = world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    // A pool without an address of the host's version cannot reach it; that is no failure of its source.
    let id = gateway.send_with(&["bee@example.net"], json!({ "stream": "six" })).await;
    let delivery = gateway.attempted(&id, "bee@example.net", 1).await;
    assert_eq!((&delivery["state"], &last_attempt(&delivery)["stage"]), (&json!("bounced"), &json!("dns")), "{delivery:#}");
    let shown = gateway.get("/v1/egress").await.json();
    assert!(shown["data"].as_array().unwrap().iter().all(|source| source["state"] == "ok"), "{shown:#}");
    assert_eq!(sink.counts().connections, 0);
    gateway.stop().await;
}

#[tokio::test]
async fn a_gateway_does_not_start_with_an_address_of_another_machine_or_a_project_that_is_not_there() {
    let mut world = World::new().await;
    let start = async |world: &World| {
        serve::run(pennypost::config::Config::clone(&world.config), Roles::ALL, Supervisor::default(), world.clock.clone()).await.map(|_| ())
    };
    world.config.delivery.source = vec![source("192.0.2.25".parse().unwrap(), "default", "")];
    let error = start(&world).await.unwrap_err().to_string();
    assert!(error.starts_with("delivery.source holds 192.0.2.25, which is not an address of this machine"), "{error}");
    assert_eq!(world.number("select count(*) from node").await, 0, "nothing is left behind");
    world.config.delivery.source = vec![source(world.fresh_address(), "default", "")];
    world.config.delivery.pool_rule = vec![rule("default", "shop", "")];
    let error = start(&world).await.unwrap_err().to_string();
    assert!(error.starts_with("delivery.pool_rule (table 1) names the project \"shop\", which does not exist"), "{error}");
}
