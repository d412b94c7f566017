//! Reports of receivers about mail in our name: DMARC aggregate reports (RFC 9990) and TLS reports (RFC 8460), as they come by mail.
//!
//! Answers: the report in a message, whatever it is packed in (`unpack`), read by `dmarc` (XML) or `tls` (JSON), summed up so that a report of a
//! million lines is kept as a few. Everything is bounded: octets before and after unpacking, depth, lines.
//! Does not: believe it. Anybody can write such a report; it says what its sender says.

mod dmarc;
mod tls;
mod unpack;

#[cfg(test)]
mod tests;

use time::OffsetDateTime;

pub use dmarc::{DmarcReport, PublishedPolicy, Source};
pub use tls::{TlsFailure, TlsReport};

/// Lines kept of one report; those behind are summed up in one.
pub const MAX_LINES: usize = 1_000;
/// Characters of a text that its sender chose.
const MAX_TEXT: usize = 200;

/// A report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReceivedReport {
    /// RFC 9990
    Dmarc(DmarcReport),
    /// RFC 8460
    Tls(TlsReport),
}

impl ReceivedReport {
    /// Who wrote it, about what.
    #[must_use]
    pub const fn heading(&self) -> &Heading {
        match self {
            Self::Dmarc(report) => &report.heading,
            Self::Tls(report) => &report.heading,
        }
    }
}

/// What every report begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heading {
    /// The organization that wrote it.
    pub reporter: String,
    /// Its own id of the report.
    pub report_id: String,
    /// The domain that it is about, in lower case.
    pub domain: String,
    /// The first moment that it is about.
    pub begins_at: OffsetDateTime,
    /// The last.
    pub ends_at: OffsetDateTime,
}

/// Why a message holds no report that can be kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceivedReportError {
    /// No part of it is one.
    #[error("the message holds no report")]
    NoReport,
    /// It goes over a limit.
    #[error("the report is too large: {0}")]
    TooLarge(&'static str),
    /// It cannot be read.
    #[error("the report cannot be read: {0}")]
    Malformed(String),
}

/// Reads the report that a message brings. Unpacks and parses: call it where blocking is allowed.
///
/// # Errors
/// [`ReceivedReportError`]: of the last part that looked like a report.
pub fn read(message: &[u8]) -> Result<ReceivedReport, ReceivedReportError> {
    let mut last = ReceivedReportError::NoReport;
    for packed in unpack::candidates(message) {
        let read = unpack::unpack(&packed).and_then(|text| match text.trim_ascii_start().first() {
            Some(b'{') => tls::read(&text).map(ReceivedReport::Tls),
            Some(b'<') => dmarc::read(&text).map(ReceivedReport::Dmarc),
            _ => Err(ReceivedReportError::NoReport),
        });
        match read {
            Ok(report) => return Ok(report),
            Err(ReceivedReportError::NoReport) => {}
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// A text that a stranger chose: printable, on one line, not longer than it may be.
fn tame(text: &str) -> String {
    text.trim().chars().filter(|character| !character.is_control()).take(MAX_TEXT).collect()
}

/// A domain in the form in which ours are kept; none if it is no domain.
fn domain(text: &str) -> Option<String> {
    let name = idna::domain_to_ascii(text.trim().trim_end_matches('.')).ok()?;
    (!name.is_empty() && name.len() <= 253).then_some(name)
}
