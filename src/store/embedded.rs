//! The private Postgres: a server of our own, for who gives no `database.url`.
//!
//! Answers: a URL behind which a server runs as long as this value lives. Whoever comes first starts the server; other commands
//! on the same data directory use it. A lock on a file says whose it is: when its owner ends, the next one takes over, so there
//! are never two servers on one directory and never none while somebody needs it. A server that crashes is started again.
//! When the owner is killed the kernel tells the server to stop (see [`server`]).
//! Does not: keep the durability settings loose (fsync is on), listen on TCP, or delete anything.
//!
//! In the directory: `postgres/` is the server's own data, `socket/` its socket (elsewhere if the path is too long for one),
//! `postgres.lock` names the owner.

mod binaries;
mod host;
mod server;
mod supervise;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use sqlx::{Connection, PgConnection};
use tokio::sync::watch;

use super::connect;
use crate::clock::Clock;
use supervise::{Phase, Supervised};

/// The superuser and the database.
const NAME: &str = "pennypost";
/// How long a server may take to become ready: crash recovery reads up to 2 GB of log.
const START_LIMIT: Duration = Duration::from_mins(5);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Why there is no private Postgres.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EmbeddedError {
    /// No server programs.
    #[error("no PostgreSQL server programs (14 or newer) found{0}; run: apt install postgresql, or set database.bin_dir, or give a database.url")]
    NoBinaries(String),
    /// The data is of another release.
    #[error(
        "the data in {data_dir} is of PostgreSQL {data}, but the programs found are of {found}; install PostgreSQL {data}, or dump and restore into a new data_dir"
    )]
    OtherRelease {
        /// Where the data is.
        data_dir: PathBuf,
        /// The major release that wrote it.
        data: String,
        /// The major releases found.
        found: String,
    },
    /// As root, and no user to run the server as.
    #[error("PostgreSQL does not run as root and there is neither a user postgres nor a user nobody to run it as")]
    NoUser,
    /// The user the server runs as cannot get to its directory.
    #[error(
        "the user {user}, as whom PostgreSQL runs, cannot enter {directory}; choose a database.data_dir that it can reach, such as /var/lib/pennypost"
    )]
    Unreachable {
        /// The user.
        user: String,
        /// The first directory on the way that is closed.
        directory: PathBuf,
    },
    /// The directory for the socket belongs to somebody else.
    #[error("{0} exists and is not a directory of the server's user alone; remove it")]
    SocketDirectory(PathBuf),
    /// A file or program could not be used.
    #[error("{what}: {message}")]
    System {
        /// What was attempted.
        what: String,
        /// What the system said.
        message: String,
    },
    /// `initdb` failed.
    #[error("initdb failed: {0}")]
    Initdb(String),
    /// The server does not stay up.
    #[error("the PostgreSQL server does not start: {0}")]
    Server(String),
    /// Nothing answered in time.
    #[error("the PostgreSQL server did not become ready within {} s: {last}", limit.as_secs())]
    NotReady {
        /// The time given.
        limit: Duration,
        /// The last failure.
        last: String,
    },
}

impl EmbeddedError {
    fn system(what: impl Into<String>, error: &io::Error) -> Self {
        Self::System { what: what.into(), message: error.to_string() }
    }
}

/// A running server. Dropping it stops the server too, without waiting for it.
#[derive(Debug)]
pub struct PrivatePostgres {
    url: String,
    phase: watch::Receiver<Phase>,
    /// Dropped to ask for the end.
    stop: SyncSender<()>,
}

/// True if a server ever kept its data in `data_dir`. Makes nothing.
#[must_use]
pub fn has_data(data_dir: &Path) -> bool {
    data_dir.join(host::DATA).join("PG_VERSION").exists()
}

impl PrivatePostgres {
    /// Starts a server on `data_dir`, which is made when missing, or joins the one another command runs there. Ends when it takes
    /// connections. The programs are taken from `bin_dir`, or from the usual places if that is empty.
    ///
    /// # Errors
    /// [`EmbeddedError`].
    pub async fn start(data_dir: &Path, bin_dir: &Path, clock: &Clock) -> Result<Self, EmbeddedError> {
        let place = host::Place::prepare(data_dir)?;
        let bin_dir = Some(bin_dir).filter(|path| !path.as_os_str().is_empty()).map(Path::to_owned);
        let url = |database: &str| format!("postgres://{NAME}@{}:{}/{database}", percent_encoded(&place.socket_dir.to_string_lossy()), server::PORT);
        let (maintenance, url) = (url("postgres"), url(NAME));
        let (stop, stopped) = sync_channel(1);
        let (report, phase) = watch::channel(Phase::Starting);
        let supervised = Supervised { place, bin_dir, report, stopped };
        // A thread of its own, which lives as long as the server: the kernel's signal to the server follows the thread.
        std::thread::Builder::new()
            .name("private-postgres".to_owned())
            .spawn(move || supervised.run())
            .map_err(|error| EmbeddedError::system("a thread could not be started", &error))?;
        let postgres = Self { url, phase, stop };
        postgres.ready(clock, &maintenance).await?;
        Ok(postgres)
    }

