//! Scenarios: the whole gateway on real sockets, with its own database, DNS zone and mail hosts, and a clock that is moved by hand.
//!
//! One file a situation; each test's name is the sentence it proves. `world` is the harness.
#![expect(unreachable_pub, reason = "nobody imports a test")]
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "what goes wrong in a test or its harness ends the test")]

mod world;

mod api_bad_input;
mod api_http;
mod api_keys;
mod api_messages;
mod api_naughty;
mod api_send;
mod api_senders;
mod batch;
mod clock;
mod content;
mod crash;
mod crowd;
mod database;
mod delivery;
mod dns;
mod doctor;
mod domain_keys;
mod domain_reports;
mod egress;
mod egress_listing;
mod egress_proxy;
mod egress_warm_up;
mod envelope;
mod events;
mod failover;
mod failures;
mod forwarding;
mod forwarding_reports;
mod greeting;
mod idempotency;
mod inbound;
mod incoming_checks;
mod memory;
mod migration;
mod next_hop;
mod nodes;
mod notices;
mod operator;
mod operator_guards;
mod operator_sites;
mod outbox_model;
mod portable;
mod replies;
mod reports;
mod reports_onward;
mod restart;
mod return_path;
mod routes;
mod scarce;
mod schedule;
mod session;
mod sites;
mod smart_host;
mod smtp_gmail;
mod smtp_session;
mod smtp_submission;
mod stages;
mod storm;
mod suppression;
mod tls;
mod tls_dane;
mod tls_memory;
mod tls_reports;
mod tls_require;
mod tls_sts;
mod webhooks;
