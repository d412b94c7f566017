//! `pennypost demo`: the main job whole, on loopback, in half a minute.
//!
//! A private PostgreSQL, a town of other people's servers (a DNS zone, two MX hosts), the gateway itself; a domain with its records published
//! and verified, a key, five messages over real HTTP, and what became of each. Exit code 0 only if every outcome is the expected one and every
//! signature of what arrived verifies. Does not: leave anything behind, or touch the network beyond loopback.

pub mod letters;
pub mod place;
pub mod report;
pub mod town;
pub mod verify;

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use self::letters::Letter;
use self::place::Place;
use self::report::{Finding, Report};
use self::town::Town;
use super::client::ApiClient;
use super::context::{Context, obey_signals};
use super::failure::Failure;
use super::output::{Output, Tone};
use super::send::{is_final, states};
use crate::access::{NewKey, Scope};
use crate::clock::Clock;
use crate::config::{Config, Listen};
use crate::domains::DomainState;
use crate::model::{DomainName, Secret};
use crate::serve::{self, Roles, Running};
use crate::supervisor::Supervisor;

/// Run the main job on loopback and show what became of five messages
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Keep the directory with the database and say where it is
    #[arg(long)]
    keep: bool,
}

/// The domain that mail is sent from, and the name of the gateway.
const SENDER_DOMAIN: &str = "penny.test";
const HOSTNAME: &str = "mail.penny.test";
const PATIENCE: Duration = Duration::from_mins(1);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Runs the command.
///
/// # Errors
/// Something could not be started.
pub async fn run(context: &Context, args: DemoArgs) -> anyhow::Result<ExitCode> {
    let place = Place::make(&context.clock, args.keep)?;
    // The town outlasts the gateway: its last sessions end there.
    let outside = Supervisor::default();
    let ended = Box::pin(with_town(context, &place, &outside)).await;
    outside.kill();
    outside.ended().await;
    if args.keep {
        context.output.note(format!("kept: {}", place.directory().display()));
    }
    let report = ended?;
    context.output.show(&report.document(), || report.text(&context.output))?;
    Ok(if report.is_as_expected() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn with_town(context: &Context, place: &Place, outside: &Supervisor) -> anyhow::Result<Report> {
    let output = &context.output;
    let town = Town::open(outside, &context.clock).await?;
    output.line(format!("DNS on {}, MX hosts on {} and {}", town.dns, town.bakery.local_addr, town.florist.local_addr));
    let config = config(place, &town);
    let _telemetry = context.start_telemetry(&config)?;
    let supervisor = Supervisor::default();
    obey_signals(&supervisor)?;
    let before = context.clock.tick();
    // The gateway's clock can be moved: a greylisting server wants minutes of waiting, which a demo does not have.
    let clock = Clock::movable();
    let started = serve::run(config, Roles::ALL, supervisor.clone(), clock.clone()).await;
    let running = started.map_err(|error| Failure::new("the gateway could not be started").because(error))?;
    output.line(format!("gateway and its PostgreSQL ready after {:.1} s", context.clock.tick().since(before).as_secs_f64()));
    let told = tell(context, &town, &running, &clock).await;
    supervisor.drain();
    let ended = running.wait().await;
    let report = told?;
    ended?;
    Ok(report)
}

fn config(place: &Place, town: &Town) -> Config {
    let mut config = Config::default();
    HOSTNAME.clone_into(&mut config.server.hostname);
    config.server.http_listen = ([127, 0, 0, 1], 0).into();
    config.smtp.submission_listen = Listen::Off;
    config.smtp.submissions_listen = Listen::Off;
    config.smtp.mx_listen = Listen::Off;
    config.server.master_key_file = place.directory().join("master.key");
    config.database.data_dir = place.directory().join("pg");
    config.delivery.mx_port = town.mx_port;
    config.delivery.allow_private_addresses = true;
    config.delivery.drain_seconds = 5;
    config.dns.servers = vec![town.dns];
    "error".clone_into(&mut config.telemetry.log_filter);
    config
}

async fn tell(context: &Context, town: &Town, running: &Running, clock: &Clock) -> anyhow::Result<Report> {
    let output = &context.output;
    publish(output, town, running).await?;
    let key = new_key(running).await?;
    let url = running.http.map(|address| format!("http://{address}")).ok_or_else(|| Failure::new("the gateway opened no HTTP door"))?;
    let client = ApiClient::new(&url, Some(key.clone()), &context.clock)?;
    let letters = letters::all();
    let mut ids = Vec::new();
    for letter in &letters {
        let accepted = client.post("/v1/send", &letter.request).await?.expect_done("a message was not accepted")?;
        let id = accepted.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
        output.line(format!("posted    {id}  {}", letter.title));
        ids.push(id);
    }
    let messages = watch(context, &client, &ids, clock).await?;
    let findings = letters.iter().zip(&messages).flat_map(|(letter, message)| judge(letter, message)).collect();
    let events = count_events(&client).await?;
    let signatures = verify::all(&town.arrived(), town.dns).await?;
    let curl = letters.first().map(|letter| report::curl(&url, &key, &letter.request)).unwrap_or_default();
    Ok(Report { findings, signatures, arrived: town.arrived().len(), expected_arrivals: letters::arrivals(&letters), events, curl })
}

/// Adds the domain, publishes its records in the town's zone and lets the gateway look them up.
async fn publish(output: &Output, town: &Town, running: &Running) -> anyhow::Result<()> {
    let house = &running.house;
    let domain = house.domains.add(house.project, DomainName::parse(SENDER_DOMAIN)?).await?;
    for record in &domain.records {
        town.publish(record)?;
    }
    let checked = house.domains.check(house.project, domain.id).await?;
    if checked.state != DomainState::Verified {
        return Err(Failure::new(format!("{SENDER_DOMAIN} was not verified: {}", json!(checked.records))).into());
    }
    output.line(format!("domain    {SENDER_DOMAIN} added, {} records published and verified", domain.records.len()));
    Ok(())
}

async fn new_key(running: &Running) -> anyhow::Result<Secret<String>> {
    let house = &running.house;
    let new = NewKey { name: "demo".to_owned(), scope: Scope::Full, domains: None, expires_at: None, test: true };
    Ok(house.access.create_key(house.project, new).await?.secret)
}

/// Reads the messages until each delivery is in a final state, and tells every change.
async fn watch(context: &Context, client: &ApiClient, ids: &[String], clock: &Clock) -> anyhow::Result<Vec<Value>> {
    let deadline = context.clock.tick().plus(PATIENCE);
    let mut told = std::collections::BTreeSet::new();
    loop {
        let mut messages = Vec::new();
        for id in ids {
            messages.push(client.get(&format!("/v1/messages/{id}")).await?.expect_done("a message cannot be read")?);
        }
        for change in messages.iter().flat_map(changes) {
            if told.insert(change.clone()) {
                context.output.line(toned(&context.output, &change));
            }
        }
        let done = messages.iter().all(|message| states(message).iter().all(|state| is_final(state)));
        if done || context.clock.tick() >= deadline {
            return Ok(messages);
        }
        if let Some(wait) = only_waiting(&messages, clock.now()) {
            context.output.line(format!("waiting   the gateway's clock is moved on by {} s, to the next attempt", wait.as_secs()));
            clock.advance(wait);
        }
        context.clock.sleep(LOOK_EVERY).await;
    }
}

/// How long it is until the next attempt, if nothing else is left to wait for.
fn only_waiting(messages: &[Value], now: OffsetDateTime) -> Option<Duration> {
    let deliveries = messages.iter().filter_map(|message| message.get("deliveries")?.as_array()).flatten();
    let open = deliveries.filter(|delivery| !delivery.get("state").and_then(Value::as_str).is_some_and(is_final));
    let mut next: Option<OffsetDateTime> = None;
    for delivery in open {
        let tried = delivery.get("attempts").and_then(Value::as_array).is_some_and(|attempts| !attempts.is_empty());
        let at = delivery.get("next_attempt_at").and_then(Value::as_str).and_then(|at| OffsetDateTime::parse(at, &Rfc3339).ok());
        let at = at.filter(|at| tried && *at > now)?;
        next = Some(next.map_or(at, |earlier| earlier.min(at)));
    }
    Duration::try_from(next? - now).ok().map(|wait| wait + Duration::from_secs(1))
}

/// One line for each attempt of each delivery.
fn changes(message: &Value) -> Vec<String> {
    let deliveries = message.get("deliveries").and_then(Value::as_array).into_iter().flatten();
    let lines = deliveries.flat_map(|delivery| {
        let recipient = delivery.get("recipient").and_then(Value::as_str).unwrap_or_default();
        let attempts = delivery.get("attempts").and_then(Value::as_array).into_iter().flatten();
        attempts.enumerate().map(move |(place, attempt)| {
            let word = |name: &str| attempt.get(name).and_then(Value::as_str).unwrap_or_default();
            format!("{:<9} {recipient}, attempt {}: {}", word("outcome"), place + 1, word("reply"))
        })
    });
    lines.collect()
}

fn toned(output: &Output, line: &str) -> String {
    let tone = match line.split(' ').next() {
        Some("delivered") => Tone::Good,
        Some("deferred") => Tone::Waiting,
        _ => Tone::Bad,
    };
    output.toned(tone, line)
}

fn judge(letter: &Letter, message: &Value) -> Vec<Finding> {
    let deliveries = message.get("deliveries").and_then(Value::as_array);
    letter
        .expected
        .iter()
        .map(|expected| {
            let named = |delivery: &&Value| delivery.get("recipient").is_some_and(|recipient| *recipient == expected.recipient);
            let delivery = deliveries.into_iter().flatten().find(named).cloned().unwrap_or_default();
            Finding::new(letter.title, expected, &delivery)
        })
        .collect()
}

/// The number of events by kind, read by cursor to the end.
async fn count_events(client: &ApiClient) -> anyhow::Result<std::collections::BTreeMap<String, usize>> {
    let mut counts = std::collections::BTreeMap::new();
    let mut path = "/v1/events?limit=100".to_owned();
    loop {
        let page = client.get(&path).await?.expect_done("the events cannot be read")?;
        let events = page.get("data").and_then(Value::as_array).cloned().unwrap_or_default();
        for kind in events.iter().filter_map(|event| event.get("kind").and_then(Value::as_str)) {
            *counts.entry(kind.to_owned()).or_insert(0) += 1;
        }
        let Some(cursor) = page.get("next_cursor").and_then(Value::as_str).filter(|_| !events.is_empty()) else { return Ok(counts) };
        path = format!("/v1/events?limit=100&cursor={cursor}");
    }
}
