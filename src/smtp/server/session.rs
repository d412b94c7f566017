//! One session as a server leads it: the order of commands, and what each is answered (RFC 5321 4.1.4, 4.3; RFC 6409; RFC 2920).
//!
//! Answers: [`Session::step`] works off what has come and says what is needed next: more octets, a handshake, or somebody's judgement, which
//! [`Session::answer`] takes. The reply alone decides: a positive one to MAIL opens the transaction, to RCPT adds the recipient.
//! Does not: read, write, wait or know the time.

mod receive;
mod sign_in;

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::BytesMut;

use super::auth::{Credentials, Exchange, MAX_RESPONSE_OCTETS};
use super::command::{self, Command, reply};
use super::content::{self, ChunkReader, Content, DotReader};
use super::lines::{Line, Lines};
use super::parameter::{MailParameters, RcptParameters};
use super::path::Recipient;
use super::reply::write;
use crate::model::{Reply, ReversePath};

/// Octets of a command, its end included: 512 (RFC 5321 4.5.3.1.4) and what the extensions add.
const MAX_COMMAND_OCTETS: usize = 2048;
/// Refused commands before the client is sent away.
const MAX_ERRORS: u32 = 20;
/// Commands without a message before the client is sent away, beside one for each recipient allowed. A chunk of a message is none of them, unless
/// it is so small that it could be there to keep the session.
const MAX_IDLE_COMMANDS: usize = 200;
/// Octets of a chunk that brings a message on.
const MIN_CHUNK_OCTETS: u64 = 1024;

/// What a listener is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Our users: TLS and signing in come first (RFC 6409, RFC 8314).
    Submission,
    /// The world: no signing in.
    Exchange,
}

/// What sessions of one listener have in common.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Our name.
    pub hostname: String,
    /// What it is for.
    pub purpose: Purpose,
    /// Octets of a message.
    pub max_octets: usize,
    /// Recipients of a message.
    pub max_recipients: usize,
}

/// What a session runs over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// Clear text.
    Clear,
    /// TLS.
    Tls,
}

/// How a client greets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Greeting {
    /// With extensions.
    Ehlo,
    /// Without.
    Helo,
}

/// A recipient as it was named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Who.
    pub recipient: Recipient,
    /// With which parameters.
    pub parameters: RcptParameters,
}

/// A message whose octets have all come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// MAIL FROM.
    pub reverse_path: ReversePath,
    /// Its parameters.
    pub parameters: MailParameters,
    /// RCPT TO, one or more.
    pub recipients: Vec<Named>,
    /// The content; every line ends in CRLF.
    pub content: Vec<u8>,
}

/// What somebody else has to judge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// May they sign in? 235 is yes.
    SignIn(Credentials),
    /// May a message come from here?
    Mail(ReversePath),
    /// May it go there?
    Rcpt(Recipient),
    /// Take it.
    Message(Box<Message>),
}

/// What a session needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// More octets.
    Read,
    /// [`Session::answer`].
    Ask(Ask),
    /// What was said so far be sent, then TLS, then [`Session::tls_started`].
    StartTls,
    /// What was said so far be sent, and the connection closed.
    Close,
}

#[derive(Debug)]
enum Phase {
    Command,
    SignIn(Exchange),
    Data(DotReader),
    Chunk { left: u64, last: bool },
    Closed,
}

#[derive(Debug)]
enum Asked {
    SignIn,
    Mail(MailParameters, ReversePath),
    Rcpt(Named),
    Message,
}

#[derive(Debug)]
struct Transaction {
    reverse_path: ReversePath,
    parameters: MailParameters,
    recipients: Vec<Named>,
    content: Content,
    /// Chunks came.
    chunks: Option<ChunkReader>,
}

/// A session.
#[derive(Debug)]
pub struct Session {
    settings: Arc<Settings>,
    channel: Channel,
    /// What the client calls itself, and how it said so.
    client: Option<(String, Greeting)>,
    signed_in: bool,
    transaction: Option<Transaction>,
    phase: Phase,
    asked: Option<Asked>,
    lines: Lines,
    errors: u32,
    idle_commands: usize,
    /// No command came yet.
    is_fresh: bool,
}

