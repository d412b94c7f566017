//! Whole sessions as text. `C:` lines are sent, `C^:` are raw octets with escapes; `S:` is how each reply line must begin, in order; `tls` runs a
//! handshake, `kept:` is what the last message was. Every session runs in one piece, in single octets, and in pieces between: the answers must be the same.

use std::sync::Arc;

use bytes::BytesMut;

use super::command::reply;
use super::path::Recipient;
use super::session::{Ask, Channel, Message, Next, Purpose, Session, Settings};
use crate::model::Reply;

const SIGNED_IN: &str = "C: EHLO c\nC: AUTH PLAIN AHVzZXIAcHc=\nS: 220 \nS: 250-mx\nS: 250-PIPELINING\nS: 250-8BITMIME\nS: 250-SMTPUTF8\n\
    S: 250-ENHANCEDSTATUSCODES\nS: 250-CHUNKING\nS: 250-DSN\nS: 250-AUTH PLAIN LOGIN\nS: 250-REQUIRETLS\nS: 250 SIZE 1000\nS: 235 2.7.0\n";
const ENVELOPE: &str = "C: MAIL FROM:<a@b.example>\nS: 250 2.1.0\nC: RCPT TO:<x@y.example>\nS: 250 2.1.5\n";

fn settings(purpose: Purpose) -> Arc<Settings> {
    Arc::new(Settings { hostname: "mx".to_owned(), purpose, max_octets: 1000, max_recipients: 3 })
}

fn judge(ask: &Ask) -> Reply {
    reply(match ask {
        Ask::SignIn(who) if who.user == "user" && who.password.expose() == "pw" => "235 2.7.0 welcome",
        Ask::SignIn(_) => "535 5.7.8 user name or password is wrong",
        Ask::Mail(path) if path.to_string().starts_with("<stranger") => "550 5.7.1 not yours",
        Ask::Mail(_) => "250 2.1.0 ok",
        Ask::Rcpt(Recipient::Postmaster) => "550 5.1.1 nobody reads mail here",
        Ask::Rcpt(_) => "250 2.1.5 ok",
        Ask::Message(message) if message.content.starts_with(b"later") => "451 4.3.0 not now",
        Ask::Message(_) => "250 2.0.0 kept",
    })
}

/// What a run brought: everything said, the messages kept, the clear text left over at the handshake.
#[derive(Debug, PartialEq, Eq)]
struct Run {
    said: String,
    kept: Vec<Message>,
    closed: bool,
}

/// Sends flights, with a handshake between them, in pieces of `size` octets.
fn run(purpose: Purpose, channel: Channel, flights: &[Vec<u8>], size: usize) -> Run {
    let mut session = Session::new(settings(purpose), channel);
    let (mut output, mut kept, mut closed) = (Vec::new(), Vec::new(), false);
    session.greet(&mut output);
    for flight in flights {
        let mut input = BytesMut::new();
        'flight: for piece in flight.chunks(size) {
            input.extend_from_slice(piece);
            loop {
                match session.step(&mut input, &mut output) {
                    Next::Read => break,
                    Next::StartTls => {
                        session.tls_started();
                        break 'flight;
                    }
                    Next::Close => {
                        closed = true;
                        break 'flight;
                    }
                    Next::Ask(ask) => {
                        let told = judge(&ask);
                        session.answer(&mut output, &told);
                        if let Ask::Message(message) = ask {
                            kept.extend(told.is_positive().then_some(*message));
                        }
                    }
                }
            }
        }
    }
    Run { said: String::from_utf8(output).unwrap(), kept, closed }
}

fn unescape(text: &str) -> Vec<u8> {
    text.replace("\\r", "\r").replace("\\n", "\n").replace("\\0", "\0").into_bytes()
}

/// Runs a dialogue and answers what it left behind.
fn dialog(purpose: Purpose, channel: Channel, text: &str) -> Run {
    let (mut flights, mut expected) = (vec![Vec::new()], Vec::new());
    for line in text.lines().map(str::trim_start) {
        let sent = flights.last_mut().unwrap();
        if let Some(command) = line.strip_prefix("C: ") {
            sent.extend_from_slice(command.as_bytes());
            sent.extend_from_slice(b"\r\n");
        } else if let Some(raw) = line.strip_prefix("C^: ") {
            sent.extend(unescape(raw));
        } else if line == "tls" {
            flights.push(Vec::new());
        } else if let Some(begin) = line.strip_prefix("S: ") {
            expected.push(begin.to_owned());
        } else {
            assert!(line.is_empty(), "not a line of a dialogue: {line}");
        }
    }
    let whole = run(purpose, channel, &flights, usize::MAX);
    let said: Vec<&str> = whole.said.lines().collect();
    let fits = said.len() == expected.len() && said.iter().zip(&expected).all(|(said, expected)| said.starts_with(expected.as_str()));
    assert!(fits, "said:\n{}\nexpected:\n{}\nof:\n{text}", whole.said, expected.join("\n"));
    if flights.len() == 1 {
        for size in [1, 2, 3, 5, 17] {
            assert_eq!(run(purpose, channel, &flights, size), whole, "in pieces of {size}");
        }
    }
    whole
}

