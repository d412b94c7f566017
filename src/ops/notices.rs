//! Tells the authors of submitted mail what became of it: failed, delayed, or delivered where that was asked for (RFC 3461, RFC 3464).
//!
//! Answers: one report for recipients that fare alike, to the reverse-path, exactly once: what is about to be told is written first, and sent under an
//! idempotency key made of it. A report is a message like any other, signed by the author's domain. Who may get one was asked when the message was
//! submitted: its reverse-path is an address of the author's, so no stranger ever does. Mail with a null reverse-path, and mail of the API, whose
//! events say the same, has none. What was asked for is passed on to a next hop that offers reports (`smtp::command`): success is then its to tell, to
//! the author, or to our bounce address, from where it is told on.

mod due;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use self::due::{Kind, Standing, Told, due, returned};
use crate::accept::{Accept, AcceptError};
use crate::access::{Caller, Scope};
use crate::clock::{Clock, first_id_at, time_of};
use crate::events::EventKind;
use crate::mail::report::Action;
use crate::mail::report::compose::{Notice, NoticeRecipient, compose};
use crate::model::report_wishes::ReportWishes;
use crate::model::{BounceClass, EmailAddress, EnhancedStatus, KeyId, MessageId, ProjectId};
use crate::outbox::{IdempotencyKey, content};
use crate::store::consumer;
use crate::store::message::{ContentRow, MessageHead};
use crate::store::notice::{self as table, NoticeRow};
use crate::store::{Store, StoreError};
use crate::supervisor::Supervisor;
use crate::telemetry::metrics;

/// The name of the cursor, which stands at the newest message that was found.
const NAME: &str = "notices";
/// How often messages are looked for.
const POLL: Duration = Duration::from_secs(5);
/// A message may become visible this much later than its id says.
const LATE: Duration = Duration::from_mins(15);
/// How long a message is looked after once it is over: what comes back about it later is told no more.
const KEPT: Duration = Duration::from_hours(7 * 24);
/// How long one node has for what it took up.
const LEASE: Duration = Duration::from_mins(1);
/// Messages taken up and looked at together.
const CHUNK: u16 = 100;
/// Messages found together.
const FOUND: u16 = 1_000;
/// Longest time between two looks at a message that is not over.
const LONGEST: Duration = Duration::from_mins(15);

/// Sends reports.
pub struct Notices {
    /// The database.
    pub store: Store,
    /// Takes the reports.
    pub accept: Accept,
    /// Time.
    pub clock: Clock,
    /// Our name.
    pub hostname: String,
    /// When a delay is told; zero: never.
    pub delay: Duration,
}

/// A report that is about to be sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Pending {
    kind: Kind,
    rcpt_nos: Vec<u16>,
}

/// A message and all that is known about it.
struct Subject {
    head: MessageHead,
    wishes: ReportWishes,
    standings: Vec<Standing>,
}

/// What follows a look.
enum Next {
    /// Another at this time.
    At(OffsetDateTime),
    /// Another when the lease is over: a report could not be sent.
    AfterLease,
    /// None any more.
    Never,
}

impl Subject {
    /// How long it is on its way: since it was accepted, or was to be sent.
    fn age(&self, now: OffsetDateTime) -> Duration {
        let begun = self.head.send_at.map_or(time_of(self.head.id), |at| at.max(time_of(self.head.id)));
        Duration::try_from(now - begun).unwrap_or_default()
    }

    /// When the last was said about it; none while a recipient is outstanding.
    fn over_since(&self) -> Option<OffsetDateTime> {
        let is_over = self.standings.iter().all(Standing::is_over);
        is_over.then(|| self.standings.iter().map(|standing| standing.since).max().unwrap_or(time_of(self.head.id)))
    }
}

impl Notices {
    /// Runs until the process drains.
    pub async fn run(self, supervisor: Supervisor) {
        while !supervisor.is_draining() {
            if let Err(error) = self.round(&supervisor).await {
                metrics::database_error(error.kind());
                tracing::warn!(%error, "delivery reports could not be looked after; trying again");
            }
            tokio::select! {
                () = self.clock.sleep(POLL) => {}
                () = supervisor.draining() => {}
            }
        }
    }

