//! How deeply the parts of a message lie in each other, found without decoding them.
//!
//! Answers: is a message within the limits on levels and parts (RFC 2046 5.1, 5.2.1), so that whoever parses it later cannot be made to work without
//! end. Does not: parse for content.

use mail_parser::parsers::MessageStream;

use super::problem::{MAX_NESTING, MAX_PARTS};
use crate::mail::fields::Fields;

/// Octets of the header block of a part.
const MAX_PART_HEADER_OCTETS: usize = 64 * 1024;

/// True if the message has more levels or parts than allowed. `fields` are those of its own header block.
#[must_use]
pub(in crate::mail) fn is_excessive(message: &[u8], fields: &Fields<'_>) -> bool {
    let Some(mut at) = fields.body_start else { return false };
    let mut walk = Walk::default();
    if walk.enter(fields) == Inside::Message {
        at += walk.part(message.get(at..).unwrap_or_default());
    }
    while let Some(rest) = message.get(at..).filter(|rest| !rest.is_empty() && walk.is_open()) {
        let end = rest.iter().position(|&octet| octet == b'\n').map_or(rest.len(), |place| place + 1);
        at += end;
        let line = rest.get(..end).unwrap_or_default();
        if line.starts_with(b"--") && walk.delimiter(line) {
            at += walk.part(message.get(at..).unwrap_or_default());
        }
    }
    walk.is_excessive()
}

/// What encloses the line that is read.
enum Level {
    Multipart(Vec<u8>),
    Message,
}

/// What a header block announces.
#[derive(PartialEq, Eq)]
enum Inside {
    Message,
    Other,
}

#[derive(Default)]
struct Walk {
    /// Outermost first.
    levels: Vec<Level>,
    parts: usize,
    header_too_long: bool,
}

impl Walk {
    const fn is_excessive(&self) -> bool {
        self.levels.len() > MAX_NESTING || self.parts > MAX_PARTS || self.header_too_long
    }

    /// True while there is something to look for.
    const fn is_open(&self) -> bool {
        !self.levels.is_empty() && !self.is_excessive()
    }

    /// Goes one level down if the header block of a part says so.
    fn enter(&mut self, fields: &Fields<'_>) -> Inside {
        let Some(field) = fields.named("Content-Type").next() else { return Inside::Other };
        let line = [field.value(), b"\r\n"].concat();
        let parsed = MessageStream::new(&line).parse_content_type();
        let Some(content_type) = parsed.as_content_type() else { return Inside::Other };
        if content_type.ctype().eq_ignore_ascii_case("multipart") {
            let boundary = content_type.attribute("boundary").unwrap_or_default().trim_ascii_end();
            self.levels.push(Level::Multipart(boundary.as_bytes().to_vec()));
            return Inside::Other;
        }
        let is_message = content_type.ctype().eq_ignore_ascii_case("message")
            && content_type.subtype().is_some_and(|subtype| ["rfc822", "global", "news"].iter().any(|kind| subtype.eq_ignore_ascii_case(kind)));
        if !is_message {
            return Inside::Other;
        }
        self.levels.push(Level::Message);
        Inside::Message
    }

    /// Takes note of a line that begins with `--`; true if a part begins behind it. A delimiter of an outer level closes the inner ones.
    fn delimiter(&mut self, line: &[u8]) -> bool {
        let text = line.trim_ascii_end().strip_prefix(b"--").unwrap_or_default();
        let last = text.strip_suffix(b"--");
        for (place, level) in self.levels.iter().enumerate().rev() {
            let Level::Multipart(boundary) = level else { continue };
            if text == boundary.as_slice() {
                self.levels.truncate(place + 1);
                self.parts += 1;
                return true;
            }
            if last == Some(boundary.as_slice()) {
                self.levels.truncate(place);
                return false;
            }
        }
        false
    }

    /// Reads the header block of a part and, where the part is a message, of that message too; gives their octets.
    fn part(&mut self, text: &[u8]) -> usize {
        let mut at = 0;
        while !self.is_excessive() {
            let rest = text.get(at..).unwrap_or_default();
            let head = rest.get(..MAX_PART_HEADER_OCTETS).unwrap_or(rest);
            let fields = Fields::split(head, usize::MAX, usize::MAX);
            let inside = self.enter(&fields);
            let Some(body) = fields.body_start else {
                self.header_too_long = head.len() < rest.len();
                return at;
            };
            at += body;
            if inside == Inside::Other {
                return at;
            }
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excessive(message: &str) -> bool {
        is_excessive(message.as_bytes(), &Fields::split(message.as_bytes(), usize::MAX, usize::MAX))
    }

    fn nested(levels: usize) -> String {
        (0..levels).fold(String::new(), |text, level| {
            let before = if level == 0 { String::new() } else { format!("--b{}\r\n", level - 1) };
            format!("{text}{before}Content-Type: multipart/mixed; boundary=\"b{level}\"\r\n\r\n")
        })
    }

    #[test]
    fn twenty_levels_pass_and_more_do_not() {
        assert!(!excessive(&nested(MAX_NESTING)));
        assert!(excessive(&nested(MAX_NESTING + 1)));
        let messages = "Content-Type: message/rfc822\r\n\r\n";
        assert!(!excessive(&messages.repeat(MAX_NESTING)));
        assert!(excessive(&messages.repeat(MAX_NESTING + 1)));
    }

    #[test]
    fn many_parts_beside_each_other_are_no_levels() {
        let digest = |parts: usize| {
            let part = "--b\r\n\r\nContent-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\nbody\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: y\r\n\r\n";
            format!("Content-Type: multipart/digest; boundary=b\r\n\r\n{}--b--\r\n", part.repeat(parts / 2))
        };
        assert!(!excessive(&digest(MAX_PARTS)));
        assert!(excessive(&digest(MAX_PARTS + 2)));
    }

    #[test]
    fn what_is_no_boundary_is_passed_over() {
        assert!(!excessive("Subject: x\r\n\r\n--b\r\n--b\r\n"));
        assert!(!excessive(&format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{}", "--bb\r\n-- \r\n".repeat(2000))));
        assert!(!excessive("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b--\r\n--b\r\n"));
    }

    #[test]
    fn bombs_are_told_before_they_are_read_to_their_end() {
        let part = "--b\r\nContent-Type: multipart/mixed; boundary=\"b\"\r\n\r\n";
        assert!(excessive(&format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{}", part.repeat(100_000))));
        assert!(excessive(&format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{}", "--b\r\n\r\n".repeat(1_000_000))));
        assert!(excessive(&nested(10_000)));
    }

    #[test]
    fn a_boundary_that_begins_like_another_is_another() {
        let head = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: multipart/mixed; boundary=b1\r\n\r\n";
        assert!(!excessive(&format!("{head}{}", "--b1\r\n\r\n--b1x\r\n".repeat(MAX_PARTS - 1))));
        assert!(excessive(&format!("{head}{}", "--b1\r\n\r\n".repeat(MAX_PARTS))));
    }

    #[test]
    fn a_part_cannot_hide_behind_an_endless_header() {
        let message = format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nX: {}\r\n\r\n", "x\r\n ".repeat(40_000));
        assert!(excessive(&message));
    }
}
