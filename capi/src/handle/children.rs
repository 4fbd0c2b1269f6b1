//! Cursors, differences and writers of a transaction: its children, which end with it. A difference is a child of two
//! transactions, and ends with the first of them that ends.
//!
//! These are the rules of who waits for whom. A call on a child has that child for itself. In a write transaction it
//! also tries to get the parent, and answers `KV_BUSY` if another call has it; it never waits. Closing a transaction
//! first closes it to new calls and then takes its children one by one, and it waits for a call that works on one of
//! them. So no two of these waits form a circle. The lists of two transactions are never locked at once.

use crate::border::status::{Failure, Outcome, KV_BAD_HANDLE};
use crate::handle::chunks::Children;
use crate::handle::objects::{mixed_up, DiffHandle, Exclusive, Object, Slot, HANDLES};
use crate::handle::token::{Kind, Kinds, Token};
use kv_engine::Error;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::MutexGuard;

const NO_MEMORY: Failure = Failure::Engine(Error::NoMemory("the list of a transaction's cursors"));

/// Gives a child of the transaction `parent`, which is in `slot`, a handle. The caller has the parent in use.
pub(crate) fn publish_child(kind: Kind, object: Object, parent: Token, slot: &'static Slot) -> Outcome<Token> {
    let mut children = slot.children();
    let room = children.tokens.try_reserve(1);
    room.map_err(|_| NO_MEMORY)?;
    let (token, child) = HANDLES.publish(kind, parent, |vacant| Ok(vacant.fill(object)))?;
    slot.child_count.fetch_add(1, Relaxed);
    child.index_in_parent.store(children.tokens.len() as u32, Relaxed);
    children.tokens.push(token);
    Ok(token)
}

/// Gives a difference a handle. The caller has both of its transactions in use.
pub(crate) fn publish_diff(diff: DiffHandle) -> Outcome<Token> {
    let (before, after) = (diff.before, diff.after);
    let token = publish_child(Kind::Diff, Object::Diff(Box::new(diff)), after.token, after.slot)?;
    if before.token != after.token {
        let mut children = before.slot.children();
        if children.tokens.try_reserve(1).is_err() {
            drop(children);
            close_child(token, Kinds::of(&[Kind::Diff]))?;
            return Err(NO_MEMORY);
        }
        before.slot.child_count.fetch_add(1, Relaxed);
        children.tokens.push(token);
    }
    Ok(token)
}

/// Closes a cursor, difference or writer on the caller's request.
pub(crate) fn close_child(token: Token, kinds: Kinds) -> Outcome {
    let mut closing = HANDLES.close(token, kinds)?;
    if let Ok(parent) = parent_slot(closing.slot) {
        forget_child(parent, token, closing.slot);
    }
    if let Object::Diff(diff) = closing.object() {
        let before = diff.before.slot;
        forget_child(before, token, closing.slot);
    }
    drop(closing);
    Ok(())
}

/// Takes a child off the list of a transaction, if it is there and the transaction is not closing.
fn forget_child(parent: &Slot, token: Token, child: &Slot) {
    let mut children = parent.children();
    if children.closing {
        return;
    }
    // A difference has one number only, which may be that of its other list.
    let number = child.index_in_parent.load(Relaxed) as usize;
    let index = match children.tokens.get(number) == Some(&token) {
        true => Some(number),
        false => children.tokens.iter().position(|other| *other == token),
    };
    if let Some(index) = index {
        // The last of the list takes the place of the one that goes.
        children.tokens.swap_remove(index);
        parent.child_count.fetch_sub(1, Relaxed);
        if let Some(moved) = children.tokens.get(index).and_then(|moved| HANDLES.find(*moved)) {
            moved.index_in_parent.store(index as u32, Relaxed);
        }
    }
}

/// Returns the slot of the transaction that a child belongs to. The caller has the child for itself.
fn parent_slot(child: &Slot) -> Outcome<&'static Slot> {
    HANDLES.find(child.parent()).ok_or_else(mixed_up)
}

/// Closes every child of a transaction that is closing; returns how many of them were writers.
pub(super) fn close_children(parent: &Slot) -> usize {
    const CHILDREN: Kinds = Kinds::of(&[
        Kind::Cursor,
        Kind::Writer,
        Kind::RetiredCursor,
        Kind::Diff,
        Kind::RetiredDiff,
    ]);
    // Children are made by calls that have the parent in use, and those have ended.
    if parent.child_count.load(Relaxed) == 0 {
        return 0;
    }
    let tokens = {
        let mut children = parent.children();
        children.closing = true;
        std::mem::take(&mut children.tokens)
    };
    let mut writers = 0;
    for token in &tokens {
        // A child that its owner closes at this moment is gone when the wait is over, which is no error.
        if let Ok(mut child) = HANDLES.close(*token, CHILDREN) {
            writers += usize::from(matches!(child.object(), Object::Writer(_)));
            if let Object::Diff(diff) = child.object() {
                let others = [diff.before.slot, diff.after.slot];
                for other in others.into_iter().filter(|other| !std::ptr::eq(*other, parent)) {
                    forget_child(other, *token, child.slot);
                }
            }
        }
    }
    let mut children = parent.children();
    children.closing = false;
    parent.child_count.store(0, Relaxed);
    // The memory of the list serves the slot's next transaction.
    children.tokens = tokens;
    children.tokens.clear();
    writers
}

/// Retires the cursors and differences of a reader whose database is closed: they are refused from now on, but their
/// keys stay.
pub(super) fn retire_children(parent: &Slot) {
    // From the end on: a cursor that its owner closes meanwhile is replaced by one that was retired already.
    let many = parent.children().tokens.len();
    for at in (0..many).rev() {
        let Some(token) = parent.children().tokens.get(at).copied() else {
            continue;
        };
        if let Ok(child) = HANDLES.close_to_retire(token, Kind::Cursor) {
            child.retire(Kind::RetiredCursor);
        } else if let Ok(child) = HANDLES.close_to_retire(token, Kind::Diff) {
            child.retire(Kind::RetiredDiff);
        }
    }
}

/// Every child of a transaction, locked. No child comes or goes meanwhile.
pub(crate) struct LockedChildren {
    _list: MutexGuard<'static, Children>,
    _children: Vec<Exclusive>,
}

/// Locks every cursor and difference of a read transaction; `KV_BUSY` if a call is in one. `None`: it has none.
#[inline(always)]
pub(crate) fn lock_children(parent: &'static Slot) -> Outcome<Option<LockedChildren>> {
    if parent.child_count.load(Relaxed) == 0 {
        return Ok(None);
    }
    lock_all(parent).map(Some)
}

/// Locks every cursor and difference of a read transaction that has some.
#[inline(never)]
fn lock_all(parent: &'static Slot) -> Outcome<LockedChildren> {
    let list = parent.children();
    let mut children = Vec::new();
    let room = children.try_reserve_exact(list.tokens.len());
    room.map_err(|_| NO_MEMORY)?;
    for token in &list.tokens {
        let kind = match HANDLES.is(*token, Kind::Diff) {
            true => Kind::Diff,
            false => Kind::Cursor,
        };
        match HANDLES.lock(*token, kind) {
            Ok(child) => children.push(child),
            // A child that its owner, or its other transaction, closes at this moment has no call in it.
            Err(failure) if failure.status() == KV_BAD_HANDLE => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(LockedChildren {
        _list: list,
        _children: children,
    })
}
