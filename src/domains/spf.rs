//! The SPF terms that let this server send (RFC 7208 5), and whether a record has them.
//!
//! Answers: what to put into the record, and whether what stands there lets all our addresses pass.
//! Does not: follow `include` and `redirect`: what they lead to is somebody else's and may change unseen.

use std::net::IpAddr;

use crate::model::DomainName;

/// From where our mail comes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Senders {
    /// Our host name.
    pub hostname: Option<DomainName>,
    /// The addresses mail is sent from (`delivery.egress`); empty: those of the host name.
    pub egress: Vec<IpAddr>,
}

impl Senders {
    /// The terms that let all of them pass; none without a host name.
    #[must_use]
    pub fn terms(&self) -> Option<String> {
        let host = host_term(self.hostname.as_ref()?);
        Some(std::iter::once(host).chain(self.address_terms()).collect::<Vec<_>>().join(" "))
    }

    /// The terms that let the addresses of `egress` pass, each once.
    #[must_use]
    pub fn address_terms(&self) -> Vec<String> {
        let mut terms = Vec::new();
        for address in &self.egress {
            let term = match address {
                IpAddr::V4(four) => format!("ip4:{four}"),
                IpAddr::V6(six) => format!("ip6:{six}"),
            };
            if !terms.contains(&term) {
                terms.push(term);
            }
        }
        terms
    }

    /// `record` with those of our terms that it lacks, before the term that ends it; none without a host name. A term behind `all` counts for
    /// nothing (RFC 7208 5.1), so one of ours that stands there is taken to the front.
    #[must_use]
    pub fn merged(&self, record: &str) -> Option<String> {
        let ours = self.terms()?;
        let is = |known: &str, term: &str| positive(known).eq_ignore_ascii_case(term);
        let there: Vec<&str> = record.split_ascii_whitespace().collect();
        let end = there.iter().position(|term| unqualified(term).eq_ignore_ascii_case("all")).unwrap_or(there.len());
        let (heeded, ignored) = there.split_at(end);
        let lacking = ours.split(' ').filter(|term| !heeded.iter().any(|known| is(known, term)));
        let place = heeded.iter().position(|term| term.to_ascii_lowercase().starts_with("redirect=")).unwrap_or(end);
        let (before, after) = heeded.split_at(place);
        let rest = ignored.iter().copied().filter(|known| !ours.split(' ').any(|term| is(known, term)));
        Some(before.iter().copied().chain(lacking).chain(after.iter().copied()).chain(rest).collect::<Vec<_>>().join(" "))
    }

    /// True if `record` lets all of them pass before an `all` ends it (RFC 7208 4.6.2). `host_addresses` are those of the host name now:
    /// a term that names it covers them.
    #[must_use]
    pub fn all_pass(&self, record: &str, host_addresses: &[IpAddr]) -> bool {
        let terms: Vec<&str> = record.split(' ').skip(1).take_while(|term| !unqualified(term).eq_ignore_ascii_case("all")).map(positive).collect();
        let names_host = self.hostname.as_ref().is_some_and(|host| terms.iter().any(|term| term.eq_ignore_ascii_case(&host_term(host))));
        if self.egress.is_empty() {
            return names_host;
        }
        let passes = |address: &IpAddr| names_host && host_addresses.contains(address) || terms.iter().any(|term| covers(term, *address));
        self.egress.iter().all(passes)
    }
}

fn host_term(hostname: &DomainName) -> String {
    format!("a:{hostname}")
}

fn unqualified(term: &str) -> &str {
    term.strip_prefix(['+', '-', '~', '?']).unwrap_or(term)
}

/// The mechanism, if it lets pass; what keeps its qualifier matches nothing.
fn positive(term: &str) -> &str {
    term.strip_prefix('+').unwrap_or(term)
}

/// True if the term is a network that holds the address.
fn covers(term: &str, address: IpAddr) -> bool {
    let Some((kind, network)) = term.split_once(':') else { return false };
    let (network, length) = network.split_once('/').map_or((network, None), |(network, length)| (network, Some(length)));
    match (kind.to_ascii_lowercase().as_str(), network.parse(), address) {
        ("ip4", Ok(IpAddr::V4(network)), IpAddr::V4(address)) => {
            prefix(length, 32).is_some_and(|bits| (u32::from(network) ^ u32::from(address)).leading_zeros() >= bits)
        }
        ("ip6", Ok(IpAddr::V6(network)), IpAddr::V6(address)) => {
            prefix(length, 128).is_some_and(|bits| (u128::from(network) ^ u128::from(address)).leading_zeros() >= bits)
        }
        _ => false,
    }
}

