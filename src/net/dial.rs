//! TCP connections to hosts strangers name: which addresses may be dialled, and one connection to one of them.
//!
//! Answers: may this address be connected to, and the connection within a time limit, from a chosen source address.
//! Does not: resolve names or try a second address; the caller has the list. The address checked is the address dialled.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream};

use super::proxy::{self, Proxy, ProxyError};
use crate::clock::Clock;

/// Which addresses may be dialled: those of the public Internet, unless private ones are allowed too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressPolicy {
    /// Loopback, private, link-local and documentation addresses are permitted too: for tests and for closed networks.
    pub allow_private: bool,
}

impl AddressPolicy {
    /// True if a connection to `address` may be opened. Group and unspecified addresses never may.
    #[must_use]
    pub const fn permits(self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(four) => self.permits_v4(four),
            IpAddr::V6(six) => self.permits_v6(six),
        }
    }

    const fn permits_v4(self, address: Ipv4Addr) -> bool {
        let [a, b, c, _] = address.octets();
        if a == 0 || a >= 224 {
            return false;
        }
        let private = address.is_loopback()
            || address.is_private()
            || address.is_link_local()
            || address.is_documentation()
            // Carrier-grade NAT (RFC 6598), protocol assignments (RFC 6890), 6to4 relays (RFC 7526), benchmarks (RFC 2544).
            || (a == 100 && b & 0xc0 == 64)
            || (a == 192 && b == 0 && c == 0)
            || (a == 192 && b == 88 && c == 99)
            || (a == 198 && b & 0xfe == 18);
        self.allow_private || !private
    }

    const fn permits_v6(self, address: Ipv6Addr) -> bool {
        let [head @ .., seventh, eighth] = address.segments();
        if address.is_unspecified() || address.is_multicast() {
            return false;
        }
        if address.is_loopback() {
            return self.allow_private;
        }
        match head {
            // Mapped and compatible (RFC 4291 2.5.5), NAT64 (RFC 6052), 6to4 (RFC 3056): the IPv4 address inside decides.
            [0, 0, 0, 0, 0, 0xffff | 0] | [0x64, 0xff9b, 0, 0, 0, 0] => self.permits_v4(four(seventh, eighth)),
            [0x2002, high, low, ..] => self.permits_v4(four(high, low)),
            [first, second, ..] => self.allow_private || !is_special_v6(first, second),
        }
    }
}

/// Addresses outside the public Internet: only 2000::/3 is in it, less Teredo and its neighbours (2001::/23) and documentation.
const fn is_special_v6(first: u16, second: u16) -> bool {
    first & 0xe000 != 0x2000 || (first == 0x2001 && (second < 0x0200 || second == 0x0db8)) || (first == 0x3fff && second < 0x1000)
}

#[expect(clippy::cast_possible_truncation, reason = "the halves of 16 bits are what is wanted")]
const fn four(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::new((high >> 8) as u8, high as u8, (low >> 8) as u8, low as u8)
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    /// Nobody listens there.
    #[error("connection refused")]
    Refused,
    /// No answer within the limit.
    #[error("no answer within {} s", .0.as_secs_f32())]
    TimedOut(Duration),
    /// The network has no way there.
    #[error("not reachable: {0}")]
    Unreachable(String),
    /// The source address is not ours, or of the wrong family.
    #[error("cannot connect from {address}: {reason}")]
    Source {
        /// The address that was to be used.
        address: IpAddr,
        /// What the system said.
        reason: String,
    },
    /// The proxy that leads to the source address does not do its work.
    #[error("the proxy {address} cannot be used: {reason}")]
    Proxy {
        /// Where the proxy is.
        address: SocketAddr,
        /// What went wrong.
        reason: String,
    },
    /// We are out of sockets or ports.
    #[error("cannot open a connection: {0}")]
    Resources(String),
}

impl DialError {
    /// True if the source is at fault and another one may do.
    #[must_use]
    pub const fn is_of_the_source(&self) -> bool {
        matches!(self, Self::Source { .. } | Self::Proxy { .. })
    }
}

