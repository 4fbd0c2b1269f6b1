//! Pointers to pages, the roots of trees, and the set of roots that leads to all data of a commit.
//!
//! Roots are kept in three places: in the meta slots, in the catalogue's records, and in the memory that processes
//! share. This file is the only one that turns them into bytes or words.
//!
//! ```text
//! page u48, birth u48, entries u48, height u8 (0: empty tree, the rest is zero),
//! flags u8 (1: long values or keys may be below; others are damage), checksum
//! ```
//!
//! How many bytes the checksum takes is said by a [`RootLayout`]. It comes last, so that nothing else moves with it.

use crate::ids::{CommitId, PageNo, PageRef};
use crate::util::bytes::{get_u32, get_u48, put_u32, put_u48};
use std::ops::Range;

/// The most levels that a tree can have: 64 levels of at least two children each hold more than any file.
pub const HEIGHT_MAX: u8 = 64;
/// The number of bytes of a CRC-32C.
const CRC_BYTES: usize = 4;

/// Pointer to a tree page: where it is, when it was written, what is below it, and what its bytes must sum to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ptr {
    /// Where the page is.
    pub page: PageRef,
    /// Commit that wrote the page.
    pub birth: CommitId,
    /// Entries in the leaves below.
    pub entries: u64,
    /// CRC-32C of the page.
    pub checksum: u32,
}

/// The root of a tree. With a `height` of 0 there is no page at all, and the tree is empty; with 1 the root is a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Root {
    /// The root page; zero in an empty tree.
    pub ptr: Ptr,
    /// The number of levels of the tree.
    pub height: u8,
    /// Whether values or keys outside the leaves may be below, so that leaves must be read before they are dropped.
    pub has_long: bool,
}

impl Root {
    /// Returns whether a tree of a commit can have this root: it is empty and says nothing else, or its page is one of
    /// `pages` and was not written after the commit `id`.
    pub fn is_possible(&self, pages: &Range<PageNo>, id: CommitId) -> bool {
        let Ptr { page, birth, .. } = self.ptr;
        match self.height {
            0 => *self == Root::default(),
            height => height <= HEIGHT_MAX && pages.contains(&page.number()) && birth > CommitId::NONE && birth <= id,
        }
    }

    /// The number of words that a root takes in memory.
    pub const WORDS: usize = 4;

    /// Returns the root as words, for memory that is read and written by words.
    #[inline]
    pub fn to_words(self) -> [u64; Root::WORDS] {
        let ptr = &self.ptr;
        let rest = u64::from(ptr.checksum) | u64::from(self.height) << 32 | u64::from(self.has_long) << 40;
        [ptr.page.to_bits(), ptr.birth.get(), ptr.entries, rest]
    }

    /// Returns the root that these words mean.
    #[inline]
    pub fn from_words([page, birth, entries, rest]: [u64; Root::WORDS]) -> Root {
        Root {
            ptr: Ptr {
                page: PageRef::from_bits(page),
                birth: CommitId::new(birth),
                entries,
                checksum: rest as u32,
            },
            height: (rest >> 32) as u8,
            has_long: rest >> 40 != 0,
        }
    }
}

/// The roots of a commit's trees, which lead to all of its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Roots {
    /// The tree of the main table.
    pub main: Root,
    /// The catalogue tree, which holds the named tables.
    pub catalogue: Root,
    /// The tree of dead extents.
    pub space: Root,
    /// The tree that lists the named snapshots.
    pub snapshots: Root,
}

impl Roots {
    /// How many roots there are.
    pub const COUNT: usize = 4;

    /// Returns all roots, in the order in which they are stored.
    pub fn all(&self) -> [&Root; Roots::COUNT] {
        [&self.main, &self.catalogue, &self.space, &self.snapshots]
    }

    /// Returns the set of these roots, which come in the order in which they are stored.
    #[inline]
    pub fn from_all([main, catalogue, space, snapshots]: [Root; Roots::COUNT]) -> Roots {
        Roots {
            main,
            catalogue,
            space,
            snapshots,
        }
    }
}

/// Where the fields of a stored root begin, as in the list above.
mod field {
    pub const PAGE: usize = 0;
    pub const BIRTH: usize = 6;
    pub const ENTRIES: usize = 12;
    pub const HEIGHT: usize = 18;
    pub const FLAGS: usize = 19;
    pub const CHECKSUM: usize = 20;
}

/// The flag of a root below which values or keys outside the leaves may be.
const HAS_LONG: u8 = 1;

/// How roots are stored in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RootLayout {
    /// Bytes of a checksum.
    width: usize,
}

impl RootLayout {
    /// The layout of this version of the format, in meta slots and in the catalogue.
    pub const CURRENT: RootLayout = RootLayout { width: CRC_BYTES };

