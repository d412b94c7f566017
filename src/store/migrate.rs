//! The schema: forward-only migrations, embedded in the program.
//!
//! Answers: which migrations wait, and applies them in one transaction, so that a crash leaves the old schema or the new one
//! (fault K12). Many processes may start it at once: a row lock lets one work while the others wait and then find nothing to do.
//! A row lock ends with its transaction and needs no session, so it holds behind a connection pooler and on servers without
//! advisory locks.
//! Does not: go back. A schema newer than the program is accepted, since migrations keep the previous release working.

use std::collections::HashSet;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{PgConnection, PgPool};

use super::StoreError;
use crate::failpoint::Failpoint;

static MIGRATIONS: Migrator = Migrator { locking: false, ignore_missing: true, ..sqlx::migrate!("./migrations") };

/// Two processes that create the lock table at the same moment can collide in the catalogue; the next try finds it there.
const LOCK_TABLE_TRIES: u8 = 5;

/// Applies what is pending; the number of migrations applied.
pub(super) async fn run(pool: &PgPool) -> Result<u32, StoreError> {
    make_lock(pool).await?;
    let mut tx = pool.begin().await?;
    sqlx::raw_sql("set local statement_timeout = 0; set local lock_timeout = '10min'; set local idle_in_transaction_session_timeout = 0")
        .execute(&mut *tx)
        .await?;
    sqlx::query("select id from migration_lock where id = 1 for update").execute(&mut *tx).await?;
    let waiting = names_pending(&mut tx).await?.len();
    MIGRATIONS.run(&mut *tx).await.map_err(from_migrate)?;
    Failpoint::MigrateApplied.reach();
    tx.commit().await?;
    Ok(u32::try_from(waiting).unwrap_or(u32::MAX))
}

/// The names of the migrations that [`run`] would apply, in order.
pub(super) async fn pending(pool: &PgPool) -> Result<Vec<String>, StoreError> {
    let mut connection = pool.acquire().await?;
    names_pending(&mut connection).await
}

async fn make_lock(pool: &PgPool) -> Result<(), StoreError> {
    let mut tried = 0;
    loop {
        // Asked first: `create table if not exists` needs the right to create even where nothing is to be done.
        if exists(pool, "migration_lock").await? {
            return Ok(());
        }
        tried += 1;
        let made = sqlx::raw_sql(
            "create table if not exists migration_lock (id smallint primary key check (id = 1));
             insert into migration_lock (id) values (1) on conflict do nothing;
             comment on table migration_lock is 'One row, locked by the process that brings the schema up to date.'",
        )
        .execute(pool)
        .await;
        match made {
            Ok(_) => {}
            Err(error) if tried < LOCK_TABLE_TRIES && collided(&error) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Read from the catalogue as it stands: `to_regclass` may answer from the session's memory, from before the wait for the lock.
async fn exists(executor: impl sqlx::PgExecutor<'_>, table: &str) -> Result<bool, StoreError> {
    let exists =
        sqlx::query_scalar!(r#"select exists (select from pg_class where relname = $1::text and pg_table_is_visible(oid)) as "exists!""#, table);
    Ok(exists.fetch_one(executor).await?)
}

/// 23505 from the catalogue, 42P07 and 42710: made by another meanwhile; XX000 "tuple concurrently updated": so was its comment.
fn collided(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .is_some_and(|code| matches!(code.as_ref(), "23505" | "42P07" | "42710" | "XX000"))
}

async fn names_pending(connection: &mut PgConnection) -> Result<Vec<String>, StoreError> {
    let applied: HashSet<i64> = if exists(&mut *connection, "_sqlx_migrations").await? {
        // Not a checked macro: the table is made by sqlx, not by a migration.
        sqlx::query_scalar("select version from _sqlx_migrations where success").fetch_all(connection).await?.into_iter().collect()
    } else {
        HashSet::new()
    };
    Ok(MIGRATIONS
        .iter()
        .filter(|migration| !applied.contains(&migration.version))
        .map(|migration| format!("{:04}_{}", migration.version, migration.description.replace(' ', "_")))
        .collect())
}

fn from_migrate(error: MigrateError) -> StoreError {
    match error {
        MigrateError::Execute(error) => error.into(),
        MigrateError::VersionMismatch(version) => StoreError::Corrupt(format!(
            "migration {version:04} was applied with another text than this program has; restore the program that applied it"
        )),
        other => StoreError::Database(Box::new(sqlx::Error::Migrate(Box::new(other)))),
    }
}
