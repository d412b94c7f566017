//! The configuration in the database as text, fit for git: written by `export`, read by `import`.
//!
//! Answers: projects with their domains, DKIM selectors, API keys, SMTP users, routes and, where asked for, suppressions, in one order that
//! depends on names alone. Secrets are left out, or sealed under a passphrase (`vault`). An import adds what is missing, leaves what is there
//! unless told to replace it, and does all of it in one transaction or nothing; read twice, a text changes nothing the second time.
//! Does not: remove anything, or carry mail, events and what DNS said: a domain that was brought along is pending until a check finds its record.

pub mod document;
pub mod export;
pub mod import;
pub mod vault;

mod fault;
mod plan;
mod plan_access;
mod plan_domains;
mod plan_routes;

pub use export::{ExportError, export};
pub use fault::Fault;
pub use import::{Change, ImportError, Imported, Options, What, import};
pub use vault::{Vault, VaultError};

use crate::access::Access;
use crate::access::smtp_users::SmtpUsers;
use crate::clock::Clock;
use crate::domains::Domains;
use crate::routes::Routes;
use crate::store::Store;
use crate::suppressions::Suppressions;
use crate::webhooks::Webhooks;

/// What is written and read.
#[derive(Debug)]
pub struct Rooms {
    /// The database.
    pub store: Store,
    /// Time and randomness.
    pub clock: Clock,
    /// Projects and API keys.
    pub access: Access,
    /// SMTP users.
    pub smtp_users: SmtpUsers,
    /// Domains.
    pub domains: Domains,
    /// Routes.
    pub routes: Routes,
    /// Their endpoints.
    pub webhooks: Webhooks,
    /// Suppressions.
    pub suppressions: Suppressions,
}
