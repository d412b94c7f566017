//! What an SPF record costs to evaluate (RFC 7208 4.6.4): the whole tree of its includes and its redirect, counted.
//!
//! Answers: how many terms need a look-up, which of them find nothing, and what is odd. The count is of the worst case, where nothing matches
//! before the end; a receiver may stop earlier for some addresses and not for others.
//! Does not: evaluate (see `net::authenticator`) or expand macros: a term with one is counted and not followed.

use std::collections::HashSet;

use futures_util::future::BoxFuture;

use super::context::seen;
use crate::model::DomainName;
use crate::net::dns::Resolver;

/// Records followed at most; receivers stop at 10 look-ups.
const MAX_RECORDS: usize = 30;

/// What was counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Census {
    /// Terms that need a look-up.
    pub(super) lookups: usize,
    /// Those that find nothing.
    pub(super) void: usize,
    /// The terms of the first record that need a look-up.
    pub(super) named: Vec<String>,
    /// The terms that find nothing.
    pub(super) empty: Vec<String>,
    /// Terms that end the evaluation with permerror.
    pub(super) faults: Vec<String>,
    /// Networks so wide that they are hardly yours.
    pub(super) wide: Vec<String>,
    /// A ptr term is among them.
    pub(super) has_ptr: bool,
    /// Everybody passes.
    pub(super) lets_all_pass: bool,
    /// The first record ends with `~all` or `-all`, or redirects.
    pub(super) ends_well: bool,
}

/// True for an SPF record (RFC 7208 4.5).
pub(super) fn is_spf(text: &str) -> bool {
    text.split(' ').next().is_some_and(|version| version.eq_ignore_ascii_case("v=spf1"))
}

/// Counts the terms of `record`, which stands at `name`, and of all that it includes.
///
/// # Errors
/// The DNS gave no answer somewhere.
pub(super) async fn count(resolver: &Resolver, name: &str, record: &str) -> Result<Census, String> {
    let mut walk = Walk { resolver, census: Census::default(), visited: HashSet::from([name.to_ascii_lowercase()]) };
    walk.record(name, record, Depth::First).await?;
    let last = record.split_ascii_whitespace().next_back().unwrap_or_default().to_ascii_lowercase();
    walk.census.ends_well = ["~all", "-all"].contains(&last.as_str()) || record.to_ascii_lowercase().contains(" redirect=");
    Ok(walk.census)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    First,
    Included,
}

struct Walk<'r> {
    resolver: &'r Resolver,
    census: Census,
    visited: HashSet<String>,
}

