//! TLS on the way out: MTA-STS policies, hosts that spoke TLS, results to report. The only writer of these tables.

use time::{Date, OffsetDateTime};

use super::limit::{Limited, PATIENT, STATEMENT};
use super::{Store, StoreError};

/// A row of `mta_sts_policy`.
#[derive(Clone, Debug)]
pub(crate) struct PolicyRow {
    pub(crate) domain: String,
    pub(crate) txt_id: String,
    pub(crate) policy: Option<String>,
    pub(crate) fetched_at: Option<OffsetDateTime>,
    pub(crate) expires_at: Option<OffsetDateTime>,
    pub(crate) tried_at: OffsetDateTime,
    pub(crate) fault: Option<String>,
}

/// What is known of a domain's policy.
pub(crate) async fn policy(store: &Store, domain: &str) -> Result<Option<PolicyRow>, StoreError> {
    sqlx::query_as!(PolicyRow, "select * from mta_sts_policy where domain = $1", domain).fetch_optional(store.pool()).limited(STATEMENT).await
}

/// Keeps a policy that was fetched, or that there is none. An older fetch never replaces a newer one.
pub(crate) async fn put_policy(store: &Store, row: &PolicyRow) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into mta_sts_policy (domain, txt_id, policy, fetched_at, expires_at, tried_at, fault) values ($1, $2, $3, $4, $5, $6, $7)
         on conflict (domain) do update set txt_id = $2, policy = $3, fetched_at = $4, expires_at = $5, tried_at = $6, fault = $7
         where mta_sts_policy.tried_at <= $6",
        row.domain,
        row.txt_id,
        row.policy,
        row.fetched_at,
        row.expires_at,
        row.tried_at,
        row.fault
    )
    .execute(store.pool())
    .limited(STATEMENT)
    .await?;
    Ok(())
}

/// Domains with a policy in force that was last tried before `before`.
pub(crate) async fn stale_policies(store: &Store, now: OffsetDateTime, before: OffsetDateTime, limit: i64) -> Result<Vec<String>, StoreError> {
    let domains = sqlx::query_scalar!(
        "select domain from mta_sts_policy where policy is not null and expires_at > $1 and tried_at < $2 order by tried_at limit $3",
        now,
        before,
        limit
    )
    .fetch_all(store.pool())
    .limited(STATEMENT)
    .await?;
    Ok(domains)
}

/// Forgets policies that ended, and failures, before `before`.
pub(crate) async fn drop_policies(store: &Store, before: OffsetDateTime) -> Result<u64, StoreError> {
    let done = sqlx::query!("delete from mta_sts_policy where coalesce(expires_at, tried_at) < $1 and tried_at < $1", before)
        .execute(store.pool())
        .limited(PATIENT)
        .await?;
    Ok(done.rows_affected())
}

/// When a host last spoke TLS, and since when it does not.
pub(crate) async fn host(store: &Store, host: &str) -> Result<Option<(OffsetDateTime, Option<OffsetDateTime>)>, StoreError> {
    let row =
        sqlx::query!("select seen_at, missing_since from tls_host where host = $1", host).fetch_optional(store.pool()).limited(STATEMENT).await?;
    Ok(row.map(|row| (row.seen_at, row.missing_since)))
}

/// Notes when hosts spoke TLS.
pub(crate) async fn hosts_spoke(store: &Store, mut seen: Vec<(String, OffsetDateTime)>) -> Result<(), StoreError> {
    // Sorted, so that two nodes that write the same hosts cannot wait for each other in a circle.
    seen.sort();
    let (hosts, times): (Vec<String>, Vec<OffsetDateTime>) = seen.into_iter().unzip();
    sqlx::query!(
        "insert into tls_host (host, seen_at) select * from unnest($1::text[], $2::timestamptz[])
         on conflict (host) do update set seen_at = greatest(tls_host.seen_at, excluded.seen_at), missing_since = null",
        &hosts,
        &times
    )
    .execute(store.pool())
    .limited(STATEMENT)
    .await?;
    Ok(())
}

/// Notes that a host that spoke TLS at `seen` no longer does.
pub(crate) async fn host_missed(store: &Store, host: &str, seen: OffsetDateTime, at: OffsetDateTime) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into tls_host (host, seen_at, missing_since) values ($1, $2, $3)
         on conflict (host) do update set missing_since = coalesce(tls_host.missing_since, $3)",
        host,
        seen,
        at
    )
    .execute(store.pool())
    .limited(STATEMENT)
    .await?;
    Ok(())
}

