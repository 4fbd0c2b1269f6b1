//! Which commands a shell has, and what becomes of a line.

use super::words;
use crate::context::Context;
use crate::database::{Database, WriteAccess};
use crate::exit::{shown, Exit, Failure, Outcome};
use crate::input::bytes::from_text;
use crate::output::stream::Out;
use crate::output::text::{Quoted, Typed};
use crate::session::{Session, State};
use clap::parser::ValueSource;
use clap::ArgMatches;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// The commands that only a shell has, and what the help says of them.
pub const OWN: [(&str, &str); 7] = [
    ("begin", "Begin a write transaction, which lasts until commit or abort"),
    ("commit", "Commit it"),
    ("abort", "Undo it"),
    (
        "table",
        "Work in this table from now on; without a name, in the main table",
    ),
    (
        "snapshot on",
        "Keep what is there now in sight; snapshot off: see the newest commit again",
    ),
    ("help", "This list, or with a command its options"),
    ("quit", "End the shell"),
];

/// Commands for which the current table stands in when no table is named: those that else work in the main table.
const IN_TABLE: [&str; 6] = ["get", "put", "del", "scan", "count", "rank"];

/// What comes after a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The next line, and how this one ended.
    Line(Exit),
    /// The end of the shell.
    End,
}

/// What runs the lines of a shell on one file.
pub struct Interpreter {
    file: PathBuf,
    /// The options of the shell, which its commands have as well.
    pub context: Context,
    /// What is kept between commands.
    pub session: Rc<Session>,
    /// The current table as it was typed; none is the main table.
    pub table: Option<OsString>,
}

/// Returns the names of the commands of `kv` that work in a shell: those whose first argument is an argument `file`
/// that must be given. Those that make one file of another are left out by that.
pub fn names(kv: &clap::Command) -> Vec<String> {
    let takes_file = |command: &clap::Command| {
        let first = command.get_positionals().next();
        first.is_some_and(|argument| argument.get_id() == "file" && argument.is_required_set())
    };
    let commands = kv.get_subcommands().filter(|command| takes_file(command));
    let names = commands.map(|command| command.get_name().to_string());
    names.filter(|name| name != "shell").collect()
}

impl Interpreter {
    /// Begins a shell on a file.
    pub fn new(file: &Path, context: &Context) -> Interpreter {
        let session = Rc::new(Session::default());
        let mut context = context.clone();
        context.session = Some(session.clone());
        // A name that begins with a dash would be taken for an option.
        let file = match file.as_os_str().as_bytes().starts_with(b"-") {
            true => Path::new(".").join(file),
            false => file.to_path_buf(),
        };
        Interpreter {
            file,
            context,
            session,
            table: None,
        }
    }

    /// Returns the file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Does what a line says.
    pub fn run(&mut self, line: &[u8]) -> Outcome<Next> {
        let (words, is_open) = words::split(line);
        if is_open {
            return Err(Failure::usage(
                "a quotation mark is not closed; \\\" stands for one that is data",
            ));
        }
        let words: Vec<OsString> = words.into_iter().map(|word| OsString::from_vec(word.bytes)).collect();
        let Some((verb, rest)) = words.split_first() else {
            return Ok(Next::Line(Exit::Done));
        };
        match (verb.as_bytes(), rest) {
            ([b'#', ..], _) => {}
            (b"quit" | b"exit", []) => return Ok(Next::End),
            (b"help", []) => self.help()?,
            (b"help", [name]) => return self.explain(name),
            (b"begin", []) => self.begin()?,
            (b"commit", []) => self.commit()?,
            (b"abort", []) => drop(self.session.end(&self.file, false)?),
            (b"table", []) => self.table = None,
            (b"table", [name]) => self.choose(name)?,
            (b"snapshot", [word]) if word == "on" => {
                let database = Database::to_read(&self.file, &self.context)?;
                self.session.keep(database.read()?, database.db);
            }
            (b"snapshot", [word]) if word == "off" => self.session.let_go(),
            (b"quit" | b"exit" | b"help" | b"begin" | b"commit" | b"abort" | b"table", _) => {
                let name = Quoted(verb.as_bytes()).to_string();
                return Err(Failure::usage(format!(
                    "{name}: there are too many words; help lists what it takes"
                )));
            }
            _ => return self.command(verb, rest).map(Next::Line),
        }
        Ok(Next::Line(Exit::Done))
    }

    fn begin(&self) -> Outcome<()> {
        if self.session.state() != State::None {
            return Err(Failure::usage(
                "there is a transaction already; commit or abort it first",
            ));
        }
        let database = Database::to_write(&self.file, &self.context, WriteAccess::default())?;
        let txn = database.begin_write()?;
        self.session.begin(txn, database.db);
        Ok(())
    }

    fn commit(&self) -> Outcome<()> {
        match self.session.end(&self.file, true)? {
            true => Ok(()),
            false => Err(Failure::new(
                Exit::Refused,
                format!(
                    "{}: the transaction had failed with an earlier command; nothing was committed, so begin it anew",
                    shown(&self.file)
                ),
            )),
        }
    }

