//! The words of an SMTP client: what a session is told, what it is given to send, and how that ends.
//!
//! Answers: per recipient, how far it got and the reply or fault that ended it. A refusal is a value, not an error.
//! Does not: say what an end means for the delivery (see `deliver::verdict`).
//!
//! A message goes out in this order: [`Session::open`] (greeting, EHLO, STARTTLS, EHLO, AUTH), any number of [`Session::send`], then
//! [`Session::quit`]. A session after a fault says so by [`Session::is_reusable`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;

use super::codec::ReplyError;
pub use super::session::Session;
use super::timeouts::Timeouts;
pub use super::wire::Stream;
use crate::model::outcome::Stage;
use crate::model::report_wishes::ReportWishes;
use crate::model::{EmailAddress, Reply, ReversePath, Secret};

/// Whether STARTTLS is used.
#[derive(Clone, Debug)]
pub enum TlsUse {
    /// Never: clear text.
    Off,
    /// If the server offers it. A refused STARTTLS goes on in clear text; a failed handshake ends the session.
    Opportunistic(Arc<ClientConfig>),
    /// Always: no TLS, no mail.
    Require(Arc<ClientConfig>),
    /// Always, from the first octet (RFC 8314 3.3).
    Implicit(Arc<ClientConfig>),
}

/// Who we are to a server that wants to know (RFC 4954).
#[derive(Clone, Debug)]
pub struct Login {
    /// The user name.
    pub username: String,
    /// The password.
    pub password: Secret<String>,
}

/// How a session is opened.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Our name for EHLO: a host name or an address literal.
    pub ehlo_name: String,
    /// Whether STARTTLS is used.
    pub tls: TlsUse,
    /// The time limits.
    pub timeouts: Timeouts,
    /// The name of the host, for TLS (SNI).
    pub server_name: String,
    /// Who we are, if the server wants to know. Told inside TLS only.
    pub login: Option<Login>,
}

/// One message to recipients at one host: MAIL, RCPT.., content.
#[derive(Clone, Copy, Debug)]
pub struct Transaction<'a> {
    /// MAIL FROM.
    pub reverse_path: &'a ReversePath,
    /// RCPT TO, one or more.
    pub recipients: &'a [EmailAddress],
    /// The content in order: signature fields, message. Lines end in CR LF.
    pub content: &'a [&'a [u8]],
    /// Octets of the content.
    pub size: usize,
    /// The content has octets above 127.
    pub eight_bit: bool,
    /// An address or header field needs SMTPUTF8 (RFC 6531).
    pub smtputf8: bool,
    /// The message must not go on without TLS (RFC 8689).
    pub require_tls: bool,
    /// What its sender asked of delivery reports; passed on if the server offers DSN (RFC 3461).
    pub reports: Option<&'a ReportWishes>,
}

/// How a transaction ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// One per recipient, in the order given.
    pub recipients: Vec<RecipientEnd>,
}

/// How a transaction ended for one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecipientEnd {
    /// How far it got. [`Stage::EndOfData`] with a fault: the message may have been taken.
    pub stage: Stage,
    /// What ended it.
    pub end: End,
}

/// What ended a transaction for a recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The server's reply: positive at [`Stage::EndOfData`] means delivered.
    Reply(Reply),
    /// No reply, or none that counts.
    Fault(Fault),
    /// The server would not hear of this recipient in this transaction or session; nothing is said about the recipient.
    /// Send again at once, in a new transaction (or session, if this one is not reusable).
    NotTried(Reply),
}

/// What went wrong where no reply decides.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The peer closed the connection.
    #[error("the connection was closed")]
    Disconnected,
    /// A time limit passed.
    #[error("no answer within {} s", .0.as_secs_f32())]
    TimedOut(Duration),
    /// The system reported an error on the connection.
    #[error("the connection failed: {0}")]
    Io(String),
    /// The server broke the protocol.
    #[error("not SMTP: {0}")]
    Protocol(String),
    /// TLS was wanted and could not be had.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// A login is needed and could not be tried: nothing was told.
    #[error("AUTH is not possible: {0}")]
    Auth(&'static str),
    /// TLS is a must and the server does not offer it.
    #[error("TLS failed: the server does not offer STARTTLS")]
    TlsNotOffered,
    /// The message needs REQUIRETLS (RFC 8689), which the server does not offer.
    #[error("the message needs REQUIRETLS, which the server does not offer")]
    RequireTlsMissing,
    /// The message has more octets than the server takes.
    #[error("the message is larger than the {limit} octets the server takes")]
    SizeExceeded {
        /// The limit of the server's SIZE.
        limit: u64,
    },
    /// The message needs SMTPUTF8, which the server does not offer.
    #[error("the message needs SMTPUTF8, which the server does not offer")]
    Smtputf8Missing,
    /// The message has 8-bit content, which the server does not take.
    #[error("the message has 8-bit content, which the server does not take")]
    EightBitMissing,
}

impl From<ReplyError> for Fault {
    fn from(error: ReplyError) -> Self {
        Self::Protocol(error.to_string())
    }
}

/// Why a session could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{cause}")]
pub struct Failure {
    /// How far it got.
    pub stage: Stage,
    /// What ended it.
    pub cause: Cause,
    /// The dialogue up to there.
    pub transcript: Vec<String>,
}

/// What ended the opening of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The server's reply.
    Reply(Reply),
    /// No reply, or none that counts.
    Fault(Fault),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reply(reply) => reply.fmt(f),
            Self::Fault(fault) => fault.fmt(f),
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reply(reply) | Self::NotTried(reply) => reply.fmt(f),
            Self::Fault(fault) => fault.fmt(f),
        }
    }
}
