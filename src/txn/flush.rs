//! The write transaction's machinery: the trees it changes, their write sets, flushing, and the order of a commit.
//!
//! Puts and deletes collect in write sets. A set is applied to its tree ("flushed")
//! - when something needs the tree itself: a cursor, a count, a range delete. Bytes that were lent to the caller since
//!   the last write stay where they are: the log's memory is kept, the arena frozen;
//! - when the sets outgrow their budget: finished pages are then placed at once, so that a transaction may be larger
//!   than memory;
//! - at commit: the last flush places its pages while they are in the cache.
//!
//! A commit places the tables' trees, then the catalogue (which names their roots), then the space tree if it is time
//! to fold the commit records into it, and hands the roots to the pager.

use super::pages::Pages;
use super::write_set::WriteSet;
use crate::error::{Error, Result};
use crate::ids::{CommitId, PageNo, Run, TableId};
use crate::page::hint::leaf::LeafHints;
use crate::page::leaf::Stored;
use crate::page::{Extent, Root};
use crate::pager::{Dead, Durability, PageWriter, Pager, Roots, View, ZONE_PAGES};
use crate::tree::write::apply::Apply;
use crate::tree::write::arena::Arena;
use crate::tree::write::edits::{EditLog, Op};
use crate::tree::write::emit::Emitter;
use crate::tree::write::values::release_value;
use std::marker::PhantomData;
use std::sync::Arc;

/// Private pages beyond this many bytes are placed at the next flush although the transaction goes on,
const PRIVATE_MAX: usize = 64 << 20;
/// and beyond so many times what may be collected of edits, for those who have little memory.
const PRIVATE_TIMES: usize = 16;
/// Bytes of edits in ascending order that are applied at once: few enough that they stay in the caches, enough that the
/// end of what is written, which is no full piece, is a small part (half as many cost 3 %, four times as many 10 %).
const ORDERED: usize = 1 << 20;
/// Up to this many edits the last flush is done in memory first, so that the commit knows its pages and asks for runs of
/// their number; larger ones are placed while they are built.
const SMALL: usize = 4096;
/// The same where edits are few for the size of the tree: then most leaves change once, and placing each soon after, while
/// it is in the caches, is worth more than knowing their number.
const FEW: usize = 128;
/// Lazy commits of up to this many pages get one run for leaves and branches: many of them are synced at once, and recovery
/// looks at every run.
const TOGETHER: u64 = 32;

/// One tree within the transaction.
#[derive(Default)]
pub struct TreeState {
    /// Number of its table, for page headers and errors.
    pub table: TableId,
    /// Root with everything flushed so far.
    pub root: Root,
    /// Edits not flushed yet.
    pub edits: WriteSet,
    /// Bytes of the log when last counted into the budget.
    counted: usize,
}

impl TreeState {
    /// The tree of `table` as the snapshot has it.
    pub fn new(table: TableId, root: Root) -> TreeState {
        TreeState {
            table,
            root,
            ..TreeState::default()
        }
    }
}

/// The writer's seat and all that changes trees through it.
pub struct Writer {
    pager: Arc<Pager>,
    writing: PageWriter,
    arena: Arena,
    emitter: Emitter,
    leaf_hints: LeafHints,
    /// Bytes of edits to collect before they are applied.
    budget: usize,
    /// Bytes collected.
    pending: usize,
    /// Bytes of private pages or logs were given to the caller since the last write.
    lent: bool,
    kept: Vec<Vec<Vec<u8>>>,
    /// Grows whenever a tree changes.
    version: u64,
    /// Something was written: the commit is not empty.
    changed: bool,
}

impl Writer {
    /// Starts on the writer's seat; beside it, an empty set for the edits of the default table.
    pub fn new(writing: PageWriter, budget: usize) -> (Writer, WriteSet) {
        let pager = writing.pager().clone();
        let Spare { arena, emitter, edits } = Spare::take(pager.page_size());
        let writer = Writer {
            arena,
            pager,
            writing,
            emitter,
            leaf_hints: LeafHints::default(),
            budget,
            pending: 0,
            lent: false,
            kept: Vec::new(),
            version: 1,
            changed: false,
        };
        (writer, edits)
    }

    /// The commit this builds on.
    pub fn tip(&self) -> crate::pager::Descriptor {
        self.writing.tip()
    }

    /// Bytes of a page.
    pub fn page_size(&self) -> usize {
        self.pager.page_size()
    }

