//! A report as it was before it was packed: MIME (RFC 2045), gzip (RFC 1952), the first file of a zip archive.
//!
//! Answers: the parts of a message that may be a report, and their octets unpacked, at most so many: what unpacks to more is refused while it unpacks
//! (rule C23). A zip archive is read from its first file's header on, so a directory that lies about the rest is never looked at.
//! Does not: read what they say.

use std::io::Read;

use flate2::read::{DeflateDecoder, GzDecoder};
use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::quoted_printable::quoted_printable_decode;

use super::ReceivedReportError;
use crate::mail::fields::{Field, Fields};

/// Octets of a report unpacked.
const MAX_UNPACKED: usize = 16 * 1024 * 1024;
/// Parts of a message that are looked at, and their depth.
const MAX_PARTS: usize = 20;
const MAX_DEPTH: usize = 4;
const MAX_FIELDS: usize = 500;
const MAX_HEADER_OCTETS: usize = 256 * 1024;
/// Entries of an archive that are passed over because they are directories.
const MAX_DIRECTORIES: usize = 4;
/// Octets of a local file header before the name (APPNOTE 4.3.7).
const ZIP_HEADER: usize = 30;

/// The parts that may be a report, decoded, in order.
pub(super) fn candidates(message: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    walk(message, 0, &mut 0, &mut found);
    found
}

fn walk(octets: &[u8], depth: usize, seen: &mut usize, found: &mut Vec<Vec<u8>>) {
    *seen += 1;
    if depth > MAX_DEPTH || *seen > MAX_PARTS {
        return;
    }
    let fields = Fields::split(octets, MAX_FIELDS, MAX_HEADER_OCTETS);
    let value = |name: &'static str| fields.named(name).next().map(Field::value).map(|value| String::from_utf8_lossy(value).into_owned());
    let body = fields.body_start.and_then(|at| octets.get(at..)).unwrap_or_default();
    let kind = value("Content-Type").unwrap_or_default();
    if kind.trim_start().get(..10).is_some_and(|start| start.eq_ignore_ascii_case("multipart/")) {
        let Some(boundary) = boundary(&kind) else { return };
        for part in parts(body, &boundary) {
            walk(part, depth + 1, seen, found);
        }
        return;
    }
    let encoding = value("Content-Transfer-Encoding").unwrap_or_default().trim().to_ascii_lowercase();
    let decoded = match encoding.as_str() {
        "base64" => base64_decode(body),
        "quoted-printable" => quoted_printable_decode(body),
        _ => Some(body.to_vec()),
    };
    found.extend(decoded.filter(|octets| looks_packed(octets)));
}

/// The parameter of a multipart (RFC 2046 5.1.1).
fn boundary(kind: &str) -> Option<String> {
    let at = kind.to_ascii_lowercase().find("boundary=")? + "boundary=".len();
    let rest = kind.get(at..)?;
    let text = match rest.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next()?,
        None => rest.split([';', ' ', '\t', '\r', '\n']).next()?,
    };
    (!text.is_empty()).then(|| text.to_owned())
}

fn parts<'a>(body: &'a [u8], boundary: &str) -> Vec<&'a [u8]> {
    let (mut found, mut start, mut at) = (Vec::new(), None, 0);
    for line in body.split_inclusive(|octet| *octet == b'\n') {
        let rest = line.strip_prefix(b"--").and_then(|rest| rest.strip_prefix(boundary.as_bytes())).map(<[u8]>::trim_ascii_end);
        if let Some(rest) = rest.filter(|rest| matches!(*rest, b"" | b"--")) {
            found.extend(start.and_then(|start: usize| body.get(start..at)));
            if rest == b"--" || found.len() > MAX_PARTS {
                return found;
            }
            start = Some(at + line.len());
        }
        at += line.len();
    }
    found.extend(start.and_then(|start| body.get(start..)));
    found
}

/// Told by how it begins: what parts say of themselves is often wrong.
fn looks_packed(octets: &[u8]) -> bool {
    let text = octets.strip_prefix(b"\xef\xbb\xbf").unwrap_or(octets).trim_ascii_start();
    octets.starts_with(&[0x1f, 0x8b])
        || octets.starts_with(b"PK\x03\x04")
        || text.starts_with(b"{")
        || text.starts_with(b"<?xml")
        || text.starts_with(b"<feedback")
}

/// The octets unpacked.
pub(super) fn unpack(octets: &[u8]) -> Result<Vec<u8>, ReceivedReportError> {
    if octets.starts_with(&[0x1f, 0x8b]) {
        return bounded(GzDecoder::new(octets));
    }
    if octets.starts_with(b"PK\x03\x04") {
        return first_of_zip(octets);
    }
    let text = octets.strip_prefix(b"\xef\xbb\xbf").unwrap_or(octets);
    if text.len() > MAX_UNPACKED { Err(over()) } else { Ok(text.to_vec()) }
}

fn over() -> ReceivedReportError {
    ReceivedReportError::TooLarge("it unpacks to more than 16 MiB")
}

fn bounded(packed: impl Read) -> Result<Vec<u8>, ReceivedReportError> {
    let mut text = Vec::new();
    let limit = u64::try_from(MAX_UNPACKED).unwrap_or(u64::MAX);
    let read = packed.take(limit + 1).read_to_end(&mut text);
    if text.len() > MAX_UNPACKED {
        return Err(over());
    }
    read.map_err(|error| ReceivedReportError::Malformed(format!("it cannot be unpacked: {error}")))?;
    Ok(text.strip_prefix(b"\xef\xbb\xbf").map(<[u8]>::to_vec).unwrap_or(text))
}

/// The first file of an archive.
fn first_of_zip(archive: &[u8]) -> Result<Vec<u8>, ReceivedReportError> {
    let wrong = |what: &str| ReceivedReportError::Malformed(format!("the zip archive {what}"));
    let mut rest = archive;
    for _ in 0..MAX_DIRECTORIES {
        let header = rest.get(..ZIP_HEADER).filter(|header| header.starts_with(b"PK\x03\x04")).ok_or_else(|| wrong("holds no file"))?;
        let short =
            |at: usize| header.get(at..at + 2).map_or(0, |octets| octets.iter().rev().fold(0_usize, |sum, octet| sum << 8 | usize::from(*octet)));
        let (flags, method, names) = (short(6), short(8), short(26) + short(28));
        let packed_octets = short(18) | short(20) << 16;
        if flags & 1 != 0 {
            return Err(wrong("is encrypted"));
        }
        let name = rest.get(ZIP_HEADER..ZIP_HEADER + short(26)).unwrap_or_default();
        let content = rest.get(ZIP_HEADER + names..).ok_or_else(|| wrong("ends too early"))?;
        if name.ends_with(b"/") {
            rest = content.get(packed_octets..).unwrap_or_default();
            continue;
        }
        return match method {
            0 => bounded(content.get(..packed_octets).ok_or_else(|| wrong("ends too early"))?),
            8 => bounded(DeflateDecoder::new(content)),
            _ => Err(wrong("is packed by a method other than deflate")),
        };
    }
    Err(wrong("holds directories only"))
}
