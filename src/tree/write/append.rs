//! Puts behind every key of a tree: its last leaf is filled up, and full ones are built behind it straight from the log.
//!
//! Nothing has to be merged, so no list of entries stands between the log and the pages but that of one leaf.

use super::apply::{Apply, Held, Piece, Reply};
use super::arena::Arena;
use super::fences::{prefix_len, Fences};
use super::sorted::Sorted;
use crate::error::{Error, Result};
use crate::page::leaf::{Leaf, Stored};
use crate::page::leaf_build::{build_whole, Filling, Whole};
use crate::page::{PageSink, PageSource, Ptr};
use crate::util::bytes::common_prefix;

/// One of so many entries of a page is left away where edits came in any order.
pub(super) const ROOM: usize = 16;

/// Copies of a leaf's entries, whole.
#[derive(Default)]
pub(super) struct Copied {
    bytes: Vec<u8>,
    /// (key bytes, end of the value) of each.
    ends: Vec<(usize, usize)>,
}

impl Copied {
    fn entries(&self) -> impl Iterator<Item = Whole<'_>> {
        let mut from = 0;
        self.ends.iter().map(move |(key, to)| {
            let bytes = &self.bytes[std::mem::replace(&mut from, *to)..*to];
            Whole { bytes, key: *key }
        })
    }
}

/// Entries on their way into leaves.
struct Run<'e> {
    /// What comes next: as many as were looked at.
    list: Vec<Whole<'e>>,
    edits: &'e Sorted<'e>,
    /// Edits not in the list yet.
    next: usize,
    to: usize,
    page_size: usize,
    /// Pages are filled to the brim: what comes later comes behind them. Otherwise some room is left, or the next puts
    /// between would split every page.
    brim: bool,
}

impl<'e> Run<'e> {
    /// Entry `i` of what is left.
    #[inline(always)]
    fn entry(&mut self, i: usize) -> Option<Whole<'e>> {
        if self.list.len() <= i {
            self.look(i + 1 - self.list.len());
        }
        self.list.get(i).copied()
    }

    /// Looks at `more` edits, or as many as there are.
    fn look(&mut self, more: usize) {
        let to = self.to.min(self.next + more);
        self.edits.wholes(self.next..to, &mut self.list);
        self.next = to;
    }

    /// As many entries as fit a page with a prefix of so many bytes: one at least.
    fn most(&mut self, prefix: usize) -> Filling {
        let mut filling = Filling::new(prefix);
        while self.entry(filling.count).is_some() {
            for entry in &self.list[filling.count..] {
                if !filling.add(entry, self.page_size) {
                    return filling;
                }
            }
        }
        filling
    }

    /// Length of the prefix of a page that begins with `low` and ends before entry `n`. (What the separator there shares
    /// with `low` is what the key shares.)
    fn prefix(&mut self, low: &[u8], n: usize) -> usize {
        self.entry(n).map_or(0, |entry| prefix_len(low, entry.key()))
    }

    /// The next page. Which prefix its entries share depends on how many they are: first a guess, from about as many as the
    /// page before had.
    fn cut(&mut self, low: &[u8], usual: usize) -> Filling {
        let mut guess = self.prefix(low, usual);
        let mut longer = false;
        loop {
            let full = self.most(guess);
            let mut n = full.count;
            let mut prefix = self.prefix(low, n);
            if prefix < guess || prefix > guess && !longer {
                longer |= prefix > guess;
                guess = prefix;
                continue;
            }
            if !self.brim && self.entry(n).is_some() {
                n = n.saturating_sub((n / ROOM).max(1)).max(1);
                prefix = self.prefix(low, n);
            }
            // A longer prefix than the one reckoned with saves nothing where keys are short.
            while n > 1 && prefix > guess && Filling::of(&self.list[..n], prefix).size() > self.page_size {
                n -= 1;
                prefix = self.prefix(low, n);
            }
            return match (n, prefix) == (full.count, full.prefix) {
                true => full,
                false => Filling::of(&self.list[..n], prefix),
            };
        }
    }
}

impl<'a, S: PageSource<'a> + Copy, P: PageSink> Apply<'a, '_, S, P> {
    /// Copies of the entries of a leaf; `None`: some have a part elsewhere.
    pub(super) fn whole_entries(&self, ptr: &Ptr, page: &Held<'a>) -> Result<Option<Copied>> {
        let leaf = Leaf::new(page).map_err(|d| d.at(ptr.page))?;
        let mut copied = Copied::default();
        for i in 0..leaf.len() {
            let value = leaf.value(i).map_err(|d| d.at(ptr.page))?;
            let long = !leaf.is_dense() && leaf.slotted_suffix(i).map_err(|d| d.at(ptr.page))?.long;
            let Stored::Inline(value) = value else {
                return Ok(None);
            };
            if long {
                return Ok(None);
            }
            let from = copied.bytes.len();
            leaf.key(i, ptr.page, &self.source, &mut copied.bytes)?;
            let key = copied.bytes.len() - from;
            copied.bytes.extend_from_slice(value);
            copied.ends.push((key, copied.bytes.len()));
        }
        Ok(Some(copied))
    }

