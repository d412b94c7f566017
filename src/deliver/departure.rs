//! Leaving: one connection to a target, from the first of its sources that works, and what is told of it afterwards.
//!
//! Answers: the connection, the name to say in EHLO, and the facts for the record. A source that cannot be used is passed over for a
//! while, here and by `egress`. Does not: speak SMTP.

use std::net::IpAddr;
use std::sync::Arc;

use tokio::net::TcpStream;

use super::egress::{Route, Source};
use super::engine::Engine;
use super::plan::Target;
use crate::net::dial::{self, DialError};

/// What the record says about the way of an attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// The address it left from.
    pub source: Option<IpAddr>,
    /// The pool of that address.
    pub pool: Option<Arc<str>>,
    /// The smart host, `host:port`.
    pub smart_host: Option<Arc<str>>,
}

impl Way {
    /// The way as planned: nothing has left yet.
    #[must_use]
    pub fn of(route: &Route) -> Self {
        Self { source: None, pool: route.pool.clone(), smart_host: route.smart_host.as_ref().map(|host| host.label()) }
    }
}

/// A connection.
pub(super) struct Departure {
    pub(super) stream: TcpStream,
    /// Our name in EHLO.
    pub(super) ehlo_name: String,
    /// The address it left from.
    pub(super) source: Option<IpAddr>,
}

impl Engine {
    /// Connects to `target`.
    pub(super) async fn depart(&self, target: &Target, transcript: &mut Vec<String>) -> Result<Departure, DialError> {
        if target.sources.is_empty() {
            return self.leave(target, None).await;
        }
        let mut last = None;
        for source in &self.parts.egress.working_first(&target.sources, self.parts.clock.tick()) {
            match self.leave(target, Some(source)).await {
                // The source is at fault, not the target: the next one may work.
                Err(error) if error.is_of_the_source() => {
                    tracing::warn!(source = %source.address, %error, "a source address cannot be used; another of its pool is tried");
                    transcript.push(format!("* from {}: {error}", source.address));
                    self.parts.egress.ails(source.address, self.parts.clock.tick());
                    last = Some(error);
                }
                other => return other,
            }
        }
        Err(last.unwrap_or_else(|| DialError::Resources("no source address".to_owned())))
    }

    async fn leave(&self, target: &Target, source: Option<&Arc<Source>>) -> Result<Departure, DialError> {
        let parts = &self.parts;
        let bind = source.map(|source| source.address);
        let limit = parts.timeouts.connect;
        let stream = match source.and_then(|source| Some((source.address, source.proxy.as_ref()?))) {
            Some((from, proxy)) => dial::connect_through(proxy, from, target.address, limit, &parts.clock).await?,
            None => dial::connect(target.address, bind, limit, &parts.clock).await?,
        };
        let ehlo_name = source.map_or_else(|| parts.hostname.clone(), |source| source.ehlo_name.clone());
        let source = bind.or_else(|| stream.local_addr().ok().map(|address| address.ip()));
        Ok(Departure { stream, ehlo_name, source })
    }
}
