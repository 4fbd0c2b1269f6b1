//! Opening databases, beginning transactions and finding tables, with messages for people at a terminal.

use crate::context::Context;
use crate::exit::{shown, About, Exit, Failure, Outcome};
use crate::interrupt;
use crate::output::text::Quoted;
use crate::session::{Reading, Session, Work};
use kv_engine::{
    Cursor, Db, Durability, Error, Options, Range, ReadTxn, Reader, TableId, Wait, WriteOptions, WriteTxn,
};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// An open database and the name that the user gave it.
pub struct Database {
    /// The handle.
    pub db: Db,
    /// The name.
    pub path: PathBuf,
    /// What the shell keeps, if the command is one of a shell.
    pub session: Option<Rc<Session>>,
    wait: Duration,
}

/// What a command that writes may do besides.
#[derive(Debug, Clone, Copy, Default)]
pub struct Writing {
    /// Whether a file that is missing is created.
    pub create: bool,
    /// The page size of a new file; 0 stands for the usual one.
    pub page_size: u32,
    /// Whether the commit need not be durable when it returns.
    pub lazy: bool,
}

impl Database {
    /// Opens a database to read it. Nothing is created or changed.
    pub fn to_read(path: &Path, context: &Context) -> Outcome<Database> {
        Database::open(
            path,
            context,
            &Options {
                read_only: true,
                wait: Some(context.global.wait),
                ..Options::default()
            },
        )
    }

    /// Opens a database to write into it.
    pub fn to_write(path: &Path, context: &Context, writing: Writing) -> Outcome<Database> {
        let options = Options {
            existing: !writing.create,
            page_size: writing.page_size,
            wait: Some(context.global.wait),
            durability: match writing.lazy {
                true => Durability::Lazy,
                false => Durability::Full,
            },
            ..Options::default()
        };
        let missing = !writing.create && !path.exists();
        Database::open(path, context, &options).map_err(|failure| match missing {
            true => failure.advise("add --create to make a new database"),
            false => failure,
        })
    }

    fn open(path: &Path, context: &Context, options: &Options) -> Outcome<Database> {
        Ok(Database {
            db: Db::open(path, options).about(path)?,
            path: path.to_path_buf(),
            session: context.session.clone(),
            wait: context.global.wait,
        })
    }

    /// Begins a read transaction.
    pub fn read(&self) -> Outcome<ReadTxn> {
        self.db.begin_read().about(&self.path)
    }

    /// Returns what is to be read: what the shell keeps, or a snapshot of its own.
    pub fn reading(&self) -> Outcome<Reading> {
        Reading::of(self.session.as_ref(), || self.read())
    }

    /// Returns what is to be written with: what the shell keeps, or a transaction of its own.
    pub fn write(&self) -> Outcome<Work> {
        Work::of(self.session.as_ref(), || self.begin_write())
    }

    /// Begins a write transaction. If others have it for too long, the message says who.
    pub fn begin_write(&self) -> Outcome<WriteTxn> {
        self.wait_to_write().map_err(|error| {
            let writer = self.db.writer().filter(|_| matches!(error, Error::Busy(_)));
            match writer {
                Some(writer) => Failure::new(
                    Exit::Busy,
                    format!(
                        "{}: busy: process {} has had the write transaction for {:.1} s; repeat, or wait longer with \
                         --wait SECONDS",
                        shown(&self.path),
                        writer.pid,
                        writer.age_ms as f64 / 1000.0
                    ),
                ),
                None => self.fail(error),
            }
        })
    }

    /// Waits for the right to write. In a shell, Ctrl-C ends the waiting.
    fn wait_to_write(&self) -> kv_engine::Result<WriteTxn> {
        const STEP: Duration = Duration::from_millis(100);
        if self.session.is_none() {
            return self.db.begin_write(WriteOptions::default());
        }
        let end = Instant::now().checked_add(self.wait);
        loop {
            let left = end.map_or(STEP, |end| end.saturating_duration_since(Instant::now()));
            let options = WriteOptions {
                wait: Some(Wait::For(left.min(STEP))),
                ..WriteOptions::default()
            };
            match self.db.begin_write(options) {
                Err(Error::Busy(_)) if interrupt::was_interrupted() => return Err(Error::Cancelled),
                Err(Error::Busy(_)) if left > STEP => {}
                other => return other,
            }
        }
    }

    /// Returns what an error of the engine means, with the name of the file.
    pub fn fail(&self, error: Error) -> Failure {
        Failure::of(&self.path, error)
    }

    /// Returns the table that the user named, or the main table if he named none.
    pub fn table<R: Reader + ?Sized>(&self, txn: &mut R, name: Option<&[u8]>) -> Outcome<TableId> {
        let Some(name) = name else {
            return Ok(TableId::MAIN);
        };
        txn.table(name).map_err(|error| match error {
            Error::NoTable(_) => self.no_table(name),
            other => self.fail(other),
        })
    }

    /// Returns the failure for a table that is not there.
    pub fn no_table(&self, name: &[u8]) -> Failure {
        let path = shown(&self.path);
        Failure::new(
            Exit::NotFound,
            format!(
                "{path}: there is no table {}; kv tables {path} lists those that there are",
                Quoted(name)
            ),
        )
    }

    /// Returns the failure for a key that is not there.
    pub fn no_key(&self, table: Option<&[u8]>, key: &[u8]) -> Failure {
        let table = match table {
            Some(name) => format!("table {}", Quoted(name)),
            None => "the main table".to_string(),
        };
        Failure::new(
            Exit::NotFound,
            format!("{}: {table} has no key {}", shown(&self.path), Quoted(key)),
        )
    }

    /// Returns the named tables, in the order of their names.
    pub fn named_tables<R: Reader + ?Sized>(&self, txn: &mut R) -> Outcome<Vec<(Vec<u8>, TableId)>> {
        let mut names = Vec::new();
        let mut cursor = Cursor::new(txn, TableId::NAMES, &Range::default()).about(&self.path)?;
        while cursor.next(txn).about(&self.path)? {
            names.push(cursor.key().to_vec());
        }
        let find = |name: Vec<u8>| {
            let number = txn.table(&name).about(&self.path)?;
            Ok((name, number))
        };
        names.into_iter().map(find).collect()
    }
}
