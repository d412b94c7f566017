//! `pennypost queue`: what waits, and control over it. A running gateway sees a change within a second.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use super::context::Context;
use super::failure::Failure;
use super::output::table;
use crate::model::MessageId;
use crate::serve::House;

/// Show and control what waits
#[derive(Debug, Subcommand)]
pub enum QueueCommand {
    /// What waits, by recipient domain
    List,
    /// Mail hosts that are sent less than could be, and why
    Sites,
    /// Keep a message back until it is released
    Hold {
        /// The id, `msg_..`
        message: MessageId,
    },
    /// Let a held message go on
    Release {
        /// The id, `msg_..`
        message: MessageId,
    },
    /// Try a deferred message now
    Retry {
        /// The id, `msg_..`
        message: MessageId,
    },
    /// Take back what was not sent yet
    Cancel {
        /// The id, `msg_..`
        message: MessageId,
    },
}

/// Runs the command.
///
/// # Errors
/// The database cannot be used, or there is no such message.
pub async fn run(context: &Context, command: QueueCommand) -> anyhow::Result<ExitCode> {
    let config = context.load()?.config;
    let house = context.open(&config).await?;
    let ended = work(context, &house, command).await;
    house.close().await?;
    ended.map(|()| ExitCode::SUCCESS)
}

async fn work(context: &Context, house: &House, command: QueueCommand) -> anyhow::Result<()> {
    let (outbox, project) = (&house.outbox, house.project);
    match command {
        QueueCommand::List => {
            let lanes = outbox.queue(project).await?.iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>()?;
            let columns = [
                ("DOMAIN", "/domain"),
                ("QUEUED", "/queued"),
                ("ACTIVE", "/active"),
                ("HELD", "/held"),
                ("OLDEST", "/oldest_at"),
                ("NEXT ATTEMPT", "/next_at"),
            ];
            context.output.show(&json!({"data": lanes, "next_cursor": null}), || table(&columns, &lanes))
        }
        QueueCommand::Sites => {
            let sites = outbox.all_sites().await?.iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>()?;
            let columns = [
                ("SITE", "/name"),
                ("PROVIDER", "/provider"),
                ("STATE", "/state"),
                ("UNTIL", "/until"),
                ("SESSIONS", "/sessions"),
                ("A MINUTE", "/messages_per_minute"),
                ("REASON", "/reason"),
            ];
            context.output.show(&json!({"data": sites, "next_cursor": null}), || table(&columns, &sites))
        }
        QueueCommand::Hold { message } => tell(context, message, "held", outbox.hold(project, message).await?),
        QueueCommand::Release { message } => tell(context, message, "released", outbox.release(project, message).await?),
        QueueCommand::Retry { message } => tell(context, message, "due now", outbox.retry(project, message).await?),
        QueueCommand::Cancel { message } => tell(context, message, "cancelled", outbox.cancel(project, message).await?),
    }
}

/// Tells how many deliveries of a message were changed.
///
/// # Errors
/// There is no such message.
pub fn tell(context: &Context, message: MessageId, done: &str, changed: Option<u64>) -> anyhow::Result<()> {
    let Some(deliveries) = changed else { return Err(unknown(message).into()) };
    context.output.show(&json!({"id": message, "deliveries": deliveries}), || match deliveries {
        0 => format!("{message}: no delivery is in a state that this changes"),
        1 => format!("{message}: 1 delivery {done}"),
        more => format!("{message}: {more} deliveries {done}"),
    })
}

/// There is no such message.
#[must_use]
pub fn unknown(message: MessageId) -> Failure {
    Failure::new(format!("there is no message {message}"))
        .fix("`pennypost message list` shows the latest; old ones are removed after retention.message_days")
}
