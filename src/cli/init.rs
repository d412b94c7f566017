//! `pennypost init`: from nothing to a gateway that can be started. Safe to repeat: what is there stays.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::context::Context;
use super::failure::Failure;
use super::key;
use crate::access::{NewKey, Scope};
use crate::config::load::USUAL_FILES;
use crate::config::{Config, Loaded, load};
use crate::domains::{DomainView, render};
use crate::model::DomainName;
use crate::serve::House;

/// Write the configuration and secrets, prepare the database, make the first domain and key
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The domain to send from
    #[arg(long)]
    domain: DomainName,
    /// The name of this machine, as its reverse DNS gives it
    #[arg(long)]
    hostname: DomainName,
}

struct Done {
    file: PathBuf,
    written: bool,
    domain: DomainView,
    added: bool,
    key: Option<Value>,
}

/// Runs the command.
///
/// # Errors
/// A file cannot be written, or the database cannot be used.
pub async fn run(context: &Context, args: InitArgs) -> anyhow::Result<ExitCode> {
    let file = context.global.config.clone().unwrap_or_else(|| PathBuf::from(USUAL_FILES[0]));
    let written = write_file(&file, &args)?;
    let loaded = load(Some(&file), &std::env::vars().collect())?;
    check_hostname(&loaded, &args)?;
    let config = loaded.config;
    let house = context.open(&config).await?;
    let made = rooms(&house, &args).await;
    house.close().await?;
    let (domain, added, key) = made?;
    let done = Done { file, written, domain, added, key };
    let shown = json!({
        "config": done.file, "config_written": done.written, "hostname": args.hostname,
        "domain": done.domain, "domain_added": done.added, "key": done.key,
    });
    context.output.show(&shown, || report(&done, &config))?;
    Ok(ExitCode::SUCCESS)
}

/// Writes the file, readable by its owner only, unless it is there.
fn write_file(file: &Path, args: &InitArgs) -> anyhow::Result<bool> {
    let text = format!("# Pennypost. Every option with its comment: `pennypost config default`.\n\n[server]\nhostname = \"{}\"\n", args.hostname);
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(file) {
        Ok(mut opened) => {
            opened.write_all(text.as_bytes())?;
            opened.sync_all()?;
            Ok(true)
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(Failure::new(format!("{} cannot be written", file.display())).fix("name another place with --config").because(error)),
    }
}

fn check_hostname(loaded: &Loaded, args: &InitArgs) -> anyhow::Result<()> {
    let configured = &loaded.config.server.hostname;
    if DomainName::parse(configured).is_ok_and(|name| name == args.hostname) {
        return Ok(());
    }
    let place = loaded.origins.get("server.hostname").map_or_else(|| "the configuration".to_owned(), ToString::to_string);
    let what = format!("--hostname {} is not what {place} says: {configured:?}", args.hostname);
    Err(Failure::usage(what).fix("init changes no file that is there: edit it, or give the same name").into())
}

async fn rooms(house: &House, args: &InitArgs) -> anyhow::Result<(DomainView, bool, Option<Value>)> {
    let domains = &house.domains;
    let found = domains.find(house.project, &args.domain).await?;
    let added = found.is_none();
    let domain = match found {
        Some(domain) => domain,
        None => domains.add(house.project, args.domain.clone()).await?,
    };
    let usable = key::all(house).await?.iter().any(|key| key.get("revoked_at").is_none_or(Value::is_null));
    let key = if usable {
        None
    } else {
        let new = NewKey { name: "first key".to_owned(), scope: Scope::Full, domains: None, expires_at: None, test: false };
        Some(key::document(&house.access.create_key(house.project, new).await?)?)
    };
    Ok((domain, added, key))
}

fn report(done: &Done, config: &Config) -> String {
    let yes = |made: bool, text: String| format!("{}  {text}", if made { "made " } else { "there" });
    let mut lines = vec![
        yes(done.written, format!("configuration  {}", done.file.display())),
        format!("there  master key     {} (back it up)", config.server.master_key_file.display()),
        yes(done.added, format!("domain         {}", done.domain.name)),
    ];
    match done.key.as_ref().and_then(|key| key.get("key")).and_then(Value::as_str) {
        Some(key) => lines.push(format!("made   API key        {key}\n       This is the only time it is shown.")),
        None => lines.push("there  API key        `pennypost key create` makes another".to_owned()),
    }
    let name = &done.domain.name;
    let next = format!("\nNext: publish these records, then `pennypost domain check {name}`, then `pennypost serve`.\n");
    lines.push(next);
    lines.push(render::table(&done.domain.records));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_file_is_written_once_for_its_owner_only() {
        let file = std::env::temp_dir().join(format!("pennypost-init-{}.toml", std::process::id()));
        let _ = std::fs::remove_file(&file);
        let args = |hostname: &str| InitArgs { domain: DomainName::parse("example.com").unwrap(), hostname: DomainName::parse(hostname).unwrap() };
        assert!(write_file(&file, &args("mail.example.com")).unwrap());
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!write_file(&file, &args("other.example.com")).unwrap());
        let loaded = load(Some(&file), &std::collections::BTreeMap::new()).unwrap();
        assert_eq!(loaded.config.server.hostname, "mail.example.com");
        assert!(check_hostname(&loaded, &args("mail.example.com")).is_ok());
        assert!(check_hostname(&loaded, &args("other.example.com")).is_err());
        std::fs::remove_file(&file).unwrap();
    }
}
