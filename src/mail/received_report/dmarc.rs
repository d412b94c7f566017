//! A DMARC aggregate report (RFC 9990, and RFC 7489 appendix C, which most still write), summed up by source.
//!
//! Answers: who reports about which domain, the policy that was found, and for each source address and From domain how many messages passed. Elements
//! are known by their place whatever their namespace; unknown ones are passed over, each with what is in it.
//! Does not: resolve entities, or read a document that declares its own.

use std::collections::BTreeMap;
use std::net::IpAddr;

use quick_xml::events::Event;
use quick_xml::{Reader, XmlVersion};
use serde::Serialize;
use time::OffsetDateTime;

use super::{Heading, MAX_LINES, ReceivedReportError, domain, tame};

/// Elements inside each other.
const MAX_DEPTH: usize = 16;
/// Elements of a report.
const MAX_ELEMENTS: usize = 2_000_000;
/// Octets of the text of one element.
const MAX_TEXT_OCTETS: usize = 4_096;

/// A report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DmarcReport {
    /// Who wrote it, about what.
    pub heading: Heading,
    /// The policy that the reporter found.
    pub policy: PublishedPolicy,
    /// What it saw, the most messages first.
    pub sources: Vec<Source>,
}

/// A policy as a reporter found it; empty texts where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PublishedPolicy {
    /// For the domain.
    pub p: String,
    /// For its subdomains.
    pub sp: String,
    /// For subdomains that do not exist.
    pub np: String,
    /// Alignment of DKIM.
    pub adkim: String,
    /// Alignment of SPF.
    pub aspf: String,
    /// Test mode.
    pub testing: bool,
}

/// Messages of one From domain from one address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// Where they came from; empty: the sum of all that is not kept apart.
    pub address: String,
    /// The domain in From.
    pub header_from: String,
    /// How many.
    pub messages: u64,
    /// Of these, passed DMARC: by SPF or by DKIM, aligned.
    pub passed: u64,
    /// By SPF, aligned.
    pub spf_passed: u64,
    /// By DKIM, aligned.
    pub dkim_passed: u64,
    /// Put aside.
    pub quarantined: u64,
    /// Refused.
    pub rejected: u64,
}

impl Source {
    fn add(&mut self, other: &Self) {
        self.messages = self.messages.saturating_add(other.messages);
        self.passed = self.passed.saturating_add(other.passed);
        self.spf_passed = self.spf_passed.saturating_add(other.spf_passed);
        self.dkim_passed = self.dkim_passed.saturating_add(other.dkim_passed);
        self.quarantined = self.quarantined.saturating_add(other.quarantined);
        self.rejected = self.rejected.saturating_add(other.rejected);
    }
}

/// What is known of the report so far.
#[derive(Default)]
struct Reading {
    reporter: String,
    report_id: String,
    domain: Option<String>,
    begin: Option<i64>,
    end: Option<i64>,
    policy: PublishedPolicy,
    row: Row,
    sources: BTreeMap<(String, String), Source>,
}

/// One record.
#[derive(Default)]
struct Row {
    address: String,
    header_from: String,
    count: u64,
    disposition: String,
    dkim: bool,
    spf: bool,
}

