//! What waits in memory for one recipient domain, and who works on it.
//!
//! Answers: the next job of the domain, by priority; how many sessions it has and may have; whether its hosts are rested after
//! failures, or because they asked for less mail.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::missing::{Belief, Missing};
use crate::clock::Tick;
use crate::model::DomainName;
use crate::model::message::Priority;
use crate::net::mx::MxError;
use crate::outbox::{ClaimedDelivery, OutboundMessage};

/// How long after its rest a site's failures are remembered, so that the next rest is longer.
const MEMORY: Duration = Duration::from_hours(1);

/// A site that was slowed down may have one session more each such while.
const GROWTH: Duration = Duration::from_mins(1);

/// Deliveries of one message to one domain, for one transaction.
#[derive(Debug)]
pub struct Job {
    /// The message they share.
    pub message: Arc<OutboundMessage>,
    /// At least one.
    pub deliveries: Vec<ClaimedDelivery>,
}

impl Job {
    /// The priority that its deliveries share.
    #[must_use]
    pub fn priority(&self) -> Priority {
        self.deliveries.first().map_or(Priority::Normal, |delivery| delivery.priority)
    }
}

/// A recipient domain with work in memory.
#[derive(Debug)]
pub struct Site {
    /// The domain.
    pub domain: DomainName,
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct State {
    queue: [VecDeque<Job>; 3],
    workers: usize,
    idle: usize,
    failures: u32,
    paused_until: Option<Tick>,
    /// As `paused_until`, but asked for by the hosts: reaching them does not end it.
    slowed_until: Option<Tick>,
    missing: Option<Missing>,
    /// Sessions that the hosts bear, and since when.
    ceiling: Option<(usize, Tick)>,
}

impl State {
    fn waiting(&self) -> usize {
        self.queue.iter().map(VecDeque::len).sum()
    }

    fn resting_until(&self, now: Tick) -> Option<Tick> {
        self.paused_until.max(self.slowed_until).filter(|until| *until > now)
    }

    fn limit(&self, configured: usize, now: Tick) -> usize {
        self.ceiling.map_or(configured, |(least, since)| {
            let more = now.since(since).as_secs() / GROWTH.as_secs();
            usize::try_from(more).unwrap_or(configured).saturating_add(least).min(configured)
        })
    }

    fn take_all(&mut self) -> Vec<Job> {
        self.queue.iter_mut().flat_map(std::mem::take).collect()
    }
}

/// What a worker is told when it asks for a job.
#[derive(Debug)]
pub enum Next {
    /// Work.
    Job(Job),
    /// None now.
    Empty,
    /// The site rests; the worker should end.
    Paused,
}

impl Site {
    /// A site without work.
    #[must_use]
    pub fn new(domain: DomainName) -> Arc<Self> {
        Arc::new(Self { domain, state: Mutex::default(), arrived: Notify::new() })
    }

    /// Adds work at the end of its priority's queue.
    pub fn push(&self, job: Job) {
        let lane = lane_of(&job);
        if let Some(queue) = self.state.lock().queue.get_mut(lane) {
            queue.push_back(job);
        }
        self.arrived.notify_one();
    }

    /// Puts work back to the front.
    pub fn push_front(&self, job: Job) {
        let lane = lane_of(&job);
        if let Some(queue) = self.state.lock().queue.get_mut(lane) {
            queue.push_front(job);
        }
        self.arrived.notify_one();
    }

    /// The next job: high priority before normal before bulk.
    #[must_use]
    pub fn next(&self, now: Tick) -> Next {
        let mut state = self.state.lock();
        if state.resting_until(now).is_some() {
            return Next::Paused;
        }
        state.queue.iter_mut().find_map(VecDeque::pop_front).map_or(Next::Empty, Next::Job)
    }

    /// Ends when work may have arrived.
    pub async fn arrival(&self) {
        self.state.lock().idle += 1;
        let _idle = Idle(self);
        self.arrived.notified().await;
    }

    /// Counts a new worker in, if there is work that no idle worker waits for and `limit` is not reached.
    #[must_use]
    pub fn hire(&self, limit: usize, now: Tick) -> bool {
        let mut state = self.state.lock();
        let wanted = state.resting_until(now).is_none() && state.workers < state.limit(limit, now) && state.waiting() > state.idle;
        if wanted {
            state.workers += 1;
        }
        wanted
    }

