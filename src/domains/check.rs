//! The live check: what DNS says, against what it should say.
//!
//! Answers: the state of each record, and whether the domain proves itself, that is, whether its RSA key stands in DNS.
//! Does not: write anything down, or decide what becomes of a domain (see [`super::state`]).

use std::net::IpAddr;

use futures_util::future::join_all;

use super::dmarc::{self, Walk};
use super::record::{DnsRecord, RecordPurpose, RecordState};
use super::spf::Senders;
use crate::model::DomainName;
use crate::net::dns::{DnsError, Resolver};
use crate::net::mta_sts;

/// Characters of a found value that are kept.
const MAX_FOUND_CHARACTERS: usize = 1_000;

/// What DNS answered to one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// These values, as a record of ours would write them.
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
        RecordPurpose::Dmarc => policy(resolver, &record.name).await,
        RecordPurpose::ReturnPathMx | RecordPurpose::InboundMx => match DomainName::parse(&record.name) {
            Ok(name) => {
                answer(resolver.mx(&name).await.map(|hosts| hosts.into_iter().map(|(preference, host)| format!("{preference} {host}")).collect()))
            }
            Err(_) => Answer::Unknown,
        },
        RecordPurpose::DkimDelegation => answer(resolver.cname(&record.name).await),
        RecordPurpose::MtaStsHost => host(resolver, record).await,
        RecordPurpose::SubmissionsSrv | RecordPurpose::SubmissionSrv => answer(resolver.srv(&record.name).await.map(|services| {
            services.into_iter().map(|found| format!("{} {} {} {}", found.priority, found.weight, found.port, found.host)).collect()
        })),
        RecordPurpose::Dkim | RecordPurpose::Spf | RecordPurpose::ReturnPathSpf | RecordPurpose::MtaSts | RecordPurpose::TlsReports => {
            answer(resolver.txt(&record.name).await)
        }
    }
}

/// Where a name leads that should lead to the host of `record`: the host itself if it is an alias of it, or has addresses that all are the host's.
async fn host(resolver: &Resolver, record: &DnsRecord) -> Answer {
    resolver.forget(&record.value);
    match answer(resolver.cname(&record.name).await) {
        Answer::Nothing => {}
        other => return other,
    }
    let (theirs, ours) = (resolver.addresses(&record.name).await, resolver.addresses(&record.value).await.unwrap_or_default());
    match theirs {
        Ok(theirs) if !theirs.is_empty() && theirs.iter().all(|address| ours.contains(address)) => Answer::Values(vec![record.value.clone()]),
        theirs => answer(theirs.map(|addresses| addresses.iter().map(ToString::to_string).collect())),
    }
}

/// The DMARC record that holds for the domain of `name`.
async fn policy(resolver: &Resolver, name: &str) -> Answer {
    let Some(Ok(domain)) = name.strip_prefix("_dmarc.").map(DomainName::parse) else { return Answer::Unknown };
    for name in &dmarc::names(&domain) {
        resolver.forget(name);
    }
    match dmarc::walk(resolver, &domain).await {
        Ok(Walk::Found(policy)) => Answer::Values(vec![policy.text]),
        Ok(Walk::Several(_, texts)) => Answer::Values(texts),
        Ok(Walk::Nothing) => Answer::Nothing,
        Err(_) => Answer::Unknown,
    }
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
        RecordPurpose::ReturnPathMx | RecordPurpose::InboundMx => ok_if(relevant.iter().any(|value| same_host(value, &record.value))),
        // More than one record of a kind is an error to receivers and senders (RFC 7208 4.5, RFC 9989 4.7, RFC 8460 3, RFC 8461 3.1).
        RecordPurpose::Dmarc | RecordPurpose::TlsReports => ok_if(relevant.len() == 1),
        // Another id names a policy that senders know and is not ours.
        RecordPurpose::MtaSts => {
            let id = mta_sts::record_id(values);
            ok_if(id.is_some() && id == mta_sts::record_id(std::slice::from_ref(&record.value)))
        }
        RecordPurpose::DkimDelegation | RecordPurpose::MtaStsHost => ok_if(relevant.iter().all(|value| value.eq_ignore_ascii_case(&record.value))),
        RecordPurpose::SubmissionsSrv | RecordPurpose::SubmissionSrv => ok_if(relevant.iter().any(|value| same_place(value, &record.value))),
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
        RecordPurpose::Dmarc => dmarc::is_record(value),
        RecordPurpose::MtaSts => is_version(value, "STSv1"),
        RecordPurpose::TlsReports => is_version(value, "TLSRPTv1"),
        RecordPurpose::Dkim
        | RecordPurpose::DkimDelegation
        | RecordPurpose::ReturnPathMx
        | RecordPurpose::InboundMx
        | RecordPurpose::MtaStsHost
        | RecordPurpose::SubmissionsSrv
        | RecordPurpose::SubmissionSrv => true,
    }
}

