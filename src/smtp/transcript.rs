//! The dialogue of a session as people read it: `C: ` and `S: ` lines, content left out.
//!
//! Answers: what was said, up to a limit. Recording copies octets into one buffer; lines are made only when asked for.
//! Does not: hold content; secrets are not given to it (see `Wire::send_secret`).

/// Octets recorded between two takings.
const MAX_OCTETS: usize = 8 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Client,
    Server,
    /// So many octets of content went out.
    Content,
}

/// The record.
#[derive(Debug, Default)]
pub(crate) struct Transcript {
    octets: Vec<u8>,
    /// Side, and where its octets end; for content the number of octets instead.
    parts: Vec<(Side, usize)>,
    is_cut: bool,
}

impl Transcript {
    pub(crate) fn client(&mut self, octets: &[u8]) {
        self.add(Side::Client, octets);
    }

    pub(crate) fn server(&mut self, octets: &[u8]) {
        self.add(Side::Server, octets);
    }

    pub(crate) fn content(&mut self, octets: usize) {
        if !self.is_cut {
            self.parts.push((Side::Content, octets));
        }
    }

    pub(crate) fn clear(&mut self) {
        self.octets.clear();
        self.parts.clear();
        self.is_cut = false;
    }

    /// The lines so far; the record is empty then.
    pub(crate) fn take(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut start = 0;
        for (side, end) in self.parts.drain(..) {
            let mark = match side {
                Side::Client => "C: ",
                Side::Server => "S: ",
                Side::Content => {
                    lines.push(format!("C: ({end} octets of content)"));
                    continue;
                }
            };
            let text = String::from_utf8_lossy(self.octets.get(start..end).unwrap_or_default());
            lines.extend(
                text.lines().map(|line| line.chars().fold(mark.to_owned(), |line, character| line + clean(character).encode_utf8(&mut [0; 4]))),
            );
            start = end;
        }
        if self.is_cut {
            lines.push("(the rest is left out)".to_owned());
        }
        self.clear();
        lines
    }

    fn add(&mut self, side: Side, octets: &[u8]) {
        if self.is_cut || self.octets.len() + octets.len() > MAX_OCTETS {
            self.is_cut = true;
            return;
        }
        self.octets.extend_from_slice(octets);
        self.parts.push((side, self.octets.len()));
    }
}

fn clean(character: char) -> char {
    if character.is_control() { ' ' } else { character }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dialogue_reads_as_lines_and_content_as_its_size() {
        let mut transcript = Transcript::default();
        transcript.server(b"220 mx\r\n");
        transcript.client(b"MAIL FROM:<a@b.example>\r\nDATA\r\n");
        transcript.content(42);
        transcript.server(b"250-one\r\n250 \x1btwo\r\n");
        let lines = transcript.take();
        assert_eq!(lines, ["S: 220 mx", "C: MAIL FROM:<a@b.example>", "C: DATA", "C: (42 octets of content)", "S: 250-one", "S: 250  two"]);
        assert!(transcript.take().is_empty());
    }

    #[test]
    fn a_long_dialogue_is_cut() {
        let mut transcript = Transcript::default();
        for _ in 0..1000 {
            transcript.server(b"250 again and again\r\n");
        }
        let lines = transcript.take();
        assert!(lines.len() < 1000);
        assert_eq!(lines.last().map(String::as_str), Some("(the rest is left out)"));
    }
}
