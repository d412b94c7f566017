//! A site: what waits in memory for the domains of the same mail hosts, who works on it, and how much of that may be sent.
//!
//! Answers: the next job, in the order of `fair`, when `throttle` lets it go; whether another session is wanted; what is given back to
//! the database because it cannot go soon. Every change of the throttle by a reply passes here.
//! Does not: decide which domains are a site (`limits`), or open sessions (`worker`).

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use time::OffsetDateTime;
use tokio::sync::Notify;

use super::egress::Route;
use super::fair::FairQueue;
use super::job::Job;
use super::limits::{Limits, Place};
use super::throttle::{Allowance, Signal, Standing, Throttle};
use crate::clock::Tick;
use crate::model::DomainName;

/// How long what was learned of a site is kept in memory while nothing is sent there.
const MEMORY: Duration = Duration::from_hours(1);
/// Of a paced site, as much is kept in memory as goes in this time, or [`LEAST_ROOM`].
const HORIZON: Duration = Duration::from_mins(2);
const LEAST_ROOM: usize = 32;
/// Domains remembered of a site, for those who ask why their mail waits.
const DOMAINS: usize = 500;

/// Domains of the same mail hosts, with work in memory.
#[derive(Debug)]
pub struct Site {
    /// Its name: its hosts, or the provider's.
    pub name: Arc<str>,
    /// The provider.
    pub provider: Arc<str>,
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Debug)]
struct State {
    /// What somebody asked to try at once, whatever rests.
    asked: VecDeque<Job>,
    queue: FairQueue<Job>,
    throttle: Throttle,
    workers: usize,
    idle: usize,
    open: usize,
    /// Of the open sessions, by the hosts they are to.
    open_to: HashMap<Arc<str>, usize>,
    /// Nodes that share the limits.
    nodes: usize,
    /// When somebody comes to look again.
    alarm: Option<Tick>,
    domains: HashSet<DomainName>,
    /// When it last asked for less, here or at another node.
    slowed_at: Option<OffsetDateTime>,
    /// Something is to be told to the other nodes.
    news: bool,
}

impl State {
    fn share(&self) -> usize {
        (self.throttle.allowance().sessions / self.nodes).max(1)
    }

    /// What is kept in memory of a paced site.
    fn room(&self) -> Option<usize> {
        let rate = self.throttle.allowance().per_minute? / to_f64(self.nodes);
        let minutes = HORIZON.as_secs_f64() / 60.0;
        Some(to_usize(rate * minutes).max(LEAST_ROOM))
    }
}

/// Until when a job's hosts, or its domain, rest.
fn rest_of(throttle: &Throttle, job: &Job, now: Tick) -> Option<Tick> {
    throttle.resting_until(&job.hosts, now).max(throttle.resting_until(job.domain.as_str(), now))
}

/// What a worker is told when it asks for a job.
#[derive(Debug)]
pub enum Next {
    /// Work.
    Job(Job),
    /// The hosts of this job rest: it is to be given back, due at this time.
    Resting(Job, Tick),
    /// None now.
    Empty,
    /// None before this time.
    Later(Tick),
    /// The worker should end: the site rests, or bears fewer sessions than there are.
    Enough,
}

/// What becomes of a worker that wants to work for a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hire {
    /// It works.
    Yes,
    /// It is not wanted.
    No,
    /// It is wanted at this time.
    At(Tick),
}

/// How a site stands after it asked for less.
#[derive(Debug)]
pub struct Slowed {
    /// What is allowed from now on.
    pub allowance: Allowance,
    /// Nothing is sent before.
    pub until: Option<Tick>,
    /// What waited in memory and is to be given back.
    pub waiting: Vec<Job>,
}

/// What other nodes, and people, are told of a site.
#[derive(Clone, Debug)]
pub struct Picture {
    /// The most that would be sent.
    pub limits: Limits,
    /// What was learned.
    pub standing: Standing,
    /// What that allows.
    pub allowance: Allowance,
    /// Nothing is sent before.
    pub paused_until: Option<Tick>,
    /// Some of its hosts could not be reached, and rest; with the reason.
    pub resting: Option<(Tick, Arc<str>)>,
    /// IPv6 is not used before.
    pub without_ipv6_until: Option<Tick>,
    /// Why less is sent than could be.
    pub reason: Option<Arc<str>>,
    /// When it last asked for less.
    pub slowed_at: Option<OffsetDateTime>,
    /// Its domains seen lately.
    pub domains: Vec<DomainName>,
    /// True if it is sent less than its limits allow.
    pub is_slowed: bool,
}

