//! The one door in: check, prepare, commit.
