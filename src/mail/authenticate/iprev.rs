//! Does the name that an address points back to lead to that address: forward-confirmed reverse DNS (RFC 8601 2.7.3).
//!
//! Does not: refuse a host without; it is told, and senders of bulk mail are judged by it elsewhere.

use std::net::IpAddr;

use super::records::{Family, RecordError, Records};

/// Names of one address that are looked at.
const MAX_NAMES: usize = 10;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Iprev {
    /// This name of the address leads back to it.
    Pass(String),
    /// It has names, and none leads back.
    Fail,
    /// It has no name.
    None,
    /// The DNS gave no answer.
    TempError,
}

impl Iprev {
    /// As Authentication-Results writes it. The method knows no "none": an address without a name fails by "permerror" (RFC 8601 2.7.3).
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Pass(_) => "pass",
            Self::Fail => "fail",
            Self::None => "permerror",
            Self::TempError => "temperror",
        }
    }
}

/// Looks at the names of `peer`.
pub async fn check<R: Records>(records: &R, peer: IpAddr) -> Iprev {
    let peer = peer.to_canonical();
    let names = match records.ptr(peer).await {
        Ok(names) => names,
        Err(RecordError::Temporary) => return Iprev::TempError,
        Err(_) => return Iprev::None,
    };
    let mut worst = Iprev::Fail;
    for name in names.into_iter().take(MAX_NAMES) {
        match records.addresses(&name, Family::of(peer)).await {
            Ok(found) if found.contains(&peer) => return Iprev::Pass(name),
            Err(RecordError::Temporary) => worst = Iprev::TempError,
            _ => {}
        }
    }
    worst
}
