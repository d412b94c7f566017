//! Deliveries at a site, for an operator's change: which of those that wait go to it.
//!
//! Answers: by the way that each message takes now. Mail that goes by a smart host is at the smart host; all other mail is where the MX records of its
//! domain lead at this moment, which are looked up whether anybody did before or not. A domain that cannot be looked up is at no site, and counted.
//! Does not: know the overflow of source addresses, which is found out when mail leaves: that mail is at the hosts of its domain.

use std::collections::{HashMap, HashSet};

use futures_util::StreamExt;
use futures_util::future::BoxFuture;

use super::ways::{Place, Ways};
use crate::model::{DomainName, MessageId, ProjectId, SiteName};
use crate::store::operator::{Candidate, Keys, SelectedRows, Stretch};
use crate::store::{Store, StoreError};

/// Look-ups at once.
const LOOKUPS: usize = 256;

/// Finds what is at one site, step by step; a domain is looked up once.
#[derive(Debug)]
pub(super) struct Finder {
    site: SiteName,
    known: HashMap<String, Option<Place>>,
}

/// What is at the site, of one stretch.
pub(super) struct Found {
    pub(super) keys: Keys,
    /// Deliveries whose domain could not be looked up.
    pub(super) unplaced: u64,
}

impl Finder {
    pub(super) fn new(site: SiteName) -> Self {
        Self { site, known: HashMap::new() }
    }

    /// The deliveries of a stretch, of those selected otherwise, that are at the site.
    pub(super) async fn find(&mut self, store: &Store, ways: &Ways, stretch: Stretch, rows: &SelectedRows) -> Result<Found, StoreError> {
        let candidates = store.candidates(stretch, rows.project, rows.recipient.as_deref()).await?;
        let with_way: Vec<(Candidate, Option<String>)> = candidates.into_iter().map(|row| with_domain(ways, &self.site, row)).collect();
        if !self.site.is_smart_host() {
            self.look_up(ways, &with_way).await;
        }
        let mut found = Found { keys: Keys::default(), unplaced: 0 };
        for (row, domain) in with_way {
            let Some(domain) = domain else { continue };
            let is_there = match self.known.get(&domain) {
                _ if self.site.is_smart_host() => true,
                Some(Some(place)) => place.iter().any(|name| **name == *self.site.as_str()),
                _ => {
                    found.unplaced += 1;
                    false
                }
            };
            if is_there {
                found.keys.messages.push(row.message_id);
                found.keys.numbers.push(row.rcpt_no);
            }
        }
        Ok(found)
    }

    async fn look_up(&mut self, ways: &Ways, rows: &[(Candidate, Option<String>)]) {
        let is_new = |domain: &&String| !self.known.contains_key(*domain);
        let new: HashSet<String> = rows.iter().filter_map(|(_, domain)| domain.as_ref()).filter(is_new).cloned().collect();
        let looking: Vec<BoxFuture<'static, (String, Option<Place>)>> = new.into_iter().map(|domain| looked_up(ways.clone(), domain)).collect();
        let found: Vec<_> = futures_util::stream::iter(looking).buffer_unordered(LOOKUPS).collect().await;
        self.known.extend(found);
    }
}

fn looked_up(ways: Ways, domain: String) -> BoxFuture<'static, (String, Option<Place>)> {
    Box::pin(async move {
        let place = match DomainName::parse(&domain) {
            Ok(name) => ways.place_of(name).await,
            Err(_) => None,
        };
        (domain, place)
    })
}

/// A delivery with its domain, if that has to be looked at: not if its way leads elsewhere in any case.
fn with_domain(ways: &Ways, site: &SiteName, row: Candidate) -> (Candidate, Option<String>) {
    let domain = row.recipient.rsplit_once('@').map(|(_, domain)| domain.to_owned());
    let smart_host = domain
        .as_deref()
        .and_then(|domain| DomainName::parse(domain).ok())
        .and_then(|name| ways.smart_host_of(ProjectId::from_uuid(row.project_id), MessageId::from_uuid(row.message_id), &name));
    let is_meant = match smart_host {
        Some(label) => *label == *site.as_str(),
        None => !site.is_smart_host(),
    };
    (row, domain.filter(|_| is_meant))
}
