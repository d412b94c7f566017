//! Mail that does not go to MX hosts: by a smart host, or nowhere at all.

use std::net::SocketAddr;

use pennypost::clock::Clock;
use pennypost::lab::sink::{Sink, SinkSettings};
use pennypost::supervisor::Supervisor;
use serde_json::{Value, json};

use super::world::World;
use super::world::telling::{attempts, kinds, last_attempt};

#[tokio::test]
async fn a_smart_host_gets_all_mail_whatever_its_domain() {
    let mut world = World::new().await;
    world.config.delivery.allow_private_addresses = false;
    let address = world.fresh_address();
    let sink = world.host_at(address, SinkSettings::default()).await;
    let port = world.config.delivery.mx_port;
    world.zone.add(&format!("relay.sender.example A {address}")).unwrap();
    for smart_host in [format!("{address}:{port}"), format!("relay.sender.example:{port}")] {
        world.config.delivery.smart_host = smart_host.clone();
        let gateway = world.gateway().await;
        let before = sink.counts().messages;
        let id = gateway.send(&["bee@missing.example", "bee@null.example"]).await;
        for recipient in ["bee@missing.example", "bee@null.example"] {
            let delivery = gateway.delivery_in(&id, recipient, "delivered").await;
            assert_eq!(last_attempt(&delivery)["mx_host"], smart_host.rsplit_once(':').unwrap().0);
        }
        assert_eq!(sink.counts().messages, before + 2);
        gateway.stop().await;
    }
}

#[tokio::test]
async fn a_smart_host_may_be_an_ipv6_address() {
    let mut world = World::new().await;
    let settings = SinkSettings { listen: SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, 0)), ..SinkSettings::default() };
    let sink = Sink::start(settings, &Supervisor::default(), &Clock::system()).await.unwrap();
    world.config.delivery.smart_host = sink.local_addr.to_string();
    let gateway = world.gateway().await;
    let id = gateway.send(&["bee@example.net"]).await;
    let delivery = gateway.delivery_in(&id, "bee@example.net", "delivered").await;
    assert_eq!(last_attempt(&delivery)["mx_ip"], "::1");
    gateway.stop().await;
}

#[tokio::test]
async fn a_sandbox_keeps_every_message_and_dials_nobody() {
    let mut world = World::new().await;
    world.config.delivery.sandbox = true;
    let sink = world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    let asked = world.zone.queries();
    let id = gateway.send(&["bee@example.net"]).await;
    let delivery = gateway.delivery_in(&id, "bee@example.net", "delivered").await;
    assert_eq!((attempts(&delivery), &last_attempt(&delivery)["mx_host"]), (1, &"sandbox".into()));
    assert_eq!(kinds(&gateway.message(&id).await), ["delivered"]);
    let kept = gateway.get("/v1/sandbox").await.json();
    assert_eq!(kept["data"][0]["id"], id.as_str(), "{kept:#}");
    assert_eq!((sink.counts().connections, world.zone.queries()), (0, asked));
    gateway.stop().await;
}

#[tokio::test]
async fn mail_leaves_from_a_configured_address_of_the_hosts_family() {
    let mut world = World::new().await;
    let source = world.fresh_address();
    world.config.delivery.egress = vec![source];
    let sink = world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    let id = gateway.send(&["bee@example.net"]).await;
    gateway.delivery_in(&id, "bee@example.net", "delivered").await;
    assert_eq!(sink.received()[0].peer.ip(), source);
    // The address stands in the SPF records to publish, and a record that has it by its network is as good.
    let domain = gateway.get("/v1/domains").await.json()["data"][0].clone();
    let spf = |domain: &Value| domain["records"].as_array().unwrap().iter().find(|record| record["purpose"] == "spf").unwrap().clone();
    assert_eq!(spf(&domain)["value"], format!("v=spf1 a:mail.sender.example ip4:{source} ~all"));
    let check = format!("/v1/domains/{}/check", domain["id"].as_str().unwrap());
    for (record, state) in [(format!("v=spf1 ip4:{source}/24 -all"), "ok"), ("v=spf1 a:mail.sender.example -all".to_owned(), "wrong")] {
        world.zone.remove("sender.example");
        world.zone.add(&format!("sender.example TXT {record}")).unwrap();
        assert_eq!(spf(&gateway.post(&check, &json!({})).await.json())["state"], state, "{record}");
    }
    gateway.stop().await;
}
