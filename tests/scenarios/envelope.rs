//! Replies to MAIL, RCPT and DATA: who is deferred, who bounces, who is tried again at once.

use std::time::Duration;

use pennypost::lab::sink::{Offer, SinkSettings};
use serde_json::json;

use super::world::World;
use super::world::gateway::eventually;
use super::world::script::{TAKEN, after_hello};
use super::world::telling::{assert_waits, assert_waits_at_least, attempts, kinds, reply, told};

// R6 R10 R14 R20 R21 R22
#[tokio::test]
async fn a_reply_decides_by_its_stage_and_its_words() {
    let world = World::new().await;
    let mail = |reply: &str| after_hello(&format!("C: MAIL\nS: {reply}\n"));
    let rcpt = |reply: &str| after_hello(&format!("C: MAIL\nS: 250 ok\nC: RCPT\nS: {reply}\n"));
    let data = |reply: &str| after_hello(&format!("C: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: DATA\nS: {reply}\n"));
    let dot = |reply: &str| after_hello(&TAKEN.replace("250 2.0.0 taken", reply));
    let rows = [
        (mail("450 4.3.2 not now"), "queued deferred mail host 4.3.2", Some(60.0)),
        (mail("550 5.7.1 sender refused"), "bounced bounced mail message 5.7.1", None),
        (rcpt("450 4.2.1 mailbox busy"), "queued deferred rcpt recipient 4.2.1", Some(60.0)),
        (rcpt("452 4.2.2 mailbox full"), "queued deferred rcpt recipient 4.2.2", Some(60.0)),
        (rcpt("552 5.2.2 mailbox full"), "bounced bounced rcpt recipient 5.2.2", None),
        (rcpt("550 5.1.1 no such user"), "bounced bounced rcpt recipient 5.1.1", None),
        (rcpt("550 user unknown"), "bounced bounced rcpt recipient 5.1.1", None),
        (data("451 not now"), "queued deferred data message 4.3.0", Some(60.0)),
        (data("554 5.6.0 no"), "bounced bounced data message 5.6.0", None),
        (dot("451 4.3.0 not now"), "queued deferred end_of_data host 4.3.0", Some(60.0)),
        (dot("554 5.7.1 message content refused"), "bounced bounced end_of_data message 5.7.1", None),
        (dot("550 5.7.1 blocked, see spamhaus"), "bounced bounced end_of_data site 5.7.1", None),
    ];
    let mut hosts = Vec::new();
    for (number, (script, ..)) in rows.iter().enumerate() {
        hosts.push(world.scripted_mx(&format!("r{number}.example"), &[script]).await);
    }
    let gateway = world.gateway().await;
    for (number, (script, expected, waits)) in rows.iter().enumerate() {
        let recipient = format!("bee@r{number}.example");
        let id = gateway.send(&[&recipient]).await;
        let delivery = gateway.attempted(&id, &recipient, 1).await;
        assert_eq!(&told(&delivery), expected, "{script}");
        assert!(script.contains(&format!("S: {}\n", reply(&delivery))), "{delivery:#}");
        match waits {
            Some(seconds) => assert_waits(&delivery, *seconds),
            None => assert!(delivery["next_attempt_at"].is_null()),
        }
        let event = if waits.is_some() { "deferred" } else { "bounced" };
        assert_eq!(kinds(&gateway.message(&id).await), [event], "{script}");
        assert_eq!(hosts[number].connections(), 1, "{script}");
    }
    gateway.stop().await;
}

// R6
#[tokio::test]
async fn a_refusal_at_mail_is_for_all_recipients_of_this_message_and_for_no_other() {
    let mut world = World::new().await;
    world.config.delivery.idle_seconds = 30;
    let script = after_hello(&format!("C: MAIL\nS: 550 5.7.1 sender refused\nC: RSET\nS: 250 ok\n{TAKEN}"));
    let host = world.scripted_mx("example.net", &[&script]).await;
    let gateway = world.gateway().await;
    let refused = gateway.send(&["a@example.net", "b@example.net"]).await;
    for recipient in ["a@example.net", "b@example.net"] {
        assert_eq!(told(&gateway.delivery_in(&refused, recipient, "bounced").await), "bounced bounced mail message 5.7.1");
    }
    let taken = gateway.send(&["c@example.net"]).await;
    gateway.delivery_in(&taken, "c@example.net", "delivered").await;
    assert_eq!(host.connections(), 1, "the session went on");
    assert!(host.heard().contains(&"RSET".to_owned()));
    gateway.stop().await;
}

