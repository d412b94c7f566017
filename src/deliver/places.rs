//! Which site the mail of a domain goes to: looked up when its first mail comes, kept for a minute, looked up again behind the scenes.
//!
//! Answers: the place of a domain, or that its mail has to wait for a look-up that is under way. A domain whose MX hosts cannot be found
//! is a site of its own, where the attempt finds the reason and `verdict` judges it.
//! Does not: keep anything for long: the DNS may change, and a session is opened by what it says then.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::engine::Engine;
use super::job::Job;
use super::limits::{Place, Providers};
use crate::clock::Tick;
use crate::model::DomainName;
use crate::net::dns::Resolver;
use crate::net::mx;
use crate::telemetry::spans;
use tracing::Instrument;

/// How long a place is used without looking again.
const FRESH: Duration = Duration::from_mins(1);
/// Places remembered before those that are not used are dropped.
const MANY: usize = 16_384;

/// The places of domains.
#[derive(Debug, Default)]
pub struct Places {
    entries: Mutex<HashMap<DomainName, Entry>>,
}

#[derive(Debug)]
struct Entry {
    place: Option<Place>,
    looked_at: Tick,
    looking: bool,
    /// Jobs that came before there was a place.
    waiting: Vec<Job>,
}

/// What to do with a job.
#[derive(Debug)]
pub enum Placed {
    /// It goes there.
    There(Place, Job),
    /// It waits for the look-up.
    Waits,
}

/// Whether a place that was looked up long ago is used while it is looked up again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stale {
    /// It is.
    Used,
    /// The job waits: a site is paused, and the domain may have come to it or left it.
    Refused,
}

impl Places {
    /// The place of a job's domain. True beside it: the caller has to look it up (again).
    pub fn place(&self, job: Job, now: Tick, stale: Stale) -> (Placed, bool) {
        let mut entries = self.entries.lock();
        let entry = entries.entry(job.domain.clone()).or_insert_with(|| Entry { place: None, looked_at: now, looking: false, waiting: Vec::new() });
        let is_stale = entry.place.is_none() || now.since(entry.looked_at) >= FRESH;
        if is_stale && stale == Stale::Refused {
            entry.place = None;
        }
        let look = is_stale && !entry.looking;
        entry.looking |= look;
        if let Some(place) = &entry.place {
            return (Placed::There(place.clone(), job), look);
        }
        entry.waiting.push(job);
        (Placed::Waits, look)
    }

    /// Notes where a domain's mail goes, and answers what waited to know.
    #[must_use]
    pub fn found(&self, domain: &DomainName, place: Option<Place>, now: Tick) -> Vec<Job> {
        let mut entries = self.entries.lock();
        let Some(entry) = entries.get_mut(domain) else { return Vec::new() };
        (entry.looked_at, entry.looking) = (now, false);
        let waiting = std::mem::take(&mut entry.waiting);
        match place {
            Some(place) => entry.place = Some(place),
            // Asked again with the next job.
            None => drop(entries.remove(domain)),
        }
        if entries.len() > MANY {
            entries.retain(|_, entry| entry.looking || now.since(entry.looked_at) < FRESH);
        }
        waiting
    }

    /// Forgets where a domain's mail goes: its hosts changed.
    pub fn forget(&self, domain: &DomainName) {
        if let Some(entry) = self.entries.lock().get_mut(domain) {
            entry.looked_at = Tick::START;
        }
    }

    /// Takes out all that waits for a look-up.
    #[must_use]
    pub fn take_all(&self) -> Vec<Job> {
        self.entries.lock().values_mut().flat_map(|entry| std::mem::take(&mut entry.waiting)).collect()
    }
}

