//! One session of the sink: reads whatever has come, answers all of it in one write (RFC 5321, RFC 2920, RFC 3030, RFC 3207).
//!
//! Does not: enforce more of the protocol than a sender could trip over.

use std::fmt::Write;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

use super::sink::{Behaviour, Received, Shared, Storage};
use crate::smtp::client::Stream;

const INPUT_OCTETS: usize = 16 * 1024;
const MAX_LINE_OCTETS: usize = 4096;

/// Speaks with one client until either side has enough.
pub(super) async fn run(stream: Box<dyn Stream>, peer: SocketAddr, shared: Arc<Shared>) -> io::Result<()> {
    let mut session = Session {
        input: BytesMut::with_capacity(INPUT_OCTETS),
        output: Vec::with_capacity(1024),
        phase: Phase::Command,
        helo: String::new(),
        tls: false,
        transaction: None,
        peer,
        shared,
    };
    session.say(&format!("220 {} ESMTP", session.shared.settings.hostname));
    let mut stream = stream;
    loop {
        let next = session.work();
        if let Next::Wait(delay) = next {
            session.shared.clock.sleep(delay).await;
            continue;
        }
        if !session.output.is_empty() {
            stream.write_all(&session.output).await?;
            stream.flush().await?;
            session.output.clear();
        }
        match next {
            Next::Close => return stream.shutdown().await,
            Next::Drop => return Ok(()),
            Next::Handshake(acceptor) => {
                stream = Box::new(acceptor.accept(stream).await?);
                session.input.clear();
                session.tls = true;
                session.helo.clear();
                session.transaction = None;
            }
            Next::Read | Next::Wait(_) => {
                session.input.reserve(INPUT_OCTETS / 2);
                if stream.read_buf(&mut session.input).await? == 0 {
                    return Ok(());
                }
            }
        }
    }
}

/// What a session does once its input is worked off.
enum Next {
    Read,
    /// Answer, then close.
    Close,
    /// Close without an answer.
    Drop,
    Wait(Duration),
    Handshake(TlsAcceptor),
}

enum Phase {
    Command,
    /// Reading content up to the dot; whether the last line ended in CR LF.
    Data {
        after_line: bool,
    },
    /// Reading so many octets of a chunk.
    Chunk {
        left: usize,
        last: bool,
    },
}

#[derive(Default)]
struct Transaction {
    reverse_path: String,
    recipients: Vec<String>,
    content: Vec<u8>,
    octets: usize,
    chunked: bool,
    require_tls: bool,
    /// What a recipient asked to happen at the end.
    ending: Option<Behaviour>,
}

struct Session {
    input: BytesMut,
    output: Vec<u8>,
    phase: Phase,
    helo: String,
    tls: bool,
    transaction: Option<Transaction>,
    peer: SocketAddr,
    shared: Arc<Shared>,
}

impl Session {
    /// Works off as much input as there is.
    fn work(&mut self) -> Next {
        loop {
            let step = match self.phase {
                Phase::Command => self.command(),
                Phase::Data { after_line } => self.data(after_line),
                Phase::Chunk { left, last } => self.chunk(left, last),
            };
            if let Some(next) = step {
                return next;
            }
        }
    }

    fn say(&mut self, reply: &str) {
        self.output.extend_from_slice(reply.as_bytes());
        self.output.extend_from_slice(b"\r\n");
    }

    /// The next line with its end; none if it has not come yet.
    fn line(&mut self) -> Option<BytesMut> {
        let end = self.input.iter().position(|octet| *octet == b'\n')?;
        Some(self.input.split_to(end + 1))
    }

    fn command(&mut self) -> Option<Next> {
        let Some(line) = self.line() else {
            if self.input.len() > MAX_LINE_OCTETS {
                self.say("500 5.5.2 line too long");
                return Some(Next::Close);
            }
            return Some(Next::Read);
        };
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        let verb = text.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        match verb.as_str() {
            "MAIL" => self.mail(text),
            "RCPT" => return self.rcpt(text),
            "DATA" => self.begin_data(),
            "BDAT" => self.begin_chunk(text),
            "EHLO" | "HELO" => self.hello(text, &verb),
            "RSET" => {
                self.transaction = None;
                self.say("250 2.0.0 reset");
            }
            "NOOP" => self.say("250 2.0.0 ok"),
            "STARTTLS" => return self.starttls(),
            "QUIT" => {
                self.say("221 2.0.0 bye");
                return Some(Next::Close);
            }
            _ => self.say("500 5.5.2 unknown command"),
        }
        None
    }

