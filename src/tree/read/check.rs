//! The check of a tree's structure, which also lists the tree's pages.
//!
//! Every page is visited once, whatever the pointers say, and the pages of a run are read only if it lies inside the
//! file and none of it was reached before. So the work is bounded by the size of the file. After a fault the check goes
//! on where it can.

use super::limits::behind_prefix;
use crate::error::{Error, FaultKind, Result};
use crate::ids::{CommitId, PageNo, PageRef, Run, TableId};
use crate::page::branch::Branch;
use crate::page::branch_build::second_heads_are_right;
use crate::page::chain::{pieces, Chain};
use crate::page::header::{self, CHECK_PREFIX, HEAD2};
use crate::page::leaf::{Leaf, Stored};
use crate::page::roots::HEIGHT_MAX;
use crate::page::search::Key;
use crate::page::suffix::{leaf_key_max, separator_max, Suffix, KEEP};
use crate::page::{Extent, PageSource, Ptr, Root};
use std::collections::BTreeMap;

/// The number of pages per piece of a [`PageSet`].
const PIECE_PAGES: u64 = 4096;

/// A set of page numbers: one bit for each, in pieces that exist only where a page was inserted. All of its
/// allocations are small, whatever the size of the file.
#[derive(Debug, Clone, Default)]
pub struct PageSet {
    pieces: BTreeMap<u64, Box<[u64; PIECE_PAGES as usize / 64]>>,
}

impl PageSet {
    /// Returns the empty set.
    pub fn new() -> PageSet {
        PageSet::default()
    }

    /// Inserts `page`. Returns false if it was in the set already.
    pub fn insert(&mut self, page: PageNo) -> bool {
        let page = page.get();
        let piece = self
            .pieces
            .entry(page / PIECE_PAGES)
            .or_insert_with(|| Box::new([0; PIECE_PAGES as usize / 64]));
        let word = &mut piece[(page % PIECE_PAGES / 64) as usize];
        let bit = 1 << (page % 64);
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    /// Returns whether `page` is in the set.
    pub fn contains(&self, page: PageNo) -> bool {
        let page = page.get();
        let piece = self.pieces.get(&(page / PIECE_PAGES));
        piece.is_some_and(|p| p[(page % PIECE_PAGES / 64) as usize] & (1 << (page % 64)) != 0)
    }

    /// Inserts the pages of `run` from the first on, up to the first that was in the set already. Returns how many.
    pub fn insert_run(&mut self, run: Run) -> u64 {
        (0..run.pages)
            .find(|i| !self.insert(run.first + *i))
            .unwrap_or(run.pages)
    }
}

/// What a run of pages holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// A page of the tree.
    Tree,
    /// A long value, a part of one, its checksums, or the rest of a long key.
    Chain,
}

/// A function that is called with each fault: the page, the kind of fault, and what is wrong. If it returns false, the
/// check stops.
pub type OnFault<'f> = &'f mut dyn FnMut(PageNo, FaultKind, &str) -> bool;
/// A function that is called with each run that was reached, and what the run holds.
pub type OnRun<'f> = &'f mut dyn FnMut(Extent, Reached);

/// What a check has reached.
#[derive(Debug, Clone, Default)]
pub struct SeenPages {
    pages: PageSet,
    extents: BTreeMap<PageNo, Extent>,
}

/// A check of one or several trees of one file.
pub struct Checker<'f> {
    seen: PageSet,
    /// Whether trees may share pages with those that were checked before.
    shares: bool,
    /// The extents that were reached, by their first pages, if they are kept.
    extents: BTreeMap<PageNo, Extent>,
    keeps_extents: bool,
    on_fault: OnFault<'f>,
    on_run: OnRun<'f>,
    /// Whether long values are read and verified, too.
    values: bool,
    /// Whether the tree has values or keys outside its leaves.
    has_long: bool,
    stopped: bool,
    /// Whether a key or a bound could not be read for lack of memory, which is no fault of the tree. It ends the check.
    lacks_memory: bool,
}

