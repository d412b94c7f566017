//! Counting: one function for each thing that happens; what the figures mean stands in [`super::catalog`].
//!
//! Answers: how a room says that something happened, without knowing names or labels, at a cost of some tens of nanoseconds.
//! Does not: judge; alert rules are the operator's.

mod http;
mod incoming;
mod smtp;

use std::net::IpAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, SharedString};
use parking_lot::RwLock;

use super::catalog;
pub use super::egress::{Overflow, overflow, source_listed};
pub use super::recorder::upkeep;
use super::recorder::{Counters, counter, gauge, histogram};
use crate::model::BounceClass;
use crate::model::outcome::{DeliveryState, Outcome, Stage, TlsPolicy, TlsResult};
pub use http::{http_connection_closed, http_connection_opened, http_request, turned_away};
pub use incoming::{authenticated, domain_report, forwarded, given_back, incoming, webhook};
pub use smtp::{SignIn, smtp_connection_closed, smtp_connection_opened, smtp_sign_in, smtp_turned_away};

/// All figures in the Prometheus text format; the process's own are read at this moment.
#[must_use]
pub fn render() -> String {
    if let Some(usage) = super::process::usage() {
        HANDLES.resident.set(float(usage.resident_octets));
        HANDLES.open_files.set(float(usage.open_files));
    }
    HANDLES.log_lines_dropped.absolute(super::logs::dropped());
    super::recorder::render()
}

/// Counts one committed batch: messages, their recipients and octets, and how long the commit took.
pub fn accepted_batch(messages: u64, recipients: u64, octets: u64, took: Duration) {
    HANDLES.accepted_messages.increment(messages);
    HANDLES.accepted_recipients.increment(recipients);
    HANDLES.accepted_octets.increment(octets);
    HANDLES.accept_batch.record(float(messages));
    HANDLES.accept_commit.record(took);
}

/// Counts a request to send that was refused; `reason` is the slug of its problem.
pub fn refused(reason: &'static str) {
    HANDLES.refused.add(reason, 1, |reason| [SharedString::const_str(reason)]);
}

/// Tells how many files the process may open.
pub fn file_limit(files: u64) {
    HANDLES.file_limit.set(float(files));
}

/// Counts deliveries that reached a final state.
pub fn settled_finally(state: DeliveryState, deliveries: u64) {
    HANDLES.deliveries.add(state, deliveries, |state| [SharedString::const_str(state_name(*state))]);
}

/// Counts one attempt: how far it got, how it ended, how long it took.
pub fn attempt(stage: Stage, outcome: Outcome, took: Duration) {
    HANDLES
        .attempts
        .add((stage, outcome), 1, |(stage, outcome)| [SharedString::const_str(stage_name(*stage)), SharedString::const_str(outcome_name(*outcome))]);
    HANDLES.attempt_seconds.record(took);
}

/// Counts one attempt by the way it took: the pool, the source address, the smart host.
pub fn egress_attempt(pool: Option<Arc<str>>, source: Option<IpAddr>, smart_host: Option<Arc<str>>, outcome: Outcome) {
    let text = |value: &Option<Arc<str>>| value.as_deref().map_or(SharedString::const_str(""), |text| SharedString::from(text.to_owned()));
    HANDLES.egress_attempts.add((pool, source, smart_host, outcome), 1, |(pool, source, smart_host, outcome)| {
        let source = source.map_or(SharedString::const_str(""), |address| SharedString::from(address.to_string()));
        [text(pool), source, text(smart_host), SharedString::const_str(outcome_name(*outcome))]
    });
}

/// Counts one failed attempt by its class.
pub fn failure(class: BounceClass, outcome: Outcome) {
    HANDLES
        .failures
        .add((class, outcome), 1, |(class, outcome)| [SharedString::const_str(class.name()), SharedString::const_str(outcome_name(*outcome))]);
}

