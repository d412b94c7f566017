//! Claims in memory: what this process holds, and how much it may hold.
//!
//! Answers: is there room for another message, for another delivery of this lane; is a lane paused; which claims were dropped
//! without being settled. Memory stays bounded: content counts in octets, deliveries count by lane, and what does not fit
//! waits in the database. A claim that is dropped unsettled (a task panicked) is given back, never lost.
//!
//! The ledger names every delivery that memory holds, from before its claim is written to after its end is. What the database
//! says is ours and the ledger does not know is nobody's work: a claim whose answer was lost on its way.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use time::OffsetDateTime;
use tokio::sync::{Notify, OnceCell};

use super::orders::Orders;
use super::witness::Witnesses;
use crate::clock::Tick;
use crate::model::message::{Priority, TlsNeed};
use crate::model::report_wishes::ReportWishes;
use crate::model::{DeliveryId, DomainId, EmailAddress, MessageId, ProjectId, ReversePath};

/// Deliveries of one lane in memory at most: enough to keep its sessions busy, few enough to leave room for others.
pub const SEATS_PER_LANE: usize = 1_000;
/// What a delivery costs in memory beside the content, in octets.
const DELIVERY_OCTETS: usize = 1_024;

/// A claim that memory let go of unsettled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// The incarnation that claimed it.
    pub owner: i64,
    /// The delivery.
    pub id: DeliveryId,
    /// The work on it broke off in a panic: the next hop may have taken the message.
    pub uncertain: bool,
}

#[derive(Debug, Default)]
struct Lane {
    seats: usize,
    /// Deliveries of the lane wait in the database: newer ones queue up behind them.
    backlog: bool,
    paused_until: Option<Tick>,
}

#[derive(Debug, Default)]
struct Memory {
    octets: usize,
    messages: usize,
    deliveries: usize,
}

#[derive(Debug, Default)]
struct Ledger {
    held: HashSet<DeliveryId>,
    dropped: Vec<Dropped>,
}

/// The books of this process: octets, seats, pauses.
#[derive(Debug)]
pub struct Claims {
    limit: usize,
    memory: Mutex<Memory>,
    lanes: Mutex<HashMap<i32, Lane>>,
    ledger: Mutex<Ledger>,
    claiming: tokio::sync::Mutex<()>,
    suspect: AtomicBool,
    room: Notify,
    orders: Orders,
    witnesses: Witnesses,
}

