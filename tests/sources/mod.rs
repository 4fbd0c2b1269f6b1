//! The project's own source files, as far as tests of the structure read them: text without comments, literals and unit
//! tests, cut into tokens. This is not a compiler: it knows no types and expands no macro.

#[allow(dead_code, reason = "tests/layers.rs alone asks who imports whom")]
pub mod imports;

use std::path::{Path, PathBuf};

/// One source file.
pub struct Source {
    /// Its path from the root of the repository.
    pub name: String,
    /// Every byte of it.
    pub text: String,
    /// The text without comments and with empty literals; every line keeps its number.
    pub code: String,
}

/// A word or a mark of the code. `::` is one token; every other mark is a token of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'a> {
    pub text: &'a str,
    /// Offset in the code.
    pub at: usize,
}

impl Token<'_> {
    pub fn is_word(&self) -> bool {
        self.text.starts_with(|c: char| c.is_alphabetic() || c == '_')
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The Rust files below a folder of the repository, by name.
pub fn below(folder: &str) -> Vec<Source> {
    let mut files = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
            let path = entry.expect("a directory entry").path();
            if path.is_dir() && !path.join("CACHEDIR.TAG").exists() {
                folders.push(path);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                files.push(path);
            }
        }
    }
    assert!(!files.is_empty(), "no sources below {folder}");
    files.sort();
    files.into_iter().map(Source::read).collect()
}

/// Fails with a list of exceptions to a rule if there are more than are `left`. The list is made only then.
#[track_caller]
pub fn allow(left: usize, found: usize, rule: &str, list: impl FnOnce() -> String) {
    assert!(
        found <= left,
        "{rule}: {found} exceptions, where {left} are allowed:\n{}",
        list()
    );
}

impl Source {
    fn read(path: PathBuf) -> Source {
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let name = path.strip_prefix(root()).expect("a path below the root");
        Source::new(name.to_str().expect("a name in UTF-8"), text)
    }

    pub fn new(name: &str, text: String) -> Source {
        Source {
            name: name.to_string(),
            code: plain(&text),
            text,
        }
    }

    /// The number of the line at an offset of the code.
    pub fn line(&self, at: usize) -> usize {
        self.code[..at].matches('\n').count() + 1
    }

    /// The code without unit tests.
    pub fn without_tests(&self) -> Source {
        let mut code = self.code.clone().into_bytes();
        for (from, to) in test_items(&self.code) {
            blank(&mut code[from..to]);
        }
        Source {
            name: self.name.clone(),
            text: self.text.clone(),
            code: String::from_utf8(code).expect("blanks in place of whole items"),
        }
    }

    /// The names of the modules that this file declares for tests only.
    pub fn test_modules(&self) -> Vec<String> {
        let items = test_items(&self.code);
        let declared = items.iter().filter_map(|(from, to)| {
            let item = tokens(&self.code[*from..*to]);
            let at = item.iter().position(|token| token.text == "mod")?;
            item.last().filter(|last| last.text == ";")?;
            Some(item[at + 1].text.to_string())
        });
        declared.collect()
    }
}

fn blank(bytes: &mut [u8]) {
    bytes
        .iter_mut()
        .filter(|byte| **byte != b'\n')
        .for_each(|byte| *byte = b' ');
}

/// Code without comments, and with blanks in literals.
fn plain(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let word_before = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
        let raw = rest.iter().skip(1).take_while(|byte| **byte == b'#').count();
        let end = at
            + match rest[0] {
                b'/' if rest.starts_with(b"//") => rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len()),
                b'/' if rest.starts_with(b"/*") => block_comment(rest),
                b'r' if !word_before && rest.get(1 + raw) == Some(&b'"') => {
                    let close = [b"\"".as_slice(), &b"#".repeat(raw)].concat();
                    let body = &rest[raw + 2..];
                    let found = body.windows(close.len()).position(|window| window == close);
                    raw + 2 + found.expect("the end of a raw string") + close.len()
                }
                b'"' => literal(rest, b'"'),
                // A lifetime has no second quote behind its first character.
                b'\'' if rest.get(1) == Some(&b'\\') || text[at + 1..].chars().nth(1) == Some('\'') => {
                    literal(rest, b'\'')
                }
                _ => {
                    at += 1;
                    continue;
                }
            };
        blank(&mut out[at..end]);
        at = end;
    }
    String::from_utf8(out).expect("blanks in place of whole characters")
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut at, mut depth) = (2, 1);
    while depth > 0 {
        match &rest[at..] {
            [b'/', b'*', ..] => (at, depth) = (at + 2, depth + 1),
            [b'*', b'/', ..] => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
    }
    at
}

fn literal(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while rest[at] != quote {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    at + 1
}

/// Where the items behind each `#[cfg(test)]` are, the attribute included.
fn test_items(code: &str) -> Vec<(usize, usize)> {
    let attribute = "#[cfg(test)]";
    let items = code.match_indices(attribute).map(|(from, _)| {
        let mut at = from + attribute.len();
        let mut depth = 0;
        for (offset, c) in code[at..].char_indices() {
            match c {
                '(' | '[' | '{' => depth += 1,
                ')' | ']' | '}' => depth -= 1,
                _ => {}
            }
            // An item ends with a semicolon or the end of its block.
            if depth == 0 && (c == ';' || c == '}') {
                at += offset + 1;
                break;
            }
        }
        (from, at)
    });
    items.collect()
}

/// The words and marks of the code.
pub fn tokens(code: &str) -> Vec<Token<'_>> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(first) = code[at..].chars().next() {
        let rest = &code[at..];
        let len = match first {
            _ if rest.starts_with("::") => 2,
            _ if first.is_alphanumeric() || first == '_' => rest
                .find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(rest.len()),
            _ => first.len_utf8(),
        };
        if !first.is_whitespace() {
            out.push(Token { text: &rest[..len], at });
        }
        at += len;
    }
    out
}

#[test]
fn comments_literals_and_tests_are_left_out() {
    let text = r##"
        use a::b; // use c::d;
        /* use e::f; /* nested */ use g::h; */
        const S: &str = "use i::\"j";
        const R: &str = r#"use k::"l"#;
        const C: (char, char, char) = ('"', '\'', 'x');
        fn f<'a>(x: &'a str) {}
        #[cfg(test)]
        #[path = "m.rs"]
        mod m;
        #[cfg(test)]
        mod tests {
            use n::o;
        }
        use p::q;
    "##;
    let source = Source::new("x.rs", text.to_string());
    assert_eq!(source.test_modules(), ["m"]);
    let shorter = source.without_tests();
    assert_eq!(shorter.code.lines().count(), text.lines().count());
    let words: Vec<&str> = tokens(&shorter.code)
        .iter()
        .filter(|token| token.is_word() && token.text.len() == 1)
        .map(|token| token.text)
        .collect();
    let expected = "a b S R C f a x a p q";
    assert_eq!(words, expected.split(' ').collect::<Vec<_>>());
}
