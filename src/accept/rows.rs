//! The rows of a message: what is written of it when it is accepted.
//!
//! Does not: write them; `accept::batch` does, many messages at once.

use time::OffsetDateTime;
use uuid::Uuid;

use crate::model::{DomainId, EmailAddress};
use crate::outbox::NewMessage;
use crate::outbox::lane::lane_of;
use crate::store::outbox::{DeliveryRow, MessageRow};

/// The row of a message with its `accepted` event; `packed` is its content as it is stored.
pub(super) fn message(message: &NewMessage, packed: &(i16, Vec<u8>), event_id: Uuid) -> MessageRow {
    MessageRow {
        id: message.id.uuid(),
        event_id,
        project_id: message.project.uuid(),
        domain_id: message.domain.map(DomainId::uuid),
        reverse_path: message.envelope.reverse_path.to_stored(),
        header_from: message.header_from.clone(),
        subject: message.subject.clone(),
        header_message_id: message.header_message_id.clone(),
        tags: serde_json::json!(message.tags),
        metadata: message.metadata.clone(),
        priority: message.priority.to_stored(),
        stream: message.stream.as_str().to_owned(),
        origin: message.origin.to_stored(),
        send_at: message.send_at,
        expires_at: message.expires_at,
        recipients: i16::try_from(message.envelope.recipients.len()).unwrap_or(i16::MAX),
        size: i32::try_from(message.content.len()).unwrap_or(i32::MAX),
        flags: i16::from(message.eight_bit)
            | (i16::from(message.smtputf8) << 1)
            | message.tls.to_flags()
            | (i16::from(message.report_wishes().is_some()) << 4),
        encoding: packed.0,
        content: packed.1.clone(),
        accepted: format!(r#"{{"recipients":{},"size":{}}}"#, message.envelope.recipients.len(), message.content.len()),
    }
}

/// The rows of its deliveries, for this owner.
pub(super) fn deliveries(message: &NewMessage, owner: i64, now: OffsetDateTime) -> impl Iterator<Item = DeliveryRow> {
    message.envelope.recipients.iter().enumerate().map(move |(number, recipient)| DeliveryRow {
        message_id: message.id.uuid(),
        rcpt_no: i16::try_from(number).unwrap_or(i16::MAX),
        project_id: message.project.uuid(),
        lane: lane(message, recipient),
        owner,
        priority: message.priority.to_stored(),
        next_at: message.send_at.unwrap_or(now),
        expires_at: message.expires_at,
        recipient: recipient.to_string(),
        stream: message.stream.as_str().to_owned(),
    })
}

/// The lane in which a delivery waits.
pub(super) fn lane(message: &NewMessage, recipient: &EmailAddress) -> i32 {
    lane_of(recipient.domain(), message.project, message.priority)
}
