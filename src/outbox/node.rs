//! This process as a node: its incarnation, its heartbeat, and the work of nodes that died (invariant 4).
//!
//! Answers: which incarnation claims carry now, and whether it may still put messages on the wire. A node that was fenced
//! (it slept too long, or lost the database) goes on under a new incarnation; whatever the old one still held belongs to others.
//! Does not: decide liveness by its own clock: heartbeats are compared on the database's.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::claims::{Claims, Dropped};
use super::expiry::ExpiryGuard;
use crate::clock::{Clock, Tick};
use crate::failpoint::Failpoint;
use crate::model::outcome::{Attempt, Outcome, Scope, Stage};
use crate::model::{BounceClass, DeliveryId, MessageId};
use crate::store::{Store, StoreError};
use crate::supervisor::Supervisor;
use crate::telemetry::metrics;

const BEAT: Duration = Duration::from_secs(1);
/// Deliveries of a dead node freed in one statement.
const TAKE_OVER_CHUNK: usize = 500;
/// How often the claims in the database are compared with those in memory. It reads the whole table of outstanding work.
const AUDIT_EVERY: Duration = Duration::from_mins(5);
/// Beats after the end of a pause at which parked deliveries are looked for: a claim that began before it may park some after the first.
const UNPARK_ROUNDS: u8 = 3;
const PANIC_FACTS: &str = "the work on this delivery broke off; the next hop may have taken the message";
const CUT_OFF_FACTS: &str = "the session was cut off when this node stopped; the next hop may have taken the message";
const TAKE_OVER_FACTS: &str = "the node that worked on this delivery stopped; the next hop may have taken the message";

/// A process that takes part. Shared by all that claim or settle.
#[derive(Debug)]
pub struct Node {
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) claims: Arc<Claims>,
    host: String,
    silence: Duration,
    incarnation: AtomicI64,
    confirmed: watch::Sender<Tick>,
    expiry: ExpiryGuard,
    /// When the last round began.
    round: Mutex<Tick>,
    audited: Mutex<Option<Tick>>,
    /// How often the end of a pause is still to be looked for.
    unpark_rounds: AtomicU8,
    /// Says so to [`Node::unpark`].
    pub(super) unparking: Notify,
}

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaving {
    /// All sessions ended; what is left was not begun.
    InOrder,
    /// Sessions were cut off: what is left may have been taken by its next hop.
    CutOff,
}

impl Node {
    /// Enters this process into the table of nodes. `silence` is how long a heartbeat may fail before others take over.
    pub async fn join(store: Store, clock: Clock, claims: Arc<Claims>, host: String, silence: Duration) -> Result<Arc<Self>, StoreError> {
        let incarnation = fresh_incarnation(&clock);
        let (asked, expiry) = (clock.reading(), ExpiryGuard::default());
        let database = store.register_node(incarnation, &host).await?;
        Failpoint::NodeJoined.reach();
        expiry.observe(clock.follow(asked, database), clock.tick());
        let asked_at = clock.tick();
        let (incarnation, confirmed) = (AtomicI64::new(incarnation), watch::Sender::new(asked_at));
        Ok(Arc::new(Self {
            store,
            clock,
            claims,
            host,
            silence,
            incarnation,
            confirmed,
            expiry,
            round: Mutex::new(asked_at),
            audited: Mutex::new(None),
            unpark_rounds: AtomicU8::new(UNPARK_ROUNDS),
            unparking: Notify::new(),
        }))
    }

    /// The incarnation that new claims carry.
    #[must_use]
    pub fn incarnation(&self) -> i64 {
        self.incarnation.load(Ordering::Acquire)
    }

    /// True if claims of `owner` are surely still ours: the heartbeat was confirmed within half of the permitted silence.
    /// No content is put on the wire otherwise.
    #[must_use]
    pub fn may_send(&self, owner: i64) -> bool {
        owner == self.incarnation() && self.clock.tick().since(*self.confirmed.borrow()) < self.silence / 2
    }

    /// As [`Node::may_send`], but if the heartbeat is late the next one is waited for, as long as others would wait for it.
    pub async fn may_send_soon(&self, owner: i64) -> bool {
        if self.may_send(owner) {
            return true;
        }
        let mut beats = self.confirmed.subscribe();
        let confirmation = async {
            while !self.may_send(owner) {
                if owner != self.incarnation() || beats.changed().await.is_err() {
                    return false;
                }
            }
            true
        };
        self.clock.timeout(self.silence, confirmation).await.unwrap_or(false)
    }

    /// How long ago the heartbeat's last round began, whatever came of it: long only if its task hangs.
    #[must_use]
    pub fn round_age(&self) -> Duration {
        self.clock.tick().since(*self.round.lock())
    }

    /// True if deliveries whose time is over may be ended: not while clocks disagree.
    #[must_use]
    pub fn may_expire(&self) -> bool {
        self.expiry.permits(self.clock.tick())
    }

