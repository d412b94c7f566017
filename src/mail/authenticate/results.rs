//! `Authentication-Results`: what was found, told in one field (RFC 8601), and fields that a stranger wrote in our name, taken away.
//!
//! Answers: the field's value, folded, with nothing in it that could be read as another result; a message without fields that carry our name.
//! Does not: believe what others wrote, or touch a field of another name.

use std::fmt::Write as _;
use std::net::IpAddr;

use super::dmarc::DmarcCheck;
use super::iprev::Iprev;
use super::seals::{ArcState, DkimCheck};
use super::spf::SpfResult;
use crate::mail::fields::Fields;

/// Characters of a value that a stranger chose.
const MAX_VALUE: usize = 256;

/// The identity that SPF was asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpfIdentity {
    /// The reverse-path.
    MailFrom(String),
    /// The EHLO name, for a null reverse-path.
    Helo(String),
}

/// All that was found.
#[derive(Clone, Debug)]
pub struct Findings<'a> {
    /// Where the message came from.
    pub peer: IpAddr,
    /// The peer's name.
    pub iprev: &'a Iprev,
    /// SPF, and of whom.
    pub spf: (SpfResult, &'a SpfIdentity),
    /// Signatures.
    pub dkim: &'a [DkimCheck],
    /// DMARC.
    pub dmarc: &'a DmarcCheck,
    /// The chain.
    pub arc: ArcState,
}

/// The value of the field: `host` and one result a line, without the field's name and its last line end.
#[must_use]
pub fn value(host: &str, found: &Findings<'_>) -> String {
    let mut text = host.to_owned();
    // Writing to a String cannot fail.
    let _ = write!(text, ";\r\n\tiprev={} policy.iprev={}", found.iprev.as_str(), plain(&found.peer.to_canonical().to_string()));
    if let Iprev::Pass(name) = found.iprev {
        let _ = write!(text, " smtp.remote-hostname={}", plain(name));
    }
    let (property, identity) = match found.spf.1 {
        SpfIdentity::MailFrom(address) => ("smtp.mailfrom", address),
        SpfIdentity::Helo(name) => ("smtp.helo", name),
    };
    let _ = write!(text, ";\r\n\tspf={} {property}={}", found.spf.0.as_str(), plain(identity));
    if found.dkim.is_empty() {
        text.push_str(";\r\n\tdkim=none");
    }
    for check in found.dkim {
        let _ = write!(text, ";\r\n\tdkim={}", check.result.as_str());
        if let Some(reason) = &check.reason {
            let _ = write!(text, " reason={}", quoted(reason));
        }
        if !check.domain.is_empty() {
            let DkimCheck { domain, selector, algorithm, mark, .. } = check;
            let _ = write!(text, "\r\n\theader.d={} header.s={} header.a={algorithm} header.b={}", plain(domain), plain(selector), plain(mark));
        }
    }
    let DmarcCheck { result, policy, domain } = found.dmarc;
    let _ = write!(text, ";\r\n\tdmarc={}", result.as_str());
    if !domain.is_empty() {
        let _ = write!(text, " policy.published-domain-policy={} header.from={}", policy.as_str(), plain(domain));
    }
    let _ = write!(text, ";\r\n\tarc={}", found.arc.as_str());
    text
}

/// A value as it stands if that can be read in one way only, else quoted.
fn plain(text: &str) -> String {
    let is_safe = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '-' | '_' | '@' | '+' | '=' | '/');
    // "=" is no token character of MIME, yet all of base64 needs it quoted only there.
    if !text.is_empty() && text.len() <= MAX_VALUE && text.chars().all(|character| is_safe(character) && character != '=' && character != '/') {
        return text.to_owned();
    }
    quoted(text)
}

/// A quoted string of printable ASCII.
fn quoted(text: &str) -> String {
    let mut output = String::with_capacity(text.len() + 2);
    output.push('"');
    for character in text.chars().take(MAX_VALUE) {
        match character {
            '"' | '\\' => {
                output.push('\\');
                output.push(character);
            }
            ' '..='~' => output.push(character),
            _ => output.push('?'),
        }
    }
    output.push('"');
    output
}

/// The message without `Authentication-Results` fields that carry the name `host`; none if there are none (RFC 8601 5).
#[must_use]
pub fn without_forged(message: &[u8], host: &str) -> Option<Vec<u8>> {
    let fields = Fields::split(message, usize::MAX, usize::MAX);
    let is_forged = |name: &str| name.eq_ignore_ascii_case(host);
    let forged: Vec<_> =
        fields.all.iter().filter(|field| is_named(field.name())).filter(|field| author(field.value()).is_none_or(|name| is_forged(&name))).collect();
    if forged.is_empty() {
        return None;
    }
    let mut kept = Vec::with_capacity(message.len());
    let mut at = 0;
    for field in forged {
        let range = field.range();
        kept.extend_from_slice(message.get(at..range.start).unwrap_or_default());
        at = range.end;
    }
    kept.extend_from_slice(message.get(at..).unwrap_or_default());
    Some(kept)
}

/// True for the field, also with spaces before the colon, which some readers overlook.
fn is_named(name: &[u8]) -> bool {
    name.trim_ascii_end().eq_ignore_ascii_case(b"Authentication-Results")
}

/// The name that a field's value begins with, comments left out; none if it cannot be read.
fn author(value: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(value);
    let (mut name, mut depth, mut in_quotes, mut escaped) = (String::new(), 0_u32, false, false);
    for character in text.chars() {
        match character {
            _ if escaped => {
                escaped = false;
                if depth == 0 {
                    name.push(character);
                }
            }
            '\\' if in_quotes || depth > 0 => escaped = true,
            '"' if depth == 0 => in_quotes = !in_quotes,
            '(' if !in_quotes => depth += 1,
            ')' if depth > 0 => depth -= 1,
            _ if depth > 0 => {}
            ';' if !in_quotes => break,
            _ if character.is_ascii_whitespace() && !in_quotes => {
                if !name.is_empty() {
                    break;
                }
            }
            _ => name.push(character),
        }
    }
    let name = name.trim_end_matches('.');
    (!name.is_empty() && depth == 0).then(|| name.to_owned())
}