    async fn round(&self, supervisor: &Supervisor) -> Result<(), StoreError> {
        while self.discover().await? {}
        let mut more = true;
        while more && !supervisor.is_draining() {
            let now = self.clock.now();
            let rows = table::due(&self.store, now, now + LEASE, i64::from(CHUNK)).await?;
            more = rows.len() == usize::from(CHUNK);
            self.look_after(rows).await?;
        }
        Ok(())
    }

    /// Takes up messages that were submitted; true if there may be more.
    async fn discover(&self) -> Result<bool, StoreError> {
        let mut tx = self.store.begin().await?;
        let Some(cursor) = consumer::take(&mut tx, NAME).await?.map(|cursor| cursor.event_id) else { return Ok(false) };
        let now = self.clock.now();
        let found = table::discover(&mut tx, first_id_at(time_of(cursor) - LATE), now, i64::from(FOUND)).await?;
        let more = found.len() == usize::from(FOUND);
        // All there is was found: what is older than LATE is never looked for again, so what is forgotten is not found anew.
        let to = if more { found.last().copied().unwrap_or(cursor) } else { first_id_at(now) };
        consumer::advance(&mut tx, NAME, 0, cursor.max(to)).await?;
        Store::commit(tx).await?;
        Ok(more)
    }

    /// Looks at messages whose time has come.
    async fn look_after(&self, rows: Vec<NoticeRow>) -> Result<(), StoreError> {
        let ids: Vec<Uuid> = rows.iter().map(|row| row.message_id).collect();
        let mut standings = self.standings(&ids).await?;
        let mut heads: HashMap<Uuid, MessageHead> = self.store.heads(&ids).await?.into_iter().map(|head| (head.id, head)).collect();
        let (mut postponed, mut over) = (Vec::new(), Vec::new());
        for row in rows {
            let (id, lease) = (row.message_id, row.lease);
            let next = match (heads.remove(&id), standings.remove(&id)) {
                (Some(head), Some(mut standings)) => {
                    let wishes = ReportWishes::of(&head.metadata).unwrap_or_default();
                    note_reported(&mut standings, &row.reported);
                    self.look(row, &Subject { head, wishes, standings }).await
                }
                // The message is deleted.
                _ => Ok(Next::Never),
            };
            match next {
                Ok(Next::At(again)) => postponed.push((id, lease, again)),
                Ok(Next::Never) => over.push((id, lease, lease)),
                Ok(Next::AfterLease) => {}
                // The others must not wait for this one, which comes again.
                Err(error @ StoreError::Corrupt(_)) => {
                    tracing::error!(message = %MessageId::from_uuid(id), %error, "a delivery report cannot be made");
                }
                Err(error) => return Err(error),
            }
        }
        table::postpone(&self.store, &postponed).await?;
        table::forget(&self.store, &over).await
    }

    /// Tells what is due about one message.
    async fn look(&self, row: NoticeRow, subject: &Subject) -> Result<Next, StoreError> {
        let now = self.clock.now();
        let mut told: Told = serde_json::from_value(row.told).unwrap_or_default();
        let mut next = row.pending.and_then(|pending| serde_json::from_value::<Pending>(pending).ok());
        let age = subject.age(now);
        let mut is_noted = true;
        loop {
            let pending = match next.take() {
                Some(pending) => pending,
                None => match due(&subject.standings, &subject.wishes, &told, age, self.delay).pop_first() {
                    Some((kind, rcpt_nos)) => Pending { kind, rcpt_nos },
                    None => break,
                },
            };
            table::keep(&self.store, row.message_id, &json!(told), Some(&json!(pending))).await?;
            is_noted = false;
            if !self.send(row.project_id, subject, &pending).await? {
                return Ok(Next::AfterLease);
            }
            for rcpt_no in pending.rcpt_nos {
                told.entry(rcpt_no).or_default().push(pending.kind);
            }
        }
        if !is_noted {
            table::keep(&self.store, row.message_id, &json!(told), None).await?;
        }
        Ok(match subject.over_since() {
            Some(since) if since + KEPT <= now => Next::Never,
            Some(since) => Next::At(since + KEPT),
            None => Next::At(subject.head.send_at.filter(|at| *at > now).unwrap_or(now + self.wait(age))),
        })
    }

