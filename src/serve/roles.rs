//! What one process does of all that the gateway does.

use std::str::FromStr;

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each role is on or off by itself")]
pub struct Roles {
    /// Answer HTTP.
    pub api: bool,
    /// Deliver.
    pub deliver: bool,
    /// Speak SMTP with users and the world.
    pub smtp: bool,
    /// Keep house.
    pub worker: bool,
}

impl Roles {
    /// Everything.
    pub const ALL: Self = Self { api: true, deliver: true, smtp: true, worker: true };
}

/// The text names no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no role; give one or more of api, deliver, smtp, worker, separated by commas")]
pub struct UnknownRole(String);

impl FromStr for Roles {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        let mut roles = Self { api: false, deliver: false, smtp: false, worker: false };
        for word in text.split(',').map(str::trim) {
            match word {
                "api" => roles.api = true,
                "deliver" => roles.deliver = true,
                "smtp" => roles.smtp = true,
                "worker" => roles.worker = true,
                other => return Err(UnknownRole(other.to_owned())),
            }
        }
        Ok(roles)
    }
}
