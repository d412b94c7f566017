//! How much a site is sent, by what it answers: a state machine, without time, network or randomness of its own.
//!
//! Answers: how many sessions, how many messages a minute, not before when, and why. A refusal takes back at once, success gives step
//! by step, up to the limits of the provider. What was learned is a [`Standing`], fit to be kept and shared with other nodes.
//! Does not: read replies (`signal` does), or count attempts (the schedule of a delivery is its own).
//!
//! Sessions: a site that refuses another one is left with those it has; one more is tried after a minute, and after twice as long
//! each time it is refused again. A site nothing is known of begins with [`FIRST_SESSIONS`] and gets one more with each message it takes.
//! Rate: a site that finds us too fast is paced below what it took in the last minute, its knee. The pace rises steeply, flattens as it
//! comes near the knee, stays there for long, and goes beyond it faster and faster: the curve of CUBIC (RFC 9438 4.2), which finds a limit
//! again with few refusals whether it stayed or went.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::limits::Limits;
use super::pace::{Pace, Window};
use crate::clock::Tick;

/// Sessions to begin with.
const FIRST_SESSIONS: f64 = 5.0;
/// Between one session more and the next, after some were refused.
const SESSION_STEP: Duration = Duration::from_mins(1);
const LONGEST_STEP: Duration = Duration::from_hours(1);
/// After a session broke off.
const SHORT_STEP: Duration = Duration::from_secs(15);
/// How long after a refusal sessions that open still belong to the same rush: they tell how many there may be.
const RUSH: Duration = Duration::from_secs(10);
/// A session is said to make so many messages a minute at least; a paced site gets no more sessions than that needs.
const MESSAGES_OF_SESSION: f64 = 6.0;
/// The pace is given up when it is so many times the knee.
const BEYOND: f64 = 4.0;
/// Who finds the first few messages too fast does not mean their rate: he gets so many a minute, and pauses.
const LEAST_KNEE: f64 = 10.0;
/// Share of the knee that is given up when the knee was not known before, and when it was.
const DIP: f64 = 0.3;
const SMALL_DIP: f64 = 0.1;
/// Time of sending until the pace is back at the knee.
const SPAN: Duration = Duration::from_mins(10);
const LONGEST_SPAN: Duration = Duration::from_hours(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(15);
const LONGEST_REST: Duration = Duration::from_hours(1);

/// What a site's answer means for how much it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// It takes no session beside those there are.
    TooManySessions,
    /// It wants fewer messages in a while.
    TooFast,
    /// It found us unusual (4.7.28): ten minutes of rest, then one session, then one more at a time.
    Unusual,
    /// It refuses all our mail.
    Blocked,
    /// A session broke off: time-out, lost connection, 421 without a reason.
    Strained,
}

impl Signal {
    /// As metrics and logs call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TooManySessions => "too_many_sessions",
            Self::TooFast => "too_fast",
            Self::Unusual => "unusual",
            Self::Blocked => "blocked",
            Self::Strained => "strained",
        }
    }

    /// How long nothing is sent after the first such answer, and at most.
    const fn pause(self, paced: bool) -> Option<(Duration, Duration)> {
        match self {
            Self::TooManySessions | Self::Strained => None,
            Self::TooFast if paced => Some((Duration::from_secs(30), LONGEST_PAUSE)),
            Self::TooFast => Some((Duration::from_mins(1), LONGEST_PAUSE)),
            Self::Unusual => Some((Duration::from_mins(10), LONGEST_REST)),
            Self::Blocked => Some((Duration::from_mins(1), LONGEST_REST)),
        }
    }
}

/// What was learned of a site, for all nodes together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// Sessions it bears, as far as known.
    sessions: f64,
    /// Between one session more and the next; none: it never refused one.
    session_step: Option<Duration>,
    /// Its pace; none: it never found us too fast.
    course: Option<Course>,
    /// Refusals in a row.
    strikes: u32,
}

/// The way of the pace back to the knee and beyond.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Course {
    knee: f64,
    dip: f64,
    span: Duration,
    /// Time of sending since the last refusal.
    used: Duration,
}

impl Course {
    fn rate(&self) -> f64 {
        let way = self.used.as_secs_f64() / self.span.as_secs_f64().max(1.0) - 1.0;
        (self.knee * (1.0 + self.dip * way.powi(3))).max(1.0)
    }
}

