//! Listens for SMTP and lets connections in while there is room.
//!
//! Answers: a flood gets `421` and not our memory; a drain closes the listener first. Certificates are looked at again every half minute, and at SIGHUP.
//! Does not: speak; `connection` does.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;

use super::Door;
use super::connection;
use crate::config::Listen;
use crate::net::server_tls::{Reload, ServerTls};
use crate::supervisor::Supervisor;

/// How long to wait after accepting failed: most such failures are a lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often certificate files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(30);
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

/// Uses new certificate files as they come, until a drain.
pub fn watch_certificates(tls: ServerTls, door: &Arc<Door>, supervisor: &Supervisor) {
    let (door, draining) = (Arc::clone(door), supervisor.clone());
    supervisor.spawn("smtp.certificates", async move {
        let mut hangups = signal(SignalKind::hangup()).ok();
        loop {
            tokio::select! {
                () = draining.draining() => return,
                () = door.clock.sleep(LOOK_EVERY) => {}
                () = hangup(&mut hangups) => {}
            }
            look(tls.clone()).await;
        }
    });
}

async fn hangup(signals: &mut Option<tokio::signal::unix::Signal>) {
    if let Some(signals) = signals
        && signals.recv().await.is_some()
    {
        return;
    }
    std::future::pending::<()>().await;
}

async fn look(tls: ServerTls) {
    match tokio::task::spawn_blocking(move || tls.reload()).await {
        Ok(Ok(Reload::Swapped)) => tracing::info!("new certificates are in use"),
        Ok(Err(error)) => tracing::error!(%error, "new certificates cannot be used; the old ones stay (tls.certificate_files, tls.key_files)"),
        Ok(Ok(Reload::Same)) | Err(_) => {}
    }
}
