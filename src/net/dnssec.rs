//! What DNSSEC says of an answer: proven or not (RFC 4033 5, RFC 6840 5.7). What is bogus never arrives: it is a failure to answer.
//!
//! Answers: MX, address, CNAME and TLSA records with the word of a validating resolver on them. Every query asks for that word by the AD
//! bit; it is believed only from servers that are trusted, which unless set otherwise are those on this machine.
//! Does not: validate signatures itself (docs/decisions/0010 says why), or match certificates (see `dane`).

use std::net::IpAddr;
use std::pin::Pin;

use hickory_resolver::config::ConnectionConfig;
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::xfer::{DnsExchange, DnsHandle};
use hickory_resolver::proto::op::DnsRequest;
use hickory_resolver::proto::rr::{RData, RecordType};
use hickory_resolver::{ConnectionProvider, PoolContext};

use super::dns::{DnsError, Resolver, host_text};
use crate::config::DnssecTrust;
use crate::model::DomainName;

/// Whether an answer is proven by signatures from the root down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// Signed all the way, aliases included.
    Secure,
    /// Not signed somewhere, or nobody who is trusted looked.
    Insecure,
}

impl Security {
    /// Both proven, or not.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Secure, Self::Secure) => Self::Secure,
            _ => Self::Insecure,
        }
    }
}

/// Records with the name they were found at and their security.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<T> {
    /// One or more.
    pub records: Vec<T>,
    /// The owner of the records: the name asked for, or where its aliases lead (lower case, no final dot).
    pub name: String,
    /// Whether they are proven.
    pub security: Security,
}

/// A TLSA record as it stands (RFC 6698 2.1). Its numbers are judged by `dane`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tlsa {
    /// 0 to 3; only 2 and 3 count for SMTP.
    pub usage: u8,
    /// 0: the certificate, 1: its public key.
    pub selector: u8,
    /// 0: as it is, 1: SHA-256, 2: SHA-512.
    pub matching: u8,
    /// What it is compared with.
    pub data: Vec<u8>,
}

impl Resolver {
    /// As [`Resolver::mx`], with the security of the record set.
    ///
    /// # Errors
    /// [`DnsError`].
    pub async fn mx_answer(&self, domain: &DomainName) -> Result<Answer<(u16, String)>, DnsError> {
        let pick = |data: &RData| match data {
            RData::MX(mx) => Some((mx.preference, host_text(&mx.exchange))),
            _ => None,
        };
        self.answer(domain.as_str(), RecordType::MX, pick).await
    }

    /// As [`Resolver::addresses`] for a name, with the name at the end of its aliases. Secure if everything that was found is.
    ///
    /// # Errors
    /// As [`Resolver::addresses`].
    pub async fn address_answer(&self, host: &str) -> Result<Answer<IpAddr>, DnsError> {
        let four = self.answer(host, RecordType::A, |data| match data {
            RData::A(address) => Some(IpAddr::V4(address.0)),
            _ => None,
        });
        let six = self.answer(host, RecordType::AAAA, |data| match data {
            RData::AAAA(address) => Some(IpAddr::V6(address.0)),
            _ => None,
        });
        match tokio::join!(four, six) {
            (Ok(mut four), Ok(six)) => {
                four.records.extend(six.records);
                four.security = four.security.and(six.security);
                Ok(four)
            }
            (Ok(found), Err(_)) | (Err(_), Ok(found)) => Ok(found),
            (Err(temporary @ DnsError::Temporary(_)), Err(_)) | (Err(_), Err(temporary @ DnsError::Temporary(_))) => Err(temporary),
            (Err(DnsError::NoSuchName), Err(DnsError::NoSuchName)) => Err(DnsError::NoSuchName),
            (Err(_), Err(_)) => Err(DnsError::NoRecords),
        }
    }

