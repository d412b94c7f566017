//! Time and randomness: the only place that reads either.
//!
//! Answers: what time it is, when a time has come, a fresh id, a jitter. A clock from [`Clock::movable`] can be moved
//! forward by hand; everything that waits for a time then wakes as if the time had passed. Production clocks cannot be moved.
//! Time in the database is the database's: statements add [`Clock::moved`], which is zero in production (invariant 8).

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use rand::RngExt;
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;

/// Hands out time and randomness. Cheap to clone; clones share what they were moved by.
#[derive(Clone, Debug)]
pub struct Clock {
    moved_us: Arc<AtomicI64>,
    changes: Option<watch::Sender<()>>,
}

/// The time limit of a call passed before it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("timed out after {} s", .0.as_secs_f32())]
pub struct TimedOut(pub Duration);

/// A point on the monotonic clock, as far as it was moved by hand included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tick(Duration);

impl Tick {
    /// This point and a while.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }

    /// How long after `earlier` this point lies; zero if it does not.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Clock {
    /// The system's time.
    #[must_use]
    pub fn system() -> Self {
        Self { moved_us: Arc::new(AtomicI64::new(0)), changes: None }
    }

    /// The system's time plus whatever [`Clock::advance`] adds. For tests and simulations.
    #[must_use]
    pub fn movable() -> Self {
        Self { moved_us: Arc::new(AtomicI64::new(0)), changes: Some(watch::Sender::new(())) }
    }

    /// Moves a movable clock forward and wakes who waited for it; a system clock stays.
    pub fn advance(&self, by: Duration) {
        if let Some(changes) = &self.changes {
            self.moved_us.fetch_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX), Ordering::SeqCst);
            changes.send_replace(());
        }
    }

    /// How far the clock was moved by hand: zero in production.
    #[must_use]
    pub fn moved(&self) -> Duration {
        Duration::from_micros(u64::try_from(self.moved_us.load(Ordering::SeqCst)).unwrap_or(0))
    }

    /// The wall clock, UTC.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the place that reads the time")]
    pub fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc().saturating_add(time::Duration::try_from(self.moved()).unwrap_or(time::Duration::ZERO))
    }

    /// The monotonic clock: for durations and deadlines inside the process.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the place that reads the time")]
    pub fn tick(&self) -> Tick {
        static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
        Tick(START.elapsed().saturating_add(self.moved()))
    }

    /// Waits until `deadline`.
    #[expect(clippy::disallowed_methods, reason = "this is the place that waits")]
    pub async fn sleep_until(&self, deadline: Tick) {
        loop {
            let left = deadline.since(self.tick());
            if left.is_zero() {
                return;
            }
            match &self.changes {
                None => tokio::time::sleep(left).await,
                Some(changes) => {
                    let mut moves = changes.subscribe();
                    // Read again: a move between the first look and the subscription must not be missed.
                    let left = deadline.since(self.tick());
                    tokio::select! {
                        () = tokio::time::sleep(left) => {}
                        _ = moves.changed() => {}
                    }
                }
            }
        }
    }

    /// Waits for `duration`.
    pub async fn sleep(&self, duration: Duration) {
        self.sleep_until(self.tick().plus(duration)).await;
    }

    /// Runs `call` for at most `limit`.
    ///
    /// # Errors
    /// [`TimedOut`] if it did not end in time.
    pub async fn timeout<F: Future>(&self, limit: Duration, call: F) -> Result<F::Output, TimedOut> {
        let deadline = self.tick().plus(limit);
        tokio::select! {
            biased;
            output = call => Ok(output),
            () = self.sleep_until(deadline) => Err(TimedOut(limit)),
        }
    }

    /// A fresh UUIDv7 (RFC 9562 5.7): 48 bits of time, 74 random bits.
    #[must_use]
    pub fn uuid(&self) -> Uuid {
        let millis = u64::try_from(self.now().unix_timestamp_nanos() / 1_000_000).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(millis, &self.random()).into_uuid()
    }

    /// Random octets, from a generator fit for secrets.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the place that reads randomness")]
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut octets = [0_u8; N];
        rand::rng().fill(&mut octets[..]);
        octets
    }

    /// A number from 0 to `below - 1`; zero if `below` is.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the place that reads randomness")]
    pub fn pick(&self, below: usize) -> usize {
        if below == 0 { 0 } else { rand::rng().random_range(0..below) }
    }

    /// `duration` times a random factor between `1 - share` and `1 + share`; `share` is 0 to 1.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the place that reads randomness")]
    pub fn jitter(&self, duration: Duration, share: f64) -> Duration {
        let share = share.clamp(0.0, 1.0);
        duration.mul_f64(1.0 - share + 2.0 * share * rand::rng().random::<f64>())
    }
}

/// The time a UUIDv7 carries.
#[must_use]
pub fn time_of(id: Uuid) -> OffsetDateTime {
    let millis = i128::try_from(id.as_u128() >> 80).unwrap_or(0);
    OffsetDateTime::from_unix_timestamp_nanos(millis * 1_000_000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// The least UUIDv7 that carries the time `at`.
#[must_use]
pub fn first_id_at(at: OffsetDateTime) -> Uuid {
    let millis = u128::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or(0);
    Uuid::from_u128(millis << 80)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_moved_clock_wakes_who_waits_for_it() {
        let clock = Clock::movable();
        let waiter = {
            let clock = clock.clone();
            async move { clock.sleep(Duration::from_hours(24)).await }
        };
        let mover = {
            let clock = clock.clone();
            async move {
                tokio::task::yield_now().await;
                clock.advance(Duration::from_hours(25));
            }
        };
        tokio::join!(waiter, mover);
        assert!(clock.moved() >= Duration::from_hours(24));
    }

    #[tokio::test]
    async fn a_call_that_takes_too_long_is_cut_off() {
        let clock = Clock::movable();
        let call = clock.timeout(Duration::from_mins(5), std::future::pending::<()>());
        let (result, ()) = tokio::join!(call, async {
            clock.advance(Duration::from_mins(5));
        });
        assert_eq!(result, Err(TimedOut(Duration::from_mins(5))));
    }

    #[test]
    fn ids_carry_their_time() {
        let clock = Clock::system();
        let age = clock.now() - time_of(clock.uuid());
        assert!(age < time::Duration::seconds(5) && age > time::Duration::seconds(-1));
        Clock::system().advance(Duration::from_mins(1));
        assert_eq!(Clock::system().moved(), Duration::ZERO);
    }
}
