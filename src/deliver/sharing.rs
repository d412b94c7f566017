//! What was learned of sites, kept over restarts and shared with the other nodes.
//!
//! Answers: a site that one node found to want less gets less from all within seconds, and from a node that was just started. Only
//! changes are written, each site at most once in [`EVERY`]. How many nodes deliver, and so share the limits, is found out on the way.
//! Does not: share that hosts could not be reached: the network of another node is another network. It is written for people to read.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;

use super::engine::Engine;
use super::limits::Limits;
use super::site::{Picture, Site};
use crate::clock::{Clock, Tick};
use crate::store::site::SiteRow;
use crate::store::{Store, StoreError};
use crate::telemetry::metrics;

/// Between two exchanges.
const EVERY: Duration = Duration::from_secs(3);
/// A node that did not say so for as long delivers no more.
const SILENCE: Duration = Duration::from_secs(15);
/// After as long the database forgets a site that nobody sends to.
const FORGOTTEN: Duration = Duration::from_hours(24 * 30);
/// Exchanges between two clean-ups.
const CLEAN_UP: u32 = 200;

/// What the database told of sites that have no work in memory.
#[derive(Debug, Default)]
pub struct Known {
    rows: HashMap<Arc<str>, SiteRow>,
    read_until: Option<OffsetDateTime>,
}

impl Known {
    /// Gives a site that has just come into memory what is known of it.
    pub fn tell(&self, site: &Site, clock: &Clock) {
        if let Some(row) = self.rows.get(&site.name) {
            adopt(site, row, clock);
        }
    }

    /// Takes over what a row says, and forgets the site if that is over.
    fn learn(&mut self, row: SiteRow, now: OffsetDateTime) {
        let name: Arc<str> = row.name.as_str().into();
        if is_of_use(&row, now) {
            self.rows.insert(name, row);
        } else {
            self.rows.remove(&name);
        }
    }

    /// Forgets sites about which nothing holds any more: nobody says so of them.
    fn tidy(&mut self, now: OffsetDateTime) {
        self.rows.retain(|_, row| is_of_use(row, now));
    }
}

/// True if a site that comes into memory has to be told.
fn is_of_use(row: &SiteRow, now: OffsetDateTime) -> bool {
    let holds = |until: Option<OffsetDateTime>| until.is_some_and(|until| until > now);
    (row.slowed || holds(row.paused_until) || holds(row.without_ipv6_until)) && now - row.updated_at < FORGOTTEN
}

impl Engine {
    /// Exchanges what is learned with the other nodes until the process drains; then once more, and takes its leave.
    pub(super) async fn share(self: Arc<Self>, store: Store) {
        let mut round = 0;
        loop {
            let is_last = self.is_draining();
            if let Err(error) = self.exchange(&store).await {
                metrics::database_error(error.kind());
                tracing::warn!(%error, "what is known of sites could not be exchanged; trying again");
            }
            if round % CLEAN_UP == 0 {
                self.sites.lock().known.tidy(self.parts.clock.now());
                if let Err(error) = clean_up(&store, &self.parts.clock).await {
                    tracing::debug!(%error, "what is old stays");
                }
            }
            round += 1;
            if is_last {
                break;
            }
            tokio::select! {
                () = self.parts.clock.sleep(EVERY) => {}
                () = self.draining() => {}
            }
        }
        self.ceilings.give_back(&store).await;
        if let Err(error) = store.remove_sender(self.parts.node.incarnation()).await {
            tracing::debug!(%error, "others find out by silence that this node delivers no more");
        }
    }

    /// One exchange: who else delivers, what is new here, what is new there.
    pub(super) async fn exchange(&self, store: &Store) -> Result<(), StoreError> {
        let incarnation = self.parts.node.incarnation();
        let nodes = if self.parts.claims.orders().is_drained() {
            // What it has begun ends under the share that it had; the rest is for the others.
            store.remove_sender(incarnation).await?;
            self.sites.lock().nodes
        } else {
            usize::try_from(store.senders(incarnation, SILENCE).await?).unwrap_or(1).max(1)
        };
        let sites: Vec<Arc<Site>> = {
            let mut sites = self.sites.lock();
            if sites.nodes != nodes {
                tracing::info!(nodes, "the limits of sites are shared by so many nodes");
                sites.nodes = nodes;
            }
            sites.by_name.values().cloned().collect()
        };
        let clock = &self.parts.clock;
        let (mut slowed, mut paused) = (0, 0);
        for site in &sites {
            site.share_with(nodes);
            let now = clock.tick();
            let (is_slowed, is_paused) = site.is_held_back(now);
            slowed += usize::from(is_slowed);
            paused += usize::from(is_paused);
            let Some(picture) = site.take_news(now) else { continue };
            if let Err(error) = store.save_site(&row(site, picture, clock)).await {
                site.keep_news();
                return Err(error);
            }
        }
        metrics::sites(slowed, paused);
        let since = self.sites.lock().known.read_until;
        for row in store.sites_changed(since).await? {
            let mut sites = self.sites.lock();
            // A little before, as what began earlier may be committed later. Known rows are told twice at no harm.
            sites.known.read_until = Some(row.updated_at - EVERY);
            if let Some(site) = sites.by_name.get(row.name.as_str()) {
                adopt(site, &row, clock);
            }
            sites.known.learn(row, clock.now());
        }
        Ok(())
    }
}

