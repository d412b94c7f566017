//! MTA-STS as domains publish it: the record that names a policy, and the policy (RFC 8461 3).
//!
//! Answers: what a text means, and whether a policy lists a mail host. Pure.
//! Does not: fetch (see `https`), keep (see `transit`) or enforce (see `deliver::tls_policy`).

use std::time::Duration;

/// A policy lasts at most so long, whatever it says: 31,557,600 seconds (RFC 8461 3.2).
pub const MAX_AGE: Duration = Duration::from_hours(8_766);
/// Octets of a policy at most (RFC 8461 3.3 warns of endless ones).
pub const MAX_OCTETS: usize = 64 * 1024;
/// Patterns of one policy at most.
const MAX_PATTERNS: usize = 200;

/// What a domain wants of those who send to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// No mail without a listed host and its certificate.
    Enforce,
    /// Mail goes, faults are reported.
    Testing,
    /// Nothing: the policy is being withdrawn.
    None,
}

/// A policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What it wants.
    pub mode: Mode,
    /// Host names, or `*.` and a name.
    pub mx: Vec<String>,
    /// How long it may be kept.
    pub max_age: Duration,
}

/// Why a text is no policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Not `version: STSv1` first.
    #[error("the policy does not begin with version: STSv1")]
    Version,
    /// No mode, or one that is not known.
    #[error("the policy has no known mode")]
    Mode,
    /// No `max_age`, or no number.
    #[error("the policy has no max_age in seconds")]
    MaxAge,
    /// A line is none.
    #[error("the policy has a line without a colon")]
    Line,
    /// Nothing listed where something has to be.
    #[error("the policy lists no mx")]
    NoHost,
    /// A pattern that is none.
    #[error("the policy lists an mx that is no host name: {0}")]
    Pattern(String),
}

/// The id in the TXT records of `_mta-sts.` and a domain; none unless exactly one record is of this kind and sound (RFC 8461 3.1).
#[must_use]
pub fn record_id(records: &[String]) -> Option<String> {
    let mut ours = records.iter().filter(|record| is_ours(record));
    let (record, None) = (ours.next()?, ours.next()) else { return None };
    let mut id = None;
    for field in record.split(';').skip(1).map(str::trim).filter(|field| !field.is_empty()) {
        let (name, value) = field.split_once('=')?;
        if name.trim() == "id" && id.is_none() {
            id = Some(value.trim().to_owned());
        }
    }
    id.filter(|id| (1..=32).contains(&id.len()) && id.bytes().all(|octet| octet.is_ascii_alphanumeric()))
}

fn is_ours(record: &str) -> bool {
    record.split(';').next().is_some_and(|first| first.split_once('=').is_some_and(|(name, value)| (name.trim(), value.trim()) == ("v", "STSv1")))
}

impl Policy {
    /// Reads a policy (RFC 8461 3.2). Unknown fields are passed over; of a field given twice, but for mx, the first counts.
    ///
    /// # Errors
    /// [`PolicyError`].
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let mut fields = Vec::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').ok_or(PolicyError::Line)?;
            fields.push((name.trim(), value.trim()));
        }
        let first = |wanted: &str| fields.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value);
        if fields.first() != Some(&("version", "STSv1")) {
            return Err(PolicyError::Version);
        }
        let mode = match first("mode") {
            Some("enforce") => Mode::Enforce,
            Some("testing") => Mode::Testing,
            Some("none") => Mode::None,
            _ => return Err(PolicyError::Mode),
        };
        let seconds = first("max_age").filter(|text| text.len() <= 10 && text.bytes().all(|octet| octet.is_ascii_digit()));
        let seconds: u64 = seconds.and_then(|text| text.parse().ok()).ok_or(PolicyError::MaxAge)?;
        let patterns = fields.iter().filter(|(name, _)| *name == "mx").take(MAX_PATTERNS);
        let mx = patterns.map(|(_, value)| pattern(value)).collect::<Result<Vec<_>, _>>()?;
        if mx.is_empty() && mode != Mode::None {
            return Err(PolicyError::NoHost);
        }
        Ok(Self { mode, mx, max_age: Duration::from_secs(seconds).min(MAX_AGE) })
    }

    /// True if a host may take the mail of the domain: named, or one label below a pattern with `*.` (RFC 8461 4.1).
    #[must_use]
    pub fn lists(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        self.mx.iter().any(|pattern| match pattern.strip_prefix("*.") {
            Some(parent) => host.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest == parent),
            None => *pattern == host,
        })
    }
}

