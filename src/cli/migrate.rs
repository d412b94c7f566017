//! `pennypost migrate`: the schema of the database.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::context::Context;
use super::failure::Failure;
use crate::serve::open_store;
use crate::store::{Store, StoreError};

/// Bring the database up to date
#[derive(Debug, Args)]
pub struct MigrateArgs {
    /// Change nothing; exit code 1 if something is pending
    #[arg(long)]
    check: bool,
}

/// Runs the command.
///
/// # Errors
/// The database cannot be used.
pub async fn run(context: &Context, args: MigrateArgs) -> anyhow::Result<ExitCode> {
    let config = context.load()?.config;
    let opened = open_store(&config, &context.clock).await;
    let (store, postgres) = opened.map_err(|error| Failure::new("the database could not be opened").fix("check [database]").because(error))?;
    let ended = work(&store, args.check).await;
    store.close().await;
    if let Some(postgres) = postgres {
        postgres.stop().await;
    }
    let pending = ended?;
    let left = if args.check { pending.clone() } else { Vec::new() };
    let applied = pending.len() - left.len();
    context.output.show(&json!({"applied": applied, "pending": left}), || match (pending.is_empty(), args.check) {
        (true, _) => "the schema is up to date".to_owned(),
        (false, true) => format!("pending:\n{}", pending.join("\n")),
        (false, false) => format!("applied:\n{}", pending.join("\n")),
    })?;
    Ok(if left.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Applies what is pending unless only asked for; returns what was.
async fn work(store: &Store, check: bool) -> Result<Vec<String>, StoreError> {
    let pending = store.pending_migrations().await?;
    if !check {
        store.migrate().await?;
    }
    Ok(pending)
}
