//! Where a cursor stands: the documented positions, one test each, through both doors.

mod common;

use common::api::{open, Base, Door, Entry, Fail, Move, Setup, Span, Writes};
use common::compare::agree;
use kv::{Cursor, Db, Options, PutMode, Range, Seek, TableId, WriteOptions};
use std::collections::BTreeSet;
use std::ops::Bound;
use std::path::Path;

const DOORS: [Door; 2] = [Door::Rust, Door::C];

/// A database in memory with the keys given; the value is the key twice.
fn base(door: Door, keys: &[&str]) -> Box<dyn Base> {
    let setup = Setup {
        memory: true,
        ..Setup::default()
    };
    let base = open(door, Path::new(""), &setup).expect("open");
    let mut txn = base.begin_write().expect("begin");
    for key in keys {
        txn.put(TableId::MAIN, key.as_bytes(), key.repeat(2).as_bytes(), PutMode::Set)
            .expect("put");
    }
    txn.commit().expect("commit");
    base
}

fn entry(key: &str) -> Option<Entry> {
    (!key.is_empty()).then(|| (key.as_bytes().to_vec(), key.repeat(2).into_bytes()))
}

fn seek(key: &str, how: Seek) -> Move {
    Move::Seek(key.as_bytes().to_vec(), how)
}

fn span(from: Bound<&str>, to: Bound<&str>, prefix: Option<&str>, reverse: bool) -> Span {
    Span {
        from: from.map(|key| key.as_bytes().to_vec()),
        to: to.map(|key| key.as_bytes().to_vec()),
        prefix: prefix.map(|prefix| prefix.as_bytes().to_vec()),
        reverse,
    }
}

/// Moves a new cursor of a write transaction and compares each answer; an empty key means "none".
fn walk(txn: &mut dyn Writes, span: &Span, steps: &[(Move, &str)]) -> usize {
    let cursor = txn.cursor_open(TableId::MAIN, span).expect("cursor");
    go(txn, cursor, steps);
    cursor
}

fn go(txn: &mut dyn Writes, cursor: usize, steps: &[(Move, &str)]) {
    for (i, (how, key)) in steps.iter().enumerate() {
        agree(
            &format!("step {i}: {how:?}"),
            txn.cursor_move(cursor, how),
            Ok(entry(key)),
        );
    }
}

#[test]
fn before_the_first_at_open_and_behind_the_last_at_the_end() {
    for door in DOORS {
        let base = base(door, &["a", "b", "c"]);
        let mut txn = base.begin_write().expect("begin");
        walk(
            txn.as_mut(),
            &Span::all(),
            &[
                (Move::Get, ""),
                (Move::Prev, ""),
                (Move::Next, "a"),
                (Move::Next, "b"),
                (Move::Get, "b"),
                (Move::Next, "c"),
                (Move::Next, ""),
                (Move::Get, ""),
                (Move::Next, ""),
                (Move::Prev, "c"),
                (Move::First, "a"),
                (Move::Prev, ""),
                (Move::Next, "a"),
                (Move::Last, "c"),
                (Move::Prev, "b"),
            ],
        );
    }
}

#[test]
fn an_empty_range_has_neither_first_nor_last() {
    for door in DOORS {
        let base = base(door, &["a", "c"]);
        let mut txn = base.begin_write().expect("begin");
        let nothing = [
            span(Bound::Included("b"), Bound::Unbounded, Some("b"), false),
            span(Bound::Excluded("a"), Bound::Excluded("c"), None, true),
            span(Bound::Included("c"), Bound::Included("a"), None, false),
        ];
        for span in &nothing {
            let steps = [
                (Move::Next, ""),
                (Move::First, ""),
                (Move::Last, ""),
                (Move::Nth(0), ""),
            ];
            let cursor = walk(txn.as_mut(), span, &steps);
            agree("count", txn.cursor_count(cursor), Ok(0));
            agree("percentile", txn.cursor_move(cursor, &Move::Percentile(50.0)), Ok(None));
        }
    }
}

