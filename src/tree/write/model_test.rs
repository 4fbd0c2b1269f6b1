//! `apply` against a `BTreeMap`, over pages in a map: every shape of key, every size of batch, with pages
//! placed at once and later. The structure and the accounting of pages are checked after each batch.

use super::apply::Apply;
use super::arena::Arena;
use super::edits::{EditLog, Op};
use super::emit::Emitter;
use super::range::KeyRange;
use super::values::write_chain;
use crate::error::{Error, Result};
use crate::ids::{CommitId, PageNo, PageRef, Run, TableId};
use crate::page::branch::Branch;
use crate::page::chain::Chain;
use crate::page::header;
use crate::page::leaf::{Leaf, Stored};
use crate::page::{Extent, Lifetime, PageSink, PageSource, Prefetch, Ptr, Root};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

/// Pages ever written, by number. Leaked: a test's worth of memory.
struct Disk {
    size: usize,
    pages: Mutex<BTreeMap<PageNo, &'static [u8]>>,
}

impl Prefetch for &'static Disk {
    fn page_size(&self) -> usize {
        self.size
    }
}

impl PageSource<'static> for &'static Disk {
    fn page(&self, ptr: &Ptr) -> Result<&'static [u8]> {
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
        let mut out = Vec::new();
        for i in 0..len.div_ceil(self.size as u64) {
            out.extend_from_slice(pages.get(&(page + i)).expect("written"));
        }
        out.truncate(len as usize);
        Ok(out.leak())
    }
}

/// Allocates from the end, and remembers which pages are in use.
struct Fake {
    disk: &'static Disk,
    birth: CommitId,
    next: PageNo,
    used: BTreeMap<PageNo, CommitId>,
}

