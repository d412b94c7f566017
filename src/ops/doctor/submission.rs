//! Submission: how our users' mail programs find us and how the listeners answer them (RFC 6409, RFC 8314).

use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncWrite};

use super::context::{Context, DIAL, Subject, seen};
use super::finding::{Level, Outcome};
use super::talk::Talk;
use super::{Check, Look, Looked};
use crate::net::shown;

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "U1",
        title: "users can submit, inside TLS only",
        level: Level::Fail,
        expected: "a certificate for the host name; AUTH PLAIN offered inside TLS and not before",
        source: "https://www.rfc-editor.org/rfc/rfc8314#section-3.3",
        look: Look::Host(|context| Box::pin(listeners(context))),
    },
    Check {
        id: "U2",
        title: "mail programs find the submission server",
        level: Level::Info,
        expected: "SRV records for _submissions._tcp and _submission._tcp that name our host",
        source: "https://www.rfc-editor.org/rfc/rfc6186#section-3.1",
        look: Look::Domain(|context, subject| Box::pin(services(context, subject))),
    },
];

async fn listeners(context: &Context) -> Looked {
    let Some(host) = context.host() else { return Ok(vec![Outcome::skipped("server.hostname is not set (N1)")]) };
    let mut outcomes = Vec::new();
    if let Some(listen) = context.listeners.submissions {
        outcomes.push(outcome(implicit(context, listen, host.as_str()).await).about(format!("submissions {listen}")));
    }
    if let Some(listen) = context.listeners.submission {
        outcomes.push(outcome(starttls(context, listen, host.as_str()).await).about(format!("submission {listen}")));
    }
    if outcomes.is_empty() {
        outcomes.push(Outcome::skipped("no listener for submission (587, 465) is configured"));
    }
    Ok(outcomes)
}

fn outcome(talked: Result<Outcome, String>) -> Outcome {
    talked.unwrap_or_else(|why| Outcome::bad(why, "start `pennypost serve`; its log says what is wrong"))
}

async fn implicit(context: &Context, listen: SocketAddr, host: &str) -> Result<Outcome, String> {
    let stream = context.knock(listen).await?;
    let shown = shown::shake(stream, host, context.inspector(), &context.clock, DIAL).await?;
    let (mut talk, _) = Talk::begin(shown.stream, &context.clock).await?;
    inside(&mut talk, host, shown.certificate.map_err(|fault| fault.to_string()), &shown.facts).await
}

async fn starttls(context: &Context, listen: SocketAddr, host: &str) -> Result<Outcome, String> {
    let stream = context.knock(listen).await?;
    let (mut talk, _) = Talk::begin(stream, &context.clock).await?;
    let hello = talk.say(&format!("EHLO {host}")).await?.text.to_ascii_uppercase();
    if hello.lines().any(|line| line.starts_with("AUTH")) {
        return Ok(Outcome::bad("it offers AUTH before TLS", "report this as a fault of Pennypost"));
    }
    let granted = talk.say("STARTTLS").await?;
    if granted.code != 220 {
        return Ok(Outcome::bad(format!("STARTTLS: {granted}"), format!("give it a certificate for {host} ([tls] in the configuration)")));
    }
    let shown = shown::shake(talk.into_stream(), host, context.inspector(), &context.clock, DIAL).await?;
    let mut talk = Talk::again(shown.stream, &context.clock);
    inside(&mut talk, host, shown.certificate.map_err(|fault| fault.to_string()), &shown.facts).await
}

/// What is offered inside TLS.
async fn inside<S: AsyncRead + AsyncWrite + Unpin>(
    talk: &mut Talk<S>,
    host: &str,
    certificate: Result<(), String>,
    facts: &str,
) -> Result<Outcome, String> {
    let hello = talk.say(&format!("EHLO {host}")).await?.text.to_ascii_uppercase();
    let _ = talk.say("QUIT").await;
    let mechanisms: Vec<&str> = hello.lines().find_map(|line| line.strip_prefix("AUTH ")).unwrap_or_default().split(' ').collect();
    Ok(match certificate {
        Err(fault) => Outcome::bad(fault, format!("give it a certificate for {host} ([tls] in the configuration); mail programs refuse this one")),
        Ok(()) if !mechanisms.contains(&"PLAIN") => Outcome::bad("it does not offer AUTH PLAIN inside TLS", "report this as a fault of Pennypost"),
        Ok(()) => Outcome::good(format!("{facts}; AUTH {}", mechanisms.join(" "))),
    })
}

async fn services(context: &Context, subject: &Subject) -> Looked {
    if !subject.submits {
        return Ok(vec![Outcome::skipped("no SMTP user sends as this domain")]);
    }
    let own = &context.listeners;
    let Some(host) = context.host() else { return Ok(vec![Outcome::skipped("server.hostname is not set (N1)")]) };
    let mut outcomes = Vec::new();
    for (service, listen) in [("_submissions._tcp", own.submissions), ("_submission._tcp", own.submission)] {
        let Some(listen) = listen else { continue };
        let at = format!("{service}.{}", subject.name);
        let found = seen(context.resolver.srv(&at).await)?;
        let fix = format!("publish: {at}. 3600 IN SRV 0 1 {} {host}.", listen.port());
        let is_ours = found.iter().any(|service| service.host == host.as_str() && service.port == listen.port());
        let told = found.iter().map(|service| format!("{}:{}", service.host, service.port)).collect::<Vec<_>>().join(", ");
        outcomes.push(
            match (is_ours, found.is_empty()) {
                (true, _) => Outcome::good(told),
                (false, true) => Outcome::bad("none: users have to type the server's name", fix),
                (false, false) => Outcome::bad(told, fix),
            }
            .about(at),
        );
    }
    if outcomes.is_empty() {
        outcomes.push(Outcome::skipped("no listener for submission (587, 465) is configured"));
    }
    Ok(outcomes)
}
