//! An SMTP receiver for loopback: takes mail and keeps or counts it, or misbehaves in the ways real receivers do.
//!
//! Answers: what arrived, byte for byte, in which envelope, over which kind of session; and how many.
//! Does not: relay, authenticate, or hold back a client (see `smtpd` for a server that faces strangers).

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::sink_session;
use crate::clock::{Clock, Tick};
use crate::supervisor::Supervisor;

/// How a recipient, or every recipient, is treated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Taken.
    Accept,
    /// `451 4.7.1` the first time a sender writes to the recipient, then taken.
    Greylist,
    /// This reply to RCPT, as in `550 5.1.1 no such user`.
    Refuse(String),
    /// This reply to the end of the content.
    RefuseContent(String),
    /// Taken, but the reply to the content comes later.
    Slow(Duration),
    /// The message is kept and the connection closed without a reply.
    DropAfterDot,
    /// `421 4.3.2` to RCPT, and the connection is closed.
    Unavailable,
}

impl Behaviour {
    /// The behaviour a local part asks for by how it begins: `greylist`, `refuse`, `full`, `spam`, `slow`, `drop`, `busy`.
    #[must_use]
    pub fn of_local_part(local: &str) -> Option<Self> {
        let begins = |word: &str| local.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
        Some(if begins("greylist") {
            Self::Greylist
        } else if begins("refuse") {
            Self::Refuse("550 5.1.1 no such user here".to_owned())
        } else if begins("full") {
            Self::Refuse("452 4.2.2 mailbox full".to_owned())
        } else if begins("spam") {
            Self::RefuseContent("550 5.7.1 message content rejected".to_owned())
        } else if begins("slow") {
            Self::Slow(Duration::from_secs(2))
        } else if begins("drop") {
            Self::DropAfterDot
        } else if begins("busy") {
            Self::Unavailable
        } else {
            return None;
        })
    }
}

/// What becomes of the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// Envelope and content are kept for [`Sink::received`].
    Keep,
    /// Only counted: for load.
    Count,
}

/// What EHLO offers besides ENHANCEDSTATUSCODES and STARTTLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is one keyword of the protocol, offered or not")]
pub struct Offer {
    /// PIPELINING.
    pub pipelining: bool,
    /// CHUNKING.
    pub chunking: bool,
    /// 8BITMIME.
    pub eight_bit_mime: bool,
    /// SMTPUTF8.
    pub smtputf8: bool,
    /// REQUIRETLS, over TLS (RFC 8689).
    pub require_tls: bool,
    /// SIZE, in octets.
    pub size: u64,
}

/// How a sink is set up. Take the default and change what matters.
#[derive(Clone, Debug)]
pub struct SinkSettings {
    /// Where it listens; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Its name in the greeting.
    pub hostname: String,
    /// How recipients are treated.
    pub behaviour: Behaviour,
    /// A local part may ask for another behaviour ([`Behaviour::of_local_part`]).
    pub by_local_part: bool,
    /// STARTTLS is offered with this.
    pub starttls: Option<Arc<ServerConfig>>,
    /// What EHLO offers.
    pub offer: Offer,
    /// Sessions at once; one more is greeted with `421 4.7.0 too many connections`. 0: no limit.
    pub max_sessions: usize,
    /// Messages in a minute of the sink's clock; one more gets `451 4.7.1` to MAIL. 0: no limit.
    pub max_per_minute: u64,
    /// Recipients of one transaction; the next get `452 4.5.3`.
    pub max_recipients: usize,
    /// What becomes of the content.
    pub storage: Storage,
}

impl Default for SinkSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            hostname: "mx.lab.example".to_owned(),
            behaviour: Behaviour::Accept,
            by_local_part: true,
            starttls: None,
            offer: Offer { pipelining: true, chunking: true, eight_bit_mime: true, smtputf8: true, require_tls: false, size: 64 * 1024 * 1024 },
            max_sessions: 0,
            max_per_minute: 0,
            max_recipients: 1000,
            storage: Storage::Keep,
        }
    }
}

/// One message as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Where from.
    pub peer: SocketAddr,
    /// The name given by EHLO or HELO.
    pub helo: String,
    /// Whether it came over TLS.
    pub tls: bool,
    /// Whether MAIL said REQUIRETLS.
    pub require_tls: bool,
    /// Whether it came by BDAT.
    pub chunked: bool,
    /// MAIL FROM without its brackets; empty for the null path.
    pub reverse_path: String,
    /// The accepted recipients without their brackets.
    pub recipients: Vec<String>,
    /// The content without dots stuffed.
    pub content: Vec<u8>,
}

/// What a sink has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections accepted.
    pub connections: u64,
    /// Messages taken whole, those without a reply included.
    pub messages: u64,
    /// Accepted recipients of those messages.
    pub recipients: u64,
    /// Octets of their content.
    pub octets: u64,
    /// Sessions and messages refused because there were too many.
    pub refused: u64,
}

