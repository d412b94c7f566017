//! Routes: where mail from the world goes that comes to a domain of a project.
//!
//! Answers: adding, listing and removing routes, and which of them takes an address ([`Routes::find`]): specific before general.
//! A domain receives mail here once it has a route and was verified; a domain that only sends never does (invariant 10). It goes on
//! receiving while its DKIM record is missing, so that a mistake in DNS turns nobody's mail away, unless another project proves it.
//! Does not: do what a route says; `inbound` does.

pub mod action;
pub mod consent;
pub mod pattern;
pub mod portable;
pub mod view;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::clock::Clock;
use crate::domains::{DomainError, Domains};
use crate::model::page::{Page, PageRequest};
use crate::model::{DomainId, DomainName, EmailAddress, ProjectId, RouteId, Secret};
use crate::recent::Recent;
use crate::store::route::{self as table, HostRow, RouteRow, TargetRow};
use crate::store::{Store, StoreError};
use crate::webhooks::{WebhookError, Webhooks};

pub use action::{Action, MAX_TARGETS, NewAction, Target};
pub use consent::{ConsentKey, Question, ToAsk};
pub use pattern::{Pattern, PatternError};
pub use view::{RouteView, TargetView};

/// How long what was read of a domain is believed. A change made by this process counts at once.
const FRESH: Duration = Duration::from_secs(5);
/// Routes of one domain.
const MAX_ROUTES: i64 = 1_000;

/// A route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Its id.
    pub id: RouteId,
    /// Whose it is.
    pub project: ProjectId,
    /// The domain of its pattern.
    pub domain_id: DomainId,
    /// What it takes.
    pub pattern: Pattern,
    /// What it does.
    pub action: Action,
    /// When it was made.
    pub created_at: time::OffsetDateTime,
}

/// Who receives mail for a domain here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// The project that proved the domain.
    pub project: ProjectId,
    /// The domain.
    pub domain_id: DomainId,
    /// Its name.
    pub domain: DomainName,
}

/// What becomes of mail to an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// This route takes it.
    Route(Arc<Route>),
    /// No route takes it. The domain is one of ours.
    None {
        /// Whose.
        host: Host,
        /// It has routes, so its mailboxes are here.
        receives: bool,
    },
    /// The domain has routes, and never was verified.
    NotVerified,
    /// Not a domain of ours.
    Elsewhere,
}

/// A route just made.
#[derive(Clone, Debug)]
pub struct CreatedRoute {
    /// As lists show it.
    pub view: RouteView,
    /// Of a webhook: the secret that signs, shown this once.
    pub secret: Option<Secret<String>>,
}

/// What becomes of mail to an address.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TestedAddress {
    /// The address.
    #[schema(value_type = String)]
    pub address: EmailAddress,
    /// `route`: the route takes it. `report`: it is a bounce address. `postmaster`: no route takes it, the configuration does (`inbound.postmaster`).
    /// `unknown`: refused with 550, the domain has routes and none fits. `not_verified`: put off with 450, the domain was never verified. `elsewhere`:
    /// refused with 550, not a domain of the project that mail is taken for. More may be added.
    pub result: String,
    /// The route that takes it.
    pub route: Option<RouteView>,
}

/// True for the addresses that every domain must have (RFC 5321 4.5.1, RFC 2142).
#[must_use]
pub fn is_role(address: &EmailAddress) -> bool {
    ["postmaster", "abuse"].iter().any(|role| address.local().eq_ignore_ascii_case(role))
}

