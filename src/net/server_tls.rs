//! TLS as a server speaks it: certificates from files and from elsewhere, chosen by the name that the client asks for, swapped while sessions run.
//!
//! Answers: a handshake with the right certificate. TLS 1.2 and later, no TLS 1.3 tickets (Outlook gives up STARTTLS on them), and no other protocol than
//! SMTP where the client names one (ALPN), so that nobody can be led here who meant to speak something else (RFC 7301).
//! Does not: obtain certificates.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest;
use parking_lot::RwLock;
use rustls::ServerConfig;
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, aws_lc_rs as provider};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::tls;
use super::x509::{self, Facts};

/// What a client may name as the protocol inside TLS.
const PROTOCOLS: [&[u8]; 2] = [b"smtp", b"esmtp"];

/// What the files of a certificate and its key hold.
type Octets = (Vec<u8>, Vec<u8>);

/// A certificate with its chain, and its key: two PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate first, then those it is signed with.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ServerTlsError {
    /// A file.
    #[error("{path}: {reason}")]
    File {
        /// Which.
        path: String,
        /// Why.
        reason: String,
    },
    /// A certificate that is in no file.
    #[error("the certificate cannot be used: {0}")]
    Unfit(String),
    /// None could be made.
    #[error("a certificate for {0} cannot be made")]
    SelfSigned(String),
    /// TLS itself.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
}

/// What a look at the files found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// What they held before.
    Same,
    /// Something new, in use from now on.
    Swapped,
}

/// A certificate with its chain and key that comes from no file.
#[derive(Clone, Debug)]
pub struct Kept(Arc<CertifiedKey>);

impl Kept {
    /// Takes a certificate with its chain, and its key, both in PEM form.
    ///
    /// # Errors
    /// [`ServerTlsError::Unfit`] says which of them is not fit, or that they do not belong together.
    pub fn parse(chain: &[u8], key: &[u8]) -> Result<Self, ServerTlsError> {
        let unfit = |reason: String| ServerTlsError::Unfit(reason);
        certified(chain, key, &provider::default_provider()).map(Self).map_err(|fault| match fault {
            Fault::Chain(reason) => unfit(format!("the certificate: {reason}")),
            Fault::Key(reason) => unfit(format!("the key: {reason}")),
            Fault::Pair(reason) => unfit(format!("the key is not the certificate's: {reason}")),
        })
    }
}

/// The server's side of TLS. Clones share the certificates.
#[derive(Clone)]
pub struct ServerTls {
    acceptor: TlsAcceptor,
    certificates: Arc<Certificates>,
}

impl std::fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerTls").field("files", &self.certificates.files).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Certificates {
    files: Vec<CertificateFiles>,
    provider: Arc<CryptoProvider>,
    current: RwLock<Current>,
}

#[derive(Debug)]
struct Current {
    /// Those of the files. The first of all is for clients that name no host, or one that no certificate is for.
    keys: Vec<Arc<CertifiedKey>>,
    /// Those that are in no file, the best first.
    kept: Vec<Arc<CertifiedKey>>,
    /// Made here, shown where there is no other.
    own: Option<Arc<CertifiedKey>>,
    /// SHA-256 of all files as they were last looked at.
    seen: Vec<u8>,
}

