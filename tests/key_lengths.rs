//! No length of keys costs more than twice what the lengths beside it cost: bytes of pages in use for each entry, over
//! the length of the keys, in ascending and in random order, with and without long prefixes that all keys share.

mod common;

use common::env_number;
use common::rng::Rng;
use kv::Result;
use kv::{Db, Options, PutMode, Reader, TableId, WriteOptions};
use std::path::Path;

/// The least number of entries of each measurement, and how many transactions put them.
const ENTRIES: usize = 240;
const COMMITS: usize = 40;
/// The least number of leaves of each: the ends of a small tree say nothing of its pages.
const LEAVES: usize = 16;
/// What the lengths beside each other may differ by: twice, and what the ends of small trees make of it.
const MOST: f64 = 2.1;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Order {
    Ascending,
    Random,
}

/// What is the same for all lengths of a row of measurements.
#[derive(Debug, Clone, Copy)]
struct Row {
    page_size: u32,
    /// Bytes that all keys share.
    shared: usize,
    value: usize,
    order: Order,
}

impl Row {
    /// Returns key `i`: the shared bytes, a number, and other bytes up to the length.
    fn key(&self, i: usize, len: usize) -> Vec<u8> {
        let mut key = vec![b's'; self.shared];
        let number = (i as u32).wrapping_mul(2_654_435_761);
        key.extend_from_slice(&number.to_be_bytes());
        let mut rng = Rng::new(i as u64 + 1);
        key.resize_with(len.max(key.len()), || rng.below(256) as u8);
        key
    }

    /// Returns the bytes of pages that each entry takes if the keys have this length.
    fn cost(&self, len: usize) -> Result<f64> {
        let options = Options {
            page_size: self.page_size,
            memory: true,
            ..Options::default()
        };
        let db = Db::open(Path::new(""), &options)?;
        let count = ENTRIES.max(LEAVES * self.page_size as usize / (len + self.value));
        let mut keys: Vec<Vec<u8>> = (0..count).map(|i| self.key(i, len)).collect();
        if self.order == Order::Ascending {
            keys.sort();
        }
        for part in keys.chunks(count / COMMITS) {
            let mut txn = db.begin_write(WriteOptions::default())?;
            for key in part {
                txn.put(TableId::MAIN, key, &vec![7; self.value], PutMode::Set)?;
            }
            txn.commit()?;
        }
        let report = db.check(true, &mut |fault| panic!("{self:?}, keys of {len}: {fault:?}"))?;
        assert_eq!(report.entries, count as u64);
        let read = db.begin_read()?;
        for key in keys.iter().step_by(7) {
            assert!(read.get(TableId::MAIN, key)?.is_some());
        }
        let stat = (&read).table_stat(TableId::MAIN)?;
        let pages = stat.leaf_pages + stat.branch_pages + stat.overflow_pages;
        Ok((pages * u64::from(self.page_size)) as f64 / count as f64)
    }

    /// Returns the lengths at which something changes: where another record less fits a leaf, where a separator or a
    /// key becomes long, where a value would leave its record.
    fn thresholds(&self) -> Vec<usize> {
        let page = self.page_size as usize;
        let mut at = vec![288, page / 8, page - 307, 16_383];
        let prefix = self.shared.min(255);
        for records in 1..=8 {
            // Header, prefix, and what each record takes beside its key.
            at.push((page - 24 - prefix) / records + prefix - 7 - self.value);
            at.push((page - 24 - prefix) / records - 11 - self.value);
        }
        at.push((page - 293) / 2 - 4 - self.value);
        at.push((page - 293) / 2 - 4 - 28);
        at.push((page - 293) / 2 - 4);
        at
    }

    /// Compares the costs of neighbours around each threshold, and of lengths all over.
    fn compare(&self, most_length: usize) -> Result<()> {
        let shortest = (self.shared + 8).max(self.page_size as usize / 128);
        let mut lengths: Vec<usize> = self.thresholds().into_iter().flat_map(|at| at - 1..=at + 1).collect();
        let mut len = shortest;
        while len <= most_length {
            lengths.extend([len, len + 1]);
            len += len / 4 + 1;
        }
        lengths.retain(|len| (shortest..=most_length).contains(len));
        lengths.sort_unstable();
        lengths.dedup();
        let mut before: Option<(usize, f64)> = None;
        for len in lengths {
            let cost = self.cost(len)?;
            if std::env::var_os("KV_COSTS").is_some() {
                println!("{self:?} {len} {cost:.0}");
            }
            // Only what lies within a hundredth is a neighbour; growth over a wider gap is no step.
            if let Some((at, then)) = before.filter(|(at, _)| len - at <= len / 100 + 1) {
                // The largest keys that a leaf keeps whole are a quarter of a page of 64 KiB, and the next one's rest
                // takes a page.
                let most = match self.page_size == 65_536 && at == 16_383 {
                    true => 4.1,
                    false => MOST,
                };
                assert!(
                    cost <= then * most && then <= cost * most,
                    "{self:?}: keys of {at} bytes take {then:.0} each, keys of {len} bytes {cost:.0}"
                );
            }
            before = Some((len, cost));
        }
        Ok(())
    }
}

fn compare_all(page_size: u32, most_length: usize) -> Result<()> {
    let thorough = env_number("KV_KEY_LENGTHS", 0) > 0;
    for shared in [0, 300, 600, 1200, 3000] {
        if page_size > 4096 && shared == 300 && !thorough {
            continue;
        }
        for value in [8, 100] {
            for order in [Order::Ascending, Order::Random] {
                // The sample has each of them, but not each with each other.
                let number = shared / 300 + value / 100 + usize::from(order == Order::Random);
                if thorough || number % 2 == 0 {
                    let row = Row {
                        page_size,
                        shared,
                        value,
                        order,
                    };
                    row.compare(most_length)?;
                }
            }
        }
    }
    Ok(())
}

#[test]
fn no_length_of_keys_costs_twice_its_neighbour() -> Result<()> {
    compare_all(4096, 8192)
}

#[test]
fn nor_in_larger_pages() -> Result<()> {
    compare_all(8192, 16_500)?;
    compare_all(65_536, 17_000)
}
