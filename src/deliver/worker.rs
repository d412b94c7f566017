//! A worker: one session at a time to one domain, transaction after transaction.
//!
//! Answers: when to connect, when to reuse, when to part. A session that a host closed while it was idle is replaced without
//! counting an attempt. When no host can be reached the attempt fails once and the domain rests; the rest of its queue goes
//! back unspent.

use std::sync::Arc;
use std::time::Duration;

use super::attempt::{Circumstances, Ending};
use super::engine::Engine;
use super::plan::Target;
use super::sign;
use super::site::{Job, Next, Site};
use super::verdict::{self, AtLeast, Verdict};
use crate::model::EmailAddress;
use crate::model::message::Priority;
use crate::model::outcome::{Outcome, Scope, Stage};
use crate::net::dial;
use crate::net::mx::MxError;
use crate::smtp::client::{Cause, End, Fault, RecipientEnd, Sent, Session, Settings, TlsUse, Transaction};
use crate::telemetry::metrics::{self, SessionResult};
use crate::telemetry::spans;
use tracing::Instrument;

/// A worker on its way through its site's queue.
pub(super) struct Worker {
    engine: Arc<Engine>,
    site: Arc<Site>,
    open: Option<Open>,
}

/// An open session.
struct Open {
    session: Session,
    target: Target,
    /// How it was opened, told with its first transaction.
    opening: Vec<String>,
    /// Transactions made in it.
    used: usize,
}

/// Why no session could be had: how the attempt ends.
struct Unreached {
    circumstances: Circumstances,
    ending: Ending,
}

/// What a worker does after a job.
enum Then {
    /// Asks for the next.
    Stay,
    /// Ends: the hosts bear fewer sessions than there are.
    Part,
}

/// Counts the worker out, however it ends.
struct Dismissal(Arc<Engine>, Arc<Site>);

impl Drop for Dismissal {
    fn drop(&mut self) {
        self.0.dismiss(&self.1);
    }
}

impl Worker {
    pub(super) const fn new(engine: Arc<Engine>, site: Arc<Site>) -> Self {
        Self { engine, site, open: None }
    }

    pub(super) async fn run(mut self) {
        let _dismissal = Dismissal(Arc::clone(&self.engine), Arc::clone(&self.site));
        while !self.engine.is_draining() {
            match self.site.next(self.engine.parts.clock.tick()) {
                Next::Job(job) => {
                    let span = spans::deliver_attempt(job.message.id, self.site.domain.as_str(), job.deliveries.len());
                    if matches!(self.work(job).instrument(span).await, Then::Part) {
                        break;
                    }
                }
                Next::Paused => break,
                Next::Empty => {
                    if self.open.is_none() || self.engine.is_crowded() || !await_work(&self.engine, &self.site).await {
                        break;
                    }
                }
            }
        }
        self.part().await;
    }

    async fn part(&mut self) {
        if let Some(open) = self.open.take() {
            open.session.quit().await;
            self.engine.session_closed();
        }
    }

    async fn work(&mut self, job: Job) -> Then {
        let Some(job) = self.still_due(job).await else { return Then::Stay };
        if self.engine.parts.settings.sandbox {
            for delivery in job.deliveries {
                self.engine.keep_in_sandbox(delivery).await;
            }
            return Then::Stay;
        }
        let signed = sign::signature(&self.engine.parts.domains, &self.engine.parts.clock, &job.message).await;
        if let Err(error) = signed {
            self.engine.leave_unsigned(job.deliveries, &error).await;
            return Then::Stay;
        }
        let most = self.engine.parts.settings.max_messages_per_connection;
        // Looked at before it is used: a message sent at once into a session that the host has closed would have an unknown outcome.
        if self.open.as_mut().is_some_and(|open| open.used >= most || !open.session.is_alive()) {
            self.part().await;
        }
        match self.reach(job.priority()).await {
            Ok(()) => {
                if self.is_ours(&job).await {
                    self.transact(job).await;
                }
                Then::Stay
            }
            Err(unreached) => self.fail(job, *unreached).await,
        }
    }