impl PageSink for Fake {
    fn birth(&self) -> CommitId {
        self.birth
    }
    fn take(&mut self, want: u64, _: Lifetime) -> Result<Run> {
        self.take_exact(want.clamp(1, 7))
    }
    fn take_exact(&mut self, pages: u64) -> Result<Run> {
        let run = Run::new(self.next, pages);
        self.next += pages + 1;
        pages_of(run).for_each(|p| assert!(self.used.insert(p, self.birth).is_none()));
        Ok(run)
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

struct Rnd(u64);

impl Rnd {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

fn key(kind: u32, rnd: &mut Rnd) -> Vec<u8> {
    match kind {
        0 => rnd.below(20000).to_be_bytes().to_vec(),
        1 => {
            let id = rnd.below(5000).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            [&id.to_be_bytes()[..], b"0123456789abcdef"].concat()
        }
        2 => format!(
            "https://www.example{}.com/category/{}/item-{}",
            rnd.below(4),
            rnd.below(5),
            rnd.below(300)
        )
        .into_bytes(),
        3 => (0..rnd.below(9))
            .map(|_| [0u8, 0, 1, b'a', 255][rnd.below(5) as usize])
            .collect(),
        4 => [
            &vec![b'x'; rnd.below(90) as usize][..],
            &vec![b'y'; rnd.below(3) as usize],
        ]
        .concat(),
        _ => {
            let mut k = vec![b'k'; [10, 280, 288, 289, 511, 512, 513, 600, 5000][rnd.below(9) as usize]];
            let at = rnd.below(k.len() as u64) as usize;
            k[at] = b'a' + rnd.below(3) as u8;
            let end = k.len() - 1;
            k[end] = b'a' + rnd.below(5) as u8;
            k
        }
    }
}

/// The expected content; chains by what was put.
type Model = BTreeMap<Vec<u8>, Vec<u8>>;

struct Walk<'w> {
    disk: &'static Disk,
    arena: &'w Arena,
    reached: BTreeSet<PageNo>,
    found: Vec<(Vec<u8>, Vec<u8>)>,
    private: usize,
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
                        chain.in_place(&self.disk).unwrap().unwrap().to_vec()
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

/// One leaf that gets thousands of edits at once, merged in parts: entries of the leaf before, between and behind them.
#[test]
fn one_leaf_takes_thousands_of_edits() {
    for seed in 1..60u64 {
        let disk: &'static Disk = Box::leak(Box::new(Disk {
            size: 4096,
            pages: Mutex::new(BTreeMap::new()),
        }));
        let mut rnd = Rnd(seed * 7777);
        let mut sink = Fake {
            disk,
            birth: CommitId::new(1),
            next: PageNo::new(4),
            used: BTreeMap::new(),
        };
        let (mut root, mut model) = (Root::default(), Model::new());
        let mut arena = Arena::new(4096);
        let mut emitter = Emitter::new();
        let few = 1 + rnd.below(20);
        for (flush, edits) in [few, 3000 + rnd.below(9000), 3000].into_iter().enumerate() {
            let mut log = EditLog::default();
            let deletes = if flush == 0 { 0 } else { rnd.below(100) };
            let long = rnd.below(3) * 600;
            let first = rnd.below(3) as u8;
            for i in 0..edits {
                // Sometimes sections of puts and of deletes, sometimes a mixture.
                let section = b'a' + first + (i * 3 / edits) as u8;
                let key = format!("{}{:05}", section as char, rnd.below(3000)).into_bytes();
                let mixed = if seed % 2 == 0 {
                    rnd.below(100) < deletes
                } else {
                    section == b'b' && flush > 0
                };
                if mixed {
                    log.push(&key, Op::Delete).expect("memory");
                    model.remove(&key);
                } else {
                    let value = vec![b'v'; (rnd.below(90) + long) as usize];
                    log.push(&key, Op::Put(Stored::Inline(&value))).expect("memory");
                    model.insert(key, value);
                }
            }
            let sorted = log.sorted(|_| {}).expect("memory");
            let mut apply = Apply {
                source: disk,
                arena: &mut arena,
                sink: &mut sink,
                emitter: &mut emitter,
                places_pages: rnd.below(2) == 0,
                table: TableId::new(7),
                has_long: false,
                drop_budget: 1 << 20,
                life: std::marker::PhantomData,
            };
            root = apply.apply(root, &sorted).unwrap();
            verify(disk, &arena, &emitter, &root, &model, None, (9, seed, 0, flush as u64));
        }
    }
}

