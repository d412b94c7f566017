//! Hosts that do not speak SMTP: nothing they say is believed, and nothing they do lasts for ever.

use std::time::Duration;

use super::world::World;
use super::world::gateway::eventually;
use super::world::script::after_hello;
use super::world::telling::{assert_waits, attempts, last_attempt, reply, told};

// R17
#[tokio::test]
async fn nonsense_ends_the_session_and_defers_the_message() {
    let world = World::new().await;
    let rcpt = |steps: &str| after_hello(&format!("C: MAIL\nS: 250 ok\nC: RCPT\n{steps}"));
    let rows = [
        ("S: SSH-2.0-OpenSSH_9.2".to_owned(), "queued deferred greeting host 4.5.0"),
        ("S: HTTP/1.1 400 Bad Request".to_owned(), "queued deferred greeting host 4.5.0"),
        ("S: 666 beast".to_owned(), "queued deferred greeting host 4.5.0"),
        ("S: 150 wait".to_owned(), "queued deferred greeting host 4.5.0"),
        ("S:* 2000000 2".to_owned(), "queued deferred greeting host 4.5.0"),
        ("S:* 100000 220-again\\r\\n".to_owned(), "queued deferred greeting host 4.5.0"),
        ("S:- 220 a\\0b\\r\\n".to_owned(), "queued deferred greeting host 4.5.0"),
        ("S: 220 mx\nC: EHLO\nS: 354 go".to_owned(), "queued deferred ehlo host 4.5.0"),
        (rcpt("S: 250-ok\nS: 550 no"), "queued deferred rcpt host 4.5.0"),
        (rcpt("S:* 100000 250-ok\\r\\n"), "queued deferred rcpt host 4.5.0"),
        (rcpt("S: 354 go"), "queued deferred rcpt host 4.5.0"),
        (rcpt("S: 250 ok\nC: DATA\nS: 250 fine"), "queued deferred data host 4.5.0"),
    ];
    for (number, (script, _)) in rows.iter().enumerate() {
        world.scripted_mx(&format!("r{number}.example"), &[script]).await;
    }
    let gateway = world.gateway().await;
    for (number, (script, expected)) in rows.iter().enumerate() {
        let recipient = format!("bee@r{number}.example");
        let id = gateway.send(&[&recipient]).await;
        let delivery = gateway.attempted(&id, &recipient, 1).await;
        assert_eq!(&told(&delivery), expected, "{script}: {}", reply(&delivery));
        assert!(reply(&delivery).starts_with("not SMTP: "), "{script}: {}", reply(&delivery));
        assert_waits(&delivery, 60.0);
        let octets = last_attempt(&delivery).to_string().len();
        assert!(octets < 20_000, "{script}: what is kept of it is bounded: {octets}");
    }
    gateway.stop().await;
}

// R17
#[tokio::test]
async fn after_the_dot_nonsense_leaves_the_outcome_unknown() {
    let world = World::new().await;
    let steps = "C: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: DATA\nS: 354 go\nC: .\nS: 666 beast";
    world.scripted_mx("example.net", &[&after_hello(steps)]).await;
    let gateway = world.gateway().await;
    let id = gateway.send(&["bee@example.net"]).await;
    assert_eq!(told(&gateway.attempted(&id, "bee@example.net", 1).await), "queued deferred end_of_data message 4.5.0 unknown");
    gateway.stop().await;
}

// R17
#[tokio::test]
async fn an_odd_code_of_a_known_class_is_judged_by_its_first_digit() {
    let world = World::new().await;
    let rcpt = |reply: &str| after_hello(&format!("C: MAIL\nS: 299 ok\nC: RCPT\nS: {reply}"));
    world.scripted_mx("four.example", &[&rcpt("499 later")]).await;
    world.scripted_mx("five.example", &[&rcpt("599 never")]).await;
    let gateway = world.gateway().await;
    let id = gateway.send(&["bee@four.example", "bee@five.example"]).await;
    assert_eq!(told(&gateway.attempted(&id, "bee@four.example", 1).await), "queued deferred rcpt recipient 4.3.0");
    assert_eq!(told(&gateway.attempted(&id, "bee@five.example", 1).await), "bounced bounced rcpt recipient 5.0.0");
    gateway.stop().await;
}

// R17
#[tokio::test]
async fn a_reply_that_drips_octet_by_octet_has_one_deadline() {
    let world = World::new().await;
    let drip = "S:- 2\n!wait 100\nS:- 2\n!wait 100\nS:- 0\n!wait 100\nS: mx\n!silence";
    let host = world.scripted_mx("example.net", &[drip]).await;
    let gateway = world.gateway().await;
    let id = gateway.send(&["bee@example.net"]).await;
    eventually(|| async { if host.connections() == 1 { Ok(()) } else { Err("not connected".to_owned()) } }).await;
    for _ in 0..4 {
        world.advance(Duration::from_secs(76));
    }
    let delivery = gateway.attempted(&id, "bee@example.net", 1).await;
    assert_eq!((told(&delivery), reply(&delivery)), ("queued deferred greeting host 4.4.2".to_owned(), "no answer within 300 s"));
    assert_eq!(attempts(&delivery), 1);
    gateway.stop().await;
}
