//! Nodes: who is alive, on the database's clock (invariant 4).
//!
//! Answers: registers a process, confirms its heartbeat and tells the database's time, fences those whose heartbeat stopped.
//! Keeps what operators asked of a node. Does not: free the deliveries of the dead; `store::outbox` does.

use std::time::Duration;

use sqlx::{query, query_scalar};
use time::OffsetDateTime;

use super::limit::{HEARTBEAT, Limited, PATIENT, STATEMENT, within};
use super::{Store, StoreError, Tx};

/// A fenced node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadNode {
    /// Its incarnation.
    pub incarnation: i64,
}

/// A row of `node` with what it holds.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "a field of a row is the column of its name, described in migrations/")]
pub struct NodeRow {
    pub incarnation: i64,
    pub host: String,
    pub started_at: OffsetDateTime,
    pub heartbeat_at: OffsetDateTime,
    pub fenced: bool,
    pub drained_at: Option<OffsetDateTime>,
    pub drained_by: Option<String>,
    pub claims: i64,
}

impl Store {
    /// The database's time.
    pub async fn time(&self) -> Result<OffsetDateTime, StoreError> {
        query_scalar!(r#"select clock_timestamp() as "at!""#).fetch_one(self.pool()).limited(STATEMENT).await
    }

    /// Enters a new process. Answers the database's time.
    pub async fn register_node(&self, incarnation: i64, host: &str) -> Result<OffsetDateTime, StoreError> {
        // The clock's time, not the transaction's: a wait for a lock may lie between the two.
        let enter = query_scalar!(r#"insert into node (incarnation, host) values ($1, $2) returning clock_timestamp() as "at!""#, incarnation, host);
        within(HEARTBEAT, enter.fetch_one(self.pool())).await
    }

    /// Confirms that the process lives, and answers the database's time. None: it was fenced and must write nothing more.
    pub async fn heartbeat(&self, incarnation: i64) -> Result<Option<OffsetDateTime>, StoreError> {
        let beat = query_scalar!(
            r#"update node set heartbeat_at = now() where incarnation = $1 and fenced_at is null returning clock_timestamp() as "at!""#,
            incarnation
        );
        within(HEARTBEAT, beat.fetch_optional(self.pool())).await
    }

    /// Fences every other node whose heartbeat is older than `silence`, and answers all that are fenced.
    pub async fn fence_silent_nodes(&self, own: i64, silence: Duration) -> Result<Vec<DeadNode>, StoreError> {
        let fence = query!(
            "update node set fenced_at = now()
             where fenced_at is null and incarnation <> $1 and heartbeat_at < now() - make_interval(secs => $2)",
            own,
            silence.as_secs_f64()
        );
        within(STATEMENT, fence.execute(self.pool())).await?;
        let fenced = query!("select incarnation from node where fenced_at is not null and incarnation <> $1 order by incarnation", own);
        let rows = within(STATEMENT, fenced.fetch_all(self.pool())).await?;
        Ok(rows.into_iter().map(|row| DeadNode { incarnation: row.incarnation }).collect())
    }

    /// Removes a node unless it still owns deliveries. False: it does, or another node is freeing them just now.
    pub async fn remove_node(&self, incarnation: i64) -> Result<bool, StoreError> {
        let done = query!("delete from node where incarnation = $1 and not exists (select from delivery where owner = $1)", incarnation)
            .execute(self.pool())
            .limited(PATIENT)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Owners of deliveries that are no node: they wrote after they had been taken over and removed.
    pub async fn unknown_owners(&self) -> Result<Vec<i64>, StoreError> {
        // A node is entered before its first claim, so whoever sees a claim of a live node sees the node.
        let rows = query!("select distinct owner from delivery where owner > 0 and not exists (select from node where incarnation = owner)")
            .fetch_all(self.pool())
            .limited(PATIENT)
            .await?;
        Ok(rows.into_iter().map(|row| row.owner).collect())
    }

    /// The hosts of all nodes, by incarnation.
    pub async fn node_hosts(&self) -> Result<Vec<(i64, String)>, StoreError> {
        let rows = query!("select incarnation, host from node").fetch_all(self.pool()).limited(STATEMENT).await?;
        Ok(rows.into_iter().map(|row| (row.incarnation, row.host)).collect())
    }

    /// Nodes that are not fenced.
    pub async fn live_nodes(&self) -> Result<i64, StoreError> {
        let row = query!(r#"select count(*) as "count!" from node where fenced_at is null"#).fetch_one(self.pool()).limited(STATEMENT).await?;
        Ok(row.count)
    }

    /// Every node with the number of its claims. Reads all outstanding deliveries.
    pub async fn nodes(&self) -> Result<Vec<NodeRow>, StoreError> {
        let rows = sqlx::query_as!(
            NodeRow,
            r#"select incarnation, host, started_at, heartbeat_at, fenced_at is not null as "fenced!", drained_at, drained_by,
                      coalesce(held.claims, 0) as "claims!"
               from node left join (select owner, count(*) as claims from delivery where owner > 0 group by owner) held on held.owner = incarnation
               order by started_at, incarnation"#
        )
        .fetch_all(self.pool())
        .limited(PATIENT)
        .await?;
        Ok(rows)
    }

    /// True if an operator drained the node.
    pub async fn is_drained(&self, incarnation: i64) -> Result<bool, StoreError> {
        let drained = query_scalar!(r#"select drained_at is not null as "drained!" from node where incarnation = $1"#, incarnation);
        Ok(within(HEARTBEAT, drained.fetch_optional(self.pool())).await?.unwrap_or(false))
    }

    /// Asks a node to claim nothing. False: there is no such node.
    pub async fn drain_node<'e>(executor: impl sqlx::PgExecutor<'e>, incarnation: i64, by: &str, at: OffsetDateTime) -> Result<bool, StoreError> {
        let done = query!(
            "update node set drained_at = coalesce(drained_at, $3), drained_by = coalesce(drained_by, $2) where incarnation = $1",
            incarnation,
            by,
            at
        )
        .execute(executor)
        .limited(STATEMENT)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// As [`Store::drain_node`], by itself.
    pub async fn drain_again(&self, incarnation: i64, by: &str, at: OffsetDateTime) -> Result<bool, StoreError> {
        Self::drain_node(self.pool(), incarnation, by, at).await
    }

    /// Lets a node claim again. False: there is no such node.
    pub async fn resume_node(tx: &mut Tx, incarnation: i64) -> Result<bool, StoreError> {
        let done = query!("update node set drained_at = null, drained_by = null where incarnation = $1", incarnation)
            .execute(&mut **tx)
            .limited(STATEMENT)
            .await?;
        Ok(done.rows_affected() == 1)
    }
}
