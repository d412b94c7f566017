//! Sizes and heads: a file says what it answers, and neither files nor functions grow beyond what a reader holds in mind.

use super::assert_none;
use super::source::{Source, all, item_end, root, walk};

const FILE_LINES: usize = 500;
const FUNCTION_LINES: usize = 80;

fn headless(sources: &[Source]) -> Vec<String> {
    let said = |source: &&Source| !source.text.starts_with("//! ");
    sources.iter().filter(said).map(|source| format!("{}: no `//!` head that says what it answers", source.path)).collect()
}

fn long_files(sources: &[Source]) -> Vec<String> {
    let lines = sources.iter().map(|source| (source, source.text.lines().count()));
    lines.filter(|(_, lines)| *lines > FILE_LINES).map(|(source, lines)| format!("{}: {lines} lines, over {FILE_LINES}", source.path)).collect()
}

fn long_functions(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources {
        for (offset, _) in source.code.match_indices("fn ") {
            let starts = offset == 0 || source.code[..offset].ends_with([' ', '\n', '(']);
            let name = source.code[offset + 3..].chars().take_while(|character| character.is_alphanumeric() || *character == '_').collect::<String>();
            if !starts || name.is_empty() {
                continue;
            }
            let end = item_end(&source.code, offset);
            let lines = source.line(end.saturating_sub(1)) - source.line(offset) + 1;
            if lines > FUNCTION_LINES {
                complaints.push(format!("{}:{}: {name} has {lines} lines, over {FUNCTION_LINES}", source.path, source.line(offset)));
            }
        }
    }
    complaints
}

/// Paths that exist on one machine only.
fn machine_paths(path: &str, text: &str) -> Vec<String> {
    let marks = ["/home/", "/Users/", "/root/"];
    let lines = text.lines().enumerate();
    lines
        .filter(|(_, line)| marks.iter().any(|mark| line.match_indices(mark).any(|(offset, _)| starts_path(line, offset))))
        .map(|(place, line)| format!("{path}:{}: a path of one machine: {}", place + 1, line.trim()))
        .collect()
}

fn starts_path(line: &str, offset: usize) -> bool {
    !line[..offset].ends_with(|before: char| before.is_alphanumeric() || "}_-.$/".contains(before))
}

/// This project's own files that are text, without what is generated or built.
fn texts() -> Vec<(String, String)> {
    let root = root();
    let mut files =
        std::fs::read_dir(&root).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_file()).collect();
    for room in ["src", "tests", "docs", "scripts", "bench", "migrations", ".ci", "openapi", "clients"] {
        walk(&root.join(room), &mut files);
    }
    let own = files.iter().filter(|path| {
        !path.components().any(|part| matches!(part.as_os_str().to_str(), Some(".git" | "node_modules" | "tidy" | "__pycache__" | ".venv")))
    });
    own.filter_map(|path| Some((path.strip_prefix(&root).ok()?.to_string_lossy().into_owned(), std::fs::read_to_string(path).ok()?))).collect()
}

#[test]
fn every_file_says_what_it_answers() {
    assert_none(&headless(&all()));
}

#[test]
fn files_and_functions_stay_small() {
    assert_none(&long_files(&all()));
    assert_none(&long_functions(&all()));
}

#[test]
fn no_text_names_a_path_of_one_machine() {
    assert_none(&texts().iter().flat_map(|(path, text)| machine_paths(path, text)).collect::<Vec<_>>());
}

#[test]
fn a_file_without_head_or_with_too_many_lines_is_found() {
    assert_eq!(headless(&[Source::new("src/a.rs", "use b;\n//! late\n")]).len(), 1);
    let lines = "//! A.\n".repeat(FILE_LINES);
    assert_none(&long_files(&[Source::new("src/a.rs", &lines)]));
    assert_eq!(long_files(&[Source::new("src/a.rs", &format!("{lines}x\n"))]).len(), 1);
}

#[test]
fn a_function_with_too_many_lines_is_found() {
    let function = |lines: usize| {
        format!("impl A {{\n    pub async fn long(&self, f: impl Fn(u8) -> [u8; 3]) {{\n{}    }}\n}}\n", "        x();\n".repeat(lines - 2))
    };
    assert_none(&long_functions(&[Source::new("src/a.rs", &function(FUNCTION_LINES))]));
    let found = long_functions(&[Source::new("src/a.rs", &function(FUNCTION_LINES + 1))]);
    assert_eq!(found, ["src/a.rs:2: long has 81 lines, over 80"]);
    assert_none(&long_functions(&[Source::new("src/a.rs", &format!("struct A(fn(u8));\n{}", "// x\n".repeat(100)))]));
}

#[test]
fn a_path_of_one_machine_is_found() {
    assert_eq!(machine_paths("a", "x\nlog in /home/penny/mail\n"), ["a:2: a path of one machine: log in /home/penny/mail"]);
    assert_eq!(machine_paths("a", "cd \"/root/mail\"").len(), 1);
    assert_none(&machine_paths("a", "https://example.com/home/ and ./root/x and $HOME/root/"));
}
