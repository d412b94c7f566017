//! What becomes of a domain after a check.
//!
//! Answers: the next state, as a pure function. A pending domain is verified by one sight of its key. A verified one fails only
//! when two checks at least [`PATIENCE`] apart find it gone: a zone that is missing for a moment must not stop the mail.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::check::Proof;

/// How long the proof must be gone before a verified domain fails.
pub(super) const PATIENCE: Duration = Duration::from_mins(10);

/// Where a domain stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DomainState {
    /// Its key was not seen in DNS yet.
    Pending,
    /// Its key stands in DNS.
    Verified,
    /// Its key stood in DNS and is gone.
    Failed,
}

impl DomainState {
    /// As the database and the API write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Verified => "verified",
            Self::Failed => "failed",
        }
    }

    pub(super) fn from_stored(text: &str) -> Option<Self> {
        [Self::Pending, Self::Verified, Self::Failed].into_iter().find(|state| state.as_str() == text)
    }
}

/// State and the start of a run of checks that found the proof gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) state: DomainState,
    pub(super) failing_since: Option<OffsetDateTime>,
}

/// The standing after a check at `now`.
pub(super) fn after(before: Standing, proof: Proof, now: OffsetDateTime) -> Standing {
    match (before.state, proof) {
        (_, Proof::Seen) => Standing { state: DomainState::Verified, failing_since: None },
        (DomainState::Verified, Proof::Gone) => {
            let since = before.failing_since.unwrap_or(now);
            let state = if now - since >= PATIENCE { DomainState::Failed } else { DomainState::Verified };
            Standing { state, failing_since: Some(since) }
        }
        (DomainState::Pending | DomainState::Failed, Proof::Gone) | (_, Proof::Unknown) => before,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_missing_answer_does_not_stop_a_verified_domain_and_two_do() {
        let start = OffsetDateTime::UNIX_EPOCH;
        let verified = Standing { state: DomainState::Verified, failing_since: None };
        let doubted = after(verified, Proof::Gone, start);
        assert_eq!(doubted, Standing { state: DomainState::Verified, failing_since: Some(start) });
        assert_eq!(after(doubted, Proof::Gone, start + PATIENCE - Duration::from_secs(1)).state, DomainState::Verified);
        assert_eq!(after(doubted, Proof::Gone, start + PATIENCE).state, DomainState::Failed);
        assert_eq!(after(doubted, Proof::Seen, start + PATIENCE), verified);
        assert_eq!(after(doubted, Proof::Unknown, start + PATIENCE), doubted);
    }

    #[test]
    fn only_the_key_verifies() {
        let now = OffsetDateTime::UNIX_EPOCH;
        for state in [DomainState::Pending, DomainState::Failed] {
            let before = Standing { state, failing_since: None };
            assert_eq!(after(before, Proof::Gone, now), before);
            assert_eq!(after(before, Proof::Unknown, now), before);
            assert_eq!(after(before, Proof::Seen, now).state, DomainState::Verified);
        }
    }
}
