//! From a document to steps: what is there is looked up, what is wrong noted, and rows made ready, before any transaction begins.
//!
//! Does not: write.

use std::collections::{BTreeMap, BTreeSet};

use toml::Spanned;

use super::document::{Document, ProjectText, SuppressionText};
use super::fault::Faults;
use super::import::{Change, ImportError, What};
use super::{Rooms, Vault};
use crate::access::portable::{PreparedKey, PreparedSmtpUser, Project};
use crate::domains::portable::{PreparedDomain, PreparedKeys};
use crate::model::message::Label;
use crate::model::{DomainId, DomainName, ProjectId, RouteId, Secret, SenderPattern, SmtpUserId};
use crate::routes::portable::PreparedRoute;
use crate::suppressions::{MAX_NOTE_CHARACTERS, NewSuppression, Target};

/// Characters of a project's name.
const MAX_PROJECT_CHARACTERS: usize = 100;

/// One thing to write.
#[derive(Debug)]
pub(super) enum Step {
    Project(Project),
    Domain(PreparedDomain),
    DkimKeys(PreparedKeys),
    Key(PreparedKey),
    SmtpUser(PreparedSmtpUser),
    SmtpUserChange { id: SmtpUserId, send_as: Vec<SenderPattern>, hash: Option<Secret<String>> },
    RouteRemoval(RouteId),
    Route(Box<PreparedRoute>),
    Suppressions { project: ProjectId, of: String, entries: Vec<NewSuppression> },
}

/// What is to be written, and what will be told of it.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    pub(super) changes: Vec<Change>,
}

/// There is a fault, and it was noted.
#[derive(Debug)]
pub(super) struct Noted;

/// A project of the text.
pub(super) struct Here<'d> {
    pub(super) id: ProjectId,
    pub(super) text: &'d ProjectText,
    /// Where it stands in the text, as faults name it.
    pub(super) field: String,
    /// The domains that it has or will have.
    pub(super) domains: BTreeMap<DomainName, DomainId>,
}

impl Here<'_> {
    pub(super) fn name(&self) -> &str {
        self.text.name.get_ref()
    }
}

pub(super) struct Planner<'a> {
    pub(super) rooms: &'a Rooms,
    pub(super) vault: Option<Vault>,
    pub(super) replace: bool,
    pub(super) faults: Faults<'a>,
    pub(super) plan: Plan,
    projects: BTreeMap<String, Project>,
    seen: BTreeSet<(&'static str, String)>,
}

impl<'a> Planner<'a> {
    pub(super) async fn new(rooms: &'a Rooms, text: &'a str, vault: Option<Vault>, replace: bool) -> Result<Self, ImportError> {
        let projects = rooms.access.projects().await?.into_iter().map(|project| (project.name.clone(), project)).collect();
        Ok(Self { rooms, vault, replace, faults: Faults::new(text), plan: Plan::default(), projects, seen: BTreeSet::new() })
    }

    /// Plans all of a document; every fault in it is found.
    pub(super) async fn plan(mut self, document: &Document) -> Result<Plan, ImportError> {
        for (at, text) in document.projects.iter().enumerate() {
            let field = format!("project[{at}]");
            let name = text.name.get_ref();
            if !(1..=MAX_PROJECT_CHARACTERS).contains(&name.chars().count()) || name.chars().any(char::is_control) {
                let reason = format!("expected 1 to {MAX_PROJECT_CHARACTERS} characters, none of them a control character");
                self.faults.at(&text.name, format!("{field}.name"), reason);
                continue;
            }
            if !self.once("project", &text.name, &format!("{field}.name"), name.clone()) {
                continue;
            }
            let id = self.project(text);
            let mut here = Here { id, text, field, domains: BTreeMap::new() };
            self.domains(&mut here).await?;
            self.keys(&here).await?;
            self.smtp_users(&here).await?;
            self.routes(&here).await?;
            self.suppressions(&here);
        }
        if self.faults.is_none() { Ok(self.plan) } else { Err(ImportError::Wrong(self.faults.into_found())) }
    }

    fn project(&mut self, text: &ProjectText) -> ProjectId {
        let name = text.name.get_ref().clone();
        let here = self.projects.get(&name).cloned();
        let wanted = |id: ProjectId| Project { id, name: name.clone(), strict_verp: text.strict_verp };
        let (id, what) = match here {
            None => {
                let id = ProjectId::from_uuid(self.rooms.clock.uuid());
                self.plan.steps.push(Step::Project(wanted(id)));
                (id, What::Added)
            }
            Some(here) if here.strict_verp == text.strict_verp => (here.id, What::Unchanged),
            Some(here) if self.replace => {
                self.plan.steps.push(Step::Project(wanted(here.id)));
                (here.id, What::Replaced)
            }
            Some(here) => (here.id, What::Kept),
        };
        let note = (what == What::Kept).then(|| "strict_verp differs".to_owned());
        self.told(&name, "project", &name, what, note, None);
        id
    }

    fn suppressions(&mut self, here: &Here<'_>) {
        let entries: Vec<NewSuppression> =
            here.text.suppressions.iter().enumerate().filter_map(|(at, text)| self.suppression(here, at, text)).collect();
        if !entries.is_empty() {
            self.plan.steps.push(Step::Suppressions { project: here.id, of: here.name().to_owned(), entries });
        }
    }

    fn suppression(&mut self, here: &Here<'_>, at: usize, text: &SuppressionText) -> Option<NewSuppression> {
        let field = format!("{}.suppression[{at}]", here.field);
        let target = self.faults.take(&text.address, &format!("{field}.address"), |text| Target::parse(text))?;
        let stream = match &text.stream {
            None => None,
            Some(stream) => Some(self.faults.take(stream, &format!("{field}.stream"), |text| Label::parse(text))?),
        };
        if let Some(note) = text.note.as_ref().filter(|note| note.get_ref().chars().count() > MAX_NOTE_CHARACTERS) {
            self.faults.at(note, format!("{field}.note"), format!("a note has {MAX_NOTE_CHARACTERS} characters at most"));
            return None;
        }
        let note = text.note.as_ref().map(|note| note.get_ref().clone());
        Some(NewSuppression { target, stream, reason: text.reason, note, created_at: text.since })
    }

    /// Notes what becomes of something.
    pub(super) fn told(&mut self, project: &str, kind: &'static str, name: &str, what: What, note: Option<String>, secret: Option<Secret<String>>) {
        self.plan.changes.push(Change { project: project.to_owned(), kind, name: name.to_owned(), what, note, secret });
    }

    /// False, with a fault, if the text named it before.
    pub(super) fn once<T>(&mut self, kind: &'static str, value: &Spanned<T>, field: &str, name: String) -> bool {
        let reason = format!("{name} is named twice");
        let new = self.seen.insert((kind, name));
        if !new {
            self.faults.at(value, field, reason);
        }
        new
    }

    /// The secret of a value, where the text has one and the passphrase is known.
    pub(super) fn secret(&mut self, value: Option<&Spanned<String>>, field: &str, place: &[&str]) -> Result<Option<Secret<Vec<u8>>>, Noted> {
        let (Some(value), Some(vault)) = (value, &self.vault) else { return Ok(None) };
        self.faults.take(value, field, |sealed| vault.unseal(place, sealed)).map(Some).ok_or(Noted)
    }
}
