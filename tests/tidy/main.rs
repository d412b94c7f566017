//! The house rules of `docs/architecture.md`, held by reading the sources as text; no database is needed.
//!
//! Answers: who imports whom, where SQL stands, which crate is used where, how long files and functions are, whether texts that are
//! printed from code are stale. Each rule is a function from sources to complaints, and has a test with a text that breaks it.

#[cfg(test)]
mod docs;
#[cfg(test)]
mod failpoints;
#[cfg(test)]
mod homes;
#[cfg(test)]
mod imports;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod sizes;
#[cfg(test)]
mod source;
#[cfg(test)]
mod sql;

#[cfg(test)]
fn assert_none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}
