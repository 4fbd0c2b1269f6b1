//! Which file of a package names an item of which other file: paths that begin with `crate`, `super`, `self`, a child
//! module or an imported module, followed through re-exports to the file that has the item.
//!
//! `mod x;` and `pub use x::Y;` are declarations and count only where the file itself goes on to use `Y`. Calls of
//! methods are not seen, nor is what a macro makes of its arguments.

use super::{tokens, Source, Token};
use std::collections::{BTreeMap, BTreeSet};

type Path = Vec<String>;

/// A package: its modules, each of which is a file.
pub struct Package {
    pub files: Vec<File>,
    modules: BTreeMap<Path, usize>,
}

/// A file of a package, unit tests left out.
pub struct File {
    pub source: Source,
    pub module: Path,
    uses: Vec<Use>,
    /// Modules that it declares.
    declared: BTreeSet<String>,
}

/// One path of a `use`.
struct Use {
    path: Path,
    /// The name that it binds; `*` for all.
    name: String,
    public: bool,
    at: usize,
}

/// That one file names an item of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Import {
    pub file: usize,
    pub line: usize,
}

impl Package {
    pub fn new(folder: &str, sources: Vec<Source>) -> Package {
        let mut package = Package {
            files: Vec::new(),
            modules: BTreeMap::new(),
        };
        let tests: Vec<Path> = sources
            .iter()
            .flat_map(|source| {
                let module = module_of(folder, &source.name);
                let names = source.test_modules();
                names.into_iter().map(move |name| [module.clone(), vec![name]].concat())
            })
            .collect();
        for source in sources {
            let module = module_of(folder, &source.name);
            if !tests.iter().any(|test| module.starts_with(test)) {
                let source = source.without_tests();
                package.modules.insert(module.clone(), package.files.len());
                let words = tokens(&source.code);
                let (uses, declared) = (uses(&words), declared(&words));
                package.files.push(File {
                    source,
                    module,
                    uses,
                    declared,
                });
            }
        }
        package
    }

    /// The imports of a file, once for each file that it names.
    pub fn imports(&self, number: usize) -> Vec<Import> {
        let file = &self.files[number];
        let words = tokens(&file.source.code);
        let mut found: BTreeMap<usize, usize> = BTreeMap::new();
        let mut add = |target: Option<usize>, at: usize| {
            let Some(target) = target.filter(|target| *target != number) else {
                return;
            };
            let line = file.source.line(at);
            found
                .entry(target)
                .and_modify(|first| *first = line.min(*first))
                .or_insert(line);
        };
        let in_use = use_spans(&words);
        for used in &file.uses {
            let elsewhere = || {
                words.iter().enumerate().any(|(i, word)| {
                    let declares = (i > 0 && words[i - 1].text == "mod")
                        || in_use.iter().any(|(from, to)| (*from..*to).contains(&i));
                    word.text == used.name && !declares
                })
            };
            if !used.public || elsewhere() {
                add(self.item(&used.path, &file.module, 0), used.at);
            }
        }
        for (path, at) in paths(&words, &in_use) {
            add(self.item(&path, &file.module, 0), at);
        }
        found.into_iter().map(|(file, line)| Import { file, line }).collect()
    }

    /// The file that has the item at a path as `module` writes it; `None` for modules and for what is in other
    /// packages.
    fn item(&self, path: &Path, module: &Path, depth: usize) -> Option<usize> {
        assert!(depth < 20, "{path:?} in {module:?} is re-exported in a circle");
        let path = self.absolute(path, module)?;
        let known = (0..=path.len())
            .rev()
            .find(|n| self.modules.contains_key(&path[..*n]))?;
        let (owner, name) = (self.modules[&path[..known]], path.get(known)?);
        let file = &self.files[owner];
        let exported = |used: &&Use| used.public && used.name == *name;
        if let Some(used) = file.uses.iter().find(exported) {
            let rest = &path[known + 1..];
            // An item of another package counts as the file's own.
            return self
                .item(&[used.path.as_slice(), rest].concat(), &file.module, depth + 1)
                .or(Some(owner));
        }
        for used in file.uses.iter().filter(|used| used.public && used.name == "*") {
            let Some(all) = self.absolute(&used.path, &file.module) else {
                continue;
            };
            let target = self.modules.get(&all).map(|target| &self.files[*target]);
            if target.is_some_and(|target| defines(&target.source, name)) {
                return self.modules.get(&all).copied();
            }
        }
        // A module whose file has another place (`#[path]`) is not of this package.
        (!file.declared.contains(name)).then_some(owner)
    }

    fn absolute(&self, path: &Path, module: &Path) -> Option<Path> {
        let mut base = module.clone();
        for (i, part) in path.iter().enumerate() {
            match part.as_str() {
                "crate" => base.clear(),
                "self" => {}
                "super" => drop(base.pop()?),
                _ if i > 0 => return Some([base, path[i..].to_vec()].concat()),
                name => {
                    let child = [base.clone(), vec![name.to_string()]].concat();
                    if self.modules.contains_key(&child) {
                        return Some([child, path[1..].to_vec()].concat());
                    }
                    // A module that a `use` has brought in.
                    let file = &self.files[self.modules[module]];
                    let used = file
                        .uses
                        .iter()
                        .find(|used| used.name == name && used.path[0] != name)?;
                    let target = self.absolute(&used.path, module)?;
                    return self
                        .modules
                        .contains_key(&target)
                        .then(|| [target, path[1..].to_vec()].concat());
                }
            }
        }
        Some(base)
    }
}

