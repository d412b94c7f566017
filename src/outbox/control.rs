//! What an operator may do with what waits: hold, release, cancel, try now.
//!
//! Answers: how many deliveries were changed, and how many not since a node works on them. A change of many runs in short steps, each
//! with its events and its line of the audit trail in one transaction; after a few seconds it answers with where to go on, so that neither a
//! transaction nor a request takes minutes.
//! Does not: stop an attempt under way. What a node has claimed is left alone and counted; a pause brings back what was not begun.

use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use super::Outbox;
use super::at_site::Finder;
use super::selection::Selection;
use crate::clock::first_id_at;
use crate::events::EventKind;
use crate::model::{Actor, DeliveryId, MessageId, ProjectId};
use crate::store::audit::AuditRow;
use crate::store::operator::{PARKED, RowChange, Stretch};
use crate::store::outbox::{HELD, WAITING};
use crate::store::{Store, StoreError, audit};
use crate::telemetry::metrics;

/// Rows that one step looks at.
const STEP: i64 = 2_000;
/// The same where the domains of all have to be looked up.
const STEP_AT_SITE: i64 = 500;
/// How long one call goes on.
const WORK: Duration = Duration::from_secs(5);

/// How far the clocks of two nodes may be apart for what one accepted before a call to be in it.
const SKEW: Duration = Duration::from_secs(1);

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Kept back until released.
    Hold,
    /// Held ones wait again.
    Release,
    /// Ended, with an event.
    Cancel,
    /// Tried at once.
    Retry,
}

impl Verb {
    /// As the audit trail and the figures name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Release => "release",
            Self::Cancel => "cancel",
            Self::Retry => "retry",
        }
    }

    fn rows(self) -> RowChange {
        let change = |from: &[i64], to| RowChange { from: from.to_vec(), to, hurry: false, end: None };
        match self {
            Self::Hold => change(&[WAITING, PARKED], Some(HELD)),
            Self::Release => change(&[HELD], Some(WAITING)),
            Self::Cancel => RowChange { end: Some((EventKind::Cancelled.to_stored(), "{}".to_owned())), ..change(&[WAITING, HELD, PARKED], None) },
            Self::Retry => RowChange { hurry: true, ..change(&[WAITING, PARKED], None) },
        }
    }
}

/// What a call did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Deliveries changed.
    pub changed: u64,
    /// Deliveries that a node works on, and so not changed.
    pub active: u64,
    /// Deliveries that were not changed since it cannot be found out now whether they are at the site; none where no site was asked for.
    pub unplaced: u64,
    /// Where to go on; none: all were looked at.
    pub next: Option<DeliveryId>,
}

impl Outbox {
    /// Changes the deliveries of a message. None: the project has no such message.
    pub async fn change_message(&self, verb: Verb, project: ProjectId, id: MessageId, actor: &Actor) -> Result<Option<Change>, StoreError> {
        if self.store.message(project.uuid(), id.uuid()).await?.is_none() {
            return Ok(None);
        }
        self.change(verb, Some(project), &Selection::message(id), actor, None).await.map(Some)
    }

    /// Changes what a selection holds, of a project or of all, for some seconds, beginning after `after`. What is accepted meanwhile is not in it.
    ///
    /// # Errors
    /// [`StoreError`]. The steps made before it stay made, and are in the audit trail.
    pub async fn change(
        &self,
        verb: Verb,
        project: Option<ProjectId>,
        selection: &Selection,
        actor: &Actor,
        after: Option<DeliveryId>,
    ) -> Result<Change, StoreError> {
        self.store.ensure_partitions_for(self.clock.now()).await?;
        let started = self.clock.tick();
        let action = format!("queue.{}", verb.as_str());
        let line = self.audit_line(project, actor, &action, json!(selection));
        let mut position = first_of(selection, after);
        // One call after the other must end even while mail is accepted without a pause.
        let last = selection.message.map_or_else(|| first_id_at(self.clock.now() + SKEW), MessageId::uuid);
        let (mut total, mut rows) = (Change::default(), selection.rows(project));
        let mut finder = selection.site.clone().map(Finder::new);
        loop {
            let stretch = Stretch { after: position, last, rows: if finder.is_some() { STEP_AT_SITE } else { STEP } };
            if let Some(finder) = &mut finder {
                let found = finder.find(&self.store, &self.ways, stretch, &rows).await?;
                total.unplaced += found.unplaced;
                rows.only = Some(found.keys);
            }
            let step = self.step(verb, stretch, &rows, &line).await?;
            total.changed += step.changed;
            total.active += step.active;
            let Some(next) = step.next else { break };
            position = (next.message.uuid(), i16::try_from(next.rcpt_no).unwrap_or(i16::MAX));
            if self.clock.tick().since(started) >= WORK {
                total.next = Some(next);
                break;
            }
        }
        metrics::queue_changes(verb.as_str(), total.changed);
        tracing::info!(verb = verb.as_str(), changed = total.changed, active = total.active, by = actor.name, "deliveries changed by an operator");
        Ok(total)
    }

    async fn step(&self, verb: Verb, stretch: Stretch, rows: &crate::store::operator::SelectedRows, line: &AuditRow) -> Result<Change, StoreError> {
        let change = verb.rows();
        let ids = if change.end.is_some() { STEP } else { 0 };
        let event_ids: Vec<Uuid> = (0..ids).map(|_| self.clock.uuid()).collect();
        let mut tx = self.store.begin().await?;
        let step = Store::change_step(&mut tx, stretch, rows, &change, &event_ids).await?;
        audit::write(&mut *tx, &AuditRow { changed: Some(step.changed), active: Some(step.active), ..line.clone() }).await?;
        tx.commit().await.map_err(StoreError::from)?;
        let next = (step.examined >= stretch.rows).then_some(()).and(step.last_message.zip(step.last_rcpt));
        let count = |number: i64| u64::try_from(number).unwrap_or(0);
        Ok(Change {
            changed: count(step.changed),
            active: count(step.active),
            unplaced: 0,
            next: next.map(|(id, rcpt_no)| DeliveryId { message: MessageId::from_uuid(id), rcpt_no: u16::try_from(rcpt_no).unwrap_or(0) }),
        })
    }

    pub(super) fn audit_line(&self, project: Option<ProjectId>, actor: &Actor, action: &str, target: serde_json::Value) -> AuditRow {
        AuditRow {
            id: self.clock.uuid(),
            project_id: project.map(ProjectId::uuid),
            actor_key: actor.key_id.map(crate::model::KeyId::uuid),
            actor: actor.name.clone(),
            action: action.to_owned(),
            target,
            changed: None,
            active: None,
        }
    }
}

/// The key after which a selection begins.
fn first_of(selection: &Selection, after: Option<DeliveryId>) -> (Uuid, i16) {
    let given = after.map(|id| (id.message.uuid(), i16::try_from(id.rcpt_no).unwrap_or(i16::MAX)));
    let least = selection.message.map_or((Uuid::nil(), -1), |id| (id.uuid(), -1));
    given.map_or(least, |given| given.max(least))
}