    /// Builds leaves of what the tree's last leaf held and of `edits[from..to]`, which are plain and lie behind.
    pub(super) fn append(
        &mut self,
        ptr: Ptr,
        page: Held<'a>,
        held: &Copied,
        edits: &Sorted<'_>,
        (from, to): (usize, usize),
        fences: &Fences,
    ) -> Result<Reply> {
        let mut run = Run {
            list: held.entries().collect(),
            edits,
            next: from,
            to,
            page_size: page.len(),
            brim: edits.is_ascending(),
        };
        let mut pieces: Vec<Piece> = Vec::new();
        let (mut low, mut usual) = (Vec::new(), run.list.len().max(8));
        loop {
            let start: &[u8] = if pieces.is_empty() { &fences.low } else { &low };
            let filling = run.cut(start, usual);
            let n = filling.count;
            let entries = &run.list[..n];
            let prefix = &start[..filling.prefix];
            if pieces.is_empty() && !entries.iter().all(|e| e.key().starts_with(prefix)) {
                return Err(Error::corrupt(ptr.page, "a leaf's keys are not within its bounds"));
            }
            let mut memory = self.arena.memory();
            let Some(used) = build_whole(&mut memory, self.table, prefix, entries, &filling) else {
                return Err(Error::corrupt(ptr.page, "an entry larger than a page"));
            };
            let small = used < memory.len() / 4;
            let high = run.list.get(n).map(|next| {
                let common = common_prefix(run.list[n - 1].key(), next.key());
                next.key()[..next.key.min(common + 1)].to_vec()
            });
            let ptr = Arena::ptr(self.arena.insert(memory), n as u64);
            let separator = std::mem::take(&mut low);
            pieces.push(Piece { separator, ptr, small });
            let at = pieces.len();
            if self.fused && at > 2 {
                // Not the first and not the last: those may be joined with neighbours.
                self.emit(&mut pieces[at - 2].ptr)?;
            }
            let Some(high) = high else {
                break;
            };
            low = high;
            usual = n;
            run.list.drain(..n);
        }
        self.discard(&ptr, page);
        if let [only] = pieces.as_slice() {
            let (ptr, small) = (only.ptr, only.small);
            return Ok(Reply::One { ptr, small });
        }
        Ok(Reply::Many(pieces))
    }
}

#[cfg(test)]
mod tests {
    use crate::page::leaf::Stored;
    use crate::page::Root;
    use crate::tree::read::check::Checker;
    use crate::tree::read::lookup as search;
    use crate::tree::testing::{key, Builder, Model, Rnd, KINDS, TABLE};

    /// Ascending commits of all sizes: keys of one length and of many, long ones, values that agree and that differ.
    #[test]
    fn ascending_commits_equal_a_map() {
        for seed in 1..=60u64 {
            for kind in 0..KINDS {
                let mut rnd = Rnd(seed * 1009 + u64::from(kind));
                let even = rnd.below(2) == 0;
                let size = [4096, 16384][rnd.below(2) as usize];
                let mut model = Model::new();
                for _ in 0..rnd.below(3000) {
                    let value = if even { 20 } else { rnd.below(300) };
                    model.insert(key(kind, &mut rnd), vec![rnd.below(256) as u8; value as usize]);
                }
                let mut builder = Builder::new(size);
                let (mut root, mut left) = (Root::default(), model.iter().peekable());
                while left.peek().is_some() {
                    let n = [1, 10, 100, 1000][rnd.below(4) as usize];
                    let next: Vec<_> = left.by_ref().take(n).map(|(k, v)| (k, Some(v))).collect();
                    root = builder.commit(root, next.into_iter());
                }
                let frozen = builder.freeze();
                let mut faults = Vec::new();
                let mut on_fault = |page, what: &str| {
                    faults.push((page, what.to_string()));
                    faults.len() < 10
                };
                Checker::new(true, &mut on_fault, &mut |_, _| {}).tree(&&frozen, &root, TABLE);
                assert_eq!(faults, [], "seed {seed} kind {kind}");
                assert_eq!(root.ptr.entries, model.len() as u64);
                for (k, v) in &model {
                    let found = search::get(&&frozen, &root, k).unwrap();
                    assert_eq!(found, Some(Stored::Inline(v)), "seed {seed} kind {kind}");
                }
            }
        }
    }
}
