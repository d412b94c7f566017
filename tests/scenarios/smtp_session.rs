//! The submission ports under the hands of strangers: injected commands, smuggled messages, guessed passwords, floods, silence.

use std::net::SocketAddr;
use std::time::Duration;

use super::smtp_submission::{user, world};
use super::world::gateway::eventually;
use super::world::smtp::{SmtpClient, id_in};
use super::world::{Gateway, World, database};
use pennypost::clock::Clock;
use pennypost::config::Network;

const MESSAGE: &str = "From: hello@sender.example\r\nSubject: Hi\r\n\r\nHello\r\n";
const HELLO: &str = "hello@sender.example";

fn starttls(gateway: &Gateway) -> SocketAddr {
    gateway.running.submission.unwrap()
}

fn implicit(gateway: &Gateway) -> SocketAddr {
    gateway.running.submissions.unwrap()
}

async fn signed_in(gateway: &Gateway, password: &str) -> SmtpClient {
    let mut client = SmtpClient::connect_tls(implicit(gateway)).await;
    client.sign_in(HELLO, password).await;
    client
}

/// Every client of a test is a proxy.
pub fn loopback_proxies() -> Vec<Network> {
    toml::from_str::<std::collections::BTreeMap<String, Vec<Network>>>("a = [\"127.0.0.0/8\"]").unwrap().remove("a").unwrap()
}

/// Waits for a reply while the world's time passes in steps.
async fn reply_in_time(world: &World, client: &mut SmtpClient, step: Duration) -> String {
    tokio::select! {
        reply = client.reply() => reply,
        () = async { loop { eventually(|| async { Ok(()) }).await; world.advance(step); tokio::task::yield_now().await; pause().await } } => unreachable!(),
    }
}

#[expect(clippy::disallowed_methods, reason = "a pause between two moves of the clock; no time of the world passes")]
async fn pause() {
    tokio::time::sleep(Duration::from_millis(5)).await;
}

