//! Runs the dialogues of `tests/dialogs`: the server's side is the text, the client's side is the real client on a real socket.
//!
//! A file has a head (`to:`, `from:`, `content:`, `flags:`, `tls:`; `next` begins another message of the same session), then `---`,
//! then the dialogue. `S:` lines are sent, together as far as no other line is between them; `C:` lines are expected. `S*n:` sends a line
//! n times, `S^:` sends raw octets with escapes. `wait: 9m` moves the clock, `hold` moves it until the client gives up, `drop` closes.
//! `E:` lines are what the client must report in the end.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::client::{End, Session, Settings, TlsUse, Transaction};
use super::timeouts::Timeouts;
use crate::clock::Clock;
use crate::model::{EmailAddress, ReversePath};
use crate::net::tls;

#[derive(Clone)]
struct Message {
    from: ReversePath,
    to: Vec<EmailAddress>,
    content: Vec<u8>,
    flags: String,
}

struct Dialog {
    messages: Vec<Message>,
    tls: TlsUse,
    script: Vec<String>,
    expected: Vec<String>,
}

fn unescape(text: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'\\' {
            octets.push(*first);
            continue;
        }
        let (kind, after) = rest.split_first().expect("an escape");
        rest = after;
        octets.push(match kind {
            b'r' => b'\r',
            b'n' => b'\n',
            b'0' => 0,
            other => panic!("unknown escape {other}"),
        });
    }
    octets
}

fn parse(text: &str) -> Dialog {
    let (head, body) = text.split_once("---\n").expect("a head");
    let fresh = Message {
        from: ReversePath::Address(EmailAddress::parse("sender@example.com").expect("an address")),
        to: Vec::new(),
        content: b"Subject: hi\r\n\r\nbody\r\n".to_vec(),
        flags: String::new(),
    };
    let mut dialog = Dialog { messages: vec![fresh.clone()], tls: TlsUse::Off, script: Vec::new(), expected: Vec::new() };
    for line in head.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let message = dialog.messages.last_mut().expect("a message");
        match line.split_once(": ").unwrap_or((line, "")) {
            ("to", address) => message.to.push(EmailAddress::parse(address).expect("an address")),
            ("from", "<>") => message.from = ReversePath::Null,
            ("content", content) => message.content = unescape(content),
            ("flags", flags) => flags.clone_into(&mut message.flags),
            ("tls", "opportunistic") => dialog.tls = TlsUse::Opportunistic(tls::opportunistic()),
            ("tls", "require") => dialog.tls = TlsUse::Require(tls::opportunistic()),
            ("next", _) => dialog.messages.push(fresh.clone()),
            other => panic!("unknown head line {other:?}"),
        }
    }
    for line in body.lines().filter(|line| !line.is_empty()) {
        match line.strip_prefix("E: ") {
            Some(expected) => dialog.expected.push(expected.to_owned()),
            None => dialog.script.push(line.to_owned()),
        }
    }
    dialog
}

fn duration(text: &str) -> Duration {
    let (number, unit) = text.split_at(text.len() - 1);
    let number = number.parse().expect("a number");
    if unit == "m" { Duration::from_mins(number) } else { Duration::from_secs(number) }
}

