//! A statement has a time limit (`store::limit`): a server that vanished without a word would hold up whoever asked for a quarter of an hour.

use super::assert_none;
use super::source::{Source, all};

/// Files whose statements have another limit, or none by design.
const EXCUSED: &[&str] = &[
    // One limit stands around the whole of what they do with a new connection.
    "src/store/connect.rs",
    "src/store/hosts.rs",
    // A migration takes as long as it takes, and the private server is on this machine.
    "src/store/migrate.rs",
    "src/store/embedded",
];
const CALLS: &[&str] = &[".fetch_one(", ".fetch_all(", ".fetch_optional(", ".execute("];

fn unlimited(sources: &[Source]) -> Vec<String> {
    let bound = sources.iter().filter(|source| source.path.starts_with("src/store/") && !EXCUSED.iter().any(|path| source.path.starts_with(path)));
    bound.flat_map(|source| calls(source).filter(|place| !is_limited(&source.shipped, *place)).map(|place| complaint(source, place))).collect()
}

fn calls(source: &Source) -> impl Iterator<Item = usize> {
    CALLS.iter().flat_map(|call| source.shipped.match_indices(call)).map(|(place, _)| place)
}

fn complaint(source: &Source, place: usize) -> String {
    format!("{}:{}: a statement without a time limit; add .limited(STATEMENT) or .limited(PATIENT)", source.path, source.line(place))
}

/// `within(.., call)` around it, or `.limited(..)` between it and its `.await`.
fn is_limited(code: &str, place: usize) -> bool {
    let (before, after) = code.split_at(place);
    let statement = before.rsplit([';', '{', '}']).next().unwrap_or_default();
    let rest = after.split(".await").next().unwrap_or_default();
    statement.contains("within(") || rest.contains(".limited(")
}

#[test]
fn every_statement_has_a_time_limit() {
    assert_none(&unlimited(&all()));
}

#[test]
fn a_statement_without_a_time_limit_is_found() {
    for (line, is_fine) in [
        ("let row = q!(\"select 1\").fetch_one(store.pool()).await?;", false),
        ("q!(\"select 1\").execute(&mut **tx).await?; other().limited(STATEMENT).await?;", false),
        ("q!(\"select 1\")\n.execute(&mut **tx)\n.limited(PATIENT)\n.await?;", true),
        ("within(STATEMENT, enter.fetch_one(self.pool())).await?;", true),
    ] {
        let text = format!("async fn f() {{ {line} }}");
        assert_eq!(unlimited(&[Source::new("src/store/site.rs", &text)]).is_empty(), is_fine, "{line}");
        assert_none(&unlimited(&[Source::new("src/store/migrate.rs", &text)]));
    }
}
