//! Cursors and writers of a transaction: its children, which end with it.
//!
//! These are the rules of who waits for whom. A call on a child has that child for itself. In a write transaction it
//! also tries to get the parent, and answers `KV_BUSY` if another call has it; it never waits. Closing a transaction
//! first closes it to new calls and then takes its children one by one, and it waits for a call that works on one of
//! them. So no two of these waits form a circle.

use crate::border::status::{Failure, Outcome};
use crate::handle::chunks::Children;
use crate::handle::objects::{mixed_up, Exclusive, Object, Slot, HANDLES};
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

/// Closes a cursor or writer on the caller's request.
pub(crate) fn close_child(token: Token, kinds: Kinds) -> Outcome {
    let closing = HANDLES.close(token, kinds)?;
    if let Ok(parent) = parent_slot(closing.slot) {
        let mut children = parent.children();
        let index = closing.slot.index_in_parent.load(Relaxed) as usize;
        if !children.closing && children.tokens.get(index) == Some(&token) {
            // The last of the list takes the place of the one that goes.
            children.tokens.swap_remove(index);
            parent.child_count.fetch_sub(1, Relaxed);
            if let Some(moved) = children.tokens.get(index).and_then(|moved| HANDLES.find(*moved)) {
                moved.index_in_parent.store(index as u32, Relaxed);
            }
        }
    }
    drop(closing);
    Ok(())
}

/// Returns the slot of the transaction that a child belongs to. The caller has the child for itself.
fn parent_slot(child: &Slot) -> Outcome<&'static Slot> {
    HANDLES.find(child.parent()).ok_or_else(mixed_up)
}

/// Closes every child of a transaction that is closing; returns how many of them were writers.
pub(super) fn close_children(parent: &Slot) -> usize {
    const CHILDREN: Kinds = Kinds::of(&[Kind::Cursor, Kind::Writer, Kind::RetiredCursor]);
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

/// Retires the cursors of a reader whose database is closed: they are refused from now on, but their keys stay.
pub(super) fn retire_children(parent: &Slot) {
    // From the end on: a cursor that its owner closes meanwhile is replaced by one that was retired already.
    let many = parent.children().tokens.len();
    for at in (0..many).rev() {
        let Some(token) = parent.children().tokens.get(at).copied() else {
            continue;
        };
        if let Ok(child) = HANDLES.close(token, Kinds::of(&[Kind::Cursor])) {
            child.retire(Kind::RetiredCursor);
        }
    }
}

/// Every child of a transaction, locked. No child comes or goes meanwhile.
pub(crate) struct LockedChildren {
    _list: MutexGuard<'static, Children>,
    _children: Vec<Exclusive>,
}

/// Locks every cursor of a read transaction; `KV_BUSY` if a call is in one. `None`: it has none.
#[inline(always)]
pub(crate) fn lock_children(parent: &'static Slot) -> Outcome<Option<LockedChildren>> {
    if parent.child_count.load(Relaxed) == 0 {
        return Ok(None);
    }
    lock_all(parent).map(Some)
}

/// Locks every cursor of a read transaction that has some.
#[inline(never)]
fn lock_all(parent: &'static Slot) -> Outcome<LockedChildren> {
    let list = parent.children();
    let mut children = Vec::new();
    let room = children.try_reserve_exact(list.tokens.len());
    room.map_err(|_| NO_MEMORY)?;
    for token in &list.tokens {
        children.push(HANDLES.lock(*token, Kind::Cursor)?);
    }
    Ok(LockedChildren {
        _list: list,
        _children: children,
    })
}
