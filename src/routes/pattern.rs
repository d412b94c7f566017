//! The addresses that a route stands for: one, or a pattern with one `*`.
//!
//! Answers: which texts are a pattern, which addresses it takes, and which of several comes first: specific before general.
//! `info@d` takes `info+anything@d` too, where nothing else names that (RFC 5233). Letters A to Z count alike in either case.
//! Does not: know domains of projects.

use std::fmt;

use crate::model::address::AddressError;
use crate::model::{DomainName, EmailAddress};

/// Addresses of one domain.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern {
    local: Local,
    domain: DomainName,
}

/// The local parts it takes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Local {
    One(String),
    Between { before: String, after: String },
}

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// More than one `*`.
    #[error("a pattern has one * at most, like sales-*@example.com or *@example.com")]
    Stars,
    /// `*` in the domain.
    #[error("the domain must be written whole; a * stands for the part before the @")]
    Domain,
    /// Without its `*` it is no address.
    #[error("{0}; write an address like info@example.com, or a pattern like sales-*@example.com or *@example.com")]
    Address(#[from] AddressError),
}

/// How well a pattern fits an address; the greatest wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fit {
    /// 2 for the address itself, 1 for the address before its `+`, 0 for a pattern.
    exact: u8,
    /// Octets that the pattern spells out.
    spelled: usize,
    /// Of those, before the `*`.
    before: usize,
}

impl Pattern {
    /// Reads `local@domain` with one `*` at most in the local part.
    ///
    /// # Errors
    /// [`PatternError`].
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let text = text.trim();
        let (local, domain) = text.rsplit_once('@').ok_or(AddressError::NoAt)?;
        if domain.contains('*') {
            return Err(PatternError::Domain);
        }
        let Some((before, after)) = local.split_once('*') else {
            let address = EmailAddress::parse(text)?;
            return Ok(Self { local: Local::One(address.local().to_ascii_lowercase()), domain: address.domain().clone() });
        };
        if after.contains('*') {
            return Err(PatternError::Stars);
        }
        // What it spells out must be able to stand in an address: with a letter for the star, it is one.
        let example = EmailAddress::parse(&format!("{before}x{after}@{domain}"))?;
        let [before, after] = [before, after].map(str::to_ascii_lowercase);
        if before.contains('"') || after.contains('"') {
            return Err(AddressError::LocalInvalid.into());
        }
        Ok(Self { local: Local::Between { before, after }, domain: example.domain().clone() })
    }

    /// Makes one of what the database keeps: [`Self::local`] and the domain.
    #[must_use]
    pub fn from_stored(local: &str, domain: DomainName) -> Self {
        let local = match local.split_once('*') {
            Some((before, after)) => Local::Between { before: before.to_owned(), after: after.to_owned() },
            None => Local::One(local.to_owned()),
        };
        Self { local, domain }
    }

    /// The local part, with its `*`.
    #[must_use]
    pub fn local(&self) -> String {
        match &self.local {
            Local::One(local) => local.clone(),
            Local::Between { before, after } => format!("{before}*{after}"),
        }
    }

    /// The domain.
    #[must_use]
    pub const fn domain(&self) -> &DomainName {
        &self.domain
    }

    /// How well it fits an address; none if it does not take it.
    #[must_use]
    pub fn fit(&self, address: &EmailAddress) -> Option<Fit> {
        if *address.domain() != self.domain {
            return None;
        }
        let whole = address.local().to_ascii_lowercase();
        let base = base(&whole);
        match &self.local {
            Local::One(local) if *local == whole => Some(Fit { exact: 2, spelled: local.len(), before: local.len() }),
            Local::One(local) if Some(local.as_str()) == base => Some(Fit { exact: 1, spelled: local.len(), before: local.len() }),
            Local::One(_) => None,
            Local::Between { before, after } => {
                let spelled = before.len() + after.len();
                let holds = |text: &str| text.len() >= spelled && text.starts_with(before.as_str()) && text.ends_with(after.as_str());
                (holds(&whole) || base.is_some_and(holds)).then_some(Fit { exact: 0, spelled, before: before.len() })
            }
        }
    }
}

