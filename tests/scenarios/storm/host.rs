//! Mail hosts that fail in every way there is, by dice: at each stage a 4yz, a 5yz, silence, a reset, garbage, an endless reply.
//!
//! They take in the end: a recipient that was tried four times meets no fault of its own any more.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pennypost::clock::Clock;
use pennypost::smtp::client::Stream;
use pennypost::supervisor::Supervisor;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::book::{Book, Fault, Stage};
use super::dice::Dice;

const SESSION: [Stage; 5] = [Stage::Connect, Stage::Greeting, Stage::Ehlo, Stage::StartTls, Stage::Handshake];
const MESSAGE: [Stage; 4] = [Stage::Rcpt, Stage::Data, Stage::Body, Stage::Dot];
const FAULTS: [Fault; 7] = [Fault::Deferred, Fault::Refused, Fault::Silence, Fault::Reset, Fault::Close, Fault::Garbage, Fault::Endless];
/// Recipients meet faults of their own in so many tries.
const TRIES: u32 = 3;

/// What all hosts share.
#[derive(Clone)]
pub struct Town {
    pub book: Arc<Book>,
    pub dice: Dice,
    /// Whether anything fails.
    pub nasty: bool,
    pub tls: Arc<rustls::ServerConfig>,
    pub clock: Clock,
    pub lab: Supervisor,
}

/// One host.
#[derive(Clone)]
struct Host {
    town: Town,
    number: usize,
}

type Fate = Option<(Stage, Fault)>;

impl Town {
    /// Opens the host of a number.
    pub async fn open(&self, number: usize, listen: SocketAddr) {
        let listener = TcpListener::bind(listen).await.unwrap();
        let host = Host { town: self.clone(), number };
        self.lab.spawn("storm host", async move {
            let mut session = 0_u64;
            while let Ok((stream, _)) = listener.accept().await {
                session += 1;
                host.town.lab.spawn("storm session", Session::run(host.clone(), session, stream));
            }
        });
    }

    /// In one of a hundred cases per `odds`, a fault at one of the stages.
    fn fate(&self, what: impl Hash + Copy, odds: u64, stages: &[Stage]) -> Fate {
        (self.nasty && self.dice.roll(("falls", what), 100) < odds)
            .then(|| (self.dice.pick(("stage", what), stages), self.dice.pick(("fault", what), &FAULTS)))
    }
}

/// What a transaction has so far.
#[derive(Default)]
struct Envelope {
    recipients: Vec<String>,
    /// What its first recipient brings along.
    fate: Fate,
}

struct Session {
    host: Host,
    number: u64,
    stream: BufReader<Box<dyn Stream>>,
    /// The same connection, to be reset by.
    bare: TcpStream,
    fate: Fate,
    transactions: u64,
    envelope: Option<Envelope>,
    encrypted: bool,
}

/// None: the session is over.
type Go = Option<()>;

impl Session {
    async fn run(host: Host, number: u64, stream: TcpStream) {
        let _slower = stream.set_nodelay(true);
        let stream = stream.into_std().unwrap();
        let bare = TcpStream::from_std(stream.try_clone().unwrap()).unwrap();
        let stream: Box<dyn Stream> = Box::new(TcpStream::from_std(stream).unwrap());
        let fate = host.town.fate((host.number, number), 8, &SESSION);
        let mut session = Self { host, number, stream: BufReader::new(stream), bare, fate, transactions: 0, envelope: None, encrypted: false };
        let _over = session.talk().await;
    }

    async fn talk(&mut self) -> Go {
        if let Some(fault) = self.falls(Stage::Connect) {
            self.host.town.book.fault(Stage::Connect, fault);
            return self.reset();
        }
        match self.falls(Stage::Greeting) {
            Some(fault) => self.fail(Stage::Greeting, fault, &[]).await?,
            None => self.say("220 storm").await?,
        }
        loop {
            let line = self.hear().await?;
            match line.split([' ', ':']).next().unwrap_or_default() {
                "EHLO" => self.hello().await?,
                "HELO" => match self.falls(Stage::Ehlo) {
                    Some(fault) => self.fail(Stage::Ehlo, fault, &[]).await?,
                    None => self.say("250 storm").await?,
                },
                "STARTTLS" => self.start_tls().await?,
                "MAIL" => self.mail().await?,
                "RCPT" => self.rcpt(&line).await?,
                "DATA" => self.data().await?,
                "BDAT" => self.chunk(&line).await?,
                "QUIT" => return self.quit().await,
                "RSET" => {
                    self.envelope = None;
                    self.say("250 reset").await?;
                }
                _ => self.say("500 5.5.2 what").await?,
            }
        }
    }

