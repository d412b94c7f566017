//! The figures about source addresses: what they mean, and how they are counted.

use std::net::IpAddr;
use std::sync::LazyLock;

use metrics::SharedString;

use super::recorder::{Counters, Kind, Metric, labelled_gauge};

pub(super) const OVERFLOW: Metric = Metric {
    name: "pennypost_egress_overflow_total",
    kind: Kind::Counter,
    unit: "recipients",
    labels: &["to"],
    meaning: "Recipients whose source address warms up or is listed, by what became of them: `other_source`, `smart_host`, `waits`.",
    healthy: "no `waits`",
    alert: "`waits` growing day by day: the addresses warm up too slowly for the mail there is",
};
pub(super) const SOURCE_LISTED: Metric = Metric {
    name: "pennypost_source_listed",
    kind: Kind::Gauge,
    unit: "yes or no",
    labels: &["source", "zone"],
    meaning: "1 for a source address that is on a list of bad senders (`delivery.dnsbl_zones`), else 0.",
    healthy: "0",
    alert: "1: find what sent spam, stop it, and ask the list's operator to take the address off",
};

/// What became of mail whose source may not send it now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Overflow {
    /// Another of its pool sends it.
    OtherSource,
    /// The smart host that takes such mail sends it.
    SmartHost,
    /// It waits.
    Waits,
}

static OVERFLOWED: LazyLock<Counters<Overflow>> = LazyLock::new(|| Counters::new(&OVERFLOW));

/// Counts recipients whose source may not send to them now.
pub fn overflow(to: Overflow, recipients: usize) {
    OVERFLOWED.add(to, recipients as u64, |to| {
        [SharedString::const_str(match to {
            Overflow::OtherSource => "other_source",
            Overflow::SmartHost => "smart_host",
            Overflow::Waits => "waits",
        })]
    });
}

/// Tells whether a list of bad senders has a source.
pub fn source_listed(source: IpAddr, zone: &str, is_listed: bool) {
    let labels = [SharedString::from(source.to_string()), SharedString::from(zone.to_owned())];
    labelled_gauge(&SOURCE_LISTED, labels).set(f64::from(u8::from(is_listed)));
}
