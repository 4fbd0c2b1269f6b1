//! Private pages: what a write transaction has built and nobody else can see.
//!
//! A private page has no page number, only a slot ([`PrivatePage`]). Slots and their memory are used again, by later
//! transactions too, because the first touch of fresh memory costs more than anything else done to a page.
//!
//! While bytes of its pages are pinned (the caller got them as the answer of a read) the arena is *frozen*: no page
//! that existed at the freeze may be changed or have its memory used again. Such a page is copied instead, and its
//! memory is kept until the thaw.
//!
//! Pages that are older than the newest *savepoint* are treated like pages of the file: the trees of the savepoint
//! lead to them, so they are never changed, but copied into slots of their own, and those that the trees of the
//! transaction do not need any more stay where they are. Going back to a savepoint therefore means to drop the pages
//! that were made since, and to forget a savepoint means to drop those that only its trees had.

use crate::error::{Error, Result};
use crate::ids::{PageRef, PrivatePage};
use crate::page::{header, Ptr};
use crate::util::seeded::{self, Bug};

/// The bytes of a page.
pub type PageBox = Box<[u8]>;

/// The private pages of a transaction, by slot.
pub struct Arena {
    page_size: usize,
    slots: Vec<Option<PageBox>>,
    /// The slots without a page.
    vacant: Vec<u32>,
    /// The memory that is to be used again.
    spare: Vec<PageBox>,
    /// The memory of pages that were given up while frozen. Bytes of it may be pinned.
    pinned: Vec<PageBox>,
    /// Whether the arena is frozen, because bytes of pages may be pinned.
    frozen: bool,
    /// The number of savepoints.
    savepoints: u32,
    /// Whether there are pages that must not be changed: the arena is frozen or has savepoints.
    guarded: bool,
    /// Since when the page of each slot is there, and since when it is not needed, if there are savepoints. Slots
    /// behind the end were filled before the first one. To end a savepoint takes a look at all of them, eight bytes
    /// for each private page.
    lives: Vec<Life>,
    /// The number of pages that only the trees of savepoints have.
    replaced: usize,
    /// Which slots were filled since the freeze. No bytes in them can be pinned.
    fresh: Vec<bool>,
    /// For each slot the bytes that its leaf used before edits at positions took some, or 0. Leaves in slots behind
    /// the end have lost nothing.
    used_before: Vec<u32>,
    /// Whether any leaf has lost bytes by an edit at a position, which `used_before` then says.
    has_losses: bool,
}

/// How a page lives between savepoints, which are counted from 1.
#[derive(Debug, Clone, Copy, Default)]
struct Life {
    /// How many savepoints there were when the page was made.
    made: u32,
    /// How many there were when the trees of the transaction ceased to have it, or 0 if they have it.
    replaced: u32,
}

/// The most pages of memory that are kept for reuse (8 MiB of 4 KiB pages).
const SPARE_MAX: usize = 2048;
/// The number of pages that are made after one [`Arena::prepare`] at most, and before the next.
const PREPARED: usize = 4;
const NO_MEMORY: &str = "pages of a transaction";

impl Arena {
    /// Returns an empty arena.
    pub fn new(page_size: usize) -> Arena {
        Arena {
            page_size,
            slots: Vec::new(),
            vacant: Vec::new(),
            spare: Vec::new(),
            pinned: Vec::new(),
            frozen: false,
            savepoints: 0,
            guarded: false,
            lives: Vec::new(),
            replaced: 0,
            fresh: Vec::new(),
            used_before: Vec::new(),
            has_losses: false,
        }
    }

    /// Returns the bytes of a page.
    pub fn page_size(&self) -> usize {
        self.page_size
    }

    /// Returns the number of private pages.
    pub fn len(&self) -> usize {
        self.slots.len() - self.vacant.len()
    }

    /// Returns the number of private pages that the trees of the transaction have.
    pub fn in_use(&self) -> usize {
        self.len() - self.replaced
    }

    /// Returns the number of private leaves.
    pub fn leaves(&self) -> u64 {
        let leaf = |page: &&PageBox| header::level(page) == 1;
        self.slots.iter().flatten().filter(leaf).count() as u64
    }

