//! The 24 bytes that every tree page begins with.
//!
//! ```text
//!  0  u8   kind: 1 leaf, 2 dense leaf, 3 branch
//!  1  u8   level: 1 = leaf, parents count up
//!  2  u8   prefix length: bytes shared by every key routed here, stored once at the end of the page
//!  3  u8   flags: 1 CHECK_PREFIX, 2 HEAD2 (branch); 4, 8 are refused; 0x10 and higher ones are ignored
//!  4  u16  n: entries or children
//!  6  u16  heap: bytes of records below the prefix, garbage included
//!  8  u16  garbage: bytes of the heap no record uses
//! 10  u8   dense: key suffix width in bytes (1-8); branch: extra bytes of a child / 8; else zero
//! 11  u8   dense: array width of a suffix (1, 2, 4 or 8); else zero
//! 12  u16  dense: value width in bytes; else zero
//! 14  u16  zero
//! 16  u64  number of the table the page was written for
//! 24       arrays, growing up; records grow down from `page size - prefix length`
//! ```

pub use super::layout::HEADER;
use super::layout::{header as field, DenseShape, HEAD_BYTES};
use super::search::head;
use super::{PAGE_MAX, PAGE_MIN};
use crate::ids::{PageNo, TableId};
use crate::util::bytes::{get_u16, get_u64, put_u16, put_u64};

/// The longest prefix that a page stores.
pub const PREFIX_MAX: usize = 255;
/// The kind of a slotted leaf.
pub const LEAF: u8 = 1;
/// The kind of a dense leaf.
pub const DENSE: u8 = 2;
/// The kind of a branch.
pub const BRANCH: u8 = 3;
/// A flag: keys without the page's prefix may be routed here, because a neighbour vanished. Searches must compare the
/// prefix.
pub const CHECK_PREFIX: u8 = 1;
/// A flag of a branch: second-level heads follow the offsets.
pub const HEAD2: u8 = 2;
/// The flags that a reader must know. The others belong to features of writers, and readers pass over them.
const MUST_KNOW: u8 = 0x0F;

/// What is wrong with a page. The caller knows the page's number and makes an [`crate::Error::Corrupt`] of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damage(pub &'static str);

impl Damage {
    /// Returns the error that reports this damage at `page`, or at no page in particular if that is `None`.
    #[cold]
    pub fn at(self, page: impl Into<Option<PageNo>>) -> crate::Error {
        crate::Error::corrupt(page, self.0)
    }
}

/// The damage of a page of the right kind in the wrong place.
pub const WRONG_LEVEL: Damage = Damage("page of another level than its parent says");
/// The damage of a page that has too few bytes.
pub const NOT_A_PAGE: Damage = Damage("not a page");
/// The damage of a page that says what this version of the format does not allow.
const UNKNOWN: Damage = Damage("unknown flags or fields in a page header");

/// The first 8 bytes of a page, read at once. They hold kind, level, prefix length, flags and number of elements.
#[derive(Debug, Clone, Copy)]
pub struct Top(u64);

impl Top {
    /// Returns the first bytes of `page`, or `None` if it has too few bytes to be a page.
    #[inline(always)]
    pub fn of(page: &[u8]) -> Option<Top> {
        if page.len() < PAGE_MIN {
            return None;
        }
        Some(Top(get_u64(page, 0)))
    }

    #[inline(always)]
    const fn byte(self, at: usize) -> u8 {
        (self.0 >> (8 * at)) as u8
    }

    /// Returns whether the page is of this kind and level.
    #[inline(always)]
    pub const fn is(self, kind: u8, level: u8) -> bool {
        // One compare does for both, because they are the lowest bytes.
        const { assert!(field::KIND == 0 && field::LEVEL == 1) }
        self.0 as u16 == u16::from_le_bytes([kind, level])
    }

    /// Returns whether the page is of this kind and level, all keys that come to it begin with its prefix, and no flag
    /// is set that a branch must not have.
    #[inline(always)]
    pub const fn is_plain(self, of: PlainTop) -> bool {
        self.0 as u32 & PlainTop::MASK == of.0
    }

    /// Returns whether the page is a leaf of this kind, all keys that come to it begin with its prefix, and no flag is
    /// set that a leaf must not have.
    #[inline(always)]
    pub const fn is_plain_leaf(self, kind: u8) -> bool {
        self.0 as u32 & PlainTop::LEAF_MASK == PlainTop::of(kind, 1).0
    }

    /// Returns whether a flag is set.
    #[inline(always)]
    pub const fn has(self, flag: u8) -> bool {
        self.byte(field::FLAGS) & flag != 0
    }

    /// Returns the number of entries or children.
    #[inline(always)]
    pub const fn count(self) -> u16 {
        (self.0 >> (8 * field::COUNT)) as u16
    }

