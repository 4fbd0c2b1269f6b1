//! The structs that cross the border, and what is checked about them.

use crate::border::arg::{self, Given};
use crate::border::flags::{
    no_choice, unknown, KV_APPEND, KV_DURABILITY_DEFAULT, KV_DURABILITY_FULL, KV_DURABILITY_LAZY, KV_NO_INSERT,
    KV_NO_OVERWRITE, KV_RANGE_AFTER, KV_RANGE_BEFORE, KV_RANGE_FROM, KV_RANGE_PREFIX, KV_RANGE_REVERSE,
    KV_RANGE_THROUGH,
};
use crate::border::status::{Failure, Outcome};
use kv_engine::{Durability, PutMode, Range, TableId};
use std::ffi::c_void;
use std::ops::Bound;

/// An open database. Any number of threads may use it at once.
///
/// @ingroup kv_database
pub struct kv_db {
    _private: [u8; 0],
}

/// A transaction. Any number of threads may use a read transaction at once, through functions that take a
/// `const kv_txn *`. A write transaction is used by one thread at a time, though not always by the same one.
///
/// @ingroup kv_transactions
pub struct kv_txn {
    _private: [u8; 0],
}

/// A position in a table. A cursor is used by one thread at a time, though not always by the same one.
///
/// @ingroup kv_cursors
pub struct kv_cursor {
    _private: [u8; 0],
}

/// The difference of two states of a database. A kv_diff is used by one thread at a time, though not always by the same
/// one.
///
/// @ingroup kv_differences
pub struct kv_diff {
    _private: [u8; 0],
}

/// A value that is being written in parts. A kv_writer is used by one thread at a time, though not always by the same
/// one.
///
/// @ingroup kv_values
pub struct kv_writer {
    _private: [u8; 0],
}

/// Bytes that outlive their transaction, with a count of references. Any number of threads may use it at once.
///
/// @ingroup kv_retained
pub struct kv_buf {
    _private: [u8; 0],
}

/// The number of a table. It is the same in every transaction and in every process, and it never changes. The number of
/// a dropped table is not given to another one. Numbers are below 2^53.
///
/// @ingroup kv_basics
pub type kv_table = u64;

/// "None" where a number is expected: no page, no table, no place in the file. @ingroup kv_basics
pub const KV_NONE: u64 = u64::MAX;

/// Returns what a report says of the table in question: KV_NONE for trees of the library that have no number to be
/// used.
pub(crate) fn table_in_question(table: Option<TableId>) -> u64 {
    table.filter(|table| !table.is_internal()).map_or(KV_NONE, TableId::get)
}

/// Bytes. In a result, data is never NULL for something that was found, even if it is empty. As an input, (NULL, 0) is
/// the empty string.
///
/// @ingroup kv_basics
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kv_slice {
    /// The first byte.
    pub data: *const c_void,
    /// Length in bytes.
    pub len: usize,
}

/// A key and its value.
///
/// @ingroup kv_basics
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kv_entry {
    /// The key.
    pub key: kv_slice,
    /// The value.
    pub value: kv_slice,
}

/// A contiguous piece of a value.
///
/// @ingroup kv_values
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kv_extent {
    /// Its bytes, valid as a value of kv_get().
    pub data: *const c_void,
    /// Its length in bytes.
    pub len: usize,
    /// Where it begins in the file, in bytes; KV_NONE if it has no place of its own there.
    pub file_offset: u64,
}

/// A range of keys; start from KV_RANGE_INIT, which is the whole table in ascending order, as is NULL instead of a
/// range. The flags say which of the fields count, and they can be combined: a prefix with a bound is a part of what
/// has the prefix. Bytes in a field without its flag return KV_INVALID, so that a forgotten flag never means
/// "everything". Every call copies the range.
///
/// @ingroup kv_basics
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kv_range {
    /// KV_RANGE_... flags.
    pub flags: u32,
    /// Zero.
    pub reserved: u32,
    /// The lower bound, with KV_RANGE_FROM or KV_RANGE_AFTER.
    pub from: kv_slice,
    /// The upper bound, with KV_RANGE_BEFORE or KV_RANGE_THROUGH.
    pub to: kv_slice,
    /// What the keys begin with, with KV_RANGE_PREFIX.
    pub prefix: kv_slice,
}

impl kv_slice {
    /// Makes a slice of bytes of the library, for the caller. It is never NULL: an empty slice in Rust has an address,
    /// too.
    #[inline(always)]
    pub(crate) fn of(bytes: &[u8]) -> kv_slice {
        kv_slice {
            data: bytes.as_ptr().cast(),
            len: bytes.len(),
        }
    }

    /// Stands for what was not found.
    pub(crate) const ABSENT: kv_slice = kv_slice {
        data: std::ptr::null(),
        len: 0,
    };

