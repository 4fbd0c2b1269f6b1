//! `apply(root, sorted edits) -> root`: the only function that changes a tree.
//!
//! One recursive pass goes down with a sorted group of edits per child and comes back with what became of the child: a
//! pointer (the same, if nothing changed), several pages, or none. A branch takes the answers in: it replaces pointers,
//! takes up new children, drops vanished ones, joins underfull ones with a neighbour, splits if it must. So insert,
//! delete, bulk load, append and the deletion of a range are one code path, for one edit or a million.
//!
//! Pages of the snapshot are copied before they change (immediately before the descent when the first edit of the group
//! is a put: the source is hot then); private pages change in place. With `fused`, every branch that is finished places
//! its private children while they are in the cache: that is how the last flush of a transaction becomes its commit,
//! and how a transaction larger than memory spills. Only the right edge of the tree stays private until `place_root`: an
//! ascending load comes back to it with every flush.
//!
//! **Fences.** A page's prefix is what the bounds of its interval share, so it never needs comparing. When a child
//! vanishes its neighbour's interval grows, and pages on that edge may then receive keys without their prefix: they get
//! the flag `CHECK_PREFIX` (`Apply::widen`) until they are next rebuilt.

use super::arena::{Arena, PageBox};
use super::edits::Op;
use super::emit::Emitter;
use super::fences::{branch_of, Fences};
use super::groups::Groups;
use super::sorted::Sorted;
use crate::error::{Error, Result};
use crate::ids::{Run, TableId, U48_MAX};
use crate::page::branch::{replace_ptr, Branch};
use crate::page::header;
use crate::page::{Extent, PageSink, PageSource, Ptr, Root};

/// Highest tree: 64 levels of at least two children hold more than any file.
pub const HEIGHT_MAX: u8 = 64;

/// A page on its way into its parent.
pub(super) struct Piece {
    /// Least key bound of the page; of the first piece of a reply it is the interval's own, and left empty.
    pub separator: Vec<u8>,
    pub ptr: Ptr,
    /// Less than a quarter full: a candidate for joining.
    pub small: bool,
}

/// What became of a page.
pub(super) enum Reply {
    /// One page with the same bounds; maybe the very same one.
    One { ptr: Ptr, small: bool },
    /// Several, or none.
    Many(Vec<Piece>),
}

/// A page being worked on: the snapshot's bytes, or private memory taken out of the arena.
pub(super) enum Held<'a> {
    Shared(&'a [u8]),
    Own(PageBox),
}

impl std::ops::Deref for Held<'_> {
    type Target = [u8];
    #[inline(always)]
    fn deref(&self) -> &[u8] {
        match self {
            Held::Shared(b) => b,
            Held::Own(b) => b,
        }
    }
}

/// What a change of a tree works with.
pub struct Apply<'a, 't, S, P> {
    /// The snapshot's pages, and those this transaction placed.
    pub source: S,
    /// Private pages.
    pub arena: &'t mut Arena,
    /// Where pages come from and go.
    pub sink: &'t mut P,
    /// Gives finished pages their place, if `fused`.
    pub emitter: &'t mut Emitter,
    /// Place finished pages at once.
    pub fused: bool,
    /// Number of the table, for page headers and errors.
    pub table: TableId,
    /// Long values or keys may be in the tree (see [`Root`]); false at first.
    pub has_long: bool,
    /// Pages left that may be dropped unread: bounds the work on a damaged tree with shared pages.
    pub drop_budget: u64,
    /// Ties the lifetime of the pages.
    pub life: std::marker::PhantomData<&'a ()>,
}

impl<'a, S: PageSource<'a> + Copy, P: PageSink> Apply<'a, '_, S, P> {
    /// Applies `edits` to the tree at `root`.
    pub fn apply(&mut self, root: Root, edits: &Sorted<'_>) -> Result<Root> {
        if edits.is_empty() {
            return Ok(root);
        }
        check_height(&root)?;
        self.has_long |= root.has_long;
        let fences = Fences::whole();
        let reply = if root.height == 0 {
            self.fill_empty(edits, &fences)?
        } else {
            self.node(root.ptr, root.height, edits, (0, edits.len()), &fences)?
        };
        self.settle_root(reply, root.height.max(1))
    }

    /// Grows and shrinks the tree at its root.
    pub(super) fn settle_root(&mut self, mut reply: Reply, mut height: u8) -> Result<Root> {
        let mut ptr = loop {
            let pieces = match reply {
                Reply::One { ptr, .. } => break ptr,
                Reply::Many(pieces) => pieces,
            };
            match pieces.as_slice() {
                [] => return Ok(Root::default()),
                [only] => break only.ptr,
                _ => {}
            }
            height += 1;
            let built = self.build_branches(pieces, height, &Fences::whole(), true)?;
            self.emit_below(&built, height, true)?;
            reply = Reply::Many(built);
        };
        while height > 1 {
            let page = self.hold(&ptr)?;
            let branch = Branch::new(&page).map_err(|d| d.at(ptr.page))?;
            if branch.len() > 1 {
                self.put_back(&mut ptr, page);
                break;
            }
            let child = branch.ptr(0);
            self.discard(&ptr, page);
            (ptr, height) = (child, height - 1);
        }
        let has_long = self.has_long;
        if self.fused {
            self.emitter.flush(self.arena, self.sink)?;
        }
        Ok(Root { ptr, height, has_long })
    }

