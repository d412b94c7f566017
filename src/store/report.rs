//! What comes back about messages: which recipients a message had, and the events of what was reported.
//!
//! Answers: a message by its id or by the Message-ID it came with, locked while something is written about it, so that a report that comes twice
//! at once is told once. Does not: change a delivery; what is reported is about one that is over.

use sqlx::{query, query_as, query_scalar};
use uuid::Uuid;

use super::limit::{Limited, STATEMENT};
use super::{StoreError, Tx};

/// A recipient of a message.
#[derive(Debug)]
pub(crate) struct RecipientRow {
    pub(crate) rcpt_no: i16,
    pub(crate) recipient: String,
    /// It waits to be delivered, or is on its way.
    pub(crate) outstanding: bool,
    /// It is on its way: a node has it.
    pub(crate) active: bool,
}

/// What was reported about a recipient.
#[derive(Debug)]
pub(crate) struct ReportedRow {
    pub(crate) id: Uuid,
    pub(crate) rcpt_no: i16,
    pub(crate) kind: i16,
    pub(crate) recipient: String,
    pub(crate) data: serde_json::Value,
}

/// The project of a message, which is locked until the transaction ends; none: there is no such message any more.
pub(crate) async fn lock(tx: &mut Tx, message: Uuid) -> Result<Option<Uuid>, StoreError> {
    query_scalar!("select project_id from message where id = $1 for update", message).fetch_optional(&mut **tx).limited(STATEMENT).await
}

/// The newest message that came with this Message-ID.
pub(crate) async fn by_foreign_id(tx: &mut Tx, header: &str) -> Result<Option<Uuid>, StoreError> {
    // The second condition is that of the index.
    let found = query_scalar!(
        r"select id from message where header_message_id = $1 and header_message_id not like 'msg\_%' order by id desc limit 1",
        header
    );
    found.fetch_optional(&mut **tx).limited(STATEMENT).await
}

/// The recipients of a message.
pub(crate) async fn recipients(tx: &mut Tx, message: Uuid) -> Result<Vec<RecipientRow>, StoreError> {
    let rows = query_as!(
        RecipientRow,
        r#"select rcpt_no as "rcpt_no!", recipient as "recipient!", true as "outstanding!", owner > 0 as "active!" from delivery where message_id = $1
           union all
           select distinct on (e.rcpt_no) e.rcpt_no, e.recipient, false, false from event e
           where e.message_id = $1 and e.rcpt_no is not null and e.recipient is not null
             and not exists (select 1 from delivery d where d.message_id = $1 and d.rcpt_no = e.rcpt_no)
           order by 1"#,
        message
    )
    .fetch_all(&mut **tx)
    .limited(STATEMENT)
    .await?;
    Ok(rows)
}

/// Writes what was reported about a message that is locked, unless the same kind was reported of the recipient before; answers the places of the
/// recipients about whom it is new.
pub(crate) async fn insert(tx: &mut Tx, project: Uuid, message: Uuid, rows: &[ReportedRow]) -> Result<Vec<i16>, StoreError> {
    let written = query!(
        r#"insert into event (id, project_id, message_id, rcpt_no, kind, recipient, data)
           select r.id, $1, $2, r.rcpt_no, r.kind, r.recipient, r.data::json
           from unnest($3::uuid[], $4::smallint[], $5::smallint[], $6::text[], $7::jsonb[]) as r (id, rcpt_no, kind, recipient, data)
           where not exists (
             select 1 from event e where e.message_id = $2 and e.rcpt_no = r.rcpt_no and e.kind = r.kind and e.data ->> 'source' = 'report'
           )
           returning rcpt_no as "rcpt_no!""#,
        project,
        message,
        &rows.iter().map(|row| row.id).collect::<Vec<_>>(),
        &rows.iter().map(|row| row.rcpt_no).collect::<Vec<_>>(),
        &rows.iter().map(|row| row.kind).collect::<Vec<_>>(),
        &rows.iter().map(|row| row.recipient.clone()).collect::<Vec<_>>(),
        &rows.iter().map(|row| row.data.clone()).collect::<Vec<_>>()
    )
    .fetch_all(&mut **tx)
    .limited(STATEMENT)
    .await?;
    Ok(written.into_iter().map(|row| row.rcpt_no).collect())
}