    /// What a name is an alias of, and whether the alias itself is proven, wherever it leads.
    ///
    /// # Errors
    /// [`DnsError`].
    pub async fn cname_answer(&self, name: &str) -> Result<Answer<String>, DnsError> {
        let pick = |data: &RData| match data {
            RData::CNAME(cname) => Some(host_text(&cname.0)),
            _ => None,
        };
        self.answer(name, RecordType::CNAME, pick).await
    }

    /// The TLSA records of a name such as `_25._tcp.mx.example.com`.
    ///
    /// # Errors
    /// [`DnsError`]; [`DnsError::Temporary`] is also what a forged answer ends as.
    pub async fn tlsa(&self, name: &str) -> Result<Answer<Tlsa>, DnsError> {
        let pick = |data: &RData| match data {
            RData::TLSA(tlsa) => Some(Tlsa {
                usage: tlsa.cert_usage.into(),
                selector: tlsa.selector.into(),
                matching: tlsa.matching.into(),
                data: tlsa.cert_data.clone(),
            }),
            _ => None,
        };
        self.answer(name, RecordType::TLSA, pick).await
    }

    /// True if the trusted resolver proves the records of the root now: then it validates, and DANE can work.
    pub async fn is_validating(&self) -> bool {
        let root = self.answer(".", RecordType::SOA, |data| matches!(data, RData::SOA(_)).then_some(())).await;
        root.is_ok_and(|answer| answer.security == Security::Secure)
    }
}

/// True if what servers at these addresses say of DNSSEC is believed.
pub(super) fn is_trusted(trust: DnssecTrust, mut servers: impl Iterator<Item = IpAddr>) -> bool {
    match trust {
        DnssecTrust::Off => false,
        DnssecTrust::Trust => true,
        // Nobody between us and them can set the bit.
        DnssecTrust::Auto => servers.all(|server| server.is_loopback()),
    }
}

/// Connections on which every query asks, by the AD bit, whether the answer is proven (RFC 6840 5.7).
#[derive(Clone, Default)]
pub(super) struct Asking(TokioRuntimeProvider);

/// One such connection.
#[derive(Clone)]
pub(super) struct AskingConnection(DnsExchange<TokioRuntimeProvider>);

impl ConnectionProvider for Asking {
    type Conn = AskingConnection;
    type FutureConn = Pin<Box<dyn Future<Output = Result<AskingConnection, NetError>> + Send>>;
    type RuntimeProvider = TokioRuntimeProvider;

    fn new_connection(&self, ip: IpAddr, config: &ConnectionConfig, context: &PoolContext) -> Result<Self::FutureConn, NetError> {
        let connecting = self.0.new_connection(ip, config, context)?;
        Ok(Box::pin(async move { Ok(AskingConnection(connecting.await?)) }))
    }

    fn runtime_provider(&self) -> &TokioRuntimeProvider {
        &self.0
    }
}

impl DnsHandle for AskingConnection {
    type Response = <DnsExchange<TokioRuntimeProvider> as DnsHandle>::Response;
    type Runtime = TokioRuntimeProvider;

