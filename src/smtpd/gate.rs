//! How many connections there may be: in all, and of one client; and how much memory messages may take while they come in.
//!
//! Answers: is there room, at once; nobody waits. A client is an IPv4 address or an IPv6 /64: whoever has one address of such a network has all.
//! Does not: know what clients do with their connections; time limits do.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::telemetry::metrics;

/// Octets of one unit of memory.
const UNIT: usize = 1024;

/// Why there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// For anybody.
    Everybody,
    /// For this client.
    Client,
}

/// The places of all listeners.
#[derive(Debug)]
pub(super) struct Gate {
    most: usize,
    of_one_client: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    open: usize,
    clients: HashMap<IpAddr, usize>,
}

/// A place, given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    gate: Arc<Gate>,
    client: IpAddr,
}

impl Gate {
    /// `most` places, `of_one_client` for each; zero: as many as there are.
    pub(super) fn new(most: usize, of_one_client: usize) -> Arc<Self> {
        let of_one_client = if of_one_client == 0 { most } else { of_one_client };
        Arc::new(Self { most, of_one_client, state: Mutex::default() })
    }

    /// Takes a place for the client at `address`.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr) -> Result<Place, Full> {
        let client = client_of(address);
        let mut state = self.state.lock();
        if state.open >= self.most {
            return Err(Full::Everybody);
        }
        let of_client = state.clients.entry(client).or_default();
        if *of_client >= self.of_one_client {
            return Err(Full::Client);
        }
        *of_client += 1;
        state.open += 1;
        metrics::smtp_connection_opened();
        Ok(Place { gate: Arc::clone(self), client })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.gate.state.lock();
        state.open = state.open.saturating_sub(1);
        if let Some(of_client) = state.clients.get_mut(&self.client) {
            *of_client = of_client.saturating_sub(1);
            if *of_client == 0 {
                state.clients.remove(&self.client);
            }
        }
        metrics::smtp_connection_closed();
    }
}

/// The client behind an address: a mapped IPv4 address is one, of IPv6 the first 64 bits count.
pub(super) fn client_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) => {
            let [a, b, c, d, ..] = six.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        four @ IpAddr::V4(_) => four,
    }
}

/// The memory for messages on their way in. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    units: Arc<Semaphore>,
}

/// A connection's share of it.
#[derive(Debug, Default)]
pub(super) struct Share(Option<OwnedSemaphorePermit>);

impl Budget {
    /// Memory of `octets`.
    pub(super) fn new(octets: usize) -> Self {
        Self { units: Arc::new(Semaphore::new((octets / UNIT).clamp(1, Semaphore::MAX_PERMITS))) }
    }

    /// Makes `share` cover `octets`, and no more than a message needs. False: there is no room.
    pub(super) fn cover(&self, share: &mut Share, octets: usize) -> bool {
        let held = share.0.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let wanted = octets.div_ceil(UNIT);
        if wanted == 0 {
            share.0 = None;
        } else if wanted > held {
            let more = u32::try_from(wanted - held).unwrap_or(u32::MAX);
            let Ok(more) = Arc::clone(&self.units).try_acquire_many_owned(more) else { return false };
            match &mut share.0 {
                Some(share) => share.merge(more),
                none => *none = Some(more),
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_client_gets_its_share_and_all_together_no_more_than_there_is() {
        let gate = Gate::new(3, 2);
        let first = gate.enter(at("192.0.2.1")).unwrap();
        let _second = gate.enter(at("::ffff:192.0.2.1")).unwrap();
        assert_eq!(gate.enter(at("192.0.2.1")).err(), Some(Full::Client));
        let _third = gate.enter(at("2001:db8::1")).unwrap();
        assert_eq!(gate.enter(at("2001:db8::2")).err(), Some(Full::Everybody));
        drop(first);
        let _fourth = gate.enter(at("2001:db8::2")).unwrap();
        assert_eq!(gate.state.lock().clients.len(), 2);
        let unlimited = Gate::new(2, 0);
        assert!([unlimited.enter(at("192.0.2.1")), unlimited.enter(at("192.0.2.1"))].iter().all(Result::is_ok));
    }

    #[test]
    fn the_connections_of_all_doors_are_counted_together() {
        let gates = [Gate::new(1_000, 0), Gate::new(1_000, 0)];
        let places: Vec<Place> = gates.iter().flat_map(|gate| (0..1_000).map(|_| gate.enter(at("192.0.2.1")).unwrap())).collect();
        let line = metrics::render().lines().find(|line| line.starts_with("pennypost_smtp_connections ")).map(str::to_owned).unwrap();
        // Other tests of this process have a few.
        let open: f64 = line.split(' ').nth(1).unwrap().parse().unwrap();
        assert!(open >= 2_000.0, "{line}");
        drop(places);
    }

    #[test]
    fn memory_is_shared_and_given_back() {
        let budget = Budget::new(10 * UNIT);
        let (mut one, mut other) = (Share::default(), Share::default());
        assert!(budget.cover(&mut one, 6 * UNIT) && budget.cover(&mut one, 100), "what it has is enough");
        assert!(!budget.cover(&mut other, 5 * UNIT) && budget.cover(&mut other, 4 * UNIT));
        assert!(budget.cover(&mut one, 0));
        assert!(budget.cover(&mut other, 10 * UNIT));
    }
}
