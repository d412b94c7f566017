//! Mail that comes in: where the MX of a domain leads, and how the server answers there if it is ours.

use std::net::SocketAddr;
use std::time::Duration;

use super::context::{Context, DIAL, Subject, seen};
use super::finding::{Level, Outcome};
use super::talk::Talk;
use super::{Check, Database, Look, Looked};
use crate::config::Listen;
use crate::domains::RecordPurpose;
use crate::model::DomainName;
use crate::model::page::{MAX_LIMIT, PageRequest, read_cursor};
use crate::net::certificate::{Inspector, Proof, Unproven};
use crate::net::dane::{self, Dane};
use crate::net::dial::AddressPolicy;
use crate::net::https::HttpsClient;
use crate::net::mta_sts::{self, Policy};
use crate::net::shown;

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "M1",
        title: "replies find a mail host",
        level: Level::Fail,
        expected: "an MX record whose host has an address, is no alias and no IP address, and takes the domain's mail; no null MX",
        source: "https://www.rfc-editor.org/rfc/rfc5321#section-5.1",
        look: Look::Domain(|context, subject| Box::pin(mail_hosts(context, subject))),
    },
    Check {
        id: "M2",
        title: "our mail host speaks TLS",
        level: Level::Fail,
        expected: "STARTTLS with a certificate for the MX name, and no AUTH before it",
        source: "https://www.rfc-editor.org/rfc/rfc3207#section-4",
        look: Look::Host(|context| Box::pin(starttls(context))),
    },
    Check {
        id: "M3",
        title: "our mail host relays for nobody",
        level: Level::Fail,
        expected: "550 to a recipient elsewhere, and VRFY tells nothing",
        source: "https://www.rfc-editor.org/rfc/rfc5321#section-7.3",
        look: Look::Host(|context| Box::pin(relay(context))),
    },
    Check {
        id: "M4",
        title: "postmaster and abuse can be reached",
        level: Level::Fail,
        expected: "250 to postmaster@ and abuse@ where our host takes the domain's mail",
        source: "https://www.rfc-editor.org/rfc/rfc2142#section-2",
        look: Look::Domain(|context, subject| Box::pin(postmaster(context, subject))),
    },
    Check {
        id: "M5",
        title: "MTA-STS and TLS reports",
        level: Level::Warn,
        expected: "a policy that names the MX hosts, served over valid HTTPS, and a TLS-RPT record",
        source: "https://www.rfc-editor.org/rfc/rfc8461#section-3",
        look: Look::Domain(|context, subject| Box::pin(strict_tls(context, subject))),
    },
    Check {
        id: "M6",
        title: "TLSA records fit",
        level: Level::Warn,
        expected: "if DNSSEC-signed TLSA records stand for our mail host, its certificate meets one",
        source: "https://www.rfc-editor.org/rfc/rfc7672#section-3",
        look: Look::Domain(|context, subject| Box::pin(tlsa(context, subject))),
    },
    Check {
        id: "M7",
        title: "forwards arrive",
        level: Level::Warn,
        expected: "destinations whose owners agreed, at domains that take mail",
        source: "https://www.rfc-editor.org/rfc/rfc5321#section-3.9",
        look: Look::Domain(|context, subject| Box::pin(forwards(context, subject))),
    },
];

const NO_LISTENER: &str = "no listener for mail from the world (port 25) is configured";
/// A domain nobody has (RFC 6761): a server that takes mail for it takes mail for all.
const ELSEWHERE: &str = "probe@relay-test.invalid";

