//! `pennypost incoming`: mail from the world that routes keep.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::{Value, json};

use super::context::Context;
use super::failure::Failure;
use super::output::{printable, table};
use crate::incoming::{IncomingFilter, IncomingView};
use crate::model::page::PageRequest;
use crate::model::{EmailAddress, IncomingId};
use crate::serve::House;

/// Show mail from the world that was kept
#[derive(Debug, Subcommand)]
pub enum IncomingCommand {
    /// List the latest messages
    List {
        /// Only what came to this address
        #[arg(long)]
        recipient: Option<EmailAddress>,
        /// How many, 1 to 100
        #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u16).range(1..=100))]
        limit: u16,
    },
    /// Show one message, taken apart
    Show {
        /// The id, inc_..
        message: IncomingId,
    },
    /// Print the bytes as they came, with the fields that were put before them
    Raw {
        /// The id, inc_..
        message: IncomingId,
    },
    /// Delete a message
    Remove {
        /// The id, inc_..
        message: IncomingId,
    },
}

/// Runs the command.
///
/// # Errors
/// The database cannot be used, or there is no such message.
pub async fn run(context: &Context, command: IncomingCommand) -> anyhow::Result<ExitCode> {
    let config = context.load()?.config;
    let house = context.open(&config).await?;
    let ended = work(context, &house, command).await;
    house.close().await?;
    ended.map(|()| ExitCode::SUCCESS)
}

async fn work(context: &Context, house: &House, command: IncomingCommand) -> anyhow::Result<()> {
    match command {
        IncomingCommand::List { recipient, limit } => {
            let filter = IncomingFilter { recipient, route: None };
            let found = house.incoming.list(house.project, &filter, PageRequest { limit, after: None }).await?;
            let shown = found.data.iter().map(serde_json::to_value).collect::<Result<Vec<Value>, _>>()?;
            let columns = [("ID", "/id"), ("RECEIVED", "/received_at"), ("RECIPIENT", "/recipient"), ("FROM", "/from"), ("SUBJECT", "/subject")];
            context.output.show(&json!({"data": shown, "next_cursor": found.next_cursor}), || table(&columns, &shown))
        }
        IncomingCommand::Show { message } => {
            let found = house.incoming.get(house.project, message).await?.ok_or_else(|| missing(message))?;
            context.output.show(&found, || description(&found))
        }
        IncomingCommand::Raw { message } => {
            let octets = house.incoming.raw(house.project, message).await?.ok_or_else(|| missing(message))?;
            // A closed pipe ends the printing and not the command.
            let _ = std::io::stdout().write_all(&octets);
            Ok(())
        }
        IncomingCommand::Remove { message } => {
            if !house.incoming.remove(house.project, message).await? {
                return Err(missing(message).into());
            }
            house.audit.note(house.project, &context.actor(), "incoming.delete", json!({"id": message})).await?;
            context.output.show(&json!({"id": message, "removed": true}), || format!("{message} is deleted"))
        }
    }
}

fn missing(message: IncomingId) -> Failure {
    Failure::new(format!("there is no message {message}")).fix("`pennypost incoming list` shows the latest")
}

/// What a reader wants to see first. Controls that a stranger's mail brings along reach no terminal.
fn description(view: &IncomingView) -> String {
    let results = &view.authentication;
    let word = |result: &Option<String>| result.clone().unwrap_or_else(|| "not checked".to_owned());
    let mut lines = vec![
        format!("{}  {}", view.id, view.received_at),
        format!("to        {}", view.recipient),
        format!("from      {} (MAIL FROM <{}>)", view.from, view.reverse_path),
        format!("brought   by {} ({}), {}", view.peer.helo, view.peer.address, view.peer.tls.as_deref().unwrap_or("in the clear")),
        format!("checked   SPF {}, DKIM {}, DMARC {}", word(&results.spf), word(&results.dkim), word(&results.dmarc)),
        format!("subject   {}", view.subject),
    ];
    if let Some(content) = &view.content {
        for file in &content.attachments {
            lines.push(format!("file      {} ({}, {} octets)", file.filename.as_deref().unwrap_or("without a name"), file.content_type, file.size));
        }
        lines.push(format!("\n{}", content.text.as_deref().unwrap_or("(no text)")));
    }
    lines.join("\n").lines().map(|line| printable(line.to_owned())).collect::<Vec<_>>().join("\n")
}
