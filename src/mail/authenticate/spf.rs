//! SPF: may this host send for that domain (RFC 7208 4)?
//!
//! Answers: one of seven results, within the limits of RFC 7208 4.6.4: ten terms that ask the DNS, two that ask for nothing, ten MX hosts, ten names.
//! Records and macros are parsed by mail-auth; evaluated here, because its evaluation knows no limit of void look-ups, takes the first of several
//! records, and asks its own resolver.
//! Does not: fetch explanations (`exp=`): what a stranger writes is not passed on.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;

use mail_auth::common::parse::TxtRecordParser as _;
use mail_auth::spf::{Directive, Macro, Mechanism, Qualifier, Spf, Variables};

use super::records::{Family, RecordError, Records};

/// Terms that ask the DNS (RFC 7208 4.6.4).
const MAX_LOOKUPS: u8 = 10;
/// Look-ups of terms that may find nothing (RFC 7208 4.6.4).
const MAX_VOID: u8 = 2;
/// MX hosts of one `mx`, names of one `ptr` (RFC 7208 4.6.4).
const MAX_NAMES: usize = 10;
/// Octets of a name that is asked for (RFC 7208 7.3).
const MAX_NAME_OCTETS: usize = 253;

/// What SPF says (RFC 7208 2.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SpfResult {
    /// There is no record, or no domain to ask about.
    None,
    /// Nothing is said about the host.
    Neutral,
    /// It may send.
    Pass,
    /// It may not.
    Fail,
    /// It probably may not.
    SoftFail,
    /// The DNS gave no answer.
    TempError,
    /// The record cannot be evaluated.
    PermError,
}

impl SpfResult {
    /// As Authentication-Results writes it (RFC 8601 2.7.2).
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Neutral => "neutral",
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::SoftFail => "softfail",
            Self::TempError => "temperror",
            Self::PermError => "permerror",
        }
    }
}

/// Who sends, and as whom.
#[derive(Clone, Copy, Debug)]
pub struct SpfQuery<'a> {
    /// Where the connection comes from.
    pub peer: IpAddr,
    /// What it said in EHLO.
    pub helo: &'a str,
    /// The identity: the reverse-path, or `postmaster@` the EHLO name if that is null (RFC 7208 2.4).
    pub sender: &'a str,
}

/// Evaluates the record of the sender's domain.
pub async fn check<R: Records>(records: &R, query: &SpfQuery<'_>) -> SpfResult {
    let domain = query.sender.rsplit_once('@').map_or(query.helo, |(_, domain)| domain).to_ascii_lowercase();
    let mut check = Check { records, query, peer: query.peer.to_canonical(), lookups: 0, voids: 0, validated: None };
    match check.evaluate(&domain).await {
        Ok(result) | Err(result) => result,
    }
}

/// A check on its way. A result that ends it early is an error of its steps.
struct Check<'a, R> {
    records: &'a R,
    query: &'a SpfQuery<'a>,
    peer: IpAddr,
    lookups: u8,
    voids: u8,
    /// The value of the macro letter p, once it was asked for.
    validated: Option<String>,
}

type Step<'a, T> = Pin<Box<dyn Future<Output = Result<T, SpfResult>> + Send + 'a>>;

