//! Pauses: mail of a project, to a recipient domain, or to a site, that is not to be tried now.
//!
//! Answers: what is paused, by whom and why. A pause is a row in the database; every node hears of it within about a second, claims put aside
//! what they meet of it, and what a node holds unbegun goes back. Does not: stop an attempt under way, or keep mail from expiring.

use serde::Serialize;
use serde_json::json;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::Outbox;
use super::orders::Area;
use super::unpark;
use crate::model::{Actor, DomainName, KeyId, ProjectId, SiteName};
use crate::store::operator::FIRST_PARKED;
use crate::store::pause::{PauseRow, PausedDomain};
use crate::store::{Store, StoreError, audit};

/// Characters of the reason of a pause.
const MAX_REASON_CHARACTERS: usize = 500;

/// A reason says nothing, or too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected 1 to {MAX_REASON_CHARACTERS} characters without controls")]
pub struct ReasonError;

/// Checks the reason of a pause.
///
/// # Errors
/// [`ReasonError`] if it is empty, longer than 500 characters, or holds control characters.
pub fn check_reason(reason: &str) -> Result<(), ReasonError> {
    let fits = (1..=MAX_REASON_CHARACTERS).contains(&reason.chars().count()) && !reason.chars().any(char::is_control);
    if fits { Ok(()) } else { Err(ReasonError) }
}

/// What to pause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paused {
    /// Whose mail; none: of all projects.
    pub project: Option<ProjectId>,
    /// Which of it.
    pub target: Target,
}

/// Which mail a pause is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// All.
    Everything,
    /// To this domain.
    Domain(DomainName),
    /// To the domains at this site.
    Site(SiteName),
}

impl Target {
    const fn domain(&self) -> Option<&DomainName> {
        if let Self::Domain(domain) = self { Some(domain) } else { None }
    }

    const fn site(&self) -> Option<&SiteName> {
        if let Self::Site(site) = self { Some(site) } else { None }
    }
}

/// A pause as the API shows it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PauseView {
    /// The recipient domain; null: all mail of the project, or to the site.
    #[schema(value_type = Option<String>, examples("example.net"))]
    pub recipient_domain: Option<DomainName>,
    /// The site: its MX hosts, or its name; null: the pause is about no site.
    #[schema(value_type = Option<String>, examples("mx1.example.net,mx2.example.net"))]
    pub site: Option<SiteName>,
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

/// Pauses, with those domains in question that are at paused sites.
pub(super) struct Covers {
    pauses: Vec<PauseView>,
    at_sites: Vec<PausedDomain>,
}

impl Covers {
    /// The oldest pause for whose end mail to a domain waits.
    pub(super) fn of(&self, domain: &str) -> Option<&PauseView> {
        let is_at = |site: &SiteName| self.at_sites.iter().any(|known| known.domain == domain && known.site == site.as_str());
        let covers =
            |pause: &&PauseView| pause.recipient_domain.as_ref().is_none_or(|own| own.as_str() == domain) && pause.site.as_ref().is_none_or(is_at);
        self.pauses.iter().find(covers)
    }
}

impl Outbox {
    /// The pauses that may concern a project's mail to these domains.
    pub(super) async fn covers(&self, project: ProjectId, domains: &[String]) -> Result<Covers, StoreError> {
        let pauses = self.pauses(project).await?;
        let any_site = pauses.iter().any(|pause| pause.site.is_some());
        let at_sites = if any_site { self.store.paused_domains(domains).await? } else { Vec::new() };
        Ok(Covers { pauses, at_sites })
    }

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
            domain: what.target.domain().map(ToString::to_string),
            site: what.target.site().map(ToString::to_string),
            reason: reason.to_owned(),
            actor_key: actor.key_id.map(KeyId::uuid),
            actor: actor.name.clone(),
            created_at: self.clock.now(),
        };
        let mut tx = self.store.begin().await?;
        let row = Store::write_pause(&mut tx, &row).await?;
        audit::write(&mut *tx, &self.audit_line(what.project, actor, "queue.pause", target(what, Some(reason)))).await?;
        tx.commit().await.map_err(StoreError::from)?;
        let (domain, site) = (row.domain.as_deref().unwrap_or("all"), row.site.as_deref().unwrap_or("all"));
        tracing::warn!(domain, site, reason, by = actor.name, "delivery is paused by an operator");
        Ok(view(row))
    }

    /// Ends a pause. False: there is none. What waited for it goes on at once.
    pub async fn resume(&self, what: &Paused, actor: &Actor) -> Result<bool, StoreError> {
        let (domain, site) = (what.target.domain().map(DomainName::as_str), what.target.site().map(SiteName::as_str));
        let mut tx = self.store.begin().await?;
        if !Store::delete_pause(&mut tx, what.project.map(ProjectId::uuid), domain, site).await? {
            return Ok(false);
        }
        audit::write(&mut *tx, &self.audit_line(what.project, actor, "queue.resume", target(what, None))).await?;
        tx.commit().await.map_err(StoreError::from)?;
        tracing::warn!(domain = domain.unwrap_or("all"), site = site.unwrap_or("all"), by = actor.name, "a pause is over");
        // The nodes free the rest when they hear of it, and all of it if this fails: the pause is over in any case.
        if let Err(error) = unpark::step(&self.store, FIRST_PARKED).await {
            tracing::warn!(%error, "what waited for a pause is freed a little later");
        }
        Ok(true)
    }
}

/// What the pauses cover. One whose domain or site cannot be read covers nothing here; claims honour it.
pub(super) fn areas(rows: &[PauseRow]) -> Vec<Area> {
    let area = |row: &PauseRow| {
        Some(Area {
            project: row.project_id.map(ProjectId::from_uuid),
            domain: row.domain.as_deref().map(DomainName::parse).transpose().ok()?,
            site: row.site.as_deref().map(SiteName::parse).transpose().ok()?,
        })
    };
    rows.iter().filter_map(area).collect()
}

fn target(what: &Paused, reason: Option<&str>) -> serde_json::Value {
    json!({ "recipient_domain": what.target.domain(), "site": what.target.site(), "all_projects": what.project.is_none(), "reason": reason })
}

fn view(row: PauseRow) -> PauseView {
    PauseView {
        recipient_domain: row.domain.as_deref().and_then(|name| DomainName::parse(name).ok()),
        site: row.site.as_deref().and_then(|name| SiteName::parse(name).ok()),
        all_projects: row.project_id.is_none(),
        reason: row.reason,
        by: Actor { key_id: row.actor_key.map(KeyId::from_uuid), name: row.actor },
        since: row.created_at,
    }
}
