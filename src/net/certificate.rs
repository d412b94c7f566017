//! Judging the certificate a host shows: not at all, by public authorities and name, or by TLSA records.
//!
//! Answers: a TLS configuration for one session, and afterwards what the look at the certificate found, also where the session was
//! allowed to go on without proof (RFC 8461 5: mode testing).
//! Does not: resume sessions: a resumed one shows no certificate, so it would prove nothing to a policy made later.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::time_provider::TimeProvider;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::dane::DaneRecords;
use super::tls::ClientTls;
use crate::clock::Clock;

/// Certificate authorities that are trusted: those of the Mozilla programme, and what the operator adds.
#[derive(Clone, Debug)]
pub struct Authorities(Arc<RootCertStore>);

/// Further authorities cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read certificate authorities from {path}: {reason}")]
pub struct AuthoritiesError {
    path: String,
    reason: String,
}

impl Authorities {
    /// The public ones.
    #[must_use]
    pub fn public() -> Self {
        Self(Arc::new(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }))
    }

    /// The public ones and those of a PEM file.
    ///
    /// # Errors
    /// [`AuthoritiesError`] if the file cannot be read or holds no certificate.
    pub fn public_and(path: &std::path::Path) -> Result<Self, AuthoritiesError> {
        Self::with(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }, path)
    }

    /// Those of a PEM file alone.
    ///
    /// # Errors
    /// [`AuthoritiesError`] if the file cannot be read or holds no certificate.
    pub fn only(path: &std::path::Path) -> Result<Self, AuthoritiesError> {
        Self::with(RootCertStore::empty(), path)
    }

    fn with(mut roots: RootCertStore, path: &std::path::Path) -> Result<Self, AuthoritiesError> {
        let wrong = |reason: String| AuthoritiesError { path: path.display().to_string(), reason };
        let before = roots.len();
        for certificate in CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))? {
            roots.add(certificate.map_err(|error| wrong(error.to_string()))?).map_err(|error| wrong(error.to_string()))?;
        }
        if roots.len() == before {
            return Err(wrong("it holds no certificate".to_owned()));
        }
        Ok(Self(Arc::new(roots)))
    }
}

/// What is wrong with a certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateFault {
    /// It is for other names.
    #[error("the certificate is not for {0}")]
    HostMismatch(String),
    /// Its time is over, or has not come.
    #[error("the certificate is expired or not yet valid")]
    Expired,
    /// No trusted authority stands behind it.
    #[error("the certificate is not trusted: {0}")]
    NotTrusted(String),
    /// No TLSA record fits it.
    #[error("the certificate matches no TLSA record")]
    NoTlsaMatch,
}

/// What a certificate is held to.
#[derive(Clone, Debug)]
pub enum Proof {
    /// A chain to an authority, the time, and the host's name (RFC 8461 4.2).
    Authority(Authorities),
    /// The TLSA records of the host (RFC 7672 3).
    Dane(DaneRecords),
}

/// What happens where there is no proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unproven {
    /// The handshake fails.
    Refuse,
    /// It goes on; the fault is told afterwards.
    Tell,
}

/// Looks at the certificate of one session.
#[derive(Debug)]
pub struct Inspector {
    proof: Proof,
    unproven: Unproven,
    /// How much later than now the certificate has to be good.
    later: Duration,
    provider: Arc<CryptoProvider>,
    found: Mutex<Option<Result<(), CertificateFault>>>,
}

impl Inspector {
    /// For one session.
    #[must_use]
    pub fn new(proof: Proof, unproven: Unproven) -> Arc<Self> {
        Self::later(proof, unproven, Duration::ZERO)
    }

    /// For one session whose certificate has to be good `later` than now: will it still be?
    #[must_use]
    pub fn later(proof: Proof, unproven: Unproven, later: Duration) -> Arc<Self> {
        Arc::new(Self { proof, unproven, later, provider: Arc::new(aws_lc_rs::default_provider()), found: Mutex::default() })
    }

