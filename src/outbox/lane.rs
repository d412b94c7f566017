//! Lanes: what is claimed together, and in turn with others.
//!
//! Answers: the lane of a delivery. A lane is one recipient domain, project and priority, so that neither a domain with a million waiting
//! messages, nor a project with as many, nor a newsletter stands before anything else in the database; in memory `deliver::fair` goes on.
//! Two that share a number by chance share their turn, no more.

use crate::model::message::Priority;
use crate::model::{DomainName, ProjectId};

/// The lane of a delivery: a stable number (FNV-1a, 31 bits).
#[must_use]
pub fn lane_of(domain: &DomainName, project: ProjectId, priority: Priority) -> i32 {
    let urgency = priority.to_stored().to_be_bytes();
    let octets = domain.as_str().bytes().chain(project.uuid().into_bytes()).chain(urgency);
    let hash = octets.fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3));
    i32::try_from((hash ^ (hash >> 32)) & 0x7fff_ffff).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_is_one_domain_project_and_priority() {
        let [a, b] = ["a.example", "b.example"].map(|name| DomainName::parse(name).unwrap());
        let [one, two] = [1, 2].map(|number| ProjectId::from_uuid(uuid::Uuid::from_u128(number)));
        let lane = lane_of(&a, one, Priority::Normal);
        assert_eq!(lane, lane_of(&a, one, Priority::Normal));
        assert!(lane >= 0, "negative numbers are free for other uses");
        for other in [lane_of(&b, one, Priority::Normal), lane_of(&a, two, Priority::Normal), lane_of(&a, one, Priority::Bulk)] {
            assert_ne!(lane, other);
        }
    }
}
