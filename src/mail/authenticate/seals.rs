//! DKIM signatures and ARC chains of a message, verified with keys that were looked up before (RFC 6376 6, RFC 8617 5.2).
//!
//! Answers: one result for each DKIM-Signature, the state of the chain, and the addresses in From. The verifying is mail-auth's; its relaxed form of a body
//! that ends in lines of white space is wrong, so a body hash that differs is computed again over a copy without them.
//! Does not: ask the DNS, trust an ARC chain, or take a failure for a fault: a broken signature is no signature (RFC 6376 6.1).

use std::borrow::{Borrow, Cow};
use std::collections::HashMap;
use std::hash::Hash;

use mail_auth::common::crypto::Algorithm;
use mail_auth::common::parse::TxtRecordParser as _;
use mail_auth::common::verify::DomainKey;
use mail_auth::dkim::{Canonicalization, DkimError};
use mail_auth::hickory_resolver::config::{ResolverConfig, ResolverOpts};
use mail_auth::hickory_resolver::proto::op::ResponseCode;
use mail_auth::{AuthenticatedMessage, DkimOutput, DkimResult as Found, DnsError, Error, MessageAuthenticator, Parameters, ResolverCache, Txt};
use time::OffsetDateTime;

use super::records::RecordError;
use crate::mail::fields::{Field, Fields};

/// Signatures of one message that are looked at (RFC 6376 6.1 leaves the number to the verifier).
const MAX_SIGNATURES: usize = 8;
/// Sets of an ARC chain whose keys are looked up (RFC 8617 4.2.1 allows 50).
const MAX_SETS: usize = 50;
/// Bits of an RSA key that proves something (RFC 8301 3.2).
const MIN_RSA_BITS: usize = 1024;
/// Fields that count; a message may be made of nothing else.
const MAX_FIELDS: usize = 10_000;

/// What became of one signature (RFC 8601 2.7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DkimResult {
    /// It verifies.
    Pass,
    /// Message or signature were changed.
    Fail,
    /// It cannot be used: syntax, an algorithm of the past, expiry.
    Neutral,
    /// Its key could not be looked up now.
    TempError,
    /// There is no such key.
    PermError,
}

impl DkimResult {
    /// As Authentication-Results writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Neutral => "neutral",
            Self::TempError => "temperror",
            Self::PermError => "permerror",
        }
    }
}

/// One DKIM signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DkimCheck {
    /// `d=`; empty if the field cannot be read.
    pub domain: String,
    /// `s=`
    pub selector: String,
    /// `a=`
    pub algorithm: &'static str,
    /// The first eight characters of `b=`, which tell signatures of one domain apart (RFC 6008).
    pub mark: String,
    /// What became of it.
    pub result: DkimResult,
    /// Why; none if it passed.
    pub reason: Option<String>,
}

/// The state of an ARC chain (RFC 8617 4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArcState {
    /// There is none.
    None,
    /// All of it verifies.
    Pass,
    /// It does not, or its last seal says so.
    Fail,
}

impl ArcState {
    /// As `cv=` and Authentication-Results write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Pass => "pass",
            Self::Fail => "fail",
        }
    }
}

/// What a message carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Its signatures in the order of their fields.
    pub dkim: Vec<DkimCheck>,
    /// Its chain.
    pub arc: ArcState,
    /// The addresses in its From, in lower case.
    pub from: Vec<String>,
}

