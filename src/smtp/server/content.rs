//! The content of a message as it comes: after DATA up to the dot (RFC 5321 4.1.1.4, 4.5.2), or in chunks (RFC 3030).
//!
//! Answers: its octets without stuffed dots, or why it is refused. Lines end in CRLF and in nothing else: a CR or LF alone is where two servers may
//! disagree about where a message ends, which is how one is smuggled behind another. Content that is refused is read on and not kept.
//! Does not: look at what it says.

use bytes::{Buf, BytesMut};

use super::command::reply;
use crate::model::Reply;

/// Octets over the limit that are read and thrown away before the connection is.
const PATIENCE_OCTETS: u64 = 1024 * 1024;
/// Room made at first.
const FIRST_OCTETS: usize = 16 * 1024;

/// What was collected, and whether it is any good.
#[derive(Debug)]
pub(super) struct Content {
    octets: Vec<u8>,
    counted: u64,
    limit: usize,
    refused: Option<Reply>,
}

impl Content {
    /// Nothing yet; at most `limit` octets.
    pub(super) const fn new(limit: usize) -> Self {
        Self { octets: Vec::new(), counted: 0, limit, refused: None }
    }

    /// Octets of memory in use.
    pub(super) const fn held(&self) -> usize {
        self.octets.capacity()
    }

    /// Octets that came.
    pub(super) const fn counted(&self) -> u64 {
        self.counted
    }

    /// Keeps no more of it, and says so in the end; the first reason counts.
    pub(super) fn refuse(&mut self, reason: Reply) {
        self.octets = Vec::new();
        self.refused.get_or_insert(reason);
    }

    /// Why it is refused.
    pub(super) const fn refused(&self) -> Option<&Reply> {
        self.refused.as_ref()
    }

    /// True if so much came that reading on makes no sense.
    pub(super) fn is_hopeless(&self) -> bool {
        self.refused.is_some() && self.counted > (self.limit as u64).saturating_mul(2).saturating_add(PATIENCE_OCTETS)
    }

    /// The octets, or why there are none.
    pub(super) fn into_octets(self) -> Result<Vec<u8>, Reply> {
        self.refused.map_or(Ok(self.octets), Err)
    }

    fn push(&mut self, octets: &[u8]) {
        self.counted += octets.len() as u64;
        if self.refused.is_some() {
            return;
        }
        if self.counted > self.limit as u64 {
            return self.refuse(too_large(self.limit));
        }
        if self.octets.capacity() == 0 {
            self.octets.reserve(FIRST_OCTETS);
        }
        self.octets.extend_from_slice(octets);
    }
}

/// What a message over the limit gets.
pub(super) fn too_large(limit: usize) -> Reply {
    reply(&format!("552 5.3.4 the message is larger than {limit} octets, which is all that is taken here"))
}

/// What a CR or LF alone gets.
pub(super) fn bare_line_end() -> Reply {
    reply("554 5.6.0 a CR or LF stands alone in the message; every line must end in CRLF")
}

/// Where in a line the reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    LineStart,
    Text,
    /// Behind a CR.
    Return,
    /// Behind a dot that begins a line.
    Dot,
    /// Behind that dot and a CR.
    DotReturn,
}

/// How reading went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// More is to come.
    More,
    /// The dot came.
    End,
    /// A CR or LF stands alone.
    BareLineEnd,
}

/// Reads content up to the dot.
#[derive(Debug)]
pub(super) struct DotReader {
    place: Place,
}

impl DotReader {
    /// At the beginning of content.
    pub(super) const fn new() -> Self {
        Self { place: Place::LineStart }
    }

    /// Takes what has come, up to the dot and its CRLF.
    pub(super) fn take(&mut self, input: &mut BytesMut, content: &mut Content) -> Progress {
        let (taken, progress) = self.scan(input, content);
        input.advance(taken);
        progress
    }

    fn scan(&mut self, input: &[u8], content: &mut Content) -> (usize, Progress) {
        let mut at = 0;
        while let Some((&octet, rest)) = input.get(at..).and_then(<[u8]>::split_first) {
            match (self.place, octet) {
                (Place::LineStart, b'.') => self.place = Place::Dot,
                (Place::LineStart | Place::Text, b'\r') => self.place = Place::Return,
                (Place::Dot, b'\r') => self.place = Place::DotReturn,
                (Place::Return, b'\n') => {
                    content.push(b"\r\n");
                    self.place = Place::LineStart;
                }
                (Place::DotReturn, b'\n') => return (at + 1, Progress::End),
                (Place::Return | Place::DotReturn, _) | (_, b'\n') => return (at + 1, Progress::BareLineEnd),
                // The dot before it was stuffed (RFC 5321 4.5.2).
                (Place::LineStart | Place::Text | Place::Dot, _) => {
                    let run = rest.iter().position(|octet| matches!(octet, b'\r' | b'\n')).unwrap_or(rest.len());
                    content.push(input.get(at..=at + run).unwrap_or_default());
                    self.place = Place::Text;
                    at += run;
                }
            }
            at += 1;
        }
        (input.len(), Progress::More)
    }
}

/// Watches the line ends of chunks, which need no dot: CR and LF belong together all the same, over the borders of chunks too.
#[derive(Debug, Default)]
pub(super) struct ChunkReader {
    after_return: bool,
}

