//! Changes of a zone: TXT records added and removed by signed UPDATE messages (RFC 2136, RFC 8945).
//!
//! Answers: whether the zone's primary server took the change; its answer must be signed with the same key.
//! Does not: find the zone of a name, or wait until other servers have the change.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use hickory_resolver::proto::op::{Message, ResponseCode, update_message};
use hickory_resolver::proto::rr::rdata::TXT;
use hickory_resolver::proto::rr::rdata::tsig::TsigAlgorithm;
use hickory_resolver::proto::rr::{DNSClass, Name, RData, Record, RecordSet, TSigner};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::dial;
use crate::clock::Clock;
use crate::model::Secret;

/// For everything that belongs to one change.
const LIMIT: Duration = Duration::from_secs(20);
/// Seconds for which resolvers may keep the record.
const TTL: u32 = 60;
/// Seconds by which the clocks may differ (RFC 8945 10).
const FUDGE: u16 = 300;

/// Why a zone was not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpdateError {
    /// A name, or the key, is none.
    #[error("{0} is not fit for an update of the zone")]
    Unfit(String),
    /// No connection, or it broke.
    #[error("the server {0} does not answer: {1}")]
    Unreachable(SocketAddr, String),
    /// The server's answer is no, with the name of its code.
    #[error("the server {0} refuses the change: {1}")]
    Refused(SocketAddr, String),
    /// The answer does not prove to be the server's.
    #[error("the answer of {0} is not signed as it should be: {1}")]
    Unsigned(SocketAddr, String),
}

/// What is done to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is added to what is there.
    Add,
    /// It goes; others of its name stay.
    Remove,
}

/// Changes zones of one server.
#[derive(Clone)]
pub struct DnsUpdater {
    server: SocketAddr,
    signer: TSigner,
    clock: Clock,
}

impl fmt::Debug for DnsUpdater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DnsUpdater").field("server", &self.server).finish_non_exhaustive()
    }
}

impl DnsUpdater {
    /// For a server and the key that it knows as `key_name`, for hmac-sha256.
    ///
    /// # Errors
    /// [`UpdateError::Unfit`] if that is no name.
    pub fn new(server: SocketAddr, key_name: &str, key: &Secret<Vec<u8>>, clock: Clock) -> Result<Self, UpdateError> {
        let unfit = || UpdateError::Unfit("the TSIG key".to_owned());
        let signer = TSigner::new(key.expose().clone(), TsigAlgorithm::HmacSha256, absolute(key_name)?, FUDGE).map_err(|_| unfit())?;
        Ok(Self { server, signer, clock })
    }

    /// Adds or removes a TXT record of `name`, which lies in `zone`.
    ///
    /// # Errors
    /// [`UpdateError`].
    pub async fn change(&self, change: Change, zone: &str, name: &str, value: &str) -> Result<(), UpdateError> {
        let (zone, name) = (absolute(zone)?, absolute(name)?);
        if !zone.zone_of(&name) || value.len() > 255 {
            return Err(UpdateError::Unfit(name.to_ascii()));
        }
        let mut record = Record::from_rdata(name, TTL, RData::TXT(TXT::new(vec![value.to_owned()])));
        record.dns_class = DNSClass::IN;
        let records = RecordSet::from(record);
        let message = match change {
            Change::Add => update_message::append(records, zone, false, false),
            Change::Remove => update_message::delete_by_rdata(records, zone, false),
        };
        match self.clock.timeout(LIMIT, self.send(message)).await {
            Ok(done) => done,
            Err(late) => Err(UpdateError::Unreachable(self.server, late.to_string())),
        }
    }

    async fn send(&self, mut message: Message) -> Result<(), UpdateError> {
        let unfit = |error: hickory_resolver::proto::ProtoError| UpdateError::Unfit(error.to_string());
        let now = u64::try_from(self.clock.now().unix_timestamp()).unwrap_or(0);
        let verifier = message.finalize(&self.signer, now).map_err(unfit)?;
        let octets = message.to_vec().map_err(unfit)?;
        let answer = self.exchange(&octets).await.map_err(|error| UpdateError::Unreachable(self.server, error))?;
        // An error about the key itself is not signed; a success always is (RFC 8945 5.3.2).
        let told = Message::from_vec(&answer).map_err(|error| UpdateError::Unreachable(self.server, error.to_string()))?;
        if told.metadata.response_code != ResponseCode::NoError {
            return Err(UpdateError::Refused(self.server, told.metadata.response_code.to_string()));
        }
        let unsigned = |why: String| UpdateError::Unsigned(self.server, why);
        let mut verifier = verifier.ok_or_else(|| unsigned("the request was not signed".to_owned()))?;
        verifier.verify(&answer).map_err(|error| unsigned(error.to_string()))?;
        Ok(())
    }

    /// One message and its answer over TCP (RFC 1035 4.2.2).
    async fn exchange(&self, octets: &[u8]) -> Result<Vec<u8>, String> {
        let told = |error: std::io::Error| error.to_string();
        let mut stream = dial::connect(self.server, None, LIMIT, &self.clock).await.map_err(|error| error.to_string())?;
        let length = u16::try_from(octets.len()).map_err(|_| "the message is too long".to_owned())?;
        stream.write_all(&[&length.to_be_bytes(), octets].concat()).await.map_err(told)?;
        let length = stream.read_u16().await.map_err(told)?;
        let mut answer = vec![0; usize::from(length)];
        stream.read_exact(&mut answer).await.map_err(told)?;
        Ok(answer)
    }
}

fn absolute(name: &str) -> Result<Name, UpdateError> {
    let mut parsed = Name::from_ascii(name).map_err(|_| UpdateError::Unfit(format!("{name:?}")))?;
    parsed.set_fqdn(true);
    Ok(parsed)
}

#[cfg(test)]
#[path = "dns_update_tests.rs"]
mod tests;
