//! One connection with its buffers: writes what was put into the output, reads whole replies, each within a time limit.
//!
//! Answers: was it sent, and what came back. TCP, TLS and test streams look the same from here.
//! Does not: know commands or their order.

use std::io;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::client::Fault;
use super::codec::{MAX_LINE_OCTETS, PartialReply, ReplyError};
use super::transcript::Transcript;
use crate::clock::Clock;
use crate::model::Reply;

const INPUT_OCTETS: usize = 4 * 1024;
/// What a session keeps for output between two messages.
const OUTPUT_OCTETS: usize = 16 * 1024;
/// What a closing server said is here already, or follows at once.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Anything that SMTP can be spoken over.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send + Sync {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + Sync> Stream for S {}

pub(crate) struct Wire {
    stream: Box<dyn Stream>,
    input: BytesMut,
    /// What the next flush sends.
    pub(crate) output: Vec<u8>,
    pub(crate) transcript: Transcript,
    pub(crate) clock: Clock,
}

impl Wire {
    pub(crate) fn new(stream: Box<dyn Stream>, clock: &Clock) -> Self {
        Self {
            stream,
            input: BytesMut::with_capacity(INPUT_OCTETS),
            output: Vec::with_capacity(OUTPUT_OCTETS),
            transcript: Transcript::default(),
            clock: clock.clone(),
        }
    }

    /// Sends the output, which holds commands only.
    pub(crate) async fn send(&mut self, limit: Duration) -> Result<(), Fault> {
        self.transcript.client(&self.output);
        self.flush(limit).await
    }

    /// Sends the output, which holds a secret: the record says only that something went out.
    pub(crate) async fn send_secret(&mut self, limit: Duration) -> Result<(), Fault> {
        self.transcript.client(b"(AUTH; the login is left out)\r\n");
        self.flush(limit).await
    }

    /// Sends the output as it is. An error means that its last octet was not sent.
    pub(crate) async fn flush(&mut self, limit: Duration) -> Result<(), Fault> {
        let Self { stream, output, clock, .. } = self;
        let sent = clock
            .timeout(limit, async {
                stream.write_all(output).await?;
                stream.flush().await
            })
            .await;
        output.clear();
        output.shrink_to(OUTPUT_OCTETS);
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(broken(&error)),
            Err(timed_out) => Err(Fault::TimedOut(timed_out.0)),
        }
    }

    /// Reads one whole reply.
    pub(crate) async fn reply(&mut self, limit: Duration) -> Result<Reply, Fault> {
        let Self { stream, input, transcript, clock, .. } = self;
        let mut partial = PartialReply::default();
        if let Some(reply) = next_reply(input, &mut partial, transcript)? {
            return Ok(reply);
        }
        let reading = async {
            loop {
                input.reserve(INPUT_OCTETS / 4);
                match stream.read_buf(input).await {
                    Ok(0) => return Err(Fault::Disconnected),
                    Ok(_) => {}
                    Err(error) => return Err(broken(&error)),
                }
                if let Some(reply) = next_reply(input, &mut partial, transcript)? {
                    return Ok(reply);
                }
            }
        };
        match clock.timeout(limit, reading).await {
            Ok(outcome) => outcome,
            Err(timed_out) => Err(Fault::TimedOut(timed_out.0)),
        }
    }

    /// After a write that failed by `fault`: what the server said before it closed, if it said anything.
    pub(crate) async fn last_words(&mut self, fault: &Fault) -> Option<Reply> {
        match fault {
            // It is still there and has had its time.
            Fault::TimedOut(_) => None,
            _ => self.reply(LAST_WORDS).await.ok(),
        }
    }

    /// True if no octet has come that nobody asked for. A 421 may come at any time (RFC 5321 3.8) and is read as the next reply.
    pub(crate) fn is_in_step(&self) -> bool {
        self.input.is_empty() || self.input.starts_with(b"421")
    }

    /// True if nothing has come at all.
    pub(crate) fn is_silent(&self) -> bool {
        self.input.is_empty()
    }

    /// Looks, without waiting, whether the connection is still open and silent.
    pub(crate) fn is_open(&mut self) -> bool {
        let mut spare = [0_u8; 1];
        let mut buffer = ReadBuf::new(&mut spare);
        let mut context = Context::from_waker(Waker::noop());
        match std::pin::Pin::new(&mut self.stream).poll_read(&mut context, &mut buffer) {
            Poll::Pending => self.input.is_empty(),
            Poll::Ready(_) => false,
        }
    }

    pub(crate) async fn close(&mut self, limit: Duration) {
        let Self { stream, clock, .. } = self;
        // The session is over: how its end is told to the peer makes no difference.
        let _ = clock.timeout(limit, stream.shutdown()).await;
    }

    /// Gives the bare stream away, for TLS to be put on it.
    pub(crate) fn into_parts(self) -> (Box<dyn Stream>, Transcript, Clock) {
        (self.stream, self.transcript, self.clock)
    }
}

/// Takes the next whole reply out of `input`, or as many of its lines as are there.
fn next_reply(input: &mut BytesMut, partial: &mut PartialReply, transcript: &mut Transcript) -> Result<Option<Reply>, Fault> {
    while let Some(end) = input.iter().position(|octet| *octet == b'\n') {
        let line = input.get(..=end).unwrap_or_default();
        transcript.server(line);
        let taken = if line.len() > MAX_LINE_OCTETS { Err(ReplyError::LineTooLong) } else { partial.push(line) };
        input.advance(end + 1);
        if let Some(reply) = taken? {
            return Ok(Some(reply));
        }
    }
    if input.len() >= MAX_LINE_OCTETS {
        return Err(ReplyError::LineTooLong.into());
    }
    Ok(None)
}

fn broken(error: &io::Error) -> Fault {
    use io::ErrorKind;
    match error.kind() {
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe | ErrorKind::NotConnected => {
            Fault::Disconnected
        }
        _ => Fault::Io(error.to_string()),
    }
}
