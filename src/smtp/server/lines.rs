//! Command lines out of the input (RFC 5321 2.3.8, 4.5.3.1.4).
//!
//! Answers: the next line, if it is whole, ends in CRLF and is not too long. A line that ends in a bare LF is taken off and not executed: a server that
//! would is one that messages can be smuggled past. Does not: read content; `content` does.

use bytes::{Buf, BytesMut};

/// Octets of a line that is thrown away, before the client is given up.
const MAX_WASTE_OCTETS: usize = 64 * 1024;

/// What the input begins with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Not yet a whole line.
    Partial,
    /// A line without its CRLF.
    Whole(BytesMut),
    /// A line with more octets than allowed, which is over.
    TooLong,
    /// A line that ends in LF without CR.
    BareLineFeed,
    /// A line that does not end.
    Endless,
}

/// Takes lines off the input.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// Octets thrown away of a line that was too long already.
    wasted: usize,
}

impl Lines {
    /// Takes the next line of at most `most` octets, its end included.
    pub(super) fn next(&mut self, input: &mut BytesMut, most: usize) -> Line {
        let Some(end) = input.iter().position(|octet| *octet == b'\n') else {
            if self.wasted == 0 && input.len() < most {
                return Line::Partial;
            }
            self.wasted += input.len();
            input.clear();
            return if self.wasted > MAX_WASTE_OCTETS { Line::Endless } else { Line::Partial };
        };
        let mut line = input.split_to(end + 1);
        if self.wasted > 0 || line.len() > most {
            self.wasted = 0;
            return Line::TooLong;
        }
        line.truncate(end);
        if line.last() != Some(&b'\r') {
            return Line::BareLineFeed;
        }
        line.truncate(end.saturating_sub(1));
        Line::Whole(line)
    }

    /// Forgets what has come.
    pub(super) fn clear(&mut self, input: &mut BytesMut) {
        self.wasted = 0;
        input.advance(input.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_crlf_ends_a_line() {
        let (mut lines, mut input) = (Lines::default(), BytesMut::from(&b"NOOP\r\nRSET\nQUIT\r\r\n\r\nHE"[..]));
        assert_eq!(lines.next(&mut input, 512), Line::Whole(BytesMut::from("NOOP")));
        assert_eq!(lines.next(&mut input, 512), Line::BareLineFeed);
        assert_eq!(lines.next(&mut input, 512), Line::Whole(BytesMut::from("QUIT\r")), "the parser refuses the CR");
        assert_eq!(lines.next(&mut input, 512), Line::Whole(BytesMut::new()));
        assert_eq!(lines.next(&mut input, 512), Line::Partial);
    }

    #[test]
    fn a_line_too_long_is_thrown_away_in_pieces_and_an_endless_one_given_up() {
        let (mut lines, mut input) = (Lines::default(), BytesMut::from("x".repeat(511).as_str()));
        assert_eq!(lines.next(&mut input, 512), Line::Partial);
        input.extend_from_slice(b"xx");
        assert_eq!(lines.next(&mut input, 512), Line::Partial);
        assert!(input.is_empty());
        input.extend_from_slice(b"rest\r\nNOOP\r\n");
        assert_eq!(lines.next(&mut input, 512), Line::TooLong);
        assert_eq!(lines.next(&mut input, 512), Line::Whole(BytesMut::from("NOOP")));
        let whole = format!("{}\r\n", "y".repeat(511));
        input.extend_from_slice(whole.as_bytes());
        assert_eq!(lines.next(&mut input, 512), Line::TooLong);
        let mut told = Line::Partial;
        for _ in 0..66 {
            input.extend_from_slice(&[b'z'; 1024]);
            told = lines.next(&mut input, 512);
        }
        assert_eq!(told, Line::Endless);
    }
}
