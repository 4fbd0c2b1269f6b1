//! The lists that a file has of its tables and of its snapshots.
//!
//! | file        | subject                                                                  |
//! |-------------|--------------------------------------------------------------------------|
//! | `name`      | how long names and notes can be                                          |
//! | `policy`    | how often commits record snapshots by themselves                         |
//! | `retention` | which of a row of snapshots stay                                         |
//! | `snapshot`  | the list of named snapshots                                              |
//!
//! Named tables: the catalogue is itself a tree: number of a table (8 bytes, big-endian) -> record. The list of names
//! is an ordinary table with the number [`TableId::NAMES`], which users may only read: name -> number (8 bytes,
//! little-endian). The main table has the number 0. Its root is in the meta slot, so it has a record only if something
//! else is said of it, and the root in that is zero.
//!
//! ```text
//! record   0  root of the table's tree (`page/roots.rs`)
//!         24  u16  name bytes
//!         26  u8   kind: 0, a table of bytes; others are of later versions
//!         27  u8   flags: 0; others are of later versions
//!         28  u16  bytes of the extension
//!         30  name
//!          .  extension: {tag u8, length u8, bytes} each, tags ascending; all of them are of later versions
//!          .  note
//! ```
//!
//! A table of a later version ([`TableKind`]) is read as bytes. It is not changed by this version, which would leave
//! undone what belongs to a change.

mod name;
pub mod policy;
mod retention;
pub mod snapshot;

pub use name::{NAME_MAX, NOTE_MAX};
pub use retention::Retention;

use crate::error::{Error, Result};
use crate::ids::{CommitId, TableId};
use crate::page::leaf::Stored;
use crate::page::roots::RootLayout;
use crate::page::{PageSource, Root};
use crate::tree::read::lookup;
use crate::tree::read::scan::scan_leaves;
use crate::util::bytes::{get_u16, put_u16};
use crate::util::shown::Quoted;

/// How the root is stored with which a record begins.
const ROOT: RootLayout = RootLayout::CURRENT;
const NAME_LEN_AT: usize = ROOT.bytes();
const KIND_AT: usize = NAME_LEN_AT + 2;
const FLAGS_AT: usize = KIND_AT + 1;
const EXTENSION_LEN_AT: usize = FLAGS_AT + 1;
const FIXED: usize = EXTENSION_LEN_AT + 2;
/// The largest length of an extension in bytes.
const EXTENSION_MAX: usize = 256;
/// The flags, and the first of the tags, that whoever changes a table may ignore.
const IGNORABLE_FLAGS: u8 = 0xF0;
const IGNORABLE_TAGS: u8 = 128;

/// What a table is besides entries: its kind, flags and extension. This version makes tables of bytes, and keeps what
/// others have made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableKind {
    kind: u8,
    flags: u8,
    extension: Vec<u8>,
}

impl TableKind {
    /// Returns whether this version can change such a table without making something wrong that belongs to it.
    pub fn is_changeable(&self) -> bool {
        self.kind == 0 && self.flags & !IGNORABLE_FLAGS == 0 && self.tags().all(|tag| tag >= IGNORABLE_TAGS)
    }

    /// Returns the tags of the extension.
    fn tags(&self) -> impl Iterator<Item = u8> + '_ {
        tags(&self.extension).map(|tag| tag.unwrap_or(0))
    }
}

/// Returns the tags of an extension, and at last `None` if it ends in the middle of one.
fn tags(mut extension: &[u8]) -> impl Iterator<Item = Option<u8>> + '_ {
    std::iter::from_fn(move || match *extension {
        [] => None,
        [tag, len, ref rest @ ..] if usize::from(len) <= rest.len() => {
            extension = &rest[usize::from(len)..];
            Some(Some(tag))
        }
        _ => {
            extension = &[];
            Some(None)
        }
    })
}

/// Returns whether an extension is as the format wants it: its tags ascend, and the last one is whole.
fn is_extension(bytes: &[u8]) -> bool {
    let mut last = None;
    bytes.len() <= EXTENSION_MAX
        && tags(bytes).all(|tag| {
            let ascends = tag.is_some() && tag > last;
            last = tag;
            ascends
        })
}

/// What the catalogue knows about a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableRecord {
    /// The root of its tree.
    pub root: Root,
    /// Its name, which is empty for tables that are not named ones.
    pub name: Vec<u8>,
    /// What kind of table it is.
    pub kind: TableKind,
    /// The note that the user attached to it.
    pub note: Vec<u8>,
}

