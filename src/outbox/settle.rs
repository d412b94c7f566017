//! Settle: writes outcomes in groups; each change of state and its event in one statement (invariant 3).
//!
//! Answers: an ended attempt becomes durable. While the database is away outcomes wait here, in order, and attempts go on
//! only as far as this queue has room; nothing that a mail server said is forgotten while the process lives.

use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::claims::ClaimedDelivery;
use crate::clock::Clock;
use crate::events::EventKind;
use crate::failpoint::Failpoint;
use crate::model::EventId;
use crate::store::outbox::SettleRow;
use crate::store::{Store, StoreError};
use crate::telemetry::{metrics, spans};
use tracing::Instrument;

/// Outcomes in one statement at most.
const GROUP: usize = 512;
/// How long the first outcome of a group waits for others, when few come.
const LINGER: Duration = Duration::from_millis(5);
/// Outcomes that may wait for the database.
const QUEUE: usize = 4_096;

/// The end of one claim.
#[derive(Debug)]
pub struct Settlement {
    /// The claim.
    pub delivery: ClaimedDelivery,
    /// What happened: `deferred`, `delivered`, `bounced`, `expired`.
    pub kind: EventKind,
    /// For `deferred`: when to try again.
    pub next_at: Option<OffsetDateTime>,
    /// The attempt's facts as JSON.
    pub facts: String,
}

/// Takes settlements.
#[derive(Clone, Debug)]
pub struct Settler(mpsc::Sender<Settlement>);

impl Settler {
    /// Queues an outcome; waits while the database is behind.
    pub async fn settle(&self, settlement: Settlement) {
        let _gone = self.0.send(settlement).await;
    }
}

/// Writes what the [`Settler`] takes.
#[derive(Debug)]
pub struct SettleWriter {
    store: Store,
    clock: Clock,
    queue: mpsc::Receiver<Settlement>,
}

/// Makes the pair.
#[must_use]
pub fn channel(store: Store, clock: Clock) -> (Settler, SettleWriter) {
    let (sender, queue) = mpsc::channel(QUEUE);
    (Settler(sender), SettleWriter { store, clock, queue })
}

impl SettleWriter {
    /// Runs until every [`Settler`] is gone and all they gave is written.
    pub async fn run(mut self) {
        let mut group = Vec::with_capacity(GROUP);
        while self.queue.recv_many(&mut group, GROUP).await > 0 {
            if group.len() < GROUP / 8 {
                self.clock.sleep(LINGER).await;
                while group.len() < GROUP
                    && let Ok(more) = self.queue.try_recv()
                {
                    group.push(more);
                }
            }
            let span = spans::outbox_settle(group.len());
            self.write(&mut group).instrument(span).await;
        }
    }

    async fn write(&self, group: &mut Vec<Settlement>) {
        let mut owners: Vec<i64> = group.iter().map(|settlement| settlement.delivery.owner).collect();
        owners.sort_unstable();
        owners.dedup();
        for owner in owners {
            let ours: Vec<Settlement> = group.extract_if(.., |settlement| settlement.delivery.owner == owner).collect();
            self.write_until_done(owner, ours).await;
        }
    }

    async fn write_until_done(&self, owner: i64, mut group: Vec<Settlement>) {
        Failpoint::SettleGathered.reach();
        let mut wait = Duration::from_millis(50);
        let started = self.clock.tick();
        let mut event_ids: Vec<Uuid> = group.iter().map(|_| EventId::from_uuid(self.clock.uuid()).uuid()).collect();
        while let Err(error) = self.write_once(owner, &group, &event_ids).await {
            metrics::database_error(error.kind());
            tracing::warn!(%error, outcomes = group.len(), "outcomes could not be written; they wait");
            self.clock.sleep(self.clock.jitter(wait, 0.2)).await;
            // Perhaps they were and only the answer was lost. A second writing might then hit a later claim on the same delivery.
            while let Err(error) = self.leave_out_written(&mut group, &mut event_ids).await {
                tracing::debug!(%error, "outcomes still wait");
                wait = (wait * 2).min(Duration::from_secs(2));
                self.clock.sleep(self.clock.jitter(wait, 0.2)).await;
            }
        }
        Failpoint::SettleWritten.reach();
        metrics::settled_batch(group.len() as u64, self.clock.tick().since(started));
        for settlement in &mut group {
            settlement.delivery.mark_settled();
        }
    }

    async fn leave_out_written(&self, group: &mut Vec<Settlement>, event_ids: &mut Vec<Uuid>) -> Result<(), StoreError> {
        let messages: Vec<Uuid> = group.iter().map(|settlement| settlement.delivery.message.id.uuid()).collect();
        let written = self.store.existing_events(&messages, event_ids).await?;
        let (mut left, mut left_ids) = (Vec::with_capacity(group.len()), Vec::with_capacity(group.len()));
        for (mut settlement, id) in group.drain(..).zip(event_ids.drain(..)) {
            if written.contains(&id) {
                settlement.delivery.mark_settled();
            } else {
                left.push(settlement);
                left_ids.push(id);
            }
        }
        (*group, *event_ids) = (left, left_ids);
        Ok(())
    }

    async fn write_once(&self, owner: i64, group: &[Settlement], event_ids: &[Uuid]) -> Result<(), StoreError> {
        if group.is_empty() {
            return Ok(());
        }
        self.store.ensure_partitions_for(self.clock.now()).await?;
        let rows = group
            .iter()
            .zip(event_ids)
            .map(|(settlement, event_id)| SettleRow {
                message_id: settlement.delivery.message.id.uuid(),
                rcpt_no: i16::try_from(settlement.delivery.rcpt_no).unwrap_or(i16::MAX),
                next_at: settlement.next_at,
                event_id: *event_id,
                project_id: settlement.delivery.message.project.uuid(),
                kind: settlement.kind.to_stored(),
                recipient: settlement.delivery.recipient.to_string(),
                data: settlement.facts.clone(),
            })
            .collect();
        let lost = (group.len() as u64).saturating_sub(self.store.settle(owner, rows).await?);
        if lost > 0 {
            metrics::fenced(lost);
            tracing::warn!(owner, lost, "outcomes were not written: their deliveries were taken over");
        }
        Ok(())
    }
}
