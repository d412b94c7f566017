//! Starts, supervises, drains and stops the gateway: the one place that knows every room.
//!
//! Answers: the order in which rooms open and close. Closing follows the way of the data: doors, writers, engine, outcomes, node,
//! database; each ends when nothing can reach it any more, so that a drain loses nothing and leaves no claim behind.

mod certificates;
mod forwarding;
mod roles;
mod service;
mod smtp;
mod ways;
mod webhooks;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;

use crate::accept::Accept;
use crate::accept::batch::{Batcher, Writing};
use crate::access::smtp_users::SmtpUsers;
use crate::access::{Access, Audit};
use crate::clock::Clock;
use crate::config::Config;
use crate::consumers::Suppress;
use crate::deliver::class::Rules;
use crate::deliver::egress::Egress;
use crate::deliver::limits::Providers;
pub use crate::deliver::simulation;
use crate::deliver::{Engine, EngineParts};
use crate::domains::{DomainSettings, Domains, Sealer};
use crate::events::Events;
pub use crate::http::openapi;
use crate::http::{self, Api, Listener, Rooms, Stack};
use crate::incoming::IncomingMail;
use crate::model::ProjectId;
use crate::net::acme::Answers;
use crate::net::certificate::Authorities;
use crate::net::dial::AddressPolicy;
use crate::net::dns::Resolver;
use crate::net::tls;
use crate::ops::certs::Certificates;
use crate::ops::doctor::{self, Doctor};
use crate::ops::notices::Notices;
use crate::ops::tls::TlsUpkeep;
use crate::ops::{files, housekeeping};
use crate::outbox::node::{Leaving, Node};
use crate::outbox::refill::Refill;
use crate::outbox::{Claims, Outbox, handoff, settle};
use crate::reports::Reports;
use crate::routes::Routes;
use crate::smtp::timeouts::Timeouts;
use crate::store::Store;
use crate::store::embedded::PrivatePostgres;
use crate::supervisor::Supervisor;
use crate::suppressions::Suppressions;
use crate::telemetry::metrics;
use crate::transit::{Transit, TransitParts};
use crate::webhooks::Webhooks;
pub use roles::{Roles, UnknownRole};
pub use service::{SocketError, Sockets};

const METRICS_UPKEEP: Duration = Duration::from_secs(5);

/// The database and the rules over it: what commands work on, whether a gateway runs or not.
#[derive(Debug)]
pub struct House {
    /// The database.
    pub store: Store,
    /// Keys.
    pub access: Access,
    /// SMTP users.
    pub smtp_users: SmtpUsers,
    /// Certificates that are in no file.
    pub certificates: Certificates,
    /// Domains.
    pub domains: Domains,
    /// Messages.
    pub outbox: Outbox,
    /// What became of them.
    pub events: Events,
    /// Who changed what.
    pub audit: Audit,
    /// Who is not sent to.
    pub suppressions: Suppressions,
    /// What receivers tell.
    pub reports: Reports,
    /// Mail from the world that is kept.
    pub incoming: IncomingMail,
    /// Who is told by HTTP.
    pub webhooks: Webhooks,
    /// Where mail from the world goes.
    pub routes: Routes,
    /// DNS.
    pub resolver: Resolver,
    /// What is known about TLS with the world's hosts.
    pub transit: Transit,
    /// The project that everything belongs to unless told otherwise.
    pub project: ProjectId,
    postgres: Option<PrivatePostgres>,
}

impl House {
    /// Opens the database (starting the private one if there is no URL), brings its schema up to date, and sets the rules up.
    pub async fn open(config: &Config, clock: &Clock) -> anyhow::Result<Self> {
        let (store, postgres) = open_store(config, clock).await?;
        // Before anything is dated. What the clocks say of each other the node judges.
        let _bearing = clock.follow(clock.reading(), store.time().await?);
        let applied = store.migrate().await.context("the database could not be migrated")?;
        if applied > 0 {
            tracing::info!(migrations = applied, "database migrated");
        }
        store.ensure_partitions_for(clock.now()).await?;
        let sealer = Sealer::read_or_make(&config.server.master_key_file, clock)
            .with_context(|| format!("the master key {} could not be read or made", config.server.master_key_file.display()))?;
        Self::over(config, clock, sealer, store, postgres).await
    }

