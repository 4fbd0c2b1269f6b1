//! Differences of trees against those of the maps that the trees hold, and the pages that are read for them.

use super::{ChangeCounts, ChangeKind, SideError, TreeDifference, TreePair};
use crate::error::{Error, Result};
use crate::ids::{PageNo, PageRef};
use crate::page::branch::Branch;
use crate::page::chain::Chain;
use crate::page::leaf::Stored;
use crate::page::{PageSource, Prefetch, Ptr, Root};
use crate::tree::read::cursor::TreeView;
use crate::tree::read::limits::Limits;
use crate::tree::read::read_test::limits;
use crate::tree::testing::{key, model, Builder, Model, Rnd, Store, KINDS};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::ops::Bound;

/// Pages of a store, with a note of those that were read, and one that is damaged.
struct Reading {
    store: &'static Store,
    read: RefCell<BTreeSet<PageNo>>,
    bad: Cell<Option<PageNo>>,
}

impl Reading {
    fn of(builder: &Builder) -> Reading {
        Reading {
            store: builder.pages(),
            read: RefCell::default(),
            bad: Cell::new(None),
        }
    }
}

impl Prefetch for Reading {
    fn page_size(&self) -> usize {
        self.store.page_size()
    }
}

impl PageSource<'static> for Reading {
    fn page(&self, ptr: &Ptr) -> Result<&'static [u8]> {
        let number = ptr.page.number();
        self.read.borrow_mut().insert(number);
        match self.bad.get() == Some(number) {
            true => Err(Error::corrupt(ptr.page, "damaged for a test")),
            false => self.store.page(ptr),
        }
    }
    fn piece(&self, page: PageNo, len: usize, checksum: u32) -> Result<&'static [u8]> {
        self.store.piece(page, len, checksum)
    }
    fn raw(&self, page: PageNo, len: u64) -> Result<&'static [u8]> {
        self.store.raw(page, len)
    }
}

/// Two states, each as a tree and as the map that the tree holds.
struct States {
    roots: [Root; 2],
    models: [Model; 2],
    sources: [Reading; 2],
}

type Change = (Vec<u8>, ChangeKind);

impl States {
    fn new(builder: &Builder, before: (Root, Model), after: (Root, Model)) -> States {
        States {
            roots: [before.0, after.0],
            models: [before.1, after.1],
            sources: [Reading::of(builder), Reading::of(builder)],
        }
    }

    fn trees(&self) -> TreePair<'_, Reading> {
        let [before, after] = [0, 1].map(|at| TreeView {
            source: &self.sources[at],
            root: &self.roots[at],
            version: 1,
        });
        TreePair { before, after }
    }

    /// The changes by the maps.
    fn expected(&self, limits: &Limits) -> Vec<Change> {
        let [before, after] = &self.models;
        let keys: BTreeSet<&Vec<u8>> = before.keys().chain(after.keys()).collect();
        let inside = keys.into_iter().filter(|key| limits.contains(key));
        let changes = inside.filter_map(|key| {
            let kind = match (before.get(key), after.get(key)) {
                (None, _) => ChangeKind::Added,
                (_, None) => ChangeKind::Removed,
                (was, is) if was != is => ChangeKind::Changed,
                _ => return None,
            };
            Some((key.clone(), kind))
        });
        changes.collect()
    }

    /// Compares all that a difference answers with the maps.
    fn check(&self, limits: &Limits) {
        let t = self.trees();
        let mut want = self.expected(limits);
        let counts = TreeDifference::count(limits.clone(), &t).unwrap();
        let many = |kind| want.iter().filter(|change| change.1 == kind).count() as u64;
        let counted = ChangeCounts {
            added: many(ChangeKind::Added),
            removed: many(ChangeKind::Removed),
            changed: many(ChangeKind::Changed),
        };
        assert_eq!(counts, counted, "{limits:?}");
        for back in [false, true] {
            let mut difference = TreeDifference::new(limits.clone(), back);
            let mut got = Vec::new();
            while let Some(kind) = difference.next(&t).unwrap() {
                let key = difference.key().to_vec();
                let (before, after) = difference.values(&t).unwrap();
                let values = [(before, 0), (after, 1)].map(|(value, at)| value.map(|v| self.whole(v, at)));
                let maps = [0, 1].map(|at| self.models[at].get(&key).cloned());
                assert_eq!(values, maps, "{key:?}");
                if key.len() % 3 == 0 {
                    difference.give_again();
                    assert_eq!(difference.next(&t).unwrap(), Some(kind));
                    assert_eq!(difference.key(), key);
                }
                got.push((key, kind));
            }
            assert_eq!(difference.next(&t).unwrap(), None, "it stays at its end");
            assert_eq!(got, want, "back: {back}, {limits:?}");
            want.reverse();
        }
    }

    fn whole(&self, stored: Stored<'static>, at: usize) -> Vec<u8> {
        let source = &self.sources[at];
        match stored {
            Stored::Inline(bytes) => bytes.to_vec(),
            Stored::Chain(bytes) => {
                let chain = Chain::decode(bytes, source.page_size()).unwrap();
                chain.in_place(source).unwrap().unwrap().to_vec()
            }
        }
    }

    /// The pages of one tree that the other does not have.
    fn pages_of_one(&self, at: usize) -> BTreeSet<PageNo> {
        let pages = |at: usize| {
            let mut found = Vec::new();
            every_page(self.sources[at].store, &self.roots[at], &mut |ptr, _| found.push(*ptr));
            found
        };
        let other: BTreeSet<u64> = pages(1 - at).iter().map(|ptr| ptr.page.to_bits()).collect();
        let own = pages(at).into_iter().map(|ptr| ptr.page);
        let own = own.filter(|page| !other.contains(&page.to_bits()));
        own.map(PageRef::number).collect()
    }

    fn read(&self, at: usize) -> BTreeSet<PageNo> {
        self.sources[at].read.take()
    }
}

