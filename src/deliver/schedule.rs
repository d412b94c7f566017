//! When to try again.
//!
//! Pure: the waits come from the configuration, the reason for a longer one from the verdict, the variation from the clock.

use std::time::Duration;

use super::missing::SECOND_LOOK;
use super::verdict::AtLeast;
use crate::clock::Clock;
use crate::config;

/// Before a message is sent again whose outcome is unknown: the first copy may be on its way still (RFC 1047).
const UNKNOWN_WAIT: Duration = Duration::from_mins(30);
/// Where a receiver asks to slow down.
const THROTTLE_WAIT: Duration = Duration::from_mins(10);
/// Longest pause of a site whose hosts cannot be reached.
const MAX_PAUSE: Duration = Duration::from_mins(15);

/// The waits between attempts.
#[derive(Clone, Debug)]
pub struct Schedule {
    waits: Vec<Duration>,
    jitter: f64,
    greylist: Duration,
}

impl Schedule {
    /// As configured.
    #[must_use]
    pub fn new(delivery: &config::Delivery) -> Self {
        Self {
            waits: delivery.retry_seconds.iter().map(|seconds| Duration::from_secs(*seconds)).collect(),
            jitter: delivery.retry_jitter,
            greylist: Duration::from_secs(delivery.greylist_seconds),
        }
    }

    /// The wait after a failed attempt; `before` counts the attempts before it.
    #[must_use]
    pub fn wait(&self, before: u16, at_least: Option<AtLeast>, clock: &Clock) -> Duration {
        let planned = self.waits.get(usize::from(before)).or(self.waits.last()).copied().unwrap_or(Duration::from_hours(1));
        let least = match at_least {
            None => Duration::ZERO,
            Some(AtLeast::Greylisted) => self.greylist,
            Some(AtLeast::Throttled) => THROTTLE_WAIT,
            Some(AtLeast::Unknown) => UNKNOWN_WAIT,
            // A little more, so that it is surely over.
            Some(AtLeast::SecondLook) => SECOND_LOOK + Duration::from_mins(1),
        };
        clock.jitter(planned, self.jitter).max(least)
    }

    /// How long a site rests after `failures` failed tries in a row to open a session to any of its hosts.
    #[must_use]
    pub fn pause(&self, failures: u32, clock: &Clock) -> Duration {
        let first = self.waits.first().copied().unwrap_or(Duration::from_mins(1));
        let doubled = first.saturating_mul(1 << failures.saturating_sub(1).min(10));
        clock.jitter(doubled.min(MAX_PAUSE.max(first)), self.jitter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_as_configured_and_the_last_repeats() {
        let schedule = Schedule { waits: vec![Duration::from_mins(1), Duration::from_mins(5)], jitter: 0.0, greylist: Duration::from_mins(2) };
        let clock = Clock::system();
        let waits: Vec<u64> = (0..4).map(|before| schedule.wait(before, None, &clock).as_secs()).collect();
        assert_eq!(waits, [60, 300, 300, 300]);
        let reasons = [AtLeast::Greylisted, AtLeast::Throttled, AtLeast::Unknown, AtLeast::SecondLook];
        assert_eq!(reasons.map(|reason| schedule.wait(0, Some(reason), &clock).as_secs()), [120, 600, 1800, 660]);
        assert_eq!(schedule.wait(1, Some(AtLeast::Greylisted), &clock).as_secs(), 300, "never sooner than planned");
        let pauses: Vec<u64> = (1..7).map(|failures| schedule.pause(failures, &clock).as_secs()).collect();
        assert_eq!(pauses, [60, 120, 240, 480, 900, 900]);
    }

    #[test]
    fn jitter_stays_within_its_share() {
        let schedule = Schedule { waits: vec![Duration::from_secs(100)], jitter: 0.2, greylist: Duration::ZERO };
        let clock = Clock::system();
        let waits: Vec<f64> = (0..200).map(|_| schedule.wait(0, None, &clock).as_secs_f64()).collect();
        assert!(waits.iter().all(|wait| (80.0..=120.0).contains(wait)));
        assert!(waits.iter().any(|wait| (wait - 100.0).abs() > 1.0), "it varies");
    }
}
