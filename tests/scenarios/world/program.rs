//! The program itself, in a process of its own, as an operator starts it: `pennypost serve` with its options in the environment.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::gateway::eventually;
use super::http::{self, Answer};
use super::{World, database};

/// What becomes of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Log {
    /// It is read, see [`Program::log`].
    Read,
    /// It goes into a pipe that nobody reads.
    Unread,
}

/// A running gateway. It is killed when dropped.
pub struct Program {
    child: Child,
    pub http: SocketAddr,
    key: String,
    lines: Arc<Mutex<Vec<Value>>>,
}

/// The program with the options of a world.
pub fn command(world: &World, before: &str) -> Command {
    let config = &world.config;
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{before} exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_pennypost")]).current_dir(database::scratch());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PENNYPOST_")) {
        command.env_remove(name);
    }
    command
        .env("DATABASE_URL", &world.database_url)
        .env("PENNYPOST_DATABASE__MAX_CONNECTIONS", "6")
        .env("PENNYPOST_SERVER__HOSTNAME", &config.server.hostname)
        .env("PENNYPOST_SERVER__HTTP_LISTEN", config.server.http_listen.to_string())
        .env("PENNYPOST_SERVER__MASTER_KEY_FILE", &config.server.master_key_file)
        .env("PENNYPOST_SMTP__SUBMISSION_LISTEN", "")
        .env("PENNYPOST_SMTP__SUBMISSIONS_LISTEN", "")
        .env("PENNYPOST_SMTP__MX_LISTEN", "")
        .env("PENNYPOST_DELIVERY__ALLOW_PRIVATE_ADDRESSES", "true")
        .env("PENNYPOST_DELIVERY__ALLOW_UNVERIFIED_DOMAINS", "true")
        .env("PENNYPOST_DELIVERY__MX_PORT", config.delivery.mx_port.to_string())
        .env("PENNYPOST_DELIVERY__IDLE_SECONDS", "1")
        .env("PENNYPOST_DELIVERY__RETRY_SECONDS", "1")
        .env("PENNYPOST_DNS__SERVERS", config.dns.servers[0].to_string())
        .env("PENNYPOST_DNS__TIMEOUT_SECONDS", "2")
        .env("PENNYPOST_TELEMETRY__LOG_FORMAT", "json")
        .stdin(Stdio::null());
    command
}

impl Program {
    /// Starts `serve` after the shell ran `before`, with more options, and waits until it is ready.
    pub async fn serve(world: &World, key: &str, before: &str, log: Log, options: &[(&str, &str)]) -> Self {
        let mut command = command(world, before);
        // Free a moment ago on an address that is ours, so it stays free.
        let http = std::net::TcpListener::bind(world.config.server.http_listen).unwrap().local_addr().unwrap();
        command.arg("serve").env("PENNYPOST_SERVER__HTTP_LISTEN", http.to_string()).stdout(Stdio::null()).stderr(Stdio::piped());
        command.envs(options.iter().map(|(name, value)| (format!("PENNYPOST_{name}"), *value)));
        let mut child = command.spawn().unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        if log == Log::Read {
            let (stderr, lines) = (child.stderr.take().unwrap(), Arc::clone(&lines));
            std::thread::spawn(move || {
                for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                    lines.lock().push(serde_json::from_str(&line).unwrap_or(Value::String(line)));
                }
            });
        }
        let mut program = Self { child, http, key: key.to_owned(), lines };
        program.ready().await;
        program
    }

    async fn ready(&mut self) {
        loop {
            let answer = eventually(|| async { Ok(http::try_call(self.http, "GET", "/readyz", &[], b"").await) }).await;
            if answer.is_ok_and(|answer| answer.status == 200) {
                return;
            }
            assert!(self.child.try_wait().unwrap().is_none(), "the program ended: {:#?}", self.log());
            eventually(|| async { Ok(()) }).await;
        }
    }

    /// The process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What was logged so far.
    pub fn log(&self) -> Vec<Value> {
        self.lines.lock().clone()
    }

    /// A request with the key.
    pub async fn call(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        let bearer = format!("Bearer {}", self.key);
        http::call(self.http, method, path, &[("authorization", &bearer), ("content-type", "application/json")], body).await
    }

    /// Posts a message.
    pub async fn post(&self, to: &str, text: &str) -> Answer {
        self.call("POST", "/v1/send", Self::request(to, text).as_bytes()).await
    }

    /// Posts a message and answers its id.
    pub async fn send(&self, to: &str) -> String {
        let answer = self.post(to, "A line.\n").await;
        assert_eq!(answer.status, 202, "{}", String::from_utf8_lossy(&answer.body));
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    /// A request to send, whole, for a connection that stays open.
    pub fn raw_request(&self, to: &str) -> String {
        let body = Self::request(to, "A line.\n");
        format!(
            "POST /v1/send HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.key,
            body.len()
        )
    }

    fn request(to: &str, text: &str) -> String {
        json!({ "from": "hello@sender.example", "to": to, "subject": "Hello", "text": text }).to_string()
    }

    /// Waits until the only delivery of a message is in a state.
    pub async fn delivery_in(&self, id: &str, state: &str) -> Value {
        eventually(|| async {
            let message = self.call("GET", &format!("/v1/messages/{id}"), b"").await.json();
            if message["deliveries"][0]["state"] == state { Ok(message) } else { Err(format!("{message:#}")) }
        })
        .await
    }

    /// A figure without labels.
    pub async fn figure(&self, name: &str) -> f64 {
        let text = self.call("GET", "/metrics", b"").await.text();
        text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap_or(0.0)
    }

    /// Asks it to stop in order and waits for its end. True: it ended well.
    pub async fn stop(mut self) -> bool {
        let id = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGTERM).unwrap();
        eventually(|| {
            let ended = self.child.try_wait().unwrap();
            async move { ended.map(|status| status.success()).ok_or_else(|| "it still runs".to_owned()) }
        })
        .await
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}
