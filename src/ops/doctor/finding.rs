//! What a check found, in the words that the table, the JSON and the API share.

use std::fmt;

use serde::Serialize;
use utoipa::ToSchema;

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Good to know.
    Info,
    /// Some receivers trust such mail less.
    Warn,
    /// Mail is refused, or does not come back.
    Fail,
}

/// What a check came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FindingState {
    /// As it should be.
    Ok,
    /// Not as it should be.
    Bad,
    /// It could not be found out now.
    Unknown,
    /// It does not apply here, or nothing can be looked at; `found` says why.
    Skipped,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Finding {
    /// The check, as in `N2`; docs/operate/doctor.md explains each.
    #[schema(value_type = String, examples("S2"))]
    pub id: &'static str,
    /// What it is about in a few words.
    #[schema(value_type = String, examples("SPF lets every sending address pass"))]
    pub title: &'static str,
    /// How much it matters if it is not as it should be.
    pub level: Level,
    /// False if something is wrong or could not be found out.
    pub ok: bool,
    /// What the check came to.
    pub state: FindingState,
    /// The host, address, domain or record that was looked at.
    pub subject: String,
    /// What is there.
    pub found: String,
    /// What should be.
    pub expected: String,
    /// What to do: a record to publish, a command, a setting. Null if nothing is wrong.
    pub fix: Option<String>,
    /// Who asks for it: a section of an RFC, or a receiver's page.
    #[schema(value_type = String, examples("https://www.rfc-editor.org/rfc/rfc7208#section-4.6.4"))]
    pub source: &'static str,
}

/// All that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Report {
    /// True if nothing that fails or warns is wrong.
    pub ok: bool,
    /// What was found, in the order of the checks.
    pub checks: Vec<Finding>,
}

impl Report {
    pub(super) fn of(checks: Vec<Finding>) -> Self {
        Self { ok: !checks.iter().any(|finding| !finding.ok && finding.level > Level::Info), checks }
    }

    /// The most serious thing that is wrong; none if all is well.
    #[must_use]
    pub fn worst(&self) -> Option<Level> {
        self.checks.iter().filter(|finding| !finding.ok).map(|finding| finding.level).max()
    }
}

/// What one look of a check came to, before the check's own words are added.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) state: FindingState,
    /// Another level than the check's.
    pub(super) level: Option<Level>,
    pub(super) subject: Option<String>,
    pub(super) found: String,
    pub(super) expected: Option<String>,
    pub(super) fix: Option<String>,
}

impl Outcome {
    fn new(state: FindingState, found: String, fix: Option<String>) -> Self {
        Self { state, level: None, subject: None, found, expected: None, fix }
    }

    /// As it should be.
    pub(super) fn good(found: impl fmt::Display) -> Self {
        Self::new(FindingState::Ok, found.to_string(), None)
    }

    /// Not as it should be.
    pub(super) fn bad(found: impl fmt::Display, fix: impl fmt::Display) -> Self {
        Self::new(FindingState::Bad, found.to_string(), Some(fix.to_string()))
    }

    /// Does not apply, or cannot be looked at.
    pub(super) fn skipped(why: impl fmt::Display) -> Self {
        Self::new(FindingState::Skipped, why.to_string(), None)
    }

    /// It could not be found out: a warning, whatever the check is about.
    pub(super) fn unknown(why: impl fmt::Display) -> Self {
        let outcome = Self::new(FindingState::Unknown, why.to_string(), Some("ask again later; if it stays, see H5 and the resolver".to_owned()));
        outcome.at(Level::Warn)
    }

    /// What was looked at.
    pub(super) fn about(self, subject: impl fmt::Display) -> Self {
        Self { subject: Some(subject.to_string()), ..self }
    }

    /// What should be, where it is more than the check says in general.
    pub(super) fn expecting(self, expected: impl fmt::Display) -> Self {
        Self { expected: Some(expected.to_string()), ..self }
    }

    /// At another level than the check's.
    pub(super) fn at(self, level: Level) -> Self {
        Self { level: Some(level), ..self }
    }
}
