//! `pennypost queue`: what waits, and control over it. A running gateway sees a change within a second.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::context::Context;
use super::failure::Failure;
use super::output::{plain, printable, table};
use crate::config::Config;
use crate::model::{DomainName, MessageId, SiteName};
use crate::outbox::{self, Change, Paused, ReasonError, Selection, Target, Verb};
use crate::serve::House;

/// Show and control what waits
#[derive(Debug, Subcommand)]
pub enum QueueCommand {
    /// What waits, by recipient domain, and what is paused
    List,
    /// Mail hosts that are sent less than could be, and why
    Sites,
    /// Source addresses: how they stand, what they sent today
    Egress,
    /// Keep deliveries back until they are released
    Hold(Which),
    /// Let held deliveries go on
    Release(Which),
    /// Try deliveries now
    Retry(Which),
    /// Take back what was not sent yet; more than one message needs --yes
    Cancel {
        /// Which
        #[command(flatten)]
        which: Which,
        /// Yes, more than one message
        #[arg(long)]
        yes: bool,
    },
    /// Try nothing to a domain or a site, or nothing of the project, until `queue resume`; mail goes on to be accepted, and to expire
    Pause {
        /// What
        #[command(flatten)]
        what: What,
        /// Why, for those who find it paused
        #[arg(long, value_parser = parse_reason)]
        reason: String,
    },
    /// End a pause
    Resume(What),
}

/// Which deliveries; all conditions given must hold.
#[derive(Debug, Args)]
pub struct Which {
    /// Of this message, `msg_..`
    message: Option<MessageId>,
    /// To this domain
    #[arg(long, value_name = "DOMAIN")]
    domain: Option<DomainName>,
    /// From this domain
    #[arg(long, value_name = "DOMAIN")]
    sender_domain: Option<DomainName>,
    /// With this tag, as in flow=signup
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_tag)]
    tag: Option<(String, String)>,
    /// At the site with these MX hosts now, or one that `queue sites` shows, or a smart host, `host:port`
    #[arg(long, value_name = "HOST,HOST")]
    site: Option<SiteName>,
    /// All of the project
    #[arg(long)]
    all: bool,
    /// Of all projects
    #[arg(long)]
    all_projects: bool,
}

/// What is paused.
#[derive(Debug, Args)]
pub struct What {
    /// Mail to this domain
    #[arg(long, value_name = "DOMAIN", required_unless_present_any = ["all", "site"], conflicts_with_all = ["all", "site"])]
    domain: Option<DomainName>,
    /// Mail to all domains with these MX hosts, or at a site that `queue sites` shows, or by a smart host, `host:port`
    #[arg(long, value_name = "HOST,HOST", conflicts_with = "all")]
    site: Option<SiteName>,
    /// All mail of the project
    #[arg(long)]
    all: bool,
    /// The mail of all projects to the domain or site
    #[arg(long, conflicts_with = "all")]
    all_projects: bool,
}

impl Which {
    fn selection(self) -> anyhow::Result<(Selection, Scope)> {
        let scope = if self.all_projects { Scope::House } else { Scope::Project };
        let Self { message, domain, sender_domain, tag, site, all, .. } = self;
        let selection = Selection { message, recipient_domain: domain, sender_domain, tag, site, all };
        let fix = "give a message id, --domain, --sender-domain, --tag or --site, together if you like, or --all alone";
        selection.check().map_err(|error| Failure::usage("this selects no deliveries").fix(fix).because(error))?;
        Ok((selection, scope))
    }
}

/// Whose deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    Project,
    House,
}

fn parse_tag(text: &str) -> Result<(String, String), String> {
    text.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned())).ok_or_else(|| "expected key=value".to_owned())
}

fn parse_reason(text: &str) -> Result<String, ReasonError> {
    outbox::check_reason(text).map(|()| text.to_owned())
}

/// The cursor of a list.
///
/// # Errors
/// It is none.
pub fn parse_cursor(text: &str) -> Result<uuid::Uuid, String> {
    crate::model::page::read_cursor(text).ok_or_else(|| "expected the next_cursor of another page".to_owned())
}

/// Runs the command.
///
/// # Errors
/// The database cannot be used, or there is no such message.
pub async fn run(context: &Context, command: QueueCommand) -> anyhow::Result<ExitCode> {
    let config = context.load()?.config;
    let house = context.open(&config).await?;
    let ended = work(context, &config, &house, command).await;
    house.close().await?;
    ended.map(|()| ExitCode::SUCCESS)
}

