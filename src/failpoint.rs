//! Failpoints: named steps at which a test lets this process die as by `kill -9`.
//!
//! Answers: at which steps of a message's way a death is tried out (faults K1 to K8, K12, K15). A process that was started with
//! `PENNYPOST_FAILPOINT=settle.gathered:3` kills itself when it gets there for the third time; one step a process, no other effect.
//! Does not: exist in a shipped program. [`Failpoint::reach`] is empty unless the feature `failpoints` is on, which only tests ask
//! for, and debug assertions are too, which no release has.

/// A step at which the process can be told to die.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failpoint {
    /// Accept: a group of messages was taken from the queue; nothing is written.
    AcceptGathered,
    /// Accept: keys and messages are written; the transaction is not committed.
    AcceptWritten,
    /// Accept: committed; nobody was answered.
    AcceptCommitted,
    /// Accept: the requests were answered; the engine does not know of the messages.
    AcceptAnswered,
    /// Claim: the database says that the deliveries are ours; memory does not know it.
    ClaimMade,
    /// Claim: loaded; not handed to the engine.
    ClaimLoaded,
    /// Attempt: a worker has taken the job; no connection.
    AttemptBegun,
    /// Attempt: a session is open; nothing of the message was sent.
    AttemptConnected,
    /// Attempt: the host waits for the content.
    AttemptGranted,
    /// Attempt: a part of the content was sent.
    AttemptInContent,
    /// Attempt: content and final dot were sent; no reply was read.
    AttemptDotSent,
    /// Attempt: the reply was read; the outcome was given to nobody.
    AttemptAnswered,
    /// Settle: outcomes are gathered; nothing is written.
    SettleGathered,
    /// Settle: outcomes and their events are committed; memory does not know it.
    SettleWritten,
    /// Node: entered, its first heartbeat not sent.
    NodeJoined,
    /// Node: others were found dead; nothing of theirs was taken over.
    NodeFenced,
    /// Node: a part of a dead node's work was taken over, the dead node not removed.
    NodeTakingOver,
    /// Node: drained; nothing was given back or signed off.
    NodeLeaving,
    /// Migrations: all are applied; the transaction is not committed.
    MigrateApplied,
}

impl Failpoint {
    /// Dies here if this process was told to.
    #[inline]
    pub fn reach(self) {
        #[cfg(all(feature = "failpoints", debug_assertions))]
        armed::reach(self);
    }
}

#[cfg(all(feature = "failpoints", debug_assertions))]
mod armed {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    use super::Failpoint;

    /// The step to die at, and how many arrivals there are left until then.
    static PLAN: LazyLock<Option<(String, AtomicU32)>> = LazyLock::new(|| {
        let text = std::env::var("PENNYPOST_FAILPOINT").ok()?;
        let (name, arrivals) = text.split_once(':')?;
        Some((name.to_owned(), AtomicU32::new(arrivals.parse().ok()?)))
    });

    pub(super) fn reach(point: Failpoint) {
        let Some((name, arrivals)) = &*PLAN else { return };
        if name == point.name() && arrivals.fetch_sub(1, Ordering::SeqCst) == 1 {
            // Not an abort: nothing may be flushed, unwound or dumped.
            let _dead = kill(Pid::this(), Signal::SIGKILL);
        }
    }

    impl Failpoint {
        /// All of them.
        pub const ALL: [Self; 19] = [
            Self::AcceptGathered,
            Self::AcceptWritten,
            Self::AcceptCommitted,
            Self::AcceptAnswered,
            Self::ClaimMade,
            Self::ClaimLoaded,
            Self::AttemptBegun,
            Self::AttemptConnected,
            Self::AttemptGranted,
            Self::AttemptInContent,
            Self::AttemptDotSent,
            Self::AttemptAnswered,
            Self::SettleGathered,
            Self::SettleWritten,
            Self::NodeJoined,
            Self::NodeFenced,
            Self::NodeTakingOver,
            Self::NodeLeaving,
            Self::MigrateApplied,
        ];

        /// As `PENNYPOST_FAILPOINT` names it.
        #[must_use]
        pub const fn name(self) -> &'static str {
            match self {
                Self::AcceptGathered => "accept.gathered",
                Self::AcceptWritten => "accept.written",
                Self::AcceptCommitted => "accept.committed",
                Self::AcceptAnswered => "accept.answered",
                Self::ClaimMade => "claim.made",
                Self::ClaimLoaded => "claim.loaded",
                Self::AttemptBegun => "attempt.begun",
                Self::AttemptConnected => "attempt.connected",
                Self::AttemptGranted => "attempt.granted",
                Self::AttemptInContent => "attempt.in-content",
                Self::AttemptDotSent => "attempt.dot-sent",
                Self::AttemptAnswered => "attempt.answered",
                Self::SettleGathered => "settle.gathered",
                Self::SettleWritten => "settle.written",
                Self::NodeJoined => "node.joined",
                Self::NodeFenced => "node.fenced",
                Self::NodeTakingOver => "node.taking-over",
                Self::NodeLeaving => "node.leaving",
                Self::MigrateApplied => "migrate.applied",
            }
        }
    }
}
