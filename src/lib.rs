//! Pennypost: a mail gateway.
// Words
pub mod clock;
pub mod config;
pub mod failpoint;
pub mod model;
pub mod recent;
pub mod supervisor;
pub mod telemetry;
// Protocols
pub mod lab;
pub mod mail;
pub mod net;
pub mod smtp;
// Database
pub mod store;
// Rules
pub mod access;
pub mod domains;
pub mod events;
pub mod incoming;
pub mod outbox;
pub mod reports;
pub mod routes;
pub mod suppressions;
pub mod transit;
pub mod webhooks;
// Flow
pub mod accept;
pub mod consumers;
pub mod deliver;
pub mod inbound;
pub mod ops;
pub mod portable;
// Doors
pub mod http;
pub mod smtpd;
// Top
pub mod cli;
pub mod serve;
