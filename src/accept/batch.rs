//! Group commit: messages that arrive together are written by one statement, and each is answered when that has committed.
//!
//! Answers: durable or not (invariant 1). No timer lingers: while one group is being written the next one gathers.
//! When memory has room a message is claimed as it is written and goes to the engine at once; otherwise it waits in the database.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::keys;
use super::rows::{self, lane};
use crate::clock::{Clock, Tick};
use crate::failpoint::Failpoint;
use crate::model::outcome::DeliveryState;
use crate::model::{DeliveryId, EmailAddress, EventId, MessageId};
use crate::outbox::claims::{ClaimFacts, Grant, Hurry, Seat};
use crate::outbox::handoff::Handoff;
use crate::outbox::node::Node;
use crate::outbox::{ClaimedDelivery, Claims, IdempotencyKey, NewMessage, OutboundMessage, Seen, content};
use crate::store::outbox::{DeliveryRow, MessageRow, WAITING};
use crate::store::{Store, StoreError};
use crate::supervisor::Supervisor;
use crate::telemetry::{metrics, spans};
use tracing::Instrument;

/// Messages in one group at most.
const GROUP_MESSAGES: usize = 256;
/// Octets of content in one group at most, before compression.
const GROUP_OCTETS: usize = 2 * 1024 * 1024;
/// Messages that may wait for a writer.
const QUEUE: usize = 2_048;
/// Writers, each with a connection: one commits while the other gathers.
const WRITERS: usize = 2;
/// How long a message waits for a place in the queue, and in the queue for a writer, before it is turned away.
const PATIENCE: Duration = Duration::from_secs(2);
/// A message that has waited longer than this is turned away together with a group that could not be written: it would wait for the same, and whoever
/// sent it is to be told within a second.
const HOPE: Duration = Duration::from_millis(200);
/// How often, and for how long, a group whose commit has an unknown outcome is looked up again.
const LOOKUPS: u32 = 5;
const LOOKUP_TIME: Duration = Duration::from_millis(750);

/// What became of a submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Submitted {
    /// Written.
    New {
        /// Recipients that are suppressed: their deliveries ended at once.
        suppressed: u16,
    },
    /// The same request was accepted before.
    Replayed {
        /// The message of then.
        id: MessageId,
        /// Its number of recipients.
        deliveries: u16,
        /// Those among them that were suppressed.
        suppressed: u16,
    },
}

/// Why a message was not accepted. Nothing of it is left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// More arrives than the database takes.
    #[error("more messages arrive than can be stored; try again")]
    Overloaded,
    /// The disk of the database is full.
    #[error("the database has no room")]
    StorageFull,
    /// The database is away.
    #[error("the database does not answer")]
    Unavailable,
    /// The key came with another request before.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// A request with this key is being written right now.
    #[error("a request with this idempotency key is in progress")]
    InProgress,
}

/// Takes messages and answers once they are durable. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Batcher {
    store: Store,
    clock: Clock,
    queue: mpsc::Sender<Entry>,
}

#[derive(Debug)]
struct Entry {
    message: NewMessage,
    packed: (i16, Vec<u8>),
    key: Option<IdempotencyKey>,
    queued_at: Tick,
    answer: oneshot::Sender<Result<Submitted, SubmitError>>,
}

/// Why a group was not written.
#[derive(Debug)]
enum Unwritten {
    /// There was no connection to ask over: nothing can have been written.
    NotAsked(StoreError),
    /// Whether it was written is not known.
    Unknown(StoreError),
}

/// What a group that was written came to.
#[derive(Debug)]
struct Written {
    /// The messages that won their keys, if there were keys.
    won: Option<Vec<Uuid>>,
    /// Recipients that are suppressed, by message and place.
    suppressed: Vec<(Uuid, i16)>,
}

/// What a group adds to the figures.
#[derive(Debug, Default)]
struct Totals {
    messages: u64,
    recipients: u64,
    octets: u64,
    spilled: u64,
    suppressed: u64,
}

