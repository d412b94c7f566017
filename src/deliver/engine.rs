//! The engine: sorts arriving claims by site and keeps the right number of workers on each.
//!
//! Answers: who works on what. A worker is one session at a time to one site; a process has at most `max_connections`
//! of them and a site as many as its throttle allows. Sites that got no worker wait in turn.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use time::OffsetDateTime;
use tokio::sync::Semaphore;

use super::class::Rules;
use super::egress::Egress;
use super::job::Job;
use super::limits::{Place, Providers};
use super::missing::Missing;
use super::places::Places;
use super::schedule::Schedule;
use super::sharing::Known;
use super::site::{Hire, Site};
use super::warm_up::Ceilings;
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
use crate::outbox::{ClaimedDelivery, Claims, Hurry, Seen};
use crate::smtp::timeouts::Timeouts;
use crate::store::Store;
use crate::supervisor::Supervisor;
use crate::telemetry::metrics::{self, SessionResult};
use crate::transit::Transit;

/// Sites remembered before those that need nothing are looked for.
const MANY_SITES: usize = 4_096;
/// Look-ups of MX hosts at once, so that a slow name server holds few of them up.
const LOOKUPS: usize = 256;

/// What the engine works with.
#[derive(Debug)]
pub struct EngineParts {
    /// `[delivery]`
    pub settings: config::Delivery,
    /// Our EHLO name.
    pub hostname: String,
    /// The ways out.
    pub egress: Egress,
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
    /// The database, for what is known of sites.
    pub store: Store,
    /// Where outcomes go.
    pub settler: Settler,
    /// Time limits of SMTP.
    pub timeouts: Timeouts,
    /// Opportunistic TLS.
    pub tls: ClientTls,
    /// What replies mean.
    pub rules: Arc<Rules>,
    /// Limits of providers.
    pub providers: Providers,
    /// What is known about TLS with the world's hosts.
    pub transit: Transit,
}

/// The sites with work in memory, or something to remember.
#[derive(Debug)]
pub(super) struct Sites {
    pub(super) by_name: HashMap<Arc<str>, Arc<Site>>,
    /// Nodes that share their limits.
    pub(super) nodes: usize,
    /// What the database told of sites.
    pub(super) known: Known,
    /// No site takes work any more.
    is_closed: bool,
}

/// The engine. Shared by its workers.
#[derive(Debug)]
pub struct Engine {
    pub(super) parts: EngineParts,
    pub(super) schedule: Schedule,
    pub(super) own: OwnAddresses,
    /// What sources that warm up may send.
    pub(super) ceilings: Ceilings,
    supervisor: Supervisor,
    pub(super) places: Places,
    pub(super) missing: Mutex<HashMap<DomainName, Missing>>,
    /// Look-ups of places at once.
    pub(super) lookups: Semaphore,
    pub(super) sites: Mutex<Sites>,
    waiting: Mutex<VecDeque<Arc<Site>>>,
    workers: AtomicUsize,
    sessions: AtomicUsize,
}

impl Engine {
    /// An engine at rest.
    #[must_use]
    pub fn new(parts: EngineParts, supervisor: Supervisor) -> Arc<Self> {
        let schedule = Schedule::new(&parts.settings);
        let own = OwnAddresses::new(parts.hostname.clone(), &parts.settings.source_addresses());
        Arc::new(Self {
            parts,
            schedule,
            own,
            ceilings: Ceilings::default(),
            supervisor,
            places: Places::default(),
            missing: Mutex::default(),
            lookups: Semaphore::new(LOOKUPS),
            sites: Mutex::new(Sites { by_name: HashMap::new(), nodes: 1, known: Known::default(), is_closed: false }),
            waiting: Mutex::default(),
            workers: AtomicUsize::new(0),
            sessions: AtomicUsize::new(0),
        })
    }

    /// Takes claims until nobody can give any more.
    pub async fn run(self: Arc<Self>, mut arrivals: Arrivals) {
        self.supervisor.spawn("orders", Arc::clone(&self).obey());
        let store = self.parts.store.clone();
        self.spawn("domains of paused sites", Arc::clone(&self).watch_paused(store.clone()));
        if let Err(error) = self.exchange(&store).await {
            tracing::warn!(%error, "what is known of sites could not be read; it will be");
        }
        self.supervisor.spawn("sharing of sites", Arc::clone(&self).share(store));
        let engine = Arc::clone(&self);
        self.spawn("lists of bad senders", async move { engine.watch_lists().await });
        loop {
            let group = tokio::select! {
                group = arrivals.next() => group,
                () = self.supervisor.draining() => break,
            };
            let Some(group) = group else { return };
            for job in jobs(group, self.parts.settings.max_recipients_per_transaction, &self.parts.egress) {
                self.arrive(job);
            }
        }
        let sites: Vec<_> = {
            let mut sites = self.sites.lock();
            sites.is_closed = true;
            sites.by_name.drain().map(|(_, site)| site).collect()
        };
        let mut unspent: Vec<Job> = sites.iter().flat_map(|site| site.take_all()).collect();
        unspent.extend(self.places.take_all());
        tracing::debug!(jobs = unspent.len(), "giving back what was not begun");
        self.give_back(unspent, self.parts.clock.tick()).await;
        // What still comes is dropped, and so given back.
        while arrivals.next().await.is_some() {}
    }