    /// Counts a worker out.
    pub fn dismiss(&self) {
        let mut state = self.state.lock();
        state.workers = state.workers.saturating_sub(1);
    }

    /// True if nothing is lost by forgetting the site: no work, no workers, and no recent failure to remember.
    #[must_use]
    pub fn is_forgettable(&self, now: Tick) -> bool {
        let state = self.state.lock();
        let failed = state.failures > 0 && state.paused_until.is_some_and(|until| until.plus(MEMORY) > now);
        let missing = state.missing.is_some_and(|missing| missing.is_remembered(now));
        let remembers = failed || missing || state.ceiling.is_some_and(|(_, since)| since.plus(MEMORY) > now);
        state.workers == 0 && state.waiting() == 0 && !remembers
    }

    /// Empties the queue.
    #[must_use]
    pub fn take_all(&self) -> Vec<Job> {
        self.state.lock().take_all()
    }

    /// Takes the jobs for which `wanted` is true out of the queue.
    #[must_use]
    pub fn take_where(&self, wanted: impl Fn(&Job) -> bool) -> Vec<Job> {
        self.state
            .lock()
            .queue
            .iter_mut()
            .flat_map(|queue| {
                let (taken, kept) = std::mem::take(queue).into_iter().partition::<VecDeque<Job>, _>(&wanted);
                *queue = kept;
                taken
            })
            .collect()
    }

    /// If the site rests, answers until when, with whatever arrived meanwhile.
    #[must_use]
    pub fn take_if_resting(&self, now: Tick) -> Option<(Tick, Vec<Job>)> {
        let mut state = self.state.lock();
        let until = state.resting_until(now)?;
        Some((until, state.take_all()))
    }

    /// Notes that no host could be reached: the site rests until `until(failures in a row)`. Answers what waited in memory.
    #[must_use]
    pub fn rest(&self, until: impl FnOnce(u32) -> Tick) -> (Tick, Vec<Job>) {
        let mut state = self.state.lock();
        state.failures = state.failures.saturating_add(1);
        let until = until(state.failures);
        state.paused_until = Some(until);
        (until, state.take_all())
    }

    /// Notes that the hosts ask for less mail: the site rests until `until` and begins again with one session. Answers what
    /// waited in memory.
    #[must_use]
    pub fn slow_down(&self, until: Tick) -> Vec<Job> {
        let mut state = self.state.lock();
        state.slowed_until = state.slowed_until.max(Some(until));
        state.ceiling = Some((1, until));
        state.take_all()
    }

    /// Notes that the hosts take no session beside those that there are. False: there are none beside the one refused.
    #[must_use]
    pub fn bears_no_more(&self, now: Tick) -> bool {
        let mut state = self.state.lock();
        let others = state.workers.saturating_sub(1);
        if others > 0 {
            state.ceiling = Some((others, now));
        }
        others > 0
    }

    /// Notes that the DNS says the domain does not exist, and answers what to make of that.
    #[must_use]
    pub fn belief_in_missing(&self, now: Tick) -> Belief {
        let mut state = self.state.lock();
        let known = state.missing.filter(|missing| missing.is_remembered(now)).unwrap_or_else(|| Missing::first(now));
        state.missing = Some(known);
        known.belief(now)
    }

    /// Notes that the DNS said so again.
    pub fn confirm_missing(&self) {
        if let Some(missing) = &mut self.state.lock().missing {
            missing.confirm();
        }
    }

    /// Forgets that the domain was missing if an answer says that it exists. Answers what it was given.
    ///
    /// # Errors
    /// What it was given.
    pub fn note_existence<T>(&self, answer: Result<T, MxError>) -> Result<T, MxError> {
        if !matches!(answer, Err(MxError::NoSuchDomain | MxError::Temporary(_))) {
            self.state.lock().missing = None;
        }
        answer
    }

    /// Notes that a session was opened: the site is well.
    pub fn reached(&self) {
        let mut state = self.state.lock();
        state.failures = 0;
        state.paused_until = None;
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

fn lane_of(job: &Job) -> usize {
    match job.priority() {
        Priority::High => 0,
        Priority::Normal => 1,
        Priority::Bulk => 2,
    }
}
