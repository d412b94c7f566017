//! This process as a node: its incarnation, its heartbeat, and the work of nodes that died (invariant 4).
//!
//! Answers: which incarnation claims carry now, and whether it may still put messages on the wire. A node that was fenced
//! (it slept too long, or lost the database) goes on under a new incarnation; whatever the old one still held belongs to others.
//! Does not: decide liveness by its own clock: heartbeats are compared on the database's.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::claims::Claims;
use crate::clock::{Clock, Tick};
use crate::model::DeliveryId;
use crate::model::outcome::{Attempt, Outcome, Scope, Stage};
use crate::store::{Store, StoreError};
use crate::supervisor::Supervisor;
use crate::telemetry::metrics;

const BEAT: Duration = Duration::from_secs(1);
/// Deliveries of a dead node freed in one statement.
const TAKE_OVER_CHUNK: usize = 500;
const TAKE_OVER_FACTS: &str = "the node that worked on this delivery stopped; the next hop may have taken the message";

/// A process that takes part. Shared by all that claim or settle.
#[derive(Debug)]
pub struct Node {
    store: Store,
    clock: Clock,
    claims: Arc<Claims>,
    host: String,
    silence: Duration,
    incarnation: AtomicI64,
    confirmed: Mutex<Tick>,
}

impl Node {
    /// Enters this process into the table of nodes. `silence` is how long a heartbeat may fail before others take over.
    pub async fn join(store: Store, clock: Clock, claims: Arc<Claims>, host: String, silence: Duration) -> Result<Arc<Self>, StoreError> {
        let incarnation = fresh_incarnation(&clock);
        store.register_node(incarnation, &host).await?;
        let confirmed = Mutex::new(clock.tick());
        Ok(Arc::new(Self { store, clock, claims, host, silence, incarnation: AtomicI64::new(incarnation), confirmed }))
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
        owner == self.incarnation() && self.clock.tick().since(*self.confirmed.lock()) < self.silence / 2
    }

    /// Beats, looks for dead nodes, and gives back claims that were dropped, until the process drains.
    pub async fn live(self: Arc<Self>, supervisor: Supervisor) {
        loop {
            if let Err(error) = self.beat().await {
                tracing::warn!(%error, "the heartbeat was not confirmed; no message is put on the wire until it is");
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
        let asked = self.clock.tick();
        if self.store.heartbeat(self.incarnation()).await? {
            *self.confirmed.lock() = asked;
        } else {
            self.begin_anew().await?;
        }
        metrics::heartbeat_age(self.clock.tick().since(*self.confirmed.lock()));
        let (deliveries, octets) = self.claims.held();
        metrics::memory(deliveries, octets);
        self.return_dropped().await?;
        self.claims.tidy(asked);
        for dead in self.store.fence_silent_nodes(self.incarnation(), self.silence).await? {
            self.take_over(dead.incarnation).await?;
        }
        Ok(())
    }

    async fn begin_anew(&self) -> Result<(), StoreError> {
        let (old, new) = (self.incarnation(), fresh_incarnation(&self.clock));
        let asked = self.clock.tick();
        self.store.register_node(new, &self.host).await?;
        self.incarnation.store(new, Ordering::Release);
        *self.confirmed.lock() = asked;
        tracing::warn!(old, new, "this node was silent too long and was fenced; its claims belong to others now, it goes on under a new incarnation");
        Ok(())
    }

    async fn return_dropped(&self) -> Result<(), StoreError> {
        let dropped = self.claims.take_dropped();
        if dropped.is_empty() {
            return Ok(());
        }
        let result = self.release(&dropped, self.clock.now()).await;
        if result.is_err() {
            self.claims.note_dropped(dropped);
        }
        result.map(|_| ())
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
            let numbers: Vec<_> = of_owner().map(|id| i16::try_from(id.rcpt_no).unwrap_or(i16::MAX)).collect();
            released += self.store.release(owner, &messages, &numbers, next_at).await?;
        }
        Ok(released)
    }

    async fn take_over(&self, dead: i64) -> Result<(), StoreError> {
        let facts = Attempt {
            at: self.clock.now(),
            duration_ms: 0,
            mx_host: None,
            mx_ip: None,
            tls: None,
            stage: Stage::EndOfData,
            reply: TAKE_OVER_FACTS.into(),
            enhanced_status: None,
            outcome: Outcome::Deferred,
            scope: Some(Scope::Us),
            outcome_unknown: true,
            transcript: Vec::new(),
        };
        let facts = serde_json::to_string(&facts).unwrap_or_else(|_| "{}".into());
        let mut total = 0;
        loop {
            let event_ids: Vec<_> = (0..TAKE_OVER_CHUNK).map(|_| self.clock.uuid()).collect();
            let freed = self.store.take_over(dead, &event_ids, &facts).await?;
            total += freed;
            if freed == 0 {
                break;
            }
        }
        self.store.remove_node(dead).await?;
        metrics::outcome_unknown(total);
        tracing::warn!(incarnation = dead, deliveries = total, "took over the work of a node that stopped");
        self.claims.wake();
        Ok(())
    }

    /// Gives everything back and leaves: the end of an orderly stop.
    pub async fn leave(&self) -> Result<u64, StoreError> {
        let released = self.store.release_all(self.incarnation()).await?;
        self.store.remove_node(self.incarnation()).await?;
        Ok(released)
    }
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
