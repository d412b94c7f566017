//! Texts that are printed from code, or name it, are in step with it.

use pennypost::telemetry::catalog;

use super::assert_none;
use super::source::{root, walk};

/// Set to write generated pages instead of comparing them; `make gen` does.
const WRITE: &str = "PENNYPOST_WRITE_DOCS";

#[test]
fn the_page_of_metrics_is_printed_from_their_declarations() {
    let path = root().join("docs/operate/metrics.md");
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, catalog::page()).unwrap();
    }
    let page = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(page == catalog::page(), "docs/operate/metrics.md is stale: run `make gen`");
}

/// The files that a text names in backticks and that do not exist.
fn missing(path: &str, text: &str, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let rooms = ["src/", "tests/", "docs/", "scripts/", "migrations/", "bench/", "openapi/", "clients/"];
    let mut complaints = Vec::new();
    for (place, line) in text.lines().enumerate() {
        for named in line.split('`').skip(1).step_by(2).filter(|named| rooms.iter().any(|room| named.starts_with(room))) {
            if !named.contains(['*', ' ', '{', '<']) && !exists(named) {
                complaints.push(format!("{path}:{}: names {named}, which does not exist", place + 1));
            }
        }
    }
    complaints
}

#[test]
fn files_named_in_the_documentation_exist() {
    let root = root();
    let mut pages = Vec::new();
    walk(&root.join("docs"), &mut pages);
    pages.extend(["README.md", "CONTRIBUTING.md"].map(|name| root.join(name)));
    let complaints = pages.iter().filter(|page| page.extension().is_some_and(|ending| ending == "md")).flat_map(|page| {
        let text = std::fs::read_to_string(page).unwrap_or_default();
        missing(&page.strip_prefix(&root).unwrap_or(page).to_string_lossy(), &text, |named| root.join(named).exists())
    });
    assert_none(&complaints.collect::<Vec<_>>());
}

#[test]
fn a_page_that_names_a_missing_file_is_found() {
    let found = missing("docs/a.md", "see `src/clock.rs`\nand `src/gone.rs` or `tests/*.rs`", |named| named == "src/clock.rs");
    assert_eq!(found, ["docs/a.md:2: names src/gone.rs, which does not exist"]);
}
