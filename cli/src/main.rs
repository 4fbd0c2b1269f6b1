//! The command `kv`: it parses its arguments, runs one command, and ends with a code that tells what happened.
//!
//! | file        | subject                                                            |
//! |-------------|--------------------------------------------------------------------|
//! | `app`       | the command line as a whole, and its help                          |
//! | `commands`  | what each command does, one file each                              |
//! | `database`  | opening databases, transactions and tables, as commands need them  |
//! | `exit`      | how the program ends: codes and messages                           |
//! | `global`    | the options that all commands have                                 |
//! | `input`     | what people type: keys, values, ranges                             |
//! | `interrupt` | Ctrl-C during long work                                            |
//! | `output`    | what people and programs read: entries, figures, progress          |
//! | `formats`   | text formats of whole tables: LMDB's, JSON lines, CSV              |
//!
//! Data goes to standard output; what is said about the work goes to standard error.

mod app;
mod commands;
mod database;
mod exit;
mod formats;
mod global;
mod input;
mod interrupt;
mod output;

use clap::{CommandFactory, Parser};
use std::process::ExitCode;

fn main() -> ExitCode {
    let app::Kv { command, mut global } = app::Kv::parse();
    global.whole = app::Kv::command;
    match command.run(&global) {
        Ok(exit) => exit.into(),
        Err(failure) => failure.tell(),
    }
}
