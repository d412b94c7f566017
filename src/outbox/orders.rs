//! What operators asked of all nodes, as this one last heard it: about a second old at most while the database answers.
//!
//! Answers: may this mail be tried now? Of a paused site it knows the domains that this node met there.
//! Does not: read the database; the node's heartbeat does. Look up which site a domain belongs to; the engine knows.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::RwLock;

use crate::model::{DomainName, ProjectId, SiteName};
use crate::telemetry::metrics;

/// What one pause covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Area {
    /// The project; none: all.
    pub project: Option<ProjectId>,
    /// The recipient domain; none: all.
    pub domain: Option<DomainName>,
    /// The site; none: all.
    pub site: Option<SiteName>,
}

impl Area {
    fn covers(&self, project: ProjectId, domain: &DomainName, is_at: impl Fn(&SiteName) -> bool) -> bool {
        self.project.is_none_or(|own| own == project) && self.domain.as_ref().is_none_or(|own| own == domain) && self.site.as_ref().is_none_or(is_at)
    }
}

/// Pauses, and whether this node is drained.
#[derive(Debug, Default)]
pub struct Orders {
    areas: RwLock<Arc<[Area]>>,
    /// The domains that were met at a paused site, with that.
    met: RwLock<HashMap<DomainName, SiteName>>,
    /// True if there is anything to ask: spares the lock otherwise.
    any: AtomicBool,
    drained: AtomicBool,
    /// A domain has left its paused site.
    freed: AtomicBool,
}

impl Orders {
    /// True if mail of a project to a domain is not to be tried now by this node, as far as is known without its site.
    #[must_use]
    pub fn stop(&self, project: ProjectId, domain: &DomainName) -> bool {
        self.any() && (self.is_drained() || self.covers(project, domain, |site| self.met.read().get(domain) == Some(site)))
    }

    /// True if mail of a project to a domain is not to be tried now by this node, at a site with this name and these hosts.
    #[must_use]
    pub fn stop_at(&self, project: ProjectId, domain: &DomainName, [site, hosts]: [&str; 2]) -> bool {
        self.any() && (self.is_drained() || self.covers(project, domain, |paused| [site, hosts].contains(&paused.as_str())))
    }

    fn covers(&self, project: ProjectId, domain: &DomainName, is_at: impl Fn(&SiteName) -> bool) -> bool {
        self.areas.read().iter().any(|area| area.covers(project, domain, &is_at))
    }

    /// The paused site that is meant by a site's name or its hosts, if one is.
    #[must_use]
    pub fn paused_site(&self, [site, hosts]: [&str; 2]) -> Option<SiteName> {
        self.areas.read().iter().filter_map(|area| area.site.clone()).find(|paused| [site, hosts].contains(&paused.as_str()))
    }

    /// Notes that a domain was met at a paused site.
    pub fn note_met(&self, domain: &DomainName, site: &SiteName) {
        self.met.write().insert(domain.clone(), site.clone());
    }

    /// Notes that a domain has left its paused site: what waits for it may go.
    pub fn note_left(&self, domain: &DomainName) {
        self.met.write().remove(domain);
        self.freed.store(true, Ordering::Release);
    }

    /// True if there is any order.
    #[must_use]
    pub fn any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    /// True if a site is paused.
    #[must_use]
    pub fn any_site(&self) -> bool {
        self.any() && self.areas.read().iter().any(|area| area.site.is_some())
    }

    /// True if this node is to claim nothing.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.drained.load(Ordering::Acquire)
    }

    /// Takes over what the database says. Answers true if a pause ended, or something left a paused site.
    pub fn learn(&self, areas: Vec<Area>, drained: bool) -> bool {
        metrics::orders(areas.len(), drained);
        if self.drained.swap(drained, Ordering::AcqRel) != drained {
            tracing::info!(drained, "an operator changed whether this node takes work");
        }
        let before = std::mem::replace(&mut *self.areas.write(), areas.into());
        let after = Arc::clone(&self.areas.read());
        self.any.store(drained || !after.is_empty(), Ordering::Release);
        self.met.write().retain(|_, site| after.iter().any(|area| area.site.as_ref() == Some(site)));
        self.freed.swap(false, Ordering::AcqRel) || before.iter().any(|area| !after.contains(area))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(number: u128) -> ProjectId {
        ProjectId::from_uuid(uuid::Uuid::from_u128(number))
    }

    fn domain(name: &str) -> DomainName {
        DomainName::parse(name).unwrap()
    }

    fn area(project: Option<ProjectId>, name: Option<&str>) -> Area {
        Area { project, domain: name.map(domain), site: None }
    }

    #[test]
    fn a_pause_covers_its_project_and_domain_only_and_a_drain_everything() {
        let orders = Orders::default();
        assert!(!orders.learn(vec![area(Some(project(1)), Some("a.example")), area(Some(project(2)), None), area(None, Some("b.example"))], false));
        for (number, name, stopped) in [
            (1, "a.example", true),
            (1, "c.example", false),
            (2, "c.example", true),
            (3, "a.example", false),
            (3, "b.example", true),
            (3, "sub.b.example", false),
        ] {
            assert_eq!(orders.stop(project(number), &domain(name)), stopped, "{number} {name}");
            assert_eq!(orders.stop_at(project(number), &domain(name), ["mx", "mx"]), stopped, "{number} {name}");
        }
        assert!(orders.learn(vec![area(Some(project(2)), None)], true), "a pause ended");
        assert!(orders.is_drained() && orders.stop(project(3), &domain("c.example")));
        assert!(!orders.learn(vec![area(Some(project(2)), None), area(None, Some("b.example"))], false), "none ended");
        assert!(orders.any() && !orders.is_drained() && !orders.any_site());
        assert!(orders.learn(Vec::new(), false) && !orders.any());
    }

    #[test]
    fn a_paused_site_is_meant_by_its_name_or_its_hosts_and_its_domains_are_known_once_they_were_met() {
        let orders = Orders::default();
        let [hosts, provider] = ["mx.one.example", "provider"].map(|name| SiteName::parse(name).unwrap());
        let at = |project, site: &SiteName| Area { project, domain: None, site: Some(site.clone()) };
        orders.learn(vec![at(Some(project(1)), &hosts), at(None, &provider)], false);
        assert!(orders.any_site());
        let a = domain("a.example");
        for (number, place, stopped) in [
            (1, ["mx.one.example", "mx.one.example"], true),
            (1, ["other provider", "mx.one.example"], true),
            (2, ["mx.one.example", "mx.one.example"], false),
            (2, ["provider", "mx.two.example"], true),
            (1, ["mx.two.example", "mx.two.example"], false),
        ] {
            assert_eq!(orders.stop_at(project(number), &a, place), stopped, "{number} {place:?}");
            assert_eq!(orders.paused_site(place).is_some(), place.contains(&hosts.as_str()) || place.contains(&provider.as_str()), "{place:?}");
        }
        assert!(!orders.stop(project(1), &a), "not met yet");
        orders.note_met(&a, &hosts);
        assert!(orders.stop(project(1), &a) && !orders.stop(project(2), &a) && !orders.stop(project(1), &domain("b.example")));
        orders.note_left(&a);
        assert!(!orders.stop(project(1), &a));
        assert!(orders.learn(vec![at(Some(project(1)), &hosts)], false), "a pause ended, and a domain left");
        orders.note_met(&a, &hosts);
        orders.learn(Vec::new(), false);
        orders.learn(vec![at(Some(project(1)), &hosts)], false);
        assert!(!orders.stop(project(1), &a), "what was met during another pause is not known any more");
    }
}
