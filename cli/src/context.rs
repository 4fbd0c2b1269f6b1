//! What a command runs in: the options that all commands have, and the shell, if it is a command of one.

use crate::exit::Outcome;
use crate::global::Global;
use crate::session::Session;
use clap::ArgMatches;
use std::rc::Rc;

/// Runs a command line that was parsed, in the context of a shell, or returns what is wrong with it.
pub type Run = fn(&ArgMatches, &Context) -> Result<Outcome, clap::Error>;

/// What a command runs in.
#[derive(Debug, Clone)]
pub struct Context {
    /// The options that all commands have.
    pub global: Global,
    /// What the shell keeps from one command to the next, if the command is one of a shell.
    pub session: Option<Rc<Session>>,
    /// Returns the whole command line, for those commands that describe it. The list of commands is above them, so they
    /// get it from here.
    whole: fn() -> clap::Command,
    run: Run,
}

impl Context {
    /// Returns the context of a command that is no shell's.
    pub fn new(global: Global, whole: fn() -> clap::Command, run: Run) -> Context {
        Context {
            global,
            session: None,
            whole,
            run,
        }
    }

    /// Returns the context of a command of the same shell with other options.
    pub fn with(&self, global: Global) -> Context {
        Context { global, ..self.clone() }
    }

    /// Describes the whole command line.
    pub fn command_line(&self) -> clap::Command {
        (self.whole)()
    }

    /// Runs the command of a line that was parsed. Options that the line does not have are those of this context.
    pub fn run(&self, line: &ArgMatches) -> Result<Outcome, clap::Error> {
        (self.run)(line, self)
    }

    /// Says something on standard error, unless the user wants to hear nothing.
    pub fn say(&self, what: impl std::fmt::Display) {
        if !self.global.quiet {
            // Whoever closed standard error does not listen.
            let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("kv: {what}\n"));
        }
    }
}
