//! Pages in memory: filled with entries by the engine's own code, read by searches, and taken by changes of trees.

use crate::entries::Entry;
use kv::ids::{CommitId, PageNo, PageRef, Run, TableId};
use kv::page::branch_build::{branch_size, build_branch, Child};
use kv::page::leaf::Stored;
use kv::page::leaf_build::{build_leaf, build_plain_leaf, leaf_size, PlainEntry, Tally};
use kv::page::suffix::{NewPrefix, Suffix};
use kv::page::{Extent, Lifetime, PageSink, PageSource, Prefetch, Ptr, Root};
use kv::tree::write::apply::Apply;
use kv::tree::write::arena::Arena;
use kv::tree::write::edits::{EditLog, Op};
use kv::tree::write::emit::Emitter;
use kv::util::hash::fingerprint;
use kv::{Error, Result};
use std::marker::PhantomData;

/// Bytes of a page.
pub const PAGE: usize = 4096;
/// The table that every page is written for.
pub const TABLE: TableId = TableId::new(7);

/// A leaf as entries of these keys and values make it.
pub type LeafEntry<'a> = kv::page::leaf_build::Entry<'a>;

/// The entries as a leaf takes them, without a common prefix.
pub fn leaf_entries(entries: &[Entry]) -> Vec<LeafEntry<'_>> {
    let entries = entries.iter().map(|entry| LeafEntry {
        suffix: Suffix::of(&entry.key),
        fingerprint: fingerprint(&entry.key),
        value: Stored::Inline(&entry.value),
    });
    entries.collect()
}

/// As many of the entries as a leaf holds, beside `free` entries.
pub fn that_fit(entries: &[Entry], free: usize) -> &[Entry] {
    let all = leaf_entries(entries);
    let fit = (1..=all.len())
        .take_while(|n| leaf_size(&all[..*n], 0, 0) <= PAGE)
        .count();
    &entries[..fit - free]
}

/// A leaf of these entries.
pub fn leaf(entries: &[LeafEntry<'_>]) -> Vec<u8> {
    let mut page = vec![0; PAGE];
    build_leaf(&mut page, TABLE, NewPrefix::of(&[], 0), entries);
    page
}

/// The entries as a bulk load hands them to a leaf: key and value one behind the other.
pub fn whole_entries(entries: &[Entry]) -> Vec<(Vec<u8>, usize)> {
    let entries = entries
        .iter()
        .map(|entry| ([&entry.key[..], &entry.value].concat(), entry.key.len()));
    entries.collect()
}

/// A leaf as a bulk load builds it.
pub fn leaf_of_whole(entries: &[(Vec<u8>, usize)]) -> Vec<u8> {
    let entries: Vec<PlainEntry> = entries
        .iter()
        .map(|(bytes, key)| PlainEntry { bytes, key: *key })
        .collect();
    let mut page = vec![0; PAGE];
    let tally = Tally::of(&entries, 0);
    build_plain_leaf(&mut page, TABLE, &[], &entries, &tally).expect("entries that fit");
    page
}

/// A branch with as many of the keys as it holds as separators, and how many those are. The keys begin with `prefix`.
pub fn branch(keys: &[&[u8]], prefix: &[u8]) -> (Vec<u8>, usize) {
    let children = keys.iter().zip(100..).map(|(key, page)| Child {
        separator: Suffix::of(key),
        ptr: Ptr {
            page: PageRef::placed(PageNo::new(page)),
            birth: CommitId::new(1),
            entries: 50,
            checksum: page as u32,
        },
    });
    let mut children: Vec<Child> = children.collect();
    let drop = prefix.len();
    let fit = (1..=children.len()).take_while(|n| branch_size(&children[..*n], drop, drop) <= PAGE);
    let n = fit.count();
    children.truncate(n);
    let mut page = vec![0; PAGE];
    build_branch(&mut page, 2, TABLE, NewPrefix::of(prefix, 0), &children);
    (page, n)
}

/// Pages by number.
#[derive(Default)]
pub struct Pages(Vec<Box<[u8]>>);

impl Prefetch for &Pages {
    fn page_size(&self) -> usize {
        PAGE
    }
}

impl<'a> PageSource<'a> for &'a Pages {
    #[inline(always)]
    fn page(&self, ptr: &Ptr) -> Result<&'a [u8]> {
        let number = ptr.page.number().get() as usize;
        let page = self.0.get(number).ok_or(Error::NotFound)?;
        Ok(page)
    }

    fn piece(&self, _: PageNo, _: usize, _: u32) -> Result<&'a [u8]> {
        Err(Error::NotFound)
    }

    fn raw(&self, _: PageNo, _: u64) -> Result<&'a [u8]> {
        Err(Error::NotFound)
    }
}

