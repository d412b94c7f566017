//! Log lines on stderr: for people on a terminal, JSON for machines.
//!
//! Answers: which lines are written and how they look. A thread of its own writes them, so that mail does not wait when nobody reads them; lines that
//! find no room meanwhile are dropped and counted (L9). Does not: rotate or send them; journald and container engines do.

use std::io::IsTerminal;
use std::sync::OnceLock;

use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::{EnvFilter, LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

use super::{TelemetryError, otlp};
use crate::config::{LogFormat, Telemetry};

/// What the command line asks for beyond the configuration.
#[derive(Clone, Copy, Debug, Default)]
pub struct Verbosity {
    /// `-v` once and more raises, `-q` lowers; zero leaves it to `telemetry.log_filter`.
    pub level: i8,
    /// Colours may be used (`--no-color` and `NO_COLOR` forbid them).
    pub color: bool,
}

type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Lines that wait for their reader at most: about a megabyte.
const MAX_WAITING_LINES: usize = 2048;

static DROPPED: OnceLock<ErrorCounter> = OnceLock::new();

/// Logs and traces that were set up. Dropping it writes the lines that wait, for about a second at most, and sends the traces.
#[derive(Debug)]
pub struct Started {
    traces: otlp::Traces,
    _lines: WorkerGuard,
}

impl Started {
    /// Sends the last traces. Blocks: call it from a thread that may.
    pub fn stop(&mut self) {
        self.traces.stop();
    }
}

/// Log lines dropped so far.
#[must_use]
pub fn dropped() -> u64 {
    DROPPED.get().map_or(0, |counter| u64::try_from(counter.dropped_lines()).unwrap_or(u64::MAX))
}

/// Sets logs up for the whole process, and traces where an endpoint is configured. Hold what it returns until the end.
///
/// # Errors
/// [`TelemetryError`] names the option that is wrong.
pub fn start(settings: &Telemetry, verbosity: Verbosity) -> Result<Started, TelemetryError> {
    let terminal = std::io::stderr().is_terminal();
    let filter = filter(settings, verbosity)?;
    let (writer, guard) =
        NonBlockingBuilder::default().lossy(true).buffered_lines_limit(MAX_WAITING_LINES).thread_name("log").finish(std::io::stderr());
    let counter = writer.error_counter();
    let lines: BoxedLayer = match settings.log_format {
        LogFormat::Json => json(writer).with_filter(filter).boxed(),
        LogFormat::Auto if !terminal => json(writer).with_filter(filter).boxed(),
        LogFormat::Human | LogFormat::Auto => {
            fmt::layer().with_writer(writer).with_target(false).with_ansi(terminal && verbosity.color).compact().with_filter(filter).boxed()
        }
    };
    let (traces, layer) = otlp::exporter(&settings.otlp_endpoint)?;
    // Spans are of level debug: they cost nothing unless traces are exported.
    let spans = Targets::new().with_target("pennypost", LevelFilter::DEBUG);
    let layers: Vec<BoxedLayer> = std::iter::once(lines).chain(layer.map(|layer| layer.with_filter(spans).boxed())).collect();
    Registry::default().with(layers).try_init().map_err(|_| TelemetryError::Twice)?;
    // Set once: a second start ends above.
    let _ = DROPPED.set(counter);
    Ok(Started { traces, _lines: guard })
}

fn json(writer: NonBlocking) -> impl Layer<Registry> + Send + Sync {
    fmt::layer().json().flatten_event(true).with_current_span(false).with_span_list(false).with_writer(writer)
}

fn filter(settings: &Telemetry, verbosity: Verbosity) -> Result<EnvFilter, TelemetryError> {
    let text = match verbosity.level {
        0 => settings.log_filter.as_str(),
        1 => "pennypost=debug,info",
        2.. => "pennypost=trace,debug",
        -1 => "warn",
        ..-1 => "error",
    };
    EnvFilter::builder().parse(text).map_err(|error| TelemetryError::Filter { filter: text.to_owned(), reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn a_filter_that_is_none_is_refused_with_the_option_named() {
        let settings = Telemetry { log_filter: "pennypost=loud".to_owned(), ..Config::default().telemetry };
        let error = filter(&settings, Verbosity::default()).expect_err("refused").to_string();
        assert!(error.contains("telemetry.log_filter \"pennypost=loud\""), "{error}");
    }

    #[test]
    fn flags_win_over_the_configured_filter() {
        let settings = Telemetry { log_filter: "pennypost=loud".to_owned(), ..Config::default().telemetry };
        let quiet = filter(&settings, Verbosity { level: -1, color: false }).unwrap();
        assert_eq!(quiet.max_level_hint(), Some(LevelFilter::WARN));
        let loud = filter(&settings, Verbosity { level: 2, color: false }).unwrap();
        assert_eq!(loud.max_level_hint(), Some(LevelFilter::TRACE));
    }
}
