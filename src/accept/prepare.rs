//! Makes of a checked request the message that is kept: its id, its bytes, its envelope.
//!
//! Answers: what exactly is stored and sent. Pure but for the id and the time it is given.
//! Does not: sign (that is done for each attempt) or store.

use std::time::Duration;

use bytes::Bytes;
use time::OffsetDateTime;

use super::checks::{Checked, Content, Parts, Raw};
use crate::clock::time_of;
use crate::mail::compose::{Draft, compose};
use crate::mail::headers::{finish_raw, received};
use crate::model::message::TlsNeed;
use crate::model::{DomainId, EmailAddress, Envelope, MessageId, ProjectId, ReversePath};
use crate::outbox::{NewMessage, Origin};

/// Characters of a subject that are kept beside the content.
const MAX_SUBJECT_CHARACTERS: usize = 998;

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
    let tls = tls_need(&checked);
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
        tls,
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
        header_from: draft.from.address.to_string(),
        subject: draft.subject.as_str().to_owned(),
        message_id: draft.message_id,
        content,
        eight_bit: false,
    }
}

fn finish(raw: &Raw, origins: &Origins) -> Built {
    let own = message_id(origins.id, &raw.headers.from.address);
    let trace = raw.trace.as_ref();
    let trace = trace.map(|trace| received(&trace.hostname, trace.protocol, &origins.id.to_string(), time_of(origins.id.uuid())));
    let content = Bytes::from(finish_raw(&raw.bytes, trace.as_deref().unwrap_or_default(), &own, origins.now));
    Built {
        reverse_path: raw.reverse_path.clone(),
        header_from: raw.headers.from.address.to_string(),
        subject: storable(&raw.headers.subject),
        message_id: raw.headers.message_id.clone().unwrap_or(own),
        content,
        eight_bit: raw.headers.has_eight_bit_body,
    }
}

/// A subject as it is kept to be searched and shown: its folded lines have no limit together.
fn storable(subject: &str) -> String {
    subject.chars().take(MAX_SUBJECT_CHARACTERS).collect()
}

/// `<id>@<domain of the author>`: unique by the id, and the same on every attempt.
fn message_id(id: MessageId, from: &EmailAddress) -> String {
    format!("{id}@{}", from.domain())
}

/// What the message wants of TLS. Who asks for REQUIRETLS gets it, whatever the header says (RFC 8689 4.1).
fn tls_need(checked: &Checked) -> TlsNeed {
    let waived = match &checked.content {
        Content::Parts(parts) => parts
            .headers
            .iter()
            .any(|(name, value)| name.as_str().eq_ignore_ascii_case("TLS-Required") && value.as_str().trim().eq_ignore_ascii_case("no")),
        Content::Raw(raw) => raw.headers.waives_tls,
    };
    match (checked.require_tls, waived) {
        (true, _) => TlsNeed::Required,
        (false, true) => TlsNeed::Waived,
        (false, false) => TlsNeed::ByPolicy,
    }
}