impl Claims {
    /// Books with room for `limit` octets.
    #[must_use]
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            memory: Mutex::default(),
            lanes: Mutex::default(),
            ledger: Mutex::default(),
            claiming: tokio::sync::Mutex::default(),
            suspect: AtomicBool::new(false),
            room: Notify::new(),
            orders: Orders::default(),
            witnesses: Witnesses::default(),
        })
    }

    /// Those who wait for the end of a first attempt.
    #[must_use]
    pub const fn witnesses(&self) -> &Witnesses {
        &self.witnesses
    }

    /// What operators asked of all nodes.
    #[must_use]
    pub const fn orders(&self) -> &Orders {
        &self.orders
    }

    /// Takes room for content; none if there is none. A message larger than everything is let in when it is alone.
    #[must_use]
    pub fn grant(self: &Arc<Self>, octets: usize) -> Option<Grant> {
        let mut memory = self.memory.lock();
        if memory.messages > 0 && memory.octets.saturating_add(octets) > self.limit {
            return None;
        }
        memory.messages += 1;
        memory.octets = memory.octets.saturating_add(octets);
        Some(Grant { claims: Arc::clone(self), octets })
    }

    /// True if there is room for a few more messages of common size.
    #[must_use]
    pub fn has_room(&self) -> bool {
        let memory = self.memory.lock();
        memory.octets < self.limit / 8 * 7 || memory.messages == 0
    }

    /// Takes a seat for a delivery that is being accepted: none if the lane is full, paused, or others wait before it.
    /// With none the delivery goes to the database, and so do later ones until those have been fetched.
    #[must_use]
    pub fn seat_for_new(self: &Arc<Self>, lane: i32, id: DeliveryId, now: Tick) -> Option<Seat> {
        let mut lanes = self.lanes.lock();
        let entry = lanes.entry(lane).or_default();
        if entry.backlog || entry.seats >= SEATS_PER_LANE || entry.paused_until.is_some_and(|until| until > now) {
            entry.backlog = true;
            return None;
        }
        entry.seats += 1;
        drop(lanes);
        Some(self.seat(lane, id))
    }

    /// Takes a seat for a delivery that was fetched from the database.
    #[must_use]
    pub fn seat_for_fetched(self: &Arc<Self>, lane: i32, id: DeliveryId) -> Seat {
        self.lanes.lock().entry(lane).or_default().seats += 1;
        self.seat(lane, id)
    }

    fn seat(self: &Arc<Self>, lane: i32, id: DeliveryId) -> Seat {
        {
            let mut memory = self.memory.lock();
            memory.deliveries += 1;
            memory.octets = memory.octets.saturating_add(DELIVERY_OCTETS);
        }
        self.ledger.lock().held.insert(id);
        Seat { claims: Arc::clone(self), lane, id, unsettled: None }
    }

    /// How many deliveries of a lane may be fetched; zero while it is paused.
    #[must_use]
    pub fn free_seats(&self, lane: i32, now: Tick) -> usize {
        self.lanes.lock().get(&lane).map_or(SEATS_PER_LANE, |entry| {
            if entry.paused_until.is_some_and(|until| until > now) { 0 } else { SEATS_PER_LANE.saturating_sub(entry.seats) }
        })
    }

    /// How many deliveries of a lane may be fetched that somebody asked to try at once, paused or not.
    #[must_use]
    pub fn free_seats_in_a_hurry(&self, lane: i32) -> usize {
        self.lanes.lock().get(&lane).map_or(SEATS_PER_LANE, |entry| SEATS_PER_LANE.saturating_sub(entry.seats))
    }

    /// Says whether deliveries of a lane still wait in the database.
    pub fn set_backlog(&self, lane: i32, backlog: bool) {
        if let Some(entry) = self.lanes.lock().get_mut(&lane) {
            entry.backlog = backlog;
        }
    }

    /// Says that of all lanes only these have deliveries waiting in the database.
    pub fn only_backlogs(&self, waiting: &HashSet<i32>) {
        self.lanes.lock().iter_mut().filter(|(lane, _)| !waiting.contains(lane)).for_each(|(_, entry)| entry.backlog = false);
    }

    /// Fetches nothing of a lane until `until`.
    pub fn pause(&self, lane: i32, until: Tick) {
        self.lanes.lock().entry(lane).or_default().paused_until = Some(until);
    }

    /// Ends the pause of a lane.
    pub fn resume(&self, lane: i32) {
        if let Some(entry) = self.lanes.lock().get_mut(&lane) {
            entry.paused_until = None;
        }
        self.wake();
    }

    /// Forgets lanes that hold nothing and wait for nothing.
    pub fn tidy(&self, now: Tick) {
        self.lanes.lock().retain(|_, lane| lane.seats > 0 || lane.backlog || lane.paused_until.is_some_and(|until| until > now));
    }

    /// Ends when room may have come free for lanes with a backlog.
    pub async fn room(&self) {
        self.room.notified().await;
    }

    /// Wakes who waits for [`Claims::room`].
    pub fn wake(&self) {
        self.room.notify_one();
    }

    /// Keeps [`Claims::settled_books`] from looking while a claim is on its way and its rows are not in the ledger.
    pub async fn claiming(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.claiming.lock().await
    }

    /// The same guard for who compares the ledger with the database; none while a claim is on its way.
    #[must_use]
    pub fn settled_books(&self) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        self.claiming.try_lock().ok()
    }

    /// Notes that the database may say of deliveries that they are ours which memory does not hold.
    pub fn suspect(&self) {
        self.suspect.store(true, Ordering::Release);
    }

    /// True once after [`Claims::suspect`].
    #[must_use]
    pub fn take_suspicion(&self) -> bool {
        self.suspect.swap(false, Ordering::AcqRel)
    }

    /// The claims that were dropped unsettled since the last call, but for those that memory holds again by now: their first
    /// return took place although its answer was lost.
    #[must_use]
    pub fn take_dropped(&self) -> Vec<Dropped> {
        let mut ledger = self.ledger.lock();
        let dropped = std::mem::take(&mut ledger.dropped);
        dropped.into_iter().filter(|dropped| !ledger.held.contains(&dropped.id)).collect()
    }

    /// Notes claims again that could not be given back.
    pub fn note_dropped(&self, claims: impl IntoIterator<Item = Dropped>) {
        self.ledger.lock().dropped.extend(claims);
    }

    /// Leaves out what memory holds or has noted as dropped.
    pub fn retain_unknown(&self, ids: &mut Vec<DeliveryId>) {
        let ledger = self.ledger.lock();
        ids.retain(|id| !ledger.held.contains(id) && !ledger.dropped.iter().any(|dropped| dropped.id == *id));
    }

    /// Deliveries and octets held now.
    #[must_use]
    pub fn held(&self) -> (usize, usize) {
        let memory = self.memory.lock();
        (memory.deliveries, memory.octets)
    }

    fn free(&self, octets: usize, what: impl FnOnce(&mut Memory)) {
        let mut memory = self.memory.lock();
        let before = memory.octets;
        memory.octets = before.saturating_sub(octets);
        what(&mut memory);
        let half = self.limit / 2;
        // What waits in the database comes when half is free, or, with messages larger than that, when all is.
        let wanted = before > half && memory.octets <= half || memory.messages == 0 && memory.deliveries == 0;
        drop(memory);
        if wanted {
            self.wake();
        }
    }
}

/// Room for a message's content, given back when dropped.
#[derive(Debug)]
pub struct Grant {
    claims: Arc<Claims>,
    octets: usize,
}

