//! A TLS report as a message (RFC 8460 5.3): `multipart/report` with words for people and the compressed JSON.
//!
//! Does not: make the JSON (see `transit::report`), sign or send. Date and Message-ID are added where every raw message gets them.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use time::OffsetDateTime;

use crate::model::{DomainName, EmailAddress};

/// Characters of base64 in a line (RFC 2045 6.8).
const LINE: usize = 76;

/// What a message is made of.
#[derive(Clone, Debug)]
pub struct TlsReport<'a> {
    /// Our address for reports; its domain is the submitter.
    pub from: &'a EmailAddress,
    /// Who asked for it.
    pub to: &'a EmailAddress,
    /// The domain it is about.
    pub domain: &'a DomainName,
    /// Its id.
    pub id: &'a str,
    /// First and last second it is about.
    pub range: (OffsetDateTime, OffsetDateTime),
    /// JSON, compressed by gzip.
    pub content: &'a [u8],
}

/// Composes it. The recipient's policies must not keep it away from those who have to learn about them: `TLS-Required: No` (RFC 8689 3).
#[must_use]
pub fn compose(report: &TlsReport<'_>) -> Vec<u8> {
    let TlsReport { from, to, domain, id, range, content } = report;
    let submitter = from.domain();
    let boundary = format!("report-{}-{}", range.0.unix_timestamp(), content.len());
    let file = format!("{submitter}!{domain}!{}!{}.json.gz", range.0.unix_timestamp(), range.1.unix_timestamp());
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "From: {from}\r\nTo: {to}\r\nSubject: Report Domain: {domain}\r\n Submitter: {submitter}\r\n Report-ID: <{id}>\r\n\
         TLS-Report-Domain: {domain}\r\nTLS-Report-Submitter: {submitter}\r\nTLS-Required: No\r\nAuto-Submitted: auto-generated\r\n\
         MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=\"tlsrpt\";\r\n boundary=\"{boundary}\"\r\n\r\n\
         --{boundary}\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n\
         This is a report on TLS in the mail that\r\n{submitter} sent to\r\n{domain}\r\non {}.\r\n\
         Its form is described in RFC 8460.\r\n\r\n\
         --{boundary}\r\nContent-Type: application/tlsrpt+gzip\r\nContent-Transfer-Encoding: base64\r\n\
         Content-Disposition: attachment;\r\n filename=\"{file}\"\r\n\r\n",
        range.0.date()
    );
    let encoded = STANDARD.encode(content);
    for line in encoded.as_bytes().chunks(LINE) {
        text.push_str(std::str::from_utf8(line).unwrap_or_default());
        text.push_str("\r\n");
    }
    let _ = write!(text, "--{boundary}--\r\n");
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::headers::check_raw;

    #[test]
    fn a_report_reads_like_this() {
        let start = time::macros::datetime!(2026-12-01 00:00 UTC);
        let report = TlsReport {
            from: &EmailAddress::parse("tls@example.com").expect("an address"),
            to: &EmailAddress::parse("reports@example.net").expect("an address"),
            domain: &DomainName::parse("example.net").expect("a domain"),
            id: "2026-12-01_example.net@example.com",
            range: (start, start + time::Duration::DAY - time::Duration::SECOND),
            content: &[0x1f; 80],
        };
        let message = compose(&report);
        assert!(check_raw(&message).is_ok(), "it passes as a raw message");
        insta::assert_snapshot!(String::from_utf8(message).expect("text").replace('\r', ""));
    }
}
