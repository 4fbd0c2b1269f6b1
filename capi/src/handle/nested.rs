//! Nested transactions. The object of a write transaction moves into the slot of the one that is nested in it, and back
//! when that ends; meanwhile the outer slot says who has it.

use crate::border::process;
use crate::border::status::{Failure, Outcome, KV_BAD_HANDLE, KV_BUSY};
use crate::handle::backoff::Backoff;
use crate::handle::objects::{Closing, Object, WriteHandle, HANDLES};
use crate::handle::token::{Kind, Token};

/// Ends a nested transaction, whose slot is closing: commits or undoes it, and gives the object back to the outer one.
pub(crate) fn end_nested(mut write: Box<WriteHandle>, outer: Token, closing: &Closing, commit: bool) -> Outcome {
    let ended = write.end_nested(commit);
    let mut backoff = Backoff::default();
    loop {
        match HANDLES.lock(outer, Kind::Write) {
            Ok(mut outside) => {
                return match outside.object() {
                    Object::Nesting(nested)
                        if HANDLES
                            .find(*nested)
                            .is_some_and(|slot| std::ptr::eq(slot, closing.slot)) =>
                    {
                        *outside.object() = Object::Write(write);
                        ended
                    }
                    _ => Err(outer_ended()),
                }
            }
            // A call on the outer transaction is finding out that another one is nested in it.
            Err(Failure::Here(KV_BUSY, _)) => backoff.wait(),
            Err(_) => return Err(outer_ended()),
        }
    }
}

/// Returns whether this thread is inside a callback of a call that uses a transaction nested in this one.
pub(super) fn is_nested_in_use(token: Token) -> bool {
    let mut next = nested_in(token);
    while let Some(nested) = next {
        if process::in_use_below(nested.bits()) {
            return true;
        }
        next = nested_in(nested);
    }
    false
}

/// Returns the transaction that is nested in this one, if there is one and nobody is using this one.
fn nested_in(token: Token) -> Option<Token> {
    let mut outside = HANDLES.lock_uncontended(token, Kind::Write)?;
    match outside.object() {
        Object::Nesting(nested) => Some(*nested),
        _ => None,
    }
}

#[cold]
fn outer_ended() -> Failure {
    Failure::here(
        KV_BAD_HANDLE,
        "the outer transaction was ended by another thread, so this one is aborted with it",
    )
}
