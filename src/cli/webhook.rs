//! `pennypost webhook`: endpoints that are told what happens.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::{Value, json};

use super::context::Context;
use super::failure::Failure;
use super::output::table;
use crate::events::EventKind;
use crate::model::page::{MAX_LIMIT, PageRequest, read_cursor};
use crate::model::{WebhookId, WebhookMessageId};
use crate::serve::House;
use crate::webhooks::{CreatedWebhook, WebhookError};

/// Show and change who is told by HTTP what happens
#[derive(Debug, Subcommand)]
pub enum WebhookCommand {
    /// Have events posted to a URL, from now on
    Add {
        /// Where: https, on the public Internet
        url: String,
        /// Only this kind of events; may be given more than once
        #[arg(long = "kind")]
        kinds: Vec<EventKind>,
    },
    /// List webhooks, oldest first, those of routes among them
    List,
    /// List what a webhook was told and is to be told, newest first
    Messages {
        /// The id, whk_..
        webhook: WebhookId,
    },
    /// Tell a webhook something again
    Resend {
        /// The id, whk_..
        webhook: WebhookId,
        /// What: whm_..
        message: WebhookMessageId,
    },
    /// Make another secret; for a day both sign
    RotateSecret {
        /// The id, whk_..
        webhook: WebhookId,
    },
    /// Tell a webhook again that answered 410 or failed for days
    Enable {
        /// The id, whk_..
        webhook: WebhookId,
    },
    /// Remove a webhook
    Remove {
        /// The id, whk_..
        webhook: WebhookId,
    },
}

/// Runs the command.
///
/// # Errors
/// The database cannot be used, or there is no such webhook.
pub async fn run(context: &Context, command: WebhookCommand) -> anyhow::Result<ExitCode> {
    let config = context.load()?.config;
    let house = context.open(&config).await?;
    let ended = work(context, &house, command).await;
    house.close().await?;
    ended.map(|()| ExitCode::SUCCESS)
}

async fn work(context: &Context, house: &House, command: WebhookCommand) -> anyhow::Result<()> {
    let (webhooks, project, output) = (&house.webhooks, house.project, &context.output);
    match command {
        WebhookCommand::Add { url, kinds } => {
            let url = webhooks.url(&url).map_err(|error| Failure::usage(format!("{url:?} is not posted to: {error}")))?;
            let created = webhooks.add(project, &url, &kinds).await?;
            note(context, house, "webhook.add", json!({"id": created.view.id, "host": url.host.to_string()})).await?;
            show(context, &created)
        }
        WebhookCommand::List => {
            let found = all(house).await?;
            let columns = [
                ("ID", "/id"),
                ("URL", "/url"),
                ("KINDS", "/kinds"),
                ("ROUTE", "/route_id"),
                ("FAILING SINCE", "/failing_since"),
                ("DISABLED", "/disabled_because"),
            ];
            output.show(&json!({"data": found, "next_cursor": null}), || table(&columns, &found))
        }
        WebhookCommand::Messages { webhook } => {
            let page = PageRequest { limit: MAX_LIMIT, after: None };
            let found = webhooks.messages(project, webhook, None, page).await.map_err(|error| refused(error, webhook))?;
            let shown = found.data.iter().map(serde_json::to_value).collect::<Result<Vec<Value>, _>>()?;
            let columns = [
                ("ID", "/id"),
                ("KIND", "/kind"),
                ("STATE", "/state"),
                ("ATTEMPTS", "/attempts"),
                ("STATUS", "/last_status"),
                ("ERROR", "/last_error"),
                ("NEXT", "/next_attempt_at"),
            ];
            output.show(&json!({"data": shown, "next_cursor": found.next_cursor}), || table(&columns, &shown))
        }
        WebhookCommand::Resend { webhook, message } => {
            webhooks.resend(project, webhook, message).await.map_err(|error| refused(error, webhook))?;
            note(context, house, "webhook.resend", json!({"id": webhook, "message": message})).await?;
            output.show(&json!({"id": webhook, "message": message}), || format!("{message} is told again"))
        }
        WebhookCommand::RotateSecret { webhook } => {
            let rotated = webhooks.rotate(project, webhook).await.map_err(|error| refused(error, webhook))?;
            note(context, house, "webhook.secret", json!({"id": webhook})).await?;
            show(context, &rotated)
        }
        WebhookCommand::Enable { webhook } => {
            let enabled = webhooks.enable(project, webhook).await.map_err(|error| refused(error, webhook))?;
            note(context, house, "webhook.enable", json!({"id": webhook})).await?;
            output.show(&enabled, || format!("{webhook} is told again"))
        }
        WebhookCommand::Remove { webhook } => {
            webhooks.remove(project, webhook).await.map_err(|error| refused(error, webhook))?;
            note(context, house, "webhook.remove", json!({"id": webhook})).await?;
            output.show(&json!({"id": webhook, "removed": true}), || format!("{webhook} is removed"))
        }
    }
}

async fn note(context: &Context, house: &House, action: &str, target: Value) -> anyhow::Result<()> {
    Ok(house.audit.note(house.project, &context.actor(), action, target).await?)
}

fn refused(error: WebhookError, webhook: WebhookId) -> anyhow::Error {
    match error {
        WebhookError::NotFound => {
            Failure::new(format!("there is no webhook {webhook}, or no such message of it")).fix("`pennypost webhook list` shows all").into()
        }
        WebhookError::OfRoute => Failure::new(error.to_string()).fix("`pennypost route list` shows all").into(),
        error => error.into(),
    }
}

fn show(context: &Context, created: &CreatedWebhook) -> anyhow::Result<()> {
    let mut shown = serde_json::to_value(&created.view)?;
    if let Some(fields) = shown.as_object_mut() {
        fields.insert("secret".to_owned(), json!(created.secret.expose()));
    }
    let view = &created.view;
    context.output.show(&shown, || {
        let secret = created.secret.expose();
        format!(
            "{} {}\nsecret  {secret}\n\nThis is the only time the secret is shown; libraries of Standard Webhooks take it as it is.",
            view.id, view.url
        )
    })
}

async fn all(house: &House) -> anyhow::Result<Vec<Value>> {
    let mut page = PageRequest { limit: MAX_LIMIT, after: None };
    let mut found = Vec::new();
    loop {
        let part = house.webhooks.list(house.project, page).await?;
        for webhook in &part.data {
            found.push(serde_json::to_value(webhook)?);
        }
        page.after = part.next_cursor.as_deref().and_then(read_cursor);
        if page.after.is_none() {
            return Ok(found);
        }
    }
}
