//! Reputation: what lists say of our addresses and domains, and how the mail of the last day fared.

use std::time::Duration;

use time::OffsetDateTime;

use super::context::{Context, Subject};
use super::finding::{Level, Outcome};
use super::{Check, Database, Look, Looked};
use crate::clock::first_id_at;
use crate::events::EventKind;
use crate::model::DomainName;
use crate::net::dnsbl::{self, List, Listing, Unusable};
use crate::store::health::Flow;

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "R1",
        title: "no list of bad senders has our addresses",
        level: Level::Warn,
        expected: "not listed",
        source: "https://www.rfc-editor.org/rfc/rfc5782",
        look: Look::Host(|context| Box::pin(listed_addresses(context))),
    },
    Check {
        id: "R1",
        title: "no list of bad senders has the domain",
        level: Level::Warn,
        expected: "not listed",
        source: "https://www.rfc-editor.org/rfc/rfc5782",
        look: Look::Domain(|context, subject| Box::pin(listed_domain(context, subject))),
    },
    Check {
        id: "R2",
        title: "messages are well formed",
        level: Level::Fail,
        expected: "one From, Date, Subject and Message-ID, no line over 998 octets",
        source: "https://www.rfc-editor.org/rfc/rfc5322#section-3.6",
        look: Look::Host(|_| Box::pin(async { Ok(vec![Outcome::skipped("each message is checked when it is accepted, and refused there")]) })),
    },
    Check {
        id: "R3",
        title: "marketing mail has one-click unsubscribe",
        level: Level::Fail,
        expected: "List-Unsubscribe with an https address and List-Unsubscribe-Post, both signed",
        source: "https://www.rfc-editor.org/rfc/rfc8058#section-3.1",
        look: Look::Host(|_| {
            Box::pin(async {
                Ok(vec![Outcome::skipped("this version does not tell marketing from other mail; K5 sees that both fields are signed")])
            })
        }),
    },
    Check {
        id: "R4",
        title: "few bounces and complaints",
        level: Level::Warn,
        expected: "under 5 % bounced, under 0.1 % complaints within a day",
        source: "https://support.google.com/a/answer/81126#spam-rate",
        look: Look::Host(|context| Box::pin(bounces(context))),
    },
    Check {
        id: "R5",
        title: "From is a domain of one's own",
        level: Level::Fail,
        expected: "no domain of a mailbox provider: receivers refuse its name from other hosts",
        source: "https://support.google.com/a/answer/81126#requirements-5k",
        look: Look::Domain(|_, subject| Box::pin(async { Ok(freemail(subject)) })),
    },
    Check {
        id: "R6",
        title: "the volume grows slowly",
        level: Level::Warn,
        expected: "at most twice the mail of the day before, once it is more than a thousand messages",
        source: "https://support.google.com/a/answer/81126#sending-volume",
        look: Look::Host(|context| Box::pin(growth(context))),
    },
    Check {
        id: "R7",
        title: "kinds of mail are kept apart",
        level: Level::Info,
        expected: "transactional, marketing and forwarded mail from addresses or DKIM domains of their own",
        source: "https://senders.yahooinc.com/best-practices/",
        look: Look::Host(|_| Box::pin(async { Ok(vec![Outcome::skipped("this version does not tell kinds of mail apart")]) })),
    },
    Check {
        id: "R8",
        title: "mail leaves encrypted",
        level: Level::Warn,
        expected: "99 % of the deliveries of a day over TLS",
        source: "https://support.google.com/a/answer/81126#requirements-all",
        look: Look::Host(|context| Box::pin(encryption(context))),
    },
    Check {
        id: "R9",
        title: "receivers' own reports are read",
        level: Level::Info,
        expected: "the domain enrolled with the receivers that tell about its mail",
        source: "https://www.rfc-editor.org/rfc/rfc9477",
        look: Look::Host(|_| Box::pin(async { Ok(vec![enrolment()]) })),
    },
];

