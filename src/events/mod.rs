//! The append-only log of what became of each message.
