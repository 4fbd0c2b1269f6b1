//! `kv completions`: what shells need to complete commands and options.

use crate::context::Context;
use crate::exit::{Exit, Outcome};
use crate::output::stream::Out;
use clap::Args;
use clap_complete::{generate, Shell};

/// Writes what a shell needs to complete commands and options.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell.
    shell: Shell,
}

impl Completions {
    /// Writes it.
    pub fn run(self, context: &Context) -> Outcome {
        let mut text = Vec::new();
        generate(self.shell, &mut context.command_line(), "kv", &mut text);
        let mut out = Out::open()?;
        out.bytes(&text)?;
        out.finish()?;
        Ok(Exit::Done)
    }
}