impl Session {
    /// Begins a session; [`Session::greet`] comes next.
    #[must_use]
    pub fn new(settings: Arc<Settings>, channel: Channel) -> Self {
        Self {
            settings,
            channel,
            client: None,
            signed_in: false,
            transaction: None,
            phase: Phase::Command,
            asked: None,
            lines: Lines::default(),
            errors: 0,
            idle_commands: 0,
            is_fresh: true,
        }
    }

    /// Says who we are.
    pub fn greet(&self, output: &mut Vec<u8>) {
        write(output, &Reply::new(220, format!("{} ESMTP", self.settings.hostname)));
    }

    /// Octets of memory that its message takes.
    #[must_use]
    pub fn held(&self) -> usize {
        self.transaction.as_ref().map_or(0, |transaction| transaction.content.held())
    }

    /// Octets of the message that came so far.
    #[must_use]
    pub fn content_octets(&self) -> u64 {
        self.transaction.as_ref().map_or(0, |transaction| transaction.content.counted())
    }

    /// True while a message is on its way: who stops now loses what came of it.
    #[must_use]
    pub const fn is_busy(&self) -> bool {
        self.transaction.is_some() || self.asked.is_some()
    }

    /// True once a user has signed in.
    #[must_use]
    pub const fn is_signed_in(&self) -> bool {
        self.signed_in
    }

    /// What the client calls itself, which proves nothing, and how it greeted; none before it did.
    #[must_use]
    pub fn client(&self) -> Option<(&str, Greeting)> {
        self.client.as_ref().map(|(name, greeting)| (name.as_str(), *greeting))
    }

    /// Keeps no more of the message that comes, and answers `reason` at its end.
    pub fn refuse_content(&mut self, reason: Reply) {
        if let Some(transaction) = &mut self.transaction {
            transaction.content.refuse(reason);
        }
    }

    /// Ends the session with this reply.
    pub fn end(&mut self, output: &mut Vec<u8>, reason: &Reply) {
        write(output, reason);
        self.transaction = None;
        self.phase = Phase::Closed;
    }

    /// TLS runs now: nothing that was known before holds (RFC 3207 4.2).
    pub fn tls_started(&mut self) {
        let fresh = Self::new(Arc::clone(&self.settings), Channel::Tls);
        *self = Self { errors: self.errors, is_fresh: false, ..fresh };
    }

    /// Works off `input` as far as it goes.
    pub fn step(&mut self, input: &mut BytesMut, output: &mut Vec<u8>) -> Next {
        loop {
            let next = match &self.phase {
                Phase::Closed => Some(Next::Close),
                Phase::Command => self.command(input, output),
                Phase::SignIn(_) => self.sign_in_line(input, output),
                Phase::Data(_) => self.data(input, output),
                Phase::Chunk { left, last } => {
                    let (left, last) = (*left, *last);
                    self.chunk(input, output, left, last)
                }
            };
            if let Some(next) = next {
                return next;
            }
        }
    }

    /// Takes the judgement that was asked for.
    pub fn answer(&mut self, output: &mut Vec<u8>, reply: &Reply) {
        let taken = reply.is_positive();
        match self.asked.take() {
            Some(Asked::SignIn) => self.signed_in = taken,
            Some(Asked::Mail(parameters, reverse_path)) if taken => {
                let content = Content::new(self.settings.max_octets);
                self.transaction = Some(Transaction { reverse_path, parameters, recipients: Vec::new(), content, chunks: None });
            }
            Some(Asked::Rcpt(named)) if taken => {
                if let Some(transaction) = &mut self.transaction {
                    transaction.recipients.push(named);
                }
            }
            Some(Asked::Message) if taken => (self.errors, self.idle_commands) = (0, 0),
            _ => {}
        }
        self.say(output, reply);
        if reply.code == 421 {
            self.phase = Phase::Closed;
        }
    }

