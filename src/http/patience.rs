//! A stream that gives up on a peer which does not read.
//!
//! Answers: a write that makes no progress for [`WRITE_TIME`] ends the connection (L6, slow read), so that nobody holds a place among the
//! connections by asking for much and taking nothing.
//! Does not: limit reading; the time limits of heads and bodies do.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::clock::Clock;

/// How long a peer may take no octet of an answer.
pub const WRITE_TIME: Duration = Duration::from_secs(30);

/// Wraps a stream.
pub struct Patience<S> {
    stream: S,
    clock: Clock,
    /// Runs while a write waits.
    waiting: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl<S> Patience<S> {
    /// Limits the writes of `stream`.
    pub const fn new(stream: S, clock: Clock) -> Self {
        Self { stream, clock, waiting: None }
    }

    /// Lets a finished write pass and counts the time of one that waits.
    fn judge<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let clock = &self.clock;
        let waiting = self.waiting.get_or_insert_with(|| {
            let clock = clock.clone();
            Box::pin(async move { clock.sleep(WRITE_TIME).await })
        });
        if waiting.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        // Over: a later write counts its own time, and what is over is never polled again.
        self.waiting = None;
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer does not read")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patience<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patience<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, octets);
        self.judge(context, written)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.judge(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn a_peer_that_reads_nothing_is_given_up_and_one_that_reads_slowly_is_not() {
        let clock = Clock::movable();
        let (ours, mut theirs) = duplex(4);
        let mut stream = Patience::new(ours, clock.clone());
        stream.write_all(b"full").await.unwrap();
        let (ended, ()) = tokio::join!(stream.write_all(b"more"), async { clock.advance(WRITE_TIME) });
        assert_eq!(ended.map_err(|error| error.kind()), Err(io::ErrorKind::TimedOut));

        let slow_reader = async {
            for _ in 0..6 {
                clock.advance(WRITE_TIME.mul_f32(0.9));
                theirs.read_u8().await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        let (ended, ()) = tokio::join!(stream.write_all(b"slowly"), slow_reader);
        assert!(ended.is_ok(), "{ended:?}");
    }

    #[tokio::test]
    async fn a_write_after_one_that_was_given_up_counts_its_own_time() {
        let clock = Clock::movable();
        let (ours, mut theirs) = duplex(4);
        let mut stream = Patience::new(ours, clock.clone());
        stream.write_all(b"full").await.unwrap();
        for _ in 0..3 {
            let (ended, ()) = tokio::join!(stream.write_all(b"more"), async { clock.advance(WRITE_TIME) });
            assert_eq!(ended.map_err(|error| error.kind()), Err(io::ErrorKind::TimedOut));
        }
        let reader = async {
            clock.advance(WRITE_TIME.mul_f32(0.9));
            theirs.read_exact(&mut [0; 8]).await.unwrap();
        };
        let (ended, ()) = tokio::join!(stream.write_all(b"last"), reader);
        assert!(ended.is_ok(), "{ended:?}");
    }
}
