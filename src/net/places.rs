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

/// What is told of places, and under which name.
#[derive(Clone, Copy, Debug)]
pub struct Telling {
    /// What is spoken, for the log: `SMTP`.
    pub protocol: &'static str,
    /// One was taken.
    pub opened: fn(),
    /// One is free again.
    pub closed: fn(),
    /// Somebody found none.
    pub turned_away: fn(),
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// For anybody.
    Everybody,
    /// For this client.
    Client,
}

/// All places of one door.
#[derive(Debug)]
pub struct Places {
    free: Arc<Semaphore>,
    most: usize,
    /// Of one client at most; none without a limit.
    of_one_client: Option<usize>,
    clients: Mutex<HashMap<IpAddr, Client>>,
    telling: Telling,
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
    pub fn new(most: usize, of_one_client: usize, telling: Telling) -> Arc<Self> {
        let most = most.clamp(1, Semaphore::MAX_PERMITS);
        let of_one_client = (of_one_client > 0).then_some(of_one_client);
        Arc::new(Self { free: Arc::new(Semaphore::new(most)), most, of_one_client, clients: Mutex::default(), telling })
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
                let protocol = self.telling.protocol;
                tracing::warn!(%client, protocol, limit, "a client has too many connections; more of it are turned away");
            }
            (self.telling.turned_away)();
            return None;
        }
        state.open += 1;
        drop(clients);
        (self.telling.opened)();
        Some(Place { places: Arc::clone(self), client, _permit: permit })
    }

    /// Takes a place for a client at `address`, at once.
    ///
    /// # Errors
    /// [`Full`]: there is none.
    pub fn enter(self: &Arc<Self>, address: IpAddr) -> Result<Place, Full> {
        let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() else {
            (self.telling.turned_away)();
            return Err(Full::Everybody);
        };
        self.take(permit, address).ok_or(Full::Client)
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
        (self.telling.closed)();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.leave(self.client);
    }
}

/// The client behind an address: a mapped IPv4 address is one, of IPv6 the first 64 bits count.
#[must_use]
pub fn client_of(address: IpAddr) -> IpAddr {
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
    use std::sync::atomic::{AtomicIsize, Ordering};

    use super::*;

    static OPEN: AtomicIsize = AtomicIsize::new(0);
    static TURNED_AWAY: AtomicIsize = AtomicIsize::new(0);
    const COUNTED: Telling = Telling {
        protocol: "test",
        opened: || _ = OPEN.fetch_add(1, Ordering::SeqCst),
        closed: || _ = OPEN.fetch_sub(1, Ordering::SeqCst),
        turned_away: || _ = TURNED_AWAY.fetch_add(1, Ordering::SeqCst),
    };
    const SILENT: Telling = Telling { protocol: "test", opened: || (), closed: || (), turned_away: || () };

    fn at(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    async fn taken(places: &Arc<Places>, address: &str) -> Option<Place> {
        let permit = places.room().await.unwrap();
        places.take(permit, at(address))
    }

    #[tokio::test]
    async fn a_client_gets_its_share_and_others_theirs() {
        let places = Places::new(10, 2, SILENT);
        let first = taken(&places, "192.0.2.1").await.unwrap();
        let _second = taken(&places, "::ffff:192.0.2.1").await.unwrap();
        assert!(taken(&places, "192.0.2.1").await.is_none());
        let _other = taken(&places, "192.0.2.2").await.unwrap();
        drop(first);
        assert!(taken(&places, "192.0.2.1").await.is_some());
    }

    #[tokio::test]
    async fn the_addresses_of_one_ipv6_network_are_one_client() {
        let places = Places::new(10, 1, SILENT);
        let _one = taken(&places, "2001:db8:0:1::1").await.unwrap();
        assert!(taken(&places, "2001:db8:0:1:ffff::2").await.is_none());
        assert!(taken(&places, "2001:db8:0:2::1").await.is_some());
    }

    #[tokio::test]
    async fn no_place_is_lost_and_no_client_remembered() {
        let places = Places::new(3, 0, SILENT);
        let all = [taken(&places, "192.0.2.1").await, taken(&places, "192.0.2.1").await, taken(&places, "192.0.2.1").await];
        assert!(all.iter().all(Option::is_some), "zero is no limit");
        let room = places.room();
        tokio::pin!(room);
        assert!(futures_util::poll!(room.as_mut()).is_pending(), "the fourth waits");
        drop(all);
        assert!(futures_util::poll!(room.as_mut()).is_ready());
        assert!(places.clients.lock().is_empty());
    }

    #[test]
    fn who_does_not_wait_is_told_why_there_is_no_place_and_all_is_counted() {
        let (places, others) = (Places::new(3, 2, COUNTED), Places::new(3, 2, COUNTED));
        let first = places.enter(at("192.0.2.1")).unwrap();
        let _second = places.enter(at("192.0.2.1")).unwrap();
        assert_eq!(places.enter(at("192.0.2.1")).err(), Some(Full::Client));
        let _third = places.enter(at("2001:db8::1")).unwrap();
        assert_eq!(places.enter(at("2001:db8::2")).err(), Some(Full::Everybody));
        let other = others.enter(at("192.0.2.1")).unwrap();
        assert_eq!((OPEN.load(Ordering::SeqCst), TURNED_AWAY.load(Ordering::SeqCst)), (4, 2), "both doors together");
        drop((first, other));
        let _fourth = places.enter(at("2001:db8::2")).unwrap();
        assert_eq!(OPEN.load(Ordering::SeqCst), 3);
        assert_eq!(places.clients.lock().len(), 2);
    }
}
