//! Where everything lies in a tree page. Each array, each record and each of their fields is named here once, and all
//! readers and writers use these names; `docs/format.md` cites them.
//!
//! ```text
//! header | arrays of n elements each, one behind the other | free | records | prefix
//! ```
//!
//! An array is known by the bytes that one element takes in it and in all arrays before it. Array `A` of a page with
//! `n` elements begins `A.before * n` bytes behind the header.

use crate::util::bytes::{get_u16, get_u32, get_u48, put_u16, put_u32, put_u48};

/// Bytes of the header that every tree page begins with.
pub const HEADER: usize = 24;

/// Where the fields of the header begin.
pub mod header {
    /// Kind: slotted leaf, dense leaf or branch.
    pub const KIND: usize = 0;
    /// Level, which is 1 for a leaf.
    pub const LEVEL: usize = 1;
    /// Length of the prefix.
    pub const PREFIX_LEN: usize = 2;
    /// Flags.
    pub const FLAGS: usize = 3;
    /// Entries or children.
    pub const COUNT: usize = 4;
    /// Bytes of the heap, garbage included.
    pub const HEAP: usize = 6;
    /// Bytes of garbage in the heap.
    pub const GARBAGE: usize = 8;
    /// Dense leaf: bytes of a suffix.
    pub const DENSE_SUFFIX: usize = 10;
    /// Branch: an eighth of the number of bytes that each child takes behind all arrays, for features of later
    /// versions.
    pub const EXTRA: usize = 10;
    /// Dense leaf: bytes of an element of the array of suffixes.
    pub const DENSE_ELEMENT: usize = 11;
    /// Dense leaf: bytes of a value.
    pub const DENSE_VALUE: usize = 12;
    /// Bytes that are zero.
    pub const ZERO: std::ops::Range<usize> = 14..16;
    /// Table that the page was written for.
    pub const TABLE: usize = 16;
}

/// Bytes of a key suffix that its page keeps in an array of heads and not in a record.
pub const HEAD_BYTES: usize = 4;

/// Widths of elements in bytes.
const U8: usize = 1;
const U16: usize = 2;
const U32: usize = 4;
const U48: usize = 6;

/// An array behind the header: each element takes `WIDTH` bytes, and `BEFORE` in the arrays before this one.
#[derive(Debug, Clone, Copy)]
pub struct Array<const BEFORE: usize, const WIDTH: usize>;

impl<const BEFORE: usize, const WIDTH: usize> Array<BEFORE, WIDTH> {
    /// Returns the number of bytes that an element takes in this array and in those before it, which is what the next
    /// array has before it.
    pub const fn end(self) -> usize {
        BEFORE + WIDTH
    }

    /// Returns the number of bytes of an element.
    #[inline(always)]
    pub const fn width(self) -> usize {
        WIDTH
    }

    /// Returns where element `i` of a page with `n` elements begins. With `i == n` it returns where the array ends.
    #[inline(always)]
    pub const fn at(self, n: usize, i: usize) -> usize {
        HEADER + BEFORE * n + WIDTH * i
    }

    /// Returns the array as one of several of different widths.
    pub const fn strides(self) -> Strides {
        Strides {
            before: BEFORE,
            width: WIDTH,
        }
    }
}

impl<const BEFORE: usize> Array<BEFORE, U8> {
    /// Returns element `i` of `n`.
    #[inline(always)]
    pub fn get(self, page: &[u8], n: usize, i: usize) -> u8 {
        page[self.at(n, i)]
    }

    /// Sets element `i` of `n`.
    #[inline(always)]
    pub fn set(self, page: &mut [u8], n: usize, i: usize, value: u8) {
        page[self.at(n, i)] = value;
    }
}

impl<const BEFORE: usize> Array<BEFORE, U16> {
    /// Returns element `i` of `n`.
    #[inline(always)]
    pub fn get(self, page: &[u8], n: usize, i: usize) -> u16 {
        get_u16(page, self.at(n, i))
    }

    /// Sets element `i` of `n`.
    #[inline(always)]
    pub fn set(self, page: &mut [u8], n: usize, i: usize, value: u16) {
        put_u16(page, self.at(n, i), value);
    }
}

impl<const BEFORE: usize> Array<BEFORE, U32> {
    /// Returns element `i` of `n`.
    #[inline(always)]
    pub fn get(self, page: &[u8], n: usize, i: usize) -> u32 {
        get_u32(page, self.at(n, i))
    }

