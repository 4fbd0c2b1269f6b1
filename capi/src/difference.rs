//! Chapter "differences": what was added, removed and changed between two transactions.

use crate::border::arg::{self, handle_out, maybe, out, Growing};
use crate::border::error::{guard_in_memory, guard_open, guard_void, About};
use crate::border::status::{kv_status, Failure, Outcome, KV_INVALID, KV_NO_TABLE};
use crate::border::types::{self, kv_diff, kv_range, kv_slice, kv_table, kv_txn, KV_NONE};
use crate::handle::about::about;
use crate::handle::children::{close_child, publish_diff};
use crate::handle::in_use::{DiffUse, TwoTxns};
use crate::handle::token::{Kind, Kinds, Token};
use crate::packed::{kv_batch, Packer, KV_KIND_ABSENT, KV_KIND_PRESENT};
use kv_engine::{Change, ChangeKind, Difference, Error, Reader, ShownPath, TableId};

/// kv_change.kind: only the later state has the key. @ingroup kv_differences
pub const KV_CHANGE_ADDED: u32 = 1;
/// kv_change.kind: only the earlier state has the key. @ingroup kv_differences
pub const KV_CHANGE_REMOVED: u32 = 2;
/// kv_change.kind: both states have the key, with different values. @ingroup kv_differences
pub const KV_CHANGE_CHANGED: u32 = 3;

/// One change between two states, filled by kv_diff_next(); start from KV_CHANGE_INIT.
///
/// @ingroup kv_differences
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kv_change {
    /// sizeof(kv_change), set by KV_CHANGE_INIT.
    pub struct_size: u32,
    /// KV_CHANGE_...
    pub kind: u32,
    /// The key, valid until the next call on the kv_diff.
    pub key: kv_slice,
    /// The value before; (NULL, 0) if the key was added. Valid as a value of kv_get() in that transaction.
    pub before: kv_slice,
    /// The value after; (NULL, 0) if the key was removed. Valid as a value of kv_get() in that transaction.
    pub after: kv_slice,
}
// SAFETY: repr(C), struct_size first; zero is a value of integers and pointers alike.
unsafe impl Growing for kv_change {}

/// How many keys differ between two states, filled by kv_diff_count(); start from KV_DIFF_COUNTS_INIT.
///
/// @ingroup kv_differences
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kv_diff_counts {
    /// sizeof(kv_diff_counts), set by KV_DIFF_COUNTS_INIT.
    pub struct_size: u32,
    /// Zero.
    pub reserved: u32,
    /// Keys that only the later state has.
    pub added: u64,
    /// Keys that only the earlier state has.
    pub removed: u64,
    /// Keys that both states have, with different values.
    pub changed: u64,
}
// SAFETY: repr(C), struct_size first, integers only.
unsafe impl Growing for kv_diff_counts {}

fn number_of(kind: ChangeKind) -> u32 {
    match kind {
        ChangeKind::Added => KV_CHANGE_ADDED,
        ChangeKind::Removed => KV_CHANGE_REMOVED,
        ChangeKind::Changed => KV_CHANGE_CHANGED,
    }
}

/// Returns the table whose difference is wanted.
fn one_table(table: kv_table) -> Outcome<TableId> {
    match table {
        KV_NONE => Err(Failure::here(
            KV_NO_TABLE,
            "no such table: KV_NONE is none, and a difference is of one; give its number (kv_same() takes KV_NONE for all)",
        )),
        number => Ok(TableId::new(number)),
    }
}

/// Says of which databases two transactions are, if these differ. The path of the later one begins the message.
fn of_one_database<T>(before: *const kv_txn, answer: Outcome<T>) -> Outcome<T> {
    answer.map_err(|failure| match failure {
        Failure::Engine(Error::Invalid(_)) => {
            let mut of = String::new();
            about(before).with_path(&mut |path| of = format!(" (`before` is of {})", ShownPath(path)));
            let message =
                format!("before and after: they are transactions of different databases{of}; give two of one");
            Failure::Here(KV_INVALID, message.into())
        }
        other => other,
    })
}

