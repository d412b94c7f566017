//! Certificates: the one that users of the API see, who may issue ours, and how the renewal of those in the database goes.

use std::net::SocketAddr;
use std::time::Duration;

use super::context::{Context, DIAL, seen};
use super::finding::{Level, Outcome};
use super::{Check, Database, Look, Looked};
use crate::net::certificate::{Inspector, Proof, Unproven};
use crate::net::dial;
use crate::net::shown;
use crate::ops::certs::{self, CertificateSource, CertificateView};

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "C1",
        title: "certificates are good, and will be",
        level: Level::Fail,
        expected: "a certificate from a public authority, for the name, with two weeks to go",
        source: "https://www.rfc-editor.org/rfc/rfc9525#section-6",
        look: Look::Host(|context| Box::pin(shown_to_users(context))),
    },
    Check {
        id: "C2",
        title: "the authority may issue",
        level: Level::Fail,
        expected: "no CAA record, or one that allows the authority",
        source: "https://www.rfc-editor.org/rfc/rfc8659#section-3",
        look: Look::Host(|context| Box::pin(authority(context))),
    },
    Check {
        id: "C3",
        title: "certificates are renewed in time",
        level: Level::Info,
        expected: "a renewal within the window that the authority suggests",
        source: "https://www.rfc-editor.org/rfc/rfc9773",
        look: Look::Host(|context| Box::pin(renewals(context))),
    },
];

/// A certificate that ends sooner than this is said to.
const AHEAD: Duration = Duration::from_hours(24 * 14);

async fn shown_to_users(context: &Context) -> Looked {
    let Some((host, port)) = context.config.server.https_place() else {
        return Ok(vec![Outcome::skipped("server.public_url is no https:// address, and no certificate is configured")]);
    };
    let fix = format!("renew the certificate of {host} at the proxy that stands before Pennypost");
    let mut outcomes = Vec::new();
    for address in seen(context.resolver.addresses(host).await)? {
        let at = SocketAddr::new(address, port);
        let outcome = match look(context, at, host, Duration::ZERO).await {
            Err(why) => Outcome::bad(why, format!("see that the proxy before Pennypost listens on {at}")),
            Ok(Err(fault)) => Outcome::bad(fault, &fix),
            Ok(Ok(facts)) => match look(context, at, host, AHEAD).await {
                Ok(Err(_)) => Outcome::bad("it ends within two weeks", &fix).at(Level::Warn),
                _ => Outcome::good(facts),
            },
        };
        outcomes.push(outcome.about(format!("{host} at {at}")));
    }
    if outcomes.is_empty() {
        outcomes.push(Outcome::bad("it has no address", format!("publish: {host}. 3600 IN A <the address of the proxy>")).about(host));
    }
    Ok(outcomes)
}

/// Whether the certificate shown at `at` is good for `host`, `later` from now.
async fn look(context: &Context, at: SocketAddr, host: &str, later: Duration) -> Result<Result<String, String>, String> {
    let stream = dial::connect(at, None, DIAL, &context.clock).await.map_err(|error| error.to_string())?;
    let inspector = Inspector::later(Proof::Authority(context.authorities.clone()), Unproven::Tell, later);
    let shown = shown::shake(stream, host, inspector, &context.clock, DIAL).await?;
    Ok(shown.certificate.map(|()| shown.facts).map_err(|fault| fault.to_string()))
}

async fn authority(context: &Context) -> Looked {
    let Some(host) = context.host() else { return Ok(vec![Outcome::skipped("server.hostname is not set (N1)")]) };
    let records = context.resolver.certifiers(host.as_str()).await.map_err(|error| error.to_string())?;
    let issuers: Vec<String> = records.into_iter().filter(|record| record.tag == "issue").map(|record| record.value).collect();
    let found = if issuers.is_empty() { "every authority may issue".to_owned() } else { format!("only {} may issue", issuers.join(", ")) };
    let Some(own) = issuer_of(context.config.tls.directory()) else {
        return Ok(vec![Outcome::skipped(format!("{found}; which name our authority has in CAA records is not known here"))]);
    };
    // What stands after a semicolon are parameters (RFC 8659 4.2).
    let is_named = |issuer: &String| issuer.split(';').next().is_some_and(|name| name.trim().eq_ignore_ascii_case(own));
    if issuers.is_empty() || issuers.iter().any(is_named) {
        return Ok(vec![Outcome::good(found).about(host.as_str())]);
    }
    Ok(vec![Outcome::bad(found, format!("publish: {}. 3600 IN CAA 0 issue \"{own}\"", host.as_str())).about(host.as_str())])
}

/// What an authority is called in CAA records.
fn issuer_of(directory: Option<&str>) -> Option<&'static str> {
    directory?.contains(".api.letsencrypt.org/").then_some("letsencrypt.org")
}

/// What is in the database: had by ACME, or imported.
async fn renewals(context: &Context) -> Looked {
    let Database::Ready(rooms) = &context.database else { return Ok(vec![Outcome::skipped("the database cannot be looked at")]) };
    let found = certs::list(&rooms.store, &context.clock).await.map_err(|error| error.to_string())?;
    if found.is_empty() {
        return Ok(vec![Outcome::skipped("no certificate is had by ACME, and none is imported (tls.acme)")]);
    }
    Ok(found.iter().map(|view| renewal(context, view).about(view.names.join(", "))).collect())
}

fn renewal(context: &Context, view: &CertificateView) -> Outcome {
    let now = context.clock.now();
    let fix = match view.source {
        CertificateSource::Acme => "mend what the authority found, then `pennypost cert renew`".to_owned(),
        CertificateSource::Import => "bring a new one by `pennypost cert import`".to_owned(),
    };
    let error = view.last_error.as_deref().map_or_else(String::new, |error| format!("; the last try failed: {error}"));
    let Some(end) = view.not_after else {
        return Outcome::bad(format!("there is none yet{error}"), fix).at(if view.failures > 0 { Level::Fail } else { Level::Warn });
    };
    if end <= now {
        return Outcome::bad(format!("it ended on {}{error}", end.date()), fix).at(Level::Fail);
    }
    if view.failures > 0 || end <= now + AHEAD && view.source == CertificateSource::Import {
        return Outcome::bad(format!("it ends on {}{error}", end.date()), fix).at(Level::Warn);
    }
    let renewed = view.renew_at.map_or_else(String::new, |at| format!(", renewed from {} on", at.date()));
    Outcome::good(format!("good until {}{renewed}", end.date()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_has_a_name_in_the_dns() {
        assert_eq!(issuer_of(Some("https://acme-v02.api.letsencrypt.org/directory")), Some("letsencrypt.org"));
        assert_eq!(issuer_of(Some("https://ca.example/acme")), None);
        assert_eq!(issuer_of(None), None);
    }
}
