//! SPF of the domains that stand in MAIL FROM (RFC 7208).

use super::context::{Context, Subject};
use super::finding::{Level, Outcome};
use super::spf_terms::{self, Census};
use super::{Check, Look, Looked};
use crate::domains::{RecordPurpose, render};
use crate::model::DomainName;
use crate::net::authenticator::Spf;

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "S1",
        title: "one SPF record",
        level: Level::Fail,
        expected: "exactly one TXT record that begins with v=spf1",
        source: "https://www.rfc-editor.org/rfc/rfc7208#section-3.2",
        look: Look::Domain(|context, subject| Box::pin(one_record(context, subject))),
    },
    Check {
        id: "S2",
        title: "SPF lets every sending address pass",
        level: Level::Fail,
        expected: "pass",
        source: "https://support.google.com/a/answer/81126#authentication",
        look: Look::Domain(|context, subject| Box::pin(passes(context, subject))),
    },
    Check {
        id: "S3",
        title: "SPF can be evaluated",
        level: Level::Fail,
        expected: "at most 10 terms that need a look-up and 2 that find nothing, no ptr, no +all, every term readable",
        source: "https://www.rfc-editor.org/rfc/rfc7208#section-4.6.4",
        look: Look::Domain(|context, subject| Box::pin(terms(context, subject))),
    },
    Check {
        id: "S4",
        title: "SPF ends",
        level: Level::Info,
        expected: "~all or -all at the end, and no network wider than /16 (/32 for IPv6)",
        source: "https://www.rfc-editor.org/rfc/rfc7208#section-5.1",
        look: Look::Domain(|context, subject| Box::pin(ends(context, subject))),
    },
];

/// Look-ups that one evaluation may take, and those of them that may find nothing.
const MAX_LOOKUPS: usize = 10;
const MAX_VOID: usize = 2;

/// The SPF records of a name.
async fn records(context: &Context, name: &DomainName) -> Result<Vec<String>, String> {
    Ok(context.texts(name.as_str()).await?.into_iter().filter(|text| spf_terms::is_spf(text)).collect())
}

/// What to publish at `name`: our record, or the one that is there with what it lacks.
fn fix(subject: &Subject, name: &DomainName) -> String {
    let ours = |purpose: RecordPurpose| subject.records(purpose).find(|record| record.name == name.as_str());
    match ours(RecordPurpose::Spf).or_else(|| ours(RecordPurpose::ReturnPathSpf)) {
        Some(record) => format!("publish, instead of the SPF record that is there: {}", render::zone(std::slice::from_ref(record)).trim_end()),
        None => "set server.hostname first (N1); pennypost domain dns then shows the record".to_owned(),
    }
}

async fn one_record(context: &Context, subject: &Subject) -> Looked {
    let mut outcomes = Vec::new();
    for name in subject.mail_from() {
        let found = records(context, &name).await?;
        let outcome = match found.as_slice() {
            [one] => Outcome::good(one),
            [] => Outcome::bad("none", fix(subject, &name).replace(", instead of the SPF record that is there", "")),
            several => Outcome::bad(
                format!("{}: {}", several.len(), several.join(" | ")),
                fix(subject, &name).replace("the SPF record that is", "all that are"),
            ),
        };
        outcomes.push(outcome.about(name));
    }
    Ok(outcomes)
}

async fn passes(context: &Context, subject: &Subject) -> Looked {
    if context.sends_by_smart_host() {
        return Ok(vec![Outcome::skipped("the smart host sends; whether its addresses pass cannot be seen from here")]);
    }
    let addresses = context.outbound().await?;
    if addresses.is_empty() {
        return Ok(vec![Outcome::skipped("no sending address is known (N1)")]);
    }
    let helo = context.host_name();
    let mut outcomes = Vec::new();
    for name in subject.mail_from() {
        for address in &addresses {
            let outcome = match context.authenticator.spf(*address, name.as_str(), &helo).await {
                Spf::Pass => Outcome::good("pass"),
                Spf::TempError => Outcome::unknown("temperror: the DNS gave no answer"),
                other => Outcome::bad(other.as_str(), fix(subject, &name)),
            };
            outcomes.push(outcome.about(format!("{name} from {address}")));
        }
    }
    Ok(outcomes)
}

async fn census(context: &Context, name: &DomainName) -> Result<Option<(String, Census)>, String> {
    let found = records(context, name).await?;
    let [record] = found.as_slice() else { return Ok(None) };
    Ok(Some((record.clone(), spf_terms::count(&context.resolver, name.as_str(), record).await?)))
}

async fn terms(context: &Context, subject: &Subject) -> Looked {
    let mut outcomes = Vec::new();
    for name in subject.mail_from() {
        let Some((_, census)) = census(context, &name).await? else {
            outcomes.push(Outcome::skipped("there is not exactly one record (S1)").about(name));
            continue;
        };
        let found = format!("{} look-ups, {} of them find nothing", census.lookups, census.void);
        let outcome = if let Some(fault) = census.faults.first() {
            Outcome::bad(format!("{found}; {fault}"), "mend or remove that term")
        } else if census.lets_all_pass {
            Outcome::bad("+all lets the whole world send in your name", "end the record with ~all or -all")
        } else if census.lookups > MAX_LOOKUPS {
            let fix = format!("remove what no longer sends for you, or name addresses instead of includes: {}", census.named.join(" "));
            Outcome::bad(format!("{found}: receivers stop at {MAX_LOOKUPS} with permerror"), fix)
        } else if census.void > MAX_VOID {
            Outcome::bad(format!("{found}: receivers stop at the third with permerror"), format!("remove {}", census.empty.join(" ")))
        } else if census.has_ptr {
            Outcome::bad(format!("{found}; it has ptr"), "remove the ptr term: many receivers do not follow it (RFC 7208 5.5)").at(Level::Warn)
        } else {
            Outcome::good(found)
        };
        outcomes.push(outcome.about(name));
    }
    Ok(outcomes)
}

async fn ends(context: &Context, subject: &Subject) -> Looked {
    let mut outcomes = Vec::new();
    for name in subject.mail_from() {
        let Some((record, census)) = census(context, &name).await? else {
            outcomes.push(Outcome::skipped("there is not exactly one record (S1)").about(name));
            continue;
        };
        let outcome = if let Some(wide) = census.wide.first() {
            Outcome::bad(format!("{wide} lets a wide network send"), "name the addresses that really send")
        } else if census.ends_well {
            Outcome::good(record)
        } else {
            Outcome::bad(record, "end the record with ~all, or with -all once nobody else sends for the domain")
        };
        outcomes.push(outcome.about(name));
    }
    Ok(outcomes)
}
