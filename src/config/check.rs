//! Doubtful values: what the types allow and no operator can want.
//!
//! Answers: every such value at once, with the fix. Does not: touch the network or the disk; `doctor` and `serve` do.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;

use super::check_egress::zones;
use super::egress::host_and_port;
use super::error::{Origin, Problem};
use super::{Config, Database, Delivery, DeliveryTls, Limits, Listen, Server, Smtp, check_egress, check_tls};
use crate::model::{DomainName, EmailAddress};

const DAY_SECONDS: u64 = 24 * 60 * 60;
const MIB: usize = 1024 * 1024;

/// Every doubtful value of `config`; `origins` says who set it.
#[must_use]
pub fn doubts(config: &Config, origins: &BTreeMap<String, Origin>) -> Vec<Problem> {
    let mut doubts = Doubts { origins, found: Vec::new() };
    server(&mut doubts, &config.server);
    database(&mut doubts, &config.database);
    smtp(&mut doubts, &config.smtp);
    check_tls::tls(&mut doubts, config);
    inbound(&mut doubts, config);
    delivery(&mut doubts, &config.delivery);
    retries(&mut doubts, &config.delivery);
    sessions(&mut doubts, &config.delivery);
    delivery_tls(&mut doubts, &config.delivery_tls);
    dns_and_telemetry(&mut doubts, config);
    doctor(&mut doubts, config);
    retention(&mut doubts, config);
    limits(&mut doubts, &config.limits);
    memory(&mut doubts, config);
    doubts.found
}

/// What `serve` needs beyond a sound configuration: a name of our own, unless all mail stays here.
#[must_use]
pub fn missing_for_serving(config: &Config) -> Option<Problem> {
    (config.server.hostname.is_empty() && !config.delivery.sandbox).then(|| Problem {
        option: "server.hostname".to_owned(),
        origin: Origin::Default,
        what: "is empty, and without a name of our own no mail can be sent".to_owned(),
        fix: "run `pennypost init --hostname mail.example.com --domain example.com`, or set hostname under [server]; delivery.sandbox = true keeps \
              all mail here"
            .to_owned(),
    })
}

pub(super) struct Doubts<'a> {
    origins: &'a BTreeMap<String, Origin>,
    found: Vec<Problem>,
}

impl Doubts<'_> {
    pub(super) fn add(&mut self, doubtful: bool, option: &str, what: impl Display, fix: impl Display) {
        if doubtful {
            let origin = self.origins.get(option).cloned().unwrap_or(Origin::Default);
            self.found.push(Problem { option: option.to_owned(), origin, what: what.to_string(), fix: fix.to_string() });
        }
    }

    /// `value` must be within `range`.
    pub(super) fn within<T: PartialOrd + Display + Copy>(&mut self, option: &str, value: T, range: RangeInclusive<T>, unit: &str) {
        let (least, most) = (range.start(), range.end());
        let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
        self.add(!range.contains(&value), option, format!("is {value}"), format!("use {least} to {most}{unit}"));
    }
}

fn server(doubts: &mut Doubts<'_>, server: &Server) {
    if let (false, Err(error)) = (server.hostname.is_empty(), DomainName::parse(&server.hostname)) {
        let fix = "use the whole name that the reverse DNS of your address gives, like mail.example.com";
        doubts.add(true, "server.hostname", format!("is {:?}: {error}", server.hostname), fix);
    }
    let url = &server.public_url;
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let sound = host.is_some_and(|host| !host.is_empty() && !host.ends_with('/') && !host.contains(char::is_whitespace));
    let fix = "write it like https://mail.example.com, without a slash at the end";
    doubts.add(!url.is_empty() && !sound, "server.public_url", format!("is {url:?}"), fix);
    let empty = server.master_key_file.as_os_str().is_empty();
    doubts.add(empty, "server.master_key_file", "is empty", "name a file, or leave the line out");
}

fn database(doubts: &mut Doubts<'_>, database: &Database) {
    let url = database.url.expose();
    let sound = url.is_empty() || url.starts_with("postgres://") || url.starts_with("postgresql://");
    doubts.add(!sound, "database.url", "is not the URL of a PostgreSQL server", "write it like postgres://user:password@host:5432/database");
    let nowhere = url.is_empty() && database.data_dir.as_os_str().is_empty();
    doubts.add(nowhere, "database.data_dir", "is empty, and so is database.url", "set one of them");
    doubts.within("database.max_connections", database.max_connections, 3..=1000, "");
}

