//! The rules of CONTRIBUTING.md that can be read off the sources: sizes, parameters, words, and documents that name
//! what is there. `layers.rs` has the rules of who may import whom.
//!
//! A rule whose limit is not yet kept says how many exceptions are left. That number may only become smaller.

#[path = "rules/comments.rs"]
mod comments;
mod sources;

use sources::{allow, below, tokens, Source, Token};
use std::collections::{BTreeSet, HashSet};
use std::path::Path;

const FOLDERS: [&str; 6] = ["src", "tests", "capi/src", "cli", "bench/src", "micro"];

// ---- sizes --------------------------------------------------------------------------------------------------

/// Most lines of a file.
const LINES: usize = 600;

#[test]
fn no_file_is_longer_than_one_sitting() {
    let long = FOLDERS.iter().flat_map(|folder| below(folder)).filter_map(|source| {
        let lines = source.text.lines().count();
        (lines > LINES).then(|| format!("{}: {lines} lines", source.name))
    });
    let long: Vec<String> = long.collect();
    assert!(
        long.is_empty(),
        "files of more than {LINES} lines:\n{}",
        long.join("\n")
    );
}

#[test]
fn every_file_says_what_it_is() {
    let silent = FOLDERS
        .iter()
        .flat_map(|folder| below(folder))
        .filter(|source| !source.text.starts_with("//!"));
    let silent: Vec<String> = silent.map(|source| source.name).collect();
    assert!(
        silent.is_empty(),
        "files that do not begin with //!:\n{}",
        silent.join("\n")
    );
}

// ---- parameters ---------------------------------------------------------------------------------------------

/// A function with this many parameters, `self` included, should carry a struct for what travels together.
const MANY_PARAMETERS: usize = 6;
/// Functions that have them for a reason: file, name, reason.
const MANY_WITH_REASON: &[(&str, &str, &str)] = &[
    (
        "src/tree/read/check.rs",
        "page",
        "the check goes down with a pointer, a level and the two bounds of the keys, which each level changes",
    ),
    (
        "src/tree/read/check.rs",
        "branch",
        "has what `page` has, and the branch that was opened",
    ),
    (
        "src/tree/read/check.rs",
        "leaf",
        "has what `page` has but the level, and the leaf that was opened",
    ),
    (
        "src/tree/read/cursor_test.rs",
        "many",
        "steps a cursor and compares it with a model: both, the tree, and what to do",
    ),
];
/// Most entries of that list.
const MANY_WITH_REASON_MAX: usize = 10;
/// How many others there still are.
const MANY_LEFT: usize = 0;

/// Functions of a file with their line, name and number of parameters; those of the C interface left out.
fn functions(source: &Source) -> Vec<(usize, String, usize)> {
    let source = source.without_tests();
    let words = tokens(&source.code);
    let mut out = Vec::new();
    for (i, word) in words.iter().enumerate() {
        let named = words.get(i + 1).filter(|name| word.text == "fn" && name.is_word());
        let Some(name) = named else { continue };
        // The literal "C" is blank in the code, so the word before is `extern` itself.
        if i > 0 && words[i - 1].text == "extern" {
            continue;
        }
        out.push((source.line(name.at), name.text.to_string(), parameters(&words[i + 2..])));
    }
    out
}

/// The number of parameters of the list that begins behind these words' generics.
fn parameters(words: &[Token]) -> usize {
    let (mut round, mut angle, mut count, mut any) = (0, 0, 0, false);
    for (i, word) in words.iter().enumerate() {
        let arrow = i > 0 && words[i - 1].text == "-";
        match word.text {
            "(" | "[" | "{" => round += 1,
            ")" if round == 1 && angle == 0 => return count + usize::from(any),
            ")" | "]" | "}" => round -= 1,
            "<" => angle += 1,
            ">" if !arrow => angle -= 1,
            "," if round == 1 && angle == 0 => {
                count += 1;
                any = false;
                continue;
            }
            _ => {}
        }
        any |= round >= 1 && !(word.text == "(" && round == 1);
    }
    unreachable!("the end of a list of parameters")
}

