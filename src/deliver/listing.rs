//! Our source addresses on lists of bad senders (RFC 5782): asked now and then, so that an address whose mail is refused everywhere is known.
//!
//! Answers: which sources are listed, on every node within a minute; a warning when that begins, a line when it ends. Whichever node finds a
//! check due makes it for all. Does not: believe a list that fails its test entries, or that cannot be asked now. A source that was listed stays so
//! until the list itself says otherwise: that it refuses us is no acquittal. Addresses outside the public Internet are on no list and not asked for.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;

use super::engine::Engine;
use crate::config::egress::ListingAction;
use crate::model::DomainName;
use crate::net::dial::AddressPolicy;
use crate::net::dnsbl::{self, List, Listing, Subject, Unusable};
use crate::store::StoreError;
use crate::store::egress::ListingRow;
use crate::telemetry::metrics;

/// Between two looks at what is due, and at what other nodes found.
const EVERY: Duration = Duration::from_mins(1);
/// What a check found: as the table has it.
pub const CLEAR: &str = "clear";
/// The source is on the list.
pub const LISTED: &str = "listed";
/// The list cannot be believed.
pub const UNUSABLE: &str = "unusable";

/// A source that is on a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The list, and what it says.
    pub detail: String,
    /// When it is asked again.
    pub until: OffsetDateTime,
}

impl Engine {
    /// Keeps up with the lists until the process drains.
    pub(super) async fn watch_lists(self: Arc<Self>) {
        let settings = &self.parts.settings;
        let policy = AddressPolicy { allow_private: settings.allow_private_addresses };
        let sources: BTreeSet<IpAddr> = settings.source_addresses().into_iter().filter(|address| policy.permits(*address)).collect();
        let zones: Vec<DomainName> = settings.dnsbl_zones.iter().filter_map(|zone| DomainName::parse(zone).ok()).collect();
        if sources.is_empty() || zones.is_empty() || settings.sandbox {
            return;
        }
        loop {
            if let Err(error) = self.look_at_lists(&sources, &zones).await {
                metrics::database_error(error.kind());
                tracing::warn!(%error, "what lists say of the source addresses could not be kept; trying again");
            }
            self.parts.clock.sleep(EVERY).await;
        }
    }

    async fn look_at_lists(&self, sources: &BTreeSet<IpAddr>, zones: &[DomainName]) -> Result<(), StoreError> {
        let known = self.parts.store.listings().await?;
        let (now, interval) = (self.parts.clock.now(), Duration::from_secs(self.parts.settings.dnsbl_seconds));
        let before = |source: &IpAddr, zone: &DomainName| known.iter().find(|row| row.source == source.to_string() && row.zone == zone.as_str());
        let is_due = |source: &IpAddr, zone: &DomainName| before(source, zone).is_none_or(|row| row.checked_at + interval <= now);
        let mut is_news = false;
        for zone in zones {
            let due: Vec<IpAddr> = sources.iter().copied().filter(|source| is_due(source, zone)).collect();
            if due.is_empty() {
                continue;
            }
            is_news = true;
            let list = List::Addresses(zone.clone());
            let probed = dnsbl::probe(&self.parts.resolver, &list).await;
            for source in due {
                let said = match &probed {
                    Ok(()) => dnsbl::look_up(&self.parts.resolver, &list, &Subject::Address(source)).await,
                    Err(unusable) => Err(unusable.clone()),
                };
                self.keep_listing(source, zone, said, before(&source, zone)).await?;
            }
        }
        self.adopt_listings(sources, zones, if is_news { self.parts.store.listings().await? } else { known });
        Ok(())
    }

    async fn keep_listing(
        &self,
        source: IpAddr,
        zone: &DomainName,
        said: Result<Listing, Unusable>,
        before: Option<&ListingRow>,
    ) -> Result<(), StoreError> {
        let was = before.map_or("", |row| row.state.as_str());
        let (state, detail) = match (said, before) {
            (Ok(Listing::Clear), _) => (CLEAR, String::new()),
            (Ok(Listing::Listed { codes, reason }), _) => {
                let codes = codes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
                (LISTED, if reason.is_empty() { codes } else { format!("{codes} {reason}") })
            }
            // A listing does not end because nobody answers, or because the list answers us no more.
            (Err(unusable), Some(row)) if row.state == LISTED => {
                tracing::warn!(%source, %zone, reason = %unusable, "a list of bad senders cannot be used now; a source that it listed stays listed");
                (LISTED, row.detail.clone())
            }
            (Err(Unusable::Temporary(_)), Some(row)) => (row.state.as_str(), row.detail.clone()),
            (Err(unusable), _) => (UNUSABLE, unusable.to_string()),
        };
        let pauses = self.parts.settings.dnsbl_action == ListingAction::Pause;
        match state {
            LISTED if was != LISTED => {
                let then = if pauses { "it is not used until the list lets it go" } else { "its mail goes on (delivery.dnsbl_action)" };
                tracing::warn!(%source, %zone, detail, "a source address is on a list of bad senders; {then}");
            }
            CLEAR if was == LISTED => tracing::info!(%source, %zone, "a source address is off a list of bad senders"),
            UNUSABLE if was != UNUSABLE => tracing::info!(%zone, reason = detail, "a list of bad senders cannot be used"),
            _ => {}
        }
        let now = self.parts.clock.now();
        let row = ListingRow { source: source.to_string(), zone: zone.to_string(), state: state.to_owned(), detail, since: now, checked_at: now };
        self.parts.store.put_listing(&row).await
    }

    /// What all nodes know is what holds here.
    fn adopt_listings(&self, sources: &BTreeSet<IpAddr>, zones: &[DomainName], rows: Vec<ListingRow>) {
        let interval = Duration::from_secs(self.parts.settings.dnsbl_seconds);
        let mut listed: HashMap<IpAddr, Listed> = HashMap::new();
        for row in rows {
            let Some(source) = row.source.parse::<IpAddr>().ok().filter(|source| sources.contains(source)) else { continue };
            if !zones.iter().any(|zone| zone.as_str() == row.zone) {
                continue;
            }
            let is_listed = row.state == LISTED;
            metrics::source_listed(source, &row.zone, is_listed);
            if is_listed {
                // A little more, so that the check is surely made.
                let until = row.checked_at + interval + EVERY;
                listed.entry(source).or_insert(Listed { detail: format!("{}: {}", row.zone, row.detail), until });
            }
        }
        if self.parts.settings.dnsbl_action == ListingAction::Pause {
            self.parts.egress.set_listed(listed);
        }
    }
}
