//! Search, position, counts, statistics and check against a `BTreeMap`, on sound trees and on damaged ones.

use super::check::{Checker, Reached};
use super::get_many::{get_few, IN_FLIGHT};
use super::limits::Limits;
use super::path::Position;
use super::{count, lookup, stat};
use crate::ids::PageNo;
use crate::page::branch::Branch;
use crate::page::chain::Chain;
use crate::page::header;
use crate::page::key::{KeyBuf, LeafShape};
use crate::page::layout::record::LENGTHS;
use crate::page::layout::{branch, header as field, leaf, HEADER, HEADS};
use crate::page::leaf::{Leaf, Stored};
use crate::page::{Extent, PageSource, Ptr, Root};
use crate::tree::testing::{key, model, Builder, Frozen, Model, Rnd, KINDS, TABLE};
use std::ops::Bound;

fn whole(source: &&Frozen, stored: Stored<'_>) -> Vec<u8> {
    match stored {
        Stored::Inline(b) => b.to_vec(),
        Stored::Chain(d) => {
            let chain = Chain::decode(d, source.size).unwrap();
            chain.in_place(source).unwrap().unwrap().to_vec()
        }
    }
}

fn faults(frozen: &Frozen, root: &Root) -> Vec<(PageNo, String)> {
    let mut faults = Vec::new();
    let mut on_fault = |page, _, what: &str| {
        faults.push((page, what.to_string()));
        faults.len() < 100
    };
    let mut on_run = |_, _| {};
    Checker::new(true, &mut on_fault, &mut on_run).tree(&frozen, root, TABLE);
    faults
}

impl Position {
    /// Puts the key of the entry into `key` and answers its value.
    fn entry<'s, S: PageSource<'s> + ?Sized>(&self, source: &S, key: &mut KeyBuf) -> crate::Result<Stored<'s>> {
        let leaf = self.leaf(source)?;
        match LeafShape::of(&leaf, key).unwrap().entry(leaf.bytes(), self.index, key) {
            Some(value) => Ok(Stored::Inline(value)),
            None => leaf.entry(self.index, source, key),
        }
    }
}

/// The values of many keys.
fn get_many<'s, S: PageSource<'s> + ?Sized>(
    source: &S,
    root: &Root,
    keys: &[&[u8]],
    out: &mut Vec<Option<Stored<'s>>>,
) -> crate::Result<()> {
    out.reserve(keys.len());
    for keys in keys.chunks(IN_FLIGHT) {
        get_few(source, root, keys, |found| {
            out.push(found);
            Ok(())
        })?;
    }
    Ok(())
}

/// Keys to ask for: those of the model, their neighbours, and others.
fn probes(kind: u32, model: &Model, rnd: &mut Rnd) -> Vec<Vec<u8>> {
    let mut probes = vec![Vec::new(), vec![255; 40]];
    for k in model.keys() {
        let mut near = k.clone();
        if rnd.below(3) == 0 {
            near.push(0);
        } else if rnd.below(2) == 0 {
            near.pop();
        } else if let Some(last) = near.last_mut() {
            *last = last.wrapping_add(rnd.below(3) as u8);
        }
        probes.push(k.clone());
        probes.push(near);
    }
    probes.extend((0..100).map(|_| key(kind, rnd)));
    probes
}

