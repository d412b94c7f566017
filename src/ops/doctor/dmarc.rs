//! DMARC: the record that holds for a domain (RFC 9989), and where its reports go (RFC 9990).

use super::context::{Context, Subject, publish, seen};
use super::finding::{Level, Outcome};
use super::{Check, Look, Looked};
use crate::domains::dmarc::{self, Policy, Walk};
use crate::domains::{DMARC_REPORTS, RecordPurpose, return_path};
use crate::model::DomainName;

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "D1",
        title: "a DMARC policy holds",
        level: Level::Fail,
        expected: "one record at _dmarc of the domain, or of one above it, with a policy",
        source: "https://www.rfc-editor.org/rfc/rfc9989#section-4.10",
        look: Look::Domain(|context, subject| Box::pin(record(context, subject))),
    },
    Check {
        id: "D2",
        title: "the DMARC record is of our time",
        level: Level::Info,
        expected: "no pct, rf or ri, no size after an address, no tag that is unknown",
        source: "https://www.rfc-editor.org/rfc/rfc9989#appendix-C",
        look: Look::Domain(|context, subject| Box::pin(tags(context, subject))),
    },
    Check {
        id: "D3",
        title: "somebody reads the DMARC reports",
        level: Level::Warn,
        expected: "rua= with an address whose domain takes mail, and allows it if it is another one",
        source: "https://www.rfc-editor.org/rfc/rfc9990#section-4",
        look: Look::Domain(|context, subject| Box::pin(reports(context, subject))),
    },
    Check {
        id: "D4",
        title: "the DMARC policy protects",
        level: Level::Info,
        expected: "p=quarantine or p=reject, once the reports show that all your mail passes",
        source: "https://sendersupport.olc.protection.outlook.com/pm/policies.aspx",
        look: Look::Domain(|context, subject| Box::pin(policy(context, subject))),
    },
];

const KNOWN: [&str; 9] = ["v", "p", "sp", "np", "adkim", "aspf", "fo", "rua", "ruf"];
const ADDED: [&str; 2] = ["psd", "t"];
const REMOVED: [&str; 3] = ["pct", "rf", "ri"];

async fn found(context: &Context, subject: &Subject) -> Result<Option<Policy>, String> {
    Ok(match dmarc::walk(&context.resolver, &subject.name).await? {
        Walk::Found(policy) => Some(policy),
        Walk::Several(..) | Walk::Nothing => None,
    })
}

fn none() -> Vec<Outcome> {
    vec![Outcome::skipped("no record holds (D1)")]
}

fn ours(subject: &Subject) -> String {
    subject.records(RecordPurpose::Dmarc).next().map_or_else(String::new, publish)
}

async fn record(context: &Context, subject: &Subject) -> Looked {
    let outcome = match dmarc::walk(&context.resolver, &subject.name).await? {
        Walk::Nothing => Outcome::bad("none", ours(subject)).about(format!("_dmarc.{}", subject.name)),
        Walk::Several(at, texts) => {
            Outcome::bad(format!("{}: {}; receivers heed none of them", texts.len(), texts.join(" | ")), "keep one of them").about(at)
        }
        Walk::Found(policy) => {
            let valid = |value: &str| ["none", "quarantine", "reject"].iter().any(|known| value.eq_ignore_ascii_case(known));
            let outcome = match policy.tag("p") {
                Some(value) if valid(value) => Outcome::good(&policy.text),
                Some(value) => Outcome::bad(format!("p={value} is no policy"), format!("publish at {} p=none, p=quarantine or p=reject", policy.at)),
                None => Outcome::bad(format!("no p= in {}", policy.text), format!("publish at {} p=none, p=quarantine or p=reject", policy.at)),
            };
            outcome.about(&policy.at)
        }
    };
    Ok(vec![outcome])
}

async fn tags(context: &Context, subject: &Subject) -> Looked {
    let Some(policy) = found(context, subject).await? else { return Ok(none()) };
    let tags = dmarc::tags(&policy.text);
    let removed: Vec<&str> = tags.iter().map(|(name, _)| *name).filter(|name| REMOVED.contains(name)).collect();
    let unknown: Vec<&str> = tags.iter().map(|(name, _)| *name).filter(|name| ![&KNOWN[..], &ADDED, &REMOVED].concat().contains(name)).collect();
    let sized = ["rua", "ruf"].iter().filter_map(|name| policy.tag(name)).any(|value| value.contains('!'));
    let outcome = if !removed.is_empty() {
        Outcome::bad(
            format!("{} no longer means anything", removed.join(", ")),
            format!("remove it from {}; t=y says that a policy is being tried", policy.at),
        )
    } else if sized {
        Outcome::bad("a size limit after an address no longer means anything", format!("remove !... from {}", policy.at))
    } else if !unknown.is_empty() {
        Outcome::bad(format!("{} is no tag of DMARC", unknown.join(", ")), format!("remove it from {}", policy.at))
    } else {
        Outcome::good(&policy.text)
    };
    Ok(vec![outcome.about(&policy.at)])
}

