//! The suppression list: addresses and domains that a project does not send to, in all its streams or in one.
//!
//! Answers: what stands on the list, why and since when; adding, removing, import and export. It fills itself from refusals that
//! say that nobody reads mail there, and from complaints (`consumers::suppress`).
//! Does not: hold a message back. Each recipient is looked up in the statement that accepts it, and again in the one that claims
//! it for another attempt (`store::outbox`).

pub mod export;
pub mod import;
mod portable;
pub mod target;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::clock::Clock;
use crate::model::message::Label;
use crate::model::page::{Page, PageRequest};
use crate::model::{BounceClass, MessageId, ProjectId, SuppressionId};
use crate::store::suppression::{self as table, SuppressionRow, SuppressionSearch};
use crate::store::{Store, StoreError};
use crate::telemetry::metrics;

pub use target::Target;

/// Characters of a note.
pub const MAX_NOTE_CHARACTERS: usize = 1_000;

/// Why nothing is sent to an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SuppressionReason {
    /// A receiver said that nobody reads mail there.
    Bounce,
    /// The recipient called a message spam.
    Complaint,
    /// The recipient asked for no more.
    Unsubscribe,
    /// Somebody of the project decided so.
    #[default]
    Manual,
}

impl SuppressionReason {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Bounce, Self::Complaint, Self::Unsubscribe, Self::Manual];

    /// As the API and the database name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bounce => "bounce",
            Self::Complaint => "complaint",
            Self::Unsubscribe => "unsubscribe",
            Self::Manual => "manual",
        }
    }

    /// Reads [`Self::name`].
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }
}

/// Who put an entry on the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = SuppressionOrigin)]
pub enum Origin {
    /// Pennypost, after a bounce or complaint.
    Automatic,
    /// `POST /v1/suppressions`
    Api,
    /// The command line.
    Cli,
    /// A file.
    Import,
}

impl Origin {
    const fn name(self) -> &'static str {
        match self {
            Self::Automatic => "automatic",
            Self::Api => "api",
            Self::Cli => "cli",
            Self::Import => "import",
        }
    }

    fn from_name(name: &str) -> Self {
        [Self::Automatic, Self::Api, Self::Cli].into_iter().find(|origin| origin.name() == name).unwrap_or(Self::Import)
    }
}

/// An entry as the API shows it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SuppressionView {
    /// `sup_…`
    #[schema(value_type = String, examples("sup_01jd5q0v0h7d6r2n8k4m3x9wbz"))]
    pub id: SuppressionId,
    /// The address, or `@domain` for everybody there.
    #[schema(examples("bee@example.net", "@example.org"))]
    pub address: String,
    /// The stream it holds for; null: all of the project.
    pub stream: Option<String>,
    /// Why.
    pub reason: SuppressionReason,
    /// Who put it there.
    pub origin: Origin,
    /// Of a bounce: what the receiver meant.
    pub class: Option<BounceClass>,
    /// The message that led to it.
    #[schema(value_type = Option<String>)]
    pub message_id: Option<MessageId>,
    /// What somebody wrote beside it.
    pub note: Option<String>,
    /// Since when.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: OffsetDateTime,
}

/// An entry to make.
#[derive(Clone, Debug)]
pub struct NewSuppression {
    /// Who.
    pub target: Target,
    /// In which stream; none: in all.
    pub stream: Option<Label>,
    /// Why.
    pub reason: SuppressionReason,
    /// At most [`MAX_NOTE_CHARACTERS`].
    pub note: Option<String>,
    /// Since when; none: now.
    pub created_at: Option<OffsetDateTime>,
}

/// What a list is narrowed to.
#[derive(Clone, Debug, Default)]
pub struct SuppressionFilter {
    /// This address or domain.
    pub target: Option<Target>,
    /// Entries of this stream.
    pub stream: Option<Label>,
    /// This reason.
    pub reason: Option<SuppressionReason>,
}

