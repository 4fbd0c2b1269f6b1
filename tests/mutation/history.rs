//! What docs/format.md says of snapshots, of their policy and of what is parked for them, and a file that has these.

use super::By::{self, Check, Open};
use super::{Image, Mutation};
use crate::common::image::{HEIGHT, ROOTS, ROOT_FLAGS};
use crate::common::tmp::TempDir;
use kv::pager::fold_often;
use kv::{Db, Options, PutMode, Result, Retention, SnapshotOptions, TableId, WriteOptions, WriteTxn};
use std::sync::OnceLock;

/// Where the root of the list of snapshots is in a slot.
const LIST: usize = 328;
/// The key of the policy.
const POLICY: &[u8] = b"\0policy";
/// The snapshots of the base.
pub const NAMES: [&[u8]; 3] = [b"first", b"second", b"third"];

/// A closed database with snapshots, of which one is dropped and still in the list, a policy, and parked extents.
pub fn base() -> Image {
    static BASE: OnceLock<Image> = OnceLock::new();
    // Folds are frequent in the whole process meanwhile, and the other base is one without.
    super::base();
    BASE.get_or_init(|| build().expect("a database")).clone()
}

fn build() -> Result<Image> {
    fold_often(true);
    let dir = TempDir::new("history-base");
    let path = dir.file("a.kv");
    let db = Db::open(&path, &Options::default())?;
    let change = |f: &dyn Fn(&mut WriteTxn) -> Result<()>| -> Result<()> {
        let mut txn = db.begin_write(WriteOptions::default())?;
        f(&mut txn)?;
        txn.commit().map(|_| ())
    };
    let put = |txn: &mut WriteTxn, version: u8| -> Result<()> {
        (0..30u8).try_for_each(|key| txn.put(TableId::MAIN, &[key], &[version; 700], PutMode::Set))
    };
    for (version, name) in (1..).zip(NAMES) {
        change(&|txn| {
            put(txn, version)?;
            txn.table_create(name, true)?;
            let note = b"a note";
            txn.snapshot_create(
                name,
                &SnapshotOptions {
                    note,
                    ..SnapshotOptions::default()
                },
            )
        })?;
    }
    let policy = Retention {
        interval: 1 << 30,
        last: 1,
        ..Retention::default()
    };
    change(&|txn| txn.set_history(Some(&policy)))?;
    for version in 10..40 {
        change(&|txn| put(txn, version))?;
    }
    change(&|txn| txn.snapshot_drop(NAMES[1]))?;
    drop(db);
    fold_often(false);
    let image = Image {
        bytes: std::fs::read(&path).expect("read"),
    };
    assert!(image.keys(LIST).len() == 5 && image.keys(ROOTS[2]).iter().any(|key| key.len() == 25));
    Ok(image)
}

impl Image {
    /// The only leaf of the tree that has its root here in the newest slot.
    fn only_leaf(&self, root: usize) -> usize {
        let root = self.slots()[0] + root;
        assert_eq!(self.number(root + HEIGHT, 1), 1, "the tree is one leaf");
        self.number(root, 6) as usize * 4096
    }

    /// The keys of that leaf.
    fn keys(&self, root: usize) -> Vec<Vec<u8>> {
        self.entries(self.only_leaf(root)).into_keys().collect()
    }

    /// Changes the entry of a tree of one leaf for whose key `is` holds, the first one.
    fn change_entry(
        &mut self,
        root: usize,
        is: impl Fn(&[u8]) -> bool,
        change: impl FnOnce(&mut Vec<u8>, &mut Vec<u8>),
    ) {
        let leaf = self.only_leaf(root);
        self.edit_leaf(leaf, |entries| {
            let mut key = entries.keys().find(|key| is(key)).expect("such an entry").clone();
            let mut value = entries.remove(&key).expect("it was found");
            change(&mut key, &mut value);
            assert!(entries.insert(key, value).is_none(), "there is such an entry");
        });
    }

