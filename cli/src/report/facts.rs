//! What is read of a database for its report: the figures of `stat`, `tables`, `map` and `readers`, and the lengths of
//! all keys and values. Everything but the page uses and the readers is of one snapshot.

use super::lengths::Lengths;
use crate::context::Context;
use crate::damage::Damage;
use crate::database::{self, Database};
use crate::exit::{About, Outcome};
use crate::inspect::file;
use crate::inspect::readers::CurrentReaders;
use crate::inspect::uses::Uses;
use crate::output::figures::Record;
use crate::output::progress::{Progress, Unit};
use kv_engine::{Cursor, Error, LevelStat, Range, ReadTxn, Reader, ReaderInfo, TableId, TableStat, Writer};
use std::path::{Path, PathBuf};

/// One table.
#[derive(Debug, Clone)]
pub struct Table {
    /// The name, or `None` for the main table.
    pub name: Option<Vec<u8>>,
    /// Its shape and size.
    pub stat: TableStat,
    /// Whether all of it could be read.
    pub is_whole: bool,
}

impl Table {
    /// Returns the number of its pages.
    pub fn pages(&self) -> u64 {
        self.stat.branch_pages + self.stat.leaf_pages + self.stat.overflow_pages
    }
}

/// What is read by going through all tables.
#[derive(Debug, Default)]
pub struct Contents {
    /// The tables, the main one first.
    pub tables: Vec<Table>,
    /// For each level, from the leaves up, the sum over all tables.
    pub levels: Vec<LevelStat>,
    /// The lengths of keys.
    pub keys: Lengths,
    /// The lengths of values.
    pub values: Lengths,
}

/// The processes that read and write.
pub struct Users {
    /// The readers.
    pub readers: Vec<ReaderInfo>,
    /// Whether it is known how many pages are kept for them at least.
    pub knows_pages: bool,
    /// The process that writes.
    pub writer: Option<Writer>,
}

/// The states that have a name.
#[derive(Debug, Default)]
pub struct Snapshots {
    /// How many there are.
    pub count: u64,
    /// How many pages they keep that nobody else needs, whether these are parked yet or still among the dead ones.
    pub kept_pages: u64,
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
    /// The newest commit.
    pub visible: u64,
    /// The newest durable commit.
    pub durable: u64,
    /// Whether the file was closed properly.
    pub closed_properly: bool,
    /// How many descriptions of commits cannot be read.
    pub lost_slots: u32,
    /// What is in the tables.
    pub contents: Contents,
    /// The snapshots.
    pub snapshots: Snapshots,
    /// What `kv map` counts.
    pub uses: Uses,
    /// The processes that read and write.
    pub users: Users,
    /// The damage that was met.
    pub damage: Damage,
}

/// How many entries are walked between two looks at the clock.
const AT_ONCE: u64 = 4096;

impl Facts {
    /// Reads them.
    pub fn gather(path: &Path, context: &Context) -> Outcome<Facts> {
        // This comes before this command has a snapshot of its own.
        let users = Users::now(path, context)?;
        let database = Database::to_read(path, context)?;
        let txn = database.db.begin_read().about(path)?;
        let kept = database.session.as_ref().and_then(|session| session.snapshot());
        let own_snapshots = 1 + u32::from(kept.is_some());
        let mut damage = Damage::default();
        let figures = damage.pass(file::figures(&database, &mut &txn, own_snapshots))?;
        let contents = Contents::read(&database, &txn, context, &mut damage)?;
        let snapshots = damage.pass(Snapshots::read(&database, &txn))?;
        let uses = Uses::read(&database, context, "reading pages", &mut damage)?;
        let (state, recovery) = (database.db.stat(), database.db.recovery());
        Ok(Facts {
            path: path.to_path_buf(),
            stat: figures.unwrap_or_default(),
            page_size: u64::from(state.page_size),
            file_bytes: std::fs::metadata(path).map_or(0, |facts| facts.len()),
            visible: state.visible.get(),
            durable: state.durable.get(),
            closed_properly: recovery.closed_properly,
            lost_slots: recovery.lost_slots.count_ones(),
            contents,
            snapshots: snapshots.unwrap_or_default(),
            uses,
            users,
            damage,
        })
    }