/// Why a route is not made, found or removed.
#[derive(Debug, thiserror::Error)]
pub enum RouteError {
    /// There is a route with the same pattern.
    #[error("there is a route for this pattern; remove it first")]
    Exists,
    /// The project does not have the domain.
    #[error("{0} is not a domain of this project; add it first")]
    NoDomain(DomainName),
    /// The domain has as many as it may.
    #[error("the domain has {MAX_ROUTES} routes, and no more are kept; use a pattern")]
    TooMany,
    /// Nobody to forward to.
    #[error("name one address at least to forward to")]
    NoTarget,
    /// Too many to forward to.
    #[error("a route forwards to {MAX_TARGETS} addresses at most")]
    TooManyTargets,
    /// The route would forward to itself.
    #[error("{0} comes back to this route; forward to an address elsewhere")]
    Circle(EmailAddress),
    /// The same address twice.
    #[error("{0} is named twice")]
    TargetTwice(EmailAddress),
    /// The text of a refusal cannot stand in a reply.
    #[error("the text has 1 to {} printable ASCII characters on one line", action::MAX_REPLY_CHARACTERS)]
    Reply,
    /// The project has no such route.
    #[error("no such route")]
    NotFound,
    /// Its endpoint cannot be made.
    #[error(transparent)]
    Webhook(#[from] WebhookError),
    /// The domain.
    #[error(transparent)]
    Domain(#[from] DomainError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is known of a domain.
#[derive(Debug)]
struct Table {
    host: Host,
    routes: Vec<Arc<Route>>,
    is_open: bool,
}

/// All routes. Clones share what they remember.
#[derive(Clone)]
pub struct Routes {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    clock: Clock,
    domains: Domains,
    webhooks: Webhooks,
    consent: ConsentKey,
    /// Domains that were never verified receive too.
    allow_unverified: bool,
    tables: Recent<DomainName, Option<Arc<Table>>>,
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Routes")
    }
}

impl Routes {
    /// Over a database.
    #[must_use]
    pub fn new(store: Store, clock: Clock, domains: Domains, webhooks: Webhooks, allow_unverified: bool) -> Self {
        let consent = ConsentKey::new(&domains.secret("consent to forwarding"));
        Self { inner: Arc::new(Inner { store, clock, domains, webhooks, consent, allow_unverified, tables: Recent::new(FRESH) }) }
    }

    /// Adds a route to a domain of the project, which may be verified later. A route that forwards waits for its targets to agree.
    ///
    /// # Errors
    /// [`RouteError`]; then nothing was written.
    pub async fn add(&self, project: ProjectId, pattern: Pattern, action: NewAction) -> Result<CreatedRoute, RouteError> {
        let inner = &*self.inner;
        action.check(&pattern)?;
        let domain = inner.domains.find(project, pattern.domain()).await?.ok_or_else(|| RouteError::NoDomain(pattern.domain().clone()))?;
        let id = inner.clock.uuid();
        let endpoint = match &action {
            NewAction::Webhook(url) => Some(inner.webhooks.prepare(project, url, id).await?),
            _ => None,
        };
        let row = RouteRow {
            id,
            project_id: project.uuid(),
            domain_id: domain.id.uuid(),
            local: pattern.local(),
            action: action.name().to_owned(),
            reply: if let NewAction::Reject(text) = &action { Some(text.clone().unwrap_or_else(|| action::REPLY.to_owned())) } else { None },
            created_at: inner.clock.now(),
            webhook_id: endpoint.as_ref().map(|endpoint| endpoint.row.id),
            webhook_url: endpoint.as_ref().map(|endpoint| endpoint.row.url.clone()),
        };
        let targets: Vec<String> =
            if let NewAction::Forward(targets) = &action { targets.iter().map(ToString::to_string).collect() } else { Vec::new() };
        let mut tx = inner.store.begin().await?;
        match table::insert(&mut tx, &row, &targets, MAX_ROUTES).await {
            Err(error) if error.is_conflict_on("route_once") => return Err(RouteError::Exists),
            Ok(false) => return Err(RouteError::TooMany),
            other => other?,
        };
        if let Some(endpoint) = &endpoint {
            inner.webhooks.insert(&mut tx, endpoint).await?;
        }
        Store::commit(tx).await?;
        inner.tables.forget(pattern.domain());
        tracing::info!(route = %RouteId::from_uuid(id), action = row.action, "a route was added");
        // As it is read from now on: the database keeps microseconds.
        let route = self.get(project, RouteId::from_uuid(id)).await?.ok_or(RouteError::NotFound)?;
        Ok(CreatedRoute { view: RouteView::from(&route), secret: endpoint.map(|endpoint| endpoint.secret) })
    }

    /// The routes of a project, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list(&self, project: ProjectId, page: PageRequest) -> Result<Page<RouteView>, StoreError> {
        let rows = table::list(&self.inner.store, project.uuid(), page.after, i64::from(page.limit) + 1).await?;
        let routes = self.read(rows).await?;
        Ok(Page::cut(routes.iter().map(RouteView::from).collect(), page.limit, |view| view.id.uuid()))
    }

    /// One route of a project.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn get(&self, project: ProjectId, id: RouteId) -> Result<Option<Route>, StoreError> {
        let rows = table::get(&self.inner.store, project.uuid(), id.uuid()).await?.into_iter().collect();
        Ok(self.read(rows).await?.pop())
    }

