//! One edit where a position stands, or where a search finds its key: what `apply` does for it, without fences and
//! replies.
//!
//! Whoever looks before it writes (a cursor, a queue, a counter) has found the entry already: the leaf, and the child
//! that was taken in each branch above it. The edit changes the leaf in place, and above it the pointers alone. What a
//! leaf cannot take in place is left to `apply`, and so is what it cannot do at once:
//!
//! - A leaf that has lost its last entry goes, and its branch takes that in as it takes in any reply
//!   ([`Apply::climb_with`]), as it does where the last leaf of the tree is full and another begins behind it.
//! - A leaf that has lost much is not joined with its neighbours at once, because the position would be lost and the
//!   next edit is likely to come to the same leaf. The arena notes it, and [`Apply::join_lost`] looks at all such
//!   leaves together, before the pages are placed. It joins those that `apply` would join.

use super::apply::{has_lost_much, is_nearly_empty, Apply, ChildChange, OpenBranch, Reply};
use super::arena::Arena;
use super::edits::Op;
use super::fences::Fences;
use super::in_place::{self, wrong_count};
use super::node::{branch_in, leaf_in};
use super::ownership::not_ours;
use super::sorted::EditSlice;
use super::spot::{Edited, KeyEdit, Known, Spot, Valid};
use crate::error::{Error, Result};
use crate::ids::{PageNo, PageRef};
use crate::page::branch_build::{change_entries, child_of, move_child};
use crate::page::{PageSink, PageSource, Prefetch, Ptr, Root};
use crate::tree::read::path::Position;

/// The most edits that `apply` makes one by one: the machinery for many costs more than their descents.
const ONE_BY_ONE: usize = 4;

/// The pages of a tree that is being changed, those of the snapshot and the private ones.
struct AllPages<'x, S> {
    source: S,
    arena: &'x Arena,
}

impl<S: Prefetch> Prefetch for AllPages<'_, S> {
    fn page_size(&self) -> usize {
        self.source.page_size()
    }

    #[inline(always)]
    fn prefetch(&self, page: PageRef, bytes: usize) {
        // The number of a private page lies outside every file, for which nothing is prefetched.
        self.source.prefetch(page, bytes);
    }

    #[inline(always)]
    fn prefetch_at(&self, page: PageRef, from: usize, lines: usize) {
        self.source.prefetch_at(page, from, lines);
    }
}

impl<'x, 'a: 'x, S: PageSource<'a>> PageSource<'x> for AllPages<'x, S> {
    #[inline(always)]
    fn page(&self, ptr: &Ptr) -> Result<&'x [u8]> {
        match ptr.page.as_private() {
            Some(page) => self.arena.get(page).ok_or_else(not_ours),
            None => self.source.page(ptr),
        }
    }

    #[inline(always)]
    fn peek(&self, ptr: &Ptr) -> Option<&'x [u8]> {
        match ptr.page.as_private() {
            Some(page) => self.arena.get(page),
            None => self.source.peek(ptr),
        }
    }

    fn piece(&self, page: PageNo, len: usize, checksum: u32) -> Result<&'x [u8]> {
        self.source.piece(page, len, checksum)
    }

    fn raw(&self, page: PageNo, len: u64) -> Result<&'x [u8]> {
        self.source.raw(page, len)
    }
}

impl<'a, S: PageSource<'a> + Copy, P: PageSink> Apply<'a, '_, S, P> {
    /// Makes an edit at a spot of the tree at `root` as it is now.
    ///
    /// # Errors
    /// `Corrupt`, `Io`, `NoMemory`: the tree is half-done, as after [`Apply::apply`].
    pub fn edit(&mut self, root: &mut Root, spot: Spot<'_>, edit: KeyEdit<'_>) -> Result<Edited> {
        let Spot { position, known } = spot;
        match known {
            Known::Entry | Known::Gap => self.edit_at(root, Spot { position, known }, edit),
            Known::Nothing => self.edit_found(root, position, edit),
        }
    }

