//! `pennypost bench submit`: many messages by SMTP submission, how fast and how long each took.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::load::prose;
use crate::cli::context::{Context, obey_signals};
use crate::cli::failure::Failure;
use crate::cli::times::parse_duration;
use crate::lab::load::{LoadReport, Until};
use crate::lab::submit::{Begin, SubmitSettings, run as generate};
use crate::model::Secret;
use crate::supervisor::Supervisor;

/// Submit messages by SMTP, within TLS and signed in, and tell rate and latency
#[derive(Clone, Debug, Args)]
pub struct SubmitArgs {
    /// Where the server listens
    #[arg(long, default_value = "127.0.0.1:465")]
    target: SocketAddr,
    /// Begin in the clear, then STARTTLS
    #[arg(long)]
    starttls: bool,
    /// The user name
    #[arg(long, default_value = "bench@example.com")]
    user: String,
    /// Sessions, each with one message at a time
    #[arg(long, default_value_t = 20)]
    sessions: usize,
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
    /// The recipient
    #[arg(long, default_value = "sink@example.net")]
    to: String,
}

/// Runs the command; exit code 1 if a message was not accepted.
///
/// # Errors
/// There is no password.
pub async fn run(context: &Context, args: SubmitArgs) -> anyhow::Result<ExitCode> {
    let Some(password) = std::env::var("PENNYPOST_SMTP_PASSWORD").ok().filter(|password| !password.is_empty()) else {
        return Err(Failure::usage("a password is needed").fix("set PENNYPOST_SMTP_PASSWORD; `pennypost smtp-user add` makes one").into());
    };
    let until = match (args.messages, args.seconds) {
        (Some(messages), _) => Until::Requests(messages),
        (None, seconds) => Until::Elapsed(seconds.unwrap_or(Duration::from_secs(10))),
    };
    let settings = SubmitSettings {
        target: args.target,
        tls: if args.starttls { Begin::StartTls } else { Begin::Implicit },
        user: args.user.clone(),
        password: Secret::new(password),
        content: content(&args),
        from: args.from.clone(),
        to: args.to.clone(),
        sessions: args.sessions,
        until,
    };
    let supervisor = Supervisor::default();
    obey_signals(&supervisor)?;
    let report = generate(settings, &supervisor, &context.clock).await;
    let millis = |permille: u64| report.latency.quantile(permille).as_secs_f64() * 1000.0;
    let shown = json!({
        "sessions": args.sessions, "octets": args.size, "accepted": report.statuses.get(&250).copied().unwrap_or(0), "failed": report.failed,
        "first_failure": report.first_failure, "statuses": report.statuses, "seconds": report.elapsed.as_secs_f64(), "per_second": report.rate(),
        "p50_ms": millis(500), "p95_ms": millis(950), "p99_ms": millis(990), "max_ms": report.latency.max().as_secs_f64() * 1000.0,
    });
    context.output.show(&shown, || text(&report))?;
    let all = report.failed == 0 && report.statuses.keys().eq([&250]);
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A message of the wanted size. It names neither Date nor Message-ID, as most programs that submit do not.
fn content(args: &SubmitArgs) -> String {
    let text = prose(args.size).replace('\n', "\r\n");
    format!("From: {}\r\nTo: {}\r\nSubject: Bench\r\n\r\n{text}\r\n", args.from, args.to)
}

fn text(report: &LoadReport) -> String {
    let statuses = report.statuses.iter().map(|(status, count)| format!("{count} x {status}")).collect::<Vec<_>>().join(", ");
    let failed = report.first_failure.as_ref().map(|why| format!("\n{} messages had no answer: {why}", report.failed)).unwrap_or_default();
    let seconds = report.elapsed.as_secs_f64();
    format!("{:.0} messages/s accepted in {seconds:.1} s ({statuses}){failed}", report.rate())
}