/// Plays the server's side. Returns what the client said differently, if it did.
async fn serve(stream: TcpStream, script: Vec<String>, clock: Clock) -> Option<String> {
    let mut stream = BufReader::new(stream);
    let mut pending: Vec<u8> = Vec::new();
    for line in script {
        let (kind, rest) = line.split_once(": ").unwrap_or((line.trim_end_matches(':'), ""));
        match kind {
            "S" => pending.extend([rest.as_bytes(), b"\r\n"].concat()),
            "S^" => pending.extend(unescape(rest)),
            _ if kind.starts_with("S*") => {
                let times = kind[2..].parse().expect("a number");
                pending.extend([rest.as_bytes(), b"\r\n"].concat().repeat(times));
            }
            _ => {
                // The client may have closed already; then its report tells.
                let _ = stream.get_mut().write_all(&std::mem::take(&mut pending)).await;
            }
        }
        match kind {
            "C" => {
                let mut said = Vec::new();
                let _ = stream.read_until(b'\n', &mut said).await;
                if said != [rest.as_bytes(), b"\r\n"].concat() {
                    return Some(format!("expected {rest:?}, the client said {:?}", String::from_utf8_lossy(&said)));
                }
            }
            "wait" => clock.advance(duration(rest)),
            "hold" => {
                let mut left = Vec::new();
                let mut closed = std::pin::pin!(stream.read_to_end(&mut left));
                while futures_util::poll!(closed.as_mut()).is_pending() {
                    clock.advance(Duration::from_mins(1));
                    tokio::task::yield_now().await;
                }
                return None;
            }
            "drop" => return None,
            _ => {}
        }
    }
    let _ = stream.get_mut().write_all(&pending).await;
    None
}

fn render(end: &End) -> String {
    match end {
        End::Reply(reply) => format!("reply {reply}"),
        End::Fault(fault) => format!("fault {fault}"),
        End::NotTried(reply) => format!("not tried {reply}"),
    }
}

/// Plays the client's side and reports.
async fn send(stream: TcpStream, messages: Vec<Message>, tls: TlsUse, clock: Clock) -> Vec<String> {
    let settings =
        Settings { ehlo_name: "out.example".to_owned(), tls, timeouts: Timeouts::default(), server_name: "mx.example".to_owned(), login: None };
    let mut session = match Session::open(stream, &settings, &clock).await {
        Ok(session) => session,
        Err(failure) => return vec![format!("open: {:?} {}", failure.stage, failure.cause)],
    };
    let mut report = Vec::new();
    for message in messages {
        let content: &[&[u8]] = &[&message.content];
        let transaction = Transaction {
            reverse_path: &message.from,
            recipients: &message.to,
            content,
            size: message.content.len(),
            eight_bit: message.flags.contains("eight_bit"),
            smtputf8: message.flags.contains("smtputf8"),
            require_tls: message.flags.contains("require_tls"),
            reports: None,
        };
        let sent = session.send(&transaction).await;
        assert_eq!(sent.recipients.len(), message.to.len());
        for (to, end) in message.to.iter().zip(sent.recipients) {
            report.push(format!("{to}: {:?} {}", end.stage, render(&end.end)));
        }
    }
    report.push(if session.is_reusable() { "reusable" } else { "not reusable" }.to_owned());
    session.quit().await;
    report
}

async fn play(text: &str) -> Result<(), String> {
    let dialog = parse(text);
    let clock = Clock::movable();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let client = TcpStream::connect(listener.local_addr().expect("its address")).await.expect("a connection");
    let (server, _) = listener.accept().await.expect("a connection");
    // The client first, so that it waits already when the script moves the clock.
    let (report, departure) = tokio::join!(send(client, dialog.messages, dialog.tls, clock.clone()), serve(server, dialog.script, clock.clone()));
    if let Some(departure) = departure {
        return Err(format!("{departure}; report {report:#?}"));
    }
    if report == dialog.expected { Ok(()) } else { Err(format!("expected {:#?}, got {report:#?}", dialog.expected)) }
}

#[tokio::test]
async fn every_dialogue_goes_as_written() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dialogs");
    let mut files: Vec<_> = std::fs::read_dir(&folder).expect("the folder").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    assert!(files.len() >= 30, "only {} dialogues", files.len());
    let mut wrong = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a dialogue");
        if let Err(difference) = play(&text).await {
            wrong.push(format!("{}: {difference}", file.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[tokio::test]
async fn a_dialogue_that_goes_differently_is_noticed() {
    let script = "to: a@example.net\n---\nS: 220 mx\nC: EHLO other.example\nE: reusable\n";
    assert!(play(script).await.is_err_and(|difference| difference.contains("EHLO out.example")));
    let report = "to: a@example.net\n---\nS: 554 no\nE: reusable\n";
    assert!(play(report).await.is_err_and(|difference| difference.contains("Greeting 554 no")));
}