/// Whether an extent was reached before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Visit {
    First,
    /// It was, by a tree of another state.
    Again,
}

/// What is the same for all pages of one tree.
struct Tree<'t, S: ?Sized> {
    source: &'t S,
    table: TableId,
}

/// What a page stores of a key or separator.
struct KeyPart<'p> {
    suffix: Suffix<'p>,
    /// The length of the page's prefix.
    prefix: usize,
    /// The length up to which such a page keeps it whole.
    whole_max: usize,
}

impl<'f> Checker<'f> {
    /// Begins a check. With `values`, long values are read and verified; the rests of long keys always are.
    pub fn new(values: bool, on_fault: OnFault<'f>, on_run: OnRun<'f>) -> Checker<'f> {
        Checker {
            seen: PageSet::new(),
            shares: false,
            extents: BTreeMap::new(),
            keeps_extents: false,
            on_fault,
            on_run,
            values,
            has_long: false,
            stopped: false,
            lacks_memory: false,
        }
    }

    /// Keeps what extents were reached, for a check of other states that share some of them.
    pub fn keep_extents(&mut self) {
        self.keeps_extents = true;
    }

    /// From now on trees are those of other states of the same tables, of which another check has reached `seen`. That
    /// is not read again, but for a look whether it has the checksum that this tree wants.
    pub fn share(&mut self, seen: SeenPages) {
        (self.seen, self.extents, self.shares) = (seen.pages, seen.extents, true);
        self.keep_extents();
    }

    /// Returns the pages that were reached, those before included.
    pub fn into_seen(self) -> SeenPages {
        SeenPages {
            pages: self.seen,
            extents: self.extents,
        }
    }

    /// Returns whether the check ended early: the callback stopped it, or there was no memory for it.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Returns whether the check ended because there was no memory for it.
    pub fn lacks_memory(&self) -> bool {
        self.lacks_memory
    }

    /// Checks the tree of `table`. A page that an earlier tree of this check reached is a fault.
    pub fn tree<'s, S: PageSource<'s> + ?Sized>(&mut self, source: &S, root: &Root, table: TableId) {
        if root.height > HEIGHT_MAX {
            return self.fault(root.ptr.page, "tree too high");
        }
        self.has_long = false;
        if root.height > 0 {
            self.page(&Tree { source, table }, &root.ptr, root.height, &[], None);
        }
        if self.has_long && !root.has_long && !self.shares {
            self.fault(root.ptr.page, "long values or keys in a tree that says it has none");
        }
    }

    fn fault(&mut self, page: PageRef, what: &str) {
        self.found(page, FaultKind::Contradiction, what);
    }

    fn found(&mut self, page: PageRef, kind: FaultKind, what: &str) {
        if !self.stopped {
            self.stopped = !(self.on_fault)(page.number(), kind, what);
        }
    }

    fn error(&mut self, page: PageRef, e: &Error) {
        match e {
            Error::Corrupt(c) => self.found(c.page.map_or(page, PageRef::placed), c.kind, &c.what),
            e if e.is_no_memory() => (self.lacks_memory, self.stopped) = (true, true),
            e => self.found(page, e.fault_kind(), &e.to_string()),
        }
    }

    /// Checks the page behind `ptr` and everything below it. All its keys must be at least `low` and less than `high`.
    fn page<'s, S: PageSource<'s> + ?Sized>(
        &mut self,
        t: &Tree<'_, S>,
        ptr: &Ptr,
        level: u8,
        low: &[u8],
        high: Option<&[u8]>,
    ) {
        let page = match t.source.page(ptr) {
            Ok(page) => page,
            Err(e) => return self.error(ptr.page, &e),
        };
        if !self.seen.insert(ptr.page.number()) {
            if !self.shares {
                self.fault(ptr.page, "page reached twice");
            }
            return;
        }
        let run = Run::new(ptr.page.number(), 1);
        let birth = ptr.birth;
        (self.on_run)(Extent::new(run, birth), Reached::Tree);
        if header::level(page) != level {
            return self.fault(ptr.page, "page of another level than its parent says");
        }
        if header::table(page) != t.table {
            self.fault(ptr.page, "page written for another table");
        }
        if birth == CommitId::NONE {
            self.fault(ptr.page, "a page that no commit wrote");
        }
        let prefix = header::prefix(page);
        if header::flags(page) & CHECK_PREFIX == 0 && !prefix.is_empty() {
            let behind = match behind_prefix(prefix) {
                Ok(behind) => behind,
                Err(e) => return self.error(ptr.page, &e),
            };
            let above = behind.is_none() || high.is_some_and(|h| behind.as_deref().is_some_and(|b| h <= b));
            if !low.starts_with(prefix) || !above {
                self.fault(ptr.page, "keys without the page's prefix are routed to it");
            }
        }
        if level == 1 {
            match Leaf::new(page, ptr.page) {
                Ok(leaf) => self.leaf(t, &leaf, ptr, low, high),
                Err(e) => self.error(ptr.page, &e),
            }
        } else {
            match Branch::new(page, ptr.page) {
                Ok(branch) => self.branch(t, &branch, ptr, level, low, high),
                Err(e) => self.error(ptr.page, &e),
            }
        }
    }

    fn branch<'s, S: PageSource<'s> + ?Sized>(
        &mut self,
        t: &Tree<'_, S>,
        branch: &Branch<'s>,
        ptr: &Ptr,
        level: u8,
        low: &[u8],
        high: Option<&[u8]>,
    ) {
        t.source
            .will_read(&mut (0..branch.len()).map(|i| Run::new(branch.child(i).number(), 1)));
        let mut below = 0u64;
        let (mut spans, mut sound) = (Vec::new(), true);
        for i in 0..branch.len() {
            below = below.saturating_add(branch.entries(i));
            match branch.separator(i) {
                Ok(s) => {
                    self.separator(branch, ptr, i, &s);
                    spans.extend(branch.record_span(i, &s));
                    let of = KeyPart {
                        suffix: s,
                        prefix: branch.prefix().len(),
                        whole_max: separator_max(branch.bytes().len()),
                    };
                    sound &= self.key_part(t, &of, ptr);
                }
                Err(e) => {
                    self.error(ptr.page, &e);
                    sound = false;
                }
            }
        }
        if below != ptr.entries {
            self.fault(ptr.page, "counts of entries disagree");
        }
        self.heap(branch.bytes(), spans, ptr.page);
        if !sound {
            // The bounds of the children are not known.
            return;
        }
        if !second_heads_are_right(branch) {
            self.fault(ptr.page, "second heads that differ from their separators");
        }
        let mut from = match Error::or_copy(low, "the bounds of a page") {
            Ok(from) => from,
            Err(e) => return self.error(ptr.page, &e),
        };
        let mut to = Vec::new();
        for i in 0..branch.len() {
            if self.stopped {
                return;
            }
            let last = i + 1 == branch.len();
            if !last {
                to.clear();
                if let Err(e) = branch.write_separator(i + 1, t.source, &mut to) {
                    // Neither this child's upper bound nor the next one's lower is known.
                    self.error(ptr.page, &e);
                    return;
                }
                if to <= from || high.is_some_and(|h| to.as_slice() >= h) {
                    self.fault(ptr.page, "separators out of order");
                }
                match branch.find(&to, t.source) {
                    Ok(found) if found == i + 1 => {}
                    Ok(_) => self.fault(ptr.page, "a search for a separator does not find it"),
                    Err(e) => self.error(ptr.page, &e),
                }
            }
            let child = branch.ptr(i);
            if child.birth > ptr.birth {
                self.fault(ptr.page, "a child younger than its parent");
            }
            self.page(t, &child, level - 1, &from, if last { high } else { Some(&to) });
            std::mem::swap(&mut from, &mut to);
        }
    }

    /// Checks separator `i` of a branch by itself.
    fn separator(&mut self, branch: &Branch<'_>, ptr: &Ptr, i: usize, s: &Suffix<'_>) {
        let page = branch.bytes();
        if i == 0 && (s.len, s.head, s.long) != (0, 0, false) {
            self.fault(ptr.page, "the first separator is not empty");
        }
        if !s.is_padded() {
            self.fault(ptr.page, "a head that is not padded with zeros");
        }
        if s.long && header::flags(page) & HEAD2 != 0 {
            self.fault(ptr.page, "a long separator in a branch with second heads");
        }
        if !s.long && branch.prefix().len() + s.len > separator_max(page.len()) {
            self.fault(ptr.page, "a separator too long for its page");
        }
    }

    fn leaf<'s, S: PageSource<'s> + ?Sized>(
        &mut self,
        t: &Tree<'_, S>,
        leaf: &Leaf<'s>,
        ptr: &Ptr,
        low: &[u8],
        high: Option<&[u8]>,
    ) {
        if leaf.is_empty() {
            self.fault(ptr.page, "empty leaf");
        }
        if leaf.len() as u64 != ptr.entries {
            self.fault(ptr.page, "counts of entries disagree");
        }
        let (mut before, mut key) = (Vec::new(), Vec::new());
        let mut have_before = false;
        let mut spans = Vec::new();
        for i in 0..leaf.len() {
            if self.stopped {
                return;
            }
            match self.record(t, leaf, ptr, i) {
                Ok((span, sound)) => {
                    spans.extend(span);
                    if !sound {
                        continue;
                    }
                }
                Err(e) => {
                    self.error(ptr.page, &e);
                    continue;
                }
            }
            key.clear();
            if let Err(e) = leaf.key(i, t.source, &mut key) {
                self.error(ptr.page, &e);
                continue;
            }
            if key.as_slice() < low || high.is_some_and(|h| key.as_slice() >= h) {
                self.fault(ptr.page, "key outside its parent's bounds");
            }
            if have_before && key <= before {
                self.fault(ptr.page, "keys out of order");
            }
            let sought = Key::new(&key);
            if !leaf.is_dense() && leaf.fingerprint(i) != sought.fingerprint {
                self.fault(ptr.page, "wrong fingerprint of a key");
            } else {
                match leaf.find(sought, t.source) {
                    Ok(found) if found == Some(i) => {}
                    Ok(_) => self.fault(ptr.page, "a search for a key does not find it"),
                    Err(e) => self.error(ptr.page, &e),
                }
            }
            std::mem::swap(&mut before, &mut key);
            have_before = true;
        }
        if !leaf.is_dense() {
            self.heap(leaf.bytes(), spans, ptr.page);
        }
    }

    /// Checks what belongs to one record. Returns where the record lies (`None` in a dense leaf), and whether its key
    /// may be read.
    fn record<'s, S: PageSource<'s> + ?Sized>(
        &mut self,
        t: &Tree<'_, S>,
        leaf: &Leaf<'s>,
        ptr: &Ptr,
        i: usize,
    ) -> Result<(Option<(usize, usize)>, bool)> {
        if leaf.is_dense() {
            if !leaf.is_padded(i) {
                self.fault(ptr.page, "a key of a dense leaf that is not padded with zeros");
            }
            return Ok((None, true));
        }
        let suffix = leaf.slotted_suffix(i)?;
        let record = leaf.record(i)?;
        if !suffix.is_padded() {
            self.fault(ptr.page, "a head that is not padded with zeros");
        }
        let of = KeyPart {
            suffix,
            prefix: header::prefix_len(leaf.bytes()),
            whole_max: leaf_key_max(leaf.bytes().len()),
        };
        if !of.suffix.long && of.prefix + of.suffix.len > of.whole_max {
            self.fault(ptr.page, "a key too long for its page");
        }
        let sound = self.key_part(t, &of, ptr);
        if let Stored::Chain(description) = record.value() {
            self.chain(t, description, ptr);
        }
        Ok((Some((record.at, record.size())), sound))
    }

    /// Checks the length of a long key or separator, and the pages of its rest. Returns whether it may be read.
    fn key_part<'s, S: PageSource<'s> + ?Sized>(&mut self, t: &Tree<'_, S>, of: &KeyPart<'_>, ptr: &Ptr) -> bool {
        let inline = of.prefix + of.suffix.len;
        match of.suffix.rest() {
            Ok(None) => true,
            Ok(Some(rest)) => {
                let size = t.source.page_size();
                if inline != KEEP || rest.key_len <= of.whole_max {
                    self.fault(ptr.page, "bad length of a long key");
                }
                self.extent(t, &rest.extent(size), ptr).is_some()
            }
            Err(d) => {
                self.fault(ptr.page, d.0);
                false
            }
        }
    }

    fn chain<'s, S: PageSource<'s> + ?Sized>(&mut self, t: &Tree<'_, S>, description: &[u8], ptr: &Ptr) {
        let chain = match Chain::decode(description, t.source.page_size()) {
            Ok(chain) => chain,
            Err(d) => return self.fault(ptr.page, d.0),
        };
        let mut sound = true;
        for e in chain.all_extents() {
            sound &= self.extent(t, e, ptr) == Some(Visit::First);
        }
        // No page of a sound chain was reached before, so reading all chains reads no more than the file.
        for i in 0..if self.values && sound { pieces(chain.len) } else { 0 } {
            if let Err(e) = chain.piece(i, t.source) {
                self.error(ptr.page, &e);
                return;
            }
        }
    }

    /// Checks and reports an extent that a record of the page behind `ptr` names. Returns `None` if it is not sound.
    fn extent<'s, S: PageSource<'s> + ?Sized>(&mut self, t: &Tree<'_, S>, e: &Extent, ptr: &Ptr) -> Option<Visit> {
        if let Err(error) = t.source.raw(e.run.first, e.run.pages * t.source.page_size() as u64) {
            self.error(ptr.page, &error);
            return None;
        }
        self.has_long = true;
        if e.birth > ptr.birth || e.birth == CommitId::NONE {
            self.fault(ptr.page, "a long value or key younger than its record, or of no commit");
        }
        let new = self.seen.insert_run(e.run);
        if new > 0 {
            let run = Run::new(e.run.first, new);
            (self.on_run)(Extent { run, ..*e }, Reached::Chain);
        }
        match new == e.run.pages {
            true => {
                if self.keeps_extents {
                    self.extents.insert(e.run.first, *e);
                }
                Some(Visit::First)
            }
            false if self.shares && self.extents.get(&e.run.first) == Some(e) => Some(Visit::Again),
            // What is there now is something else, and the value is read to see whether it is whole.
            false if self.shares => Some(Visit::First),
            false => {
                self.fault((e.run.first + new).into(), "page reached twice");
                None
            }
        }
    }

    /// Checks that the records lie in the heap without overlapping, and that they and the garbage fill it.
    fn heap(&mut self, page: &[u8], mut spans: Vec<(usize, usize)>, number: PageRef) {
        let end = page.len() - header::prefix_len(page);
        let mut free = end.saturating_sub(header::heap(page));
        let mut used = header::garbage(page);
        spans.sort_unstable();
        for (at, size) in spans {
            if at < free || at + size > end {
                return self.fault(number, "records overlap or leave their heap");
            }
            free = at + size;
            used += size;
        }
        if used != header::heap(page) {
            self.fault(number, "heap and garbage disagree with the records");
        }
    }
}
