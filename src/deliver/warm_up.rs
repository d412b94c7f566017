//! Which of a job's sources may send it now: those that warm up as far as their ceilings go, those on a list of bad senders not at all.
//!
//! Answers: the sources that are left, the warming ones first, so that they get what they may; another way out (the smart host that takes
//! the overflow) where none is left; or until when the mail waits, and why. A ceiling is shared by all nodes: each takes a small part of it
//! from the database at a time, so that it holds exactly, over restarts and without a write for each message.
//! Does not: bind mail that goes by a smart host: the receivers see the smart host's address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use time::{Date, OffsetDateTime, Time};

use super::egress::{Route, Source};
use super::engine::Engine;
use super::job::Job;
use super::limits::{EVERYBODY_ELSE, SMART_HOST};
use super::site::Site;
use crate::clock::Tick;
use crate::net::mx::MxError;
use crate::store::egress::WaitRow;
use crate::store::{Store, StoreError};
use crate::telemetry::metrics::{self, Overflow};

/// Of a ceiling, one part in so many is taken from the database at once.
const PARTS: u64 = 20;
/// How long a ceiling that was found used up is not asked for again: other nodes may give back.
const USED_UP: Duration = Duration::from_mins(1);
/// Before mail is tried again when the database did not answer.
const NO_ANSWER: Duration = Duration::from_secs(10);

/// What a node may send, of the ceilings of sources that warm up.
#[derive(Debug, Default)]
pub(super) struct Ceilings {
    leases: Mutex<Leases>,
}

/// What is left of one day's ceilings, by source and provider. That of other days is worth nothing, and forgotten.
#[derive(Debug, Default)]
struct Leases {
    day: Option<Date>,
    of: HashMap<(IpAddr, Arc<str>), Lease>,
}

impl Leases {
    /// Those of a day; none of another.
    fn on(&mut self, day: Date) -> Option<&mut HashMap<(IpAddr, Arc<str>), Lease>> {
        (self.day == Some(day)).then_some(&mut self.of)
    }

    /// Those of a day, which begins if it is another.
    fn begin(&mut self, day: Date) -> &mut HashMap<(IpAddr, Arc<str>), Lease> {
        if self.day != Some(day) {
            (self.day, self.of) = (Some(day), HashMap::new());
        }
        &mut self.of
    }
}

#[derive(Debug, Default)]
struct Lease {
    left: u64,
    /// Nothing is left of the ceiling; looked at again then.
    used_up_until: Option<Tick>,
}

impl Ceilings {
    /// Makes sure that something is left for a source today, `want` if possible. False: its ceiling is used up.
    async fn ensure(&self, store: &Store, of: &Ceiling<'_>, want: u64, now: Tick) -> Result<bool, StoreError> {
        let key = (of.source, Arc::clone(of.provider));
        if let Some(lease) = self.leases.lock().on(of.day).and_then(|leases| leases.get(&key)) {
            if lease.left >= want {
                return Ok(true);
            }
            if lease.used_up_until.is_some_and(|until| until > now) {
                return Ok(lease.left > 0);
            }
        }
        let want = whole(want.max(of.most / PARTS).max(1));
        let granted = store.take_warm_up(of.day, &of.source.to_string(), of.provider, want, whole(of.most)).await?;
        let mut leases = self.leases.lock();
        let lease = leases.begin(of.day).entry(key).or_default();
        lease.left += u64::try_from(granted).unwrap_or(0);
        lease.used_up_until = (granted < want).then(|| now.plus(USED_UP));
        Ok(lease.left > 0)
    }

    /// Spends up to `want`; answers how much.
    fn spend(&self, source: IpAddr, provider: &Arc<str>, day: Date, want: u64) -> u64 {
        let mut leases = self.leases.lock();
        let Some(lease) = leases.on(day).and_then(|leases| leases.get_mut(&(source, Arc::clone(provider)))) else { return 0 };
        let spent = want.min(lease.left);
        lease.left -= spent;
        spent
    }

    /// Takes back what was spent and not sent.
    fn unspend(&self, source: IpAddr, provider: &Arc<str>, day: Date, unsent: u64) {
        if let Some(lease) = self.leases.lock().on(day).and_then(|leases| leases.get_mut(&(source, Arc::clone(provider)))) {
            lease.left += unsent;
        }
    }

    /// Gives the database back what is left.
    pub(super) async fn give_back(&self, store: &Store) {
        let Leases { day, of } = std::mem::take(&mut *self.leases.lock());
        let Some(day) = day else { return };
        for ((source, provider), lease) in of.into_iter().filter(|(_, lease)| lease.left > 0) {
            if let Err(error) = store.give_warm_up_back(day, &source.to_string(), &provider, whole(lease.left)).await {
                tracing::debug!(%error, %source, "a part of a ceiling is lost for today");
            }
        }
    }
}

