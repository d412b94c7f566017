//! Content as it stands between DATA and the final dot (RFC 5321 4.5.2): dots stuffed, line ends exact.
//!
//! Answers: the octets to send for a list of chunks. Whatever comes in, every line leaves with CR LF and only the end looks like
//! the end, so no content can smuggle a second message past a receiver that takes a bare LF for a line end.
//! Does not: change content whose line ends are exact already, apart from the stuffed dots.

/// Writes chunks one after the other; a line may go across chunks.
#[derive(Debug)]
pub(crate) struct DotStuffer {
    at_line_start: bool,
    after_cr: bool,
}

impl DotStuffer {
    pub(crate) const fn new() -> Self {
        Self { at_line_start: true, after_cr: false }
    }

    /// Adds the next chunk to `out`.
    pub(crate) fn feed(&mut self, mut chunk: &[u8], out: &mut Vec<u8>) {
        if self.after_cr && !chunk.is_empty() {
            chunk = chunk.strip_prefix(b"\n").unwrap_or(chunk);
            self.end_line(out);
        }
        while let Some(first) = chunk.first() {
            if self.at_line_start && *first == b'.' {
                out.push(b'.');
            }
            self.at_line_start = false;
            let Some(end) = chunk.iter().position(|octet| matches!(octet, b'\r' | b'\n')) else {
                out.extend_from_slice(chunk);
                return;
            };
            let (line, rest) = chunk.split_at(end);
            out.extend_from_slice(line);
            chunk = match rest {
                [b'\r'] => {
                    self.after_cr = true;
                    return;
                }
                [b'\r', b'\n', after @ ..] | [_, after @ ..] => after,
                [] => return,
            };
            self.end_line(out);
        }
    }

    /// Adds the final dot.
    pub(crate) fn finish(mut self, out: &mut Vec<u8>) {
        if self.after_cr || !self.at_line_start {
            self.end_line(out);
        }
        out.extend_from_slice(b".\r\n");
    }

    fn end_line(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\r\n");
        self.at_line_start = true;
        self.after_cr = false;
    }
}

/// True if every line of the content ends in CR LF, the last one too: then it can go by BDAT as it is.
pub(crate) fn is_exact(chunks: &[&[u8]]) -> bool {
    let mut previous = 0_u8;
    for chunk in chunks {
        for &octet in *chunk {
            if (octet == b'\n') != (previous == b'\r') {
                return false;
            }
            previous = octet;
        }
    }
    previous == b'\n'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stuffed(chunks: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut stuffer = DotStuffer::new();
        for chunk in chunks {
            stuffer.feed(chunk, &mut out);
        }
        stuffer.finish(&mut out);
        out
    }

    /// What a receiver that takes CR LF alone for a line end stores.
    fn received(wire: &[u8]) -> Vec<u8> {
        let mut content = Vec::new();
        let mut rest = wire;
        while let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") {
            let (line, after) = rest.split_at(end + 2);
            if line == b".\r\n" {
                assert!(after.is_empty(), "something follows the end");
                return content;
            }
            content.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
            rest = after;
        }
        panic!("no end");
    }

    #[test]
    fn exact_content_is_only_dot_stuffed() {
        assert_eq!(stuffed(&[b"a\r\n.b\r\n..\r\n"]), b"a\r\n..b\r\n...\r\n.\r\n");
        assert_eq!(stuffed(&[b"a\r\n", b".", b"b\r", b"\n.\r\n"]), b"a\r\n..b\r\n..\r\n.\r\n");
        assert_eq!(stuffed(&[]), b".\r\n");
        assert_eq!(stuffed(&[b"a"]), b"a\r\n.\r\n");
        assert_eq!(stuffed(&[b"a\r"]), b"a\r\n.\r\n");
    }

    #[test]
    fn no_way_to_end_the_message_early_passes() {
        for end in ["\n.\n", "\n.\r", "\r.\n", "\r.\r", "\n.\r\n", "\r.\r\n", "\r\n.\n", "\r\n.\r", "\r\r\n.\r\r\n", "\r\n.\r\n"] {
            let content = format!("a{end}MAIL FROM:<evil@example.com>\r\n");
            let wire = stuffed(&[content.as_bytes()]);
            let ends = wire.windows(3).filter(|three| matches!(three, [b'\n' | b'\r', b'.', b'\r' | b'\n'])).count();
            assert_eq!(ends, 1, "{end:?}: only the final dot stands alone in its line");
            assert!(wire.ends_with(b"\r\n.\r\n"));
        }
    }

    proptest! {
        #[test]
        fn what_was_exact_arrives_octet_by_octet(lines in prop::collection::vec("[.a\u{e4}]{0,4}", 0..8), cuts in prop::collection::vec(0_usize..40, 0..4)) {
            let content: Vec<u8> = lines.iter().flat_map(|line| format!("{line}\r\n").into_bytes()).collect();
            let mut chunks: Vec<&[u8]> = Vec::new();
            let mut rest = content.as_slice();
            for cut in cuts {
                let (head, tail) = rest.split_at(cut.min(rest.len()));
                chunks.push(head);
                rest = tail;
            }
            chunks.push(rest);
            prop_assert_eq!(is_exact(&chunks), !content.is_empty());
            prop_assert_eq!(received(&stuffed(&chunks)), content);
        }

        #[test]
        fn whatever_comes_in_leaves_as_lines(content in prop::collection::vec(prop::sample::select(b"a.\r\n\0".to_vec()), 0..40), cut in 0_usize..40) {
            let (head, tail) = content.split_at(cut.min(content.len()));
            let wire = stuffed(&[head, tail]);
            prop_assert!(is_exact(&[&wire]));
            prop_assert_eq!(&wire, &stuffed(&[&content]));
            let stored = received(&wire);
            let without_ends = |octets: &[u8]| octets.iter().copied().filter(|octet| !b"\r\n".contains(octet)).collect::<Vec<_>>();
            prop_assert_eq!(without_ends(&stored), without_ends(&content));
            prop_assert_eq!(is_exact(&[&content]), stored == content && !content.is_empty());
        }
    }
}
