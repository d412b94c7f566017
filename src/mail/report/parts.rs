//! The parts of a message that may be a report.
//!
//! Answers: words for people, fields for machines, and the returned message, decoded (RFC 2045, RFC 2046, RFC 6522, RFC 6533). Reports of
//! broken software are common, so a boundary that never comes is looked for, and what has no parts is read as text.
//! Does not: keep attachments, or read what the parts say. Bounded in depth, parts and octets.

use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::charsets::map::charset_decoder;
use mail_parser::decoders::html::html_to_text;
use mail_parser::decoders::quoted_printable::quoted_printable_decode;

use super::original::Original;
use super::phrases;
use crate::mail::fields::{Field, Fields};
use crate::mail::headers::mailbox::text as decoded;
use crate::mail::headers::{MAX_FIELDS, MAX_HEADER_OCTETS};

const MAX_DEPTH: usize = 8;
const MAX_PARTS: usize = 100;
/// Octets of one text.
const MAX_TEXT: usize = 256 * 1024;

/// What a message is made of.
#[derive(Debug, Default)]
pub(super) struct Anatomy {
    /// The fields of the message itself, name in lower case, decoded.
    head: Vec<(String, String)>,
    /// Words for people, without the returned message.
    pub(super) texts: Vec<String>,
    /// Parts for machines (RFC 3464).
    pub(super) status: Vec<String>,
    /// Parts for machines (RFC 5965).
    pub(super) feedback: Vec<String>,
    /// It tells that a message was displayed or deleted (RFC 8098).
    pub(super) has_disposition: bool,
    /// Returned messages, or their headers.
    pub(super) originals: Vec<Vec<u8>>,
    html: Vec<String>,
    parts: usize,
}

impl Anatomy {
    /// The values of a field of the message, `name` in lower case.
    pub(super) fn field<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.head.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The first value of a field, or an empty text.
    pub(super) fn first(&self, name: &str) -> &str {
        self.head.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str())
    }

    /// The returned message.
    pub(super) fn original(&self) -> Original {
        self.originals.iter().map(|octets| Original::read(octets)).find(|original| !original.is_empty()).unwrap_or_default()
    }
}

/// Takes a message apart.
pub(super) fn dissect(message: &[u8]) -> Anatomy {
    let fields = Fields::split(message, MAX_FIELDS, MAX_HEADER_OCTETS);
    let head = fields.all.iter().map(|field| (String::from_utf8_lossy(field.name()).to_ascii_lowercase(), decoded(field.value()))).collect();
    let mut anatomy = Anatomy { head, ..Anatomy::default() };
    anatomy.walk(message, 0);
    if anatomy.texts.iter().all(|text| text.trim().is_empty()) {
        for html in std::mem::take(&mut anatomy.html) {
            anatomy.take_text(&html_to_text(&html));
        }
    }
    anatomy
}

impl Anatomy {
    fn walk(&mut self, octets: &[u8], depth: usize) {
        if depth > MAX_DEPTH || self.parts >= MAX_PARTS {
            return;
        }
        self.parts += 1;
        let fields = Fields::split(octets, MAX_FIELDS, MAX_HEADER_OCTETS);
        let value = |name: &'static str| fields.named(name).next().map(Field::value).map(|value| String::from_utf8_lossy(value).into_owned());
        let body = fields.body_start.and_then(|at| octets.get(at..)).unwrap_or_default();
        let declared = value("Content-Type");
        let kind = Kind::read(declared.as_deref().unwrap_or("text/plain"));
        let encoding = value("Content-Transfer-Encoding").unwrap_or_default();
        if kind.name.starts_with("multipart/") {
            if let Some(parts) = kind.boundary.as_deref().map(|boundary| split(body, boundary.as_bytes())).filter(|parts| parts.len() > 1) {
                parts.into_iter().skip(1).for_each(|part| self.walk(part, depth + 1));
            } else if !self.walk_torn(body, depth) {
                self.take_text(&words(body, None));
            }
        } else if declared.is_none() && depth == 0 && contains(body, b"content-type: message/delivery-status") && self.walk_torn(body, depth) {
        } else {
            self.take_leaf(&kind, &decode(body, &encoding));
        }
    }

    /// A multipart whose boundary is not the one that was announced, or was not announced; false if there is none.
    fn walk_torn(&mut self, body: &[u8], depth: usize) -> bool {
        let Some(boundary) = sniff(body) else { return false };
        let parts = split(body, boundary);
        if let Some(preamble) = parts.first() {
            self.take_text(&words(preamble, None));
        }
        parts.into_iter().skip(1).for_each(|part| self.walk(part, depth + 1));
        true
    }

    fn take_leaf(&mut self, kind: &Kind, octets: &[u8]) {
        let charset = kind.charset.as_deref();
        match kind.name.as_str() {
            "message/delivery-status" | "message/global-delivery-status" => self.status.push(words(octets, charset)),
            "message/feedback-report" => self.feedback.push(words(octets, charset)),
            "message/disposition-notification" | "message/global-disposition-notification" => self.has_disposition = true,
            "text/html" => self.html.push(words(octets, charset)),
            name if name.starts_with("text/rfc822-header") || name.starts_with("message/") => self.originals.push(octets.to_vec()),
            name if name.starts_with("text/") => self.take_text(&words(octets, charset)),
            _ => {}
        }
    }

