//! A tree of its own for tests: `apply` over pages in a map, beside a sorted map that has what the tree should have.
//!
//! [`TestTree::verify`] proves content, structure, counts, and that every page in use is reached once. It also proves
//! I-28 for every commit so far: the entries within the bounds of a leaf were just these when the leaf was born.

use super::apply::Apply;
use super::arena::Arena;
use super::edits::{EditLog, Op};
use super::emit::Emitter;
use super::range::KeyRange;
use super::relocation::Relocation;
use super::spot::{Edited, KeyEdit, Known, Spot};
use super::values::{is_long_key, release_value, write_chain};
use crate::error::{Error, Result};
use crate::ids::{CommitId, PageNo, PageRef, Run, TableId};
use crate::page::branch::Branch;
use crate::page::chain::Chain;
use crate::page::header;
use crate::page::layout::record::REST;
use crate::page::leaf::{Leaf, Stored};
use crate::page::leaf_build::is_value_inline;
use crate::page::suffix::KEEP;
use crate::page::{Extent, Lifetime, PageSink, PageSource, Prefetch, Ptr, Root};
use crate::tree::read::path::Position;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::Mutex;

/// Pages ever written, by number. They are leaked, which a test can afford. No number is given twice, so what was read
/// as contiguous bytes stays right, and is kept: the rests of long keys are read again and again.
struct Disk {
    size: usize,
    pages: Mutex<BTreeMap<PageNo, &'static [u8]>>,
    joined: Mutex<BTreeMap<(PageNo, u64), &'static [u8]>>,
    /// How many tree pages were read.
    reads: AtomicU64,
}

impl Prefetch for &'static Disk {
    fn page_size(&self) -> usize {
        self.size
    }
}

impl PageSource<'static> for &'static Disk {
    fn page(&self, ptr: &Ptr) -> Result<&'static [u8]> {
        self.reads.fetch_add(1, Relaxed);
        let page = self.pages.lock().unwrap().get(&ptr.page.number()).copied();
        let page = page.ok_or_else(|| Error::corrupt(ptr.page, "never written"))?;
        assert_eq!(crate::util::crc32c(page), ptr.checksum, "page {:?}", ptr.page);
        Ok(page)
    }

    fn piece(&self, page: PageNo, len: usize, checksum: u32) -> Result<&'static [u8]> {
        let bytes = self.raw(page, len as u64)?;
        assert_eq!(crate::util::crc32c(bytes), checksum);
        Ok(bytes)
    }

    fn raw(&self, page: PageNo, len: u64) -> Result<&'static [u8]> {
        let pages = self.pages.lock().unwrap();
        let one = pages.get(&page).and_then(|bytes| bytes.get(..len as usize));
        if let Some(bytes) = one {
            return Ok(bytes);
        }
        let mut joined = self.joined.lock().unwrap();
        Ok(joined.entry((page, len)).or_insert_with(|| {
            let mut out = Vec::new();
            for i in 0..len.div_ceil(self.size as u64) {
                out.extend_from_slice(pages.get(&(page + i)).expect("written"));
            }
            out.truncate(len as usize);
            out.leak()
        }))
    }
}

/// Allocates from the end, or from `holes` while there are some, and remembers which pages are in use.
struct Fake {
    disk: &'static Disk,
    birth: CommitId,
    next: PageNo,
    used: BTreeMap<PageNo, CommitId>,
    /// Free pages at the front, which only relocations make.
    holes: Run,
    /// How many of them are free together.
    hole_pages: u64,
}

impl Fake {
    fn give(&mut self, run: Run) -> Run {
        pages_of(run).for_each(|p| assert!(self.used.insert(p, self.birth).is_none()));
        run
    }
}