    /// Number of the present state of the trees.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Whether anything was written.
    pub fn is_changed(&self) -> bool {
        self.changed
    }

    /// (bytes of edits, private pages).
    pub fn stat(&self) -> (u64, u64) {
        (self.pending as u64, self.arena.len() as u64)
    }

    /// Where long values are written.
    pub fn place(&mut self) -> &mut PageWriter {
        self.changed = true;
        &mut self.writing
    }

    /// All pages as this transaction sees them.
    pub fn pages(&self) -> Pages<'_> {
        Pages {
            view: self.pager.view(u64::MAX),
            arena: Some(&self.arena),
            leaf_hints: &self.leaf_hints,
        }
    }

    /// Tells that bytes of this transaction were given to the caller, who may use them until the next write.
    pub fn lend(&mut self) {
        self.lent = true;
    }

    /// Records an edit; what it was given is copied before anything lent is given up. `behind`: the key is known to be
    /// greater than every other of the tree.
    #[inline(always)]
    pub fn push(&mut self, tree: &mut TreeState, key: &[u8], op: Op<'_>, behind: bool) -> Result<()> {
        match behind {
            true => tree.edits.push_behind(key, op),
            false => tree.edits.push(key, op),
        }?;
        self.changed = true;
        self.wrote();
        Ok(())
    }

    /// Nothing lent before is needed any more.
    #[inline(always)]
    fn wrote(&mut self) {
        if self.lent {
            self.take_back();
        }
    }

    #[cold]
    fn take_back(&mut self) {
        self.lent = false;
        self.kept.clear();
        self.arena.thaw();
    }

    /// Flushes the tree if the budget is used up.
    #[inline(always)]
    pub fn keep_budget(&mut self, tree: &mut TreeState) -> Result<()> {
        let bytes = tree.edits.log().bytes();
        self.pending = (self.pending + bytes).saturating_sub(tree.counted);
        tree.counted = bytes;
        // What arrives in order can be applied at any time without doing anything twice, and a small log stays in the
        // cache.
        let ordered = bytes > ORDERED && tree.edits.log().is_ascending();
        if self.pending <= self.budget && !ordered {
            return Ok(());
        }
        self.shrink(tree, bytes, ordered)
    }

    #[cold]
    fn shrink(&mut self, tree: &mut TreeState, bytes: usize, ordered: bool) -> Result<()> {
        if ordered {
            return self.flush_mode(tree, true);
        }
        let fused = self.is_large(tree, bytes);
        self.flush_mode(tree, fused)
    }

    /// Applies the tree's edits because something reads the tree itself.
    pub fn flush(&mut self, tree: &mut TreeState) -> Result<()> {
        if tree.edits.is_empty() {
            return Ok(());
        }
        if self.lent {
            // Placing pages would reuse those that this transaction placed before and gives back now: lent bytes, maybe.
            self.arena.freeze();
        }
        let fused = !self.lent && self.is_large(tree, tree.edits.log().bytes());
        self.flush_mode(tree, fused)
    }

    /// Whether applying the tree's edits, `bytes` in all, may take more memory for private pages than they are to have: each
    /// edit changes a leaf at most, and all of them no more than there are.
    fn is_large(&self, tree: &TreeState, bytes: usize) -> bool {
        let edits = tree.edits.log().len().max(1);
        let leaves = (tree.root.ptr.entries as usize).saturating_mul(bytes / edits);
        let touched = leaves.min(edits * self.page_size());
        let most = PRIVATE_MAX.min(self.budget.saturating_mul(PRIVATE_TIMES));
        self.arena.len() * self.page_size() + bytes + touched > most
    }

    fn flush_mode(&mut self, tree: &mut TreeState, fused: bool) -> Result<()> {
        if tree.edits.is_empty() {
            return Ok(());
        }
        if fused {
            self.load_zones()?;
        }
        self.version += 1;
        let mut replaced: Vec<Vec<u8>> = Vec::new();
        let sorted = tree.edits.log().sorted(|op| {
            if let Op::Put(Stored::Chain(description)) = op {
                replaced.push(description.to_vec());
            }
        })?;
        let size = self.pager.page_size();
        for description in &replaced {
            release_value(&Stored::Chain(description), None, size, &mut self.writing)?;
        }
        let view = self.pager.view(u64::MAX);
        let mut apply = Self::apply(
            view,
            &mut self.arena,
            &mut self.writing,
            &mut self.emitter,
            tree.table,
            fused,
        );
        tree.root = apply.apply(tree.root, &sorted).map_err(|e| e.in_table(tree.table))?;
        drop(sorted);
        self.pending = self.pending.saturating_sub(tree.counted);
        tree.counted = 0;
        if self.lent {
            let memory = tree.edits.take_memory();
            self.kept.push(memory);
        } else {
            tree.edits.clear();
        }
        Ok(())
    }

    fn apply<'a, 't>(
        view: View<'a>,
        arena: &'t mut Arena,
        writing: &'t mut PageWriter,
        emitter: &'t mut Emitter,
        table: TableId,
        fused: bool,
    ) -> Apply<'a, 't, View<'a>, PageWriter> {
        let drop_budget = writing.tip().pages + arena.len() as u64 + (1 << 32);
        Apply {
            source: view,
            arena,
            sink: writing,
            emitter,
            fused,
            table,
            has_long: false,
            drop_budget,
            life: PhantomData,
        }
    }

    /// Removes the keys `from <= key < to` (`None`: no bound); how many there were.
    pub fn remove_range(&mut self, tree: &mut TreeState, from: Option<&[u8]>, to: Option<&[u8]>) -> Result<u64> {
        self.flush(tree)?;
        let before = tree.root.ptr.entries;
        let view = self.pager.view(u64::MAX);
        let mut apply = Self::apply(
            view,
            &mut self.arena,
            &mut self.writing,
            &mut self.emitter,
            tree.table,
            false,
        );
        tree.root = apply
            .remove_range(tree.root, from, to)
            .map_err(|e| e.in_table(tree.table))?;
        self.version += 1;
        self.changed |= tree.root.ptr.entries != before;
        self.wrote();
        Ok(before.saturating_sub(tree.root.ptr.entries))
    }

    /// Forgets the tree's edits unapplied, giving back the long values they would have brought in.
    pub fn forget_edits(&mut self, tree: &mut TreeState) -> Result<()> {
        let size = self.pager.page_size();
        let log: &EditLog = tree.edits.log();
        for at in log.entries() {
            if let Op::Put(value) = log.op(*at) {
                release_value(&value, None, size, &mut self.writing)?;
            }
        }
        self.pending = self.pending.saturating_sub(tree.counted);
        tree.counted = 0;
        let memory = tree.edits.take_memory();
        if self.lent {
            self.kept.push(memory);
        }
        self.version += 1;
        Ok(())
    }

    /// The last flush of a tree; small ones stay private until `place_tree`.
    pub fn flush_last(&mut self, tree: &mut TreeState) -> Result<()> {
        self.lent = false;
        self.arena.thaw();
        let edits = tree.edits.log().len();
        let scattered = edits as u64 * 4 < tree.root.ptr.entries;
        let fused = edits > if scattered { FEW } else { SMALL };
        if fused && scattered {
            self.emitter.expect_leaf_per_edit(edits as u64);
        }
        self.flush_mode(tree, fused)
    }

    /// Gets ready to place trees that are all flushed: finds free pages and expects `more` beside the private ones, for a
    /// commit of this durability.
    pub fn begin_placing(&mut self, more: u64, durability: Durability) -> Result<()> {
        let synced = durability == Durability::Full;
        self.writing.set_synced_alone(synced);
        self.load_zones()?;
        let (pages, leaves) = (self.arena.len() as u64 + more, self.arena.leaves());
        if !synced && pages <= TOGETHER {
            self.emitter.expect_one_run(pages);
        } else {
            self.emitter.expect_pages(leaves, pages - leaves);
        }
        Ok(())
    }

    /// Gives every private page of the tree its place.
    pub fn place_tree(&mut self, tree: &mut TreeState) -> Result<()> {
        let view = self.pager.view(u64::MAX);
        let mut apply = Self::apply(
            view,
            &mut self.arena,
            &mut self.writing,
            &mut self.emitter,
            tree.table,
            true,
        );
        tree.root = apply.place_root(tree.root).map_err(|e| e.in_table(tree.table))?;
        Ok(())
    }

    /// Commits: `main` and `catalogue` are placed; the space tree is changed and placed if records are to be folded.
    /// `wait`: until the commit is what `durability` says.
    pub fn commit(mut self, main: TreeState, catalogue: Root, durability: Durability, wait: bool) -> Result<CommitId> {
        let mut space = TreeState::new(TableId::SPACE, self.writing.tip().roots.space);
        if main.edits.is_empty() {
            // Nothing but memory.
            space.edits = main.edits;
        }
        if let Some(changes) = self.writing.fold() {
            for (page, dead) in changes {
                let key = page.get().to_be_bytes();
                match dead {
                    Some(d) => space.edits.push(&key, Op::Put(Stored::Inline(&encode_dead(&d)))),
                    None => space.edits.push(&key, Op::Delete),
                }?;
            }
            self.flush_mode(&mut space, false)?;
            self.emitter.expect_pages(0, self.arena.len() as u64);
            self.emitter.leaves_are_fleeting();
            self.place_tree(&mut space)?;
        }
        self.emitter.finish(&mut self.arena, &mut self.writing)?;
        debug_assert!(self.arena.is_empty(), "private pages out of reach at commit");
        Spare {
            arena: self.arena,
            emitter: self.emitter,
            edits: space.edits,
        }
        .keep();
        let roots = Roots {
            main: main.root,
            catalogue,
            space: space.root,
        };
        match wait {
            true => self.writing.commit(roots, durability),
            false => self.writing.commit_async(roots, durability),
        }
    }

    /// Reads the dead extents of zones that the pager would like to know.
    fn load_zones(&mut self) -> Result<()> {
        for zone in self.writing.zones_wanted() {
            let root = self.writing.tip().roots.space;
            let dead = read_zone(self.pager.view(u64::MAX), &root, zone)?;
            self.writing.zone_loaded(zone, dead);
        }
        Ok(())
    }
}

