//! From a handle to the engine's object, and out again.
//!
//! Who waits for whom: a call on a cursor or writer has that child for itself and, in a write transaction, takes the
//! parent with a try (`KV_BUSY`), never with a wait. Closing a transaction first closes it to new calls, then takes its
//! children one by one, waiting for a call that is in one. So no two of these waits form a circle.

use crate::border::status::{Failure, Outcome, KV_BAD_HANDLE, KV_READ_ONLY};
use crate::border::types::{kv_cursor, kv_db, kv_txn, kv_writer};
use crate::handle::objects::{CursorHandle, Database, Keep, Object, Parts, Reading, Write};
use crate::handle::slots::{self, Closing, Held, Kind, Kinds, Pinned, Slot};
use kv_engine::Error;
use kv_engine::{ReadTxn, Reader, WriteTxn};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, MutexGuard, PoisonError};

/// A slot whose kind and object differ: cannot happen; an answer is better than a crash.
#[cold]
fn mixed_up() -> Failure {
    Failure::here(KV_BAD_HANDLE, "the handle is of another kind")
}

/// A database in use by this call.
pub(crate) struct DbUse(Pinned);

impl DbUse {
    pub(crate) fn of(handle: *const kv_db) -> Outcome<DbUse> {
        slots::pin_db(handle.addr()).map(DbUse)
    }
    pub(crate) fn get(&self) -> Outcome<&Database> {
        match self.0.object() {
            Object::Db(database) => Ok(database),
            _ => Err(mixed_up()),
        }
    }
}

/// Why a transaction cannot be written to: `failure`, unless it reads.
#[cold]
fn not_writing(handle: *const kv_txn, failure: Failure) -> Failure {
    match slots::kind_is(handle.addr(), Kind::Read) {
        true => Failure::here(KV_READ_ONLY, "this is a read transaction; begin one with KV_WRITE"),
        false => failure,
    }
}

/// A transaction in use by this call.
pub(crate) enum TxnUse {
    Read(Pinned),
    Write(WriteUse),
}

/// A write transaction in use by this call, alone.
pub(crate) struct WriteUse(Held);

/// The read transaction in a slot.
#[inline(always)]
pub(crate) fn reading(object: &Object) -> Outcome<&Reading> {
    match object {
        Object::Read(reading) => Ok(reading),
        _ => Err(mixed_up()),
    }
}

impl TxnUse {
    /// A transaction of either kind.
    #[inline(always)]
    pub(crate) fn of(handle: *const kv_txn) -> Outcome<TxnUse> {
        match slots::pin(handle.addr(), Kind::Read) {
            Ok(pinned) => Ok(TxnUse::Read(pinned)),
            Err(failure) => TxnUse::other(handle, failure),
        }
    }

    /// For a call that takes long.
    pub(crate) fn of_long(handle: *const kv_txn) -> Outcome<TxnUse> {
        match slots::pin_long(handle.addr(), Kind::Read) {
            Ok(pinned) => Ok(TxnUse::Read(pinned)),
            Err(failure) => TxnUse::other(handle, failure),
        }
    }

    #[inline(never)]
    fn other(handle: *const kv_txn, failure: Failure) -> Outcome<TxnUse> {
        if slots::kind_is(handle.addr(), Kind::Write) {
            return WriteUse::of(handle).map(TxnUse::Write);
        }
        Err(failure)
    }

    /// Runs a reading verb on either kind.
    #[inline]
    pub(crate) fn read<T>(&mut self, verb: impl FnOnce(&mut dyn Reader) -> Result<T, Error>) -> Outcome<T> {
        match self {
            TxnUse::Read(pinned) => {
                let mut txn: &ReadTxn = &reading(pinned.object())?.txn;
                Ok(verb(&mut txn)?)
            }
            TxnUse::Write(write) => write.get()?.work(|txn| verb(txn)),
        }
    }
}

impl WriteUse {
    /// The transaction, if it writes: a reader answers `KV_READ_ONLY`.
    #[inline(always)]
    pub(crate) fn of(handle: *const kv_txn) -> Outcome<WriteUse> {
        match slots::hold(handle.addr(), Kind::Write) {
            Ok(held) => {
                // SAFETY: pthread_self has no conditions.
                held.slot
                    .thread
                    .store(unsafe { libc::pthread_self() } as usize, Relaxed);
                Ok(WriteUse(held))
            }
            Err(failure) => Err(not_writing(handle, failure)),
        }
    }

