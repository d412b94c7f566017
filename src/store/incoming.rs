//! Messages from the world that are kept, and the events that tell of them.

use sqlx::{query, query_scalar};
use uuid::Uuid;

use super::limit::{Limited, STATEMENT};
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