    /// Sets element `i` of `n`.
    #[inline(always)]
    pub fn set(self, page: &mut [u8], n: usize, i: usize, value: u32) {
        put_u32(page, self.at(n, i), value);
    }
}

impl<const BEFORE: usize> Array<BEFORE, U48> {
    /// Returns element `i` of `n`.
    #[inline(always)]
    pub fn get(self, page: &[u8], n: usize, i: usize) -> u64 {
        get_u48(page, self.at(n, i))
    }

    /// Sets element `i` of `n`.
    #[inline(always)]
    pub fn set(self, page: &mut [u8], n: usize, i: usize, value: u64) {
        put_u48(page, self.at(n, i), value);
    }
}

/// An [`Array`] whose numbers are values, for loops over all arrays of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Strides {
    /// Bytes an element takes in the arrays before this one.
    pub before: usize,
    /// Bytes an element takes in this one.
    pub width: usize,
}

impl Strides {
    /// Returns what [`Array::at`] returns.
    #[inline(always)]
    pub const fn at(self, n: usize, i: usize) -> usize {
        HEADER + self.before * n + self.width * i
    }
}

/// Makes room for an element at `i` in each of `arrays`, which are all those of a page of `n` elements in their order.
/// What the new element holds is undefined until it is set.
#[inline]
pub fn open_gap(page: &mut [u8], arrays: &[Strides], n: usize, i: usize) {
    // The elements of one array from `i` on and those of the next one before `i` lie side by side and move equally far.
    // The last ones move first, because they move furthest.
    for (k, array) in arrays.iter().enumerate().rev() {
        let end = arrays.get(k + 1).map_or(array.at(n, n), |next| next.at(n, i));
        page.copy_within(array.at(n, i)..end, array.at(n + 1, i + 1));
    }
}

/// Takes element `i` out of each of `arrays`, which are all those of a page of `n` elements in their order.
#[inline]
pub fn close_gap(page: &mut [u8], arrays: &[Strides], n: usize, i: usize) {
    // The same bytes move together as in `open_gap`, but the first ones move first.
    for (k, array) in arrays.iter().enumerate() {
        let end = arrays.get(k + 1).map_or(array.at(n, n), |next| next.at(n, i));
        page.copy_within(array.at(n, i + 1)..end, array.at(n - 1, i));
    }
}

/// The first array of slotted leaves and of branches: heads of keys or separators, ascending.
pub const HEADS: Array<0, U32> = Array;

/// Arrays of a slotted leaf.
pub mod leaf {
    pub use super::HEADS;
    use super::{Array, Strides, U16, U8};

    /// Fingerprints of the keys.
    pub const FINGERPRINTS: Array<{ HEADS.end() }, U8> = Array;
    /// Where the records begin, counted from the start of the page.
    pub const OFFSETS: Array<{ FINGERPRINTS.end() }, U16> = Array;
    /// Bytes an entry takes in the arrays.
    pub const ENTRY: usize = OFFSETS.end();
    /// All arrays of a slotted leaf.
    pub const ARRAYS: [Strides; 3] = [HEADS.strides(), FINGERPRINTS.strides(), OFFSETS.strides()];
}

/// Arrays of a branch.
pub mod branch {
    pub use super::HEADS;
    use super::{Array, Strides, U16, U32, U48, U8};

    /// Where the children are.
    pub const PAGES: Array<{ HEADS.end() }, U48> = Array;
    /// Commits that wrote the children.
    pub const BIRTHS: Array<{ PAGES.end() }, U48> = Array;
    /// Entries below the children.
    pub const ENTRIES: Array<{ BIRTHS.end() }, U48> = Array;
    /// Where the separators' records begin, counted from the start of the page. A number up to [`super::HEAD_BYTES`] is
    /// not an offset but the length of a separator that has no record, because all of it is in its head.
    pub const OFFSETS: Array<{ ENTRIES.end() }, U16> = Array;
    /// Checksums of the children. They come last, so that no other array depends on their width.
    pub const CHECKSUMS: Array<{ OFFSETS.end() }, U32> = Array;
    /// Bytes a child takes in the arrays.
    pub const CHILD: usize = CHECKSUMS.end();
    /// All arrays of a branch, except those that only some pages have.
    pub const ARRAYS: [Strides; 6] = [
        HEADS.strides(),
        PAGES.strides(),
        BIRTHS.strides(),
        ENTRIES.strides(),
        OFFSETS.strides(),
        CHECKSUMS.strides(),
    ];

