//! The end of pauses: what was put aside for one goes on when it is over.
//!
//! Answers: within about a second of the end, and now and then in case that was missed, all that no pause covers any more waits as others do.
//! It is looked for in short steps, by a task of its own: however much was put aside, the heartbeat does not wait for it, and a database that does not
//! answer is asked again.
//! Does not: know pauses; one statement asks the database.

use std::sync::Arc;
use std::time::Duration;

use super::Node;
use crate::store::operator::{FIRST_PARKED, ParkedAfter};
use crate::store::{Store, StoreError};
use crate::supervisor::Supervisor;
use crate::telemetry::metrics;

/// Parked deliveries that one statement looks at.
const STEP: i64 = 2_000;
/// Before it is tried again when the database did not answer.
const AGAIN: Duration = Duration::from_secs(1);

impl Node {
    /// Frees what waits for pauses that are over, each time it is told to look, until the process drains.
    pub async fn unpark(self: Arc<Self>, supervisor: Supervisor) {
        let mut after = None;
        while !supervisor.is_draining() {
            if after.is_none() {
                tokio::select! {
                    () = self.unparking.notified() => {}
                    () = supervisor.draining() => break,
                }
            }
            after = match step(&self.store, after.unwrap_or(FIRST_PARKED)).await {
                Ok((freed, next)) => {
                    if freed > 0 {
                        self.claims.wake();
                    }
                    next
                }
                Err(error) => {
                    metrics::database_error(error.kind());
                    tracing::warn!(%error, "what waited for a pause could not be freed; trying again");
                    tokio::select! {
                        () = self.clock.sleep(AGAIN) => {}
                        () = supervisor.draining() => {}
                    }
                    Some(after.unwrap_or(FIRST_PARKED))
                }
            };
        }
    }
}

/// One step: how many were freed, and where to go on; none: all were looked at.
pub(super) async fn step(store: &Store, after: ParkedAfter) -> Result<(u64, Option<ParkedAfter>), StoreError> {
    let step = store.unpark(after, STEP).await?;
    Ok((u64::try_from(step.freed).unwrap_or(0), step.last.filter(|_| step.examined >= STEP)))
}
