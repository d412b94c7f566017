//! How long clients of the SMTP ports may take: for a proxy's word, a handshake, a command, a message; and how long they have to wait before they speak.

use std::net::SocketAddr;
use std::time::Duration;

use super::return_path::{publish, reverse_paths};
use super::smtp_session::loopback_proxies;
use super::smtp_submission;
use super::world::script::{TAKEN, after_hello};
use super::world::smtp::SmtpClient;
use super::world::{Gateway, World};
use pennypost::config::Listen;

const MINUTE: Duration = Duration::from_mins(1);

/// A world whose gateways listen on all three ports.
async fn world() -> World {
    let mut world = smtp_submission::world().await;
    world.config.smtp.mx_listen = Listen::At(SocketAddr::new(world.config.server.http_listen.ip(), 0));
    world
}

fn mx(gateway: &Gateway) -> SocketAddr {
    gateway.running.mx.unwrap()
}

// S15
#[tokio::test]
async fn who_speaks_before_the_greeting_is_sent_away_and_nothing_of_it_is_executed() {
    let world = world().await;
    let gateway = world.gateway().await;
    for address in [mx(&gateway), gateway.running.submission.unwrap()] {
        let mut early = SmtpClient::dial(address).await;
        early.send("EHLO c\r\nMAIL FROM:<>\r\n").await;
        let told = early.rest().await;
        assert!(told.starts_with("554 5.5.0 wait for the greeting") && told.lines().count() == 1, "{told}");
        let mut patient = SmtpClient::connect(address).await;
        patient.expect("EHLO c", "250").await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_session_from_the_world_ends_when_it_is_silent_or_brings_nothing() {
    let world = world().await;
    let one = world.scripted_mx("one.example", &[&after_hello(TAKEN)]).await;
    let gateway = world.gateway().await;
    publish(&world, &gateway, &[]).await;
    let id = gateway.send(&["bee@one.example"]).await;
    gateway.delivery_in(&id, "bee@one.example", "delivered").await;
    let token = reverse_paths(&one).remove(0);

    let mut silent = SmtpClient::connect(mx(&gateway)).await;
    world.advance(MINUTE * 5);
    assert!(silent.rest().await.starts_with("421 4.4.2"));

    let mut idle = SmtpClient::connect(mx(&gateway)).await;
    for _ in 0..4 {
        world.advance(MINUTE * 2);
        idle.expect("NOOP", "250").await;
    }
    world.advance(MINUTE * 2);
    assert!(idle.rest().await.starts_with("421 4.4.2"), "commands now and then keep no place");

    let mut client = SmtpClient::connect(mx(&gateway)).await;
    client.expect("HELO relay.example", "250").await;
    for _ in 0..3 {
        world.advance(MINUTE * 4);
        client.expect("MAIL FROM:<>", "250").await;
        world.advance(MINUTE * 4);
        client.expect(&format!("RCPT TO:<{token}>"), "250").await;
        client.expect("DATA", "354").await;
        client.send("Subject: Thanks\r\n\r\nThanks.\r\n").await;
        client.expect(".", "250 2.6.0").await;
    }
    client.expect("MAIL FROM:<>", "250").await;
    client.expect(&format!("RCPT TO:<{token}>"), "250").await;
    client.expect("DATA", "354").await;
    client.send("Subject: Thanks\r\n\r\nDrop").await;
    for _ in 0..4 {
        world.advance(MINUTE);
        client.send("x").await;
    }
    world.advance(MINUTE);
    assert!(client.rest().await.starts_with("421 4.4.2"), "octets now and then are no progress");
    gateway.stop().await;
}

// S27
#[tokio::test]
async fn a_line_that_drips_in_is_not_waited_for() {
    let world = world().await;
    let gateway = world.gateway().await;
    let password = smtp_submission::user(&gateway, "hello@sender.example", &[]).await;
    let submissions = gateway.running.submissions.unwrap();
    let mut command = SmtpClient::connect_tls(submissions).await;
    command.sign_in("hello@sender.example", &password).await;
    let mut auth = SmtpClient::connect_tls(submissions).await;
    auth.expect("EHLO c", "250").await;
    auth.expect("AUTH PLAIN", "334").await;
    for _ in 0..4 {
        for client in [&mut command, &mut auth] {
            client.send("A").await;
        }
        pause().await;
        world.advance(MINUTE);
    }
    world.advance(MINUTE);
    for mut client in [command, auth] {
        let told = client.rest().await;
        assert!(told.starts_with("421 4.4.2"), "{told}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn who_does_not_come_to_an_end_of_a_handshake_is_not_waited_for() {
    let mut world = world().await;
    let gateway = world.gateway().await;
    let mut implicit = SmtpClient::dial(gateway.running.submissions.unwrap()).await;
    let mut starttls = SmtpClient::connect(gateway.running.submission.unwrap()).await;
    starttls.expect("EHLO c", "250").await;
    starttls.expect("STARTTLS", "220").await;
    for client in [&mut implicit, &mut starttls] {
        client.send(b"\x16\x03\x01\x02").await;
    }
    // The connections may not be served yet when the time moves; then it passes again.
    ends_within(&world, &mut implicit, Duration::from_secs(31)).await;
    ends_within(&world, &mut starttls, Duration::from_secs(31)).await;
    gateway.stop().await;

    world.config.smtp.proxies = loopback_proxies();
    let gateway = world.gateway().await;
    let mut half = SmtpClient::dial(gateway.running.submission.unwrap()).await;
    half.send("PROXY TCP4 192.0.2.7").await;
    ends_within(&world, &mut half, Duration::from_secs(11)).await;
    gateway.stop().await;
}

/// The connection ends without a word once `time` is over.
async fn ends_within(world: &World, client: &mut SmtpClient, time: Duration) {
    let ended = client.rest_of_octets();
    tokio::pin!(ended);
    for _ in 0..40 {
        world.advance(time);
        tokio::select! {
            octets = &mut ended => return assert!(octets.is_empty(), "{octets:?}"),
            () = pause() => {}
        }
    }
    panic!("it is still open");
}

#[expect(clippy::disallowed_methods, reason = "a pause between two moves of the clock; no time of the world passes")]
async fn pause() {
    tokio::time::sleep(Duration::from_millis(25)).await;
}