    /// Makes a slice of what was found, or of nothing.
    pub(crate) fn of_option(bytes: Option<&[u8]>) -> kv_slice {
        bytes.map_or(kv_slice::ABSENT, kv_slice::of)
    }

    /// Returns the caller's bytes.
    ///
    /// # Safety
    /// As `arg::bytes`.
    pub(crate) unsafe fn bytes<'a>(&self, given: Given) -> Outcome<&'a [u8]> {
        // SAFETY: passed on.
        unsafe { arg::bytes(self.data, self.len, given) }
    }

    /// Returns whether it is as KV_..._INIT leaves it.
    pub(crate) fn unused(&self) -> bool {
        self.data.is_null() && self.len == 0
    }
}

/// Makes the engine's range of the caller's; NULL is everything.
///
/// # Safety
/// `range` is NULL or a readable range, whose slices span readable bytes.
pub(crate) unsafe fn range<'a>(range: *const kv_range) -> Outcome<Range<'a>> {
    if range.is_null() {
        return Ok(Range::default());
    }
    // SAFETY: not NULL; the caller promises a readable range.
    let range = unsafe { range.read() };
    let flags = range.flags;
    let all = KV_RANGE_FROM | KV_RANGE_AFTER | KV_RANGE_BEFORE | KV_RANGE_THROUGH | KV_RANGE_PREFIX | KV_RANGE_REVERSE;
    if flags & !all != 0 {
        return Err(unknown("range", flags, all));
    }
    if range.reserved != 0 {
        return Err(Failure::invalid(
            "range: the reserved field is not zero (start from KV_RANGE_INIT)",
        ));
    }
    // SAFETY: the caller promises that the slices of a range span readable bytes.
    let (from, to, prefix) = unsafe {
        (
            range.from.bytes(Given::FROM)?,
            range.to.bytes(Given::TO)?,
            range.prefix.bytes(Given::PREFIX)?,
        )
    };
    let from = match flags & (KV_RANGE_FROM | KV_RANGE_AFTER) {
        0 if range.from.unused() => Bound::Unbounded,
        KV_RANGE_FROM => Bound::Included(from),
        KV_RANGE_AFTER => Bound::Excluded(from),
        0 => {
            return Err(Failure::invalid(
                "range: `from` has bytes but neither KV_RANGE_FROM nor KV_RANGE_AFTER is set",
            ))
        }
        _ => {
            return Err(Failure::invalid(
                "range: KV_RANGE_FROM and KV_RANGE_AFTER exclude each other",
            ))
        }
    };
    let to = match flags & (KV_RANGE_BEFORE | KV_RANGE_THROUGH) {
        0 if range.to.unused() => Bound::Unbounded,
        KV_RANGE_BEFORE => Bound::Excluded(to),
        KV_RANGE_THROUGH => Bound::Included(to),
        0 => {
            return Err(Failure::invalid(
                "range: `to` has bytes but neither KV_RANGE_BEFORE nor KV_RANGE_THROUGH is set",
            ))
        }
        _ => {
            return Err(Failure::invalid(
                "range: KV_RANGE_BEFORE and KV_RANGE_THROUGH exclude each other",
            ))
        }
    };
    let prefix = match flags & KV_RANGE_PREFIX {
        0 if range.prefix.unused() => None,
        0 => {
            return Err(Failure::invalid(
                "range: `prefix` has bytes but KV_RANGE_PREFIX is not set",
            ))
        }
        _ => Some(prefix),
    };
    Ok(Range {
        from,
        to,
        prefix,
        reverse: flags & KV_RANGE_REVERSE != 0,
    })
}

/// Makes a mode of put flags.
#[inline]
pub(crate) fn put_mode(flags: u32) -> Outcome<PutMode> {
    match flags {
        0 => Ok(PutMode::Set),
        KV_NO_OVERWRITE => Ok(PutMode::NoOverwrite),
        KV_NO_INSERT => Ok(PutMode::NoInsert),
        KV_APPEND => Ok(PutMode::Append),
        other => Err(not_one_mode(other)),
    }
}

#[cold]
fn not_one_mode(flags: u32) -> Failure {
    let modes = KV_NO_OVERWRITE | KV_NO_INSERT | KV_APPEND;
    match flags & !modes {
        0 => Failure::invalid("flags: KV_NO_OVERWRITE, KV_NO_INSERT and KV_APPEND exclude each other"),
        _ => unknown("flags", flags, modes),
    }
}

pub(crate) fn durability(number: u32) -> Outcome<Option<Durability>> {
    match number {
        KV_DURABILITY_DEFAULT => Ok(None),
        KV_DURABILITY_FULL => Ok(Some(Durability::Full)),
        KV_DURABILITY_LAZY => Ok(Some(Durability::Lazy)),
        other => Err(no_choice(
            "durability",
            other,
            &[KV_DURABILITY_FULL, KV_DURABILITY_LAZY],
        )),
    }
}