/// Reads a report.
pub(super) fn read(octets: &[u8]) -> Result<DmarcReport, ReceivedReportError> {
    let wrong = |what: String| ReceivedReportError::Malformed(what);
    let text = String::from_utf8_lossy(octets);
    let mut reader = Reader::from_str(&text);
    reader.config_mut().expand_empty_elements = true;
    let (mut path, mut value, mut elements, mut reading) = (Vec::<String>::new(), String::new(), 0, Reading::default());
    loop {
        match reader.read_event().map_err(|error| wrong(error.to_string()))? {
            Event::Start(element) => {
                elements += 1;
                path.push(element.local_name().as_ref().to_owned());
                if path.len() > MAX_DEPTH || elements > MAX_ELEMENTS {
                    return Err(ReceivedReportError::TooLarge("it has too many elements, or too many inside each other"));
                }
                value.clear();
            }
            Event::End(_) => {
                let names: Vec<&str> = path.iter().map(String::as_str).collect();
                reading.end(&names, value.trim());
                path.pop();
                value.clear();
            }
            Event::Text(text) => push(&mut value, &text.xml_content(XmlVersion::Implicit1_0))?,
            Event::CData(text) => push(&mut value, &text.xml_content(XmlVersion::Implicit1_0))?,
            Event::GeneralRef(reference) => push(&mut value, &resolve(&reference))?,
            Event::DocType(_) => return Err(wrong("it declares a document type".to_owned())),
            Event::Eof if path.is_empty() => break,
            Event::Eof => return Err(wrong("it ends inside an element".to_owned())),
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
    reading.finish()
}

fn push(value: &mut String, text: &str) -> Result<(), ReceivedReportError> {
    value.push_str(text);
    if value.len() > MAX_TEXT_OCTETS { Err(ReceivedReportError::TooLarge("a text of it is too long")) } else { Ok(()) }
}

/// The five entities of XML and characters by number; another one stands for nothing.
fn resolve(reference: &quick_xml::events::BytesRef<'_>) -> String {
    match &**reference {
        "lt" => "<".to_owned(),
        "gt" => ">".to_owned(),
        "amp" => "&".to_owned(),
        "apos" => "'".to_owned(),
        "quot" => "\"".to_owned(),
        _ => reference.resolve_char_ref().ok().flatten().map(String::from).unwrap_or_default(),
    }
}

impl Reading {
    /// The element at `path` ends; `value` is its text.
    fn end(&mut self, path: &[&str], value: &str) {
        match path {
            ["feedback", "report_metadata", "org_name"] => self.reporter = tame(value),
            ["feedback", "report_metadata", "report_id"] => self.report_id = tame(value),
            ["feedback", "report_metadata", "date_range", "begin"] => self.begin = value.parse().ok(),
            ["feedback", "report_metadata", "date_range", "end"] => self.end = value.parse().ok(),
            ["feedback", "policy_published", field] => self.policy(field, value),
            ["feedback", "record", "row", "source_ip"] => self.row.address = value.parse::<IpAddr>().map(|ip| ip.to_string()).unwrap_or_default(),
            ["feedback", "record", "row", "count"] => self.row.count = value.parse().unwrap_or(0),
            ["feedback", "record", "row", "policy_evaluated", "disposition"] => self.row.disposition = value.to_ascii_lowercase(),
            ["feedback", "record", "row", "policy_evaluated", "dkim"] => self.row.dkim = value.eq_ignore_ascii_case("pass"),
            ["feedback", "record", "row", "policy_evaluated", "spf"] => self.row.spf = value.eq_ignore_ascii_case("pass"),
            ["feedback", "record", "identifiers", "header_from"] => self.row.header_from = domain(value).unwrap_or_default(),
            ["feedback", "record"] => self.record(),
            _ => {}
        }
    }

    fn policy(&mut self, field: &str, value: &str) {
        let word = || tame(value).to_ascii_lowercase();
        match field {
            "domain" => self.domain = domain(value),
            "p" => self.policy.p = word(),
            "sp" => self.policy.sp = word(),
            "np" => self.policy.np = word(),
            "adkim" => self.policy.adkim = word(),
            "aspf" => self.policy.aspf = word(),
            "testing" => self.policy.testing = value.eq_ignore_ascii_case("y"),
            _ => {}
        }
    }

    fn record(&mut self) {
        let Row { address, header_from, count, disposition, dkim, spf } = std::mem::take(&mut self.row);
        let if_so = |so: bool| if so { count } else { 0 };
        let seen = Source {
            messages: count,
            passed: if_so(dkim || spf),
            spf_passed: if_so(spf),
            dkim_passed: if_so(dkim),
            quarantined: if_so(disposition == "quarantine"),
            rejected: if_so(disposition == "reject"),
            address: address.clone(),
            header_from: header_from.clone(),
        };
        // Memory holds no more lines than are kept, whatever comes.
        let key = if self.sources.len() >= MAX_LINES && !self.sources.contains_key(&(address.clone(), header_from.clone())) {
            (String::new(), String::new())
        } else {
            (address, header_from)
        };
        let entry = self.sources.entry(key).or_insert_with_key(|(address, header_from)| Source {
            address: address.clone(),
            header_from: header_from.clone(),
            ..Source::default()
        });
        entry.add(&seen);
    }

    fn finish(self) -> Result<DmarcReport, ReceivedReportError> {
        let missing = |what: &str| ReceivedReportError::Malformed(format!("it has no {what}"));
        let time = |seconds: Option<i64>| seconds.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
        if self.reporter.is_empty() || self.report_id.is_empty() {
            return Err(missing("org_name or report_id"));
        }
        let heading = Heading {
            reporter: self.reporter,
            report_id: self.report_id,
            domain: self.domain.ok_or_else(|| missing("domain"))?,
            begins_at: time(self.begin).ok_or_else(|| missing("begin of its date_range"))?,
            ends_at: time(self.end).ok_or_else(|| missing("end of its date_range"))?,
        };
        let mut sources: Vec<Source> = self.sources.into_values().filter(|source| source.messages > 0).collect();
        sources.sort_by(|a, b| b.messages.cmp(&a.messages).then_with(|| (&a.address, &a.header_from).cmp(&(&b.address, &b.header_from))));
        Ok(DmarcReport { heading, policy: self.policy, sources })
    }
}
