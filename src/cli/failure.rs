//! Failures as people read them: what failed, why, what to do; and the exit code they end with.

use std::fmt;
use std::process::ExitCode;

use crate::config::ConfigError;

/// A command could not do what it was asked.
#[derive(Debug)]
pub struct Failure {
    what: String,
    fix: Option<String>,
    code: u8,
}

impl Failure {
    /// It failed: exit code 1.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), fix: None, code: 1 }
    }

    /// It was asked wrongly: exit code 2.
    pub fn usage(what: impl Into<String>) -> Self {
        Self { code: 2, ..Self::new(what) }
    }

    /// What to do about it.
    #[must_use]
    pub fn fix(self, fix: impl Into<String>) -> Self {
        Self { fix: Some(fix.into()), ..self }
    }

    /// With the error that caused it.
    pub fn because(self, cause: impl Into<anyhow::Error>) -> anyhow::Error {
        cause.into().context(self)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Failure {}

/// The exit code that an error ends the program with.
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    let code = error.downcast_ref::<Failure>().map_or(1, |failure| failure.code);
    ExitCode::from(if error.downcast_ref::<ConfigError>().is_some() { 2 } else { code })
}

/// The text of an error: what, why line by line, fix.
#[must_use]
pub fn text(error: &anyhow::Error) -> String {
    let mut lines = vec![format!("error: {error}")];
    lines.extend(error.chain().skip(1).map(|cause| format!("  why: {cause}")));
    lines.extend(error.downcast_ref::<Failure>().and_then(|failure| failure.fix.as_ref()).map(|fix| format!("  fix: {fix}")));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_tells_what_why_and_what_to_do() {
        let cause = std::io::Error::other("connection refused");
        let error = Failure::new("the gateway does not answer").fix("start it with `pennypost serve`").because(cause);
        assert_eq!(text(&error), "error: the gateway does not answer\n  why: connection refused\n  fix: start it with `pennypost serve`");
        assert_eq!(exit_code(&error), ExitCode::from(1));
    }

    #[test]
    fn wrong_usage_and_configuration_end_with_2() {
        assert_eq!(exit_code(&Failure::usage("no such format").into()), ExitCode::from(2));
        assert_eq!(exit_code(&ConfigError::Wrong(Vec::new()).into()), ExitCode::from(2));
        assert_eq!(exit_code(&anyhow::anyhow!("other")), ExitCode::from(1));
    }
}
