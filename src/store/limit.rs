//! How long a statement may take, seen from here.
//!
//! Answers: an error in time, when the server vanished without a word (its machine lost power, a firewall forgot the connection). TCP then says
//! nothing for a quarter of an hour, and the server's own limit (`statement_timeout`) is of no use, since its answer does not arrive.
//! A statement that is given up may have been done: its outcome is unknown, and whoever asked looks it up.
//! Does not: follow the clock that tests move: what is measured here is another machine.

use std::time::Duration;

use parking_lot::Mutex;

use super::StoreError;
use crate::clock::{Clock, Tick};

/// For a statement on the way of a message: accept, claim, settle, and what they read. Many times what a slow disk takes; under the server's limit.
pub(super) const STATEMENT: Duration = Duration::from_secs(5);
/// For every other statement: more than the server's own limit, so that a server that is there says so itself.
pub(super) const PATIENT: Duration = Duration::from_secs(35);
/// For the heartbeat: it has to be tried again well before others hold this node for dead.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(2);
/// For a sign of life of a connection that comes back to the pool.
pub(super) const PING: Duration = Duration::from_secs(2);

/// How long after a call was broken off connections that come back are looked at.
const SUSPICION: Duration = Duration::from_mins(1);
/// When a call was broken off last, of all pools of this process.
static BROKEN_OFF: Mutex<Option<Tick>> = Mutex::new(None);

/// True if a call was broken off lately: a connection that comes back to the pool may be the one, or have lost the same server.
pub(super) fn is_suspicious() -> bool {
    BROKEN_OFF.lock().is_some_and(|at| Clock::system().tick().since(at) < SUSPICION)
}

/// A statement with a time limit.
pub(super) trait Limited<T>: Future<Output = Result<T, sqlx::Error>> + Send + Sized {
    /// As [`within`].
    fn limited(self, limit: Duration) -> impl Future<Output = Result<T, StoreError>> + Send {
        within(limit, self)
    }
}

impl<T, F: Future<Output = Result<T, sqlx::Error>> + Send> Limited<T> for F {}

/// Runs a call to the database for at most `limit` of real time. What is broken off is not used again: see the pool's `after_release`.
///
/// # Errors
/// The call's own, or [`StoreError::Unavailable`] when the time is over.
pub(super) async fn within<T, E: Into<StoreError>>(limit: Duration, call: impl Future<Output = Result<T, E>>) -> Result<T, StoreError> {
    if let Ok(result) = Clock::system().timeout(limit, call).await {
        result.map_err(Into::into)
    } else {
        *BROKEN_OFF.lock() = Some(Clock::system().tick());
        Err(StoreError::Unavailable(format!("no answer within {} s", limit.as_secs())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_call_that_is_not_answered_ends_as_unavailable() {
        let never = std::future::pending::<Result<(), StoreError>>();
        let error = within(Duration::from_millis(1), never).await.unwrap_err();
        assert!(matches!(&error, StoreError::Unavailable(_)) && error.is_transient(), "{error}");
        assert!(is_suspicious(), "connections that come back are looked at now");
        assert!(within(Duration::from_secs(5), std::future::ready(Ok::<_, StoreError>(7))).await.is_ok_and(|seven| seven == 7));
    }
}