#[test]
fn few_functions_have_many_parameters() {
    let mut unlisted = Vec::new();
    let mut listed = Vec::new();
    for source in ["src", "capi/src", "cli"].iter().flat_map(|folder| below(folder)) {
        for (line, name, count) in functions(&source) {
            if count < MANY_PARAMETERS {
                continue;
            }
            match MANY_WITH_REASON
                .iter()
                .find(|(file, function, _)| *file == source.name && *function == name)
            {
                Some(entry) => listed.push(entry),
                None => unlisted.push(format!("{}:{line}: {name} has {count}", source.name)),
            }
        }
    }
    allow(
        MANY_LEFT,
        unlisted.len(),
        "functions with many parameters have a reason for them",
        || unlisted.join("\n"),
    );
    assert!(
        MANY_WITH_REASON.len() <= MANY_WITH_REASON_MAX,
        "too many functions with a reason"
    );
    for entry in MANY_WITH_REASON {
        assert!(
            listed.contains(&entry),
            "{entry:?} has fewer parameters now, or is gone"
        );
    }
}

// ---- words --------------------------------------------------------------------------------------------------

/// Words that identifiers no longer contain, and what to say instead. CONTRIBUTING.md has the words that are used. An
/// entry is a word of identifiers (or several, joined by `_`), or behind `=` a whole identifier.
const RETIRED: &[(&str, &str)] = &[
    ("asked", "what is asked for: a lookup, a request"),
    ("brief", "short, or what the short form is"),
    ("care", "maintenance"),
    ("columns", "page arrays"),
    ("far", "slow path"),
    ("guess", "leaf hints"),
    ("guessed", "leaf hints"),
    ("house", "engine, or the room that is meant"),
    ("lane", "lookup in flight"),
    ("lanes", "lookups in flight"),
    ("lend", "pin"),
    ("lends", "pins"),
    ("lent", "pinned"),
    ("print", "fingerprint"),
    ("prints", "fingerprints"),
    ("quick", "fast path"),
    ("quickly", "fast path"),
    ("reach", "what it does: find, resolve, extend"),
    ("rows", "branch hints"),
    ("seat", "write lock, or commit slot"),
    ("seats", "write locks, or commit slots"),
    ("settle", "what it does, a name for each use"),
    ("settled", "what has happened"),
    ("stuck", "stale reader"),
    ("tail", "records of a slot, or remainder of a key"),
    ("take_back", "unpin"),
    ("=place", "page sink, cursor state or position"),
    ("=Place", "page sink, cursor state or position"),
    ("=Desc", "Descriptor"),
    ("=Held", "a noun for what is held"),
    ("=Joined", "a noun for what was joined"),
    ("=Kept", "a noun for what is kept"),
    ("=Seen", "TreeView"),
    ("=Walker", "TreeCursor"),
    ("=Writing", "PageWriter"),
];
/// Those that the command has in their everyday meaning: rows and columns, LMDB's format `print`, `--quick`.
const EVERYDAY: [&str; 4] = ["columns", "print", "quick", "rows"];
/// How many identifiers still contain one, each counted once a line.
const RETIRED_LEFT: usize = 0;

/// The retired words in an identifier.
fn retired(identifier: &str) -> Vec<&'static (&'static str, &'static str)> {
    let words = format!("_{}_", words_of(identifier).join("_"));
    let found = RETIRED.iter().filter(|(word, _)| match word.strip_prefix('=') {
        Some(whole) => whole == identifier,
        None => words.contains(&format!("_{word}_")),
    });
    found.collect()
}

/// The words of an identifier in small letters: split at `_` and before capitals.
fn words_of(identifier: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = '_';
    for c in identifier.chars() {
        if c == '_' || (c.is_uppercase() && before.is_lowercase()) {
            words.push(String::new());
        }
        if c != '_' {
            words.last_mut().expect("a word").extend(c.to_lowercase());
        }
        before = c;
    }
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn identifiers_use_the_words_of_the_glossary() {
    let header = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("include/kv.h"));
    let header = Source::new("include/kv.h", header.expect("the header"));
    let mut found = Vec::new();
    let folders = ["src", "capi/src", "cli/src", "cli/lmdb/src"];
    for source in folders.iter().flat_map(|folder| below(folder)).chain([header]) {
        let is_allowed = |old: &str| source.name.starts_with("cli/") && EVERYDAY.contains(&old);
        for word in tokens(&source.code).iter().filter(|word| word.is_word()) {
            for (old, instead) in retired(word.text).into_iter().filter(|(old, _)| !is_allowed(old)) {
                let line = source.line(word.at);
                found.push(format!(
                    "{}:{line}: {}: \"{old}\" is now: {instead}",
                    source.name, word.text
                ));
            }
        }
    }
    found.dedup();
    allow(
        RETIRED_LEFT,
        found.len(),
        "identifiers use the words of the glossary",
        || found.join("\n"),
    );
}

