//! One POST to a URL that strangers gave.
//!
//! Answers: the status, when to come again, and the first octets of what was said, within one time limit for everything. The name is looked up
//! once, each address that it has is judged, and the address judged is the address dialled (rule C10): a name that leads anywhere private is
//! not posted to at all. Within TLS the certificate must be valid for the host.
//! Does not: follow redirects, read an answer to its end, keep connections or cookies, or use a proxy.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::certificate::{Authorities, Inspector, Proof, Unproven};
use super::dial;
use super::dns::Resolver;
use super::web_url::{Host, Url, UrlPolicy};
use crate::clock::Clock;

/// Octets of an answer that are kept; the rest is not read.
pub const KEPT_OCTETS: usize = 1024;
/// Addresses of a host that are tried.
const MAX_ADDRESSES: usize = 4;
/// Of the whole time, what one address may take to connect.
const CONNECT: Duration = Duration::from_secs(5);
/// What the body of an answer may take once its status is known.
const BODY: Duration = Duration::from_secs(2);
/// A wait that a server asks for is heeded up to here.
const MAX_WAIT: Duration = Duration::from_hours(24);

/// Posts. Cheap to clone.
#[derive(Clone, Debug)]
pub struct WebPoster {
    /// DNS.
    pub resolver: Resolver,
    /// Time.
    pub clock: Clock,
    /// Where may be posted to.
    pub policy: UrlPolicy,
    /// Whose certificates count.
    pub authorities: Authorities,
    /// The time limit of a whole request.
    pub limit: Duration,
}

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posted {
    /// The status.
    pub status: u16,
    /// How long it wants to be left alone (RFC 9110 10.2.3).
    pub retry_after: Option<Duration>,
    /// The first octets of the body.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PostError {
    /// An address that is not posted to.
    #[error("{0} is not on the public Internet (webhooks.allow_private_addresses)")]
    Private(IpAddr),
    /// No name, no address, or nobody there.
    #[error("no connection: {0}")]
    Connect(String),
    /// TLS failed, or the certificate is not good.
    #[error("TLS: {0}")]
    Tls(String),
    /// What came was no HTTP.
    #[error("no HTTP answer: {0}")]
    Http(String),
    /// It took too long.
    #[error("no answer within {} s", .0.as_secs_f32())]
    TimedOut(Duration),
}

