//! A worker: one session at a time to one site, transaction after transaction.
//!
//! Answers: when to connect, when to reuse, when to part. A session serves all domains with the same MX hosts, one domain a
//! transaction. One that a host closed while it was idle is replaced without counting an attempt. When no host can be reached the
//! attempt fails once and the hosts rest; what waits for them goes back unspent.

use std::collections::HashSet;
use std::sync::Arc;

use super::attempt::{Circumstances, Ending};
use super::class::Rules;
use super::connect::{Connected, Refused, SessionTls, TlsFacts};
use super::departure::Way;
use super::egress::Route;
use super::engine::Engine;
use super::fair::Work;
use super::job::Job;
use super::plan::Target;
use super::return_path;
use super::sign;
use super::signal;
use super::site::{Next, Site};
use super::throttle::Signal;
use super::verdict;
use super::warm_up::Leave;
use crate::clock::Tick;
use crate::failpoint::Failpoint;
use crate::model::message::TlsNeed;
use crate::model::outcome::{Outcome, Stage};
use crate::model::{DomainName, EmailAddress};
use crate::net::mx::MxError;
use crate::smtp::client::{End, Fault, RecipientEnd, Sent, Session, Transaction};
use crate::telemetry::metrics::{self, SessionResult};
use crate::telemetry::spans;
use tracing::Instrument;

/// A worker on its way through its site's queue.
pub(super) struct Worker {
    pub(super) engine: Arc<Engine>,
    pub(super) site: Arc<Site>,
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
    /// What its TLS is good for.
    tls: SessionTls,
    /// The MX hosts that it is good for; a job for others gets a session of its own.
    hosts: Arc<str>,
    /// The way it takes: no job of another may use it.
    route: Arc<Route>,
    /// The address it left from, and the pool and smart host.
    way: Way,
    /// Other domains whose TLS policy it satisfies.
    guests: HashSet<DomainName>,
    /// There is an address of IPv4 too.
    has_ipv4: bool,
    _count: Counted,
}

/// Counts an open session, until it is dropped.
struct Counted {
    engine: Arc<Engine>,
    site: Arc<Site>,
    hosts: Arc<str>,
}

impl Counted {
    fn new(engine: &Arc<Engine>, site: &Arc<Site>, job: &Job) -> Self {
        engine.session_opened();
        if site.opened(&job.hosts, job.domain.as_str(), engine.parts.clock.tick()) {
            // An attempt that somebody asked for found the hosts well before their time.
            job.deliveries.iter().for_each(|delivery| engine.parts.claims.resume(delivery.lane()));
        }
        Self { engine: Arc::clone(engine), site: Arc::clone(site), hosts: Arc::clone(&job.hosts) }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.engine.session_closed();
        self.site.closed(&self.hosts);
    }
}

/// Whether the session that was answered so is one of those that are open.
#[derive(Clone, Copy)]
pub(super) enum Of {
    Session,
    Nobody,
}

/// Whether a session may be used again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reuse {
    Yes,
    No,
}

/// Why no session could be had: how the attempt ends.
pub(super) struct Unreached {
    pub(super) circumstances: Circumstances,
    pub(super) ending: Ending,
    /// None of our source addresses could be used.
    pub(super) is_of_source: bool,
}