    /// Where to connect: `postgres://…` over a unix socket.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// True if this process runs the server, false while it uses one that another command runs.
    #[must_use]
    pub fn is_owner(&self) -> bool {
        matches!(*self.phase.borrow(), Phase::Running)
    }

    /// Stops the server in order, if it is ours, and waits until it has ended. Close the connections first.
    pub async fn stop(self) {
        let Self { mut phase, stop, .. } = self;
        drop(stop);
        // An error means that the thread is gone: stopped too.
        let _ = phase.wait_for(|phase| matches!(phase, Phase::Stopped | Phase::Failed(_))).await;
    }

    async fn ready(&self, clock: &Clock, maintenance: &str) -> Result<(), EmbeddedError> {
        let deadline = clock.tick().plus(START_LIMIT);
        let mut last = "it is still starting".to_owned();
        loop {
            let phase = self.phase.borrow().clone();
            match phase {
                Phase::Failed(error) => return Err(error),
                Phase::Running | Phase::Joined => match make_database(maintenance).await {
                    Ok(()) => return Ok(()),
                    Err(error) => last = error.to_string(),
                },
                Phase::Starting | Phase::Stopped => {}
            }
            if clock.tick() >= deadline {
                return Err(EmbeddedError::NotReady { limit: START_LIMIT, last });
            }
            clock.sleep(LOOK_EVERY).await;
        }
    }
}

/// Connects, and makes our database if it is not there.
async fn make_database(maintenance: &str) -> Result<(), sqlx::Error> {
    let mut connection = PgConnection::connect_with(&connect::options(maintenance)?).await?;
    let known: bool = sqlx::query_scalar("select exists (select from pg_database where datname = $1)").bind(NAME).fetch_one(&mut connection).await?;
    if !known && let Err(error) = sqlx::raw_sql("create database pennypost").execute(&mut connection).await {
        // Another command may have been faster: 42P04 it exists, 23505 it came into being meanwhile.
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        if !matches!(code.as_deref(), Some("42P04" | "23505")) {
            return Err(error);
        }
    }
    connection.close().await
}