    /// Makes an edit at a position of which it is known where it leads.
    fn edit_at(&mut self, root: &mut Root, mut spot: Spot<'_>, edit: KeyEdit<'_>) -> Result<Edited> {
        self.begin(root)?;
        if let Some(edited) = in_place::edit(self.arena, root, &mut spot, edit)? {
            return Ok(edited);
        }
        let (at, is_entry) = (spot.position, spot.known == Known::Entry);
        let old = match at.leaf.page.is_private() {
            true => at.leaf,
            false => self.whole_ptr(root, at, at.path.len())?,
        };
        let before = old.page.as_private().map_or(0, |page| self.arena.used_before(page));
        let mut node = self.open(old, 1)?;
        let leaf = node.leaf()?;
        let (entries, used) = (leaf.len(), leaf.used());
        if at.index > entries || is_entry && at.index == entries {
            return Err(Error::corrupt(old.page, "position outside its leaf"));
        }
        let position = if is_entry { Ok(at.index) } else { Err(at.index) };
        let done = self.edit_entry(&mut node, position, edit.key, edit.op)?;
        if !done && position == Err(entries) && at.is_last_leaf() {
            let fences = self.fences_of(root, at, at.path.len())?;
            if let Some(reply) = self.put_behind_full(&node, edit, &fences)? {
                self.discard(node);
                *root = self.climb_with(*root, at, reply)?;
                at.reset();
                return Ok(Edited::LeafGone);
            }
        }
        let leaf = node.leaf()?;
        let (left, used_now) = (leaf.len(), leaf.used());
        if left == 0 {
            self.discard(node);
            *root = self.climb_with(*root, at, Reply::none())?;
            at.reset();
            return Ok(Edited::LeafGone);
        }
        let new = self.close(node);
        let before = if used_now < used { before.max(used) } else { before };
        if let Some(page) = new.page.as_private().filter(|_| before > 0) {
            self.arena.note_loss(page, before);
        }
        let more = left as i64 - entries as i64;
        let kept = match new.page == old.page && more == 0 {
            true => Valid::Positions,
            false => self.climb(root, at, new.page, more)?,
        };
        at.len = left;
        root.has_long = self.has_long;
        match done {
            true => Ok(Edited::Here(kept)),
            false => Ok(Edited::Refused(kept)),
        }
    }