    /// Beats, looks for dead nodes, and gives back claims that were dropped, until the process drains.
    pub async fn live(self: Arc<Self>, supervisor: Supervisor) {
        loop {
            if let Err(error) = self.beat().await {
                tracing::warn!(%error, "the heartbeat was not confirmed; no message is put on the wire until it is");
                self.store.find_primary(&error).await;
            }
            let ended = tokio::select! {
                () = self.clock.sleep(BEAT) => false,
                () = supervisor.draining() => supervisor_is_quiet(&self).await,
            };
            if ended {
                return;
            }
        }
    }

    /// One round: heartbeat, dropped claims, dead nodes.
    pub async fn beat(&self) -> Result<(), StoreError> {
        // Taken before the call: a reply that took long must not count as fresh.
        let (asked, reading) = (self.clock.tick(), self.clock.reading());
        *self.round.lock() = asked;
        if let Some(database) = self.store.heartbeat(self.incarnation()).await? {
            self.expiry.observe(self.clock.follow(reading, database), self.clock.tick());
            self.confirmed.send_replace(asked);
        } else {
            self.begin_anew().await?;
        }
        metrics::heartbeat_age(self.clock.tick().since(*self.confirmed.borrow()));
        let (deliveries, octets) = self.claims.held();
        metrics::memory(deliveries, octets);
        self.return_dropped().await?;
        self.hear_orders().await?;
        self.claims.tidy(asked);
        for dead in self.store.fence_silent_nodes(self.incarnation(), self.silence).await? {
            Failpoint::NodeFenced.reach();
            self.take_over(dead.incarnation).await?;
        }
        self.audit(asked).await
    }

    /// Frees work that nobody does: what the database says is ours and memory does not hold (the answer to a claim was lost),
    /// and what belongs to an incarnation whose row is gone (it wrote after it had been taken over).
    async fn audit(&self, now: Tick) -> Result<(), StoreError> {
        let is_due = self.audited.lock().is_none_or(|last| now.since(last) >= AUDIT_EVERY);
        if !is_due && !self.claims.take_suspicion() {
            return Ok(());
        }
        let Some(_no_claim_under_way) = self.claims.settled_books() else {
            self.claims.suspect();
            return Ok(());
        };
        let result = self.free_lost_work().await;
        match &result {
            Ok(()) => *self.audited.lock() = Some(now),
            Err(_) => self.claims.suspect(),
        }
        result
    }

    async fn free_lost_work(&self) -> Result<(), StoreError> {
        let own = self.incarnation();
        let owned = self.store.owned(own).await?;
        let mut ids: Vec<DeliveryId> = owned
            .into_iter()
            .map(|(message, number)| DeliveryId { message: MessageId::from_uuid(message), rcpt_no: u16::try_from(number).unwrap_or(0) })
            .collect();
        self.claims.retain_unknown(&mut ids);
        if !ids.is_empty() {
            tracing::warn!(deliveries = ids.len(), "claims whose answer was lost are given back");
            let refs: Vec<_> = ids.into_iter().map(|id| (own, id)).collect();
            self.release(&refs, self.clock.now()).await?;
        }
        for owner in self.store.unknown_owners().await? {
            self.take_over(owner).await?;
        }
        self.unparking.notify_one();
        Ok(())
    }

    /// Learns what operators asked for, and has what a pause kept freed that is over.
    async fn hear_orders(&self) -> Result<(), StoreError> {
        let (rows, drained) = (self.store.pauses().await?, self.store.is_drained(self.incarnation()).await?);
        if self.claims.orders().learn(super::pauses::areas(&rows), drained) {
            self.unpark_rounds.store(UNPARK_ROUNDS, Ordering::Release);
        }
        let left = self.unpark_rounds.load(Ordering::Acquire);
        if left > 0 {
            self.unparking.notify_one();
            self.unpark_rounds.store(left - 1, Ordering::Release);
        }
        Ok(())
    }

    async fn begin_anew(&self) -> Result<(), StoreError> {
        let (old, new) = (self.incarnation(), fresh_incarnation(&self.clock));
        let asked = self.clock.tick();
        self.store.register_node(new, &self.host).await?;
        if self.claims.orders().is_drained() {
            self.store.drain_again(new, "as before it was fenced", self.clock.now()).await?;
        }
        self.incarnation.store(new, Ordering::Release);
        self.confirmed.send_replace(asked);
        tracing::warn!(old, new, "this node was silent too long and was fenced; its claims belong to others now, it goes on under a new incarnation");
        Ok(())
    }

    async fn return_dropped(&self) -> Result<(), StoreError> {
        let Some(_no_claim_under_way) = self.claims.settled_books() else { return Ok(()) };
        let dropped = self.claims.take_dropped();
        if dropped.is_empty() {
            return Ok(());
        }
        let result = self.release_dropped(&dropped).await;
        if result.is_err() {
            self.claims.note_dropped(dropped);
        }
        result
    }

