//! A load generator for the HTTP API: many requests over kept-alive connections, and how long each took.
//!
//! Answers: rates and latencies of one kind of request. It shares the machine with what it measures, so requests are laid out once and
//! only a counter in them is overwritten; responses are read no further than their status and length (RFC 9112).
//! Does not: TLS, HTTP/2, chunked responses, redirects.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::clock::Clock;
use crate::model::Secret;
use crate::supervisor::Supervisor;

/// Stands in a body for the number of the request, twelve digits.
pub const NUMBER: &str = "{number}";
/// Stands in a body for the number of a domain, four digits from 0000 to [`LoadSettings::domains`] less one.
pub const DOMAIN: &str = "{domain}";

const MAX_HEAD_OCTETS: usize = 16 * 1024;

/// What load to make.
#[derive(Clone, Debug)]
pub struct LoadSettings {
    /// Where the API listens.
    pub target: SocketAddr,
    /// The path to POST to.
    pub path: String,
    /// The API key.
    pub key: Secret<String>,
    /// A JSON body, in which [`NUMBER`] and [`DOMAIN`] are filled in per request.
    pub body: String,
    /// Over how many domains [`DOMAIN`] goes round; at least one, at most 10,000.
    pub domains: u64,
    /// Connections, each with one request at a time.
    pub connections: usize,
    /// When to stop.
    pub until: Until,
}

/// When to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// After so many requests in all.
    Requests(u64),
    /// After so long.
    Elapsed(Duration),
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoadReport {
    /// From the first request to the last response.
    pub elapsed: Duration,
    /// Responses by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Requests without a response.
    pub failed: u64,
    /// Why the first of them failed.
    pub first_failure: Option<String>,
    /// How long responses took.
    pub latency: Latency,
}

impl LoadReport {
    /// Responses of 2xx.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.statuses.iter().filter(|(status, _)| (200..300).contains(*status)).map(|(_, count)| count).sum()
    }

    /// Adds what came of another connection.
    pub(super) fn add(&mut self, other: Self) {
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        self.failed += other.failed;
        self.first_failure = self.first_failure.take().or(other.first_failure);
        self.latency.merge(&other.latency);
    }

    /// Responses of 2xx per second.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a rate needs no more than 52 bits")]
    pub fn rate(&self) -> f64 {
        if self.elapsed.is_zero() { 0.0 } else { self.accepted() as f64 / self.elapsed.as_secs_f64() }
    }
}

/// A histogram of durations, each counted to within one part in 16.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Latency {
    /// By octave of microseconds, and sixteenth of the octave.
    buckets: BTreeMap<(u32, u64), u64>,
    count: u64,
    max: Duration,
}

impl Latency {
    /// Counts one.
    pub fn add(&mut self, duration: Duration) {
        *self.buckets.entry(bucket(duration)).or_default() += 1;
        self.count += 1;
        self.max = self.max.max(duration);
    }

    /// Counts all of another.
    pub fn merge(&mut self, other: &Self) {
        for (bucket, count) in &other.buckets {
            *self.buckets.entry(*bucket).or_default() += count;
        }
        self.count += other.count;
        self.max = self.max.max(other.max);
    }

    /// The duration that `permille` of a thousand did not exceed: 500 is the median. Zero if nothing was counted.
    #[must_use]
    pub fn quantile(&self, permille: u64) -> Duration {
        let rank = (self.count * permille).div_ceil(1000).max(1);
        let mut seen = 0;
        for (&(octave, sixteenth), count) in &self.buckets {
            seen += count;
            if seen >= rank {
                let upper = (1_u64 << octave) + ((sixteenth + 1) << octave >> 4);
                return Duration::from_micros(upper).min(self.max);
            }
        }
        self.max
    }

    /// The longest.
    #[must_use]
    pub const fn max(&self) -> Duration {
        self.max
    }

    /// How many were counted.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }
}

fn bucket(duration: Duration) -> (u32, u64) {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX).max(1);
    let octave = micros.ilog2();
    let above = micros - (1 << octave);
    (octave, if octave >= 4 { above >> (octave - 4) } else { above << (4 - octave) })
}

/// Makes the load and reports. Ends early if `supervisor` is killed.
pub async fn run(settings: LoadSettings, supervisor: &Supervisor, clock: &Clock) -> LoadReport {
    let connections = settings.connections;
    let work = Arc::new(Work { request: Request::new(&settings), settings, next: AtomicU64::new(0), clock: clock.clone() });
    gather(connections, "lab load", supervisor, clock, || {
        let work = Arc::clone(&work);
        async move { work.connection().await }
    })
    .await
}