impl PageSink for Fake {
    fn birth(&self) -> CommitId {
        self.birth
    }
    fn take(&mut self, want: u64, _: Lifetime) -> Result<Run> {
        match self.holes.pages.min(want) {
            0 => self.take_exact(want.clamp(1, 7)),
            pages => self.take_hole(pages.min(7)).map(|hole| hole.expect("a hole")),
        }
    }
    fn take_exact(&mut self, pages: u64) -> Result<Run> {
        let run = Run::new(self.next, pages);
        self.next += pages + 1;
        Ok(self.give(run))
    }
    fn take_hole(&mut self, pages: u64) -> Result<Option<Run>> {
        let left = self.holes.pages.checked_sub(pages);
        let Some(left) = left.filter(|_| pages <= self.hole_pages) else {
            return Ok(None);
        };
        let run = Run::new(self.holes.first, pages);
        self.holes = Run::new(run.end(), left);
        Ok(Some(self.give(run)))
    }
    fn write_pages(&mut self, page: PageNo, parts: &[&[u8]], sums: &[u32]) -> Result<()> {
        for (i, (part, sum)) in parts.iter().zip(sums).enumerate() {
            assert_eq!(crate::util::crc32c(part), *sum);
            assert!(self.used.contains_key(&(page + i as u64)));
            self.disk
                .pages
                .lock()
                .unwrap()
                .insert(page + i as u64, part.to_vec().leak());
        }
        Ok(())
    }
    fn write_piece(&mut self, page: PageNo, bytes: &[u8], _: u32) -> Result<()> {
        for (i, part) in bytes.chunks(self.disk.size).enumerate() {
            let mut part = part.to_vec();
            part.resize(self.disk.size, 0);
            self.disk.pages.lock().unwrap().insert(page + i as u64, part.leak());
        }
        Ok(())
    }
    fn release(&mut self, extent: Extent) {
        let birth = Some(extent.birth);
        pages_of(extent.run).for_each(|p| assert_eq!(self.used.remove(&p), birth, "release of {p}"));
    }
}

fn pages_of(run: Run) -> impl Iterator<Item = PageNo> {
    (0..run.pages).map(move |i| run.first + i)
}

/// The pages before all others, which are free until a relocation takes them.
pub(super) const FRONT: Run = Run::new(PageNo::new(4), 1 << 20);

/// The expected content; chains by what was put.
pub(super) type Model = BTreeMap<Vec<u8>, Vec<u8>>;

struct Walk<'w> {
    disk: &'static Disk,
    arena: &'w Arena,
    reached: BTreeSet<PageNo>,
    found: Vec<(Vec<u8>, Vec<u8>)>,
    leaves: Vec<FoundLeaf>,
    private: usize,
}

/// A leaf that was met: its bounds, its birth, how full it is, and which of the entries that were found are its own.
pub(super) struct FoundLeaf {
    pub low: Vec<u8>,
    pub high: Option<Vec<u8>>,
    pub birth: CommitId,
    pub used: usize,
    pub entries: Range<usize>,
}

