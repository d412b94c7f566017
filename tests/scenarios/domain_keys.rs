//! DKIM keys of a domain by API and program: rotated, and brought along from elsewhere.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pennypost::mail::dkim::{Algorithm, generate};
use serde_json::{Value, json};

use super::world::{World, database, program};

/// The selectors of a domain's DKIM records.
fn selectors(domain: &Value) -> Vec<String> {
    let records = domain["records"].as_array().unwrap_or_else(|| panic!("{domain:#}"));
    let dkim = records.iter().filter(|record| record["purpose"] == "dkim");
    dkim.map(|record| record["name"].as_str().unwrap().split('.').next().unwrap().to_owned()).collect()
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}

#[tokio::test]
async fn keys_are_rotated_and_imported_by_api_and_program_and_bad_ones_leave_nothing_behind() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let domain = gateway.get("/v1/domains").await.json()["data"][0].clone();
    let path = format!("/v1/domains/{}", domain["id"].as_str().unwrap());
    let old = selectors(&domain);

    let rotated = gateway.post(&format!("{path}/rotate-dkim"), &json!({})).await;
    assert_eq!(rotated.status, 200, "{:#}", rotated.json());
    let next = selectors(&rotated.json());
    assert!(next.len() == 4 && next[..2] == old, "{next:?}");

    let pair = generate(Algorithm::Ed25519).unwrap();
    let key = pem("PRIVATE KEY", pair.private_der.expose());
    let imported = gateway.post(&format!("{path}/dkim-keys"), &json!({"selector": "s2024", "private_key": key})).await;
    assert_eq!(imported.status, 200, "{:#}", imported.json());
    let record =
        imported.json()["records"].as_array().unwrap().iter().find(|record| record["name"] == "s2024._domainkey.sender.example").unwrap().clone();
    assert_eq!(record["value"], pair.record.as_str());
    let before = gateway.get(&path).await.json();
    assert_eq!(selectors(&before).len(), 3, "in place of the next keys");

    for (body, pointer) in [
        (json!({"selector": "s3", "private_key": "hello"}), "/private_key"),
        (json!({"selector": "s3", "private_key": pem("PRIVATE KEY", b"hello")}), "/private_key"),
        (json!({"selector": "a b", "private_key": key}), "/selector"),
        (json!({"selector": old[0], "private_key": key}), "/selector"),
    ] {
        let refused = gateway.post(&format!("{path}/dkim-keys"), &body).await;
        let problem = refused.json();
        assert!((400..500).contains(&refused.status) && problem["errors"][0]["pointer"] == pointer, "{body}: {problem:#}");
        assert!(!problem.to_string().contains("BEGIN"), "a key is not repeated: {problem:#}");
    }
    assert_eq!(gateway.get(&path).await.json(), before, "what is refused leaves nothing behind");
    for action in ["rotate-dkim", "dkim-keys"] {
        let body = json!({"selector": "s3", "private_key": key});
        let body = if action == "rotate-dkim" { json!({}) } else { body };
        assert_eq!(gateway.post(&format!("/v1/domains/dom_01jd5q0v0h7d6r2n8k4m3x9wbz/{action}"), &body).await.status, 404, "{action}");
    }

    let file = database::scratch().join("imported.pem");
    std::fs::write(&file, &key).unwrap();
    let file = file.to_str().unwrap().to_owned();
    for (arguments, code, said) in [
        (vec!["import-dkim", "sender.example", "--selector", "s2025", "--key", &file], 0, "s2025._domainkey.sender.example"),
        (vec!["import-dkim", "sender.example", "--selector", "s2026", "--key", "/nowhere"], 1, "/nowhere cannot be read"),
        (vec!["import-dkim", "nobody.example", "--selector", "s2026", "--key", &file], 1, "there is no domain nobody.example"),
        (vec!["rotate-dkim", "sender.example"], 0, "Publish the records that are missing"),
    ] {
        let mut command = program::command(&world, "");
        command.arg("domain").args(&arguments);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.code() == Some(code) && text.contains(said), "{arguments:?}: {text}");
    }
    assert_eq!(selectors(&gateway.get(&path).await.json()).len(), 4);
    gateway.stop().await;
}
