//! A short talk with an SMTP server, line by line, to see how it answers.
//!
//! Does not: send mail; nothing here gets as far as DATA.

use std::time::Duration;

use tokio::io::AsyncBufReadExt;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};

use crate::clock::Clock;
use crate::model::Reply;
use crate::smtp::codec::{MAX_LINE_OCTETS, PartialReply};

/// A server that says nothing for so long is not well.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection to a server.
pub(super) struct Talk<S> {
    stream: BufReader<S>,
    clock: Clock,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Talk<S> {
    /// Waits for the greeting.
    ///
    /// # Errors
    /// There is none, or it is a refusal.
    pub(super) async fn begin(stream: S, clock: &Clock) -> Result<(Self, Reply), String> {
        let mut talk = Self { stream: BufReader::new(stream), clock: clock.clone() };
        let greeting = talk.reply().await?;
        if greeting.code == 220 { Ok((talk, greeting)) } else { Err(format!("it greets with {greeting}")) }
    }

    /// Goes on inside TLS, where there is no second greeting.
    pub(super) fn again(stream: S, clock: &Clock) -> Self {
        Self { stream: BufReader::new(stream), clock: clock.clone() }
    }

    /// Sends a line and waits for the reply to it.
    ///
    /// # Errors
    /// There is none.
    pub(super) async fn say(&mut self, line: &str) -> Result<Reply, String> {
        let octets = [line.as_bytes(), b"\r\n"].concat();
        match self.clock.timeout(PATIENCE, self.stream.get_mut().write_all(&octets)).await {
            Ok(Ok(())) => self.reply().await,
            Ok(Err(error)) => Err(error.to_string()),
            Err(timed_out) => Err(timed_out.to_string()),
        }
    }

    /// The bare connection, for TLS. What the server sent too early is dropped.
    pub(super) fn into_stream(self) -> S {
        self.stream.into_inner()
    }

    async fn reply(&mut self) -> Result<Reply, String> {
        let reading = read(&mut self.stream);
        self.clock.timeout(PATIENCE, reading).await.unwrap_or_else(|timed_out| Err(timed_out.to_string()))
    }
}

async fn read<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> Result<Reply, String> {
    let mut partial = PartialReply::default();
    loop {
        let line = line(stream).await?;
        if let Some(reply) = partial.push(&line).map_err(|error| error.to_string())? {
            return Ok(reply);
        }
    }
}

async fn line<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> Result<Vec<u8>, String> {
    let mut line = Vec::new();
    loop {
        let held = stream.fill_buf().await.map_err(|error| error.to_string())?;
        if held.is_empty() {
            return Err("it closed the connection".to_owned());
        }
        let end = held.iter().position(|octet| *octet == b'\n');
        let part = held.get(..end.map_or(held.len(), |end| end + 1)).unwrap_or_default();
        line.extend_from_slice(part);
        let taken = part.len();
        stream.consume(taken);
        if end.is_some() {
            return Ok(line);
        }
        if line.len() > MAX_LINE_OCTETS {
            return Err("a line of it does not end".to_owned());
        }
    }
}
