//! The flags of every call: which of them a call knows, and what is said about one that it does not know.
//!
//! Kinds, flags and choices have values that no two of them share, and none of them looks like the number of a table of
//! the library. So an argument in a wrong place is refused, and the message can name what was given.

use crate::border::status::{Failure, Outcome, KV_INVALID};

/// Kind of transaction: it reads one snapshot. It never waits for others, and others never wait for it.
/// @ingroup kv_transactions
pub const KV_READ: u32 = 16;
/// Kind of transaction: it reads and writes. Only one of a database is open at a time. @ingroup kv_transactions
pub const KV_WRITE: u32 = 17;

/// Seek: the entry with exactly this key. @ingroup kv_cursors
pub const KV_SEEK_EQ: u32 = 32;
/// Seek: the entry with this key, or else with the next greater one. @ingroup kv_cursors
pub const KV_SEEK_GE: u32 = 33;
/// Seek: the entry with the next greater key. @ingroup kv_cursors
pub const KV_SEEK_GT: u32 = 34;
/// Seek: the entry with this key, or else with the next lesser one. @ingroup kv_cursors
pub const KV_SEEK_LE: u32 = 35;
/// Seek: the entry with the next lesser key. @ingroup kv_cursors
pub const KV_SEEK_LT: u32 = 36;

/// kv_op.op: put key and value; the flags are those of kv_put(). @ingroup kv_batches
pub const KV_OP_PUT: u32 = 48;
/// kv_op.op: delete the key; the flags are those of kv_delete(). The value is ignored. @ingroup kv_batches
pub const KV_OP_DELETE: u32 = 49;

/// Durability: of a transaction, as the database was opened; of a database, KV_DURABILITY_FULL. @ingroup kv_database
pub const KV_DURABILITY_DEFAULT: u32 = 0;
/// Durability: a commit becomes visible when it is durable, and kv_txn_commit() returns then. @ingroup kv_database
pub const KV_DURABILITY_FULL: u32 = 64;
/// Durability: a commit is visible at once and survives a killed process. It becomes durable by kv_sync(), by
/// kv_wait_durable(), by a later full commit, by kv_close(), or by a later lazy commit when much waits: more than 256
/// commits, or more than a quarter of the database (at least 256 pages, at most 3 MiB). A power cut may take the newest
/// lazy commits, but never an older one without the newer ones. @ingroup kv_database
pub const KV_DURABILITY_LAZY: u32 = 65;

/// Verification: KV_VERIFY_ONCE. @ingroup kv_database
pub const KV_VERIFY_DEFAULT: u32 = 0;
/// Verification: each page is compared with its checksum when it is first touched after it was written.
/// @ingroup kv_database
pub const KV_VERIFY_ONCE: u32 = 72;
/// Verification: each page is compared with its checksum on every access. @ingroup kv_database
pub const KV_VERIFY_ALWAYS: u32 = 73;
/// Verification: pages are compared with their checksums only by kv_check() and kv_backup(). @ingroup kv_database
pub const KV_VERIFY_NEVER: u32 = 74;

/// Put flag: only if the key does not exist, or the call returns KV_EXISTS. @ingroup kv_entries
pub const KV_NO_OVERWRITE: u32 = 0x100;
/// Put flag: only if the key exists, or the call returns KV_NOTFOUND. @ingroup kv_entries
pub const KV_NO_INSERT: u32 = 0x200;
/// Put flag: only if the key is greater than every key of the table, or the call returns KV_ORDER. @ingroup kv_entries
pub const KV_APPEND: u32 = 0x400;
/// Delete flag: do not look whether the entry exists; the call returns KV_OK either way. @ingroup kv_entries
pub const KV_BLIND: u32 = 0x800;

/// Open flag: the file must exist, or kv_open() returns KV_NO_FILE. @ingroup kv_database
pub const KV_OPEN_EXISTING: u32 = 0x1000;
/// Open flag: the file must not exist yet, or kv_open() returns KV_EXISTS. @ingroup kv_database
pub const KV_OPEN_NEW: u32 = 0x2000;
/// Open flag: the database is never written, so the file may be read-only. Implies KV_OPEN_EXISTING.
/// @ingroup kv_database
pub const KV_OPEN_READ_ONLY: u32 = 0x4000;
/// Open flag: the database is in memory only, and empty when it is opened. The path is ignored and may be NULL.
/// Excludes KV_OPEN_EXISTING and KV_OPEN_READ_ONLY. @ingroup kv_database
pub const KV_OPEN_MEMORY: u32 = 0x8000;

