//! What messages themselves want of TLS: REQUIRETLS and `TLS-Required: No` (RFC 8689).

use pennypost::lab::sink::{Offer, SinkSettings};
use serde_json::json;

use super::world::World;
use super::world::policy_host::policy;
use super::world::telling::{last_attempt, told};

fn tls_of(delivery: &serde_json::Value) -> String {
    let word = |name: &str| last_attempt(delivery)[name].as_str().unwrap_or("-").to_owned();
    format!("{} {}", word("tls_policy"), word("tls_result"))
}

// T10
#[tokio::test]
async fn a_message_that_requires_tls_goes_by_proven_hosts_that_promise_the_same_or_bounces() {
    let mut world = World::new().await;
    let authority = world.authority();
    let promising = |settings: SinkSettings| SinkSettings { offer: Offer { require_tls: true, ..settings.offer }, ..settings };
    let rows = [
        ("good.example", promising(authority.identity("mx1.good.example").sink()), true, "delivered", "require_tls verified"),
        ("silent.example", authority.identity("mx2.silent.example").sink(), true, "5.7.30", "require_tls require_tls_not_supported"),
        ("clear.example", SinkSettings::default(), true, "5.7.10", "require_tls starttls_not_supported"),
        ("name.example", promising(authority.identity("other.example").sink()), true, "5.7.10", "require_tls certificate_host_mismatch"),
        ("unproven.example", promising(authority.identity("mx5.unproven.example").sink()), false, "5.7.10", "require_tls require_tls_not_supported"),
    ];
    let mut sinks = Vec::new();
    for (domain, settings, signed, ..) in &rows {
        sinks.push(world.mx(domain, settings.clone()).await);
        if *signed {
            world.zone.sign(domain);
        }
    }
    let gateway = world.gateway().await;
    for ((domain, _, _, ending, result), sink) in rows.iter().zip(&sinks) {
        let recipient = format!("bee@{domain}");
        let id = gateway.send_with(&[&recipient], json!({ "require_tls": true })).await;
        let delivery = gateway.attempted(&id, &recipient, 1).await;
        assert_eq!(tls_of(&delivery), *result, "{domain}: {delivery:#}");
        if *ending == "delivered" {
            assert_eq!(delivery["state"], "delivered", "{domain}");
            assert!(sink.received()[0].require_tls, "the promise is asked for");
        } else {
            assert_eq!(told(&delivery), format!("bounced bounced tls host {ending}"), "{domain}");
            assert_eq!(sink.counts().messages, 0, "{domain}");
        }
    }
    // Other mail still goes to a host that promises nothing.
    let id = gateway.send(&["bee@silent.example"]).await;
    gateway.delivery_in(&id, "bee@silent.example", "delivered").await;
    assert!(!sinks[1].received()[0].require_tls);
    gateway.stop().await;
}

#[tokio::test]
async fn a_message_may_waive_the_policy_of_its_receiver_and_no_other_message_goes_with_it() {
    let mut world = World::new().await;
    let authority = world.authority();
    let sink = world.mx("strict.example", SinkSettings::default()).await;
    world.policy_host("strict.example", "1", &authority.identity("mta-sts.strict.example"), &policy("enforce", "mx1.strict.example", 86_400)).await;
    let gateway = world.gateway().await;
    let waived = gateway.send_with(&["bee@strict.example"], json!({ "headers": { "TLS-Required": "No" } })).await;
    assert_eq!(tls_of(&gateway.delivery_in(&waived, "bee@strict.example", "delivered").await), "waived clear");
    let other = gateway.send(&["bee@strict.example"]).await;
    let delivery = gateway.attempted(&other, "bee@strict.example", 1).await;
    assert_eq!(tls_of(&delivery), "mta_sts starttls_not_supported", "an open session in the clear is not for everybody");
    assert_eq!(sink.counts().messages, 1);
    gateway.stop().await;
}