impl ServerTls {
    /// Reads the files; without any, makes a certificate for `hostname` that nobody trusts.
    ///
    /// # Errors
    /// [`ServerTlsError`] names the file and what is wrong with it.
    pub fn load(files: Vec<CertificateFiles>, hostname: &str) -> Result<Self, ServerTlsError> {
        let provider = Arc::new(provider::default_provider());
        let current = if files.is_empty() {
            Current { keys: Vec::new(), kept: Vec::new(), own: Some(self_signed(hostname, &provider)?), seen: Vec::new() }
        } else {
            let contents = read(&files)?;
            Current { keys: parse(&files, &contents, &provider)?, kept: Vec::new(), own: None, seen: digest_of(&contents) }
        };
        let certificates = Arc::new(Certificates { files, provider: Arc::clone(&provider), current: RwLock::new(current) });
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&certificates) as Arc<dyn ResolvesServerCert>);
        config.send_tls13_tickets = 0;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), certificates })
    }

    /// True if there is none but one that nobody trusts.
    #[must_use]
    pub fn is_self_signed(&self) -> bool {
        let current = self.certificates.current.read();
        current.keys.is_empty() && current.kept.is_empty()
    }

    /// Replaces the certificates that are in no file, the best first. Those in files come before them.
    pub fn keep(&self, kept: &[Kept]) {
        self.certificates.current.write().kept = kept.iter().map(|kept| Arc::clone(&kept.0)).collect();
    }

    /// What the certificates in use say, but not the one that nobody trusts.
    #[must_use]
    pub fn facts(&self) -> Vec<Facts> {
        let current = self.certificates.current.read();
        let first = current.keys.iter().chain(&current.kept).filter_map(|key| key.cert.first());
        first.filter_map(|certificate| x509::facts_of(certificate).ok()).collect()
    }

    /// Looks at the files again and swaps the certificates if they changed. Reads files: not for threads that must not wait. A file that cannot be used is
    /// told once; the certificates in use stay.
    ///
    /// # Errors
    /// [`ServerTlsError`] names the file and what is wrong with it.
    pub fn reload(&self) -> Result<Reload, ServerTlsError> {
        let Certificates { files, provider, current } = &*self.certificates;
        if files.is_empty() {
            return Ok(Reload::Same);
        }
        let contents = read(files);
        let seen = contents.as_deref().map_or_else(|error| error.to_string().into_bytes(), digest_of);
        if current.read().seen == seen {
            return Ok(Reload::Same);
        }
        current.write().seen = seen;
        let keys = parse(files, &contents?, provider)?;
        current.write().keys = keys;
        Ok(Reload::Swapped)
    }

    /// Shakes hands. Answers the stream and what the session got, as in `TLSv1.3 TLS_AES_256_GCM_SHA384 X25519MLKEM768`.
    ///
    /// # Errors
    /// The handshake failed or the connection broke.
    pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> std::io::Result<(TlsStream<S>, String)> {
        let stream = self.acceptor.accept(stream).await?;
        let facts = tls::facts(stream.get_ref().1);
        Ok((stream, facts))
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.current.read();
        let name = hello.server_name().and_then(|name| ServerName::try_from(name).ok());
        let fits = |key: &&Arc<CertifiedKey>| {
            let certificate = key.cert.first().and_then(|certificate| ParsedCertificate::try_from(certificate).ok());
            name.as_ref().zip(certificate).is_some_and(|(name, certificate)| verify_server_name(&certificate, name).is_ok())
        };
        let mut all = current.keys.iter().chain(&current.kept);
        all.clone().find(fits).or_else(|| all.next()).or(current.own.as_ref()).cloned()
    }
}

fn wrong(path: &Path, reason: impl Into<String>) -> ServerTlsError {
    ServerTlsError::File { path: path.display().to_string(), reason: reason.into() }
}

/// The octets of certificate and key, for each pair.
fn read(files: &[CertificateFiles]) -> Result<Vec<Octets>, ServerTlsError> {
    let one = |path: &PathBuf| std::fs::read(path).map_err(|error| wrong(path, error.to_string()));
    files.iter().map(|pair| Ok((one(&pair.certificate)?, one(&pair.key)?))).collect()
}

fn digest_of(contents: &[Octets]) -> Vec<u8> {
    let mut digest = digest::Context::new(&digest::SHA256);
    for octets in contents.iter().flat_map(|(certificate, key)| [certificate, key]) {
        digest.update(&octets.len().to_be_bytes());
        digest.update(octets);
    }
    digest.finish().as_ref().to_vec()
}

fn parse(files: &[CertificateFiles], contents: &[Octets], provider: &CryptoProvider) -> Result<Vec<Arc<CertifiedKey>>, ServerTlsError> {
    let one = |(pair, (certificate, key)): (&CertificateFiles, &Octets)| {
        certified(certificate, key, provider).map_err(|fault| match fault {
            Fault::Chain(reason) => wrong(&pair.certificate, reason),
            Fault::Key(reason) => wrong(&pair.key, reason),
            Fault::Pair(reason) => wrong(&pair.key, format!("it does not fit {}: {reason}", pair.certificate.display())),
        })
    };
    files.iter().zip(contents).map(one).collect()
}

/// What is wrong with a certificate and its key.
enum Fault {
    Chain(String),
    Key(String),
    Pair(String),
}

fn certified(chain: &[u8], key: &[u8], provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, Fault> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(chain).collect::<Result<_, _>>().map_err(|error| Fault::Chain(error.to_string()))?;
    if chain.is_empty() {
        return Err(Fault::Chain("it holds no certificate in PEM form".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| Fault::Key(format!("it holds no private key in PEM form: {error}")))?;
    CertifiedKey::from_der(chain, key, provider).map(Arc::new).map_err(|error| Fault::Pair(error.to_string()))
}

fn self_signed(hostname: &str, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, ServerTlsError> {
    let made = rcgen::generate_simple_self_signed(vec![hostname.to_owned()]).map_err(|_| ServerTlsError::SelfSigned(hostname.to_owned()))?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    Ok(Arc::new(CertifiedKey::from_der(vec![made.cert.der().clone()], key, provider)?))
}

#[cfg(test)]
#[path = "server_tls_tests.rs"]
mod tests;
