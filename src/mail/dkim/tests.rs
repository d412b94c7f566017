//! Signatures are verified by two programs written by others: mail-auth in process, dkimpy by `tests/interop/dkim/verify.py`.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use mail_auth::common::parse::TxtRecordParser as _;
use mail_auth::common::verify::DomainKey;
use mail_auth::hickory_resolver::config::{ResolverConfig, ResolverOpts};
use mail_auth::{AuthenticatedMessage, DkimResult, MessageAuthenticator, Parameters, ResolverCache, Txt};
use proptest::prelude::*;
use time::macros::datetime;

use super::*;

const AT: OffsetDateTime = datetime!(2026-11-22 12:00 UTC);
const DOMAIN: &str = "example.com";

struct Keys {
    signers: Vec<Signer>,
    records: HashMap<String, String>,
}

static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let mut keys = Keys { signers: Vec::new(), records: HashMap::new() };
    for (selector, algorithm) in [("r1", Algorithm::Rsa2048), ("e1", Algorithm::Ed25519)] {
        let pair = generate(algorithm).unwrap();
        keys.signers.push(Signer::new(&DomainName::parse(DOMAIN).unwrap(), selector, algorithm, &pair.private_der).unwrap());
        keys.records.insert(format!("{selector}._domainkey.{DOMAIN}."), pair.record);
    }
    keys
});

/// Answers look-ups of keys from the records above; nothing else is ever in it.
struct Records;

