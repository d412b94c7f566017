//! Makes of a checked request the message that is kept: its id, its bytes, its envelope.
//!
//! Answers: what exactly is stored and sent. Pure but for the id and the time it is given.
//! Does not: sign (that is done for each attempt) or store.

use std::time::Duration;

use bytes::Bytes;
use time::OffsetDateTime;

use super::checks::{Checked, Content, Parts, Raw};
use crate::mail::compose::{Draft, compose};
use crate::mail::headers::finish_raw;
use crate::model::{DomainId, EmailAddress, Envelope, MessageId, ProjectId, ReversePath};
use crate::outbox::{NewMessage, Origin};

/// What a message gets from outside its request.
pub struct Origins {
    /// Its id.
    pub id: MessageId,
    /// Whose it is.
    pub project: ProjectId,
    /// The domain that signs it.
    pub domain: DomainId,
    /// The time of acceptance.
    pub now: OffsetDateTime,
    /// How long it is tried unless the request says.
    pub expire: Duration,
}

/// Composes or finishes the message.
#[must_use]
pub fn prepare(checked: Checked, origins: &Origins) -> NewMessage {
    let smtputf8 = needs_smtputf8(&checked);
    let start = checked.send_at.unwrap_or(origins.now);
    let expires_at =
        checked.expires_at.unwrap_or_else(|| start.saturating_add(time::Duration::try_from(origins.expire).unwrap_or(time::Duration::MAX)));
    let built = match checked.content {
        Content::Parts(parts) => build(*parts, origins),
        Content::Raw(raw) => finish(&raw, origins),
    };
    NewMessage {
        id: origins.id,
        project: origins.project,
        domain: Some(origins.domain),
        envelope: Envelope { reverse_path: built.reverse_path, recipients: checked.recipients },
        header_from: built.header_from,
        subject: built.subject,
        header_message_id: built.message_id,
        tags: checked.tags,
        metadata: checked.metadata,
        priority: checked.priority,
        stream: checked.stream,
        origin: Origin::Api,
        send_at: checked.send_at,
        expires_at,
        content: built.content,
        eight_bit: built.eight_bit,
        smtputf8,
    }
}

struct Built {
    reverse_path: ReversePath,
    header_from: String,
    subject: String,
    message_id: String,
    content: Bytes,
    eight_bit: bool,
}

fn build(parts: Parts, origins: &Origins) -> Built {
    let message_id = message_id(origins.id, &parts.from.address);
    let reverse_path = ReversePath::Address(parts.from.address.clone());
    let draft = Draft {
        from: parts.from,
        to: parts.to,
        cc: parts.cc,
        reply_to: parts.reply_to,
        subject: parts.subject,
        text: parts.text,
        html: parts.html,
        headers: parts.headers,
        attachments: parts.attachments,
        message_id,
        date: origins.now,
    };
    let content = Bytes::from(compose(&draft));
    Built {
        reverse_path,
        header_from: draft.from.to_string(),
        subject: draft.subject.as_str().to_owned(),
        message_id: draft.message_id,
        content,
        eight_bit: false,
    }
}

fn finish(raw: &Raw, origins: &Origins) -> Built {
    let own = message_id(origins.id, &raw.headers.from.address);
    let content = Bytes::from(finish_raw(&raw.bytes, &own, origins.now));
    Built {
        reverse_path: raw.reverse_path.clone(),
        header_from: raw.headers.from.to_string(),
        subject: raw.headers.subject.clone(),
        message_id: raw.headers.message_id.clone().unwrap_or(own),
        content,
        eight_bit: raw.headers.has_eight_bit_body,
    }
}

/// `<id>@<domain of the author>`: unique by the id, and the same on every attempt.
fn message_id(id: MessageId, from: &EmailAddress) -> String {
    format!("{id}@{}", from.domain())
}

/// True if an address of the envelope or of a header has a local part outside ASCII (RFC 6531).
fn needs_smtputf8(checked: &Checked) -> bool {
    let in_header = match &checked.content {
        Content::Parts(parts) => {
            let mailboxes = [&parts.to, &parts.cc, &parts.reply_to].into_iter().flatten();
            mailboxes.chain([&parts.from]).any(|mailbox| mailbox.address.needs_smtputf8())
        }
        Content::Raw(raw) => raw.headers.from.address.needs_smtputf8() || raw.reverse_path.address().is_some_and(EmailAddress::needs_smtputf8),
    };
    in_header || checked.recipients.iter().any(EmailAddress::needs_smtputf8)
}