/// Counts entries added to suppression lists; `origin` is a fixed word such as `automatic`.
pub fn suppressed_addresses(origin: &'static str, entries: u64) {
    HANDLES.suppressed_addresses.add(origin, entries, |origin| [SharedString::const_str(origin)]);
}

/// Counts a message to a bounce address; both are fixed words, such as `bounce` and `told`.
pub fn report(kind: &'static str, result: &'static str) {
    HANDLES.reports.add((kind, result), 1, |(kind, result)| [SharedString::const_str(kind), SharedString::const_str(result)]);
}

/// Counts a delivery report to an author; `kind` is a fixed word such as `failed`.
pub fn notice(kind: &'static str) {
    HANDLES.notices.add(kind, 1, |kind| [SharedString::const_str(kind)]);
}

/// How opening an SMTP session went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SessionResult {
    /// A new one.
    Opened,
    /// An open one took one more transaction.
    Reused,
    /// None could be opened.
    Failed,
}

/// Counts one session.
pub fn session(result: SessionResult) {
    HANDLES.sessions.add(result, 1, |result| {
        [SharedString::const_str(match result {
            SessionResult::Opened => "opened",
            SessionResult::Reused => "reused",
            SessionResult::Failed => "failed",
        })]
    });
}

/// Counts an answer by which a site asked for less; `signal` is a fixed word such as `too_fast`.
pub fn site_signal(signal: &'static str) {
    HANDLES.site_signals.add(signal, 1, |signal| [SharedString::const_str(signal)]);
}

/// Tells how many sites are sent less than their limits allow, and how many nothing for now.
pub fn sites(slowed: usize, paused: usize) {
    HANDLES.sites_slowed.set(float(slowed as u64));
    HANDLES.sites_paused.set(float(paused as u64));
}

/// Tells how many sessions are open.
pub fn open_sessions(sessions: usize) {
    HANDLES.sessions_open.set(float(sessions as u64));
}

/// Tells what this node holds in memory.
pub fn memory(deliveries: usize, octets: usize) {
    HANDLES.memory_deliveries.set(float(deliveries as u64));
    HANDLES.memory_octets.set(float(octets as u64));
}

/// Tells how many deliveries in the database have no final state.
pub fn outstanding(deliveries: u64) {
    HANDLES.outstanding.set(float(deliveries));
}

/// Counts deliveries that an operator changed.
pub fn queue_changes(verb: &'static str, deliveries: u64) {
    HANDLES.queue_changes.add(verb, deliveries, |verb| [SharedString::const_str(verb)]);
}

/// Tells how many pauses there are, and whether this node is drained.
pub fn orders(pauses: usize, drained: bool) {
    HANDLES.pauses.set(float(pauses as u64));
    HANDLES.node_drained.set(f64::from(u8::from(drained)));
}

/// Counts deliveries that wait in the database because memory was full.
pub fn spilled(deliveries: u64) {
    HANDLES.spilled.increment(deliveries);
}

/// Counts deliveries claimed out of the database.
pub fn claimed(deliveries: u64) {
    HANDLES.claimed.increment(deliveries);
}

/// Counts one batch of outcomes written.
pub fn settled_batch(deliveries: u64, took: Duration) {
    HANDLES.settled.increment(deliveries);
    HANDLES.settle_batch.record(float(deliveries));
    HANDLES.settle_seconds.record(took);
}

/// Tells the age of the last confirmed heartbeat.
pub fn heartbeat_age(age: Duration) {
    HANDLES.heartbeat_age.set(age.as_secs_f64());
}

/// Tells by how many seconds this machine's clock is ahead of the database's.
pub fn clock_ahead(seconds: f64) {
    HANDLES.clock_ahead.set(seconds);
}

/// Tells whether nothing expires because the clocks disagree.
pub fn expiry_paused(paused: bool) {
    HANDLES.expiry_paused.set(if paused { 1.0 } else { 0.0 });
}

/// Counts outcomes dropped because this node no longer owned the delivery.
pub fn fenced(deliveries: u64) {
    HANDLES.fenced.increment(deliveries);
}

