//! Records that say where services of a domain are and who may certify it: SRV (RFC 2782) and CAA (RFC 8659).
//!
//! Does not: choose among services, or judge certificates.

use hickory_resolver::proto::rr::{RData, RecordType};

use super::dns::{DnsError, Resolver, host_text};

/// An SRV record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Lower is tried first.
    pub priority: u16,
    /// The share among equals.
    pub weight: u16,
    /// The port.
    pub port: u16,
    /// The host: lower case, no final dot; empty: there is no such service.
    pub host: String,
}

/// A CAA record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certifier {
    /// `issue`, `issuewild`, `iodef` or another, in lower case.
    pub tag: String,
    /// For `issue`: the name of an authority with its parameters, or `;` for none.
    pub value: String,
}

impl Resolver {
    /// The SRV records of a name such as `_submissions._tcp.example.com`.
    ///
    /// # Errors
    /// [`DnsError`].
    pub async fn srv(&self, name: &str) -> Result<Vec<Service>, DnsError> {
        let pick = |data: &RData| match data {
            RData::SRV(srv) => Some(Service { priority: srv.priority, weight: srv.weight, port: srv.port, host: host_text(&srv.target) }),
            _ => None,
        };
        Ok(self.answer(name, RecordType::SRV, pick).await?.records)
    }

    /// The CAA records that hold for a name: its own, or else the nearest above it (RFC 8659 3). Empty: any authority may issue.
    ///
    /// # Errors
    /// [`DnsError::Temporary`] only: then no authority may issue either.
    pub async fn certifiers(&self, name: &str) -> Result<Vec<Certifier>, DnsError> {
        let pick = |data: &RData| match data {
            RData::CAA(caa) => Some(Certifier { tag: caa.tag.to_ascii_lowercase(), value: String::from_utf8_lossy(&caa.value).into_owned() }),
            _ => None,
        };
        let mut name = name;
        loop {
            match self.answer(name, RecordType::CAA, pick).await {
                Ok(answer) => return Ok(answer.records),
                Err(temporary @ DnsError::Temporary(_)) => return Err(temporary),
                Err(DnsError::NoSuchName | DnsError::NoRecords) => {}
            }
            match name.split_once('.') {
                Some((_, above)) if !above.is_empty() => name = above,
                _ => return Ok(Vec::new()),
            }
        }
    }
}