// R7
#[tokio::test]
async fn of_mixed_recipients_only_the_deferred_one_is_tried_again() {
    let world = World::new().await;
    let first = after_hello(
        "C: MAIL\nS: 250 ok\nC: RCPT TO:<a\nS: 250 ok\nC: RCPT TO:<b\nS: 450 4.2.1 busy\nC: RCPT TO:<c\nS: 550 5.1.1 no such user\n\
         C: DATA\nS: 354 go\nC: .\nS: 250 2.0.0 taken",
    );
    let host = world.scripted_mx("example.net", &[&first, &after_hello(TAKEN)]).await;
    let gateway = world.gateway().await;
    let id = gateway.send(&["a@example.net", "b@example.net", "c@example.net"]).await;
    gateway.delivery_in(&id, "a@example.net", "delivered").await;
    assert_eq!(told(&gateway.delivery_in(&id, "c@example.net", "bounced").await), "bounced bounced rcpt recipient 5.1.1");
    let waiting = gateway.attempted(&id, "b@example.net", 1).await;
    assert_eq!(told(&waiting), "queued deferred rcpt recipient 4.2.1");
    assert_waits(&waiting, 60.0);
    world.advance(Duration::from_secs(75));
    let delivery = gateway.delivery_in(&id, "b@example.net", "delivered").await;
    assert_eq!(attempts(&delivery), 2);
    let envelopes: Vec<String> = host.heard().into_iter().filter(|line| line.starts_with("RCPT")).collect();
    assert_eq!(envelopes, ["RCPT TO:<a@example.net>", "RCPT TO:<b@example.net>", "RCPT TO:<c@example.net>", "RCPT TO:<b@example.net>"]);
    assert_eq!(host.heard().iter().filter(|line| *line == ".").count(), 2);
    gateway.stop().await;
}

// R8
#[tokio::test]
async fn recipients_beyond_a_hosts_limit_follow_at_once_in_a_transaction_of_their_own() {
    let world = World::new().await;
    let sink = world.mx("example.net", SinkSettings { max_recipients: 2, ..SinkSettings::default() }).await;
    let old = after_hello(
        "C: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: RCPT\nS: 552 5.5.3 too many recipients\nC: DATA\nS: 354 go\nC: .\nS: 250 2.0.0 taken\n\
         C: MAIL\nS: 250 ok\nC: RCPT TO:<b\nS: 250 ok\nC: DATA\nS: 354 go\nC: .\nS: 250 2.0.0 taken",
    );
    let host = world.scripted_mx("old.example", &[&old]).await;
    let gateway = world.gateway().await;
    let five: Vec<String> = (0..5).map(|number| format!("r{number}@example.net")).collect();
    let id = gateway.send(&five.iter().map(String::as_str).collect::<Vec<_>>()).await;
    for recipient in &five {
        assert_eq!(attempts(&gateway.delivery_in(&id, recipient, "delivered").await), 1);
    }
    let sizes: Vec<usize> = sink.received().iter().map(|message| message.recipients.len()).collect();
    assert_eq!(sizes, [2, 2, 1]);
    let id = gateway.send(&["a@old.example", "b@old.example"]).await;
    for recipient in ["a@old.example", "b@old.example"] {
        assert_eq!(attempts(&gateway.delivery_in(&id, recipient, "delivered").await), 1);
    }
    assert_eq!((host.connections(), host.heard().iter().filter(|line| *line == ".").count()), (1, 2));
    gateway.stop().await;
}

// R9
#[tokio::test]
async fn a_host_that_wants_content_for_nobody_gets_a_lone_dot() {
    let world = World::new().await;
    let script =
        "S: 220 mx\nC: EHLO\nS: 250-mx\nS: 250 PIPELINING\nC: DATA\nS: 250 ok\nS: 550 5.1.1 no such user\nS: 354 go\nC: .\nS: 554 5.5.1 nobody";
    let host = world.scripted_mx("example.net", &[script]).await;
    let gateway = world.gateway().await;
    let id = gateway.send(&["bee@example.net"]).await;
    assert_eq!(told(&gateway.delivery_in(&id, "bee@example.net", "bounced").await), "bounced bounced rcpt recipient 5.1.1");
    let heard = host.heard();
    let data = heard.iter().position(|line| line == "DATA").unwrap();
    assert_eq!(heard[data + 1], ".", "{heard:#?}");
    gateway.stop().await;
}

