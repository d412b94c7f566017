//! DMARC: the record that holds for a domain (RFC 9989), and where its reports go (RFC 9990).

use super::context::{Context, Subject, publish, seen};
use super::finding::{Level, Outcome};
use super::{Check, Look, Looked};
use crate::domains::RecordPurpose;
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

/// Questions of one tree walk (RFC 9989 4.10).
const MAX_QUERIES: usize = 8;
/// Labels that are left of a longer name after the first question.
const MAX_LABELS: usize = 7;
const KNOWN: [&str; 9] = ["v", "p", "sp", "np", "adkim", "aspf", "fo", "rua", "ruf"];
const ADDED: [&str; 2] = ["psd", "t"];
const REMOVED: [&str; 3] = ["pct", "rf", "ri"];

/// The record that holds, and where it stands.
struct Policy {
    at: String,
    text: String,
}

impl Policy {
    fn tag(&self, name: &str) -> Option<&str> {
        tags_of(&self.text).into_iter().find(|(tag, _)| tag.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// What the tree walk found.
enum Walk {
    Found(Policy),
    Several(String, Vec<String>),
    Nothing,
}

fn tags_of(text: &str) -> Vec<(&str, &str)> {
    text.split(';').filter_map(|tag| tag.split_once('=')).map(|(name, value)| (name.trim(), value.trim())).collect()
}

/// RFC 9989 4.7: the version comes first, and its value is case-sensitive.
fn is_dmarc(text: &str) -> bool {
    tags_of(text.split_once(';').map_or(text, |(first, _)| first)).first() == Some(&("v", "DMARC1"))
}

/// The names asked, from the domain upwards.
fn names(domain: &str) -> Vec<String> {
    let labels: Vec<&str> = domain.split('.').collect();
    let mut starts = vec![0];
    let first = if labels.len() > MAX_LABELS { labels.len() - MAX_LABELS } else { 1 };
    starts.extend((first..labels.len()).take(MAX_QUERIES - 1));
    starts.into_iter().filter_map(|start| labels.get(start..)).map(|rest| rest.join(".")).collect()
}

/// The record that holds for a domain: its own, else that of its organisational domain, which is the highest one found, unless a record
/// says by psd where the organisation begins (RFC 9989 4.10.2).
async fn walk(context: &Context, domain: &DomainName) -> Result<Walk, String> {
    let mut above: Option<Policy> = None;
    for (place, name) in names(domain.as_str()).into_iter().enumerate() {
        let at = format!("_dmarc.{name}");
        let found: Vec<String> = context.texts(&at).await?.into_iter().filter(|text| is_dmarc(text)).collect();
        match (found.as_slice(), place) {
            ([text], 0) => return Ok(Walk::Found(Policy { at, text: text.clone() })),
            ([_, _, ..], 0) => return Ok(Walk::Several(at, found)),
            ([text], _) => {
                let policy = Policy { at, text: text.clone() };
                match policy.tag("psd").map(str::to_ascii_lowercase).as_deref() {
                    Some("n") => return Ok(Walk::Found(policy)),
                    // A registry's own record: the organisation is one label below it, and its record counts if there is one.
                    Some("y") => return Ok(Walk::Found(above.unwrap_or(policy))),
                    _ => above = Some(policy),
                }
            }
            _ => {}
        }
    }
    Ok(above.map_or(Walk::Nothing, Walk::Found))
}

async fn found(context: &Context, subject: &Subject) -> Result<Option<Policy>, String> {
    Ok(match walk(context, &subject.name).await? {
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
    let outcome = match walk(context, &subject.name).await? {
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
    let tags = tags_of(&policy.text);
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
        let fix = format!("add rua=mailto:dmarc@{} to the record at {}, with a mailbox that is read", subject.name, policy.at);
        return Ok(vec![Outcome::bad("no rua=: nobody tells you who sends in your name", fix).about(&policy.at)]);
    };
    let holder = policy.at.strip_prefix("_dmarc.").unwrap_or(&policy.at).to_owned();
    let mut outcomes = Vec::new();
    for uri in value.split(',').map(str::trim) {
        outcomes.push(destination(context, &holder, uri).await?.about(uri));
    }
    Ok(outcomes)
}

/// Whether reports sent to `uri` arrive, and may be sent there for `holder` (RFC 9990 4).
async fn destination(context: &Context, holder: &str, uri: &str) -> Result<Outcome, String> {
    let address = uri
        .split_once(':')
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("mailto"))
        .map(|(_, rest)| rest.split(['!', '?']).next().unwrap_or(rest));
    let Some(domain) = address.and_then(|address| address.rsplit_once('@')).and_then(|(_, domain)| DomainName::parse(domain).ok()) else {
        return Ok(Outcome::bad("not a mailto: address", "write rua=mailto:dmarc@example.com"));
    };
    let hosts = seen(context.resolver.mx(&domain).await)?;
    let takes_mail = if hosts.is_empty() {
        !seen(context.resolver.addresses(domain.as_str()).await)?.is_empty()
    } else {
        hosts.iter().any(|(_, host)| !host.is_empty())
    };
    if !takes_mail {
        return Ok(Outcome::bad(format!("{domain} takes no mail"), "name an address whose domain has an MX record"));
    }
    let related = |one: &str, other: &str| one == other || one.ends_with(&format!(".{other}"));
    if related(domain.as_str(), holder) || related(holder, domain.as_str()) {
        return Ok(Outcome::good(format!("{domain} takes mail")));
    }
    let at = format!("{holder}._report._dmarc.{domain}");
    if context.texts(&at).await?.iter().any(|text| is_dmarc(text)) {
        return Ok(Outcome::good(format!("{domain} takes mail, and reports for {holder}")));
    }
    Ok(Outcome::bad(format!("{domain} does not say that it takes reports for {holder}"), format!("publish: {at}. 3600 IN TXT \"v=DMARC1\"")))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_walk_asks_at_most_eight_names_upwards() {
        assert_eq!(names("a.b.example"), ["a.b.example", "b.example", "example"]);
        assert_eq!(names("example"), ["example"]);
        let long = names("a.b.c.d.e.f.g.h.i.j.mail.example.com");
        assert_eq!(long.len(), MAX_QUERIES);
        assert_eq!((long[1].as_str(), long[7].as_str()), ("g.h.i.j.mail.example.com", "com"), "the example of RFC 9989 4.10");
    }

    #[test]
    fn the_version_comes_first() {
        for (text, is) in [
            ("v=DMARC1; p=none", true),
            ("v = DMARC1 ;p=none", true),
            ("v=DMARC1", true),
            ("v=dmarc1; p=none", false),
            ("p=none; v=DMARC1", false),
            ("v=DMARC10; p=none", false),
        ] {
            assert_eq!(is_dmarc(text), is, "{text}");
        }
    }
}
