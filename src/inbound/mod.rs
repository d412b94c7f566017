//! Mail from the world: what comes back about mail of ours.
//!
//! Answers: what a delivery report or complaint means (`classify`). Does not: talk SMTP.

pub mod classify;

#[cfg(test)]
mod corpus_tests;