fn agree(kind: u32, n: usize, size: usize, seed: u64) -> u8 {
    let mut rnd = Rnd(seed);
    let model = model(kind, n, &mut rnd);
    let mut builder = Builder::new(size);
    let root = builder.build(&model, &mut rnd);
    let frozen = builder.freeze();
    let source = &frozen;
    assert_eq!(faults(&frozen, &root), []);
    let sorted: Vec<(&Vec<u8>, &Vec<u8>)> = model.iter().collect();
    let probes = probes(kind, &model, &mut rnd);
    let mut position = Position::new();
    for p in &probes {
        let want = model.get(p);
        let got = lookup::get(&source, &root, p).unwrap().map(|s| whole(&source, s));
        assert_eq!(got.as_ref(), want, "{p:?}");
        assert_eq!(lookup::contains(&source, &root, p).unwrap(), want.is_some());
        let rank = sorted.partition_point(|e| e.0 < p);
        assert_eq!(
            count::rank_of(&source, &root, p).unwrap(),
            count::Rank {
                before: rank as u64,
                found: want.is_some()
            }
        );
        assert_eq!(position.seek(&source, &root, p).unwrap(), want.is_some());
        expect(&position, &source, sorted.get(rank));
        if rank < sorted.len() {
            assert_eq!(position.rank(&source).unwrap(), rank as u64);
        }
        for or_equal in [false, true] {
            let at = rank + (or_equal && want.is_some()) as usize;
            assert_eq!(position.seek_before(&source, &root, p, or_equal).unwrap(), at > 0);
            expect(&position, &source, at.checked_sub(1).map(|i| &sorted[i]));
        }
    }
    let refs: Vec<&[u8]> = probes.iter().map(|p| p.as_slice()).collect();
    let mut out = Vec::new();
    get_many(&source, &root, &refs, &mut out).unwrap();
    assert_eq!(out.len(), refs.len());
    for (p, got) in probes.iter().zip(out) {
        assert_eq!(got.map(|s| whole(&source, s)).as_ref(), model.get(p));
    }
    scans(&source, &root, &sorted);
    ranges(&source, &root, &sorted, &probes, &mut rnd);
    let shape = stat::shape(&source, &root, true).unwrap();
    assert_eq!(shape.entries, model.len() as u64);
    let (mut tree, mut chains) = (0, 0);
    let mut on_run = |extent: Extent, what: Reached| match what {
        Reached::Tree => tree += extent.run.pages,
        Reached::Chain => chains += extent.run.pages,
    };
    Checker::new(true, &mut |_, _, _| true, &mut on_run).tree(&source, &root, TABLE);
    assert_eq!(
        (shape.branch_pages + shape.leaf_pages, shape.overflow_pages),
        (tree, chains)
    );
    let levels: Vec<_> = (1..=root.height)
        .map(|l| stat::level(&source, &root, l).unwrap())
        .collect();
    assert_eq!(levels.iter().map(|l| l.pages).sum::<u64>(), tree);
    assert_eq!(levels.iter().map(|l| l.used).sum::<u64>(), shape.used);
    assert_eq!(levels.first().map_or(0, |l| l.items), model.len() as u64);
    for (below, above) in levels.iter().zip(levels.iter().skip(1)) {
        assert_eq!(below.pages, above.items);
    }
    let branches = stat::shape(&source, &root, false).unwrap();
    assert_eq!(
        (branches.leaf_pages, branches.branch_pages),
        (shape.leaf_pages, shape.branch_pages)
    );
    root.height
}

fn expect(position: &Position, source: &&Frozen, want: Option<&(&Vec<u8>, &Vec<u8>)>) {
    assert_eq!(position.is_valid(), want.is_some());
    if let Some((k, v)) = want {
        let (mut key, mut buf) = (Vec::new(), KeyBuf::new());
        position.key(source, &mut key).unwrap();
        assert_eq!(&key, *k);
        let value = position.entry(source, &mut buf).unwrap();
        assert_eq!(buf.as_slice(), k.as_slice());
        assert_eq!(position.value(source).unwrap(), value);
        assert_eq!(&whole(source, value), *v);
    }
}

fn scans(source: &&Frozen, root: &Root, sorted: &[(&Vec<u8>, &Vec<u8>)]) {
    let (mut position, mut key) = (Position::new(), KeyBuf::new());
    let mut more = position.go_to_first(source, root).unwrap();
    for (k, v) in sorted {
        assert!(more);
        let value = position.entry(source, &mut key).unwrap();
        assert_eq!((key.as_slice(), &whole(source, value)), (k.as_slice(), *v));
        more = position.next(source).unwrap();
    }
    assert!(!more && !position.is_valid() && !position.next(source).unwrap());
    more = position.go_to_last(source, root).unwrap();
    for (k, _) in sorted.iter().rev() {
        assert!(more);
        position.entry(source, &mut key).unwrap();
        assert_eq!(key.as_slice(), k.as_slice());
        more = position.prev(source).unwrap();
    }
    assert!(!more && !position.is_valid() && !position.prev(source).unwrap());
}

