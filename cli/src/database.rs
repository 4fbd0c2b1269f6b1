//! Opening databases, beginning transactions and finding tables, with messages for people at a terminal.

use crate::exit::{shown, About, Exit, Failure, Outcome};
use crate::global::Global;
use crate::output::text::Quoted;
use kv_engine::{Cursor, Db, Durability, Error, Options, Range, ReadTxn, Reader, TableId, WriteOptions, WriteTxn};
use std::path::{Path, PathBuf};

/// An open database and the name that the user gave it.
pub struct Database {
    /// The handle.
    pub db: Db,
    /// The name.
    pub path: PathBuf,
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
    pub fn to_read(path: &Path, global: &Global) -> Outcome<Database> {
        Database::open(
            path,
            &Options {
                read_only: true,
                wait: Some(global.wait),
                ..Options::default()
            },
        )
    }

    /// Opens a database to write into it.
    pub fn to_write(path: &Path, global: &Global, writing: Writing) -> Outcome<Database> {
        let options = Options {
            existing: !writing.create,
            page_size: writing.page_size,
            wait: Some(global.wait),
            durability: match writing.lazy {
                true => Durability::Lazy,
                false => Durability::Full,
            },
            ..Options::default()
        };
        let missing = !writing.create && !path.exists();
        Database::open(path, &options).map_err(|failure| match missing {
            true => failure.advise("add --create to make a new database"),
            false => failure,
        })
    }

    fn open(path: &Path, options: &Options) -> Outcome<Database> {
        Ok(Database {
            db: Db::open(path, options).about(path)?,
            path: path.to_path_buf(),
        })
    }

    /// Begins a read transaction.
    pub fn read(&self) -> Outcome<ReadTxn> {
        self.db.begin_read().about(&self.path)
    }

    /// Begins the write transaction. If others have it for too long, the message says who.
    pub fn write(&self) -> Outcome<WriteTxn> {
        self.db.begin_write(WriteOptions::default()).map_err(|error| {
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

    /// Returns what an error of the engine means, with the name of the file.
    pub fn fail(&self, error: Error) -> Failure {
        Failure::of(&self.path, error)
    }

    /// Returns the table that the user named, or the main table if he named none.
    pub fn table<R: Reader>(&self, txn: &mut R, name: Option<&[u8]>) -> Outcome<TableId> {
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
    pub fn named_tables(&self, mut txn: &ReadTxn) -> Outcome<Vec<(Vec<u8>, TableId)>> {
        let mut names = Vec::new();
        let mut cursor = Cursor::new(&mut txn, TableId::NAMES, &Range::default()).about(&self.path)?;
        while cursor.next(&mut txn).about(&self.path)? {
            names.push(cursor.key().to_vec());
        }
        let find = |name: Vec<u8>| {
            let number = txn.table(&name).about(&self.path)?;
            Ok((name, number))
        };
        names.into_iter().map(find).collect()
    }
}
