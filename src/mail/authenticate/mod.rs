//! Mail from the world: whose is it? SPF, DKIM, DMARC, ARC and the peer's name, each as a value, and the field that tells them.
//!
//! Answers: what each method finds (`spf`, `seals` for DKIM and ARC, `dmarc`, `iprev`), `Authentication-Results` and what a stranger wrote in our
//! name (`results`). The DNS comes from outside (`records`).
//! Does not: refuse anything, or know what a message is for.

pub mod dmarc;
pub mod iprev;
pub mod records;
pub mod results;
pub mod seals;
pub mod spf;

#[cfg(test)]
mod suite_tests;
#[cfg(test)]
mod tests;
