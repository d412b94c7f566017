//! The database: the only place with SQL, one file per group of tables.
//!
//! Answers: how a connection is made and what is demanded of the server behind it, what a failure of the database means to a
//! caller, and the schema. A function that takes `&mut Tx` never commits.
//! Does not: know a rule. What may be written when is said by the rooms above.

mod connect;
pub mod embedded;
mod error;
mod hosts;
mod limit;
mod migrate;

pub mod audit;
pub mod egress;
pub mod event;
pub mod health;
pub mod message;
pub mod node;
pub mod operator;
pub mod outbox;
pub mod partition;
pub mod pause;
pub mod site;

pub(crate) mod api_key;
pub(crate) mod certificate;
pub(crate) mod consent;
pub(crate) mod consumer;
pub(crate) mod domain;
pub(crate) mod forwarded;
pub(crate) mod incoming;
pub(crate) mod incoming_report;
pub(crate) mod notice;
pub(crate) mod project;
pub(crate) mod report;
pub(crate) mod route;
pub(crate) mod smtp_user;
pub(crate) mod suppression;
pub(crate) mod tls;
pub(crate) mod webhook;
pub(crate) mod webhook_message;

use std::sync::Arc;

use sqlx::PgPool;

pub use error::StoreError;
use limit::{Limited, STATEMENT, within};

/// A transaction. Rolled back when dropped.
pub type Tx = sqlx::Transaction<'static, sqlx::Postgres>;

/// The database. Clones share one pool of connections.
#[derive(Clone, Debug)]
pub struct Store {
    pool: PgPool,
    hosts: Arc<hosts::Hosts>,
    last_day: Arc<partition::LastDay>,
}

impl Store {
    /// Connects to the server at `url` (`postgres://user@host/database`) with at most `max_connections` connections. With several hosts
    /// (`postgres://user@a:5432,b:5432/database`) the first that can be written to is taken, see [`Store::find_primary`].
    ///
    /// # Errors
    /// [`StoreError::Url`] for a URL that cannot be read, [`StoreError::Unavailable`] if no server answers, [`StoreError::ReadOnly`] for a standby, [`StoreError::Unfit`] for a
    /// server that would lose committed messages or is too old.
    pub async fn connect(url: &str, max_connections: u32) -> Result<Self, StoreError> {
        let hosts = Arc::new(hosts::Hosts::read(url)?);
        Ok(Self { pool: connect::pool(&hosts, max_connections).await?, hosts, last_day: Arc::default() })
    }

    /// Looks for the server to write to, after one failed with `error`: asks the hosts of the URL in order and goes on with the first that is no
    /// standby. Connections to another, or to one that lost its role, are not used again.
    pub async fn find_primary(&self, error: &StoreError) {
        if let Some(options) = self.hosts.choose_after(error).await {
            self.pool.set_connect_options(options);
        }
    }

    /// Brings the schema up to date; the number of migrations applied. Safe to call from many processes at once.
    pub async fn migrate(&self) -> Result<u32, StoreError> {
        migrate::run(&self.pool).await
    }

    /// The migrations that [`Store::migrate`] would apply, in order.
    pub async fn pending_migrations(&self) -> Result<Vec<String>, StoreError> {
        migrate::pending(&self.pool).await
    }

    /// Begins a transaction. Waits less than a second for a connection.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        within(STATEMENT, self.pool.begin()).await
    }

    /// Commits. An error leaves the outcome unknown.
    pub async fn commit(tx: Tx) -> Result<(), StoreError> {
        within(STATEMENT, tx.commit()).await
    }

    /// Asks the server for a sign of life.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query_scalar!("select 1 as one").fetch_one(&self.pool).limited(STATEMENT).await?;
        Ok(())
    }

    /// Closes all connections and waits until they are, but not for a server that does not answer.
    pub async fn close(&self) {
        let closing = async {
            self.pool.close().await;
            Ok::<(), StoreError>(())
        };
        if let Err(error) = within(STATEMENT, closing).await {
            tracing::warn!(%error, "connections to the database were left open");
        }
    }

    pub(in crate::store) const fn pool(&self) -> &PgPool {
        &self.pool
    }
}