    fn hello(&mut self, text: &str, verb: &str) {
        self.helo = text.split_once(' ').map_or_else(String::new, |(_, name)| name.to_owned());
        self.transaction = None;
        let settings = &self.shared.settings;
        if verb == "HELO" {
            let reply = format!("250 {}", settings.hostname);
            return self.say(&reply);
        }
        let offer = settings.offer;
        let mut reply = format!("250-{}\r\n", settings.hostname);
        for (offered, keyword) in [
            (offer.pipelining, "PIPELINING"),
            (offer.chunking, "CHUNKING"),
            (offer.eight_bit_mime, "8BITMIME"),
            (offer.smtputf8, "SMTPUTF8"),
            (settings.starttls.is_some() && !self.tls, "STARTTLS"),
            (offer.require_tls && self.tls, "REQUIRETLS"),
            (true, "ENHANCEDSTATUSCODES"),
        ] {
            if offered {
                reply.push_str("250-");
                reply.push_str(keyword);
                reply.push_str("\r\n");
            }
        }
        // Writing to a String cannot fail.
        let _ = write!(reply, "250 SIZE {}", offer.size);
        self.say(&reply);
    }

    fn starttls(&mut self) -> Option<Next> {
        let Some(config) = self.shared.settings.starttls.clone().filter(|_| !self.tls) else {
            self.say("502 5.5.1 not offered");
            return None;
        };
        self.say("220 2.0.0 go ahead");
        Some(Next::Handshake(TlsAcceptor::from(config)))
    }

    fn mail(&mut self, text: &str) {
        if self.helo.is_empty() || self.transaction.is_some() {
            return self.say("503 5.5.1 not now");
        }
        let Some(path) = path(text) else { return self.say("501 5.5.4 no path") };
        if !self.shared.begin_message() {
            return self.say("451 4.7.1 too many messages, slow down");
        }
        let told = text.rsplit(' ').find_map(|word| word.strip_prefix("SIZE=")).and_then(|size| size.parse::<u64>().ok());
        if told.is_some_and(|size| size > self.shared.settings.offer.size) {
            return self.say("552 5.3.4 too large");
        }
        let require_tls = text.split(' ').any(|word| word.eq_ignore_ascii_case("REQUIRETLS"));
        self.transaction = Some(Transaction { reverse_path: path.to_owned(), require_tls, ..Transaction::default() });
        self.say("250 2.1.0 ok");
    }

    fn rcpt(&mut self, text: &str) -> Option<Next> {
        let Some(transaction) = &mut self.transaction else {
            self.say("503 5.5.1 MAIL first");
            return None;
        };
        let Some(path) = path(text) else {
            self.say("501 5.5.4 no path");
            return None;
        };
        if transaction.recipients.len() >= self.shared.settings.max_recipients {
            self.say("452 4.5.3 too many recipients");
            return None;
        }
        let settings = &self.shared.settings;
        let local = path.rsplit_once('@').map_or(path, |(local, _)| local);
        let asked = Some(local).filter(|_| settings.by_local_part).and_then(Behaviour::of_local_part);
        match asked.unwrap_or_else(|| settings.behaviour.clone()) {
            Behaviour::Refuse(reply) => {
                self.say(&reply);
                return None;
            }
            Behaviour::Unavailable => {
                self.say("421 4.3.2 not now");
                return Some(Next::Close);
            }
            Behaviour::Greylist => {
                let first = self.shared.greylist.lock().insert((transaction.reverse_path.clone(), path.to_owned()));
                if first {
                    self.say("451 4.7.1 greylisted, try again later");
                    return None;
                }
            }
            Behaviour::Accept => {}
            ending => transaction.ending = Some(ending),
        }
        transaction.recipients.push(path.to_owned());
        self.say("250 2.1.5 ok");
        None
    }

