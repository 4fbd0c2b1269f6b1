//! What the functions of `kv.h` do with named snapshots.

use super::super::abi::*;
use super::super::api::{status, DeadPages, Flags, KeyRange, Outcome, Recorded, Snapshot, Span};
use super::super::api::{SnapshotBase, SnapshotReads, SnapshotWrites};
use super::{answer, at, range, CBase, CTxn};
use kv::{CommitId, ReadAt, TableId};
use std::ffi::c_void;
use std::mem::size_of;
use std::ptr::null_mut;

/// The flags, each with what the Rust API calls it.
fn bits(flags: Flags) -> u32 {
    let bit = |set: bool, bit: u32| if set { bit } else { 0 };
    bit(flags.replace, KV_SNAPSHOT_REPLACE)
        | bit(flags.keep, KV_SNAPSHOT_KEEP)
        | bit(flags.mark, KV_SNAPSHOT_MARK)
        | bit(flags.yields, KV_SNAPSHOT_YIELD)
}

impl SnapshotBase for CBase {
    fn begin_read_at(&self, at: ReadAt<'_>) -> Outcome<Box<dyn Snapshot>> {
        let mut options = kv_txn_options {
            struct_size: size_of::<kv_txn_options>() as u32,
            flags: 0,
            durability: 0,
            reserved: 0,
            wait_ms: 0,
            write_memory: 0,
            snapshot: kv_slice::NONE,
            commit: 0,
            time: 0,
        };
        match at {
            ReadAt::Snapshot(name) => options.snapshot = kv_slice::of(name),
            ReadAt::Commit(id) => options.commit = id.get(),
            ReadAt::Time(time) => options.time = time,
        }
        Ok(Box::new(self.begin_with(KV_READ, &options)?))
    }
    fn snapshot_cost(&self, first: &[u8], last: &[u8]) -> Outcome<u64> {
        let mut pages = u64::MAX;
        call!(kv_snapshot_cost(
            self.db,
            at(first),
            first.len(),
            at(last),
            last.len(),
            &mut pages
        ))?;
        Ok(pages)
    }
    fn snapshot_costs(&self, names: &[&[u8]]) -> Outcome<Vec<u64>> {
        names.iter().map(|name| self.snapshot_cost(name, name)).collect()
    }
    fn reclaim(&self) -> Outcome<u64> {
        let mut freed = u64::MAX;
        call!(kv_reclaim(self.db, &mut freed))?;
        Ok(freed)
    }
    fn compact(&self) -> Outcome<()> {
        call!(kv_compact(self.db, std::ptr::null(), null_mut()))
    }
    fn dead_pages(&self) -> Outcome<DeadPages> {
        let stat = self.stat()?;
        Ok(DeadPages {
            pending: stat.pending_pages,
            parked: stat.parked_pages,
        })
    }
}

unsafe extern "C" fn collect(ctx: *mut c_void, range: *const kv_range) -> i32 {
    // SAFETY: `snapshot_ranges` hands a Vec over, and the library a range.
    let (ranges, range) = unsafe { (&mut *ctx.cast::<Vec<KeyRange>>(), &*range) };
    assert_eq!(range.flags & !(KV_RANGE_FROM | KV_RANGE_BEFORE), 0);
    let bound = |flag: u32, key: &kv_slice| (range.flags & flag != 0).then(|| key.copy().expect("a key is never NULL"));
    let low = bound(KV_RANGE_FROM, &range.from).unwrap_or_default();
    ranges.push((low, bound(KV_RANGE_BEFORE, &range.to)));
    0
}

