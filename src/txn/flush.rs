//! Flushing applies what a draft has collected to its trees, in private pages.
//!
//! A write set is flushed in three cases:
//! - Something reads the tree itself: a cursor, a count, a range delete. Bytes that were returned to the caller since
//!   the last write then stay where they are: the log's memory is kept, and the arena is frozen.
//! - The write sets have outgrown their budget. If flushing may leave more private pages than memory is meant for,
//!   finished pages are placed at once, so that a transaction may be larger than memory.
//! - The draft is committed. A large last flush places its pages while they are in the cache.
//!
//! Whether pages can be placed depends on the [`DraftPages`] that a flush is given: a draft without the write lock has
//! nowhere to place them.

use super::draft_pages::DraftPages;
use super::spare::Spare;
use super::table::DraftTree;
use super::write_set::WriteSet;
use crate::error::{Error, Result};
use crate::page::leaf::Stored;
use crate::page::PageSink;
use crate::pager::{Descriptor, Durability, PageWriter, Pager, View};
use crate::tree::write::apply::Apply;
use crate::tree::write::arena::Arena;
use crate::tree::write::edits::Op;
use crate::tree::write::emit::Emitter;
use crate::tree::write::in_place;
use crate::tree::write::range::KeyRange;
use crate::tree::write::relocation::Relocation;
use crate::tree::write::spot::{Edited, KeyEdit, Spot, Valid};
use crate::tree::write::values::release_value;
use crate::util::bytes::to_usize;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::Arc;

/// If a flush may leave more bytes of private pages than this, it places finished pages although the transaction goes
/// on.
const PRIVATE_MAX: usize = 64 << 20;
/// A flush also places finished pages if it may leave more bytes of private pages than this many times the budget of
/// edits, for machines with little memory.
const PRIVATE_TIMES: usize = 16;
/// The number of bytes of edits in ascending order that are applied at once. They are few enough to stay in the caches,
/// and enough that the end of what is written, which does not fill its last piece, is a small part of it. (Half as many
/// bytes cost 3 %, four times as many 10 %.)
const ORDERED: usize = 1 << 20;
/// If there are no more edits than this, the last flush is done in memory first, so that the commit knows how many
/// pages it has and asks for runs of that length. The pages of a larger flush are placed while they are built.
const SMALL: usize = 4096;
/// The limit that replaces [`SMALL`] if the edits are few for the size of the tree. Most leaves are then changed once,
/// and placing each soon after its change, while it is in the caches, is worth more than knowing the number of pages.
const FEW: usize = 128;
/// A lazy commit of up to this many pages gets one run for leaves and branches together: many such commits are synced
/// at once, and recovery looks at every run.
const TOGETHER: u64 = 32;
/// Up to this part of the private pages that memory is meant for, the edits of transactions that look before they write
/// are made at once. Beyond it, scattered edits are better sorted: each then changes its leaf together with others.
const AT_ONCE_PART: usize = 2;
/// The number of pages that a range delete may drop unread beyond those of the database. It bounds the work on damaged
/// trees that share pages.
const DROPPED_SLACK: u64 = 1 << 32;

/// An edit on its way into a write set.
#[derive(Clone, Copy)]
pub struct Edit<'e> {
    /// Its key.
    pub key: &'e [u8],
    /// What the edit does to the key.
    pub op: Op<'e>,
    /// Whether the key is known to be greater than every other of the table.
    pub is_greatest: bool,
}

impl<'e> Edit<'e> {
    /// Returns what the tree is told of it.
    pub(super) fn of_key(self) -> KeyEdit<'e> {
        KeyEdit {
            key: self.key,
            op: self.op,
        }
    }
}

/// What tells apart the states of the trees of all drafts of this process. A cursor keeps it with its position, in
/// which an edit trusts, so no draft has a number that another had before: cursors may outlive their transactions. Nor
/// is any of them the id of a commit, which tells apart what read transactions see.
#[derive(Clone, Copy)]
struct Version(u64);

impl Version {
    /// Numbers come in blocks of this many, so that hardly any takes an atomic step.
    const BLOCK: u64 = 1 << 16;

    /// Returns the first number of a block that nobody has.
    fn first() -> Version {
        static NEXT: AtomicU64 = AtomicU64::new(1 << 63);
        Version(NEXT.fetch_add(Version::BLOCK, Relaxed))
    }

    /// Goes on to another number.
    #[inline(always)]
    fn rise(&mut self) {
        self.0 += 1;
        if self.0 % Version::BLOCK == 0 {
            *self = Version::first();
        }
    }
}

