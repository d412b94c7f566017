//! The configuration: one typed value, made once at start, checked before anything runs.
//!
//! Answers: what the operator asked for. `default.toml` holds every option with its comment and is where defaults come from.
//! Does not: open, connect or listen.

pub mod check;
mod check_egress;
mod check_tls;
pub mod egress;
pub mod environment;
pub mod error;
pub mod inbound;
pub mod listen;
pub mod load;
mod public_url;
mod secrets;
pub mod suggest;
pub mod tls;
pub mod warm_up;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde::Deserialize;

use crate::model::Secret;

pub use error::{ConfigError, Origin, Problem};
pub use inbound::{Inbound, Webhooks};
pub use listen::{Listen, Network};
pub use load::{Loaded, load};
pub use tls::{AcmeChallenge, Tls};

/// The text of `default.toml`.
pub const DEFAULT_TOML: &str = include_str!("default.toml");

/// Everything an operator can set.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `[server]`
    pub server: Server,
    /// `[database]`
    pub database: Database,
    /// `[smtp]`
    pub smtp: Smtp,
    /// `[inbound]`
    pub inbound: Inbound,
    /// `[webhooks]`
    pub webhooks: Webhooks,
    /// `[tls]`
    pub tls: Tls,
    /// `[delivery]`
    pub delivery: Delivery,
    /// `[delivery_tls]`
    pub delivery_tls: DeliveryTls,
    /// `[domains]`
    pub domains: Domains,
    /// `[dns]`
    pub dns: Dns,
    /// `[doctor]`
    pub doctor: Doctor,
    /// `[retention]`
    pub retention: Retention,
    /// `[limits]`
    pub limits: Limits,
    /// `[telemetry]`
    pub telemetry: Telemetry,
}

impl Default for Config {
    /// What `default.toml` says.
    fn default() -> Self {
        load::defaults().clone()
    }
}

/// `[server]`: who we are and where we listen.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Our name: EHLO, Message-ID, Received. Empty until set; `serve` then refuses unless mail stays in the sandbox.
    pub hostname: String,
    /// Where the HTTP API listens.
    pub http_listen: SocketAddr,
    /// How users reach the API, without a trailing slash; empty: `http://` and the address listened on.
    pub public_url: String,
    /// The file of the master key that seals secrets in the database.
    pub master_key_file: PathBuf,
}

/// `[database]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// `postgres://…`; empty: a private server in `data_dir`.
    pub url: Secret<String>,
    /// The data directory of the private server.
    pub data_dir: PathBuf,
    /// Where `postgres` and `initdb` are; empty: searched in the usual places.
    pub bin_dir: PathBuf,
    /// Connections of this process at most.
    pub max_connections: u32,
}

/// `[smtp]`: submission by SMTP, and what comes back.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Smtp {
    /// Where users submit by STARTTLS: port 587.
    pub submission_listen: Listen,
    /// Where users submit by TLS from the first octet: port 465.
    pub submissions_listen: Listen,
    /// Where the world brings mail for our routes and bounce addresses: port 25.
    pub mx_listen: Listen,
    /// Recipients of one message.
    pub recipients: usize,
    /// SMTP connections at once.
    pub connections: usize,
    /// SMTP connections of one client at once; zero: no limit but the one above.
    pub connections_per_client: usize,
    /// Octets of messages held at once while they come in; more are put off.
    pub message_memory_octets: usize,
    /// Proxies that tell whose connection they hand on (PROXY protocol).
    pub proxies: Vec<Network>,
}

/// `[delivery]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delivery {
    /// The port of MX hosts: 25.
    pub mx_port: u16,
    /// Source addresses; empty: the system's choice.
    pub egress: Vec<IpAddr>,
    /// Source addresses with names, weights and pools.
    pub source: Vec<egress::Source>,
    /// Which messages leave from which pool.
    pub pool_rule: Vec<egress::PoolRule>,
    /// `host:port` that takes all mail instead of the MX hosts; empty: none.
    pub smart_host: String,
    /// Mail that goes to other smart hosts, or to none.
    pub smart_host_rule: Vec<egress::SmartHostRule>,
    /// Lists of bad senders that are asked about the source addresses.
    pub dnsbl_zones: Vec<String>,
    /// Seconds between two such checks.
    pub dnsbl_seconds: u64,
    /// What becomes of a source that is on one.
    pub dnsbl_action: egress::ListingAction,
    /// Deliver to loopback, private and link-local addresses too.
    pub allow_private_addresses: bool,
    /// Keep all mail here, deliver nothing.
    pub sandbox: bool,
    /// Let domains send that are not verified yet.
    pub allow_unverified_domains: bool,
    /// Waits between attempts in seconds; the last repeats.
    pub retry_seconds: Vec<u64>,
    /// Each wait varies by up to this share of itself, 0 to 1.
    pub retry_jitter: f64,
    /// Seconds to wait at least after a receiver greylisted a message.
    pub greylist_seconds: u64,
    /// Seconds after which an undelivered message expires.
    pub expire_seconds: u64,
    /// Seconds after which the author of a submitted message is told that it is delayed; 0: never.
    pub delay_notice_seconds: u64,
    /// Sessions to all hosts together.
    pub max_connections: usize,
    /// Sessions to the hosts of one site that is in no table of providers, of all nodes together.
    pub max_connections_per_domain: usize,
    /// A file of limits for providers, on top of the program's own; empty: none.
    pub providers: PathBuf,
    /// Messages sent in one session.
    pub max_messages_per_connection: usize,
    /// Recipients in one transaction.
    pub max_recipients_per_transaction: usize,
    /// Seconds a session stays open without work.
    pub idle_seconds: u64,
    /// Content held in memory for delivery, in octets; more waits in the database.
    pub memory_octets: usize,
    /// Seconds without a heartbeat after which a node counts as dead and its work goes to others.
    pub node_timeout_seconds: u64,
    /// Seconds that SIGTERM gives open sessions to end.
    pub drain_seconds: u64,
    /// A file of rules that say what replies mean, before or in place of the program's own; empty: none.
    pub bounce_rules: PathBuf,
}

