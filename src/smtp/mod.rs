//! SMTP as a client speaks it (RFC 5321): sessions, transactions, replies, time limits.
//!
//! Answers: how one message is handed to one host over one connection, and what the host said about each recipient.
//! Does not: choose hosts (see `net::mx`), judge replies (see `deliver::verdict`), sign, or keep a queue.

mod auth;
pub mod client;
pub mod codec;
pub mod command;
pub mod extension;
pub mod timeouts;

mod content;
mod session;
mod transaction;
mod transcript;
mod wire;

#[cfg(test)]
mod dialog_tests;
#[cfg(test)]
mod session_tests;
