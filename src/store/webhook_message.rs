//! What endpoints are told: written, claimed, settled, shown; and the reading of events that it is made of.
//!
//! Answers: a claim is an attempt with a number, and counts as lost when its time is over; a settle with another number writes nothing. So each
//! message is told at least once, whichever node dies when, and rarely twice.

use sqlx::{query, query_as};
use time::OffsetDateTime;
use uuid::Uuid;

use super::limit::{Limited, PATIENT, STATEMENT};
use super::{Store, StoreError, Tx};

/// What an endpoint is to be told.
#[derive(Clone, Debug)]
pub(crate) struct NewWebhookMessage {
    pub(crate) id: Uuid,
    pub(crate) webhook_id: Uuid,
    pub(crate) kind: i16,
    pub(crate) payload: Option<String>,
    pub(crate) incoming_id: Option<Uuid>,
    pub(crate) next_at: OffsetDateTime,
    pub(crate) give_up_at: OffsetDateTime,
}

/// A claimed message.
#[derive(Clone, Debug)]
pub(crate) struct ClaimedRow {
    pub(crate) id: Uuid,
    pub(crate) webhook_id: Uuid,
    pub(crate) payload: Option<String>,
    pub(crate) incoming_id: Option<Uuid>,
    /// The number of this attempt.
    pub(crate) attempts: i16,
    /// The number of this attempt in its round.
    pub(crate) retried: i16,
    pub(crate) give_up_at: OffsetDateTime,
}

/// How an attempt ended.
#[derive(Clone, Debug)]
pub(crate) struct EndedRow {
    pub(crate) id: Uuid,
    pub(crate) attempts: i16,
    pub(crate) state: &'static str,
    pub(crate) next_at: OffsetDateTime,
    pub(crate) at: OffsetDateTime,
    pub(crate) status: Option<i16>,
    pub(crate) error: Option<String>,
    pub(crate) body: Option<String>,
}

/// A message as it is shown.
#[derive(Clone, Debug)]
pub(crate) struct ToldRow {
    pub(crate) id: Uuid,
    pub(crate) kind: i16,
    pub(crate) incoming_id: Option<Uuid>,
    pub(crate) state: String,
    pub(crate) attempts: i16,
    pub(crate) next_at: OffsetDateTime,
    pub(crate) last_at: Option<OffsetDateTime>,
    pub(crate) last_status: Option<i16>,
    pub(crate) last_error: Option<String>,
    pub(crate) last_body: Option<String>,
}

/// An event that an endpoint wants.
#[derive(Clone, Debug)]
pub(crate) struct WantedRow {
    pub(crate) webhook_id: Uuid,
    pub(crate) id: Uuid,
    pub(crate) xact: i64,
    pub(crate) message_id: Option<Uuid>,
    pub(crate) rcpt_no: Option<i16>,
    pub(crate) kind: i16,
    pub(crate) recipient: Option<String>,
    pub(crate) data: serde_json::Value,
}

/// Writes what endpoints are to be told. One that is gone is told nothing. Commits nothing.
pub(crate) async fn enqueue(tx: &mut Tx, rows: &[NewWebhookMessage]) -> Result<u64, StoreError> {
    let done = query!(
        "insert into webhook_message (id, webhook_id, kind, payload, incoming_id, state, next_at, give_up_at)
         select n.id, n.webhook_id, n.kind, n.payload, n.incoming_id, 'waiting', n.next_at, n.give_up_at
         from unnest($1::uuid[], $2::uuid[], $3::smallint[], $4::text[], $5::uuid[], $6::timestamptz[], $7::timestamptz[])
              as n (id, webhook_id, kind, payload, incoming_id, next_at, give_up_at)
         join webhook w on w.id = n.webhook_id",
        &rows.iter().map(|row| row.id).collect::<Vec<_>>(),
        &rows.iter().map(|row| row.webhook_id).collect::<Vec<_>>(),
        &rows.iter().map(|row| row.kind).collect::<Vec<_>>(),
        &rows.iter().map(|row| row.payload.clone()).collect::<Vec<_>>() as _,
        &rows.iter().map(|row| row.incoming_id).collect::<Vec<_>>() as _,
        &rows.iter().map(|row| row.next_at).collect::<Vec<_>>(),
        &rows.iter().map(|row| row.give_up_at).collect::<Vec<_>>()
    )
    .execute(&mut **tx)
    .limited(STATEMENT)
    .await?;
    Ok(done.rows_affected())
}

/// The next events that some endpoints want, at most `limit` for each. Rows of transactions that are still open, and all later ones, wait.
pub(crate) async fn wanted(tx: &mut Tx, webhooks: &[Uuid], limit: i64) -> Result<Vec<WantedRow>, StoreError> {
    let rows = query_as!(
        WantedRow,
        "select w.id as webhook_id, e.id, e.xact, e.message_id, e.rcpt_no, e.kind, e.recipient, e.data
         from webhook w cross join lateral (
            select * from event e
            where e.project_id = w.project_id and (e.xact, e.id) > (w.xact, w.event_id) and e.xact < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
              and (cardinality(w.kinds) = 0 or e.kind = any(w.kinds))
            order by e.xact, e.id limit $2
         ) e
         where w.id = any($1) order by w.id, e.xact, e.id",
        webhooks,
        limit
    )
    .fetch_all(&mut **tx)
    .limited(PATIENT)
    .await?;
    Ok(rows)
}