/// A sink that listens. Clones share it.
#[derive(Clone, Debug)]
pub struct Sink {
    /// Where it listens.
    pub local_addr: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) settings: SinkSettings,
    pub(super) clock: Clock,
    /// Sender and recipient of every greylisted first attempt.
    pub(super) greylist: Mutex<HashSet<(String, String)>>,
    received: Mutex<Vec<Received>>,
    connections: AtomicU64,
    recipients: AtomicU64,
    octets: AtomicU64,
    refused: AtomicU64,
    sessions: AtomicUsize,
    /// The minute of the clock, and messages begun in it.
    minute: Mutex<(u64, u64)>,
    messages: watch::Sender<u64>,
}

impl Sink {
    /// Listens and takes mail until `supervisor` drains.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub async fn start(settings: SinkSettings, supervisor: &Supervisor, clock: &Clock) -> io::Result<Self> {
        let listener = TcpListener::bind(settings.listen).await?;
        let local_addr = listener.local_addr()?;
        let shared = Arc::new(Shared {
            settings,
            clock: clock.clone(),
            greylist: Mutex::default(),
            received: Mutex::default(),
            connections: AtomicU64::new(0),
            recipients: AtomicU64::new(0),
            octets: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            sessions: AtomicUsize::new(0),
            minute: Mutex::default(),
            messages: watch::Sender::new(0),
        });
        supervisor.spawn("lab sink", accept(listener, Arc::clone(&shared), supervisor.clone()));
        Ok(Self { local_addr, shared })
    }

    /// The messages kept so far.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.shared.received.lock().clone()
    }

    /// What was counted so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            connections: self.shared.connections.load(Ordering::Relaxed),
            messages: *self.shared.messages.borrow(),
            recipients: self.shared.recipients.load(Ordering::Relaxed),
            octets: self.shared.octets.load(Ordering::Relaxed),
            refused: self.shared.refused.load(Ordering::Relaxed),
        }
    }

    /// Waits until `messages` messages have come in all.
    pub async fn wait_for(&self, messages: u64) {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self.shared.messages.subscribe().wait_for(|count| *count >= messages).await;
    }
}

impl Shared {
    /// Takes one message in.
    pub(super) fn take(&self, message: Received, octets: usize) {
        self.recipients.fetch_add(u64::try_from(message.recipients.len()).unwrap_or(0), Ordering::Relaxed);
        self.octets.fetch_add(u64::try_from(octets).unwrap_or(0), Ordering::Relaxed);
        if self.settings.storage == Storage::Keep {
            self.received.lock().push(message);
        }
        self.messages.send_modify(|count| *count += 1);
    }

    /// Counts a session in. False: there are too many.
    pub(super) fn enter(&self) -> bool {
        let (before, most) = (self.sessions.fetch_add(1, Ordering::AcqRel), self.settings.max_sessions);
        let fits = most == 0 || before < most;
        if !fits {
            self.leave();
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        fits
    }

    fn leave(&self) {
        self.sessions.fetch_sub(1, Ordering::AcqRel);
    }

    /// Counts a message in. False: there were enough in this minute.
    pub(super) fn begin_message(&self) -> bool {
        if self.settings.max_per_minute == 0 {
            return true;
        }
        let minute = self.clock.tick().since(Tick::START).as_secs() / 60;
        let mut known = self.minute.lock();
        if known.0 != minute {
            *known = (minute, 0);
        }
        let fits = known.1 < self.settings.max_per_minute;
        known.1 += u64::from(fits);
        self.refused.fetch_add(u64::from(!fits), Ordering::Relaxed);
        fits
    }

    pub(super) fn count(&self) -> u64 {
        *self.messages.borrow()
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, supervisor: Supervisor) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = supervisor.draining() => return,
        };
        let Ok((stream, peer)) = accepted else {
            // Out of sockets, most likely: give sessions time to end.
            shared.clock.sleep(Duration::from_millis(50)).await;
            continue;
        };
        shared.connections.fetch_add(1, Ordering::Relaxed);
        let _ = stream.set_nodelay(true);
        if !shared.enter() {
            // Too short to block.
            let _ = stream.try_write(b"421 4.7.0 too many connections from your host\r\n");
            continue;
        }
        let (shared, draining) = (Arc::clone(&shared), supervisor.clone());
        supervisor.spawn("lab sink session", async move {
            tokio::select! {
                // A client that goes away in the middle is no concern of a sink.
                _ = sink_session::run(Box::new(stream), peer, Arc::clone(&shared)) => {}
                () = draining.draining() => {}
            }
            shared.leave();
        });
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    /// Says `client` at once to a fresh sink of these settings and returns all it answers until it closes, with the sink.
    async fn told(settings: SinkSettings, client: &str) -> (String, Sink) {
        let (clock, supervisor) = (Clock::movable(), Supervisor::default());
        let sink = Sink::start(settings, &supervisor, &clock).await.expect("a sink");
        let mut stream = TcpStream::connect(sink.local_addr).await.expect("a connection");
        stream.write_all(client.as_bytes()).await.expect("a sink that listens");
        let mut answer = String::new();
        // A connection dropped with input unread ends in an error; what came before it counts.
        let _ = stream.read_to_string(&mut answer).await;
        supervisor.drain();
        supervisor.ended().await;
        (answer, sink)
    }

