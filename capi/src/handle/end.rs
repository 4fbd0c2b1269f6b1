//! Ending transactions: one by its handle, or all of a database that is being closed.

use crate::border::process;
use crate::border::status::{Failure, Outcome, KV_BUSY};
use crate::handle::backoff::Backoff;
use crate::handle::children::{close_children, retire_children};
use crate::handle::nested::{end_nested, nested_in, take, Taken};
use crate::handle::objects::{mixed_up, Closing, Object, WriteHandle, HANDLES};
use crate::handle::token::{Kind, Kinds, Token};
use std::sync::PoisonError;

/// What a transaction was when it ended.
pub(crate) enum Ended {
    /// A write transaction, ready to be committed or dropped, and the number of its unfinished writers and of the
    /// transactions that were open in it. Its slot is kept until the work is done, so that closing the database waits
    /// for it.
    Write(Box<WriteHandle>, usize, Closing),
    /// A read transaction; it has been released.
    Read,
}

/// Takes a transaction out of use, children first. `KV_BUSY` if this thread is inside a callback of a call that uses
/// it: waiting for that call would be waiting for itself.
#[inline]
pub(crate) fn end(token: Token) -> Outcome<Ended> {
    if process::in_use_below(token.bits()) {
        return Err(in_use());
    }
    let mut closing = match HANDLES.close(token, Kinds::of(&[Kind::Read, Kind::RetiredRead])) {
        Err(_) if HANDLES.is(token, Kind::Write) => return end_write(token),
        answer => answer?,
    };
    close_children(closing.slot);
    match closing.object() {
        Object::Read(read) => {
            // Nearly every reader is dropped where it lies. If buffers still point into its snapshot, that lives as
            // long as the last of them.
            let extras = read.extras.get_mut().unwrap_or_else(PoisonError::into_inner);
            if let Some(kept) = extras.kept.take() {
                if let Object::Read(read) = std::mem::take(closing.object()) {
                    kept.keep(read.txn);
                }
            }
            Ok(Ended::Read)
        }
        _ => Err(mixed_up()),
    }
}

/// Ends a transaction and undoes what it wrote. The object of a nested one becomes that of the outer one again.
#[inline]
pub(crate) fn abort(token: Token) -> Outcome {
    match end(token)? {
        Ended::Write(write, _, closing) => match write.outer() {
            Some(outer) => end_nested(write, outer, &closing, false),
            None => {
                drop(write);
                drop(closing);
                Ok(())
            }
        },
        Ended::Read => Ok(()),
    }
}

/// Takes a write transaction out of use. What is nested in it is undone before.
#[inline(never)]
fn end_write(token: Token) -> Outcome<Ended> {
    match take(token)? {
        Taken::Write(write) => close_write(token, write, 0),
        Taken::Nesting(nested) => end_nesting(token, nested),
    }
}

/// Closes the slot of a write transaction whose object was taken out of it.
fn close_write(token: Token, write: Box<WriteHandle>, unfinished: usize) -> Outcome<Ended> {
    let closing = HANDLES.close(token, Kinds::of(&[Kind::Write]))?;
    // Values that were begun behind a savepoint to which the transaction has gone back are not there any more.
    let writers = close_children(closing.slot).min(write.begun_values());
    Ok(Ended::Write(write, unfinished + writers, closing))
}

/// Takes a write transaction out of use in which another one is nested. Those that are nested are undone first, the
/// innermost before all others. They may be more than a stack has room for, so this is a loop.
#[cold]
fn end_nesting(token: Token, nested: Token) -> Outcome<Ended> {
    let mut next = Some(nested);
    while let Some(nested) = next {
        if process::in_use_below(nested.bits()) {
            return Err(in_use());
        }
        next = nested_in(nested).unwrap_or(None);
    }
    let (mut ended, mut unfinished, mut backoff) = (nested, 0, Backoff::default());
    loop {
        match take(ended) {
            Ok(Taken::Nesting(nested)) => ended = nested,
            Ok(Taken::Write(write)) if ended == token => return close_write(token, write, unfinished),
            Ok(Taken::Write(write)) => {
                let outer = write.outer().unwrap_or(token);
                if let Ok(Ended::Write(write, writers, closing)) = close_write(ended, write, 0) {
                    // What is nested is open like a writer. If it cannot be undone, neither can the outer one, which
                    // says so itself.
                    unfinished += writers + 1;
                    let _ = end_nested(write, outer, &closing, false);
                }
                ended = outer;
            }
            Err(failure) if ended == token => return Err(failure),
            Err(failure) if is_lost(token, ended) => {
                drop(HANDLES.close(token, Kinds::of(&[Kind::Write])));
                return Err(failure);
            }
            // Another thread is ending that one, and gives its object back.
            Err(_) => {
                backoff.wait();
                ended = token;
            }
        }
    }
}

/// Returns whether a nested transaction has gone without giving its object back to the one in which it was nested, as
/// after a panic. Its slot is kept until it has.
fn is_lost(token: Token, nested: Token) -> bool {
    if HANDLES.kind_of(nested).is_ok() {
        return false;
    }
    let mut next = Some(token);
    while let Some(outer) = next.filter(|outer| *outer != nested) {
        next = nested_in(outer).unwrap_or(None);
    }
    next.is_some()
}

#[cold]
fn in_use() -> Failure {
    Failure::here(
        KV_BUSY,
        "the call whose callback this is reads this transaction; end it after that call has returned",
    )
}

/// Aborts every write transaction of a database that is being closed: a call in flight may wait for one of them.
pub(crate) fn abort_writers(db: Token) {
    for token in HANDLES.search(Kinds::of(&[Kind::Write]), |slot| slot.parent() == db) {
        drop(abort(token));
    }
}

/// Ends every transaction of a database that takes no more calls: aborts those that write, retires those that read, and
/// waits for those that other threads are ending.
pub(crate) fn end_transactions(db: Token) {
    let mut backoff = Backoff::default();
    loop {
        let open = HANDLES.search(Kinds::of(&[Kind::Read, Kind::Write, Kind::Closing]), |slot| {
            slot.parent() == db
        });
        let mut any = false;
        for token in open {
            any = true;
            if HANDLES.is(token, Kind::Read) {
                if let Ok(reader) = HANDLES.close_to_retire(token, Kind::Read) {
                    retire_children(reader.slot);
                    reader.retire(Kind::RetiredRead);
                }
            } else if HANDLES.is(token, Kind::Write) {
                drop(abort(token));
            } else {
                backoff.wait();
            }
        }
        if !any {
            return;
        }
    }
}
