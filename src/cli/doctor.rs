//! `pennypost doctor`: is this host, and are its domains, what receivers ask for? Exit code 0: all is well, 1: warnings, 2: failures.
//!
//! Changes nothing: it makes no database, no schema and no key.

use std::fmt::Write;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;

use super::context::Context;
use super::domain;
use super::failure::Failure;
use super::output::{Output, Tone, printable};
use crate::config::Config;
use crate::ops::doctor::{Chosen, Database, Doctor, Finding, FindingState, Level, Listeners, Report, Scope};
use crate::serve::{self, House};
use crate::store::embedded;

/// Look at this host and its domains as receivers do; each finding says what is there, what should be, the fix and who asks for it
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// This host alone: network, names, database, certificates, reputation
    #[arg(long, conflicts_with = "domain")]
    host: bool,
    /// One domain alone, by name or id
    #[arg(long, value_name = "DOMAIN")]
    domain: Option<String>,
    /// Only these checks (S2) or groups (spf), separated by commas
    #[arg(long, value_name = "CHECKS", value_delimiter = ',')]
    only: Vec<Chosen>,
}

/// Runs the command.
///
/// # Errors
/// The domain is not there, or there is no DNS to ask.
pub async fn run(context: &Context, args: DoctorArgs) -> anyhow::Result<ExitCode> {
    let config = Arc::new(context.load()?.config);
    let (database, house) = open(context, &config).await;
    let report = match (&house, database) {
        (Some(house), _) => match scope(house, &args).await {
            Ok(scope) => house.doctor(&config, &context.clock).look(scope, &args.only.iter().cloned().collect()).await.map_err(Into::into),
            Err(error) => Err(error),
        },
        (None, database) => without_database(context, &config, database, &args).await,
    };
    if let Some(house) = house {
        house.close().await?;
    }
    let report = report?;
    context.output.show(&report, || text(&context.output, &report))?;
    Ok(ExitCode::from(match report.worst() {
        None | Some(Level::Info) => 0,
        Some(Level::Warn) => 1,
        Some(Level::Fail) => 2,
    }))
}

/// The database, if it is there and sound.
async fn open(context: &Context, config: &Config) -> (Database, Option<House>) {
    let is_private = config.database.url.expose().is_empty();
    let init = "pennypost init --domain example.com --hostname mail.example.com, or name a PostgreSQL server with DATABASE_URL";
    if is_private && !embedded::has_data(&config.database.data_dir) {
        let why = format!("there is none yet: {} is no data directory", config.database.data_dir.display());
        return (Database::Unready { why, fix: init.to_owned() }, None);
    }
    match House::open_unchanged(config, &context.clock).await {
        Ok(house) => (Database::Unready { why: String::new(), fix: String::new() }, Some(house)),
        Err(error) => {
            let why = format!("{error:#}");
            let fix = if why.contains("migrations wait") { "pennypost migrate" } else { "see [database] in the configuration; or pennypost init" };
            (Database::Unready { why, fix: fix.to_owned() }, None)
        }
    }
}

async fn scope(house: &House, args: &DoctorArgs) -> anyhow::Result<Scope> {
    Ok(match &args.domain {
        Some(name) => Scope::Domain(domain::find(house, name).await?.id),
        None if args.host => Scope::Host,
        None => Scope::All,
    })
}

/// Without a database the host can be looked at all the same.
async fn without_database(context: &Context, config: &Arc<Config>, database: Database, args: &DoctorArgs) -> anyhow::Result<Report> {
    if let (Some(domain), Database::Unready { why, fix }) = (&args.domain, &database) {
        return Err(Failure::new(format!("{domain} cannot be looked at: the database cannot be used: {why}")).fix(fix).into());
    }
    let doctor = Doctor {
        config: Arc::clone(config),
        clock: context.clock.clone(),
        database,
        authorities: serve::authorities(config)?,
        listeners: Listeners::of(config),
    };
    Ok(doctor.look(Scope::Host, &args.only.iter().cloned().collect()).await?)
}

/// Findings in the order of the checks, the faults with all there is to say, then one line that counts.
fn text(output: &Output, report: &Report) -> String {
    let mut text = String::new();
    let widest = report.checks.iter().map(|finding| finding.subject.chars().count()).max().unwrap_or(0).min(50);
    let mut last = "";
    for finding in &report.checks {
        if finding.id != last {
            last = finding.id;
            let _ = writeln!(text, "{}  {}", finding.id, finding.title);
        }
        let (word, tone) = word(finding);
        let word = format!("{word:<7}");
        let word = tone.map_or_else(|| word.clone(), |tone| output.toned(tone, &word));
        let _ = writeln!(text, "    {word} {:<widest$}  {}", printable(finding.subject.clone()), printable(finding.found.clone()));
        if let Some(fix) = &finding.fix {
            let _ = writeln!(text, "            expected: {}", printable(finding.expected.clone()));
            for (place, line) in fix.lines().enumerate() {
                let _ = writeln!(text, "            {} {}", if place == 0 { "fix:     " } else { "         " }, printable(line.to_owned()));
            }
            let _ = writeln!(text, "            source:   {}", finding.source);
        }
    }
    let count = |wanted: &str| report.checks.iter().filter(|finding| word(finding).0 == wanted).count();
    let counted = ["ok", "FAIL", "warning", "info", "unknown", "skipped"].map(|name| format!("{} {name}", count(name)));
    let _ = writeln!(text, "\n{}", counted.join(", "));
    text
}

/// The word for a finding, and its colour.
fn word(finding: &Finding) -> (&'static str, Option<Tone>) {
    match (finding.state, finding.level) {
        (FindingState::Ok, _) => ("ok", Some(Tone::Good)),
        (FindingState::Skipped, _) => ("skipped", None),
        (FindingState::Unknown, _) => ("unknown", Some(Tone::Waiting)),
        (FindingState::Bad, Level::Fail) => ("FAIL", Some(Tone::Bad)),
        (FindingState::Bad, Level::Warn) => ("warning", Some(Tone::Waiting)),
        (FindingState::Bad, Level::Info) => ("info", None),
    }
}
