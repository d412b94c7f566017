//! The gateway as a service: sockets that the service manager opened, and what it is told (sd_listen_fds(3), sd_notify(3)).
//!
//! Answers: a socket handed over takes the place of the address that the configuration names for its listener, so the program needs no right to low ports
//! and no connection is refused while it restarts. READY once everything listens, RELOADING around SIGHUP, STOPPING with the drain, and WATCHDOG while
//! the runtime turns and the node's heartbeat goes round.
//! Does not: count a database that is away as a failure of ours: a restart would lose outcomes and mend nothing.

use std::collections::HashMap;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use listenfd::ListenFd;
use parking_lot::Mutex;
use sd_notify::NotifyState;

use super::Running;
use crate::clock::Clock;
use crate::outbox::node::Node;
use crate::supervisor::Supervisor;

/// The names that sockets may have (`FileDescriptorName=`).
const NAMES: [&str; 6] = ["submission", "submissions", "mx", "http", "acme-http", "acme-tls"];
/// Rounds of the heartbeat that may be missed; each has time limits of its own, which add up when the database vanishes without a word.
const HEARTBEAT_AGE: Duration = Duration::from_mins(2);

/// What was handed over cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// A name that no listener has, or one that two sockets have.
    #[error("the service manager hands over a socket named {name:?}, {what}; set FileDescriptorName= to one of {}, each once", NAMES.join(", "))]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// No listening TCP socket.
    #[error("the socket {name:?} that the service manager hands over cannot be listened on: {source}")]
    Socket {
        /// The name.
        name: String,
        /// Why.
        source: io::Error,
    },
}

/// Sockets that were opened for us, by name.
#[derive(Debug, Default)]
pub struct Sockets(Mutex<HashMap<String, TcpListener>>);

impl Sockets {
    /// Takes those that this process was started with. To be called once.
    ///
    /// # Errors
    /// [`SocketError`] names the socket.
    pub fn inherited() -> Result<Self, SocketError> {
        let mut handed = ListenFd::from_env();
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut sockets = HashMap::new();
        for place in 0..handed.len() {
            let name = names.next().unwrap_or_default().to_owned();
            if !NAMES.contains(&name.as_str()) {
                return Err(SocketError::Name { name, what: "which no listener has" });
            }
            let wrong = |source| SocketError::Socket { name: name.clone(), source };
            let socket = handed.take_tcp_listener(place).map_err(wrong)?.ok_or_else(|| wrong(io::ErrorKind::NotFound.into()))?;
            socket.set_nonblocking(true).map_err(wrong)?;
            if sockets.insert(name.clone(), socket).is_some() {
                return Err(SocketError::Name { name, what: "as another is" });
            }
        }
        Ok(Self(Mutex::new(sockets)))
    }

    /// The socket for a listener, which then is its owner; none: it opens its own.
    ///
    /// # Errors
    /// The operating system's.
    pub fn take(&self, name: &str) -> io::Result<Option<tokio::net::TcpListener>> {
        self.0.lock().remove(name).map(tokio::net::TcpListener::from_std).transpose()
    }

    /// Tells of sockets that nobody took.
    pub(super) fn tell_unused(&self) {
        for name in self.0.lock().keys() {
            tracing::warn!(name, "the service manager hands over a socket that is not used here: its listener is off, or not a role of this process");
        }
    }
}

/// Tells the service manager; without one nothing happens.
fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager cannot be told of our state (NOTIFY_SOCKET)");
    }
}

/// Tells that a reload begins.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// Tells that a reload is over.
pub(super) fn reloaded() {
    tell(&[NotifyState::Ready]);
}

impl Running {
    /// Tells the service manager that everything listens, and from now on how it goes.
    pub fn announce(&self) {
        tell(&[NotifyState::Ready, NotifyState::Status("accepting and delivering mail")]);
        let draining = self.supervisor.clone();
        // On a supervisor of its own: it goes on until the process ends, however long the drain takes.
        let apart = Supervisor::default();
        apart.spawn("service.stopping", async move {
            draining.draining().await;
            tell(&[NotifyState::Stopping, NotifyState::Status("open sessions finish")]);
        });
        if let Some(limit) = sd_notify::watchdog_enabled() {
            apart.spawn("service.watchdog", watch(Arc::clone(&self.node), self.clock.clone(), self.supervisor.clone(), limit));
        }
    }
}

/// Says that we live, thrice as often as is asked for, unless the heartbeat's task hangs. While the process drains the node's task may have ended.
async fn watch(node: Arc<Node>, clock: Clock, supervisor: Supervisor, limit: Duration) {
    loop {
        let age = node.round_age();
        if supervisor.is_draining() || age < HEARTBEAT_AGE {
            tell(&[NotifyState::Watchdog]);
        } else {
            tracing::error!(seconds = age.as_secs(), "the node's heartbeat hangs; the service manager is not told that we live");
        }
        clock.sleep(limit / 3).await;
    }
}
