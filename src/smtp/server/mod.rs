//! SMTP as a server speaks it (RFC 5321, RFC 6409): one machine for submission with STARTTLS (587), with TLS from the first octet (465), and for mail
//! from the world (25).
//!
//! Answers: what is said to each command, and what is to be done: start TLS, check who signs in, keep a message. It is pure: octets in, octets out; who
//! runs it owns socket, time and rules. Nothing read before TLS survives it, and content ends at `<CRLF>.<CRLF>` alone.
//! Does not: decide who may send what (see `smtpd`), or repair what clients send.

pub mod auth;
pub mod command;
pub mod parameter;
pub mod path;
pub mod reply;
pub mod session;

mod content;
mod lines;

#[cfg(test)]
mod dialog_tests;
#[cfg(test)]
mod oracle_tests;
