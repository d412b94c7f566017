//! The audit trail: who changed what, when.
//!
//! Answers: writes a line, reads the lines of a project. Changes of many deliveries write their own, in their transactions (`outbox`).
//! Does not: say who may read it; only a key with the scope full may.

use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::clock::{Clock, time_of};
use crate::model::page::{Page, PageRequest};
use crate::model::{Actor, AuditId, KeyId, ProjectId};
use crate::store::audit::AuditRow;
use crate::store::{Store, StoreError};

/// One change.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AuditEntry {
    /// `aud_…`
    #[schema(value_type = String)]
    pub id: AuditId,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub at: OffsetDateTime,
    /// Who.
    pub actor: Actor,
    /// What: `queue.hold`, `queue.release`, `queue.cancel`, `queue.retry`, `queue.pause`, `queue.resume`, `node.drain`, `node.resume`,
    /// `key.create`, `key.revoke`, `domain.add`, `domain.set`, `domain.rotate_dkim`, `domain.import_dkim`, `domain.remove`, `certificate.import`, `certificate.renew`, `certificate.remove`,
    /// `smtp_user.add`, `smtp_user.password`, `smtp_user.remove`, `route.add`, `route.confirm`, `route.remove`, `incoming.delete`, `webhook.add`, `webhook.secret`,
    /// `webhook.enable`, `webhook.resend`, `webhook.remove`, `config.export`, `config.import`. More may be added.
    #[schema(examples("queue.hold"))]
    pub action: String,
    /// What it was done to.
    #[schema(value_type = Object)]
    pub target: serde_json::Value,
    /// True if it concerned all projects, or a node.
    pub house: bool,
    /// Deliveries changed, if the action changes deliveries.
    pub changed: Option<u64>,
    /// Deliveries that were being worked on and so not changed.
    pub active: Option<u64>,
}

/// Writes and reads the trail. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Audit {
    store: Store,
    clock: Clock,
}

impl Audit {
    /// Over a database.
    #[must_use]
    pub const fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock }
    }

    /// Writes a line on a change of a project.
    pub async fn note(&self, project: ProjectId, actor: &Actor, action: &str, target: serde_json::Value) -> Result<(), StoreError> {
        let row = AuditRow {
            id: self.clock.uuid(),
            project_id: Some(project.uuid()),
            actor_key: actor.key_id.map(KeyId::uuid),
            actor: actor.name.clone(),
            action: action.to_owned(),
            target,
            changed: None,
            active: None,
        };
        self.store.write_audit(&row).await?;
        tracing::info!(action, by = actor.name, "noted in the audit trail");
        Ok(())
    }

    /// The lines of a project, newest first; with `house` those too that concern all projects or a node.
    pub async fn list(&self, project: ProjectId, house: bool, page: PageRequest) -> Result<Page<AuditEntry>, StoreError> {
        let rows = self.store.audit(project.uuid(), house, page.after, i64::from(page.limit) + 1).await?;
        Ok(Page::cut(rows.into_iter().map(entry).collect(), page.limit, |entry| entry.id.uuid()))
    }
}

fn entry(row: AuditRow) -> AuditEntry {
    let count = |number: Option<i64>| number.and_then(|number| u64::try_from(number).ok());
    AuditEntry {
        id: AuditId::from_uuid(row.id),
        at: time_of(row.id),
        actor: Actor { key_id: row.actor_key.map(KeyId::from_uuid), name: row.actor },
        action: row.action,
        target: row.target,
        house: row.project_id.is_none(),
        changed: count(row.changed),
        active: count(row.active),
    }
}
