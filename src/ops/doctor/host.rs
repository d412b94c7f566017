//! The host: can mail leave it, is its time right, does its DNS answer, is its database sound.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::context::{Context, DIAL, seen};
use super::finding::{Level, Outcome};
use super::talk::Talk;
use super::{Check, Database, Look, Looked, Rooms};
use crate::clock::time_of;
use crate::config::egress::host_and_port;
use crate::model::DomainName;
use crate::net::dial::{self, AddressPolicy};
use crate::net::{dnsbl, mx, sntp};

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "H1",
        title: "mail can leave",
        level: Level::Fail,
        expected: "mail hosts of the world greet us on their port 25",
        source: "https://www.rfc-editor.org/rfc/rfc5321#section-4.5.4.2",
        look: Look::Host(|context| Box::pin(outbound_port(context))),
    },
    Check {
        id: "H2",
        title: "what should listen does",
        level: Level::Fail,
        expected: "every configured listener takes connections, mail listeners at every address of the host name",
        source: "https://www.rfc-editor.org/rfc/rfc8314#section-3",
        look: Look::Host(|context| Box::pin(listeners(context))),
    },
    Check {
        id: "H3",
        title: "the clock is right",
        level: Level::Fail,
        expected: "less than 60 seconds from the time server's",
        source: "https://www.rfc-editor.org/rfc/rfc6376#section-3.5",
        look: Look::Host(|context| Box::pin(clock(context))),
    },
    Check {
        id: "H4",
        title: "the sending addresses are public and fixed",
        level: Level::Warn,
        expected: "public addresses whose reverse name does not look like a dial-up line's",
        source: "https://senders.yahooinc.com/best-practices/",
        look: Look::Host(|context| Box::pin(addresses(context))),
    },
    Check {
        id: "H5",
        title: "a resolver of one's own",
        level: Level::Warn,
        expected: "a resolver that answers, validates DNSSEC and is not a public one",
        source: "https://www.rfc-editor.org/rfc/rfc5782#section-2.1",
        look: Look::Host(|context| Box::pin(resolver(context))),
    },
    Check {
        id: "H6",
        title: "the database keeps what it is given",
        level: Level::Fail,
        expected: "PostgreSQL answers, is migrated, writes to disk, has room, and no mail is overdue",
        source: "docs/operate/running.md",
        look: Look::Host(|context| Box::pin(database(context))),
    },
];

/// Hosts that have to greet us: one may be ill.
const ENOUGH_HOSTS: usize = 2;
const MAX_SKEW: time::Duration = time::Duration::seconds(60);
/// Octets free on the disk of the private database below which it is said.
const LITTLE_ROOM: u64 = 1 << 30;

async fn outbound_port(context: &Context) -> Looked {
    let config = &context.config;
    if config.delivery.sandbox {
        return Ok(vec![Outcome::skipped("delivery.sandbox keeps all mail here")]);
    }
    let mut greeted = Vec::new();
    let mut failed = Vec::new();
    if context.sends_by_smart_host() {
        let Some((host, port)) = host_and_port(&config.delivery.smart_host) else {
            return Ok(vec![Outcome::bad(&config.delivery.smart_host, "write delivery.smart_host as host:port")]);
        };
        match greet(context, host, port).await {
            Ok(greeting) => return Ok(vec![Outcome::good(format!("the smart host greets: {greeting}")).about(host)]),
            Err(why) => failed.push(format!("{host}: {why}")),
        }
    } else {
        for domain in &config.doctor.probe_domains {
            match probe(context, domain).await {
                Ok(host) => greeted.push(host),
                Err(why) => failed.push(format!("{domain}: {why}")),
            }
        }
        if greeted.is_empty() && failed.is_empty() {
            return Ok(vec![Outcome::skipped("doctor.probe_domains names no domain to try")]);
        }
    }
    let fix = "ask the provider of this machine to open outbound TCP port 25, and look at the firewall; or set delivery.smart_host to a server that \
               takes your mail. Other hosts to try: doctor.probe_domains";
    Ok(vec![match (greeted.len(), failed.len()) {
        (0, _) => Outcome::bad(format!("no mail host greets us: {}", failed.join("; ")), fix),
        (count, 1..) if count < ENOUGH_HOSTS => Outcome::bad(format!("{} greets; {}", greeted.join(", "), failed.join("; ")), fix).at(Level::Warn),
        _ => Outcome::good(format!("greeted by {}", greeted.join(", "))),
    }])
}