/// The ceiling of a source for a provider.
struct Ceiling<'c> {
    source: IpAddr,
    provider: &'c Arc<str>,
    day: Date,
    most: u64,
}

/// What keeps mail from its way.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) reason: &'static str,
    pub(super) detail: String,
    pub(super) until: OffsetDateTime,
}

/// What becomes of a job.
pub(super) enum Leave {
    /// It goes, by the sources that are left.
    Now(Job),
    /// Not now: it was taken care of.
    Elsewhere,
}

impl Engine {
    /// Keeps a job to the sources that may send it now.
    pub(super) async fn permit(self: &Arc<Self>, site: &Site, job: Job) -> Leave {
        let egress = &self.parts.egress;
        if job.route.smart_host.is_some() || job.route.sources.is_empty() || !egress.binds() {
            return Leave::Now(job);
        }
        let (usable, mut held) = match self.usable(site, &job).await {
            Ok(sorted) => sorted,
            Err(error) => {
                metrics::database_error(error.kind());
                tracing::warn!(%error, "the ceilings of warming sources cannot be read; mail waits");
                self.put_off(vec![job], self.parts.clock.tick().plus(NO_ANSWER)).await;
                return Leave::Elsewhere;
            }
        };
        if held.is_empty() && usable == job.route.sources {
            return Leave::Now(job);
        }
        let route = Arc::new(Route { sources: usable, ..Route::clone(&job.route) });
        if route.sources.is_empty() || !held.is_empty() && self.lacks_a_family(&job, &route).await {
            held.sort_by_key(|held| held.until);
            let Some(first) = held.into_iter().next() else { return Leave::Now(job) };
            self.detour(site, job, &first).await;
            return Leave::Elsewhere;
        }
        if job.route.sources.first().is_some_and(|first| !route.sources.contains(first)) {
            metrics::overflow(Overflow::OtherSource, job.deliveries.len());
        }
        Leave::Now(Job { route, ..job })
    }

    /// The sources that may send a job: the warming ones, then the others; and what keeps the rest.
    async fn usable(&self, site: &Site, job: &Job) -> Result<(Vec<Arc<Source>>, Vec<Held>), StoreError> {
        let (now, tick) = (self.parts.clock.now(), self.parts.clock.tick());
        let (mut warming, mut others, mut held) = (Vec::new(), Vec::new(), Vec::new());
        for source in &job.route.sources {
            if let Some(listed) = self.parts.egress.listed(source.address) {
                let detail = format!("the source address {} is listed by {}", source.address, listed.detail);
                held.push(Held { reason: "source_listed", detail, until: listed.until.max(now + Duration::from_mins(1)) });
                continue;
            }
            let Some(most) = source.warm_up_for(counted(site)).and_then(|schedule| schedule.ceiling(now.date())) else {
                others.push(Arc::clone(source));
                continue;
            };
            let ceiling = Ceiling { source: source.address, provider: counted(site), day: now.date(), most };
            if self.ceilings.ensure(&self.parts.store, &ceiling, recipients(job), tick).await? {
                warming.push(Arc::clone(source));
            } else {
                let detail =
                    format!("the source address {} warms up: its {most} recipients of today for {} are used up", source.address, counted(site));
                held.push(Held { reason: "warming_up", detail, until: tomorrow(now) });
            }
        }
        warming.append(&mut others);
        Ok((warming, held))
    }

    /// True if a job's hosts have only addresses of the IP version whose sources are all held.
    async fn lacks_a_family(&self, job: &Job, route: &Route) -> bool {
        let has = |sources: &[Arc<Source>], is_v4: bool| sources.iter().any(|source| source.address.is_ipv4() == is_v4);
        let is_lost = |is_v4| has(&job.route.sources, is_v4) && !has(&route.sources, is_v4);
        if !is_lost(true) && !is_lost(false) {
            return false;
        }
        let priority = super::fair::Work::priority(job);
        matches!(self.targets(&job.domain, priority, route).await, Err(MxError::NoUsableHost))
            && !matches!(self.targets(&job.domain, priority, &job.route).await, Err(MxError::NoUsableHost))
    }

    /// Sends a job, and those behind it that leave by the same sources, by the smart host that takes the overflow; or lets them wait.
    async fn detour(self: &Arc<Self>, site: &Site, job: Job, held: &Held) {
        let (pool, hosts) = (job.route.pool.clone(), Arc::clone(&job.hosts));
        let mut jobs = site.take_where(|other| other.route.pool == pool && other.hosts == hosts && other.route.smart_host.is_none());
        jobs.push(job);
        let mut waiting = Vec::new();
        for job in jobs {
            match self.parts.egress.overflow(&job.message, &job.domain, &job.route) {
                Some(route) => {
                    metrics::overflow(Overflow::SmartHost, job.deliveries.len());
                    self.arrive(Job { route: Arc::new(route), ..job });
                }
                None => waiting.push(job),
            }
        }
        metrics::overflow(Overflow::Waits, waiting.iter().map(|job| job.deliveries.len()).sum());
        tracing::info!(site = %site.name, pool = pool.as_deref(), waiting = waiting.len(), reason = held.detail, "no source may send it now");
        self.note_waits(&waiting, held).await;
        self.release(waiting, held.until).await;
    }

