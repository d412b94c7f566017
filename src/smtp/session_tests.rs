//! The client against servers no text can describe: the sink over TLS, one that reads nothing, one that sends octet by octet.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::client::{Cause, End, Failure, Fault, Sent, Session, Settings, TlsUse, Transaction};
use super::timeouts::Timeouts;
use crate::clock::Clock;
use crate::lab::sink::{Behaviour, Offer, Sink, SinkSettings};
use crate::model::outcome::Stage;
use crate::model::{EmailAddress, ReversePath};
use crate::net::tls;
use crate::supervisor::Supervisor;

fn settings(tls: TlsUse) -> Settings {
    Settings { ehlo_name: "out.example".to_owned(), tls, timeouts: Timeouts::default(), server_name: "mx.lab.example".to_owned(), login: None }
}

fn addresses(texts: &[&str]) -> Vec<EmailAddress> {
    texts.iter().map(|text| EmailAddress::parse(text).expect("an address")).collect()
}

async fn send(session: &mut Session, to: &[EmailAddress], content: &[&[u8]]) -> Sent {
    let size = content.iter().map(|chunk| chunk.len()).sum();
    let reverse_path = &ReversePath::Null;
    session
        .send(&Transaction { reverse_path, recipients: to, content, size, eight_bit: false, smtputf8: false, require_tls: false, reports: None })
        .await
}

fn is_taken(sent: &Sent) -> bool {
    sent.recipients.iter().all(|end| end.stage == Stage::EndOfData && matches!(&end.end, End::Reply(reply) if reply.is_positive()))
}

struct World {
    clock: Clock,
    supervisor: Supervisor,
    sink: Sink,
}

impl World {
    async fn new(settings: SinkSettings) -> Self {
        let (clock, supervisor) = (Clock::movable(), Supervisor::default());
        let sink = Sink::start(settings, &supervisor, &clock).await.expect("a sink");
        Self { clock, supervisor, sink }
    }

    async fn open(&self, tls: TlsUse) -> Session {
        let stream = TcpStream::connect(self.sink.local_addr).await.expect("a connection");
        Session::open(stream, &settings(tls), &self.clock).await.expect("a session")
    }

    async fn end(self) {
        self.supervisor.drain();
        self.supervisor.ended().await;
    }
}

/// A server that plays `part` on its one connection, and the client's end of it.
async fn against<F: Future<Output = ()>>(part: impl FnOnce(BufReader<TcpStream>) -> F) -> (TcpStream, F) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let client = TcpStream::connect(listener.local_addr().expect("its address")).await.expect("a connection");
    let (server, _) = listener.accept().await.expect("a connection");
    (client, part(BufReader::new(server)))
}

async fn say(server: &mut BufReader<TcpStream>, text: &str) {
    server.get_mut().write_all(text.as_bytes()).await.expect("a client that listens");
}

async fn hear(server: &mut BufReader<TcpStream>, lines: usize) {
    for _ in 0..lines {
        let mut line = Vec::new();
        server.read_until(b'\n', &mut line).await.expect("a line");
    }
}

/// Greets, answers the envelope of one recipient, and asks for content.
async fn up_to_data(server: &mut BufReader<TcpStream>) {
    say(server, "220 mx\r\n").await;
    hear(server, 1).await;
    say(server, "250-mx\r\n250 PIPELINING\r\n").await;
    hear(server, 3).await;
    say(server, "250 ok\r\n250 ok\r\n354 go\r\n").await;
}

#[tokio::test]
async fn mail_goes_over_tls_where_it_is_offered() {
    let starttls = Some(tls::self_signed("mx.lab.example").expect("a certificate"));
    let world = World::new(SinkSettings { starttls, ..SinkSettings::default() }).await;
    let to = addresses(&["a@example.net"]);
    for use_of_tls in [TlsUse::Opportunistic(tls::opportunistic()), TlsUse::Require(tls::opportunistic())] {
        let mut session = world.open(use_of_tls).await;
        assert_eq!(session.tls_facts(), Some("TLSv1.3 TLS_AES_256_GCM_SHA384 X25519MLKEM768"));
        assert!(!session.extensions().starttls, "what was offered in clear text is forgotten");
        assert!(is_taken(&send(&mut session, &to, &[b"Subject: x\r\n\r\n"]).await));
        assert!(is_taken(&send(&mut session, &to, &[b"Subject: y\r\n\r\n"]).await));
        session.quit().await;
    }
    let mut clear = world.open(TlsUse::Off).await;
    assert_eq!(clear.tls_facts(), None);
    assert!(is_taken(&send(&mut clear, &to, &[b"Subject: z\r\n\r\n"]).await));
    assert_eq!(world.sink.received().iter().map(|message| message.tls).collect::<Vec<_>>(), [true, true, true, true, false]);
    world.end().await;
}

