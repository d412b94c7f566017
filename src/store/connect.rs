//! Connections: how they are made, and what is demanded of the server behind each of them.
//!
//! Answers: is this server one that keeps what it confirmed (invariant 1)? Asked of every new connection, since behind one name
//! another server can answer after a failover. And how long anybody waits for a server that does not answer.
//! Does not: choose between several servers; see [`super::hosts`].

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgSslMode};
use sqlx::{Connection, PgConnection, PgPool};

use super::StoreError;
use super::hosts::Hosts;
use super::limit::{PING, is_suspicious, within};

/// How long a caller waits for a connection, be it that all are in use or that no server answers (then 503, 451). The answer has to be there within
/// a second, and what waits behind a caller is refused together with it, so this is all the waiting there is.
const ACQUIRE_LIMIT: Duration = Duration::from_millis(700);
/// A connection idle for longer is asked for a sign of life before it is handed out.
const TRUSTED_IDLE: Duration = Duration::from_secs(2);
/// Idle connections are closed after this.
const IDLE_LIMIT: Duration = Duration::from_mins(5);
/// Connections are renewed after this, so that memory of server processes does not grow without end.
const LIFETIME: Duration = Duration::from_mins(30);
/// The first release with all that the statements use, as `server_version_num` writes it.
const OLDEST_SERVER: i32 = 140_000;

/// Opens a pool on the first of the servers that is fit.
pub(super) async fn pool(hosts: &Arc<Hosts>, max_connections: u32) -> Result<PgPool, StoreError> {
    // By itself first: inside the pool a refusal would be repeated until the time limit, and its reason lost.
    let options = hosts.choose().await?;
    let books = Arc::clone(hosts);
    Ok(PgPoolOptions::new()
        .max_connections(max_connections.max(1))
        .acquire_timeout(ACQUIRE_LIMIT)
        .idle_timeout(IDLE_LIMIT)
        .max_lifetime(LIFETIME)
        .test_before_acquire(false)
        .before_acquire(move |connection, meta| {
            let outdated = books.is_outdated(meta.age);
            async move {
                if outdated {
                    return Ok(false);
                }
                if meta.idle_for > TRUSTED_IDLE {
                    connection.ping().await?;
                }
                Ok(true)
            }
            .boxed()
        })
        // The pool asks for a sign of life itself when it gets a connection back, and would wait for it as long as the kernel does: a connection
        // whose server vanished without a word, or whose statement was broken off, would take a place for a quarter of an hour. One question more
        // for each would be felt, so it is asked only while something is wrong.
        .after_release(|connection, _| {
            async move {
                if is_suspicious() {
                    within(PING, connection.ping()).await.map_err(into_sqlx)?;
                }
                Ok(true)
            }
            .boxed()
        })
        .after_connect(|connection, _| prepare(connection).map(|result| result.map_err(into_sqlx)).boxed())
        .connect_lazy_with(options))
}

fn into_sqlx(error: StoreError) -> sqlx::Error {
    sqlx::Error::Configuration(Box::new(error))
}

/// Reads a URL. A unix socket needs no TLS, whatever PGSSLMODE in the environment says.
pub(super) fn options(url: &str) -> Result<PgConnectOptions, sqlx::Error> {
    let options: PgConnectOptions = url.parse()?;
    let name = options.get_application_name().unwrap_or("pennypost").to_owned();
    let local = options.get_socket().is_some() || options.get_host().starts_with('/');
    let options = if local { options.ssl_mode(PgSslMode::Disable) } else { options };
    Ok(options.application_name(&name))
}

/// Sets the limits of a new connection and refuses a server that is not fit.
pub(super) async fn prepare(connection: &mut PgConnection) -> Result<(), StoreError> {
    let server = sqlx::query!(
        r#"select current_setting('server_version_num')::int as "version!", pg_is_in_recovery() as "standby!",
                  current_setting('fsync') as "fsync!",
                  -- remote_apply and remote_write are an operator's choice; off and local forget what we confirmed
                  case when current_setting('synchronous_commit') in ('off', 'local') then set_config('synchronous_commit', 'on', false) end,
                  set_config('statement_timeout', '30s', false) as statement, set_config('lock_timeout', '10s', false) as lock,
                  set_config('idle_in_transaction_session_timeout', '60s', false) as idle,
                  -- compiling a plan takes longer than any statement of ours runs
                  set_config('jit', 'off', false) as jit,
                  -- so that the server ends the sessions of a client that vanished; a unix socket ignores these
                  set_config('tcp_keepalives_idle', '10', false) as keepalive, set_config('tcp_keepalives_interval', '5', false) as interval,
                  set_config('tcp_keepalives_count', '3', false) as count"#
    )
    .fetch_one(&mut *connection)
    .await?;
    fitness(server.standby, server.version, &server.fsync)
}

/// Refuses a server that cannot write, is too old, or forgets in a crash what it confirmed.
fn fitness(standby: bool, version: i32, fsync: &str) -> Result<(), StoreError> {
    if standby {
        return Err(StoreError::ReadOnly);
    }
    if version < OLDEST_SERVER {
        return Err(StoreError::Unfit(format!("it is PostgreSQL {}; 14 or newer is needed", version / 10_000)));
    }
    if fsync != "on" {
        return Err(StoreError::Unfit("fsync is off: a crash would lose accepted messages; set fsync = on".to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_primary_that_keeps_what_it_confirmed_is_taken() {
        assert!(fitness(false, 140_000, "on").is_ok());
        assert!(matches!(fitness(true, 150_018, "on"), Err(StoreError::ReadOnly)));
        assert!(matches!(fitness(false, 139_999, "on"), Err(StoreError::Unfit(text)) if text.contains("PostgreSQL 13")));
        assert!(matches!(fitness(false, 150_018, "off"), Err(StoreError::Unfit(text)) if text.contains("fsync")));
    }
}
