//! Header fields for the wire: ASCII, folded, and saying again what was given when read.
//!
//! Answers: the octets of a field with text, mailboxes, a date or an id (RFC 5322 2.2.3, 3.3, 3.4, 3.6; RFC 2047). Lines have at most 78 octets
//! where the value can be broken and never more than 998. Addresses with a local part beyond ASCII are written in UTF-8 (RFC 6532): such a
//! message needs SMTPUTF8.
//! Does not: write parameters of MIME fields; mail-builder does.
//!
//! mail-builder's own text and address fields are not used: they leave `=?..?=` typed by a user as it is, so that readers decode it; they turn
//! ASCII text of more than 77 octets into encoded words, which breaks machine-read fields such as List-Unsubscribe; and they quote every name.

use std::fmt::Write as _;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use super::lines::MAX_LINE_OCTETS;
use crate::model::{HeaderText, Mailbox};

/// Octets a line should not exceed: 78 (RFC 5322 2.1.1), 76 with an encoded word on it (RFC 2047 2); the same for all.
const LINE_OCTETS: usize = 76;
/// Octets of a word of a display name that is not encoded.
const MAX_NAME_WORD_OCTETS: usize = 72;
const ENCODED_WORD_OCTETS: usize = 75;
/// With less room than this on a line, an encoded word begins on the next.
const MIN_WORD_ROOM: usize = 30;
const B_START: &str = "=?utf-8?B?";
const Q_START: &str = "=?utf-8?Q?";
const WORD_END: &str = "?=";
/// RFC 5322 3.3, in UTC.
const DATE: &[BorrowedFormatItem<'_>] =
    format_description!("[weekday repr:short], [day padding:none] [month repr:short] [year] [hour]:[minute]:[second] +0000");
/// Octets of a Message-ID without its brackets, so that it fits a line of its own.
const MAX_MESSAGE_ID_OCTETS: usize = 900;

/// Writes fields one after the other.
#[derive(Debug)]
pub(super) struct HeaderWriter<'a> {
    output: &'a mut Vec<u8>,
    column: usize,
    /// Spaces owed before the next piece.
    spaces: usize,
    line: Line,
}

/// What the current line holds so far; a line of white space alone must not be written (RFC 5322 3.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    NameOnly,
    Text,
    Empty,
}

impl<'a> HeaderWriter<'a> {
    pub(super) const fn new(output: &'a mut Vec<u8>) -> Self {
        Self { output, column: 0, spaces: 0, line: Line::Empty }
    }

    /// A field with unstructured text (RFC 5322 3.2.5).
    pub(super) fn text(&mut self, name: &str, text: &HeaderText) {
        self.begin(name);
        let text = text.as_str();
        let encoded = encoded_range(text);
        self.words(text.get(..encoded.start).unwrap_or_default());
        self.encoded_words(text.get(encoded.clone()).unwrap_or_default());
        self.words(text.get(encoded.end..).unwrap_or_default());
        self.end();
    }

    /// A field with one or more mailboxes; none writes nothing.
    pub(super) fn mailboxes(&mut self, name: &str, mailboxes: &[Mailbox]) {
        let Some((last, others)) = mailboxes.split_last() else { return };
        self.begin(name);
        for mailbox in others {
            self.mailbox(mailbox, ",");
        }
        self.mailbox(last, "");
        self.end();
    }

    /// A field whose value is ours: short ASCII.
    pub(super) fn token(&mut self, name: &str, value: &str) {
        self.begin(name);
        self.piece(value);
        self.end();
    }

    /// The Date field.
    pub(super) fn date(&mut self, date: OffsetDateTime) {
        self.token("Date", &date_time(date));
    }

    /// The Message-ID field. What cannot stand between the brackets is left out: an id holds printable ASCII.
    pub(super) fn message_id(&mut self, id: &str) {
        let mut value = String::with_capacity(id.len() + 2);
        value.push('<');
        value.extend(id.chars().filter(|character| character.is_ascii_graphic() && !matches!(character, '<' | '>')).take(MAX_MESSAGE_ID_OCTETS));
        value.push('>');
        self.token("Message-ID", &value);
    }