    fn codes(answer: &str) -> Vec<&str> {
        answer.lines().filter(|line| line.as_bytes().get(3) == Some(&b' ')).filter_map(|line| line.get(..3)).collect()
    }

    const ENVELOPE: &str = "EHLO c.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<";

    #[tokio::test]
    async fn a_message_is_kept_as_it_came() {
        let client = format!("{ENVELOPE}x@c.example>\r\nDATA\r\nSubject: a\r\n\r\n..dot\r\n...\r\n\n.\r\nb\r\n.\r\nQUIT\r\n");
        let (answer, sink) = told(SinkSettings::default(), &client).await;
        assert_eq!(codes(&answer), ["220", "250", "250", "250", "354", "250", "221"]);
        let received = sink.received();
        assert_eq!(received.len(), 1);
        assert_eq!(received[0].content, b"Subject: a\r\n\r\n.dot\r\n..\r\n\n.\r\nb\r\n", "a dot behind a bare LF ends nothing");
        assert_eq!((received[0].reverse_path.as_str(), received[0].recipients.join(" ").as_str()), ("a@b.example", "x@c.example"));
        assert_eq!(sink.counts(), Counts { connections: 1, messages: 1, recipients: 1, octets: 31, refused: 0 });
        sink.wait_for(1).await;
    }

    #[tokio::test]
    async fn chunks_are_read_whatever_is_answered() {
        let client = format!("{ENVELOPE}x@c.example>\r\nBDAT 3\r\nab\nBDAT 4 LAST\r\nQUITBDAT 4 LAST\r\nQUITRSET\r\nQUIT\r\n");
        let (answer, sink) = told(SinkSettings::default(), &client).await;
        assert_eq!(codes(&answer), ["220", "250", "250", "250", "250", "250", "503", "250", "221"]);
        assert_eq!(sink.received()[0].content, b"ab\nQUIT");
        assert!(sink.received()[0].chunked);
    }

    #[tokio::test]
    async fn local_parts_choose_what_happens() {
        let rest = "@c.example>\r\nDATA\r\nx\r\n.\r\nQUIT\r\n";
        for (local, expected, kept) in [
            ("refuse-1", vec!["550", "554", "500", "500", "221"], 0),
            ("greylist", vec!["451", "554", "500", "500", "221"], 0),
            ("full", vec!["452", "554", "500", "500", "221"], 0),
            ("spam", vec!["250", "354", "550", "221"], 0),
            ("busy", vec!["421"], 0),
            ("someone", vec!["250", "354", "250", "221"], 1),
        ] {
            let (answer, sink) = told(SinkSettings::default(), &format!("{ENVELOPE}{local}{rest}")).await;
            assert_eq!(codes(&answer)[3..], expected, "{local}");
            assert_eq!(sink.received().len(), kept, "{local}");
        }
        let blind = SinkSettings { by_local_part: false, ..SinkSettings::default() };
        assert_eq!(told(blind, &format!("{ENVELOPE}refuse{rest}")).await.1.received().len(), 1);
        let (answer, sink) = told(SinkSettings::default(), &format!("{ENVELOPE}drop{rest}")).await;
        assert_eq!(sink.received().len(), 1, "kept");
        assert!(!answer.contains("taken"), "and not acknowledged");
    }

    #[tokio::test]
    async fn a_greylisted_sender_is_taken_the_second_time() {
        let behaviour = Behaviour::Greylist;
        let again = format!("{ENVELOPE}x@c.example>\r\nRCPT TO:<x@c.example>\r\nRCPT TO:<y@c.example>\r\nQUIT\r\n");
        let (answer, _) = told(SinkSettings { behaviour, ..SinkSettings::default() }, &again).await;
        assert_eq!(codes(&answer), ["220", "250", "250", "451", "250", "451", "221"]);
    }

    #[tokio::test]
    async fn what_is_out_of_order_or_too_large_is_refused() {
        let small = || SinkSettings { offer: Offer { size: 10, ..SinkSettings::default().offer }, max_recipients: 1, ..SinkSettings::default() };
        let client = "MAIL FROM:<a@b.example>\r\nEHLO c\r\nRCPT TO:<x@c.example>\r\nDATA\r\nMAIL FROM:<a@b.example> SIZE=11\r\nMAIL FROM:a\r\nSTARTTLS\r\nQUIT\r\n";
        assert_eq!(codes(&told(small(), client).await.0), ["220", "503", "250", "503", "503", "552", "501", "502", "221"]);
        let client = format!("{ENVELOPE}x@c.example>\r\nRCPT TO:<y@c.example>\r\nDATA\r\n0123456789\r\n.\r\nQUIT\r\n");
        let (answer, sink) = told(small(), &client).await;
        assert_eq!(codes(&answer), ["220", "250", "250", "250", "452", "354", "552", "221"]);
        assert_eq!(sink.counts().messages, 0);
    }
}