fn run(kind: u32, size: usize, seed: u64, rounds: u32) {
    let disk: &'static Disk = Box::leak(Box::new(Disk {
        size,
        pages: Mutex::new(BTreeMap::new()),
    }));
    let mut rnd = Rnd(seed);
    let mut sink = Fake {
        disk,
        birth: CommitId::new(1),
        next: PageNo::new(4),
        used: BTreeMap::new(),
    };
    let (mut root, mut model) = (Root::default(), Model::new());
    for round in 0..rounds {
        let mut arena = Arena::new(size);
        let mut emitter = Emitter::new();
        sink.birth = CommitId::new(1 + round as u64);
        for flush in 0..1 + rnd.below(3) {
            let mut log = EditLog::default();
            let deletes = rnd.below(5);
            let batch = [1, 2, 5, 30, 300, 3000, 9000][rnd.below(7) as usize];
            let ranged = rnd.below(6) == 0;
            if rnd.below(4) == 0 {
                arena.freeze();
            }
            // Nothing is placed while bytes are pinned.
            let places_pages = rnd.below(2) == 0 && !arena.is_frozen();
            for _ in 0..if ranged { 0 } else { batch } {
                let k = key(kind, &mut rnd);
                if rnd.below(5) < deletes {
                    log.push(&k, Op::Delete).expect("memory");
                    model.remove(&k);
                } else {
                    let len = [8, 8, 8, 0, 50, 150, 900, 5000][rnd.below(if kind == 0 { 3 } else { 8 }) as usize];
                    let v = vec![rnd.below(256) as u8; len];
                    if len > 1000 {
                        let chain = write_chain(&v, size, &mut sink).unwrap();
                        log.push(&k, Op::Put(Stored::Chain(&chain))).expect("memory");
                    } else {
                        log.push(&k, Op::Put(Stored::Inline(&v))).expect("memory");
                    }
                    model.insert(k, v);
                }
            }
            let sorted = log
                .sorted(|op| {
                    if let Op::Put(value) = op {
                        super::values::release_value(&value, None, size, &mut sink).unwrap();
                    }
                })
                .expect("memory");
            let mut apply = Apply {
                source: disk,
                arena: &mut arena,
                sink: &mut sink,
                emitter: &mut emitter,
                places_pages,
                table: TableId::new(7),
                has_long: false,
                drop_budget: 1 << 20,
                life: std::marker::PhantomData,
            };
            root = apply.apply(root, &sorted).unwrap();
            if ranged {
                let (a, b) = (key(kind, &mut rnd), key(kind, &mut rnd));
                let (from, to) = (a.clone().min(b.clone()), a.max(b));
                let (from, to) = ((rnd.below(5) > 0).then_some(from), (rnd.below(5) > 0).then_some(to));
                let keys = KeyRange {
                    from: from.as_deref(),
                    to: to.as_deref(),
                };
                root = apply.remove_range(root, keys).unwrap();
                model.retain(|k, _| from.as_ref().is_some_and(|f| k < f) || to.as_ref().is_some_and(|t| k >= t));
            }
            verify(disk, &arena, &emitter, &root, &model, None, (kind, seed, round, flush));
        }
        arena.thaw();
        let mut apply = Apply {
            source: disk,
            arena: &mut arena,
            sink: &mut sink,
            emitter: &mut emitter,
            places_pages: true,
            table: TableId::new(7),
            has_long: false,
            drop_budget: 1 << 20,
            life: std::marker::PhantomData,
        };
        root = apply.place_root(root).unwrap();
        emitter.finish(&mut arena, &mut sink).unwrap();
        assert!(
            arena.is_empty(),
            "private pages left: kind {kind} seed {seed} round {round}"
        );
        verify(
            disk,
            &arena,
            &emitter,
            &root,
            &model,
            Some(&sink),
            (kind, seed, round, 99),
        );
    }
}

fn verify(
    disk: &'static Disk,
    arena: &Arena,
    emitter: &Emitter,
    root: &Root,
    model: &Model,
    sink: Option<&Fake>,
    at: (u32, u64, u32, u64),
) {
    assert!(!emitter.is_busy());
    let mut walk = Walk {
        disk,
        arena,
        reached: BTreeSet::new(),
        found: Vec::new(),
        private: 0,
    };
    if root.height > 0 {
        walk.tree(&root.ptr, root.height, &[], None);
    }
    if let Some(wrong) = walk.found.iter().zip(model).position(|(f, m)| (&f.0, &f.1) != m) {
        let found = String::from_utf8_lossy(&walk.found[wrong].0);
        let want = String::from_utf8_lossy(model.keys().nth(wrong).expect("an entry"));
        panic!("entry {wrong} at {at:?}: found {found}, expected {want}");
    }
    assert_eq!(root.ptr.entries, model.len() as u64, "{at:?}");
    assert!(
        walk.found.iter().map(|(k, v)| (k, v)).eq(model.iter()),
        "content differs at {at:?}"
    );
    assert_eq!(walk.private, arena.len(), "private pages out of reach at {at:?}");
    if let Some(sink) = sink {
        assert!(walk.reached.iter().eq(sink.used.keys()), "pages leaked at {at:?}");
    }
}

#[test]
fn apply_equals_a_map() {
    for kind in 0..6 {
        for seed in 1..3u64 {
            run(kind, 4096, seed * 7919 + kind as u64, if kind == 5 { 12 } else { 20 });
        }
    }
    run(1, 65536, 5, 20);
    run(0, 16384, 6, 20);
}
