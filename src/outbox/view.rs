//! Messages as the API shows them: the message, its deliveries with their attempts, its events.
//!
//! The state of a delivery is its row while it is outstanding, else its last event; nothing else keeps one.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::Outbox;
use super::waiting::{self, Waiting};
use crate::clock::{first_id_at, time_of};
use crate::events::{EventKind, EventView, feed};
use crate::model::message::{Priority, Tags};
use crate::model::outcome::{Attempt, DeliveryState};
use crate::model::page::{Page, PageRequest};
use crate::model::{DeliveryId, MessageId, ProjectId};
use crate::store::StoreError;
use crate::store::message::{LaneRow, MessageHead, MessageSearch, Outstanding};
use crate::store::operator::PARKED;
use crate::store::outbox::WAITING;

/// A message without content.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MessageSummary {
    /// `msg_…`
    #[schema(value_type = String)]
    pub id: MessageId,
    /// When it was accepted.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub accepted_at: OffsetDateTime,
    /// MAIL FROM address; empty for the null reverse-path.
    pub reverse_path: String,
    /// The address of the From field.
    pub from: String,
    /// Decoded.
    pub subject: String,
    /// The Message-ID field, without brackets.
    pub message_id: String,
    /// The user's.
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub tags: Tags,
    /// The user's.
    #[schema(value_type = Object)]
    pub metadata: serde_json::Value,
    /// `high`, `normal` or `bulk`.
    pub priority: Priority,
    /// The user's.
    pub stream: String,
    /// Not before.
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub send_at: Option<OffsetDateTime>,
    /// Not after.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: OffsetDateTime,
    /// Octets of the content.
    pub size: u32,
    /// Number of recipients.
    pub recipients: u16,
}

/// A message with what became of it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MessageView {
    /// The message.
    #[serde(flatten)]
    pub message: MessageSummary,
    /// One for each recipient.
    pub deliveries: Vec<DeliveryView>,
    /// All that happened, oldest first.
    pub events: Vec<EventView>,
}

/// One message to one recipient.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DeliveryView {
    /// `dlv_…`
    #[schema(value_type = String)]
    pub id: DeliveryId,
    /// The address.
    pub recipient: String,
    /// Where it stands.
    pub state: DeliveryState,
    /// Attempts so far, oldest first.
    pub attempts: Vec<Attempt>,
    /// When the next attempt is due; absent when none is, as during a pause.
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_attempt_at: Option<OffsetDateTime>,
    /// Why it was not sent yet; absent when it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
}

/// What a list is narrowed to.
#[derive(Clone, Debug, Default)]
pub struct MessageFilter {
    /// Messages with a delivery in this state.
    pub state: Option<DeliveryState>,
    /// Reverse-path or From address.
    pub sender: Option<String>,
    /// A recipient.
    pub recipient: Option<String>,
    /// A tag and its value.
    pub tag: Option<(String, String)>,
    /// Accepted at or after.
    pub since: Option<OffsetDateTime>,
    /// Accepted before.
    pub until: Option<OffsetDateTime>,
}

/// Outstanding deliveries to one domain.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct QueueLane {
    /// The recipient domain.
    pub domain: String,
    /// Waiting.
    pub queued: u64,
    /// Being worked on.
    pub active: u64,
    /// Held by an operator.
    pub held: u64,
    /// True if the domain, its site, or all of the project, is paused: what is queued waits for the end of the pause.
    pub paused: bool,
    /// When the oldest of their messages was accepted.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub oldest_at: OffsetDateTime,
    /// When the next waiting one is due.
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_at: Option<OffsetDateTime>,
}

/// Domains that a queue listing shows.
const QUEUE_LANES: i64 = 1_000;

impl Outbox {
    /// A message with its deliveries and events. None: the project has no such message.
    pub async fn message(&self, project: ProjectId, id: MessageId) -> Result<Option<MessageView>, StoreError> {
        let Some(head) = self.store.message(project.uuid(), id.uuid()).await? else { return Ok(None) };
        // Outstanding rows first: a delivery that settles between the two reads is then seen as final, never as missing.
        let outstanding = self.store.outstanding(&[id.uuid()]).await?;
        let mut events: Vec<EventView> = self.store.timeline(&[id.uuid()]).await?.into_iter().filter_map(feed::view).collect();
        // Nothing comes before it, whatever order the clocks of two nodes give the events.
        events.sort_by_key(|event| event.kind != EventKind::Accepted);
        let mut message = MessageView { message: summary(head), deliveries: deliveries(id, &outstanding, &events, self.clock.now()), events };
        self.explain(project, &mut message, &outstanding).await?;
        Ok(Some(message))
    }

