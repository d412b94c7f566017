//! `pennypost route`: where mail from the world goes.

use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::context::Context;
use super::failure::Failure;
use super::output::table;
use crate::model::page::{MAX_LIMIT, PageRequest, read_cursor};
use crate::model::{EmailAddress, RouteId};
use crate::routes::{NewAction, Pattern, Route, RouteError, RouteView};
use crate::serve::House;

/// Show and change where mail from the world goes
#[derive(Debug, Subcommand)]
pub enum RouteCommand {
    /// Add a route; the most specific one takes an address
    Add {
        /// The address, or a pattern with one *, as in 'sales-*@example.com' or '*@example.com'
        pattern: String,
        /// What becomes of its mail
        #[arg(value_enum)]
        action: ActionName,
        /// Of forward: one or more addresses; of webhook: the URL; of reject: what senders are told
        arguments: Vec<String>,
    },
    /// List routes, oldest first
    List,
    /// Say what becomes of mail to an address
    Test {
        /// The address
        address: EmailAddress,
    },
    /// Ask those whom a route forwards to, and who did not agree yet, once more; within ten minutes nobody is asked twice
    Confirm {
        /// The pattern, or the id, rte_..
        route: String,
    },
    /// Remove a route, with its endpoint if it has one; mail that it kept stays
    Remove {
        /// The pattern, or the id, rte_..
        route: String,
    },
}

/// What a route does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ActionName {
    /// Send mail on, to addresses whose owners agree to it
    Forward,
    /// Keep mail, and post it to an endpoint
    Webhook,
    /// Keep mail, for `pennypost incoming`
    Store,
    /// Refuse mail
    Reject,
    /// Take mail and throw it away
    Drop,
}

/// Runs the command.
///
/// # Errors
/// The database cannot be used, or the route is not one.
pub async fn run(context: &Context, command: RouteCommand) -> anyhow::Result<ExitCode> {
    let config = context.load()?.config;
    let house = context.open(&config).await?;
    let ended = work(context, &house, command).await;
    house.close().await?;
    ended.map(|()| ExitCode::SUCCESS)
}

async fn work(context: &Context, house: &House, command: RouteCommand) -> anyhow::Result<()> {
    match command {
        RouteCommand::Add { pattern, action, arguments } => add(context, house, &pattern, action, &arguments).await,
        RouteCommand::List => {
            let found = all(house).await?;
            let shown: Vec<Value> = found.iter().map(row).collect();
            let columns = [("ID", "/id"), ("PATTERN", "/pattern"), ("ACTION", "/action"), ("TO", "/to")];
            context.output.show(&json!({"data": found, "next_cursor": null}), || table(&columns, &shown))
        }
        RouteCommand::Test { address } => {
            let tested = house.routes.test(house.project, &address).await?;
            context.output.show(&tested, || match (&tested.route, tested.result.as_str()) {
                (Some(route), _) => format!("{address}: {} by {}", route.action, route.pattern),
                (None, "postmaster") => format!("{address}: no route takes it; inbound.postmaster of the configuration does"),
                (None, "report") => format!("{address}: a bounce address; what comes there is read as a report"),
                (None, "unknown") => format!("{address}: refused, no route takes it"),
                (None, "not_verified") => {
                    format!("{address}: put off until the domain is verified; run `pennypost domain check {}`", address.domain())
                }
                (None, _) => format!("{address}: refused, mail for {} is not taken here", address.domain()),
            })
        }
        RouteCommand::Confirm { route } => {
            let found = find(house, &route).await?.ok_or_else(|| missing(&route))?;
            let asked = house.routes.ask_again(house.project, found.id).await?;
            house.audit.note(house.project, &context.actor(), "route.confirm", json!({"id": found.id})).await?;
            context.output.show(&json!({"id": found.id, "asked": asked}), || match asked {
                0 => "nobody is asked: all have agreed, or were asked within the last ten minutes".to_owned(),
                asked => format!("{asked} asked again by mail, as soon as a gateway runs"),
            })
        }
        RouteCommand::Remove { route } => {
            let found = find(house, &route).await?.ok_or_else(|| missing(&route))?;
            if !house.routes.remove(house.project, found.id).await? {
                return Err(missing(&route).into());
            }
            house.audit.note(house.project, &context.actor(), "route.remove", json!({"id": found.id})).await?;
            context.output.show(&json!({"id": found.id, "removed": true}), || {
                format!("{} is removed; a running gateway heeds it within seconds", found.pattern)
            })
        }
    }
}

