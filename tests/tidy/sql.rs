//! SQL stands in `store/` only, and each table is written by one file, so that one file holds what must be true of its rows.

use std::collections::{BTreeMap, BTreeSet};

use super::assert_none;
use super::source::{Source, all};

/// Tables that more than one file may write, with the reason. Keep it short.
const SHARED: &[(&str, &[&str])] = &[
    // What operators change stands apart from what moves mail; both write a delivery and its event in one statement.
    ("delivery", &["src/store/outbox.rs", "src/store/operator.rs"]),
    // An event is written in the transaction of the change it tells of: of a delivery, or of a domain. What is reported about a delivery
    // that is over changes nothing in the outbox, nor does mail from the world.
    ("event", &["src/store/outbox.rs", "src/store/operator.rs", "src/store/domain.rs", "src/store/report.rs", "src/store/incoming.rs"]),
];

fn words(text: &str) -> Vec<String> {
    let part = |character: char| !(character.is_alphanumeric() || character == '_');
    text.to_lowercase().split(part).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn is_sql(text: &str) -> bool {
    let words = words(text);
    let after = |first: &str, second: &str| {
        let start = words.iter().position(|word| word == first);
        start.is_some_and(|start| words[start..].iter().any(|word| word == second))
    };
    let leads = |first: &str| words.first().is_some_and(|word| word == first);
    leads("select") && (after("select", "from") || words.len() < 3)
        || after("insert", "into") && after("into", "values")
        || leads("update") && after("update", "set")
        || leads("delete") && after("delete", "from")
        || leads("with") && after("as", "select")
        || ["create", "alter", "drop", "truncate"].iter().any(|verb| leads(verb) && words.iter().any(|word| word == "table"))
}

fn outside_store(sources: &[Source]) -> Vec<String> {
    let outside = sources.iter().filter(|source| !source.path.starts_with("src/store/"));
    outside
        .flat_map(|source| source.strings.iter().filter(|(_, text)| is_sql(text)).map(move |(offset, _)| (source, *offset)))
        .map(|(source, offset)| format!("{}:{}: SQL stands in src/store/ only", source.path, source.line(offset)))
        .collect()
}

/// The tables whose rows a statement writes.
fn written(text: &str) -> BTreeSet<String> {
    let words = words(text);
    let mut tables = BTreeSet::new();
    for (place, word) in words.iter().enumerate() {
        let before = place.checked_sub(1).and_then(|before| words.get(before)).map_or("", String::as_str);
        let [next, target] = [1, 2].map(|step| words.get(place + step).map_or("", String::as_str));
        let table = match word.as_str() {
            "insert" if next == "into" => target,
            "delete" if next == "from" => target,
            // `for update` locks and `do update set` belongs to an insert.
            "update" if !matches!(before, "for" | "do" | "key") && next != "set" && !next.is_empty() => next,
            _ => continue,
        };
        tables.insert(table.to_owned());
    }
    tables
}

fn written_twice(sources: &[Source], shared: &[(&str, &[&str])]) -> Vec<String> {
    let mut writers = BTreeMap::<String, BTreeSet<String>>::new();
    for source in sources.iter().filter(|source| source.path.starts_with("src/store/")) {
        for table in source.strings.iter().filter(|(_, text)| is_sql(text) || text.contains("insert into")).flat_map(|(_, text)| written(text)) {
            writers.entry(table).or_default().insert(source.path.clone());
        }
    }
    let excused = |table: &str, files: &BTreeSet<String>| {
        shared.iter().any(|(name, allowed)| *name == table && files.iter().all(|file| allowed.contains(&file.as_str())))
    };
    writers
        .into_iter()
        .filter(|(table, files)| files.len() > 1 && !excused(table, files))
        .map(|(table, files)| format!("the table {table} is written by {}", files.into_iter().collect::<Vec<_>>().join(" and ")))
        .collect()
}

#[test]
fn sql_stands_in_store_only() {
    assert_none(&outside_store(&all()));
}

#[test]
fn each_table_is_written_by_one_file() {
    assert_none(&written_twice(&all(), SHARED));
}

#[test]
fn sql_outside_its_room_is_found() {
    for statement in ["select 1", "select id\n from message", "insert into a (b) values ($1)", "update a set b = 1", "delete from a", "drop table a"]
    {
        let text = format!("fn f() {{ query(\"{statement}\") }}");
        assert_eq!(outside_store(&[Source::new("src/outbox/mod.rs", &text)]).len(), 1, "{statement}");
        assert_none(&outside_store(&[Source::new("src/store/message.rs", &text)]));
    }
    for prose in ["select a domain", "deletes messages from the queue", "update the record in your zone", "with the API", "create a key"] {
        assert!(!is_sql(prose), "{prose}");
    }
}

#[test]
fn a_table_with_two_writers_is_found() {
    let one = Source::new("src/store/delivery.rs", "fn f() { q!(\"with gone as (delete from delivery) insert into event select 1 from gone\") }");
    let two = Source::new("src/store/event.rs", "fn f() { q!(r#\"insert into event (a) values ($1) on conflict do update set a = 1\"#) }");
    let reader = Source::new("src/store/stats.rs", "fn f() { q!(\"select * from delivery for update skip locked\") }");
    let sources = [one, two, reader];
    assert_eq!(written_twice(&sources, &[]), ["the table event is written by src/store/delivery.rs and src/store/event.rs"]);
    assert_none(&written_twice(&sources, &[("event", &["src/store/delivery.rs", "src/store/event.rs"])]));
}
