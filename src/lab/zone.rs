//! A small authoritative DNS server on loopback: answers from a text zone, over UDP and TCP, with faults on demand.
//!
//! Answers: queries, with NXDOMAIN and NODATA told apart (RFC 2308), CNAMEs followed, wildcards (RFC 4592), truncation (RFC 2181 9).
//! Does not: recurse, transfer zones, or make signatures: what is signed is only told so.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::proto::op::{Edns, Message, MessageType, Metadata, Query, ResponseCode};
use hickory_resolver::proto::rr::rdata::SOA;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

pub use super::zone_text::ZoneError;
use super::zone_text::{key, name, read_line};
use crate::clock::Clock;
use crate::supervisor::Supervisor;

/// Time to live of every record, unless [`Zone::set_ttl`] said otherwise.
pub const TTL_SECONDS: u32 = 60;
/// A UDP answer without EDNS (RFC 1035 4.2.1).
const PLAIN_UDP_OCTETS: usize = 512;
const MAX_ALIASES: usize = 8;
/// Tries to find a port that is free for TCP and UDP.
const BIND_TRIES: usize = 16;

/// What goes wrong when a name is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZoneFault {
    /// SERVFAIL.
    ServFail,
    /// REFUSED.
    Refused,
    /// NXDOMAIN, whatever records there are.
    NoSuchName,
    /// No answer at all.
    NoAnswer,
    /// Truncated over UDP, whole over TCP.
    Truncate,
    /// Truncated over UDP, and TCP closes without an answer.
    TruncateWithoutTcp,
    /// The right answer, later.
    Delay(Duration),
}

/// A set of records and faults, which may change while it is served. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Zone {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    records: HashMap<String, Vec<RData>>,
    faults: HashMap<String, ZoneFault>,
    signed: Vec<String>,
    queries: u64,
    ttl: Option<u32>,
}

/// A zone that is being served.
#[derive(Clone, Copy, Debug)]
pub struct ZoneServer {
    /// Where it answers, over UDP and TCP.
    pub local_addr: SocketAddr,
}

impl Zone {
    /// Reads a zone of `name TYPE data` lines.
    ///
    /// # Errors
    /// [`ZoneError`] names the first line that is no record.
    pub fn parse(text: &str) -> Result<Self, ZoneError> {
        let zone = Self::default();
        for line in text.lines() {
            zone.add(line)?;
        }
        Ok(zone)
    }

    /// Sets the time to live of all records, in seconds.
    pub fn set_ttl(&self, seconds: u32) {
        self.inner.lock().ttl = Some(seconds);
    }

    /// Adds one record.
    ///
    /// # Errors
    /// [`ZoneError`] if the line is none.
    pub fn add(&self, line: &str) -> Result<(), ZoneError> {
        if let Some((name, data)) = read_line(line)? {
            self.inner.lock().records.entry(name).or_default().push(data);
        }
        Ok(())
    }

    /// Takes all records of a name away.
    pub fn remove(&self, name: &str) {
        self.inner.lock().records.remove(&key(name));
    }

    /// Sets or clears what goes wrong for a name.
    pub fn set_fault(&self, name: &str, fault: Option<ZoneFault>) {
        let mut inner = self.inner.lock();
        match fault {
            Some(fault) => inner.faults.insert(key(name), fault),
            None => inner.faults.remove(&key(name)),
        };
    }

    /// From now on answers about `name` and all names below it are told as proven by DNSSEC, as a validating resolver would (RFC 6840 5.7).
    pub fn sign(&self, name: &str) {
        self.inner.lock().signed.push(key(name));
    }

    /// Queries heard so far.
    #[must_use]
    pub fn queries(&self) -> u64 {
        self.inner.lock().queries
    }

