//! Time and randomness: the only place that reads either.
//!
//! Answers: what time it is, when a time has come, a fresh id, a jitter. A clock from [`Clock::movable`] can be moved
//! forward by hand; everything that waits for a time then wakes as if the time had passed. Production clocks cannot be moved.
//! Time in the database is the database's: statements add [`Clock::moved`], which is zero in production (invariant 8).
//! Once [`Clock::follow`] was told the database's time, [`Clock::now`] is that time, carried on by the monotonic clock: then no
//! jump of the machine's wall clock reaches anything, and all nodes of a database agree.

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
    course: Arc<Course>,
}

/// What the wall clock of one machine says, and what is made of it.
#[derive(Debug)]
struct Course {
    /// How far the wall clock was put wrong by hand.
    skewed_us: AtomicI64,
    /// The database's time when the monotonic clock stood at zero; [`UNKNOWN`] before the database was asked.
    origin_us: AtomicI64,
}

const UNKNOWN: i64 = i64::MIN;

impl Course {
    fn new() -> Arc<Self> {
        Arc::new(Self { skewed_us: AtomicI64::new(0), origin_us: AtomicI64::new(UNKNOWN) })
    }
}

/// A reading of the monotonic clock, without what it was moved by hand.
#[derive(Clone, Copy, Debug)]
pub struct Reading(Duration);

/// What [`Clock::follow`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bearing {
    /// How far the database's time went on, or back, beyond what the monotonic clock counted since the last call.
    pub jump: time::Duration,
    /// How far the machine's wall clock is ahead of the database's; negative if it is behind.
    pub wall_ahead: time::Duration,
}

/// The time limit of a call passed before it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("timed out after {} s", .0.as_secs_f32())]
pub struct TimedOut(pub Duration);

/// A point on the monotonic clock, as far as it was moved by hand included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tick(Duration);

impl Tick {
    /// Where the clock began.
    pub const START: Self = Self(Duration::ZERO);

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
        Self { moved_us: Arc::new(AtomicI64::new(0)), changes: None, course: Course::new() }
    }

    /// The system's time plus whatever [`Clock::advance`] adds. For tests and simulations.
    #[must_use]
    pub fn movable() -> Self {
        Self { moved_us: Arc::new(AtomicI64::new(0)), changes: Some(watch::Sender::new(())), course: Course::new() }
    }

    /// The clock of another machine in the same world: moved with this one, its wall clock put wrong for itself.
    #[must_use]
    pub fn of_another_machine(&self) -> Self {
        Self { course: Course::new(), ..self.clone() }
    }

    /// Puts the wall clock of a movable clock wrong, `by` ahead of what is right. A system clock stays.
    pub fn skew(&self, by: time::Duration) {
        if self.changes.is_some() {
            self.course.skewed_us.store(microseconds(by), Ordering::SeqCst);
        }
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

    /// The time, UTC: the database's once it is followed, before that the machine's.
    #[must_use]
    pub fn now(&self) -> OffsetDateTime {
        let unmoved = match self.course.origin_us.load(Ordering::SeqCst) {
            UNKNOWN => self.wall(),
            origin => at_microseconds(origin).saturating_add(signed(self.reading().0)),
        };
        unmoved.saturating_add(signed(self.moved()))
    }

    /// The machine's wall clock, not moved by hand.
    #[expect(clippy::disallowed_methods, reason = "this is the place that reads the time")]
    fn wall(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc().saturating_add(time::Duration::microseconds(self.course.skewed_us.load(Ordering::SeqCst)))
    }

    /// The monotonic clock: for durations and deadlines inside the process.
    #[must_use]
    pub fn tick(&self) -> Tick {
        Tick(self.reading().0.saturating_add(self.moved()))
    }

    /// The monotonic clock as it is: taken before the database is asked for its time, for [`Clock::follow`].
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the place that reads the time")]
    pub fn reading(&self) -> Reading {
        static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
        Reading(START.elapsed())
    }

    /// Goes by the database's time from now on, which was `database` at some moment after `asked`. As long as that can be, the
    /// course is kept; so answers that took long do not make the time go to and fro.
    pub fn follow(&self, asked: Reading, database: OffsetDateTime) -> Bearing {
        let (answered, wall) = (self.reading(), self.wall());
        let origin_at = |reading: Reading| microseconds(database - OffsetDateTime::UNIX_EPOCH - signed(reading.0));
        let (least, most) = (origin_at(answered), origin_at(asked).max(origin_at(answered)));
        let before = self.course.origin_us.load(Ordering::SeqCst);
        let origin = if before == UNKNOWN { least.midpoint(most) } else { before.clamp(least, most) };
        self.course.origin_us.store(origin, Ordering::SeqCst);
        let jump = if before == UNKNOWN { 0 } else { origin.saturating_sub(before) };
        let now = at_microseconds(origin).saturating_add(signed(answered.0));
        Bearing { jump: time::Duration::microseconds(jump), wall_ahead: wall - now }
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

fn signed(duration: Duration) -> time::Duration {
    time::Duration::try_from(duration).unwrap_or(time::Duration::MAX)
}

fn microseconds(duration: time::Duration) -> i64 {
    i64::try_from(duration.whole_microseconds()).unwrap_or(i64::MAX)
}

fn at_microseconds(since_epoch: i64) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH.saturating_add(time::Duration::microseconds(since_epoch))
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
    fn the_time_is_the_databases_whatever_the_wall_clock_says() {
        let clock = Clock::movable();
        let other = clock.of_another_machine();
        other.skew(time::Duration::days(365));
        assert!(other.now() - clock.now() > time::Duration::days(364), "nobody told it better");
        let bearing = other.follow(other.reading(), clock.now());
        assert!(bearing.wall_ahead > time::Duration::days(364) && bearing.jump.is_zero());
        for (skew, moved) in [(time::Duration::hours(-2), 0), (time::Duration::days(900), 3_600)] {
            other.skew(skew);
            clock.advance(Duration::from_secs(moved));
            assert!((other.now() - clock.now()).abs() < time::Duration::seconds(1), "{skew}");
        }
        let asked = other.reading();
        let unmoved = clock.now() - clock.moved();
        assert!(other.follow(asked, unmoved).jump.abs() < time::Duration::seconds(1), "moved by hand is no jump");
        let bearing = other.follow(other.reading(), unmoved + time::Duration::hours(5));
        assert!((bearing.jump - time::Duration::hours(5)).abs() < time::Duration::seconds(1));
        assert!((other.now() - clock.now() - time::Duration::hours(5)).abs() < time::Duration::seconds(1));
    }

    #[test]
    fn an_answer_that_took_long_does_not_change_the_course() {
        let clock = Clock::movable();
        let _first = clock.follow(clock.reading(), clock.now());
        let long_ago = Reading(Duration::ZERO);
        let bearing = clock.follow(long_ago, clock.now() - Duration::from_nanos(1));
        assert!(bearing.jump.abs() < time::Duration::milliseconds(1), "{bearing:?}");
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