#[tokio::test]
async fn commands_sent_before_tls_are_neither_answered_nor_executed() {
    let world = world().await;
    let gateway = world.gateway().await;
    let password = user(&gateway, HELLO, &[]).await;
    let mut client = SmtpClient::connect(starttls(&gateway)).await;
    client.expect("EHLO c", "250").await;
    client.send(format!("STARTTLS\r\nEHLO evil\r\n{}\r\nMAIL FROM:<{HELLO}>\r\n", SmtpClient::plain(HELLO, &password))).await;
    assert!(client.reply().await.starts_with("220 2.0.0"));
    let mut client = client.handshake().await;
    client.expect("MAIL FROM:<hello@sender.example>", "503 5.5.1 EHLO").await;
    client.expect("EHLO c", "250").await;
    client.expect("MAIL FROM:<hello@sender.example>", "530 5.7.0").await;
    let mut clear = SmtpClient::connect(starttls(&gateway)).await;
    let offered = clear.expect("EHLO c", "250").await;
    assert!(offered.contains("STARTTLS") && !offered.contains("AUTH"), "{offered}");
    clear.expect(&SmtpClient::plain(HELLO, &password), "530 5.7.0 STARTTLS comes first; the password").await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_message_smuggled_behind_another_is_not_taken() {
    let world = world().await;
    let sink = world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    let password = user(&gateway, HELLO, &[]).await;
    for end in ["\n.\n", "\n.\r\n", "\r.\r", "\r\n.\n", "\r\n.\r", "\r.\r\n"] {
        let mut client = signed_in(&gateway, &password).await;
        client.expect("MAIL FROM:<hello@sender.example>", "250").await;
        client.expect("RCPT TO:<a@example.net>", "250").await;
        client.expect("DATA", "354").await;
        let evil = "MAIL FROM:<hello@sender.example>\r\nRCPT TO:<evil@example.net>\r\nDATA\r\nFrom: hello@sender.example\r\n\r\nevil\r\n.\r\n";
        client.send(format!("{MESSAGE}{end}{evil}")).await;
        let told = client.rest().await;
        assert!(told.starts_with("554 5.6.0 a CR or LF stands alone") && told.lines().count() == 1, "{end:?}: {told}");
    }
    let mut client = signed_in(&gateway, &password).await;
    client.expect("MAIL FROM:<hello@sender.example>", "250").await;
    client.expect("RCPT TO:<a@example.net>", "250").await;
    client.send(format!("BDAT {} LAST\r\n{MESSAGE}\n.\n", MESSAGE.len() + 3)).await;
    assert!(client.reply().await.starts_with("554 5.6.0"));
    client.send("NOOP\n").await;
    assert!(client.reply().await.starts_with("500 5.5.2"), "a command that ends in LF alone");
    assert_eq!((world.number("select count(*) from message").await, sink.counts().connections), (0, 0));
    gateway.stop().await;
}

#[tokio::test]
async fn a_message_in_chunks_arrives_whole() {
    let world = world().await;
    let sink = world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    let password = user(&gateway, HELLO, &[]).await;
    let mut client = signed_in(&gateway, &password).await;
    let (head, body) = MESSAGE.split_at(20);
    let flight = format!("MAIL FROM:<{HELLO}>\r\nRCPT TO:<a@example.net>\r\nBDAT {}\r\n{head}BDAT {} LAST\r\n{body}", head.len(), body.len());
    client.send(flight).await;
    for begins in ["250 2.1.0", "250 2.1.5", "250 2.0.0 chunk", "250 2.0.0 accepted"] {
        let reply = client.reply().await;
        assert!(reply.starts_with(begins), "{reply}");
    }
    sink.wait_for(1).await;
    assert!(String::from_utf8_lossy(&sink.received()[0].content).ends_with(MESSAGE));
    gateway.stop().await;
}

#[tokio::test]
async fn guessing_passwords_gets_slow_and_ends_for_a_while() {
    let world = world().await;
    let gateway = world.gateway().await;
    let password = user(&gateway, HELLO, &[]).await;
    for guess in 0..10 {
        let mut client = SmtpClient::connect_tls(implicit(&gateway)).await;
        client.expect("EHLO c", "250").await;
        client.send(format!("{}\r\n", SmtpClient::plain(HELLO, &format!("guess {guess}")))).await;
        if guess == 4 {
            let reply = client.reply();
            tokio::pin!(reply);
            pause().await;
            assert!(futures_util::poll!(reply.as_mut()).is_pending(), "the answer is held back");
            world.advance(Duration::from_secs(8));
            assert!(reply.await.starts_with("535 5.7.8"));
            continue;
        }
        let reply = reply_in_time(&world, &mut client, Duration::from_secs(1)).await;
        assert!(reply.starts_with("535 5.7.8"), "{guess}: {reply}");
    }
    let mut client = SmtpClient::connect_tls(implicit(&gateway)).await;
    client.expect("EHLO c", "250").await;
    client.expect(&SmtpClient::plain(HELLO, &password), "454 4.7.0 too many wrong passwords; try again in").await;
    world.advance(Duration::from_mins(15));
    signed_in(&gateway, &password).await;
    let figures = gateway.get("/metrics").await;
    assert!(String::from_utf8_lossy(&figures.body).contains("pennypost_smtp_sign_ins_total{result=\"locked\"}"));
    gateway.stop().await;
}

#[tokio::test]
async fn guesses_from_everywhere_lock_an_account_and_never_an_api_key() {
    let mut world = world().await;
    world.config.smtp.proxies = loopback_proxies();
    let gateway = world.gateway().await;
    let password = user(&gateway, HELLO, &[]).await;
    let from = async |client: usize| {
        let mut dialed = SmtpClient::dial(implicit(&gateway)).await;
        dialed.send(format!("PROXY TCP4 192.0.2.{client} 192.0.2.1 4711 465\r\n")).await;
        let mut inside = dialed.handshake().await;
        assert!(inside.reply().await.starts_with("220 "));
        inside.expect("EHLO c", "250").await;
        inside
    };
    from(99).await.expect(&SmtpClient::plain(HELLO, &password), "235").await;
    for (name, right, answer) in [("apikey", gateway.key.as_str(), "235 2.7.0"), (HELLO, &password, "454 4.7.0 too many wrong passwords")] {
        for client in 0..10 {
            let mut guessing = from(client).await;
            for guess in 0..3 {
                guessing.expect(&SmtpClient::plain(name, &format!("guess {client} {guess}")), "535 5.7.8").await;
            }
        }
        from(200).await.expect(&SmtpClient::plain(name, right), answer).await;
        from(99).await.expect(&SmtpClient::plain(name, right), "235 2.7.0").await;
        world.advance(Duration::from_mins(10));
        from(99).await.expect(&SmtpClient::plain(HELLO, &password), "235 2.7.0").await;
        world.advance(Duration::from_mins(10));
    }
    gateway.stop().await;
}

#[tokio::test]
async fn silence_and_dripping_end_a_session() {
    let world = world().await;
    let gateway = world.gateway().await;
    let password = user(&gateway, HELLO, &[]).await;
    let minute = Duration::from_mins(1);
    let mut silent = SmtpClient::connect(starttls(&gateway)).await;
    world.advance(minute * 5);
    assert!(silent.rest().await.starts_with("421 4.4.2"));
    let mut unsigned = SmtpClient::connect(starttls(&gateway)).await;
    for _ in 0..4 {
        world.advance(minute);
        unsigned.expect("NOOP", "250").await;
    }
    world.advance(minute);
    assert!(unsigned.rest().await.starts_with("421 4.4.2"), "who does not sign in is not waited for");
    let mut client = signed_in(&gateway, &password).await;
    for _ in 0..3 {
        world.advance(minute * 4);
        client.expect("NOOP", "250").await;
    }
    client.expect("MAIL FROM:<hello@sender.example>", "250").await;
    client.expect("RCPT TO:<a@example.net>", "250").await;
    client.expect("DATA", "354").await;
    for _ in 0..4 {
        client.send("x").await;
        pause().await;
        world.advance(minute);
    }
    world.advance(minute);
    assert!(client.rest().await.starts_with("421 4.4.2"), "octets now and then are no progress");
    gateway.stop().await;
}

#[tokio::test]
async fn a_drain_ends_sessions_between_two_messages() {
    let world = world().await;
    world.accepting_mx("example.net").await;
    let gateway = world.gateway().await;
    let password = user(&gateway, HELLO, &[]).await;
    let (mut idle, mut busy) = (signed_in(&gateway, &password).await, signed_in(&gateway, &password).await);
    busy.expect("MAIL FROM:<hello@sender.example>", "250").await;
    busy.expect("RCPT TO:<a@example.net>", "250").await;
    busy.expect("DATA", "354").await;
    let address = implicit(&gateway);
    gateway.supervisor.drain();
    assert!(idle.rest().await.starts_with("421 4.3.2"));
    busy.send(MESSAGE).await;
    id_in(&busy.say(".").await);
    assert!(busy.rest().await.starts_with("421 4.3.2"));
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "nobody new comes in");
    gateway.stop().await;
    assert_eq!(world.number("select count(*) from message").await, 1);
}

