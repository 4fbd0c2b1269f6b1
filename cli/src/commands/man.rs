//! `kv man`: man pages, made of the same texts as the help.

use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use clap::Args;
use clap_mangen::Man as Page;
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
        let endings = kv.get_after_help().cloned().unwrap_or_default();
        let commands: Vec<clap::Command> = kv.get_subcommands().filter(|c| !c.is_hide_set()).cloned().collect();
        self.write("kv", kv)?;
        for command in commands {
            let name = format!("kv-{}", command.get_name());
            let words = name.replace('-', " ");
            let command = command.display_name(&name).bin_name(&words).after_help(endings.clone());
            self.write(&name, command)?;
        }
        Ok(Exit::Done)
    }

    fn write(&self, name: &str, command: clap::Command) -> Outcome<()> {
        let path = self.directory.join(format!("{name}.1"));
        let mut text = Vec::new();
        // A date would make two builds of the same sources differ.
        let rendered = Page::new(command).title(name.to_uppercase()).date("").render(&mut text);
        rendered
            .and_then(|()| std::fs::write(&path, &text))
            .map_err(|e| Failure::file(&path, "write", &e))
    }
}
