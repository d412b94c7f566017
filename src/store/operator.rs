//! What operators do to what waits: changes of many deliveries in short steps, and the end of pauses.
//!
//! Answers: one step of a change looks at a bounded number of rows, in the order of their key, so that it is short whatever is selected and
//! goes on where the last one ended. Rows that somebody works on are left alone, never waited for.
#![expect(missing_docs, reason = "a field of a row is the column of its name, described in migrations/")]

use sqlx::{query, query_as};
use uuid::Uuid;

use super::limit::{Limited, PATIENT, STATEMENT};
use super::{Store, StoreError, Tx};

/// Owner of a delivery that waits for the end of a pause.
pub const PARKED: i64 = -2;

/// The key of a parked delivery, after which a step begins: its lane, message and place.
pub type ParkedAfter = (i32, Uuid, i16);

/// Before all of them.
pub const FIRST_PARKED: ParkedAfter = (i32::MIN, Uuid::nil(), -1);

/// What one look at parked deliveries did.
#[derive(Clone, Copy, Debug)]
pub struct ParkedStep {
    pub examined: i64,
    pub freed: i64,
    /// The last one looked at.
    pub last: Option<ParkedAfter>,
}

/// Which deliveries; all conditions given must hold.
#[derive(Clone, Debug, Default)]
pub struct SelectedRows {
    pub project: Option<Uuid>,
    /// `@` with the recipient domain.
    pub recipient: Option<String>,
    /// `@` with the domain of the author or of the reverse-path.
    pub sender: Option<String>,
    /// An object with the tag.
    pub tag: Option<serde_json::Value>,
    /// These and no others.
    pub only: Option<Keys>,
}

/// Keys of deliveries: message and place, in lists of the same length.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    pub messages: Vec<Uuid>,
    pub numbers: Vec<i16>,
}

/// A delivery that may be meant.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub message_id: Uuid,
    pub rcpt_no: i16,
    pub project_id: Uuid,
    pub recipient: String,
}

/// What is done to them.
#[derive(Clone, Debug)]
pub struct RowChange {
    /// Only to deliveries of these owners.
    pub from: Vec<i64>,
    /// The owner they get; none: the one they have.
    pub to: Option<i64>,
    /// They are due at once, ahead of all others of their lane, even while it rests: the time 'epoch', which nothing else writes, says so to every
    /// node until the delivery is settled or given back.
    pub hurry: bool,
    /// They end with an event of this kind and these facts.
    pub end: Option<(i16, String)>,
}

/// Where a step begins and the change ends: both by message id.
#[derive(Clone, Copy, Debug)]
pub struct Stretch {
    pub after: (Uuid, i16),
    pub last: Uuid,
    pub rows: i64,
}

/// What one step did.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub examined: i64,
    pub changed: i64,
    pub active: i64,
    pub last_message: Option<Uuid>,
    pub last_rcpt: Option<i16>,
}