    /// Opens what is there and changes nothing: no schema, no key is made. A database that is not up to date is an error.
    pub async fn open_unchanged(config: &Config, clock: &Clock) -> anyhow::Result<Self> {
        let (store, postgres) = open_store(config, clock).await?;
        let _bearing = clock.follow(clock.reading(), store.time().await?);
        let waiting = store.pending_migrations().await?;
        anyhow::ensure!(waiting.is_empty(), "the database is not up to date: {} migrations wait", waiting.len());
        let sealer = Sealer::read(&config.server.master_key_file)?;
        Self::over(config, clock, sealer, store, postgres).await
    }

    async fn over(config: &Config, clock: &Clock, sealer: Sealer, store: Store, postgres: Option<PrivatePostgres>) -> anyhow::Result<Self> {
        let resolver = Resolver::new(&config.dns).context("the resolver could not be set up; see [dns] in the configuration")?;
        let access = Access::new(store.clone(), clock.clone());
        let smtp_users = SmtpUsers::new(store.clone(), clock.clone(), access.clone());
        let project = access.default_project().await?;
        let certificates = Certificates::new(store.clone(), sealer.clone(), clock.clone());
        let webhooks = Webhooks::new(store.clone(), clock.clone(), sealer.clone(), webhooks::url_policy(config));
        let domains = Domains::new(store.clone(), clock.clone(), sealer, resolver.clone(), DomainSettings::of(config));
        let allow_unverified = config.delivery.allow_unverified_domains;
        let routes = Routes::new(store.clone(), clock.clone(), domains.clone(), webhooks.clone(), allow_unverified);
        let (outbox, events) = (Outbox::new(store.clone(), clock.clone(), ways::ways(config, &access, &resolver).await?), Events::new(store.clone()));
        let audit = Audit::new(store.clone(), clock.clone());
        let incoming = IncomingMail::new(store.clone(), clock.clone(), config.webhooks.attachment_octets);
        let suppressions = Suppressions::new(store.clone(), clock.clone());
        let reports = Reports::new(store.clone(), clock.clone());
        let transit = transit(config, &store, clock, &resolver)?;
        Ok(Self {
            store,
            access,
            smtp_users,
            certificates,
            domains,
            outbox,
            events,
            audit,
            suppressions,
            reports,
            incoming,
            webhooks,
            routes,
            resolver,
            transit,
            project,
            postgres,
        })
    }

    /// Who looks at host and domains.
    pub fn doctor(&self, config: &Arc<Config>, clock: &Clock) -> Doctor {
        let (store, domains, routes) = (self.store.clone(), self.domains.clone(), self.routes.clone());
        let rooms = doctor::Rooms { store, domains, routes, project: self.project };
        Doctor {
            config: Arc::clone(config),
            clock: clock.clone(),
            database: doctor::Database::Ready(rooms),
            authorities: self.transit.authorities().clone(),
            listeners: doctor::Listeners::of(config),
        }
    }

    /// Closes the database; the private server stops unless another process uses it.
    pub async fn close(self) -> anyhow::Result<()> {
        self.store.close().await;
        if let Some(postgres) = self.postgres {
            postgres.stop().await;
        }
        Ok(())
    }
}

/// What is known of other people's servers: the program's tables with the files that the configuration names.
#[derive(Debug)]
pub struct Tables {
    /// What replies mean.
    pub rules: Arc<Rules>,
    /// Limits of providers.
    pub providers: Providers,
}

/// Reads the tables.
///
/// # Errors
/// A file cannot be used; the error names each fault with its place.
pub fn tables(config: &Config) -> anyhow::Result<Tables> {
    Ok(Tables { rules: Rules::load(&config.delivery.bounce_rules)?, providers: Providers::load(&config.delivery)? })
}