fn ranges(source: &&Frozen, root: &Root, sorted: &[(&Vec<u8>, &Vec<u8>)], probes: &[Vec<u8>], rnd: &mut Rnd) {
    let mut position = Position::new();
    for n in (0..200).map(|_| rnd.below(sorted.len() as u64 + 2)) {
        assert_eq!(position.go_to_rank(source, root, n).unwrap(), n < sorted.len() as u64);
        expect(&position, source, sorted.get(n as usize));
    }
    for _ in 0..200 {
        let limits = limits(probes, rnd);
        let want = sorted.iter().filter(|e| limits.contains(e.0)).count();
        assert_eq!(count::count(source, root, &limits).unwrap(), want as u64, "{limits:?}");
    }
}

/// A random range; also empty and inverted ones.
pub(super) fn limits(probes: &[Vec<u8>], rnd: &mut Rnd) -> Limits {
    let any = |rnd: &mut Rnd| {
        let k = probes[rnd.below(probes.len() as u64) as usize].as_slice();
        match rnd.below(4) {
            0 | 1 => Bound::Unbounded,
            2 => Bound::Included(k),
            _ => Bound::Excluded(k),
        }
    };
    let (from, to) = (any(rnd), any(rnd));
    let prefix = &probes[rnd.below(probes.len() as u64) as usize];
    let len = prefix.len().min(rnd.below(12) as usize);
    Limits::new(from, to, (rnd.below(4) == 0).then_some(&prefix[..len])).unwrap()
}

#[test]
fn reading_equals_a_map() {
    let mut heights = Vec::new();
    for kind in 0..KINDS {
        for n in [0, 1, 2, 40, 2500] {
            heights.push(agree(kind, n, 4096, 1000 + n as u64 * 31 + kind as u64));
        }
    }
    agree(2, 9000, 4096, 77);
    heights.push(agree(5, 9000, 4096, 79));
    agree(0, 3000, 65536, 78);
    heights.sort();
    assert!(heights.contains(&0) && *heights.last().unwrap() >= 4, "{heights:?}");
}

/// A tree of two or more levels and the pages of its left edge, from the root to a leaf.
fn specimen(kind: u32) -> (Frozen, Root, Vec<Ptr>) {
    let mut rnd = Rnd(5 + kind as u64);
    let mut builder = Builder::new(4096);
    let root = builder.build(&model(kind, 1500, &mut rnd), &mut rnd);
    let frozen = builder.freeze();
    let mut path = vec![root.ptr];
    for _ in 1..root.height {
        let page = (&&frozen).page(path.last().unwrap()).unwrap();
        path.push(Branch::new(page, path[0].page).unwrap().ptr(1));
    }
    (frozen, root, path)
}