    /// Heads of what follows the bytes that all separators of a run share. Only pages with `HEAD2` have them.
    pub const SECOND_HEADS: Array<{ CHILD }, U32> = Array;
    /// How many bytes of the remainder all separators of the run share. Only pages with `HEAD2` have these.
    pub const RUN_PREFIXES: Array<{ SECOND_HEADS.end() }, U8> = Array;
    /// Bytes a child takes in the arrays of a page with `HEAD2`.
    pub const CHILD_WITH_HEAD2: usize = RUN_PREFIXES.end();
    /// All arrays of a page with `HEAD2`.
    pub const ARRAYS_WITH_HEAD2: [Strides; 8] = [
        HEADS.strides(),
        PAGES.strides(),
        BIRTHS.strides(),
        ENTRIES.strides(),
        OFFSETS.strides(),
        CHECKSUMS.strides(),
        SECOND_HEADS.strides(),
        RUN_PREFIXES.strides(),
    ];
}

/// The suffixes of a dense leaf, if an element takes so many bits. Where the width is not known before the page is
/// read, [`DenseShape`] says where things are.
pub mod dense {
    use super::Array;

    /// Elements of 2 bytes.
    pub const SUFFIXES_16: Array<0, 2> = Array;
    /// Elements of 4 bytes.
    pub const SUFFIXES_32: Array<0, 4> = Array;
    /// Elements of 8 bytes.
    pub const SUFFIXES_64: Array<0, 8> = Array;
}

/// What the entries of a dense leaf have in common: their arrays are suffixes and, behind them, values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DenseShape {
    /// Bytes of a key suffix, 1 to 8.
    pub suffix: usize,
    /// Bytes of an element in the array of suffixes: those of a suffix, rounded up to a power of two.
    pub element: usize,
    /// Bytes of a value.
    pub value: usize,
}

impl DenseShape {
    /// The longest suffix that a dense leaf can hold.
    pub const SUFFIX_MAX: usize = 8;

    /// Returns the shape of suffixes and values of these lengths, or `None` if such suffixes go into no dense leaf.
    #[inline(always)]
    pub fn of(suffix: usize, value: usize) -> Option<DenseShape> {
        let element = suffix.next_power_of_two();
        let shape = DenseShape { suffix, element, value };
        (1..=DenseShape::SUFFIX_MAX).contains(&suffix).then_some(shape)
    }

    /// Returns the shape of suffixes and values of these lengths if a leaf of them is better dense than slotted, else
    /// `None`.
    ///
    /// A dense leaf whose values cease to have one length becomes slotted, and then some of its entries do not fit it
    /// any more. Where a dense leaf holds few entries more than a slotted one, that is not worth it.
    #[inline(always)]
    pub fn worth_it(suffix: usize, value: usize) -> Option<DenseShape> {
        let slotted = leaf::ENTRY + record::LENGTHS + suffix.saturating_sub(HEAD_BYTES) + value;
        DenseShape::of(suffix, value).filter(|shape| 8 * shape.entry() <= 7 * slotted)
    }

    /// Returns the two arrays.
    pub const fn arrays(self) -> [Strides; 2] {
        let (before, width) = (0, self.element);
        let suffixes = Strides { before, width };
        let (before, width) = (self.element, self.value);
        [suffixes, Strides { before, width }]
    }

    /// Returns the number of bytes that an entry takes.
    #[inline(always)]
    pub const fn entry(self) -> usize {
        self.element + self.value
    }

    /// Returns where suffix `i` begins. With `i` equal to the number of entries it returns where the suffixes end.
    #[inline(always)]
    pub const fn suffix_at(self, i: usize) -> usize {
        HEADER + self.element * i
    }

    /// Returns where value `i` of `n` begins. With `i == n` it returns where the values end.
    #[inline(always)]
    pub const fn value_at(self, n: usize, i: usize) -> usize {
        HEADER + self.element * n + self.value * i
    }

    /// Returns where the arrays of `n` entries end.
    #[inline(always)]
    pub const fn end(self, n: usize) -> usize {
        HEADER + self.entry() * n
    }
}

/// The record of an entry in a slotted leaf: two lengths, the key's remainder, the value.
pub mod record {
    use super::{get_u32, put_u32, HEAD_BYTES};

