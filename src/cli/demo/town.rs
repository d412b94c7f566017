//! The outside world of the demo: a DNS zone and the MX hosts of a bakery and a florist, on loopback.

use std::net::{Ipv4Addr, SocketAddr};

use super::{HOSTNAME, SENDER_DOMAIN};
use crate::cli::failure::Failure;
use crate::clock::Clock;
use crate::domains::DnsRecord;
use crate::lab::sink::{Received, Sink, SinkSettings};
use crate::lab::zone::Zone;
use crate::net::tls;
use crate::supervisor::Supervisor;

/// The two hosts have addresses of their own and one port, as real MX hosts do.
const BAKERY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const FLORIST: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
const BIND_TRIES: u8 = 16;

/// The servers.
#[derive(Debug)]
pub struct Town {
    /// Where DNS answers.
    pub dns: SocketAddr,
    /// The port of both MX hosts.
    pub mx_port: u16,
    /// `mx.bakery.test`
    pub bakery: Sink,
    /// `mx.florist.test`
    pub florist: Sink,
    zone: Zone,
}

impl Town {
    /// Starts them; they end with `outside`.
    ///
    /// # Errors
    /// An address on loopback cannot be listened on.
    pub async fn open(outside: &Supervisor, clock: &Clock) -> anyhow::Result<Self> {
        let zone = Zone::parse(&format!(
            "bakery.test MX 10 mx.bakery.test\nmx.bakery.test A {BAKERY}\n\
             florist.test MX 10 mx.florist.test\nmx.florist.test A {FLORIST}\n\
             {SENDER_DOMAIN} SOA {HOSTNAME} hostmaster.{SENDER_DOMAIN}\n{HOSTNAME} A 127.0.0.1"
        ))?;
        let cannot = |error: std::io::Error| Failure::new("the demo's servers cannot listen on loopback").because(error);
        let dns = zone.serve(([127, 0, 0, 1], 0).into(), outside, clock).await.map_err(cannot)?.local_addr;
        let (bakery, florist) = hosts(outside, clock).await?;
        Ok(Self { dns, mx_port: bakery.local_addr.port(), bakery, florist, zone })
    }

    /// Puts a record into the zone.
    ///
    /// # Errors
    /// It is not one.
    pub fn publish(&self, record: &DnsRecord) -> anyhow::Result<()> {
        Ok(self.zone.add(&format!("{} {} {}", record.name, record.kind.as_str(), record.value))?)
    }

    /// Everything that arrived.
    #[must_use]
    pub fn arrived(&self) -> Vec<Received> {
        [&self.bakery, &self.florist].into_iter().flat_map(Sink::received).collect()
    }
}

/// Starts both hosts on one port that is free on both addresses.
async fn hosts(outside: &Supervisor, clock: &Clock) -> anyhow::Result<(Sink, Sink)> {
    let mut tries = 0;
    loop {
        let bakery = host("mx.bakery.test", (BAKERY, 0).into(), outside, clock).await?;
        tries += 1;
        match host("mx.florist.test", (FLORIST, bakery.local_addr.port()).into(), outside, clock).await {
            Ok(florist) => return Ok((bakery, florist)),
            Err(_) if tries < BIND_TRIES => {}
            Err(error) => return Err(error),
        }
    }
}

async fn host(name: &str, listen: SocketAddr, outside: &Supervisor, clock: &Clock) -> anyhow::Result<Sink> {
    let starttls = Some(tls::self_signed(name)?);
    let settings = SinkSettings { listen, hostname: name.to_owned(), starttls, ..SinkSettings::default() };
    let cannot = |error: std::io::Error| {
        Failure::new(format!("{name} cannot listen on {listen}")).fix("all of 127.0.0.0/8 has to be usable, as it is on Linux").because(error)
    };
    Sink::start(settings, outside, clock).await.map_err(cannot)
}
