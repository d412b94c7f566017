//! Sources as text: comments, string literals and test code told apart from the code that ships.

use std::path::{Path, PathBuf};

/// One Rust file.
#[derive(Debug)]
pub(crate) struct Source {
    /// From the root of the project, with `/`.
    pub(crate) path: String,
    /// As it is.
    pub(crate) text: String,
    /// The text with comments and the inside of literals blanked; offsets and line ends are kept.
    pub(crate) code: String,
    /// `code` without what stands under `#[cfg(test)]`; blank for a file that is a test module.
    pub(crate) shipped: String,
    /// String literals that ship, with their offsets.
    pub(crate) strings: Vec<(usize, String)>,
}

impl Source {
    /// Reads `text` as the file at `path`.
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let (code, literals) = blank(text);
        let shipped = without_tests(&code);
        let ships = |offset: usize| shipped.as_bytes().get(offset).is_some_and(|octet| *octet == b'"');
        let strings = literals.into_iter().filter(|(offset, _)| ships(*offset)).collect();
        Self { path: path.to_owned(), text: text.to_owned(), code, shipped, strings }
    }

    /// The path of the module, `["store", "message"]`; empty for `lib.rs` and `main.rs`.
    pub(crate) fn module(&self) -> Vec<&str> {
        let inner = self.path.strip_prefix("src/").and_then(|path| path.strip_suffix(".rs")).unwrap_or_default();
        inner.split('/').filter(|part| !matches!(*part, "mod" | "lib" | "main")).collect()
    }

    /// The line of an offset, from 1.
    pub(crate) fn line(&self, offset: usize) -> usize {
        1 + self.text.bytes().take(offset).filter(|octet| *octet == b'\n').count()
    }
}

/// Every Rust file under `src`, test modules emptied of what ships.
pub(crate) fn all() -> Vec<Source> {
    let root = root();
    let mut files = Vec::new();
    walk(&root.join("src"), &mut files);
    let mut sources =
        files.iter().filter(|path| path.extension().is_some_and(|ending| ending == "rs")).map(|path| read(&root, path)).collect::<Vec<_>>();
    let tests = sources.iter().flat_map(test_files).collect::<Vec<_>>();
    for source in sources.iter_mut().filter(|source| tests.contains(&source.path)) {
        source.shipped.clear();
        source.strings.clear();
    }
    sources
}

/// The directory of the project.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below `directory`, sorted.
pub(crate) fn walk(directory: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    let mut entries = entries.filter_map(|entry| Some(entry.ok()?.path())).collect::<Vec<_>>();
    entries.sort();
    for path in entries {
        if path.is_dir() { walk(&path, files) } else { files.push(path) }
    }
}

fn read(root: &Path, path: &Path) -> Source {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    Source::new(&path.strip_prefix(root).unwrap_or(path).to_string_lossy(), &text)
}

/// The files that `#[cfg(test)] mod name;` declarations of a file stand for.
fn test_files(source: &Source) -> Vec<String> {
    let directory = source.path.rsplit_once('/').map_or("", |(directory, _)| directory);
    let own = source.path.strip_suffix("/mod.rs").or_else(|| source.path.strip_suffix(".rs")).unwrap_or_default();
    let after = |offset: usize| source.text.get(offset..).unwrap_or_default().lines().take(4).collect::<Vec<_>>().join("\n");
    source
        .code
        .match_indices("#[cfg(test)]")
        .filter_map(|(offset, _)| {
            let item = after(offset);
            let named = item.split("#[path = \"").nth(1).and_then(|rest| rest.split('"').next()).map(|name| format!("{directory}/{name}"));
            let module = item.split("mod ").nth(1).and_then(|rest| rest.split([';', ' ', '{']).next()).unwrap_or_default();
            named.or_else(|| item.contains(&format!("mod {module};")).then(|| format!("{own}/{module}.rs")))
        })
        .collect()
}

/// Blanks comments and the inside of literals; returns the strings with the offset of their opening quote.
fn blank(text: &str) -> (String, Vec<(usize, String)>) {
    let octets = text.as_bytes();
    let mut code = octets.to_vec();
    let mut strings = Vec::new();
    let mut at = 0;
    while at < octets.len() {
        let rest = &text.as_bytes()[at..];
        let end = if rest.starts_with(b"//") {
            at + rest.iter().position(|octet| *octet == b'\n').unwrap_or(rest.len())
        } else if rest.starts_with(b"/*") {
            at + comment_end(rest)
        } else if let Some(hashes) = raw_start(octets, at) {
            let closing = format!("\"{}", "#".repeat(hashes));
            let from = at + 2 + hashes;
            let inside = text[from..].find(&closing).unwrap_or(text.len() - from);
            // The quote stays, so that code shows where a string was.
            strings.push((from - 1, text[from..from + inside].to_owned()));
            fill(&mut code, from, from + inside);
            at = from + inside + closing.len();
            continue;
        } else if rest[0] == b'"' {
            let length = quoted_end(&rest[1..]);
            strings.push((at, text[at + 1..at + 1 + length].to_owned()));
            fill(&mut code, at + 1, at + 1 + length);
            at += length + 2;
            continue;
        } else if rest[0] == b'\'' {
            at += character_end(rest, &mut code, at);
            continue;
        } else {
            at += 1;
            continue;
        };
        fill(&mut code, at, end);
        at = end;
    }
    (String::from_utf8(code).unwrap_or_default(), strings)
}

