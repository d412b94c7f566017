//! Header field names and values that cannot inject: a value holds no line end, by type.
//!
//! Answers: is this text safe as a header field's name or value (RFC 5322 2.2). Encoding for the wire is `mail::compose`'s.
//! Does not: know which fields a caller may set; `accept::checks` does.

use std::fmt;

/// Octets a header field name may have, so that name, colon and something fit a line of 78 (RFC 5322 2.1.1).
pub const MAX_HEADER_NAME_OCTETS: usize = 76;
/// Octets of one header field value before encoding and folding.
pub const MAX_HEADER_VALUE_OCTETS: usize = 998;

/// Why a text cannot stand in a header field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The name is empty.
    #[error("the header name is empty")]
    EmptyName,
    /// The name has over 76 octets.
    #[error("the header name is longer than 76 characters")]
    NameTooLong,
    /// The name has a space, colon, control or non-ASCII character.
    #[error("a header name may hold printable ASCII without spaces and colons only")]
    NameInvalid,
    /// The value has a line end or control character: what header injection is made of.
    #[error("line ends and control characters are not allowed in a header")]
    Injection,
    /// The value has over 998 octets.
    #[error("the header value is longer than 998 octets")]
    ValueTooLong,
}

/// A header field's name, compared without case.
#[derive(Clone, Debug)]
pub struct HeaderName(String);

impl HeaderName {
    /// Reads a field name.
    ///
    /// # Errors
    /// [`HeaderError`] if it is empty, too long, or has a character no name has.
    pub fn parse(text: &str) -> Result<Self, HeaderError> {
        if text.is_empty() {
            return Err(HeaderError::EmptyName);
        }
        if text.contains(['\r', '\n', '\0']) {
            return Err(HeaderError::Injection);
        }
        if text.len() > MAX_HEADER_NAME_OCTETS {
            return Err(HeaderError::NameTooLong);
        }
        if !text.bytes().all(|octet| octet.is_ascii_graphic() && octet != b':') {
            return Err(HeaderError::NameInvalid);
        }
        Ok(Self(text.to_owned()))
    }

    /// The name as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Compares without case.
    #[must_use]
    pub fn is(&self, other: &str) -> bool {
        self.0.eq_ignore_ascii_case(other)
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Text for a header field's value: Unicode without line ends or control characters.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct HeaderText(String);

impl HeaderText {
    /// Reads a value of at most 998 octets.
    ///
    /// # Errors
    /// [`HeaderError::Injection`] or [`HeaderError::ValueTooLong`].
    pub fn parse(text: &str) -> Result<Self, HeaderError> {
        if text.chars().any(breaks_lines) {
            return Err(HeaderError::Injection);
        }
        if text.len() > MAX_HEADER_VALUE_OCTETS {
            return Err(HeaderError::ValueTooLong);
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// True for every character that a header, a file name or a tag must not hold: controls and Unicode line ends.
#[must_use]
pub fn breaks_lines(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_ends_a_line_gets_into_a_value() {
        for bad in ["a\r\nBcc: x@y.example", "a\nb", "a\rb", "a\0b", "a\u{2028}b", "a\u{85}b", "a\u{7f}b", "a\tb"] {
            assert_eq!(HeaderText::parse(bad), Err(HeaderError::Injection), "{bad:?}");
        }
        assert!(HeaderText::parse("Grüße, 世界").is_ok());
        assert_eq!(HeaderText::parse(&"x".repeat(999)), Err(HeaderError::ValueTooLong));
    }

    #[test]
    fn names_are_printable_and_short() {
        for (bad, error) in [
            ("", HeaderError::EmptyName),
            ("X Foo", HeaderError::NameInvalid),
            ("X:Foo", HeaderError::NameInvalid),
            ("X-Ü", HeaderError::NameInvalid),
            ("X-A\r\nBcc", HeaderError::Injection),
        ] {
            assert_eq!(HeaderName::parse(bad).err(), Some(error), "{bad:?}");
        }
        assert_eq!(HeaderName::parse(&"x".repeat(80)).err(), Some(HeaderError::NameTooLong));
        assert!(HeaderName::parse("X-Order").is_ok_and(|name| name.is("x-order")));
    }
}
