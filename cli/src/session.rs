//! What a shell keeps from one command to the next: a snapshot, and a write transaction over several commands.
//!
//! A command asks its database for something to read or to write. Outside of a shell, and in a shell that keeps
//! nothing, it gets a transaction of its own. Otherwise it borrows what is kept until it ends. A
//! command that fails while it writes may have done a part of its work, so the write transaction fails with it, and
//! stays failed until the user says `abort`: the commands behind it must not be committed one by one.

use crate::exit::{About, Exit, Failure, Outcome};
use kv_engine::{CommitId, Db, ReadTxn, Reader, WriteTxn};
use std::cell::{Cell, Ref, RefCell};
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::rc::Rc;

/// What is kept.
#[derive(Debug, Default)]
pub struct Session {
    snapshot: RefCell<Option<Snapshot>>,
    writing: RefCell<WriteState>,
    /// What the handles of earlier commands had announced.
    announced: Cell<Announced>,
}

/// Pages that the system was told to read ahead.
#[derive(Debug, Clone, Copy, Default)]
pub struct Announced {
    /// How many there were.
    pub pages: u64,
    /// How many of them were read then.
    pub used: u64,
}

/// Counts what a command announces. A file that nobody has open any more forgets that, so the shell keeps it when the
/// command ends.
pub struct Announcing {
    session: Rc<Session>,
    db: Db,
    /// What had been announced when the command opened the file, which the shell may have open besides.
    before: Announced,
}

impl Announcing {
    /// Begins to count.
    pub fn of(session: &Rc<Session>, db: &Db) -> Announcing {
        Announcing {
            session: session.clone(),
            db: db.clone(),
            before: announced(db),
        }
    }

    /// Returns what this command and those before it have announced.
    pub fn total(&self) -> Announced {
        let (earlier, now) = (self.session.announced.get(), announced(&self.db));
        Announced {
            pages: earlier.pages + now.pages - self.before.pages,
            used: earlier.used + now.used - self.before.used,
        }
    }
}

impl Drop for Announcing {
    fn drop(&mut self) {
        self.session.announced.set(self.total());
    }
}

fn announced(db: &Db) -> Announced {
    let stat = db.stat();
    Announced {
        pages: stat.announced_pages,
        used: stat.announced_pages_used,
    }
}

/// A snapshot that is kept, and the handle that it belongs to.
#[derive(Debug)]
struct Snapshot {
    txn: Rc<ReadTxn>,
    _db: Db,
}

/// How far the write transaction is.
#[derive(Debug, Default)]
enum WriteState {
    /// There is none.
    #[default]
    None,
    /// It waits for the next command.
    Open(Box<(WriteTxn, Db)>),
    /// A command has it.
    Working,
    /// A command failed in it. It is aborted already.
    Failed,
}

/// What a prompt shows of the write transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// There is none.
    None,
    /// It is open.
    Open,
    /// It has failed.
    Failed,
}

impl Session {
    /// Returns how far the write transaction is.
    pub fn state(&self) -> State {
        match *self.writing.borrow() {
            WriteState::None => State::None,
            WriteState::Open(_) | WriteState::Working => State::Open,
            WriteState::Failed => State::Failed,
        }
    }

    /// Returns the commit of the snapshot that is kept.
    pub fn snapshot(&self) -> Option<CommitId> {
        let snapshot: Ref<'_, Option<Snapshot>> = self.snapshot.borrow();
        snapshot.as_ref().map(|snapshot| snapshot.txn.id())
    }

    /// Keeps a snapshot of a database, in place of the one before.
    pub fn keep(&self, txn: ReadTxn, db: Db) {
        *self.snapshot.borrow_mut() = Some(Snapshot {
            txn: Rc::new(txn),
            _db: db,
        });
    }

    /// Lets the snapshot go.
    pub fn let_go(&self) {
        *self.snapshot.borrow_mut() = None;
    }

    /// Begins the write transaction.
    pub fn begin(&self, txn: WriteTxn, db: Db) {
        *self.writing.borrow_mut() = WriteState::Open(Box::new((txn, db)));
    }

    /// Ends the write transaction, and commits it if it is wanted and has not failed. Returns whether it was committed.
    pub fn end(&self, path: &Path, commits: bool) -> Outcome<bool> {
        match std::mem::take(&mut *self.writing.borrow_mut()) {
            WriteState::Open(open) if commits => {
                let (txn, _db) = *open;
                txn.commit().about(path)?;
                Ok(true)
            }
            WriteState::None => Err(Failure::usage("there is no transaction to end; begin one with begin")),
            _ => Ok(false),
        }
    }

    /// Returns the write transaction for a command, which puts it back; `None` if there is none to be had.
    fn take_txn(&self) -> Outcome<Option<Box<(WriteTxn, Db)>>> {
        let mut writing = self.writing.borrow_mut();
        match *writing {
            WriteState::Open(_) => match std::mem::replace(&mut *writing, WriteState::Working) {
                WriteState::Open(open) => Ok(Some(open)),
                _ => Ok(None),
            },
            WriteState::Failed => Err(Failure::new(
                Exit::Refused,
                "the transaction has failed with an earlier command, and nothing of it will be committed; say abort",
            )),
            WriteState::None | WriteState::Working => Ok(None),
        }
    }