// ---- documents ----------------------------------------------------------------------------------------------

/// The documents, and the pages of the book.
fn documents() -> Vec<String> {
    let mut all = ["README.md", "CONTRIBUTING.md", "SECURITY.md"]
        .map(String::from)
        .to_vec();
    for folder in ["docs", "docs/book"] {
        let entries = std::fs::read_dir(root().join(folder)).expect("a folder of documents");
        let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"));
        let names = names.filter(|name| name.ends_with(".md"));
        all.extend(names.map(|name| format!("{folder}/{name}")));
    }
    assert!(all.len() > 15, "only {} documents are found", all.len());
    all
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(document: &str) -> String {
    std::fs::read_to_string(root().join(document)).unwrap_or_else(|e| panic!("{document}: {e}"))
}

#[test]
fn documents_name_files_and_tests_that_exist() {
    const FROM: [&str; 7] = [
        "tests/",
        "scripts/",
        "src/",
        "capi/src/",
        "cli/",
        "examples-c/",
        "docs/",
    ];
    let mut named = 0;
    for document in &documents() {
        // `tests/file.rs`, `scripts/file.sh`, `room/file.rs` of `src/`, each maybe with `::test`.
        for word in read(document).split('`').skip(1).step_by(2) {
            let (path, test) = word.split_once("::").unwrap_or((word, ""));
            let in_room = path.ends_with(".rs") && path.contains('/');
            let is_path = in_room || FROM.iter().any(|from| path.starts_with(from));
            if !is_path || path.contains(char::is_whitespace) {
                continue;
            }
            let exists = root().join(path).exists() || root().join("src").join(path).exists();
            assert!(exists, "{document} names {path}, which is not there");
            if !test.is_empty() {
                let found = read(path).contains(&format!("fn {test}("));
                assert!(found, "{document} names {path}::{test}, which is not there");
                named += 1;
            }
        }
    }
    assert!(named > 40, "only {named} tests are named");
}

#[test]
fn links_of_documents_lead_somewhere() {
    for document in &documents() {
        // Between fences are programs, in which "](" begins a function of C++.
        let text: Vec<String> = read(document).split("\n```").step_by(2).map(String::from).collect();
        for link in text
            .concat()
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split([')', '#']).next())
        {
            let target = root().join(document).with_file_name(link);
            assert!(
                link.is_empty() || link.contains("://") || target.exists(),
                "{document} links to {link}, which is not there"
            );
        }
    }
}

/// The second column of the glossary has names of the code.
#[test]
fn the_glossary_names_what_is_there() {
    let sources: Vec<Source> = ["src", "capi/src"].iter().flat_map(|folder| below(folder)).collect();
    let known: HashSet<&str> = sources
        .iter()
        .flat_map(|source| tokens(&source.code))
        .map(|word| word.text)
        .collect();
    let text = read("CONTRIBUTING.md");
    let section = text
        .split("\n## Glossary\n")
        .nth(1)
        .and_then(|rest| rest.split("\n## ").next());
    let rows = section
        .expect("the glossary")
        .lines()
        .filter(|line| line.starts_with("| **"));
    let names: Vec<&str> = rows
        .filter_map(|row| row.split('|').nth(2))
        .flat_map(|column| column.split('`').skip(1).step_by(2))
        .collect();
    assert!(names.len() > 30, "only {} names are found in the glossary", names.len());
    for name in names {
        assert!(
            known.contains(name),
            "CONTRIBUTING.md has the word {name}, which no code has"
        );
    }
}

