//! ARC against a program written by others: dkimpy verifies what we seal, and we what dkimpy seals (`tests/interop/dkim/arc.py`).

use std::collections::HashMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use time::macros::datetime;

use super::{Algorithm, Signer, generate, seal};
use crate::mail::authenticate::seals::{ArcState, Keys, verify};
use crate::model::DomainName;

const LETTER: &str =
    "From: Bee <bee@example.com>\r\nTo: ant@example.net\r\nSubject:  Honey \r\nDate: Sun, 22 Nov 2026 12:00:00 +0000\r\n\r\nSweet.\r\n\r\n";
const RESULTS: &str = "mx.example.net;\r\n\tspf=pass smtp.mailfrom=bee@example.com";

/// The answer of the script; none if what it needs is not installed.
fn dkimpy(document: &Value) -> Option<Value> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/dkim/arc.py");
    let mut child = Command::new("python3").arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
    let mut input = child.stdin.take()?;
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

#[test]
fn dkimpy_verifies_what_we_seal_and_we_what_it_seals() {
    let pair = generate(Algorithm::Rsa2048).unwrap();
    let signer = Signer::new(&DomainName::parse("one.example").unwrap(), "s1", Algorithm::Rsa2048, &pair.private_der).unwrap();
    let name = "s1._domainkey.one.example";
    let keys = Keys(HashMap::from([(name.to_owned(), Ok(vec![pair.record.clone()]))]));
    let at = datetime!(2026-11-22 12:00 UTC);
    let add = |message: &[u8], chain| [seal(&signer, message, RESULTS, chain, at).unwrap().unwrap().as_slice(), message].concat();
    let signed = format!("{}{LETTER}", signer.sign(LETTER.as_bytes(), at).unwrap());
    let first = add(signed.as_bytes(), ArcState::None);
    let second = add(&first, ArcState::Pass);
    let changed = String::from_utf8(second.clone()).unwrap().replace("Sweet", "Sour").into_bytes();
    let broken = add(&changed, ArcState::Fail);
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(pair.private_der.expose()));
    // It takes the state of the chain from the results.
    let found = format!("Authentication-Results: {RESULTS};\r\n\tarc=pass\r\n");
    let to_seal = [found.as_bytes(), first.as_slice()].concat();
    let chains: Vec<String> = [&first, &second, &changed, &broken].iter().map(|message| STANDARD.encode(message)).collect();
    let document = json!({
        "records": {format!("{name}."): pair.record},
        "verify": chains,
        "seal": {"message": STANDARD.encode(to_seal), "selector": "s1", "domain": "one.example", "key": pem, "host": "mx.example.net"},
    });
    let Some(answer) = dkimpy(&document) else {
        println!("skipped: python3 with dkimpy is not installed");
        return;
    };
    assert_eq!(answer["verified"], json!(["pass", "pass", "fail", "fail"]));
    let Some(sealed) = answer["sealed"].as_str() else {
        println!("skipped in part: python3 with authres is not installed");
        return;
    };
    let theirs = STANDARD.decode(sealed).unwrap();
    assert_eq!(verify(&theirs, &keys, at).arc, ArcState::Pass);
    let ours = add(&theirs, ArcState::Pass);
    assert_eq!(verify(&ours, &keys, at).arc, ArcState::Pass, "three sets by two programs");
}
