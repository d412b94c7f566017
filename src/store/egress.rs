//! Source addresses: what they sent while they warm up, who lists them, when they failed, and what waits for them. The only writer of
//! these tables.
//!
//! Answers: a share of a day's ceiling, never more than all nodes together may have; what was found and noted. Times come from the caller.
#![expect(missing_docs, reason = "a field of a row is the column of its name, described in migrations/")]

use sqlx::{query, query_as, query_scalar};
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use super::limit::{Limited, PATIENT, STATEMENT};
use super::{Store, StoreError};

/// What a source has of a day's ceiling.
#[derive(Clone, Debug)]
pub struct WarmUpRow {
    pub source: String,
    pub provider: String,
    pub taken: i64,
}

/// What a list said of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListingRow {
    pub source: String,
    pub zone: String,
    pub state: String,
    pub detail: String,
    pub since: OffsetDateTime,
    pub checked_at: OffsetDateTime,
}

/// A source that could not be used.
#[derive(Clone, Debug)]
pub struct FailureRow {
    pub source: String,
    pub reason: String,
    pub until: OffsetDateTime,
}

/// Mail that no source may send now.
#[derive(Clone, Debug)]
pub struct WaitRow {
    pub domain: String,
    pub reason: String,
    pub detail: String,
    pub until: OffsetDateTime,
}

impl Store {
    /// Takes up to `want` of what is left of a day's ceiling. Answers how much that was.
    pub async fn take_warm_up(&self, day: Date, source: &str, provider: &str, want: i64, ceiling: i64) -> Result<i64, StoreError> {
        let granted = query_scalar!(
            "insert into warm_up (day, source, provider, taken, granted) select $1, $2, $3, least($4::bigint, $5::bigint), least($4, $5) where $5::bigint > 0
             on conflict (day, source, provider) do update set
               granted = least($4::bigint, $5 - warm_up.taken), taken = warm_up.taken + least($4, $5 - warm_up.taken)
             where warm_up.taken < $5
             returning granted",
            day,
            source,
            provider,
            want,
            ceiling
        )
        .fetch_optional(self.pool())
        .limited(STATEMENT)
        .await?;
        Ok(granted.unwrap_or(0))
    }

    /// Gives back what was taken and not used.
    pub async fn give_warm_up_back(&self, day: Date, source: &str, provider: &str, unused: i64) -> Result<(), StoreError> {
        query!("update warm_up set taken = greatest(taken - $4, 0) where day = $1 and source = $2 and provider = $3", day, source, provider, unused)
            .execute(self.pool())
            .limited(STATEMENT)
            .await?;
        Ok(())
    }

    /// What all sources have of a day.
    pub async fn warm_up_of(&self, day: Date) -> Result<Vec<WarmUpRow>, StoreError> {
        let rows = query_as!(WarmUpRow, "select source, provider, taken from warm_up where day = $1 order by source, provider", day)
            .fetch_all(self.pool())
            .limited(PATIENT)
            .await?;
        Ok(rows)
    }

    /// What lists said last.
    pub async fn listings(&self) -> Result<Vec<ListingRow>, StoreError> {
        let rows = query_as!(ListingRow, "select source, zone, state, detail, since, checked_at from source_listing order by source, zone")
            .fetch_all(self.pool())
            .limited(PATIENT)
            .await?;
        Ok(rows)
    }

    /// Notes what a list said. The older `since` stays as long as it says the same.
    pub async fn put_listing(&self, row: &ListingRow) -> Result<(), StoreError> {
        query!(
            "insert into source_listing (source, zone, state, detail, since, checked_at) values ($1, $2, $3, $4, $5, $6)
             on conflict (source, zone) do update set
               since = case when source_listing.state = excluded.state then source_listing.since else excluded.since end,
               state = excluded.state, detail = excluded.detail, checked_at = excluded.checked_at
             where source_listing.checked_at <= excluded.checked_at",
            row.source,
            row.zone,
            row.state,
            row.detail,
            row.since,
            row.checked_at
        )
        .execute(self.pool())
        .limited(STATEMENT)
        .await?;
        Ok(())
    }

    /// Notes that a source could not be used.
    pub async fn put_source_failure(&self, row: &FailureRow) -> Result<(), StoreError> {
        query!(
            "insert into source_failure (source, reason, until) values ($1, $2, $3)
             on conflict (source) do update set reason = excluded.reason, until = greatest(source_failure.until, excluded.until)",
            row.source,
            row.reason,
            row.until
        )
        .execute(self.pool())
        .limited(STATEMENT)
        .await?;
        Ok(())
    }

    /// Sources that could not be used and are passed over at `now`.
    pub async fn source_failures(&self, now: OffsetDateTime) -> Result<Vec<FailureRow>, StoreError> {
        query_as!(FailureRow, "select source, reason, until from source_failure where until > $1", now)
            .fetch_all(self.pool())
            .limited(STATEMENT)
            .await
    }

    /// Notes until when mail of a project and stream for a domain waits, and why.
    pub async fn put_egress_wait(&self, project: Uuid, stream: &str, row: &WaitRow) -> Result<(), StoreError> {
        query!(
            "insert into egress_wait (project_id, stream, domain, reason, detail, until) values ($1, $2, $3, $4, $5, $6)
             on conflict (project_id, stream, domain) do update set reason = excluded.reason, detail = excluded.detail, until = excluded.until",
            project,
            stream,
            row.domain,
            row.reason,
            row.detail,
            row.until
        )
        .execute(self.pool())
        .limited(STATEMENT)
        .await?;
        Ok(())
    }

    /// What mail of a project and stream for these domains waits for.
    pub async fn egress_waits(&self, project: Uuid, stream: &str, domains: &[String]) -> Result<Vec<WaitRow>, StoreError> {
        let rows = query_as!(
            WaitRow,
            "select domain, reason, detail, until from egress_wait where project_id = $1 and stream = $2 and domain = any($3)",
            project,
            stream,
            domains
        )
        .fetch_all(self.pool())
        .limited(STATEMENT)
        .await?;
        Ok(rows)
    }

    /// Forgets what is over for long.
    pub async fn forget_egress(&self, now: OffsetDateTime) -> Result<u64, StoreError> {
        let done = query!(
            "with counts as (delete from warm_up where day < ($1::timestamptz at time zone 'UTC')::date - 30),
                  lists as (delete from source_listing where checked_at < $1 - interval '7 days'),
                  failures as (delete from source_failure where until < $1 - interval '1 day')
             delete from egress_wait where until < $1 - interval '1 day'",
            now
        )
        .execute(self.pool())
        .limited(PATIENT)
        .await?;
        Ok(done.rows_affected())
    }
}
