//! Differences of the states of a database against those of maps, in random histories: puts of all lengths, values
//! written again as they were, deletes, removed ranges, tables that come and go; between two commits in either order,
//! and between a commit and what a write transaction has written; forward and backward, in ranges, and as counts.
//!
//! `KV_DIFFERENCES` is the number of histories (default 300), and `KV_SEED` chooses others.

mod common;

use common::env_number;
use common::random_history::{change_entries, in_memory, key, Map};
use common::rng::Rng;
use kv::{same, Change, ChangeCounts, ChangeKind, Db, Difference, Error, PutMode, Range, ReadTxn};
use kv::{Reader, TableId, WriteOptions, WriteTxn};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// What a state has: the entries of each table.
type Model = BTreeMap<TableId, Map>;
/// A change with its values.
type Told = (Vec<u8>, Option<Vec<u8>>, Option<Vec<u8>>);

const MAIN: TableId = TableId::MAIN;
const NAMES: [&[u8]; 2] = [b"left", b"right"];

/// Changes tables and entries in the transaction and in the model.
fn write(txn: &mut WriteTxn, model: &mut Model, rng: &mut Rng) {
    if rng.percent(15) {
        let name = NAMES[rng.index(2)];
        match txn.table(name) {
            Ok(table) => {
                txn.table_drop(table).expect("drop");
                model.remove(&table);
            }
            Err(Error::NoTable(_)) => {
                let table = txn.table_create(name, true).expect("create");
                model.insert(table, Map::new());
            }
            Err(error) => panic!("{error}"),
        }
    }
    for (table, map) in model.iter_mut() {
        if rng.percent(30) {
            continue;
        }
        change_entries(txn, *table, map, rng);
    }
}

/// The changes of a table within a range, by the maps.
fn expected(before: Option<&Map>, after: Option<&Map>, range: &Range<'_>) -> Vec<Told> {
    let none = Map::new();
    let (before, after) = (before.unwrap_or(&none), after.unwrap_or(&none));
    let keys: BTreeSet<&Vec<u8>> = before.keys().chain(after.keys()).collect();
    let inside = keys.into_iter().filter(|key| {
        let key = key.as_slice();
        std::ops::RangeBounds::contains(&(range.from, range.to), key)
            && range.prefix.is_none_or(|prefix| key.starts_with(prefix))
    });
    let told = inside.map(|key| (key.clone(), before.get(key).cloned(), after.get(key).cloned()));
    let mut told: Vec<Told> = told.filter(|(_, was, is)| was != is).collect();
    if range.reverse {
        told.reverse();
    }
    told
}

fn kind_of((_, was, is): &Told) -> ChangeKind {
    match (was, is) {
        (None, _) => ChangeKind::Added,
        (_, None) => ChangeKind::Removed,
        _ => ChangeKind::Changed,
    }
}

/// Compares all that is answered about one table with the maps.
fn check_table<B: Reader, A: Reader>(
    (before, was): (&mut B, &Model),
    (after, is): (&mut A, &Model),
    table: TableId,
    range: &Range<'_>,
    rng: &mut Rng,
) {
    if !was.contains_key(&table) && !is.contains_key(&table) {
        let missing = Difference::new(before, after, table, range);
        assert!(matches!(missing, Err(Error::NoTable(_))), "{missing:?}");
        return;
    }
    let want = expected(was.get(&table), is.get(&table), range);
    let counts = Difference::count(before, after, table, range).expect("count");
    let many = |kind| want.iter().filter(|told| kind_of(told) == kind).count() as u64;
    let counted = ChangeCounts {
        added: many(ChangeKind::Added),
        removed: many(ChangeKind::Removed),
        changed: many(ChangeKind::Changed),
    };
    assert_eq!(counts, counted, "{range:?}");
    let mut difference = Difference::new(before, after, table, range).expect("a difference");
    let mut got: Vec<Told> = Vec::new();
    loop {
        let more = match rng.below(3) {
            0 => {
                let (limit, room) = (rng.below(50), rng.index(40));
                let mut given = 0;
                let mut take = |change: &Change<'_>| {
                    if given == room {
                        return false;
                    }
                    given += 1;
                    got.push(told(change));
                    true
                };
                let taken = difference.next_many(before, after, limit, &mut take).expect("many");
                assert_eq!(taken as usize, given);
                taken == limit || given == room
            }
            1 => match difference.next(before, after).expect("next") {
                None => false,
                Some(kind) => {
                    let key = difference.key().to_vec();
                    assert_eq!((difference.kind(), difference.table()), (Some(kind), table));
                    difference.give_again();
                    let again = difference.next_and_read(before, after, told).expect("again");
                    assert_eq!(again.as_ref().map(|told| (&told.0, kind_of(told))), Some((&key, kind)));
                    got.extend(again);
                    true
                }
            },
            _ => {
                let next = difference.next_and_read(before, after, told).expect("next");
                got.extend(next.clone());
                next.is_some()
            }
        };
        if !more {
            break;
        }
    }
    assert!(
        got == want,
        "{table}, {range:?}: {} of {} changes",
        got.len(),
        want.len()
    );
    if same(before, after, Some(table)).expect("same") {
        assert!(want.is_empty(), "{table}: what is the same has no difference");
    }
}

