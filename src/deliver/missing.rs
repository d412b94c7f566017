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
use crate::clock::Tick;
use crate::model::DomainName;
use crate::model::message::Priority;
use crate::net::mx::MxError;
use crate::telemetry::spans;
use tracing::Instrument;

/// Between the first and the second answer at least.
pub const SECOND_LOOK: Duration = Duration::from_mins(10);
/// How long the first answer is remembered: longer than the longest wait between two attempts.
const MEMORY: Duration = Duration::from_hours(6);
/// Domains remembered before the old ones are forgotten.
const MANY: usize = 4_096;

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
    /// The targets of a domain for mail of one priority that takes this way.
    pub(super) async fn targets(&self, domain: &DomainName, priority: Priority, way: &Route) -> Result<Vec<Target>, MxError> {
        let found = self.plan(domain, way).await;
        if way.smart_host.is_some() {
            // It says nothing about the domain.
            return found;
        }
        match found {
            Err(MxError::NoSuchDomain) if priority == Priority::Bulk => {}
            other => return self.note_existence(domain, other),
        }
        match self.belief_in_missing(domain) {
            Belief::Sure => Err(MxError::NoSuchDomain),
            Belief::TooEarly => Err(MxError::Doubtful),
            Belief::LookAgain => {
                // What is kept may be the first answer.
                self.parts.resolver.forget(domain.as_str());
                let again = self.plan(domain, way).await;
                if again == Err(MxError::NoSuchDomain)
                    && let Some(missing) = self.missing.lock().get_mut(domain)
                {
                    missing.confirm();
                }
                self.note_existence(domain, again)
            }
        }
    }

    /// Notes that the DNS says the domain does not exist, and answers what to make of that.
    fn belief_in_missing(&self, domain: &DomainName) -> Belief {
        let now = self.parts.clock.tick();
        let mut all = self.missing.lock();
        if all.len() > MANY {
            all.retain(|_, missing| missing.is_remembered(now));
        }
        let known = all.get(domain).copied().filter(|missing| missing.is_remembered(now)).unwrap_or_else(|| Missing::first(now));
        all.insert(domain.clone(), known);
        known.belief(now)
    }

    /// Forgets that the domain was missing if an answer says that it exists. Answers what it was given.
    fn note_existence<T>(&self, domain: &DomainName, answer: Result<T, MxError>) -> Result<T, MxError> {
        if !matches!(answer, Err(MxError::NoSuchDomain | MxError::Temporary(_))) {
            self.missing.lock().remove(domain);
        }
        answer
    }

    async fn plan(&self, domain: &DomainName, way: &Route) -> Result<Vec<Target>, MxError> {
        let parts = &self.parts;
        let planning =
            Planning { settings: &parts.settings, hostname: &parts.hostname, resolver: &parts.resolver, clock: &parts.clock, own: &self.own, way };
        plan::targets(&planning, domain).instrument(spans::deliver_lookup(domain.as_str())).await
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
