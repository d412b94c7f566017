//! DANE: hosts whose keys stand in signed zones (RFC 7672).

use pennypost::lab::sink::{Sink, SinkSettings};
use pennypost::lab::zone::ZoneFault;

use super::world::World;
use super::world::telling::{last_attempt, told};

/// A host for `domain` with a record of its key, or with another `tlsa`.
async fn host(world: &World, domain: &str, settings: SinkSettings, tlsa: &str) -> Sink {
    let sink = world.mx(domain, settings).await;
    let number = sink.local_addr.to_string().rsplit_once('.').unwrap().1.split(':').next().unwrap().parse::<u32>().unwrap() - 100;
    world.zone.add(&format!("_{}._tcp.mx{number}.{domain} TLSA {tlsa}", world.config.delivery.mx_port)).unwrap();
    sink
}

/// Policy and result of the last attempt.
fn tls(delivery: &serde_json::Value) -> String {
    let word = |name: &str| last_attempt(delivery)[name].as_str().unwrap_or("-").to_owned();
    format!("{} {}", word("tls_policy"), word("tls_result"))
}

// D13 T4 T7
#[tokio::test]
async fn mail_goes_only_to_hosts_whose_certificate_their_signed_records_prove() {
    let mut world = World::new().await;
    world.config.dns.timeout_seconds = 1;
    let authority = world.authority();
    // Neither name nor time count for a host's own key.
    let identity = authority.expired("another.example");
    let plain = SinkSettings::default();
    let rows = [
        ("good.example", identity.sink(), identity.tlsa.clone(), true, "delivered", "dane verified"),
        ("bad.example", identity.sink(), identity.wrong_tlsa(), true, "deferred 4.7.5", "dane tlsa_mismatch"),
        ("clear.example", plain, identity.tlsa.clone(), true, "deferred 4.7.4", "dane starttls_not_supported"),
        ("odd.example", identity.sink(), "0 0 1 07".to_owned(), true, "delivered", "dane encrypted"),
        ("unsigned.example", identity.sink(), identity.wrong_tlsa(), false, "delivered", "prefer encrypted"),
        ("bogus.example", identity.sink(), identity.tlsa.clone(), true, "deferred 4.7.5", "dane tlsa_unavailable"),
        ("silent.example", identity.sink(), identity.tlsa.clone(), true, "deferred 4.7.5", "dane tlsa_unavailable"),
    ];
    let mut sinks = Vec::new();
    for (domain, settings, tlsa, signed, ..) in &rows {
        sinks.push(host(&world, domain, settings.clone(), tlsa).await);
        if *signed {
            world.zone.sign(domain);
        }
    }
    let port = world.config.delivery.mx_port;
    for (name, fault) in [("mx6.bogus.example", ZoneFault::ServFail), ("mx7.silent.example", ZoneFault::NoAnswer)] {
        world.zone.set_fault(&format!("_{port}._tcp.{name}"), Some(fault));
    }
    let gateway = world.gateway().await;
    for ((domain, _, _, _, ending, result), sink) in rows.iter().zip(&sinks) {
        let recipient = format!("bee@{domain}");
        let id = gateway.send(&[&recipient]).await;
        let delivery = gateway.attempted(&id, &recipient, 1).await;
        assert_eq!(tls(&delivery), *result, "{domain}: {delivery:#}");
        match ending.split_once(' ') {
            None => assert_eq!(delivery["state"], "delivered", "{domain}"),
            Some((_, status)) => {
                assert_eq!(told(&delivery), format!("queued deferred tls host {status}"), "{domain}");
                assert_eq!(sink.counts().messages, 0, "{domain}: nothing goes in the clear");
                assert!(sink.counts().connections <= 1, "{domain}: no second try in the clear");
            }
        }
    }
    let first = gateway.send(&["bee@good.example"]).await;
    let facts = last_attempt(&gateway.delivery_in(&first, "bee@good.example", "delivered").await)["tls"].as_str().unwrap().to_owned();
    assert_eq!(facts, "TLSv1.3 TLS_AES_256_GCM_SHA384 X25519MLKEM768", "nothing is resumed, and the key exchange outlives quantum computers");
    gateway.stop().await;
}

#[tokio::test]
async fn a_host_that_cannot_be_proven_gives_way_to_the_next() {
    let mut world = World::new().await;
    let identity = world.authority().identity("x.example");
    let first = host(&world, "two.example", identity.sink(), &identity.wrong_tlsa()).await;
    let second = host(&world, "two.example", identity.sink(), &identity.tlsa).await;
    world.zone.sign("two.example");
    let gateway = world.gateway().await;
    let id = gateway.send(&["bee@two.example"]).await;
    let delivery = gateway.delivery_in(&id, "bee@two.example", "delivered").await;
    assert_eq!((tls(&delivery).as_str(), last_attempt(&delivery)["mx_host"].as_str()), ("dane verified", Some("mx2.two.example")));
    assert_eq!((first.counts().messages, second.counts().messages), (0, 1));
    assert!(last_attempt(&delivery)["transcript"].to_string().contains("matches no TLSA record"), "{delivery:#}");
    gateway.stop().await;
}

#[tokio::test]
async fn without_a_trusted_resolver_records_prove_nothing() {
    let mut world = World::new().await;
    world.config.dns.dnssec = pennypost::config::DnssecTrust::Off;
    let identity = world.authority().identity("x.example");
    host(&world, "bad.example", identity.sink(), &identity.wrong_tlsa()).await;
    world.zone.sign("bad.example");
    let gateway = world.gateway().await;
    let id = gateway.send(&["bee@bad.example"]).await;
    assert_eq!(tls(&gateway.delivery_in(&id, "bee@bad.example", "delivered").await), "prefer encrypted");
    gateway.stop().await;
}