    /// The bytes of the only leaf of the space tree.
    pub fn space_leaf(&mut self) -> &mut [u8] {
        let leaf = self.only_leaf(ROOTS[2]);
        &mut self.bytes[leaf..leaf + 4096]
    }

    fn snapshot_value(&mut self, key: &[u8], change: impl FnOnce(&mut Vec<u8>)) {
        self.change_entry(LIST, |other| other == key, |_, value| change(value));
    }

    /// Changes bytes of the record of the first snapshot.
    pub fn snapshot(&mut self, at: usize, bytes: &[u8]) {
        self.snapshot_value(NAMES[0], |value| value[at..at + bytes.len()].copy_from_slice(bytes));
    }

    /// Makes that record longer or shorter.
    pub fn snapshot_len(&mut self, len: usize) {
        self.snapshot_value(NAMES[0], |value| value.resize(len, 0));
    }

    /// Files that record under another key.
    pub fn snapshot_key(&mut self, to: &[u8]) {
        self.change_entry(LIST, |key| key == NAMES[0], |key, _| *key = to.to_vec());
    }

    /// Changes bytes of the dropped snapshot: its key and, behind that, its record.
    pub fn dropped(&mut self, at: usize, bytes: &[u8]) {
        let is = |key: &[u8]| key[0] == 0 && key != POLICY;
        self.change_entry(LIST, is, |key, value| {
            for (at, byte) in (at..).zip(bytes) {
                *key.iter_mut().chain(value.iter_mut()).nth(at).expect("a byte of it") = *byte;
            }
        });
    }

    /// Changes bytes of the policy.
    pub fn policy(&mut self, at: usize, bytes: &[u8]) {
        self.snapshot_value(POLICY, |value| value[at..at + bytes.len()].copy_from_slice(bytes));
    }

    pub fn policy_len(&mut self, len: usize) {
        self.snapshot_value(POLICY, |value| value.resize(len, 0));
    }

    /// Changes a number of the first parked extent: of the key the holder, 0, the commit that parked it, 1, the birth,
    /// 2, or the first page, 3; of the value the pages, 4, or the death, 5.
    pub fn parked(&mut self, field: usize, change: impl FnOnce(u64) -> u64) {
        let is = |key: &[u8]| key[0] == 0x80;
        self.change_entry(ROOTS[2], is, |key, value| {
            let bytes: &mut [u8] = match field {
                0..=3 => &mut key[1 + 6 * field..7 + 6 * field],
                4 => &mut value[..4],
                _ => &mut value[4..],
            };
            // The numbers of the key are big-endian.
            if field > 3 {
                bytes.reverse();
            }
            let number = bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
            let changed = change(number).to_be_bytes();
            bytes.copy_from_slice(&changed[8 - bytes.len()..]);
            if field > 3 {
                bytes.reverse();
            }
        });
    }

    /// Makes key and value of that extent longer or shorter.
    pub fn parked_len(&mut self, key_len: usize, value_len: usize) {
        self.change_entry(
            ROOTS[2],
            |key| key[0] == 0x80,
            |key, value| {
                key.resize(key_len, 0);
                value.resize(value_len, 0);
            },
        );
    }
}

const MALFORMED: By = Check("record of a snapshot is malformed");

