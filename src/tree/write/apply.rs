//! `apply(root, sorted edits) -> root`: how a tree changes. One edit at a known position goes a shorter way of the same
//! parts (`at_position`).
//!
//! One recursive pass goes down with a sorted section of edits per child and comes back with what became of the child
//! ([`Reply`]). A branch takes the replies in, so insert, delete, bulk load, append and the deletion of a range are one
//! code path, for one edit as for a million:
//!
//! ```text
//!  what a child replies         what its branch does
//!
//!  One, the same pointer        nothing: the child did not change
//!  One, a new pointer           replaces the pointer at once, in the page                           apply
//!  One, underfull               the same, and later joins the child with a neighbour if both fit    join
//!  Many, two or more pages      replaces the child by them; separators come with the pages          branches
//!  Many, none                   drops the child; the neighbour before it takes over its interval    branches
//!
//!  what the branch replies in its turn
//!
//!  One                          its children still fit one page; the page has the same fences
//!  Many                         it was cut into several, or lost all its children                   branch_cut
//! ```
//!
//! At the root, the tree grows by a level for each `Many` of several pages, and shrinks while its root has one child.
//!
//! *Copying.* Pages of the snapshot are copied before they change; private pages change in place (I-10, see
//! `ownership`).
//!
//! *Placing.* With `places_pages`, every branch that is finished places its private children while they are in the
//! cache. So a large last flush writes its pages while it builds them, and a transaction can be larger than memory.
//! Only the right edge of the tree stays private until [`Apply::place_root`], because an ascending load comes back to
//! it with every flush.
//!
//! *Counting.* A pointer's entry count is that of all leaves below it. Each branch adds up what its children reply, so
//! the root's count is that of the table, and a sum that does not come out is damage.

use super::arena::Arena;
use super::edits::Op;
use super::emit::{Emitter, FinishedBranch};
use super::fences::Fences;
use super::groups::{Group, Groups};
use super::node::Node;
use super::sorted::{EditSlice, Sorted};
use crate::error::{Error, Result};
use crate::ids::{PageRef, TableId, U48_MAX};
use crate::page::branch_build::replace_ptr;
use crate::page::header::HEADER;
use crate::page::roots::HEIGHT_MAX;
use crate::page::{PageSink, PageSource, Ptr, Root};

/// A page that is new to its parent.
pub(super) struct NewPage {
    /// The lower fence of the page. It is empty for the first page of a reply, which has the lower fence of the page
    /// that it replaces.
    pub separator: Vec<u8>,
    pub ptr: Ptr,
    /// Whether the page has so much room that it is to be joined with neighbours if they have room, too.
    pub underfull: bool,
}

/// What became of a page.
pub(super) enum Reply {
    /// It is one page with the same fences, perhaps the very same page.
    One { ptr: Ptr, underfull: bool },
    /// It is several pages, or none.
    Many(Vec<NewPage>),
}

impl Reply {
    /// Returns the reply of a page that is gone.
    pub fn none() -> Reply {
        Reply::Many(Vec::new())
    }

    /// Returns the reply of a page that became these pages.
    pub fn of(new_pages: Vec<NewPage>) -> Reply {
        match new_pages.as_slice() {
            [NewPage { ptr, underfull, .. }] => Reply::One {
                ptr: *ptr,
                underfull: *underfull,
            },
            _ => Reply::Many(new_pages),
        }
    }

    /// Returns the number of entries in what became of the page.
    fn entries(&self) -> u64 {
        match self {
            Reply::One { ptr, .. } => ptr.entries,
            Reply::Many(new_pages) => new_pages.iter().map(|p| p.ptr.entries).sum(),
        }
    }
}

/// Returns whether a leaf that was built anew is to be joined with neighbours if it uses `used` bytes of its page. The
/// two halves of a page that was split are among those.
pub(super) fn is_underfull(used: usize, page_size: usize) -> bool {
    used < page_size / 8 * 5
}

/// Returns whether a page is to be joined with neighbours if entries in it went or shrank.
pub(super) fn is_half_empty(used: usize, page_size: usize) -> bool {
    used < page_size / 2
}

/// Returns whether a leaf that entries have left, or in which they shrank, is to be looked at for joining: always
/// while it is less than half full, and above that each time it falls below a further eighth of a page, from three
/// quarters on (6/8, 5/8). So its neighbours are looked at once for several entries that go, and an entry that is put
/// and deleted in turns at such a bound has them looked at with each delete.
pub(super) fn has_lost_much(before: usize, used: usize, page_size: usize) -> bool {
    let eighth = page_size / 8;
    used < before && (is_half_empty(used, page_size) || used < 6 * eighth && used / eighth < before / eighth)
}

/// Returns whether a page is so small that it is joined with a neighbour even if the two fill a page.
pub(super) fn is_nearly_empty(used: usize, page_size: usize) -> bool {
    used < page_size / 4
}

/// Returns whether one leaf less is to take what so many leaves have, which use `used` bytes together. A sixteenth of
/// each stays free for what comes.
pub(super) fn does_one_less(leaves: usize, used: usize, page_size: usize) -> bool {
    used - HEADER <= (leaves - 1) * (page_size / 16 * 15)
}