    #[inline(always)]
    pub(crate) fn get(&mut self) -> Outcome<&mut Write> {
        match self.0.object() {
            Object::Write(write) => Ok(write),
            _ => Err(mixed_up()),
        }
    }

    pub(crate) fn slot(&self) -> &'static Slot {
        self.0.slot
    }
}

/// Runs a writing verb.
#[inline]
pub(crate) fn write<T>(handle: *mut kv_txn, verb: impl FnOnce(&mut WriteTxn) -> Result<T, Error>) -> Outcome<T> {
    WriteUse::of(handle)?.get()?.work(verb)
}

fn family(slot: &Slot) -> MutexGuard<'_, slots::Children> {
    slot.children.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gives a child of the transaction in `parent` a handle. The caller has the parent in use.
pub(crate) fn publish_child(kind: Kind, object: Object, parent: *const kv_txn, slot: &'static Slot) -> Outcome<usize> {
    let (token, child) = slots::publish(kind, parent.addr(), |vacant| Ok(vacant.fill(object)))?;
    let mut children = family(slot);
    slot.kids.fetch_add(1, Relaxed);
    child.place.store(children.tokens.len() as u32, Relaxed);
    children.tokens.push(token);
    Ok(token)
}

/// Slot of the transaction a child belongs to. The caller holds the child.
fn parent_slot(child: &Slot) -> Outcome<(&'static Slot, usize)> {
    let token = child.parent.load(Relaxed);
    slots::find(token).map(|slot| (slot, token)).ok_or_else(mixed_up)
}

/// Closes a cursor or writer on the caller's request.
pub(crate) fn close_child(token: usize, kinds: Kinds) -> Outcome {
    let closing = slots::close(token, kinds)?;
    if let Ok((parent, _)) = parent_slot(closing.slot) {
        let mut children = family(parent);
        let place = closing.slot.place.load(Relaxed) as usize;
        if !children.closing && children.tokens.get(place) == Some(&token) {
            children.tokens.swap_remove(place);
            parent.kids.fetch_sub(1, Relaxed);
            if let Some(moved) = children.tokens.get(place).and_then(|moved| slots::find(*moved)) {
                moved.place.store(place as u32, Relaxed);
            }
        }
    }
    drop(closing);
    Ok(())
}

const CHILDREN: Kinds = Kinds::of(&[Kind::Cursor, Kind::Writer, Kind::RetiredCursor]);

/// Closes every child of a transaction that is closing; how many of them were writers.
pub(crate) fn close_children(parent: &Slot) -> usize {
    // Children are made by calls that have the parent in use, and those have ended.
    if parent.kids.load(Relaxed) == 0 {
        return 0;
    }
    let tokens = {
        let mut children = family(parent);
        children.closing = true;
        std::mem::take(&mut children.tokens)
    };
    let mut writers = 0;
    for token in &tokens {
        // A child that its owner closes at this moment is gone when the wait is over: not an error.
        if let Ok(mut child) = slots::close(*token, CHILDREN) {
            writers += usize::from(matches!(child.object(), Object::Writer(_)));
        }
    }
    let mut children = family(parent);
    children.closing = false;
    parent.kids.store(0, Relaxed);
    children.tokens = tokens;
    children.tokens.clear();
    writers
}

/// Cursors of a reader whose database is closed: refused from now on, but their keys stay.
pub(crate) fn retire_children(parent: &Slot) {
    let tokens = family(parent).tokens.clone();
    for token in tokens {
        if let Ok(child) = slots::close(token, Kinds::of(&[Kind::Cursor])) {
            child.retire(Kind::RetiredCursor);
        }
    }
}

/// Has every child of a transaction for itself: `KV_BUSY` if a call is in one. The list stays locked meanwhile.
pub(crate) fn freeze_children(parent: &Slot) -> Outcome<Option<(MutexGuard<'_, slots::Children>, Vec<Held>)>> {
    if parent.kids.load(Relaxed) == 0 {
        return Ok(None);
    }
    let children = family(parent);
    let mut held = Vec::with_capacity(children.tokens.len());
    for token in &children.tokens {
        held.push(slots::hold(*token, Kind::Cursor)?);
    }
    Ok(Some((children, held)))
}