impl Walk<'_> {
    fn bytes(&mut self, ptr: &Ptr) -> Vec<u8> {
        if let Some(page) = ptr.page.as_private() {
            self.private += 1;
            return self.arena.get(page).expect("private page").to_vec();
        }
        let page = ptr.page.number();
        assert!(self.reached.insert(page), "page {page} reached twice");
        self.disk.page(ptr).unwrap().to_vec()
    }

    fn extent(&mut self, run: Run) {
        pages_of(run).for_each(|p| assert!(self.reached.insert(p)));
    }

    fn tree(&mut self, ptr: &Ptr, level: u8, low: &[u8], high: Option<&[u8]>) {
        let page = self.bytes(ptr);
        assert_eq!(header::level(&page), level);
        let checked = header::flags(&page) & header::CHECK_PREFIX != 0;
        assert!(checked || high.is_none_or(|h| h.starts_with(header::prefix(&page))));
        if level == 1 {
            let leaf = Leaf::new(&page, PageRef::UNKNOWN).unwrap();
            assert!(!leaf.is_empty());
            assert_eq!(leaf.len() as u64, ptr.entries);
            let first = self.found.len();
            self.leaves.push(FoundLeaf {
                low: low.to_vec(),
                high: high.map(<[u8]>::to_vec),
                birth: ptr.birth,
                used: leaf.used(),
                entries: first..first + leaf.len(),
            });
            for i in 0..leaf.len() {
                let mut k = Vec::new();
                leaf.key(i, &self.disk, &mut k).unwrap();
                assert!(
                    k.as_slice() >= low && high.is_none_or(|h| k.as_slice() < h),
                    "{k:?} in {low:?}..{high:?}"
                );
                if !leaf.is_dense() {
                    assert_eq!(leaf.fingerprint(i), crate::util::hash::fingerprint(&k));
                    if let Some(rest) = leaf.slotted_suffix(i).unwrap().rest().unwrap() {
                        self.extent(rest.extent(page.len()).run);
                    }
                }
                let v = match leaf.value(i).unwrap() {
                    Stored::Inline(v) => v.to_vec(),
                    Stored::Chain(d) => {
                        let chain = Chain::decode(d, page.len()).unwrap();
                        chain.all_extents().for_each(|e| self.extent(e.run));
                        let mut value = vec![0; chain.len as usize];
                        assert_eq!(chain.read_at(0, &mut value, &self.disk).unwrap(), value.len());
                        value
                    }
                };
                self.found.push((k, v));
            }
            return;
        }
        let branch = Branch::new(&page, PageRef::UNKNOWN).unwrap();
        let mut entries = 0;
        let separators: Vec<Vec<u8>> = (0..branch.len())
            .map(|i| {
                let mut s = Vec::new();
                if i == 0 {
                    return low.to_vec();
                }
                branch.write_separator(i, &self.disk, &mut s).unwrap();
                if let Some(rest) = branch.separator(i).unwrap().rest().unwrap() {
                    self.extent(rest.extent(page.len()).run);
                }
                s
            })
            .collect();
        for i in 0..branch.len() {
            assert!(i == 0 || separators[i - 1] < separators[i]);
            let up = separators.get(i + 1).map(|s| s.as_slice()).or(high);
            self.tree(&branch.ptr(i), level - 1, &separators[i], up);
            entries += branch.entries(i);
        }
        assert_eq!(entries, ptr.entries);
    }
}

/// A tree, the map that it should equal, and what a transaction needs to change it.
pub(super) struct TestTree {
    disk: &'static Disk,
    sink: Fake,
    pub root: Root,
    pub model: Model,
    /// The keys that each commit had, the first one's first.
    history: Vec<Vec<Vec<u8>>>,
    pub arena: Arena,
    emitter: Emitter,
    log: EditLog,
    /// Whether finished pages are placed while a change goes on.
    pub places_pages: bool,
    /// How many edits at once were refused.
    pub refused: usize,
    /// What is said of the state when something is wrong with it.
    pub at: String,
}

