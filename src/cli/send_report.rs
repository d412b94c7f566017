//! `pennypost send --report`: what a receiver sees of a message that left, by our own verifier.
//!
//! Answers: for each delivery the address it left from and the name of that (FCrDNS), EHLO name, TLS, and SPF, DKIM, DMARC with alignment, over
//! the octets that were sent and the DNS as it is now. The reverse-path and EHLO name are those of the dialogue.
//! Does not: know what the receiver decided beyond its reply. Behind an address translation the source address is not the one that was seen.

use std::collections::HashMap;
use std::fmt::Write;
use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::client::ApiClient;
use super::context::Context;
use super::failure::Failure;
use super::output::printable;
use crate::config::Config;
use crate::inbound::authenticate::Asking;
use crate::mail::authenticate::dmarc::{self, DmarcResult, Identity, Method, Proof};
use crate::mail::authenticate::iprev::{self, Iprev};
use crate::mail::authenticate::records::Records;
use crate::mail::authenticate::seals::{self, DkimResult, Keys, Sealed};
use crate::mail::authenticate::spf::{self, SpfQuery, SpfResult};
use crate::net::dns::Resolver;

/// How long the checks of one delivery may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is seen of one delivery.
#[derive(Debug, Serialize)]
pub(super) struct Seen {
    recipient: String,
    state: String,
    reply: String,
    mx_host: Option<String>,
    source_ip: Option<IpAddr>,
    /// `ipv4` or `ipv6`.
    address_family: Option<&'static str>,
    ehlo: String,
    tls: Option<String>,
    /// The name of the source address that leads back to it.
    fcrdns: Verdict,
    spf: Verdict,
    dkim: Vec<Verdict>,
    dmarc: Verdict,
}