/// Runs `one` in as many tasks as `many` says, at least one, and adds up what they report.
pub(super) async fn gather<F>(many: usize, name: &'static str, supervisor: &Supervisor, clock: &Clock, one: impl Fn() -> F) -> LoadReport
where
    F: Future<Output = LoadReport> + Send + 'static,
{
    let (start, many) = (clock.tick(), many.max(1));
    let (reports, mut ended) = mpsc::channel(many);
    for _ in 0..many {
        let (report, reports) = (one(), reports.clone());
        supervisor.spawn(name, async move {
            // Nobody waits any more if the run was given up.
            let _ = reports.send(report.await).await;
        });
    }
    drop(reports);
    let mut total = LoadReport::default();
    while let Some(report) = ended.recv().await {
        total.add(report);
    }
    total.elapsed = clock.tick().since(start);
    total
}

/// A request laid out once, and where in it the numbers stand.
#[derive(Clone)]
struct Request {
    octets: Vec<u8>,
    numbers: Vec<usize>,
    domains: Vec<usize>,
}

const NUMBER_DIGITS: usize = 12;
const DOMAIN_DIGITS: usize = 4;

impl Request {
    fn new(settings: &LoadSettings) -> Self {
        let body = settings.body.replace(NUMBER, &"N".repeat(NUMBER_DIGITS)).replace(DOMAIN, &"0".repeat(DOMAIN_DIGITS));
        let mut octets = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            settings.path,
            settings.target,
            settings.key.expose(),
            body.len(),
        )
        .into_bytes();
        let head = octets.len();
        octets.extend_from_slice(body.as_bytes());
        let (numbers, domains) = places(&settings.body, head);
        Self { octets, numbers, domains }
    }

    fn fill(&mut self, number: u64, domain: u64) {
        for place in &self.numbers {
            write_digits(self.octets.get_mut(*place..place + NUMBER_DIGITS).unwrap_or_default(), number);
        }
        for place in &self.domains {
            write_digits(self.octets.get_mut(*place..place + DOMAIN_DIGITS).unwrap_or_default(), domain);
        }
    }
}

/// Where the numbers and domains of a body stand once they are filled in, counted from `offset`.
fn places(body: &str, offset: usize) -> (Vec<usize>, Vec<usize>) {
    let (mut numbers, mut domains) = (Vec::new(), Vec::new());
    let mut at = offset;
    let mut rest = body;
    while let Some(first) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix(NUMBER) {
            numbers.push(at);
            at += NUMBER_DIGITS;
            rest = after;
        } else if let Some(after) = rest.strip_prefix(DOMAIN) {
            domains.push(at);
            at += DOMAIN_DIGITS;
            rest = after;
        } else {
            at += first.len_utf8();
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
        }
    }
    (numbers, domains)
}

fn write_digits(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
    }
}

struct Work {
    settings: LoadSettings,
    request: Request,
    next: AtomicU64,
    clock: Clock,
}

impl Work {
    /// Sends requests over one connection; over a new one where the server closed it.
    async fn connection(&self) -> LoadReport {
        let mut report = LoadReport::default();
        let mut request = self.request.clone();
        let mut input = BytesMut::with_capacity(4096);
        let mut stream = None;
        let start = self.clock.tick();
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let over = match self.settings.until {
                Until::Requests(most) => number >= most,
                Until::Elapsed(limit) => self.clock.tick().since(start) >= limit,
            };
            if over {
                return report;
            }
            request.fill(number, number % self.settings.domains.max(1));
            let sent_at = self.clock.tick();
            match exchange(self.settings.target, &mut stream, &request.octets, &mut input).await {
                Ok(status) => {
                    *report.statuses.entry(status).or_default() += 1;
                    report.latency.add(self.clock.tick().since(sent_at));
                }
                Err(error) => {
                    report.failed += 1;
                    report.first_failure.get_or_insert_with(|| error.to_string());
                    stream = None;
                    input.clear();
                    if report.failed > 100 && report.statuses.is_empty() {
                        return report;
                    }
                }
            }
        }
    }
}

