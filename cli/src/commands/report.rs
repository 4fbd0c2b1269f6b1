//! `kv report`: a page of HTML about a database.

use crate::context::Context;
use crate::exit::{shown, Exit, Failure, Outcome};
use crate::output::stream::Out;
use crate::report::{self, facts::Facts};
use crate::temporary::Temporary;
use clap::Args;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

/// Writes a page of HTML that shows the state of a database, for people to look at and to send to others.
///
/// It has the tables with their sizes, how full pages are, the lengths of keys and values, a map of the pages, what
/// snapshots keep, who reads, and what should be done, in plain words. It is one file that loads nothing and has no
/// script. It has the names of tables and of processes, and the path of the file, but no keys and no values. Every
/// entry and every page of every tree is read; long values are not. Of a damaged database the page shows what can be
/// read, and the exit status is 3.
#[derive(Debug, Args)]
pub struct Report {
    /// The database.
    file: PathBuf,
    /// Where the page is written. A file that is there is replaced if it is a page of HTML.
    ///
    /// Without this the page goes to standard output, unless that is a terminal.
    #[arg(long, short, value_name = "OUT.html")]
    output: Option<PathBuf>,
}

/// How each page begins.
const BEGIN: &[u8] = b"<!DOCTYPE html>";

impl Report {
    /// Writes the page.
    pub fn run(self, context: &Context) -> Outcome {
        match &self.output {
            Some(to) => may_replace(to)?,
            None if Out::open()?.is_terminal() => {
                return Err(Failure::usage(
                    "a terminal does not show HTML; name a file with -o OUT.html, or write into a pipe",
                ))
            }
            None => {}
        }
        let facts = Facts::gather(&self.file, context)?;
        let page = report::page(&facts);
        let Some(to) = &self.output else {
            let mut out = Out::open()?;
            out.bytes(page.as_bytes())?;
            out.finish()?;
            return Ok(facts.damage.tell(&self.file));
        };
        write(to, page.as_bytes())?;
        context.say(format_args!("{}: the report was written", shown(to)));
        Ok(facts.damage.tell(&self.file))
    }
}

/// Refuses to replace what is no page of HTML, such as the database itself.
fn may_replace(path: &Path) -> Outcome<()> {
    let mut begin = Vec::new();
    let read = File::open(path).and_then(|file| {
        if !file.metadata()?.is_file() {
            return Ok(BEGIN.len());
        }
        file.take(BEGIN.len() as u64).read_to_end(&mut begin)
    });
    match read {
        Ok(0) => Ok(()),
        Ok(_) if begin.is_empty() || begin.eq_ignore_ascii_case(BEGIN) => Ok(()),
        Ok(_) => Err(Failure::new(
            Exit::Refused,
            format!("{}: it exists and is no page of HTML; give another name", shown(path)),
        )),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Failure::file(path, "open", &error)),
    }
}

/// Writes a file as a whole: a page that is there already stays as it is until the new one is complete.
fn write(path: &Path, bytes: &[u8]) -> Outcome<()> {
    let is_special = std::fs::metadata(path).is_ok_and(|facts| !facts.is_file());
    if is_special {
        return std::fs::write(path, bytes).map_err(|e| Failure::file(path, "write", &e));
    }
    let (part, mut file) = Temporary::file(path, "report", 0o666)?;
    file.write_all(bytes).map_err(|e| Failure::file(path, "write", &e))?;
    part.keep_as(path)
}
