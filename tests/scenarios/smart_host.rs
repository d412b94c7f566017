//! Smart hosts by rule: who goes there, TLS and login, and what happens when either fails; that one is a site of its own.

use std::time::Duration;

use pennypost::config::egress::{SmartHostRule, SmartHostTls};
use pennypost::model::Secret;
use serde_json::json;

use super::world::World;
use super::world::gateway::eventually;
use super::world::policy_host::policy;
use super::world::relay::{PASSWORD, Relay, RelaySettings};
use super::world::telling::{attempts, last_attempt};

const STARTTLS: RelaySettings = RelaySettings { implicit: false, starttls: true, auth: "PLAIN LOGIN", promises: false };

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
        (RelaySettings { implicit: true, starttls: false, auth: "PLAIN", promises: false }, Some(SmartHostTls::Implicit)),
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
        assert_eq!((&attempt["tls_policy"], &attempt["tls_result"]), (&json!("verify"), &json!("verified")), "{attempt:#}");
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

#[tokio::test]
async fn a_smart_host_is_a_site_of_its_own_and_holds_up_no_mail_that_goes_another_way() {
    let mut world = World::new().await;
    let relay = Relay::start(&world, STARTTLS).await;
    let half = SmartHostRule { share: 50, password: Secret::new("guess".into()), ..rule(&relay) };
    world.config.delivery.smart_host_rule = vec![half];
    let sink = world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    let to = "bee@example.net";
    let is_refused = loop {
        let id = gateway.send(&[to]).await;
        let delivery = gateway.attempted(&id, to, 1).await;
        if delivery["state"] == "queued" {
            break last_attempt(&delivery).clone();
        }
    };
    assert_eq!(is_refused["stage"], "auth");
    let before = sink.counts().messages;
    // Mail of the same project to the same domain; half of it waits for the relay. Some goes if the lane is open.
    for _ in 0..40 {
        gateway.send(&[to]).await;
    }
    eventually(async || if sink.counts().messages > before + 5 { Ok(()) } else { Err("the MX host gets nothing".to_owned()) }).await;
    assert_eq!(relay.count("AUTH"), 1, "the relay rests");
    let site = eventually(async || {
        world.advance(Duration::from_secs(3));
        let sites = gateway.get("/v1/sites").await.json();
        sites["data"].as_array().unwrap().iter().find(|site| site["name"] == relay.host()).cloned().ok_or_else(|| sites.to_string())
    })
    .await;
    assert_eq!((&site["provider"], &site["state"], &site["domains"]), (&json!("smart-host"), &json!("paused"), &json!(["example.net"])), "{site:#}");
    assert!(site["reason"].as_str().unwrap().contains("does not take our login"), "{site:#}");
    gateway.stop().await;
}

#[tokio::test]
async fn what_a_recipients_domain_wants_of_its_hosts_does_not_bind_a_smart_host() {
    let mut world = World::new().await;
    let authority = world.authority();
    let relay = Relay::start(&world, STARTTLS).await;
    world.config.delivery.smart_host_rule = vec![rule(&relay)];
    world.config.delivery.max_connections_per_domain = 1;
    let mx = world.accepting_mx("example.net").await;
    world.policy_host("example.net", "1", &authority.identity("mta-sts.example.net"), &policy("enforce", "mx1.example.net", 86_400)).await;
    world.zone.add("_smtp._tls.example.net TXT \"v=TLSRPTv1; rua=mailto:tls@example.net\"").unwrap();
    let gateway = world.gateway().await;
    let id = gateway.send(&["bee@example.net", "bee@sub.example.net"]).await;
    for recipient in ["bee@example.net", "bee@sub.example.net"] {
        let delivery = gateway.delivery_in(&id, recipient, "delivered").await;
        assert_eq!(last_attempt(&delivery)["tls_policy"], "verify", "{delivery:#}");
    }
    assert_eq!((mx.counts().connections, relay.count("AUTH"), relay.count("MAIL")), (0, 1, 2), "one session serves both domains");
    gateway.stop().await;
    assert_eq!(world.number("select count(*) from tls_result").await, 0, "it is no session with a host of the domain");
}

#[tokio::test]
async fn a_message_that_requires_tls_goes_by_a_proven_smart_host_that_promises_the_same_or_bounces() {
    let promising = RelaySettings { promises: true, ..STARTTLS };
    let off = RelaySettings { starttls: false, auth: "", ..promising };
    for (settings, verify, trusted, tls, ending) in [
        (promising, true, true, None, "delivered"),
        (STARTTLS, true, true, None, "5.7.30"),
        (promising, false, false, None, "5.7.10"),
        (RelaySettings { implicit: true, ..promising }, true, true, Some(SmartHostTls::Implicit), "delivered"),
        (off, true, true, Some(SmartHostTls::Off), "5.7.10"),
    ] {
        let mut world = World::new().await;
        let relay = Relay::start(&world, settings).await;
        let mut rule = SmartHostRule { verify, tls, ..rule(&relay) };
        if !trusted {
            rule.ca_file = "".into();
        }
        if tls == Some(SmartHostTls::Off) {
            rule.username.clear();
        }
        world.config.delivery.smart_host_rule = vec![rule];
        let gateway = world.gateway().await;
        let id = gateway.send_with(&["bee@example.net"], json!({ "require_tls": true })).await;
        let delivery = gateway.attempted(&id, "bee@example.net", 1).await;
        if ending == "delivered" {
            assert_eq!(delivery["state"], "delivered", "{delivery:#}");
            assert!(relay.heard().iter().any(|line| line.starts_with("MAIL ") && line.contains("REQUIRETLS")), "{:?}", relay.heard());
        } else {
            assert_eq!((&delivery["state"], &last_attempt(&delivery)["enhanced_status"]), (&json!("bounced"), &json!(ending)), "{delivery:#}");
            assert_eq!(relay.count("MAIL"), 0, "{:?}", relay.heard());
        }
        gateway.stop().await;
    }
}