fn submission(rest: &str) -> Run {
    dialog(Purpose::Submission, Channel::Tls, &format!("{SIGNED_IN}{rest}"))
}

#[test]
fn a_message_is_taken_and_another_in_the_same_session() {
    let found = submission(&format!(
        "{ENVELOPE}C: DATA\nS: 354\nC: Subject: a\nC: \nC: ..b\nC: .\nS: 250 2.0.0 kept\n\
         C: MAIL FROM:<> SIZE=9 BODY=8BITMIME\nS: 250\nC: RCPT TO:<x@y.example> NOTIFY=NEVER\nS: 250\nC: RCPT TO:<z@y.example>\nS: 250\n\
         C: DATA\nS: 354\nC: b\nC: .\nS: 250 2.0.0 kept\nC: QUIT\nS: 221\n"
    ));
    assert_eq!(found.kept[0].content, b"Subject: a\r\n\r\n.b\r\n");
    assert_eq!((found.kept[1].reverse_path.to_string().as_str(), found.kept[1].recipients.len()), ("<>", 2));
    assert!(found.closed);
}

#[test]
fn chunks_make_one_message() {
    let found =
        submission(&format!("{ENVELOPE}C: BDAT 4\nC^: a\\r\\nb\nS: 250 2.0.0\nC: BDAT 2\nC^: \\r\\n\nS: 250\nC: BDAT 0 LAST\nS: 250 2.0.0 kept\n"));
    assert_eq!(found.kept[0].content, b"a\r\nb\r\n");
    assert_eq!(found.kept[0].recipients.len(), 1);
}

#[test]
fn a_message_of_many_chunks_is_not_cut_off_and_tiny_ones_are_counted() {
    let chunks = |octets: usize| {
        let settings = Settings { max_octets: 1024 * 1024, ..Settings::clone(&settings(Purpose::Exchange)) };
        let (mut session, mut output) = (Session::new(Arc::new(settings), Channel::Clear), Vec::new());
        let mut flight = b"HELO c\r\nMAIL FROM:<>\r\nRCPT TO:<x@y.example>\r\n".to_vec();
        for _ in 0..400 {
            flight.extend(format!("BDAT {octets}\r\n").into_bytes());
            flight.extend(vec![b'x'; octets]);
        }
        flight.extend(b"BDAT 0 LAST\r\n");
        let mut input = BytesMut::from(flight.as_slice());
        loop {
            match session.step(&mut input, &mut output) {
                Next::Ask(ask) => session.answer(&mut output, &judge(&ask)),
                _ => return String::from_utf8(output).unwrap(),
            }
        }
    };
    assert!(chunks(1024).ends_with("250 2.0.0 kept\r\n"));
    assert!(chunks(1023).ends_with("421 4.7.0 too many commands without a message, good bye\r\n"));
}

#[test]
fn reports_are_promised_to_our_users_and_not_to_the_world() {
    let world = dialog(
        Purpose::Exchange,
        Channel::Clear,
        "S: 220\nC: EHLO c\nS: 250-mx\nS: 250-PIPELINING\nS: 250-8BITMIME\nS: 250-SMTPUTF8\nS: 250-ENHANCEDSTATUSCODES\nS: 250-CHUNKING\nS: 250-STARTTLS\nS: 250 SIZE\n",
    );
    assert!(!world.said.contains("DSN"));
}

#[test]
fn before_tls_nothing_but_starttls() {
    let found = dialog(
        Purpose::Submission,
        Channel::Clear,
        "S: 220\nC: EHLO c\nS: 250-mx\nS: 250-PIPELINING\nS: 250-8BITMIME\nS: 250-SMTPUTF8\nS: 250-ENHANCEDSTATUSCODES\nS: 250-CHUNKING\nS: 250-DSN\n\
         S: 250-STARTTLS\nS: 250 SIZE 1000\nC: AUTH PLAIN AHVzZXIAcHc=\nS: 530 5.7.0\nC: AUTH LOGIN\nS: 530 5.7.0\nC: MAIL FROM:<a@b.example>\nS: 530 5.7.0\n\
         C: RCPT TO:<x@y.example>\nS: 530 5.7.0\nC: DATA\nS: 530 5.7.0\nC: BDAT 4 LAST\nC^: RSET\nS: 530 5.7.0\nC: VRFY a\nS: 252\nC: EXPN a\nS: 502\n",
    );
    assert!(found.kept.is_empty());
}

