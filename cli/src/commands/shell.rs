//! `kv shell`: commands on one file, line by line.

use crate::context::Context;
use crate::database::Database;
use crate::exit::{shown, Exit, Failure, Outcome};
use crate::input::bytes::from_text;
use crate::input::lines::read_line;
use crate::interrupt::{self, Wakeful};
use crate::output::stream;
use crate::output::text::{escaped, Typed};
use crate::session::State;
use crate::shell::complete::Help;
use crate::shell::history;
use crate::shell::verbs::{Interpreter, Next};
use clap::Args;
use rustyline::error::ReadlineError;
use rustyline::history::{FileHistory, History};
use rustyline::{CompletionType, Config, DefaultEditor, Editor};
use std::ffi::OsStr;
use std::io::{self, BufReader, IsTerminal};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Runs commands on one file, line by line.
///
/// A line is a command of kv with the file left out: get KEY, scan --prefix a, put KEY VALUE. Besides, begin, commit
/// and abort make one transaction of several lines, table NAME changes the table in which commands work, snapshot on
/// keeps what is there now in sight, and help and quit do what they say.
///
/// On a terminal, the shell completes commands, options, tables and keys with the tabulator, remembers its lines,
/// shows long output with $PAGER, and Ctrl-C ends the command, not the shell. Lines that begin with a blank are not
/// remembered. Lines can also come from a pipe or a file; then the first error ends the shell with the exit status of
/// that command.
#[derive(Debug, Args)]
pub struct Shell {
    /// The database.
    file: PathBuf,
    /// Goes on after an error in a script. The exit status is that of the first one.
    #[arg(long)]
    keep_going: bool,
    /// Neither reads nor writes the history ($XDG_STATE_HOME/kv/history, else ~/.local/state/kv/history).
    #[arg(long)]
    no_history: bool,
}

impl Shell {
    /// Runs the lines.
    pub fn run(self, context: &Context) -> Outcome {
        // What is wrong with the file is reported at once.
        drop(Database::to_read(&self.file, context)?);
        let mut interpreter = Interpreter::new(&self.file, context);
        match io::stdin().is_terminal() {
            true => self.talk(&mut interpreter),
            false => self.script(&mut interpreter),
        }
    }

    /// Runs the lines of a script.
    fn script(&self, interpreter: &mut Interpreter) -> Outcome {
        let mut input = BufReader::new(Wakeful::stdin()?);
        let (mut line, mut number, mut worst) = (Vec::new(), 0u64, Exit::Done);
        loop {
            interrupt::check()?;
            let read = read_line(&mut input, &mut line);
            if read.map_err(|e| Failure::input(Path::new("-"), "read", &e))? == 0 {
                break;
            }
            number += 1;
            let exit = match interpreter.run(&line) {
                Ok(Next::End) => break,
                Ok(Next::Line(exit)) => exit,
                Err(failure) => {
                    let exit = failure.exit();
                    failure.tell();
                    exit
                }
            };
            if exit == Exit::Done {
                continue;
            }
            if worst == Exit::Done {
                worst = exit;
            }
            let text = Typed(OsStr::from_bytes(line.trim_ascii())).to_string();
            if !self.keep_going {
                let undone = match interpreter.session.state() {
                    State::None => "",
                    _ => ", and the transaction is undone",
                };
                return Err(Failure::new(
                    exit,
                    format!("line {number} of the script failed: {text}; nothing after it was done{undone}"),
                ));
            }
            interpreter
                .context
                .say(format_args!("line {number} of the script failed: {text}"));
        }
        if interpreter.session.state() != State::None {
            return Err(Failure::usage(
                "the script ends within a transaction, which is undone; end it with commit",
            ));
        }
        Ok(worst)
    }

