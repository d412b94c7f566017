//! The live check: what DNS says, against what it should say.
//!
//! Answers: the state of each record, and whether the domain proves itself, that is, whether its RSA key stands in DNS.
//! Does not: write anything down, or decide what becomes of a domain (see [`super::state`]).

use std::net::IpAddr;

use futures_util::future::join_all;

use super::record::{DnsRecord, RecordPurpose, RecordState};
use super::spf::Senders;
use crate::model::DomainName;
use crate::net::dns::{DnsError, Resolver};

/// Levels above a domain that are asked for a DMARC record (RFC 9989 4.10 stops after eight queries).
const DMARC_LEVELS: usize = 8;
/// Characters of a found value that are kept.
const MAX_FOUND_CHARACTERS: usize = 1_000;

/// What DNS answered to one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// These values; for MX the hosts.
    Values(Vec<String>),
    /// Nothing is there.
    Nothing,
    /// No answer to rely on.
    Unknown,
}

/// Whether the domain proves that it belongs to its project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// The key stands in DNS.
    Seen,
    /// DNS says that it does not.
    Gone,
    /// DNS could not say.
    Unknown,
}

impl From<RecordState> for Proof {
    fn from(state: RecordState) -> Self {
        match state {
            RecordState::Ok => Self::Seen,
            RecordState::Missing | RecordState::Wrong => Self::Gone,
            RecordState::Unknown => Self::Unknown,
        }
    }
}

/// What several keys prove together: one that stands is enough, and only if all are gone the proof is.
pub(super) fn best(proofs: impl IntoIterator<Item = Proof>) -> Proof {
    proofs.into_iter().fold(Proof::Gone, |best, proof| match (best, proof) {
        (Proof::Seen, _) | (_, Proof::Seen) => Proof::Seen,
        (Proof::Unknown, _) | (_, Proof::Unknown) => Proof::Unknown,
        (Proof::Gone, Proof::Gone) => Proof::Gone,
    })
}

/// Looks all `records` up and writes into each what was found.
pub(super) async fn check(resolver: &Resolver, senders: &Senders, records: &mut [DnsRecord]) {
    let us = Us { senders: senders.clone(), host_addresses: host_addresses(resolver, senders).await };
    let answers = join_all(records.iter().map(|record| look_up(resolver, record))).await;
    for (record, answer) in records.iter_mut().zip(answers) {
        (record.state, record.found) = judge(record, &us, &answer);
    }
}

/// The proof alone: whether the RSA key of `record` stands in DNS.
pub(super) async fn proof(resolver: &Resolver, record: &DnsRecord) -> Proof {
    judge(record, &Us::default(), &look_up(resolver, record).await).0.into()
}

/// What an SPF record has to let pass.
#[derive(Debug, Default)]
struct Us {
    senders: Senders,
    host_addresses: Vec<IpAddr>,
}

/// The addresses of our name, where it matters which they are.
async fn host_addresses(resolver: &Resolver, senders: &Senders) -> Vec<IpAddr> {
    match &senders.hostname {
        Some(hostname) if !senders.egress.is_empty() => resolver.addresses(hostname.as_str()).await.unwrap_or_default(),
        _ => Vec::new(),
    }
}

/// Asks DNS itself: what the resolver remembers from before may be the reason why somebody checks again.
async fn look_up(resolver: &Resolver, record: &DnsRecord) -> Answer {
    resolver.forget(&record.name);
    match record.purpose {
        RecordPurpose::Dmarc => dmarc(resolver, &record.name).await,
        RecordPurpose::ReturnPathMx => match DomainName::parse(&record.name) {
            Ok(name) => {
                answer(resolver.mx(&name).await.map(|hosts| hosts.into_iter().map(|(preference, host)| format!("{preference} {host}")).collect()))
            }
            Err(_) => Answer::Unknown,
        },
        RecordPurpose::Dkim | RecordPurpose::Spf | RecordPurpose::ReturnPathSpf => answer(resolver.txt(&record.name).await),
    }
}

/// The DMARC record of the domain, or else the nearest one above it (RFC 9989 4.10).
async fn dmarc(resolver: &Resolver, name: &str) -> Answer {
    let own = answer(resolver.txt(name).await);
    let has_one = matches!(&own, Answer::Values(values) if values.iter().any(|value| is_dmarc(value)));
    let Some(mut domain) = name.strip_prefix("_dmarc.").filter(|_| !has_one && own != Answer::Unknown) else { return own };
    for _ in 0..DMARC_LEVELS {
        let Some((_, above)) = domain.split_once('.').filter(|(_, above)| above.contains('.')) else { break };
        domain = above;
        let name = format!("_dmarc.{domain}");
        resolver.forget(&name);
        match answer(resolver.txt(&name).await) {
            Answer::Values(values) if values.iter().any(|value| is_dmarc(value)) => return Answer::Values(values),
            Answer::Unknown => return Answer::Unknown,
            Answer::Values(_) | Answer::Nothing => {}
        }
    }
    own
}

