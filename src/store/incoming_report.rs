//! What receivers tell about mail in the name of our domains: reports and their lines.
//!
//! Answers: writes a report once, lists reports, sums their lines up. Does not: read mail; `reports` does.

use sqlx::{query, query_as, query_scalar};
use time::OffsetDateTime;
use uuid::Uuid;

use super::limit::{Limited, PATIENT};
use super::{Store, StoreError};

/// A report, as it is kept.
#[derive(Clone, Debug)]
pub(crate) struct ReportRow {
    pub(crate) id: Uuid,
    pub(crate) project_id: Uuid,
    pub(crate) kind: i16,
    pub(crate) domain: String,
    pub(crate) reporter: String,
    pub(crate) report_id: String,
    pub(crate) begins_at: OffsetDateTime,
    pub(crate) ends_at: OffsetDateTime,
    pub(crate) received_at: OffsetDateTime,
    pub(crate) passed: i64,
    pub(crate) failed: i64,
    pub(crate) policy: Option<serde_json::Value>,
}

/// Messages of one From domain from one address.
#[derive(Clone, Debug)]
pub(crate) struct SourceRow {
    pub(crate) address: String,
    pub(crate) header_from: String,
    pub(crate) messages: i64,
    pub(crate) passed: i64,
    pub(crate) spf_passed: i64,
    pub(crate) dkim_passed: i64,
    pub(crate) quarantined: i64,
    pub(crate) rejected: i64,
}

/// Sessions that failed alike.
#[derive(Clone, Debug)]
pub(crate) struct FailureRow {
    pub(crate) result: String,
    pub(crate) sending_address: String,
    pub(crate) mx_host: String,
    pub(crate) sessions: i64,
}

/// Which reports, and which part of them.
#[derive(Clone, Debug)]
pub(crate) struct ReportSearch {
    pub(crate) project: Uuid,
    pub(crate) kind: i16,
    pub(crate) domain: Option<String>,
    pub(crate) before: Option<Uuid>,
    pub(crate) limit: i64,
}

/// Which lines of which reports are summed up.
#[derive(Clone, Debug)]
pub(crate) struct SumSearch {
    pub(crate) project: Uuid,
    pub(crate) domain: Option<String>,
    pub(crate) since: OffsetDateTime,
    pub(crate) limit: i64,
}

/// Writes a report with its lines; false if it was there.
pub(crate) async fn insert(store: &Store, report: &ReportRow, sources: &[SourceRow], failures: &[FailureRow]) -> Result<bool, StoreError> {
    let mut tx = store.begin().await?;
    let written = query!(
        "insert into incoming_report (id, project_id, kind, domain, reporter, report_id, begins_at, ends_at, received_at, passed, failed, policy)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) on conflict (project_id, kind, domain, reporter, report_id) do nothing",
        report.id,
        report.project_id,
        report.kind,
        report.domain,
        report.reporter,
        report.report_id,
        report.begins_at,
        report.ends_at,
        report.received_at,
        report.passed,
        report.failed,
        report.policy
    )
    .execute(&mut *tx)
    .await?;
    if written.rows_affected() == 0 {
        return Ok(false);
    }
    let texts = |text: fn(&SourceRow) -> &String| sources.iter().map(|row| text(row).clone()).collect::<Vec<_>>();
    let numbers = |number: fn(&SourceRow) -> i64| sources.iter().map(number).collect::<Vec<_>>();
    query!(
        "insert into dmarc_source (report_id, address, header_from, messages, passed, spf_passed, dkim_passed, quarantined, rejected)
         select $1, * from unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[])",
        report.id,
        &texts(|row| &row.address),
        &texts(|row| &row.header_from),
        &numbers(|row| row.messages),
        &numbers(|row| row.passed),
        &numbers(|row| row.spf_passed),
        &numbers(|row| row.dkim_passed),
        &numbers(|row| row.quarantined),
        &numbers(|row| row.rejected)
    )
    .execute(&mut *tx)
    .await?;
    let texts = |text: fn(&FailureRow) -> &String| failures.iter().map(|row| text(row).clone()).collect::<Vec<_>>();
    query!(
        "insert into tls_failure (report_id, result, sending_address, mx_host, sessions)
         select $1, * from unnest($2::text[], $3::text[], $4::text[], $5::bigint[])",
        report.id,
        &texts(|row| &row.result),
        &texts(|row| &row.sending_address),
        &texts(|row| &row.mx_host),
        &failures.iter().map(|row| row.sessions).collect::<Vec<_>>()
    )
    .execute(&mut *tx)
    .await?;
    Store::commit(tx).await?;
    Ok(true)
}