/// The first mail host of `domain` that greets us.
async fn probe(context: &Context, domain: &str) -> Result<String, String> {
    let name = DomainName::parse(domain).map_err(|error| error.to_string())?;
    let own = context.config.server.hostname.as_str();
    let hops = mx::next_hops(&context.resolver, &name, own, &context.clock).await.map_err(|error| error.to_string())?;
    let mut last = "no mail host".to_owned();
    for hop in hops.into_iter().take(2) {
        match greet(context, &hop.name, context.config.delivery.mx_port).await {
            Ok(_) => return Ok(hop.name),
            Err(why) => last = format!("{} {why}", hop.name),
        }
    }
    Err(last)
}

async fn greet(context: &Context, host: &str, port: u16) -> Result<String, String> {
    let policy = AddressPolicy { allow_private: context.config.delivery.allow_private_addresses };
    let addresses = mx::host_addresses(&context.resolver, host, policy, &context.clock).await.map_err(|error| error.to_string())?;
    let mut last = "no address".to_owned();
    for address in addresses.into_iter().take(2) {
        // A source behind a proxy is not an address of this machine.
        let mut own = context.config.delivery.sources().into_iter().filter(|source| source.proxy.is_empty()).map(|source| source.address);
        let source = own.find(|source| source.is_ipv4() == address.is_ipv4());
        match dial::connect(SocketAddr::new(address, port), source, DIAL, &context.clock).await {
            Ok(stream) => match Talk::begin(stream, &context.clock).await {
                Ok((_, greeting)) => return Ok(greeting.to_string()),
                Err(why) => last = format!("{address}: {why}"),
            },
            Err(error) => last = format!("{address}: {error}"),
        }
    }
    Err(last)
}

async fn listeners(context: &Context) -> Looked {
    let http = context.config.server.http_listen;
    let mut outcomes = vec![
        match context.knock(http).await {
            Ok(_) => Outcome::good("takes connections"),
            Err(error) => Outcome::bad(error, "start the gateway: pennypost serve").at(Level::Warn),
        }
        .about(format!("HTTP {http}")),
    ];
    let own = &context.listeners;
    let wanted: Vec<(&str, SocketAddr)> = [("submissions", own.submissions), ("submission", own.submission), ("MX", own.mx)]
        .into_iter()
        .filter_map(|(name, at)| Some((name, at?)))
        .collect();
    if wanted.is_empty() {
        outcomes.push(Outcome::skipped("no listener for mail (25, 465, 587) is configured").about("SMTP"));
        return Ok(outcomes);
    }
    let public = match context.host() {
        Some(host) => seen(context.resolver.addresses(host.as_str()).await)?,
        None => Vec::new(),
    };
    for (name, listen) in wanted {
        let at: Vec<SocketAddr> = if listen.ip().is_unspecified() && !public.is_empty() {
            public.iter().map(|address| SocketAddr::new(*address, listen.port())).collect()
        } else {
            vec![listen]
        };
        for address in at {
            let fix = format!("start `pennypost serve`, and open TCP port {} in the firewall for {}", address.port(), address.ip());
            outcomes.push(
                match context.knock(address).await {
                    Ok(_) => Outcome::good("takes connections, seen from this machine"),
                    Err(error) => Outcome::bad(error, fix),
                }
                .about(format!("{name} {address}")),
            );
        }
    }
    Ok(outcomes)
}

