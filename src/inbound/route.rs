//! Mail from the world, at RCPT and at the end of DATA: whose it is, and what becomes of it.
//!
//! Answers: which addresses are ours (bounce addresses, routes, postmaster and abuse; RFC 5321 4.5.1), and the one reply that a
//! transaction ends in, once all that it promises is committed (invariant 1). A recipient that is forwarded stands alone in its
//! transaction: the reply is the next server's, and it must not be that of another recipient (docs/decisions/0062).
//! Does not: talk SMTP, forward (`forward`), or know what a report means (`apply`).

use std::sync::Arc;
use std::time::Duration;

use super::authenticate::{Arrived, Authenticated};
use super::pace::Pace;
use super::{Inbound, InboundError, Mailbox};
use crate::accept::Accept;
use crate::config;
use crate::domains::ReportBox;
use crate::mail::headers::Travels;
use crate::model::{DomainId, DomainName, EmailAddress, MessageId, ProjectId, Reply, RouteId};
use crate::net::dns::Resolver;
use crate::outbox::Claims;
use crate::recent::Recent;
use crate::routes::{Action, Found, Route, Routes, Target, is_role};
use crate::store::{StoreError, incoming};
use crate::telemetry::metrics;
use crate::webhooks::Webhooks;

/// Relays that a message may have passed (RFC 5321 6.3).
const MAX_RECEIVED: usize = 100;
/// How long what was counted of a project's mail is believed.
const COUNTED: Duration = Duration::from_secs(5);

/// Takes mail from the world.
#[derive(Clone, Debug)]
pub struct Reception {
    /// Reads reports.
    pub reports: Inbound,
    /// Knows routes.
    pub routes: Routes,
    /// Knows the endpoints of routes.
    pub webhooks: Webhooks,
    /// Our name.
    pub hostname: String,
    /// The project that gets mail to the host itself.
    pub house: ProjectId,
    /// What is done with mail to postmaster and abuse where no route says so.
    pub postmaster: Action,
    /// Octets of mail that a project may keep.
    pub stored_octets: u64,
    /// What projects keep.
    pub counted: Arc<Recent<ProjectId, u64>>,
    /// Takes what is passed on.
    pub accept: Accept,
    /// Tells how first attempts end.
    pub claims: Arc<Claims>,
    /// Asks the DNS.
    pub resolver: Resolver,
    /// `[inbound]`
    pub settings: config::Inbound,
    /// What routes passed on lately.
    pub forward_pace: Arc<Pace>,
}

/// What is done with a message at one address, and for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Whose address it is.
    pub project: ProjectId,
    /// Its domain; none: the host's own.
    pub domain: Option<(DomainId, DomainName)>,
    /// The route; none: postmaster and abuse, as the configuration says.
    pub route: Option<RouteId>,
    /// What is done.
    pub action: Action,
}

/// An address that was accepted by RCPT, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The address.
    pub recipient: EmailAddress,
    /// What it is.
    pub standing: Standing,
}

/// What an address is to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// An address of ours for reports.
    Report(Mailbox),
    /// Where reports about mail in the name of a domain come.
    DomainReports(ReportBox),
    /// The reverse-path of a message that was passed on.
    Returned(MessageId),
    /// Mail to it has somewhere to go.
    Deliver(Destination),
}

