//! The harness: a world with a database of its own, a DNS zone, mail hosts, and any number of gateways.
//!
//! Every world has its own block of loopback addresses, so that worlds run side by side. Time is moved by [`World::advance`].

pub mod api;
pub mod authority;
pub mod checker;
pub mod database;
pub mod egress_proxy;
pub mod gateway;
pub mod hook;
pub mod http;
pub mod policy_host;
pub mod program;
pub mod proxy;
pub mod relay;
pub mod script;
pub mod server;
pub mod smtp;
pub mod telling;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use pennypost::clock::Clock;
use pennypost::config::{Config, Listen, environment::Environment};
use pennypost::lab::sink::{Sink, SinkSettings};
use pennypost::lab::zone::Zone;
use pennypost::model::Secret;
use pennypost::serve::Roles;
use pennypost::supervisor::Supervisor;

pub use gateway::Gateway;
pub use hook::Hook;
pub use script::ScriptedHost;

/// One world.
pub struct World {
    /// Moved by hand.
    pub clock: Clock,
    /// Names of this world; may change at any time.
    pub zone: Zone,
    /// The configuration that gateways start with; change it before [`World::gateway`].
    pub config: Box<Config>,
    /// The database's address.
    pub database_url: String,
    lab: Supervisor,
    block: [u8; 2],
    hosts: AtomicU32,
}

impl World {
    /// A world with an empty database and an empty zone.
    pub async fn new() -> Self {
        Box::pin(Self::on(database::fresh().await)).await
    }

    /// A world on a database that the test brings along.
    pub async fn on(database_url: String) -> Self {
        let clock = Clock::movable();
        let lab = Supervisor::default();
        let zone = Zone::default();
        let block = address_block();
        let dns = zone.serve(SocketAddr::from(([127, block[0], block[1], 53], 0)), &lab, &clock).await.unwrap();
        let mut config = Box::new(pennypost::config::load::load(None, &Environment::default()).unwrap().config);
        config.server.hostname = "mail.sender.example".into();
        config.server.http_listen = SocketAddr::from(([127, block[0], block[1], 80], 0));
        config.server.master_key_file = database::scratch().join(format!("key-{}-{}", block[0], block[1]));
        config.database.url = Secret::new(database_url.clone());
        config.database.max_connections = 6;
        (config.smtp.submission_listen, config.smtp.submissions_listen, config.smtp.mx_listen) = (Listen::Off, Listen::Off, Listen::Off);
        config.delivery.allow_private_addresses = true;
        config.delivery.allow_unverified_domains = true;
        config.delivery.mx_port = free_port(Ipv4Addr::new(127, block[0], block[1], 1));
        config.delivery_tls.policy_port = free_port(Ipv4Addr::new(127, block[0], block[1], 2));
        config.delivery.idle_seconds = 1;
        config.delivery.drain_seconds = 5;
        config.dns.servers = vec![dns.local_addr];
        config.dns.timeout_seconds = 2;
        Self { clock, zone, config, database_url, lab, block, hosts: AtomicU32::new(1) }
    }

    /// Lets gateways take mail from the world, at a port that the system chooses.
    pub fn takes_reports(&mut self) {
        self.config.smtp.mx_listen = Listen::At(SocketAddr::new(self.config.server.http_listen.ip(), 0));
    }

    /// Starts a gateway with all roles; it has the domain `sender.example` and a key with full scope.
    pub async fn gateway(&self) -> Gateway {
        Gateway::start(self, Roles::ALL).await
    }

    /// Starts a gateway with some roles.
    pub async fn gateway_with(&self, roles: Roles) -> Gateway {
        Gateway::start(self, roles).await
    }

    /// Starts a gateway on a machine whose clock may be put wrong: one of [`Clock::of_another_machine`].
    pub async fn gateway_on(&self, clock: &Clock) -> Gateway {
        Gateway::start_on(self, Roles::ALL, clock).await
    }

    /// Runs a statement on the database. Answers the rows touched.
    pub async fn execute(&self, statement: &str) -> u64 {
        database::execute(&self.database_url, statement).await
    }

    /// Reads one number from the database.
    pub async fn number(&self, query: &str) -> i64 {
        database::number(&self.database_url, query).await
    }

    /// Makes a node look silent for a minute, and lets a second pass so that the others look.
    pub async fn silence_node(&self, incarnation: i64) {
        self.execute(&format!("update node set heartbeat_at = heartbeat_at - interval '1 minute' where incarnation = {incarnation}")).await;
        self.advance(Duration::from_secs(1));
    }

    /// Lets the time pass.
    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// A mail host for `domain`: named `mx<n>.<domain>` in the zone, with preference `10 * n`.
    pub async fn mx(&self, domain: &str, settings: SinkSettings) -> Sink {
        let listen = self.publish_host(domain);
        Sink::start(SinkSettings { listen, ..settings }, &self.lab, &self.clock).await.unwrap()
    }

    /// A mail host at an address, which no name leads to yet.
    pub async fn host_at(&self, address: IpAddr, settings: SinkSettings) -> Sink {
        let listen = SocketAddr::new(address, self.config.delivery.mx_port);
        Sink::start(SinkSettings { listen, ..settings }, &self.lab, &self.clock).await.unwrap()
    }

    /// A mail host for `domain` that takes everything.
    pub async fn accepting_mx(&self, domain: &str) -> Sink {
        self.mx(domain, SinkSettings { by_local_part: true, ..SinkSettings::default() }).await
    }

    /// A mail host for `domain` that follows a script, one connection after the other.
    pub async fn scripted_mx(&self, domain: &str, scripts: &[&str]) -> ScriptedHost {
        ScriptedHost::start(self.publish_host(domain), scripts, &self.lab, &self.clock).await
    }

    /// Publishes the next mail host of `domain` and answers the address it has to listen on. Nobody listens there yet.
    pub fn publish_host(&self, domain: &str) -> SocketAddr {
        let number = self.hosts.fetch_add(1, Ordering::Relaxed);
        let address = self.address(number);
        self.zone.add(&format!("{domain} MX {} mx{number}.{domain}", 10 * number)).unwrap();
        self.zone.add(&format!("mx{number}.{domain} A {address}")).unwrap();
        SocketAddr::new(address, self.config.delivery.mx_port)
    }

    /// The next address of this world's block that nobody has.
    pub fn fresh_address(&self) -> IpAddr {
        self.address(self.hosts.fetch_add(1, Ordering::Relaxed))
    }

    /// An address of this world's block; 53 and 80 are taken.
    pub fn address(&self, number: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(127, self.block[0], self.block[1], u8::try_from(100 + number).unwrap()))
    }
}

/// A block of loopback addresses nobody else in this process has; other processes are told apart by their id.
fn address_block() -> [u8; 2] {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = std::process::id().wrapping_mul(257).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
    [u8::try_from(number / 250 % 250 + 1).unwrap(), u8::try_from(number % 250).unwrap()]
}

/// A port that was free a moment ago on one address of the block; the block is ours, so it stays free.
fn free_port(address: Ipv4Addr) -> u16 {
    std::net::TcpListener::bind((address, 0)).unwrap().local_addr().unwrap().port()
}
