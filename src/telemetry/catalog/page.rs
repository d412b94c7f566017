//! `docs/operate/metrics.md`, printed from the catalog.
//!
//! Does not: declare a metric.

use super::ALL;
use crate::telemetry::recorder::{Kind, Metric};

/// The catalog as a page for operators.
#[must_use]
pub fn page() -> String {
    std::iter::once(HEAD.to_owned()).chain(ALL.iter().map(|metric| section(metric))).collect()
}

fn section(metric: &Metric) -> String {
    let kind = match metric.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram(_) => "histogram",
    };
    let labels = if metric.labels.is_empty() { String::new() } else { format!(" by `{}`", metric.labels.join("`, `")) };
    let alert = if metric.alert.is_empty() { "nothing" } else { metric.alert };
    let Metric { name, unit, meaning, healthy, .. } = metric;
    format!("\n## `{name}`\n\n{kind} of {unit}{labels}. {meaning}\n\n- healthy: {healthy}\n- alert on: {alert}\n")
}

const HEAD: &str = "# Metrics

`GET /metrics` answers in the Prometheus text format. This page is printed from the declarations in `src/telemetry/catalog.rs` by
`make gen`; a test fails when it is stale.

\"Delivered\" means taken by the next hop.
";
