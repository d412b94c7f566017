//! Tasks with an owner: every task is counted, its panic is logged, and stopping waits for it.
//!
//! Answers: how work is started in the background and brought to an end. `drain` asks for an orderly end, `kill` for one at once.
//! Does not: restart what failed; an essential task that ends before it was asked to brings the whole process down in order.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Starts tasks and ends them. Clones share the tasks.
#[derive(Clone, Debug, Default)]
pub struct Supervisor {
    tracker: TaskTracker,
    drain: CancellationToken,
    kill: CancellationToken,
}

impl Supervisor {
    /// Runs `work` in the background. Its panic is logged and ends only this task.
    #[expect(clippy::disallowed_methods, reason = "this is the place that starts tasks")]
    pub fn spawn<F: Future<Output = ()> + Send + 'static>(&self, name: &'static str, work: F) {
        let kill = self.kill.clone();
        let guarded = AssertUnwindSafe(work).catch_unwind();
        self.tracker.spawn(async move {
            tokio::select! {
                ended = guarded => if ended.is_err() {
                    tracing::error!(task = name, "a task panicked; its work is taken up again by the rules for lost work");
                },
                () = kill.cancelled() => {}
            }
        });
    }

    /// Runs `work`, without which the process makes no sense: if it ends before a drain was asked for, one is.
    pub fn spawn_essential<F: Future<Output = ()> + Send + 'static>(&self, name: &'static str, work: F) {
        let drain = self.drain.clone();
        self.spawn(name, async move {
            let ended = AssertUnwindSafe(work).catch_unwind().await;
            if !drain.is_cancelled() {
                tracing::error!(task = name, panicked = ended.is_err(), "an essential task ended; stopping");
                drain.cancel();
            }
        });
    }

    /// Asks for an orderly end: no new work, open sessions finish.
    pub fn drain(&self) {
        self.drain.cancel();
    }

    /// Ends all tasks where they are.
    pub fn kill(&self) {
        self.drain.cancel();
        self.kill.cancel();
    }

    /// Ends when a drain was asked for.
    pub async fn draining(&self) {
        self.drain.cancelled().await;
    }

    /// True once a drain was asked for.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.drain.is_cancelled()
    }

    /// A token that is cancelled by the drain, for libraries that take one.
    #[must_use]
    pub fn drain_token(&self) -> CancellationToken {
        self.drain.clone()
    }

    /// Waits until every task has ended. Ask for a drain or a kill first.
    pub async fn ended(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
}
