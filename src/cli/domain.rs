//! `pennypost domain`: sending domains and the DNS records they need.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::context::Context;
use super::failure::Failure;
use super::output::{Output, table};
use crate::domains::{DnsRecord, DomainView, NewDomain, RecordPurpose, StsMode, render};
use crate::model::page::{MAX_LIMIT, PageRequest, read_cursor};
use crate::model::{DomainId, DomainName, Secret};
use crate::serve::House;

/// Add, list, check and remove sending domains
#[derive(Debug, Subcommand)]
pub enum DomainCommand {
    /// Add a domain and make its DKIM keys
    Add {
        /// The domain, as in example.com
        domain: DomainName,
        /// A zone of yours for its DKIM keys: the domain's owner publishes CNAME records that lead there, once, and keys change without him
        #[arg(long, value_name = "ZONE")]
        dkim_by_cname: Option<DomainName>,
    },
    /// List domains
    List,
    /// Show one domain with its records
    Show {
        /// The domain or its id
        domain: String,
    },
    /// Print the DNS records to publish
    Dns {
        /// The domain or its id
        domain: String,
        /// How
        #[arg(long, value_enum, default_value_t = RecordFormat::Table)]
        format: RecordFormat,
    },
    /// Change a domain
    Set {
        /// The domain or its id
        domain: String,
        /// How strictly senders shall keep to its mail hosts, where its mail comes here: off, none, testing or enforce
        #[arg(long, value_name = "MODE")]
        mta_sts: StsMode,
    },
    /// Look the records up and say which are missing or wrong; exit code 1 unless the domain is verified
    Check {
        /// The domain or its id
        domain: String,
    },
    /// Make new DKIM keys; they sign once a check sees their records in DNS, and until then the present ones do
    RotateDkim {
        /// The domain or its id
        domain: String,
    },
    /// Take a DKIM key that is in use elsewhere, so that a domain can move here without a gap
    ImportDkim {
        /// The domain or its id
        domain: String,
        /// Its selector
        #[arg(long)]
        selector: String,
        /// The file of the private key in PEM: RSA of 2048 bits or more, or Ed25519
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
    },
    /// Remove a domain with its keys; its mail can be sent no more
    Remove {
        /// The domain or its id
        domain: String,
    },
}

/// How records are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RecordFormat {
    /// For people
    Table,
    /// Lines of a zone file
    Zone,
    /// For programs
    Json,
}

/// Runs the command.
///
/// # Errors
/// The database cannot be used, or there is no such domain.
pub async fn run(context: &Context, command: DomainCommand) -> anyhow::Result<ExitCode> {
    let config = context.load()?.config;
    let house = context.open(&config).await?;
    let ended = work(context, &house, command).await;
    house.close().await?;
    ended
}

