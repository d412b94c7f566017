//! The daily report on TLS to a domain that asks for it (RFC 8460): who gets it, and its JSON.
//!
//! Answers: reports that are due, each taken up by one node. Does not: send them (see `ops::tls_reports`).

use std::collections::BTreeMap;
use std::io::Write;
use std::net::IpAddr;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use time::{Date, OffsetDateTime};

use super::Transit;
use super::results::{Facts, Failure, PolicyType, ResultType};
use crate::model::{DomainName, EmailAddress};
use crate::net::dns::DnsError;
use crate::store::StoreError;
use crate::store::tls as table;

/// Who gets a report at most.
const MAX_DESTINATIONS: usize = 5;
/// How long a report that was taken up is left alone, and so the time between tries.
const AGAIN: time::Duration = time::Duration::HOUR;
/// Tries before a report is given up (RFC 8460 5.3: 24 hours).
const MAX_TRIES: i32 = 24;
/// Reports taken up at once.
const CHUNK: i64 = 10;

/// Where a report goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// By mail.
    Mail(EmailAddress),
    /// By POST to host, port and path.
    Https(String, u16, String),
}

/// A report to be sent now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The day it is about.
    pub day: Date,
    /// The domain it is about.
    pub domain: DomainName,
    /// Its name in the world.
    pub id: String,
    /// First and last second of the day.
    pub range: (OffsetDateTime, OffsetDateTime),
    /// JSON, compressed by gzip.
    pub content: Vec<u8>,
    /// Who asks for it, nobody perhaps any more; an error if that cannot be looked up now.
    pub destinations: Result<Vec<Destination>, DnsError>,
    /// It is given up if this try fails.
    pub is_last_try: bool,
}

/// Who asks for reports in the TXT records of `_smtp._tls.` and a domain; nobody unless exactly one record is of this kind (RFC 8460 3).
#[must_use]
pub fn destinations(records: &[String]) -> Vec<Destination> {
    let mut ours = records.iter().filter_map(|record| {
        let (version, rest) = record.split_once(';')?;
        let (name, value) = version.split_once('=')?;
        ((name.trim(), value.trim()) == ("v", "TLSRPTv1")).then_some(rest)
    });
    let (Some(fields), None) = (ours.next(), ours.next()) else { return Vec::new() };
    let rua = fields.split(';').filter_map(|field| field.split_once('=')).find(|(name, _)| name.trim() == "rua");
    let places = rua.map_or("", |(_, places)| places).split(',').filter_map(|place| destination(place.trim()));
    places.take(MAX_DESTINATIONS).collect()
}

fn destination(uri: &str) -> Option<Destination> {
    let (scheme, rest) = uri.split_once(':')?;
    if scheme.eq_ignore_ascii_case("mailto") {
        let address = rest.split('?').next().unwrap_or_default();
        return EmailAddress::parse(&unescaped(address)?).ok().map(Destination::Mail);
    }
    let uri: hyper::Uri = uri.parse().ok()?;
    let host = uri.host().filter(|_| scheme.eq_ignore_ascii_case("https"))?;
    let path = uri.path_and_query().map_or("/", hyper::http::uri::PathAndQuery::as_str);
    Some(Destination::Https(host.to_ascii_lowercase(), uri.port_u16().unwrap_or(443), path.to_owned()))
}

/// Percent signs resolved (RFC 3986 2.1): `!` and `,` have to be written so.
fn unescaped(text: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        if octet != b'%' {
            octets.push(octet);
            continue;
        }
        let digit = |octet: u8| char::from(octet).to_digit(16);
        let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
        octets.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(octets).ok()
}