/// Opens the difference of a table in two states: the keys that were added, removed and changed, in order.
///
/// Only pages that differ are read, so the time depends on how much was changed and not on how large the table is. A
/// key whose value was written again as it was is no change. A loop over all changes:
///
///     kv_change change = KV_CHANGE_INIT;
///     while ((status = kv_diff_next(diff, &change)) == KV_OK) use(&change);
///     if (status != KV_NOTFOUND) return status;
///
/// A table is found by its number: one that only one of the two states has is wholly added or removed. A table that was
/// dropped and created again under its name has another number, so ask for the number of the name in each transaction
/// (kv_table_open()), and for the difference of each. The difference of KV_TABLES tells which tables were created,
/// dropped and renamed. The list of snapshots is part of no earlier state: if `before` reads a snapshot and `after` the
/// newest commit, all of KV_SNAPSHOTS is added.
///
/// A difference belongs to both transactions, and ends with the first of them that ends. If one of them is refreshed,
/// or writes, the difference goes on behind the last key that it gave, in the new state.
///
/// @param before  The transaction that sees the earlier state. It may also see the later one: added and removed then
///                change sides.
/// @param after   The transaction that sees the later state, of the same database. One of the two may be a write
///                transaction, whose own writes count.
/// @param range   NULL = the whole table, in ascending order. Copied, its direction included.
/// @param diff    Receives the handle, which kv_diff_close() releases, or the end of one of the transactions.
/// @return KV_OK; KV_NO_TABLE (neither transaction has the table); KV_INVALID (also: transactions of different
///         databases, or one write transaction twice); KV_TOO_BIG (a bound); KV_LIMIT; KV_BAD_HANDLE, KV_FORKED,
///         KV_BUSY; KV_TXN_FAILED; KV_CORRUPT, KV_IO, KV_NO_SPACE, KV_NO_MEMORY.
/// @ingroup kv_differences
#[no_mangle]
pub unsafe extern "C" fn kv_diff_open(
    before: *const kv_txn,
    after: *const kv_txn,
    table: kv_table,
    range: *const kv_range,
    diff: *mut *mut kv_diff,
) -> kv_status {
    // SAFETY: NULL or writable, as described above.
    let handle = unsafe { maybe(diff) };
    guard_open(c"kv_diff_open", about(after), handle, || {
        // SAFETY: pointers of the caller, as described above.
        let (diff, range) = unsafe { (handle_out(diff, "diff")?, types::range(range)?) };
        let mut both = TwoTxns::of(before, after)?;
        let table = one_table(table)?;
        let opened = both.read(|before, after| Difference::new(before, after, table, &range));
        let opened = of_one_database(before, opened)?;
        diff.set(publish_diff(both.diff(opened))?.handle());
        Ok(())
    })
}

/// Closes a difference. One that is NULL or closed, or whose transaction has ended, is ignored.
///
/// @ingroup kv_differences
#[no_mangle]
pub unsafe extern "C" fn kv_diff_close(diff: *mut kv_diff) {
    if !diff.is_null() {
        guard_void(c"kv_diff_close", about(diff), || {
            close_child(Token::of(diff), Kinds::of(&[Kind::Diff, Kind::RetiredDiff]))
        });
    }
}

/// Goes to the next change. After KV_CORRUPT, and after any other failure, the next call goes to the same change, and
/// meets the same damage: no change is left out unseen. Damage in pages that are the same in both states is not met.
///
/// @param change  Receives the change; start from KV_CHANGE_INIT.
/// @return KV_OK; KV_NOTFOUND (there is no further change); KV_INVALID (struct_size); KV_BAD_HANDLE (also if a
///         transaction has ended), KV_FORKED; KV_BUSY (difference or write transaction in use by another thread);
///         KV_TXN_FAILED; KV_NO_TABLE (dropped meanwhile in both); KV_CORRUPT; KV_IO, KV_NO_SPACE, KV_LIMIT (with a
///         write transaction: what it has collected is applied first, and may be written); KV_NO_MEMORY.
/// @ingroup kv_differences
#[no_mangle]
pub unsafe extern "C" fn kv_diff_next(diff: *mut kv_diff, change: *mut kv_change) -> kv_status {
    guard_in_memory(c"kv_diff_next", about(diff), || {
        // SAFETY: NULL or a struct of at least the size it states.
        let report = unsafe { arg::report_out(change)? };
        let filled = |change: &Change<'_>| kv_change {
            struct_size: 0,
            kind: number_of(change.kind),
            key: kv_slice::of(change.key),
            before: kv_slice::of_option(change.before),
            after: kv_slice::of_option(change.after),
        };
        let next = DiffUse::of(diff)?.work(|diff, before, after| diff.next_and_read(before, after, filled))?;
        report.set(next.ok_or(Failure::NOTFOUND)?);
        Ok(())
    })
}

