//! The writes to `message`, `delivery`, `event` and `idempotency` that move mail.
//!
//! Answers: insert in groups, claim by lane, settle in groups, free the work of the dead. What operators do stands in
//! [`super::operator`].
//! Each function is one statement, so its rows appear together or not at all; a claim that is no longer ours is never
//! written to (`owner = $me` in every settle). Invariants 1, 3, 4.
#![expect(missing_docs, reason = "a field of a row is the column of its name, described in migrations/")]

use std::collections::HashMap;
use std::time::Duration;

use sqlx::postgres::types::PgInterval;
use sqlx::{PgConnection, query, query_scalar};
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use super::limit::{Limited, PATIENT, STATEMENT, within};
use super::{Store, StoreError};

/// A connection of the pool, back there when dropped.
pub type Connection = sqlx::pool::PoolConnection<sqlx::Postgres>;

/// Owner of a waiting delivery.
pub const WAITING: i64 = 0;
/// Owner of a delivery that an operator holds.
pub const HELD: i64 = -1;

/// A `message` row with its `accepted` event.
#[derive(Debug)]
pub struct MessageRow {
    pub id: Uuid,
    pub event_id: Uuid,
    pub project_id: Uuid,
    pub domain_id: Option<Uuid>,
    pub reverse_path: String,
    pub header_from: String,
    pub subject: String,
    pub header_message_id: String,
    pub tags: serde_json::Value,
    pub metadata: serde_json::Value,
    pub priority: i16,
    pub stream: String,
    pub origin: i16,
    pub send_at: Option<OffsetDateTime>,
    pub expires_at: OffsetDateTime,
    pub recipients: i16,
    pub size: i32,
    pub flags: i16,
    pub encoding: i16,
    pub content: Vec<u8>,
    pub accepted: String,
}

/// A `delivery` row.
#[derive(Debug)]
pub struct DeliveryRow {
    pub message_id: Uuid,
    pub rcpt_no: i16,
    pub project_id: Uuid,
    pub lane: i32,
    pub owner: i64,
    pub priority: i16,
    pub next_at: OffsetDateTime,
    pub expires_at: OffsetDateTime,
    pub recipient: String,
}

/// An `idempotency` row.
#[derive(Debug)]
pub struct KeyRow {
    pub day: Date,
    pub project_id: Uuid,
    pub key_hash: Vec<u8>,
    pub request_hash: Vec<u8>,
    pub message_id: Uuid,
    pub deliveries: i16,
}

/// What a claim answers for each delivery.
#[derive(Debug)]
pub struct ClaimedRow {
    pub message_id: Uuid,
    pub rcpt_no: i16,
    pub lane: i32,
    pub recipient: String,
    pub attempt: i16,
    pub priority: i16,
    pub expires_at: OffsetDateTime,
    /// Somebody asked for this attempt.
    pub hurried: bool,
    /// [`PARKED`](super::operator::PARKED) if a pause keeps it from being claimed, else the claimant.
    pub owner: i64,
}

/// Which waiting deliveries a claim takes.
#[derive(Clone, Copy, Debug)]
pub enum Due {
    /// All whose time has come, on a clock that is ahead by this much.
    Now { moved: Duration },
    /// Those that somebody asked to try at once.
    Hurried,
}

/// The end of one claim.
#[derive(Debug)]
pub struct SettleRow {
    pub message_id: Uuid,
    pub rcpt_no: i16,
    /// Waits again until this time; none: the delivery is over.
    pub next_at: Option<OffsetDateTime>,
    pub event_id: Uuid,
    pub project_id: Uuid,
    pub kind: i16,
    pub recipient: String,
    pub data: String,
}

fn interval(duration: Duration) -> PgInterval {
    PgInterval { months: 0, days: 0, microseconds: i64::try_from(duration.as_micros()).unwrap_or(i64::MAX) }
}

/// Turns rows into one vector a column, as `unnest` takes them.
macro_rules! columns {
    ($rows:expr => $($field:ident),+) => {
        $(let mut $field = Vec::with_capacity($rows.len());)+
        for row in $rows {
            $($field.push(row.$field);)+
        }
    };
}

