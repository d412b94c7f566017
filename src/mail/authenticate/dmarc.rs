//! DMARC: is one of the identities that passed aligned with the author's domain, and if none, what does that domain ask for (RFC 9989)?
//!
//! Answers: result and policy, by a walk up the tree of names (RFC 9989 4.10) for the author's domain and each domain to compare it with.
//! A message whose From names several domains is judged by the strictest of them: a second From must not be a way around the first.
//! Does not: refuse; `inbound` does. Records are parsed by mail-auth.

use std::collections::HashMap;

use mail_auth::common::parse::TxtRecordParser as _;
use mail_auth::dmarc::{Alignment, Dmarc, Policy as Published, Psd};

use super::records::{Family, RecordError, Records};

/// Author domains of one message that are looked at; one with more is nobody's honest mail.
const MAX_AUTHORS: usize = 4;
/// A name of more labels is asked for once, and then from this many on (RFC 9989 4.10).
const WALK_LABELS: usize = 7;

/// What the author's domain asks of receivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Policy {
    /// Nothing.
    None,
    /// To treat it with suspicion.
    Quarantine,
    /// To refuse it.
    Reject,
}

impl Policy {
    /// As records write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Quarantine => "quarantine",
            Self::Reject => "reject",
        }
    }

    const fn of(published: Published) -> Self {
        match published {
            Published::Reject => Self::Reject,
            Published::Quarantine => Self::Quarantine,
            Published::None | Published::Unspecified => Self::None,
        }
    }

    /// One step less: what a domain in test mode means (RFC 9989 4.7).
    const fn in_test(self) -> Self {
        match self {
            Self::Reject => Self::Quarantine,
            Self::Quarantine | Self::None => Self::None,
        }
    }
}

/// Whether a message is its author's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DmarcResult {
    /// The domain publishes no policy.
    None,
    /// An aligned identity passed.
    Pass,
    /// The DNS gave no answer that could have made it pass.
    TempError,
    /// There is no one author domain to ask about.
    PermError,
    /// No aligned identity passed.
    Fail,
}

impl DmarcResult {
    /// As Authentication-Results writes it (RFC 8601 2.7.1 and the registry).
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Pass => "pass",
            Self::TempError => "temperror",
            Self::PermError => "permerror",
            Self::Fail => "fail",
        }
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DmarcCheck {
    /// The result.
    pub result: DmarcResult,
    /// What is asked for, should it fail.
    pub policy: Policy,
    /// The author's domain; empty if there is none.
    pub domain: String,
}

/// What SPF or DKIM found out about a domain.
#[derive(Clone, Copy, Debug)]
pub struct Identity<'a> {
    /// The domain.
    pub domain: &'a str,
    /// By which of them.
    pub method: Method,
    /// How sure it is.
    pub proof: Proof,
}

/// A method that DMARC builds on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// RFC 7208
    Spf,
    /// RFC 6376
    Dkim,
}

/// How an identity fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// It passed.
    Passed,
    /// It might have, had the DNS answered.
    Unknown,
}

/// Judges a message by the addresses in its From and what passed.
pub async fn check<R: Records>(records: &R, from: &[String], identities: &[Identity<'_>]) -> DmarcCheck {
    let mut authors: Vec<String> = Vec::new();
    for address in from {
        let Some(domain) = address.rsplit_once('@').and_then(|(_, domain)| plain(domain)) else { continue };
        if !authors.contains(&domain) {
            authors.push(domain);
        }
    }
    if authors.is_empty() || authors.len() > MAX_AUTHORS {
        let domain = authors.into_iter().next().unwrap_or_default();
        return DmarcCheck { result: DmarcResult::PermError, policy: Policy::None, domain };
    }
    let mut walker = Walker { records, walks: HashMap::new() };
    let mut strictest: Option<DmarcCheck> = None;
    for author in authors {
        let found = walker.judge(&author, identities).await;
        if strictest.as_ref().is_none_or(|known| (found.result, found.policy) > (known.result, known.policy)) {
            strictest = Some(found);
        }
    }
    strictest.unwrap_or(DmarcCheck { result: DmarcResult::PermError, policy: Policy::None, domain: String::new() })
}

/// Records found on the way up from a name, the longest name first.
type Walk = Vec<(String, Dmarc)>;

struct Walker<'a, R> {
    records: &'a R,
    walks: HashMap<String, Result<Walk, RecordError>>,
}

