//! A message that was checked and prepared, on its way into the outbox.

use bytes::Bytes;
use time::OffsetDateTime;

use crate::model::message::{Label, Priority, Tags, TlsNeed};
use crate::model::report_wishes::ReportWishes;
use crate::model::{DomainId, Envelope, MessageId, ProjectId};

/// The door a message came through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `POST /v1/send`
    Api,
    /// Submission.
    Smtp,
    /// The command line.
    Cli,
    /// Mail from the world that is passed on.
    Forward,
}

impl Origin {
    /// As the database keeps it.
    #[must_use]
    pub const fn to_stored(self) -> i16 {
        match self {
            Self::Api => 1,
            Self::Smtp => 2,
            Self::Cli => 3,
            Self::Forward => 4,
        }
    }
}

/// Everything the outbox keeps of a message.
#[derive(Clone, Debug)]
pub struct NewMessage {
    /// Made by the clock: carries the time of acceptance.
    pub id: MessageId,
    /// Whose it is.
    pub project: ProjectId,
    /// Whose DKIM keys sign it; none where an unverified sender was allowed.
    pub domain: Option<DomainId>,
    /// Where it goes; recipients are distinct, at least one, at most 32,767.
    pub envelope: Envelope,
    /// The address of its From field.
    pub header_from: String,
    /// Decoded.
    pub subject: String,
    /// Without brackets.
    pub header_message_id: String,
    /// The user's.
    pub tags: Tags,
    /// The user's; an object.
    pub metadata: serde_json::Value,
    /// Which goes first.
    pub priority: Priority,
    /// The user's.
    pub stream: Label,
    /// The door.
    pub origin: Origin,
    /// Not before.
    pub send_at: Option<OffsetDateTime>,
    /// Not after.
    pub expires_at: OffsetDateTime,
    /// RFC 5322 octets without our signature.
    pub content: Bytes,
    /// The body has octets above 127.
    pub eight_bit: bool,
    /// An address or header field has them.
    pub smtputf8: bool,
    /// What it wants of TLS.
    pub tls: TlsNeed,
}

impl NewMessage {
    /// What its sender asked of delivery reports: who submits by SMTP may, and it stands in the metadata. That of the API is its user's own.
    #[must_use]
    pub fn report_wishes(&self) -> Option<ReportWishes> {
        ReportWishes::of(&self.metadata).filter(|_| self.origin == Origin::Smtp)
    }
}

/// A caller's promise that requests with this key are one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// 1 to 256 printable characters, the caller's own.
    pub key: String,
    /// SHA-256 of the request's body, to tell a repeat from a misuse.
    pub request_hash: [u8; 32],
}