impl SnapshotReads for CTxn {
    fn snapshot(&mut self, name: &[u8]) -> Outcome<Recorded> {
        let mut stat = kv_snapshot_stat {
            struct_size: size_of::<kv_snapshot_stat>() as u32,
            flags: 0,
            commit: 0,
            time: 0,
            guid: [0; 16],
            file_pages: 0,
            used_pages: 0,
            note: kv_slice::NONE,
            automatic: 1,
            reserved: 0,
        };
        call!(kv_stat_snapshot(self.txn, at(name), name.len(), &mut stat))?;
        assert_eq!(stat.automatic, 0);
        let has = |bit: u32| stat.flags & bit != 0;
        let flags = Flags {
            replace: false,
            keep: has(KV_SNAPSHOT_KEEP),
            mark: has(KV_SNAPSHOT_MARK),
            yields: has(KV_SNAPSHOT_YIELD),
        };
        assert_eq!(stat.flags, bits(flags), "flags that nobody has given");
        Ok(Recorded {
            commit: CommitId::new(stat.commit),
            time: stat.time,
            guid: stat.guid,
            flags,
            note: stat.note.copy().expect("a note is never NULL"),
        })
    }
    fn snapshot_ranges(&mut self, name: &[u8], table: TableId, span: &Span) -> Outcome<Vec<KeyRange>> {
        let mut ranges: Vec<KeyRange> = Vec::new();
        let ctx: *mut Vec<KeyRange> = &mut ranges;
        call!(kv_snapshot_ranges(
            self.txn,
            at(name),
            name.len(),
            table.get(),
            &range(span),
            Some(collect),
            ctx.cast()
        ))?;
        Ok(ranges)
    }
    fn yield_pages(&mut self) -> Outcome<u64> {
        let mut policy = kv_retention {
            struct_size: size_of::<kv_retention>() as u32,
            ..kv_retention::default()
        };
        match call!(kv_stat_history(self.txn, &mut policy)) {
            Err(fail) if fail.status == status::NOTFOUND => Ok(0),
            told => told.map(|()| policy.yield_pages),
        }
    }
}

impl CTxn {
    /// Of what a write transaction is about to commit, or of what a read transaction sees.
    pub(super) fn record(&mut self, name: &[u8], flags: Flags, note: &[u8]) -> Outcome<()> {
        let options = kv_snapshot_options {
            struct_size: size_of::<kv_snapshot_options>() as u32,
            flags: bits(flags),
            note: kv_slice::of(note),
        };
        call!(kv_snapshot_create(self.txn, at(name), name.len(), &options))
    }
}

impl SnapshotWrites for CTxn {
    fn snapshot_create(&mut self, name: &[u8], flags: Flags, note: &[u8]) -> Outcome<()> {
        self.record(name, flags, note)
    }
    fn snapshot_rename(&mut self, name: &[u8], to: &[u8]) -> Outcome<()> {
        call!(kv_snapshot_rename(self.txn, at(name), name.len(), at(to), to.len()))
    }
    fn snapshot_drop(&mut self, name: &[u8]) -> Outcome<()> {
        call!(kv_snapshot_drop(self.txn, at(name), name.len()))
    }
    fn snapshot_release(&mut self, name: &[u8]) -> Outcome<()> {
        call!(kv_snapshot_release(self.txn, at(name), name.len()))
    }
    fn snapshot_keep(&mut self, name: &[u8], keep: bool) -> Outcome<()> {
        call!(kv_snapshot_keep(self.txn, at(name), name.len(), u32::from(keep)))
    }
    fn set_yield_pages(&mut self, pages: u64) -> Outcome<()> {
        let policy = kv_retention {
            struct_size: size_of::<kv_retention>() as u32,
            yield_pages: pages,
            ..kv_retention::default()
        };
        let none = std::ptr::null();
        call!(kv_history(self.txn, if pages > 0 { &policy } else { none }))
    }
    fn revert(&mut self, from: &mut dyn Snapshot, table: Option<TableId>) -> Outcome<u64> {
        let mut changed = u64::MAX;
        let table = table.map_or(u64::MAX, TableId::get);
        call!(kv_revert(self.txn, CTxn::before(from), table, &mut changed))?;
        Ok(changed)
    }
}