fn answer(result: Result<Vec<String>, DnsError>) -> Answer {
    match result {
        Ok(values) if values.is_empty() => Answer::Nothing,
        Ok(values) => Answer::Values(values),
        Err(DnsError::NoSuchName | DnsError::NoRecords) => Answer::Nothing,
        Err(DnsError::Temporary(_)) => Answer::Unknown,
    }
}

/// The state of one record, and what stands there if it is not exactly what was asked for.
fn judge(record: &DnsRecord, us: &Us, answer: &Answer) -> (RecordState, Option<String>) {
    let values = match answer {
        Answer::Unknown => return (RecordState::Unknown, None),
        Answer::Nothing => return (RecordState::Missing, None),
        Answer::Values(values) => values,
    };
    let relevant: Vec<&String> = values.iter().filter(|value| is_of_kind(record.purpose, value)).collect();
    let state = match record.purpose {
        _ if relevant.is_empty() => RecordState::Missing,
        RecordPurpose::Dkim => ok_if(relevant.len() == 1 && relevant.iter().all(|value| same_key(value, &record.value))),
        RecordPurpose::ReturnPathMx => ok_if(relevant.iter().any(|value| same_host(value, &record.value))),
        // More than one record of either kind is an error to receivers (RFC 7208 4.5, RFC 9989 4.7).
        RecordPurpose::Dmarc => ok_if(relevant.len() == 1),
        RecordPurpose::Spf | RecordPurpose::ReturnPathSpf => {
            ok_if(relevant.len() == 1 && relevant.iter().all(|value| us.senders.all_pass(value, &us.host_addresses)))
        }
    };
    let exact = matches!(relevant.as_slice(), [only] if **only == record.value);
    let found = if exact || relevant.is_empty() { None } else { Some(shown(&relevant)) };
    (state, found)
}

const fn ok_if(good: bool) -> RecordState {
    if good { RecordState::Ok } else { RecordState::Wrong }
}

fn shown(values: &[&String]) -> String {
    let all: Vec<&str> = values.iter().map(|value| value.as_str()).collect();
    all.join(" | ").chars().take(MAX_FOUND_CHARACTERS).collect()
}

/// Other texts may stand under the same name, such as proofs for other services.
fn is_of_kind(purpose: RecordPurpose, value: &str) -> bool {
    match purpose {
        RecordPurpose::Spf | RecordPurpose::ReturnPathSpf => value.split(' ').next().is_some_and(|version| version.eq_ignore_ascii_case("v=spf1")),
        RecordPurpose::Dmarc => is_dmarc(value),
        RecordPurpose::Dkim | RecordPurpose::ReturnPathMx => true,
    }
}

/// RFC 9989 4.7: the version comes first; its value is case-sensitive.
fn is_dmarc(value: &str) -> bool {
    value.split(';').next().and_then(|tag| tag.split_once('=')).is_some_and(|(tag, version)| tag.trim() == "v" && version.trim() == "DMARC1")
}

/// Two DKIM records with the same key (RFC 6376 3.6.1): white space inside the key and other tags make no difference.
fn same_key(one: &str, other: &str) -> bool {
    let of = |name: &str, text: &str| -> Option<String> {
        let value = text.split(';').find_map(|tag| tag.split_once('=').filter(|(found, _)| found.trim() == name).map(|(_, value)| value))?;
        Some(value.chars().filter(|character| !character.is_whitespace()).collect())
    };
    let kind = |text: &str| of("k", text).unwrap_or_else(|| "rsa".to_owned());
    let key = of("p", one).filter(|key| !key.is_empty());
    key.is_some() && key == of("p", other) && kind(one) == kind(other)
}

