//! Failpoints are for tests: nothing that ships is built with them, and each of them is somewhere.

use super::assert_none;
use super::source::{all, root, walk};

const SWITCH: &str = r#"#[cfg(all(feature = "failpoints", debug_assertions))]"#;
/// What a process with failpoints looks for; it stands in such a program as text.
const VARIABLE: &[u8] = b"PENNYPOST_FAILPOINT";

/// Who asks for the feature in a manifest, beside the tests.
fn asked_for(manifest: &str) -> Vec<String> {
    let manifest: toml::Table = manifest.parse().unwrap();
    let mut asking = Vec::new();
    for (section, content) in &manifest {
        let text = content.to_string();
        match section.as_str() {
            "features" if content.as_table().is_some_and(|features| features.len() == 1 && text.replace(' ', "") == "{failpoints=[]}") => {}
            "dev-dependencies" => {}
            "features" => asking.push(format!("[features] is to hold `failpoints = []` alone, and no default: {text}")),
            _ if text.contains("failpoints") => asking.push(format!("[{section}] names failpoints")),
            _ => {}
        }
    }
    asking
}

#[test]
fn the_feature_is_asked_for_by_tests_alone() {
    let root = root();
    assert_none(&asked_for(&std::fs::read_to_string(root.join("Cargo.toml")).unwrap()));
    let mut builders = ["Makefile", "Dockerfile", "docker-compose.yml", "build.rs"].map(|name| root.join(name)).to_vec();
    for folder in ["scripts", "bench", "clients", ".ci"] {
        walk(&root.join(folder), &mut builders);
    }
    let builds = |text: &str| text.contains("--features") || text.contains("--all-features");
    let wrong = builders.iter().filter(|path| std::fs::read_to_string(path).is_ok_and(|text| builds(&text)));
    assert_none(&wrong.map(|path| format!("{} builds with features", path.display())).collect::<Vec<_>>());
}

#[test]
fn a_manifest_that_ships_failpoints_is_found() {
    for wrong in [
        "[features]\nfailpoints = []\ndefault = [\"failpoints\"]",
        "[features]\nfailpoints = []\nother = [\"failpoints\"]",
        "[features]\nfailpoints = []\n[dependencies]\npennypost = { path = \".\", features = [\"failpoints\"] }",
    ] {
        assert_eq!(asked_for(wrong).len(), 1, "{wrong}");
    }
    assert_none(&asked_for("[features]\nfailpoints = []\n[dev-dependencies]\npennypost = { path = \".\", features = [\"failpoints\"] }"));
}

#[test]
fn one_file_holds_the_switch_and_it_needs_debug_assertions_too() {
    let complaints = all().into_iter().filter_map(|source| {
        let switches = source.text.matches("feature =").count();
        let known = if source.path == "src/failpoint.rs" { source.text.matches(SWITCH).count() } else { 0 };
        (switches != known).then(|| format!("{}: a switch by feature that is not {SWITCH} of src/failpoint.rs", source.path))
    });
    assert_none(&complaints.collect::<Vec<_>>());
}

#[test]
fn every_failpoint_is_somewhere() {
    let sources = all();
    let complaints = pennypost::failpoint::Failpoint::ALL.into_iter().filter_map(|point| {
        let call = format!("Failpoint::{point:?}.reach();");
        let found = sources.iter().any(|source| source.shipped.contains(&call));
        (!found).then(|| format!("no code has {call}"))
    });
    assert_none(&complaints.collect::<Vec<_>>());
}

#[test]
fn the_program_of_the_tests_has_failpoints_and_a_release_has_none() {
    let has = |program: &std::path::Path| std::fs::read(program).unwrap().windows(VARIABLE.len()).any(|window| window == VARIABLE);
    let tested = std::path::Path::new(env!("CARGO_BIN_EXE_pennypost"));
    assert_eq!(has(tested), cfg!(debug_assertions), "or the crash tests prove nothing");
    let release = root().join("target/release/pennypost");
    if release.exists() {
        assert!(!has(&release), "{} has failpoints", release.display());
    } else {
        println!("there is no release build to look at");
    }
}
