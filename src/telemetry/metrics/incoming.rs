//! Counting mail from the world, as [`super`] does.

use std::sync::LazyLock;

use metrics::SharedString;

use crate::telemetry::catalog;
use crate::telemetry::recorder::Counters;

static INCOMING: LazyLock<Counters<&'static str>> = LazyLock::new(|| Counters::new(&catalog::inbound::INCOMING));

/// Counts what became of mail from the world at one address.
pub fn incoming(result: &'static str) {
    INCOMING.add(result, 1, |result| [SharedString::const_str(result)]);
}

static WEBHOOKS: LazyLock<Counters<&'static str>> = LazyLock::new(|| Counters::new(&catalog::inbound::WEBHOOKS));

/// Counts how an attempt to tell an endpoint something ended.
pub fn webhook(result: &'static str) {
    WEBHOOKS.add(result, 1, |result| [SharedString::const_str(result)]);
}
