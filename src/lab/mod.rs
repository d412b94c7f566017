//! Programs for loopback: a DNS zone, an SMTP sink, a load generator, a long line. `demo`, `bench` and the tests run on them.
//!
//! Answers: a small world of other people's servers, made of the same parts the gateway uses.
//! Does not: take part in `serve`. Give the lab a [`crate::supervisor::Supervisor`] of its own: its servers end when that drains,
//! and they have to outlast the gateway's last session.

pub mod delay;
pub mod load;
pub mod sink;
pub mod submit;
pub mod zone;

mod sink_session;
mod zone_text;
