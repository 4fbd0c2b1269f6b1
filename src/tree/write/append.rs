//! Puts behind every key of a tree: its last leaf is filled up, and full ones are built behind it straight from the
//! log.
//!
//! Nothing has to be merged, so only the entries of one leaf at a time are listed between the log and the pages.

use super::apply::{is_underfull, Apply, Fill, NewPage, Reply};
use super::arena::Arena;
use super::fences::{prefix_len, Cut, Fences};
use super::node::Node;
use super::sorted::EditSlice;
use crate::error::{Error, Result};
use crate::page::leaf::Stored;
use crate::page::leaf_build::{build_plain_leaf, PlainEntry, Tally};
use crate::page::{PageSink, PageSource};
use crate::util::bytes::common_prefix;

/// Where pages are filled with room, one in this many of the entries that would fit is left out.
const ROOM: usize = 16;

/// Returns how many of the entries that fill a page go into it if some room is to be left. Of few large entries none is
/// left out: without one of two, half of the page would be empty.
pub(super) fn with_room(full: usize) -> usize {
    match full < ROOM / 2 {
        true => full,
        false => full - (full / ROOM).max(1),
    }
}

/// Copies of a leaf's entries with whole keys, because the leaf's own bytes lack the prefix.
#[derive(Default)]
pub(super) struct CopiedEntries {
    bytes: Vec<u8>,
    ends: Vec<CopiedEntry>,
}

struct CopiedEntry {
    key_len: usize,
    /// Where its value ends, which is the end of the entry.
    end: usize,
}

impl CopiedEntries {
    fn iter(&self) -> impl Iterator<Item = PlainEntry<'_>> {
        let mut from = 0;
        self.ends.iter().map(move |entry| {
            let bytes = &self.bytes[std::mem::replace(&mut from, entry.end)..entry.end];
            let key = entry.key_len;
            PlainEntry { bytes, key }
        })
    }
}

/// Entries on their way into leaves.
struct EntryQueue<'e> {
    /// The next entries, as many as were looked at.
    list: Vec<PlainEntry<'e>>,
    /// The edits that are not in the list yet.
    rest: EditSlice<'e>,
    page_size: usize,
    fill: Fill,
}

impl<'e> EntryQueue<'e> {
    /// Returns entry `i` of what is left.
    #[inline(always)]
    fn entry(&mut self, i: usize) -> Option<PlainEntry<'e>> {
        if self.list.len() <= i {
            self.look_ahead(i + 1 - self.list.len());
        }
        self.list.get(i).copied()
    }

    /// Takes `more` edits into the list, or as many as there are.
    fn look_ahead(&mut self, more: usize) {
        let (next, rest) = self.rest.split_at(more.min(self.rest.len()));
        next.copy_plain(&mut self.list);
        self.rest = rest;
    }

    /// Returns the tally of the most entries that fit a page with a prefix of `prefix` bytes: of one at least.
    fn most(&mut self, prefix: usize) -> Tally {
        let mut tally = Tally::new(prefix);
        while self.entry(tally.count).is_some() {
            for entry in &self.list[tally.count..] {
                if !tally.add(entry, self.page_size) {
                    return tally;
                }
            }
        }
        tally
    }

    /// Returns the length of the prefix of a page that begins with `low` and ends before entry `n`. (The separator
    /// there shares with `low` what the key of the entry shares with it.)
    fn prefix_len(&mut self, low: &[u8], n: usize) -> usize {
        self.entry(n).map_or(0, |entry| prefix_len(low, entry.key()))
    }

    /// Returns the tally of the next page. The prefix that its entries share depends on how many they are, and how many
    /// fit depends on the prefix. So the first attempt assumes about as many entries as the page before had (`usual`).
    fn next_page(&mut self, low: &[u8], usual: usize) -> Tally {
        let mut assumed = self.prefix_len(low, usual);
        let mut grew = false;
        loop {
            let full = self.most(assumed);
            let mut n = full.count;
            let mut prefix = self.prefix_len(low, n);
            // A prefix that is too long would be wrong, and one that is too short wastes room. It is lengthened only
            // once: a longer prefix takes in more entries, which may share less, and so on without end.
            if prefix < assumed || prefix > assumed && !grew {
                grew |= prefix > assumed;
                assumed = prefix;
                continue;
            }
            if self.fill == Fill::WithRoom && self.entry(n).is_some() {
                n = with_room(n);
                prefix = self.prefix_len(low, n);
            }
            // A longer prefix than the assumed one may save nothing where keys are short, and then fewer entries fit.
            while n > 1 && prefix > assumed && Tally::of(&self.list[..n], prefix).size() > self.page_size {
                n -= 1;
                prefix = self.prefix_len(low, n);
            }
            return match (n, prefix) == (full.count, full.prefix) {
                true => full,
                false => Tally::of(&self.list[..n], prefix),
            };
        }
    }

    /// Returns the shortest key that separates entry `n` from the one before, or `None` if there is no entry `n`. The
    /// entry must have been looked at.
    fn separator(&self, n: usize) -> Option<Vec<u8>> {
        let next = self.list.get(n)?;
        let common = common_prefix(self.list[n - 1].key(), next.key());
        Some(next.key()[..next.key.min(common + 1)].to_vec())
    }
}