/// Counts attempts whose outcome is not known.
pub fn outcome_unknown(deliveries: u64) {
    HANDLES.outcome_unknown.increment(deliveries);
}

/// How a DNS look-up ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LookupResult {
    /// Records.
    Found,
    /// NXDOMAIN.
    NoSuchName,
    /// The name has no such records.
    NoRecords,
    /// SERVFAIL, REFUSED, time-out.
    Temporary,
}

/// Counts one DNS look-up; `kind` is the record type in lower case.
pub fn dns_lookup(kind: &'static str, result: LookupResult) {
    HANDLES.dns_lookups.add((kind, result), 1, |(kind, result)| {
        let result = match result {
            LookupResult::Found => "found",
            LookupResult::NoSuchName => "no_such_name",
            LookupResult::NoRecords => "no_records",
            LookupResult::Temporary => "temporary",
        };
        [SharedString::const_str(kind), SharedString::const_str(result)]
    });
}

/// Counts what a look at the health of hosts and domains found wrong: true for each that fails, false for each that warns.
pub fn doctor_findings(wrong: impl Iterator<Item = bool>) {
    for fails in wrong {
        HANDLES.doctor_findings.add(fails, 1, |fails| [SharedString::const_str(if *fails { "fail" } else { "warn" })]);
    }
}

/// Tells whether the trusted resolver validates.
pub fn dnssec_validating(is_validating: bool) {
    HANDLES.dnssec.set(float(u64::from(is_validating)));
}

/// Counts one session by its TLS.
pub fn tls_session(policy: TlsPolicy, result: TlsResult) {
    HANDLES
        .tls_sessions
        .add((policy, result), 1, |(policy, result)| [SharedString::const_str(policy.as_str()), SharedString::const_str(result.as_str())]);
}

/// How fetching an MTA-STS policy ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PolicyFetch {
    /// With a policy.
    Fetched,
    /// Without one.
    NoAnswer,
    /// With what is none.
    Invalid,
    /// With a certificate that is not good.
    Certificate,
}

/// Counts one fetch of an MTA-STS policy.
pub fn policy_fetch(result: PolicyFetch) {
    HANDLES.policy_fetches.add(result, 1, |result| {
        [SharedString::const_str(match result {
            PolicyFetch::Fetched => "fetched",
            PolicyFetch::NoAnswer => "no_answer",
            PolicyFetch::Invalid => "invalid",
            PolicyFetch::Certificate => "certificate",
        })]
    });
}

/// Counts one TLS report; `result` is `sent`, `failed` or `given_up`.
pub fn tls_report(result: &'static str) {
    HANDLES.tls_reports.add(result, 1, |result| [SharedString::const_str(result)]);
}

/// Tells how long the signatures of one message took.
pub fn signed(took: Duration) {
    HANDLES.signing.record(took);
}

/// Counts one failed database call; `kind` is a fixed word such as `unavailable`.
pub fn database_error(kind: &'static str) {
    HANDLES.database_errors.add(kind, 1, |kind| [SharedString::const_str(kind)]);
}

/// Pool, source address, smart host, and how it ended.
type WayOut = (Option<Arc<str>>, Option<IpAddr>, Option<Arc<str>>, Outcome);