    /// Bytes of the two lengths.
    pub const LENGTHS: usize = 4;
    /// Bytes of the description of a long key's rest, which ends its remainder.
    pub const REST: usize = 24;
    /// Bit of a length: the key goes on outside the page, or the value is outside it.
    pub const LONG: u16 = 0x8000;
    /// Bit of a key's length that says that more follows the lengths, in later versions. Readers refuse it.
    pub const EXT: u16 = 0x4000;
    /// The bits of a key's length that are one.
    const KEY_BITS: u16 = !(LONG | EXT);

    /// Returns the number of bytes that a stored suffix has behind its head. Those of a long one include the
    /// description of its rest.
    #[inline(always)]
    pub const fn remainder(suffix: usize, long: bool) -> usize {
        suffix.saturating_sub(HEAD_BYTES) + if long { REST } else { 0 }
    }

    /// Returns a length with its bit, as it is stored.
    #[inline(always)]
    pub const fn flagged(len: usize, long: bool) -> u16 {
        len as u16 | if long { LONG } else { 0 }
    }

    /// What a record begins with: the key's length in the low half and the value's in the high one, each with its
    /// [`LONG`].
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Lengths(u32);

    impl Lengths {
        const KEY_LONG: u32 = LONG as u32;
        const VALUE_LONG: u32 = (LONG as u32) << 16;
        const KEY_EXT: u32 = EXT as u32;

        /// Returns the lengths of a key suffix and a value.
        #[inline(always)]
        pub const fn new(key: u16, value: u16) -> Lengths {
            Lengths(key as u32 | (value as u32) << 16)
        }

        /// Returns the lengths that are stored in these bytes.
        #[inline(always)]
        pub const fn of(bytes: [u8; LENGTHS]) -> Lengths {
            Lengths(u32::from_le_bytes(bytes))
        }

        /// Returns the lengths of the record at `at`, or `None` if they leave the page.
        #[inline(always)]
        pub fn read(page: &[u8], at: usize) -> Option<Lengths> {
            Some(Lengths(get_u32(page.get(at..at + LENGTHS)?, 0)))
        }

        /// Writes the lengths at `at`, where a record begins.
        #[inline(always)]
        pub fn write(self, page: &mut [u8], at: usize) {
            put_u32(page, at, self.0);
        }

        /// Returns whether neither is [`LONG`] and nothing else is said, so that key and value lie in the page whole.
        #[inline(always)]
        pub const fn is_whole(self) -> bool {
            self.0 & (Lengths::KEY_LONG | Lengths::KEY_EXT | Lengths::VALUE_LONG) == 0
        }

        /// Returns whether [`EXT`] is set: the record is of a later version.
        #[inline(always)]
        pub const fn is_extended(self) -> bool {
            self.0 & Lengths::KEY_EXT != 0
        }

        /// Returns whether the key is long.
        #[inline(always)]
        pub const fn key_is_long(self) -> bool {
            self.0 & Lengths::KEY_LONG != 0
        }

        /// Returns whether the value bytes describe a chain.
        #[inline(always)]
        pub const fn value_is_chain(self) -> bool {
            self.0 & Lengths::VALUE_LONG != 0
        }

        /// Returns the number of bytes of the key's suffix that lie in the page, those in the head included.
        #[inline(always)]
        pub const fn key(self) -> usize {
            (self.0 as u16 & KEY_BITS) as usize
        }

        /// Returns the number of bytes of the value in the record.
        #[inline(always)]
        pub const fn value(self) -> usize {
            ((self.0 >> 16) as u16 & !LONG) as usize
        }

        /// Returns what [`Lengths::key`] returns, if [`Lengths::is_whole`].
        #[inline(always)]
        pub const fn whole_key(self) -> usize {
            self.0 as u16 as usize
        }

        /// Returns what [`Lengths::value`] returns, if [`Lengths::is_whole`].
        #[inline(always)]
        pub const fn whole_value(self) -> usize {
            (self.0 >> 16) as usize
        }

        /// Returns how far behind the record's beginning its value begins, if [`Lengths::is_whole`].
        #[inline(always)]
        pub const fn whole_value_at(self) -> usize {
            LENGTHS + self.whole_key().saturating_sub(HEAD_BYTES)
        }

        /// Returns the number of bytes between the lengths and the value.
        #[inline(always)]
        pub const fn remainder(self) -> usize {
            remainder(self.key(), self.key_is_long())
        }

