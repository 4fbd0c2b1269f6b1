//! Ending transactions: one by its handle, or all of a database that is being closed.

use crate::border::process;
use crate::border::status::{Failure, Outcome, KV_BUSY};
use crate::handle::backoff::Backoff;
use crate::handle::children::{close_children, retire_children};
use crate::handle::nested::is_nested_in_use;
use crate::handle::objects::{mixed_up, Closing, Object, WriteHandle, HANDLES};
use crate::handle::token::{Kind, Kinds, Token};
use std::sync::PoisonError;

/// What a transaction was when it ended.
pub(crate) enum Ended {
    /// A write transaction, ready to be committed or dropped, and the number of its unfinished writers. Its slot is
    /// kept until the work is done, so that closing the database waits for it.
    Write(Box<WriteHandle>, usize, Closing),
    /// A write transaction, in which another one was open that another thread is ending. That one has the object.
    Elsewhere,
    /// A read transaction; it has been released.
    Read,
}

/// Takes a transaction out of use, children first. `KV_BUSY` if this thread is inside a callback of a call that uses
/// it: waiting for that call would be waiting for itself.
pub(crate) fn end(token: Token) -> Outcome<Ended> {
    if process::in_use_below(token.bits()) || HANDLES.is(token, Kind::Write) && is_nested_in_use(token) {
        return Err(Failure::here(
            KV_BUSY,
            "the call whose callback this is reads this transaction; end it after that call has returned",
        ));
    }
    let mut closing = HANDLES.close(token, Kinds::of(&[Kind::Read, Kind::Write, Kind::RetiredRead]))?;
    let writers = close_children(closing.slot);
    match closing.object() {
        Object::Write(_) => match std::mem::take(closing.object()) {
            Object::Write(write) => Ok(Ended::Write(write, writers, closing)),
            _ => Err(mixed_up()),
        },
        Object::Nesting(nested) => {
            let nested = *nested;
            end_nesting(nested, writers, closing)
        }
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

/// Takes the transactions out of use that are nested in the one whose slot is closing: `nested`, the one in that, and
/// so on. They may be more than a stack has room for, so this is a loop.
fn end_nesting(nested: Token, mut unfinished: usize, closing: Closing) -> Outcome<Ended> {
    let (mut next, mut depth) = (nested, 0);
    loop {
        let Ok(mut inner) = HANDLES.close(next, Kinds::of(&[Kind::Write])) else {
            return Ok(Ended::Elsewhere);
        };
        depth += 1;
        // What is nested is open like a writer.
        unfinished += close_children(inner.slot) + 1;
        match std::mem::take(inner.object()) {
            Object::Write(mut write) => {
                (0..depth).for_each(|_| write.forget_nested());
                return Ok(Ended::Write(write, unfinished, closing));
            }
            Object::Nesting(deeper) => next = deeper,
            _ => return Err(mixed_up()),
        }
    }
}

/// Aborts every write transaction of a database that is being closed: a call in flight may wait for one of them.
pub(crate) fn abort_writers(db: Token) {
    for token in HANDLES.search(Kinds::of(&[Kind::Write]), |slot| slot.parent() == db) {
        drop(end(token));
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
                drop(end(token));
            } else {
                backoff.wait();
            }
        }
        if !any {
            return;
        }
    }
}