fn pattern(text: &str) -> Result<String, PolicyError> {
    let lower = text.trim_end_matches('.').to_ascii_lowercase();
    let name = lower.strip_prefix("*.").unwrap_or(&lower);
    let sound = name.contains('.') && name.split('.').all(|label| !label.is_empty() && label.bytes().all(is_host_octet));
    if sound { Ok(lower) } else { Err(PolicyError::Pattern(text.chars().take(100).collect())) }
}

const fn is_host_octet(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_names_a_policy_only_if_it_is_the_only_one_and_sound() {
        let rows: &[(&[&str], Option<&str>)] = &[
            (&["v=STSv1; id=20261201T000000;"], Some("20261201T000000")),
            (&["v=STSv1;id=1"], Some("1")),
            (&[" v = STSv1 ; id = a1 ; other = x"], Some("a1")),
            (&["v=spf1 -all", "v=STSv1; id=1;"], Some("1")),
            (&["v=STSv1; id=1;", "v=STSv1; id=2;"], None),
            (&["v=STSv2; id=1;"], None),
            (&["id=1; v=STSv1"], None),
            (&["v=STSv1;"], None),
            (&["v=STSv1; id=;"], None),
            (&["v=STSv1; id=a-b;"], None),
            (&["v=STSv1; id=123456789012345678901234567890123;"], None),
            (&["v=STSv1; id=1; junk"], None),
            (&[], None),
        ];
        for (records, id) in rows {
            let records: Vec<String> = records.iter().map(|text| (*text).to_owned()).collect();
            assert_eq!(record_id(&records).as_deref(), *id, "{records:?}");
        }
    }

    #[test]
    fn a_policy_is_read_with_any_line_ends_and_unknown_fields() {
        let text = "version: STSv1\r\nmode: enforce\r\nmx: MX1.Example.com\r\nmx: *.example.net\nmax_age:604800\nfuture: x\n\n";
        let policy = Policy::parse(text).expect("a policy");
        assert_eq!((policy.mode, policy.max_age), (Mode::Enforce, Duration::from_hours(168)));
        assert_eq!(policy.mx, ["mx1.example.com", "*.example.net"]);
        let endless = Policy::parse("version: STSv1\nmode: testing\nmx: a.example\nmax_age: 9999999999").expect("a policy");
        assert_eq!(endless.max_age, MAX_AGE, "T6");
        assert!(Policy::parse("version: STSv1\nmode: none\nmax_age: 1").is_ok(), "a policy on its way out lists nobody");
    }

    #[test]
    fn what_is_no_policy_says_why() {
        for (text, error) in [
            ("", PolicyError::Version),
            ("mode: enforce\nversion: STSv1", PolicyError::Version),
            ("version: STSv1\nmode: strict\nmx: a.example\nmax_age: 1", PolicyError::Mode),
            ("version: STSv1\nmx: a.example\nmax_age: 1", PolicyError::Mode),
            ("version: STSv1\nmode: enforce\nmx: a.example", PolicyError::MaxAge),
            ("version: STSv1\nmode: enforce\nmx: a.example\nmax_age: -1", PolicyError::MaxAge),
            ("version: STSv1\nmode: enforce\nmx: a.example\nmax_age: 99999999999", PolicyError::MaxAge),
            ("version: STSv1\nmode: enforce\nmax_age: 1", PolicyError::NoHost),
            ("version: STSv1\nmode: enforce\nmx: *\nmax_age: 1", PolicyError::Pattern("*".to_owned())),
            ("version: STSv1\nmode: enforce\nmx: a.*.example\nmax_age: 1", PolicyError::Pattern("a.*.example".to_owned())),
            ("<html>", PolicyError::Line),
        ] {
            assert_eq!(Policy::parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn a_wildcard_stands_for_one_label() {
        let policy = Policy::parse("version: STSv1\nmode: enforce\nmx: mx.example.com\nmx: *.example.net\nmax_age: 1").expect("a policy");
        for (host, listed) in [
            ("mx.example.com", true),
            ("MX.example.COM.", true),
            ("a.mx.example.com", false),
            ("a.example.net", true),
            ("example.net", false),
            ("a.b.example.net", false),
            ("aexample.net", false),
            (".example.net", false),
        ] {
            assert_eq!(policy.lists(host), listed, "{host}");
        }
    }
}
