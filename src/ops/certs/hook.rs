//! The operator's program that publishes TXT records: `PROGRAM add|rm NAME VALUE`.
//!
//! Answers: whether it did, with what it said on stderr. No shell is involved; the program inherits none of our secrets, and it and what it started are
//! ended when its time is over. Does not: wait until the record can be seen.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::Command;

use crate::clock::Clock;

/// What a call may take: zones behind web interfaces are slow.
const LIMIT: Duration = Duration::from_mins(2);
/// Characters of what it says that are passed on.
const MAX_SAID: usize = 500;

/// Runs the program; the error says why that was no success.
pub(super) async fn run(program: &Path, verb: &str, name: &str, value: &str, clock: &Clock) -> Result<(), String> {
    let mut command = Command::new(program);
    command.args([verb, name, value]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0).kill_on_drop(true);
    for (variable, _) in std::env::vars_os().filter(|(variable, _)| variable.to_str().is_none_or(is_ours)) {
        command.env_remove(variable);
    }
    let child = command.spawn().map_err(|error| format!("{} cannot be started: {error}", program.display()))?;
    let group = child.id().and_then(|id| i32::try_from(id).ok());
    let ended = clock.timeout(LIMIT, child.wait_with_output()).await;
    let output = match ended {
        Ok(output) => output.map_err(|error| format!("{} {verb}: {error}", program.display()))?,
        Err(late) => {
            if let Some(group) = group {
                let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
            }
            return Err(format!("{} {verb} {late}", program.display()));
        }
    };
    if output.status.success() {
        return Ok(());
    }
    let said: String = String::from_utf8_lossy(&output.stderr).trim().chars().filter(|character| !character.is_control()).take(MAX_SAID).collect();
    Err(format!("{} {verb} ended with {}: {said}", program.display(), output.status))
}

/// Variables of this program and of the one that started it.
fn is_ours(variable: &str) -> bool {
    variable.starts_with("PENNYPOST_")
        || variable.starts_with("LISTEN_")
        || ["DATABASE_URL", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "CREDENTIALS_DIRECTORY"].contains(&variable)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    struct Program(std::path::PathBuf);

    impl Program {
        fn new(text: &str) -> Self {
            let path = std::env::temp_dir().join(format!("pennypost-hook-{}", Clock::system().uuid()));
            std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
            Self(path)
        }
    }

    impl Drop for Program {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
            let _ = std::fs::remove_file(self.0.with_extension("out"));
        }
    }

    #[tokio::test]
    async fn it_gets_verb_name_and_value_as_they_are() {
        let program = Program::new("printf '%s|' \"$@\" > \"$0.out\"");
        run(&program.0, "add", "_acme-challenge.example.com", "$(id) 'x'", &Clock::system()).await.unwrap();
        assert_eq!(std::fs::read_to_string(program.0.with_extension("out")).unwrap(), "add|_acme-challenge.example.com|$(id) 'x'|");
    }

    #[tokio::test]
    async fn a_failure_tells_what_it_said() {
        let program = Program::new("echo 'no such zone' >&2; exit 3");
        let told = run(&program.0, "rm", "a.example", "v", &Clock::system()).await.unwrap_err();
        assert!(told.contains("rm ended with exit status: 3: no such zone"), "{told}");
        let told = run(Path::new("/nonexistent/hook"), "add", "a.example", "v", &Clock::system()).await.unwrap_err();
        assert!(told.contains("/nonexistent/hook cannot be started"), "{told}");
    }

    #[tokio::test]
    async fn one_that_hangs_is_ended() {
        let program = Program::new("sleep 1000");
        let clock = Clock::movable();
        let mover = async {
            tokio::task::yield_now().await;
            clock.advance(LIMIT);
        };
        let (told, ()) = tokio::join!(run(&program.0, "add", "a.example", "v", &clock), mover);
        assert!(told.unwrap_err().contains("timed out"));
    }

    #[test]
    fn it_inherits_no_secret_of_ours() {
        for variable in ["PENNYPOST_TLS__ACME_EAB_KEY", "DATABASE_URL", "NOTIFY_SOCKET", "LISTEN_FDS"] {
            assert!(is_ours(variable), "{variable}");
        }
        assert!(!is_ours("PATH") && !is_ours("CF_API_TOKEN"));
    }
}