    /// Changes the current table, which need not be there yet: `put --create` makes it.
    fn choose(&mut self, name: &OsStr) -> Outcome<()> {
        let bytes = from_text(name.as_bytes()).map_err(|what| Failure::usage(format!("{}: {what}", Typed(name))))?;
        if bytes.is_empty() {
            return Err(Failure::usage(
                "a table has no empty name; say table alone for the main table",
            ));
        }
        let database = Database::to_read(&self.file, &self.context)?;
        let mut txn = database.reading()?;
        self.table = Some(name.to_owned());
        if database.table(&mut *txn.reader(), Some(&bytes)).is_err() {
            let name = Quoted(&bytes);
            self.context
                .say(format_args!("there is no table {name} yet; put --create makes it"));
        }
        Ok(())
    }

    fn help(&self) -> Outcome<()> {
        let mut out = Out::open()?;
        out.line("A line is a command of kv without the file:\n")?;
        let kv = self.context.command_line();
        for name in names(&kv) {
            let about = kv.find_subcommand(&name).and_then(|command| command.get_about());
            out.line(format_args!(
                "  {name:<11} {}",
                about.map(ToString::to_string).unwrap_or_default()
            ))?;
        }
        out.line("\nThe shell has these besides:\n")?;
        for (name, about) in OWN {
            out.line(format_args!("  {name:<11} {about}"))?;
        }
        out.line("\nQuotation marks keep blanks in one word. A line that begins with # is a remark.")?;
        out.line("help COMMAND tells more.")?;
        out.finish()
    }

    fn explain(&self, name: &OsStr) -> Outcome<Next> {
        match OWN.iter().find(|(own, _)| name == *own) {
            Some((own, about)) => {
                let mut out = Out::open()?;
                out.line(format_args!("{own}: {about}"))?;
                out.finish()?;
                Ok(Next::Line(Exit::Done))
            }
            None => self.command(name, &["--help".into()]).map(Next::Line),
        }
    }

    /// Runs a command of `kv`, with the file put in.
    fn command(&self, verb: &OsStr, rest: &[OsString]) -> Outcome<Exit> {
        let name = verb
            .to_str()
            .filter(|name| names(&self.context.command_line()).iter().any(|known| known == name));
        let Some(name) = name else {
            return Err(Failure::usage(format!(
                "{}: a shell has no such command; help lists them",
                Quoted(verb.as_bytes())
            )));
        };
        let mut line: Vec<OsString> = vec!["kv".into(), name.into(), self.file.clone().into()];
        line.extend_from_slice(rest);
        // Help and usage show what a line of a shell has. That is without the file.
        let kv = self.context.command_line().mut_subcommand(name, |command| {
            let command = command.mut_args(|argument| match argument.get_id() == "file" {
                true => argument.hide(true),
                false => argument,
            });
            let usage = command.clone().render_usage().to_string();
            // It shows what must be given, even if that is hidden.
            let usage = usage.replacen("Usage: ", "", 1).replacen(" <FILE>", "", 1);
            command.override_usage(usage)
        });
        let mut matches = match kv.clone().try_get_matches_from(&line) {
            Ok(matches) => matches,
            Err(error) => return told(&error),
        };
        let typed = |options: &ArgMatches, id: &str| options.value_source(id) == Some(ValueSource::CommandLine);
        let options = matches
            .subcommand()
            .map(|(_, options)| options.clone())
            .unwrap_or_default();
        self.check(name, &options)?;
        if let Some(table) = self
            .table
            .as_ref()
            .filter(|_| IN_TABLE.contains(&name) && !typed(&options, "table"))
        {
            let mut option = OsString::from("--table=");
            option.push(table);
            line.insert(3, option);
            matches = match kv.try_get_matches_from(&line) {
                Ok(matches) => matches,
                Err(error) => return told(&error),
            };
        }
        let was_open = self.session.state() == State::Open;
        let outcome = match self.context.run(&matches) {
            Ok(outcome) => outcome,
            Err(error) => told(&error),
        };
        match was_open && self.session.state() == State::Failed {
            true => outcome.map_err(|failure| failure.advise("the transaction is undone: say abort")),
            false => outcome,
        }
    }

    /// Refuses what would wait for the shell itself.
    fn check(&self, name: &str, options: &ArgMatches) -> Outcome<()> {
        let reads_input = match name {
            "put" => options
                .get_many::<OsString>("pairs")
                .is_some_and(|mut pairs| pairs.any(|word| word == "-")),
            "load" => options
                .get_one::<PathBuf>("input")
                .is_some_and(|input| input == Path::new("-")),
            _ => false,
        };
        if reads_input {
            return Err(Failure::usage(format!(
                "{name}: standard input has the lines of the shell; name a file instead"
            )));
        }
        let waits = || {
            options
                .get_raw("action")
                .is_some_and(|mut words| words.any(|word| word == "reclaim" || word == "cost"))
        };
        let needs_rest = match name {
            "map" | "report" | "compact" => true,
            "check" => options.get_flag("all"),
            "snapshot" => waits(),
            _ => false,
        };
        if needs_rest && self.session.state() == State::Open {
            return Err(Failure::new(
                Exit::Busy,
                format!("{name} needs a moment at which nobody writes; commit or abort the transaction first"),
            ));
        }
        Ok(())
    }
}

/// Shows what clap says of a line: what is wrong with it, or the help that it asks for.
fn told(error: &clap::Error) -> Outcome<Exit> {
    match Failure::command_line(error)? {
        Exit::Done => Ok(Exit::Done),
        exit => Err(Failure::new(exit, "")),
    }
}
