//! Mail of others that is passed on: kept as it is, under an envelope that the caller has made.
//!
//! Answers: committed or not, by the same writers as everything else. Nothing is checked of the content and nothing signs it: it is its author's.
//! Does not: make reverse-paths or fields; `inbound` does.

use bytes::Bytes;

use super::{Accept, AcceptError, Accepted};
use crate::mail::fields::Fields;
use crate::mail::headers::{MAX_FIELDS, MAX_HEADER_OCTETS};
use crate::mail::parse::HeaderView;
use crate::model::message::{Label, Priority, Tags, TlsNeed};
use crate::model::{EmailAddress, Envelope, MessageId, ProjectId, ReversePath};
use crate::outbox::{IdempotencyKey, NewMessage, Origin};

/// Characters of a subject or an author that are kept beside the content.
const MAX_SHOWN: usize = 998;

/// A message that is passed on.
#[derive(Clone, Debug)]
pub struct Relayed {
    /// Its id, which stands in its reverse-path.
    pub id: MessageId,
    /// Whose route passes it on.
    pub project: ProjectId,
    /// Ours, or null.
    pub reverse_path: ReversePath,
    /// To whom.
    pub recipient: EmailAddress,
    /// RFC 5322 octets with our fields before them.
    pub content: Bytes,
    /// The stream, which rules of egress pools may name.
    pub stream: Label,
}

impl Accept {
    /// Commits a message that is passed on.
    ///
    /// # Errors
    /// [`AcceptError`], as of [`Accept::send`].
    pub async fn relay(&self, relayed: Relayed, key: Option<IdempotencyKey>) -> Result<Accepted, AcceptError> {
        let message = self.relayed(relayed);
        let fresh = Accepted::fresh(&message);
        Ok(fresh.when(self.inner.batcher.submit(message, key).await?))
    }

    fn relayed(&self, relayed: Relayed) -> NewMessage {
        let Relayed { id, project, reverse_path, recipient, content, stream } = relayed;
        let view = HeaderView::read(&content);
        let shown = |text: &str| text.replace('\0', "").chars().take(MAX_SHOWN).collect::<String>();
        let fields = Fields::split(&content, MAX_FIELDS, MAX_HEADER_OCTETS);
        let (head, body) = content.split_at_checked(fields.body_start.unwrap_or(fields.header_end)).unwrap_or((&content, &[]));
        let is_utf8_address = recipient.needs_smtputf8() || reverse_path.address().is_some_and(EmailAddress::needs_smtputf8);
        let (eight_bit, smtputf8) = (!body.is_ascii(), !head.is_ascii() || is_utf8_address);
        let expire = time::Duration::try_from(self.inner.expire).unwrap_or(time::Duration::MAX);
        NewMessage {
            id,
            project,
            domain: None,
            envelope: Envelope { reverse_path, recipients: vec![recipient] },
            header_from: shown(&view.from.join(", ")),
            subject: shown(&view.subject),
            header_message_id: shown(&view.message_id.clone().unwrap_or_else(|| id.to_string())),
            tags: Tags::default(),
            metadata: serde_json::json!({}),
            priority: Priority::default(),
            stream,
            origin: Origin::Forward,
            send_at: None,
            expires_at: self.inner.clock.now().saturating_add(expire),
            eight_bit,
            smtputf8,
            tls: TlsNeed::ByPolicy,
            content,
        }
    }
}
