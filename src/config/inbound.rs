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
    /// Refuse what fails DMARC where the author's domain asks for it.
    pub dmarc_reject: bool,
    /// Seal what is forwarded (ARC).
    pub arc_seal: bool,
    /// Seconds that the session of a forward waits for the next server.
    pub forward_wait_seconds: u64,
    /// Messages that a route forwards in a minute.
    pub forward_per_minute: u32,
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
