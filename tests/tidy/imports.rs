//! Who may import whom. The arrows all point down: words, protocols, database, rules, flow, doors, top.

use std::collections::{BTreeMap, BTreeSet};

use super::assert_none;
use super::source::{Source, all};

/// The table: a room, and the rooms it may name. Every room may name the words.
const ALLOWED: &[(&str, &[&str])] = &[
    // words
    ("model", &[]),
    ("clock", &[]),
    ("supervisor", &[]),
    ("config", &[]),
    ("failpoint", &[]),
    ("recent", &["clock"]),
    ("telemetry", &["config"]),
    // protocols
    ("mail", &[]),
    ("net", &[]),
    ("smtp", &["net"]),
    ("lab", &["net", "smtp"]),
    // database
    ("store", &[]),
    // rules
    ("access", &["store", "mail", "net", "smtp"]),
    ("events", &["store", "mail", "net", "smtp"]),
    // A change of a domain's state is told together with its event.
    ("domains", &["store", "mail", "net", "smtp", "events"]),
    // A change of state is told together with its event, so the outbox names the kinds of events.
    ("outbox", &["store", "mail", "net", "smtp", "events"]),
    ("suppressions", &["store"]),
    ("reports", &["store", "mail"]),
    // Kept mail is packed as the outbox packs its own.
    ("incoming", &["store", "mail", "outbox"]),
    ("transit", &["store", "mail", "net", "smtp"]),
    // Secrets are sealed as those of domains are.
    ("webhooks", &["store", "net", "domains", "events"]),
    // A route belongs to a domain, and one that posts has an endpoint.
    ("routes", &["store", "domains", "webhooks"]),
    // flow
    ("accept", &["store", "mail", "net", "smtp", "access", "domains", "events", "outbox"]),
    ("deliver", &["store", "mail", "net", "smtp", "access", "domains", "events", "outbox", "transit"]),
    ("consumers", &["store", "mail", "net", "events", "outbox", "suppressions", "incoming", "webhooks"]),
    // What a report quotes is judged by the rules of the engine.
    ("inbound", &["store", "mail", "net", "access", "accept", "domains", "events", "outbox", "reports", "webhooks", "routes", "deliver"]),
    // What the house itself writes goes out by the same door as everybody's mail.
    ("ops", &["store", "mail", "net", "smtp", "access", "domains", "routes", "events", "outbox", "transit", "incoming", "webhooks", "accept"]),
    // The configuration as text: each room reads and writes its own rows, in one transaction.
    ("portable", &["store", "mail", "access", "domains", "webhooks", "routes", "suppressions"]),
    // doors: never the database, never the engine
    ("http", &["mail", "net", "access", "domains", "events", "outbox", "suppressions", "reports", "incoming", "webhooks", "routes", "accept", "ops"]),
    ("smtpd", &["mail", "net", "smtp", "access", "domains", "events", "outbox", "accept", "inbound", "ops"]),
    // top
    (
        "serve",
        &[
            "store",
            "mail",
            "net",
            "smtp",
            "access",
            "domains",
            "events",
            "outbox",
            "suppressions",
            "reports",
            "transit",
            "incoming",
            "webhooks",
            "routes",
            "accept",
            "deliver",
            "consumers",
            "inbound",
            "ops",
            "http",
            "smtpd",
        ],
    ),
    (
        "cli",
        &[
            "store",
            "mail",
            "net",
            "smtp",
            "lab",
            "access",
            "domains",
            "events",
            "outbox",
            "suppressions",
            "reports",
            "incoming",
            "webhooks",
            "routes",
            "inbound",
            "ops",
            "portable",
            "serve",
        ],
    ),
    ("main", &["cli"]),
];

/// Words: named by all. A word itself names `model` only, and what its row allows.
const WORDS: &[&str] = &["model", "clock", "supervisor", "config", "failpoint", "recent", "telemetry"];

/// The rooms that a file's shipped code names, with the offset of the first naming.
fn named(source: &Source) -> BTreeMap<String, usize> {
    let mut rooms = BTreeMap::new();
    let mut note = |room: &str, offset: usize| {
        if !room.is_empty() && room != "self" {
            rooms.entry(room.to_owned()).or_insert(offset);
        }
    };
    let own_crate = if source.path == "src/main.rs" { "pennypost::" } else { "crate::" };
    for (offset, mark) in source.shipped.match_indices(own_crate) {
        if starts_word(&source.shipped, offset) {
            for room in heads(&source.shipped[offset + mark.len()..]) {
                note(&room, offset);
            }
        }
    }
    for (offset, climbed, end) in climbs(&source.shipped) {
        if climbed == source.module().len() + open_modules(&source.shipped[..offset]) {
            for room in heads(&source.shipped[end..]) {
                note(&room, offset);
            }
        }
    }
    rooms
}

fn starts_word(text: &str, offset: usize) -> bool {
    !text[..offset].ends_with(|before: char| before.is_alphanumeric() || before == '_' || before == ':' || before == '$')
}

/// The first names of a path, or of each path of a group in braces.
fn heads(rest: &str) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|character| character.is_alphanumeric() || *character == '_').collect::<String>();
    let Some(group) = rest.strip_prefix('{') else { return vec![word(rest)] };
    let mut depth = 0;
    let mut start = 0;
    let mut found = Vec::new();
    for (offset, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                found.push(word(group[start..offset].trim_start()));
                start = offset + 1;
                if character == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    found
}

