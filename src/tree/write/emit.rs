//! Placing finished private pages: they are numbered, summed, and written in long runs, children before their parents.
//!
//! This order puts the children of a branch next to each other in key order, and their parent behind them. Where it is
//! known how many pages will come, branches get a run of their own: the next commit replaces them together, which
//! leaves one hole of the size that it needs, whereas each leaf lives until one of its entries changes. Pages are
//! queued, and written many at a time; a queued page cannot be read back until [`Emitter::flush`].
//!
//! There are two invariants. The pages below a branch are placed before the branch, so a pointer to a private page is
//! never written to a file. And every pointer given out carries the birth of the commit that is being made (I-10).
//!
//! Nothing is placed while bytes are pinned: pages that a transaction placed before and gives back now are taken again
//! at once, and pinned bytes may lie in them.

use super::arena::{no_page, Arena, PageBox};
use crate::error::Result;
use crate::ids::{PageNo, PageRef, PrivatePage, Run};
use crate::page::branch::Branch;
use crate::page::branch_build::replace_ptr;
use crate::page::{header, Extent, Lifetime, PageSink, Ptr};
use crate::util::crc32c;

/// The number of pages that are queued before they are written. They are still in the second cache then.
const BATCH: usize = 64;
/// A batch goes on until its end in the file is a multiple of this many bytes. Storage cuts what it writes at these
/// multiples, and a batch that ended elsewhere would be a further cut.
const BOUND: u64 = 32 << 10;
/// The number of pages of a run, unless it is known how many will come.
const RUN: u64 = 256;

/// Gives pages their numbers and writes them. One emitter serves all trees of a commit, so that they share runs.
#[derive(Default)]
pub struct Emitter {
    /// Pages that live until an entry in them changes: leaves, and branches too unless `branches_apart`.
    lasting: OpenRun,
    /// Pages that the next commit replaces: branches, and leaves if `fleeting_leaves`.
    fleeting: OpenRun,
    /// Whether fleeting pages get a run of their own, which pays where it is known how many will come.
    branches_apart: bool,
    /// Whether leaves are fleeting, too.
    fleeting_leaves: bool,
}

/// A run in use, and the pages that wait to be written into it.
#[derive(Default)]
struct OpenRun {
    /// The part of the run that is left. Its first page is the next to be given out.
    run: Run,
    /// The number of pages that are known to come, which is the length of the next run.
    expected: u64,
    /// The length of a run when more pages come than were expected.
    more: u64,
    /// The number of the first page in the queue. The numbers of the others follow without a gap.
    first: PageNo,
    queue: Vec<PageBox>,
    /// The checksums of the pages in the queue.
    sums: Vec<u32>,
}

/// A private branch whose children are to be placed.
pub(super) struct FinishedBranch {
    pub page: PrivatePage,
    pub level: u8,
    /// Whether its last child stays private, because it is on the right edge of the tree, where more is about to come.
    pub keeps_last: bool,
}

impl Emitter {
    /// Returns an emitter without a run.
    pub fn new() -> Emitter {
        Emitter::default()
    }

    /// Says how many leaves and about how many branches will come. The next runs get these lengths. If a run is in use
    /// already, the pages are the rest of a large transaction, and that run takes them.
    pub fn expect_pages(&mut self, leaves: u64, branches: u64) {
        (self.lasting.expected, self.fleeting.expected) = (leaves, branches);
        (self.lasting.more, self.fleeting.more) = (1, 1);
        self.branches_apart |= self.lasting.run.pages == 0;
    }

    /// Says that about `pages` pages will come, which are to lie in one run.
    pub fn expect_one_run(&mut self, pages: u64) {
        self.lasting.expected = pages;
    }

    /// Says that `edits` edits come to a tree that is much larger, so that most of them change a leaf of their own.
    pub fn expect_leaf_per_edit(&mut self, edits: u64) {
        self.expect_pages(edits.min(RUN), (edits / 8).min(RUN));
        (self.lasting.more, self.fleeting.more) = (RUN, RUN / 8);
    }

    /// Says that the leaves from now on, until [`Emitter::finish`], are of a small tree that every commit changes.
    pub fn leaves_are_fleeting(&mut self) {
        self.fleeting_leaves = true;
    }

    /// Returns whether this page waits to be written.
    pub fn is_queued(&self, page: PageRef) -> bool {
        self.lasting.queues(page.number()) || self.fleeting.queues(page.number())
    }

    /// Returns whether any page waits to be written.
    pub fn has_queued(&self) -> bool {
        !(self.lasting.queue.is_empty() && self.fleeting.queue.is_empty())
    }

