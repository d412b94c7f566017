//! Pennypost: a mail gateway.
// Words
pub mod model;
pub mod clock;
pub mod supervisor;
pub mod config;
pub mod telemetry;
// Protocols
pub mod mail;
pub mod net;
pub mod smtp;
pub mod lab;
// Database
pub mod store;
// Rules
pub mod access;
pub mod domains;
pub mod outbox;
pub mod events;
// Flow
pub mod accept;
pub mod deliver;
pub mod ops;
// Doors
pub mod http;
// Top
pub mod serve;
pub mod cli;
