//! The list of named snapshots: a tree whose root is in the meta slot, and which users may only read as the table
//! [`TableId::SNAPSHOTS`]. It is about the file, and part of no state of the database: no snapshot has it (I-26).
//!
//! ```text
//! name (1 to 512 bytes, of which the first is not 0)      a snapshot
//! 00, commit u48 big-endian, GUID (16 bytes)              one that was dropped, until its pages are given back
//! 00, "policy"                                            how often commits record snapshots (`policy`)
//!
//! value    0  u64  commit
//!          8  u64  time of the commit, nanoseconds since 1970 (UTC)
//!         16  16   GUID of the state: all snapshots of one commit have the same
//!         32  u64  pages of the file at this commit; all of the snapshot's are among them
//!         40  u64  pages in use at this commit; 0: not known
//!         48  u48  the commit that dropped the snapshot, or 0
//!         54  u16  flags: 1 it is a mark, 2 it is not to be dropped, 4 it was made by the policy, 8 it becomes a mark
//!                  by the policy; others are of later versions
//!         56  root of the main table
//!         80  root of the catalogue
//!        104  note
//! ```
//!
//! A **mark** is what is left of a snapshot that holds nothing: commit, time, GUID and note, while pages and roots are
//! zero. It has no other flag, and a dropped snapshot is none.

use crate::catalogue::name::{NAME_MAX, NOTE_MAX};
use crate::catalogue::policy::{self, POLICY};
use crate::error::{Error, Result};
use crate::ids::{CommitId, PageNo, TableId};
use crate::page::leaf::Stored;
use crate::page::roots::RootLayout;
use crate::page::{PageSource, Root, Roots};
use crate::pager::{Descriptor, RecordedCommit, RecordedCommits};
use crate::tree::read::lookup;
use crate::tree::read::scan::scan_leaves;
use crate::util::bytes::{get_u16, get_u48, get_u64, put_u16, put_u48, put_u64};

/// How the roots are stored.
const ROOT: RootLayout = RootLayout::CURRENT;

/// Where the fields of a value begin, as in the list above.
mod field {
    pub const COMMIT: usize = 0;
    pub const TIME: usize = 8;
    pub const GUID: usize = 16;
    pub const FILE_PAGES: usize = 32;
    pub const USED_PAGES: usize = 40;
    pub const DROPPED: usize = 48;
    pub const FLAGS: usize = 54;
    pub const MAIN: usize = 56;
    pub const CATALOGUE: usize = MAIN + super::ROOT.bytes();
    pub const NOTE: usize = CATALOGUE + super::ROOT.bytes();
}

/// The flag of what holds nothing.
const MARK: u16 = 1;
/// The flag of a snapshot that is not to be dropped.
const KEEP: u16 = 2;
/// The flag of a snapshot that the policy of the file has made.
const AUTOMATIC: u16 = 4;
/// The flag of a snapshot that becomes a mark when the policy of the file says so.
const YIELDS: u16 = 8;
/// What is said where a state is asked for of which there is only a mark.
pub const ONLY_A_MARK: &str =
    "the snapshot is a mark, whose state is not kept; kv_snapshot_ranges tells what has changed since";
/// The first byte of the keys that are not names.
const NO_NAME: u8 = 0;
/// The number of bytes of the key of a dropped snapshot.
const DROPPED_KEY: usize = 1 + 6 + 16;

/// A state of the database that has a name, as the list has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SnapshotRecord {
    /// The commit.
    pub commit: CommitId,
    /// The time of the commit, in nanoseconds since 1970 (UTC).
    pub time: u64,
    /// What tells this state from every other, also in copies of the file.
    pub guid: [u8; 16],
    /// The pages of the file at this commit. All of the snapshot's are among them.
    pub file_pages: u64,
    /// The pages in use at this commit; 0: not known.
    pub used_pages: u64,
    /// The commit that dropped the snapshot.
    pub dropped: Option<CommitId>,
    /// Whether the snapshot is not to be dropped.
    pub keep: bool,
    /// Whether the policy of the file has made it.
    pub automatic: bool,
    /// Whether it is a mark, which holds nothing and has no roots.
    pub mark: bool,
    /// Whether it becomes a mark when the policy of the file says so.
    pub yields: bool,
    /// The root of the main table.
    pub main: Root,
    /// The root of the catalogue.
    pub catalogue: Root,
    /// The note that the user attached to it.
    pub note: Vec<u8>,
}

