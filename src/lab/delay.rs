//! A delaying proxy: makes a TCP server on loopback look as far away as a long line would.
//!
//! Answers: what a program's rate is when each round trip takes its time. Every octet, in both directions, arrives half a round trip
//! later than it was sent, and a connection reaches the server after the handshake would have (RFC 9293 3.5: one and a half round trips).
//! Does not: limit the rate, lose octets, or model slow start.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::clock::{Clock, Tick};
use crate::supervisor::Supervisor;

/// Octets read at once.
const BLOCK: usize = 64 * 1024;
/// Blocks on their way in one direction, which bounds memory; more waits unread, as behind a window.
const WINDOW: usize = 256;

/// A proxy that is being served.
#[derive(Clone, Copy, Debug)]
pub struct DelayedServer {
    /// Where it listens.
    pub local_addr: SocketAddr,
}

/// Listens on `listen` (port 0: any free one) and passes connections on to `server`, `round_trip` away, until `supervisor` drains.
///
/// # Errors
/// The address cannot be listened on.
pub async fn serve(
    listen: SocketAddr,
    server: SocketAddr,
    round_trip: Duration,
    supervisor: &Supervisor,
    clock: &Clock,
) -> io::Result<DelayedServer> {
    let listener = TcpListener::bind(listen).await?;
    let local_addr = listener.local_addr()?;
    let (supervisor_of_all, clock) = (supervisor.clone(), clock.clone());
    supervisor.spawn("lab delay", async move {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = supervisor_of_all.draining() => return,
            };
            let Ok((client, _)) = accepted else { continue };
            let line = Line { server, one_way: round_trip / 2, clock: clock.clone() };
            supervisor_of_all.spawn("lab delayed connection", async move {
                // Either side may go at any time; the other then sees the end of its stream.
                if let Err(error) = line.connect(client).await {
                    tracing::debug!(%error, "a delayed connection ended");
                }
            });
        }
    });
    Ok(DelayedServer { local_addr })
}

struct Line {
    server: SocketAddr,
    one_way: Duration,
    clock: Clock,
}

impl Line {
    async fn connect(&self, client: TcpStream) -> io::Result<()> {
        self.clock.sleep(self.one_way * 3).await;
        let server = TcpStream::connect(self.server).await?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let (client_read, client_write) = client.into_split();
        let (server_read, server_write) = server.into_split();
        let (there, back) = tokio::join!(self.carry(client_read, server_write), self.carry(server_read, client_write));
        there.and(back)
    }

    /// Carries octets one way until the sender ends, then tells the receiver.
    async fn carry(&self, mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) -> io::Result<()> {
        let (sent, mut arriving) = mpsc::channel::<(Tick, Vec<u8>)>(WINDOW);
        let read = async {
            let mut block = vec![0; BLOCK];
            loop {
                let count = from.read(&mut block).await?;
                let octets = block.get(..count).unwrap_or_default().to_vec();
                if count == 0 || sent.send((self.clock.tick().plus(self.one_way), octets)).await.is_err() {
                    break;
                }
            }
            drop(sent);
            Ok::<(), io::Error>(())
        };
        let write = async {
            while let Some((at, octets)) = arriving.recv().await {
                self.clock.sleep_until(at).await;
                to.write_all(&octets).await?;
            }
            self.clock.sleep(self.one_way).await;
            to.shutdown().await
        };
        let (read, written) = tokio::join!(read, write);
        read.and(written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn octets_arrive_half_a_round_trip_after_they_were_sent_and_in_order() -> io::Result<()> {
        let (clock, supervisor) = (Clock::system(), Supervisor::default());
        let echo = TcpListener::bind("127.0.0.1:0").await?;
        let round_trip = Duration::from_millis(40);
        let proxy = serve(([127, 0, 0, 1], 0).into(), echo.local_addr()?, round_trip, &supervisor, &clock).await?;
        let start = clock.tick();
        let mut client = TcpStream::connect(proxy.local_addr).await?;
        client.write_all(b"one ").await?;
        client.write_all(b"two").await?;
        client.shutdown().await?;
        let (mut server, _) = echo.accept().await?;
        assert!(clock.tick().since(start) >= round_trip * 3 / 2, "the handshake takes its time");
        let mut heard = String::new();
        server.read_to_string(&mut heard).await?;
        assert_eq!(heard, "one two");
        server.write_all(b"three").await?;
        drop(server);
        let sent = clock.tick();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await?;
        assert_eq!(answer, "three");
        assert!(clock.tick().since(sent) >= round_trip / 2, "so does each way");
        supervisor.kill();
        Ok(())
    }
}
