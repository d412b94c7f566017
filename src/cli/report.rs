//! `pennypost report`: what receivers tell about mail in the name of our domains.

use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::context::Context;
use super::failure::Failure;
use super::output::table;
use crate::model::page::{MAX_LIMIT, PageRequest};
use crate::model::{DomainName, ReportId};
use crate::reports::ReportKind;
use crate::serve::House;

/// Show what receivers report about our domains
#[derive(Debug, Subcommand)]
pub enum ReportCommand {
    /// List the newest reports
    List {
        /// Which kind
        #[arg(long, value_enum, default_value_t = Kind::Dmarc)]
        kind: Kind,
        /// Only about this domain
        #[arg(long)]
        domain: Option<DomainName>,
        /// How many
        #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_LIMIT)))]
        limit: u16,
    },
    /// Show one report with its lines
    Show {
        /// Its id
        id: ReportId,
    },
    /// Sum up who sends mail in our name (dmarc), or which sessions lacked TLS (tls)
    Sum {
        /// Which kind
        #[arg(long, value_enum, default_value_t = Kind::Dmarc)]
        kind: Kind,
        /// Only about this domain
        #[arg(long)]
        domain: Option<DomainName>,
        /// Of reports that end in the last days
        #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=400))]
        days: u16,
    },
}

/// What a report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Messages in the name of a domain
    Dmarc,
    /// Sessions with its MX hosts
    Tls,
}

impl From<Kind> for ReportKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Dmarc => Self::Dmarc,
            Kind::Tls => Self::Tls,
        }
    }
}

const REPORTS: [(&str, &str); 7] = [
    ("ID", "/id"),
    ("DOMAIN", "/domain"),
    ("REPORTER", "/reporter"),
    ("FROM", "/begins_at"),
    ("TO", "/ends_at"),
    ("PASSED", "/passed"),
    ("FAILED", "/failed"),
];
const SOURCES: [(&str, &str); 8] = [
    ("ADDRESS", "/address"),
    ("FROM DOMAIN", "/header_from"),
    ("MESSAGES", "/messages"),
    ("PASSED", "/passed"),
    ("SPF", "/spf_passed"),
    ("DKIM", "/dkim_passed"),
    ("QUARANTINED", "/quarantined"),
    ("REJECTED", "/rejected"),
];
const FAILURES: [(&str, &str); 4] = [("RESULT", "/result"), ("FROM ADDRESS", "/sending_address"), ("MX HOST", "/mx_host"), ("SESSIONS", "/sessions")];

/// Runs the command.
///
/// # Errors
/// The database cannot be used, or there is no such report.
pub async fn run(context: &Context, command: ReportCommand) -> anyhow::Result<ExitCode> {
    let config = context.load()?.config;
    let house = context.open(&config).await?;
    let ended = work(context, &house, command).await;
    house.close().await?;
    ended.map(|()| ExitCode::SUCCESS)
}

async fn work(context: &Context, house: &House, command: ReportCommand) -> anyhow::Result<()> {
    let (output, reports, project) = (&context.output, &house.reports, house.project);
    match command {
        ReportCommand::List { kind, domain, limit } => {
            let found = reports.list(project, kind.into(), domain.as_ref(), PageRequest { limit, after: None }).await?;
            let rows = values(&found.data)?;
            output.show(&json!({"data": rows, "next_cursor": found.next_cursor}), || table(&REPORTS, &rows))
        }
        ReportCommand::Show { id } => {
            let missing = || Failure::new(format!("there is no report {id}")).fix("`pennypost report list` shows the newest");
            let found = reports.get(project, id).await?.ok_or_else(missing)?;
            let (head, sources, failures) = (values(std::slice::from_ref(&found.report))?, values(&found.sources)?, values(&found.failures)?);
            let lines = match found.report.kind {
                ReportKind::Dmarc => table(&SOURCES, &sources),
                ReportKind::Tls => table(&FAILURES, &failures),
            };
            output.show(&found, || format!("{}\n{lines}", table(&REPORTS, &head)))
        }
        ReportCommand::Sum { kind: Kind::Dmarc, domain, days } => {
            let rows = values(&reports.sources(project, domain.as_ref(), days).await?)?;
            output.show(&json!({"data": rows}), || table(&SOURCES, &rows))
        }
        ReportCommand::Sum { kind: Kind::Tls, domain, days } => {
            let rows = values(&reports.failures(project, domain.as_ref(), days).await?)?;
            output.show(&json!({"data": rows}), || table(&FAILURES, &rows))
        }
    }
}

fn values<T: serde::Serialize>(rows: &[T]) -> Result<Vec<Value>, serde_json::Error> {
    rows.iter().map(serde_json::to_value).collect()
}
