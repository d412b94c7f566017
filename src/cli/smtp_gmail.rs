//! `pennypost smtp-user gmail`: what to fill in where Gmail says "Add another email address you own", and what stands in the way.
//!
//! Answers: the values of both pages of that form, what to do next, and warnings on what Gmail would stumble over: a port it does not offer, a
//! sender that may not be used, a domain that is not verified, a verification mail that arrives nowhere.
//! Does not: know or change the password.

use clap::Args;
use serde::Serialize;

use super::context::Context;
use super::failure::Failure;
use crate::access::smtp_users::SmtpUserRecord;
use crate::config::{Config, Listen};
use crate::domains::DomainState;
use crate::model::{EmailAddress, SenderPattern};
use crate::routes::{Action, Found};
use crate::serve::House;

/// The ports that Gmail's form offers and that take submitted mail.
const GMAIL_PORTS: [u16; 2] = [587, 465];

/// What is asked.
#[derive(Debug, Args)]
pub struct GmailArgs {
    /// The address to send as from Gmail
    pub address: EmailAddress,
    /// The user to sign in as, if it is not the address itself
    #[arg(long, value_name = "USERNAME")]
    pub user: Option<String>,
}

/// The form, and what belongs to it.
#[derive(Debug, Serialize)]
struct Form {
    page_1: Identity,
    page_2: Submission,
    next: Vec<String>,
    warnings: Vec<String>,
}

/// "Enter information about your other email address".
#[derive(Debug, Serialize)]
struct Identity {
    name: &'static str,
    email_address: String,
    treat_as_an_alias: bool,
}

/// "Send mail through your SMTP server".
#[derive(Debug, Serialize)]
struct Submission {
    smtp_server: String,
    port: Option<u16>,
    username: String,
    password: &'static str,
    secured_connection: &'static str,
}

/// Prints the form.
///
/// # Errors
/// There is no such user, or the database cannot be used.
pub(super) async fn show(context: &Context, config: &Config, house: &House, args: &GmailArgs) -> anyhow::Result<()> {
    let username = args.user.clone().unwrap_or_else(|| args.address.to_string());
    let missing = || {
        let fix = format!("`pennypost smtp-user add {username}` makes it; --user names another that may send as {}", args.address);
        Failure::new(format!("there is no SMTP user {username}")).fix(fix)
    };
    let user = house.smtp_users.find(house.project, &username).await?.ok_or_else(missing)?;
    let form = form(config, &args.address, &user, &stumbling(config, house, &args.address, &user).await?);
    context.output.show(&form, || text(&form))
}

fn form(config: &Config, address: &EmailAddress, user: &SmtpUserRecord, warnings: &[String]) -> Form {
    let (port, secured_connection) = match (port(config.smtp.submission_listen), port(config.smtp.submissions_listen)) {
        (Some(port), other) if GMAIL_PORTS.contains(&port) || other.is_none() => (Some(port), "Secured connection using TLS (recommended)"),
        (_, Some(port)) => (Some(port), "Secured connection using SSL"),
        (port, None) => (port, "Secured connection using TLS (recommended)"),
    };
    Form {
        page_1: Identity {
            name: "the name that recipients see",
            email_address: address.to_string(),
            // Mail to the address comes to the same Gmail account.
            treat_as_an_alias: true,
        },
        page_2: Submission {
            smtp_server: config.server.hostname.clone(),
            port,
            username: user.username.clone(),
            password: "the password that `smtp-user add` showed; `smtp-user passwd` makes another",
            secured_connection,
        },
        next: vec![
            "Gmail signs in at once: a wrong value is told on the form.".to_owned(),
            format!("Gmail then sends a mail with a code to {address}; follow the link in it, or enter the code."),
            "In a new mail, choose the address in the line From; in Settings, choose \"Reply from the same address the message was sent to\"."
                .to_owned(),
        ],
        warnings: warnings.to_vec(),
    }
}

/// What Gmail or its mail would stumble over.
async fn stumbling(config: &Config, house: &House, address: &EmailAddress, user: &SmtpUserRecord) -> anyhow::Result<Vec<String>> {
    let mut warnings = Vec::new();
    let ports = [port(config.smtp.submission_listen), port(config.smtp.submissions_listen)];
    if !ports.iter().flatten().any(|port| GMAIL_PORTS.contains(port)) {
        warnings.push("Gmail offers the ports 587 and 465 alone: set smtp.submission_listen or smtp.submissions_listen to one of them".to_owned());
    }
    if config.server.hostname.is_empty() {
        warnings.push("server.hostname is empty: Gmail needs the name that the certificate is for".to_owned());
    }
    let own = EmailAddress::parse(&user.username).is_ok_and(|own| SenderPattern::Address(own).allows(address));
    if !own && !user.send_as.iter().any(|pattern| pattern.allows(address)) {
        warnings.push(format!("{} may not send as {address}: make the user with --send-as {address}", user.username));
    }
    match house.domains.find(house.project, address.domain()).await? {
        None => warnings.push(format!("{0} is no domain of the project: `pennypost domain add {0}`", address.domain())),
        Some(domain) if domain.state != DomainState::Verified => {
            warnings.push(format!("{0} is not verified: `pennypost domain check {0}` says what is missing", address.domain()));
        }
        Some(_) => {}
    }
    warnings.extend(arrival(house, address).await?);
    Ok(warnings)
}