impl Totals {
    const fn add(&mut self, message: &NewMessage, spilled: bool) {
        let recipients = message.envelope.recipients.len() as u64;
        self.messages += 1;
        self.recipients += recipients;
        self.octets += message.content.len() as u64;
        if spilled {
            self.spilled += recipients;
        }
    }
}

/// What the writers need.
#[derive(Debug)]
pub struct Writing {
    /// The database.
    pub store: Store,
    /// Time.
    pub clock: Clock,
    /// Room in memory.
    pub claims: Arc<Claims>,
    /// Who claims.
    pub node: Arc<Node>,
    /// Where claims go; none if this process does not deliver: everything then waits in the database.
    pub handoff: Option<Handoff>,
}

impl Batcher {
    /// Starts the writers. They end when every `Batcher` is gone and all that was taken is written.
    #[must_use]
    pub fn start(writing: Writing, supervisor: &Supervisor) -> Self {
        let (queue, receiver) = mpsc::channel(QUEUE);
        let receiver = Arc::new(tokio::sync::Mutex::new(receiver));
        let batcher = Self { store: writing.store.clone(), clock: writing.clock.clone(), queue };
        let writing = Arc::new(writing);
        for _ in 0..WRITERS {
            let (writing, receiver) = (Arc::clone(&writing), Arc::clone(&receiver));
            supervisor.spawn_essential("accept writer", async move { writing.run(&receiver).await });
        }
        batcher
    }

    /// Makes a message durable.
    pub async fn submit(&self, message: NewMessage, key: Option<IdempotencyKey>) -> Result<Submitted, SubmitError> {
        let mut answers = self.submit_all(vec![(message, key)]).await;
        answers.pop().unwrap_or(Err(SubmitError::Unavailable))
    }

    /// Makes messages of one project durable, in one group if they fit. Answers each by itself, in order.
    pub async fn submit_all(&self, messages: Vec<(NewMessage, Option<IdempotencyKey>)>) -> Vec<Result<Submitted, SubmitError>> {
        let earlier = match keys::earlier(&self.store, &self.clock, &messages).await {
            Ok(earlier) => earlier,
            Err(error) => return messages.iter().map(|_| Err(refusal(&error))).collect(),
        };
        // All are packed before the first is queued, so that they are taken together.
        let mut entries = Vec::with_capacity(messages.len());
        for ((message, key), earlier) in messages.into_iter().zip(earlier) {
            entries.push(if let Some(answer) = earlier {
                Err(answer)
            } else {
                let (answer, answered) = oneshot::channel();
                let packed = content::pack(&message.content);
                let id = message.id;
                Ok((Entry { message, packed, key, queued_at: self.clock.tick(), answer }, id, answered))
            });
        }
        let mut waiting = Vec::with_capacity(entries.len());
        for entry in entries {
            waiting.push(match entry {
                Err(answer) => Err(answer),
                Ok((entry, id, answered)) => self.enqueue(entry).await.map(|()| (id, answered)).map_err(Err),
            });
        }
        let mut answers = Vec::with_capacity(waiting.len());
        for entry in waiting {
            answers.push(match entry {
                Err(answer) => answer,
                Ok((id, answered)) => answered.instrument(spans::accept_submit(id)).await.unwrap_or(Err(SubmitError::Unavailable)),
            });
        }
        answers
    }

    async fn enqueue(&self, entry: Entry) -> Result<(), SubmitError> {
        match self.queue.try_send(entry) {
            Ok(()) => Ok(()),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(SubmitError::Unavailable),
            Err(mpsc::error::TrySendError::Full(entry)) => match self.clock.timeout(PATIENCE, self.queue.send(entry)).await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(_)) => Err(SubmitError::Unavailable),
                Err(_) => Err(SubmitError::Overloaded),
            },
        }
    }
}