    /// Answers on `listen` (port 0: any free one) until `supervisor` drains.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub async fn serve(&self, listen: SocketAddr, supervisor: &Supervisor, clock: &Clock) -> io::Result<ZoneServer> {
        let (tcp, udp) = bind(listen).await?;
        let local_addr = tcp.local_addr()?;
        let server = Server { zone: self.clone(), supervisor: supervisor.clone(), clock: clock.clone() };
        supervisor.spawn("lab zone udp", server.clone().udp(Arc::new(udp)));
        supervisor.spawn("lab zone tcp", server.tcp(tcp));
        Ok(ZoneServer { local_addr })
    }

    fn fault(&self, query: &Query) -> Option<ZoneFault> {
        let mut inner = self.inner.lock();
        inner.queries += 1;
        inner.faults.get(&key(&query.name().to_ascii())).copied()
    }
}

async fn bind(listen: SocketAddr) -> io::Result<(TcpListener, UdpSocket)> {
    let mut tries = 1;
    loop {
        let tcp = TcpListener::bind(listen).await?;
        match UdpSocket::bind(tcp.local_addr()?).await {
            Ok(udp) => return Ok((tcp, udp)),
            Err(_) if listen.port() == 0 && tries < BIND_TRIES => tries += 1,
            Err(error) => return Err(error),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Transport {
    Udp,
    Tcp,
}

#[derive(Clone)]
struct Server {
    zone: Zone,
    supervisor: Supervisor,
    clock: Clock,
}

impl Server {
    async fn udp(self, socket: Arc<UdpSocket>) {
        let mut buffer = [0_u8; 1500];
        loop {
            let heard = tokio::select! {
                heard = socket.recv_from(&mut buffer) => heard,
                () = self.supervisor.draining() => return,
            };
            // An error belongs to an earlier answer whose asker has gone.
            let Ok((octets, peer)) = heard else { continue };
            let Some((answer, delay)) = self.answer(buffer.get(..octets).unwrap_or_default(), Transport::Udp) else { continue };
            if delay.is_zero() {
                let _ = socket.send_to(&answer, peer).await;
            } else {
                let (clock, socket) = (self.clock.clone(), Arc::clone(&socket));
                self.supervisor.spawn("lab zone delay", async move {
                    clock.sleep(delay).await;
                    let _ = socket.send_to(&answer, peer).await;
                });
            }
        }
    }

    async fn tcp(self, listener: TcpListener) {
        loop {
            let heard = tokio::select! {
                heard = listener.accept() => heard,
                () = self.supervisor.draining() => return,
            };
            let Ok((stream, _)) = heard else { continue };
            let server = self.clone();
            self.supervisor.spawn("lab zone connection", async move {
                tokio::select! {
                    // The asker went away in the middle: nothing to answer.
                    _ = server.connection(stream) => {}
                    () = server.supervisor.draining() => {}
                }
            });
        }
    }

    async fn connection(&self, mut stream: TcpStream) -> io::Result<()> {
        loop {
            let length = stream.read_u16().await?;
            let mut query = vec![0; usize::from(length)];
            stream.read_exact(&mut query).await?;
            let Some((answer, delay)) = self.answer(&query, Transport::Tcp) else { return Ok(()) };
            self.clock.sleep(delay).await;
            let length = u16::try_from(answer.len()).map_err(|_| io::Error::other("the answer is too long for DNS"))?;
            stream.write_all(&[length.to_be_bytes().as_slice(), &answer].concat()).await?;
        }
    }

    /// The answer and how much later to give it; none for what is no query and for names that get no answer.
    fn answer(&self, octets: &[u8], transport: Transport) -> Option<(Vec<u8>, Duration)> {
        let query = Message::from_vec(octets).ok()?;
        if query.metadata.message_type != MessageType::Query {
            return None;
        }
        let question = query.queries.first()?.clone();
        let mut answer = Message::response(query.metadata.id, query.metadata.op_code);
        answer.metadata = Metadata::response_from_request(&query.metadata);
        answer.metadata.authoritative = true;
        answer.metadata.recursion_available = true;
        answer.add_query(question.clone());
        let mut room = PLAIN_UDP_OCTETS;
        if let Some(edns) = &query.edns {
            room = usize::from(edns.max_payload()).max(PLAIN_UDP_OCTETS);
            answer.set_edns(Edns::new());
        }
        let mut delay = Duration::ZERO;
        match (self.zone.fault(&question), transport) {
            (Some(ZoneFault::NoAnswer), _) | (Some(ZoneFault::TruncateWithoutTcp), Transport::Tcp) => return None,
            (Some(ZoneFault::ServFail), _) => answer.metadata.response_code = ResponseCode::ServFail,
            (Some(ZoneFault::Refused), _) => answer.metadata.response_code = ResponseCode::Refused,
            (Some(ZoneFault::NoSuchName), _) => deny(&mut answer, ResponseCode::NXDomain),
            (Some(ZoneFault::Truncate | ZoneFault::TruncateWithoutTcp), Transport::Udp) => answer.metadata.truncation = true,
            (fault, _) => {
                if let Some(ZoneFault::Delay(by)) = fault {
                    delay = by;
                }
                let inner = self.zone.inner.lock();
                inner.fill(&question, &mut answer);
                answer.metadata.authentic_data = query.metadata.authentic_data && inner.proves(&question, &answer);
            }
        }
        let whole = answer.to_vec().ok()?;
        let sent = if transport == Transport::Udp && whole.len() > room { answer.truncate().to_vec().ok()? } else { whole };
        Some((sent, delay))
    }
}

/// A negative answer carries an SOA, from which resolvers take how long to believe it (RFC 2308 3).
fn deny(answer: &mut Message, code: ResponseCode) {
    answer.metadata.response_code = code;
    let root = Name::root();
    let soa = SOA::new(root.clone(), root.clone(), 1, 3600, 600, 86_400, TTL_SECONDS);
    answer.add_authority(Record::from_rdata(root, TTL_SECONDS, RData::SOA(soa)));
}

impl Inner {
    fn fill(&self, question: &Query, answer: &mut Message) {
        let mut owner = question.name().clone();
        let ttl = self.ttl.unwrap_or(TTL_SECONDS);
        for _ in 0..MAX_ALIASES {
            let Some(found) = self.find(&key(&owner.to_ascii())) else {
                // NXDOMAIN speaks of the last name of the chain (RFC 2308 2.1).
                return deny(answer, ResponseCode::NXDomain);
            };
            let wanted = question.query_type();
            let matches = found.iter().filter(|data| wanted == RecordType::ANY || data.record_type() == wanted);
            let records: Vec<_> = matches.map(|data| Record::from_rdata(owner.clone(), ttl, data.clone())).collect();
            if !records.is_empty() {
                answer.add_answers(records);
                return;
            }
            let Some(RData::CNAME(alias)) = found.iter().find(|data| data.record_type() == RecordType::CNAME) else {
                return deny(answer, ResponseCode::NoError);
            };
            answer.add_answer(Record::from_rdata(owner, ttl, RData::CNAME(alias.clone())));
            owner = alias.0.clone();
        }
    }

    /// True if the name asked for and every owner in the answer is below a signed name.
    fn proves(&self, question: &Query, answer: &Message) -> bool {
        let is_signed = |name: &Name| {
            let name = key(&name.to_ascii());
            self.signed.iter().any(|top| name == *top || name.strip_suffix(top.as_str()).is_some_and(|rest| rest.ends_with('.')))
        };
        is_signed(question.name()) && answer.answers.iter().all(|record| is_signed(&record.name))
    }

    /// The records of a name; an empty list if it only has names below it; none if it does not exist.
    fn find(&self, name: &str) -> Option<&[RData]> {
        if let Some(found) = self.records.get(name) {
            return Some(found);
        }
        let has_names_below = self.records.keys().any(|known| known.strip_suffix(name).is_some_and(|rest| rest.ends_with('.')));
        if has_names_below {
            return Some(&[]);
        }
        let mut parent = name;
        while let Some((_, above)) = parent.split_once('.') {
            if let Some(found) = self.records.get(&format!("*.{above}")) {
                return Some(found);
            }
            parent = above;
        }
        None
    }
}

/// The name that the PTR records of an address stand at, for zone texts.
#[must_use]
pub fn reverse_name(address: std::net::IpAddr) -> String {
    key(&Name::from(address).to_ascii())
}

/// True if `text` can be the owner of a record.
#[must_use]
pub fn is_name(text: &str) -> bool {
    name(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::dns::{DnsError, Resolver};

    struct World {
        zone: Zone,
        resolver: Resolver,
        clock: Clock,
        supervisor: Supervisor,
    }

    impl World {
        async fn new(text: &str) -> Self {
            let (clock, supervisor) = (Clock::movable(), Supervisor::default());
            let zone = Zone::parse(text).expect("a zone");
            let server = zone.serve("127.0.0.1:0".parse().expect("an address"), &supervisor, &clock).await.expect("a server");
            let resolver = Resolver::of_servers(&[server.local_addr], Duration::from_secs(3)).expect("a resolver");
            Self { zone, resolver, clock, supervisor }
        }

        async fn end(self) {
            self.supervisor.drain();
            self.supervisor.ended().await;
        }
    }

    #[test]
    fn a_line_that_is_no_record_is_named() {
        for (line, reason) in [
            ("a.example", "expected: name TYPE data"),
            ("a.example A", "expected: name TYPE data"),
            ("a.example A nowhere", "invalid IPv4 address syntax"),
            ("a.example SPF x", "unknown type SPF"),
            ("a.example MX mx.example", "expected: preference host"),
            ("a.example TXT \"open", "a quote is not closed"),
        ] {
            let error = Zone::parse(&format!("; a comment\n\n# another\n{line}\n")).expect_err(line);
            assert_eq!((error.line.as_str(), error.reason.as_str()), (line, reason));
        }
        assert!(is_name("mx.example") && !is_name("a..b"));
    }

    #[tokio::test]
    async fn wildcards_answer_for_names_that_do_not_exist() {
        let world = World::new("*.bench.example TXT any\nown.bench.example TXT own\nbelow.own.bench.example A 192.0.2.1").await;
        assert_eq!(world.resolver.txt("d17.bench.example").await, Ok(vec!["any".to_owned()]));
        assert_eq!(world.resolver.txt("x.y.bench.example").await, Ok(vec!["any".to_owned()]));
        assert_eq!(world.resolver.txt("own.bench.example").await, Ok(vec!["own".to_owned()]));
        assert_eq!(world.resolver.txt("below.own.bench.example").await, Err(DnsError::NoRecords));
        assert_eq!(world.resolver.txt("bench.example").await, Err(DnsError::NoRecords));
        world.end().await;
    }

    #[tokio::test]
    async fn aliases_are_followed_and_their_loops_end() {
        let world = World::new(
            "a.example CNAME b.example\nb.example CNAME c.example\nc.example TXT end\nx.example CNAME y.example\ny.example CNAME x.example",
        )
        .await;
        assert_eq!(world.resolver.txt("a.example").await, Ok(vec!["end".to_owned()]));
        assert!(world.resolver.txt("x.example").await.is_err());
        world.end().await;
    }

    #[tokio::test]
    async fn a_delayed_answer_comes_when_its_time_has_come() {
        let world = World::new("a.example TXT late").await;
        world.zone.set_fault("a.example", Some(ZoneFault::Delay(Duration::from_mins(1))));
        let mover = async {
            while world.zone.queries() == 0 {
                tokio::task::yield_now().await;
            }
            world.clock.advance(Duration::from_mins(1));
        };
        let (answer, ()) = tokio::join!(world.resolver.txt("a.example"), mover);
        assert_eq!(answer, Ok(vec!["late".to_owned()]));
        world.end().await;
    }
}
