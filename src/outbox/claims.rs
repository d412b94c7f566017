//! Claims in memory: what this process holds, and how much it may hold.
//!
//! Answers: is there room for another message, for another delivery of this lane; is a lane paused; which claims were dropped
//! without being settled. Memory stays bounded: content counts in octets, deliveries count by lane, and what does not fit
//! waits in the database. A claim that is dropped unsettled (a task panicked) is given back, never lost.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use time::OffsetDateTime;
use tokio::sync::{Notify, OnceCell};

use crate::clock::Tick;
use crate::model::message::Priority;
use crate::model::{DeliveryId, DomainId, EmailAddress, MessageId, ProjectId, ReversePath};

/// Deliveries of one lane in memory at most: enough to keep its sessions busy, few enough to leave room for others.
pub const SEATS_PER_LANE: usize = 1_000;
/// What a delivery costs in memory beside the content, in octets.
const DELIVERY_OCTETS: usize = 1_024;

/// A claim by its owner and delivery.
pub type ClaimRef = (i64, DeliveryId);

#[derive(Debug, Default)]
struct Lane {
    seats: usize,
    /// Deliveries of the lane wait in the database: newer ones queue up behind them.
    backlog: bool,
    paused_until: Option<Tick>,
}

/// The books of this process: octets, seats, pauses.
#[derive(Debug)]
pub struct Claims {
    limit: usize,
    octets: AtomicUsize,
    deliveries: AtomicUsize,
    lanes: Mutex<HashMap<i32, Lane>>,
    dropped: Mutex<Vec<ClaimRef>>,
    room: Notify,
}

impl Claims {
    /// Books with room for `limit` octets.
    #[must_use]
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            octets: AtomicUsize::new(0),
            deliveries: AtomicUsize::new(0),
            lanes: Mutex::default(),
            dropped: Mutex::default(),
            room: Notify::new(),
        })
    }

    /// Takes room for content; none if there is none. A message larger than everything is let in when it is alone.
    #[must_use]
    pub fn grant(self: &Arc<Self>, octets: usize) -> Option<Grant> {
        let taken = self.octets.fetch_update(Ordering::AcqRel, Ordering::Acquire, |used| {
            (used == 0 || used.saturating_add(octets) <= self.limit).then(|| used.saturating_add(octets))
        });
        taken.ok().map(|_| Grant { claims: Arc::clone(self), octets })
    }

    /// True if there is room for a few more messages of common size.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.octets.load(Ordering::Acquire) < self.limit / 8 * 7
    }

    /// Takes a seat for a delivery that was accepted just now: none if the lane is full, paused, or others wait before it.
    /// With none the delivery goes to the database, and so do later ones until those have been fetched.
    #[must_use]
    pub fn seat_for_new(self: &Arc<Self>, lane: i32, now: Tick) -> Option<Seat> {
        let mut lanes = self.lanes.lock();
        let entry = lanes.entry(lane).or_default();
        if entry.backlog || entry.seats >= SEATS_PER_LANE || entry.paused_until.is_some_and(|until| until > now) {
            entry.backlog = true;
            return None;
        }
        entry.seats += 1;
        drop(lanes);
        Some(self.seat(lane))
    }

    /// Takes a seat for a delivery that was fetched from the database.
    #[must_use]
    pub fn seat_for_fetched(self: &Arc<Self>, lane: i32) -> Seat {
        self.lanes.lock().entry(lane).or_default().seats += 1;
        self.seat(lane)
    }

    fn seat(self: &Arc<Self>, lane: i32) -> Seat {
        self.deliveries.fetch_add(1, Ordering::AcqRel);
        self.octets.fetch_add(DELIVERY_OCTETS, Ordering::AcqRel);
        Seat { claims: Arc::clone(self), lane }
    }

    /// How many deliveries of a lane may be fetched; zero while it is paused.
    #[must_use]
    pub fn free_seats(&self, lane: i32, now: Tick) -> usize {
        self.lanes.lock().get(&lane).map_or(SEATS_PER_LANE, |entry| {
            if entry.paused_until.is_some_and(|until| until > now) { 0 } else { SEATS_PER_LANE.saturating_sub(entry.seats) }
        })
    }

    /// Says whether deliveries of a lane still wait in the database.
    pub fn set_backlog(&self, lane: i32, backlog: bool) {
        if let Some(entry) = self.lanes.lock().get_mut(&lane) {
            entry.backlog = backlog;
        }
    }

    /// Fetches nothing of a lane until `until`.
    pub fn pause(&self, lane: i32, until: Tick) {
        self.lanes.lock().entry(lane).or_default().paused_until = Some(until);
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

    /// The claims that were dropped unsettled since the last call.
    #[must_use]
    pub fn take_dropped(&self) -> Vec<ClaimRef> {
        std::mem::take(&mut *self.dropped.lock())
    }

    /// Notes claims that the database may hold and nobody in memory does.
    pub fn note_dropped(&self, claims: impl IntoIterator<Item = ClaimRef>) {
        self.dropped.lock().extend(claims);
    }

    /// Deliveries and octets held now.
    #[must_use]
    pub fn held(&self) -> (usize, usize) {
        (self.deliveries.load(Ordering::Acquire), self.octets.load(Ordering::Acquire))
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
        let before = self.claims.octets.fetch_sub(self.octets, Ordering::AcqRel);
        let half = self.claims.limit / 2;
        if before > half && before - self.octets <= half {
            self.claims.wake();
        }
    }
}

