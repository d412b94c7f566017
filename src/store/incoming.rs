//! Messages from the world that are kept, and the events that tell of them.

use sqlx::{query, query_as, query_scalar};
use uuid::Uuid;

use super::limit::{Limited, PATIENT, STATEMENT};
use super::{Store, StoreError, Tx};

/// A row of `incoming_content`.
#[derive(Clone, Debug)]
pub(crate) struct ContentRow {
    pub(crate) id: Uuid,
    pub(crate) project_id: Uuid,
    pub(crate) size: i32,
    pub(crate) encoding: i16,
    pub(crate) content: Vec<u8>,
}

/// A row of `incoming`.
#[derive(Clone, Debug)]
pub(crate) struct IncomingRow {
    pub(crate) id: Uuid,
    pub(crate) project_id: Uuid,
    pub(crate) content_id: Uuid,
    pub(crate) route_id: Option<Uuid>,
    pub(crate) recipient: String,
    pub(crate) reverse_path: String,
    pub(crate) header_from: String,
    pub(crate) subject: String,
    pub(crate) header_message_id: Option<String>,
    pub(crate) peer: String,
    pub(crate) helo: String,
    pub(crate) tls: Option<String>,
    pub(crate) authentication: serde_json::Value,
    pub(crate) trace: String,
}

/// An event that tells of it.
#[derive(Clone, Debug)]
pub(crate) struct IncomingEventRow {
    pub(crate) id: Uuid,
    pub(crate) project_id: Uuid,
    pub(crate) kind: i16,
    pub(crate) recipient: String,
    pub(crate) data: serde_json::Value,
}

/// Writes content. Commits nothing.
pub(crate) async fn insert_content(tx: &mut Tx, row: &ContentRow) -> Result<(), StoreError> {
    query!(
        "insert into incoming_content (id, project_id, size, encoding, content) values ($1, $2, $3, $4, $5)",
        row.id,
        row.project_id,
        row.size,
        row.encoding,
        row.content
    )
    .execute(&mut **tx)
    .limited(STATEMENT)
    .await?;
    Ok(())
}

/// Writes a message at one address. Commits nothing.
pub(crate) async fn insert(tx: &mut Tx, row: &IncomingRow) -> Result<(), StoreError> {
    query!(
        "insert into incoming (id, project_id, content_id, route_id, recipient, reverse_path, header_from, subject, header_message_id, peer, helo, tls,
                               authentication, trace)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        row.id,
        row.project_id,
        row.content_id,
        row.route_id,
        row.recipient,
        row.reverse_path,
        row.header_from,
        row.subject,
        row.header_message_id,
        row.peer,
        row.helo,
        row.tls,
        row.authentication,
        row.trace
    )
    .execute(&mut **tx)
    .limited(STATEMENT)
    .await?;
    Ok(())
}

/// Writes the event that tells of a message from the world. Commits nothing.
pub(crate) async fn tell(tx: &mut Tx, row: &IncomingEventRow) -> Result<(), StoreError> {
    query!(
        "insert into event (id, project_id, kind, recipient, data) values ($1, $2, $3, $4, $5::text::json)",
        row.id,
        row.project_id,
        row.kind,
        row.recipient,
        row.data.to_string()
    )
    .execute(&mut **tx)
    .limited(STATEMENT)
    .await?;
    Ok(())
}