async fn clock(context: &Context) -> Looked {
    let server = &context.config.doctor.time_server;
    let Some((host, port)) = host_and_port(server) else {
        return Ok(vec![Outcome::skipped("doctor.time_server is empty: there is no other clock to compare with")]);
    };
    let addresses = match host.parse() {
        Ok(address) => vec![address],
        Err(_) => seen(context.resolver.addresses(host).await)?,
    };
    let Some(address) = addresses.first() else { return Err(format!("the time server {host} has no address")) };
    let at = SocketAddr::new(*address, port);
    let ahead = sntp::ahead(at, &context.clock, Duration::from_secs(5)).await.map_err(|error| format!("time server {host}: {error}"))?;
    let found = format!("{:+.1} s against {host}", ahead.as_seconds_f64());
    let fix = "switch time synchronisation on (timedatectl set-ntp true); the time of Pennypost is that of its database's machine";
    Ok(vec![if ahead.abs() < MAX_SKEW { Outcome::good(found) } else { Outcome::bad(found, fix) }])
}

async fn addresses(context: &Context) -> Looked {
    if context.sends_by_smart_host() {
        return Ok(vec![Outcome::skipped("the smart host's addresses are what receivers see")]);
    }
    let addresses = context.outbound().await?;
    if addresses.is_empty() {
        let fix = "set server.hostname to a name that has the address mail is sent from, or list the addresses under delivery.egress";
        return Ok(vec![Outcome::bad("no sending address is known", fix)]);
    }
    let mut outcomes = Vec::new();
    for address in addresses {
        let names = seen(context.resolver.ptr(address).await)?;
        let policy = AddressPolicy { allow_private: context.config.delivery.allow_private_addresses };
        let outcome = if !policy.permits(address) {
            let fix = "send from a public address: receivers cannot see a private one, and refuse its translation by a provider's shared one";
            Outcome::bad(format!("{address} is not a public address"), fix)
        } else if let Some(name) = names.iter().find(|name| looks_dynamic(name, address)) {
            let fix = format!("ask the provider of {address} for a PTR record that names your mail host, like {}", context.host_name());
            Outcome::bad(format!("its name {name} looks like one of a dial-up line"), fix)
        } else {
            Outcome::good(if names.is_empty() {
                "public; it has no reverse name (see N2)".to_owned()
            } else {
                format!("public, named {}", names.join(", "))
            })
        };
        outcomes.push(outcome.about(address));
    }
    Ok(outcomes)
}

/// Names made of the address itself, or of the words providers use for lines whose address changes.
fn looks_dynamic(name: &str, address: IpAddr) -> bool {
    const WORDS: [&str; 9] = ["dyn", "dynamic", "dhcp", "dialup", "pool", "dsl", "adsl", "cable", "broadband"];
    let labels: Vec<&str> = name.split(['.', '-', '_']).collect();
    if labels.iter().any(|label| WORDS.contains(label)) {
        return true;
    }
    let IpAddr::V4(four) = address else { return false };
    let octets: Vec<String> = four.octets().iter().map(u8::to_string).collect();
    let in_order = |wanted: &[String]| labels.windows(4).any(|window| window.iter().zip(wanted).all(|(label, octet)| label == octet));
    let backwards: Vec<String> = octets.iter().rev().cloned().collect();
    in_order(&octets) || in_order(&backwards)
}

async fn resolver(context: &Context) -> Looked {
    let servers = context.resolver.servers().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if context.resolver.is_down().await {
        let fix = "run a resolver on this machine (apt install unbound) and name it: dns.servers = [\"127.0.0.1:53\"]";
        return Ok(vec![Outcome::bad("no resolver answers, not even about the root", fix).about(servers).at(Level::Fail)]);
    }
    let public = dnsbl::public_resolver(&context.resolver);
    let fix = "run unbound on this machine and set dns.servers = [\"127.0.0.1:53\"]: lists of bad senders refuse public resolvers, and DANE needs \
               a validating resolver that is trusted";
    let validates = context.resolver.is_validating().await;
    Ok(vec![
        match (public, validates) {
            (Some(address), _) => Outcome::bad(format!("{address} is a public resolver"), fix),
            (None, false) => Outcome::bad("it answers; it does not validate DNSSEC, or is not believed (dns.dnssec)", fix),
            (None, true) => Outcome::good("answers and validates"),
        }
        .about(servers),
    ])
}