/// Calls `visit` with the pointer to each page of a tree, and its level.
fn every_page(store: &'static Store, root: &Root, visit: &mut dyn FnMut(&Ptr, u8)) {
    let mut open = Vec::from_iter((root.height > 0).then_some((root.ptr, root.height)));
    while let Some((ptr, level)) = open.pop() {
        visit(&ptr, level);
        if level > 1 {
            let branch = Branch::of(store.page(&ptr).unwrap(), ptr.page, level).unwrap();
            open.extend((0..branch.len()).map(|i| (branch.ptr(i), level - 1)));
        }
    }
}

/// Makes a commit of some kind, in the tree and in the map.
fn change(builder: &mut Builder, (root, mut map): (Root, Model), kind: u32, rnd: &mut Rnd) -> (Root, Model) {
    let keys: Vec<Vec<u8>> = map.keys().cloned().collect();
    let some = |rnd: &mut Rnd| keys.get(rnd.below(keys.len().max(1) as u64) as usize).cloned();
    match rnd.below(6) {
        // A range goes, which may be most of the tree.
        0 => {
            let (Some(from), Some(to)) = (some(rnd), some(rnd)) else {
                return (root, map);
            };
            let (from, to) = (from.clone().min(to.clone()), from.max(to));
            let root = builder.commit_removal(root, &from, &to);
            map.retain(|key, _| *key < from || *key >= to);
            (root, map)
        }
        // Pages move: values are written again as they were, long ones to other pages.
        1 => {
            let n = rnd.below(keys.len() as u64 + 1) as usize;
            let root = builder.commit(root, map.iter().take(n).map(|(key, value)| (key, Some(value))));
            (root, map)
        }
        2 => {
            let gone: BTreeSet<Vec<u8>> = (0..rnd.below(60)).filter_map(|_| some(rnd)).collect();
            let root = builder.commit(root, gone.iter().map(|key| (key, None)));
            map.retain(|key, _| !gone.contains(key));
            (root, map)
        }
        // Entries come beside each other, so that leaves split.
        3 => {
            let Some(beside) = some(rnd) else {
                return (root, map);
            };
            let new = (0..rnd.below(120) as u8).map(|i| ([&beside[..], &[i]].concat(), vec![i; 40]));
            let new: Model = new.collect();
            let root = builder.commit(root, new.iter().map(|(key, value)| (key, Some(value))));
            map.extend(new);
            (root, map)
        }
        _ => {
            let n = rnd.below(80) as usize;
            let new = model(kind, n, rnd);
            let root = builder.commit(root, new.iter().map(|(key, value)| (key, Some(value))));
            map.extend(new);
            (root, map)
        }
    }
}

