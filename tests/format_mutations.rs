//! Each sentence of docs/format.md that can be checked is broken in a good file, with every checksum repaired up to the
//! slots, and somebody has to refuse the file: opening it or checking it. The tables quote the sentence, so that a change
//! of the text is noticed here.
//!
//! What the text allows readers to pass over is set as well, and has to change nothing.

mod common;
mod mutation;

use common::image::{CHECKSUM, HEIGHT, INLINE, RECORDS, ROOT, ROOTS, ROOT_FLAGS, SPILLS};
use common::tmp::TempDir;
use kv::{BackupOptions, Db, Error, Job, Options, PutMode, Range, Reader, Result, TableId, WriteOptions};
use mutation::{base, quoted, Image, Kind, LONG_VALUES, MAIN_TABLES};

/// Who refuses a file, and in which words.
#[derive(Debug, Clone, Copy, PartialEq)]
enum By {
    /// Opening says that the file is older, newer, or damaged in these words.
    Older(&'static str),
    Newer(&'static str),
    Open(&'static str),
    /// A check finds it, in these words.
    Check(&'static str),
}
use By::{Check, Newer, Older, Open};

/// A sentence of the text, how it is broken, and who answers.
type Mutation = (&'static str, fn(&mut Image), By);

/// Opens and checks the file. Returns what opening said, and the faults.
fn answers(image: &Image) -> (Option<Error>, Vec<String>) {
    let dir = TempDir::new("mutation");
    let path = dir.file("a.kv");
    std::fs::write(&path, &image.bytes).expect("write");
    let options = Options {
        existing: true,
        ..Options::default()
    };
    let mut faults = Vec::new();
    let checked = Db::open(&path, &options).and_then(|db| {
        db.check(true, &mut |fault| {
            faults.push(fault.what.clone());
            true
        })
    });
    (checked.err(), faults)
}

fn try_all(mutations: &[Mutation]) {
    let good = base();
    let mut repaired = good.clone();
    repaired.repair();
    assert!(
        repaired.bytes == good.bytes,
        "the test's idea of the format differs from the engine's"
    );
    let text = quoted();
    let mut wrong = Vec::new();
    for (i, (sentence, mutate, by)) in mutations.iter().enumerate() {
        assert!(text.contains(sentence), "docs/format.md does not say: {sentence}");
        let mut image = good.clone();
        mutate(&mut image);
        assert!(image.bytes != good.bytes, "mutation {i} changes nothing: {sentence}");
        image.repair();
        let (error, faults) = answers(&image);
        let refused = match (by, &error) {
            (Older(words), Some(Error::TooOld(what))) | (Newer(words), Some(Error::TooNew(what))) => {
                what.contains(words)
            }
            (Open(words), Some(error @ Error::Corrupt(_))) => error.to_string().contains(words),
            (Check(words), None) => faults.iter().any(|fault| fault.contains(words)),
            _ => false,
        };
        if !refused {
            wrong.push(format!("{i}: {sentence}\n   {by:?}, but: {error:?} {faults:?}"));
        }
    }
    assert!(wrong.is_empty(), "not refused as they should be:\n{}", wrong.join("\n"));
}

/// The fields of a slot: section 3.
#[test]
fn slots() {
    try_all(&[
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
            Newer("checksum kind 2"),
        ),
        (
            "checksum width w in bytes: 4",
            |i| i.slot_byte(29, 16),
            Newer("16 bytes"),
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
            Check("other dead pages"),
        ),
        (
            "parked pages: zero",
            |i| i.slot_byte(96, 1),
            Open("feature that is not named"),
        ),
        (
            "digest of the default table: zero",
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
            "root of the list of snapshots: zero",
            |i| i.slot_byte(328, 1),
            Open("feature that is not named"),
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
    ]);
}

/// The records of recent commits: section 4.
#[test]
fn records() {
    // All ids of the base are below 128, so that a byte is a number.
    try_all(&[
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
    ]);
}

/// The headers of tree pages: section 7, and what section 6 says of all pages.
#[test]
fn headers() {
    try_all(&[
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
    ]);
}

/// The entries of leaves: sections 8, 9, 11 and 12.
#[test]
fn leaves() {
    try_all(&[
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
            "A key or separator is **long** if it is longer than P / 8 bytes",
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
    ]);
}

/// Branches: section 10, and what section 6 says of pointers.
#[test]
fn branches() {
    try_all(&[
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
    ]);
}

/// The catalogue, the list of names and the space tree: sections 14 and 15.
#[test]
fn tables() {
    try_all(&[
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
            "its root is zero, because that of the default table is in the slot",
            |i| i.record_key(0),
            Check("root of the default table"),
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
            "Keys that begin with the byte `80`",
            |i| i.dead(0, |n| n | 0x80),
            Check("later version"),
        ),
        (
            "A page below the page count is exactly one of",
            |i| i.dead(8, |n| n - 1),
            Check("neither in use nor dead"),
        ),
    ]);
}

// ---- what may be ignored ----------------------------------------------------------------------------------------

fn opened(image: &Image, read_only: bool) -> (TempDir, Result<Db>) {
    let dir = TempDir::new("ignorable");
    let path = dir.file("a.kv");
    std::fs::write(&path, &image.bytes).expect("write");
    let options = Options {
        existing: true,
        read_only,
        ..Options::default()
    };
    let db = Db::open(&path, &options);
    (dir, db)
}

/// Reads all entries, and checks the file.
fn reads(db: &Db) -> Result<u64> {
    let read = db.begin_read()?;
    let mut entries = 0;
    for name in MAIN_TABLES {
        let table = match name {
            b"" => TableId::MAIN,
            name => (&read).table(name)?,
        };
        let txn = &mut &read;
        let mut cursor = kv::Cursor::new(txn, table, &Range::default())?;
        while cursor.next(txn)? {
            let key = cursor.key().to_vec();
            let value = cursor.value(txn)?.to_vec();
            assert_eq!(read.get(table, &key)?, Some(&value[..]));
            entries += 1;
        }
    }
    db.check(true, &mut |fault| panic!("{fault:?}"))?;
    Ok(entries)
}

fn put(db: &Db, table: Option<&[u8]>) -> Result<()> {
    let mut txn = db.begin_write(WriteOptions::default())?;
    let table = match table {
        Some(name) => txn.table(name)?,
        None => TableId::MAIN,
    };
    txn.put(table, b"new", b"value", PutMode::Set)?;
    txn.commit().map(|_| ())
}

#[test]
fn what_readers_pass_over_changes_nothing() -> Result<()> {
    let good = base();
    let entries = reads(&opened(&good, true).1?)?;
    type Change = fn(&mut Image);
    let changes: [(&str, Change); 7] = [
        ("the high 16 may be ignored", |i| i.both(154, 0x81)),
        ("`10` to `80`: may be ignored", |i| i.page(Kind::Slotted, 3, 0xF0)),
        ("`10` to `80`: may be ignored", |i| i.page(Kind::Dense, 3, 0x10)),
        ("`10` to `80`: may be ignored", |i| i.page(Kind::Branch, 3, 0xF0)),
        ("extra bytes, x per child, which a reader skips", |i| i.extra_bytes()),
        ("A reader ignores others: to it, every table is a table of bytes", |i| {
            i.record_bytes(26, &[3, 0xFF])
        }),
        ("tags from 128 up, may be ignored", |i| i.extension(&[0, 0, 200, 0])),
    ];
    let text = quoted();
    for (sentence, change) in changes {
        assert!(text.contains(sentence), "docs/format.md does not say: {sentence}");
        let mut image = good.clone();
        change(&mut image);
        assert!(image.bytes != good.bytes, "nothing was changed: {sentence}");
        image.repair();
        for read_only in [true, false] {
            let (_dir, db) = opened(&image, read_only);
            assert_eq!(reads(&db?)?, entries, "{sentence}");
        }
    }
    Ok(())
}

#[test]
fn features_of_writers_forbid_writing_and_not_reading() -> Result<()> {
    let good = base();
    let entries = reads(&opened(&good, true).1?)?;
    type Change = fn(&mut Image);
    let changes: [Change; 3] = [
        |i| i.both(16, 2),
        |i| i.both(153, 1),
        // Their fields are not looked at, nor are they known.
        |i| {
            for (at, byte) in [(17, 1), (96, 7), (104, 7), (120, 7), (328, 7)] {
                i.both(at, byte);
            }
        },
    ];
    for change in changes {
        let mut image = good.clone();
        change(&mut image);
        image.repair();
        let error = opened(&image, false).1.map(|_| ()).expect_err("opened for writing");
        assert!(
            matches!(&error, Error::TooNew(what) if what.contains("read-only")),
            "{error}"
        );
        let (dir, db) = opened(&image, true);
        let db = db?;
        assert_eq!(reads(&db)?, entries);
        // Pages are not copied by a version that does not know what is in them. Entries are.
        let read = db.begin_read()?;
        let copied = read.backup(&dir.file("b.kv"), BackupOptions::default(), &Job::silent());
        assert!(matches!(copied, Err(Error::TooNew(_))), "{copied:?}");
        let compact = BackupOptions {
            compact: true,
            ..BackupOptions::default()
        };
        read.backup(&dir.file("c.kv"), compact, &Job::silent())?;
        assert_eq!(reads(&Db::open(&dir.file("c.kv"), &Options::default())?)?, entries);
    }
    Ok(())
}

#[test]
fn a_page_with_unknown_fields_is_not_changed_by_a_writer_that_ignores_them() -> Result<()> {
    for kind in [Kind::Slotted, Kind::Branch] {
        let mut image = base();
        image.page(kind, 3, 0x20);
        image.repair();
        let (_dir, db) = opened(&image, false);
        let db = db?;
        let mut txn = db.begin_write(WriteOptions::default())?;
        // Every entry of the default table is changed, so the page is met.
        let keys: Vec<Vec<u8>> = mutation::main_keys(&db)?;
        let mut answer = Ok(());
        for key in &keys {
            answer = answer.and_then(|()| txn.put(TableId::MAIN, key, b"other", PutMode::Set));
        }
        let answer = answer.and_then(|()| txn.commit());
        assert!(matches!(&answer, Err(Error::Corrupt(_))), "{kind:?}: {answer:?}");
        reads(&db)?;
    }
    Ok(())
}

#[test]
fn a_table_of_a_newer_version_is_read_and_not_changed() -> Result<()> {
    type Change = fn(&mut Image);
    let changes: [Change; 3] = [
        |i| i.record_bytes(26, &[1]),
        |i| i.record_bytes(27, &[8]),
        |i| i.extension(&[1, 0, 200, 0]),
    ];
    for change in changes {
        let mut image = base();
        change(&mut image);
        image.repair();
        let (dir, db) = opened(&image, false);
        let db = db?;
        let entries = reads(&db)?;
        let first = MAIN_TABLES[1];
        let mut txn = db.begin_write(WriteOptions::default())?;
        let table = txn.table(first)?;
        let key = mutation::first_key(&mut txn, table)?;
        let unsupported = |answer: Result<()>| {
            assert!(matches!(answer, Err(Error::Unsupported(_))), "{answer:?}");
        };
        unsupported(txn.put(table, &key, b"", PutMode::Set));
        unsupported(txn.delete(table, &key).map(|_| ()));
        unsupported(txn.delete_blind(table, &key));
        unsupported(txn.insert(table, &key, b"").map(|_| ()));
        unsupported(txn.replace(table, &key, b"", PutMode::Set).map(|_| ()));
        unsupported(txn.reserve(table, &key, 3, PutMode::Set).map(|_| ()));
        unsupported(txn.take(table, &key).map(|_| ()));
        unsupported(txn.take_first(table, &Range::default()).map(|_| ()));
        unsupported(txn.delete_range(table, &Range::default()).map(|_| ()));
        unsupported(txn.writer(table, &key, 9, PutMode::Set).map(|_| ()));
        unsupported(txn.table_clear(table));
        unsupported(txn.table_drop(table));
        unsupported(txn.table_rename(table, b"another"));
        unsupported(txn.table_set_note(table, b"note"));
        let other = txn.table(MAIN_TABLES[2])?;
        unsupported(txn.table_rename(other, first));
        // The transaction goes on, and every other table can be changed.
        txn.put(TableId::MAIN, b"new", b"value", PutMode::Set)?;
        txn.put(other, b"new", b"value", PutMode::Set)?;
        txn.table_create(b"newest", true)?;
        txn.commit()?;
        assert_eq!(reads(&db)?, entries + 2);
        // Copies of both kinds keep what the table is: it cannot be changed in them either.
        for compact in [false, true] {
            let options = BackupOptions {
                compact,
                overwrite: true,
            };
            let path = dir.file("copy.kv");
            db.begin_read()?.backup(&path, options, &Job::silent())?;
            let copy = Db::open(&path, &Options::default())?;
            assert_eq!(reads(&copy)?, entries + 2);
            unsupported(put(&copy, Some(first)));
            put(&copy, None)?;
            assert_eq!((&copy.begin_read()?).table_note(table)?, mutation::note(first));
        }
        drop(db);
        let saved = dir.file("saved.kv");
        kv::salvage(&dir.file("a.kv"), &saved, true, &Job::silent(), &mut |fault| {
            panic!("{fault:?}")
        })?;
        let saved = Db::open(&saved, &Options::default())?;
        assert_eq!(reads(&saved)?, entries + 2);
        unsupported(put(&saved, Some(first)));
    }
    Ok(())
}

#[test]
fn the_default_table_may_have_a_record_and_later_versions_tables() -> Result<()> {
    // The record of a named table becomes that of the default table: key 0, no root, no name.
    for (kind, changeable) in [(0, true), (1, false)] {
        for number in [0, 3] {
            let mut image = base();
            image.become_record_of(number, kind);
            image.repair();
            let (dir, db) = opened(&image, false);
            let db = db?;
            db.check(true, &mut |fault| panic!("{number} {kind}: {fault:?}"))?;
            let table = TableId::new(number);
            assert_eq!((&db.begin_read()?).table_note(table)?, mutation::note(MAIN_TABLES[1]));
            let is_supported = |db: &Db| {
                let mut txn = db.begin_write(WriteOptions::default())?;
                txn.put(table, b"new", b"value", PutMode::Set)
            };
            let may = changeable && number == 0;
            assert_eq!(is_supported(&db).is_ok(), may, "{number} {kind}");
            for compact in [false, true] {
                let path = dir.file("copy.kv");
                let options = BackupOptions {
                    compact,
                    overwrite: true,
                };
                db.begin_read()?.backup(&path, options, &Job::silent())?;
                let copy = Db::open(&path, &Options::default())?;
                copy.check(true, &mut |fault| panic!("{number} {kind}: {fault:?}"))?;
                assert_eq!(is_supported(&copy).is_ok(), may, "{number} {kind}");
                assert_eq!((&copy.begin_read()?).table_note(table)?, mutation::note(MAIN_TABLES[1]));
            }
            drop(db);
            let saved = dir.file("saved.kv");
            kv::salvage(&dir.file("a.kv"), &saved, true, &Job::silent(), &mut |_| true)?;
            let saved = Db::open(&saved, &Options::default())?;
            assert_eq!(
                (&saved.begin_read()?).table_note(table)?,
                mutation::note(MAIN_TABLES[1])
            );
            assert_eq!(is_supported(&saved).is_ok(), may, "{number} {kind}");
        }
    }
    Ok(())
}

#[test]
fn names_that_begin_with_a_zero_are_not_for_users() -> Result<()> {
    let dir = TempDir::new("names");
    let db = Db::open(&dir.file("a.kv"), &Options::default())?;
    let mut txn = db.begin_write(WriteOptions::default())?;
    let table = txn.table_create(b"a", true)?;
    assert!(matches!(txn.table_create(b"\0a", false), Err(Error::Invalid(_))));
    assert!(matches!(txn.table_rename(table, b"\0"), Err(Error::Invalid(_))));
    txn.table_rename(table, b"a\0")?;
    assert!(table >= TableId::new(256));
    txn.commit().map(|_| ())
}

#[test]
fn the_constants_are_those_of_the_text() {
    // What these tests patch is what the text says, and the base has what they need.
    assert_eq!(
        (ROOTS, ROOT, HEIGHT, ROOT_FLAGS, CHECKSUM),
        ([256, 280, 304], 24, 18, 19, 20)
    );
    assert_eq!((SPILLS, INLINE, RECORDS), (248, 250, 352));
    assert!(base().has_all_kinds() && LONG_VALUES > 1);
}
