//! What docs/format.md says of the pages of trees.

use super::By::Check;
use super::{Kind, Mutation};

/// The headers of tree pages: section 7, and what section 6 says of all pages.
pub const HEADERS: &[Mutation] = &[
    (
        "1 slotted leaf, 2 dense leaf, 3 branch",
        |i| i.page(Kind::Slotted, 0, 4),
        Check("not a leaf"),
    ),
    (
        "A reader must check the level",
        |i| i.page(Kind::Slotted, 1, 2),
        Check("another level"),
    ),
    (
        "A reader must check the level",
        |i| i.page(Kind::Branch, 1, 3),
        Check("another level"),
    ),
    ("4 and 8: zero", |i| i.page(Kind::Slotted, 3, 4), Check("unknown flags")),
    ("4 and 8: zero", |i| i.page(Kind::Branch, 3, 8), Check("unknown flags")),
    (
        "2 `HEAD2` (branch only)",
        |i| i.page(Kind::Slotted, 3, 2),
        Check("unknown flags"),
    ),
    (
        "2 `HEAD2` (branch only)",
        |i| i.page(Kind::Dense, 3, 2),
        Check("unknown flags"),
    ),
    (
        "n: entries or children, at least 1",
        |i| i.page(Kind::Dense, 4, 0),
        Check("empty leaf"),
    ),
    (
        "bytes of records, garbage included (dense leaf: 0)",
        |i| i.page(Kind::Dense, 6, 1),
        Check("unknown flags or fields"),
    ),
    (
        "bytes of the heap that no record uses (dense leaf: 0)",
        |i| i.page(Kind::Dense, 8, 1),
        Check("unknown flags or fields"),
    ),
    (
        "The records together with the garbage fill the heap",
        |i| i.page_add(Kind::Slotted, 8, 1),
        Check("heap and garbage"),
    ),
    (
        "Arrays, heap and prefix must not overlap",
        |i| i.page(Kind::Slotted, 7, 0x0F),
        Check("arrays beyond the page"),
    ),
    ("no two records overlap", |i| i.same_record(), Check("overlap")),
    (
        "dense leaf: suffix width, 1 to 8; slotted leaf: zero",
        |i| i.page(Kind::Slotted, 10, 1),
        Check("unknown flags or fields"),
    ),
    (
        "dense leaf: suffix width, 1 to 8; slotted leaf: zero",
        |i| i.page(Kind::Dense, 10, 9),
        Check("not a leaf"),
    ),
    (
        "dense leaf: element width c = 1, 2, 4 or 8; else zero",
        |i| i.page(Kind::Slotted, 11, 1),
        Check("unknown flags or fields"),
    ),
    (
        "dense leaf: element width c = 1, 2, 4 or 8; else zero",
        |i| i.page(Kind::Branch, 11, 1),
        Check("unknown flags or fields"),
    ),
    (
        "dense leaf: value width v; else zero",
        |i| i.page(Kind::Slotted, 13, 1),
        Check("unknown flags or fields"),
    ),
    (
        "dense leaf: value width v; else zero",
        |i| i.page(Kind::Branch, 12, 1),
        Check("unknown flags or fields"),
    ),
    (
        "| 14 | 2 | `ZERO` | zero |",
        |i| i.page(Kind::Slotted, 15, 1),
        Check("unknown flags or fields"),
    ),
    (
        "| 14 | 2 | `ZERO` | zero |",
        |i| i.page(Kind::Dense, 14, 1),
        Check("unknown flags or fields"),
    ),
    (
        "| 14 | 2 | `ZERO` | zero |",
        |i| i.page(Kind::Branch, 14, 1),
        Check("unknown flags or fields"),
    ),
    (
        "number of the table that the page was written for",
        |i| i.page(Kind::Slotted, 20, 1),
        Check("another table"),
    ),
    (
        "every key that is routed to the page begins with the prefix",
        |i| i.prefix(),
        Check("page's prefix"),
    ),
];