impl TableRecord {
    /// Returns the record in the form in which it is stored.
    pub fn encode(&self) -> Vec<u8> {
        let mut b = vec![0; FIXED];
        ROOT.put(&mut b, &self.root);
        put_u16(&mut b, NAME_LEN_AT, self.name.len() as u16);
        (b[KIND_AT], b[FLAGS_AT]) = (self.kind.kind, self.kind.flags);
        put_u16(&mut b, EXTENSION_LEN_AT, self.kind.extension.len() as u16);
        b.extend_from_slice(&self.name);
        b.extend_from_slice(&self.kind.extension);
        b.extend_from_slice(&self.note);
        b
    }

    /// Parses a stored record.
    ///
    /// # Errors
    /// `Corrupt`: the bytes are not a record.
    pub fn decode(b: &[u8]) -> Result<TableRecord> {
        let root = decode_root(b)?;
        let (name, extension) = (get_u16(b, NAME_LEN_AT), get_u16(b, EXTENSION_LEN_AT));
        let parts = b.get(FIXED..).and_then(|b| {
            let (name, rest) = b.split_at_checked(name.into())?;
            let (extension, note) = rest.split_at_checked(extension.into())?;
            is_extension(extension).then_some((name, extension, note))
        });
        let (name, extension, note) = parts.ok_or_else(bad)?;
        Ok(TableRecord {
            root,
            name: name.to_vec(),
            kind: TableKind {
                kind: b[KIND_AT],
                flags: b[FLAGS_AT],
                extension: extension.to_vec(),
            },
            note: note.to_vec(),
        })
    }

    /// Returns what is wrong with the record of `table`, whose root is judged elsewhere, or `None` if nothing is.
    pub fn fault(&self, table: TableId) -> Option<&'static str> {
        let named = is_named(table);
        let name = if named { 1..=NAME_MAX } else { 0..=0 };
        if !named && table >= TableId::FIRST_NAMED || table == TableId::SNAPSHOTS {
            Some("a record of the catalogue under a number that no table has")
        } else if table == TableId::MAIN && self.root != Root::default() {
            Some("a root of the main table in the catalogue")
        } else if !name.contains(&self.name.len()) {
            Some("a name of a wrong length in the catalogue")
        } else if self.note.len() > NOTE_MAX {
            Some("a note that is too long in the catalogue")
        } else {
            None
        }
    }
}

#[cold]
fn bad() -> Error {
    Error::corrupt(None, "record of the catalogue is malformed")
}

fn decode_root(b: &[u8]) -> Result<Root> {
    if b.len() < FIXED {
        return Err(bad());
    }
    match ROOT.get(b) {
        Some(root) if root.height > 0 || root == Root::default() => Ok(root),
        _ => Err(bad()),
    }
}

/// Returns the key of a table's record.
pub fn record_key(table: TableId) -> [u8; 8] {
    table.get().to_be_bytes()
}

/// Returns the table whose record has this key.
///
/// # Errors
/// `Corrupt`: the key does not have 8 bytes.
pub fn table_of_key(key: &[u8]) -> Result<TableId> {
    let number = <[u8; 8]>::try_from(key).map(u64::from_be_bytes);
    match number {
        Ok(number) => Ok(TableId::new(number)),
        Err(_) => Err(Error::corrupt(None, "key of the catalogue has a wrong size")),
    }
}

/// Gives every table of the catalogue and its record to `f`, in the order of their numbers, and the birth of the leaf
/// that the record is in.
///
/// # Errors
/// Those that `f` returns. `Corrupt`, `Io`: the catalogue cannot be read any further; `f` has got the tables before
/// that point.
pub fn each_table<'s, S: PageSource<'s>>(
    source: &S,
    catalogue: &Root,
    mut f: impl FnMut(TableId, TableRecord, CommitId) -> Result<()>,
) -> Result<()> {
    scan_leaves(source, catalogue, |leaf, key, value| {
        let Stored::Inline(value) = value else {
            return Err(bad());
        };
        let record = TableRecord::decode(value)?;
        f(table_of_key(key)?, record, leaf.birth)?;
        Ok(true)
    })
}

/// Returns the bytes of the record of `table`, or `None` if there is no such table.
pub fn find<'s, S: PageSource<'s>>(source: &S, catalogue: &Root, table: TableId) -> Result<Option<&'s [u8]>> {
    let found = lookup::get(source, catalogue, &record_key(table));
    match found.map_err(|e| e.in_table(TableId::CATALOGUE))? {
        None => Ok(None),
        Some(Stored::Inline(b)) => Ok(Some(b)),
        Some(Stored::Chain(_)) => Err(bad()),
    }
}

