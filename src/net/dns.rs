//! Records of names, asked of recursive resolvers: MX, addresses, TXT, PTR, CNAME, NS, SOA, TLSA.
//!
//! Answers: the records of one absolute name, or which of three things is wrong: no such name, no such records, or no answer now
//! (RFC 1035, RFC 2308, RFC 8020). Truncated answers are asked again over TCP; answers are kept between 30 s and 1 h.
//! Does not: apply search domains or the hosts file, choose MX hosts (see `mx`), or judge addresses (see `dial`).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::{DnsError as NegativeAnswer, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::system_conf::read_system_conf;

use super::dnssec::{self, Answer, Asking, Security};
use crate::config::{self, DnssecTrust};
use crate::model::DomainName;
use crate::telemetry::metrics::{self, LookupResult};

const MIN_TTL: Duration = Duration::from_secs(30);
const MAX_TTL: Duration = Duration::from_hours(1);
/// Repeats of a query to a server that gave no answer or a SERVFAIL.
const REPEATS: usize = 1;
/// Answers kept.
const CACHE_ENTRIES: u64 = 65_536;
const KEPT_TYPES: [RecordType; 10] = [
    RecordType::A,
    RecordType::AAAA,
    RecordType::MX,
    RecordType::TXT,
    RecordType::PTR,
    RecordType::CNAME,
    RecordType::NS,
    RecordType::SOA,
    RecordType::SRV,
    RecordType::TLSA,
];

/// hickory's resolver on connections that ask for the word of a validating server.
type Server = hickory_resolver::Resolver<Asking>;

/// Why there are no records.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DnsError {
    /// NXDOMAIN: neither this name nor any below it exists.
    #[error("the name does not exist (NXDOMAIN)")]
    NoSuchName,
    /// NODATA: the name exists and has no records of this type.
    #[error("the name has no records of this type")]
    NoRecords,
    /// SERVFAIL, REFUSED, no answer, a truncated answer without TCP: says nothing about the name; ask again later.
    #[error("no answer from the DNS now: {0}")]
    Temporary(String),
}

/// The resolver cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ResolverError {
    /// No server is configured and the system's configuration cannot be read.
    #[error("cannot read the system's DNS configuration: {0}; set dns.servers")]
    System(String),
    /// The resolver refused its configuration.
    #[error("cannot start the DNS resolver: {0}")]
    Build(String),
}

/// Asks the DNS. Clones share the cache.
///
/// The server that answered last is asked first; the others only if it gives no answer, a SERVFAIL or a REFUSED.
#[derive(Clone, Debug)]
pub struct Resolver {
    servers: Arc<[Server]>,
    preferred: Arc<AtomicUsize>,
    /// Where they are, in the same order.
    addresses: Arc<[SocketAddr]>,
    /// What the servers say of DNSSEC is believed.
    is_trusted: bool,
}

impl Resolver {
    /// Makes a resolver of the configured servers, or of the system's if none are. Sends nothing yet.
    ///
    /// # Errors
    /// [`ResolverError`].
    pub fn new(config: &config::Dns) -> Result<Self, ResolverError> {
        Self::trusting(&config.servers, Duration::from_secs(config.timeout_seconds.max(1)), config.dnssec)
    }

    /// Makes a resolver of `servers`, or of the system's if none are given. `limit` holds for one query with its repeats.
    ///
    /// # Errors
    /// [`ResolverError`].
    pub fn of_servers(servers: &[SocketAddr], limit: Duration) -> Result<Self, ResolverError> {
        Self::trusting(servers, limit, DnssecTrust::Auto)
    }

    fn trusting(servers: &[SocketAddr], limit: Duration, trust: DnssecTrust) -> Result<Self, ResolverError> {
        let name_servers = if servers.is_empty() {
            let (system, _) = read_system_conf().map_err(|error| ResolverError::System(error.to_string()))?;
            system.name_servers
        } else {
            servers.iter().map(|server| name_server(*server)).collect()
        };
        let is_trusted = dnssec::is_trusted(trust, name_servers.iter().map(|server| server.ip));
        let port = |server: &NameServerConfig| server.connections.first().map_or(53, |connection| connection.port);
        let addresses = name_servers.iter().map(|server| SocketAddr::new(server.ip, port(server))).collect();
        let limit = limit.checked_div(u32::try_from(name_servers.len()).unwrap_or(1)).unwrap_or(limit);
        let servers = name_servers.into_iter().map(|server| one_server(server, limit)).collect::<Result<_, _>>()?;
        Ok(Self { servers, preferred: Arc::default(), addresses, is_trusted })
    }

