//! `pennypost serve`: runs the gateway until it is asked to stop.

use std::process::ExitCode;

use clap::Args;

use super::context::{Context, obey_signals};
use super::failure::Failure;
use crate::config::{ConfigError, check};
use crate::serve::{self, Roles, Sockets};
use crate::supervisor::Supervisor;

/// Run the gateway; SIGTERM lets open sessions end, a second one stops at once
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// What this process does, as in api,deliver,smtp,worker; all unless named
    #[arg(long = "role", value_name = "ROLES")]
    roles: Option<Roles>,
}

/// Runs the command.
///
/// # Errors
/// The configuration is not fit for serving, the database cannot be used, or an address cannot be listened on.
pub async fn run(context: &Context, args: ServeArgs) -> anyhow::Result<ExitCode> {
    let config = context.load()?.config;
    if let Some(problem) = check::missing_for_serving(&config) {
        return Err(ConfigError::Wrong(vec![problem]).into());
    }
    let mut telemetry = context.start_telemetry(&config)?;
    let supervisor = Supervisor::default();
    obey_signals(&supervisor)?;
    let sockets = Sockets::inherited().map_err(|error| Failure::usage(error.to_string()))?;
    let started = Box::pin(serve::run_on(config, args.roles.unwrap_or(Roles::ALL), supervisor, context.clock.clone(), sockets)).await;
    let running = started.map_err(|error| Failure::new("the gateway could not be started").because(error))?;
    running.announce();
    let ended = running.wait().await;
    // The last traces are sent by blocking calls, which need a thread of their own.
    let _ = tokio::task::spawn_blocking(move || telemetry.stop()).await;
    ended.map(|()| ExitCode::SUCCESS)
}
