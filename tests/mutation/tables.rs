//! What docs/format.md says of the catalogue and of dead pages.

use super::By::Check;
use super::Mutation;
use crate::common::image::{HEIGHT, ROOT_FLAGS};

/// The catalogue, the list of names and the space tree: sections 14 and 15.
pub const TABLES: &[Mutation] = &[
    (
        "The page must not be a meta page",
        |i| i.record_bytes(0, &[2, 0]),
        Check("no tree can have"),
    ),
    (
        "must be below the page count",
        |i| i.record_bytes(4, &[1]),
        Check("no tree can have"),
    ),
    (
        "its birth is not above that of the page that the record is in",
        |i| i.record_bytes(6, &[120]),
        Check("no tree can have"),
    ),
    (
        "A birth is at least 1",
        |i| i.record_bytes(6, &[0; 6]),
        Check("no tree can have"),
    ),
    (
        "1 = the page is a leaf; at most 64",
        |i| i.record_bytes(HEIGHT, &[65]),
        Check("no tree can have"),
    ),
    (
        "0 = an empty tree (then all bytes are zero)",
        |i| i.record_bytes(HEIGHT, &[0]),
        Check("malformed"),
    ),
    (
        "1 if values or keys outside the leaves may be in the tree, else 0",
        |i| i.record_bytes(ROOT_FLAGS, &[4]),
        Check("malformed"),
    ),
    (
        "the name, 1 to 512 bytes",
        |i| i.record_bytes(24, &[0]),
        Check("name of a wrong length"),
    ),
    (
        "the name, 1 to 512 bytes",
        |i| i.record_bytes(24, &[255, 255]),
        Check("malformed"),
    ),
    (
        "x: bytes of the extension, at most 256",
        |i| i.record_bytes(28, &[255, 255]),
        Check("malformed"),
    ),
    (
        "for each tag, tags ascending",
        |i| i.record_bytes(28, &[3]),
        Check("malformed"),
    ),
    (
        "It holds the same names as the catalogue's records",
        |i| i.record_bytes(30, b"F"),
        Check("differs from the catalogue"),
    ),
    (
        "There is none under key 2",
        |i| i.record_key(2),
        Check("a number that no table has"),
    ),
    (
        "256 to 2^53 - 1",
        |i| i.record_key(1 << 53),
        Check("a number that no table has"),
    ),
    (
        "its root is zero, because that of the main table is in the slot",
        |i| i.record_key(0),
        Check("root of the main table"),
    ),
    (
        "empty if the number is below 256",
        |i| i.record_key(200),
        Check("name of a wrong length"),
    ),
    ("Extents do not overlap", |i| i.dead(8, |n| n + 1), Check("")),
    (
        "none crosses a zone border",
        |i| i.dead(8, |n| n + 70_000),
        Check("border of a zone"),
    ),
    (
        "The birth is not above the death",
        |i| i.dead(12, |n| n + (1 << 40)),
        Check("died before"),
    ),
    (
        "the death not above the commit id",
        |i| i.dead(18, |n| n + (1 << 40)),
        Check("die later"),
    ),
    (
        "| key | 1 | `80` |",
        |i| i.dead(0, |n| n | 0x80),
        Check("parked extent is malformed"),
    ),
    (
        "A page below the page count is exactly one of",
        |i| i.dead(8, |n| n - 1),
        Check("dead"),
    ),
];
