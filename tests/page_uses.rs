//! What each page of a file is used for, as `Db::page_uses` tells it: every page once, and in agreement with the other
//! statistics.

mod common;

use common::tmp::TempDir;
use kv::{Db, Error, Fault, Job, OnProgress, Options, PageNo, PageRun, PageUse, PageUses, PutMode, Range, Reader};
use kv::{Result, TableId, WriteOptions, WriteTxn};
use std::ops::Bound;
use std::path::Path;

const MAIN: TableId = TableId::MAIN;

fn commit(db: &Db, write: impl FnOnce(&mut WriteTxn) -> Result<()>) {
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    write(&mut txn).expect("write");
    txn.commit().expect("commit");
}

#[test]
fn every_page_has_one_use_which_is_told() -> Result<()> {
    let folder = TempDir::new("uses");
    let path = folder.file("db");
    let db = Db::open(&path, &Options::default())?;
    let mut named = MAIN;
    commit(&db, |txn| {
        named = txn.table_create(b"named", true)?;
        txn.put(named, b"long", &[7; 100_000], PutMode::Set)?;
        (0..5000u32).try_for_each(|n| txn.put(MAIN, &n.to_be_bytes(), &[7; 50], PutMode::Append))
    });
    // Leaves of the first commit die with the second.
    commit(&db, |txn| {
        (0..5000u32).try_for_each(|n| txn.put(MAIN, &n.to_be_bytes(), &[8; 50], PutMode::Set))
    });
    let mut runs: Vec<PageRun> = Vec::new();
    let uses: PageUses = db.page_uses(&Job::silent(), &mut |run| runs.push(run), &mut |_| false)?;
    assert_eq!((uses.id, uses.pages), (db.stat().visible, db.stat().pages));
    let pages = |usage| {
        runs.iter()
            .filter(|run| run.usage == usage)
            .map(|run| run.pages)
            .sum::<u64>()
    };
    let told: u64 = runs.iter().map(|run| run.pages).sum();
    assert_eq!(told, uses.pages, "{runs:?}");
    let mut sorted = runs.clone();
    sorted.sort_by_key(|run| run.first);
    assert!(sorted
        .windows(2)
        .all(|pair| pair[0].first + pair[0].pages == pair[1].first));
    // This agrees with what the other statistics say.
    let read = db.begin_read()?;
    let main = (&read).table_stat(MAIN)?;
    let of_main = |usage| {
        let found = runs.iter().filter(|run| run.table == Some(MAIN) && run.usage == usage);
        found.map(|run| run.pages).sum::<u64>()
    };
    assert_eq!(of_main(PageUse::Leaf), main.leaf_pages);
    assert_eq!(of_main(PageUse::Branch), main.branch_pages);
    let chain = runs.iter().filter(|run| run.usage == PageUse::Overflow);
    assert!(chain.clone().all(|run| run.table == Some(named)));
    assert_eq!(
        chain.map(|run| run.pages).sum::<u64>(),
        (&read).table_stat(named)?.overflow_pages
    );
    let report = db.check(true, &mut |_| true)?;
    assert_eq!(pages(PageUse::Dead), report.dead_pages);
    assert!(pages(PageUse::Dead) >= main.leaf_pages && pages(PageUse::Meta) > 0);
    let stop: OnProgress<'_> = &mut |_, _| false;
    assert!(matches!(
        db.page_uses(&Job::new(stop), &mut |_| {}, &mut |_| false),
        Err(Error::Cancelled)
    ));
    Ok(())
}

/// What was told of a file: the runs, the faults, and the rest.
struct Answer {
    runs: Vec<PageRun>,
    faults: Vec<Fault>,
    uses: PageUses,
}

impl Answer {
    fn of(path: &Path) -> Result<Answer> {
        let db = Db::open(path, &Options::default())?;
        let (mut runs, mut faults) = (Vec::new(), Vec::new());
        let uses = db.page_uses(&Job::silent(), &mut |run| runs.push(run), &mut |fault| {
            faults.push(fault.clone());
            true
        })?;
        let answer = Answer { runs, faults, uses };
        let told: u64 = answer.runs.iter().map(|run| run.pages).sum();
        assert_eq!(told + uses.unknown_pages, uses.pages);
        Ok(answer)
    }

    /// The first page of each run that is used in this way by a table.
    fn first(&self, usage: PageUse, table: Option<TableId>) -> Vec<PageNo> {
        let found = self.runs.iter().filter(|run| (run.usage, run.table) == (usage, table));
        found.map(|run| run.first).collect()
    }