    fn begin_data(&mut self) {
        match &self.transaction {
            None => self.say("503 5.5.1 MAIL first"),
            Some(transaction) if transaction.recipients.is_empty() => self.say("554 5.5.1 no valid recipients"),
            Some(transaction) if transaction.chunked => self.say("503 5.5.1 not after BDAT"),
            Some(_) => {
                self.phase = Phase::Data { after_line: true };
                self.say("354 go ahead");
            }
        }
    }

    fn data(&mut self, after_line: bool) -> Option<Next> {
        let Some(line) = self.line() else { return Some(Next::Read) };
        if after_line && line.as_ref() == b".\r\n" {
            self.phase = Phase::Command;
            return self.finish();
        }
        let unstuffed = if after_line { line.strip_prefix(b".").unwrap_or(&line) } else { &line };
        let keep = self.shared.settings.storage == Storage::Keep;
        if let Some(transaction) = &mut self.transaction {
            transaction.add(unstuffed, keep);
        }
        self.phase = Phase::Data { after_line: line.ends_with(b"\r\n") };
        None
    }

    fn begin_chunk(&mut self, text: &str) {
        let mut words = text.split_ascii_whitespace().skip(1);
        let size = words.next().and_then(|size| size.parse().ok());
        let last = words.next().is_some_and(|word| word.eq_ignore_ascii_case("LAST"));
        match size {
            // The octets come whatever is answered, so they are read in any case (RFC 3030 2).
            Some(left) => self.phase = Phase::Chunk { left, last },
            None => self.say("501 5.5.4 no size"),
        }
    }

    fn chunk(&mut self, left: usize, last: bool) -> Option<Next> {
        let here = left.min(self.input.len());
        let keep = self.shared.settings.storage == Storage::Keep;
        if let Some(transaction) = &mut self.transaction {
            transaction.add(self.input.get(..here).unwrap_or_default(), keep);
            transaction.chunked = true;
        }
        self.input.advance(here);
        if here < left {
            self.phase = Phase::Chunk { left: left - here, last };
            return Some(Next::Read);
        }
        self.phase = Phase::Command;
        match &self.transaction {
            None => self.say("503 5.5.1 MAIL first"),
            Some(transaction) if transaction.recipients.is_empty() => self.say("554 5.5.1 no valid recipients"),
            Some(_) if last => return self.finish(),
            Some(_) => self.say("250 2.0.0 chunk taken"),
        }
        None
    }

    /// The content is complete.
    fn finish(&mut self) -> Option<Next> {
        let transaction = self.transaction.take()?;
        if u64::try_from(transaction.octets).is_ok_and(|octets| octets > self.shared.settings.offer.size) {
            self.say("552 5.3.4 too large");
            return None;
        }
        let ending = transaction.ending;
        if let Some(Behaviour::RefuseContent(reply)) = &ending {
            self.say(reply);
            return None;
        }
        let message = Received {
            peer: self.peer,
            helo: self.helo.clone(),
            tls: self.tls,
            require_tls: transaction.require_tls,
            chunked: transaction.chunked,
            reverse_path: transaction.reverse_path,
            recipients: transaction.recipients,
            content: transaction.content,
        };
        self.shared.take(message, transaction.octets);
        if ending == Some(Behaviour::DropAfterDot) {
            self.output.clear();
            return Some(Next::Drop);
        }
        let reply = format!("250 2.0.0 taken as {}", self.shared.count());
        self.say(&reply);
        match ending {
            Some(Behaviour::Slow(delay)) => Some(Next::Wait(delay)),
            _ => None,
        }
    }
}

impl Transaction {
    fn add(&mut self, octets: &[u8], keep: bool) {
        self.octets += octets.len();
        if keep {
            self.content.extend_from_slice(octets);
        }
    }
}

/// What stands between the brackets.
fn path(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once('<')?;
    rest.rsplit_once('>').map(|(path, _)| path)
}