impl Engine {
    /// Takes a job in: to its site, or to wait until that is known.
    pub(super) fn arrive(self: &Arc<Self>, job: Job) {
        // Nothing is looked up where nothing depends on it.
        if let Some(place) = self.sandbox_place(&job.domain) {
            return self.push(&place, vec![job]);
        }
        if let Some(place) = job.route.smart_host.as_ref().map(|host| host.place(&self.parts.providers).clone()) {
            return self.push(&place, vec![job]);
        }
        let domain = job.domain.clone();
        let stale = if self.parts.claims.orders().any_site() { Stale::Refused } else { Stale::Used };
        let (placed, look) = self.places.place(job, self.parts.clock.tick(), stale);
        if look {
            let engine = Arc::clone(self);
            self.spawn("look-up of a place", async move { engine.look_up(&domain).await });
        }
        if let Placed::There(place, job) = placed {
            self.push(&place, vec![job]);
        }
    }

    /// The place of a domain where all mail stays in the sandbox.
    pub(super) fn sandbox_place(&self, domain: &DomainName) -> Option<Place> {
        self.parts.settings.sandbox.then(|| self.parts.providers.place([domain.as_str()]))
    }

    /// What a session to `host`, opened for a job, is good for: other jobs for the same hosts, if it is one of them. Else the domain's
    /// hosts have changed since its place was found, and the session is for this job alone.
    pub(super) fn hosts_of(&self, job: &Job, host: &str) -> Arc<str> {
        let is_known = job.hosts.split(',').any(|known| known.eq_ignore_ascii_case(host)) || job.route.smart_host.is_some();
        if is_known {
            return Arc::clone(&job.hosts);
        }
        self.places.forget(&job.domain);
        Arc::from("")
    }

    async fn look_up(self: &Arc<Self>, domain: &DomainName) {
        let parts = &self.parts;
        let _permit = self.lookups.acquire().await;
        let hosts = mx::host_names(&parts.resolver, domain).instrument(spans::deliver_lookup(domain.as_str())).await;
        let place = hosts.ok().map(|hosts| parts.providers.place(hosts.iter().map(String::as_str)));
        let waiting = self.places.found(domain, place.clone(), parts.clock.tick());
        let place = place.unwrap_or_else(|| parts.providers.place([domain.as_str()]));
        self.push(&place, waiting);
    }
}

/// The place of a domain by what the DNS says now; none: it says nothing, or that there is none.
pub async fn place_now(providers: &Providers, resolver: &Resolver, sandbox: bool, domain: &DomainName) -> Option<Place> {
    if sandbox {
        return Some(providers.place([domain.as_str()]));
    }
    let hosts = mx::host_names(resolver, domain).await.ok()?;
    Some(providers.place(hosts.iter().map(String::as_str)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::config::Config;

    #[test]
    fn a_place_is_looked_up_once_and_again_when_it_is_old() {
        let (places, start) = (Places::default(), Clock::system().tick());
        let domain = DomainName::parse("a.example").unwrap();
        let job = || Job::for_tests(&domain);
        assert!(matches!(places.place(job(), start, Stale::Used), (Placed::Waits, true)));
        assert!(matches!(places.place(job(), start, Stale::Used), (Placed::Waits, false)), "under way");
        let place = Providers::load(&Config::default().delivery).unwrap().place(["mx.a.example"]);
        assert_eq!(places.found(&domain, Some(place.clone()), start).len(), 2);
        assert!(matches!(places.place(job(), start, Stale::Used), (Placed::There(there, _), false) if there == place));
        let later = start.plus(FRESH);
        assert!(matches!(places.place(job(), later, Stale::Used), (Placed::There(..), true)), "used meanwhile");
        assert!(matches!(places.place(job(), later, Stale::Used), (Placed::There(..), false)));
        assert!(places.found(&domain, Some(place), later).is_empty());
        let old = later.plus(FRESH);
        assert!(matches!(places.place(job(), old, Stale::Refused), (Placed::Waits, true)), "not used while a site is paused");
        assert_eq!(places.found(&domain, None, old).len(), 1);
        assert!(matches!(places.place(job(), later, Stale::Used), (Placed::Waits, true)), "not found: asked again");
        assert_eq!(places.take_all().len(), 1);
    }
}
