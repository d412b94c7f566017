//! Bodies and MIME parts for the wire: seven bits, CRLF, short lines.
//!
//! Answers: the octets of a text part in the transfer encoding that fits it, of an attachment, of a multipart around them (RFC 2045 6, RFC 2046 5.1,
//! RFC 2183, RFC 2387). A text part ends in exactly one CRLF. The encoders and the writer of MIME parameters are mail-builder's.
//! Does not: decide which parts a message has; `compose` does.
//!
//! mail-builder's own choice of encoding is not used: it lets a bare CR and NUL through in text, and takes boundaries from the system's clock.
//! Boundaries here begin with `=_`, which neither quoted-printable nor base64 can produce, and text that could is never left unencoded.

use mail_builder::encoders::{Base64Encoder, QuotedPrintableEncoder};
use mail_builder::headers::Header as _;
use mail_builder::headers::content_type::ContentType;

use super::compose::Attachment;
use super::lines;
use super::media::safe_file_name;

/// Octets of a line that needs no encoding (RFC 5322 2.1.1: should not be longer).
const LINE_OCTETS: usize = 78;

/// A boundary of this message: distinct for each `number`, the same for the same seed.
pub(super) fn boundary(seed: &str, number: u8) -> String {
    let hash = seed.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3));
    format!("=_{hash:016x}_{number}")
}

/// The Content-Type field of a multipart and the empty line.
pub(super) fn begin_multipart(output: &mut Vec<u8>, media_type: &'static str, boundary: &str) {
    let mut content_type = ContentType::new(media_type);
    if media_type == "multipart/related" {
        // The type of the root part (RFC 2387 3.1).
        content_type = content_type.attribute("type", "text/html");
    }
    push_parameters(output, "Content-Type", &content_type.attribute("boundary", boundary));
    output.extend_from_slice(b"\r\n");
}

/// The line between two parts; the CRLF before it belongs to it (RFC 2046 5.1.1).
pub(super) fn next_part(output: &mut Vec<u8>, boundary: &str) {
    output.extend_from_slice(b"\r\n--");
    output.extend_from_slice(boundary.as_bytes());
    output.extend_from_slice(b"\r\n");
}

/// The line behind the last part.
pub(super) fn end_multipart(output: &mut Vec<u8>, boundary: &str) {
    output.extend_from_slice(b"\r\n--");
    output.extend_from_slice(boundary.as_bytes());
    output.extend_from_slice(b"--\r\n");
}

/// A text part with its fields; `media_type` is `text/plain` or `text/html`. Line ends of any kind become CRLF.
pub(super) fn push_text(output: &mut Vec<u8>, media_type: &'static str, text: &str) {
    let replaced;
    let text = if lines::has_bare_cr(text.as_bytes()) {
        replaced = text.replace("\r\n", "\n").replace('\r', "\n");
        replaced.as_str()
    } else {
        text
    };
    let text = text.trim_end_matches(['\r', '\n']);
    push_parameters(output, "Content-Type", &ContentType::new(media_type).attribute("charset", "utf-8"));
    let encoding = Encoding::of(text.as_bytes());
    output.extend_from_slice(b"Content-Transfer-Encoding: ");
    output.extend_from_slice(encoding.name().as_bytes());
    output.extend_from_slice(b"\r\n\r\n");
    match encoding {
        Encoding::SevenBit => push_lines(output, text),
        Encoding::QuotedPrintable => {
            QuotedPrintableEncoder::new().preserve_line_breaks().encode_into(text.as_bytes(), output);
            output.extend_from_slice(b"\r\n");
        }
        Encoding::Base64 => {
            let mut lines = Vec::with_capacity(text.len() + text.len() / 16 + 2);
            push_lines(&mut lines, text);
            Base64Encoder::new().wrap_lines().encode_into(&lines, output);
        }
    }
}

/// An attachment with its fields: always base64, so that its octets arrive as they are.
pub(super) fn push_attachment(output: &mut Vec<u8>, attachment: &Attachment) {
    let name = safe_file_name(&attachment.filename);
    let mut content_type = ContentType::new(attachment.content_type.as_str());
    if attachment.content_type.is_text() && std::str::from_utf8(&attachment.content).is_ok() {
        content_type = content_type.attribute("charset", "utf-8");
    }
    push_parameters(output, "Content-Type", &content_type);
    let disposition = if attachment.content_id.is_some() { "inline" } else { "attachment" };
    push_parameters(output, "Content-Disposition", &ContentType::new(disposition).attribute("filename", name));
    if let Some(id) = &attachment.content_id {
        output.extend_from_slice(b"Content-ID: <");
        output.extend_from_slice(id.as_str().as_bytes());
        output.extend_from_slice(b">\r\n");
    }
    output.extend_from_slice(b"Content-Transfer-Encoding: base64\r\n\r\n");
    Base64Encoder::new().wrap_lines().encode_into(&attachment.content, output);
}

fn push_parameters(output: &mut Vec<u8>, name: &str, value: &ContentType<'_>) {
    output.extend_from_slice(name.as_bytes());
    output.extend_from_slice(b": ");
    value.write_header(output, name.len() + 2);
}

/// Lines with any line end, each written with CRLF; no text is one empty line.
fn push_lines(output: &mut Vec<u8>, text: &str) {
    if text.is_empty() {
        // Without it a message could have no body, and verifiers disagree on the hash of none: Exim's is not that of RFC 6376 3.4.3.
        output.extend_from_slice(b"\r\n");
    }
    for line in text.lines() {
        output.extend_from_slice(line.as_bytes());
        output.extend_from_slice(b"\r\n");
    }
}

/// How text is carried (RFC 2045 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    SevenBit,
    QuotedPrintable,
    Base64,
}

impl Encoding {
    /// What fits `text`, whose only CR stand before LF.
    fn of(text: &[u8]) -> Self {
        let mut beyond_ascii = 0;
        let mut escaped = 0;
        let mut controls = false;
        for &octet in text {
            beyond_ascii += usize::from(octet >= 0x7f);
            escaped += usize::from(octet == b'=');
            controls |= octet < b' ' && !matches!(octet, b'\t' | b'\r' | b'\n');
        }
        // Quoted-printable would carry controls as they are; a NUL must not be sent at all (RFC 5322 4).
        if controls {
            return Self::Base64;
        }
        if beyond_ascii == 0 && text.split(|&octet| octet == b'\n').all(is_plain_line) {
            return Self::SevenBit;
        }
        // Three octets for each escaped one, against four for three.
        if 2 * (beyond_ascii + escaped) > text.len() / 3 + 8 { Self::Base64 } else { Self::QuotedPrintable }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::SevenBit => "7bit",
            Self::QuotedPrintable => "quoted-printable",
            Self::Base64 => "base64",
        }
    }
}

/// True for a line that relays leave as it is: short, no white space at its end, nothing a reader could take for a boundary.
fn is_plain_line(line: &[u8]) -> bool {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    line.len() <= LINE_OCTETS && !matches!(line.last(), Some(b' ' | b'\t')) && !line.starts_with(b"--=_")
}