impl<R: Records> Walker<'_, R> {
    async fn judge(&mut self, author: &str, identities: &[Identity<'_>]) -> DmarcCheck {
        let told = |result, policy| DmarcCheck { result, policy, domain: author.to_owned() };
        let Ok(walk) = self.walk(author).await else { return told(DmarcResult::TempError, Policy::None) };
        let organization = organization(&walk, author);
        let own = walk.iter().find(|(name, _)| name == author);
        let Some((name, record)) = own.or_else(|| walk.iter().find(|(name, _)| *name == organization)).or(walk.last()) else {
            return told(DmarcResult::None, Policy::None);
        };
        // Without a policy the record asks for reports at most (RFC 9989 4.10.1).
        if record.p == Published::Unspecified && record.rua.is_empty() {
            return told(DmarcResult::None, Policy::None);
        }
        let published = if name == author {
            record.p
        } else if record.np != record.sp && self.records.addresses(author, Family::V4).await == Err(RecordError::NoSuchName) {
            record.np
        } else {
            record.sp
        };
        let policy = Policy::of(published);
        let policy = if record.t { policy.in_test() } else { policy };
        let mut result = DmarcResult::Fail;
        for identity in identities {
            let mode = if identity.method == Method::Spf { record.aspf } else { record.adkim };
            match (self.is_aligned(identity.domain, author, &organization, mode).await, identity.proof) {
                (Ok(true), Proof::Passed) => return told(DmarcResult::Pass, policy),
                (Ok(false), _) => {}
                (Ok(true), Proof::Unknown) | (Err(_), _) => result = DmarcResult::TempError,
            }
        }
        told(result, policy)
    }

    async fn is_aligned(&mut self, domain: &str, author: &str, organization_of_author: &str, mode: Alignment) -> Result<bool, RecordError> {
        let Some(domain) = plain(domain) else { return Ok(false) };
        if domain == author {
            return Ok(true);
        }
        // Both are below one organization, or they are strangers: no need to ask about those.
        let below = domain == organization_of_author || domain.strip_suffix(organization_of_author).is_some_and(|rest| rest.ends_with('.'));
        if mode == Alignment::Strict || !below {
            return Ok(false);
        }
        let walk = self.walk(&domain).await?;
        Ok(organization(&walk, &domain) == organization_of_author)
    }

    /// Asks for the policy of a name and of those above it (RFC 9989 4.10).
    async fn walk(&mut self, domain: &str) -> Result<Walk, RecordError> {
        if let Some(known) = self.walks.get(domain) {
            return known.clone();
        }
        let found = self.walk_anew(domain).await;
        self.walks.insert(domain.to_owned(), found.clone());
        found
    }

    async fn walk_anew(&self, domain: &str) -> Result<Walk, RecordError> {
        let labels: Vec<&str> = domain.split('.').collect();
        let (mut found, mut count) = (Vec::new(), labels.len());
        while count > 0 {
            let name = labels.get(labels.len() - count..).unwrap_or_default().join(".");
            if let Some(record) = self.policy_at(&name).await? {
                let ends = matches!(record.psd, Psd::Yes | Psd::No);
                found.push((name, record));
                if ends {
                    break;
                }
            }
            count = if count > WALK_LABELS { WALK_LABELS } else { count - 1 };
        }
        Ok(found)
    }

    /// The one record of a name; several are none (RFC 9989 4.10).
    async fn policy_at(&self, name: &str) -> Result<Option<Dmarc>, RecordError> {
        let texts = match self.records.txt(&format!("_dmarc.{name}")).await {
            Ok(texts) => texts,
            Err(RecordError::Temporary) => return Err(RecordError::Temporary),
            Err(_) => return Ok(None),
        };
        let mut records = texts.iter().filter(|text| is_dmarc(text)).filter_map(|text| Dmarc::parse(text.as_bytes()).ok());
        Ok(records.next().filter(|_| records.next().is_none()))
    }
}

/// The organization that a name belongs to (RFC 9989 4.10.2).
fn organization(walk: &Walk, start: &str) -> String {
    for (name, record) in walk {
        match record.psd {
            Psd::No => return name.clone(),
            Psd::Yes if name != start => {
                let below = start.strip_suffix(name.as_str()).and_then(|rest| rest.strip_suffix('.')).unwrap_or_default();
                let label = below.rsplit('.').next().unwrap_or_default();
                return format!("{label}.{name}");
            }
            _ => {}
        }
    }
    walk.last().map_or(start, |(name, _)| name).to_owned()
}

fn is_dmarc(text: &str) -> bool {
    let version = text.split(';').next().unwrap_or_default();
    version.split_once('=').is_some_and(|(tag, value)| tag.trim() == "v" && value.trim() == "DMARC1")
}

/// A domain as the DNS knows it; none if it cannot be one.
fn plain(domain: &str) -> Option<String> {
    let domain = idna::domain_to_ascii(domain.trim_end_matches('.')).ok()?;
    let fits = !domain.is_empty() && domain.len() <= 253 && domain.split('.').all(|label| !label.is_empty() && label.len() <= 63);
    fits.then_some(domain)
}