/// What to claim.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    /// Mail of routes; else events.
    pub(crate) of_routes: bool,
    pub(crate) now: OffsetDateTime,
    /// When the attempts count as lost.
    pub(crate) until: OffsetDateTime,
    /// Endpoints that are told something now, and how much.
    pub(crate) busy: Vec<(Uuid, i32)>,
    /// At once of one endpoint.
    pub(crate) of_one: i64,
    /// In all.
    pub(crate) limit: i64,
}

/// Claims messages whose time has come, each for one attempt. An endpoint that fails gets one at a time.
pub(crate) async fn claim(store: &Store, claim: &Claim) -> Result<Vec<ClaimedRow>, StoreError> {
    let rows = query_as!(
        ClaimedRow,
        r#"with due as (
            select m.id from webhook w
            left join unnest($4::uuid[], $5::integer[]) as busy (id, messages) on busy.id = w.id
            cross join lateral (
                select id from webhook_message m where m.webhook_id = w.id and m.state = 'waiting' and m.next_at <= $2
                order by m.next_at, m.id
                limit greatest(case when w.failing_since is null then $6::bigint else 1 end - coalesce(busy.messages, 0), 0)
                for update skip locked
            ) m
            where w.disabled_at is null and (w.route_id is not null) = $1
            limit $7
         )
         update webhook_message m set next_at = $3, attempts = least(attempts + 1, 32767), retried = least(retried + 1, 32767)
         from due where m.id = due.id
         returning m.id as "id!", m.webhook_id as "webhook_id!", m.payload, m.incoming_id, m.attempts as "attempts!", m.retried as "retried!",
                   m.give_up_at as "give_up_at!""#,
        claim.of_routes,
        claim.now,
        claim.until,
        &claim.busy.iter().map(|busy| busy.0).collect::<Vec<_>>(),
        &claim.busy.iter().map(|busy| busy.1).collect::<Vec<_>>(),
        claim.of_one,
        claim.limit
    )
    .fetch_all(store.pool())
    .limited(PATIENT)
    .await?;
    Ok(rows)
}

/// Writes how an attempt ended; false if it counted as lost before, or the message is gone. Then nothing is written.
pub(crate) async fn settle(store: &Store, row: &EndedRow) -> Result<bool, StoreError> {
    let done = query!(
        "update webhook_message set state = $3, next_at = $4, last_at = $5, last_status = $6, last_error = $7, last_body = $8
         where id = $1 and attempts = $2 and state = 'waiting'",
        row.id,
        row.attempts,
        row.state,
        row.next_at,
        row.at,
        row.status,
        row.error,
        row.body
    )
    .execute(store.pool())
    .limited(STATEMENT)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// What an endpoint was and is to be told, newest first.
pub(crate) async fn list(store: &Store, webhook: Uuid, state: Option<&str>, before: Option<Uuid>, limit: i64) -> Result<Vec<ToldRow>, StoreError> {
    let rows = query_as!(
        ToldRow,
        "select id, kind, incoming_id, state, attempts, next_at, last_at, last_status, last_error, last_body from webhook_message
         where webhook_id = $1 and ($2::text is null or state = $2) and ($3::uuid is null or id < $3) order by id desc limit $4",
        webhook,
        state,
        before,
        limit
    )
    .fetch_all(store.pool())
    .limited(PATIENT)
    .await?;
    Ok(rows)
}

/// Has a message told again, from now on; false if there is none.
pub(crate) async fn resend(store: &Store, webhook: Uuid, id: Uuid, now: OffsetDateTime, give_up_at: OffsetDateTime) -> Result<bool, StoreError> {
    let done = query!(
        "update webhook_message set state = 'waiting', retried = 0, give_up_at = $4,
                -- One that is under way is not begun a second time.
                next_at = case when state = 'waiting' and attempts > 0 and next_at > $3 and last_at is null then next_at else $3 end
         where webhook_id = $1 and id = $2",
        webhook,
        id,
        now,
        give_up_at
    )
    .execute(store.pool())
    .limited(PATIENT)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Deletes messages made before the time that `first_kept` carries, unless they wait; answers how many.
pub(crate) async fn remove_before(store: &Store, first_kept: Uuid, limit: i64) -> Result<u64, StoreError> {
    let done = query!(
        "delete from webhook_message where id in (select id from webhook_message where id < $1 and state <> 'waiting' limit $2)",
        first_kept,
        limit
    )
    .execute(store.pool())
    .limited(PATIENT)
    .await?;
    Ok(done.rows_affected())
}
