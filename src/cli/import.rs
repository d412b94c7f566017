//! `pennypost import`: what `pennypost export` wrote, into this database. All of it or nothing.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::context::Context;
use super::export::{passphrase, rooms};
use super::failure::Failure;
use super::output::table;
use crate::portable::{Change, ImportError, Imported, Options, import};
use crate::serve::House;

/// Octets of a text.
const MAX_OCTETS: u64 = 256 * 1024 * 1024;

/// Read a text that `pennypost export` wrote: what is missing is added, what is there stays. All of it is taken, or nothing
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The file; - reads standard input
    file: PathBuf,
    /// The passphrase that sealed the secrets; without it new keys and passwords are made, and shown once
    #[arg(long, value_name = "FILE")]
    secrets_passphrase_file: Option<PathBuf>,
    /// Change what is there and differs to what the text says; nothing is ever removed
    #[arg(long)]
    replace: bool,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// Runs the command.
///
/// # Errors
/// The text has faults, or the database cannot be used.
pub async fn run(context: &Context, args: ImportArgs) -> anyhow::Result<ExitCode> {
    let config = context.load()?.config;
    let text = read(&args.file)?;
    let passphrase = passphrase(args.secrets_passphrase_file.as_ref())?;
    let options = Options { passphrase, replace: args.replace, dry_run: args.dry_run };
    let house = context.open(&config).await?;
    let ended = work(context, &house, &text, options).await;
    house.close().await?;
    ended.map(|()| ExitCode::SUCCESS)
}

async fn work(context: &Context, house: &House, text: &str, options: Options) -> anyhow::Result<()> {
    let (replace, dry_run) = (options.replace, options.dry_run);
    let imported = import(&rooms(context, house), text, options).await.map_err(told)?;
    if !dry_run {
        let Imported { added, replaced, .. } = imported;
        house.audit.note(house.project, &context.actor(), "config.import", json!({"added": added, "replaced": replaced, "replace": replace})).await?;
    }
    context.output.show(&imported, || report(&imported))
}

fn read(file: &Path) -> anyhow::Result<String> {
    let failed = || Failure::usage(format!("{} cannot be read as text", file.display()));
    let mut text = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().lock().take(MAX_OCTETS).read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|opened| opened.take(MAX_OCTETS).read_to_string(&mut text))
    };
    read.map_err(|error| failed().fix("name a file that `pennypost export` wrote").because(error))?;
    Ok(text)
}

fn told(error: ImportError) -> anyhow::Error {
    match error {
        ImportError::Wrong(faults) => {
            let lines: Vec<String> = faults.iter().map(|fault| format!("  {fault}")).collect();
            Failure::usage(format!("nothing was imported:\n{}", lines.join("\n"))).fix("correct these lines and import the text again").into()
        }
        ImportError::Vault(error) => Failure::usage(format!("nothing was imported: {error}")).into(),
        other => anyhow::Error::new(other).context("nothing was imported"),
    }
}

fn report(imported: &Imported) -> String {
    let rows: Vec<Value> = imported.changes.iter().filter_map(|change| serde_json::to_value(change).ok()).collect();
    let columns = [("PROJECT", "/project"), ("WHAT", "/kind"), ("NAME", "/name"), ("DONE", "/what"), ("NOTE", "/note")];
    let mut lines = vec![table(&columns, &rows)];
    let secrets: Vec<String> = imported.changes.iter().filter_map(secret).collect();
    if !secrets.is_empty() {
        lines.push(format!("Made anew, and shown this once:\n{}\n", secrets.join("\n")));
    }
    let Imported { added, unchanged, kept, replaced, .. } = imported;
    let told = if imported.dry_run { "would be " } else { "" };
    lines.push(format!("{told}{added} added, {replaced} replaced; {unchanged} unchanged, {kept} kept as they are"));
    lines.join("\n")
}

fn secret(change: &Change) -> Option<String> {
    change.secret.as_ref().map(|secret| format!("  {:<10} {}  {}", change.kind, change.name, secret.expose()))
}