/// What is allowed now, for all nodes together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Allowance {
    /// Sessions at once.
    pub sessions: usize,
    /// Messages a minute; none: as many as there are.
    pub per_minute: Option<f64>,
}

/// The throttle of one site.
#[derive(Debug)]
pub struct Throttle {
    limits: Limits,
    standing: Standing,
    paused_until: Option<Tick>,
    without_ipv6_until: Option<Tick>,
    reason: Option<Arc<str>>,
    sessions_at: Option<Tick>,
    /// When a session was last refused.
    refused_at: Option<Tick>,
    succeeded_at: Option<Tick>,
    resumed_at: Option<Tick>,
    window: Window,
    pace: Pace,
    rests: HashMap<Arc<str>, Rest>,
}

/// MX hosts that could not be reached.
#[derive(Clone, Debug)]
struct Rest {
    failures: u32,
    until: Tick,
    reason: Arc<str>,
}

impl Throttle {
    /// Of a site nothing is known of.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            standing: Standing { sessions: FIRST_SESSIONS.min(count(limits.connections)), session_step: None, course: None, strikes: 0 },
            paused_until: None,
            without_ipv6_until: None,
            reason: None,
            sessions_at: None,
            refused_at: None,
            succeeded_at: None,
            resumed_at: None,
            window: Window::default(),
            pace: Pace::default(),
            rests: HashMap::new(),
        }
    }

    /// The limits it stays within.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What is allowed now, pauses aside.
    #[must_use]
    pub fn allowance(&self) -> Allowance {
        let learned = self.standing.course.as_ref().map(Course::rate);
        let limit = self.limits.messages_per_minute.map(f64::from);
        let per_minute = match (learned, limit) {
            (Some(learned), Some(limit)) => Some(learned.min(limit)),
            (learned, limit) => learned.or(limit),
        };
        let needed = per_minute.map_or(f64::MAX, |rate| (rate / MESSAGES_OF_SESSION).ceil());
        let sessions = self.standing.sessions.min(count(self.limits.connections)).min(needed).max(1.0);
        Allowance { sessions: whole(sessions), per_minute }
    }

    /// Until when nothing is sent; none if it may be.
    #[must_use]
    pub fn paused_until(&self, now: Tick) -> Option<Tick> {
        self.paused_until.filter(|until| *until > now)
    }

    /// Until when nothing is sent to these MX hosts: the site's pause, or their rest after they could not be reached.
    #[must_use]
    pub fn resting_until(&self, hosts: &str, now: Tick) -> Option<Tick> {
        let rest = self.rests.get(hosts).map(|rest| rest.until).filter(|until| *until > now);
        self.paused_until(now).max(rest)
    }

    /// The latest rest of any of its hosts with its reason.
    #[must_use]
    pub fn latest_rest(&self, now: Tick) -> Option<(Tick, Arc<str>)> {
        self.rests.values().filter(|rest| rest.until > now).max_by_key(|rest| rest.until).map(|rest| (rest.until, Arc::clone(&rest.reason)))
    }

    /// Why less is sent than could be; none if nothing is held back.
    #[must_use]
    pub const fn reason(&self) -> Option<&Arc<str>> {
        self.reason.as_ref()
    }

    /// True if the site is sent less than its limits allow, or remembered for it.
    #[must_use]
    pub const fn is_slowed(&self) -> bool {
        self.standing.course.is_some() || self.standing.session_step.is_some()
    }

    /// Takes the right to send one message now, of a node's share; else answers when to ask again.
    ///
    /// # Errors
    /// The time from which on a message may be sent.
    pub fn take_turn(&mut self, nodes: usize, now: Tick) -> Result<(), Tick> {
        match self.allowance().per_minute {
            None => Ok(()),
            Some(rate) => self.pace.take(rate / count(nodes), now),
        }
    }

    /// Gives the right to send a message back: none was sent.
    pub fn give_turn_back(&mut self, nodes: usize) {
        if let Some(rate) = self.allowance().per_minute {
            self.pace.give_back(rate / count(nodes));
        }
    }

    /// When a message may be sent, without taking the right to.
    #[must_use]
    pub fn next_turn(&self, nodes: usize, now: Tick) -> Option<Tick> {
        self.allowance().per_minute.and_then(|rate| self.pace.next(rate / count(nodes), now))
    }

    /// Ends the rest of hosts that were reached. False: they did not rest.
    pub fn reached(&mut self, hosts: &str) -> bool {
        self.rests.remove(hosts).is_some()
    }

    /// Notes that a session was opened; `open` sessions of this node there are now.
    pub fn opened(&mut self, open: usize, nodes: usize, now: Tick) {
        let in_rush = self.refused_at.is_some_and(|at| now.since(at) < RUSH);
        if in_rush {
            self.standing.sessions = self.standing.sessions.max(count(open) * count(nodes)).min(count(self.limits.connections));
        }
    }

    /// Notes a message that was taken, while this node had `open` sessions.
    pub fn succeeded(&mut self, open: usize, nodes: usize, now: Tick) {
        if self.paused_until(now).is_some() {
            // It was on its way when the site refused others.
            return;
        }
        self.standing.strikes = 0;
        self.window.count(now);
        self.grow_sessions(open, nodes, now);
        self.grow_rate(nodes, now);
        self.succeeded_at = Some(now);
        if !self.is_slowed() && self.rests.is_empty() {
            self.reason = None;
        }
    }

    fn grow_sessions(&mut self, open: usize, nodes: usize, now: Tick) {
        let limit = count(self.limits.connections);
        let uses_all = count(open) * count(nodes) >= self.standing.sessions.floor();
        match self.standing.session_step {
            None => self.standing.sessions = (self.standing.sessions + 1.0).min(limit),
            Some(step) if uses_all && self.sessions_at.is_none_or(|at| now.since(at) >= step) => {
                self.standing.sessions = (self.standing.sessions + 1.0).min(limit);
                self.sessions_at = Some(now);
            }
            Some(_) => {}
        }
        if self.standing.sessions >= limit {
            self.standing.session_step = None;
        }
    }

    fn grow_rate(&mut self, nodes: usize, now: Tick) {
        let sent = self.window.per_minute(now) * count(nodes);
        let Some(course) = &mut self.standing.course else { return };
        // Only sending near the pace proves anything about it.
        if sent >= course.rate() / 2.0 {
            let passed = self.succeeded_at.map_or(Duration::ZERO, |last| now.since(last));
            course.used += passed.min(Duration::from_mins(1));
        }
        let limit = self.limits.messages_per_minute.map_or(f64::MAX, f64::from);
        if course.rate() > (course.knee * BEYOND).max(course.knee + 60.0).min(limit) {
            self.standing.course = None;
        }
    }

    /// Notes an answer that asks for less. `open`: sessions of this node beside the one that was answered so. Answers true if something
    /// was changed: several sessions that are refused together count once.
    pub fn refused(&mut self, signal: Signal, open: usize, nodes: usize, now: Tick, reason: &str) -> bool {
        if self.paused_until(now).is_some() && signal != Signal::Unusual {
            return false;
        }
        match signal {
            Signal::TooManySessions => self.fewer_sessions(open, nodes, now),
            Signal::Strained => {
                if self.sessions_at.is_some_and(|at| now.since(at) < Duration::from_secs(1)) {
                    return false;
                }
                let used = self.standing.sessions.min(count(open + 1) * count(nodes));
                self.set_sessions((used * 0.75).floor(), SHORT_STEP, now);
            }
            Signal::TooFast => {
                self.slower(nodes, now);
                self.set_sessions((self.standing.sessions / 2.0).ceil(), SESSION_STEP, now);
            }
            Signal::Unusual => {
                self.slower(nodes, now);
                self.set_sessions(1.0, SESSION_STEP, now);
            }
            Signal::Blocked => self.set_sessions(1.0, SESSION_STEP, now),
        }
        if let Some((first, longest)) = signal.pause(self.resumed_at.is_some() && self.standing.course.is_some()) {
            self.standing.strikes = self.standing.strikes.saturating_add(1);
            let pause = first.saturating_mul(1 << (self.standing.strikes - 1).min(10)).min(longest);
            self.paused_until = self.paused_until.max(Some(now.plus(pause)));
            self.resumed_at = self.paused_until;
        }
        self.reason = Some(reason.into());
        true
    }

    fn fewer_sessions(&mut self, open: usize, nodes: usize, now: Tick) {
        let bears = (count(open) * count(nodes)).max(1.0);
        let in_rush = self.refused_at.replace(now).is_some_and(|at| now.since(at) < RUSH);
        let step = match self.standing.session_step {
            // Refused where it refused before.
            Some(step) if !in_rush && bears + 1.0 >= self.standing.sessions => step.saturating_mul(2).min(LONGEST_STEP),
            Some(step) if in_rush => step,
            _ => SESSION_STEP,
        };
        self.set_sessions(bears.min(self.standing.sessions), step, now);
    }

    fn set_sessions(&mut self, sessions: f64, step: Duration, now: Tick) {
        self.standing.sessions = sessions.max(1.0);
        self.standing.session_step = Some(step);
        self.sessions_at = Some(now);
    }

    fn slower(&mut self, nodes: usize, now: Tick) {
        let sent = (self.window.per_minute(now) * count(nodes)).max(1.0);
        // What was sent in a minute tells how much was too much, once there was a minute.
        let settled = self.resumed_at.is_none_or(|at| now.since(at) >= Duration::from_mins(1));
        let course = match &self.standing.course {
            None => Course { knee: sent.max(LEAST_KNEE), dip: DIP, span: SPAN, used: Duration::ZERO },
            Some(before) => {
                let rate = before.rate();
                let knee = if settled { rate.min(sent.max(rate / 2.0)) } else { rate };
                // The same limit as last time: come closer to it, and try to pass it less often.
                let again = (0.85..=1.2).contains(&(knee / before.knee)) && self.standing.strikes == 0;
                let (dip, span) = if again { (SMALL_DIP, before.span.saturating_mul(2).min(LONGEST_SPAN)) } else { (DIP, SPAN) };
                Course { knee: knee.max(1.0), dip, span, used: Duration::ZERO }
            }
        };
        self.standing.course = Some(course);
    }

    /// Notes that none of these MX hosts could be reached; `pause` says for how long by the failures in a row. Answers until when they
    /// rest.
    pub fn unreachable(&mut self, hosts: &Arc<str>, reason: &str, now: Tick, pause: impl FnOnce(u32) -> Duration) -> Tick {
        let failures = self.rests.get(hosts).map_or(0, |rest| rest.failures).saturating_add(1);
        let until = now.plus(pause(failures));
        self.rests.insert(Arc::clone(hosts), Rest { failures, until, reason: reason.into() });
        until
    }

    /// Notes that the way over IPv6 was refused: it is not used until `until`.
    pub fn avoid_ipv6(&mut self, until: Tick, reason: &str) {
        self.without_ipv6_until = self.without_ipv6_until.max(Some(until));
        self.reason = Some(reason.into());
    }

    /// Until when IPv6 is not used, if so.
    #[must_use]
    pub fn without_ipv6_until(&self, now: Tick) -> Option<Tick> {
        self.without_ipv6_until.filter(|until| *until > now)
    }

    /// True if nothing is lost by forgetting it: nothing learned, and no host that failed within `memory`.
    #[must_use]
    pub fn is_forgettable(&self, now: Tick, memory: Duration) -> bool {
        let rests = self.rests.values().any(|rest| rest.until.plus(memory) > now);
        let learned = self.is_slowed() && self.succeeded_at.max(self.paused_until).max(self.sessions_at).is_some_and(|at| at.plus(memory) > now);
        !rests && !learned && self.paused_until(now).is_none() && self.without_ipv6_until(now).is_none()
    }

    /// What was learned.
    #[must_use]
    pub const fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Takes over what another node learned, or this one before it was started again.
    pub fn adopt(&mut self, standing: Standing, paused_until: Option<Tick>, without_ipv6_until: Option<Tick>, reason: Option<Arc<str>>, now: Tick) {
        self.standing = standing;
        self.paused_until = paused_until;
        self.without_ipv6_until = without_ipv6_until;
        self.reason = reason;
        self.resumed_at = Some(paused_until.unwrap_or(now));
        self.sessions_at = Some(now);
    }
}

#[expect(clippy::cast_precision_loss, reason = "numbers of sessions and nodes are small")]
const fn count(number: usize) -> f64 {
    number as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and a limit that is a usize")]
const fn whole(number: f64) -> usize {
    number as usize
}

#[cfg(test)]
mod tests;
