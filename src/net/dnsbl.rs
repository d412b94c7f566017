//! Lists of bad senders in the DNS, asked about an address or a domain (RFC 5782).
//!
//! Answers: listed, with codes and reason, or not listed. A list is believed only after its test entries came out right (RFC 5782 5), and never
//! through a public resolver: lists refuse those or answer them with nonsense, so that everybody or nobody would look listed.
//! Does not: choose lists, say what a listing means for mail, or keep answers beyond what the resolver keeps.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};

use hickory_resolver::proto::rr::{RData, RecordType};

use super::dns::{DnsError, Resolver};
use crate::model::DomainName;

/// Characters of a reason that are kept.
const MAX_REASON_CHARACTERS: usize = 300;
/// The address that every list of addresses holds, and one that none holds (RFC 5782 5).
const TEST_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
const CLEAN_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// The name that every list of names holds, and one that none holds (RFC 5782 5).
const TEST_NAME: &str = "test";
const CLEAN_NAME: &str = "invalid";

/// Resolvers that half the world shares.
const PUBLIC_RESOLVERS: [&str; 25] = [
    "8.8.8.8",
    "8.8.4.4",
    "2001:4860:4860::8888",
    "2001:4860:4860::8844",
    "1.1.1.1",
    "1.0.0.1",
    "1.1.1.2",
    "1.0.0.2",
    "2606:4700:4700::1111",
    "2606:4700:4700::1001",
    "9.9.9.9",
    "9.9.9.10",
    "9.9.9.11",
    "149.112.112.112",
    "2620:fe::fe",
    "2620:fe::9",
    "208.67.222.222",
    "208.67.220.220",
    "2620:119:35::35",
    "2620:119:53::53",
    "94.140.14.14",
    "94.140.15.15",
    "4.2.2.1",
    "4.2.2.2",
    "76.76.2.0",
];

/// A list, named by its zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum List {
    /// Of addresses, like `zen.spamhaus.org`.
    Addresses(DomainName),
    /// Of domains, like `dbl.spamhaus.org`.
    Domains(DomainName),
}

impl List {
    /// Its zone.
    #[must_use]
    pub const fn zone(&self) -> &DomainName {
        match self {
            Self::Addresses(zone) | Self::Domains(zone) => zone,
        }
    }
}

/// What a list is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// An address mail comes from.
    Address(IpAddr),
    /// A domain that mail names.
    Domain(DomainName),
}

/// What a list says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listing {
    /// Nothing is known against it.
    Clear,
    /// It is listed.
    Listed {
        /// The codes; what they mean the list's operator documents.
        codes: Vec<Ipv4Addr>,
        /// The list's own words, empty if it has none.
        reason: String,
    },
}

/// Why a list cannot be asked, or not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// The resolver is one of those that lists refuse.
    #[error("the resolver {0} is a public one, which lists refuse to answer")]
    PublicResolver(IpAddr),
    /// The entry that every list has is not there: the list is gone, or does not answer us.
    #[error("the list does not hold the test entry that every list has: it is gone, or refuses this resolver")]
    NoTestEntry,
    /// What no list holds is listed: somebody answers for every name.
    #[error("the list holds even what no list may: it is out of service, or something answers for every name")]
    ListsEverything,
    /// The list answered with a code that says why it does not answer.
    #[error("the list refuses to answer (code {0}); its operator's pages say why")]
    Refused(Ipv4Addr),
    /// The subject is not of the kind that is listed there.
    #[error("the list holds other things")]
    OtherKind,
    /// The DNS gave no answer.
    #[error("no answer from the DNS now: {0}")]
    Temporary(String),
}

/// The first of the resolver's servers that is a public one.
#[must_use]
pub fn public_resolver(resolver: &Resolver) -> Option<IpAddr> {
    let is_public = |address: &IpAddr| PUBLIC_RESOLVERS.contains(&address.to_canonical().to_string().as_str());
    resolver.servers().iter().map(std::net::SocketAddr::ip).find(is_public)
}

