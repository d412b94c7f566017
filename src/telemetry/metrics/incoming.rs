//! Counting mail from the world, as [`super`] does.

use std::sync::LazyLock;

use metrics::SharedString;

use crate::telemetry::catalog;
use crate::telemetry::recorder::Counters;

static INCOMING: LazyLock<Counters<&'static str>> = LazyLock::new(|| Counters::new(&catalog::inbound::INCOMING));

static AUTHENTICATED: LazyLock<Counters<(&'static str, &'static str)>> = LazyLock::new(|| Counters::new(&catalog::inbound::AUTHENTICATED));
static FORWARDED: LazyLock<Counters<&'static str>> = LazyLock::new(|| Counters::new(&catalog::inbound::FORWARDED));
static GIVEN_BACK: LazyLock<Counters<&'static str>> = LazyLock::new(|| Counters::new(&catalog::inbound::GIVEN_BACK));

/// Counts a message from the world by the result of DMARC, and whether it was taken or refused for it.
pub fn authenticated(dmarc: &'static str, result: &'static str) {
    AUTHENTICATED.add((dmarc, result), 1, |(dmarc, result)| [SharedString::const_str(dmarc), SharedString::const_str(result)]);
}

/// Counts what became of a message that is forwarded, for one target.
pub fn forwarded(result: &'static str) {
    FORWARDED.add(result, 1, |result| [SharedString::const_str(result)]);
}

/// Counts what became of a report that a sender of forwarded mail was owed.
pub fn given_back(result: &'static str) {
    GIVEN_BACK.add(result, 1, |result| [SharedString::const_str(result)]);
}

/// Counts what became of mail from the world at one address.
pub fn incoming(result: &'static str) {
    INCOMING.add(result, 1, |result| [SharedString::const_str(result)]);
}

static WEBHOOKS: LazyLock<Counters<&'static str>> = LazyLock::new(|| Counters::new(&catalog::inbound::WEBHOOKS));

/// Counts how an attempt to tell an endpoint something ended.
pub fn webhook(result: &'static str) {
    WEBHOOKS.add(result, 1, |result| [SharedString::const_str(result)]);
}