    /// The servers that are asked.
    #[must_use]
    pub fn servers(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The MX records of a domain as they stand: preference and host (lower case, no final dot; empty for the root).
    ///
    /// # Errors
    /// [`DnsError`].
    pub async fn mx(&self, domain: &DomainName) -> Result<Vec<(u16, String)>, DnsError> {
        Ok(self.mx_answer(domain).await?.records)
    }

    /// The addresses of a host, IPv4 first; an IP address is its own. CNAMEs are followed.
    ///
    /// # Errors
    /// [`DnsError`]; [`DnsError::Temporary`] wins over the others if one of the two look-ups ended so and the other found nothing.
    pub async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, DnsError> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![address]);
        }
        Ok(self.address_answer(host).await?.records)
    }

    /// The TXT records of a name, the strings of each joined (RFC 7208 3.3).
    ///
    /// # Errors
    /// [`DnsError`].
    pub async fn txt(&self, name: &str) -> Result<Vec<String>, DnsError> {
        let pick = |data: &RData| match data {
            RData::TXT(txt) => Some(String::from_utf8_lossy(&txt.txt_data.concat()).into_owned()),
            _ => None,
        };
        self.records(name, RecordType::TXT, pick).await
    }

    /// The names an address points back to.
    ///
    /// # Errors
    /// [`DnsError`].
    pub async fn ptr(&self, address: IpAddr) -> Result<Vec<String>, DnsError> {
        let pick = |data: &RData| match data {
            RData::PTR(ptr) => Some(host_text(&ptr.0)),
            _ => None,
        };
        self.records(&Name::from(address).to_ascii(), RecordType::PTR, pick).await
    }

    /// What a name is an alias of.
    ///
    /// # Errors
    /// [`DnsError`].
    pub async fn cname(&self, name: &str) -> Result<Vec<String>, DnsError> {
        Ok(self.cname_answer(name).await?.records)
    }

    /// The name servers of a zone.
    ///
    /// # Errors
    /// [`DnsError`].
    pub async fn ns(&self, name: &str) -> Result<Vec<String>, DnsError> {
        let pick = |data: &RData| match data {
            RData::NS(ns) => Some(host_text(&ns.0)),
            _ => None,
        };
        self.records(name, RecordType::NS, pick).await
    }

    /// The primary servers named by the SOA records of a zone.
    ///
    /// # Errors
    /// [`DnsError`].
    pub async fn soa(&self, name: &str) -> Result<Vec<String>, DnsError> {
        let pick = |data: &RData| match data {
            RData::SOA(soa) => Some(host_text(&soa.mname)),
            _ => None,
        };
        self.records(name, RecordType::SOA, pick).await
    }

    /// True if no server finds even the servers of the root now: then failures say nothing about the names that were asked for.
    pub async fn is_down(&self) -> bool {
        for server in self.servers.iter() {
            // A kept answer would prove nothing.
            server.clear_lookup_cache(Name::root(), RecordType::NS);
            if !matches!(server.lookup(Name::root(), RecordType::NS).await.map_err(explain), Err(DnsError::Temporary(_))) {
                return false;
            }
        }
        true
    }

    /// Forgets what is kept about one name, so that the next look-up is live.
    pub fn forget(&self, name: &str) {
        if let Ok(name) = absolute(name) {
            for (server, kind) in self.servers.iter().flat_map(|server| KEPT_TYPES.map(|kind| (server, kind))) {
                server.clear_lookup_cache(name.clone(), kind);
            }
        }
    }

    /// Forgets everything.
    pub fn forget_all(&self) {
        self.servers.iter().for_each(Server::clear_cache);
    }

    async fn records<T>(&self, name: &str, kind: RecordType, pick: impl Fn(&RData) -> Option<T>) -> Result<Vec<T>, DnsError> {
        Ok(self.answer(name, kind, pick).await?.records)
    }

    /// The records of one type, where they stand, and whether they are proven.
    pub(super) async fn answer<T>(&self, name: &str, kind: RecordType, pick: impl Fn(&RData) -> Option<T>) -> Result<Answer<T>, DnsError> {
        let asked = absolute(name)?;
        let lookup = self.lookup(asked.clone(), kind).await;
        count(kind, lookup.as_ref().err());
        let lookup = lookup?;
        let found: Vec<(&Name, T)> = lookup.answers().iter().filter_map(|record| Some((&record.name, pick(&record.data)?))).collect();
        let owner = found.first().map_or_else(|| host_text(&asked), |(owner, _)| host_text(owner));
        let records: Vec<T> = found.into_iter().map(|(_, record)| record).collect();
        if records.is_empty() {
            return Err(DnsError::NoRecords);
        }
        let is_proven = self.is_trusted && lookup.message().metadata.authentic_data;
        Ok(Answer { records, name: owner, security: if is_proven { Security::Secure } else { Security::Insecure } })
    }

    async fn lookup(&self, name: Name, kind: RecordType) -> Result<Lookup, DnsError> {
        let preferred = self.preferred.load(Ordering::Relaxed);
        let mut last = DnsError::Temporary("no server is configured".to_owned());
        for place in 0..self.servers.len() {
            let place = (preferred + place) % self.servers.len();
            let Some(server) = self.servers.get(place) else { break };
            last = match server.lookup(name.clone(), kind).await.map_err(explain) {
                Err(temporary @ DnsError::Temporary(_)) => temporary,
                answer => {
                    if place != preferred {
                        self.preferred.store(place, Ordering::Relaxed);
                    }
                    return answer;
                }
            };
        }
        Err(last)
    }
}

