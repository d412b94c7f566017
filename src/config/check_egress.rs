//! Doubtful values in the tables of `[delivery]` that say which way mail leaves.
//!
//! Answers: every such value at once, with the table it stands in and the fix. Does not: know projects or addresses of this machine;
//! `deliver::egress` asks for those at start.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::Delivery;
use super::check::Doubts;
use super::egress::{DEFAULT_POOL, MX_HOSTS, ProxyKind, SmartHostRule, SmartHostTls, Source, host_and_port, proxy};
use crate::model::DomainName;
use crate::model::message::Label;

/// A source may weigh so much at most.
const MAX_WEIGHT: u32 = 1000;
/// The days of a warm-up at most, and its highest ceiling.
const MAX_DAYS: usize = 366;
const MAX_CEILING: u64 = 1_000_000_000;

pub(super) fn egress(doubts: &mut Doubts<'_>, delivery: &Delivery) {
    sources(doubts, delivery);
    pool_rules(doubts, delivery);
    lists(doubts, delivery);
    let public = delivery.source_addresses().into_iter().find(|address| is_public(*address));
    if let (true, Some(address)) = (delivery.allow_private_addresses, public) {
        let what = format!("is on while mail leaves from the public address {address}: senders could reach your inner network");
        doubts.add(true, "delivery.allow_private_addresses", what, "turn it off, or remove the public sources from a test set-up");
    }
    let host = &delivery.smart_host;
    let fix = "write host:port, like smtp.example.com:25 or [2001:db8::1]:25";
    doubts.add(!host.is_empty() && host_and_port(host).is_none(), "delivery.smart_host", format!("is {host:?}"), fix);
    for (number, rule) in delivery.smart_host_rule.iter().enumerate() {
        smart_host_rule(doubts, number + 1, rule);
    }
}

fn sources(doubts: &mut Doubts<'_>, delivery: &Delivery) {
    let mut seen = BTreeSet::new();
    for address in &delivery.egress {
        let fix = "name addresses of this machine";
        doubts.add(is_unusable(*address), "delivery.egress", format!("holds {address}, which cannot be a source"), fix);
        doubts.add(!seen.insert((*address, DEFAULT_POOL)), "delivery.egress", format!("holds {address} twice"), "name it once");
    }
    for (number, source) in delivery.source.iter().enumerate() {
        let (option, table) = ("delivery.source", number + 1);
        let mut doubt = |doubtful, what: String, fix: &str| doubts.add(doubtful, option, format!("(table {table}) {what}"), fix);
        let address = source.address;
        doubt(is_unusable(address), format!("has the address {address}, which cannot be a source"), "name an address of this machine");
        doubt(!seen.insert((address, &source.pool)), format!("has {address}, which its pool has already"), "name it once, with a higher weight");
        let name = &source.ehlo_name;
        if let (false, Err(error)) = (name.is_empty(), DomainName::parse(name)) {
            doubt(true, format!("has ehlo_name {name:?}: {error}"), "use the whole name that the reverse DNS of the address gives");
        }
        let weight = source.weight;
        doubt(!(1..=MAX_WEIGHT).contains(&weight), format!("has weight {weight}"), "use 1 to 1000; 2 gets twice the mail of 1");
        doubt(Label::parse(&source.pool).is_err(), format!("has pool {:?}", source.pool), "use 1 to 64 characters from A-Z a-z 0-9 _ - .");
    }
    for (number, source) in delivery.source.iter().enumerate() {
        proxy_of(doubts, number + 1, source);
        warm_up(doubts, number + 1, source);
    }
    let homeless = !seen.is_empty() && !seen.iter().any(|(_, pool)| *pool == DEFAULT_POOL);
    let what = "has no source in the pool \"default\", which takes all mail that no delivery.pool_rule puts elsewhere";
    doubts.add(homeless, "delivery.source", what, "give one source pool = \"default\", or leave its pool out");
}

