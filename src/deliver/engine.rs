//! The engine: sorts arriving claims by recipient domain and keeps the right number of workers on each.
//!
//! Answers: who works on what. A worker is one session at a time to one domain; a process has at most `max_connections`
//! of them and a domain at most `max_connections_per_domain`. Domains that got no worker wait in turn.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::schedule::Schedule;
use super::site::{Job, Site};
use super::worker::Worker;
use crate::clock::{Clock, Tick};
use crate::config;
use crate::domains::Domains;
use crate::model::{DomainName, MessageId};
use crate::net::dns::Resolver;
use crate::net::own::OwnAddresses;
use crate::net::tls::ClientTls;
use crate::outbox::handoff::Arrivals;
use crate::outbox::node::Node;
use crate::outbox::settle::Settler;
use crate::outbox::{ClaimedDelivery, Claims};
use crate::smtp::timeouts::Timeouts;
use crate::supervisor::Supervisor;
use crate::telemetry::metrics::{self, SessionResult};

/// Sites remembered before those that need nothing are looked for.
const MANY_SITES: usize = 4_096;

/// What the engine works with.
#[derive(Debug)]
pub struct EngineParts {
    /// `[delivery]`
    pub settings: config::Delivery,
    /// Our EHLO name.
    pub hostname: String,
    /// Time.
    pub clock: Clock,
    /// DNS.
    pub resolver: Resolver,
    /// DKIM keys.
    pub domains: Domains,
    /// The books of what is in memory.
    pub claims: Arc<Claims>,
    /// Whether we may send.
    pub node: Arc<Node>,
    /// Where outcomes go.
    pub settler: Settler,
    /// Time limits of SMTP.
    pub timeouts: Timeouts,
    /// Opportunistic TLS.
    pub tls: ClientTls,
}

/// The engine. Shared by its workers.
#[derive(Debug)]
pub struct Engine {
    pub(super) parts: EngineParts,
    pub(super) schedule: Schedule,
    pub(super) own: OwnAddresses,
    supervisor: Supervisor,
    sites: Mutex<HashMap<DomainName, Arc<Site>>>,
    waiting: Mutex<VecDeque<Arc<Site>>>,
    workers: AtomicUsize,
    sessions: AtomicUsize,
}

impl Engine {
    /// An engine at rest.
    #[must_use]
    pub fn new(parts: EngineParts, supervisor: Supervisor) -> Arc<Self> {
        let schedule = Schedule::new(&parts.settings);
        let own = OwnAddresses::new(parts.hostname.clone(), &parts.settings.egress);
        Arc::new(Self {
            parts,
            schedule,
            own,
            supervisor,
            sites: Mutex::default(),
            waiting: Mutex::default(),
            workers: AtomicUsize::new(0),
            sessions: AtomicUsize::new(0),
        })
    }

    /// Takes claims until nobody can give any more.
    pub async fn run(self: Arc<Self>, mut arrivals: Arrivals) {
        self.supervisor.spawn("orders", Arc::clone(&self).obey());
        loop {
            let group = tokio::select! {
                group = arrivals.next() => group,
                () = self.supervisor.draining() => break,
            };
            let Some(group) = group else { return };
            for (domain, job) in jobs(group, self.parts.settings.max_recipients_per_transaction) {
                self.arrive(domain, job);
            }
        }
        let sites: Vec<_> = self.sites.lock().drain().map(|(_, site)| site).collect();
        let unspent: Vec<Job> = sites.iter().flat_map(|site| site.take_all()).collect();
        tracing::debug!(jobs = unspent.len(), "giving back what was not begun");
        self.give_back(unspent, self.parts.clock.tick()).await;
        // What still comes is dropped, and so given back.
        while arrivals.next().await.is_some() {}
    }

    fn arrive(self: &Arc<Self>, domain: DomainName, job: Job) {
        let site = {
            let mut sites = self.sites.lock();
            let site = Arc::clone(sites.entry(domain.clone()).or_insert_with(|| Site::new(domain)));
            // Under the lock, so that the site cannot be forgotten between finding it and giving it work.
            site.push(job);
            site
        };
        self.staff(&site);
    }