/// A path as the host part of a URL.
fn percent_encoded(path: &str) -> String {
    path.bytes().map(|octet| if octet.is_ascii_alphanumeric() { char::from(octet).to_string() } else { format!("%{octet:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Child, Command, Stdio};

    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    use super::*;

    const DIRECTORY: &str = "PENNYPOST_TEST_DIRECTORY";

    /// A data directory that is removed at the end.
    struct Directory(PathBuf);

    impl Directory {
        fn new() -> Self {
            Self(std::env::temp_dir().join(format!("pennypost-embedded-{}", Clock::system().uuid())))
        }

        async fn start(&self) -> Result<PrivatePostgres, EmbeddedError> {
            PrivatePostgres::start(&self.0, Path::new(""), &Clock::system()).await
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    async fn value(url: &str, query: &'static str) -> String {
        let mut connection = PgConnection::connect(url).await.unwrap();
        sqlx::query_scalar(query).fetch_one(&mut connection).await.unwrap()
    }

    async fn run(url: &str, statement: &'static str) {
        let mut connection = PgConnection::connect(url).await.unwrap();
        sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    /// The process that listens, as it wrote it down; none once it ended in order.
    fn server_of(directory: &Path) -> Option<Pid> {
        let file = std::fs::read_to_string(directory.join("postgres/postmaster.pid")).ok()?;
        file.lines().next()?.parse().ok().map(Pid::from_raw)
    }

    async fn wait_until(what: &str, mut done: impl AsyncFnMut() -> bool) {
        let clock = Clock::system();
        let wait = async {
            while !done().await {
                clock.sleep(LOOK_EVERY).await;
            }
        };
        clock.timeout(Duration::from_mins(1), wait).await.unwrap_or_else(|_| panic!("{what}"));
    }

    #[tokio::test]
    async fn data_survives_stop_and_start_and_the_settings_are_durable() {
        let directory = Directory::new();
        assert!(!has_data(&directory.0));
        let postgres = directory.start().await.unwrap();
        assert!(postgres.is_owner() && has_data(&directory.0));
        run(postgres.url(), "create table kept (x text); insert into kept values ('still here')").await;
        for (setting, expected) in
            [("fsync", "on"), ("synchronous_commit", "on"), ("full_page_writes", "on"), ("data_checksums", "on"), ("listen_addresses", "")]
        {
            let mut connection = PgConnection::connect(postgres.url()).await.unwrap();
            let found: String = sqlx::query_scalar("select current_setting($1)").bind(setting).fetch_one(&mut connection).await.unwrap();
            assert_eq!(found, expected, "{setting}");
        }
        let pid = server_of(&directory.0).unwrap();
        postgres.stop().await;
        assert_eq!(server_of(&directory.0), None, "an orderly stop removes the file");
        assert!(kill(pid, None).is_err(), "the process has ended");

        let again = directory.start().await.unwrap();
        assert_eq!(value(again.url(), "select x from kept").await, "still here");
        again.stop().await;
    }

    #[tokio::test]
    async fn a_directory_too_deep_for_a_socket_works_too() {
        let directory = Directory::new();
        let deep = directory.0.join("d".repeat(120));
        let postgres = PrivatePostgres::start(&deep, Path::new(""), &Clock::system()).await.unwrap();
        assert_eq!(value(postgres.url(), "select current_database()::text").await, "pennypost");
        postgres.stop().await;
        std::fs::remove_dir(host::Place::prepare(&deep).unwrap().socket_dir).unwrap();
    }

    #[tokio::test]
    async fn a_standby_is_refused() {
        let directory = Directory::new();
        directory.start().await.unwrap().stop().await;
        std::fs::write(directory.0.join("postgres/standby.signal"), "").unwrap();
        let standby = directory.start().await.unwrap();
        let error = super::super::Store::connect(standby.url(), 1).await.unwrap_err();
        assert!(matches!(error, super::super::StoreError::ReadOnly) && error.is_transient(), "{error:?}");
        standby.stop().await;
    }

    #[tokio::test]
    async fn a_second_start_joins_the_server_and_takes_over_when_its_owner_stops() {
        let directory = Directory::new();
        let first = directory.start().await.unwrap();
        let second = directory.start().await.unwrap();
        assert!(first.is_owner() && !second.is_owner());
        let started = "select pg_postmaster_start_time()::text";
        let before = value(first.url(), started).await;
        assert_eq!(value(second.url(), started).await, before, "one server");

        first.stop().await;
        wait_until("the second takes over", async || second.is_owner() && PgConnection::connect(second.url()).await.is_ok()).await;
        assert_ne!(value(second.url(), started).await, before);
        second.stop().await;
        assert_eq!(server_of(&directory.0), None);
    }

    #[tokio::test]
    async fn a_server_that_is_killed_is_started_again() {
        let directory = Directory::new();
        let postgres = directory.start().await.unwrap();
        run(postgres.url(), "create table kept (x text); insert into kept values ('committed')").await;
        let killed = server_of(&directory.0).unwrap();
        kill(killed, Signal::SIGKILL).unwrap();
        wait_until("a new server answers", async || {
            server_of(&directory.0).is_some_and(|pid| pid != killed) && PgConnection::connect(postgres.url()).await.is_ok()
        })
        .await;
        assert_eq!(value(postgres.url(), "select x from kept").await, "committed");
        postgres.stop().await;
    }

    /// Not a test of its own: the program that [`a_killed_owner_leaves_no_server`] kills.
    #[tokio::test]
    #[ignore = "started by another test"]
    async fn owner_to_be_killed() {
        let data_dir = PathBuf::from(std::env::var(DIRECTORY).unwrap());
        let _postgres = PrivatePostgres::start(&data_dir, Path::new(""), &Clock::system()).await.unwrap();
        std::future::pending::<()>().await;
    }

    fn start_owner(directory: &Path) -> Child {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::embedded::tests::owner_to_be_killed", "--ignored"])
            .env(DIRECTORY, directory)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    #[tokio::test]
    async fn a_killed_owner_leaves_no_server() {
        let directory = Directory::new();
        let mut owner = start_owner(&directory.0);
        let socket = host::Place::prepare(&directory.0).unwrap().socket_dir.join(server::socket_name());
        wait_until("the owner's server listens", async || std::os::unix::net::UnixStream::connect(&socket).is_ok()).await;
        let server = server_of(&directory.0).unwrap();

        owner.kill().unwrap();
        assert_eq!(owner.wait().unwrap().signal(), Some(9));
        wait_until("the server has ended", async || kill(server, None).is_err()).await;
        assert_eq!(server_of(&directory.0), None, "it ended in order");

        let next = directory.start().await.unwrap();
        assert!(next.is_owner());
        next.stop().await;
    }

    #[tokio::test]
    async fn data_of_another_release_is_left_alone() {
        let directory = Directory::new();
        let data = directory.0.join("postgres");
        std::fs::create_dir_all(&data).unwrap();
        std::fs::write(data.join("PG_VERSION"), "9.6\n").unwrap();
        let error = directory.start().await.unwrap_err();
        assert!(matches!(&error, EmbeddedError::OtherRelease { data, .. } if data == "9.6"), "{error}");
    }

    #[tokio::test]
    async fn a_directory_without_programs_is_refused_at_once() {
        let directory = Directory::new();
        let started = PrivatePostgres::start(&directory.0, Path::new("/nonexistent"), &Clock::system()).await;
        assert!(matches!(started, Err(EmbeddedError::NoBinaries(_))));
    }
}
