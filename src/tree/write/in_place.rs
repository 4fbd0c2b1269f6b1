//! One edit at a position in a private leaf that needs nothing but bytes of private pages, as most do: no page moves,
//! comes or goes.
//!
//! It is the first thing that `at_position` tries, and needs less at hand than what a change of a tree may need.

use super::arena::Arena;
use super::edits::Op;
use super::ownership::not_ours;
use super::spot::{Edited, KeyEdit, Known, Spot, Valid};
use super::values::is_long_key;
use crate::error::{Error, Result};
use crate::ids::{PageRef, PrivatePage};
use crate::page::branch_build::change_entries;
use crate::page::header::{self, CHECK_PREFIX};
use crate::page::leaf::Stored;
use crate::page::suffix::Suffix;
use crate::page::{leaf_edit, Root};
use crate::tree::read::path::Position;
use crate::util::hash::fingerprint;

/// Makes an edit at a spot of the tree at `root`, if it needs nothing but bytes of private pages. Returns `None` if it
/// needs more, and has changed nothing then.
///
/// # Errors
/// `Corrupt`: the tree is half-done.
#[inline]
pub fn edit(arena: &mut Arena, root: &mut Root, spot: &mut Spot<'_>, edit: KeyEdit<'_>) -> Result<Option<Edited>> {
    debug_assert!(!arena.is_frozen(), "no page changes in place while bytes are pinned");
    let Some(page) = spot.position.leaf.page.as_private() else {
        return Ok(None);
    };
    if !arena.is_editable(page) {
        // A savepoint has the page.
        return Ok(None);
    }
    let at = &mut *spot.position;
    let more = match (edit.op, spot.known) {
        (Op::Put(value @ Stored::Inline(_)), Known::Entry) => {
            let bytes = arena.get_mut(page).ok_or_else(not_ours)?;
            let done = at.index < at.len && leaf_edit::overwrite(bytes, at.index, &value);
            return Ok(done.then_some(Edited::Here(Valid::Positions)));
        }
        (Op::Put(value @ Stored::Inline(_)), Known::Gap) if at.index <= at.len => {
            match insert(arena, page, at.index, (edit.key, &value))? {
                true => 1,
                false => return Ok(None),
            }
        }
        (Op::Delete, Known::Entry) => match remove(arena, page, at.index, edit.key)? {
            true => -1,
            false => return Ok(None),
        },
        _ => return Ok(None),
    };
    climb(arena, root, at, more)?;
    at.len = at.len.wrapping_add_signed(more as isize);
    Ok(Some(Edited::Here(Valid::Paths)))
}

/// Inserts an entry before entry `at` of a leaf, if there is room for it.
#[inline(always)]
fn insert(arena: &mut Arena, page: PrivatePage, at: usize, (key, value): (&[u8], &Stored<'_>)) -> Result<bool> {
    let bytes = arena.get_mut(page).ok_or_else(not_ours)?;
    // A page whose bounds have grown may get a key that lacks its prefix.
    let plain = header::flags(bytes) & CHECK_PREFIX == 0 && !is_long_key(key, bytes.len());
    let suffix = key.get(header::prefix_len(bytes)..).filter(|_| plain);
    Ok(suffix.is_some_and(|suffix| leaf_edit::insert(bytes, at, &Suffix::of(suffix), fingerprint(key), value)))
}

/// Removes entry `at` of a leaf, if others stay and it has nothing outside the page.
#[inline(always)]
fn remove(arena: &mut Arena, page: PrivatePage, at: usize, key: &[u8]) -> Result<bool> {
    let bytes = arena.get_mut(page).ok_or_else(not_ours)?;
    if is_long_key(key, bytes.len()) {
        return Ok(false);
    }
    let used = leaf_edit::remove_one_of_many(bytes, at);
    if let Some(used) = used {
        arena.note_loss(page, used);
    }
    Ok(used.is_some())
}

/// Tells the branches above a private leaf, which are private, too, and the root that it has `more` entries.
#[inline(always)]
fn climb(arena: &mut Arena, root: &mut Root, at: &Position, more: i64) -> Result<()> {
    for step in at.path.iter().rev() {
        let bytes = step.ptr.page.as_private().and_then(|page| arena.get_mut(page));
        if !bytes.is_some_and(|bytes| change_entries(bytes, step.index, more)) {
            return Err(wrong_count(step.ptr.page));
        }
    }
    let entries = root.ptr.entries.checked_add_signed(more);
    root.ptr.entries = entries.ok_or_else(|| wrong_count(root.ptr.page))?;
    Ok(())
}

/// Returns the error of a page that has fewer entries below it than go.
#[cold]
pub(super) fn wrong_count(page: PageRef) -> Error {
    Error::corrupt(page, "entry counts do not add up")
}
