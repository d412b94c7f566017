//! The header block of a message, split into its fields without copying.
//!
//! Answers: where each field begins and ends and where the body begins (RFC 5322 2.1, 2.2). A field keeps its folding and its line end.
//! Does not: judge. Lines that are no field come out as fields without a name; `headers` tells what is wrong with them.

use std::ops::Range;

/// One field: the line it begins on and the lines folded onto it, line ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its octets as they stand.
    pub raw: &'a [u8],
    /// Where it begins in the message.
    pub start: usize,
    /// The place of its colon in `raw`; none: this is not a field.
    colon: Option<usize>,
}

impl<'a> Field<'a> {
    /// What stands before the colon; empty if there is none.
    #[must_use]
    pub fn name(&self) -> &'a [u8] {
        self.colon.and_then(|colon| self.raw.get(..colon)).unwrap_or_default()
    }

    /// What stands after the colon, folded as it is, without the last line end.
    #[must_use]
    pub fn value(&self) -> &'a [u8] {
        let value = self.colon.and_then(|colon| self.raw.get(colon + 1..)).unwrap_or_default();
        let value = value.strip_suffix(b"\n").unwrap_or(value);
        value.strip_suffix(b"\r").unwrap_or(value)
    }

    /// Compares the name without case.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.name().eq_ignore_ascii_case(name.as_bytes())
    }

    /// Where it stands in the message.
    #[must_use]
    pub const fn range(&self) -> Range<usize> {
        self.start..self.start + self.raw.len()
    }
}

/// The fields of a message and the place of its body.
#[derive(Clone, Debug, Default)]
pub struct Fields<'a> {
    /// In the order they stand.
    pub all: Vec<Field<'a>>,
    /// Where the empty line after the header block begins: the octets of the block.
    pub header_end: usize,
    /// Where the body begins; none if no empty line ends the header block.
    pub body_start: Option<usize>,
}

impl<'a> Fields<'a> {
    /// Splits `message`, stopping after `max_fields` fields or `max_octets` octets; then no body is found.
    #[must_use]
    pub fn split(message: &'a [u8], max_fields: usize, max_octets: usize) -> Self {
        let mut fields = Self { all: Vec::with_capacity(24), header_end: 0, body_start: None };
        let mut at = 0;
        while let Some(rest) = message.get(at..).filter(|rest| !rest.is_empty()) {
            fields.header_end = at;
            if let Some(empty) = empty_line(rest) {
                fields.body_start = Some(at + empty);
                return fields;
            }
            if fields.all.len() >= max_fields || at > max_octets {
                return fields;
            }
            let length = field_length(rest);
            let raw = rest.get(..length).unwrap_or(rest);
            let first_line = raw.iter().position(|&octet| octet == b'\n').unwrap_or(raw.len());
            let colon = raw.iter().take(first_line).position(|&octet| octet == b':');
            fields.all.push(Field { raw, start: at, colon });
            at += raw.len();
        }
        fields.header_end = at;
        fields
    }

    /// All fields of that name, in order.
    pub fn named(&self, name: &'a str) -> impl DoubleEndedIterator<Item = &Field<'a>> {
        self.all.iter().filter(move |field| field.is(name))
    }
}

/// The octets of the empty line `text` begins with, if it does.
fn empty_line(text: &[u8]) -> Option<usize> {
    match text {
        [b'\r', b'\n', ..] => Some(2),
        [b'\n', ..] => Some(1),
        _ => None,
    }
}

/// The octets of the first line and of all that begin with a space or tab after it.
fn field_length(text: &[u8]) -> usize {
    let mut end = 0;
    while let Some(rest) = text.get(end..) {
        if end > 0 && !matches!(rest.first(), Some(b' ' | b'\t')) {
            return end;
        }
        match rest.iter().position(|&octet| octet == b'\n') {
            Some(line_end) => end += line_end + 1,
            None => return text.len(),
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(message: &str) -> (Vec<(String, String)>, Option<String>) {
        let fields = Fields::split(message.as_bytes(), 100, 10_000);
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        let all = fields.all.iter().map(|field| (text(field.name()), text(field.value()))).collect();
        (all, fields.body_start.and_then(|at| message.get(at..)).map(str::to_owned))
    }

    #[test]
    fn fields_keep_their_folding_and_the_body_begins_after_the_empty_line() {
        let (fields, body) = split("From: a\r\nSubject: b\r\n\tc\r\nX:\r\n\r\nbody\r\n\r\nend\r\n");
        let expected = [("From", " a"), ("Subject", " b\r\n\tc"), ("X", "")];
        assert_eq!(fields, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(body.as_deref(), Some("body\r\n\r\nend\r\n"));
    }

    #[test]
    fn what_is_no_header_block_is_split_all_the_same() {
        assert_eq!(split(""), (vec![], None));
        assert_eq!(split("\r\nbody"), (vec![], Some("body".to_owned())));
        assert_eq!(split("no colon\r\n").0, [(String::new(), String::new())]);
        assert_eq!(split("folded\r\n : colon\r\n").0, [(String::new(), String::new())]);
        assert_eq!(split("A: b").0, [("A".to_owned(), " b".to_owned())]);
        assert_eq!(split("A: b\n\nbody").1.as_deref(), Some("body"));
    }

    #[test]
    fn splitting_stops_at_the_limits() {
        let message = "A: b\r\n".repeat(50);
        assert_eq!(Fields::split(message.as_bytes(), 10, 10_000).all.len(), 10);
        assert_eq!(Fields::split(message.as_bytes(), 100, 60).all.len(), 11);
    }
}