// R16
#[tokio::test]
async fn a_421_ends_the_session_and_defers_this_message_alone() {
    let world = World::new().await;
    for (number, steps) in ["C: MAIL\nS: 421 4.3.2 bye\n!close", "C: MAIL\nS: 250 ok\nC: RCPT\nS: 421 4.3.2 bye\n!close"].iter().enumerate() {
        let domain = format!("r{number}.example");
        let host = world.scripted_mx(&domain, &[&after_hello(steps), &after_hello(TAKEN)]).await;
        let gateway = world.gateway().await;
        let recipient = format!("bee@{domain}");
        let first = gateway.send(&[&recipient]).await;
        let delivery = gateway.attempted(&first, &recipient, 1).await;
        let stage = if number == 0 { "mail" } else { "rcpt" };
        assert_eq!(told(&delivery), format!("queued deferred {stage} host 4.3.2"));
        assert_waits(&delivery, 60.0);
        let second = gateway.send(&[&recipient]).await;
        assert_eq!(attempts(&gateway.delivery_in(&second, &recipient, "delivered").await), 1);
        assert_eq!(host.connections(), 2);
        gateway.stop().await;
    }
}

// R19
#[tokio::test]
async fn a_greylisted_message_waits_as_long_as_configured() {
    for (seconds, expected) in [(300, 300.0), (1200, 1200.0), (5, 60.0)] {
        let mut world = World::new().await;
        world.config.delivery.greylist_seconds = seconds;
        world.accepting_mx("example.net").await;
        let gateway = world.gateway().await;
        let id = gateway.send(&["greylist@example.net"]).await;
        let delivery = gateway.attempted(&id, "greylist@example.net", 1).await;
        assert_eq!(told(&delivery), "queued deferred rcpt recipient 4.7.1");
        if seconds == 5 {
            assert_waits(&delivery, expected);
        } else {
            assert_waits_at_least(&delivery, expected);
        }
        gateway.stop().await;
    }
}

// R20
#[tokio::test]
async fn a_domain_that_asks_for_less_mail_gets_none_for_a_while_and_others_do() {
    let mut world = World::new().await;
    world.config.delivery.max_connections_per_domain = 1;
    let rows = [
        ("slow.example", "421 4.7.28 unusual rate of mail", "queued deferred mail site 4.7.28", 600.0),
        ("busy.example", "451 4.7.500 server busy", "queued deferred mail site 4.7.500", 600.0),
        ("blocking.example", "550 5.7.1 your address is on our block list", "bounced bounced mail site 5.7.1", 60.0),
    ];
    let mut hosts = Vec::new();
    for (domain, reply, ..) in rows {
        let script = after_hello(&format!("C: MAIL\nS: {reply}\n!close"));
        // Room for both messages: which of them goes first is not said.
        hosts.push(world.scripted_mx(domain, &[&script, &after_hello(&TAKEN.repeat(2))]).await);
    }
    world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    for ((domain, _, expected, rest), host) in rows.iter().zip(&hosts) {
        let recipient = format!("bee@{domain}");
        let first = gateway.send(&[&recipient]).await;
        let delivery = gateway.attempted(&first, &recipient, 1).await;
        assert_eq!(&told(&delivery), expected);
        if delivery["state"] == "queued" {
            assert_waits_at_least(&delivery, *rest);
        }
        let second = gateway.send(&[&recipient]).await;
        let other = gateway.send(&["bee@example.net"]).await;
        gateway.delivery_in(&other, "bee@example.net", "delivered").await;
        assert_eq!(attempts(&gateway.delivery(&second, &recipient).await), 0, "{domain} rests");
        assert_eq!(host.connections(), 1, "{domain} rests");
        world.advance(Duration::from_secs_f64(rest * 1.25));
        assert_eq!(attempts(&gateway.delivery_in(&second, &recipient, "delivered").await), 1, "{domain}");
    }
    gateway.stop().await;
}