    /// Returns whether there is no private page.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the bytes of a page, or `None` for one that is not in this arena.
    #[inline(always)]
    pub fn get(&self, page: PrivatePage) -> Option<&[u8]> {
        self.slots.get(page.slot())?.as_deref()
    }

    /// Returns the bytes of a page, to be changed in place. The page must be editable, see [`Arena::is_editable`].
    #[inline(always)]
    pub fn get_mut(&mut self, page: PrivatePage) -> Option<&mut [u8]> {
        debug_assert!(self.is_editable(page), "bytes of the page may be pinned");
        self.slots.get_mut(page.slot())?.as_deref_mut()
    }

    /// Returns whether the page may be changed in place.
    #[inline(always)]
    pub fn is_editable(&self, page: PrivatePage) -> bool {
        !self.guarded || self.is_free_to_change(page)
    }

    #[inline(never)]
    fn is_free_to_change(&self, page: PrivatePage) -> bool {
        let pinned = self.frozen && !self.fresh.get(page.slot()).copied().unwrap_or(false);
        !pinned && !self.is_older(page)
    }

    /// Returns whether the page is older than the newest savepoint.
    fn is_older(&self, page: PrivatePage) -> bool {
        self.savepoints > 0 && self.life(page).made < self.savepoints && !seeded::on(Bug::EditSaved)
    }

    fn life(&self, page: PrivatePage) -> Life {
        self.lives.get(page.slot()).copied().unwrap_or_default()
    }

    /// Takes note that the trees of the transaction have an older page no more.
    fn replace(&mut self, page: PrivatePage) {
        let now = self.savepoints;
        if let Some(life) = self.lives.get_mut(page.slot()).filter(|life| life.replaced == 0) {
            life.replaced = now;
            self.replaced += 1;
        }
    }

    /// Gets memory for a few pages and for the lists of them, so that what is done to one page of a tree need not ask
    /// for any. Whoever makes pages calls this before, as often as it makes some.
    ///
    /// # Errors
    /// `NoMemory`.
    #[inline]
    pub fn prepare(&mut self) -> Result<()> {
        let lists = self.slots.len() + PREPARED;
        let ready = self.spare.len() >= PREPARED
            && self.slots.capacity() >= lists
            && self.vacant.capacity() >= lists
            && self.used_before.capacity() >= lists
            && (!self.frozen || self.fresh.capacity() >= lists && self.pinned.capacity() >= lists)
            && (self.savepoints == 0 || self.lives.capacity() >= lists);
        match ready {
            true => Error::if_memory_is_short(NO_MEMORY),
            false => self.get_memory(),
        }
    }

    #[cold]
    fn get_memory(&mut self) -> Result<()> {
        Error::if_memory_is_short(NO_MEMORY)?;
        let lists = self.slots.len() + PREPARED;
        Error::or_room(&mut self.slots, PREPARED, NO_MEMORY)?;
        let vacant = self.vacant.len();
        Error::or_room(&mut self.vacant, lists - vacant, NO_MEMORY)?;
        let used_before = self.used_before.len();
        Error::or_room(&mut self.used_before, lists.saturating_sub(used_before), NO_MEMORY)?;
        if self.frozen {
            let (fresh, pinned) = (self.fresh.len(), self.pinned.len());
            Error::or_room(&mut self.fresh, lists.saturating_sub(fresh), NO_MEMORY)?;
            Error::or_room(&mut self.pinned, lists.saturating_sub(pinned).max(PREPARED), NO_MEMORY)?;
        }
        if self.savepoints > 0 {
            let lives = self.lives.len();
            Error::or_room(&mut self.lives, lists.saturating_sub(lives), NO_MEMORY)?;
        }
        Error::or_room(&mut self.spare, PREPARED, NO_MEMORY)?;
        while self.spare.len() < PREPARED {
            let mut page = Vec::new();
            Error::or_room(&mut page, self.page_size, NO_MEMORY)?;
            page.resize(self.page_size, 0);
            self.spare.push(page.into_boxed_slice());
        }
        Ok(())
    }

