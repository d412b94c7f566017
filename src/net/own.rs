//! Which addresses are ours: mail for a host that has one of them would come back to us (RFC 5321 5.1).
//!
//! Answers: the configured source addresses, those of this machine's interfaces, and those that the DNS gives for our name, which behind an
//! address translation no interface has. Loopback addresses only if they are configured: any other machine has them too.
//! Does not: say what becomes of the mail (see `deliver::plan`).

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::dns::Resolver;
use crate::clock::{Clock, Tick};

/// How long the addresses are kept.
const FRESH: Duration = Duration::from_mins(10);

/// Our addresses, looked up again now and then.
#[derive(Debug)]
pub struct OwnAddresses {
    hostname: String,
    configured: Vec<IpAddr>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    known: Arc<HashSet<IpAddr>>,
    fresh_until: Option<Tick>,
}

impl OwnAddresses {
    /// Of a host with this name that sends from these addresses.
    #[must_use]
    pub fn new(hostname: String, configured: &[IpAddr]) -> Self {
        let configured: Vec<IpAddr> = configured.iter().map(IpAddr::to_canonical).collect();
        let known = Arc::new(configured.iter().copied().collect());
        Self { hostname, configured, state: Mutex::new(State { known, fresh_until: None }) }
    }

    /// Our addresses now. While they are looked up, others get those known before; so they do when the look-up gives nothing.
    pub async fn look_up(&self, resolver: &Resolver, clock: &Clock) -> Arc<HashSet<IpAddr>> {
        let now = clock.tick();
        {
            let mut state = self.state.lock();
            if state.fresh_until.is_some_and(|until| until > now) {
                return Arc::clone(&state.known);
            }
            state.fresh_until = Some(now.plus(FRESH));
        }
        let mut known: HashSet<IpAddr> = self.configured.iter().copied().collect();
        known.extend(interfaces().into_iter().filter(|address| !address.is_loopback()));
        match resolver.addresses(&self.hostname).await {
            Ok(found) => known.extend(found.iter().map(IpAddr::to_canonical).filter(|address| !address.is_loopback())),
            Err(error) => tracing::debug!(%error, hostname = self.hostname, "our own name has no address in the DNS"),
        }
        let known = Arc::new(known);
        self.state.lock().known = Arc::clone(&known);
        known
    }
}

fn interfaces() -> Vec<IpAddr> {
    match nix::ifaddrs::getifaddrs() {
        Ok(interfaces) => interfaces.filter_map(|interface| address_of(&interface.address?)).collect(),
        Err(error) => {
            tracing::warn!(%error, "the addresses of this machine cannot be read");
            Vec::new()
        }
    }
}

fn address_of(address: &nix::sys::socket::SockaddrStorage) -> Option<IpAddr> {
    let four = address.as_sockaddr_in().map(|four| IpAddr::V4(four.ip()));
    four.or_else(|| address.as_sockaddr_in6().map(|six| IpAddr::V6(six.ip()).to_canonical()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::zone::Zone;
    use crate::supervisor::Supervisor;

    #[tokio::test]
    async fn our_addresses_are_those_configured_and_those_of_our_name() {
        let (clock, supervisor) = (Clock::movable(), Supervisor::default());
        let zone = Zone::parse("mail.example A 192.0.2.7\nmail.example A 127.0.0.7\nmail.example AAAA 2001:db8::7").expect("a zone");
        let server = zone.serve("127.0.0.1:0".parse().expect("an address"), &supervisor, &clock).await.expect("a server");
        let resolver = Resolver::of_servers(&[server.local_addr], Duration::from_secs(10)).expect("a resolver");
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        let own = OwnAddresses::new("mail.example".to_owned(), &[ip("127.0.0.9"), ip("::ffff:192.0.2.9")]);
        let known = own.look_up(&resolver, &clock).await;
        for address in ["127.0.0.9", "192.0.2.9", "192.0.2.7", "2001:db8::7"] {
            assert!(known.contains(&ip(address)), "{address} of {known:?}");
        }
        for address in ["127.0.0.1", "127.0.0.7", "::1", "192.0.2.8"] {
            assert!(!known.contains(&ip(address)), "{address} of {known:?}");
        }
        zone.add("mail.example A 192.0.2.8").expect("a record");
        resolver.forget_all();
        assert!(!own.look_up(&resolver, &clock).await.contains(&ip("192.0.2.8")), "not asked again so soon");
        clock.advance(FRESH);
        assert!(own.look_up(&resolver, &clock).await.contains(&ip("192.0.2.8")));
        supervisor.drain();
        supervisor.ended().await;
    }
}