    /// The number of pages that are used in this way.
    fn pages(&self, usage: PageUse) -> u64 {
        let found = self.runs.iter().filter(|run| run.usage == usage);
        found.map(|run| run.pages).sum()
    }
}

#[test]
fn what_is_below_a_damaged_page_is_not_known_and_everything_else_is() -> Result<()> {
    let folder = TempDir::new("uses-damage");
    let path = folder.file("db");
    let db = Db::open(&path, &Options::default())?;
    let mut tables = Vec::new();
    commit(&db, |txn| {
        for name in [b"first", b"third"] {
            tables.push(txn.table_create(name, true)?);
        }
        for table in [MAIN, tables[0], tables[1]] {
            (0..9000u32).try_for_each(|n| txn.put(table, &n.to_be_bytes(), &[7; 90], PutMode::Append))?;
        }
        Ok(())
    });
    commit(&db, |txn| {
        txn.delete_range(
            tables[0],
            &Range {
                from: Bound::Included(&[0, 0, 9]),
                ..Range::default()
            },
        )
        .map(drop)
    });
    // More pages die than the slots list, so that there is a space tree.
    for n in (0..9000u32).step_by(9) {
        commit(&db, |txn| txn.put(MAIN, &n.to_be_bytes(), &[8; 90], PutMode::Set));
    }
    drop(db);
    let whole = std::fs::read(&path).expect("read");
    let before = Answer::of(&path)?;
    assert!(before.faults.is_empty() && before.uses.unknown_pages == 0 && before.uses.dead_pages_known);
    assert!(before.pages(PageUse::Dead) > 0);
    let damaged = |pages: &[PageNo]| {
        let mut file = whole.clone();
        for page in pages {
            file[page.offset(4096) as usize..][..4096].fill(0xA5);
        }
        std::fs::write(&path, &file).expect("write");
        Answer::of(&path)
    };
    let at = |answer: &Answer| -> Vec<_> { answer.faults.iter().map(|fault| (fault.page, fault.table)).collect() };
    let branches = before.first(PageUse::Branch, Some(MAIN));
    let leaves = before.first(PageUse::Leaf, Some(tables[0]));
    assert!(branches.len() > 1, "the root and what is below it");

    // A leaf: nothing is below it.
    let after = damaged(&leaves[3..4])?;
    assert_eq!(at(&after), [(Some(leaves[3]), Some(tables[0]))]);
    assert_eq!(after.uses.unknown_pages, 1);
    for usage in [PageUse::Branch, PageUse::Dead, PageUse::Own] {
        assert_eq!(after.pages(usage), before.pages(usage), "{usage:?}");
    }
    assert_eq!(after.pages(PageUse::Leaf) + 1, before.pages(PageUse::Leaf));
    assert_eq!(
        after.first(PageUse::Leaf, Some(tables[1])),
        before.first(PageUse::Leaf, Some(tables[1]))
    );

    // The root of a table, and a leaf of another: both are told, and all of the table is unknown.
    let after = damaged(&[branches[0], leaves[5]])?;
    assert_eq!(
        at(&after),
        [(Some(branches[0]), Some(MAIN)), (Some(leaves[5]), Some(tables[0]))]
    );
    let of_main = |answer: &Answer| {
        let all = answer.runs.iter().filter(|run| run.table == Some(MAIN));
        all.map(|run| run.pages).sum::<u64>()
    };
    assert_eq!((of_main(&after), after.uses.unknown_pages), (0, of_main(&before) + 1));
    assert!(after.uses.dead_pages_known && after.pages(PageUse::Dead) == before.pages(PageUse::Dead));

    // The list of dead pages: these are not known, and what is in use is.
    let own = before.first(PageUse::Own, None);
    let after = damaged(&own)?;
    assert!(!after.uses.dead_pages_known && after.pages(PageUse::Dead) == 0);
    assert!(!after.faults.is_empty() && at(&after).iter().all(|(_, table)| *table == Some(TableId::SPACE)));
    assert_eq!(after.pages(PageUse::Leaf), before.pages(PageUse::Leaf));

    // Whoever does not want to go on need not.
    let db = Db::open(&path, &Options::default())?;
    let mut told = 0;
    let ended = db.page_uses(&Job::silent(), &mut |_| {}, &mut |_| {
        told += 1;
        false
    });
    assert!(matches!(ended, Err(Error::Cancelled)) && told == 1);
    Ok(())
}