/// The entries of leaves: sections 8, 9, 11 and 12.
pub const LEAVES: &[Mutation] = &[
    (
        "with the entries in key order",
        |i| i.swap_heads(Kind::Slotted),
        Check("keys out of order"),
    ),
    ("fingerprints, one byte each", |i| i.fingerprint(), Check("fingerprint")),
    (
        "padded with zeros on the right if there are fewer than four",
        |i| i.head_padding(),
        Check("padded"),
    ),
    (
        "s, the number of inline suffix bytes; bit 14: zero",
        |i| i.lengths(1, 0x40),
        Check("later version"),
    ),
    (
        "z, the number of value bytes in the record",
        |i| i.lengths(3, 0x3F),
        Check("value outside its page"),
    ),
    (
        "suffixes in key order",
        |i| i.swap_elements(),
        Check("keys out of order"),
    ),
    (
        "c is the suffix width rounded up to a power of two",
        |i| i.element(),
        Check("not a leaf"),
    ),
    (
        "padded with zeros **on the right** to c bytes",
        |i| i.element_padding(),
        Check("padded"),
    ),
    (
        "A key in a leaf is **long** if it is longer than P - 307 bytes",
        |i| i.rest(0, &[0x40, 1, 0]),
        Check("length of a long key"),
    ),
    (
        "length of the whole key: 289 to 2^21",
        |i| i.rest(0, &[0x20, 1, 0]),
        Check("length of a long key"),
    ),
    (
        "length of the whole key: 289 to 2^21",
        |i| i.rest(2, &[0x20]),
        Check("length of a long key"),
    ),
    (
        "prefix and inline suffix together are exactly 288 bytes",
        |i| i.long_key_suffix(),
        Check(""),
    ),
    (
        "of the bytes of the rest behind those; 0 if there are none",
        |i| i.rest(20, &[1]),
        Check("checksum of nothing"),
    ),
    (
        "| 4 | 6 | first page of the rest |",
        |i| i.rest(8, &[1]),
        Check("leaves the file"),
    ),
    (
        "length of the value, at least 1",
        |i| i.chain(0, &[0; 6]),
        Check("description of a long value"),
    ),
    ("Bits 1 to 7: zero", |i| i.chain(6, &[2]), Check("later version")),
    (
        "Values of up to 32 pieces must use kind 0",
        |i| i.chain(6, &[1]),
        Check("description of a long value"),
    ),
    (
        "e: number of extents, 1 to 8",
        |i| i.chain(7, &[0]),
        Check("description of a long value"),
    ),
    (
        "e: number of extents, 1 to 8",
        |i| i.chain(7, &[9]),
        Check("description of a long value"),
    ),
    (
        "The extents together have exactly the pages that the length needs",
        |i| i.chain(14, &[200]),
        Check("description of a long value"),
    ),
    (
        "All extents but the last hold a multiple of 1 MiB",
        |i| i.chain(7, &[2]),
        Check("description of a long value"),
    ),
    (
        "bits 40 to 47 of every field of a page are zero",
        |i| i.chain(13, &[1]),
        Check("leaves the file"),
    ),
    (
        "Only one path leads to a page",
        |i| i.same_chain(),
        Check("reached twice"),
    ),
];

/// Branches: section 10, and what section 6 says of pointers.
pub const BRANCHES: &[Mutation] = &[
    (
        "Page numbers are below 2^40",
        |i| i.child_byte(4, 5, 1),
        Check("leaves the file"),
    ),
    (
        "a child's is never above its parent's",
        |i| i.child_byte(10, 4, 1),
        Check("younger than its parent"),
    ),
    (
        "A birth is at least 1",
        |i| i.child(10, &[0; 6]),
        Check("no commit wrote"),
    ),
    (
        "number of entries in the leaves below it",
        |i| i.child_add(16),
        Check("counts of entries disagree"),
    ),
    (
        "Only one path leads to a page",
        |i| i.same_child(),
        Check("reached twice"),
    ),
    (
        "**Separator 0 is empty** (head 0, offset 0",
        |i| i.first_separator(0),
        Check("first separator"),
    ),
    (
        "**Separator 0 is empty** (head 0, offset 0",
        |i| i.first_separator(22),
        Check("first separator"),
    ),
    (
        "The others ascend strictly",
        |i| i.swap_heads(Kind::Branch),
        Check("separators out of order"),
    ),
    (
        "padded with zeros on the right if there are fewer than four",
        |i| i.separator_padding(),
        Check("padded"),
    ),
    (
        "s, the number of inline suffix bytes; bit 14: zero",
        |i| i.separator_length(0x40),
        Check("later version"),
    ),
    (
        "The second head is the head of what follows",
        |i| i.second_head(),
        Check("second heads"),
    ),
    (
        "The run prefix is the number r of remainder bytes that these members share",
        |i| i.run_prefix(),
        Check("second heads"),
    ),
    (
        "For all other separators both are 0",
        |i| i.second_head_of_the_first(),
        Check("second heads"),
    ),
    (
        "Arrays, heap and prefix must not overlap",
        |i| i.page(Kind::Branch, 10, 255),
        Check("not a branch"),
    ),
];
