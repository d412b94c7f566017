//! A session: greeting, EHLO, STARTTLS, AUTH, QUIT (RFC 5321 3.1, 3.2, 3.8; RFC 3207; RFC 8314).
//!
//! Answers: is there a host that will hear transactions, in clear text or TLS. Nothing heard before the TLS handshake is believed
//! after it, and octets that come between the 220 and the handshake end the session (RFC 3207 6).
//! Does not: send messages (`transaction`) or know how a login is told (`auth`).

use rustls_pki_types::ServerName;
use tokio_rustls::TlsConnector;

use super::auth;
use super::client::{Cause, Failure, Fault, Settings, TlsUse};
use super::command::{self, Hello};
use super::extension::Extensions;
use super::timeouts::Timeouts;
use super::wire::{Stream, Wire};
use crate::clock::Clock;
use crate::model::Reply;
use crate::model::outcome::Stage;
use crate::net::tls;

/// One open session with one host.
pub struct Session {
    pub(super) wire: Wire,
    pub(super) timeouts: Timeouts,
    pub(super) extensions: Extensions,
    /// Replies and commands are in step. False while a transaction runs, so that one that is dropped half way spoils the session.
    pub(super) in_step: bool,
    /// The next transaction starts with RSET.
    pub(super) reset_first: bool,
    /// The last message was taken for all its recipients.
    pub(super) is_proven: bool,
    pub(super) transactions: usize,
    tls_facts: Option<String>,
}

/// How opening ends early.
pub(super) struct Stop {
    stage: Stage,
    cause: Cause,
}

pub(super) type Step<T> = Result<T, Stop>;

impl Session {
    /// Opens a session on a connected stream: greeting, EHLO (HELO if that is refused), STARTTLS and EHLO again, AUTH.
    ///
    /// # Errors
    /// [`Failure`] with the reply or fault and the dialogue so far. The connection is closed.
    pub async fn open(stream: impl Stream + 'static, settings: &Settings, clock: &Clock) -> Result<Self, Failure> {
        let (mut session, implicit) = match &settings.tls {
            TlsUse::Implicit(config) => {
                let (wire, facts) = handshake(Wire::new(Box::new(stream), clock), config, settings).await?;
                (Self::begin(wire, settings, Some(facts)).await?, true)
            }
            _ => (Self::begin(Wire::new(Box::new(stream), clock), settings, None).await?, false),
        };
        if !implicit {
            session = session.secure(settings).await?;
        }
        let is_secure = session.tls_facts.is_some();
        match &settings.login {
            None => Ok(session),
            Some(login) => match auth::log_in(&mut session.wire, settings, login, &session.extensions, is_secure).await {
                Ok(()) => Ok(session),
                Err(stop) => Err(stop.into_failure(&mut session.wire)),
            },
        }
    }

    async fn begin(mut wire: Wire, settings: &Settings, tls_facts: Option<String>) -> Result<Self, Failure> {
        match begin(&mut wire, settings).await {
            Ok(extensions) => Ok(Self::new(wire, settings, extensions, tls_facts)),
            Err(stop) => Err(stop.into_failure(&mut wire)),
        }
    }

    /// Asks for TLS where it is wanted, and begins again inside it.
    async fn secure(self, settings: &Settings) -> Result<Self, Failure> {
        let config = match &settings.tls {
            TlsUse::Off | TlsUse::Implicit(_) => None,
            TlsUse::Opportunistic(config) => Some(config).filter(|_| self.extensions.starttls),
            TlsUse::Require(config) => Some(config),
        };
        let Some(config) = config else { return Ok(self) };
        let Self { mut wire, extensions, .. } = self;
        match ask_for_tls(&mut wire, settings, &extensions).await {
            Ok(Asked::Refused) => return Ok(Self::new(wire, settings, extensions, None)),
            Ok(Asked::Granted) => {}
            Err(stop) => return Err(stop.into_failure(&mut wire)),
        }
        let (mut wire, facts) = handshake(wire, config, settings).await?;
        match hello(&mut wire, settings).await {
            Ok(extensions) => Ok(Self::new(wire, settings, extensions, Some(facts))),
            Err(stop) => Err(stop.into_failure(&mut wire)),
        }
    }

    fn new(wire: Wire, settings: &Settings, extensions: Extensions, tls_facts: Option<String>) -> Self {
        let timeouts = settings.timeouts;
        Self { wire, timeouts, extensions, in_step: true, reset_first: false, is_proven: false, transactions: 0, tls_facts }
    }

    /// True if the server takes what is asked of delivery reports (RFC 3461).
    #[must_use]
    pub const fn offers_reports(&self) -> bool {
        self.extensions.dsn
    }

    /// True if another transaction can follow, as far as is known without looking at the connection.
    #[must_use]
    pub fn is_reusable(&self) -> bool {
        self.in_step && self.wire.is_silent() && self.extensions.messages_max.is_none_or(|most| self.transactions < most)
    }

    /// Looks, without waiting, whether the server has closed the session or said anything since. Ask before reusing an idle session.
    pub fn is_alive(&mut self) -> bool {
        self.is_reusable() && self.wire.is_open()
    }

    /// Transactions so far.
    #[must_use]
    pub const fn transactions(&self) -> usize {
        self.transactions
    }

    /// TLS version, cipher suite and key exchange; none in clear text.
    #[must_use]
    pub fn tls_facts(&self) -> Option<&str> {
        self.tls_facts.as_deref()
    }

    /// What the server offers.
    #[must_use]
    pub const fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// The dialogue since it was last taken, at most that of the last transaction; with the first one comes the opening.
    pub fn take_transcript(&mut self) -> Vec<String> {
        self.wire.transcript.take()
    }