/// True if an address of the envelope or the header is not in ASCII (RFC 6531 3.2). A composed header is, but for local parts.
fn needs_smtputf8(checked: &Checked) -> bool {
    let in_header = match &checked.content {
        Content::Parts(parts) => {
            let mailboxes = [&parts.to, &parts.cc, &parts.reply_to].into_iter().flatten();
            mailboxes.chain([&parts.from]).any(|mailbox| mailbox.address.needs_smtputf8())
        }
        Content::Raw(raw) => raw.headers.needs_smtputf8 || raw.reverse_path.address().is_some_and(EmailAddress::needs_smtputf8),
    };
    in_header || checked.recipients.iter().any(EmailAddress::needs_smtputf8)
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::json;
    use time::macros::datetime;
    use uuid::Uuid;

    use super::*;
    use crate::accept::checks::check;
    use crate::config::{Config, Limits};

    fn prepared(request: serde_json::Value) -> NewMessage {
        let limits = Limits {
            message_octets: 1 << 20,
            recipients: 50,
            attachments: 20,
            headers: 50,
            request_memory_octets: 1 << 26,
            ..Config::default().limits
        };
        let now = datetime!(2026-12-01 09:00 UTC);
        let checked = check(serde_json::from_value(request).unwrap(), &limits, now).map_err(|faults| format!("{faults:?}")).unwrap();
        let [id, project, domain] = [1, 2, 3].map(Uuid::from_u128);
        let (id, project, domain) = (MessageId::from_uuid(id), ProjectId::from_uuid(project), DomainId::from_uuid(domain));
        prepare(checked, &Origins { id, project, domain, now, expire: Duration::from_hours(120) })
    }

    fn raw(message: &str) -> NewMessage {
        prepared(json!({"envelope": {"from": "bounce@example.com", "to": "a@example.net"}, "raw": STANDARD.encode(message)}))
    }

    #[test]
    fn a_composed_message_names_its_recipients_but_the_hidden_ones() {
        let message = prepared(json!({
            "from": "Penny <hello@example.com>", "to": ["a@example.net"], "cc": "c@example.net", "bcc": ["hidden@example.org", "a@example.net"],
            "subject": "Hi", "text": "Hello"
        }));
        let content = String::from_utf8(message.content.to_vec()).unwrap();
        let recipients: Vec<_> = message.envelope.recipients.iter().map(ToString::to_string).collect();
        assert_eq!(recipients, ["a@example.net", "c@example.net", "hidden@example.org"]);
        assert!(!content.contains("hidden") && !content.to_ascii_lowercase().contains("bcc"), "{content}");
        assert_eq!(message.envelope.reverse_path.to_string(), "<hello@example.com>");
        assert_eq!((message.header_from.as_str(), message.subject.as_str()), ("hello@example.com", "Hi"));
        assert!(content.contains(&format!("Message-ID: <{}>", message.header_message_id)), "{content}");
        assert_eq!(message.header_message_id, format!("{}@example.com", message.id));
        assert!(!message.eight_bit && !message.smtputf8);
    }

    #[test]
    fn it_expires_a_while_after_its_first_attempt_unless_told_when() {
        let base = json!({"from": "hello@example.com", "to": "a@example.net", "subject": "Hi", "text": "Hello"});
        let with = |more: serde_json::Value| {
            let mut whole = base.clone();
            whole.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            prepared(whole).expires_at
        };
        assert_eq!(with(json!({})), datetime!(2026-12-06 09:00 UTC));
        assert_eq!(with(json!({"send_at": "2026-12-03T09:00:00Z"})), datetime!(2026-12-08 09:00 UTC));
        assert_eq!(with(json!({"expires_at": "2026-12-01T10:00:00Z"})), datetime!(2026-12-01 10:00 UTC));
    }

    #[test]
    fn a_local_part_outside_ascii_needs_smtputf8_and_an_idn_does_not() {
        let to = |to: &str| prepared(json!({"from": "hello@example.com", "to": to, "subject": "Hi", "text": "Hello"})).smtputf8;
        assert!(to("üser@example.net"));
        assert!(!to("user@bücher.example"));
    }

    #[test]
    fn what_a_message_wants_of_tls_is_read_from_the_request_and_the_header() {
        let with = |more: serde_json::Value| {
            let mut whole = json!({"from": "hello@example.com", "to": "a@example.net", "subject": "Hi", "text": "Hello"});
            whole.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            prepared(whole).tls
        };
        assert_eq!(with(json!({})), TlsNeed::ByPolicy);
        assert_eq!(with(json!({"require_tls": true})), TlsNeed::Required);
        assert_eq!(with(json!({"headers": {"TLS-Required": "No"}})), TlsNeed::Waived);
        assert_eq!(with(json!({"headers": {"TLS-Required": "Yes"}})), TlsNeed::ByPolicy);
        assert_eq!(with(json!({"headers": {"tls-required": "no"}, "require_tls": true})), TlsNeed::Required);
        assert_eq!(raw("From: hello@example.com\r\nTLS-Required: No\r\n\r\nHello\r\n").tls, TlsNeed::Waived);
        assert_eq!(raw("From: hello@example.com\r\n\r\nTLS-Required: No\r\n").tls, TlsNeed::ByPolicy);
        for need in [TlsNeed::ByPolicy, TlsNeed::Required, TlsNeed::Waived] {
            assert_eq!(TlsNeed::from_flags(need.to_flags() | 3), need);
        }
    }

    #[test]
    fn a_raw_message_stays_as_it_is_but_for_what_is_missing() {
        let whole =
            "Message-ID: <7@shop.example>\r\nDate: Tue, 1 Dec 2026 09:00:00 +0000\r\nFrom: Penny <hello@example.com>\r\nSubject: Hi\r\n\r\nHello\r\n";
        let message = raw(whole);
        assert_eq!(message.content, whole);
        assert_eq!(message.header_message_id, "7@shop.example");
        assert_eq!(message.envelope.reverse_path.to_string(), "<bounce@example.com>");
        let bare = "From: hello@example.com\r\nBcc: hidden@example.org\r\n\r\nHello\r\n";
        let message = raw(bare);
        let content = String::from_utf8(message.content.to_vec()).unwrap();
        assert!(content.ends_with("From: hello@example.com\r\n\r\nHello\r\n") && !content.contains("hidden"), "{content}");
        assert!(content.contains(&format!("Message-ID: <{}>", message.header_message_id)) && content.contains("Date: "), "{content}");
    }

    #[test]
    fn an_endless_subject_is_cut_where_it_is_kept_and_not_where_it_is_sent() {
        let message = raw(&format!("From: hello@example.com\r\nSubject: {}end\r\n\r\nHello\r\n", "word \r\n ".repeat(1000)));
        assert_eq!(message.subject.chars().count(), MAX_SUBJECT_CHARACTERS);
        assert!(message.content.windows(3).any(|octets| octets == b"end"));
    }
}