/// Reports, the newest first.
pub(crate) async fn list(store: &Store, search: &ReportSearch) -> Result<Vec<ReportRow>, StoreError> {
    query_as!(
        ReportRow,
        "select id, project_id, kind, domain, reporter, report_id, begins_at, ends_at, received_at, passed, failed, policy
         from incoming_report
         where project_id = $1 and kind = $2 and ($3::text is null or domain = $3) and ($4::uuid is null or id < $4)
         order by id desc limit $5",
        search.project,
        search.kind,
        search.domain.as_deref(),
        search.before,
        search.limit
    )
    .fetch_all(store.pool())
    .limited(PATIENT)
    .await
}

/// One report.
pub(crate) async fn get(store: &Store, project: Uuid, id: Uuid) -> Result<Option<ReportRow>, StoreError> {
    query_as!(
        ReportRow,
        "select id, project_id, kind, domain, reporter, report_id, begins_at, ends_at, received_at, passed, failed, policy
         from incoming_report where project_id = $1 and id = $2",
        project,
        id
    )
    .fetch_optional(store.pool())
    .limited(PATIENT)
    .await
}

/// The sources of one DMARC report, the most messages first.
pub(crate) async fn sources(store: &Store, report: Uuid) -> Result<Vec<SourceRow>, StoreError> {
    query_as!(
        SourceRow,
        "select address, header_from, messages, passed, spf_passed, dkim_passed, quarantined, rejected
         from dmarc_source where report_id = $1 order by messages desc, address, header_from",
        report
    )
    .fetch_all(store.pool())
    .limited(PATIENT)
    .await
}

/// The failures of one TLS report, the most sessions first.
pub(crate) async fn failures(store: &Store, report: Uuid) -> Result<Vec<FailureRow>, StoreError> {
    query_as!(
        FailureRow,
        "select result, sending_address, mx_host, sessions
         from tls_failure where report_id = $1 order by sessions desc, result, sending_address, mx_host",
        report
    )
    .fetch_all(store.pool())
    .limited(PATIENT)
    .await
}

/// The sources of all DMARC reports that end after a moment, summed up; the most messages first.
pub(crate) async fn sum_sources(store: &Store, search: &SumSearch) -> Result<Vec<SourceRow>, StoreError> {
    query_as!(
        SourceRow,
        r#"select s.address, s.header_from, sum(s.messages)::bigint as "messages!", sum(s.passed)::bigint as "passed!",
                  sum(s.spf_passed)::bigint as "spf_passed!", sum(s.dkim_passed)::bigint as "dkim_passed!",
                  sum(s.quarantined)::bigint as "quarantined!", sum(s.rejected)::bigint as "rejected!"
           from incoming_report r join dmarc_source s on s.report_id = r.id
           where r.project_id = $1 and r.kind = 1 and ($2::text is null or r.domain = $2) and r.ends_at >= $3
           group by s.address, s.header_from
           order by 3 desc, s.address, s.header_from limit $4"#,
        search.project,
        search.domain.as_deref(),
        search.since,
        search.limit
    )
    .fetch_all(store.pool())
    .limited(PATIENT)
    .await
}

/// The failures of all TLS reports that end after a moment, summed up; the most sessions first.
pub(crate) async fn sum_failures(store: &Store, search: &SumSearch) -> Result<Vec<FailureRow>, StoreError> {
    query_as!(
        FailureRow,
        r#"select f.result, f.sending_address, f.mx_host, sum(f.sessions)::bigint as "sessions!"
           from incoming_report r join tls_failure f on f.report_id = r.id
           where r.project_id = $1 and r.kind = 2 and ($2::text is null or r.domain = $2) and r.ends_at >= $3
           group by f.result, f.sending_address, f.mx_host
           order by 4 desc, f.result, f.sending_address, f.mx_host limit $4"#,
        search.project,
        search.domain.as_deref(),
        search.since,
        search.limit
    )
    .fetch_all(store.pool())
    .limited(PATIENT)
    .await
}

/// How many reports came for a domain since a moment.
pub(crate) async fn count_since(store: &Store, project: Uuid, domain: &str, since: OffsetDateTime) -> Result<i64, StoreError> {
    query_scalar!(
        r#"select count(*) as "count!" from incoming_report where project_id = $1 and domain = $2 and received_at >= $3"#,
        project,
        domain,
        since
    )
    .fetch_one(store.pool())
    .limited(PATIENT)
    .await
}

impl Store {
    /// Deletes some of the reports that end before a moment; answers how many.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn delete_incoming_reports(&self, before: OffsetDateTime, limit: i64) -> Result<u64, StoreError> {
        let done = query!(
            "delete from incoming_report where id in (select id from incoming_report where ends_at < $1 order by ends_at limit $2)",
            before,
            limit
        )
        .execute(self.pool())
        .limited(PATIENT)
        .await?;
        Ok(done.rows_affected())
    }
}
