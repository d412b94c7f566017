//! `pennypost cert`: the certificates that mail programs are shown, their renewal, and those that an operator brings.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::context::Context;
use super::failure::Failure;
use super::output::table;
use crate::config::Config;
use crate::model::{CertificateId, Secret};
use crate::net::x509;
use crate::ops::certs::CertificateView;
use crate::serve::House;

/// How often a renewal that was asked for is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// For how long: longer than any order takes.
const PATIENCE: Duration = Duration::from_mins(15);

/// Show the certificates, renew them, bring one along
#[derive(Debug, Subcommand)]
pub enum CertCommand {
    /// Every certificate with its names, its end, its renewal and what went wrong last
    Status,
    /// Let a running gateway try again what failed, and wait for how it ends
    Renew(RenewArgs),
    /// Show a certificate of your own from now on, in place of one imported for the same names
    Import(ImportArgs),
    /// Stop showing a certificate
    Remove {
        /// The id, `crt_..`
        certificate: CertificateId,
    },
}

/// What `renew` takes.
#[derive(Debug, Args)]
pub struct RenewArgs {
    /// Ask the authority for new certificates even where none is due; it allows few of them a week
    #[arg(long)]
    now: bool,
    /// Do not wait
    #[arg(long)]
    no_wait: bool,
}

/// What `import` takes.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// A PEM file: the certificate first, then those it is signed with
    #[arg(long, value_name = "FILE")]
    certificate: PathBuf,
    /// A PEM file with its private key
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

/// Runs the command.
///
/// # Errors
/// The database cannot be used, a file is not what it should be, or a renewal failed.
pub async fn run(context: &Context, command: CertCommand) -> anyhow::Result<ExitCode> {
    let config = context.load()?.config;
    let house = context.open(&config).await?;
    let ended = work(context, &config, &house, command).await;
    house.close().await?;
    ended.map(|()| ExitCode::SUCCESS)
}

async fn work(context: &Context, config: &Config, house: &House, command: CertCommand) -> anyhow::Result<()> {
    match command {
        CertCommand::Status => status(context, config, house).await,
        CertCommand::Renew(args) => renew(context, config, house, &args).await,
        CertCommand::Import(args) => import(context, house, &args).await,
        CertCommand::Remove { certificate } => {
            if !house.certificates.remove(certificate).await? {
                return Err(Failure::new(format!("there is no certificate {certificate}")).fix("`pennypost cert status` shows all").into());
            }
            house.audit.note(house.project, &context.actor(), "certificate.remove", json!({"id": certificate})).await?;
            context.output.show(&json!({"id": certificate, "removed": true}), || format!("{certificate} is shown no more"))
        }
    }
}

async fn status(context: &Context, config: &Config, house: &House) -> anyhow::Result<()> {
    let mut rows: Vec<Value> = house.certificates.list().await?.iter().map(serde_json::to_value).collect::<Result<_, _>>()?;
    rows.extend(config.tls.certificate_files.iter().map(|path| of_file(path)));
    let columns = [
        ("ID", "/id"),
        ("SOURCE", "/source"),
        ("NAMES", "/names"),
        ("ISSUER", "/issuer"),
        ("ENDS", "/not_after"),
        ("RENEWED", "/renew_at"),
        ("NEXT LOOK", "/next_at"),
        ("FAILURES", "/failures"),
        ("LAST ERROR", "/last_error"),
    ];
    let text = || {
        if rows.is_empty() {
            "no certificate: mail programs are shown one that nobody trusts; set tls.acme, or `pennypost cert import`".to_owned()
        } else {
            table(&columns, &rows)
        }
    };
    context.output.show(&json!({"data": rows, "next_cursor": null}), text)
}

/// A certificate of `tls.certificate_files`, told as the others are.
fn of_file(path: &Path) -> Value {
    let read = std::fs::read(path).map_err(|error| error.to_string());
    let facts = read.and_then(|octets| x509::facts(&octets).map_err(|error| error.to_string()));
    let time = |at: OffsetDateTime| at.format(&time::format_description::well_known::Rfc3339).unwrap_or_default();
    match facts {
        Ok(facts) => json!({
            "id": null, "source": "file", "file": path, "names": facts.names, "issuer": facts.issuer,
            "not_before": time(facts.not_before), "not_after": time(facts.not_after), "failures": 0, "last_error": null,
        }),
        Err(error) => {
            json!({"id": null, "source": "file", "file": path, "names": [], "failures": 0, "last_error": format!("{}: {error}", path.display())})
        }
    }
}

