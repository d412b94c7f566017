//! Reads messages, their deliveries and their content; writes nothing.
#![expect(missing_docs, reason = "a field of a row is the column of its name, described in migrations/")]

use sqlx::{query, query_as, query_scalar};
use time::OffsetDateTime;
use uuid::Uuid;

use super::limit::{Limited, PATIENT, STATEMENT, within};
use super::{Store, StoreError};

/// A message without its content.
#[derive(Debug)]
pub struct MessageHead {
    pub id: Uuid,
    pub reverse_path: String,
    pub header_from: String,
    pub subject: String,
    pub header_message_id: String,
    pub tags: serde_json::Value,
    pub metadata: serde_json::Value,
    pub priority: i16,
    pub stream: String,
    pub send_at: Option<OffsetDateTime>,
    pub expires_at: OffsetDateTime,
    pub recipients: i16,
    pub size: i32,
}

/// An outstanding delivery.
#[derive(Debug)]
pub struct Outstanding {
    pub message_id: Uuid,
    pub rcpt_no: i16,
    pub owner: i64,
    pub attempt: i16,
    pub next_at: OffsetDateTime,
    pub recipient: String,
}

/// The content of a message, as stored.
#[derive(Debug)]
pub struct ContentRow {
    pub id: Uuid,
    pub project_id: Uuid,
    pub stream: String,
    pub domain_id: Option<Uuid>,
    pub reverse_path: String,
    pub size: i32,
    pub flags: i16,
    pub encoding: i16,
    pub content: Vec<u8>,
    /// What a submitted message asks of delivery reports.
    pub dsn: Option<serde_json::Value>,
}

/// Whose an idempotency key is.
#[derive(Debug)]
pub struct KeyOwner {
    pub key_hash: Vec<u8>,
    pub message_id: Uuid,
    pub request_hash: Vec<u8>,
    pub deliveries: i16,
}

/// What a list of messages is narrowed to.
#[derive(Debug, Default)]
pub struct MessageSearch {
    pub sender: Option<String>,
    pub recipient: Option<String>,
    pub tag: Option<serde_json::Value>,
    /// Kinds of the last event of a delivery; or, with `outstanding`, the owner's sign.
    pub final_kind: Option<i16>,
    pub outstanding: Option<i16>,
    pub from_id: Option<Uuid>,
    pub before_id: Option<Uuid>,
    pub sandboxed: bool,
}

/// Outstanding work of one recipient domain.
#[derive(Debug)]
pub struct LaneRow {
    pub domain: String,
    pub queued: i64,
    pub active: i64,
    pub held: i64,
    pub oldest: Uuid,
    pub next_at: Option<OffsetDateTime>,
}

impl Store {
    /// One message of a project.
    pub async fn message(&self, project: Uuid, id: Uuid) -> Result<Option<MessageHead>, StoreError> {
        let head = query_as!(
            MessageHead,
            "select id, reverse_path, header_from, subject, header_message_id, tags, metadata, priority, stream, send_at, expires_at, recipients, size
             from message where id = $1 and project_id = $2",
            id,
            project
        )
        .fetch_optional(self.pool())
        .limited(STATEMENT)
        .await?;
        Ok(head)
    }

    /// Messages of any project, in no order.
    pub async fn heads(&self, ids: &[Uuid]) -> Result<Vec<MessageHead>, StoreError> {
        let heads = query_as!(
            MessageHead,
            "select id, reverse_path, header_from, subject, header_message_id, tags, metadata, priority, stream, send_at, expires_at, recipients, size
             from message where id = any($1)",
            ids
        );
        heads.fetch_all(self.pool()).limited(STATEMENT).await
    }