impl Writing {
    async fn run(&self, queue: &tokio::sync::Mutex<mpsc::Receiver<Entry>>) {
        let mut next = None;
        loop {
            let mut group = Vec::new();
            {
                let mut queue = queue.lock().await;
                let Some(first) = (if next.is_some() { next.take() } else { queue.recv().await }) else { return };
                let mut octets = first.message.content.len();
                group.push(first);
                while group.len() < GROUP_MESSAGES
                    && octets < GROUP_OCTETS
                    && let Ok(next) = queue.try_recv()
                {
                    octets += next.message.content.len();
                    group.push(next);
                }
            }
            self.turn_away_late(&mut group);
            if !group.is_empty() {
                let deliveries = group.iter().map(|entry| entry.message.envelope.recipients.len()).sum();
                let span = spans::accept_commit(group.len(), deliveries);
                if let Err(error) = self.write(group).instrument(span).await
                    && error.is_transient()
                {
                    next = self.turn_away_hopeless(queue, &error).await;
                }
            }
        }
    }

    /// Answers those who have waited for a while behind a group that the database did not take. The next one is tried.
    async fn turn_away_hopeless(&self, queue: &tokio::sync::Mutex<mpsc::Receiver<Entry>>, error: &StoreError) -> Option<Entry> {
        let mut queue = queue.lock().await;
        let now = self.clock.tick();
        while let Ok(entry) = queue.try_recv() {
            if now.since(entry.queued_at) <= HOPE {
                return Some(entry);
            }
            let _gone = entry.answer.send(Err(refusal(error)));
        }
        None
    }

    /// Answers those who waited too long, and forgets those whose caller is gone: nothing of them was written.
    fn turn_away_late(&self, group: &mut Vec<Entry>) {
        let now = self.clock.tick();
        group.retain(|entry| !entry.answer.is_closed());
        for late in group.extract_if(.., |entry| now.since(entry.queued_at) > PATIENCE) {
            let _gone = late.answer.send(Err(SubmitError::Overloaded));
        }
    }

    async fn write(&self, group: Vec<Entry>) -> Result<(), StoreError> {
        Failpoint::AcceptGathered.reach();
        let started = self.clock.tick();
        let owner = self.node.incarnation();
        let mut places = Vec::with_capacity(group.len());
        for entry in &group {
            places.push(self.place(&entry.message));
        }
        match self.commit(owner, &group, &places).await {
            Ok(Written { won, suppressed }) => {
                Failpoint::AcceptCommitted.reach();
                let took = self.clock.tick().since(started);
                let mut arrivals = Vec::with_capacity(group.len());
                let mut totals = Totals::default();
                for (entry, place) in group.into_iter().zip(places) {
                    if won.as_ref().is_some_and(|won| entry.key.is_some() && !won.contains(&entry.message.id.uuid())) {
                        // Another request with this key was faster, here or on another node; a repeat will be told its answer.
                        let _gone = entry.answer.send(Err(SubmitError::InProgress));
                        continue;
                    }
                    totals.add(&entry.message, place.is_none() && self.handoff.is_some());
                    let refused: Vec<u16> = numbers_of(&suppressed, &entry.message);
                    totals.suppressed += refused.len() as u64;
                    match place {
                        Some(place) => arrivals.extend(claimed(owner, &entry.message, place, &refused)),
                        // It waits in the database, and who waits for its first attempt has waited enough.
                        None => {
                            for (id, _) in recipients(&entry.message) {
                                self.claims.witnesses().tell(id, Seen::Waits);
                            }
                        }
                    }
                    let _gone = entry.answer.send(Ok(Submitted::New { suppressed: u16::try_from(refused.len()).unwrap_or(u16::MAX) }));
                }
                metrics::settled_finally(DeliveryState::Suppressed, totals.suppressed);
                metrics::accepted_batch(totals.messages, totals.recipients, totals.octets, took);
                metrics::spilled(totals.spilled);
                Failpoint::AcceptAnswered.reach();
                if let Some(handoff) = &self.handoff {
                    handoff.give(arrivals).await;
                }
                Ok(())
            }
            Err(error) => {
                metrics::database_error(error.kind());
                tracing::error!(%error, messages = group.len(), "messages could not be stored; their senders were told so");
                // Should the rows be there all the same, nobody holds them in memory.
                drop(places);
                self.claims.suspect();
                for entry in group {
                    let _gone = entry.answer.send(Err(refusal(&error)));
                }
                Err(error)
            }
        }
    }

