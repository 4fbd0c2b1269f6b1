//! What stands behind a handle.

use crate::border::memory;
use crate::border::status::{Failure, Outcome, KV_BAD_HANDLE, KV_CHILD_OPEN};
use crate::handle::keys::Keys;
use crate::handle::stale_readers::StaleReaders;
use crate::handle::token::Token;
use crate::handle::{chunks, slots};
use kv_engine::Error;
use kv_engine::{CommitId, Cursor, Db, Difference, ReadTxn, Savepoint, ValueWriter, WriteTxn};
use std::ffi::CString;
use std::sync::{Arc, Mutex, PoisonError};

/// Every handle of the process.
pub(crate) static HANDLES: chunks::Table<Object> = chunks::Table::new();

pub(crate) type Slot = chunks::Slot<Object>;
pub(crate) type Shared = slots::Shared<Object>;
pub(crate) type Exclusive = slots::Exclusive<Object>;
pub(crate) type Closing = slots::Closing<Object>;

/// Marks every handle as one of the parent process; runs in the child after fork.
pub(crate) extern "C" fn orphan_all() {
    HANDLES.orphan_all();
    memory::after_fork();
}

/// The object in a slot.
#[derive(Default)]
#[allow(
    clippy::large_enum_variant,
    reason = "a read transaction lies in its slot: beginning one allocates nothing"
)]
pub(crate) enum Object {
    #[default]
    Empty,
    Db(Box<DbHandle>),
    Read(ReadHandle),
    Write(Box<WriteHandle>),
    /// A write transaction in which another one is open, which has the object.
    Nesting(Token),
    /// A write transaction that is being ended.
    Ending,
    Cursor(Box<CursorHandle>),
    Diff(Box<DiffHandle>),
    Writer(Box<WriterHandle>),
    Buf(BufHandle),
}

/// Answers for a slot whose kind and object differ. That cannot happen, but an answer is better than a crash.
#[cold]
pub(super) fn mixed_up() -> Failure {
    debug_assert!(false, "a slot's kind is that of its object");
    Failure::here(KV_BAD_HANDLE, "the handle is of another kind")
}

/// Answers for a write transaction that another thread is ending.
#[cold]
pub(super) fn ending() -> Failure {
    Failure::here(KV_BAD_HANDLE, "the transaction has ended")
}

/// Answers for a write transaction in which another one is open.
#[cold]
fn nesting() -> Failure {
    Failure::here(
        KV_CHILD_OPEN,
        "a nested transaction is open in this one (kv_txn_nest); use that, or end it first",
    )
}

impl Object {
    /// Returns the database.
    #[inline]
    pub(crate) fn db(&self) -> Outcome<&DbHandle> {
        match self {
            Object::Db(db) => Ok(db),
            _ => Err(mixed_up()),
        }
    }

    /// Returns the read transaction.
    #[inline(always)]
    pub(crate) fn read(&self) -> Outcome<&ReadHandle> {
        match self {
            Object::Read(read) => Ok(read),
            _ => Err(mixed_up()),
        }
    }

    /// Returns the read transaction, for a call that has it for itself.
    #[inline(always)]
    pub(crate) fn read_mut(&mut self) -> Outcome<&mut ReadHandle> {
        match self {
            Object::Read(read) => Ok(read),
            _ => Err(mixed_up()),
        }
    }

    /// Returns the write transaction.
    #[inline(always)]
    pub(crate) fn write(&mut self) -> Outcome<&mut WriteHandle> {
        match self {
            Object::Write(write) => Ok(write),
            Object::Nesting(_) => Err(nesting()),
            Object::Ending => Err(ending()),
            _ => Err(mixed_up()),
        }
    }

    /// Returns the cursor.
    #[inline(always)]
    pub(crate) fn cursor(&mut self) -> Outcome<&mut CursorHandle> {
        match self {
            Object::Cursor(cursor) => Ok(cursor),
            _ => Err(mixed_up()),
        }
    }

    /// Returns the difference.
    pub(crate) fn diff(&mut self) -> Outcome<&mut DiffHandle> {
        match self {
            Object::Diff(diff) => Ok(diff),
            _ => Err(mixed_up()),
        }
    }

    /// Returns the writer of a value.
    pub(crate) fn writer(&mut self) -> Outcome<&mut WriterHandle> {
        match self {
            Object::Writer(writer) => Ok(writer),
            _ => Err(mixed_up()),
        }
    }

    /// Returns the buffer.
    pub(crate) fn buf(&mut self) -> Outcome<&mut BufHandle> {
        match self {
            Object::Buf(buf) => Ok(buf),
            _ => Err(mixed_up()),
        }
    }
}