/// Whose certificates count.
///
/// # Errors
/// The file of further authorities cannot be read.
pub fn authorities(config: &Config) -> anyhow::Result<Authorities> {
    let file = &config.delivery_tls.ca_file;
    if file.as_os_str().is_empty() {
        return Ok(Authorities::public());
    }
    Authorities::public_and(file).context("see delivery_tls.ca_file in the configuration")
}

fn transit(config: &Config, store: &Store, clock: &Clock, resolver: &Resolver) -> anyhow::Result<Transit> {
    let settings = config.delivery_tls.clone();
    let authorities = authorities(config)?;
    let addresses = AddressPolicy { allow_private: config.delivery.allow_private_addresses };
    Ok(Transit::new(TransitParts { store: store.clone(), clock: clock.clone(), resolver: resolver.clone(), settings, addresses, authorities }))
}

/// Connects to the configured database, or to the private one, which is started when nobody has.
pub async fn open_store(config: &Config, clock: &Clock) -> anyhow::Result<(Store, Option<PrivatePostgres>)> {
    let (url, postgres) = if config.database.url.expose().is_empty() {
        let postgres = PrivatePostgres::start(&config.database.data_dir, &config.database.bin_dir, clock).await?;
        (postgres.url().to_owned(), Some(postgres))
    } else {
        (config.database.url.expose().clone(), None)
    };
    let store =
        Store::connect(&url, config.database.max_connections).await.context("the database cannot be used; see [database] in the configuration")?;
    Ok((store, postgres))
}

/// A gateway that runs.
#[derive(Debug)]
pub struct Running {
    /// Where HTTP listens; none without the role `api`.
    pub http: Option<SocketAddr>,
    /// Where mail is submitted by STARTTLS; none without the role `smtp`, or if it is off.
    pub submission: Option<SocketAddr>,
    /// Where mail is submitted by TLS from the first octet; as above.
    pub submissions: Option<SocketAddr>,
    /// Where the world brings what comes back; as above.
    pub mx: Option<SocketAddr>,
    /// Where certificate authorities are answered, by ACME.
    pub acme: Option<SocketAddr>,
    /// The database and its rules.
    pub house: House,
    /// This process.
    pub node: Arc<Node>,
    /// What it holds in memory.
    pub claims: Arc<Claims>,
    supervisor: Supervisor,
    clock: Clock,
    drain: Duration,
}

/// Starts a gateway. It runs until the supervisor is asked for a drain.
pub async fn run(config: Config, roles: Roles, supervisor: Supervisor, clock: Clock) -> anyhow::Result<Running> {
    Box::pin(run_on(config, roles, supervisor, clock, Sockets::default())).await
}

