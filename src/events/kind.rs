//! The kinds of events, as the API names them and the database numbers them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What an event tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// Stored; will be delivered.
    Accepted,
    /// An attempt failed for now.
    Deferred,
    /// Taken by the next hop.
    Delivered,
    /// Refused for good.
    Bounced,
    /// Not taken within its time.
    Expired,
    /// Not sent: the address is suppressed.
    Suppressed,
    /// Taken back by the user.
    Cancelled,
    /// The recipient called it spam.
    Complained,
    /// A message from the world was taken by a route.
    Received,
    /// A message from the world was passed on.
    Forwarded,
    /// A domain proved itself: its mail is sent.
    #[serde(rename = "domain.verified")]
    DomainVerified,
    /// The key of a domain is gone from DNS: its mail is refused.
    #[serde(rename = "domain.failed")]
    DomainFailed,
}

impl EventKind {
    /// All kinds.
    pub const ALL: [Self; 12] = [
        Self::Accepted,
        Self::Deferred,
        Self::Delivered,
        Self::Bounced,
        Self::Expired,
        Self::Suppressed,
        Self::Cancelled,
        Self::Complained,
        Self::Received,
        Self::Forwarded,
        Self::DomainVerified,
        Self::DomainFailed,
    ];

    /// As the database keeps it. Numbers are never reused.
    #[must_use]
    pub const fn to_stored(self) -> i16 {
        match self {
            Self::Accepted => 1,
            Self::Deferred => 2,
            Self::Delivered => 3,
            Self::Bounced => 4,
            Self::Expired => 5,
            Self::Suppressed => 6,
            Self::Cancelled => 7,
            Self::Complained => 8,
            // 9 to 19 are for more that happens to messages.
            Self::Received => 12,
            Self::Forwarded => 13,
            Self::DomainVerified => 20,
            Self::DomainFailed => 21,
        }
    }

    /// Reads what [`Self::to_stored`] wrote.
    #[must_use]
    pub fn from_stored(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.to_stored() == number)
    }

    /// As the API names it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Deferred => "deferred",
            Self::Delivered => "delivered",
            Self::Bounced => "bounced",
            Self::Expired => "expired",
            Self::Suppressed => "suppressed",
            Self::Cancelled => "cancelled",
            Self::Complained => "complained",
            Self::Received => "received",
            Self::Forwarded => "forwarded",
            Self::DomainVerified => "domain.verified",
            Self::DomainFailed => "domain.failed",
        }
    }

    /// True if it ends the delivery.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Delivered | Self::Bounced | Self::Expired | Self::Suppressed | Self::Cancelled)
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text names no kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected one of accepted, deferred, delivered, bounced, expired, suppressed, cancelled, complained, received, forwarded, domain.verified, domain.failed"
)]
pub struct UnknownKind;

impl FromStr for EventKind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or(UnknownKind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_lead_back_to_their_kind() {
        for kind in EventKind::ALL {
            assert_eq!(EventKind::from_stored(kind.to_stored()), Some(kind));
            assert_eq!(kind.to_string().parse(), Ok(kind));
            assert_eq!(serde_json::to_value(kind).ok(), Some(kind.name().into()));
        }
    }
}
