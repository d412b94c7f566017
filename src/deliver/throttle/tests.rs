//! The throttle, one answer at a time. How it does over hours is measured in `deliver::simulation`.

use super::*;
use crate::clock::Clock;

const LIMITS: Limits = Limits {
    connections: 20,
    messages_per_connection: 100,
    messages_per_minute: None,
    recipients_per_transaction: 100,
    idle: Duration::from_secs(5),
};

/// A throttle with a clock.
struct Bench {
    throttle: Throttle,
    now: Tick,
}

impl Bench {
    fn new() -> Self {
        Self { throttle: Throttle::new(LIMITS), now: Clock::system().tick() }
    }

    fn pass(&mut self, seconds: u64) {
        self.now = self.now.plus(Duration::from_secs(seconds));
    }

    fn succeed(&mut self, open: usize, times: usize) {
        (0..times).for_each(|_| self.throttle.succeeded(open, 1, self.now));
    }

    fn refuse(&mut self, signal: Signal, open: usize) -> bool {
        self.throttle.refused(signal, open, 1, self.now, "451 a reply")
    }

    fn sessions(&self) -> usize {
        self.throttle.allowance().sessions
    }

    fn rate(&self) -> f64 {
        self.throttle.allowance().per_minute.unwrap_or(f64::INFINITY)
    }

    /// Seconds of pause from now.
    fn pause(&self) -> u64 {
        self.throttle.paused_until(self.now).map_or(0, |until| until.since(self.now).as_secs())
    }

    /// Sends `rate` messages a minute for some minutes.
    fn send(&mut self, rate: u64, minutes: u64) {
        for _ in 0..rate * minutes {
            self.now = self.now.plus(Duration::from_secs_f64(60.0 / f64::from(u32::try_from(rate).unwrap())));
            self.throttle.succeeded(20, 1, self.now);
        }
    }
}

#[test]
fn a_new_site_gets_a_few_sessions_and_soon_all() {
    let mut bench = Bench::new();
    assert_eq!((bench.sessions(), bench.rate(), bench.throttle.is_slowed()), (5, f64::INFINITY, false));
    bench.succeed(5, 15);
    assert_eq!(bench.sessions(), 20);
    bench.succeed(20, 100);
    assert_eq!(bench.sessions(), 20, "never beyond the limit");
    let two = Throttle::new(Limits { connections: 2, ..LIMITS });
    assert_eq!(two.allowance().sessions, 2);
}

#[test]
fn who_takes_no_further_session_is_left_with_those_he_took_and_asked_less_and_less_often() {
    let mut bench = Bench::new();
    bench.succeed(5, 15);
    assert!(bench.refuse(Signal::TooManySessions, 4));
    assert_eq!((bench.sessions(), bench.pause()), (4, 0), "those go on");
    bench.succeed(4, 50);
    assert_eq!(bench.sessions(), 4, "not at once");
    for wait in [60, 120, 240] {
        bench.pass(wait - 1);
        bench.succeed(4, 1);
        assert_eq!(bench.sessions(), 4);
        bench.pass(1);
        bench.succeed(4, 1);
        assert_eq!(bench.sessions(), 5, "one more is tried");
        bench.refuse(Signal::TooManySessions, 4);
        assert_eq!(bench.sessions(), 4);
    }
}

#[test]
fn sessions_that_open_in_the_same_rush_tell_how_many_there_may_be() {
    let mut bench = Bench::new();
    bench.refuse(Signal::TooManySessions, 0);
    assert_eq!(bench.sessions(), 1);
    (1..=4).for_each(|open| bench.throttle.opened(open, 1, bench.now));
    bench.refuse(Signal::TooManySessions, 4);
    assert_eq!(bench.sessions(), 4);
    bench.pass(11);
    bench.throttle.opened(9, 1, bench.now);
    assert_eq!(bench.sessions(), 4, "not later");
}

#[test]
fn who_finds_us_too_fast_is_paced_below_what_he_took() {
    let mut bench = Bench::new();
    bench.send(100, 2);
    assert!(bench.refuse(Signal::TooFast, 5));
    assert!(!bench.refuse(Signal::TooFast, 5), "the others of the same moment change nothing");
    assert_eq!(bench.pause(), 60);
    assert!((60.0..=72.0).contains(&bench.rate()), "{}", bench.rate());
    bench.pass(60);
    let mut last = bench.rate();
    for _ in 0..10 {
        let rate = bench.rate();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate of a test")]
        bench.send(rate as u64, 1);
        assert!(bench.rate() > last, "step by step");
        last = bench.rate();
    }
    assert!((95.0..=103.0).contains(&last), "{last}: about the knee");
    for _ in 0..60 {
        bench.send(500, 1);
    }
    assert!(bench.rate().is_infinite() && !bench.throttle.is_slowed(), "a limit that is gone is forgotten: {}", bench.rate());
}

#[test]
fn sending_little_proves_nothing() {
    let mut bench = Bench::new();
    bench.send(100, 2);
    bench.refuse(Signal::TooFast, 5);
    let before = bench.rate();
    bench.pass(60);
    bench.send(2, 120);
    assert!((bench.rate() - before).abs() < 1.0, "{} {before}", bench.rate());
}

