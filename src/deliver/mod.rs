//! The engine: takes claimed deliveries to the mail servers of their recipients.
//!
//! What delivering means, in order: choose the way out (`egress`), find the next hops (`plan`), open or reuse a session (`worker`) from
//! a source address (`departure`) as TLS policy wants it (`tls_policy`, `connect`), sign once (`sign`), send one
//! transaction (`smtp::client`), judge each reply (`verdict`), write the outcome (`attempt`, `outbox::settle`).
//! A refusal is a value; only `verdict` says deferred or bounced (invariant 7). No database connection is held during any of it.

pub mod attempt;
pub mod class;
pub mod connect;
pub mod departure;
pub mod egress;
pub mod engine;
pub mod fair;
mod heed;
pub mod job;
pub mod limits;
pub mod missing;
mod orders;
pub mod pace;
pub mod places;
pub mod plan;
pub mod return_path;
pub mod schedule;
pub mod sharing;
pub mod sign;
pub mod signal;
pub mod simulation;
pub mod site;
pub mod smart_host;
pub mod throttle;
pub mod tls_policy;
pub mod verdict;
pub mod worker;

pub use engine::{Engine, EngineParts};