    fn begin(&mut self, name: &str) {
        self.output.extend_from_slice(name.as_bytes());
        self.output.push(b':');
        self.column = name.len() + 1;
        self.spaces = 1;
        self.line = Line::NameOnly;
    }

    fn end(&mut self) {
        self.output.extend_from_slice(b"\r\n");
    }

    /// The spaces owed and a text that is not broken, on this line or, if it would grow too long, on a new one.
    fn piece(&mut self, text: &str) {
        let octets = self.spaces + text.len();
        let fits = self.column + octets <= LINE_OCTETS;
        let fold = match self.line {
            Line::Empty => false,
            // Some readers make one space of the white space at a fold: several spaces are kept on one line while it may grow.
            Line::Text => !fits && (self.spaces == 1 || self.column + octets > MAX_LINE_OCTETS),
            // A fold behind the name is for what gains by it only.
            Line::NameOnly => !fits && (octets <= LINE_OCTETS || self.column + octets > MAX_LINE_OCTETS),
        };
        if fold {
            self.output.extend_from_slice(b"\r\n");
            self.column = 0;
        }
        self.output.extend(std::iter::repeat_n(b' ', self.spaces));
        self.output.extend_from_slice(text.as_bytes());
        self.column += octets;
        self.spaces = 0;
        self.line = Line::Text;
    }

    /// Words that go as they are, with the spaces between them as given.
    fn words(&mut self, text: &str) {
        let mut rest = text;
        while !rest.is_empty() {
            let (spaces, after) = rest.split_at(rest.find(|character| character != ' ').unwrap_or(rest.len()));
            let (word, next) = after.split_at(after.find(' ').unwrap_or(after.len()));
            self.spaces = self.spaces.max(spaces.len());
            if !word.is_empty() {
                self.piece(word);
            }
            rest = next;
        }
    }

    /// A mailbox: `name <address>` or the bare address (RFC 5322 3.4).
    fn mailbox(&mut self, mailbox: &Mailbox, tail: &str) {
        let (local, domain) = (mailbox.address.local(), mailbox.address.domain());
        self.spaces = 1;
        match mailbox.name.as_ref().map(HeaderText::as_str).filter(|name| !name.is_empty()) {
            Some(name) => {
                self.phrase(name);
                self.spaces = 1;
                self.piece(&format!("<{local}@{domain}>{tail}"));
            }
            // Some readers lose the quotes of a local part outside brackets.
            None if local.starts_with('"') => self.piece(&format!("<{local}@{domain}>{tail}")),
            None => self.piece(&format!("{local}@{domain}{tail}")),
        }
    }

    /// A display name: words, a quoted string, or encoded words.
    fn phrase(&mut self, name: &str) {
        let printable = name.bytes().all(|octet| octet == b' ' || octet.is_ascii_graphic());
        let odd_spaces = name.starts_with(' ') || name.ends_with(' ') || name.contains("  ");
        if !printable || odd_spaces || name.contains("=?") || name.split(' ').any(|word| word.len() > MAX_NAME_WORD_OCTETS) {
            self.encoded_words(name);
        } else if name.bytes().all(|octet| octet == b' ' || is_atext(octet)) {
            self.words(name);
        } else {
            // A quoted string may be folded at its spaces: they stay part of it (RFC 5322 3.2.4).
            self.words(&format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\"")));
        }
    }

    /// Text as encoded words of at most 75 octets, none of which splits a character (RFC 2047 2, 5).
    fn encoded_words(&mut self, text: &str) {
        let style = Style::of(text);
        let mut rest = text;
        while !rest.is_empty() {
            let room = LINE_OCTETS.saturating_sub(self.column + self.spaces);
            // Where little room is left, a new line is better than a word of a few characters.
            let room = if room < MIN_WORD_ROOM { ENCODED_WORD_OCTETS } else { room.min(ENCODED_WORD_OCTETS) };
            let (chunk, next) = style.take(rest, room);
            self.piece(&style.word(chunk));
            // Between two encoded words a space means nothing (RFC 2047 6.2).
            self.spaces = usize::from(!next.is_empty());
            rest = next;
        }
    }
}

