//! The outbox: messages accepted, deliveries not yet settled.
//!
//! Answers: what is put in, what is claimed, what became of it, and what an operator may do with what waits.
//! Does not: talk to mail servers (`deliver`) or judge requests (`accept`). Invariants 1 to 6.

mod at_site;
pub mod claims;
pub mod content;
pub mod control;
pub mod egress;
pub mod expiry;
pub mod handoff;
pub mod lane;
pub mod new_message;
pub mod node;
pub mod nodes;
pub mod orders;
pub mod pauses;
pub mod refill;
pub mod selection;
pub mod settle;
pub mod sites;
mod unpark;
pub mod view;
pub mod waiting;
pub mod ways;
pub mod witness;

use bytes::Bytes;
use time::OffsetDateTime;

use crate::clock::{Clock, time_of};
use crate::model::{DomainId, MessageId, ProjectId};
use crate::store::Store;
pub use crate::store::StoreError;

pub use control::{Change, Verb};
pub use node::Node;
pub use nodes::{NodeState, NodeView};
pub use pauses::{PauseView, Paused, ReasonError, Target, check_reason};
pub use selection::{Selection, SelectionError};

pub use claims::{ClaimedDelivery, Claims, Hurry, OutboundMessage};
pub use egress::SourceView;
pub use new_message::{IdempotencyKey, NewMessage, Origin};
pub use sites::{SiteState, SiteView};
pub use view::{DeliveryView, MessageFilter, MessageSummary, MessageView, QueueLane};
pub use ways::Ways;
pub use witness::{Seen, Witnesses};

/// Reads and controls the outbox on behalf of a project. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Outbox {
    store: Store,
    clock: Clock,
    ways: Ways,
}

/// A message's content as it was accepted: without our signature.
#[derive(Clone, Debug)]
pub struct StoredContent {
    /// RFC 5322 octets.
    pub content: Bytes,
    /// Whose DKIM keys sign it.
    pub domain: Option<DomainId>,
    /// When it was accepted; the signature's `t=`.
    pub accepted_at: OffsetDateTime,
}

impl Outbox {
    /// Over a database, for mail that takes these ways.
    #[must_use]
    pub const fn new(store: Store, clock: Clock, ways: Ways) -> Self {
        Self { store, clock, ways }
    }

    /// The content of a project's message.
    pub async fn content(&self, project: ProjectId, id: MessageId) -> Result<Option<StoredContent>, StoreError> {
        let Some(row) = self.store.content(project.uuid(), id.uuid()).await? else { return Ok(None) };
        let content = content::unpack(row.encoding, row.content, row.size)?;
        Ok(Some(StoredContent { content, domain: row.domain_id.map(DomainId::from_uuid), accepted_at: time_of(row.id) }))
    }

    /// True if it can be said which site a delivery is at: not where the configuration of those who send cannot be used.
    #[must_use]
    pub const fn knows_sites(&self) -> bool {
        self.ways.are_known()
    }

    /// True if the database answers and knows its tables.
    pub async fn ping(&self) -> bool {
        self.store.live_nodes().await.is_ok()
    }
}
