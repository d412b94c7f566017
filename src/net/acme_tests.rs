//! Who is answered, and with what.

use rustls::ClientConfig;
use rustls::client::danger::ServerCertVerifier;
use rustls_pki_types::{CertificateDer, ServerName};

use super::*;

/// What a client that asks for `name` by `protocols` is shown, whoever signed it.
async fn shown(server: &AlpnServer, name: &str, protocols: &[&[u8]]) -> io::Result<CertificateDer<'static>> {
    let provider = Arc::new(provider::default_provider());
    let inspector = crate::net::certificate::Inspector::new(
        crate::net::certificate::Proof::Authority(crate::net::certificate::Authorities::public()),
        crate::net::certificate::Unproven::Tell,
    );
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(inspector as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let (client, server) = tokio::join!(connector.connect(name, ours), server.answer(theirs));
    server?;
    let client = client?;
    assert_eq!(client.get_ref().1.alpn_protocol(), Some(PROTOCOL));
    Ok(client.get_ref().1.peer_certificates().unwrap()[0].clone())
}

#[tokio::test]
async fn tls_alpn_is_answered_for_the_name_and_the_protocol_alone() {
    let answers = Answers::default();
    let server = AlpnServer::new(answers.clone()).unwrap();
    assert!(shown(&server, "mail.example.com", &[PROTOCOL]).await.is_err(), "nothing is asked for yet");
    let digests = |digest: &str| HashMap::from([("mail.example.com".to_owned(), digest.to_owned())]);
    answers.set_digests(&digests(&"ab".repeat(32))).unwrap();
    let first = shown(&server, "MAIL.example.com", &[PROTOCOL]).await.unwrap();
    // The extension, critical, with an octet string of 32 octets (RFC 8737 3).
    let extension = [&[6, 8, 43, 6, 1, 5, 5, 7, 1, 31, 1, 1, 255, 4, 34, 4, 32][..], &[0xab; 32]].concat();
    assert!(first.windows(extension.len()).any(|window| window == extension));
    assert!(shown(&server, "other.example.com", &[PROTOCOL]).await.is_err());
    assert!(shown(&server, "mail.example.com", &[b"h2", b"http/1.1"]).await.is_err());
    assert!(shown(&server, "mail.example.com", &[]).await.is_err());
    answers.set_digests(&digests(&"ab".repeat(32))).unwrap();
    assert_eq!(shown(&server, "mail.example.com", &[PROTOCOL]).await.unwrap(), first, "nothing changed");
    answers.set_digests(&digests(&"cd".repeat(32))).unwrap();
    assert_ne!(shown(&server, "mail.example.com", &[PROTOCOL]).await.unwrap(), first);
    answers.set_digests(&HashMap::new()).unwrap();
    assert!(shown(&server, "mail.example.com", &[PROTOCOL]).await.is_err(), "it is over");
}

#[test]
fn a_digest_that_is_none_is_refused() {
    for digits in ["", "ab", &"zz".repeat(32), &"ab".repeat(33), &"é".repeat(32)] {
        assert_eq!(octets(digits), None, "{digits}");
        assert!(Answers::default().set_digests(&HashMap::from([("a.example".to_owned(), digits.to_owned())])).is_err());
    }
}

#[test]
fn texts_are_told_by_token() {
    let answers = Answers::default();
    answers.set_texts(HashMap::from([("token".to_owned(), "token.thumb".to_owned())]));
    assert_eq!(answers.text("token").as_deref(), Some("token.thumb"));
    assert_eq!(answers.text("other"), None);
    answers.set_texts(HashMap::new());
    assert_eq!(answers.text("token"), None);
}
