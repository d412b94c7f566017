//! Domains and DKIM keys of a document.

use super::document::{DkimState, DkimText, DomainText};
use super::import::{ImportError, What};
use super::plan::{Here, Noted, Planner, Step};
use crate::domains::portable::PortableKey;
use crate::domains::{DomainView, KeyState};
use crate::mail::dkim;
use crate::model::{DomainName, Secret};

impl Planner<'_> {
    pub(super) async fn domains(&mut self, here: &mut Here<'_>) -> Result<(), ImportError> {
        for (at, text) in here.text.domains.iter().enumerate() {
            let field = format!("{}.domain[{at}]", here.field);
            let Some(name) = self.faults.take(&text.name, &format!("{field}.name"), |text| DomainName::parse(text)) else { continue };
            if !self.once("domain", &text.name, &format!("{field}.name"), format!("{name} of the project {}", here.name())) {
                continue;
            }
            let Some(keys) = self.dkim_keys(here, &field, &name, text) else { continue };
            match self.rooms.domains.find(here.id, &name).await? {
                None => self.new_domain(here, name, &keys, text).await?,
                Some(there) => self.domain_there(here, &there, keys, text).await?,
            }
        }
        Ok(())
    }

    /// The keys of a domain with their secrets; empty where the secrets are left out; none after a fault.
    fn dkim_keys(&mut self, here: &Here<'_>, field: &str, name: &DomainName, text: &DomainText) -> Option<Vec<PortableKey>> {
        let (mut keys, mut faultless) = (Vec::new(), true);
        for (at, key) in text.dkim.iter().enumerate() {
            let field = format!("{field}.dkim[{at}]");
            match self.dkim_key(here, &field, name, key) {
                Err(Noted) => faultless = false,
                Ok(None) => {}
                Ok(Some(key)) => keys.push(key),
            }
        }
        if faultless && !keys.is_empty() && keys.len() < text.dkim.len() {
            self.faults.at(&text.name, field, "some of its DKIM keys have a private_key and some have none; give all of them, or none");
            return None;
        }
        faultless.then_some(keys)
    }

    fn dkim_key(&mut self, here: &Here<'_>, field: &str, name: &DomainName, text: &DkimText) -> Result<Option<PortableKey>, Noted> {
        let selector = text.selector.get_ref();
        let unique = format!("the selector {selector} of {name} in the project {}", here.name());
        if !self.once("selector", &text.selector, &format!("{field}.selector"), unique) {
            return Err(Noted);
        }
        let place = [here.name(), "domain", name.as_str(), "dkim", selector];
        let private = format!("{field}.private_key");
        let (Some(pem), Some(value)) = (self.secret(text.private_key.as_ref(), &private, &place)?, &text.private_key) else { return Ok(None) };
        let pem = String::from_utf8(pem.expose().clone()).map(Secret::new);
        let read = pem.ok().and_then(|pem| dkim::import(&pem).ok().map(|(algorithm, pair)| (pem, algorithm, pair)));
        let Some((pem, algorithm, pair)) = read else {
            self.faults.at(value, private, "this is no DKIM key");
            return Err(Noted);
        };
        if pair.record != text.record {
            self.faults.at(value, private, "the key does not belong to the record beside it");
            return Err(Noted);
        }
        self.faults
            .take(&text.selector, &format!("{field}.selector"), |selector| dkim::Signer::new(name, selector, algorithm, &pair.private_der))
            .ok_or(Noted)?;
        let state = if text.state == DkimState::Next { KeyState::Next } else { KeyState::Active };
        Ok(Some(PortableKey { selector: selector.clone(), state, record: pair.record, pem }))
    }

    async fn new_domain(&mut self, here: &mut Here<'_>, name: DomainName, keys: &[PortableKey], text: &DomainText) -> Result<(), ImportError> {
        let prepared = match self.rooms.domains.prepare(here.id, &name, keys).await {
            Ok(prepared) => prepared,
            Err(error @ crate::domains::DomainError::TooLong) => {
                self.faults.at(&text.name, format!("{}.domain", here.field), error);
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let note = if keys.is_empty() {
            format!("it has new DKIM keys: publish `pennypost domain dns {name}`, then `pennypost domain check {name}`")
        } else {
            format!("`pennypost domain check {name}` verifies it")
        };
        self.told(here.name(), "domain", name.as_str(), What::Added, Some(note), None);
        here.domains.insert(name, prepared.id());
        self.plan.steps.push(Step::Domain(prepared));
        Ok(())
    }

    async fn domain_there(&mut self, here: &mut Here<'_>, there: &DomainView, keys: Vec<PortableKey>, text: &DomainText) -> Result<(), ImportError> {
        here.domains.insert(there.name.clone(), there.id);
        let present = self.rooms.domains.portable_keys(here.id, there.id).await?;
        let is_there = |selector: &str, record: &str| present.iter().any(|key| key.selector == selector && key.record == record);
        let name = there.name.as_str();
        if text.dkim.iter().all(|key| is_there(key.selector.get_ref(), &key.record)) {
            self.told(here.name(), "domain", name, What::Unchanged, None, None);
            return Ok(());
        }
        let missing: Vec<PortableKey> = keys.into_iter().filter(|key| !is_there(&key.selector, &key.record)).collect();
        if missing.is_empty() {
            let note = "it has other DKIM keys here, and the text brings no secrets".to_owned();
            self.told(here.name(), "domain", name, What::Kept, Some(note), None);
        } else if self.replace {
            if let Some(taken) = missing.iter().find(|key| present.iter().any(|other| other.selector == key.selector)) {
                let reason =
                    format!("the selector {} is in use here with another key; `pennypost domain rotate-dkim {name}` makes new ones", taken.selector);
                self.faults.at(&text.name, format!("{}.domain", here.field), reason);
                return Ok(());
            }
            self.plan.steps.push(Step::DkimKeys(self.rooms.domains.prepare_keys(there.id, &there.name, &missing)?));
            let note = "its DKIM keys of the text sign once a check finds their records".to_owned();
            self.told(here.name(), "domain", name, What::Replaced, Some(note), None);
        } else {
            let note = "it has other DKIM keys here; --replace brings those of the text".to_owned();
            self.told(here.name(), "domain", name, What::Kept, Some(note), None);
        }
        Ok(())
    }
}