    /// Writes down, for people who ask, what these jobs wait for: once for each project, stream and domain.
    pub(super) async fn note_waits(&self, jobs: &[Job], held: &Held) {
        let mut noted = std::collections::HashSet::new();
        for job in jobs {
            if !noted.insert((job.message.project, &job.message.stream, &job.domain)) {
                continue;
            }
            let row = WaitRow { domain: job.domain.to_string(), reason: held.reason.to_owned(), detail: held.detail.clone(), until: held.until };
            if let Err(error) = self.parts.store.put_egress_wait(job.message.project.uuid(), &job.message.stream, &row).await {
                tracing::debug!(%error, "why mail waits could not be written down");
            }
        }
    }

    /// Of a job that is about to leave from `source` the recipients that its ceiling has room for; the others go back into the queue. None:
    /// others were quicker.
    pub(super) fn within_ceiling(&self, site: &Site, source: Option<IpAddr>, mut job: Job) -> Option<Job> {
        let room = self.spend(site, &job.route, source, job.deliveries.len());
        if room == 0 {
            site.give_turn_back();
            site.push_front(job);
            return None;
        }
        if room < job.deliveries.len() {
            let deliveries = job.deliveries.split_off(room);
            let (message, domain, hosts, route) = (Arc::clone(&job.message), job.domain.clone(), Arc::clone(&job.hosts), Arc::clone(&job.route));
            site.push_front(Job { message, domain, hosts, route, deliveries });
        }
        Some(job)
    }

    /// Of the recipients of a job that is about to leave from `source`, how many may: all, where it does not warm up.
    fn spend(&self, site: &Site, route: &Route, source: Option<IpAddr>, recipients: usize) -> usize {
        match self.warming(site, route, source) {
            Some(source) => {
                let spent = self.ceilings.spend(source, counted(site), self.parts.clock.now().date(), recipients as u64);
                usize::try_from(spent).unwrap_or(usize::MAX)
            }
            None => recipients,
        }
    }

    /// Takes back what was spent for recipients that were not tried.
    pub(super) fn unspend(&self, site: &Site, route: &Route, source: Option<IpAddr>, recipients: usize) {
        if recipients > 0
            && let Some(source) = self.warming(site, route, source)
        {
            self.ceilings.unspend(source, counted(site), self.parts.clock.now().date(), recipients as u64);
        }
    }

    /// The source, if it warms up for a site.
    fn warming(&self, site: &Site, route: &Route, source: Option<IpAddr>) -> Option<IpAddr> {
        let source = route.sources.iter().find(|known| route.smart_host.is_none() && Some(known.address) == source)?;
        let schedule = source.warm_up_for(counted(site))?;
        schedule.ceiling(self.parts.clock.now().date()).map(|_| source.address)
    }
}

/// What counts together: all sites of a provider, or the site of one that is in no table.
fn counted(site: &Site) -> &Arc<str> {
    if matches!(&*site.provider, EVERYBODY_ELSE | SMART_HOST) { &site.name } else { &site.provider }
}

fn recipients(job: &Job) -> u64 {
    job.deliveries.len() as u64
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The beginning of the next day.
fn tomorrow(now: OffsetDateTime) -> OffsetDateTime {
    now.date().next_day().unwrap_or(now.date()).with_time(Time::MIDNIGHT).assume_utc()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_of_yesterday_is_neither_spent_nor_kept() {
        let (ceilings, provider): (Ceilings, Arc<str>) = (Ceilings::default(), Arc::from("google"));
        let source: IpAddr = "192.0.2.1".parse().unwrap();
        let today = time::macros::date!(2026 - 12 - 01);
        let tomorrow = time::macros::date!(2026 - 12 - 02);
        for (number, day) in [today, today, tomorrow].into_iter().enumerate() {
            let key = (IpAddr::from([192, 0, 2, u8::try_from(number).unwrap()]), Arc::clone(&provider));
            ceilings.leases.lock().begin(day).entry(key).or_default().left = 5;
        }
        assert_eq!(ceilings.leases.lock().of.len(), 1, "those of yesterday are forgotten");
        assert_eq!(ceilings.spend("192.0.2.2".parse().unwrap(), &provider, today, 1), 0);
        assert_eq!(ceilings.spend(source, &provider, tomorrow, 1), 0);
        let source: IpAddr = "192.0.2.2".parse().unwrap();
        ceilings.unspend(source, &provider, today, 9);
        assert_eq!(ceilings.spend(source, &provider, tomorrow, 9), 5);
    }
}
