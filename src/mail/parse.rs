//! What a stored message shows in a list: subject, author, recipients, date.
//!
//! Answers: the decoded fields of a message as a person reads them, by a lenient reader: whatever was stored can be shown.
//! Does not: look into the body, or decide anything; `headers::check_raw` reads strictly what decisions rest on.

use mail_parser::parsers::MessageStream;
use time::OffsetDateTime;

use super::fields::Fields;
use super::headers::mailbox::{date, printable, text};
use super::headers::{MAX_FIELDS, MAX_HEADER_OCTETS};

/// Mailboxes shown of one field.
const MAX_SHOWN: usize = 100;

/// The fields a list of messages shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderView {
    /// The subject, decoded; empty if there is none.
    pub subject: String,
    /// Authors, `Name <address>` or the address.
    pub from: Vec<String>,
    /// The To field.
    pub to: Vec<String>,
    /// The Cc field.
    pub cc: Vec<String>,
    /// The Date field.
    pub date: Option<OffsetDateTime>,
    /// The Message-ID without its brackets.
    pub message_id: Option<String>,
}

impl HeaderView {
    /// Reads the header block, at most 256 KiB and 1,000 fields of it.
    #[must_use]
    pub fn read(message: &[u8]) -> Self {
        let head = message.get(..MAX_HEADER_OCTETS).unwrap_or(message);
        let fields = Fields::split(head, MAX_FIELDS, MAX_HEADER_OCTETS);
        let value = |name: &'static str| fields.named(name).next().map(super::fields::Field::value);
        let shown = |name| value(name).map(mailboxes).unwrap_or_default();
        Self {
            subject: value("Subject").map(text).unwrap_or_default(),
            from: shown("From"),
            to: shown("To"),
            cc: shown("Cc"),
            date: value("Date").and_then(date),
            message_id: value("Message-ID").map(|id| text(id).trim_matches(['<', '>']).to_owned()).filter(|id| !id.is_empty()),
        }
    }
}

/// The mailboxes of a field, those in groups among them.
pub(super) fn mailboxes(value: &[u8]) -> Vec<String> {
    let line = [value, b"\r\n"].concat();
    let parsed = MessageStream::new(&line).parse_address();
    let Some(addresses) = parsed.as_address() else { return Vec::new() };
    let show = |address: &mail_parser::Addr<'_>| match (address.name(), address.address()) {
        (Some(name), Some(address)) => Some(printable(format!("{name} <{address}>"))),
        (name, address) => address.or(name).map(|shown| printable(shown.to_owned())),
    };
    addresses.iter().filter_map(show).take(MAX_SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_shown_decoded() {
        let view = HeaderView::read(
            b"From: =?utf-8?Q?J=C3=BCrgen?= <j@x.example>\r\nTo: a@x.example,\r\n \"B, C\" <b@x.example>\r\nCc: Team: c@x.example, d@x.example;\r\n\
              Subject: =?utf-8?B?R3LDvMOfZQ==?=\r\n and more\r\nDate: Sun, 1 Nov 2026 10:00:00 +0100\r\nMessage-ID:\r\n <1@x.example>\r\n\r\nbody",
        );
        assert_eq!(view.from, ["Jürgen <j@x.example>"]);
        assert_eq!(view.to, ["a@x.example", "B, C <b@x.example>"]);
        assert_eq!(view.cc, ["c@x.example", "d@x.example"]);
        assert_eq!(view.subject, "Grüße and more");
        assert_eq!(view.date, Some(time::macros::datetime!(2026-11-01 09:00 UTC)));
        assert_eq!(view.message_id.as_deref(), Some("1@x.example"));
    }

    #[test]
    fn what_is_shown_holds_no_controls() {
        let view = HeaderView::read(b"From: =?utf-8?q?a=00b?= <a@x.example>\r\nSubject: =?utf-8?q?=00a=0D=0Ab?=\tc\r\nMessage-ID: <a\0b>\r\n\r\n");
        assert_eq!(view.from, ["a\u{fffd}b <a@x.example>"]);
        assert_eq!(view.subject, "\u{fffd}a\u{fffd}\u{fffd}b c");
        assert_eq!(view.message_id.as_deref(), Some("a\u{fffd}b"));
    }

    #[test]
    fn what_is_no_message_shows_nothing() {
        for message in [&b""[..], b"\r\n", b"\xff\xfe", b"no header here", b"Subject\r\n\r\n"] {
            assert_eq!(HeaderView::read(message), HeaderView::default(), "{message:?}");
        }
    }

    #[test]
    fn lists_are_cut_off() {
        let message = format!("To: {}\r\n\r\n", vec!["a@x.example"; 500].join(",\r\n "));
        assert_eq!(HeaderView::read(message.as_bytes()).to.len(), MAX_SHOWN);
    }
}