fn told(change: &Change<'_>) -> Told {
    let told = (
        change.key.to_vec(),
        change.before.map(<[u8]>::to_vec),
        change.after.map(<[u8]>::to_vec),
    );
    assert_eq!(change.kind, kind_of(&told));
    told
}

fn check<B: Reader, A: Reader>(before: (&mut B, &Model), after: (&mut A, &Model), rng: &mut Rng) {
    let tables: BTreeSet<TableId> = before.1.keys().chain(after.1.keys()).copied().collect();
    for table in tables {
        let whole = Range {
            reverse: rng.percent(50),
            ..Range::default()
        };
        check_table((&mut *before.0, before.1), (&mut *after.0, after.1), table, &whole, rng);
        let (a, b, prefix) = (key(rng), key(rng), key(rng));
        let range = Range {
            from: [Bound::Unbounded, Bound::Included(&a[..]), Bound::Excluded(&a[..])][rng.index(3)],
            to: [Bound::Unbounded, Bound::Included(&b[..]), Bound::Excluded(&b[..])][rng.index(3)],
            prefix: rng.percent(20).then_some(&prefix[..prefix.len().min(3)]),
            reverse: rng.percent(50),
        };
        check_table((&mut *before.0, before.1), (&mut *after.0, after.1), table, &range, rng);
    }
    if same(before.0, after.0, None).expect("same") {
        assert_eq!(before.1, after.1, "what is the same has no difference");
    }
}

fn history(seed: u64) {
    let mut rng = Rng::new(seed);
    let db = in_memory(&mut rng);
    let mut states: Vec<(ReadTxn, Model)> = vec![(db.begin_read().expect("read"), Model::from([(MAIN, Map::new())]))];
    for _ in 0..rng.range(2, 6) {
        let mut model = states.last().expect("a state").1.clone();
        let mut txn = db.begin_write(WriteOptions::default()).expect("write");
        for _ in 0..rng.range(1, 3) {
            write(&mut txn, &mut model, &mut rng);
            if rng.percent(30) {
                let (before, was) = &states[rng.index(states.len())];
                check((&mut &*before, was), (&mut txn, &model), &mut rng);
                check((&mut txn, &model), (&mut &*before, was), &mut rng);
            }
        }
        txn.commit().expect("commit");
        states.push((db.begin_read().expect("read"), model));
        for _ in 0..2 {
            let (before, was) = &states[rng.index(states.len())];
            let (after, is) = &states[rng.index(states.len())];
            check((&mut &*before, was), (&mut &*after, is), &mut rng);
        }
    }
}

#[test]
fn differences_are_those_of_maps() {
    let (seed, many) = (env_number("KV_SEED", 1), env_number("KV_DIFFERENCES", 300));
    for n in 0..many {
        let seed = seed.wrapping_mul(1_000_003).wrapping_add(n);
        if let Err(panic) = std::panic::catch_unwind(|| history(seed)) {
            eprintln!("difference: history {seed} failed");
            std::panic::resume_unwind(panic);
        }
    }
    println!("difference: 1 passed, 0 failed, 0 skipped ({many} histories)");
}

fn commit(db: &Db, write: impl FnOnce(&mut WriteTxn)) -> ReadTxn {
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    write(&mut txn);
    txn.commit().expect("commit");
    db.begin_read().expect("read")
}

