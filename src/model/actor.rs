//! Who asks for a change: an API key, or somebody at the command line.
//!
//! Does not: decide what they may do; see `access`.

use serde::Serialize;
use utoipa::ToSchema;

use super::KeyId;

/// Who did something, as the audit trail names them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Actor {
    /// The API key; null for the command line.
    #[schema(value_type = Option<String>, examples("key_01jd5q0v0h7d6r2n8k4m3x9wbz"))]
    pub key_id: Option<KeyId>,
    /// The name of the key at that time, or `command line (<user of the operating system>)`.
    #[schema(examples("shop backend"))]
    pub name: String,
}

impl Actor {
    /// A key.
    #[must_use]
    pub fn key(id: KeyId, name: &str) -> Self {
        Self { key_id: Some(id), name: name.to_owned() }
    }

    /// A user of the operating system.
    #[must_use]
    pub fn command_line(user: &str) -> Self {
        Self { key_id: None, name: format!("command line ({user})") }
    }
}
