//! A gateway as users run it: the program itself, in a process that can be killed.

use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pennypost::clock::Clock;
use pennypost::failpoint::Failpoint;

use crate::world::World;

const GLANCE: Duration = Duration::from_millis(4);

/// A process that runs `pennypost serve`.
pub struct Node {
    /// Where its API listens, or will.
    pub http: SocketAddr,
    child: Mutex<Child>,
    clock: Clock,
}

impl Node {
    /// Starts one. It dies when it gets to the failpoint for the given time, or with this process.
    pub fn start(world: &World, http: SocketAddr, die_at: Option<(Failpoint, u64)>) -> Self {
        let mut command = ended_with_us(Path::new(env!("CARGO_BIN_EXE_pennypost")));
        command.arg("serve").env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        let config = &world.config;
        for (name, value) in [
            ("SERVER__HOSTNAME", config.server.hostname.clone()),
            ("SERVER__HTTP_LISTEN", http.to_string()),
            ("SERVER__MASTER_KEY_FILE", config.server.master_key_file.display().to_string()),
            ("SMTP__SUBMISSION_LISTEN", String::new()),
            ("SMTP__SUBMISSIONS_LISTEN", String::new()),
            ("SMTP__MX_LISTEN", String::new()),
            ("DATABASE__URL", world.database_url.clone()),
            ("DATABASE__MAX_CONNECTIONS", "6".to_owned()),
            ("DELIVERY__ALLOW_PRIVATE_ADDRESSES", "true".to_owned()),
            ("DELIVERY__ALLOW_UNVERIFIED_DOMAINS", "true".to_owned()),
            ("DELIVERY__MX_PORT", config.delivery.mx_port.to_string()),
            ("DELIVERY__RETRY_SECONDS", "1".to_owned()),
            ("DELIVERY__GREYLIST_SECONDS", "1".to_owned()),
            ("DELIVERY__IDLE_SECONDS", "1".to_owned()),
            ("DELIVERY__NODE_TIMEOUT_SECONDS", "3".to_owned()),
            ("DELIVERY__DRAIN_SECONDS", "1".to_owned()),
            ("DNS__SERVERS", config.dns.servers[0].to_string()),
            ("TELEMETRY__LOG_FILTER", "warn".to_owned()),
        ] {
            command.env(format!("PENNYPOST_{name}"), value);
        }
        if let Some((point, arrival)) = die_at {
            command.env("PENNYPOST_FAILPOINT", format!("{}:{arrival}", point.name()));
        }
        // Kept beside the database of the test process, for who has to find out why.
        let folder = crate::world::database::scratch();
        let log = std::fs::File::options().create(true).append(true).open(folder.join(format!("node-{}.log", http.ip()))).unwrap();
        let child = command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        Self { http, child: Mutex::new(child), clock: Clock::system() }
    }

    /// Waits until the API can be connected to. False: it died before.
    pub async fn listening(&self) -> bool {
        loop {
            if tokio::net::TcpStream::connect(self.http).await.is_ok() {
                return true;
            }
            if self.ended().is_some() {
                return false;
            }
            self.clock.sleep(GLANCE).await;
        }
    }

    /// Waits for its end, at most so long.
    pub async fn ends_within(&self, limit: Duration) -> Option<ExitStatus> {
        let deadline = self.clock.tick().plus(limit);
        loop {
            let ended = self.ended();
            if ended.is_some() || self.clock.tick() > deadline {
                return ended;
            }
            self.clock.sleep(GLANCE).await;
        }
    }

    /// True if `kill -9` ended it.
    pub fn was_killed(status: ExitStatus) -> bool {
        status.signal() == Some(Signal::SIGKILL as i32)
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let id = Pid::from_raw(i32::try_from(self.child.lock().unwrap().id()).unwrap());
        kill(id, signal).unwrap();
    }

    /// Kills it, wherever it is.
    pub fn kill(&self) {
        let mut child = self.child.lock().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    fn ended(&self) -> Option<ExitStatus> {
        self.child.lock().unwrap().try_wait().unwrap()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The program, ended by the kernel if this process is, where there is a `setpriv` to arrange it.
fn ended_with_us(program: &Path) -> Command {
    static KNOWN: LazyLock<bool> = LazyLock::new(|| Command::new("setpriv").arg("--version").output().is_ok_and(|done| done.status.success()));
    if !*KNOWN {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}
