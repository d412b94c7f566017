//! Smart hosts by rule: who goes there, TLS and login, and what happens when either fails.

use std::time::Duration;

use pennypost::config::egress::{SmartHostRule, SmartHostTls};
use pennypost::model::Secret;
use serde_json::json;

use super::world::World;
use super::world::relay::{PASSWORD, Relay, RelaySettings};
use super::world::telling::{attempts, last_attempt};

const STARTTLS: RelaySettings = RelaySettings { implicit: false, starttls: true, auth: "PLAIN LOGIN" };

/// All mail for example.net goes to the relay, after a login.
fn rule(relay: &Relay) -> SmartHostRule {
    let text = format!("host = \"{}\"\nproject = \"default\"\ndomain = \"example.net\"\nusername = \"shop\"", relay.host());
    let rule: SmartHostRule = toml::from_str(&text).unwrap();
    SmartHostRule { ca_file: relay.ca_file.clone(), password: Secret::new(PASSWORD.into()), ..rule }
}

#[tokio::test]
async fn a_smart_host_gets_the_mail_of_its_rule_after_a_login_inside_tls_that_no_record_shows() {
    for (settings, tls) in [
        (STARTTLS, None),
        (RelaySettings { auth: "LOGIN XOAUTH2", ..STARTTLS }, None),
        (RelaySettings { implicit: true, starttls: false, auth: "PLAIN" }, Some(SmartHostTls::Implicit)),
    ] {
        let mut world = World::new().await;
        let relay = Relay::start(&world, settings).await;
        world.config.delivery.smart_host_rule = vec![SmartHostRule { tls, ..rule(&relay) }];
        let mx = world.accepting_mx("other.example").await;
        let gateway = world.gateway().await;
        let id = gateway.send(&["bee@sub.example.net", "bee@other.example"]).await;
        let delivery = gateway.delivery_in(&id, "bee@sub.example.net", "delivered").await;
        let attempt = last_attempt(&delivery);
        assert_eq!(attempt["smart_host"], relay.host());
        assert!(attempt["tls"].is_string(), "{attempt:#}");
        let told = delivery.to_string();
        for secret in [PASSWORD, "b3BlbiBzZXNhbWU", "AHNob3A", "c2hvcA"] {
            assert!(!told.contains(secret), "{secret} is in {delivery:#}");
        }
        assert!(told.contains("(AUTH; the login is left out)") && told.contains("235 2.7.0 welcome"), "{delivery:#}");
        let other = gateway.delivery_in(&id, "bee@other.example", "delivered").await;
        assert_eq!((last_attempt(&other).get("smart_host"), mx.counts().messages, relay.count("MAIL")), (None, 1, 1));
        gateway.stop().await;
    }
}

#[tokio::test]
async fn a_password_is_never_sent_in_the_clear() {
    let bare = RelaySettings { starttls: false, ..STARTTLS };
    // The last is what the configuration refuses.
    for (tls, stage) in [(None, "tls"), (Some(SmartHostTls::Opportunistic), "auth"), (Some(SmartHostTls::Off), "auth")] {
        let mut world = World::new().await;
        let relay = Relay::start(&world, bare).await;
        world.config.delivery.smart_host_rule = vec![SmartHostRule { tls, ..rule(&relay) }];
        let gateway = world.gateway().await;
        let id = gateway.send(&["bee@example.net"]).await;
        let delivery = gateway.attempted(&id, "bee@example.net", 1).await;
        let attempt = last_attempt(&delivery);
        assert_eq!((&attempt["outcome"], &attempt["stage"]), (&json!("deferred"), &json!(stage)), "{attempt:#}");
        if stage == "auth" {
            assert_eq!((&attempt["scope"], &attempt["enhanced_status"]), (&json!("us"), &json!("4.7.8")), "{attempt:#}");
            assert!(attempt["reply"].as_str().unwrap().contains("never sent in the clear"), "{attempt:#}");
        }
        assert_eq!((relay.count("AUTH"), relay.count("MAIL")), (0, 0), "{:?}", relay.heard());
        gateway.stop().await;
    }
}