    /// Returns what `key` has behind the page's prefix, which is nothing if the key is not longer than the prefix.
    #[inline(always)]
    pub fn suffix(self, key: &[u8]) -> &[u8] {
        key.get(usize::from(self.byte(field::PREFIX_LEN))..).unwrap_or(&[])
    }

    /// Returns the head of [`Top::suffix`].
    #[inline(always)]
    pub fn head(self, key: &[u8]) -> u32 {
        let from = usize::from(self.byte(field::PREFIX_LEN));
        // Most keys are long enough for one load.
        match key.get(from..from + HEAD_BYTES).and_then(<[u8]>::first_chunk) {
            Some(bytes) => u32::from_be_bytes(*bytes),
            None => head(self.suffix(key)),
        }
    }
}

/// Kind and level of a page without [`CHECK_PREFIX`], as the first bytes of the page have them, so that one compare
/// tells all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PlainTop(u32);

impl PlainTop {
    const MASK: u32 = u32::from_le_bytes([0xFF, 0xFF, 0, MUST_KNOW & !HEAD2]);
    const LEAF_MASK: u32 = u32::from_le_bytes([0xFF, 0xFF, 0, MUST_KNOW]);

    /// Returns what a page of this kind and level begins with.
    #[inline(always)]
    pub const fn of(kind: u8, level: u8) -> PlainTop {
        const { assert!(field::KIND == 0 && field::LEVEL == 1 && field::FLAGS == 3) }
        PlainTop(u32::from_le_bytes([kind, level, 0, 0]))
    }

    /// Returns the level.
    #[inline(always)]
    pub const fn level(self) -> u8 {
        (self.0 >> 8) as u8
    }

    /// Returns what a page of the same kind begins with that is one level further down.
    #[inline(always)]
    pub const fn below(self) -> PlainTop {
        PlainTop(self.0 - u32::from_le_bytes([0, 1, 0, 0]))
    }
}

/// Returns the kind of the page.
#[inline(always)]
pub fn kind(page: &[u8]) -> u8 {
    page[field::KIND]
}
/// Returns the level of the page.
#[inline(always)]
pub fn level(page: &[u8]) -> u8 {
    page[field::LEVEL]
}
/// Returns the length of the prefix.
#[inline(always)]
pub fn prefix_len(page: &[u8]) -> usize {
    page[field::PREFIX_LEN] as usize
}
/// Returns the flags.
#[inline(always)]
pub fn flags(page: &[u8]) -> u8 {
    page[field::FLAGS]
}
/// Returns the number of entries or children.
#[inline(always)]
pub fn count(page: &[u8]) -> usize {
    get_u16(page, field::COUNT) as usize
}
/// Returns the number of bytes of the heap, garbage included.
#[inline(always)]
pub fn heap(page: &[u8]) -> usize {
    get_u16(page, field::HEAP) as usize
}
/// Returns the number of garbage bytes in the heap.
#[inline(always)]
pub fn garbage(page: &[u8]) -> usize {
    get_u16(page, field::GARBAGE) as usize
}
/// Returns the table that the page was written for.
#[inline(always)]
pub fn table(page: &[u8]) -> TableId {
    TableId::new(get_u64(page, field::TABLE))
}
/// Returns the number of bytes that each child of a branch takes behind all arrays, for features that this version does
/// not know.
#[inline(always)]
pub fn extra(page: &[u8]) -> usize {
    8 * page[field::EXTRA] as usize
}

/// Checks that the header says nothing that this version does not allow: the flags that a reader must know, and the
/// bytes that are zero.
#[inline(always)]
pub fn check(page: &[u8]) -> Result<(), Damage> {
    const { assert!(field::GARBAGE == 8 && field::EXTRA == 10 && field::ZERO.end == 16) }
    let second = get_u64(page, field::GARBAGE);
    let (zero, known) = match kind(page) {
        // Behind the garbage, and nothing but that.
        LEAF => (second >> 16, CHECK_PREFIX),
        // Behind the numbers of the shape. There are no records either.
        DENSE => (second >> 48 | second & 0xFFFF | heap(page) as u64, CHECK_PREFIX),
        // Behind the number of extra bytes.
        BRANCH => (second >> 24, CHECK_PREFIX | HEAD2),
        _ => return Err(UNKNOWN),
    };
    match zero == 0 && flags(page) & MUST_KNOW & !known == 0 {
        true => Ok(()),
        false => Err(UNKNOWN),
    }
}

/// Returns whether this version knows everything that the header says, so that it may change the page.
#[inline]
pub fn is_known(page: &[u8]) -> bool {
    check(page).is_ok() && flags(page) & !MUST_KNOW == 0 && (kind(page) != BRANCH || page[field::EXTRA] == 0)
}
/// Returns the stored prefix.
#[inline(always)]
pub fn prefix(page: &[u8]) -> &[u8] {
    &page[page.len() - prefix_len(page)..]
}

