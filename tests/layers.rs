//! Which file may name which. Two rules:
//!
//! The rooms of `src/` import in one direction, so that each can be read and tested with only those below it in mind:
//!
//! ```text
//! error, ids, util <- file <- page <- { pager | tree } <- catalogue <- txn <- db <- maintain
//! ```
//!
//! And no circle of files anywhere, in `src/`, `capi/src/`, `cli/src/` and `bench/src/`: a file can be understood once
//! those that it names are. A folder's `mod.rs` counts like any other file, so it may have what its children use, or
//! use its children, but not both; declaring them (`mod x;`) and passing on what they have (`pub use x::Y;`) is
//! neither.
//!
//! Unit tests may name what they like. `sources/imports.rs` says what the analysis sees and what it does not.

mod sources;

use sources::imports::{Import, Package};
use sources::{allow, Source};
use std::collections::{BTreeMap, VecDeque};

/// Rooms from below; those in one line do not name each other.
const ORDER: &[&[&str]] = &[
    &["util"],
    &["ids"],
    &["error"],
    &["file"],
    &["page"],
    &["pager", "tree"],
    &["catalogue"],
    &["txn"],
    &["db"],
    &["maintain"],
];

fn height(room: &str) -> usize {
    let found = ORDER.iter().position(|rooms| rooms.contains(&room));
    found.unwrap_or_else(|| panic!("src/{room} is a room that tests/layers.rs does not know"))
}

fn package(folder: &str) -> Package {
    Package::new(folder, sources::below(folder))
}