async fn work(context: &Context, config: &Config, house: &House, command: QueueCommand) -> anyhow::Result<()> {
    match command {
        QueueCommand::List => list(context, house).await,
        QueueCommand::Hold(which) => select(context, house, Verb::Hold, which).await,
        QueueCommand::Release(which) => select(context, house, Verb::Release, which).await,
        QueueCommand::Retry(which) => select(context, house, Verb::Retry, which).await,
        QueueCommand::Cancel { which, yes } => {
            if !yes && which.message.is_none() {
                let fix = "look at it with `pennypost queue list` and `message list`, then say --yes; `queue hold` keeps it back instead";
                return Err(Failure::usage("this cancels more than one message and cannot be undone").fix(fix).into());
            }
            select(context, house, Verb::Cancel, which).await
        }
        QueueCommand::Pause { what, reason } => {
            let pause = house.outbox.pause(&paused(house, what), &reason, &context.actor()).await?;
            let name = match (&pause.recipient_domain, &pause.site) {
                (Some(domain), _) => format!("mail to {domain}"),
                (None, Some(site)) => format!("the site {site}"),
                (None, None) => "the project".to_owned(),
            };
            context.output.show(&pause, || format!("{name} is paused; what reaches its end meanwhile expires"))
        }
        QueueCommand::Resume(what) => {
            let (domain, site) = (what.domain.clone(), what.site.clone());
            let what = paused(house, what);
            if !house.outbox.resume(&what, &context.actor()).await? {
                return Err(Failure::new("this is not paused").fix("`pennypost queue list` shows the pauses").into());
            }
            context.output.show(&json!({"recipient_domain": domain, "site": site, "resumed": true}), || "the pause is over".to_owned())
        }
        QueueCommand::Sites => sites(context, house).await,
        QueueCommand::Egress => egress(context, config, house).await,
    }
}

async fn egress(context: &Context, config: &Config, house: &House) -> anyhow::Result<()> {
    let sources = house.outbox.sources(&config.delivery, &config.server.hostname).await?;
    let rows = sources.iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>()?;
    let lines = || {
        let shown = sources.iter().zip(&rows).map(|(source, row)| {
            let ceilings = source.warm_up.iter().map(|of| {
                let provider = of.provider.as_deref().unwrap_or("each other");
                of.sent.map_or_else(|| format!("{provider} 0/{}", of.ceiling), |sent| format!("{provider} {sent}/{}", of.ceiling))
            });
            let mut row = row.clone();
            if let Some(fields) = row.as_object_mut() {
                fields.insert("today".to_owned(), ceilings.collect::<Vec<_>>().join(", ").into());
            }
            row
        });
        let columns = [
            ("SOURCE", "/address"),
            ("POOL", "/pool"),
            ("NAME", "/ehlo_name"),
            ("WEIGHT", "/weight"),
            ("STATE", "/state"),
            ("PAUSED", "/paused"),
            ("TODAY", "/today"),
            ("REASON", "/reason"),
        ];
        table(&columns, &shown.collect::<Vec<_>>())
    };
    context.output.show(&json!({"data": rows, "next_cursor": null}), lines)
}

async fn sites(context: &Context, house: &House) -> anyhow::Result<()> {
    let sites = house.outbox.all_sites().await?.iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>()?;
    let mut pauses = house.outbox.pauses(house.project).await?;
    pauses.retain(|pause| pause.site.is_some());
    let pauses = pauses.iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>()?;
    let columns = [
        ("SITE", "/name"),
        ("PROVIDER", "/provider"),
        ("STATE", "/state"),
        ("UNTIL", "/until"),
        ("SESSIONS", "/sessions"),
        ("A MINUTE", "/messages_per_minute"),
        ("REASON", "/reason"),
    ];
    context.output.show(&json!({"data": sites, "pauses": pauses, "next_cursor": null}), || with_pauses(&table(&columns, &sites), &pauses))
}

/// A table, and below it the pauses.
fn with_pauses(table: &str, pauses: &[Value]) -> String {
    let lines: String = pauses.iter().map(pause_line).collect();
    format!("{table}{}{lines}", if lines.is_empty() { "" } else { "\n" })
}

fn paused(house: &House, what: What) -> Paused {
    let target = what.domain.map(Target::Domain).or_else(|| what.site.map(Target::Site)).unwrap_or(Target::Everything);
    Paused { project: (!what.all_projects).then_some(house.project), target }
}

async fn list(context: &Context, house: &House) -> anyhow::Result<()> {
    let lanes = house.outbox.queue(house.project).await?.iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>()?;
    let pauses = house.outbox.pauses(house.project).await?.iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>()?;
    let columns = [
        ("DOMAIN", "/domain"),
        ("QUEUED", "/queued"),
        ("ACTIVE", "/active"),
        ("HELD", "/held"),
        ("PAUSED", "/paused"),
        ("OLDEST", "/oldest_at"),
        ("NEXT ATTEMPT", "/next_at"),
    ];
    context.output.show(&json!({"data": lanes, "pauses": pauses, "next_cursor": null}), || with_pauses(&table(&columns, &lanes), &pauses))
}