impl<R: Records> Check<'_, R> {
    /// `check_host()` of one domain; records that include others come back here.
    fn evaluate<'s>(&'s mut self, domain: &'s str) -> Step<'s, SpfResult> {
        Box::pin(async move {
            if !is_name(domain) {
                return Ok(SpfResult::None);
            }
            let Some(record) = self.record(domain).await? else { return Ok(SpfResult::None) };
            for Directive { qualifier, mechanism } in &record.directives {
                if self.matches(mechanism, domain).await? {
                    return Ok(match qualifier {
                        Qualifier::Pass => SpfResult::Pass,
                        Qualifier::Fail => SpfResult::Fail,
                        Qualifier::SoftFail => SpfResult::SoftFail,
                        Qualifier::Neutral => SpfResult::Neutral,
                    });
                }
            }
            let Some(redirect) = &record.redirect else { return Ok(SpfResult::Neutral) };
            self.spend()?;
            let target = self.expand(redirect, domain).await?;
            match self.evaluate(&target).await? {
                SpfResult::None => Err(SpfResult::PermError),
                result => Ok(result),
            }
        })
    }

    /// The one record of a domain (RFC 7208 4.5).
    async fn record(&self, domain: &str) -> Result<Option<Spf>, SpfResult> {
        let texts = match self.records.txt(domain).await {
            Ok(texts) => texts,
            Err(RecordError::Temporary) => return Err(SpfResult::TempError),
            Err(_) => return Ok(None),
        };
        let mut own = texts.iter().filter(|text| is_spf(text));
        match (own.next(), own.next()) {
            (None, _) => Ok(None),
            // What is not ASCII stands for no term (RFC 7208 3.1).
            (Some(text), None) if text.is_ascii() && has_known_terms(text) => Spf::parse(text.as_bytes()).map(Some).map_err(|_| SpfResult::PermError),
            _ => Err(SpfResult::PermError),
        }
    }

    async fn matches(&mut self, mechanism: &Mechanism, domain: &str) -> Result<bool, SpfResult> {
        match mechanism {
            Mechanism::All => Ok(true),
            Mechanism::Ip4 { addr, mask } => Ok(within((*addr).into(), self.peer, *mask, 0)),
            Mechanism::Ip6 { addr, mask } => Ok(within((*addr).into(), self.peer, 0, *mask)),
            Mechanism::A { macro_string, ip4_mask, ip6_mask } => {
                self.spend()?;
                let name = self.expand(macro_string, domain).await?;
                let found = self.addresses(&name).await?;
                Ok(found.into_iter().any(|address| within(address, self.peer, *ip4_mask, *ip6_mask)))
            }
            Mechanism::Mx { macro_string, ip4_mask, ip6_mask } => {
                self.spend()?;
                let name = self.expand(macro_string, domain).await?;
                self.is_mx(&name, *ip4_mask, *ip6_mask).await
            }
            Mechanism::Include { macro_string } => {
                self.spend()?;
                let name = self.expand(macro_string, domain).await?;
                match self.evaluate(&name).await? {
                    SpfResult::Pass => Ok(true),
                    SpfResult::None => Err(SpfResult::PermError),
                    _ => Ok(false),
                }
            }
            Mechanism::Ptr { macro_string } => {
                self.spend()?;
                let name = self.expand(macro_string, domain).await?;
                Ok(self.validated_names().await.iter().any(|known| is_below(known, &name)))
            }
            Mechanism::Exists { macro_string } => {
                self.spend()?;
                let name = self.expand(macro_string, domain).await?;
                // Always A, whatever the peer's address is (RFC 7208 5.7).
                let asked = self.records.addresses(&name, Family::V4).await;
                Ok(!self.heed(asked)?.is_empty())
            }
        }
    }

    async fn is_mx(&mut self, name: &str, ip4_mask: u32, ip6_mask: u128) -> Result<bool, SpfResult> {
        let asked = self.records.mx(name).await;
        let hosts = self.heed(asked)?;
        if hosts.len() > MAX_NAMES {
            return Err(SpfResult::PermError);
        }
        for host in hosts {
            // Each host's addresses are part of one term.
            let found = match self.records.addresses(&host, Family::of(self.peer)).await {
                Ok(found) => found,
                Err(RecordError::Temporary) => return Err(SpfResult::TempError),
                Err(_) => continue,
            };
            if found.into_iter().any(|address| within(address, self.peer, ip4_mask, ip6_mask)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn addresses(&mut self, name: &str) -> Result<Vec<IpAddr>, SpfResult> {
        let asked = if is_name(name) { self.records.addresses(name, Family::of(self.peer)).await } else { Err(RecordError::NoSuchName) };
        self.heed(asked)
    }

    /// Nothing for an answer that says so, as long as those are few.
    fn heed<T>(&mut self, asked: Result<Vec<T>, RecordError>) -> Result<Vec<T>, SpfResult> {
        match asked {
            Ok(found) if !found.is_empty() => Ok(found),
            Err(RecordError::Temporary) => Err(SpfResult::TempError),
            _ => {
                self.voids += 1;
                if self.voids > MAX_VOID { Err(SpfResult::PermError) } else { Ok(Vec::new()) }
            }
        }
    }

    fn spend(&mut self) -> Result<(), SpfResult> {
        self.lookups += 1;
        if self.lookups > MAX_LOOKUPS { Err(SpfResult::PermError) } else { Ok(()) }
    }

    /// Names of the peer whose addresses lead back to it. What cannot be looked up is passed over (RFC 7208 5.5).
    async fn validated_names(&self) -> Vec<String> {
        let mut valid = Vec::new();
        for name in self.records.ptr(self.peer).await.unwrap_or_default().into_iter().take(MAX_NAMES) {
            let found = self.records.addresses(&name, Family::of(self.peer)).await.unwrap_or_default();
            if found.contains(&self.peer) {
                valid.push(name.to_ascii_lowercase());
            }
        }
        valid
    }

    /// A domain-spec in full: macros replaced, shortened from the left to what a name may have (RFC 7208 7.3).
    async fn expand(&mut self, text: &Macro, domain: &str) -> Result<String, SpfResult> {
        if text.needs_ptr() && self.validated.is_none() {
            self.spend()?;
            let names = self.validated_names().await;
            let best = names.iter().find(|name| name.as_str() == domain).or_else(|| names.iter().find(|name| is_below(name, domain)));
            self.validated = Some(best.or(names.first()).cloned().unwrap_or_else(|| "unknown".to_owned()));
        }
        let mut variables = Variables::new();
        variables.set_ip(&self.peer);
        let sender = match self.query.sender.rsplit_once('@') {
            Some((local, _)) if !local.is_empty() => self.query.sender.to_owned(),
            Some((_, own)) => format!("postmaster@{own}"),
            None => format!("postmaster@{}", self.query.sender),
        };
        variables.set_sender(sender.into_bytes());
        variables.set_domain(domain.as_bytes());
        variables.set_helo_domain(self.query.helo.as_bytes());
        variables.set_validated_domain(self.validated.as_deref().unwrap_or("unknown").as_bytes());
        let name = text.eval(&variables, domain, false);
        let mut name = name.strip_suffix('.').unwrap_or(&name);
        while name.len() > MAX_NAME_OCTETS {
            name = name.split_once('.').map(|(_, rest)| rest).ok_or(SpfResult::PermError)?;
        }
        Ok(name.to_ascii_lowercase())
    }
}

fn is_spf(text: &str) -> bool {
    let mut words = text.splitn(2, ' ');
    words.next().is_some_and(|version| version.eq_ignore_ascii_case("v=spf1"))
}

/// True if every term of a record is a mechanism or a modifier (RFC 7208 4.6.1): mail-auth passes over what it does not know, and one modifier twice.
fn has_known_terms(record: &str) -> bool {
    let (mut redirects, mut explanations) = (0, 0);
    let is_known = |term: &str| {
        let end = term.find([':', '/', '=']).unwrap_or(term.len());
        let (name, rest) = term.split_at(end);
        if rest.starts_with('=') {
            redirects += usize::from(name.eq_ignore_ascii_case("redirect"));
            explanations += usize::from(name.eq_ignore_ascii_case("exp"));
            let mut letters = name.chars();
            return letters.next().is_some_and(|first| first.is_ascii_alphabetic())
                && letters.all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.'));
        }
        let name = name.strip_prefix(['+', '-', '~', '?']).unwrap_or(name).to_ascii_lowercase();
        match name.as_str() {
            "all" => rest.is_empty(),
            "include" | "ip4" | "ip6" | "exists" => rest.len() > 1,
            "a" | "mx" | "ptr" => rest != ":" && !rest.starts_with(":/"),
            _ => false,
        }
    };
    record.split(' ').skip(1).filter(|term| !term.is_empty()).all(is_known) && redirects <= 1 && explanations <= 1
}

/// A name that can be asked for: more than one label, each of a length that DNS knows (RFC 7208 4.3).
fn is_name(text: &str) -> bool {
    text.len() <= MAX_NAME_OCTETS && text.contains('.') && text.split('.').all(|label| !label.is_empty() && label.len() <= 63)
}

fn is_below(name: &str, domain: &str) -> bool {
    let (name, domain) = (name.trim_end_matches('.'), domain.trim_end_matches('.'));
    name == domain || name.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
}

fn within(network: IpAddr, peer: IpAddr, mask4: u32, mask6: u128) -> bool {
    match (network, peer) {
        (IpAddr::V4(network), IpAddr::V4(peer)) => network.to_bits() & mask4 == peer.to_bits() & mask4,
        (IpAddr::V6(network), IpAddr::V6(peer)) => network.to_bits() & mask6 == peer.to_bits() & mask6,
        _ => false,
    }
}