/// What a draft builds its trees with: the arena of private pages, and the budget of edits that wait to be flushed.
pub(super) struct TreeBuilder {
    pager: Arc<Pager>,
    base: Descriptor,
    pub(super) arena: Arena,
    pub(super) emitter: Emitter,
    /// The number of bytes of edits that are collected before they are flushed.
    budget: usize,
    /// The number of bytes collected in all write sets.
    collected: usize,
    /// Whether bytes of private pages or logs were returned to the caller since the last write. They are pinned until
    /// the next one.
    pinned: bool,
    /// Whether the transaction has looked since its last write, although it pinned nothing.
    looked: bool,
    /// Whether what is pinned stays pinned although the transaction writes.
    pub(super) held: bool,
    /// The memory of logs that were flushed while bytes were pinned.
    pinned_logs: Vec<Vec<Vec<u8>>>,
    /// A number that changes whenever a tree may have changed.
    version: Version,
    /// A number that changes whenever a page of a tree may have moved.
    paths: Version,
    /// Whether something was written, so that the commit is not empty.
    changed: bool,
}

impl TreeBuilder {
    /// Creates a builder on the commit `base` that has built nothing yet. Returns with it an empty write set for the
    /// edits of the main table.
    pub(super) fn new(pager: Arc<Pager>, base: Descriptor, budget: usize) -> (TreeBuilder, WriteSet) {
        let Spare { arena, emitter, edits } = Spare::take(pager.page_size());
        let builder = TreeBuilder {
            pager,
            base,
            arena,
            emitter,
            budget,
            collected: 0,
            pinned: false,
            looked: false,
            held: false,
            pinned_logs: Vec::new(),
            version: Version::first(),
            paths: Version::first(),
            changed: false,
        };
        (builder, edits)
    }

    pub(super) fn base(&self) -> &Descriptor {
        &self.base
    }

    pub(super) fn page_size(&self) -> usize {
        self.pager.page_size()
    }

