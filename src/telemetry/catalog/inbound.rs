//! Metrics of what comes back, and of what authors are told.

use super::{Kind, Metric};

pub(in crate::telemetry) const REPORTS: Metric = Metric {
    name: "pennypost_reports_total",
    kind: Kind::Counter,
    unit: "messages",
    labels: &["kind", "result"],
    meaning: "Messages to bounce addresses: what they were (bounce, complaint, auto_reply, other), and whether an event came of them.",
    healthy: "bounce told below 0.02 of all deliveries",
    alert: "refused growing fast: somebody invents bounces; not_found growing: reports come after messages are deleted",
};

pub(in crate::telemetry) const DOMAIN_REPORTS: Metric = Metric {
    name: "pennypost_domain_reports_total",
    kind: Kind::Counter,
    unit: "reports",
    labels: &["kind", "result"],
    meaning: "Reports of receivers about mail in the name of our domains (dmarc, tls, unknown): kept, known, foreign, too_many, too_large, unreadable.",
    healthy: "kept: some a day for each domain that asks for reports",
    alert: "too_many or too_large above 0: somebody invents reports",
};

pub(in crate::telemetry) const NOTICES: Metric = Metric {
    name: "pennypost_notices_total",
    kind: Kind::Counter,
    unit: "reports",
    labels: &["kind"],
    meaning: "Delivery reports to authors of submitted mail: failed, delayed, relayed; given_up where none could be made.",
    healthy: "failed below 0.05 of submitted messages",
    alert: "given_up above 0: a sender's domain is not verified any more",
};
