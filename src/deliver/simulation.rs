//! A site in a box: the throttle against a made-up provider, on a clock of its own, without sockets.
//!
//! Answers: how near the provider's limit the throttle settles, and how often it is refused meanwhile. The provider has a limit of
//! sessions and of messages a minute, greylists some messages, and blocks everything for a while; it is not the program's to see.
//! `pennypost bench throttle` prints the figures; tests hold them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::limits::Limits;
use super::throttle::{Signal, Throttle};
use crate::clock::{Clock, Tick};

/// What a provider takes.
#[derive(Clone, Copy, Debug)]
pub struct Provider {
    /// Sessions at once; one more is refused with "too many connections".
    pub sessions: usize,
    /// Messages in each minute of its clock; one more is refused with "slow down".
    pub per_minute: u32,
    /// One message in so many is greylisted when it comes first; 0: none.
    pub greylists: u32,
    /// All mail is refused between these minutes.
    pub blocks: Option<(u64, u64)>,
    /// How long it takes over a message.
    pub latency: Duration,
}

/// A provider, and what is asked of it.
#[derive(Clone, Copy, Debug)]
pub struct Trial {
    /// What it is called in the table.
    pub name: &'static str,
    /// What it takes.
    pub provider: Provider,
    /// What we would send it at most.
    pub connections: usize,
    /// For how long, in minutes. There is always more to send.
    pub minutes: u64,
}

/// How a trial went.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Findings {
    /// What it was called.
    pub name: &'static str,
    /// Messages it took.
    pub taken: u64,
    /// Messages a minute in the second half, as a share of what it would have taken.
    pub settled: f64,
    /// Messages refused: each is an attempt of a delivery.
    pub refused: u64,
    /// Sessions refused: none of them is an attempt.
    pub sessions_refused: u64,
    /// Refused messages and sessions of the second half, for a hundred taken.
    pub refused_per_hundred: f64,
}

/// The trials that are measured.
pub const TRIALS: [Trial; 6] = [
    trial("20 sessions allowed", Provider { sessions: 20, ..GENEROUS }, 20, 60),
    trial("4 sessions", Provider { sessions: 4, ..GENEROUS }, 20, 120),
    trial("100 messages a minute", Provider { per_minute: 100, ..GENEROUS }, 20, 240),
    trial("4 sessions, 300 a minute, greylisting", Provider { sessions: 4, per_minute: 300, greylists: 10, ..GENEROUS }, 20, 240),
    trial("1,000 a minute, one slow second a message", Provider { per_minute: 1_000, latency: Duration::from_secs(1), ..GENEROUS }, 40, 240),
    trial("blocked for half an hour", Provider { sessions: 10, blocks: Some((60, 90)), ..GENEROUS }, 10, 240),
];

const GENEROUS: Provider = Provider { sessions: 1_000, per_minute: u32::MAX, greylists: 0, blocks: None, latency: Duration::from_millis(250) };

const fn trial(name: &'static str, provider: Provider, connections: usize, minutes: u64) -> Trial {
    Trial { name, provider, connections, minutes }
}

/// What happens next, in order of time; the number keeps events of one time apart.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// A session that is open asks for a message, or ends.
    Next,
    /// The provider answers a message.
    Answer,
    /// Somebody looks whether another session is wanted.
    Look,
}

struct Run {
    throttle: Throttle,
    provider: Provider,
    start: Tick,
    now: Tick,
    events: BTreeMap<(Tick, u64), Event>,
    number: u64,
    /// Sessions with the provider.
    open: usize,
    minute: u64,
    in_minute: u32,
    offered: u32,
    counts: Counts,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    taken: u64,
    refused: u64,
    sessions_refused: u64,
}

/// Runs one trial.
#[must_use]
pub fn run(trial: &Trial) -> Findings {
    let limits = Limits {
        connections: trial.connections,
        messages_per_connection: 100,
        messages_per_minute: None,
        recipients_per_transaction: 100,
        idle: Duration::from_secs(5),
    };
    let start = Clock::system().tick();
    let mut site = Run {
        throttle: Throttle::new(limits),
        provider: trial.provider,
        start,
        now: start,
        events: BTreeMap::new(),
        number: 0,
        open: 0,
        minute: 0,
        in_minute: 0,
        offered: 0,
        counts: Counts::default(),
    };
    let (half, end) = (start.plus(Duration::from_mins(trial.minutes / 2)), start.plus(Duration::from_mins(trial.minutes)));
    site.at(Duration::ZERO, Event::Look);
    site.until(half);
    let first = site.counts;
    site.until(end);
    let all = site.counts;
    let (taken, refused) = (all.taken - first.taken, all.refused + all.sessions_refused - first.refused - first.sessions_refused);
    let minutes = to_f64(trial.minutes - trial.minutes / 2);
    Findings {
        name: trial.name,
        taken: all.taken,
        settled: to_f64(taken) / (trial.provider.best(trial.connections) * minutes),
        refused: all.refused,
        sessions_refused: all.sessions_refused,
        refused_per_hundred: 100.0 * to_f64(refused) / to_f64(taken.max(1)),
    }
}

