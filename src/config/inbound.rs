//! Options of mail from the world, and of webhooks.

use serde::Deserialize;

/// `[inbound]`: mail from the world.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inbound {
    /// What is done with mail to postmaster and abuse where no route says so: `store`, or an address that it is forwarded to.
    pub postmaster: String,
    /// Octets of mail that a project may keep.
    pub stored_octets: u64,
}

/// `[webhooks]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhooks {
    /// Post to loopback, private and link-local addresses too.
    pub allow_private_addresses: bool,
    /// Post in the clear too.
    pub allow_http: bool,
    /// Seconds for one request.
    pub timeout_seconds: u64,
    /// Requests to one endpoint at once.
    pub connections_per_endpoint: usize,
    /// Octets of attachments that are posted with a message; larger ones are fetched by the API.
    pub attachment_octets: usize,
}
