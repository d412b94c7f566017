//! Metrics of this process itself, as [`super`] describes them.

use crate::telemetry::recorder::{Kind, Metric};

pub(in crate::telemetry) const RESIDENT: Metric = Metric {
    name: "pennypost_process_resident_octets",
    kind: Kind::Gauge,
    unit: "octets",
    labels: &[],
    meaning: "Resident memory of this process.",
    healthy: "below 150 MiB",
    alert: "above 500 MiB",
};
pub(in crate::telemetry) const OPEN_FILES: Metric = Metric {
    name: "pennypost_process_open_files",
    kind: Kind::Gauge,
    unit: "files",
    labels: &[],
    meaning: "Open file descriptors of this process.",
    healthy: "below half of its limit",
    alert: "above 0.8 of its limit",
};
pub(in crate::telemetry) const FILE_LIMIT: Metric = Metric {
    name: "pennypost_process_open_files_limit",
    kind: Kind::Gauge,
    unit: "files",
    labels: &[],
    meaning: "Files that the system lets this process open.",
    healthy: "thousands",
    alert: "below 1024: connections are held to a share of it",
};
pub(in crate::telemetry) const LOG_LINES_DROPPED: Metric = Metric {
    name: "pennypost_log_lines_dropped_total",
    kind: Kind::Counter,
    unit: "lines",
    labels: &[],
    meaning: "Log lines dropped because nobody took them in time; mail never waits for its log.",
    healthy: "zero",
    alert: "any growth: whatever reads the log is too slow or hangs",
};
