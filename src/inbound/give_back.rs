//! What is owed to the senders of mail that was passed on: reports that come back to our reverse-path, and our own where the outbox gave up.
//!
//! Answers: gives a report to the sender of the message only where SPF or DKIM proved that sender: to all others it would be backscatter (F6). A message with a null
//! reverse-path gets none, nor does one whose refusal was the reply in its session. A reverse-path of ours holds for three weeks and gives back five reports.
//! Does not: read reports that come back; they go on as they are.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use serde_json::json;
use time::OffsetDateTime;

use super::Reception;
use super::authenticate::{Arrived, Authenticated};
use crate::accept::relay::Relayed;
use crate::accept::{Accept, AcceptError};
use crate::access::{Caller, Scope};
use crate::clock::{Clock, first_id_at, time_of};
use crate::events::EventKind;
use crate::mail::report::Action;
use crate::mail::report::compose::{Notice, NoticeRecipient, Returned, compose};
use crate::model::message::Label;
use crate::model::{EmailAddress, EnhancedStatus, KeyId, MessageId, ProjectId, Reply, ReversePath};
use crate::outbox::{IdempotencyKey, content};
use crate::store::forwarded::{self as table, ForwardedRow};
use crate::store::{Store, StoreError};
use crate::supervisor::Supervisor;
use crate::telemetry::metrics;

/// How long a reverse-path of ours holds (F7).
const HOLDS: time::Duration = time::Duration::days(21);
/// Reports that one message gives back.
const MOST: i16 = 5;
/// Octets of a report that is given back.
const MAX_OCTETS: usize = 1024 * 1024;
/// How often it is looked whether a report is owed.
const POLL: Duration = Duration::from_secs(15);
/// Who looks keeps the others away for so long.
const LEASE: Duration = Duration::from_mins(2);
/// How long until the next look at what is still tried.
const AGAIN: Duration = Duration::from_mins(10);
/// Messages looked at in one go.
const CHUNK: i64 = 50;
/// How long what was passed on is remembered.
const KEPT: time::Duration = time::Duration::days(30);

impl Reception {
    /// Takes what came to the reverse-path of a message that was passed on.
    pub(super) async fn returned(&self, id: MessageId, address: &EmailAddress, arrived: &Arrived, authenticated: &Authenticated) -> Reply {
        match self.give_on(id, address, arrived, authenticated).await {
            Ok(reply) => reply,
            Err(error) => {
                metrics::database_error(error.kind());
                tracing::warn!(%error, "a report could not be given back; its sender tries again");
                Reply::new(451, "4.3.0 the report cannot be passed on now; try again later")
            }
        }
    }

    async fn give_on(&self, id: MessageId, address: &EmailAddress, arrived: &Arrived, authenticated: &Authenticated) -> Result<Reply, StoreError> {
        if arrived.reverse_path.address().is_some() {
            return Ok(Reply::new(550, "5.7.1 this address takes delivery reports only, with a null reverse-path"));
        }
        let now = self.reports.clock.now();
        let row = if now - time_of(id.uuid()) > HOLDS { None } else { table::get(&self.reports.store, id.uuid()).await? };
        let Some(row) = row else { return Ok(Reply::new(550, "5.1.1 this address has expired")) };
        let sender = EmailAddress::parse(&row.reverse_path).ok().filter(|_| row.authenticated && arrived.content.len() <= MAX_OCTETS);
        let heard = Reply::new(250, "2.6.0 heard");
        let Some(sender) = sender else {
            metrics::given_back("dropped");
            tracing::info!(message = %id, "a report about a message that was passed on is dropped: its sender is not proven, or it is too large");
            return Ok(heard);
        };
        if !table::give_back(&self.reports.store, id.uuid(), MOST).await? {
            metrics::given_back("too_many");
            return Ok(heard);
        }
        let new = MessageId::from_uuid(self.reports.clock.uuid());
        let relayed = Relayed {
            id: new,
            project: ProjectId::from_uuid(row.project_id),
            reverse_path: ReversePath::Null,
            recipient: sender,
            content: self.report(new, address, arrived, authenticated),
            stream: label()?,
        };
        let mut text = format!("{id}\n").into_bytes();
        text.extend_from_slice(&arrived.content);
        match self.accept.relay(relayed, Some(key("report", &text))).await {
            Ok(_) => {
                metrics::given_back("given");
                tracing::info!(message = %id, report = %new, "a report about a message that was passed on goes back to its sender");
                Ok(heard)
            }
            Err(AcceptError::StorageFull) => Ok(Reply::new(452, "4.3.1 there is no room for more messages; try again later")),
            Err(error) => {
                tracing::warn!(%error, "a report could not be given back; its sender tries again");
                Ok(Reply::new(451, "4.3.0 the report cannot be passed on now; try again later"))
            }
        }
    }

    /// The report with our fields before it.
    fn report(&self, id: MessageId, address: &EmailAddress, arrived: &Arrived, authenticated: &Authenticated) -> Bytes {
        let to = address.to_string();
        let received = arrived.received(&self.hostname, authenticated, &id.to_string(), time_of(id.uuid()), &to);
        [received.as_bytes(), format!("Delivered-To: {to}\r\n").as_bytes(), authenticated.fields.as_bytes(), &arrived.content].concat().into()
    }
}