    async fn release_dropped(&self, dropped: &[Dropped]) -> Result<(), StoreError> {
        let (uncertain, certain): (Vec<&Dropped>, Vec<&Dropped>) = dropped.iter().partition(|dropped| dropped.uncertain);
        let refs = |dropped: Vec<&Dropped>| dropped.into_iter().map(|dropped| (dropped.owner, dropped.id)).collect::<Vec<_>>();
        self.release(&refs(certain), self.clock.now()).await?;
        let facts = self.unknown_facts(PANIC_FACTS);
        for (owner, id) in refs(uncertain) {
            let freed = self.store.release_uncertain(owner, id.message.uuid(), rcpt_no(id), self.clock.uuid(), &facts).await?;
            metrics::outcome_unknown(freed);
        }
        Ok(())
    }

    /// Gives claims back unspent, not due before `next_at`.
    pub async fn release(&self, claims: &[(i64, DeliveryId)], next_at: time::OffsetDateTime) -> Result<u64, StoreError> {
        let mut owners: Vec<i64> = claims.iter().map(|(owner, _)| *owner).collect();
        owners.sort_unstable();
        owners.dedup();
        let mut released = 0;
        for owner in owners {
            let of_owner = || claims.iter().filter(|(other, _)| *other == owner).map(|(_, id)| id);
            let messages: Vec<_> = of_owner().map(|id| id.message.uuid()).collect();
            let numbers: Vec<_> = of_owner().map(|id| rcpt_no(*id)).collect();
            released += self.store.release(owner, &messages, &numbers, next_at).await?;
        }
        Ok(released)
    }

    async fn take_over(&self, dead: i64) -> Result<(), StoreError> {
        let total = self.free_as_unknown(dead, TAKE_OVER_FACTS).await?;
        tracing::warn!(incarnation = dead, deliveries = total, "took over the work of a node that stopped");
        self.claims.wake();
        Ok(())
    }

    /// Frees all that an incarnation had, told as possibly taken, and removes its row.
    async fn free_as_unknown(&self, owner: i64, reason: &str) -> Result<u64, StoreError> {
        self.store.ensure_partitions_for(self.clock.now()).await?;
        let facts = self.unknown_facts(reason);
        let mut total = 0;
        loop {
            let event_ids: Vec<_> = (0..TAKE_OVER_CHUNK).map(|_| self.clock.uuid()).collect();
            let freed = self.store.take_over(owner, &event_ids, &facts).await?;
            total += freed;
            if freed == 0 {
                break;
            }
            Failpoint::NodeTakingOver.reach();
        }
        // Stays if another node is at it just now: its part may yet come to nothing.
        self.store.remove_node(owner).await?;
        metrics::outcome_unknown(total);
        Ok(total)
    }

    fn unknown_facts(&self, reason: &str) -> String {
        let facts = Attempt {
            at: self.clock.now(),
            duration_ms: 0,
            mx_host: None,
            mx_ip: None,
            tls: None,
            source_ip: None,
            pool: None,
            smart_host: None,
            tls_policy: None,
            tls_result: None,
            stage: Stage::EndOfData,
            reply: reason.into(),
            enhanced_status: None,
            outcome: Outcome::Deferred,
            scope: Some(Scope::Us),
            class: Some(BounceClass::Network),
            outcome_unknown: true,
            next_hop_reports: false,
            transcript: Vec::new(),
        };
        serde_json::to_string(&facts).unwrap_or_else(|_| "{}".into())
    }

    /// Gives everything back and leaves: the end of a stop.
    pub async fn leave(&self, leaving: Leaving) -> Result<u64, StoreError> {
        Failpoint::NodeLeaving.reach();
        let own = self.incarnation();
        match leaving {
            Leaving::CutOff => self.free_as_unknown(own, CUT_OFF_FACTS).await,
            Leaving::InOrder => {
                // A claim that a panic broke off is told first.
                self.return_dropped().await?;
                let released = self.store.release_all(own).await?;
                self.store.remove_node(own).await?;
                Ok(released)
            }
        }
    }
}

fn rcpt_no(id: DeliveryId) -> i16 {
    i16::try_from(id.rcpt_no).unwrap_or(i16::MAX)
}

/// While draining the node must go on beating, or its open sessions would lose their claims; it ends when it holds none.
async fn supervisor_is_quiet(node: &Node) -> bool {
    node.clock.sleep(BEAT / 10).await;
    node.claims.held().0 == 0
}

fn fresh_incarnation(clock: &Clock) -> i64 {
    // Positive and never 0 or -1, which mean waiting and held.
    (i64::from_be_bytes(clock.random()) & i64::MAX).max(1)
}
