//! `pennypost bench load`: many requests to `POST /v1/send`, how fast and how long each took.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use crate::cli::context::{Context, obey_signals};
use crate::cli::failure::Failure;
use crate::cli::times::parse_duration;
use crate::lab::load::{DOMAIN, LoadReport, LoadSettings, NUMBER, Until, run as generate};
use crate::model::Secret;
use crate::supervisor::Supervisor;

/// Post messages to a running gateway and tell rate and latency
#[derive(Clone, Debug, Args)]
pub struct LoadArgs {
    /// Where the gateway listens
    #[arg(long, default_value = "127.0.0.1:8080")]
    target: SocketAddr,
    /// The API key; better as PENNYPOST_KEY in the environment
    #[arg(long)]
    key: Option<String>,
    /// Connections, each with one request at a time
    #[arg(long, default_value_t = 64)]
    clients: usize,
    /// Messages in all
    #[arg(long, conflicts_with = "seconds")]
    messages: Option<u64>,
    /// Or how long
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    seconds: Option<Duration>,
    /// Octets of the text of each message
    #[arg(long, default_value_t = 4096)]
    size: usize,
    /// The sender
    #[arg(long, default_value = "bench@example.com")]
    from: String,
    /// The recipient; `{domain}` in it goes round --domains numbers
    #[arg(long, default_value = "sink@example.net")]
    to: String,
    /// Recipients of each message: the local part gets a number when there is more than one
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1000))]
    recipients: u64,
    /// Print the body of one request and post nothing
    #[arg(long)]
    show: bool,
    /// How many domains
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    domains: u64,
}

/// Runs the command; exit code 1 if a request was not accepted.
///
/// # Errors
/// There is no key, or nothing answers.
pub async fn run(context: &Context, args: LoadArgs) -> anyhow::Result<ExitCode> {
    if args.show {
        context.output.document(&serde_json::from_str::<Value>(&body(&args))?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let Some(key) = args.key.clone().or_else(|| std::env::var("PENNYPOST_KEY").ok()).filter(|key| !key.is_empty()) else {
        return Err(Failure::usage("an API key is needed").fix("set PENNYPOST_KEY; `pennypost key create` makes one").into());
    };
    let until = match (args.messages, args.seconds) {
        (Some(messages), _) => Until::Requests(messages),
        (None, seconds) => Until::Elapsed(seconds.unwrap_or(Duration::from_secs(10))),
    };
    let settings = LoadSettings {
        target: args.target,
        path: "/v1/send".to_owned(),
        key: Secret::new(key),
        body: body(&args),
        domains: args.domains,
        connections: args.clients,
        until,
    };
    let supervisor = Supervisor::default();
    obey_signals(&supervisor)?;
    let report = generate(settings, &supervisor, &context.clock).await;
    let shown = document(&args, &report);
    context.output.show(&shown, || text(&report))?;
    let all = report.failed == 0 && report.statuses.keys().all(|status| (200..300).contains(status));
    Ok(if all && report.accepted() > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A message of the wanted size, with a number in it that makes it differ from all others.
fn body(args: &LoadArgs) -> String {
    let text = prose(args.size);
    let to = args.to.replace("{domain}", DOMAIN);
    let to = match args.recipients {
        1 => json!(to),
        more => (0..more).map(|number| format!("{number}.{to}")).collect(),
    };
    json!({"from": args.from, "to": to, "subject": format!("Bench {NUMBER}"), "text": text}).to_string()
}

/// Text that compresses about as well as letters do, the same in every run: lines of words out of a vocabulary of made-up ones.
pub(super) fn prose(octets: usize) -> String {
    const SYLLABLES: [&str; 16] = ["ba", "con", "di", "en", "for", "ga", "hi", "in", "lo", "men", "no", "per", "ra", "sta", "ti", "ver"];
    // xorshift64, enough to make text.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below).unwrap_or(0)
    };
    let mut word = || (0..=next(3)).filter_map(|_| SYLLABLES.get(next(16)).copied()).collect::<String>();
    let vocabulary = (0..600).map(|_| word()).collect::<Vec<_>>();
    let mut text = String::with_capacity(octets + 16);
    let mut line = 0;
    while text.len() < octets {
        let chosen = vocabulary.get(next(600)).map_or("", String::as_str);
        line += chosen.len() + 1;
        text.push_str(chosen);
        text.push(if line > 70 { '\n' } else { ' ' });
        line = if line > 70 { 0 } else { line };
    }
    text.truncate(octets);
    text
}

fn document(args: &LoadArgs, report: &LoadReport) -> Value {
    let millis = |permille: u64| report.latency.quantile(permille).as_secs_f64() * 1000.0;
    json!({
        "clients": args.clients, "octets": args.size, "accepted": report.accepted(), "failed": report.failed, "first_failure": report.first_failure,
        "statuses": report.statuses, "seconds": report.elapsed.as_secs_f64(), "per_second": report.rate(),
        "p50_ms": millis(500), "p95_ms": millis(950), "p99_ms": millis(990), "max_ms": report.latency.max().as_secs_f64() * 1000.0,
    })
}

fn text(report: &LoadReport) -> String {
    let millis = |permille: u64| report.latency.quantile(permille).as_secs_f64() * 1000.0;
    let statuses = report.statuses.iter().map(|(status, count)| format!("{count} x {status}")).collect::<Vec<_>>().join(", ");
    let failed = report.first_failure.as_ref().map(|why| format!("\n{} requests had no answer: {why}", report.failed)).unwrap_or_default();
    format!(
        "{:.0} messages/s accepted in {:.1} s ({statuses})\nlatency p50 {:.1} ms, p95 {:.1} ms, p99 {:.1} ms, max {:.1} ms{failed}",
        report.rate(),
        report.elapsed.as_secs_f64(),
        millis(500),
        millis(950),
        millis(990),
        report.latency.max().as_secs_f64() * 1000.0
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_is_json_of_the_size_asked_for() {
        let args = LoadArgs {
            target: ([127, 0, 0, 1], 1).into(),
            key: None,
            clients: 1,
            messages: None,
            seconds: None,
            size: 50_000,
            from: "a@b.example".to_owned(),
            to: "x@d{domain}.example".to_owned(),
            recipients: 1,
            show: false,
            domains: 3,
        };
        let many = serde_json::from_str::<Value>(&body(&LoadArgs { recipients: 50, ..args.clone() })).unwrap();
        assert_eq!(many.get("to").and_then(Value::as_array).map(Vec::len), Some(50));
        let body = serde_json::from_str::<Value>(&body(&args)).unwrap();
        assert_eq!(body.get("text").and_then(Value::as_str).map(str::len), Some(50_000));
        assert_eq!(body.get("to").and_then(Value::as_str), Some(format!("x@d{DOMAIN}.example").as_str()));
    }
}
