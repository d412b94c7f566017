//! The one door in: check, prepare, commit.

pub mod batch;
