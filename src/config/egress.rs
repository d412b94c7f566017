//! The tables of `[delivery]` that say which way mail leaves: source addresses and their pools, smart hosts and who uses them.
//!
//! Answers: what the operator wrote, with the defaults of a table's fields. Does not: judge it; `check_egress` does.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde::Deserialize;

use super::Delivery;
use crate::model::Secret;

/// The pool of messages that no rule puts into another.
pub const DEFAULT_POOL: &str = "default";
/// The `host` of a rule whose mail goes to the MX hosts of its recipients.
pub const MX_HOSTS: &str = "mx";

/// `[[delivery.source]]`: one address that mail leaves from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The address.
    pub address: IpAddr,
    /// Our name in EHLO from there; empty: `server.hostname`.
    #[serde(default)]
    pub ehlo_name: String,
    /// Its share of the pool's mail, as weighed against the others.
    #[serde(default = "one")]
    pub weight: u32,
    /// The pool it is in.
    #[serde(default = "default_pool")]
    pub pool: String,
    /// `socks5://address:port` or `haproxy://address:port` on the host that has the address; empty: this host has it.
    #[serde(default)]
    pub proxy: String,
    /// The user name for a SOCKS5 proxy; empty: it wants none.
    #[serde(default)]
    pub proxy_username: String,
    /// The file that holds its password.
    #[serde(default)]
    pub proxy_password_file: PathBuf,
    /// The variable of the environment that holds its password.
    #[serde(default)]
    pub proxy_password_env: String,
    /// The password, read from one of these when the configuration is loaded.
    #[serde(skip)]
    pub proxy_password: Secret<String>,
}

/// What a proxy speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyKind {
    /// SOCKS5 (RFC 1928).
    Socks5,
    /// The PROXY protocol, version 2.
    HaProxy,
}

/// The parts of a proxy's URL. None: it is not one.
#[must_use]
pub fn proxy(url: &str) -> Option<(SocketAddr, ProxyKind)> {
    let (scheme, place) = url.split_once("://")?;
    let kind = match scheme {
        "socks5" => ProxyKind::Socks5,
        "haproxy" => ProxyKind::HaProxy,
        _ => return None,
    };
    Some((place.parse().ok().filter(|address: &SocketAddr| address.port() != 0)?, kind))
}

/// `[[delivery.pool_rule]]`: which messages leave from which pool. The first that fits decides.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoolRule {
    /// The pool.
    pub pool: String,
    /// The name of the project; empty: any.
    #[serde(default)]
    pub project: String,
    /// The stream; empty: any.
    #[serde(default)]
    pub stream: String,
}

/// Whether sessions with a smart host use TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SmartHostTls {
    /// From the first octet (RFC 8314).
    Implicit,
    /// STARTTLS, or no mail (RFC 3207).
    Starttls,
    /// STARTTLS if it is offered.
    Opportunistic,
    /// Never.
    Off,
}

/// `[[delivery.smart_host_rule]]`: which mail goes to a smart host. The first that fits decides.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmartHostRule {
    /// `host:port`, or `mx`: the MX hosts.
    pub host: String,
    /// The name of the project; empty: any.
    #[serde(default)]
    pub project: String,
    /// The recipient domain, or one above it; empty: any.
    #[serde(default)]
    pub domain: String,
    /// Percent of the messages that fit otherwise.
    #[serde(default = "hundred")]
    pub share: u8,
    /// Whether TLS is used; none: by the port, see [`SmartHostRule::tls`].
    #[serde(default)]
    pub tls: Option<SmartHostTls>,
    /// Whether the certificate must be valid for the host, where TLS is a must.
    #[serde(default = "yes")]
    pub verify: bool,
    /// Certificates (PEM) that are trusted instead of the public ones; empty: none.
    #[serde(default)]
    pub ca_file: PathBuf,
    /// The user name for AUTH; empty: no AUTH.
    #[serde(default)]
    pub username: String,
    /// The file that holds the password.
    #[serde(default)]
    pub password_file: PathBuf,
    /// The variable of the environment that holds the password.
    #[serde(default)]
    pub password_env: String,
    /// The password, read from one of these when the configuration is loaded.
    #[serde(skip)]
    pub password: Secret<String>,
}

impl SmartHostRule {
    /// Whether TLS is used: as said, else implicit on port 465, a must on 587 and for a host that gets a password, opportunistic elsewhere.
    #[must_use]
    pub fn tls(&self) -> SmartHostTls {
        self.tls.unwrap_or_else(|| match host_and_port(&self.host) {
            Some((_, 465)) => SmartHostTls::Implicit,
            Some((_, 587)) => SmartHostTls::Starttls,
            _ if !self.username.is_empty() => SmartHostTls::Starttls,
            _ => SmartHostTls::Opportunistic,
        })
    }
}

impl Delivery {
    /// Every source address: those of `egress`, which are sources of the default pool with weight 1, and those of the tables.
    #[must_use]
    pub fn sources(&self) -> Vec<Source> {
        let plain = |address: &IpAddr| Source {
            address: *address,
            ehlo_name: String::new(),
            weight: one(),
            pool: default_pool(),
            proxy: String::new(),
            proxy_username: String::new(),
            proxy_password_file: PathBuf::new(),
            proxy_password_env: String::new(),
            proxy_password: Secret::default(),
        };
        self.egress.iter().map(plain).chain(self.source.iter().cloned()).collect()
    }

    /// The addresses of [`Delivery::sources`].
    #[must_use]
    pub fn source_addresses(&self) -> Vec<IpAddr> {
        self.egress.iter().copied().chain(self.source.iter().map(|source| source.address)).collect()
    }
}

/// The parts of `host:port`, a host's IPv6 address without its brackets. None: it is not of that form.
#[must_use]
pub fn host_and_port(text: &str) -> Option<(&str, u16)> {
    let (name, port) = text.rsplit_once(':')?;
    let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let whole = bare.is_some() || !name.contains([':', '[', ']']);
    let host = bare.unwrap_or(name);
    let port = port.parse().ok().filter(|port| *port != 0)?;
    (whole && !host.is_empty() && !host.contains(char::is_whitespace)).then_some((host, port))
}

const fn one() -> u32 {
    1
}

const fn hundred() -> u8 {
    100
}

const fn yes() -> bool {
    true
}

fn default_pool() -> String {
    DEFAULT_POOL.to_owned()
}
