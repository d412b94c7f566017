//! `pennypost message`: what became of a message, attempt by attempt.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::context::Context;
use super::failure::Failure;
use super::output::{plain, printable, table};
use super::queue::{change, unknown};
use super::times::parse_time;
use crate::mail::dkim;
use crate::model::MessageId;
use crate::model::page::PageRequest;
use crate::outbox::{MessageFilter, Verb};
use crate::serve::House;

/// Show messages, and what became of them
#[derive(Debug, Subcommand)]
pub enum MessageCommand {
    /// List the latest messages
    List(ListArgs),
    /// Show one message: every delivery, every attempt with the server's reply
    Show {
        /// The id, `msg_..`
        message: MessageId,
        /// The whole SMTP dialogue of each attempt too
        #[arg(long)]
        transcript: bool,
    },
    /// Print the bytes as they are sent, signatures included
    Raw {
        /// The id, `msg_..`
        message: MessageId,
    },
    /// Take back what was not sent yet
    Cancel {
        /// The id, `msg_..`
        message: MessageId,
    },
    /// Try a deferred message now
    Retry {
        /// The id, `msg_..`
        message: MessageId,
    },
}

/// Which messages.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// A delivery is in this state: queued, active, held, delivered, bounced, expired, suppressed, cancelled
    #[arg(long, value_parser = parse_state)]
    state: Option<crate::model::outcome::DeliveryState>,
    /// The sender's address
    #[arg(long)]
    sender: Option<String>,
    /// A recipient's address
    #[arg(long)]
    recipient: Option<String>,
    /// A tag, as in flow=signup
    #[arg(long, value_parser = parse_tag)]
    tag: Option<(String, String)>,
    /// Accepted at this time or later, as in 2026-12-01T09:00:00Z
    #[arg(long, value_parser = parse_time)]
    since: Option<OffsetDateTime>,
    /// Accepted before this time
    #[arg(long, value_parser = parse_time)]
    until: Option<OffsetDateTime>,
    /// How many
    #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u16).range(1..=100))]
    limit: u16,
    /// Where the list goes on: `next_cursor` of the page before
    #[arg(long, value_parser = parse_cursor)]
    cursor: Option<uuid::Uuid>,
}

fn parse_state(text: &str) -> Result<crate::model::outcome::DeliveryState, String> {
    serde_json::from_value(Value::String(text.to_owned())).map_err(|_| "expected a state such as delivered".to_owned())
}

fn parse_tag(text: &str) -> Result<(String, String), String> {
    text.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned())).ok_or_else(|| "expected key=value".to_owned())
}

fn parse_cursor(text: &str) -> Result<uuid::Uuid, String> {
    crate::model::page::read_cursor(text).ok_or_else(|| "expected the next_cursor of another page".to_owned())
}

/// Runs the command.
///
/// # Errors
/// The database cannot be used, or there is no such message.
pub async fn run(context: &Context, command: MessageCommand) -> anyhow::Result<ExitCode> {
    let config = context.load()?.config;
    let house = context.open(&config).await?;
    let ended = work(context, &house, command).await;
    house.close().await?;
    ended.map(|()| ExitCode::SUCCESS)
}

async fn work(context: &Context, house: &House, command: MessageCommand) -> anyhow::Result<()> {
    match command {
        MessageCommand::List(args) => list(context, house, args).await,
        MessageCommand::Show { message, transcript } => {
            let view = house.outbox.message(house.project, message).await?.ok_or_else(|| unknown(message))?;
            let view = serde_json::to_value(&view)?;
            context.output.show(&view, || timeline(&view, transcript))
        }
        MessageCommand::Raw { message } => raw(context, house, message).await,
        MessageCommand::Cancel { message } => change(context, house, Verb::Cancel, message).await,
        MessageCommand::Retry { message } => change(context, house, Verb::Retry, message).await,
    }
}

async fn list(context: &Context, house: &House, args: ListArgs) -> anyhow::Result<()> {
    let filter =
        MessageFilter { state: args.state, sender: args.sender, recipient: args.recipient, tag: args.tag, since: args.since, until: args.until };
    let page = house.outbox.messages(house.project, &filter, PageRequest { limit: args.limit, after: args.cursor }).await?;
    let rows = page.data.iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>()?;
    let columns =
        [("ID", "/id"), ("ACCEPTED", "/accepted_at"), ("FROM", "/from"), ("SUBJECT", "/subject"), ("TO", "/recipients"), ("OCTETS", "/size")];
    let text = || match &page.next_cursor {
        None => table(&columns, &rows),
        Some(cursor) => format!("{}\nmore: --cursor {cursor}\n", table(&columns, &rows)),
    };
    context.output.show(&json!({"data": rows, "next_cursor": page.next_cursor}), text)
}

