//! DKIM: whatever is signed, another library verifies, header and body in canonical form alike (RFC 6376 3.4).
#![no_main]

use std::borrow::Borrow;
use std::hash::Hash;
use std::sync::LazyLock;

use libfuzzer_sys::{Corpus, fuzz_target};
use mail_auth::common::parse::TxtRecordParser;
use mail_auth::common::verify::DomainKey;
use mail_auth::hickory_resolver::config::{ResolverConfig, ResolverOpts};
use mail_auth::{AuthenticatedMessage, DkimResult, MessageAuthenticator, Parameters, ResolverCache, Txt};
use pennypost::mail::dkim::{Algorithm, Signer, generate};
use pennypost::model::DomainName;
use time::OffsetDateTime;
use tokio::runtime::{Builder, Runtime};

struct Lab {
    signer: Signer,
    record: String,
    authenticator: MessageAuthenticator,
    runtime: Runtime,
}

static LAB: LazyLock<Lab> = LazyLock::new(|| {
    let pair = generate(Algorithm::Ed25519).expect("a key");
    let domain = DomainName::parse("example.com").expect("a name");
    Lab {
        signer: Signer::new(&domain, "e1", Algorithm::Ed25519, &pair.private_der).expect("a signer"),
        record: pair.record,
        authenticator: MessageAuthenticator::new(ResolverConfig::default(), ResolverOpts::default()).expect("a verifier"),
        runtime: Builder::new_current_thread().build().expect("a runtime"),
    }
});

/// Answers every look-up with the one key.
struct Records;

impl ResolverCache<Box<str>, Txt> for Records {
    fn get<Q>(&self, _: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        DomainKey::parse(LAB.record.as_bytes()).ok().map(|key| Txt::DomainKey(key.into()))
    }

    fn remove<Q>(&self, _: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        None
    }

    fn insert(&self, _: Box<str>, _: Txt, _: std::time::Instant) {}
}

fuzz_target!(|octets: &[u8]| -> Corpus {
    // A line end written as LF makes a message out of more inputs; signatures of others would be verified too.
    let text: Vec<u8> = octets.split(|octet| *octet == b'\n').flat_map(|line| [line, b"\r\n"].concat()).collect();
    let message = [b"From: a@example.com\r\n", text.as_slice()].concat();
    // The other library takes a form feed for white space; RFC 6376 2.8 knows space and tab only.
    if message.contains(&0x0c) || message.contains(&0x0b) {
        return Corpus::Reject;
    }
    if message.windows(15).any(|window| window.eq_ignore_ascii_case(b"dkim-signature:")) {
        return Corpus::Reject;
    }
    let Ok(signature) = LAB.signer.sign(&message, OffsetDateTime::UNIX_EPOCH) else { return Corpus::Keep };
    let signed = [signature.as_bytes(), &message].concat();
    let Some(parsed) = AuthenticatedMessage::parse(&signed) else { return Corpus::Reject };
    let results = LAB.runtime.block_on(LAB.authenticator.verify_dkim(Parameters::new(&parsed).with_txt_cache(&Records)));
    assert_eq!(results.len(), 1);
    assert_eq!(results[0].result(), &DkimResult::Pass, "{}", String::from_utf8_lossy(&signed));
    Corpus::Keep
});
