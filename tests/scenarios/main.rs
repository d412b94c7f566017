//! Scenarios: the whole gateway on real sockets, with its own database, DNS zone and mail hosts, and a clock that is moved by hand.
//!
//! One file a situation; each test's name is the sentence it proves. `world` is the harness.
#![expect(missing_docs, reason = "a test's name says what it proves")]

mod world;

mod delivery;
mod dns;
mod greeting;
