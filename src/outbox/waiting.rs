//! Why not yet: for each delivery that waits, what it waits for and how long.
//!
//! Answers: one reason, the one without which it could go, in the order held, scheduled, paused, sources warming up or listed, site paused,
//! retry, site slowed, in line. Pure but for the name of the node that has it.

use std::collections::HashMap;

use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::ToSchema;

use super::pauses::PauseView;
use super::sites::{SiteState, SiteView};
use crate::store::egress::WaitRow;
use crate::store::message::Outstanding;
use crate::store::operator::PARKED;
use crate::store::outbox::{HELD, WAITING};

/// What a delivery waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WaitReason {
    /// Somebody held it: it goes when it is released.
    Held,
    /// An operator paused its domain, its site or its project: it goes when the pause is over.
    Paused,
    /// The message is for later (`send_at`).
    Scheduled,
    /// The site asked for a pause, or its hosts could not be reached.
    SitePaused,
    /// The last attempt failed; the next one is planned.
    Retry,
    /// The site takes mail only slowly.
    SiteSlowed,
    /// A node has it, and sends it or has others to send before.
    InLine,
    /// The source addresses of its pool warm up, and have sent what they may today.
    WarmingUp,
    /// The source addresses of its pool are on lists of bad senders.
    SourceListed,
    /// It is due; no node had room for it yet.
    Due,
}

/// Why a delivery was not sent yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Waiting {
    /// What it waits for.
    pub reason: WaitReason,
    /// Until when, where that is known. Not before; what comes then may make it wait again.
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<OffsetDateTime>,
    /// The same for people, with what the site said.
    pub detail: String,
}

/// What is known about a delivery beside its row.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'c> {
    /// The time.
    pub now: OffsetDateTime,
    /// When the message is to be sent, if not at once.
    pub send_at: Option<OffsetDateTime>,
    /// What the last attempt was answered.
    pub last_reply: Option<&'c str>,
    /// The pause that covers it.
    pub pause: Option<&'c PauseView>,
    /// The site of its domain, if it is held back or was lately.
    pub site: Option<&'c SiteView>,
    /// What no source address might send, of its project, stream and domain.
    pub wait: Option<&'c WaitRow>,
    /// Names of nodes.
    pub nodes: &'c HashMap<i64, String>,
}

/// Why a delivery waits.
#[must_use]
pub fn why(row: &Outstanding, about: &Circumstances<'_>) -> Waiting {
    let Circumstances { now, send_at, last_reply, pause, site, wait, nodes } = *about;
    // What was given back for it is due at that very time, or when it expires.
    let wait = wait.filter(|wait| wait.until > now && (row.next_at == wait.until || row.attempt == 0 && row.next_at > now));
    let paused = site.filter(|site| site.state == SiteState::Paused);
    let slowed = site.filter(|site| site.state == SiteState::Slowed);
    match row.owner {
        HELD => Waiting { reason: WaitReason::Held, until: None, detail: "held; it goes when it is released".to_owned() },
        WAITING if row.attempt == 0 && send_at.is_some_and(|at| at > now) => {
            Waiting { reason: WaitReason::Scheduled, until: send_at, detail: "the message is to be sent later (send_at)".to_owned() }
        }
        WAITING | PARKED if pause.is_some() => of_operator(pause),
        PARKED => {
            Waiting { reason: WaitReason::Due, until: None, detail: "the pause that it waited for is over; it goes on within seconds".to_owned() }
        }
        WAITING if wait.is_some() => of_sources(row, wait),
        // A retry that is planned for later than the end of the pause does not wait for the pause.
        WAITING if paused.and_then(|site| site.until).is_some_and(|until| row.attempt == 0 || row.next_at <= until) => of_pause(row, paused),
        WAITING if row.next_at > now && row.attempt > 0 => Waiting {
            reason: WaitReason::Retry,
            until: Some(row.next_at),
            detail: format!("attempt {} follows after: {}", row.attempt + 1, last_reply.unwrap_or("the last attempt")),
        },
        WAITING => match slowed {
            Some(site) => of_pace(site, (row.next_at > now).then_some(row.next_at)),
            None if row.next_at > now => Waiting {
                reason: WaitReason::SitePaused,
                until: Some(row.next_at),
                detail: "it was given back unsent: the mail hosts of its domain rest, or did when it came".to_owned(),
            },
            None => Waiting { reason: WaitReason::Due, until: None, detail: "due; no node had room for it yet, others go first".to_owned() },
        },
        owner => slowed.map_or_else(|| of_node(nodes.get(&owner)), |site| of_pace(site, None)),
    }
}