/// Whether the list answers us and means what it says. To be asked before [`look_up`] is believed; the answer holds for hours.
///
/// # Errors
/// [`Unusable`].
pub async fn probe(resolver: &Resolver, list: &List) -> Result<(), Unusable> {
    if let Some(server) = public_resolver(resolver) {
        return Err(Unusable::PublicResolver(server));
    }
    let (test, clean) = match list {
        List::Addresses(zone) => (address_name(TEST_ADDRESS, zone), address_name(CLEAN_ADDRESS, zone)),
        List::Domains(zone) => (format!("{TEST_NAME}.{zone}"), format!("{CLEAN_NAME}.{zone}")),
    };
    if codes(resolver, &test).await?.is_empty() {
        return Err(Unusable::NoTestEntry);
    }
    if codes(resolver, &clean).await?.is_empty() { Ok(()) } else { Err(Unusable::ListsEverything) }
}

/// What `list` says about `subject`. Believe it only after [`probe`].
///
/// # Errors
/// [`Unusable`].
pub async fn look_up(resolver: &Resolver, list: &List, subject: &Subject) -> Result<Listing, Unusable> {
    let name = match (list, subject) {
        (List::Addresses(zone), Subject::Address(address)) => address_name(*address, zone),
        (List::Domains(zone), Subject::Domain(domain)) => format!("{domain}.{zone}"),
        _ => return Err(Unusable::OtherKind),
    };
    let codes = codes(resolver, &name).await?;
    if codes.is_empty() {
        return Ok(Listing::Clear);
    }
    // The words are a help, no more: a list may have none.
    let texts = resolver.txt(&name).await.unwrap_or_default();
    let reason = texts.join(" ").chars().filter(|character| !character.is_control()).take(MAX_REASON_CHARACTERS).collect();
    Ok(Listing::Listed { codes, reason })
}

/// The codes at a name; none if it has no entry.
async fn codes(resolver: &Resolver, name: &str) -> Result<Vec<Ipv4Addr>, Unusable> {
    let pick = |data: &RData| match data {
        RData::A(address) => Some(address.0),
        _ => None,
    };
    let found = match resolver.answer(name, RecordType::A, pick).await {
        Ok(answer) => answer.records,
        Err(DnsError::NoSuchName | DnsError::NoRecords) => return Ok(Vec::new()),
        Err(DnsError::Temporary(reason)) => return Err(Unusable::Temporary(reason)),
    };
    // 127.255.255.0/24 is how large lists say "I do not answer you".
    if let Some(code) = found.iter().find(|code| matches!(code.octets(), [127, 255, 255, _])) {
        return Err(Unusable::Refused(*code));
    }
    // An entry is 127.x.x.x (RFC 5782 2.1); anything else is an advertisement for a name that does not exist.
    if found.iter().any(|code| !code.is_loopback()) {
        return Err(Unusable::ListsEverything);
    }
    Ok(found)
}

