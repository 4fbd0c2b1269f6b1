//! Chapter "snapshots": going back to an earlier state.

use crate::border::arg::maybe;
use crate::border::error::{guard, About};
use crate::border::status::{kv_status, Failure, Outcome, KV_INVALID};
use crate::border::types::{kv_table, kv_txn, KV_NONE};
use crate::handle::about::{about, of_parameter};
use crate::handle::in_use::{ReadUse, WriteUse};
use kv_engine::{Error, ReadTxn, ShownPath, TableId, OTHER_DATABASE};

/// Makes a table, or the whole database, what a read transaction sees: goes back to a snapshot, to a commit that is
/// kept, or to the state that a reader still has.
///
/// The keys that differ are put and deleted in the write transaction as if the program did that. So this takes as long
/// as the changes took that are taken back, and not as long as the database is large; it counts when the transaction is
/// committed; and it is as well a commit that one can go back behind. What the write transaction has written itself is
/// taken back too. Long values are copied. Snapshots stay, also those of later states, and readers see what they saw.
/// There is one write transaction at a time, so no other one's changes are in the way: KV_CONFLICT is not answered.
///
///     kv_txn_options options = KV_TXN_OPTIONS_INIT;
///     options.snapshot.data = "before", options.snapshot.len = 6;
///     if ((status = kv_txn_begin(db, KV_READ, &options, &from)) != KV_OK) return status;
///     if ((status = kv_txn_begin(db, KV_WRITE, NULL, &txn)) == KV_OK) {
///         status = kv_revert(txn, from, KV_NONE, NULL);
///         if (status == KV_OK) status = kv_txn_commit(txn, NULL);
///         else kv_txn_abort(txn);
///     }
///     kv_txn_abort(from);
///
/// A table is gone back to with its name and its note. It is found by its number: it is dropped if `from` does not have
/// it, and comes back under its number if it was dropped since. With KV_NONE, this is done with all tables.
///
/// KV_NONE is everything here, and not nothing. A variable that a program sets to KV_NONE is still that after a
/// kv_table_open() that fails: check its status, or the whole database is gone back to.
///
/// What there was before the call is kept by no snapshot of its own, so create one (kv_snapshot_create()) where the way
/// back may be wanted.
///
/// @param from     The read transaction that sees the state, of the same database.
/// @param table    The table, or KV_NONE for all tables and their names.
/// @param changed  Receives how many keys were added, removed and changed, in all tables; may be NULL.
/// @return KV_OK; KV_NO_TABLE (neither transaction has the table); KV_EXISTS (another table has the name that this one
///         would get back); KV_READ_ONLY (also KV_TABLES and KV_SNAPSHOTS); KV_INVALID (`from` is a write transaction,
///         or of another database); KV_UNSUPPORTED (a table of a newer version differs); KV_BAD_HANDLE, KV_FORKED,
///         KV_BUSY; KV_TXN_FAILED; KV_CORRUPT (also if only `from` sees the page), KV_IO, KV_NO_SPACE, KV_NO_MEMORY,
///         KV_LIMIT (these can spoil the transaction).
/// @ingroup kv_snapshots
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn kv_revert(
    txn: *mut kv_txn,
    from: *const kv_txn,
    table: kv_table,
    changed: *mut u64,
) -> kv_status {
    guard(c"kv_revert", about(txn), || {
        // SAFETY: NULL or writable.
        let changed = unsafe { maybe(changed) };
        let table = (table != KV_NONE).then(|| TableId::new(table));
        // This comes first: a write transaction that is given twice would be in use by this call.
        let reader = ReadUse::of_long(from).map_err(|failure| of_parameter(failure, "from"))?;
        let seen: &ReadTxn = &reader.get()?.txn;
        let mut writer = WriteUse::of(txn).map_err(|failure| of_parameter(failure, "txn"))?;
        let reverted = writer.get()?.work(|txn| txn.revert(seen, table));
        let keys = of_one_database(from, reverted)?;
        if let Some(changed) = changed {
            changed.set(keys);
        }
        Ok(())
    })
}

/// Says of which database the read transaction is, if it is of another one.
fn of_one_database<T>(from: *const kv_txn, answer: Outcome<T>) -> Outcome<T> {
    answer.map_err(|failure| match failure {
        Failure::Engine(Error::Invalid(OTHER_DATABASE)) => {
            let mut of = String::new();
            about(from).with_path(&mut |path| of = format!(" ({})", ShownPath(path)));
            let message = format!("`from`: it is of another database{of}; begin a read transaction of the same");
            Failure::Here(KV_INVALID, message.into())
        }
        other => other,
    })
}