/// Where a change of a tree gets its pages.
struct Sink {
    next: PageNo,
    /// What was written, by number, unless it is not wanted.
    written: Option<Pages>,
}

impl PageSink for Sink {
    fn birth(&self) -> CommitId {
        CommitId::new(2)
    }

    fn take(&mut self, want: u64, _: Lifetime) -> Result<Run> {
        self.take_exact(want)
    }

    fn take_exact(&mut self, pages: u64) -> Result<Run> {
        let first = self.next;
        self.next += pages;
        Ok(Run { first, pages })
    }

    fn write_pages(&mut self, page: PageNo, parts: &[&[u8]], _: &[u32]) -> Result<()> {
        let Some(Pages(written)) = &mut self.written else {
            return Ok(());
        };
        let first = page.get() as usize;
        let end = first + parts.len();
        written.resize(end.max(written.len()), Box::default());
        for (page, part) in written[first..end].iter_mut().zip(parts) {
            *page = (*part).into();
        }
        Ok(())
    }

    fn write_piece(&mut self, _: PageNo, _: &[u8], _: u32) -> Result<()> {
        unreachable!("no entry is long")
    }

    fn release(&mut self, _: Extent) {}
}

/// Puts of these entries, as a write transaction collects them.
pub fn log<'e>(entries: impl IntoIterator<Item = &'e Entry>) -> EditLog {
    let mut log = EditLog::default();
    for entry in entries {
        log.push(&entry.key, Op::Put(Stored::Inline(&entry.value)))
            .expect("memory");
    }
    log
}

/// A tree over pages in memory.
#[derive(Default)]
pub struct Tree {
    pub pages: Pages,
    pub root: Root,
}

impl Tree {
    /// A tree of these entries.
    pub fn of(entries: &[Entry]) -> Tree {
        let (root, pages) = Tree::default().change(&log(entries), Some(Pages::default()));
        Tree {
            root,
            pages: pages.expect("pages that were wanted"),
        }
    }

    /// Sorts and applies the edits, places every new page, and forgets them.
    pub fn apply(&self, edits: &EditLog) -> Root {
        self.change(edits, None).0
    }

    fn change(&self, edits: &EditLog, written: Option<Pages>) -> (Root, Option<Pages>) {
        let mut sink = Sink {
            next: PageNo::new(self.pages.0.len().max(4) as u64),
            written,
        };
        let (mut arena, mut emitter) = (Arena::new(PAGE), Emitter::new());
        let mut apply = Apply {
            source: &self.pages,
            arena: &mut arena,
            sink: &mut sink,
            emitter: &mut emitter,
            places_pages: false,
            table: TABLE,
            has_long: false,
            drop_budget: 1 << 20,
            life: PhantomData,
        };
        let edits = edits.sorted(|_| ()).expect("memory");
        let root = apply.apply(self.root, &edits).expect("a whole tree");
        let root = apply.place_root(root).expect("room");
        emitter.finish(&mut arena, &mut sink).expect("room");
        (root, sink.written)
    }
}