    /// Places a private page that has `entries` entries below it. Its children must have been placed before.
    pub fn emit<P: PageSink>(
        &mut self,
        page: PrivatePage,
        entries: u64,
        arena: &mut Arena,
        sink: &mut P,
    ) -> Result<Ptr> {
        debug_assert!(!arena.is_frozen(), "nothing is placed while bytes are pinned");
        let memory = arena.take(page).ok_or_else(no_page)?;
        debug_assert!(
            !has_private_child(&memory),
            "a pointer to a private page in a page to be written"
        );
        let (open, lifetime) = match self.branches_apart && (self.fleeting_leaves || header::level(&memory) > 1) {
            true => (&mut self.fleeting, Lifetime::UntilNextCommit),
            false => (&mut self.lasting, Lifetime::UntilEdited),
        };
        if open.run.pages == 0 {
            // All pages of a queue lie in one run, so the queue is written before another run begins.
            open.flush(arena, sink)?;
            let want = match open.expected {
                0 if self.branches_apart => open.more,
                0 => RUN,
                expected => expected,
            };
            open.run = sink.take(want, lifetime)?;
        }
        if open.queue.is_empty() {
            open.first = open.run.first;
        }
        let ptr = Ptr {
            page: open.run.first.into(),
            birth: sink.birth(),
            entries,
            checksum: crc32c(&memory),
        };
        open.run = Run::new(open.run.first + 1, open.run.pages - 1);
        open.expected = open.expected.saturating_sub(1);
        open.queue.push(memory);
        open.sums.push(ptr.checksum);
        if open.queue.len() >= BATCH && open.run.first.offset(arena.page_size()) % BOUND == 0 {
            open.flush(arena, sink)?;
        }
        Ok(ptr)
    }

    /// Places every private page below a private branch, which no savepoint has.
    pub(super) fn emit_children<P: PageSink>(
        &mut self,
        branch: FinishedBranch,
        arena: &mut Arena,
        sink: &mut P,
    ) -> Result<()> {
        let mut next = 0;
        while let Some(child) = private_child(arena, &branch, next)? {
            next = child.at + 1;
            // Savepoints keep the page as it is. The branch gets the number of what is placed in its stead.
            let page = arena.copy_if_saved(child.page)?;
            if branch.level > 2 {
                let below = FinishedBranch {
                    page,
                    level: branch.level - 1,
                    keeps_last: false,
                };
                self.emit_children(below, arena, sink)?;
            }
            let placed = self.emit(page, child.entries, arena, sink)?;
            if let Some(parent) = arena.get_mut(branch.page) {
                replace_ptr(parent, child.at, &placed);
            }
        }
        Ok(())
    }

    /// Writes what is queued.
    pub fn flush<P: PageSink>(&mut self, arena: &mut Arena, sink: &mut P) -> Result<()> {
        self.lasting.flush(arena, sink)?;
        self.fleeting.flush(arena, sink)
    }

    /// Writes what is queued and gives back what is left of the runs.
    pub fn finish<P: PageSink>(&mut self, arena: &mut Arena, sink: &mut P) -> Result<()> {
        self.lasting.finish(arena, sink)?;
        self.fleeting.finish(arena, sink)?;
        (self.branches_apart, self.fleeting_leaves) = (false, false);
        Ok(())
    }

    /// Forgets what is queued and the runs. Whoever calls this gives back all that was taken since they were empty.
    pub fn abandon(&mut self, arena: &mut Arena) {
        for mut open in [std::mem::take(&mut self.lasting), std::mem::take(&mut self.fleeting)] {
            open.queue.drain(..).for_each(|memory| arena.recycle(memory));
        }
        *self = Emitter::default();
    }
}

impl OpenRun {
    /// Returns whether this page waits to be written.
    fn queues(&self, page: PageNo) -> bool {
        page.checked_sub(self.first)
            .is_some_and(|at| at < self.queue.len() as u64)
    }

    fn flush<P: PageSink>(&mut self, arena: &mut Arena, sink: &mut P) -> Result<()> {
        if self.queue.is_empty() {
            return Ok(());
        }
        debug_assert_eq!(self.queue.len(), self.sums.len(), "a checksum for each page");
        let parts: Vec<&[u8]> = self.queue.iter().map(|p| &p[..]).collect();
        sink.write_pages(self.first, &parts, &self.sums)?;
        self.queue.drain(..).for_each(|memory| arena.recycle(memory));
        self.sums.clear();
        Ok(())
    }

    fn finish<P: PageSink>(&mut self, arena: &mut Arena, sink: &mut P) -> Result<()> {
        self.flush(arena, sink)?;
        let run = std::mem::take(&mut self.run);
        if run.pages > 0 {
            let birth = sink.birth();
            sink.release(Extent::new(run, birth));
        }
        self.expected = 0;
        Ok(())
    }
}

/// A private page below a private branch.
struct PrivateChild {
    /// Which child of the branch it is.
    at: usize,
    page: PrivatePage,
    entries: u64,
}

/// Returns the first private child of `branch` at or behind `from` that is to be placed.
fn private_child(arena: &Arena, branch: &FinishedBranch, from: usize) -> Result<Option<PrivateChild>> {
    let bytes = arena.get(branch.page).ok_or_else(no_page)?;
    let children = Branch::new(bytes, PageRef::private(branch.page))?;
    let end = children.len().saturating_sub(usize::from(branch.keeps_last));
    Ok(children.first_private(from..end).and_then(|at| {
        Some(PrivateChild {
            at,
            page: children.child(at).as_private()?,
            entries: children.entries(at),
        })
    }))
}

/// Returns whether a page is a branch that points to a private page.
fn has_private_child(page: &[u8]) -> bool {
    let has = |branch: Branch<'_>| branch.first_private(0..branch.len()).is_some();
    header::level(page) > 1 && Branch::new(page, PageRef::UNKNOWN).is_ok_and(has)
}