/// The name of an address in a list: its octets, or for IPv6 its half octets, backwards (RFC 5782 2.1 and 2.4).
fn address_name(address: IpAddr, zone: &DomainName) -> String {
    let mut name = String::new();
    // Writing to a String cannot fail.
    match address.to_canonical() {
        IpAddr::V4(four) => {
            for octet in four.octets().iter().rev() {
                let _ = write!(name, "{octet}.");
            }
        }
        IpAddr::V6(six) => {
            for octet in six.octets().iter().rev() {
                let _ = write!(name, "{:x}.{:x}.", octet & 15, octet >> 4);
            }
        }
    }
    name.push_str(zone.as_str());
    name
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Clock;
    use crate::lab::zone::{Zone, ZoneFault};
    use crate::supervisor::Supervisor;

    const SOUND: &str = "2.0.0.127.bl.example A 127.0.0.2\ntest.names.example A 127.0.1.2";

    async fn world(text: &str) -> (Zone, Resolver, Supervisor) {
        let (clock, supervisor) = (Clock::movable(), Supervisor::default());
        let zone = Zone::parse(text).expect("a zone");
        let server = zone.serve("127.0.0.1:0".parse().expect("an address"), &supervisor, &clock).await.expect("a server");
        let resolver = Resolver::of_servers(&[server.local_addr], Duration::from_secs(3)).expect("a resolver");
        (zone, resolver, supervisor)
    }

    fn name(text: &str) -> DomainName {
        DomainName::parse(text).expect("a name")
    }

    fn addresses() -> List {
        List::Addresses(name("bl.example"))
    }

    fn domains() -> List {
        List::Domains(name("names.example"))
    }

    #[test]
    fn an_address_is_written_backwards() {
        assert_eq!(address_name("192.0.2.99".parse().expect("an address"), &name("bl.example")), "99.2.0.192.bl.example");
        assert_eq!(
            address_name("2001:db8:1:2:3:4:567:89ab".parse().expect("an address"), &name("b.example")),
            "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.b.example",
            "the example of RFC 5782 2.4"
        );
    }

    #[tokio::test]
    async fn what_is_listed_is_told_with_code_and_reason() {
        let text = "9.2.0.192.bl.example A 127.0.0.4\n9.2.0.192.bl.example TXT \"sends spam\"\nbad.example.names.example A 127.0.1.2";
        let (_zone, resolver, supervisor) = world(&format!("{SOUND}\n{text}")).await;
        for list in [addresses(), domains()] {
            assert_eq!(probe(&resolver, &list).await, Ok(()), "{list:?}");
        }
        let about = async |address: &str| look_up(&resolver, &addresses(), &Subject::Address(address.parse().expect("an address"))).await;
        let listed = |code: [u8; 4], reason: &str| Ok(Listing::Listed { codes: vec![Ipv4Addr::from(code)], reason: reason.to_owned() });
        assert_eq!(about("192.0.2.9").await, listed([127, 0, 0, 4], "sends spam"));
        assert_eq!(about("::ffff:192.0.2.9").await, listed([127, 0, 0, 4], "sends spam"));
        assert_eq!(about("192.0.2.8").await, Ok(Listing::Clear));
        assert_eq!(about("2001:db8::1").await, Ok(Listing::Clear));
        let about = async |domain: &str| look_up(&resolver, &domains(), &Subject::Domain(name(domain))).await;
        assert_eq!(about("bad.example").await, listed([127, 0, 1, 2], ""));
        assert_eq!(about("good.example").await, Ok(Listing::Clear));
        assert_eq!(look_up(&resolver, &addresses(), &Subject::Domain(name("bad.example"))).await, Err(Unusable::OtherKind));
        supervisor.kill();
    }

    #[tokio::test]
    async fn a_list_that_fails_its_test_is_not_believed() {
        for (text, list, unusable) in [
            ("x.example A 192.0.2.1", addresses(), Unusable::NoTestEntry),
            ("*.bl.example A 127.0.0.2", addresses(), Unusable::ListsEverything),
            ("*.names.example A 127.0.1.2", domains(), Unusable::ListsEverything),
            ("2.0.0.127.bl.example A 198.51.100.7", addresses(), Unusable::ListsEverything),
            ("2.0.0.127.bl.example A 127.255.255.254", addresses(), Unusable::Refused(Ipv4Addr::new(127, 255, 255, 254))),
        ] {
            let (_zone, resolver, supervisor) = world(text).await;
            assert_eq!(probe(&resolver, &list).await, Err(unusable), "{text}");
            supervisor.kill();
        }
        let (zone, resolver, supervisor) = world(SOUND).await;
        zone.set_fault("2.0.0.127.bl.example", Some(ZoneFault::ServFail));
        assert!(matches!(probe(&resolver, &addresses()).await, Err(Unusable::Temporary(_))));
        supervisor.kill();
    }

    #[tokio::test]
    async fn nobody_is_asked_through_a_public_resolver() {
        for text in ["1.1.1.1:53", "[2001:4860:4860::8888]:53", "[::ffff:8.8.8.8]:53"] {
            let server: std::net::SocketAddr = text.parse().expect("an address");
            let resolver = Resolver::of_servers(&["127.0.0.1:53".parse().expect("an address"), server], Duration::from_secs(1)).expect("a resolver");
            assert_eq!(probe(&resolver, &addresses()).await, Err(Unusable::PublicResolver(server.ip())), "{text}");
        }
    }
}