/// Memory of ended transactions: the first touch of fresh memory costs more than all else a small commit does.
static SPARE: parking_lot::Mutex<Vec<Spare>> = parking_lot::Mutex::new(Vec::new());
/// Transactions whose memory is kept.
const SPARE_MAX: usize = 2;

/// What a transaction leaves to another, all of it empty.
struct Spare {
    arena: Arena,
    emitter: Emitter,
    edits: WriteSet,
}

impl Spare {
    // Neither waits for the lock: in the child of a fork it may be held for ever, by a thread that is not there.
    fn take(page_size: usize) -> Spare {
        let kept = SPARE.try_lock().and_then(|mut kept| {
            let at = kept.iter().position(|s| s.arena.page_size() == page_size)?;
            Some(kept.swap_remove(at))
        });
        kept.unwrap_or_else(|| Spare {
            arena: Arena::new(page_size),
            emitter: Emitter::new(),
            edits: WriteSet::default(),
        })
    }

    fn keep(mut self) {
        self.edits.shrink();
        let Some(mut kept) = SPARE.try_lock() else { return };
        if kept.len() < SPARE_MAX && self.arena.is_empty() && self.edits.is_empty() {
            kept.push(self);
        }
    }
}

/// Value of an entry of the space tree.
pub fn encode_dead(d: &Dead) -> [u8; 16] {
    let mut b = [0; 16];
    crate::util::bytes::put_u32(&mut b, 0, d.extent.run.pages as u32);
    crate::util::bytes::put_u48(&mut b, 4, d.extent.birth.get());
    crate::util::bytes::put_u48(&mut b, 10, d.death.get());
    b
}