#[tokio::test]
async fn a_wrong_password_is_our_fault_and_holds_up_only_the_mail_of_that_host() {
    let mut world = World::new().await;
    let relay = Relay::start(&world, STARTTLS).await;
    let wrong = SmartHostRule { password: Secret::new("guess".into()), ..rule(&relay) };
    world.config.delivery.smart_host_rule = vec![SmartHostRule { domain: String::new(), ..wrong }];
    let exempt: SmartHostRule = toml::from_str("host = \"mx\"\ndomain = \"other.example\"").unwrap();
    world.config.delivery.smart_host_rule.insert(0, exempt);
    world.accepting_mx("other.example").await;
    let gateway = world.gateway().await;
    let first = gateway.send(&["bee@example.net"]).await;
    let delivery = gateway.attempted(&first, "bee@example.net", 1).await;
    let attempt = last_attempt(&delivery);
    assert_eq!((&attempt["outcome"], &attempt["stage"], &attempt["scope"]), (&json!("deferred"), &json!("auth"), &json!("us")), "{attempt:#}");
    assert_eq!(attempt["enhanced_status"], "4.7.8");
    assert_eq!(attempt["reply"], "the smart host does not take our login: 535 5.7.8 no such user, or another password");
    // No second guess for mail that comes now, whatever its domain; it is not an attempt.
    let second = gateway.send(&["bee@example.org", "bee@other.example"]).await;
    gateway.delivery_in(&second, "bee@other.example", "delivered").await;
    let waiting = gateway.delivery_when(&second, "bee@example.org", |delivery| delivery["state"] == "queued").await;
    assert_eq!((attempts(&waiting), relay.count("AUTH")), (0, 1));
    // But for mail that somebody asks to try now.
    gateway.post(&format!("/v1/messages/{first}/retry"), &json!({})).await;
    gateway.attempted(&first, "bee@example.net", 2).await;
    assert_eq!(relay.count("AUTH"), 2);
    gateway.stop().await;
    // The operator puts it right.
    world.config.delivery.smart_host_rule[1].password = Secret::new(PASSWORD.into());
    let gateway = world.gateway().await;
    world.advance(Duration::from_mins(10));
    gateway.delivery_in(&first, "bee@example.net", "delivered").await;
    gateway.delivery_in(&second, "bee@example.org", "delivered").await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_certificate_must_be_valid_for_the_smart_host_unless_that_is_switched_off() {
    for (verify, ca_file, by_name, outcome) in
        [(true, false, true, "deferred"), (true, true, false, "deferred"), (true, true, true, "delivered"), (false, false, false, "delivered")]
    {
        let mut world = World::new().await;
        let relay = Relay::start(&world, STARTTLS).await;
        let mut rule = SmartHostRule { verify, ..rule(&relay) };
        if !ca_file {
            rule.ca_file = "".into();
        }
        if !by_name {
            rule.host = relay.address.to_string();
        }
        world.config.delivery.smart_host_rule = vec![rule];
        let gateway = world.gateway().await;
        let id = gateway.send(&["bee@example.net"]).await;
        let delivery = gateway.attempted(&id, "bee@example.net", 1).await;
        let attempt = last_attempt(&delivery);
        assert_eq!(attempt["outcome"], outcome, "{attempt:#}");
        if outcome == "deferred" {
            assert_eq!((&attempt["stage"], relay.count("AUTH")), (&json!("tls"), 0), "{attempt:#}");
        }
        gateway.stop().await;
    }
}

#[tokio::test]
async fn a_smart_host_without_an_address_defers_mail_and_bounces_none() {
    let mut world = World::new().await;
    world.config.delivery.smart_host = "missing.sender.example:25".into();
    let gateway = world.gateway().await;
    let id = gateway.send(&["bee@example.net"]).await;
    let delivery = gateway.attempted(&id, "bee@example.net", 1).await;
    let attempt = last_attempt(&delivery);
    assert_eq!((&attempt["outcome"], &attempt["stage"]), (&json!("deferred"), &json!("dns")), "{attempt:#}");
    assert!(attempt["reply"].as_str().unwrap().contains("missing.sender.example:25 has no address"), "{attempt:#}");
    gateway.stop().await;
}
