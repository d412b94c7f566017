//! Whether deliveries may be expired and old data dropped now: not while two clocks disagree about what time it is.
//!
//! Answers: nothing is ended by the time as long as this machine's clock and the database's are more than an hour apart, nor for a day
//! after the database's clock jumped by more than an hour. Mail whose end comes meanwhile is tried further.
//! Does not: put any clock right (see `Clock::follow`).

use std::time::Duration;

use parking_lot::Mutex;

use crate::clock::{Bearing, Tick};
use crate::telemetry::metrics;

/// Clocks further apart than this, and jumps longer than this, are not believed.
const TOLERANCE: time::Duration = time::Duration::hours(1);
/// How long a jump of the database's clock keeps deliveries from being expired: time to put it right.
const AFTER_JUMP: Duration = Duration::from_hours(24);

/// Keeps what the heartbeats told of the clocks.
#[derive(Debug, Default)]
pub struct ExpiryGuard {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    apart: bool,
    jumped_until: Option<Tick>,
}

impl State {
    fn permits(&self, now: Tick) -> bool {
        !self.apart && self.jumped_until.is_none_or(|until| until <= now)
    }
}

impl ExpiryGuard {
    /// Takes in what a heartbeat found.
    pub fn observe(&self, bearing: Bearing, now: Tick) {
        let mut state = self.state.lock();
        let before = state.permits(now);
        state.apart = bearing.wall_ahead.abs() > TOLERANCE;
        if bearing.jump.abs() > TOLERANCE {
            state.jumped_until = Some(now.plus(AFTER_JUMP));
            tracing::error!(jump = %bearing.jump, "the database's clock jumped; nothing expires for a day: check the clock of its machine");
        }
        let after = state.permits(now);
        drop(state);
        if before && !after {
            tracing::error!(wall_ahead = %bearing.wall_ahead, "this machine's clock and the database's do not agree; nothing expires until they do");
        } else if after && !before {
            tracing::info!("the clocks agree; deliveries expire again");
        }
        metrics::clock_ahead(bearing.wall_ahead.as_seconds_f64());
        metrics::expiry_paused(!after);
    }

    /// True if what the time ends may be ended.
    #[must_use]
    pub fn permits(&self, now: Tick) -> bool {
        self.state.lock().permits(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    fn bearing(jump: time::Duration, wall_ahead: time::Duration) -> Bearing {
        Bearing { jump, wall_ahead }
    }

    #[test]
    fn nothing_expires_while_two_clocks_disagree() {
        let (guard, now) = (ExpiryGuard::default(), Clock::movable().tick());
        let minutes = time::Duration::minutes;
        assert!(guard.permits(now));
        for (ahead, permitted) in [(59, true), (61, false), (-61, false), (-59, true), (525_600, false), (0, true)] {
            guard.observe(bearing(minutes(0), minutes(ahead)), now);
            assert_eq!(guard.permits(now), permitted, "{ahead} min ahead");
        }
    }

    #[test]
    fn a_jump_of_the_databases_clock_pauses_expiry_for_a_day() {
        for jump in [time::Duration::hours(2), time::Duration::hours(-2)] {
            let (guard, now) = (ExpiryGuard::default(), Clock::movable().tick());
            guard.observe(bearing(time::Duration::minutes(50), time::Duration::ZERO), now);
            assert!(guard.permits(now));
            guard.observe(bearing(jump, time::Duration::ZERO), now);
            guard.observe(bearing(time::Duration::ZERO, time::Duration::ZERO), now);
            assert!(!guard.permits(now.plus(Duration::from_hours(23))), "{jump}");
            assert!(guard.permits(now.plus(Duration::from_hours(24))), "{jump}");
        }
    }
}