        /// Returns the number of bytes of the record.
        #[inline(always)]
        pub const fn record(self) -> usize {
            LENGTHS + self.remainder() + self.value()
        }
    }

    /// The record of a branch's separator: its length and its remainder.
    pub mod separator {
        use crate::util::bytes::try_u16;

        /// Bytes of the length.
        pub const LENGTH: usize = 2;

        /// Returns the length at `at` and whether its [`super::LONG`] is set, or `None` if it leaves the page or the
        /// record is of a later version.
        #[inline(always)]
        pub fn read(page: &[u8], at: usize) -> Option<(usize, bool)> {
            let raw = try_u16(page, at)?;
            let long = raw & super::LONG != 0;
            (raw & super::EXT == 0).then_some(((raw & super::KEY_BITS) as usize, long))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of `docs/format.md`, sections 8 and 10.
    #[test]
    fn arrays_lie_where_the_format_says() {
        let strides =
            |arrays: &[Strides]| -> Vec<(usize, usize)> { arrays.iter().map(|a| (a.before, a.width)).collect() };
        assert_eq!(HEADER, 24);
        assert_eq!(strides(&leaf::ARRAYS), [(0, 4), (4, 1), (5, 2)]);
        assert_eq!(leaf::ENTRY, 7);
        assert_eq!(
            strides(&branch::ARRAYS),
            [(0, 4), (4, 6), (10, 6), (16, 6), (22, 2), (24, 4)]
        );
        let second = [branch::SECOND_HEADS.strides(), branch::RUN_PREFIXES.strides()];
        assert_eq!(strides(&second), [(28, 4), (32, 1)]);
        assert_eq!((branch::CHILD, branch::CHILD_WITH_HEAD2), (28, 33));
    }

    /// A gap opened and filled in every array, and closed again, leaves all other elements as they were.
    #[test]
    fn gaps_open_and_close() {
        for arrays in [&leaf::ARRAYS[..], &branch::ARRAYS] {
            let element = |array: &Strides, x: usize| vec![(16 * x + array.before) as u8; array.width];
            for n in 0..9 {
                for i in 0..=n {
                    let mut page = vec![0; 4096];
                    let write = |page: &mut [u8], array: &Strides, n, at, x| {
                        let at = array.at(n, at);
                        page[at..at + array.width].copy_from_slice(&element(array, x));
                    };
                    arrays
                        .iter()
                        .for_each(|array| (0..n).for_each(|x| write(&mut page, array, n, x, x)));
                    let before = page.clone();
                    open_gap(&mut page, arrays, n, i);
                    arrays.iter().for_each(|array| write(&mut page, array, n + 1, i, 15));
                    for array in arrays {
                        for x in 0..n + 1 {
                            let at = array.at(n + 1, x);
                            let want = match x {
                                _ if x == i => 15,
                                _ if x > i => x - 1,
                                _ => x,
                            };
                            assert_eq!(
                                page[at..at + array.width],
                                element(array, want),
                                "{array:?} {n} {i} {x}"
                            );
                        }
                    }
                    close_gap(&mut page, arrays, n + 1, i);
                    let end = arrays[arrays.len() - 1].at(n, n);
                    assert_eq!(page[..end], before[..end]);
                }
            }
        }
    }

    #[test]
    fn lengths_are_told_apart() {
        for (key, value) in [(0, 0), (3, 5), (4, 0x7FFF), (0x3FFF, 1)] {
            for (long, chain) in [(false, false), (true, false), (false, true), (true, true)] {
                let lengths = Lengths::new(flagged(key, long), flagged(value, chain));
                let mut page = [0; 8];
                lengths.write(&mut page, 3);
                assert_eq!(Lengths::read(&page, 3), Some(lengths));
                assert_eq!(Lengths::read(&page, 5), None);
                assert_eq!((lengths.key(), lengths.value()), (key, value));
                assert_eq!((lengths.key_is_long(), lengths.value_is_chain()), (long, chain));
                assert_eq!(lengths.is_whole(), !long && !chain);
                let extended = Lengths::new(flagged(key, long) | record::EXT, flagged(value, chain));
                assert!(!extended.is_whole() && extended.is_extended() && !lengths.is_extended());
                assert_eq!(extended.key(), key);
                assert_eq!(lengths.remainder(), key.saturating_sub(4) + if long { 24 } else { 0 });
            }
        }
    }

    use record::{flagged, Lengths};
}