impl WebPoster {
    /// Posts `body` as JSON with further fields.
    ///
    /// # Errors
    /// [`PostError`]. A status that is no success is an answer, not an error.
    pub async fn post(&self, url: &Url, fields: &[(&'static str, String)], body: Bytes) -> Result<Posted, PostError> {
        let request = request(url, fields, body)?;
        match self.clock.timeout(self.limit, self.exchange(url, request)).await {
            Ok(posted) => posted,
            Err(timed_out) => Err(PostError::TimedOut(timed_out.0)),
        }
    }

    async fn exchange(&self, url: &Url, request: Request<Full<Bytes>>) -> Result<Posted, PostError> {
        let stream = self.connect(url).await?;
        if !url.is_secure {
            return self.ask(stream, request).await;
        }
        let name = match &url.host {
            Host::Name(name) => ServerName::try_from(name.as_str().to_owned()).map_err(|error| PostError::Tls(error.to_string()))?,
            Host::Address(address) => ServerName::from(*address),
        };
        let inspector = Inspector::new(Proof::Authority(self.authorities.clone()), Unproven::Refuse);
        let shaken = TlsConnector::from(Arc::clone(&inspector.config(&self.clock))).connect(name, stream).await;
        let stream = shaken.map_err(|error| match inspector.found() {
            Some(Err(fault)) => PostError::Tls(fault.to_string()),
            _ => PostError::Tls(error.to_string()),
        })?;
        self.ask(stream, request).await
    }

    /// A connection to the first address that answers.
    async fn connect(&self, url: &Url) -> Result<TcpStream, PostError> {
        let found = match &url.host {
            Host::Address(address) => vec![*address],
            Host::Name(name) => self.resolver.addresses(name.as_str()).await.map_err(|error| PostError::Connect(error.to_string()))?,
        };
        // All or none: which of them a name gives is up to whoever owns it.
        if let Some(private) = found.iter().find(|address| !self.policy.addresses.permits(**address)) {
            return Err(PostError::Private(*private));
        }
        let mut last = PostError::Connect(format!("{} has no address", url.host));
        for address in found.into_iter().take(MAX_ADDRESSES) {
            match dial::connect(SocketAddr::new(address, url.port), None, CONNECT.min(self.limit), &self.clock).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = PostError::Connect(error.to_string()),
            }
        }
        Err(last)
    }

    async fn ask(&self, stream: impl AsyncRead + AsyncWrite + Send + Unpin, request: Request<Full<Bytes>>) -> Result<Posted, PostError> {
        let wrong = |error: hyper::Error| PostError::Http(error.to_string());
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(wrong)?;
        let mut connection = Box::pin(connection);
        let asking = async { Ok(self.read(sender.send_request(request).await.map_err(wrong)?).await) };
        tokio::pin!(asking);
        let mut is_over = false;
        loop {
            tokio::select! {
                biased;
                posted = &mut asking => return posted,
                // What arrived before the server closed can still be read.
                _ = &mut connection, if !is_over => is_over = true,
            }
        }
    }

    /// Reads as much of an answer as is kept. Its status counts even if its body never ends.
    async fn read(&self, response: Response<Incoming>) -> Posted {
        let status = response.status().as_u16();
        let retry_after = response.headers().get(header::RETRY_AFTER).and_then(|value| wait(value.to_str().ok()?, self.clock.now()));
        let mut incoming = response.into_body();
        let mut body = Vec::new();
        let reading = async {
            while body.len() < KEPT_OCTETS
                && let Some(Ok(frame)) = incoming.frame().await
            {
                if let Some(data) = frame.data_ref() {
                    body.extend(data.iter().take(KEPT_OCTETS - body.len()));
                }
            }
        };
        let _ = self.clock.timeout(BODY, reading).await;
        Posted { status, retry_after, body }
    }
}

fn request(url: &Url, fields: &[(&'static str, String)], body: Bytes) -> Result<Request<Full<Bytes>>, PostError> {
    let wrong = |error: hyper::http::Error| PostError::Http(error.to_string());
    let mut request = Request::post(url.path.as_str()).body(Full::new(body)).map_err(wrong)?;
    let headers = request.headers_mut();
    let value = |text: &str| HeaderValue::from_str(text).map_err(|error| PostError::Http(error.to_string()));
    headers.insert(header::HOST, value(&url.authority())?);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static(concat!("Pennypost/", env!("CARGO_PKG_VERSION"))));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    for (name, text) in fields {
        headers.insert(HeaderName::from_static(name), value(text)?);
    }
    Ok(request)
}

/// The wait that `Retry-After` asks for: seconds, or a time (RFC 9110 5.6.7).
fn wait(value: &str, now: OffsetDateTime) -> Option<Duration> {
    let asked = match value.trim().parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => (OffsetDateTime::parse(value.trim(), &Rfc2822).ok()? - now).try_into().unwrap_or(Duration::ZERO),
    };
    Some(asked.min(MAX_WAIT))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_wait_is_seconds_or_a_time_and_bounded() {
        let now = datetime!(2026-12-01 08:00 UTC);
        for (value, seconds) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Tue, 01 Dec 2026 08:00:30 GMT", Some(30)),
            ("Tue, 01 Dec 2026 07:00:30 GMT", Some(0)),
            ("99999999999", Some(86_400)),
            ("soon", None),
            ("-1", None),
        ] {
            assert_eq!(wait(value, now).map(|wait| wait.as_secs()), seconds, "{value}");
        }
    }
}
