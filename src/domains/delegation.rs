//! DKIM keys that stand in a zone of the operator's: the domain's owner publishes CNAME records once, and keys change without him.
//!
//! Answers: the selectors of such a domain and where they lead. Each kind of key has two, of which one signs while the other waits or rests
//! (RFC 6376 3.6.2.1 follows CNAMEs as any TXT look-up does). They hold a mark of this adding of the domain, so that a CNAME left from another
//! project or an earlier adding leads nowhere (rule C7).
//! Does not: publish in either zone.

use uuid::Uuid;

use crate::mail::dkim::Algorithm;
use crate::model::DomainName;

/// Characters of the mark: those that are not taken for each other.
const ALPHABET: &[u8; 32] = b"23456789abcdefghijkmnpqrstuvwxyz";
const MARK_CHARACTERS: u32 = 6;
/// Octets of a selector with its dot.
const SELECTOR_OCTETS: usize = "pp-234567-rsa-a.".len();
/// Octets of a name at most (RFC 1035 2.3.4, in text).
const MAX_NAME_OCTETS: usize = 253;

/// Where the keys of a domain stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Delegation {
    domain: DomainName,
    zone: DomainName,
    mark: String,
}

impl Delegation {
    /// That of a domain to a zone. None: a name in the zone would be too long.
    pub(super) fn new(id: Uuid, domain: &DomainName, zone: &DomainName) -> Option<Self> {
        let octets = SELECTOR_OCTETS + domain.as_str().len() + 1 + zone.as_str().len();
        (octets <= MAX_NAME_OCTETS).then(|| Self { domain: domain.clone(), zone: zone.clone(), mark: mark(id) })
    }

    /// The two selectors of a kind of key.
    pub(super) fn selectors(&self, algorithm: Algorithm) -> [String; 2] {
        let kind = match algorithm {
            Algorithm::Rsa2048 => "rsa",
            Algorithm::Ed25519 => "ed",
        };
        ["a", "b"].map(|place| format!("pp-{}-{kind}-{place}", self.mark))
    }

    /// All of them.
    pub(super) fn all_selectors(&self) -> Vec<String> {
        [Algorithm::Rsa2048, Algorithm::Ed25519].into_iter().flat_map(|algorithm| self.selectors(algorithm)).collect()
    }

    /// The selector for the next key of a kind: the one that none of `in_use` has.
    pub(super) fn free(&self, algorithm: Algorithm, in_use: &[&str]) -> String {
        let [first, second] = self.selectors(algorithm);
        if in_use.contains(&first.as_str()) { second } else { first }
    }

    /// The name in the operator's zone that a selector leads to; none for a selector of another making, whose key stands in the domain's own zone.
    pub(super) fn target(&self, selector: &str) -> Option<String> {
        self.all_selectors().iter().any(|known| known == selector).then(|| format!("{selector}.{}.{}", self.domain, self.zone))
    }
}

/// What tells this adding of a domain from all others: thirty of the random bits of its id.
fn mark(id: Uuid) -> String {
    let bits = id.as_u128();
    let character =
        |place: u32| usize::try_from(bits >> (5 * place) & 31).ok().and_then(|index| ALPHABET.get(index)).map_or('2', |octet| char::from(*octet));
    (0..MARK_CHARACTERS).map(character).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> DomainName {
        DomainName::parse(text).unwrap()
    }

    #[test]
    fn two_selectors_of_each_kind_lead_into_the_zone_and_take_turns() {
        let id = Uuid::from_u128(0x0193_a5c0_0000_7000_8000_0000_0000_0041);
        let delegation = Delegation::new(id, &name("example.com"), &name("dkim.example.net")).unwrap();
        let [first, second] = delegation.selectors(Algorithm::Rsa2048);
        assert_eq!((first.as_str(), second.as_str()), ("pp-342222-rsa-a", "pp-342222-rsa-b"));
        assert_eq!(delegation.free(Algorithm::Rsa2048, &[]), first);
        assert_eq!(delegation.free(Algorithm::Rsa2048, &[&first]), second);
        assert_eq!(delegation.free(Algorithm::Rsa2048, &[&second, "pp-342222-ed-a"]), first);
        assert_eq!(delegation.target(&second).as_deref(), Some("pp-342222-rsa-b.example.com.dkim.example.net"));
        assert_eq!(delegation.target("s2024"), None);
        let other = Delegation::new(Uuid::from_u128(id.as_u128() + 1), &name("example.com"), &name("dkim.example.net")).unwrap();
        assert!(other.all_selectors().iter().all(|selector| delegation.target(selector).is_none()), "another adding has other selectors");
    }

    #[test]
    fn a_zone_that_leaves_no_room_is_refused() {
        let long = |octets: usize| {
            let is_dot = |place: usize| place % 51 == 50 && place + 2 < octets;
            name(&(0..octets).map(|place| if is_dot(place) { '.' } else { 'a' }).collect::<String>())
        };
        let room = MAX_NAME_OCTETS - SELECTOR_OCTETS - "example.com.".len();
        assert!(Delegation::new(Uuid::nil(), &name("example.com"), &long(room)).is_some());
        assert_eq!(Delegation::new(Uuid::nil(), &name("example.com"), &long(room + 1)), None);
    }
}