/// Returns the root of the tree of `table`, which must not be [`TableId::MAIN`]. In a database without named tables the
/// list of names has no record, and its tree is empty.
pub fn root_of<'s, S: PageSource<'s>>(source: &S, catalogue: &Root, table: TableId) -> Result<Root> {
    match find(source, catalogue, table)? {
        Some(b) => decode_root(b),
        None if table == TableId::NAMES => Ok(Root::default()),
        None => Err(no_table(table)),
    }
}

/// Returns a table's number as the list of names stores it.
pub fn encode_number(table: TableId) -> [u8; 8] {
    table.get().to_le_bytes()
}

/// Returns the number that an entry of the list of names contains.
///
/// # Errors
/// `Corrupt`: the value does not have 8 bytes.
pub fn decode_number(bytes: &[u8]) -> Result<TableId> {
    match bytes.try_into() {
        Ok(bytes) => Ok(TableId::new(u64::from_le_bytes(bytes))),
        Err(_) => Err(Error::corrupt(None, "number of a table has a wrong size")),
    }
}

/// Returns the error for a name that no table has.
#[cold]
pub fn unknown_name(name: &[u8]) -> Error {
    let what = format!(
        "{}; create it (kv_table_create), or look whether the name and the file are right",
        Quoted(name)
    );
    Error::no_table(None, what)
}

/// Returns the error for a name that no table has in the commit that a read transaction sees.
#[cold]
pub fn unknown_name_in(commit: CommitId, name: &[u8]) -> Error {
    let what = format!(
        "{} in commit {commit}, which this transaction sees; look whether the name and the file are right, and whether it \
         was made later (kv_txn_refresh)",
        Quoted(name)
    );
    Error::no_table(None, what)
}

/// Returns what messages call the number of a table that is not there.
fn numbered(table: TableId) -> String {
    match table.get() {
        u64::MAX => "KV_NONE".into(),
        number => format!("number {number}"),
    }
}

/// Returns the error for a number that no table has.
#[cold]
pub fn no_table(table: TableId) -> Error {
    let what = format!(
        "{} (it was never committed, was dropped, or is of another database); open it again by name",
        numbered(table)
    );
    Error::no_table(Some(table), what)
}

/// Returns the error for a number that no table has in the commit that a read transaction sees. One of an earlier state
/// sees that for ever.
#[cold]
pub fn no_table_in(commit: CommitId, table: TableId, is_older: bool) -> Error {
    let advice = match is_older {
        true => "begin a transaction on a state that has it",
        false => "refresh the transaction (kv_txn_refresh)",
    };
    let what = format!(
        "{} in commit {commit}, which this transaction sees (it was made later, never committed, dropped, or \
         is of another database); {advice}, or open it again by name",
        numbered(table)
    );
    Error::no_table(Some(table), what)
}

/// Returns the error for a number that no table has in either of two states.
#[cold]
pub fn no_table_in_either(table: TableId) -> Error {
    let what = format!(
        "{} in either of the two states (it was never committed, is of another database, or was made and dropped \
         between them); open it by name in one of the two transactions",
        numbered(table)
    );
    Error::no_table(Some(table), what)
}

/// Returns the error for the list of snapshots in a state that a snapshot has.
#[cold]
pub fn no_list_in_snapshots() -> Error {
    let what = "the list of snapshots, which is part of no snapshot; ask a transaction that reads the newest state";
    Error::no_table(Some(TableId::SNAPSHOTS), what.to_owned())
}

/// The number of bits in a named table's number. A floating-point number has room for that many, so any language can
/// represent it.
const NUMBER_BITS: u32 = 53;

/// Returns whether a number can be that of a named table.
pub fn is_named(table: TableId) -> bool {
    (TableId::FIRST_NAMED..TableId::new(1 << NUMBER_BITS)).contains(&table)
}

/// Checks the name that a user gives a new or renamed table.
///
/// # Errors
/// `Invalid`: it is empty, or begins with the byte 0, as names do that later versions give; `TooBig`: it is longer than
/// [`NAME_MAX`].
pub fn check_new_name(name: &[u8]) -> Result<()> {
    if name.first() == Some(&0) {
        return Err(Error::Invalid(
            "a table's name must not begin with a byte 0; such names are those of later versions",
        ));
    }
    check_name(name)
}

