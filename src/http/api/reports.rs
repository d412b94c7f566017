//! `/v1/reports`: what receivers tell about mail in the name of our domains.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::Api;
use crate::http::extract::{Asked, Id, Reader, page};
use crate::http::problem::{Document, Problem};
use crate::model::{DomainName, ReportId};
use crate::reports::{DmarcSourceView, ReportDetail, ReportKind, ReportView, TlsFailureView};

/// Days that a sum covers unless the caller says.
const DEFAULT_DAYS: u16 = 30;
/// Days that a sum may cover.
const MAX_DAYS: u16 = 400;

/// Which reports, and which part of them.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ReportQuery {
    /// Entries of the page, 1 to 100; 25 unless said.
    #[param(minimum = 1, maximum = 100)]
    pub limit: Option<u16>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// Only reports about this domain.
    pub domain: Option<String>,
}

/// What is summed up.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SumQuery {
    /// Only reports about this domain.
    pub domain: Option<String>,
    /// Reports that end in the last days, 1 to 400; 30 unless said.
    #[param(minimum = 1, maximum = 400)]
    pub days: Option<u16>,
}

impl SumQuery {
    fn days(&self) -> Result<u16, Problem> {
        let days = self.days.unwrap_or(DEFAULT_DAYS);
        let wrong = || Problem::parameter("days", format_args!("expected a number from 1 to {MAX_DAYS}"));
        if (1..=MAX_DAYS).contains(&days) { Ok(days) } else { Err(wrong()) }
    }
}

/// A page of reports.
#[derive(Serialize, ToSchema)]
pub struct ReportList {
    /// The reports, the newest first.
    pub data: Vec<ReportView>,
    /// Where the next page starts; null at the end.
    pub next_cursor: Option<String>,
}

/// Sources of mail, summed up.
#[derive(Serialize, ToSchema)]
pub struct DmarcSourceList {
    /// The sources, the most messages first; at most 1,000.
    pub data: Vec<DmarcSourceView>,
}

/// Failed sessions, summed up.
#[derive(Serialize, ToSchema)]
pub struct TlsFailureList {
    /// The failures, the most sessions first; at most 1,000.
    pub data: Vec<TlsFailureView>,
}

fn domain(text: Option<&str>) -> Result<Option<DomainName>, Problem> {
    text.map(|text| DomainName::parse(text).map_err(|error| Problem::parameter("domain", error))).transpose()
}

/// List DMARC reports
///
/// What receivers tell about messages in the name of your domains (RFC 9990), the newest first. Reports come to `dmarc-reports@bounce.<domain>` of a verified
/// domain. They say what their senders say.
#[utoipa::path(get, path = "/v1/reports/dmarc", operation_id = "list_dmarc_reports", tag = "Reports", params(ReportQuery),
    responses((status = 200, description = "A page of reports.", body = ReportList)))]
pub async fn list_dmarc(state: State<Arc<Api>>, reader: Reader, query: Asked<ReportQuery>) -> Result<Json<ReportList>, Problem> {
    list(state, reader, query, ReportKind::Dmarc).await
}

/// List TLS reports
///
/// What senders tell about their sessions with your MX hosts (RFC 8460), the newest first. Reports come to `tls-reports@bounce.<domain>` of a verified domain.
#[utoipa::path(get, path = "/v1/reports/tls", operation_id = "list_tls_reports", tag = "Reports", params(ReportQuery),
    responses((status = 200, description = "A page of reports.", body = ReportList)))]
pub async fn list_tls(state: State<Arc<Api>>, reader: Reader, query: Asked<ReportQuery>) -> Result<Json<ReportList>, Problem> {
    list(state, reader, query, ReportKind::Tls).await
}

async fn list(
    State(api): State<Arc<Api>>,
    Reader(caller): Reader,
    Asked(query): Asked<ReportQuery>,
    kind: ReportKind,
) -> Result<Json<ReportList>, Problem> {
    let asked = page(query.limit, query.cursor.as_deref())?;
    let found = api.reports.list(caller.project, kind, domain(query.domain.as_deref())?.as_ref(), asked).await?;
    Ok(Json(ReportList { data: found.data, next_cursor: found.next_cursor }))
}

/// Sum up sources of mail
///
/// Every address that sent mail in the name of your domains, as DMARC reports of the last days tell: yours, forwarders, and strangers.
#[utoipa::path(get, path = "/v1/reports/dmarc/sources", operation_id = "sum_dmarc_sources", tag = "Reports", params(SumQuery),
    responses((status = 200, description = "The sources.", body = DmarcSourceList)))]
pub async fn sources(State(api): State<Arc<Api>>, Reader(caller): Reader, Asked(query): Asked<SumQuery>) -> Result<Json<DmarcSourceList>, Problem> {
    let data = api.reports.sources(caller.project, domain(query.domain.as_deref())?.as_ref(), query.days()?).await?;
    Ok(Json(DmarcSourceList { data }))
}

/// Sum up TLS failures
///
/// What went wrong in sessions with your MX hosts, as TLS reports of the last days tell.
#[utoipa::path(get, path = "/v1/reports/tls/failures", operation_id = "sum_tls_failures", tag = "Reports", params(SumQuery),
    responses((status = 200, description = "The failures.", body = TlsFailureList)))]
pub async fn failures(State(api): State<Arc<Api>>, Reader(caller): Reader, Asked(query): Asked<SumQuery>) -> Result<Json<TlsFailureList>, Problem> {
    let data = api.reports.failures(caller.project, domain(query.domain.as_deref())?.as_ref(), query.days()?).await?;
    Ok(Json(TlsFailureList { data }))
}

/// Show a report
///
/// With its lines.
#[utoipa::path(get, path = "/v1/reports/{id}", operation_id = "get_report", tag = "Reports",
    params(("id" = String, Path, description = "Its id, as `rpt_01jd5q0v0h7d6r2n8k4m3x9wbz`.")),
    responses(
        (status = 200, description = "The report.", body = ReportDetail),
        (status = 404, description = "No such report: `not-found`.", body = Document, content_type = "application/problem+json"),
    ))]
pub async fn get(State(api): State<Arc<Api>>, Reader(caller): Reader, Id(id): Id<ReportId>) -> Result<Json<ReportDetail>, Problem> {
    api.reports.get(caller.project, id).await?.map(Json).ok_or(Problem::NotFound)
}