#[test]
fn check_finds_each_kind_of_damage() {
    type Damage = fn(&mut Frozen, &[Ptr]);
    let (_, _, path) = specimen(2);
    assert!(path.len() >= 2);
    let table: [(&str, Damage); 16] = [
        ("another table", |f, p| {
            f.page_mut(p[1].page.number())[field::TABLE] ^= 1
        }),
        ("another level", |f, p| {
            f.page_mut(p[1].page.number())[field::LEVEL] ^= 4
        }),
        ("unknown flags", |f, p| {
            f.page_mut(p[0].page.number())[field::FLAGS] |= 8
        }),
        ("not a branch", |f, p| f.page_mut(p[0].page.number())[field::KIND] = 1),
        ("not a leaf", |f, p| {
            f.page_mut(p[p.len() - 1].page.number())[field::KIND] = 9
        }),
        ("wrong fingerprint", |f, p| {
            let page = f.page_mut(p[p.len() - 1].page.number());
            let n = header::count(page);
            page[leaf::FINGERPRINTS.at(n, 0)] ^= 1;
        }),
        ("out of order", |f, p| {
            let page = f.page_mut(p[p.len() - 1].page.number());
            for i in 0..4 {
                page.swap(HEADS.at(0, 0) + i, HEADS.at(0, 1) + i);
            }
        }),
        ("outside its parent's bounds", |f, p| {
            f.page_mut(p[p.len() - 1].page.number())[HEADS.at(0, 0)..HEADS.at(0, 1)].fill(0);
        }),
        ("overlap", |f, p| {
            let page = f.page_mut(p[p.len() - 1].page.number());
            let at = leaf::OFFSETS.at(header::count(page), 0);
            let (a, b) = (page[at + 2], page[at + 3]);
            (page[at], page[at + 1]) = (a, b);
        }),
        ("heap and garbage", |f, p| {
            let page = f.page_mut(p[p.len() - 1].page.number());
            header::set_garbage(page, header::garbage(page) + 1);
        }),
        ("counts of entries disagree", |f, p| {
            let page = f.page_mut(p[0].page.number());
            page[branch::ENTRIES.at(header::count(page), 0)] ^= 1;
        }),
        ("empty leaf", |f, p| {
            let page = f.page_mut(p[p.len() - 1].page.number());
            header::set_count(page, 0);
        }),
        ("younger than its parent", |f, p| {
            let page = f.page_mut(p[0].page.number());
            page[branch::BIRTHS.at(header::count(page), 0) + 3] ^= 1;
        }),
        ("reached twice", |f, p| {
            let page = f.page_mut(p[0].page.number());
            let n = header::count(page);
            page.copy_within(branch::PAGES.at(n, 0)..branch::PAGES.at(n, 1), branch::PAGES.at(n, 1));
        }),
        ("outside", |f, p| {
            let page = f.page_mut(p[0].page.number());
            page[branch::PAGES.at(header::count(page), 0) + 3] ^= 1;
        }),
        ("separators out of order", |f, p| {
            let page = f.page_mut(p[p.len() - 2].page.number());
            (0..4).for_each(|i| page.swap(HEADS.at(0, 1) + i, HEADS.at(0, 2) + i));
        }),
    ];
    for (what, damage) in table {
        let (mut frozen, root, path) = specimen(2);
        damage(&mut frozen, &path);
        let found = faults(&frozen, &root);
        assert!(found.iter().any(|f| f.1.contains(what)), "{what}: {found:?}");
    }
}

#[test]
fn check_finds_damage_in_long_keys_and_values() {
    for (kind, want) in [(5, "length of a long key"), (3, "piece differs")] {
        let (mut frozen, root, _) = specimen(kind);
        let mut runs = Vec::new();
        let mut on_run = |extent: Extent, what| runs.push((extent.run.first, what));
        Checker::new(true, &mut |_, _, _| true, &mut on_run).tree(&&frozen, &root, TABLE);
        let page = runs.iter().find(|r| r.1 == Reached::Chain).unwrap().0;
        frozen.page_mut(page)[1] ^= 1;
        assert!(faults(&frozen, &root).iter().any(|f| f.1.contains("piece differs")));
        frozen.page_mut(page)[1] ^= 1;
        if kind == 5 {
            let long = runs.iter().find_map(|(page, what)| {
                let bytes = (&&frozen).raw(*page, 4096).unwrap();
                let leaf = (*what == Reached::Tree).then(|| Leaf::new(bytes, (*page).into()).ok())??;
                let i = (0..leaf.len()).find(|i| leaf.slotted_suffix(*i).is_ok_and(|s| s.long))?;
                let suffix = leaf.slotted_suffix(i).unwrap();
                let at = leaf.record(i).unwrap().at;
                Some((*page, at + LENGTHS + suffix.inline_remainder().len()))
            });
            let (page, at) = long.unwrap();
            frozen.page_mut(page)[at + 3] = 0x7F;
            assert!(faults(&frozen, &root).iter().any(|f| f.1.contains(want)));
        }
    }
}