    /// Leaves out what expired, and everything if this node may not send now or an operator stopped it.
    async fn still_due(&self, job: Job) -> Option<Job> {
        let (now, may_expire) = (self.engine.parts.clock.now(), self.engine.parts.node.may_expire());
        let Job { message, deliveries } = job;
        let (late, due): (Vec<_>, Vec<_>) = deliveries.into_iter().partition(|delivery| may_expire && delivery.expires_at <= now);
        for delivery in late {
            self.engine.expire(delivery).await;
        }
        let owner = due.first().map(|delivery| delivery.owner)?;
        if !self.engine.parts.node.may_send(owner) {
            tracing::warn!(deliveries = due.len(), "the heartbeat is late; nothing is sent until it is confirmed");
            return None;
        }
        let job = Job { message, deliveries: due };
        if self.engine.parts.claims.orders().stop(job.message.project, &self.site.domain) {
            self.engine.give_back(vec![job], self.engine.parts.clock.tick()).await;
            return None;
        }
        Some(job)
    }

    /// True if the job is ours still and nobody stopped it: opening a session may have taken minutes, in which others took the work over. If the heartbeat
    /// is late the next one decides; without it the job is dropped, and so given back unspent.
    async fn is_ours(&self, job: &Job) -> bool {
        let Some(owner) = job.deliveries.first().map(|delivery| delivery.owner) else { return false };
        let ours = self.engine.parts.node.may_send_soon(owner).await;
        if !ours {
            tracing::warn!(deliveries = job.deliveries.len(), "the heartbeat was not confirmed while the session opened; nothing is sent");
        }
        ours && !self.engine.parts.claims.orders().stop(job.message.project, &self.site.domain)
    }

    /// Makes sure that a session is open: tries the targets in order until one answers.
    async fn reach(&mut self, priority: Priority) -> Result<(), Box<Unreached>> {
        if self.open.is_some() {
            metrics::session(SessionResult::Reused);
            return Ok(());
        }
        let parts = &self.engine.parts;
        let mut circumstances =
            Circumstances { at: parts.clock.now(), started: parts.clock.tick(), mx_host: None, mx_ip: None, tls: None, transcript: Vec::new() };
        let targets = match self.engine.targets(&self.site, priority).await {
            Ok(targets) => targets,
            Err(error) => {
                let ending = Ending { stage: Stage::Dns, reply: error.to_string(), verdict: verdict::verdict(Stage::Dns, &error) };
                return Err(Box::new(Unreached { circumstances, ending }));
            }
        };
        let mut worst: Option<(Ending, Target)> = None;
        for target in targets {
            match self.open_session(&target, &mut circumstances.transcript).instrument(spans::deliver_session(&target.host)).await {
                Ok(session) => {
                    self.engine.session_opened();
                    self.site.reached();
                    self.open = Some(Open { session, target, opening: std::mem::take(&mut circumstances.transcript), used: 0 });
                    return Ok(());
                }
                // A host that may answer later outweighs one that refuses for good: then the message waits.
                Err(ending) => {
                    let keep = worst
                        .as_ref()
                        .is_some_and(|(kept, _)| kept.verdict.outcome == Outcome::Deferred && ending.verdict.outcome != Outcome::Deferred);
                    if !keep {
                        worst = Some((ending, target));
                    }
                }
            }
        }
        let ending = match worst {
            Some((ending, target)) => {
                circumstances.mx_host = Some(target.host);
                circumstances.mx_ip = Some(target.address.ip());
                ending
            }
            None => {
                Ending { stage: Stage::Dns, reply: MxError::NoUsableHost.to_string(), verdict: verdict::verdict(Stage::Dns, &MxError::NoUsableHost) }
            }
        };
        Err(Box::new(Unreached { circumstances, ending }))
    }

