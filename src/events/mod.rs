//! Events: the append-only log of what became of each message.
//!
//! Answers: the kinds of events, and reading them by cursor without gaps. Written in the same statement as the change they tell
//! of (`store::outbox`), so there is no state without its event and no event without its state.

pub mod feed;
pub mod kind;

pub use feed::{EventPage, EventView, Events, EventsError};
pub use kind::EventKind;