fn smtp(doubts: &mut Doubts<'_>, smtp: &Smtp) {
    let (one, other) = (smtp.submission_listen, smtp.submissions_listen);
    let some_port = one.addresses().iter().all(|address| address.port() != 0);
    let same = one == other && one != Listen::Off && some_port;
    doubts.add(same, "smtp.submissions_listen", "is the same as smtp.submission_listen", "use port 465 here and 587 there");
    let taken = [one, other].contains(&smtp.mx_listen) && smtp.mx_listen != Listen::Off;
    let taken = taken && smtp.mx_listen.addresses().iter().all(|address| address.port() != 0);
    doubts.add(taken, "smtp.mx_listen", "is the same as another listener of [smtp]", "use port 25 here");
    doubts.within("smtp.recipients", smtp.recipients, 100..=1000, "");
    doubts.within("smtp.connections", smtp.connections, 1..=1_000_000, "");
    doubts.within("smtp.connections_per_client", smtp.connections_per_client, 0..=smtp.connections.max(1), "");
}

fn delivery(doubts: &mut Doubts<'_>, delivery: &Delivery) {
    doubts.add(delivery.mx_port == 0, "delivery.mx_port", "is 0, where no server listens", "use 25, the port of MX hosts");
    check_egress::egress(doubts, delivery);
}

fn retries(doubts: &mut Doubts<'_>, delivery: &Delivery) {
    let waits = &delivery.retry_seconds;
    let fix = "list the waits between attempts in seconds, like [60, 300, 900, 3600]";
    doubts.add(waits.is_empty(), "delivery.retry_seconds", "is empty, so deferred mail would never be tried again", fix);
    let odd = waits.iter().find(|wait| **wait == 0 || **wait > 7 * DAY_SECONDS);
    doubts.add(odd.is_some(), "delivery.retry_seconds", format!("holds {}", odd.copied().unwrap_or(0)), "use waits of 1 second to 7 days");
    let jitter = delivery.retry_jitter;
    let fix = "use 0 to 1: with 0.2 a wait of 60 seconds lasts 48 to 72";
    doubts.add(!(0.0..=1.0).contains(&jitter), "delivery.retry_jitter", format!("is {jitter}"), fix);
    doubts.within("delivery.greylist_seconds", delivery.greylist_seconds, 0..=DAY_SECONDS, "seconds");
    let first = waits.first().copied().unwrap_or(0);
    let expire = delivery.expire_seconds;
    let what = format!("is {expire}, before the second attempt after {first}");
    doubts.add(expire < first, "delivery.expire_seconds", what, "use 432000, which is 5 days (RFC 5321 4.5.4.1)");
    doubts.add(expire > 30 * DAY_SECONDS, "delivery.expire_seconds", format!("is {expire}, over 30 days"), "use 432000, which is 5 days");
}

fn sessions(doubts: &mut Doubts<'_>, delivery: &Delivery) {
    doubts.within("delivery.max_connections", delivery.max_connections, 1..=20_000, "");
    doubts.within("delivery.max_connections_per_domain", delivery.max_connections_per_domain, 1..=delivery.max_connections.max(1), "");
    doubts.within("delivery.max_messages_per_connection", delivery.max_messages_per_connection, 1..=100_000, "");
    doubts.within("delivery.max_recipients_per_transaction", delivery.max_recipients_per_transaction, 1..=1000, "");
    // A server hangs up after 5 minutes (RFC 5321 4.5.3.2.7).
    doubts.within("delivery.idle_seconds", delivery.idle_seconds, 0..=290, "seconds");
    doubts.within("delivery.node_timeout_seconds", delivery.node_timeout_seconds, 3..=3600, "seconds; a heartbeat comes every second");
    doubts.within("delivery.drain_seconds", delivery.drain_seconds, 0..=3600, "seconds");
}

fn delivery_tls(doubts: &mut Doubts<'_>, tls: &DeliveryTls) {
    for name in tls.domains.keys() {
        let domain = name.strip_prefix('.').unwrap_or(name);
        let sound = DomainName::parse(domain).is_ok_and(|parsed| parsed.as_str() == domain);
        let fix = "write the domain in lower case and A-labels, as in \"bank.example\", or \".bank.example\" for all names below it";
        doubts.add(!sound, "delivery_tls.domains", format!("holds {name:?}"), fix);
    }
    doubts.within("delivery_tls.downgrade_hours", tls.downgrade_hours, 0..=96, "hours; mail expires after a few days");
    doubts.add(tls.policy_port == 0, "delivery_tls.policy_port", "is 0, where no server listens", "use 443, the port of HTTPS");
    let sender = &tls.report_from;
    if let (false, Err(error)) = (sender.is_empty(), EmailAddress::parse(sender)) {
        doubts.add(true, "delivery_tls.report_from", format!("is {sender:?}: {error}"), "write an address of one of your domains");
    }
}

