//! What must hold when a storm is over: PostgreSQL, the hosts' book and what the clients were told, laid beside each other.
//!
//! I1: each accepted message has exactly one end for each recipient. I2: a copy too many only where an attempt was told as
//! `outcome_unknown`, and the same octet for octet. I3, I4: each end and each deferral that quotes a host was said by that host, of that
//! class, at that stage, to that recipient. I5: the same key, the same message. I9: no gap in the events.

use std::collections::{BTreeMap, HashMap, HashSet};

use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::book::{Book, Pages, Said};
use super::load::Posted;

const ACCEPTED: i16 = 1;
const DEFERRED: i16 = 2;
const DELIVERED: i16 = 3;
const BOUNCED: i16 = 4;

/// What was found.
#[derive(Debug, Default)]
pub struct Findings {
    pub messages: usize,
    pub recipients: usize,
    pub delivered: usize,
    pub bounced: usize,
    /// Recipients whose message was accepted and of whom nothing came, or nothing is known.
    pub lost: usize,
    /// Copies beyond the first.
    pub duplicated: usize,
    /// As many of them as attempts were told as unknown.
    pub labelled: usize,
    /// Attempts told as unknown.
    pub unknown: usize,
    /// Whatever else does not hold, and each of the above.
    pub complaints: Vec<String>,
}

#[derive(Debug, sqlx::FromRow)]
struct Row {
    message_id: Uuid,
    rcpt_no: Option<i16>,
    kind: i16,
    recipient: Option<String>,
    stage: Option<String>,
    reply: Option<String>,
    unknown: bool,
}