    /// Gives jobs to the site of a place.
    pub(super) fn push(self: &Arc<Self>, place: &Place, jobs: Vec<Job>) {
        if jobs.is_empty() {
            return;
        }
        let site = {
            let mut sites = self.sites.lock();
            if sites.is_closed {
                return;
            }
            let Sites { by_name, nodes, known, .. } = &mut *sites;
            let site = by_name.entry(Arc::clone(&place.site)).or_insert_with(|| {
                let site = Site::new(place, *nodes);
                known.tell(&site, &self.parts.clock);
                site
            });
            // Under the lock, so that the site cannot be forgotten between finding it and giving it work.
            jobs.into_iter().flat_map(|job| fitting(job, place)).for_each(|job| site.push(job));
            Arc::clone(site)
        };
        self.staff(&site);
    }

    /// Starts a worker for a site if it needs one and there is a place; else the site waits its turn.
    pub(super) fn staff(self: &Arc<Self>, site: &Arc<Site>) {
        let now = self.parts.clock.tick();
        for (until, jobs) in site.take_hopeless(now) {
            let engine = Arc::clone(self);
            self.spawn("give back", async move { engine.give_back(jobs, until).await });
        }
        if !site.has_work() {
            return;
        }
        if self.workers.load(Ordering::Acquire) >= self.parts.settings.max_connections {
            let mut waiting = self.waiting.lock();
            if !waiting.iter().any(|other| Arc::ptr_eq(other, site)) {
                waiting.push_back(Arc::clone(site));
            }
            return;
        }
        match site.hire(now) {
            Hire::Yes => {
                self.workers.fetch_add(1, Ordering::AcqRel);
                let worker = Worker::new(Arc::clone(self), Arc::clone(site));
                self.supervisor.spawn("delivery worker", worker.run());
            }
            Hire::At(at) if site.set_alarm(at, now) => {
                let (engine, site) = (Arc::clone(self), Arc::clone(site));
                self.spawn("alarm of a site", async move {
                    engine.parts.clock.sleep_until(at).await;
                    engine.staff(&site);
                });
            }
            Hire::At(_) | Hire::No => {}
        }
    }

    /// Runs `work` in the background, until the process drains.
    pub(super) fn spawn(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let supervisor = self.supervisor.clone();
        self.supervisor.spawn(name, async move {
            tokio::select! {
                () = work => {}
                () = supervisor.draining() => {}
            }
        });
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
    fn forget(&self, site: &Arc<Site>) {
        let now = self.parts.clock.tick();
        let mut sites = self.sites.lock();
        if site.is_forgettable(now) && sites.by_name.get(&site.name).is_some_and(|known| Arc::ptr_eq(known, site)) {
            sites.by_name.remove(&site.name);
        }
        if sites.by_name.len() > MANY_SITES {
            sites.by_name.retain(|_, other| !other.is_forgettable(now));
        }
    }

    /// Gives jobs back to the database, not due before `until`: no attempt was made. Their lanes wait as long, if all mail in them goes
    /// to the same hosts.
    pub(super) async fn give_back(&self, jobs: Vec<Job>, until: Tick) {
        if until > self.parts.clock.tick() {
            let alike = jobs.iter().filter(|job| !job.route.is_one_of_several);
            let lanes: HashSet<i32> = alike.flat_map(|job| &job.deliveries).map(ClaimedDelivery::lane).collect();
            for lane in lanes {
                self.parts.claims.pause(lane, until);
            }
        }
        self.put_off(jobs, until).await;
    }

    /// Gives these jobs back to the database, not due before `until`, and says nothing about others in their lanes.
    pub(super) async fn put_off(&self, jobs: Vec<Job>, until: Tick) {
        let clock = &self.parts.clock;
        self.release(jobs, clock.now() + until.since(clock.tick())).await;
    }

    /// As [`Engine::put_off`], until a time.
    pub(super) async fn release(&self, jobs: Vec<Job>, until: OffsetDateTime) {
        let refs: Vec<_> = jobs.iter().flat_map(|job| &job.deliveries).map(|delivery| (delivery.owner, delivery.id())).collect();
        if refs.is_empty() {
            return;
        }
        // Whoever waits for these has waited enough: they are held back.
        for (_, id) in &refs {
            self.parts.claims.witnesses().tell(*id, Seen::Waits);
        }
        match self.parts.node.release(&refs, until).await {
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
fn jobs(group: Vec<ClaimedDelivery>, limit: usize, egress: &Egress) -> Vec<Job> {
    let mut jobs: Vec<Job> = Vec::with_capacity(group.len());
    let mut open: HashMap<(MessageId, DomainName, Hurry), usize> = HashMap::new();
    for delivery in group {
        let domain = delivery.recipient.domain().clone();
        let place = (delivery.message.id, domain.clone(), delivery.hurry);
        if let Some(job) = open.get(&place).and_then(|index| jobs.get_mut(*index))
            && job.deliveries.len() < limit
        {
            job.deliveries.push(delivery);
            continue;
        }
        open.insert(place, jobs.len());
        let route = Arc::new(egress.route(&delivery.message, &domain));
        jobs.push(Job { message: Arc::clone(&delivery.message), hosts: Arc::from(""), route, domain, deliveries: vec![delivery] });
    }
    jobs
}

/// A job as its site takes it: in transactions of as many recipients as the provider bears.
fn fitting(job: Job, place: &Place) -> Vec<Job> {
    let Job { message, domain, route, mut deliveries, .. } = job;
    let mut out = Vec::with_capacity(1);
    while !deliveries.is_empty() {
        let rest = deliveries.split_off(deliveries.len().min(place.limits.recipients_per_transaction.max(1)));
        let (message, domain, hosts, route) = (Arc::clone(&message), domain.clone(), Arc::clone(&place.hosts), Arc::clone(&route));
        out.push(Job { message, domain, hosts, route, deliveries });
        deliveries = rest;
    }
    out
}
