//! Which way a message goes, as far as the outbox has to know: by which smart host, if by any, and to which site.
//!
//! Answers: of the sites that a domain's mail goes to, the one that a message waits for; the site of a domain, looked up now. Does not: know the
//! rules; who sends does, and says so.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::sites::SiteView;
use crate::model::{DomainName, MessageId, ProjectId};

/// The name, `host:port`, of the smart host that a project's message for a domain goes by; none: the domain's own hosts.
type SmartHostOf = dyn Fn(ProjectId, MessageId, &DomainName) -> Option<Arc<str>> + Send + Sync;

/// The name of a site, and its MX hosts: either means it.
pub type Place = [Arc<str>; 2];

/// The place of a domain by its MX records; none: it cannot be found now, or there is none.
type PlaceOf = dyn Fn(DomainName) -> BoxFuture<'static, Option<Place>> + Send + Sync;

/// Knows the way of each message, or nothing.
#[derive(Clone, Default)]
pub struct Ways(Option<Arc<Known>>);

struct Known {
    smart_host_of: Box<SmartHostOf>,
    place_of: Box<PlaceOf>,
}

impl Ways {
    /// Knows what these know.
    pub fn new(
        smart_host_of: impl Fn(ProjectId, MessageId, &DomainName) -> Option<Arc<str>> + Send + Sync + 'static,
        place_of: impl Fn(DomainName) -> BoxFuture<'static, Option<Place>> + Send + Sync + 'static,
    ) -> Self {
        Self(Some(Arc::new(Known { smart_host_of: Box::new(smart_host_of), place_of: Box::new(place_of) })))
    }

    /// True if it knows anything.
    #[must_use]
    pub const fn are_known(&self) -> bool {
        self.0.is_some()
    }

    pub(super) fn smart_host_of(&self, project: ProjectId, message: MessageId, domain: &DomainName) -> Option<Arc<str>> {
        self.0.as_ref().and_then(|known| (known.smart_host_of)(project, message, domain))
    }

    pub(super) async fn place_of(&self, domain: DomainName) -> Option<Place> {
        match &self.0 {
            Some(known) => (known.place_of)(domain).await,
            None => None,
        }
    }

    /// Of these sites the one that holds up a message for a domain: the more restrained, where the domain has moved from one to another.
    pub(super) fn site<'s>(&self, sites: &'s [SiteView], project: ProjectId, message: MessageId, domain: &str) -> Option<&'s SiteView> {
        let way = self.0.as_ref().and_then(|known| DomainName::parse(domain).ok().map(|name| (known.smart_host_of)(project, message, &name)));
        let is_on_the_way = |site: &&SiteView| match &way {
            None => true,
            Some(Some(smart_host)) => site.name == **smart_host,
            // The names of mail hosts have no port.
            Some(None) => !site.name.contains(':'),
        };
        let has_domain = |site: &&SiteView| site.domains.iter().any(|known| known == domain);
        sites.iter().filter(has_domain).filter(is_on_the_way).max_by_key(|site| (site.until, site.since))
    }
}

impl fmt::Debug for Ways {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.0.is_some() { "Ways(known)" } else { "Ways(unknown)" })
    }
}
