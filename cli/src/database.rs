//! Opening databases, beginning transactions and finding tables, with messages for people at a terminal.

use crate::context::Context;
use crate::damage::Damage;
use crate::exit::{database_beside, shown, About, Exit, Failure, Outcome};
use crate::interrupt;
use crate::output::figures::Figure;
use crate::output::text::{table_name, Quoted};
use crate::session::{Announced, Announcing, Reading, Session, Work};
use kv_engine::{
    CommitId, Cursor, Db, Durability, Error, Options, Range, ReadTxn, Reader, TableId, Wait, WriteOptions, WriteTxn,
};
use std::cell::Cell;
use std::ops::Bound;
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
    /// What counts the pages that a command of a shell announces.
    announcing: Option<Announcing>,
    /// What becomes of a file that was created. It comes behind the handle, which is closed by then.
    made: Option<Made>,
}

/// A file that was created for a command, and goes with it unless the command commits something or is successful.
struct Made {
    path: PathBuf,
    /// The commit with which the file began.
    first: CommitId,
    stays: Cell<bool>,
}

impl Drop for Made {
    fn drop(&mut self) {
        // Where NAME-shm is left, others have the file open. The last one that closes it removes that.
        if self.stays.get() || beside(&self.path).exists() {
            return;
        }
        let options = Options {
            read_only: true,
            ..Options::default()
        };
        // What was committed stays, whoever did it.
        let is_as_it_began = Db::open(&self.path, &options).is_ok_and(|db| db.stat().visible == self.first);
        if is_as_it_began {
            // A file that cannot be removed is empty, and does no harm.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Returns the name of the file that is there while a database is open.
pub fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-shm");
    name.into()
}

/// How long opening waits at least. Processes that open a file at the same time wait for each other for a moment, and
/// who does not want to wait for a writer does not mean that.
const OPENING: Duration = Duration::from_secs(1);

/// What a command that writes may do besides.
#[derive(Debug, Clone, Copy, Default)]
pub struct WriteAccess {
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
                ..Options::default()
            },
        )
        .about(path)
    }

    /// Opens a database to write into it.
    pub fn to_write(path: &Path, context: &Context, access: WriteAccess) -> Outcome<Database> {
        let options = Options {
            existing: !access.create,
            page_size: access.page_size,
            durability: match access.lazy {
                true => Durability::Lazy,
                false => Durability::Full,
            },
            ..Options::default()
        };
        let is_new = !path.exists();
        let mut database = Database::open(path, context, &options).map_err(|error| match error {
            Error::NoFile(_) if !access.create && database_beside(path).is_none() => {
                Failure::bare(path, &error).advise("add --create to make a new database")
            }
            error => Failure::of(path, error),
        })?;
        if is_new {
            database.made = Some(Made {
                path: path.canonicalize().unwrap_or_else(|_| path.to_path_buf()),
                first: database.db.stat().visible,
                stays: Cell::new(false),
            });
        }
        Ok(database)
    }

    /// Returns what the commands of the shell have announced so far, this one included; `None` outside of a shell.
    pub fn announced(&self) -> Option<Announced> {
        self.announcing.as_ref().map(Announcing::total)
    }

    /// The command is done, so a file that was created for it stays, even if it has no entries.
    pub fn keep(&self) {
        if let Some(made) = &self.made {
            made.stays.set(true);
        }
    }

    /// Opens a database whose jobs wait for others as the user wants it. Opening waits longer, so it may take several
    /// attempts.
    fn open(path: &Path, context: &Context, options: &Options) -> kv_engine::Result<Database> {
        const STEP: Duration = Duration::from_millis(10);
        let options = Options {
            wait: Some(context.global.wait),
            ..options.clone()
        };
        let begun = Instant::now();
        let db = loop {
            match Db::open(path, &options) {
                Err(Error::Busy(_)) if begun.elapsed() < OPENING => std::thread::sleep(STEP),
                opened => break opened?,
            }
        };
        Ok(Database {
            announcing: context.session.as_ref().map(|session| Announcing::of(session, &db)),
            db,
            path: path.to_path_buf(),
            session: context.session.clone(),
            wait: context.global.wait,
            made: None,
        })
    }

    /// Begins a read transaction on the newest commit.
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
        self.wait_to_write().map_err(|error| self.fail_waiting(error))
    }

    /// Returns what an error of a call means that waits until nobody writes. If somebody has written for too long, the
    /// message says who.
    pub fn fail_waiting(&self, error: Error) -> Failure {
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
    }

    /// Waits for the right to write. Where Ctrl-C does not end the process, it ends the waiting.
    fn wait_to_write(&self) -> kv_engine::Result<WriteTxn> {
        const STEP: Duration = Duration::from_millis(100);
        if !interrupt::is_watched() {
            return self.db.begin_write(WriteOptions {
                wait: Some(Wait::For(self.wait)),
                ..WriteOptions::default()
            });
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
        let (path, table) = (shown(&self.path), table_name(table));
        Failure::new(Exit::NotFound, format!("{path}: {table} has no key {}", Quoted(key)))
    }

    /// Returns what an error of a call means that is about a snapshot.
    pub fn no_snapshot(&self, name: &[u8], error: Error) -> Failure {
        let Error::NotFound = error else {
            return self.fail(error);
        };
        let path = shown(&self.path);
        Failure::new(
            Exit::NotFound,
            format!(
                "{path}: there is no snapshot {}; kv snapshot {path} list shows those that there are",
                Quoted(name)
            ),
        )
    }

    /// Returns the failure of what needs the state of a snapshot that is a mark.
    pub fn is_mark(&self, name: &[u8]) -> Failure {
        let (path, name) = (shown(&self.path), Quoted(name));
        Failure::new(
            Exit::Refused,
            format!(
                "{path}: {name} is a mark (it was created as one, released, or has yielded), so its state is not kept; \
                 kv diff {path} --snapshot {name} --ranges shows what may have changed since"
            ),
        )
    }

    /// Returns the names of the snapshots.
    pub fn snapshots<R: Reader + ?Sized>(&self, txn: &mut R) -> Outcome<Vec<Vec<u8>>> {
        // Keys that begin with a byte 0 are no names.
        let names = Range {
            from: Bound::Included(&[1]),
            ..Range::default()
        };
        let mut found = Vec::new();
        self.each_key(txn, TableId::SNAPSHOTS, &names, &mut found)?;
        Ok(found)
    }

    /// Returns the tables: the main one, then the others in the order of their names.
    pub fn tables<R: Reader + ?Sized>(&self, txn: &mut R) -> Outcome<Vec<Table>> {
        let mut names = Vec::new();
        self.names(txn, &mut names)?;
        let mut tables = vec![Table::main()];
        for name in names {
            let id = txn.table(&name).about(&self.path)?;
            tables.push(Table { name: Some(name), id });
        }
        Ok(tables)
    }

    /// Returns the tables that can be found: those whose names come before damage in the list of names, and whose
    /// records can be read.
    pub fn tables_past<R: Reader + ?Sized>(&self, txn: &mut R, damage: &mut Damage) -> Outcome<Vec<Table>> {
        let mut names = Vec::new();
        let read = self.names(txn, &mut names);
        damage.pass(read)?;
        let mut tables = vec![Table::main()];
        for name in names {
            if let Some(id) = damage.pass(txn.table(&name).about(&self.path))? {
                tables.push(Table { name: Some(name), id });
            }
        }
        Ok(tables)
    }

    /// Reads the list of names.
    fn names<R: Reader + ?Sized>(&self, txn: &mut R, names: &mut Vec<Vec<u8>>) -> Outcome<()> {
        self.each_key(txn, TableId::NAMES, &Range::default(), names)
    }

    /// Appends the keys of a list. Those before damage are appended, too.
    fn each_key<R: Reader + ?Sized>(
        &self,
        txn: &mut R,
        list: TableId,
        range: &Range<'_>,
        keys: &mut Vec<Vec<u8>>,
    ) -> Outcome<()> {
        let mut cursor = Cursor::new(txn, list, range).about(&self.path)?;
        while cursor.next(txn).about(&self.path)? {
            keys.push(cursor.key().to_vec());
        }
        Ok(())
    }
}

/// A table of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its name, or `None` for the main table.
    pub name: Option<Vec<u8>>,
    /// Its number.
    pub id: TableId,
}

impl Table {
    /// Returns the main table.
    pub fn main() -> Table {
        Table {
            name: None,
            id: TableId::MAIN,
        }
    }

    /// Returns the name as a figure.
    pub fn figure(&self) -> Figure {
        Figure::Bytes(self.name.clone().unwrap_or_default(), "(main)")
    }
}
