//! A toy store over the pager alone, so that commit and recovery can be tested without a tree.
//!
//! It is a table of numbers. `main` points to a root page with one pointer per number; each number is a page, or a
//! piece of several pages, filled from it. `space` points to a chain of pages that hold the dead extents. The content
//! of a commit is thus a `Vec<u64>`, and every byte of it is checked when read.

#![allow(dead_code)]

use kv::file::sim::Random;
use kv::ids::{CommitId, PageNo, PageRef, Run};
use kv::page::{Extent, Lifetime, PageSink, PageSource, Ptr, Root, Roots};
use kv::pager::{
    Accounting, Dead, Descriptor, Durability, PageWriter, Pager, RecordedCommits, Shrink, SpaceChange, View, Wait,
    ZoneNo,
};
use kv::util::bytes::{get_u32, get_u64, put_u32, put_u64};
use kv::util::crc32c;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicBool;
use std::sync::Arc;

/// Numbers in the table.
pub const NUMBERS: usize = 24;
const ENTRY: usize = 24;
const DEAD: usize = 28;

thread_local! {
    /// A commit asks whether to fold once in so many times: seldom, and records must be spilled.
    pub static FOLD_ONE_IN: Cell<u64> = const { Cell::new(1) };
    /// One in so many values is long, so that the file has a free end when it goes; 0: none is.
    pub static LONG_ONE_IN: Cell<u64> = const { Cell::new(0) };
    /// Numbers to choose from, 0: all. With few, a commit tried again writes the same bytes to the same places.
    pub static VARIETY: Cell<u64> = const { Cell::new(0) };
}

/// What a commit holds.
pub type Model = Vec<u64>;

/// An empty table.
pub fn empty() -> Model {
    vec![0; NUMBERS]
}

#[derive(Clone, Copy, Default)]
struct Leaf {
    page: PageNo,
    birth: CommitId,
    checksum: u32,
    /// Bytes of a piece; 0: a page; `u32::MAX`: none.
    piece: u32,
}

fn fill(number: u64, bytes: usize) -> Vec<u8> {
    let mut out = vec![0; bytes];
    for (i, word) in out.chunks_exact_mut(8).enumerate() {
        word.copy_from_slice(&number.wrapping_mul(2 * i as u64 + 1).to_le_bytes());
    }
    out
}

/// Whether `bytes` are what `fill` makes.
fn is_filled(number: u64, bytes: &[u8]) -> bool {
    let words = bytes.chunks_exact(8).enumerate();
    words.fold(0, |different, (i, word)| {
        different | (get_u64(word, 0) ^ number.wrapping_mul(2 * i as u64 + 1))
    }) == 0
}

fn root_leaves(view: &View<'_>, root: &Root) -> kv::Result<Vec<Leaf>> {
    if root.height == 0 {
        let none = Leaf {
            piece: u32::MAX,
            ..Leaf::default()
        };
        return Ok(vec![none; NUMBERS]);
    }
    let b = view.page(&root.ptr)?;
    let leaf = |i| Leaf {
        page: PageNo::new(get_u64(b, i * ENTRY)),
        birth: CommitId::new(get_u64(b, i * ENTRY + 8)),
        checksum: get_u32(b, i * ENTRY + 16),
        piece: get_u32(b, i * ENTRY + 20),
    };
    Ok((0..NUMBERS).map(leaf).collect())
}

fn leaf_run(leaf: &Leaf, size: usize) -> Run {
    let pages = match leaf.piece {
        u32::MAX => 0,
        0 => 1,
        bytes => (bytes as usize).div_ceil(size) as u64,
    };
    Run::new(leaf.page, pages)
}

/// Reads a commit's content, checking every byte against the number it was made from.
pub fn read(view: View<'_>, desc: &Descriptor) -> Result<Model, String> {
    each(view, desc, is_filled)
}

/// Reads a commit's content, believing the checksums.
fn numbers(view: View<'_>, desc: &Descriptor) -> Result<Model, String> {
    each(view, desc, |_, _| true)
}