#[tokio::test]
async fn a_flood_of_connections_is_turned_away_and_memory_has_a_limit() {
    let mut world = world().await;
    world.config.smtp.connections_per_client = 3;
    world.config.smtp.message_memory_octets = 200 * 1024;
    world.config.limits.message_octets = 128 * 1024;
    let gateway = world.gateway().await;
    let password = user(&gateway, HELLO, &[]).await;
    let (mut one, mut two) = (signed_in(&gateway, &password).await, signed_in(&gateway, &password).await);
    let _three = SmtpClient::connect(starttls(&gateway)).await;
    let mut four = SmtpClient::dial(starttls(&gateway)).await;
    assert!(four.rest().await.starts_with("421 4.7.0 too many connections of yours"));
    one.expect("MAIL FROM:<hello@sender.example> SIZE=131073", "552 5.3.4").await;
    let large = format!("{MESSAGE}{}", "x\r\n".repeat(40 * 1024));
    for client in [&mut one, &mut two] {
        client.expect("MAIL FROM:<hello@sender.example>", "250").await;
        client.expect("RCPT TO:<a@example.net>", "250").await;
        client.expect("DATA", "354").await;
        client.send(&large).await;
    }
    let told = two.say(".").await;
    assert!(told.starts_with("452 4.3.1"), "{told}");
    id_in(&one.say(".").await);
    let id = id_in(&two.submit(HELLO, &["a@example.net"], MESSAGE).await);
    assert!(id.starts_with("msg_"), "there is room again");
    gateway.stop().await;
}