/// The DNS names of all keys that [`verify`] may use, in lower case, each once.
#[must_use]
pub fn key_names(message: &[u8]) -> Vec<String> {
    let fields = Fields::split(message, MAX_FIELDS, usize::MAX);
    let signatures = fields.named("DKIM-Signature").take(MAX_SIGNATURES);
    let sets = ["ARC-Message-Signature", "ARC-Seal"].map(|name| fields.named(name).take(MAX_SETS));
    let mut names: Vec<String> = Vec::new();
    for field in signatures.chain(sets.into_iter().flatten()) {
        let (Some(selector), Some(domain)) = (tag(field, "s"), tag(field, "d")) else { continue };
        let name = format!("{selector}._domainkey.{domain}").to_ascii_lowercase();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// The value of a tag, without white space (RFC 6376 3.2).
pub(in crate::mail) fn tag(field: &Field<'_>, name: &str) -> Option<String> {
    let value = std::str::from_utf8(field.value()).ok()?;
    let mut tags = value.split(';').filter_map(|tag| tag.split_once('='));
    let (_, value) = tags.find(|(known, _)| known.trim() == name)?;
    Some(value.chars().filter(|character| !character.is_ascii_whitespace()).collect())
}

/// What was found under the names of [`key_names`].
#[derive(Clone, Debug, Default)]
pub struct Keys(pub HashMap<String, Result<Vec<String>, RecordError>>);

impl Keys {
    /// What mail-auth's own look-up would make of the answer.
    fn read(&self, name: &str) -> Txt {
        let missing = || Txt::Error(Error::Dns(DnsError::RecordNotFound(ResponseCode::NXDomain)));
        match self.0.get(name.trim_end_matches('.')) {
            Some(Ok(records)) => {
                let mut found = records.iter().map(|record| DomainKey::parse(record.as_bytes()));
                let first = found.next();
                let best = first.into_iter().chain(found).reduce(|known, next| if known.is_ok() { known } else { next });
                match best {
                    Some(Ok(key)) => Txt::DomainKey(key.into()),
                    Some(Err(error)) => Txt::Error(error),
                    None => missing(),
                }
            }
            Some(Err(RecordError::Temporary)) => Txt::Error(Error::Dns(DnsError::Resolver("no answer from the DNS".to_owned()))),
            _ => missing(),
        }
    }
}

/// The keys in the form in which mail-auth asks a cache: it never gets to ask anybody else.
struct Answers(Vec<(Box<str>, Txt)>);

impl ResolverCache<Box<str>, Txt> for Answers {
    fn get<Q>(&self, name: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let known = self.0.iter().find(|(known, _)| <Box<str> as Borrow<Q>>::borrow(known) == name);
        // Reports on failures are asked for under other names (RFC 6651), and not sent.
        Some(known.map_or(Txt::Error(Error::Dns(DnsError::RecordNotFound(ResponseCode::NXDomain))), |(_, answer)| answer.clone()))
    }

    fn remove<Q>(&self, _: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        None
    }

    fn insert(&self, _: Box<str>, _: Txt, _: std::time::Instant) {}
}

/// Verifies what `message` carries. Hashes all of it, a few times: call it where blocking is allowed.
#[must_use]
pub fn verify(message: &[u8], keys: &Keys, now: OffsetDateTime) -> Sealed {
    let answers = Answers(keys.0.keys().map(|name| (format!("{name}.").into_boxed_str(), keys.read(name))).collect());
    let message = few_signatures(message);
    let first = Pass::over(&message, &answers, keys, now);
    let Some(mut sealed) = first else { return Sealed { dkim: Vec::new(), arc: ArcState::None, from: Vec::new() } };
    if sealed.may_be_misread
        && let Some(trimmed) = without_blank_tail(&message)
        && let Some(second) = Pass::over(&trimmed, &answers, keys, now)
    {
        for (known, again) in sealed.sealed.dkim.iter_mut().zip(second.sealed.dkim) {
            if sealed.misread.contains(&known.mark) && again.result == DkimResult::Pass {
                *known = again;
            }
        }
        if sealed.arc_misread && second.sealed.arc == ArcState::Pass {
            sealed.sealed.arc = ArcState::Pass;
        }
    }
    sealed.sealed
}

/// One look at the message, and which of its failures may be the verifier's.
struct Pass {
    sealed: Sealed,
    misread: Vec<String>,
    arc_misread: bool,
    may_be_misread: bool,
}

impl Pass {
    fn over(message: &[u8], answers: &Answers, keys: &Keys, now: OffsetDateTime) -> Option<Self> {
        let parsed = AuthenticatedMessage::parse(message)?;
        let authenticator = MessageAuthenticator::new(ResolverConfig::default(), ResolverOpts::default()).ok()?;
        let outputs = at_once(authenticator.verify_dkim(Parameters::new(&parsed).with_txt_cache(answers)))?;
        let mut misread = Vec::new();
        let mut dkim = Vec::with_capacity(outputs.len());
        for output in &outputs {
            let check = read(output, keys, now);
            let is_hash = matches!(output.result(), Found::Neutral(Error::Dkim(DkimError::FailedBodyHashMatch)));
            if is_hash && output.signature().is_some_and(|signature| signature.cb == Canonicalization::Relaxed) {
                misread.push(check.mark.clone());
            }
            dkim.push(check);
        }
        let chain = at_once(authenticator.verify_arc(Parameters::new(&parsed).with_txt_cache(answers)))?;
        let arc = match chain.result() {
            Found::None if parsed.as_headers.is_empty() && !parsed.has_arc_errors => ArcState::None,
            Found::Pass => ArcState::Pass,
            _ => ArcState::Fail,
        };
        let arc_misread = arc == ArcState::Fail && parsed.ams_headers.last().is_some_and(|field| field.header.cb == Canonicalization::Relaxed);
        let may_be_misread = arc_misread || !misread.is_empty();
        let from = parsed.from.clone();
        Some(Self { sealed: Sealed { dkim, arc, from }, misread, arc_misread, may_be_misread })
    }
}

/// The outcome of a future that has all it needs.
fn at_once<F: Future>(future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}

fn read(output: &DkimOutput<'_>, keys: &Keys, now: OffsetDateTime) -> DkimCheck {
    let (mut result, mut reason) = match output.result() {
        Found::Pass => (DkimResult::Pass, None),
        Found::Neutral(error @ Error::Dkim(DkimError::FailedBodyHashMatch)) | Found::Fail(error) => (DkimResult::Fail, Some(error.to_string())),
        Found::Neutral(error) => (DkimResult::Neutral, Some(error.to_string())),
        Found::TempError(error) => (DkimResult::TempError, Some(error.to_string())),
        Found::PermError(error) => (DkimResult::PermError, Some(error.to_string())),
        Found::None => (DkimResult::Neutral, None),
    };
    let Some(signature) = output.signature() else {
        return DkimCheck { domain: String::new(), selector: String::new(), algorithm: "", mark: String::new(), result, reason };
    };
    if result == DkimResult::Pass {
        let seconds = u64::try_from(now.unix_timestamp()).unwrap_or(0);
        let name = format!("{}._domainkey.{}", signature.s, signature.d);
        let bits = match keys.read(&name) {
            Txt::DomainKey(key) if signature.a != Algorithm::Ed25519Sha256 => key.p.public_key_bits(),
            _ => MIN_RSA_BITS,
        };
        if signature.a == Algorithm::RsaSha1 {
            (result, reason) = (DkimResult::Neutral, Some("rsa-sha1 proves nothing any more".to_owned()));
        } else if bits < MIN_RSA_BITS {
            (result, reason) = (DkimResult::Neutral, Some("the key is too short".to_owned()));
        } else if signature.x != 0 && signature.x <= seconds {
            (result, reason) = (DkimResult::Neutral, Some("the signature has expired".to_owned()));
        }
    }
    let algorithm = match signature.a {
        Algorithm::RsaSha1 => "rsa-sha1",
        Algorithm::RsaSha256 => "rsa-sha256",
        Algorithm::Ed25519Sha256 => "ed25519-sha256",
    };
    let mark = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, signature.b.get(..6).unwrap_or(&signature.b));
    DkimCheck { domain: signature.d.clone(), selector: signature.s.clone(), algorithm, mark, result, reason }
}

/// The message without those signatures that are over the limit: each costs a look-up and a computation.
fn few_signatures(message: &[u8]) -> Cow<'_, [u8]> {
    let fields = Fields::split(message, MAX_FIELDS, usize::MAX);
    let Some(first_excess) = fields.named("DKIM-Signature").nth(MAX_SIGNATURES) else { return Cow::Borrowed(message) };
    let mut few = Vec::with_capacity(message.len());
    for field in &fields.all {
        if !field.is("DKIM-Signature") || field.start < first_excess.start {
            few.extend_from_slice(field.raw);
        }
    }
    few.extend_from_slice(message.get(fields.header_end..).unwrap_or_default());
    Cow::Owned(few)
}

/// The message without lines of white space at its end, which are the same to relaxed form (RFC 6376 3.4.4); none if it has no such lines.
fn without_blank_tail(message: &[u8]) -> Option<Vec<u8>> {
    let body = Fields::split(message, MAX_FIELDS, usize::MAX).body_start?;
    let text = message.get(body..)?;
    let end = text.iter().rposition(|octet| !matches!(octet, b' ' | b'\t' | b'\r' | b'\n')).map_or(0, |last| last + 1);
    let mut trimmed = message.get(..body + end)?.to_vec();
    if end > 0 {
        trimmed.extend_from_slice(b"\r\n");
    }
    (trimmed.len() != message.len()).then_some(trimmed)
}
