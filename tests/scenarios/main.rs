//! Scenarios: the whole gateway on real sockets, with its own database, DNS zone and mail hosts, and a clock that is moved by hand.
//!
//! One file a situation; each test's name is the sentence it proves. `world` is the harness.
#![expect(missing_docs, unreachable_pub, reason = "a test's name says what it proves, and nobody imports a test")]

mod world;

mod api;
mod api_bad_input;
mod api_keys;
mod api_send;
mod api_senders;
mod content;
mod crash;
mod database;
mod delivery;
mod dns;
mod envelope;
mod events;
mod greeting;
mod idempotency;
mod memory;
mod next_hop;
mod nodes;
mod outbox_model;
mod replies;
mod schedule;
mod session;
mod tls;