async fn mail_hosts(context: &Context, subject: &Subject) -> Looked {
    let hosts = seen(context.resolver.mx(&subject.name).await)?;
    if hosts.is_empty() {
        let own = seen(context.resolver.addresses(subject.name.as_str()).await)?;
        let elsewhere = || format!("publish: {}. 3600 IN MX 10 <a host that takes its mail>", subject.name);
        let fix = subject.publish(RecordPurpose::InboundMx).unwrap_or_else(elsewhere);
        return Ok(vec![if own.is_empty() {
            Outcome::bad("no MX and no address: replies and bounces go nowhere, and some receivers refuse such senders", fix)
        } else {
            Outcome::bad("no MX record; the address of the domain itself stands in", fix).at(Level::Warn)
        }]);
    }
    let (mut outcomes, mut comes_here) = (Vec::new(), false);
    for (preference, host) in hosts {
        let fix = format!("replace the record by: {}. 3600 IN MX {preference} <a host name with A or AAAA records>", subject.name);
        let outcome = if host.is_empty() {
            Outcome::bad("a null MX: the domain takes no mail, so receivers refuse its senders", fix)
        } else if host.parse::<std::net::IpAddr>().is_ok() {
            Outcome::bad(format!("{host} is an address, not a name"), fix)
        } else if let Some(target) = seen(context.resolver.cname(&host).await)?.first() {
            Outcome::bad(format!("{host} is an alias of {target} (RFC 2181 10.3)"), fix)
        } else if seen(context.resolver.addresses(&host).await)?.is_empty() {
            Outcome::bad(format!("{host} has no address"), fix)
        } else if context.is_us(&host).await? {
            comes_here = true;
            here(context, subject, &host)
        } else {
            Outcome::good(format!("{host}, which is somebody else's"))
        };
        outcomes.push(outcome.about(format!("{} MX {preference}", subject.name)));
    }
    if let Some(fix) = subject.publish(RecordPurpose::InboundMx).filter(|_| !comes_here) {
        outcomes.push(Outcome::bad("it has routes here, and its mail goes elsewhere", fix).at(Level::Warn).about(&subject.name));
    }
    Ok(outcomes)
}

/// An MX record that leads to this host: right only where this host takes the domain's mail.
fn here(context: &Context, subject: &Subject, host: &str) -> Outcome {
    let name = &subject.name;
    let away = format!("or let the MX record of {name} name the host that takes its mail");
    if context.config.smtp.mx_listen == Listen::Off {
        let fix = format!("set smtp.mx_listen = \":25\" and add a route (pennypost route add '*@{name}' forward <your address>), {away}");
        Outcome::bad(format!("{host}, which is this host, and takes no mail from the world (smtp.mx_listen is off)"), fix)
    } else if subject.receives {
        Outcome::good(format!("{host}, which is this host"))
    } else {
        let fix = format!("pennypost route add '*@{name}' forward <your address>, {away}");
        Outcome::bad(format!("{host}, which is this host, and has no route for {name}: replies are refused"), fix)
    }
}

/// What came of a talk with our mail host: a refusal to talk is a finding, not a riddle.
fn told(talked: Result<Outcome, String>, listen: SocketAddr) -> Vec<Outcome> {
    vec![talked.unwrap_or_else(|why| Outcome::bad(why, "start `pennypost serve`; its log says what is wrong")).about(format!("MX {listen}"))]
}

async fn starttls(context: &Context) -> Looked {
    let (Some(listen), Some(host)) = (context.listeners.mx, context.host()) else { return Ok(vec![Outcome::skipped(NO_LISTENER)]) };
    let talk = async {
        let (mut talk, _) = Talk::begin(context.knock(listen).await?, &context.clock).await?;
        let hello = talk.say(&format!("EHLO {host}")).await?.text.to_ascii_uppercase();
        let offers = |keyword: &str| hello.lines().any(|line| line.split(' ').next() == Some(keyword));
        if offers("AUTH") {
            return Ok(Outcome::bad("it offers AUTH before TLS", "report this as a fault of Pennypost"));
        }
        let fix = format!("give it a certificate for {host} ([tls] in the configuration)");
        if !offers("STARTTLS") {
            return Ok(Outcome::bad("it does not offer STARTTLS", fix));
        }
        let granted = talk.say("STARTTLS").await?;
        if granted.code != 220 {
            return Ok(Outcome::bad(granted, fix));
        }
        let shown = shown::shake(talk.into_stream(), host.as_str(), context.inspector(), &context.clock, DIAL).await?;
        Ok(match shown.certificate {
            Ok(()) => Outcome::good(shown.facts),
            // Receivers' senders mostly encrypt without asking whose certificate it is.
            Err(fault) => Outcome::bad(format!("{}; {fault}", shown.facts), fix).at(Level::Warn),
        })
    };
    Ok(told(talk.await, listen))
}