fn prefix(length: Option<&str>, whole: u32) -> Option<u32> {
    length.map_or(Some(whole), |length| length.parse().ok().filter(|bits| *bits <= whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn senders(egress: &[&str]) -> Senders {
        Senders { hostname: DomainName::parse("mail.example.net").ok(), egress: egress.iter().map(|text| text.parse().unwrap()).collect() }
    }

    #[test]
    fn the_terms_name_our_host_and_every_address_we_send_from() {
        assert_eq!(senders(&[]).terms().as_deref(), Some("a:mail.example.net"));
        let both = senders(&["192.0.2.1", "2001:db8::1", "192.0.2.1"]);
        assert_eq!(both.terms().as_deref(), Some("a:mail.example.net ip4:192.0.2.1 ip6:2001:db8::1"));
        assert_eq!(Senders { hostname: None, ..both }.terms(), None);
    }

    #[test]
    fn our_terms_go_into_the_record_that_is_there() {
        let both = senders(&["192.0.2.1"]);
        for (record, merged) in [
            ("v=spf1 include:_spf.example.org -all", "v=spf1 include:_spf.example.org a:mail.example.net ip4:192.0.2.1 -all"),
            ("v=spf1 +A:Mail.example.net ?all", "v=spf1 +A:Mail.example.net ip4:192.0.2.1 ?all"),
            ("v=spf1 mx redirect=_spf.example.org", "v=spf1 mx a:mail.example.net ip4:192.0.2.1 redirect=_spf.example.org"),
            ("v=spf1  mx", "v=spf1 mx a:mail.example.net ip4:192.0.2.1"),
            ("v=spf1 -all a:mail.example.net ip4:192.0.2.1", "v=spf1 a:mail.example.net ip4:192.0.2.1 -all"),
            ("v=spf1 ip4:192.0.2.1 ~all a:mail.example.net mx", "v=spf1 ip4:192.0.2.1 a:mail.example.net ~all mx"),
            ("v=spf1 redirect=_spf.example.org ip4:192.0.2.1", "v=spf1 a:mail.example.net redirect=_spf.example.org ip4:192.0.2.1"),
        ] {
            assert_eq!(both.merged(record).as_deref(), Some(merged), "{record}");
            assert!(both.all_pass(merged, &[]), "{merged}");
        }
        assert_eq!(Senders { hostname: None, ..both }.merged("v=spf1 -all"), None);
    }

    #[test]
    fn a_record_has_to_let_every_address_pass() {
        let both = senders(&["192.0.2.1", "2001:db8::1"]);
        for (record, passes) in [
            ("v=spf1 a:mail.example.net ip4:192.0.2.1 ip6:2001:db8::1 ~all", true),
            ("v=spf1 IP4:192.0.2.0/24 +ip6:2001:db8::/32 -all", true),
            ("v=spf1 ip4:192.0.2.1/32 ip6:2001:db8::1/128 -all", true),
            ("v=spf1 ip4:0.0.0.0/0 ip6:::/0 -all", true),
            ("v=spf1 a:mail.example.net ~all", false),
            ("v=spf1 a:mail.example.net ip4:192.0.2.1 ~all", false),
            ("v=spf1 ip4:192.0.2.1 -ip6:2001:db8::1 ~all", false),
            ("v=spf1 ip4:192.0.2.1 ~all ip6:2001:db8::1", false),
            ("v=spf1 ip4:192.0.3.0/24 ip6:2001:db8::1 ~all", false),
            ("v=spf1 ip4:192.0.2.1/33 ip6:2001:db8::1 ~all", false),
            ("v=spf1 ip6:192.0.2.1 ip4:2001:db8::1 ~all", false),
        ] {
            assert_eq!(both.all_pass(record, &[]), passes, "{record}");
        }
        let host = ["192.0.2.1".parse().unwrap()];
        assert!(both.all_pass("v=spf1 a:mail.example.net ip6:2001:db8::1 -all", &host), "the name covers the addresses it has");
        assert!(!both.all_pass("v=spf1 a:mail.example.net -all", &host));
        assert!(!both.all_pass("v=spf1 -a:mail.example.net ip6:2001:db8::1 -all", &host));
        assert!(senders(&[]).all_pass("v=spf1 a:mail.example.net -all", &[]));
        assert!(!senders(&[]).all_pass("v=spf1 ip4:192.0.2.1 -all", &[]));
    }
}
