//! Pauses: mail of a project, or to a recipient domain, that is not to be tried now.
//!
//! Answers: what is paused, by whom and why. A pause is a row in the database; every node hears of it within about a second, claims put aside
//! what they meet of it, and what a node holds unbegun goes back. Does not: stop an attempt under way, or keep mail from expiring.

use serde::Serialize;
use serde_json::json;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::Outbox;
use super::orders::Area;
use crate::model::{Actor, DomainName, KeyId, ProjectId};
use crate::store::operator::PauseRow;
use crate::store::{Store, StoreError, audit};

/// Parked deliveries freed in one statement.
const CHUNK: i64 = 2_000;

/// What to pause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paused {
    /// Whose mail; none: of all projects.
    pub project: Option<ProjectId>,
    /// To which domain; none: to all.
    pub domain: Option<DomainName>,
}

/// A pause as the API shows it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PauseView {
    /// The recipient domain; null: all mail of the project.
    #[schema(value_type = Option<String>, examples("example.net"))]
    pub recipient_domain: Option<DomainName>,
    /// True if it holds for the mail of all projects.
    pub all_projects: bool,
    /// Why, in the words of who asked for it.
    pub reason: String,
    /// Who asked for it.
    pub by: Actor,
    /// Since when.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub since: OffsetDateTime,
}

impl PauseView {
    /// True if mail to a domain waits for its end.
    pub(super) fn covers(&self, domain: &str) -> bool {
        self.recipient_domain.as_ref().is_none_or(|own| own.as_str() == domain)
    }
}

impl Outbox {
    /// The pauses that concern a project, oldest first.
    pub async fn pauses(&self, project: ProjectId) -> Result<Vec<PauseView>, StoreError> {
        let rows = self.store.pauses().await?;
        Ok(rows.into_iter().filter(|row| row.project_id.is_none_or(|own| own == project.uuid())).map(view).collect())
    }

    /// Pauses. Mail that is accepted stays durable and waits; its time goes on.
    pub async fn pause(&self, what: &Paused, reason: &str, actor: &Actor) -> Result<PauseView, StoreError> {
        let row = PauseRow {
            id: self.clock.uuid(),
            project_id: what.project.map(ProjectId::uuid),
            domain: what.domain.as_ref().map(ToString::to_string),
            reason: reason.to_owned(),
            actor_key: actor.key_id.map(KeyId::uuid),
            actor: actor.name.clone(),
            created_at: self.clock.now(),
        };
        let mut tx = self.store.begin().await?;
        Store::write_pause(&mut tx, &row).await?;
        audit::write(&mut *tx, &self.audit_line(what.project, actor, "queue.pause", target(what, Some(reason)))).await?;
        tx.commit().await.map_err(StoreError::from)?;
        tracing::warn!(domain = row.domain.as_deref().unwrap_or("all"), reason, by = actor.name, "delivery is paused by an operator");
        Ok(view(row))
    }

    /// Ends a pause. False: there is none. What waited for it goes on at once.
    pub async fn resume(&self, what: &Paused, actor: &Actor) -> Result<bool, StoreError> {
        let domain = what.domain.as_ref().map(ToString::to_string);
        let mut tx = self.store.begin().await?;
        if !Store::delete_pause(&mut tx, what.project.map(ProjectId::uuid), domain.as_deref()).await? {
            return Ok(false);
        }
        audit::write(&mut *tx, &self.audit_line(what.project, actor, "queue.resume", target(what, None))).await?;
        tx.commit().await.map_err(StoreError::from)?;
        tracing::warn!(domain = domain.as_deref().unwrap_or("all"), by = actor.name, "a pause is over");
        // The nodes free the rest when they hear of it.
        self.store.unpark(CHUNK).await?;
        Ok(true)
    }
}

/// What the pauses cover. One whose domain cannot be read covers nothing here; claims honour it.
pub(super) fn areas(rows: &[PauseRow]) -> Vec<Area> {
    let domain = |row: &PauseRow| row.domain.as_deref().map(DomainName::parse).transpose().ok();
    rows.iter().filter_map(|row| Some(Area { project: row.project_id.map(ProjectId::from_uuid), domain: domain(row)? })).collect()
}

/// Frees what waits for a pause that is over. Answers how many.
pub(super) async fn unpark(store: &Store, chunk: i64) -> Result<u64, StoreError> {
    let mut total = 0;
    loop {
        let freed = store.unpark(chunk).await?;
        total += freed;
        if freed < u64::try_from(chunk).unwrap_or(0) {
            return Ok(total);
        }
    }
}

fn target(what: &Paused, reason: Option<&str>) -> serde_json::Value {
    json!({ "recipient_domain": what.domain, "all_projects": what.project.is_none(), "reason": reason })
}

fn view(row: PauseRow) -> PauseView {
    PauseView {
        recipient_domain: row.domain.as_deref().and_then(|name| DomainName::parse(name).ok()),
        all_projects: row.project_id.is_none(),
        reason: row.reason,
        by: Actor { key_id: row.actor_key.map(KeyId::from_uuid), name: row.actor },
        since: row.created_at,
    }
}
