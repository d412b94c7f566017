//! A text into the database: read, planned, and written in one transaction.
//!
//! Answers: what was added, what was there and stayed, what was replaced, and what was made anew because the text had no secret for it.
//! Whatever is wrong is told with line and field, all at once, and then nothing was written.

use serde::{Serialize, Serializer};

use super::document::{Document, FORMAT};
use super::fault::Faults;
use super::plan::{Plan, Planner, Step};
use super::{Fault, Rooms, Vault, VaultError};
use crate::access::AccessError;
use crate::access::smtp_users::SmtpUserError;
use crate::domains::DomainError;
use crate::model::Secret;
use crate::routes::RouteError;
use crate::store::{Store, StoreError};

/// What is asked for.
#[derive(Debug, Default)]
pub struct Options {
    /// What the secrets of the text are sealed with.
    pub passphrase: Option<Secret<String>>,
    /// Whether what is there and differs becomes as the text says.
    pub replace: bool,
    /// Whether all of it is undone in the end.
    pub dry_run: bool,
}

/// What became of one thing that the text names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// It is new here.
    Added,
    /// It was here as the text says.
    Unchanged,
    /// It is here, differs, and stays as it is.
    Kept,
    /// It was here, differed, and is as the text says.
    Replaced,
}

/// One thing that the text names.
#[derive(Clone, Debug, Serialize)]
pub struct Change {
    /// Of which project.
    pub project: String,
    /// `project`, `domain`, `key`, `smtp_user`, `route`, `suppressions`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// What became of it.
    pub what: What,
    /// What to know about that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// A key, password or secret that was made anew: shown this once.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "exposed")]
    pub secret: Option<Secret<String>>,
}

#[expect(clippy::ref_option, reason = "the form that serde wants")]
fn exposed<S: Serializer>(secret: &Option<Secret<String>>, serializer: S) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(Secret::expose).serialize(serializer)
}

/// What an import did.
#[derive(Clone, Debug, Serialize)]
pub struct Imported {
    /// Things that are new.
    pub added: usize,
    /// Things that were there.
    pub unchanged: usize,
    /// Things that differ and stayed.
    pub kept: usize,
    /// Things that were changed.
    pub replaced: usize,
    /// True if nothing was written.
    pub dry_run: bool,
    /// One for each thing, in the order of the text.
    pub changes: Vec<Change>,
}

/// Why nothing was imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The text has faults.
    #[error("the text has {} faults", .0.len())]
    Wrong(Vec<Fault>),
    /// The secrets do not open.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// A domain.
    #[error(transparent)]
    Domain(#[from] DomainError),
    /// An API key.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// An SMTP user.
    #[error(transparent)]
    SmtpUser(#[from] SmtpUserError),
    /// A route.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// The task that derives keys ended early.
    #[error("the secrets could not be opened: the task was stopped")]
    Stopped,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reads a text and writes what it says.
///
/// # Errors
/// [`ImportError`]; then nothing was written.
pub async fn import(rooms: &Rooms, text: &str, options: Options) -> Result<Imported, ImportError> {
    let document = read(text).map_err(ImportError::Wrong)?;
    let vault = match (options.passphrase, &document.encryption) {
        (Some(passphrase), Some(table)) => {
            let table = table.get_ref().clone();
            Some(tokio::task::spawn_blocking(move || Vault::open(&passphrase, &table)).await.map_err(|_| ImportError::Stopped)??)
        }
        // Without the passphrase a sealed text is as good as a redacted one.
        _ => None,
    };
    let planner = Planner::new(rooms, text, vault, options.replace).await?;
    let mut plan = planner.plan(&document).await?;
    write(rooms, &mut plan, options.dry_run).await?;
    let count = |what: What| plan.changes.iter().filter(|change| change.what == what).count();
    let [added, unchanged, kept, replaced] = [What::Added, What::Unchanged, What::Kept, What::Replaced].map(count);
    Ok(Imported { added, unchanged, kept, replaced, dry_run: options.dry_run, changes: plan.changes })
}

/// The document of a text.
fn read(text: &str) -> Result<Document, Vec<Fault>> {
    let mut faults = Faults::new(text);
    let read = toml::Deserializer::parse(text).map_err(|error| (String::new(), error));
    let read = read
        .and_then(|parsed| serde_path_to_error::deserialize::<_, Document>(parsed).map_err(|error| (error.path().to_string(), error.into_inner())));
    match read {
        Ok(document) if *document.format.get_ref() != FORMAT => {
            faults.at(&document.format, "format", format!("this program reads format {FORMAT}; import the text with the program that wrote it"));
            Err(faults.into_found())
        }
        Ok(document) => Ok(document),
        Err((path, error)) => {
            let field = if path == "." { String::new() } else { path };
            faults.place(error.span().map(|span| span.start), field, &error.message());
            Err(faults.into_found())
        }
    }
}

/// Writes a plan in one transaction.
async fn write(rooms: &Rooms, plan: &mut Plan, dry_run: bool) -> Result<(), ImportError> {
    let mut tx = rooms.store.begin().await?;
    for step in &plan.steps {
        match step {
            Step::Project(project) => rooms.access.write_project(&mut tx, project).await?,
            Step::Domain(domain) => rooms.domains.insert_prepared(&mut tx, domain).await?,
            Step::DkimKeys(keys) => rooms.domains.insert_keys(&mut tx, keys).await?,
            Step::Key(key) => rooms.access.insert_prepared(&mut tx, key).await?,
            Step::SmtpUser(user) => rooms.smtp_users.insert_prepared(&mut tx, user).await?,
            Step::SmtpUserChange { id, send_as, hash } => rooms.smtp_users.change_within(&mut tx, *id, send_as, hash.as_ref()).await?,
            Step::RouteRemoval(id) => rooms.routes.remove_within(&mut tx, *id).await?,
            Step::Route(route) => rooms.routes.insert_prepared(&mut tx, route).await?,
            Step::Suppressions { project, of, entries } => {
                let added = rooms.suppressions.insert_within(&mut tx, *project, entries).await?;
                let what = if added > 0 { What::Added } else { What::Unchanged };
                let name = format!("{added} of {}", entries.len());
                plan.changes.push(Change { project: of.clone(), kind: "suppressions", name, what, note: None, secret: None });
            }
        }
    }
    if dry_run {
        // What is not committed was never there, its secrets neither.
        plan.changes.iter_mut().for_each(|change| change.secret = None);
        return Ok(());
    }
    Ok(Store::commit(tx).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_cannot_be_read_is_told_with_line_and_field() {
        for (text, line, field, reason) in [
            ("format = 2\n", Some(1), "format", "reads format 1"),
            ("[[project]]\nname = \"default\"\n", Some(1), "", "missing field `format`"),
            ("format = 1\n[[project]]\nname = 7\n", Some(3), "project[0].name", "expected a string"),
            ("format = 1\n[[project]]\nname = \"a\"\nnmae = \"b\"\n", Some(4), "project[0]", "unknown field `nmae`"),
            (
                "format = 1\n[[project]]\nname = \"a\"\n[[project.route]]\npattern = \"*@a.example\"\naction = \"fly\"\n",
                Some(6),
                "project[0].route[0].action",
                "unknown variant `fly`",
            ),
            ("format = \n", Some(1), "", ""),
        ] {
            let faults = read(text).unwrap_err();
            let fault = faults.first().unwrap();
            assert_eq!(fault.line, line, "{text}: {fault:?}");
            assert!(fault.field.starts_with(field) && fault.reason.contains(reason), "{text}: {fault:?}");
        }
    }
}