/// As [`run`], with sockets that the service manager opened.
pub async fn run_on(mut config: Config, roles: Roles, supervisor: Supervisor, clock: Clock, sockets: Sockets) -> anyhow::Result<Running> {
    if let Some(limit) = files::raise() {
        files::fit(&mut config, limit);
    }
    let tables = tables(&config)?;
    let house = House::open(&config, &clock).await?;
    let egress = if roles.deliver { Some(ways::ways_out(&config, &house).await?) } else { None };
    let config = Arc::new(config);
    let claims = Claims::new(config.delivery.memory_octets);
    let silence = Duration::from_secs(config.delivery.node_timeout_seconds);
    let node = Node::join(house.store.clone(), clock.clone(), Arc::clone(&claims), host_name(&config), silence).await?;
    supervisor.spawn_essential("node", Arc::clone(&node).live(supervisor.clone()));
    supervisor.spawn("end of pauses", Arc::clone(&node).unpark(supervisor.clone()));
    let start = Start { config: &config, house: &house, claims: &claims, node: &node, supervisor: &supervisor, clock: &clock, sockets: &sockets };
    let rules = Arc::clone(&tables.rules);
    let handoff = egress.map(|egress| start.engine(tables, egress));
    let accept = (roles.api || roles.worker || roles.smtp).then(|| start.accept(handoff));
    if let Some(accept) = accept.clone().filter(|_| roles.worker) {
        let housekeeping = housekeeping::Housekeeping {
            store: house.store.clone(),
            domains: house.domains.clone(),
            clock: clock.clone(),
            node: Arc::clone(&node),
            incoming: house.incoming.clone(),
            webhooks: house.webhooks.clone(),
            retention: config.retention.clone(),
        };
        supervisor.spawn("housekeeping", housekeeping.run(supervisor.clone()));
        let notices = Notices {
            store: house.store.clone(),
            accept: accept.clone(),
            clock: clock.clone(),
            hostname: host_name(&config),
            delay: Duration::from_secs(config.delivery.delay_notice_seconds),
        };
        supervisor.spawn("notices", notices.run(supervisor.clone()));
        start.forwarding(&accept);
        let upkeep =
            TlsUpkeep { transit: house.transit.clone(), accept, project: house.project, resolver: house.resolver.clone(), clock: clock.clone() };
        supervisor.spawn("TLS upkeep", upkeep.run(supervisor.clone()));
        let suppress = Suppress { store: house.store.clone(), clock: clock.clone() };
        supervisor.spawn("suppress", suppress.run(supervisor.clone()));
        start.webhooks()?;
    }
    supervisor.spawn("metrics", keep_metrics(supervisor.clone(), clock.clone()));
    let shown = start.certificates(roles).await?;
    let [submission, submissions, mx] = match &accept {
        Some(accept) if roles.smtp => start.smtp(accept, rules, &shown).await?,
        _ => [None, None, None],
    };
    let http = match accept {
        Some(accept) if roles.api => Some(start.api(accept, shown.answers).await?),
        _ => None,
    };
    sockets.tell_unused();
    tracing::info!(incarnation = node.incarnation(), "ready");
    let drain = Duration::from_secs(config.delivery.drain_seconds);
    Ok(Running { http, submission, submissions, mx, acme: shown.acme, house, node, claims, supervisor, clock, drain })
}

impl Running {
    /// Waits for the drain that somebody asks for, and for its end: open sessions finish within the configured time.
    pub async fn wait(self) -> anyhow::Result<()> {
        self.supervisor.draining().await;
        tracing::info!("draining: no new work, open sessions finish");
        let mut leaving = Leaving::InOrder;
        if self.clock.timeout(self.drain, self.supervisor.ended()).await.is_err() {
            leaving = Leaving::CutOff;
            tracing::warn!("sessions did not end in time and are cut off; their messages are tried again");
            self.supervisor.kill();
            self.supervisor.ended().await;
        }
        match self.node.leave(leaving).await {
            Ok(released) => tracing::info!(released, "stopped"),
            Err(error) => tracing::warn!(%error, "the node could not sign off; others will take its work over"),
        }
        self.house.close().await
    }

    /// Ends where it stands, as a crash would: nothing is given back, the node does not sign off.
    pub async fn abandon(self) {
        self.supervisor.kill();
        self.supervisor.ended().await;
    }
}

/// What the rooms are made from at start.
struct Start<'s> {
    config: &'s Arc<Config>,
    house: &'s House,
    claims: &'s Arc<Claims>,
    node: &'s Arc<Node>,
    supervisor: &'s Supervisor,
    clock: &'s Clock,
    sockets: &'s Sockets,
}

