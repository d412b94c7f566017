//! The operator's word for single domains, and the memory of hosts that spoke TLS.

use std::collections::BTreeMap;
use std::time::Duration;

use pennypost::config::TlsSetting;
use pennypost::lab::sink::SinkSettings;
use pennypost::net::tls;

use super::world::World;
use super::world::telling::{last_attempt, told};

fn tls_of(delivery: &serde_json::Value) -> String {
    let word = |name: &str| last_attempt(delivery)[name].as_str().unwrap_or("-").to_owned();
    format!("{} {}", word("tls_policy"), word("tls_result"))
}

#[tokio::test]
async fn the_operator_has_the_word_where_no_policy_is_published() {
    let mut world = World::new().await;
    let authority = world.authority();
    let strange = SinkSettings { starttls: Some(tls::self_signed("x.example").unwrap()), ..SinkSettings::default() };
    let rows = [
        ("required.example", TlsSetting::Require, strange.clone(), "delivered", "require encrypted"),
        ("requiredclear.example", TlsSetting::Require, SinkSettings::default(), "queued deferred tls host 4.7.4", "require starttls_not_supported"),
        ("verified.example", TlsSetting::Verify, authority.identity("mx3.verified.example").sink(), "delivered", "verify verified"),
        ("verifiedself.example", TlsSetting::Verify, strange.clone(), "queued deferred tls host 4.7.5", "verify certificate_not_trusted"),
        ("off.example", TlsSetting::Off, strange, "delivered", "off clear"),
    ];
    let mut sinks = Vec::new();
    for (domain, setting, settings, ..) in &rows {
        world.config.delivery_tls.domains.insert((*domain).to_owned(), *setting);
        sinks.push(world.mx(domain, settings.clone()).await);
    }
    let gateway = world.gateway().await;
    for ((domain, _, _, ending, result), sink) in rows.iter().zip(&sinks) {
        let recipient = format!("bee@{domain}");
        let id = gateway.send(&[&recipient]).await;
        let delivery = gateway.attempted(&id, &recipient, 1).await;
        assert_eq!(tls_of(&delivery), *result, "{domain}");
        if *ending == "delivered" {
            assert_eq!(delivery["state"], "delivered", "{domain}");
        } else {
            assert_eq!(told(&delivery), *ending, "{domain}");
            assert_eq!(sink.counts().messages, 0, "{domain}");
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_host_that_spoke_tls_gets_nothing_in_the_clear_until_it_has_been_without_for_a_day() {
    let mut world = World::new().await;
    world.config.delivery_tls.domains = BTreeMap::from([("off.example".to_owned(), TlsSetting::Off)]);
    let speaks = SinkSettings { starttls: Some(tls::self_signed("mx.example").unwrap()), ..SinkSettings::default() };
    let [safe, stripped] = [world.host_at(world.address(1), speaks).await, world.host_at(world.address(2), SinkSettings::default()).await];
    let name_at = |number: u32| {
        world.zone.remove("mx.host.example");
        world.zone.add(&format!("mx.host.example A {}", world.address(number))).unwrap();
    };
    name_at(1);
    for domain in ["one.example", "two.example", "off.example"] {
        world.zone.add(&format!("{domain} MX 10 mx.host.example")).unwrap();
    }
    let gateway = world.gateway().await;
    let id = gateway.send(&["bee@one.example"]).await;
    assert_eq!(tls_of(&gateway.delivery_in(&id, "bee@one.example", "delivered").await), "prefer encrypted");
    assert_eq!(safe.counts().messages, 1);
    // Somebody takes STARTTLS away. What is known outlives the process and holds for every domain with this host.
    name_at(2);
    gateway.stop().await;
    world.advance(Duration::from_mins(2));
    let gateway = world.gateway().await;
    let id = gateway.send(&["bee@two.example"]).await;
    let delivery = gateway.attempted(&id, "bee@two.example", 1).await;
    assert_eq!((told(&delivery).as_str(), tls_of(&delivery).as_str()), ("queued deferred tls host 4.7.4", "remembered starttls_not_supported"));
    assert_eq!(stripped.counts().messages, 0);
    let off = gateway.send(&["bee@off.example"]).await;
    gateway.delivery_in(&off, "bee@off.example", "delivered").await;
    world.advance(Duration::from_hours(25));
    let delivery = gateway.delivery_in(&id, "bee@two.example", "delivered").await;
    assert_eq!(tls_of(&delivery), "prefer clear", "a day later the host counts as one that gave TLS up");
    assert_eq!(world.number("select count(*) from tls_host").await, 0, "and is forgotten");
    gateway.stop().await;
}
