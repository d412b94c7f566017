//! Where a listener of `[smtp]` stands: `address:port`, `:port` for every address of the machine, or nothing for off; and networks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer};

/// Where to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listen {
    /// Nowhere.
    Off,
    /// On this port of every address.
    Everywhere(u16),
    /// At this address.
    At(SocketAddr),
}

impl Listen {
    /// The addresses to try, one after the other, until one can be listened on; none if it is off.
    #[must_use]
    pub fn addresses(self) -> Vec<SocketAddr> {
        match self {
            Self::Off => Vec::new(),
            // The first takes IPv4 too, unless the system has no IPv6.
            Self::Everywhere(port) => vec![SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port), SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port)],
            Self::At(address) => vec![address],
        }
    }
}

/// The text is no place to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected address:port, or :port for every address, or an empty text for off")]
pub struct ListenError;

impl FromStr for Listen {
    type Err = ListenError;

    fn from_str(text: &str) -> Result<Self, ListenError> {
        match text.strip_prefix(':') {
            None if text.is_empty() => Ok(Self::Off),
            None => text.parse().map(Self::At).map_err(|_| ListenError),
            Some(port) => port.parse().map(Self::Everywhere).map_err(|_| ListenError),
        }
    }
}

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// An address, or a network as in `192.0.2.0/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(IpNet);

impl Network {
    /// True if `address` belongs to it; an IPv4 address written as IPv6 is one.
    #[must_use]
    pub fn holds(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        network.map(Self).map_err(|_| serde::de::Error::custom("expected an address, or a network like 192.0.2.0/24"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_to_listen_is_read() {
        assert_eq!("".parse(), Ok(Listen::Off));
        assert_eq!(":587".parse(), Ok(Listen::Everywhere(587)));
        assert_eq!("[::1]:0".parse(), Ok(Listen::At("[::1]:0".parse().unwrap())));
        assert_eq!(Listen::Everywhere(25).addresses().len(), 2);
        assert!(Listen::Off.addresses().is_empty());
        for text in ["587", "localhost:587", ":x", ":70000", "127.0.0.1", "off"] {
            assert_eq!(text.parse::<Listen>(), Err(ListenError), "{text}");
        }
    }

    #[test]
    fn a_network_holds_its_addresses() {
        #[derive(Deserialize)]
        struct Held {
            of: Vec<Network>,
        }
        let Held { of } = toml::from_str("of = [\"192.0.2.0/24\", \"2001:db8::1\"]").unwrap();
        let holds = |address: &str| of.iter().any(|network| network.holds(address.parse().unwrap()));
        assert!(holds("192.0.2.9") && holds("::ffff:192.0.2.9") && holds("2001:db8::1"));
        assert!(!holds("192.0.3.9") && !holds("2001:db8::2"));
        assert!(toml::from_str::<Held>("of = [\"example.com\"]").is_err());
    }
}
