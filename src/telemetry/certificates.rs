//! The figures about our own certificates: what they mean, and how they are counted.

use std::sync::LazyLock;

use metrics::SharedString;

use super::recorder::{Counters, Kind, Metric, labelled_gauge};

pub(super) const EXPIRES: Metric = Metric {
    name: "pennypost_certificate_expires_seconds",
    kind: Kind::Gauge,
    unit: "seconds",
    labels: &["name"],
    meaning: "Time until a certificate that this node shows ends, by the first of its names; negative once it is over.",
    healthy: "more than a third of the life of your certificates",
    alert: "under 14 days, or under a fifth of their life if that is shorter",
};
pub(super) const ORDERS: Metric = Metric {
    name: "pennypost_certificate_orders_total",
    kind: Kind::Counter,
    unit: "orders",
    labels: &["result"],
    meaning: "Certificates asked of an authority by ACME: `issued`, `failed`, `rate_limited`.",
    healthy: "`issued` now and then",
    alert: "`failed` twice in a row; `rate_limited` at all",
};

static ORDERED: LazyLock<Counters<&'static str>> = LazyLock::new(|| Counters::new(&ORDERS));

/// Tells how long the certificate for `name` is good.
pub fn expires(name: &str, left: time::Duration) {
    labelled_gauge(&EXPIRES, [SharedString::from(name.to_owned())]).set(left.as_seconds_f64());
}

/// Counts an order that ended.
pub fn ordered(result: &'static str) {
    ORDERED.add(result, 1, |result| [SharedString::const_str(result)]);
}
