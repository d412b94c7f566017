//! `pennypost bench sink`: an SMTP receiver for measurements and trials, and with `--dns` the zone that leads to it.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::json;

use crate::cli::context::{Context, obey_signals};
use crate::cli::failure::Failure;
use crate::cli::times::parse_duration;
use crate::lab::sink::{Behaviour, Sink, SinkSettings, Storage};
use crate::lab::zone::Zone;
use crate::net::tls;
use crate::supervisor::Supervisor;

/// Take mail by SMTP and count it; greylist, refuse, be slow or drop on demand
#[derive(Debug, Args)]
pub struct SinkArgs {
    /// Where it listens; port 0 takes any free one
    #[arg(long, default_value = "127.0.0.1:2525")]
    listen: SocketAddr,
    /// How it treats mail
    #[arg(long, value_enum, default_value_t = Manner::Accept)]
    behaviour: Manner,
    /// How long it takes with `slow`
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "2s")]
    delay: Duration,
    /// The reply with `refuse`
    #[arg(long, default_value = "550 5.1.1 no such user here")]
    reply: String,
    /// A recipient may ask for another behaviour by how its local part begins: greylist, refuse, full, spam, slow, drop, busy
    #[arg(long)]
    by_local_part: bool,
    /// Offer STARTTLS with a certificate made now
    #[arg(long)]
    starttls: bool,
    /// Answer DNS here too: `sink.test` and all below it have their MX at the sink, `dead.test` where nobody listens, `hung.test` where
    /// the bench takes connections and says nothing
    #[arg(long, value_name = "ADDRESS")]
    dns: Option<SocketAddr>,
    /// With --dns: so many domains `d0000.many.test`, `d0001.many.test`, .., each with an MX host of its own, which is the sink
    #[arg(long, requires = "dns", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=10_000))]
    domains: u64,
    /// Stop after so many messages
    #[arg(long)]
    messages: Option<u64>,
}

/// How mail is treated.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Manner {
    /// Taken
    Accept,
    /// Deferred the first time a sender writes to a recipient
    Greylist,
    /// Refused at RCPT with --reply
    Refuse,
    /// Taken, but the last reply comes after --delay
    Slow,
    /// The connection is closed after the final dot, without a reply
    Drop,
}

const HOSTNAME: &str = "mx.sink.test";
/// An address of loopback on which nothing of the bench listens.
const NOBODY: Ipv4Addr = Ipv4Addr::new(127, 99, 99, 99);
/// An address of loopback on which `bench/run.py` lets connections hang.
const HUNG: Ipv4Addr = Ipv4Addr::new(127, 99, 99, 98);

/// Runs until a signal comes or enough messages have.
///
/// # Errors
/// The addresses cannot be listened on.
pub async fn run(context: &Context, args: SinkArgs) -> anyhow::Result<ExitCode> {
    let supervisor = Supervisor::default();
    obey_signals(&supervisor)?;
    let settings = SinkSettings {
        listen: args.listen,
        hostname: HOSTNAME.to_owned(),
        behaviour: match args.behaviour {
            Manner::Accept => Behaviour::Accept,
            Manner::Greylist => Behaviour::Greylist,
            Manner::Refuse => Behaviour::Refuse(args.reply.clone()),
            Manner::Slow => Behaviour::Slow(args.delay),
            Manner::Drop => Behaviour::DropAfterDot,
        },
        by_local_part: args.by_local_part,
        starttls: if args.starttls { Some(tls::self_signed(HOSTNAME)?) } else { None },
        storage: Storage::Count,
        ..SinkSettings::default()
    };
    let cannot = |what: &str, error: std::io::Error| Failure::new(format!("{what} cannot be listened on")).because(error);
    let sink = Sink::start(settings, &supervisor, &context.clock).await.map_err(|error| cannot("--listen", error))?;
    context.output.note(format!("smtp on {}", sink.local_addr));
    if let Some(listen) = args.dns {
        let server = zone(&sink, args.domains)?.serve(listen, &supervisor, &context.clock).await.map_err(|error| cannot("--dns", error))?;
        context.output.note(format!("dns on {}", server.local_addr));
    }
    context.output.note("ready");
    match args.messages {
        None => supervisor.draining().await,
        Some(messages) => tokio::select! {
            () = supervisor.draining() => {}
            () = sink.wait_for(messages) => {}
        },
    }
    supervisor.kill();
    supervisor.ended().await;
    let counts = sink.counts();
    let shown = json!({"connections": counts.connections, "messages": counts.messages, "recipients": counts.recipients, "octets": counts.octets});
    context.output.show(&shown, || format!("{} messages in {} connections, {} octets", counts.messages, counts.connections, counts.octets))?;
    Ok(ExitCode::SUCCESS)
}

fn zone(sink: &Sink, domains: u64) -> anyhow::Result<Zone> {
    let kind = if sink.local_addr.is_ipv4() { "A" } else { "AAAA" };
    let address = sink.local_addr.ip();
    let zone = Zone::parse(&format!(
        "sink.test MX 10 {HOSTNAME}\n*.sink.test MX 10 {HOSTNAME}\n{HOSTNAME} {kind} {address}\n\
         dead.test MX 10 mx.dead.test\nmx.dead.test A {NOBODY}\nhung.test MX 10 mx.hung.test\nmx.hung.test A {HUNG}"
    ))?;
    for number in 0..domains {
        let domain = format!("d{number:04}.many.test");
        zone.add(&format!("{domain} MX 10 mx.{domain}"))?;
        zone.add(&format!("mx.{domain} {kind} {address}"))?;
    }
    Ok(zone)
}