    /// Says of each delivery that waits what it waits for.
    async fn explain(&self, project: ProjectId, message: &mut MessageView, outstanding: &[Outstanding]) -> Result<(), StoreError> {
        if outstanding.is_empty() {
            return Ok(());
        }
        let mut domains: Vec<String> = outstanding.iter().map(|row| domain_of(&row.recipient).to_owned()).collect();
        domains.sort_unstable();
        domains.dedup();
        let sites = self.views(self.store.sites_of(&domains).await?);
        let waits = self.store.egress_waits(project.uuid(), &message.message.stream, &domains).await?;
        let pauses = self.covers(project, &domains).await?;
        let nodes = if outstanding.iter().any(|row| row.owner > 0) { self.store.node_hosts().await?.into_iter().collect() } else { HashMap::new() };
        for delivery in &mut message.deliveries {
            let Some(row) = outstanding.iter().find(|row| row_no(row) == delivery.id.rcpt_no).filter(|_| !is_over(delivery.state)) else { continue };
            let domain = domain_of(&row.recipient);
            let about = waiting::Circumstances {
                now: self.clock.now(),
                send_at: message.message.send_at,
                last_reply: delivery.attempts.last().map(|attempt| attempt.reply.as_str()),
                pause: pauses.of(domain),
                site: self.ways.site(&sites, project, message.message.id, domain),
                wait: waits.iter().find(|wait| wait.domain == domain),
                nodes: &nodes,
            };
            delivery.waiting = Some(waiting::why(row, &about));
        }
        Ok(())
    }

    /// Messages of a project, newest first.
    pub async fn messages(&self, project: ProjectId, filter: &MessageFilter, page: PageRequest) -> Result<Page<MessageSummary>, StoreError> {
        self.search(project, filter, page, false).await
    }

    /// Messages that were kept in the sandbox, newest first.
    pub async fn sandboxed(&self, project: ProjectId, page: PageRequest) -> Result<Page<MessageSummary>, StoreError> {
        self.search(project, &MessageFilter::default(), page, true).await
    }

    async fn search(
        &self,
        project: ProjectId,
        filter: &MessageFilter,
        page: PageRequest,
        sandboxed: bool,
    ) -> Result<Page<MessageSummary>, StoreError> {
        let until = filter.until.map(first_id_at);
        let search = MessageSearch {
            sender: filter.sender.clone(),
            recipient: filter.recipient.clone(),
            tag: filter.tag.as_ref().map(|(key, value)| serde_json::json!({ key: value })),
            final_kind: filter.state.and_then(final_kind),
            outstanding: filter.state.and_then(owner_sign),
            from_id: filter.since.map(first_id_at),
            before_id: [until, page.after].into_iter().flatten().min(),
            sandboxed,
        };
        let rows = self.store.messages(project.uuid(), &search, i64::from(page.limit) + 1).await?;
        Ok(Page::cut(rows.into_iter().map(summary).collect(), page.limit, |message| message.id.uuid()))
    }

    /// What waits, by recipient domain, most first.
    pub async fn queue(&self, project: ProjectId) -> Result<Vec<QueueLane>, StoreError> {
        let rows = self.store.queue(project.uuid(), QUEUE_LANES).await?;
        let domains: Vec<String> = rows.iter().map(|row| row.domain.clone()).collect();
        let (now, pauses) = (self.clock.now(), self.covers(project, &domains).await?);
        Ok(rows.into_iter().map(|row| QueueLane { paused: pauses.of(&row.domain).is_some(), ..lane(row, now) }).collect())
    }
}

fn summary(head: MessageHead) -> MessageSummary {
    MessageSummary {
        id: MessageId::from_uuid(head.id),
        accepted_at: time_of(head.id),
        reverse_path: head.reverse_path,
        from: head.header_from,
        subject: head.subject,
        message_id: head.header_message_id,
        tags: serde_json::from_value(head.tags).unwrap_or_default(),
        metadata: head.metadata,
        priority: Priority::from_stored(head.priority),
        stream: head.stream,
        send_at: head.send_at,
        expires_at: head.expires_at,
        size: u32::try_from(head.size).unwrap_or(0),
        recipients: u16::try_from(head.recipients).unwrap_or(0),
    }
}

