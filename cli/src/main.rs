//! The command `kv`: it parses its arguments, runs one command, and ends with a code that tells what happened.
//!
//! | file        | subject                                                            |
//! |-------------|--------------------------------------------------------------------|
//! | `app`       | the command line as a whole, and its help                          |
//! | `batches`   | writing in one transaction or in several                           |
//! | `closed`    | whether there is a standard output                                 |
//! | `commands`  | what each command does, one file each                              |
//! | `context`   | what a command runs in: its options, and the shell if there is one |
//! | `damage`    | damage that a command passes to show what is left                  |
//! | `database`  | opening databases, transactions and tables, as commands need them  |
//! | `exit`      | how the program ends: codes and messages                           |
//! | `global`    | the options that all commands have                                 |
//! | `input`     | what people type: keys, values, ranges                             |
//! | `inspect`   | what commands and the report find out about a database             |
//! | `interrupt` | Ctrl-C during long work                                            |
//! | `output`    | what people and programs read: entries, figures, progress          |
//! | `formats`   | text formats of whole tables: LMDB's, JSON lines, CSV              |
//! | `report`    | a page of HTML about a database                                    |
//! | `session`   | what a shell keeps from one command to the next                    |
//! | `shell`     | lines: their words, what becomes of them, completion               |
//! | `temporary` | files and folders that exist while a command works                 |
//!
//! Data goes to standard output; what is said about the work goes to standard error.

mod app;
mod batches;
mod closed;
mod commands;
mod context;
mod damage;
mod database;
mod exit;
mod formats;
mod global;
mod input;
mod inspect;
mod interrupt;
mod output;
mod report;
mod session;
mod shell;
mod temporary;

use crate::context::Context;
use crate::exit::{Failure, Outcome};
use crate::global::Global;
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser};
use std::process::ExitCode;

fn main() -> ExitCode {
    let app::Kv { command, global } = match app::Kv::try_parse() {
        Ok(line) => line,
        Err(error) => return end(Failure::command_line(&error)),
    };
    end(command.run(&Context::new(global, app::Kv::command, run)))
}

/// Ends the program as a command has ended.
fn end(outcome: Outcome) -> ExitCode {
    match outcome {
        Ok(exit) => exit.into(),
        Err(failure) => failure.tell(),
    }
}

/// Runs a line of a shell, whose options hold where the line has none of its own.
fn run(line: &ArgMatches, shell: &Context) -> Result<Outcome, clap::Error> {
    let app::Kv { command, global } = app::Kv::from_arg_matches(line)?;
    let options = line.subcommand().map(|(_, options)| options);
    let has_wait = options.is_some_and(|line| line.value_source("wait") == Some(ValueSource::CommandLine));
    let global = Global {
        quiet: global.quiet || shell.global.quiet,
        wait: if has_wait { global.wait } else { shell.global.wait },
    };
    Ok(command.run(&shell.with(global)))
}
