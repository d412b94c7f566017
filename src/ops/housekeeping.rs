//! Housekeeping: partitions made ahead and dropped when their time is over, late deliveries expired, domains checked
//! again, and their DKIM keys made anew.
//!
//! Every step can be repeated and run on several nodes at once. While the clocks disagree nothing is expired and nothing dropped.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, first_id_at, time_of};
use crate::config::Retention;
use crate::domains::Domains;
use crate::events::EventKind;
use crate::incoming::IncomingMail;
use crate::model::outcome::Attempt;
use crate::outbox::node::Node;
use crate::store::partition::Partitioned;
use crate::store::{Store, StoreError};
use crate::supervisor::Supervisor;
use crate::telemetry::metrics;
use crate::webhooks::Webhooks;

const ROUND: Duration = Duration::from_mins(1);
/// Deliveries expired in one statement.
const EXPIRE_CHUNK: usize = 500;

/// Lines of the audit trail deleted in one statement.
const AUDIT_CHUNK: i64 = 5_000;
/// Reports of receivers deleted in one statement, each with its lines.
const REPORT_CHUNK: i64 = 100;

/// Keeps house.
#[derive(Debug)]
pub struct Housekeeping {
    /// The database.
    pub store: Store,
    /// Domains to check again.
    pub domains: Domains,
    /// Time.
    pub clock: Clock,
    /// Mail from the world.
    pub incoming: IncomingMail,
    /// What endpoints were told.
    pub webhooks: Webhooks,
    /// Whether the time may be believed.
    pub node: Arc<Node>,
    /// How long what is kept.
    pub retention: Retention,
}

impl Housekeeping {
    /// Runs once a minute until the process drains.
    pub async fn run(self, supervisor: Supervisor) {
        while !supervisor.is_draining() {
            if let Err(error) = self.round().await {
                metrics::database_error(error.kind());
                tracing::warn!(%error, "housekeeping failed; trying again in a minute");
            }
            if let Err(error) = self.domains.check_due().await {
                tracing::warn!(%error, "domains could not be checked again");
            }
            if let Err(error) = self.domains.rotate_due().await {
                tracing::warn!(%error, "new DKIM keys could not be made");
            }
            tokio::select! {
                () = self.clock.sleep(ROUND) => {}
                () = supervisor.draining() => {}
            }
        }
    }

    async fn round(&self) -> Result<(), StoreError> {
        self.store.ensure_partitions_for(self.clock.now()).await?;
        if self.node.may_expire() {
            self.expire_late().await?;
            self.drop_old().await?;
        }
        metrics::outstanding(u64::try_from(self.store.outstanding_count().await?).unwrap_or(0));
        Ok(())
    }

    /// Ends waiting deliveries whose time is over although nobody came to try them.
    async fn expire_late(&self) -> Result<(), StoreError> {
        loop {
            let event_ids: Vec<_> = (0..EXPIRE_CHUNK).map(|_| self.clock.uuid()).collect();
            let facts = serde_json::to_string(&Attempt::never_made(self.clock.now())).unwrap_or_else(|_| "{}".into());
            let ended = self.store.expire_unclaimed(&event_ids, EventKind::Expired.to_stored(), &facts, self.clock.moved()).await?;
            if ended == 0 {
                return Ok(());
            }
            tracing::info!(deliveries = ended, "expired");
        }
    }

    /// Drops whole days: idempotency keys after theirs, messages and events when retention is over and nothing of the day is outstanding.
    async fn drop_old(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let days_ago = |days: u32| now.date().saturating_sub(time::Duration::days(i64::from(days)));
        self.store.drop_partitions(Partitioned::Idempotency, days_ago(2)).await?;
        let oldest = self.store.oldest_outstanding().await?.map_or(now.date(), |id| time_of(id).date());
        if self.retention.event_days > 0 {
            // The events of a message go no earlier than the message itself is allowed to.
            self.store.drop_partitions(Partitioned::Event, days_ago(self.retention.event_days).min(oldest)).await?;
        }
        if self.retention.audit_days > 0 {
            let first_kept = days_ago(self.retention.audit_days).midnight().assume_utc();
            while self.store.delete_audit(first_id_at(first_kept), AUDIT_CHUNK).await? == AUDIT_CHUNK.unsigned_abs() {}
        }
        if self.retention.report_days > 0 {
            let first_kept = days_ago(self.retention.report_days).midnight().assume_utc();
            while self.store.delete_incoming_reports(first_kept, REPORT_CHUNK).await? == REPORT_CHUNK.unsigned_abs() {}
        }
        if self.retention.incoming_days > 0 {
            let removed = self.incoming.remove_older(self.retention.incoming_days).await?;
            if removed > 0 {
                tracing::info!(messages = removed, "old mail from the world was deleted (retention.incoming_days)");
            }
        }
        if self.retention.webhook_days > 0 {
            self.webhooks.remove_older(self.retention.webhook_days).await?;
        }
        if self.retention.message_days > 0 {
            self.store.drop_partitions(Partitioned::Message, days_ago(self.retention.message_days).min(oldest)).await?;
        }
        Ok(())
    }
}