#[tokio::test]
async fn a_failed_handshake_is_told_as_such() {
    let (client, server) = against(async |mut server| {
        say(&mut server, "220 mx\r\n").await;
        hear(&mut server, 1).await;
        say(&mut server, "250-mx\r\n250 STARTTLS\r\n").await;
        hear(&mut server, 1).await;
        say(&mut server, "220 go\r\n").await;
        let _ = server.read_u8().await;
        say(&mut server, "this is not TLS").await;
    })
    .await;
    let (clock, how) = (Clock::movable(), settings(TlsUse::Opportunistic(tls::opportunistic())));
    let (opened, ()) = tokio::join!(Session::open(client, &how, &clock), server);
    let failure = opened.err().expect("a failure");
    assert!(matches!(failure, Failure { stage: Stage::Tls, cause: Cause::Fault(Fault::Tls(_)), .. }), "{failure:?}");
    assert_eq!(failure.transcript.last().map(String::as_str), Some("S: 220 go"));
}

#[tokio::test]
async fn a_stalled_handshake_is_given_up() {
    let clock = Clock::movable();
    let moves = clock.clone();
    let (client, server) = against(async |mut server| {
        say(&mut server, "220 mx\r\n").await;
        hear(&mut server, 1).await;
        say(&mut server, "250-mx\r\n250 STARTTLS\r\n").await;
        hear(&mut server, 1).await;
        say(&mut server, "220 go\r\n").await;
        let _ = server.read_u8().await;
        moves.advance(Timeouts::default().handshake);
        let _ = server.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let how = settings(TlsUse::Opportunistic(tls::opportunistic()));
    let (opened, ()) = tokio::join!(Session::open(client, &how, &clock), server);
    assert!(opened.is_err_and(|failure| failure.cause == Cause::Fault(Fault::TimedOut(Timeouts::default().handshake))));
}

#[tokio::test]
async fn content_arrives_octet_by_octet_by_either_command() {
    let content = b"Subject: dots\r\n\r\n.\r\n..\r\n.a\r\n\r\n.\r\nMAIL FROM:<evil@example.com>\r\n";
    for chunking in [true, false] {
        let offer = Offer { chunking, ..SinkSettings::default().offer };
        let world = World::new(SinkSettings { offer, ..SinkSettings::default() }).await;
        let mut session = world.open(TlsUse::Off).await;
        for (head, tail) in [content.split_at(0), content.split_at(18), content.split_at(19), content.split_at(20)] {
            assert!(is_taken(&send(&mut session, &addresses(&["a@example.net"]), &[head, tail]).await));
        }
        session.quit().await;
        let received = world.sink.received();
        assert_eq!(received.len(), 4);
        assert!(received.iter().all(|message| message.content == content));
        assert_eq!(received.iter().filter(|message| message.chunked).count(), if chunking { 3 } else { 0 });
        world.end().await;
    }
}

#[tokio::test]
async fn content_that_tries_to_smuggle_stays_one_message() {
    let world = World::new(SinkSettings::default()).await;
    let mut session = world.open(TlsUse::Off).await;
    let to = addresses(&["a@example.net"]);
    for end in ["\n.\n", "\r.\r", "\n.\r\n", "\r\n.\n", "\r.\n", "\r\n\0.\r\n"] {
        let content = format!("Subject: x\r\n\r\na{end}MAIL FROM:<evil@example.com>\r\nRCPT TO:<b@example.net>\r\nDATA\r\nb\r\n");
        assert!(is_taken(&send(&mut session, &to, &[content.as_bytes()]).await), "{end:?}");
    }
    let received = world.sink.received();
    assert_eq!(received.len(), 6);
    for message in received {
        assert_eq!(message.reverse_path, "");
        assert!(String::from_utf8_lossy(&message.content).contains("MAIL FROM:<evil@example.com>\r\n"));
    }
    session.quit().await;
    world.end().await;
}

#[tokio::test]
async fn many_recipients_go_in_windows_and_each_has_its_end() {
    let world = World::new(SinkSettings { max_recipients: 240, ..SinkSettings::default() }).await;
    let mut session = world.open(TlsUse::Off).await;
    let to: Vec<_> = (0..250).map(|number| if number == 130 { "refuse@example.net".to_owned() } else { format!("r{number}@example.net") }).collect();
    let to = addresses(&to.iter().map(String::as_str).collect::<Vec<_>>());
    let sent = send(&mut session, &to, &[b"Subject: x\r\n\r\n"]).await;
    let taken = sent.recipients.iter().filter(|end| end.stage == Stage::EndOfData).count();
    let put_off = sent.recipients.iter().filter(|end| matches!(end.end, End::NotTried(_))).count();
    assert_eq!((taken, put_off), (240, 9));
    assert!(matches!(&sent.recipients[130].end, End::Reply(reply) if reply.code == 550));
    assert_eq!(world.sink.received()[0].recipients.len(), 240);
    assert!(session.is_reusable());
    session.quit().await;
    world.end().await;
}

#[tokio::test]
async fn a_connection_lost_inside_the_content_leaves_no_doubt() {
    let (client, server) = against(async |mut server| {
        up_to_data(&mut server).await;
        let _ = server.read_exact(&mut vec![0; 100_000]).await;
    })
    .await;
    let (clock, how, line) = (Clock::movable(), settings(TlsUse::Off), b"line\r\n".repeat(4_000_000));
    let client = async {
        let mut session = Session::open(client, &how, &clock).await.expect("a session");
        let sent = send(&mut session, &addresses(&["a@example.net"]), &[&line]).await;
        assert!(!session.is_reusable());
        sent
    };
    let (sent, ()) = tokio::join!(client, server);
    assert_eq!((sent.recipients[0].stage, &sent.recipients[0].end), (Stage::Body, &End::Fault(Fault::Disconnected)));
}

#[tokio::test]
async fn a_server_that_closes_inside_the_content_may_say_why() {
    let (client, server) = against(async |mut server| {
        up_to_data(&mut server).await;
        let _ = server.read_exact(&mut vec![0; 100_000]).await;
        say(&mut server, "552 5.3.4 too large\r\n").await;
        let _ = server.get_mut().shutdown().await;
        // Reading on keeps the reply from being destroyed by a reset, as a server does that means well.
        let _ = server.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let (clock, how, line) = (Clock::movable(), settings(TlsUse::Off), b"line\r\n".repeat(100_000));
    let client = async {
        let mut session = Session::open(client, &how, &clock).await.expect("a session");
        send(&mut session, &addresses(&["a@example.net"]), &[&line]).await
    };
    let (sent, ()) = tokio::join!(client, server);
    assert!(matches!(&sent.recipients[0].end, End::Reply(reply) if reply.code == 552), "{sent:?}");
}

#[tokio::test]
async fn a_receiver_that_stops_reading_is_given_up() {
    let clock = Clock::movable();
    let moves = clock.clone();
    let (client, server) = against(async |mut server| {
        up_to_data(&mut server).await;
        loop {
            // Time for the buffers between the two to fill up, and then for the client to wait.
            for _ in 0..200 {
                tokio::task::yield_now().await;
            }
            moves.advance(Duration::from_secs(20));
        }
    })
    .await;
    let (how, line) = (settings(TlsUse::Off), b"line\r\n".repeat(8_000_000));
    let client = async {
        let mut session = Session::open(client, &how, &clock).await.expect("a session");
        send(&mut session, &addresses(&["a@example.net"]), &[&line]).await
    };
    let sent = tokio::select! {
        sent = client => sent,
        () = server => unreachable!("it goes on for ever"),
    };
    assert_eq!((sent.recipients[0].stage, &sent.recipients[0].end), (Stage::Body, &End::Fault(Fault::TimedOut(Timeouts::default().data_block))));
}

#[tokio::test]
async fn a_reply_that_comes_octet_by_octet_must_end_in_time() {
    let clock = Clock::movable();
    let moves = clock.clone();
    let (client, server) = against(async |mut server| {
        for octet in b"220 ".iter().chain(std::iter::repeat(&b'x')).take(400) {
            if server.get_mut().write_all(&[*octet]).await.is_err() {
                return;
            }
            tokio::task::yield_now().await;
            moves.advance(Duration::from_secs(1));
        }
    })
    .await;
    let how = settings(TlsUse::Off);
    let (opened, ()) = tokio::join!(Session::open(client, &how, &clock), server);
    assert!(opened.is_err_and(|failure| failure.cause == Cause::Fault(Fault::TimedOut(Timeouts::default().greeting))));
}

#[tokio::test]
async fn an_idle_session_is_looked_at_before_it_is_used_again() {
    let (client, server) = against(async |mut server| {
        up_to_data(&mut server).await;
        hear(&mut server, 2).await;
        say(&mut server, "250 taken\r\n").await;
    })
    .await;
    let (clock, how) = (Clock::movable(), settings(TlsUse::Off));
    let client = async {
        let mut session = Session::open(client, &how, &clock).await.expect("a session");
        assert!(session.is_alive());
        assert!(is_taken(&send(&mut session, &addresses(&["a@example.net"]), &[b"x\r\n"]).await));
        session
    };
    let (mut session, ()) = tokio::join!(client, server);
    while session.is_alive() {
        tokio::task::yield_now().await;
    }
    assert_eq!(session.transactions(), 1);
}

#[tokio::test]
async fn a_transaction_that_is_dropped_half_way_spoils_its_session() {
    let (client, server) = against(async |mut server| {
        up_to_data(&mut server).await;
        let _ = server.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let (clock, how) = (Clock::movable(), settings(TlsUse::Off));
    let client = async {
        let mut session = Session::open(client, &how, &clock).await.expect("a session");
        let to = addresses(&["a@example.net"]);
        let limit = Duration::from_secs(1);
        let cut_off = {
            let attempt = clock.timeout(limit, send(&mut session, &to, &[b"x\r\n"]));
            let mover = async {
                tokio::task::yield_now().await;
                clock.advance(limit);
            };
            tokio::join!(attempt, mover).0
        };
        assert!(cut_off.is_err());
        assert!(!session.is_reusable());
        let again = send(&mut session, &to, &[b"x\r\n"]).await;
        assert_eq!(again.recipients[0].end, End::Fault(Fault::Disconnected));
        session.quit().await;
    };
    tokio::join!(client, server);
}

#[tokio::test]
async fn the_transcript_shows_the_dialogue_and_no_content() {
    let world = World::new(SinkSettings { behaviour: Behaviour::Refuse("550 5.1.1 nobody".to_owned()), ..SinkSettings::default() }).await;
    let mut session = world.open(TlsUse::Off).await;
    let to = addresses(&["a@example.net"]);
    send(&mut session, &to, &[b"a secret\r\n"]).await;
    let opening = session.take_transcript();
    assert_eq!(opening.first().map(String::as_str), Some("S: 220 mx.lab.example ESMTP"));
    assert_eq!(opening.last().map(String::as_str), Some("S: 554 5.5.1 no valid recipients"));
    send(&mut session, &to, &[b"a secret\r\n"]).await;
    send(&mut session, &to, &[b"a secret\r\n"]).await;
    let last = session.take_transcript();
    assert_eq!(
        last,
        [
            "C: RSET",
            "C: MAIL FROM:<> SIZE=10",
            "C: RCPT TO:<a@example.net>",
            "C: DATA",
            "S: 250 2.0.0 reset",
            "S: 250 2.1.0 ok",
            "S: 550 5.1.1 nobody",
            "S: 554 5.5.1 no valid recipients",
        ]
    );
    session.quit().await;
    world.end().await;
}

#[tokio::test]
async fn a_session_may_be_driven_by_any_task() {
    let world = World::new(SinkSettings::default()).await;
    let (stream, clock) = (TcpStream::connect(world.sink.local_addr).await.expect("a connection"), world.clock.clone());
    world.supervisor.spawn("session", async move {
        let mut session = Session::open(stream, &settings(TlsUse::Off), &clock).await.expect("a session");
        send(&mut session, &addresses(&["a@example.net"]), &[b"x\r\n"]).await;
        session.quit().await;
    });
    world.sink.wait_for(1).await;
    world.end().await;
}