/// `src/a/mod.rs` and `src/a.rs` are the module `a`; `src/lib.rs` and `src/main.rs` are the root.
fn module_of(folder: &str, name: &str) -> Path {
    let inside = name
        .strip_prefix(folder)
        .expect("a file of the folder")
        .trim_start_matches('/');
    let mut parts: Path = inside.trim_end_matches(".rs").split('/').map(String::from).collect();
    let last = parts.last().map(String::as_str);
    if last == Some("mod") || (parts.len() == 1 && matches!(last, Some("lib" | "main"))) {
        parts.pop();
    }
    parts
}

fn defines(source: &Source, name: &str) -> bool {
    const KINDS: [&str; 9] = [
        "fn", "struct", "enum", "trait", "type", "const", "static", "union", "mod",
    ];
    let words = tokens(&source.code);
    words
        .windows(2)
        .any(|pair| KINDS.contains(&pair[0].text) && pair[1].text == name)
}

fn declared(words: &[Token]) -> BTreeSet<String> {
    let found = words
        .windows(3)
        .filter(|three| three[0].text == "mod" && three[2].text == ";");
    found.map(|three| three[1].text.to_string()).collect()
}

/// From each `use` to its semicolon, as numbers of tokens.
fn use_spans(words: &[Token]) -> Vec<(usize, usize)> {
    let starts = (0..words.len()).filter(|i| words[*i].text == "use" && words[*i + 1].text != "<");
    let spans = starts.map(|from| {
        let len = words[from..].iter().position(|word| word.text == ";");
        (from, from + len.expect("the end of a use"))
    });
    spans.collect()
}

fn uses(words: &[Token]) -> Vec<Use> {
    let mut out = Vec::new();
    for (from, to) in use_spans(words) {
        let public = from > 0 && matches!(words[from - 1].text, "pub" | ")");
        let first = out.len();
        tree(&words[from + 1..to], &Path::new(), public, &mut out);
        let levels = inline_modules(words, from);
        for used in &mut out[first..] {
            to_file(&mut used.path, levels);
            // What an inline module passes on is not the file's.
            used.public &= levels == 0;
        }
    }
    out
}

/// A tree of a `use`, without the word itself.
fn tree(words: &[Token], before: &Path, public: bool, out: &mut Vec<Use>) {
    let mut path = before.clone();
    let mut i = 0;
    while i < words.len() {
        match words[i].text {
            "{" => {
                let mut depth = 0;
                let mut from = i + 1;
                for j in i..words.len() {
                    match words[j].text {
                        "{" => depth += 1,
                        "}" => depth -= 1,
                        _ => {}
                    }
                    if (depth == 1 && words[j].text == ",") || depth == 0 {
                        tree(&words[from..j], &path, public, out);
                        from = j + 1;
                    }
                }
                return;
            }
            "as" => break,
            "::" => {}
            // `{self}` is the module itself.
            "self" if !path.is_empty() && i + 1 >= words.len() => {}
            part => path.push(part.to_string()),
        }
        i += 1;
    }
    let Some(last) = words.last() else { return };
    if path.last().is_some_and(|part| part == "*") {
        path.pop();
    }
    let name = match last.text {
        "self" => path.last().cloned().unwrap_or_default(),
        name => name.to_string(),
    };
    if !path.is_empty() {
        let at = last.at;
        out.push(Use { path, name, public, at });
    }
}

/// In how many `mod name { .. }` a token is.
fn inline_modules(words: &[Token], at: usize) -> usize {
    let (mut open, mut depth) = (Vec::new(), 0);
    for i in 0..at {
        match words[i].text {
            "{" => {
                depth += 1;
                if i > 1 && words[i - 2].text == "mod" {
                    open.push(depth);
                }
            }
            "}" => {
                if open.last() == Some(&depth) {
                    open.pop();
                }
                depth -= 1;
            }
            _ => {}
        }
    }
    open.len()
}

/// A path in `levels` inline modules, as the file itself would write it: there the first `super` are the file.
fn to_file(path: &mut Path, levels: usize) {
    let supers = path.iter().take_while(|part| *part == "super").count();
    path[..supers.min(levels)].fill("self".to_string());
}

/// Paths of several parts outside of `use`.
fn paths(words: &[Token], in_use: &[(usize, usize)]) -> Vec<(Path, usize)> {
    let mut out = Vec::new();
    let mut i = 0;
    while i < words.len() {
        let from = i;
        i += 1;
        if let Some((_, to)) = in_use.iter().find(|(begin, _)| *begin == from) {
            i = *to;
            continue;
        }
        let begins = words[from].is_word() && (from == 0 || !matches!(words[from - 1].text, "::" | "."));
        if !begins {
            continue;
        }
        let mut path = vec![words[from].text.to_string()];
        while i + 1 < words.len() && words[i].text == "::" && words[i + 1].is_word() {
            path.push(words[i + 1].text.to_string());
            i += 2;
        }
        if path.len() > 1 {
            to_file(&mut path, inline_modules(words, from));
            out.push((path, words[from].at));
        }
    }
    out
}
