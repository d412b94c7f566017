//! What a user or operator may do with what waits: cancel, retry now, hold, release.
//!
//! Deliveries that a node works on right now are left alone; the number changed tells.

use super::Outbox;
use crate::events::EventKind;
use crate::model::{MessageId, ProjectId};
use crate::store::StoreError;
use crate::store::outbox::{HELD, WAITING};

impl Outbox {
    /// Takes back the deliveries nobody works on. None: the project has no such message.
    pub async fn cancel(&self, project: ProjectId, id: MessageId) -> Result<Option<u64>, StoreError> {
        let Some(head) = self.store.message(project.uuid(), id.uuid()).await? else { return Ok(None) };
        self.store.ensure_partitions_for(self.clock.now()).await?;
        let event_ids: Vec<_> = (0..head.recipients.max(0)).map(|_| self.clock.uuid()).collect();
        let ended = self.store.end_unclaimed(project.uuid(), id.uuid(), &event_ids, EventKind::Cancelled.to_stored(), "{}").await?;
        tracing::info!(message = %id, deliveries = ended, "cancelled");
        Ok(Some(ended))
    }

    /// Lets waiting deliveries be tried at once, by whichever node comes first, even if their domain rests: that attempt finds out whether its hosts
    /// are back.
    pub async fn retry(&self, project: ProjectId, id: MessageId) -> Result<Option<u64>, StoreError> {
        if self.store.message(project.uuid(), id.uuid()).await?.is_none() {
            return Ok(None);
        }
        let changed = self.store.make_due(project.uuid(), id.uuid()).await?;
        tracing::info!(message = %id, deliveries = changed, "to be tried at once");
        Ok(Some(changed))
    }

    /// Keeps waiting deliveries back until released.
    pub async fn hold(&self, project: ProjectId, id: MessageId) -> Result<Option<u64>, StoreError> {
        self.move_unclaimed(project, id, WAITING, HELD).await
    }

    /// Lets held deliveries go.
    pub async fn release(&self, project: ProjectId, id: MessageId) -> Result<Option<u64>, StoreError> {
        self.move_unclaimed(project, id, HELD, WAITING).await
    }

    async fn move_unclaimed(&self, project: ProjectId, id: MessageId, from: i64, to: i64) -> Result<Option<u64>, StoreError> {
        if self.store.message(project.uuid(), id.uuid()).await?.is_none() {
            return Ok(None);
        }
        self.store.change_unclaimed(project.uuid(), id.uuid(), from, to).await.map(Some)
    }
}