    /// The configuration of that session: TLS 1.2 or later, nothing resumed, times by `clock`.
    #[must_use]
    #[expect(clippy::expect_used, reason = "fails only if the compiled-in provider lacked every cipher suite")]
    pub fn config(self: &Arc<Self>, clock: &Clock) -> ClientTls {
        let mut config = ClientConfig::builder_with_details(Arc::clone(&self.provider), Arc::new(Now(clock.clone())))
            .with_safe_default_protocol_versions()
            .expect("the provider has cipher suites of TLS 1.2 and 1.3")
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(self) as Arc<dyn ServerCertVerifier>)
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        Arc::new(config)
    }

    /// What the look found; none while no certificate was shown.
    #[must_use]
    pub fn found(&self) -> Option<Result<(), CertificateFault>> {
        self.found.lock().clone()
    }

    fn judge(&self, shown: &[CertificateDer<'_>], name: &ServerName<'_>, now: UnixTime) -> Result<(), CertificateFault> {
        match &self.proof {
            Proof::Authority(authorities) => {
                let then = UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs()).saturating_add(self.later));
                chain(shown, &authorities.0, std::slice::from_ref(name), then, &self.provider)
            }
            Proof::Dane(records) => records.judge(shown, now, &self.provider),
        }
    }
}

/// A chain from the first certificate to an anchor, valid now and for one of the names.
pub(super) fn chain(
    shown: &[CertificateDer<'_>],
    anchors: &RootCertStore,
    names: &[ServerName<'_>],
    now: UnixTime,
    provider: &CryptoProvider,
) -> Result<(), CertificateFault> {
    let Some((first, others)) = shown.split_first() else { return Err(CertificateFault::NotTrusted("none was shown".to_owned())) };
    let parsed = ParsedCertificate::try_from(first).map_err(|error| explain(&error, ""))?;
    verify_server_cert_signed_by_trust_anchor(&parsed, anchors, others, now, provider.signature_verification_algorithms.all)
        .map_err(|error| explain(&error, ""))?;
    if names.iter().any(|name| verify_server_name(&parsed, name).is_ok()) {
        return Ok(());
    }
    Err(CertificateFault::HostMismatch(names.first().map_or_else(String::new, |name| name.to_str().into_owned())))
}

fn explain(error: &rustls::Error, host: &str) -> CertificateFault {
    match error {
        rustls::Error::InvalidCertificate(
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. },
        ) => CertificateFault::Expired,
        rustls::Error::InvalidCertificate(CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }) => {
            CertificateFault::HostMismatch(host.to_owned())
        }
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => CertificateFault::NotTrusted("its issuer is unknown".to_owned()),
        other => CertificateFault::NotTrusted(other.to_string()),
    }
}

impl ServerCertVerifier for Inspector {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let shown: Vec<CertificateDer<'_>> = std::iter::once(end_entity).chain(intermediates).cloned().collect();
        let found = self.judge(&shown, server_name, now);
        *self.found.lock() = Some(found.clone());
        match found {
            Err(fault) if self.unproven == Unproven::Refuse => Err(rustls::Error::General(fault.to_string())),
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let checked = verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms);
        self.signed(checked)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let checked = verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms);
        self.signed(checked)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl Inspector {
    /// A host that does not hold the key of its certificate proves nothing, however good the certificate.
    fn signed(&self, checked: Result<HandshakeSignatureValid, rustls::Error>) -> Result<HandshakeSignatureValid, rustls::Error> {
        let Err(error) = checked else { return checked };
        *self.found.lock() = Some(Err(CertificateFault::NotTrusted(error.to_string())));
        match self.unproven {
            Unproven::Refuse => Err(error),
            Unproven::Tell => Ok(HandshakeSignatureValid::assertion()),
        }
    }
}

/// The clock as rustls wants it.
#[derive(Debug)]
struct Now(Clock);

impl TimeProvider for Now {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.now().unix_timestamp()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

#[cfg(test)]
#[path = "certificate_tests.rs"]
pub(super) mod tests;
