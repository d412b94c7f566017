//! Scenarios: the whole gateway on real sockets, with its own database, DNS zone and mail hosts, and a clock that is moved by hand.
//!
//! One file a situation; each test's name is the sentence it proves. `world` is the harness.
#![expect(unreachable_pub, reason = "nobody imports a test")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test ends where something is not as it says, its helpers too")]
#![expect(clippy::disallowed_methods, clippy::too_many_lines, reason = "a test may read the time, and a table of bad input is as long as it is")]
#![expect(
    clippy::case_sensitive_file_extension_comparisons,
    clippy::type_complexity,
    clippy::items_after_statements,
    clippy::format_push_string,
    clippy::needless_for_each,
    clippy::expect_used,
    clippy::format_collect,
    clippy::duration_suboptimal_units,
    reason = "a test reads best in one piece"
)]

mod world;

mod api;
mod api_bad_input;
mod api_http;
mod api_keys;
mod api_messages;
mod api_naughty;
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