impl Provider {
    /// Messages a minute that a sender takes who knows all about it.
    fn best(&self, connections: usize) -> f64 {
        let sessions = to_f64(self.sessions.min(connections) as u64);
        (sessions * 60.0 / self.latency.as_secs_f64()).min(f64::from(self.per_minute))
    }
}

impl Run {
    fn at(&mut self, after: Duration, event: Event) {
        self.number += 1;
        self.events.insert((self.now.plus(after), self.number), event);
    }

    fn until(&mut self, end: Tick) {
        while let Some(((at, _), event)) = self.events.pop_first() {
            self.now = self.now.max(at);
            match event {
                Event::Look => self.look(),
                Event::Next => self.next(),
                Event::Answer => self.answer(),
            }
            if at >= end {
                break;
            }
        }
    }

    /// As the engine does with every arrival: opens sessions while more are wanted.
    fn look(&mut self) {
        while self.throttle.paused_until(self.now).is_none() && self.open < self.throttle.allowance().sessions {
            if self.open >= self.provider.sessions {
                self.counts.sessions_refused += 1;
                let _ = self.throttle.refused(Signal::TooManySessions, self.open, 1, self.now, "421 too many connections");
                break;
            }
            self.open += 1;
            self.throttle.opened(self.open, 1, self.now);
            self.at(Duration::ZERO, Event::Next);
        }
        self.at(Duration::from_millis(200), Event::Look);
    }

    fn next(&mut self) {
        if self.throttle.paused_until(self.now).is_some() || self.open > self.throttle.allowance().sessions {
            self.open -= 1;
            return;
        }
        match self.throttle.take_turn(1, self.now) {
            Ok(()) => self.at(self.provider.latency, Event::Answer),
            Err(at) => self.at(at.since(self.now), Event::Next),
        }
    }

    fn answer(&mut self) {
        let minute = self.now.since(self.start).as_secs() / 60;
        if minute != self.minute {
            (self.minute, self.in_minute) = (minute, 0);
        }
        let blocked = self.provider.blocks.is_some_and(|(from, to)| (from..to).contains(&minute));
        self.offered = self.offered.wrapping_add(1);
        if blocked {
            self.counts.refused += 1;
            let _ = self.throttle.refused(Signal::Blocked, self.open - 1, 1, self.now, "550 5.7.1 blocked");
        } else if self.in_minute >= self.provider.per_minute {
            self.counts.refused += 1;
            let _ = self.throttle.refused(Signal::TooFast, self.open - 1, 1, self.now, "451 4.7.1 slow down");
        } else if self.provider.greylists > 0 && self.offered.is_multiple_of(self.provider.greylists) {
            // About one message: no sign of anything.
            self.in_minute += 1;
        } else {
            self.in_minute += 1;
            self.counts.taken += 1;
            self.throttle.succeeded(self.open, 1, self.now);
        }
        self.at(Duration::ZERO, Event::Next);
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of a simulation are small")]
const fn to_f64(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str) -> Findings {
        run(TRIALS.iter().find(|trial| trial.name == name).unwrap())
    }

    #[test]
    fn a_provider_without_a_limit_of_its_own_is_used_to_ours_and_refuses_nothing() {
        let found = of("20 sessions allowed");
        assert!(found.settled > 0.99 && found.refused + found.sessions_refused == 0, "{found:?}");
    }

    #[test]
    fn a_limit_of_sessions_is_found_and_kept_and_no_message_pays() {
        let found = of("4 sessions");
        assert!(found.settled > 0.95 && found.refused == 0, "{found:?}");
        assert!(found.sessions_refused < 20, "{found:?}");
    }

    #[test]
    fn a_limit_of_messages_is_found_and_approached_with_few_refusals() {
        for (name, least) in [("100 messages a minute", 0.85), ("1,000 a minute, one slow second a message", 0.85)] {
            let found = of(name);
            assert!((least..=1.0).contains(&found.settled), "{found:?}");
            assert!(found.refused_per_hundred < 1.0, "{found:?}");
        }
    }

    #[test]
    fn two_limits_and_greylisting_are_told_apart() {
        let found = of("4 sessions, 300 a minute, greylisting");
        // A tenth is greylisted, and counts for the provider.
        assert!((0.75..=0.9).contains(&found.settled), "{found:?}");
        assert!(found.refused_per_hundred < 1.0, "{found:?}");
    }

    #[test]
    fn a_block_is_waited_out_with_few_attempts_and_then_forgotten() {
        let found = of("blocked for half an hour");
        assert!(found.refused <= 20, "{found:?}");
        assert!(found.settled > 0.9, "{found:?}");
    }
}