async fn add(context: &Context, house: &House, pattern: &str, action: ActionName, arguments: &[String]) -> anyhow::Result<()> {
    let pattern = Pattern::parse(pattern).map_err(|error| Failure::usage(format!("{pattern:?} is no pattern: {error}")))?;
    let action = read(house, action, arguments)?;
    let domain = pattern.domain().clone();
    let created = house.routes.add(house.project, pattern, action).await.map_err(|error| refused(error, &domain))?;
    let view = &created.view;
    house.audit.note(house.project, &context.actor(), "route.add", json!({"id": view.id, "pattern": view.pattern, "action": view.action})).await?;
    let known = house.domains.find(house.project, &domain).await?;
    if known.is_some_and(|domain| domain.verified_at.is_none()) {
        context.output.note(format!("mail to {domain} is taken once the domain is verified: `pennypost domain check {domain}`"));
    }
    let mut shown = serde_json::to_value(view)?;
    if let (Some(fields), Some(secret)) = (shown.as_object_mut(), &created.secret) {
        fields.insert("secret".to_owned(), json!(secret.expose()));
    }
    context.output.show(&shown, || {
        let mut lines = vec![format!("{}: {}", view.pattern, view.action)];
        lines.extend(
            created
                .secret
                .as_ref()
                .map(|secret| format!("secret  {}\n\nThis is the only time the secret is shown; it signs what is posted.", secret.expose())),
        );
        lines.join("\n")
    })
}

fn read(house: &House, action: ActionName, arguments: &[String]) -> anyhow::Result<NewAction> {
    let surplus = |what: &str| Failure::usage(format!("{what} takes nothing more"));
    Ok(match (action, arguments) {
        (ActionName::Forward, targets) => {
            let address = |text: &String| EmailAddress::parse(text).map_err(|error| Failure::usage(format!("{text:?} is no address: {error}")));
            NewAction::Forward(targets.iter().map(address).collect::<Result<_, _>>()?)
        }
        (ActionName::Webhook, [url]) => {
            NewAction::Webhook(house.webhooks.url(url).map_err(|error| Failure::usage(format!("{url:?} is not posted to: {error}")))?)
        }
        (ActionName::Webhook, _) => return Err(Failure::usage("name the one URL that mail is posted to").into()),
        (ActionName::Reject, []) => NewAction::Reject(None),
        (ActionName::Reject, words) => NewAction::Reject(Some(words.join(" "))),
        (ActionName::Store, []) => NewAction::Store,
        (ActionName::Drop, []) => NewAction::Drop,
        (ActionName::Store, _) => return Err(surplus("store").into()),
        (ActionName::Drop, _) => return Err(surplus("drop").into()),
    })
}

fn refused(error: RouteError, domain: &crate::model::DomainName) -> anyhow::Error {
    match error {
        RouteError::Store(error) => error.into(),
        RouteError::NoDomain(_) => Failure::new(format!("no route was added: {error}")).fix(format!("pennypost domain add {domain}")).into(),
        RouteError::Exists => Failure::new(format!("no route was added: {error}")).fix("`pennypost route list` shows all").into(),
        error => Failure::usage(format!("no route was added: {error}")).into(),
    }
}

async fn find(house: &House, text: &str) -> anyhow::Result<Option<Route>> {
    if let Ok(id) = text.parse::<RouteId>() {
        return Ok(house.routes.get(house.project, id).await?);
    }
    let pattern = Pattern::parse(text).map_err(|error| Failure::usage(format!("{text:?} is no pattern: {error}")))?;
    Ok(house.routes.by_pattern(house.project, &pattern).await?)
}

fn missing(route: &str) -> Failure {
    Failure::new(format!("there is no route {route}")).fix("`pennypost route list` shows all")
}

/// A line of the list.
fn row(view: &RouteView) -> Value {
    let target = |target: &crate::routes::TargetView| {
        let state = if target.confirmed_at.is_some() { "" } else { " (not confirmed)" };
        format!("{}{state}", target.address)
    };
    let targets = view.targets.iter().map(target).collect::<Vec<_>>().join(", ");
    let to = view.url.clone().or_else(|| view.text.clone()).unwrap_or(targets);
    json!({"id": view.id, "pattern": view.pattern, "action": view.action, "to": to})
}

async fn all(house: &House) -> anyhow::Result<Vec<RouteView>> {
    let mut page = PageRequest { limit: MAX_LIMIT, after: None };
    let mut routes = Vec::new();
    loop {
        let found = house.routes.list(house.project, page).await?;
        routes.extend(found.data);
        page.after = found.next_cursor.as_deref().and_then(read_cursor);
        if page.after.is_none() {
            return Ok(routes);
        }
    }
}
