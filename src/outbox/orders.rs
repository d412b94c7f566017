//! What operators asked of all nodes, as this one last heard it: about a second old at most while the database answers.
//!
//! Answers: may this mail be tried now? Does not: read the database; the node's heartbeat does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::RwLock;

use crate::model::{DomainName, ProjectId};
use crate::telemetry::metrics;

/// What one pause covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Area {
    /// The project; none: all.
    pub project: Option<ProjectId>,
    /// The recipient domain; none: all.
    pub domain: Option<DomainName>,
}

impl Area {
    fn covers(&self, project: ProjectId, domain: &DomainName) -> bool {
        self.project.is_none_or(|own| own == project) && self.domain.as_ref().is_none_or(|own| own == domain)
    }
}

/// Pauses, and whether this node is drained.
#[derive(Debug, Default)]
pub struct Orders {
    areas: RwLock<Arc<[Area]>>,
    /// True if there is anything to ask: spares the lock otherwise.
    any: AtomicBool,
    drained: AtomicBool,
}

impl Orders {
    /// True if mail of a project to a domain is not to be tried now by this node.
    #[must_use]
    pub fn stop(&self, project: ProjectId, domain: &DomainName) -> bool {
        self.any() && (self.is_drained() || self.areas.read().iter().any(|area| area.covers(project, domain)))
    }

    /// True if there is any order.
    #[must_use]
    pub fn any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    /// True if this node is to claim nothing.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.drained.load(Ordering::Acquire)
    }

    /// Takes over what the database says. Answers true if a pause ended.
    pub fn learn(&self, areas: Vec<Area>, drained: bool) -> bool {
        metrics::orders(areas.len(), drained);
        if self.drained.swap(drained, Ordering::AcqRel) != drained {
            tracing::info!(drained, "an operator changed whether this node takes work");
        }
        let before = std::mem::replace(&mut *self.areas.write(), areas.into());
        let after = Arc::clone(&self.areas.read());
        self.any.store(drained || !after.is_empty(), Ordering::Release);
        before.iter().any(|area| !after.contains(area))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_covers_its_project_and_domain_only_and_a_drain_everything() {
        let project = |number| ProjectId::from_uuid(uuid::Uuid::from_u128(number));
        let domain = |name: &str| DomainName::parse(name).unwrap();
        let orders = Orders::default();
        let area = |project, name: Option<&str>| Area { project, domain: name.map(domain) };
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
        }
        assert!(orders.learn(vec![area(Some(project(2)), None)], true), "a pause ended");
        assert!(orders.is_drained() && orders.stop(project(3), &domain("c.example")));
        assert!(!orders.learn(vec![area(Some(project(2)), None), area(None, Some("b.example"))], false), "none ended");
        assert!(orders.any() && !orders.is_drained());
        assert!(orders.learn(Vec::new(), false) && !orders.any());
    }
}