#[cold]
fn bad() -> Error {
    Error::corrupt(None, "record of a snapshot is malformed")
}

impl SnapshotRecord {
    /// Returns the record in the form in which it is stored.
    pub fn encode(&self) -> Vec<u8> {
        let mut b = vec![0; field::NOTE];
        put_u64(&mut b, field::COMMIT, self.commit.get());
        put_u64(&mut b, field::TIME, self.time);
        b[field::GUID..field::FILE_PAGES].copy_from_slice(&self.guid);
        put_u64(&mut b, field::FILE_PAGES, self.file_pages);
        put_u64(&mut b, field::USED_PAGES, self.used_pages);
        put_u48(&mut b, field::DROPPED, self.dropped.map_or(0, CommitId::get));
        let flags = [
            (self.mark, MARK),
            (self.keep, KEEP),
            (self.automatic, AUTOMATIC),
            (self.yields, YIELDS),
        ];
        let flags = flags.iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| flag);
        put_u16(&mut b, field::FLAGS, flags.sum());
        ROOT.put(&mut b[field::MAIN..], &self.main);
        ROOT.put(&mut b[field::CATALOGUE..], &self.catalogue);
        b.extend_from_slice(&self.note);
        b
    }

    /// Parses a stored record.
    ///
    /// # Errors
    /// `Corrupt`: the bytes are not a record, or what it says cannot be.
    pub fn decode(b: &[u8]) -> Result<SnapshotRecord> {
        if b.len() < field::NOTE || b.len() > field::NOTE + NOTE_MAX {
            return Err(bad());
        }
        let flags = get_u16(b, field::FLAGS);
        let dropped = CommitId::new(get_u48(b, field::DROPPED));
        let roots = [field::MAIN, field::CATALOGUE].map(|at| ROOT.get(&b[at..]));
        let [Some(main), Some(catalogue)] = roots else {
            return Err(bad());
        };
        let record = SnapshotRecord {
            commit: CommitId::new(get_u64(b, field::COMMIT)),
            time: get_u64(b, field::TIME),
            guid: std::array::from_fn(|i| b[field::GUID + i]),
            file_pages: get_u64(b, field::FILE_PAGES),
            used_pages: get_u64(b, field::USED_PAGES),
            dropped: (dropped != CommitId::NONE).then_some(dropped),
            keep: flags & KEEP != 0,
            automatic: flags & AUTOMATIC != 0,
            mark: flags & MARK != 0,
            yields: flags & YIELDS != 0,
            main,
            catalogue,
            note: b[field::NOTE..].to_vec(),
        };
        match flags & !(MARK | KEEP | AUTOMATIC | YIELDS) == 0 && record.is_possible() {
            true => Ok(record),
            false => Err(bad()),
        }
    }

    /// Returns whether a commit can have these figures and roots.
    fn is_possible(&self) -> bool {
        let file = PageNo::new(1)..PageNo::new(self.file_pages);
        let roots = [&self.main, &self.catalogue];
        let dropped_later = self.dropped.is_none_or(|dropped| dropped > self.commit);
        self.commit > CommitId::NONE
            && self.commit <= CommitId::MAX
            && self.file_pages <= PageNo::END.get()
            && self.used_pages <= self.file_pages
            && dropped_later
            && (!self.mark || *self == self.as_mark())
            && roots.into_iter().all(|root| root.is_possible(&file, self.commit))
    }

    /// Returns the mark of this state.
    pub fn as_mark(&self) -> SnapshotRecord {
        SnapshotRecord {
            commit: self.commit,
            time: self.time,
            guid: self.guid,
            note: self.note.clone(),
            mark: true,
            ..SnapshotRecord::default()
        }
    }

    /// Returns whether it is a snapshot that the policy of the file may have become a mark.
    pub fn may_yield(&self) -> bool {
        self.yields && !self.keep && self.dropped.is_none()
    }

    /// Returns the roots of the state. It has neither a space tree nor a list of snapshots.
    pub fn roots(&self) -> Roots {
        Roots {
            main: self.main,
            catalogue: self.catalogue,
            ..Roots::default()
        }
    }

    /// Returns what readers of the state need to know.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor {
            id: self.commit,
            pages: self.file_pages,
            roots: self.roots(),
        }
    }

    /// Returns the key under which the record stays when the snapshot was dropped.
    pub fn dropped_key(&self) -> [u8; DROPPED_KEY] {
        let mut key = [NO_NAME; DROPPED_KEY];
        key[1..7].copy_from_slice(&self.commit.get().to_be_bytes()[2..]);
        key[7..].copy_from_slice(&self.guid);
        key
    }
}