impl Site {
    /// A site without work, one node's share of `nodes`.
    #[must_use]
    pub fn new(place: &Place, nodes: usize) -> Arc<Self> {
        let state = State {
            asked: VecDeque::new(),
            queue: FairQueue::default(),
            throttle: Throttle::new(place.limits),
            workers: 0,
            idle: 0,
            open: 0,
            open_to: HashMap::new(),
            nodes: nodes.max(1),
            alarm: None,
            domains: HashSet::new(),
            slowed_at: None,
            news: false,
        };
        Arc::new(Self { name: Arc::clone(&place.site), provider: Arc::clone(&place.provider), state: Mutex::new(state), arrived: Notify::new() })
    }

    /// Adds work.
    pub fn push(&self, job: Job) {
        {
            let mut state = self.state.lock();
            if !state.domains.contains(&job.domain) && state.domains.len() < DOMAINS {
                state.domains.insert(job.domain.clone());
            }
            if job.is_asked() {
                state.asked.push_back(job);
            } else {
                state.queue.push(job);
            }
        }
        self.arrived.notify_one();
    }

    /// Puts work back to the front.
    pub fn push_front(&self, job: Job) {
        let mut state = self.state.lock();
        if job.is_asked() {
            state.asked.push_front(job);
        } else {
            state.queue.push_front(job);
        }
        drop(state);
        self.arrived.notify_one();
    }

    /// The next job, if it may be sent now; rather one for the hosts and of the way of the session that is open.
    #[must_use]
    pub fn next(&self, open: Option<(&str, &Route)>, now: Tick) -> Next {
        let mut state = self.state.lock();
        let state = &mut *state;
        if state.workers > state.share() {
            return Next::Enough;
        }
        if let Some(job) = state.asked.pop_front() {
            return Next::Job(job);
        }
        if state.throttle.paused_until(now).is_some() {
            return Next::Enough;
        }
        if state.queue.is_empty() {
            return Next::Empty;
        }
        if let Err(at) = state.throttle.take_turn(state.nodes, now) {
            return Next::Later(at);
        }
        let suits = |job: &Job| open.is_none_or(|(hosts, route)| *job.hosts == *hosts && job.route.shares_sessions_with(route));
        let Some(job) = state.queue.pop(suits) else { return Next::Empty };
        match rest_of(&state.throttle, &job, now) {
            Some(until) => {
                state.throttle.give_turn_back(state.nodes);
                Next::Resting(job, until)
            }
            None => Next::Job(job),
        }
    }

    /// Gives the right to send a message back: the job was not sent.
    pub fn give_turn_back(&self) {
        let mut state = self.state.lock();
        let nodes = state.nodes;
        state.throttle.give_turn_back(nodes);
    }

    /// Ends when work may have arrived.
    pub async fn arrival(&self) {
        self.state.lock().idle += 1;
        let _idle = Idle(self);
        self.arrived.notified().await;
    }

    /// Counts a new worker in, if there is work that no idle worker waits for and another session is allowed.
    #[must_use]
    pub fn hire(&self, now: Tick) -> Hire {
        let mut state = self.state.lock();
        let patient = if state.throttle.paused_until(now).is_some() { 0 } else { state.queue.len() };
        if state.workers >= state.share() || state.asked.len() + patient <= state.idle {
            return Hire::No;
        }
        if state.asked.is_empty()
            && let Some(at) = state.throttle.next_turn(state.nodes, now)
        {
            return Hire::At(at);
        }
        state.workers += 1;
        Hire::Yes
    }

    /// True if nobody was asked yet to look again at `at` or sooner: then the caller has to.
    #[must_use]
    pub fn set_alarm(&self, at: Tick, now: Tick) -> bool {
        let mut state = self.state.lock();
        let is_set = state.alarm.is_some_and(|alarm| alarm > now && alarm <= at);
        if !is_set {
            state.alarm = Some(at);
        }
        !is_set
    }

    /// Counts a worker out.
    pub fn dismiss(&self) {
        let mut state = self.state.lock();
        state.workers = state.workers.saturating_sub(1);
    }

