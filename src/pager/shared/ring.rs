//! The ring of descriptors: the newest commits, for readers and for those who sync.
//!
//! A commit's descriptor is put into the ring before `tip` names the commit. An entry may be overwritten while it is
//! read. Its first word is zero meanwhile, and whoever has read the entry checks afterwards that the commit is still
//! what it was read for, the visible one or the tip (I-6).

use super::layout::{at, entry, ENTRY_WORDS, RING};
use super::words::{Shared, Words};
use crate::ids::CommitId;
use crate::page::{Root, Roots};
use crate::pager::descriptor::{Descriptor, Origin};
use crate::util::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;

/// Returns whether two commits have the same entry in the ring.
pub(in crate::pager) fn share_entry(a: CommitId, b: CommitId) -> bool {
    number(a) == number(b)
}

fn number(id: CommitId) -> usize {
    (id.get() % RING) as usize
}

impl<'a> Words<'a> {
    #[inline(always)]
    fn entry(self, id: CommitId) -> &'a [AtomicU64] {
        self.part(at::RING_ENTRIES + number(id) * ENTRY_WORDS, ENTRY_WORDS)
    }

    /// Reads the descriptor of commit `id` into `desc`, and returns the base of the commit. Returns `None` if the
    /// ring does not have the commit; `desc` then has no meaning. The root of the space tree is left out.
    #[inline]
    pub(super) fn read_descriptor(self, id: CommitId, desc: &mut Descriptor) -> Option<CommitId> {
        let words = self.entry(id);
        let word = |i: usize| words[i].load(SeqCst);
        let there = word(entry::ID);
        let base = CommitId::new(word(entry::BASE));
        desc.id = id;
        desc.pages = word(entry::PAGES);
        let root = |n: usize| Root::from_words(std::array::from_fn(|i| word(entry::ROOTS + n * Root::WORDS + i)));
        // Readers have no use for the space tree, and beginning to read is short.
        desc.roots = Roots {
            main: root(0),
            catalogue: root(1),
            space: Root::default(),
            snapshots: root(3),
        };
        (there == id.get()).then_some(base)
    }
}

impl Shared {
    /// Puts a commit's descriptor and origin into the ring. The caller does so before `tip` names the commit.
    pub fn put_descriptor(&self, desc: &Descriptor, origin: Origin) {
        let words = self.words().entry(desc.id);
        words[entry::ID].store(0, SeqCst);
        words[entry::PAGES].store(desc.pages, SeqCst);
        words[entry::BASE].store(origin.base.get(), SeqCst);
        words[entry::TIME].store(origin.time, SeqCst);
        let roots = desc.roots.all().into_iter().flat_map(|root| root.to_words());
        for (to, word) in words[entry::ROOTS..].iter().zip(roots) {
            to.store(word, SeqCst);
        }
        words[entry::ID].store(desc.id.get(), SeqCst);
    }

    /// Returns the base of commit `id`. The caller has read `id` from `tip`, and checks afterwards that it is still
    /// the tip.
    pub fn base_of(&self, id: CommitId) -> CommitId {
        let mut desc = Descriptor::default();
        self.words().read_descriptor(id, &mut desc).unwrap_or(CommitId::NONE)
    }

    /// Returns the time of commit `id`, or `None` if the ring does not have it any more.
    pub fn time_of(&self, id: CommitId) -> Option<u64> {
        let words = self.words().entry(id);
        let is_there = || words[entry::ID].load(SeqCst) == id.get();
        let time = is_there().then(|| words[entry::TIME].load(SeqCst));
        time.filter(|_| is_there())
    }

    /// Returns the descriptor of the newest visible commit.
    pub fn newest(&self) -> Descriptor {
        let mut desc = Descriptor::default();
        loop {
            let id = self.visible().get();
            if self.words().read_descriptor(id, &mut desc).is_some() && self.visible().get() == id {
                return desc;
            }
        }
    }
}
