//! Why mail was not taken: one word for the many ways in which receivers say so.
//!
//! Answers: the classes of failure and what each of them permits. Does not: find the class of a reply; `deliver::class` does.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why mail was not taken, for now or for good.
#[derive(utoipa::ToSchema, Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BounceClass {
    /// Nobody has this address.
    BadMailbox,
    /// The domain does not exist, or takes no mail.
    BadDomain,
    /// The mailbox is there and closed: disabled, suspended, unused for long.
    Inactive,
    /// The mailbox has no room.
    Full,
    /// A rule of the receiver or of its user: who may write, what may be sent, when.
    Policy,
    /// What the receiver thinks of our addresses or domains: block lists, complaints.
    Reputation,
    /// What we lack to be believed: SPF, DKIM, DMARC, reverse DNS, a sender that exists.
    Authentication,
    /// The message itself: taken for spam, a virus, not well-formed.
    Content,
    /// Too much at once, or too early: throttled, greylisted.
    Rate,
    /// No connection, or one that broke; no answer from the DNS.
    Network,
    /// TLS failed, or was demanded and not there.
    Tls,
    /// The message is too large.
    Size,
    /// The host does not take mail for this domain.
    Relay,
    /// Nothing more is known.
    Other,
}

impl BounceClass {
    /// All classes.
    pub const ALL: [Self; 14] = [
        Self::BadMailbox,
        Self::BadDomain,
        Self::Inactive,
        Self::Full,
        Self::Policy,
        Self::Reputation,
        Self::Authentication,
        Self::Content,
        Self::Rate,
        Self::Network,
        Self::Tls,
        Self::Size,
        Self::Relay,
        Self::Other,
    ];

    /// As the API names it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::BadMailbox => "bad_mailbox",
            Self::BadDomain => "bad_domain",
            Self::Inactive => "inactive",
            Self::Full => "full",
            Self::Policy => "policy",
            Self::Reputation => "reputation",
            Self::Authentication => "authentication",
            Self::Content => "content",
            Self::Rate => "rate",
            Self::Network => "network",
            Self::Tls => "tls",
            Self::Size => "size",
            Self::Relay => "relay",
            Self::Other => "other",
        }
    }

    /// True if a refusal for good says that nobody reads mail at the address: only such an address is suppressed by itself. What a
    /// receiver holds against us, the message or the moment says nothing about the address.
    #[must_use]
    pub const fn condemns_address(self) -> bool {
        matches!(self, Self::BadMailbox | Self::Inactive)
    }
}

impl fmt::Display for BounceClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text names no class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected one of {}", BounceClass::ALL.map(BounceClass::name).join(", "))]
pub struct UnknownClass;

impl FromStr for BounceClass {
    type Err = UnknownClass;

    fn from_str(text: &str) -> Result<Self, UnknownClass> {
        Self::ALL.into_iter().find(|class| class.name() == text).ok_or(UnknownClass)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_class() {
        for class in BounceClass::ALL {
            assert_eq!(class.name().parse(), Ok(class));
            assert_eq!(serde_json::to_value(class).ok(), Some(class.name().into()));
        }
        assert!("hard".parse::<BounceClass>().is_err());
    }

    #[test]
    fn only_what_is_wrong_with_the_mailbox_condemns_an_address() {
        let condemning: Vec<_> = BounceClass::ALL.into_iter().filter(|class| class.condemns_address()).collect();
        assert_eq!(condemning, [BounceClass::BadMailbox, BounceClass::Inactive]);
    }
}
