//! Source addresses on lists of bad senders: who is asked and believed, what becomes of their mail, who is told.

use std::net::IpAddr;
use std::time::Duration;

use pennypost::config::egress::{ListingAction, SmartHostRule};
use pennypost::lab::zone::ZoneFault;
use serde_json::{Value, json};

use super::world::World;
use super::world::database;
use super::world::gateway::{Gateway, eventually};
use super::world::program::command;
use super::world::telling::{attempts, last_attempt, time_of};

const TO: &str = "bee@example.net";

/// A world with two sources and a list that works.
async fn with_list(sources: usize) -> (World, Vec<IpAddr>) {
    let mut world = World::new().await;
    let sources: Vec<IpAddr> = (0..sources).map(|_| world.fresh_address()).collect();
    world.config.delivery.egress.clone_from(&sources);
    world.config.delivery.dnsbl_zones = vec!["bl.example".into()];
    world.zone.set_ttl(0);
    world.zone.add("2.0.0.127.bl.example A 127.0.0.2").unwrap();
    (world, sources)
}

fn entry(address: IpAddr) -> String {
    let IpAddr::V4(four) = address else { panic!("{address}") };
    let [a, b, c, d] = four.octets();
    format!("{d}.{c}.{b}.{a}.bl.example")
}

fn list(world: &World, address: IpAddr) {
    world.zone.add(&format!("{} A 127.0.0.4", entry(address))).unwrap();
    world.zone.add(&format!("{} TXT \"sends spam\"", entry(address))).unwrap();
}

/// The source as it is shown five minutes later.
async fn shown_now(world: &World, gateway: &Gateway, address: IpAddr) -> Value {
    // What the resolver keeps gets old by real time.
    gateway.running.house.resolver.forget_all();
    world.advance(Duration::from_mins(5));
    let shown = gateway.get("/v1/egress").await.json();
    shown["data"].as_array().unwrap().iter().find(|source| source["address"] == json!(address)).unwrap().clone()
}

/// The source as it is shown, once the list said `says` of it. Moves time, as checks come once an hour.
async fn shown(world: &World, gateway: &Gateway, address: IpAddr, says: &str) -> Value {
    eventually(async || {
        let source = shown_now(world, gateway, address).await;
        if source["listings"][0]["state"] == says { Ok(source) } else { Err(format!("{source:#}")) }
    })
    .await
}