/// Why a recipient is refused: the reply, and what it is counted as.
type Refused = (Reply, &'static str);

/// The answer to RCPT for an address of a domain of ours that nobody reads.
const UNKNOWN: &str = "5.1.1 there is no such address here";
/// The answer to RCPT for everybody else's addresses.
const NO_RELAY: &str = "5.7.1 this server takes mail for its own domains and relays for nobody";

impl Reception {
    /// The answer to RCPT; a positive one adds to `places`. Without an address: `<postmaster>` of the host itself.
    pub async fn may_receive(&self, places: &mut Vec<Place>, to: Option<&EmailAddress>) -> Reply {
        let found = match to {
            Some(address) => self.standing(address).await.map(|standing| Place { recipient: address.clone(), standing }),
            None => self.host_postmaster(),
        };
        let place = match found {
            Ok(place) => match self.admit(places, &place).await {
                Ok(()) => place,
                Err((reply, counted)) => return refused(reply, counted),
            },
            Err((reply, counted)) => return refused(reply, counted),
        };
        // Named twice, it gets one copy.
        if !places.contains(&place) {
            places.push(place);
        }
        Reply::new(250, "2.1.5 ok")
    }

    /// Takes a message for the addresses that were accepted; the reply is what its sender is told.
    pub async fn arrived(&self, places: &[Place], arrived: Arrived) -> Reply {
        if let Some(reply) = circle(places, &arrived) {
            return refused(reply, "looping");
        }
        if let Err(reply) = self.read_reports(places, &arrived).await {
            return reply;
        }
        let mut arrived = arrived;
        let returned = places.iter().find_map(|place| if let Standing::Returned(id) = place.standing { Some((id, place)) } else { None });
        if let Some((id, place)) = returned {
            let authenticated = self.authenticate(&arrived).await;
            arrived.content = self.clean(arrived.content);
            return self.returned(id, &place.recipient, &arrived, &authenticated).await;
        }
        let deliver: Vec<_> = places
            .iter()
            .filter_map(|place| match &place.standing {
                Standing::Deliver(destination) => Some((place, destination)),
                Standing::Report(_) | Standing::DomainReports(_) | Standing::Returned(_) => None,
            })
            .collect();
        if deliver.is_empty() {
            return Reply::new(250, "2.6.0 heard");
        }
        let authenticated = self.authenticate(&arrived).await;
        if let Some(reply) = authenticated.refusal {
            return refused(reply, "dmarc");
        }
        // After the signatures were looked at, which may cover what is taken away.
        arrived.content = self.clean(arrived.content);
        if let [(place, destination)] = deliver.as_slice()
            && let Action::Forward { targets } = &destination.action
        {
            let confirmed: Vec<&Target> = targets.iter().filter(|target| target.confirmed_at.is_some()).collect();
            return self.forward(destination, &confirmed, &place.recipient, &arrived, &authenticated).await;
        }
        self.deliver(&arrived, &authenticated, deliver).await
    }

    /// Keeps, posts, drops.
    async fn deliver(&self, arrived: &Arrived, authenticated: &Authenticated, places: Vec<(&Place, &Destination)>) -> Reply {
        let (dropped, kept): (Vec<_>, Vec<_>) = places.into_iter().partition(|(_, destination)| destination.action == Action::Drop);
        for (_, destination) in &dropped {
            metrics::incoming("dropped");
            tracing::info!(route = ?destination.route, peer = %arrived.peer, "a message from the world was dropped, as its route says");
        }
        if kept.is_empty() {
            return Reply::new(250, "2.6.0 taken");
        }
        match self.keep(arrived, authenticated, &kept).await {
            Ok(ids) => {
                for (id, (_, destination)) in ids.iter().zip(&kept) {
                    metrics::incoming(if destination.action == Action::Store { "stored" } else { "webhook" });
                    tracing::info!(message = %id, route = ?destination.route, peer = %arrived.peer, "a message from the world was kept");
                }
                let told = ids.iter().take(3).map(ToString::to_string).collect::<Vec<_>>().join(" ");
                Reply::new(250, format!("2.6.0 kept as {told}"))
            }
            Err(StoreError::Full) => refused(Reply::new(452, "4.3.1 there is no room for more messages; try again later"), "full"),
            Err(error) => unavailable(&error),
        }
    }

    async fn read_reports(&self, places: &[Place], arrived: &Arrived) -> Result<(), Reply> {
        for place in places {
            if let Standing::DomainReports(owner) = &place.standing {
                self.reports.domain_report_arrived(owner, arrived.content.clone()).await.map_err(|error| report_failed(&error))?;
            }
        }
        let mailbox = |place: &Place| if let Standing::Report(mailbox) = place.standing { Some(mailbox) } else { None };
        let mailboxes: Vec<Mailbox> = places.iter().filter_map(mailbox).collect();
        if mailboxes.is_empty() {
            return Ok(());
        }
        let heard = self.reports.arrived(&mailboxes, &arrived.content).await.map_err(|error| report_failed(&error))?;
        tracing::debug!(?heard, "a report arrived");
        Ok(())
    }

    /// What an address is to us, whatever else the transaction holds.
    async fn standing(&self, address: &EmailAddress) -> Result<Standing, Refused> {
        if let Some(mailbox) = self.reports.mailbox(address).await.map_err(|error| (report_failed(&error), "failed"))? {
            return Ok(Standing::Report(mailbox));
        }
        if let Ok(id) = self.reports.domains.read_forward_address(address) {
            return Ok(Standing::Returned(id));
        }
        if let Some(owner) = self.reports.report_box(address).await.map_err(|error| (unavailable(&error), "failed"))? {
            return Ok(Standing::DomainReports(owner));
        }
        let found = self.routes.find(address).await.map_err(|error| (unavailable(&error), "failed"))?;
        match found {
            Found::Route(route) => by_route(&route),
            Found::None { host, .. } if is_role(address) => {
                Ok(Standing::Deliver(self.postmaster_of(host.project, Some((host.domain_id, host.domain)))))
            }
            Found::None { receives: true, .. } => Err((Reply::new(550, UNKNOWN), "unknown")),
            Found::NotVerified => Err((Reply::new(450, "4.7.1 the domain is not verified here yet; try again later"), "not_verified")),
            Found::Elsewhere if is_role(address) => self.role_elsewhere(address).await,
            Found::None { .. } | Found::Elsewhere => Err((Reply::new(550, NO_RELAY), "relay")),
        }
    }

    /// `postmaster@` and `abuse@` of the host itself, and of the return paths of our domains.
    async fn role_elsewhere(&self, address: &EmailAddress) -> Result<Standing, Refused> {
        if address.domain().as_str().eq_ignore_ascii_case(&self.hostname) {
            return Ok(Standing::Deliver(self.postmaster_of(self.house, None)));
        }
        let relay = || (Reply::new(550, NO_RELAY), "relay");
        let parent = address.domain().as_str().split_once('.').filter(|(label, _)| *label == "bounce").map(|(_, parent)| parent);
        let parent = parent.and_then(|parent| EmailAddress::parse(&format!("{}@{parent}", address.local())).ok()).ok_or_else(relay)?;
        match self.routes.find(&parent).await.map_err(|error| (unavailable(&error), "failed"))? {
            Found::Route(route) => by_route(&route),
            Found::None { host, .. } => Ok(Standing::Deliver(self.postmaster_of(host.project, Some((host.domain_id, host.domain))))),
            Found::NotVerified | Found::Elsewhere => Err(relay()),
        }
    }

    fn host_postmaster(&self) -> Result<Place, Refused> {
        let recipient = EmailAddress::parse(&format!("postmaster@{}", self.hostname));
        let recipient = recipient.map_err(|_| (Reply::new(550, "5.1.1 this host has no name yet, and no postmaster"), "unknown"))?;
        Ok(Place { recipient, standing: Standing::Deliver(self.postmaster_of(self.house, None)) })
    }

    fn postmaster_of(&self, project: ProjectId, domain: Option<(DomainId, DomainName)>) -> Destination {
        Destination { project, domain, route: None, action: self.postmaster.clone() }
    }

    /// Whether there is room for the address: in this transaction, and for what would be kept.
    async fn admit(&self, places: &[Place], new: &Place) -> Result<(), Refused> {
        let alone =
            |place: &Place| matches!(&place.standing, Standing::Returned(_) | Standing::Deliver(Destination { action: Action::Forward { .. }, .. }));
        if places.iter().any(|place| place != new && (alone(place) || alone(new))) {
            return Err((Reply::new(452, "4.5.3 this address takes a message of its own; send it next"), "alone"));
        }
        if let Standing::Deliver(Destination { project, action: Action::Store | Action::Webhook { .. }, .. }) = &new.standing
            && self.kept_octets(*project).await.map_err(|error| (unavailable(&error), "failed"))? >= self.stored_octets
        {
            tracing::warn!(%project, limit = self.stored_octets, "a project keeps as much mail as it may (inbound.stored_octets); no more is taken for it");
            return Err((Reply::new(452, "4.3.1 there is no room for more messages; try again later"), "full"));
        }
        Ok(())
    }

    async fn kept_octets(&self, project: ProjectId) -> Result<u64, StoreError> {
        let clock = &self.reports.clock;
        if let Some(known) = self.counted.get(clock, &project) {
            return Ok(known);
        }
        let read_at = clock.tick();
        let octets = u64::try_from(incoming::octets(&self.reports.store, project.uuid()).await?).unwrap_or(0);
        self.counted.put(read_at, project, octets);
        Ok(octets)
    }

    /// A memory of what projects keep.
    #[must_use]
    pub fn counting() -> Arc<Recent<ProjectId, u64>> {
        Arc::new(Recent::new(COUNTED))
    }
}

fn by_route(route: &Arc<Route>) -> Result<Standing, Refused> {
    match &route.action {
        Action::Reject { text } => Err((Reply::new(550, format!("5.7.1 {text}")), "rejected")),
        Action::Forward { targets } if targets.iter().all(|target| target.confirmed_at.is_none()) => {
            Err((Reply::new(450, "4.2.1 nobody has agreed yet to get what is forwarded from here; try again later"), "unconfirmed"))
        }
        action => Ok(Standing::Deliver(Destination {
            project: route.project,
            domain: Some((route.domain_id, route.pattern.domain().clone())),
            route: Some(route.id),
            action: action.clone(),
        })),
    }
}

/// The refusal of a message that goes in circles.
fn circle(places: &[Place], arrived: &Arrived) -> Option<Reply> {
    let travels = Travels::read(&arrived.content);
    if travels.received > MAX_RECEIVED {
        return Some(Reply::new(554, format!("5.4.6 the message has passed {} servers; it goes in circles", travels.received)));
    }
    let been = |place: &Place| travels.delivered_to.contains(&place.recipient.to_string().to_ascii_lowercase());
    let deliver = places.iter().filter(|place| matches!(place.standing, Standing::Deliver(_)));
    deliver.into_iter().any(been).then(|| Reply::new(554, "5.4.6 the message was delivered to this address before; it goes in circles"))
}

fn report_failed(error: &InboundError) -> Reply {
    match error {
        InboundError::OnItsWay => Reply::new(451, "4.3.0 what you report about is still written down; come back in a minute"),
        InboundError::Store(error) => {
            tracing::warn!(%error, "a report could not be kept; its sender tries again");
            Reply::new(451, "4.3.0 the report cannot be kept now; try again later")
        }
    }
}

fn unavailable(error: &StoreError) -> Reply {
    metrics::database_error(error.kind());
    metrics::incoming("failed");
    tracing::warn!(%error, "mail from the world cannot be taken now; its sender tries again");
    Reply::new(451, "4.3.0 mail cannot be taken now; try again later")
}

fn refused(reply: Reply, counted: &'static str) -> Reply {
    if counted != "failed" {
        metrics::incoming(counted);
    }
    reply
}
