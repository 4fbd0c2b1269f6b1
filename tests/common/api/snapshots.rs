//! Named snapshots: the traits of both doors, and the Rust API behind them.

use super::{fail, Outcome, RustBase, RustRead, RustWrite, Snapshot, Span};
use kv::{CommitId, CompactOptions, Job, ReadAt, ReadTxn, Reader, Retention, SnapshotOptions, TableId, Wait};
use kv::{WriteOptions, WriteTxn};

/// How a snapshot is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags {
    pub replace: bool,
    pub keep: bool,
    pub mark: bool,
    pub yields: bool,
}

/// What a transaction tells of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    pub commit: CommitId,
    pub time: u64,
    pub guid: [u8; 16],
    /// Whether it is kept, a mark, or yields; nothing is to be replaced any more.
    pub flags: Flags,
    pub note: Vec<u8>,
}

/// Keys from one to before another; without the other, to the end of the table.
pub type KeyRange = (Vec<u8>, Option<Vec<u8>>);

/// Dead pages as the statistics tell them.
#[derive(Debug, Clone, Copy)]
pub struct DeadPages {
    pub pending: u64,
    pub parked: u64,
}

/// What a database has to do with snapshots.
pub trait SnapshotBase {
    fn begin_read_at(&self, at: ReadAt<'_>) -> Outcome<Box<dyn Snapshot>>;
    fn snapshot_cost(&self, first: &[u8], last: &[u8]) -> Outcome<u64>;
    /// What each snapshot that is no mark alone keeps, by the fastest way the door has.
    fn snapshot_costs(&self, names: &[&[u8]]) -> Outcome<Vec<u64>>;
    fn reclaim(&self) -> Outcome<u64>;
    fn compact(&self) -> Outcome<()>;
    fn dead_pages(&self) -> Outcome<DeadPages>;
}

/// What every transaction tells of snapshots.
pub trait SnapshotReads {
    fn snapshot(&mut self, name: &[u8]) -> Outcome<Recorded>;
    fn snapshot_ranges(&mut self, name: &[u8], table: TableId, span: &Span) -> Outcome<Vec<KeyRange>>;
    /// How many pages snapshots may keep before some become marks; 0: there is no policy.
    fn yield_pages(&mut self) -> Outcome<u64>;
}

/// What a write transaction does to snapshots, and with them.
pub trait SnapshotWrites {
    fn snapshot_create(&mut self, name: &[u8], flags: Flags, note: &[u8]) -> Outcome<()>;
    fn snapshot_rename(&mut self, name: &[u8], to: &[u8]) -> Outcome<()>;
    fn snapshot_drop(&mut self, name: &[u8]) -> Outcome<()>;
    fn snapshot_release(&mut self, name: &[u8]) -> Outcome<()>;
    fn snapshot_keep(&mut self, name: &[u8], keep: bool) -> Outcome<()>;
    /// 0 takes the policy away.
    fn set_yield_pages(&mut self, pages: u64) -> Outcome<()>;
    /// Goes back to what a transaction of the same door sees, and says how many keys that changed.
    fn revert(&mut self, from: &mut dyn Snapshot, table: Option<TableId>) -> Outcome<u64>;
}

fn options<'a>(flags: Flags, note: &'a [u8]) -> SnapshotOptions<'a> {
    SnapshotOptions {
        replace: flags.replace,
        keep: flags.keep,
        mark: flags.mark,
        yields: flags.yields,
        note,
    }
}

impl SnapshotBase for RustBase {
    fn begin_read_at(&self, at: ReadAt<'_>) -> Outcome<Box<dyn Snapshot>> {
        Ok(Box::new(RustRead {
            txn: self.db.begin_read_at(at).map_err(fail)?,
            cursors: Vec::new(),
            db: self.db.clone(),
        }))
    }
    fn snapshot_cost(&self, first: &[u8], last: &[u8]) -> Outcome<u64> {
        self.db.snapshot_cost(first, last).map_err(fail)
    }
    fn snapshot_costs(&self, names: &[&[u8]]) -> Outcome<Vec<u64>> {
        let costs = self.db.snapshot_costs(Wait::Try).map_err(fail)?;
        assert!(costs.iter().map(|(name, _)| &name[..]).eq(names.iter().copied()));
        Ok(costs.into_iter().map(|(_, pages)| pages).collect())
    }
    fn reclaim(&self) -> Outcome<u64> {
        self.db.reclaim().map_err(fail)
    }
    fn compact(&self) -> Outcome<()> {
        let compacted = self.db.compact(&CompactOptions::default(), &Job::silent());
        compacted.map(drop).map_err(fail)
    }
    fn dead_pages(&self) -> Outcome<DeadPages> {
        let stat = self.db.stat();
        Ok(DeadPages {
            pending: stat.pending_pages,
            parked: stat.parked_pages,
        })
    }
}