const DAY: Duration = Duration::from_hours(24);
/// Deliveries below which a share says nothing.
const ENOUGH: i64 = 100;
/// Messages a day below which growth does not matter.
const SMALL: i64 = 1_000;
const MAX_BOUNCED_PERCENT: i64 = 5;
const MAX_COMPLAINED_PER_MILLE: i64 = 1;
const LEAST_ENCRYPTED_PERCENT: i64 = 99;
/// Domains of mailbox providers, whose names others may not use.
const FREEMAIL: [&str; 24] = [
    "gmail.com",
    "googlemail.com",
    "yahoo.com",
    "yahoo.co.uk",
    "yahoo.co.jp",
    "ymail.com",
    "aol.com",
    "outlook.com",
    "hotmail.com",
    "live.com",
    "msn.com",
    "icloud.com",
    "me.com",
    "mac.com",
    "gmx.de",
    "gmx.net",
    "web.de",
    "t-online.de",
    "proton.me",
    "protonmail.com",
    "mail.ru",
    "yandex.ru",
    "qq.com",
    "163.com",
];

async fn listed_addresses(context: &Context) -> Looked {
    if context.sends_by_smart_host() {
        return Ok(vec![Outcome::skipped("the smart host's addresses are what receivers see")]);
    }
    let addresses = context.outbound().await?;
    let mut outcomes = Vec::new();
    let config = &context.config;
    for zone in lists(config.delivery.dnsbl_zones.iter().chain(&config.doctor.address_lists)) {
        let list = List::Addresses(zone);
        let subjects = addresses.iter().map(|address| dnsbl::Subject::Address(*address)).collect();
        outcomes.extend(ask(context, &list, subjects).await);
    }
    Ok(or_nothing(outcomes, "no sending address is known (N1), or delivery.dnsbl_zones and doctor.address_lists are empty"))
}

async fn listed_domain(context: &Context, subject: &Subject) -> Looked {
    let mut outcomes = Vec::new();
    for zone in lists(context.config.doctor.domain_lists.iter()) {
        outcomes.extend(ask(context, &List::Domains(zone), vec![dnsbl::Subject::Domain(subject.name.clone())]).await);
    }
    Ok(or_nothing(outcomes, "doctor.domain_lists is empty"))
}

/// The zones, each once.
fn lists<'z>(zones: impl Iterator<Item = &'z String>) -> Vec<DomainName> {
    let mut lists: Vec<DomainName> = Vec::new();
    for zone in zones.filter_map(|zone| DomainName::parse(zone).ok()) {
        if !lists.contains(&zone) {
            lists.push(zone);
        }
    }
    lists
}

fn or_nothing(outcomes: Vec<Outcome>, why: &str) -> Vec<Outcome> {
    if outcomes.is_empty() { vec![Outcome::skipped(why)] } else { outcomes }
}

/// What one list says of each subject; one word if the list cannot be believed.
async fn ask(context: &Context, list: &List, subjects: Vec<dnsbl::Subject>) -> Vec<Outcome> {
    let zone = list.zone();
    if subjects.is_empty() {
        return Vec::new();
    }
    if let Err(unusable) = dnsbl::probe(&context.resolver, list).await {
        return vec![not_asked(&unusable).about(zone)];
    }
    let mut outcomes = Vec::new();
    for subject in subjects {
        let name = match &subject {
            dnsbl::Subject::Address(address) => address.to_string(),
            dnsbl::Subject::Domain(domain) => domain.to_string(),
        };
        let outcome = match dnsbl::look_up(&context.resolver, list, &subject).await {
            Ok(Listing::Clear) => Outcome::good("not listed"),
            Ok(Listing::Listed { codes, reason }) => {
                let codes = codes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                let fix = format!("find out what was sent and stop it, then ask the list to remove {name}; its pages: https://{}", home(zone));
                Outcome::bad(format!("listed ({codes}) {reason}").trim_end(), fix)
            }
            Err(unusable) => not_asked(&unusable),
        };
        outcomes.push(outcome.about(format!("{name} in {zone}")));
    }
    outcomes
}

/// No judgement, and why: a list that does not answer says nothing about the sender.
fn not_asked(unusable: &Unusable) -> Outcome {
    match unusable {
        Unusable::Temporary(why) => Outcome::unknown(format!("the DNS gave no answer: {why}")),
        Unusable::PublicResolver(_) => Outcome::skipped(format!("{unusable}; run a resolver of your own (H5)")),
        other => Outcome::skipped(other),
    }
}