    /// Returns the number of bytes of one root.
    pub const fn bytes(self) -> usize {
        field::CHECKSUM + self.width
    }

    /// Writes a root to the first bytes of `out`.
    pub fn put(self, out: &mut [u8], root: &Root) {
        debug_assert!(!root.ptr.page.is_private(), "a private page has no place in a file");
        put_u48(out, field::PAGE, root.ptr.page.to_bits());
        put_u48(out, field::BIRTH, root.ptr.birth.get());
        put_u48(out, field::ENTRIES, root.ptr.entries);
        out[field::HEIGHT] = root.height;
        out[field::FLAGS] = if root.has_long { HAS_LONG } else { 0 };
        let checksum = &mut out[field::CHECKSUM..field::CHECKSUM + self.width];
        checksum.fill(0);
        put_u32(checksum, 0, root.ptr.checksum);
    }

    /// Reads the root in the first bytes of `b`, or returns `None` if one of its flags is not known.
    pub fn get(self, b: &[u8]) -> Option<Root> {
        let root = Root {
            ptr: Ptr {
                page: PageRef::from_bits(get_u48(b, field::PAGE)),
                birth: CommitId::new(get_u48(b, field::BIRTH)),
                entries: get_u48(b, field::ENTRIES),
                checksum: get_u32(b, field::CHECKSUM),
            },
            height: b[field::HEIGHT],
            has_long: b[field::FLAGS] != 0,
        };
        (b[field::FLAGS] & !HAS_LONG == 0).then_some(root)
    }

    /// Writes all roots one behind the other to the first bytes of `out`.
    pub fn put_all(self, out: &mut [u8], roots: &Roots) {
        for (part, root) in out.chunks_mut(self.bytes()).zip(roots.all()) {
            self.put(part, root);
        }
    }

    /// Reads all roots from the first bytes of `b`, or returns `None` if a flag of one is not known.
    pub fn get_all(self, b: &[u8]) -> Option<Roots> {
        let mut roots = [Root::default(); Roots::COUNT];
        for (i, root) in roots.iter_mut().enumerate() {
            *root = self.get(&b[i * self.bytes()..])?;
        }
        Some(Roots::from_all(roots))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::PageNo;

    fn root(seed: u64) -> Root {
        Root {
            ptr: Ptr {
                page: PageNo::new(seed << 36 | 0x1234).into(),
                birth: CommitId::new(seed << 33 | 77),
                entries: seed << 44 | 5,
                checksum: 0xFEDC_BA98 ^ seed as u32,
            },
            height: seed as u8,
            has_long: seed % 2 == 1,
        }
    }

    #[test]
    fn roots_read_back_whatever_the_width_of_checksums() {
        let roots = Roots::from_all(std::array::from_fn(|i| root(i as u64 + 1)));
        for layout in [RootLayout::CURRENT, RootLayout { width: 16 }, RootLayout { width: 32 }] {
            let mut bytes = vec![0xEE; layout.bytes() * Roots::COUNT + 1];
            layout.put_all(&mut bytes, &roots);
            assert_eq!(bytes.pop(), Some(0xEE), "a byte behind the roots was written");
            assert_eq!(layout.get_all(&bytes), Some(roots));
            let beyond = &bytes[field::CHECKSUM + 4..layout.bytes()];
            assert!(beyond.iter().all(|b| *b == 0), "a short checksum is extended by zeros");
            bytes[field::FLAGS] |= 2;
            assert_eq!(layout.get_all(&bytes), None, "a flag that is not known");
        }
        assert_eq!(
            (RootLayout::CURRENT.bytes(), RootLayout { width: 32 }.bytes()),
            (24, 52)
        );
    }

    #[test]
    fn a_root_that_no_tree_has_is_told() {
        let pages = PageNo::new(4)..PageNo::new(9);
        let good = Root {
            ptr: Ptr {
                page: PageNo::new(8).into(),
                birth: CommitId::new(7),
                ..Ptr::default()
            },
            height: 1,
            has_long: false,
        };
        let id = CommitId::new(7);
        assert!(good.is_possible(&pages, id) && Root::default().is_possible(&pages, id));
        let mut bad = [good; 6];
        bad[0].ptr.page = PageNo::new(9).into();
        bad[1].ptr.page = PageNo::new(3).into();
        bad[2].ptr.birth = CommitId::new(8);
        bad[3].ptr.birth = CommitId::NONE;
        bad[4].height = HEIGHT_MAX + 1;
        bad[5].height = 0;
        assert!(bad.iter().all(|root| !root.is_possible(&pages, id)));
    }

    #[test]
    fn roots_are_words_and_back() {
        for root in [Root::default(), root(1), root(2)] {
            assert_eq!(Root::from_words(root.to_words()), root);
        }
    }
}