    /// Returns memory for a page. Its content is arbitrary.
    pub fn memory(&mut self) -> PageBox {
        self.spare
            .pop()
            .unwrap_or_else(|| vec![0; self.page_size].into_boxed_slice())
    }

    /// Puts a page into a vacant slot.
    pub fn insert(&mut self, page: PageBox) -> PrivatePage {
        let slot = self.vacant.pop().unwrap_or_else(|| {
            self.slots.push(None);
            (self.slots.len() - 1) as u32
        });
        if self.frozen {
            if self.fresh.len() <= slot as usize {
                self.fresh.resize(slot as usize + 1, false);
            }
            self.fresh[slot as usize] = true;
        }
        if self.savepoints > 0 {
            if self.lives.len() <= slot as usize {
                self.lives.resize(slot as usize + 1, Life::default());
            }
            self.lives[slot as usize] = Life {
                made: self.savepoints,
                replaced: 0,
            };
        }
        debug_assert!(self.slots[slot as usize].is_none(), "a vacant slot holds no page");
        if let Some(before) = self.used_before.get_mut(slot as usize) {
            *before = 0;
        }
        self.slots[slot as usize] = Some(page);
        PrivatePage::new(slot)
    }

    /// Takes a page out of its slot, to be changed or written. Returns a copy if its bytes may be pinned, or if the
    /// trees of a savepoint have it. The memory comes back through [`Arena::insert`] or [`Arena::recycle`].
    pub fn take(&mut self, page: PrivatePage) -> Option<PageBox> {
        if self.is_older(page) {
            let mut copy = self.memory();
            copy.copy_from_slice(self.get(page)?);
            self.replace(page);
            return Some(copy);
        }
        let editable = self.is_editable(page);
        let memory = self.remove(page)?;
        if editable {
            return Some(memory);
        }
        let mut copy = self.memory();
        copy.copy_from_slice(&memory);
        self.pinned.push(memory);
        Some(copy)
    }

    /// Returns a page with these bytes that no savepoint has: the page itself, or a copy in its place.
    ///
    /// # Errors
    /// `NoMemory`; `Corrupt`: there is no such page.
    #[inline(always)]
    pub fn copy_if_saved(&mut self, page: PrivatePage) -> Result<PrivatePage> {
        match self.savepoints {
            0 => Ok(page),
            _ => self.copy_if_older(page),
        }
    }

    #[inline(never)]
    fn copy_if_older(&mut self, page: PrivatePage) -> Result<PrivatePage> {
        if !self.is_older(page) {
            return Ok(page);
        }
        self.prepare()?;
        let copy = self.take(page).ok_or_else(no_page)?;
        Ok(self.insert(copy))
    }

    /// Drops a page.
    pub fn free(&mut self, page: PrivatePage) {
        if self.is_older(page) {
            return self.replace(page);
        }
        let editable = self.is_editable(page);
        if let Some(memory) = self.remove(page) {
            match editable {
                true => self.recycle(memory),
                false => self.pinned.push(memory),
            }
        }
    }

    fn remove(&mut self, page: PrivatePage) -> Option<PageBox> {
        let memory = self.slots.get_mut(page.slot())?.take()?;
        self.vacant.push(page.slot() as u32);
        if self.is_empty() && !self.guarded {
            // A small transaction after a large one should not have to go through all slots of the large one.
            self.slots.clear();
            self.vacant.clear();
            self.forget_losses();
        }
        Some(memory)
    }

    /// Takes back memory that is to be used again. No bytes of it may be pinned.
    pub fn recycle(&mut self, memory: PageBox) {
        if self.spare.len() < SPARE_MAX {
            self.spare.push(memory);
        }
    }

    /// Begins a freeze: from now on, the bytes of all present pages stay as and where they are.
    pub fn freeze(&mut self) {
        self.frozen = true;
        self.guarded = true;
    }

    /// Returns whether the arena is frozen.
    pub fn is_frozen(&self) -> bool {
        self.frozen
    }

    /// Ends the freeze: no bytes are pinned any more.
    pub fn thaw(&mut self) {
        if self.frozen {
            self.frozen = false;
            self.guarded = self.savepoints > 0;
            self.fresh.clear();
            let pinned = std::mem::take(&mut self.pinned);
            pinned.into_iter().for_each(|memory| self.recycle(memory));
        }
    }