/// What stands behind a `kv_db`.
pub(crate) struct DbHandle {
    pub(crate) db: Db,
    /// The absolute path of the file, as C programs read it; empty for a database in memory.
    pub(crate) path: CString,
    pub(crate) read_only: bool,
    /// Which file this is, to recognise a thread that waits for itself; equal for two handles on one file.
    pub(crate) file: u64,
    /// Who is told of stale readers; `None`: nobody.
    pub(crate) stale_readers: Option<StaleReaders>,
}

/// What stands behind a `kv_txn` that reads.
pub(crate) struct ReadHandle {
    pub(crate) txn: ReadTxn,
    pub(crate) extras: Mutex<ReadExtras>,
}

impl ReadHandle {
    pub(crate) fn new(txn: ReadTxn) -> ReadHandle {
        ReadHandle {
            txn,
            extras: Mutex::new(ReadExtras::default()),
        }
    }
}

/// What few read transactions need.
#[derive(Default)]
pub(crate) struct ReadExtras {
    /// Notes that were answered, kept until the transaction ends.
    pub(crate) notes: Notes,
    /// Where the snapshot goes when the transaction ends while buffers hold values of it.
    pub(crate) kept: Option<Arc<KeptSnapshot>>,
}

/// Notes of tables that a transaction has answered: (table, bytes).
pub(crate) type Notes = Vec<(u64, Box<[u8]>)>;

/// A snapshot that outlives its transaction because buffers point into it. Empty until the transaction ends.
#[derive(Default)]
pub(crate) struct KeptSnapshot(Mutex<Option<ReadTxn>>);

impl KeptSnapshot {
    /// Takes the snapshot over from its transaction, which has ended.
    pub(super) fn keep(&self, txn: ReadTxn) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(txn);
    }
}

/// What stands behind a `kv_txn` that writes.
pub(crate) struct WriteHandle {
    txn: WriteTxn,
    /// Whether a call is in the engine. A call that finds it set knows that the one before has panicked.
    working: bool,
    /// Notes that were answered, kept until the transaction ends.
    pub(crate) notes: Notes,
    /// As [`DbHandle::file`].
    pub(crate) file: u64,
    /// Where the nested transactions began that are open, and in which transaction each is nested.
    nested: Vec<(Token, Savepoint)>,
    /// Memory for copies of bytes that calls are given, see [`WriteHandle::work_with`]; it is kept from call to call.
    rooms: [Vec<u8>; ROOMS],
}

/// How many bytes a call is given at most: a key and a value.
pub(crate) const ROOMS: usize = 2;
/// The most bytes of memory for copies that are kept from one call to the next.
const ROOM_KEPT: usize = 64 << 10;

impl WriteHandle {
    pub(crate) fn new(txn: WriteTxn, file: u64) -> WriteHandle {
        WriteHandle {
            txn,
            working: false,
            notes: Vec::new(),
            file,
            nested: Vec::new(),
            rooms: Default::default(),
        }
    }

    /// Begins a transaction nested in `outer`, which this has been so far.
    pub(crate) fn begin_nested(&mut self, outer: Token) -> Outcome {
        let room = self.nested.try_reserve(1);
        room.map_err(|_| Failure::Engine(Error::NoMemory("the list of nested transactions")))?;
        let begun = self.work(WriteTxn::begin_nested)?;
        self.nested.push((outer, begun));
        Ok(())
    }

    /// Returns the commit on which the transaction builds.
    pub(crate) fn base(&self) -> CommitId {
        self.txn.base()
    }

    /// Returns how many values are being written in parts.
    pub(crate) fn begun_values(&self) -> usize {
        self.txn.begun_values()
    }

    /// Returns the transaction in which this one is nested.
    pub(crate) fn outer(&self) -> Option<Token> {
        self.nested.last().map(|(outer, _)| *outer)
    }

    /// Ends the nested transaction that this is: commits or undoes it. This becomes the outer one.
    pub(super) fn end_nested(&mut self, commit: bool) -> Outcome {
        let Some((_, begun)) = self.nested.pop() else {
            return Ok(());
        };
        self.go_back(|txn| txn.end_nested(begun, commit))
    }

    /// Lets the engine undo something, also in a transaction that has failed.
    pub(crate) fn go_back<T>(&mut self, verb: impl FnOnce(&mut WriteTxn) -> Result<T, Error>) -> Outcome<T> {
        // This notices a panic of the call before.
        let _ = self.usable();
        self.working = true;
        let answer = verb(&mut self.txn);
        self.working = false;
        Ok(answer?)
    }