/// Where variables of the tests are read that are not the engine's or the library's.
const READ_VARIABLES: [&str; 7] = [
    "Makefile",
    "kv.map",
    "scripts/test-c.sh",
    "scripts/test-faults.sh",
    "scripts/test-memory.sh",
    "scripts/test-targets.sh",
    "tests/c/check.h",
];

/// The document without the tables of earlier words.
fn without_earlier_words(document: &str) -> String {
    let text = read(document);
    match text.split_once("\n## Earlier words\n") {
        Some((before, _)) => before.to_string(),
        None => text,
    }
}

/// The words of a text that begin with `kv_` or `KV_`. One that ends with `_` stands for all names that begin so.
fn kv_names(text: &str) -> Vec<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words
        .filter(|word| (word.starts_with("kv_") || word.starts_with("KV_")) && word.len() > 3)
        .collect()
}

/// `kv_*` and `KV_*` are names of the header, or variables that a test, a script or the build reads.
#[test]
fn documents_name_what_the_header_has() {
    let header = read("include/kv.h");
    let mut known: HashSet<String> = kv_names(&header).into_iter().map(String::from).collect();
    for source in FOLDERS.iter().flat_map(|folder| below(folder)) {
        let quoted = source.text.split('"').filter(|text| text.starts_with("KV_"));
        known.extend(quoted.map(String::from));
    }
    for file in READ_VARIABLES {
        known.extend(kv_names(&read(file)).into_iter().map(String::from));
    }
    let mut unknown = Vec::new();
    for document in &documents() {
        let text = without_earlier_words(document);
        for name in kv_names(&text) {
            let is_stem = name.ends_with('_') && known.iter().any(|known| known.starts_with(name));
            if !known.contains(name) && !is_stem {
                unknown.push(format!("{document}: {name}"));
            }
        }
    }
    assert!(
        unknown.is_empty(),
        "names that neither the header nor a test has:\n{}",
        unknown.join("\n")
    );
}

// ---- scripts ------------------------------------------------------------------------------------------------

/// Scripts that install packages, because somebody asked for just that, or into a root directory of their own.
const INSTALLERS: [&str; 4] = ["book", "deps", "test-deb", "test-targets"];

/// Whoever builds or tests the library gets no package that he did not ask for.
#[test]
fn nothing_is_installed_unasked() {
    let mut files: Vec<String> = ["Makefile", ".ci/run", "bench/Makefile", "build.rs"]
        .map(String::from)
        .to_vec();
    for folder in ["scripts", "bench"] {
        let entries = std::fs::read_dir(root().join(folder)).expect("a folder");
        let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"));
        files.extend(
            names
                .filter(|name| name.ends_with(".sh"))
                .map(|name| format!("{folder}/{name}")),
        );
    }
    let mut unasked = Vec::new();
    for file in &files {
        let text = read(file);
        let installs = ["apt-get", "pip install", "cargo install", "rustup "]
            .iter()
            .any(|word| text.contains(word));
        let name = file.strip_prefix("scripts/").and_then(|name| name.strip_suffix(".sh"));
        if installs && !name.is_some_and(|name| INSTALLERS.contains(&name)) {
            unasked.push(file.clone());
        }
    }
    assert!(files.len() > 12, "only {} scripts are found", files.len());
    assert!(unasked.is_empty(), "these install packages unasked: {unasked:?}");
}

// ---- tables of files ----------------------------------------------------------------------------------------

/// Folders with more files than this, `mod.rs` left out, have a table of them.
const UNLISTED_FILES: usize = 3;

/// The files and folders beside a `mod.rs` (or the `lib.rs` of `capi/`), as modules, those of tests included.
fn modules_beside(head: &Source) -> BTreeSet<String> {
    let folder = root().join(&head.name);
    let folder = folder.parent().expect("the folder of a file");
    let mut out = BTreeSet::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("a directory entry").path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .expect("a name in UTF-8");
        let module = match name.strip_suffix(".rs") {
            Some(module) => module,
            None if path.is_dir() => name,
            None => continue,
        };
        let own = head.name.ends_with(&format!("/{name}"));
        if !own {
            out.insert(module.to_string());
        }
    }
    out
}