    /// Writes a reply and counts it. Too many refusals end the session.
    fn say(&mut self, output: &mut Vec<u8>, reply: &Reply) {
        write(output, reply);
        if reply.code >= 500 {
            self.errors += 1;
            if self.errors >= MAX_ERRORS {
                self.end(output, &command::reply("421 4.7.0 too many errors, good bye"));
            }
        }
    }

    fn tell(&mut self, output: &mut Vec<u8>, text: &str) {
        self.say(output, &reply(text));
    }

    /// The next line of at most `most` octets; none if there is none, with what was said of it.
    fn line(&mut self, input: &mut BytesMut, output: &mut Vec<u8>, most: usize) -> Result<BytesMut, Option<Next>> {
        match self.lines.next(input, most) {
            Line::Whole(line) => return Ok(line),
            Line::Partial => return Err(Some(Next::Read)),
            Line::TooLong => self.tell(output, "500 5.5.2 the line is too long"),
            Line::BareLineFeed => self.tell(output, "500 5.5.2 a line must end in CRLF; this one was not executed"),
            Line::Endless => self.end(output, &reply("421 4.7.0 the line does not end, good bye")),
        }
        Err(None)
    }

    fn command(&mut self, input: &mut BytesMut, output: &mut Vec<u8>) -> Option<Next> {
        if self.is_fresh && input.first() == Some(&0x16) {
            self.end(output, &reply("500 5.5.2 this port begins in the clear, then STARTTLS; TLS from the first octet is spoken on port 465"));
            return None;
        }
        let line = match self.line(input, output, MAX_RESPONSE_OCTETS) {
            Ok(line) => line,
            Err(next) => return next,
        };
        if std::mem::replace(&mut self.is_fresh, false) && command::is_foreign(&line) {
            self.end(output, &reply("500 5.5.2 this is a mail server; good bye"));
            return None;
        }
        self.idle_commands += 1;
        if self.idle_commands > MAX_IDLE_COMMANDS + self.settings.max_recipients {
            self.end(output, &reply("421 4.7.0 too many commands without a message, good bye"));
            return None;
        }
        if line.len() + 2 > MAX_COMMAND_OCTETS && !line.get(..5).is_some_and(|verb| verb.eq_ignore_ascii_case(b"AUTH ")) {
            self.tell(output, "500 5.5.2 the line is too long");
            return None;
        }
        match command::parse(&line) {
            Ok(command) => self.obey(command, input, output),
            Err(error) => {
                self.say(output, &error.reply());
                None
            }
        }
    }

    fn obey(&mut self, command: Command, input: &mut BytesMut, output: &mut Vec<u8>) -> Option<Next> {
        match command {
            Command::Ehlo(name) => self.hello(output, name, Greeting::Ehlo),
            Command::Helo(name) => self.hello(output, name, Greeting::Helo),
            Command::StartTls => return self.start_tls(input, output),
            Command::Auth { mechanism, initial } => return self.auth(output, &mechanism, initial.as_deref()),
            Command::Mail { from, parameters, is_utf8 } => return self.mail(output, from, parameters, is_utf8),
            Command::Rcpt { to, parameters, is_utf8 } => return self.rcpt(output, Named { recipient: to, parameters }, is_utf8),
            Command::Data => self.begin_data(output),
            // The octets of a chunk come whatever is answered (RFC 3030 2).
            Command::Bdat { size, last } => {
                if size >= MIN_CHUNK_OCTETS && self.no_content().is_none() {
                    self.idle_commands = self.idle_commands.saturating_sub(1);
                }
                self.phase = Phase::Chunk { left: size, last };
            }
            Command::Rset => {
                self.transaction = None;
                self.tell(output, "250 2.0.0 reset");
            }
            Command::Noop => self.tell(output, "250 2.0.0 ok"),
            Command::Vrfy => self.tell(output, "252 2.5.0 addresses are not confirmed; send to it and see"),
            Command::Expn => self.tell(output, "502 5.5.1 lists are not shown"),
            Command::Help => self.tell(output, "214 2.0.0 see RFC 5321 and RFC 6409"),
            Command::Quit => self.end(output, &reply("221 2.0.0 good bye")),
        }
        None
    }