fn each(view: View<'_>, desc: &Descriptor, good: impl Fn(u64, &[u8]) -> bool) -> Result<Model, String> {
    let leaves = root_leaves(&view, &desc.roots.main).map_err(|e| format!("root of {}: {e}", desc.id))?;
    let mut model = Vec::with_capacity(NUMBERS);
    for leaf in leaves {
        let bytes = match leaf.piece {
            u32::MAX => {
                model.push(0);
                continue;
            }
            0 => view.page(&Ptr {
                page: leaf.page.into(),
                birth: leaf.birth,
                entries: 0,
                checksum: leaf.checksum,
            }),
            bytes => view.piece(leaf.page, bytes as usize, leaf.checksum),
        };
        let bytes = bytes.map_err(|e| format!("commit {}: {e}", desc.id))?;
        let number = get_u64(bytes, 0);
        if !good(number, bytes) {
            return Err(format!("commit {}: page {} is mixed", desc.id, leaf.page));
        }
        model.push(number);
    }
    Ok(model)
}

/// Dead extents by page, and the pages that hold them.
type SpaceTree = (BTreeMap<PageNo, Dead>, Vec<Extent>);

fn read_space(view: &View<'_>, root: &Root) -> kv::Result<SpaceTree> {
    let (mut map, mut pages) = (BTreeMap::new(), Vec::new());
    let mut next = (root.height > 0).then_some(root.ptr);
    while let Some(ptr) = next {
        pages.push(one_page(&ptr));
        let b = view.page(&ptr)?;
        for i in 0..get_u32(b, 24) as usize {
            let at = 32 + i * DEAD;
            let dead = Dead {
                extent: Extent::new(
                    Run::new(PageNo::new(get_u64(b, at)), get_u32(b, at + 8).into()),
                    CommitId::new(get_u64(b, at + 12)),
                ),
                death: CommitId::new(get_u64(b, at + 20)),
            };
            map.insert(dead.extent.run.first, dead);
        }
        next = (get_u64(b, 0) > 0).then(|| Ptr {
            page: PageRef::from_bits(get_u64(b, 0)),
            birth: CommitId::new(get_u64(b, 8)),
            entries: 0,
            checksum: get_u32(b, 16),
        });
    }
    Ok((map, pages))
}

/// The page behind a pointer, as an extent.
fn one_page(ptr: &Ptr) -> Extent {
    Extent::new(Run::new(ptr.page.number(), 1), ptr.birth)
}

fn place(writing: &mut PageWriter, bytes: &[u8]) -> kv::Result<Ptr> {
    let page = writing.take(1, Lifetime::UntilEdited)?.first;
    let checksum = crc32c(bytes);
    writing.write_pages(page, &[bytes], &[checksum])?;
    Ok(Ptr {
        page: page.into(),
        birth: writing.birth(),
        entries: 0,
        checksum,
    })
}

fn write_space(writing: &mut PageWriter, map: &BTreeMap<PageNo, Dead>) -> kv::Result<Root> {
    let size = writing.pager().page_size();
    let all: Vec<&Dead> = map.values().collect();
    let mut root = Root::default();
    for chunk in all.chunks((size - 32) / DEAD).rev() {
        let mut b = vec![0; size];
        put_u64(&mut b, 0, root.ptr.page.to_bits());
        put_u64(&mut b, 8, root.ptr.birth.get());
        put_u32(&mut b, 16, root.ptr.checksum);
        put_u32(&mut b, 24, chunk.len() as u32);
        for (i, dead) in chunk.iter().enumerate() {
            let at = 32 + i * DEAD;
            put_u64(&mut b, at, dead.extent.run.first.get());
            put_u32(&mut b, at + 8, dead.extent.run.pages as u32);
            put_u64(&mut b, at + 12, dead.extent.birth.get());
            put_u64(&mut b, at + 20, dead.death.get());
        }
        root = Root {
            ptr: place(writing, &b)?,
            height: 1,
            has_long: false,
        };
    }
    Ok(root)
}

/// A commit that was tried: its id, what it would hold, and the answer.
pub struct Attempt {
    pub id: CommitId,
    pub model: Model,
    pub answer: kv::Result<CommitId>,
}

/// Changes some numbers and commits. `None`: not even the write lock was to be had, or it was aborted on purpose.
pub fn commit(
    pager: &Arc<Pager>,
    random: &mut Random,
    durability: Durability,
    changes: u64,
) -> kv::Result<Option<Attempt>> {
    commit_by(pager, random, changes, &mut |writing, roots, _| {
        writing.commit(roots, durability)
    })
}

