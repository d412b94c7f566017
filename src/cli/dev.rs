//! `pennypost dev`: a gateway for trying out, with a database of its own, all mail kept in the sandbox, and a key on the screen.
//!
//! Does not: touch what `serve` works on. Its data lies in `data/dev`, so that no waiting mail of a real gateway falls into the sandbox.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::context::{Context, obey_signals};
use super::failure::Failure;
use crate::access::{AccessError, NewKey, Scope};
use crate::config::{Config, Listen};
use crate::model::{DomainName, Secret};
use crate::serve::{self, House, Roles, Running};
use crate::supervisor::Supervisor;

/// Run a gateway for trying out: nothing is sent, everything can be read back
#[derive(Debug, Args)]
pub struct DevArgs {
    /// A domain to send from
    #[arg(long, default_value = "example.com")]
    domain: DomainName,
}

const DIRECTORY: &str = "data/dev";

/// Runs the command.
///
/// # Errors
/// The private server cannot be started, or the address cannot be listened on.
pub async fn run(context: &Context, args: DevArgs) -> anyhow::Result<ExitCode> {
    let config = config(context.load()?.config);
    let mut telemetry = context.start_telemetry(&config)?;
    std::fs::create_dir_all(DIRECTORY).map_err(|error| Failure::new(format!("{DIRECTORY} cannot be made")).because(error))?;
    let supervisor = Supervisor::default();
    obey_signals(&supervisor)?;
    let started = serve::run(config, Roles::ALL, supervisor.clone(), context.clock.clone()).await;
    let running = started.map_err(|error| Failure::new("the gateway could not be started").because(error))?;
    let prepared = prepare(&running, &args.domain).await;
    if let (Ok(key), Some(address)) = (&prepared, running.http) {
        let url = format!("http://{address}");
        let shown = json!({"url": url, "key": key.expose(), "domain": args.domain});
        context.output.show(&shown, || banner(&url, &args.domain, key))?;
    } else {
        supervisor.drain();
    }
    let ended = running.wait().await;
    let _ = tokio::task::spawn_blocking(move || telemetry.stop()).await;
    prepared.and(ended.map(|()| ExitCode::SUCCESS))
}

async fn prepare(running: &Running, domain: &DomainName) -> anyhow::Result<Secret<String>> {
    let house = &running.house;
    if house.domains.find(house.project, domain).await?.is_none() {
        house.domains.add(house.project, domain.clone()).await?;
    }
    key(house, Path::new(DIRECTORY)).await
}

fn config(mut config: Config) -> Config {
    let directory = Path::new(DIRECTORY);
    config.database.url = Secret::default();
    config.database.data_dir = directory.join("postgres");
    config.server.master_key_file = directory.join("master.key");
    if config.server.hostname.is_empty() {
        "dev.pennypost.test".clone_into(&mut config.server.hostname);
    }
    // Ports that need no privilege, on loopback. Only if nothing else was asked for.
    for (listen, usual, port) in [(&mut config.smtp.submission_listen, 587, 1587), (&mut config.smtp.submissions_listen, 465, 1465)] {
        if *listen == Listen::Everywhere(usual) {
            *listen = Listen::At(SocketAddr::from(([127, 0, 0, 1], port)));
        }
    }
    // What comes back cannot: no mail leaves.
    config.smtp.mx_listen = Listen::Off;
    config.delivery.sandbox = true;
    config.delivery.allow_unverified_domains = true;
    config
}

/// The key of the last time, if it still works; else a new one, kept for the next.
async fn key(house: &House, directory: &Path) -> anyhow::Result<Secret<String>> {
    let file = directory.join("key");
    if let Ok(kept) = std::fs::read_to_string(&file) {
        match house.access.authenticate(kept.trim()).await {
            Ok(_) => return Ok(Secret::new(kept.trim().to_owned())),
            Err(AccessError::Unknown | AccessError::Revoked | AccessError::Expired) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let new = NewKey { name: "dev".to_owned(), scope: Scope::Full, domains: None, expires_at: None, test: true };
    let secret = house.access.create_key(house.project, new).await?.secret;
    let cannot = |error| Failure::new(format!("{} cannot be written", file.display())).because(error);
    let mut kept = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&file).map_err(cannot)?;
    kept.write_all(secret.expose().as_bytes())?;
    Ok(secret)
}

fn banner(url: &str, domain: &DomainName, key: &Secret<String>) -> String {
    format!(
        "Pennypost for trying out: no mail leaves, all of it can be read back.\n\n\
         API   {url}    described at {url}/docs\n\
         key   {key}\n\n\
         curl {url}/v1/send \\\n  -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' \\\n  \
         -d '{{\"from\": \"Penny <hello@{domain}>\", \"to\": \"you@example.net\", \"subject\": \"Hi\", \"text\": \"It works.\"}}'\n\n\
         What was sent: curl {url}/v1/messages -H 'Authorization: Bearer {key}'\n",
        key = key.expose()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_and_nothing_of_a_real_gateway_is_touched() {
        let mut real = Config::default();
        real.database.url = Secret::new("postgres://production".to_owned());
        let config = config(real);
        assert!(config.delivery.sandbox && config.database.url.expose().is_empty());
        assert!(config.database.data_dir.starts_with(DIRECTORY) && config.server.master_key_file.starts_with(DIRECTORY));
    }

    #[test]
    fn the_banner_can_be_pasted() {
        let domain = DomainName::parse("example.com").unwrap();
        insta::assert_snapshot!(banner("http://127.0.0.1:8080", &domain, &Secret::new("pp_test_KEY".to_owned())));
    }
}
