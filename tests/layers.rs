//! The rooms of `src/` import in one direction, so that each can be read and tested with only those below it in mind:
//!
//! ```text
//! error, util <- file <- page <- { pager | tree } <- txn <- table <- db
//! ```
//!
//! `pager` and `tree` never name each other. Tests inside `src/` may reach further. Also here: no file outgrows one
//! sitting, and every file says at its head what it is.

use std::path::{Path, PathBuf};

/// Rooms from below; the second of a pair at the same height.
const ORDER: &[&[&str]] = &[
    &["error", "util"],
    &["file"],
    &["page"],
    &["pager", "tree"],
    &["txn"],
    &["table"],
    &["db"],
];
/// Rooms at the same height that may name each other all the same.
const TOGETHER: &[&str] = &["error", "util"];
/// Most lines of a file.
const LINES: usize = 800;

fn height(room: &str) -> usize {
    let found = ORDER.iter().position(|rooms| rooms.contains(&room));
    found.unwrap_or_else(|| panic!("src/{room} is a room that tests/layers.rs does not know"))
}

fn sources(below: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(below)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
            let path = entry.expect("a directory entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                files.push(path);
            }
        }
    }
    assert!(!files.is_empty(), "no sources below {below}");
    files
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The room a source file of `src/` belongs to; `None`: the root, which declares the rooms.
fn room(path: &Path) -> Option<String> {
    let inside = path
        .strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
        .ok()?;
    let first = inside
        .components()
        .next()?
        .as_os_str()
        .to_str()?
        .trim_end_matches(".rs");
    (first != "lib").then(|| first.to_string())
}

/// Rooms that a line of code names through `crate::`.
fn named(line: &str) -> Vec<String> {
    let code = line.split("//").next().unwrap_or("");
    let mut rooms = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + 7..];
        // `use crate::{a, b}` names several.
        let names: Vec<&str> = match rest.strip_prefix('{') {
            Some(list) => list.split('}').next().unwrap_or("").split(',').collect(),
            None => vec![rest],
        };
        for name in names {
            let name = name.trim();
            let end = name
                .find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(name.len());
            // Capitals are re-exported types (`crate::Error`), `crate::Result` and the like.
            if name.starts_with(|c: char| c.is_lowercase()) {
                rooms.push(name[..end].to_string());
            }
        }
    }
    rooms
}

/// Whether a file is for tests only, and declared as such where it is a module.
fn is_test_file(path: &Path) -> bool {
    let name = path.file_stem().and_then(|name| name.to_str()).expect("a name");
    let parent = path.with_file_name("mod.rs");
    let declared = text(&parent);
    let at = declared.find(&format!("mod {name};"));
    at.is_some_and(|at| {
        declared[..at]
            .trim_end_matches(|c| c != '\n' && c != ']')
            .ends_with("#[cfg(test)]\n")
    })
}

#[test]
fn imports_point_downwards() {
    let mut wrong = Vec::new();
    for path in sources("src") {
        let Some(own) = room(&path) else { continue };
        if path.file_name().is_some_and(|name| name != "mod.rs")
            && path.parent().is_some_and(|p| p.ends_with(&own))
            && is_test_file(&path)
        {
            continue;
        }
        for (number, line) in text(&path).lines().enumerate() {
            if line.trim() == "#[cfg(test)]" && !is_declaration(&path, number) {
                break;
            }
            for other in named(line) {
                let together = TOGETHER.contains(&own.as_str()) && TOGETHER.contains(&other.as_str());
                let upwards = height(&other) > height(&own);
                let sideways = height(&other) == height(&own) && other != own && !together;
                if upwards || sideways {
                    wrong.push(format!("{}:{}: {own} names {other}", path.display(), number + 1));
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "imports that point upwards or sideways:\n{}",
        wrong.join("\n")
    );
}

/// Whether the attribute on this line stands before a mere `mod name;` and not before a block of tests.
fn is_declaration(path: &Path, number: usize) -> bool {
    let text = text(path);
    text.lines()
        .nth(number + 1)
        .is_some_and(|next| next.trim_end().ends_with(';'))
}

#[test]
fn the_rule_finds_what_it_should() {
    assert_eq!(named("use crate::pager::{Pager, View};"), ["pager"]);
    assert_eq!(named("use crate::{error::Result, tree, Error};"), ["error", "tree"]);
    assert_eq!(named("    crate::util::crc32c(x) + crate::page::f()"), ["util", "page"]);
    assert!(named("// see crate::db").is_empty());
    assert!(named("fn f() -> crate::Result<()> {").is_empty());
    assert!(height("db") > height("table") && height("pager") == height("tree"));
}

#[test]
fn no_file_is_longer_than_one_sitting() {
    let long: Vec<String> = ["src", "tests", "capi/src", "bench/src"]
        .iter()
        .flat_map(|folder| sources(folder))
        .map(|path| (text(&path).lines().count(), path))
        .filter(|(lines, _)| *lines > LINES)
        .map(|(lines, path)| format!("{}: {lines} lines", path.display()))
        .collect();
    assert!(
        long.is_empty(),
        "files of more than {LINES} lines:\n{}",
        long.join("\n")
    );
}

#[test]
fn every_file_says_what_it_is() {
    let silent: Vec<String> = ["src", "tests", "capi/src", "bench/src"]
        .iter()
        .flat_map(|folder| sources(folder))
        .filter(|path| !text(path).starts_with("//!"))
        .map(|path| path.display().to_string())
        .collect();
    assert!(
        silent.is_empty(),
        "files that do not begin with //!:\n{}",
        silent.join("\n")
    );
}

#[test]
fn documents_name_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut named = 0;
    for document in ["README.md", "docs/design.md", "docs/testing.md"] {
        let words = text(&root.join(document));
        // `tests/file.rs`, `src/room/file.rs`, `scripts/file.sh`, each maybe with `::test`.
        for word in words.split('`').skip(1).step_by(2) {
            let (path, test) = word.split_once("::").unwrap_or((word, ""));
            let is_path = ["tests/", "scripts/", "src/"].iter().any(|from| path.starts_with(from));
            if !is_path || path.contains(char::is_whitespace) {
                continue;
            }
            assert!(root.join(path).exists(), "{document} names {path}, which is not there");
            if !test.is_empty() {
                let found = text(&root.join(path)).contains(&format!("fn {test}("));
                assert!(found, "{document} names {path}::{test}, which is not there");
                named += 1;
            }
        }
    }
    assert!(named > 40, "only {named} tests are named");
}
