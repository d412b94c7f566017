//! A mail host that follows a script: `S:` lines are sent, `C:` lines are awaited, `!` lines do something else.
//!
//! `C: MAIL` waits for a line that starts so. `C: .` reads content up to the lone dot. `!close` ends the connection, `!reset` resets
//! it, `!silence` reads but says nothing until the client goes, `!stall` does not even read, `!wait` waits for
//! [`ScriptedHost::go_on`], `!wait 60` lets a minute of the world's time pass, `!take` greets and takes all mail from here on, `!more`
//! takes what was just sent and all that follows. Lines are without CRLF; `S:- text` sends raw text with `\r`, `\n`, `\0` escapes
//! and no line end, `S:* 100 text` sends such text a hundred times. One script serves one connection; the last all later ones.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use pennypost::clock::Clock;
use pennypost::supervisor::Supervisor;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::checker::Copy;

/// Greeting and EHLO of a host without extensions but SIZE, then `steps`.
pub fn after_hello(steps: &str) -> String {
    format!("S: 220 mx\nC: EHLO\nS: 250-mx\nS: 250 SIZE 50000000\n{steps}")
}

/// One whole transaction of one recipient, taken.
pub const TAKEN: &str = "C: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: DATA\nS: 354 go\nC: .\nS: 250 2.0.0 taken\n";

/// A scripted host that listens.
pub struct ScriptedHost {
    /// Where it listens.
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
    heard: Arc<std::sync::Mutex<Vec<String>>>,
    go: Arc<Notify>,
}

impl ScriptedHost {
    pub(super) async fn start(listen: SocketAddr, scripts: &[&str], lab: &Supervisor, clock: &Clock) -> Self {
        let listener = TcpListener::bind(listen).await.unwrap();
        let clock = clock.clone();
        let scripts: Vec<String> = scripts.iter().map(|script| (*script).to_owned()).collect();
        let connections = Arc::new(AtomicUsize::new(0));
        let heard = Arc::new(std::sync::Mutex::new(Vec::new()));
        let go = Arc::new(Notify::new());
        let (count, log, tasks, gate) = (Arc::clone(&connections), Arc::clone(&heard), lab.clone(), Arc::clone(&go));
        lab.spawn("scripted host", async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = count.fetch_add(1, Ordering::SeqCst);
                let script = scripts.get(number).or(scripts.last()).unwrap().clone();
                let cues = Cues { go: Arc::clone(&gate), clock: clock.clone() };
                tasks.spawn("scripted connection", play(stream, script, Arc::clone(&log), cues));
            }
        });
        Self { address: listen, connections, heard, go }
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Every line heard so far.
    pub fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    /// Lets one connection pass its `!wait`.
    pub fn go_on(&self) {
        self.go.notify_one();
    }

    /// Messages heard to their final dot, whatever was answered. Of sessions that do not overlap.
    pub fn copies(&self) -> Vec<Copy> {
        let (mut copies, mut recipients, mut content) = (Vec::new(), Vec::new(), None::<Vec<u8>>);
        for line in self.heard() {
            match (&mut content, line.as_str()) {
                (Some(octets), ".") => {
                    copies.extend(recipients.drain(..).map(|recipient| Copy { recipient, content: octets.clone() }));
                    content = None;
                }
                (Some(octets), text) => octets.extend_from_slice(format!("{}\r\n", text.strip_prefix('.').unwrap_or(text)).as_bytes()),
                (None, "DATA") => content = Some(Vec::new()),
                (None, text) if text.starts_with("MAIL ") => recipients.clear(),
                (None, text) => recipients.extend(text.strip_prefix("RCPT TO:<").and_then(|rest| rest.split_once('>')).map(|(to, _)| to.to_owned())),
            }
        }
        copies
    }
}

/// What a script can wait for.
struct Cues {
    go: Arc<Notify>,
    clock: Clock,
}

async fn play(stream: TcpStream, script: String, heard: Arc<std::sync::Mutex<Vec<String>>>, cues: Cues) {
    let mut stream = BufReader::new(stream);
    for step in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let more = match step.split_at_checked(2) {
            Some(("S:", text)) => stream.write_all(&said(text)).await.is_ok(),
            Some(("C:", text)) => hear(&mut stream, text.trim(), &heard).await,
            _ if step == "!take" => take(&mut stream, "220 mx", &heard).await,
            _ if step == "!more" => take(&mut stream, "250 taken", &heard).await,
            _ => act(&mut stream, step, &cues).await,
        };
        if !more {
            return;
        }
    }
    // The script is over: wait for the client to go, so that it reads what was said.
    while hear(&mut stream, "", &heard).await {}
}

fn said(text: &str) -> Vec<u8> {
    let escaped = |raw: &str| raw.trim_start().replace("\\r", "\r").replace("\\n", "\n").replace("\\0", "\0");
    match text.split_at_checked(1) {
        Some(("-", raw)) => escaped(raw).into_bytes(),
        Some(("*", many)) => {
            let (times, raw) = many.trim_start().split_once(' ').unwrap();
            escaped(raw).repeat(times.parse().unwrap()).into_bytes()
        }
        _ => format!("{}\r\n", text.trim_start()).into_bytes(),
    }
}

/// Reads lines until one starts with `wanted`. False: the client is gone.
async fn hear(stream: &mut BufReader<TcpStream>, wanted: &str, heard: &std::sync::Mutex<Vec<String>>) -> bool {
    loop {
        let mut line = Vec::new();
        match stream.read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return false,
            Ok(_) => {}
        }
        let line = String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned();
        heard.lock().unwrap().push(line.clone());
        let matches = if wanted == "." { line == "." } else { line.to_ascii_uppercase().starts_with(&wanted.to_ascii_uppercase()) };
        if matches {
            return true;
        }
    }
}

/// Says `reply`, and then yes to everything.
async fn take(stream: &mut BufReader<TcpStream>, mut reply: &'static str, heard: &std::sync::Mutex<Vec<String>>) -> bool {
    loop {
        if stream.write_all(format!("{reply}\r\n").as_bytes()).await.is_err() || reply.starts_with("221") || !hear(stream, "", heard).await {
            return false;
        }
        let line = heard.lock().unwrap().last().cloned().unwrap_or_default();
        reply = match line.split([' ', ':']).next().unwrap_or_default() {
            "DATA" => {
                if stream.write_all(b"354 go\r\n").await.is_err() || !hear(stream, ".", heard).await {
                    return false;
                }
                "250 2.0.0 taken"
            }
            "QUIT" => "221 bye",
            _ => "250 ok",
        };
    }
}

async fn act(stream: &mut BufReader<TcpStream>, step: &str, cues: &Cues) -> bool {
    if let Some(seconds) = step.strip_prefix("!wait ") {
        cues.clock.sleep(Duration::from_secs(seconds.parse().unwrap())).await;
        return true;
    }
    match step {
        "!close" => {
            let _gone = stream.shutdown().await;
            false
        }
        "!reset" => {
            stream.get_ref().set_zero_linger().unwrap();
            false
        }
        "!silence" => {
            let mut rest = Vec::new();
            let _gone = tokio::io::AsyncReadExt::read_to_end(stream, &mut rest).await;
            false
        }
        "!stall" => std::future::pending().await,
        "!wait" => {
            cues.go.notified().await;
            true
        }
        other => panic!("no such step: {other}"),
    }
}