/// Looks whether reports are owed.
#[derive(Clone)]
pub struct GiveBack {
    /// The database.
    pub store: Store,
    /// The way out.
    pub accept: Accept,
    /// Time.
    pub clock: Clock,
    /// Our name.
    pub hostname: String,
}

impl GiveBack {
    /// Looks every few seconds until the process drains.
    pub async fn run(self, supervisor: Supervisor) {
        while !supervisor.is_draining() {
            if let Err(error) = self.round().await {
                metrics::database_error(error.kind());
                tracing::warn!(%error, "what is owed to senders of forwarded mail could not be looked up; trying again");
            }
            tokio::select! {
                () = self.clock.sleep(POLL) => {}
                () = supervisor.draining() => {}
            }
        }
    }

    async fn round(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        for row in table::due(&self.store, now, now + LEASE, CHUNK).await? {
            let next = self.look(&row).await?;
            table::check_at(&self.store, row.message_id, next).await?;
        }
        self.store.delete_forwarded(first_id_at(now - KEPT), CHUNK).await?;
        Ok(())
    }

    /// Sends the report that is due; answers when to look again.
    async fn look(&self, row: &ForwardedRow) -> Result<Option<OffsetDateTime>, StoreError> {
        let now = self.clock.now();
        let last = table::last_word(&self.store, row.message_id).await?;
        if last.outstanding {
            return Ok(Some(now + AGAIN));
        }
        let failed = matches!(last.kind.and_then(EventKind::from_stored), Some(EventKind::Bounced | EventKind::Expired | EventKind::Suppressed));
        if !failed || row.passed_back {
            return Ok(None);
        }
        let id = MessageId::from_uuid(row.message_id);
        if !row.authenticated || row.reverse_path.is_empty() {
            metrics::given_back("dropped");
            tracing::info!(message = %id, "a message that was passed on failed; its sender is not proven, and not told");
            return Ok(None);
        }
        let reply = last.data.as_ref().and_then(|data| data.get("reply")).and_then(|reply| reply.as_str()).unwrap_or("not delivered within its time");
        match self.send(row, id, reply).await? {
            Ok(()) => {
                metrics::given_back("reported");
                tracing::info!(message = %id, "a message that was passed on failed; its sender is told");
                Ok(None)
            }
            Err(error @ (AcceptError::Overloaded | AcceptError::StorageFull | AcceptError::Unavailable(_) | AcceptError::InProgress)) => {
                tracing::warn!(message = %id, %error, "a delivery report could not be sent; trying again");
                Ok(Some(now + LEASE))
            }
            Err(error) => {
                metrics::given_back("failed");
                tracing::warn!(message = %id, %error, "a delivery report could not be sent and is given up");
                Ok(None)
            }
        }
    }

    /// Sends a report. It comes from the domain whose route passed the message on, and tells of the address that the sender wrote to, not of where it went.
    async fn send(&self, row: &ForwardedRow, id: MessageId, reply: &str) -> Result<Result<(), AcceptError>, StoreError> {
        let project = ProjectId::from_uuid(row.project_id);
        let corrupt = |_| StoreError::Corrupt("forwarded".to_owned());
        let recipient = EmailAddress::parse(&row.recipient).map_err(corrupt)?;
        let to = EmailAddress::parse(&row.reverse_path).map_err(corrupt)?;
        let from = EmailAddress::parse(&format!("mailer-daemon@{}", recipient.domain())).map_err(corrupt)?;
        let Some(stored) = self.store.content(row.project_id, row.message_id).await? else { return Ok(Ok(())) };
        let original = content::unpack(stored.encoding, stored.content, stored.size)?;
        let about = [NoticeRecipient {
            address: &recipient,
            original: None,
            action: Action::Failed,
            status: EnhancedStatus::new(5, 0, 0),
            class: None,
            reply: Some(reply),
            host: None,
            last_attempt: None,
            retry_until: None,
        }];
        let report = compose(&Notice {
            from: &from,
            to: &to,
            reporting_mta: &self.hostname,
            envelope_id: None,
            arrived: time_of(row.message_id),
            recipients: &about,
            original: &original,
            returned: Returned::Headers,
        });
        let request = json!({ "envelope": { "from": "<>", "to": to }, "raw": STANDARD.encode(&report), "stream": "delivery-reports" });
        let request = serde_json::from_value(request).map_err(|error| StoreError::Corrupt(error.to_string()))?;
        let caller = Caller { project, key: KeyId::from_uuid(uuid::Uuid::nil()), name: "forwarding".into(), scope: Scope::Send, domains: None };
        Ok(self.accept.send(&caller, request, Some(key("failed", id.to_string().as_bytes()))).await.map(|_| ()))
    }
}

fn label() -> Result<Label, StoreError> {
    Label::parse("delivery-reports").map_err(|_| StoreError::Corrupt("the stream of reports".to_owned()))
}

/// The same for the same report.
fn key(kind: &str, text: &[u8]) -> IdempotencyKey {
    let request_hash: [u8; 32] = digest(&SHA256, text).as_ref().try_into().unwrap_or_default();
    IdempotencyKey { key: format!("forward-{kind} {}", URL_SAFE_NO_PAD.encode(request_hash)), request_hash }
}
