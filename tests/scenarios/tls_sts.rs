//! MTA-STS: domains that say which hosts and certificates they have (RFC 8461).

use std::time::Duration;

use pennypost::lab::sink::SinkSettings;
use pennypost::net::tls;

use super::world::policy_host::{answer, policy};
use super::world::telling::{last_attempt, told};
use super::world::{Gateway, World};

fn tls_of(delivery: &serde_json::Value) -> String {
    let word = |name: &str| last_attempt(delivery)[name].as_str().unwrap_or("-").to_owned();
    format!("{} {}", word("tls_policy"), word("tls_result"))
}

/// Sends a message and tells what came of its first attempt: `delivered`, or the status of the deferral.
async fn outcome(gateway: &Gateway, domain: &str) -> (String, String) {
    let recipient = format!("bee@{domain}");
    let id = gateway.send(&[&recipient]).await;
    let delivery = gateway.attempted(&id, &recipient, 1).await;
    let ending = if delivery["state"] == "delivered" { "delivered".to_owned() } else { told(&delivery) };
    (ending, tls_of(&delivery))
}

// T4
#[tokio::test]
async fn mail_goes_only_to_listed_hosts_with_good_certificates() {
    let mut world = World::new().await;
    let authority = world.authority();
    let strange = SinkSettings { starttls: Some(tls::self_signed("mx1.self.example").unwrap()), ..SinkSettings::default() };
    let rows = [
        ("good.example", "enforce", "mx1.good.example", Some("mx1.good.example"), "delivered", "mta_sts verified"),
        ("wild.example", "enforce", "*.wild.example", Some("mx2.wild.example"), "delivered", "mta_sts verified"),
        ("unlisted.example", "enforce", "other.example", Some("mx3.unlisted.example"), "4.7.5", "mta_sts mx_not_listed"),
        ("name.example", "enforce", "*.name.example", Some("mx9.name.example"), "4.7.5", "mta_sts certificate_host_mismatch"),
        ("old.example", "enforce", "*.old.example", Some("expired"), "4.7.5", "mta_sts certificate_expired"),
        ("self.example", "enforce", "*.self.example", Some("self-signed"), "4.7.5", "mta_sts certificate_not_trusted"),
        ("clear.example", "enforce", "*.clear.example", None, "4.7.4", "mta_sts starttls_not_supported"),
        ("trial.example", "testing", "*.trial.example", Some("self-signed"), "delivered", "mta_sts_testing encrypted"),
        ("trialclear.example", "testing", "*.trialclear.example", None, "delivered", "mta_sts_testing clear"),
        ("none.example", "none", "*.none.example", None, "delivered", "prefer clear"),
    ];
    let mut sinks = Vec::new();
    for (domain, mode, mx, name, ..) in rows {
        let settings = match name {
            None => SinkSettings::default(),
            Some("self-signed") => strange.clone(),
            Some("expired") => authority.expired(&format!("mx5.{domain}")).sink(),
            Some(name) => authority.identity(name).sink(),
        };
        let number = sinks.len() + 1;
        let sink = world.host_at(world.address(50 + u32::try_from(number).unwrap()), settings).await;
        world.zone.add(&format!("{domain} MX 10 mx{number}.{domain}")).unwrap();
        world.zone.add(&format!("mx{number}.{domain} A {}", sink.local_addr.ip())).unwrap();
        sinks.push(sink);
        world.policy_host(domain, "1", &authority.identity(&format!("mta-sts.{domain}")), &policy(mode, mx, 86_400)).await;
    }
    let gateway = world.gateway().await;
    for ((domain, _, _, _, ending, result), sink) in rows.iter().zip(&sinks) {
        let (ended, tls) = outcome(&gateway, domain).await;
        assert_eq!(tls, *result, "{domain}");
        if *ending == "delivered" {
            assert_eq!(ended, "delivered", "{domain}");
        } else {
            assert_eq!(ended, format!("queued deferred tls host {ending}"), "{domain}");
            assert_eq!(sink.counts().messages, 0, "{domain}: nothing goes in the clear");
        }
    }
    gateway.stop().await;
}