/// A database for each test, on one private server for each test process.
#[cfg(test)]
pub(crate) mod test_database {
    use nix::sys::signal::kill;
    use nix::unistd::Pid;
    use sqlx::{AssertSqlSafe, Connection, PgConnection};
    use tokio::sync::OnceCell;

    use super::Store;
    use super::embedded::PrivatePostgres;
    use crate::clock::Clock;

    const PREFIX: &str = "pennypost-test-";
    const CONNECTIONS: u32 = 6;

    /// An empty database with the whole schema.
    pub(crate) async fn fresh() -> Store {
        let store = Store::connect(&empty_url().await, CONNECTIONS).await.unwrap();
        store.migrate().await.unwrap();
        store
    }

    /// The URL of a database without any table.
    pub(crate) async fn empty_url() -> String {
        static SERVER: OnceCell<PrivatePostgres> = OnceCell::const_new();
        let server = SERVER.get_or_init(start).await;
        let name = format!("t_{}", Clock::system().uuid().simple());
        let mut connection = PgConnection::connect(server.url()).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(format!("create database {name}"))).execute(&mut connection).await.unwrap();
        format!("{}/{name}", server.url().rsplit_once('/').unwrap().0)
    }

    /// Runs a statement that no code of ours runs.
    pub(crate) async fn run(store: &Store, statement: &'static str) {
        sqlx::raw_sql(statement).execute(store.pool()).await.unwrap();
    }

    /// The server ends with the process; its directory is removed by a later run.
    async fn start() -> PrivatePostgres {
        let directory = std::env::temp_dir();
        for entry in std::fs::read_dir(&directory).unwrap().flatten() {
            let pid = entry.file_name().to_str().and_then(|name| name.strip_prefix(PREFIX)).and_then(|pid| pid.parse().ok());
            if pid.is_some_and(|pid| kill(Pid::from_raw(pid), None).is_err()) {
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
        let data_dir = directory.join(format!("{PREFIX}{}", std::process::id()));
        PrivatePostgres::start(&data_dir, std::path::Path::new(""), &Clock::system()).await.unwrap()
    }
}

#[cfg(test)]
mod tests {
    use sqlx::{AssertSqlSafe, Connection, PgConnection};

    use super::*;
    use crate::clock::Clock;

    async fn run(url: &str, statement: String) {
        let mut connection = PgConnection::connect(url).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
    }

    #[tokio::test]
    async fn many_processes_migrate_at_once_and_each_migration_is_applied_once() {
        let url = test_database::empty_url().await;
        let stores = futures_util::future::join_all((0..6).map(|_| Store::connect(&url, 2))).await;
        let stores: Vec<Store> = stores.into_iter().map(Result::unwrap).collect();
        let pending = stores[0].pending_migrations().await.unwrap();
        assert_eq!(pending.first().map(String::as_str), Some("0001_projects_keys_domains"));

        let applied = futures_util::future::join_all(stores.iter().map(Store::migrate)).await;
        let mut applied: Vec<u32> = applied.into_iter().map(Result::unwrap).collect();
        applied.sort_unstable();
        let all = u32::try_from(pending.len()).unwrap();
        assert_eq!(applied, [0, 0, 0, 0, 0, all], "one did the work, the others waited for it");
        assert!(stores[0].pending_migrations().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_migration_changed_after_it_was_applied_is_refused() {
        let url = test_database::empty_url().await;
        let store = Store::connect(&url, 2).await.unwrap();
        store.migrate().await.unwrap();
        run(&url, "update _sqlx_migrations set checksum = '\\x00' where version = 1".to_owned()).await;
        assert!(matches!(store.migrate().await, Err(StoreError::Corrupt(text)) if text.contains("0001")));
    }

    #[tokio::test]
    async fn a_schema_newer_than_the_program_is_accepted() {
        let url = test_database::empty_url().await;
        let store = Store::connect(&url, 2).await.unwrap();
        store.migrate().await.unwrap();
        run(&url, "insert into _sqlx_migrations select 9999, 'later', now(), true, checksum, 0 from _sqlx_migrations where version = 1".to_owned())
            .await;
        assert_eq!(store.migrate().await.unwrap(), 0);
    }

    #[tokio::test]
    async fn connections_confirm_only_what_is_on_disk() {
        let url = test_database::empty_url().await;
        let name = url.rsplit('/').next().unwrap().to_owned();
        run(&url, format!("alter database {name} set synchronous_commit = off")).await;
        let store = Store::connect(&url, 2).await.unwrap();
        let mut tx = store.begin().await.unwrap();
        let found: String = sqlx::query_scalar("select current_setting('synchronous_commit')").fetch_one(&mut *tx).await.unwrap();
        assert_eq!(found, "on");
    }

    #[tokio::test]
    async fn a_full_pool_is_told_in_time() {
        let store = Store::connect(&test_database::empty_url().await, 1).await.unwrap();
        let held = store.begin().await.unwrap();
        let (clock, error) = (Clock::system(), store.ping());
        let asked = clock.tick();
        let error = error.await.unwrap_err();
        assert!(clock.tick().since(asked) < std::time::Duration::from_secs(2));
        assert!(matches!(error, StoreError::Unavailable(_)) && error.is_transient(), "{error}");
        drop(held);
        store.ping().await.unwrap();
    }

    #[tokio::test]
    async fn a_connection_cut_by_the_server_is_replaced() {
        let url = test_database::empty_url().await;
        let store = Store::connect(&url, 1).await.unwrap();
        let mut tx = store.begin().await.unwrap();
        let pid: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut *tx).await.unwrap();
        run(&url, format!("select pg_terminate_backend({pid}, 5000)")).await;
        let error: StoreError = sqlx::query("select 1").execute(&mut *tx).await.unwrap_err().into();
        assert!(matches!(error, StoreError::Unavailable(_)) && error.is_transient(), "{error}");
        drop(tx);
        store.ping().await.unwrap();
    }

    #[tokio::test]
    async fn failures_are_told_apart_by_their_code() {
        let store = test_database::fresh().await;
        for (code, matches) in [
            ("53100", (|error| matches!(error, StoreError::Full)) as fn(&StoreError) -> bool),
            ("53300", |error| matches!(error, StoreError::Unavailable(_)) && error.is_transient()),
            ("57P01", |error| matches!(error, StoreError::Unavailable(_)) && error.is_transient()),
            ("57P03", |error| matches!(error, StoreError::Unavailable(_))),
            ("08006", |error| matches!(error, StoreError::Unavailable(_))),
            ("25006", |error| matches!(error, StoreError::ReadOnly) && error.is_transient()),
            ("40001", |error| matches!(error, StoreError::Database(_)) && error.is_transient()),
            ("40P01", |error| matches!(error, StoreError::Database(_)) && error.is_transient()),
            ("XX001", |error| matches!(error, StoreError::Corrupt(_)) && !error.is_transient()),
            ("22012", |error| matches!(error, StoreError::Database(_)) && !error.is_transient()),
        ] {
            let statement = format!("do $$ begin raise exception 'test' using errcode = '{code}'; end $$");
            let error: StoreError = sqlx::raw_sql(AssertSqlSafe(statement)).execute(store.pool()).await.unwrap_err().into();
            assert!(matches(&error), "{code}: {error:?}");
        }
        let twice = "insert into project (id, name) select gen_random_uuid(), 'twice' from generate_series(1, 2)";
        let error: StoreError = sqlx::raw_sql(twice).execute(store.pool()).await.unwrap_err().into();
        assert!(error.is_conflict_on("project_name_key"), "{error:?}");
    }

    #[tokio::test]
    async fn no_server_is_told_at_once() {
        let error = Store::connect("postgres://nobody@%2Fnonexistent/x", 1).await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    }
}