/// What a transaction was when it ended.
pub(crate) enum Ended {
    /// A write transaction, ready to be committed or dropped, and the number of its unfinished writers. Its slot is held
    /// until the work is done, so that closing the database waits for it.
    Write(Box<Write>, usize, Closing),
    /// A read transaction; it has been released.
    Read,
}

/// Takes a transaction out of use, children first.
pub(crate) fn end(token: usize) -> Outcome<Ended> {
    let mut closing = slots::close(token, Kinds::of(&[Kind::Read, Kind::Write, Kind::RetiredRead]))?;
    let writers = close_children(closing.slot);
    match closing.object() {
        Object::Write(_) => match std::mem::replace(closing.object(), Object::Empty) {
            Object::Write(write) => Ok(Ended::Write(write, writers, closing)),
            _ => Err(mixed_up()),
        },
        Object::Read(reading) => {
            let extras = reading.extras.get_mut().unwrap_or_else(PoisonError::into_inner);
            if let Some(keep) = extras.keep.take() {
                if let Object::Read(reading) = std::mem::replace(closing.object(), Object::Empty) {
                    hand_over(keep, reading.txn);
                }
            }
            Ok(Ended::Read)
        }
        _ => Err(mixed_up()),
    }
}

/// Buffers still point into this snapshot: it lives as long as the last of them.
fn hand_over(keep: Arc<Keep>, txn: ReadTxn) {
    *keep.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(txn);
}

/// A cursor in use by this call, with its transaction.
pub(crate) struct CursorUse(Held);

/// Which transaction a cursor's call works on.
pub(crate) enum Side<'a> {
    Read(&'a Reading),
    Write(WriteUse),
}

impl CursorUse {
    #[inline(always)]
    pub(crate) fn of(handle: *mut kv_cursor) -> Outcome<CursorUse> {
        slots::hold(handle.addr(), Kind::Cursor).map(CursorUse)
    }

    /// As [`CursorUse::of`], if no other call uses the cursor; `None` says nothing about why.
    #[inline(always)]
    pub(crate) fn alone(handle: *mut kv_cursor) -> Option<CursorUse> {
        slots::hold_alone(handle.addr(), Kind::Cursor).map(CursorUse)
    }

    /// The cursor and its transaction, if that reads.
    #[inline(always)]
    pub(crate) fn reading(&mut self) -> Option<(&mut CursorHandle, &ReadTxn)> {
        let Object::Cursor(place) = self.0.object() else {
            return None;
        };
        if place.of_write {
            return None;
        }
        // SAFETY: this call holds a child of that slot, registered there until it is closed.
        match unsafe { place.parent.shared() } {
            Object::Read(reading) => Some((place, &reading.txn)),
            _ => None,
        }
    }

    /// The cursor and the transaction it belongs to.
    #[inline]
    pub(crate) fn parts(&mut self) -> Outcome<(&mut CursorHandle, Side<'_>)> {
        let token = self.0.slot.parent.load(Relaxed);
        let Object::Cursor(place) = self.0.object() else {
            return Err(mixed_up());
        };
        let side = if place.of_write {
            Side::Write(WriteUse::of(std::ptr::without_provenance(token))?)
        } else {
            // SAFETY: this call holds a child of that slot, registered there until it is closed.
            Side::Read(reading(unsafe { place.parent.shared() })?)
        };
        Ok((place, side))
    }

    /// The cursor and its transaction, for a write.
    pub(crate) fn for_write(&mut self) -> Outcome<(&mut CursorHandle, WriteUse)> {
        match self.parts()? {
            (place, Side::Write(write)) => Ok((place, write)),
            _ => Err(Failure::here(
                KV_READ_ONLY,
                "this is a cursor of a read transaction; begin one with KV_WRITE",
            )),
        }
    }
}

/// A writer in use by this call, with its transaction.
pub(crate) struct WriterUse {
    held: Held,
    write: WriteUse,
}

impl WriterUse {
    pub(crate) fn of(handle: *mut kv_writer) -> Outcome<WriterUse> {
        let held = slots::hold(handle.addr(), Kind::Writer)?;
        let (_, token) = parent_slot(held.slot)?;
        Ok(WriterUse {
            held,
            write: WriteUse::of(std::ptr::without_provenance(token))?,
        })
    }

    pub(crate) fn parts(&mut self) -> Outcome<(&mut Parts, &mut Write)> {
        match self.held.object() {
            Object::Writer(parts) => Ok((parts, self.write.get()?)),
            _ => Err(mixed_up()),
        }
    }
}
