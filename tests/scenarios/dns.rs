//! What the DNS says about a recipient's domain, and what becomes of the mail.

use std::time::Duration;

use pennypost::lab::sink::SinkSettings;
use pennypost::lab::zone::ZoneFault;
use serde_json::json;

use super::world::gateway::eventually;
use super::world::telling::{assert_waits, assert_waits_at_least, attempts, kinds, last_attempt, reply, told};
use super::world::{Gateway, World};

// D1 D2 D12
#[tokio::test]
async fn a_dns_that_gives_no_answer_now_defers_and_never_bounces() {
    let mut world = World::new().await;
    world.config.dns.timeout_seconds = 1;
    let rows = [
        ("silent.example", ZoneFault::NoAnswer),
        ("servfail.example", ZoneFault::ServFail),
        ("refused.example", ZoneFault::Refused),
        ("tcpless.example", ZoneFault::TruncateWithoutTcp),
    ];
    for (domain, fault) in rows {
        world.accepting_mx(domain).await;
        world.zone.set_fault(domain, Some(fault));
    }
    let gateway = world.gateway().await;
    let mut sent = Vec::new();
    for (domain, _) in rows {
        let recipient = format!("bee@{domain}");
        sent.push((gateway.send(&[&recipient]).await, recipient));
    }
    for (id, recipient) in &sent {
        let delivery = gateway.attempted(id, recipient, 1).await;
        assert_eq!(told(&delivery), "queued deferred dns site 4.4.3", "{recipient}");
        assert!(reply(&delivery).contains("no answer from the DNS"), "{delivery:#}");
        assert_waits(&delivery, 60.0);
        assert_eq!(kinds(&gateway.message(id).await), ["deferred"], "{recipient}");
    }
    for (domain, _) in rows {
        world.zone.set_fault(domain, None);
    }
    gateway.running.house.resolver.forget_all();
    world.advance(Duration::from_secs(80));
    for (id, recipient) in &sent {
        assert_eq!(attempts(&gateway.delivery_in(id, recipient, "delivered").await), 2, "{recipient}");
    }
    gateway.stop().await;
}

// D1: the address of the only host cannot be looked up; the look-up of a second one can.
#[tokio::test]
async fn a_host_whose_address_cannot_be_looked_up_now_gives_way_to_the_next_or_defers() {
    let mut world = World::new().await;
    world.config.dns.timeout_seconds = 1;
    for domain in ["one.example", "two.example"] {
        world.zone.add(&format!("{domain} MX 5 lost.{domain}")).unwrap();
        world.zone.set_fault(&format!("lost.{domain}"), Some(ZoneFault::ServFail));
    }
    world.accepting_mx("two.example").await;
    let gateway = world.gateway().await;
    let id = gateway.send(&["bee@one.example", "bee@two.example"]).await;
    assert_eq!(told(&gateway.attempted(&id, "bee@one.example", 1).await), "queued deferred dns site 4.4.3");
    gateway.delivery_in(&id, "bee@two.example", "delivered").await;
    gateway.stop().await;
}

// D3 D5 D6 D7 D9, and D10 for what is ignored
#[tokio::test]
async fn a_domain_that_takes_no_mail_bounces_at_once_with_its_reason() {
    let world = World::new().await;
    let listening = world.fresh_address();
    let sink = world.host_at(listening, SinkSettings::default()).await;
    let rows: [(&str, &str, &str); 7] = [
        ("missing.example", "", "5.1.2"),
        ("bare.example", "bare.example TXT nothing", "5.4.4"),
        ("null.example", "null.example MX 0 .", "5.1.10"),
        // Its own address is no substitute for MX hosts that are of no use.
        ("useless.example", "useless.example MX 10 gone.useless.example\nuseless.example A LISTENING", "5.4.4"),
        ("literal.example", "literal.example MX 10 127.0.0.1\nliteral.example A LISTENING", "5.4.4"),
        ("ours.example", "ours.example MX 10 mail.sender.example\nmail.sender.example A LISTENING", "5.4.6"),
        (
            "backup.example",
            "backup.example MX 10 Mail.Sender.Example\nbackup.example MX 20 mx.backup.example\nmx.backup.example A LISTENING",
            "5.4.6",
        ),
    ];
    for (_, zone, _) in rows {
        for line in zone.replace("LISTENING", &listening.to_string()).lines() {
            world.zone.add(line).unwrap();
        }
    }
    let gateway = world.gateway().await;
    for (domain, _, status) in rows {
        let recipient = format!("bee@{domain}");
        let id = gateway.send(&[&recipient]).await;
        let delivery = gateway.delivery_in(&id, &recipient, "bounced").await;
        assert_eq!(told(&delivery), format!("bounced bounced dns site {status}"), "{domain}");
        assert_eq!(attempts(&delivery), 1, "{domain}");
        assert!(delivery["next_attempt_at"].is_null());
        assert_eq!(kinds(&gateway.message(&id).await), ["bounced"], "{domain}");
    }
    assert_eq!(sink.counts().connections, 0, "nothing was tried");
    gateway.stop().await;
}

