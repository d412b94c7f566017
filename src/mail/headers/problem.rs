//! What can be wrong with a message given as it shall leave, in words for who wrote it.
//!
//! Answers: the fault, the field it is in, the line it is on, and the rule. Does not: look for faults; `check` does.

use std::fmt;

use crate::mail::lines::MAX_LINE_OCTETS;
use crate::model::address::AddressError;

/// Octets of a header block.
pub const MAX_HEADER_OCTETS: usize = 256 * 1024;
/// Fields of a header block.
pub const MAX_FIELDS: usize = 1000;
/// Multiparts and messages inside each other.
pub const MAX_NESTING: usize = 20;
/// Parts of a message on all levels.
pub const MAX_PARTS: usize = 1000;

/// One reason why a message is not accepted as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawProblem {
    /// What is wrong.
    pub fault: RawFault,
    /// The field it is about.
    pub field: Option<String>,
    /// The line it is on, from 1.
    pub line: Option<usize>,
}

/// What is wrong with a message. The sections are those of RFC 5322 where no other RFC is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RawFault {
    /// No octets, or nothing but a body.
    NoHeader,
    /// A CR without LF or an LF without CR (2.3; RFC 5321 2.3.8).
    BareLineEnd,
    /// A NUL (4).
    Nul,
    /// A line over 998 octets (2.1.1).
    LongLine,
    /// The header block has over 256 KiB.
    HeaderTooLong,
    /// Over 1,000 fields.
    TooManyFields,
    /// A line that is neither a field nor folded onto one (2.2).
    NotAField,
    /// A space between the name and the colon (4.5.8 as opposed to 3.6.8).
    SpaceBeforeColon,
    /// A name with a character no name has (2.2).
    BadName,
    /// A folded line of white space alone (3.2.2).
    BlankFold,
    /// A control character in a value (2.2).
    Control,
    /// Octets beyond ASCII that are not UTF-8 (RFC 6532 3.2).
    NotUtf8,
    /// A field that must be there is not (3.6).
    Missing,
    /// A field that may stand once stands twice (3.6).
    Duplicate,
    /// From is not one mailbox (3.6.2 allows several; one author is asked for here).
    From(AddressError),
    /// Sender is not one mailbox (3.6.2).
    Sender(AddressError),
    /// Date is not a date-time (3.3).
    Date,
    /// Message-ID is not one `<id>` (3.6.4).
    MessageId,
    /// Parts inside parts over the limit, or too many of them.
    Nesting,
}

impl RawFault {
    /// A stable name for programs.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NoHeader => "no-header",
            Self::BareLineEnd => "bare-line-end",
            Self::Nul => "nul",
            Self::LongLine => "line-too-long",
            Self::HeaderTooLong => "header-too-long",
            Self::TooManyFields => "too-many-fields",
            Self::NotAField => "not-a-field",
            Self::SpaceBeforeColon => "space-before-colon",
            Self::BadName => "bad-field-name",
            Self::BlankFold => "blank-folded-line",
            Self::Control => "control-character",
            Self::NotUtf8 => "not-utf8",
            Self::Missing => "missing-field",
            Self::Duplicate => "duplicate-field",
            Self::From(_) => "bad-from",
            Self::Sender(_) => "bad-sender",
            Self::Date => "bad-date",
            Self::MessageId => "bad-message-id",
            Self::Nesting => "nested-too-deeply",
        }
    }
}

impl fmt::Display for RawFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHeader => f.write_str("the message has no header; it begins with fields like From: and an empty line ends them"),
            Self::BareLineEnd => f.write_str("a CR or LF stands alone; every line must end in CRLF"),
            Self::Nul => f.write_str("a NUL is not allowed; encode binary content as base64"),
            Self::LongLine => write!(f, "the line is longer than {MAX_LINE_OCTETS} octets"),
            Self::HeaderTooLong => write!(f, "the header is longer than {MAX_HEADER_OCTETS} octets"),
            Self::TooManyFields => write!(f, "the header has more than {MAX_FIELDS} fields"),
            Self::NotAField => f.write_str("the line is not a header field; one has the form Name: value"),
            Self::SpaceBeforeColon => f.write_str("a space stands before the colon"),
            Self::BadName => f.write_str("the field name holds a character other than printable ASCII"),
            Self::BlankFold => f.write_str("a folded line holds white space alone"),
            Self::Control => f.write_str("the value holds a control character"),
            Self::NotUtf8 => f.write_str("the header is neither ASCII nor UTF-8"),
            Self::Missing => f.write_str("the field is missing"),
            Self::Duplicate => f.write_str("the field stands more than once"),
            Self::From(error) | Self::Sender(error) => write!(f, "expected one mailbox: {error}"),
            Self::Date => f.write_str("the value is not a date like Sun, 1 Nov 2026 09:00:00 +0000"),
            Self::MessageId => f.write_str("the value is not one id in angle brackets"),
            Self::Nesting => write!(f, "the message has more than {MAX_NESTING} levels or {MAX_PARTS} parts"),
        }
    }
}

impl fmt::Display for RawProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if let Some(field) = &self.field {
            write!(f, "{field}: ")?;
        }
        self.fault.fmt(f)
    }
}