    /// Returns the number of entries of all tables.
    pub fn entries(&self) -> u64 {
        self.contents.tables.iter().map(|table| table.stat.entries).sum()
    }
}

impl Snapshots {
    fn read(database: &Database, mut txn: &ReadTxn) -> Outcome<Snapshots> {
        let mut found = Vec::new();
        for name in database.snapshots(&mut txn)? {
            let info = Reader::snapshot(&mut txn, &name).about(&database.path)?;
            if !info.mark {
                found.push((info.commit, name));
            }
        }
        let (first, last) = (found.iter().min(), found.iter().max());
        let kept_pages = match first.zip(last) {
            None => Ok(0),
            Some(((_, first), (_, last))) => match database.db.snapshot_cost(first, last) {
                // One of them was dropped meanwhile.
                Err(Error::NotFound) => Ok(0),
                cost => cost,
            },
        };
        Ok(Snapshots {
            count: found.len() as u64,
            kept_pages: kept_pages.map_err(|error| database.fail_waiting(error))?,
        })
    }
}

impl Users {
    fn now(path: &Path, context: &Context) -> Outcome<Users> {
        let current = CurrentReaders::of(path, context)?;
        Ok(Users {
            writer: current.database.db.writer(),
            readers: current.list,
            knows_pages: current.knows_pages,
        })
    }
}

impl Contents {
    fn read(database: &Database, txn: &ReadTxn, context: &Context, damage: &mut Damage) -> Outcome<Contents> {
        let (path, mut reader) = (&database.path, txn);
        let tables = database.tables_past(&mut reader, damage)?;
        let mut total = 0;
        for table in &tables {
            let count = damage.pass(reader.count(table.id, &Range::default()).about(path))?;
            total += count.unwrap_or_default();
        }
        let mut progress = Progress::new(context, "reading", Unit::Entries, Some(total));
        let mut contents = Contents::default();
        for database::Table { name, id } in tables {
            let stat = damage.pass(reader.table_stat(id).about(path))?;
            if let Some(stat) = stat {
                damage.pass(contents.add_levels(txn, id, stat.height).about(path))?;
            }
            let measured = damage.pass(contents.measure(txn, id, &mut progress, path))?;
            let is_whole = stat.is_some() && measured.is_some();
            contents.tables.push(Table {
                name,
                // What can be told of a damaged table is how many entries it had.
                stat: match stat {
                    Some(stat) => stat,
                    None => TableStat {
                        entries: reader.count(id, &Range::default()).unwrap_or_default(),
                        ..TableStat::default()
                    },
                },
                is_whole,
            });
        }
        Ok(contents)
    }

    /// Adds the levels of a table's tree to the sums.
    fn add_levels(&mut self, mut txn: &ReadTxn, table: TableId, height: u8) -> kv_engine::Result<()> {
        for level in 1..=height {
            let found = txn.level_stat(table, level)?;
            let at = usize::from(level) - 1;
            if self.levels.len() <= at {
                self.levels.resize(at + 1, LevelStat::default());
            }
            self.levels[at].pages += found.pages;
            self.levels[at].items += found.items;
            self.levels[at].used_bytes += found.used_bytes;
        }
        Ok(())
    }

    /// Counts the lengths of the keys and values of a table. Long values are not read.
    fn measure(&mut self, mut txn: &ReadTxn, table: TableId, progress: &mut Progress, path: &Path) -> Outcome<()> {
        let mut cursor = Cursor::new(&mut txn, table, &Range::default()).about(path)?;
        loop {
            let mut long = Vec::new();
            let taken = cursor.next_many(&mut txn, AT_ONCE, &mut |key, value| {
                self.keys.add(key.as_slice().len() as u64);
                match value.is_chain() {
                    true => long.push(key.as_slice().to_vec()),
                    false => self.values.add(value.bytes().len() as u64),
                }
                true
            });
            let taken = taken.about(path)?;
            for key in long {
                let info = txn.value_info(table, &key).about(path)?;
                self.values.add(info.map_or(0, |info| info.len));
            }
            progress.more(taken)?;
            if taken < AT_ONCE {
                return Ok(());
            }
        }
    }
}