async fn database(context: &Context) -> Looked {
    let rooms = match &context.database {
        Database::Unready { why, fix } => return Ok(vec![Outcome::bad(why, fix).about("PostgreSQL")]),
        Database::Ready(rooms) => rooms,
    };
    let mut outcomes = vec![durable(rooms).await?];
    if context.config.database.url.expose().is_empty() {
        outcomes.push(room(context));
    }
    outcomes.push(overdue(context, rooms).await?);
    Ok(outcomes)
}

async fn durable(rooms: &Rooms) -> Result<Outcome, String> {
    let pending = rooms.store.pending_migrations().await.map_err(|error| error.to_string())?;
    let unsafe_settings = rooms.store.unsafe_settings().await.map_err(|error| error.to_string())?;
    let outcome = if !pending.is_empty() {
        Outcome::bad(format!("{} migrations wait", pending.len()), "pennypost migrate")
    } else if let Some((name, value)) = unsafe_settings.first() {
        let fix = format!("alter system set {name} = on; then restart PostgreSQL: mail that was accepted could be lost with the power");
        Outcome::bad(format!("{name} is {value}"), fix)
    } else {
        Outcome::good("answers, is migrated, and writes to disk")
    };
    Ok(outcome.about("PostgreSQL"))
}

fn room(context: &Context) -> Outcome {
    let place = &context.config.database.data_dir;
    let outcome = match nix::sys::statvfs::statvfs(place) {
        Err(error) => Outcome::unknown(format!("the room on the disk cannot be read: {error}")),
        Ok(facts) => {
            let free = facts.blocks_available().saturating_mul(facts.fragment_size());
            let found = format!("{} MiB are free", free >> 20);
            let fix = "make room on this disk, or shorten retention.message_days";
            if free < LITTLE_ROOM { Outcome::bad(found, fix).at(Level::Warn) } else { Outcome::good(found) }
        }
    };
    outcome.about(place.display())
}

/// Mail past its time is ended by a running gateway; if it stays, none runs.
async fn overdue(context: &Context, rooms: &Rooms) -> Result<Outcome, String> {
    let oldest = rooms.store.oldest_outstanding().await.map_err(|error| error.to_string())?;
    let limit = Duration::from_secs(context.config.delivery.expire_seconds) + Duration::from_hours(1);
    let outcome = match oldest.map(|id| context.clock.now() - time_of(id)) {
        None => Outcome::good("no mail waits"),
        Some(age) if age > limit => {
            let fix = "start the gateway with the role worker (pennypost serve); pennypost queue list shows what waits. Mail that is to be sent \
                       later than that is not overdue";
            Outcome::bad(format!("the oldest message waits for {} h", age.whole_hours()), fix).at(Level::Warn)
        }
        Some(age) => Outcome::good(format!("the oldest message waits for {} min", age.whole_minutes())),
    };
    Ok(outcome.about("outbox"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_dial_up_lines_are_told_from_names_of_hosts() {
        let address = "203.0.113.45".parse().unwrap();
        for name in ["203-0-113-45.isp.example", "45.113.0.203.pool.example", "host-203-0-113-45.example", "dyn.example.net", "p1.dsl.example"] {
            assert!(looks_dynamic(name, address), "{name}");
        }
        for name in ["mail.example.net", "mx203.example.net", "vm-45.hoster.example", "carpool.example.net"] {
            assert!(!looks_dynamic(name, address), "{name}");
        }
    }
}
