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
use time::OffsetDateTime;
use uuid::Uuid;

mod rows;

use super::limit::{Limited, PATIENT, STATEMENT, within};
use super::{Store, StoreError};
pub use rows::{ClaimedRow, DeliveryRow, Due, KeyRow, MessageRow, SettleRow};

/// A connection of the pool, back there when dropped.
pub type Connection = sqlx::pool::PoolConnection<sqlx::Postgres>;

/// Owner of a waiting delivery.
pub const WAITING: i64 = 0;
/// Owner of a delivery that an operator holds.
pub const HELD: i64 = -1;

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

    /// Writes messages, their deliveries and their `accepted` events in one statement: the commit that a 202 waits for. A
    /// recipient that is suppressed gets its final event and no delivery; answers which, by message and recipient's place.
    pub async fn insert_messages<'e>(
        executor: impl sqlx::PgExecutor<'e>,
        messages: Vec<MessageRow>,
        deliveries: Vec<DeliveryRow>,
    ) -> Result<Vec<(Uuid, i16)>, StoreError> {
        let m = messages;
        columns!(m => id, event_id, project_id, domain_id, reverse_path, header_from, subject, header_message_id, tags, metadata, priority, stream,
            origin, send_at, expires_at, recipients, size, flags, encoding, content, accepted);
        let d = DeliveryColumns::from(deliveries);
        let insert = query!(
            r#"with new_message as (
               insert into message (id, project_id, domain_id, reverse_path, header_from, subject, header_message_id, tags, metadata, priority,
                                    stream, origin, send_at, expires_at, recipients, size, flags, encoding, content)
               select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::jsonb[], $9::jsonb[],
                                    $10::smallint[], $11::text[], $12::smallint[], $13::timestamptz[], $14::timestamptz[], $15::smallint[],
                                    $16::integer[], $17::smallint[], $18::smallint[], $19::bytea[])
             ), asked as materialized (
               select * from unnest($20::uuid[], $21::smallint[], $22::uuid[], $23::integer[], $24::bigint[], $25::smallint[],
                                    $26::timestamptz[], $27::timestamptz[], $28::text[], $31::text[])
                 as a (message_id, rcpt_no, project_id, lane, owner, priority, next_at, expires_at, recipient, stream)
             ), refused as materialized (
               select a.message_id, a.rcpt_no, a.project_id, a.recipient, s.facts from asked a
               -- The limits keep this two looks into the primary key for each recipient, whatever the planner believes of the table.
               cross join lateral (
                 select json_build_object('reason', s.reason, 'origin', s.origin, 'class', s.class, 'address', s.address,
                                          'stream', nullif(s.stream, ''), 'since', s.created_at, 'at', 'accept') as facts
                 from (values (lower(a.recipient collate "C")), ('@' || split_part(a.recipient, '@', -1))) as k (address)
                 cross join lateral (
                   select * from suppression s
                   where s.project_id = a.project_id and s.address = k.address collate "C" and s.stream in ('', a.stream) limit 1
                 ) s limit 1) s
             ), new_delivery as (
               insert into delivery (message_id, rcpt_no, project_id, lane, owner, priority, next_at, expires_at, recipient)
               select a.message_id, a.rcpt_no, a.project_id, a.lane, a.owner, a.priority, a.next_at, a.expires_at, a.recipient from asked a
               where not exists (select 1 from refused r where r.message_id = a.message_id and r.rcpt_no = a.rcpt_no)
             ), accepted as materialized (
               select * from unnest($29::uuid[], $2::uuid[], $1::uuid[], $30::text[]) as e (id, project_id, message_id, data)
             ), told as (
               insert into event (id, project_id, message_id, rcpt_no, kind, recipient, data)
               select e.id, e.project_id, e.message_id, null, 1, null, e.data::json from accepted e union all
               select event_id_after(e.id, r.rcpt_no), r.project_id, r.message_id, r.rcpt_no, 6, r.recipient, r.facts
               from refused r join accepted e on e.message_id = r.message_id
             ) select message_id as "message_id!", rcpt_no as "rcpt_no!" from refused"#,
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
            &accepted,
            &d.stream
        );
        let suppressed = within(STATEMENT, insert.fetch_all(executor)).await?;
        Ok(suppressed.into_iter().map(|row| (row.message_id, row.rcpt_no)).collect())
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
    /// instead, so that they are met once and stand in nobody's way; what was suppressed since it was accepted ends here, with its event.
    ///
    /// The rows are found again by their place (`ctid`), which they keep while they are locked: the planner takes a limit that it does
    /// not know for a tenth of the table and would rather read all of a large one than join so many rows by key.
    pub async fn claim(&self, owner: i64, lanes: &[i32], rooms: &[i32], due: Due, event_id: Uuid) -> Result<Vec<ClaimedRow>, StoreError> {
        let (only_hurried, moved) = match due {
            Due::Now { moved } => (false, moved),
            Due::Hurried => (true, Duration::ZERO),
        };
        let rows = sqlx::query_as!(
            ClaimedRow,
            r#"with due as materialized (
               select d.*
               from unnest($2::integer[], $3::integer[]) as wanted (lane, room)
               cross join lateral (
                 select ctid as place, message_id, rcpt_no, project_id, recipient from delivery
                 where owner = 0 and lane = wanted.lane and next_at <= case when $5 then 'epoch' else now() + $4::interval end
                 order by next_at limit wanted.room for update skip locked
               ) d
             ), refused as materialized (
               select a.place, a.message_id, a.rcpt_no, s.facts, row_number() over () as number from due a
               cross join lateral (
                 select json_build_object('reason', s.reason, 'origin', s.origin, 'class', s.class, 'address', s.address,
                                          'stream', nullif(s.stream, ''), 'since', s.created_at, 'at', 'retry') as facts
                 from (values (lower(a.recipient collate "C")), ('@' || split_part(a.recipient, '@', -1))) as k (address)
                 cross join lateral (
                   select * from suppression s
                   where s.project_id = a.project_id and s.address = k.address collate "C"
                     and (s.stream = '' or s.stream = (select m.stream from message m where m.id = a.message_id))
                   limit 1
                 ) s
                 limit 1
               ) s
             ), ended as (
               delete from delivery where ctid = any (array(select place from refused)) and owner = 0 returning *
             ), told as (
               insert into event (id, project_id, message_id, rcpt_no, kind, recipient, data)
               select event_id_after($6, r.number), e.project_id, e.message_id, e.rcpt_no, 6, e.recipient, r.facts
               from ended e join refused r on r.message_id = e.message_id and r.rcpt_no = e.rcpt_no
             ), claimed as (
               update delivery set owner = case when exists (
                   select from pause p where (p.project_id is null or p.project_id = delivery.project_id)
                     and case when p.site is null then p.domain is null or p.domain = split_part(delivery.recipient, '@', -1)
                         else exists (select from paused_domain s where s.pause_id = p.id and s.domain = split_part(delivery.recipient, '@', -1)) end)
                 then -2 else $1::bigint end
               where ctid = any (array(select place from due where place not in (select place from refused))) and owner = 0
               returning *
             ), taken as (
               select c.*, false as suppressed from claimed c union all select e.*, true from ended e
             )
             select message_id as "message_id!", rcpt_no as "rcpt_no!", lane as "lane!", recipient as "recipient!", attempt as "attempt!",
                    priority as "priority!", expires_at as "expires_at!", next_at <= 'epoch' as "hurried!", owner as "owner!", suppressed as "suppressed!"
             from taken order by next_at"#,
            owner,
            lanes,
            rooms,
            interval(moved),
            only_hurried,
            event_id
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
    stream: Vec<String>,
}

impl From<Vec<DeliveryRow>> for DeliveryColumns {
    fn from(rows: Vec<DeliveryRow>) -> Self {
        columns!(rows => message_id, rcpt_no, project_id, lane, owner, priority, next_at, expires_at, recipient, stream);
        Self { message_id, rcpt_no, project_id, lane, owner, priority, next_at, expires_at, recipient, stream }
    }
}
