//! A domain of which the DNS says that it does not exist: when that is believed.
//!
//! Answers: at once for mail whose sender waits to hear of a mistyped address; for mass mail (priority `bulk`) only when a second,
//! live answer says the same at least [`SECOND_LOOK`] after the first. A wrong answer, as a zone gives that is being moved or a registrar
//! that made a mistake, would else cost a whole list its addresses in a minute.
//! Does not: outlive the process or reach other nodes: there the first look is a first look again.

use std::time::Duration;

use super::egress::Route;
use super::engine::Engine;
use super::plan::{self, Planning, Target};
use super::site::Site;
use crate::clock::Tick;
use crate::model::message::Priority;
use crate::net::mx::MxError;
use crate::telemetry::spans;
use tracing::Instrument;

/// Between the first and the second answer at least.
pub const SECOND_LOOK: Duration = Duration::from_mins(10);
/// How long the first answer is remembered: longer than the longest wait between two attempts.
const MEMORY: Duration = Duration::from_hours(6);

/// What is known of a domain that does not exist.
#[derive(Clone, Copy, Debug)]
pub struct Missing {
    since: Tick,
    sure: bool,
}

/// What to make of an answer that says the domain does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Belief {
    /// It was heard less than [`SECOND_LOOK`] ago for the first time.
    TooEarly,
    /// It is time to ask the DNS itself again.
    LookAgain,
    /// The second look said so too.
    Sure,
}

impl Missing {
    /// The first answer.
    #[must_use]
    pub const fn first(now: Tick) -> Self {
        Self { since: now, sure: false }
    }

    /// The second answer, the same as the first.
    pub const fn confirm(&mut self) {
        self.sure = true;
    }

    /// What another such answer means.
    #[must_use]
    pub fn belief(&self, now: Tick) -> Belief {
        match self.sure {
            true => Belief::Sure,
            false if now.since(self.since) < SECOND_LOOK => Belief::TooEarly,
            false => Belief::LookAgain,
        }
    }

    /// True if it is of use still.
    #[must_use]
    pub fn is_remembered(&self, now: Tick) -> bool {
        self.since.plus(MEMORY) > now
    }
}

impl Engine {
    /// The targets of a site's domain for mail of one priority that leaves by `way`.
    pub(super) async fn targets(&self, site: &Site, priority: Priority, way: &Route) -> Result<Vec<Target>, MxError> {
        let found = self.plan(site, way).await;
        let clock = &self.parts.clock;
        match found {
            Err(MxError::NoSuchDomain) if priority == Priority::Bulk => {}
            other => return site.note_existence(other),
        }
        match site.belief_in_missing(clock.tick()) {
            Belief::Sure => Err(MxError::NoSuchDomain),
            Belief::TooEarly => Err(MxError::Doubtful),
            Belief::LookAgain => {
                // What is kept may be the first answer.
                self.parts.resolver.forget(site.domain.as_str());
                let again = self.plan(site, way).await;
                if again == Err(MxError::NoSuchDomain) {
                    site.confirm_missing();
                }
                site.note_existence(again)
            }
        }
    }

    async fn plan(&self, site: &Site, way: &Route) -> Result<Vec<Target>, MxError> {
        let parts = &self.parts;
        let planning =
            Planning { settings: &parts.settings, hostname: &parts.hostname, resolver: &parts.resolver, clock: &parts.clock, own: &self.own, way };
        plan::targets(&planning, &site.domain).instrument(spans::deliver_lookup(site.domain.as_str())).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn a_missing_domain_is_believed_at_the_second_look_and_forgotten_after_hours() {
        let now = Clock::movable().tick();
        let mut missing = Missing::first(now);
        assert_eq!(missing.belief(now), Belief::TooEarly);
        assert_eq!(missing.belief(now.plus(Duration::from_secs(599))), Belief::TooEarly);
        assert_eq!(missing.belief(now.plus(SECOND_LOOK)), Belief::LookAgain);
        missing.confirm();
        assert_eq!(missing.belief(now), Belief::Sure);
        assert!(missing.is_remembered(now.plus(Duration::from_hours(5))) && !missing.is_remembered(now.plus(Duration::from_hours(6))));
    }
}
