//! What an authority asks for to see that a name is ours: a text at port 80 (RFC 8555 8.3), a certificate at port 443 (RFC 8737).
//!
//! Answers: the text of a token, the handshake for a name, out of what is held in memory: a stranger's request reaches no database.
//! Does not: know how the answers came here; `ops::certs` does.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::Arc;

use parking_lot::RwLock;
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs as provider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;

/// What http-01 asks for begins with this.
pub const HTTP_PATH: &str = "/.well-known/acme-challenge/";
/// The only protocol of tls-alpn-01 (RFC 8737 4).
const PROTOCOL: &[u8] = b"acme-tls/1";

/// No certificate for tls-alpn-01 can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no certificate that answers tls-alpn-01 for {0} can be made")]
pub struct AlpnError(String);

/// The answers of the moment. Clones share them.
#[derive(Clone, Default)]
pub struct Answers(Arc<RwLock<Held>>);

#[derive(Default)]
struct Held {
    texts: HashMap<String, String>,
    certificates: HashMap<String, (String, Arc<CertifiedKey>)>,
}

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = self.0.read();
        f.debug_struct("Answers").field("texts", &held.texts.len()).field("certificates", &held.certificates.len()).finish()
    }
}

impl Answers {
    /// The text for a token of http-01.
    #[must_use]
    pub fn text(&self, token: &str) -> Option<String> {
        self.0.read().texts.get(token).cloned()
    }

    /// Replaces the texts of http-01, by token.
    pub fn set_texts(&self, texts: HashMap<String, String>) {
        self.0.write().texts = texts;
    }

    /// Replaces what tls-alpn-01 is answered with: for each name SHA-256 of the key authorization, in hexadecimal digits. Makes a key for each that is new.
    ///
    /// # Errors
    /// [`AlpnError`]; what could be made is used.
    pub fn set_digests(&self, digests: &HashMap<String, String>) -> Result<(), AlpnError> {
        let mut failed = Ok(());
        let mut certificates = HashMap::new();
        for (name, digest) in digests {
            let known = self.0.read().certificates.get(name).filter(|(known, _)| known == digest).map(|(_, key)| Arc::clone(key));
            match known.map_or_else(|| certificate(name, digest), Ok) {
                Ok(key) => drop(certificates.insert(name.clone(), (digest.clone(), key))),
                Err(error) => failed = Err(error),
            }
        }
        self.0.write().certificates = certificates;
        failed
    }
}

impl ResolvesServerCert for Answers {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if !hello.alpn()?.any(|protocol| protocol == PROTOCOL) {
            return None;
        }
        let name = hello.server_name()?.to_ascii_lowercase();
        self.0.read().certificates.get(&name).map(|(_, key)| Arc::clone(key))
    }
}

/// Speaks TLS with those who ask for tls-alpn-01, and with nobody else.
#[derive(Clone)]
pub struct AlpnServer(TlsAcceptor);

impl fmt::Debug for AlpnServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AlpnServer")
    }
}

impl AlpnServer {
    /// Over the answers.
    ///
    /// # Errors
    /// The provider has no cipher suite for TLS 1.2 and 1.3.
    pub fn new(answers: Answers) -> Result<Self, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(provider::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(answers));
        config.send_tls13_tickets = 0;
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    /// Shakes hands, which is all there is to it.
    ///
    /// # Errors
    /// It was somebody else, or about a name that nothing is known of.
    pub async fn answer<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> io::Result<()> {
        self.0.accept(stream).await.map(drop)
    }
}

/// A certificate for `name` with the digest in the extension of RFC 8737 3.
fn certificate(name: &str, digest: &str) -> Result<Arc<CertifiedKey>, AlpnError> {
    let wrong = || AlpnError(name.to_owned());
    let digest = octets(digest).ok_or_else(wrong)?;
    let mut params = CertificateParams::new([name.to_owned()]).map_err(|_| wrong())?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(&digest)];
    let key = KeyPair::generate().map_err(|_| wrong())?;
    let made = params.self_signed(&key).map_err(|_| wrong())?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    // Not from_der: it looks whether the two fit, and refuses the extension, which is critical and nobody's business but the authority's.
    let key = provider::default_provider().key_provider.load_private_key(key).map_err(|_| wrong())?;
    Ok(Arc::new(CertifiedKey::new(vec![made.der().clone()], key)))
}

/// The 32 octets that 64 hexadecimal digits stand for.
fn octets(digits: &str) -> Option<[u8; 32]> {
    let octet = |place: usize| u8::from_str_radix(digits.get(2 * place..2 * place + 2)?, 16).ok();
    let octets: Vec<u8> = (0..32).map_while(octet).collect();
    if digits.len() == 64 { octets.try_into().ok() } else { None }
}

#[cfg(test)]
#[path = "acme_tests.rs"]
mod tests;