    /// Room in memory for a message and each of its deliveries; none if it has to wait in the database.
    fn place(&self, message: &NewMessage) -> Option<(Grant, Vec<Seat>)> {
        self.handoff.as_ref()?;
        if message.send_at.is_some_and(|at| at > self.clock.now()) {
            return None;
        }
        let orders = self.claims.orders();
        if message.envelope.recipients.iter().any(|recipient| orders.stop(message.project, recipient.domain())) {
            return None;
        }
        let grant = self.claims.grant(message.content.len())?;
        let now = self.clock.tick();
        let seats: Option<Vec<Seat>> =
            recipients(message).map(|(id, recipient)| self.claims.seat_for_new(lane(message, recipient), id, now)).collect();
        seats.map(|seats| (grant, seats))
    }

    /// Writes a group.
    async fn commit(&self, owner: i64, group: &[Entry], places: &[Option<(Grant, Vec<Seat>)>]) -> Result<Written, StoreError> {
        self.store.ensure_partitions_for(self.clock.now()).await?;
        let ids: Vec<Uuid> = group.iter().map(|entry| entry.message.id.uuid()).collect();
        let started = self.clock.tick();
        let mut result = self.try_commit(owner, group, places).await;
        let mut lookups = 0;
        // A connection that broke leaves the outcome of its commit unknown: ask for the ids, never write blindly again.
        while let Err(Unwritten::Unknown(error)) = &result
            && (error.is_transient() || matches!(error, StoreError::Conflict { .. }))
            && lookups < LOOKUPS
        {
            lookups += 1;
            self.clock.sleep(self.clock.jitter(Duration::from_millis(100 * u64::from(lookups)), 0.3)).await;
            let left = LOOKUP_TIME.saturating_sub(self.clock.tick().since(started));
            match self.clock.timeout(left, self.store.existing(&ids)).await {
                Ok(Ok(existing)) if existing.is_empty() => result = self.try_commit(owner, group, places).await,
                // One statement wrote them: those that are not there lost their keys.
                Ok(Ok(existing)) => match self.clock.timeout(left, self.store.refused_at_accept(&existing)).await {
                    Ok(Ok(suppressed)) => return Ok(Written { won: Some(existing), suppressed }),
                    Ok(Err(again)) => result = Err(Unwritten::Unknown(again)),
                    Err(_) => break,
                },
                Ok(Err(again)) => result = Err(Unwritten::Unknown(again)),
                // Their callers have waited long enough; an idempotency key finds out later.
                Err(_) => break,
            }
        }
        result.map_err(|unwritten| match unwritten {
            Unwritten::NotAsked(error) | Unwritten::Unknown(error) => error,
        })
    }

