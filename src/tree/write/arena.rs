//! Private pages: what a write transaction has built and nobody else can see.
//!
//! A private page has no page number, only a slot ([`PrivatePage`]). Slots and their memory are used again, by later
//! transactions too, because the first touch of fresh memory costs more than anything else done to a page.
//!
//! While bytes of its pages are pinned (the caller got them as the answer of a read) the arena is *frozen*: no page
//! that existed at the freeze may be changed or have its memory used again. Such a page is copied instead, and its
//! memory is kept until the thaw.

use crate::error::{Error, Result};
use crate::ids::{PageRef, PrivatePage};
use crate::page::{header, Ptr};

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
    /// Which slots were filled since the freeze. No bytes in them can be pinned.
    fresh: Vec<bool>,
    /// For each slot the bytes that its leaf used before edits at positions took some, or 0. Leaves in slots behind
    /// the end have lost nothing.
    used_before: Vec<u32>,
    /// Whether any leaf has lost bytes by an edit at a position, which `used_before` then says.
    has_losses: bool,
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
        !self.frozen || self.fresh.get(page.slot()).copied().unwrap_or(false)
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
            && (!self.frozen || self.fresh.capacity() >= lists && self.pinned.capacity() >= lists);
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
        debug_assert!(self.slots[slot as usize].is_none(), "a vacant slot holds no page");
        if let Some(before) = self.used_before.get_mut(slot as usize) {
            *before = 0;
        }
        self.slots[slot as usize] = Some(page);
        PrivatePage::new(slot)
    }

    /// Takes a page out of its slot, to be changed or written. Returns a copy if its bytes may be pinned. The memory
    /// comes back through [`Arena::insert`] or [`Arena::recycle`].
    pub fn take(&mut self, page: PrivatePage) -> Option<PageBox> {
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

    /// Drops a page.
    pub fn free(&mut self, page: PrivatePage) {
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
        if self.is_empty() && !self.frozen {
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
    }

    /// Returns whether the arena is frozen.
    pub fn is_frozen(&self) -> bool {
        self.frozen
    }

    /// Ends the freeze: no bytes are pinned any more.
    pub fn thaw(&mut self) {
        if self.frozen {
            self.frozen = false;
            self.fresh.clear();
            let pinned = std::mem::take(&mut self.pinned);
            pinned.into_iter().for_each(|memory| self.recycle(memory));
        }
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

    /// Returns the same, and forgets it.
    pub fn take_used_before(&mut self, leaf: PrivatePage) -> usize {
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
