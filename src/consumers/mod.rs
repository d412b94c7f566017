//! Consumers of the event log: each reads it behind a cursor of its own and makes something of what happened.
//!
//! Answers: what follows from an event, exactly once. Does not: delay what wrote the event; a consumer that is behind catches up.

pub mod post;
pub mod suppress;
pub mod webhook;

pub use post::Post;
pub use suppress::Suppress;
pub use webhook::Tell;
