//! Metrics of what operators did, as [`super`] describes them.

use crate::telemetry::recorder::{Kind, Metric};

pub(in crate::telemetry) const QUEUE_CHANGES: Metric = Metric {
    name: "pennypost_queue_changes_total",
    kind: Kind::Counter,
    unit: "deliveries",
    labels: &["verb"],
    meaning: "Deliveries that operators changed: hold, release, cancel, retry. Who did it stands in the audit trail.",
    healthy: "zero on most days",
    alert: "",
};
pub(in crate::telemetry) const PAUSES: Metric = Metric {
    name: "pennypost_pauses",
    kind: Kind::Gauge,
    unit: "pauses",
    labels: &[],
    meaning: "Recipient domains and projects that operators paused, as this node last heard.",
    healthy: "zero",
    alert: "above zero for longer than you meant: paused mail expires",
};
pub(in crate::telemetry) const NODE_DRAINED: Metric = Metric {
    name: "pennypost_node_drained",
    kind: Kind::Gauge,
    unit: "0 or 1",
    labels: &[],
    meaning: "1 while an operator keeps this node from taking deliveries.",
    healthy: "0",
    alert: "1 on all nodes: nothing is delivered",
};