fn fill(code: &mut [u8], from: usize, to: usize) {
    let end = to.min(code.len());
    code[from.min(end)..end].iter_mut().filter(|octet| **octet != b'\n').for_each(|octet| *octet = b' ');
}

fn comment_end(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += 1;
        }
    }
    at
}

/// The number of `#` if a raw string starts here.
fn raw_start(octets: &[u8], at: usize) -> Option<usize> {
    let word_before = at > 0 && octets[at - 1] != b'b' && (octets[at - 1].is_ascii_alphanumeric() || octets[at - 1] == b'_');
    if octets[at] != b'r' || word_before {
        return None;
    }
    let hashes = octets[at + 1..].iter().take_while(|octet| **octet == b'#').count();
    (octets.get(at + 1 + hashes) == Some(&b'"')).then_some(hashes)
}

fn quoted_end(rest: &[u8]) -> usize {
    let mut at = 0;
    while at < rest.len() && rest[at] != b'"' {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    at.min(rest.len())
}

/// The length of a character literal, which is blanked, or of the quote of a lifetime.
fn character_end(rest: &[u8], code: &mut [u8], at: usize) -> usize {
    let text = String::from_utf8_lossy(rest.get(1..16.min(rest.len())).unwrap_or_default()).into_owned();
    let mut characters = text.chars();
    let first = characters.next().unwrap_or(' ');
    let length = if first == '\\' {
        let skip = 1 + text[1..].chars().next().map_or(0, char::len_utf8);
        text.get(skip..).and_then(|tail| tail.find('\'')).map(|end| skip + end)
    } else {
        (characters.next() == Some('\'')).then(|| first.len_utf8())
    };
    match length {
        Some(length) => {
            fill(code, at + 1, at + 1 + length);
            length + 2
        }
        None => 1,
    }
}

/// The end of the item that starts at `from`: behind its block, or behind its semicolon.
pub(crate) fn item_end(code: &str, from: usize) -> usize {
    let mut depth = 0_usize;
    for (offset, octet) in code.bytes().enumerate().skip(from) {
        match octet {
            b'{' | b'(' | b'[' => depth += 1,
            b'}' | b')' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 && octet == b'}' {
                    return offset + 1;
                }
            }
            b';' if depth == 0 => return offset + 1,
            _ => {}
        }
    }
    code.len()
}

fn without_tests(code: &str) -> String {
    let mut shipped = code.as_bytes().to_vec();
    for (offset, mark) in code.match_indices("#[cfg(test)]") {
        fill(&mut shipped, offset, item_end(code, offset + mark.len()));
    }
    String::from_utf8(shipped).unwrap_or_default()
}

#[test]
fn literals_and_comments_are_no_code() {
    let text = "fn a() { // crate::store\n let b = \"sqlx::query\"; let c = '\"'; let d: &'static str = r#\"crate::\"x\"#; /* /* */ x */ }";
    let source = Source::new("src/a.rs", text);
    assert!(!source.code.contains("crate") && !source.code.contains("sqlx") && source.code.contains("&'static str"), "{}", source.code);
    assert_eq!(source.strings.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>(), ["sqlx::query", "crate::\"x"]);
    assert_eq!(source.code.len(), text.len());
}

#[test]
fn what_stands_under_cfg_test_does_not_ship() {
    let source = Source::new("src/a.rs", "use a::b;\n#[cfg(test)]\nmod tests {\n    use crate::lab; fn x() { \"y\" }\n}\nfn after() { \"z\" }\n");
    assert!(source.shipped.contains("use a::b") && source.shipped.contains("after") && !source.shipped.contains("lab"));
    assert_eq!(source.strings.len(), 1);
}

#[test]
fn a_test_module_in_a_file_of_its_own_is_known() {
    let declared = Source::new("src/a/b.rs", "#[cfg(test)]\n#[path = \"b_tests.rs\"]\nmod tests;\n#[cfg(test)]\nmod model;\n");
    assert_eq!(test_files(&declared), ["src/a/b_tests.rs", "src/a/b/model.rs"]);
}
