//! What a route does with a message.
//!
//! Answers: the actions, with what each of them needs, and what is wrong with one that is asked for.

use time::OffsetDateTime;

use super::{Pattern, RouteError};
use crate::model::{EmailAddress, WebhookId};
use crate::webhooks::Url;

/// Addresses that a route forwards to, at most.
pub const MAX_TARGETS: usize = 10;
/// Characters of the text of a refusal.
pub const MAX_REPLY_CHARACTERS: usize = 200;
/// What a sender is told where the route says nothing.
pub const REPLY: &str = "this address takes no mail";

/// What is done with what comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Sent on, to those who agreed to it.
    Forward {
        /// One or more.
        targets: Vec<Target>,
    },
    /// Kept, and posted to an endpoint.
    Webhook {
        /// Which.
        webhook: WebhookId,
        /// Its URL, to show.
        url: String,
    },
    /// Kept.
    Store,
    /// Refused.
    Reject {
        /// What the sender is told.
        text: String,
    },
    /// Taken and thrown away.
    Drop,
}

/// Where mail is forwarded to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The address.
    pub address: EmailAddress,
    /// When its owner was last asked; none: not yet.
    pub asked_at: Option<OffsetDateTime>,
    /// When its owner agreed; none: not yet. Nothing is sent there before.
    pub confirmed_at: Option<OffsetDateTime>,
}

/// An action to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NewAction {
    /// To these, when they have agreed.
    Forward(Vec<EmailAddress>),
    /// Posted there.
    Webhook(Url),
    /// Kept.
    Store,
    /// Refused, with this text or [`REPLY`].
    Reject(Option<String>),
    /// Thrown away.
    Drop,
}

impl Action {
    /// As the API and the database name it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Forward { .. } => "forward",
            Self::Webhook { .. } => "webhook",
            Self::Store => "store",
            Self::Reject { .. } => "reject",
            Self::Drop => "drop",
        }
    }
}

impl NewAction {
    /// As [`Action::name`].
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Forward(_) => "forward",
            Self::Webhook(_) => "webhook",
            Self::Store => "store",
            Self::Reject(_) => "reject",
            Self::Drop => "drop",
        }
    }

    /// Whether it can be done for `pattern`.
    pub(super) fn check(&self, pattern: &Pattern) -> Result<(), RouteError> {
        match self {
            Self::Forward(targets) if targets.is_empty() => Err(RouteError::NoTarget),
            Self::Forward(targets) if targets.len() > MAX_TARGETS => Err(RouteError::TooManyTargets),
            Self::Forward(targets) => {
                let twice = |at: usize| targets.iter().take(at).any(|other| Some(other) == targets.get(at));
                match targets.iter().enumerate().find(|(at, target)| pattern.fit(target).is_some() || twice(*at)) {
                    Some((_, target)) if pattern.fit(target).is_some() => Err(RouteError::Circle(target.clone())),
                    Some((_, target)) => Err(RouteError::TargetTwice(target.clone())),
                    None => Ok(()),
                }
            }
            Self::Reject(Some(text)) => {
                let length = text.chars().count();
                let fits =
                    (1..=MAX_REPLY_CHARACTERS).contains(&length) && text.bytes().all(|octet| (b' '..=b'~').contains(&octet)) && text.trim() == text;
                if fits { Ok(()) } else { Err(RouteError::Reply) }
            }
            Self::Webhook(_) | Self::Store | Self::Reject(None) | Self::Drop => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_that_cannot_be_done_is_refused() {
        let pattern = Pattern::parse("*@d.example").unwrap();
        let to = |texts: &[&str]| NewAction::Forward(texts.iter().map(|text| EmailAddress::parse(text).unwrap()).collect());
        let eleven: Vec<String> = (0..11).map(|number| format!("a{number}@e.example")).collect();
        let eleven: Vec<&str> = eleven.iter().map(String::as_str).collect();
        assert!(to(&["a@e.example", "b@e.example"]).check(&pattern).is_ok() && to(&eleven[1..]).check(&pattern).is_ok());
        assert!(matches!(to(&[]).check(&pattern), Err(RouteError::NoTarget)));
        assert!(matches!(to(&eleven).check(&pattern), Err(RouteError::TooManyTargets)));
        assert!(matches!(to(&["a@e.example", "x@d.example"]).check(&pattern), Err(RouteError::Circle(_))));
        assert!(matches!(to(&["a@e.example", "a@e.example"]).check(&pattern), Err(RouteError::TargetTwice(_))));
        for (text, fits) in [
            ("gone; write to b@e.example", true),
            ("", false),
            (" a", false),
            ("a\r\n250 ok", false),
            ("gr\u{fc}n", false),
            (&"x".repeat(201), false),
        ] {
            assert_eq!(NewAction::Reject(Some(text.to_owned())).check(&pattern).is_ok(), fits, "{text:?}");
        }
    }
}
