//! An SMTP receiver for loopback: takes mail and keeps or counts it, or misbehaves in the ways real receivers do.
//!
//! Answers: what arrived, byte for byte, in which envelope, over which kind of session; and how many.
//! Does not: relay, authenticate, or hold back a client (see `smtpd` for a server that faces strangers).

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::sink_session;
use crate::clock::Clock;
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
            offer: Offer { pipelining: true, chunking: true, eight_bit_mime: true, smtputf8: true, size: 64 * 1024 * 1024 },
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
        let (shared, draining) = (Arc::clone(&shared), supervisor.clone());
        supervisor.spawn("lab sink session", async move {
            tokio::select! {
                // A client that goes away in the middle is no concern of a sink.
                _ = sink_session::run(Box::new(stream), peer, shared) => {}
                () = draining.draining() => {}
            }
        });
    }
}
