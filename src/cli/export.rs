//! `pennypost export`: the configuration in the database as text, fit for git.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::context::Context;
use super::failure::Failure;
use crate::model::Secret;
use crate::portable::{Rooms, export, vault};
use crate::serve::House;

/// Write projects, domains, keys, SMTP users and routes to standard output as text; secrets are left out unless a passphrase seals them
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Seal secrets under the passphrase in this file, which nobody else may read
    #[arg(long, value_name = "FILE")]
    secrets_passphrase_file: Option<PathBuf>,
    /// Write the suppression lists too
    #[arg(long)]
    suppressions: bool,
}

/// What `portable` reads and writes.
pub(super) fn rooms(context: &Context, house: &House) -> Rooms {
    Rooms {
        store: house.store.clone(),
        clock: context.clock.clone(),
        access: house.access.clone(),
        smtp_users: house.smtp_users.clone(),
        domains: house.domains.clone(),
        routes: house.routes.clone(),
        webhooks: house.webhooks.clone(),
        suppressions: house.suppressions.clone(),
    }
}

/// The passphrase in a file, if one is named.
pub(super) fn passphrase(file: Option<&PathBuf>) -> anyhow::Result<Option<Secret<String>>> {
    let read = file.map(|file| vault::read_passphrase(file)).transpose();
    read.map_err(|error| Failure::usage(error.to_string()).into())
}

/// Runs the command.
///
/// # Errors
/// The passphrase or the database cannot be used.
pub async fn run(context: &Context, args: ExportArgs) -> anyhow::Result<ExitCode> {
    let config = context.load()?.config;
    let passphrase = passphrase(args.secrets_passphrase_file.as_ref())?;
    let house = context.open(&config).await?;
    let ended = work(context, &house, passphrase, args.suppressions).await;
    house.close().await?;
    ended.map(|()| ExitCode::SUCCESS)
}

async fn work(context: &Context, house: &House, passphrase: Option<Secret<String>>, suppressions: bool) -> anyhow::Result<()> {
    let sealed = passphrase.is_some();
    let document = export(&rooms(context, house), passphrase, suppressions).await?;
    house.audit.note(house.project, &context.actor(), "config.export", json!({"secrets": sealed, "suppressions": suppressions})).await?;
    let text = export::text(&document)?;
    context.output.show(&document, || text)
}