/// The part before the first `+`, if there is one.
fn base(local: &str) -> Option<&str> {
    local.split_once('+').map(|(base, _)| base).filter(|base| !base.is_empty() && !base.starts_with('"'))
}

/// The pattern that takes `address`: the most specific.
#[must_use]
pub fn choose<'p, T>(patterns: impl IntoIterator<Item = (&'p Pattern, T)>, address: &EmailAddress) -> Option<T> {
    let fitting = patterns.into_iter().filter_map(|(pattern, value)| Some((pattern.fit(address)?, value)));
    fitting.max_by_key(|(fit, _)| *fit).map(|(_, value)| value)
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local(), self.domain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Pattern {
        Pattern::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn address(text: &str) -> EmailAddress {
        EmailAddress::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn the_most_specific_pattern_takes_an_address() {
        let all: Vec<Pattern> = [
            "*@d.example",
            "sales-*@d.example",
            "sales-eu-*@d.example",
            "*-team@d.example",
            "sales-*-team@d.example",
            "info@d.example",
            "info+list@d.example",
            "\"a b\"@d.example",
            "a*@d.example",
            "*z@d.example",
        ]
        .into_iter()
        .map(parse)
        .collect();
        for (to, taken) in [
            ("info@d.example", Some("info@d.example")),
            ("INFO@D.Example", Some("info@d.example")),
            ("info+news@d.example", Some("info@d.example")),
            ("info+list@d.example", Some("info+list@d.example")),
            ("info+list+more@d.example", Some("info@d.example")),
            ("sales-x@d.example", Some("sales-*@d.example")),
            ("sales-@d.example", Some("sales-*@d.example")),
            ("sales-eu-x@d.example", Some("sales-eu-*@d.example")),
            ("sales-eu-team@d.example", Some("sales-*-team@d.example")),
            ("sales-team@d.example", Some("sales-*@d.example")),
            ("red-team@d.example", Some("*-team@d.example")),
            ("red-team+x@d.example", Some("*-team@d.example")),
            ("az@d.example", Some("a*@d.example")),
            ("anything@d.example", Some("a*@d.example")),
            ("other@d.example", Some("*@d.example")),
            ("+@d.example", Some("*@d.example")),
            ("\"a b\"@d.example", Some("\"a b\"@d.example")),
            ("\"info\"@d.example", Some("info@d.example")),
            ("info@sub.d.example", None),
            ("info@e.example", None),
        ] {
            let found = choose(all.iter().map(|pattern| (pattern, pattern)), &address(to));
            assert_eq!(found.map(ToString::to_string).as_deref(), taken, "{to}");
        }
        assert_eq!(choose([(&parse("info@d.example"), ())], &address("information@d.example")), None);
        assert_eq!(choose([(&parse("ab*ba@d.example"), ())], &address("aba@d.example")), None, "both ends have their own letters");
    }

    #[test]
    fn a_pattern_reads_back_as_itself() {
        for text in
            ["info@d.example", "sales-*@d.example", "*-team@d.example", "*@d.example", "a*b@d.example", "\"a b\"@d.example", "j\u{fc}rg*@d.example"]
        {
            let pattern = parse(text);
            assert_eq!(pattern.to_string(), text);
            assert_eq!(Pattern::from_stored(&pattern.local(), pattern.domain().clone()), pattern);
        }
        assert_eq!(parse(" Info@B\u{fc}cher.example ").to_string(), "info@xn--bcher-kva.example");
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for (text, error) in [("a*b*@d.example", PatternError::Stars), ("info@*.example", PatternError::Domain), ("*", AddressError::NoAt.into())] {
            assert_eq!(Pattern::parse(text), Err(error), "{text}");
        }
        for text in
            ["", "@d.example", "a b@d.example", ".*@d.example", "*..x@d.example", "\"*\"@d.example", "*@localhost", "x@y@d.example", "*,b@d.example"]
        {
            assert!(Pattern::parse(text).is_err(), "{text}");
        }
    }
}
