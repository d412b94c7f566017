//! API keys and SMTP users of a document.

use std::collections::BTreeSet;

use super::document::{KeyText, SmtpUserText};
use super::import::{ImportError, What};
use super::plan::{Here, Planner, Step};
use crate::access::NewKey;
use crate::access::portable::{KeyStanding, PortableApiKey, check_senders, is_prefix, password_hash};
use crate::access::smtp_users::SmtpUserError;
use crate::model::{DomainName, Secret, SenderPattern};

impl Planner<'_> {
    pub(super) async fn keys(&mut self, here: &Here<'_>) -> Result<(), ImportError> {
        let present = self.rooms.access.portable_keys(here.id).await?;
        let named: BTreeSet<&str> = here.text.keys.iter().map(|key| key.prefix.get_ref().as_str()).collect();
        // A key that was made anew by an earlier import is known by its name.
        let mut unnamed: Vec<&PortableApiKey> = present.iter().filter(|key| !named.contains(key.record.prefix.as_str())).collect();
        for (at, text) in here.text.keys.iter().enumerate() {
            let field = format!("{}.key[{at}]", here.field);
            if !is_prefix(text.prefix.get_ref()) {
                self.faults.at(&text.prefix, format!("{field}.prefix"), "expected the first part of a key, like pp_live_4fJk29sLqP");
                continue;
            }
            if !self.once("key", &text.prefix, &format!("{field}.prefix"), text.prefix.get_ref().clone()) {
                continue;
            }
            let place = [here.name(), "key", text.prefix.get_ref()];
            let Ok(hash) = self.secret(text.hash.as_ref(), &format!("{field}.hash"), &place) else { continue };
            let Some(new) = self.new_key(&field, text) else { continue };
            let same = present.iter().find(|key| key.record.prefix == *text.prefix.get_ref());
            let by_name = unnamed.iter().position(|key| hash.is_none() && key.record.name == new.name).map(|at| unnamed.swap_remove(at));
            match same.or(by_name) {
                Some(there) => self.key_there(here, there, &new),
                None => self.key_missing(here, &field, text, new, hash).await?,
            }
        }
        Ok(())
    }

    fn new_key(&mut self, field: &str, text: &KeyText) -> Option<NewKey> {
        let mut domains = None;
        if let Some(texts) = &text.domains {
            let read = texts.iter().map(|domain| self.faults.take(domain, &format!("{field}.domains"), |text| DomainName::parse(text)));
            domains = Some(read.collect::<Vec<_>>().into_iter().collect::<Option<Vec<_>>>()?);
        }
        let test = text.prefix.get_ref().starts_with("pp_test_");
        Some(NewKey { name: text.name.get_ref().clone(), scope: text.scope, domains, expires_at: text.expires_at, test })
    }

    fn key_there(&mut self, here: &Here<'_>, there: &PortableApiKey, new: &NewKey) {
        let record = &there.record;
        let same = record.name == new.name && record.scope == new.scope && record.domains == new.domains && record.expires_at == new.expires_at;
        let (what, note) = if same {
            (What::Unchanged, None)
        } else {
            (What::Kept, Some("it differs, and keys are never changed: revoke it and make another".to_owned()))
        };
        self.told(here.name(), "key", &format!("{} ({})", record.name, record.prefix), what, note, None);
    }

    async fn key_missing(
        &mut self,
        here: &Here<'_>,
        field: &str,
        text: &KeyText,
        new: NewKey,
        hash: Option<Secret<Vec<u8>>>,
    ) -> Result<(), ImportError> {
        let (name, prefix) = (new.name.clone(), text.prefix.get_ref());
        match self.rooms.access.standing(here.id, prefix).await? {
            Some(KeyStanding::Revoked) => {
                let note = "it was revoked here, for good".to_owned();
                self.told(here.name(), "key", &format!("{name} ({prefix})"), What::Kept, Some(note), None);
                return Ok(());
            }
            Some(KeyStanding::Elsewhere) if hash.is_some() => {
                self.faults.at(&text.prefix, format!("{field}.prefix"), "another project has this key");
                return Ok(());
            }
            _ => {}
        }
        if let Some(value) = text.hash.as_ref().filter(|_| hash.as_ref().is_some_and(|hash| hash.expose().len() != 32)) {
            self.faults.at(value, format!("{field}.hash"), "this is not what proves a key");
            return Ok(());
        }
        let proof = hash.as_ref().map(|hash| (prefix.as_str(), hash));
        match self.rooms.access.prepare_key(here.id, new, proof) {
            Ok((prepared, fresh)) => {
                let note = fresh.is_some().then(|| "the text has no secret for it: this key is new".to_owned());
                self.told(here.name(), "key", &name, What::Added, note, fresh);
                self.plan.steps.push(Step::Key(prepared));
            }
            Err(error) => self.faults.at(&text.name, format!("{field}.name"), error),
        }
        Ok(())
    }

    pub(super) async fn smtp_users(&mut self, here: &Here<'_>) -> Result<(), ImportError> {
        for (at, text) in here.text.smtp_users.iter().enumerate() {
            let field = format!("{}.smtp_user[{at}]", here.field);
            self.smtp_user(here, &field, text).await?;
        }
        Ok(())
    }

    async fn smtp_user(&mut self, here: &Here<'_>, field: &str, text: &SmtpUserText) -> Result<(), ImportError> {
        let (username, at) = (text.username.get_ref(), format!("{field}.username"));
        let Some(send_as) = self.senders(field, text) else { return Ok(()) };
        if !self.once("smtp_user", &text.username, &at, username.to_lowercase()) {
            return Ok(());
        }
        if let Err(error) = check_senders(username, &send_as) {
            self.faults.at(&text.username, at, error);
            return Ok(());
        }
        let place = [here.name(), "smtp_user", username];
        let Ok(hash) = self.secret(text.password.as_ref(), &format!("{field}.password"), &place) else { return Ok(()) };
        let hash = match (hash, &text.password) {
            (Some(hash), Some(value)) => match self.faults.take(value, &format!("{field}.password"), |_| password_hash(&hash)) {
                Some(hash) => Some(hash),
                None => return Ok(()),
            },
            _ => None,
        };
        match self.rooms.smtp_users.owner(username).await {
            Err(SmtpUserError::Store(error)) => return Err(error.into()),
            Err(error) => self.faults.at(&text.username, at, error),
            Ok(Some((project, ..))) if project != here.id => self.faults.at(&text.username, at, "another project has an SMTP user of this name"),
            Ok(Some((_, there, password))) => {
                let other_password = hash.as_ref().is_some_and(|hash| *hash != password);
                let (what, note) = match (there.send_as == send_as, other_password) {
                    (true, false) => (What::Unchanged, None),
                    _ if self.replace => {
                        self.plan.steps.push(Step::SmtpUserChange { id: there.id, send_as, hash });
                        (What::Replaced, None)
                    }
                    (false, _) => (What::Kept, Some("send_as differs; --replace sets it".to_owned())),
                    (true, true) => (What::Kept, Some("it has another password here; --replace brings that of the text".to_owned())),
                };
                self.told(here.name(), "smtp_user", &there.username, what, note, None);
            }
            Ok(None) => {
                let (prepared, fresh) = self.rooms.smtp_users.prepare(here.id, username, &send_as, hash).await?;
                let note = fresh.is_some().then(|| "the text has no secret for it: this password is new".to_owned());
                self.told(here.name(), "smtp_user", username, What::Added, note, fresh);
                self.plan.steps.push(Step::SmtpUser(prepared));
            }
        }
        Ok(())
    }

    fn senders(&mut self, field: &str, text: &SmtpUserText) -> Option<Vec<SenderPattern>> {
        let read = text.send_as.iter().map(|sender| self.faults.take(sender, &format!("{field}.send_as"), |text| text.parse::<SenderPattern>()));
        read.collect::<Vec<_>>().into_iter().collect()
    }
}
