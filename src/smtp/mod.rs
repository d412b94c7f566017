//! SMTP (RFC 5321): as a client speaks it, with sessions, transactions, replies and time limits; and as a server does, in `server`.
//!
//! Answers: how one message is handed to one host over one connection, and what the host said about each recipient.
//! Does not: choose hosts (see `net::mx`), judge replies (see `deliver::verdict`), sign, or keep a queue.

mod auth;
pub mod client;
pub mod codec;
pub mod command;
pub mod extension;
pub mod server;
pub mod timeouts;

mod content;
mod report_parameters;
mod session;
mod transaction;
mod transcript;
mod wire;

#[cfg(test)]
mod dialog_tests;
#[cfg(test)]
mod session_tests;
