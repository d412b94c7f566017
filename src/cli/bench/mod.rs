//! `pennypost bench`: the load generator and the SMTP sink that measurements are made with.
//!
//! `scripts/bench.sh` puts them together, beside peers, and prints the table. Does not: start a gateway.

pub mod load;
pub mod sink;

use std::process::ExitCode;

use clap::Subcommand;

use super::context::Context;

/// Measure: a load generator and an SMTP sink
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Post messages to a running gateway and tell rate and latency
    Load(load::LoadArgs),
    /// Take mail by SMTP and count it; greylist, refuse, be slow or drop on demand
    Sink(sink::SinkArgs),
}

/// Runs the command.
///
/// # Errors
/// As its own.
pub async fn run(context: &Context, command: BenchCommand) -> anyhow::Result<ExitCode> {
    match command {
        BenchCommand::Load(args) => load::run(context, args).await,
        BenchCommand::Sink(args) => sink::run(context, args).await,
    }
}
