//! doctor: is this host, and is this domain, what receivers of mail ask for?
//!
//! Answers: for each check of the list what was found, what is expected, the exact fix and who asks for it. The same engine stands behind
//! `pennypost doctor` and `GET /v1/domains/{id}/health`. A check is a row in the table of its group: id, level, source and a function.
//! What does not apply is skipped with the reason, and what could not be found out is said to be unknown: nothing is green that was not seen.
//! Does not: change anything, neither here nor in DNS.

mod certificates;
mod context;
mod dkim;
mod dmarc;
mod finding;
mod host;
mod inbound;
mod names;
mod reputation;
mod spf;
mod spf_terms;
mod submission;
mod talk;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{StreamExt, stream};

use crate::clock::Clock;
use crate::config::Config;
use crate::domains::{DomainError, Domains};
use crate::model::page::{MAX_LIMIT, PageRequest, read_cursor};
use crate::model::{DomainId, ProjectId};
use crate::net::certificate::Authorities;
use crate::net::dns::ResolverError;
use crate::routes::Routes;
use crate::store::Store;
use crate::telemetry::metrics;

use context::{Context, Subject};
use finding::Outcome;

pub use context::Listeners;
pub use finding::{Finding, FindingState, Level, Report};

/// How long one check may take: it is a look, not a siege.
const PATIENCE: Duration = Duration::from_mins(1);
/// Checks that look at once.
const AT_ONCE: usize = 8;

/// What a look comes to; the error says why nothing could be found out.
type Looked = Result<Vec<Outcome>, String>;
type Looking<'a> = BoxFuture<'a, Looked>;

/// What a check looks at.
#[derive(Clone, Copy)]
enum Look {
    Host(for<'a> fn(&'a Context) -> Looking<'a>),
    Domain(for<'a> fn(&'a Context, &'a Subject) -> Looking<'a>),
}

/// One check.
struct Check {
    id: &'static str,
    title: &'static str,
    level: Level,
    expected: &'static str,
    source: &'static str,
    look: Look,
}

/// The groups with their checks, in the order they are told.
const GROUPS: [(&str, &[Check]); 9] = [
    ("host", host::CHECKS),
    ("names", names::CHECKS),
    ("spf", spf::CHECKS),
    ("dkim", dkim::CHECKS),
    ("dmarc", dmarc::CHECKS),
    ("inbound", inbound::CHECKS),
    ("certificates", certificates::CHECKS),
    ("submission", submission::CHECKS),
    ("reputation", reputation::CHECKS),
];

/// The database, or why there is none to look at.
#[derive(Clone, Debug)]
pub enum Database {
    /// It answers, and its schema is the program's.
    Ready(Rooms),
    /// It cannot be used.
    Unready {
        /// Why.
        why: String,
        /// What to do.
        fix: String,
    },
}

/// What the database holds.
#[derive(Clone, Debug)]
pub struct Rooms {
    /// The database itself.
    pub store: Store,
    /// The domains.
    pub domains: Domains,
    /// Where their mail goes.
    pub routes: Routes,
    /// The project whose mail is looked at.
    pub project: ProjectId,
}

/// Looks at hosts and domains. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Doctor {
    /// What the operator asked for.
    pub config: Arc<Config>,
    /// Time.
    pub clock: Clock,
    /// The database.
    pub database: Database,
    /// Whose certificates count.
    pub authorities: Authorities,
    /// Where this program listens for mail.
    pub listeners: Listeners,
}

/// What to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The host and every domain of the project.
    All,
    /// The host alone.
    Host,
    /// One domain alone.
    Domain(DomainId),
}

/// Which checks to make; empty: all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Only(Vec<Chosen>);

/// A check, or a group of them, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen(String);

/// The text names no check.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no check; name one like S2, or a group: host, names, spf, dkim, dmarc, inbound, certificates, submission, reputation")]
pub struct UnknownCheck(String);

impl FromStr for Chosen {
    type Err = UnknownCheck;

    fn from_str(text: &str) -> Result<Self, UnknownCheck> {
        let text = text.trim();
        let is_known =
            |(group, checks): &(&str, &[Check])| group.eq_ignore_ascii_case(text) || checks.iter().any(|check| check.id.eq_ignore_ascii_case(text));
        if GROUPS.iter().any(is_known) { Ok(Self(text.to_ascii_lowercase())) } else { Err(UnknownCheck(text.to_owned())) }
    }
}

impl FromIterator<Chosen> for Only {
    fn from_iter<I: IntoIterator<Item = Chosen>>(chosen: I) -> Self {
        Self(chosen.into_iter().collect())
    }
}

impl Only {
    fn has(&self, group: &str, check: &Check) -> bool {
        self.0.is_empty() || self.0.iter().any(|chosen| chosen.0 == group || chosen.0.eq_ignore_ascii_case(check.id))
    }
}

