//! Private pages: what a write transaction has built and nobody else can see.
//!
//! A private page has no page number, only a slot ([`PrivatePage`]). Slots and their memory are
//! reused, also by later transactions, because the first touch of fresh memory costs more than anything else done to a
//! page. While the arena is *frozen* (bytes of its pages have been lent to the caller) no page that existed then may be
//! changed or reused: it is copied, and its memory kept until the thaw.

use crate::ids::PageRef;
use crate::ids::PrivatePage;
use crate::page::{header, Ptr};

/// A page's bytes.
pub type PageBox = Box<[u8]>;

/// Private pages by slot.
pub struct Arena {
    page_size: usize,
    slots: Vec<Option<PageBox>>,
    /// Slots without a page.
    vacant: Vec<u32>,
    /// Memory to reuse.
    spare: Vec<PageBox>,
    /// Pages given up while frozen.
    lent: Vec<PageBox>,
    /// Slots below this number existed at the freeze; `fresh` marks those filled since.
    frozen: bool,
    fresh: Vec<bool>,
}

/// Most pages of memory kept for reuse when nothing is private (8 MiB of 4 KiB pages).
const SPARE_MAX: usize = 2048;

impl Arena {
    /// An empty arena.
    pub fn new(page_size: usize) -> Arena {
        Arena {
            page_size,
            slots: Vec::new(),
            vacant: Vec::new(),
            spare: Vec::new(),
            lent: Vec::new(),
            frozen: false,
            fresh: Vec::new(),
        }
    }

    /// Bytes of a page.
    pub fn page_size(&self) -> usize {
        self.page_size
    }

    /// Private pages there are.
    pub fn len(&self) -> usize {
        self.slots.len() - self.vacant.len()
    }

    /// How many of them are leaves.
    pub fn leaves(&self) -> u64 {
        let leaf = |page: &&PageBox| header::level(page) == 1;
        self.slots.iter().flatten().filter(leaf).count() as u64
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The page behind a private pointer; `None` for a pointer that this arena did not give out.
    #[inline(always)]
    pub fn get(&self, page: PrivatePage) -> Option<&[u8]> {
        self.slots.get(page.slot())?.as_deref()
    }

    /// The same to be changed in place. Only after [`Arena::is_editable`].
    #[inline(always)]
    pub fn get_mut(&mut self, page: PrivatePage) -> Option<&mut [u8]> {
        self.slots.get_mut(page.slot())?.as_deref_mut()
    }

    /// Whether the page may be changed in place.
    #[inline(always)]
    pub fn is_editable(&self, page: PrivatePage) -> bool {
        !self.frozen || self.fresh.get(page.slot()).copied().unwrap_or(false)
    }

    /// Memory for a page, content arbitrary.
    pub fn memory(&mut self) -> PageBox {
        self.spare
            .pop()
            .unwrap_or_else(|| vec![0; self.page_size].into_boxed_slice())
    }

    /// Puts a page into a slot; the number to point to it with.
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
        self.slots[slot as usize] = Some(page);
        PrivatePage::new(slot)
    }

    /// Takes a page out of its slot. Give it back with [`Arena::recycle`] when its bytes are not needed any more.
    pub fn remove(&mut self, page: PrivatePage) -> Option<(PageBox, bool)> {
        let slot = page.slot();
        let editable = self.is_editable(page);
        let memory = self.slots.get_mut(slot)?.take()?;
        self.vacant.push(slot as u32);
        if self.is_empty() && !self.frozen {
            // Small transactions after a large one shall not look at its slots.
            self.slots.clear();
            self.vacant.clear();
        }
        Some((memory, editable))
    }

    /// Memory that may be reused, at once or (if its bytes may be lent) after the thaw.
    pub fn recycle(&mut self, (memory, editable): (PageBox, bool)) {
        if !editable {
            self.lent.push(memory);
        } else if self.spare.len() < SPARE_MAX {
            self.spare.push(memory);
        }
    }

    /// Drops the page behind `ptr`.
    pub fn free(&mut self, page: PrivatePage) {
        if let Some(taken) = self.remove(page) {
            self.recycle(taken);
        }
    }

    /// From now on, bytes of present pages stay where they are.
    pub fn freeze(&mut self) {
        self.frozen = true;
    }

    /// Nothing is lent any more.
    pub fn thaw(&mut self) {
        if self.frozen {
            self.frozen = false;
            self.fresh.clear();
            let lent = std::mem::take(&mut self.lent);
            lent.into_iter().for_each(|page| self.recycle((page, true)));
        }
    }

    /// Drops every page.
    pub fn clear(&mut self) {
        self.thaw();
        for slot in 0..self.slots.len() {
            if let Some(page) = self.slots[slot].take() {
                self.recycle((page, true));
            }
        }
        self.slots.clear();
        self.vacant.clear();
    }

    /// A pointer to the private page `page` with `entries` entries below it.
    pub fn ptr(page: PrivatePage, entries: u64) -> Ptr {
        Ptr {
            page: PageRef::private(page),
            entries,
            ..Ptr::default()
        }
    }
}
