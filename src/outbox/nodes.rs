//! The nodes as an operator sees them, and their drain.
//!
//! Answers: which processes take part, what each holds, and whether it takes more. A drained node claims nothing and gives back what it has not
//! begun; sessions end, and its API goes on accepting: that mail waits for the others. A restart serves again.

use serde::Serialize;
use serde_json::json;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::Outbox;
use crate::model::{Actor, NodeId};
use crate::store::node::NodeRow;
use crate::store::{Store, StoreError, audit};

/// Whether a node takes work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// It does.
    Serving,
    /// It is to take none and still holds some.
    Draining,
    /// It takes none and holds none.
    Drained,
    /// Its heartbeat stopped: others take its work over.
    Silent,
}

/// A running process.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct NodeView {
    /// `nod_…`; another after each restart.
    #[schema(value_type = String, examples("nod_3f2a9c0d11e84b75"))]
    pub id: NodeId,
    /// Its host name.
    pub host: String,
    /// Whether it takes work.
    pub state: NodeState,
    /// When it started.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub started_at: OffsetDateTime,
    /// When it last said that it lives.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub heartbeat_at: OffsetDateTime,
    /// Deliveries it holds.
    pub claims: u64,
    /// When it was told to drain; null: it was not.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub drained_at: Option<OffsetDateTime>,
    /// Who told it to.
    pub drained_by: Option<String>,
}

impl Outbox {
    /// All nodes, oldest first.
    pub async fn nodes(&self) -> Result<Vec<NodeView>, StoreError> {
        Ok(self.store.nodes().await?.into_iter().map(view).collect())
    }

    /// Tells a node to take no work. None: there is no such node. Safe to repeat.
    pub async fn drain_node(&self, id: NodeId, actor: &Actor) -> Result<Option<NodeView>, StoreError> {
        let mut tx = self.store.begin().await?;
        if !Store::drain_node(&mut *tx, id.incarnation(), &actor.name, self.clock.now()).await? {
            return Ok(None);
        }
        audit::write(&mut *tx, &self.audit_line(None, actor, "node.drain", json!({ "node": id }))).await?;
        tx.commit().await.map_err(StoreError::from)?;
        tracing::warn!(node = %id, by = actor.name, "a node is to be drained");
        self.node(id).await
    }

    /// Lets a node take work again. None: there is no such node. Safe to repeat.
    pub async fn resume_node(&self, id: NodeId, actor: &Actor) -> Result<Option<NodeView>, StoreError> {
        let mut tx = self.store.begin().await?;
        if !Store::resume_node(&mut tx, id.incarnation()).await? {
            return Ok(None);
        }
        audit::write(&mut *tx, &self.audit_line(None, actor, "node.resume", json!({ "node": id }))).await?;
        tx.commit().await.map_err(StoreError::from)?;
        tracing::warn!(node = %id, by = actor.name, "a node takes work again");
        self.node(id).await
    }

    async fn node(&self, id: NodeId) -> Result<Option<NodeView>, StoreError> {
        Ok(self.nodes().await?.into_iter().find(|node| node.id == id))
    }
}

fn view(row: NodeRow) -> NodeView {
    let state = match (row.fenced, row.drained_at, row.claims) {
        (true, ..) => NodeState::Silent,
        (false, None, _) => NodeState::Serving,
        (false, Some(_), 0) => NodeState::Drained,
        (false, Some(_), _) => NodeState::Draining,
    };
    NodeView {
        id: NodeId::from_incarnation(row.incarnation),
        host: row.host,
        state,
        started_at: row.started_at,
        heartbeat_at: row.heartbeat_at,
        claims: u64::try_from(row.claims).unwrap_or(0),
        drained_at: row.drained_at,
        drained_by: row.drained_by,
    }
}