/// Returns whether a key of the list is the name of a snapshot.
pub fn is_name(key: &[u8]) -> bool {
    key.first().is_some_and(|first| *first != NO_NAME)
}

/// Checks the name that a user gives a snapshot.
///
/// # Errors
/// `Invalid`: it is empty or begins with the byte 0; `TooBig`: it is longer than [`NAME_MAX`].
pub fn check_name(name: &[u8]) -> Result<()> {
    if name.len() > NAME_MAX {
        return Err(Error::TooBig {
            what: "snapshot name",
            size: name.len() as u64,
            limit: NAME_MAX as u64,
        });
    }
    match is_name(name) {
        true => Ok(()),
        false => Err(Error::Invalid(
            "a snapshot's name must not be empty, nor begin with a byte 0",
        )),
    }
}

/// Returns the record of the snapshot with a name, or `None` if there is none.
///
/// # Errors
/// `Corrupt`, `Io`: the list cannot be read.
pub fn find<'s, S: PageSource<'s>>(source: &S, list: &Root, name: &[u8]) -> Result<Option<SnapshotRecord>> {
    let found = lookup::get(source, list, name).and_then(|found| match found {
        Some(Stored::Inline(value)) => SnapshotRecord::decode(value).map(Some),
        Some(Stored::Chain(_)) => Err(bad()),
        None => Ok(None),
    });
    found.map_err(|e| e.in_table(TableId::SNAPSHOTS))
}

/// Returns the record of the snapshot with a name, which is no mark.
///
/// # Errors
/// `NotFound`: there is no such snapshot; `Invalid`: it is a mark; those of [`find`].
pub fn find_state<'s, S: PageSource<'s>>(source: &S, list: &Root, name: &[u8]) -> Result<SnapshotRecord> {
    match find(source, list, name)? {
        None => Err(Error::NotFound),
        Some(record) if record.mark => Err(Error::Invalid(ONLY_A_MARK)),
        Some(record) => Ok(record),
    }
}

/// Gives every snapshot that is kept, with its name, to `f`, in the order of the names. `f` returns whether it wants
/// more.
///
/// # Errors
/// Those of [`each`].
pub fn each_state<'s, S: PageSource<'s>>(
    source: &S,
    list: &Root,
    mut f: impl FnMut(&[u8], SnapshotRecord) -> Result<bool>,
) -> Result<()> {
    each(source, list, |key, record| match is_name(key) && !record.mark {
        true => f(key, record),
        false => Ok(true),
    })
}

/// Gives every snapshot of the list, marks too, with its key, to `f`, in the order of the keys: those that were dropped
/// first. `f` returns whether it wants more.
///
/// # Errors
/// Those that `f` returns; `Corrupt`, `Io`: the list cannot be read any further.
pub fn each<'s, S: PageSource<'s>>(
    source: &S,
    list: &Root,
    mut f: impl FnMut(&[u8], SnapshotRecord) -> Result<bool>,
) -> Result<()> {
    scan_leaves(source, list, |_, key, value| {
        let Stored::Inline(value) = value else {
            return Err(bad());
        };
        if key == POLICY {
            policy::decode(value)?;
            return Ok(true);
        }
        if !is_name(key) && key.len() != DROPPED_KEY {
            // What later versions add.
            return Ok(true);
        }
        let record = SnapshotRecord::decode(value)?;
        let fits = match is_name(key) {
            true => record.dropped.is_none(),
            false => record.dropped.is_some() && key == record.dropped_key(),
        };
        match fits {
            true => f(key, record),
            false => Err(bad()),
        }
    })
}