#[test]
fn seek_in_five_ways() {
    for door in DOORS {
        let base = base(door, &["b", "d", "f"]);
        let mut txn = base.begin_write().expect("begin");
        let all = Span::all();
        for reverse in [false, true] {
            let span = Span { reverse, ..all.clone() };
            let steps = [
                (seek("d", Seek::Eq), "d"),
                (seek("c", Seek::Eq), ""),
                (seek("d", Seek::Ge), "d"),
                (seek("c", Seek::Ge), "d"),
                (seek("g", Seek::Ge), ""),
                (seek("d", Seek::Gt), "f"),
                (seek("f", Seek::Gt), ""),
                (seek("d", Seek::Le), "d"),
                (seek("e", Seek::Le), "d"),
                (seek("a", Seek::Le), ""),
                (seek("d", Seek::Lt), "b"),
                (seek("b", Seek::Lt), ""),
            ];
            walk(txn.as_mut(), &span, &steps);
        }
    }
}

#[test]
fn a_seek_that_misses_stands_where_the_entry_would_be() {
    for door in DOORS {
        let base = base(door, &["b", "d", "f"]);
        let mut txn = base.begin_write().expect("begin");
        walk(
            txn.as_mut(),
            &Span::all(),
            &[
                (seek("c", Seek::Eq), ""),
                (Move::Get, ""),
                (Move::Next, "d"),
                (seek("c", Seek::Eq), ""),
                (Move::Prev, "b"),
                (seek("g", Seek::Ge), ""),
                (Move::Prev, "f"),
                (seek("a", Seek::Le), ""),
                (Move::Next, "b"),
            ],
        );
    }
}

#[test]
fn a_reverse_range_goes_down_and_its_seeks_keep_their_meaning() {
    for door in DOORS {
        let base = base(door, &["a", "b", "c", "d", "e"]);
        let mut txn = base.begin_write().expect("begin");
        let down = span(Bound::Included("b"), Bound::Excluded("e"), None, true);
        let steps = [
            (Move::Next, "d"),
            (Move::Next, "c"),
            (Move::Next, "b"),
            (Move::Next, ""),
            (Move::Prev, "b"),
            (Move::First, "d"),
            (Move::Last, "b"),
            (seek("c", Seek::Gt), "d"),
            (Move::Next, "c"),
            (Move::Nth(0), "d"),
            (Move::Nth(2), "b"),
            (Move::Nth(3), ""),
            // Outside the range: as if there were nothing.
            (seek("a", Seek::Eq), ""),
            (seek("a", Seek::Ge), "b"),
            (seek("z", Seek::Le), "d"),
        ];
        walk(txn.as_mut(), &down, &steps);
    }
}

#[test]
fn prefix_and_bounds_combine() {
    for door in DOORS {
        let base = base(door, &["a", "ab", "abc", "abd", "ac", "b"]);
        let mut txn = base.begin_write().expect("begin");
        let page = span(Bound::Excluded("ab"), Bound::Unbounded, Some("ab"), false);
        let cursor = walk(
            txn.as_mut(),
            &page,
            &[(Move::Next, "abc"), (Move::Next, "abd"), (Move::Next, "")],
        );
        agree("count", txn.cursor_count(cursor), Ok(2));
        // 0xff has no successor byte: the prefix's end lies one byte before.
        txn.put(TableId::MAIN, b"\xff\xff1", b"x", PutMode::Set).expect("put");
        let edge = Span {
            prefix: Some(b"\xff\xff".to_vec()),
            ..Span::all()
        };
        let cursor = txn.cursor_open(TableId::MAIN, &edge).expect("cursor");
        let found = txn.cursor_move(cursor, &Move::Last);
        agree("last", found, Ok(Some((b"\xff\xff1".to_vec(), b"x".to_vec()))));
    }
}

