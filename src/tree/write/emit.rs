//! Finished private pages get their place: children first they are numbered, summed, and written in long runs.
//!
//! Post-order numbering puts the children of a branch next to each other in key order, and their parent behind them.
//! Where it is known how many pages will come, branches get a run of their own: the next commit replaces them together,
//! which leaves one hole of the size that it needs, while leaves live longer, each for itself. Pages are queued and
//! written many at a time; a queued page cannot be read back until [`Emitter::flush`].
//!
//! Two invariants. The pages below a branch have their places when the branch gets its own: a private place is never
//! written to a file. And every pointer given out carries the birth of the commit that is being made (I-10).
//!
//! Nothing is placed while bytes are pinned: the pages that a transaction placed before and gives back now are taken
//! again at once, and pinned bytes may lie in them.

use super::arena::{Arena, PageBox};
use crate::error::{Error, Result};
use crate::ids::{PageNo, PageRef, PrivatePage, Run};
use crate::page::branch::{replace_ptr, Branch};
use crate::page::{header, Extent, Lifetime, PageSink, Ptr};
use crate::util::crc32c;

/// Pages queued before they are written: they are still in the second cache then.
const BATCH: usize = 64;
/// A batch goes on until its end is a multiple of this many bytes in the file: storage writes in pieces of this size, and
/// what is cut there anyway is better not cut elsewhere, too.
const BOUND: u64 = 32 << 10;
/// Pages of a run, unless it is known how many will come.
const RUN: u64 = 256;

/// Gives pages their numbers and writes them. One emitter serves all trees of a commit, so that they share runs.
#[derive(Default)]
pub struct Emitter {
    /// Pages that live until an entry in them changes: leaves, and branches too unless they are told apart.
    lasting: OpenRun,
    /// Pages that the next commit replaces: branches, and leaves that die as soon.
    fleeting: OpenRun,
    /// Whether fleeting pages get a run of their own. That pays where it is known how many will come.
    told_apart: bool,
    /// Whether leaves are fleeting, too.
    fleeting_leaves: bool,
}

/// A run in use, and the pages that wait to be written into it.
#[derive(Default)]
struct OpenRun {
    /// What is left of the run: its first page is the next to be given out.
    run: Run,
    /// How many pages are known to come: the next run is this long.
    expected: u64,
    /// The length of a run when more pages come than were expected.
    more: u64,
    /// The place of the first page in the queue; the others follow it without a gap.
    first: PageNo,
    queue: Vec<PageBox>,
    /// The checksums of the pages in the queue.
    sums: Vec<u32>,
}

/// A private branch whose children are to be placed.
pub(super) struct FinishedBranch {
    pub page: PrivatePage,
    pub level: u8,
    /// Whether its last child stays private: it is on the right edge of the tree, where more is about to come.
    pub keeps_last: bool,
}

impl Emitter {
    /// An emitter without a run.
    pub fn new() -> Emitter {
        Emitter::default()
    }

    /// Tells how many leaves and, about, how many other pages will come: the next runs asked for are that long. If a run
    /// is in use already, the pages are the rest of a large transaction, and it takes them.
    pub fn expect_pages(&mut self, leaves: u64, branches: u64) {
        (self.lasting.expected, self.fleeting.expected) = (leaves, branches);
        (self.lasting.more, self.fleeting.more) = (1, 1);
        self.told_apart |= self.lasting.run.pages == 0;
    }

    /// Tells that about `pages` will come, and that they are better in one run.
    pub fn expect_one_run(&mut self, pages: u64) {
        self.lasting.expected = pages;
    }

    /// Tells that so many edits come to a tree that is much larger, so that most of them change a leaf of their own.
    pub fn expect_leaf_per_edit(&mut self, edits: u64) {
        self.expect_pages(edits.min(RUN), (edits / 8).min(RUN));
        (self.lasting.more, self.fleeting.more) = (RUN, RUN / 8);
    }

    /// Tells that from now on leaves are of a small tree that every commit changes; until [`Emitter::finish`].
    pub fn leaves_are_fleeting(&mut self) {
        self.fleeting_leaves = true;
    }

    /// Whether any page waits to be written.
    #[cfg(test)]
    pub fn is_busy(&self) -> bool {
        !self.lasting.queue.is_empty() || !self.fleeting.queue.is_empty()
    }

    /// Whether this page waits to be written.
    pub fn is_queued(&self, page: PageRef) -> bool {
        self.lasting.queues(page.number()) || self.fleeting.queues(page.number())
    }

    /// Places a private page that has `entries` entries below it. Its children have been placed before.
    pub fn emit<P: PageSink>(
        &mut self,
        page: PrivatePage,
        entries: u64,
        arena: &mut Arena,
        sink: &mut P,
    ) -> Result<Ptr> {
        debug_assert!(!arena.is_frozen(), "nothing is placed while bytes are pinned");
        let memory = arena.take(page).ok_or_else(no_page)?;
        debug_assert!(!has_private_child(&memory), "a private place in a page to be written");
        let (open, lifetime) = match self.told_apart && (self.fleeting_leaves || header::level(&memory) > 1) {
            true => (&mut self.fleeting, Lifetime::UntilNextCommit),
            false => (&mut self.lasting, Lifetime::UntilEdited),
        };
        if open.run.pages == 0 {
            // The queue lies in one run: it is written before another begins.
            open.flush(arena, sink)?;
            let want = match open.expected {
                0 if self.told_apart => open.more,
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

    /// Places every private page below a private branch.
    pub(super) fn emit_children<P: PageSink>(
        &mut self,
        branch: FinishedBranch,
        arena: &mut Arena,
        sink: &mut P,
    ) -> Result<()> {
        let mut next = 0;
        while let Some(child) = private_child(arena, &branch, next)? {
            next = child.at + 1;
            if branch.level > 2 {
                let below = FinishedBranch {
                    page: child.page,
                    level: branch.level - 1,
                    keeps_last: false,
                };
                self.emit_children(below, arena, sink)?;
            }
            let placed = self.emit(child.page, child.entries, arena, sink)?;
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
        (self.told_apart, self.fleeting_leaves) = (false, false);
        Ok(())
    }
}

impl OpenRun {
    /// Whether this page waits to be written.
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
            sink.release(Extent { run, birth });
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

/// The first private child of `branch` at or behind `from` that is to be placed.
fn private_child(arena: &Arena, branch: &FinishedBranch, from: usize) -> Result<Option<PrivateChild>> {
    let bytes = arena.get(branch.page).ok_or_else(no_page)?;
    let children = Branch::new(bytes, PageRef::private(branch.page))?;
    let end = children.len().saturating_sub(usize::from(branch.keeps_last));
    Ok((from..end).find_map(|at| {
        Some(PrivateChild {
            at,
            page: children.child(at).as_private()?,
            entries: children.entries(at),
        })
    }))
}

/// Whether a page is a branch that points to a private page.
fn has_private_child(page: &[u8]) -> bool {
    let children = |branch: Branch<'_>| (0..branch.len()).any(|i| branch.child(i).is_private());
    header::level(page) > 1 && Branch::new(page, PageRef::UNKNOWN).is_ok_and(children)
}

#[cold]
fn no_page() -> Error {
    Error::corrupt(None, "private page number without a page")
}