impl<'a, S: PageSource<'a> + Copy, P: PageSink> Apply<'a, '_, S, P> {
    /// Copies the entries of a leaf. Returns `None` if some have a part outside the leaf.
    pub(super) fn copy_entries(&self, node: &Node<'a>) -> Result<Option<CopiedEntries>> {
        let leaf = node.leaf()?;
        let mut copied = CopiedEntries::default();
        for i in 0..leaf.len() {
            let value = leaf.value(i)?;
            let long = !leaf.is_dense() && leaf.slotted_suffix(i)?.long;
            let Stored::Inline(value) = value else {
                return Ok(None);
            };
            if long {
                return Ok(None);
            }
            let from = copied.bytes.len();
            // Together the keys are longer than a page, which has their prefix only once.
            let most = leaf.prefix().len() + node.size();
            Error::or_room(&mut copied.bytes, most, "entries on their way into a leaf")?;
            leaf.key(i, &self.source, &mut copied.bytes)?;
            let key_len = copied.bytes.len() - from;
            copied.bytes.extend_from_slice(value);
            let end = copied.bytes.len();
            copied.ends.push(CopiedEntry { key_len, end });
        }
        Ok(Some(copied))
    }

    /// Builds leaves from the entries of the tree's last leaf and from `edits`, which are plain and lie behind them.
    pub(super) fn append(
        &mut self,
        node: Node<'a>,
        copied: &CopiedEntries,
        edits: EditSlice<'_>,
        fences: &Fences,
    ) -> Result<Reply> {
        let mut queue = EntryQueue {
            list: copied.iter().collect(),
            rest: edits,
            page_size: node.size(),
            fill: match edits.is_ascending() {
                true => Fill::Full,
                false => Fill::WithRoom,
            },
        };
        let mut new_pages: Vec<NewPage> = Vec::new();
        let (mut start, mut usual) = (Cut::default(), queue.list.len().max(8));
        loop {
            let low: &[u8] = if start.at == 0 { &fences.low } else { &start.separator };
            let tally = queue.next_page(low, usual);
            let n = tally.count;
            let entries = &queue.list[..n];
            let prefix = &low[..tally.prefix];
            // The entries from the old leaf come from the file, so they are checked. Edits were routed here by their
            // keys.
            if start.at == 0 && !entries.iter().all(|e| e.key().starts_with(prefix)) {
                return Err(Error::corrupt(node.ptr.page, "a leaf's keys are not within its bounds"));
            }
            self.arena.prepare()?;
            let mut memory = self.arena.memory();
            let Some(used) = build_plain_leaf(&mut memory, self.table, prefix, entries, &tally) else {
                return Err(Error::corrupt(node.ptr.page, "an entry larger than a page"));
            };
            let underfull = is_underfull(used, memory.len());
            let ptr = Arena::ptr(self.arena.insert(memory), n as u64);
            let next = queue.separator(n);
            new_pages.push(NewPage {
                separator: start.separator,
                ptr,
                underfull,
            });
            self.emit_last_but_one(&mut new_pages)?;
            let Some(separator) = next else { break };
            start = Cut {
                at: start.at + n,
                separator,
            };
            usual = n;
            queue.list.drain(..n);
        }
        debug_assert_eq!(
            new_pages.iter().map(|new_page| new_page.ptr.entries).sum::<u64>(),
            (copied.ends.len() + edits.len()) as u64,
            "each entry is in one leaf"
        );
        self.discard(node);
        Ok(Reply::of(new_pages))
    }

    /// Places the leaf before the one just built, if pages are being placed. The first and the last leaf are left,
    /// because they may be joined with neighbours.
    pub(super) fn emit_last_but_one(&mut self, new_pages: &mut [NewPage]) -> Result<()> {
        match new_pages {
            [_, .., new_page, _] if self.places_pages => self.emit(&mut new_page.ptr),
            _ => Ok(()),
        }
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
                let mut on_fault = |page, _, what: &str| {
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