/// `[delivery_tls]`: TLS on the way out, where the receiving domain does not say itself how it wants it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeliveryTls {
    /// For domains that are not listed.
    pub default: TlsSetting,
    /// For single domains; `.example.com` stands for all names below it.
    pub domains: BTreeMap<String, TlsSetting>,
    /// Heed MTA-STS policies.
    pub mta_sts: bool,
    /// Heed DANE records.
    pub dane: bool,
    /// A PEM file of further certificate authorities; empty: none.
    pub ca_file: PathBuf,
    /// Hours for which a host that used to speak TLS gets no mail in the clear.
    pub downgrade_hours: u64,
    /// The port of MTA-STS policy hosts: 443.
    pub policy_port: u16,
    /// The sender of our TLS reports; empty: none are made.
    pub report_from: String,
}

/// How TLS is used with a domain that publishes no policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TlsSetting {
    /// Where it can be had; else clear text.
    Prefer,
    /// No TLS, no mail; any certificate will do.
    Require,
    /// No mail without a valid certificate for the mail host's name.
    Verify,
    /// Never.
    Off,
}

/// `[dns]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dns {
    /// Resolvers; empty: the system's.
    pub servers: Vec<SocketAddr>,
    /// Seconds for one query with its repeats.
    pub timeout_seconds: u64,
    /// Whether what the resolvers say of DNSSEC is believed.
    pub dnssec: DnssecTrust,
}

/// Which resolvers are believed when they say that DNSSEC proves an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DnssecTrust {
    /// Those on this machine, if all are.
    Auto,
    /// All.
    Trust,
    /// None.
    Off,
}

/// `[domains]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Domains {
    /// Days after which the next DKIM keys of a domain are made; 0: only on request.
    pub rotate_dkim_days: u32,
}

/// `[doctor]`: what `pennypost doctor` asks in the world.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Doctor {
    /// Domains whose mail hosts are greeted, to see whether mail can leave.
    pub probe_domains: Vec<String>,
    /// `host:port` of a time server; empty: none is asked.
    pub time_server: String,
    /// Zones of lists of addresses (RFC 5782), beside `delivery.dnsbl_zones`.
    pub address_lists: Vec<String>,
    /// Zones of lists of domains.
    pub domain_lists: Vec<String>,
}

/// `[retention]`, in days; zero keeps for ever.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// Content of settled messages.
    pub message_days: u32,
    /// Events.
    pub event_days: u32,
    /// The audit trail.
    pub audit_days: u32,
    /// Reports of receivers about our domains.
    pub report_days: u32,
    /// Mail from the world that is kept.
    pub incoming_days: u32,
    /// What webhooks were told.
    pub webhook_days: u32,
}

/// `[limits]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Octets of a message as it leaves.
    pub message_octets: usize,
    /// Recipients of one request.
    pub recipients: usize,
    /// Attachments of one request.
    pub attachments: usize,
    /// Custom header fields of one request.
    pub headers: usize,
    /// Octets of request bodies held at once; more is answered 503.
    pub request_memory_octets: usize,
    /// Requests a second of one API key; zero: no limit.
    pub requests_per_second: u32,
    /// HTTP connections at once.
    pub connections: usize,
    /// HTTP connections of one client at once; zero: no limit but the one above.
    pub connections_per_client: usize,
}

/// `[telemetry]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Telemetry {
    /// `human`, `json` or `auto` (human on a terminal).
    pub log_format: LogFormat,
    /// A filter as in `pennypost=debug,info`.
    pub log_filter: String,
    /// `http://collector:4318/v1/traces`; empty: no export.
    pub otlp_endpoint: String,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Human,
    /// For machines.
    Json,
    /// Human on a terminal, else JSON.
    Auto,
}