/// kv_txn_options.flags: if another write transaction is open, kv_txn_begin() returns KV_BUSY at once.
/// @ingroup kv_transactions
pub const KV_TXN_NOWAIT: u32 = 0x10000;

/// kv_table_options.flags: there must be no table of this name yet, or kv_table_create() returns KV_EXISTS.
/// @ingroup kv_tables
pub const KV_TABLE_NEW: u32 = 0x20000;

/// kv_batch.flags: an entry is its key alone; values are not read. @ingroup kv_batches
pub const KV_BATCH_KEYS: u32 = 0x40000;
/// kv_batch.flags: an entry is its value alone. @ingroup kv_batches
pub const KV_BATCH_VALUES: u32 = 0x80000;

/// kv_range.flags: only keys greater than or equal to `from`. @ingroup kv_basics
pub const KV_RANGE_FROM: u32 = 0x0010_0000;
/// kv_range.flags: only keys greater than `from`. @ingroup kv_basics
pub const KV_RANGE_AFTER: u32 = 0x0020_0000;
/// kv_range.flags: only keys less than `to`. @ingroup kv_basics
pub const KV_RANGE_BEFORE: u32 = 0x0040_0000;
/// kv_range.flags: only keys less than or equal to `to`. @ingroup kv_basics
pub const KV_RANGE_THROUGH: u32 = 0x0080_0000;
/// kv_range.flags: only keys that begin with `prefix`. @ingroup kv_basics
pub const KV_RANGE_PREFIX: u32 = 0x0100_0000;
/// kv_range.flags: from the greatest key down. The first entry is the one with the greatest key; the next has a lesser
/// one. @ingroup kv_basics
pub const KV_RANGE_REVERSE: u32 = 0x0200_0000;

/// kv_job_options.flags of kv_check(): also prove that every page of the file is exactly one of used, held, free or
/// bookkeeping. This can only be said of the newest commit, so that one is checked instead of the transaction's, and an
/// open write transaction is waited for. @ingroup kv_maintenance
pub const KV_JOB_CHECK_SPACE: u32 = 0x0400_0000;
/// kv_job_options.flags of kv_backup() and kv_backup_stream(): put the entries into a new database in order, with full
/// pages and no free ones, instead of copying pages. @ingroup kv_maintenance
pub const KV_JOB_COMPACT: u32 = 0x0800_0000;
/// kv_job_options.flags of kv_backup() and kv_salvage(): replace a file that exists already. A link to a file is
/// replaced itself; devices, pipes, directories and the like never are. @ingroup kv_maintenance
pub const KV_JOB_OVERWRITE: u32 = 0x1000_0000;

/// kv_snapshot_options.flags: a snapshot of this name is dropped, if there is one. Without the flag,
/// kv_snapshot_create() returns KV_EXISTS then. @ingroup kv_snapshots
pub const KV_SNAPSHOT_REPLACE: u32 = 0x2000_0000;
/// kv_snapshot_options.flags and kv_snapshot_stat.flags: the snapshot cannot be dropped or replaced before
/// kv_snapshot_keep() takes this back. @ingroup kv_snapshots
pub const KV_SNAPSHOT_KEEP: u32 = 0x4000_0000;
/// kv_snapshot_options.flags and kv_snapshot_stat.flags: it is a mark, which keeps nothing. It cannot be read, but
/// kv_snapshot_ranges() tells which ranges of keys have changed since. Excludes KV_SNAPSHOT_KEEP and KV_SNAPSHOT_YIELD.
/// @ingroup kv_snapshots
pub const KV_SNAPSHOT_MARK: u32 = 0x8000_0000;
/// kv_snapshot_options.flags and kv_snapshot_stat.flags: the snapshot becomes a mark when the policy of the file says
/// so (kv_retention.yield_after, yield_pages), but not while it has KV_SNAPSHOT_KEEP. @ingroup kv_snapshots
pub const KV_SNAPSHOT_YIELD: u32 = 0x80;

/// Makes a table of constants and their names.
macro_rules! named {
    ($($name:ident),* $(,)?) => { &[$(($name, stringify!($name))),*] };
}