impl Drop for Grant {
    fn drop(&mut self) {
        self.claims.free(self.octets, |memory| memory.messages = memory.messages.saturating_sub(1));
    }
}

/// A delivery's place in its lane and in the ledger, given back when dropped.
#[derive(Debug)]
pub struct Seat {
    claims: Arc<Claims>,
    lane: i32,
    id: DeliveryId,
    /// Set when the claim that held this seat ends unsettled.
    unsettled: Option<Dropped>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        {
            // One step, so that a claim is always either held or noted.
            let mut ledger = self.claims.ledger.lock();
            ledger.held.remove(&self.id);
            ledger.dropped.extend(self.unsettled.take());
        }
        let mut lanes = self.claims.lanes.lock();
        let mut wanted = false;
        if let Some(entry) = lanes.get_mut(&self.lane) {
            entry.seats = entry.seats.saturating_sub(1);
            wanted = entry.backlog && entry.seats == SEATS_PER_LANE / 2;
            if entry.seats == 0 && !entry.backlog && entry.paused_until.is_none() {
                lanes.remove(&self.lane);
            }
        }
        drop(lanes);
        if wanted {
            self.claims.wake();
        }
        self.claims.free(DELIVERY_OCTETS, |memory| memory.deliveries = memory.deliveries.saturating_sub(1));
    }
}

/// A message in memory, shared by its deliveries.
#[derive(Debug)]
pub struct OutboundMessage {
    /// Its id; carries the time of acceptance, which is the signature's `t=`.
    pub id: MessageId,
    /// Whose it is.
    pub project: ProjectId,
    /// Its stream.
    pub stream: Box<str>,
    /// Whose DKIM keys sign it.
    pub domain: Option<DomainId>,
    /// MAIL FROM.
    pub reverse_path: ReversePath,
    /// RFC 5322 octets without our signature.
    pub content: Bytes,
    /// The body has octets above 127.
    pub eight_bit: bool,
    /// Needs SMTPUTF8.
    pub smtputf8: bool,
    /// What it wants of TLS.
    pub tls: TlsNeed,
    /// What its sender asked of delivery reports.
    pub reports: Option<Box<ReportWishes>>,
    /// The signature fields, made once, when first needed.
    pub signature: OnceCell<Bytes>,
    /// Its room.
    pub grant: Grant,
}

/// Whether somebody waits for an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hurry {
    /// It is made when its time has come and its domain is not at rest.
    None,
    /// Somebody asked for it: it is made at once.
    Asked,
}

/// A claim on one delivery. Settle it, or drop it to give it back.
#[derive(Debug)]
pub struct ClaimedDelivery {
    /// The incarnation that claimed it.
    pub owner: i64,
    /// The message.
    pub message: Arc<OutboundMessage>,
    /// The recipient's place in the envelope.
    pub rcpt_no: u16,
    /// The recipient.
    pub recipient: EmailAddress,
    /// Attempts made before this one.
    pub attempt: u16,
    /// Which goes first.
    pub priority: Priority,
    /// When it expires.
    pub expires_at: OffsetDateTime,
    /// Whether somebody asked for this attempt.
    pub hurry: Hurry,
    seat: Seat,
    settled: bool,
}

/// What [`ClaimedDelivery::new`] is made of, beside the message and the seat.
#[derive(Debug)]
pub struct ClaimFacts {
    /// The incarnation that claimed it.
    pub owner: i64,
    /// The recipient's place in the envelope.
    pub rcpt_no: u16,
    /// The recipient.
    pub recipient: EmailAddress,
    /// Attempts made before this one.
    pub attempt: u16,
    /// Which goes first.
    pub priority: Priority,
    /// When it expires.
    pub expires_at: OffsetDateTime,
    /// Whether somebody asked for this attempt.
    pub hurry: Hurry,
}

impl ClaimedDelivery {
    /// A claim that the database confirmed.
    #[must_use]
    pub fn new(message: Arc<OutboundMessage>, seat: Seat, facts: ClaimFacts) -> Self {
        let ClaimFacts { owner, rcpt_no, recipient, attempt, priority, expires_at, hurry } = facts;
        Self { owner, message, rcpt_no, recipient, attempt, priority, expires_at, hurry, seat, settled: false }
    }

    /// The delivery's id.
    #[must_use]
    pub fn id(&self) -> DeliveryId {
        DeliveryId { message: self.message.id, rcpt_no: self.rcpt_no }
    }

    /// The lane that it waits in when it is given back.
    #[must_use]
    pub const fn lane(&self) -> i32 {
        self.seat.lane
    }

    /// Marks the claim as ended in the database; dropping it then only frees memory.
    pub const fn mark_settled(&mut self) {
        self.settled = true;
    }
}

impl Drop for ClaimedDelivery {
    fn drop(&mut self) {
        if !self.settled {
            self.seat.unsettled = Some(Dropped { owner: self.owner, id: self.id(), uncertain: std::thread::panicking() });
        }
    }
}

#[cfg(test)]
mod tests;