/// What one method says.
#[derive(Debug, Serialize)]
struct Verdict {
    result: &'static str,
    /// The domain or name that it is about.
    domain: String,
    /// Of SPF and DKIM: whether it counts for DMARC.
    #[serde(skip_serializing_if = "Option::is_none")]
    aligned: Option<bool>,
    /// Of DKIM: selector and algorithm; of DMARC: the policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

/// Looks at all deliveries of a message that were tried.
///
/// # Errors
/// The message cannot be read, or the resolver not be set up.
pub(super) async fn see(context: &Context, config: &Config, client: &ApiClient, message: &Value) -> anyhow::Result<Vec<Seen>> {
    let resolver = Resolver::new(&config.dns)?;
    let id = message.get("id").and_then(Value::as_str).unwrap_or_default();
    let content = client.get_octets(&format!("/v1/messages/{id}/raw")).await?;
    let sealed = verify(context, &resolver, content).await?;
    let mut seen = Vec::new();
    for delivery in message.get("deliveries").and_then(Value::as_array).into_iter().flatten() {
        let looking = look(config, &resolver, message, delivery, &sealed);
        let found = context.clock.timeout(PATIENCE, looking).await;
        seen.push(found.map_err(|error| Failure::new("the DNS did not answer in time").because(error))?);
    }
    Ok(seen)
}

async fn verify(context: &Context, resolver: &Resolver, content: bytes::Bytes) -> anyhow::Result<Sealed> {
    let records = Asking(resolver);
    let mut keys = HashMap::new();
    for name in seals::key_names(&content) {
        let answer = records.txt(&name).await;
        keys.insert(name, answer);
    }
    let now = context.clock.now();
    Ok(tokio::task::spawn_blocking(move || seals::verify(&content, &Keys(keys), now)).await?)
}

async fn look(config: &Config, resolver: &Resolver, message: &Value, delivery: &Value, sealed: &Sealed) -> Seen {
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let attempt = delivery.get("attempts").and_then(Value::as_array).and_then(|attempts| attempts.last()).cloned().unwrap_or_default();
    let ehlo = command(&attempt, "C: EHLO ").unwrap_or_else(|| config.server.hostname.clone());
    let sender = command(&attempt, "C: MAIL FROM:<").map(|rest| rest.split('>').next().unwrap_or_default().to_owned());
    let sender = sender.or_else(|| text(message, "reverse_path")).unwrap_or_default();
    let source: Option<IpAddr> = text(&attempt, "source_ip").and_then(|ip| ip.parse().ok());
    let records = Asking(resolver);
    let (fcrdns, spf, path_domain) = match source {
        None => (Verdict::new("unknown", String::new()), SpfResult::None, String::new()),
        Some(peer) => {
            let identity = if sender.is_empty() { format!("postmaster@{ehlo}") } else { sender };
            let query = SpfQuery { peer, helo: &ehlo, sender: &identity };
            let (names, spf) = tokio::join!(iprev::check(&records, peer), spf::check(&records, &query));
            let name = if let Iprev::Pass(name) = &names { name.clone() } else { String::new() };
            (Verdict::new(names.as_str(), name), spf, identity.rsplit_once('@').map_or_else(String::new, |(_, domain)| domain.to_owned()))
        }
    };
    let by_spf = Identity { domain: &path_domain, method: Method::Spf, proof: Proof::Passed };
    let by_spf: Vec<Identity<'_>> = (spf == SpfResult::Pass).then_some(by_spf).into_iter().collect();
    let mut all = by_spf.clone();
    let mut dkim = Vec::new();
    for check in &sealed.dkim {
        let identity = Identity { domain: &check.domain, method: Method::Dkim, proof: Proof::Passed };
        let passed = check.result == DkimResult::Pass;
        let aligned = passed && counts(&records, sealed, &[identity]).await;
        all.extend(passed.then_some(identity));
        let detail = format!("{} {}", check.selector, check.algorithm);
        dkim.push(Verdict { aligned: Some(aligned), detail: Some(detail), ..Verdict::new(check.result.as_str(), check.domain.clone()) });
    }
    let judged = dmarc::check(&records, &sealed.from, &all).await;
    let spf_aligned = counts(&records, sealed, &by_spf).await;
    Seen {
        recipient: text(delivery, "recipient").unwrap_or_default(),
        state: text(delivery, "state").unwrap_or_default(),
        reply: text(&attempt, "reply").unwrap_or_default(),
        mx_host: text(&attempt, "mx_host"),
        address_family: source.map(|ip| if ip.is_ipv6() { "ipv6" } else { "ipv4" }),
        source_ip: source,
        ehlo,
        tls: text(&attempt, "tls"),
        fcrdns,
        spf: Verdict { aligned: Some(spf_aligned), ..Verdict::new(spf.as_str(), path_domain.clone()) },
        dkim,
        dmarc: Verdict { detail: Some(format!("p={}", judged.policy.as_str())), ..Verdict::new(judged.result.as_str(), judged.domain) },
    }
}

/// Whether what passed is aligned with the author's domain: whether DMARC passes by it alone.
async fn counts<R: Records>(records: &R, sealed: &Sealed, identities: &[Identity<'_>]) -> bool {
    !identities.is_empty() && dmarc::check(records, &sealed.from, identities).await.result == DmarcResult::Pass
}

/// What the client said after `start` in a dialogue, at its last time.
fn command(attempt: &Value, start: &str) -> Option<String> {
    let lines = attempt.get("transcript").and_then(Value::as_array)?;
    lines.iter().rev().filter_map(Value::as_str).find_map(|line| line.strip_prefix(start)).map(|rest| rest.trim().to_owned())
}

impl Verdict {
    const fn new(result: &'static str, domain: String) -> Self {
        Self { result, domain, aligned: None, detail: None }
    }

    fn text(&self) -> String {
        let mut text = format!("{:<9} {}", self.result, self.domain);
        if let Some(aligned) = self.aligned {
            text.push_str(if aligned { ", aligned" } else { ", not aligned" });
        }
        if let Some(detail) = &self.detail {
            let _ = write!(text, " ({detail})");
        }
        text
    }
}

/// The report for people.
pub(super) fn text(seen: &[Seen]) -> String {
    let mut text = String::from("\nWhat a receiver sees:\n");
    for one in seen {
        let source = one.source_ip.map_or_else(|| "unknown".to_owned(), |ip| ip.to_string());
        let mut lines = vec![
            ("recipient", format!("{}: {} {}", one.recipient, one.state, one.reply)),
            ("address", format!("{source} ({}), EHLO {}", one.address_family.unwrap_or("not tried"), one.ehlo)),
            ("FCrDNS", one.fcrdns.text()),
            ("TLS", one.tls.clone().unwrap_or_else(|| "none".to_owned())),
            ("SPF", one.spf.text()),
        ];
        lines.extend(one.dkim.iter().map(|check| ("DKIM", check.text())));
        lines.push(("DMARC", one.dmarc.text()));
        for (name, value) in lines {
            let _ = writeln!(text, "  {name:<10} {}", printable(value));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_dialogue_says_who_spoke_and_from_whom() {
        let attempt = json!({"transcript": ["C: EHLO a.example", "S: 220 go", "C: EHLO b.example", "C: MAIL FROM:<x@d.example> SIZE=7"]});
        assert_eq!(command(&attempt, "C: EHLO ").as_deref(), Some("b.example"), "the one after STARTTLS");
        assert_eq!(command(&attempt, "C: MAIL FROM:<").as_deref(), Some("x@d.example> SIZE=7"));
        assert_eq!(command(&json!({}), "C: EHLO "), None);
    }

    #[test]
    fn a_report_reads_line_by_line() {
        let seen = Seen {
            recipient: "x@gmail.example".to_owned(),
            state: "delivered".to_owned(),
            reply: "250 OK".to_owned(),
            mx_host: Some("mx.gmail.example".to_owned()),
            source_ip: Some("192.0.2.7".parse().unwrap()),
            address_family: Some("ipv4"),
            ehlo: "smtp.wac.example".to_owned(),
            tls: Some("TLSv1.3".to_owned()),
            fcrdns: Verdict::new("pass", "smtp.wac.example".to_owned()),
            spf: Verdict { aligned: Some(true), ..Verdict::new("pass", "bounce.wac.example".to_owned()) },
            dkim: vec![Verdict { aligned: Some(true), detail: Some("s1 rsa-sha256".to_owned()), ..Verdict::new("pass", "wac.example".to_owned()) }],
            dmarc: Verdict { detail: Some("p=reject".to_owned()), ..Verdict::new("pass", "wac.example".to_owned()) },
        };
        insta::assert_snapshot!(text(&[seen]));
    }
}
