//! The command line as a whole: the options that all commands have, and what the help says of all of them.

use crate::commands::Command;
use clap::{Args, Parser};
use std::time::Duration;

/// What the help and the man page say of the codes with which the program ends.
const ENDINGS: &str = "\
Exit status:
  0    done
  1    not found: there is no such key or table
  2    usage: the command line or the input is wrong
  3    damage: the file is not what was written
  4    busy: others have what was waited for
  5    system: no such file, no access, no space, an error of the disk, a limit
  6    refused: it exists already, it is no database, a newer version made it
  130  interrupted

Keys and values:
  They are typed as text, in which \\n, \\r, \\t, \\0, \\xHH (a byte), \\u{HHHH} (a character) and \\\\ stand for what cannot be
  typed. With --hex they are hexadecimal digits. Output uses the same escapes; -o raw writes bytes as they are, and
  -o json writes one object a line, in which bytes that are not UTF-8 are {\"hex\": \"...\"}.";

/// Reads, writes, checks, copies and converts databases of libkv.
#[derive(Debug, Parser)]
#[command(name = "kv", version, about, after_help = ENDINGS, arg_required_else_help = true, max_term_width = 120)]
pub struct Kv {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// The options that all commands have.
    #[command(flatten)]
    pub global: Global,
}

/// The options that all commands have.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Says nothing but errors: no progress, no summary.
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// How many seconds to wait for others, such as the process that has the write transaction.
    #[arg(long, global = true, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub wait: Duration,
}

/// Reads a number of seconds, which may have a fraction.
fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| "it is not a number of seconds".to_string())?;
    Duration::try_from_secs_f64(number).map_err(|_| "it is not a time that can be waited for".to_string())
}

impl Global {
    /// Says something on standard error, unless the user wants to hear nothing.
    pub fn say(&self, what: impl std::fmt::Display) {
        if !self.quiet {
            // Who closed standard error does not listen.
            let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("kv: {what}\n"));
        }
    }
}
