//! `pennypost audit`: who changed what, by key or at the command line.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::{Value, json};

use super::context::Context;
use super::output::{plain, table};
use super::queue::parse_cursor;
use crate::model::page::PageRequest;
use crate::serve::House;

/// Show who changed what
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// The latest changes, newest first
    List {
        /// How many
        #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u16).range(1..=100))]
        limit: u16,
        /// Where the list goes on: `next_cursor` of the page before
        #[arg(long, value_parser = parse_cursor)]
        cursor: Option<uuid::Uuid>,
    },
}

/// Runs the command.
///
/// # Errors
/// The database cannot be used.
pub async fn run(context: &Context, command: AuditCommand) -> anyhow::Result<ExitCode> {
    let config = context.load()?.config;
    let house = context.open(&config).await?;
    let ended = work(context, &house, command).await;
    house.close().await?;
    ended.map(|()| ExitCode::SUCCESS)
}

async fn work(context: &Context, house: &House, command: AuditCommand) -> anyhow::Result<()> {
    let AuditCommand::List { limit, cursor } = command;
    let page = house.audit.list(house.project, true, PageRequest { limit, after: cursor }).await?;
    let rows = page.data.iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>()?;
    let shown: Vec<Value> = rows.iter().map(with_target_as_text).collect();
    let columns = [("WHEN", "/at"), ("WHO", "/actor/name"), ("WHAT", "/action"), ("TO", "/target"), ("CHANGED", "/changed"), ("ACTIVE", "/active")];
    let text = || match &page.next_cursor {
        None => table(&columns, &shown),
        Some(cursor) => format!("{}\nmore: --cursor {cursor}\n", table(&columns, &shown)),
    };
    context.output.show(&json!({"data": rows, "next_cursor": page.next_cursor}), text)
}

/// The entry with its target as `name=value ..`.
fn with_target_as_text(entry: &Value) -> Value {
    let fields = entry.get("target").and_then(Value::as_object).into_iter().flatten().filter(|(_, value)| !value.is_null() && **value != false);
    let text = fields.map(|(name, value)| format!("{name}={}", plain(value))).collect::<Vec<_>>().join(" ");
    let mut entry = entry.clone();
    if let Some(fields) = entry.as_object_mut() {
        fields.insert("target".to_owned(), Value::String(text));
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_reads_as_its_fields_without_those_that_say_nothing() {
        let entry = json!({"target": {"recipient_domain": "example.net", "all_projects": false, "reason": null, "tag": ["flow", "signup"]}});
        assert_eq!(with_target_as_text(&entry)["target"], "recipient_domain=example.net tag=flow, signup");
    }
}
