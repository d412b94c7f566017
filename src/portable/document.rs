//! The text: TOML, each table with the fields named here and no others.
//!
//! Does not: say what a value means; the plans do. Values that can be wrong keep their place in the text.

use crate::domains::StsMode;
use serde::{Deserialize, Serialize};
use toml::Spanned;

/// The number of this form; a later one says so.
pub const FORMAT: u32 = 1;

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// [`FORMAT`].
    pub format: Spanned<u32>,
    /// How secrets are sealed; none: they are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Spanned<Encryption>>,
    /// The projects.
    #[serde(rename = "project", default, skip_serializing_if = "Vec::is_empty")]
    pub projects: Vec<ProjectText>,
}

/// How a passphrase becomes the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Encryption {
    /// `argon2id+aes-256-gcm`.
    pub method: String,
    /// Memory that a guess takes.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
    /// Base64.
    pub salt: String,
    /// Opens with the right passphrase.
    pub check: String,
}

/// A project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProjectText {
    /// Its name; `default` is the one that commands use.
    pub name: Spanned<String>,
    /// One transaction for each recipient.
    #[serde(default)]
    pub strict_verp: bool,
    /// Its domains.
    #[serde(rename = "domain", default, skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<DomainText>,
    /// Its API keys.
    #[serde(rename = "key", default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<KeyText>,
    /// Its SMTP users.
    #[serde(rename = "smtp_user", default, skip_serializing_if = "Vec::is_empty")]
    pub smtp_users: Vec<SmtpUserText>,
    /// Its routes.
    #[serde(rename = "route", default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<RouteText>,
    /// Its suppressions.
    #[serde(rename = "suppression", default, skip_serializing_if = "Vec::is_empty")]
    pub suppressions: Vec<SuppressionText>,
}

/// A domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DomainText {
    /// Its name.
    pub name: Spanned<String>,
    /// Its MTA-STS policy.
    #[serde(default)]
    pub mta_sts: StsMode,
    /// Its DKIM keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dkim: Vec<DkimText>,
}

/// A DKIM key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DkimText {
    /// Its selector.
    pub selector: Spanned<String>,
    /// What it does.
    pub state: DkimState,
    /// The TXT record.
    pub record: String,
    /// PKCS#8 in PEM, sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_key: Option<Spanned<String>>,
}

/// What a DKIM key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DkimState {
    /// Signs.
    Active,
    /// Waits for its record.
    Next,
}

/// An API key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyText {
    /// What it is for.
    pub name: Spanned<String>,
    /// Its public part.
    pub prefix: Spanned<String>,
    /// What it may do.
    pub scope: crate::access::Scope,
    /// The domains it may send from; none: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domains: Option<Vec<Spanned<String>>>,
    /// When it ends; none: never.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<time::OffsetDateTime>,
    /// Its SHA-256, sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<Spanned<String>>,
}

/// An SMTP user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmtpUserText {
    /// The name to sign in with.
    pub username: Spanned<String>,
    /// Further senders.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub send_as: Vec<Spanned<String>>,
    /// The Argon2id hash of the password, sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Spanned<String>>,
}

/// A route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteText {
    /// The addresses it takes.
    pub pattern: Spanned<String>,
    /// What it does.
    pub action: ActionText,
    /// Of `webhook`: where it posts to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Spanned<String>>,
    /// Of `webhook`: what signs, sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Spanned<String>>,
    /// Of `reject`: what the sender is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Spanned<String>>,
    /// Of `forward`: where it sends mail.
    #[serde(rename = "target", default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<TargetText>,
}

/// What a route does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionText {
    /// Sends on.
    Forward,
    /// Keeps and posts.
    Webhook,
    /// Keeps.
    Store,
    /// Refuses.
    Reject,
    /// Throws away.
    Drop,
}

/// Where a route sends mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetText {
    /// The address.
    pub address: Spanned<String>,
    /// When its owner agreed, sealed: an address that anybody could write here has agreed to nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed: Option<Spanned<String>>,
}

/// A suppression.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuppressionText {
    /// The address, or `@domain`.
    pub address: Spanned<String>,
    /// The stream it holds for; none: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<Spanned<String>>,
    /// Why.
    pub reason: crate::suppressions::SuppressionReason,
    /// What somebody wrote beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Spanned<String>>,
    /// Since when; none: now.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub since: Option<time::OffsetDateTime>,
}

/// A value that stands nowhere yet.
#[must_use]
pub fn fresh<T>(value: T) -> Spanned<T> {
    Spanned::new(0..0, value)
}