    /// Gives every private page of the tree its place (pages stay queued until the emitter is flushed).
    pub fn place_root(&mut self, root: Root) -> Result<Root> {
        let Root {
            mut ptr,
            height,
            has_long,
        } = root;
        if height > 1 {
            self.emit_children(&ptr, height, false)?;
        }
        if height > 0 {
            self.emit(&mut ptr)?;
        }
        Ok(Root { ptr, height, has_long })
    }

    /// Gives a private page its place; its children have theirs.
    pub(super) fn emit(&mut self, ptr: &mut Ptr) -> Result<()> {
        if let Some(page) = ptr.page.as_private() {
            *ptr = self.emitter.emit(page, ptr.entries, self.arena, self.sink)?;
        }
        Ok(())
    }

    /// Gives the private pages below a private branch their places; of an `open` one not its last child.
    fn emit_children(&mut self, ptr: &Ptr, level: u8, open: bool) -> Result<()> {
        match ptr.page.as_private() {
            Some(page) => self.emitter.emit_children(page, level, open, self.arena, self.sink),
            None => Ok(()),
        }
    }

    /// Takes a page to work on. Give it back with `put_back` or `discard`.
    pub(super) fn hold(&mut self, ptr: &Ptr) -> Result<Held<'a>> {
        if let Some(page) = ptr.page.as_private() {
            let taken = self.arena.remove(page).ok_or_else(not_ours)?;
            if taken.1 {
                return Ok(Held::Own(taken.0));
            }
            // Its bytes are lent: work on a copy.
            let mut copy = self.arena.memory();
            copy.copy_from_slice(&taken.0);
            self.arena.recycle(taken);
            return Ok(Held::Own(copy));
        }
        self.settle(ptr)?;
        self.source.page(ptr).map(Held::Shared)
    }

    /// Makes sure that the page can be read: a page placed during this very change may still be queued.
    pub(super) fn settle(&mut self, ptr: &Ptr) -> Result<()> {
        if self.emitter.is_queued(ptr.page) {
            self.emitter.flush(self.arena, self.sink)?;
        }
        Ok(())
    }

    /// The bytes of two pages, to look at only.
    pub(super) fn peek(&mut self, a: &Ptr, b: &Ptr) -> Result<(&[u8], &[u8])> {
        self.settle(a)?;
        self.settle(b)?;
        Ok((self.look(a)?, self.look(b)?))
    }

    /// The bytes of a page that can be read.
    pub(super) fn look(&self, ptr: &Ptr) -> Result<&[u8]> {
        match ptr.page.as_private() {
            Some(page) => self.arena.get(page).ok_or_else(not_ours),
            None => self.source.page(ptr),
        }
    }

    /// Gives a page back unread.
    pub(super) fn abandon(&mut self, ptr: &Ptr) {
        match ptr.page.as_private() {
            Some(page) => self.arena.free(page),
            None => self.sink.release(page_of(ptr)),
        }
    }

    /// Makes the page private, giving the snapshot's page back; the bytes.
    pub(super) fn own<'h>(&mut self, ptr: &Ptr, page: &'h mut Held<'a>) -> &'h mut [u8] {
        if let Held::Shared(bytes) = page {
            let mut copy = self.arena.memory();
            copy.copy_from_slice(bytes);
            self.sink.release(page_of(ptr));
            *page = Held::Own(copy);
        }
        match page {
            Held::Own(bytes) => bytes,
            Held::Shared(_) => &mut [],
        }
    }

    /// Ends work on a page: a private one goes (back) into the arena, and `ptr` to where it is.
    pub(super) fn put_back(&mut self, ptr: &mut Ptr, page: Held<'a>) {
        if let Held::Own(bytes) = page {
            *ptr = Arena::ptr(self.arena.insert(bytes), ptr.entries);
        }
    }

    /// Ends work on a page that is not needed any more.
    pub(super) fn discard(&mut self, ptr: &Ptr, page: Held<'a>) {
        match page {
            Held::Own(bytes) => self.arena.recycle((bytes, true)),
            Held::Shared(_) => self.sink.release(page_of(ptr)),
        }
    }

    /// Applies `edits[range]`, all within `fences`, to the subtree at `ptr`.
    pub(super) fn node(
        &mut self,
        ptr: Ptr,
        level: u8,
        edits: &Sorted<'_>,
        range: (usize, usize),
        fences: &Fences,
    ) -> Result<Reply> {
        if level == 1 {
            return self.leaf(ptr, edits, range, fences);
        }
        let mut page = self.hold(&ptr)?;
        check_level(&page, &ptr, level)?;
        let mut ptr = ptr;
        let before = ptr;
        if matches!(edits.op(range.0), Op::Put(_)) {
            self.own(&ptr, &mut page);
        }
        let mut changes = Vec::new();
        let mut groups = Groups::new(range);
        loop {
            groups.refill(&page, &ptr, level, edits, &self.source, fences)?;
            let Some(group) = groups.next() else {
                break;
            };
            let child = branch_of(&page, &ptr)?.ptr(group.child);
            let beside = level == 2 && groups.peek().is_some_and(|next| next.follows(&group));
            if beside && self.is_too_much(&child, &group, edits)? {
                let mut beside = vec![(child, group)];
                loop {
                    groups.refill(&page, &ptr, level, edits, &self.source, fences)?;
                    match self.next_beside(&beside, &mut groups, &branch_of(&page, &ptr)?, edits)? {
                        Some(next) => beside.push(next),
                        None => break,
                    }
                }
                let all: Vec<(usize, Ptr)> = beside.iter().map(|(ptr, group)| (group.child, *ptr)).collect();
                let mut reply = self.merge_beside(beside, edits)?;
                for (at, child) in all {
                    // The first stands for all of them.
                    let one = std::mem::replace(&mut reply, Reply::Many(Vec::new()));
                    self.take_in(&mut ptr, &mut page, at, child, one, &mut changes)?;
                }
                continue;
            }
            let reply = self.node(child, level - 1, edits, (group.from, group.to), &group.fences)?;
            self.take_in(&mut ptr, &mut page, group.child, child, reply, &mut changes)?;
        }
        self.finish_branch(before, ptr, page, level, fences, changes)
    }

    /// Takes the answer of a child into its branch: the pointer at once, the rest into `changes`.
    pub(super) fn take_in(
        &mut self,
        ptr: &mut Ptr,
        page: &mut Held<'a>,
        at: usize,
        old: Ptr,
        reply: Reply,
        changes: &mut Vec<(usize, Reply)>,
    ) -> Result<()> {
        let entries = match &reply {
            Reply::One { ptr, .. } => ptr.entries,
            Reply::Many(pieces) => pieces.iter().map(|p| p.ptr.entries).sum(),
        };
        let others = ptr.entries.checked_sub(old.entries);
        match reply {
            Reply::One { ptr: new, small } => {
                if new != old {
                    replace_ptr(self.own(ptr, page), at, &new);
                }
                if small {
                    changes.push((at, Reply::One { ptr: new, small }));
                }
            }
            many => changes.push((at, many)),
        }
        ptr.entries = others
            .and_then(|o| o.checked_add(entries))
            .filter(|n| *n <= U48_MAX)
            .ok_or_else(|| Error::corrupt(ptr.page, "entry counts do not add up"))?;
        Ok(())
    }

    /// Ends work on a branch whose children have answered.
    pub(super) fn finish_branch(
        &mut self,
        before: Ptr,
        mut ptr: Ptr,
        page: Held<'a>,
        level: u8,
        fences: &Fences,
        changes: Vec<(usize, Reply)>,
    ) -> Result<Reply> {
        let reply = if changes.is_empty() {
            if matches!(page, Held::Shared(_)) {
                ptr = before;
            }
            self.put_back(&mut ptr, page);
            Reply::One { ptr, small: false }
        } else {
            self.restructure(ptr, page, level, fences, changes)?
        };
        if self.fused {
            let open = fences.high.is_none();
            match &reply {
                Reply::One { ptr, .. } => self.emit_children(ptr, level, open)?,
                Reply::Many(pieces) => self.emit_below(pieces, level, open)?,
            }
        }
        Ok(reply)
    }

    /// Places the children of finished branches; `open`: the last of them is on the right edge of the tree.
    fn emit_below(&mut self, pieces: &[Piece], level: u8, open: bool) -> Result<()> {
        if self.fused && level > 1 {
            for (i, piece) in pieces.iter().enumerate() {
                self.emit_children(&piece.ptr, level, open && i + 1 == pieces.len())?;
            }
        }
        Ok(())
    }
}

/// The page in the file behind `ptr`, as what is given back.
fn page_of(ptr: &Ptr) -> Extent {
    Extent {
        run: Run::new(ptr.page.number(), 1),
        birth: ptr.birth,
    }
}

/// A pointer that only memory can hold was found in a file.
#[cold]
fn not_ours() -> Error {
    Error::corrupt(None, "private page number in a file")
}

pub(super) fn check_height(root: &Root) -> Result<()> {
    if root.height > HEIGHT_MAX {
        return Err(Error::corrupt(root.ptr.page, "tree too high"));
    }
    Ok(())
}

pub(super) fn check_level(page: &[u8], ptr: &Ptr, level: u8) -> Result<()> {
    if header::level(page) != level {
        return Err(Error::corrupt(ptr.page, "page of another level"));
    }
    Ok(())
}
