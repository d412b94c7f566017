//! Nodes: who is alive, on the database's clock (invariant 4).
//!
//! Answers: registers a process, confirms its heartbeat and tells the database's time, fences those whose heartbeat stopped.
//! Does not: free the deliveries of the dead; `store::outbox` does.

use std::time::Duration;

use sqlx::{query, query_scalar};
use time::OffsetDateTime;

use super::limit::{HEARTBEAT, Limited, PATIENT, STATEMENT, within};
use super::{Store, StoreError};

/// A fenced node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadNode {
    /// Its incarnation.
    pub incarnation: i64,
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
        let rows = query!("select incarnation, host from node").fetch_all(self.pool()).await?;
        Ok(rows.into_iter().map(|row| (row.incarnation, row.host)).collect())
    }

    /// Nodes that are not fenced.
    pub async fn live_nodes(&self) -> Result<i64, StoreError> {
        let row = query!(r#"select count(*) as "count!" from node where fenced_at is null"#).fetch_one(self.pool()).limited(STATEMENT).await?;
        Ok(row.count)
    }
}
