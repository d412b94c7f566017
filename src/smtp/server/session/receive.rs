//! Receiving content, as part of a session: DATA (RFC 5321 4.1.1.4) and BDAT (RFC 3030), up to the message that is whole.
//!
//! Does not: read line ends; `content` does.

use bytes::{Buf, BytesMut};

use super::{Ask, Asked, Message, Next, Phase, Session, Transaction};
use crate::smtp::server::command::reply;
use crate::smtp::server::content::{self, DotReader, Progress};
use crate::smtp::server::reply::write;

impl Session {
    /// What keeps content from coming; none if nothing does.
    pub(super) fn no_content(&self) -> Option<&'static str> {
        match &self.transaction {
            None => Some(self.not_yet().unwrap_or("503 5.5.1 MAIL comes first")),
            Some(transaction) if transaction.recipients.is_empty() => Some("554 5.5.1 no valid recipients"),
            Some(_) => None,
        }
    }

    pub(super) fn begin_data(&mut self, output: &mut Vec<u8>) {
        if let Some(text) = self.no_content() {
            self.tell(output, text);
        } else if self.transaction.as_ref().is_some_and(|transaction| transaction.chunks.is_some()) {
            self.tell(output, "503 5.5.1 DATA is not mixed with BDAT");
        } else {
            write(output, &reply("354 send the message, and end it with a line that holds a dot alone"));
            self.phase = Phase::Data(DotReader::new());
        }
    }

    pub(super) fn data(&mut self, input: &mut BytesMut, output: &mut Vec<u8>) -> Option<Next> {
        let (Phase::Data(reader), Some(transaction)) = (&mut self.phase, &mut self.transaction) else {
            self.phase = Phase::Command;
            return None;
        };
        match reader.take(input, &mut transaction.content) {
            Progress::More if transaction.content.is_hopeless() => self.end(output, &content::too_large(self.settings.max_octets)),
            Progress::More => return Some(Next::Read),
            // Where this message ends is not known any more, so nothing behind it is read.
            Progress::BareLineEnd => self.end(output, &content::bare_line_end()),
            Progress::End => return self.finish(output),
        }
        None
    }

    pub(super) fn chunk(&mut self, input: &mut BytesMut, output: &mut Vec<u8>, left: u64, last: bool) -> Option<Next> {
        let most = (self.settings.max_octets as u64).saturating_mul(2).saturating_add(1024 * 1024);
        if left > most {
            self.end(output, &content::too_large(self.settings.max_octets));
            return None;
        }
        let here = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
        let octets = input.get(..here).unwrap_or_default();
        if let Some(transaction) = self.transaction.as_mut().filter(|transaction| !transaction.recipients.is_empty()) {
            transaction.chunks.get_or_insert_default().take(octets, &mut transaction.content);
        }
        input.advance(here);
        let left = left - here as u64;
        if left > 0 {
            self.phase = Phase::Chunk { left, last };
            return Some(Next::Read);
        }
        self.phase = Phase::Command;
        self.end_chunk(output, last)
    }

    fn end_chunk(&mut self, output: &mut Vec<u8>, last: bool) -> Option<Next> {
        if let Some(text) = self.no_content() {
            self.tell(output, text);
            return None;
        }
        let transaction = self.transaction.as_mut()?;
        if last {
            if let Some(chunks) = &transaction.chunks {
                chunks.end(&mut transaction.content);
            }
            return self.finish(output);
        }
        if let Some(reason) = transaction.content.refused().cloned() {
            self.transaction = None;
            self.say(output, &reason);
        } else {
            self.tell(output, "250 2.0.0 chunk taken");
        }
        None
    }

    /// The content is complete.
    fn finish(&mut self, output: &mut Vec<u8>) -> Option<Next> {
        self.phase = Phase::Command;
        let Transaction { reverse_path, parameters, recipients, content, .. } = self.transaction.take()?;
        match content.into_octets() {
            Err(reason) => {
                self.say(output, &reason);
                None
            }
            Ok(content) => {
                self.asked = Some(Asked::Message);
                Some(Next::Ask(Ask::Message(Box::new(Message { reverse_path, parameters, recipients, content }))))
            }
        }
    }
}