    /// Says QUIT if that can be said, and closes. Nothing that happens here changes what was delivered.
    pub async fn quit(mut self) {
        // Out of step, nothing more may go out: closing in order would flush what TLS still holds, perhaps the end of a message
        // that was reported as not sent.
        if !self.in_step {
            return;
        }
        self.wire.output.extend_from_slice(b"QUIT\r\n");
        if self.wire.send(self.timeouts.quit).await.is_ok() {
            let _ = self.wire.reply(self.timeouts.quit).await;
            self.wire.close(self.timeouts.quit).await;
        }
    }
}

async fn begin(wire: &mut Wire, settings: &Settings) -> Step<Extensions> {
    let greeting = wire.reply(settings.timeouts.greeting).await.map_err(|fault| Stop::fault(Stage::Greeting, fault))?;
    expect_positive(Stage::Greeting, greeting)?;
    hello(wire, settings).await
}

/// EHLO; HELO where EHLO is refused for good, which offers nothing (RFC 5321 3.2).
async fn hello(wire: &mut Wire, settings: &Settings) -> Step<Extensions> {
    let reply = say_hello(wire, settings, Hello::Ehlo).await?;
    if reply.is_positive() {
        return Ok(Extensions::parse(&reply.text));
    }
    if reply.is_permanent() {
        let reply = say_hello(wire, settings, Hello::Helo).await?;
        expect_positive(Stage::Ehlo, reply)?;
        return Ok(Extensions::default());
    }
    Err(unexpected(Stage::Ehlo, reply))
}

async fn say_hello(wire: &mut Wire, settings: &Settings, verb: Hello) -> Step<Reply> {
    command::hello(&mut wire.output, &settings.ehlo_name, verb);
    turn(wire, settings, Stage::Ehlo).await
}

/// What became of STARTTLS.
enum Asked {
    Granted,
    /// By a reply, where clear text will do.
    Refused,
}

async fn ask_for_tls(wire: &mut Wire, settings: &Settings, extensions: &Extensions) -> Step<Asked> {
    if !extensions.starttls {
        return Err(Stop::fault(Stage::Tls, Fault::TlsNotOffered));
    }
    wire.output.extend_from_slice(b"STARTTLS\r\n");
    let reply = turn(wire, settings, Stage::Tls).await?;
    if reply.is_positive() {
        if wire.is_silent() {
            return Ok(Asked::Granted);
        }
        return Err(Stop::fault(Stage::Tls, Fault::Protocol("clear text came between STARTTLS and the TLS handshake".to_owned())));
    }
    if matches!(settings.tls, TlsUse::Opportunistic(_)) && reply.code != 421 && (reply.is_transient() || reply.is_permanent()) {
        return Ok(Asked::Refused);
    }
    Err(unexpected(Stage::Tls, reply))
}

async fn handshake(wire: Wire, config: &std::sync::Arc<rustls::ClientConfig>, settings: &Settings) -> Result<(Wire, String), Failure> {
    let (stream, mut transcript, clock) = wire.into_parts();
    let limit = settings.timeouts.handshake;
    let name = match ServerName::try_from(settings.server_name.clone()) {
        Ok(name) => Ok(name),
        Err(error) => Err(Fault::Tls(format!("{}: {error}", settings.server_name))),
    };
    let shaken = match name {
        Ok(name) => match clock.timeout(limit, TlsConnector::from(std::sync::Arc::clone(config)).connect(name, stream)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(Fault::Tls(error.to_string())),
            Err(timed_out) => Err(Fault::TimedOut(timed_out.0)),
        },
        Err(fault) => Err(fault),
    };
    match shaken {
        Ok(stream) => {
            let facts = tls::facts(stream.get_ref().1);
            let mut wire = Wire::new(Box::new(stream), &clock);
            wire.transcript = transcript;
            Ok((wire, facts))
        }
        Err(fault) => Err(Failure { stage: Stage::Tls, cause: Cause::Fault(fault), transcript: transcript.take() }),
    }
}

/// Sends what was put into the output and reads its one reply. Of AUTH the record gets no word.
pub(super) async fn turn(wire: &mut Wire, settings: &Settings, stage: Stage) -> Step<Reply> {
    if !wire.is_in_step() {
        return Err(Stop::fault(stage, out_of_step()));
    }
    let limit = settings.timeouts.command;
    let sent = if stage == Stage::Auth { wire.send_secret(limit).await } else { wire.send(limit).await };
    if let Err(fault) = sent {
        return match wire.last_words(&fault).await {
            Some(reply) => Err(unexpected(stage, reply)),
            None => Err(Stop::fault(stage, fault)),
        };
    }
    wire.reply(limit).await.map_err(|fault| Stop::fault(stage, fault))
}

pub(super) fn out_of_step() -> Fault {
    Fault::Protocol("a reply came that answers no command".to_owned())
}

fn expect_positive(stage: Stage, reply: Reply) -> Step<()> {
    if reply.is_positive() { Ok(()) } else { Err(unexpected(stage, reply)) }
}

/// A refusal ends the session as a reply; a reply that makes no sense here ends it as a fault.
pub(super) fn unexpected(stage: Stage, reply: Reply) -> Stop {
    if reply.is_transient() || reply.is_permanent() {
        Stop { stage, cause: Cause::Reply(reply) }
    } else {
        Stop::fault(stage, Fault::Protocol(format!("unexpected reply {reply}")))
    }
}

impl Stop {
    pub(super) const fn fault(stage: Stage, fault: Fault) -> Self {
        Self { stage, cause: Cause::Fault(fault) }
    }

    fn into_failure(self, wire: &mut Wire) -> Failure {
        Failure { stage: self.stage, cause: self.cause, transcript: wire.transcript.take() }
    }
}