#[test]
fn nothing_read_before_tls_survives_it() {
    let injected = "S: 220\nC: EHLO c\nS: 250-mx\nS: 250-PIPELINING\nS: 250-8BITMIME\nS: 250-SMTPUTF8\nS: 250-ENHANCEDSTATUSCODES\nS: 250-CHUNKING\n\
        S: 250-DSN\nS: 250-STARTTLS\nS: 250 SIZE 1000\nC: STARTTLS\nS: 220 2.0.0\nC: EHLO evil\nC: AUTH PLAIN AHVzZXIAcHc=\ntls\n\
        C: AUTH PLAIN AHVzZXIAcHc=\nS: 503 5.5.1 EHLO\nC: MAIL FROM:<a@b.example>\nS: 503 5.5.1 EHLO\nC: STARTTLS\nS: 503 5.5.1\nC: HELO c\nS: 250 mx\n\
        C: MAIL FROM:<a@b.example>\nS: 530 5.7.0\n";
    dialog(Purpose::Submission, Channel::Clear, injected);
    let world = "S: 220\nC: HELO c\nS: 250 mx\nC: MAIL FROM:<a@b.example>\nS: 250\nC: RCPT TO:<x@y.example>\nS: 250\nC: STARTTLS\nS: 220\ntls\n\
        C: HELO c\nS: 250\nC: DATA\nS: 503 5.5.1 MAIL\n";
    dialog(Purpose::Exchange, Channel::Clear, world);
}

#[test]
fn commands_out_of_order_are_refused_and_change_nothing() {
    submission(
        "C: RCPT TO:<x@y.example>\nS: 503 5.5.1\nC: DATA\nS: 503 5.5.1\nC: AUTH PLAIN AHVzZXIAcHc=\nS: 503 5.5.1\nC: MAIL FROM:<a@b.example>\nS: 250\n\
         C: MAIL FROM:<b@b.example>\nS: 503 5.5.1\nC: DATA\nS: 554 5.5.1 no valid\nC: BDAT 2 LAST\nC^: ab\nS: 554 5.5.1\nC: RCPT TO:<postmaster>\nS: 550 5.1.1\n\
         C: RCPT TO:<x@y.example>\nS: 250\nC: BDAT 2\nC^: ab\nS: 250\nC: DATA\nS: 503 5.5.1\nC: RCPT TO:<z@y.example>\nS: 503\nC: RSET\nS: 250\n\
         C: BDAT 2 LAST\nC^: ab\nS: 503\nC: MAIL FROM:<a@b.example>\nS: 250\nC: EHLO c\nS: 250-mx\nS: 250-PIPELINING\nS: 250-8BITMIME\nS: 250-SMTPUTF8\n\
         S: 250-ENHANCEDSTATUSCODES\nS: 250-CHUNKING\nS: 250-DSN\nS: 250-AUTH\nS: 250-REQUIRETLS\nS: 250 SIZE\nC: RCPT TO:<x@y.example>\nS: 503\n\
         C: MAIL FROM:<stranger@b.example>\nS: 550 5.7.1\nC: RCPT TO:<x@y.example>\nS: 503\n",
    );
}

#[test]
fn signing_in_goes_wrong_in_many_ways() {
    dialog(
        Purpose::Submission,
        Channel::Tls,
        "S: 220\nC: HELO c\nS: 250\nC: AUTH CRAM-MD5\nS: 504 5.5.4\nC: AUTH PLAIN !!\nS: 501 5.5.2\nC: AUTH PLAIN\nS: 334 \nC: *\nS: 501\nC: AUTH PLAIN =\nS: 501 5.5.2\n\
         C: AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC: dXNlcg==\nS: 334 UGFzc3dvcmQ6\nC: eA==\nS: 535 5.7.8\nC: MAIL FROM:<a@b.example>\nS: 530 5.7.0\n\
         C: AUTH LOGIN dXNlcg==\nS: 334 UGFzc3dvcmQ6\nC: cHc=\nS: 235\nC: AUTH LOGIN\nS: 503\nC: MAIL FROM:<a@b.example>\nS: 250\n",
    );
    let long = format!("S: 220\nC: HELO c\nS: 250\nC: AUTH PLAIN\nS: 334\nC: {}\nS: 500 5.5.6\nC: NOOP\nS: 250\n", "A".repeat(12_288));
    dialog(Purpose::Submission, Channel::Tls, &long);
    dialog(Purpose::Exchange, Channel::Tls, "S: 220\nC: HELO c\nS: 250\nC: AUTH PLAIN AHVzZXIAcHc=\nS: 502 5.5.1\n");
}

