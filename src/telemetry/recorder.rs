//! Keeps the figures that [`super::metrics`] counts and prints them in the Prometheus text format 0.0.4.
//!
//! Answers: how a declaration becomes a counter, gauge or histogram. It is one per process and needs no set-up, so a figure counted before
//! anybody asked for `/metrics` is not lost. Does not: know what a metric means.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::LazyLock;

use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder, SharedString};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusRecorder};
use parking_lot::RwLock;

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution, with the upper bounds of its buckets.
    Histogram(&'static [f64]),
}

/// The declaration of one metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// `pennypost_…`
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// What is counted.
    pub unit: &'static str,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it tells.
    pub meaning: &'static str,
    /// What is healthy.
    pub healthy: &'static str,
    /// What deserves waking somebody up; empty: nothing.
    pub alert: &'static str,
}

const METADATA: Metadata<'static> = Metadata::new("pennypost", Level::INFO, None);

static RECORDER: LazyLock<PrometheusRecorder> = LazyLock::new(|| {
    let mut builder = PrometheusBuilder::new();
    for metric in super::catalog::ALL {
        if let Kind::Histogram(bounds) = metric.kind {
            let name = Matcher::Full(metric.name.to_owned());
            builder = builder.set_buckets_for_metric(name, bounds).unwrap_or_else(|_| PrometheusBuilder::new());
        }
    }
    let recorder = builder.build_recorder();
    for metric in super::catalog::ALL {
        let (name, text) = (metric.name.into(), SharedString::const_str(metric.meaning));
        match metric.kind {
            Kind::Counter => recorder.describe_counter(name, None, text),
            Kind::Gauge => recorder.describe_gauge(name, None, text),
            Kind::Histogram(_) => recorder.describe_histogram(name, None, text),
        }
    }
    recorder
});

/// All figures as Prometheus reads them.
#[must_use]
pub fn render() -> String {
    RECORDER.handle().render()
}

/// Folds recorded values into their buckets. Call it every few seconds, else histograms grow in memory until the next `/metrics`.
pub fn upkeep() {
    RECORDER.handle().run_upkeep();
}

pub(super) fn counter(metric: &'static Metric) -> Counter {
    RECORDER.register_counter(&Key::from_static_name(metric.name), &METADATA)
}

pub(super) fn gauge(metric: &'static Metric) -> Gauge {
    RECORDER.register_gauge(&Key::from_static_name(metric.name), &METADATA)
}

pub(super) fn histogram(metric: &'static Metric) -> Histogram {
    RECORDER.register_histogram(&Key::from_static_name(metric.name), &METADATA)
}

/// The counters of one metric by the values of its labels; a known combination costs one look-up.
pub(super) struct Counters<K> {
    metric: &'static Metric,
    known: RwLock<HashMap<K, Counter>>,
}

impl<K: Eq + Hash> Counters<K> {
    pub(super) fn new(metric: &'static Metric) -> Self {
        Self { metric, known: RwLock::new(HashMap::new()) }
    }

    /// Adds `amount` to the counter of `key`, whose label values `values` gives in the order of the declaration.
    pub(super) fn add<const N: usize>(&self, key: K, amount: u64, values: impl FnOnce(&K) -> [SharedString; N]) {
        if let Some(counter) = self.known.read().get(&key) {
            return counter.increment(amount);
        }
        let values = values(&key);
        let counter = RECORDER.register_counter(&key_of(self.metric, values), &METADATA);
        counter.increment(amount);
        self.known.write().insert(key, counter);
    }
}

pub(super) fn labelled_histogram(metric: &'static Metric, value: SharedString) -> Histogram {
    RECORDER.register_histogram(&key_of(metric, [value]), &METADATA)
}

pub(super) fn labelled_gauge<const N: usize>(metric: &'static Metric, values: [SharedString; N]) -> Gauge {
    RECORDER.register_gauge(&key_of(metric, values), &METADATA)
}

fn key_of<const N: usize>(metric: &'static Metric, values: [SharedString; N]) -> Key {
    let labels = metric.labels.iter().zip(values).map(|(name, value)| Label::new(*name, value)).collect::<Vec<_>>();
    Key::from_parts(metric.name, labels)
}