#[test]
fn pauses_grow_while_nothing_is_taken_and_begin_anew_when_something_was() {
    for (signal, pauses) in
        [(Signal::TooFast, [60, 60, 120, 240]), (Signal::Unusual, [600, 1_200, 2_400, 3_600]), (Signal::Blocked, [60, 120, 240, 480])]
    {
        let mut bench = Bench::new();
        for pause in pauses {
            assert!(bench.refuse(signal, 0));
            assert_eq!(bench.pause(), pause, "{signal:?}");
            bench.pass(pause);
        }
        bench.succeed(1, 1);
        bench.refuse(signal, 0);
        assert!(bench.pause() <= pauses[0], "{signal:?}");
    }
}

// Gmail, 4.7.28.
#[test]
fn who_found_us_unusual_gets_one_session_after_ten_minutes_and_one_more_at_a_time() {
    let mut bench = Bench::new();
    bench.succeed(5, 100);
    assert!(bench.refuse(Signal::Unusual, 19));
    assert_eq!((bench.pause(), bench.sessions()), (600, 1));
    bench.succeed(19, 5);
    assert_eq!(bench.sessions(), 1, "what was on its way proves nothing");
    bench.pass(600);
    bench.succeed(1, 1);
    assert_eq!(bench.sessions(), 2);
    bench.succeed(2, 20);
    assert_eq!(bench.sessions(), 2);
    bench.pass(60);
    bench.succeed(2, 1);
    assert_eq!(bench.sessions(), 3);
}

#[test]
fn sessions_that_break_off_make_fewer_and_no_pause() {
    let mut bench = Bench::new();
    bench.succeed(5, 15);
    assert!(bench.refuse(Signal::Strained, 19));
    assert!(!bench.refuse(Signal::Strained, 18), "once a second");
    assert_eq!((bench.sessions(), bench.pause()), (15, 0));
    for _ in 0..20 {
        bench.pass(2);
        bench.refuse(Signal::Strained, bench.sessions() - 1);
    }
    assert_eq!(bench.sessions(), 1, "one is always left");
    for _ in 0..40 {
        bench.pass(15);
        bench.succeed(bench.sessions(), 1);
    }
    assert_eq!((bench.sessions(), bench.throttle.is_slowed()), (20, false));
}

#[test]
fn hosts_that_cannot_be_reached_rest_and_others_of_the_site_do_not() {
    let mut bench = Bench::new();
    let (dead, well): (Arc<str>, Arc<str>) = ("mx.dead.example".into(), "mx.well.example".into());
    for failures in 1..=3 {
        let until = bench.throttle.unreachable(&dead, "connection refused", bench.now, |failures| Duration::from_secs(60 << failures));
        assert_eq!(until.since(bench.now).as_secs(), 60 << failures);
    }
    assert!(bench.throttle.resting_until(&dead, bench.now).is_some() && bench.throttle.resting_until(&well, bench.now).is_none());
    assert!(bench.throttle.paused_until(bench.now).is_none());
    assert!(!bench.throttle.is_forgettable(bench.now, Duration::from_mins(1)));
    assert!(bench.throttle.reached(&dead) && !bench.throttle.reached(&dead));
    assert!(bench.throttle.is_forgettable(bench.now, Duration::from_mins(1)));
}

#[test]
fn nodes_share_what_is_allowed() {
    let mut bench = Bench::new();
    bench.throttle = Throttle::new(Limits { messages_per_minute: Some(60), ..LIMITS });
    assert_eq!(bench.throttle.take_turn(2, bench.now), Ok(()));
    let next = bench.throttle.take_turn(2, bench.now).unwrap_err();
    assert_eq!(next.since(bench.now).as_secs(), 2, "half of one a second");
    assert_eq!(bench.throttle.next_turn(2, bench.now), Some(next));
}

#[test]
fn what_was_learned_can_be_kept_and_given_to_others() {
    let mut bench = Bench::new();
    bench.send(100, 2);
    bench.refuse(Signal::TooFast, 5);
    let kept = serde_json::to_string(bench.throttle.standing()).unwrap();
    let mut other = Throttle::new(LIMITS);
    let (pause, reason) = (bench.throttle.paused_until(bench.now), bench.throttle.reason().cloned());
    other.adopt(serde_json::from_str(&kept).unwrap(), pause, None, reason, bench.now);
    assert_eq!((other.allowance(), other.paused_until(bench.now)), (bench.throttle.allowance(), pause));
    assert_eq!(other.reason().map(|reason| &**reason), Some("451 a reply"));
    assert!(!other.is_forgettable(bench.now, Duration::from_mins(1)));
    other.avoid_ipv6(bench.now.plus(Duration::from_hours(1)), "550 IPv6");
    assert!(other.without_ipv6_until(bench.now).is_some());
    assert!(other.without_ipv6_until(bench.now.plus(Duration::from_hours(2))).is_none());
}