/// Connects to `address` within `limit`, from `source` if one is given. Nagle's delay is off, keepalive on.
///
/// # Errors
/// [`DialError`].
pub async fn connect(address: SocketAddr, source: Option<IpAddr>, limit: Duration, clock: &Clock) -> Result<TcpStream, DialError> {
    let socket =
        if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.map_err(|error| DialError::Resources(error.to_string()))?;
    // Without them a session is slower or its loss noticed later, no more: not worth a failure.
    let _ = socket.set_nodelay(true);
    let _ = socket.set_keepalive(true);
    if let Some(source) = source {
        if source.is_ipv4() != address.is_ipv4() {
            return Err(DialError::Source { address: source, reason: format!("{} is of the other IP version", address.ip()) });
        }
        socket.bind(SocketAddr::new(source, 0)).map_err(|error| DialError::Source { address: source, reason: error.to_string() })?;
    }
    match clock.timeout(limit, socket.connect(address)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(explain(&error, limit)),
        Err(timed_out) => Err(DialError::TimedOut(timed_out.0)),
    }
}

/// As [`connect`], by a proxy on the host that has the address `source`. Where the proxy protocol has no answers, a target that cannot be
/// reached shows as a connection that ends at once.
///
/// # Errors
/// [`DialError`]; of the proxy's making: [`DialError::Proxy`].
pub async fn connect_through(proxy: &Proxy, source: IpAddr, target: SocketAddr, limit: Duration, clock: &Clock) -> Result<TcpStream, DialError> {
    let at_fault = |reason: String| DialError::Proxy { address: proxy.address, reason };
    let mut stream = connect(proxy.address, None, limit, clock).await.map_err(|error| at_fault(error.to_string()))?;
    match clock.timeout(limit, proxy::ask(&mut stream, &proxy.protocol, source, target)).await {
        Ok(Ok(())) => Ok(stream),
        Ok(Err(ProxyError::Target(reason))) => Err(DialError::Unreachable(format!("the proxy {} says: {reason}", proxy.address))),
        Ok(Err(ProxyError::Proxy(reason))) => Err(at_fault(reason)),
        Err(timed_out) => Err(at_fault(DialError::TimedOut(timed_out.0).to_string())),
    }
}

fn explain(error: &std::io::Error, limit: Duration) -> DialError {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::ConnectionRefused => DialError::Refused,
        ErrorKind::TimedOut => DialError::TimedOut(limit),
        ErrorKind::AddrNotAvailable | ErrorKind::AddrInUse => DialError::Resources(error.to_string()),
        _ => DialError::Unreachable(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRICT: AddressPolicy = AddressPolicy { allow_private: false };
    const OPEN: AddressPolicy = AddressPolicy { allow_private: true };

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn only_the_public_internet_is_dialled() {
        for text in [
            "8.8.8.8",
            "100.63.0.1",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "2606:4700::1111",
            "2002:0808:0808::1",
            "64:ff9b::8.8.8.8",
            "::ffff:8.8.8.8",
        ] {
            assert!(STRICT.permits(ip(text)), "{text}");
        }
        for text in [
            "127.0.0.1",
            "127.255.255.254",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.127.255.255",
            "192.0.2.1",
            "198.18.0.1",
            "::1",
            "fe80::1",
            "fec0::1",
            "fd00:ec2::254",
            "fc00::1",
            "2001:db8::1",
            "2001::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::1",
            "2002:7f00:0001::1",
            "2002:0a00:0001::",
        ] {
            assert!(!STRICT.permits(ip(text)), "{text}");
            assert!(OPEN.permits(ip(text)), "{text}");
        }
    }

    #[test]
    fn no_policy_permits_groups_and_nothing() {
        for text in ["0.0.0.0", "0.1.2.3", "224.0.0.1", "255.255.255.255", "240.0.0.1", "::", "ff02::1", "::ffff:0.0.0.0", "::ffff:224.0.0.1"] {
            assert!(!OPEN.permits(ip(text)), "{text}");
        }
    }

    #[tokio::test]
    async fn a_connection_comes_from_the_address_asked_for() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let address = listener.local_addr().expect("its address");
        let dialled = connect(address, Some(ip("127.0.0.9")), Duration::from_secs(30), &Clock::movable()).await;
        assert_eq!(dialled.expect("a connection").local_addr().expect("its address").ip(), ip("127.0.0.9"));
    }

    #[tokio::test]
    async fn a_dial_that_cannot_succeed_says_why() {
        let clock = Clock::movable();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let address = listener.local_addr().expect("its address");
        let foreign = connect(address, Some(ip("::1")), Duration::from_secs(30), &clock).await;
        assert!(matches!(foreign, Err(DialError::Source { .. })));
        let not_ours = connect(address, Some(ip("8.8.8.8")), Duration::from_secs(30), &clock).await;
        assert!(matches!(not_ours, Err(DialError::Source { .. })));
        drop(listener);
        assert_eq!(connect(address, None, Duration::from_secs(30), &clock).await.err(), Some(DialError::Refused));
    }
}