    fn hello(&mut self, output: &mut Vec<u8>, name: String, greeting: Greeting) {
        self.client = Some((name, greeting));
        self.transaction = None;
        let mut text = self.settings.hostname.clone();
        if greeting == Greeting::Ehlo {
            text.push_str("\nPIPELINING\n8BITMIME\nSMTPUTF8\nENHANCEDSTATUSCODES\nCHUNKING");
            // Who offers DSN to the world owes it reports about what it takes for them (RFC 3461 5.2); what we take there ends here.
            text.push_str(match (self.channel, self.settings.purpose) {
                (Channel::Clear, Purpose::Submission) => "\nDSN\nSTARTTLS",
                (Channel::Clear, Purpose::Exchange) => "\nSTARTTLS",
                (Channel::Tls, Purpose::Submission) => "\nDSN\nAUTH PLAIN LOGIN\nREQUIRETLS",
                (Channel::Tls, Purpose::Exchange) => "\nREQUIRETLS",
            });
            // Writing to a String cannot fail.
            let _ = write!(text, "\nSIZE {}", self.settings.max_octets);
        }
        self.say(output, &Reply::new(250, text));
    }

    fn start_tls(&mut self, input: &mut BytesMut, output: &mut Vec<u8>) -> Option<Next> {
        if self.channel == Channel::Tls {
            self.tell(output, "503 5.5.1 TLS runs already");
            return None;
        }
        self.tell(output, "220 2.0.0 go ahead");
        // What was sent behind STARTTLS came in the clear, from anybody: it is not answered and not kept (RFC 3207 4.2, 5).
        self.lines.clear(input);
        Some(Next::StartTls)
    }

    /// What keeps a transaction from beginning; none if nothing does.
    fn not_yet(&self) -> Option<&'static str> {
        match (self.settings.purpose, self.channel) {
            _ if self.client.is_none() => Some("503 5.5.1 EHLO comes first"),
            (Purpose::Submission, Channel::Clear) => Some("530 5.7.0 STARTTLS comes first"),
            (Purpose::Submission, Channel::Tls) if !self.signed_in => Some("530 5.7.0 sign in first, with AUTH"),
            _ => None,
        }
    }

    fn mail(&mut self, output: &mut Vec<u8>, from: ReversePath, parameters: MailParameters, is_utf8: bool) -> Option<Next> {
        let limit = self.settings.max_octets;
        if let Some(text) = self.not_yet() {
            self.tell(output, text);
        } else if self.transaction.is_some() {
            self.tell(output, "503 5.5.1 a transaction runs already; end it, or RSET");
        } else if is_utf8 && !parameters.smtputf8 {
            self.tell(output, "553 5.6.7 an address in UTF-8 needs the parameter SMTPUTF8");
        } else if parameters.require_tls && self.channel == Channel::Clear {
            self.tell(output, "555 5.5.4 REQUIRETLS is offered within TLS only");
        } else if parameters.size.is_some_and(|size| size > limit as u64) {
            self.say(output, &content::too_large(limit));
        } else {
            self.asked = Some(Asked::Mail(parameters, from.clone()));
            return Some(Next::Ask(Ask::Mail(from)));
        }
        None
    }

    fn rcpt(&mut self, output: &mut Vec<u8>, named: Named, is_utf8: bool) -> Option<Next> {
        let most = self.settings.max_recipients;
        match &self.transaction {
            None => self.tell(output, self.not_yet().unwrap_or("503 5.5.1 MAIL comes first")),
            Some(transaction) if transaction.chunks.is_some() => self.tell(output, "503 5.5.1 not between chunks"),
            Some(transaction) if is_utf8 && !transaction.parameters.smtputf8 => {
                self.tell(output, "553 5.6.7 an address in UTF-8 needs the parameter SMTPUTF8 of MAIL");
            }
            Some(transaction) if transaction.recipients.len() >= most => {
                self.tell(output, &format!("452 4.5.3 a message has at most {most} recipients here; send it to the others by another"));
            }
            Some(_) => {
                let recipient = named.recipient.clone();
                self.asked = Some(Asked::Rcpt(named));
                return Some(Next::Ask(Ask::Rcpt(recipient)));
            }
        }
        None
    }
}
