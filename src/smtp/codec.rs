//! Replies read from lines (RFC 5321 4.2), with limits on everything a server may send.
//!
//! Answers: is this line part of a reply, and is the reply whole. The first digit judges; texts are cleaned of control characters.
//! Does not: read from the network (see `wire`) or judge what a reply means for a delivery (see `deliver::verdict`).

use crate::model::Reply;

/// Octets of a line with its end. RFC 5321 4.5.3.1.5 says 512; servers put long links into their texts.
pub const MAX_LINE_OCTETS: usize = 4096;
/// Octets of a reply.
pub const MAX_REPLY_OCTETS: usize = 64 * 1024;
/// Lines of a reply.
pub const MAX_REPLY_LINES: usize = 100;
/// Octets of a reply's text that are kept; the rest is read and dropped.
pub const MAX_TEXT_OCTETS: usize = 8 * 1024;

/// Why octets are not a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// Over 4,096 octets without a line end.
    #[error("a reply line is longer than {MAX_LINE_OCTETS} octets")]
    LineTooLong,
    /// Over 64 KiB or 100 lines.
    #[error("a reply does not end within {MAX_REPLY_LINES} lines and {MAX_REPLY_OCTETS} octets")]
    TooLong,
    /// No three digits at the start, or something other than a blank or `-` behind them.
    #[error("a reply line does not start with a code")]
    NoCode,
    /// A code that does not start with 2, 3, 4 or 5.
    #[error("a reply has the code {0}")]
    UnknownCode(u16),
    /// A NUL.
    #[error("a reply holds a NUL")]
    Nul,
    /// Lines of one reply disagree in the first digit.
    #[error("the lines of a reply contradict each other")]
    Contradiction,
}

/// A reply as far as it has come.
#[derive(Debug, Default)]
pub struct PartialReply {
    code: u16,
    text: String,
    lines: usize,
    octets: usize,
}

impl PartialReply {
    /// Takes the next line, with or without its CR LF. Returns the reply when this was its last line.
    ///
    /// # Errors
    /// [`ReplyError`]: the session is of no use any more.
    pub fn push(&mut self, line: &[u8]) -> Result<Option<Reply>, ReplyError> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        self.lines += 1;
        self.octets += line.len() + 2;
        if self.lines > MAX_REPLY_LINES || self.octets > MAX_REPLY_OCTETS {
            return Err(ReplyError::TooLong);
        }
        if line.contains(&0) {
            return Err(ReplyError::Nul);
        }
        let (code, more, text) = split(line)?;
        if self.lines > 1 && self.code / 100 != code / 100 {
            return Err(ReplyError::Contradiction);
        }
        self.code = code;
        self.add_text(text);
        Ok(if more { None } else { Some(Reply::new(code, std::mem::take(self).text)) })
    }

    fn add_text(&mut self, text: &[u8]) {
        if self.text.len() + text.len() + 1 > MAX_TEXT_OCTETS {
            return;
        }
        if self.lines > 1 {
            self.text.push('\n');
        }
        match std::str::from_utf8(text) {
            Ok(clean) if !clean.chars().any(char::is_control) => self.text.push_str(clean),
            _ => self.text.extend(String::from_utf8_lossy(text).chars().map(|character| if character.is_control() { ' ' } else { character })),
        }
    }
}

/// Code, whether more lines follow, text.
fn split(line: &[u8]) -> Result<(u16, bool, &[u8]), ReplyError> {
    let (digits, rest) = line.split_at_checked(3).ok_or(ReplyError::NoCode)?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return Err(ReplyError::NoCode);
    }
    let code = digits.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    if !(200..600).contains(&code) {
        return Err(ReplyError::UnknownCode(code));
    }
    match rest.split_first() {
        None => Ok((code, false, rest)),
        Some((b' ', text)) => Ok((code, false, text)),
        Some((b'-', text)) => Ok((code, true, text)),
        Some(_) => Err(ReplyError::NoCode),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::EnhancedStatus;

    fn read(lines: &[&[u8]]) -> Result<Option<Reply>, ReplyError> {
        let mut partial = PartialReply::default();
        let mut last = Ok(None);
        for line in lines {
            last = partial.push(line);
            if last != Ok(None) {
                break;
            }
        }
        last
    }

    #[test]
    fn one_line_and_many_lines_make_one_reply() {
        assert_eq!(read(&[b"250 ok\r\n"]), Ok(Some(Reply::new(250, "ok"))));
        assert_eq!(read(&[b"250\r\n"]), Ok(Some(Reply::new(250, ""))));
        let reply = read(&[b"550-5.1.1 no such\r\n", b"550-5.1.1 user\n", b"550 5.1.1 here"]).expect("a reply").expect("whole");
        assert_eq!(reply.text, "5.1.1 no such\n5.1.1 user\n5.1.1 here");
        assert_eq!(reply.enhanced, Some(EnhancedStatus::new(5, 1, 1)));
        assert_eq!(read(&[b"250-more\r\n"]), Ok(None));
    }

    #[test]
    fn what_is_no_reply_is_refused() {
        for (line, error) in [
            (&b"hello"[..], ReplyError::NoCode),
            (b"25", ReplyError::NoCode),
            (b"", ReplyError::NoCode),
            (b"250x", ReplyError::NoCode),
            (b"+50 a", ReplyError::NoCode),
            (b"HTTP/1.1 400 Bad Request", ReplyError::NoCode),
            (b"150 wait", ReplyError::UnknownCode(150)),
            (b"666 no", ReplyError::UnknownCode(666)),
            (b"000 no", ReplyError::UnknownCode(0)),
            (b"250 o\0k", ReplyError::Nul),
        ] {
            assert_eq!(read(&[line]), Err(error), "{}", String::from_utf8_lossy(line));
        }
        assert_eq!(read(&[b"250-a", b"550 b"]), Err(ReplyError::Contradiction));
    }

    #[test]
    fn unknown_codes_of_a_known_class_are_taken_by_their_first_digit() {
        assert!(read(&[b"299 odd"]).is_ok_and(|reply| reply.is_some_and(|reply| reply.is_positive())));
    }

    #[test]
    fn an_endless_reply_is_cut_off() {
        let mut partial = PartialReply::default();
        let mut lines = 0;
        let error = loop {
            match partial.push(b"250-again\r\n") {
                Ok(_) => lines += 1,
                Err(error) => break error,
            }
        };
        assert_eq!((lines, error), (MAX_REPLY_LINES, ReplyError::TooLong));
        let mut partial = PartialReply::default();
        let long = [b"250-".as_slice(), &[b'x'; 4000]].concat();
        let taken = (0..100).take_while(|_| partial.push(&long).is_ok()).count();
        assert_eq!(taken, MAX_REPLY_OCTETS / 4006);
        assert!(partial.text.len() <= MAX_TEXT_OCTETS);
    }

    #[test]
    fn no_control_character_gets_into_a_log() {
        let reply = read(&[b"550 \x1b[31mred\x07 \xff\r\n"]).expect("a reply").expect("whole");
        assert_eq!(reply.text, " [31mred  \u{fffd}");
    }
}
