//! `pennypost send`: a test message over the API or by SMTP, and everything that becomes of it.

use std::io::Read;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::client::ApiClient;
use super::context::Context;
use super::failure::Failure;
use super::message::timeline;
use super::send_report;
use super::send_smtp::{self, Letter, Port};
use super::times::parse_duration;
use crate::config::Config;
use crate::model::Secret;

/// Send a test message and print what becomes of it; exit code 1 unless it is delivered to all
#[derive(Debug, Args)]
pub struct SendArgs {
    /// Who it is from, as in `Penny <hello@example.com>`
    #[arg(long)]
    from: String,
    /// Who gets it; again for more
    #[arg(long, required = true)]
    to: Vec<String>,
    /// The subject
    #[arg(long, default_value = "A test from Pennypost")]
    subject: String,
    /// The text; `-` reads it from stdin
    #[arg(long, default_value = "It works.")]
    text: String,
    /// The way in
    #[arg(long, value_enum, default_value_t = Way::Api)]
    via: Way,
    /// The API key; better as PENNYPOST_KEY in the environment, where no process list shows it
    #[arg(long)]
    key: Option<String>,
    /// With `--via smtp465` or `smtp587`: the user to sign in as; the password is read from PENNYPOST_SMTP_PASSWORD. Without it, the API key is the password
    #[arg(long)]
    user: Option<String>,
    /// Where the gateway is; else where the configuration says it listens
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// How long to wait for the end of it
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "60s")]
    wait: Duration,
    /// Say what a receiver sees: SPF, DKIM, DMARC and alignment by our own verifier, TLS, address family, reverse DNS
    #[arg(long)]
    report: bool,
}

/// A way in.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Way {
    /// POST /v1/send
    Api,
    /// SMTP on port 465: TLS from the first octet
    Smtp465,
    /// SMTP on port 587: STARTTLS
    Smtp587,
}

/// Where the gateway of `config` answers.
#[must_use]
pub fn base_url(config: &Config) -> String {
    let mut listen = config.server.http_listen;
    if listen.ip().is_unspecified() {
        listen.set_ip(if listen.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
    }
    format!("http://{listen}")
}

/// Runs the command.
///
/// # Errors
/// The gateway does not answer or refuses the message.
pub async fn run(context: &Context, args: SendArgs) -> anyhow::Result<ExitCode> {
    let config = context.load()?.config;
    let Some(key) = args.key.clone().or_else(|| std::env::var("PENNYPOST_KEY").ok()).filter(|key| !key.is_empty()) else {
        return Err(Failure::usage("an API key is needed").fix("set PENNYPOST_KEY; `pennypost key create` makes one").into());
    };
    let key = Secret::new(key);
    let client = ApiClient::new(&args.url.clone().unwrap_or_else(|| base_url(&config)), Some(key.clone()), &context.clock)?;
    let id = match args.via {
        Way::Api => {
            let accepted = client.post("/v1/send", &request(&args)?).await?.expect_done("the message was not accepted")?;
            accepted.get("id").and_then(Value::as_str).unwrap_or_default().to_owned()
        }
        Way::Smtp465 => by_smtp(&config, Port::Implicit, &args, &key).await?,
        Way::Smtp587 => by_smtp(&config, Port::StartTls, &args, &key).await?,
    };
    if !context.output.is_json() {
        context.output.note(format!("accepted as {id}"));
    }
    let message = follow(context, &client, &id, args.wait).await?;
    show(context, &config, &client, &args, &message).await?;
    Ok(if states(&message).iter().all(|state| state == "delivered") { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn show(context: &Context, config: &Config, client: &ApiClient, args: &SendArgs, message: &Value) -> anyhow::Result<()> {
    if !args.report {
        return context.output.show(message, || timeline(message, true));
    }
    let seen = send_report::see(context, config, client, message).await?;
    let mut shown = message.clone();
    if let Some(fields) = shown.as_object_mut() {
        fields.insert("report".to_owned(), serde_json::to_value(&seen)?);
    }
    context.output.show(&shown, || format!("{}{}", timeline(message, true), send_report::text(&seen)))
}

fn request(args: &SendArgs) -> anyhow::Result<Value> {
    Ok(json!({"from": args.from, "to": args.to, "subject": args.subject, "text": text(args)?}))
}

fn text(args: &SendArgs) -> anyhow::Result<String> {
    let mut text = args.text.clone();
    if text == "-" {
        text.clear();
        std::io::stdin().read_to_string(&mut text)?;
    }
    Ok(text)
}

async fn by_smtp(config: &Config, port: Port, args: &SendArgs, key: &Secret<String>) -> anyhow::Result<String> {
    let (user, password) = match &args.user {
        None => ("apikey", key.clone()),
        Some(user) => {
            let given = std::env::var("PENNYPOST_SMTP_PASSWORD").ok().filter(|password| !password.is_empty());
            let password = given.ok_or_else(|| Failure::usage("the password of the SMTP user is needed").fix("set PENNYPOST_SMTP_PASSWORD"))?;
            (user.as_str(), Secret::new(password))
        }
    };
    let letter = Letter { from: &args.from, to: &args.to, subject: &args.subject, text: text(args)?, user, password: &password };
    send_smtp::send(config, port, letter).await
}

/// Reads a message until every delivery is in a final state, or `wait` is over.
///
/// # Errors
/// The gateway does not answer.
pub async fn follow(context: &Context, client: &ApiClient, id: &str, wait: Duration) -> anyhow::Result<Value> {
    let deadline = context.clock.tick().plus(wait);
    let path = format!("/v1/messages/{id}");
    loop {
        let message = client.get(&path).await?.expect_done("the message cannot be read")?;
        if states(&message).iter().all(|state| is_final(state)) || context.clock.tick() >= deadline {
            return Ok(message);
        }
        context.clock.sleep(Duration::from_millis(100)).await;
    }
}

/// The states of a message's deliveries.
#[must_use]
pub fn states(message: &Value) -> Vec<String> {
    let deliveries = message.get("deliveries").and_then(Value::as_array).into_iter().flatten();
    deliveries.filter_map(|delivery| delivery.get("state")?.as_str().map(str::to_owned)).collect()
}

/// True if a delivery in this state changes no more.
#[must_use]
pub fn is_final(state: &str) -> bool {
    !matches!(state, "queued" | "active" | "held")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_that_listens_everywhere_is_asked_on_loopback() {
        let mut config = Config::default();
        config.server.http_listen = "0.0.0.0:80".parse().unwrap();
        assert_eq!(base_url(&config), "http://127.0.0.1:80");
        config.server.http_listen = "[::]:80".parse().unwrap();
        assert_eq!(base_url(&config), "http://[::1]:80");
    }
}