/// A delivery's place in its lane, given back when dropped.
#[derive(Debug)]
pub struct Seat {
    claims: Arc<Claims>,
    lane: i32,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.claims.deliveries.fetch_sub(1, Ordering::AcqRel);
        self.claims.octets.fetch_sub(DELIVERY_OCTETS, Ordering::AcqRel);
        let mut lanes = self.claims.lanes.lock();
        let Some(entry) = lanes.get_mut(&self.lane) else { return };
        entry.seats = entry.seats.saturating_sub(1);
        let wanted = entry.backlog && entry.seats == SEATS_PER_LANE / 2;
        if entry.seats == 0 && !entry.backlog && entry.paused_until.is_none() {
            lanes.remove(&self.lane);
        }
        drop(lanes);
        if wanted {
            self.claims.wake();
        }
    }
}

/// A message in memory, shared by its deliveries.
#[derive(Debug)]
pub struct OutboundMessage {
    /// Its id; carries the time of acceptance, which is the signature's `t=`.
    pub id: MessageId,
    /// Whose it is.
    pub project: ProjectId,
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
    /// The signature fields, made once, when first needed.
    pub signature: OnceCell<Bytes>,
    /// Its room.
    pub grant: Grant,
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
}

impl ClaimedDelivery {
    /// A claim that the database confirmed.
    #[must_use]
    pub fn new(message: Arc<OutboundMessage>, seat: Seat, facts: ClaimFacts) -> Self {
        let ClaimFacts { owner, rcpt_no, recipient, attempt, priority, expires_at } = facts;
        Self { owner, message, rcpt_no, recipient, attempt, priority, expires_at, seat, settled: false }
    }

    /// The delivery's id.
    #[must_use]
    pub fn id(&self) -> DeliveryId {
        DeliveryId { message: self.message.id, rcpt_no: self.rcpt_no }
    }

    /// Marks the claim as ended in the database; dropping it then only frees memory.
    pub const fn mark_settled(&mut self) {
        self.settled = true;
    }
}

impl Drop for ClaimedDelivery {
    fn drop(&mut self) {
        if !self.settled {
            self.seat.claims.note_dropped([(self.owner, DeliveryId { message: self.message.id, rcpt_no: self.rcpt_no })]);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Clock;

    #[test]
    fn content_beyond_the_limit_waits_until_there_is_room() {
        let claims = Claims::new(10_000);
        let first = claims.grant(6_000);
        assert!(first.is_some());
        assert!(claims.grant(6_000).is_none());
        drop(first);
        assert!(claims.grant(50_000).is_some(), "a message larger than the limit goes alone");
    }

    #[test]
    fn a_full_lane_sends_newcomers_to_the_database_until_the_backlog_is_fetched() {
        let (claims, now) = (Claims::new(usize::MAX), Clock::system().tick());
        let seats: Vec<_> = (0..SEATS_PER_LANE).filter_map(|_| claims.seat_for_new(7, now)).collect();
        assert_eq!(seats.len(), SEATS_PER_LANE);
        assert!(claims.seat_for_new(7, now).is_none());
        assert!(claims.seat_for_new(8, now).is_some(), "another lane is not affected");
        drop(seats);
        assert!(claims.seat_for_new(7, now).is_none(), "those in the database come first");
        claims.set_backlog(7, false);
        assert!(claims.seat_for_new(7, now).is_some());
    }

    #[test]
    fn a_paused_lane_has_no_seats() {
        let (claims, now) = (Claims::new(usize::MAX), Clock::system().tick());
        claims.pause(7, now.plus(Duration::from_mins(1)));
        assert!(claims.seat_for_new(7, now).is_none());
        assert_eq!(claims.free_seats(7, now), 0);
        assert_eq!(claims.free_seats(7, now.plus(Duration::from_mins(2))), SEATS_PER_LANE);
    }
}