fn of_operator(pause: Option<&PauseView>) -> Waiting {
    let told = pause.map(|pause| {
        let what = match (&pause.recipient_domain, &pause.site) {
            (Some(domain), _) => format!("mail to {domain}"),
            (None, Some(site)) => format!("the site {site}"),
            (None, None) => "the project".to_owned(),
        };
        format!("{what} is paused by {} since {}: {}", pause.by.name, pause.since.format(&Rfc3339).unwrap_or_default(), pause.reason)
    });
    Waiting { reason: WaitReason::Paused, until: None, detail: told.unwrap_or_default() }
}

fn of_node(host: Option<&String>) -> Waiting {
    let node = host.map_or("a node", String::as_str);
    Waiting { reason: WaitReason::InLine, until: None, detail: format!("{node} has it, and sends it or has others to send before") }
}

fn of_sources(row: &Outstanding, wait: Option<&WaitRow>) -> Waiting {
    let reason = match wait.map(|wait| wait.reason.as_str()) {
        Some("source_listed") => WaitReason::SourceListed,
        Some("paused") => WaitReason::Paused,
        _ => WaitReason::WarmingUp,
    };
    Waiting { reason, until: Some(row.next_at), detail: wait.map(|wait| wait.detail.clone()).unwrap_or_default() }
}

fn of_pause(row: &Outstanding, site: Option<&SiteView>) -> Waiting {
    let until = site.and_then(|site| site.until).map(|until| until.max(row.next_at));
    let said = site.and_then(|site| site.reason.as_deref()).unwrap_or("its hosts could not be reached");
    let name = site.map_or("-", |site| &site.name);
    Waiting { reason: WaitReason::SitePaused, until, detail: format!("nothing is sent to {name} for now: {said}") }
}