fn dns_and_telemetry(doubts: &mut Doubts<'_>, config: &Config) {
    let portless = config.dns.servers.iter().find(|server| server.port() == 0);
    doubts.add(portless.is_some(), "dns.servers", "holds a resolver with port 0", "use 53, the port of DNS");
    doubts.within("dns.timeout_seconds", config.dns.timeout_seconds, 1..=60, "seconds");
    let endpoint = &config.telemetry.otlp_endpoint;
    let host = endpoint.strip_prefix("http://");
    let sound = endpoint.is_empty() || host.is_some_and(|host| !host.is_empty() && !host.contains(char::is_whitespace));
    let fix = "write it like http://127.0.0.1:4318/v1/traces; for a collector far away, run one on this machine that forwards";
    doubts.add(!sound, "telemetry.otlp_endpoint", format!("is {endpoint:?}"), fix);
}

fn doctor(doubts: &mut Doubts<'_>, config: &Config) {
    let days = config.domains.rotate_dkim_days;
    let what = format!("is {days}: the records of new keys would be asked for again before the last are everywhere");
    doubts.add((1..7).contains(&days), "domains.rotate_dkim_days", what, "use 180, or 0 for never by itself");
    let settings = &config.doctor;
    let odd = settings.probe_domains.iter().find(|name| DomainName::parse(name).is_err());
    let what = format!("holds {:?}", odd.map_or("", String::as_str));
    doubts.add(odd.is_some(), "doctor.probe_domains", what, "list names of domains, like \"example.com\"");
    zones(doubts, "doctor.address_lists", &settings.address_lists);
    zones(doubts, "doctor.domain_lists", &settings.domain_lists);
    let server = &settings.time_server;
    doubts.add(
        !server.is_empty() && host_and_port(server).is_none(),
        "doctor.time_server",
        format!("is {server:?}"),
        "write host:port, like pool.ntp.org:123",
    );
}

fn retention(doubts: &mut Doubts<'_>, config: &Config) {
    let (messages, events) = (config.retention.message_days, config.retention.event_days);
    let shorter = events != 0 && (messages == 0 || events < messages);
    let what = format!("is {events}, while messages are kept for {}", if messages == 0 { "ever".to_owned() } else { format!("{messages} days") });
    doubts.add(shorter, "retention.event_days", what, "keep events at least as long as messages: what became of a message is told by its events");
}

fn inbound(doubts: &mut Doubts<'_>, config: &Config) {
    let postmaster = &config.inbound.postmaster;
    if let (false, Err(error)) = (postmaster == "store", EmailAddress::parse(postmaster)) {
        doubts.add(true, "inbound.postmaster", format!("is {postmaster:?}: {error}"), "write \"store\", or an address to forward to");
    }
    let (kept, message) = (config.inbound.stored_octets, config.limits.message_octets);
    let what = format!("is {kept}: a message of limits.message_octets = {message} does not fit");
    doubts.add(kept < message as u64, "inbound.stored_octets", what, format!("use {message} or more"));
    doubts.within("inbound.forward_wait_seconds", config.inbound.forward_wait_seconds, 1..=300, "seconds");
    doubts.within("inbound.forward_per_minute", config.inbound.forward_per_minute, 1..=1_000_000, "messages");
    doubts.within("webhooks.timeout_seconds", config.webhooks.timeout_seconds, 1..=60, "seconds");
    doubts.within("webhooks.connections_per_endpoint", config.webhooks.connections_per_endpoint, 1..=100, "");
    doubts.within("webhooks.attachment_octets", config.webhooks.attachment_octets, 0..=150 * MIB, "octets");
}

fn limits(doubts: &mut Doubts<'_>, limits: &Limits) {
    doubts.within("limits.message_octets", limits.message_octets, 64 * 1024..=150 * MIB, "octets");
    doubts.within("limits.recipients", limits.recipients, 1..=1000, "");
    doubts.within("limits.attachments", limits.attachments, 0..=1000, "");
    doubts.within("limits.headers", limits.headers, 0..=1000, "");
    doubts.within("limits.connections", limits.connections, 1..=1_000_000, "");
    doubts.within("limits.connections_per_client", limits.connections_per_client, 0..=limits.connections.max(1), "");
}

fn memory(doubts: &mut Doubts<'_>, config: &Config) {
    let message = config.limits.message_octets;
    let held = config.delivery.memory_octets;
    let what = format!("is {held}, less than one message may have (limits.message_octets = {message})");
    doubts.add(held < message, "delivery.memory_octets", what, format!("use {message} or more"));
    let incoming = config.smtp.message_memory_octets;
    let what = format!("is {incoming}: a message of limits.message_octets = {message} does not fit");
    doubts.add(incoming < message.saturating_mul(2), "smtp.message_memory_octets", what, format!("use {} or more", message.saturating_mul(2)));
    let requests = config.limits.request_memory_octets;
    let what = format!("is {requests}: a message of limits.message_octets = {message} does not fit as JSON");
    doubts.add(requests < message.saturating_mul(2), "limits.request_memory_octets", what, format!("use {} or more", message.saturating_mul(2)));
}
