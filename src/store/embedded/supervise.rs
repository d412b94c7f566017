//! Keeps one server on a data directory, together with the other commands that want one there.
//!
//! Answers: who starts the server (who holds the lock), when it is started again (it ended and nobody asked), and when another
//! owner's is taken over (the lock came free). Runs in a thread of its own until it is told to stop.

use std::fs::File;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use tokio::sync::watch;

use super::EmbeddedError;
use super::binaries;
use super::host::Place;
use super::server::{self, Server};

/// How often the thread looks at its server, or at the lock.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often the thread looks whether a server that was told to end has ended.
const STOP_LOOK_EVERY: Duration = Duration::from_millis(10);
/// Such looks that a fast shutdown may take (its checkpoint writes up to 128 MB) before the server is told to end at once.
const STOP_LOOKS: u32 = 6_000;
/// A server that lived for fewer looks did not start.
const START_LOOKS: u32 = 20;
/// Failed starts in a row after which we give up. A start fails while processes of a killed server still hold its memory.
const MAX_FAILED_STARTS: u32 = 10;

/// Where the thread stands.
#[derive(Clone, Debug)]
pub(super) enum Phase {
    /// Neither server nor failure yet.
    Starting,
    /// Our server runs.
    Running,
    /// Another command holds the lock and runs the server.
    Joined,
    /// No server, and none will be.
    Failed(EmbeddedError),
    /// Told to stop, and stopped.
    Stopped,
}

/// What the thread needs.
pub(super) struct Supervised {
    pub(super) place: Place,
    pub(super) bin_dir: Option<PathBuf>,
    pub(super) report: watch::Sender<Phase>,
    /// Closed to ask for the end.
    pub(super) stopped: Receiver<()>,
}

impl Supervised {
    /// Runs until told to stop, or until nothing can be done.
    pub(super) fn run(self) {
        let end = match self.keep() {
            Ok(()) => Phase::Stopped,
            Err(error) => {
                tracing::error!(%error, "the private PostgreSQL server is gone");
                Phase::Failed(error)
            }
        };
        self.report.send_replace(end);
    }

    fn keep(&self) -> Result<(), EmbeddedError> {
        loop {
            if let Some(lock) = self.try_lock()? {
                let end = self.own();
                drop(lock);
                return end;
            }
            self.enter(Phase::Joined);
            if self.asked_to_stop() {
                return Ok(());
            }
        }
    }

    /// The lock ends with this process, however it ends.
    fn try_lock(&self) -> Result<Option<Flock<File>>, EmbeddedError> {
        let failed = |error: std::io::Error| EmbeddedError::system(format!("{}", self.place.lock.display()), &error);
        let file = File::options().create(true).append(true).open(&self.place.lock).map_err(failed)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Some(lock)),
            Err((_, Errno::EWOULDBLOCK)) => Ok(None),
            Err((_, errno)) => Err(failed(errno.into())),
        }
    }

    /// Keeps a server of our own running. The caller holds the lock.
    fn own(&self) -> Result<(), EmbeddedError> {
        let release = server::release_of(&self.place)?;
        let binaries = binaries::find(self.bin_dir.as_deref(), release.as_deref(), &self.place.root)?;
        if release.is_none() {
            server::initialise(&self.place, &binaries)?;
        }
        self.end_left_behind();
        let mut failed_starts = 0;
        loop {
            let mut server = Server::start(&self.place, &binaries)?;
            self.enter(Phase::Running);
            let mut looks = 0_u32;
            while !server.has_ended() {
                if self.asked_to_stop() {
                    shut_down(&mut server);
                    return Ok(());
                }
                looks = looks.saturating_add(1);
            }
            failed_starts = if looks < START_LOOKS { failed_starts + 1 } else { 0 };
            if failed_starts >= MAX_FAILED_STARTS {
                return Err(EmbeddedError::Server(server.last_words()));
            }
            tracing::warn!(log = server.last_words(), "the private PostgreSQL server ended; starting it again");
            // Longer each time: a tenth of a second, then two, and so on.
            if (0..=failed_starts).any(|_| self.asked_to_stop()) {
                return Ok(());
            }
        }
    }

    /// Stops a server whose owner is gone, so that never two run on one directory.
    fn end_left_behind(&self) {
        let Some(pid) = server::left_behind(&self.place) else { return };
        tracing::warn!(%pid, "stopping a PostgreSQL server that was left behind");
        for signal in [Signal::SIGINT, Signal::SIGQUIT] {
            // Fails only if it has ended already.
            let _ = kill(pid, signal);
            for _ in 0..STOP_LOOKS {
                if server::left_behind(&self.place) != Some(pid) {
                    return;
                }
                std::thread::sleep(STOP_LOOK_EVERY);
            }
        }
    }

    /// Waits a moment; true if the end was asked for.
    fn asked_to_stop(&self) -> bool {
        !matches!(self.stopped.recv_timeout(LOOK_EVERY), Err(RecvTimeoutError::Timeout))
    }

    fn enter(&self, phase: Phase) {
        self.report.send_if_modified(|now| {
            let changes = std::mem::discriminant(now) != std::mem::discriminant(&phase);
            if changes {
                *now = phase;
            }
            changes
        });
    }
}

fn shut_down(server: &mut Server) {
    for signal in [Signal::SIGINT, Signal::SIGQUIT] {
        server.signal(signal);
        for _ in 0..STOP_LOOKS {
            if server.has_ended() {
                return;
            }
            std::thread::sleep(STOP_LOOK_EVERY);
        }
    }
}