fn recorded<R: Reader>(txn: &mut R, name: &[u8]) -> Outcome<Recorded> {
    let info = txn.snapshot(name).map_err(fail)?;
    assert!(!info.automatic);
    assert_eq!(txn.snapshot_note(name).map_err(fail)?, info.note);
    let flags = Flags {
        replace: false,
        keep: info.keep,
        mark: info.mark,
        yields: info.yields,
    };
    Ok(Recorded {
        commit: info.commit,
        time: info.time,
        guid: info.guid,
        flags,
        note: info.note,
    })
}

fn ranges<R: Reader>(txn: &mut R, name: &[u8], table: TableId, span: &Span) -> Outcome<Vec<KeyRange>> {
    let mut ranges = Vec::new();
    let told = txn.snapshot_ranges(name, table, &span.range(), &mut |range| {
        ranges.push((range.low.to_vec(), range.high.map(<[u8]>::to_vec)));
        true
    });
    told.map_err(fail).map(|()| ranges)
}

fn yield_pages<R: Reader>(txn: &mut R) -> Outcome<u64> {
    let policy = txn.history().map_err(fail)?;
    Ok(policy.map_or(0, |policy| policy.yield_pages))
}

macro_rules! reads {
    ($door:ty, $s:ident => $reader:expr) => {
        impl SnapshotReads for $door {
            fn snapshot(&mut $s, name: &[u8]) -> Outcome<Recorded> {
                recorded($reader, name)
            }
            fn snapshot_ranges(&mut $s, name: &[u8], table: TableId, span: &Span) -> Outcome<Vec<KeyRange>> {
                ranges($reader, name, table, span)
            }
            fn yield_pages(&mut $s) -> Outcome<u64> {
                yield_pages($reader)
            }
        }
    };
}

reads!(RustRead, self => &mut &self.txn);
reads!(RustWrite, self => &mut self.txn);

impl RustRead {
    /// The C function does the same in one call.
    pub(super) fn record(&self, name: &[u8], flags: Flags, note: &[u8]) -> kv::Result<()> {
        let mut txn: WriteTxn = self.db.begin_write(WriteOptions::default())?;
        txn.snapshot_create_of(name, &self.txn, &options(flags, note))?;
        txn.commit().map(drop)
    }
}

impl SnapshotWrites for RustWrite {
    fn snapshot_create(&mut self, name: &[u8], flags: Flags, note: &[u8]) -> Outcome<()> {
        self.txn.snapshot_create(name, &options(flags, note)).map_err(fail)
    }
    fn snapshot_rename(&mut self, name: &[u8], to: &[u8]) -> Outcome<()> {
        self.txn.snapshot_rename(name, to).map_err(fail)
    }
    fn snapshot_drop(&mut self, name: &[u8]) -> Outcome<()> {
        self.txn.snapshot_drop(name).map_err(fail)
    }
    fn snapshot_release(&mut self, name: &[u8]) -> Outcome<()> {
        self.txn.snapshot_release(name).map_err(fail)
    }
    fn snapshot_keep(&mut self, name: &[u8], keep: bool) -> Outcome<()> {
        self.txn.snapshot_keep(name, keep).map_err(fail)
    }
    fn set_yield_pages(&mut self, pages: u64) -> Outcome<()> {
        let policy = Retention {
            yield_pages: pages,
            ..Retention::default()
        };
        self.txn.set_history((pages > 0).then_some(&policy)).map_err(fail)
    }
    fn revert(&mut self, from: &mut dyn Snapshot, table: Option<TableId>) -> Outcome<u64> {
        let from: &ReadTxn = RustRead::before(from);
        self.txn.revert(from, table).map_err(fail)
    }
}