/// Checks the name of a table.
///
/// # Errors
/// `Invalid`: it is empty; `TooBig`: it is longer than [`NAME_MAX`].
pub fn check_name(name: &[u8]) -> Result<()> {
    if name.is_empty() {
        return Err(Error::Invalid(
            "a table's name must not be empty; the table without a name is KV_MAIN",
        ));
    }
    if name.len() > NAME_MAX {
        return Err(Error::TooBig {
            what: "table name",
            size: name.len() as u64,
            limit: NAME_MAX as u64,
        });
    }
    Ok(())
}

/// Returns a number for a new table. It is random, because a counter would issue the number of an aborted creation
/// again, and whoever still had that number would write into another table.
pub fn new_number() -> TableId {
    use std::hash::{BuildHasher, Hasher};
    loop {
        let random = std::collections::hash_map::RandomState::new().build_hasher().finish();
        let number = TableId::new(random >> (64 - NUMBER_BITS));
        if is_named(number) {
            return number;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{CommitId, PageNo};
    use crate::page::Ptr;

    #[test]
    fn records_round_trip() {
        let record = TableRecord {
            root: Root {
                ptr: Ptr {
                    page: PageNo::new(5).into(),
                    birth: CommitId::new(6),
                    entries: 7,
                    checksum: 8,
                },
                height: 3,
                has_long: true,
            },
            name: b"accounts".to_vec(),
            kind: TableKind {
                kind: 1,
                flags: 0x11,
                extension: vec![1, 0, 130, 2, 7, 8],
            },
            note: b"v1".to_vec(),
        };
        let b = record.encode();
        assert_eq!(TableRecord::decode(&b).unwrap(), record);
        (0..FIXED + 14).for_each(|cut| assert!(TableRecord::decode(&b[..cut]).is_err()));
        assert_eq!(b[24..30], [8, 0, 1, 0x11, 6, 0]);
        assert_eq!(b[30..], *b"accounts\x01\x00\x82\x02\x07\x08v1");
    }

    #[test]
    fn extensions_have_ascending_whole_tags() {
        let long = |len: u8| [vec![1, len], vec![0; len.into()]].concat();
        let good = [vec![], vec![0, 0], vec![1, 0, 2, 1, 9, 255, 0], long(254)];
        let bad = [
            vec![1],
            vec![1, 1],
            vec![1, 0, 1, 0],
            vec![2, 0, 1, 0],
            vec![1, 0, 2],
            long(255),
        ];
        assert!(good.iter().all(|bytes| is_extension(bytes)));
        assert!(bad.iter().all(|bytes| !is_extension(bytes)));
    }

    #[test]
    fn a_table_is_changed_only_if_all_of_it_is_known() {
        let kind = |kind, flags, extension: &[u8]| TableKind {
            kind,
            flags,
            extension: extension.to_vec(),
        };
        assert!(TableKind::default().is_changeable());
        for ignorable in [kind(0, 0xF0, &[]), kind(0, 0, &[128, 1, 5]), kind(0, 16, &[255, 0])] {
            assert!(ignorable.is_changeable(), "{ignorable:?}");
        }
        let unknown = [1, 2, 4, 8].map(|flag| kind(0, flag, &[]));
        let tags = [kind(0, 0, &[127, 0]), kind(0, 0, &[1, 0, 200, 0]), kind(3, 0, &[])];
        assert!(unknown.iter().chain(&tags).all(|kind| !kind.is_changeable()));
    }

    #[test]
    fn records_that_no_table_has_are_told() {
        let named = TableRecord {
            name: b"n".to_vec(),
            ..TableRecord::default()
        };
        let unnamed = TableRecord::default();
        let id = TableId::new;
        for (table, is_named) in [(0, false), (1, false), (3, false), (255, false), (256, true)] {
            assert_eq!(named.fault(id(table)).is_none(), is_named, "{table}");
            assert_eq!(unnamed.fault(id(table)).is_none(), !is_named, "{table}");
        }
        for table in [2, 1 << 53, u64::MAX] {
            assert!(
                named.fault(id(table)).is_some() && unnamed.fault(id(table)).is_some(),
                "{table}"
            );
        }
        let long = |name: usize, note: usize| TableRecord {
            name: vec![b'n'; name],
            note: vec![b'n'; note],
            ..TableRecord::default()
        };
        assert!(long(512, 1024).fault(id(256)).is_none());
        assert!(long(513, 0).fault(id(256)).is_some() && long(1, 1025).fault(id(256)).is_some());
        let rooted = TableRecord {
            root: Root {
                height: 1,
                ..Root::default()
            },
            ..TableRecord::default()
        };
        assert!(rooted.fault(TableId::MAIN).is_some() && rooted.fault(TableId::NAMES).is_none());
    }
}