/// How full pages are made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fill {
    /// To the brim, because later entries come behind them.
    Full,
    /// With some room, because later entries come between and would split every full page.
    WithRoom,
}

/// A branch whose children are being changed, and what they have replied so far.
pub(super) struct OpenBranch<'a> {
    /// The branch. It has the new pointers already, and its entry count is the sum of its children's.
    pub node: Node<'a>,
    pub level: u8,
    /// The replies that change more than a pointer, in the order of the children.
    pub changes: Vec<ChildChange>,
}

/// A reply that changes more than a pointer of the branch.
pub(super) struct ChildChange {
    /// Which child replied.
    pub at: usize,
    pub reply: Reply,
}

impl<'a> OpenBranch<'a> {
    pub fn new(node: Node<'a>, level: u8) -> OpenBranch<'a> {
        OpenBranch {
            node,
            level,
            changes: Vec::new(),
        }
    }
}

/// A change of a tree: what it works with, and what it has found out.
pub struct Apply<'a, 't, S, P> {
    /// The source of the snapshot's pages and of those that this transaction placed.
    pub source: S,
    /// The private pages.
    pub arena: &'t mut Arena,
    /// The sink that gives numbers to new pages and takes pages back.
    pub sink: &'t mut P,
    /// The emitter that places finished pages.
    pub emitter: &'t mut Emitter,
    /// Whether finished pages are placed at once, while the change goes on.
    pub places_pages: bool,
    /// The id of the table, for page headers and errors.
    pub table: TableId,
    /// Whether long values or keys may be in the tree (see [`Root`]). It is false at first.
    pub has_long: bool,
    /// The number of pages that may still be dropped. It bounds the work on a damaged tree with shared pages.
    pub drop_budget: u64,
    /// Stands for the lifetime of the pages.
    pub life: std::marker::PhantomData<&'a ()>,
}

impl<'a, S: PageSource<'a> + Copy, P: PageSink> Apply<'a, '_, S, P> {
    /// Applies `edits` to the tree at `root`.
    pub fn apply(&mut self, root: Root, edits: &Sorted<'_>) -> Result<Root> {
        if edits.is_empty() {
            return Ok(root);
        }
        self.begin(&root)?;
        let root = match self.places_pages {
            true => self.join_lost(root)?,
            false => root,
        };
        let (root, edits) = self.apply_few(root, edits.all())?;
        if edits.is_empty() {
            return Ok(root);
        }
        let fences = Fences::whole();
        let reply = match root.height {
            0 => self.fill_empty(edits, &fences)?,
            height => self.subtree(root.ptr, height, edits, &fences)?,
        };
        self.finish_root(reply, root.height.max(1))
    }

    /// Checks a root before its tree is changed, and takes note of what may be in the tree.
    pub(super) fn begin(&mut self, root: &Root) -> Result<()> {
        if root.height > HEIGHT_MAX {
            return Err(Error::corrupt(root.ptr.page, "tree too high"));
        }
        self.has_long |= root.has_long;
        Ok(())
    }

    /// Applies `edits`, all of them within `fences`, to the subtree at `ptr`, whose root is of this level.
    pub(super) fn subtree(&mut self, ptr: Ptr, level: u8, edits: EditSlice<'_>, fences: &Fences) -> Result<Reply> {
        debug_assert!(
            level > 0 && !edits.is_empty(),
            "levels fall by one, and each child has edits"
        );
        if level == 1 {
            return self.leaf(ptr, edits, fences);
        }
        let mut branch = OpenBranch::new(self.open(ptr, level)?, level);
        if matches!(edits.op(0), Op::Put(_)) {
            // A put changes its leaf, and thereby a pointer in each page above. The page is copied before the descent,
            // while what was just read of it is still in the cache. A delete may find nothing, and then no page
            // changes.
            self.make_private(&mut branch.node);
        }
        let mut groups = Groups::new(edits, fences);
        loop {
            // Groups are looked up between the children, so that prefetched pages arrive while a child is worked on.
            groups.refill(&branch.node, level, &self.source)?;
            let Some(group) = groups.next() else { break };
            let child = branch.node.branch()?.ptr(group.child);
            let has_neighbour = level == 2 && groups.peek().is_some_and(|next| next.follows(&group));
            if has_neighbour && self.is_too_much(&child, &group)? {
                self.merge_neighbours(&mut branch, &mut groups, (child, group))?;
                continue;
            }
            let Group {
                child: at,
                edits,
                fences,
            } = group;
            let reply = self.subtree(child, level - 1, edits, &fences)?;
            self.take_in(&mut branch, at, child, reply)?;
        }
        self.finish_branch(branch, fences)
    }