impl Store {
    /// Writes keys; answers the messages whose key is theirs. A key that another message took before is not among them, unless that one's id is
    /// below `expired`: then the key is taken over. A message with rows of several days has its key only if it got all of them, and else leaves none.
    pub async fn insert_keys(connection: &mut PgConnection, mut keys: Vec<KeyRow>, expired: Uuid) -> Result<Vec<Uuid>, StoreError> {
        // Sorted, so that two nodes that write the same keys cannot wait for each other in a circle.
        keys.sort_by(|a, b| (a.project_id, &a.key_hash, a.day).cmp(&(b.project_id, &b.key_hash, b.day)));
        // Of one key given twice in a group the first message has it: a statement cannot meet a row it wrote itself.
        keys.dedup_by(|b, a| (a.project_id, &a.key_hash, a.day) == (b.project_id, &b.key_hash, b.day));
        let mut wanted: HashMap<Uuid, usize> = HashMap::new();
        for key in &keys {
            *wanted.entry(key.message_id).or_default() += 1;
        }
        columns!(keys => day, project_id, key_hash, request_hash, message_id, deliveries);
        let won = query_scalar!(
            "insert into idempotency as taken (day, project_id, key_hash, request_hash, message_id, deliveries)
             select * from unnest($1::date[], $2::uuid[], $3::bytea[], $4::bytea[], $5::uuid[], $6::smallint[])
             -- Waits for another transaction that writes the same key, on the same day or the day before.
             on conflict (day, project_id, key_hash) do update
               set request_hash = excluded.request_hash, message_id = excluded.message_id, deliveries = excluded.deliveries
               where taken.message_id < $7
             returning message_id",
            &day,
            &project_id,
            &key_hash,
            &request_hash,
            &message_id,
            &deliveries,
            expired
        );
        let won = within(STATEMENT, won.fetch_all(&mut *connection)).await?;
        let mut got: HashMap<Uuid, usize> = HashMap::new();
        for id in won {
            *got.entry(id).or_default() += 1;
        }
        let (whole, part): (Vec<Uuid>, Vec<Uuid>) = got.keys().copied().partition(|id| got.get(id) == wanted.get(id));
        if !part.is_empty() {
            let undo = query!("delete from idempotency where message_id = any($1) and day = any($2)", &part, &day);
            within(STATEMENT, undo.execute(&mut *connection)).await?;
        }
        Ok(whole)
    }