async fn reports(context: &Context, subject: &Subject) -> Looked {
    let Some(policy) = found(context, subject).await? else { return Ok(none()) };
    let Some(value) = policy.tag("rua").filter(|value| !value.is_empty()) else {
        let rua = subject.records(RecordPurpose::Dmarc).find_map(|record| record.value.split("; ").find(|tag| tag.starts_with("rua=")));
        let own = || format!("rua=mailto:dmarc@{}, with a mailbox that is read,", subject.name);
        let fix = format!("add {} to the record at {}", rua.map_or_else(own, str::to_owned), policy.at);
        return Ok(vec![Outcome::bad("no rua=: nobody tells you who sends in your name", fix).about(&policy.at)]);
    };
    let holder = policy.at.strip_prefix("_dmarc.").unwrap_or(&policy.at).to_owned();
    let mut outcomes = Vec::new();
    for uri in value.split(',').map(str::trim) {
        outcomes.push(destination(context, subject, &holder, uri).await?.about(uri));
    }
    Ok(outcomes)
}

/// Whether reports sent to `uri` arrive, and may be sent there for `holder` (RFC 9990 4).
async fn destination(context: &Context, subject: &Subject, holder: &str, uri: &str) -> Result<Outcome, String> {
    let address = uri
        .split_once(':')
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("mailto"))
        .map(|(_, rest)| rest.split(['!', '?']).next().unwrap_or(rest));
    let parts = address.and_then(|address| address.rsplit_once('@'));
    let Some((local, domain)) = parts.and_then(|(local, domain)| Some((local, DomainName::parse(domain).ok()?))) else {
        return Ok(Outcome::bad("not a mailto: address", "write rua=mailto:dmarc@example.com"));
    };
    if !context.takes_mail(&domain).await? {
        return Ok(Outcome::bad(format!("{domain} takes no mail"), "name an address whose domain has an MX record"));
    }
    for (_, host) in seen(context.resolver.mx(&domain).await)? {
        if !host.is_empty() && context.is_us(&host).await? && !is_taken(context, subject, local, &domain).await? {
            let fix = format!("pennypost route add '{local}@{domain}' store, or name an address that is read elsewhere");
            return Ok(Outcome::bad(format!("mail for {domain} comes to this host, which has no route for it"), fix));
        }
    }
    let related = |one: &str, other: &str| one == other || one.ends_with(&format!(".{other}"));
    if related(domain.as_str(), holder) || related(holder, domain.as_str()) {
        return Ok(Outcome::good(format!("{domain} takes mail")));
    }
    let at = format!("{holder}._report._dmarc.{domain}");
    if context.texts(&at).await?.iter().any(|text| dmarc::is_record(text)) {
        return Ok(Outcome::good(format!("{domain} takes mail, and reports for {holder}")));
    }
    Ok(Outcome::bad(format!("{domain} does not say that it takes reports for {holder}"), format!("publish: {at}. 3600 IN TXT \"v=DMARC1\"")))
}

/// Whether this host takes mail to an address whose MX leads here.
async fn is_taken(context: &Context, subject: &Subject, local: &str, domain: &DomainName) -> Result<bool, String> {
    let takes_reports = subject.records(RecordPurpose::ReturnPathMx).next().is_some();
    if takes_reports && local.eq_ignore_ascii_case(DMARC_REPORTS) && return_path(&subject.name).as_ref() == Some(domain) {
        return Ok(true);
    }
    if *domain == subject.name { Ok(subject.receives) } else { context.receives_for(domain).await }
}

async fn policy(context: &Context, subject: &Subject) -> Looked {
    let Some(policy) = found(context, subject).await? else { return Ok(none()) };
    let own = policy.at == format!("_dmarc.{}", subject.name);
    let value = policy.tag("sp").filter(|_| !own).or_else(|| policy.tag("p")).unwrap_or("none").to_ascii_lowercase();
    let fix = match value.as_str() {
        "none" => "p=none only watches; when the reports show your mail passing for some weeks, publish p=quarantine, later p=reject",
        "quarantine" => "when the reports stay clean, publish p=reject",
        _ => return Ok(vec![Outcome::good(format!("p={value}")).about(&policy.at)]),
    };
    Ok(vec![
        Outcome::bad(format!("p={value}; how much of your mail passes is for the reports to show, which doctor does not read"), fix)
            .about(&policy.at),
    ])
}