/// Why the mail with the code would not be read.
async fn arrival(house: &House, address: &EmailAddress) -> anyhow::Result<Option<String>> {
    let add = format!("`pennypost route add {address} forward YOU@gmail.com`");
    Ok(match house.routes.find(address).await? {
        Found::Route(route) => match &route.action {
            Action::Forward { targets } if targets.iter().all(|target| target.confirmed_at.is_none()) => {
                Some(format!("the route {} waits: its targets have not agreed yet, so the mail with the code will not be forwarded", route.pattern))
            }
            Action::Forward { .. } => None,
            Action::Store | Action::Webhook { .. } => {
                Some(format!("the mail with the code is kept by the route {}: `pennypost incoming list`", route.pattern))
            }
            Action::Reject { .. } | Action::Drop => Some(format!("the route {} turns the mail with the code away: {add}", route.pattern)),
        },
        Found::None { receives: true, .. } => Some(format!("no route takes mail to {address}: {add}")),
        Found::None { .. } | Found::NotVerified | Found::Elsewhere => {
            Some(format!("mail to {address} does not come here: the mail with the code arrives where its MX is, or {add}"))
        }
    })
}

fn port(listen: Listen) -> Option<u16> {
    listen.addresses().first().map(std::net::SocketAddr::port)
}

fn text(form: &Form) -> String {
    let (one, two) = (&form.page_1, &form.page_2);
    let yes = |yes: bool| if yes { "ticked" } else { "not ticked" };
    let port = two.port.map_or_else(|| "both submission ports are off".to_owned(), |port| port.to_string());
    let mut lines = vec![
        "Gmail: Settings, Accounts and Import, Send mail as, Add another email address".to_owned(),
        String::new(),
        format!("Name               {}", one.name),
        format!("Email address      {}", one.email_address),
        format!("Treat as an alias  {}", yes(one.treat_as_an_alias)),
        String::new(),
        format!("SMTP Server        {}", two.smtp_server),
        format!("Port               {port}"),
        format!("Username           {}", two.username),
        format!("Password           {}", two.password),
        format!("Connection         {}", two.secured_connection),
        String::new(),
        "Then:".to_owned(),
    ];
    lines.extend(form.next.iter().map(|step| format!("- {step}")));
    if !form.warnings.is_empty() {
        lines.extend([String::new(), "Before that:".to_owned()]);
        lines.extend(form.warnings.iter().map(|warning| format!("- {warning}")));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SmtpUserId;
    use time::OffsetDateTime;

    fn shown(submission: &str, submissions: &str) -> String {
        let mut config = Config::default();
        config.server.hostname = "smtp.wac.example".to_owned();
        config.smtp.submission_listen = submission.parse().unwrap();
        config.smtp.submissions_listen = submissions.parse().unwrap();
        let user = SmtpUserRecord {
            id: SmtpUserId::from_uuid(uuid::Uuid::nil()),
            username: "i@wac.example".to_owned(),
            send_as: Vec::new(),
            created_at: OffsetDateTime::UNIX_EPOCH,
            password_changed_at: OffsetDateTime::UNIX_EPOCH,
            last_used_at: None,
        };
        text(&form(&config, &EmailAddress::parse("i@wac.example").unwrap(), &user, &["a warning".to_owned()]))
    }

    #[test]
    fn the_form_has_the_values_that_gmail_asks_for() {
        insta::assert_snapshot!(shown("0.0.0.0:587", "0.0.0.0:465"));
    }

    #[test]
    fn the_port_is_one_that_gmail_offers_where_there_is_one() {
        for (submission, submissions, port, connection) in
            [("127.0.0.1:2587", "127.0.0.1:465", "465", "SSL"), ("127.0.0.1:587", "", "587", "TLS"), ("", "127.0.0.1:465", "465", "SSL")]
        {
            let shown = shown(submission, submissions);
            assert!(shown.contains(&format!("Port               {port}\n")) && shown.contains(&format!("using {connection}")), "{shown}");
        }
    }
}
