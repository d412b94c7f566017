//! Who sent a message that arrived: SPF, DKIM, DMARC, ARC and the peer's name, asked of our own resolver within a time limit.
//!
//! Answers: the results, the field that tells them, and whether the message is refused: a message that fails DMARC where its author's domain asks for
//! refusal (`inbound.dmarc_reject`), and one of such a domain that cannot be checked now, which its sender brings again. A broken DKIM signature alone refuses
//! nobody. Does not: trust an ARC chain, or what others wrote of results.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::Reception;
use crate::mail::authenticate::dmarc::{self, DmarcCheck, DmarcResult, Identity, Method, Policy, Proof};
use crate::mail::authenticate::iprev::{self, Iprev};
use crate::mail::authenticate::records::{Family, RecordError, Records};
use crate::mail::authenticate::results::{self, Findings, SpfIdentity};
use crate::mail::authenticate::seals::{self, ArcState, DkimCheck, DkimResult, Keys, Sealed};
use crate::mail::authenticate::spf::{self, SpfQuery, SpfResult};
use crate::mail::headers::{Hop, received_from};
use crate::model::{DomainName, EmailAddress, Reply, ReversePath};
use crate::net::dns::{DnsError, Resolver};
use crate::telemetry::metrics;

/// How long the checks of one message may ask the DNS (RFC 7208 4.6.4 asks for 20 seconds at least). What is not answered by then is a temporary error.
const PATIENCE: Duration = Duration::from_secs(20);

/// A message as it arrived, and how.
#[derive(Clone, Debug)]
pub struct Arrived {
    /// The peer's address.
    pub peer: IpAddr,
    /// What the peer calls itself.
    pub helo: String,
    /// Version and cipher, within TLS.
    pub tls: Option<String>,
    /// The protocol as the field Received names it.
    pub protocol: &'static str,
    /// MAIL FROM.
    pub reverse_path: ReversePath,
    /// RCPT TO, one or more.
    pub recipients: Vec<EmailAddress>,
    /// The octets.
    pub content: Bytes,
}

impl Arrived {
    /// The field `Received:` of this message, taken by the host `hostname` as `id` for `recipient`.
    pub(super) fn received(&self, hostname: &str, authenticated: &Authenticated, id: &str, at: OffsetDateTime, recipient: &str) -> String {
        received_from(&Hop {
            peer: self.peer,
            peer_name: authenticated.peer_name.as_deref(),
            helo: &self.helo,
            hostname,
            protocol: self.protocol,
            id,
            recipient,
            at,
        })
    }
}

/// What was found out about a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authenticated {
    /// Fields that stand before the message, each with its line end.
    pub fields: String,
    /// The value of Authentication-Results, which a seal repeats.
    pub results: String,
    /// The name of the peer's address, if it leads back to it.
    pub peer_name: Option<String>,
    /// The result of SPF, as Authentication-Results names it (RFC 8601 2.7).
    pub spf: Option<String>,
    /// The result of DKIM.
    pub dkim: Option<String>,
    /// The result of DMARC.
    pub dmarc: Option<String>,
    /// The domain of the reverse-path was proven, by SPF or by DKIM: what is sent there reaches who sent this.
    pub sender_proven: bool,
    /// The state of the ARC chain.
    pub chain: Option<ArcState>,
    /// What the sender is told instead of 250.
    pub refusal: Option<Reply>,
}

impl Authenticated {
    /// As users are told it.
    #[must_use]
    pub fn told(&self) -> Value {
        json!({ "spf": self.spf, "dkim": self.dkim, "dmarc": self.dmarc })
    }
}

/// What checks ask, asked of our resolver.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'r>(pub &'r Resolver);

