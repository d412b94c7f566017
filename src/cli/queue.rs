//! `pennypost queue`: what waits, and control over it. A running gateway sees a change within a second.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use super::context::Context;
use super::failure::Failure;
use super::output::table;
use crate::config::Config;
use crate::model::MessageId;
use crate::serve::House;

/// Show and control what waits
#[derive(Debug, Subcommand)]
pub enum QueueCommand {
    /// What waits, by recipient domain
    List,
    /// Mail hosts that are sent less than could be, and why
    Sites,
    /// Source addresses: how they stand, what they sent today
    Egress,
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
    let ended = work(context, &config, &house, command).await;
    house.close().await?;
    ended.map(|()| ExitCode::SUCCESS)
}

async fn work(context: &Context, config: &Config, house: &House, command: QueueCommand) -> anyhow::Result<()> {
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
        QueueCommand::Egress => egress(context, config, house).await,
        QueueCommand::Hold { message } => tell(context, message, "held", outbox.hold(project, message).await?),
        QueueCommand::Release { message } => tell(context, message, "released", outbox.release(project, message).await?),
        QueueCommand::Retry { message } => tell(context, message, "due now", outbox.retry(project, message).await?),
        QueueCommand::Cancel { message } => tell(context, message, "cancelled", outbox.cancel(project, message).await?),
    }
}

async fn egress(context: &Context, config: &Config, house: &House) -> anyhow::Result<()> {
    let sources = house.outbox.sources(&config.delivery, &config.server.hostname).await?;
    let rows = sources.iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>()?;
    let lines = || {
        let shown = sources.iter().zip(&rows).map(|(source, row)| {
            let ceilings = source.warm_up.iter().map(|of| {
                let provider = of.provider.as_deref().unwrap_or("each other");
                of.sent.map_or_else(|| format!("{provider} 0/{}", of.ceiling), |sent| format!("{provider} {sent}/{}", of.ceiling))
            });
            let mut row = row.clone();
            if let Some(fields) = row.as_object_mut() {
                fields.insert("today".to_owned(), ceilings.collect::<Vec<_>>().join(", ").into());
            }
            row
        });
        let columns = [
            ("SOURCE", "/address"),
            ("POOL", "/pool"),
            ("NAME", "/ehlo_name"),
            ("WEIGHT", "/weight"),
            ("STATE", "/state"),
            ("PAUSED", "/paused"),
            ("TODAY", "/today"),
            ("REASON", "/reason"),
        ];
        table(&columns, &shown.collect::<Vec<_>>())
    };
    context.output.show(&json!({"data": rows, "next_cursor": null}), lines)
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
