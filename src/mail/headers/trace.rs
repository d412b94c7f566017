//! The trace fields of a message that came from the world (RFC 5321 4.4, RFC 3848, RFC 6531 3.7.3).
//!
//! Answers: `Return-Path:` and `Delivered-To:` of a message that is delivered here, `Received:` with the peer's address and what it calls itself, and
//! how far a message has travelled. Does not: touch what it came with.

use std::net::IpAddr;

use time::OffsetDateTime;

use super::{MAX_FIELDS, MAX_HEADER_OCTETS};
use crate::mail::fields::Fields;
use crate::mail::headers_write::date_time;

/// Characters of the peer's own name that are repeated.
const MAX_NAME_CHARACTERS: usize = 255;

/// How a message came.
#[derive(Clone, Copy, Debug)]
pub struct Hop<'a> {
    /// The peer's address.
    pub peer: IpAddr,
    /// Its name, if that leads back to its address.
    pub peer_name: Option<&'a str>,
    /// What it calls itself.
    pub helo: &'a str,
    /// Our name.
    pub hostname: &'a str,
    /// As registered: `ESMTPS` for mail over TLS.
    pub protocol: &'a str,
    /// The message's id.
    pub id: &'a str,
    /// To whom.
    pub recipient: &'a str,
    /// When.
    pub at: OffsetDateTime,
}

/// The field `Received:` with its line end.
#[must_use]
pub fn received_from(hop: &Hop<'_>) -> String {
    let literal = if hop.peer.is_ipv6() { format!("[IPv6:{}]", hop.peer) } else { format!("[{}]", hop.peer) };
    let address = hop.peer_name.map_or_else(|| literal.clone(), |name| format!("{} {literal}", harmless(name)));
    let Hop { helo, hostname, protocol, id, recipient, at, .. } = hop;
    format!(
        "Received: from {} ({address})\r\n\tby {hostname} with {protocol}\r\n\tid {id}\r\n\tfor <{recipient}>; {}\r\n",
        harmless(helo),
        date_time(*at)
    )
}

/// The fields `Return-Path:` and `Delivered-To:` with their line ends. `reverse_path` has its brackets.
#[must_use]
pub fn delivered(reverse_path: &str, recipient: &str) -> String {
    format!("Return-Path: {reverse_path}\r\nDelivered-To: {recipient}\r\n")
}

/// A name that strangers chose, as a word that cannot be taken for anything else.
fn harmless(name: &str) -> String {
    let safe = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '-' | '_' | ':' | '[' | ']');
    let word: String = name.chars().take(MAX_NAME_CHARACTERS).map(|character| if safe(character) { character } else { '?' }).collect();
    if word.is_empty() { "unknown".to_owned() } else { word }
}

/// Where a message has been.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Travels {
    /// The number of Received fields: relays so far (RFC 5321 6.3).
    pub received: usize,
    /// The addresses it was delivered to, in lower case.
    pub delivered_to: Vec<String>,
}

impl Travels {
    /// Reads the header of a message.
    #[must_use]
    pub fn read(message: &[u8]) -> Self {
        let fields = Fields::split(message, MAX_FIELDS, MAX_HEADER_OCTETS);
        let text = |value: &[u8]| String::from_utf8_lossy(value).trim().trim_matches(['<', '>']).to_ascii_lowercase();
        Self { received: fields.named("Received").count(), delivered_to: fields.named("Delivered-To").map(|field| text(field.value())).collect() }
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn it_reads_like_this() {
        let hop = Hop {
            peer: "192.0.2.1".parse().unwrap(),
            peer_name: None,
            helo: "mx.example",
            hostname: "mail.example.com",
            protocol: "ESMTPS",
            id: "inc_1",
            recipient: "info@example.com",
            at: datetime!(2026-12-01 09:00 +1),
        };
        assert_eq!(
            received_from(&hop),
            "Received: from mx.example ([192.0.2.1])\r\n\tby mail.example.com with ESMTPS\r\n\tid inc_1\r\n\tfor <info@example.com>; \
             Tue, 1 Dec 2026 08:00:00 +0000\r\n"
        );
        let six = Hop { peer: "2001:db8::1".parse().unwrap(), peer_name: Some("mx.example"), ..hop };
        assert!(received_from(&six).starts_with("Received: from mx.example (mx.example [IPv6:2001:db8::1])\r\n"));
        assert_eq!(delivered("<>", "info@example.com"), "Return-Path: <>\r\nDelivered-To: info@example.com\r\n");
    }

    #[test]
    fn a_name_of_the_peers_choice_stays_one_word() {
        for (name, shown) in [("a(b)\r\nX: y", "a?b???X:?y"), ("", "unknown"), ("[192.0.2.1]", "[192.0.2.1]"), ("b\u{fc}cher", "b?cher")] {
            assert_eq!(harmless(name), shown);
        }
    }

    #[test]
    fn travels_are_read_from_the_header_alone() {
        let message = b"Delivered-To: <Info@D.example>\r\nReceived: a\r\n\tb\r\nreceived: c\r\ndelivered-to: x@d.example \r\n\r\nReceived: d\r\n";
        assert_eq!(Travels::read(message), Travels { received: 2, delivered_to: vec!["info@d.example".to_owned(), "x@d.example".to_owned()] });
        assert_eq!(Travels::read(b""), Travels::default());
    }
}