impl Records for Asking<'_> {
    async fn txt(&self, name: &str) -> Result<Vec<String>, RecordError> {
        self.0.txt(name).await.map_err(|error| said(&error))
    }

    async fn addresses(&self, name: &str, family: Family) -> Result<Vec<IpAddr>, RecordError> {
        let found = self.0.addresses(name).await.map_err(|error| said(&error))?;
        let same: Vec<IpAddr> = found.into_iter().filter(|address| Family::of(*address) == family).collect();
        if same.is_empty() { Err(RecordError::NoRecords) } else { Ok(same) }
    }

    async fn mx(&self, name: &str) -> Result<Vec<String>, RecordError> {
        let name = DomainName::parse(name).map_err(|_| RecordError::NoSuchName)?;
        let mut found = self.0.mx(&name).await.map_err(|error| said(&error))?;
        found.sort();
        Ok(found.into_iter().map(|(_, host)| host).collect())
    }

    async fn ptr(&self, address: IpAddr) -> Result<Vec<String>, RecordError> {
        self.0.ptr(address).await.map_err(|error| said(&error))
    }
}

fn said(error: &DnsError) -> RecordError {
    match error {
        DnsError::NoSuchName => RecordError::NoSuchName,
        DnsError::NoRecords => RecordError::NoRecords,
        DnsError::Temporary(_) => RecordError::Temporary,
    }
}

impl Reception {
    /// Finds out who sent a message.
    pub(super) async fn authenticate(&self, arrived: &Arrived) -> Authenticated {
        let clock = &self.reports.clock;
        let records = Asking(&self.resolver);
        let identity = match &arrived.reverse_path {
            ReversePath::Address(address) => SpfIdentity::MailFrom(address.to_string()),
            ReversePath::Null => SpfIdentity::Helo(arrived.helo.clone()),
        };
        let sender = match &identity {
            SpfIdentity::MailFrom(address) => address.clone(),
            SpfIdentity::Helo(name) => format!("postmaster@{name}"),
        };
        let query = SpfQuery { peer: arrived.peer, helo: &arrived.helo, sender: &sender };
        let asked = async { tokio::join!(spf::check(&records, &query), iprev::check(&records, arrived.peer), self.sealed(arrived)) };
        let (spf, iprev, sealed) = match clock.timeout(PATIENCE, asked).await {
            Ok(found) => found,
            Err(_) => (SpfResult::TempError, Iprev::TempError, Sealed { dkim: Vec::new(), arc: ArcState::None, from: Vec::new() }),
        };
        let identities = identities(&identity, spf, &sealed.dkim);
        let dmarc = match clock.timeout(PATIENCE, dmarc::check(&records, &sealed.from, &identities)).await {
            Ok(found) => found,
            Err(_) => DmarcCheck { result: DmarcResult::TempError, policy: Policy::None, domain: String::new() },
        };
        let sender_proven = proven(&identity, spf, &sealed.dkim);
        let found = Findings { peer: arrived.peer, iprev: &iprev, spf: (spf, &identity), dkim: &sealed.dkim, dmarc: &dmarc, arc: sealed.arc };
        let results = results::value(&self.hostname, &found);
        let refusal = self.refusal(&dmarc);
        metrics::authenticated(dmarc.result.as_str(), if refusal.is_some() { "refused" } else { "taken" });
        tracing::info!(
            peer = %arrived.peer, tls = arrived.tls, spf = spf.as_str(), dkim = best(&sealed.dkim).as_str(), dmarc = dmarc.result.as_str(),
            policy = dmarc.policy.as_str(), from = dmarc.domain, refused = refusal.is_some(), "a message from the world was checked"
        );
        let mut fields = format!("Authentication-Results: {results}\r\n");
        if dmarc.result == DmarcResult::Fail && dmarc.policy != Policy::None {
            fields.push_str("X-DMARC-Disposition: quarantine\r\n");
        }
        Authenticated {
            fields,
            results,
            peer_name: if let Iprev::Pass(name) = iprev { Some(name) } else { None },
            spf: Some(spf.as_str().to_owned()),
            dkim: Some(best(&sealed.dkim).as_str().to_owned()).filter(|_| !sealed.dkim.is_empty()).or(Some("none".to_owned())),
            dmarc: Some(dmarc.result.as_str().to_owned()),
            sender_proven,
            chain: Some(sealed.arc),
            refusal,
        }
    }