    /// How long until the next look: less for a young message, and not past the time at which a delay is told.
    fn wait(&self, age: Duration) -> Duration {
        let wait = (age / 4).clamp(POLL, LONGEST);
        match self.delay.checked_sub(age) {
            Some(left) if !left.is_zero() => wait.min(left.max(POLL)),
            _ => wait,
        }
    }

    /// How the recipients of messages stand.
    async fn standings(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, Vec<Standing>>, StoreError> {
        let mut all: HashMap<Uuid, Vec<Standing>> = ids.iter().map(|id| (*id, Vec::new())).collect();
        for row in self.store.outstanding(ids).await? {
            let rcpt_no = u16::try_from(row.rcpt_no).unwrap_or(0);
            let since = time_of(row.message_id);
            let standing = Standing { rcpt_no, recipient: row.recipient, outstanding: true, last: None, since, facts: Value::Null, reported: None };
            all.entry(row.message_id).or_default().push(standing);
        }
        for event in self.store.timeline(ids).await? {
            let (Some(message), Some(rcpt_no), Some(recipient), Some(kind)) =
                (event.message_id, event.rcpt_no.and_then(|number| u16::try_from(number).ok()), event.recipient, EventKind::from_stored(event.kind))
            else {
                continue;
            };
            if kind == EventKind::Complained {
                continue;
            }
            let standings = all.entry(message).or_default();
            let fresh =
                Standing { rcpt_no, recipient, outstanding: false, last: Some(kind), since: time_of(event.id), facts: event.data, reported: None };
            match standings.iter_mut().find(|known| known.rcpt_no == rcpt_no) {
                // What came back is the last word, whatever order the clocks of two nodes give the events.
                Some(known) if known.last == Some(EventKind::Bounced) => {}
                Some(known) => *known = Standing { outstanding: known.outstanding, ..fresh },
                None => standings.push(fresh),
            }
        }
        for standings in all.values_mut() {
            standings.sort_by_key(|standing| standing.rcpt_no);
        }
        Ok(all)
    }

    /// Sends a report; false if it has to be tried again.
    async fn send(&self, project: Uuid, subject: &Subject, pending: &Pending) -> Result<bool, StoreError> {
        let id = MessageId::from_uuid(subject.head.id);
        let Some(content) = self.store.content(project, subject.head.id).await? else { return Ok(true) };
        let Some(report) = self.report(id, subject, content, pending) else {
            tracing::warn!(message = %id, "a delivery report cannot be made: the addresses of the message are none");
            return Ok(true);
        };
        let sent = self.submit(ProjectId::from_uuid(project), subject, pending, report).await;
        Ok(match &sent {
            Ok(()) => {
                metrics::notice(pending.kind.name());
                tracing::info!(message = %id, kind = pending.kind.name(), recipients = pending.rcpt_nos.len(), "delivery report sent");
                true
            }
            Err(error @ (AcceptError::Overloaded | AcceptError::StorageFull | AcceptError::Unavailable(_) | AcceptError::InProgress)) => {
                tracing::warn!(message = %id, %error, "a delivery report could not be sent; trying again");
                false
            }
            Err(error) => {
                metrics::notice("given_up");
                tracing::warn!(message = %id, %error, "a delivery report could not be sent and is given up");
                true
            }
        })
    }

    fn report(&self, id: MessageId, subject: &Subject, content: ContentRow, pending: &Pending) -> Option<Vec<u8>> {
        let to = EmailAddress::parse(&subject.head.reverse_path).ok()?;
        let author = EmailAddress::parse(&subject.head.header_from).ok()?;
        let from = EmailAddress::parse(&format!("mailer-daemon@{}", author.domain())).ok()?;
        let those = subject.standings.iter().filter(|standing| pending.rcpt_nos.contains(&standing.rcpt_no));
        let facts: Vec<(EmailAddress, &Standing, Facts)> =
            those.filter_map(|standing| Some((EmailAddress::parse(&standing.recipient).ok()?, standing, Facts::of(standing)))).collect();
        let recipients: Vec<NoticeRecipient<'_>> = facts
            .iter()
            .map(|(address, standing, facts)| NoticeRecipient {
                address,
                original: subject.wishes.about(&standing.recipient).and_then(|wish| wish.orcpt.as_deref()),
                action: pending.kind.action(),
                status: facts.status.unwrap_or(match pending.kind {
                    Kind::Failed => EnhancedStatus::new(5, 0, 0),
                    Kind::Delayed => EnhancedStatus::new(4, 0, 0),
                    Kind::Relayed | Kind::RelayedOn | Kind::Delivered | Kind::Expanded => EnhancedStatus::new(2, 0, 0),
                }),
                class: facts.class,
                reply: facts.reply.as_deref(),
                host: facts.host.as_deref(),
                last_attempt: facts.at,
                retry_until: Some(subject.head.expires_at),
            })
            .collect();
        if recipients.is_empty() {
            return None;
        }
        let original = content::unpack(content.encoding, content.content, content.size).ok()?;
        Some(compose(&Notice {
            from: &from,
            to: &to,
            reporting_mta: &self.hostname,
            envelope_id: subject.wishes.envid.as_deref(),
            arrived: time_of(id.uuid()),
            recipients: &recipients,
            original: &original,
            returned: returned(&subject.wishes),
        }))
    }

    async fn submit(&self, project: ProjectId, subject: &Subject, pending: &Pending, report: Vec<u8>) -> Result<(), AcceptError> {
        let id = MessageId::from_uuid(subject.head.id);
        let request = json!({
            "envelope": { "from": "<>", "to": subject.head.reverse_path },
            "raw": STANDARD.encode(&report),
            "stream": "delivery-reports",
        });
        let request = serde_json::from_value(request).map_err(|error| AcceptError::Unavailable(error.to_string()))?;
        let caller = Caller { project, key: KeyId::from_uuid(Uuid::nil()), name: "delivery reports".into(), scope: Scope::Send, domains: None };
        // The same for the same report, whatever else became known in the meantime.
        let name = format!("{id} {} {:?}", pending.kind.key(), pending.rcpt_nos);
        let request_hash: [u8; 32] = digest::digest(&digest::SHA256, name.as_bytes()).as_ref().try_into().unwrap_or_default();
        let key = IdempotencyKey { key: format!("delivery-report {}", STANDARD.encode(request_hash)), request_hash };
        self.accept.send(&caller, request, Some(key)).await.map(|_| ())
    }
}

/// Notes what was reported to us about each recipient.
fn note_reported(standings: &mut [Standing], reported: &Value) {
    let reported: BTreeMap<u16, Value> = BTreeMap::deserialize(reported).unwrap_or_default();
    for standing in standings {
        standing.reported = reported.get(&standing.rcpt_no).and_then(success);
    }
}

/// A success that was reported to us: what, and its facts.
fn success(reported: &Value) -> Option<(Action, Value)> {
    let action = match reported.get("action")?.as_str()? {
        "relayed" => Action::Relayed,
        "delivered" => Action::Delivered,
        "expanded" => Action::Expanded,
        _ => return None,
    };
    Some((action, reported.clone()))
}

/// What the last event says.
struct Facts {
    status: Option<EnhancedStatus>,
    class: Option<BounceClass>,
    reply: Option<String>,
    host: Option<String>,
    at: Option<OffsetDateTime>,
}

impl Facts {
    fn of(standing: &Standing) -> Self {
        // What was reported of a success says more than that it was taken.
        let told = standing.reported.as_ref().filter(|_| standing.last == Some(EventKind::Delivered)).map_or(&standing.facts, |(_, facts)| facts);
        let text = |name: &str| told.get(name).and_then(Value::as_str).map(str::to_owned).filter(|text| !text.is_empty());
        let suppressed =
            (standing.last == Some(EventKind::Suppressed)).then(|| "not sent: the address is on the suppression list of this system".to_owned());
        let code = told.get("reply_code").and_then(Value::as_u64);
        Self {
            status: text("enhanced_status").and_then(|status| status.parse().ok()),
            class: text("class").and_then(|class| class.parse().ok()),
            reply: suppressed.or_else(|| text("reply")).map(|reply| code.map_or(reply.clone(), |code| format!("{code} {reply}"))),
            host: text("mx_host").or_else(|| text("remote_mta")),
            at: text("at").and_then(|at| OffsetDateTime::parse(&at, &Rfc3339).ok()),
        }
    }
}