// D3: the DNS may be wrong for a while about a domain that a whole list has addresses in.
#[tokio::test]
async fn mass_mail_to_a_missing_domain_bounces_only_when_a_second_look_says_the_same() {
    let world = World::new().await;
    world.accepting_mx("moved.example").await;
    world.zone.set_fault("moved.example", Some(ZoneFault::NoSuchName));
    let gateway = world.gateway().await;
    let bulk = || json!({ "priority": "bulk" });
    let (gone, moved) = (gateway.send_with(&["bee@gone.example"], bulk()).await, gateway.send_with(&["bee@moved.example"], bulk()).await);
    for (id, recipient) in [(&gone, "bee@gone.example"), (&moved, "bee@moved.example")] {
        let delivery = gateway.attempted(id, recipient, 1).await;
        assert_eq!(told(&delivery), "queued deferred dns site 4.1.2");
        assert!(reply(&delivery).contains("it is asked again"), "{delivery:#}");
        assert_waits_at_least(&delivery, 660.0);
    }
    let typed = gateway.send(&["typist@gone.example"]).await;
    let delivery = gateway.delivery_in(&typed, "typist@gone.example", "bounced").await;
    assert_eq!(attempts(&delivery), 1, "who typed the address hears at once");
    world.zone.set_fault("moved.example", None);
    world.advance(Duration::from_mins(5));
    let early = gateway.send_with(&["ant@gone.example"], bulk()).await;
    assert_eq!(told(&gateway.attempted(&early, "ant@gone.example", 1).await), "queued deferred dns site 4.1.2");
    world.advance(Duration::from_secs(361));
    let delivery = gateway.delivery_in(&gone, "bee@gone.example", "bounced").await;
    assert_eq!((told(&delivery).as_str(), attempts(&delivery)), ("bounced bounced dns site 5.1.2", 2));
    // The second look is at the DNS itself, not at the answer kept from the first.
    assert_eq!(attempts(&gateway.delivery_in(&moved, "bee@moved.example", "delivered").await), 2);
    let late = gateway.send_with(&["cat@gone.example"], bulk()).await;
    assert_eq!(attempts(&gateway.delivery_in(&late, "cat@gone.example", "bounced").await), 1, "it is known now");
    gateway.stop().await;
}

// D8 D9
#[tokio::test]
async fn a_host_at_an_address_of_ours_is_ourselves_by_another_name() {
    let mut world = World::new().await;
    let (ours, theirs) = (world.fresh_address(), world.fresh_address());
    world.config.delivery.egress = vec![ours];
    let (own, other) = (world.host_at(ours, SinkSettings::default()).await, world.host_at(theirs, SinkSettings::default()).await);
    for line in [
        "alias.example MX 10 mx.alias.example",
        "mx.alias.example A OURS",
        "implicit.example A OURS",
        "behind.example MX 10 mx.alias.example",
        "behind.example MX 20 mx.behind.example",
        "mx.behind.example A THEIRS",
        "equal.example MX 10 mx.alias.example",
        "equal.example MX 10 mx.behind.example",
        "better.example MX 5 mx.behind.example",
        "better.example MX 10 mx.alias.example",
    ] {
        world.zone.add(&line.replace("OURS", &ours.to_string()).replace("THEIRS", &theirs.to_string())).unwrap();
    }
    let gateway = world.gateway().await;
    for domain in ["alias.example", "implicit.example", "behind.example", "equal.example"] {
        let recipient = format!("bee@{domain}");
        let id = gateway.send(&[&recipient]).await;
        let delivery = gateway.delivery_in(&id, &recipient, "bounced").await;
        assert_eq!((told(&delivery).as_str(), attempts(&delivery)), ("bounced bounced dns site 5.4.6", 1), "{domain}");
    }
    let id = gateway.send(&["bee@better.example"]).await;
    gateway.delivery_in(&id, "bee@better.example", "delivered").await;
    assert_eq!((own.counts().connections, other.counts().messages), (0, 1));
    gateway.stop().await;
    // A smart host is the operator's choice, wherever it is.
    world.config.delivery.smart_host = format!("{ours}:{}", world.config.delivery.mx_port);
    let gateway = world.gateway().await;
    let id = gateway.send(&["bee@alias.example"]).await;
    gateway.delivery_in(&id, "bee@alias.example", "delivered").await;
    assert_eq!(own.counts().messages, 1);
    gateway.stop().await;
}