    /// Messages of a project, newest first. Looks the newest messages through; a rare match far back takes a while.
    pub async fn messages(&self, project: Uuid, search: &MessageSearch, limit: i64) -> Result<Vec<MessageHead>, StoreError> {
        let heads = query_as!(
            MessageHead,
            "select m.id, reverse_path, header_from, subject, header_message_id, tags, metadata, priority, stream, send_at, expires_at, recipients, size
             from message m
             -- Events lie in partitions by their ids, and one is made by the clock of the node that worked, the message's by the clock of the node that
             -- accepted: an event can look older than its message. A day earlier is the least id to look from. It leaves out the partitions
             -- before, which makes this fast, and no event: a node whose clock is a day behind the others has no partition to write to.
             cross join lateral (
               select (lpad(to_hex(('x' || left(replace(m.id::text, '-', ''), 12))::bit(48)::bigint - 86400000), 12, '0') || repeat('0', 20))::uuid as id
             ) first
             where project_id = $1
               and ($2::uuid is null or m.id < $2)
               and ($3::uuid is null or m.id >= $3)
               and ($4::text is null or reverse_path = $4 or header_from = $4)
               and ($5::jsonb is null or tags @> $5)
               -- The recipient of a settled delivery is in its events, of an outstanding one in its row.
               and ($6::text is null or exists (select 1 from delivery d where d.message_id = m.id and d.recipient = $6)
                                     or exists (select 1 from event e where e.message_id = m.id and e.id >= first.id and e.recipient = $6))
               and ($7::smallint is null or exists (select 1 from event e where e.message_id = m.id and e.id >= first.id and e.kind = $7))
               and ($8::smallint is null or exists (select 1 from delivery d where d.message_id = m.id and sign(case d.owner when -2 then 0 else d.owner end) = $8))
               and (not $9::boolean or exists (select 1 from event e where e.message_id = m.id and e.id >= first.id and e.kind = 3
                                                and e.data ->> 'mx_host' = 'sandbox'))
             order by m.id desc limit $10",
            project,
            search.before_id,
            search.from_id,
            search.sender.as_deref(),
            search.tag.as_ref(),
            search.recipient.as_deref(),
            search.final_kind,
            search.outstanding,
            search.sandboxed,
            limit
        )
        .fetch_all(self.pool())
        .limited(PATIENT)
        .await?;
        Ok(heads)
    }

    /// The outstanding deliveries of some messages.
    pub async fn outstanding(&self, ids: &[Uuid]) -> Result<Vec<Outstanding>, StoreError> {
        let rows = query_as!(
            Outstanding,
            "select message_id, rcpt_no, owner, attempt, next_at, recipient from delivery where message_id = any($1) order by message_id, rcpt_no",
            ids
        )
        .fetch_all(self.pool())
        .limited(PATIENT)
        .await?;
        Ok(rows)
    }

    /// The content of a project's message.
    pub async fn content(&self, project: Uuid, id: Uuid) -> Result<Option<ContentRow>, StoreError> {
        Ok(self.contents(&[id]).await?.pop().filter(|row| row.project_id == project))
    }

    /// The sizes of messages in octets, before compression.
    pub async fn sizes(&self, ids: &[Uuid]) -> Result<Vec<(Uuid, i32)>, StoreError> {
        let rows = query!("select id, size from message where id = any($1)", ids).fetch_all(self.pool()).limited(STATEMENT).await?;
        Ok(rows.into_iter().map(|row| (row.id, row.size)).collect())
    }

    /// The contents of messages, in no order.
    pub async fn contents(&self, ids: &[Uuid]) -> Result<Vec<ContentRow>, StoreError> {
        let rows = query_as!(
            ContentRow,
            // The flag spares the look into the metadata, which few need.
            r#"select id, project_id, stream, domain_id, reverse_path, size, flags, encoding, content,
                      case when flags & 16 <> 0 then metadata -> 'dsn' end as "dsn: serde_json::Value"
               from message where id = any($1)"#,
            ids
        )
        .fetch_all(self.pool())
        .limited(STATEMENT)
        .await?;
        Ok(rows)
    }

    /// Which of these messages are there.
    pub async fn existing(&self, ids: &[Uuid]) -> Result<Vec<Uuid>, StoreError> {
        within(STATEMENT, query_scalar!("select id from message where id = any($1)", ids).fetch_all(self.pool())).await
    }

    /// The messages that took idempotency keys on some days. Of a key that was taken twice, the later first.
    pub async fn key_owners(&self, project: Uuid, key_hashes: &[Vec<u8>], days: &[time::Date]) -> Result<Vec<KeyOwner>, StoreError> {
        let owners = query_as!(
            KeyOwner,
            "select key_hash, message_id, request_hash, deliveries from idempotency where day = any($1) and project_id = $2 and key_hash = any($3)
             order by message_id desc",
            days,
            project,
            key_hashes
        );
        within(STATEMENT, owners.fetch_all(self.pool())).await
    }

    /// Outstanding work by recipient domain, most first.
    pub async fn queue(&self, project: Uuid, limit: i64) -> Result<Vec<LaneRow>, StoreError> {
        let rows = query_as!(
            LaneRow,
            r#"select substring(recipient from '[^@]*$') as "domain!", count(*) filter (where owner in (0, -2)) as "queued!",
                      count(*) filter (where owner > 0) as "active!", count(*) filter (where owner = -1) as "held!",
                      (min(message_id::text))::uuid as "oldest!", min(next_at) filter (where owner = 0) as next_at
               from delivery where project_id = $1 group by 1 order by count(*) desc, 1 limit $2"#,
            project,
            limit
        )
        .fetch_all(self.pool())
        .limited(PATIENT)
        .await?;
        Ok(rows)
    }
}
