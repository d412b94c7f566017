//! Real processes of the program, killed again and again under load, and an audit of what became of every message (faults K1 to K8, K15, K16, P2).
//!
//! `kills.rs` kills one process at each named step and at random instants; `weather.rs` lets two processes work against hosts that fail in every
//! way, and kills, stops and pauses one of them, or the database, every few seconds. Sizes and seeds come from the environment; see docs/testing.md.

mod audit;
mod audit_tests;
mod book;
mod dice;
mod host;
mod kills;
mod load;
mod node;
mod weather;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pennypost::clock::Clock;
use pennypost::net::tls;
use pennypost::serve::Roles;
use pennypost::supervisor::Supervisor;
use sqlx::{Executor, PgConnection};

use self::audit::Findings;
use self::book::Book;
use self::dice::Dice;
use self::host::Town;
use self::load::Load;
use self::node::Node;
use super::world::World;
use super::world::http;

/// Nothing gets done for so long: something hangs.
const PATIENCE: Duration = Duration::from_mins(1);
const CLIENTS: usize = 8;

/// Where a storm takes place.
struct Field {
    world: World,
    book: Arc<Book>,
    load: Load,
    clock: Clock,
    nodes: [SocketAddr; 2],
}

/// How a storm is set up.
struct Plan {
    dice: Dice,
    hosts: usize,
    nasty: bool,
    messages: usize,
    /// One message in so many is large.
    large: u64,
}

impl Field {
    /// A world with its domain, its key, and all its hosts.
    async fn new(world: World, plan: Plan) -> Self {
        let gateway = world.gateway_with(Roles { deliver: false, ..Roles::ALL }).await;
        let key = gateway.key.clone();
        gateway.stop().await;
        let clock = Clock::system();
        let book = Arc::new(Book::default());
        let certificate = tls::self_signed("mx.storm.example").unwrap();
        let lab = Supervisor::default();
        let town = Town { book: Arc::clone(&book), dice: plan.dice, nasty: plan.nasty, tls: certificate, clock: clock.clone(), lab };
        let mut free = (2..=52).chain(100..=253);
        for number in 0..plan.hosts {
            let address = in_block(&world, free.next().unwrap());
            world.zone.add(&format!("d{number}.storm.example MX 10 mx.d{number}.storm.example")).unwrap();
            world.zone.add(&format!("mx.d{number}.storm.example A {address}")).unwrap();
            town.open(number, SocketAddr::new(address, world.config.delivery.mx_port)).await;
        }
        let nodes = [60, 61].map(|octet| free_port(in_block(&world, octet)));
        let load = Load {
            dice: plan.dice,
            domains: plan.hosts,
            messages: plan.messages,
            large: plan.large,
            key,
            targets: Mutex::new(nodes.to_vec()),
            posted: Mutex::new(BTreeMap::new()),
            next: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            clock: clock.clone(),
        };
        Self { world, book, load, clock, nodes }
    }

    /// Lets everything that waits for its time come due. What a process in between waits for in memory ends with the process.
    async fn pass_time(&self, operator: &mut PgConnection) -> Result<(), sqlx::Error> {
        operator.execute("update delivery set next_at = now() where owner = 0 and next_at > now()").await.map(drop)
    }

    /// What is not done yet: deliveries outstanding and messages to post.
    async fn left(&self, operator: &mut PgConnection) -> Result<usize, sqlx::Error> {
        let deliveries: i64 = sqlx::query_scalar("select count(*) from delivery").fetch_one(operator).await?;
        let wanted = if self.load.stop.load(Ordering::Relaxed) { self.load.next.load(Ordering::Relaxed) } else { self.load.messages };
        let answered = self.load.posted.lock().unwrap().len();
        Ok(usize::try_from(deliveries).unwrap() + wanted.min(self.load.messages) - answered)
    }

    /// Compares everything with everything, over a node that still runs.
    async fn audit(&self, node: &Node) -> Findings {
        let posted = self.load.posted.lock().unwrap().clone();
        let mut findings = audit::audit(&self.world.database_url, &self.book, &posted).await;
        self.check_feed(node, &mut findings).await;
        findings
    }

    /// The feed tells each event once, whatever died while it was written.
    async fn check_feed(&self, node: &Node, findings: &mut Findings) {
        let stored = usize::try_from(self.world.number("select count(*) from event where message_id is not null").await).unwrap();
        let since = self.clock.tick();
        let mut told = self.feed(node).await;
        // The feed stays behind transactions that are still open, those of other worlds included.
        while told.len() < stored && self.clock.tick().since(since) < PATIENCE {
            self.clock.sleep(PATIENCE / 2_000).await;
            told = self.feed(node).await;
        }
        let count = told.len();
        told.sort_unstable();
        told.dedup();
        if count != told.len() || count != stored {
            findings.complaints.push(format!("the feed tells {count} events, {} different, of {stored}", told.len()));
        }
    }

    /// The ids of all events that the feed tells.
    async fn feed(&self, node: &Node) -> Vec<String> {
        let bearer = format!("Bearer {}", self.load.key);
        let (mut told, mut path) = (Vec::new(), "/v1/events?limit=100".to_owned());
        loop {
            let page = http::call(node.http, "GET", &path, &[("authorization", &bearer)], b"").await.json();
            let data = page["data"].as_array().unwrap();
            if data.is_empty() {
                break;
            }
            told.extend(data.iter().map(|event| event["id"].as_str().unwrap().to_owned()));
            path = format!("/v1/events?limit=100&cursor={}", page["next_cursor"].as_str().unwrap_or_else(|| panic!("{page}")));
        }
        told
    }
}

/// Watches that something gets done.
struct Progress {
    clock: Clock,
    least: usize,
    since: pennypost::clock::Tick,
}

impl Progress {
    fn new(clock: &Clock) -> Self {
        Self { clock: clock.clone(), least: usize::MAX, since: clock.tick() }
    }

    /// Notes what is left; panics when that has not changed for long.
    fn note(&mut self, left: usize) {
        if left != self.least {
            (self.least, self.since) = (left, self.clock.tick());
        }
        assert!(self.clock.tick().since(self.since) < PATIENCE, "nothing gets done; {left} are left");
    }
}

/// Prints the findings, and fails the test if anything was lost, doubled unlabelled, or otherwise wrong.
#[expect(clippy::print_stdout, reason = "the result of the run")]
fn conclude(findings: &Findings, kills: usize, took: Duration) {
    let Findings { messages, recipients, delivered, bounced, unknown, complaints, .. } = findings;
    println!(
        "messages={messages} recipients={recipients} delivered={delivered} bounced={bounced} told_unknown={unknown} seconds={:.0}",
        took.as_secs_f64()
    );
    println!("{}", findings.line(kills));
    let shown: Vec<&str> = complaints.iter().take(10).map(String::as_str).collect();
    assert!(complaints.is_empty() && findings.lost == 0, "{} complaints, the first:\n{}", complaints.len(), shown.join("\n"));
    assert_eq!(findings.labelled, findings.duplicated);
    assert_eq!(delivered + bounced, *recipients);
}

/// An address of the world's block.
fn in_block(world: &World, octet: u8) -> IpAddr {
    match world.address(0) {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            IpAddr::V4(Ipv4Addr::new(a, b, c, octet))
        }
        IpAddr::V6(_) => panic!("worlds have blocks of IPv4"),
    }
}

/// A port of an address of our own that is free, and stays so.
fn free_port(address: IpAddr) -> SocketAddr {
    std::net::TcpListener::bind((address, 0)).unwrap().local_addr().unwrap()
}
