//! One connection from its first octet to its last: whose it is, TLS, the session, and who judges what.
//!
//! Answers: in which order things happen. A listed proxy names the client first; a client that talks before it was greeted is sent away; replies are
//! sent when all that came is worked off; a drain ends a session between two messages.
//! Does not: know SMTP; `smtp::server::session` does.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Buf;

use super::Door;
use super::budget::Share;
use super::exchange::{self, Bringer};
use super::listen::Encryption;
use super::submission::{self, Submitter};
use super::wire::{Got, PATIENCE, Wire};
use crate::clock::Tick;
use crate::inbound::Place;
use crate::model::Reply;
use crate::net::places::Full;
use crate::net::proxy_protocol::{self, Header};
use crate::smtp::client::Stream;
use crate::smtp::server::reply;
use crate::smtp::server::session::{Ask, Channel, Next, Purpose, Session};

/// How long a proxy may take for its header.
const PROXY_TIME: Duration = Duration::from_secs(10);
/// Octets of a message that count as progress.
const STEP_OCTETS: u64 = 64 * 1024;
/// How long a client from the world may go on without a message that is taken, or a step of one that comes.
const WORLD_PATIENCE: Duration = Duration::from_mins(10);

/// Serves a connection until it ends.
///
/// # Errors
/// The connection broke, or the handshake failed.
pub(super) async fn serve(stream: Box<dyn Stream>, peer: SocketAddr, encryption: Encryption, door: &Arc<Door>) -> io::Result<()> {
    let mut wire = Wire::new(stream, door.clock.clone());
    let Some(client) = client(&mut wire, peer, door).await? else { return Ok(()) };
    let _place = match door.places.enter(client) {
        Ok(place) => place,
        Err(full) => return turn_away(wire, client, full, encryption).await,
    };
    let channel = match encryption {
        Encryption::StartTls => Channel::Clear,
        Encryption::Implicit => {
            let (inside, facts) = Box::pin(wire.start_tls(&door.tls)).await?;
            tracing::debug!(%client, tls = facts, "an SMTP session begins");
            wire = inside;
            Channel::Tls
        }
    };
    let session = Session::new(Arc::clone(&door.settings), channel);
    if wire.has_spoken(greeting_pause(door.settings.purpose)).await? {
        // Who does not wait for the greeting sends blindly, as worms and forged requests do.
        reply::write(&mut wire.output, &Reply::new(554, "5.5.0 wait for the greeting before you speak"));
        return wire.close().await;
    }
    let now = door.clock.tick();
    let run =
        Run { session, client, door, submitter: None, places: Vec::new(), tls: None, share: Share::default(), since: now, progress: now, mark: 0 };
    run.lead(wire).await
}

/// How long the greeting is held back to see who speaks before it. Strangers wait long enough for what was sent blindly to arrive; users, who have to
/// sign in, until this process has looked once at what has come.
const fn greeting_pause(purpose: Purpose) -> Duration {
    match purpose {
        Purpose::Exchange => Duration::from_millis(150),
        Purpose::Submission => Duration::from_millis(1),
    }
}

/// Whose connection it is: the peer's, or what a listed proxy says. None: the proxy says nothing that can be understood.
async fn client(wire: &mut Wire, peer: SocketAddr, door: &Door) -> io::Result<Option<IpAddr>> {
    let peer = peer.ip().to_canonical();
    if !door.config.smtp.proxies.iter().any(|network| network.holds(peer)) {
        return Ok(Some(peer));
    }
    let deadline = door.clock.tick().plus(PROXY_TIME);
    loop {
        match proxy_protocol::read(&wire.input) {
            Header::Whole { octets, client } => {
                wire.input.advance(octets);
                return Ok(Some(client.map_or(peer, |client| client.ip().to_canonical())));
            }
            // Octet by octet: what follows the header may be TLS already, and belongs to the handshake.
            Header::Partial if wire.read_octet(deadline).await? == Got::Octets => {}
            Header::Partial | Header::Invalid => {
                tracing::warn!(proxy = %peer, "a proxy of smtp.proxies did not say whose connection it hands on; switch the PROXY protocol on there");
                return Ok(None);
            }
        }
    }
}

async fn turn_away(mut wire: Wire, client: IpAddr, full: Full, encryption: Encryption) -> io::Result<()> {
    tracing::debug!(%client, ?full, "an SMTP connection was turned away");
    // Within TLS a handshake would cost more than the connection that is refused.
    if encryption == Encryption::StartTls {
        let text = if full == Full::Client { "4.7.0 too many connections of yours" } else { "4.3.2 too many connections" };
        reply::write(&mut wire.output, &Reply::new(421, text));
        wire.flush().await?;
    }
    Ok(())
}

struct Run<'d> {
    session: Session,
    client: IpAddr,
    door: &'d Arc<Door>,
    submitter: Option<Submitter>,
    /// From the world: the addresses of the transaction that were accepted.
    places: Vec<Place>,
    /// Version and cipher, once TLS was started.
    tls: Option<String>,
    share: Share,
    /// When the session began, or a message of it was taken; from the world, when a step of one came too.
    since: Tick,
    /// When it last got on.
    progress: Tick,
    /// Octets of the message at that time.
    mark: u64,
}