    fn put_back(&self, to: WriteState) {
        *self.writing.borrow_mut() = to;
    }
}

/// What a command reads.
pub enum Reading {
    /// A snapshot of its own.
    Own(Box<ReadTxn>),
    /// The snapshot that the shell keeps.
    OfShell(Rc<ReadTxn>),
    /// The write transaction that the shell keeps.
    Written(Option<Box<(WriteTxn, Db)>>, Rc<Session>),
}

impl Reading {
    /// Returns what the shell keeps, if it keeps something; otherwise a snapshot that `begin` begins.
    pub fn of(session: Option<&Rc<Session>>, begin: impl FnOnce() -> Outcome<ReadTxn>) -> Outcome<Reading> {
        if let Some(session) = session {
            if let Some(open) = session.take_txn()? {
                return Ok(Reading::Written(Some(open), session.clone()));
            }
            if let Some(snapshot) = &*session.snapshot.borrow() {
                return Ok(Reading::OfShell(snapshot.txn.clone()));
            }
        }
        Ok(Reading::Own(Box::new(begin()?)))
    }

    /// Returns how many snapshots this process has of the database because of this, and of what its shell keeps.
    pub fn snapshots(&self) -> u32 {
        match self {
            Reading::Own(_) | Reading::OfShell(_) => 1,
            // A write transaction is no reader, but the shell may keep a snapshot besides.
            Reading::Written(_, session) => u32::from(session.snapshot().is_some()),
        }
    }

    /// Returns the calls that read.
    pub fn reader(&mut self) -> EitherTxn<'_> {
        match self {
            Reading::Own(txn) => EitherTxn::Snapshot(txn),
            Reading::OfShell(txn) => EitherTxn::Snapshot(txn),
            Reading::Written(open, _) => {
                let open = open.as_mut().expect("it is given back only at the end");
                EitherTxn::Written(&mut open.0)
            }
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if let Reading::Written(open, session) = self {
            session.put_back(open.take().map_or(WriteState::Failed, WriteState::Open));
        }
    }
}

/// A transaction to read with, of either kind.
pub enum EitherTxn<'a> {
    /// A snapshot.
    Snapshot(&'a ReadTxn),
    /// A write transaction, which sees what it wrote.
    Written(&'a mut WriteTxn),
}

impl<'a> Deref for EitherTxn<'a> {
    type Target = dyn Reader + 'a;

    fn deref(&self) -> &Self::Target {
        match self {
            EitherTxn::Snapshot(txn) => txn,
            EitherTxn::Written(txn) => &**txn,
        }
    }
}

impl DerefMut for EitherTxn<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        match self {
            EitherTxn::Snapshot(txn) => txn,
            EitherTxn::Written(txn) => &mut **txn,
        }
    }
}

/// What a command writes with: a transaction of its own, or that of the shell. Without a commit, all is undone.
pub struct Work {
    txn: Option<WriteTxn>,
    /// Where the transaction goes back, and the handle that it belongs to.
    home: Option<(Rc<Session>, Db)>,
}

impl Work {
    /// Returns the shell's write transaction, if it has one; otherwise one that `begin` begins.
    pub fn of(session: Option<&Rc<Session>>, begin: impl FnOnce() -> Outcome<WriteTxn>) -> Outcome<Work> {
        if let Some(session) = session {
            if let Some(open) = session.take_txn()? {
                let (txn, db) = *open;
                return Ok(Work {
                    txn: Some(txn),
                    home: Some((session.clone(), db)),
                });
            }
        }
        Ok(Work {
            txn: Some(begin()?),
            home: None,
        })
    }

    /// Ends without a change: a transaction of a shell is given back as it was, and one of a command's own is undone.
    /// This is for what was refused before anything was written.
    pub fn put_back(mut self) {
        if let (Some(txn), Some((session, db))) = (self.txn.take(), self.home.take()) {
            session.put_back(WriteState::Open(Box::new((txn, db))));
        }
    }

    /// Commits, or gives the transaction back to the shell, which commits it when the user says so. Returns the commit,
    /// or that on which the transaction builds.
    pub fn commit(mut self) -> kv_engine::Result<CommitId> {
        let txn = self.txn.take().expect("it is taken only at the end");
        match self.home.take() {
            None => txn.commit(),
            Some((session, db)) => {
                let id = txn.id();
                session.put_back(WriteState::Open(Box::new((txn, db))));
                Ok(id)
            }
        }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if let Some((session, _)) = self.home.take() {
            session.put_back(WriteState::Failed);
        }
    }
}

impl Deref for Work {
    type Target = WriteTxn;

    fn deref(&self) -> &WriteTxn {
        self.txn.as_ref().expect("it is taken only at the end")
    }
}

impl DerefMut for Work {
    fn deref_mut(&mut self) -> &mut WriteTxn {
        self.txn.as_mut().expect("it is taken only at the end")
    }
}
