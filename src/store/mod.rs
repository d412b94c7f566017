//! The database: the only place with SQL, one file per group of tables.
//!
//! Answers: how a connection is made and what is demanded of the server behind it, what a failure of the database means to a
//! caller, and the schema. A function that takes `&mut Tx` never commits.
//! Does not: know a rule. What may be written when is said by the rooms above.

mod connect;
pub mod embedded;
mod error;
mod migrate;

pub mod event;
pub mod message;
pub mod node;
pub mod outbox;
pub mod partition;

pub(crate) mod api_key;
pub(crate) mod domain;
pub(crate) mod project;

use std::sync::Arc;

use sqlx::PgPool;

pub use error::StoreError;

/// A transaction. Rolled back when dropped.
pub type Tx = sqlx::Transaction<'static, sqlx::Postgres>;

/// The database. Clones share one pool of connections.
#[derive(Clone, Debug)]
pub struct Store {
    pool: PgPool,
    last_day: Arc<partition::LastDay>,
}

impl Store {
    /// Connects to the server at `url` (`postgres://user@host/database`) with at most `max_connections` connections.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if no server answers, [`StoreError::ReadOnly`] for a standby, [`StoreError::Unfit`] for a
    /// server that would lose committed messages or is too old.
    pub async fn connect(url: &str, max_connections: u32) -> Result<Self, StoreError> {
        Ok(Self { pool: connect::pool(url, max_connections).await?, last_day: Arc::default() })
    }

    /// Brings the schema up to date; the number of migrations applied. Safe to call from many processes at once.
    pub async fn migrate(&self) -> Result<u32, StoreError> {
        migrate::run(&self.pool).await
    }

    /// The migrations that [`Store::migrate`] would apply, in order.
    pub async fn pending_migrations(&self) -> Result<Vec<String>, StoreError> {
        migrate::pending(&self.pool).await
    }

    /// Begins a transaction. Waits at most two seconds for a connection.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        Ok(self.pool.begin().await?)
    }

    /// Asks the server for a sign of life.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query_scalar!("select 1 as one").fetch_one(&self.pool).await?;
        Ok(())
    }

    /// Closes all connections and waits until they are.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    pub(in crate::store) const fn pool(&self) -> &PgPool {
        &self.pool
    }
}