fn history(kind: u32, n: usize, seed: u64) {
    let mut rnd = Rnd(seed);
    let mut builder = Builder::new(4096);
    let first = model(kind, n, &mut rnd);
    let root = builder.build(&first, &mut rnd);
    let mut commits = vec![(Root::default(), Model::new()), (root, first)];
    for _ in 0..1 + rnd.below(5) {
        let last = commits.last().cloned().unwrap();
        commits.push(change(&mut builder, last, kind, &mut rnd));
    }
    for (at, before) in commits.iter().enumerate() {
        for after in &commits[at..] {
            let states = States::new(&builder, before.clone(), after.clone());
            states.check(&Limits::ALL);
            let mut probes: Vec<Vec<u8>> = states.models.iter().flat_map(|m| m.keys().cloned()).collect();
            probes.extend((0..5).map(|_| key(kind, &mut rnd)));
            for _ in 0..4 {
                states.check(&limits(&probes, &mut rnd));
            }
            let back = States::new(&builder, after.clone(), before.clone());
            back.check(&Limits::ALL);
        }
    }
}

#[test]
fn the_difference_of_two_trees_is_that_of_their_maps() {
    for kind in 0..KINDS {
        for n in [0, 1, 40, 400] {
            for round in 0..4 {
                history(kind, n, 1 + 1000 * round + 31 * n as u64 + u64::from(kind));
            }
        }
    }
}

/// A tree of several hundred leaves with keys that are spread evenly.
fn large(builder: &mut Builder, rnd: &mut Rnd) -> (Root, Model) {
    let map: Model = (0..30_000).map(|_| (key(2, rnd), vec![7; 50])).collect();
    let root = builder.commit(Root::default(), map.iter().map(|(key, value)| (key, Some(value))));
    (root, map)
}

/// Changes `percent` of the entries at random: `what` is put, or deletes if it is `None`. New keys if `new`.
fn at_random(
    builder: &mut Builder,
    (root, map): &(Root, Model),
    percent: u64,
    (new, what): (bool, Option<Vec<u8>>),
    rnd: &mut Rnd,
) -> (Root, Model) {
    let chosen: BTreeSet<Vec<u8>> = match new {
        true => (0..map.len() as u64 * percent / 100).map(|_| key(2, rnd)).collect(),
        false => map.keys().filter(|_| rnd.below(100) < percent).cloned().collect(),
    };
    let root = builder.commit(*root, chosen.iter().map(|key| (key, what.as_ref())));
    let mut map = map.clone();
    for key in chosen {
        match &what {
            Some(value) => map.insert(key, value.clone()),
            None => map.remove(&key),
        };
    }
    (root, map)
}

#[test]
fn only_pages_that_differ_are_read() {
    let mut rnd = Rnd(5);
    let mut builder = Builder::new(4096);
    let before = large(&mut builder, &mut rnd);
    let (put, replaced) = (Some(vec![8; 50]), Some(vec![9; 50]));
    for (percent, new, what) in [
        (0, false, None),
        (1, false, None),
        (20, false, None),
        (90, false, None),
        (1, true, put.clone()),
        (30, true, put),
        (1, false, replaced.clone()),
        (20, false, replaced),
    ] {
        let after = at_random(&mut builder, &before, percent, (new, what), &mut rnd);
        let states = States::new(&builder, before.clone(), after);
        let differing = [0, 1].map(|at| states.pages_of_one(at));
        for back in [false, true] {
            let mut difference = TreeDifference::new(Limits::ALL, back);
            while difference.next(&states.trees()).unwrap().is_some() {}
            for (at, differing) in differing.iter().enumerate() {
                let read = states.read(at);
                let told = format!("{percent} % new: {new}, back: {back}, side {at}");
                assert!(differing.is_subset(&read), "{told}: a page that differs was not read");
                let most = differing.len() + differing.len() / 50;
                assert!(
                    read.len() <= most,
                    "{told}: {} differ, {} read",
                    differing.len(),
                    read.len()
                );
            }
        }
    }
}