impl Transit {
    /// Takes up reports that are due. Others, and later calls, leave them alone for an hour.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn due_reports(&self) -> Result<Vec<Report>, StoreError> {
        let inner = &*self.inner;
        let now = inner.clock.now();
        let mut reports = Vec::new();
        if !self.reports() {
            return Ok(reports);
        }
        for (day, name, tries) in table::take_reports(&inner.store, now, now + AGAIN, CHUNK).await? {
            let Ok(domain) = DomainName::parse(&name) else { continue };
            let results = table::results(&inner.store, day, &name).await?;
            let results: Vec<(Facts, i64)> =
                results.into_iter().filter_map(|(facts, sessions)| Some((serde_json::from_value(facts).ok()?, sessions))).collect();
            let start = day.midnight().assume_utc();
            let range = (start, start + time::Duration::DAY - time::Duration::SECOND);
            let id = format!("{day}_{domain}@{}", submitter(&inner.settings.report_from));
            let document = document(&inner.settings.report_from, &domain, &id, range, &results);
            let destinations = self.who_asks(&domain).await;
            reports.push(Report { day, id, range, content: compressed(&document), destinations, is_last_try: tries + 1 >= MAX_TRIES, domain });
        }
        Ok(reports)
    }

    /// Who asks for reports about a domain now.
    ///
    /// # Errors
    /// [`DnsError::Temporary`] only.
    pub(super) async fn who_asks(&self, domain: &DomainName) -> Result<Vec<Destination>, DnsError> {
        match self.inner.resolver.txt(&format!("_smtp._tls.{domain}")).await {
            Ok(records) => Ok(destinations(&records)),
            Err(DnsError::NoSuchName | DnsError::NoRecords) => Ok(Vec::new()),
            Err(temporary @ DnsError::Temporary(_)) => Err(temporary),
        }
    }

    /// Ends a report, sent or given up.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn end_report(&self, report: &Report) -> Result<(), StoreError> {
        table::end_report(&self.inner.store, report.day, report.domain.as_str()).await
    }
}

fn compressed(document: &Value) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    // Writing to a Vec cannot fail.
    let _ = encoder.write_all(document.to_string().as_bytes());
    encoder.finish().unwrap_or_default()
}

/// The domain that reports.
fn submitter(sender: &str) -> &str {
    sender.rsplit_once('@').map_or(sender, |(_, domain)| domain)
}

/// The report as RFC 8460 4.4 has it.
fn document(sender: &str, domain: &DomainName, id: &str, range: (OffsetDateTime, OffsetDateTime), results: &[(Facts, i64)]) -> Value {
    let time = |at: OffsetDateTime| at.format(&Rfc3339).unwrap_or_default();
    // Results that were found under the same policy stand together.
    let mut policies: BTreeMap<String, Vec<&(Facts, i64)>> = BTreeMap::new();
    for result in results {
        let Facts { policy, text, mx, .. } = &result.0;
        policies.entry(format!("{policy:?}{text:?}{mx:?}")).or_default().push(result);
    }
    let policies: Vec<UnderPolicy<'_>> = policies.values().filter_map(|results| UnderPolicy::new(domain, results)).collect();
    json!({
        "organization-name": submitter(sender),
        "date-range": { "start-datetime": time(range.0), "end-datetime": time(range.1) },
        "contact-info": sender,
        "report-id": id,
        "policies": policies,
    })
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct UnderPolicy<'r> {
    policy: PolicyHead<'r>,
    summary: Summary,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failure_details: Vec<Detail<'r>>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct PolicyHead<'r> {
    policy_type: PolicyType,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy_string: Option<&'r [String]>,
    policy_domain: &'r DomainName,
    #[serde(skip_serializing_if = "Option::is_none")]
    mx_host: Option<&'r [String]>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Summary {
    total_successful_session_count: i64,
    total_failure_session_count: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Detail<'r> {
    result_type: ResultType,
    #[serde(skip_serializing_if = "Option::is_none")]
    sending_mta_ip: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    receiving_mx_hostname: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    receiving_ip: Option<IpAddr>,
    failed_session_count: i64,
    failure_reason_code: &'r str,
}

impl<'r> UnderPolicy<'r> {
    fn new(domain: &'r DomainName, results: &[&'r (Facts, i64)]) -> Option<Self> {
        let (head, _) = results.first()?;
        let sessions = |failed: bool| results.iter().filter(|(facts, _)| facts.failure.is_some() == failed).map(|(_, sessions)| sessions).sum();
        let summary = Summary { total_successful_session_count: sessions(false), total_failure_session_count: sessions(true) };
        let policy = PolicyHead {
            policy_type: head.policy,
            policy_string: (head.policy != PolicyType::NoPolicyFound).then_some(head.text.as_slice()),
            policy_domain: domain,
            mx_host: (head.policy == PolicyType::Sts).then_some(head.mx.as_slice()),
        };
        let failure_details = results.iter().filter_map(|(facts, sessions)| Some(detail(facts.failure.as_ref()?, *sessions))).collect();
        Some(Self { policy, summary, failure_details })
    }
}

