//! Internet messages: written, checked, signed. Octets in, octets out.
//!
//! Answers: the octets of a message from a draft (`compose`), the faults of a message given whole (`headers`), DKIM keys and signatures (`dkim`),
//! what a list shows of a message (`parse`), what comes back about one (`report`). Knows the RFCs and nothing of Pennypost.
//! Does not: read clocks, files, networks or the database. What it did not write itself it never reflows.

pub mod authenticate;
pub mod compose;
pub mod dkim;
pub mod fields;
pub mod headers;
pub mod lines;
pub mod media;
pub mod parse;
pub mod read;
pub mod received_report;
pub mod report;
pub mod tls_report;
pub mod verp;

mod body;
mod headers_write;
