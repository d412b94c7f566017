//! A PostgreSQL server of a test's own, on TCP: to be stopped, killed, started again, and stood before by a [`super::proxy`].

use std::net::SocketAddr;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, geteuid};
use sqlx::{Connection, PgConnection};

use super::database::scratch;
use super::gateway::eventually;

/// A server and its data. Both end with this value.
pub struct Server {
    pub address: SocketAddr,
    bin: PathBuf,
    folder: PathBuf,
    child: Option<Child>,
}

impl Server {
    /// Starts a server on fresh data.
    pub async fn start() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let folder = scratch().join(format!("server-{}", NEXT.fetch_add(1, Ordering::Relaxed)));
        Self::start_in(folder).await
    }

    /// Starts a server on fresh data in `folder`, which is made if it is missing.
    pub async fn start_in(folder: PathBuf) -> Self {
        std::fs::create_dir_all(&folder).unwrap();
        if let Some(user) = other_user() {
            chown(&folder, Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
        }
        let bin = programs();
        let done = as_user(&bin.join("initdb"))
            .args(["--no-sync", "--no-locale", "-E", "UTF8", "-A", "trust", "-U", "pennypost", "-D"])
            .arg(folder.join("data"))
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        // Free a moment ago; the kernel does not hand it out again soon.
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut server = Self { address, bin, folder, child: None };
        server.up().await;
        server
    }

    /// Starts a standby of this server, on a copy of its data; it follows what the other writes.
    pub async fn standby(&self) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let folder = scratch().join(format!("standby-{}", NEXT.fetch_add(1, Ordering::Relaxed)));
        std::fs::create_dir_all(&folder).unwrap();
        if let Some(user) = other_user() {
            chown(&folder, Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
        }
        let done = as_user(&self.bin.join("pg_basebackup"))
            .args(["--write-recovery-conf", "--checkpoint=fast", "--no-sync", "-h", "127.0.0.1", "-U", "pennypost", "-p"])
            .arg(self.address.port().to_string())
            .arg("-D")
            .arg(folder.join("data"))
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut server = Self { address, bin: self.bin.clone(), folder, child: None };
        server.up().await;
        server
    }

    /// Where to connect to `address`: the server itself, or a proxy before it.
    pub fn url_at(address: SocketAddr) -> String {
        format!("postgres://pennypost@{address}/postgres?sslmode=disable")
    }

    /// Where to connect.
    pub fn url(&self) -> String {
        Self::url_at(self.address)
    }

    /// Starts the server on the data there is, and waits until it answers.
    pub async fn up(&mut self) {
        for _ in 0..50 {
            self.child = Some(self.spawn());
            let started = eventually(|| async { self.state().await }).await;
            if started {
                return;
            }
            // The parts of a killed server may need a moment to end before another may start.
            self.child = None;
        }
        panic!("the server does not start");
    }

    /// Stops the server by a signal, and waits until it has ended: `SIGINT` is fast, `SIGQUIT` immediate, `SIGKILL` a crash.
    pub fn down(&mut self, signal: Signal) {
        if let Some(mut child) = self.child.take() {
            kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
            child.wait().unwrap();
        }
    }

    fn spawn(&self) -> Child {
        as_user(&self.bin.join("postgres"))
            .arg("-D")
            .arg(self.folder.join("data"))
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=on", "-c", "shared_buffers=16MB"])
            .arg("-p")
            .arg(self.address.port().to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// True: it answers. False: it has ended.
    async fn state(&self) -> Result<bool, String> {
        let id = Pid::from_raw(i32::try_from(self.child.as_ref().unwrap().id()).unwrap());
        let ended = nix::sys::wait::waitpid(id, Some(nix::sys::wait::WaitPidFlag::WNOHANG)).unwrap() != nix::sys::wait::WaitStatus::StillAlive;
        if ended {
            return Ok(false);
        }
        match PgConnection::connect(&self.url()).await {
            Ok(_) => Ok(true),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.down(Signal::SIGQUIT);
        let _left_behind = std::fs::remove_dir_all(&self.folder);
    }
}

/// PostgreSQL does not run as root.
pub fn other_user() -> Option<User> {
    if !geteuid().is_root() {
        return None;
    }
    ["postgres", "nobody"].iter().find_map(|name| User::from_name(name).unwrap())
}

/// The program, as a user that may run it, ended by the kernel if this test process is.
fn as_user(program: &Path) -> Command {
    let Some(user) = other_user() else { return Command::new(program) };
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &user.uid.to_string(), "--regid", &user.gid.to_string(), "--clear-groups", "--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// The newest programs in the usual places, else those of the search path.
fn programs() -> PathBuf {
    let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, bin)| bin.join("initdb").exists())
        .collect();
    found.sort();
    found.pop().map_or_else(PathBuf::new, |(_, bin)| bin)
}
