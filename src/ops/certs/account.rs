//! Our account with an authority: made once, its key kept sealed, shared by all nodes (RFC 8555 7.3).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use instant_acme::{Account, AccountCredentials, Error, ExternalAccountKey, NewAccount};
use uuid::Uuid;

use super::order::OrderError;
use super::transport::Transport;
use crate::clock::Clock;
use crate::config::Tls;
use crate::domains::Sealer;
use crate::domains::seal::Place;
use crate::model::Secret;
use crate::store::{Store, certificate};

/// What an account is kept with.
pub(super) struct Accounts<'a> {
    pub(super) store: &'a Store,
    pub(super) sealer: &'a Sealer,
    pub(super) clock: &'a Clock,
    pub(super) settings: &'a Tls,
    pub(super) directory: &'a str,
    pub(super) transport: &'a Transport,
}

impl Accounts<'_> {
    /// The account, made if there is none yet.
    pub(super) async fn open(&self) -> Result<(Uuid, Account), OrderError> {
        if let Some(found) = self.kept().await? {
            return Ok(found);
        }
        let credentials = self.make().await?;
        let id = self.clock.uuid();
        let text = Secret::new(serde_json::to_vec(&credentials).map_err(Error::from)?);
        let sealed = self.sealer.seal(self.clock, place(id), &text)?;
        certificate::put_account(self.store, id, self.directory, &sealed, self.clock.now()).await?;
        // Another node may have been first: one account counts for all.
        self.kept().await?.ok_or(OrderError::Stopped("the account that was made is not in the database"))
    }

    async fn kept(&self) -> Result<Option<(Uuid, Account)>, OrderError> {
        let Some((id, sealed)) = certificate::account(self.store, self.directory).await? else { return Ok(None) };
        let text = self.sealer.open(place(id), &sealed)?;
        let credentials: AccountCredentials = serde_json::from_slice(text.expose()).map_err(Error::from)?;
        let account = Account::builder_with_http(Box::new(self.transport.clone())).from_credentials(credentials).await?;
        Ok(Some((id, account)))
    }

    async fn make(&self) -> Result<AccountCredentials, OrderError> {
        let Tls { acme_contact, acme_eab_kid, acme_eab_key, .. } = self.settings;
        let contact = format!("mailto:{acme_contact}");
        let contacts: &[&str] = if acme_contact.is_empty() { &[] } else { &[&contact] };
        let binding = if acme_eab_kid.is_empty() {
            None
        } else {
            let wrong = |_| OrderError::Stopped("tls.acme_eab_key is not base64url");
            let key = URL_SAFE_NO_PAD.decode(acme_eab_key.expose().trim_end_matches('=')).map_err(wrong)?;
            Some(ExternalAccountKey::new(acme_eab_kid.clone(), &key))
        };
        let account = NewAccount { contact: contacts, terms_of_service_agreed: true, only_return_existing: false };
        let builder = Account::builder_with_http(Box::new(self.transport.clone()));
        let (account, credentials) = builder.create(&account, self.directory.to_owned(), binding.as_ref()).await?;
        tracing::info!(authority = self.directory, account = account.id(), "an account with the certificate authority was made");
        Ok(credentials)
    }
}

const fn place(row: Uuid) -> Place {
    Place { table: "acme_account", column: "credentials", row }
}