#[test]
fn size_is_kept_to_when_told_and_when_not() {
    let big = "x".repeat(98) + "\nC: ";
    let found = submission(&format!(
        "C: MAIL FROM:<a@b.example> SIZE=1001\nS: 552 5.3.4\nC: MAIL FROM:<a@b.example> SIZE=99999999999999999999\nS: 552 5.3.4\n\
         C: MAIL FROM:<a@b.example> SIZE=-1\nS: 501 5.5.4\nC: MAIL FROM:<a@b.example> SIZE=10\nS: 250\nC: RCPT TO:<x@y.example>\nS: 250\nC: DATA\nS: 354\n\
         C: {}\nC: .\nS: 552 5.3.4\n{ENVELOPE}C: BDAT 1001\nC^: {}\nS: 552 5.3.4\nC: BDAT 1 LAST\nC^: x\nS: 503\n{ENVELOPE}C: DATA\nS: 354\nC: ok\nC: .\nS: 250\n",
        big.repeat(10),
        "x".repeat(1001)
    ));
    assert_eq!(found.kept.len(), 1);
    assert!(submission(&format!("{ENVELOPE}C: BDAT 99999999 LAST\nS: 552 5.3.4\n")).closed);
    let endless = format!("{SIGNED_IN}{ENVELOPE}C: DATA\n")
        .lines()
        .filter_map(|line| line.strip_prefix("C: "))
        .map(|line| format!("{line}\r\n"))
        .collect::<String>();
    let endless = [endless.into_bytes(), vec![b'x'; 1024 * 1024 + 2001]].concat();
    let told = run(Purpose::Submission, Channel::Tls, &[endless], 64 * 1024);
    assert!(told.closed && told.said.ends_with("is all that is taken here\r\n"), "{}", told.said);
}

#[test]
fn a_message_that_cannot_be_kept_now_leaves_the_session_open() {
    let found = submission(&format!("{ENVELOPE}C: DATA\nS: 354\nC: later\nC: .\nS: 451 4.3.0\n{ENVELOPE}C: DATA\nS: 354\nC: now\nC: .\nS: 250\n"));
    assert_eq!(found.kept.len(), 1);
}

#[test]
fn recipients_over_the_limit_are_put_off() {
    let one = "C: RCPT TO:<x@y.example>\nS: 250\n".repeat(3);
    let found =
        submission(&format!("C: MAIL FROM:<a@b.example>\nS: 250\n{one}C: RCPT TO:<w@y.example>\nS: 452 4.5.3\nC: DATA\nS: 354\nC: .\nS: 250\n"));
    assert_eq!(found.kept[0].recipients.len(), 3);
}

#[test]
fn a_message_cannot_be_smuggled_behind_another() {
    for end in [
        "\\n.\\n",
        "\\n.\\r\\n",
        "\\r\\n.\\n",
        "\\r.\\r\\n",
        "\\r.\\r",
        "\\n.\\r",
        "\\r\\n.\\r",
        "\\r\\r\\n.\\r\\r\\n",
        "\\r\\n\\0.\\r\\n",
        "\\r\\n\\r.\\r\\n",
        "\\n\\n.\\n\\n",
    ] {
        let evil = "MAIL FROM:<a@b.example>\\r\\nRCPT TO:<z@y.example>\\r\\nDATA\\r\\nevil\\r\\n.\\r\\n";
        let flight = format!("{SIGNED_IN}{ENVELOPE}C: DATA\nC^: Subject: a\\r\\n\\r\\nb{end}{evil}\n");
        let sent: Vec<u8> = flight
            .lines()
            .flat_map(|line| match (line.strip_prefix("C: "), line.strip_prefix("C^: ")) {
                (Some(command), _) => [command.as_bytes(), b"\r\n"].concat(),
                (_, Some(raw)) => unescape(raw),
                _ => Vec::new(),
            })
            .collect();
        let found = run(Purpose::Submission, Channel::Tls, &[sent], usize::MAX);
        assert!(found.kept.len() <= 1 && found.kept.iter().all(|kept| !kept.content.starts_with(b"evil")), "{end}");
        let harmless = end == "\\r\\n\\0.\\r\\n";
        assert_eq!((found.closed, found.kept.len()), (!harmless, usize::from(harmless)), "{end}: {}", found.said);
        assert_eq!(found.said.contains("554 5.6.0"), !harmless, "{end}");
    }
    for chunk in ["a\\n.\\nb", "a\\r.\\rb", "a\\nb", "a\\rb", "a\\r"] {
        let octets = unescape(chunk).len();
        let found = submission(&format!("{ENVELOPE}C: BDAT {octets} LAST\nC^: {chunk}\nS: 554 5.6.0\nC: NOOP\nS: 250\n"));
        assert!(found.kept.is_empty(), "{chunk}");
    }
}