impl Run<'_> {
    async fn lead(mut self, mut wire: Wire) -> io::Result<()> {
        self.session.greet(&mut wire.output);
        loop {
            match self.session.step(&mut wire.input, &mut wire.output) {
                Next::Read => {
                    self.note_progress(!wire.output.is_empty());
                    wire.flush().await?;
                    self.cover();
                    if !self.read(&mut wire).await? {
                        return Ok(());
                    }
                }
                Next::Ask(ask) => {
                    let is_message = matches!(ask, Ask::Message(_));
                    // In memory of its own, which a connection that waits for its client does not take; so is a handshake.
                    let told = Box::pin(self.judge(ask)).await;
                    if is_message && told.is_positive() {
                        self.since = self.door.clock.tick();
                    }
                    self.session.answer(&mut wire.output, &told);
                }
                Next::StartTls => {
                    wire.flush().await?;
                    let (inside, facts) = Box::pin(wire.start_tls(&self.door.tls)).await?;
                    tracing::debug!(client = %self.client, tls = %facts, "an SMTP session goes on in TLS");
                    wire = inside;
                    self.session.tls_started();
                    self.tls = Some(facts);
                }
                Next::Close => return wire.close().await,
            }
        }
    }

    fn note_progress(&mut self, replied: bool) {
        let octets = self.session.content_octets();
        let is_step = octets >= self.mark.saturating_add(STEP_OCTETS);
        if replied || is_step {
            (self.progress, self.mark) = (self.door.clock.tick(), octets);
        }
        if is_step {
            self.since = self.progress;
        }
    }

    /// When the client's time is over: it is silent too long, or says nothing of use.
    fn deadline(&self) -> Tick {
        let silent = self.progress.plus(PATIENCE);
        match self.door.settings.purpose {
            Purpose::Submission if self.session.is_signed_in() => silent,
            Purpose::Submission => self.since.plus(PATIENCE),
            Purpose::Exchange => silent.min(self.since.plus(WORLD_PATIENCE)),
        }
    }

    /// Takes memory for what came of a message, or refuses the message.
    fn cover(&mut self) {
        if !self.door.budget.cover(&mut self.share, self.session.held()) {
            self.session.refuse_content(Reply::new(452, "4.3.1 too many messages come in at once; try again in a minute"));
        }
    }

    /// Reads on. False: the client has gone.
    async fn read(&mut self, wire: &mut Wire) -> io::Result<bool> {
        let deadline = self.deadline();
        let got = if self.session.is_busy() { wire.read(deadline).await? } else { wire.read_or_drain(deadline, &self.door.supervisor).await? };
        match got {
            Got::Octets => {}
            Got::Nothing => return Ok(false),
            Got::Late => self.session.end(&mut wire.output, &Reply::new(421, "4.4.2 nothing came for too long, good bye")),
            Got::Drain => self.session.end(&mut wire.output, &Reply::new(421, "4.3.2 this server stops now; come back in a moment")),
        }
        Ok(true)
    }

    /// Nobody signs in: it came to the listener for everybody.
    fn is_of_the_world(&self) -> bool {
        self.door.settings.purpose == Purpose::Exchange
    }

    async fn judge(&mut self, ask: Ask) -> Reply {
        match ask {
            Ask::Mail(_) if self.is_of_the_world() => {
                self.places.clear();
                Reply::new(250, "2.1.0 ok")
            }
            Ask::Rcpt(to) if self.is_of_the_world() => exchange::may_receive(self.door, &mut self.places, &to).await,
            Ask::Message(message) if self.is_of_the_world() => {
                let places = std::mem::take(&mut self.places);
                let bringer = Bringer { peer: self.client, client: self.session.client(), tls: self.tls.as_deref() };
                Box::pin(exchange::take(self.door, &places, bringer, *message)).await
            }
            Ask::SignIn(credentials) => match submission::sign_in(self.door, self.client, &credentials).await {
                Ok(submitter) => {
                    self.submitter = Some(submitter);
                    self.progress = self.door.clock.tick();
                    Reply::new(235, "2.7.0 welcome")
                }
                Err(reply) => reply,
            },
            Ask::Mail(from) => match &mut self.submitter {
                Some(submitter) => submission::may_send(self.door, submitter, &from).await,
                None => Reply::new(530, "5.7.0 sign in first, with AUTH"),
            },
            Ask::Rcpt(to) => submission::may_receive(&to),
            Ask::Message(message) => match &self.submitter {
                Some(submitter) => submission::take(self.door, submitter, *message).await,
                None => Reply::new(530, "5.7.0 sign in first, with AUTH"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size<F>(_: impl FnOnce(Box<dyn Stream>, SocketAddr, Encryption, &'static Arc<Door>) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_connection_that_waits_takes_little_memory() {
        let octets = size(serve);
        assert!(octets <= 4 * 1024, "{octets}");
    }
}