    /// True if work waits in memory.
    #[must_use]
    pub fn has_work(&self) -> bool {
        let state = self.state.lock();
        !state.queue.is_empty() || !state.asked.is_empty()
    }

    /// True if nothing is lost by forgetting the site.
    #[must_use]
    pub fn is_forgettable(&self, now: Tick) -> bool {
        let state = self.state.lock();
        state.workers == 0 && state.queue.is_empty() && state.asked.is_empty() && !state.news && state.throttle.is_forgettable(now, MEMORY)
    }

    /// Empties the queue.
    #[must_use]
    pub fn take_all(&self) -> Vec<Job> {
        let mut state = self.state.lock();
        let mut all = state.queue.shed(0);
        all.extend(state.asked.drain(..));
        all
    }

    /// Takes out the jobs that are meant.
    #[must_use]
    pub fn take_where(&self, is_meant: impl Fn(&Job) -> bool) -> Vec<Job> {
        let mut state = self.state.lock();
        let mut taken = state.queue.take_where(&is_meant);
        if state.asked.iter().any(&is_meant) {
            let (meant, left): (VecDeque<Job>, VecDeque<Job>) = std::mem::take(&mut state.asked).into_iter().partition(&is_meant);
            state.asked = left;
            taken.extend(meant);
        }
        taken
    }

    /// Takes out what cannot go soon, with the time at which it may: all if the site rests, what is for hosts that rest, and of a paced
    /// site what is beyond the next minutes.
    #[must_use]
    pub fn take_hopeless(&self, now: Tick) -> Vec<(Tick, Vec<Job>)> {
        let mut state = self.state.lock();
        if state.queue.is_empty() {
            return Vec::new();
        }
        if let Some(until) = state.throttle.paused_until(now) {
            return vec![(until, state.queue.shed(0))];
        }
        let mut out = Vec::new();
        if state.throttle.latest_rest(now).is_some() {
            let State { queue, throttle, .. } = &mut *state;
            let rest = |job: &Job| rest_of(throttle, job, now);
            // Two statements, as what is looked at is then changed.
            let mut next = queue.iter().find_map(rest);
            while let Some(until) = next {
                out.push((until, queue.take_where(|job| rest(job) == Some(until))));
                next = queue.iter().find_map(rest);
            }
        }
        if let Some(room) = state.room()
            && state.queue.len() > room + room / 4
        {
            out.push((now.plus(HORIZON / 2), state.queue.shed(room)));
        }
        out
    }

    /// Notes a session to these hosts that was opened for a domain. True if that ends their rest.
    pub fn opened(&self, hosts: &Arc<str>, domain: &str, now: Tick) -> bool {
        let mut state = self.state.lock();
        state.open += 1;
        *state.open_to.entry(Arc::clone(hosts)).or_default() += 1;
        let (open, nodes) = (state.open, state.nodes);
        let throttle = &mut state.throttle;
        let rested = throttle.reached(hosts) | throttle.reached(domain);
        throttle.opened(open, nodes, now);
        state.news |= rested;
        rested
    }

    /// Notes a session to these hosts that ended.
    pub fn closed(&self, hosts: &str) {
        let mut state = self.state.lock();
        state.open = state.open.saturating_sub(1);
        if let Some(open) = state.open_to.get_mut(hosts) {
            *open = open.saturating_sub(1);
            if *open == 0 {
                state.open_to.remove(hosts);
            }
        }
    }

    /// Sessions of this node that are open to these hosts, and all workers of the site.
    #[must_use]
    pub fn sessions(&self, hosts: &str) -> (usize, usize) {
        let state = self.state.lock();
        (state.open_to.get(hosts).copied().unwrap_or(0), state.workers)
    }

    /// Notes a message that was taken. Answers true if the site has just come back to its limits.
    pub fn succeeded(&self, now: Tick) -> bool {
        let mut state = self.state.lock();
        let was_slowed = state.throttle.is_slowed();
        let (open, nodes) = (state.open, state.nodes);
        state.throttle.succeeded(open, nodes, now);
        state.news |= was_slowed;
        was_slowed && !state.throttle.is_slowed()
    }

