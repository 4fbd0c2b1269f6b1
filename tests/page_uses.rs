//! What each page of a file is used for, as `Db::page_uses` tells it: every page once, and in agreement with the other
//! statistics.

mod common;

use common::tmp::TempDir;
use kv::{Db, Error, Job, OnProgress, Options, PageRun, PageUse, PageUses, PutMode, Reader, Result, TableId};
use kv::{WriteOptions, WriteTxn};

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
    let uses: PageUses = db.page_uses(&Job::silent(), &mut |run| runs.push(run))?;
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
        db.page_uses(&Job::new(stop), &mut |_| {}),
        Err(Error::Cancelled)
    ));
    // What is below a damaged page is not known.
    let leaf = runs
        .iter()
        .rfind(|run| run.table == Some(MAIN) && run.usage == PageUse::Leaf);
    let at = leaf.expect("a leaf").first;
    drop((read, db));
    let mut file = std::fs::read(&path).expect("read");
    file[at.offset(4096) as usize..][..4096].fill(0xA5);
    std::fs::write(&path, &file).expect("write");
    let db = Db::open(&path, &Options::default())?;
    let damaged = db.page_uses(&Job::silent(), &mut |_| {});
    assert!(matches!(damaged, Err(Error::Corrupt(found)) if found.page == Some(at) && found.table == Some(MAIN)));
    Ok(())
}
