//! Certificates good and bad, in handshakes in memory.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::*;
use crate::net::dnssec::Tlsa;

/// An authority that exists for a test.
pub(in crate::net) struct TestAuthority {
    pub(in crate::net) certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl TestAuthority {
    pub(in crate::net) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        // Each has a name of its own, or chains of one would be tried with the key of another.
        params.distinguished_name.push(rcgen::DnType::CommonName, format!("Test Authority {:?}", key.public_key_raw()));
        let certificate = params.self_signed(&key).expect("a certificate").der().clone();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    /// A server with a certificate for `host`, whose chain holds this authority too, valid `days` from yesterday on.
    pub(in crate::net) fn server(&self, host: &str, days: i64) -> (Arc<ServerConfig>, CertificateDer<'static>) {
        let mut params = CertificateParams::new(vec![host.to_owned()]).expect("parameters");
        let yesterday = Clock::system().now() - time::Duration::DAY;
        params.not_before = yesterday;
        params.not_after = yesterday + time::Duration::days(days);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate").der().clone();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone(), self.certificate.clone()], key)
            .expect("a server");
        (Arc::new(config), certificate)
    }

    pub(in crate::net) fn trusted(&self) -> Authorities {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).expect("a root");
        Authorities(Arc::new(roots))
    }
}

/// Shakes hands; what the inspector found and whether the handshake was completed.
pub(in crate::net) fn shake(
    proof: Proof,
    unproven: Unproven,
    server: &Arc<ServerConfig>,
    name: &str,
) -> (Option<Result<(), CertificateFault>>, bool) {
    let inspector = Inspector::new(proof, unproven);
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let mut client = rustls::ClientConnection::new(inspector.config(&Clock::system()), name).expect("a client");
    let mut server = rustls::ServerConnection::new(Arc::clone(server)).expect("a server");
    let mut wire = Vec::new();
    while client.is_handshaking() || server.is_handshaking() {
        client.write_tls(&mut wire).expect("memory");
        server.read_tls(&mut std::mem::take(&mut wire).as_slice()).expect("memory");
        if server.process_new_packets().is_err() {
            return (inspector.found(), false);
        }
        server.write_tls(&mut wire).expect("memory");
        client.read_tls(&mut std::mem::take(&mut wire).as_slice()).expect("memory");
        if client.process_new_packets().is_err() {
            return (inspector.found(), false);
        }
    }
    (inspector.found(), true)
}

#[test]
fn a_certificate_needs_an_authority_its_name_and_its_time() {
    let (known, stranger) = (TestAuthority::new(), TestAuthority::new());
    let not_trusted = CertificateFault::NotTrusted("its issuer is unknown".to_owned());
    let rows = [
        (known.server("mx.example", 30), "mx.example", Ok(())),
        (known.server("*.example.com", 30), "mx.example.com", Ok(())),
        (known.server("*.example.com", 30), "a.mx.example.com", Err(CertificateFault::HostMismatch("a.mx.example.com".to_owned()))),
        (known.server("other.example", 30), "mx.example", Err(CertificateFault::HostMismatch("mx.example".to_owned()))),
        (known.server("mx.example", 0), "mx.example", Err(CertificateFault::Expired)),
        (stranger.server("mx.example", 30), "mx.example", Err(not_trusted)),
    ];
    for ((server, _), name, found) in rows {
        let proof = || Proof::Authority(known.trusted());
        assert_eq!(shake(proof(), Unproven::Refuse, &server, name), (Some(found.clone()), found.is_ok()), "{name}: {found:?}");
        assert_eq!(shake(proof(), Unproven::Tell, &server, name), (Some(found.clone()), true), "{name}: a fault is told and the mail goes");
    }
}

#[test]
fn a_host_without_the_key_of_its_certificate_proves_nothing() {
    let authority = TestAuthority::new();
    let (_, good) = authority.server("mx.example", 30);
    let thief = KeyPair::generate().expect("a key");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(thief.serialize_der()));
    let signing = aws_lc_rs::sign::any_supported_type(&key).expect("a key");
    let stolen = Arc::new(rustls::sign::CertifiedKey::new(vec![good.clone()], signing));
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(rustls::sign::CertifiedKey::clone(&stolen))));
    let config = Arc::new(config);
    let own = Tlsa { usage: 3, selector: 0, matching: 0, data: good.to_vec() };
    let dane = DaneRecords::usable(&[own], "mx.example", &[]).expect("a record");
    for proof in [Proof::Authority(authority.trusted()), Proof::Dane(dane)] {
        let (found, shaken) = shake(proof.clone(), Unproven::Refuse, &config, "mx.example");
        assert!(matches!(found, Some(Err(CertificateFault::NotTrusted(_)))) && !shaken, "{found:?}");
        let (found, shaken) = shake(proof, Unproven::Tell, &config, "mx.example");
        assert!(matches!(found, Some(Err(CertificateFault::NotTrusted(_)))) && shaken, "{found:?}");
    }
}

#[test]
fn time_comes_from_the_clock() {
    let authority = TestAuthority::new();
    let (server, _) = authority.server("mx.example", 30);
    let clock = Clock::movable();
    clock.advance(Duration::from_hours(24 * 40));
    let inspector = Inspector::new(Proof::Authority(authority.trusted()), Unproven::Tell);
    let name = ServerName::try_from("mx.example").expect("a name");
    let mut client = rustls::ClientConnection::new(inspector.config(&clock), name).expect("a client");
    let mut server = rustls::ServerConnection::new(server).expect("a server");
    let mut wire = Vec::new();
    client.write_tls(&mut wire).expect("memory");
    server.read_tls(&mut wire.as_slice()).expect("memory");
    server.process_new_packets().expect("a hello");
    wire.clear();
    server.write_tls(&mut wire).expect("memory");
    client.read_tls(&mut wire.as_slice()).expect("memory");
    client.process_new_packets().expect("a certificate");
    assert_eq!(inspector.found(), Some(Err(CertificateFault::Expired)));
}

#[test]
fn authorities_are_read_from_a_file_or_it_says_why_not() {
    let folder = std::env::temp_dir().join(format!("pennypost-ca-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let made = rcgen::generate_simple_self_signed(vec!["ca.example".to_owned()]).expect("a certificate");
    let path = folder.join("ca.pem");
    std::fs::write(&path, made.cert.pem()).expect("a file");
    let (public, more) = (Authorities::public(), Authorities::public_and(&path).expect("authorities"));
    assert_eq!(more.0.len(), public.0.len() + 1);
    std::fs::write(&path, "no certificate here").expect("a file");
    assert!(Authorities::public_and(&path).expect_err("empty").to_string().contains("holds no certificate"));
    assert!(Authorities::public_and(&folder.join("none.pem")).is_err());
    std::fs::remove_dir_all(&folder).expect("removed");
}