/// Returns the commits that are recorded in the list of commit `id`.
///
/// # Errors
/// `NoMemory`; `Corrupt`: one of them, or a drop, is later than that; those of [`each`].
pub fn recorded<'s, S: PageSource<'s>>(source: &S, list: &Root, id: CommitId) -> Result<RecordedCommits> {
    let (mut all, mut automatic) = (Vec::new(), None);
    let (mut yielding, mut marked) = (None, Vec::new());
    each(source, list, |_, record| {
        if record.commit.max(record.dropped.unwrap_or(CommitId::NONE)) > id {
            return Err(Error::corrupt(
                None,
                "a snapshot of a commit that was not made yet, or dropped by one",
            ));
        }
        if record.automatic && record.dropped.is_none() {
            automatic = automatic.max(Some((record.commit, record.time)));
        }
        if record.mark {
            Error::or_room(&mut marked, 1, "the list of snapshots")?;
            marked.push(record.commit);
            return Ok(true);
        }
        if record.may_yield() {
            yielding = Some(yielding.map_or(record.time, |time: u64| time.min(record.time)));
        }
        Error::or_room(&mut all, 1, "the list of snapshots")?;
        all.push(RecordedCommit {
            commit: record.commit,
            names: record.dropped.is_none().into(),
            dropped: record.dropped.unwrap_or(CommitId::NONE),
        });
        Ok(true)
    })?;
    let mut recorded = RecordedCommits::new(all);
    recorded.yielding = yielding;
    marked.into_iter().try_for_each(|commit| recorded.note_mark(commit))?;
    if let Some(policy) = policy::find(source, list)? {
        policy::follow(&policy, automatic.map_or(0, |(_, time)| time), &mut recorded);
    }
    Ok(recorded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::Ptr;

    fn sample() -> SnapshotRecord {
        let root = |page| Root {
            ptr: Ptr {
                page: PageNo::new(page).into(),
                birth: CommitId::new(7),
                entries: 3,
                checksum: 5,
            },
            height: 1,
            has_long: false,
        };
        SnapshotRecord {
            commit: CommitId::new(8),
            time: 1 << 60,
            guid: [9; 16],
            file_pages: 50,
            used_pages: 40,
            dropped: Some(CommitId::new(11)),
            keep: true,
            automatic: true,
            mark: false,
            yields: false,
            main: root(20),
            catalogue: root(21),
            note: b"note".to_vec(),
        }
    }

    #[test]
    fn a_record_reads_back_and_nonsense_is_refused() {
        let record = sample();
        let good = record.encode();
        assert_eq!(SnapshotRecord::decode(&good).expect("a record"), record);
        assert_eq!((good.len(), good[54], &good[104..]), (108, 6, &b"note"[..]));
        assert_eq!(record.dropped_key()[..8], [0, 0, 0, 0, 0, 0, 8, 9]);
        // Flags, the commit of the drop, the commit, pages in use, a root behind the end, flags of a root.
        for (at, value) in [(54, 1), (54, 16), (55, 1), (48, 8), (0, 0), (40, 51), (56, 50), (75, 2)] {
            let mut b = good.clone();
            b[at] = value;
            assert!(SnapshotRecord::decode(&b).is_err(), "byte {at} = {value}");
        }
        assert!(SnapshotRecord::decode(&good[..103]).is_err());
        let long = [&good[..], &[0; NOTE_MAX]].concat();
        assert!(SnapshotRecord::decode(&long).is_err());
    }

    #[test]
    fn a_mark_has_nothing_but_its_commit_and_its_note() {
        let mark = sample().as_mark();
        let good = mark.encode();
        assert_eq!((SnapshotRecord::decode(&good).expect("a mark"), good[54]), (mark, 1));
        // Flags, the commit of a drop, pages.
        for (at, value) in [(54, 3), (54, 5), (54, 9), (48, 11), (32, 50)] {
            let mut b = good.clone();
            b[at] = value;
            assert!(SnapshotRecord::decode(&b).is_err(), "byte {at} = {value}");
        }
        let with_roots = SnapshotRecord { mark: true, ..sample() };
        assert!(SnapshotRecord::decode(&with_roots.encode()).is_err());
    }

    #[test]
    fn names_are_told_from_other_keys() {
        assert!(is_name(b"a") && !is_name(b"") && !is_name(b"\0policy"));
        assert!(check_name(&[1; NAME_MAX]).is_ok() && check_name(&[1; NAME_MAX + 1]).is_err());
        assert!(check_name(b"").is_err() && check_name(b"\0").is_err());
    }
}