/// Why nothing could be looked at.
#[derive(Debug, thiserror::Error)]
pub enum DoctorError {
    /// There is no DNS to ask.
    #[error(transparent)]
    Resolver(#[from] ResolverError),
    /// The domain cannot be read.
    #[error(transparent)]
    Domain(#[from] DomainError),
    /// The database cannot be used, so no domain can be looked at.
    #[error("the database cannot be used: {0}")]
    NoDatabase(String),
}

impl Doctor {
    /// Makes the checks of `scope` that `only` names. Every answer of the DNS is new.
    ///
    /// # Errors
    /// [`DoctorError`]. What is wrong with host or domain is a finding, not an error.
    pub async fn look(&self, scope: Scope, only: &Only) -> Result<Report, DoctorError> {
        let context = Context::new(self)?;
        let mut subjects = Vec::new();
        match (scope, &self.database) {
            (Scope::Host, _) | (Scope::All, Database::Unready { .. }) => {}
            (Scope::Domain(_), Database::Unready { why, .. }) => return Err(DoctorError::NoDatabase(why.clone())),
            (Scope::Domain(id), Database::Ready(rooms)) => subjects.push(Subject::read(&rooms.domains, rooms.project, id).await?),
            (Scope::All, Database::Ready(rooms)) => {
                for id in all(rooms).await? {
                    subjects.push(Subject::read(&rooms.domains, rooms.project, id).await?);
                }
            }
        }
        let with_host = !matches!(scope, Scope::Domain(_));
        let report = Report::of(findings(&context, with_host, &subjects, only).await);
        metrics::doctor_findings(
            report.checks.iter().filter(|finding| !finding.ok && finding.level > Level::Info).map(|finding| finding.level == Level::Fail),
        );
        Ok(report)
    }

    /// As [`Self::look`] for one domain of any project.
    ///
    /// # Errors
    /// As [`Self::look`].
    pub async fn domain(&self, project: ProjectId, id: DomainId) -> Result<Report, DoctorError> {
        let database = match &self.database {
            Database::Ready(rooms) => Database::Ready(Rooms { project, ..rooms.clone() }),
            unready @ Database::Unready { .. } => unready.clone(),
        };
        Self { database, ..self.clone() }.look(Scope::Domain(id), &Only::default()).await
    }
}

async fn all(rooms: &Rooms) -> Result<Vec<DomainId>, DomainError> {
    let mut page = PageRequest { limit: MAX_LIMIT, after: None };
    let mut found = Vec::new();
    loop {
        let part = rooms.domains.list(rooms.project, page).await?;
        found.extend(part.data.iter().map(|domain| domain.id));
        page.after = part.next_cursor.as_deref().and_then(read_cursor);
        if page.after.is_none() {
            return Ok(found);
        }
    }
}

async fn findings(context: &Context, with_host: bool, subjects: &[Subject], only: &Only) -> Vec<Finding> {
    let mut looks: Vec<BoxFuture<'_, Vec<Finding>>> = Vec::new();
    let chosen = |group: &'static str, checks: &'static [Check]| checks.iter().filter(move |check| only.has(group, check));
    for (group, checks) in GROUPS {
        for check in chosen(group, checks).filter(|_| with_host) {
            if let Look::Host(look) = check.look {
                looks.push(Box::pin(told(context, check, context.host_name(), look(context))));
            }
        }
    }
    for subject in subjects {
        for (group, checks) in GROUPS {
            for check in chosen(group, checks) {
                if let Look::Domain(look) = check.look {
                    looks.push(Box::pin(told(context, check, subject.name.to_string(), look(context, subject))));
                }
            }
        }
    }
    stream::iter(looks).buffered(AT_ONCE).collect::<Vec<_>>().await.concat()
}

/// A look with the words of its check.
async fn told(context: &Context, check: &'static Check, subject: String, look: Looking<'_>) -> Vec<Finding> {
    let outcomes = match context.clock.timeout(PATIENCE, look).await {
        Ok(Ok(outcomes)) => outcomes,
        Ok(Err(why)) => vec![Outcome::unknown(why)],
        Err(timed_out) => vec![Outcome::unknown(timed_out)],
    };
    let finding = |outcome: Outcome| Finding {
        id: check.id,
        title: check.title,
        level: outcome.level.unwrap_or(check.level),
        ok: matches!(outcome.state, FindingState::Ok | FindingState::Skipped),
        state: outcome.state,
        subject: outcome.subject.unwrap_or_else(|| subject.clone()),
        found: outcome.found,
        expected: outcome.expected.unwrap_or_else(|| check.expected.to_owned()),
        fix: outcome.fix,
        source: check.source,
    };
    outcomes.into_iter().map(finding).collect()
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_of_the_list_is_there_once_per_scope_with_its_source() {
        let ids: Vec<&str> = GROUPS.iter().flat_map(|(_, checks)| checks.iter().map(|check| check.id)).collect();
        let expected = [
            "H1", "H2", "H3", "H4", "H5", "H6", "N1", "N2", "N3", "N4", "N5", "N6", "S1", "S2", "S3", "S4", "K1", "K2", "K3", "K4", "K5", "D1", "D2",
            "D3", "D4", "M1", "M2", "M3", "M4", "M5", "M6", "M7", "C1", "C2", "C3", "U1", "U2", "R1", "R1", "R2", "R3", "R4", "R5", "R6", "R7", "R8",
            "R9",
        ];
        assert_eq!(ids, expected);
        for (_, checks) in GROUPS {
            for check in checks {
                assert!(check.source.starts_with("https://") || check.source.starts_with("docs/"), "{}: {}", check.id, check.source);
                assert!(!check.title.is_empty() && !check.expected.is_empty(), "{}", check.id);
            }
        }
    }

    #[test]
    fn checks_are_chosen_by_id_or_group() {
        for (text, known) in [("S2", true), ("s2", true), ("spf", true), (" Names ", true), ("S9", false), ("", false)] {
            assert_eq!(text.parse::<Chosen>().is_ok(), known, "{text:?}");
        }
        let only: Only = ["n2", "spf"].iter().map(|text| text.parse::<Chosen>().unwrap()).collect();
        let chosen: Vec<&str> =
            GROUPS.iter().flat_map(|(group, checks)| checks.iter().filter(|check| only.has(group, check)).map(|check| check.id)).collect();
        assert_eq!(chosen, ["N2", "S1", "S2", "S3", "S4"]);
    }
}