/// Where the people behind a list are: the name without the labels that only its zone has.
fn home(zone: &DomainName) -> String {
    let labels: Vec<&str> = zone.as_str().split('.').collect();
    labels.get(labels.len().saturating_sub(2)..).unwrap_or_default().join(".")
}

/// The events of a day that ended at `end`.
async fn day(context: &Context, end: OffsetDateTime) -> Result<Option<Flow>, String> {
    let Database::Ready(rooms) = &context.database else { return Ok(None) };
    let (from, to) = (first_id_at(end - DAY), first_id_at(end));
    rooms.store.flow(rooms.project, from, to).await.map(Some).map_err(|error| error.to_string())
}

fn no_database() -> Vec<Outcome> {
    vec![Outcome::skipped("the database cannot be read (H6)")]
}

async fn bounces(context: &Context) -> Looked {
    let Some(flow) = day(context, context.clock.now()).await? else { return Ok(no_database()) };
    let count = |kind: EventKind| flow.count(kind.to_stored());
    let (delivered, bounced) = (count(EventKind::Delivered), count(EventKind::Bounced));
    let settled = delivered + bounced;
    if settled < ENOUGH {
        return Ok(vec![Outcome::skipped(format!("{settled} deliveries ended within a day, too few for a share"))]);
    }
    let complained = count(EventKind::Complained);
    let found = format!("{bounced} of {settled} bounced, {complained} complaints");
    let fix = "remove addresses that bounced from your lists (GET /v1/events?kinds=bounced), and write only to people who asked for it";
    let too_many = bounced * 100 > settled * MAX_BOUNCED_PERCENT || complained * 1_000 > delivered * MAX_COMPLAINED_PER_MILLE;
    Ok(vec![if too_many { Outcome::bad(found, fix) } else { Outcome::good(found) }])
}

async fn growth(context: &Context) -> Looked {
    let now = context.clock.now();
    let (Some(today), Some(before)) = (day(context, now).await?, day(context, now - DAY).await?) else { return Ok(no_database()) };
    let accepted = |flow: &Flow| flow.count(EventKind::Accepted.to_stored());
    let (today, before) = (accepted(&today), accepted(&before));
    let found = format!("{today} messages within a day, {before} in the day before");
    let fix = "spread the mail over more days: receivers slow down senders that grow faster than they know them";
    Ok(vec![if today > SMALL && today > before * 2 { Outcome::bad(found, fix) } else { Outcome::good(found) }])
}

async fn encryption(context: &Context) -> Looked {
    let Some(flow) = day(context, context.clock.now()).await? else { return Ok(no_database()) };
    let kind = EventKind::Delivered.to_stored();
    let (delivered, encrypted) = (flow.count(kind), flow.encrypted(kind));
    if delivered < ENOUGH {
        return Ok(vec![Outcome::skipped(format!("{delivered} deliveries within a day, too few for a share"))]);
    }
    let found = format!("{encrypted} of {delivered} over TLS");
    let fix = "see delivery_tls: `off` for a domain, or receivers without TLS (pennypost message show tells why for each attempt)";
    let enough = encrypted * 100 >= delivered * LEAST_ENCRYPTED_PERCENT;
    Ok(vec![if enough { Outcome::good(found) } else { Outcome::bad(found, fix) }])
}

fn freemail(subject: &Subject) -> Vec<Outcome> {
    let name = subject.name.as_str();
    let provider = FREEMAIL.iter().find(|provider| name == **provider || name.strip_suffix(**provider).is_some_and(|rest| rest.ends_with('.')));
    vec![match provider {
        Some(provider) => Outcome::bad(format!("{provider} is a mailbox provider's"), "send from a domain of your own"),
        None => Outcome::good(name),
    }]
}

fn enrolment() -> Outcome {
    let places = "whether you are enrolled cannot be seen from here: Gmail https://postmaster.google.com, Yahoo https://senders.yahooinc.com/complaint-feedback-loop/, \
                  Microsoft https://sendersupport.olc.protection.outlook.com/snds/";
    Outcome::skipped(places)
}