#[test]
fn after_its_entry_is_deleted_it_stands_between_the_neighbours() {
    for door in DOORS {
        let base = base(door, &["a", "b", "c", "d", "e"]);
        let mut txn = base.begin_write().expect("begin");
        let cursor = walk(txn.as_mut(), &Span::all(), &[(seek("c", Seek::Eq), "c")]);
        txn.cursor_delete(cursor).expect("delete");
        go(
            txn.as_mut(),
            cursor,
            &[(Move::Get, ""), (Move::Next, "d"), (Move::Prev, "b")],
        );
        // The same when another deletes it.
        assert!(txn.delete(TableId::MAIN, b"b").expect("delete"));
        go(
            txn.as_mut(),
            cursor,
            &[(Move::Get, ""), (Move::Prev, "a"), (Move::Next, "d")],
        );
        let gone = txn.cursor_put(cursor, b"dd").and_then(|()| txn.cursor_delete(cursor));
        assert_eq!(gone, Ok(()));
        let status = |fail: Fail| fail.status;
        assert_eq!(txn.cursor_delete(cursor).map_err(status), Err(-1));
        assert_eq!(txn.cursor_put(cursor, b"x").map_err(status), Err(-1));
        go(txn.as_mut(), cursor, &[(Move::Next, "e"), (Move::Next, "")]);
    }
}

#[test]
fn deleting_while_walking_meets_every_entry_once() {
    let keys: Vec<String> = (0..5000).map(|i| format!("key {i:05}")).collect();
    let names: Vec<&str> = keys.iter().map(String::as_str).collect();
    for door in DOORS {
        for reverse in [false, true] {
            let base = base(door, &names);
            let mut txn = base.begin_write().expect("begin");
            let span = Span { reverse, ..Span::all() };
            let cursor = txn.cursor_open(TableId::MAIN, &span).expect("cursor");
            let mut met = Vec::new();
            while let Some((key, _)) = txn.cursor_move(cursor, &Move::Next).expect("next") {
                txn.cursor_delete(cursor).expect("delete");
                met.push(String::from_utf8(key).expect("text"));
            }
            if reverse {
                met.reverse();
            }
            assert_eq!(met, keys);
            agree("count", txn.cursor_count(cursor), Ok(0));
        }
    }
}

#[test]
fn writes_beside_a_cursor_do_not_move_it() {
    for door in DOORS {
        let base = base(door, &["b", "d"]);
        let mut txn = base.begin_write().expect("begin");
        let cursor = walk(txn.as_mut(), &Span::all(), &[(Move::Next, "b")]);
        // So many that the leaf splits around the cursor.
        for i in 0..3000 {
            let key = format!("{}{i:04}", if i % 2 == 0 { "a" } else { "c" });
            txn.put(TableId::MAIN, key.as_bytes(), key.repeat(2).as_bytes(), PutMode::Set)
                .expect("put");
        }
        go(
            txn.as_mut(),
            cursor,
            &[
                (Move::Get, "b"),
                (Move::Next, "c0001"),
                (Move::Prev, "b"),
                (Move::Prev, "a2998"),
            ],
        );
        txn.cursor_put(cursor, b"a2998a2998").expect("put");
        go(txn.as_mut(), cursor, &[(Move::Get, "a2998")]);
        agree("rank", txn.cursor_rank(cursor), Ok(1499));
    }
}

/// Of 300 random positions among three entries, each is found at least once but with a probability below 1e-50.
#[test]
fn a_random_position_is_one_of_the_range_and_may_be_any() {
    let db = Db::open(
        "".as_ref(),
        &Options {
            memory: true,
            ..Options::default()
        },
    )
    .expect("open");
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    for key in ["a", "b1", "b2", "b3", "c"] {
        txn.put(TableId::MAIN, key.as_bytes(), b"", PutMode::Set).expect("put");
    }
    for reverse in [false, true] {
        let range = |prefix| Range {
            prefix: Some(prefix),
            reverse,
            ..Range::default()
        };
        let mut cursor = Cursor::new(&mut txn, TableId::MAIN, &range(b"b")).expect("cursor");
        let mut seen = BTreeSet::new();
        for _ in 0..300 {
            assert!(cursor.random(&mut txn).expect("random"));
            seen.insert(cursor.key().to_vec());
        }
        assert_eq!(Vec::from_iter(seen), [b"b1", b"b2", b"b3"]);
        let mut cursor = Cursor::new(&mut txn, TableId::MAIN, &range(b"x")).expect("cursor");
        assert!(!cursor.random(&mut txn).expect("random"), "the range is empty");
        assert!(!cursor.percentile(&mut txn, 50.0).expect("percentile"));
    }
}