/// Compares. Nothing may be outstanding any more.
pub async fn audit(url: &str, book: &Book, posted: &BTreeMap<usize, Posted>) -> Findings {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let messages: Vec<(Uuid, String, i16)> = sqlx::query_as("select id, subject, recipients from message").fetch_all(&mut connection).await.unwrap();
    let rows: Vec<Row> = sqlx::query_as(
        "select message_id, rcpt_no, kind, recipient, data->>'stage' as stage, data->>'reply' as reply,
                coalesce((data->>'outcome_unknown')::boolean, false) as unknown
         from event where message_id is not null order by xact, id",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    let left: i64 = sqlx::query_scalar("select count(*) from delivery").fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let mut events: HashMap<Uuid, Vec<Row>> = HashMap::new();
    for row in rows {
        events.entry(row.message_id).or_default().push(row);
    }
    let mut findings = Findings { messages: messages.len(), ..Findings::default() };
    if left > 0 {
        findings.complaints.push(format!("{left} deliveries are outstanding"));
    }
    book.read(|pages| {
        let mut known = HashSet::new();
        let mut stored: HashMap<&str, Vec<Uuid>> = HashMap::new();
        for (id, subject, recipients) in &messages {
            stored.entry(subject).or_default().push(*id);
            findings.message(subject, usize::try_from(*recipients).unwrap(), events.get(id).map_or(&[], Vec::as_slice), pages, &mut known);
        }
        for (number, posted) in posted {
            findings.answer(&format!("m{number}"), posted, &stored);
        }
        for ghost in pages.kept.keys().filter(|recipient| !known.contains(recipient.as_str())) {
            findings.complaints.push(format!("{ghost} got a message that is not stored"));
        }
    });
    findings
}

impl Findings {
    /// The line that says it all.
    pub fn line(&self, kills: usize) -> String {
        format!("kills={kills} lost={} duplicated={} labelled={}", self.lost, self.duplicated, self.labelled)
    }

    fn lose(&mut self, what: String) {
        self.lost += 1;
        self.complaints.push(what);
    }

    /// What a client was told holds.
    fn answer(&mut self, subject: &str, posted: &Posted, stored: &HashMap<&str, Vec<Uuid>>) {
        let found = stored.get(subject).map_or(&[][..], Vec::as_slice);
        if found.len() > 1 {
            self.complaints.push(format!("{subject} was stored {} times", found.len()));
        }
        if let Some(id) = &posted.id
            && !found.iter().any(|uuid| pennypost::model::MessageId::from_uuid(*uuid).to_string() == *id)
        {
            self.lose(format!("{subject} was accepted as {id} to {:?} and is not stored", posted.recipients));
        }
    }

    fn message<'p>(&mut self, subject: &str, recipients: usize, events: &[Row], pages: &'p Pages, known: &mut HashSet<&'p str>) {
        if events.first().is_none_or(|first| first.kind != ACCEPTED) || events.iter().filter(|event| event.kind == ACCEPTED).count() != 1 {
            self.complaints.push(format!("{subject} was not accepted first, or not once: {events:?}"));
        }
        let mut by_recipient: BTreeMap<i16, Vec<&Row>> = BTreeMap::new();
        for event in events {
            if let Some(number) = event.rcpt_no {
                by_recipient.entry(number).or_default().push(event);
            }
        }
        self.recipients += recipients;
        if by_recipient.len() < recipients {
            self.lose(format!("{subject}: {} of {recipients} recipients have events", by_recipient.len()));
        }
        let mut hashes: HashSet<u64> = HashSet::new();
        for events in by_recipient.values() {
            let Some(recipient) = events.first().and_then(|event| event.recipient.as_deref()) else { continue };
            let kept = pages.kept.get_key_value(recipient);
            if let Some((name, copies)) = kept {
                known.insert(name);
                hashes.extend(copies);
            }
            self.delivery(recipient, events, kept.map_or(0, |(_, copies)| copies.len()), pages);
        }
        if hashes.len() > 1 {
            self.complaints.push(format!("{subject} went out in {} forms", hashes.len()));
        }
    }

    fn delivery(&mut self, recipient: &str, events: &[&Row], copies: usize, pages: &Pages) {
        let ends: Vec<&&Row> = events.iter().filter(|event| event.kind != DEFERRED).collect();
        let unknown = events.iter().filter(|event| event.unknown).count();
        self.unknown += unknown;
        for event in events {
            self.quote(recipient, event, pages);
        }
        let [end] = ends[..] else {
            self.lose(format!("{recipient} has {} ends: {events:?}", ends.len()));
            return;
        };
        let rightful = usize::from(end.kind == DELIVERED);
        match end.kind {
            DELIVERED => self.delivered += 1,
            BOUNCED => self.bounced += 1,
            other => self.complaints.push(format!("{recipient} ended by kind {other}: {events:?}")),
        }
        if copies < rightful {
            self.lose(format!("{recipient} is told as delivered, and no host has it: {events:?}"));
        }
        let extra = copies.saturating_sub(rightful);
        self.duplicated += extra;
        self.labelled += extra.min(unknown);
        if extra > unknown {
            self.complaints.push(format!("{recipient} got {copies} copies: {events:?}"));
        }
    }

    /// What an event quotes was said; an end quotes what ended it.
    fn quote(&mut self, recipient: &str, event: &Row, pages: &Pages) {
        let (Some(stage), Some(reply)) = (&event.stage, &event.reply) else {
            self.complaints.push(format!("{recipient}: no stage or no reply: {event:?}"));
            return;
        };
        let said = reply.rsplit(' ').next().and_then(|token| pages.said.get(token));
        let class = match event.kind {
            DELIVERED => 2,
            BOUNCED => 5,
            _ => 4,
        };
        let fits = |said: &Said| {
            // Where TLS was refused for good, a later session does without.
            let class_fits = said.class == class || (class == 4 && stage == "tls");
            let about = said.recipients.is_empty() || said.recipients.iter().any(|named| named == recipient);
            class_fits && said.stage.names().contains(&stage.as_str()) && about
        };
        match said {
            Some(said) if fits(said) => {}
            // A fault of the connection quotes nobody.
            None if event.kind == DEFERRED => {}
            other => self.complaints.push(format!("{recipient}: {event:?}, but the host's book has {other:?}")),
        }
    }
}