fn warm_up(doubts: &mut Doubts<'_>, table: usize, source: &Source) {
    let mut seen = BTreeSet::new();
    for (number, schedule) in source.warm_up.iter().enumerate() {
        let place = format!("(table {table}, warm_up {})", number + 1);
        let mut doubt = |doubtful, what: String, fix: &str| doubts.add(doubtful, "delivery.source", format!("{place} {what}"), fix);
        let name = &schedule.provider;
        doubt(!seen.insert(name), format!("is the second for provider {name:?}"), "keep one for each provider, and one without");
        let is_odd = name.contains(char::is_whitespace) || name.chars().any(char::is_uppercase);
        doubt(is_odd, format!("has provider {name:?}"), "use a name as `pennypost queue sites` shows it, in lower case");
        let (start, growth, end) = (schedule.start, schedule.growth, schedule.end);
        doubt(start == 0 || start > end, format!("has start {start} and end {end}"), "use a start of 1 or more and an end that is not below it");
        doubt(!(1..=1000).contains(&growth), format!("has growth {growth}"), "use 1 to 1000 percent; 50 makes 150 of 100");
        doubt(end > MAX_CEILING, format!("has end {end}"), "leave the schedule out where there is nothing to limit");
        let days = schedule.days.len();
        doubt(days > MAX_DAYS, format!("has {days} days"), "write 366 at most");
        let high = schedule.days.iter().find(|ceiling| **ceiling > MAX_CEILING);
        doubt(high.is_some(), format!("has a day of {}", high.copied().unwrap_or(0)), "leave out the days where there is nothing to limit");
    }
}

/// An option that names lists of bad senders.
pub(super) fn zones(doubts: &mut Doubts<'_>, option: &str, zones: &[String]) {
    let mut seen = BTreeSet::new();
    for zone in zones {
        let is_odd = DomainName::parse(zone).map_or(true, |name| name.as_str() != zone);
        doubts.add(is_odd, option, format!("holds {zone:?}"), "name zones of lists in lower case, like bl.spamcop.net");
        doubts.add(!seen.insert(zone), option, format!("holds {zone:?} twice"), "name it once");
    }
}

fn lists(doubts: &mut Doubts<'_>, delivery: &Delivery) {
    zones(doubts, "delivery.dnsbl_zones", &delivery.dnsbl_zones);
    doubts.within(
        "delivery.dnsbl_seconds",
        delivery.dnsbl_seconds,
        300..=7 * 86_400,
        "seconds; more often than every few minutes annoys their operators",
    );
}

fn proxy_of(doubts: &mut Doubts<'_>, table: usize, source: &Source) {
    let mut doubt = |doubtful, what: String, fix: &str| doubts.add(doubtful, "delivery.source", format!("(table {table}) {what}"), fix);
    let kind = proxy(&source.proxy).map(|(_, kind)| kind);
    let fix = "write socks5://192.0.2.1:1080 or haproxy://192.0.2.1:2525: an address and a port";
    doubt(!source.proxy.is_empty() && kind.is_none(), format!("has proxy {:?}", source.proxy), fix);
    let (name, password) = (source.proxy_username.as_str(), source.proxy_password.expose());
    let (file, variable) = (!source.proxy_password_file.as_os_str().is_empty(), !source.proxy_password_env.is_empty());
    doubt(file && variable, "has proxy_password_file and proxy_password_env".to_owned(), "keep one of them");
    let has_password = file || variable || !password.is_empty();
    doubt(name.is_empty() == has_password, "has one of proxy_username and a password for it".to_owned(), "set both or none");
    let speaks_names = kind == Some(ProxyKind::Socks5);
    doubt(!name.is_empty() && !speaks_names, "has a proxy_username, which only a SOCKS5 proxy takes".to_owned(), "remove it, or use socks5://");
    let is_long = name.len() > 255 || password.len() > 255;
    doubt(is_long, "has a login of more than 255 octets, which SOCKS5 cannot say".to_owned(), "use a shorter one");
}