/// As [`commit`]; `end` ends the transaction, and is told what the commit would hold.
pub fn commit_by(
    pager: &Arc<Pager>,
    random: &mut Random,
    changes: u64,
    end: &mut dyn FnMut(PageWriter, Roots, &Model) -> kv::Result<CommitId>,
) -> kv::Result<Option<Attempt>> {
    let mut writing = pager.lock_write(Wait::Forever, &AtomicBool::new(false))?;
    let (id, tip) = (writing.birth(), writing.tip());
    if random.one_in(6) {
        if let Err(error) = writing.cut() {
            let (model, answer) = (empty(), Err(error));
            return Ok(Some(Attempt { id, model, answer }));
        }
    }
    let model = match numbers(pager.view_all(), &tip) {
        Ok(model) => model,
        Err(what) => {
            let answer = Err(kv::Error::Panic(what));
            return Ok(Some(Attempt {
                id,
                model: empty(),
                answer,
            }));
        }
    };
    let abort = random.one_in(12);
    let (model, roots) = match change(&mut writing, random, model.clone(), changes) {
        Ok(done) => done,
        Err(error) => {
            let answer = Err(error);
            return Ok(Some(Attempt { id, model, answer }));
        }
    };
    if abort {
        return Ok(None);
    }
    let answer = end(writing, roots, &model);
    Ok(Some(Attempt { id, model, answer }))
}

fn change(writing: &mut PageWriter, random: &mut Random, mut model: Model, changes: u64) -> kv::Result<(Model, Roots)> {
    let pager = writing.pager().clone();
    let (tip, size) = (writing.tip(), pager.page_size());
    for zone in writing.zones_wanted() {
        let (map, _) = read_space(&pager.view_all(), &tip.roots.space)?;
        let of_zone = map.values().filter(|d| ZoneNo::of(d.extent.run.first) == zone);
        writing.zone_loaded(zone, of_zone.copied().collect());
    }
    let mut leaves = root_leaves(&pager.view_all(), &tip.roots.main)?;
    if random.one_in(4) {
        waste(writing, random)?;
    }
    for _ in 0..1 + random.below(changes) {
        let at = random.below(NUMBERS as u64) as usize;
        let number = match VARIETY.get() {
            0 => random.next_u64(),
            few => 1 + random.below(few),
        };
        let old = leaves[at];
        writing.release(Extent::new(leaf_run(&old, size), old.birth));
        model[at] = number;
        leaves[at] = if random.one_in(4) {
            let words = match VARIETY.get() {
                0 if LONG_ONE_IN.get() > 0 && random.one_in(LONG_ONE_IN.get()) => random.below(20 * size as u64),
                0 => random.below(5 * size as u64 / 8),
                _ => number * 300,
            };
            let bytes = fill(number, 8 * (1 + words as usize));
            let page = writing.take_exact(bytes.len().div_ceil(size) as u64)?.first;
            let checksum = crc32c(&bytes);
            writing.write_piece(page, &bytes, checksum)?;
            Leaf {
                page,
                birth: writing.birth(),
                checksum,
                piece: bytes.len() as u32,
            }
        } else {
            let ptr = place(writing, &fill(number, size))?;
            Leaf {
                page: ptr.page.number(),
                birth: ptr.birth,
                checksum: ptr.checksum,
                piece: 0,
            }
        };
    }
    let mut b = vec![0; size];
    for (i, leaf) in leaves.iter().enumerate() {
        put_u64(&mut b, i * ENTRY, leaf.page.get());
        put_u64(&mut b, i * ENTRY + 8, leaf.birth.get());
        put_u32(&mut b, i * ENTRY + 16, leaf.checksum);
        put_u32(&mut b, i * ENTRY + 20, leaf.piece);
    }
    if tip.roots.main.height > 0 {
        writing.release(one_page(&tip.roots.main.ptr));
    }
    let main = Root {
        ptr: place(writing, &b)?,
        height: 1,
        has_long: false,
    };
    let mut space = tip.roots.space;
    if random.one_in(2) {
        writing.set_shrink(Shrink::Always);
    }
    if random.one_in(FOLD_ONE_IN.get()) && writing.is_to_fold(LONG_ONE_IN.get() > 0 && random.one_in(2)) {
        let (mut map, pages) = read_space(&pager.view_all(), &space)?;
        for edit in &writing.fold(&RecordedCommits::default())?.edits {
            match edit.dead {
                Some(dead) => map.insert(edit.first, dead),
                None => map.remove(&edit.first),
            };
        }
        pages.iter().for_each(|page| writing.release(*page));
        space = write_space(writing, &map)?;
    }
    let roots = Roots {
        main,
        space,
        ..Roots::default()
    };
    Ok((model, roots))
}