impl ChunkReader {
    /// Takes octets of a chunk.
    pub(super) fn take(&mut self, octets: &[u8], content: &mut Content) {
        let mut previous = self.after_return;
        for &octet in octets {
            if previous != (octet == b'\n') {
                content.refuse(bare_line_end());
            }
            previous = octet == b'\r';
        }
        self.after_return = previous;
        content.push(octets);
    }

    /// No chunk comes any more.
    pub(super) fn end(&self, content: &mut Content) {
        if self.after_return {
            content.refuse(bare_line_end());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads `text` in pieces of `size`: how it ended, what was kept, what was left over.
    fn read(text: &[u8], size: usize) -> (Progress, Vec<u8>, Vec<u8>) {
        let (mut reader, mut content, mut input) = (DotReader::new(), Content::new(1000), BytesMut::new());
        let mut pieces = text.chunks(size);
        loop {
            let progress = reader.take(&mut input, &mut content);
            let more = if progress == Progress::More { pieces.next() } else { None };
            let Some(piece) = more else {
                let rest = pieces.flatten().copied();
                let left = input.iter().copied().chain(rest).collect();
                return (progress, content.into_octets().unwrap(), left);
            };
            input.extend_from_slice(piece);
        }
    }

    #[test]
    fn content_ends_at_a_dot_between_crlf_and_loses_stuffed_dots() {
        for (text, kept, left) in [
            (&b".\r\n"[..], &b""[..], &b""[..]),
            (b"a\r\n.\r\nQUIT\r\n", b"a\r\n", b"QUIT\r\n"),
            (b"..\r\n.\r\n", b".\r\n", b""),
            (b"..a\r\n...b\r\nc.\r\n.\r\n", b".a\r\n..b\r\nc.\r\n", b""),
            (b"\r\n\r\n.\r\n.\r\n", b"\r\n\r\n", b".\r\n"),
            (b"a\r\n.b\r\n.\r\n", b"a\r\nb\r\n", b""),
            (b"\0.\r\n\r\n.\r\n", b"\0.\r\n\r\n", b""),
        ] {
            for size in 1..=text.len() {
                let (progress, content, rest) = read(text, size);
                let text = String::from_utf8_lossy(text);
                assert_eq!((progress, content.as_slice(), rest.as_slice()), (Progress::End, kept, left), "{text:?} in pieces of {size}");
            }
        }
    }

    #[test]
    fn no_other_sequence_ends_it() {
        for end in [
            &b"\n.\n"[..],
            b"\n.\r\n",
            b"\r\n.\n",
            b"\r.\r\n",
            b"\r.\r",
            b"\n.\r",
            b"\r\n.\r",
            b"\r\r\n.\r\r\n",
            b"\r\n\r.\r\n",
            b"\r\n.\rx\r\n",
            b"\r\n\0.\r\n",
        ] {
            let text = [b"Subject: a\r\n\r\nfirst", end, b"MAIL FROM:<x@y.example>\r\nDATA\r\n"].concat();
            for size in [1, 2, 3, 7, text.len()] {
                assert_ne!(read(&text, size).0, Progress::End, "{:?}", String::from_utf8_lossy(end));
            }
            let smuggles = end != b"\r\n\0.\r\n";
            assert_eq!(read(&text, text.len()).0 == Progress::BareLineEnd, smuggles, "{:?}", String::from_utf8_lossy(end));
        }
    }

    #[test]
    fn what_is_over_the_limit_is_counted_and_not_kept() {
        let (mut reader, mut content) = (DotReader::new(), Content::new(10));
        let mut input = BytesMut::from(&b"0123456\r\n.\r\n"[..]);
        assert_eq!(reader.take(&mut input, &mut content), Progress::End);
        assert_eq!(content.into_octets().unwrap(), b"0123456\r\n");
        let mut content = Content::new(10);
        let mut input = BytesMut::from(&b"012345678\r\n.\r\n"[..]);
        assert_eq!(DotReader::new().take(&mut input, &mut content), Progress::End);
        assert_eq!((content.counted(), content.held(), content.is_hopeless()), (11, 0, false));
        assert_eq!(content.into_octets().unwrap_err().code, 552);
        let mut content = Content::new(10);
        content.push(&vec![b'x'; 2 * 1024 * 1024]);
        assert!(content.is_hopeless());
    }

    #[test]
    fn chunks_are_watched_over_their_borders() {
        for (chunks, fits) in [
            (&[&b"a\r\nb"[..], b"\r\n"][..], true),
            (&[b"a\r", b"\nb\r\n"], true),
            (&[b"no end"], true),
            (&[b"a\r", b"b"], false),
            (&[b"a\nb"], false),
            (&[b"a", b"\nb"], false),
            (&[b"a\r"], false),
            (&[b"a\r\r\n"], false),
            (&[b"\n.\n"], false),
            (&[b"\r.\r"], false),
        ] {
            let (mut reader, mut content) = (ChunkReader::default(), Content::new(100));
            for chunk in chunks {
                reader.take(chunk, &mut content);
            }
            reader.end(&mut content);
            assert_eq!(content.into_octets().is_ok(), fits, "{chunks:?}");
        }
    }
}