// D4 D9 D10 D12
#[tokio::test]
async fn mail_finds_its_host_by_every_way_that_leads_to_one() {
    let world = World::new().await;
    let address = world.fresh_address();
    let sink = world.host_at(address, SinkSettings::default()).await;
    for line in [
        // No MX record: the domain is its own mail host.
        "implicit.example A ADDRESS",
        // Better than ourselves: it gets the mail, and nobody behind us does.
        "better.example MX 5 mx.better.example",
        "better.example MX 10 mail.sender.example",
        "mx.better.example A ADDRESS",
        // An alias as MX host is against RFC 2181 10.3, and common.
        "alias.example MX 10 www.alias.example",
        "www.alias.example CNAME target.alias.example",
        "target.alias.example A ADDRESS",
        // Beside a literal stands a name.
        "mixed.example MX 5 10.0.0.1",
        "mixed.example MX 10 mx.mixed.example",
        "mx.mixed.example A ADDRESS",
        // Too long for UDP.
        "long.example MX 10 mx.long.example",
        "mx.long.example A ADDRESS",
    ] {
        world.zone.add(&line.replace("ADDRESS", &address.to_string())).unwrap();
    }
    world.zone.set_fault("long.example", Some(ZoneFault::Truncate));
    let gateway = world.gateway().await;
    for (domain, host) in [
        ("implicit.example", "implicit.example"),
        ("better.example", "mx.better.example"),
        ("alias.example", "www.alias.example"),
        ("mixed.example", "mx.mixed.example"),
        ("long.example", "mx.long.example"),
    ] {
        let recipient = format!("bee@{domain}");
        let id = gateway.send(&[&recipient]).await;
        let delivery = gateway.delivery_in(&id, &recipient, "delivered").await;
        assert_eq!(last_attempt(&delivery)["mx_host"], host);
        assert_eq!(last_attempt(&delivery)["mx_ip"], address.to_string());
    }
    assert_eq!(sink.counts().messages, 5);
    gateway.stop().await;
}

// D8
#[tokio::test]
async fn private_addresses_are_not_dialled_unless_that_is_allowed() {
    let mut world = World::new().await;
    world.config.delivery.allow_private_addresses = false;
    let listening = world.fresh_address();
    let sink = world.host_at(listening, SinkSettings::default()).await;
    let addresses = [
        ("loopback.example", listening.to_string()),
        ("loopback6.example", "::1".to_owned()),
        ("inner.example", "10.1.2.3".to_owned()),
        ("office.example", "192.168.1.1".to_owned()),
        ("link.example", "fe80::1".to_owned()),
        ("cloud.example", "169.254.169.254".to_owned()),
        ("mapped.example", "::ffff:127.0.0.1".to_owned()),
    ];
    for (domain, address) in &addresses {
        let kind = if address.contains(':') { "AAAA" } else { "A" };
        world.zone.add(&format!("{domain} MX 10 mx.{domain}")).unwrap();
        world.zone.add(&format!("mx.{domain} {kind} {address}")).unwrap();
    }
    let gateway = world.gateway().await;
    for (domain, _) in &addresses {
        let recipient = format!("bee@{domain}");
        let id = gateway.send(&[&recipient]).await;
        let delivery = gateway.delivery_in(&id, &recipient, "bounced").await;
        assert_eq!(told(&delivery), "bounced bounced dns site 5.4.4", "{domain}");
        assert!(last_attempt(&delivery)["transcript"].is_null(), "nothing was dialled: {delivery:#}");
    }
    assert_eq!(sink.counts().connections, 0);
    gateway.stop().await;
}

