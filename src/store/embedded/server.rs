//! One server process: its data made, started, stopped.
//!
//! Answers: how `initdb` and `postgres` are called, and with which settings: durable as shipped, small, and fit for a queue.
//!
//! The server must not outlive us, however we end. On Linux the kernel sends it SIGINT (fast shutdown) when the thread that
//! started it ends; that needs a call between fork and exec, and it must come after the change of user, which clears it. A shell
//! or `setpriv` in between would do without, but can be missing, and a shell can be killed itself. On other systems a server
//! left behind is found by the next start and stopped.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use parking_lot::Mutex;

use super::binaries::Binaries;
use super::host::Place;
use super::{EmbeddedError, NAME};

/// Part of the socket's name only: nothing listens on TCP.
pub(super) const PORT: u16 = 5432;
/// Lines of the server's log that an error quotes.
const QUOTED_LINES: usize = 8;

/// The name of the socket in its directory.
pub(super) fn socket_name() -> String {
    format!(".s.PGSQL.{PORT}")
}

/// The major release that wrote the data; none: there is no data.
pub(super) fn release_of(place: &Place) -> Result<Option<String>, EmbeddedError> {
    match fs::read_to_string(place.data.join("PG_VERSION")) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(EmbeddedError::system(format!("{}", place.data.display()), &error)),
    }
}

