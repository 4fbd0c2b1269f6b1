//! Named tables. The catalogue is itself a tree: number of a table (8 bytes, big-endian) -> record. The list of names
//! is an ordinary table with the number [`TableId::NAMES`], which users may only read: name -> number (8 bytes,
//! little-endian). The default table has the number 0. Its root is in the meta slot, so it has no record.
//!
//! ```text
//! record   0  root of the table's tree (`page/roots.rs`)
//!         24  u16  name bytes
//!         26  name
//!          .  note
//! ```

use crate::error::{Error, Result};
use crate::ids::TableId;
use crate::page::leaf::Stored;
use crate::page::roots::RootLayout;
use crate::page::{PageSource, Ptr, Root};
use crate::tree::read::lookup;
use crate::tree::read::scan::scan;
use crate::util::bytes::{get_u16, put_u16};

/// The largest length of a table's name in bytes.
pub const NAME_MAX: usize = 512;
/// The largest length of a note in bytes.
pub const NOTE_MAX: usize = 1024;
/// How the root is stored with which a record begins.
const ROOT: RootLayout = RootLayout::CURRENT;
const NAME_LEN_AT: usize = ROOT.bytes();
const FIXED: usize = NAME_LEN_AT + 2;

/// What the catalogue knows about a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableRecord {
    /// The root of its tree.
    pub root: Root,
    /// Its name, which is empty for the list of names.
    pub name: Vec<u8>,
    /// The note that the user attached to it.
    pub note: Vec<u8>,
}

impl TableRecord {
    /// Returns the record in the form in which it is stored.
    pub fn encode(&self) -> Vec<u8> {
        let mut b = vec![0; FIXED];
        ROOT.put(&mut b, &self.root);
        put_u16(&mut b, NAME_LEN_AT, self.name.len() as u16);
        b.extend_from_slice(&self.name);
        b.extend_from_slice(&self.note);
        b
    }

    /// Parses a stored record.
    ///
    /// # Errors
    /// `Corrupt`: the bytes are not a record.
    pub fn decode(b: &[u8]) -> Result<TableRecord> {
        let root = decode_root(b)?;
        let name = get_u16(b, NAME_LEN_AT) as usize;
        let Some((name, note)) = b.get(FIXED..).and_then(|b| b.split_at_checked(name)) else {
            return Err(bad());
        };
        Ok(TableRecord {
            root,
            name: name.to_vec(),
            note: note.to_vec(),
        })
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
    let root = ROOT.get(b);
    if root.height == 0 && root.ptr != Ptr::default() {
        return Err(bad());
    }
    Ok(root)
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

/// Gives every table of the catalogue and its record to `f`, in the order of their numbers.
///
/// # Errors
/// Those that `f` returns. `Corrupt`, `Io`: the catalogue cannot be read any further; `f` has got the tables before
/// that point.
pub fn each_table<'s, S: PageSource<'s>>(
    source: &S,
    catalogue: &Root,
    mut f: impl FnMut(TableId, TableRecord) -> Result<()>,
) -> Result<()> {
    scan(source, catalogue, &[], |key, value| {
        let record = TableRecord::decode(value.bytes())?;
        f(table_of_key(key)?, record)?;
        Ok(true)
    })
}

/// Returns the bytes of the record of `table`, or `None` if there is no such table.
pub fn find<'s, S: PageSource<'s>>(source: &S, catalogue: &Root, table: TableId) -> Result<Option<&'s [u8]>> {
    match lookup::get(source, catalogue, &record_key(table))? {
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
    Error::NoTable(format!("'{}'; create it first", name.escape_ascii()))
}

/// Returns the error for a number that no table has.
#[cold]
pub fn no_table(table: TableId) -> Error {
    Error::NoTable(format!(
        "number {table} (it was dropped, or is of another database); open it again by name"
    ))
}

/// The number of bits in a named table's number. A floating-point number has room for that many, so any language can
/// represent it.
const NUMBER_BITS: u32 = 53;

/// Returns whether a number can be that of a named table.
pub fn is_named(table: TableId) -> bool {
    (TableId::FIRST_NAMED..TableId::new(1 << NUMBER_BITS)).contains(&table)
}

/// Checks the name of a new or renamed table.
///
/// # Errors
/// `Invalid`: it is empty; `TooBig`: it is longer than [`NAME_MAX`].
pub fn check_name(name: &[u8]) -> Result<()> {
    if name.is_empty() {
        return Err(Error::Invalid("a table's name must not be empty"));
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
            note: b"v1".to_vec(),
        };
        let b = record.encode();
        assert_eq!(TableRecord::decode(&b).unwrap(), record);
        (0..FIXED + 8).for_each(|cut| assert!(TableRecord::decode(&b[..cut]).is_err()));
    }
}
