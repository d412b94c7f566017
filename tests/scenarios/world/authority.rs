//! A certificate authority for one test, trusted by its gateways, and servers with certificates of every kind.

use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use aws_lc_rs::digest;
use pennypost::lab::sink::SinkSettings;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use time::{Duration, OffsetDateTime};

use super::World;
use super::database::scratch;

/// The authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    now: OffsetDateTime,
}

/// A server's side of TLS, and the TLSA record that fits its key.
#[derive(Clone)]
pub struct Identity {
    pub config: Arc<ServerConfig>,
    /// `3 1 1 …`
    pub tlsa: String,
}

impl Identity {
    /// A mail host that offers STARTTLS with it.
    pub fn sink(&self) -> SinkSettings {
        SinkSettings { starttls: Some(Arc::clone(&self.config)), ..SinkSettings::default() }
    }

    /// A TLSA record that does not fit.
    pub fn wrong_tlsa(&self) -> String {
        let (head, hex) = self.tlsa.split_at(6);
        format!("{head}{}{}", if hex.starts_with('0') { '1' } else { '0' }, &hex[1..])
    }
}

impl World {
    /// An authority that gateways of this world trust from now on.
    pub fn authority(&mut self) -> Authority {
        let authority = Authority::new(self.clock.now());
        self.config.delivery_tls.ca_file = authority.file();
        authority
    }
}

impl Authority {
    fn new(now: OffsetDateTime) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "Scenario Authority");
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem, now }
    }

    fn file(&self) -> PathBuf {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let path = scratch().join(format!("ca-{}.pem", NEXT.fetch_add(1, Ordering::Relaxed)));
        std::fs::write(&path, &self.pem).unwrap();
        path
    }

    /// A certificate for `name` that is good for years.
    pub fn identity(&self, name: &str) -> Identity {
        self.valid_for(name, Duration::days(2000))
    }

    /// A certificate for `name` whose time was over yesterday.
    pub fn expired(&self, name: &str) -> Identity {
        self.valid_for(name, Duration::days(-1))
    }

    /// A certificate for `name` that ends in a week.
    pub fn ending(&self, name: &str) -> Identity {
        self.valid_for(name, Duration::days(7))
    }

    fn valid_for(&self, name: &str, time: Duration) -> Identity {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = self.now - Duration::days(10);
        params.not_after = self.now + time;
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        let parsed = rustls::server::ParsedCertificate::try_from(&certificate).unwrap();
        let hash = digest::digest(&digest::SHA256, &parsed.subject_public_key_info());
        let mut tlsa = "3 1 1 ".to_owned();
        for octet in hash.as_ref() {
            write!(tlsa, "{octet:02x}").unwrap();
        }
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())))
            .unwrap();
        Identity { config: Arc::new(config), tlsa }
    }
}
