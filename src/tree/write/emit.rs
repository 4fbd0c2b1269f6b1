//! Finished private pages get their place: numbered children first, summed, written in long runs.
//!
//! Post-order numbering puts the children of a branch next to each other in key order, their parent behind them. Where it
//! is known what will come, branches get a run of their own: the next commit replaces them together, and leaves one hole
//! of the size that it needs, while leaves live longer, each for itself. Pages are queued and written many at a time; a
//! queued page cannot be read back until [`Emitter::flush`].

use super::arena::{Arena, PageBox};
use crate::error::Result;
use crate::page::branch::{replace_ptr, Branch};
use crate::page::{header, Life, PageSink, Ptr, PRIVATE};
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
    /// Next free page of the run, and pages left in it.
    next: u64,
    left: u64,
    /// Pages that are known to come, and what to ask for if more do.
    expected: u64,
    more: u64,
    /// First page of the queue, its pages and their checksums.
    first: u64,
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
    pub fn expect(&mut self, leaves: u64, branches: u64) {
        (self.long.expected, self.short.expected) = (leaves, branches);
        (self.long.more, self.short.more) = (1, 1);
        self.known |= self.long.left == 0;
    }

    /// Tells that about `pages` will come, and that they are better in one run.
    pub fn expect_together(&mut self, pages: u64) {
        self.long.expected = pages;
    }

    /// Tells that so many edits come to a tree that is much larger: at most a leaf each, mostly.
    pub fn expect_scattered(&mut self, edits: u64) {
        self.expect(edits.min(RUN), (edits / 8).min(RUN));
        (self.long.more, self.short.more) = (RUN, RUN / 8);
    }

    /// From now on, leaves are of a small tree that every commit changes; until [`Emitter::finish`].
    pub fn all_brief(&mut self) {
        self.brief = true;
    }

    /// Whether any page waits to be written.
    #[cfg(test)]
    pub fn is_busy(&self) -> bool {
        !self.long.queue.is_empty() || !self.short.queue.is_empty()
    }

    /// Whether this page waits to be written.
    pub fn is_pending(&self, page: u64) -> bool {
        self.long.holds(page) || self.short.holds(page)
    }

    /// Places the private page `page` of `entries` entries; its children were placed before.
    pub fn emit<P: PageSink>(&mut self, page: u64, entries: u64, arena: &mut Arena, place: &mut P) -> Result<Ptr> {
        let Some(taken) = arena.remove(page) else {
            return Err(crate::Error::corrupt(page, "private page number without a page"));
        };
        let memory = if taken.1 {
            taken.0
        } else {
            let mut copy = arena.memory();
            copy.copy_from_slice(&taken.0);
            arena.recycle(taken);
            copy
        };
        let (lane, life) = match self.known && (self.brief || header::level(&memory) > 1) {
            true => (&mut self.short, Life::Short),
            false => (&mut self.long, Life::Long),
        };
        if lane.left == 0 {
            lane.flush(arena, place)?;
            let want = match lane.expected {
                0 if self.known => lane.more,
                0 => RUN,
                expected => expected,
            };
            (lane.next, lane.left) = place.take(want, life)?;
        }
        if lane.queue.is_empty() {
            lane.first = lane.next;
        }
        let ptr = Ptr {
            page: lane.next,
            birth: place.birth(),
            entries,
            checksum: crc32c(&memory),
        };
        lane.next += 1;
        lane.left -= 1;
        lane.expected = lane.expected.saturating_sub(1);
        lane.queue.push(memory);
        lane.sums.push(ptr.checksum);
        if lane.queue.len() >= BATCH && lane.next * arena.page_size() as u64 % BOUND == 0 {
            lane.flush(arena, place)?;
        }
        Ok(ptr)
    }

    /// Places every private page below the private branch `page`; of an `open` one not its last child, which is about to
    /// change again.
    pub fn emit_children<P: PageSink>(
        &mut self,
        page: u64,
        level: u8,
        open: bool,
        arena: &mut Arena,
        place: &mut P,
    ) -> Result<()> {
        let mut next = 0;
        while let Some((i, child)) = private_from(arena, page, next, open)? {
            next = i + 1;
            if level > 2 {
                self.emit_children(child.page, level - 1, false, arena, place)?;
            }
            let placed = self.emit(child.page, child.entries, arena, place)?;
            if let Some(parent) = arena.get_mut(page) {
                replace_ptr(parent, i, &placed);
            }
        }
        Ok(())
    }

    /// Writes what is queued.
    pub fn flush<P: PageSink>(&mut self, arena: &mut Arena, place: &mut P) -> Result<()> {
        self.long.flush(arena, place)?;
        self.short.flush(arena, place)
    }

    /// Writes what is queued and gives back what is left of the runs.
    pub fn finish<P: PageSink>(&mut self, arena: &mut Arena, place: &mut P) -> Result<()> {
        self.long.finish(arena, place)?;
        self.short.finish(arena, place)?;
        (self.known, self.brief) = (false, false);
        Ok(())
    }
}

impl Lane {
    fn holds(&self, page: u64) -> bool {
        page.wrapping_sub(self.first) < self.queue.len() as u64
    }

    fn flush<P: PageSink>(&mut self, arena: &mut Arena, place: &mut P) -> Result<()> {
        if self.queue.is_empty() {
            return Ok(());
        }
        let parts: Vec<&[u8]> = self.queue.iter().map(|p| &p[..]).collect();
        place.write_pages(self.first, &parts, &self.sums)?;
        self.queue.drain(..).for_each(|memory| arena.recycle((memory, true)));
        self.sums.clear();
        Ok(())
    }

    fn finish<P: PageSink>(&mut self, arena: &mut Arena, place: &mut P) -> Result<()> {
        self.flush(arena, place)?;
        if self.left > 0 {
            place.release(self.next, self.left, place.birth());
            self.left = 0;
        }
        self.expected = 0;
        Ok(())
    }
}

/// The first private child at or behind `from`, unless it is the last of an `open` branch.
fn private_from(arena: &Arena, page: u64, from: usize, open: bool) -> Result<Option<(usize, Ptr)>> {
    let bytes = arena
        .get(page)
        .ok_or_else(|| crate::Error::corrupt(page, "private page number without a page"))?;
    let branch = Branch::new(bytes).map_err(|d| d.at(page))?;
    let mut children = from..branch.len().saturating_sub(open as usize);
    let found = children.find(|i| branch.child(*i) & PRIVATE != 0);
    Ok(found.map(|i| (i, branch.ptr(i))))
}
