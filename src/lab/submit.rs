//! A load generator for SMTP submission: sessions within TLS that sign in and submit message after message, and how long each took.
//!
//! Answers: rates and latencies, of any server that offers AUTH PLAIN and PIPELINING (RFC 4954, RFC 2920): ours and its peers are asked by the same client.
//! A message goes in two flights, the envelope and the content. Does not: check certificates, chunks, many recipients.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::load::{LoadReport, Until, gather};
use crate::clock::Clock;
use crate::model::Secret;
use crate::net::tls::{self, ClientTls};
use crate::smtp::client::Stream;
use crate::supervisor::Supervisor;

/// Octets of a reply at most.
const MAX_REPLY_OCTETS: usize = 16 * 1024;
/// The status of a report that stands for a message that was taken.
const TAKEN: u16 = 250;

/// How TLS begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// With the first octet: port 465.
    Implicit,
    /// By STARTTLS: port 587.
    StartTls,
}

/// What load to make.
#[derive(Clone, Debug)]
pub struct SubmitSettings {
    /// Where the server listens.
    pub target: SocketAddr,
    /// How TLS begins there.
    pub tls: Begin,
    /// Who signs in.
    pub user: String,
    /// By which password.
    pub password: Secret<String>,
    /// MAIL FROM.
    pub from: String,
    /// RCPT TO.
    pub to: String,
    /// The content, whose lines end in CRLF and begin with no dot.
    pub content: String,
    /// Sessions, each with one message at a time.
    pub sessions: usize,
    /// When to stop.
    pub until: Until,
}

/// Makes the load and reports: replies to the content of messages by code, and messages without one. Ends early if `supervisor` is killed.
pub async fn run(settings: SubmitSettings, supervisor: &Supervisor, clock: &Clock) -> LoadReport {
    let sessions = settings.sessions;
    let envelope = format!("MAIL FROM:<{}>\r\nRCPT TO:<{}>\r\nDATA\r\n", settings.from, settings.to);
    let content = format!("{}.\r\n", settings.content);
    let work = Arc::new(Work { tls: tls::opportunistic(), settings, envelope, content, next: AtomicU64::new(0), clock: clock.clone() });
    gather(sessions, "lab submit", supervisor, clock, || {
        let work = Arc::clone(&work);
        async move { work.messages().await }
    })
    .await
}

struct Work {
    settings: SubmitSettings,
    envelope: String,
    content: String,
    tls: ClientTls,
    next: AtomicU64,
    clock: Clock,
}

impl Work {
    /// Submits messages in one session; in a new one where the server ended it.
    async fn messages(&self) -> LoadReport {
        let mut report = LoadReport::default();
        let mut session = None;
        let start = self.clock.tick();
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let over = match self.settings.until {
                Until::Requests(most) => number >= most,
                Until::Elapsed(limit) => self.clock.tick().since(start) >= limit,
            };
            if over {
                return report;
            }
            let sent_at = self.clock.tick();
            match self.submit(&mut session).await {
                Ok(code) => {
                    *report.statuses.entry(code).or_default() += 1;
                    report.latency.add(self.clock.tick().since(sent_at));
                }
                Err(error) => {
                    report.failed += 1;
                    report.first_failure.get_or_insert_with(|| error.to_string());
                    session = None;
                    if report.failed > 20 && report.statuses.is_empty() {
                        return report;
                    }
                }
            }
        }
    }

    async fn submit(&self, kept: &mut Option<Session>) -> io::Result<u16> {
        let session = match kept {
            Some(session) => session,
            None => kept.insert(self.open().await?),
        };
        session.send(&self.envelope).await?;
        for expected in [TAKEN, TAKEN, 354] {
            session.expect(expected).await?;
        }
        session.send(&self.content).await?;
        Ok(session.reply().await?.0)
    }

    async fn open(&self) -> io::Result<Session> {
        let stream = TcpStream::connect(self.settings.target).await?;
        stream.set_nodelay(true)?;
        let mut session = Session { stream: Box::new(stream), input: BytesMut::new() };
        if self.settings.tls == Begin::StartTls {
            session.expect(220).await?;
            session.ask("EHLO bench.example", TAKEN).await?;
            session.ask("STARTTLS", 220).await?;
        }
        let name = ServerName::try_from("bench.example").map_err(io::Error::other)?;
        let stream = TlsConnector::from(Arc::clone(&self.tls)).connect(name, session.stream).await?;
        let mut session = Session { stream: Box::new(stream), input: BytesMut::new() };
        if self.settings.tls == Begin::Implicit {
            session.expect(220).await?;
        }
        session.ask("EHLO bench.example", TAKEN).await?;
        let login = STANDARD.encode(format!("\0{}\0{}", self.settings.user, self.settings.password.expose()));
        session.ask(&format!("AUTH PLAIN {login}"), 235).await?;
        Ok(session)
    }
}

struct Session {
    stream: Box<dyn Stream>,
    input: BytesMut,
}

impl Session {
    async fn send(&mut self, text: &str) -> io::Result<()> {
        self.stream.write_all(text.as_bytes()).await?;
        self.stream.flush().await
    }

    async fn ask(&mut self, line: &str, expected: u16) -> io::Result<()> {
        self.send(&format!("{line}\r\n")).await?;
        self.expect(expected).await
    }

    async fn expect(&mut self, expected: u16) -> io::Result<()> {
        let (code, line) = self.reply().await?;
        if code == expected { Ok(()) } else { Err(io::Error::other(format!("the server says {line}"))) }
    }

    /// The code of a reply, and its last line.
    async fn reply(&mut self) -> io::Result<(u16, String)> {
        loop {
            while let Some(end) = self.input.iter().position(|octet| *octet == b'\n') {
                let line = self.input.split_to(end + 1);
                if line.get(3) != Some(&b'-') {
                    let line = String::from_utf8_lossy(&line).trim_end().to_owned();
                    let code = line.get(..3).and_then(|code| code.parse().ok()).ok_or_else(|| io::Error::other("a reply has no code"))?;
                    return Ok((code, line));
                }
            }
            if self.input.len() > MAX_REPLY_OCTETS {
                return Err(io::Error::other("a reply does not end"));
            }
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}
