//! Log lines on stderr: for people on a terminal, JSON for machines.
//!
//! Answers: which lines are written and how they look. Does not: rotate or send them; journald and container engines do.

use std::io::IsTerminal;

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

/// Sets logs up for the whole process, and traces where an endpoint is configured. Hold what it returns until the end: dropping it
/// flushes the traces.
///
/// # Errors
/// [`TelemetryError`] names the option that is wrong.
pub fn start(settings: &Telemetry, verbosity: Verbosity) -> Result<otlp::Traces, TelemetryError> {
    let terminal = std::io::stderr().is_terminal();
    let filter = filter(settings, verbosity)?;
    let lines: BoxedLayer = match settings.log_format {
        LogFormat::Json => json().with_filter(filter).boxed(),
        LogFormat::Auto if !terminal => json().with_filter(filter).boxed(),
        LogFormat::Human | LogFormat::Auto => {
            fmt::layer().with_writer(std::io::stderr).with_target(false).with_ansi(terminal && verbosity.color).compact().with_filter(filter).boxed()
        }
    };
    let (traces, layer) = otlp::exporter(&settings.otlp_endpoint)?;
    // Spans are of level debug: they cost nothing unless traces are exported.
    let spans = Targets::new().with_target("pennypost", LevelFilter::DEBUG);
    let layers: Vec<BoxedLayer> = std::iter::once(lines).chain(layer.map(|layer| layer.with_filter(spans).boxed())).collect();
    Registry::default().with(layers).try_init().map_err(|_| TelemetryError::Twice)?;
    Ok(traces)
}

fn json() -> impl Layer<Registry> + Send + Sync {
    fmt::layer().json().flatten_event(true).with_current_span(false).with_span_list(false).with_writer(std::io::stderr)
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