impl Store {
    /// The deliveries of a stretch, of a project and to recipients that end so, if these are given.
    pub async fn candidates(&self, stretch: Stretch, project: Option<Uuid>, recipient: Option<&str>) -> Result<Vec<Candidate>, StoreError> {
        query_as!(
            Candidate,
            "with near as materialized (
               select message_id, rcpt_no, project_id, recipient from delivery
               where (message_id, rcpt_no) > ($1, $2) and message_id <= $3 order by message_id, rcpt_no limit $4
             )
             select message_id, rcpt_no, project_id, recipient from near
             where ($5::uuid is null or project_id = $5) and ($6::text is null or right(recipient, length($6)) = $6)",
            stretch.after.0,
            stretch.after.1,
            stretch.last,
            stretch.rows,
            project,
            recipient
        )
        .fetch_all(self.pool())
        .limited(PATIENT)
        .await
    }

    /// One step of a change. `event_ids` has at least as many as the stretch has rows, if deliveries end.
    pub async fn change_step(
        tx: &mut Tx,
        stretch: Stretch,
        selected: &SelectedRows,
        change: &RowChange,
        event_ids: &[Uuid],
    ) -> Result<Step, StoreError> {
        let only = selected.only.as_ref();
        let (kind, facts) = change.end.as_ref().map_or((0, "{}"), |(kind, facts)| (*kind, facts.as_str()));
        let step = query_as!(
            Step,
            r#"with near as materialized (
                 select ctid as place, message_id, rcpt_no, project_id, owner, recipient from delivery
                 where (message_id, rcpt_no) > ($1, $2) and message_id <= $3 order by message_id, rcpt_no limit $4
               ), chosen as materialized (
                 select n.place, n.owner from near n
                 where ($5::uuid is null or n.project_id = $5)
                   and ($16::uuid[] is null or (n.message_id, n.rcpt_no) in (select * from unnest($16::uuid[], $17::smallint[])))
                   and ($6::text is null or right(n.recipient, length($6)) = $6)
                   and (($7::text is null and $8::jsonb is null) or exists (
                     select from message m where m.id = n.message_id
                       and ($7::text is null or right(m.header_from, length($7)) = $7 or right(m.reverse_path, length($7)) = $7)
                       and ($8::jsonb is null or m.tags @> $8)))
               ), free as materialized (
                 -- Whoever has a row locked is about to claim it.
                 select ctid as place from delivery
                 where ctid = any (array(select place from chosen where owner = any ($9))) and owner = any ($9) for update skip locked
               ), gone as (
                 delete from delivery where $12::boolean and ctid = any (array(select place from free)) and owner = any ($9)
                 returning message_id, rcpt_no, project_id, recipient
               ), moved as (
                 update delivery set owner = coalesce($10, owner), next_at = case when $11 then 'epoch' else next_at end
                 where not $12::boolean and ctid = any (array(select place from free)) and owner = any ($9) returning 1 as one
               ), told as (
                 insert into event (id, project_id, message_id, rcpt_no, kind, recipient, data)
                 select ($13::uuid[])[row_number() over ()], g.project_id, g.message_id, g.rcpt_no, $14, g.recipient, $15::text::json from gone g
               ), counts as (
                 select (select count(*) from gone) + (select count(*) from moved) as changed
               ), last as (
                 select message_id, rcpt_no from near order by message_id desc, rcpt_no desc limit 1
               )
               select (select count(*) from near) as "examined!", c.changed as "changed!",
                      (select count(*) from chosen where owner > 0 or owner = any ($9)) - c.changed as "active!",
                      (select message_id from last) as last_message, (select rcpt_no from last) as last_rcpt
               from counts c"#,
            stretch.after.0,
            stretch.after.1,
            stretch.last,
            stretch.rows,
            selected.project,
            selected.recipient.as_deref(),
            selected.sender.as_deref(),
            selected.tag.as_ref(),
            &change.from,
            change.to,
            change.hurry,
            change.end.is_some(),
            event_ids,
            kind,
            facts,
            only.map(|keys| &keys.messages[..]),
            only.map(|keys| &keys.numbers[..])
        )
        .fetch_one(&mut **tx)
        .limited(PATIENT)
        .await?;
        Ok(step)
    }

    /// Lets parked deliveries wait as others do whose pause is over, of the next `rows` after a key.
    pub async fn unpark(&self, after: ParkedAfter, rows: i64) -> Result<ParkedStep, StoreError> {
        let step = query!(
            r#"with near as materialized (
                 select ctid as place, lane, message_id, rcpt_no, project_id, recipient from delivery
                 where owner = -2 and (lane, message_id, rcpt_no) > ($1, $2, $3) order by lane, message_id, rcpt_no limit $4
               ), over as materialized (
                 select n.place from near n where not exists (
                   select from pause p where (p.project_id is null or p.project_id = n.project_id)
                     and case when p.site is null then p.domain is null or p.domain = split_part(n.recipient, '@', -1)
                         else exists (select from paused_domain s where s.pause_id = p.id and s.domain = split_part(n.recipient, '@', -1)) end)
               ), free as materialized (
                 select ctid as place from delivery where ctid = any (array(select place from over)) and owner = -2 for update skip locked
               ), freed as (
                 update delivery set owner = 0 where ctid = any (array(select place from free)) and owner = -2 returning 1 as one
               ), last as (
                 select lane, message_id, rcpt_no from near order by lane desc, message_id desc, rcpt_no desc limit 1
               )
               select (select count(*) from near) as "examined!", (select count(*) from freed) as "freed!",
                      (select lane from last) as lane, (select message_id from last) as message_id, (select rcpt_no from last) as rcpt_no"#,
            after.0,
            after.1,
            after.2,
            rows
        )
        .fetch_one(self.pool())
        .limited(STATEMENT)
        .await?;
        let last = step.lane.zip(step.message_id).zip(step.rcpt_no).map(|((lane, message), rcpt_no)| (lane, message, rcpt_no));
        Ok(ParkedStep { examined: step.examined, freed: step.freed, last })
    }
}