/// The first column of the table that begins with `| file`, or `None` if there is none.
fn listed_files(head: &Source) -> Option<BTreeSet<String>> {
    let comment = head.text.lines().map_while(|line| line.strip_prefix("//!"));
    let mut rows = comment
        .skip_while(|line| !line.starts_with(" | file "))
        .take_while(|line| line.starts_with(" |"));
    rows.next()?;
    let names = rows.filter_map(|row| row.split('`').nth(1));
    Some(names.map(|name| name.trim_end_matches('/').to_string()).collect())
}

#[test]
fn tables_list_the_files_beside_them() {
    let mut wrong = Vec::new();
    for head in ["src", "capi/src", "cli/src"].iter().flat_map(|folder| below(folder)) {
        if !head.name.ends_with("/mod.rs") && head.name != "capi/src/lib.rs" {
            continue;
        }
        let mut there = modules_beside(&head);
        // A table may list files of tests and need not.
        let listed = listed_files(&head);
        for test in head.test_modules() {
            if !listed.as_ref().is_some_and(|listed| listed.contains(&test)) {
                there.remove(&test);
            }
        }
        match listed {
            None if there.len() > UNLISTED_FILES => wrong.push(format!("{}: no table of files", head.name)),
            Some(listed) if listed != there => {
                let missing: Vec<_> = there.difference(&listed).collect();
                let gone: Vec<_> = listed.difference(&there).collect();
                wrong.push(format!("{}: lacks {missing:?}, lists {gone:?}", head.name));
            }
            _ => {}
        }
    }
    assert!(
        wrong.is_empty(),
        "tables that do not list the files beside them:\n{}",
        wrong.join("\n")
    );
}

// ---- the rules themselves -----------------------------------------------------------------------------------

#[test]
fn parameters_are_counted() {
    let text = r#"
        fn none() {}
        fn two<A: Fn(u8, u8) -> u8, B>(self: Box<Self>, a: HashMap<A, [B; 2]>,) -> (u8, u8) {}
        fn three(&self, f: impl FnMut(u8, u8) -> Option<u8>, (a, b): (u8, u8)) {}
        pub unsafe extern "C" fn six(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8) {}
        struct S { f: fn(u8, u8) }
        #[cfg(test)]
        mod tests { fn many(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8) {} }
    "#;
    let found = functions(&Source::new("x.rs", text.to_string()));
    let found: Vec<_> = found
        .iter()
        .map(|(line, name, count)| (*line, name.as_str(), *count))
        .collect();
    assert_eq!(found, [(2, "none", 0), (3, "two", 2), (4, "three", 3)]);
}

#[test]
fn names_of_the_header_are_found() {
    let text = "`kv_open(\"x\")`, KV_JOB_*; not libkv_x, kv.h, kv_";
    assert_eq!(kv_names(text), ["kv_open", "KV_JOB_"]);
}

#[test]
fn tables_of_files_are_read() {
    let text = [
        "//! | word |",
        "//! | `a`  |",
        "//!",
        "//! | file | subject |",
        "//! |------|---------|",
        "//! | `b`  | `c`     |",
        "//! | `d/` | nothing |",
        "//!",
        "//! | `e`  |",
    ];
    let text = text.join("\n");
    let listed = listed_files(&Source::new("x/mod.rs", text)).expect("a table");
    assert_eq!(Vec::from_iter(listed), ["b", "d"]);
    assert!(listed_files(&Source::new("x/mod.rs", "//! No table.".to_string())).is_none());
}

#[test]
fn words_of_identifiers_are_found() {
    assert_eq!(words_of("takeSeat_2"), ["take", "seat", "2"]);
    assert_eq!(words_of("KV_HTTPSeat"), ["kv", "httpseat"]);
    let names = |identifier| retired(identifier).iter().map(|(word, _)| *word).collect::<Vec<_>>();
    assert_eq!(names("SEAT_FREE"), ["seat"]);
    assert_eq!(names("WriteSeat"), ["seat"]);
    assert_eq!(names("must_take_back"), ["take_back"]);
    assert_eq!(names("Held"), ["=Held"]);
    for fine in [
        "held",
        "in_place",
        "fingerprint",
        "farther",
        "replace",
        "take",
        "quickest",
    ] {
        assert!(names(fine).is_empty(), "{fine}");
    }
}
