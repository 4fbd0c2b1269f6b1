//! What docs/format.md says of slots and records.

use super::By::{Check, Newer, Older, Open};
use super::Mutation;
use crate::common::image::{HEIGHT, ROOTS, ROOT_FLAGS, SPILLS};

/// The fields of a slot: section 3.
pub const SLOTS: &[Mutation] = &[
    ("format version: 1", |i| i.slot_byte(8, 0), Older("file format 0")),
    ("format version: 1", |i| i.slot_byte(8, 2), Newer("file format 2")),
    (
        "features that a reader must understand",
        |i| i.slot_byte(15, 1),
        Newer("unknown features"),
    ),
    ("page size P", |i| i.slot_byte(25, 17), Open("page size")),
    (
        "checksum kind: 1 = CRC-32C",
        |i| i.slot_byte(28, 2),
        Newer("a checksum of kind 2"),
    ),
    (
        "checksum width w in bytes: 4",
        |i| i.slot_byte(29, 16),
        Newer("width 16"),
    ),
    (
        "T is 0 in files that were made before version 0.1.0 of libkv",
        |i| i.slot(30, &[0, 0]),
        Older("before 0.1.0"),
    ),
    (
        "256 + 4 (20 + w) = 352",
        |i| i.slot(30, &[97]),
        Open("feature that is not named"),
    ),
    (
        "UUID of the file, the same in every slot",
        |i| i.slot(32, &[1]),
        Open("different databases"),
    ),
    (
        "a random number, the same in every slot",
        |i| i.slot(144, &[1, 2]),
        Open("different databases"),
    ),
    (
        "commit id: 1 for a new file, at most 2^48 - 1",
        |i| i.slot(48, &[0; 8]),
        Open("commit ids"),
    ),
    (
        "commit id: 1 for a new file, at most 2^48 - 1",
        |i| i.slot_byte(54, 1),
        Open("commit ids"),
    ),
    ("no two have the same id", |i| i.same_id(), Open("the same commit")),
    (
        "`base`: the commit known durable when this slot was written; less than the id",
        |i| i.id_at(56),
        Open("commit ids"),
    ),
    (
        "changes of commits up to here; less than the id",
        |i| i.id_at(64),
        Open("commit ids"),
    ),
    (
        "pages of the file, meta pages included; at most 2^40",
        |i| i.slot_byte(85, 2),
        Open("page count"),
    ),
    (
        "pages of the file, meta pages included",
        |i| i.slot(80, &[3, 0, 0, 0]),
        Open("page count"),
    ),
    (
        "dead pages among them",
        |i| i.slot(88, &[0, 0, 0, 1]),
        Open("page count"),
    ),
    (
        "The slot has the number of dead pages",
        |i| i.add(88, 1),
        Check("other dead or parked pages"),
    ),
    (
        "which is named if and only if one of them is not zero",
        |i| i.slot_byte(96, 1),
        Open("feature that is not named"),
    ),
    (
        "which is named if and only if one of them is not zero",
        |i| i.slot_byte(16, 4),
        Open("feature that is not named"),
    ),
    (
        "digest of the main table: zero",
        |i| i.slot_byte(119, 1),
        Open("feature that is not named"),
    ),
    (
        "origin of a copy, a UUID and a commit id: zero",
        |i| i.slot_byte(143, 1),
        Open("feature that is not named"),
    ),
    (
        "block: 0 = page numbers count pages of P bytes",
        |i| i.slot_byte(156, 12),
        Newer("size of blocks 12"),
    ),
    (
        "bytes at the end of each tree page that its layout leaves alone: 0",
        |i| i.slot_byte(157, 32),
        Newer("trailer"),
    ),
    ("cipher: 0 = none", |i| i.slot_byte(158, 1), Newer("cipher 1")),
    (
        "how the wrapping key is made: 0",
        |i| i.slot_byte(159, 1),
        Newer("key derivation 1"),
    ),
    (
        "parameters of that: zero",
        |i| i.slot_byte(160, 1),
        Open("must be zero"),
    ),
    (
        "generation of the wrapping key: zero",
        |i| i.slot_byte(167, 1),
        Open("must be zero"),
    ),
    ("salt: zero", |i| i.slot_byte(168, 1), Open("must be zero")),
    ("wrapped data key: zero", |i| i.slot_byte(231, 1), Open("must be zero")),
    (
        "slot sum: zero for CRC-32C",
        |i| i.slot_byte(240, 1),
        Open("must be zero"),
    ),
    ("| 252 | 4 | zero |", |i| i.slot_byte(255, 1), Open("must be zero")),
    (
        "T + (20 + w) n + m must be at most 4092",
        |i| i.slot_byte(SPILLS, 156),
        Open("too long"),
    ),
    (
        "0 = an empty tree (then all bytes are zero)",
        |i| i.slot_byte(328, 1),
        Open("root"),
    ),
    (
        "| behind | | zeros |",
        |i| i.slot_byte(4091, 1),
        Open("behind the records"),
    ),
    (
        "0 = an empty tree (then all bytes are zero)",
        |i| i.slot_byte(ROOTS[0] + HEIGHT, 0),
        Open("impossible root"),
    ),
    (
        "1 = the page is a leaf; at most 64",
        |i| i.slot_byte(ROOTS[0] + HEIGHT, 65),
        Open("impossible root"),
    ),
    (
        "1 if values or keys outside the leaves may be in the tree, else 0",
        |i| i.slot_byte(ROOTS[0] + ROOT_FLAGS, 3),
        Open("impossible root"),
    ),
    (
        "1 if values or keys outside the leaves may be in the tree, else 0",
        |i| i.both(ROOTS[0] + ROOT_FLAGS, 0),
        Check("says it has none"),
    ),
    (
        "The page must not be a meta page",
        |i| i.slot(ROOTS[1], &[3, 0]),
        Open("impossible root"),
    ),
    (
        "must be below the page count",
        |i| i.slot_byte(ROOTS[1] + 4, 1),
        Open("impossible root"),
    ),
    (
        "the birth must not be above the commit id",
        |i| i.slot_byte(ROOTS[2] + 10, 1),
        Open("impossible root"),
    ),
    (
        "A birth is at least 1",
        |i| i.slot(ROOTS[2] + 6, &[0; 6]),
        Open("impossible root"),
    ),
    (
        "entries of the tree",
        |i| i.both(ROOTS[0] + 12, 0),
        Check("counts of entries disagree"),
    ),
    (
        "the extent must lie inside the file",
        |i| i.spill(&[3, 0, 0, 0, 0, 0, 1]),
        Open("impossible spilled extent"),
    ),
];

