//! One key out of a key and one of its values, for ordered stores that keep one value per key.
//!
//! LMDB keeps several values per key in databases with the flag DUPSORT, sorted by key and then by value. A store that
//! compares keys as bytes and keeps one value per key has the same pairs in the same order if its keys are
//! *composites*:
//!
//! ```text
//! the key in sortable form, each byte 0x00 replaced by 0x00 0xFF
//! 0x00 0x00
//! the value in sortable form, as it is
//! ```
//!
//! The sortable form is that of [`Rule::sortable`]: bytes stay as they are, integers become big-endian, and keys that
//! are compared from their last byte are reversed. Two composites are equal only if both key and value are. Where one
//! key is the beginning of another, its two zero bytes compare as less than whatever the other goes on with, because
//! that is either at least 0x01 or begins with 0x00 0xFF. So composites sort as pairs do.
//!
//! A composite has two bytes more than key and value together, and one more for each zero byte of the key.

use crate::database::{Flags, Rule};
use crate::layout::ByteOrder;

/// What ends a key.
const END: [u8; 2] = [0, 0];
/// What stands for a zero byte inside a key.
const ZERO: [u8; 2] = [0, 0xFF];

/// Joins keys and values of a database, and takes them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Composite {
    key: Rule,
    value: Rule,
    order: ByteOrder,
}

impl Composite {
    /// Returns that of a database with these flags, from a machine of this byte order.
    pub fn new(flags: Flags, order: ByteOrder) -> Composite {
        Composite::of(flags.key_rule(), flags.value_rule(), order)
    }

    /// Returns that of keys and values that are sorted by these rules.
    pub fn of(key: Rule, value: Rule, order: ByteOrder) -> Composite {
        Composite { key, value, order }
    }

    /// Joins a key and a value.
    pub fn join(&self, key: &[u8], value: &[u8]) -> Vec<u8> {
        let mut out = self.prefix(key);
        out.extend_from_slice(&self.value.sortable(value, self.order));
        out
    }

    /// Returns what the composites of a key begin with, and no others.
    pub fn prefix(&self, key: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(key.len() + END.len());
        for &byte in self.key.sortable(key, self.order).iter() {
            match byte {
                0 => out.extend(ZERO),
                byte => out.push(byte),
            }
        }
        out.extend(END);
        out
    }

    /// Takes a composite apart into key and value, or returns `None` if it is none.
    pub fn split(&self, composite: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
        let mut key = Vec::new();
        let mut rest = composite;
        loop {
            let zero = rest.iter().position(|&byte| byte == 0)?;
            key.extend_from_slice(&rest[..zero]);
            let (pair, behind) = rest[zero..].split_first_chunk::<2>()?;
            rest = behind;
            match *pair {
                ZERO => key.push(0),
                END => break,
                _ => return None,
            }
        }
        let key = self.key.sortable(&key, self.order).into_owned();
        Some((key, self.value.sortable(rest, self.order).into_owned()))
    }
}