fn lane(row: LaneRow, now: OffsetDateTime) -> QueueLane {
    let count = |number: i64| u64::try_from(number).unwrap_or(0);
    QueueLane {
        domain: row.domain,
        queued: count(row.queued),
        active: count(row.active),
        held: count(row.held),
        paused: false,
        oldest_at: time_of(row.oldest),
        next_at: row.next_at.map(|at| due(at, now)),
    }
}

/// When an attempt is due. What somebody asked to try at once has no time of its own: it is due now.
fn due(at: OffsetDateTime, now: OffsetDateTime) -> OffsetDateTime {
    if at <= OffsetDateTime::UNIX_EPOCH { now } else { at }
}

/// Puts the deliveries of a message together out of their rows and their events.
fn deliveries(message: MessageId, outstanding: &[Outstanding], events: &[EventView], now: OffsetDateTime) -> Vec<DeliveryView> {
    let mut all: BTreeMap<DeliveryId, DeliveryView> = BTreeMap::new();
    for event in events {
        let (Some(id), Some(recipient)) = (event.delivery_id, &event.recipient) else { continue };
        let entry = all.entry(id).or_insert_with(|| DeliveryView {
            id,
            recipient: recipient.clone(),
            state: DeliveryState::Queued,
            attempts: Vec::new(),
            next_attempt_at: None,
            waiting: None,
        });
        entry.attempts.extend(Attempt::deserialize(&event.data));
        // Nothing follows a final event, whatever order the clocks of two nodes give them, but the report that mail came back.
        let came_back = entry.state == DeliveryState::Delivered && event.kind == EventKind::Bounced;
        if !is_over(entry.state) || came_back {
            entry.state = state_after(event.kind);
        }
    }
    for row in outstanding {
        let id = DeliveryId { message, rcpt_no: row_no(row) };
        // A final event was written after this row was read: the event is right.
        if all.get(&id).is_some_and(|seen| events.iter().any(|event| event.delivery_id == Some(seen.id) && event.kind.is_final())) {
            continue;
        }
        let attempts = all.remove(&id).map(|seen| seen.attempts).unwrap_or_default();
        let state = match row.owner {
            WAITING | PARKED => DeliveryState::Queued,
            ..0 => DeliveryState::Held,
            1.. => DeliveryState::Active,
        };
        let next_attempt_at = (row.owner == WAITING).then(|| due(row.next_at, now));
        all.insert(id, DeliveryView { id, recipient: row.recipient.clone(), state, attempts, next_attempt_at, waiting: None });
    }
    all.into_values().collect()
}

fn row_no(row: &Outstanding) -> u16 {
    u16::try_from(row.rcpt_no).unwrap_or(0)
}

fn domain_of(recipient: &str) -> &str {
    recipient.rsplit_once('@').map_or("", |(_, domain)| domain)
}

const fn is_over(state: DeliveryState) -> bool {
    !matches!(state, DeliveryState::Queued | DeliveryState::Active | DeliveryState::Held)
}

const fn state_after(kind: EventKind) -> DeliveryState {
    match kind {
        EventKind::Accepted
        | EventKind::Deferred
        | EventKind::Received
        | EventKind::Forwarded
        | EventKind::DomainVerified
        | EventKind::DomainFailed => DeliveryState::Queued,
        // Who complains has it.
        EventKind::Delivered | EventKind::Complained => DeliveryState::Delivered,
        EventKind::Bounced => DeliveryState::Bounced,
        EventKind::Expired => DeliveryState::Expired,
        EventKind::Suppressed => DeliveryState::Suppressed,
        EventKind::Cancelled => DeliveryState::Cancelled,
    }
}

const fn final_kind(state: DeliveryState) -> Option<i16> {
    match state {
        DeliveryState::Delivered => Some(EventKind::Delivered.to_stored()),
        DeliveryState::Bounced => Some(EventKind::Bounced.to_stored()),
        DeliveryState::Expired => Some(EventKind::Expired.to_stored()),
        DeliveryState::Suppressed => Some(EventKind::Suppressed.to_stored()),
        DeliveryState::Cancelled => Some(EventKind::Cancelled.to_stored()),
        DeliveryState::Queued | DeliveryState::Active | DeliveryState::Held => None,
    }
}

const fn owner_sign(state: DeliveryState) -> Option<i16> {
    match state {
        DeliveryState::Queued => Some(0),
        DeliveryState::Active => Some(1),
        DeliveryState::Held => Some(-1),
        _ => None,
    }
}
