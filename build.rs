//! Build script of the C library (`capi/`): link arguments, and the header.
//!
//! `include/kv.h` is generated from `capi/` with the feature `header` only, so that a plain build needs no generator:
//! `KV_HEADER=write` (make header) writes it, `KV_HEADER=check` (make check-header) fails if it differs.

fn main() {
    println!("cargo:rerun-if-changed=../build.rs");
    // A bare `cargo build` gives a library that can be opened by name; the one that is installed is linked by the
    // Makefile.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libkv.so.0");
    #[cfg(feature = "header")]
    header::make();
}

#[cfg(feature = "header")]
mod header {
    use std::path::Path;

    /// Order of the chapters in the header: group of doxygen, title.
    const CHAPTERS: &[(&str, &str)] = &[
        ("kv_basics", "Basics: bytes, ranges, entries"),
        ("kv_errors", "Errors and version"),
        ("kv_database", "Database"),
        ("kv_transactions", "Transactions"),
        ("kv_savepoints", "Savepoints and nested transactions"),
        ("kv_waiting", "Waiting"),
        ("kv_tables", "Tables"),
        ("kv_entries", "Entries"),
        ("kv_cursors", "Cursors and counting"),
        ("kv_batches", "Batches"),
        ("kv_differences", "Differences"),
        ("kv_values", "Long values"),
        ("kv_retained", "Retained values"),
        ("kv_snapshots", "Snapshots"),
        ("kv_maintenance", "Maintenance"),
        ("kv_statistics", "Statistics"),
    ];

    /// Writes or compares the header, as the environment asks.
    pub fn make() {
        println!("cargo:rerun-if-env-changed=KV_HEADER");
        for path in ["src", "../cbindgen.toml", "../include/kv.h", "../include/kv.h.in"] {
            println!("cargo:rerun-if-changed={path}");
        }
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let header = root.join("include/kv.h");
        let text = generate(&root);
        match std::env::var("KV_HEADER").as_deref() {
            Ok("write") => std::fs::write(&header, text).expect("include/kv.h cannot be written"),
            Ok("check") if std::fs::read_to_string(&header).unwrap_or_default() != text => {
                panic!("include/kv.h is not what capi/ says: run `make header` and commit it");
            }
            _ => {}
        }
    }

