//! A TLS report (RFC 8460 4.4), summed up by what failed and where.
//!
//! Answers: who reports about which domain, how many sessions had the TLS that the policy asks for, and for each kind of failure, sending address and MX host how
//! many had not. Does not: keep the policies that it quotes; we know ours.

use std::collections::BTreeMap;

use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Heading, MAX_LINES, ReceivedReportError, domain, tame};

/// A report about one domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsReport {
    /// Who wrote it, about what.
    pub heading: Heading,
    /// Sessions with the TLS that was asked for.
    pub successful: u64,
    /// Sessions without.
    pub failed: u64,
    /// What failed, the most sessions first.
    pub failures: Vec<TlsFailure>,
}

/// Sessions that failed alike.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFailure {
    /// What was wrong, as `certificate-expired` (RFC 8460 4.3); empty: the sum of all that is not kept apart.
    pub result: String,
    /// Where the sessions came from.
    pub sending_address: String,
    /// The MX host that they were with.
    pub mx_host: String,
    /// How many.
    pub sessions: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Document {
    organization_name: String,
    date_range: Range,
    report_id: String,
    policies: Vec<Policy>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Range {
    start_datetime: String,
    end_datetime: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Policy {
    #[serde(rename = "policy")]
    details: Details,
    summary: Summary,
    #[serde(default)]
    failure_details: Vec<Failure>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Details {
    #[serde(default)]
    policy_domain: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Summary {
    #[serde(default)]
    total_successful_session_count: u64,
    #[serde(default)]
    total_failure_session_count: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Failure {
    #[serde(default)]
    result_type: String,
    #[serde(default)]
    sending_mta_ip: Option<String>,
    #[serde(default)]
    receiving_mx_hostname: Option<String>,
    #[serde(default)]
    failed_session_count: u64,
}

/// Reads a report. Policies about other domains than the first one's are left out: a report is about one domain (RFC 8460 4.4).
pub(super) fn read(octets: &[u8]) -> Result<TlsReport, ReceivedReportError> {
    let wrong = |what: String| ReceivedReportError::Malformed(what);
    // Its depth is bounded by the parser.
    let document: Document = serde_json::from_slice(octets).map_err(|error| wrong(error.to_string()))?;
    let about = document.policies.iter().find_map(|policy| domain(&policy.details.policy_domain));
    let time = |text: &str| OffsetDateTime::parse(text, &Rfc3339).map_err(|_| wrong(format!("{:?} is no time", tame(text))));
    let heading = Heading {
        reporter: tame(&document.organization_name),
        report_id: tame(&document.report_id),
        domain: about.ok_or_else(|| wrong("it names no domain".to_owned()))?,
        begins_at: time(&document.date_range.start_datetime)?,
        ends_at: time(&document.date_range.end_datetime)?,
    };
    if heading.reporter.is_empty() || heading.report_id.is_empty() {
        return Err(wrong("it has no organization-name or report-id".to_owned()));
    }
    let (mut successful, mut failed, mut failures) = (0_u64, 0_u64, BTreeMap::<_, u64>::new());
    for policy in document.policies.iter().filter(|policy| domain(&policy.details.policy_domain).as_ref() == Some(&heading.domain)) {
        successful = successful.saturating_add(policy.summary.total_successful_session_count);
        failed = failed.saturating_add(policy.summary.total_failure_session_count);
        for failure in &policy.failure_details {
            let text = |text: &Option<String>| text.as_deref().map(tame).unwrap_or_default().to_ascii_lowercase();
            let key = (tame(&failure.result_type), text(&failure.sending_mta_ip), text(&failure.receiving_mx_hostname));
            let key = if failures.len() >= MAX_LINES && !failures.contains_key(&key) { Default::default() } else { key };
            let sessions: &mut u64 = failures.entry(key).or_default();
            *sessions = sessions.saturating_add(failure.failed_session_count);
        }
    }
    let mut failures: Vec<TlsFailure> = failures
        .into_iter()
        .map(|((result, sending_address, mx_host), sessions)| TlsFailure { result, sending_address, mx_host, sessions })
        .collect();
    failures.sort_by_key(|failure| std::cmp::Reverse(failure.sessions));
    Ok(TlsReport { heading, successful, failed, failures })
}
