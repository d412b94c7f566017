//! Obeying operators: what is paused, or what a drained node has not begun, goes back to the database.
//!
//! Answers: within about a second of an order nothing that it covers begins here. Which domains belong to a paused site is found out here,
//! when their mail comes to it, and told to the claims of all nodes; now and then it is looked whether they still do.
//! Does not: end a transaction under way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::engine::Engine;
use super::job::Job;
use super::places::place_now;
use super::site::Site;
use super::warm_up::Held;
use crate::model::{DomainName, SiteName};
use crate::store::{Store, StoreError};
use crate::telemetry::metrics;

/// How often the queues are looked through while there is an order.
const LOOK: Duration = Duration::from_secs(1);
/// How often domains are looked for whose site was found out long ago.
const WATCH: Duration = Duration::from_secs(10);
/// How long a domain is held to be at the site where it was found.
const LONG_AGO: Duration = Duration::from_mins(10);
/// How long mail waits whose way is paused, and not its domain.
const ANOTHER_LOOK: Duration = Duration::from_secs(30);
/// Domains that one look takes up.
const DOMAINS: i64 = 50;

impl Engine {
    /// Looks through the queues of all sites once a second until the drain of the process.
    pub(super) async fn obey(self: Arc<Self>) {
        while !self.is_draining() {
            if self.parts.claims.orders().any() {
                let sites: Vec<Arc<Site>> = self.sites.lock().by_name.values().cloned().collect();
                for site in sites {
                    let stopped = site.take_where(|job| self.is_stopped(&site, job));
                    self.put_aside(&site, stopped).await;
                }
            }
            tokio::select! {
                () = self.parts.clock.sleep(LOOK) => {}
                () = self.draining() => {}
            }
        }
    }

    /// True if an operator does not want a job to begin here now.
    pub(super) fn is_stopped(&self, site: &Site, job: &Job) -> bool {
        self.parts.claims.orders().stop_at(job.message.project, &job.domain, [&site.name, &job.hosts])
    }

    /// Gives back what is stopped. A claim then puts it aside; but not if it is the way of a message that is paused, while others of its project
    /// to its domain take another (a smart host that takes a share, or the overflow): that comes again after a while.
    pub(super) async fn put_aside(&self, site: &Site, jobs: Vec<Job>) {
        let orders = self.parts.claims.orders();
        let (back_soon, jobs): (Vec<Job>, Vec<Job>) =
            jobs.into_iter().partition(|job| job.route.is_one_of_several && !orders.stop(job.message.project, &job.domain));
        if !back_soon.is_empty() {
            let until = self.parts.clock.now() + ANOTHER_LOOK;
            let detail = format!("its way, by the smart host {}, is paused by an operator", site.name);
            self.note_waits(&back_soon, &Held { reason: "paused", detail, until }).await;
            self.release(back_soon, until).await;
        }
        if jobs.is_empty() {
            return;
        }
        if let Err(error) = self.tell_where(site, &jobs).await {
            metrics::database_error(error.kind());
            tracing::warn!(site = %site.name, %error, "which domains are at a paused site could not be written; it will be");
        }
        self.give_back(jobs, self.parts.clock.tick()).await;
    }

    /// Tells all claims which domains are at a paused site.
    async fn tell_where(&self, site: &Site, jobs: &[Job]) -> Result<(), StoreError> {
        let orders = self.parts.claims.orders();
        let mut found: BTreeMap<SiteName, BTreeSet<&DomainName>> = BTreeMap::new();
        for job in jobs {
            if let Some(paused) = orders.paused_site([&site.name, &job.hosts]) {
                found.entry(paused).or_default().insert(&job.domain);
            }
        }
        for (paused, domains) in found {
            let names: Vec<String> = domains.iter().map(ToString::to_string).collect();
            self.parts.store.note_paused_domains(paused.as_str(), &names, self.parts.clock.now()).await?;
            for domain in domains {
                orders.note_met(domain, &paused);
            }
        }
        Ok(())
    }

    /// Looks now and then whether domains are still at their paused site; ends with the drain of the process.
    pub(super) async fn watch_paused(self: Arc<Self>, store: Store) {
        loop {
            self.parts.clock.sleep(WATCH).await;
            if !self.parts.claims.orders().any_site() {
                continue;
            }
            if let Err(error) = self.look_where(&store).await {
                metrics::database_error(error.kind());
                tracing::warn!(%error, "domains at paused sites could not be looked at; trying again");
            }
        }
    }

    async fn look_where(&self, store: &Store) -> Result<(), StoreError> {
        let now = self.parts.clock.now();
        for row in store.paused_domains_to_look_at(now - LONG_AGO, now, DOMAINS).await? {
            let Ok(domain) = DomainName::parse(&row.domain) else { continue };
            // That mail takes a smart host is not the domain's doing: it goes on when the pause ends.
            if self.parts.egress.has_smart_host(&row.site) {
                continue;
            }
            // Who cannot be found now has not moved.
            let Some(place) = place_now(&self.parts.providers, &self.parts.resolver, self.parts.settings.sandbox, &domain).await else { continue };
            if ![&*place.site, &*place.hosts].contains(&row.site.as_str()) {
                store.forget_paused_domain(row.pause_id, &row.domain).await?;
                self.parts.claims.orders().note_left(&domain);
                tracing::info!(domain = row.domain, from = row.site, to = %place.site, "a domain has left a paused site; its mail goes on");
            }
        }
        Ok(())
    }
}
