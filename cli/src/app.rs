//! The command line as a whole, and what the help says of all commands.

use crate::commands::Command;
use crate::global::Global;
use clap::Parser;

/// What the help and the man page say of the codes with which the program ends.
const ENDINGS: &str = "\
Exit status:
  0    done
  1    not found: there is no such key or table
  2    usage: the command line or the input is wrong
  3    damage: the file is not what was written
  4    busy: others have what was waited for
  5    system: no such file, no access, no space, an error of the disk, a limit
  6    refused: it exists already, it is no database, a newer version made it, it
       is too big
  130  interrupted

Keys and values:
  They are typed as text, in which \\n, \\r, \\t, \\0, \\xHH (a byte), \\u{HHHH} (a
  character) and \\\\ stand for what cannot be typed. With --hex they are
  hexadecimal digits. Output has the same escapes; -o raw writes bytes as they
  are, and -o json writes one object a line, in which bytes that are not UTF-8
  are {\"hex\": \"...\"}.";

/// Reads, writes, checks, copies and converts databases of libkv.
#[derive(Debug, Parser)]
#[command(name = "kv", version, after_help = ENDINGS, arg_required_else_help = true, max_term_width = 120)]
pub struct Kv {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// The options that all commands have.
    #[command(flatten)]
    pub global: Global,
}