    /// Starts a worker for a site if it needs one and there is a place; else the site waits its turn.
    pub(super) fn staff(self: &Arc<Self>, site: &Arc<Site>) {
        let now = self.parts.clock.tick();
        if let Some((until, jobs)) = site.take_if_resting(now) {
            let engine = Arc::clone(self);
            if !jobs.is_empty() {
                self.supervisor.spawn("give back", async move { engine.give_back(jobs, until).await });
            }
            return;
        }
        if self.workers.load(Ordering::Acquire) >= self.parts.settings.max_connections {
            let mut waiting = self.waiting.lock();
            if !waiting.iter().any(|other| Arc::ptr_eq(other, site)) {
                waiting.push_back(Arc::clone(site));
            }
            return;
        }
        if site.hire(self.parts.settings.max_connections_per_domain, now) {
            self.workers.fetch_add(1, Ordering::AcqRel);
            let worker = Worker::new(Arc::clone(self), Arc::clone(site));
            self.supervisor.spawn("delivery worker", worker.run());
        }
    }

    /// Counts a worker out and gives its place to the site that waited longest.
    pub(super) fn dismiss(self: &Arc<Self>, site: &Arc<Site>) {
        self.workers.fetch_sub(1, Ordering::AcqRel);
        site.dismiss();
        self.staff(site);
        self.forget(site);
        let next = self.waiting.lock().pop_front();
        if let Some(next) = next {
            self.staff(&next);
        }
    }

    /// Forgets a site that needs nothing, and now and then all such sites.
    fn forget(&self, site: &Site) {
        let now = self.parts.clock.tick();
        let mut sites = self.sites.lock();
        if site.is_forgettable(now) {
            sites.remove(&site.domain);
        }
        if sites.len() > MANY_SITES {
            sites.retain(|_, other| !other.is_forgettable(now));
        }
    }

    /// Gives jobs back to the database, not due before `until`: no attempt was made.
    pub(super) async fn give_back(&self, jobs: Vec<Job>, until: Tick) {
        let refs: Vec<_> = jobs.iter().flat_map(|job| &job.deliveries).map(|delivery| (delivery.owner, delivery.id())).collect();
        if refs.is_empty() {
            return;
        }
        let clock = &self.parts.clock;
        match self.parts.node.release(&refs, clock.now() + until.since(clock.tick())).await {
            Ok(_) => jobs.into_iter().flat_map(|job| job.deliveries).for_each(|mut delivery| delivery.mark_settled()),
            // Dropped unsettled, they are given back with the next heartbeat.
            Err(error) => tracing::warn!(%error, "deliveries could not be given back at once"),
        }
    }

    /// Counts an opened session in.
    pub(super) fn session_opened(&self) {
        metrics::session(SessionResult::Opened);
        metrics::open_sessions(self.sessions.fetch_add(1, Ordering::AcqRel) + 1);
    }

    /// Counts an ended session out.
    pub(super) fn session_closed(&self) {
        metrics::open_sessions(self.sessions.fetch_sub(1, Ordering::AcqRel).saturating_sub(1));
    }

    /// True if another site waits for a worker's place: an idle session should end.
    pub(super) fn is_crowded(&self) -> bool {
        !self.waiting.lock().is_empty()
    }

    /// The sites known now.
    pub(super) fn sites(&self) -> Vec<Arc<Site>> {
        self.sites.lock().values().cloned().collect()
    }

    /// True if no new transaction may begin.
    pub(super) fn is_draining(&self) -> bool {
        self.supervisor.is_draining()
    }

    /// Ends when no new transaction may begin.
    pub(super) async fn draining(&self) {
        self.supervisor.draining().await;
    }
}

/// Groups claims into transactions: one message, one recipient domain, at most `limit` recipients.
fn jobs(group: Vec<ClaimedDelivery>, limit: usize) -> Vec<(DomainName, Job)> {
    let mut jobs: Vec<(DomainName, Job)> = Vec::with_capacity(group.len());
    let mut open: HashMap<(MessageId, DomainName), usize> = HashMap::new();
    for delivery in group {
        let domain = delivery.recipient.domain().clone();
        let place = (delivery.message.id, domain.clone());
        if let Some((_, job)) = open.get(&place).and_then(|index| jobs.get_mut(*index))
            && job.deliveries.len() < limit
        {
            job.deliveries.push(delivery);
            continue;
        }
        open.insert(place, jobs.len());
        jobs.push((domain, Job { message: Arc::clone(&delivery.message), deliveries: vec![delivery] }));
    }
    jobs
}
