//! Comments are narrow enough to be read beside the code: rustfmt sees to the width of code and leaves comments alone.

use std::path::{Path, PathBuf};

/// Most characters of a line.
const COLUMNS: usize = 120;
/// Folders with sources in Rust, C and C++.
const FOLDERS: [&str; 10] = [
    "src",
    "tests",
    "capi",
    "cli",
    "bench",
    "micro",
    "bindings",
    "docs/book/snippets",
    "examples-c",
    "include",
];
/// Folders in which programs are built, whose files others write.
const BUILT: [&str; 2] = ["build", "target"];
const ENDINGS: [&str; 5] = ["rs", "c", "cpp", "h", "hpp"];

/// The sources below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
        let path = entry.expect("a directory entry").path();
        let is = |name: Option<&std::ffi::OsStr>, of: &[&str]| of.iter().any(|known| name.is_some_and(|n| n == *known));
        if path.is_dir() && !is(path.file_name(), &BUILT) {
            out.extend(sources(&path));
        } else if path.is_file() && is(path.extension(), &ENDINGS) {
            out.push(path);
        }
    }
    out
}

/// The numbers and lengths of lines that are nothing but comment and too long. A row of a table cannot be broken.
fn wide(text: &str) -> Vec<(usize, usize)> {
    let lines = text.lines().zip(1..).map(|(line, number)| (number, line));
    let wide = lines.filter_map(|(number, line)| {
        let begin = line.trim_start();
        let is_comment = ["//", "/*", "* "].iter().any(|mark| begin.starts_with(mark));
        let is_row = begin.trim_start_matches(['/', '!', '*']).starts_with(" |");
        let columns = line.chars().count();
        (is_comment && !is_row && columns > COLUMNS).then_some((number, columns))
    });
    wide.collect()
}

#[test]
fn comments_have_no_long_lines() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = vec![root.join("build.rs")];
    files.extend(FOLDERS.iter().flat_map(|folder| sources(&root.join(folder))));
    let mut found = Vec::new();
    for file in &files {
        let text = std::fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let name = file.strip_prefix(root).expect("a path below the root").display();
        let lines = wide(&text).into_iter();
        found.extend(lines.map(|(line, columns)| format!("{name}:{line}: {columns} characters")));
    }
    for ending in ENDINGS {
        let has = files
            .iter()
            .any(|file| file.extension().is_some_and(|ext| ext == ending));
        assert!(has, "no sources *.{ending} are found");
    }
    assert!(
        found.is_empty(),
        "comments with lines of more than {COLUMNS} characters:\n{}",
        found.join("\n")
    );
}

#[test]
fn long_lines_of_comments_are_found() {
    // With its mark and a blank, each of these has one character too many; umlauts count once.
    for mark in ["//", "///", "//!", "/*", "*", "    //", "     *"] {
        let line = |columns: usize| format!("{mark} {}", "ö".repeat(columns - mark.len() - 1));
        let text = format!("code\n{}\n{}\n", line(COLUMNS), line(COLUMNS + 1));
        assert_eq!(wide(&text), [(3, COLUMNS + 1)], "{mark}");
    }
    let long = "x".repeat(COLUMNS);
    for fine in [
        format!("//! | {long} |"),
        format!("let {long} = 1;"),
        format!("*{long} = 1;"),
    ] {
        assert!(wide(&fine).is_empty(), "{fine}");
    }
}
