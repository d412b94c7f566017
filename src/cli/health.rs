//! `pennypost health`: asks a running gateway whether it is well; for container engines and service managers.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::client::ApiClient;
use super::context::Context;
use super::failure::Failure;
use super::send::base_url;

/// Ask the running gateway whether it is ready; exit code 1 if not
#[derive(Debug, Args)]
pub struct HealthArgs {
    /// Where it is; else where the configuration says it listens
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Ask only whether the process answers, not whether its database does
    #[arg(long)]
    live: bool,
}

/// Runs the command.
///
/// # Errors
/// The gateway does not answer, or is not ready.
pub async fn run(context: &Context, args: HealthArgs) -> anyhow::Result<ExitCode> {
    let config = context.load()?.config;
    let client = ApiClient::new(&args.url.unwrap_or_else(|| base_url(&config)), None, &context.clock)?;
    let path = if args.live { "/healthz" } else { "/readyz" };
    let answer = client.get(path).await?;
    if answer.status != 200 {
        return Err(Failure::new(format!("the gateway is not ready: {path} answered {}", answer.status)).fix("its log says why").into());
    }
    context.output.show(&json!({"ok": true}), || "ok".to_owned())?;
    Ok(ExitCode::SUCCESS)
}
