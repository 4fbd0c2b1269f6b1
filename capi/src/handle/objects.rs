//! What stands behind a handle.

use crate::batch::Keys;
use crate::border::status::{Failure, Outcome};
use crate::handle::slots::Slot;
use crate::handle::stale_readers::Stuck;
use kv_engine::Error;
use kv_engine::{Cursor, Db, ReadTxn, ValueWriter, WriteTxn};
use std::sync::{Arc, Mutex};

/// The object in a slot.
#[allow(
    clippy::large_enum_variant,
    reason = "a read transaction lies in its slot: beginning one allocates nothing"
)]
pub(crate) enum Object {
    Empty,
    Db(Box<Database>),
    Read(Reading),
    Write(Box<Write>),
    Cursor(Box<CursorHandle>),
    Writer(Box<Parts>),
    Buf(Buffered),
}

/// Behind a `kv_db`.
pub(crate) struct Database {
    pub(crate) db: Db,
    pub(crate) read_only: bool,
    /// Which file this is, to recognise a thread that waits for itself; equal for two handles on one file.
    pub(crate) file: u64,
    /// Who is told of readers that do not end.
    pub(crate) stuck: Option<Stuck>,
}

/// Behind a `kv_txn` that reads.
pub(crate) struct Reading {
    pub(crate) txn: ReadTxn,
    pub(crate) extras: Mutex<Extras>,
}

/// What few read transactions need.
#[derive(Default)]
pub(crate) struct Extras {
    /// Notes that were answered: (table, bytes), kept until the transaction ends.
    pub(crate) notes: Vec<(u64, Box<[u8]>)>,
    /// Where the snapshot goes when the transaction ends while buffers hold values of it.
    pub(crate) keep: Option<Arc<Keep>>,
}

/// A snapshot that outlives its transaction because buffers point into it.
#[derive(Default)]
pub(crate) struct Keep(pub(crate) Mutex<Option<ReadTxn>>);

/// Behind a `kv_txn` that writes.
pub(crate) struct Write {
    txn: WriteTxn,
    /// Set while the engine works: found set at the next call, the last one panicked.
    working: bool,
    /// Why nothing works any more.
    failed: Option<String>,
    pub(crate) notes: Vec<(u64, Box<[u8]>)>,
    pub(crate) file: u64,
}

impl Write {
    pub(crate) fn new(txn: WriteTxn, file: u64) -> Write {
        Write {
            txn,
            working: false,
            failed: None,
            notes: Vec::new(),
            file,
        }
    }

    /// Fails if an earlier failure spoiled the transaction.
    #[inline]
    pub(crate) fn usable(&mut self) -> Outcome {
        if self.working || self.failed.is_some() {
            return Err(self.spoiled());
        }
        Ok(())
    }

    #[cold]
    fn spoiled(&mut self) -> Failure {
        if self.working {
            self.working = false;
            self.failed = Some("internal error".to_owned());
        }
        Failure::Engine(Error::TxnFailed(self.failed.clone().unwrap_or_default()))
    }

    /// Lets the engine work. A panic, or an error that leaves the write set half-done, spoils the transaction.
    #[inline]
    pub(crate) fn work<'a, T>(&'a mut self, verb: impl FnOnce(&'a mut WriteTxn) -> Result<T, Error>) -> Outcome<T> {
        self.usable()?;
        self.working = true;
        let answer = verb(&mut self.txn);
        self.working = false;
        match answer {
            Ok(answer) => Ok(answer),
            Err(error) => {
                if error.spoils() {
                    self.failed = Some(error.to_string());
                }
                Err(error.into())
            }
        }
    }

    /// The engine's transaction, to be committed.
    pub(crate) fn into_txn(self) -> WriteTxn {
        self.txn
    }
}

/// Behind a `kv_cursor`.
pub(crate) struct CursorHandle {
    pub(crate) cursor: Cursor,
    /// Slot of its transaction, which closes it before that is given up.
    pub(crate) parent: &'static Slot,
    /// Its transaction writes.
    pub(crate) of_write: bool,
    /// Keys answered by `kv_cursor_next_many`.
    pub(crate) keys: Keys,
}

/// Behind a `kv_writer`.
pub(crate) struct Parts {
    /// None: a failure ended it.
    pub(crate) writer: Option<ValueWriter>,
}

/// Behind a `kv_buf`.
pub(crate) struct Buffered {
    pub(crate) references: u32,
    #[allow(dead_code, reason = "owned and never read: the caller has the addresses")]
    pub(crate) bytes: Bytes,
}

/// What a buffer keeps alive.
#[allow(dead_code, reason = "owned and never read: the caller has the addresses")]
pub(crate) enum Bytes {
    Copied(Box<[u8]>),
    Kept(Arc<Keep>),
}

/// What `slots` relies on: objects move between threads, and those that are pinned are shared by them.
const _: () = {
    const fn moves<T: Send>() {}
    const fn shared<T: Sync>() {}
    moves::<Object>();
    shared::<Database>();
    shared::<Reading>();
};
