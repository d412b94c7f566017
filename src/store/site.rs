//! Sites and the nodes that share their limits: every write to `site` and `sender`.
//!
//! Answers: keep what nodes learned of sites, tell what others learned, count the nodes that deliver. Later knowledge wins: a node that
//! knows of an older refusal than the database does not overwrite it.
#![expect(missing_docs, reason = "a field of a row is the column of its name, described in migrations/")]

use std::time::Duration;

use sqlx::{query, query_as, query_scalar};
use time::OffsetDateTime;
use uuid::Uuid;

use super::limit::{Limited, PATIENT, STATEMENT};
use super::{Store, StoreError};

/// Rows read at once at most.
const MANY: i64 = 10_000;

/// A `site` row.
#[derive(Clone, Debug)]
pub struct SiteRow {
    pub name: String,
    pub provider: String,
    pub limits: serde_json::Value,
    pub standing: serde_json::Value,
    pub slowed: bool,
    pub slowed_at: Option<OffsetDateTime>,
    pub sessions: i32,
    pub per_minute: Option<f64>,
    pub paused_until: Option<OffsetDateTime>,
    pub reason: Option<String>,
    pub rest_until: Option<OffsetDateTime>,
    pub rest_reason: Option<String>,
    pub without_ipv6_until: Option<OffsetDateTime>,
    pub domains: Vec<String>,
    pub updated_at: OffsetDateTime,
}

impl Store {
    /// Keeps what was learned of a site, unless a later refusal is known. `updated_at` of the row is not used.
    pub async fn save_site(&self, row: &SiteRow) -> Result<(), StoreError> {
        query!(
            "insert into site (name, provider, limits, standing, slowed, slowed_at, sessions, per_minute, paused_until, reason,
                               rest_until, rest_reason, without_ipv6_until, domains)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
             on conflict (name) do update set
               provider = excluded.provider, limits = excluded.limits, standing = excluded.standing, slowed = excluded.slowed,
               slowed_at = excluded.slowed_at, sessions = excluded.sessions, per_minute = excluded.per_minute,
               paused_until = excluded.paused_until, reason = excluded.reason, rest_until = excluded.rest_until,
               rest_reason = excluded.rest_reason, without_ipv6_until = excluded.without_ipv6_until, updated_at = clock_timestamp(),
               -- Other nodes have seen others.
               domains = array(select distinct unnest(excluded.domains || site.domains) limit 1000)
             where site.slowed_at is null or excluded.slowed_at >= site.slowed_at",
            row.name,
            row.provider,
            row.limits,
            row.standing,
            row.slowed,
            row.slowed_at,
            row.sessions,
            row.per_minute,
            row.paused_until,
            row.reason,
            row.rest_until,
            row.rest_reason,
            row.without_ipv6_until,
            &row.domains
        )
        .execute(self.pool())
        .limited(STATEMENT)
        .await?;
        Ok(())
    }

    /// Sites that changed after `since`, in the order of their changes; all if none is given.
    pub async fn sites_changed(&self, since: Option<OffsetDateTime>) -> Result<Vec<SiteRow>, StoreError> {
        let rows = query_as!(
            SiteRow,
            "select name, provider, limits, standing, slowed, slowed_at, sessions, per_minute, paused_until, reason, rest_until, rest_reason,
                    without_ipv6_until, domains, updated_at
             from site where $1::timestamptz is null or updated_at > $1 order by updated_at limit $2",
            since,
            MANY
        )
        .fetch_all(self.pool())
        .limited(PATIENT)
        .await?;
        Ok(rows)
    }

    /// Sites that hold mail of these domains.
    pub async fn sites_of(&self, domains: &[String]) -> Result<Vec<SiteRow>, StoreError> {
        let rows = query_as!(
            SiteRow,
            "select name, provider, limits, standing, slowed, slowed_at, sessions, per_minute, paused_until, reason, rest_until, rest_reason,
                    without_ipv6_until, domains, updated_at
             from site where domains && $1 order by name limit $2",
            domains,
            MANY
        )
        .fetch_all(self.pool())
        .limited(STATEMENT)
        .await?;
        Ok(rows)
    }

    /// The recipient domains of a project's outstanding deliveries.
    pub async fn outstanding_domains(&self, project: Uuid) -> Result<Vec<String>, StoreError> {
        let domains = query_scalar!(
            r#"select distinct substring(recipient from '[^@]*$') as "domain!" from delivery where project_id = $1 order by 1 limit $2"#,
            project,
            MANY
        )
        .fetch_all(self.pool())
        .limited(PATIENT)
        .await?;
        Ok(domains)
    }

    /// Forgets sites that take all there is, an hour after they last did not, and any that nobody sent to for a month.
    pub async fn forget_sites(&self) -> Result<u64, StoreError> {
        let done = query!(
            "delete from site
             where updated_at < now() - interval '30 days'
                or not slowed and updated_at < now() - interval '1 hour' and greatest(paused_until, rest_until, without_ipv6_until, '-infinity') < now()"
        )
        .execute(self.pool())
        .limited(PATIENT)
        .await?;
        Ok(done.rows_affected())
    }

    /// Says that a node delivers; answers how many do, those that said so within `silence`.
    pub async fn senders(&self, incarnation: i64, silence: Duration) -> Result<i64, StoreError> {
        let count = query_scalar!(
            r#"with here as (
                 insert into sender (incarnation) values ($1)
                 on conflict (incarnation) do update set seen_at = clock_timestamp()
               ), gone as (
                 delete from sender where incarnation <> $1 and seen_at < now() - make_interval(secs => $2)
               )
               select count(*) + 1 as "count!" from sender where incarnation <> $1 and seen_at >= now() - make_interval(secs => $2)"#,
            incarnation,
            silence.as_secs_f64()
        )
        .fetch_one(self.pool())
        .limited(STATEMENT)
        .await?;
        Ok(count)
    }

    /// Says that a node delivers no more.
    pub async fn remove_sender(&self, incarnation: i64) -> Result<(), StoreError> {
        query!("delete from sender where incarnation = $1", incarnation).execute(self.pool()).limited(STATEMENT).await?;
        Ok(())
    }
}
