//! Obeying operators: what is paused, or what a drained node has not begun, goes back to the database.
//!
//! Answers: within about a second of an order nothing that it covers begins here. Does not: end a transaction under way.

use std::sync::Arc;
use std::time::Duration;

use super::engine::Engine;
use super::site::Job;

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

    fn take_stopped(&self) -> Vec<Job> {
        let orders = self.parts.claims.orders();
        self.sites().iter().flat_map(|site| site.take_where(|job| orders.stop(job.message.project, &site.domain))).collect()
    }
}
