//! The records of a domain as text: for a zone file (RFC 1035 5.1), and for people.
//!
//! Answers: what to paste where. Does not: print.

use std::fmt::Write;

use super::record::{DnsRecord, RecordState, RecordType};

/// Seconds that resolvers may keep the records.
const TTL_SECONDS: u32 = 3_600;
/// Octets of one character string in a TXT record (RFC 1035 3.3).
const MAX_STRING_OCTETS: usize = 255;

/// The records as lines of a zone file, names absolute, TXT values in strings of at most 255 octets.
#[must_use]
pub fn zone(records: &[DnsRecord]) -> String {
    let mut text = String::new();
    for record in records {
        let data = match record.kind {
            RecordType::Txt => character_strings(&record.value),
            RecordType::Mx | RecordType::Cname | RecordType::Srv => format!("{}.", record.value),
        };
        line(&mut text, format_args!("{}. {TTL_SECONDS} IN {} {data}", record.name, record.kind.as_str()));
    }
    text
}

/// The records as a table: type, name, purpose, state, and the whole value last, so that it can be copied.
#[must_use]
pub fn table(records: &[DnsRecord]) -> String {
    let widest = |cell: fn(&DnsRecord) -> &str, head: &str| records.iter().map(|record| cell(record).len()).chain([head.len()]).max().unwrap_or(0);
    let kind = widest(|record| record.kind.as_str(), "TYPE");
    let name = widest(|record| &record.name, "NAME");
    let purpose = widest(|record| record.purpose.as_str(), "PURPOSE");
    let mut text = String::new();
    line(&mut text, format_args!("{:<kind$}  {:<name$}  {:<purpose$}  {:<7}  VALUE", "TYPE", "NAME", "PURPOSE", "STATE"));
    for record in records {
        let cells = (record.kind.as_str(), &record.name, record.purpose.as_str(), record.state.as_str(), &record.value);
        line(&mut text, format_args!("{:<kind$}  {:<name$}  {:<purpose$}  {:<7}  {}", cells.0, cells.1, cells.2, cells.3, cells.4));
        if let Some(found) = record.found.as_ref().filter(|_| record.state == RecordState::Wrong) {
            line(&mut text, format_args!("{:<kind$}  {:<name$}  {:<purpose$}  {:<7}  {}", "", "", "", "found:", printable(found)));
        }
    }
    text
}

/// A value as quoted strings of at most 255 octets each, on one line, which every reader of zones takes; they are joined without a blank between
/// (RFC 7208 3.3).
fn character_strings(value: &str) -> String {
    let mut strings: Vec<String> = value.as_bytes().chunks(MAX_STRING_OCTETS).map(quoted).collect();
    if strings.is_empty() {
        strings.push("\"\"".to_owned());
    }
    strings.join(" ")
}

fn quoted(octets: &[u8]) -> String {
    let mut text = String::from("\"");
    for octet in octets {
        match octet {
            b'"' | b'\\' => text.extend(['\\', char::from(*octet)]),
            b' '..=b'~' => text.push(char::from(*octet)),
            // RFC 1035 5.1: \DDD is the octet with that decimal number.
            other => {
                let _ = write!(text, "\\{other:03}");
            }
        }
    }
    text.push('"');
    text
}

/// What a stranger's DNS says, without the characters that command a terminal.
fn printable(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a String does not fail.
    let _ = text.write_fmt(arguments);
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domains::record::RecordPurpose;

    fn record(kind: RecordType, name: &str, value: &str) -> DnsRecord {
        DnsRecord {
            kind,
            name: name.to_owned(),
            value: value.to_owned(),
            purpose: if kind == RecordType::Mx { RecordPurpose::ReturnPathMx } else { RecordPurpose::Dkim },
            state: RecordState::Unknown,
            found: None,
        }
    }

    #[test]
    fn a_zone_file_takes_the_records_as_they_are() {
        let records = [
            record(RecordType::Mx, "bounce.example.com", "10 mail.example.net"),
            record(RecordType::Txt, "example.com", "v=spf1 a:mail.example.net ~all"),
            record(RecordType::Txt, "odd.example.com", "a \"quoted\" back\\slash é"),
            record(RecordType::Cname, "k._domainkey.example.com", "k.example.com.dkim.example.net"),
            record(RecordType::Srv, "_submissions._tcp.example.com", "0 1 465 mail.example.net"),
        ];
        insta::assert_snapshot!(zone(&records), @r#"
        bounce.example.com. 3600 IN MX 10 mail.example.net.
        example.com. 3600 IN TXT "v=spf1 a:mail.example.net ~all"
        odd.example.com. 3600 IN TXT "a \"quoted\" back\\slash \195\169"
        k._domainkey.example.com. 3600 IN CNAME k.example.com.dkim.example.net.
        _submissions._tcp.example.com. 3600 IN SRV 0 1 465 mail.example.net.
        "#);
    }

    #[test]
    fn a_long_value_is_cut_after_255_octets_and_joins_to_itself() {
        for (octets, strings) in [(254, 1), (255, 1), (256, 2), (510, 2), (511, 3)] {
            let value: String = ('a'..='z').cycle().take(octets).collect();
            let text = zone(&[record(RecordType::Txt, "k.example.com", &value)]);
            let parts: Vec<&str> = text.split('"').skip(1).step_by(2).collect();
            assert_eq!(parts.len(), strings, "{octets}");
            assert!(parts.iter().all(|part| part.len() <= 255));
            assert_eq!(parts.concat(), value);
        }
    }

    #[test]
    fn the_table_shows_what_stands_there_instead() {
        let mut wrong = record(RecordType::Txt, "k.example.com", "v=DKIM1; p=AA");
        wrong.state = RecordState::Wrong;
        wrong.found = Some("v=DKIM1; p=\u{1b}[31mBB".to_owned());
        insta::assert_snapshot!(table(&[wrong, record(RecordType::Mx, "bounce.example.com", "10 mail.example.net")]), @r"
        TYPE  NAME                PURPOSE         STATE    VALUE
        TXT   k.example.com       dkim            wrong    v=DKIM1; p=AA
                                                  found:   v=DKIM1; p=�[31mBB
        MX    bounce.example.com  return_path_mx  unknown  10 mail.example.net
        ");
    }
}