fn of_pace(site: &SiteView, until: Option<OffsetDateTime>) -> Waiting {
    let pace = site.messages_per_minute.map(|rate| format!(", {rate} messages a minute")).unwrap_or_default();
    let said = site.reason.as_deref().unwrap_or("it asked for less");
    let detail = format!("{} takes mail slowly, by {} sessions{pace}: {said}", site.name, site.sessions);
    Waiting { reason: WaitReason::SiteSlowed, until, detail }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Actor;
    use crate::outbox::sites::SiteLimits;

    fn site(state: SiteState, minutes: i64) -> SiteView {
        SiteView {
            name: "mx.example.net".into(),
            provider: "other".into(),
            state,
            reason: Some("451 slow down".into()),
            since: None,
            until: (state == SiteState::Paused).then(|| at(minutes)),
            sessions: 2,
            messages_per_minute: Some(66.7),
            without_ipv6_until: None,
            limits: SiteLimits::default(),
            domains: Vec::new(),
        }
    }

    fn at(minutes: i64) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH + time::Duration::minutes(minutes)
    }

    type Told = (WaitReason, Option<OffsetDateTime>, String);

    fn told(owner: i64, attempt: i16, due: i64, send_at: Option<i64>, site: Option<&SiteView>) -> Told {
        told_in(owner, attempt, due, send_at, site, None)
    }

    fn told_in(owner: i64, attempt: i16, due: i64, send_at: Option<i64>, site: Option<&SiteView>, pause: Option<&PauseView>) -> Told {
        let row =
            Outstanding { message_id: uuid::Uuid::nil(), rcpt_no: 0, owner, attempt, next_at: at(due), recipient: "bee@example.net".to_owned() };
        let nodes = HashMap::from([(7, "mail1".to_owned())]);
        let about = Circumstances { now: at(0), send_at: send_at.map(at), last_reply: Some("450 later"), pause, site, wait: None, nodes: &nodes };
        let Waiting { reason, until, detail } = why(&row, &about);
        (reason, until, detail)
    }

    #[test]
    fn an_operators_pause_is_told_with_who_and_since_when() {
        let pause = PauseView {
            recipient_domain: None,
            site: None,
            all_projects: false,
            reason: "wrong mailing".to_owned(),
            by: Actor { key_id: None, name: "bee".to_owned() },
            since: at(-60),
        };
        let (paused, by) = (site(SiteState::Paused, 10), Some(&pause));
        for (row, reason, says) in [
            (told_in(PARKED, 0, -1, None, None, by), WaitReason::Paused, "the project is paused by bee since 1969-12-31T23:00:00Z: wrong mailing"),
            (told_in(WAITING, 2, 5, None, Some(&paused), by), WaitReason::Paused, "wrong mailing"),
            (told_in(HELD, 0, -1, None, None, by), WaitReason::Held, "released"),
            (told_in(7, 0, -1, None, None, by), WaitReason::InLine, "mail1"),
            (told_in(PARKED, 0, -1, None, None, None), WaitReason::Due, "is over"),
        ] {
            assert_eq!((row.0, row.1), (reason, None), "{}", row.2);
            assert!(row.2.contains(says), "{}", row.2);
        }
        let scheduled = told_in(WAITING, 0, 5, Some(5), None, by);
        assert_eq!((scheduled.0, scheduled.1), (WaitReason::Scheduled, Some(at(5))));
    }

    #[test]
    fn what_no_source_may_send_waits_for_that_and_what_has_another_time_of_its_own_does_not() {
        let nodes = HashMap::new();
        for (until, attempt, due, reason) in [
            (60, 0, 60, WaitReason::WarmingUp),
            (60, 3, 60, WaitReason::WarmingUp),
            // Its expiry comes first.
            (60, 0, 30, WaitReason::WarmingUp),
            (60, 3, 30, WaitReason::Retry),
            (60, 0, -1, WaitReason::Due),
            (-1, 0, 5, WaitReason::SitePaused),
        ] {
            let row = Outstanding {
                message_id: uuid::Uuid::nil(),
                rcpt_no: 0,
                owner: WAITING,
                attempt,
                next_at: at(due),
                recipient: "bee@example.net".to_owned(),
            };
            let wait = WaitRow { domain: "example.net".into(), reason: "warming_up".into(), detail: "used up".into(), until: at(until) };
            let about = Circumstances { now: at(0), send_at: None, last_reply: None, pause: None, site: None, wait: Some(&wait), nodes: &nodes };
            assert_eq!(why(&row, &about).reason, reason, "{until} {attempt} {due}");
        }
    }

    #[test]
    fn each_delivery_waits_for_one_thing() {
        let (paused, slowed) = (site(SiteState::Paused, 10), site(SiteState::Slowed, 0));
        for (row, reason, until, says) in [
            (told(HELD, 0, -5, None, Some(&paused)), WaitReason::Held, None, "released"),
            (told(WAITING, 0, 5, Some(5), Some(&paused)), WaitReason::Scheduled, Some(5), "send_at"),
            (told(WAITING, 0, -1, Some(-1), Some(&paused)), WaitReason::SitePaused, Some(10), "mx.example.net for now: 451 slow down"),
            (told(WAITING, 2, 5, None, Some(&paused)), WaitReason::SitePaused, Some(10), "451 slow down"),
            (told(WAITING, 2, 15, None, Some(&paused)), WaitReason::Retry, Some(15), "attempt 3 follows after: 450 later"),
            (told(WAITING, 2, 15, None, Some(&slowed)), WaitReason::Retry, Some(15), "450 later"),
            (told(WAITING, 0, 1, None, Some(&slowed)), WaitReason::SiteSlowed, Some(1), "2 sessions, 66.7 messages a minute: 451 slow down"),
            (told(WAITING, 1, -1, None, Some(&slowed)), WaitReason::SiteSlowed, None, "66.7"),
            (told(WAITING, 0, 3, None, None), WaitReason::SitePaused, Some(3), "given back unsent"),
            (told(WAITING, 0, -1, None, None), WaitReason::Due, None, "no node had room"),
            (told(7, 0, -1, None, None), WaitReason::InLine, None, "mail1 has it"),
            (told(8, 0, -1, None, None), WaitReason::InLine, None, "a node has it"),
            (told(7, 0, -1, None, Some(&slowed)), WaitReason::SiteSlowed, None, "takes mail slowly"),
        ] {
            assert_eq!((row.0, row.1), (reason, until.map(at)), "{}", row.2);
            assert!(row.2.contains(says), "{}", row.2);
        }
    }
}