async fn raw(context: &Context, house: &House, message: MessageId) -> anyhow::Result<()> {
    let stored = house.outbox.content(house.project, message).await?.ok_or_else(|| unknown(message))?;
    let mut signed = match stored.domain {
        None => Vec::new(),
        Some(domain) => {
            let signers = house.domains.signers(domain).await;
            let signers = signers.map_err(|error| Failure::new("the DKIM keys of the domain cannot be read").because(error))?;
            dkim::sign_all(&signers, &stored.content, stored.accepted_at)?
        }
    };
    signed.extend_from_slice(&stored.content);
    if context.output.is_json() {
        return context.output.document(&json!({"id": message, "raw": String::from_utf8_lossy(&signed)}));
    }
    let _ = std::io::stdout().write_all(&signed);
    Ok(())
}

/// A message as people read it: its head, then each delivery with its attempts.
#[must_use]
pub fn timeline(message: &Value, transcript: bool) -> String {
    let word = |value: &Value, name: &str| value.get(name).map(plain).map(printable).unwrap_or_default();
    let mut text = format!("{}\nfrom:    {}\nsubject: {}\n", word(message, "id"), word(message, "from"), word(message, "subject"));
    for delivery in message.get("deliveries").and_then(Value::as_array).into_iter().flatten() {
        let _ = write!(text, "\n{}: {}", word(delivery, "recipient"), word(delivery, "state"));
        if delivery.get("next_attempt_at").is_some_and(Value::is_string) {
            let _ = write!(text, ", next attempt {}", word(delivery, "next_attempt_at"));
        }
        text.push('\n');
        if let Some(detail) = delivery.pointer("/waiting/detail") {
            let _ = writeln!(text, "  waits: {}", printable(plain(detail)));
        }
        for attempt in delivery.get("attempts").and_then(Value::as_array).into_iter().flatten() {
            text.push_str(&attempt_lines(attempt, transcript));
        }
    }
    text
}

fn attempt_lines(attempt: &Value, transcript: bool) -> String {
    let word = |name: &str| attempt.get(name).filter(|value| !value.is_null()).map(plain).map(printable);
    let host = match (word("mx_host"), word("mx_ip")) {
        (Some(host), Some(address)) => format!("{host} [{address}]"),
        (Some(host), None) => host,
        (None, _) => "no host".to_owned(),
    };
    let from = match (word("source_ip"), word("pool")) {
        (Some(source), Some(pool)) => format!("  from {source} ({pool})"),
        (Some(source), None) => format!("  from {source}"),
        (None, _) => String::new(),
    };
    let by = word("smart_host").map(|host| format!("  by smart host {host}")).unwrap_or_default();
    let tls = word("tls").unwrap_or_else(|| "in the clear".to_owned());
    let tls = match (word("tls_policy"), word("tls_result")) {
        (Some(policy), Some(result)) => format!("{tls} ({policy}: {result})"),
        (Some(policy), None) => format!("{tls} ({policy})"),
        (None, _) => tls,
    };
    let unknown = if attempt.get("outcome_unknown").is_some_and(|value| value == true) { "  (may have arrived)" } else { "" };
    let class = word("class").map(|class| format!(" ({class})")).unwrap_or_default();
    let mut text = format!(
        "  {}  {}{class}  {host}  {tls}{from}{by}{unknown}\n    {}\n",
        word("at").unwrap_or_default(),
        word("outcome").unwrap_or_default(),
        word("reply").unwrap_or_default()
    );
    if transcript {
        for line in attempt.get("transcript").and_then(Value::as_array).into_iter().flatten() {
            let _ = writeln!(text, "    | {}", printable(plain(line)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeline_shows_each_attempt_with_its_reply() {
        let message = json!({
            "id": "msg_1", "from": "a@b.example", "subject": "Hi\u{1b}[2J",
            "deliveries": [
                {"recipient": "c@d.example", "state": "queued", "next_attempt_at": "2026-12-01T09:01:00Z",
                 "waiting": {"reason": "retry", "until": "2026-12-01T09:01:00Z", "detail": "attempt 2 follows after: 451 4.7.1 later"}, "attempts": [
                    {"at": "2026-12-01T09:00:00Z", "mx_host": "mx.d.example", "mx_ip": "192.0.2.1", "tls": "TLSv1.3", "tls_policy": "dane", "tls_result": "verified",
                     "source_ip": "192.0.2.9", "pool": "bulk", "smart_host": "mx.d.example:587", "outcome": "deferred",
                     "reply": "451 4.7.1 later", "transcript": ["S: 220 hi", "C: EHLO b"]}]},
                {"recipient": "e@f.example", "state": "bounced", "next_attempt_at": null, "attempts": [
                    {"at": "2026-12-01T09:00:00Z", "outcome": "bounced", "reply": "no such domain", "outcome_unknown": true}]}
            ]
        });
        insta::assert_snapshot!(timeline(&message, true));
    }
}