    /// Returns a view of the pages in the file, including those that were placed by now.
    pub(super) fn view(&self) -> View<'_> {
        self.pager.view_all()
    }

    pub(super) fn version(&self) -> u64 {
        self.version.0
    }

    /// Returns the number that changes whenever a page of a tree may have moved.
    pub(super) fn paths(&self) -> u64 {
        self.paths.0
    }

    /// Takes note that a tree has changed, but for what was kept.
    #[inline(always)]
    fn note_change(&mut self, kept: Valid) {
        if kept < Valid::Positions {
            self.version.rise();
        }
        if kept < Valid::Paths {
            self.paths.rise();
        }
    }

    pub(super) fn is_changed(&self) -> bool {
        self.changed
    }

    pub(super) fn mark_changed(&mut self) {
        self.changed = true;
    }

    pub(super) fn collected(&self) -> usize {
        self.collected
    }

    /// Notes that bytes of private pages or logs are returned to the caller, who may use them until the next write.
    pub(super) fn pin(&mut self) {
        self.pinned = true;
    }

    /// Notes that the transaction has looked, and got a copy of what it found.
    pub(super) fn note_look(&mut self) {
        self.looked = true;
    }

    /// Returns whether the transaction has looked since its last write. Transactions that only write never do.
    #[inline(always)]
    pub(super) fn has_looked(&self) -> bool {
        self.looked || self.pinned
    }

    /// Returns whether anything is pinned.
    #[inline(always)]
    pub(super) fn is_pinned(&self) -> bool {
        self.pinned
    }

    /// Releases what was pinned, unless it is held.
    #[inline(always)]
    pub(super) fn unpin(&mut self) {
        if self.pinned && !self.held {
            self.unpin_all();
        }
    }

    #[cold]
    fn unpin_all(&mut self) {
        self.pinned = false;
        self.pinned_logs.clear();
        self.arena.thaw();
    }

    /// Records an edit. Its bytes may be pinned themselves, so they are copied before anything is unpinned.
    #[inline(always)]
    pub(super) fn record(&mut self, tree: &mut DraftTree, edit: Edit<'_>) -> Result<()> {
        match edit.is_greatest {
            true => tree.edits.push_behind(edit.key, edit.op),
            // Later edits of a batch may come from the bytes that this one replaces.
            false if self.held && self.pinned => tree.edits.push_beside(edit.key, edit.op),
            false => tree.edits.push(edit.key, edit.op),
        }?;
        self.changed = true;
        self.looked = false;
        self.unpin();
        Ok(())
    }

    /// Flushes the tree if the budget is used up.
    #[inline(always)]
    pub(super) fn keep_budget<P: DraftPages>(&mut self, tree: &mut DraftTree, pages: &mut P) -> Result<()> {
        let bytes = tree.edits.log().bytes();
        debug_assert!(
            self.collected >= tree.counted,
            "what is collected in all sets includes what was counted of this one"
        );
        self.collected = (self.collected + bytes).saturating_sub(tree.counted);
        tree.counted = bytes;
        // Edits that arrive in order can be applied at any time without doing any work twice, and a small log stays in
        // the cache.
        let ordered = bytes > ORDERED && tree.edits.log().is_ascending();
        if self.collected <= self.budget && !ordered {
            return Ok(());
        }
        self.flush_over_budget(tree, ordered, pages)
    }

    #[cold]
    fn flush_over_budget<P: DraftPages>(&mut self, tree: &mut DraftTree, ordered: bool, pages: &mut P) -> Result<()> {
        if self.pinned {
            // Only a batch gets here with pinned bytes, see `Draft::hold_pinned`. Applying its edits could give back
            // pages in which they lie, so that waits for an edit behind the batch.
            return Ok(());
        }
        let placing = ordered || self.is_large(tree);
        self.apply_edits(tree, placing, pages)
    }

    /// Flushes the tree because something reads the tree itself.
    pub(super) fn flush<P: DraftPages>(&mut self, tree: &mut DraftTree, pages: &mut P) -> Result<()> {
        if tree.edits.is_empty() {
            return Ok(());
        }
        if self.pinned {
            // While bytes are pinned, no pages are placed either, which would only keep more of them.
            self.arena.freeze();
        }
        let placing = !self.pinned && self.is_large(tree);
        self.apply_edits(tree, placing, pages)
    }

    /// Flushes the tree for the last time. If it has few edits, its private pages stay private until
    /// [`TreeBuilder::place_tree`].
    pub(super) fn flush_last<P: DraftPages>(&mut self, tree: &mut DraftTree, pages: &mut P) -> Result<()> {
        // Nobody can use any more what was returned to the caller. Pinned logs are freed with the draft.
        self.pinned = false;
        self.arena.thaw();
        let edits = tree.edits.log().len();
        let scattered = edits as u64 * 4 < tree.root.ptr.entries;
        let placing = edits > if scattered { FEW } else { SMALL };
        if placing && scattered {
            // Most edits change a leaf of their own, so about as many leaves as edits are to be expected, but hardly
            // more than there are.
            let there = pages.living_pages();
            let most = there.saturating_add(there / 8 + 8);
            self.emitter.expect_leaf_per_edit((edits as u64).min(most));
        }
        self.apply_edits(tree, placing, pages)?;
        self.join_lost(tree, pages)
    }

    /// Returns whether applying the tree's edits may take more memory for private pages than they are meant to have.
    /// Each edit changes at most one leaf, and all edits together change at most the leaves that there are.
    fn is_large(&self, tree: &DraftTree) -> bool {
        let bytes = tree.edits.log().bytes();
        let edits = tree.edits.log().len().max(1);
        let leaves = to_usize(tree.root.ptr.entries).saturating_mul(bytes / edits);
        let touched = leaves.min(edits * self.page_size());
        let most = PRIVATE_MAX.min(self.budget.saturating_mul(PRIVATE_TIMES));
        self.arena.in_use() * self.page_size() + bytes + touched > most
    }

    /// Applies the tree's edits. With `placing`, finished pages are placed at once, if `pages` can place any now.
    pub(super) fn apply_edits<P: DraftPages>(
        &mut self,
        tree: &mut DraftTree,
        placing: bool,
        pages: &mut P,
    ) -> Result<()> {
        if tree.edits.is_empty() {
            return Ok(());
        }
        // `Forked` leaves a draft usable, so that every call answers it. Nothing may be half-done then.
        self.pager.check_fork()?;
        let placing = placing && pages.prepare_to_place()?;
        // Pinned bytes may lie in pages that this transaction placed before and gives back now.
        pages.keep_released(self.pinned);
        self.note_change(Valid::Nothing);
        // A long value that a later edit of its key has replaced will never be in the tree, so its pages are given
        // back.
        let mut replaced: Vec<Vec<u8>> = Vec::new();
        let mut noted = Ok(());
        let sorted = tree.edits.log().sorted(|op| {
            if let Op::Put(Stored::Chain(description)) = op {
                match Error::or_room(&mut replaced, 1, "the long values that were replaced") {
                    Ok(()) => replaced.push(description.to_vec()),
                    Err(error) => noted = Err(error),
                }
            }
        })?;
        noted?;
        for description in &replaced {
            release_value(&Stored::Chain(description), None, self.page_size(), pages)?;
        }
        let applied = self.apply(tree, placing, pages).apply(tree.root, &sorted);
        tree.root = applied.map_err(|e| e.in_table(tree.table))?;
        drop(sorted);
        self.forget_log(tree);
        Ok(())
    }

    /// Makes an edit at once. There are no other edits of its key that wait to be flushed.
    pub(super) fn edit_at<P: DraftPages>(
        &mut self,
        tree: &mut DraftTree,
        mut spot: Spot<'_>,
        edit: KeyEdit<'_>,
        pages: &mut P,
    ) -> Result<Edited> {
        if self.held && self.pinned {
            // Later edits of a batch may come from the bytes that this one would change.
            return Ok(Edited::Refused(Valid::Positions));
        }
        self.pager.check_fork()?;
        self.looked = false;
        self.unpin();
        let edited = in_place::edit(&mut self.arena, &mut tree.root, &mut spot, edit);
        if let Some(edited) = edited.map_err(|e| e.in_table(tree.table))? {
            self.changed = true;
            self.note_change(edited.still_valid());
            return Ok(edited);
        }
        pages.keep_released(false);
        let mut root = tree.root;
        let edited = self.apply(tree, false, pages).edit(&mut root, spot, edit);
        let edited = edited.map_err(|e| e.in_table(tree.table))?;
        tree.root = root;
        self.changed = true;
        self.note_change(edited.still_valid());
        Ok(edited)
    }

    /// Returns whether edits are better made at once than collected, in a transaction that looks before it writes, so
    /// that the leaf is at hand: it has changed few pages, so that they are likely to be changed again before they are
    /// placed.
    pub(super) fn edits_at_once(&self) -> bool {
        !self.held && self.arena.in_use() < self.most_pages() / AT_ONCE_PART
    }

    /// Returns whether edits at positions have left more private pages than memory is meant for, which can be placed.
    #[inline(always)]
    pub(super) fn has_many_pages(&self) -> bool {
        self.arena.in_use() > self.most_pages() && !self.pinned
    }

    /// Returns whether the trees have more private pages than this part of those that memory is meant for, as its
    /// inverse.
    pub(super) fn has_many_pages_for(&self, part: usize) -> bool {
        self.arena.in_use() > self.most_pages() / part
    }

    /// Places the private pages of a tree if there are any, because those of all trees are too many.
    #[cold]
    pub(super) fn place_many<P: DraftPages>(&mut self, tree: &mut DraftTree, pages: &mut P) -> Result<()> {
        if !tree.root.ptr.page.is_private() || !pages.prepare_to_place()? {
            return Ok(());
        }
        self.note_change(Valid::Nothing);
        let placed = self.apply(tree, true, pages).place_all(tree.root);
        tree.root = placed.map_err(|e| e.in_table(tree.table))?;
        Ok(())
    }

    /// Returns how many private pages memory is meant for.
    fn most_pages(&self) -> usize {
        PRIVATE_MAX.min(self.budget.saturating_mul(PRIVATE_TIMES)) / self.page_size()
    }

    /// Joins leaves that have lost much by edits at positions.
    pub(super) fn join_lost<P: DraftPages>(&mut self, tree: &mut DraftTree, pages: &mut P) -> Result<()> {
        if !self.arena.has_losses() {
            return Ok(());
        }
        self.note_change(Valid::Nothing);
        let joined = self.apply(tree, false, pages).join_lost(tree.root);
        tree.root = joined.map_err(|e| e.in_table(tree.table))?;
        Ok(())
    }

    /// Forgets what is about to be written, and all positions, because the trees are to be what they were before.
    pub(super) fn abandon(&mut self) {
        self.emitter.abandon(&mut self.arena);
        self.looked = false;
        self.note_change(Valid::Nothing);
    }

    /// Says whether a commit would have anything to write, when the trees are what they were before.
    pub(super) fn set_changed(&mut self, changed: bool) {
        self.changed = changed;
    }

    /// Empties the write set of a tree. If bytes are pinned, the memory of its records is kept.
    pub(super) fn forget_log(&mut self, tree: &mut DraftTree) {
        debug_assert!(
            self.collected >= tree.counted,
            "what is collected in all sets includes what was counted of this one"
        );
        self.collected = self.collected.saturating_sub(tree.counted);
        tree.counted = 0;
        if self.pinned {
            let memory = tree.edits.take_memory();
            self.pinned_logs.push(memory);
        } else {
            tree.edits.clear();
        }
    }

    fn apply<'t, P: PageSink>(
        &'t mut self,
        tree: &DraftTree,
        placing: bool,
        pages: &'t mut P,
    ) -> Apply<'t, 't, View<'t>, P> {
        Apply {
            source: self.pager.view_all(),
            drop_budget: self.base.pages + self.arena.len() as u64 + DROPPED_SLACK,
            arena: &mut self.arena,
            sink: pages,
            emitter: &mut self.emitter,
            places_pages: placing,
            table: tree.table,
            has_long: false,
            life: PhantomData,
        }
    }

    /// Removes the keys of a range, and returns how many there were.
    pub(super) fn remove_range<P: DraftPages>(
        &mut self,
        tree: &mut DraftTree,
        keys: KeyRange<'_>,
        pages: &mut P,
    ) -> Result<u64> {
        self.pager.check_fork()?;
        self.flush(tree, pages)?;
        let before = tree.root.ptr.entries;
        let removed = self.apply(tree, false, pages).remove_range(tree.root, keys);
        tree.root = removed.map_err(|e| e.in_table(tree.table))?;
        self.note_change(Valid::Nothing);
        self.changed |= tree.root.ptr.entries != before;
        self.unpin();
        Ok(before.saturating_sub(tree.root.ptr.entries))
    }

    /// Moves pages of the tree from behind a frontier to free pages before it, as [`Apply::relocate`] does.
    pub(super) fn relocate<P: DraftPages>(
        &mut self,
        tree: &mut DraftTree,
        from: &mut Vec<u8>,
        work: &mut Relocation,
        pages: &mut P,
    ) -> Result<()> {
        self.pager.check_fork()?;
        self.unpin();
        pages.keep_released(self.pinned);
        let moved = work.moved;
        let relocated = self.apply(tree, false, pages).relocate(tree.root, from, work);
        tree.root = relocated.map_err(|e| e.in_table(tree.table))?;
        if work.moved != moved {
            self.note_change(Valid::Nothing);
            self.changed = true;
        }
        Ok(())
    }

    /// Forgets the tree's edits without applying them, and gives back the pages of the long values that they would have
    /// put.
    pub(super) fn forget_edits<P: DraftPages>(&mut self, tree: &mut DraftTree, pages: &mut P) -> Result<()> {
        self.pager.check_fork()?;
        let size = self.page_size();
        let log = tree.edits.log();
        for at in log.entries() {
            if let Op::Put(value) = log.op(*at) {
                release_value(&value, None, size, pages)?;
            }
        }
        self.forget_log(tree);
        self.note_change(Valid::Nothing);
        Ok(())
    }

    /// Gets ready to place trees that are all flushed: finds free pages, and tells the emitter to expect the private
    /// pages and `more`.
    pub(super) fn expect_pages(&mut self, more: u64, durability: Durability, pages: &mut PageWriter) -> Result<()> {
        let synced = durability == Durability::Full;
        pages.set_synced_alone(synced);
        pages.prepare_to_place()?;
        let (all, leaves) = (self.arena.len() as u64 + more, self.arena.leaves());
        if !synced && all <= TOGETHER {
            self.emitter.expect_one_run(all);
        } else {
            self.emitter.expect_pages(leaves, all - leaves);
        }
        Ok(())
    }

    /// Places every private page of the tree.
    pub(super) fn place_tree<P: DraftPages>(&mut self, tree: &mut DraftTree, pages: &mut P) -> Result<()> {
        let placed = self.apply(tree, true, pages).place_root(tree.root);
        tree.root = placed.map_err(|e| e.in_table(tree.table))?;
        debug_assert!(!tree.root.ptr.page.is_private(), "a placed tree has no private page");
        Ok(())
    }

    /// Places every private page of the space tree. Every fold changes this tree, so all of these pages die together.
    pub(super) fn place_space<P: DraftPages>(&mut self, space: &mut DraftTree, pages: &mut P) -> Result<()> {
        self.emitter.expect_pages(0, self.arena.len() as u64);
        self.emitter.leaves_are_fleeting();
        self.place_tree(space, pages)
    }

    /// Writes the pages that the emitter has queued, and gives back what is left of its runs.
    pub(super) fn end_runs<P: DraftPages>(&mut self, pages: &mut P) -> Result<()> {
        self.emitter.finish(&mut self.arena, pages)
    }

    /// Writes the pages that the emitter has queued, and leaves its memory and that of `edits` to the next transaction.
    pub(super) fn finish<P: DraftPages>(mut self, edits: WriteSet, pages: &mut P) -> Result<()> {
        self.emitter.finish(&mut self.arena, pages)?;
        debug_assert!(self.arena.is_empty(), "private pages out of reach at commit");
        Spare {
            arena: self.arena,
            emitter: self.emitter,
            edits,
        }
        .leave();
        Ok(())
    }
}
