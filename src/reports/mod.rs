//! Reports of receivers about mail in the name of our domains: kept once, listed, summed up.
//!
//! Answers: which DMARC and TLS reports came, what they say about each source of mail, and which sessions had no TLS. What they say is what their senders
//! say: anybody may write a report, so a domain keeps so many a day and no more.
//! Does not: read mail (see `mail::received_report`), or act on what a report says.

pub mod view;

use time::{Duration, OffsetDateTime};

use crate::clock::Clock;
use crate::mail::received_report::ReceivedReport;
use crate::model::page::{Page, PageRequest};
use crate::model::{DomainName, ProjectId, ReportId};
use crate::store::incoming_report::{self as table, FailureRow, ReportRow, ReportSearch, SourceRow, SumSearch};
use crate::store::{Store, StoreError};

pub use view::{DmarcSourceView, ReportDetail, ReportKind, ReportView, TlsFailureView};

/// Reports kept for one domain in a day. The world has some hundred receivers that report.
const MAX_PER_DAY: i64 = 1_000;
/// Lines of a sum.
const MAX_LINES: i64 = 1_000;

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It is new.
    New(ReportId),
    /// It was there.
    Before,
    /// The domain had its share for today.
    TooMany,
}

/// The reports of all projects. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Reports {
    store: Store,
    clock: Clock,
}

impl Reports {
    /// Over a database.
    #[must_use]
    pub const fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock }
    }

    /// Keeps a report about a domain of `project`, unless it is there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn keep(&self, project: ProjectId, report: &ReceivedReport) -> Result<Kept, StoreError> {
        let (now, heading) = (self.clock.now(), report.heading());
        if table::count_since(&self.store, project.uuid(), &heading.domain, now - Duration::days(1)).await? >= MAX_PER_DAY {
            return Ok(Kept::TooMany);
        }
        let (kind, sources, failures) = match report {
            ReceivedReport::Dmarc(report) => (ReportKind::Dmarc, report.sources.iter().map(view::source_row).collect(), Vec::new()),
            ReceivedReport::Tls(report) => (ReportKind::Tls, Vec::new(), report.failures.iter().map(view::failure_row).collect()),
        };
        let (passed, failed, policy) = match report {
            ReceivedReport::Dmarc(report) => {
                let passed: u64 = report.sources.iter().fold(0, |sum, source| sum.saturating_add(source.passed));
                let messages: u64 = report.sources.iter().fold(0, |sum, source| sum.saturating_add(source.messages));
                (passed, messages.saturating_sub(passed), serde_json::to_value(&report.policy).ok())
            }
            ReceivedReport::Tls(report) => (report.successful, report.failed, None),
        };
        let row = ReportRow {
            id: self.clock.uuid(),
            project_id: project.uuid(),
            kind: kind.to_stored(),
            domain: heading.domain.clone(),
            reporter: heading.reporter.clone(),
            report_id: heading.report_id.clone(),
            begins_at: heading.begins_at,
            ends_at: heading.ends_at,
            received_at: now,
            passed: view::number(passed),
            failed: view::number(failed),
            policy,
        };
        let sources: Vec<SourceRow> = sources;
        let failures: Vec<FailureRow> = failures;
        let is_new = table::insert(&self.store, &row, &sources, &failures).await?;
        Ok(if is_new { Kept::New(ReportId::from_uuid(row.id)) } else { Kept::Before })
    }

    /// Reports of one kind, the newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list(
        &self,
        project: ProjectId,
        kind: ReportKind,
        domain: Option<&DomainName>,
        page: PageRequest,
    ) -> Result<Page<ReportView>, StoreError> {
        let search = ReportSearch {
            project: project.uuid(),
            kind: kind.to_stored(),
            domain: domain.map(ToString::to_string),
            before: page.after,
            limit: i64::from(page.limit) + 1,
        };
        let rows = table::list(&self.store, &search).await?;
        Ok(Page::cut(rows.into_iter().map(view::report).collect(), page.limit, |report: &ReportView| report.id.uuid()))
    }

    /// One report with its lines.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn get(&self, project: ProjectId, id: ReportId) -> Result<Option<ReportDetail>, StoreError> {
        let Some(row) = table::get(&self.store, project.uuid(), id.uuid()).await? else { return Ok(None) };
        let sources = table::sources(&self.store, row.id).await?.into_iter().map(view::source).collect();
        let failures = table::failures(&self.store, row.id).await?.into_iter().map(view::failure).collect();
        Ok(Some(ReportDetail { report: view::report(row), sources, failures }))
    }

    /// Sources of mail in the name of one domain, or of all, summed up over the reports of the last days.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sources(&self, project: ProjectId, domain: Option<&DomainName>, days: u16) -> Result<Vec<DmarcSourceView>, StoreError> {
        Ok(table::sum_sources(&self.store, &self.sum(project, domain, days)).await?.into_iter().map(view::source).collect())
    }

    /// Sessions that lacked TLS, summed up over the reports of the last days.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn failures(&self, project: ProjectId, domain: Option<&DomainName>, days: u16) -> Result<Vec<TlsFailureView>, StoreError> {
        Ok(table::sum_failures(&self.store, &self.sum(project, domain, days)).await?.into_iter().map(view::failure).collect())
    }

    fn sum(&self, project: ProjectId, domain: Option<&DomainName>, days: u16) -> SumSearch {
        let since: OffsetDateTime = self.clock.now() - Duration::days(i64::from(days));
        SumSearch { project: project.uuid(), domain: domain.map(ToString::to_string), since, limit: MAX_LINES }
    }
}
