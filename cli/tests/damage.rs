//! Damaged files: what is left of them is shown, and what is said of them is true.

mod common;

use common::{damage, one, pages, two_tables, Folder};
use kv_engine::{Db, Options, PageUse, PutMode, TableId, WriteOptions};

#[test]
fn what_is_left_of_a_damaged_file_is_shown() {
    let folder = Folder::new("left");
    let page = two_tables(&folder);
    damage(&folder, page);
    let damaged = format!("at page {page} in the main table");
    let tables = folder.kv(&["tables", "db", "-o", "json"]).ends_with(3).says(&damaged);
    let rows = tables.json();
    assert!(
        rows[0]["entries"] == 5000 && rows[0]["tree_pages"].is_null(),
        "{rows:?}"
    );
    assert!(
        rows[1]["table"] == "named" && rows[1]["overflow_pages"].as_u64() >= Some(256),
        "{rows:?}"
    );
    // A list of names that is damaged hides tables, and no others.
    let other = Folder::new("left-names");
    two_tables(&other);
    let db = Db::open(&other.file("db"), &Options::default()).expect("open");
    let names = pages(&db, PageUse::Leaf, Some(TableId::NAMES));
    drop(db);
    damage(&other, names[0]);
    let rows = other.kv(&["tables", "db", "-o", "json"]).ends_with(3).json();
    assert!(rows.len() == 1 && rows[0]["entries"] == 5000, "{rows:?}");
}

#[test]
fn a_map_shows_everything_that_is_not_below_damage() {
    let folder = Folder::new("left-map");
    let page = two_tables(&folder);
    let db = Db::open(&folder.file("db"), &Options::default()).expect("open");
    let root = pages(&db, PageUse::Branch, Some(TableId::MAIN))[0];
    drop(db);
    let whole = one(&folder.kv(&["map", "db", "-o", "json"]).ends_with(0));
    let bytes = std::fs::read(folder.file("db")).expect("read");
    let number = |map: &serde_json::Value, name: &str| map[name].as_u64().unwrap_or_else(|| panic!("{name} in {map}"));
    let leaves = number(&whole, "leaf_pages");
    // Which of the pages below a root are leaves cannot be known.
    for (page, lost) in [(page, 1), (root, leaves - 3)] {
        std::fs::write(folder.file("db"), &bytes).expect("write");
        damage(&folder, page);
        let damaged = format!(
            "kv: db: corrupt: the page is damaged: its checksum does not match at page {page} in the main table; "
        );
        let all = "kv: db: what is left of the file is shown; kv check tells all of the damage\n";
        let answer = folder
            .kv(&["map", "db", "-o", "json"])
            .ends_with(3)
            .says(&damaged)
            .says(all);
        assert_eq!(answer.err.lines().count(), 2, "{answer:?}");
        let map = one(&answer);
        for name in [
            "overflow_pages",
            "own_pages",
            "head_pages",
            "dead_pages",
            "dead_runs",
            "pages",
        ] {
            assert_eq!(map[name], whole[name], "{name}");
        }
        assert!(
            number(&map, "leaf_pages") + lost <= leaves && number(&map, "unknown_pages") >= lost,
            "{map}"
        );
        let sum: u64 = ["leaf", "branch", "overflow", "own", "head", "dead", "unknown"]
            .iter()
            .map(|kind| number(&map, &format!("{kind}_pages")))
            .sum();
        assert_eq!(sum, number(&map, "pages"));
        let drawn = folder
            .kv(&["map", "db", "--ascii"])
            .ends_with(3)
            .says(&damaged)
            .says(all);
        let text = drawn.text();
        assert!(
            text.contains("?  not known") && text.contains("dead pages lie in "),
            "{text}"
        );
        assert!(
            text.contains("\npages to which only damaged ones lead are not known\n"),
            "{text}"
        );
        let page = folder.kv(&["report", "db"]).ends_with(3).says(&damaged).says(all);
        assert!(
            page.text()
                .contains("Pages to which only damaged ones lead are not known"),
            "{page:?}"
        );
        assert!(page.text().contains("they lie in"), "{page:?}");
    }
}

#[test]
fn a_lost_place_of_a_file_that_was_not_closed_may_be_that_of_the_newest_commit() {
    let folder = Folder::new("lost-slot");
    let db = Db::open(&folder.file("open"), &Options::default()).expect("open");
    for n in 0..9u8 {
        let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
        txn.put(TableId::MAIN, &[n], b"v", PutMode::Set).expect("put");
        txn.commit().expect("commit");
    }
    let bytes = std::fs::read(folder.file("open")).expect("read");
    let mut lost = 0;
    for slot in 0..4 {
        let mut torn = bytes.clone();
        torn[slot * 4096..][..4096].fill(0xa5);
        std::fs::write(folder.file("db"), torn).expect("write");
        let check = folder.kv(&["check", "--all", "db", "-o", "json"]).ends_with(0);
        lost += u64::from(one(&check)["entries"] != 9);
        let check = check.says("the file was not closed properly: the newest commit may be lost");
        assert!(!check.err.contains("nothing is lost"), "{check:?}");
        let page = folder.kv(&["report", "db"]).ends_with(0);
        assert!(page.text().contains("The newest commit may be lost") && !page.text().contains("Nothing that was"));
        let saved = folder
            .kv(&["salvage", "db", "new", "--overwrite", "-o", "json"])
            .ends_with(3);
        assert_eq!(saved.json().last().expect("a report")["complete"], false);
        saved.says("the newest commit may be lost");
    }
    assert!(lost > 0, "no slot had the newest commit");
}

#[test]
fn a_salvage_does_not_advise_to_salvage() {
    let folder = Folder::new("advice");
    let page = two_tables(&folder);
    damage(&folder, page);
    let saved = folder.kv(&["salvage", "db", "new"]).ends_with(3);
    assert!(!saved.text().contains("kv salvage"), "{saved:?}");
    assert!(
        saved.text().contains("    to do:   see below what was saved"),
        "{saved:?}"
    );
    // What follows from the loss of the head is no contradiction to be reported.
    let mut bytes = std::fs::read(folder.file("db")).expect("read");
    bytes[..4 * 4096].fill(0);
    std::fs::write(folder.file("db"), bytes).expect("write");
    let saved = folder.kv(&["salvage", "db", "new", "--overwrite"]).ends_with(3);
    assert!(
        !saved.text().contains("kv salvage") && !saved.text().contains("report how"),
        "{saved:?}"
    );
}