    /// The message without what a stranger wrote in our name.
    pub(super) fn clean(&self, content: Bytes) -> Bytes {
        results::without_forged(&content, &self.hostname).map_or(content, Bytes::from)
    }

    /// Looks the keys up, then verifies where that holds nobody up.
    async fn sealed(&self, arrived: &Arrived) -> Sealed {
        let names = seals::key_names(&arrived.content);
        let answers = join_all(names.iter().map(async |name| self.resolver.txt(name).await.map_err(|error| said(&error)))).await;
        let keys = Keys(names.into_iter().zip(answers).collect::<HashMap<_, _>>());
        let (content, now) = (arrived.content.clone(), self.reports.clock.now());
        let verified = tokio::task::spawn_blocking(move || seals::verify(&content, &keys, now)).await;
        verified.unwrap_or_else(|_| Sealed { dkim: Vec::new(), arc: ArcState::None, from: Vec::new() })
    }

    /// What DMARC means for the sender.
    fn refusal(&self, dmarc: &DmarcCheck) -> Option<Reply> {
        if !self.settings.dmarc_reject || dmarc.policy != Policy::Reject {
            return None;
        }
        let domain: String = dmarc.domain.chars().filter(char::is_ascii_graphic).collect();
        match dmarc.result {
            DmarcResult::Fail => {
                Some(Reply::new(550, format!("5.7.26 {domain} asks to refuse mail in its name that neither SPF nor DKIM proves (DMARC p=reject)")))
            }
            // Its domain wants forgeries refused, and whether this is one is not known.
            DmarcResult::TempError => Some(Reply::new(451, format!("4.7.24 whether this is from {domain} cannot be checked now; try again later"))),
            DmarcResult::None | DmarcResult::Pass | DmarcResult::PermError => None,
        }
    }
}

fn identities<'i>(identity: &'i SpfIdentity, spf: SpfResult, dkim: &'i [DkimCheck]) -> Vec<Identity<'i>> {
    let domain = match identity {
        SpfIdentity::MailFrom(address) => address.rsplit_once('@').map_or("", |(_, domain)| domain),
        SpfIdentity::Helo(name) => name,
    };
    let proof = match spf {
        SpfResult::Pass => Some(Proof::Passed),
        SpfResult::TempError => Some(Proof::Unknown),
        _ => None,
    };
    let by_spf = proof.map(|proof| Identity { domain, method: Method::Spf, proof });
    let by_dkim = dkim.iter().filter_map(|check| {
        let proof = match check.result {
            DkimResult::Pass => Proof::Passed,
            DkimResult::TempError => Proof::Unknown,
            _ => return None,
        };
        Some(Identity { domain: &check.domain, method: Method::Dkim, proof })
    });
    by_spf.into_iter().chain(by_dkim).collect()
}

/// True if the domain of the reverse-path was proven.
fn proven(identity: &SpfIdentity, spf: SpfResult, dkim: &[DkimCheck]) -> bool {
    let SpfIdentity::MailFrom(address) = identity else { return false };
    let domain = address.rsplit_once('@').map_or("", |(_, domain)| domain).to_ascii_lowercase();
    let covers = |signed: &str| domain == signed || domain.strip_suffix(signed).is_some_and(|rest| rest.ends_with('.') && !signed.is_empty());
    spf == SpfResult::Pass || dkim.iter().any(|check| check.result == DkimResult::Pass && covers(&check.domain))
}

/// The best of several results.
fn best(dkim: &[DkimCheck]) -> DkimResult {
    let order = [DkimResult::Pass, DkimResult::TempError, DkimResult::Fail, DkimResult::PermError];
    order.into_iter().find(|result| dkim.iter().any(|check| check.result == *result)).unwrap_or(DkimResult::Neutral)
}
