//! Zones as text: `name TYPE data`, one record a line.
//!
//! Answers: the record a line stands for. Types: A AAAA MX TXT CNAME NS SOA PTR SRV TLSA. Names are absolute, with or without the final dot.
//! Does not: read master files (RFC 1035 5): no `$ORIGIN`, no classes, no times to live, no lines that go on.

use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME, MX, NS, PTR, SOA, SRV, TLSA, TXT};
use hickory_resolver::proto::rr::{Name, RData};

/// A line that is no record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a record: {line:?}: {reason}")]
pub struct ZoneError {
    /// The line.
    pub line: String,
    /// What is wrong with it.
    pub reason: String,
}

/// The octets of one string in a TXT record (RFC 1035 3.3).
const STRING_OCTETS: usize = 255;

/// Reads one line; none for an empty one or a comment (`;` or `#`).
pub(crate) fn read_line(line: &str) -> Result<Option<(String, RData)>, ZoneError> {
    let line = line.trim();
    if line.is_empty() || line.starts_with([';', '#']) {
        return Ok(None);
    }
    read_record(line).map(Some).map_err(|reason| ZoneError { line: line.to_owned(), reason })
}

/// A name as the zone keeps it: lower case, no final dot.
pub(crate) fn key(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

fn read_record(line: &str) -> Result<(String, RData), String> {
    let (owner, rest) = line.split_once(char::is_whitespace).ok_or("expected: name TYPE data")?;
    let (kind, data) = rest.trim_start().split_once(char::is_whitespace).ok_or("expected: name TYPE data")?;
    let data = data.trim();
    name(owner.trim_start_matches("*."))?;
    let data = match kind.to_ascii_uppercase().as_str() {
        "A" => RData::A(A(data.parse().map_err(|error| format!("{error}"))?)),
        "AAAA" => RData::AAAA(AAAA(data.parse().map_err(|error| format!("{error}"))?)),
        "MX" => {
            let (preference, host) = data.split_once(char::is_whitespace).ok_or("expected: preference host")?;
            RData::MX(MX::new(preference.parse().map_err(|error| format!("{error}"))?, name(host.trim())?))
        }
        "TXT" => RData::TXT(TXT::from_bytes(strings(data)?.iter().map(Vec::as_slice).collect())),
        "CNAME" => RData::CNAME(CNAME(name(data)?)),
        "NS" => RData::NS(NS(name(data)?)),
        "PTR" => RData::PTR(PTR(name(data)?)),
        "SOA" => {
            let (primary, contact) = data.split_once(char::is_whitespace).ok_or("expected: primary contact")?;
            RData::SOA(SOA::new(name(primary)?, name(contact.trim())?, 1, 3600, 600, 86_400, super::zone::TTL_SECONDS))
        }
        "SRV" => RData::SRV(srv(data)?),
        "TLSA" => RData::TLSA(tlsa(data)?),
        other => return Err(format!("unknown type {other}")),
    };
    Ok((key(owner), data))
}

/// `priority weight port host` (RFC 2782).
fn srv(data: &str) -> Result<SRV, String> {
    let words: Vec<&str> = data.split_ascii_whitespace().collect();
    let [priority, weight, port, host] = words.as_slice() else { return Err("expected: priority weight port host".to_owned()) };
    let number = |text: &str| text.parse::<u16>().map_err(|error| error.to_string());
    Ok(SRV::new(number(priority)?, number(weight)?, number(port)?, name(host)?))
}

/// `usage selector matching hex` (RFC 6698 2.2).
fn tlsa(data: &str) -> Result<TLSA, String> {
    let words: Vec<&str> = data.split_ascii_whitespace().collect();
    let [usage, selector, matching, hex] = words.as_slice() else { return Err("expected: usage selector matching data".to_owned()) };
    let number = |text: &str| text.parse::<u8>().map_err(|error| error.to_string());
    let octet = |pair: &[u8]| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok());
    let octets = hex.as_bytes().chunks(2).map(octet).collect::<Option<Vec<u8>>>().ok_or("the data is not hexadecimal")?;
    Ok(TLSA::new(number(usage)?.into(), number(selector)?.into(), number(matching)?.into(), octets))
}

pub(crate) fn name(text: &str) -> Result<Name, String> {
    let mut name = Name::from_ascii(text).map_err(|error| error.to_string())?;
    name.set_fqdn(true);
    Ok(name)
}

/// Quoted strings as they are; unquoted text as one, cut where it must be.
fn strings(data: &str) -> Result<Vec<Vec<u8>>, String> {
    if !data.starts_with('"') {
        return Ok(data.as_bytes().chunks(STRING_OCTETS).map(<[u8]>::to_vec).collect());
    }
    let mut strings = Vec::new();
    let mut rest = data;
    while let Some(quoted) = rest.strip_prefix('"') {
        let (string, after) = quoted.split_once('"').ok_or("a quote is not closed")?;
        strings.extend(string.as_bytes().chunks(STRING_OCTETS).map(<[u8]>::to_vec));
        rest = after.trim_start();
    }
    if rest.is_empty() { Ok(strings) } else { Err("text follows the last quote".to_owned()) }
}
