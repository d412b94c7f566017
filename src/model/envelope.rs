//! The envelope: reverse-path and recipients, which alone decide where a message goes (RFC 5321 2.3.1).
//!
//! Does not: look at header fields.

use std::fmt;

use super::address::EmailAddress;

/// The MAIL FROM address; null (`<>`) for reports that must not be answered by another report (RFC 5321 4.5.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReversePath {
    /// `<>`
    Null,
    /// The address that delivery reports go to.
    Address(EmailAddress),
}

impl ReversePath {
    /// The address, unless null.
    #[must_use]
    pub const fn address(&self) -> Option<&EmailAddress> {
        match self {
            Self::Null => None,
            Self::Address(address) => Some(address),
        }
    }

    /// As the database keeps it: empty for null.
    #[must_use]
    pub fn to_stored(&self) -> String {
        self.address().map(ToString::to_string).unwrap_or_default()
    }

    /// Reads what [`Self::to_stored`] wrote.
    ///
    /// # Errors
    /// The address is not one.
    pub fn from_stored(text: &str) -> Result<Self, super::address::AddressError> {
        if text.is_empty() { Ok(Self::Null) } else { EmailAddress::parse(text).map(Self::Address) }
    }
}

impl fmt::Display for ReversePath {
    /// As it stands in `MAIL FROM:`, with its brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("<>"),
            Self::Address(address) => write!(f, "<{address}>"),
        }
    }
}

/// Reverse-path and recipients. Recipients are distinct and at least one, which `accept` sees to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Where reports go.
    pub reverse_path: ReversePath,
    /// Where the message goes; the place of each is its `rcpt_no`.
    pub recipients: Vec<EmailAddress>,
}