#[test]
fn nth_rank_and_percentile_agree() {
    let keys: Vec<String> = (0..1001).map(|i| format!("{i:04}")).collect();
    let names: Vec<&str> = keys.iter().map(String::as_str).collect();
    for door in DOORS {
        let base = base(door, &names);
        let mut txn = base.begin_write().expect("begin");
        let cursor = txn.cursor_open(TableId::MAIN, &Span::all()).expect("cursor");
        for n in [0, 1, 499, 1000] {
            go(txn.as_mut(), cursor, &[(Move::Nth(n), &keys[n as usize])]);
            agree("rank", txn.cursor_rank(cursor), Ok(n));
        }
        let percentiles = [(0.0, 0), (0.05, 0), (50.0, 500), (99.0, 990), (100.0, 1000)];
        for (percent, n) in percentiles {
            go(txn.as_mut(), cursor, &[(Move::Percentile(percent), &keys[n])]);
        }
    }
}

/// A cursor may outlive its transaction, and the entry on which it stood may have moved since then. An edit finds the
/// key again and changes that entry, or says that there is none.
#[test]
fn a_cursor_of_an_ended_transaction_edits_its_key_or_nothing() {
    for refreshed in [false, true] {
        let options = Options {
            memory: true,
            ..Options::default()
        };
        let db = Db::open(Path::new(""), &options).expect("open");
        let write = || db.begin_write(WriteOptions::default()).expect("begin");
        let mut txn = write();
        for i in 0..2_000u32 {
            let key = (2 * i + 1).to_be_bytes();
            txn.put(TableId::MAIN, &key, &[0; 100], PutMode::Append).expect("put");
        }
        txn.commit().expect("commit");
        let mut cursors = Vec::new();
        let mut read = db.begin_read().expect("read");
        if refreshed {
            let mut txn = write();
            txn.put(TableId::MAIN, b"", b"", PutMode::Set).expect("put");
            txn.commit().expect("commit");
            read.refresh().expect("refresh");
        }
        for key in [1u32, 777, 3_999] {
            let mut cursor = Cursor::new(&mut &read, TableId::MAIN, &Range::default()).expect("cursor");
            assert!(cursor.seek(&mut &read, &key.to_be_bytes(), Seek::Eq).expect("seek"));
            cursors.push((key, cursor));
            let mut txn = write();
            let mut cursor = Cursor::new(&mut txn, TableId::MAIN, &Range::default()).expect("cursor");
            assert!(cursor.seek(&mut txn, &key.to_be_bytes(), Seek::Eq).expect("seek"));
            cursors.push((key, cursor));
        }
        drop(read);
        // Every leaf gets entries and moves, so that positions of before lead elsewhere.
        for part in 0..4u32 {
            let mut txn = write();
            for i in (part..2_000).step_by(4) {
                txn.put(TableId::MAIN, &(2 * i).to_be_bytes(), &[1; 100], PutMode::Set)
                    .expect("put");
            }
            txn.commit().expect("commit");
        }
        let mut gone = BTreeSet::new();
        for (key, mut cursor) in cursors {
            let mut txn = write();
            let deleted = cursor.delete(&mut txn);
            assert_eq!(deleted.is_ok(), gone.insert(key), "delete of {key}: {deleted:?}");
            txn.commit().expect("commit");
        }
        let read = db.begin_read().expect("read");
        for i in 0..2_000u32 {
            let odd = 2 * i + 1;
            let found = read.get(TableId::MAIN, &odd.to_be_bytes()).expect("get");
            assert_eq!(found.is_none(), gone.contains(&odd), "key {odd}");
            assert!(read.get(TableId::MAIN, &(2 * i).to_be_bytes()).expect("get").is_some());
        }
        db.check(true, &mut |fault| panic!("{fault:?}")).expect("check");
    }
}