    /// Takes the reply of child `at`, which was `old`, into its branch: a pointer at once, more than that into
    /// `changes`.
    pub(super) fn take_in(&mut self, branch: &mut OpenBranch<'a>, at: usize, old: Ptr, reply: Reply) -> Result<()> {
        // The sum changes by what the child's count changes. Counts come from the file, so each step is checked.
        let others = branch.node.ptr.entries.checked_sub(old.entries);
        let entries = others
            .and_then(|others| others.checked_add(reply.entries()))
            .filter(|sum| *sum <= U48_MAX)
            .ok_or_else(|| Error::corrupt(branch.node.ptr.page, "entry counts do not add up"))?;
        debug_assert!(
            branch.changes.last().is_none_or(|last| last.at < at),
            "children in order"
        );
        match reply {
            Reply::One { ptr, underfull } => {
                if ptr != old {
                    replace_ptr(self.make_private(&mut branch.node), at, &ptr);
                }
                if underfull {
                    branch.changes.push(ChildChange { at, reply });
                }
            }
            // All separators stay where they are until every child has replied, because the groups rely on them.
            Reply::Many(_) => branch.changes.push(ChildChange { at, reply }),
        }
        branch.node.ptr.entries = entries;
        Ok(())
    }

    /// Ends work on a branch whose children have replied.
    pub(super) fn finish_branch(&mut self, branch: OpenBranch<'a>, fences: &Fences) -> Result<Reply> {
        let level = branch.level;
        let reply = match branch.changes.is_empty() {
            true => Reply::One {
                ptr: self.close(branch.node),
                underfull: false,
            },
            false => self.restructure(branch, fences)?,
        };
        if self.places_pages {
            // Edits come in key order, so no later edit of this pass changes a page below this branch.
            match &reply {
                Reply::One { ptr, .. } => self.emit_children(ptr, level, fences.is_open())?,
                Reply::Many(new_pages) => self.emit_below(new_pages, level, fences.is_open())?,
            }
        }
        Ok(reply)
    }

    /// Grows or shrinks the tree at its root, whose reply has no parent to go to.
    pub(super) fn finish_root(&mut self, mut reply: Reply, mut height: u8) -> Result<Root> {
        let mut ptr = loop {
            let new_pages = match reply {
                Reply::One { ptr, .. } => break ptr,
                Reply::Many(new_pages) => new_pages,
            };
            match new_pages.as_slice() {
                [] => return Ok(Root::default()),
                [only] => break only.ptr,
                _ => {}
            }
            // Several pages need a parent level, which may be several pages again.
            height += 1;
            let built = self.build_branches(new_pages, height)?;
            if self.places_pages {
                self.emit_below(&built, height, true)?;
            }
            reply = Reply::Many(built);
        };
        while height > 1 {
            let node = self.open(ptr, height)?;
            let branch = node.branch()?;
            if branch.len() > 1 {
                ptr = self.close(node);
                break;
            }
            // A root has at least two children: the only child of this one becomes the root.
            ptr = branch.ptr(0);
            self.discard(node);
            height -= 1;
        }
        if self.places_pages {
            self.emitter.flush(self.arena, self.sink)?;
        }
        Ok(Root {
            ptr,
            height,
            has_long: self.has_long,
        })
    }

    /// Places every private page of the tree. The pages stay queued until the emitter is flushed.
    pub fn place_root(&mut self, root: Root) -> Result<Root> {
        let mut ptr = root.ptr;
        if let Some(page) = ptr.page.as_private() {
            ptr.page = PageRef::private(self.arena.copy_if_saved(page)?);
        }
        if root.height > 1 {
            self.emit_children(&ptr, root.height, false)?;
        }
        if root.height > 0 {
            self.emit(&mut ptr)?;
        }
        Ok(Root { ptr, ..root })
    }

    /// Joins what edits at positions have left, places every private page of the tree, and writes what is queued.
    pub fn place_all(&mut self, root: Root) -> Result<Root> {
        let root = self.join_lost(root)?;
        let root = self.place_root(root)?;
        self.emitter.flush(self.arena, self.sink)?;
        Ok(root)
    }

    /// Places a page if it is private. Its children must have been placed.
    pub(super) fn emit(&mut self, ptr: &mut Ptr) -> Result<()> {
        if let Some(page) = ptr.page.as_private() {
            *ptr = self.emitter.emit(page, ptr.entries, self.arena, self.sink)?;
        }
        Ok(())
    }

    /// Places the private pages below a branch. If the branch is on the right edge of the tree, its last child stays
    /// private, because more entries are about to come there.
    fn emit_children(&mut self, ptr: &Ptr, level: u8, on_right_edge: bool) -> Result<()> {
        let Some(page) = ptr.page.as_private() else {
            // A page of the file never points to a private page.
            return Ok(());
        };
        let branch = FinishedBranch {
            page,
            level,
            keeps_last: on_right_edge,
        };
        self.emitter.emit_children(branch, self.arena, self.sink)
    }

    /// Places the private pages below branches that lie side by side. Only the last of them can be on the right edge.
    fn emit_below(&mut self, new_pages: &[NewPage], level: u8, on_right_edge: bool) -> Result<()> {
        for (i, new_page) in new_pages.iter().enumerate() {
            self.emit_children(&new_page.ptr, level, on_right_edge && i + 1 == new_pages.len())?;
        }
        Ok(())
    }
}