/// Takes pages, writes them, and gives back all or some of them.
fn waste(writing: &mut PageWriter, random: &mut Random) -> kv::Result<()> {
    let size = writing.pager().page_size();
    let want = 1 + random.below(6);
    writing.set_synced_alone(want % 3 == 0);
    let lifetime = if want % 2 == 0 {
        Lifetime::UntilEdited
    } else {
        Lifetime::UntilNextCommit
    };
    let taken = writing.take(want, lifetime)?;
    let bytes = fill(random.next_u64(), size);
    let sum = crc32c(&bytes);
    let (parts, sums) = (vec![&bytes[..]; taken.pages as usize], vec![sum; taken.pages as usize]);
    writing.write_pages(taken.first, &parts, &sums)?;
    let middle = random.below(taken.pages);
    let parts = [(middle, 1), (0, middle), (middle + 1, taken.pages - middle - 1)];
    for (from, pages) in parts.into_iter().filter(|(_, pages)| *pages > 0) {
        writing.release(Extent::new(Run::new(taken.first + from, pages), writing.birth()));
    }
    Ok(())
}

/// Every page of the file is exactly one of: meta, live, dead, spilled record.
pub fn account(pager: &Arc<Pager>) -> Result<(), String> {
    account_of(pager, &pager.accounting().map_err(|e| e.to_string())?)
}

/// Does what [`account`] does while other processes commit; `false`: they left no time for it. The pages of a commit
/// that nobody holds may be used again while they are counted, so the commit is held first, and then asked for.
pub fn account_among_others(pager: &Arc<Pager>) -> Result<bool, String> {
    for _ in 0..100 {
        let held = pager.begin_read().map_err(|e| e.to_string())?;
        match pager.accounting() {
            Ok(accounting) if accounting.desc.id == held.desc().id => {
                return account_of(pager, &accounting).map(|()| true);
            }
            Ok(_) | Err(kv::Error::Busy(_)) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(false)
}

fn account_of(pager: &Arc<Pager>, accounting: &Accounting) -> Result<(), String> {
    let (desc, view, size) = (accounting.desc, pager.view_all(), pager.page_size());
    let mut seen = BTreeSet::new();
    let mut add = |what: &str, run: Run| {
        let fresh = run.iter().all(|page| seen.insert(page));
        fresh
            .then_some(())
            .ok_or(format!("commit {}: {what} {run:?} is counted twice", desc.id))
    };
    add("meta", Run::new(PageNo::new(0), kv::page::meta_pages(size)))?;
    let (map, pages) = read_space(&view, &desc.roots.space).map_err(|e| e.to_string())?;
    pages.iter().try_for_each(|page| add("space", page.run))?;
    if desc.roots.main.height > 0 {
        add("root", one_page(&desc.roots.main.ptr).run)?;
    }
    for leaf in root_leaves(&view, &desc.roots.main).map_err(|e| e.to_string())? {
        add("leaf", leaf_run(&leaf, size))?;
    }
    accounting.spilled.iter().try_for_each(|run| add("spill", *run))?;
    let mut dead: BTreeSet<PageNo> = map.values().flat_map(|d| d.extent.run.iter()).collect();
    for change in &accounting.changes {
        match change {
            SpaceChange::Died(d) => {
                for page in d.extent.run.iter() {
                    dead.insert(page)
                        .then_some(())
                        .ok_or(format!("page {page} died twice"))?;
                }
            }
            SpaceChange::Taken(run) => {
                for page in run.iter() {
                    dead.remove(&page)
                        .then_some(())
                        .ok_or(format!("page {page} was taken alive"))?;
                }
            }
        }
    }
    dead.iter().try_for_each(|page| add("dead", Run::new(*page, 1)))?;
    match seen.len() as u64 == desc.pages && seen.last().is_none_or(|last| last.get() < desc.pages) {
        true => Ok(()),
        false => Err(format!(
            "commit {}: {} pages of {} accounted for",
            desc.id,
            seen.len(),
            desc.pages
        )),
    }
}
