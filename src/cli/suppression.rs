//! `pennypost suppression`: addresses and domains that nothing is sent to. A running gateway heeds a change at once.

use std::fs::File;
use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};
use serde_json::json;

use super::context::Context;
use super::failure::Failure;
use super::output::table;
use crate::model::message::Label;
use crate::model::page::{MAX_LIMIT, PageRequest, read_cursor};
use crate::serve::House;
use crate::suppressions::export::{Format, Place};
use crate::suppressions::import::{ImportError, Imported};
use crate::suppressions::{Added, NewSuppression, Origin, SuppressionFilter, SuppressionReason, Target};

/// Octets of a list read from standard input.
const MAX_STDIN_OCTETS: u64 = 256 * 1024 * 1024;

/// Show and change the suppression list
#[derive(Debug, Subcommand)]
pub enum SuppressionCommand {
    /// Send nothing more to an address
    Add {
        /// The address, or @example.com for everybody there
        address: Target,
        /// In this stream only; else in all
        #[arg(long)]
        stream: Option<Label>,
        /// What to remember it by
        #[arg(long)]
        note: Option<String>,
    },
    /// List entries, oldest first
    List {
        /// Only this address, or this @example.com
        address: Option<Target>,
        /// Only entries of this stream
        #[arg(long)]
        stream: Option<Label>,
    },
    /// Send to an address again
    Remove {
        /// The address, or @example.com
        address: Target,
        /// The entry of this stream only; else all of the address
        #[arg(long)]
        stream: Option<Label>,
    },
    /// Read a list; all of it is taken, or nothing
    Import {
        /// The file; - reads standard input
        file: PathBuf,
        /// How it is written; else told by its name, and CSV in doubt
        #[arg(long, value_enum)]
        format: Option<ListFormat>,
    },
    /// Write the whole list to standard output
    Export {
        /// How
        #[arg(long, value_enum, default_value_t = ListFormat::Csv)]
        format: ListFormat,
    },
}

/// How a list is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ListFormat {
    /// Comma-separated values
    Csv,
    /// A JSON object a line
    Jsonl,
}

impl From<ListFormat> for Format {
    fn from(format: ListFormat) -> Self {
        match format {
            ListFormat::Csv => Self::Csv,
            ListFormat::Jsonl => Self::Jsonl,
        }
    }
}

/// Runs the command.
///
/// # Errors
/// The database cannot be used, there is no such entry, or the file is wrong.
pub async fn run(context: &Context, command: SuppressionCommand) -> anyhow::Result<ExitCode> {
    let config = context.load()?.config;
    let house = context.open(&config).await?;
    let ended = work(context, &house, command).await;
    house.close().await?;
    ended.map(|()| ExitCode::SUCCESS)
}

async fn work(context: &Context, house: &House, command: SuppressionCommand) -> anyhow::Result<()> {
    let (output, list, project) = (&context.output, &house.suppressions, house.project);
    match command {
        SuppressionCommand::Add { address, stream, note } => {
            let new = NewSuppression { target: address.clone(), stream, reason: SuppressionReason::Manual, note, created_at: None };
            let (entry, added) = list.add(project, new, Origin::Cli).await?;
            output.show(&entry, || match added {
                Added::New => format!("nothing more is sent to {address}"),
                Added::Before => format!("{address} was suppressed before, since {}", entry.created_at),
            })
        }
        SuppressionCommand::List { address, stream } => show(context, house, SuppressionFilter { target: address, stream, reason: None }).await,
        SuppressionCommand::Remove { address, stream } => {
            let removed = list.remove_target(project, &address, stream.as_ref()).await?;
            if removed == 0 {
                return Err(Failure::new(format!("{address} is not suppressed")).fix("`pennypost suppression list` shows all entries").into());
            }
            output.show(&json!({"address": address.as_str(), "removed": removed}), || format!("{address} is sent to again"))
        }
        SuppressionCommand::Import { file, format } => {
            let imported = read(house, &file, format).await?;
            output.show(&imported, || format!("{} added, {} were there before", imported.added, imported.unchanged))
        }
        SuppressionCommand::Export { format } => write(house, format.into()).await,
    }
}

async fn show(context: &Context, house: &House, filter: SuppressionFilter) -> anyhow::Result<()> {
    let mut page = PageRequest { limit: MAX_LIMIT, after: None };
    let mut found = Vec::new();
    loop {
        let part = house.suppressions.list(house.project, &filter, page).await?;
        for entry in &part.data {
            found.push(serde_json::to_value(entry)?);
        }
        page.after = part.next_cursor.as_deref().and_then(read_cursor);
        if page.after.is_none() {
            break;
        }
    }
    let columns =
        [("ADDRESS", "/address"), ("STREAM", "/stream"), ("REASON", "/reason"), ("CLASS", "/class"), ("ORIGIN", "/origin"), ("SINCE", "/created_at")];
    context.output.show(&json!({"data": found, "next_cursor": null}), || table(&columns, &found))
}

async fn read(house: &House, file: &Path, format: Option<ListFormat>) -> anyhow::Result<Imported> {
    let by_name = || if file.extension().is_some_and(|end| end == "jsonl" || end == "ndjson") { ListFormat::Jsonl } else { ListFormat::Csv };
    let format = format.unwrap_or_else(by_name).into();
    let imported = if file == Path::new("-") {
        let mut text = Vec::new();
        std::io::stdin().lock().take(MAX_STDIN_OCTETS + 1).read_to_end(&mut text)?;
        if text.len() as u64 > MAX_STDIN_OCTETS {
            return Err(Failure::new("the list has more than 256 MiB").fix("write it into a file and name that").into());
        }
        let text = bytes::Bytes::from(text);
        house.suppressions.import(house.project, format, || Ok(Cursor::new(text.clone()))).await
    } else {
        house.suppressions.import(house.project, format, || File::open(file)).await
    };
    imported.map_err(|error| match error {
        ImportError::Wrong(faults) => {
            let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
            Failure::new(format!("nothing was imported:\n{}", lines.join("\n"))).fix("correct these lines and import the file again").into()
        }
        other => anyhow::Error::new(other).context(format!("{} was not imported", file.display())),
    })
}

/// Writes piece by piece; `--json` changes nothing, the list is a document of its own.
async fn write(house: &House, format: Format) -> anyhow::Result<()> {
    let mut place = Place::default();
    while let Some((text, next)) = house.suppressions.export(house.project, format, place).await? {
        // A closed pipe ends the printing and not the command.
        if std::io::stdout().write_all(text.as_bytes()).is_err() {
            break;
        }
        place = next;
    }
    Ok(())
}