    /// Adds a savepoint: from now on, no present page changes, and none is lost. The arena must not be frozen.
    ///
    /// # Errors
    /// `NoMemory`.
    pub fn save(&mut self) -> Result<()> {
        debug_assert!(!self.frozen, "nothing is pinned at a savepoint");
        let new = self.slots.len().saturating_sub(self.lives.len());
        Error::or_room(&mut self.lives, new, NO_MEMORY)?;
        self.save_again();
        Ok(())
    }

    /// Adds the savepoint that was undone last again, for which there is memory.
    pub fn save_again(&mut self) {
        self.lives
            .resize(self.lives.len().max(self.slots.len()), Life::default());
        self.savepoints += 1;
        self.guarded = true;
    }

    /// Undoes what was done since savepoint `savepoint`, counted from 1: what was made is dropped, and what was
    /// replaced is in use again. The savepoint is gone then, and so are later ones. The arena must not be frozen.
    pub fn undo_since(&mut self, savepoint: u32) {
        debug_assert!(!self.frozen, "nothing is pinned when a transaction goes back");
        for slot in 0..self.lives.len().min(self.slots.len()) {
            let life = self.lives[slot];
            if life.made >= savepoint {
                self.drop_slot(slot);
            } else if life.replaced >= savepoint {
                self.lives[slot].replaced = 0;
                self.replaced -= 1;
            }
        }
        self.set_savepoints(savepoint.saturating_sub(1));
    }

    /// Forgets savepoint `savepoint`, counted from 1, and all later ones. What only their trees had is dropped. The
    /// arena must not be frozen.
    pub fn forget_savepoint(&mut self, savepoint: u32) {
        debug_assert!(!self.frozen, "nothing is pinned when a savepoint is forgotten");
        let left = savepoint.saturating_sub(1);
        for slot in 0..self.lives.len().min(self.slots.len()) {
            let life = &mut self.lives[slot];
            life.made = life.made.min(left);
            if life.replaced > 0 && life.made == left {
                self.drop_slot(slot);
            } else {
                life.replaced = life.replaced.min(left);
            }
        }
        self.set_savepoints(left);
    }

    fn set_savepoints(&mut self, left: u32) {
        self.savepoints = left;
        self.guarded = left > 0;
        if left == 0 {
            self.lives.clear();
        }
    }

    /// Drops the page of a slot, if there is one.
    fn drop_slot(&mut self, slot: usize) {
        let Some(memory) = self.slots[slot].take() else { return };
        self.vacant.push(slot as u32);
        self.recycle(memory);
        self.replaced -= usize::from(self.lives[slot].replaced > 0);
        self.lives[slot] = Life::default();
    }

    /// Drops every page.
    pub fn clear(&mut self) {
        self.thaw();
        for slot in 0..self.slots.len() {
            if let Some(memory) = self.slots[slot].take() {
                self.recycle(memory);
            }
        }
        self.slots.clear();
        self.vacant.clear();
        self.forget_losses();
        self.lives.clear();
        (self.savepoints, self.replaced, self.guarded) = (0, 0, false);
    }

    fn forget_losses(&mut self) {
        self.used_before.clear();
        self.has_losses = false;
    }

    /// Notes that a leaf has lost bytes by an edit at a position, and used `before` bytes before that. The most that
    /// it ever used counts.
    pub fn note_loss(&mut self, leaf: PrivatePage, before: usize) {
        let slot = leaf.slot();
        if self.used_before.len() <= slot {
            // `prepare` has made room, so this asks for no memory.
            self.used_before.resize(self.slots.len().max(slot + 1), 0);
        }
        self.used_before[slot] = self.used_before[slot].max(before as u32);
        self.has_losses = true;
    }

    /// Returns the bytes that a leaf used before edits at positions took some, or 0 if they did not.
    #[inline(always)]
    pub fn used_before(&self, leaf: PrivatePage) -> usize {
        self.used_before.get(leaf.slot()).map_or(0, |before| *before as usize)
    }