/// The list of snapshots and the policy: section 20.
pub const SNAPSHOTS: &[Mutation] = &[
    (
        "| 328 | 20 + w | \\* root of the list of snapshots",
        |i| i.slot_byte(16, 0),
        Open("feature that is not named"),
    ),
    (
        "The page must not be a meta page",
        |i| i.slot(LIST, &[3, 0]),
        Open("impossible root"),
    ),
    (
        "must be below the page count",
        |i| i.slot_byte(LIST + 4, 1),
        Open("impossible root"),
    ),
    (
        "the birth must not be above the commit id",
        |i| i.slot_byte(LIST + 10, 1),
        Open("impossible root"),
    ),
    (
        "A birth is at least 1",
        |i| i.slot(LIST + 6, &[0; 6]),
        Open("impossible root"),
    ),
    (
        "1 = the page is a leaf; at most 64",
        |i| i.slot_byte(LIST + HEIGHT, 65),
        Open("impossible root"),
    ),
    (
        "entries of the tree",
        |i| i.both(LIST + 12, 1),
        Check("counts of entries disagree"),
    ),
    ("the commit whose state it is", |i| i.snapshot(0, &[0; 8]), MALFORMED),
    (
        "the commit whose state it is",
        |i| i.snapshot(5, &[1]),
        Check("not made yet"),
    ),
    ("the commit whose state it is", |i| i.snapshot(6, &[1]), MALFORMED),
    (
        "pages of the file at that commit; all of the snapshot's are below",
        |i| i.snapshot(32, &[5, 0]),
        MALFORMED,
    ),
    (
        "pages of the file at that commit; all of the snapshot's are below",
        |i| i.snapshot(37, &[2]),
        MALFORMED,
    ),
    (
        "pages in use at that commit; 0: not known; at most as many as the file had",
        |i| i.snapshot(44, &[1]),
        MALFORMED,
    ),
    (
        "the commit that dropped it, which is a later one; 0 under a name",
        |i| i.snapshot(48, &[30]),
        MALFORMED,
    ),
    (
        "the commit that dropped it, which is a later one; 0 under a name",
        |i| i.dropped(23 + 48, &[0; 6]),
        MALFORMED,
    ),
    (
        "the commit that dropped it, which is a later one; 0 under a name",
        |i| i.dropped(23 + 48, &[1]),
        MALFORMED,
    ),
    (
        "the commit that dropped it, which is a later one; 0 under a name",
        |i| i.dropped(23 + 52, &[1]),
        Check("dropped by a commit that was not made yet"),
    ),
    (
        "8 = it becomes a mark by the policy; no others",
        |i| i.snapshot(54, &[1]),
        MALFORMED,
    ),
    (
        "8 = it becomes a mark by the policy; no others",
        |i| i.snapshot(55, &[0x80]),
        MALFORMED,
    ),
    (
        "root of the main table",
        |i| i.snapshot(56, &[3, 0]),
        Check("a pointer leaves the file"),
    ),
    ("root of the main table", |i| i.snapshot(56 + 4, &[1]), MALFORMED),
    ("root of the main table", |i| i.snapshot(56 + HEIGHT, &[0]), MALFORMED),
    ("root of the main table", |i| i.snapshot(56 + HEIGHT, &[65]), MALFORMED),
    (
        "root of the main table",
        |i| i.snapshot(56 + ROOT_FLAGS, &[2]),
        MALFORMED,
    ),
    (
        "root of the main table",
        |i| i.snapshot(56 + 12, &[7]),
        Check("counts of entries disagree"),
    ),
    (
        "root of the main table",
        |i| i.snapshot(56 + 20, &[1, 2, 3]),
        Check("checksum"),
    ),
    (
        "Births of the roots are not above the commit",
        |i| i.snapshot(56 + 11, &[1]),
        MALFORMED,
    ),
    (
        "Births of the roots are not above the commit",
        |i| i.snapshot(80 + 6, &[100]),
        MALFORMED,
    ),
    (
        "root of the catalogue",
        |i| i.snapshot(80, &[3, 0]),
        Check("a pointer leaves the file"),
    ),
    (
        "root of the catalogue",
        |i| i.snapshot(80 + 12, &[9]),
        Check("counts of entries disagree"),
    ),
    (
        "note that the user attached, 0 to 1024 bytes",
        |i| i.snapshot_len(104 + 1025),
        MALFORMED,
    ),
    ("root of the catalogue", |i| i.snapshot_len(103), MALFORMED),
    (
        "`00`, commit (u48, **big-endian**), GUID (16 bytes)",
        |i| i.dropped(6, &[100]),
        MALFORMED,
    ),
    (
        "`00`, commit (u48, **big-endian**), GUID (16 bytes)",
        |i| i.dropped(7, &[1, 2]),
        MALFORMED,
    ),
    ("one that was dropped", |i| i.snapshot_key(&[0; 23]), MALFORMED),
    (
        "Its value has at least 28 bytes",
        |i| i.policy_len(27),
        Check("policy of the file is malformed"),
    ),
    (
        "| 0 | 2 | version: 1 |",
        |i| i.policy(0, &[0]),
        Check("policy of the file is malformed"),
    ),
    (
        "| 2 | 2 | 0 |",
        |i| i.policy(3, &[1]),
        Check("policy of the file is malformed"),
    ),
    (
        "interval in seconds; 0: commits make none, the counts are 0",
        |i| i.policy(4, &[0; 4]),
        Check("policy of the file is malformed"),
    ),
    (
        "with the field before, not all 0",
        |i| i.policy(8, &[0; 20]),
        Check("policy of the file is malformed"),
    ),
];

