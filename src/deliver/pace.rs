//! Pacing: messages spread evenly over time, and counted over the last minute.
//!
//! Pure; the generic cell rate algorithm (ITU-T I.371) and a window of ten-second counts.

use std::time::Duration;

use crate::clock::Tick;

/// Messages that come within this time may go together.
const BURST: Duration = Duration::from_secs(1);
const SLOTS: usize = 6;
const SLOT: Duration = Duration::from_secs(10);

/// When the next message may go.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    due: Option<Tick>,
}

impl Pace {
    /// Takes the right to send one message at `rate` a minute.
    ///
    /// # Errors
    /// The time from which on it may be sent.
    pub fn take(&mut self, rate: f64, now: Tick) -> Result<(), Tick> {
        if let Some(at) = self.next(rate, now) {
            return Err(at);
        }
        self.due = Some(self.due.map_or(now, |due| due.max(now)).plus(interval(rate)));
        Ok(())
    }

    /// Gives a right back that was not used.
    pub fn give_back(&mut self, rate: f64) {
        self.due = self.due.map(|due| Tick::START.plus(due.since(Tick::START).saturating_sub(interval(rate))));
    }

    /// When a message may be sent; none: now.
    #[must_use]
    pub fn next(&self, rate: f64, now: Tick) -> Option<Tick> {
        let due = self.due?;
        let ahead = due.since(now);
        // A slower rate than the one the last message went at may not lengthen the wait beyond its own interval.
        let ahead = ahead.min(interval(rate).max(BURST));
        let tolerated = BURST.saturating_sub(interval(rate));
        ahead.checked_sub(tolerated).filter(|wait| !wait.is_zero()).map(|wait| now.plus(wait))
    }
}

fn interval(rate: f64) -> Duration {
    Duration::from_secs_f64(60.0 / rate.clamp(0.01, 1e9))
}

/// Messages of the last minute.
#[derive(Clone, Debug, Default)]
pub struct Window {
    slots: [u32; SLOTS],
    newest: Option<Tick>,
}

impl Window {
    /// Counts one.
    pub fn count(&mut self, now: Tick) {
        self.turn(now);
        if let Some(slot) = self.slots.first_mut() {
            *slot = slot.saturating_add(1);
        }
    }

    /// Messages a minute, as of the last minute.
    #[must_use]
    pub fn per_minute(&mut self, now: Tick) -> f64 {
        self.turn(now);
        self.slots.iter().copied().map(f64::from).sum()
    }

    fn turn(&mut self, now: Tick) {
        let newest = *self.newest.get_or_insert(now);
        let passed = now.since(newest).as_nanos() / SLOT.as_nanos();
        if passed == 0 {
            return;
        }
        let steps = usize::try_from(passed).unwrap_or(SLOTS).min(SLOTS);
        self.slots.rotate_right(steps);
        self.slots.iter_mut().take(steps).for_each(|slot| *slot = 0);
        self.newest = Some(newest.plus(SLOT.saturating_mul(u32::try_from(passed).unwrap_or(u32::MAX))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn messages_are_spread_evenly() {
        for (rate, seconds, expected) in [(60.0, 120, 120), (6_000.0, 10, 1_000), (6.0, 60, 6), (0.5, 600, 5)] {
            let (start, mut pace, mut sent) = (Clock::system().tick(), Pace::default(), 0);
            let mut now = start;
            while now.since(start) < Duration::from_secs(seconds) {
                match pace.take(rate, now) {
                    Ok(()) => sent += 1,
                    Err(at) => {
                        assert!(at > now, "no spinning");
                        now = at;
                    }
                }
            }
            assert!((expected..=expected + expected / 8 + 1).contains(&sent), "{sent} at {rate}");
        }
    }

    #[test]
    fn a_right_that_was_not_used_can_be_given_back() {
        let (now, mut pace) = (Clock::system().tick(), Pace::default());
        assert_eq!(pace.take(1.0, now), Ok(()));
        assert!(pace.take(1.0, now).is_err());
        pace.give_back(1.0);
        assert_eq!(pace.take(1.0, now), Ok(()));
    }

    #[test]
    fn the_window_is_the_last_minute() {
        let (start, mut window) = (Clock::system().tick(), Window::default());
        (0..120).for_each(|second| window.count(start.plus(Duration::from_secs(second))));
        let rate = window.per_minute(start.plus(Duration::from_secs(119)));
        assert!((50.0..=60.0).contains(&rate), "{rate}");
        assert!(window.per_minute(start.plus(Duration::from_mins(5))) < 0.5);
    }
}