// T5
#[tokio::test]
async fn what_is_no_policy_counts_as_none_and_is_not_asked_for_again_at_once() {
    let mut world = World::new().await;
    let authority = world.authority();
    let good = policy("enforce", "nobody.example", 86_400);
    let rows = [
        ("moved.example", answer(302, "text/plain", "")),
        ("gone.example", answer(404, "text/plain", "")),
        ("huge.example", answer(200, "text/plain", &format!("version: STSv1\r\n{}", "x: y\r\n".repeat(20_000)))),
        ("html.example", good.replace("text/plain", "text/html")),
        ("nonsense.example", answer(200, "text/plain", "hello")),
        ("garbage.example", "no HTTP at all".to_owned()),
    ];
    let mut hosts = Vec::new();
    for (domain, said) in &rows {
        world.accepting_mx(domain).await;
        hosts.push(world.policy_host(domain, "1", &authority.identity(&format!("mta-sts.{domain}")), said).await);
    }
    world.accepting_mx("stranger.example").await;
    world.policy_host("stranger.example", "1", &authority.identity("other.example"), &good).await;
    world.accepting_mx("two.example").await;
    world.policy_host("two.example", "1", &authority.identity("mta-sts.two.example"), &good).await;
    world.zone.add("_mta-sts.two.example TXT v=STSv1; id=2;").unwrap();
    let gateway = world.gateway().await;
    for domain in rows.iter().map(|(domain, _)| *domain).chain(["stranger.example", "two.example"]) {
        assert_eq!(outcome(&gateway, domain).await, ("delivered".to_owned(), "prefer clear".to_owned()), "{domain}");
    }
    world.advance(Duration::from_secs(100));
    for ((domain, _), host) in rows.iter().zip(&hosts) {
        outcome(&gateway, domain).await;
        assert_eq!(host.requests().len(), 1, "{domain}: no redirect is followed, and a failure is not repeated within five minutes");
        assert!(host.requests()[0].head.starts_with("GET /.well-known/mta-sts.txt HTTP/1.1\r\n"), "{:?}", host.requests());
        host.say(&policy("enforce", "nobody.example", 86_400));
    }
    world.advance(Duration::from_mins(5));
    let (_, tls) = outcome(&gateway, "gone.example").await;
    assert_eq!(tls, "mta_sts mx_not_listed", "five minutes later it is asked again");
    gateway.stop().await;
}

// T6, and the cache that all nodes share
#[tokio::test]
async fn a_policy_holds_for_its_time_whatever_becomes_of_its_record_and_host() {
    let mut world = World::new().await;
    let authority = world.authority();
    world.mx("kept.example", authority.identity("mx1.kept.example").sink()).await;
    let day = 24 * 60 * 60;
    let host =
        world.policy_host("kept.example", "1", &authority.identity("mta-sts.kept.example"), &policy("enforce", "mx1.kept.example", 10 * day)).await;
    let gateway = world.gateway().await;
    assert_eq!(outcome(&gateway, "kept.example").await.1, "mta_sts verified");
    // A new id is announced, and the policy host is broken: the old policy holds.
    host.say(&answer(500, "text/plain", ""));
    world.zone.remove("_mta-sts.kept.example");
    world.zone.add("_mta-sts.kept.example TXT v=STSv1; id=2;").unwrap();
    gateway.running.house.resolver.forget_all();
    world.advance(Duration::from_mins(2));
    assert_eq!(outcome(&gateway, "kept.example").await.1, "mta_sts verified");
    assert_eq!(host.requests().len(), 2);
    // The record is gone, and the process is another one.
    world.zone.remove("_mta-sts.kept.example");
    gateway.stop().await;
    let gateway = world.gateway().await;
    assert_eq!(outcome(&gateway, "kept.example").await.1, "mta_sts verified");
    assert_eq!(host.requests().len(), 2, "what a node fetched serves all");
    // Another id and a host that is well again: the new policy counts at once.
    host.say(&policy("enforce", "other.example", 10 * day));
    world.zone.add("_mta-sts.kept.example TXT v=STSv1; id=3;").unwrap();
    gateway.running.house.resolver.forget_all();
    world.advance(Duration::from_mins(6));
    assert_eq!(outcome(&gateway, "kept.example").await.1, "mta_sts mx_not_listed");
    // When its time is over and no other is announced, nothing holds any more.
    world.zone.remove("_mta-sts.kept.example");
    gateway.running.house.resolver.forget_all();
    world.advance(Duration::from_secs(10 * day + 3600));
    assert_eq!(outcome(&gateway, "kept.example").await.1, "remembered encrypted");
    gateway.stop().await;
}

#[tokio::test]
async fn a_policy_in_force_is_looked_after_once_a_day_though_no_mail_goes_there() {
    let mut world = World::new().await;
    let authority = world.authority();
    world.mx("idle.example", authority.identity("mx1.idle.example").sink()).await;
    let host =
        world.policy_host("idle.example", "1", &authority.identity("mta-sts.idle.example"), &policy("enforce", "mx1.idle.example", 604_800)).await;
    let gateway = world.gateway().await;
    assert_eq!(outcome(&gateway, "idle.example").await.1, "mta_sts verified");
    assert_eq!(host.requests().len(), 1);
    world.advance(Duration::from_hours(25));
    super::world::gateway::eventually(|| async {
        let asked = host.requests().len();
        if asked == 2 { Ok(()) } else { Err(format!("asked {asked} times")) }
    })
    .await;
    gateway.stop().await;
}