    fn generate(root: &Path) -> String {
        let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).expect("cbindgen.toml");
        let bindings = cbindgen::Builder::new()
            .with_crate(root.join("capi"))
            .with_config(config)
            .generate()
            .expect("cbindgen cannot read capi/");
        let mut bytes = Vec::new();
        bindings.write(&mut bytes);
        assemble(&String::from_utf8(bytes).expect("UTF-8"), root)
    }

    /// Puts the generator's items, which come sorted by kind, under their chapters, and the frame around them.
    fn assemble(generated: &str, root: &Path) -> String {
        let frame = std::fs::read_to_string(root.join("include/kv.h.in")).expect("include/kv.h.in");
        let version = env!("CARGO_PKG_VERSION");
        let part = |n: usize| version.split(['.', '-']).nth(n).unwrap_or("0");
        let items = items(generated);
        let mut body = String::new();
        for (group, title) in CHAPTERS {
            let rule = "=".repeat(104 - title.len());
            body.push_str(&format!(
                "/* ==== {title} {rule} */\n\n/** @defgroup {group} {title}\n * @{{ */\n\n"
            ));
            let tag = format!("@ingroup {group}");
            let mut was_constant = false;
            for item in items.iter().filter(|item| item.iter().any(|line| line.contains(&tag))) {
                let text = tidy(item);
                // Constants stand close together.
                if text.lines().count() == 2 && text.contains("#define") && was_constant {
                    body.pop();
                }
                was_constant = text.lines().count() == 2 && text.contains("#define");
                body.push_str(&text);
                body.push_str("\n\n");
                if let Some(initial) = initial_value(item) {
                    body.push_str(&format!("{initial}\n\n"));
                }
            }
            body.push_str("/** @} */\n\n");
        }
        for item in &items {
            let known = item.iter().any(|line| {
                CHAPTERS
                    .iter()
                    .any(|(group, _)| line.contains(&format!("@ingroup {group}")))
            });
            assert!(known, "no chapter (@ingroup) for:\n{}", item.join("\n"));
        }
        frame
            .replace("@MAJOR@", part(0))
            .replace("@MINOR@", part(1))
            .replace("@PATCH@", part(2))
            .replace("@VERSION@", version)
            .replace("@ITEMS@", body.trim_end())
    }

    /// The documented items of the generator's output, each with its comment.
    fn items(generated: &str) -> Vec<Vec<&str>> {
        let mut items = Vec::new();
        let mut item: Vec<&str> = Vec::new();
        let mut comment = false;
        for line in generated.lines() {
            if line.starts_with("/**") {
                comment = true;
                item.clear();
            }
            if comment || !item.is_empty() {
                item.push(line);
            }
            if comment {
                comment = !line.trim_end().ends_with("*/");
                continue;
            }
            let ends =
                line.ends_with(';') && !line.starts_with(' ') || line.starts_with("#define") || line.ends_with(");");
            if ends && !item.is_empty() {
                items.push(std::mem::take(&mut item));
            }
        }
        items
    }

    /// The text of an item: the group is told by the chapter, and a sentence needs one line.
    fn tidy(item: &[&str]) -> String {
        let mut lines: Vec<String> = Vec::new();
        for line in item {
            let bare = line.split(" @ingroup").next().unwrap_or_default();
            if bare.trim() == "*" && line.contains("@ingroup") {
                // The empty line before a lone tag goes with it.
                if lines.last().is_some_and(|last| last.trim() == "*") {
                    lines.pop();
                }
                continue;
            }
            let typed = bare.starts_with("typedef struct");
            lines.push(if typed {
                bare.trim_end().to_owned()
            } else {
                bare.trim_end().replace("struct kv_", "kv_")
            });
        }
        let mut lines = shorten(&lines);
        if let Some(at) = lines
            .iter()
            .position(|line| line.starts_with("KV_API") || line.starts_with("KV_MUST_CHECK"))
        {
            let declaration = lines.split_off(at);
            lines.extend(declare(&declaration));
        }
        if let Some(constant) = lines.last_mut().filter(|line| line.starts_with("#define")) {
            // A negative number in parentheses, as macros want it.
            if let Some(at) = constant.find(" -") {
                *constant = format!("{} ({})", &constant[..at], &constant[at + 1..]);
            }
            // Flags in hexadecimal, so that one sees that each is a bit of its own.
            let number = constant.rsplit_once(' ');
            if let Some((name, Ok(flag @ 0x100..))) = number.map(|(name, number)| (name, number.parse::<u64>())) {
                *constant = format!("{name} {flag:#x}");
            }
        }
        lines.join("\n")
    }

    /// A declaration on as few lines as it needs.
    fn declare(lines: &[String]) -> Vec<String> {
        let text = lines
            .iter()
            .map(|line| line.trim())
            .collect::<Vec<_>>()
            .join(" ")
            .replace("struct kv_", "kv_");
        let mut laid: Vec<String> = vec![String::new()];
        for word in text.split_inclusive(", ") {
            if laid[laid.len() - 1].len() + word.trim_end().len() > 116 {
                laid.push("    ".to_owned());
            }
            if let Some(line) = laid.last_mut() {
                line.push_str(word);
            }
        }
        laid.iter().map(|line| line.trim_end().to_owned()).collect()
    }

    /// Comments of one sentence on one line.
    fn shorten(lines: &[String]) -> Vec<String> {
        let mut short: Vec<String> = Vec::new();
        let mut at = 0;
        while at < lines.len() {
            let indent = &lines[at][..lines[at].len() - lines[at].trim_start().len()];
            let sentence = lines
                .get(at + 1)
                .map_or("", |line| line.trim_start().trim_start_matches('*').trim());
            let one = lines[at].trim() == "/**" && lines.get(at + 2).is_some_and(|line| line.trim() == "*/");
            if one && indent.len() + sentence.len() < 112 {
                short.push(format!("{indent}/** {sentence} */"));
                at += 3;
            } else {
                short.push(lines[at].clone());
                at += 1;
            }
        }
        short
    }

    /// `KV_..._INIT` for a struct that starts with its size, and for the range.
    fn initial_value(item: &[&str]) -> Option<String> {
        let name = item.last()?.strip_prefix("} ")?.strip_suffix(';')?;
        let fields: Vec<&str> = item
            .iter()
            .filter(|line| line.starts_with("    ") && line.ends_with(';'))
            .copied()
            .collect();
        let sized = fields.first()?.contains(" struct_size;");
        if !sized && name != "kv_range" {
            return None;
        }
        let zero = |field: &&str| match () {
            () if field.contains(" struct_size;") => format!("sizeof({name})"),
            () if field.contains('*') || field.contains("_fn ") => "NULL".to_owned(),
            () if field.contains("kv_slice ") => "{NULL, 0}".to_owned(),
            () if field.contains('[') => "{0}".to_owned(),
            () => "0".to_owned(),
        };
        let values: Vec<String> = fields.iter().map(zero).collect();
        Some(format!(
            "#define {}_INIT \\\n    {{{}}}",
            name.to_uppercase(),
            values.join(", ")
        ))
    }
}
