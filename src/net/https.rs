//! Small HTTPS requests to hosts strangers name: a policy fetched, a report posted.
//!
//! Answers: status, media type and a body of bounded size, within one time limit for everything. The certificate must be valid for the
//! host; private addresses are not dialled unless that is allowed, and the address checked is the address dialled (rule C10).
//! Does not: follow redirects (RFC 8461 3.3 forbids it), keep connections, caches or cookies, or use a proxy.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::{Request, Response, header};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::certificate::{Authorities, CertificateFault, Inspector, Proof, Unproven};
use super::dial::{self, AddressPolicy};
use super::dns::Resolver;
use crate::clock::Clock;

/// Addresses of a host that are tried.
const MAX_ADDRESSES: usize = 4;
/// Of the whole time, what one address may take to connect.
const CONNECT: Duration = Duration::from_secs(10);

/// Asks HTTPS servers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct HttpsClient {
    /// DNS.
    pub resolver: Resolver,
    /// Time.
    pub clock: Clock,
    /// What may be dialled.
    pub policy: AddressPolicy,
    /// Whose certificates count.
    pub authorities: Authorities,
    /// The time limit of a whole request.
    pub limit: Duration,
}

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The media type without parameters, lower case; empty if none is told.
    pub media_type: String,
    /// The body.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpsError {
    /// No name, no address, or none that may be dialled.
    #[error("no address of {0} can be reached")]
    NoAddress(String),
    /// No connection.
    #[error("no connection: {0}")]
    Connect(String),
    /// The certificate is not good.
    #[error("{0}")]
    Certificate(CertificateFault),
    /// TLS failed otherwise.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// What came was no HTTP.
    #[error("no HTTP answer: {0}")]
    Http(String),
    /// The body goes on and on.
    #[error("the answer has more than {0} octets")]
    TooLarge(usize),
    /// It took too long.
    #[error("no answer within {} s", .0.as_secs_f32())]
    TimedOut(Duration),
}

impl HttpsClient {
    /// GET `path` of `host`, reading at most `most` octets.
    ///
    /// # Errors
    /// [`HttpsError`]. A status that is no success is an answer, not an error.
    pub async fn get(&self, host: &str, port: u16, path: &str, most: usize) -> Result<Answer, HttpsError> {
        let request = Request::get(path).body(Full::default());
        self.ask(host, port, request, most).await
    }

    /// POST to `path` of `host`.
    ///
    /// # Errors
    /// As [`HttpsClient::get`].
    pub async fn post(&self, host: &str, port: u16, path: &str, media_type: &str, body: Bytes) -> Result<Answer, HttpsError> {
        let request = Request::post(path).header(header::CONTENT_TYPE, media_type).body(Full::new(body));
        self.ask(host, port, request, 4096).await
    }

    async fn ask(&self, host: &str, port: u16, request: Result<Request<Full<Bytes>>, hyper::http::Error>, most: usize) -> Result<Answer, HttpsError> {
        let request = request.map_err(|error| HttpsError::Http(error.to_string()))?;
        let (head, body) = self.send(host, port, request, most).await?.into_parts();
        let told = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let media_type = told.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        Ok(Answer { status: head.status.as_u16(), media_type, body })
    }

    /// Sends a request whose target is a path; reads at most `most` octets of the answer.
    ///
    /// # Errors
    /// As [`HttpsClient::get`].
    pub async fn send(&self, host: &str, port: u16, mut request: Request<Full<Bytes>>, most: usize) -> Result<Response<Bytes>, HttpsError> {
        let authority = if port == 443 { host.to_owned() } else { format!("{host}:{port}") };
        let headers = request.headers_mut();
        headers.insert(header::HOST, authority.parse().map_err(|_| HttpsError::NoAddress(host.to_owned()))?);
        headers.insert(header::USER_AGENT, header::HeaderValue::from_static(concat!("Pennypost/", env!("CARGO_PKG_VERSION"))));
        headers.insert(header::CONNECTION, header::HeaderValue::from_static("close"));
        match self.clock.timeout(self.limit, self.exchange(host, port, request, most)).await {
            Ok(answer) => answer,
            Err(timed_out) => Err(HttpsError::TimedOut(timed_out.0)),
        }
    }

    async fn exchange(&self, host: &str, port: u16, request: Request<Full<Bytes>>, most: usize) -> Result<Response<Bytes>, HttpsError> {
        let stream = self.connect(host, port).await?;
        let wrong = |error: hyper::Error| HttpsError::Http(error.to_string());
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(wrong)?;
        let mut connection = Box::pin(connection);
        let asking = async { read(sender.send_request(request).await.map_err(wrong)?, most).await };
        tokio::pin!(asking);
        let mut is_over = false;
        loop {
            tokio::select! {
                biased;
                answer = &mut asking => return answer,
                // What arrived before the server closed can still be read.
                _ = &mut connection, if !is_over => is_over = true,
            }
        }
    }

    async fn connect(&self, host: &str, port: u16) -> Result<TlsStream<tokio::net::TcpStream>, HttpsError> {
        let nowhere = || HttpsError::NoAddress(host.to_owned());
        let name = ServerName::try_from(host.to_owned()).map_err(|_| nowhere())?;
        let found = self.resolver.addresses(host).await.map_err(|error| HttpsError::Connect(error.to_string()))?;
        let mut last = nowhere();
        for address in found.into_iter().filter(|address| self.policy.permits(*address)).take(MAX_ADDRESSES) {
            match dial::connect(SocketAddr::new(address, port), None, CONNECT.min(self.limit), &self.clock).await {
                Ok(stream) => return self.handshake(stream, name).await,
                Err(error) => last = HttpsError::Connect(error.to_string()),
            }
        }
        Err(last)
    }

    async fn handshake(&self, stream: tokio::net::TcpStream, name: ServerName<'static>) -> Result<TlsStream<tokio::net::TcpStream>, HttpsError> {
        let inspector = Inspector::new(Proof::Authority(self.authorities.clone()), Unproven::Refuse);
        let shaken = TlsConnector::from(Arc::clone(&inspector.config(&self.clock))).connect(name, stream).await;
        shaken.map_err(|error| match inspector.found() {
            Some(Err(fault)) => HttpsError::Certificate(fault),
            _ => HttpsError::Tls(error.to_string()),
        })
    }
}

async fn read(response: Response<Incoming>, most: usize) -> Result<Response<Bytes>, HttpsError> {
    let (head, body) = response.into_parts();
    match Limited::new(body, most).collect().await {
        Ok(body) => Ok(Response::from_parts(head, body.to_bytes())),
        Err(error) if error.is::<LengthLimitError>() => Err(HttpsError::TooLarge(most)),
        Err(error) => Err(HttpsError::Http(error.to_string())),
    }
}

#[cfg(test)]
#[path = "https_tests.rs"]
mod tests;
