//! `pennypost bench`: the load generator, the SMTP sink and the long line that measurements are made with.
//!
//! `scripts/bench.sh` puts them together, beside peers, and prints the table. Does not: start a gateway.

pub mod delay;
pub mod load;
pub mod sink;
pub mod submit;
pub mod throttle;

use std::process::ExitCode;

use clap::Subcommand;

use super::context::Context;

/// Measure: a load generator, an SMTP sink, a long line
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Post messages to a running gateway and tell rate and latency
    Load(load::LoadArgs),
    /// Submit messages by SMTP, within TLS and signed in, and tell rate and latency
    Submit(submit::SubmitArgs),
    /// Take mail by SMTP and count it; greylist, refuse, be slow or drop on demand
    Sink(sink::SinkArgs),
    /// Pass connections on, as slowly as if the server were far away
    Delay(delay::DelayArgs),
    /// Simulate providers with limits: how near the throttle settles, and how often it is refused
    Throttle,
}

/// Runs the command.
///
/// # Errors
/// As its own.
pub async fn run(context: &Context, command: BenchCommand) -> anyhow::Result<ExitCode> {
    match command {
        BenchCommand::Load(args) => load::run(context, args).await,
        BenchCommand::Submit(args) => submit::run(context, args).await,
        BenchCommand::Sink(args) => sink::run(context, args).await,
        BenchCommand::Delay(args) => delay::run(context, args).await,
        BenchCommand::Throttle => throttle::run(context),
    }
}