    async fn open_session(&self, target: &Target, transcript: &mut Vec<String>) -> Result<Session, Ending> {
        let first = self.try_session(target, TlsUse::Opportunistic(Arc::clone(&self.engine.parts.tls)), transcript).await;
        match first {
            // Opportunistic TLS (RFC 7435): a handshake that fails must not keep the message from being sent at all.
            Err(ending) if ending.stage == Stage::Tls => {
                tracing::info!(host = target.host, reply = ending.reply, "TLS failed; trying again in the clear");
                self.try_session(target, TlsUse::Off, transcript).await
            }
            other => other,
        }
    }

    async fn try_session(&self, target: &Target, tls: TlsUse, transcript: &mut Vec<String>) -> Result<Session, Ending> {
        let parts = &self.engine.parts;
        let stream = dial::connect(target.address, target.source, parts.timeouts.connect, &parts.clock).await.map_err(|error| {
            transcript.push(format!("* {}: {error}", target.address));
            Ending { stage: Stage::Connect, reply: error.to_string(), verdict: verdict::verdict(Stage::Connect, &error) }
        })?;
        transcript.push(format!("* connected to {} [{}]", target.host, target.address));
        let settings = Settings { ehlo_name: parts.hostname.clone(), tls, timeouts: parts.timeouts, server_name: target.host.clone() };
        match Session::open(stream, &settings, &parts.clock).await {
            Ok(mut session) => {
                transcript.append(&mut session.take_transcript());
                Ok(session)
            }
            Err(mut failure) => {
                transcript.append(&mut failure.transcript);
                if let Cause::Fault(fault) = &failure.cause {
                    transcript.push(format!("* {fault}"));
                }
                Err(Ending { stage: failure.stage, reply: failure.cause.to_string(), verdict: verdict::verdict(failure.stage, &failure.cause) })
            }
        }
    }

    /// Sends one transaction and writes how each recipient fared.
    async fn transact(&mut self, job: Job) {
        let clock = self.engine.parts.clock.clone();
        let (at, started) = (clock.now(), clock.tick());
        let Some(open) = self.open.as_mut() else { return };
        let message = Arc::clone(&job.message);
        let signature = message.signature.get().map_or(&[][..], |fields| &fields[..]);
        let recipients: Vec<EmailAddress> = job.deliveries.iter().map(|delivery| delivery.recipient.clone()).collect();
        let transaction = Transaction {
            reverse_path: &message.reverse_path,
            recipients: &recipients,
            content: &[signature, &message.content],
            size: signature.len() + message.content.len(),
            eight_bit: message.eight_bit,
            smtputf8: message.smtputf8,
        };
        let sent = open.session.send(&transaction).instrument(spans::deliver_transaction(&open.target.host, transaction.size)).await;
        let reused = open.used > 0;
        open.used += 1;
        let mut transcript = std::mem::take(&mut open.opening);
        transcript.append(&mut open.session.take_transcript());
        if reused && was_not_begun(&sent) {
            // The host ended the session between two messages, or would not hear another: not an attempt. Start over in a fresh one.
            self.open = None;
            self.engine.session_closed();
            self.site.push_front(job);
            return;
        }
        let circumstances = Circumstances {
            at,
            started,
            mx_host: Some(open.target.host.clone()),
            mx_ip: Some(open.target.address.ip()),
            tls: open.session.tls_facts().map(str::to_owned),
            transcript,
        };
        self.conclude_all(job, sent, &circumstances).await;
    }

    async fn conclude_all(&self, job: Job, sent: Sent, circumstances: &Circumstances) {
        let Job { message, deliveries } = job;
        let progress = sent.recipients.iter().any(|end| !matches!(end.end, End::NotTried(_)));
        let mut again = Vec::new();
        let mut slow = None;
        for (delivery, RecipientEnd { stage, end }) in deliveries.into_iter().zip(sent.recipients) {
            match end {
                // "Too many recipients": those behind the limit follow at once in a transaction of their own.
                End::NotTried(_) if progress => again.push(delivery),
                end => {
                    let ending = Ending { stage, reply: end.to_string(), verdict: verdict::verdict(stage, &end) };
                    if ending.verdict.is_about_all_our_mail() {
                        slow = Some(ending.clone());
                    }
                    self.engine.conclude(delivery, circumstances, ending).await;
                }
            }
        }
        if !again.is_empty() {
            self.site.push_front(Job { message, deliveries: again });
        }
        if let Some(ending) = slow {
            self.slow_down(&ending).await;
        }
    }

