//! Certificates: the one that users of the API see, and who may issue ours.
//!
//! Does not: look at the renewal, of which this version does none.

use std::net::SocketAddr;
use std::time::Duration;

use super::context::{Context, DIAL, seen};
use super::finding::{Level, Outcome};
use super::{Check, Look, Looked};
use crate::net::certificate::{Inspector, Proof, Unproven};
use crate::net::dial;
use crate::net::shown;

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
        look: Look::Host(|_| Box::pin(async { Ok(vec![Outcome::skipped("this version renews no certificates itself")]) })),
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
    Ok(vec![Outcome::skipped(format!("{found}; this version asks no authority itself"))])
}