/// Every kind, choice and flag.
const NAMED: &[(u32, &str)] = named![
    KV_READ,
    KV_WRITE,
    KV_SEEK_EQ,
    KV_SEEK_GE,
    KV_SEEK_GT,
    KV_SEEK_LE,
    KV_SEEK_LT,
    KV_OP_PUT,
    KV_OP_DELETE,
    KV_DURABILITY_FULL,
    KV_DURABILITY_LAZY,
    KV_VERIFY_ONCE,
    KV_VERIFY_ALWAYS,
    KV_VERIFY_NEVER,
    KV_NO_OVERWRITE,
    KV_NO_INSERT,
    KV_APPEND,
    KV_BLIND,
    KV_OPEN_EXISTING,
    KV_OPEN_NEW,
    KV_OPEN_READ_ONLY,
    KV_OPEN_MEMORY,
    KV_TXN_NOWAIT,
    KV_TABLE_NEW,
    KV_BATCH_KEYS,
    KV_BATCH_VALUES,
    KV_RANGE_FROM,
    KV_RANGE_AFTER,
    KV_RANGE_BEFORE,
    KV_RANGE_THROUGH,
    KV_RANGE_PREFIX,
    KV_RANGE_REVERSE,
    KV_JOB_CHECK_SPACE,
    KV_JOB_COMPACT,
    KV_JOB_OVERWRITE,
    KV_SNAPSHOT_REPLACE,
    KV_SNAPSHOT_KEEP,
    KV_SNAPSHOT_MARK,
    KV_SNAPSHOT_YIELD,
];

/// The lowest flag. Kinds and choices are numbers below it.
const FIRST_FLAG: u32 = KV_SNAPSHOT_YIELD;

/// Refuses flags that are not among `all`, which are those that a call knows.
#[inline]
pub(crate) fn known(flags: u32, all: u32) -> Outcome {
    match flags & !all {
        0 => Ok(()),
        _ => Err(unknown("flags", flags, all)),
    }
}

/// Returns the failure of a call that was given `given` as `what` but takes only flags among `all`.
#[cold]
#[inline(never)]
pub(crate) fn unknown(what: &str, given: u32, all: u32) -> Failure {
    let taken = match all {
        0 => "it takes no flag".to_string(),
        _ => format!("it takes {}", names(all)),
    };
    let wrong = given & !all;
    let message = format!("{what}: {} cannot be given to this call; {taken}", names(wrong));
    Failure::Here(KV_INVALID, message.into())
}

/// Returns the failure of a call that was given `given` where one of `choices` is expected.
#[cold]
#[inline(never)]
pub(crate) fn no_choice(what: &str, given: u32, choices: &[u32]) -> Failure {
    let choices: Vec<String> = choices.iter().map(|choice| names(*choice)).collect();
    let message = format!("{what}: {} is none of {}", names(given), choices.join(", "));
    Failure::Here(KV_INVALID, message.into())
}

/// Returns the names of the constants that make up `number`.
fn names(number: u32) -> String {
    let exact = NAMED.iter().find(|(value, _)| *value == number);
    if let Some((_, name)) = exact {
        return (*name).to_string();
    }
    let mut left = number;
    let mut parts = Vec::new();
    for (flag, name) in NAMED.iter().filter(|(flag, _)| *flag >= FIRST_FLAG) {
        if left & flag != 0 {
            parts.push((*name).to_string());
            left &= !flag;
        }
    }
    if left != 0 || parts.is_empty() {
        parts.push(format!("{left:#x}"));
    }
    parts.join(" | ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::KV_SNAPSHOTS;

    fn message(failure: Outcome) -> String {
        match failure {
            Err(Failure::Here(KV_INVALID, message)) => message.into_owned(),
            other => panic!("no message: {other:?}"),
        }
    }

    #[test]
    fn no_two_constants_share_a_value_or_a_bit() {
        for (i, (a, name)) in NAMED.iter().enumerate() {
            assert!(u64::from(*a) > KV_SNAPSHOTS, "{name} looks like a table");
            for (b, other) in &NAMED[i + 1..] {
                assert_ne!(a, b, "{name} and {other}");
                let both_are_flags = *a >= FIRST_FLAG && *b >= FIRST_FLAG;
                assert!(!both_are_flags || a & b == 0, "{name} and {other} share a bit");
            }
            assert!(*a < FIRST_FLAG || a.is_power_of_two(), "{name} is no single bit");
        }
    }

    #[test]
    fn a_wrong_flag_is_named() {
        assert!(known(KV_BLIND, KV_BLIND).is_ok());
        assert_eq!(
            message(known(KV_BLIND | KV_APPEND, KV_BLIND)),
            "flags: KV_APPEND cannot be given to this call; it takes KV_BLIND"
        );
        assert_eq!(
            message(known(KV_APPEND | 3, 0)),
            "flags: KV_APPEND | 0x3 cannot be given to this call; it takes no flag"
        );
        assert_eq!(
            message(Err(no_choice("kind", KV_SEEK_EQ, &[KV_READ, KV_WRITE]))),
            "kind: KV_SEEK_EQ is none of KV_READ, KV_WRITE"
        );
    }
}