async fn work(context: &Context, house: &House, command: DomainCommand) -> anyhow::Result<ExitCode> {
    let (output, domains) = (&context.output, &house.domains);
    match command {
        DomainCommand::Add { domain, dkim_by_cname } => {
            let view = domains.add(house.project, NewDomain { name: domain.clone(), dkim_zone: dkim_by_cname }).await?;
            house.audit.note(house.project, &context.actor(), "domain.add", json!({"id": view.id, "name": view.name})).await?;
            output.show(&view, || {
                format!("{domain} is added. Publish these records, then run `pennypost domain check {domain}`:\n\n{}", render::table(&view.records))
            })?;
        }
        DomainCommand::List => {
            let found = all(house).await?;
            let columns = [("ID", "/id"), ("DOMAIN", "/name"), ("STATE", "/state"), ("ADDED", "/created_at"), ("CHECKED", "/checked_at")];
            output.show(&json!({"data": found, "next_cursor": null}), || table(&columns, &found))?;
        }
        DomainCommand::Show { domain } => {
            let view = find(house, &domain).await?;
            output.show(&view, || description(&view))?;
        }
        DomainCommand::Dns { domain, format } => {
            let records = find(house, &domain).await?.records;
            match format {
                _ if output.is_json() || format == RecordFormat::Json => output.document(&records)?,
                RecordFormat::Zone => output.line(render::zone(&records)),
                RecordFormat::Table | RecordFormat::Json => output.line(render::table(&records)),
            }
        }
        DomainCommand::Set { domain, mta_sts } => {
            let id = find(house, &domain).await?.id;
            let view = domains.set_mta_sts(house.project, id, mta_sts).await?;
            let target = json!({"id": id, "name": view.name, "mta_sts": mta_sts});
            house.audit.note(house.project, &context.actor(), "domain.set", target).await?;
            output.show(&view, || description(&view))?;
        }
        DomainCommand::Check { domain } => {
            let id = find(house, &domain).await?.id;
            let view = domains.check(house.project, id).await?;
            output.show(&view, || description(&view))?;
            let verified = serde_json::to_value(&view)?.get("state").is_some_and(|state| state == "verified");
            return Ok(if verified { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        DomainCommand::RotateDkim { domain } => {
            let id = find(house, &domain).await?.id;
            let view = domains.rotate_dkim(house.project, id).await?;
            house.audit.note(house.project, &context.actor(), "domain.rotate_dkim", json!({"id": id, "name": view.name})).await?;
            publish_next(output, &view)?;
        }
        DomainCommand::ImportDkim { domain, selector, key } => {
            let id = find(house, &domain).await?.id;
            let unreadable = |error| Failure::new(format!("{} cannot be read", key.display())).because(anyhow::Error::new(error));
            let pem = Secret::new(std::fs::read_to_string(&key).map_err(unreadable)?);
            let view = domains.import_dkim(house.project, id, &selector, &pem).await?;
            let target = json!({"id": id, "name": view.name, "selector": selector});
            house.audit.note(house.project, &context.actor(), "domain.import_dkim", target).await?;
            publish_next(output, &view)?;
        }
        DomainCommand::Remove { domain } => {
            let view = find(house, &domain).await?;
            domains.remove(house.project, view.id).await?;
            house.audit.note(house.project, &context.actor(), "domain.remove", json!({"id": view.id, "name": view.name})).await?;
            output.show(&json!({"id": view.id, "removed": true}), || format!("{} is removed", view.name))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// New keys are told with all DKIM records: those of the present keys stay.
fn publish_next(output: &Output, view: &DomainView) -> anyhow::Result<()> {
    output.show(view, || {
        let records: Vec<DnsRecord> =
            view.records.iter().filter(|record| matches!(record.purpose, RecordPurpose::Dkim | RecordPurpose::DkimDelegation)).cloned().collect();
        let name = &view.name;
        format!(
            "The keys of {name}. Publish the records that are missing, keep the others for a week, then run `pennypost domain check {name}`:\n\n{}",
            render::table(&records)
        )
    })
}

fn description(view: &DomainView) -> String {
    let shown = serde_json::to_value(view).unwrap_or_default();
    let word = |name: &str| shown.get(name).map(super::output::plain).unwrap_or_default();
    let facts = format!(
        "{} ({})\nstate: {}   checked: {}   verified: {}   MTA-STS: {}",
        view.name,
        view.id,
        word("state"),
        word("checked_at"),
        word("verified_at"),
        word("mta_sts")
    );
    format!("{facts}\n\n{}", render::table(&view.records))
}

/// The domain that `text` names, by name or id.
///
/// # Errors
/// There is none.
pub async fn find(house: &House, text: &str) -> anyhow::Result<DomainView> {
    let domains = &house.domains;
    let unknown = || Failure::new(format!("there is no domain {text}")).fix("`pennypost domain list` shows all");
    if let Ok(id) = text.parse::<DomainId>() {
        return domains.get(house.project, id).await.map_err(|error| unknown().because(error));
    }
    let name = DomainName::parse(text).map_err(|error| Failure::usage(format!("{text:?} is not a domain")).because(error))?;
    domains.find(house.project, &name).await?.ok_or_else(|| unknown().into())
}

async fn all(house: &House) -> anyhow::Result<Vec<Value>> {
    let mut page = PageRequest { limit: MAX_LIMIT, after: None };
    let mut found = Vec::new();
    loop {
        let part = house.domains.list(house.project, page).await?;
        for domain in &part.data {
            found.push(serde_json::to_value(domain)?);
        }
        page.after = part.next_cursor.as_deref().and_then(read_cursor);
        if page.after.is_none() {
            return Ok(found);
        }
    }
}