/// The records of recent commits: section 4.
// All ids of the base are below 128, so that a byte is a number.
pub const RECORDS: &[Mutation] = &[
    (
        "the last one is that of the slot's own commit",
        |i| i.records(|_| vec![]),
        Open("own record is missing"),
    ),
    (
        "the last one is that of the slot's own commit",
        |i| i.records(|id| vec![id - 1, 0, 0, 0]),
        Open("own record is missing"),
    ),
    (
        "ascending by id",
        |i| i.records(|id| vec![id, 0, 0, 0, id - 1, 0, 0, 0]),
        Open("out of order"),
    ),
    (
        "ascending by id",
        |i| i.records(|id| vec![id + 1, 0, 0, 0]),
        Open("out of order"),
    ),
    (
        "at most ten bytes, at most 2^64 - 1",
        |i| i.records(|_| vec![0xFF; 11]),
        Open("cannot be read"),
    ),
    (
        "at most ten bytes, at most 2^64 - 1",
        |i| i.records(|_| [vec![0xFF; 9], vec![2]].concat()),
        Open("cannot be read"),
    ),
    (
        "`pages` is 1 to 2^32 - 1",
        |i| i.records(|id| vec![id, 1, 4, 0, 0, 0, 0, 0, 0, 0, 0]),
        Open("cannot be read"),
    ),
    (
        "Runs are needed while id > `base`",
        |i| i.records(|id| vec![id, 1, 4, 1, 2, 0, 0, 0, 0, 0, 0]),
        Open("cannot be read"),
    ),
    (
        "which are 1 to 1 MiB",
        |i| i.records(|id| vec![id, 1, 4, 1, 1, 0, 0, 0, 0, 0, 0, 0]),
        Open("cannot be read"),
    ),
    (
        "which are 1 to 1 MiB",
        |i| i.records(|id| vec![id, 1, 4, 1, 1, 0x81, 0x20, 0, 0, 0, 0, 0, 0]),
        Open("cannot be read"),
    ),
    (
        "All runs and extents lie inside the file",
        |i| i.records(|id| vec![id, 1, 3, 1, 0, 0, 0, 0, 0, 0, 0]),
        Open("cannot be read"),
    ),
    (
        "All runs and extents lie inside the file",
        |i| i.records(|id| vec![id, 0, 1, 0xFF, 0xFF, 0x7F, 2, 0, 0]),
        Open("cannot be read"),
    ),
    (
        "All runs and extents lie inside the file",
        |i| i.records(|id| vec![id, 0, 0, 1, 0xFF, 0xFF, 0x7F, 1]),
        Open("cannot be read"),
    ),
    (
        "and of a freed extent 1 to 2^31 - 1",
        |i| i.records(|id| vec![id, 0, 1, 4, 1, 0, 0]),
        Open("cannot be read"),
    ),
    (
        "its birth is id - age",
        |i| i.records(|id| vec![id, 0, 1, 4, 2, id + 1, 0]),
        Open("cannot be read"),
    ),
    (
        "A **taken** run was dead before this commit",
        |i| i.take_a_used_page(),
        Check("takes pages that are not dead"),
    ),
    (
        "A page below the page count is exactly one of",
        |i| i.free_a_used_page(),
        Check("in use"),
    ),
    (
        "A **freed** extent died in this commit",
        |i| i.free_a_dead_page(),
        Check("frees dead pages"),
    ),
];
