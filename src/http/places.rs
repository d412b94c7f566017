//! Places for connections: how many are served at once, and how many of one client.
//!
//! Answers: is there room for one more, and whose place gets free when a connection ends (L6). A client is an IPv4 address or an IPv6 /64: whoever has one
//! address of such a network has all of them.
//! Does not: know what a client does with its connections; time limits do.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::telemetry::metrics;

/// All places of one listener.
#[derive(Debug)]
pub struct Places {
    free: Arc<Semaphore>,
    most: usize,
    /// Of one client at most; none without a limit.
    of_one_client: Option<usize>,
    clients: Mutex<HashMap<IpAddr, Client>>,
}

#[derive(Debug, Default)]
struct Client {
    open: usize,
    /// The log has told that this client has too many.
    told: bool,
}

/// A place that is taken until dropped.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    client: IpAddr,
    _permit: OwnedSemaphorePermit,
}

impl Places {
    /// `most` places, at most `of_one_client` for each client; zero: as many as there are.
    #[must_use]
    pub fn new(most: usize, of_one_client: usize) -> Arc<Self> {
        let most = most.clamp(1, Semaphore::MAX_PERMITS);
        let of_one_client = (of_one_client > 0).then_some(of_one_client);
        Arc::new(Self { free: Arc::new(Semaphore::new(most)), most, of_one_client, clients: Mutex::default() })
    }

    /// Waits until any place is free.
    pub async fn room(&self) -> Option<OwnedSemaphorePermit> {
        // None: the semaphore was closed, which nobody does.
        Arc::clone(&self.free).acquire_owned().await.ok()
    }

    /// Takes the place for a client at `address`. None if it has as many as it may.
    #[must_use]
    pub fn take(self: &Arc<Self>, permit: OwnedSemaphorePermit, address: IpAddr) -> Option<Place> {
        let client = client_of(address);
        let mut clients = self.clients.lock();
        let state = clients.entry(client).or_default();
        if let Some(limit) = self.of_one_client.filter(|limit| state.open >= *limit) {
            let first = !std::mem::replace(&mut state.told, true);
            drop(clients);
            if first {
                tracing::warn!(%client, limit, "a client has too many connections; more of it are turned away");
            }
            metrics::turned_away();
            return None;
        }
        state.open += 1;
        drop(clients);
        self.show();
        Some(Place { places: Arc::clone(self), client, _permit: permit })
    }

    /// What one client may have.
    #[must_use]
    pub fn of_one_client(&self) -> usize {
        self.of_one_client.unwrap_or(self.most)
    }

    fn leave(&self, client: IpAddr) {
        let mut clients = self.clients.lock();
        if let Some(state) = clients.get_mut(&client) {
            state.open = state.open.saturating_sub(1);
            if state.open == 0 {
                clients.remove(&client);
            }
        }
        drop(clients);
        self.show();
    }

    fn show(&self) {
        metrics::http_connections(self.most.saturating_sub(self.free.available_permits()));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.leave(self.client);
    }
}

/// The client behind an address: a mapped IPv4 address is one, of IPv6 the first 64 bits count.
fn client_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) => {
            let [a, b, c, d, ..] = six.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        four @ IpAddr::V4(_) => four,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn taken(places: &Arc<Places>, address: &str) -> Option<Place> {
        let permit = places.room().await.unwrap();
        places.take(permit, address.parse().unwrap())
    }

    #[tokio::test]
    async fn a_client_gets_its_share_and_others_theirs() {
        let places = Places::new(10, 2);
        let first = taken(&places, "192.0.2.1").await.unwrap();
        let _second = taken(&places, "::ffff:192.0.2.1").await.unwrap();
        assert!(taken(&places, "192.0.2.1").await.is_none());
        let _other = taken(&places, "192.0.2.2").await.unwrap();
        drop(first);
        assert!(taken(&places, "192.0.2.1").await.is_some());
    }

    #[tokio::test]
    async fn the_addresses_of_one_ipv6_network_are_one_client() {
        let places = Places::new(10, 1);
        let _one = taken(&places, "2001:db8:0:1::1").await.unwrap();
        assert!(taken(&places, "2001:db8:0:1:ffff::2").await.is_none());
        assert!(taken(&places, "2001:db8:0:2::1").await.is_some());
    }

    #[tokio::test]
    async fn no_place_is_lost_and_no_client_remembered() {
        let places = Places::new(3, 0);
        let all = [taken(&places, "192.0.2.1").await, taken(&places, "192.0.2.1").await, taken(&places, "192.0.2.1").await];
        assert!(all.iter().all(Option::is_some), "zero is no limit");
        let room = places.room();
        tokio::pin!(room);
        assert!(futures_util::poll!(room.as_mut()).is_pending(), "the fourth waits");
        drop(all);
        assert!(futures_util::poll!(room.as_mut()).is_ready());
        assert!(places.clients.lock().is_empty());
    }
}