#[test]
fn tables_are_found_by_number_and_the_list_of_names_tells_which_came_and_went() {
    let db = in_memory(&mut Rng::new(1));
    let before = commit(&db, |txn| {
        let old = txn.table_create(b"colours", true).expect("create");
        txn.put(old, b"apple", b"red", PutMode::Set).expect("put");
    });
    let after = commit(&db, |txn| {
        let old = txn.table(b"colours").expect("table");
        txn.table_drop(old).expect("drop");
        let new = txn.table_create(b"colours", true).expect("create");
        txn.put(new, b"apple", b"red", PutMode::Set).expect("put");
        txn.put(new, b"plum", b"blue", PutMode::Set).expect("put");
    });
    let (before, after) = (&mut &before, &mut &after);
    let [old, new] = [before.table(b"colours"), after.table(b"colours")].map(|table| table.expect("table"));
    let whole = Range::default();
    let counts = |added, removed, changed| ChangeCounts {
        added,
        removed,
        changed,
    };
    let count = |before: &mut &ReadTxn, after: &mut &ReadTxn, table| Difference::count(before, after, table, &whole);
    assert_eq!(count(before, after, old).expect("count"), counts(0, 1, 0));
    assert_eq!(count(before, after, new).expect("count"), counts(2, 0, 0));
    assert_eq!(count(before, after, TableId::NAMES).expect("count"), counts(0, 0, 1));
    assert!(!same(before, after, Some(old)).expect("same") && !same(before, after, None).expect("same"));
    let nobodys = TableId::new(new.get() ^ 1);
    assert!(matches!(same(before, after, Some(nobodys)), Err(Error::NoTable(_))));
}

#[test]
fn transactions_of_other_databases_are_refused() {
    let [one, other] = [1, 2].map(|seed| in_memory(&mut Rng::new(seed)));
    let (one, other) = (one.begin_read().expect("read"), other.begin_read().expect("read"));
    let refused = |answer: Result<(), Error>| matches!(answer, Err(Error::Invalid(_)));
    let range = Range::default();
    assert!(refused(Difference::new(&mut &one, &mut &other, MAIN, &range).map(drop)));
    assert!(refused(
        Difference::count(&mut &one, &mut &other, MAIN, &range).map(drop)
    ));
    assert!(refused(same(&mut &one, &mut &other, None).map(drop)));
}

#[test]
fn a_difference_follows_a_transaction_that_writes_or_is_refreshed() {
    let db = in_memory(&mut Rng::new(1));
    let before = db.begin_read().expect("read");
    let mut later = commit(&db, |txn| {
        for key in ["b", "d", "f"] {
            txn.put(MAIN, key.as_bytes(), b"1", PutMode::Set).expect("put");
        }
    });
    let mut write = db.begin_write(WriteOptions::default()).expect("write");
    let mut of_write = Difference::new(&mut &before, &mut write, MAIN, &Range::default()).expect("a difference");
    assert_eq!(
        of_write.next(&mut &before, &mut write).expect("next"),
        Some(ChangeKind::Added)
    );
    assert_eq!(of_write.key(), b"b");
    write.put(MAIN, b"a", b"2", PutMode::Set).expect("put");
    write.put(MAIN, b"c", b"2", PutMode::Set).expect("put");
    write.delete_blind(MAIN, b"d").expect("delete");
    let mut rest = Vec::new();
    while of_write.next(&mut &before, &mut write).expect("next").is_some() {
        rest.push(of_write.key().to_vec());
    }
    assert_eq!(rest, [b"c", b"f"], "what was written behind the last key");

    let mut of_read = Difference::new(&mut &before, &mut &later, MAIN, &Range::default()).expect("a difference");
    of_read.next(&mut &before, &mut &later).expect("next");
    assert_eq!(of_read.key(), b"b");
    write.commit().expect("commit");
    later.refresh().expect("refresh");
    of_read.next(&mut &before, &mut &later).expect("next");
    assert_eq!(of_read.key(), b"c", "what the newer commit has");
}

#[test]
fn a_long_value_that_was_written_again_is_compared() {
    let db = in_memory(&mut Rng::new(1));
    let mut long = vec![7u8; (3 << 20) + 5];
    let put = |long: &[u8]| {
        commit(&db, |txn| {
            txn.put(MAIN, b"long", long, PutMode::Set).expect("put");
        })
    };
    let (first, second) = (put(&long), put(&long));
    long[(2 << 20) + 9] = 8;
    let third = put(&long);
    let count = |a: &ReadTxn, b: &ReadTxn| {
        let counts = Difference::count(&mut &*a, &mut &*b, MAIN, &Range::default());
        counts.expect("count").changed
    };
    assert_eq!((count(&first, &second), count(&second, &third)), (0, 1));
    assert!(
        !same(&mut &first, &mut &second, None).expect("same"),
        "the roots differ"
    );
}