// D11
#[tokio::test]
async fn of_very_many_hosts_and_addresses_only_a_few_are_tried() {
    let world = World::new().await;
    for number in 0..500 {
        world.zone.add(&format!("hosts.example MX 10 mx{number}.hosts.example")).unwrap();
        world.zone.add(&format!("mx{number}.hosts.example A {}", world.address(number % 5 + 1))).unwrap();
    }
    world.zone.add("addresses.example MX 10 mx.addresses.example").unwrap();
    for number in 0..1000_u32 {
        world.zone.add(&format!("mx.addresses.example A 127.{}.{}.1", 200 + number / 250, number % 250)).unwrap();
    }
    world.zone.add("addresses.example MX 20 second.addresses.example").unwrap();
    let second = world.address(20);
    world.zone.add(&format!("second.addresses.example A {second}")).unwrap();
    let sink = world.host_at(second, SinkSettings::default()).await;
    let gateway = world.gateway().await;
    let id = gateway.send(&["bee@hosts.example", "bee@addresses.example"]).await;
    let delivery = gateway.attempted(&id, "bee@hosts.example", 1).await;
    assert_eq!(told(&delivery), "queued deferred connect host 4.4.1");
    let tried = last_attempt(&delivery)["transcript"].as_array().unwrap().len();
    assert!((2..=10).contains(&tried), "{delivery:#}");
    let delivery = gateway.delivery_in(&id, "bee@addresses.example", "delivered").await;
    assert_eq!(last_attempt(&delivery)["mx_host"], "second.addresses.example", "many addresses of one host do not hide the next");
    assert_eq!(sink.counts().messages, 1);
    gateway.stop().await;
}

// D15: between its limits an answer is kept, so that a domain is not looked up for every message; a change is seen when it is over.
#[tokio::test]
async fn answers_are_kept_for_the_next_message() {
    let world = World::new().await;
    let old = world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    let id = gateway.send(&["bee@example.net"]).await;
    gateway.delivery_in(&id, "bee@example.net", "delivered").await;
    let asked = world.zone.queries();
    world.advance(Duration::from_secs(5));
    let id = gateway.send(&["bee@example.net"]).await;
    gateway.delivery_in(&id, "bee@example.net", "delivered").await;
    assert_eq!(old.counts().connections, 2, "the first session had ended");
    assert_eq!(world.zone.queries(), asked);
    world.zone.remove("example.net");
    let new = world.accepting_mx("example.net").await;
    gateway.running.house.resolver.forget_all();
    world.advance(Duration::from_secs(5));
    let id = gateway.send(&["bee@example.net"]).await;
    gateway.delivery_in(&id, "bee@example.net", "delivered").await;
    assert_eq!(new.received().len(), 1);
    gateway.stop().await;
}

// D14
#[tokio::test]
async fn while_the_resolver_is_down_nothing_is_given_up_and_little_is_asked() {
    let mut world = World::new().await;
    world.config.dns.timeout_seconds = 1;
    let domains: Vec<String> = (0..6).map(|number| format!("d{number}.example")).collect();
    let address = world.fresh_address();
    let sink = world.host_at(address, SinkSettings::default()).await;
    for domain in &domains {
        world.zone.add(&format!("{domain} MX 10 mx.{domain}")).unwrap();
        world.zone.add(&format!("mx.{domain} A {address}")).unwrap();
        world.zone.set_fault(domain, Some(ZoneFault::NoAnswer));
    }
    world.zone.set_fault(".", Some(ZoneFault::NoAnswer));
    let gateway = world.gateway().await;
    let mut sent = Vec::new();
    for domain in &domains {
        for name in ["a", "b"] {
            let recipient = format!("{name}@{domain}");
            sent.push((gateway.send(&[&recipient]).await, recipient));
        }
    }
    quiet(&gateway).await;
    for _ in 0..4 {
        let asked = world.zone.queries();
        world.advance(Duration::from_mins(15));
        eventually(|| async { if world.zone.queries() > asked { Ok(()) } else { Err("nothing is asked".to_owned()) } }).await;
        quiet(&gateway).await;
    }
    for (id, recipient) in &sent {
        let delivery = gateway.delivery(id, recipient).await;
        assert_eq!((attempts(&delivery), &delivery["state"]), (0, &"queued".into()), "an hour without a resolver is no fault of the message");
    }
    world.zone.set_fault(".", None);
    for domain in &domains {
        world.zone.set_fault(domain, None);
    }
    gateway.running.house.resolver.forget_all();
    world.advance(Duration::from_secs(75));
    for (id, recipient) in &sent {
        assert_eq!(attempts(&gateway.delivery_in(id, recipient, "delivered").await), 1);
    }
    assert_eq!(sink.counts().messages, 12);
    gateway.stop().await;
}

/// Waits until nobody works on anything.
async fn quiet(gateway: &Gateway) {
    eventually(|| async {
        let queue = gateway.get("/v1/queue").await.json();
        let busy = queue["data"].as_array().unwrap().iter().any(|lane| lane["active"] != 0);
        if busy { Err(format!("{queue:#}")) } else { Ok(()) }
    })
    .await;
}
