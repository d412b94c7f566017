//! The DMARC record that holds for a domain, found by the tree walk (RFC 9989 4.10).
//!
//! Answers: which record counts and where it stands. Does not: judge mail, or what the record says.

use crate::model::DomainName;
use crate::net::dns::{DnsError, Resolver};

/// Questions of one tree walk.
const MAX_QUERIES: usize = 8;
/// Labels that are left of a longer name after the first question.
const MAX_LABELS: usize = 7;

/// A record that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The name it stands at, with `_dmarc.`.
    pub at: String,
    /// The record.
    pub text: String,
}

impl Policy {
    /// The value of a tag.
    #[must_use]
    pub fn tag(&self, name: &str) -> Option<&str> {
        tags(&self.text).into_iter().find(|(tag, _)| tag.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// What the tree walk found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Walk {
    /// The record that holds.
    Found(Policy),
    /// Several at the domain itself, where receivers heed none.
    Several(String, Vec<String>),
    /// None.
    Nothing,
}

/// The tags of a record with their values.
#[must_use]
pub fn tags(text: &str) -> Vec<(&str, &str)> {
    text.split(';').filter_map(|tag| tag.split_once('=')).map(|(name, value)| (name.trim(), value.trim())).collect()
}

/// RFC 9989 4.7: the version comes first, and its value is case-sensitive.
#[must_use]
pub fn is_record(text: &str) -> bool {
    tags(text.split_once(';').map_or(text, |(first, _)| first)).first() == Some(&("v", "DMARC1"))
}

/// The names that are asked, from the domain upwards, with `_dmarc.`.
#[must_use]
pub fn names(domain: &DomainName) -> Vec<String> {
    let labels: Vec<&str> = domain.as_str().split('.').collect();
    let first = if labels.len() > MAX_LABELS { labels.len() - MAX_LABELS } else { 1 };
    let starts = std::iter::once(0).chain((first..labels.len()).take(MAX_QUERIES - 1));
    starts.filter_map(|start| labels.get(start..)).map(|rest| format!("_dmarc.{}", rest.join("."))).collect()
}

/// The record that holds for a domain: its own, else that of its organisation, which is the highest one found, unless a record says by psd
/// where the organisation begins (RFC 9989 4.10.2).
///
/// # Errors
/// Why there was no answer.
pub async fn walk(resolver: &Resolver, domain: &DomainName) -> Result<Walk, String> {
    let mut found: Vec<Policy> = Vec::new();
    let mut below = String::new();
    for (place, at) in names(domain).into_iter().enumerate() {
        let texts = match resolver.txt(&at).await {
            Ok(texts) => texts,
            Err(DnsError::NoSuchName | DnsError::NoRecords) => Vec::new(),
            Err(DnsError::Temporary(why)) => return Err(why),
        };
        let records: Vec<String> = texts.into_iter().filter(|text| is_record(text)).collect();
        match (records.as_slice(), place) {
            ([text], 0) => return Ok(Walk::Found(Policy { at, text: text.clone() })),
            ([_, _, ..], 0) => return Ok(Walk::Several(at, records)),
            ([text], _) => {
                let policy = Policy { at: at.clone(), text: text.clone() };
                match policy.tag("psd").map(str::to_ascii_lowercase).as_deref() {
                    Some("n") => return Ok(Walk::Found(policy)),
                    // A registry's own record: the organisation is one label below it. Its record counts if there is one, else the registry's.
                    Some("y") => return Ok(Walk::Found(found.pop().filter(|last| last.at == below).unwrap_or(policy))),
                    _ => found.push(policy),
                }
            }
            _ => {}
        }
        below = at;
    }
    Ok(found.pop().map_or(Walk::Nothing, Walk::Found))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Clock;
    use crate::lab::zone::{Zone, ZoneFault};
    use crate::supervisor::Supervisor;

    fn name(text: &str) -> DomainName {
        DomainName::parse(text).unwrap()
    }

    #[test]
    fn the_walk_asks_at_most_eight_names_upwards() {
        assert_eq!(names(&name("a.b.example")), ["_dmarc.a.b.example", "_dmarc.b.example", "_dmarc.example"]);
        let long = names(&name("a.b.c.d.e.f.g.h.i.j.mail.example.com"));
        assert_eq!(long.len(), MAX_QUERIES);
        assert_eq!((long[1].as_str(), long[7].as_str()), ("_dmarc.g.h.i.j.mail.example.com", "_dmarc.com"), "the example of RFC 9989 4.10");
        assert_eq!(names(&name("a.b.c.d.e.f.g.h"))[1], "_dmarc.b.c.d.e.f.g.h");
    }

    #[test]
    fn the_version_comes_first() {
        for (text, is) in [
            ("v=DMARC1; p=none", true),
            ("v = DMARC1 ;p=none", true),
            ("v=DMARC1", true),
            ("v=dmarc1; p=none", false),
            ("p=none; v=DMARC1", false),
            ("v=DMARC10; p=none", false),
        ] {
            assert_eq!(is_record(text), is, "{text}");
        }
    }

    #[tokio::test]
    async fn the_record_of_the_domain_counts_else_that_of_its_organisation() {
        for (records, at) in [
            (&[("a.b.example", "p=none"), ("example", "p=reject")][..], Some("a.b.example")),
            (&[("b.example", "p=none"), ("example", "p=reject")], Some("example")),
            (&[("b.example", "p=none; psd=n"), ("example", "p=reject")], Some("b.example")),
            (&[("b.example", "p=none"), ("example", "p=reject; psd=y")], Some("b.example")),
            (&[("b.example", "p=none"), ("b.example", "p=reject"), ("example", "p=reject; psd=y")], Some("example")),
            (&[("example", "p=reject; psd=Y")], Some("example")),
            (&[("b.example", "p=none; psd=u")], Some("b.example")),
            (&[("other.example", "p=none")], None),
        ] {
            let found = walked(records, "a.b.example").await;
            let expected = at.map(|at| format!("_dmarc.{at}"));
            assert_eq!(if let Walk::Found(policy) = &found { Some(policy.at.clone()) } else { None }, expected, "{records:?}: {found:?}");
        }
        // Two labels below the registry there is no organisation.
        let found = walked(&[("a.b.example", "p=none"), ("example", "p=reject; psd=y")], "x.a.b.example").await;
        assert!(matches!(&found, Walk::Found(policy) if policy.at == "_dmarc.example"), "{found:?}");
        let found = walked(&[("a.b.example", "p=none"), ("a.b.example", "p=reject"), ("example", "p=reject")], "a.b.example").await;
        assert!(matches!(&found, Walk::Several(at, both) if at == "_dmarc.a.b.example" && both.len() == 2), "{found:?}");
    }

    async fn walked(records: &[(&str, &str)], domain: &str) -> Walk {
        let (_, resolver, supervisor) = served(records).await;
        let walk = walk(&resolver, &name(domain)).await.unwrap();
        supervisor.kill();
        walk
    }

    async fn served(records: &[(&str, &str)]) -> (Zone, Resolver, Supervisor) {
        let (clock, supervisor, zone) = (Clock::movable(), Supervisor::default(), Zone::default());
        for (at, tags) in records {
            zone.add(&format!("_dmarc.{at} TXT v=DMARC1; {tags}")).unwrap();
        }
        let server = zone.serve("127.0.0.1:0".parse().unwrap(), &supervisor, &clock).await.unwrap();
        let resolver = Resolver::of_servers(&[server.local_addr], Duration::from_secs(3)).unwrap();
        (zone, resolver, supervisor)
    }

    #[tokio::test]
    async fn an_answer_that_did_not_come_is_no_missing_record() {
        let (zone, resolver, supervisor) = served(&[("example", "p=reject")]).await;
        zone.set_fault("_dmarc.b.example", Some(ZoneFault::ServFail));
        assert!(walk(&resolver, &name("a.b.example")).await.is_err());
        supervisor.kill();
    }
}