/// Returns what the entries of a dense leaf have in common, as the header says.
#[inline(always)]
pub fn dense_shape(page: &[u8]) -> DenseShape {
    DenseShape {
        suffix: page[field::DENSE_SUFFIX] as usize,
        element: page[field::DENSE_ELEMENT] as usize,
        value: get_u16(page, field::DENSE_VALUE) as usize,
    }
}

/// Begins a page in `page`: writes the fields of the header that are given, zeros in its other bytes, and the prefix at
/// the end.
pub fn begin(page: &mut [u8], kind: u8, level: u8, table: TableId, prefix: &[u8]) {
    debug_assert!(prefix.len() <= PREFIX_MAX && page.len() <= PAGE_MAX);
    page[..HEADER].fill(0);
    page[field::KIND] = kind;
    page[field::LEVEL] = level;
    page[field::PREFIX_LEN] = prefix.len() as u8;
    put_u64(page, field::TABLE, table.get());
    let at = page.len() - prefix.len();
    page[at..].copy_from_slice(prefix);
}

/// Sets what the entries of a dense leaf have in common.
pub fn set_dense_shape(page: &mut [u8], shape: DenseShape) {
    page[field::DENSE_SUFFIX] = shape.suffix as u8;
    page[field::DENSE_ELEMENT] = shape.element as u8;
    put_u16(page, field::DENSE_VALUE, shape.value as u16);
}

/// Sets the flags.
pub fn set_flags(page: &mut [u8], flags: u8) {
    page[field::FLAGS] = flags;
}
/// Sets the number of entries or children.
#[inline(always)]
pub fn set_count(page: &mut [u8], n: usize) {
    put_u16(page, field::COUNT, n as u16);
}
/// Sets the number of bytes of the heap.
#[inline(always)]
pub fn set_heap(page: &mut [u8], bytes: usize) {
    put_u16(page, field::HEAP, bytes as u16);
}
/// Sets the number of garbage bytes in the heap.
#[inline(always)]
pub fn set_garbage(page: &mut [u8], bytes: usize) {
    put_u16(page, field::GARBAGE, bytes as u16);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns whether a page of this kind with these bytes of its header is read, and whether it may be changed.
    fn answers(kind: u8, bytes: &[(usize, u8)]) -> (bool, bool) {
        let mut page = vec![0; PAGE_MIN];
        begin(&mut page, kind, 1 + u8::from(kind == BRANCH), TableId::MAIN, b"");
        bytes.iter().for_each(|(at, byte)| page[*at] = *byte);
        (check(&page).is_ok(), is_known(&page))
    }

    #[test]
    fn what_a_header_must_not_say_is_refused() {
        for kind in [LEAF, DENSE, BRANCH] {
            let branch = kind == BRANCH;
            assert_eq!(answers(kind, &[]), (true, true));
            assert_eq!(answers(kind, &[(field::FLAGS, CHECK_PREFIX)]), (true, true));
            assert_eq!(answers(kind, &[(field::FLAGS, HEAD2)]), (branch, branch));
            for flag in [4, 8, 0x14] {
                assert_eq!(answers(kind, &[(field::FLAGS, flag)]), (false, false), "{kind} {flag}");
            }
            for flag in [0x10, 0x20, 0x40, 0x80, 0xF1] {
                assert_eq!(answers(kind, &[(field::FLAGS, flag)]), (true, false), "{kind} {flag}");
            }
            assert_eq!(answers(kind, &[(field::EXTRA, 4)]), (kind != LEAF, kind == DENSE));
            for at in 11..14 {
                assert_eq!(answers(kind, &[(at, 1)]).0, kind == DENSE, "{kind} {at}");
            }
            for at in 14..16 {
                assert!(!answers(kind, &[(at, 1)]).0, "{kind} {at}");
            }
            for at in [field::HEAP, field::GARBAGE] {
                assert_eq!(answers(kind, &[(at, 1)]).0, kind != DENSE, "{kind} {at}");
            }
        }
        assert!([0, 4, 255].iter().all(|kind| !answers(*kind, &[]).0));
    }

    #[test]
    fn plain_pages_have_no_flag_that_a_search_must_know() {
        let top = |kind, level, flags| {
            let mut page = vec![0; PAGE_MIN];
            begin(&mut page, kind, level, TableId::MAIN, b"");
            set_flags(&mut page, flags);
            Top::of(&page).expect("a page")
        };
        for flag in (0..8).map(|bit| 1 << bit) {
            let plain = [HEAD2, 0x10, 0x20, 0x40, 0x80].contains(&flag);
            assert_eq!(top(BRANCH, 3, flag).is_plain(PlainTop::of(BRANCH, 3)), plain, "{flag}");
            assert_eq!(top(LEAF, 1, flag).is_plain_leaf(LEAF), plain && flag != HEAD2, "{flag}");
        }
        assert!(!top(LEAF, 1, 0).is_plain_leaf(DENSE) && !top(BRANCH, 2, 0).is_plain(PlainTop::of(BRANCH, 3)));
    }
}