/// A date-time as RFC 5322 3.3 writes it, in UTC.
#[must_use]
pub fn date_time(date: OffsetDateTime) -> String {
    let utc = date.checked_to_offset(time::UtcOffset::UTC).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    utc.format(DATE).unwrap_or_default()
}

fn is_atext(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&octet)
}

/// The shortest run of words that must be encoded, as a range of `text`; empty at its end if none must.
fn encoded_range(text: &str) -> Range<usize> {
    // White space at the ends is lost when read, unless it is inside an encoded word.
    if text.starts_with(' ') || text.ends_with(' ') {
        return 0..text.len();
    }
    let mut run: Option<Range<usize>> = imitation(text);
    let mut at = 0;
    for word in text.split(' ') {
        let end = at + word.len();
        let imitates = run.as_ref().is_some_and(|run| at < run.end && end > run.start);
        if imitates || !word.is_ascii() || word.len() >= MAX_LINE_OCTETS {
            run = Some(run.map_or(at..end, |run| run.start.min(at)..run.end.max(end)));
        }
        at = end + 1;
    }
    let Some(run) = run else { return text.len()..text.len() };
    // Of several spaces beside the run one separates, the others are encoded with it.
    let before = text.get(..run.start).unwrap_or_default().trim_end_matches(' ');
    let after = text.get(run.end..).unwrap_or_default().trim_start_matches(' ');
    let start = if before.is_empty() { 0 } else { before.len() + 1 };
    let end = if after.is_empty() { text.len() } else { text.len() - after.len() - 1 };
    start..end
}

/// What readers could take for an encoded word though it was typed: from the first `=?` to the last `?=`.
fn imitation(text: &str) -> Option<Range<usize>> {
    let start = text.find("=?")?;
    let end = text.rfind("?=")? + 2;
    (end > start + 3).then_some(start..end)
}

/// How encoded words are written: the shorter of the two.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    B,
    Q,
}

impl Style {
    fn of(text: &str) -> Self {
        let escaped: usize = text.bytes().map(q_octets).sum();
        if escaped <= text.len().div_ceil(3) * 4 { Self::Q } else { Self::B }
    }

    /// As many characters as fit a word of `octets`, at least one, and the rest.
    fn take(self, text: &str, octets: usize) -> (&str, &str) {
        let room = octets.saturating_sub(B_START.len() + WORD_END.len());
        let mut used = 0;
        let mut end = 0;
        for (at, character) in text.char_indices() {
            let next = at + character.len_utf8();
            used = match self {
                Self::B => next.div_ceil(3) * 4,
                Self::Q => used + text.get(at..next).unwrap_or_default().bytes().map(q_octets).sum::<usize>(),
            };
            if used > room && end > 0 {
                break;
            }
            end = next;
        }
        text.split_at(end)
    }

    fn word(self, chunk: &str) -> String {
        let mut word = String::with_capacity(ENCODED_WORD_OCTETS);
        match self {
            Self::B => {
                word.push_str(B_START);
                STANDARD.encode_string(chunk, &mut word);
            }
            Self::Q => {
                word.push_str(Q_START);
                chunk.bytes().for_each(|octet| push_q(&mut word, octet));
            }
        }
        word.push_str(WORD_END);
        word
    }
}

/// Octets that may go as they are in any encoded word, phrases included (RFC 2047 5 (3)).
const fn is_q_literal(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || matches!(octet, b'!' | b'*' | b'+' | b'-' | b'/')
}

const fn q_octets(octet: u8) -> usize {
    if is_q_literal(octet) || octet == b' ' { 1 } else { 3 }
}

fn push_q(word: &mut String, octet: u8) {
    match octet {
        b' ' => word.push('_'),
        _ if is_q_literal(octet) => word.push(char::from(octet)),
        // Writing to a String does not fail.
        _ => drop(write!(word, "={octet:02X}")),
    }
}
