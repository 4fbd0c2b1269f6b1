//! The ring of descriptors: what each of the newest commits is, for readers and for those who sync.
//!
//! A commit's descriptor is put into the ring before `tip` names the commit. An entry may be overwritten while it is
//! read: its first word is zero meanwhile, and who read it checks afterwards that the commit still is what it was read
//! for, the visible one or the tip (I-6).

use super::{at, Shared};
use crate::file::peers::HEADER;
use crate::ids::CommitId;
use crate::page::{Root, Roots};
use crate::pager::Descriptor;
use crate::util::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;

/// Descriptors kept.
pub(in crate::pager) const RING: u64 = 64;

/// Where the parts of an entry are.
const ID: usize = 0;
const PAGES: usize = 1;
const BASE: usize = 2;
const ROOTS: usize = 3;
/// Words of an entry.
pub(super) const ENTRY_WORDS: usize = ROOTS + Roots::COUNT * Root::WORDS;

/// Whether two commits have the same entry in the ring.
pub(in crate::pager) fn share_entry(a: CommitId, b: CommitId) -> bool {
    number(a) == number(b)
}

fn number(id: CommitId) -> usize {
    (id.get() % RING) as usize
}

impl Shared {
    fn entry(&self, id: CommitId) -> &[AtomicU64] {
        let first = HEADER + at::RING_ENTRIES + number(id) * ENTRY_WORDS;
        &self.memory.all()[first..first + ENTRY_WORDS]
    }

    /// Puts a commit's descriptor and base into the ring, before `tip` names the commit.
    pub fn put_descriptor(&self, desc: &Descriptor, base: CommitId) {
        let entry = self.entry(desc.id);
        entry[ID].store(0, SeqCst);
        entry[PAGES].store(desc.pages, SeqCst);
        entry[BASE].store(base.get(), SeqCst);
        let words = desc.roots.all().into_iter().flat_map(Root::to_words);
        for (to, word) in entry[ROOTS..].iter().zip(words) {
            to.store(word, SeqCst);
        }
        entry[ID].store(desc.id.get(), SeqCst);
    }

    /// Reads the descriptor of commit `id` into `desc`, and returns its base. `None`: the ring does not have it, and
    /// `desc` is anything.
    #[inline]
    pub(super) fn read_descriptor(&self, id: CommitId, desc: &mut Descriptor) -> Option<CommitId> {
        let entry = self.entry(id);
        let word = |i: usize| entry[i].load(SeqCst);
        let there = word(ID);
        let base = CommitId::new(word(BASE));
        desc.id = id;
        desc.pages = word(PAGES);
        desc.roots = Roots::from_all(std::array::from_fn(|root| {
            Root::from_words(std::array::from_fn(|i| word(ROOTS + root * Root::WORDS + i)))
        }));
        (there == id.get()).then_some(base)
    }

    /// The base of the tip named by the caller, which checks afterwards that it still is the tip.
    pub fn base_of(&self, id: CommitId) -> CommitId {
        let mut desc = Descriptor::default();
        self.read_descriptor(id, &mut desc).unwrap_or(CommitId::NONE)
    }

    /// The newest visible commit.
    pub fn newest(&self) -> Descriptor {
        let mut desc = Descriptor::default();
        loop {
            let id = self.visible().get();
            if self.read_descriptor(id, &mut desc).is_some() && self.visible().get() == id {
                return desc;
            }
        }
    }
}