    /// Notes an answer that asks for less, by a session or instead of one. None: it is known already.
    #[must_use]
    pub fn refused(&self, signal: Signal, reason: &str, now: Tick, at: OffsetDateTime, has_session: bool) -> Option<Slowed> {
        let mut state = self.state.lock();
        let (others, nodes) = (state.open.saturating_sub(usize::from(has_session)), state.nodes);
        if !state.throttle.refused(signal, others, nodes, now, reason) {
            return None;
        }
        (state.slowed_at, state.news) = (Some(at), true);
        let until = state.throttle.paused_until(now);
        let waiting = if until.is_some() { state.queue.shed(0) } else { Vec::new() };
        Some(Slowed { allowance: state.throttle.allowance(), until, waiting })
    }

    /// Notes that none of these hosts could be reached, or that a domain's hosts could not be found. Answers until when they rest, and what waited for them.
    #[must_use]
    pub fn unreachable(&self, hosts: &Arc<str>, reason: &str, now: Tick, pause: impl FnOnce(u32) -> Duration) -> (Tick, Vec<Job>) {
        let mut state = self.state.lock();
        let until = state.throttle.unreachable(hosts, reason, now, pause);
        state.news = true;
        (until, state.queue.take_where(|job| *job.hosts == **hosts || job.domain.as_str() == &**hosts))
    }

    /// Notes that the way over IPv6 was refused.
    pub fn avoid_ipv6(&self, until: Tick, reason: &str, at: OffsetDateTime) {
        let mut state = self.state.lock();
        state.throttle.avoid_ipv6(until, reason);
        (state.slowed_at, state.news) = (Some(at), true);
    }

    /// True if IPv6 is not used now.
    #[must_use]
    pub fn avoids_ipv6(&self, now: Tick) -> bool {
        self.state.lock().throttle.without_ipv6_until(now).is_some()
    }

    /// Messages of one session, and how long it is kept without work.
    #[must_use]
    pub fn session_limits(&self) -> (usize, Duration) {
        let state = self.state.lock();
        let limits = state.throttle.limits();
        (limits.messages_per_connection, limits.idle)
    }

    /// Whether the site is sent less than its limits allow; whether nothing for now.
    #[must_use]
    pub fn is_held_back(&self, now: Tick) -> (bool, bool) {
        let throttle = &self.state.lock().throttle;
        (throttle.is_slowed(), throttle.paused_until(now).is_some() || throttle.latest_rest(now).is_some())
    }

    /// Says how many nodes share the limits.
    pub fn share_with(&self, nodes: usize) {
        self.state.lock().nodes = nodes.max(1);
    }

    /// What there is to tell other nodes, once; none if nothing changed.
    #[must_use]
    pub fn take_news(&self, now: Tick) -> Option<Picture> {
        let mut state = self.state.lock();
        if !std::mem::take(&mut state.news) {
            return None;
        }
        let throttle = &state.throttle;
        Some(Picture {
            limits: *throttle.limits(),
            standing: throttle.standing().clone(),
            allowance: throttle.allowance(),
            paused_until: throttle.paused_until(now),
            resting: throttle.latest_rest(now),
            without_ipv6_until: throttle.without_ipv6_until(now),
            reason: throttle.reason().cloned(),
            slowed_at: state.slowed_at,
            domains: state.domains.iter().cloned().collect(),
            is_slowed: throttle.is_slowed(),
        })
    }

    /// Tells again what could not be told.
    pub fn keep_news(&self) {
        self.state.lock().news = true;
    }

    /// Takes over what another node learned at `slowed_at`, if that is later than what is known here.
    pub fn adopt(
        &self,
        slowed_at: OffsetDateTime,
        standing: Standing,
        [paused_until, without_ipv6_until]: [Option<Tick>; 2],
        reason: Option<Arc<str>>,
        now: Tick,
    ) -> bool {
        let mut state = self.state.lock();
        if state.slowed_at.is_some_and(|known| known >= slowed_at) {
            return false;
        }
        state.throttle.adopt(standing, paused_until, without_ipv6_until, reason, now);
        state.slowed_at = Some(slowed_at);
        true
    }
}

/// Counts a waiting worker, also when it stops waiting by being dropped.
struct Idle<'s>(&'s Site);

impl Drop for Idle<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.idle = state.idle.saturating_sub(1);
    }
}

#[expect(clippy::cast_precision_loss, reason = "a number of nodes is small")]
const fn to_f64(number: usize) -> f64 {
    number as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, and saturates")]
const fn to_usize(number: f64) -> usize {
    number as usize
}