fn pause_line(pause: &Value) -> String {
    let word = |pointer: &str| pause.pointer(pointer).map(plain).map(printable).unwrap_or_default();
    let named = ["/recipient_domain", "/site"].into_iter().find(|pointer| pause.pointer(pointer).is_some_and(|value| !value.is_null()));
    let what = match (named, pause.pointer("/all_projects")) {
        (None, _) => "the project".to_owned(),
        (Some(pointer), Some(Value::Bool(true))) => format!("{} (all projects)", word(pointer)),
        (Some(pointer), _) => word(pointer),
    };
    format!("paused: {what} since {} by {}: {}\n", word("/since"), word("/by/name"), word("/reason"))
}

async fn select(context: &Context, house: &House, verb: Verb, which: Which) -> anyhow::Result<()> {
    let (selection, scope) = which.selection()?;
    if let (Some(message), Scope::Project) = (selection.message, scope)
        && house.outbox.message(house.project, message).await?.is_none()
    {
        return Err(unknown(message).into());
    }
    if selection.site.is_some() && !house.outbox.knows_sites() {
        return Err(Failure::new("the ways that mail takes are not known, as the configuration cannot be used")
            .fix("see `pennypost config check`")
            .into());
    }
    let project = (scope == Scope::Project).then_some(house.project);
    let mut total = Change::default();
    loop {
        let part = house.outbox.change(verb, project, &selection, &context.actor(), total.next).await?;
        let (changed, active, unplaced) = (total.changed + part.changed, total.active + part.active, total.unplaced + part.unplaced);
        total = Change { changed, active, unplaced, next: part.next };
        if total.next.is_none() {
            return tell(context, verb, selection.message, total);
        }
    }
}

/// Changes the deliveries of one message and tells of it.
///
/// # Errors
/// There is no such message, or the database cannot be used.
pub async fn change(context: &Context, house: &House, verb: Verb, message: MessageId) -> anyhow::Result<()> {
    let done = house.outbox.change_message(verb, house.project, message, &context.actor()).await?.ok_or_else(|| unknown(message))?;
    tell(context, verb, Some(message), done)
}

/// Tells how many deliveries were changed.
fn tell(context: &Context, verb: Verb, message: Option<MessageId>, done: Change) -> anyhow::Result<()> {
    let shown = match message {
        Some(id) => json!({"id": id, "deliveries": done.changed, "changed": done.changed, "active": done.active, "unplaced": done.unplaced}),
        None => json!({"changed": done.changed, "active": done.active, "unplaced": done.unplaced}),
    };
    context.output.show(&shown, || sentence(verb, done))
}

fn sentence(verb: Verb, done: Change) -> String {
    let verb = match verb {
        Verb::Hold => "held",
        Verb::Release => "released",
        Verb::Cancel => "cancelled",
        Verb::Retry => "due now",
    };
    let mut text = match done.changed {
        0 => "no delivery is in a state that this changes".to_owned(),
        1 => format!("1 delivery {verb}"),
        more => format!("{more} deliveries {verb}"),
    };
    if done.active > 0 {
        let _ = write!(text, "; {} under way left alone (`queue pause` brings back what was not begun)", done.active);
    }
    if done.unplaced > 0 {
        let _ = write!(text, "; {} left alone whose domain cannot be looked up now", done.unplaced);
    }
    text
}

/// There is no such message.
#[must_use]
pub fn unknown(message: MessageId) -> Failure {
    Failure::new(format!("there is no message {message}"))
        .fix("`pennypost message list` shows the latest; old ones are removed after retention.message_days")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_is_told_with_what_was_left_alone() {
        let change = |changed, active| Change { changed, active, ..Change::default() };
        assert_eq!(sentence(Verb::Hold, change(0, 0)), "no delivery is in a state that this changes");
        assert_eq!(sentence(Verb::Cancel, change(1, 0)), "1 delivery cancelled");
        let mixed = sentence(Verb::Release, change(7, 2));
        assert_eq!(mixed, "7 deliveries released; 2 under way left alone (`queue pause` brings back what was not begun)");
        assert_eq!(
            sentence(Verb::Hold, Change { unplaced: 3, ..change(1, 0) }),
            "1 delivery held; 3 left alone whose domain cannot be looked up now"
        );
    }

    #[test]
    fn a_pause_is_one_line() {
        let pause = json!({"recipient_domain": "a.example", "all_projects": true, "reason": "550 \u{1b}", "by": {"name": "ops"}, "since": "now"});
        assert_eq!(pause_line(&pause), "paused: a.example (all projects) since now by ops: 550 \u{fffd}\n");
        let pause =
            json!({"recipient_domain": null, "site": "mx.example", "all_projects": false, "reason": "x", "by": {"name": "ops"}, "since": "now"});
        assert_eq!(pause_line(&pause), "paused: mx.example since now by ops: x\n");
    }
}