/// An entry of the space tree.
pub fn decode_dead(key: &[u8], value: &[u8]) -> Result<Dead> {
    let (Ok(key), 16) = (<[u8; 8]>::try_from(key), value.len()) else {
        return Err(Error::corrupt(None, "entry of the space tree has a wrong size"));
    };
    let first = PageNo::new(u64::from_be_bytes(key));
    Ok(Dead {
        extent: Extent {
            run: Run::new(first, crate::util::bytes::get_u32(value, 0) as u64),
            birth: CommitId::new(crate::util::bytes::get_u48(value, 4)),
        },
        death: CommitId::new(crate::util::bytes::get_u48(value, 10)),
    })
}

/// The dead extents of one zone as the space tree lists them.
fn read_zone(view: View<'_>, root: &Root, zone: u64) -> Result<Vec<Dead>> {
    let mut dead = Vec::new();
    let zone_pages = Run::new(PageNo::new(zone * ZONE_PAGES), ZONE_PAGES);
    crate::tree::read::scan::scan(&view, root, &zone_pages.first.get().to_be_bytes(), |key, value| {
        let d = decode_dead(key, value.bytes())?;
        let inside = d.extent.run.first < zone_pages.end();
        if inside {
            dead.push(d);
        }
        Ok(inside)
    })?;
    Ok(dead)
}