// R20
#[tokio::test]
async fn a_host_that_takes_few_sessions_gets_few_and_no_message_pays_for_it() {
    let world = World::new().await;
    let taking = after_hello(&format!("C: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: DATA\nS: 354 go\nC: .\n!wait\nS: 250 2.0.0 taken\n{TAKEN}{TAKEN}"));
    let host = world.scripted_mx("example.net", &[&taking, "S: 421 4.7.0 too many connections from your host"]).await;
    let gateway = world.gateway().await;
    let mut sent = vec![gateway.send(&["bee@example.net"]).await];
    eventually(|| async { if host.heard().iter().any(|line| line == ".") { Ok(()) } else { Err(format!("{:#?}", host.heard())) } }).await;
    sent.push(gateway.send(&["bee@example.net"]).await);
    eventually(|| async { if host.connections() == 2 { Ok(()) } else { Err("no second session".to_owned()) } }).await;
    sent.push(gateway.send(&["bee@example.net"]).await);
    host.go_on();
    for id in &sent {
        assert_eq!(attempts(&gateway.delivery_in(id, "bee@example.net", "delivered").await), 1);
    }
    assert_eq!(host.connections(), 2, "one was refused, and no third was tried");
    gateway.stop().await;
}

// R23
#[tokio::test]
async fn a_message_larger_than_the_host_takes_bounces_unsent() {
    let world = World::new().await;
    let host = world.scripted_mx("example.net", &["S: 220 mx\nC: EHLO\nS: 250-mx\nS: 250 SIZE 200\n"]).await;
    let gateway = world.gateway().await;
    let id = gateway.send(&["bee@example.net"]).await;
    let delivery = gateway.delivery_in(&id, "bee@example.net", "bounced").await;
    assert_eq!(told(&delivery), "bounced bounced mail message 5.3.4");
    assert!(reply(&delivery).contains("larger than the 200 octets"), "{delivery:#}");
    assert!(!host.heard().iter().any(|line| line.starts_with("MAIL")));
    gateway.stop().await;
}

// R24
#[tokio::test]
async fn what_a_host_cannot_take_bounces_and_what_we_compose_every_host_can() {
    let world = World::new().await;
    let offer = Offer { eight_bit_mime: false, smtputf8: false, ..SinkSettings::default().offer };
    let sink = world.mx("example.net", SinkSettings { offer, ..SinkSettings::default() }).await;
    let gateway = world.gateway().await;
    let id = gateway.send_with(&["bee@example.net"], json!({ "subject": "Grüße", "text": "Käse\n" })).await;
    gateway.delivery_in(&id, "bee@example.net", "delivered").await;
    assert!(sink.received()[0].content.is_ascii());
    let raw = "From: hello@sender.example\r\nTo: bee@example.net\r\nSubject: x\r\nMIME-Version: 1.0\r\n\
               Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nKäse\r\n";
    let id = gateway.send_raw(&["bee@example.net"], raw.as_bytes()).await;
    let delivery = gateway.delivery_in(&id, "bee@example.net", "bounced").await;
    assert_eq!(told(&delivery), "bounced bounced mail message 5.6.3");
    let id = gateway.send(&["jörg@example.net"]).await;
    let delivery = gateway.delivery_in(&id, "jörg@example.net", "bounced").await;
    assert_eq!(told(&delivery), "bounced bounced mail message 5.6.7");
    assert_eq!(sink.counts().messages, 1);
    gateway.stop().await;
}

// R27
#[tokio::test]
async fn a_host_that_refuses_rset_is_met_anew_and_the_message_does_not_pay_for_it() {
    let mut world = World::new().await;
    world.config.delivery.idle_seconds = 30;
    let first = after_hello("C: MAIL\nS: 550 5.7.1 sender refused\nC: RSET\nS: 502 5.5.1 never heard of it\n");
    let host = world.scripted_mx("example.net", &[&first, &after_hello(TAKEN)]).await;
    let gateway = world.gateway().await;
    let refused = gateway.send(&["bee@example.net"]).await;
    gateway.delivery_in(&refused, "bee@example.net", "bounced").await;
    let taken = gateway.send(&["bee@example.net"]).await;
    assert_eq!(attempts(&gateway.delivery_in(&taken, "bee@example.net", "delivered").await), 1);
    assert_eq!(host.connections(), 2);
    gateway.stop().await;
}
