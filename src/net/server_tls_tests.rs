//! Certificates by name, swapped, and refused.

use std::path::Path;

use rustls::client::danger::ServerCertVerifier;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("pennypost-server-tls-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Writes a certificate for `host` and answers its files and itself.
    fn write(&self, file: &str, host: &str) -> (CertificateFiles, CertificateDer<'static>) {
        let made = rcgen::generate_simple_self_signed(vec![host.to_owned()]).unwrap();
        let files = CertificateFiles { certificate: self.0.join(format!("{file}.pem")), key: self.0.join(format!("{file}.key")) };
        std::fs::write(&files.certificate, made.cert.pem()).unwrap();
        std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
        (files, made.cert.der().clone())
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The certificate that a client is shown who asks for `name` and trusts all of `roots`.
async fn shown(server: &ServerTls, roots: &[CertificateDer<'static>], name: &str, protocols: &[&[u8]]) -> std::io::Result<CertificateDer<'static>> {
    let mut store = RootCertStore::empty();
    for root in roots {
        store.add(root.clone()).unwrap();
    }
    let provider = Arc::new(provider::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> =
        rustls::client::WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(&provider)).build().unwrap();
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let (client, server) = tokio::join!(connector.connect(name, ours), server.accept(theirs));
    let (mut client, (mut stream, facts)) = (client?, server?);
    assert!(facts.starts_with("TLSv1.3"), "{facts}");
    stream.shutdown().await?;
    assert_eq!(client.read_to_end(&mut Vec::new()).await?, 0);
    assert_eq!(client.get_ref().1.tls13_tickets_received(), 0, "Outlook gives up STARTTLS on tickets");
    Ok(client.get_ref().1.peer_certificates().unwrap()[0].clone())
}

#[tokio::test]
async fn the_certificate_is_the_one_for_the_name() {
    let directory = Directory::new("names");
    let (first, one) = directory.write("one", "one.example");
    let (second, two) = directory.write("two", "two.example");
    let server = ServerTls::load(vec![first, second], "mail.example").unwrap();
    let roots = [one.clone(), two.clone()];
    assert_eq!(shown(&server, &roots, "one.example", &[]).await.unwrap(), one);
    assert_eq!(shown(&server, &roots, "two.example", &[b"smtp"]).await.unwrap(), two);
    assert!(shown(&server, &roots, "three.example", &[]).await.is_err(), "the first is shown, and is not for this name");
    assert!(shown(&server, &roots, "one.example", &[b"http/1.1"]).await.is_err(), "who means to speak HTTP is not taken for a mail client");
    assert!(!server.is_self_signed());
}

#[tokio::test]
async fn new_files_are_used_from_the_next_session_on_and_bad_ones_never() {
    let directory = Directory::new("swap");
    let (files, old) = directory.write("a", "mx.example");
    let server = ServerTls::load(vec![files.clone()], "mail.example").unwrap();
    assert_eq!(server.reload().unwrap(), Reload::Same);
    let (_, new) = directory.write("a", "mx.example");
    assert_eq!(server.reload().unwrap(), Reload::Swapped);
    let roots = [old, new.clone()];
    assert_eq!(shown(&server, &roots, "mx.example", &[]).await.unwrap(), new);
    let (other, _) = directory.write("b", "mx.example");
    std::fs::copy(&other.key, &files.key).unwrap();
    let told = server.reload().unwrap_err().to_string();
    assert!(told.contains("a.key") && told.contains("does not fit"), "{told}");
    assert_eq!(server.reload().unwrap(), Reload::Same, "told once");
    std::fs::remove_file(&files.key).unwrap();
    assert!(server.reload().unwrap_err().to_string().contains("a.key"));
    assert_eq!(server.reload().unwrap(), Reload::Same, "told once");
    assert_eq!(shown(&server, &roots, "mx.example", &[]).await.unwrap(), new);
}

#[tokio::test]
async fn without_files_there_is_a_certificate_that_nobody_trusts() {
    let server = ServerTls::load(Vec::new(), "mail.example").unwrap();
    assert!(server.is_self_signed() && server.reload().unwrap() == Reload::Same);
    let directory = Directory::new("self");
    let (_, stranger) = directory.write("a", "mail.example");
    assert!(shown(&server, &[stranger], "mail.example", &[]).await.is_err());
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let directory = Directory::new("bad");
    let (good, _) = directory.write("a", "mx.example");
    let text = directory.0.join("text");
    std::fs::write(&text, "no PEM").unwrap();
    let load = |certificate: &Path, key: &Path| {
        let files = CertificateFiles { certificate: certificate.to_owned(), key: key.to_owned() };
        ServerTls::load(vec![files], "mail.example").unwrap_err().to_string()
    };
    for (certificate, key, named) in [
        (&text, &good.key, "text: it holds no certificate"),
        (&good.certificate, &text, "text: it holds no private key"),
        (&text.join("x"), &text, "text/x"),
    ] {
        let told = load(certificate, key);
        assert!(told.contains(named), "{told}");
    }
}

#[tokio::test]
async fn kept_certificates_come_after_files_and_before_the_one_that_nobody_trusts() {
    let directory = Directory::new("kept");
    let pem = |host: &str| {
        let made = rcgen::generate_simple_self_signed(vec![host.to_owned()]).unwrap();
        (Kept::parse(made.cert.pem().as_bytes(), made.signing_key.serialize_pem().as_bytes()).unwrap(), made.cert.der().clone())
    };
    let ((one, one_der), (two, two_der)) = (pem("mail.example.com"), pem("other.example.com"));
    let server = ServerTls::load(Vec::new(), "mail.example.com").unwrap();
    assert!(server.is_self_signed() && server.facts().is_empty());
    assert!(shown(&server, &[one_der.clone()], "mail.example.com", &[]).await.is_err(), "made here");
    server.keep(&[one.clone(), two.clone()]);
    assert!(!server.is_self_signed());
    assert_eq!(server.facts().iter().map(|facts| facts.names[0].as_str()).collect::<Vec<_>>(), ["mail.example.com", "other.example.com"]);
    let roots = [one_der.clone(), two_der.clone()];
    assert_eq!(shown(&server, &roots, "mail.example.com", &[]).await.unwrap(), one_der);
    assert_eq!(shown(&server, &roots, "other.example.com", &[]).await.unwrap(), two_der);
    server.keep(&[]);
    assert!(server.is_self_signed());
    let (files, in_file) = directory.write("a", "mail.example.com");
    let server = ServerTls::load(vec![files], "mail.example.com").unwrap();
    server.keep(&[one, two]);
    let roots = [one_der, two_der.clone(), in_file.clone()];
    assert_eq!(shown(&server, &roots, "mail.example.com", &[]).await.unwrap(), in_file);
    assert_eq!(shown(&server, &roots, "other.example.com", &[]).await.unwrap(), two_der);
}

#[test]
fn a_kept_certificate_without_its_key_is_refused() {
    let made = || rcgen::generate_simple_self_signed(vec!["mail.example.com".to_owned()]).unwrap();
    let (one, other) = (made(), made());
    let parse = |chain: &str, key: &str| Kept::parse(chain.as_bytes(), key.as_bytes()).unwrap_err().to_string();
    assert!(parse("hello", &one.signing_key.serialize_pem()).contains("holds no certificate"));
    assert!(parse(&one.cert.pem(), "hello").contains("holds no private key"));
    assert!(parse(&one.cert.pem(), &other.signing_key.serialize_pem()).contains("is not the certificate's"));
}