/// Counts a look-up by what came of it.
fn count(kind: RecordType, error: Option<&DnsError>) {
    let name = match kind {
        RecordType::A => "a",
        RecordType::AAAA => "aaaa",
        RecordType::MX => "mx",
        RecordType::TXT => "txt",
        RecordType::TLSA => "tlsa",
        _ => "other",
    };
    let result = match error {
        None => LookupResult::Found,
        Some(DnsError::NoSuchName) => LookupResult::NoSuchName,
        Some(DnsError::NoRecords) => LookupResult::NoRecords,
        Some(DnsError::Temporary(_)) => LookupResult::Temporary,
    };
    metrics::dns_lookup(name, result);
}

/// One resolver for one server: a pool of hickory's would take the first server's SERVFAIL for the answer of all.
fn one_server(server: NameServerConfig, limit: Duration) -> Result<Server, ResolverError> {
    let config = ResolverConfig::from_name_servers(vec![server]);
    let mut builder = Server::builder_with_config(config, Asking::default());
    let options = builder.options_mut();
    options.ndots = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options.attempts = REPEATS;
    options.timeout = limit.checked_div(u32::try_from(REPEATS).unwrap_or(0) + 1).unwrap_or(limit);
    options.cache_size = CACHE_ENTRIES;
    options.positive_min_ttl = Some(MIN_TTL);
    options.positive_max_ttl = Some(MAX_TTL);
    options.negative_min_ttl = Some(MIN_TTL);
    options.negative_max_ttl = Some(MAX_TTL);
    options.max_active_requests = 1024;
    builder.build().map_err(|error| ResolverError::Build(error.to_string()))
}

pub(super) fn name_server(server: SocketAddr) -> NameServerConfig {
    let at_port = |mut connection: ConnectionConfig| {
        connection.port = server.port();
        connection
    };
    NameServerConfig::new(server.ip(), true, vec![at_port(ConnectionConfig::udp()), at_port(ConnectionConfig::tcp())])
}

/// A text that is not a name has no records, now or later.
fn absolute(text: &str) -> Result<Name, DnsError> {
    let mut name = Name::from_ascii(text).map_err(|_| DnsError::NoSuchName)?;
    name.set_fqdn(true);
    Ok(name)
}

pub(super) fn host_text(name: &Name) -> String {
    let mut text = name.to_ascii();
    if text.ends_with('.') {
        text.pop();
    }
    text.make_ascii_lowercase();
    text
}