/// Whether an entry was there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// It is new.
    New,
    /// It was, and stays as it was.
    Before,
}

/// The lists of all projects. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Suppressions {
    store: Store,
    clock: Clock,
}

impl Suppressions {
    /// Over a database.
    #[must_use]
    pub const fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock }
    }

    /// Puts an entry on the list, unless it is there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add(&self, project: ProjectId, new: NewSuppression, origin: Origin) -> Result<(SuppressionView, Added), StoreError> {
        let row = self.row(project, new, origin);
        let mut tx = self.store.begin().await?;
        let written = table::insert(&mut tx, std::slice::from_ref(&row)).await?;
        Store::commit(tx).await?;
        if written == 1 {
            metrics::suppressed_addresses(origin.name(), 1);
            tracing::info!(id = %SuppressionId::from_uuid(row.id), reason = row.reason, origin = row.origin, "suppressed");
            return Ok((view(row), Added::New));
        }
        // Removed in this moment: what was asked for held for that long.
        let found = table::find(&self.store, project.uuid(), &row.address, &row.stream).await?;
        Ok((view(found.unwrap_or(row)), Added::Before))
    }

    /// Entries, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list(&self, project: ProjectId, filter: &SuppressionFilter, page: PageRequest) -> Result<Page<SuppressionView>, StoreError> {
        let search = SuppressionSearch {
            address: filter.target.as_ref().map(ToString::to_string),
            stream: filter.stream.as_ref().map(|stream| stream.as_str().to_owned()),
            reason: filter.reason.map(|reason| reason.name().to_owned()),
        };
        let rows = table::list(&self.store, project.uuid(), &search, page.after, i64::from(page.limit) + 1).await?;
        Ok(Page::cut(rows.into_iter().map(view).collect(), page.limit, |entry| entry.id.uuid()))
    }

    /// One entry. None: the project has no such entry.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn get(&self, project: ProjectId, id: SuppressionId) -> Result<Option<SuppressionView>, StoreError> {
        Ok(table::get(&self.store, project.uuid(), id.uuid()).await?.map(view))
    }

    /// Takes an entry off the list; false if there is none. A later bounce or complaint puts it back.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn remove(&self, project: ProjectId, id: SuppressionId) -> Result<bool, StoreError> {
        let removed = table::remove(&self.store, project.uuid(), id.uuid()).await?;
        if removed {
            tracing::info!(%id, "no longer suppressed");
        }
        Ok(removed)
    }

    /// Takes the entries of an address off the list, of one stream or of all; answers how many.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn remove_target(&self, project: ProjectId, target: &Target, stream: Option<&Label>) -> Result<u64, StoreError> {
        let removed = table::remove_address(&self.store, project.uuid(), target.as_str(), stream.map(Label::as_str)).await?;
        tracing::info!(entries = removed, "no longer suppressed");
        Ok(removed)
    }

    fn row(&self, project: ProjectId, new: NewSuppression, origin: Origin) -> SuppressionRow {
        let now = self.clock.now();
        SuppressionRow {
            id: self.clock.uuid(),
            project_id: project.uuid(),
            address: new.target.to_string(),
            stream: new.stream.map(|stream| stream.as_str().to_owned()).unwrap_or_default(),
            reason: new.reason.name().to_owned(),
            origin: origin.name().to_owned(),
            class: None,
            message_id: None,
            note: new.note,
            created_at: new.created_at.map_or(now, |at| at.min(now)),
        }
    }
}

fn view(row: SuppressionRow) -> SuppressionView {
    SuppressionView {
        id: SuppressionId::from_uuid(row.id),
        address: row.address,
        stream: Some(row.stream).filter(|stream| !stream.is_empty()),
        reason: SuppressionReason::from_name(&row.reason).unwrap_or_default(),
        origin: Origin::from_name(&row.origin),
        class: row.class.and_then(|class| class.parse().ok()),
        message_id: row.message_id.map(MessageId::from_uuid),
        note: row.note,
        created_at: row.created_at,
    }
}
