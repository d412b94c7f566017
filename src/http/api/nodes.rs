//! `/v1/nodes`: the processes that take part, and their drain. `/v1/audit`: who changed what.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::AuditEntry;
use crate::http::Api;
use crate::http::extract::{Asked, Id, Manager, PageQuery};
use crate::http::problem::{Document, Problem};
use crate::model::NodeId;
use crate::outbox::NodeView;

/// The nodes.
#[derive(Serialize, ToSchema)]
pub struct NodeList {
    /// Oldest first.
    pub data: Vec<NodeView>,
    /// Always null: the list is whole.
    pub next_cursor: Option<String>,
}

/// A page of the audit trail.
#[derive(Serialize, ToSchema)]
pub struct AuditList {
    /// Newest first.
    pub data: Vec<AuditEntry>,
    /// Where the next page starts; null at the end.
    pub next_cursor: Option<String>,
}

/// List the nodes
///
/// For keys of the project `default`. Counts what each node holds, which reads all outstanding deliveries.
#[utoipa::path(get, path = "/v1/nodes", operation_id = "list_nodes", tag = "Nodes",
    responses((status = 200, description = "Every running process.", body = NodeList)))]
pub async fn list(State(api): State<Arc<Api>>, Manager(caller): Manager) -> Result<Json<NodeList>, Problem> {
    api.require_house(&caller)?;
    Ok(Json(NodeList { data: api.outbox.nodes().await?, next_cursor: None }))
}

/// Drain a node
///
/// It takes no more deliveries, gives back what it has not begun, and lets its sessions end. It goes on accepting mail, which the other nodes
/// deliver. For keys of the project `default`; safe to repeat.
#[utoipa::path(post, path = "/v1/nodes/{id}/drain", operation_id = "drain_node", tag = "Nodes",
    params(("id" = String, Path, description = "The node: `nod_...`")),
    responses(
        (status = 200, description = "The node.", body = NodeView),
        (status = 404, description = "No such node: `not-found`.", body = Document, content_type = "application/problem+json"),
    ))]
pub async fn drain(State(api): State<Arc<Api>>, Manager(caller): Manager, Id(id): Id<NodeId>) -> Result<Json<NodeView>, Problem> {
    api.require_house(&caller)?;
    api.outbox.drain_node(id, &caller.actor()).await?.map(Json).ok_or(Problem::NotFound)
}

/// Let a node take deliveries again
///
/// For keys of the project `default`; safe to repeat.
#[utoipa::path(post, path = "/v1/nodes/{id}/resume", operation_id = "resume_node", tag = "Nodes",
    params(("id" = String, Path, description = "The node: `nod_...`")),
    responses(
        (status = 200, description = "The node.", body = NodeView),
        (status = 404, description = "No such node: `not-found`.", body = Document, content_type = "application/problem+json"),
    ))]
pub async fn resume(State(api): State<Arc<Api>>, Manager(caller): Manager, Id(id): Id<NodeId>) -> Result<Json<NodeView>, Problem> {
    api.require_house(&caller)?;
    api.outbox.resume_node(id, &caller.actor()).await?.map(Json).ok_or(Problem::NotFound)
}

/// Read the audit trail
///
/// Newest first: who changed what in the project, by key or by the command line. Keys of the project `default` see what concerned the whole
/// house too.
#[utoipa::path(get, path = "/v1/audit", operation_id = "list_audit", tag = "Audit", params(PageQuery),
    responses((status = 200, description = "A page of the trail.", body = AuditList)))]
pub async fn audit(State(api): State<Arc<Api>>, Manager(caller): Manager, Asked(query): Asked<PageQuery>) -> Result<Json<AuditList>, Problem> {
    let page = api.audit.list(caller.project, caller.project == api.house, query.page()?).await?;
    Ok(Json(AuditList { data: page.data, next_cursor: page.next_cursor }))
}