    /// Returns the same, and forgets it, unless a savepoint has the leaf.
    pub fn take_used_before(&mut self, leaf: PrivatePage) -> usize {
        if self.is_older(leaf) {
            return self.used_before(leaf);
        }
        let before = self.used_before.get_mut(leaf.slot());
        before.map_or(0, |before| std::mem::take(before) as usize)
    }

    /// Returns whether any leaf may have lost bytes that way.
    pub fn has_losses(&self) -> bool {
        self.has_losses
    }

    /// Returns a pointer to the private page `page` with `entries` entries below it. Birth and checksum are filled in
    /// when the page is placed.
    pub fn ptr(page: PrivatePage, entries: u64) -> Ptr {
        Ptr {
            page: PageRef::private(page),
            entries,
            ..Ptr::default()
        }
    }
}

/// Returns the error of a tree that leads to a private page that is not there.
#[cold]
pub(super) fn no_page() -> Error {
    Error::corrupt(None, "private page number without a page")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::sim::Random;
    use std::collections::BTreeMap;

    /// The pages that the trees of a transaction have, each with the byte of which it consists.
    type Tree = BTreeMap<usize, u8>;

    fn fill(mut page: PageBox, byte: u8) -> PageBox {
        page.fill(byte);
        page
    }

    fn assert_same(arena: &Arena, tree: &Tree) {
        for (slot, byte) in tree {
            let page = arena.get(PrivatePage::new(*slot as u32)).expect("a page of a tree");
            assert!(page.iter().all(|b| b == byte), "slot {slot}");
        }
    }

    #[test]
    fn pages_of_savepoints_stay_until_they_are_forgotten() {
        let mut random = Random::new(3);
        let (mut arena, mut tree, mut saved) = (Arena::new(16), Tree::new(), Vec::<Tree>::new());
        for step in 0..20_000 {
            arena.prepare().expect("memory");
            let byte = random.next_u64() as u8;
            let at = random.below(tree.len().max(1) as u64) as usize;
            let any = tree.keys().nth(at).copied();
            match (random.below(40), any) {
                (0..12, _) | (_, None) => {
                    let page = arena.memory();
                    tree.insert(arena.insert(fill(page, byte)).slot(), byte);
                }
                (12..24, Some(slot)) => {
                    // The page is taken out and put back, into any slot.
                    let page = arena.take(PrivatePage::new(slot as u32)).expect("a page");
                    assert!(page.iter().all(|b| *b == tree[&slot]));
                    tree.remove(&slot);
                    tree.insert(arena.insert(fill(page, byte)).slot(), byte);
                }
                (24..32, Some(slot)) => {
                    arena.free(PrivatePage::new(slot as u32));
                    tree.remove(&slot);
                }
                (32..34, Some(slot)) => {
                    let own = arena.copy_if_saved(PrivatePage::new(slot as u32)).expect("a page");
                    assert!(arena.is_editable(own));
                    let byte = tree.remove(&slot).expect("its byte");
                    tree.insert(own.slot(), byte);
                }
                (34..37, _) if saved.len() < 6 => {
                    arena.save().expect("memory");
                    saved.push(tree.clone());
                    let is_older = |slot: &usize| !arena.is_editable(PrivatePage::new(*slot as u32));
                    assert!(tree.keys().all(is_older));
                }
                (37, _) if !saved.is_empty() => {
                    let at = random.below(saved.len() as u64) as usize;
                    arena.undo_since(at as u32 + 1);
                    tree = saved.swap_remove(at);
                    saved.truncate(at);
                }
                (38, _) if !saved.is_empty() => {
                    let at = random.below(saved.len() as u64) as usize;
                    arena.forget_savepoint(at as u32 + 1);
                    saved.truncate(at);
                }
                _ => {}
            }
            assert_eq!(arena.in_use(), tree.len(), "step {step}");
            assert_same(&arena, &tree);
            if step % 7 == 0 {
                saved.iter().for_each(|tree| assert_same(&arena, tree));
            }
            if saved.is_empty() {
                assert_eq!(arena.len(), tree.len(), "step {step}: what nobody has is gone");
            }
        }
    }
}
