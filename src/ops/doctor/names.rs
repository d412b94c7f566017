//! Names: our own, the reverse names of every sending address, and the subdomain that bounces come back to.

use std::net::IpAddr;

use super::context::{Context, Subject, publish, seen};
use super::finding::{Level, Outcome};
use super::{Check, Look, Looked};
use crate::config::Listen;
use crate::domains::{RecordPurpose, RecordState, Senders, return_path};
use crate::net::authenticator::Spf;
use crate::net::dns::DnsError;

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "N1",
        title: "the host name is a real one",
        level: Level::Fail,
        expected: "a fully qualified name with an address of its own, no alias",
        source: "https://www.rfc-editor.org/rfc/rfc5321#section-2.3.5",
        look: Look::Host(|context| Box::pin(host_name(context))),
    },
    Check {
        id: "N2",
        title: "each IPv4 address is named back and forth",
        level: Level::Fail,
        expected: "exactly one PTR record, whose name has this address",
        source: "https://support.google.com/a/answer/81126#ip",
        look: Look::Host(|context| Box::pin(reverse(context, IpAddr::is_ipv4, "no IPv4 address is sent from"))),
    },
    Check {
        id: "N3",
        title: "each IPv6 address is named back and forth",
        level: Level::Fail,
        expected: "exactly one PTR record, whose name has this address",
        source: "https://support.google.com/a/answer/81126#ip",
        look: Look::Host(|context| Box::pin(reverse(context, IpAddr::is_ipv6, "no IPv6 address is sent from"))),
    },
    Check {
        id: "N4",
        title: "the name in EHLO is the reverse name",
        level: Level::Warn,
        expected: "the PTR record of each sending address gives server.hostname",
        source: "https://senders.yahooinc.com/best-practices/",
        look: Look::Host(|context| Box::pin(same_name(context))),
    },
    Check {
        id: "N5",
        title: "the name in EHLO has an SPF record",
        level: Level::Warn,
        expected: "an SPF record at the host name that lets every sending address pass: it counts where the reverse-path is empty",
        source: "https://www.rfc-editor.org/rfc/rfc7208#section-2.3",
        look: Look::Host(|context| Box::pin(host_spf(context))),
    },
    Check {
        id: "N6",
        title: "bounces find back",
        level: Level::Fail,
        expected: "the return path exists in DNS, with our host as its MX and an SPF record",
        source: "https://www.rfc-editor.org/rfc/rfc7208#section-2.4",
        look: Look::Domain(|context, subject| Box::pin(return_path_records(context, subject))),
    },
];