/// RFC 8460 3, RFC 8461 3.1: the version comes first.
fn is_version(value: &str, version: &str) -> bool {
    value.split(';').next().and_then(|tag| tag.split_once('=')).is_some_and(|(tag, found)| (tag.trim(), found.trim()) == ("v", version))
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

/// True if two SRV records name the same host and port; priority and weight are the owner's choice.
fn same_place(one: &str, other: &str) -> bool {
    let place = |text: &str| {
        let mut words = text.split(' ').skip(2);
        Some((words.next()?.to_owned(), words.next()?.trim_end_matches('.').to_ascii_lowercase()))
    };
    place(one).is_some() && place(one) == place(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domains::record::RecordType;

    fn judged(purpose: RecordPurpose, value: &str, answers: &[&str]) -> RecordState {
        let record = DnsRecord {
            kind: RecordType::Txt,
            name: "n.example.com".to_owned(),
            value: value.to_owned(),
            purpose,
            state: RecordState::Unknown,
            found: None,
        };
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
    fn records_of_services_are_judged_by_where_they_lead() {
        use RecordState::{Missing, Ok, Wrong};
        let (sts, tls) = ("v=STSv1; id=abc;", "v=TLSRPTv1; rua=mailto:t@example.com");
        for (purpose, value, found, state) in [
            (RecordPurpose::SubmissionsSrv, "0 1 465 mail.example.net", vec!["0 1 465 mail.example.net"], Ok),
            (RecordPurpose::SubmissionsSrv, "0 1 465 mail.example.net", vec!["5 0 465 MAIL.example.net.", "0 0 465 other.example"], Ok),
            (RecordPurpose::SubmissionsSrv, "0 1 465 mail.example.net", vec!["0 1 587 mail.example.net"], Wrong),
            (RecordPurpose::SubmissionSrv, "0 1 587 mail.example.net", vec!["0 0 0 "], Wrong),
            (RecordPurpose::DkimDelegation, "k.example.com.d.example", vec!["K.example.com.d.example"], Ok),
            (RecordPurpose::DkimDelegation, "k.example.com.d.example", vec!["other.d.example"], Wrong),
            (RecordPurpose::InboundMx, "10 mail.example.net", vec!["0 mail.example.net", "20 backup.example"], Ok),
            (RecordPurpose::InboundMx, "10 mail.example.net", vec!["10 backup.example"], Wrong),
            (RecordPurpose::MtaSts, sts, vec!["v=STSv1;id=abc", "google-site-verification=x"], Ok),
            (RecordPurpose::MtaSts, sts, vec!["v=STSv1; id=abd;"], Wrong),
            (RecordPurpose::MtaSts, sts, vec![sts, "v=STSv1; id=abc;"], Wrong),
            (RecordPurpose::MtaSts, sts, vec!["v=STSv10; id=abc;"], Missing),
            (RecordPurpose::TlsReports, tls, vec!["v=TLSRPTv1;rua=https://elsewhere.example/t"], Ok),
            (RecordPurpose::TlsReports, tls, vec![tls, tls], Wrong),
            (RecordPurpose::TlsReports, tls, vec!["v=spf1 -all"], Missing),
        ] {
            assert_eq!(judged(purpose, value, &found), state, "{purpose:?} {found:?}");
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
