//! Routes as they are carried to another database (`portable`).
//!
//! Answers: a route made ready outside the transaction that writes it, with the word of those it forwards to that was given before.
//! Does not: ask anybody anew.

use time::OffsetDateTime;

use super::{Action, MAX_ROUTES, NewAction, Pattern, Route, RouteError, Routes, action};
use crate::model::{DomainId, EmailAddress, ProjectId, RouteId, Secret};
use crate::store::route::{self as table, RouteRow};
use crate::store::{StoreError, Tx};
use crate::webhooks::Prepared;

/// A route that is about to be written.
#[derive(Clone, Debug)]
pub struct PreparedRoute {
    row: RouteRow,
    targets: Vec<String>,
    confirmed: Vec<(String, OffsetDateTime)>,
    endpoint: Option<Prepared>,
}

impl PreparedRoute {
    /// The secret that its endpoint signs with.
    #[must_use]
    pub fn secret(&self) -> Option<&Secret<String>> {
        self.endpoint.as_ref().map(|endpoint| &endpoint.secret)
    }
}

/// A route to make.
#[derive(Debug)]
pub struct NewRoute<'a> {
    /// Whose.
    pub project: ProjectId,
    /// The domain of the pattern, which may be about to be written too.
    pub domain: DomainId,
    /// What it takes.
    pub pattern: &'a Pattern,
    /// What it does.
    pub action: NewAction,
    /// Which of those it forwards to agreed, and when.
    pub confirmed: Vec<(EmailAddress, OffsetDateTime)>,
    /// What the endpoint signs with; none: a new secret.
    pub secret: Option<Secret<Vec<u8>>>,
}

impl NewAction {
    /// Whether a route does this already. The text of a refusal that is not given is the usual one.
    #[must_use]
    pub fn is_done_by(&self, action: &Action) -> bool {
        match (self, action) {
            (Self::Forward(new), Action::Forward { targets }) => new.iter().eq(targets.iter().map(|target| &target.address)),
            (Self::Webhook(new), Action::Webhook { url, .. }) => new.as_str() == url,
            (Self::Reject(new), Action::Reject { text }) => new.as_deref().unwrap_or(action::REPLY) == text,
            (Self::Store, Action::Store) | (Self::Drop, Action::Drop) => true,
            _ => false,
        }
    }
}

impl Routes {
    /// Makes a route ready to be written.
    ///
    /// # Errors
    /// [`RouteError`] for an action that cannot be done.
    pub async fn prepare(&self, new: NewRoute<'_>) -> Result<PreparedRoute, RouteError> {
        new.action.check(new.pattern)?;
        let id = self.inner.clock.uuid();
        let endpoint = match &new.action {
            NewAction::Webhook(url) => Some(self.inner.webhooks.prepare_with(new.project, url, id, new.secret).await?),
            _ => None,
        };
        let targets = if let NewAction::Forward(targets) = &new.action { targets.iter().map(ToString::to_string).collect() } else { Vec::new() };
        let row = RouteRow {
            id,
            project_id: new.project.uuid(),
            domain_id: new.domain.uuid(),
            local: new.pattern.local(),
            action: new.action.name().to_owned(),
            reply: if let NewAction::Reject(text) = new.action { Some(text.unwrap_or_else(|| action::REPLY.to_owned())) } else { None },
            created_at: self.inner.clock.now(),
            webhook_id: None,
            webhook_url: None,
        };
        let confirmed = new.confirmed.into_iter().map(|(address, at)| (address.to_string(), at)).collect();
        Ok(PreparedRoute { row, targets, confirmed, endpoint })
    }

    /// Writes a route. Commits nothing.
    ///
    /// # Errors
    /// [`RouteError::TooMany`], [`RouteError::Webhook`], [`RouteError::Store`].
    pub async fn insert_prepared(&self, tx: &mut Tx, route: &PreparedRoute) -> Result<(), RouteError> {
        if !table::insert(tx, &route.row, &route.targets, MAX_ROUTES).await? {
            return Err(RouteError::TooMany);
        }
        let (targets, times): (Vec<_>, Vec<_>) = route.confirmed.iter().cloned().unzip();
        table::confirm_within(tx, route.row.id, &targets, &times).await?;
        if let Some(endpoint) = &route.endpoint {
            self.inner.webhooks.insert(tx, endpoint).await?;
        }
        Ok(())
    }

    /// Removes a route with its endpoint. Commits nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn remove_within(&self, tx: &mut Tx, id: RouteId) -> Result<(), StoreError> {
        table::remove_within(tx, id.uuid()).await
    }

    /// The routes of a project in the order of their domains and patterns.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn portable(&self, project: ProjectId) -> Result<Vec<Route>, StoreError> {
        let mut routes = self.read(table::list(&self.inner.store, project.uuid(), None, i64::MAX).await?).await?;
        routes.sort_by_cached_key(|route| (route.pattern.domain().clone(), route.pattern.local()));
        Ok(routes)
    }
}
