//! Each outside crate has a home: the rooms that know its types. A change of library then touches one room.

use super::assert_none;
use super::source::{Source, all};

/// A crate, and the paths below `src/` where it may be named.
const HOMES: &[(&str, &[&str])] = &[
    ("sqlx", &["store/"]),
    ("zstd", &["store/", "outbox/"]),
    ("hickory_resolver", &["net/", "lab/"]),
    ("hickory_proto", &["net/", "lab/"]),
    // A receiver of the demo checks signatures with the keys in DNS, which mail/ itself never does.
    ("quick_xml", &["mail/"]),
    ("mail_auth", &["mail/", "net/", "cli/demo/verify.rs"]),
    ("mail_builder", &["mail/"]),
    ("mail_parser", &["mail/"]),
    ("lettre", &["smtp/", "model/", "cli/send.rs", "cli/send_smtp.rs"]),
    ("rustls", &["net/", "smtp/", "lab/", "ops/certs", "http/listen"]),
    ("tokio_rustls", &["net/", "smtp/", "lab/", "ops/certs", "http/listen"]),
    ("rcgen", &["net/"]),
    ("x509_parser", &["net/"]),
    ("instant_acme", &["ops/certs"]),
    ("sd_notify", &["serve/"]),
    ("listenfd", &["serve/"]),
    ("webpki_roots", &["net/"]),
    ("axum", &["http/", "serve"]),
    ("utoipa", &["http/", "serve"]),
    ("utoipa_axum", &["http/", "serve"]),
    ("utoipa_swagger_ui", &["http/", "serve"]),
    ("jsonwebtoken", &["access/"]),
    ("argon2", &["access/", "portable/vault.rs"]),
    ("ipnet", &["config/"]),
    ("clap", &["cli/"]),
    ("csv", &["suppressions/"]),
    ("clap_complete", &["cli/"]),
    ("clap_mangen", &["cli/"]),
    ("comfy_table", &["cli/"]),
    ("anstream", &["cli/"]),
    ("owo_colors", &["cli/"]),
    ("toml", &["config/", "cli/", "portable/", "deliver/limits.rs", "deliver/class/rules.rs"]),
    ("rand", &["clock.rs"]),
    ("tracing_subscriber", &["telemetry/"]),
    ("tracing_appender", &["telemetry/"]),
    ("tracing_opentelemetry", &["telemetry/"]),
    ("opentelemetry", &["telemetry/"]),
    ("opentelemetry_sdk", &["telemetry/"]),
    ("opentelemetry_otlp", &["telemetry/"]),
    ("metrics_exporter_prometheus", &["telemetry/"]),
    ("mimalloc", &["main.rs"]),
];

/// Rooms whose types the API shows: there the schema may be derived, and nothing else of utoipa used.
const SCHEMAS: &[&str] = &[
    "model/",
    "mail/read.rs",
    "incoming/",
    "access/",
    "domains/",
    "outbox/",
    "events/",
    "suppressions/",
    "reports/",
    "webhooks/",
    "routes/",
    "accept/",
    "ops/doctor/",
    "ops/certs/",
];

fn strays(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources {
        let place = source.path.strip_prefix("src/").unwrap_or(&source.path);
        for (name, homes) in HOMES {
            let at_home = homes.iter().any(|home| place.starts_with(home));
            for offset in uses(&source.shipped, name).into_iter().filter(|_| !at_home) {
                let rest = &source.shipped[offset..];
                let schema = *name == "utoipa" && rest.starts_with("utoipa::ToSchema") && SCHEMAS.iter().any(|room| place.starts_with(room));
                if !schema {
                    complaints.push(format!("{}:{}: {name} is at home in {} only", source.path, source.line(offset), homes.join(", ")));
                }
            }
        }
    }
    complaints
}

/// Where `code` names the crate: as the first part of a path, or in a `use`.
fn uses(code: &str, name: &str) -> Vec<usize> {
    code.match_indices(name)
        .filter(|(offset, _)| {
            let before = code[..*offset].trim_end_matches("::");
            let inner =
                before.len() < *offset && before.ends_with(|character: char| character.is_alphanumeric() || character == '_' || character == '>');
            let starts = !code[..*offset].ends_with(|character: char| character.is_alphanumeric() || character == '_' || character == '.');
            let rest = &code[offset + name.len()..];
            let used = code[..*offset].trim_end().ends_with("use") && rest.starts_with([';', ' ']);
            starts && !inner && (rest.starts_with("::") || used)
        })
        .map(|(offset, _)| offset)
        .collect()
}

#[test]
fn outside_crates_are_named_at_home_only() {
    assert_none(&strays(&all()));
}

#[test]
fn a_crate_away_from_home_is_found() {
    for (path, text) in [
        ("src/outbox/mod.rs", "use sqlx::PgPool;"),
        ("src/deliver/plan.rs", "fn f() { hickory_resolver::Resolver::new() }"),
        ("src/accept/mod.rs", "#[derive(axum::extract::FromRequest)] struct A;"),
        ("src/accept/mod.rs", "use utoipa::openapi::Schema;"),
        ("src/deliver/mod.rs", "#[derive(utoipa::ToSchema)] struct A;"),
        ("src/cli/mod.rs", "use ::toml as t; use rustls;"),
    ] {
        assert_eq!(strays(&[Source::new(path, text)]).len(), 1, "{text}");
    }
    for (path, text) in [
        ("src/store/mod.rs", "use sqlx::PgPool;"),
        ("src/accept/request.rs", "#[derive(utoipa::ToSchema)] struct A;"),
        ("src/deliver/mod.rs", "use crate::mail::rand::x; // sqlx::query\nfn sqlx() {}"),
        ("src/cli/send.rs", "use lettre::Message;"),
        ("src/deliver/mod.rs", "#[cfg(test)]\nmod tests { use sqlx::PgPool; }"),
    ] {
        assert_none(&strays(&[Source::new(path, text)]));
    }
}
