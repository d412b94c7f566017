//! Metrics of what comes back, and of what authors are told.

use super::{Kind, Metric};

pub(in crate::telemetry) const REPORTS: Metric = Metric {
    name: "pennypost_reports_total",
    kind: Kind::Counter,
    unit: "messages",
    labels: &["kind", "result"],
    meaning: "Messages to bounce addresses and to addresses for complaints: what they were (bounce, complaint, auto_reply, other; any: refused at RCPT, with a token that is none of ours), and whether an event (told) or word to an author (success) came of them.",
    healthy: "bounce told below 0.02 of all deliveries",
    alert: "refused growing fast: somebody invents bounces; not_found growing: reports come after messages are deleted; put_off that does not end: events cannot be written",
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
    meaning: "Delivery reports to authors of submitted mail: failed, delayed, relayed, delivered, expanded; given_up where none could be made.",
    healthy: "failed below 0.05 of submitted messages",
    alert: "given_up above 0: a sender's domain is not verified any more",
};

pub(in crate::telemetry) const INCOMING: Metric = Metric {
    name: "pennypost_incoming_total",
    kind: Kind::Counter,
    unit: "recipients",
    labels: &["result"],
    meaning: "Addresses that the world named on port 25 and no bounce address of ours: `stored`, `webhook`, `forwarded`, `dropped`, or refused: `unknown`, \
              `relay`, `rejected`, `not_verified`, `unconfirmed`, `alone` (sent next), `looping`, `full`, `failed`.",
    healthy: "unknown and relay grow slowly: somebody always tries",
    alert: "failed above 0: the database; full: raise inbound.stored_octets or delete mail; not_verified: a domain has routes and no DKIM record",
};

pub(in crate::telemetry) const AUTHENTICATED: Metric = Metric {
    name: "pennypost_incoming_checked_total",
    kind: Kind::Counter,
    unit: "messages",
    labels: &["dmarc", "result"],
    meaning: "Messages from the world by the result of DMARC (none, pass, fail, temperror, permerror): taken, or refused as their author's domain asks.",
    healthy: "pass and none are most",
    alert: "temperror growing: the DNS; fail refused growing: somebody forges, or a mailing list breaks signatures",
};

pub(in crate::telemetry) const FORWARDED: Metric = Metric {
    name: "pennypost_forwarded_total",
    kind: Kind::Counter,
    unit: "messages",
    labels: &["result"],
    meaning: "Messages that were forwarded, each target by itself: delivered within the session, queued, refused by the next server, failed (the database).",
    healthy: "delivered above 0.9",
    alert: "queued growing: the next server throttles us; refused growing: it takes what is forwarded for spam",
};

pub(in crate::telemetry) const GIVEN_BACK: Metric = Metric {
    name: "pennypost_forward_reports_total",
    kind: Kind::Counter,
    unit: "reports",
    labels: &["result"],
    meaning: "Reports about forwarded mail: given back to a proven sender as they came, reported by us, dropped (the sender is not proven), too_many, failed.",
    healthy: "few: most refusals are passed back within the session",
    alert: "too_many above 0: somebody knows a reverse-path of ours",
};

pub(in crate::telemetry) const WEBHOOKS: Metric = Metric {
    name: "pennypost_webhooks_total",
    kind: Kind::Counter,
    unit: "requests",
    labels: &["result"],
    meaning: "Requests to endpoints: `delivered` (2xx), `deferred` (tried again later), `failed` (given up), and endpoints that were `disabled`.",
    healthy: "deferred below 0.05 of delivered",
    alert: "disabled above 0: an endpoint answered 410 or failed for five days; GET /v1/webhooks says which",
};
