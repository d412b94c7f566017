//! Replies as they are written (RFC 5321 4.2, RFC 2034, RFC 3463).
//!
//! Answers: the octets of a reply: printable ASCII in lines of at most 512, each with its code and its enhanced status code. What a text repeats of
//! a client's words can therefore not end a line or start another reply.
//! Does not: choose the reply.

use crate::model::Reply;

/// Octets of a reply line, its end included (RFC 5321 4.5.3.1.5).
const MAX_LINE_OCTETS: usize = 512;

/// Writes `reply` onto the end of `output`. Its text begins with the enhanced status code, if it has one; line ends in it make further lines.
pub fn write(output: &mut Vec<u8>, reply: &Reply) {
    let enhanced = reply.enhanced.map(|status| format!("{status} ")).unwrap_or_default();
    let text = reply.text.strip_prefix(enhanced.as_str()).unwrap_or(&reply.text);
    let room = MAX_LINE_OCTETS - "250 ".len() - "\r\n".len() - enhanced.len();
    let mut lines = Vec::new();
    for line in text.split('\n') {
        let clean: String = line.trim_end_matches('\r').chars().map(printable).collect();
        lines.extend(pieces(&clean, room));
    }
    let last = lines.len().saturating_sub(1);
    for (place, line) in lines.iter().enumerate() {
        let mark = if place == last { ' ' } else { '-' };
        output.extend_from_slice(format!("{}{mark}{enhanced}{line}\r\n", reply.code).as_bytes());
    }
}

/// Parts of at most `room` octets, broken at a blank where there is one.
fn pieces(text: &str, room: usize) -> Vec<String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while rest.len() > room {
        let head = rest.get(..room).unwrap_or(rest);
        let cut = head.rfind(' ').filter(|at| *at > 0).unwrap_or(room);
        let (part, more) = rest.split_at_checked(cut).unwrap_or((rest, ""));
        parts.push(part.to_owned());
        rest = more.trim_start_matches(' ');
    }
    parts.push(rest.to_owned());
    parts
}

fn printable(character: char) -> char {
    if character == ' ' || character.is_ascii_graphic() { character } else { '?' }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(code: u16, text: &str) -> String {
        let mut output = Vec::new();
        write(&mut output, &Reply::new(code, text));
        String::from_utf8(output).unwrap()
    }

    #[test]
    fn every_line_has_its_codes() {
        assert_eq!(written(250, "2.1.0 ok"), "250 2.1.0 ok\r\n");
        assert_eq!(written(250, "mail.example\nSIZE 10"), "250-mail.example\r\n250 SIZE 10\r\n");
        assert_eq!(written(554, "5.6.0 one\ntwo"), "554-5.6.0 one\r\n554 5.6.0 two\r\n");
        assert_eq!(written(354, ""), "354 \r\n");
    }

    #[test]
    fn what_a_client_wrote_cannot_make_another_reply() {
        assert_eq!(written(550, "5.1.1 <a\r\n250 ok>"), "550-5.1.1 <a\r\n550 5.1.1 250 ok>\r\n");
        assert_eq!(written(501, "5.5.4 \u{1b}[31m\u{e9}\0"), "501 5.5.4 ?[31m??\r\n");
    }

    #[test]
    fn a_long_text_is_broken_into_lines_of_at_most_512_octets() {
        for text in ["word ".repeat(300), "x".repeat(1500)] {
            let whole = written(554, &format!("5.6.0 {text}"));
            assert!(whole.lines().count() > 2 && whole.split_inclusive("\r\n").all(|line| line.len() <= 512), "{whole}");
            assert!(whole.lines().all(|line| line.get(3..10) == Some("-5.6.0 ") || line.get(3..10) == Some(" 5.6.0 ")), "{whole}");
        }
    }
}