async fn host_name(context: &Context) -> Looked {
    let fix = "pennypost init --hostname mail.example.com --domain example.com, or server.hostname in pennypost.toml";
    let Some(host) = context.host() else {
        let configured = &context.config.server.hostname;
        let found = if configured.is_empty() { "server.hostname is not set".to_owned() } else { format!("{configured:?} is no name") };
        return Ok(vec![Outcome::bad(found, fix)]);
    };
    if !host.as_str().contains('.') {
        return Ok(vec![Outcome::bad(format!("{host} is not fully qualified"), fix)]);
    }
    let alias = seen(context.resolver.cname(host.as_str()).await)?;
    if let Some(target) = alias.first() {
        let fix = format!("replace the CNAME record at {host} by A and AAAA records with the addresses mail is sent from");
        return Ok(vec![Outcome::bad(format!("an alias of {target}"), fix)]);
    }
    let addresses = seen(context.resolver.addresses(host.as_str()).await)?;
    Ok(vec![if addresses.is_empty() {
        Outcome::bad("it has no address", format!("publish: {host}. 3600 IN A <the address this machine sends from>"))
    } else {
        Outcome::good(addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
    }])
}

async fn reverse(context: &Context, wanted: fn(&IpAddr) -> bool, none: &str) -> Looked {
    if context.sends_by_smart_host() {
        return Ok(vec![Outcome::skipped("the smart host's addresses are what receivers see")]);
    }
    let addresses: Vec<IpAddr> = context.outbound().await?.into_iter().filter(wanted).collect();
    if addresses.is_empty() {
        // Without a name of our own nothing is known of IPv4; N1 says so.
        return Ok(vec![Outcome::skipped(none)]);
    }
    let mut outcomes = Vec::new();
    for address in addresses {
        outcomes.push(both_ways(context, address).await?.about(address));
    }
    Ok(outcomes)
}

/// FCrDNS of one address (RFC 8601 3).
async fn both_ways(context: &Context, address: IpAddr) -> Result<Outcome, String> {
    let six = if address.is_ipv6() { "; or list only IPv4 addresses under delivery.egress, so that no mail leaves by IPv6" } else { "" };
    let names = seen(context.resolver.ptr(address).await)?;
    let ptr = format!("ask the provider of the address (not of the domain) to set: {}. IN PTR {}.{six}", reverse_name(address), context.host_name());
    let name = match names.as_slice() {
        [] => return Ok(Outcome::bad("it has no PTR record", ptr)),
        [one] => one,
        several => return Ok(Outcome::bad(format!("it has {} PTR records: {}", several.len(), several.join(", ")), ptr)),
    };
    let back = seen(context.resolver.addresses(name).await)?;
    Ok(if back.iter().any(|found| found.to_canonical() == address) {
        Outcome::good(name)
    } else if context.host().is_some_and(|host| host.as_str() == name) {
        let kind = if address.is_ipv4() { "A" } else { "AAAA" };
        Outcome::bad(format!("{name}, which does not lead back to it"), format!("publish: {name}. 3600 IN {kind} {address}{six}"))
    } else {
        Outcome::bad(format!("{name}, which does not lead back to it"), ptr)
    })
}

/// The name that the PTR record of an address stands at.
fn reverse_name(address: IpAddr) -> String {
    let mut labels: Vec<String> = match address {
        IpAddr::V4(four) => four.octets().iter().map(u8::to_string).collect(),
        IpAddr::V6(six) => six.octets().iter().flat_map(|octet| [format!("{:x}", octet >> 4), format!("{:x}", octet & 15)]).collect(),
    };
    labels.reverse();
    labels.push(if address.is_ipv4() { "in-addr.arpa" } else { "ip6.arpa" }.to_owned());
    labels.join(".")
}

async fn same_name(context: &Context) -> Looked {
    if context.sends_by_smart_host() {
        return Ok(vec![Outcome::skipped("the smart host's name is what receivers see")]);
    }
    let Some(host) = context.host() else { return Ok(vec![Outcome::skipped("server.hostname is not set (N1)")]) };
    let mut outcomes = Vec::new();
    for address in context.outbound().await? {
        let names = seen(context.resolver.ptr(address).await)?;
        let outcome = if names.is_empty() {
            Outcome::skipped("it has no PTR record (N2, N3)")
        } else if names.iter().any(|name| name == host.as_str()) {
            Outcome::good(&host)
        } else {
            let fix = format!("set server.hostname to the reverse name, or ask for: {}. IN PTR {host}.", reverse_name(address));
            Outcome::bad(format!("EHLO says {host}, the PTR record {}", names.join(", ")), fix)
        };
        outcomes.push(outcome.about(address));
    }
    if outcomes.is_empty() {
        outcomes.push(Outcome::skipped("no sending address is known (N1)"));
    }
    Ok(outcomes)
}

async fn host_spf(context: &Context) -> Looked {
    if context.sends_by_smart_host() {
        return Ok(vec![Outcome::skipped("the smart host's name is what receivers see")]);
    }
    let Some(host) = context.host() else { return Ok(vec![Outcome::skipped("server.hostname is not set (N1)")]) };
    let mut failing = Vec::new();
    let addresses = context.outbound().await?;
    if addresses.is_empty() {
        return Ok(vec![Outcome::skipped("no sending address is known (N1)")]);
    }
    for address in addresses {
        let result = context.authenticator.spf(address, host.as_str(), host.as_str()).await;
        if result == Spf::TempError {
            return Err(format!("SPF of {host}: the DNS gave no answer"));
        }
        if result != Spf::Pass {
            failing.push(format!("{address} {}", result.as_str()));
        }
    }
    let egress = Senders { hostname: None, egress: context.config.delivery.source_addresses() }.address_terms();
    let terms: Vec<String> = std::iter::once("a".to_owned()).chain(egress).collect();
    let fix = format!("publish: {host}. 3600 IN TXT \"v=spf1 {} -all\"", terms.join(" "));
    Ok(vec![if failing.is_empty() { Outcome::good("every sending address passes") } else { Outcome::bad(failing.join(", "), fix) }])
}

async fn return_path_records(context: &Context, subject: &Subject) -> Looked {
    let Some(name) = return_path(&subject.name) else { return Ok(vec![Outcome::skipped("the domain is too long for a return path below it")]) };
    let records: Vec<_> = subject.records(RecordPurpose::ReturnPathMx).chain(subject.records(RecordPurpose::ReturnPathSpf)).collect();
    if context.config.smtp.mx_listen == Listen::Off {
        return Ok(vec![Outcome::skipped("smtp.mx_listen is off, so bounces go to the authors themselves").about(name)]);
    }
    if records.is_empty() {
        return Ok(vec![Outcome::skipped("server.hostname is not set, so there is nothing to publish (N1)").about(name)]);
    }
    let mut outcomes = Vec::new();
    if context.resolver.soa(name.as_str()).await == Err(DnsError::NoSuchName) {
        let fix = records.iter().map(|record| publish(record)).collect::<Vec<_>>().join("\n");
        return Ok(vec![Outcome::bad("the name does not exist (NXDOMAIN)", fix).about(name)]);
    }
    for record in records {
        let outcome = match record.state {
            RecordState::Ok => Outcome::good(record.found.as_deref().unwrap_or(&record.value)),
            RecordState::Unknown => Outcome::unknown("the DNS gave no answer"),
            RecordState::Missing => Outcome::bad("nothing", publish(record)),
            RecordState::Wrong => Outcome::bad(record.found.as_deref().unwrap_or("something else"), publish(record)),
        };
        outcomes.push(outcome.about(format!("{name} {}", record.kind.as_str())).expecting(&record.value));
    }
    Ok(outcomes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reverse_names_are_those_of_the_zone() {
        for text in ["192.0.2.7", "2001:db8::7"] {
            let address = text.parse().unwrap();
            assert_eq!(reverse_name(address), crate::lab::zone::reverse_name(address), "{text}");
        }
    }
}