    /// Applies edits one by one, each where a search finds its key, if they are few. Returns the root, and those that
    /// are left to be applied together.
    pub(super) fn apply_few<'e>(&mut self, root: Root, edits: EditSlice<'e>) -> Result<(Root, EditSlice<'e>)> {
        let (mut root, mut edits) = (root, edits);
        // Pages whose bytes may be pinned do not change in place, and pages that are placed early are placed together.
        if edits.len() > ONE_BY_ONE || self.places_pages || self.arena.is_frozen() {
            return Ok((root, edits));
        }
        let mut at = Position::new();
        while !edits.is_empty() {
            let (key, op) = (edits.key(0), edits.op(0));
            let edited = self.edit_found(&mut root, &mut at, KeyEdit { key, op })?;
            if matches!(edited, Edited::Refused(_)) {
                break;
            }
            (_, edits) = edits.split_at(1);
        }
        Ok((root, edits))
    }

    /// Makes an edit where a search finds its key. The position is only memory for the search.
    fn edit_found(&mut self, root: &mut Root, at: &mut Position, edit: KeyEdit<'_>) -> Result<Edited> {
        let nowhere = Edited::Refused(Valid::Positions);
        if root.height == 0 || self.emitter.has_queued() {
            return Ok(nowhere);
        }
        match (self.find(root, edit.key, at)?, edit.op) {
            (None, _) => Ok(nowhere),
            // There is nothing to delete, so no page need be copied.
            (Some(false), Op::Delete) => Ok(Edited::Here(Valid::Positions)),
            (Some(is_entry), _) => {
                let known = if is_entry { Known::Entry } else { Known::Gap };
                self.edit_at(root, Spot { position: at, known }, edit)
            }
        }
    }

    /// Finds where `key` has its entry or belongs, and returns whether it has one. Returns `None` if the key lacks the
    /// prefix of its leaf, whose bounds have grown. No page of the tree may wait to be written.
    fn find(&mut self, root: &Root, key: &[u8], at: &mut Position) -> Result<Option<bool>> {
        let pages = AllPages {
            source: self.source,
            arena: self.arena,
        };
        let found = at.descend(&pages, root, key)?;
        at.index = found.unwrap_or_else(|index| index);
        let leaf = leaf_in(pages.page(&at.leaf)?, &at.leaf)?;
        Ok(key.starts_with(leaf.prefix()).then_some(found.is_ok()))
    }

    /// Returns the pointer to page `level` of the path, counted from the root, with its birth: that of the root, of a
    /// branch, or behind all of those that of the leaf. Positions have pointers without births.
    fn whole_ptr(&self, root: &Root, at: &Position, level: usize) -> Result<Ptr> {
        let Some(above) = level.checked_sub(1).map(|above| &at.path[above]) else {
            return Ok(root.ptr);
        };
        let branch = branch_in(self.bytes(&above.ptr)?, &above.ptr)?;
        if above.index >= branch.len() {
            return Err(Error::corrupt(above.ptr.page, "branch changed under a position"));
        }
        Ok(branch.ptr(above.index))
    }

    /// Tells the branches above the leaf, from below to the root, where it is now and that it has `more` entries.
    /// Returns whether all pages have stayed where they were.
    fn climb(&mut self, root: &mut Root, at: &mut Position, leaf: PageRef, more: i64) -> Result<Valid> {
        let mut moved_to = (leaf != at.leaf.page).then_some(leaf);
        let mut kept = if moved_to.is_some() {
            Valid::Nothing
        } else {
            Valid::Paths
        };
        at.leaf.page = leaf;
        for above in (0..at.path.len()).rev() {
            let step = at.path[above];
            let page = match step.ptr.page.as_private().filter(|page| self.arena.is_editable(*page)) {
                Some(page) => page,
                None => {
                    let level = (at.path.len() - above) as u8 + 1;
                    let mut node = self.open(self.whole_ptr(root, at, above)?, level)?;
                    self.make_private(&mut node);
                    kept = Valid::Nothing;
                    let copy = self.close(node).page.as_private();
                    copy.ok_or_else(|| Error::Panic("a page that was copied is not private".into()))?
                }
            };
            let changed = self.arena.get_mut(page).is_some_and(|bytes| match moved_to {
                Some(moved_to) => move_child(bytes, step.index, moved_to, more),
                None => change_entries(bytes, step.index, more),
            });
            if !changed {
                return Err(wrong_count(step.ptr.page));
            }
            let here = PageRef::private(page);
            moved_to = (here != step.ptr.page).then_some(here);
            at.path[above].ptr.page = here;
        }
        let entries = root.ptr.entries.checked_add_signed(more);
        let entries = entries.ok_or_else(|| wrong_count(root.ptr.page))?;
        root.ptr = match moved_to {
            Some(page) => Ptr {
                page,
                entries,
                ..Ptr::default()
            },
            None => Ptr { entries, ..root.ptr },
        };
        Ok(kept)
    }

    /// Tells the branches above the leaf of a position, which is not in the tree any more, what it has become.
    fn climb_with(&mut self, root: Root, at: &Position, reply: Reply) -> Result<Root> {
        let (mut reply, mut old) = (reply, self.whole_ptr(&root, at, at.path.len())?);
        for above in (0..at.path.len()).rev() {
            let level = (at.path.len() - above) as u8 + 1;
            let ptr = self.whole_ptr(&root, at, above)?;
            let fences = self.fences_of(&root, at, above)?;
            let mut branch = OpenBranch::new(self.open(ptr, level)?, level);
            self.take_in(&mut branch, at.path[above].index, old, reply)?;
            reply = self.finish_branch(branch, &fences)?;
            old = ptr;
        }
        self.finish_root(reply, root.height)
    }

    /// Returns the fences of branch `above` of a path, or behind all branches those of the leaf.
    fn fences_of(&mut self, root: &Root, at: &Position, above: usize) -> Result<Fences> {
        let mut fences = Fences::whole();
        for i in 0..above {
            let ptr = self.whole_ptr(root, at, i)?;
            self.make_readable(&ptr)?;
            let branch = branch_in(self.bytes(&ptr)?, &ptr)?;
            fences = fences.of_child_in(&branch, at.path[i].index, &self.source)?;
        }
        Ok(fences)
    }

    /// Joins the leaves of a tree with their neighbours that have lost much by edits at positions.
    pub fn join_lost(&mut self, root: Root) -> Result<Root> {
        if !self.arena.has_losses() || root.height < 2 || !root.ptr.page.is_private() {
            return Ok(root);
        }
        self.begin(&root)?;
        // No page is placed before all of them have been looked at.
        let placing = std::mem::replace(&mut self.places_pages, false);
        let reply = self.join_lost_below(root.ptr, root.height, &Fences::whole())?;
        let joined = self.finish_root(reply, root.height);
        self.places_pages = placing;
        joined
    }

    /// Does so in the private subtree at `ptr`, whose root is a branch of this level.
    fn join_lost_below(&mut self, ptr: Ptr, level: u8, fences: &Fences) -> Result<Reply> {
        let mut branch = OpenBranch::new(self.open(ptr, level)?, level);
        for i in 0..branch.node.branch()?.len() {
            let Some(page) = child_of(&branch.node.bytes, i).as_private() else {
                continue;
            };
            let child = branch.node.branch()?.ptr(i);
            if level > 2 {
                let inner = fences.of_child(&branch.node, i, &self.source)?;
                let reply = self.join_lost_below(child, level - 1, &inner)?;
                self.take_in(&mut branch, i, child, reply)?;
                continue;
            }
            let before = self.arena.take_used_before(page);
            let (used, size) = (self.used(&child)?, branch.node.size());
            if before > 0 && (has_lost_much(before, used, size) || is_nearly_empty(used, size)) {
                let reply = Reply::One {
                    ptr: child,
                    underfull: true,
                };
                branch.changes.push(ChildChange { at: i, reply });
            }
        }
        self.finish_branch(branch, fences)
    }
}