#[test]
fn a_command_that_does_not_end_in_crlf_is_not_executed() {
    let found = submission(
        "C^: MAIL FROM:<a@b.example>\\nRCPT TO:<x@y.example>\\r\\nMAIL FROM:<a@b.example>\\rDATA\\r\\n\nS: 500 5.5.2\nS: 503\nS: 501 5.5.4\n",
    );
    assert!(found.kept.is_empty());
}

#[test]
fn addresses_in_utf8_need_their_parameter() {
    submission(
        "C: MAIL FROM:<ü@b.example>\nS: 553 5.6.7\nC: MAIL FROM:<a@b.example>\nS: 250\nC: RCPT TO:<x@bücher.example>\nS: 553 5.6.7\nC: RSET\nS: 250\n\
         C: MAIL FROM:<ü@b.example> SMTPUTF8\nS: 250\nC: RCPT TO:<x@bücher.example>\nS: 250\n",
    );
}

#[test]
fn a_client_that_only_makes_errors_is_sent_away() {
    let errors = "C: FOO\nS: 500 5.5.2\n".repeat(20);
    let found = dialog(Purpose::Submission, Channel::Clear, &format!("S: 220\n{errors}S: 421 4.7.0\nC: NOOP\n"));
    assert!(found.closed);
    let loops = "C: NOOP\nS: 250\n".repeat(203);
    assert!(dialog(Purpose::Submission, Channel::Clear, &format!("S: 220\n{loops}C: NOOP\nS: 421 4.7.0\n")).closed);
    let loops = "C: RSET\nS: 250\n".repeat(203);
    assert!(dialog(Purpose::Exchange, Channel::Clear, &format!("S: 220\n{loops}C: RSET\nS: 421 4.7.0\n")).closed);
    let loops = "C: STARTTLS\nS: 503\n".repeat(20);
    assert!(dialog(Purpose::Exchange, Channel::Tls, &format!("S: 220\n{loops}S: 421 4.7.0\nC: NOOP\n")).closed);
}

#[test]
fn other_protocols_are_sent_away_at_once() {
    for hello in [
        "GET / HTTP/1.1\\r\\nHost: mx\\r\\n\\r\\n",
        "\u{16}\u{3}\u{1}\\0",
        "SSH-2.0-OpenSSH\\r\\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 587\\r\\nEHLO c\\r\\n",
        "\\r\\n\\r\\n\\0\\r\\nQUIT\\n!\u{11}\\0\u{c}abcdabcdabcdEHLO c\\r\\n",
    ] {
        let found = dialog(Purpose::Submission, Channel::Clear, &format!("S: 220\nC^: {hello}\nS: 500 5.5.2\n"));
        assert!(found.closed, "{hello}");
    }
}

#[test]
fn long_lines_are_thrown_away() {
    let long = "x".repeat(3000);
    dialog(Purpose::Exchange, Channel::Tls, &format!("S: 220\nC: NOOP {long}\nS: 500 5.5.2\nC: AUTH PLAIN {long}\nS: 502\nC: NOOP\nS: 250\n"));
    let endless = "x".repeat(90_000);
    assert!(dialog(Purpose::Exchange, Channel::Tls, &format!("S: 220\nC^: {endless}\nS: 421 4.7.0\n")).closed);
    let response = format!("S: 220\nC: HELO c\nS: 250\nC: AUTH PLAIN\nS: 334\nC^: {endless}\nS: 421 4.7.0\n");
    assert!(dialog(Purpose::Submission, Channel::Tls, &response).closed);
}

#[test]
fn relay_syntax_of_old_is_refused() {
    for to in [
        "@mx:user@other.example",
        "user",
        "user@mx",
        "user@[127.0.0.1]",
        "user@[IPv6:::1]",
        "other.example!user",
        "\"user@other.example\"",
        "user@127.0.0.1",
    ] {
        submission(&format!("C: MAIL FROM:<a@b.example>\nS: 250\nC: RCPT TO:<{to}>\nS: 501 5.1.3\n"));
    }
}
