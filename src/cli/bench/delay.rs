//! `pennypost bench delay`: a proxy that puts a long line between a program and a server on this machine.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use crate::cli::context::{Context, obey_signals};
use crate::cli::failure::Failure;
use crate::lab::delay;
use crate::supervisor::Supervisor;

/// Pass connections on, as slowly as if the server were far away
#[derive(Debug, Args)]
pub struct DelayArgs {
    /// Where it listens; port 0 takes any free one
    #[arg(long, default_value = "127.0.0.1:2526")]
    listen: SocketAddr,
    /// The server
    #[arg(long, default_value = "127.0.0.1:2525")]
    to: SocketAddr,
    /// Milliseconds that an octet takes there and its answer back
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 200)]
    round_trip_ms: u64,
}

/// Runs until a signal comes.
///
/// # Errors
/// The address cannot be listened on.
pub async fn run(context: &Context, args: DelayArgs) -> anyhow::Result<ExitCode> {
    let supervisor = Supervisor::default();
    obey_signals(&supervisor)?;
    let round_trip = Duration::from_millis(args.round_trip_ms);
    let server = delay::serve(args.listen, args.to, round_trip, &supervisor, &context.clock)
        .await
        .map_err(|error| Failure::new("--listen cannot be listened on").because(error))?;
    context.output.note(format!("{} is {} ms from {}", args.to, args.round_trip_ms, server.local_addr));
    context.output.note("ready");
    supervisor.draining().await;
    supervisor.kill();
    supervisor.ended().await;
    Ok(ExitCode::SUCCESS)
}