    fn falls(&self, stage: Stage) -> Option<Fault> {
        self.fate.filter(|(at, _)| *at == stage).map(|(_, fault)| fault)
    }

    async fn hello(&mut self) -> Go {
        if let Some(fault) = self.falls(Stage::Ehlo) {
            return self.fail(Stage::Ehlo, fault, &[]).await;
        }
        let offers = ["PIPELINING\r\n250-CHUNKING\r\n250-", "PIPELINING\r\n250-", "", "PIPELINING\r\n250-CHUNKING\r\n250-STARTTLS\r\n250-"];
        let offer = offers[self.host.number % 4].replace(if self.encrypted { "STARTTLS\r\n250-" } else { "\0" }, "");
        self.say(&format!("250-storm\r\n250-{offer}8BITMIME\r\n250 SIZE 50000000")).await
    }

    async fn start_tls(&mut self) -> Go {
        match self.falls(Stage::StartTls) {
            Some(fault) => return self.fail(Stage::StartTls, fault, &[]).await,
            None => self.say("220 go").await?,
        }
        if let Some(fault) = self.falls(Stage::Handshake) {
            let fault = if matches!(fault, Fault::Deferred | Fault::Refused) { Fault::Garbage } else { fault };
            return self.fail(Stage::Handshake, fault, &[]).await;
        }
        let (empty, _) = tokio::io::duplex(1);
        let stream = std::mem::replace(&mut self.stream, BufReader::new(Box::new(empty))).into_inner();
        let stream = TlsAcceptor::from(Arc::clone(&self.host.town.tls)).accept(stream).await.ok()?;
        self.stream = BufReader::new(Box::new(stream));
        self.encrypted = true;
        Some(())
    }

    async fn mail(&mut self) -> Go {
        self.transactions += 1;
        self.envelope = None;
        if let Some((stage, fault)) = self.host.town.fate((self.host.number, self.number, self.transactions), 2, &[Stage::Mail]) {
            return self.fail(stage, fault, &[]).await;
        }
        self.envelope = Some(Envelope::default());
        self.say("250 ok").await
    }

    async fn rcpt(&mut self, line: &str) -> Go {
        let Some(recipient) = line.strip_prefix("RCPT TO:<").and_then(|rest| rest.split_once('>')).map(|(to, _)| to.to_owned()) else {
            return self.say("501 5.5.4 whom").await;
        };
        if self.envelope.is_none() {
            return self.say("503 5.5.1 MAIL first").await;
        }
        let tries = self.host.town.book.tried(&recipient);
        let fate = if tries > TRIES { None } else { self.host.town.fate((recipient.as_str(), tries), 20, &MESSAGE) };
        if let Some((Stage::Rcpt, fault)) = fate {
            return self.fail(Stage::Rcpt, fault, &[recipient]).await;
        }
        if let Some(envelope) = &mut self.envelope {
            if envelope.recipients.is_empty() {
                envelope.fate = fate;
            }
            envelope.recipients.push(recipient);
        }
        self.say("250 ok").await
    }

    async fn data(&mut self) -> Go {
        let Some(envelope) = self.envelope.take().filter(|envelope| !envelope.recipients.is_empty()) else {
            return self.say("554 5.5.1 nobody").await;
        };
        if let Some((Stage::Data, fault)) = envelope.fate {
            return self.fail(Stage::Data, fault, &envelope.recipients).await;
        }
        self.say("354 go").await?;
        let mut content = DefaultHasher::new();
        let mut lines = 0;
        loop {
            let line = self.hear().await?;
            if line == "." {
                break;
            }
            line.strip_prefix('.').unwrap_or(&line).hash(&mut content);
            lines += 1;
            if let (1, Some((Stage::Body, fault))) = (lines, envelope.fate) {
                self.fail(Stage::Body, fault, &envelope.recipients).await?;
                return self.leave().await;
            }
        }
        self.end(&envelope, content.finish()).await
    }

