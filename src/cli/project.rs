//! `pennypost project`: the switches of the project.

use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};
use serde_json::json;

use super::context::Context;
use crate::serve::House;

/// Show and set the switches of the project
#[derive(Debug, Subcommand)]
pub enum ProjectCommand {
    /// Show the switches
    Show,
    /// Set switches
    Set {
        /// One transaction for each recipient, so that every bounce names its delivery
        #[arg(long, value_enum, value_name = "ON|OFF")]
        strict_verp: Switch,
    },
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// Yes
    On,
    /// No
    Off,
}

/// Runs the command.
///
/// # Errors
/// The database cannot be used.
pub async fn run(context: &Context, command: ProjectCommand) -> anyhow::Result<ExitCode> {
    let config = context.load()?.config;
    let house = context.open(&config).await?;
    let ended = work(context, &house, command).await;
    house.close().await?;
    ended.map(|()| ExitCode::SUCCESS)
}

async fn work(context: &Context, house: &House, command: ProjectCommand) -> anyhow::Result<()> {
    if let ProjectCommand::Set { strict_verp } = command {
        house.domains.set_strict_verp(house.project, strict_verp == Switch::On).await?;
    }
    let strict = house.domains.strict_verp(house.project).await?;
    let shown = json!({"id": house.project, "strict_verp": strict});
    context.output.show(&shown, || format!("{}\nstrict VERP: {}", house.project, if strict { "on" } else { "off" }))
}