#[test]
fn a_page_with_a_wrong_prefix_is_found() {
    let (mut frozen, root, path) = specimen(3);
    let page = frozen.page_mut(path[path.len() - 1].page.number());
    assert!(header::prefix_len(page) > 0);
    let first = page.len() - header::prefix_len(page);
    page[first] ^= 1;
    assert!(faults(&frozen, &root)
        .iter()
        .any(|f| f.1.contains("without the page's prefix")));
}

#[test]
fn damaged_trees_never_panic_or_hang() {
    let rounds = 300;
    for kind in 0..KINDS {
        let mut rnd = Rnd(99 + kind as u64);
        let (good, root, path) = specimen(kind);
        let mut pages = Vec::new();
        let mut on_run = |extent: Extent, what| pages.extend((what == Reached::Tree).then_some(extent.run.first));
        Checker::new(false, &mut |_, _, _| true, &mut on_run).tree(&&good, &root, TABLE);
        pages.extend(path.iter().map(|p| p.page.number()));
        let keys: Vec<Vec<u8>> = (0..40).map(|_| key(kind, &mut rnd)).collect();
        let refs: Vec<&[u8]> = keys.iter().map(|k| k.as_slice()).collect();
        for _ in 0..rounds {
            let mut frozen = good.clone();
            for _ in 0..1 + rnd.below(30) {
                let page = frozen.page_mut(pages[rnd.below(pages.len() as u64) as usize]);
                let within = [HEADER as u64, 300, 4096][rnd.below(3) as usize];
                page[rnd.below(within) as usize] = [0, 255, rnd.below(256) as u8][rnd.below(3) as usize];
            }
            let source = &frozen;
            faults(&frozen, &root);
            let (mut position, mut buf) = (Position::new(), KeyBuf::new());
            for k in &keys {
                let _ = lookup::get(&source, &root, k);
                let _ = count::rank_of(&source, &root, k);
                if position.seek(&source, &root, k).is_ok() && position.is_valid() {
                    let _ = position.entry(&source, &mut buf);
                    let _ = position.rank(&source);
                }
                let _ = position.seek_before(&source, &root, k, false);
                let _ = position.go_to_rank(&source, &root, rnd.below(2000));
            }
            let _ = get_many(&source, &root, &refs, &mut Vec::new());
            let _ = stat::shape(&source, &root, true);
            let _ = position.go_to_first(&source, &root);
            for _ in 0..3000 {
                let _ = position.entry(&source, &mut buf);
                if !position.is_valid() || position.next(&source).is_err() {
                    break;
                }
            }
            let _ = position.go_to_last(&source, &root);
            for _ in 0..3000 {
                if !position.is_valid() || position.prev(&source).is_err() {
                    break;
                }
            }
        }
    }
    let tall = Root {
        height: 200,
        ..Root::default()
    };
    let (good, ..) = specimen(1);
    assert!(lookup::get(&&good, &tall, b"x").is_err() && Position::new().go_to_first(&&good, &tall).is_err());
    assert!(!faults(&good, &tall).is_empty());
}