#[test]
fn rooms_import_downwards() {
    let package = package("src");
    let mut wrong = Vec::new();
    for (number, file) in package.files.iter().enumerate() {
        // The root declares the rooms and belongs to none.
        let Some(own) = file.module.first() else { continue };
        for Import { file: target, line } in package.imports(number) {
            let target = &package.files[target];
            let Some(other) = target.module.first() else {
                wrong.push(format!("{}:{line}: names an item of the root", file.source.name));
                continue;
            };
            if other != own && height(other) >= height(own) {
                wrong.push(format!("{}:{line}: {own} names {other}", file.source.name));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "imports that point upwards or sideways:\n{}",
        wrong.join("\n")
    );
}

/// How many files are still in circles. The number may only become smaller.
const LEFT_IN_CIRCLES: usize = 0;

/// The circles of a package.
struct Circles {
    /// Files that are in one.
    files: usize,
    /// The shortest one through each of these files, every circle once, as lines to print.
    shortest: Vec<String>,
}

fn circles(package: &Package) -> Circles {
    let imports: Vec<Vec<Import>> = (0..package.files.len()).map(|file| package.imports(file)).collect();
    let (mut files, mut shortest) = (0, BTreeMap::new());
    for start in 0..imports.len() {
        let Some(circle) = circle_through(start, &imports) else {
            continue;
        };
        files += 1;
        let name = |file: usize| &package.files[file].source.name;
        let lines = circle
            .iter()
            .map(|(file, import)| format!("  {}:{} names {}", name(*file), import.line, name(import.file)));
        let lines: Vec<String> = lines.collect();
        let mut members: Vec<usize> = circle.iter().map(|(file, _)| *file).collect();
        members.sort_unstable();
        shortest.entry(members).or_insert(lines.join("\n"));
    }
    Circles {
        files,
        shortest: shortest.into_values().collect(),
    }
}

/// The shortest way from a file back to itself: each file on it with its import of the next.
fn circle_through(start: usize, imports: &[Vec<Import>]) -> Option<Vec<(usize, Import)>> {
    // How each file was first reached, breadth first.
    let mut reached: BTreeMap<usize, (usize, Import)> = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(file) = queue.pop_front() {
        for import in &imports[file] {
            reached.entry(import.file).or_insert_with(|| {
                queue.push_back(import.file);
                (file, *import)
            });
        }
    }
    let mut circle = vec![*reached.get(&start)?];
    while circle[circle.len() - 1].0 != start {
        circle.push(reached[&circle[circle.len() - 1].0]);
    }
    circle.reverse();
    Some(circle)
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let found: Vec<Circles> = ["src", "capi/src", "cli/src", "cli/lmdb/src", "bench/src"]
        .iter()
        .map(|folder| circles(&package(folder)))
        .collect();
    let files: usize = found.iter().map(|circles| circles.files).sum();
    allow(LEFT_IN_CIRCLES, files, "no file is in a circle of imports", || {
        let circles: Vec<String> = found.into_iter().flat_map(|circles| circles.shortest).collect();
        circles.join("\n\n")
    });
}

/// A package of these files, to try the analysis on.
fn made(files: &[(&str, &str)]) -> Package {
    let sources = files.iter().map(|(name, text)| Source::new(name, (*text).to_string()));
    Package::new("s", sources.collect())
}

/// Each import of a made package, as `from:line to`.
fn imports_of(files: &[(&str, &str)]) -> Vec<String> {
    let package = made(files);
    let mut out = Vec::new();
    for (number, file) in package.files.iter().enumerate() {
        for import in package.imports(number) {
            let target = &package.files[import.file].source.name;
            out.push(format!("{}:{} {target}", file.source.name, import.line));
        }
    }
    out
}

#[test]
fn imports_are_seen_through_modules_and_exports() {
    let files = [
        (
            "s/lib.rs",
            "pub mod a;\npub mod b;\nmod elsewhere;\npub use b::deep::Deep;\n",
        ),
        (
            "s/a.rs",
            "use crate::{b::{self, Other as O}, Deep};\nfn f() { b::inner::g(); elsewhere::h() }\n",
        ),
        (
            "s/b/mod.rs",
            "mod inner;\npub mod deep;\npub use deep::*;\npub(crate) use inner::Other;\n",
        ),
        (
            "s/b/inner.rs",
            "pub struct Other;\nmod part {\n pub use super::Other;\n}\nfn g() -> std::io::Error {}\n",
        ),
        (
            "s/b/deep.rs",
            "#[cfg(test)]\nmod tests {\n use crate::a::f;\n}\npub struct Deep(super::inner::Other);\n",
        ),
    ];
    let expected = [
        "s/a.rs:1 s/b/deep.rs",
        "s/a.rs:1 s/b/inner.rs",
        "s/b/deep.rs:5 s/b/inner.rs",
    ];
    let mut found = imports_of(&files);
    found.sort();
    assert_eq!(found, expected);
    assert_eq!(circles(&made(&files)).files, 0);
}

#[test]
fn a_circle_is_found_and_named() {
    let up = ("s/b/inner.rs", "use super::Shared;\npub struct Other(Shared);\n");
    let passed_on = ("s/b/mod.rs", "mod inner;\npub use inner::Other;\npub struct Shared;\n");
    assert_eq!(circles(&made(&[up, passed_on])).files, 0);
    let used = (
        "s/b/mod.rs",
        "mod inner;\npub use inner::Other;\npub struct Shared;\nfn f(x: Other) {}\n",
    );
    let found = circles(&made(&[up, used])).shortest;
    assert_eq!(
        found,
        ["  s/b/inner.rs:1 names s/b/mod.rs\n  s/b/mod.rs:2 names s/b/inner.rs"]
    );
    let three = [
        ("s/a.rs", "use super::b::B;\n"),
        ("s/b.rs", "use crate::c;\nfn f() { c::g() }\n"),
        ("s/c.rs", "fn g() { crate::a::h() }\n"),
    ];
    let found = circles(&made(&three));
    assert_eq!((found.files, found.shortest.len()), (3, 1));
}

/// A port to another system changes `src/file/`, and nothing else of the engine: no other room calls the system or asks
/// which one it is. (Numbers of errors are the same names on every Unix.)
#[test]
fn one_room_calls_the_system() {
    let mut calls = Vec::new();
    let mut errors = 0;
    for source in sources::below("src") {
        if source.name.starts_with("src/file/") {
            continue;
        }
        let source = source.without_tests();
        let words = sources::tokens(&source.code);
        for (i, word) in words.iter().enumerate() {
            let of_libc = i > 1 && words[i - 1].text == "::" && words[i - 2].text == "libc";
            let is_error = word.text.starts_with('E') && word.text.chars().all(|c| c.is_ascii_uppercase());
            errors += usize::from(of_libc && is_error);
            if of_libc && !is_error || word.text == "target_os" || word.text == "asm" {
                calls.push(format!("{}:{}: {}", source.name, source.line(word.at), word.text));
            }
        }
    }
    assert!(errors > 0, "the test sees no use of libc at all");
    assert!(calls.is_empty(), "belongs into src/file/:\n{}", calls.join("\n"));
}