    async fn try_commit(&self, owner: i64, group: &[Entry], places: &[Option<(Grant, Vec<Seat>)>]) -> Result<Written, Unwritten> {
        let now = self.clock.now();
        let keys = keys::rows(now, group.iter().filter_map(|entry| Some((&entry.message, entry.key.as_ref()?))));
        if keys.is_empty() {
            let mut connection = self.store.connection().await.map_err(Unwritten::NotAsked)?;
            let (messages, deliveries) = self.rows(owner, group, places, |_| true);
            let suppressed = Store::insert_messages(&mut *connection, messages, deliveries).await.map_err(Unwritten::Unknown)?;
            return Ok(Written { won: None, suppressed });
        }
        let mut tx = self.store.begin().await.map_err(Unwritten::NotAsked)?;
        let won = Store::insert_keys(&mut tx, keys, keys::first_valid(now)).await.map_err(Unwritten::Unknown)?;
        let (messages, deliveries) = self.rows(owner, group, places, |entry| entry.key.is_none() || won.contains(&entry.message.id.uuid()));
        let mut suppressed = Vec::new();
        if !messages.is_empty() {
            suppressed = Store::insert_messages(&mut *tx, messages, deliveries).await.map_err(Unwritten::Unknown)?;
        }
        Failpoint::AcceptWritten.reach();
        Store::commit(tx).await.map_err(Unwritten::Unknown)?;
        Ok(Written { won: Some(won), suppressed })
    }

    fn rows(
        &self,
        owner: i64,
        group: &[Entry],
        places: &[Option<(Grant, Vec<Seat>)>],
        keep: impl Fn(&Entry) -> bool,
    ) -> (Vec<MessageRow>, Vec<DeliveryRow>) {
        let now = self.clock.now();
        let kept = || group.iter().zip(places).filter(|(entry, _)| keep(entry));
        let event = || EventId::from_uuid(self.clock.uuid()).uuid();
        let messages = kept().map(|(entry, _)| rows::message(&entry.message, &entry.packed, event())).collect();
        let owner = |place: &Option<(Grant, Vec<Seat>)>| if place.is_some() { owner } else { WAITING };
        let deliveries = kept().flat_map(|(entry, place)| rows::deliveries(&entry.message, owner(place), now)).collect();
        (messages, deliveries)
    }
}

/// The deliveries of a message with their recipients.
fn recipients(message: &NewMessage) -> impl Iterator<Item = (DeliveryId, &EmailAddress)> {
    let id = |number| DeliveryId { message: message.id, rcpt_no: u16::try_from(number).unwrap_or(u16::MAX) };
    message.envelope.recipients.iter().enumerate().map(move |(number, recipient)| (id(number), recipient))
}

/// The places of a message's recipients among those that are suppressed.
fn numbers_of(suppressed: &[(Uuid, i16)], message: &NewMessage) -> Vec<u16> {
    suppressed.iter().filter(|(id, _)| *id == message.id.uuid()).filter_map(|(_, number)| u16::try_from(*number).ok()).collect()
}

/// The claims of a message that was written with an owner; none for recipients that were `refused`.
fn claimed(owner: i64, message: &NewMessage, (grant, seats): (Grant, Vec<Seat>), refused: &[u16]) -> Vec<ClaimedDelivery> {
    let outbound = Arc::new(OutboundMessage {
        id: message.id,
        project: message.project,
        stream: Box::from(message.stream.as_str()),
        domain: message.domain,
        reverse_path: message.envelope.reverse_path.clone(),
        content: message.content.clone(),
        eight_bit: message.eight_bit,
        smtputf8: message.smtputf8,
        tls: message.tls,
        reports: message.report_wishes().map(Box::new),
        signature: tokio::sync::OnceCell::new(),
        grant,
    });
    let facts = message.envelope.recipients.iter().enumerate().map(|(number, recipient)| ClaimFacts {
        owner,
        rcpt_no: u16::try_from(number).unwrap_or(u16::MAX),
        recipient: recipient.clone(),
        attempt: 0,
        priority: message.priority,
        expires_at: message.expires_at,
        hurry: Hurry::None,
    });
    facts
        .zip(seats)
        .filter(|(facts, _)| !refused.contains(&facts.rcpt_no))
        .map(|(facts, seat)| ClaimedDelivery::new(Arc::clone(&outbound), seat, facts))
        .collect()
}

const fn refusal(error: &StoreError) -> SubmitError {
    match error {
        StoreError::Full => SubmitError::StorageFull,
        _ => SubmitError::Unavailable,
    }
}