async fn renew(context: &Context, config: &Config, house: &House, args: &RenewArgs) -> anyhow::Result<()> {
    let Some(directory) = config.tls.directory() else {
        let fix = "set tls.acme in the configuration, or bring a certificate by `pennypost cert import`";
        return Err(Failure::new("certificates are not had by ACME here").fix(fix).into());
    };
    if house.certificates.nodes().await? == 0 {
        return Err(Failure::new("no gateway runs, and only a running one can be asked by the authority").fix("start `pennypost serve`").into());
    }
    let before = orders(house, directory).await?;
    if house.certificates.hurry(directory, args.now).await? == 0 {
        let fix = "see that a gateway with the role smtp runs with this configuration";
        return Err(Failure::new("no running gateway has asked for a certificate yet").fix(fix).into());
    }
    house.audit.note(house.project, &context.actor(), "certificate.renew", json!({"authority": directory, "now": args.now})).await?;
    if args.no_wait {
        return context
            .output
            .show(&json!({"asked": true}), || "the running gateways were asked; `pennypost cert status` tells how it goes".to_owned());
    }
    let deadline = context.clock.tick().plus(PATIENCE);
    loop {
        let now = orders(house, directory).await?;
        // A try is known by its time, whoever's clock that is. Where nothing failed and nothing is due, there is none to wait for.
        let is_tried = |view: &CertificateView| !before.iter().any(|old| old.names == view.names && old.tried_at == view.tried_at);
        let is_awaited = |view: &CertificateView| args.now || view.failures > 0 || view.tried_at.is_none();
        if now.iter().all(|view| is_tried(view) || !is_awaited(view)) {
            let tried: Vec<&CertificateView> = now.iter().filter(|view| is_tried(view)).collect();
            return tell(context, &now, &tried);
        }
        if context.clock.tick() >= deadline {
            return Err(Failure::new("no gateway did the work within 15 minutes").fix("its log says why").into());
        }
        context.clock.sleep(LOOK).await;
    }
}

/// What is had from an authority.
async fn orders(house: &House, directory: &str) -> anyhow::Result<Vec<CertificateView>> {
    let mut views = house.certificates.list().await?;
    views.retain(|view| view.authority.as_deref() == Some(directory));
    Ok(views)
}

/// Tells how a renewal ended.
fn tell(context: &Context, views: &[CertificateView], tried: &[&CertificateView]) -> anyhow::Result<()> {
    let failed = tried.iter().find_map(|view| view.last_error.as_ref());
    if let Some(error) = failed {
        let fix = "mend what the authority found, then `pennypost cert renew`; docs/operate/certificates.md helps";
        return Err(Failure::new(format!("no certificate was obtained: {error}")).fix(fix).into());
    }
    let rows: Vec<Value> = views.iter().map(serde_json::to_value).collect::<Result<_, _>>()?;
    let columns = [("ID", "/id"), ("NAMES", "/names"), ("ISSUER", "/issuer"), ("ENDS", "/not_after"), ("RENEWED", "/renew_at")];
    context.output.show(&json!({"data": rows, "next_cursor": null}), || table(&columns, &rows))
}

async fn import(context: &Context, house: &House, args: &ImportArgs) -> anyhow::Result<()> {
    let read = |path: &Path| {
        let unreadable = |error| Failure::new(format!("{} cannot be read", path.display())).because(anyhow::Error::new::<std::io::Error>(error));
        std::fs::read(path).map_err(unreadable)
    };
    let (chain, key) = (read(&args.certificate)?, Secret::new(read(&args.key)?));
    let fix = "give the PEM file of the certificate with its chain, and that of its key";
    let imported = house.certificates.import(&chain, &key).await;
    let view = imported.map_err(|error| Failure::new("the certificate is not taken").fix(fix).because(error))?;
    house.audit.note(house.project, &context.actor(), "certificate.import", json!({"id": view.id, "names": view.names})).await?;
    context.output.show(&view, || format!("imported for {}; every gateway shows it within seconds", view.names.join(", ")))
}
