//! Routes of a document.

use time::OffsetDateTime;

use super::document::{ActionText, RouteText};
use super::import::{ImportError, What};
use super::plan::{Here, Planner, Step};
use crate::model::{DomainId, EmailAddress, Secret};
use crate::routes::portable::NewRoute;
use crate::routes::{Action, NewAction, Pattern, Route, RouteError};

/// Those who agreed, and when.
type Confirmed = Vec<(EmailAddress, OffsetDateTime)>;

/// A route of the text, read.
struct Read {
    pattern: Pattern,
    domain: DomainId,
    action: NewAction,
    confirmed: Confirmed,
    secret: Option<Secret<Vec<u8>>>,
}

impl Planner<'_> {
    pub(super) async fn routes(&mut self, here: &Here<'_>) -> Result<(), ImportError> {
        for (at, text) in here.text.routes.iter().enumerate() {
            let field = format!("{}.route[{at}]", here.field);
            if let Some(read) = self.read_route(here, &field, text).await? {
                self.route(here, &field, text, read).await?;
            }
        }
        Ok(())
    }

    async fn read_route(&mut self, here: &Here<'_>, field: &str, text: &RouteText) -> Result<Option<Read>, ImportError> {
        let at = format!("{field}.pattern");
        let Some(pattern) = self.faults.take(&text.pattern, &at, |text| Pattern::parse(text)) else { return Ok(None) };
        if !self.once("route", &text.pattern, &at, format!("{pattern} of the project {}", here.name())) {
            return Ok(None);
        }
        let domain = match here.domains.get(pattern.domain()) {
            Some(domain) => Some(*domain),
            None => self.rooms.domains.find(here.id, pattern.domain()).await?.map(|domain| domain.id),
        };
        let Some(domain) = domain else {
            self.faults.at(&text.pattern, at, RouteError::NoDomain(pattern.domain().clone()));
            return Ok(None);
        };
        let written = pattern.to_string();
        let place = [here.name(), "route", &written, "secret"];
        let Ok(secret) = self.secret(text.secret.as_ref(), &format!("{field}.secret"), &place) else { return Ok(None) };
        let Some((action, confirmed)) = self.action(here, field, &written, text) else { return Ok(None) };
        Ok(Some(Read { pattern, domain, action, confirmed, secret }))
    }

    fn action(&mut self, here: &Here<'_>, field: &str, pattern: &str, text: &RouteText) -> Option<(NewAction, Confirmed)> {
        let foreign = [
            (text.url.as_ref(), "url", ActionText::Webhook),
            (text.secret.as_ref(), "secret", ActionText::Webhook),
            (text.text.as_ref(), "text", ActionText::Reject),
            (text.targets.first().map(|target| &target.address), "target", ActionText::Forward),
        ];
        let mut fits = true;
        for (value, name, of) in foreign {
            if let Some(value) = value.filter(|_| text.action != of) {
                self.faults.at(value, format!("{field}.{name}"), "the action of this route takes no such field");
                fits = false;
            }
        }
        if !fits {
            return None;
        }
        let action = match text.action {
            ActionText::Forward => return self.targets(here, field, pattern, text),
            ActionText::Webhook => {
                let Some(url) = &text.url else {
                    self.faults.at(&text.pattern, format!("{field}.url"), "a route that posts needs a url");
                    return None;
                };
                NewAction::Webhook(self.faults.take(url, &format!("{field}.url"), |url| self.rooms.webhooks.url(url))?)
            }
            ActionText::Store => NewAction::Store,
            ActionText::Reject => NewAction::Reject(text.text.as_ref().map(|text| text.get_ref().clone())),
            ActionText::Drop => NewAction::Drop,
        };
        Some((action, Vec::new()))
    }

    fn targets(&mut self, here: &Here<'_>, field: &str, pattern: &str, text: &RouteText) -> Option<(NewAction, Confirmed)> {
        let (mut targets, mut confirmed) = (Vec::new(), Vec::new());
        for (at, target) in text.targets.iter().enumerate() {
            let field = format!("{field}.target[{at}]");
            let address = self.faults.take(&target.address, &format!("{field}.address"), |text| EmailAddress::parse(text))?;
            let written = address.to_string();
            let place = [here.name(), "route", pattern, "target", &written];
            let agreed = self.secret(target.confirmed.as_ref(), &format!("{field}.confirmed"), &place).ok()?;
            let seconds = agreed.and_then(|text| std::str::from_utf8(text.expose()).ok()?.parse().ok());
            let at = seconds.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
            confirmed.extend(at.map(|at| (address.clone(), at)));
            targets.push(address);
        }
        Some((NewAction::Forward(targets), confirmed))
    }

    async fn route(&mut self, here: &Here<'_>, field: &str, text: &RouteText, read: Read) -> Result<(), ImportError> {
        let name = read.pattern.to_string();
        let there = self.rooms.routes.by_pattern(here.id, &read.pattern).await?;
        let mut what = What::Added;
        let mut confirmed = read.confirmed;
        if let Some(there) = there {
            let present = agreed(&there);
            let news = confirmed.iter().any(|(address, _)| !present.iter().any(|(other, _)| other == address));
            if read.action.is_done_by(&there.action) && !news {
                self.told(here.name(), "route", &name, What::Unchanged, None, None);
                return Ok(());
            }
            if !self.replace {
                self.told(here.name(), "route", &name, What::Kept, Some("it differs; --replace makes it as the text says".to_owned()), None);
                return Ok(());
            }
            // Who agreed here has agreed, whatever the text knows.
            let kept = present.into_iter().filter(|(address, _)| !confirmed.iter().any(|(other, _)| other == address)).collect::<Vec<_>>();
            confirmed.extend(kept);
            self.plan.steps.push(Step::RouteRemoval(there.id));
            what = What::Replaced;
        }
        let is_new_secret = read.secret.is_none();
        let waits =
            matches!(&read.action, NewAction::Forward(targets) if targets.iter().any(|target| !confirmed.iter().any(|(agreed, _)| agreed == target)));
        let new = NewRoute { project: here.id, domain: read.domain, pattern: &read.pattern, action: read.action, confirmed, secret: read.secret };
        match self.rooms.routes.prepare(new).await {
            Ok(prepared) => {
                let secret = prepared.secret().filter(|_| is_new_secret).cloned();
                let note = match (&secret, waits) {
                    (Some(_), _) => Some("the text has no secret for it: what signs is new".to_owned()),
                    (None, true) => Some("it waits until those it forwards to agree".to_owned()),
                    (None, false) => None,
                };
                self.told(here.name(), "route", &name, what, note, secret);
                self.plan.steps.push(Step::Route(Box::new(prepared)));
            }
            Err(RouteError::Store(error)) => return Err(error.into()),
            Err(error) => self.faults.at(&text.pattern, field, error),
        }
        Ok(())
    }
}

fn agreed(route: &Route) -> Confirmed {
    let Action::Forward { targets } = &route.action else { return Vec::new() };
    targets.iter().filter_map(|target| target.confirmed_at.map(|at| (target.address.clone(), at))).collect()
}
