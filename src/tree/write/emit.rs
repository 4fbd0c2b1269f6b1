//! Finished private pages get their place: numbered children first, summed, written in long runs.
//!
//! Post-order numbering puts the children of a branch next to each other in key order, their parent behind them. Where it
//! is known what will come, branches get a run of their own: the next commit replaces them together, and leaves one hole
//! of the size that it needs, while leaves live longer, each for itself. Pages are queued and written many at a time; a
//! queued page cannot be read back until [`Emitter::flush`].

use super::arena::{Arena, PageBox};
use crate::error::{Error, Result};
use crate::ids::{PageNo, PageRef, PrivatePage, Run};
use crate::page::branch::{replace_ptr, Branch};
use crate::page::{header, Extent, Life, PageSink, Ptr};
use crate::util::crc32c;

/// Pages queued before they are written: they are still in the second cache then.
const BATCH: usize = 64;
/// A batch goes on until its end is a multiple of this in the file: storage writes in pieces of this size, and what is cut
/// there anyway is better not cut elsewhere, too.
const BOUND: u64 = 32 << 10;
/// Pages of a run, unless it is known how many will come.
const RUN: u64 = 256;

/// Gives pages their numbers and writes them. One emitter serves all trees of a commit, so that they share runs.
#[derive(Default)]
pub struct Emitter {
    /// Leaves, and everything else unless it is known what will come.
    long: Lane,
    /// Branches, and leaves that die as soon.
    short: Lane,
    /// Whether it is known what will come.
    known: bool,
    /// Whether leaves die soon, too.
    brief: bool,
}

/// A run in use and what waits to be written into it.
#[derive(Default)]
struct Lane {
    /// What is left of the run: its first page is taken next.
    run: Run,
    /// Pages that are known to come, and what to ask for if more do.
    expected: u64,
    more: u64,
    /// First page of the queue, its pages and their checksums.
    first: PageNo,
    queue: Vec<PageBox>,
    sums: Vec<u32>,
}

impl Emitter {
    /// An emitter without a run.
    pub fn new() -> Emitter {
        Emitter::default()
    }

    /// Tells how many leaves and, about, how many other pages will come: the next runs asked for are that long. What is
    /// left of a run taken before takes the rest of a large transaction.
    pub fn expect_pages(&mut self, leaves: u64, branches: u64) {
        (self.long.expected, self.short.expected) = (leaves, branches);
        (self.long.more, self.short.more) = (1, 1);
        self.known |= self.long.run.pages == 0;
    }

    /// Tells that about `pages` will come, and that they are better in one run.
    pub fn expect_one_run(&mut self, pages: u64) {
        self.long.expected = pages;
    }

    /// Tells that so many edits come to a tree that is much larger: at most a leaf each, mostly.
    pub fn expect_leaf_per_edit(&mut self, edits: u64) {
        self.expect_pages(edits.min(RUN), (edits / 8).min(RUN));
        (self.long.more, self.short.more) = (RUN, RUN / 8);
    }

    /// From now on, leaves are of a small tree that every commit changes; until [`Emitter::finish`].
    pub fn leaves_are_fleeting(&mut self) {
        self.brief = true;
    }

    /// Whether any page waits to be written.
    #[cfg(test)]
    pub fn is_busy(&self) -> bool {
        !self.long.queue.is_empty() || !self.short.queue.is_empty()
    }

    /// Whether this page waits to be written.
    pub fn is_queued(&self, page: PageRef) -> bool {
        self.long.holds(page.number()) || self.short.holds(page.number())
    }