    /// Keeps a text, and apart from it the message that is returned in it.
    fn take_text(&mut self, text: &str) {
        let text = unquoted(text);
        let (report, original) = phrases::cut(&text);
        if let Some(original) = original {
            self.originals.push(original.as_bytes().to_vec());
        }
        self.texts.push(report.to_owned());
    }
}

/// What a part says of itself.
struct Kind {
    name: String,
    boundary: Option<String>,
    charset: Option<String>,
}

impl Kind {
    /// Reads a Content-Type.
    fn read(value: &str) -> Self {
        let mut parts = value.split(';');
        let name = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
        let parameter = |wanted: &str| {
            // A boundary may hold any of the characters that divide parameters, inside quotes.
            let lower = value.to_ascii_lowercase();
            let at = lower.match_indices(wanted).find_map(|(at, _)| {
                let starts = lower.get(..at)?.ends_with([';', ' ', '\t', '\n', '\r']);
                let rest = value.get(at + wanted.len()..)?.trim_start().strip_prefix('=')?.trim_start();
                starts.then_some(rest)
            })?;
            let text = match at.strip_prefix('"') {
                Some(quoted) => quoted.split('"').next()?,
                None => at.split([';', ' ', '\t', '\r', '\n']).next()?,
            };
            Some(text.trim().to_owned()).filter(|text| !text.is_empty())
        };
        Self { name, boundary: parameter("boundary"), charset: parameter("charset") }
    }
}

/// The texts between the lines that begin with `--` and the boundary; the first is what stands before them.
fn split<'a>(body: &'a [u8], boundary: &[u8]) -> Vec<&'a [u8]> {
    let (mut parts, mut start, mut at) = (Vec::new(), 0, 0);
    for line in body.split_inclusive(|octet| *octet == b'\n') {
        let marked = line.strip_prefix(b"--").and_then(|rest| rest.strip_prefix(boundary));
        if let Some(rest) = marked.filter(|rest| rest.trim_ascii().is_empty() || rest.starts_with(b"--"))
            && parts.len() < MAX_PARTS
        {
            parts.push(body.get(start..at).unwrap_or_default());
            start = at + line.len();
            if rest.starts_with(b"--") {
                return parts;
            }
        }
        at += line.len();
    }
    parts.push(body.get(start..).unwrap_or_default());
    parts
}

/// A line that looks like a boundary because a part's header follows.
fn sniff(body: &[u8]) -> Option<&[u8]> {
    let mut lines = body.split(|octet| *octet == b'\n').map(<[u8]>::trim_ascii_end).peekable();
    while let Some(line) = lines.next() {
        let header = lines.peek().is_some_and(|next| next.get(..8).is_some_and(|start| start.eq_ignore_ascii_case(b"content-")));
        if let Some(boundary) = line.strip_prefix(b"--").filter(|rest| header && rest.len() > 3) {
            return Some(boundary);
        }
    }
    None
}

/// True if `text` holds `wanted`, which is in lower case.
fn contains(text: &[u8], wanted: &[u8]) -> bool {
    text.windows(wanted.len()).any(|window| window.eq_ignore_ascii_case(wanted))
}

/// Undoes a transfer encoding (RFC 2045 6); what is not encoded as it says stays as it is.
fn decode(body: &[u8], encoding: &str) -> Vec<u8> {
    match encoding.trim().to_ascii_lowercase().as_str() {
        "base64" => base64_decode(body).unwrap_or_else(|| body.to_vec()),
        "quoted-printable" => quoted_printable_decode(body).unwrap_or_else(|| body.to_vec()),
        _ => body.to_vec(),
    }
}

/// The octets as text, by its character set, or by what they look like.
fn words(octets: &[u8], charset: Option<&str>) -> String {
    let octets = octets.get(..MAX_TEXT).unwrap_or(octets);
    let by_name = |name: &str| charset_decoder(name.as_bytes()).map(|decoder| decoder(octets));
    if contains(octets, b"\x1b$") {
        return by_name("iso-2022-jp").unwrap_or_default();
    }
    match (charset, std::str::from_utf8(octets)) {
        (_, Ok(text)) if text.is_ascii() => text.to_owned(),
        (Some(name), text) if !name.eq_ignore_ascii_case("us-ascii") && !name.eq_ignore_ascii_case("utf-8") => {
            by_name(name).unwrap_or_else(|| text.map_or_else(|_| String::from_utf8_lossy(octets).into_owned(), str::to_owned))
        }
        (_, Ok(text)) => text.to_owned(),
        (_, Err(_)) => String::from_utf8_lossy(octets).into_owned(),
    }
}

/// The text without the marks of a quotation, which a person makes who passes a report on.
fn unquoted(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for line in text.lines() {
        let line = line.trim_end();
        let bare =
            line.strip_prefix("> ").or_else(|| line.strip_prefix('>').filter(|rest| rest.is_empty() || rest.starts_with(">>>"))).unwrap_or(line);
        plain.push_str(bare);
        plain.push('\n');
    }
    plain
}
