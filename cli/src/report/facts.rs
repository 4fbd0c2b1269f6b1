//! What is read of a database for its report: the figures of `stat`, `tables`, `map` and `readers`, and the lengths of all
//! keys and values. Everything but the page uses is of one snapshot.

use super::lengths::Lengths;
use crate::context::Context;
use crate::database::Database;
use crate::exit::{About, Outcome};
use crate::inspect::{file, readers, uses};
use crate::output::figures::Record;
use crate::output::progress::{Progress, Unit};
use kv_engine::{Cursor, Job, LevelStat, PageRun, Range, ReadTxn, Reader, ReaderInfo, TableId, TableStat, Writer};
use std::path::{Path, PathBuf};

/// One table.
#[derive(Debug, Clone)]
pub struct Table {
    /// The name, which is empty for the main table.
    pub name: Vec<u8>,
    /// Its shape and size.
    pub stat: TableStat,
}

impl Table {
    /// Returns the number of its pages.
    pub fn pages(&self) -> u64 {
        self.stat.branch_pages + self.stat.leaf_pages + self.stat.overflow_pages
    }
}

/// What the report tells.
pub struct Facts {
    /// The file as the user named it.
    pub path: PathBuf,
    /// The figures of `kv stat`.
    pub stat: Record,
    /// The size of a page in bytes.
    pub page_size: u64,
    /// The size of the file in bytes.
    pub file_bytes: u64,
    /// The newest commit and the newest durable one.
    pub commits: (u64, u64),
    /// Whether the file was closed properly, and how many descriptions of commits are damaged.
    pub recovery: (bool, u32),
    /// The tables, the main one first.
    pub tables: Vec<Table>,
    /// For each level, from the leaves up, the sum over all tables.
    pub levels: Vec<LevelStat>,
    /// The lengths of keys and of values.
    pub lengths: (Lengths, Lengths),
    /// What `kv map` counts, the commit of which it tells, and the pages of the file then.
    pub uses: (uses::Counts, u64, u64),
    /// The uses of pages, joined where they touch.
    pub runs: Vec<PageRun>,
    /// The readers, and whether it is known how many pages are kept for them.
    pub readers: (Vec<ReaderInfo>, bool),
    /// The process that writes.
    pub writer: Option<Writer>,
}

/// How many entries are walked between two looks at the clock.
const AT_ONCE: u64 = 4096;

impl Facts {
    /// Reads them.
    pub fn gather(path: &Path, context: &Context) -> Outcome<Facts> {
        // Before this command has a snapshot of its own.
        let (database, readers, knows_pages) = readers::now(path, context)?;
        let writer = database.db.writer();
        drop(database);
        let database = Database::to_read(path, context)?;
        let txn = database.db.begin_read().about(path)?;
        let kept = database.session.as_ref().and_then(|session| session.snapshot());
        let own_snapshots = 1 + u32::from(kept.is_some());
        let figures = file::figures(&database, &mut &txn, own_snapshots)?;
        let file_bytes = std::fs::metadata(path).map_or(0, |facts| facts.len());
        let mut names = vec![(Vec::new(), TableId::MAIN)];
        names.extend(database.named_tables(&mut &txn)?);
        let mut reader = &txn;
        let mut total = 0;
        for (_, number) in &names {
            total += reader.count(*number, &Range::default()).about(path)?;
        }
        let mut progress = Progress::new(context, "reading", Unit::Entries, Some(total));
        let (mut tables, mut levels) = (Vec::new(), Vec::new());
        let mut lengths = (Lengths::default(), Lengths::default());
        for (name, number) in names {
            let stat = reader.table_stat(number).about(path)?;
            add_levels(&mut levels, &txn, number, stat.height).about(path)?;
            measure(&mut lengths, &txn, number, &mut progress, path)?;
            tables.push(Table { name, stat });
        }
        drop(progress);
        let state = database.db.stat();
        let recovery = database.db.recovery();
        let (mut counts, mut runs) = (uses::Counts::default(), Vec::new());
        let mut progress = Progress::new(context, "reading pages", Unit::Pages, Some(state.pages));
        let uses = {
            let mut tell = |done, total| progress.tell(done, total);
            let job = Job::new(&mut tell);
            database.db.page_uses(&job, &mut |run| {
                counts.add(run);
                uses::join(&mut runs, run);
            })
        };
        let uses = uses.about(path)?;
        Ok(Facts {
            path: path.to_path_buf(),
            stat: figures,
            page_size: u64::from(state.page_size),
            file_bytes,
            commits: (state.visible.get(), state.durable.get()),
            recovery: (recovery.closed_properly, recovery.lost_slots.count_ones()),
            tables,
            levels,
            lengths,
            uses: (counts, uses.id.get(), uses.pages),
            runs,
            readers: (readers, knows_pages),
            writer,
        })
    }

    /// Returns the number of entries of all tables.
    pub fn entries(&self) -> u64 {
        self.tables.iter().map(|table| table.stat.entries).sum()
    }
}

/// Adds the levels of a table's tree to the sums.
fn add_levels(sums: &mut Vec<LevelStat>, mut txn: &ReadTxn, table: TableId, height: u8) -> kv_engine::Result<()> {
    for level in 1..=height {
        let found = txn.level_stat(table, level)?;
        let at = usize::from(level) - 1;
        if sums.len() <= at {
            sums.resize(at + 1, LevelStat::default());
        }
        sums[at].pages += found.pages;
        sums[at].items += found.items;
        sums[at].used_bytes += found.used_bytes;
    }
    Ok(())
}

/// Counts the lengths of the keys and values of a table. Long values are not read.
fn measure(
    lengths: &mut (Lengths, Lengths),
    mut txn: &ReadTxn,
    table: TableId,
    progress: &mut Progress,
    path: &Path,
) -> Outcome<()> {
    let mut cursor = Cursor::new(&mut txn, table, &Range::default()).about(path)?;
    loop {
        let mut long = Vec::new();
        let taken = cursor.next_many(&mut txn, AT_ONCE, &mut |key, value| {
            lengths.0.add(key.as_slice().len() as u64);
            match value.is_chain() {
                true => long.push(key.as_slice().to_vec()),
                false => lengths.1.add(value.bytes().len() as u64),
            }
            true
        });
        let taken = taken.about(path)?;
        for key in long {
            let info = txn.value_info(table, &key).about(path)?;
            lengths.1.add(info.map_or(0, |info| info.len));
        }
        progress.more(taken)?;
        if taken < AT_ONCE {
            return Ok(());
        }
    }
}
