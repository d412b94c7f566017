//! STARTTLS where no policy asks for it: used when it can be had, done without when it cannot (RFC 7435).

use pennypost::lab::sink::SinkSettings;
use pennypost::net::tls;

use super::world::World;
use super::world::script::{TAKEN, after_hello};
use super::world::telling::{attempts, last_attempt};

const OFFERS: &str = "S: 220 mx\nC: EHLO\nS: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\n";

#[tokio::test]
async fn a_session_is_encrypted_where_the_host_offers_it() {
    let world = World::new().await;
    let settings = SinkSettings { starttls: Some(tls::self_signed("mx.example.net").unwrap()), ..SinkSettings::default() };
    let sink = world.mx("example.net", settings).await;
    let gateway = world.gateway().await;
    for _ in 0..2 {
        let id = gateway.send(&["bee@example.net"]).await;
        let delivery = gateway.delivery_in(&id, "bee@example.net", "delivered").await;
        assert!(last_attempt(&delivery)["tls"].as_str().unwrap().starts_with("TLSv1.3"), "{delivery:#}");
    }
    assert!(sink.received().iter().all(|message| message.tls));
    assert_eq!(sink.counts().connections, 1);
    gateway.stop().await;
}

// T1
#[tokio::test]
async fn a_failed_handshake_is_followed_by_one_try_in_the_clear_and_both_are_recorded() {
    let world = World::new().await;
    let broken = format!("{OFFERS}S: 220 go\n!close");
    let host = world.scripted_mx("example.net", &[&broken, &after_hello(TAKEN)]).await;
    let gateway = world.gateway().await;
    let id = gateway.send(&["bee@example.net"]).await;
    let delivery = gateway.delivery_in(&id, "bee@example.net", "delivered").await;
    assert_eq!((attempts(&delivery), host.connections()), (1, 2));
    assert!(last_attempt(&delivery)["tls"].is_null());
    let transcript = last_attempt(&delivery)["transcript"].to_string();
    assert!(transcript.contains("STARTTLS") && transcript.matches("connected to").count() == 2, "{transcript}");
    assert!(transcript.contains("TLS failed"), "why it went on in the clear: {transcript}");
    gateway.stop().await;
}

// T2
#[tokio::test]
async fn a_refused_starttls_is_done_without_in_the_same_session() {
    let world = World::new().await;
    for (number, reply) in ["454 4.7.0 TLS not available", "501 5.5.4 no"].iter().enumerate() {
        let domain = format!("r{number}.example");
        let host = world.scripted_mx(&domain, &[&format!("{OFFERS}S: {reply}\n{TAKEN}")]).await;
        let gateway = world.gateway().await;
        let recipient = format!("bee@{domain}");
        let id = gateway.send(&[&recipient]).await;
        let delivery = gateway.delivery_in(&id, &recipient, "delivered").await;
        assert!(last_attempt(&delivery)["tls"].is_null());
        assert_eq!(host.connections(), 1);
        gateway.stop().await;
    }
}

// T3
#[tokio::test]
async fn clear_text_behind_the_220_to_starttls_ends_the_session() {
    let world = World::new().await;
    let injecting = format!("{OFFERS}S:- 220 go\\r\\n250 injected\\r\\n\n!silence");
    let host = world.scripted_mx("example.net", &[&injecting, &after_hello(TAKEN)]).await;
    let gateway = world.gateway().await;
    let id = gateway.send(&["bee@example.net"]).await;
    let delivery = gateway.delivery_in(&id, "bee@example.net", "delivered").await;
    assert_eq!((attempts(&delivery), host.connections()), (1, 2));
    let heard = host.heard();
    let starttls = heard.iter().position(|line| line == "STARTTLS").unwrap();
    assert!(heard[starttls + 1].starts_with("EHLO"), "nothing went into the spoilt session: {heard:#?}");
    assert!(last_attempt(&delivery)["transcript"].to_string().contains("clear text came between"), "{delivery:#}");
    gateway.stop().await;
}