    /// The hosts want less mail of ours, or none: the domain rests, whoever its recipients are.
    async fn slow_down(&self, ending: &Ending) {
        let clock = &self.engine.parts.clock;
        let until = clock.tick().plus(self.engine.schedule.rest(ending.verdict.min_wait, clock));
        let waiting = self.site.slow_down(until);
        self.engine.parts.claims.pause(self.site.domain.lane(), until);
        tracing::warn!(domain = %self.site.domain, reply = ending.reply, waiting = waiting.len(), "the hosts hold our mail back; the domain rests");
        self.engine.give_back(waiting, until).await;
    }

    /// No session could be had: the attempt fails, and if that is no fault of the message the site rests.
    async fn fail(&self, job: Job, unreached: Unreached) -> Then {
        metrics::session(SessionResult::Failed);
        let Unreached { circumstances, ending } = unreached;
        let is_throttle = ending.verdict.min_wait == Some(AtLeast::Throttled);
        if is_throttle && self.site.bears_no_more(self.engine.parts.clock.tick()) {
            // Not an attempt: the sessions that there are go on with the queue.
            self.site.push_front(job);
            return Then::Part;
        }
        let Verdict { outcome, scope, .. } = ending.verdict;
        let is_second_look = ending.verdict.min_wait == Some(AtLeast::SecondLook);
        let is_dns = ending.stage == Stage::Dns && outcome == Outcome::Deferred && !is_second_look;
        if is_dns && self.engine.parts.resolver.is_down().await {
            tracing::error!(domain = %self.site.domain, reply = ending.reply, "the DNS resolver does not work; mail waits for it, no attempt is counted");
            self.site.push_front(job);
            self.rest(&ending).await;
            return Then::Stay;
        }
        if is_throttle {
            self.slow_down(&ending).await;
        } else if outcome == Outcome::Deferred && !is_second_look && matches!(scope, Scope::Host | Scope::Site | Scope::Us) {
            self.rest(&ending).await;
        }
        for delivery in job.deliveries {
            self.engine.conclude(delivery, &circumstances, ending.clone()).await;
        }
        Then::Stay
    }
}

impl Worker {
    /// No host could be reached: the domain rests, and what waits for it goes back unspent.
    async fn rest(&self, ending: &Ending) {
        let (clock, schedule) = (&self.engine.parts.clock, &self.engine.schedule);
        let (until, waiting) = self.site.rest(|failures| {
            // The DNS is asked again soon: when it is back, nothing waits for long.
            let failures = if ending.stage == Stage::Dns { 1 } else { failures };
            clock.tick().plus(schedule.pause(failures, clock))
        });
        self.engine.parts.claims.pause(self.site.domain.lane(), until);
        tracing::info!(domain = %self.site.domain, reply = ending.reply, waiting = waiting.len(), "no host can be reached; the domain rests");
        self.engine.give_back(waiting, until).await;
    }
}

/// Waits for work as long as an idle session is kept. False: none came.
async fn await_work(engine: &Engine, site: &Site) -> bool {
    let idle = Duration::from_secs(engine.parts.settings.idle_seconds);
    tokio::select! {
        arrived = engine.parts.clock.timeout(idle, site.arrival()) => arrived.is_ok(),
        () = engine.draining() => false,
    }
}

/// True if a session ended before the host can have begun the transaction.
fn was_not_begun(sent: &Sent) -> bool {
    sent.recipients.iter().all(|recipient| {
        recipient.stage == Stage::Mail
            && match &recipient.end {
                // Not tried: RSET was refused.
                End::Fault(Fault::Disconnected | Fault::Io(_)) | End::NotTried(_) => true,
                End::Reply(reply) => reply.code == 421,
                End::Fault(_) => false,
            }
    })
}
