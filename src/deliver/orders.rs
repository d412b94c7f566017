//! Obeying operators: what is paused, or what a drained node has not begun, goes back to the database.
//!
//! Answers: within about a second of an order nothing that it covers begins here. Does not: end a transaction under way.

use std::sync::Arc;
use std::time::Duration;

use super::engine::Engine;
use super::job::Job;

/// How often the queues are looked through while there is an order.
const LOOK: Duration = Duration::from_secs(1);

impl Engine {
    /// Looks through the queues of all sites once a second until the drain of the process.
    pub(super) async fn obey(self: Arc<Self>) {
        while !self.is_draining() {
            if self.parts.claims.orders().any() {
                let stopped = self.take_stopped();
                self.give_back(stopped, self.parts.clock.tick()).await;
            }
            tokio::select! {
                () = self.parts.clock.sleep(LOOK) => {}
                () = self.draining() => {}
            }
        }
    }

    /// True if an operator does not want a job to begin here now.
    pub(super) fn is_stopped(&self, job: &Job) -> bool {
        self.parts.claims.orders().stop(job.message.project, &job.domain)
    }

    fn take_stopped(&self) -> Vec<Job> {
        let sites: Vec<_> = self.sites.lock().by_name.values().cloned().collect();
        sites.iter().flat_map(|site| site.take_where(|job| self.is_stopped(job))).collect()
    }
}
