//! The HTTP door: parse, call one flow or rule, answer.
//!
//! Answers: `/v1/...` and `/send` for programs, `/healthz`, `/readyz`, `/metrics`, `/openapi.json`, `/docs` for operators,
//! `/.well-known/mta-sts.txt` for other mail servers.
//! Does not: decide anything about mail, or touch the database. A request runs through `stack` (id, panics, problems, headers),
//! the router of `api` and `public`, the extractors (caller, body, key) and one handler.

pub mod api;
pub mod body;
pub mod consent;
pub mod docs;
pub mod extract;
pub mod json;
pub mod limit;
pub mod listen;
pub mod patience;
pub mod problem;
pub mod public;
pub mod route;
pub mod stack;
pub mod timer;
pub mod well_known;

use std::pin::Pin;
use std::sync::Arc;

use crate::accept::Accept;
use crate::access::smtp_users::SmtpUsers;
use crate::access::{Access, Audit, Caller};
use crate::clock::Clock;
use crate::config::Config;
use crate::domains::Domains;
use crate::events::Events;
use crate::incoming::IncomingMail;
use crate::model::ProjectId;
use crate::net::acme::Answers;
use crate::ops::certs::Certificates;
use crate::ops::doctor::Doctor;
use crate::outbox::Outbox;
use crate::reports::Reports;
use crate::routes::Routes;
use crate::suppressions::Suppressions;
use crate::webhooks::Webhooks;
use body::Budget;
use limit::RateLimiter;
use problem::Problem;

pub use docs::openapi;
pub use listen::{Listener, places};
pub use stack::Stack;

/// Asks whether requests can be served now; the error says why not.
pub type Ready = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync>;
/// Writes the metrics as Prometheus reads them.
pub type Metrics = Arc<dyn Fn() -> String + Send + Sync>;

/// The rooms that the door leads to.
pub struct Rooms {
    /// Takes messages.
    pub accept: Accept,
    /// Knows keys.
    pub access: Access,
    /// Knows SMTP users.
    pub smtp_users: SmtpUsers,
    /// Knows domains.
    pub domains: Domains,
    /// Knows messages.
    pub outbox: Outbox,
    /// Looks at domains as receivers do.
    pub doctor: Doctor,
    /// Knows what happened.
    pub events: Events,
    /// Who changed what.
    pub audit: Audit,
    /// The project whose full keys may do what concerns the whole house.
    pub house: ProjectId,
    /// Knows who is not sent to.
    pub suppressions: Suppressions,
    /// Knows what receivers tell.
    pub reports: Reports,
    /// Mail from the world that is kept.
    pub incoming: IncomingMail,
    /// Who is told by HTTP.
    pub webhooks: Webhooks,
    /// Where mail from the world goes.
    pub routes: Routes,
    /// Database there, migrations run, not draining.
    pub ready: Ready,
    /// For `/metrics`.
    pub metrics: Metrics,
    /// Certificates that are in no file.
    pub certificates: Certificates,
    /// What certificate authorities are answered.
    pub answers: Answers,
    /// What the operator asked for.
    pub config: Arc<Config>,
    /// The time.
    pub clock: Clock,
}

/// What every handler can reach.
pub struct Api {
    rooms: Rooms,
    /// Memory for request bodies.
    pub budget: Budget,
    /// Requests per key.
    pub limiter: RateLimiter,
}

impl Api {
    /// Opens the door to `rooms`.
    #[must_use]
    pub fn new(rooms: Rooms) -> Self {
        let limits = &rooms.config.limits;
        let (budget, limiter) = (Budget::new(limits.request_memory_octets), RateLimiter::new(limits.requests_per_second));
        Self { rooms, budget, limiter }
    }

    /// Lets a caller through who may do what concerns the whole house: nodes, and the mail of other projects.
    ///
    /// # Errors
    /// [`Problem::InsufficientScope`] unless the key is of the project `default`.
    pub fn require_house(&self, caller: &Caller) -> Result<(), Problem> {
        let refusal = "this concerns the whole house; use the command line or a full key of the project default";
        if caller.project == self.house { Ok(()) } else { Err(Problem::InsufficientScope(refusal)) }
    }
}

impl std::ops::Deref for Api {
    type Target = Rooms;

    fn deref(&self) -> &Rooms {
        &self.rooms
    }
}
