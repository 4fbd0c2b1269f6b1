//! Nested transactions. The object of a write transaction moves into the slot of the one that is nested in it, and back
//! when that ends; meanwhile the outer slot says who has it.

use crate::border::status::{Failure, Outcome, KV_BAD_HANDLE, KV_BUSY};
use crate::handle::backoff::Backoff;
use crate::handle::objects::{ending, Closing, Exclusive, Object, WriteHandle, HANDLES};
use crate::handle::token::{Kind, Token};

/// What lies in the slot of a write transaction that is to end.
pub(super) enum Taken {
    /// Its object, which is not in the slot any more.
    Write(Box<WriteHandle>),
    /// The object is that of the one nested in it.
    Nesting(Token),
}

/// Takes the object out of the slot of a write transaction, so that calls which come later find none, unless another
/// one is nested in it. Calls in flight are waited for.
pub(super) fn take(token: Token) -> Outcome<Taken> {
    let mut locked = lock(token)?;
    match std::mem::replace(locked.object(), Object::Ending) {
        Object::Write(write) => Ok(Taken::Write(write)),
        Object::Nesting(nested) => {
            *locked.object() = Object::Nesting(nested);
            Ok(Taken::Nesting(nested))
        }
        _ => Err(ending()),
    }
}

/// Returns the transaction that is nested in this one, if there is one. Calls in flight are waited for, so this thread
/// must not be inside one.
pub(super) fn nested_in(token: Token) -> Outcome<Option<Token>> {
    match lock(token)?.object() {
        Object::Nesting(nested) => Ok(Some(*nested)),
        _ => Ok(None),
    }
}

/// Gets a write transaction for this call alone, and waits for that.
fn lock(token: Token) -> Outcome<Exclusive> {
    let mut backoff = Backoff::default();
    loop {
        match HANDLES.lock(token, Kind::Write) {
            Err(Failure::Here(KV_BUSY, _)) => backoff.wait(),
            answer => return answer,
        }
    }
}

/// Ends a nested transaction, whose slot is closing: commits or undoes it, and gives the object back to the outer one.
pub(crate) fn end_nested(mut write: Box<WriteHandle>, outer: Token, closing: &Closing, commit: bool) -> Outcome {
    let ended = write.end_nested(commit);
    let mut outside = lock(outer).map_err(|_| outer_ended())?;
    let is_ours = |nested| {
        HANDLES
            .find(nested)
            .is_some_and(|slot| std::ptr::eq(slot, closing.slot))
    };
    match outside.object() {
        Object::Nesting(nested) if is_ours(*nested) => {
            *outside.object() = Object::Write(write);
            ended
        }
        _ => Err(outer_ended()),
    }
}

#[cold]
fn outer_ended() -> Failure {
    Failure::here(
        KV_BAD_HANDLE,
        "the outer transaction was ended by another thread, so this one is aborted with it",
    )
}