async fn clean_up(store: &Store, clock: &Clock) -> Result<(), StoreError> {
    store.forget_sites().await?;
    store.forget_egress(clock.now()).await?;
    Ok(())
}

fn adopt(site: &Site, row: &SiteRow, clock: &Clock) {
    let Some(slowed_at) = row.slowed_at else { return };
    let Ok(standing) = serde_json::from_value(row.standing.clone()) else { return };
    let (now, tick) = (clock.now(), clock.tick());
    let later = |at: Option<OffsetDateTime>| at.and_then(|at| Duration::try_from(at - now).ok()).map(|wait| tick.plus(wait));
    let times = [later(row.paused_until), later(row.without_ipv6_until)];
    if site.adopt(slowed_at, standing, times, row.reason.as_deref().map(Arc::from), tick) {
        tracing::debug!(site = %site.name, reason = row.reason, "what another node learned of a site holds here too");
    }
}

fn row(site: &Site, picture: Picture, clock: &Clock) -> SiteRow {
    let (now, tick) = (clock.now(), clock.tick());
    let at = |until: Tick| now + until.since(tick);
    let (rest_until, rest_reason) = picture.resting.map(|(until, reason)| (at(until), reason.to_string())).unzip();
    SiteRow {
        name: site.name.to_string(),
        provider: site.provider.to_string(),
        limits: limits(&picture.limits),
        standing: serde_json::to_value(&picture.standing).unwrap_or_default(),
        slowed: picture.is_slowed,
        slowed_at: picture.slowed_at,
        sessions: i32::try_from(picture.allowance.sessions).unwrap_or(i32::MAX),
        per_minute: picture.allowance.per_minute,
        paused_until: picture.paused_until.map(at),
        reason: picture.reason.map(|reason| reason.to_string()),
        rest_until,
        rest_reason,
        without_ipv6_until: picture.without_ipv6_until.map(at),
        domains: picture.domains.iter().map(ToString::to_string).collect(),
        updated_at: now,
    }
}

fn limits(limits: &Limits) -> serde_json::Value {
    serde_json::json!({
        "connections": limits.connections,
        "messages_per_connection": limits.messages_per_connection,
        "messages_per_minute": limits.messages_per_minute,
        "recipients_per_transaction": limits.recipients_per_transaction,
        "idle_seconds": limits.idle.as_secs(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_of_a_site_is_forgotten_when_nothing_of_it_holds() {
        let now = OffsetDateTime::UNIX_EPOCH + Duration::from_hours(24 * 365);
        let row = |name: &str, slowed, paused_until, age| SiteRow {
            name: name.to_owned(),
            provider: "other".to_owned(),
            limits: serde_json::Value::Null,
            standing: serde_json::Value::Null,
            slowed,
            slowed_at: None,
            sessions: 1,
            per_minute: None,
            paused_until,
            reason: None,
            rest_until: None,
            rest_reason: None,
            without_ipv6_until: None,
            domains: Vec::new(),
            updated_at: now - age,
        };
        let (minute, mut known) = (Duration::from_mins(1), Known::default());
        for row in [
            row("slowed", true, None, minute),
            row("paused", false, Some(now + minute), minute),
            row("over", false, Some(now - minute), minute),
            row("open", false, None, minute),
        ] {
            known.learn(row, now);
        }
        let mut names: Vec<&str> = known.rows.keys().map(|name| &**name).collect();
        names.sort_unstable();
        assert_eq!(names, ["paused", "slowed"]);
        known.tidy(now + minute);
        assert_eq!(known.rows.len(), 1, "the pause is over");
        known.learn(row("slowed", false, None, minute), now);
        assert!(known.rows.is_empty());
        known.learn(row("slowed", true, None, minute), now);
        known.tidy(now + FORGOTTEN);
        assert!(known.rows.is_empty(), "nobody sent to it for a month");
    }
}