/// Fills a batch with the next changes. Answers whether that is the end, and the bytes of a change that found no room.
fn fill(
    diff: &mut Difference,
    before: &mut dyn Reader,
    after: &mut dyn Reader,
    packer: &mut Packer,
) -> Result<(bool, Option<usize>), Error> {
    while !packer.full() {
        let filled = match packer.values {
            true => diff.next_and_read(before, after, |change| {
                let kind = |value: Option<&[u8]>| match value {
                    Some(_) => KV_KIND_PRESENT,
                    None => KV_KIND_ABSENT,
                };
                let strings = [
                    change.key,
                    change.before.unwrap_or_default(),
                    change.after.unwrap_or_default(),
                ];
                let kinds = [KV_KIND_PRESENT, kind(change.before), kind(change.after)];
                let from = usize::from(!packer.keys);
                packer.push_each(&strings[from..], |number| kinds[from + number])
            }),
            false => diff
                .next(before, after)
                .map(|kind| kind.map(|kind| packer.push_each(&[diff.key()], |_| number_of(kind) as u8))),
        };
        match filled {
            Ok(Some(Ok(()))) => {}
            Ok(Some(Err(needed))) => {
                diff.give_again();
                return Ok((false, Some(needed)));
            }
            Ok(None) => return Ok((true, None)),
            // What was found before is handed out first, and the next call meets the same again.
            Err(_) if packer.count > 0 => return Ok((false, None)),
            Err(error) => return Err(error),
        }
    }
    Ok((false, None))
}

/// Fills a batch with the next changes, as many as there is room for.
///
/// @param batch  Receives key, value before, value after, key ... with KV_KIND_ABSENT in `kinds` for a value that is
///               not there, and otherwise KV_KIND_PRESENT. With KV_BATCH_VALUES: value before, value after. With
///               KV_BATCH_KEYS: one string for each change, with KV_CHANGE_... in `kinds`; no value is read then,
///               except for long ones that have to be compared.
/// @return KV_OK; KV_NOTFOUND (there is no further change; `count` is 0 and `at_end` 1); KV_TOO_SMALL (there is no room
///         for a single change: `needed` tells its bytes, and `ends` needs room for its strings); KV_INVALID (batch);
///         otherwise as kv_diff_next(). After a failure, no change is left out: those that were found before it were
///         handed out by the call before.
/// @ingroup kv_differences
#[no_mangle]
pub unsafe extern "C" fn kv_diff_fill(diff: *mut kv_diff, batch: *mut kv_batch) -> kv_status {
    guard_in_memory(c"kv_diff_fill", about(diff), || {
        // SAFETY: a batch of the caller, as described above.
        let mut packer = unsafe { Packer::new(batch)? };
        let (at_end, needed) = DiffUse::of(diff)?.work(|diff, before, after| fill(diff, before, after, &mut packer))?;
        packer.finish(at_end, needed)
    })
}

/// Counts the changes of a table within a range. What only one of the two states has is counted without being read.
///
/// @param range   NULL = the whole table. Its direction does not matter.
/// @param counts  Receives the numbers; start from KV_DIFF_COUNTS_INIT.
/// @return As kv_diff_open(); KV_INVALID (struct_size).
/// @ingroup kv_differences
#[no_mangle]
pub unsafe extern "C" fn kv_diff_count(
    before: *const kv_txn,
    after: *const kv_txn,
    table: kv_table,
    range: *const kv_range,
    counts: *mut kv_diff_counts,
) -> kv_status {
    guard_in_memory(c"kv_diff_count", about(after), || {
        // SAFETY: pointers of the caller, as described above; the report is a struct of at least the size it states.
        let (range, report) = unsafe { (types::range(range)?, arg::report_out(counts)?) };
        let mut both = TwoTxns::of(before, after)?;
        let table = one_table(table)?;
        let counted = both.read(|before, after| Difference::count(before, after, table, &range));
        let counted = of_one_database(before, counted)?;
        report.set(kv_diff_counts {
            struct_size: 0,
            reserved: 0,
            added: counted.added,
            removed: counted.removed,
            changed: counted.changed,
        });
        Ok(())
    })
}

/// Tells whether two states are known to be the same, by the roots of their trees and without reading any entry.
///
/// @param table  The table that is compared, or KV_NONE for all tables.
/// @param same   Receives 1 if no entry differs. It receives 0 if pages differ; most likely entries do then, but they
///               may have been written again as they were (kv_diff_count() tells).
/// @return As kv_diff_open(); never KV_TOO_BIG.
/// @ingroup kv_differences
#[no_mangle]
pub unsafe extern "C" fn kv_same(
    before: *const kv_txn,
    after: *const kv_txn,
    table: kv_table,
    same: *mut i32,
) -> kv_status {
    guard_in_memory(c"kv_same", about(after), || {
        // SAFETY: NULL or writable.
        let same = unsafe { out(same, "same")? };
        let table = (table != KV_NONE).then(|| TableId::new(table));
        let known = TwoTxns::of(before, after)?.read(|before, after| kv_engine::same(before, after, table));
        same.set(of_one_database(before, known)?.into());
        Ok(())
    })
}