impl TestTree {
    pub fn new(size: usize) -> TestTree {
        let disk: &'static Disk = Box::leak(Box::new(Disk {
            size,
            pages: Mutex::new(BTreeMap::new()),
            joined: Mutex::default(),
            reads: AtomicU64::new(0),
        }));
        TestTree {
            disk,
            sink: Fake {
                disk,
                birth: CommitId::new(1),
                next: FRONT.end(),
                used: BTreeMap::new(),
                holes: Run::default(),
                hole_pages: u64::MAX,
            },
            root: Root::default(),
            model: Model::new(),
            history: Vec::new(),
            arena: Arena::new(size),
            emitter: Emitter::new(),
            log: EditLog::default(),
            places_pages: false,
            refused: 0,
            at: String::new(),
        }
    }

    /// Puts an entry with its value in the leaf.
    pub fn put(&mut self, key: &[u8], value: &[u8]) {
        self.log.push(key, Op::Put(Stored::Inline(value))).expect("memory");
        self.model.insert(key.to_vec(), value.to_vec());
    }

    /// Puts an entry with its value wherever a transaction would keep it.
    pub fn put_anywhere(&mut self, key: &[u8], value: &[u8]) {
        let size = self.disk.size;
        let kept = match is_long_key(key, size) {
            true => KEEP + REST,
            false => key.len(),
        };
        match is_value_inline(kept, value.len(), size) {
            true => self.put(key, value),
            false => self.put_chain(key, value),
        }
    }

    /// Puts an entry with its value outside the leaf.
    pub fn put_chain(&mut self, key: &[u8], value: &[u8]) {
        let chain = write_chain(value, self.disk.size, &mut self.sink).unwrap();
        self.log.push(key, Op::Put(Stored::Chain(&chain))).expect("memory");
        self.model.insert(key.to_vec(), value.to_vec());
    }

    pub fn delete(&mut self, key: &[u8]) {
        self.log.push(key, Op::Delete).expect("memory");
        self.model.remove(key);
    }

    /// Calls `f` with what changes this tree.
    fn change(&mut self, f: impl FnOnce(&mut Apply<'static, '_, &'static Disk, Fake>, Root, &EditLog) -> Result<Root>) {
        let mut apply = Apply {
            source: self.disk,
            arena: &mut self.arena,
            sink: &mut self.sink,
            emitter: &mut self.emitter,
            places_pages: self.places_pages,
            table: TableId::new(7),
            has_long: false,
            drop_budget: 1 << 20,
            life: std::marker::PhantomData,
        };
        self.root = f(&mut apply, self.root, &self.log).unwrap();
    }

    /// Applies what was put and deleted.
    pub fn flush(&mut self) {
        let (size, sink) = (self.disk.size, &mut self.sink);
        // Sorting tells which values were replaced within the log; their pages are given back.
        let dropped = |op: Op<'_>| {
            if let Op::Put(value) = op {
                release_value(&value, None, size, sink).unwrap();
            }
        };
        drop(self.log.sorted(dropped).expect("memory"));
        self.change(|apply, root, log| apply.apply(root, &log.sorted(|_| {}).expect("memory")));
        self.log = EditLog::default();
    }

    /// Makes an edit at once, a put or without a value a deletion, as a transaction does behind a look.
    pub fn edit_now(&mut self, key: &[u8], value: Option<&[u8]>) {
        self.flush();
        self.arena.thaw();
        let size = self.disk.size;
        let kept = match is_long_key(key, size) {
            true => KEEP + REST,
            false => key.len(),
        };
        let long = value.filter(|value| !is_value_inline(kept, value.len(), size));
        let chain = long.map(|value| write_chain(value, size, &mut self.sink).unwrap());
        let op = match (&chain, value) {
            (Some(chain), _) => Op::Put(Stored::Chain(chain)),
            (None, Some(value)) => Op::Put(Stored::Inline(value)),
            (None, None) => Op::Delete,
        };
        match value {
            Some(value) => drop(self.model.insert(key.to_vec(), value.to_vec())),
            None => drop(self.model.remove(key)),
        }
        let mut refused = false;
        self.change(|apply, root, _| {
            let mut root = root;
            let (position, known) = (&mut Position::new(), Known::Nothing);
            let edited = apply.edit(&mut root, Spot { position, known }, KeyEdit { key, op })?;
            refused = matches!(edited, Edited::Refused(_));
            Ok(root)
        });
        if refused {
            self.refused += 1;
            self.log.push(key, op).expect("memory");
            self.flush();
        }
    }

    pub fn remove_range(&mut self, from: Option<&[u8]>, to: Option<&[u8]>) {
        self.change(|apply, root, _| apply.remove_range(root, KeyRange { from, to }));
        self.model
            .retain(|k, _| from.is_some_and(|f| k.as_slice() < f) || to.is_some_and(|t| k.as_slice() >= t));
    }

    /// Applies what is left and places every page, so that the next change belongs to the next commit. Returns the id
    /// of this one and its leaves.
    pub fn commit(&mut self) -> (CommitId, Vec<FoundLeaf>) {
        self.flush();
        self.arena.thaw();
        let keeps_pages = std::mem::replace(&mut self.places_pages, false);
        self.change(|apply, root, _| apply.join_lost(root));
        self.places_pages = keeps_pages;
        let places_pages = std::mem::replace(&mut self.places_pages, true);
        self.change(|apply, root, _| apply.place_root(root));
        self.places_pages = places_pages;
        self.emitter.finish(&mut self.arena, &mut self.sink).unwrap();
        assert!(self.arena.is_empty(), "private pages left {}", self.at);
        let id = self.sink.birth;
        self.history.push(self.model.keys().cloned().collect());
        let walk = self.walk();
        assert!(
            walk.reached.iter().eq(self.sink.used.keys()),
            "pages leaked {}",
            self.at
        );
        let leaves = walk.leaves;
        for leaf in &leaves {
            self.check_interval(leaf, id);
        }
        self.sink.birth = id.next();
        (id, leaves)
    }

    /// Moves what lies behind the frontier, from the key `from` on, into these free pages, and commits that. `work`
    /// says how much may be moved and looked at. Returns how many tree pages were read and how many written.
    pub fn relocate(&mut self, from: &mut Vec<u8>, holes: Run, work: &mut Relocation) -> (u64, usize) {
        self.sink.holes = holes;
        work.room = holes.pages;
        let before = self.disk.reads.load(Relaxed);
        self.change(|apply, root, _| apply.relocate(root, from, work));
        let reads = self.disk.reads.load(Relaxed) - before;
        assert!(self.arena.len() as u64 <= self.sink.holes.pages, "{}", self.at);
        let written = self.arena.len();
        self.commit();
        (reads, written)
    }

    /// Says how many of the free pages at the front lie together.
    pub fn cut_holes(&mut self, pages: u64) {
        self.sink.hole_pages = pages;
    }

    /// Returns the free pages at the front that no relocation has taken.
    pub fn front(&self) -> Run {
        let taken = self.sink.used.range(..FRONT.end()).next_back();
        let first = taken.map_or(FRONT.first, |(page, _)| *page + 1);
        Run::new(first, FRONT.end() - first)
    }

    /// Returns the pages in use, in ascending order.
    pub fn used(&self) -> impl DoubleEndedIterator<Item = PageNo> + '_ {
        self.sink.used.keys().copied()
    }

    /// Returns the number of pages in use.
    pub fn pages(&self) -> usize {
        self.sink.used.len()
    }

    /// Proves I-28 for a leaf of commit `now`.
    fn check_interval(&self, leaf: &FoundLeaf, now: CommitId) {
        assert!(leaf.birth <= now, "a leaf from the future {}", self.at);
        let (then, now) = (
            &self.history[leaf.birth.get() as usize - 1],
            &self.history[now.get() as usize - 1],
        );
        let first = then.partition_point(|key| key < &leaf.low);
        let high = leaf.high.as_ref();
        let end = high.map_or(then.len(), |high| then.partition_point(|key| key < high));
        assert!(
            then[first..end] == now[leaf.entries.clone()],
            "a leaf of commit {} had another interval then {}",
            leaf.birth,
            self.at
        );
    }

    /// Compares the tree with the map.
    pub fn verify(&self) {
        self.walk();
    }

    fn walk(&self) -> Walk<'_> {
        let TestTree { root, model, at, .. } = self;
        assert!(!self.emitter.has_queued());
        let mut walk = Walk {
            disk: self.disk,
            arena: &self.arena,
            reached: BTreeSet::new(),
            found: Vec::new(),
            leaves: Vec::new(),
            private: 0,
        };
        if root.height > 0 {
            walk.tree(&root.ptr, root.height, &[], None);
        }
        if let Some(wrong) = walk.found.iter().zip(model).position(|(f, m)| (&f.0, &f.1) != m) {
            let found = String::from_utf8_lossy(&walk.found[wrong].0);
            let want = String::from_utf8_lossy(model.keys().nth(wrong).expect("an entry"));
            panic!("entry {wrong} {at}: found {found}, expected {want}");
        }
        assert_eq!(root.ptr.entries, model.len() as u64, "{at}");
        assert!(
            walk.found.iter().map(|(k, v)| (k, v)).eq(model.iter()),
            "content differs {at}"
        );
        assert_eq!(walk.private, self.arena.len(), "private pages out of reach {at}");
        walk
    }
}
