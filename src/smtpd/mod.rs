//! The SMTP door: submission on 587 and 465, and mail from the world on 25.
//!
//! Answers: who may connect, sign in and send as whom; what is submitted goes the way of every message, through `accept`, and what the world brings
//! to `inbound`. The protocol itself is `smtp::server`'s; here are sockets, time limits and rules.
//! Does not: relay for anybody who has not signed in, or touch the database.

pub mod attempts;
pub mod listen;

mod budget;
mod connection;
mod exchange;
mod options;
mod refusal;
mod submission;
mod wire;

use std::sync::Arc;

use crate::accept::Accept;
use crate::access::smtp_users::SmtpUsers;
use crate::clock::Clock;
use crate::config::Config;
use crate::inbound::Reception;
use crate::net::places::{Places, Telling};
use crate::net::server_tls::ServerTls;
use crate::smtp::server::session::{Purpose, Settings};
use crate::supervisor::Supervisor;
use crate::telemetry::metrics;
use attempts::Attempts;
use budget::Budget;

pub use listen::{Encryption, Listener};

const TELLING: Telling = Telling {
    protocol: "SMTP",
    opened: metrics::smtp_connection_opened,
    closed: metrics::smtp_connection_closed,
    turned_away: metrics::smtp_turned_away,
};

/// The rooms that the door leads to.
#[derive(Clone)]
pub struct Rooms {
    /// Takes messages.
    pub accept: Accept,
    /// Takes what the world brings.
    pub reception: Reception,
    /// Knows users and keys.
    pub users: SmtpUsers,
    /// Certificates.
    pub tls: ServerTls,
    /// What the operator asked for.
    pub config: Arc<Config>,
    /// Our name.
    pub hostname: String,
    /// The time.
    pub clock: Clock,
    /// Tells of the drain.
    pub supervisor: Supervisor,
}

/// What every connection can reach.
pub struct Door {
    rooms: Rooms,
    settings: Arc<Settings>,
    places: Arc<Places>,
    budget: Budget,
    attempts: Attempts,
}

impl Door {
    /// Opens the door to `rooms` for our users, or for the world.
    #[must_use]
    pub fn new(rooms: Rooms, purpose: Purpose) -> Arc<Self> {
        let (smtp, limits) = (&rooms.config.smtp, &rooms.config.limits);
        let settings = Settings { hostname: rooms.hostname.clone(), purpose, max_octets: limits.message_octets, max_recipients: smtp.recipients };
        let places = Places::new(smtp.connections, smtp.connections_per_client, TELLING);
        let (budget, attempts) = (Budget::new(smtp.message_memory_octets), Attempts::new(rooms.clock.clone()));
        Arc::new(Self { rooms, settings: Arc::new(settings), places, budget, attempts })
    }
}

impl std::ops::Deref for Door {
    type Target = Rooms;

    fn deref(&self) -> &Rooms {
        &self.rooms
    }
}