/// True if both name the same MX host; the preference is the owner's choice.
fn same_host(one: &str, other: &str) -> bool {
    let host = |text: &str| text.split_once(' ').map(|(_, host)| host.trim_end_matches('.').to_ascii_lowercase());
    host(one).is_some() && host(one) == host(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domains::record::RecordType;

    fn judged(purpose: RecordPurpose, value: &str, answers: &[&str]) -> RecordState {
        let kind = if purpose == RecordPurpose::ReturnPathMx { RecordType::Mx } else { RecordType::Txt };
        let record = DnsRecord { kind, name: "n.example.com".to_owned(), value: value.to_owned(), purpose, state: RecordState::Unknown, found: None };
        let answer = if answers.is_empty() { Answer::Nothing } else { Answer::Values(answers.iter().map(|text| (*text).to_owned()).collect()) };
        let senders = Senders { hostname: DomainName::parse("mail.example.net").ok(), egress: Vec::new() };
        judge(&record, &Us { senders, host_addresses: Vec::new() }, &answer).0
    }

    #[test]
    fn a_dkim_record_is_judged_by_its_key() {
        use RecordState::{Missing, Ok, Wrong};
        let expected = "v=DKIM1; k=rsa; p=MIIBAQ==";
        for (found, state) in [
            (vec![expected], Ok),
            (vec!["k=rsa; p=MIIB AQ=="], Ok),
            (vec!["v=DKIM1;p=MIIBAQ==;t=s"], Ok),
            (vec!["v=DKIM1; k=rsa; p=MIIBBQ=="], Wrong),
            (vec!["v=DKIM1; k=ed25519; p=MIIBAQ=="], Wrong),
            (vec!["v=DKIM1; k=rsa; p="], Wrong),
            (vec!["v=spf1 -all"], Wrong),
            (vec![expected, "v=DKIM1; k=rsa; p=MIIBBQ=="], Wrong),
            (vec![], Missing),
        ] {
            assert_eq!(judged(RecordPurpose::Dkim, expected, &found), state, "{found:?}");
        }
        assert_eq!(judged(RecordPurpose::Dkim, "v=DKIM1; k=rsa; p=", &["v=DKIM1; k=rsa; p="]), Wrong, "an empty key is a revoked key");
    }

    #[test]
    fn an_spf_record_is_judged_by_whether_we_may_send() {
        use RecordState::{Missing, Ok, Wrong};
        for (found, state) in [
            (vec!["v=spf1 a:mail.example.net ~all"], Ok),
            (vec!["google-site-verification=x", "v=spf1 include:_spf.example.org +a:Mail.Example.NET -all"], Ok),
            (vec!["v=spf1 include:_spf.example.org -all"], Wrong),
            (vec!["v=spf1 -a:mail.example.net ~all"], Wrong),
            (vec!["v=spf1 -all a:mail.example.net"], Wrong),
            (vec!["v=spf1 a:mail.example.net.evil.example ~all"], Wrong),
            (vec!["v=spf1 a:mail.example.net ~all", "v=spf1 -all"], Wrong),
            (vec!["v=spf10 a:mail.example.net ~all"], Missing),
            (vec!["google-site-verification=x"], Missing),
            (vec![], Missing),
        ] {
            assert_eq!(judged(RecordPurpose::Spf, "v=spf1 a:mail.example.net ~all", &found), state, "{found:?}");
        }
    }

    #[test]
    fn a_stricter_dmarc_policy_than_asked_for_is_fine() {
        use RecordState::{Missing, Ok, Wrong};
        for (found, state) in [
            (vec!["v=DMARC1; p=reject; rua=mailto:d@example.com"], Ok),
            (vec!["v=DMARC1;p=none"], Ok),
            (vec!["v=DMARC1; p=none", "v=DMARC1; p=reject"], Wrong),
            (vec!["v=DMARC10; p=none"], Missing),
            (vec!["p=none; v=DMARC1"], Missing),
        ] {
            assert_eq!(judged(RecordPurpose::Dmarc, "v=DMARC1; p=none", &found), state, "{found:?}");
        }
    }

    #[test]
    fn the_return_path_needs_our_host_at_any_preference() {
        use RecordState::{Ok, Wrong};
        for (found, state) in
            [(vec!["10 mail.example.net"], Ok), (vec!["0 MAIL.example.net.", "20 other.example"], Ok), (vec!["10 other.example"], Wrong)]
        {
            assert_eq!(judged(RecordPurpose::ReturnPathMx, "10 mail.example.net", &found), state, "{found:?}");
        }
    }

    #[test]
    fn an_answer_that_did_not_come_says_nothing() {
        let record = DnsRecord {
            kind: RecordType::Txt,
            name: "n.example.com".to_owned(),
            value: "v=DKIM1; p=AA".to_owned(),
            purpose: RecordPurpose::Dkim,
            state: RecordState::Ok,
            found: None,
        };
        let (state, found) = judge(&record, &Us::default(), &answer(Err(DnsError::Temporary("SERVFAIL".to_owned()))));
        assert_eq!((state, found, Proof::from(state)), (RecordState::Unknown, None, Proof::Unknown));
        assert_eq!(answer(Err(DnsError::NoSuchName)), Answer::Nothing);
    }
}
