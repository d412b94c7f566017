//! What a message carries besides its content: priority, stream, tags, metadata, times.
//!
//! Does not: hold the content; that is bytes, built by `mail::compose` or given raw.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Which deliveries go first when there is a choice.
#[derive(utoipa::ToSchema, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Sign-in codes, password resets.
    High,
    /// Most mail.
    #[default]
    Normal,
    /// Newsletters.
    Bulk,
}

impl Priority {
    /// As the database keeps it; lower goes first.
    #[must_use]
    pub const fn to_stored(self) -> i16 {
        match self {
            Self::High => 0,
            Self::Normal => 1,
            Self::Bulk => 2,
        }
    }

    /// Reads what [`Self::to_stored`] wrote; unknown numbers are normal.
    #[must_use]
    pub const fn from_stored(number: i16) -> Self {
        match number {
            0 => Self::High,
            2 => Self::Bulk,
            _ => Self::Normal,
        }
    }
}

/// What a message itself wants of TLS (RFC 8689).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TlsNeed {
    /// What the receiving domain publishes and the operator set.
    #[default]
    ByPolicy,
    /// REQUIRETLS: proven TLS to a host that promises the same for its next hop, or no mail.
    Required,
    /// `TLS-Required: No`: to arrive matters more than the receiving domain's policy.
    Waived,
}

impl TlsNeed {
    /// As the flags of the database keep it.
    #[must_use]
    pub const fn to_flags(self) -> i16 {
        match self {
            Self::ByPolicy => 0,
            Self::Required => 4,
            Self::Waived => 8,
        }
    }

    /// Reads what [`Self::to_flags`] wrote, among other flags.
    #[must_use]
    pub const fn from_flags(flags: i16) -> Self {
        match (flags & 4 != 0, flags & 8 != 0) {
            (true, _) => Self::Required,
            (false, true) => Self::Waived,
            (false, false) => Self::ByPolicy,
        }
    }
}

/// Why a text is not a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected 1 to 64 characters from A-Z a-z 0-9 _ - .")]
pub struct LabelError;

/// A short word of the user's: a stream's name, a tag's key. 1 to 64 of `A-Z a-z 0-9 _ - .`
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Label(String);

impl Label {
    /// Reads a label.
    ///
    /// # Errors
    /// [`LabelError`].
    pub fn parse(text: &str) -> Result<Self, LabelError> {
        let fits = (1..=64).contains(&text.len()) && text.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"_-.".contains(&octet));
        if fits { Ok(Self(text.to_owned())) } else { Err(LabelError) }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Label {
    type Err = LabelError;

    fn from_str(text: &str) -> Result<Self, LabelError> {
        Self::parse(text)
    }
}

/// Words to find and count messages by, key to value; keys are labels, values at most 256 characters.
pub type Tags = BTreeMap<String, String>;
