//! `pennypost smtp-user`: who may submit mail by SMTP. A password is shown once, when it is made.

use std::io::Read;
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::{Value, json};

use super::context::Context;
use super::failure::Failure;
use super::output::table;
use super::smtp_gmail::{self, GmailArgs};
use crate::access::smtp_users::{CreatedSmtpUser, SignInError, SmtpUserRecord};
use crate::config::{Config, Listen};
use crate::model::page::{MAX_LIMIT, PageRequest, read_cursor};
use crate::model::{EmailAddress, Secret, SenderPattern};
use crate::serve::House;

/// Make, list, check and remove users who submit by SMTP
#[derive(Debug, Subcommand)]
pub enum SmtpUserCommand {
    /// Make a user; the password is shown this once
    Add {
        /// The name to sign in with: an address, or a plain name
        username: String,
        /// A further sender, as in `*@example.com`; again for more. Without any, the user sends as its own address alone
        #[arg(long = "send-as", value_name = "PATTERN")]
        send_as: Vec<SenderPattern>,
    },
    /// List users, without their passwords
    List,
    /// Read a password from stdin; exit code 0 if it is right, 1 if not
    Check {
        /// The name to sign in with
        username: String,
    },
    /// Make another password, shown this once; the old one stops working
    #[command(visible_alias = "password")]
    Passwd {
        /// The name to sign in with
        username: String,
    },
    /// Show what to fill in where Gmail lets you send mail as an address of yours
    Gmail(GmailArgs),
    /// Remove a user
    Remove {
        /// The name to sign in with
        username: String,
    },
}

/// Runs the command.
///
/// # Errors
/// The database cannot be used, or there is no such user.
pub async fn run(context: &Context, command: SmtpUserCommand) -> anyhow::Result<ExitCode> {
    let config = context.load()?.config;
    let house = context.open(&config).await?;
    let ended = work(context, &config, &house, command).await;
    house.close().await?;
    ended
}

async fn work(context: &Context, config: &Config, house: &House, command: SmtpUserCommand) -> anyhow::Result<ExitCode> {
    match command {
        SmtpUserCommand::Add { username, send_as } => {
            let created = house.smtp_users.add(house.project, &username, send_as).await;
            let created = created.map_err(|error| Failure::usage(format!("no SMTP user was made: {error}")))?;
            let record = &created.record;
            let target = json!({"id": record.id, "username": record.username, "send_as": record.send_as});
            house.audit.note(house.project, &context.actor(), "smtp_user.add", target).await?;
            note_domain(context, house, record).await?;
            show(context, config, &created)?;
        }
        SmtpUserCommand::List => {
            let users = all(house).await?;
            let columns = [("ID", "/id"), ("USERNAME", "/username"), ("SENDS AS", "/send_as"), ("LAST USED", "/last_used_at")];
            context.output.show(&json!({"data": users, "next_cursor": null}), || table(&columns, &users))?;
        }
        SmtpUserCommand::Check { username } => return check(context, house, &username).await,
        SmtpUserCommand::Passwd { username } => {
            let user = find(house, &username).await?;
            let changed = house.smtp_users.change_password(house.project, user.id).await?.ok_or_else(|| missing(&username))?;
            house.audit.note(house.project, &context.actor(), "smtp_user.password", json!({"id": user.id})).await?;
            show(context, config, &changed)?;
        }
        SmtpUserCommand::Gmail(args) => smtp_gmail::show(context, config, house, &args).await?,
        SmtpUserCommand::Remove { username } => {
            let user = find(house, &username).await?;
            if !house.smtp_users.remove(house.project, user.id).await? {
                return Err(missing(&username).into());
            }
            house.audit.note(house.project, &context.actor(), "smtp_user.remove", json!({"id": user.id})).await?;
            context
                .output
                .show(&json!({"id": user.id, "removed": true}), || format!("{} is removed; open sessions end within a minute", user.username))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn find(house: &House, username: &str) -> anyhow::Result<SmtpUserRecord> {
    Ok(house.smtp_users.find(house.project, username).await?.ok_or_else(|| missing(username))?)
}

fn missing(username: &str) -> Failure {
    Failure::new(format!("there is no SMTP user {username}")).fix("`pennypost smtp-user list` shows all")
}

/// A user whose domain the project does not have can sign in and not send.
async fn note_domain(context: &Context, house: &House, user: &SmtpUserRecord) -> anyhow::Result<()> {
    if let Ok(address) = EmailAddress::parse(&user.username)
        && house.domains.find(house.project, address.domain()).await?.is_none()
    {
        let domain = address.domain();
        context.output.note(format!("{domain} is not a domain of this project yet: `pennypost domain add {domain}` comes before the first mail"));
    }
    Ok(())
}

async fn check(context: &Context, house: &House, username: &str) -> anyhow::Result<ExitCode> {
    let mut password = String::new();
    std::io::stdin().read_to_string(&mut password)?;
    let password = Secret::new(password.trim_end_matches(['\r', '\n']).to_owned());
    let right = match house.smtp_users.sign_in(username, &password).await {
        Ok(_) => true,
        Err(SignInError::Wrong | SignInError::MayNotSend) => false,
        Err(error) => return Err(error.into()),
    };
    let told = if right { "user name and password are right" } else { "user name or password is wrong" };
    context.output.show(&json!({"username": username, "ok": right}), || told.to_owned())?;
    Ok(if right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn show(context: &Context, config: &Config, created: &CreatedSmtpUser) -> anyhow::Result<()> {
    let mut shown = serde_json::to_value(&created.record)?;
    if let Some(fields) = shown.as_object_mut() {
        fields.insert("password".to_owned(), Value::String(created.password.expose().clone()));
    }
    context.output.show(&shown, || settings(config, &created.record.username, &created.password))
}

/// What to fill in where a program asks for an SMTP server.
fn settings(config: &Config, username: &str, password: &Secret<String>) -> String {
    let host = if config.server.hostname.is_empty() { "localhost" } else { &config.server.hostname };
    let port = |listen: Listen| listen.addresses().first().map(std::net::SocketAddr::port);
    let mut lines = vec![format!("SMTP server  {host}")];
    if let Some(port) = port(config.smtp.submissions_listen) {
        lines.push(format!("port         {port} with SSL/TLS"));
    }
    if let Some(port) = port(config.smtp.submission_listen) {
        lines.push(format!("port         {port} with STARTTLS"));
    }
    lines.push(format!("user name    {username}"));
    lines.push(format!("password     {}", password.expose()));
    lines.push("\nThis is the only time the password is shown.".to_owned());
    lines.join("\n")
}

async fn all(house: &House) -> anyhow::Result<Vec<Value>> {
    let mut page = PageRequest { limit: MAX_LIMIT, after: None };
    let mut users = Vec::new();
    loop {
        let found = house.smtp_users.list(house.project, page).await?;
        for user in &found.data {
            users.push(serde_json::to_value(user)?);
        }
        page.after = found.next_cursor.as_deref().and_then(read_cursor);
        if page.after.is_none() {
            return Ok(users);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_can_be_copied_into_any_program() {
        let mut config = Config::default();
        config.server.hostname = "mail.example.com".to_owned();
        insta::assert_snapshot!(settings(&config, "hello@example.com", &Secret::new("pp_smtp_PASSWORD".to_owned())));
    }
}
