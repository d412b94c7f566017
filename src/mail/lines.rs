//! Line ends and line lengths of octets that are or shall be a message.
//!
//! Answers: has this text a CR without LF or an LF without CR (RFC 5322 2.3, the matter of message smuggling), a line over the limit, a NUL.
//! Does not: repair.

/// Octets of a line without its CRLF (RFC 5322 2.1.1).
pub const MAX_LINE_OCTETS: usize = 998;

/// True if a CR stands without an LF after it or an LF without a CR before it.
#[must_use]
pub fn has_bare_line_end(text: &[u8]) -> bool {
    // The CR of each pair must fall together with the LF of its neighbour; without early exit, so that the loop becomes vector code.
    let pairs = text.iter().zip(text.iter().skip(1));
    let broken = pairs.fold(0, |broken, (&octet, &next)| broken | (u8::from(octet == b'\r') ^ u8::from(next == b'\n')));
    broken != 0 || text.first() == Some(&b'\n') || text.last() == Some(&b'\r')
}

/// True if a CR stands without an LF after it.
#[must_use]
pub fn has_bare_cr(text: &[u8]) -> bool {
    let pairs = text.iter().zip(text.iter().skip(1));
    let bare = pairs.fold(0, |bare, (&octet, &next)| bare | (u8::from(octet == b'\r') & u8::from(next != b'\n')));
    bare != 0 || text.last() == Some(&b'\r')
}

/// The first CR or LF that stands alone: its place.
#[must_use]
pub fn first_bare_line_end(text: &[u8]) -> Option<usize> {
    if !has_bare_line_end(text) {
        return None;
    }
    let mut previous = 0;
    text.iter().enumerate().find_map(|(at, &octet)| {
        let before = std::mem::replace(&mut previous, octet);
        match (before, octet) {
            (b'\r', b'\n') => None,
            (b'\r', _) => Some(at - 1),
            (_, b'\n') => Some(at),
            (_, b'\r') if at + 1 == text.len() => Some(at),
            _ => None,
        }
    })
}

/// Where the first line of more than [`MAX_LINE_OCTETS`] octets begins.
#[must_use]
pub fn first_long_line(text: &[u8]) -> Option<usize> {
    let mut start = 0;
    for line in text.split(|&octet| octet == b'\n') {
        if line.strip_suffix(b"\r").unwrap_or(line).len() > MAX_LINE_OCTETS {
            return Some(start);
        }
        start += line.len() + 1;
    }
    None
}

/// The number of the line, from 1, that the octet at `place` is in.
#[must_use]
pub fn line_number(text: &[u8], place: usize) -> usize {
    1 + text.iter().take(place).filter(|&&octet| octet == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lone_cr_or_lf_is_found() {
        for (text, place) in [
            ("", None),
            ("a", None),
            ("\r\n", None),
            ("a\r\nb\r\n\r\n", None),
            ("\n", Some(0)),
            ("\r", Some(0)),
            ("a\nb", Some(1)),
            ("a\rb", Some(1)),
            ("a\r\n.\r\rb\r\n", Some(4)),
            ("a\r\r\n", Some(1)),
            ("a\r\n\n", Some(3)),
            ("a\r\n\r", Some(3)),
            ("\n\r\n", Some(0)),
        ] {
            assert_eq!(first_bare_line_end(text.as_bytes()), place, "{text:?}");
            assert_eq!(has_bare_line_end(text.as_bytes()), place.is_some(), "{text:?}");
            let bare_cr = text.replace("\r\n", "").contains('\r');
            assert_eq!(has_bare_cr(text.as_bytes()), bare_cr, "{text:?}");
        }
    }

    #[test]
    fn a_line_may_have_998_octets() {
        let text = |octets: usize| format!("a\r\n{}\r\nb", "x".repeat(octets));
        assert_eq!(first_long_line(text(998).as_bytes()), None);
        assert_eq!(first_long_line(text(999).as_bytes()), Some(3));
        assert_eq!(line_number(b"a\r\nb\r\nc", 6), 3);
    }
}
