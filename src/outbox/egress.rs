//! Source addresses as people see them: which pool they are in, how they stand, what they sent today of what they may.
//!
//! Answers: that, from the configuration and what nodes wrote down. Does not: change anything.

use std::net::IpAddr;

use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::Outbox;
use crate::config::Delivery;
use crate::config::egress::{ListingAction, Source};
use crate::store::StoreError;
use crate::store::egress::{FailureRow, ListingRow, WarmUpRow};

/// How a source stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SourceState {
    /// It is used.
    Ok,
    /// It is used, within the ceilings of its days.
    Warming,
    /// A list of bad senders has it.
    Listed,
    /// A node could not use it, and passes it over for a while.
    Failing,
}

/// What a list of bad senders says of a source.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ListingView {
    /// The list.
    pub zone: String,
    /// `clear`, `listed`, or `unusable`: the list cannot be believed.
    pub state: String,
    /// The list's codes and reason, or why it cannot be used.
    pub detail: String,
    /// Since when it says so.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub since: OffsetDateTime,
    /// When it was asked last.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub checked_at: OffsetDateTime,
}

/// What a warming source may send today.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct WarmUpView {
    /// The provider or site; null: each of the others.
    pub provider: Option<String>,
    /// Recipients today (UTC), with those that nodes have set aside to send next; null for `provider` null.
    pub sent: Option<u64>,
    /// Recipients at most today.
    pub ceiling: u64,
}

/// A source address.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SourceView {
    /// The address.
    #[schema(value_type = String)]
    pub address: IpAddr,
    /// Its pool.
    pub pool: String,
    /// Our name in EHLO from there.
    pub ehlo_name: String,
    /// Its share of the pool's mail, as weighed against the others.
    pub weight: u32,
    /// It is of another host, reached through a proxy.
    pub via_proxy: bool,
    /// How it stands.
    pub state: SourceState,
    /// No mail leaves from it.
    pub paused: bool,
    /// Why it is failing or listed.
    pub reason: Option<String>,
    /// What lists of bad senders say.
    pub listings: Vec<ListingView>,
    /// Its ceilings of today; none: it may send all there is.
    pub warm_up: Vec<WarmUpView>,
}

/// What nodes wrote down about sources.
struct Written {
    now: OffsetDateTime,
    counts: Vec<WarmUpRow>,
    listings: Vec<ListingRow>,
    failures: Vec<FailureRow>,
}

impl Outbox {
    /// The source addresses of `[delivery]`, as they stand; `hostname` is the name of those without one.
    pub async fn sources(&self, delivery: &Delivery, hostname: &str) -> Result<Vec<SourceView>, StoreError> {
        let now = self.clock.now();
        let written = Written {
            now,
            counts: self.store.warm_up_of(now.date()).await?,
            listings: self.store.listings().await?,
            failures: self.store.source_failures(now).await?,
        };
        let pauses = delivery.dnsbl_action == ListingAction::Pause;
        let listings = |address: &str| -> Vec<ListingView> {
            let rows = written.listings.iter().filter(|row| row.source == address && delivery.dnsbl_zones.contains(&row.zone));
            rows.cloned().map(listing).collect()
        };
        Ok(delivery.sources().into_iter().map(|source| view(source, hostname, pauses, listings, &written)).collect())
    }
}

fn view(source: Source, hostname: &str, pauses: bool, listings: impl Fn(&str) -> Vec<ListingView>, written: &Written) -> SourceView {
    let address = source.address.to_string();
    let listings = listings(&address);
    let failure = written.failures.iter().find(|row| row.source == address).map(|row| row.reason.clone());
    let listed = listings.iter().find(|listing| listing.state == "listed").map(|listing| format!("{}: {}", listing.zone, listing.detail));
    let warm_up = ceilings(&source, written);
    let state = match (&failure, &listed, warm_up.is_empty()) {
        (Some(_), _, _) => SourceState::Failing,
        (_, Some(_), _) => SourceState::Listed,
        (_, _, false) => SourceState::Warming,
        (None, None, true) => SourceState::Ok,
    };
    SourceView {
        address: source.address,
        pool: source.pool,
        ehlo_name: if source.ehlo_name.is_empty() { hostname.to_owned() } else { source.ehlo_name },
        weight: source.weight,
        via_proxy: !source.proxy.is_empty(),
        state,
        paused: failure.is_some() || listed.is_some() && pauses,
        reason: failure.or(listed),
        listings,
        warm_up,
    }
}

/// The ceilings of today: those that were drawn on, those that name somebody, and the one for all others.
fn ceilings(source: &Source, written: &Written) -> Vec<WarmUpView> {
    let today = written.now.date();
    let address = source.address.to_string();
    let mut views: Vec<WarmUpView> = Vec::new();
    for row in written.counts.iter().filter(|row| row.source == address) {
        if let Some(ceiling) = source.warm_up_for(&row.provider).and_then(|schedule| schedule.ceiling(today)) {
            views.push(WarmUpView { provider: Some(row.provider.clone()), sent: u64::try_from(row.taken).ok(), ceiling });
        }
    }
    for schedule in &source.warm_up {
        let provider = Some(schedule.provider.clone()).filter(|name| !name.is_empty());
        if let Some(ceiling) = schedule.ceiling(today).filter(|_| provider.is_none() || !views.iter().any(|view| view.provider == provider)) {
            views.push(WarmUpView { sent: provider.as_ref().map(|_| 0), provider, ceiling });
        }
    }
    views
}

fn listing(row: ListingRow) -> ListingView {
    let ListingRow { zone, state, detail, since, checked_at, .. } = row;
    ListingView { zone, state, detail, since, checked_at }
}