/// Forgets a host.
pub(crate) async fn forget_host(store: &Store, host: &str) -> Result<(), StoreError> {
    sqlx::query!("delete from tls_host where host = $1", host).execute(store.pool()).limited(STATEMENT).await?;
    Ok(())
}

/// Forgets hosts that last spoke TLS before `before`.
pub(crate) async fn drop_hosts(store: &Store, before: OffsetDateTime) -> Result<u64, StoreError> {
    Ok(sqlx::query!("delete from tls_host where seen_at < $1", before).execute(store.pool()).limited(PATIENT).await?.rows_affected())
}

/// Results of one day and domain, to be added to what is there.
#[derive(Debug)]
pub(crate) struct ResultRow {
    pub(crate) day: Date,
    pub(crate) domain: String,
    pub(crate) digest: Vec<u8>,
    pub(crate) facts: serde_json::Value,
    pub(crate) sessions: i64,
    /// When the report of the day may be made.
    pub(crate) report_at: OffsetDateTime,
}

/// Adds results.
pub(crate) async fn add_results(store: &Store, rows: Vec<ResultRow>) -> Result<(), StoreError> {
    let (mut day, mut domain, mut digest) = (Vec::new(), Vec::new(), Vec::new());
    let (mut facts, mut sessions, mut report_at) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        day.push(row.day);
        domain.push(row.domain);
        digest.push(row.digest);
        facts.push(row.facts);
        sessions.push(row.sessions);
        report_at.push(row.report_at);
    }
    sqlx::query!(
        "with given as materialized (
           select * from unnest($1::date[], $2::text[], $3::bytea[], $4::jsonb[], $5::bigint[], $6::timestamptz[])
             as g (day, domain, digest, facts, sessions, report_at)
         ), reports as (
           insert into tls_report (day, domain, next_at) select day, domain, min(report_at) from given group by day, domain
           on conflict (day, domain) do nothing
         )
         insert into tls_result (day, domain, digest, facts, sessions)
         -- sorted, so that two nodes that write the same rows cannot wait for each other in a circle
         select day, domain, digest, facts, sessions from given order by day, domain, digest
         on conflict (day, domain, digest) do update set sessions = tls_result.sessions + excluded.sessions",
        &day,
        &domain,
        &digest,
        &facts,
        &sessions,
        &report_at
    )
    .execute(store.pool())
    .limited(STATEMENT)
    .await?;
    Ok(())
}

/// Takes up reports that are due, at most `limit`: others leave them alone until `next`. Day, domain and tries before this one.
pub(crate) async fn take_reports(
    store: &Store,
    now: OffsetDateTime,
    next: OffsetDateTime,
    limit: i64,
) -> Result<Vec<(Date, String, i32)>, StoreError> {
    let rows = sqlx::query!(
        "update tls_report set next_at = $2, tries = tls_report.tries + 1
         from (select day, domain from tls_report where next_at <= $1 order by next_at limit $3 for update skip locked) due
         where tls_report.day = due.day and tls_report.domain = due.domain
         returning tls_report.day, tls_report.domain, tls_report.tries",
        now,
        next,
        limit
    )
    .fetch_all(store.pool())
    .limited(STATEMENT)
    .await?;
    Ok(rows.into_iter().map(|row| (row.day, row.domain, row.tries - 1)).collect())
}

/// The results of a day and domain with their numbers of sessions.
pub(crate) async fn results(store: &Store, day: Date, domain: &str) -> Result<Vec<(serde_json::Value, i64)>, StoreError> {
    let rows = sqlx::query!("select facts, sessions from tls_result where day = $1 and domain = $2 order by digest", day, domain)
        .fetch_all(store.pool())
        .limited(STATEMENT)
        .await?;
    Ok(rows.into_iter().map(|row| (row.facts, row.sessions)).collect())
}

/// Ends a report, sent or given up: it and its results go.
pub(crate) async fn end_report(store: &Store, day: Date, domain: &str) -> Result<(), StoreError> {
    sqlx::query!(
        "with gone as (delete from tls_report where day = $1 and domain = $2)
         delete from tls_result where day = $1 and domain = $2",
        day,
        domain
    )
    .execute(store.pool())
    .limited(STATEMENT)
    .await?;
    Ok(())
}
