//! Logs, spans and metrics: all of them are declared here, so that an operator finds their meaning in one place.
//!
//! Answers: what is counted, what is healthy, how a log line looks, where traces go. Does not: decide what happens next.
//! A log line reads alone, a failure is logged once, where it is handled, and no line holds an address, a subject or a secret.

pub mod catalog;
pub mod certificates;
pub mod egress;
pub mod logs;
pub mod metrics;
pub mod otlp;
pub mod process;
pub mod recorder;
pub mod spans;

pub use logs::{Started, Verbosity, start};

/// Why logs or traces cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `telemetry.log_filter` is no filter.
    #[error("telemetry.log_filter {filter:?} is not a filter: {reason}\n  fix: write it like \"info\" or \"pennypost=debug,info\"")]
    Filter {
        /// What it is.
        filter: String,
        /// What is wrong.
        reason: String,
    },
    /// The exporter of traces cannot be made.
    #[error("traces cannot be exported to telemetry.otlp_endpoint: {0}\n  fix: write it like \"http://127.0.0.1:4318/v1/traces\"")]
    Exporter(String),
    /// Logs were set up before.
    #[error("logs were set up twice in one process")]
    Twice,
}