    /// `BDAT n LAST`: the content comes whatever is answered (RFC 3030 2).
    async fn chunk(&mut self, line: &str) -> Go {
        let size: usize = line.split(' ').nth(1).and_then(|size| size.parse().ok())?;
        let mut octets = vec![0; size];
        let envelope = self.envelope.take().filter(|envelope| !envelope.recipients.is_empty());
        if let Some(Envelope { recipients, fate: Some((Stage::Body, fault)) }) = &envelope {
            self.stream.read_exact(&mut octets[..size / 2]).await.ok()?;
            self.fail(Stage::Body, *fault, recipients).await?;
            return self.leave().await;
        }
        self.stream.read_exact(&mut octets).await.ok()?;
        let mut content = DefaultHasher::new();
        let text = String::from_utf8_lossy(&octets).into_owned();
        text.strip_suffix("\r\n").unwrap_or(&text).split("\r\n").for_each(|line| line.hash(&mut content));
        match envelope {
            None => self.say("554 5.5.1 nobody").await,
            Some(envelope) => self.end(&envelope, content.finish()).await,
        }
    }

    /// The content is whole. What is not refused was taken, whether the sender is told or not.
    async fn end(&mut self, envelope: &Envelope, hash: u64) -> Go {
        let Envelope { recipients, fate } = envelope;
        let book = Arc::clone(&self.host.town.book);
        if let Some((Stage::Data | Stage::Dot, fault)) = *fate {
            if !matches!(fault, Fault::Deferred | Fault::Refused) {
                book.keep(recipients, hash);
            }
            return self.fail(Stage::Dot, fault, recipients).await;
        }
        book.keep(recipients, hash);
        let token = book.say(self.host.number, 2, Stage::Dot, recipients);
        self.say(&format!("250 2.0.0 taken {token}")).await?;
        // Now and then the session ends right behind the reply.
        match self.host.town.fate(("after", self.host.number, self.number, self.transactions), 3, &[Stage::Quit]) {
            Some((_, Fault::Reset)) => self.reset(),
            Some(_) => None,
            None => Some(()),
        }
    }

    async fn quit(&mut self) -> Go {
        match self.host.town.fate(("quit", self.host.number, self.number), 15, &[Stage::Quit]) {
            Some((stage, fault)) => self.fail(stage, fault, &[]).await,
            None => self.say("221 bye").await,
        }
    }

    /// Does what goes wrong. A refusal leaves the session as it is; all else ends it.
    async fn fail(&mut self, stage: Stage, fault: Fault, recipients: &[String]) -> Go {
        let book = Arc::clone(&self.host.town.book);
        book.fault(stage, fault);
        match fault {
            Fault::Deferred => {
                // Every third host goes away with it, which is about everybody who is still open.
                let goes = stage == Stage::Greeting || self.host.number.is_multiple_of(3);
                let token = book.say(self.host.number, 4, stage, if goes { &[] } else { recipients });
                let reply = if goes { "421 4.3.2 closing" } else { "451 4.3.0 not now" };
                self.say(&format!("{reply} {token}")).await?;
                if goes { self.leave().await } else { Some(()) }
            }
            Fault::Refused => {
                let token = book.say(self.host.number, 5, stage, recipients);
                let reply = if stage == Stage::Rcpt { "550 5.1.1 no such user" } else { "554 5.3.0 no" };
                self.say(&format!("{reply} {token}")).await
            }
            Fault::Silence => {
                let millis = 200 + self.host.town.dice.roll(("silent", self.host.number, self.number), 800);
                self.host.town.clock.sleep(Duration::from_millis(millis)).await;
                None
            }
            Fault::Reset => self.reset(),
            Fault::Close => None,
            Fault::Garbage => {
                self.stream.write_all(b"\0\xffno SMTP at all\r\n").await.ok()?;
                self.leave().await
            }
            Fault::Endless => {
                let lines = if self.number.is_multiple_of(2) { "250-and on\r\n".repeat(100) } else { "250-and on ".repeat(100) };
                for _ in 0..200 {
                    self.stream.write_all(lines.as_bytes()).await.ok()?;
                }
                self.leave().await
            }
        }
    }

    /// Says nothing more, and lets the client read what was said.
    async fn leave(&mut self) -> Go {
        self.stream.shutdown().await.ok()?;
        while self.hear().await.is_some() {}
        None
    }

    fn reset(&self) -> Go {
        let _gone = self.bare.set_zero_linger();
        None
    }

    async fn say(&mut self, reply: &str) -> Go {
        self.stream.write_all(format!("{reply}\r\n").as_bytes()).await.ok()?;
        self.stream.flush().await.ok()
    }

    /// The next line; none when the client is gone.
    async fn hear(&mut self) -> Option<String> {
        let mut line = Vec::new();
        let count = self.stream.read_until(b'\n', &mut line).await.ok()?;
        let text = String::from_utf8_lossy(&line).into_owned();
        (count > 0).then(|| text.strip_suffix("\r\n").unwrap_or(&text).to_owned())
    }
}
