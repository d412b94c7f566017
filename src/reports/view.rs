//! Reports as the API and the command line show them, and as the database keeps them.

use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::mail::received_report::{Source, TlsFailure};
use crate::model::ReportId;
use crate::store::incoming_report::{FailureRow, ReportRow, SourceRow};

/// What a report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReportKind {
    /// Messages in the name of the domain: a DMARC aggregate report (RFC 9990).
    Dmarc,
    /// Sessions with the domain's MX hosts: a TLS report (RFC 8460).
    Tls,
}

impl ReportKind {
    /// As the database keeps it.
    #[must_use]
    pub const fn to_stored(self) -> i16 {
        match self {
            Self::Dmarc => 1,
            Self::Tls => 2,
        }
    }

    /// As the API names it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dmarc => "dmarc",
            Self::Tls => "tls",
        }
    }
}

/// A report without its lines.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Report)]
pub struct ReportView {
    /// `rpt_…`
    #[schema(value_type = String, examples("rpt_01jd5q0v0h7d6r2n8k4m3x9wbz"))]
    pub id: ReportId,
    /// What it is about.
    pub kind: ReportKind,
    /// The domain that it is about.
    #[schema(examples("example.com"))]
    pub domain: String,
    /// Who wrote it, as they say.
    #[schema(examples("google.com"))]
    pub reporter: String,
    /// Its id with them.
    pub report_id: String,
    /// The first moment that it is about.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub begins_at: OffsetDateTime,
    /// The last.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub ends_at: OffsetDateTime,
    /// When it came.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub received_at: OffsetDateTime,
    /// Of `dmarc`: messages that passed. Of `tls`: sessions with the TLS that was asked for.
    pub passed: i64,
    /// Messages or sessions that did not.
    pub failed: i64,
    /// Of `dmarc`: the policy that the reporter found, as it wrote it: `p`, `sp`, `np`, `adkim`, `aspf`, `testing`.
    #[schema(value_type = Option<Object>)]
    pub policy: Option<serde_json::Value>,
}

/// A report with its lines.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ReportDetail {
    /// The report.
    #[serde(flatten)]
    pub report: ReportView,
    /// Of `dmarc`: what came from where, the most messages first. At most 1,000 and one that sums the rest up.
    pub sources: Vec<DmarcSourceView>,
    /// Of `tls`: what failed, the most sessions first. At most 1,000 and one that sums the rest up.
    pub failures: Vec<TlsFailureView>,
}

/// Messages of one From domain from one address.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = DmarcSource)]
pub struct DmarcSourceView {
    /// Where they came from; empty: the sum of all that is not kept apart.
    #[schema(examples("192.0.2.1"))]
    pub address: String,
    /// The domain in From.
    pub header_from: String,
    /// How many.
    pub messages: i64,
    /// Of these, passed DMARC.
    pub passed: i64,
    /// By SPF, aligned.
    pub spf_passed: i64,
    /// By DKIM, aligned.
    pub dkim_passed: i64,
    /// Put aside by the receiver.
    pub quarantined: i64,
    /// Refused by the receiver.
    pub rejected: i64,
}

/// Sessions that failed alike.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = TlsFailure)]
pub struct TlsFailureView {
    /// What was wrong (RFC 8460 4.3); empty: the sum of all that is not kept apart.
    #[schema(examples("certificate-expired"))]
    pub result: String,
    /// Where the sessions came from.
    pub sending_address: String,
    /// The MX host that they were with.
    pub mx_host: String,
    /// How many.
    pub sessions: i64,
}

pub(super) fn report(row: ReportRow) -> ReportView {
    let ReportRow { id, project_id: _, kind, domain, reporter, report_id, begins_at, ends_at, received_at, passed, failed, policy } = row;
    let kind = if kind == ReportKind::Dmarc.to_stored() { ReportKind::Dmarc } else { ReportKind::Tls };
    ReportView { id: ReportId::from_uuid(id), kind, domain, reporter, report_id, begins_at, ends_at, received_at, passed, failed, policy }
}

pub(super) fn source(row: SourceRow) -> DmarcSourceView {
    let SourceRow { address, header_from, messages, passed, spf_passed, dkim_passed, quarantined, rejected } = row;
    DmarcSourceView { address, header_from, messages, passed, spf_passed, dkim_passed, quarantined, rejected }
}

pub(super) fn failure(row: FailureRow) -> TlsFailureView {
    let FailureRow { result, sending_address, mx_host, sessions } = row;
    TlsFailureView { result, sending_address, mx_host, sessions }
}

pub(super) fn source_row(source: &Source) -> SourceRow {
    SourceRow {
        address: source.address.clone(),
        header_from: source.header_from.clone(),
        messages: number(source.messages),
        passed: number(source.passed),
        spf_passed: number(source.spf_passed),
        dkim_passed: number(source.dkim_passed),
        quarantined: number(source.quarantined),
        rejected: number(source.rejected),
    }
}

pub(super) fn failure_row(failure: &TlsFailure) -> FailureRow {
    FailureRow {
        result: failure.result.clone(),
        sending_address: failure.sending_address.clone(),
        mx_host: failure.mx_host.clone(),
        sessions: number(failure.sessions),
    }
}

/// A number that its sender chose, small enough that sums of a million of them fit.
pub(super) fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX).min(1 << 40)
}
