//! Pauses: every write to `pause` and `paused_domain`.
//!
//! Answers: what is paused, and which recipient domains belong to a paused site, as nodes found out. Claims and [`Store::unpark`] ask both tables.
//! Does not: touch deliveries; `store::operator` does.
#![expect(missing_docs, reason = "a field of a row is the column of its name, described in migrations/")]

use sqlx::{query, query_as};
use time::OffsetDateTime;
use uuid::Uuid;

use super::limit::{Limited, STATEMENT};
use super::{Store, StoreError, Tx};

/// A row of `pause`.
#[derive(Clone, Debug)]
pub struct PauseRow {
    pub id: Uuid,
    pub project_id: Option<Uuid>,
    pub domain: Option<String>,
    pub site: Option<String>,
    pub reason: String,
    pub actor_key: Option<Uuid>,
    pub actor: String,
    pub created_at: OffsetDateTime,
}

/// A domain that was found at a paused site.
#[derive(Clone, Debug)]
pub struct PausedDomain {
    pub pause_id: Uuid,
    pub site: String,
    pub domain: String,
}

impl Store {
    /// Writes a pause and answers it. One that is there gets the new reason and keeps its age. Of a site, the domains that are known to be there
    /// are paused at once; whether they still are is looked at next. Of a smart host none are: by it may go a part of a domain's mail.
    pub async fn write_pause(tx: &mut Tx, row: &PauseRow) -> Result<PauseRow, StoreError> {
        let written = query_as!(
            PauseRow,
            "insert into pause (id, project_id, domain, site, reason, actor_key, actor, created_at) values ($1, $2, $3, $4, $5, $6, $7, $8)
             on conflict (coalesce(project_id, '00000000-0000-0000-0000-000000000000'), coalesce(domain, ''), coalesce(site, ''))
             do update set reason = excluded.reason, actor_key = excluded.actor_key, actor = excluded.actor
             returning id, project_id, domain, site, reason, actor_key, actor, created_at",
            row.id,
            row.project_id,
            row.domain,
            row.site,
            row.reason,
            row.actor_key,
            row.actor,
            row.created_at
        )
        .fetch_one(&mut **tx)
        .limited(STATEMENT)
        .await?;
        query!(
            "insert into paused_domain (pause_id, domain, seen_at) select $1, unnest(domains), 'epoch' from site where name = $2 on conflict do nothing",
            written.id,
            row.site.as_ref().filter(|site| !site.contains(':'))
        )
        .execute(&mut **tx)
        .limited(STATEMENT)
        .await?;
        Ok(written)
    }

    /// Ends a pause. False: there is none.
    pub async fn delete_pause(tx: &mut Tx, project: Option<Uuid>, domain: Option<&str>, site: Option<&str>) -> Result<bool, StoreError> {
        let done = query!(
            "delete from pause
             where project_id is not distinct from $1 and domain is not distinct from $2 and site is not distinct from $3",
            project,
            domain,
            site
        )
        .execute(&mut **tx)
        .limited(STATEMENT)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// All pauses, oldest first.
    pub async fn pauses(&self) -> Result<Vec<PauseRow>, StoreError> {
        query_as!(PauseRow, "select id, project_id, domain, site, reason, actor_key, actor, created_at from pause order by id")
            .fetch_all(self.pool())
            .limited(STATEMENT)
            .await
    }

    /// Notes that these domains belong to a paused site, for every pause of it.
    pub async fn note_paused_domains(&self, site: &str, domains: &[String], at: OffsetDateTime) -> Result<(), StoreError> {
        query!(
            "insert into paused_domain (pause_id, domain, seen_at)
             -- Locked, so that a pause that ends meanwhile is left out and not an error.
             select p.id, d.domain, $3 from (select id from pause where site = $1 for key share) p cross join unnest($2::text[]) as d (domain)
             on conflict (pause_id, domain) do update set seen_at = greatest(paused_domain.seen_at, excluded.seen_at)",
            site,
            domains,
            at
        )
        .execute(self.pool())
        .limited(STATEMENT)
        .await?;
        Ok(())
    }

    /// Of these domains those that belong to a paused site.
    pub async fn paused_domains(&self, domains: &[String]) -> Result<Vec<PausedDomain>, StoreError> {
        query_as!(
            PausedDomain,
            r#"select d.pause_id, p.site as "site!", d.domain from paused_domain d join pause p on p.id = d.pause_id
               where d.domain = any ($1) and p.site is not null"#,
            domains
        )
        .fetch_all(self.pool())
        .limited(STATEMENT)
        .await
    }

    /// Domains that were last seen at their paused site before `before`, at most `limit`. They count as seen at `now`, so that one node looks.
    pub async fn paused_domains_to_look_at(&self, before: OffsetDateTime, now: OffsetDateTime, limit: i64) -> Result<Vec<PausedDomain>, StoreError> {
        query_as!(
            PausedDomain,
            r#"with old as materialized (
                 select pause_id, domain from paused_domain where seen_at < $1 order by seen_at limit $3 for update skip locked
               )
               update paused_domain d set seen_at = $2 from old, pause p
               where d.pause_id = old.pause_id and d.domain = old.domain and p.id = d.pause_id
               returning d.pause_id, coalesce(p.site, '') as "site!", d.domain"#,
            before,
            now,
            limit
        )
        .fetch_all(self.pool())
        .limited(STATEMENT)
        .await
    }

    /// Notes that a domain has left a paused site.
    pub async fn forget_paused_domain(&self, pause: Uuid, domain: &str) -> Result<(), StoreError> {
        query!("delete from paused_domain where pause_id = $1 and domain = $2", pause, domain).execute(self.pool()).limited(STATEMENT).await?;
        Ok(())
    }
}
