//! Octets to and from one client, within time limits.
//!
//! Answers: a client that says nothing for five minutes, or drips, is sent away (RFC 5321 4.5.3.2.7); so is one that does not sign in within that time, and
//! one from the world that brings no message in twice that time. What counts is progress: a command that is done, or 64 KiB of a message.
//! Does not: understand what it carries.

use std::io;
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::clock::{Clock, Tick};
use crate::net::server_tls::ServerTls;
use crate::smtp::client::Stream;
use crate::supervisor::Supervisor;

/// Octets read at once, at most: room that was filled is made larger, so that who says little takes little memory.
const READ_OCTETS: usize = 16 * 1024;
/// Octets of room at first: a command, and the most that most clients send without a word of ours.
const FIRST_OCTETS: usize = 1024;
/// How long a client may be without progress.
pub(super) const PATIENCE: Duration = Duration::from_mins(5);
/// How long a reply may take to be read.
const WRITE_TIME: Duration = Duration::from_mins(1);
/// How long a handshake may take.
const HANDSHAKE_TIME: Duration = Duration::from_secs(30);
/// How long, and how much, is read and thrown away behind the last reply, so that it arrives before the connection is gone.
const LINGER_TIME: Duration = Duration::from_secs(2);
const LINGER_OCTETS: usize = 4 * 1024 * 1024;

/// What reading brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Got {
    /// Octets.
    Octets,
    /// The client has gone.
    Nothing,
    /// The time is over.
    Late,
    /// This process ends.
    Drain,
}

/// One connection.
pub(super) struct Wire {
    stream: Box<dyn Stream>,
    /// What has come.
    pub(super) input: BytesMut,
    /// What the next flush sends.
    pub(super) output: Vec<u8>,
    room: usize,
    clock: Clock,
}

impl Wire {
    pub(super) fn new(stream: Box<dyn Stream>, clock: Clock) -> Self {
        Self { stream, input: BytesMut::new(), output: Vec::new(), room: FIRST_OCTETS, clock }
    }

    /// Sends what was said.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        if self.output.is_empty() {
            return Ok(());
        }
        let writing = async {
            self.stream.write_all(&self.output).await?;
            self.stream.flush().await
        };
        self.clock.timeout(WRITE_TIME, writing).await.map_err(|_| io::ErrorKind::TimedOut)??;
        self.output.clear();
        self.output.shrink_to(FIRST_OCTETS);
        Ok(())
    }

    /// Reads some octets, until `deadline`.
    pub(super) async fn read(&mut self, deadline: Tick) -> io::Result<Got> {
        self.input.reserve(self.room);
        let octets = tokio::select! {
            biased;
            read = self.stream.read_buf(&mut self.input) => read?,
            () = self.clock.sleep_until(deadline) => return Ok(Got::Late),
        };
        if octets >= self.room {
            self.room = self.room.saturating_mul(4).min(READ_OCTETS);
        }
        Ok(if octets == 0 { Got::Nothing } else { Got::Octets })
    }

    /// Reads one octet, until `deadline`.
    pub(super) async fn read_octet(&mut self, deadline: Tick) -> io::Result<Got> {
        tokio::select! {
            biased;
            read = self.stream.read_u8() => {
                self.input.put_u8(read?);
                Ok(Got::Octets)
            }
            () = self.clock.sleep_until(deadline) => Ok(Got::Late),
        }
    }

    /// As [`Wire::read`], but ends when this process is asked to.
    pub(super) async fn read_or_drain(&mut self, deadline: Tick, supervisor: &Supervisor) -> io::Result<Got> {
        if supervisor.is_draining() {
            return Ok(Got::Drain);
        }
        tokio::select! {
            biased;
            got = self.read(deadline) => got,
            () = supervisor.draining() => Ok(Got::Drain),
        }
    }

    /// True if the client sends something within `pause`. A socket that is new has to be waited for, be it a moment: what lies in it already is not seen
    /// before the runtime was told of it.
    pub(super) async fn has_spoken(&mut self, pause: Duration) -> io::Result<bool> {
        if self.input.is_empty() {
            let deadline = self.clock.tick().plus(pause);
            self.read(deadline).await?;
        }
        Ok(!self.input.is_empty())
    }

    /// Shakes hands; nothing that came before stays.
    pub(super) async fn start_tls(self, tls: &ServerTls) -> io::Result<(Self, String)> {
        let Self { stream, clock, .. } = self;
        let (stream, facts) = clock.timeout(HANDSHAKE_TIME, tls.accept(stream)).await.map_err(|_| io::ErrorKind::TimedOut)??;
        Ok((Self::new(Box::new(stream), clock), facts))
    }

    /// Sends what was said, and closes so that it arrives.
    pub(super) async fn close(mut self) -> io::Result<()> {
        self.flush().await?;
        self.stream.shutdown().await?;
        let clock = self.clock.clone();
        let reading = async {
            let mut read = 0;
            while read < LINGER_OCTETS {
                self.input.clear();
                self.input.reserve(READ_OCTETS);
                match self.stream.read_buf(&mut self.input).await {
                    Ok(octets) if octets > 0 => read += octets,
                    _ => return,
                }
            }
        };
        let _ = clock.timeout(LINGER_TIME, reading).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_client_that_does_not_read_is_not_written_to_for_ever() {
        let clock = Clock::movable();
        let (near, _far) = tokio::io::duplex(16);
        let mut wire = Wire::new(Box::new(near), clock.clone());
        wire.output = vec![b'x'; 17];
        let flushing = wire.flush();
        tokio::pin!(flushing);
        assert!(futures_util::poll!(flushing.as_mut()).is_pending());
        clock.advance(WRITE_TIME);
        assert_eq!(flushing.await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