fn explain(error: NetError) -> DnsError {
    match error {
        NetError::Dns(NegativeAnswer::NoRecordsFound(none)) => match none.response_code {
            ResponseCode::NXDomain => DnsError::NoSuchName,
            // A referral instead of an answer: the server does not recurse, so it has said nothing about the name.
            ResponseCode::NoError if none.ns.is_some() && none.soa.is_none() => DnsError::Temporary("the server answered with a referral".to_owned()),
            ResponseCode::NoError => DnsError::NoRecords,
            other => DnsError::Temporary(other.to_string()),
        },
        NetError::Dns(NegativeAnswer::ResponseCode(code)) => DnsError::Temporary(code.to_string()),
        other => DnsError::Temporary(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::lab::zone::{Zone, ZoneFault, reverse_name};
    use crate::supervisor::Supervisor;

    #[tokio::test]
    async fn every_type_is_read_and_no_search_domain_applied() {
        let (clock, supervisor) = (Clock::movable(), Supervisor::default());
        let address: IpAddr = "192.0.2.9".parse().expect("an address");
        let long = "k".repeat(300);
        let text = format!(
            "d.example TXT v=spf1 -all\nd.example TXT \"one\" \" two\"\nkey.d.example TXT {long}\nd.example NS Ns1.d.example.\nd.example SOA ns1.d.example hostmaster.d.example\nwww.d.example CNAME d.example\n{} PTR mail.d.example\nd.example.local A 192.0.2.1",
            reverse_name(address)
        );
        let zone = Zone::parse(&text).expect("a zone");
        let server = zone.serve("[::1]:0".parse().expect("an address"), &supervisor, &clock).await.expect("a server");
        let config = config::Dns { servers: vec![server.local_addr], timeout_seconds: 5, dnssec: DnssecTrust::Auto };
        let resolver = Resolver::new(&config).expect("a resolver");
        let mut texts = resolver.txt("d.example").await.expect("records");
        texts.sort();
        assert_eq!(texts, ["one two", "v=spf1 -all"]);
        assert_eq!(resolver.txt("key.d.example").await, Ok(vec![long]));
        assert_eq!(resolver.ns("d.example").await, Ok(vec!["ns1.d.example".to_owned()]));
        assert_eq!(resolver.soa("d.example").await, Ok(vec!["ns1.d.example".to_owned()]));
        assert_eq!(resolver.cname("www.d.example").await, Ok(vec!["d.example".to_owned()]));
        assert_eq!(resolver.ptr(address).await, Ok(vec!["mail.d.example".to_owned()]));
        assert_eq!(resolver.addresses("d.example").await, Err(DnsError::NoRecords));
        assert_eq!(resolver.addresses("no.example").await, Err(DnsError::NoSuchName));
        assert_eq!(resolver.addresses("192.0.2.77").await, Ok(vec!["192.0.2.77".parse().expect("an address")]));
        supervisor.drain();
        supervisor.ended().await;
    }

    // D15
    #[tokio::test]
    #[expect(clippy::disallowed_methods, reason = "the resolver's cache goes by the machine's monotonic clock")]
    async fn answers_are_kept_half_a_minute_at_least_and_an_hour_at_most() {
        let (clock, supervisor) = (Clock::movable(), Supervisor::default());
        let zone = Zone::parse("d.example MX 10 mx.d.example").expect("a zone");
        let server = zone.serve("127.0.0.1:0".parse().expect("an address"), &supervisor, &clock).await.expect("a server");
        let resolver = Resolver::of_servers(&[server.local_addr], Duration::from_secs(10)).expect("a resolver");
        let domain = DomainName::parse("d.example").expect("a domain");
        for (ttl, kept) in [(0, MIN_TTL), (60, Duration::from_mins(1)), (604_800, MAX_TTL)] {
            zone.set_ttl(ttl);
            resolver.forget_all();
            let asked = zone.queries();
            for _ in 0..3 {
                assert!(resolver.mx(&domain).await.is_ok());
            }
            assert_eq!(zone.queries(), asked + 1, "TTL {ttl}");
            let lookup = resolver.lookup(absolute("d.example").expect("a name"), RecordType::MX).await.expect("records");
            let left = lookup.valid_until().saturating_duration_since(std::time::Instant::now());
            assert!(left <= kept && left + Duration::from_secs(15) > kept, "TTL {ttl}: {left:?}");
        }
        supervisor.drain();
        supervisor.ended().await;
    }

    #[tokio::test]
    async fn a_server_that_fails_is_passed_over_and_remembered() {
        let (clock, supervisor) = (Clock::movable(), Supervisor::default());
        let (broken, sound) = (Zone::parse("").expect("a zone"), Zone::parse("a.example TXT a\nb.example TXT b").expect("a zone"));
        let listen = "127.0.0.1:0".parse().expect("an address");
        let mut servers = Vec::new();
        for zone in [&broken, &sound] {
            servers.push(zone.serve(listen, &supervisor, &clock).await.expect("a server").local_addr);
        }
        for fault in [ZoneFault::ServFail, ZoneFault::Refused] {
            broken.set_fault("a.example", Some(fault));
            let resolver = Resolver::of_servers(&servers, Duration::from_secs(10)).expect("a resolver");
            assert_eq!(resolver.txt("a.example").await, Ok(vec!["a".to_owned()]), "{fault:?}");
            let asked = broken.queries();
            assert_eq!(resolver.txt("b.example").await, Ok(vec!["b".to_owned()]));
            assert_eq!(broken.queries(), asked, "the sound one is asked first now");
        }
        supervisor.drain();
        supervisor.ended().await;
    }
}
