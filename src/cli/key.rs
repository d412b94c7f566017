//! `pennypost key`: API keys. A key is shown once, when it is made.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::context::Context;
use super::failure::Failure;
use super::output::table;
use super::times::parse_duration;
use crate::access::{CreatedKey, NewKey, Scope};
use crate::model::page::{MAX_LIMIT, PageRequest, read_cursor};
use crate::model::{DomainName, KeyId};
use crate::serve::House;

/// Make, list and revoke API keys
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key; it is shown this once
    Create {
        /// What it is for
        #[arg(long, default_value = "command line")]
        name: String,
        /// What it may do
        #[arg(long, value_enum, default_value_t = ScopeWord::Send)]
        scope: ScopeWord,
        /// A domain it may send from; again for more; none: all
        #[arg(long = "domain", value_name = "DOMAIN")]
        domains: Vec<DomainName>,
        /// When it ends, as in 90d
        #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
        expires_in: Option<Duration>,
        /// Make a key that reads `pp_test_..`
        #[arg(long)]
        test: bool,
    },
    /// List keys, without their secrets
    List,
    /// End a key for good
    Revoke {
        /// The id, `key_..`
        id: KeyId,
    },
}

/// A scope as it is written.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ScopeWord {
    /// Everything
    Full,
    /// Send and read
    Send,
    /// Read only
    Read,
}

impl From<ScopeWord> for Scope {
    fn from(word: ScopeWord) -> Self {
        match word {
            ScopeWord::Full => Self::Full,
            ScopeWord::Send => Self::Send,
            ScopeWord::Read => Self::Read,
        }
    }
}

/// Runs the command.
///
/// # Errors
/// The database cannot be used, or there is no such key.
pub async fn run(context: &Context, command: KeyCommand) -> anyhow::Result<ExitCode> {
    let config = context.load()?.config;
    let house = context.open(&config).await?;
    let ended = work(context, &house, command).await;
    house.close().await?;
    ended.map(|()| ExitCode::SUCCESS)
}

async fn work(context: &Context, house: &House, command: KeyCommand) -> anyhow::Result<()> {
    match command {
        KeyCommand::Create { name, scope, domains, expires_in, test } => {
            let expires_at = expires_in.map(|wait| context.clock.now().saturating_add(time::Duration::try_from(wait).unwrap_or(time::Duration::MAX)));
            let domains = Some(domains).filter(|domains| !domains.is_empty());
            let created = house.access.create_key(house.project, NewKey { name, scope: scope.into(), domains, expires_at, test }).await?;
            let target = json!({"id": created.record.id, "name": created.record.name, "scope": created.record.scope});
            house.audit.note(house.project, &context.actor(), "key.create", target).await?;
            let shown = document(&created)?;
            context
                .output
                .show(&shown, || format!("{}\n\nThis is the only time it is shown. Its id is {}.", created.secret.expose(), created.record.id))
        }
        KeyCommand::List => {
            let keys = all(house).await?;
            let columns = [
                ("ID", "/id"),
                ("NAME", "/name"),
                ("SCOPE", "/scope"),
                ("STARTS WITH", "/prefix"),
                ("LAST USED", "/last_used_at"),
                ("EXPIRES", "/expires_at"),
                ("REVOKED", "/revoked_at"),
            ];
            context.output.show(&json!({"data": keys, "next_cursor": null}), || table(&columns, &keys))
        }
        KeyCommand::Revoke { id } => {
            if !house.access.revoke_key(house.project, id).await? {
                return Err(Failure::new(format!("there is no key {id}")).fix("`pennypost key list` shows all").into());
            }
            house.audit.note(house.project, &context.actor(), "key.revoke", json!({"id": id})).await?;
            context.output.show(&json!({"id": id, "revoked": true}), || format!("{id} is revoked; running gateways forget it within seconds"))
        }
    }
}

/// A new key as `--json` shows it: the record with `key`, the secret.
///
/// # Errors
/// It cannot be written as JSON.
pub fn document(created: &CreatedKey) -> anyhow::Result<Value> {
    let mut shown = serde_json::to_value(&created.record)?;
    if let Some(fields) = shown.as_object_mut() {
        fields.insert("key".to_owned(), Value::String(created.secret.expose().clone()));
    }
    Ok(shown)
}

/// Every key of the project.
///
/// # Errors
/// The database cannot be read.
pub async fn all(house: &House) -> anyhow::Result<Vec<Value>> {
    let mut page = PageRequest { limit: MAX_LIMIT, after: None };
    let mut keys = Vec::new();
    loop {
        let found = house.access.keys(house.project, page).await?;
        for key in &found.data {
            keys.push(serde_json::to_value(key)?);
        }
        page.after = found.next_cursor.as_deref().and_then(read_cursor);
        if page.after.is_none() {
            return Ok(keys);
        }
    }
}