    fn send(&self, mut request: DnsRequest) -> Self::Response {
        request.metadata.authentic_data = true;
        self.0.send(request)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Clock;
    use crate::config;
    use crate::lab::zone::Zone;
    use crate::supervisor::Supervisor;

    const TEXT: &str = "signed.example MX 10 mx.signed.example\nmx.signed.example A 192.0.2.1\n_25._tcp.mx.signed.example TLSA 3 1 1 00ff\nplain.example MX 10 mx.signed.example\nalias.signed.example CNAME mx.signed.example\nout.signed.example CNAME mx.plain.example\nmx.plain.example A 192.0.2.2\nin.plain.example CNAME mx.signed.example\n. SOA a.root.example b.root.example";

    async fn resolver(trust: DnssecTrust) -> (Resolver, Supervisor) {
        let (clock, supervisor) = (Clock::movable(), Supervisor::default());
        let zone = Zone::parse(TEXT).expect("a zone");
        zone.sign("signed.example");
        zone.sign(".");
        let server = zone.serve("127.0.0.1:0".parse().expect("an address"), &supervisor, &clock).await.expect("a server");
        let config = config::Dns { servers: vec![server.local_addr], timeout_seconds: 5, dnssec: trust };
        (Resolver::new(&config).expect("a resolver"), supervisor)
    }

    fn domain(text: &str) -> DomainName {
        DomainName::parse(text).expect("a domain")
    }

    #[tokio::test]
    async fn what_a_validating_resolver_proves_is_told_apart() {
        let (resolver, supervisor) = resolver(DnssecTrust::Auto).await;
        // The second time from the cache.
        for _ in 0..2 {
            assert_eq!(resolver.mx_answer(&domain("signed.example")).await.expect("records").security, Security::Secure);
            assert_eq!(resolver.mx_answer(&domain("plain.example")).await.expect("records").security, Security::Insecure);
        }
        let tlsa = resolver.tlsa("_25._tcp.mx.signed.example").await.expect("records");
        assert_eq!(tlsa.security, Security::Secure);
        assert_eq!(tlsa.records, [Tlsa { usage: 3, selector: 1, matching: 1, data: vec![0, 0xff] }]);
        assert!(resolver.is_validating().await);
        supervisor.drain();
    }

    #[tokio::test]
    async fn an_alias_is_proven_as_far_as_all_of_it_is() {
        let (resolver, supervisor) = resolver(DnssecTrust::Auto).await;
        for (host, name, security) in [
            ("mx.signed.example", "mx.signed.example", Security::Secure),
            ("alias.signed.example", "mx.signed.example", Security::Secure),
            ("out.signed.example", "mx.plain.example", Security::Insecure),
            ("in.plain.example", "mx.signed.example", Security::Insecure),
        ] {
            let answer = resolver.address_answer(host).await.expect("records");
            assert_eq!((answer.name.as_str(), answer.security), (name, security), "{host}");
        }
        assert_eq!(resolver.cname_answer("out.signed.example").await.expect("an alias").security, Security::Secure, "the alias itself is signed");
        supervisor.drain();
    }

    #[tokio::test]
    async fn a_resolver_that_is_not_trusted_proves_nothing() {
        let (resolver, supervisor) = resolver(DnssecTrust::Off).await;
        assert_eq!(resolver.mx_answer(&domain("signed.example")).await.expect("records").security, Security::Insecure);
        assert!(!resolver.is_validating().await);
        supervisor.drain();
        let addresses = |list: &[&str]| list.iter().map(|text| text.parse().expect("an address")).collect::<Vec<IpAddr>>();
        for (trust, servers, trusted) in [
            (DnssecTrust::Auto, addresses(&["127.0.0.53", "::1"]), true),
            (DnssecTrust::Auto, addresses(&["127.0.0.1", "192.0.2.1"]), false),
            (DnssecTrust::Trust, addresses(&["192.0.2.1"]), true),
            (DnssecTrust::Off, addresses(&["127.0.0.1"]), false),
        ] {
            assert_eq!(is_trusted(trust, servers.clone().into_iter()), trusted, "{trust:?} {servers:?}");
        }
    }

    #[tokio::test]
    async fn a_failure_to_answer_is_no_absence() {
        let (clock, supervisor) = (Clock::movable(), Supervisor::default());
        let zone = Zone::parse(TEXT).expect("a zone");
        zone.set_fault("_25._tcp.mx.signed.example", Some(crate::lab::zone::ZoneFault::ServFail));
        let server = zone.serve("127.0.0.1:0".parse().expect("an address"), &supervisor, &clock).await.expect("a server");
        let resolver = Resolver::of_servers(&[server.local_addr], Duration::from_secs(2)).expect("a resolver");
        assert!(matches!(resolver.tlsa("_25._tcp.mx.signed.example").await, Err(DnsError::Temporary(_))));
        assert_eq!(resolver.tlsa("_25._tcp.mx.plain.example").await, Err(DnsError::NoSuchName));
        supervisor.drain();
    }
}
