//! TLS for SMTP sessions: the client's side towards any MX host, and a self-signed server's side for the lab.
//!
//! Answers: the configurations, and one line that says what a session got (RFC 3207, RFC 7435, RFC 8446).
//! Does not: authenticate MX hosts; without DANE or MTA-STS their names come from an unsigned DNS, so a check would prove nothing
//! (RFC 7672 1.3). A passive listener is kept out, an active one is not.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{ClientConfig, CommonState, DigitallySignedStruct, ServerConfig, SignatureScheme};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};

/// Hosts whose session tickets are kept.
const RESUMABLE_HOSTS: usize = 4096;

/// A server certificate cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The name cannot stand in a certificate.
    #[error("cannot make a certificate: {0}")]
    Certificate(String),
    /// rustls refused the certificate or key.
    #[error("cannot use the certificate: {0}")]
    Rustls(#[from] rustls::Error),
}

/// How we speak TLS as a client. Shared by all sessions, and their tickets with it.
pub type ClientTls = Arc<ClientConfig>;

/// TLS 1.2 or later with whatever certificate the host shows; sessions are resumed. Make one and share it.
#[must_use]
#[expect(clippy::expect_used, reason = "fails only if the compiled-in provider lacked every cipher suite")]
pub fn opportunistic() -> ClientTls {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Arc::new(AnyCertificate { provider: Arc::clone(&provider) });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has cipher suites of TLS 1.2 and 1.3")
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.resumption = Resumption::in_memory_sessions(RESUMABLE_HOSTS);
    Arc::new(config)
}

/// A server configuration with a fresh self-signed certificate for `host`.
///
/// # Errors
/// [`TlsError`] if `host` is not a name or the system has no randomness.
pub fn self_signed(host: &str) -> Result<Arc<ServerConfig>, TlsError> {
    let made = rcgen::generate_simple_self_signed(vec![host.to_owned()]).map_err(|error| TlsError::Certificate(error.to_string()))?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)?;
    // Microsoft's Outlook gives up STARTTLS when it is sent tickets.
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// What a session got, as in `TLSv1.3 TLS_AES_256_GCM_SHA384 X25519MLKEM768`; ` resumed` is added to a resumed one.
#[must_use]
pub fn facts(session: &CommonState) -> String {
    let version = session.protocol_version().and_then(|version| version.as_str()).unwrap_or("TLS").replace("TLSv1_", "TLSv1.");
    let suite = session.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()).unwrap_or("unknown");
    // rustls puts TLS13_ where the registry of cipher suites has TLS_.
    let suite = suite.replacen("TLS13_", "TLS_", 1);
    let group = session.negotiated_key_exchange_group().and_then(|group| group.name().as_str()).map_or_else(String::new, |name| format!(" {name}"));
    let resumed = if session.handshake_kind() == Some(rustls::HandshakeKind::Resumed) { " resumed" } else { "" };
    format!("{version} {suite}{group}{resumed}")
}

/// Takes any certificate, even one that cannot be parsed: old hosts show such, and clear text would be the only other way.
#[derive(Debug)]
struct AnyCertificate {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(&self, _: &[u8], _: &CertificateDer<'_>, _: &DigitallySignedStruct) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(&self, _: &[u8], _: &CertificateDer<'_>, _: &DigitallySignedStruct) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shakes hands in memory and says what both sides got.
    fn shake(client: &Arc<ClientConfig>, server: &Arc<ServerConfig>, name: &str) -> Result<String, rustls::Error> {
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        let mut client = rustls::ClientConnection::new(Arc::clone(client), name)?;
        let mut server = rustls::ServerConnection::new(Arc::clone(server))?;
        while client.is_handshaking() || server.is_handshaking() {
            let mut wire = Vec::new();
            client.write_tls(&mut wire).expect("memory");
            server.read_tls(&mut wire.as_slice()).expect("memory");
            server.process_new_packets()?;
            wire.clear();
            server.write_tls(&mut wire).expect("memory");
            client.read_tls(&mut wire.as_slice()).expect("memory");
            client.process_new_packets()?;
        }
        Ok(facts(&client))
    }

    #[test]
    fn any_certificate_will_do_and_the_key_exchange_outlives_quantum_computers() {
        let server = self_signed("other.example").expect("a certificate");
        let found = shake(&opportunistic(), &server, "mx.example").expect("a handshake");
        assert_eq!(found, "TLSv1.3 TLS_AES_256_GCM_SHA384 X25519MLKEM768");
    }

    #[test]
    fn sessions_are_resumed_where_the_server_lets_them() {
        let server = self_signed("mx.example").expect("a certificate");
        let mut old = ServerConfig::clone(&server);
        old.send_tls13_tickets = 2;
        let (client, old) = (opportunistic(), Arc::new(old));
        shake(&client, &old, "mx.example").expect("a handshake");
        assert!(shake(&client, &old, "mx.example").expect("a handshake").ends_with(" resumed"));
        assert!(!shake(&client, &old, "mx2.example").expect("a handshake").ends_with(" resumed"), "another host has tickets of its own");
        let client = opportunistic();
        shake(&client, &server, "mx.example").expect("a handshake");
        assert!(!shake(&client, &server, "mx.example").expect("a handshake").ends_with(" resumed"), "our own servers give no tickets");
    }

    #[test]
    fn a_name_that_fits_no_certificate_is_refused() {
        assert!(matches!(self_signed("bücher"), Err(TlsError::Certificate(_))));
    }
}
