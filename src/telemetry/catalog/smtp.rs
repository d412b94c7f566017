//! Metrics of the SMTP door, as [`super`] describes them.

use crate::telemetry::recorder::{Kind, Metric};

pub(in crate::telemetry) const SMTP_CONNECTIONS: Metric = Metric {
    name: "pennypost_smtp_connections",
    kind: Kind::Gauge,
    unit: "connections",
    labels: &[],
    meaning: "SMTP connections of clients that are open.",
    healthy: "far below smtp.connections",
    alert: "near smtp.connections",
};
pub(in crate::telemetry) const SMTP_TURNED_AWAY: Metric = Metric {
    name: "pennypost_smtp_turned_away_total",
    kind: Kind::Counter,
    unit: "connections",
    labels: &[],
    meaning: "SMTP connections answered 421 because there were too many, of all clients or of one.",
    healthy: "none",
    alert: "growth for minutes",
};
pub(in crate::telemetry) const SMTP_SIGN_INS: Metric = Metric {
    name: "pennypost_smtp_sign_ins_total",
    kind: Kind::Counter,
    unit: "sign-ins",
    labels: &["result"],
    meaning: "Clients that signed in by SMTP: taken, refused, locked (out for a while after too many guesses), unavailable (the database was away).",
    healthy: "taken, with some refused",
    alert: "locked growing: passwords are guessed, or an application has an old one",
};