    /// Writes messages, their deliveries and their `accepted` events in one statement: the commit that a 202 waits for.
    pub async fn insert_messages<'e>(
        executor: impl sqlx::PgExecutor<'e>,
        messages: Vec<MessageRow>,
        deliveries: Vec<DeliveryRow>,
    ) -> Result<(), StoreError> {
        let m = messages;
        columns!(m => id, event_id, project_id, domain_id, reverse_path, header_from, subject, header_message_id, tags, metadata, priority, stream,
            origin, send_at, expires_at, recipients, size, flags, encoding, content, accepted);
        let d = DeliveryColumns::from(deliveries);
        let insert = query!(
            "with new_message as (
               insert into message (id, project_id, domain_id, reverse_path, header_from, subject, header_message_id, tags, metadata, priority,
                                    stream, origin, send_at, expires_at, recipients, size, flags, encoding, content)
               select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::jsonb[], $9::jsonb[],
                                    $10::smallint[], $11::text[], $12::smallint[], $13::timestamptz[], $14::timestamptz[], $15::smallint[],
                                    $16::integer[], $17::smallint[], $18::smallint[], $19::bytea[])
             ), new_delivery as (
               insert into delivery (message_id, rcpt_no, project_id, lane, owner, priority, next_at, expires_at, recipient)
               select * from unnest($20::uuid[], $21::smallint[], $22::uuid[], $23::integer[], $24::bigint[], $25::smallint[],
                                    $26::timestamptz[], $27::timestamptz[], $28::text[])
             )
             insert into event (id, project_id, message_id, kind, data)
             select e.id, e.project_id, e.message_id, 1, e.data::json
             from unnest($29::uuid[], $2::uuid[], $1::uuid[], $30::text[]) as e (id, project_id, message_id, data)",
            &id,
            &project_id,
            &domain_id as _,
            &reverse_path,
            &header_from,
            &subject,
            &header_message_id,
            &tags,
            &metadata,
            &priority,
            &stream,
            &origin,
            &send_at as _,
            &expires_at,
            &recipients,
            &size,
            &flags,
            &encoding,
            &content,
            &d.message_id,
            &d.rcpt_no,
            &d.project_id,
            &d.lane,
            &d.owner,
            &d.priority,
            &d.next_at,
            &d.expires_at,
            &d.recipient,
            &event_id,
            &accepted
        );
        within(STATEMENT, insert.execute(executor)).await?;
        Ok(())
    }

    /// A connection. As with [`Store::begin`], an error means that nothing was asked of the database.
    pub async fn connection(&self) -> Result<Connection, StoreError> {
        Ok(self.pool().acquire().await?)
    }

    /// Lanes that have waiting deliveries, from the one after `after` on, each once (a skip scan over the index of due work).
    pub async fn waiting_lanes(&self, after: i32, limit: i64) -> Result<Vec<i32>, StoreError> {
        let lanes = query_scalar!(
            r#"with recursive lanes as (
                 (select lane from delivery where owner = 0 and lane > $1 order by lane limit 1)
                 union all
                 select (select d.lane from delivery d where d.owner = 0 and d.lane > lanes.lane order by d.lane limit 1)
                 from lanes where lanes.lane is not null
               )
               select lane as "lane!" from lanes where lane is not null limit $2"#,
            after,
            limit
        );
        within(STATEMENT, lanes.fetch_all(self.pool())).await
    }

    /// Which of these lanes have deliveries that somebody asked to try at once, see [`RowChange::hurry`](super::operator::RowChange::hurry).
    pub async fn hurried_lanes(&self, lanes: &[i32]) -> Result<Vec<i32>, StoreError> {
        let hurried = query_scalar!(
            r#"select lane as "lane!" from unnest($1::integer[]) as resting (lane)
               where exists (select from delivery d where d.owner = 0 and d.lane = resting.lane and d.next_at <= 'epoch')"#,
            lanes
        );
        within(STATEMENT, hurried.fetch_all(self.pool())).await
    }

    /// Claims due deliveries for `owner`: of each lane at most as many as it has room for, oldest due first. Those that are paused it puts aside
    /// instead, so that they are met once and stand in nobody's way.
    ///
    /// The rows are found again by their place (`ctid`), which they keep while they are locked: the planner takes a limit that it does
    /// not know for a tenth of the table and would rather read all of a large one than join so many rows by key.
    pub async fn claim(&self, owner: i64, lanes: &[i32], rooms: &[i32], due: Due) -> Result<Vec<ClaimedRow>, StoreError> {
        let (only_hurried, moved) = match due {
            Due::Now { moved } => (false, moved),
            Due::Hurried => (true, Duration::ZERO),
        };
        let rows = sqlx::query_as!(
            ClaimedRow,
            r#"with due as materialized (
               select d.ctid as place
               from unnest($2::integer[], $3::integer[]) as wanted (lane, room)
               cross join lateral (
                 select ctid from delivery
                 where owner = 0 and lane = wanted.lane and next_at <= case when $5 then 'epoch' else now() + $4::interval end
                 order by next_at limit wanted.room for update skip locked
               ) d
             ), claimed as (
               update delivery set owner = case when exists (
                   select from pause p where (p.project_id is null or p.project_id = delivery.project_id)
                     and case when p.site is null then p.domain is null or p.domain = split_part(delivery.recipient, '@', -1)
                         else exists (select from paused_domain s where s.pause_id = p.id and s.domain = split_part(delivery.recipient, '@', -1)) end)
                 then -2 else $1::bigint end
               where ctid = any (array(select place from due)) and owner = 0
               returning message_id, rcpt_no, lane, recipient, attempt, priority, expires_at, next_at, owner
             )
             select message_id as "message_id!", rcpt_no as "rcpt_no!", lane as "lane!", recipient as "recipient!", attempt as "attempt!",
                    priority as "priority!", expires_at as "expires_at!", next_at <= 'epoch' as "hurried!", owner as "owner!"
             from claimed order by next_at"#,
            owner,
            lanes,
            rooms,
            interval(moved),
            only_hurried
        );
        within(STATEMENT, rows.fetch_all(self.pool())).await
    }

    /// Ends or reschedules claims and writes their events. Answers how many were still ours; the others were taken over.
    pub async fn settle(&self, owner: i64, rows: Vec<SettleRow>) -> Result<u64, StoreError> {
        columns!(rows => message_id, rcpt_no, next_at, event_id, project_id, kind, recipient, data);
        let settle = query!(
            "with settled as materialized (
               select * from unnest($2::uuid[], $3::smallint[], $4::timestamptz[], $5::uuid[], $6::uuid[], $7::smallint[], $8::text[], $9::text[])
                 as s (message_id, rcpt_no, next_at, event_id, project_id, kind, recipient, data)
             ), over as (
               delete from delivery using settled s
               where s.next_at is null and delivery.message_id = s.message_id and delivery.rcpt_no = s.rcpt_no and delivery.owner = $1
               returning delivery.message_id, delivery.rcpt_no
             ), again as (
               update delivery set owner = 0, next_at = s.next_at, attempt = delivery.attempt + 1 from settled s
               where s.next_at is not null and delivery.message_id = s.message_id and delivery.rcpt_no = s.rcpt_no and delivery.owner = $1
               returning delivery.message_id, delivery.rcpt_no
             )
             insert into event (id, project_id, message_id, rcpt_no, kind, recipient, data)
             select s.event_id, s.project_id, s.message_id, s.rcpt_no, s.kind, s.recipient, s.data::json
             from settled s join (select * from over union all select * from again) ours using (message_id, rcpt_no)",
            owner,
            &message_id,
            &rcpt_no,
            &next_at as _,
            &event_id,
            &project_id,
            &kind,
            &recipient,
            &data
        );
        Ok(within(STATEMENT, settle.execute(self.pool())).await?.rows_affected())
    }

    /// Gives claims back unspent: they wait again until `next_at`, no attempt counted.
    pub async fn release(&self, owner: i64, message_ids: &[Uuid], rcpt_nos: &[i16], next_at: OffsetDateTime) -> Result<u64, StoreError> {
        let release = query!(
            "update delivery set owner = 0, next_at = greatest(delivery.next_at, least($4, delivery.expires_at))
             from unnest($2::uuid[], $3::smallint[]) as back (message_id, rcpt_no)
             where delivery.message_id = back.message_id and delivery.rcpt_no = back.rcpt_no and delivery.owner = $1",
            owner,
            message_ids,
            rcpt_nos,
            next_at
        );
        Ok(within(STATEMENT, release.execute(self.pool())).await?.rows_affected())
    }

    /// Gives back everything `owner` still has: the end of a drain.
    pub async fn release_all(&self, owner: i64) -> Result<u64, StoreError> {
        let done = query!("update delivery set owner = 0 where owner = $1", owner).execute(self.pool()).limited(PATIENT).await?;
        Ok(done.rows_affected())
    }

    /// Frees deliveries of a fenced node, at most as many as there are `event_ids`, and writes for each that its attempt may
    /// have been taken (invariant 6). Answers how many.
    pub async fn take_over(&self, dead: i64, event_ids: &[Uuid], facts: &str) -> Result<u64, StoreError> {
        let done = query!(
            "with stale as materialized (
               select ctid as place from delivery where owner = $1 limit cardinality($2::uuid[]) for update skip locked
             ), freed as (
               update delivery set owner = 0, attempt = attempt + 1
               where ctid = any (array(select place from stale)) and owner = $1
               returning message_id, rcpt_no, project_id, recipient
             )
             insert into event (id, project_id, message_id, rcpt_no, kind, recipient, data)
             select ($2::uuid[])[row_number() over ()], f.project_id, f.message_id, f.rcpt_no, 2, f.recipient, $3::text::json from freed f",
            dead,
            event_ids,
            facts
        )
        .execute(self.pool())
        .limited(PATIENT)
        .await?;
        Ok(done.rows_affected())
    }

    /// Gives one claim back whose attempt may have been taken, and writes so (invariant 6). Answers 1, or 0 if it was not `owner`'s.
    pub async fn release_uncertain(&self, owner: i64, message: Uuid, rcpt_no: i16, event_id: Uuid, facts: &str) -> Result<u64, StoreError> {
        let done = query!(
            "with freed as (
               update delivery set owner = 0, attempt = attempt + 1 where message_id = $1 and rcpt_no = $2 and owner = $3
               returning message_id, rcpt_no, project_id, recipient
             )
             insert into event (id, project_id, message_id, rcpt_no, kind, recipient, data)
             select $4, f.project_id, f.message_id, f.rcpt_no, 2, f.recipient, $5::text::json from freed f",
            message,
            rcpt_no,
            owner,
            event_id,
            facts
        )
        .execute(self.pool())
        .limited(STATEMENT)
        .await?;
        Ok(done.rows_affected())
    }

    /// Deliveries of `owner`, by message and recipient's place. Reads the whole table.
    pub async fn owned(&self, owner: i64) -> Result<Vec<(Uuid, i16)>, StoreError> {
        let rows = query!("select message_id, rcpt_no from delivery where owner = $1", owner).fetch_all(self.pool()).limited(PATIENT).await?;
        Ok(rows.into_iter().map(|row| (row.message_id, row.rcpt_no)).collect())
    }

    /// Ends unclaimed deliveries whose time is over, at most as many as there are `event_ids`. Answers how many.
    pub async fn expire_unclaimed(&self, event_ids: &[Uuid], kind: i16, facts: &str, moved: Duration) -> Result<u64, StoreError> {
        let done = query!(
            "with late as materialized (
               select ctid as place from delivery where owner in (0, -2) and expires_at <= now() + $4::interval
               limit cardinality($1::uuid[]) for update skip locked
             ), gone as (
               delete from delivery where ctid = any (array(select place from late)) and owner in (0, -2)
               returning message_id, rcpt_no, project_id, recipient
             )
             insert into event (id, project_id, message_id, rcpt_no, kind, recipient, data)
             select ($1::uuid[])[row_number() over ()], g.project_id, g.message_id, g.rcpt_no, $2, g.recipient, $3::text::json from gone g",
            event_ids,
            kind,
            facts,
            interval(moved)
        )
        .execute(self.pool())
        .limited(PATIENT)
        .await?;
        Ok(done.rows_affected())
    }

    /// The time of the oldest outstanding message, as the id it has; none if nothing is outstanding.
    pub async fn oldest_outstanding(&self) -> Result<Option<Uuid>, StoreError> {
        query_scalar!("select message_id from delivery order by message_id limit 1").fetch_optional(self.pool()).limited(PATIENT).await
    }

    /// Outstanding deliveries of all projects, estimated by the planner's statistics when there are many.
    pub async fn outstanding_count(&self) -> Result<i64, StoreError> {
        let count = query_scalar!(
            r#"select case when c.reltuples > 100000 then c.reltuples::bigint else (select count(*) from delivery) end as "count!"
               from pg_class c where c.oid = 'delivery'::regclass"#
        )
        .fetch_one(self.pool())
        .limited(PATIENT)
        .await?;
        Ok(count)
    }
}

struct DeliveryColumns {
    message_id: Vec<Uuid>,
    rcpt_no: Vec<i16>,
    project_id: Vec<Uuid>,
    lane: Vec<i32>,
    owner: Vec<i64>,
    priority: Vec<i16>,
    next_at: Vec<OffsetDateTime>,
    expires_at: Vec<OffsetDateTime>,
    recipient: Vec<String>,
}

impl From<Vec<DeliveryRow>> for DeliveryColumns {
    fn from(rows: Vec<DeliveryRow>) -> Self {
        columns!(rows => message_id, rcpt_no, project_id, lane, owner, priority, next_at, expires_at, recipient);
        Self { message_id, rcpt_no, project_id, lane, owner, priority, next_at, expires_at, recipient }
    }
}