impl Start<'_> {
    /// Starts the engine and what feeds it.
    fn engine(&self, tables: Tables, egress: Egress) -> handoff::Handoff {
        let (handoff, arrivals) = handoff::channel();
        let (settler, writer) = settle::channel(self.house.store.clone(), self.clock.clone());
        self.supervisor.spawn_essential("settle writer", writer.run());
        let parts = EngineParts {
            settings: self.config.delivery.clone(),
            hostname: host_name(self.config),
            egress,
            clock: self.clock.clone(),
            resolver: self.house.resolver.clone(),
            domains: self.house.domains.clone(),
            claims: Arc::clone(self.claims),
            node: Arc::clone(self.node),
            store: self.house.store.clone(),
            settler,
            timeouts: Timeouts::default(),
            tls: tls::opportunistic(),
            rules: tables.rules,
            providers: tables.providers,
            transit: self.house.transit.clone(),
        };
        let keeping = self.house.transit.clone().keep_results(self.supervisor.clone(), self.clock.clone());
        self.supervisor.spawn("TLS results", keeping);
        let engine = Engine::new(parts, self.supervisor.clone());
        self.supervisor.spawn_essential("engine", engine.run(arrivals));
        let refill = Refill {
            store: self.house.store.clone(),
            clock: self.clock.clone(),
            claims: Arc::clone(self.claims),
            node: Arc::clone(self.node),
            handoff: handoff.clone(),
        };
        self.supervisor.spawn_essential("refill", refill.run(self.supervisor.clone()));
        handoff
    }

    /// Starts what takes messages in.
    fn accept(&self, handoff: Option<handoff::Handoff>) -> Accept {
        let writing = Writing {
            store: self.house.store.clone(),
            clock: self.clock.clone(),
            claims: Arc::clone(self.claims),
            node: Arc::clone(self.node),
            handoff,
        };
        let batcher = Batcher::start(writing, self.supervisor);
        Accept::new(self.house.domains.clone(), batcher, self.clock.clone(), self.config)
    }

    /// Opens the HTTP door.
    async fn api(&self, accept: Accept, answers: Answers) -> anyhow::Result<SocketAddr> {
        let (outbox, draining) = (self.house.outbox.clone(), self.supervisor.clone());
        let ready: http::Ready = Arc::new(move || {
            let (outbox, draining) = (outbox.clone(), draining.clone());
            Box::pin(async move {
                match (draining.is_draining(), outbox.ping().await) {
                    (true, _) => Err("draining".to_owned()),
                    (false, false) => Err("the database does not answer".to_owned()),
                    (false, true) => Ok(()),
                }
            })
        });
        let rooms = Rooms {
            accept,
            access: self.house.access.clone(),
            smtp_users: self.house.smtp_users.clone(),
            domains: self.house.domains.clone(),
            outbox: self.house.outbox.clone(),
            doctor: self.house.doctor(self.config, self.clock),
            events: self.house.events.clone(),
            audit: self.house.audit.clone(),
            house: self.house.project,
            suppressions: self.house.suppressions.clone(),
            reports: self.house.reports.clone(),
            incoming: self.house.incoming.clone(),
            webhooks: self.house.webhooks.clone(),
            routes: self.house.routes.clone(),
            ready,
            metrics: Arc::new(metrics::render),
            certificates: self.house.certificates.clone(),
            answers,
            config: Arc::clone(self.config),
            clock: self.clock.clone(),
        };
        self.house.access.keep_last_used(self.supervisor);
        let address = self.config.server.http_listen;
        let listener = match self.sockets.take("http").context("the socket http")? {
            Some(socket) => Listener::of(socket),
            None => Listener::bind(address).await.with_context(|| format!("cannot listen on {address} (server.http_listen)"))?,
        };
        let bound = listener.local_addr()?;
        let limits = &self.config.limits;
        listener.serve(Stack::new(Api::new(rooms)), http::places(limits.connections, limits.connections_per_client), self.supervisor);
        tracing::info!(address = %bound, "listening for HTTP");
        Ok(bound)
    }
}

/// Folds recorded histogram values together now and then, or they would pile up until somebody reads `/metrics`.
async fn keep_metrics(supervisor: Supervisor, clock: Clock) {
    while !supervisor.is_draining() {
        metrics::upkeep();
        tokio::select! {
            () = clock.sleep(METRICS_UPKEEP) => {}
            () = supervisor.draining() => {}
        }
    }
}

/// Our name to the world; a sandbox may have none.
fn host_name(config: &Config) -> String {
    if config.server.hostname.is_empty() { "localhost.localdomain".to_owned() } else { config.server.hostname.clone() }
}
