//! `pennypost openapi`: the description of the API, as `openapi/pennypost.json` keeps it.

use std::process::ExitCode;

use clap::Args;

use super::context::Context;
use crate::serve;

/// Print the OpenAPI document
#[derive(Debug, Args)]
pub struct OpenapiArgs {}

/// Runs the command.
///
/// # Errors
/// The document cannot be written as JSON.
pub fn run(context: &Context, OpenapiArgs {}: OpenapiArgs) -> anyhow::Result<ExitCode> {
    context.output.document(&serve::openapi())?;
    Ok(ExitCode::SUCCESS)
}