fn detail(failure: &Failure, sessions: i64) -> Detail<'_> {
    Detail {
        result_type: failure.result,
        sending_mta_ip: failure.sending_ip,
        receiving_mx_hostname: failure.mx_host.as_deref(),
        receiving_ip: failure.mx_ip,
        failed_session_count: sessions,
        failure_reason_code: &failure.detail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_says_who_gets_reports() {
        let mail = |text: &str| Destination::Mail(EmailAddress::parse(text).expect("an address"));
        let https = |host: &str, port, path: &str| Destination::Https(host.to_owned(), port, path.to_owned());
        for (records, expected) in [
            (vec!["v=TLSRPTv1; rua=mailto:r@example.com"], vec![mail("r@example.com")]),
            (
                vec!["v=spf1 -all", "v=TLSRPTv1;rua=mailto:a%21b@example.com?subject=x , https://In.example.com:8443/v1/tlsrpt?k=1;"],
                vec![mail("a!b@example.com"), https("in.example.com", 8443, "/v1/tlsrpt?k=1")],
            ),
            (vec!["v=TLSRPTv1; rua=https://in.example.com"], vec![https("in.example.com", 443, "/")]),
            (vec!["v=TLSRPTv1; rua=http://in.example.com/,ftp://x,mailto:nobody,mailto:a%2"], vec![]),
            (vec!["v=TLSRPTv1; rua=mailto:a@example.com", "v=TLSRPTv1; rua=mailto:b@example.com"], vec![]),
            (vec!["v=TLSRPTv2; rua=mailto:a@example.com"], vec![]),
            (vec!["v=TLSRPTv1;"], vec![]),
            (vec![], vec![]),
        ] {
            let owned: Vec<String> = records.iter().map(|text| (*text).to_owned()).collect();
            assert_eq!(destinations(&owned), expected, "{records:?}");
        }
    }

    #[test]
    fn a_report_is_the_document_of_the_rfc() {
        let sts = |failure| Facts {
            policy: PolicyType::Sts,
            text: vec!["version: STSv1".to_owned(), "mode: testing".to_owned()],
            mx: vec!["*.mail.example.net".to_owned()],
            failure,
        };
        let expired = Failure {
            result: ResultType::CertificateExpired,
            sending_ip: Some("192.0.2.25".parse().expect("an address")),
            mx_host: Some("mx1.mail.example.net".to_owned()),
            mx_ip: Some("2001:db8::1".parse().expect("an address")),
            detail: "the certificate is expired or not yet valid".to_owned(),
        };
        let none = Facts { policy: PolicyType::NoPolicyFound, text: vec![], mx: vec![], failure: None };
        let results = [(sts(None), 5_326), (sts(Some(expired)), 100), (none, 3)];
        let domain = DomainName::parse("example.net").expect("a domain");
        let start = time::macros::datetime!(2026-12-01 00:00 UTC);
        let range = (start, start + time::Duration::DAY - time::Duration::SECOND);
        let document = document("tls@example.com", &domain, "2026-12-01_example.net@example.com", range, &results);
        insta::assert_json_snapshot!(document);
        let mut text = String::new();
        let packed = compressed(&document);
        std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(packed.as_slice()), &mut text).expect("gzip");
        assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), document);
    }
}
