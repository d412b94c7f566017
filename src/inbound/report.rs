//! Reports about mail in our name, at the addresses where DMARC and TLS-RPT records send them (RFC 9990, RFC 8460).
//!
//! Answers: which addresses those are, and keeps a report that comes there if it is about a domain of the same project.
//! Does not: answer a report that cannot be read: its sender cannot mend it, so it is taken, counted and dropped.

use bytes::Bytes;

use super::{Inbound, InboundError};
use crate::domains::ReportBox;
use crate::mail::received_report::{self, ReceivedReport, ReceivedReportError};
use crate::model::EmailAddress;
use crate::reports::{Kept, ReportKind};
use crate::store::StoreError;
use crate::telemetry::metrics;

/// What became of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reported {
    /// It is kept.
    Kept,
    /// It was there.
    Before,
    /// It is about a domain that is not the project's.
    Foreign,
    /// The domain had its share for today.
    TooMany,
    /// It could not be read.
    Unreadable(ReceivedReportError),
}

impl Reported {
    const fn name(&self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Before => "known",
            Self::Foreign => "foreign",
            Self::TooMany => "too_many",
            Self::Unreadable(ReceivedReportError::TooLarge(_)) => "too_large",
            Self::Unreadable(_) => "unreadable",
        }
    }
}

impl Inbound {
    /// Whose reports come to an address; none if it is no such address of a verified domain.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn report_box(&self, address: &EmailAddress) -> Result<Option<ReportBox>, StoreError> {
        self.domains.report_box(address).await
    }

    /// Takes a report that came for `owner`.
    ///
    /// # Errors
    /// [`InboundError::Store`]; then nothing was written, and its sender tries again.
    pub async fn domain_report_arrived(&self, owner: &ReportBox, message: Bytes) -> Result<Reported, InboundError> {
        // Unpacking is bounded, yet takes longer than others on this thread may wait.
        let read = tokio::task::spawn_blocking(move || received_report::read(&message)).await;
        let read = read.unwrap_or_else(|_| Err(ReceivedReportError::Malformed("it could not be looked at".to_owned())));
        let (kind, reported) = match read {
            Err(error) => ("unknown", Reported::Unreadable(error)),
            Ok(report) => {
                let kind = if matches!(report, ReceivedReport::Dmarc(_)) { ReportKind::Dmarc } else { ReportKind::Tls };
                (kind.name(), self.keep(owner, &report).await?)
            }
        };
        metrics::domain_report(kind, reported.name());
        tracing::info!(domain = %owner.domain, kind, result = reported.name(), "a report about mail in our name arrived");
        Ok(reported)
    }

    async fn keep(&self, owner: &ReportBox, report: &ReceivedReport) -> Result<Reported, StoreError> {
        if !self.domains.owns(owner.project, &report.heading().domain).await? {
            return Ok(Reported::Foreign);
        }
        Ok(match self.reports.keep(owner.project, report).await? {
            Kept::New(_) => Reported::Kept,
            Kept::Before => Reported::Before,
            Kept::TooMany => Reported::TooMany,
        })
    }
}