fn pool_rules(doubts: &mut Doubts<'_>, delivery: &Delivery) {
    let pools: BTreeSet<String> = delivery.sources().into_iter().map(|source| source.pool).collect();
    for (number, rule) in delivery.pool_rule.iter().enumerate() {
        let mut doubt =
            |doubtful, what: String, fix: String| doubts.add(doubtful, "delivery.pool_rule", format!("(table {}) {what}", number + 1), fix);
        let known = pools.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let fix = if known.is_empty() {
            "add a [[delivery.source]] with that pool".to_owned()
        } else {
            format!("use one of {known}, or add a source to it")
        };
        doubt(!pools.contains(&rule.pool), format!("names the pool {:?}, which has no source", rule.pool), fix);
        let stream = &rule.stream;
        let is_odd = !stream.is_empty() && Label::parse(stream).is_err();
        doubt(is_odd, format!("has stream {stream:?}, which no stream can be named"), "use 1 to 64 characters from A-Z a-z 0-9 _ - .".to_owned());
        let takes_all = rule.project.is_empty() && stream.is_empty() && number + 1 < delivery.pool_rule.len();
        doubt(takes_all, "names neither project nor stream, so no rule after it is ever used".to_owned(), "put it last".to_owned());
    }
}

fn smart_host_rule(doubts: &mut Doubts<'_>, table: usize, rule: &SmartHostRule) {
    let mut doubt = |doubtful, what: String, fix: &str| doubts.add(doubtful, "delivery.smart_host_rule", format!("(table {table}) {what}"), fix);
    let to_mx = rule.host == MX_HOSTS;
    let is_idle = to_mx && rule.overflow;
    doubt(is_idle, "has host \"mx\" and overflow: it is the way that mail cannot take".to_owned(), "name the smart host that takes it");
    let fix = "write host:port, like smtp.example.com:587 or [2001:db8::1]:587; or \"mx\" for the MX hosts";
    doubt(!to_mx && host_and_port(&rule.host).is_none(), format!("has host {:?}", rule.host), fix);
    if let (false, Err(error)) = (rule.domain.is_empty(), DomainName::parse(&rule.domain)) {
        doubt(
            true,
            format!("has domain {:?}: {error}", rule.domain),
            "name a recipient domain like example.com, which stands for those below it too",
        );
    }
    doubt(!(1..=100).contains(&rule.share), format!("has share {}", rule.share), "use 1 to 100 percent");
    let tls = rule.tls();
    let is_sure = matches!(tls, SmartHostTls::Implicit | SmartHostTls::Starttls);
    let has_login = !rule.username.is_empty();
    doubt(has_login && !is_sure, "sends a password without being sure of TLS".to_owned(), "set tls = \"starttls\" or \"implicit\", or leave tls out");
    let needless = rule.verify && !rule.ca_file.as_os_str().is_empty() && !is_sure;
    doubt(needless, "has a ca_file but no TLS that would need it".to_owned(), "set tls = \"starttls\" or \"implicit\", or remove ca_file");
    let unused = !rule.verify && !rule.ca_file.as_os_str().is_empty();
    doubt(unused, "has a ca_file and verify = false".to_owned(), "remove one of them");
    let (file, variable) = (!rule.password_file.as_os_str().is_empty(), !rule.password_env.is_empty());
    doubt(file && variable, "has password_file and password_env".to_owned(), "keep one of them");
    doubt(
        has_login && !file && !variable && rule.password.expose().is_empty(),
        "has a username and no password".to_owned(),
        "set password_file or password_env",
    );
    doubt(!has_login && (file || variable), "has a password and no username".to_owned(), "set username");
    let odd = rule.username.contains(['\0', '\r', '\n']) || rule.password.expose().contains(['\0', '\r', '\n']);
    doubt(odd, "has a line end or NUL inside its username or password".to_owned(), "write each on one line");
    let settings = has_login || rule.tls.is_some() || !rule.ca_file.as_os_str().is_empty();
    doubt(to_mx && settings, "sends mail to the MX hosts and says how a smart host is spoken to".to_owned(), "remove tls, ca_file and username");
}

const fn is_unusable(address: IpAddr) -> bool {
    address.is_unspecified() || address.is_multicast()
}

const fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !(v4.is_loopback() || v4.is_private() || v4.is_link_local() || v4.is_unspecified() || v4.is_documentation()),
        IpAddr::V6(v6) => !(v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_unspecified()),
    }
}