/// Octets of content that a project keeps.
pub(crate) async fn octets(store: &Store, project: Uuid) -> Result<i64, StoreError> {
    query_scalar!(r#"select coalesce(sum(size), 0) as "octets!" from incoming_content where project_id = $1"#, project)
        .fetch_one(store.pool())
        .limited(STATEMENT)
        .await
}

/// A row of `incoming` as it is read, with the size of its content.
#[derive(Clone, Debug)]
pub(crate) struct KeptRow {
    pub(crate) id: Uuid,
    pub(crate) route_id: Option<Uuid>,
    pub(crate) recipient: String,
    pub(crate) reverse_path: String,
    pub(crate) header_from: String,
    pub(crate) subject: String,
    pub(crate) header_message_id: Option<String>,
    pub(crate) peer: String,
    pub(crate) helo: String,
    pub(crate) tls: Option<String>,
    pub(crate) authentication: serde_json::Value,
    pub(crate) trace: String,
    pub(crate) size: i32,
}

/// Content as it is kept.
#[derive(Clone, Debug)]
pub(crate) struct PackedRow {
    pub(crate) encoding: i16,
    pub(crate) content: Vec<u8>,
}

/// Messages of a project, newest first.
pub(crate) async fn list(
    store: &Store,
    project: Uuid,
    recipient: Option<&str>,
    route: Option<Uuid>,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<KeptRow>, StoreError> {
    let rows = query_as!(
        KeptRow,
        "select i.id, i.route_id, i.recipient, i.reverse_path, i.header_from, i.subject, i.header_message_id, i.peer, i.helo, i.tls,
                i.authentication, i.trace, c.size
         from incoming i join incoming_content c on c.id = i.content_id
         where i.project_id = $1 and ($2::text is null or lower(i.recipient) = lower($2)) and ($3::uuid is null or i.route_id = $3)
           and ($4::uuid is null or i.id < $4)
         order by i.id desc limit $5",
        project,
        recipient,
        route,
        before,
        limit
    )
    .fetch_all(store.pool())
    .limited(PATIENT)
    .await?;
    Ok(rows)
}

/// One message with its content, of a project or of any.
pub(crate) async fn get(store: &Store, project: Option<Uuid>, id: Uuid) -> Result<Option<(KeptRow, PackedRow)>, StoreError> {
    let row = query_as!(
        KeptRow,
        "select i.id, i.route_id, i.recipient, i.reverse_path, i.header_from, i.subject, i.header_message_id, i.peer, i.helo, i.tls,
                i.authentication, i.trace, c.size
         from incoming i join incoming_content c on c.id = i.content_id
         where i.id = $2 and ($1::uuid is null or i.project_id = $1)",
        project,
        id
    )
    .fetch_optional(store.pool())
    .limited(PATIENT)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let packed =
        query_as!(PackedRow, "select c.encoding, c.content from incoming i join incoming_content c on c.id = i.content_id where i.id = $1", id)
            .fetch_optional(store.pool())
            .limited(PATIENT)
            .await?;
    Ok(packed.map(|packed| (row, packed)))
}

/// Deletes a message of a project, and its content if no other address has it; false if there is none. Commits nothing.
pub(crate) async fn remove(tx: &mut Tx, project: Uuid, id: Uuid) -> Result<bool, StoreError> {
    let content = query_scalar!("delete from incoming where project_id = $1 and id = $2 returning content_id", project, id)
        .fetch_optional(&mut **tx)
        .limited(STATEMENT)
        .await?;
    let Some(content) = content else { return Ok(false) };
    // Two that delete the last two at once both leave it; `remove_orphans` finds it.
    query!("delete from incoming_content c where c.id = $1 and not exists (select from incoming i where i.content_id = c.id)", content)
        .execute(&mut **tx)
        .limited(STATEMENT)
        .await?;
    Ok(true)
}

/// Deletes messages older than the time that `first_kept` carries; answers how many.
pub(crate) async fn remove_before(store: &Store, first_kept: Uuid, limit: i64) -> Result<u64, StoreError> {
    let done = query!("delete from incoming where id in (select id from incoming where id < $1 order by id limit $2)", first_kept, limit)
        .execute(store.pool())
        .limited(PATIENT)
        .await?;
    Ok(done.rows_affected())
}

/// Deletes content that no message has any more, made before the time that `before` carries.
pub(crate) async fn remove_orphans(store: &Store, before: Uuid, limit: i64) -> Result<u64, StoreError> {
    let done = query!(
        "delete from incoming_content where id in
            (select c.id from incoming_content c where c.id < $1 and not exists (select from incoming i where i.content_id = c.id) limit $2)",
        before,
        limit
    )
    .execute(store.pool())
    .limited(PATIENT)
    .await?;
    Ok(done.rows_affected())
}
