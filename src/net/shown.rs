//! TLS with one server, to see what it shows: is its certificate good for a name, and will it still be in some time.
//!
//! Answers: a session that goes on whatever the certificate is, and the judgement beside it.
//! Does not: speak a protocol inside.

use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::certificate::{CertificateFault, Inspector};
use crate::clock::{Clock, TimedOut};

/// A session and what was shown in it.
#[derive(Debug)]
pub struct Shown {
    /// The session.
    pub stream: TlsStream<TcpStream>,
    /// What is wrong with the certificate.
    pub certificate: Result<(), CertificateFault>,
    /// `TLSv1.3 ...`
    pub facts: String,
}

/// Shakes hands over `stream` with a server that should be `name`; `inspector` tells what it finds and refuses nothing.
///
/// # Errors
/// No TLS; the text says why.
pub async fn shake(stream: TcpStream, name: &str, inspector: Arc<Inspector>, clock: &Clock, limit: Duration) -> Result<Shown, String> {
    let server = ServerName::try_from(name.to_owned()).map_err(|_| format!("{name} is no name for a certificate"))?;
    let connector = TlsConnector::from(Arc::clone(&inspector.config(clock)));
    match clock.timeout(limit, connector.connect(server, stream)).await {
        Err(TimedOut(limit)) => Err(format!("TLS: no answer within {} s", limit.as_secs_f32())),
        Ok(Err(error)) => Err(format!("TLS failed: {error}")),
        Ok(Ok(stream)) => {
            let facts = super::tls::facts(stream.get_ref().1);
            let certificate = inspector.found().unwrap_or_else(|| Err(CertificateFault::NotTrusted("none was shown".to_owned())));
            Ok(Shown { stream, certificate, facts })
        }
    }
}
