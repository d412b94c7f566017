//! Mail from the world: what comes back about mail of ours.
//!
//! Answers: a report at a bounce address becomes an event of the delivery it is about, once (`Inbound::report_arrived`), and what it means
//! (`classify`). The suppression list follows from the event. Does not: talk SMTP, or keep mail that is no report.

mod apply;
pub mod classify;
mod report;

#[cfg(test)]
mod corpus_tests;

pub use apply::{Heard, Inbound, InboundError, Nothing};
pub use report::Reported;