/// What a worker does after a job.
pub(super) enum Then {
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
            let open = self.open.as_ref().map(|open| (&*open.hosts, &*open.route));
            match self.site.next(open, self.engine.parts.clock.tick()) {
                Next::Job(job) => {
                    let span = spans::deliver_attempt(job.message.id, job.domain.as_str(), job.deliveries.len());
                    if matches!(self.work(job).instrument(span).await, Then::Part) {
                        break;
                    }
                }
                Next::Resting(job, until) => self.engine.give_back(vec![job], until).await,
                Next::Enough => break,
                Next::Empty => {
                    if self.open.is_none() || self.engine.is_crowded() || !self.await_work().await {
                        break;
                    }
                }
                Next::Later(at) => {
                    if self.engine.is_crowded() || !self.await_turn(at).await {
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
        }
    }

    async fn work(&mut self, job: Job) -> Then {
        let Some(job) = self.still_due(job).await else {
            self.site.give_turn_back();
            return Then::Stay;
        };
        if self.engine.parts.settings.sandbox {
            for delivery in job.deliveries {
                self.engine.keep_in_sandbox(delivery).await;
            }
            return Then::Stay;
        }
        let rest = self.engine.parts.egress.ail_until(&job.route, self.engine.parts.clock.tick());
        if let Some(until) = rest.filter(|_| !job.is_asked()) {
            // Mail that takes another way goes on.
            self.site.give_turn_back();
            self.engine.put_off(vec![job], until).await;
            return Then::Stay;
        }
        let Leave::Now(job) = self.engine.permit(&self.site, job).await else {
            self.site.give_turn_back();
            return Then::Stay;
        };
        // Not sooner: what may not leave today is not signed for nothing.
        let signed = sign::signature(&self.engine.parts.domains, &self.engine.parts.clock, &job.message).await;
        if let Err(error) = signed {
            self.site.give_turn_back();
            self.engine.leave_unsigned(job.deliveries, &error).await;
            return Then::Stay;
        }
        let (job, others) = return_path::separate(&self.engine.parts.domains, job).await;
        others.into_iter().rev().for_each(|other| self.site.push_front(other));
        if !self.is_fit(&job).await {
            self.part().await;
        }
        Failpoint::AttemptBegun.reach();
        match self.reach(&job).await {
            Ok(()) => {
                Failpoint::AttemptConnected.reach();
                if self.is_ours(&job).await {
                    self.transact(job).await;
                }
                Then::Stay
            }
            Err(unreached) => {
                self.site.give_turn_back();
                self.fail(job, *unreached).await
            }
        }
    }

    /// True if the session that is open, if there is one, may take a job.
    async fn is_fit(&mut self, job: &Job) -> bool {
        let (most, _) = self.site.session_limits();
        let Some(open) = &mut self.open else { return true };
        // The session may have left from another source than the first, which may not send this job (any more).
        let is_same_way = open.route.shares_sessions_with(&job.route) && job.route.permits(open.way.source);
        if open.used >= most || open.hosts != job.hosts || !is_same_way {
            return false;
        }
        let need = job.message.tls;
        let is_known = open.tls.serves(&job.domain, need) || need == TlsNeed::ByPolicy && open.guests.contains(&job.domain);
        if !is_known {
            if !self.engine.may_share(&open.tls, &open.target, job).await {
                return false;
            }
            open.guests.insert(job.domain.clone());
        }
        // Looked at before it is used: a message sent at once into a session that the host has closed would have an unknown outcome.
        open.session.is_alive()
    }

    /// Leaves out what expired, and everything if this node may not send now or an operator stopped it.
    async fn still_due(&self, job: Job) -> Option<Job> {
        let (now, may_expire) = (self.engine.parts.clock.now(), self.engine.parts.node.may_expire());
        let Job { message, domain, hosts, route, deliveries } = job;
        let (late, due): (Vec<_>, Vec<_>) = deliveries.into_iter().partition(|delivery| may_expire && delivery.expires_at <= now);
        for delivery in late {
            self.engine.expire(delivery).await;
        }
        let owner = due.first().map(|delivery| delivery.owner)?;
        if !self.engine.parts.node.may_send(owner) {
            tracing::warn!(deliveries = due.len(), "the heartbeat is late; nothing is sent until it is confirmed");
            return None;
        }
        let job = Job { message, domain, hosts, route, deliveries: due };
        if self.engine.is_stopped(&self.site, &job) {
            self.engine.put_aside(&self.site, vec![job]).await;
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
        ours && !self.engine.is_stopped(&self.site, job)
    }

    /// Makes sure that a session is open: tries the targets in order until one answers.
    async fn reach(&mut self, job: &Job) -> Result<(), Box<Unreached>> {
        if self.open.is_some() {
            metrics::session(SessionResult::Reused);
            return Ok(());
        }
        let parts = &self.engine.parts;
        let mut circumstances = Circumstances {
            at: parts.clock.now(),
            started: parts.clock.tick(),
            mx_host: None,
            mx_ip: None,
            tls: TlsFacts::default(),
            way: Way::of(&job.route),
            passes_reports: false,
            transcript: Vec::new(),
        };
        let targets = match self.engine.targets(&job.domain, job.priority(), &job.route).await {
            Ok(targets) => self.without_refused_paths(targets),
            Err(error) => {
                return Err(Box::new(Unreached { circumstances, ending: unfound(&self.engine.parts.rules, &error), is_of_source: false }));
            }
        };
        let has_ipv4 = targets.iter().any(|target| target.address.is_ipv4());
        let mut worst: Option<(Refused, Target)> = None;
        let wanted = self.engine.domain_tls(job).await;
        for target in targets {
            match self.engine.connect(&wanted, &target, &mut circumstances.transcript).instrument(spans::deliver_session(&target.host)).await {
                Ok(connected) => {
                    self.open = Some(self.opened(job, connected, target, circumstances, has_ipv4));
                    return Ok(());
                }
                // A host that may answer later outweighs one that refuses for good: then the message waits.
                Err(refused) => {
                    let is_deferral = |refused: &Refused| refused.ending.verdict.outcome == Outcome::Deferred;
                    let keep = worst.as_ref().is_some_and(|(kept, _)| is_deferral(kept) && !is_deferral(&refused));
                    let is_our_login = refused.ending.stage == Stage::Auth;
                    if !keep {
                        worst = Some((refused, target));
                    }
                    // Another address of the smart host would say the same, and count it as another guess.
                    if is_our_login {
                        break;
                    }
                }
            }
        }
        let (ending, is_of_source) = match worst {
            Some((Refused { ending, facts, from, is_of_source }, target)) => {
                circumstances.tls = facts;
                circumstances.way.source = from;
                circumstances.mx_host = Some(target.host);
                circumstances.mx_ip = Some(target.address.ip());
                (ending, is_of_source)
            }
            None => (unfound(&self.engine.parts.rules, &MxError::NoUsableHost), false),
        };
        Err(Box::new(Unreached { circumstances, ending, is_of_source }))
    }

    /// A session that was just opened for a job.
    fn opened(&self, job: &Job, connected: Connected, target: Target, circumstances: Circumstances, has_ipv4: bool) -> Open {
        let Connected { session, tls, from } = connected;
        Open {
            hosts: self.engine.hosts_of(job, &target.host),
            session,
            target,
            opening: circumstances.transcript,
            used: 0,
            tls,
            route: Arc::clone(&job.route),
            way: Way { source: from, ..circumstances.way },
            guests: HashSet::new(),
            has_ipv4,
            _count: Counted::new(&self.engine, &self.site, job),
        }
    }

    /// The targets without those whose way was refused, if others are left.
    fn without_refused_paths(&self, targets: Vec<Target>) -> Vec<Target> {
        let has_ipv4 = targets.iter().any(|target| target.address.is_ipv4());
        if !has_ipv4 || !self.site.avoids_ipv6(self.engine.parts.clock.tick()) {
            return targets;
        }
        targets.into_iter().filter(|target| target.address.is_ipv4()).collect()
    }

    /// Sends one transaction and writes how each recipient fared.
    async fn transact(&mut self, job: Job) {
        let clock = self.engine.parts.clock.clone();
        let (at, started) = (clock.now(), clock.tick());
        let from = self.open.as_ref().and_then(|open| open.way.source);
        let Some(job) = self.engine.within_ceiling(&self.site, from, job) else { return self.part().await };
        let reverse_path = return_path::of(&self.engine.parts.domains, &job).await;
        let Some(open) = self.open.as_mut() else { return };
        let message = Arc::clone(&job.message);
        let signature = message.signature.get().map_or(&[][..], |fields| &fields[..]);
        let recipients: Vec<EmailAddress> = job.deliveries.iter().map(|delivery| delivery.recipient.clone()).collect();
        let transaction = Transaction {
            reverse_path: &reverse_path,
            recipients: &recipients,
            content: &[signature, &message.content],
            size: signature.len() + message.content.len(),
            eight_bit: message.eight_bit,
            smtputf8: message.smtputf8,
            require_tls: message.tls == TlsNeed::Required,
            reports: message.reports.as_deref(),
        };
        let sent = open.session.send(&transaction).instrument(spans::deliver_transaction(&open.target.host, transaction.size)).await;
        Failpoint::AttemptAnswered.reach();
        let reused = open.used > 0;
        open.used += 1;
        let mut transcript = std::mem::take(&mut open.opening);
        transcript.append(&mut open.session.take_transcript());
        if reused && was_not_begun(&sent) {
            // The host ended the session between two messages, or would not hear another: not an attempt. Start over in a fresh one.
            self.open = None;
            self.engine.unspend(&self.site, &job.route, from, job.deliveries.len());
            self.site.give_turn_back();
            self.site.push_front(job);
            return;
        }
        let circumstances = Circumstances {
            at,
            started,
            mx_host: Some(open.target.host.clone()),
            mx_ip: Some(open.target.address.ip()),
            tls: open.tls.facts.clone(),
            way: open.way.clone(),
            passes_reports: message.reports.is_some() && open.session.offers_reports(),
            transcript,
        };
        if self.conclude_all(job, sent, &circumstances).await == Reuse::No {
            self.part().await;
        }
    }

    /// Writes how each recipient fared, and heeds what the site asks for. Answers whether the session may be used again.
    async fn conclude_all(&self, job: Job, sent: Sent, circumstances: &Circumstances) -> Reuse {
        let Job { message, domain, hosts, route, deliveries } = job;
        let progress = sent.recipients.iter().any(|end| !matches!(end.end, End::NotTried(_)));
        let is_shared = sent.recipients.iter().filter(|end| !matches!(end.stage, Stage::Mail | Stage::Rcpt)).count() > 1;
        let may_avoid_ipv6 = self.open.as_ref().is_some_and(|open| open.target.address.is_ipv6() && open.has_ipv4);
        let (mut again, mut untried, mut refused_ipv6, mut delivered) = (Vec::new(), 0, None, false);
        let mut gravest: Option<(Signal, Ending)> = None;
        for (delivery, RecipientEnd { stage, end }) in deliveries.into_iter().zip(sent.recipients) {
            match end {
                // "Too many recipients": those behind the limit follow at once in a transaction of their own.
                End::NotTried(_) if progress => {
                    again.push(delivery);
                    untried += 1;
                }
                end => {
                    let verdict = verdict::verdict(&self.engine.parts.rules, stage, &end, circumstances.mx_host.as_deref());
                    let verdict = if is_shared && stage != Stage::Rcpt { verdict.of_several() } else { verdict };
                    let ending = Ending { stage, reply: end.to_string(), verdict };
                    if may_avoid_ipv6 && signal::refuses_ipv6(&ending) {
                        // Not an attempt: it is the way that was refused, and there is another.
                        again.push(delivery);
                        refused_ipv6 = Some(ending);
                        continue;
                    }
                    delivered |= ending.verdict.outcome == Outcome::Delivered;
                    if let Some(signal) = signal::graver(gravest.as_ref().map(|(signal, _)| *signal), signal::of(&ending))
                        && gravest.as_ref().is_none_or(|(known, _)| *known != signal)
                    {
                        gravest = Some((signal, ending.clone()));
                    }
                    self.engine.conclude(delivery, circumstances, ending).await;
                }
            }
        }
        if let Some(ending) = &refused_ipv6 {
            self.avoid_ipv6(ending);
        }
        // They pay for their place below the ceiling when they are tried.
        self.engine.unspend(&self.site, &route, circumstances.way.source, untried);
        if !again.is_empty() {
            self.site.push_front(Job { message, domain, hosts, route, deliveries: again });
        }
        if delivered && self.site.succeeded(self.engine.parts.clock.tick()) {
            tracing::info!(site = %self.site.name, "the site takes mail up to its limits again");
        }
        if let Some((signal, ending)) = gravest {
            self.slow_down(signal, &ending, Of::Session).await;
        }
        if refused_ipv6.is_some() { Reuse::No } else { Reuse::Yes }
    }

    /// Waits for work as long as an idle session is kept. False: none came.
    async fn await_work(&self) -> bool {
        let (_, idle) = self.site.session_limits();
        tokio::select! {
            arrived = self.engine.parts.clock.timeout(idle, self.site.arrival()) => arrived.is_ok(),
            () = self.engine.draining() => false,
        }
    }

    /// Waits for the time of the next message. False: that is so far off that no session is kept for it.
    async fn await_turn(&self, at: Tick) -> bool {
        let (clock, (_, idle)) = (&self.engine.parts.clock, self.site.session_limits());
        if at.since(clock.tick()) > idle {
            return false;
        }
        tokio::select! {
            () = clock.sleep_until(at) => true,
            () = self.engine.draining() => false,
        }
    }
}

/// How an attempt ends that found no host.
fn unfound(rules: &Rules, error: &MxError) -> Ending {
    Ending { stage: Stage::Dns, reply: error.to_string(), verdict: verdict::verdict(rules, Stage::Dns, error, None) }
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
