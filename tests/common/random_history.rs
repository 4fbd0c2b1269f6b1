//! Random histories of a database beside maps: keys and values that meet again, and what a transaction does with the
//! entries of a table.

use super::rng::Rng;
use kv::{Db, Durability, Options, PutMode, Range, TableId, WriteTxn};
use std::collections::BTreeMap;
use std::ops::Bound;

/// What a table has.
pub type Map = BTreeMap<Vec<u8>, Vec<u8>>;

/// Returns a database in memory, with small pages or larger ones.
pub fn in_memory(rng: &mut Rng) -> Db {
    let options = Options {
        memory: true,
        durability: Durability::Lazy,
        page_size: if rng.percent(80) { 4096 } else { 16384 },
        // With little memory, a transaction applies its edits to the trees again and again.
        write_memory: if rng.percent(50) { 0 } else { 4096 },
        ..Options::default()
    };
    Db::open("".as_ref(), &options).expect("a database in memory")
}

/// Returns a key of one of several kinds, close enough to others to meet them again.
pub fn key(rng: &mut Rng) -> Vec<u8> {
    match rng.below(10) {
        0 => Vec::new(),
        1..=4 => format!("{:05}", rng.below(3000)).into_bytes(),
        5..=7 => (rng.below(500) * 7).to_be_bytes().to_vec(),
        8 => {
            let mut key = vec![b'k'; [280, 600, 4000, 9000][rng.index(4)]];
            *key.last_mut().expect("a byte") = rng.below(20) as u8;
            key
        }
        _ => [
            b"a common prefix of many keys ".as_slice(),
            &rng.below(200).to_be_bytes()[6..],
        ]
        .concat(),
    }
}

/// Returns a value of any length, also one of several pieces.
pub fn value(rng: &mut Rng) -> Vec<u8> {
    let len = match rng.below(2000) {
        0 => (1 << 20) + rng.index(1_500_000),
        1..=99 => 5000 + 4000 * rng.index(3),
        100..=699 => 10 * rng.index(3),
        _ => 40 * rng.index(10),
    };
    vec![rng.below(3) as u8; len]
}

/// Returns the range from the lower key to the higher one.
fn between<'k>(a: &'k [u8], b: &'k [u8]) -> Range<'k> {
    Range {
        from: Bound::Included(a.min(b)),
        to: Bound::Excluded(a.max(b)),
        ..Range::default()
    }
}

/// Puts, deletes and removes entries of a table, in the transaction and in the map. Some are put as they were.
pub fn change_entries(txn: &mut WriteTxn, table: TableId, map: &mut Map, rng: &mut Rng) {
    let some = |map: &Map, rng: &mut Rng| match map.len() {
        0 => key(rng),
        n => map.keys().nth(rng.index(n)).expect("a key").clone(),
    };
    match rng.below(8) {
        0 => {
            let (a, b) = (some(map, rng), some(map, rng));
            let range = between(&a, &b);
            txn.delete_range(table, &range).expect("delete a range");
            map.retain(|key, _| !std::ops::RangeBounds::contains(&(range.from, range.to), key.as_slice()));
        }
        1 => {
            for (key, value) in map.iter().take(rng.index(400)) {
                txn.put(table, key, value, PutMode::Set).expect("put it again");
            }
        }
        2 => {
            for _ in 0..rng.index(60) {
                let key = some(map, rng);
                assert_eq!(txn.delete(table, &key).expect("delete"), map.remove(&key).is_some());
            }
        }
        3 if rng.percent(20) => {
            match rng.percent(50) {
                true => txn.table_clear(table).expect("clear"),
                false => drop(txn.delete_range(table, &Range::default()).expect("delete everything")),
            }
            map.clear();
        }
        _ => {
            for _ in 0..rng.index(200) {
                let (key, value) = (key(rng), value(rng));
                txn.put(table, &key, &value, PutMode::Set).expect("put");
                map.insert(key, value);
            }
        }
    }
}
