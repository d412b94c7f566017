//! What a worker does with what a site asks for, and when none of its hosts can be reached.
//!
//! Answers: which answers of a site hold it back (`throttle` says how much), what waits for it and goes back unspent, and which failures
//! to open a session are an attempt of the message at all.

use std::sync::Arc;
use std::time::Duration;

use super::attempt::Ending;
use super::job::Job;
use super::signal;
use super::site::Slowed;
use super::throttle::Signal;
use super::verdict::{AtLeast, Verdict};
use super::worker::{Of, Then, Unreached, Worker};
use crate::clock::Tick;
use crate::model::outcome::{Outcome, Scope, Stage};
use crate::telemetry::metrics::{self, SessionResult};

/// How long IPv6 is not used after a site refused it.
const WITHOUT_IPV6: Duration = Duration::from_hours(1);

impl Worker {
    /// Notes that the way over IPv6 was refused.
    pub(super) fn avoid_ipv6(&self, ending: &Ending) {
        let clock = &self.engine.parts.clock;
        self.site.avoid_ipv6(clock.tick().plus(WITHOUT_IPV6), &ending.reply, clock.now());
        tracing::warn!(site = %self.site.name, reply = ending.reply, "the site refuses IPv6; its mail goes over IPv4 for a while");
    }

    /// Heeds what the site asked for.
    pub(super) async fn slow_down(&self, signal: Signal, ending: &Ending, of: Of) {
        let clock = &self.engine.parts.clock;
        let slowed = self.site.refused(signal, &ending.reply, clock.tick(), clock.now(), matches!(of, Of::Session));
        metrics::site_signal(signal.name());
        let Some(Slowed { allowance, until, waiting }) = slowed else { return };
        let (pause, per_minute) = (until.map_or(0, |until| until.since(clock.tick()).as_secs()), allowance.per_minute.unwrap_or_default().round());
        let (site, provider, signal, sessions) = (&self.site.name, &self.site.provider, signal.name(), allowance.sessions);
        tracing::warn!(%site, %provider, signal, reply = ending.reply, sessions, per_minute, pause, waiting = waiting.len(), "the site is sent less");
        if let Some(until) = until {
            self.engine.give_back(waiting, until).await;
        }
    }

    /// No session could be had: the attempt fails, and if that is no fault of the message its hosts rest.
    pub(super) async fn fail(&self, job: Job, unreached: Unreached) -> Then {
        metrics::session(SessionResult::Failed);
        let Unreached { circumstances, ending, is_of_source } = unreached;
        let Verdict { outcome, scope, min_wait, .. } = ending.verdict;
        let (open, workers) = self.site.sessions(&job.hosts);
        let is_throttle = min_wait == Some(AtLeast::Throttled);
        let signal = signal::of(&ending).filter(|_| is_throttle);
        let is_opening = matches!(ending.stage, Stage::Connect | Stage::Greeting | Stage::Ehlo);
        // Who serves others of our sessions and not this one has enough of them, whatever he says.
        let is_full = is_throttle && workers > 1 || outcome == Outcome::Deferred && scope == Scope::Host && is_opening && open > 0;
        if is_full && signal != Some(Signal::Unusual) {
            // Not an attempt: the sessions that there are go on with the queue.
            self.slow_down(Signal::TooManySessions, &ending, Of::Nobody).await;
            self.site.push_front(job);
            return Then::Part;
        }
        let is_second_look = min_wait == Some(AtLeast::SecondLook);
        let is_dns = ending.stage == Stage::Dns && outcome == Outcome::Deferred && !is_second_look;
        if is_dns && self.engine.parts.resolver.is_down().await {
            tracing::error!(domain = %job.domain, reply = ending.reply, "the DNS resolver does not work; mail waits for it, no attempt is counted");
            let until = self.rest(&job, &ending).await;
            self.engine.give_back(vec![job], until).await;
            return Then::Stay;
        }
        match signal {
            // Alone and one too many: others of our address are at it, or sessions that ended are not forgotten yet.
            Some(Signal::TooManySessions) => self.slow_down(Signal::TooFast, &ending, Of::Nobody).await,
            Some(signal) => self.slow_down(signal, &ending, Of::Nobody).await,
            // Only what leaves by these sources waits for them (see `Worker::work`).
            None if is_of_source => {}
            None if outcome == Outcome::Deferred && !is_second_look && matches!(scope, Scope::Host | Scope::Site | Scope::Us) => {
                let _until = self.rest(&job, &ending).await;
            }
            None => {}
        }
        for delivery in job.deliveries {
            self.engine.conclude(delivery, &circumstances, ending.clone()).await;
        }
        Then::Stay
    }

    /// No host could be reached: they rest, and what waits for them goes back unspent. Where the DNS is at fault, or the TLS that the
    /// domain's policy wants was not to be had, the domain alone rests: others of the same hosts have another zone and another policy.
    /// A smart host has its own of both, whatever the domain. Answers until when.
    async fn rest(&self, job: &Job, ending: &Ending) -> Tick {
        let (clock, schedule) = (&self.engine.parts.clock, &self.engine.schedule);
        let is_dns = ending.stage == Stage::Dns;
        let is_of_domain = (is_dns || ending.stage == Stage::Tls) && job.route.smart_host.is_none();
        let resting = if is_of_domain { Arc::from(job.domain.as_str()) } else { Arc::clone(&job.hosts) };
        // The DNS is asked again soon: when it is back, nothing waits for long.
        let pause = |failures| schedule.pause(if is_dns { 1 } else { failures }, clock);
        let (until, waiting) = self.site.unreachable(&resting, &ending.reply, clock.tick(), pause);
        tracing::info!(site = %self.site.name, hosts = %resting, reply = ending.reply, waiting = waiting.len(), "no host can be reached; they rest");
        self.engine.give_back(waiting, until).await;
        until
    }
}
