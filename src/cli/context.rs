//! What commands share: the configuration, the clock, the database with the rules over it, and signals.
//!
//! Answers: which database a command works on. Without a URL that is the private server, which is started for the moment when none of ours
//! runs. Does not: know a rule.

use tokio::signal::unix::{SignalKind, signal};

use nix::unistd::{User, getuid};

use super::Global;
use super::failure::Failure;
use super::output::{Output, colors_allowed, stderr_line};
use crate::clock::Clock;
use crate::config::{Config, ConfigError, Loaded};
use crate::model::Actor;
use crate::serve::House;
use crate::supervisor::Supervisor;
use crate::telemetry::{self, Verbosity};

/// One run of the program.
#[derive(Debug)]
pub struct Context {
    /// The flags that every command takes.
    pub global: Global,
    /// Where to print.
    pub output: Output,
    /// Time and randomness.
    pub clock: Clock,
}

impl Context {
    /// Makes it of the flags.
    #[must_use]
    pub fn new(global: Global, output: Output) -> Self {
        Self { global, output, clock: Clock::system() }
    }

    /// Who runs the command: the user of the operating system, by name or number.
    #[must_use]
    pub fn actor(&self) -> Actor {
        let id = getuid();
        let name = User::from_uid(id).ok().flatten().map_or_else(|| id.to_string(), |user| user.name);
        Actor::command_line(&name)
    }

    /// Loads the configuration.
    ///
    /// # Errors
    /// [`ConfigError`] names every wrong option.
    pub fn load(&self) -> Result<Loaded, ConfigError> {
        crate::config::load(self.global.config.as_deref(), &std::env::vars().collect())
    }

    /// Sets logs up as `config` and the flags say; both end when the result is dropped.
    ///
    /// # Errors
    /// An option of `[telemetry]` is wrong.
    pub fn start_telemetry(&self, config: &Config) -> anyhow::Result<telemetry::Started> {
        let [louder, quieter] = [self.global.verbose, self.global.quiet].map(|count| i8::try_from(count).unwrap_or(2));
        let verbosity = Verbosity { level: louder - quieter, color: colors_allowed(&self.global) };
        telemetry::start(&config.telemetry, verbosity).map_err(|error| Failure::usage(error.to_string()).into())
    }

    /// Opens the database of `config` and the rules over it.
    ///
    /// # Errors
    /// The database cannot be reached, started or migrated.
    pub async fn open(&self, config: &Config) -> anyhow::Result<House> {
        Box::pin(House::open(config, &self.clock)).await.map_err(|error| {
            let fix = "install the PostgreSQL server programs for a private server, or name a running one with DATABASE_URL or database.url";
            Failure::new("the database could not be opened").fix(fix).because(error)
        })
    }
}

/// Drains `supervisor` on the first SIGTERM or SIGINT, and kills its tasks on the second.
///
/// # Errors
/// Signals cannot be listened to.
pub fn obey_signals(supervisor: &Supervisor) -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let owner = supervisor.clone();
    // On a supervisor of its own: this task ends with the process only, and nobody may wait for it.
    Supervisor::default().spawn("signals", async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            // The note last and elsewhere: nobody may be reading it.
            if owner.is_draining() {
                owner.kill();
                drop(tokio::task::spawn_blocking(|| stderr_line("stopping at once")));
                return;
            }
            owner.drain();
            drop(tokio::task::spawn_blocking(|| stderr_line("stopping when open sessions have ended; once more to stop at once")));
        }
    });
    Ok(())
}
