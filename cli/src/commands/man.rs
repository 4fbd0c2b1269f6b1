//! `kv man`: man pages, made of the same texts as the help.

use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use clap::{Arg, ArgAction, Args};
use clap_mangen::roff::{bold, italic, roman, Inline, Roff};
use clap_mangen::Man as Page;
use std::io::{self, Write};
use std::path::PathBuf;

/// Writes man pages into a directory: kv.1, and one for each command.
#[derive(Debug, Args)]
pub struct Man {
    /// The directory, which must be there.
    directory: PathBuf,
}

impl Man {
    /// Writes them.
    pub fn run(self, context: &Context) -> Outcome {
        let mut kv = context.command_line().disable_help_subcommand(true);
        // Options that all commands have are shown with each.
        kv.build();
        let endings = kv.get_after_help().map(ToString::to_string).unwrap_or_default();
        let commands: Vec<clap::Command> = kv.get_subcommands().filter(|c| !c.is_hide_set()).cloned().collect();
        let names: Vec<String> = commands.iter().map(|c| format!("kv-{}", c.get_name())).collect();
        self.write("kv", kv, (&endings, &names))?;
        for (command, name) in commands.into_iter().zip(&names) {
            let bin = format!("kv {}", command.get_name());
            let command = command.display_name(name).bin_name(bin);
            self.write(name, command, (&endings, &["kv".to_string()]))?;
        }
        Ok(Exit::Done)
    }

    fn write(&self, name: &str, command: clap::Command, (endings, see): (&str, &[String])) -> Outcome<()> {
        let path = self.directory.join(format!("{name}.1"));
        let mut text = Vec::new();
        let rendered = page(&mut text, name, command, (endings, see));
        // The renderer ends a line twice where an empty one is wanted.
        let text = String::from_utf8_lossy(&text).replace("\n.br\n\n.br\n", "\n.sp\n");
        rendered
            .and_then(|()| std::fs::write(&path, text))
            .map_err(|e| Failure::file(&path, "write", &e))
    }
}

/// Returns the date of the newest release, as the man pages of the library have it. The date of the build would make
/// two builds of the same sources differ.
fn date() -> &'static str {
    let changes = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../CHANGELOG.md"));
    let is_date = |word: &&str| {
        let bytes = word.as_bytes();
        bytes.len() == 10
            && bytes.iter().enumerate().all(|(at, byte)| match at {
                4 | 7 => *byte == b'-',
                _ => byte.is_ascii_digit(),
            })
    };
    changes.split_whitespace().find(is_date).unwrap_or("2026-01-01")
}

/// Writes a page.
fn page(out: &mut dyn Write, name: &str, command: clap::Command, (endings, see): (&str, &[String])) -> io::Result<()> {
    let has_commands = command.has_subcommands();
    let page = Page::new(command.clone()).title(name.to_uppercase()).date(date());
    let page = page.source(concat!("kv-", env!("CARGO_PKG_VERSION"))).manual("libkv");
    page.render_title(out)?;
    page.render_name_section(out)?;
    synopsis(&command).to_writer(out)?;
    page.render_description_section(out)?;
    page.render_options_section(out)?;
    if has_commands {
        page.render_subcommands_section(out)?;
    }
    sections(endings).to_writer(out)?;
    let mut end = Roff::new();
    end.control("SH", ["FILES"]);
    end.control("TP", []);
    end.text([italic("NAME-shm")]);
    end.text([roman(
        "What the processes that have the database NAME open share. The last one that closes it removes this file.",
    )]);
    end.control("TP", []);
    end.text([italic(".NAME.part-PID-HASH"), roman(", "), italic(".kv-PURPOSE-PID")]);
    end.text([roman(
        "What is being written by the process PID. One that was killed leaves such a file, which may be removed.",
    )]);
    end.control("SH", ["SEE ALSO"]);
    let mut line = Vec::new();
    for (at, name) in see.iter().enumerate() {
        line.extend([
            bold(name.as_str()),
            roman(if at + 1 < see.len() { "(1), " } else { "(1)" }),
        ]);
    }
    end.text(line);
    end.to_writer(out)
}

/// Returns the section that shows how the command is typed.
fn synopsis(command: &clap::Command) -> Roff {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let mut line = vec![bold(name)];
    let visible = command.get_arguments().filter(|argument| !argument.is_hide_set());
    let (positional, options): (Vec<&Arg>, Vec<&Arg>) = visible.partition(|argument| argument.is_positional());
    for option in options {
        let mut names = Vec::new();
        names.extend(option.get_short().map(|short| format!("-{short}")));
        names.extend(option.get_long().map(|long| format!("--{long}")));
        let takes_value = option.get_action().takes_values();
        let repeats = matches!(option.get_action(), ArgAction::Append);
        let value = takes_value.then(|| values(option));
        bracketed(&mut line, !option.is_required_set(), repeats, |line| {
            line.push(bold(names.join("|")));
            if let Some(value) = value {
                line.extend([roman(" "), italic(value)]);
            }
        });
    }
    for argument in positional {
        let most = argument.get_num_args().map_or(1, |range| range.max_values());
        let names = argument.get_value_names().map_or(1, <[_]>::len);
        let repeats = most > names || matches!(argument.get_action(), ArgAction::Append);
        bracketed(&mut line, !argument.is_required_set(), repeats, |line| {
            line.push(italic(values(argument)))
        });
    }
    if command.has_subcommands() {
        line.extend([roman(" "), italic("COMMAND"), roman(" ...")]);
    }
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]);
    roff.text(line);
    roff
}

/// Returns what people read for the values of an argument.
fn values(argument: &Arg) -> String {
    match argument.get_value_names() {
        Some(names) => names.join(" "),
        None => argument.get_id().as_str().to_uppercase(),
    }
}

/// Adds an argument, which may be left out or repeated.
fn bracketed(line: &mut Vec<Inline>, optional: bool, repeats: bool, add: impl FnOnce(&mut Vec<Inline>)) {
    line.push(roman(if optional { " [" } else { " " }));
    add(line);
    line.push(roman(if optional { "]" } else { "" }));
    line.push(roman(if repeats { " ..." } else { "" }));
}

/// Makes sections of what stands below the help: lines that end with a colon are headings, lines that begin with a
/// number tell what it means, and the others are text.
fn sections(endings: &str) -> Roff {
    let mut roff = Roff::new();
    for line in endings.lines() {
        if let Some(heading) = line.strip_suffix(':').filter(|line| !line.starts_with(' ')) {
            roff.control("SH", [heading.to_uppercase().as_str()]);
            continue;
        }
        let line = line.trim();
        match line
            .split_once(' ')
            .filter(|(word, _)| word.bytes().all(|byte| byte.is_ascii_digit()))
        {
            Some((number, meaning)) => {
                roff.control("TP", []);
                roff.text([bold(number)]);
                roff.text([roman(meaning.trim())]);
            }
            None if line.is_empty() => {}
            None => drop(roff.text([roman(line)])),
        }
    }
    roff
}