impl ResolverCache<Box<str>, Txt> for Records {
    fn get<Q>(&self, name: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let record = KEYS.records.iter().find(|(key, _)| <Box<str> as Borrow<Q>>::borrow(&key.as_str().into()) == name)?.1;
        DomainKey::parse(record.as_bytes()).ok().map(|key| Txt::DomainKey(key.into()))
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

/// One result for each signature, the first field's first.
async fn verify(message: &[u8]) -> Vec<bool> {
    let authenticator = MessageAuthenticator::new(ResolverConfig::default(), ResolverOpts::default()).unwrap();
    let parsed = AuthenticatedMessage::parse(message).unwrap();
    let parameters = Parameters::new(&parsed).with_txt_cache(&Records);
    authenticator.verify_dkim(parameters).await.iter().map(|output| output.result() == &DkimResult::Pass).collect()
}

fn signed(message: &[u8]) -> Vec<u8> {
    let mut octets = sign_all(&KEYS.signers, message, AT).unwrap();
    octets.extend_from_slice(message);
    octets
}

/// Messages whose canonical form is easy to get wrong.
fn cases() -> Vec<(&'static str, Vec<u8>)> {
    let text = |name, message: &str| (name, message.as_bytes().to_vec());
    let mut cases = vec![
        text(
            "plain",
            "From: a@example.com\r\nTo: b@example.net\r\nSubject: Hi\r\nDate: Sun, 1 Nov 2026 09:00:00 +0000\r\nMessage-ID: <1@example.com>\r\n\r\nHello\r\n",
        ),
        text("folded", "FROM:a@example.com\r\nsubject:  a\r\n  b\r\n\tc \r\n\r\nx\r\n"),
        text("tabs", "From:\ta@example.com\t\r\nSubject: \t a\t \tb  c \t\r\n\td\r\n\r\n\tx\t \r\n"),
        text("empty body", "From: a@example.com\r\nSubject: x\r\n\r\n"),
        text("body of one empty line", "From: a@example.com\r\nSubject: x\r\n\r\n\r\n"),
        text("body ends in empty lines", "From: a@example.com\r\nSubject: x\r\n\r\na\r\n\r\nb\r\n\r\n\r\n\r\n"),
        text("body of white space", "From: a@example.com\r\nSubject: x\r\n\r\n  \r\n\t\r\n \r\n"),
        text("body ends in white space", "From: a@example.com\r\nSubject: x\r\n\r\na \t\r\n \r\n\t \r\n\r\n"),
        text("no subject", "From: a@example.com\r\nTo: b@example.net\r\n\r\na\r\n"),
        text("empty subject", "From: a@example.com\r\nSubject:\r\nTo: \r\n\r\na\r\n"),
        text("two To", "From: a@example.com\r\nTo: b@example.net\r\nX: y\r\nTo: c@example.net\r\nSubject: x\r\n\r\na\r\n"),
        text("eight bit", "From: Jürgen <jürgen@example.com>\r\nSubject: Grüße 世界\r\n\r\nÜber\r\n"),
        text("dots", "From: a@example.com\r\n\r\n.\r\n..\r\n. a\r\n"),
        text("long lines", &format!("From: a@example.com\r\nSubject: {}\r\n\r\n{}\r\n", "x ".repeat(400), "y".repeat(998))),
        text(
            "list fields",
            "From: a@example.com\r\nList-Unsubscribe: <https://example.com/u?t=1>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n\
             LIST-ID: x <x.example.com>\r\nList-Help: <mailto:a@example.com>\r\nlist-help: <mailto:b@example.com>\r\nFeedback-ID: 1:2\r\n\
             In-Reply-To: <1@x>\r\nReferences: <1@x>\r\n <2@x>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain;\r\n charset=utf-8\r\n\
             Content-Transfer-Encoding: 8bit\r\nReply-To: a@example.com\r\nSender: a@example.com\r\nCc: c@example.com\r\n\r\nx\r\n",
        ),
    ];
    let octets = (0..=255_u8).filter(|octet| !matches!(octet, b'\r' | b'\n')).chain(*b"\r\n");
    cases.push(("binary", b"From: a@example.com\r\n\r\n".iter().copied().chain(octets).collect()));
    cases
}

#[tokio::test]
async fn another_library_verifies_both_signatures() {
    for (name, message) in cases() {
        assert_eq!(verify(&signed(&message)).await, [true, true], "{name}");
    }
}

#[test]
fn dkimpy_verifies_both_signatures() {
    let mut messages: Vec<(String, Vec<u8>, bool)> = cases().into_iter().map(|(name, message)| (name.to_owned(), signed(&message), true)).collect();
    for (name, forged) in forgeries() {
        messages.push((name.to_owned(), forged, false));
    }
    let documents: Vec<_> = messages.iter().map(|(name, octets, _)| serde_json::json!({ "name": name, "base64": STANDARD.encode(octets) })).collect();
    let Some(answers) = dkimpy(&serde_json::json!({ "records": KEYS.records, "messages": documents })) else {
        println!("skipped: python3 with dkimpy and pynacl is not installed");
        return;
    };
    assert_eq!(answers.len(), messages.len());
    for ((name, _, genuine), answer) in messages.iter().zip(answers) {
        let results: Vec<&str> = answer["results"].as_array().unwrap().iter().filter_map(serde_json::Value::as_str).collect();
        assert_eq!(results.len(), 2, "{name}");
        assert!(results.iter().all(|result| (*result == "pass") == *genuine), "{name}: {results:?}");
    }
}

/// The answers of the script; none if what it needs is not installed.
fn dkimpy(document: &serde_json::Value) -> Option<Vec<serde_json::Value>> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/dkim/verify.py");
    let mut child = Command::new("python3").arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
    let mut input = child.stdin.take()?;
    // A script that ends early leaves a closed pipe; its status tells why.
    let written = input.write_all(document.to_string().as_bytes());
    drop(input);
    let output = child.wait_with_output().ok()?;
    if output.status.code() == Some(77) {
        return None;
    }
    written.unwrap();
    assert!(output.status.success(), "the script failed");
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

/// Changes that a receiver must notice.
fn forgeries() -> Vec<(&'static str, Vec<u8>)> {
    let original = String::from_utf8(signed(&cases()[0].1)).unwrap();
    let mut forgeries = vec![
        ("text behind the body", format!("{original}more\r\n").into_bytes()),
        ("another subject", original.replace("Subject: Hi", "Subject: Ho").into_bytes()),
    ];
    for (name, field) in [
        ("a second From", "From: evil@example.net\r\n"),
        ("a second To", "To: evil@example.net\r\n"),
        ("a second Subject", "Subject: evil\r\n"),
        ("a second Date", "Date: Mon, 2 Nov 2026 09:00:00 +0000\r\n"),
        ("a second Message-ID", "Message-ID: <2@example.com>\r\n"),
        ("a Reply-To", "Reply-To: evil@example.net\r\n"),
        ("a Cc", "Cc: evil@example.net\r\n"),
        ("a Content-Type", "Content-Type: text/html\r\n"),
        ("a MIME-Version", "MIME-Version: 1.0\r\n"),
    ] {
        forgeries.push((name, format!("{field}{original}").into_bytes()));
    }
    forgeries
}

#[tokio::test]
async fn what_is_added_or_changed_breaks_both_signatures() {
    for (name, forged) in forgeries() {
        assert_eq!(verify(&forged).await, [false, false], "{name}");
    }
    let original = signed(&cases()[0].1);
    let harmless = [b"Received: from x by y; Sun, 1 Nov 2026 09:00:00 +0000\r\n", original.as_slice()].concat();
    assert_eq!(verify(&harmless).await, [true, true]);
}

#[test]
fn the_same_message_and_time_give_the_same_octets() {
    let message = &cases()[0].1;
    let fields = sign_all(&KEYS.signers, message, AT).unwrap();
    assert_eq!(fields, sign_all(&KEYS.signers, message, AT).unwrap());
    assert_ne!(fields, sign_all(&KEYS.signers, message, AT + time::Duration::seconds(1)).unwrap());
    let single: Vec<u8> = KEYS.signers.iter().flat_map(|signer| signer.sign(message, AT).unwrap().into_bytes()).collect();
    assert_eq!(fields, single);
    assert!(sign_all(&[], message, AT).unwrap().is_empty());
}

#[test]
fn the_fields_have_the_form_that_was_asked_for() {
    for (name, message) in cases() {
        let fields = String::from_utf8(sign_all(&KEYS.signers, &message, AT).unwrap()).unwrap();
        assert!(fields.is_ascii() && fields.ends_with("\r\n"), "{name}");
        assert!(fields.lines().all(|line| line.len() <= 78 && !line.trim().is_empty()), "{name}: {fields}");
        assert!(!lines::has_bare_line_end(fields.as_bytes()), "{name}");
        assert_eq!(fields.matches("DKIM-Signature: v=1; a=").count(), 2, "{name}");
        assert_eq!(fields.matches("c=relaxed/simple;").count(), 2, "{name}");
        assert_eq!(fields.matches("\tt=1795348800;").count(), 2, "{name}");
        assert!(!fields.contains(" l=") && !fields.contains("\tl="), "{name}");
    }
    let plain = KEYS.signers[1].sign(&cases()[0].1, AT).unwrap().replace("\r\n\t", "");
    assert!(plain.contains("h=From:From:Reply-To:Subject:Subject:Date:Date:Message-ID:Message-ID:To:To:Cc:MIME-Version:Content-Type;"), "{plain}");
    let list = KEYS.signers[1].sign(&cases()[14].1, AT).unwrap().replace("\r\n\t", "");
    assert!(list.contains(":Content-Type:Content-Type:Content-Transfer-Encoding:In-Reply-To:References:Feedback-ID:"), "{list}");
    assert!(list.contains(":list-help:List-Help:LIST-ID:List-Unsubscribe-Post:List-Unsubscribe;"), "{list}");
}

#[test]
fn records_can_be_published() {
    for (selector, kind) in [("r1", "rsa"), ("e1", "ed25519")] {
        let record = &KEYS.records[&format!("{selector}._domainkey.{DOMAIN}.")];
        let key = record.strip_prefix(&format!("v=DKIM1; k={kind}; p=")).unwrap();
        assert_eq!(STANDARD.decode(key).unwrap().len(), if kind == "rsa" { 294 } else { 32 });
        let signer = &KEYS.signers[usize::from(kind == "ed25519")];
        assert_eq!(&signer.record().unwrap(), record);
    }
}

#[test]
fn what_verifiers_read_differently_is_not_signed() {
    for (message, reason) in [
        ("From: a@example.com\r\n\r\na\nb\r\n", "it has a bare CR or LF"),
        ("From: a@example.com\r\n\r\na\rb\r\n", "it has a bare CR or LF"),
        ("From: a@example.com\n\nb\n", "it has a bare CR or LF"),
        ("From: a@example.com\r\n\r\nb", "it does not end in CRLF"),
        ("", "it does not end in CRLF"),
        ("From: a@example.com\r\n", "no empty line ends its header block"),
        ("From : a@example.com\r\n\r\nb\r\n", "a header field has no valid name"),
        ("From: a@example.com\r\nno field\r\n\r\nb\r\n", "a header field has no valid name"),
        ("Subject: x\r\n\r\nb\r\n", "it has no From field"),
        ("\r\nFrom: a@example.com\r\n", "it has no From field"),
    ] {
        assert_eq!(KEYS.signers[1].sign(message.as_bytes(), AT), Err(DkimError::Message(reason)), "{message:?}");
        assert_eq!(sign_all(&KEYS.signers, message.as_bytes(), AT), Err(DkimError::Message(reason)), "{message:?}");
    }
}

#[test]
fn a_signer_needs_its_own_kind_of_key_and_a_selector() {
    let domain = DomainName::parse(DOMAIN).unwrap();
    let pair = generate(Algorithm::Ed25519).unwrap();
    let refused = |selector: &str, algorithm, der: &Secret<Vec<u8>>| Signer::new(&domain, selector, algorithm, der).err();
    assert_eq!(refused("s", Algorithm::Rsa2048, &pair.private_der), Some(DkimError::PrivateKey));
    assert_eq!(refused("s", Algorithm::Ed25519, &Secret::new(vec![1, 2, 3])), Some(DkimError::PrivateKey));
    for selector in ["", "a b", "a;b", "a..b", "-a", "a\r\nb", "ü", &"a".repeat(64)] {
        assert_eq!(refused(selector, Algorithm::Ed25519, &pair.private_der), Some(DkimError::Selector), "{selector:?}");
    }
    assert_eq!(refused("pp-2026_1.mail", Algorithm::Ed25519, &pair.private_der), None);
}

#[test]
fn signers_are_shared_between_threads_and_do_not_show_their_key() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Signer>();
    assert_eq!(format!("{:?}", generate(Algorithm::Ed25519).unwrap().private_der), "[secret]");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_header_and_body_verify(
        fields in prop::collection::vec(("(To|Cc|Subject|X-A|List-Id|list-id|Reply-To)", "[ -~\té]{0,40}(\r\n[ \t][!-~]{1,20}[ \t]{0,3}){0,3}"), 0..8),
        body in "([ -~\té]{0,30}\r\n){0,6}",
    ) {
        let header: String = fields.iter().flat_map(|(name, value)| [name.as_str(), ":", value.as_str(), "\r\n"]).collect();
        let message = format!("From: a@example.com\r\n{header}\r\n{body}");
        let field = KEYS.signers[1].sign(message.as_bytes(), AT).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let results = runtime.block_on(verify(format!("{field}{message}").as_bytes()));
        prop_assert_eq!(results, [true]);
    }
}