    /// Runs the lines that somebody types.
    fn talk(&self, interpreter: &mut Interpreter) -> Outcome {
        interrupt::outlive();
        stream::page();
        let config = Config::builder()
            .completion_type(CompletionType::List)
            .history_ignore_space(true)
            .auto_add_history(true)
            .max_history_size(history::LINES)
            .map_err(|e| terminal(&e))?
            .build();
        interpreter
            .context
            .say("help lists the commands, and quit ends the shell");
        let kept = history::file().filter(|_| !self.no_history);
        let mut history = FileHistory::with_config(config);
        if let Some(kept) = kept.as_ref().filter(|kept| kept.exists()) {
            if let Err(error) = history.load(kept) {
                let kept = shown(kept);
                interpreter
                    .context
                    .say(format_args!("{kept}: the history cannot be read: {error}"));
            }
        }
        let end = loop {
            let line = match read(interpreter, &config, &mut history) {
                Err(error) if is_no_text(&error) => {
                    let what =
                        "the line has a byte that is not UTF-8, so nothing of it is done; type the byte as \\xHH";
                    Failure::usage(what).tell();
                    pass_over_rest().map(|()| None)
                }
                other => other.map(Some),
            };
            let line = match line {
                Ok(Some(line)) => line,
                Ok(None) | Err(ReadlineError::Interrupted) => continue,
                Err(ReadlineError::Eof) => break Ok(Exit::Done),
                Err(error) => break Err(terminal(&error)),
            };
            if let Some(kept) = &kept {
                // A line that cannot be kept is no reason to disturb.
                let _ = history.append(kept);
            }
            interrupt::forget();
            match interpreter.run(line.as_bytes()) {
                Ok(Next::End) => break Ok(Exit::Done),
                Ok(Next::Line(_)) => {}
                Err(failure) => drop(failure.tell()),
            }
            interrupt::forget();
        };
        if interpreter.session.state() == State::Open {
            interpreter
                .context
                .say("the transaction was not committed, and is undone");
        }
        end
    }
}

/// Reads a line from the terminal. The editor takes Ctrl-C to itself as long as there is one, so it lives for one line
/// only, and gives the history back.
fn read(interpreter: &Interpreter, config: &Config, history: &mut FileHistory) -> rustyline::Result<String> {
    let mut editor = Editor::with_history(*config, std::mem::take(history))?;
    editor.set_helper(Some(Help {
        file: interpreter.file().to_path_buf(),
        context: interpreter.context.clone(),
        table: interpreter.table.clone().map(std::os::unix::ffi::OsStringExt::into_vec),
    }));
    let line = editor.readline(&prompt(interpreter));
    *history = std::mem::take(editor.history_mut());
    line
}

/// Returns whether a line could not be read because it has bytes that are no text.
fn is_no_text(error: &ReadlineError) -> bool {
    matches!(error, ReadlineError::Io(error) if error.kind() == io::ErrorKind::InvalidData)
}

/// Reads the rest of a line that cannot be read as a whole, so that it is not taken for a command of its own.
fn pass_over_rest() -> rustyline::Result<()> {
    loop {
        match DefaultEditor::new()?.readline("the rest of the line, up to Enter: ") {
            Err(error) if is_no_text(&error) => {}
            other => return other.map(drop),
        }
    }
}

/// Returns what is shown before a line: the file, the table, the transaction, the snapshot.
fn prompt(interpreter: &Interpreter) -> String {
    let name = interpreter.file().file_name().unwrap_or(interpreter.file().as_os_str());
    let mut text = escaped(name.as_bytes()).to_string();
    if let Some(table) = &interpreter.table {
        // It was read when it was chosen.
        let name = from_text(table.as_bytes()).unwrap_or_default();
        text.push_str(&format!(" {}", escaped(&name)));
    }
    match interpreter.session.state() {
        State::None => {}
        State::Open => text.push_str(" [transaction]"),
        State::Failed => text.push_str(" [failed transaction]"),
    }
    if let Some(commit) = interpreter.session.snapshot() {
        text.push_str(&format!(" [snapshot {commit}]"));
    }
    text.push_str("> ");
    text
}

fn terminal(error: &ReadlineError) -> Failure {
    Failure::new(Exit::System, format!("the terminal: {error}"))
}