/// Each chain of `super::`: its offset, its length, where it ends.
fn climbs(code: &str) -> Vec<(usize, usize, usize)> {
    let mut chains = Vec::new();
    let mut behind = 0;
    for (offset, mark) in code.match_indices("super::") {
        if offset < behind || !starts_word(code, offset) {
            continue;
        }
        let mut end = offset;
        let mut climbed = 0;
        while code[end..].starts_with(mark) {
            climbed += 1;
            end += mark.len();
        }
        chains.push((offset, climbed, end));
        behind = end;
    }
    chains
}

/// How many inline modules are open at the end of `code`.
fn open_modules(code: &str) -> usize {
    let mut blocks = Vec::new();
    let mut item = 0;
    for (offset, octet) in code.bytes().enumerate() {
        match octet {
            b'{' => {
                blocks.push(code[item..offset].split_whitespace().rev().nth(1) == Some("mod"));
                item = offset + 1;
            }
            b'}' => {
                blocks.pop();
                item = offset + 1;
            }
            b';' => item = offset + 1,
            _ => {}
        }
    }
    blocks.into_iter().filter(|is_module| *is_module).count()
}

fn room_of(source: &Source) -> String {
    source.module().first().map_or_else(|| if source.path == "src/main.rs" { "main".to_owned() } else { "lib".to_owned() }, |room| (*room).to_owned())
}

fn forbidden(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources.iter().filter(|source| source.path != "src/lib.rs") {
        let room = room_of(source);
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == room) else {
            complaints.push(format!("{}: the room {room} is not in the table of tests/tidy/imports.rs", source.path));
            continue;
        };
        for (other, offset) in named(source) {
            let word = if WORDS.contains(&room.as_str()) { other == "model" } else { WORDS.contains(&other.as_str()) };
            let known = ALLOWED.iter().any(|(name, _)| *name == other);
            if known && other != room && !word && !allowed.contains(&other.as_str()) {
                complaints.push(format!("{}:{}: {room} may not import {other}", source.path, source.line(offset)));
            }
        }
    }
    complaints
}

/// A way round a circle of rooms, if there is one.
fn cycle(sources: &[Source]) -> Option<Vec<String>> {
    let mut edges = BTreeMap::<String, BTreeSet<String>>::new();
    for source in sources.iter().filter(|source| source.path != "src/lib.rs") {
        let room = room_of(source);
        edges.entry(room.clone()).or_default().extend(named(source).into_keys().filter(|other| *other != room));
    }
    let mut done = BTreeSet::new();
    edges.keys().find_map(|room| descend(room, &edges, &mut Vec::new(), &mut done))
}

fn descend(room: &str, edges: &BTreeMap<String, BTreeSet<String>>, way: &mut Vec<String>, done: &mut BTreeSet<String>) -> Option<Vec<String>> {
    if let Some(start) = way.iter().position(|passed| passed == room) {
        return Some(way[start..].iter().cloned().chain([room.to_owned()]).collect());
    }
    if done.contains(room) {
        return None;
    }
    way.push(room.to_owned());
    let found = edges.get(room).into_iter().flatten().find_map(|next| descend(next, edges, way, done));
    way.pop();
    done.insert(room.to_owned());
    found
}

#[test]
fn rooms_import_only_what_the_table_allows() {
    assert_none(&forbidden(&all()));
}

#[test]
fn rooms_form_no_circle() {
    assert_eq!(cycle(&all()), None);
}

#[test]
fn an_import_that_is_not_allowed_is_found_in_every_spelling() {
    for text in [
        "use crate::store::Store;",
        "use crate::{model, store::{self, Tx}};",
        "fn f() { crate::store::go() }",
        "pub use super::super::store;",
        "mod inner { use super::super::super::store::Tx; }",
    ] {
        let source = Source::new("src/http/send.rs", text);
        assert_eq!(forbidden(&[source]), ["src/http/send.rs:1: http may not import store"], "{text}");
    }
    for text in [
        "use crate::model::Id;",
        "use super::store;",
        "use super::super::accept;",
        "// crate::store",
        "#[cfg(test)]\nmod tests { use crate::store; }",
    ] {
        let source = Source::new("src/http/send.rs", text);
        assert_none(&forbidden(&[source]));
    }
    assert_eq!(forbidden(&[Source::new("src/clock.rs", "use super::config::Dns;")]), ["src/clock.rs:1: clock may not import config"]);
    assert_eq!(forbidden(&[Source::new("src/zebra.rs", "")]).len(), 1);
    assert_eq!(forbidden(&[Source::new("src/main.rs", "fn main() { pennypost::serve::run() }")]), ["src/main.rs:1: main may not import serve"]);
}

#[test]
fn a_circle_is_found_and_told() {
    let sources = [
        Source::new("src/accept/mod.rs", "use crate::outbox;"),
        Source::new("src/outbox/mod.rs", "use crate::store;"),
        Source::new("src/store/mod.rs", "use crate::accept;"),
    ];
    assert_eq!(cycle(&sources), Some(["accept", "outbox", "store", "accept"].map(str::to_owned).to_vec()));
    assert_eq!(cycle(&sources[..2]), None);
}

#[test]
fn the_table_itself_points_down() {
    for (place, (room, allowed)) in ALLOWED.iter().enumerate() {
        for other in *allowed {
            assert!(ALLOWED[..place].iter().any(|(name, _)| name == other), "{room} may import {other}, which stands below it");
        }
    }
}