    /// Fails if the transaction can only be aborted, because of an error or a panic in an earlier call.
    #[inline]
    pub(crate) fn usable(&mut self) -> Outcome {
        if self.working {
            self.working = false;
            self.txn.poison();
        }
        Ok(self.txn.check_usable()?)
    }

    /// Lets the engine work.
    #[inline]
    pub(crate) fn work<'a, T>(&'a mut self, verb: impl FnOnce(&'a mut WriteTxn) -> Result<T, Error>) -> Outcome<T> {
        self.usable()?;
        self.working = true;
        let answer = verb(&mut self.txn);
        self.working = false;
        Ok(answer?)
    }

    /// Lets the engine work with bytes of the caller. Some may be bytes that this transaction has returned and of which
    /// the call lets go: the engine is given copies of those. A copy made inside the engine would not do: bytes that a
    /// function was given must be valid until it returns, and the compiler relies on that.
    #[inline(always)]
    pub(crate) fn work_with<T, const N: usize>(
        &mut self,
        given: [&[u8]; N],
        verb: impl FnOnce(&mut WriteTxn, [&[u8]; N]) -> Result<T, Error>,
    ) -> Outcome<T> {
        const { assert!(N <= ROOMS) }
        self.usable()?;
        let WriteHandle {
            txn, working, rooms, ..
        } = self;
        let (mut used, may_free) = (given, txn.has_returned());
        if may_free {
            for (room, bytes) in rooms.iter_mut().zip(&mut used) {
                if txn.may_free(bytes) {
                    *bytes = copy(bytes, room)?;
                }
            }
        }
        *working = true;
        let answer = verb(txn, used);
        *working = false;
        if may_free && rooms.iter().any(|room| room.capacity() > ROOM_KEPT) {
            *rooms = Default::default();
        }
        Ok(answer?)
    }

    /// Runs a batch of writes, all of which may use bytes that the transaction has returned before.
    pub(crate) fn batch(&mut self, writes: impl FnOnce(&mut WriteHandle) -> Outcome) -> Outcome {
        self.txn.hold_pinned();
        let answer = writes(self);
        self.txn.release_pinned();
        answer
    }

    /// Gives up the engine's transaction, to be committed.
    pub(crate) fn into_txn(self) -> WriteTxn {
        self.txn
    }
}

/// Copies bytes into `room`.
#[inline(never)]
pub(crate) fn copy<'b>(bytes: &[u8], room: &'b mut Vec<u8>) -> Outcome<&'b [u8]> {
    room.clear();
    let reserved = room.try_reserve_exact(bytes.len());
    reserved.map_err(|_| Failure::Engine(Error::NoMemory("a copy of bytes that are written")))?;
    room.extend_from_slice(bytes);
    Ok(room)
}

/// What stands behind a `kv_cursor`.
pub(crate) struct CursorHandle {
    pub(crate) cursor: Cursor,
    /// Slot of its transaction, which closes it before that is given up.
    pub(crate) parent: &'static Slot,
    /// Whether its transaction writes.
    pub(crate) of_write: bool,
    /// Keys answered by `kv_cursor_next_many`.
    pub(crate) keys: Keys,
}

/// What stands behind a `kv_diff`.
pub(crate) struct DiffHandle {
    pub(crate) difference: Difference,
    pub(crate) before: DiffParent,
    pub(crate) after: DiffParent,
}

/// One of the two transactions of a difference, which closes it before it is given up itself.
#[derive(Clone, Copy)]
pub(crate) struct DiffParent {
    pub(crate) token: Token,
    pub(crate) slot: &'static Slot,
    /// Whether the transaction writes.
    pub(crate) writes: bool,
}

/// What stands behind a `kv_writer`.
pub(crate) struct WriterHandle {
    /// `None`: a failure ended it.
    pub(crate) writer: Option<ValueWriter>,
}

/// What stands behind a `kv_buf`.
pub(crate) struct BufHandle {
    pub(crate) references: u32,
    #[allow(dead_code, reason = "owned and never read: the caller has the addresses")]
    pub(crate) bytes: BufBytes,
}

/// What a buffer keeps alive.
#[allow(dead_code, reason = "owned and never read: the caller has the addresses")]
pub(crate) enum BufBytes {
    Copied(Box<[u8]>),
    Snapshot(Arc<KeptSnapshot>),
}

// `chunks` and `slots` rely on this: objects move between threads, and those that are shared are Sync.
const _: () = {
    const fn moves<T: Send>() {}
    const fn shared<T: Sync>() {}
    moves::<Object>();
    shared::<DbHandle>();
    shared::<ReadHandle>();
};