async fn exchange(target: SocketAddr, kept: &mut Option<TcpStream>, request: &[u8], input: &mut BytesMut) -> io::Result<u16> {
    let stream = if let Some(stream) = kept {
        stream
    } else {
        let stream = TcpStream::connect(target).await?;
        stream.set_nodelay(true)?;
        kept.insert(stream)
    };
    stream.write_all(request).await?;
    loop {
        if let Some(head) = read_head(input)? {
            let whole = head.octets + head.body;
            while input.len() < whole {
                more(stream, input).await?;
            }
            input.advance(whole);
            if head.closes {
                *kept = None;
                input.clear();
            }
            return Ok(head.status);
        }
        more(stream, input).await?;
    }
}

async fn more(stream: &mut TcpStream, input: &mut BytesMut) -> io::Result<()> {
    input.reserve(2048);
    if stream.read_buf(input).await? == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}

struct Head {
    status: u16,
    octets: usize,
    body: usize,
    closes: bool,
}

/// The head of a response, once it is there.
fn read_head(input: &[u8]) -> io::Result<Option<Head>> {
    let Some(end) = input.windows(4).position(|four| four == b"\r\n\r\n") else {
        return if input.len() > MAX_HEAD_OCTETS { Err(io::Error::other("the response has no end of head")) } else { Ok(None) };
    };
    let text = std::str::from_utf8(input.get(..end).unwrap_or_default()).map_err(io::Error::other)?;
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| io::Error::other("the response has no status"))?;
    let (mut body, mut closes) = (None, false);
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { continue };
        if name.eq_ignore_ascii_case("content-length") {
            body = value.trim().parse().ok();
        } else if name.eq_ignore_ascii_case("connection") {
            closes = value.trim().eq_ignore_ascii_case("close");
        }
    }
    let body = body.ok_or_else(|| io::Error::other("the response has no content-length"))?;
    Ok(Some(Head { status, octets: end + 4, body, closes }))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn quantiles_are_right_to_one_part_in_sixteen() {
        let mut latency = Latency::default();
        (1..=1000).for_each(|millis| latency.add(Duration::from_millis(millis)));
        for (permille, exact) in [(1, 1.0), (500, 500.0), (950, 950.0), (990, 990.0), (1000, 1000.0)] {
            let found = latency.quantile(permille).as_secs_f64() * 1000.0;
            assert!(found >= exact && found <= exact * 1.07, "{permille}: {found}");
        }
        assert_eq!(latency.max(), Duration::from_secs(1));
        assert_eq!(Latency::default().quantile(500), Duration::ZERO);
    }

    #[test]
    fn numbers_are_written_where_they_stand() {
        let settings = LoadSettings {
            target: SocketAddr::from(([127, 0, 0, 1], 1)),
            path: "/v1/send".to_owned(),
            key: Secret::new("k".to_owned()),
            body: format!("{{\"ü\":\"{NUMBER}\",\"to\":\"a@d{DOMAIN}.example\"}}"),
            domains: 3,
            connections: 1,
            until: Until::Requests(1),
        };
        let mut request = Request::new(&settings);
        request.fill(42, 7);
        let text = String::from_utf8(request.octets).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        assert_eq!(body, "{\"ü\":\"000000000042\",\"to\":\"a@d0007.example\"}");
        assert!(head.ends_with(&format!("Content-Length: {}", body.len())));
    }

    #[tokio::test]
    async fn every_request_is_counted_and_connections_are_kept() {
        let supervisor = Supervisor::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let target = listener.local_addr().expect("its address");
        let connections = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&connections);
        let sessions = supervisor.clone();
        supervisor.spawn("server", async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                seen.fetch_add(1, Ordering::Relaxed);
                sessions.spawn("session", async move {
                    let mut buffer = BytesMut::new();
                    while stream.read_buf(&mut buffer).await.is_ok_and(|octets| octets > 0) {
                        if buffer.ends_with(b"!") {
                            let status = if buffer.ends_with(b"3!") { "429 Too Many Requests" } else { "202 Accepted" };
                            let response = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\n{{}}");
                            buffer.clear();
                            stream.write_all(response.as_bytes()).await.expect("a client that listens");
                        }
                    }
                });
            }
        });
        let settings = LoadSettings {
            target,
            path: "/".to_owned(),
            key: Secret::default(),
            body: format!("{NUMBER}!"),
            domains: 1,
            connections: 2,
            until: Until::Requests(20),
        };
        let report = run(settings, &supervisor, &Clock::system()).await;
        supervisor.kill();
        assert_eq!(report.statuses, BTreeMap::from([(202, 18), (429, 2)]));
        assert_eq!((report.accepted(), report.failed, report.latency.count()), (18, 0, 20));
        assert!(connections.load(Ordering::Relaxed) <= 2);
    }
}