#[tokio::test]
async fn a_listed_source_pauses_until_the_list_lets_it_go_and_another_takes_its_mail() {
    let (world, sources) = with_list(2).await;
    let sink = world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    let id = gateway.send(&[TO]).await;
    gateway.delivery_in(&id, TO, "delivered").await;
    let usual = sink.received()[0].peer.ip();
    let other = *sources.iter().find(|source| **source != usual).unwrap();
    assert_eq!(shown(&world, &gateway, usual, "clear").await["state"], "ok");
    list(&world, usual);
    let source = shown(&world, &gateway, usual, "listed").await;
    assert_eq!((&source["state"], &source["paused"]), (&json!("listed"), &json!(true)), "{source:#}");
    assert_eq!(source["reason"], "bl.example: 127.0.0.4 sends spam");
    // What is shown is the state of the database; a node hears of it, and counts it, within a minute.
    eventually(async || {
        world.advance(Duration::from_mins(5));
        let metrics = String::from_utf8(gateway.get("/metrics").await.body).unwrap();
        let lines =
            [(usual, 1), (other, 0)].map(|(source, value)| format!("pennypost_source_listed{{source=\"{source}\",zone=\"bl.example\"}} {value}"));
        match lines.iter().find(|line| !metrics.contains(*line)) {
            Some(line) => Err(format!("{line} is not in\n{metrics}")),
            None => Ok(()),
        }
    })
    .await;
    assert_eq!(gateway.get("/healthz").await.status, 200);
    eventually(async || {
        let id = gateway.send(&[TO]).await;
        let delivery = gateway.delivery_in(&id, TO, "delivered").await;
        if last_attempt(&delivery)["source_ip"] == json!(other) { Ok(()) } else { Err(delivery.to_string()) }
    })
    .await;
    // A list that does not answer takes nothing back; one that refuses us, or fails its own test, is not believed.
    world.zone.set_fault("2.0.0.127.bl.example", Some(ZoneFault::ServFail));
    let dark_since = world.clock.now();
    let said = eventually(async || {
        let source = shown_now(&world, &gateway, usual).await;
        let listing = &source["listings"][0];
        if time_of(&listing["checked_at"]) > dark_since { Ok(listing["state"].clone()) } else { Err(format!("not asked since: {source:#}")) }
    })
    .await;
    assert_eq!(said, "listed");
    world.zone.set_fault("2.0.0.127.bl.example", None);
    // Nor does one that begins to refuse us, or loses its test entry.
    for answer in ["A 127.255.255.254", "MX 10 gone.example"] {
        world.zone.remove("2.0.0.127.bl.example");
        world.zone.add(&format!("2.0.0.127.bl.example {answer}")).unwrap();
        let before = shown(&world, &gateway, usual, "listed").await["listings"][0]["checked_at"].clone();
        let after = eventually(async || {
            gateway.running.house.resolver.forget_all();
            world.advance(Duration::from_mins(5));
            let source = shown(&world, &gateway, usual, "listed").await;
            if source["listings"][0]["checked_at"] == before { Err(source.to_string()) } else { Ok(source) }
        })
        .await;
        assert_eq!((&after["state"], &after["reason"]), (&json!("listed"), &json!("bl.example: 127.0.0.4 sends spam")), "{answer}: {after:#}");
    }
    world.zone.remove("2.0.0.127.bl.example");
    world.zone.add("2.0.0.127.bl.example A 127.0.0.2").unwrap();
    world.zone.set_fault(&entry(usual), Some(ZoneFault::NoSuchName));
    assert_eq!(shown(&world, &gateway, usual, "clear").await["state"], "ok");
    eventually(async || {
        let id = gateway.send(&[TO]).await;
        let delivery = gateway.delivery_in(&id, TO, "delivered").await;
        if last_attempt(&delivery)["source_ip"] == json!(usual) { Ok(()) } else { Err(delivery.to_string()) }
    })
    .await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_list_that_refuses_us_or_holds_everything_is_not_believed() {
    for (record, says) in [
        ("2.0.0.127.bl.example A 127.255.255.254", "refuses to answer (code 127.255.255.254)"),
        ("*.bl.example A 127.0.0.2", "even what no list may"),
    ] {
        let (world, sources) = with_list(1).await;
        world.zone.add(record).unwrap();
        world.accepting_mx("example.net").await;
        let gateway = world.gateway().await;
        let source = shown(&world, &gateway, sources[0], "unusable").await;
        assert_eq!((&source["state"], &source["paused"]), (&json!("ok"), &json!(false)), "{source:#}");
        assert!(source["listings"][0]["detail"].as_str().unwrap().contains(says), "{source:#}");
        let id = gateway.send(&[TO]).await;
        gateway.delivery_in(&id, TO, "delivered").await;
        gateway.stop().await;
    }
}

#[tokio::test]
async fn mail_of_a_pool_whose_sources_are_all_listed_waits_or_goes_on_as_the_operator_says() {
    let (mut world, sources) = with_list(1).await;
    let sink = world.accepting_mx("example.net").await;
    list(&world, sources[0]);
    let gateway = world.gateway().await;
    shown(&world, &gateway, sources[0], "listed").await;
    let waiting = eventually(async || {
        let id = gateway.send(&[TO]).await;
        let settled = |delivery: &Value| delivery["state"] == "delivered" || delivery["waiting"]["reason"] == "source_listed";
        let delivery = gateway.delivery_when(&id, TO, settled).await;
        if delivery["state"] == "queued" { Ok((id, delivery)) } else { Err(delivery.to_string()) }
    })
    .await;
    let (id, delivery) = waiting;
    assert_eq!(attempts(&delivery), 0);
    let says = format!("the source address {} is listed by bl.example: 127.0.0.4 sends spam", sources[0]);
    assert_eq!(delivery["waiting"]["detail"], says);
    gateway.stop().await;
    // What somebody writes `alert` for goes on, and the listing is shown all the same.
    let before = sink.counts().messages;
    world.config.delivery.dnsbl_action = ListingAction::Alert;
    let gateway = world.gateway().await;
    let source = shown(&world, &gateway, sources[0], "listed").await;
    assert_eq!((&source["state"], &source["paused"]), (&json!("listed"), &json!(false)), "{source:#}");
    world.advance(Duration::from_hours(2));
    gateway.delivery_in(&id, TO, "delivered").await;
    assert_eq!(sink.counts().messages, before + 1);
    gateway.stop().await;
}

#[tokio::test]
async fn mail_of_listed_sources_goes_to_the_smart_host_that_takes_the_overflow_and_addresses_of_the_inner_network_are_not_asked_for() {
    let (mut world, sources) = with_list(1).await;
    world.accepting_mx("example.net").await;
    let relay = world.accepting_mx("relay.sender.example").await;
    let rule: SmartHostRule = toml::from_str(&format!("host = \"{}\"\noverflow = true", relay.local_addr)).unwrap();
    world.config.delivery.smart_host_rule = vec![rule];
    list(&world, sources[0]);
    let gateway = world.gateway().await;
    shown(&world, &gateway, sources[0], "listed").await;
    eventually(async || {
        let id = gateway.send(&[TO]).await;
        let delivery = gateway.delivery_in(&id, TO, "delivered").await;
        let smart_host = relay.local_addr.to_string();
        if last_attempt(&delivery)["smart_host"] == json!(smart_host) { Ok(()) } else { Err(delivery.to_string()) }
    })
    .await;
    gateway.stop().await;
    assert_eq!(world.number("select count(*) from source_listing").await, 1);
    // Loopback addresses are public only in a test set-up.
    world.execute("delete from source_listing").await;
    world.config.delivery.allow_private_addresses = false;
    let gateway = world.gateway().await;
    let id = gateway.send(&[TO]).await;
    let delivery = gateway.attempted(&id, TO, 1).await;
    assert_eq!((&delivery["state"], &last_attempt(&delivery)["stage"]), (&json!("bounced"), &json!("dns")), "{delivery:#}");
    gateway.stop().await;
    assert_eq!(world.number("select count(*) from source_listing").await, 0);
}

#[tokio::test]
async fn the_command_shows_how_source_addresses_stand() {
    let (world, _) = with_list(0).await;
    let file = database::scratch().join(format!("egress-{}.toml", world.config.delivery.mx_port));
    let text = r#"
[delivery]
dnsbl_zones = ["bl.example"]
[[delivery.source]]
address = "192.0.2.26"
[[delivery.source]]
address = "192.0.2.27"
pool = "bulk"
weight = 3
ehlo_name = "out.sender.example"
[[delivery.source.warm_up]]
since = 2999-01-01
[[delivery.source.warm_up]]
since = 2999-01-01
provider = "google"
"#;
    std::fs::write(&file, text).unwrap();
    let run = |more: &[&str]| {
        let output = command(&world, "").arg("--config").arg(&file).args(["queue", "egress"]).args(more).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(run(&[]).contains("192.0.2.26"));
    let listing = "'192.0.2.26', 'bl.example', 'listed', '127.0.0.4 sends spam', now(), now()";
    world.execute(&format!("insert into source_listing (source, zone, state, detail, since, checked_at) values ({listing})")).await;
    let lines: Vec<Vec<String>> = run(&[]).lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect();
    assert_eq!(lines[0].join(" "), "SOURCE POOL NAME WEIGHT STATE PAUSED TODAY REASON");
    assert_eq!(lines[1].join(" "), "192.0.2.26 default mail.sender.example 1 listed true bl.example: 127.0.0.4 sends spam");
    assert_eq!(lines[2].join(" "), "192.0.2.27 bulk out.sender.example 3 warming false each other 0/0, google 0/0 -");
    let shown: Value = serde_json::from_str(&run(&["--json"])).unwrap();
    assert_eq!(shown["data"][1]["warm_up"][1], json!({ "provider": "google", "sent": 0, "ceiling": 0 }), "{shown:#}");
}