/// Not a test: figures. `cargo test --release --lib read_figures -- --ignored --nocapture`
#[test]
#[ignore]
fn read_figures() {
    let n = 1_000_000u64;
    let mut rnd = Rnd(3);
    for (name, klen, vlen) in [("24 B + 150 B", 24, 150), ("8 B + 8 B", 8, 8)] {
        let make = |i: u64| {
            let x = if klen == 8 {
                i * 3
            } else {
                i.wrapping_mul(0x9E37_79B9_7F4A_7C15)
            };
            let mut k = x.to_be_bytes().to_vec();
            k.extend(i.wrapping_mul(0xD6E8_FEB8_6659_FD93).to_le_bytes());
            k.extend(i.to_le_bytes());
            k.truncate(klen);
            k
        };
        let model: Model = (0..n).map(|i| (make(i), vec![i as u8; vlen])).collect();
        let mut builder = Builder::new(4096);
        let root = builder.commit(Root::default(), model.iter().map(|(k, v)| (k, Some(v))));
        let frozen = builder.freeze();
        let source = &frozen;
        let keys: Vec<Vec<u8>> = (0..400_000).map(|_| make(rnd.below(n))).collect();
        let refs: Vec<&[u8]> = keys.iter().map(|k| k.as_slice()).collect();
        let time = |what: &str, ops: u64, f: &mut dyn FnMut() -> u64| {
            let mut best = f64::MAX;
            let mut sum = 0;
            for _ in 0..5 {
                let start = std::time::Instant::now();
                sum = f();
                best = best.min(start.elapsed().as_nanos() as f64 / ops as f64);
            }
            println!("{name}: {what}: {best:.1} ns ({sum})");
        };
        println!("{name}: height {}, {} pages", root.height, frozen.bytes.len() / 4096);
        let m = refs.len() as u64;
        time("get", m, &mut || {
            refs.iter()
                .map(|k| lookup::get(&source, &root, k).unwrap().unwrap().bytes()[0] as u64)
                .sum()
        });
        time("get of 1000 keys over and over", m, &mut || {
            let few = refs[..1000].iter().cycle().take(m as usize);
            few.map(|k| lookup::get(&source, &root, k).unwrap().unwrap().bytes()[0] as u64)
                .sum()
        });
        let mut out = Vec::new();
        time("get_many of 16", m, &mut || {
            let mut sum = 0;
            for keys in refs.chunks(16) {
                out.clear();
                get_many(&source, &root, keys, &mut out).unwrap();
                sum += out.iter().map(|v| v.unwrap().bytes()[0] as u64).sum::<u64>();
            }
            sum
        });
        time("rank", m, &mut || {
            refs.iter().map(|k| count::rank(&source, &root, k).unwrap() & 1).sum()
        });
        let mut walker = super::cursor::TreeCursor::default();
        let t = super::cursor::TreeView {
            source: &source,
            root: &root,
            version: 0,
        };
        time("seek + 10 next", m, &mut || {
            let mut sum = 0;
            for k in &refs {
                walker.at_or_after(&t, k, true).unwrap();
                for _ in 0..10 {
                    sum += walker.value(&t).unwrap().bytes()[0] as u64;
                    if !walker.forward(&t).unwrap() {
                        break;
                    }
                }
            }
            sum
        });
        time("walker forward, key", n, &mut || {
            let mut sum = 0;
            walker.park(super::cursor::CursorState::BeforeFirst);
            while walker.forward(&t).unwrap() {
                sum += walker.key()[7] as u64;
            }
            sum
        });
        time("walker forward, key and value", n, &mut || {
            let mut sum = 0;
            walker.park(super::cursor::CursorState::BeforeFirst);
            while walker.forward(&t).unwrap() {
                sum += u64::from_le_bytes(*walker.key().first_chunk().unwrap()) & 1;
                sum += walker.value(&t).unwrap().bytes()[0] as u64;
            }
            sum
        });
        time("walker backward, key and value", n, &mut || {
            let mut sum = 0;
            walker.park(super::cursor::CursorState::AfterLast);
            while walker.backward(&t).unwrap() {
                sum += walker.key()[7] as u64;
                sum += walker.value(&t).unwrap().bytes()[0] as u64;
            }
            sum
        });
        time("take_many", n, &mut || {
            let mut sum = 0;
            walker.park(super::cursor::CursorState::BeforeFirst);
            walker
                .take_many(&t, false, u64::MAX, &mut |key, value| {
                    sum += u64::from_le_bytes(*key.first_chunk().unwrap()) & 1;
                    sum += value.bytes()[0] as u64;
                    true
                })
                .unwrap();
            sum
        });
    }
}