    /// The route of a project with this pattern.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn by_pattern(&self, project: ProjectId, pattern: &Pattern) -> Result<Option<Route>, StoreError> {
        let rows = table::by_pattern(&self.inner.store, project.uuid(), pattern.domain().as_str(), &pattern.local()).await?;
        Ok(self.read(rows.into_iter().collect()).await?.pop())
    }

    /// Removes a route of a project, with its endpoint; false if there is none. What it kept stays.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn remove(&self, project: ProjectId, id: RouteId) -> Result<bool, StoreError> {
        let removed = table::remove(&self.inner.store, project.uuid(), id.uuid()).await?;
        self.inner.tables.clear();
        if removed {
            tracing::info!(route = %id, "a route was removed");
        }
        Ok(removed)
    }

    /// What becomes of mail to `address`. At most five seconds old.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn find(&self, address: &EmailAddress) -> Result<Found, StoreError> {
        let Some(table) = self.table(address.domain()).await? else { return Ok(Found::Elsewhere) };
        let receives = !table.routes.is_empty();
        if !table.is_open {
            return Ok(if receives { Found::NotVerified } else { Found::Elsewhere });
        }
        let chosen = pattern::choose(table.routes.iter().map(|route| (&route.pattern, route)), address);
        Ok(chosen.map_or_else(|| Found::None { host: table.host.clone(), receives }, |route| Found::Route(Arc::clone(route))))
    }

    /// What becomes of mail to `address`, as far as it concerns the project.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn test(&self, project: ProjectId, address: &EmailAddress) -> Result<TestedAddress, StoreError> {
        let result = |result: &str, route| TestedAddress { address: address.clone(), result: result.to_owned(), route };
        if self.inner.domains.read_bounce_address(address).is_ok() {
            return Ok(result("report", None));
        }
        Ok(match self.find(address).await? {
            Found::Route(route) if route.project == project => result("route", Some(RouteView::from(&*route))),
            Found::None { host, .. } if host.project == project && is_role(address) => result("postmaster", None),
            Found::None { host, receives: true } if host.project == project => result("unknown", None),
            Found::NotVerified if self.inner.domains.sender(project, address.domain()).await?.is_some() => result("not_verified", None),
            Found::Route(_) | Found::None { .. } | Found::NotVerified | Found::Elsewhere => result("elsewhere", None),
        })
    }

    /// Forgets what was read: something of a route was changed by another room.
    pub fn forget(&self) {
        self.inner.tables.clear();
    }

    async fn table(&self, domain: &DomainName) -> Result<Option<Arc<Table>>, StoreError> {
        let inner = &*self.inner;
        if let Some(known) = inner.tables.get(&inner.clock, domain) {
            return Ok(known);
        }
        let read_at = inner.clock.tick();
        let table = match table::host(&inner.store, domain.as_str()).await? {
            None => None,
            Some(row) => Some(Arc::new(self.open(domain, row).await?)),
        };
        inner.tables.put(read_at, domain.clone(), table.clone());
        Ok(table)
    }

    async fn open(&self, domain: &DomainName, row: HostRow) -> Result<Table, StoreError> {
        let rows = table::of_domain(&self.inner.store, row.id).await?;
        let routes = self.read(rows).await?.into_iter().map(Arc::new).collect();
        let host = Host { project: ProjectId::from_uuid(row.project_id), domain_id: DomainId::from_uuid(row.id), domain: domain.clone() };
        Ok(Table { host, routes, is_open: row.was_verified || self.inner.allow_unverified })
    }

    async fn read(&self, rows: Vec<(RouteRow, String)>) -> Result<Vec<Route>, StoreError> {
        let forwarding: Vec<Uuid> = rows.iter().filter(|(row, _)| row.action == "forward").map(|(row, _)| row.id).collect();
        let mut targets = if forwarding.is_empty() { Vec::new() } else { table::targets(&self.inner.store, &forwarding).await? };
        let mut routes = Vec::with_capacity(rows.len());
        for (row, domain) in rows {
            let domain = DomainName::parse(&domain).map_err(|_| corrupt("domain"))?;
            let (mine, others): (Vec<_>, Vec<_>) = targets.into_iter().partition(|target| target.route_id == row.id);
            targets = others;
            routes.push(route(row, domain, &mine)?);
        }
        Ok(routes)
    }
}

fn route(row: RouteRow, domain: DomainName, targets: &[TargetRow]) -> Result<Route, StoreError> {
    let action = match row.action.as_str() {
        "forward" => Action::Forward { targets: targets.iter().map(target).collect::<Result<_, _>>()? },
        "webhook" => {
            let webhook = row.webhook_id.ok_or_else(|| corrupt("webhook"))?;
            Action::Webhook { webhook: crate::model::WebhookId::from_uuid(webhook), url: row.webhook_url.unwrap_or_default() }
        }
        "store" => Action::Store,
        "reject" => Action::Reject { text: row.reply.unwrap_or_else(|| action::REPLY.to_owned()) },
        "drop" => Action::Drop,
        _ => return Err(corrupt("action")),
    };
    Ok(Route {
        id: RouteId::from_uuid(row.id),
        project: ProjectId::from_uuid(row.project_id),
        domain_id: DomainId::from_uuid(row.domain_id),
        pattern: Pattern::from_stored(&row.local, domain),
        action,
        created_at: row.created_at,
    })
}

fn target(row: &TargetRow) -> Result<Target, StoreError> {
    let address = EmailAddress::parse(&row.target).map_err(|_| corrupt("target"))?;
    Ok(Target { address, asked_at: row.asked_at, confirmed_at: row.confirmed_at })
}

fn corrupt(column: &str) -> StoreError {
    StoreError::Corrupt(format!("route.{column}"))
}