#[test]
fn what_only_one_side_has_is_counted_unread() {
    let mut rnd = Rnd(6);
    let mut builder = Builder::new(4096);
    let whole = large(&mut builder, &mut rnd);
    let empty = (Root::default(), Model::new());
    for (before, after) in [(empty.clone(), whole.clone()), (whole.clone(), empty)] {
        let states = States::new(&builder, before, after);
        let counts = TreeDifference::count(Limits::ALL, &states.trees()).unwrap();
        assert_eq!(counts.added + counts.removed, 30_000);
        assert!(states.read(0).is_empty() && states.read(1).is_empty());
    }
    let keys: Vec<&Vec<u8>> = whole.1.keys().collect();
    let (from, to) = (keys[3_000].clone(), keys[27_000].clone());
    let root = builder.commit_removal(whole.0, &from, &to);
    let mut rest = whole.1.clone();
    rest.retain(|key, _| *key < from || *key >= to);
    let states = States::new(&builder, whole.clone(), (root, rest));
    let counts = TreeDifference::count(Limits::ALL, &states.trees()).unwrap();
    assert_eq!((counts.added, counts.removed, counts.changed), (0, 24_000, 0));
    // The pages at the two seams, and at most as many again.
    let most = 4 * usize::from(whole.0.height);
    let read = [states.read(0).len(), states.read(1).len()];
    assert!(read[0] <= most && read[1] <= most, "{read:?} pages were read");
    // A range that ends within what was removed is counted by the pointers as well.
    let range = Limits::new(Bound::Included(keys[1_000]), Bound::Excluded(keys[20_000]), None).unwrap();
    let counts = TreeDifference::count(range, &states.trees()).unwrap();
    assert_eq!((counts.added, counts.removed, counts.changed), (0, 17_000, 0));
    let read = states.read(0).len();
    assert!(read <= 2 * most, "{read} pages were read for a range");
}

#[test]
fn damage_in_equal_pages_is_passed_over_and_in_others_it_is_met_again_and_again() {
    let mut rnd = Rnd(7);
    let mut builder = Builder::new(4096);
    let before = large(&mut builder, &mut rnd);
    let after = at_random(&mut builder, &before, 1, (false, Some(vec![9; 50])), &mut rnd);
    let states = States::new(&builder, before, after);
    let want = states.expected(&Limits::ALL);
    for at in [0, 1] {
        let differing = states.pages_of_one(at);
        let mut pages = Vec::new();
        every_page(builder.pages(), &states.roots[at], &mut |ptr, _| {
            pages.push(ptr.page.number());
        });
        for bad in pages
            .iter()
            .step_by(7)
            .copied()
            .chain([states.roots[at].ptr.page.number()])
        {
            states.sources[at].bad.set(Some(bad));
            let mut difference = TreeDifference::new(Limits::ALL, false);
            let mut got = Vec::new();
            let error = loop {
                match difference.next(&states.trees()) {
                    Ok(Some(kind)) => got.push((difference.key().to_vec(), kind)),
                    Ok(None) => break None,
                    Err(error) => break Some(error),
                }
            };
            assert!(want.starts_with(&got), "what comes before the damage");
            assert_eq!(error.is_some(), differing.contains(&bad), "page {bad}");
            if error.is_some() {
                for _ in 0..2 {
                    let SideError { side, error } = difference.next(&states.trees()).unwrap_err();
                    assert_eq!(side as usize, at);
                    let told = error.to_string();
                    assert!(told.contains("damaged for a test"), "{told}");
                }
                // Nothing is left out when the page can be read again.
                states.sources[at].bad.set(None);
                while let Some(kind) = difference.next(&states.trees()).unwrap() {
                    got.push((difference.key().to_vec(), kind));
                }
            }
            assert!(got == want, "page {bad}");
        }
        states.sources[at].bad.set(None);
    }
}

#[test]
fn a_difference_goes_on_behind_its_last_key_when_a_tree_has_changed() {
    for back in [false, true] {
        let mut rnd = Rnd(8);
        let mut builder = Builder::new(4096);
        let first = model(0, 500, &mut rnd);
        let before = (builder.build(&first, &mut rnd), first);
        let mut after = before.clone();
        for _ in 0..3 {
            after = change(&mut builder, after, 0, &mut rnd);
        }
        let mut states = States::new(&builder, before, after);
        let mut difference = TreeDifference::new(Limits::ALL, back);
        let mut last: Option<Vec<u8>> = None;
        for round in 0..12 {
            let mut want = states.expected(&Limits::ALL);
            want.retain(|(key, _)| {
                last.as_ref()
                    .is_none_or(|last| if back { key < last } else { key > last })
            });
            if back {
                want.reverse();
            }
            for want in want.into_iter().take(7) {
                let kind = difference.next(&states.trees()).unwrap();
                assert_eq!(kind.map(|kind| (difference.key().to_vec(), kind)), Some(want));
                last = Some(difference.key().to_vec());
            }
            let side = round % 2;
            let state = (states.roots[side], states.models[side].clone());
            (states.roots[side], states.models[side]) = change(&mut builder, state, 0, &mut rnd);
        }
        assert!(last.is_some());
    }
}