struct Handles {
    accepted_messages: Counter,
    accepted_recipients: Counter,
    accepted_octets: Counter,
    refused: Counters<&'static str>,
    accept_batch: Histogram,
    accept_commit: Histogram,
    http_requests: Counters<(Box<str>, u16)>,
    http_seconds: RwLock<Vec<(Box<str>, Histogram)>>,
    http_connections: Gauge,
    turned_away: Counter,
    smtp_connections: Gauge,
    smtp_turned_away: Counter,
    smtp_sign_ins: Counters<SignIn>,
    deliveries: Counters<DeliveryState>,
    attempts: Counters<(Stage, Outcome)>,
    failures: Counters<(BounceClass, Outcome)>,
    suppressed_addresses: Counters<&'static str>,
    reports: Counters<(&'static str, &'static str)>,
    notices: Counters<&'static str>,
    attempt_seconds: Histogram,
    egress_attempts: Counters<WayOut>,
    sessions_open: Gauge,
    sessions: Counters<SessionResult>,
    site_signals: Counters<&'static str>,
    sites_slowed: Gauge,
    sites_paused: Gauge,
    memory_deliveries: Gauge,
    memory_octets: Gauge,
    outstanding: Gauge,
    queue_changes: Counters<&'static str>,
    pauses: Gauge,
    node_drained: Gauge,
    spilled: Counter,
    claimed: Counter,
    settled: Counter,
    settle_batch: Histogram,
    settle_seconds: Histogram,
    heartbeat_age: Gauge,
    clock_ahead: Gauge,
    expiry_paused: Gauge,
    fenced: Counter,
    outcome_unknown: Counter,
    dns_lookups: Counters<(&'static str, LookupResult)>,
    doctor_findings: Counters<bool>,
    dnssec: Gauge,
    tls_sessions: Counters<(TlsPolicy, TlsResult)>,
    policy_fetches: Counters<PolicyFetch>,
    tls_reports: Counters<&'static str>,
    signing: Histogram,
    database_errors: Counters<&'static str>,
    resident: Gauge,
    open_files: Gauge,
    file_limit: Gauge,
    log_lines_dropped: Counter,
}

static HANDLES: LazyLock<Handles> = LazyLock::new(|| Handles {
    accepted_messages: counter(&catalog::ACCEPTED_MESSAGES),
    accepted_recipients: counter(&catalog::ACCEPTED_RECIPIENTS),
    accepted_octets: counter(&catalog::ACCEPTED_OCTETS),
    refused: Counters::new(&catalog::REFUSED_REQUESTS),
    accept_batch: histogram(&catalog::ACCEPT_BATCH),
    accept_commit: histogram(&catalog::ACCEPT_COMMIT),
    http_requests: Counters::new(&catalog::HTTP_REQUESTS),
    http_seconds: RwLock::new(Vec::new()),
    http_connections: gauge(&catalog::HTTP_CONNECTIONS),
    turned_away: counter(&catalog::HTTP_TURNED_AWAY),
    smtp_connections: gauge(&catalog::SMTP_CONNECTIONS),
    smtp_turned_away: counter(&catalog::SMTP_TURNED_AWAY),
    smtp_sign_ins: Counters::new(&catalog::SMTP_SIGN_INS),
    deliveries: Counters::new(&catalog::DELIVERIES),
    attempts: Counters::new(&catalog::ATTEMPTS),
    failures: Counters::new(&catalog::FAILURES),
    suppressed_addresses: Counters::new(&catalog::SUPPRESSED_ADDRESSES),
    reports: Counters::new(&catalog::inbound::REPORTS),
    notices: Counters::new(&catalog::inbound::NOTICES),
    attempt_seconds: histogram(&catalog::ATTEMPT_SECONDS),
    egress_attempts: Counters::new(&catalog::EGRESS_ATTEMPTS),
    sessions_open: gauge(&catalog::SESSIONS_OPEN),
    sessions: Counters::new(&catalog::SESSIONS),
    site_signals: Counters::new(&catalog::SITE_SIGNALS),
    sites_slowed: gauge(&catalog::SITES_SLOWED),
    sites_paused: gauge(&catalog::SITES_PAUSED),
    memory_deliveries: gauge(&catalog::MEMORY_DELIVERIES),
    memory_octets: gauge(&catalog::MEMORY_OCTETS),
    outstanding: gauge(&catalog::OUTSTANDING),
    queue_changes: Counters::new(&catalog::QUEUE_CHANGES),
    pauses: gauge(&catalog::PAUSES),
    node_drained: gauge(&catalog::NODE_DRAINED),
    spilled: counter(&catalog::SPILLED),
    claimed: counter(&catalog::CLAIMED),
    settled: counter(&catalog::SETTLED),
    settle_batch: histogram(&catalog::SETTLE_BATCH),
    settle_seconds: histogram(&catalog::SETTLE_SECONDS),
    heartbeat_age: gauge(&catalog::HEARTBEAT_AGE),
    clock_ahead: gauge(&catalog::CLOCK_AHEAD),
    expiry_paused: gauge(&catalog::EXPIRY_PAUSED),
    fenced: counter(&catalog::FENCED),
    outcome_unknown: counter(&catalog::OUTCOME_UNKNOWN),
    dns_lookups: Counters::new(&catalog::DNS_LOOKUPS),
    doctor_findings: Counters::new(&catalog::DOCTOR_FINDINGS),
    dnssec: gauge(&catalog::DNSSEC),
    tls_sessions: Counters::new(&catalog::TLS_SESSIONS),
    policy_fetches: Counters::new(&catalog::POLICY_FETCHES),
    tls_reports: Counters::new(&catalog::TLS_REPORTS),
    signing: histogram(&catalog::SIGNING),
    database_errors: Counters::new(&catalog::DATABASE_ERRORS),
    resident: gauge(&catalog::RESIDENT),
    open_files: gauge(&catalog::OPEN_FILES),
    file_limit: gauge(&catalog::FILE_LIMIT),
    log_lines_dropped: counter(&catalog::LOG_LINES_DROPPED),
});

const fn state_name(state: DeliveryState) -> &'static str {
    match state {
        DeliveryState::Queued => "queued",
        DeliveryState::Active => "active",
        DeliveryState::Held => "held",
        DeliveryState::Delivered => "delivered",
        DeliveryState::Bounced => "bounced",
        DeliveryState::Expired => "expired",
        DeliveryState::Suppressed => "suppressed",
        DeliveryState::Cancelled => "cancelled",
    }
}

const fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Delivered => "delivered",
        Outcome::Deferred => "deferred",
        Outcome::Bounced => "bounced",
        Outcome::Expired => "expired",
    }
}

const fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::Sign => "sign",
        Stage::Dns => "dns",
        Stage::Connect => "connect",
        Stage::Greeting => "greeting",
        Stage::Ehlo => "ehlo",
        Stage::Tls => "tls",
        Stage::Auth => "auth",
        Stage::Mail => "mail",
        Stage::Rcpt => "rcpt",
        Stage::Data => "data",
        Stage::Body => "body",
        Stage::EndOfData => "end_of_data",
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures above 2^53 are shown rounded")]
const fn float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_rendered_under_its_declared_name() {
        // Labels that nothing else counts: the figures belong to the process, which runs other tests too.
        accepted_batch(3, 4, 500, Duration::from_millis(2));
        http_request("/test-only", 202, Duration::from_millis(3));
        http_request("/test-only", 202, Duration::from_millis(3));
        refused("test-only");
        dns_lookup("test-only", LookupResult::Temporary);
        attempt(Stage::EndOfData, Outcome::Delivered, Duration::from_millis(20));
        settled_finally(DeliveryState::Bounced, 2);
        upkeep();
        let text = render();
        for line in [
            "pennypost_accept_batch_messages_bucket{le=\"4\"}",
            "pennypost_http_requests_total{route=\"/test-only\",status=\"202\"} 2\n",
            "pennypost_http_request_seconds_count{route=\"/test-only\"} 2\n",
            "pennypost_refused_requests_total{reason=\"test-only\"} 1\n",
            "pennypost_dns_lookups_total{kind=\"test-only\",result=\"temporary\"} 1\n",
            "pennypost_attempts_total{stage=\"end_of_data\",outcome=\"delivered\"}",
            "pennypost_deliveries_total{outcome=\"bounced\"}",
            "# HELP pennypost_accepted_messages_total Messages answered 202 or 250: committed, not yet sent.",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