/// Makes the data directory: beside its place, then moved there, so that it is whole or not there.
pub(super) fn initialise(place: &Place, binaries: &Binaries) -> Result<(), EmbeddedError> {
    let fresh = place.root.join("postgres.new");
    let failed = |error: io::Error| EmbeddedError::system(format!("{}", fresh.display()), &error);
    match fs::remove_dir_all(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    place.own_directory(&fresh)?;
    let output = place
        .command(&binaries.initdb())
        .arg("--pgdata")
        .arg(&fresh)
        .args(["--username", NAME, "--encoding", "UTF8", "--no-locale", "--data-checksums"])
        // Who reaches the socket, in a directory of mode 0700, is root or the user who owns the data anyway.
        .args(["--auth-local", "trust", "--auth-host", "reject"])
        .output()
        .map_err(failed)?;
    if !output.status.success() {
        return Err(EmbeddedError::Initdb(String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ")));
    }
    fs::rename(&fresh, &place.data).and_then(|()| fs::File::open(&place.root)?.sync_all()).map_err(failed)
}

/// A running server process.
pub(super) struct Server {
    child: Child,
    tail: Arc<Mutex<VecDeque<String>>>,
}

impl Server {
    /// Starts a server. Call it from a thread that lives as long as the server shall.
    pub(super) fn start(place: &Place, binaries: &Binaries) -> Result<Self, EmbeddedError> {
        let mut command = place.command(&binaries.postgres());
        command.arg("-D").arg(&place.data);
        for (name, value) in settings(place, wal_compression(place, binaries)) {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        // In a group of its own: ^C on a terminal is for us, and the server ends after us.
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        end_with_us(&mut command);
        let mut child = command.spawn().map_err(|error| EmbeddedError::system(format!("{}", binaries.postgres().display()), &error))?;
        let tail = Arc::new(Mutex::new(VecDeque::new()));
        if let Some(log) = child.stderr.take() {
            let tail = Arc::clone(&tail);
            std::thread::Builder::new()
                .name("private-postgres-log".to_owned())
                .spawn(move || forward(log, &tail))
                .map_err(|error| EmbeddedError::system("a thread could not be started", &error))?;
        }
        Ok(Self { child, tail })
    }

    /// True once the process has ended.
    pub(super) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Asks for an end: SIGINT lets the server write a checkpoint and disconnects clients, SIGQUIT ends it at once.
    pub(super) fn signal(&self, signal: Signal) {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            // Fails only if it has ended already.
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }

    /// The last lines it logged.
    pub(super) fn last_words(&self) -> String {
        let lines: Vec<String> = self.tail.lock().iter().cloned().collect();
        if lines.is_empty() { "it said nothing".to_owned() } else { lines.join("; ") }
    }
}

/// The process id of a server that runs on the data already, started by nobody who holds the lock.
pub(super) fn left_behind(place: &Place) -> Option<Pid> {
    let file = fs::read_to_string(place.data.join("postmaster.pid")).ok()?;
    let pid = Pid::from_raw(file.lines().next()?.trim().parse().ok().filter(|pid| *pid > 1)?);
    (kill(pid, None).is_ok() && works_in(pid, &place.data)).then_some(pid)
}

/// The number in the file may belong to another program by now. A server works in its data directory.
#[cfg(target_os = "linux")]
fn works_in(pid: Pid, data: &Path) -> bool {
    fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|directory| directory == data)
}

/// Without `/proc`: a server that accepts connections on our socket is the one the file names.
#[cfg(not(target_os = "linux"))]
fn works_in(_: Pid, data: &Path) -> bool {
    let Ok(file) = fs::read_to_string(data.join("postmaster.pid")) else { return false };
    file.lines().nth(4).is_some_and(|directory| std::os::unix::net::UnixStream::connect(Path::new(directory).join(socket_name())).is_ok())
}

fn settings(place: &Place, wal_compression: &'static str) -> Vec<(&'static str, String)> {
    let fixed = [
        ("listen_addresses", ""),
        ("unix_socket_permissions", "0700"),
        // Accepted means kept (invariant 1).
        ("fsync", "on"),
        ("full_page_writes", "on"),
        ("synchronous_commit", "on"),
        ("wal_compression", wal_compression),
        ("max_wal_size", "2GB"),
        ("checkpoint_timeout", "10min"),
        // Small: the operating system's cache does the rest.
        ("shared_buffers", "128MB"),
        ("huge_pages", "off"),
        ("max_connections", "50"),
        ("max_parallel_workers_per_gather", "0"),
        ("jit", "off"),
        ("random_page_cost", "1.1"),
        // A queue makes dead rows all the time: look often, in small steps.
        ("autovacuum", "on"),
        ("autovacuum_naptime", "15s"),
        ("autovacuum_max_workers", "2"),
        ("timezone", "UTC"),
        ("log_timezone", "UTC"),
        ("logging_collector", "off"),
        ("log_destination", "stderr"),
        ("log_line_prefix", ""),
        // No statements and no values of rows in the log: they hold addresses.
        ("log_error_verbosity", "terse"),
        ("log_min_error_statement", "panic"),
    ];
    let place = [("port", PORT.to_string()), ("unix_socket_directories", place.socket_dir.display().to_string())];
    fixed.into_iter().map(|(name, value)| (name, value.to_owned())).chain(place).collect()
}

/// lz4 where the server was built with it; pglz costs more than it saves, since bodies come compressed.
fn wal_compression(place: &Place, binaries: &Binaries) -> &'static str {
    let answer = place.command(&binaries.postgres()).arg("-D").arg(&place.data).args(["-c", "wal_compression=lz4", "-C", "wal_compression"]).output();
    if answer.is_ok_and(|output| output.status.success()) { "lz4" } else { "off" }
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "a call between fork and exec has no safe form; it makes two system calls and allocates nothing")]
fn end_with_us(command: &mut Command) {
    let parent = nix::unistd::getpid();
    let ask = move || {
        nix::sys::prctl::set_pdeathsig(Signal::SIGINT)?;
        // We may have ended before the call: then no signal would ever come.
        if nix::unistd::getppid() == parent { Ok(()) } else { Err(nix::errno::Errno::ESRCH.into()) }
    };
    // SAFETY: the closure runs in the forked child before exec; it makes only async-signal-safe calls and allocates nothing.
    unsafe {
        command.pre_exec(ask);
    }
}

#[cfg(not(target_os = "linux"))]
fn end_with_us(_: &mut Command) {}

/// Hands the server's log on to ours, line by line, until it ends.
fn forward(log: impl Read, tail: &Mutex<VecDeque<String>>) {
    for line in BufReader::new(log).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line).into_owned();
        if ["ERROR:", "FATAL:", "PANIC:", "WARNING:"].iter().any(|level| line.starts_with(level)) {
            tracing::warn!(target: "pennypost::postgres", "{line}");
        } else {
            tracing::debug!(target: "pennypost::postgres", "{line}");
        }
        let mut tail = tail.lock();
        if tail.len() == QUOTED_LINES {
            tail.pop_front();
        }
        tail.push_back(line);
    }
}
