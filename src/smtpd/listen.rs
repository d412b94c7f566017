//! Listens for SMTP and lets connections in while there is room.
//!
//! Answers: a flood gets `421` and not our memory; a drain closes the listener first.
//! Does not: speak; `connection` does.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::Door;
use super::connection;
use crate::config::Listen;

/// How long to wait after accepting failed: most such failures are a lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Connections beyond the limit that are told so, at once; more are closed without a word.
const FAREWELLS: usize = 32;

/// How a listener's sessions get their TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// By STARTTLS (RFC 3207): port 587.
    StartTls,
    /// From the first octet (RFC 8314): port 465.
    Implicit,
}

/// A bound socket, not served yet.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    encryption: Encryption,
}

impl Listener {
    /// Binds the first address of `listen` that can be; none if it is off.
    ///
    /// # Errors
    /// The last address's: it is taken, not ours, or needs a privilege.
    pub async fn bind(listen: Listen, encryption: Encryption) -> io::Result<Option<Self>> {
        let mut failed = Ok(None);
        for address in listen.addresses() {
            match TcpListener::bind(address).await {
                Ok(socket) => return Ok(Some(Self { socket, encryption })),
                Err(error) => failed = Err(error),
            }
        }
        failed
    }

    /// Takes a socket that was bound elsewhere.
    #[must_use]
    pub const fn of(socket: TcpListener, encryption: Encryption) -> Self {
        Self { socket, encryption }
    }

    /// The address bound, with the port chosen when 0 was asked for.
    ///
    /// # Errors
    /// The operating system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves until a drain, in the background.
    pub fn serve(self, door: Arc<Door>) {
        let supervisor = door.supervisor.clone();
        supervisor.spawn_essential("smtp", async move { self.accept(&door).await });
    }

    async fn accept(self, door: &Arc<Door>) {
        // Connections whose client is not known yet, because a proxy or TLS comes first, have a limit of their own.
        let room = Arc::new(Semaphore::new(door.config.smtp.connections.saturating_add(FAREWELLS).min(Semaphore::MAX_PERMITS)));
        loop {
            let accepted = tokio::select! {
                () = door.supervisor.draining() => return,
                accepted = self.socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let Ok(permit) = Arc::clone(&room).try_acquire_owned() else { continue };
                    let (door, encryption) = (Arc::clone(door), self.encryption);
                    door.supervisor.clone().spawn("smtp.connection", async move {
                        serve(stream, peer, encryption, door).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "an SMTP connection could not be accepted");
                    door.clock.sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

async fn serve(stream: TcpStream, peer: SocketAddr, encryption: Encryption, door: Arc<Door>) {
    // Replies are small and whole: waiting to fill a segment would only delay them.
    let _ = stream.set_nodelay(true);
    if let Err(error) = connection::serve(Box::new(stream), peer, encryption, &door).await {
        tracing::debug!(%error, "an SMTP connection ended early");
    }
}