impl Walk<'_> {
    fn record<'s>(&'s mut self, name: &'s str, record: &'s str, depth: Depth) -> BoxFuture<'s, Result<(), String>> {
        Box::pin(async move {
            let has_all =
                record.split_ascii_whitespace().skip(1).any(|term| term.trim_start_matches(['+', '-', '~', '?']).eq_ignore_ascii_case("all"));
            for term in record.split_ascii_whitespace().skip(1) {
                let before = self.census.lookups;
                self.term(name, term, depth, has_all).await?;
                if depth == Depth::First && self.census.lookups > before {
                    self.census.named.push(term.to_owned());
                }
            }
            Ok(())
        })
    }

    async fn term(&mut self, name: &str, term: &str, depth: Depth, has_all: bool) -> Result<(), String> {
        if let Some((modifier, value)) = term.split_once('=').filter(|(modifier, _)| !modifier.contains([':', '/'])) {
            // With an all, a redirect is never used (RFC 7208 6.1).
            if modifier.eq_ignore_ascii_case("redirect") && !has_all {
                self.census.lookups += 1;
                self.follow(value, term, depth).await?;
            }
            return Ok(());
        }
        let mechanism = term.trim_start_matches(['+', '-', '~', '?']);
        let split = mechanism.find([':', '/']).unwrap_or(mechanism.len());
        let (kind, rest) = mechanism.split_at(split);
        let target = rest.strip_prefix(':').map_or(name, |target| target.split_once('/').map_or(target, |(target, _)| target));
        match kind.to_ascii_lowercase().as_str() {
            "all" => self.census.lets_all_pass |= !term.starts_with(['-', '~', '?']) && depth == Depth::First,
            "include" => {
                self.census.lookups += 1;
                self.follow(target, term, Depth::Included).await?;
            }
            kind @ ("a" | "mx" | "exists") => {
                self.census.lookups += 1;
                self.look(kind, target, term).await?;
            }
            "ptr" => {
                self.census.lookups += 1;
                self.census.has_ptr = true;
            }
            "ip4" => self.network(rest, term, 16, 32),
            "ip6" => self.network(rest, term, 32, 128),
            _ => self.census.faults.push(format!("{term} is no term of SPF")),
        }
        Ok(())
    }

    async fn follow(&mut self, target: &str, term: &str, depth: Depth) -> Result<(), String> {
        if target.contains('%') || self.visited.len() >= MAX_RECORDS {
            return Ok(());
        }
        if !self.visited.insert(target.to_ascii_lowercase()) {
            // Twice the same costs twice the same; a circle never ends.
            return Ok(());
        }
        let texts = seen(self.resolver.txt(target).await)?;
        let records: Vec<&String> = texts.iter().filter(|text| is_spf(text)).collect();
        if texts.is_empty() {
            self.void(term);
        }
        match records.as_slice() {
            [record] => self.record(target, record, depth).await,
            [] => {
                self.census.faults.push(format!("{term} leads to no SPF record"));
                Ok(())
            }
            _ => {
                self.census.faults.push(format!("{term} leads to several SPF records"));
                Ok(())
            }
        }
    }

    async fn look(&mut self, kind: &str, target: &str, term: &str) -> Result<(), String> {
        if target.contains('%') {
            return Ok(());
        }
        let nothing = match (kind, DomainName::parse(target)) {
            ("mx", Ok(name)) => seen(self.resolver.mx(&name).await)?.is_empty(),
            (_, Ok(name)) => seen(self.resolver.addresses(name.as_str()).await)?.is_empty(),
            (_, Err(_)) => true,
        };
        if nothing {
            self.void(term);
        }
        Ok(())
    }

    fn void(&mut self, term: &str) {
        self.census.void += 1;
        self.census.empty.push(term.to_owned());
    }

    fn network(&mut self, rest: &str, term: &str, wide: u32, most: u32) {
        let network = rest.strip_prefix(':').unwrap_or_default();
        let (address, length) = network.split_once('/').map_or((network, None), |(address, length)| (address, Some(length)));
        let bits = length.map_or(Some(most), |length| length.parse::<u32>().ok().filter(|bits| *bits <= most));
        let fits = address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_ipv4() == (most == 32));
        match bits {
            Some(bits) if fits => {
                if bits < wide {
                    self.census.wide.push(term.to_owned());
                }
            }
            _ => self.census.faults.push(format!("{term} is no network")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Clock;
    use crate::lab::zone::Zone;
    use crate::supervisor::Supervisor;

    #[tokio::test]
    async fn the_whole_tree_is_counted() {
        let (clock, supervisor) = (Clock::movable(), Supervisor::default());
        let zone = Zone::parse(
            "inc.example TXT v=spf1 a:h.example mx include:deep.example ~all\ndeep.example TXT v=spf1 ip4:192.0.2.0/24 +all\nh.example A 192.0.2.1\n\
             inc.example MX 10 h.example\nround.example TXT v=spf1 include:round.example -all\nother.example TXT v=spf1 a -all",
        )
        .unwrap();
        let server = zone.serve("127.0.0.1:0".parse().unwrap(), &supervisor, &clock).await.unwrap();
        let resolver = Resolver::of_servers(&[server.local_addr], Duration::from_secs(3)).unwrap();
        let of = async |record: &str| count(&resolver, "d.example", record).await.unwrap();

        let census = of("v=spf1 include:inc.example a:none.example exists:%{i}.x.example ip4:10.0.0.0/8 ~all").await;
        assert_eq!((census.lookups, census.void), (6, 1), "{census:?}");
        assert_eq!(
            (census.empty.as_slice(), census.wide.as_slice()),
            (["a:none.example".to_owned()].as_slice(), ["ip4:10.0.0.0/8".to_owned()].as_slice())
        );
        assert!(census.ends_well && !census.lets_all_pass && !census.has_ptr, "an include's all is not ours: {census:?}");
        assert_eq!(census.named, ["include:inc.example", "a:none.example", "exists:%{i}.x.example"]);

        assert_eq!(of("v=spf1 include:round.example include:round.example -all").await.lookups, 3, "a circle ends");
        let redirected = of("v=spf1 redirect=other.example").await;
        assert_eq!((redirected.lookups, redirected.void, redirected.ends_well), (2, 1, true), "{redirected:?}");
        assert_eq!(of("v=spf1 redirect=other.example -all").await.lookups, 0);
        assert!(of("v=spf1 all").await.lets_all_pass && of("v=spf1 ptr +ALL").await.has_ptr);
        for (record, fault) in [
            ("v=spf1 ip4:192.0.2.0/33 -all", "ip4:192.0.2.0/33 is no network"),
            ("v=spf1 ip6:192.0.2.1 -all", "ip6:192.0.2.1 is no network"),
            ("v=spf1 mx: includ:x.example -all", "includ:x.example is no term of SPF"),
            ("v=spf1 include:h.example -all", "include:h.example leads to no SPF record"),
        ] {
            assert_eq!(of(record).await.faults, [fault], "{record}");
        }
        supervisor.kill();
    }
}