    /// Places the private page `page` of `entries` entries; its children were placed before.
    pub fn emit<P: PageSink>(
        &mut self,
        page: PrivatePage,
        entries: u64,
        arena: &mut Arena,
        sink: &mut P,
    ) -> Result<Ptr> {
        let taken = arena.remove(page).ok_or_else(no_page)?;
        let memory = if taken.1 {
            taken.0
        } else {
            let mut copy = arena.memory();
            copy.copy_from_slice(&taken.0);
            arena.recycle(taken);
            copy
        };
        let (lane, lifetime) = match self.known && (self.brief || header::level(&memory) > 1) {
            true => (&mut self.short, Life::Short),
            false => (&mut self.long, Life::Long),
        };
        if lane.run.pages == 0 {
            lane.flush(arena, sink)?;
            let want = match lane.expected {
                0 if self.known => lane.more,
                0 => RUN,
                expected => expected,
            };
            lane.run = sink.take(want, lifetime)?;
        }
        if lane.queue.is_empty() {
            lane.first = lane.run.first;
        }
        let ptr = Ptr {
            page: lane.run.first.into(),
            birth: sink.birth(),
            entries,
            checksum: crc32c(&memory),
        };
        lane.run = Run::new(lane.run.first + 1, lane.run.pages - 1);
        lane.expected = lane.expected.saturating_sub(1);
        lane.queue.push(memory);
        lane.sums.push(ptr.checksum);
        if lane.queue.len() >= BATCH && lane.run.first.offset(arena.page_size()) % BOUND == 0 {
            lane.flush(arena, sink)?;
        }
        Ok(ptr)
    }

    /// Places every private page below the private branch `page`; of an `open` one not its last child, which is about to
    /// change again.
    pub fn emit_children<P: PageSink>(
        &mut self,
        page: PrivatePage,
        level: u8,
        open: bool,
        arena: &mut Arena,
        sink: &mut P,
    ) -> Result<()> {
        let mut next = 0;
        while let Some((i, child, entries)) = private_from(arena, page, next, open)? {
            next = i + 1;
            if level > 2 {
                self.emit_children(child, level - 1, false, arena, sink)?;
            }
            let placed = self.emit(child, entries, arena, sink)?;
            if let Some(parent) = arena.get_mut(page) {
                replace_ptr(parent, i, &placed);
            }
        }
        Ok(())
    }

    /// Writes what is queued.
    pub fn flush<P: PageSink>(&mut self, arena: &mut Arena, sink: &mut P) -> Result<()> {
        self.long.flush(arena, sink)?;
        self.short.flush(arena, sink)
    }

    /// Writes what is queued and gives back what is left of the runs.
    pub fn finish<P: PageSink>(&mut self, arena: &mut Arena, sink: &mut P) -> Result<()> {
        self.long.finish(arena, sink)?;
        self.short.finish(arena, sink)?;
        (self.known, self.brief) = (false, false);
        Ok(())
    }
}

impl Lane {
    fn holds(&self, page: PageNo) -> bool {
        page.checked_sub(self.first)
            .is_some_and(|at| at < self.queue.len() as u64)
    }

    fn flush<P: PageSink>(&mut self, arena: &mut Arena, sink: &mut P) -> Result<()> {
        if self.queue.is_empty() {
            return Ok(());
        }
        let parts: Vec<&[u8]> = self.queue.iter().map(|p| &p[..]).collect();
        sink.write_pages(self.first, &parts, &self.sums)?;
        self.queue.drain(..).for_each(|memory| arena.recycle((memory, true)));
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

/// The first private child at or behind `from`, and the entries below it; none if it is the last of an `open` branch.
fn private_from(
    arena: &Arena,
    page: PrivatePage,
    from: usize,
    open: bool,
) -> Result<Option<(usize, PrivatePage, u64)>> {
    let bytes = arena.get(page).ok_or_else(no_page)?;
    let branch = Branch::new(bytes).map_err(|d| d.at(None))?;
    let mut children = from..branch.len().saturating_sub(open as usize);
    Ok(children.find_map(|i| Some((i, branch.child(i).as_private()?, branch.entries(i)))))
}

#[cold]
fn no_page() -> Error {
    Error::corrupt(None, "private page number without a page")
}
