//! What is known about TLS with the world's mail hosts, shared by all nodes: MTA-STS policies, hosts that spoke TLS, results to report.
//!
//! Answers: the policy of a domain now (fetched if need be), whether a host may be spoken to in the clear, and what the reports of RFC 8460
//! are made of.
//! Does not: decide how a session is made (see `deliver::tls_policy`), or send reports (see `ops`).

mod memory;
pub mod report;
pub mod results;
pub mod sts;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::clock::Clock;
use crate::config::DeliveryTls;
use crate::model::DomainName;
use crate::net::certificate::Authorities;
use crate::net::dial::AddressPolicy;
use crate::net::dns::Resolver;
use crate::net::https::HttpsClient;
use crate::recent::Recent;
use crate::store::Store;

pub use sts::{Sts, StsFault};

/// How long a policy that was read is believed without asking DNS and database again.
const POLICY_FRESH: Duration = Duration::from_mins(1);
/// How long what the memory says of a host is believed.
const HOST_FRESH: Duration = Duration::from_mins(1);
/// How long it is believed that a domain asks for reports, or does not.
const REPORT_FRESH: Duration = Duration::from_hours(1);
/// The time limit of fetching a policy and of handing a report over (RFC 8461 3.3).
const HTTPS_LIMIT: Duration = Duration::from_mins(1);

/// What it is made from.
#[derive(Debug)]
pub struct TransitParts {
    /// The database.
    pub store: Store,
    /// Time.
    pub clock: Clock,
    /// DNS.
    pub resolver: Resolver,
    /// `[delivery_tls]`
    pub settings: DeliveryTls,
    /// Which hosts may be asked for policies.
    pub addresses: AddressPolicy,
    /// Whose certificates count.
    pub authorities: Authorities,
}

/// The knowledge. Clones share what they remember.
#[derive(Clone, Debug)]
pub struct Transit {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    clock: Clock,
    resolver: Resolver,
    https: HttpsClient,
    settings: DeliveryTls,
    policies: Recent<DomainName, Sts>,
    /// One fetch at a time for each domain.
    fetching: Mutex<std::collections::HashMap<DomainName, Arc<tokio::sync::Mutex<()>>>>,
    hosts: Recent<String, memory::Known>,
    /// Hosts that spoke TLS, to be written.
    spoke: Mutex<std::collections::HashMap<String, time::OffsetDateTime>>,
    results: Mutex<results::Tally>,
    asking: Recent<String, bool>,
}

impl Transit {
    /// Makes it of its parts. Asks nothing yet.
    #[must_use]
    pub fn new(parts: TransitParts) -> Self {
        let TransitParts { store, clock, resolver, settings, addresses, authorities } = parts;
        let https = HttpsClient { resolver: resolver.clone(), clock: clock.clone(), policy: addresses, authorities, limit: HTTPS_LIMIT };
        let inner = Inner {
            store,
            clock,
            resolver,
            https,
            settings,
            policies: Recent::new(POLICY_FRESH),
            fetching: Mutex::default(),
            hosts: Recent::new(HOST_FRESH),
            spoke: Mutex::default(),
            results: Mutex::default(),
            asking: Recent::new(REPORT_FRESH),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Whose certificates count.
    #[must_use]
    pub fn authorities(&self) -> &Authorities {
        &self.inner.https.authorities
    }

    /// The HTTPS client that policies are fetched with.
    #[must_use]
    pub fn https(&self) -> &HttpsClient {
        &self.inner.https
    }

    /// `[delivery_tls]`
    #[must_use]
    pub fn settings(&self) -> &DeliveryTls {
        &self.inner.settings
    }
}
