//! Source addresses on other hosts, reached through a proxy; and what happens when the proxy fails.

use std::net::IpAddr;
use std::time::Duration;

use pennypost::config::egress::{PoolRule, Source};
use pennypost::model::Secret;
use serde_json::json;

use super::world::World;
use super::world::egress_proxy::{EgressProxy, Speaks};
use super::world::telling::{attempts, last_attempt};

const OPEN: Speaks = Speaks::Socks5 { login: None, code: 0 };
const LOCKED: Speaks = Speaks::Socks5 { login: Some(("penny", "hush hush")), code: 0 };

fn source(address: IpAddr, proxy: &str, login: bool) -> Source {
    let text = format!("address = \"{address}\"\nproxy = \"{proxy}\"\nehlo_name = \"far.sender.example\"");
    let source: Source = toml::from_str(&text).unwrap();
    if !login {
        return source;
    }
    Source { proxy_username: "penny".into(), proxy_password: Secret::new("hush hush".into()), ..source }
}

#[tokio::test]
async fn mail_leaves_from_an_address_of_another_host_through_its_proxy() {
    for (speaks, scheme, login) in [(OPEN, "socks5", false), (LOCKED, "socks5", true), (Speaks::HaProxy, "haproxy", false)] {
        let mut world = World::new().await;
        let far = world.fresh_address();
        let proxy = EgressProxy::start(&world, speaks, far).await;
        world.config.delivery.source = vec![source(far, &format!("{scheme}://{}", proxy.address), login)];
        let sink = world.accepting_mx("example.net").await;
        let gateway = world.gateway().await;
        let id = gateway.send(&["bee@example.net"]).await;
        let delivery = gateway.delivery_in(&id, "bee@example.net", "delivered").await;
        assert_eq!(last_attempt(&delivery)["source_ip"], json!(far));
        let received = &sink.received()[0];
        assert_eq!((received.peer.ip(), received.helo.as_str(), proxy.asked().len()), (far, "far.sender.example", 1));
        assert!(!delivery.to_string().contains("hush"), "{delivery:#}");
        gateway.stop().await;
    }
}

#[tokio::test]
async fn a_proxy_that_fails_is_our_fault_and_another_source_takes_the_mail() {
    for (speaks, login, reason) in [
        (LOCKED, false, "it wants a user name and password"),
        (Speaks::Socks5 { login: Some(("penny", "another")), code: 0 }, true, "it does not take our user name and password"),
        (Speaks::Socks5 { login: None, code: 2 }, false, "its rules do not let us connect there"),
    ] {
        let mut world = World::new().await;
        let far = world.fresh_address();
        let proxy = EgressProxy::start(&world, speaks, far).await;
        let failing = source(far, &format!("socks5://{}", proxy.address), login);
        world.config.delivery.source = vec![failing.clone()];
        let sink = world.accepting_mx("example.net").await;
        let gateway = world.gateway().await;
        let id = gateway.send(&["bee@example.net"]).await;
        let delivery = gateway.attempted(&id, "bee@example.net", 1).await;
        let attempt = last_attempt(&delivery);
        let seen = (&attempt["outcome"], &attempt["stage"], &attempt["scope"]);
        assert_eq!(seen, (&json!("deferred"), &json!("connect"), &json!("us")), "{attempt:#}");
        assert_eq!(attempt["reply"], format!("the proxy {} cannot be used: {reason}", proxy.address));
        gateway.stop().await;
        // With a second source of the pool the same attempt goes on from there, whichever of them comes first.
        let near = world.fresh_address();
        let plain: Source = toml::from_str(&format!("address = \"{near}\"")).unwrap();
        world.config.delivery.source = vec![failing, plain];
        let gateway = world.gateway().await;
        for number in 0..12 {
            world.zone.add(&format!("d{number}.example MX 10 mx3.example.net")).unwrap();
            let to = format!("bee@d{number}.example");
            let id = gateway.send(&[&to]).await;
            let delivery = gateway.delivery_in(&id, &to, "delivered").await;
            assert_eq!((attempts(&delivery), &last_attempt(&delivery)["source_ip"]), (1, &json!(near)));
        }
        assert_eq!(sink.counts().messages, 12);
        gateway.stop().await;
    }
}

#[tokio::test]
async fn a_host_that_the_proxy_cannot_reach_is_the_hosts_fault() {
    let mut world = World::new().await;
    let far = world.fresh_address();
    let proxy = EgressProxy::start(&world, Speaks::Socks5 { login: None, code: 5 }, far).await;
    world.config.delivery.source = vec![source(far, &format!("socks5://{}", proxy.address), false)];
    world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    let id = gateway.send(&["bee@example.net"]).await;
    let delivery = gateway.attempted(&id, "bee@example.net", 1).await;
    let attempt = last_attempt(&delivery);
    assert_eq!((&attempt["outcome"], &attempt["scope"]), (&json!("deferred"), &json!("host")), "{attempt:#}");
    assert!(attempt["reply"].as_str().unwrap().ends_with("connection refused"), "{attempt:#}");
    gateway.stop().await;
}

#[tokio::test]
async fn a_pool_without_a_source_that_works_rests_and_holds_up_no_other_pool() {
    let mut world = World::new().await;
    let (near, far) = (world.fresh_address(), world.fresh_address());
    let proxy = EgressProxy::start(&world, Speaks::Socks5 { login: None, code: 2 }, far).await;
    world.config.delivery.egress = vec![near];
    world.config.delivery.source = vec![Source { pool: "bulk".into(), ..source(far, &format!("socks5://{}", proxy.address), false) }];
    world.config.delivery.pool_rule = vec![PoolRule { pool: "bulk".into(), project: String::new(), stream: "news".into() }];
    world.accepting_mx("example.net").await;
    world.accepting_mx("example.org").await;
    let gateway = world.gateway().await;
    let first = gateway.send_with(&["bee@example.net"], json!({ "stream": "news" })).await;
    gateway.attempted(&first, "bee@example.net", 1).await;
    // For whatever domain: no attempt is made, nor counted.
    let mut waiting = Vec::new();
    for to in ["bee@example.net", "bee@example.org"] {
        let id = gateway.send_with(&[to], json!({ "stream": "news" })).await;
        let delivery = gateway.delivery_when(&id, to, |delivery| delivery["state"] == "queued" && delivery["next_attempt_at"].is_string()).await;
        assert_eq!(attempts(&delivery), 0, "{delivery:#}");
        waiting.push((id, to));
        let other = gateway.send(&[to]).await;
        let delivery = gateway.delivery_in(&other, to, "delivered").await;
        assert_eq!(last_attempt(&delivery)["source_ip"], json!(near));
    }
    assert_eq!(proxy.asked().len(), 1);
    // Somebody may ask for it all the same.
    gateway.post(&format!("/v1/messages/{first}/retry"), &json!({})).await;
    gateway.attempted(&first, "bee@example.net", 2).await;
    world.advance(Duration::from_mins(6));
    for (id, to) in waiting {
        gateway.attempted(&id, to, 1).await;
    }
    gateway.stop().await;
}