const BAD_PARKED: By = Check("parked extent is malformed");

/// Parked extents: section 15.
pub const PARKED: &[Mutation] = &[
    (
        "the slot has the number of parked pages apart",
        |i| i.add(96, 1),
        Check("other dead or parked pages"),
    ),
    (
        "all four numbers are **big-endian**",
        |i| i.parked_len(24, 10),
        BAD_PARKED,
    ),
    (
        "all four numbers are **big-endian**",
        |i| i.parked_len(26, 10),
        BAD_PARKED,
    ),
    (
        "death: the first commit that does not refer to them",
        |i| i.parked_len(25, 11),
        BAD_PARKED,
    ),
    (
        "death: the first commit that does not refer to them",
        |i| i.parked_len(25, 9),
        BAD_PARKED,
    ),
    (
        "holder: the newest listed commit that needs the pages",
        |i| i.parked(0, |_| 0),
        BAD_PARKED,
    ),
    (
        "above the holder and below the commit that parked them",
        |i| i.parked(0, |n| n + 1),
        BAD_PARKED,
    ),
    (
        "the commit that parked them, which is later",
        |i| i.parked(1, |_| 1),
        BAD_PARKED,
    ),
    (
        "the commit that parked them, which is later",
        |i| i.parked(1, |n| n + (1 << 40)),
        Check("parked for a snapshot by a commit"),
    ),
    ("birth, not above the holder", |i| i.parked(2, |n| n + 90), BAD_PARKED),
    ("birth, not above the holder", |i| i.parked(2, |_| 0), BAD_PARKED),
    (
        "A page below the page count is exactly one of",
        |i| i.parked(3, |n| n + 1),
        Check(""),
    ),
    (
        "A page below the page count is exactly one of",
        |i| i.parked(3, |_| 1),
        Check(""),
    ),
    (
        "A page below the page count is exactly one of",
        |i| i.parked(3, |n| n + (1 << 30)),
        Check(""),
    ),
    (
        "A page below the page count is exactly one of",
        |i| i.parked(3, |_| (1 << 48) - 1),
        BAD_PARKED,
    ),
    (
        "A page below the page count is exactly one of",
        |i| i.parked(4, |n| n + 1),
        Check(""),
    ),
    (
        "A page below the page count is exactly one of",
        |i| i.parked(4, |n| n + (1 << 31)),
        Check(""),
    ),
    (
        "A page below the page count is exactly one of",
        |i| i.parked(4, |_| 0),
        BAD_PARKED,
    ),
    (
        "above the holder and below the commit that parked them",
        |i| i.parked(5, |_| 1),
        BAD_PARKED,
    ),
    (
        "above the holder and below the commit that parked them",
        |i| i.parked(5, |n| n + 90),
        BAD_PARKED,
    ),
];