#[tokio::test]
async fn when_all_places_are_taken_nobody_comes_in_and_the_world_has_its_own() {
    let mut world = world().await;
    (world.config.smtp.connections, world.config.smtp.connections_per_client, world.config.smtp.mx_listen) =
        (2, 0, world.config.smtp.submission_listen);
    let gateway = world.gateway().await;
    let one = SmtpClient::connect(starttls(&gateway)).await;
    let _two = SmtpClient::connect_tls(implicit(&gateway)).await;
    let mut three = SmtpClient::dial(starttls(&gateway)).await;
    assert!(three.rest().await.starts_with("421 4.3.2 too many connections"));
    let _world = SmtpClient::connect(gateway.running.mx.unwrap()).await;
    drop(one);
    eventually(|| async {
        let greeting = SmtpClient::dial(starttls(&gateway)).await.reply().await;
        if greeting.starts_with("220 ") { Ok(()) } else { Err(greeting) }
    })
    .await;
    let figures = gateway.get("/metrics").await.text();
    assert!(figures.lines().any(|line| line.starts_with("pennypost_smtp_turned_away_total ") && !line.ends_with(" 0")), "{figures}");
    gateway.stop().await;
}

#[tokio::test]
async fn a_listed_proxy_names_the_client_and_nobody_else_may() {
    let mut world = world().await;
    let gateway = world.gateway().await;
    let mut stranger = SmtpClient::connect(starttls(&gateway)).await;
    assert!(stranger.say("PROXY TCP4 192.0.2.7 192.0.2.1 4711 587").await.starts_with("500 5.5.2"));
    assert_eq!(stranger.rest().await, "");
    let mut stranger = SmtpClient::connect(starttls(&gateway)).await;
    stranger.send([&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"[..], &[192, 0, 2, 8, 192, 0, 2, 1, 1, 1, 1, 1], b"EHLO c\r\n"].concat()).await;
    let told = stranger.rest().await;
    assert!(told.starts_with("500 5.5.2 this is a mail server") && told.lines().count() == 1, "{told}");
    gateway.stop().await;
    (world.config.smtp.proxies, world.config.smtp.connections_per_client) = (loopback_proxies(), 1);
    let gateway = world.gateway().await;
    let password = user(&gateway, HELLO, &[]).await;
    let mut first = SmtpClient::dial(starttls(&gateway)).await;
    first.send("PROXY TCP4 192.0.2.7 192.0.2.1 4711 587\r\n").await;
    assert!(first.reply().await.starts_with("220 "));
    let mut same = SmtpClient::dial(starttls(&gateway)).await;
    same.send("PROXY TCP4 192.0.2.7 192.0.2.1 4712 587\r\n").await;
    assert!(same.reply().await.starts_with("421 4.7.0"), "the limit is the client's");
    let mut inside = SmtpClient::dial(implicit(&gateway)).await;
    inside.send([&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"[..], &[192, 0, 2, 8, 192, 0, 2, 1, 1, 1, 1, 1]].concat()).await;
    let mut inside = inside.handshake().await;
    assert!(inside.reply().await.starts_with("220 "), "TLS follows the header");
    inside.sign_in(HELLO, &password).await;
    let mut silent = SmtpClient::dial(starttls(&gateway)).await;
    silent.send("EHLO c\r\n").await;
    assert_eq!(silent.rest().await, "", "no header, no session");
    gateway.stop().await;
}

#[tokio::test]
async fn new_certificates_are_shown_while_open_sessions_go_on() {
    let mut world = world().await;
    let directory = database::scratch().join(format!("certificates-{}", world.address(1)));
    std::fs::create_dir_all(&directory).unwrap();
    let files = [directory.join("a.pem"), directory.join("a.key")];
    let write = || {
        let made = rcgen::generate_simple_self_signed(vec!["mail.sender.example".to_owned()]).unwrap();
        std::fs::write(&files[0], made.cert.pem()).unwrap();
        std::fs::write(&files[1], made.signing_key.serialize_pem()).unwrap();
        made.cert.der().to_vec()
    };
    // The signal is for the whole process, which it would end if nobody waited for it.
    let _waiting = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).unwrap();
    let old = write();
    (world.config.tls.certificate_files, world.config.tls.key_files) = (vec![files[0].clone()], vec![files[1].clone()]);
    let gateway = world.gateway().await;
    let mut open = SmtpClient::connect_starttls(starttls(&gateway)).await;
    assert_eq!(open.certificate, Some(old));
    open.expect("EHLO c", "250").await;
    let new = write();
    world.advance(Duration::from_secs(30));
    eventually(|| async {
        let shown = SmtpClient::connect_tls(implicit(&gateway)).await.certificate;
        if shown.as_ref() == Some(&new) { Ok(()) } else { Err("still the old one".to_owned()) }
    })
    .await;
    open.expect("NOOP", "250").await;
    let hung_up = write();
    let begun = Clock::system().tick();
    let killed = std::process::Command::new("kill").args(["-HUP", &std::process::id().to_string()]).status().unwrap();
    assert!(killed.success());
    eventually(|| async {
        let shown = SmtpClient::connect_tls(implicit(&gateway)).await.certificate;
        if shown.as_ref() == Some(&hung_up) { Ok(()) } else { Err("still the one before".to_owned()) }
    })
    .await;
    assert!(Clock::system().tick().since(begun) < Duration::from_secs(20), "not only at the next look");
    open.expect("NOOP", "250").await;
    gateway.stop().await;
}

#[tokio::test]
async fn who_does_not_speak_smtp_is_sent_away() {
    let world = world().await;
    let gateway = world.gateway().await;
    for hello in [&b"GET / HTTP/1.1\r\nHost: mail\r\n\r\n"[..], b"\x16\x03\x01\x02\x00\x01", b"SSH-2.0-OpenSSH_9\r\n"] {
        let mut client = SmtpClient::connect(starttls(&gateway)).await;
        client.send(hello).await;
        let told = client.rest().await;
        assert!(told.starts_with("500 5.5.2") && told.lines().count() == 1, "{told}");
    }
    let mut clear = SmtpClient::dial(implicit(&gateway)).await;
    clear.send("EHLO c\r\n").await;
    assert!(!clear.rest_of_octets().await.starts_with(b"220"));
    let mut loops = SmtpClient::connect(starttls(&gateway)).await;
    loops.send("NOOP\r\n".repeat(3000)).await;
    let told = loops.rest().await;
    assert!(told.lines().count() < 400 && told.lines().last().unwrap().starts_with("421 4.7.0"), "{told}");
    gateway.stop().await;
}

#[tokio::test]
async fn a_client_that_goes_away_in_the_middle_leaves_nothing_behind() {
    let world = world().await;
    let gateway = world.gateway().await;
    let password = user(&gateway, HELLO, &[]).await;
    let mut client = signed_in(&gateway, &password).await;
    client.expect("MAIL FROM:<hello@sender.example>", "250").await;
    client.expect("RCPT TO:<a@example.net>", "250").await;
    client.expect("DATA", "354").await;
    client.send(MESSAGE).await;
    drop(client);
    let mut client = signed_in(&gateway, &password).await;
    client.expect("RSET", "250").await;
    assert_eq!(world.number("select count(*) from message").await, 0);
    gateway.stop().await;
}

#[tokio::test]
async fn an_address_that_was_asked_for_must_be_there() {
    let mut world = world().await;
    let taken = world.gateway().await;
    world.config.smtp.submission_listen = pennypost::config::Listen::At(starttls(&taken));
    let supervisor = pennypost::supervisor::Supervisor::default();
    let started = pennypost::serve::run(world.config.clone(), pennypost::serve::Roles::ALL, supervisor.clone(), world.clock.clone()).await;
    let told = format!("{:#}", started.err().unwrap());
    assert!(told.contains("smtp.submission_listen"), "{told}");
    supervisor.kill();
    supervisor.ended().await;
    taken.stop().await;
}
