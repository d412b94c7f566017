//! Every metric: its meaning, its unit, what is healthy, what to alert on. `docs/operate/metrics.md` is printed from here.
//!
//! Does not: count; the functions of [`super::metrics`] do. Bounds of buckets are in the metric's unit.

pub(super) mod inbound;
mod operator;
mod page;
mod process;
mod smtp;

use super::recorder::{Kind, Metric};
use super::{certificates, egress};
pub(super) use operator::{NODE_DRAINED, PAUSES, QUEUE_CHANGES};
pub use page::page;
pub(super) use process::{FILE_LIMIT, LOG_LINES_DROPPED, OPEN_FILES, RESIDENT};
pub(super) use smtp::{SMTP_CONNECTIONS, SMTP_SIGN_INS, SMTP_TURNED_AWAY};

const SIZES: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];
const SHORT_SECONDS: &[f64] = &[0.000_1, 0.000_25, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.05, 0.25];
const SECONDS: &[f64] = &[0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
const LONG_SECONDS: &[f64] = &[0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 600.0];

/// All of them, in the order of the way a message takes.
pub const ALL: &[&Metric] = &[
    &ACCEPTED_MESSAGES,
    &ACCEPTED_RECIPIENTS,
    &ACCEPTED_OCTETS,
    &REFUSED_REQUESTS,
    &ACCEPT_BATCH,
    &ACCEPT_COMMIT,
    &HTTP_REQUESTS,
    &HTTP_SECONDS,
    &HTTP_CONNECTIONS,
    &HTTP_TURNED_AWAY,
    &SMTP_CONNECTIONS,
    &SMTP_TURNED_AWAY,
    &SMTP_SIGN_INS,
    &DELIVERIES,
    &ATTEMPTS,
    &FAILURES,
    &SUPPRESSED_ADDRESSES,
    &inbound::REPORTS,
    &inbound::DOMAIN_REPORTS,
    &inbound::NOTICES,
    &inbound::INCOMING,
    &inbound::AUTHENTICATED,
    &inbound::FORWARDED,
    &inbound::GIVEN_BACK,
    &inbound::WEBHOOKS,
    &ATTEMPT_SECONDS,
    &EGRESS_ATTEMPTS,
    &egress::OVERFLOW,
    &egress::SOURCE_LISTED,
    &SESSIONS_OPEN,
    &SESSIONS,
    &SITE_SIGNALS,
    &SITES_SLOWED,
    &SITES_PAUSED,
    &MEMORY_DELIVERIES,
    &MEMORY_OCTETS,
    &OUTSTANDING,
    &QUEUE_CHANGES,
    &PAUSES,
    &NODE_DRAINED,
    &SPILLED,
    &CLAIMED,
    &SETTLED,
    &SETTLE_BATCH,
    &SETTLE_SECONDS,
    &HEARTBEAT_AGE,
    &CLOCK_AHEAD,
    &EXPIRY_PAUSED,
    &FENCED,
    &OUTCOME_UNKNOWN,
    &DNS_LOOKUPS,
    &DNSSEC,
    &TLS_SESSIONS,
    &POLICY_FETCHES,
    &TLS_REPORTS,
    &certificates::EXPIRES,
    &certificates::ORDERS,
    &SIGNING,
    &DOCTOR_FINDINGS,
    &DATABASE_ERRORS,
    &RESIDENT,
    &OPEN_FILES,
    &FILE_LIMIT,
    &LOG_LINES_DROPPED,
];

pub(super) const ACCEPTED_MESSAGES: Metric = Metric {
    name: "pennypost_accepted_messages_total",
    kind: Kind::Counter,
    unit: "messages",
    labels: &[],
    meaning: "Messages answered 202 or 250: committed, not yet sent.",
    healthy: "follows your own traffic",
    alert: "no growth while your applications send",
};
pub(super) const ACCEPTED_RECIPIENTS: Metric = Metric {
    name: "pennypost_accepted_recipients_total",
    kind: Kind::Counter,
    unit: "deliveries",
    labels: &[],
    meaning: "Deliveries made by accepted messages, one for each recipient.",
    healthy: "one to a few for each message",
    alert: "",
};
pub(super) const ACCEPTED_OCTETS: Metric = Metric {
    name: "pennypost_accepted_octets_total",
    kind: Kind::Counter,
    unit: "octets",
    labels: &[],
    meaning: "Content of accepted messages as it rests in the outbox, before compression.",
    healthy: "follows your own traffic",
    alert: "",
};
pub(super) const REFUSED_REQUESTS: Metric = Metric {
    name: "pennypost_refused_requests_total",
    kind: Kind::Counter,
    unit: "requests",
    labels: &["reason"],
    meaning: "Requests to send that were not accepted, by the slug of the problem.",
    healthy: "a few: callers with faulty input",
    alert: "overloaded, storage-full or unavailable at all",
};
pub(super) const ACCEPT_BATCH: Metric = Metric {
    name: "pennypost_accept_batch_messages",
    kind: Kind::Histogram(SIZES),
    unit: "messages",
    labels: &[],
    meaning: "Messages in one group commit.",
    healthy: "1 when idle, tens under load",
    alert: "the largest bucket for minutes: the database is the limit",
};
pub(super) const ACCEPT_COMMIT: Metric = Metric {
    name: "pennypost_accept_commit_seconds",
    kind: Kind::Histogram(SECONDS),
    unit: "seconds",
    labels: &[],
    meaning: "Time of one group commit, which every accepted message waits for.",
    healthy: "below 0.02",
    alert: "p99 above 0.5",
};
pub(super) const HTTP_REQUESTS: Metric = Metric {
    name: "pennypost_http_requests_total",
    kind: Kind::Counter,
    unit: "requests",
    labels: &["route", "status"],
    meaning: "HTTP requests answered.",
    healthy: "2xx, with some 4xx",
    alert: "any growth of 5xx",
};
pub(super) const HTTP_SECONDS: Metric = Metric {
    name: "pennypost_http_request_seconds",
    kind: Kind::Histogram(SECONDS),
    unit: "seconds",
    labels: &["route"],
    meaning: "Time from a request's head to its answer's head.",
    healthy: "below 0.05",
    alert: "p99 above 1",
};
pub(super) const HTTP_CONNECTIONS: Metric = Metric {
    name: "pennypost_http_connections_open",
    kind: Kind::Gauge,
    unit: "connections",
    labels: &[],
    meaning: "HTTP connections that are served at this moment.",
    healthy: "below limits.connections",
    alert: "at limits.connections for minutes: others wait",
};
pub(super) const HTTP_TURNED_AWAY: Metric = Metric {
    name: "pennypost_http_connections_turned_away_total",
    kind: Kind::Counter,
    unit: "connections",
    labels: &[],
    meaning: "HTTP connections refused because their client had limits.connections_per_client of them.",
    healthy: "zero",
    alert: "any growth: a client floods or leaks connections, or a proxy in front needs a higher limit",
};
pub(super) const DELIVERIES: Metric = Metric {
    name: "pennypost_deliveries_total",
    kind: Kind::Counter,
    unit: "deliveries",
    labels: &["outcome"],
    meaning: "Deliveries that reached a final state.",
    healthy: "delivered above 0.95 of all",
    alert: "bounced above 0.05 of all: receivers judge you by it",
};
pub(super) const ATTEMPTS: Metric = Metric {
    name: "pennypost_attempts_total",
    kind: Kind::Counter,
    unit: "attempts",
    labels: &["stage", "outcome"],
    meaning: "Attempts by how far they got and how they ended.",
    healthy: "end_of_data delivered for most",
    alert: "dns or connect deferred above 0.1 of all",
};
pub(super) const FAILURES: Metric = Metric {
    name: "pennypost_failures_total",
    kind: Kind::Counter,
    unit: "attempts",
    labels: &["class", "outcome"],
    meaning: "Attempts that failed, by why and whether they are tried again.",
    healthy: "rate and network deferred; some bad_mailbox bounced",
    alert: "reputation or authentication above 0.01 of all attempts: receivers turn against you",
};
pub(super) const SUPPRESSED_ADDRESSES: Metric = Metric {
    name: "pennypost_suppressed_addresses_total",
    kind: Kind::Counter,
    unit: "entries",
    labels: &["origin"],
    meaning: "Entries added to suppression lists, by who added them.",
    healthy: "automatic below 0.02 of all deliveries",
    alert: "automatic growing fast: a list of old or invented addresses is being sent to",
};
pub(super) const ATTEMPT_SECONDS: Metric = Metric {
    name: "pennypost_attempt_seconds",
    kind: Kind::Histogram(LONG_SECONDS),
    unit: "seconds",
    labels: &[],
    meaning: "Time of one attempt with look-up, session and transaction.",
    healthy: "below 5; receivers may take minutes",
    alert: "p50 above 30",
};
pub(super) const EGRESS_ATTEMPTS: Metric = Metric {
    name: "pennypost_egress_attempts_total",
    kind: Kind::Counter,
    unit: "attempts",
    labels: &["pool", "source", "smart_host", "outcome"],
    meaning: "Attempts by the way they took: the pool, the source address, the smart host; an empty label where there was none.",
    healthy: "outcomes alike for the sources of one pool",
    alert: "one source deferred or bounced far more often than the others of its pool",
};
pub(super) const SESSIONS_OPEN: Metric = Metric {
    name: "pennypost_sessions_open",
    kind: Kind::Gauge,
    unit: "sessions",
    labels: &[],
    meaning: "SMTP sessions open now.",
    healthy: "below delivery.max_connections",
    alert: "at delivery.max_connections for minutes",
};
pub(super) const SESSIONS: Metric = Metric {
    name: "pennypost_sessions_total",
    kind: Kind::Counter,
    unit: "sessions",
    labels: &["result"],
    meaning: "SMTP sessions by how opening them went: opened, reused for one more transaction, failed.",
    healthy: "reused above opened under load",
    alert: "failed above opened",
};
pub(super) const SITE_SIGNALS: Metric = Metric {
    name: "pennypost_site_signals_total",
    kind: Kind::Counter,
    unit: "answers",
    labels: &["signal"],
    meaning: "Answers by which a site asked for less: too_many_sessions, too_fast, unusual (4.7.28), blocked, strained (time-outs, lost sessions).",
    healthy: "a few an hour for each large receiver",
    alert: "any growth of blocked; unusual day after day",
};
pub(super) const SITES_SLOWED: Metric = Metric {
    name: "pennypost_sites_slowed",
    kind: Kind::Gauge,
    unit: "sites",
    labels: &[],
    meaning: "Sites that this node sends less than their limits allow, since they asked for it.",
    healthy: "a few, after a large sending",
    alert: "growing for hours",
};
pub(super) const SITES_PAUSED: Metric = Metric {
    name: "pennypost_sites_paused",
    kind: Kind::Gauge,
    unit: "sites",
    labels: &[],
    meaning: "Sites that this node sends nothing for now: they asked for a pause, or their hosts cannot be reached.",
    healthy: "near zero",
    alert: "a large receiver among them for an hour: see `pennypost queue sites`",
};
pub(super) const MEMORY_DELIVERIES: Metric = Metric {
    name: "pennypost_memory_deliveries",
    kind: Kind::Gauge,
    unit: "deliveries",
    labels: &[],
    meaning: "Deliveries held in memory by this node.",
    healthy: "below a few thousand",
    alert: "",
};
pub(super) const MEMORY_OCTETS: Metric = Metric {
    name: "pennypost_memory_octets",
    kind: Kind::Gauge,
    unit: "octets",
    labels: &[],
    meaning: "Content held in memory for delivery.",
    healthy: "below delivery.memory_octets",
    alert: "at delivery.memory_octets for hours: receivers take less than you send",
};
pub(super) const OUTSTANDING: Metric = Metric {
    name: "pennypost_outstanding_deliveries",
    kind: Kind::Gauge,
    unit: "deliveries",
    labels: &[],
    meaning: "Deliveries in the database that have no final state, of all nodes.",
    healthy: "near zero, more after a large sending",
    alert: "growing for an hour",
};
pub(super) const SPILLED: Metric = Metric {
    name: "pennypost_spilled_deliveries_total",
    kind: Kind::Counter,
    unit: "deliveries",
    labels: &[],
    meaning: "Deliveries that did not fit the memory budget and wait in the database.",
    healthy: "zero, or bursts",
    alert: "steady growth",
};
pub(super) const CLAIMED: Metric = Metric {
    name: "pennypost_claimed_deliveries_total",
    kind: Kind::Counter,
    unit: "deliveries",
    labels: &[],
    meaning: "Deliveries claimed back out of the database.",
    healthy: "follows spills and retries",
    alert: "",
};
pub(super) const SETTLED: Metric = Metric {
    name: "pennypost_settled_deliveries_total",
    kind: Kind::Counter,
    unit: "deliveries",
    labels: &[],
    meaning: "Outcomes written, deferrals included.",
    healthy: "follows attempts",
    alert: "no growth while sessions are open",
};
pub(super) const SETTLE_BATCH: Metric = Metric {
    name: "pennypost_settle_batch_deliveries",
    kind: Kind::Histogram(SIZES),
    unit: "deliveries",
    labels: &[],
    meaning: "Outcomes written in one transaction.",
    healthy: "1 when idle, tens to hundreds under load",
    alert: "",
};
pub(super) const SETTLE_SECONDS: Metric = Metric {
    name: "pennypost_settle_commit_seconds",
    kind: Kind::Histogram(SECONDS),
    unit: "seconds",
    labels: &[],
    meaning: "Time of writing one batch of outcomes.",
    healthy: "below 0.05",
    alert: "p99 above 1: after a crash more messages may be sent twice",
};
pub(super) const HEARTBEAT_AGE: Metric = Metric {
    name: "pennypost_heartbeat_age_seconds",
    kind: Kind::Gauge,
    unit: "seconds",
    labels: &[],
    meaning: "Age of this node's last confirmed heartbeat.",
    healthy: "below 2",
    alert: "above half of delivery.node_timeout_seconds",
};
pub(super) const CLOCK_AHEAD: Metric = Metric {
    name: "pennypost_clock_ahead_seconds",
    kind: Kind::Gauge,
    unit: "seconds",
    labels: &[],
    meaning: "How far this machine's clock is ahead of the database's; negative: behind. All times are the database's.",
    healthy: "within 1 of zero",
    alert: "more than 60 away from zero: one of the two clocks is wrong",
};
pub(super) const EXPIRY_PAUSED: Metric = Metric {
    name: "pennypost_expiry_paused",
    kind: Kind::Gauge,
    unit: "bool",
    labels: &[],
    meaning: "1 while nothing expires and no old data is dropped because two clocks disagree by more than an hour, or the database's jumped within a day.",
    healthy: "0",
    alert: "1",
};
pub(super) const FENCED: Metric = Metric {
    name: "pennypost_fenced_outcomes_total",
    kind: Kind::Counter,
    unit: "deliveries",
    labels: &[],
    meaning: "Outcomes dropped because another node had taken the delivery over.",
    healthy: "zero",
    alert: "any growth: a node hung or lost the database for long",
};
pub(super) const OUTCOME_UNKNOWN: Metric = Metric {
    name: "pennypost_outcome_unknown_total",
    kind: Kind::Counter,
    unit: "deliveries",
    labels: &[],
    meaning: "Attempts cut off after the end of the content and before the reply: the message may arrive twice.",
    healthy: "zero",
    alert: "more than a few an hour",
};
pub(super) const DNS_LOOKUPS: Metric = Metric {
    name: "pennypost_dns_lookups_total",
    kind: Kind::Counter,
    unit: "look-ups",
    labels: &["kind", "result"],
    meaning: "DNS look-ups by record type and result.",
    healthy: "found for most",
    alert: "temporary above 0.05 of all: your resolver is ill",
};
pub(super) const DOCTOR_FINDINGS: Metric = Metric {
    name: "pennypost_doctor_findings_total",
    kind: Kind::Counter,
    unit: "findings",
    labels: &["level"],
    meaning: "What looks at the health of domains found wrong, by level: fail, warn.",
    healthy: "grows only while a domain is being set up",
    alert: "growth of fail for a domain that was well: its DNS records changed",
};
pub(super) const DNSSEC: Metric = Metric {
    name: "pennypost_dnssec_validating",
    kind: Kind::Gauge,
    unit: "resolvers",
    labels: &[],
    meaning: "1 if the trusted resolver proved the records of the root at the last look, 0 if not: then DANE is not used.",
    healthy: "1",
    alert: "0 where a validating resolver is set up",
};
pub(super) const TLS_SESSIONS: Metric = Metric {
    name: "pennypost_tls_sessions_total",
    kind: Kind::Counter,
    unit: "sessions",
    labels: &["policy", "result"],
    meaning: "Sessions with mail hosts by what decided about TLS and what came of it; `verified`, `encrypted` and `clear` are those that went on.",
    healthy: "verified and encrypted for nearly all",
    alert: "growth of any other result than these three under dane, mta_sts or remembered",
};
pub(super) const POLICY_FETCHES: Metric = Metric {
    name: "pennypost_mta_sts_fetches_total",
    kind: Kind::Counter,
    unit: "fetches",
    labels: &["result"],
    meaning: "Fetches of MTA-STS policies.",
    healthy: "fetched for most",
    alert: "no_answer for nearly all: HTTPS does not get out of your network",
};
pub(super) const TLS_REPORTS: Metric = Metric {
    name: "pennypost_tls_reports_total",
    kind: Kind::Counter,
    unit: "reports",
    labels: &["result"],
    meaning: "TLS reports to domains that ask for them: sent, failed (tried again within the hour), given_up.",
    healthy: "sent, some failed",
    alert: "failed for nearly all",
};
pub(super) const SIGNING: Metric = Metric {
    name: "pennypost_signing_seconds",
    kind: Kind::Histogram(SHORT_SECONDS),
    unit: "seconds",
    labels: &[],
    meaning: "Time of making the DKIM signatures of one message.",
    healthy: "below 0.002",
    alert: "p50 above 0.01: the processor is overloaded",
};
pub(super) const DATABASE_ERRORS: Metric = Metric {
    name: "pennypost_database_errors_total",
    kind: Kind::Counter,
    unit: "errors",
    labels: &["kind"],
    meaning: "Failed database calls.",
    healthy: "zero",
    alert: "any growth that lasts",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_declared_whole_and_once() {
        for (place, metric) in ALL.iter().enumerate() {
            assert!(metric.name.starts_with("pennypost_"), "{}", metric.name);
            assert!(!metric.meaning.is_empty() && !metric.healthy.is_empty() && !metric.unit.is_empty(), "{}", metric.name);
            assert_eq!(matches!(metric.kind, Kind::Counter), metric.name.ends_with("_total"), "{}", metric.name);
            assert!(ALL.iter().skip(place + 1).all(|other| other.name != metric.name), "{}", metric.name);
        }
    }
}