async fn relay(context: &Context) -> Looked {
    let (Some(listen), Some(host)) = (context.listeners.mx, context.host()) else { return Ok(vec![Outcome::skipped(NO_LISTENER)]) };
    let talk = async {
        let (mut talk, _) = Talk::begin(context.knock(listen).await?, &context.clock).await?;
        talk.say(&format!("EHLO {host}")).await?;
        let verified = talk.say("VRFY postmaster").await?;
        talk.say(&format!("MAIL FROM:<postmaster@{host}>")).await?;
        let taken = talk.say(&format!("RCPT TO:<{ELSEWHERE}>")).await?;
        let _ = talk.say("QUIT").await;
        let fault = "report this as a fault of Pennypost";
        Ok(if taken.code / 100 == 2 {
            Outcome::bad(format!("an open relay: {taken} to {ELSEWHERE}"), fault)
        } else if matches!(verified.code, 250 | 251) {
            Outcome::bad(format!("VRFY tells who is there: {verified}"), fault)
        } else {
            Outcome::good(format!("{taken}; VRFY: {verified}"))
        })
    };
    Ok(told(talk.await, listen))
}

/// Whether the mail of the domain comes to this host, and is taken here.
async fn is_taken_here(context: &Context, subject: &Subject) -> Result<bool, String> {
    if !subject.receives {
        return Ok(false);
    }
    for (_, host) in seen(context.resolver.mx(&subject.name).await)? {
        if !host.is_empty() && context.is_us(&host).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn postmaster(context: &Context, subject: &Subject) -> Looked {
    let (Some(listen), Some(host)) = (context.listeners.mx, context.host()) else { return Ok(vec![Outcome::skipped(NO_LISTENER)]) };
    if !is_taken_here(context, subject).await? {
        return Ok(vec![Outcome::skipped("its mail is not taken here (M1); see that postmaster@ and abuse@ are read where it is")]);
    }
    let talk = async {
        let (mut talk, _) = Talk::begin(context.knock(listen).await?, &context.clock).await?;
        talk.say(&format!("EHLO {host}")).await?;
        talk.say("MAIL FROM:<>").await?;
        for local in ["postmaster", "abuse"] {
            let reply = talk.say(&format!("RCPT TO:<{local}@{}>", subject.name)).await?;
            if reply.code / 100 != 2 {
                return Ok(Outcome::bad(
                    format!("{local}@: {reply}"),
                    format!("pennypost route add '{local}@{}' forward <your address>", subject.name),
                ));
            }
        }
        let _ = talk.say("QUIT").await;
        Ok(Outcome::good("both are taken"))
    };
    Ok(told(talk.await, listen))
}

async fn strict_tls(context: &Context, subject: &Subject) -> Looked {
    let name = &subject.name;
    let records = context.texts(&format!("_mta-sts.{name}")).await?;
    let mut outcomes = Vec::new();
    if let Some(id) = mta_sts::record_id(&records) {
        outcomes.push(policy(context, subject, &id).await?.about(format!("mta-sts.{name}")));
    } else if records.iter().any(|text| text.starts_with("v=STSv1")) {
        let fix = format!("publish exactly one record at _mta-sts.{name}, like: _mta-sts.{name}. 3600 IN TXT \"v=STSv1; id=1;\"");
        let fix = subject.publish(RecordPurpose::MtaSts).map_or(fix, |ours| format!("{ours}, and no other"));
        outcomes.push(Outcome::bad(records.join(" | "), fix).about(format!("_mta-sts.{name}")));
    } else if is_taken_here(context, subject).await? {
        let ours: Vec<String> =
            [RecordPurpose::MtaStsHost, RecordPurpose::MtaSts].into_iter().filter_map(|purpose| subject.publish(purpose)).collect();
        let fix = if ours.is_empty() { format!("pennypost domain set {name} --mta-sts testing") } else { ours.join("\n") };
        outcomes.push(
            Outcome::bad("no MTA-STS record: senders may be led to another host, or to clear text", fix)
                .at(Level::Info)
                .about(format!("_mta-sts.{name}")),
        );
    } else {
        outcomes.push(Outcome::skipped("there is no MTA-STS record, and other hosts take this domain's mail").about(format!("_mta-sts.{name}")));
    }
    if outcomes.iter().all(|outcome| outcome.fix.is_some() || outcome.state == super::FindingState::Ok) {
        let reports = context.texts(&format!("_smtp._tls.{name}")).await?;
        let has = reports.iter().any(|text| text.starts_with("v=TLSRPTv1"));
        let fix = format!("publish: _smtp._tls.{name}. 3600 IN TXT \"v=TLSRPTv1; rua=mailto:<an address that is read>\"");
        let fix = subject.publish(RecordPurpose::TlsReports).unwrap_or(fix);
        outcomes.push(
            if has { Outcome::good("there") } else { Outcome::bad("no TLS-RPT record", fix).at(Level::Info) }.about(format!("_smtp._tls.{name}")),
        );
    }
    Ok(outcomes)
}

/// The policy that stands behind an MTA-STS record, and whether it names the MX hosts.
async fn policy(context: &Context, subject: &Subject, id: &str) -> Result<Outcome, String> {
    let client = HttpsClient {
        resolver: context.resolver.clone(),
        clock: context.clock.clone(),
        policy: AddressPolicy { allow_private: context.config.delivery.allow_private_addresses },
        authorities: context.authorities.clone(),
        limit: Duration::from_secs(20),
    };
    let host = format!("mta-sts.{}", subject.name);
    let serve = format!(
        "let https://{host}/.well-known/mta-sts.txt lead to the HTTP door (server.http_listen) with a valid certificate, or remove the record _mta-sts.{}",
        subject.name
    );
    let answer = match client.get(&host, context.config.delivery_tls.policy_port, "/.well-known/mta-sts.txt", mta_sts::MAX_OCTETS).await {
        Ok(answer) if answer.status == 200 => answer,
        Ok(answer) => return Ok(Outcome::bad(format!("id={id}; the policy host answers {}", answer.status), serve)),
        Err(error) => return Ok(Outcome::bad(format!("id={id}; {error}"), serve)),
    };
    let policy = match Policy::parse(&String::from_utf8_lossy(&answer.body)) {
        Ok(policy) => policy,
        Err(error) => return Ok(Outcome::bad(format!("id={id}; {error}"), serve)),
    };
    let hosts = seen(context.resolver.mx(&subject.name).await)?;
    let unlisted: Vec<String> = hosts.into_iter().map(|(_, host)| host).filter(|host| !host.is_empty() && !policy.lists(host)).collect();
    Ok(match unlisted.first() {
        Some(host) if policy.mode != mta_sts::Mode::None => Outcome::bad(
            format!("the policy does not name the MX host {host}"),
            format!("add the line `mx: {host}` to the policy, and change id= in the record"),
        ),
        _ => Outcome::good(
            format!("mode {:?}, {} mx lines, kept for {} days", policy.mode, policy.mx.len(), policy.max_age.as_secs() / 86_400).to_lowercase(),
        ),
    })
}

async fn tlsa(context: &Context, subject: &Subject) -> Looked {
    let mut outcomes = Vec::new();
    for (_, host) in seen(context.resolver.mx(&subject.name).await)? {
        if host.is_empty() || !context.is_us(&host).await? {
            continue;
        }
        let outcome = match (dane::look_up(&context.resolver, &host, 25, subject.name.as_str()).await, context.listeners.mx) {
            (Dane::Absent, _) => Outcome::skipped("no TLSA record that DNSSEC proves"),
            (Dane::Unknown(why), _) => return Err(why),
            (Dane::Unusable, _) => Outcome::bad(
                "TLSA records that nobody can use",
                format!("replace them by: _25._tcp.{host}. IN TLSA 3 1 1 <SHA-256 of the public key>"),
            ),
            (Dane::Records(_), None) => Outcome::skipped(NO_LISTENER),
            (Dane::Records(records), Some(listen)) => {
                let texts = records.texts().join(", ");
                let fix = format!(
                    "publish the record of the new key, wait a day, then change the key: _25._tcp.{host}. IN TLSA 3 1 1 <SHA-256 of the public key>"
                );
                match handshake(context, listen, &host, Proof::Dane(records)).await {
                    Ok(Ok(())) => Outcome::good(texts),
                    Ok(Err(fault)) => Outcome::bad(format!("{fault}: {texts}"), fix),
                    Err(why) => Outcome::bad(why, "start `pennypost serve`"),
                }
            }
        };
        outcomes.push(outcome.about(host));
    }
    if outcomes.is_empty() {
        outcomes.push(Outcome::skipped("other hosts take this domain's mail"));
    }
    Ok(outcomes)
}

type Fault = crate::net::certificate::CertificateFault;

async fn handshake(context: &Context, listen: SocketAddr, host: &str, proof: Proof) -> Result<Result<(), Fault>, String> {
    let (mut talk, _) = Talk::begin(context.knock(listen).await?, &context.clock).await?;
    talk.say(&format!("EHLO {host}")).await?;
    let granted = talk.say("STARTTLS").await?;
    if granted.code != 220 {
        return Err(format!("STARTTLS: {granted}"));
    }
    Ok(shown::shake(talk.into_stream(), host, Inspector::new(proof, Unproven::Tell), &context.clock, DIAL).await?.certificate)
}

/// Where the routes of a domain forward to: addresses whose owners agreed, at domains that take mail. A route cannot name an address that comes
/// back to it, and mail that does by way of others is stopped when it arrives.
async fn forwards(context: &Context, subject: &Subject) -> Looked {
    let Database::Ready(rooms) = &context.database else { return Ok(vec![Outcome::skipped("the database cannot be read (H6)")]) };
    let mut outcomes = Vec::new();
    let mut page = PageRequest { limit: MAX_LIMIT, after: None };
    loop {
        let part = rooms.routes.list(rooms.project, page).await.map_err(|error| error.to_string())?;
        let at_domain = |pattern: &str| pattern.rsplit_once('@').is_some_and(|(_, domain)| domain == subject.name.as_str());
        for route in part.data.iter().filter(|route| at_domain(&route.pattern)) {
            for target in &route.targets {
                let outcome = if target.confirmed_at.is_none() {
                    let fix = format!(
                        "let the owner of {} agree by the link that was mailed there; pennypost route list shows who was asked",
                        target.address
                    );
                    Outcome::bad("its owner did not agree yet, so nothing is sent there", fix)
                } else {
                    destination(context, target.address.domain()).await?
                };
                outcomes.push(outcome.about(format!("{} to {}", route.pattern, target.address)));
            }
        }
        page.after = part.next_cursor.as_deref().and_then(read_cursor);
        if page.after.is_none() {
            break;
        }
    }
    Ok(if outcomes.is_empty() { vec![Outcome::skipped("no route of the domain forwards")] } else { outcomes })
}

/// Whether a domain takes mail.
async fn destination(context: &Context, domain: &DomainName) -> Result<Outcome, String> {
    let fix = "pennypost route remove, and a route to an address that takes mail";
    Ok(if context.takes_mail(domain).await? {
        Outcome::good(format!("{domain} takes mail"))
    } else {
        Outcome::bad(format!("{domain} takes no mail"), fix)
    })
}
