//! The database as text: everything in one order that depends on names alone, secrets sealed or left out.

use toml::Spanned;

use super::document::{
    ActionText, DkimState, DkimText, Document, DomainText, FORMAT, KeyText, ProjectText, RouteText, SmtpUserText, SuppressionText, TargetText, fresh,
};
use super::{Rooms, Vault, VaultError};
use crate::access::portable::Project;
use crate::domains::{DomainError, DomainView, KeyState};
use crate::model::Secret;
use crate::model::page::{MAX_LIMIT, PageRequest, read_cursor};
use crate::routes::{Action, Route};
use crate::store::StoreError;
use crate::suppressions::{SuppressionFilter, SuppressionView};
use crate::webhooks::WebhookError;

const HEAD: &str = "# The configuration in Pennypost's database: `pennypost import` reads it back.\n# What stands in pennypost.toml and the master key are not in it.\n";
const REDACTED: &str = "# Secrets are left out: an import makes new DKIM keys, API keys and passwords, and shows them once.\n";
const SEALED: &str = "# Secrets are sealed under a passphrase; without it an import makes new ones.\n";

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A domain or its keys.
    #[error(transparent)]
    Domain(#[from] DomainError),
    /// The secret of an endpoint.
    #[error(transparent)]
    Webhook(#[from] WebhookError),
    /// A secret could not be sealed.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The document has no text.
    #[error("the text could not be written: {0}")]
    Text(#[from] toml::ser::Error),
    /// The task that derives keys ended early.
    #[error("the secrets could not be sealed: the task was stopped")]
    Stopped,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reads all projects into a document, with their secrets sealed under `passphrase` if there is one.
///
/// # Errors
/// [`ExportError`].
pub async fn export(rooms: &Rooms, passphrase: Option<Secret<String>>, suppressions: bool) -> Result<Document, ExportError> {
    let mut writer = Writer { rooms, vault: None };
    let mut encryption = None;
    if let Some(passphrase) = passphrase {
        let salt = rooms.domains.portable_salt();
        let made = tokio::task::spawn_blocking(move || Vault::make(&passphrase, &salt)).await.map_err(|_| ExportError::Stopped)??;
        writer.vault = Some(made.0);
        encryption = Some(fresh(made.1));
    }
    let mut projects = Vec::new();
    for project in rooms.access.projects().await? {
        projects.push(writer.project(project, suppressions).await?);
    }
    Ok(Document { format: fresh(FORMAT), encryption, projects })
}

/// The document as text.
///
/// # Errors
/// [`ExportError::Text`].
pub fn text(document: &Document) -> Result<String, ExportError> {
    let second = if document.encryption.is_some() { SEALED } else { REDACTED };
    Ok(format!("{HEAD}{second}\n{}", toml::to_string_pretty(document)?))
}

struct Writer<'a> {
    rooms: &'a Rooms,
    vault: Option<Vault>,
}

impl Writer<'_> {
    async fn project(&self, project: Project, suppressions: bool) -> Result<ProjectText, ExportError> {
        Ok(ProjectText {
            name: fresh(project.name.clone()),
            strict_verp: project.strict_verp,
            domains: self.domains(&project).await?,
            keys: self.keys(&project).await?,
            smtp_users: self.smtp_users(&project).await?,
            routes: self.routes(&project).await?,
            suppressions: if suppressions { self.suppressions(&project).await? } else { Vec::new() },
        })
    }

    async fn domains(&self, project: &Project) -> Result<Vec<DomainText>, ExportError> {
        let (mut found, mut page) = (Vec::<DomainView>::new(), PageRequest { limit: MAX_LIMIT, after: None });
        loop {
            let part = self.rooms.domains.list(project.id, page).await?;
            found.extend(part.data);
            page.after = part.next_cursor.as_deref().and_then(read_cursor);
            if page.after.is_none() {
                break;
            }
        }
        found.sort_by(|one, other| one.name.cmp(&other.name));
        let mut texts = Vec::with_capacity(found.len());
        for domain in found {
            let name = domain.name.to_string();
            let mut dkim = Vec::new();
            for key in self.rooms.domains.portable_keys(project.id, domain.id).await? {
                let place = [&*project.name, "domain", &name, "dkim", &key.selector];
                dkim.push(DkimText {
                    state: if key.state == KeyState::Next { DkimState::Next } else { DkimState::Active },
                    record: key.record,
                    private_key: self.seal(&place, key.pem.expose().as_bytes())?,
                    selector: fresh(key.selector),
                });
            }
            texts.push(DomainText { name: fresh(name), mta_sts: domain.mta_sts, dkim });
        }
        Ok(texts)
    }

    async fn keys(&self, project: &Project) -> Result<Vec<KeyText>, ExportError> {
        let keys = self.rooms.access.portable_keys(project.id).await?;
        let text = |key: crate::access::portable::PortableApiKey| {
            let hash = self.seal(&[&*project.name, "key", &key.record.prefix], key.hash.expose())?;
            Ok(KeyText {
                name: fresh(key.record.name),
                prefix: fresh(key.record.prefix),
                scope: key.record.scope,
                domains: key.record.domains.map(|domains| domains.iter().map(|domain| fresh(domain.to_string())).collect()),
                expires_at: key.record.expires_at,
                hash,
            })
        };
        keys.into_iter().map(text).collect()
    }

    async fn smtp_users(&self, project: &Project) -> Result<Vec<SmtpUserText>, ExportError> {
        let users = self.rooms.smtp_users.portable(project.id).await?;
        let text = |(user, hash): (crate::access::smtp_users::SmtpUserRecord, Secret<String>)| {
            let password = self.seal(&[&*project.name, "smtp_user", &user.username], hash.expose().as_bytes())?;
            let send_as = user.send_as.iter().map(|pattern| fresh(pattern.to_string())).collect();
            Ok(SmtpUserText { username: fresh(user.username), send_as, password })
        };
        users.into_iter().map(text).collect()
    }

    async fn routes(&self, project: &Project) -> Result<Vec<RouteText>, ExportError> {
        let mut texts = Vec::new();
        for route in self.rooms.routes.portable(project.id).await? {
            texts.push(self.route(project, &route).await?);
        }
        Ok(texts)
    }

    async fn route(&self, project: &Project, route: &Route) -> Result<RouteText, ExportError> {
        let pattern = route.pattern.to_string();
        let mut text =
            RouteText { pattern: fresh(pattern.clone()), action: ActionText::Store, url: None, secret: None, text: None, targets: Vec::new() };
        match &route.action {
            Action::Forward { targets } => {
                text.action = ActionText::Forward;
                for target in targets {
                    let address = target.address.to_string();
                    let place = [&*project.name, "route", &pattern, "target", &address];
                    let confirmed = match target.confirmed_at {
                        Some(at) => self.seal(&place, at.unix_timestamp().to_string().as_bytes())?,
                        None => None,
                    };
                    text.targets.push(TargetText { confirmed, address: fresh(address) });
                }
            }
            Action::Webhook { webhook, url } => {
                text.action = ActionText::Webhook;
                text.url = Some(fresh(url.clone()));
                if self.vault.is_some() {
                    let secret = self.rooms.webhooks.portable_secret(*webhook).await?;
                    text.secret = self.seal(&[&*project.name, "route", &pattern, "secret"], secret.expose())?;
                }
            }
            Action::Reject { text: reply } => (text.action, text.text) = (ActionText::Reject, Some(fresh(reply.clone()))),
            Action::Store => {}
            Action::Drop => text.action = ActionText::Drop,
        }
        Ok(text)
    }

    async fn suppressions(&self, project: &Project) -> Result<Vec<SuppressionText>, ExportError> {
        let (mut found, mut page) = (Vec::<SuppressionView>::new(), PageRequest { limit: MAX_LIMIT, after: None });
        loop {
            let part = self.rooms.suppressions.list(project.id, &SuppressionFilter::default(), page).await?;
            found.extend(part.data);
            page.after = part.next_cursor.as_deref().and_then(read_cursor);
            if page.after.is_none() {
                break;
            }
        }
        found.sort_by(|one, other| (&one.address, &one.stream).cmp(&(&other.address, &other.stream)));
        let text = |entry: SuppressionView| SuppressionText {
            address: fresh(entry.address),
            stream: entry.stream.map(fresh),
            reason: entry.reason,
            note: entry.note.map(fresh),
            since: Some(entry.created_at),
        };
        Ok(found.into_iter().map(text).collect())
    }

    fn seal(&self, place: &[&str], plain: &[u8]) -> Result<Option<Spanned<String>>, VaultError> {
        self.vault.as_ref().map(|vault| vault.seal(place, plain).map(fresh)).transpose()
    }
}
